//! What a file may hold without end is bounded: in time, in memory, and in what is said of it.

use std::time::{Duration, Instant};

use windlass_core::config::{ConfigError, ProjectFile, REFERENCE, SERVER_REFERENCE, ServerConfig};

fn refused(text: &str) -> ConfigError {
    let begun = Instant::now();
    let error = ProjectFile::parse("windlass.toml", text).unwrap_err();
    // Unoptimised, on a machine that others use too: what is quadratic takes minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(error.to_string().len() < 100_000, "{} bytes", error.to_string().len());
    error
}

#[test]
fn rule_109a_sixty_thousand_unknown_keys_are_fifty_mistakes_and_a_number() {
    let keys: String = (0..60_000).map(|number| format!("k{number:06} = 1\n")).collect();
    let error = refused(&format!("schema = 1\nport = 3000\n{keys}"));
    assert_eq!((error.diagnostics.len(), error.more), (50, 59_950));
    let lines: Vec<usize> = error.diagnostics.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, (3..53).collect::<Vec<_>>(), "the first in the file");
    assert!(error.to_string().ends_with("\nwindlass.toml: and 59950 more mistakes"));
}

#[test]
fn rule_109b_the_number_is_right_wherever_the_mistakes_are() {
    for (count, more) in [(1, 0), (50, 0), (51, 1), (150, 100), (199, 149), (200, 150), (201, 151), (5_000, 4_950)] {
        // Unknown keys are found first, although these values stand before them.
        let values: String = (0..count / 2).map(|number| format!("V{number} = 1\n")).collect();
        let keys: String = (0..count - count / 2).map(|number| format!("k{number} = 1\n")).collect();
        let text = format!("schema = 1\nport = 3000\n[env]\n{values}[roles]\n[build]\n{keys}");
        let error = refused(&text.replace("port = 3000\n", "url = \"https://a.test\"\n").replace("[roles]\n", ""));
        assert_eq!((error.diagnostics.len(), error.more), (count.min(50), more), "{count}");
    }
}

#[test]
fn a_mistake_that_all_apps_and_stages_share_is_counted_once() {
    let keys: String = (0..1_000).map(|number| format!("E{number} = 1\n")).collect();
    let apps = "[apps.a]\nport = 1\n[apps.b]\nport = 2\n[stages.staging]\nwatch = \"1s\"\n[stages.production]\nwatch = \"2s\"\n";
    let error = refused(&format!("schema = 1\n[env]\n{keys}{apps}"));
    assert_eq!((error.diagnostics.len(), error.more), (50, 950));
}

#[test]
fn broken_lines_are_counted_too() {
    let error = refused(&"= 1\n".repeat(20_000));
    assert_eq!((error.diagnostics.len(), error.more), (50, 19_950));
}

#[test]
fn rule_109c_large_files_of_any_shape_are_read_in_bounded_time_and_answered_in_bounded_words() {
    let many = |line: &dyn Fn(usize) -> String, count: usize| (0..count).map(line).collect::<String>();
    let name = "x".repeat(500_000);
    for text in [
        format!("schema = 1\nport = 3000\n{name} = 1\n"),
        format!("schema = 1\nport = 3000\n[{name}]\n{}", many(&|n| format!("k{n} = 1\n"), 40_000)),
        format!("schema = 1\nport = 3000\n[env.{name}]\n{}", many(&|n| format!("k{n} = 1\n"), 40_000)),
        format!("schema = 1\nport = 3000\nvolumes = [{}]\n", "1,".repeat(400_000)),
        format!("schema = 1\nport = 3000\nstrategy = \"{name}\"\n"),
        format!("schema = 1\nport = 3000\n{}", many(&|n| format!("[stages.s{n}]\nwatch = \"1s\"\n"), 40_000)),
        format!("schema = 1\n{}", many(&|n| format!("[apps.a{n}]\nport = 1\n"), 40_000)),
        format!("schema = 1\n{}", many(&|n| format!("[roles.r{n}]\nport = 1\n"), 40_000)),
        format!(
            "schema = 1\n[env]\n{}{}{}",
            many(&|n| format!("E{n} = \"\"\n"), 20_000),
            many(&|n| format!("[apps.a{n}]\nport = 1\n"), 100),
            many(&|n| format!("[stages.s{n}]\nwatch = \"1s\"\n"), 100)
        ),
        format!(
            "schema = 1\nsecrets = [{}]\n[env]\n{}",
            many(&|n| format!("\"E{n}\","), 20_000),
            many(&|n| format!("E{n} = \"\"\n"), 20_000)
        ),
    ] {
        refused(&text);
    }
}

#[test]
fn every_time_has_a_largest_value_in_both_files() {
    let is_time =
        |text: &str| text.strip_suffix(['s', 'm', 'h', 'd']).is_some_and(|number| number.parse::<u32>().is_ok());
    for (reference, server) in [(REFERENCE, false), (SERVER_REFERENCE, true)] {
        let mut seen = 0;
        for (index, line) in reference.lines().enumerate() {
            let code = line.split('#').next().unwrap_or_default();
            for text in code.split('"').skip(1).step_by(2).filter(|text| is_time(text)) {
                let lines: Vec<String> = reference
                    .lines()
                    .enumerate()
                    .map(|(at, line)| {
                        if at == index {
                            line.replacen(&format!("\"{text}\""), "\"90000d\"", 1)
                        } else {
                            line.to_owned()
                        }
                    })
                    .collect();
                let read = match server {
                    true => ServerConfig::parse("a.toml", &lines.join("\n")).map(drop),
                    false => ProjectFile::parse("a.toml", &lines.join("\n")).map(drop),
                };
                let error = read.expect_err(line).to_string();
                if !error.contains("`90000d` is not a memory size") {
                    assert!(error.contains("90000d is out of range"), "{line}\n{error}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= if server { 2 } else { 10 }, "{seen}");
    }
}

//! Whatever is in a file, the reader answers, and every mistake has a place in it.

use windlass_core::config::{ConfigError, ProjectFile, REFERENCE, SERVER_REFERENCE, ServerConfig};

/// A small generator (splitmix64): the same mutations on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit.max(1) as u64).unwrap()
    }

    fn mutate(&mut self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(4) {
                0 => drop(bytes.drain(at..(at + 1 + self.below(40)).min(bytes.len()))),
                1 => bytes.insert(at, u8::try_from(self.below(256)).unwrap()),
                2 => bytes.insert(at, b"[]{}=\"'.,#\n\\-"[self.below(13)]),
                _ => {
                    let from = self.below(bytes.len());
                    let piece = bytes[from..(from + self.below(60)).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn expect_sound<T>(text: &str, read: Result<T, ConfigError>) -> bool {
    let Err(error) = read else { return true };
    assert!(!error.diagnostics.is_empty(), "refused without a reason:\n{text}");
    for diagnostic in &error.diagnostics {
        let line = text.split('\n').nth(diagnostic.line - 1).unwrap_or_else(|| panic!("no such line: {error}\n{text}"));
        assert!(
            diagnostic.column >= 1 && diagnostic.column <= line.chars().count() + 1,
            "no such column: {error}\n{text}"
        );
        assert!(!diagnostic.message.is_empty());
    }
    false
}

#[test]
fn no_mutation_of_the_references_panics_or_is_refused_without_a_place() {
    let mut random = Random(7);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..1500 {
        let text = random.mutate(REFERENCE);
        let project = expect_sound(&text, ProjectFile::parse("a.toml", &text));
        let text = random.mutate(SERVER_REFERENCE);
        let server = expect_sound(&text, ServerConfig::parse("b.toml", &text));
        for sound in [project, server] {
            *(if sound { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(accepted > 100 && refused > 1000, "{accepted} accepted, {refused} refused: the mutations test nothing");
}

#[test]
fn what_is_nested_without_end_is_refused_and_overflows_no_stack() {
    let endless = [
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]\nb = 1", "a.".repeat(200_000)),
        format!("[[{}a]]\nb = 1", "a.".repeat(200_000)),
        format!("a = {}1", "[".repeat(200_000)),
        format!("a = {}1", "{ a.b.c = ".repeat(100_000)),
        format!("{}\nb = 1", "[[".repeat(100_000)),
        (0..2_000).map(|depth| format!("[{}a]\n", "a.".repeat(depth % 70))).collect(),
    ];
    for text in endless {
        assert!(!expect_sound(&text, ProjectFile::parse("a.toml", &text)));
        assert!(!expect_sound(&text, ServerConfig::parse("b.toml", &text)));
    }
}

#[test]
fn columns_count_characters_and_lines_may_end_as_on_windows() {
    let text = "schema = 1\r\nport = 3000\r\nenv = { \"ä\" = \"ö\", X = 1 }\r\n";
    let error = ProjectFile::parse("a.toml", text).unwrap_err();
    let places: Vec<_> = error.diagnostics.iter().map(|d| (d.line, d.column, d.key.as_str())).collect();
    assert_eq!(places, [(3, 9, "env.\"ä\""), (3, 24, "env.X")]);
}

//! What the commands of a server say of its file, and of what it names.

use super::Place;

const FILE: &str = r#"schema = 1
listen = "127.0.0.1:0"
public-url = "https://deploy.example.com"
data = "data"
[github]
api-url = "http://127.0.0.1:9/"
app-id = 1
private-key = { file = "key.pem" }
webhook-secrets = [{ file = "secret" }]
[projects."acme/shop".stages.production]
branch = "main"
[hosts.a]
docker = "unix:///nowhere/docker.sock"
gateway = { http = "127.0.0.1:0", https = "127.0.0.1:0", tls = "upstream", control = "/nowhere/gateway.sock" }
"#;

const SECOND: &str =
    "[hosts.b]\ndocker = \"ssh://root@b.example.com\"\nssh = { key = \"key\", known-hosts = \"hosts\" }\n";

fn place(text: &str) -> Place {
    Place::empty().file("windlass-server.toml", text)
}

#[test]
fn what_of_a_valid_file_will_not_do_what_it_seems_to_is_said_wherever_it_is_read() {
    let place = place(&format!("{FILE}{SECOND}"));
    let https = "`https` of [hosts.a.gateway] is passed over";
    let ssh = "`serve` does not start with ssh://root@b.example.com";
    place.run(&["config", "--server"]).with(0).saying(https).saying(ssh);
    let report = place.run(&["doctor", "--config", "windlass-server.toml", "--json"]).with(1).json();
    let said: Vec<&str> = report
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["state"] == "warning")
        .map(|it| it["found"].as_str().unwrap())
        .collect();
    for warning in [https, ssh] {
        assert!(said.iter().any(|said| said.contains(warning)), "{warning}: {report}");
    }
    // It ends for want of a secret, and has said it before.
    place.run(&["serve", "--config", "windlass-server.toml"]).with(2).saying(https).saying(ssh);
    let valid = FILE.replace("tls = \"upstream\", ", "");
    let quiet = super::Place::empty().file("windlass-server.toml", &valid).run(&["config", "--server"]).with(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn a_gateway_needs_no_name_where_there_is_one_host() {
    // Its folder cannot be made: it came that far.
    let only = place(&FILE.replace("data = \"data\"", "data = \"/proc/nowhere\""));
    only.run(&["gateway"]).with(1).saying("the data folder /proc/nowhere cannot be used");
    let several = place(&format!("{FILE}{SECOND}"));
    several.run(&["gateway"]).with(2).saying("the server's file has several hosts: a, b").saying("--host");
}

#[test]
fn a_store_that_cannot_be_opened_is_named_with_the_reason() {
    let place = place(FILE);
    std::fs::create_dir_all(place.folder.path().join("data/windlass.db")).unwrap();
    let ended = place.run(&["token", "list"]).with(1).saying("data/windlass.db cannot be opened: is a directory");
    assert!(!ended.stderr.contains("unable to open database file"), "{ended:?}");
}

#[test]
fn an_engine_that_is_away_is_called_that_without_the_layers_in_between() {
    let place = place(FILE).file("windlass.toml", "schema = 1\nport = 3000\n");
    let socket = place.folder.path().join("docker.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let there = format!("unix://{}", socket.display());
    for (address, why) in
        [(there.as_str(), "connection refused"), ("unix:///nowhere/x.sock", "there is no such socket")]
    {
        for command in [&["doctor", "--docker", address][..], &["build", "check", "--docker", address]] {
            let ended = place.run(command).with(1);
            assert!(ended.stdout.contains(why), "{ended:?}");
            for layer in ["hyper", "client error", "os error"] {
                assert!(!ended.stdout.contains(layer), "{ended:?}");
            }
        }
    }
}

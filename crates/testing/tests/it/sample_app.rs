use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use eventsource_stream::Eventsource as _;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use windlass_testing::sample_app;

use crate::client;

/// The app as a process of this machine.
struct App {
    process: Child,
    log: BufReader<ChildStdout>,
    address: String,
}

impl App {
    fn spawn(environment: &[(&str, &str)]) -> Self {
        let mut process = command(environment).arg("serve").stdout(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stdout.take().unwrap());
        Self { process, log, address: String::new() }
    }

    /// Running, and listening.
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut app = Self::spawn(environment);
        let line = app.until_log("listening on ");
        let port = line.rsplit(':').next().unwrap();
        app.address = format!("127.0.0.1:{port}");
        app
    }

    /// The rest of the next log line that begins like this.
    fn until_log(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "the log ends without `{beginning}`");
            if let Some(rest) = line.trim_end().strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = client().get(format!("http://{}{path}", self.address)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn signal(&self, name: &str) {
        let killed = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {}", self.process.id())]).status();
        assert!(killed.unwrap().success());
    }

    fn wait(&mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(environment: &[(&str, &str)]) -> Command {
    static PROGRAM: OnceLock<tempfile::TempPath> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, sample_app::program()).unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        file.into_temp_path()
    });
    let mut command = Command::new(&**program);
    command.env_clear().env("PORT", "0").envs(environment.iter().copied());
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = command(environment).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test]
async fn it_says_which_release_it_is() {
    let commit = "abc1234def5678abc1234def5678abc1234def56";
    let app = App::start(&[("WINDLASS_RELEASE", "2"), ("WINDLASS_COMMIT", commit), ("WINDLASS_TASK", "web-1")]);
    assert_eq!(app.get("/").await, (200, "release 2 (abc1234) task web-1\n".to_owned()));
    assert_eq!(app.get("/up").await, (200, "ok\n".to_owned()));
    assert_eq!(app.get("/env?name=WINDLASS_RELEASE").await, (200, "2".to_owned()));
    assert_eq!(app.get("/env?name=NOT_SET").await.0, 404);
    assert_eq!(app.get("/nowhere").await.0, 404);
}

#[tokio::test]
async fn never_healthy_answers_503_and_says_why() {
    let mut app = App::start(&[("SAMPLE_NEVER_HEALTHY", "1")]);
    assert_eq!(app.get("/up").await.0, 503);
    assert_eq!(app.get("/").await.0, 200);
    app.until_log("cannot reach the database at db.internal:5432: connection refused");
}

#[tokio::test]
async fn bodies_are_counted_with_a_length_and_in_chunks() {
    let app = App::start(&[]);
    let url = format!("http://{}/upload", app.address);
    let whole = client().post(&url).body(vec![7; 300_000]).send().await.unwrap();
    assert_eq!(whole.text().await.unwrap(), "received 300000 bytes\n");
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>("12345"), Ok("678")]);
    let chunked = client().post(&url).body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(chunked.text().await.unwrap(), "received 8 bytes\n");
    let headers = client().get(format!("http://{}/headers", app.address)).header("x-request-id", "7");
    assert!(headers.send().await.unwrap().text().await.unwrap().contains("x-request-id: 7\n"));
}

#[tokio::test]
async fn websockets_echo_and_are_closed_at_the_end() {
    let mut app = App::start(&[]);
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", app.address)).await.unwrap();
    for message in [Message::text("hello"), Message::binary(vec![1; 70_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    app.signal("TERM");
    let Some(Ok(Message::Close(Some(frame)))) = socket.next().await else { panic!("no closing frame") };
    assert_eq!(u16::from(frame.code), 1001);
    assert_eq!(app.wait().code(), Some(0));
}

#[tokio::test]
async fn events_stream_and_end_cleanly_at_the_end() {
    let mut app = App::start(&[("WINDLASS_RELEASE", "4")]);
    let answer = client().get(format!("http://{}/events", app.address)).send().await.unwrap();
    let mut events = answer.bytes_stream().eventsource();
    assert_eq!(events.next().await.unwrap().unwrap().data, "release 4 event 1");
    assert_eq!(events.next().await.unwrap().unwrap().id, "2");
    app.signal("TERM");
    while let Some(event) = events.next().await {
        assert!(event.is_ok(), "{event:?}");
    }
    assert_eq!(app.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sigterm_it_finishes_what_is_under_way_and_takes_nothing_new() {
    let mut app = App::start(&[]);
    let slow = client().get(format!("http://{}/slow?ms=800", app.address)).send();
    let slow = tokio::spawn(async move { slow.await.unwrap().text().await.unwrap() });
    app.until_log("sleeping");
    app.signal("TERM");
    app.until_log("stopping");
    while client().get(format!("http://{}/", app.address)).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!slow.is_finished());
    assert_eq!(slow.await.unwrap(), "slept 800 ms\n");
    assert_eq!(app.wait().code(), Some(0));
}

#[test]
fn it_ignores_sigterm_when_asked_to() {
    let mut app = App::start(&[("SAMPLE_IGNORE_SIGTERM", "1")]);
    app.signal("TERM");
    app.until_log("ignoring the signal to stop");
    assert_eq!(app.process.try_wait().unwrap(), None);
}

#[tokio::test]
async fn it_dies_when_and_how_it_is_told() {
    let mut app = App::start(&[("SAMPLE_EXIT_AFTER_MS", "100"), ("SAMPLE_EXIT_CODE", "9")]);
    assert_eq!(app.wait().code(), Some(9));
    let mut app = App::start(&[]);
    assert_eq!(app.get("/exit?code=3").await.0, 200);
    assert_eq!(app.wait().code(), Some(3));
}

#[test]
fn it_binds_late_when_asked_to_and_logs_on_request() {
    let begun = Instant::now();
    let mut app = App::start(&[("SAMPLE_START_DELAY_MS", "300"), ("SAMPLE_LOG_EVERY_MS", "10")]);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    app.until_log("line 40");
}

#[test]
fn commands_end_with_the_code_they_are_told() {
    assert_eq!(run(&["exit", "7"], &[]), (Some(7), String::new()));
    assert_eq!(run(&["echo", "a", "b"], &[]), (Some(0), "a b\n".to_owned()));
    assert_eq!(run(&["print-env", "COLOUR"], &[("COLOUR", "blue")]), (Some(0), "blue\n".to_owned()));
    assert_eq!(run(&["print-env", "COLOUR"], &[]).0, Some(1));
    assert_eq!(run(&["sleep", "1"], &[]).0, Some(0));
    assert_eq!(run(&["dance"], &[]).0, Some(2));
}

#[test]
fn a_migration_takes_its_time_and_may_fail() {
    let (code, log) = run(&["migrate"], &[("WINDLASS_RELEASE", "3"), ("SAMPLE_MIGRATE_MS", "150")]);
    assert_eq!((code, log.lines().last()), (Some(0), Some("migrated to release 3")));
    assert!(log.contains("migration step 2\n"), "{log}");
    let (code, log) = run(&["migrate"], &[("SAMPLE_MIGRATE_EXIT", "4")]);
    assert_eq!(code, Some(4));
    assert!(log.contains("migration failed"), "{log}");
}

#[test]
fn the_health_command_asks_the_app() {
    let app = App::start(&[]);
    let port = app.address.rsplit(':').next().unwrap();
    assert_eq!(run(&["health"], &[("PORT", port)]).0, Some(0));
    let ill = App::start(&[("SAMPLE_NEVER_HEALTHY", "1")]);
    let port = ill.address.rsplit(':').next().unwrap();
    assert_eq!(run(&["health"], &[("PORT", port)]), (Some(1), "/up answers 503\n".to_owned()));
}

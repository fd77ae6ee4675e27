//! An authority that gives certificates: Debian's `pebble`, with names that all lead to this machine. It turns away good
//! nonces, as real ones do on bad days, and forgets everything when it is stopped. Both processes end with the value that
//! stands for them, also when a test fails.

use std::fs::{File, Permissions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::free_address;

/// Whom an authority knows that has only customers.
const CUSTOMER: &str = "customer-1";
const CUSTOMERS_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// How an authority is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Temper {
    /// Where it asks over plain HTTP.
    pub http: SocketAddr,
    /// Where it makes its handshakes.
    pub https: SocketAddr,
    /// How long what it gives is good.
    pub validity: Duration,
    /// Whether it gives certificates only to those who have an account elsewhere.
    pub customers_only: bool,
    /// How many good nonces of a hundred it turns away.
    pub bad_nonces: u8,
}

/// An authority that runs.
#[derive(Debug)]
pub struct Pebble {
    temper: Temper,
    acme: SocketAddr,
    management: SocketAddr,
    dns: SocketAddr,
    names: SocketAddr,
    process: Option<Child>,
    _names: Child,
    folder: TempDir,
}

impl Pebble {
    /// Starts one and returns once it can be asked.
    ///
    /// # Panics
    ///
    /// When Debian's package `pebble` is not installed or does not start.
    pub async fn start(temper: Temper) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-pebble-").tempdir().expect("a folder");
        let (dns, names) = (free_address(), free_address());
        let log = File::create(folder.path().join("names.log")).expect("a file");
        let name_server = Command::new("pebble-challtestsrv")
            .args(["-dns01", &dns.to_string(), "-management", &names.to_string()])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("pebble-challtestsrv (Debian's package pebble) is installed");
        let (acme, management) = (free_address(), free_address());
        write_certificate(folder.path());
        let mut pebble = Self { temper, acme, management, dns, names, process: None, _names: name_server, folder };
        until_it_listens(names).await;
        pebble.write_programs();
        pebble.start_again().await;
        pebble
    }

    /// It is back, with another key, and knows nobody.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start_again(&mut self) {
        let Temper { http, https, validity, customers_only, bad_nonces } = self.temper;
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.acme.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": self.path("directory.pem"),
            "privateKey": self.path("directory.key"),
            "httpPort": http.port(),
            "tlsPort": https.port(),
            "externalAccountBindingRequired": customers_only,
            "externalAccountMACKeys": { CUSTOMER: CUSTOMERS_KEY },
            "certificateValidityPeriod": validity.as_secs(),
        }});
        write(&self.path("pebble.json"), &config.to_string());
        let log = File::options().create(true).append(true).open(self.path("pebble.log")).expect("a file");
        let process = Command::new("pebble")
            .arg("-config")
            .arg(self.path("pebble.json"))
            .args(["-dnsserver", &self.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", bad_nonces.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("pebble (Debian's package of that name) is installed");
        self.process = Some(process);
        until_it_listens(self.acme).await;
    }

    /// It is away.
    ///
    /// # Panics
    ///
    /// When it is already.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().await.expect("it can be stopped");
    }

    /// What the server's file says of it, with a program that adds records.
    #[must_use]
    pub fn section(&self, challenges: &[&str]) -> String {
        let key = self.path("customers-key");
        write(&key, CUSTOMERS_KEY);
        let account =
            format!("external-account = {{ key-id = \"{CUSTOMER}\", key = {{ file = \"{}\" }} }}\n", key.display());
        let account = if self.temper.customers_only { account } else { String::new() };
        format!(
            "[acme]\ndirectory = \"https://{}/dir\"\nterms-accepted = true\ncontact = [\"ops@example.com\"]\n\
             authority = \"{}\"\nchallenges = {challenges:?}\n{account}[acme.dns]\ncommand = [\"{}\"]\nclean-up = [\"{}\"]\n",
            self.acme,
            self.path("authority.pem").display(),
            self.path("add-record").display(),
            self.path("remove-record").display(),
        )
    }

    /// Where the certificate is that signs all that it gives.
    #[must_use]
    pub fn root_url(&self) -> String {
        format!("https://{}/roots/0", self.management)
    }

    /// Who signed the certificates of its own addresses, in PEM.
    #[must_use]
    pub fn own_authority(&self) -> Vec<u8> {
        std::fs::read(self.path("authority.pem")).expect("it was written")
    }

    /// From now on a name leads to where nobody listens.
    pub async fn lead_astray(&self, name: &str) {
        self.tell_names("add-a", &serde_json::json!({ "host": format!("{name}."), "addresses": ["127.0.0.9"] })).await;
    }

    /// The program that adds a record begins once the file of this path is there.
    #[must_use]
    pub fn record_gate(&self) -> PathBuf {
        self.path("go")
    }

    /// Which records were added and taken away, a line each: `add`, or `remove`, and the name.
    #[must_use]
    pub fn records(&self) -> String {
        std::fs::read_to_string(self.path("records")).unwrap_or_default()
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("pebble.log")).unwrap_or_default()
    }

    /// Has records added only once [`Self::record_gate`] is there.
    pub fn hold_records(&self) {
        write(&self.path("hold"), "");
    }

    fn write_programs(&self) {
        for (program, call, body) in [
            ("add-record", "set-txt", r#"{\"host\":\"$1.\",\"value\":\"$2\"}"#),
            ("remove-record", "clear-txt", r#"{\"host\":\"$1.\"}"#),
        ] {
            let word = program.trim_end_matches("-record");
            let script = format!(
                "#!/usr/bin/env bash\nset -euo pipefail\ncd '{}'\necho \"{word} $1\" >>records\n\
                 if [[ {word} = add && -e hold ]]; then until [[ -e go ]]; do sleep 0.02; done; fi\n\
                 body=\"{body}\"\nexec 3<>/dev/tcp/127.0.0.1/{}\n\
                 printf 'POST /{call} HTTP/1.1\\r\\nHost: names\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s' \
                 ${{#body}} \"$body\" >&3\ncat <&3 >/dev/null\n",
                self.folder.path().display(),
                self.names.port(),
            );
            write(&self.path(program), &script);
            let executable = std::fs::set_permissions(self.path(program), Permissions::from_mode(0o755));
            executable.expect("a program");
        }
    }

    async fn tell_names(&self, call: &str, body: &serde_json::Value) {
        let body = body.to_string();
        let request = format!(
            "POST /{call} HTTP/1.1\r\nHost: names\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.names).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Of the directory itself, and who signed it.
fn write_certificate(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no names");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let directory = CertificateParams::new(names).expect("names").signed_by(&key, &authority).expect("a certificate");
    write(&folder.join("authority.pem"), &authority.pem());
    write(&folder.join("directory.pem"), &directory.pem());
    write(&folder.join("directory.key"), &key.serialize_pem());
}

async fn until_it_listens(address: SocketAddr) {
    for _ in 0..1000 {
        if TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody listens at {address}");
}

fn write(path: &Path, content: &str) {
    let written = File::create(path).and_then(|mut file| file.write_all(content.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

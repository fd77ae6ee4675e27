//! A registry to push to: Debian's `docker-registry`, a process of its own on a loopback port. It keeps its images in
//! memory, and ends with the value that stands for it, also when a test fails.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// The account of a registry that wants to know who asks.
pub const USERNAME: &str = "bot";
/// Its password.
pub const PASSWORD: &str = "the-registrys-own-password";
/// Both, as the registry has them (bcrypt).
const ACCOUNTS: &str = "bot:$2y$04$WindlassWindlassWindlevVyNY84GhtyYFIf5NFHlEbtdoNxHcPe\n";

/// A registry that runs.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    _process: Child,
    _folder: TempDir,
}

/// Whom a registry serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Who logs in as [`USERNAME`] with [`PASSWORD`], by HTTP's Basic authentication.
    Login,
}

impl Registry {
    /// Starts one and returns once it can be asked.
    ///
    /// # Panics
    ///
    /// When Debian's package of that name is not installed or does not start.
    pub async fn start(access: Access) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-registry-").tempdir().expect("a folder");
        let config = folder.path().join("config.yml");
        write(&config, &render_config(access, folder.path()));
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("docker-registry (Debian's package of that name) is installed");
        let log = process.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(log).lines();
        let address = until_it_listens(&mut lines).await;
        // Nobody reads on in the log, but a full pipe would stop the registry.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address, _process: process, _folder: folder }
    }

    /// Where it listens; images' names begin with it.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn render_config(access: Access, folder: &Path) -> String {
    let auth = match access {
        Access::Open => String::new(),
        Access::Login => {
            let accounts = folder.join("htpasswd");
            write(&accounts, ACCOUNTS);
            format!("auth: {{ htpasswd: {{ realm: registry, path: {} }} }}\n", accounts.display())
        }
    };
    format!(
        "version: 0.1\nlog: {{ level: info, accesslog: {{ disabled: true }} }}\nstorage: {{ inmemory: {{}} }}\n\
         http: {{ addr: \"127.0.0.1:0\" }}\n{auth}"
    )
}

/// It chooses its port itself and says so, as `msg="listening on 127.0.0.1:41231"`.
async fn until_it_listens(log: &mut Lines<BufReader<ChildStderr>>) -> SocketAddr {
    let mut said = Vec::new();
    while let Ok(Some(line)) = log.next_line().await {
        let address = line.split_once("listening on ").and_then(|(_, rest)| rest.split('"').next());
        if let Some(address) = address {
            return address.parse().expect("an address");
        }
        said.push(line);
    }
    panic!("docker-registry did not start: {said:#?}");
}

fn write(path: &Path, content: &str) {
    let written = File::create(path).and_then(|mut file| file.write_all(content.as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

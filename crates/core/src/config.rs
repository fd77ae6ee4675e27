//! The two configuration files: `windlass.toml` in the repository says what the app is, `windlass-server.toml` on the
//! server says what the installation allows.
//!
//! Both are read by hand from the parsed TOML rather than through serde, so that every mistake in a file is reported
//! at once, each with its line, column and key.

pub mod diagnostic;
pub mod limits;
pub mod project;
mod reader;
#[cfg(test)]
mod reference;
pub mod server;

pub use diagnostic::{ConfigError, Diagnostic};
pub use limits::{AskedHosts, Claim, Claims, Refusal, located};
pub use project::{
    AppConfig, AppUrl, Boot, BootLimit, Build, ErrorPage, HOST_GATEWAY, Health, HealthCheck, HostSelector,
    LARGEST_PAGE, LogBound, Migrate, ProjectConfig, ProjectFile, Resources, RoleConfig, Sandbox, Stop, Strategy, Tmpfs,
    Ulimit, Volume,
};
pub use server::{
    AccessLog, AccessLogFormat, AcmeChallenge, AcmeConfig, CertificateFiles, Checks, DnsCommand, DockerEndpoint,
    ExternalAccount, GatewayLimits, GatewayListen, GatewayTls, GitHubAuth, GitHubConfig, HostConfig, JobMay, Keep,
    Limits, NoCi, NoCiThen, OidcPolicy, RegistryCredentials, SecretSource, ServerConfig, ServerProject, StagePolicy,
    TriggerKind,
};

/// Every key of `windlass.toml`, annotated.
pub const REFERENCE: &str = include_str!("../../../fixtures/config/reference.toml");

/// Every key of `windlass-server.toml`, annotated.
pub const SERVER_REFERENCE: &str = include_str!("../../../fixtures/config/server-reference.toml");

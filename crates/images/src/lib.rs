//! From a folder with a Dockerfile to an image in a registry. It belongs to no installation: it runs in jobs and on
//! people's machines, never in the service.

mod builder;
pub mod dockerfile;

pub use builder::{
    BuildError, BuildEvent, BuildRequest, Builder, BuilderFacts, CacheFault, CacheMode, CacheProtocol, ContextFolder,
    GitHubCache, Lack, PushEvent, is_pattern,
};

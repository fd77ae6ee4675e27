//! How much memory the service takes.

use tokio::process::Child;

use super::World;

impl World {
    /// The most memory that the service has had, in bytes.
    pub(crate) fn service_memory_at_most(&self) -> u64 {
        self.service_memory("VmHWM:")
    }

    /// What the service has now.
    pub(crate) fn service_memory_now(&self) -> u64 {
        self.service_memory("VmRSS:")
    }

    fn service_memory(&self, what: &str) -> u64 {
        let id = self.service.as_ref().and_then(Child::id).unwrap();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let said = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        said.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

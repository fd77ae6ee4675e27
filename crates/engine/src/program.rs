//! A program that the image does not have, or not as one that can be run: said so, rather than in the words of whatever
//! starts containers.

use windlass_core::names::HostName;

use crate::error::EngineError;

/// The same error in its meaning, where it is that one. runc says `exec: "NAME": REASON`, behind where it happened.
pub(crate) fn not_runnable(host: &HostName, error: EngineError) -> EngineError {
    let EngineError::Refused { reason, .. } = &error else { return error };
    let named = reason.rsplit_once("exec: \"").and_then(|(_, rest)| rest.split_once("\": "));
    let Some((program, why)) = named else { return error };
    let why = why.rsplit(": ").find(|part| *part != "unknown").unwrap_or(why);
    EngineError::Program { host: host.clone(), program: program.to_owned(), reason: why.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runc_says_is_said_shortly_and_anything_else_as_it_is() {
        let host: HostName = "a".parse().unwrap();
        let said = |reason: &str| {
            let refused = EngineError::Refused {
                host: host.clone(),
                action: "start shop-1".to_owned(),
                status: Some(400),
                reason: reason.to_owned(),
            };
            not_runnable(&host, refused).to_string()
        };
        let before = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc \
                      create failed: unable to start container process: error during container init: ";
        for (reason, short) in [
            (
                "exec: \"/no/such\": stat /no/such: no such file or directory: unknown",
                "`/no/such`: no such file or directory",
            ),
            (
                "exec: \"rake\": executable file not found in $PATH: unknown",
                "`rake`: executable file not found in $PATH",
            ),
            ("exec: \"/data\": permission denied", "`/data`: permission denied"),
        ] {
            assert_eq!(said(&format!("{before}{reason}")), format!("host a: the image cannot run {short}"));
        }
        assert_eq!(said("no space left on device"), "host a: could not start shop-1: no space left on device");
    }
}

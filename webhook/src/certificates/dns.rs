//! The operator's own programs, which put a record into the DNS and take it away.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::plain::plain;

/// How long one may take.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long what it has complained about may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// So much of what it complains about is told.
const COMPLAINT: usize = 2048;

/// The record that an authority looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) value: String,
}

impl Record {
    /// Of a name that may have a `*.` at its beginning.
    pub(super) fn of(name: &str, value: String) -> Self {
        Self { name: format!("_acme-challenge.{}", name.trim_start_matches("*.")), value }
    }

    /// Runs a program with the record's name and value as its last arguments.
    pub(super) async fn hand_to(&self, command: &[String]) -> Result<(), String> {
        let (program, arguments) = command.split_first().ok_or("there is no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .args([&self.name, &self.value])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("`{program}` cannot be run: {error}"))?;
        let complaints = child.stderr.take().map(|stream| AbortOnDropHandle::new(tokio::spawn(first_of(stream))));
        let status = tokio::time::timeout(TIMEOUT, child.wait())
            .await
            .map_err(|_| format!("`{program}` took longer than {} s", TIMEOUT.as_secs()))?;
        let told = match complaints {
            // Whoever it has left behind may keep the pipe open.
            Some(told) => tokio::time::timeout(LAST_WORDS, told).await.ok().and_then(Result::ok).unwrap_or_default(),
            None => String::new(),
        };
        let status = status.map_err(|error| format!("`{program}`: {error}"))?;
        match (status.success(), told.trim()) {
            (true, _) => Ok(()),
            (false, "") => Err(format!("`{program}` ended with {status}")),
            (false, told) => Err(format!("`{program}` ended with {status}: {}", plain(told))),
        }
    }
}

/// The beginning of what it writes; the rest is read, so that it does not wait for us, and forgotten.
async fn first_of(mut stream: impl AsyncRead + Unpin) -> String {
    let (mut told, mut chunk) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let room = COMPLAINT.saturating_sub(told.len()).min(length);
        told.extend_from_slice(&chunk[..room]);
    }
    String::from_utf8_lossy(&told).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script, "sh"].map(str::to_owned).into()
    }

    #[tokio::test]
    async fn a_program_gets_name_and_value_as_they_are_and_its_complaint_is_told() {
        let record = Record::of("*.example.com", "a value; $(touch x)".to_owned());
        record
            .hand_to(&shell(r#"test "$1" = _acme-challenge.example.com && test "$2" = 'a value; $(touch x)'"#))
            .await
            .unwrap();
        let refused = record.hand_to(&shell("echo 'no such zone' >&2; exit 3")).await.unwrap_err();
        assert!(refused.contains("no such zone") && refused.contains('3'), "{refused}");
        let missing = record.hand_to(&["/nowhere/add-record".to_owned()]).await.unwrap_err();
        assert!(missing.contains("/nowhere/add-record"), "{missing}");
    }
}

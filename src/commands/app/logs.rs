//! `windlass app logs`

use clap::Args;
use futures_util::future::join_all;
use futures_util::stream::{StreamExt, select_all};
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{LogQuery, TaskMessage, TaskView};
use windlass_core::labels::Kind;
use windlass_core::names::RoleName;
use windlass_core::task::LogLine;

use crate::arguments::{Since, Where};
use crate::client::{Client, ClientError};
use crate::commands::interrupt::unless_interrupted;
use crate::commands::task::note_silent;
use crate::error::{CommandError, Status};
use crate::output::{self, DIM, theirs};

/// Print what an app's service tasks write
///
/// With --json: one array, or with --follow one object per line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app logs --lines 100
  windlass app logs --follow --role worker
  windlass app logs --since 10m")]
pub(crate) struct AppLogs {
    /// Go on with what they write from now on
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u32>,
    /// Only since: how long ago (10m), or a time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,
    /// Only of this role
    #[arg(long, value_name = "NAME")]
    role: Option<RoleName>,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: AppLogs) -> Result<Status, CommandError> {
    let AppLogs { follow, lines, since, role, place } = arguments;
    let target = place.target()?;
    let app = target.app()?;
    let (mut tasks, silent) = target.client.tasks(&target.stage).await?;
    tasks.retain(|task| task.kind == Kind::Service && task.app == app);
    if let Some(role) = &role {
        tasks.retain(|task| task.role == *role);
    }
    // Of tasks that have ended, only the last words of an app that is down matter.
    if tasks.iter().any(|task| task.last_status.is_alive()) {
        tasks.retain(|task| task.last_status.is_alive());
    }
    note_silent(&silent);
    if tasks.is_empty() {
        return Err(CommandError::failed(format!("{app} has no task on {}", target.stage.spoken()))
            .hint("`windlass app ps` and `windlass status` show what there is"));
    }
    let query = LogQuery { follow, lines, since: since.map(|since| since.before(Timestamp::now())) };
    let several = tasks.len() > 1;
    if follow {
        return match unless_interrupted(stream(&target.client, &tasks, &query, several, place.json)).await {
            Some(ended) => ended.map(|()| Status::Done),
            None => Ok(Status::Interrupted),
        };
    }
    let mut written = collect(&target.client, &tasks, &query).await?;
    if let Some(lines) = lines {
        let too_many = written.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
        written.drain(..too_many);
    }
    if place.json {
        output::json(&written)?;
    } else {
        written.iter().try_for_each(|line| output::result(&line.for_people(several)))?;
    }
    Ok(Status::Done)
}

/// A line and the task that wrote it; what `--json` prints.
#[derive(Clone, Serialize)]
struct Written {
    task: String,
    #[serde(flatten)]
    line: LogLine,
}

impl Written {
    fn new(task: &TaskView, message: TaskMessage) -> Option<Self> {
        match message {
            TaskMessage::Line(line) => Some(Self { task: task.name.clone(), line }),
            TaskMessage::Exit { .. } | TaskMessage::Failed(_) => None,
        }
    }

    fn for_people(&self, several: bool) -> String {
        let line = theirs(&self.line.line);
        if several { format!("{DIM}{} |{DIM:#} {line}", short(&self.task)) } else { line.into_owned() }
    }
}

/// The end of a container's name is what tells the tasks of one app apart.
fn short(name: &str) -> &str {
    const LONGEST: usize = 24;
    let from = name.char_indices().rev().nth(LONGEST - 1).map_or(0, |(index, _)| index);
    let end = &name[from..];
    match end.split_once('-') {
        Some((_, whole_words)) if from > 0 => whole_words,
        _ => end,
    }
}

/// As the service finds it: tasks on several hosts may be called the same.
fn name_of<'a>(task: &'a TaskView, all: &[TaskView]) -> &'a str {
    let alike = all.iter().filter(|other| other.name == task.name).count();
    if alike > 1 { &task.id } else { &task.name }
}

/// Those that are left when one's host does not answer; an error where none is.
fn those_that_answer<T>(tried: Vec<Result<T, ClientError>>) -> Result<Vec<T>, CommandError> {
    let (mut answered, mut failed) = (Vec::new(), Vec::new());
    for tried in tried {
        match tried {
            Ok(answer) => answered.push(answer),
            Err(error) => failed.push(CommandError::from(error)),
        }
    }
    match failed.pop() {
        Some(error) if answered.is_empty() => Err(error),
        last => {
            let failed = failed.into_iter().chain(last);
            failed.for_each(|error| output::note(&format!("warning: {}", error.summary())));
            Ok(answered)
        }
    }
}

/// What there is, in the order in which it was written.
async fn collect(client: &Client, tasks: &[TaskView], query: &LogQuery) -> Result<Vec<Written>, CommandError> {
    let logs = tasks.iter().map(|task| async move {
        let mut written = Vec::new();
        let mut messages = client.task_log(name_of(task, tasks), query, None).await?;
        while let Some(sent) = messages.next().await {
            written.extend(Written::new(task, sent?.message));
        }
        Ok::<_, ClientError>(written)
    });
    let mut written = those_that_answer(join_all(logs).await)?.concat();
    written.sort_by_key(|written| written.line.at);
    Ok(written)
}

/// What there is and what comes, as it comes.
async fn stream(
    client: &Client,
    tasks: &[TaskView],
    query: &LogQuery,
    several: bool,
    json: bool,
) -> Result<(), CommandError> {
    let logs = tasks.iter().map(|task| async move {
        let messages = client.task_log(name_of(task, tasks), query, None).await?;
        Ok::<_, ClientError>(messages.map(move |sent| sent.map(|sent| Written::new(task, sent.message))))
    });
    let logs = those_that_answer(join_all(logs).await)?;
    let mut left = logs.len();
    let mut written = select_all(logs);
    while let Some(line) = written.next().await {
        let line = match line {
            // The others' lines still come.
            Err(error) if left > 1 => {
                left -= 1;
                output::note(&format!("warning: {}", CommandError::from(error).summary()));
                continue;
            }
            line => line?,
        };
        match line {
            Some(line) if json => output::json_line(&line)?,
            Some(line) => output::result(&line.for_people(several))?,
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn a_long_name_is_shown_by_its_end() {
        assert_eq!(short("shop-web-12-1"), "shop-web-12-1");
        assert_eq!(short("acme-shop-production-default-web-12-abcdef-1"), "default-web-12-abcdef-1");
        assert_eq!(short("windlass-ed073202-shop-production-default-web-2-zp6k45-1"), "default-web-2-zp6k45-1");
    }
}

//! What is kept of a task's log: its first lines, its last ones, and between them how many were left out. Whatever a task
//! writes, no more of it is in memory or in the store.

use std::collections::VecDeque;

use windlass_core::plain::cut;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// So many lines are kept as they come,
    first: u64,
    first_bytes: usize,
    /// of so many bytes each.
    line: usize,
}

impl Bounds {
    /// For a deployment, which people read.
    pub(crate) const DEPLOYMENT: Self = Self { first: 2000, first_bytes: 512 * 1024, line: 8 * 1024 };
    /// For a task whose output somebody asked for, and may put into a file.
    pub(crate) const ONE_OFF: Self = Self { first: u64::MAX, first_bytes: 32 * 1024 * 1024, line: 256 * 1024 };
}

/// The last lines are kept when it is known that they are.
const LAST: usize = 1000;
const LAST_BYTES: usize = 256 * 1024;

/// One source's lines as they pass, each with what else is known of it.
#[derive(Debug)]
pub(crate) struct BoundedLog<T> {
    bounds: Bounds,
    known: u64,
    seen: u64,
    bytes: usize,
    last: VecDeque<(T, String)>,
    last_bytes: usize,
    left_out: u64,
}

/// What is still to be kept when a log has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rest<T> {
    /// Says how many lines are missing before these.
    pub(crate) gap: Option<String>,
    pub(crate) lines: Vec<(T, String)>,
    /// How many lines there were in all.
    pub(crate) seen: u64,
}

impl<T> BoundedLog<T> {
    /// Of a source that tells so many lines again that are accounted for.
    pub(crate) const fn after(known: u64, bounds: Bounds) -> Self {
        Self { bounds, known, seen: 0, bytes: 0, last: VecDeque::new(), last_bytes: 0, left_out: 0 }
    }

    /// The line, where it is to be kept now.
    pub(crate) fn take(&mut self, about: T, line: &str) -> Option<(T, String)> {
        self.seen += 1;
        if self.seen <= self.known {
            self.bytes += line.len().min(self.bounds.line);
            return None;
        }
        let line = cut(line, self.bounds.line).into_owned();
        let fits = self.seen <= self.bounds.first && self.bytes + line.len() <= self.bounds.first_bytes;
        if fits && !self.has_more() {
            self.bytes += line.len();
            return Some((about, line));
        }
        self.last_bytes += line.len();
        self.last.push_back((about, line));
        while self.last.len() > LAST || self.last_bytes > LAST_BYTES {
            let Some((_, gone)) = self.last.pop_front() else { break };
            self.last_bytes -= gone.len();
            self.left_out += 1;
        }
        None
    }

    /// How many lines are accounted for.
    pub(crate) fn accounted(&self) -> u64 {
        (self.seen - self.left_out - self.last.len() as u64).max(self.known)
    }

    /// Whether there are lines that were not given back yet.
    pub(crate) fn has_more(&self) -> bool {
        self.left_out > 0 || !self.last.is_empty()
    }

    pub(crate) fn end(self) -> Rest<T> {
        let Self { last, left_out, seen, .. } = self;
        let gap = (left_out > 0).then(|| format!("… {left_out} lines were left out here …"));
        Rest { gap, lines: last.into(), seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(known: u64) -> BoundedLog<()> {
        BoundedLog::after(known, Bounds::DEPLOYMENT)
    }

    #[test]
    fn rule_109_of_a_log_without_end_the_first_and_last_lines_are_kept_with_the_number_of_those_between() {
        let mut log = log(0);
        let first: Vec<_> = (0..100_000).filter_map(|number| log.take((), &format!("line {number}"))).collect();
        assert_eq!((first.len(), first[1999].1.as_str()), (2000, "line 1999"));
        assert_eq!(log.accounted(), 2000);
        let rest = log.end();
        assert_eq!((rest.lines.len(), rest.seen), (1000, 100_000));
        assert_eq!(rest.gap.as_deref(), Some("… 97000 lines were left out here …"));
        assert_eq!((rest.lines[0].1.as_str(), rest.lines[999].1.as_str()), ("line 99000", "line 99999"));
    }

    #[test]
    fn rule_109_a_line_without_end_is_cut_and_many_of_them_are_bounded_by_their_bytes() {
        let mut log = log(0);
        let long = "x".repeat(100_000);
        let first: Vec<String> = (0..1000).filter_map(|_| log.take((), &long)).map(|(_, line)| line).collect();
        assert!(first.iter().map(String::len).sum::<usize>() <= 512 * 1024);
        assert!(first[0].ends_with("… (91808 bytes more)"), "{}", &first[0][8190..]);
        let rest = log.end().lines;
        assert!(rest.iter().map(|(_, line)| line.len()).sum::<usize>() <= LAST_BYTES);
    }

    #[test]
    fn a_log_that_is_told_again_is_kept_once() {
        let mut told = log(2);
        let new: Vec<_> = ["one", "two", "three"].into_iter().filter_map(|line| told.take((), line)).collect();
        assert_eq!(new, [((), "three".to_owned())]);
        assert_eq!((told.accounted(), told.has_more()), (3, false));
        let mut ended = log(100_000);
        assert!((0..100_000).all(|_| ended.take((), "again").is_none()));
        assert_eq!((ended.accounted(), ended.has_more()), (100_000, false));
    }
}

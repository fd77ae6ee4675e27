//! The verdict on several commits that are deployed together.

use super::{Item, Verdict, VerdictKind};
use crate::names::CommitSha;

impl Verdict {
    /// The verdict on commits that are deployed together: the worst of theirs, with all items, each with its commit. Of a
    /// single commit it is that commit's own.
    ///
    /// Between commits red outweighs what could not be read, other than between the items of one: whatever is read of the
    /// one, the other stays red.
    #[must_use]
    pub fn of_several(verdicts: impl IntoIterator<Item = (CommitSha, Self)>) -> Self {
        let mut verdicts: Vec<(CommitSha, Self)> = verdicts.into_iter().collect();
        if verdicts.len() == 1
            && let Some((_, only)) = verdicts.pop()
        {
            return only;
        }
        let verdict = verdicts.iter().map(|(_, it)| it.verdict).max_by_key(|kind| weight(*kind));
        let of_its_commit = |(commit, verdict): (CommitSha, Self)| {
            verdict.items.into_iter().map(move |item| Item { commit: Some(commit.clone()), ..item })
        };
        let mut items: Vec<Item> = verdicts.into_iter().flat_map(of_its_commit).collect();
        items.sort();
        Self { verdict: verdict.unwrap_or(VerdictKind::Waiting), items }
    }
}

const fn weight(kind: VerdictKind) -> u8 {
    match kind {
        VerdictKind::Green => 0,
        VerdictKind::Waiting => 1,
        VerdictKind::Unavailable => 2,
        VerdictKind::Blocked => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use VerdictKind::{Blocked, Green, Unavailable, Waiting};

    fn commit(letter: &str) -> CommitSha {
        letter.repeat(40).parse().unwrap()
    }

    fn of(name: &str, state: VerdictKind) -> Verdict {
        let item = Item { name: name.to_owned(), state, why: format!("is {state:?}"), commit: None };
        Verdict { verdict: state, items: vec![item] }
    }

    #[test]
    fn rule_101_of_several_commits_the_worst_verdict_wins_whichever_comes_first() {
        for (one, other, together) in [
            (Green, Green, Green),
            (Green, Waiting, Waiting),
            (Waiting, Unavailable, Unavailable),
            (Waiting, Blocked, Blocked),
            (Unavailable, Blocked, Blocked),
            (Green, Blocked, Blocked),
        ] {
            let (first, second) = ((commit("a"), of("test", one)), (commit("b"), of("test", other)));
            let verdict = Verdict::of_several([first.clone(), second.clone()]);
            assert_eq!(verdict.verdict, together, "{one:?} {other:?}");
            assert_eq!(verdict.items.len(), 2);
            assert_eq!(Verdict::of_several([second, first]), verdict);
        }
    }

    #[test]
    fn rule_101_each_item_says_of_which_commit_it_is_where_there_are_several() {
        let only = of("test", Waiting);
        assert_eq!(Verdict::of_several([(commit("a"), only.clone())]), only);
        let several = |one, other| Verdict::of_several([(commit("a"), one), (commit("b"), other)]).summary();
        assert_eq!(several(only.clone(), of("lint", Waiting)), "waiting for lint of bbbbbbb, test of aaaaaaa");
        assert_eq!(several(of("test", Green), of("test", Blocked)), "blocked: test of bbbbbbb is Blocked");
        assert_eq!(several(of("test", Green), of("test", Green)), "green: all 2 checks passed");
        let away = || Verdict::unavailable("GitHub is away");
        assert_eq!(several(away(), away()), "unavailable: GitHub is away");
    }
}

//! What a stage goes back to. For each app the releases that were deployed stand in a row, and the last of them is active.
//! A rollback walks back along the row and adds nothing to it, so that the next one leads further back. Deploying what a
//! rollback has left takes up its place again; deploying anything else begins from where the row stands, and what was left
//! is not in it any more.

use std::collections::BTreeMap;

use crate::names::{AppName, ReleaseNumber};
use crate::plan::DeploymentKind;

/// A deployment that made releases active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    pub kind: DeploymentKind,
    /// What it made active.
    pub releases: BTreeMap<AppName, ReleaseNumber>,
}

/// What was deployed on a stage, app by app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WayBack {
    rows: BTreeMap<AppName, Row>,
    deployments: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Row {
    /// The last one is active.
    served: Vec<Place>,
    /// What rollbacks have left, the nearest last.
    left: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    release: ReleaseNumber,
    /// Which deployment it came with: the first is 1.
    with: usize,
}

impl WayBack {
    /// Of all deployments of a stage that made releases active, in the order in which they did.
    #[must_use]
    pub fn of(successes: impl IntoIterator<Item = Success>) -> Self {
        let mut back = Self::default();
        for Success { kind, releases } in successes {
            back.deployments += 1;
            for (app, release) in releases {
                let place = Place { release, with: back.deployments };
                let row = back.rows.entry(app).or_default();
                match kind {
                    DeploymentKind::Rollback => row.go_back(place),
                    DeploymentKind::Deploy | DeploymentKind::Redeploy => row.go_on(place),
                }
            }
        }
        back
    }

    /// What comes before the active release of an app.
    #[must_use]
    pub fn of_app(&self, app: &AppName) -> Option<ReleaseNumber> {
        self.rows.get(app)?.before()
    }

    /// What the last deployment that is still in effect took the place of: only its apps. Empty: it took nobody's place.
    #[must_use]
    pub fn of_all(&self) -> BTreeMap<AppName, ReleaseNumber> {
        let last = self.rows.values().filter_map(Row::came_with).max();
        let of_last = self.rows.iter().filter(|(_, row)| row.came_with() == last);
        of_last.filter_map(|(app, row)| Some((app.clone(), row.before()?))).collect()
    }
}

impl Row {
    fn came_with(&self) -> Option<usize> {
        self.served.last().map(|place| place.with)
    }

    fn active(&self) -> Option<ReleaseNumber> {
        self.served.last().map(|place| place.release)
    }

    fn before(&self) -> Option<ReleaseNumber> {
        self.served.iter().rev().nth(1).map(|place| place.release)
    }

    fn go_on(&mut self, to: Place) {
        if self.active() == Some(to.release) {
            return;
        }
        if self.left.iter().any(|place| place.release == to.release) {
            while let Some(place) = self.left.pop() {
                if place.release == to.release {
                    break;
                }
                self.served.push(place);
            }
        } else {
            self.left.clear();
        }
        self.served.push(to);
    }

    fn go_back(&mut self, to: Place) {
        let is_in_row = self.served.iter().any(|place| place.release == to.release);
        if !is_in_row && self.left.iter().any(|place| place.release == to.release) {
            return self.go_on(to);
        }
        // A release that was never served stands where its number belongs.
        let is_after = |place: &Place| if is_in_row { place.release != to.release } else { place.release > to.release };
        while let Some(place) = self.served.pop_if(|place| is_after(place)) {
            self.left.push(place);
        }
        if !is_in_row {
            self.served.push(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeploymentKind::{Deploy, Redeploy, Rollback};

    type Step<'a> = (DeploymentKind, &'a [(&'a str, u64)]);

    fn releases(releases: &[(&str, u64)]) -> BTreeMap<AppName, ReleaseNumber> {
        releases.iter().map(|(app, number)| (app.parse().unwrap(), ReleaseNumber(*number))).collect()
    }

    fn back(steps: &[Step<'_>]) -> WayBack {
        WayBack::of(steps.iter().map(|(kind, of)| Success { kind: *kind, releases: releases(of) }))
    }

    /// Where the next rollback leads of the only app.
    fn next(steps: &[(DeploymentKind, u64)]) -> Option<u64> {
        let steps =
            steps.iter().map(|(kind, number)| Success { kind: *kind, releases: releases(&[("default", *number)]) });
        let back = WayBack::of(steps);
        let of_app = back.of_app(&AppName::unnamed()).map(|release| release.0);
        assert_eq!(back.of_all().into_values().next().map(|release| release.0), of_app, "one app is all");
        of_app
    }

    #[test]
    fn a_rollback_leads_to_what_the_active_release_took_the_place_of_and_the_next_one_further_back() {
        let row = [(Deploy, 1), (Deploy, 2), (Deploy, 3), (Deploy, 4)];
        assert_eq!(next(&row), Some(3));
        let and = |more: &[(DeploymentKind, u64)]| next(&[&row, more].concat());
        assert_eq!(and(&[(Rollback, 3)]), Some(2));
        assert_eq!(and(&[(Rollback, 3), (Rollback, 2)]), Some(1));
        assert_eq!(and(&[(Rollback, 1)]), None);
        assert_eq!(and(&[(Redeploy, 4), (Redeploy, 4)]), Some(3), "what changes nothing is no place to go back to");
        assert_eq!(and(&[(Deploy, 2)]), Some(4), "an older one that was deployed is the newest in the row");
        assert_eq!(and(&[(Deploy, 2), (Rollback, 4)]), Some(3));
        assert_eq!(next(&[(Deploy, 1)]), None);
        assert_eq!(next(&[]), None);
    }

    #[test]
    fn what_was_gone_back_to_is_no_step_of_its_own() {
        let row = [(Deploy, 1), (Deploy, 2), (Deploy, 3), (Deploy, 4), (Rollback, 1)];
        let and = |more: &[(DeploymentKind, u64)]| next(&[&row, more].concat());
        assert_eq!(and(&[(Deploy, 4)]), Some(3), "4 is where it was in the row");
        assert_eq!(and(&[(Deploy, 4), (Rollback, 3)]), Some(2));
        assert_eq!(and(&[(Deploy, 3)]), Some(2));
        assert_eq!(and(&[(Deploy, 3), (Deploy, 4)]), Some(3));
        // What nobody has left begins from where the row stands: it took the place of 1.
        assert_eq!(and(&[(Deploy, 5)]), Some(1));
        assert_eq!(and(&[(Deploy, 5), (Deploy, 4)]), Some(5), "4 is not in the row any more");
    }

    #[test]
    fn a_rollback_to_what_was_never_served_leads_no_later_one_forward() {
        assert_eq!(next(&[(Deploy, 1), (Deploy, 4), (Rollback, 2)]), Some(1));
        assert_eq!(next(&[(Deploy, 1), (Deploy, 4), (Rollback, 2), (Rollback, 1)]), None);
        assert_eq!(next(&[(Deploy, 4), (Rollback, 2)]), None);
        assert_eq!(next(&[(Deploy, 1), (Deploy, 4), (Rollback, 1), (Rollback, 4)]), Some(1));
    }

    #[test]
    fn of_several_apps_only_those_go_back_that_the_last_deployment_changed() {
        let steps: [Step<'_>; 4] = [
            (Deploy, &[("api", 1), ("web", 1)]),
            (Deploy, &[("api", 2)]),
            // It names both and changes one.
            (Deploy, &[("api", 2), ("web", 2)]),
            (Rollback, &[("web", 1)]),
        ];
        assert_eq!(back(&steps[..1]).of_all(), releases(&[]), "it took nobody's place");
        assert_eq!(back(&steps[..2]).of_all(), releases(&[("api", 1)]));
        assert_eq!(back(&steps[..3]).of_all(), releases(&[("web", 1)]));
        assert_eq!(back(&steps).of_all(), releases(&[("api", 1)]));
        let both: [Step<'_>; 2] = [(Deploy, &[("api", 1), ("web", 1)]), (Deploy, &[("api", 2), ("web", 2)])];
        assert_eq!(back(&both).of_all(), releases(&[("api", 1), ("web", 1)]));
        let again: [Step<'_>; 4] = [both[0], both[1], (Rollback, &[("api", 1)]), (Deploy, &[("web", 2), ("jobs", 1)])];
        assert_eq!(back(&again).of_all(), releases(&[]), "the last one began an app; nothing else is meant by it");
        assert_eq!(back(&again).of_app(&"web".parse().unwrap()), Some(ReleaseNumber(1)));
    }

    /// However it is deployed: a rollback that follows the way never leads to the active release, and ends.
    #[test]
    fn whatever_happened_before_going_back_again_and_again_comes_to_an_end() {
        let kinds = [Deploy, Rollback];
        for code in 0..8_usize.pow(5) {
            let mut steps: Vec<(DeploymentKind, u64)> = Vec::new();
            for place in 0..5 {
                let digit = code / 8_usize.pow(place) % 8;
                steps.push((kinds[digit / 4], digit as u64 % 4 + 1));
            }
            let mut seen = 0;
            while let Some(number) = next(&steps) {
                assert_ne!(Some(number), steps.last().map(|step| step.1), "{steps:?}");
                steps.push((Rollback, number));
                seen += 1;
                assert!(seen <= 5, "{steps:?}");
            }
        }
    }
}

//! Which images nobody needs. Decided from what is stored alone.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::names::{AppName, Digest, ReleaseNumber};
use windlass_core::stage::Stage;
use windlass_core::task::Image;

use crate::store::images::ReleaseKey;

/// What must stay.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    /// So many of the newest releases of each app, by stage. Of a stage that is not here all stay.
    pub(super) newest: BTreeMap<Stage, usize>,
    /// Active, active before, or about to be.
    pub(super) needed: BTreeSet<ReleaseKey>,
}

/// An image that a stage's hosts need no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superfluous {
    pub(super) stage: Stage,
    pub(super) image: Image,
    /// All stages that have a release with it, this one included.
    pub(super) shared_by: BTreeSet<Stage>,
}

/// Each image once per stage. What any app of any stage keeps is nobody's to remove, whatever name it goes by.
pub(super) fn superfluous(releases: &[(ReleaseKey, Image)], kept: &Kept) -> Vec<Superfluous> {
    let mut numbers: BTreeMap<(&Stage, &AppName), BTreeSet<ReleaseNumber>> = BTreeMap::new();
    for (key, _) in releases {
        numbers.entry((&key.stage, &key.app)).or_default().insert(key.number);
    }
    let stays = |key: &ReleaseKey| {
        let Some(newest) = kept.newest.get(&key.stage) else { return true };
        let newer = numbers.get(&(&key.stage, &key.app)).map(|all| all.range(key.number..).count() - 1);
        newer.is_none_or(|newer| newer < *newest) || kept.needed.contains(key)
    };
    let needed: BTreeSet<&Digest> =
        releases.iter().filter(|(key, _)| stays(key)).map(|(_, image)| &image.digest).collect();
    let mut superfluous: Vec<Superfluous> = Vec::new();
    for (key, image) in releases.iter().filter(|(_, image)| !needed.contains(&image.digest)) {
        if superfluous.iter().any(|known| known.stage == key.stage && known.image == *image) {
            continue;
        }
        let sharing = releases.iter().filter(|(_, other)| other.digest == image.digest);
        let shared_by = sharing.map(|(other, _)| other.stage.clone()).collect();
        superfluous.push(Superfluous { stage: key.stage.clone(), image: image.clone(), shared_by });
    }
    superfluous
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str) -> Stage {
        Stage { project: "acme/shop".parse().unwrap(), name: name.parse().unwrap() }
    }

    fn key(on: &str, app: &str, number: u64) -> ReleaseKey {
        ReleaseKey { stage: stage(on), app: app.parse().unwrap(), number: ReleaseNumber(number) }
    }

    fn image(digest: u64) -> Image {
        Image {
            name: Some("ghcr.io/acme/shop".parse().unwrap()),
            digest: format!("sha256:{digest:064x}").parse().unwrap(),
        }
    }

    /// Releases 1 to 10 of one app, each with an image of its own.
    fn ten() -> Vec<(ReleaseKey, Image)> {
        (1..=10).map(|number| (key("production", "default", number), image(number))).collect()
    }

    fn kept(newest: usize, needed: &[ReleaseKey]) -> Kept {
        let newest = ["production", "staging"].map(|name| (stage(name), newest)).into();
        Kept { newest, needed: needed.iter().cloned().collect() }
    }

    fn chosen(releases: &[(ReleaseKey, Image)], kept: &Kept) -> Vec<Image> {
        superfluous(releases, kept).into_iter().map(|old| old.image).collect()
    }

    #[test]
    fn rule_090_retention_keeps_the_newest_and_what_is_active_or_was_before() {
        let needed = [key("production", "default", 2), key("production", "default", 4)];
        assert_eq!(chosen(&ten(), &kept(5, &needed)), [1, 3, 5].map(image));
        assert_eq!(chosen(&ten(), &kept(10, &[])), []);
        assert_eq!(chosen(&ten(), &kept(100, &[])), []);
    }

    #[test]
    fn rule_090_retention_never_takes_an_image_of_another_app_or_stage() {
        let mut releases = ten();
        releases.push((key("production", "worker", 1), image(1)));
        releases.push((key("staging", "default", 1), image(2)));
        // Nothing is known any more of what this stage may keep.
        releases.push((key("gone", "default", 1), image(3)));
        // Under another name it is the same image.
        let elsewhere = Image { name: None, ..image(4) };
        releases.push((key("staging", "worker", 1), elsewhere));
        assert_eq!(chosen(&releases, &kept(5, &[])), [image(5)]);
    }

    #[test]
    fn an_image_of_several_old_releases_goes_once_and_its_stages_are_known() {
        let mut releases = ten();
        releases.push((key("production", "default", 0), image(1)));
        releases.extend((1..=6).map(|number| (key("staging", "default", number), image(number % 2 * 100 + 1))));
        releases.extend((7..=12).map(|number| (key("staging", "default", number), image(number + 200))));
        let choice = superfluous(&releases, &kept(6, &[]));
        let firsts: Vec<_> = choice.iter().filter(|old| old.image == image(1)).collect();
        assert_eq!(firsts.len(), 2, "once for each stage");
        assert!(firsts.iter().all(|old| old.shared_by == [stage("production"), stage("staging")].into()));
    }

    /// Every choice of what is needed, of three apps that share images, and every count.
    #[test]
    fn rule_090_whatever_is_needed_is_never_chosen_and_what_is_not_goes() {
        let releases: Vec<(ReleaseKey, Image)> =
            [("production", "default"), ("production", "worker"), ("staging", "default")]
                .into_iter()
                .flat_map(|(on, app)| (1..=4).map(move |number| (key(on, app, number), image(number / 2 * 2))))
                .collect();
        for needs in 0..1_usize << releases.len() {
            let needed: Vec<ReleaseKey> = releases
                .iter()
                .enumerate()
                .filter(|(index, _)| needs >> index & 1 == 1)
                .map(|(_, (key, _))| key.clone())
                .collect();
            for newest in 1..=4 {
                let kept = kept(newest, &needed);
                let chosen = chosen(&releases, &kept);
                for (key, image) in &releases {
                    let stays = key.number.0 + newest as u64 > 4 || needed.contains(key);
                    assert!(!(stays && chosen.contains(image)), "{key:?} with {newest} and {needed:?}");
                    let alone = releases.iter().all(|(other, theirs)| {
                        theirs.digest != image.digest || !(other.number.0 + newest as u64 > 4 || needed.contains(other))
                    });
                    assert_eq!(alone, chosen.contains(image), "{key:?} with {newest} and {needed:?}");
                }
            }
        }
    }
}

//! What images are built for: `system/architecture`, maybe with a variant.

/// As BuildKit and registries call them, with the variants that there are.
const KNOWN: [(&str, &[&str]); 14] = [
    ("linux/386", &[]),
    ("linux/amd64", &["v1", "v2", "v3", "v4"]),
    ("linux/arm", &["v5", "v6", "v7", "v8"]),
    ("linux/arm64", &["v8", "v9"]),
    ("linux/loong64", &[]),
    ("linux/mips", &[]),
    ("linux/mips64", &[]),
    ("linux/mips64le", &[]),
    ("linux/mipsle", &[]),
    ("linux/ppc64", &[]),
    ("linux/ppc64le", &[]),
    ("linux/riscv64", &[]),
    ("linux/s390x", &[]),
    ("windows/amd64", &[]),
];

/// What others call them.
const ALIASES: [(&str, &str); 8] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("x64", "amd64"),
    ("aarch64", "arm64"),
    ("armv7", "arm/v7"),
    ("armhf", "arm/v7"),
    ("i386", "386"),
    ("x86", "386"),
];

/// What to do about one that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{platform}` is not a platform")]
pub struct UnknownPlatform {
    /// As it was given.
    pub platform: String,
}

impl UnknownPlatform {
    /// In words.
    #[must_use]
    pub fn hint(&self) -> String {
        let parts: Vec<String> = self.platform.split('/').map(str::to_ascii_lowercase).collect();
        let meant = parts.get(1).map(|it| ALIASES.iter().find(|(alias, _)| alias == it).map_or(it.as_str(), |it| it.1));
        let meant = meant.map(|it| format!("linux/{it}")).filter(|it| check(it).is_ok());
        match meant {
            Some(meant) => format!("write it as {meant}"),
            None => "write the system and the architecture, such as linux/amd64 or linux/arm64".to_owned(),
        }
    }
}

/// Whether images can be built for it at all. Whether a builder can run its programs is another question.
///
/// # Errors
///
/// When there is no such platform.
pub fn check(platform: &str) -> Result<(), UnknownPlatform> {
    let of = |(known, variants): &(&str, &[&str])| match platform.strip_prefix(known) {
        Some("") => true,
        Some(rest) => rest.strip_prefix('/').is_some_and(|variant| variants.contains(&variant)),
        None => false,
    };
    if KNOWN.iter().any(of) { Ok(()) } else { Err(UnknownPlatform { platform: platform.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_image_can_be_built_for_is_no_platform() {
        for platform in ["linux/amd64", "linux/arm64", "linux/arm64/v8", "linux/arm/v7", "linux/386", "linux/s390x"] {
            assert_eq!(check(platform), Ok(()));
        }
        for (platform, hint) in [
            ("linux/vax", "such as linux/amd64"),
            ("amd64", "such as linux/amd64"),
            ("linux/x86_64", "write it as linux/amd64"),
            ("Linux/AArch64", "write it as linux/arm64"),
            ("linux/armv7", "write it as linux/arm/v7"),
            ("linux/amd64/v9", "write it as linux/amd64"),
            ("linux/arm/v7/x", "write it as linux/arm"),
            ("plan9/amd64", "write it as linux/amd64"),
            ("linux/", "such as linux/amd64"),
            ("linux/amd64,linux/arm64", "such as linux/amd64"),
            ("", "such as linux/amd64"),
        ] {
            let error = check(platform).unwrap_err();
            assert!(error.hint().contains(hint), "{platform}: {}", error.hint());
        }
    }
}

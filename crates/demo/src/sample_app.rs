//! The sample app: with the C library that it is linked with, it is the whole content of its image, misbehaving as its
//! environment asks. What it understands is documented at the top of `fixtures/sample-app/main.rs`.

use std::sync::LazyLock;

use crate::images;

/// All files of the image: their paths and their content, the program first.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/sample-app.rs"));

/// The file name that [`dockerfile`] expects [`archive`] under in its build context.
pub const FILE: &str = "app.tar";

/// Where the program is in the image.
pub const PATH: &str = "/app";

/// The program alone. It runs on this machine, or beside the rest of [`archive`].
#[must_use]
pub fn program() -> &'static [u8] {
    FILES[0].1
}

/// A tar of all that the program needs but a Linux kernel.
#[must_use]
pub fn archive() -> &'static [u8] {
    static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let files: Vec<_> = FILES.iter().map(|(path, content)| (*path, *content, 0o755)).collect();
        images::archive(&files)
    });
    &ARCHIVE
}

/// A Dockerfile of the app with these variables baked in, to go with [`FILE`] into a
/// [build context](images::build_context).
#[must_use]
pub fn dockerfile(environment: &[(&str, &str)]) -> String {
    let mut file = format!("FROM scratch\nADD {FILE} /\n");
    for (name, value) in environment {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        file.push_str(&format!("ENV {name}=\"{value}\"\n"));
    }
    file.push_str(&format!("ENTRYPOINT [\"{PATH}\"]\nCMD [\"serve\"]\n"));
    file
}

/// The whole build context of one version of the app.
#[must_use]
pub fn build_context(environment: &[(&str, &str)]) -> Vec<u8> {
    images::build_context(&dockerfile(environment), &[(FILE, archive(), 0o644)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_the_dockerfile_are_quoted() {
        assert_eq!(
            dockerfile(&[("GREETING", r#"a "b" $c\"#)]),
            "FROM scratch\nADD app.tar /\nENV GREETING=\"a \\\"b\\\" \\$c\\\\\"\nENTRYPOINT [\"/app\"]\nCMD [\"serve\"]\n"
        );
    }

    #[test]
    fn a_program_that_names_a_loader_comes_with_it_and_its_libraries() {
        let paths: Vec<&str> = FILES.iter().map(|(path, _)| *path).collect();
        assert_eq!((paths[0], &program()[..4]), ("app", b"\x7fELF".as_slice()));
        let loaders = paths[1..].iter().filter(|path| !path.starts_with("lib/"));
        let named = loaders.filter(|path| has(program(), format!("/{path}\0").as_bytes())).count();
        assert_eq!(named, usize::from(!cfg!(target_feature = "crt-static")), "{paths:?}");
    }

    fn has(content: &[u8], wanted: &[u8]) -> bool {
        content.windows(wanted.len()).any(|part| part == wanted)
    }
}

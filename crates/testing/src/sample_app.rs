//! The sample app: a static binary that is the whole content of its image, misbehaving as its environment asks. What
//! it understands is documented at the top of `fixtures/sample-app/main.rs`.

/// The program, for this machine's processor, needing nothing but a Linux kernel.
pub static BINARY: &[u8] = include_bytes!(env!("WINDLASS_SAMPLE_APP"));

/// The file name that [`dockerfile`] expects the program under in its build context.
pub const FILE: &str = "app";

/// A Dockerfile of the app with these variables baked in, to go with [`FILE`] into a
/// [build context](crate::images::build_context).
#[must_use]
pub fn dockerfile(environment: &[(&str, &str)]) -> String {
    let mut file = format!("FROM scratch\nCOPY {FILE} /{FILE}\n");
    for (name, value) in environment {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        file.push_str(&format!("ENV {name}=\"{value}\"\n"));
    }
    file.push_str(&format!("ENTRYPOINT [\"/{FILE}\"]\nCMD [\"serve\"]\n"));
    file
}

/// The whole build context of one version of the app.
#[must_use]
pub fn build_context(environment: &[(&str, &str)]) -> Vec<u8> {
    crate::images::build_context(&dockerfile(environment), &[(FILE, BINARY, 0o755)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_the_dockerfile_are_quoted() {
        assert_eq!(
            dockerfile(&[("GREETING", r#"a "b" $c\"#)]),
            "FROM scratch\nCOPY app /app\nENV GREETING=\"a \\\"b\\\" \\$c\\\\\"\nENTRYPOINT [\"/app\"]\nCMD [\"serve\"]\n"
        );
    }

    #[test]
    fn the_program_names_no_dynamic_linker() {
        const INTERPRETER: [u8; 4] = 3_u32.to_le_bytes();
        let (start, size, count) = (bytes(32), usize::from(short(54)), usize::from(short(56)));
        let start = usize::try_from(u64::from_le_bytes(start)).expect("an offset into the program");
        assert_eq!(&BINARY[..4], b"\x7fELF");
        assert!(count > 0);
        assert!(!BINARY[start..].chunks(size).take(count).any(|segment| segment.starts_with(&INTERPRETER)));
    }

    fn short(at: usize) -> u16 {
        u16::from_le_bytes(bytes(at))
    }

    fn bytes<const N: usize>(at: usize) -> [u8; N] {
        BINARY[at..at + N].try_into().expect("as many bytes")
    }
}

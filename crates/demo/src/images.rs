//! What an image is built from, as the engine's build endpoint takes it.

/// A tar with a Dockerfile and files, each with its path, content and mode.
#[must_use]
pub fn build_context(dockerfile: &str, files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut all = vec![("Dockerfile", dockerfile.as_bytes(), 0o644)];
    all.extend(files);
    archive(&all)
}

/// A tar with files, each with its path, content and mode. The same input gives the same bytes, so that the engine's
/// build cache recognises it.
#[must_use]
pub fn archive(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_mtime(0);
        archive.append_data(&mut header, path, *content).expect("a relative path, written to memory");
    }
    archive.into_inner().expect("written to memory")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_build_context_holds_the_dockerfile_and_the_files_with_their_modes() {
        let context = build_context("FROM scratch\n", &[("bin/app", b"program", 0o755)]);
        let mut archive = tar::Archive::new(context.as_slice());
        let found: Vec<_> = archive.entries().expect("a tar").map(|entry| read(entry.expect("an entry"))).collect();
        assert_eq!(
            found,
            [
                ("Dockerfile".to_owned(), 0o644, "FROM scratch\n".to_owned()),
                ("bin/app".to_owned(), 0o755, "program".to_owned()),
            ]
        );
    }

    fn read(mut entry: tar::Entry<'_, &[u8]>) -> (String, u32, String) {
        let mut content = String::new();
        entry.read_to_string(&mut content).expect("text");
        let path = entry.path().expect("a path").display().to_string();
        (path, entry.header().mode().expect("a mode"), content)
    }
}

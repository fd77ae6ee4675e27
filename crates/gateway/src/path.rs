//! How a request's path is read: once, for the route and for the app behind it.
//!
//! What RFC 3986 calls the same path is made one spelling (section 6.2.2): escapes of characters that need none are
//! resolved, and so are `.` and `..`. That spelling finds the route, and it is what the app gets. Some apps go further:
//! they read `%2F`, backslashes, empty segments, `;parameters` or escapes of escapes in their own way. Where such a
//! reading would lead to another service, nobody can know what was meant.

use std::borrow::Cow;

/// A path in its one spelling, and as an app that reads generously would have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading<'a> {
    /// For the route and for the app.
    pub(crate) plain: Cow<'a, str>,
    /// `None`: there is no other way to read it.
    pub(crate) generous: Option<String>,
}

/// No path of an app has it, and whoever reads C's strings stops there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HasNul;

/// Reads a path as it was sent.
pub(crate) fn read(sent: &str) -> Result<Reading<'_>, HasNul> {
    // Most are this one; `*` is for OPTIONS.
    if !sent.contains(['%', '\\', ';']) && !sent.contains("//") && !sent.contains("/.") {
        return Ok(Reading { plain: Cow::Borrowed(sent), generous: None });
    }
    let plain = without_dots(&resolve(sent.as_bytes(), is_unreserved));
    let generous = generous(&plain);
    if generous.contains(&0) {
        return Err(HasNul);
    }
    let generous = (generous != plain).then(|| String::from_utf8_lossy(&generous).into_owned());
    let plain = String::from_utf8_lossy(&plain).into_owned();
    let plain = if plain == sent { Cow::Borrowed(sent) } else { Cow::Owned(plain) };
    Ok(Reading { plain, generous })
}

/// All escapes resolved, however often they were escaped; one slash for many; no parameters.
fn generous(plain: &[u8]) -> Vec<u8> {
    let mut path = resolve_wholly(plain);
    path.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    let segments = path.split(|byte| *byte == b'/');
    let segments = segments.map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default());
    let closed = path.ends_with(b"/");
    let mut whole = Vec::with_capacity(path.len());
    for segment in segments.filter(|segment| !segment.is_empty()) {
        whole.push(b'/');
        whole.extend_from_slice(segment);
    }
    if closed || whole.is_empty() {
        whole.push(b'/');
    }
    without_dots(&whole)
}

/// Escapes of the characters that may be resolved; the others in upper case.
fn resolve(path: &[u8], may_be: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) if let Some(byte) = value(*high, *low) => {
                if may_be(byte) {
                    resolved.push(byte);
                } else {
                    resolved.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                }
                rest = after;
            }
            _ => resolved.push(*first),
        }
    }
    resolved
}

/// Escapes of escapes, too. Each byte is looked at once: what an escape stands for may end another one.
fn resolve_wholly(path: &[u8]) -> Vec<u8> {
    let mut resolved = Vec::with_capacity(path.len());
    for byte in path {
        resolved.push(*byte);
        while let [.., b'%', high, low] = resolved[..]
            && let Some(byte) = value(high, low)
        {
            resolved.truncate(resolved.len() - 3);
            resolved.push(byte);
        }
    }
    resolved
}

fn value(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, section 5.2.4.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut closed = false;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/') {
        closed = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    if closed {
        kept.push(b"");
    }
    [b"/".as_slice(), &kept.join(b"/".as_slice())].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(sent: &str) -> (String, Option<String>) {
        let reading = read(sent).unwrap();
        (reading.plain.into_owned(), reading.generous)
    }

    #[test]
    fn what_is_the_same_path_gets_one_spelling() {
        for (sent, plain) in [
            ("/", "/"),
            ("*", "*"),
            ("/api/v1", "/api/v1"),
            ("/%61pi", "/api"),
            ("/x/../api", "/api"),
            ("/x/%2e%2E/api", "/api"),
            ("/./api/.", "/api/"),
            ("/a/b/..", "/a/"),
            ("/../../api", "/api"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
        ] {
            assert_eq!(read_as(sent).0, plain, "{sent}");
        }
    }

    #[test]
    fn what_an_app_may_read_in_its_own_way_is_known() {
        for (sent, plain, generous) in [
            ("//api", "//api", "/api"),
            ("/x//../api", "/x/api", ""),
            ("/x%2f..%2Fapi", "/x%2F..%2Fapi", "/api"),
            ("/%2561pi", "/%2561pi", "/api"),
            ("/x\\..\\api", "/x\\..\\api", "/api"),
            ("/api;x=1/y", "/api;x=1/y", "/api/y"),
            ("/..;/api", "/..;/api", "/api"),
            ("/a%20b", "/a%20b", "/a b"),
        ] {
            let generous = Some(generous.to_owned()).filter(|it| !it.is_empty());
            assert_eq!(read_as(sent), (plain.to_owned(), generous), "{sent}");
        }
        // However often: it is not read once more for each.
        let often = format!("/%{}61pi", "25".repeat(30_000));
        assert_eq!(read_as(&often), (often.clone(), Some("/api".to_owned())));
        assert_eq!(read_as("/%2%35").1.as_deref(), Some("/%"));
        assert_eq!(read("/api%00"), Err(HasNul));
        assert_eq!(read("/api%2500"), Err(HasNul));
    }
}

//! Why something failed, in words for people: what happened, without the layers that it came through.

use std::error::Error;

/// The innermost cause: those around it only say that something failed.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let innermost = std::iter::successors(Some(error), |&cause| cause.source()).last();
    innermost.map_or_else(|| error.to_string(), |cause| plain(&cause.to_string()))
}

/// The same text without the number that the system has for it: `Connection refused (os error 111)` is `connection
/// refused`.
#[must_use]
pub fn plain(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    let Some((before, after)) = text.split_once(NUMBER) else { return text.to_owned() };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(')');
    let mut letters = before.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect::<String>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("client error (Connect)")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn the_system_s_numbers_and_the_layers_around_a_cause_are_left_out() {
        assert_eq!(plain("Connection refused (os error 111)"), "connection refused");
        assert_eq!(plain("HTTP 500"), "HTTP 500");
        let cause = "x".parse::<u8>().unwrap_err();
        assert_eq!(innermost(&Outer(cause)), "invalid digit found in string");
    }
}

//! What Linux starts a process with: more than this, and `exec` fails once everything else is done.

/// Of one argument, or of one `NAME=value`, without the NUL at its end: `MAX_ARG_STRLEN`.
pub const LONGEST: usize = (128 << 10) - 1;

/// Of all arguments and variables together, with a pointer to each: a quarter of the usual stack, less what the image
/// itself brings.
pub const MOST: usize = (2 << 20) - (64 << 10);

/// What one string counts.
#[must_use]
pub const fn weight(length: usize) -> usize {
    length + 1 + size_of::<usize>()
}

/// The length of a variable as the process gets it.
#[must_use]
pub const fn variable(name: &str, value: &str) -> usize {
    name.len() + 1 + value.len()
}

/// Why no process can be started with these, in a sentence without a full stop; a value is never shown.
#[must_use]
pub fn refusal<'a>(
    command: impl IntoIterator<Item = &'a str>,
    variables: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Option<String> {
    let mut all = 0;
    for (index, word) in command.into_iter().enumerate() {
        if let Some(why) = wrong(word, word.len()) {
            return Some(format!("word {} of the command {why}", index + 1));
        }
        all += weight(word.len());
    }
    for (name, value) in variables {
        let length = variable(name, value);
        if let Some(why) = wrong(value, length) {
            return Some(format!("the variable {name} {why}"));
        }
        all += weight(length);
    }
    (all > MOST).then(|| {
        format!("command and environment are {all} bytes together, and Linux starts no process with more than {MOST}")
    })
}

fn wrong(text: &str, length: usize) -> Option<String> {
    if text.contains('\0') {
        return Some("contains a NUL character, which would end it there".to_owned());
    }
    (length > LONGEST).then(|| format!("is {length} bytes long, and Linux starts no process with more than {LONGEST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_that_fits_is_allowed_and_the_next_is_not() {
        let value = "x".repeat(LONGEST - 2);
        assert_eq!(refusal([], [("A", value.as_str())]), None);
        let more = format!("{value}x");
        assert!(
            refusal([], [("A", more.as_str())]).is_some_and(|why| why.starts_with("the variable A is 131072 bytes"))
        );
        assert!(refusal(["a", "b\0"], []).is_some_and(|why| why.starts_with("word 2 of the command contains a NUL")));
    }

    #[test]
    fn many_that_fit_may_be_too_much_together() {
        let value = "x".repeat(100_000);
        let all = |count| refusal([], std::iter::repeat_n(("A", value.as_str()), count));
        assert_eq!(all(20), None);
        assert!(all(21).is_some_and(|why| why.contains("together")));
    }
}

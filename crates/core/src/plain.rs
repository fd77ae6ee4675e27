//! What strangers wrote, as text and nothing else: for terminals and pages.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// Without escape sequences and control characters, which could move the cursor, rename the window or hide what was
/// written. Tabs stay.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '\u{1b}' => skip_sequence(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            char if is_control(char) => {}
            char => clean.push(char),
        }
    }
    Cow::Owned(clean)
}

/// At most so many bytes of it, and how many are missing.
#[must_use]
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(most);
    Cow::Owned(format!("{}… ({} bytes more)", &text[..end], text.len() - end))
}

/// Beside control characters those that change the direction of what follows.
fn is_control(char: char) -> bool {
    char.is_control() && char != '\t'
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn skip_sequence(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('[') => skip_control_sequence(rest),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(rest),
        // One more character, after such as say what it means.
        Some(' '..='/') => while rest.next().is_some_and(|char| (' '..='/').contains(&char)) {},
        Some(_) | None => {}
    }
}

fn skip_control_sequence(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|char| (' '..='?').contains(char)).is_some() {}
    rest.next_if(|char| ('@'..='~').contains(char));
}

/// Up to BEL or ST.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(char) = rest.next() {
        match char {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                rest.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_109_what_would_do_something_to_a_terminal_is_taken_out_and_the_rest_stays() {
        for (written, shown) in [
            ("plain\ttext äß🐳", "plain\ttext äß🐳"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x\u{1b}]52;c;aGk=\u{1b}\\y", "xy"),
            ("over\rwritten\u{8}", "overwritten"),
            ("\u{9b}2Jgone\u{9d}0;t\u{9c}", "gone"),
            ("\u{1b}(Bset\u{1b}c", "set"),
            ("half\u{1b}[3", "half"),
            ("\u{202e}desrever", "desrever"),
        ] {
            assert_eq!(plain(written), shown, "{written:?}");
        }
        assert_eq!(cut("äää", 3), "ä… (4 bytes more)");
        assert_eq!(cut("äää", 6), "äää");
    }
}

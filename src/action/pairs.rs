//! `KEY=VALUE` lines.

use std::collections::BTreeMap;

/// One pair a line; what stands left of the first `=` is the key, and all the rest the value, byte for byte. A value of
/// several lines stands in quotes, with a quote in it doubled: `"KEY=first` … `last"`.
///
/// # Errors
///
/// With the number of the line that is none, and nothing of what stands in it: it may be secret.
pub(super) fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let number = index + 1;
        let pair = match line.trim_start().strip_prefix('"') {
            Some(begun) => {
                quoted(begun, &mut lines).ok_or_else(|| format!("line {number} opens a quote that nothing closes"))?
            }
            None => line.to_owned(),
        };
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("line {number} is not KEY=VALUE"))?;
        let key = key.trim();
        if key.is_empty() {
            return Err(format!("line {number} has no key before its ="));
        }
        if pairs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("line {number} gives {key} a second time"));
        }
    }
    Ok(pairs)
}

fn quoted<'a>(begun: &str, more: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    let mut text = begun.to_owned();
    loop {
        // An odd number of quotes at the end closes; two in a row are one that belongs to the value.
        let open = text.trim_end();
        if open.chars().rev().take_while(|c| *c == '"').count() % 2 == 1 {
            return open.strip_suffix('"').map(|inner| inner.replace("\"\"", "\""));
        }
        text.push('\n');
        text.push_str(more.next()?.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        pairs(text).map(|pairs| pairs.into_iter().collect())
    }

    #[test]
    fn values_are_kept_as_they_are() {
        let text = "A=1\n\n B = two = 2 \nC=\nD='$x' \"y\" %0A \\n::error::\n";
        let read = read(text).unwrap();
        let values: Vec<(&str, &str)> = read.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(values, [("A", "1"), ("B", " two = 2 "), ("C", ""), ("D", "'$x' \"y\" %0A \\n::error::")]);
    }

    #[test]
    fn a_value_of_several_lines_stands_in_quotes() {
        let read = read("\"KEY=-----BEGIN-----\nsays \"\"hello\"\"\n-----END-----\"\nNEXT=1").unwrap();
        assert_eq!(read[0], ("KEY".to_owned(), "-----BEGIN-----\nsays \"hello\"\n-----END-----".to_owned()));
        assert_eq!(read[1].0, "NEXT");
    }

    #[test]
    fn a_mistake_is_told_by_its_line_and_never_by_its_content() {
        for (text, why) in [
            ("A=1\nhunter2", "line 2 is not KEY=VALUE"),
            ("=hunter2", "line 1 has no key before its ="),
            ("A=1\nA=hunter2", "line 2 gives A a second time"),
            ("\"A=hunter2\nB=2", "line 1 opens a quote that nothing closes"),
        ] {
            assert_eq!(read(text).unwrap_err(), why);
        }
    }
}

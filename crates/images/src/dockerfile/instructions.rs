//! A Dockerfile's instructions: comments left out, continued lines joined, what is written for the shell skipped. What
//! BuildKit would refuse is read as far as it makes sense: the build says better what is wrong.

/// One instruction.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    /// Where it begins, from 1.
    pub(super) line: usize,
    /// In capitals: `EXPOSE`.
    pub(super) word: String,
    /// All that follows it.
    pub(super) rest: String,
}

pub(super) fn instructions(text: &str) -> Vec<Instruction> {
    let text = text.trim_start_matches('\u{feff}');
    let escape = escape(text);
    let mut instructions = Vec::new();
    let (mut begun, mut first) = (String::new(), 0);
    let mut lines = (1..).zip(text.lines());
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        // Both may stand between continued lines.
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if begun.is_empty() {
            first = number;
        }
        if let Some(line) = line.strip_suffix(escape) {
            begun += line;
            begun.push(' ');
            continue;
        }
        begun += line;
        let instruction = split(first, &std::mem::take(&mut begun));
        for end in here_documents(&instruction) {
            let _skipped = lines.by_ref().find(|(_, line)| line.trim_start_matches('\t') == end);
        }
        instructions.push(instruction);
    }
    if !begun.trim().is_empty() {
        instructions.push(split(first, &begun));
    }
    instructions
}

/// The parser directive `# escape=`, which stands above everything else.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#')?.split_once('='));
    let mut escapes = directives.filter(|(key, _)| key.trim().eq_ignore_ascii_case("escape"));
    escapes.next().and_then(|(_, value)| value.trim().chars().next()).unwrap_or('\\')
}

fn split(line: usize, text: &str) -> Instruction {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Instruction { line, word: word.to_ascii_uppercase(), rest: rest.trim().to_owned() }
}

/// The words that end what `<<END` begins, for the instructions that may have it.
fn here_documents(instruction: &Instruction) -> Vec<String> {
    let (first, rest) = instruction.rest.split_once(char::is_whitespace).unwrap_or((&instruction.rest, ""));
    let (word, rest) = match instruction.word.as_str() {
        "ONBUILD" => (first, rest),
        word => (word, instruction.rest.as_str()),
    };
    if !["RUN", "COPY", "ADD"].iter().any(|taker| word.eq_ignore_ascii_case(taker)) {
        return Vec::new();
    }
    let starts =
        rest.split_whitespace().filter_map(|word| word.trim_start_matches(char::is_numeric).strip_prefix("<<"));
    let ends = starts.map(|word| word.trim_start_matches('-').trim_matches(['"', '\'']));
    let name = |end: &&str| end.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    ends.filter(name).map(str::to_owned).collect()
}

/// Words as a shell sees them, without their quotes.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut within, mut quote) = (false, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let kept = match (quote, c) {
            (None, c) if c.is_whitespace() => {
                within = false;
                continue;
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                None
            }
            (Some(end), c) if c == end => {
                quote = None;
                None
            }
            (None | Some('"'), '\\') => characters.next(),
            (_, c) => Some(c),
        };
        if !within {
            words.push(String::new());
            within = true;
        }
        if let Some(word) = words.last_mut() {
            word.extend(kept);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String)> {
        instructions(text).into_iter().map(|it| (it.line, format!("{} {}", it.word, it.rest))).collect()
    }

    #[test]
    fn what_is_written_for_the_shell_is_no_instruction() {
        for (documents, lines) in [
            ("RUN <<EOF\nUSER a\nEOF", 3),
            ("RUN cat >x <<EOF && echo $((1<<3)) \"<<X\"\nUSER a\nEOF", 3),
            ("RUN --mount=type=cache,target=/x 3<<-'END' a <<B\nUSER a\n\tEND\nUSER b\nB", 5),
            ("COPY --chmod=755 <<a <<\"b\" /x/\nUSER a\na\nUSER b\nb", 5),
            ("ONBUILD run <<EOF\nUSER a\nEOF", 3),
            ("RUN cat <<<EOF", 1),
            ("LABEL a=<<EOF", 1),
        ] {
            let found = read(&format!("FROM x\n{documents}\nUSER z\n"));
            assert_eq!(found.len(), 3, "{found:?}");
            assert_eq!(found[2], (lines + 2, "USER z".to_owned()));
        }
    }

    #[test]
    fn an_instruction_has_the_line_that_it_begins_on() {
        let text = "\u{feff}# syntax=x\r\n\r\nfrom a\r\nRUN b \\  \r\n # why\r\n\r\n  c\r\nRUNN d \\";
        let expected = [(3, "FROM a"), (4, "RUN b  c"), (8, "RUNN d")];
        assert_eq!(read(text), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn the_escape_is_what_the_first_comments_make_it() {
        assert_eq!(read("# escape=`\nRUN a `\n b\nRUN c \\\n").len(), 2);
        assert_eq!(read("# a\n# escape=`\nRUN a \\\n b\n").len(), 1);
    }
}

//! Finds the line of a Dockerfile that a step of BuildKit comes from. BuildKit names its steps `[build 2/4] RUN …`,
//! with variables filled in, so it is the position that is looked for, not the text.

use std::collections::BTreeMap;

use super::stages::stages;

/// The line, from 1, of the instruction behind a step.
pub(crate) fn line_of(text: &str, step: &str) -> Option<u32> {
    let step = Instruction::parse(step)?;
    let stages = stages(text, &BTreeMap::new());
    let stage = match step.stage {
        None => stages.first(),
        Some(name) => {
            let named = stages.iter().find(|stage| stage.is_called(name));
            // A stage without a name has its number.
            named.or_else(|| stages.get(name.strip_prefix("stage-")?.parse::<usize>().ok()?))
        }
    }?;
    if step.keyword == "FROM" {
        return u32::try_from(stage.line).ok();
    }
    // A base image and what it wants done on top of it are counted, too, and come first.
    let before = step.of.checked_sub(stage.layers.len())?;
    let (keyword, line) = stage.layers.get(step.number.checked_sub(before + 1)?)?;
    u32::try_from(*line).ok().filter(|_| keyword == step.keyword)
}

/// A step's instruction, without what BuildKit writes before it.
pub(crate) fn instruction(step: &str) -> &str {
    match step.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((_, instruction)) => instruction,
        None => step,
    }
}

struct Instruction<'a> {
    stage: Option<&'a str>,
    number: usize,
    of: usize,
    keyword: &'a str,
}

impl<'a> Instruction<'a> {
    /// `[linux/arm64 build 2/4] RUN …`: platform and stage only where there are several.
    fn parse(step: &'a str) -> Option<Self> {
        let (place, instruction) = step.strip_prefix('[')?.split_once("] ")?;
        let (before, count) = place.rsplit_once(' ').unwrap_or(("", place));
        let (number, of) = count.trim().split_once('/')?;
        let stage = before.split_whitespace().next_back().filter(|stage| !stage.contains('/'));
        let keyword = instruction.split_whitespace().next()?;
        Some(Self { stage, number: number.parse().ok()?, of: of.parse().ok()?, keyword })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# syntax=docker/dockerfile:1
ARG VERSION=3

FROM alpine:$VERSION AS Build
WORKDIR /src
ENV A=b
# a note
RUN apk add \\
  # another
  make

COPY . .
run <<EOF
RUN not a step
EOF
RUN last
FROM scratch
COPY --from=build /a /a
ENTRYPOINT [\"/a\"]
ADD b /b
";

    #[test]
    fn a_step_has_the_line_of_its_instruction() {
        for (step, expected) in [
            ("[build 1/6] FROM docker.io/library/alpine:3@sha256:1", Some(4)),
            ("[build 2/6] WORKDIR /src", Some(5)),
            ("[build 3/6] RUN apk add   make", Some(8)),
            ("[linux/arm64 build 4/6] COPY . .", Some(12)),
            ("[linux/amd64->arm64 build 5/6] RUN <<EOF", Some(13)),
            ("[build 6/6] RUN last", Some(16)),
            ("[build 7/7] RUN last, after a trigger of the base image", Some(16)),
            ("[stage-1 1/2] COPY --from=build /a /a", Some(18)),
            ("[stage-1 2/2] ADD b /b", Some(20)),
            ("[stage-1 1/2] RUN another instruction than there is", None),
            ("[other 1/2] COPY a b", None),
            ("[build 1/2] COPY a b", None),
            ("[internal] load metadata for docker.io/library/alpine:3", None),
            ("exporting to image", None),
        ] {
            assert_eq!(line_of(FILE, step), expected, "{step}");
        }
    }

    #[test]
    fn a_single_stage_is_not_named_by_buildkit_and_may_escape_otherwise() {
        let file = "# escape=`\nFROM scratch AS only\nRUN a `\n  b\nRUN c \\\nRUN d\n";
        assert_eq!(line_of(file, "[2/3] RUN c \\"), Some(5));
        assert_eq!(line_of(file, "[3/3] RUN d"), Some(6));
    }

    #[test]
    fn an_instruction_is_what_stands_behind_the_brackets() {
        assert_eq!(instruction("[build 2/4] RUN a [b] c"), "RUN a [b] c");
        assert_eq!(instruction("exporting to image"), "exporting to image");
    }
}

//! Where the access log's lines go.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Whoever collects logs may be of its group; it has addresses of clients, and is not for everybody.
const MODE: u32 = 0o640;

#[derive(Debug)]
pub(super) enum Sink {
    Standard,
    File {
        path: PathBuf,
        file: File,
        /// The last line may be a half.
        torn: bool,
    },
}

impl Sink {
    /// `None`: standard output.
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        Ok(match path {
            None => Self::Standard,
            Some(path) => Self::File { file: append_to(&path)?, path, torn: false },
        })
    }

    /// Somebody may have moved the file away.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        match self {
            Self::Standard => {}
            Self::File { path, file, torn } => {
                *file = append_to(path)?;
                *torn = false;
            }
        }
        Ok(())
    }

    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Standard => {
                let mut standard = io::stdout().lock();
                standard.write_all(lines)?;
                standard.flush()
            }
            Self::File { .. } if lines.is_empty() => Ok(()),
            Self::File { file, torn, .. } => {
                if *torn {
                    file.write_all(b"\n")?;
                }
                *torn = true;
                file.write_all(lines)?;
                *torn = false;
                Ok(())
            }
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard => formatter.write_str("standard output"),
            Self::File { path, .. } => path.display().fmt(formatter),
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).mode(MODE).open(path)
}

//! Printing to a reader who may have had enough.

use std::io::{self, ErrorKind, Write};

/// Prints, and takes it for enough if the reader at the other end of a pipe has had enough.
pub(crate) fn print(text: &str) -> io::Result<()> {
    enough(io::stdout().write_all(text.as_bytes()))
}

/// Takes a reader that is gone for one that has had enough.
pub(crate) fn enough(printed: io::Result<()>) -> io::Result<()> {
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

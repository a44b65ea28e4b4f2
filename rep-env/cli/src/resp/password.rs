//! The port's password: compared without telling by time how much of a guess was right, and never shown.

use anyhow::{Context, bail};
use std::fmt;
use std::fs;
use std::hint::black_box;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The longest password, in bytes. Every comparison looks at as many, so that it takes as long for any guess.
const BYTES_MAX: usize = 512;

/// What a client has to say before anything else.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(Box<[u8]>);

impl Password {
    /// The first line of a file, without its end.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let file = || format!("cannot read the password file {shown}");
        let mode = fs::metadata(path).with_context(file)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!(file = %shown, mode = format!("{:o}", mode & 0o777), "others can read the password file");
        }
        let text = fs::read(path).with_context(file)?;
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match Password::new(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some(password) => Ok(password),
            None => bail!("the first line of {shown} is no password: 1 to {BYTES_MAX} bytes are"),
        }
    }

    /// `None` if it is empty or too long.
    pub(crate) fn new(password: &[u8]) -> Option<Self> {
        (1..=BYTES_MAX).contains(&password.len()).then(|| Password(password.into()))
    }

    /// Whether `guess` is the password.
    pub(crate) fn is(&self, guess: &[u8]) -> bool {
        let mut different = u8::from(self.0.len() != guess.len());
        for at in 0..BYTES_MAX {
            let right = self.0.get(at).copied().unwrap_or(0);
            different |= black_box(right ^ guess.get(at).copied().unwrap_or(0));
        }
        black_box(different) == 0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_is_the_password_and_nobody_sees_it() {
        let password = Password::new(b"open sesame").unwrap();
        assert!(password.is(b"open sesame"));
        let long = [&b"open sesame"[..], &[0; 600]].concat();
        for guess in
            [&b""[..], b"open sesam", b"open sesame ", b"open sesame\0", b"Open sesame", &long]
        {
            assert!(!password.is(guess), "{guess:?}");
        }
        assert!(!format!("{password:?}").contains("sesame"));
        assert!(Password::new(b"").is_none() && Password::new(&[b'a'; 513]).is_none());
    }

    #[test]
    fn a_file_holds_it_in_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, b"secret\r\nmore\n").unwrap();
        assert!(Password::read(&path).unwrap().is(b"secret"));
        fs::write(&path, b"\nsecret\n").unwrap();
        let error = Password::read(&path).unwrap_err().to_string();
        assert!(error.contains("first line") && !error.contains("secret"), "{error}");
        assert!(Password::read(&dir.path().join("absent")).is_err());
    }
}

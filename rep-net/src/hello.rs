//! The first frame, and the answer to it. Pure.
//!
//! One port serves many services of many groups, perhaps of several versions, and is reached by strangers. So before anything
//! else the dialler says what it speaks, which group it means, which service it wants, who it is, and whom it believes to have
//! reached; the listener picks a version or refuses with a reason. A reused address, a renamed group or a rolled-back
//! binary is found here, in words, and not later, in damage.
//!
//! The layout is the same in every version, for it is read before a version is agreed. All numbers little-endian, `name` is a `u16` length
//! and that many bytes of UTF-8.
//!
//! # Hello, at most 4096 bytes
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `rep?hi\r\n` |
//! | 2, 2 | lowest and highest version spoken |
//! | 16 | incarnation of the dialling node; zeros for a client |
//! | name | group (at most 255 bytes); empty: the only one hosted there, for services that allow it |
//! | name | service (1 to 255 bytes) |
//! | name | name of the dialling node (at most 255 bytes); empty for a client |
//! | 1 | 1 if the next field is meant, else 0 |
//! | name | name of the node believed to be reached (at most 255 bytes) |
//! | 2 + n | greeting: bytes for the service's own handler (at most 2048) |
//!
//! # Answer, at most 4096 bytes
//!
//! | bytes | field |
//! |---|---|
//! | 8 | magic `rep!hi\r\n` |
//! | 1 | 0 accepted, else the code of a refusal |
//! | | accepted: `u16` version, 16 bytes incarnation, name group, name node |
//! | | refused: `u16` lowest and `u16` highest version spoken here (0, 0 unless that is the reason), name detail (at most 1024 bytes) |
//!
//! Codes: 1 wrong group, 2 unknown service, 3 version mismatch, 4 wrong node, 5 busy, 6 not a member, 7 closing, 8 malformed Hello, 9 the
//! name announced is not the name proved, 10 nothing is proved about this group, 11 the caller has too many channels, 12 not an administrator,
//! 255 other. A code that a reader does not know counts as 255.

use std::fmt;

use bytes::Bytes;

use crate::error::HelloError;

/// The longest Hello, and the longest answer.
pub const HELLO_BYTES_MAX: usize = 4096;
/// The longest group, service or node name.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest greeting.
pub const GREETING_BYTES_MAX: usize = 2048;
/// The longest text in a refusal; a longer one is cut.
pub const DETAIL_BYTES_MAX: usize = 1024;

const HELLO_MAGIC: &[u8; 8] = b"rep?hi\r\n";
const ANSWER_MAGIC: &[u8; 8] = b"rep!hi\r\n";

/// What a dialler says first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello {
    /// The protocol versions that the dialler speaks.
    pub versions: Versions,
    /// The group it means; empty for "the only one you have", which not every service takes.
    pub group: String,
    /// The service it wants.
    pub service: String,
    /// Its own node name; empty for a client.
    pub node: String,
    /// Its incarnation; zeros for a client.
    pub incarnation: [u8; 16],
    /// The node that it believes to reach, if it matters.
    pub target: Option<String>,
    /// Whatever the service wants to know before it accepts.
    pub greeting: Bytes,
}

impl Hello {
    /// A Hello of a client: version 1, no node name, no target, no greeting.
    pub fn new(group: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            versions: Versions::new(1, 1),
            group: group.into(),
            service: service.into(),
            node: String::new(),
            incarnation: [0; 16],
            target: None,
            greeting: Bytes::new(),
        }
    }

    /// Says who is calling.
    #[must_use]
    pub fn from_node(mut self, node: impl Into<String>, incarnation: [u8; 16]) -> Self {
        self.node = node.into();
        self.incarnation = incarnation;
        self
    }

    /// Says who is meant; another node that answers at that address refuses.
    #[must_use]
    pub fn to_node(mut self, node: impl Into<String>) -> Self {
        self.target = Some(node.into());
        self
    }

    /// Says which versions are spoken.
    #[must_use]
    pub fn speaking(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    /// Adds bytes for the service's handler.
    #[must_use]
    pub fn greeting(mut self, greeting: impl Into<Bytes>) -> Self {
        self.greeting = greeting.into();
        self
    }

    /// The bytes of this Hello.
    ///
    /// # Errors
    /// [`HelloError::TooLong`] or [`HelloError::Invalid`] if a field may not be sent.
    pub fn encode(&self) -> Result<Bytes, HelloError> {
        let mut out = Writer(HELLO_MAGIC.to_vec());
        out.u16(self.versions.min);
        out.u16(self.versions.max);
        out.0.extend_from_slice(&self.incarnation);
        out.field("group", self.group.as_bytes(), NAME_BYTES_MAX)?;
        if self.service.is_empty() {
            return Err(HelloError::Invalid { field: "service" });
        }
        out.field("service", self.service.as_bytes(), NAME_BYTES_MAX)?;
        out.field("node", self.node.as_bytes(), NAME_BYTES_MAX)?;
        out.0.push(u8::from(self.target.is_some()));
        out.field("target", self.target.as_deref().unwrap_or_default().as_bytes(), NAME_BYTES_MAX)?;
        out.field("greeting", &self.greeting, GREETING_BYTES_MAX)?;
        Ok(out.finish())
    }

    /// Reads a Hello; the bytes may be anything.
    ///
    /// # Errors
    /// [`HelloError`] saying what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let mut rest = Reader::new(bytes, HELLO_MAGIC)?;
        let versions = Versions { min: rest.u16()?, max: rest.u16()? };
        if versions.min == 0 || versions.min > versions.max {
            return Err(HelloError::Invalid { field: "versions" });
        }
        let incarnation = rest.array()?;
        let group = rest.name("group", NAME_BYTES_MAX)?;
        let service = rest.name("service", NAME_BYTES_MAX)?;
        if service.is_empty() {
            return Err(HelloError::Invalid { field: "service" });
        }
        let node = rest.name("node", NAME_BYTES_MAX)?;
        let [has_target] = rest.array()?;
        let target = rest.name("target", NAME_BYTES_MAX)?;
        let target = match has_target {
            0 if target.is_empty() => None,
            1 => Some(target),
            _ => return Err(HelloError::Invalid { field: "target" }),
        };
        let greeting = Bytes::copy_from_slice(rest.field("greeting", GREETING_BYTES_MAX)?);
        rest.finish()?;
        Ok(Self { versions, group, service, node, incarnation, target, greeting })
    }
}

/// A range of protocol versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    min: u16,
    max: u16,
}

impl Versions {
    /// The versions `min..=max`.
    ///
    /// # Panics
    /// If the range is empty or begins at 0, which is no version.
    pub fn new(min: u16, max: u16) -> Self {
        assert!(min >= 1 && min <= max, "{min}..={max} is no range of versions");
        Self { min, max }
    }

    /// The lowest.
    pub fn min(self) -> u16 {
        self.min
    }

    /// The highest.
    pub fn max(self) -> u16 {
        self.max
    }

    /// Whether `version` is one of them.
    pub fn contains(self, version: u16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// The highest that both ranges hold.
    pub fn agree(self, other: Self) -> Option<u16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.min, self.max)
    }
}

/// Why a listener does not accept a Hello.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefuseReason {
    /// No such group here. The address or the group's name is wrong.
    #[error("no such group here")]
    WrongGroup,
    /// No such service of that group (perhaps not yet).
    #[error("no such service here")]
    UnknownService,
    /// No version in common.
    #[error("only versions {spoken} are spoken here")]
    VersionMismatch {
        /// What is spoken there.
        spoken: Versions,
    },
    /// Another node lives at that address.
    #[error("this is node {node:?}")]
    WrongNode {
        /// The node that answered.
        node: String,
    },
    /// Too many at once. Try again later.
    #[error("too busy")]
    Busy,
    /// The service is for members, and the caller is not one.
    #[error("not a member: {detail}")]
    NotMember {
        /// More about it.
        detail: String,
    },
    /// The node is shutting down.
    #[error("closing")]
    Closing,
    /// The Hello could not be read.
    #[error("malformed Hello: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// The name announced is not the name that the transport proved.
    #[error("the name announced is not the name proved")]
    NotProved,
    /// What the transport has proof of is about other groups than the one that the Hello names.
    #[error("the certificate proves nothing about this group")]
    GroupNotProved,
    /// The caller has as many channels there as one peer may have at a time. Close some.
    #[error("the caller has as many channels there as it may have")]
    TooManyChannels,
    /// The service is for administrators, and the caller is none.
    #[error("not an administrator: {detail}")]
    NotAdministrator {
        /// More about it.
        detail: String,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl RefuseReason {
    fn code(&self) -> u8 {
        match self {
            Self::WrongGroup => 1,
            Self::UnknownService => 2,
            Self::VersionMismatch { .. } => 3,
            Self::WrongNode { .. } => 4,
            Self::Busy => 5,
            Self::NotMember { .. } => 6,
            Self::Closing => 7,
            Self::Malformed { .. } => 8,
            Self::NotProved => 9,
            Self::GroupNotProved => 10,
            Self::TooManyChannels => 11,
            Self::NotAdministrator { .. } => 12,
            Self::Other(_) => 255,
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::WrongNode { node } => node,
            Self::NotMember { detail }
            | Self::NotAdministrator { detail }
            | Self::Malformed { detail }
            | Self::Other(detail) => detail,
            Self::WrongGroup
            | Self::UnknownService
            | Self::VersionMismatch { .. }
            | Self::Busy
            | Self::Closing
            | Self::NotProved
            | Self::GroupNotProved
            | Self::TooManyChannels => "",
        }
    }

    fn from_parts(code: u8, versions: (u16, u16), detail: String) -> Result<Self, HelloError> {
        Ok(match code {
            1 => Self::WrongGroup,
            2 => Self::UnknownService,
            3 if versions.0 >= 1 && versions.0 <= versions.1 => {
                Self::VersionMismatch { spoken: Versions::new(versions.0, versions.1) }
            }
            3 => return Err(HelloError::Invalid { field: "versions" }),
            4 => Self::WrongNode { node: detail },
            5 => Self::Busy,
            6 => Self::NotMember { detail },
            7 => Self::Closing,
            8 => Self::Malformed { detail },
            9 => Self::NotProved,
            10 => Self::GroupNotProved,
            11 => Self::TooManyChannels,
            12 => Self::NotAdministrator { detail },
            // A later version may have reasons that we do not know; its words still reach the operator.
            _ => Self::Other(detail),
        })
    }
}

/// What a listener says to a Hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Come in.
    Accepted(Accepted),
    /// No, and why.
    Refused(RefuseReason),
}

/// An accepted Hello: what was agreed, and who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// The version chosen, one that the Hello offered.
    pub version: u16,
    /// The group, named even if the Hello left it open.
    pub group: String,
    /// The node that answered.
    pub node: String,
    /// Its incarnation.
    pub incarnation: [u8; 16],
}

impl Accepted {
    pub(crate) fn new(version: u16, group: String, node: String, incarnation: [u8; 16]) -> Self {
        Self { version, group, node, incarnation }
    }

    /// Checks an answer against the Hello it answers: the dialler does not rely on the listener's own checks.
    ///
    /// # Errors
    /// [`HelloError::VersionNotOffered`] or [`HelloError::AnotherAnswered`].
    pub fn check(&self, hello: &Hello) -> Result<(), HelloError> {
        if !hello.versions.contains(self.version) {
            return Err(HelloError::VersionNotOffered {
                found: self.version,
                offered: hello.versions,
            });
        }
        let another = |field, expected: &str, found: &str| HelloError::AnotherAnswered {
            field,
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        if !hello.group.is_empty() && hello.group != self.group {
            return Err(another("group", &hello.group, &self.group));
        }
        match &hello.target {
            Some(target) if *target != self.node => Err(another("node", target, &self.node)),
            Some(_) | None => Ok(()),
        }
    }
}

impl Answer {
    /// The bytes of this answer. Names were checked when they were registered; a detail that is too long is cut.
    ///
    /// # Panics
    /// If a name is longer than [`NAME_BYTES_MAX`].
    pub fn encode(&self) -> Bytes {
        let mut out = Writer(ANSWER_MAGIC.to_vec());
        match self {
            Self::Accepted(accepted) => {
                out.0.push(0);
                out.u16(accepted.version);
                out.0.extend_from_slice(&accepted.incarnation);
                out.field("group", accepted.group.as_bytes(), NAME_BYTES_MAX)
                    .expect("a hosted name is short");
                out.field("node", accepted.node.as_bytes(), NAME_BYTES_MAX)
                    .expect("a hosted name is short");
            }
            Self::Refused(reason) => {
                out.0.push(reason.code());
                let (min, max) = match reason {
                    RefuseReason::VersionMismatch { spoken } => (spoken.min, spoken.max),
                    _ => (0, 0),
                };
                out.u16(min);
                out.u16(max);
                let detail = cut(reason.detail(), DETAIL_BYTES_MAX);
                out.field("detail", detail.as_bytes(), DETAIL_BYTES_MAX)
                    .expect("the detail was cut");
            }
        }
        out.finish()
    }

    /// Reads an answer; the bytes may be anything.
    ///
    /// # Errors
    /// [`HelloError`] saying what is wrong with them.
    pub fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let mut rest = Reader::new(bytes, ANSWER_MAGIC)?;
        let [code] = rest.array()?;
        let answer = if code == 0 {
            let version = rest.u16()?;
            let incarnation = rest.array()?;
            let group = rest.name("group", NAME_BYTES_MAX)?;
            let node = rest.name("node", NAME_BYTES_MAX)?;
            Self::Accepted(Accepted { version, group, node, incarnation })
        } else {
            let versions = (rest.u16()?, rest.u16()?);
            let detail = rest.name("detail", DETAIL_BYTES_MAX)?;
            Self::Refused(RefuseReason::from_parts(code, versions, detail)?)
        };
        rest.finish()?;
        Ok(answer)
    }
}

/// The longest beginning of `text` that has at most `bytes_max` bytes and is still text.
fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let end = (0..=bytes_max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, number: u16) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn field(
        &mut self,
        field: &'static str,
        bytes: &[u8],
        bytes_max: usize,
    ) -> Result<(), HelloError> {
        if bytes.len() > bytes_max {
            return Err(HelloError::TooLong { field, bytes: bytes.len(), bytes_max });
        }
        self.u16(u16::try_from(bytes.len()).expect("bounds of fields are far below 64 KiB"));
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self) -> Bytes {
        debug_assert!(self.0.len() <= HELLO_BYTES_MAX, "the bounds of the fields add up to less");
        Bytes::from(self.0)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8], magic: &[u8; 8]) -> Result<Self, HelloError> {
        if bytes.len() > HELLO_BYTES_MAX {
            return Err(HelloError::TooLong {
                field: "hello",
                bytes: bytes.len(),
                bytes_max: HELLO_BYTES_MAX,
            });
        }
        let seen = bytes.len().min(magic.len());
        if bytes[..seen] != magic[..seen] {
            return Err(HelloError::WrongMagic);
        }
        bytes.get(magic.len()..).map(Self).ok_or(HelloError::Truncated)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(HelloError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HelloError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        self.array().map(u16::from_le_bytes)
    }

    fn field(&mut self, field: &'static str, bytes_max: usize) -> Result<&'a [u8], HelloError> {
        let bytes = usize::from(self.u16()?);
        if bytes > bytes_max {
            return Err(HelloError::TooLong { field, bytes, bytes_max });
        }
        self.take(bytes)
    }

    fn name(&mut self, field: &'static str, bytes_max: usize) -> Result<String, HelloError> {
        let bytes = self.field(field, bytes_max)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| HelloError::NotText { field })
    }

    fn finish(self) -> Result<(), HelloError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(HelloError::TrailingBytes { bytes: self.0.len() })
        }
    }
}

//! What can go wrong, and whose doing it is: the caller's, the peer's, or the environment's.

use std::io;

use crate::hello::{RefuseReason, Versions};
use crate::transport::Address;

/// What a channel, a listener or a transport may answer instead of doing its work.
///
/// `Clone`, because the error that ended a channel is given to every later call on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// The channel was closed, by either side. Dial again if the peer is still wanted.
    #[error("the channel is closed")]
    Closed,
    /// The environment: the connection died without a close (reset, timed out, cut in the middle of a frame). Dial again.
    #[error("the connection is lost: {detail}")]
    Lost {
        /// What kind of failure the system reported.
        kind: io::ErrorKind,
        /// Its words.
        detail: String,
    },
    /// The caller: the frame is longer than the channel carries. Nothing was sent; the channel goes on.
    #[error("a frame of {bytes} bytes is over the bound of {bytes_max}")]
    FrameTooLarge {
        /// Length of the frame.
        bytes: usize,
        /// The longest that is taken.
        bytes_max: usize,
    },
    /// The peer: it sent bytes that are no frame. The channel is closed.
    #[error("the peer sent a broken frame: {0}")]
    Frame(#[from] FrameError),
    /// The caller or the environment: the address cannot be listened on (in use, unknown, forbidden).
    #[error("cannot listen on {address}: {detail}")]
    Listen {
        /// The address asked for.
        address: Address,
        /// What kind of failure the system reported; `AddrInUse` for a port that is taken.
        kind: io::ErrorKind,
        /// Its words.
        detail: String,
    },
    /// The caller: others could reach that address, read and forge everything, and nobody has said that this is wanted.
    #[error(
        "{address} is not a loopback address, and nothing here is encrypted; allow_plaintext() permits that"
    )]
    Plaintext {
        /// The address.
        address: Address,
    },
}

impl NetError {
    pub(crate) fn lost(error: &io::Error) -> Self {
        Self::Lost { kind: error.kind(), detail: error.to_string() }
    }

    pub(crate) fn listen(address: &Address, error: &io::Error) -> Self {
        Self::Listen { address: address.clone(), kind: error.kind(), detail: error.to_string() }
    }
}

/// Why a dial gave no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The environment: the host is there and nobody listens. The one answer that says at once that a process is gone.
    #[error("{address} refused the connection: nobody listens there")]
    Refused {
        /// What was dialled.
        address: Address,
    },
    /// The environment: no answer by the deadline. The peer may be alive.
    #[error("{address} did not answer in time, while {during}")]
    TimedOut {
        /// What was dialled.
        address: Address,
        /// What was waited for.
        during: &'static str,
    },
    /// The environment: no way there (name not known, no route), or an endpoint that is itself gone.
    #[error("{address} cannot be reached: {detail}")]
    Unreachable {
        /// What was dialled.
        address: Address,
        /// What kind of failure the system reported.
        kind: io::ErrorKind,
        /// Its words.
        detail: String,
    },
    /// The peer or the environment: somebody took the call and hung up before answering the Hello.
    #[error("{address} hung up before answering: {detail}")]
    HungUp {
        /// What was dialled.
        address: Address,
        /// What was seen.
        detail: String,
    },
    /// The peer: it understood the Hello and refuses it. Whether a retry can help is the reason's to say.
    #[error("{address} refused: {reason}")]
    RefusedHello {
        /// What was dialled.
        address: Address,
        /// Why.
        reason: RefuseReason,
    },
    /// The peer: what answered does not speak this protocol, or another node answered than the one named as target.
    #[error("{address} answered what is no answer to a Hello: {error}")]
    BadAnswer {
        /// What was dialled.
        address: Address,
        /// What is wrong with it.
        error: HelloError,
    },
    /// The peer or the caller: the two did not come to trust each other. Nothing was said and nothing taken in.
    #[error("{address}: {error}")]
    Tls {
        /// What was dialled.
        address: Address,
        /// Why.
        error: TlsError,
    },
    /// The caller: whoever is on the way there could read and forge everything, and nobody has said that this is wanted.
    #[error(
        "{address} is not a loopback address, and nothing here is encrypted; allow_plaintext() permits that"
    )]
    Plaintext {
        /// What was dialled.
        address: Address,
    },
    /// The caller: this Hello cannot be put on the wire.
    #[error("this Hello cannot be sent: {0}")]
    Hello(HelloError),
}

impl DialError {
    /// Whether the answer was an immediate "nobody listens here", which counts as silence of that node.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The reason of a peer that refused the Hello.
    pub fn refuse_reason(&self) -> Option<&RefuseReason> {
        match self {
            Self::RefusedHello { reason, .. } => Some(reason),
            Self::Refused { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::HungUp { .. }
            | Self::BadAnswer { .. }
            | Self::Tls { .. }
            | Self::Plaintext { .. }
            | Self::Hello(_) => None,
        }
    }

    /// Why the two did not come to trust each other, if that is what went wrong.
    pub fn tls_error(&self) -> Option<&TlsError> {
        match self {
            Self::Tls { error, .. } => Some(error),
            Self::Refused { .. }
            | Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::HungUp { .. }
            | Self::RefusedHello { .. }
            | Self::BadAnswer { .. }
            | Self::Plaintext { .. }
            | Self::Hello(_) => None,
        }
    }
}

/// Why a connection was not covered, or why what came over it is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The peer: what it showed as its certificate is not accepted here.
    #[error("the peer's certificate is not accepted: {0}")]
    Peer(CertificateFault),
    /// The caller: the peer does not accept our certificate, and says so.
    #[error("the peer does not accept our certificate: {0}")]
    Ours(CertificateFault),
    /// The peer speaks no TLS: one side was told to use TLS, and the other was not.
    #[error("what is at the other end speaks no TLS; both ends have to be told the same")]
    NotTls,
    /// The peer speaks TLS, and this end does not: one side was told to use TLS, and the other was not.
    #[error("the other end speaks TLS and this one does not; both ends have to be told the same")]
    TlsSpoken,
    /// The peer speaks no version of TLS that is good enough. Only 1.3 is.
    #[error("no version of TLS in common; only TLS 1.3 is spoken here")]
    Version,
    /// The peer speaks TLS, and under it something else.
    #[error("what is spoken under TLS is another protocol, not rep/1")]
    OtherProtocol,
    /// The peer has no room for one more handshake. Try again later.
    #[error("the peer is too busy for a handshake")]
    Busy,
    /// The peer sent more than any honest handshake has.
    #[error("a handshake of more than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: usize,
    },
    /// Anything else: bytes that were changed on the way, a key that does not fit, a peer that breaks the protocol.
    #[error("{0}")]
    Broken(String),
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateFault {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// It comes from no authority that is trusted there.
    #[error("it comes from no authority that is trusted")]
    UnknownAuthority,
    /// Its time is over, by the clock of whoever looked.
    #[error("it has expired")]
    Expired,
    /// Its time has not come yet, by the clock of whoever looked.
    #[error("it is not valid yet; compare the clocks of the two hosts")]
    NotYetValid,
    /// It is on the list of those that count no longer.
    #[error("it is revoked")]
    Revoked,
    /// It is meant for something else: a server's alone, an authority's, or not for TLS at all.
    #[error("it is not meant for this use (nodes need serverAuth and clientAuth)")]
    WrongUse,
    /// The authority's signature, or the holder's, does not fit; the key may be another one, or the authority's too weak.
    #[error("a signature does not fit, or is by a key that is too weak")]
    BadSignature,
    /// Its RSA key is so short that others could find it out.
    #[error("its RSA key has {bits} bits; {bits_min} are the least")]
    WeakKey {
        /// So long it is.
        bits: usize,
        /// So long it has to be.
        bits_min: usize,
    },
    /// More certificates lie between it and the authority than are looked at.
    #[error("it comes with more than {certificates_max} certificates of authorities in between")]
    ChainTooLong {
        /// As many are looked at.
        certificates_max: usize,
    },
    /// It carries no node of a group: no `rep://GROUP/NODE` among its alternative names.
    #[error("it names no node of a group (rep://GROUP/NODE as a URI)")]
    NoIdentity,
    /// It is for a node of another group.
    #[error("it is for {found}, not for group {expected:?}")]
    OtherGroup {
        /// The group that is meant.
        expected: String,
        /// Whom it is for.
        found: String,
    },
    /// It is for another node.
    #[error("it is for {found}, not for node {expected:?}")]
    OtherNode {
        /// The node that is meant.
        expected: String,
        /// Whom it is for, in that group.
        found: String,
    },
    /// It cannot be read, or is refused for another reason.
    #[error("{0}")]
    Other(String),
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The announced length is over the bound in force.
    #[error("{bytes} bytes announced, at most {bytes_max} are allowed")]
    TooLarge {
        /// Length announced.
        bytes: usize,
        /// The bound in force.
        bytes_max: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("checksum {found:#010x} announced, {computed:#010x} computed")]
    Checksum {
        /// What the header says.
        found: u32,
        /// What the bytes say.
        computed: u32,
    },
}

/// Bytes that are no Hello, or no answer to one; or a Hello that must not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HelloError {
    /// It does not begin as it must: the other side speaks something else.
    #[error("wrong magic")]
    WrongMagic,
    /// It ends too early.
    #[error("cut short")]
    Truncated,
    /// It goes on after its end.
    #[error("{bytes} bytes too many")]
    TrailingBytes {
        /// How many bytes are left over.
        bytes: usize,
    },
    /// A field, or the whole, is longer than it may be.
    #[error("{field} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong {
        /// Which field; `hello` for the whole.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A name is not UTF-8.
    #[error("{field} is not UTF-8")]
    NotText {
        /// Which field.
        field: &'static str,
    },
    /// A field has a value that means nothing.
    #[error("{field} has no valid value")]
    Invalid {
        /// Which field.
        field: &'static str,
    },
    /// The version chosen is not one that was offered.
    #[error("version {found} was chosen, {offered} were offered")]
    VersionNotOffered {
        /// The version in the answer.
        found: u16,
        /// What the Hello offered.
        offered: Versions,
    },
    /// Another node, or another group, answered than the one asked for.
    #[error("{field} {found:?} answered, {expected:?} was asked for")]
    AnotherAnswered {
        /// `node` or `group`.
        field: &'static str,
        /// Who was meant.
        expected: String,
        /// Who answered.
        found: String,
    },
}

/// What a service table does not take; all the caller's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// The group is not hosted in this table: call `host` first.
    #[error("group {group:?} is not hosted here")]
    NotHosted {
        /// The group named.
        group: String,
    },
    /// That group, or that service of the group, is there already.
    #[error("{what} {name:?} is registered already")]
    Taken {
        /// `group` or `service`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The name is empty or too long.
    #[error("{what} name {name:?} is empty or longer than {bytes_max} bytes")]
    BadName {
        /// `group`, `service` or `node`.
        what: &'static str,
        /// The name.
        name: String,
        /// The longest that is taken.
        bytes_max: usize,
    },
}

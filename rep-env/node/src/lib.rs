#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`config`] is what a node is told, [`output`] what it asks for, [`node`] the value itself. Its ideas have
//! rooms of their own: [`membership`] and `founding` (who belongs), `links` and `routing` (who is connected, and says
//! what), `reign` and `feeding` (what a master does), `following` (what a replica does), `durability` (what a commit asks for), `watermarks` (what is durable, and which commits that
//! resolves), `reads`, `asking` and `evidence` (when a read may be served), [`admission`], [`applying`], `cleaning` and `past` (what of the log may go, and what is kept of what it said), [`restoring`], [`offering`] and `load` (who is given a copy of the state, and who gives it), `pace` and `volume` (how writers wait for who was given one), [`recovering`] (what is left to do when a quorum is gone for good), and [`status`] with `problems` (what is wrong, in words).

pub mod admission;
pub mod applying;
mod asking;
mod cleaning;
pub mod config;
mod designated;
mod durability;
pub mod error;
mod evidence;
mod facts;
mod feeding;
mod following;
mod founding;
mod handover;
mod images;
mod links;
mod load;
pub mod membership;
pub mod message;
mod nearness;
pub mod node;
pub mod offering;
pub mod output;
mod pace;
mod past;
mod problems;
mod reads;
pub mod recovering;
mod reign;
mod relaying;
pub mod restoring;
mod routing;
mod shutting;
pub mod status;
mod storing;
mod volume;
mod vouching;
mod watching;
mod watermarks;

pub use admission::{Admission, Proposal};
pub use applying::ApplyPlan;
pub use cleaning::oldest_within;
pub use config::{FeedFrom, NodeConfig, Recovered, Retention, Seed, Timing, number_members};
pub use durability::Durability;
pub use error::{OpenError, PeerError};
pub use handover::{NotTransferred, Transfer};
pub use links::{DialFailure, Link, PEER_VERSION, RunId, Service, Shown};
pub use load::Load;
pub use membership::change::{Change, ChangeRequest, Changed, Newcomer, NotChanged};
pub use membership::contacts::Contact;
pub use membership::joining::{NO_NUMBER, NotOurs};
pub use membership::{Attributes, Member, MemberType, Membership, Quorums, Removed};
pub use message::{Message, TurnedAway};
pub use nearness::RoundTrips;
pub use node::Node;
pub use offering::{NotOffered, Offer, Pin, check_manifest, names_member};
pub use output::{Event, HaltReason, Outcome, Output, Request};
pub use pace::PAUSE_MAX;
pub use reads::{READS_WAITING_MAX, ReadKind};
pub use recovering::{Forced, NUMBERS_SKIPPED, NotForced, Remains, TERMS_SKIPPED};
pub use restoring::{
    FetchId, NotCancelled, NotRestored, RestoreNews, RestoreProgress, WaitingRead,
};
pub use shutting::NotShutDown;
pub use status::{MemberStatus, NodeStatus};
pub use storing::{PersistFailed, Persisted};

// What the signatures above mention.
pub use rep_election::{self, Acks, Fence, Message as ElectionMessage};
pub use rep_fsm::{NodeState, Role};
pub use rep_stream::{
    self, BatchHeader, Connection, FeederMessage, Progress, ReplicaMessage, SendFailed,
};

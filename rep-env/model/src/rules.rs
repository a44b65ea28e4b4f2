//! What must hold. Each rule is a bit, so that a world remembers cheaply which ones it has seen broken.

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Rule {
    OneMaster,
    Complete,
    LogsAgree,
    DurableIsTrue,
    DurableRises,
    OnePromise,
    PromiseOnDisk,
    AckOnDisk,
    NothingLost,
    NobodyHalts,
}

impl Rule {
    /// What must hold, in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Rule::OneMaster => "a term has one master at most",
            Rule::Complete => "a master holds every entry that was durable in an earlier term",
            Rule::LogsAgree => "logs that share a LogPoint are the same up to it",
            Rule::DurableIsTrue => "what is called durable is on the disks of a commit quorum",
            Rule::DurableRises => "dvlsn does not fall within a run, nor in a term",
            Rule::OnePromise => "a member promises a term to one proposer at most",
            Rule::PromiseOnDisk => "a promise is on disk before it is spoken",
            Rule::AckOnDisk => "an entry is on disk before it is acknowledged",
            Rule::NothingLost => {
                "an acknowledged write is on the disks of a commit quorum, and in every later master's log"
            }
            Rule::NobodyHalts => "no node meets what it believes impossible",
        }
    }
}

/// The rules that were seen broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken(u16);

impl Broken {
    pub(crate) fn note(&mut self, rule: Rule) {
        self.0 |= 1 << rule as u8;
    }

    pub(crate) fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }

    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }
}

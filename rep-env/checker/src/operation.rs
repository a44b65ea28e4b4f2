//! An operation, and when it was open.

/// A place in the order of a history: smaller is earlier.
///
/// Any numbers do that order the events, such as line numbers or nanoseconds of one clock. An operation precedes
/// another if it returned *before* the other was invoked; with equal moments they are concurrent, so
/// a clock that is too coarse hides bugs and invents none.
pub type Moment = u64;

/// One call of a history: what was asked and answered, and between which moments it may have taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation<O> {
    /// When it was asked for.
    pub invoked: Moment,
    /// When it was answered. `None`: nobody knows its outcome, so it may take effect at any moment after
    /// `invoked`, or never (a *pending* operation). Not before `invoked`; where it is, the history has no order at all
    /// and the answers are as good as the question.
    pub returned: Option<Moment>,
    /// What was asked, with the answer.
    pub what: O,
}

impl<O> Operation<O> {
    /// An operation that was answered.
    pub fn done(invoked: Moment, returned: Moment, what: O) -> Self {
        Self { invoked, returned: Some(returned), what }
    }

    /// An operation whose outcome is unknown.
    pub fn pending(invoked: Moment, what: O) -> Self {
        Self { invoked, returned: None, what }
    }

    /// Was this answered before the other was asked for?
    pub fn precedes<P>(&self, other: &Operation<P>) -> bool {
        self.returned.is_some_and(|returned| returned < other.invoked)
    }

    /// The last moment at which it may have taken effect.
    pub(crate) fn latest(&self) -> Moment {
        self.returned.unwrap_or(Moment::MAX)
    }
}

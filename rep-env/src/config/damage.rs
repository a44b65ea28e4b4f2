//! What becomes of a home that is found damaged.

use crate::error::Error;

/// What becomes of a home whose log, redb store or half-placed copy, or one of whose cells, is damaged; or which a master has found to be an older image of
/// itself. Either way no byte of it is thrown away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnDamage {
    /// It is set aside in a folder of its own, and the node joins its group as a new member, if there is anybody to ask.
    #[default]
    Rejoin,
    /// The node does not open, until an operator has decided.
    Refuse,
}

/// The option's name.
pub(super) const ON_DAMAGE: &str = "on_damage";
/// Which values there are, in words.
pub(super) const ON_DAMAGE_VALUES: &str = "`rejoin`, `refuse`";

impl OnDamage {
    pub(super) fn named(name: &str) -> Result<OnDamage, Error> {
        match name {
            "rejoin" => Ok(OnDamage::Rejoin),
            "refuse" => Ok(OnDamage::Refuse),
            other => {
                let problem = format!("{other:?} is none of {ON_DAMAGE_VALUES}");
                Err(Error::config(ON_DAMAGE, problem))
            }
        }
    }
}

//! Strategies: which blocks to ask for, and of whom, as rules that can be exchanged while a torrent runs.
//!
//! [`Deadline`] is ours; the others are the literature's and other clients', to compare it with. A strategy decides only
//! what is asked for next. Who is connected, what is under way, what is cancelled when a piece fails: all of that is
//! `swarm`'s, and stays as it is when the strategy changes.
//!
//! There are two ways to hand out work, and a strategy may use both:
//! - [`Strategy::pick`]: a peer has room and asks for work. Textbook rules need only this one.
//! - [`Strategy::hand_out`]: blocks choose their peers. It is called each turn before any peer picks, and when
//!   [`Strategy::deadline`] comes.

mod deadline;
mod rarest;
mod sequential;

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

pub use crate::picker::{Applicant, Board, Pick};
pub use crate::swarm::{Desk, Figures};
pub use deadline::Deadline;
pub use rarest::Rarest;
pub use sequential::Sequential;

/// The strategies there are, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrategyName {
    /// Ascending, from where readers are.
    Sequential,
    /// The pieces that fewest peers have.
    Rarest,
    /// What readers need soon by deadline, then the rarest.
    #[default]
    Deadline,
}

impl StrategyName {
    /// All of them, from the plainest to ours.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Rarest, Self::Deadline];

    /// The name in options, files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Rarest => "rarest",
            Self::Deadline => "deadline",
        }
    }

    /// What it does, in a line for a help text.
    pub fn about(self) -> &'static str {
        match self {
            Self::Sequential => "Ascending, from each reader's position on, else from the first piece",
            Self::Rarest => "The pieces that the fewest peers have, first; readers make no difference",
            Self::Deadline => {
                "What readers need soon from whoever delivers it soonest, then their read-ahead, then rarest first"
            }
        }
    }
}

impl fmt::Display for StrategyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A name that no strategy has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no strategy {name:?}; there are {}", StrategyName::ALL.map(StrategyName::as_str).join(", "))]
pub struct UnknownStrategy {
    /// What was asked for.
    pub name: String,
}

impl FromStr for StrategyName {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.as_str() == name);
        found.ok_or_else(|| UnknownStrategy { name: name.to_owned() })
    }
}

/// What a strategy wants of the machinery around it. Textbook rules want none of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// When a reader jumps, what no window covers is taken back from peers that could help it.
    pub cancels_on_seek: bool,
    /// Blocks that a reader needs soon and that are late are asked of a second peer, within the budget.
    pub buys_late_blocks: bool,
    /// While a reader waits, peers are asked for little at once, so that a seek needn't wait for deep queues.
    pub shallow_queues: bool,
}

/// Rules of what to ask for next.
///
/// The same calls with the same seed must give the same answers: no clock, no hash map, chance from the seed alone. What
/// it costs must not grow with the number of pieces or of peers, but for [`Strategy::hand_out`] of everyone.
pub trait Strategy: fmt::Debug + Send {
    /// Its name.
    fn name(&self) -> StrategyName;

    /// What it wants of the machinery around it.
    fn ways(&self) -> Ways {
        Ways::default()
    }

    /// A peer has room for one more block: which? `None` lets it rest until the board changes.
    ///
    /// A peer that chokes us doesn't come here: its allowed-fast pieces are the machinery's.
    fn pick(&mut self, board: &mut Board<'_>, applicant: &Applicant<'_>, now: Instant) -> Option<Pick>;

    /// Work that chooses its peers. Called each turn before peers pick, and when [`Strategy::deadline`] has come.
    fn hand_out(&mut self, _desk: &mut Desk<'_>, _now: Instant) {}

    /// When [`Strategy::hand_out`] is due even if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// The strategy of this name. `seed` is for those that throw dice.
pub fn make(name: StrategyName, _seed: u64) -> Box<dyn Strategy> {
    match name {
        StrategyName::Sequential => Box::new(Sequential),
        StrategyName::Rarest => Box::new(Rarest),
        StrategyName::Deadline => Box::new(Deadline::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in StrategyName::ALL {
            assert_eq!(name.as_str().parse(), Ok(name));
            assert_eq!(make(name, 1).name(), name);
            assert!(!name.about().is_empty());
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = "fastest".parse::<StrategyName>().unwrap_err().to_string();
        assert!(StrategyName::ALL.iter().all(|name| error.contains(name.as_str())), "{error}");
    }
}

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

mod ahead;
mod bitos;
mod deadline;
mod lt_deadline;
mod portion;
mod rarest;
mod sequential;
mod window;
mod zipf;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

pub use crate::picker::{Applicant, Board, Pick};
pub use crate::swarm::{Desk, Figures};
pub use bitos::Bitos;
pub use deadline::Deadline;
pub use lt_deadline::LtDeadline;
pub use portion::Portion;
pub use rarest::Rarest;
pub use sequential::Sequential;
pub use window::Window;
pub use zipf::Zipf;

/// The strategies there are, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StrategyName {
    /// Ascending, from where readers are.
    Sequential,
    /// The pieces that fewest peers have.
    Rarest,
    /// The rarest inside a window that slides ahead of each reader.
    Window,
    /// Mostly the rarest of the next few pieces, else of all others.
    Bitos,
    /// The nearer, the likelier.
    Zipf,
    /// Half in order, half rarest first.
    Portion,
    /// As libtorrent does it: pieces by deadline, handed out once a second.
    LtDeadline,
    /// What readers need soon by deadline, then the rarest.
    #[default]
    Deadline,
}

impl StrategyName {
    /// All of them, from the plainest to ours.
    pub const ALL: [Self; 8] = [
        Self::Sequential,
        Self::Rarest,
        Self::Window,
        Self::Bitos,
        Self::Zipf,
        Self::Portion,
        Self::LtDeadline,
        Self::Deadline,
    ];

    /// The name in options, files and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Rarest => "rarest",
            Self::Window => "window",
            Self::Bitos => "bitos",
            Self::Zipf => "zipf",
            Self::Portion => "portion",
            Self::LtDeadline => "lt-deadline",
            Self::Deadline => "deadline",
        }
    }

    /// What it does, in a line for a help text.
    pub fn about(self) -> &'static str {
        match self {
            Self::Sequential => "Ascending, from each reader's position on, else from the first piece",
            Self::Rarest => "The pieces that the fewest peers have, first; readers make no difference",
            Self::Window => {
                "The rarest of the next pieces ahead of each reader, then of all (Shah and Paris 2007)"
            }
            Self::Bitos => {
                "With 80 % the rarest of the next pieces, else the rarest of the others (BiToS, 2006)"
            }
            Self::Zipf => "By chance, the nearer to each reader the likelier (Carlsson and Eager 2007)",
            Self::Portion => "Half in order from each reader on, half rarest first (Carlsson and Eager 2007)",
            Self::LtDeadline => "libtorrent's deadlines: once a second, to whoever has the shortest queue",
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
    /// Where memory is no question, windows reach as far ahead as makes a buffer safe, whatever the reader dares to ask for.
    pub grows_read_ahead: bool,
    /// Requests for so much time are kept asked of each peer, where its pipeline would ask for less.
    pub queue_time: Option<Duration>,
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
pub fn make(name: StrategyName, seed: u64) -> Box<dyn Strategy> {
    match name {
        StrategyName::Sequential => Box::new(Sequential),
        StrategyName::Rarest => Box::new(Rarest),
        StrategyName::Window => Box::new(Window::new(seed)),
        StrategyName::Bitos => Box::new(Bitos::new(seed)),
        StrategyName::Zipf => Box::new(Zipf::new(seed)),
        StrategyName::Portion => Box::new(Portion::new(seed)),
        StrategyName::LtDeadline => Box::new(LtDeadline::new(seed)),
        StrategyName::Deadline => Box::new(Deadline::new(seed)),
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

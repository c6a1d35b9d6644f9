//! The scenarios that come with the crate, by name: the rows of the comparison table.

use super::Scenario;
use super::mistake::FileError;

/// A scenario that comes with the crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its name, as in the text.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! builtin {
    ($($name:literal),+ $(,)?) => {
        /// All of them, in the order of the table.
        pub const ALL: &[Builtin] = &[$(
            Builtin { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) },
        )+];
    };
}

builtin![
    "flash-crowd",
    "poisson",
    "scarce-seed",
    "free-riders",
    "seeker",
    "odd-peers",
    "tight-link",
    "churn",
    "lossy",
    "three-viewers",
    "no-viewer",
];

/// The one of this name.
pub fn find(name: &str) -> Option<Builtin> {
    ALL.iter().copied().find(|builtin| builtin.name == name)
}

/// The name that `name` was probably meant to be.
pub fn closest(name: &str) -> Option<&'static str> {
    super::meant::closest(name, ALL.iter().map(|builtin| builtin.name))
}

impl Builtin {
    /// The scenario.
    pub fn scenario(self) -> Result<Scenario, FileError> {
        Scenario::parse(self.text)
    }
}

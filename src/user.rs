//! Who a request comes from: the name that a token's `sub` says.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// Bytes of a user's name: identity providers use e-mail addresses and long ids, nobody needs more.
const NAME_BYTES_MAX: usize = 128;

/// A user. Names are compared byte by byte: whoever makes the tokens decides what is the same user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(Arc<str>);

/// A name that nobody can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a user's name has 1 to {NAME_BYTES_MAX} bytes, and no control characters")]
pub struct BadUser;

impl User {
    /// Everybody, where no token is asked for.
    pub fn local() -> Self {
        Self("local".into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for User {
    type Err = BadUser;

    fn from_str(name: &str) -> Result<Self, BadUser> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        if fits { Ok(Self(name.into())) } else { Err(BadUser) }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_logs_or_tables_could_not_bear_are_refused() {
        assert_eq!("anna".parse::<User>().unwrap().as_str(), "anna");
        assert!("anna@example.org".parse::<User>().is_ok());
        for wrong in ["", "a\nb", "a\0", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert_eq!(wrong.parse::<User>(), Err(BadUser), "{wrong:?}");
        }
    }
}

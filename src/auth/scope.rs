//! What a token allows: a handful of words in its `scope` claim, separated by spaces (RFC 6749, section 3.3).

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// One thing that a token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `torrents:read`: see torrents and what is in them.
    TorrentsRead,
    /// `torrents:write`: bring torrents in, and let go of one's own.
    TorrentsWrite,
    /// `stream`: watch.
    Stream,
    /// `download`: keep for later.
    Download,
    /// `analytics`: see figures of one's own streams.
    Analytics,
    /// `admin`: all of it, and what is others'.
    Admin,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 6] =
        [Self::TorrentsRead, Self::TorrentsWrite, Self::Stream, Self::Download, Self::Analytics, Self::Admin];

    /// The word for it in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TorrentsRead => "torrents:read",
            Self::TorrentsWrite => "torrents:write",
            Self::Stream => "stream",
            Self::Download => "download",
            Self::Analytics => "analytics",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == word)
            .ok_or_else(|| UnknownScope(word.to_owned()))
    }
}

/// A word that is no scope of ours.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no scope: allowed are torrents:read, torrents:write, stream, download, analytics and admin, \
     separated by spaces"
)]
pub struct UnknownScope(String);

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// What somebody needs who watches films.
    pub const VIEWER: Self =
        Self(Scope::TorrentsRead.bit() | Scope::TorrentsWrite.bit() | Scope::Stream.bit());
    /// Everything.
    pub const ADMIN: Self = Self((1 << Scope::ALL.len()) - 1);

    /// Reads the words of a person, who wants to know of misspelt ones. A token's claim is read by `parse`, which passes over
    /// words that it doesn't know: they may be another service's.
    pub fn strict(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }

    /// Whether these allow that; `admin` allows everything.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether nothing is allowed.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in it by name: those that `admin` only implies aren't.
    fn named(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromStr for Scopes {
    type Err = Infallible;

    fn from_str(claim: &str) -> Result<Self, Infallible> {
        Ok(claim.split(' ').filter_map(|word| word.parse().ok()).collect())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, scope) in self.named().enumerate() {
            let between = if nth == 0 { "" } else { " " };
            write!(f, "{between}{scope}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.named().map(Scope::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_with_words_of_other_services_gives_what_is_known() {
        let scopes: Scopes = "openid stream  profile STREAM torrents:read".parse().unwrap();
        assert_eq!(scopes.to_string(), "torrents:read stream");
        assert_eq!("".parse(), Ok(Scopes::NONE));
        assert_eq!("stream\tadmin\u{a0}admin".parse(), Ok(Scopes::NONE), "only spaces separate");
    }

    #[test]
    fn a_person_is_told_of_a_misspelt_scope() {
        assert_eq!(Scopes::strict(" torrents:read stream torrents:write\n"), Ok(Scopes::VIEWER));
        let error = Scopes::strict("stream downlaod").unwrap_err().to_string();
        assert!(error.contains("downlaod") && error.contains("download"), "{error}");
    }

    #[test]
    fn admin_implies_all_and_nothing_else_implies_anything() {
        let admin: Scopes = "admin".parse().unwrap();
        for scope in Scope::ALL {
            assert!(admin.contains(scope) && Scopes::ADMIN.contains(scope), "{scope}");
            assert!(!Scopes::NONE.contains(scope), "{scope}");
            let alone = Scopes::from_iter([scope]);
            assert!(
                scope == Scope::Admin
                    || Scope::ALL.iter().filter(|&&other| alone.contains(other)).count() == 1
            );
        }
        assert!(!Scopes::VIEWER.contains(Scope::Download));
    }

    #[test]
    fn what_is_shown_reads_back() {
        for scopes in [Scopes::NONE, Scopes::VIEWER, Scopes::ADMIN] {
            assert_eq!(Scopes::strict(&scopes.to_string()), Ok(scopes));
        }
        assert_eq!(format!("{:?}", Scopes::from_iter([Scope::Stream])), r#"{"stream"}"#);
    }
}

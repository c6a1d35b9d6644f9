//! Accounts: who a request comes from and what that user may do, as a JSON Web Token says it (RFC 7519, 8725, 9068).
//!
//! Tokens are made by the daemon itself, with the [key it keeps in its data folder](OwnKey), or by an identity provider whose
//! [public keys](IssuerKeys) it was given; the [`Verifier`] says whom a token names or why it is [refused](Refusal). The
//! cryptography is jsonwebtoken's; what is accepted at all is decided here, by hand.
//!
//! Not here: which route asks for which [`Scope`], which users are disabled and which tokens revoked (the database knows), and
//! the signed URLs of media, which are no JWTs and have a [secret](secret::load_or_make) of their own.

mod bearer;
mod issuer_keys;
mod key;
mod own_key;
mod refusal;
mod scope;
pub mod secret;
mod token;
mod token_id;
mod verifier;

#[cfg(test)]
mod tests;

pub use bearer::bearer;
pub use issuer_keys::{BadKeys, IssuerKeys, KeyFault};
pub use own_key::{Claims, OwnKey};
pub use refusal::Refusal;
pub use scope::{Scope, Scopes, UnknownScope};
pub use token_id::TokenId;
pub use verifier::{Rules, Verifier};

use crate::user::User;

/// Whom tokens are for unless something else is configured: their `aud`.
pub const AUDIENCE: &str = "afflux";

/// Who a request comes from, what that user may do, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The token's `sub`.
    pub user: User,
    /// The token's `scope`.
    pub scopes: Scopes,
    /// What the token is called when it is revoked.
    pub token: TokenId,
    /// When the token's time is over, in Unix seconds.
    pub expires: u64,
    /// Sessions at once, where the token narrows the daemon's limit.
    pub max_streams: Option<u32>,
    /// Bytes per second, where the token narrows the daemon's limit.
    pub max_rate: Option<u64>,
}

impl Identity {
    /// Whoever can reach a daemon that has no accounts: everything is allowed, for ever.
    pub fn local() -> Self {
        Self {
            user: User::local(),
            scopes: Scopes::ADMIN,
            token: TokenId::NONE,
            expires: u64::MAX,
            max_streams: None,
            max_rate: None,
        }
    }
}

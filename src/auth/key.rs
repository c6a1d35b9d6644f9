//! A key that signatures are checked with: it is for one algorithm and no other, so that no token can choose how it is checked.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey};

use super::Refusal;
use super::token::Token;

/// A key and the one algorithm that it is for.
pub(super) struct Key {
    name: Option<Box<str>>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    pub(super) fn new(name: Option<Box<str>>, algorithm: Algorithm, key: DecodingKey) -> Self {
        Self { name, algorithm, key }
    }

    /// The `kid` that it goes by, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether the token was signed with this key. The library compares HMACs in constant time, and refuses RSA keys shorter
    /// than 2048 bits, points that aren't on their curve, and numbers out of range.
    pub(super) fn check(&self, token: &Token<'_>) -> Result<(), Refusal> {
        if token.algorithm() != name_of(self.algorithm) {
            return Err(Refusal::Algorithm);
        }
        let message = token.message().as_bytes();
        match jsonwebtoken::crypto::verify(token.signature(), message, &self.key, self.algorithm) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::Signature),
            Err(error) if matches!(error.kind(), ErrorKind::Base64(_)) => Err(Refusal::Malformed),
            Err(_) => Err(Refusal::Signature),
        }
    }
}

/// The `alg` of the algorithms that keys are made for here; no token has the empty one, since that is nobody's name.
fn name_of(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "",
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

//! What a token is called when it is revoked.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The name of one token: a SHA-256, so that it has one length whatever an issuer thinks of, and nothing in it is hostile. It is
/// made of the token's `jti`, or of all that is signed where there is none: any token can be revoked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId([u8; 32]);

/// A text that is no token's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a token's id has 64 hexadecimal digits, as afflux token --json prints it")]
pub struct BadTokenId;

impl TokenId {
    /// Where there is no token: no SHA-256 is known to come out as this.
    pub const NONE: Self = Self([0; 32]);

    /// Of a token that has a `jti`. Issuers give those independently of each other, so the key's name is part of it; its length
    /// comes first, so that no other name and `jti` make the same bytes.
    pub fn of_jti(key: &str, jti: &str) -> Self {
        let hash = Sha256::new_with_prefix(b"jti\0");
        let hash = hash.chain_update((key.len() as u64).to_be_bytes()).chain_update(key).chain_update(jti);
        Self(hash.finalize().into())
    }

    /// Of a token without a `jti`, given everything before its signature. The signature isn't part of it: of an ECDSA signature
    /// anybody can make a second that is right too, which would be another text for the same token.
    pub fn of_signed(message: &str) -> Self {
        Self(Sha256::new_with_prefix(b"signed\0").chain_update(message).finalize().into())
    }

    /// The bytes, for a database.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for TokenId {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<Self, BadTokenId> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadTokenId);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadTokenId)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadTokenId)?;
        }
        // What stands for no token can't be named: whoever has none would be shut out with it.
        if bytes == Self::NONE.0 { Err(BadTokenId) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_that_run_together_stay_apart() {
        assert_ne!(TokenId::of_jti("ab", "c"), TokenId::of_jti("a", "bc"));
        assert_ne!(TokenId::of_jti("a", "x"), TokenId::of_jti("b", "x"));
        assert_ne!(TokenId::of_jti("", "x"), TokenId::of_signed("x"));
    }

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = TokenId::of_jti("afflux", "1");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(TokenId::from(*id.as_bytes()), id);
        for wrong in ["", "0", &"0".repeat(63), &"0".repeat(64), &"+1".repeat(32), &"é".repeat(32)] {
            assert_eq!(wrong.parse::<TokenId>(), Err(BadTokenId), "{wrong:?}");
        }
    }
}

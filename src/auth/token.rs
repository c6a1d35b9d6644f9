//! A token as text: three parts of base64url, of which the first two are JSON objects (RFC 7515, section 3.1).
//!
//! The claims can be read only after a key has checked the signature: [`Token::claims`] is for the verifier, which does so.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use serde_json::Value;

use super::Refusal;

/// Bytes of a token. Those of identity providers with many claims have two or three thousand; what is longer would only cost
/// hashing, for anybody who can send a header.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A token whose header was read. Nothing of it is true yet.
pub(super) struct Token<'a> {
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
    header: Header,
}

/// What of a header matters. `jku`, `jwk`, `x5u` and `x5c` would let the token bring its own key: they aren't even read.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

/// What of the claims matters, as it was written: what each must be is the verifier's to say. A claim said twice is an error,
/// since two readers could take it for different things.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Payload {
    pub(super) sub: Value,
    pub(super) exp: Value,
    pub(super) nbf: Value,
    pub(super) iat: Value,
    pub(super) aud: Value,
    pub(super) iss: Value,
    pub(super) jti: Value,
    pub(super) scope: Value,
    pub(super) max_streams: Value,
    pub(super) max_rate: Value,
}

impl<'a> Token<'a> {
    /// Takes a token apart and reads its header.
    pub(super) fn parse(text: &'a str) -> Result<Self, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Refusal::Malformed)?;
        if payload.contains('.') {
            return Err(Refusal::Malformed);
        }
        let header: Header = object(header)?;
        if header.crit {
            return Err(Refusal::Extension);
        }
        if !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(Refusal::Type);
        }
        Ok(Self { message, payload, signature, header })
    }

    /// The `alg` of the header.
    pub(super) fn algorithm(&self) -> &str {
        &self.header.alg
    }

    /// The `kid` of the header.
    pub(super) fn key_name(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// What was signed.
    pub(super) fn message(&self) -> &'a str {
        self.message
    }

    /// The signature, in base64url.
    pub(super) fn signature(&self) -> &'a str {
        self.signature
    }

    /// The claims.
    pub(super) fn claims(&self) -> Result<Payload, Refusal> {
        object(self.payload)
    }
}

/// `typ` is a media type in any case, of which `application/` may be left out (RFC 7515, section 4.1.9).
fn is_access_token(typ: &str) -> bool {
    let typ: Cow<'_, str> = typ.to_ascii_lowercase().into();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

/// Reads a JSON object. The decoder takes one spelling of every sequence of bytes: no padding, no stray bits, no whitespace.
/// serde_json stops at a depth of 128, and takes lists for structs, which no part of a token is.
fn object<T: DeserializeOwned>(part: &str) -> Result<T, Refusal> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed)?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| Refusal::Malformed)
}

/// Whether a member is there, even as `null`.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

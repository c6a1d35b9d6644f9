//! Signed tokens of the media routes, `/stream/{token}/{name}`: for players that can't send headers.
//!
//! A token says which session it belongs to, which file it opens and until when, and carries a MAC over that and over what only
//! the session knows: its user and its torrent. So it is worth nothing for another session, user or torrent, and it ends with
//! its session, whose look-up fails. It isn't bound to an address: a Chromecast fetches from its own.
//!
//! On the wire, in base64url without padding, 62 characters:
//!
//! ```text
//! version(1)  session(16)  scope(1)  file(4)  expires(8)  mac(16)      big endian
//! ```
//!
//! Not here: sessions, JWTs (another audience and another key), what a revoked session answers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::limits::ID_BYTES_MAX;

mod redact;

/// What the MAC begins with: a MAC that this key made for another purpose is none of ours.
const DOMAIN: &[u8] = b"afflux media token\0";

/// The only version there is.
const VERSION: u8 = 1;

/// Bytes of the parts, in their order.
const SESSION_BYTES: usize = 16;
const CLAIMS_BYTES: usize = 1 + SESSION_BYTES + 1 + 4 + 8;
const MAC_BYTES: usize = 16;
const TOKEN_BYTES: usize = CLAIMS_BYTES + MAC_BYTES;

/// Characters of a token.
const TOKEN_CHARS: usize = (TOKEN_BYTES * 4).div_ceil(3);

const _: () = assert!(TOKEN_CHARS <= ID_BYTES_MAX, "the router lets tokens through");

/// Says which session is meant. It is a name, not a secret: what it opens needs a token or a JWT.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; SESSION_BYTES]);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// Not the text of a session id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a session id has 22 characters of A-Z, a-z, 0-9, _ and -")]
pub struct BadSessionId;

impl FromStr for SessionId {
    type Err = BadSessionId;

    fn from_str(text: &str) -> Result<SessionId, BadSessionId> {
        decode(text).map(SessionId).ok_or(BadSessionId)
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaToken {
    /// The session it belongs to and ends with.
    pub session: SessionId,
    /// The file it opens; `None` is the session as a whole, for its playlists.
    pub file: Option<u32>,
    /// From this second of Unix time on it opens nothing.
    pub expires_at: u64,
}

impl MediaToken {
    /// Reads a token without believing it: the result names the session whose [`Bound`] decides.
    pub fn parse(text: &str) -> Result<Unverified, TokenError> {
        let bytes: [u8; TOKEN_BYTES] = decode(text).ok_or(TokenError::Malformed)?;
        let (claims, mac) = bytes.split_at(CLAIMS_BYTES);
        let token = MediaToken::from_bytes(claims).ok_or(TokenError::Malformed)?;
        let mac = mac.try_into().map_err(|_| TokenError::Malformed)?;
        Ok(Unverified { token, mac })
    }

    fn to_bytes(self) -> [u8; CLAIMS_BYTES] {
        let mut bytes = [0; CLAIMS_BYTES];
        bytes[0] = VERSION;
        bytes[1..17].copy_from_slice(&self.session.0);
        bytes[17] = u8::from(self.file.is_some());
        bytes[18..22].copy_from_slice(&self.file.unwrap_or(0).to_be_bytes());
        bytes[22..].copy_from_slice(&self.expires_at.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<MediaToken> {
        let (&version, rest) = bytes.split_first()?;
        let (session, rest) = rest.split_first_chunk()?;
        let (&scope, rest) = rest.split_first()?;
        let (file, expires_at) = rest.split_first_chunk()?;
        let file = match (version, scope, u32::from_be_bytes(*file)) {
            (VERSION, 0, 0) => None,
            (VERSION, 1, file) => Some(file),
            _ => return None,
        };
        let expires_at = u64::from_be_bytes(expires_at.try_into().ok()?);
        Some(MediaToken { session: SessionId(*session), file, expires_at })
    }
}

/// What a token is bound to besides what it says: known to its session, and never in the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The torrent's info-hash, v1 or v2.
    pub info_hash: &'a [u8],
}

/// A token as somebody sent it. Only [`verify`](Self::verify) says what it allows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unverified {
    token: MediaToken,
    mac: [u8; MAC_BYTES],
}

impl Unverified {
    /// The session it claims, to look up what it must be bound to.
    pub fn session(&self) -> SessionId {
        self.token.session
    }

    /// What the token allows, if `key` sealed it for `bound` and it isn't over at `now_unix`. The MAC is compared in
    /// constant time, and before anything else is looked at.
    pub fn verify(&self, key: &MediaKey, bound: &Bound<'_>, now_unix: u64) -> Result<MediaToken, TokenError> {
        key.mac(&self.token, bound).verify_truncated_left(&self.mac).map_err(|_| TokenError::Forged)?;
        if now_unix >= self.token.expires_at {
            return Err(TokenError::Expired);
        }
        Ok(self.token)
    }
}

/// Without the MAC: this is what ends up in logs.
impl fmt::Debug for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unverified").field(&self.token).finish()
    }
}

/// Why a token opens nothing. To strangers the first two are one: there is no such stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not the text of a token.
    #[error("this isn't a stream's address: copy the whole URL again")]
    Malformed,
    /// Sealed with another key, or for another user or torrent.
    #[error("this stream's address isn't valid here: start the stream again for a new one")]
    Forged,
    /// Its time is over.
    #[error("this stream's address has expired: start the stream again for a new one")]
    Expired,
}

/// The secret that seals tokens. Whoever has it can open every file of every session.
#[derive(Clone)]
pub struct MediaKey {
    /// Keyed, and fed nothing yet.
    keyed: Hmac<Sha256>,
}

impl MediaKey {
    /// A key of 32 random bytes, which are used for nothing else.
    pub fn new(secret: [u8; 32]) -> MediaKey {
        // As HMAC itself pads a key to the hash's block (RFC 2104 section 2).
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(&secret);
        MediaKey { keyed: Hmac::new(&block.into()) }
    }

    /// The text of a token.
    pub fn seal(&self, token: &MediaToken, bound: &Bound<'_>) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..CLAIMS_BYTES].copy_from_slice(&token.to_bytes());
        let mac = self.mac(token, bound).finalize().into_bytes();
        bytes[CLAIMS_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whatever has no fixed length goes in behind its length, so that no two inputs are the same bytes.
    fn mac(&self, token: &MediaToken, bound: &Bound<'_>) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(DOMAIN);
        mac.update(&token.to_bytes());
        for part in [bound.user.as_bytes(), bound.info_hash] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

impl fmt::Debug for MediaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MediaKey(…)")
    }
}

/// Replaces what opens something by `[redacted]`, for logs: tokens in `/stream/{token}/…`, whatever stands behind `Bearer` or
/// `token=`, and tokens anywhere else. Sees through percent-encoding (however often), doubled and backward slashes, and case,
/// so that what a proxy in front of us spells differently stays hidden too. The info-hash in `/api/stream/{hash}` stays.
pub fn redact(text: &str) -> Cow<'_, str> {
    redact::redact(text)
}

/// Exactly `N` bytes in base64url without padding. The spare bits of the last character must be 0, so that there is one
/// spelling.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;

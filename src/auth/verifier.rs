//! Whom a token names, or why it isn't taken.
//!
//! The order is part of the rules: length and shape, then the key that the token's `kid` means, then the algorithm of that key,
//! then the signature, and only then what the token says. So nobody learns from a refusal what a claim would have to be, unless
//! they have a token that was signed.

use serde_json::Value;

use super::issuer_keys::{BadKeys, IssuerKeys, find};
use super::key::Key;
use super::own_key::{OWN_KEY, OwnKey};
use super::token::{Payload, Token};
use super::{AUDIENCE, Identity, Refusal, TokenId};

/// How far two machines' clocks may be apart, in seconds. Those that ask for the time are within a few; delivery of a revocation
/// isn't slowed by it.
const LEEWAY: u64 = 30;
/// The end of the year 9999, in Unix seconds. What is later was written in milliseconds, and would never end.
const DATE_MAX: u64 = 253_402_300_799;
/// Bytes of a `jti`: they are UUIDs and the like.
const JTI_BYTES_MAX: usize = 256;

/// Which signed tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What a token's `aud` must name.
    pub audience: String,
    /// What the `iss` of tokens must be that were signed with an issuer's key. Of those that the daemon's own key signed it is
    /// known who made them.
    pub issuer: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self { audience: AUDIENCE.to_owned(), issuer: None }
    }
}

/// Checks tokens against the daemon's own key and those of an issuer.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    own: OwnKey,
    issuer: Option<IssuerKeys>,
}

impl Verifier {
    /// With these keys; there is always the daemon's own.
    pub fn new(rules: Rules, own: OwnKey, issuer: Option<IssuerKeys>) -> Self {
        Self { rules, own, issuer }
    }

    /// Reads the issuer's keys again, if there are any; if they can't be used, the old ones stay. Blocks.
    pub fn reload(&self) -> Result<(), BadKeys> {
        self.issuer.as_ref().map_or(Ok(()), IssuerKeys::reload)
    }

    /// Whom a token names at this time, in Unix seconds. Whether the token was revoked or the user disabled is asked elsewhere.
    pub fn verify(&self, token: &str, now: u64) -> Result<Identity, Refusal> {
        let token = Token::parse(token)?;
        let issuer = self.issuer.as_ref().map(IssuerKeys::now);
        let (key, own) = match (token.key_name(), &issuer) {
            (Some(OWN_KEY), _) | (None, None) => (Some(&self.own.checking), true),
            (name, Some(keys)) => (find(keys, name), false),
            (Some(_), None) => (None, true),
        };
        let key = key.ok_or(Refusal::Key)?;
        key.check(&token)?;
        let claims = token.claims()?;
        self.check_time(&claims, now)?;
        self.check_parties(&claims, own)?;
        identity(&token, key, &claims)
    }

    fn check_time(&self, claims: &Payload, now: u64) -> Result<(), Refusal> {
        let expires = date(&claims.exp, "exp")?.ok_or(Refusal::Claim("exp"))?;
        if now >= expires.saturating_add(LEEWAY) {
            return Err(Refusal::Expired);
        }
        let latest = date(&claims.nbf, "nbf")?.max(date(&claims.iat, "iat")?);
        if latest.is_some_and(|begins| begins > now.saturating_add(LEEWAY)) {
            return Err(Refusal::NotYetValid);
        }
        Ok(())
    }

    fn check_parties(&self, claims: &Payload, own: bool) -> Result<(), Refusal> {
        if !self.is_for_us(&claims.aud)? {
            return Err(Refusal::Audience);
        }
        match &self.rules.issuer {
            Some(issuer) if !own && text(&claims.iss, "iss")? != Some(issuer.as_str()) => {
                Err(Refusal::Issuer)
            }
            _ => Ok(()),
        }
    }

    /// `aud` is one name or a list of them (RFC 7519, section 4.1.3).
    fn is_for_us(&self, audience: &Value) -> Result<bool, Refusal> {
        let Value::Array(names) = audience else {
            return Ok(text(audience, "aud")? == Some(self.rules.audience.as_str()));
        };
        if !names.iter().all(Value::is_string) {
            return Err(Refusal::Claim("aud"));
        }
        Ok(names.iter().any(|name| name == &self.rules.audience))
    }
}

fn identity(token: &Token<'_>, key: &Key, claims: &Payload) -> Result<Identity, Refusal> {
    let user = claims.sub.as_str().and_then(|name| name.parse().ok()).ok_or(Refusal::Subject)?;
    let id = match text(&claims.jti, "jti")? {
        Some(jti) if (1..=JTI_BYTES_MAX).contains(&jti.len()) => {
            TokenId::of_jti(key.name().unwrap_or_default(), jti)
        }
        Some(_) => return Err(Refusal::Claim("jti")),
        None => TokenId::of_signed(token.message()),
    };
    let Ok(scopes) = text(&claims.scope, "scope")?.unwrap_or_default().parse();
    let max_streams = count(&claims.max_streams, "max_streams")?;
    Ok(Identity {
        user,
        scopes,
        token: id,
        expires: date(&claims.exp, "exp")?.ok_or(Refusal::Claim("exp"))?,
        // More than fits is no limit that narrows anything.
        max_streams: max_streams.map(|streams| u32::try_from(streams).unwrap_or(u32::MAX)),
        // As with the daemon's own limits, 0 is none.
        max_rate: count(&claims.max_rate, "max_rate")?.filter(|&rate| rate > 0),
    })
}

/// A claim that is text, if it is there.
fn text<'c>(claim: &'c Value, name: &'static str) -> Result<Option<&'c str>, Refusal> {
    match claim {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::Claim(name)),
    }
}

/// A claim that is a time, if it is there: seconds, of which some issuers write fractions.
fn date(claim: &Value, name: &'static str) -> Result<Option<u64>, Refusal> {
    let in_range = |seconds: &f64| (0.0..=DATE_MAX as f64).contains(seconds);
    let seconds = match claim {
        Value::Null => return Ok(None),
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().filter(in_range).map(|seconds| seconds as u64))
            .filter(|&seconds| seconds <= DATE_MAX),
        _ => None,
    };
    seconds.map(Some).ok_or(Refusal::Claim(name))
}

/// A claim that is a whole number, if it is there.
fn count(claim: &Value, name: &'static str) -> Result<Option<u64>, Refusal> {
    match claim {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_u64().map(Some).ok_or(Refusal::Claim(name)),
        _ => Err(Refusal::Claim(name)),
    }
}

//! The public keys of an identity provider, from the file of `--jwt-keys`: one key as PEM, or a set of them as JWKS (RFC 7517).
//!
//! A key's algorithm is settled here, by what the key is: RSA is RS256, P-256 is ES256, Ed25519 is EdDSA. Keys are only ever
//! taken from this file, never from an address or certificate that a token names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use thiserror::Error;
use tracing::debug;

use super::key::Key;
use super::own_key::OWN_KEY;

/// Bytes of the file: a set of as many keys as are allowed has room for their certificates too.
const FILE_BYTES_MAX: u64 = 512 * 1024;
/// Keys in a set: providers have two or three, the current one and its neighbours. Every token without a known `kid` is
/// compared with all.
const KEYS_MAX: usize = 64;
/// Bytes of a key's `kid`.
const NAME_BYTES_MAX: usize = 256;
/// Bits of an RSA modulus: RFC 7518, section 3.3, asks for 2048; beyond 8192 the cryptography doesn't go.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Bytes of a coordinate on P-256, and of a key on Ed25519.
const POINT_BYTES: usize = 32;
/// How the PEM of every key on P-256 begins: what the key is for, the name of the curve, and the start of the point. Other
/// curves differ in it, some of which have points of the same length.
const PEM_P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
/// The same for Ed25519.
const PEM_ED25519: &str = "MCowBQYDK2VwAyEA";

/// Why the file of `--jwt-keys` can't be used.
#[derive(Debug, Error)]
#[error("the keys in {path} can't be used: {fault}", path = .path.display())]
pub struct BadKeys {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: KeyFault,
}

/// What is wrong with a file of keys.
#[derive(Debug, Error)]
pub enum KeyFault {
    /// It can't be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no file, or far too long for one of keys.
    #[error("it must be a file of at most {FILE_BYTES_MAX} bytes")]
    Size,
    /// It is neither PEM nor JWKS.
    #[error("it must be a PEM file (BEGIN PUBLIC KEY) or a JWKS ({{\"keys\": […]}}): {0}")]
    Format(String),
    /// It has a private or shared key.
    #[error(
        "it has a private or shared key, which belongs on the issuer's machine alone: give the public key"
    )]
    Private,
    /// An RSA key has an unsafe size or exponent.
    #[error(
        "an RSA key must have 2048 to 8192 bits and an odd exponent above 1 of at most 33 bits: have the issuer make a new one"
    )]
    Weak,
    /// A set has too many keys.
    #[error("there are more than {KEYS_MAX} keys in it: leave those out that are no longer used")]
    Count,
    /// A key's name can't be used.
    #[error(
        "in a set of several keys, every one needs a kid of its own with 1 to {NAME_BYTES_MAX} bytes, \
         and {OWN_KEY:?} is the daemon's own"
    )]
    Name,
    /// None of the keys is of a kind that is taken.
    #[error("none of its keys is for RS256, ES256 or EdDSA (Ed25519) signatures: those are what is taken")]
    NoneUsable,
}

/// The public keys of whoever issues tokens, read anew when told so.
#[derive(Debug)]
pub struct IssuerKeys {
    path: PathBuf,
    keys: RwLock<Arc<[Key]>>,
}

impl IssuerKeys {
    /// Reads a PEM or JWKS file. Blocks.
    pub fn open(path: &Path) -> Result<Self, BadKeys> {
        let keys = load(path)?;
        Ok(Self { path: path.to_owned(), keys: RwLock::new(keys) })
    }

    /// Reads the file again. If it can't be used, the keys stay as they are. Blocks.
    pub fn reload(&self) -> Result<(), BadKeys> {
        let keys = load(&self.path)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// The keys as they are now.
    pub(super) fn now(&self) -> Arc<[Key]> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The key that a token's `kid` means. Where there is only one, a token needs none, and if the key itself has no name
/// (PEM files give none), it can't contradict any.
pub(super) fn find<'k>(keys: &'k [Key], name: Option<&str>) -> Option<&'k Key> {
    match (keys, name) {
        ([only], _) if only.name().is_none() => Some(only),
        ([only], None) => Some(only),
        (_, Some(_)) => keys.iter().find(|key| key.name() == name),
        (_, None) => None,
    }
}

fn load(path: &Path) -> Result<Arc<[Key]>, BadKeys> {
    read(path).and_then(|bytes| parse(&bytes)).map_err(|fault| BadKeys { path: path.to_owned(), fault })
}

fn read(path: &Path) -> Result<Vec<u8>, KeyFault> {
    // Asked before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(KeyFault::Size);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err(KeyFault::Size) } else { Ok(bytes) }
}

fn parse(bytes: &[u8]) -> Result<Arc<[Key]>, KeyFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is no text"))?.trim();
    if text.starts_with('{') { set(text) } else { pem(text).map(|key| Arc::from([key])) }
}

/// One public key in PEM.
fn pem(text: &str) -> Result<Key, KeyFault> {
    if text.contains("PRIVATE KEY") {
        return Err(KeyFault::Private);
    }
    let framed = |kind: &str| {
        let text = text.strip_prefix(&format!("-----BEGIN {kind}-----"))?;
        text.strip_suffix(&format!("-----END {kind}-----")).filter(|body| !body.contains('-'))
    };
    let new = |algorithm, key| Key::new(None, algorithm, key);
    let wrong = |_| malformed("it can't be decoded");
    if framed("RSA PUBLIC KEY").is_some() {
        return rsa_pem(text).map(|key| new(Algorithm::RS256, key));
    }
    let body = framed("PUBLIC KEY").ok_or_else(|| malformed("one key alone, or several in a JWKS"))?;
    let body: String = body.split_ascii_whitespace().collect();
    if body.starts_with(PEM_P256) {
        DecodingKey::from_ec_pem(text.as_bytes()).map(|key| new(Algorithm::ES256, key)).map_err(wrong)
    } else if body.starts_with(PEM_ED25519) {
        DecodingKey::from_ed_pem(text.as_bytes()).map(|key| new(Algorithm::EdDSA, key)).map_err(wrong)
    } else {
        rsa_pem(text).map(|key| new(Algorithm::RS256, key))
    }
}

/// What is left when it is no key on a known curve.
fn rsa_pem(text: &str) -> Result<DecodingKey, KeyFault> {
    let key = DecodingKey::from_rsa_pem(text.as_bytes()).map_err(|_| KeyFault::NoneUsable)?;
    let der = key.try_get_as_bytes().map_err(|_| KeyFault::NoneUsable)?;
    let components = aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    let (modulus, exponent) = components(der).map_err(|_| KeyFault::Weak)?;
    rsa(&modulus, &exponent)
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<DecodingKey, KeyFault> {
    let (modulus, exponent) = (number(modulus), number(exponent));
    let odd = exponent.last().is_some_and(|last| last % 2 == 1);
    if RSA_BITS.contains(&bits(modulus)) && (2..=33).contains(&bits(exponent)) && odd {
        Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
    } else {
        Err(KeyFault::Weak)
    }
}

/// A number without its leading zeros.
fn number(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len())..]
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// A JWKS. What it has for other uses and algorithms is passed over, as RFC 7517, section 5, asks for.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// The private part of RSA and curves.
    d: Option<serde::de::IgnoredAny>,
    /// A shared key.
    k: Option<serde::de::IgnoredAny>,
}

fn set(text: &str) -> Result<Arc<[Key]>, KeyFault> {
    let set: Set = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
    if set.keys.len() > KEYS_MAX {
        return Err(KeyFault::Count);
    }
    let mut keys: Vec<Key> = Vec::with_capacity(set.keys.len());
    for jwk in set.keys {
        let Some(key) = jwk.into_key()? else { continue };
        let fits =
            key.name().is_none_or(|name| (1..=NAME_BYTES_MAX).contains(&name.len()) && name != OWN_KEY);
        if !fits || keys.iter().any(|other| other.name() == key.name()) {
            return Err(KeyFault::Name);
        }
        keys.push(key);
    }
    match keys.as_slice() {
        [] => Err(KeyFault::NoneUsable),
        [_, _, ..] if keys.iter().any(|key| key.name().is_none()) => Err(KeyFault::Name),
        _ => Ok(keys.into()),
    }
}

impl Jwk {
    /// The key, if it is for signatures that are taken here.
    fn into_key(self) -> Result<Option<Key>, KeyFault> {
        if self.d.is_some() || self.k.is_some() {
            return Err(KeyFault::Private);
        }
        let Some(algorithm) = self.algorithm() else {
            debug!(kid = self.kid, "a key for something else is passed over");
            return Ok(None);
        };
        let key = match algorithm {
            Algorithm::RS256 => rsa(&member("n", self.n)?, &member("e", self.e)?)?,
            Algorithm::ES256 => {
                let (x, y) = (point("x", self.x)?, point("y", self.y)?);
                // The uncompressed form of a point: SEC 1, section 2.3.3.
                DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat())
            }
            _ => DecodingKey::from_ed_der(&point("x", self.x)?),
        };
        Ok(Some(Key::new(self.kid.map(Into::into), algorithm, key)))
    }

    /// The one algorithm that such a key is for here, unless the key says that it is for something else.
    fn algorithm(&self) -> Option<Algorithm> {
        let (name, algorithm) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => ("RS256", Algorithm::RS256),
            ("EC", Some("P-256")) => ("ES256", Algorithm::ES256),
            ("OKP", Some("Ed25519")) => ("EdDSA", Algorithm::EdDSA),
            _ => return None,
        };
        let meant = self.alg.as_deref().is_none_or(|alg| alg == name)
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|uses| uses.iter().any(|op| op == "verify"));
        meant.then_some(algorithm)
    }
}

fn member(name: &str, text: Option<String>) -> Result<Vec<u8>, KeyFault> {
    let text = text.ok_or_else(|| malformed(&format!("a key has no {name}")))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed(&format!("a key's {name} is no unpadded base64url")))
}

fn point(name: &str, text: Option<String>) -> Result<Vec<u8>, KeyFault> {
    let bytes = member(name, text)?;
    let wrong = || malformed(&format!("a key's {name} must have {POINT_BYTES} bytes"));
    if bytes.len() == POINT_BYTES { Ok(bytes) } else { Err(wrong()) }
}

fn malformed(what: &str) -> KeyFault {
    KeyFault::Format(what.to_owned())
}

//! The public keys of an identity provider, from the file of `--jwt-keys`: one key as PEM, or a set of them as JWKS (RFC 7517).
//!
//! A key's algorithm is settled here, by what the key is: RSA is RS256, P-256 is ES256, Ed25519 is EdDSA. Keys are only ever
//! taken from this file, never from an address or certificate that a token names.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
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
/// How every key on P-256 begins in DER: that it is a key on a curve, on which, and that the point follows (RFC 5480,
/// section 2). Other curves differ in it, some of which have points of the same length.
const DER_P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
/// The same for Ed25519 (RFC 8410, section 4).
const DER_ED25519: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
/// What names RSA in a key (RFC 3279, section 2.3.1), after the length of the key and of what names it.
const DER_RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// The form of a point that has both of its coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

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

/// One public key in PEM. It is read here, since the library's decoder calls itself for every level of nesting.
fn pem(text: &str) -> Result<Key, KeyFault> {
    if text.contains("PRIVATE KEY") {
        return Err(KeyFault::Private);
    }
    let framed = |kind: &str| {
        let text = text.strip_prefix(&format!("-----BEGIN {kind}-----"))?;
        text.strip_suffix(&format!("-----END {kind}-----"))
    };
    let decoded = |body: &str| {
        let body: String = body.split_ascii_whitespace().collect();
        STANDARD.decode(body).map_err(|_| malformed("one key alone can be in a PEM file, several are a JWKS"))
    };
    let (algorithm, key) = match (framed("PUBLIC KEY"), framed("RSA PUBLIC KEY")) {
        (Some(body), _) => public_key(&decoded(body)?)?,
        (None, Some(body)) => (Algorithm::RS256, rsa_der(&decoded(body)?)?),
        (None, None) => return Err(malformed("it is neither")),
    };
    Ok(Key::new(None, algorithm, key))
}

/// A key that says itself what it is for (RFC 5280, section 4.1.2.7).
fn public_key(der: &[u8]) -> Result<(Algorithm, DecodingKey), KeyFault> {
    if let Some(point @ [UNCOMPRESSED, coordinates @ ..]) = der.strip_prefix(DER_P256)
        && coordinates.len() == 2 * POINT_BYTES
    {
        return Ok((Algorithm::ES256, DecodingKey::from_ec_der(point)));
    }
    if let Some(point) = der.strip_prefix(DER_ED25519).filter(|point| point.len() == POINT_BYTES) {
        return Ok((Algorithm::EdDSA, DecodingKey::from_ed_der(point)));
    }
    if der.get(4..).is_some_and(|inside| inside.starts_with(DER_RSA)) {
        return Ok((Algorithm::RS256, rsa_der(der)?));
    }
    Err(KeyFault::NoneUsable)
}

/// An RSA key, alone or with what says that it is one.
fn rsa_der(der: &[u8]) -> Result<DecodingKey, KeyFault> {
    let components = aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key;
    // What the cryptography can't take apart is mostly too weak for it.
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
                DecodingKey::from_ec_der(&[&[UNCOMPRESSED][..], &x, &y].concat())
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

//! Info-hashes (BEP 3, BEP 52) and peer ids, with their text forms.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a text is no info-hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HashError {
    /// Neither 40 hex digits nor 32 base32 characters (v1), or not 64 hex digits (v2).
    #[error(
        "an info-hash has 40 hex digits, 32 base32 characters, or (v2) 64 hex digits; this has {0} characters"
    )]
    Length(usize),
    /// A character outside the alphabet.
    #[error("an info-hash is hex or base32; {0:?} is neither")]
    Character(char),
}

/// SHA-1 of the raw `info` dictionary (BEP 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

/// SHA-256 of the raw `info` dictionary (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2(pub [u8; 32]);

/// The 20 bytes a client calls itself by in handshakes and announces (BEP 20).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

/// The hashes one torrent is known by; a hybrid has both, and there is always at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InfoHashes {
    /// A torrent of BEP 3 alone.
    V1(InfoHash),
    /// A torrent of BEP 52 alone.
    V2(InfoHashV2),
    /// Both describe the same files.
    Hybrid(InfoHash, InfoHashV2),
}

impl InfoHash {
    /// The SHA-1 of `info`, the dictionary's raw bytes.
    pub fn of(info: &[u8]) -> Self {
        Self(sha1_smol::Sha1::from(info).digest().bytes())
    }
}

impl InfoHashV2 {
    /// The SHA-256 of `info`, the dictionary's raw bytes.
    pub fn of(info: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(info).into())
    }

    /// The first 20 bytes: what stands for a v2 hash in handshakes, announces and the DHT (BEP 52).
    pub fn truncated(&self) -> InfoHash {
        let mut short = [0; 20];
        short.copy_from_slice(&self.0[..20]);
        InfoHash(short)
    }
}

impl InfoHashes {
    /// The v1 hash, if there is one.
    pub fn v1(&self) -> Option<InfoHash> {
        match *self {
            Self::V1(v1) | Self::Hybrid(v1, _) => Some(v1),
            Self::V2(_) => None,
        }
    }

    /// The v2 hash, if there is one.
    pub fn v2(&self) -> Option<InfoHashV2> {
        match *self {
            Self::V2(v2) | Self::Hybrid(_, v2) => Some(v2),
            Self::V1(_) => None,
        }
    }

    /// The 20 bytes used in handshakes and announces: v1 where it exists, else the truncated v2 hash.
    pub fn wire(&self) -> InfoHash {
        match self {
            Self::V1(v1) | Self::Hybrid(v1, _) => *v1,
            Self::V2(v2) => v2.truncated(),
        }
    }
}

impl FromStr for InfoHash {
    type Err = HashError;

    /// 40 hex digits or 32 base32 characters (RFC 4648), any case.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let mut bytes = [0; 20];
        match text.len() {
            40 => decode_hex(text, &mut bytes)?,
            32 => decode_base32(text, &mut bytes)?,
            length => return Err(HashError::Length(length)),
        }
        Ok(Self(bytes))
    }
}

impl FromStr for InfoHashV2 {
    type Err = HashError;

    /// 64 hex digits, any case.
    fn from_str(text: &str) -> Result<Self, HashError> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return Err(HashError::Length(text.len()));
        }
        decode_hex(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl FromStr for InfoHashes {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        if text.len() == 64 { text.parse().map(Self::V2) } else { text.parse().map(Self::V1) }
    }
}

fn decode_hex(text: &str, out: &mut [u8]) -> Result<(), HashError> {
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
    }
    Ok(())
}

fn hex_digit(character: u8) -> Result<u8, HashError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Ok(character - b'A' + 10),
        _ => Err(HashError::Character(char::from(character))),
    }
}

fn decode_base32(text: &str, out: &mut [u8; 20]) -> Result<(), HashError> {
    for (group, bytes) in text.as_bytes().chunks_exact(8).zip(out.chunks_exact_mut(5)) {
        let mut bits = 0u64;
        for &character in group {
            let value = match character.to_ascii_lowercase() {
                letter @ b'a'..=b'z' => letter - b'a',
                digit @ b'2'..=b'7' => digit - b'2' + 26,
                other => return Err(HashError::Character(char::from(other))),
            };
            bits = bits << 5 | u64::from(value);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Ok(())
}

/// Writes `bytes` as lower-case hex.
pub fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! shown_as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }
    };
}

shown_as_hex!(InfoHash);
shown_as_hex!(InfoHashV2);

impl fmt::Display for PeerId {
    /// Printable characters as they are, others as `%xx`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            b'!'..=b'~' if byte != b'%' => write!(f, "{}", char::from(byte)),
            _ => write!(f, "%{byte:02x}"),
        })
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_and_base32_name_the_same_hash() {
        let hex: InfoHash = "0123456789ABCDEF0123456789abcdef01234567".parse().unwrap();
        let base32: InfoHash = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH".parse().unwrap();
        assert_eq!(hex, base32);
        assert_eq!(hex.to_string(), "0123456789abcdef0123456789abcdef01234567");
    }

    #[test]
    fn wrong_lengths_and_characters_are_named() {
        assert_eq!("0123".parse::<InfoHash>(), Err(HashError::Length(4)));
        assert_eq!("g".repeat(40).parse::<InfoHash>(), Err(HashError::Character('g')));
        assert_eq!("1".repeat(32).parse::<InfoHash>(), Err(HashError::Character('1')));
        assert_eq!("é".repeat(20).parse::<InfoHash>(), Err(HashError::Character('\u{c3}')));
    }
}

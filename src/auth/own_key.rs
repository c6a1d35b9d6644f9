//! The daemon's own key: tokens are minted with it (`afflux token`) and checked against it.

use std::fmt;
use std::path::Path;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;

use super::key::Key;
use super::secret::{self, BadSecret, SECRET_BYTES};
use super::{Scopes, TokenId};
use crate::user::User;

/// The `kid` of the daemon's own key. No issuer's key may go by it.
pub(super) const OWN_KEY: &str = "afflux";
/// Where the key is in the data folder.
const FILE: &str = "secrets/jwt.key";

/// The key that the daemon mints and checks tokens with (HS256).
pub struct OwnKey {
    signing: EncodingKey,
    pub(super) checking: Key,
}

/// What a token of our own says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it is for.
    pub user: User,
    /// What it allows.
    pub scopes: Scopes,
    /// Which service it is for.
    pub audience: String,
    /// When it was made, in Unix seconds.
    pub issued: u64,
    /// When its time is over, in Unix seconds.
    pub expires: u64,
    /// Its name among the daemon's tokens, which says which one is revoked. Names are random: see [`Claims::random_id`].
    pub id: String,
    /// Sessions at once, if fewer than the daemon allows.
    pub max_streams: Option<u32>,
    /// Bytes per second, if fewer than the daemon allows.
    pub max_rate: Option<u64>,
}

/// The same as it is written.
#[derive(Serialize)]
struct Written<'a> {
    sub: &'a str,
    scope: String,
    aud: &'a str,
    iss: &'static str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_streams: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rate: Option<u64>,
}

impl OwnKey {
    /// The key in a data folder, made if it isn't there. Blocks.
    pub fn open(data_dir: &Path) -> Result<Self, BadSecret> {
        secret::load_or_make(&data_dir.join(FILE)).map(|secret| Self::new(&secret))
    }

    /// Of these bytes.
    pub fn new(secret: &[u8; SECRET_BYTES]) -> Self {
        let checking = Key::new(Some(OWN_KEY.into()), Algorithm::HS256, DecodingKey::from_secret(secret));
        Self { signing: EncodingKey::from_secret(secret), checking }
    }

    /// Makes a token.
    pub fn mint(&self, claims: &Claims) -> String {
        let (kid, typ) = (Some(OWN_KEY.to_owned()), Some("at+jwt".to_owned()));
        let header = Header { kid, typ, ..Header::new(Algorithm::HS256) };
        let written = Written {
            sub: claims.user.as_str(),
            scope: claims.scopes.to_string(),
            aud: &claims.audience,
            iss: OWN_KEY,
            iat: claims.issued,
            exp: claims.expires,
            jti: &claims.id,
            max_streams: claims.max_streams,
            max_rate: claims.max_rate,
        };
        jsonwebtoken::encode(&header, &written, &self.signing)
            .expect("texts and numbers become JSON, and an HMAC key of any length signs")
    }
}

impl Claims {
    /// A name for a token: 128 random bits.
    pub fn random_id() -> Result<String, std::io::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// What the token is called when it is revoked.
    pub fn token_id(&self) -> TokenId {
        TokenId::of_jti(OWN_KEY, &self.id)
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

//! Tokens as attackers, careless issuers and chance write them, and what is said to each.

mod hostile;
mod issuers;
mod properties;

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: [u8; 32] = [7; 32];

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A verifier that has the daemon's own key alone.
fn alone() -> Verifier {
    Verifier::new(Rules::default(), OwnKey::new(&SECRET), None)
}

/// What a good token says; a claim that is set to `null` is left out.
fn claims(changes: Value) -> String {
    let mut claims = json!({
        "sub": "anna", "aud": "afflux", "exp": NOW + 60, "iat": NOW, "nbf": NOW, "scope": "stream", "jti": "1"
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims.to_string()
}

/// Puts a token together, signed as `alg` would be with these bytes as the secret.
fn hmac(secret: &[u8], algorithm: Algorithm, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

/// A token that the daemon's own key signed, whatever its header and payload are.
fn own(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    hmac(&SECRET, Algorithm::HS256, header, payload)
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// An identity provider with a key of each kind.
struct Provider {
    rsa: RsaKeyPair,
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

static PROVIDER: LazyLock<Provider> = LazyLock::new(|| Provider {
    rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    ed: Ed25519KeyPair::generate().unwrap(),
});

fn public_pem(der: &[u8]) -> String {
    pem::encode(&pem::Pem::new("PUBLIC KEY", der))
}

impl Provider {
    fn rsa_pem(&self) -> String {
        public_pem(self.rsa.public_key().as_der().unwrap().as_ref())
    }

    fn ec_pem(&self) -> String {
        public_pem(self.ec.public_key().as_der().unwrap().as_ref())
    }

    fn ed_pem(&self) -> String {
        public_pem(self.ed.public_key().as_der().unwrap().as_ref())
    }

    fn rsa_jwk(&self) -> Value {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public_key());
        json!({"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": b64(public.n), "e": b64(public.e)})
    }

    fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": b64(&point[1..33]), "y": b64(&point[33..])})
    }

    fn ed_jwk(&self) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key().as_ref())})
    }

    fn jwks(&self) -> String {
        json!({"keys": [self.rsa_jwk(), self.ec_jwk(), self.ed_jwk()]}).to_string()
    }

    /// Signs in the way that `alg` says.
    fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match alg {
            "RS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            "ES256" => self.ec.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            _ => panic!("no key for {alg}"),
        }
    }

    fn token(&self, alg: &str, kid: Option<&str>, payload: &str) -> String {
        let header = match kid {
            Some(kid) => json!({"alg": alg, "kid": kid, "typ": "at+jwt"}),
            None => json!({"alg": alg}),
        };
        let message = format!("{}.{}", b64(header.to_string()), b64(payload));
        let signature = b64(self.sign(alg, message.as_bytes()));
        format!("{message}.{signature}")
    }
}

/// A file of keys, and the folder that it is gone with.
fn key_file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// A verifier with the daemon's own key and those of a file.
fn with_keys(text: &str) -> Verifier {
    let (_folder, path) = key_file(text);
    Verifier::new(Rules::default(), OwnKey::new(&SECRET), Some(IssuerKeys::open(&path).unwrap()))
}

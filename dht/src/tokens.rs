//! Tokens (BEP 5): proof that whoever announces can receive at the address it announces from.
//!
//! A token is a hash of the address and a secret that changes every five minutes; the secret before it still
//! counts, so that a token lives between five and ten minutes. Nothing is kept per token.

use std::net::IpAddr;
use std::time::Instant;

use sha1_smol::Sha1;

use crate::limits;
use crate::random::Random;

const TOKEN_BYTES: usize = 8;

pub(crate) struct Tokens {
    current: [u8; 20],
    previous: [u8; 20],
    rotated: Instant,
}

impl Tokens {
    pub(crate) fn new(random: &mut Random, now: Instant) -> Self {
        Self { current: random.bytes(), previous: random.bytes(), rotated: now }
    }

    /// Takes a new secret if the time has come; after a long sleep the old ones are both worthless.
    pub(crate) fn rotate(&mut self, random: &mut Random, now: Instant) {
        let age = now.saturating_duration_since(self.rotated);
        if age < limits::TOKEN_ROTATION {
            return;
        }
        self.previous = if age < limits::TOKEN_ROTATION * 2 { self.current } else { random.bytes() };
        self.current = random.bytes();
        self.rotated = now;
    }

    pub(crate) fn issue(&self, ip: IpAddr) -> [u8; TOKEN_BYTES] {
        token(&self.current, ip)
    }

    pub(crate) fn accepts(&self, token_given: &[u8], ip: IpAddr) -> bool {
        [&self.current, &self.previous].into_iter().any(|secret| token(secret, ip) == token_given)
    }
}

fn token(secret: &[u8; 20], ip: IpAddr) -> [u8; TOKEN_BYTES] {
    let mut hash = Sha1::new();
    hash.update(secret);
    match ip {
        IpAddr::V4(ip) => hash.update(&ip.octets()),
        IpAddr::V6(ip) => hash.update(&ip.octets()),
    }
    let mut token = [0; TOKEN_BYTES];
    token.copy_from_slice(&hash.digest().bytes()[..TOKEN_BYTES]);
    token
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::TOKEN_ROTATION;

    #[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn a_token_is_good_for_one_address_and_two_secrets() {
        let (now, mut random) = (start(), Random::new(1));
        let (mine, other) = ("1.2.3.4".parse().unwrap(), "1.2.3.5".parse().unwrap());
        let mut tokens = Tokens::new(&mut random, now);
        let token = tokens.issue(mine);
        assert!(tokens.accepts(&token, mine));
        assert!(!tokens.accepts(&token, other));
        assert!(!tokens.accepts(&token[..7], mine));
        assert!(!tokens.accepts(&[], mine));
        tokens.rotate(&mut random, now + TOKEN_ROTATION - Duration::from_millis(1));
        assert_eq!(tokens.issue(mine), token, "too early for a new secret");
        tokens.rotate(&mut random, now + TOKEN_ROTATION);
        assert_ne!(tokens.issue(mine), token);
        assert!(tokens.accepts(&token, mine));
        tokens.rotate(&mut random, now + TOKEN_ROTATION * 2);
        assert!(!tokens.accepts(&token, mine));
    }

    #[test]
    fn a_long_sleep_ends_both_secrets() {
        let (now, mut random) = (start(), Random::new(1));
        let ip = "::1".parse().unwrap();
        let mut tokens = Tokens::new(&mut random, now);
        let token = tokens.issue(ip);
        tokens.rotate(&mut random, now + TOKEN_ROTATION * 2);
        assert!(!tokens.accepts(&token, ip));
    }
}

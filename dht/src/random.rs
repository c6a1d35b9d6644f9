//! The node's only source of chance: a seed, stretched.
//!
//! SHA-1 over seed and counter rather than a small generator: transaction ids and node ids are seen by
//! everybody, and must not tell what the secret behind the tokens is.

use sha1_smol::Sha1;

pub(crate) struct Random {
    seed: u64,
    counter: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// 20 bytes that don't tell the next ones.
    pub(crate) fn bytes(&mut self) -> [u8; 20] {
        self.counter += 1;
        let mut hash = Sha1::new();
        hash.update(&self.seed.to_be_bytes());
        hash.update(&self.counter.to_be_bytes());
        hash.digest().bytes()
    }

    /// A number of 32 bits.
    pub(crate) fn number(&mut self) -> u32 {
        let bytes = self.bytes();
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_again_and_another_gives_others() {
        let run = |seed| {
            let mut random = Random::new(seed);
            [random.number(), random.number()]
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        assert_ne!(run(1)[0], run(1)[1]);
    }
}

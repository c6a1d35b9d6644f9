//! Seeded numbers, and the few functions of real numbers that a run needs.
//!
//! The platform's `ln` may differ in its last bit from machine to machine, and with it every run; this one is made of
//! additions, multiplications and divisions only, which IEEE 754 fixes exactly.

use std::time::Duration;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; zero if there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number in 0..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something happens that happens with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A time that is exponentially distributed; never longer than 64 times the mean.
    pub(crate) fn exponential(&mut self, mean: Duration) -> Duration {
        // 1 - unit lies in (0, 1].
        let factor = -ln(1.0 - self.unit());
        Duration::from_nanos((mean.as_nanos() as f64 * factor.clamp(0.0, 64.0)) as u64)
    }
}

/// The natural logarithm of a positive number, within 1e-14 relative.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & 0x000f_ffff_ffff_ffff) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), and the argument is below 0.172.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut term = ratio;
    let mut sum = 0.0;
    for odd in (1..=23).step_by(2) {
        sum += term / f64::from(odd);
        term *= square;
    }
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_the_platforms_but_for_the_last_digits() {
        for step in 1..20_000 {
            let x = f64::from(step) / 777.0;
            assert!((ln(x) - x.ln()).abs() <= 1e-13 * x.ln().abs().max(1.0), "ln {x}: {} {}", ln(x), x.ln());
        }
    }

    #[test]
    fn exponential_times_have_their_mean() {
        let mut chance = Chance::new(1);
        let mean = Duration::from_secs(10);
        let sum: f64 = (0..20_000).map(|_| chance.exponential(mean).as_secs_f64()).sum();
        assert!((9.8..10.2).contains(&(sum / 20_000.0)), "{}", sum / 20_000.0);
    }
}

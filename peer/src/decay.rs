//! e to the power of minus x, for meters.
//!
//! Made of additions, multiplications and divisions only, so that a seeded run gives the same figures on every machine; the
//! platform's `exp` may differ in its last bit.

/// e to the power of `-exponent`, within 1e-5, for exponents of 0 and more.
pub fn decay(mut exponent: f64) -> f64 {
    if exponent > 40.0 {
        return 0.0;
    }
    // e^-x = (e^-(x/2))^2, until x is small enough for the series.
    let mut halvings = 0;
    while exponent > 0.125 {
        exponent /= 2.0;
        halvings += 1;
    }
    let mut value = 1.0 - exponent * (1.0 - exponent / 2.0 * (1.0 - exponent / 3.0 * (1.0 - exponent / 4.0)));
    for _ in 0..halvings {
        value *= value;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decay_is_the_exponential_function() {
        for tenths in 0..400 {
            let x = f64::from(tenths) / 10.0;
            let error = (decay(x) - (-x).exp()).abs();
            assert!(error < 1e-5, "x = {x}: off by {error}");
        }
    }
}

//! Reports of runs and comparisons: tables for people, JSON and CSV for programs, plots as SVG.

pub mod csv;
pub mod json;
pub mod svg;
pub mod text;

/// A figure for people: three digits, `never` for infinity.
pub(crate) fn show(value: f64) -> String {
    match value {
        _ if value == f64::INFINITY => "never".to_owned(),
        _ if value == 0.0 => "0".to_owned(),
        _ if value.abs() >= 99.95 => format!("{value:.0}"),
        _ if value.abs() >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// 40 hexadecimal digits.
pub(crate) fn hex(hash: &[u8; 20]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        for (value, shown) in [
            (0.0, "0"),
            (0.004, "0.00"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (42.25, "42.2"),
            (99.96, "100"),
            (1234.5, "1234"),
            (f64::INFINITY, "never"),
        ] {
            assert_eq!(show(value), shown);
        }
    }
}

//! Times as the formats write them, and as people do who write them by hand.

/// Digits of a number; more is no time.
const DIGITS_MAX: usize = 9;

/// Between the times of a line in SubRip and WebVTT.
pub(super) const ARROW: &str = "-->";

/// Reads a line from its beginning.
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(super) fn skip(&mut self, text: &str) -> bool {
        self.skip_spaces();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\u{a0}', '\u{feff}']);
    }

    fn digits(&mut self) -> Option<&'a str> {
        self.skip_spaces();
        let end = self.rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        (1..=DIGITS_MAX).contains(&digits.len()).then_some(digits)
    }

    fn number(&mut self) -> Option<u64> {
        self.digits()?.parse().ok()
    }

    /// Hours if there are, minutes, seconds and their decimals if there are, in milliseconds: "1:02:03,450", "02:03.4",
    /// "00: 02: 03, 450" as translators' machines write it. What would be before the film is its begin.
    pub(super) fn time(&mut self) -> Option<u64> {
        let is_negative = !self.rest.starts_with(ARROW) && self.skip("-");
        let first = self.number()?;
        let second = self.skip(":").then(|| self.number())??;
        let (hours, minutes, seconds) = match self.skip(":") {
            true => (first, second, self.number()?),
            false => (0, first, second),
        };
        let has_decimals = self.skip(",") || self.skip(".") || self.skip(":");
        let decimals_ms = if has_decimals { thousandths(self.digits()?) } else { 0 };
        // Numbers have nine digits at most.
        let ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + decimals_ms;
        Some(if is_negative { 0 } else { ms })
    }
}

fn thousandths(decimals: &str) -> u64 {
    decimals.bytes().chain(*b"00").take(3).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// "00:00:01,000 --> 00:00:02,000": when a cue begins and ends, and what the line says after that.
pub(super) fn times(line: &str) -> Option<(u64, u64, &str)> {
    // Most lines are none.
    if !line.contains("->") {
        return None;
    }
    let mut scanner = Scanner::new(line);
    let start = scanner.time()?;
    let is_arrow = scanner.skip(ARROW) || scanner.skip("->");
    let end = is_arrow.then(|| scanner.time())??;
    Some((start, end, scanner.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, ms) in [
            ("00:00:01,000", 1000),
            ("1:02:03.4", 3_723_400),
            ("02:03.45", 123_450),
            ("100:00:00,000", 360_000_000),
            (" 00: 02: 03, 450", 123_450),
            ("0:0:1", 1000),
            ("00:00:01:500", 1500),
            ("00:00:01,123456", 1123),
            ("-00:00:01,000", 0),
            ("999999999:00:00", 3_599_999_996_400_000),
        ] {
            assert_eq!(Scanner::new(text).time(), Some(ms), "{text}");
        }
        for nothing in ["", "1", "1:", ":1", "a", "1:2:", "1:2,", "1234567890:00", "--1:00", "1;00"] {
            assert_eq!(Scanner::new(nothing).time(), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_line_of_times_keeps_what_follows() {
        assert_eq!(times("00:01.000 --> 00:02.000 line:0"), Some((1000, 2000, " line:0")));
        assert_eq!(times("00:00:01,0-->00:00:02,0"), Some((1000, 2000, "")));
        assert_eq!(times("00:00:01,0 -> 00:00:02,0  X1:1"), Some((1000, 2000, "  X1:1")));
        for nothing in ["--> 00:01.000", "00:01.000 -->", "00:01.000 00:02.000", "a --> b", "-->"] {
            assert_eq!(times(nothing), None, "{nothing}");
        }
    }
}

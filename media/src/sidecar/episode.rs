//! Which episode a name is of: `S01E02` or `1x02`, which is all that pairs of files need.

/// A season and an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Episode {
    season: u16,
    episode: u16,
}

impl Episode {
    /// The first in a name.
    pub(super) fn find(name: &str) -> Option<Self> {
        let bytes = name.as_bytes();
        let is_start = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        (0..bytes.len()).filter(|&at| is_start(at)).find_map(|at| Self::parse(&bytes[at..]))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let has_letters = bytes[0].eq_ignore_ascii_case(&b's');
        let (season, rest) = number(if has_letters { &bytes[1..] } else { bytes }, 1..=2)?;
        let (digits, rest) = if has_letters {
            // "S01E02", "S01 E02", "s01.e02".
            let rest = rest
                .strip_prefix(b" ")
                .or(rest.strip_prefix(b"."))
                .or(rest.strip_prefix(b"_"))
                .unwrap_or(rest);
            (1..=3, rest.strip_prefix(b"E").or(rest.strip_prefix(b"e"))?)
        } else {
            // "1x02", but no "16x9" and no "1920x1080".
            (2..=3, rest.strip_prefix(b"x").or(rest.strip_prefix(b"X"))?)
        };
        let (episode, _) = number(rest, digits)?;
        Some(Self { season, episode })
    }
}

/// A number of so many digits and what follows.
fn number(bytes: &[u8], digits: std::ops::RangeInclusive<usize>) -> Option<(u16, &[u8])> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    let (number, rest) = bytes.split_at(end);
    let value = number.iter().take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    digits.contains(&end).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_episode_is_found_in_its_forms() {
        for name in
            ["Show.S01E02.1080p", "show s1e2", "s01.e02", "S01_E002", "Show - 1x02 - Name", "Show [01x02]"]
        {
            assert_eq!(Episode::find(name), Some(Episode { season: 1, episode: 2 }), "{name}");
        }
        for name in
            ["", "s", "Show.2020", "1920x1080", "16x9", "Sets01E02", "S001E02", "S01E0002", "S01", "é1é"]
        {
            assert_eq!(Episode::find(name), None, "{name}");
        }
    }
}

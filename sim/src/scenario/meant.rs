//! Did you mean: the closest of the allowed words.

/// Words are at most this long; longer ones are no slips of the pen.
const CHARS_MAX: usize = 32;

/// The allowed word that `word` was probably meant to be: the same but for case, or a slip or two away.
pub(super) fn closest<'a>(word: &str, allowed: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let chars: Vec<char> = word.chars().take(CHARS_MAX + 1).collect();
    if chars.is_empty() || chars.len() > CHARS_MAX {
        return None;
    }
    let far = 1 + chars.len() / 3;
    allowed
        .map(|other| (slips(&chars, other), other))
        .filter(|(slips, other)| *slips <= far.min(other.len().saturating_sub(1)))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, other)| other)
}

/// Characters to insert, remove, replace or swap with the next until one is the other. Case and the kind of dash don't
/// count.
fn slips(word: &[char], other: &str) -> usize {
    let fold = |char: char| if char == '_' { '-' } else { char.to_ascii_lowercase() };
    let a: Vec<char> = word.iter().map(|char| fold(*char)).collect();
    let b: Vec<char> = other.chars().map(fold).collect();
    // Rows of the usual table: `rows[i][j]` turns the first `i` of `a` into the first `j` of `b`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 4] = ["latency", "piece-length", "up", "down"];

    #[test]
    fn slips_of_the_pen_are_recognised() {
        for (word, meant) in [
            ("latncy", "latency"),
            ("Latency", "latency"),
            ("piece_length", "piece-length"),
            ("donw", "down"),
        ] {
            assert_eq!(closest(word, FIELDS.into_iter()), Some(meant), "{word}");
        }
    }

    #[test]
    fn other_words_are_not() {
        for word in ["", "xx", "rate", "a-very-long-name-that-nobody-would-ever-write-down"] {
            assert_eq!(closest(word, FIELDS.into_iter()), None, "{word}");
        }
    }
}

//! Takes secrets out of a line of a log.
//!
//! The line is read as letters: percent-encoding is undone, and each letter remembers which bytes of the line it stands for. What
//! is secret is found among letters, and replaced in the line.

use std::borrow::Cow;
use std::ops::Range;

use super::{MediaToken, TOKEN_CHARS};

/// What stands in a secret's place.
const REDACTED: &str = "[redacted]";

/// The line without its secrets. One pass: a line's length bounds the work, and the servers bound that.
pub(super) fn redact(text: &str) -> Cow<'_, str> {
    let letters = letters(text);
    let mut clean = String::new();
    let mut copied = 0;
    let mut clean_from = 0;
    let mut at = 0;
    while at < letters.len() {
        let Some(secret) = secret_at(&letters, at, clean_from) else {
            at += 1;
            continue;
        };
        clean.push_str(&text[copied..letters[secret.start].bytes.start]);
        clean.push_str(REDACTED);
        copied = letters[secret.end - 1].bytes.end;
        (at, clean_from) = (secret.end, secret.end);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[copied..]);
    Cow::Owned(clean)
}

/// A byte as its last reader will see it, and where it is written.
struct Letter {
    byte: u8,
    bytes: Range<usize>,
}

/// Undoes percent-encoding, also of what was encoded more than once: a `%`, two digits, and the three are one letter, which may
/// itself complete another.
fn letters(text: &str) -> Vec<Letter> {
    let mut letters: Vec<Letter> = Vec::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        letters.push(Letter { byte, bytes: at..at + 1 });
        while let [.., percent, high, low] = letters.as_slice()
            && percent.byte == b'%'
            && let (Some(high), Some(low)) = (digit(high.byte), digit(low.byte))
        {
            let bytes = percent.bytes.start..at + 1;
            letters.truncate(letters.len() - 3);
            letters.push(Letter { byte: high << 4 | low, bytes });
        }
    }
    letters
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The secret that the word at `at` announces, or that begins there. Never empty. What lies before `clean_from` has been replaced.
fn secret_at(letters: &[Letter], at: usize, clean_from: usize) -> Option<Range<usize>> {
    let secret = if begins(letters, at, "stream") && is_media_route(letters, at, clean_from) {
        run(letters, skip(letters, at + "stream".len(), is_slash), ends_segment)
    } else if begins(letters, at, "bearer") {
        run(letters, skip(letters, at + "bearer".len(), is_gap), ends_value)
    } else if begins(letters, at, "token=") {
        run(letters, at + "token=".len(), ends_value)
    } else {
        at..whole_token(letters, at)?
    };
    (!secret.is_empty()).then_some(secret)
}

fn begins(letters: &[Letter], at: usize, word: &str) -> bool {
    let found = letters.get(at..at + word.len());
    found.is_some_and(|found| found.iter().zip(word.bytes()).all(|(a, b)| a.byte.eq_ignore_ascii_case(&b)))
}

/// Whether `stream` at `at` is a whole segment of a path, and not that of the JSON API, whose next segment is an info-hash.
fn is_media_route(letters: &[Letter], at: usize, clean_from: usize) -> bool {
    let after = letters.get(at + "stream".len()).is_some_and(|letter| is_slash(letter.byte));
    let before = &letters[..at];
    let slashes = before.iter().rev().take_while(|letter| is_slash(letter.byte)).count();
    let parent = before[..before.len() - slashes].get(clean_from..).unwrap_or_default();
    let api = parent.len().checked_sub("api".len()).is_some_and(|start| begins(parent, start, "api"));
    after && (slashes > 0 || before.is_empty()) && !api
}

/// The end of a token that begins at `at` and stands by itself.
fn whole_token(letters: &[Letter], at: usize) -> Option<usize> {
    if at.checked_sub(1).is_some_and(|before| is_legal(letters[before].byte)) {
        return None;
    }
    let end = at + TOKEN_CHARS;
    let alone = letters.get(end).is_none_or(|after| !is_legal(after.byte));
    let text: Vec<u8> = letters.get(at..end)?.iter().map(|letter| letter.byte).collect();
    let is_token = alone && str::from_utf8(&text).is_ok_and(|text| MediaToken::parse(text).is_ok());
    is_token.then_some(end)
}

fn skip(letters: &[Letter], from: usize, over: fn(u8) -> bool) -> usize {
    from + letters.iter().skip(from).take_while(|letter| over(letter.byte)).count()
}

fn run(letters: &[Letter], from: usize, ends: fn(u8) -> bool) -> Range<usize> {
    from..from + letters.iter().skip(from).take_while(|letter| !ends(letter.byte)).count()
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

fn is_gap(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b':' | b'=' | b'+')
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn ends_segment(byte: u8) -> bool {
    is_slash(byte) || matches!(byte, b'?' | b'#') || ends_value(byte)
}

fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || byte.is_ascii_control()
        || matches!(byte, b'"' | b'\'' | b',' | b'&' | b'<' | b'>')
}

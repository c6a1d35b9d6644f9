//! A name as words with positions: cut once, then claimed word by word by whoever recognises them.

use std::ops::Range;

/// What a word was recognised as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Of a site's address, of a checksum, of a size: says nothing of the film, and isn't part of its title.
    Noise,
    /// Of the year.
    Year,
    /// Of a date, a season, an episode.
    Number,
    /// Of how it is encoded and where from; nobody has it in a title.
    Quality,
    /// The same with a word that titles have too ("web", "extended", "French"): is one only where others are around.
    Hint,
}

/// A word: what stands between two separators.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Which pair of brackets it is in, counted from 1; 0 is none.
    pub(super) bracket: usize,
    pub(super) claim: Option<Claim>,
}

/// A name, cut.
pub(super) struct Name<'a> {
    text: &'a str,
    /// With ASCII in lower case, so that positions are the same.
    lower: String,
    tokens: Vec<Token>,
}

impl<'a> Name<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, lower: text.to_ascii_lowercase(), tokens: cut(text) }
    }

    pub(super) fn claim(&mut self, words: Range<usize>, claim: Claim) {
        for token in &mut self.tokens[words] {
            token.claim = Some(claim);
        }
    }

    /// Takes a claim back.
    pub(super) fn release(&mut self, words: Range<usize>) {
        for token in &mut self.tokens[words] {
            token.claim = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn token(&self, at: usize) -> &Token {
        &self.tokens[at]
    }

    /// The word in lower case; empty beyond the end.
    pub(super) fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &self.lower[token.start..token.end])
    }

    /// The word as it is written.
    pub(super) fn written(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |token| &self.text[token.start..token.end])
    }

    /// What stands before a word: separators and brackets. Beyond the end, what stands after the last.
    pub(super) fn gap(&self, at: usize) -> &'a str {
        let start = at.checked_sub(1).and_then(|before| self.tokens.get(before)).map_or(0, |token| token.end);
        let end = self.tokens.get(at).map_or(self.text.len(), |token| token.start);
        &self.text[start.min(end)..end]
    }

    pub(super) fn claim_of(&self, at: usize) -> Option<Claim> {
        self.tokens.get(at).and_then(|token| token.claim)
    }

    /// There is a word that nobody recognised.
    pub(super) fn is_free(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.claim.is_none())
    }

    pub(super) fn bracket(&self, at: usize) -> usize {
        self.tokens.get(at).map_or(0, |token| token.bracket)
    }

    /// A dash with room around it: " - ", "_-_", ".-.".
    pub(super) fn is_after_dash(&self, at: usize) -> bool {
        let gap = self.gap(at);
        is_spaced_dash(gap)
    }

    /// The words from one on that are in the same pair of brackets, next to each other.
    pub(super) fn is_next_to(&self, at: usize) -> bool {
        let gap = self.gap(at);
        at > 0
            && self.bracket(at) == self.bracket(at - 1)
            && gap.len() == 1
            && !matches!(gap, "," | ";" | ":")
    }

    /// The number that a word is, if it has nothing but digits and at most so many.
    pub(super) fn number(&self, at: usize, digits_max: usize) -> Option<u16> {
        number(self.word(at)).filter(|_| self.word(at).len() <= digits_max)
    }
}

/// The number that a text of digits is.
pub(super) fn number(text: &str) -> Option<u16> {
    // `parse` would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A number that is rather a year than one of a season or an episode.
pub(super) fn is_year(number: u16) -> bool {
    (1900..2050).contains(&number)
}

pub(super) fn is_spaced_dash(gap: &str) -> bool {
    let dash = gap.find(['-', '–', '—']);
    let is_room = |side: &str| side.ends_with([' ', '_', '.']) || side.starts_with([' ', '_', '.']);
    dash.is_some_and(|at| {
        let after = gap[at..].trim_start_matches(['-', '–', '—']);
        is_room(&gap[..at]) && is_room(after)
    })
}

pub(super) fn opens(character: char) -> bool {
    matches!(character, '(' | '[' | '{' | '【' | '「' | '（')
}

pub(super) fn closes(character: char) -> bool {
    matches!(character, ')' | ']' | '}' | '】' | '」' | '）')
}

fn separates(character: char) -> bool {
    let is_sign = matches!(
        character,
        '.' | '_'
            | '-'
            | '&'
            | ','
            | '/'
            | '\\'
            | '|'
            | '+'
            | ';'
            | ':'
            | '~'
            | '*'
            | '"'
            | '!'
            | '#'
            | '='
            | '<'
            | '>'
    );
    is_sign
        || matches!(character, '–' | '—' | '·' | '№' | '★' | '⭐' | '•' | '\u{200b}')
        || character.is_whitespace()
}

fn cut(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let (mut depth, mut brackets) = (0_usize, 0);
    let mut start = None;
    for (at, character) in text.char_indices() {
        let is_bracket = opens(character) || closes(character);
        if !is_bracket && !separates(character) {
            start.get_or_insert(at);
            continue;
        }
        if let Some(start) = start.take() {
            push(&mut tokens, text, start..at, if depth > 0 { brackets } else { 0 });
        }
        if opens(character) {
            (depth, brackets) = (depth + 1, brackets + 1);
        } else if closes(character) {
            depth = depth.saturating_sub(1);
        }
    }
    if let Some(start) = start {
        push(&mut tokens, text, start..text.len(), if depth > 0 { brackets } else { 0 });
    }
    tokens
}

/// Words that people forgot to separate are two: "Bluray1080p", "Title1x02", "HDTVx264".
fn push(tokens: &mut Vec<Token>, text: &str, word: Range<usize>, bracket: usize) {
    let Range { start, end } = word;
    let seam = seam(&text[start..end]).map_or(end, |seam| start + seam);
    tokens.push(Token { start, end: seam, bracket, claim: None });
    if seam < end {
        tokens.push(Token { start: seam, end, bracket, claim: None });
    }
}

/// Where a word falls apart, if it does.
fn seam(word: &str) -> Option<usize> {
    let bytes = word.as_bytes();
    if !word.is_ascii() || bytes.len() < 5 {
        return None;
    }
    (1..bytes.len()).find(|&at| {
        let (before, after) = bytes.split_at(at);
        begins_glued(after, before[at - 1])
            || (at == 6 && is_mark(before) && after[0].is_ascii_uppercase() && after.len() > 1)
            || (matches!(before[at - 1], b'p' | b'P') && is_lines(before) && after[0].is_ascii_alphabetic())
    })
}

/// A codec, a number of lines or a mark of an episode behind a letter.
fn begins_glued(bytes: &[u8], before: u8) -> bool {
    let is_codec = |rest: &[u8]| {
        const CODECS: [&[u8]; 5] = [b"x264", b"x265", b"h264", b"h265", b"xvid"];
        CODECS
            .iter()
            .any(|codec| rest.len() >= codec.len() && rest[..codec.len()].eq_ignore_ascii_case(codec))
    };
    (before.is_ascii_alphabetic() || (before.is_ascii_digit() && is_codec(bytes)))
        && !matches!(before, b'x' | b'X')
        && (is_codec(bytes) || is_lines(bytes) || (before.is_ascii_lowercase() && is_mark(bytes)))
}

/// "S01E02..." and "1x02".
fn is_mark(bytes: &[u8]) -> bool {
    match bytes {
        [b'S', s1, s2, b'E' | b'e', e1, e2, ..] => {
            [s1, s2, e1, e2].iter().all(|digit| digit.is_ascii_digit())
        }
        [b'1'..=b'9', b'x', e1, e2] => e1.is_ascii_digit() && e2.is_ascii_digit(),
        _ => false,
    }
}

/// "1080p" and no more; behind letters the "p" may be missing.
fn is_lines(bytes: &[u8]) -> bool {
    let digits = bytes.strip_suffix(b"p").or_else(|| bytes.strip_suffix(b"P")).unwrap_or(bytes);
    let is_one = matches!(digits, b"480" | b"576" | b"720" | b"1080" | b"2160");
    is_one && (digits.len() < bytes.len() || digits.len() == 4)
}

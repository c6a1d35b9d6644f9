//! A name as words with positions: cut once, then claimed word by word by whoever recognises them.

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

    pub(super) fn claim(&mut self, words: std::ops::Range<usize>, claim: Claim) {
        for token in &mut self.tokens[words] {
            token.claim = Some(claim);
        }
    }

    /// Takes a claim back.
    pub(super) fn release(&mut self, words: std::ops::Range<usize>) {
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
    is_sign || matches!(character, '–' | '—' | '★' | '⭐' | '•' | '\u{200b}') || character.is_whitespace()
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
            tokens.push(Token { start, end: at, bracket: if depth > 0 { brackets } else { 0 }, claim: None });
        }
        if opens(character) {
            (depth, brackets) = (depth + 1, brackets + 1);
        } else if closes(character) {
            depth = depth.saturating_sub(1);
        }
    }
    if let Some(start) = start {
        let bracket = if depth > 0 { brackets } else { 0 };
        tokens.push(Token { start, end: text.len(), bracket, claim: None });
    }
    tokens
}

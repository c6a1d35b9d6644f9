//! Bencode (BEP 3): an iterative scanner that keeps spans, and a writer.
//!
//! The scanner never recurses, never allocates for a length it hasn't seen the bytes of, and stops at
//! [`Limits`]. What it yields are views into the input, so that an info-hash is taken over the bytes as they
//! came. Unsorted or repeated keys are tolerated and reported ([`Dict::is_canonical`]); whoever reads signed
//! or hashed data decides. Cold, already scanned structures may go on to `serde_bencode`.

use thiserror::Error;

/// What an input may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole input.
    pub bytes: usize,
    /// Lists and dictionaries open at once.
    pub depth: u16,
    /// Values, keys counted too.
    pub tokens: u32,
    /// Digits of an integer or of a string's length.
    pub digits: u8,
}

/// What is wrong with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ErrorKind {
    /// The input ends inside a value.
    #[error("it ends too early")]
    Truncated,
    /// More bytes than [`Limits::bytes`].
    #[error("it is too large")]
    TooLarge,
    /// More open lists and dictionaries than [`Limits::depth`].
    #[error("it is nested too deeply")]
    TooDeep,
    /// More values than [`Limits::tokens`].
    #[error("it has too many values")]
    TooManyTokens,
    /// No value starts with this byte.
    #[error("byte 0x{0:02x} starts no value")]
    UnexpectedByte(u8),
    /// `i-0e`, `i03e`, `ie`, `i+1e`, one beyond 64 bits, or one with more digits than [`Limits::digits`].
    #[error("the integer is malformed or too long")]
    Integer,
    /// A string length with leading zeros, too many digits, or beyond the input.
    #[error("the string length is malformed or beyond the input")]
    StringLength,
    /// A dictionary key that isn't a string, or a key without a value.
    #[error("a dictionary key is not a string or has no value")]
    Key,
    /// Bytes behind the root value.
    #[error("bytes follow the value")]
    TrailingBytes,
}

/// An input that is not bencode, or costs too much, with the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed bencode at byte {offset}: {kind}")]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where.
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes { content: u32 },
    Int(i64),
    List,
    Dict { canonical: bool },
}

/// One value: its span in the input, and where the token behind its last child is.
#[derive(Clone, Copy, Debug)]
struct Token {
    start: u32,
    end: u32,
    next: u32,
    kind: Kind,
}

/// A scanned input.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    input: &'a [u8],
    tokens: Vec<Token>,
}

impl<'a> Document<'a> {
    /// Scans an input that is one value and nothing behind it.
    pub fn parse(input: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        let (document, end) = Self::parse_prefix(input, limits)?;
        if end < input.len() {
            return Err(Error { kind: ErrorKind::TrailingBytes, offset: end });
        }
        Ok(document)
    }

    /// Scans one value at the start of an input; says where it ends (BEP 9 puts data behind a dictionary).
    pub fn parse_prefix(input: &'a [u8], limits: &Limits) -> Result<(Self, usize), Error> {
        if input.len() > limits.bytes || u32::try_from(input.len()).is_err() {
            return Err(Error { kind: ErrorKind::TooLarge, offset: limits.bytes.min(input.len()) });
        }
        let mut scanner = Scanner { input, at: 0, tokens: Vec::new(), open: Vec::new(), limits };
        scanner.run()?;
        let (end, tokens) = (scanner.at, scanner.tokens);
        Ok((Self { input, tokens }, end))
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_, 'a> {
        Value { document: self, token: 0 }
    }
}

/// A dictionary or list whose end hasn't come yet.
struct Open {
    token: u32,
    /// In a dictionary: the span of the last key seen, for the order check.
    key: Option<(u32, u32)>,
    /// In a dictionary: a key waits for its value.
    awaits_value: bool,
}

struct Scanner<'a, 'l> {
    input: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
    open: Vec<Open>,
    limits: &'l Limits,
}

impl Scanner<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        loop {
            match self.peek()? {
                b'e' => self.close()?,
                byte => {
                    self.enter(byte)?;
                    self.value(byte)?;
                }
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error { kind, offset: self.at }
    }

    fn peek(&self) -> Result<u8, Error> {
        self.input.get(self.at).copied().ok_or(self.error(ErrorKind::Truncated))
    }

    /// Notes in the enclosing dictionary that a key or a value comes.
    fn enter(&mut self, byte: u8) -> Result<(), Error> {
        if self.tokens.len() as u32 >= self.limits.tokens {
            return Err(self.error(ErrorKind::TooManyTokens));
        }
        let key_error = self.error(ErrorKind::Key);
        if let Some(open) = self.open.last_mut()
            && matches!(self.tokens[open.token as usize].kind, Kind::Dict { .. })
        {
            if !open.awaits_value && !byte.is_ascii_digit() {
                return Err(key_error);
            }
            open.awaits_value = !open.awaits_value;
        }
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<(), Error> {
        match byte {
            b'i' => self.integer(),
            b'0'..=b'9' => self.string(),
            b'l' => self.open(Kind::List),
            b'd' => self.open(Kind::Dict { canonical: true }),
            other => Err(self.error(ErrorKind::UnexpectedByte(other))),
        }
    }

    fn open(&mut self, kind: Kind) -> Result<(), Error> {
        if self.open.len() >= usize::from(self.limits.depth) {
            return Err(self.error(ErrorKind::TooDeep));
        }
        self.open.push(Open { token: self.tokens.len() as u32, key: None, awaits_value: false });
        self.push(self.at, self.at + 1, kind);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        match self.open.pop() {
            None => Err(self.error(ErrorKind::UnexpectedByte(b'e'))),
            Some(open) if open.awaits_value => Err(self.error(ErrorKind::Key)),
            Some(open) => {
                self.at += 1;
                let next = self.tokens.len() as u32;
                let token = &mut self.tokens[open.token as usize];
                (token.end, token.next) = (self.at as u32, next);
                Ok(())
            }
        }
    }

    fn integer(&mut self) -> Result<(), Error> {
        let bad = self.error(ErrorKind::Integer);
        let start = self.at;
        let negative = self.input.get(start + 1) == Some(&b'-');
        let first = start + 1 + usize::from(negative);
        let end = self.digits_end(first);
        let digits = &self.input[first..end];
        match self.input.get(end) {
            Some(b'e') => {}
            None => return Err(Error { kind: ErrorKind::Truncated, offset: end }),
            Some(_) => return Err(bad),
        }
        let leading_zero = digits.first() == Some(&b'0') && (digits.len() > 1 || negative);
        if digits.is_empty() || leading_zero || digits.len() > usize::from(self.limits.digits) {
            return Err(bad);
        }
        let number = digits.iter().try_fold(0i64, |sum, digit| {
            let digit = i64::from(digit - b'0');
            sum.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
        });
        self.push(start, end + 1, Kind::Int(number.ok_or(bad)?));
        Ok(())
    }

    fn string(&mut self) -> Result<(), Error> {
        let bad = self.error(ErrorKind::StringLength);
        let start = self.at;
        let end = self.digits_end(start);
        let digits = &self.input[start..end];
        match self.input.get(end) {
            Some(b':') => {}
            None => return Err(Error { kind: ErrorKind::Truncated, offset: end }),
            Some(_) => return Err(bad),
        }
        if (digits[0] == b'0' && digits.len() > 1) || digits.len() > usize::from(self.limits.digits) {
            return Err(bad);
        }
        let length = digits
            .iter()
            .try_fold(0usize, |sum, digit| sum.checked_mul(10)?.checked_add(usize::from(digit - b'0')))
            .ok_or(bad)?;
        let content = end + 1;
        if length > self.input.len() - content {
            return Err(bad);
        }
        self.note_key(content, content + length);
        self.push(start, content + length, Kind::Bytes { content: content as u32 });
        Ok(())
    }

    /// Where a run of digits ends; looks no further than one digit beyond the limit.
    fn digits_end(&self, from: usize) -> usize {
        let longest = usize::from(self.limits.digits) + 1;
        let digits = self.input.get(from..).unwrap_or(&[]).iter().take(longest);
        from + digits.take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// If this string is a key, checks that keys ascend (BEP 3: "keys must be strings and appear in sorted order").
    fn note_key(&mut self, start: usize, end: usize) {
        let Some(open) = self.open.last_mut() else { return };
        // `enter` has flipped `awaits_value`: it is set when the string that comes is a key.
        if !open.awaits_value {
            return;
        }
        let ascends =
            open.key.is_none_or(|(s, e)| self.input[s as usize..e as usize] < self.input[start..end]);
        open.key = Some((start as u32, end as u32));
        if let Kind::Dict { canonical } = &mut self.tokens[open.token as usize].kind {
            *canonical &= ascends;
        }
    }

    fn push(&mut self, start: usize, end: usize, kind: Kind) {
        let next = self.tokens.len() as u32 + 1;
        self.tokens.push(Token { start: start as u32, end: end as u32, next, kind });
        self.at = end;
    }
}

/// A view of one value. `'d` is the document's life, `'a` the input's: what is read out lives as long as the input.
#[derive(Clone, Copy)]
pub struct Value<'d, 'a> {
    document: &'d Document<'a>,
    token: u32,
}

impl<'d, 'a> Value<'d, 'a> {
    /// The value's bytes as they came, with its own framing (`4:spam`, `d…e`).
    pub fn raw(&self) -> &'a [u8] {
        let token = self.token();
        &self.document.input[token.start as usize..token.end as usize]
    }

    /// A string's content.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        match self.token().kind {
            Kind::Bytes { content } => {
                Some(&self.document.input[content as usize..self.token().end as usize])
            }
            _ => None,
        }
    }

    /// A string's content if it is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// An integer.
    pub fn as_int(&self) -> Option<i64> {
        match self.token().kind {
            Kind::Int(number) => Some(number),
            _ => None,
        }
    }

    /// A list.
    pub fn as_list(&self) -> Option<List<'d, 'a>> {
        matches!(self.token().kind, Kind::List).then_some(List { value: *self })
    }

    /// A dictionary.
    pub fn as_dict(&self) -> Option<Dict<'d, 'a>> {
        matches!(self.token().kind, Kind::Dict { .. }).then_some(Dict { value: *self })
    }

    fn token(&self) -> &'d Token {
        &self.document.tokens[self.token as usize]
    }

    fn children(self) -> impl Iterator<Item = Value<'d, 'a>> {
        let (document, end) = (self.document, self.token().next);
        let mut at = self.token + 1;
        std::iter::from_fn(move || {
            (at < end).then(|| {
                let child = Value { document, token: at };
                at = child.token().next;
                child
            })
        })
    }
}

/// A view of a list.
#[derive(Clone, Copy)]
pub struct List<'d, 'a> {
    value: Value<'d, 'a>,
}

impl<'d, 'a> List<'d, 'a> {
    /// The values, in order.
    pub fn iter(self) -> impl Iterator<Item = Value<'d, 'a>> {
        self.value.children()
    }
}

/// A view of a dictionary.
#[derive(Clone, Copy)]
pub struct Dict<'d, 'a> {
    value: Value<'d, 'a>,
}

impl<'d, 'a> Dict<'d, 'a> {
    /// The value of the first such key.
    pub fn get(self, key: &[u8]) -> Option<Value<'d, 'a>> {
        self.iter().find(|&(name, _)| name == key).map(|(_, value)| value)
    }

    /// The string under a key.
    pub fn get_bytes(self, key: &[u8]) -> Option<&'a [u8]> {
        self.get(key)?.as_bytes()
    }

    /// The integer under a key.
    pub fn get_int(self, key: &[u8]) -> Option<i64> {
        self.get(key)?.as_int()
    }

    /// Keys and values, as they came.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], Value<'d, 'a>)> {
        let mut children = self.value.children();
        std::iter::from_fn(move || {
            let key = children.next()?.as_bytes()?;
            Some((key, children.next()?))
        })
    }

    /// Whether the keys strictly ascend, as BEP 3 demands (values inside are not looked at).
    pub fn is_canonical(self) -> bool {
        matches!(self.value.token().kind, Kind::Dict { canonical: true })
    }

    /// The dictionary's bytes as they came.
    pub fn raw(self) -> &'a [u8] {
        self.value.raw()
    }
}

/// Writes bencode into a buffer. The caller gives dictionary keys in ascending order.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty output.
    pub fn new() -> Self {
        Self::default()
    }

    /// A string.
    pub fn bytes(&mut self, content: impl AsRef<[u8]>) -> &mut Self {
        let content = content.as_ref();
        self.out.extend_from_slice(content.len().to_string().as_bytes());
        self.out.push(b':');
        self.out.extend_from_slice(content);
        self
    }

    /// An integer.
    pub fn int(&mut self, number: i64) -> &mut Self {
        self.out.extend_from_slice(format!("i{number}e").as_bytes());
        self
    }

    /// A value that is bencode already.
    pub fn raw(&mut self, value: &[u8]) -> &mut Self {
        self.out.extend_from_slice(value);
        self
    }

    /// A list whose values `fill` writes.
    pub fn list(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.framed(b'l', fill)
    }

    /// A dictionary whose keys and values `fill` writes, keys ascending.
    pub fn dict(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.framed(b'd', fill)
    }

    /// What was written.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn framed(&mut self, opening: u8, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.out.push(opening);
        fill(self);
        self.out.push(b'e');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { bytes: 1 << 20, depth: 100, tokens: 10_000, digits: 19 };

    fn kind(input: &[u8]) -> Result<(), ErrorKind> {
        Document::parse(input, &LIMITS).map(|_| ()).map_err(|error| error.kind)
    }

    #[test]
    fn values_are_views_with_their_spans() {
        let input = b"d3:cow3:moo4:infod1:xli1e0:ee4:spami-42ee";
        let document = Document::parse(input, &LIMITS).unwrap();
        let root = document.root().as_dict().unwrap();
        assert_eq!(root.get_bytes(b"cow"), Some(&b"moo"[..]));
        assert_eq!(root.get(b"info").unwrap().raw(), b"d1:xli1e0:ee");
        assert_eq!(root.get_int(b"spam"), Some(-42));
        let list = root.get(b"info").unwrap().as_dict().unwrap().get(b"x").unwrap().as_list().unwrap();
        assert_eq!(list.iter().map(|value| value.raw()).collect::<Vec<_>>(), [&b"i1e"[..], b"0:"]);
        assert!(root.is_canonical());
    }

    #[test]
    fn malformed_integers_and_lengths_are_errors() {
        for input in [
            &b"i-0e"[..],
            b"i00e",
            b"i03e",
            b"ie",
            b"i-e",
            b"i+1e",
            b"i99999999999999999999e",
            b"i9223372036854775808e",
        ] {
            assert_eq!(kind(input), Err(ErrorKind::Integer), "{}", String::from_utf8_lossy(input));
        }
        assert_eq!(kind(b"i-9223372036854775808e"), Ok(()));
        for input in [&b"03:abc"[..], b"4:abc", b"99999999999999999999:a", b"18446744073709551615:a"] {
            assert_eq!(kind(input), Err(ErrorKind::StringLength), "{}", String::from_utf8_lossy(input));
        }
        for input in [&b""[..], b"i1", b"l", b"d1:a", b"3"] {
            assert_eq!(kind(input), Err(ErrorKind::Truncated), "{}", String::from_utf8_lossy(input));
        }
        assert_eq!(kind(b"di1ei2ee"), Err(ErrorKind::Key));
        assert_eq!(kind(b"d1:ae"), Err(ErrorKind::Key));
        assert_eq!(kind(b"i1ex"), Err(ErrorKind::TrailingBytes));
        assert_eq!(kind(b"e"), Err(ErrorKind::UnexpectedByte(b'e')));
    }

    #[test]
    fn nesting_and_token_bombs_stop_at_their_limits() {
        assert_eq!(kind(&b"l".repeat(100_000)), Err(ErrorKind::TooDeep));
        assert_eq!(kind(&[&b"l".repeat(100)[..], &b"e".repeat(100)].concat()), Ok(()));
        assert_eq!(kind(&[&b"l"[..], &b"0:".repeat(100_000)].concat()), Err(ErrorKind::TooManyTokens));
    }

    #[test]
    fn unsorted_and_repeated_keys_are_reported_and_kept() {
        let canonical = |input: &'static [u8]| {
            Document::parse(input, &LIMITS).unwrap().root().as_dict().unwrap().is_canonical()
        };
        assert!(canonical(b"d1:ai1e1:bi2ee"));
        assert!(!canonical(b"d1:bi1e1:ai2ee"));
        assert!(!canonical(b"d1:ai1e1:ai2ee"));
        assert!(canonical(b"d1:ad1:zi1e1:yi1eee"), "order inside a value does not count");
    }

    #[test]
    fn what_the_writer_writes_the_scanner_reads() {
        let mut writer = Writer::new();
        writer.dict(|d| {
            d.bytes("a").int(-1).bytes("b").list(|l| {
                l.bytes("x").bytes("");
            });
        });
        let bytes = writer.finish();
        assert_eq!(bytes, b"d1:ai-1e1:bl1:x0:ee");
        assert_eq!(kind(&bytes), Ok(()));
    }
}

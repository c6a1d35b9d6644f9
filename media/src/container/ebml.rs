//! EBML (RFC 8794): elements of an id, a size and a body, inside each other.
//!
//! Not here: which elements there are; that is the business of a document type such as [Matroska](super::matroska).

use super::inspect::Budget;

/// What an EBML document begins with: the id of its header (RFC 8794, section 11.2.1).
pub(super) const MAGIC: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// Bytes of the longest header: an id of four (RFC 9559, section 5.1.1: `EBMLMaxIDLength`) and a size of eight.
pub(super) const HEADER_BYTES_MAX: usize = 12;

const ID_BYTES_MAX: usize = 4;

/// What an element begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// With its length marker, as the standards write it.
    pub(super) id: u32,
    /// Bytes of the body; `None` if that isn't said and the body goes on as long as what comes belongs into it
    /// (section 6.2).
    pub(super) size: Option<u64>,
    /// Bytes of the header itself.
    pub(super) length: usize,
}

/// Why bytes are no header or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// They may be one, but there are too few.
    Short,
    /// They are none.
    Invalid,
}

/// A variable-size integer (section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Vint {
    /// Without the marker.
    value: u64,
    length: usize,
}

impl Vint {
    fn read(bytes: &[u8], length_max: usize) -> Result<Self, Unread> {
        let &first = bytes.first().ok_or(Unread::Short)?;
        let length = first.leading_zeros() as usize + 1;
        if length > length_max {
            return Err(Unread::Invalid);
        }
        let octets = bytes.get(..length).ok_or(Unread::Short)?;
        let marked = octets.iter().fold(0, |value, &octet| value << 8 | u64::from(octet));
        Ok(Self { value: marked ^ Self::marker(length), length })
    }

    /// The bit that says how long it is. The value bits are those below.
    fn marker(length: usize) -> u64 {
        1 << (7 * length)
    }

    fn has_all_bits(self) -> bool {
        self.value == Self::marker(self.length) - 1
    }
}

/// A number in the form of a size, as blocks begin with.
pub(super) fn number(bytes: &[u8]) -> Result<(u64, usize), Unread> {
    Vint::read(bytes, 8).map(|vint| (vint.value, vint.length))
}

impl Header {
    /// What these bytes begin with.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unread> {
        let id = Vint::read(bytes, ID_BYTES_MAX)?;
        if id.value == 0 || id.has_all_bits() {
            // Section 5: no element has such an id. Runs of 0xFF look like one.
            return Err(Unread::Invalid);
        }
        let size = Vint::read(&bytes[id.length..], 8)?;
        Ok(Self {
            id: (id.value | Vint::marker(id.length)) as u32,
            size: (!size.has_all_bits()).then_some(size.value),
            length: id.length + size.length,
        })
    }
}

/// The elements in a body, one after another. They end at the first that isn't sound (it is longer than the body, or doesn't
/// say how long it is), and when the budget is used up.
pub(super) struct Elements<'a, 'b> {
    rest: &'a [u8],
    budget: &'b mut Budget,
}

impl<'a, 'b> Elements<'a, 'b> {
    pub(super) fn of(body: &'a [u8], budget: &'b mut Budget) -> Self {
        Self { rest: body, budget }
    }

    /// The elements in one of them, on the same budget.
    pub(super) fn within<'c>(&'c mut self, body: &'a [u8]) -> Elements<'a, 'c> {
        Elements { rest: body, budget: self.budget }
    }

    /// Id and body of the next one.
    pub(super) fn next(&mut self) -> Option<(u32, &'a [u8])> {
        let header = Header::read(self.rest).ok()?;
        let size = usize::try_from(header.size?).ok()?;
        let body = self.rest[header.length..].get(..size)?;
        self.budget.element().ok()?;
        self.rest = &self.rest[header.length + size..];
        Some((header.id, body))
    }
}

/// An unsigned integer (section 7.2). An empty one stands for the default, which the caller has (section 6.1).
pub(super) fn uint(body: &[u8]) -> Option<u64> {
    let fits = (1..=8).contains(&body.len());
    fits.then(|| body.iter().fold(0, |value, &octet| value << 8 | u64::from(octet)))
}

/// A float (section 7.3).
pub(super) fn float(body: &[u8]) -> Option<f64> {
    match *body {
        [a, b, c, d] => Some(f32::from_be_bytes([a, b, c, d]).into()),
        [a, b, c, d, e, f, g, h] => Some(f64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => None,
    }
}

/// A string (sections 7.4 and 7.5), which a NUL ends if its element is longer. No more than `bytes_max` of it.
pub(super) fn text(body: &[u8], bytes_max: usize) -> Option<String> {
    let end = body.iter().position(|&octet| octet == 0).unwrap_or(body.len());
    let mut text = String::new();
    for letter in String::from_utf8_lossy(&body[..end]).chars().filter(|letter| !letter.is_control()) {
        if text.len() + letter.len_utf8() > bytes_max {
            break;
        }
        text.push(letter);
    }
    let trimmed = text.trim();
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::ELEMENTS_MAX;

    #[test]
    fn a_header_is_an_id_with_its_marker_and_a_size_without() {
        let read = |bytes: &[u8]| Header::read(bytes).unwrap();
        assert_eq!(read(&[0xec, 0x82]), Header { id: 0xec, size: Some(2), length: 2 });
        assert_eq!(read(&[0x42, 0x86, 0x40, 0x02]), Header { id: 0x4286, size: Some(2), length: 4 });
        let longest = [0x1a, 0x45, 0xdf, 0xa3, 0x01, 0, 0, 0, 0, 0, 1, 0];
        assert_eq!(read(&longest), Header { id: 0x1a45_dfa3, size: Some(256), length: HEADER_BYTES_MAX });
        for end in 0..longest.len() {
            assert_eq!(Header::read(&longest[..end]), Err(Unread::Short), "{end} bytes");
        }
    }

    #[test]
    fn a_size_of_ones_is_unknown_at_any_length() {
        for length in 1..=8 {
            let mut bytes = vec![0xec, (0x1ff >> length) as u8];
            bytes.resize(length + 1, 0xff);
            assert_eq!(Header::read(&bytes), Ok(Header { id: 0xec, size: None, length: length + 1 }));
        }
        assert_eq!(Header::read(&[0xec, 0xfe]).unwrap().size, Some(126));
    }

    #[test]
    fn what_can_be_no_id_or_size_is_refused() {
        for bytes in [[0xff, 0x80], [0x80, 0x80], [0x08, 0x80], [0x00, 0x80], [0xec, 0x00]] {
            assert_eq!(Header::read(&bytes), Err(Unread::Invalid), "{bytes:x?}");
        }
    }

    #[test]
    fn an_element_longer_than_its_parent_ends_the_parent() {
        let mut budget = Budget::new(ELEMENTS_MAX);
        let mut elements = Elements::of(&[0xec, 0x81, 7, 0xbf, 0x80, 0xec, 0x83, 1, 2], &mut budget);
        assert_eq!(elements.next(), Some((0xec, &[7][..])));
        assert_eq!(elements.next(), Some((0xbf, &[][..])));
        assert_eq!(elements.next(), None);
        assert_eq!(elements.next(), None);
    }

    #[test]
    fn a_spent_budget_ends_every_parent() {
        let mut budget = Budget::new(1);
        let mut elements = Elements::of(&[0xec, 0x80, 0xec, 0x80], &mut budget);
        assert!(elements.next().is_some());
        assert!(elements.next().is_none());
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        assert_eq!(uint(&[1, 0]), Some(256));
        assert_eq!(uint(&[0xff; 8]), Some(u64::MAX));
        assert_eq!((uint(&[]), uint(&[0; 9])), (None, None));
        assert_eq!(float(&1.5f32.to_be_bytes()), Some(1.5));
        assert_eq!(float(&2.5f64.to_be_bytes()), Some(2.5));
        assert_eq!(float(&[0; 3]), None);
        assert_eq!(text(b"Commentary\0\0old", 99).as_deref(), Some("Commentary"));
        assert_eq!(text(" \u{1b}caf\u{e9}s ".as_bytes(), 5).as_deref(), Some("caf"));
        assert_eq!(text(b" \r\n", 99), None);
    }

    proptest! {
        #[test]
        fn elements_of_any_bytes_lie_in_their_parent_and_end(bytes: Vec<u8>) {
            let mut budget = Budget::new(ELEMENTS_MAX);
            let mut elements = Elements::of(&bytes, &mut budget);
            let mut sum = 0;
            while let Some((_, body)) = elements.next() {
                sum += body.len() + 2;
                let mut inner = elements.within(body);
                while inner.next().is_some() {}
            }
            prop_assert!(sum <= bytes.len());
        }

        #[test]
        fn any_text_is_told_within_its_bound(bytes: Vec<u8>, bytes_max in 0usize..40) {
            prop_assert!(text(&bytes, bytes_max).is_none_or(|text| text.len() <= bytes_max));
        }
    }
}

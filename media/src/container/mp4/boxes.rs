//! Boxes (ISO 14496-12 section 4.2; QuickTime calls them atoms), and the numbers in them.

/// A box's type, or another code of four characters.
pub(crate) type Kind = [u8; 4];

/// What stands before a box's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// How long the header itself is.
    pub(super) bytes: u64,
    /// Bytes of the box in all; none if it goes on to the end of what it is in.
    pub(super) size: Option<u64>,
}

impl Header {
    pub(super) const BYTES_MIN: u64 = 8;
    pub(super) const BYTES_MAX: u64 = 16;

    /// None if the bytes end within it, or if it says that the box ends within it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let size = fields.u32()?;
        let kind = fields.array()?;
        let (bytes, size) = match size {
            0 => (Self::BYTES_MIN, None),
            1 => (Self::BYTES_MAX, Some(fields.u64()?)),
            size => (Self::BYTES_MIN, Some(size.into())),
        };
        size.is_none_or(|size| size >= bytes).then_some(Self { kind, bytes, size })
    }
}

/// The boxes in a box, each with its content. One that says it is longer than what it is in ends with it.
#[derive(Clone, Debug)]
pub(crate) struct Boxes<'a>(pub(crate) &'a [u8]);

impl<'a> Boxes<'a> {
    /// The content of the first of a type.
    pub(crate) fn first(mut self, kind: &Kind) -> Option<&'a [u8]> {
        self.find(|(found, _)| found == kind).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = (Kind, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Inside a box a size of zero is QuickTime's end of a list.
        let header = Header::parse(self.0)?;
        let size = usize::try_from(header.size?).unwrap_or(usize::MAX).min(self.0.len());
        let (whole, rest) = self.0.split_at(size);
        self.0 = rest;
        Some((header.kind, whole.get(header.bytes as usize..)?))
    }
}

/// Big-endian numbers one after the other; none where the bytes end.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// What a full box begins with (section 4.2): its version and its flags.
    pub(super) fn full(&mut self) -> Option<(u8, u32)> {
        let word = self.u32()?;
        Some(((word >> 24) as u8, word & 0x00ff_ffff))
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// 32 bits, or 64 in the later version of a box.
    pub(super) fn word(&mut self, is_long: bool) -> Option<u64> {
        if is_long { self.u64() } else { self.u32().map(u64::from) }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// A table: its number of rows, then rows of a fixed width. Those that aren't there are left out.
    pub(super) fn table<const N: usize>(&mut self) -> Option<&'a [[u8; N]]> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let (rows, _) = self.0.as_chunks();
        Some(&rows[..rows.len().min(count)])
    }
}

/// The `nth` number of 32 bits in a row of a table.
pub(super) fn column<const N: usize>(row: &[u8; N], nth: usize) -> u32 {
    row.as_chunks().0.get(nth).copied().map_or(0, u32::from_be_bytes)
}

/// A text that somebody wrote, if there is anything to see in it: without what can't be printed, and as much of it as fits.
pub(super) fn text(bytes: &[u8], bytes_max: usize) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).find(|part| !part.is_empty())?;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * bytes_max)]);
    let mut kept = String::new();
    for letter in text.trim().chars().filter(|letter| !letter.is_control()) {
        if kept.len() + letter.len_utf8() > bytes_max {
            break;
        }
        kept.push(letter);
    }
    (!kept.is_empty()).then_some(kept)
}

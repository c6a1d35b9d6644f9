use super::section::crc32;

/// A section of a table with that content behind its length, and the CRC.
pub(in super::super) fn section(table: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() + 4) as u16 | 0xb000;
    let mut section = [&[table][..], &length.to_be_bytes(), content].concat();
    section.extend(crc32(&section).to_be_bytes());
    section
}

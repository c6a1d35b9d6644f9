//! Supplemental enhancement information of H.265 (7.3.5): the one message that says more of a stream than its parameter sets.

use super::unit;

/// `PREFIX_SEI_NUT`
const PREFIX: u8 = 39;

/// `user_data_registered_itu_t_t35`
const REGISTERED: usize = 4;

/// How the metadata of ST 2094-40 begin: the country, its provider, what is meant for it, and the application.
const HDR10_PLUS: [u8; 6] = [0xb5, 0x00, 0x3c, 0x00, 0x01, 4];

/// Whether a unit has a message with metadata of ST 2094-40.
pub(super) fn is_hdr10_plus(unit: &[u8]) -> bool {
    let Some((&[header, _], messages)) = unit.split_first_chunk() else { return false };
    header & 0xfe == PREFIX << 1 && has_metadata(&unit::payload(messages)).is_some()
}

fn has_metadata(messages: &[u8]) -> Option<()> {
    let mut rest = messages;
    loop {
        let kind = number(&mut rest)?;
        let length = number(&mut rest)?;
        let (body, behind) = rest.split_at_checked(length)?;
        if kind == REGISTERED && body.starts_with(&HDR10_PLUS) {
            return Some(());
        }
        rest = behind;
    }
}

/// A number in bytes, all but the last of which are 255.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number += usize::from(byte);
        if byte != u8::MAX {
            return Some(number);
        }
    }
}

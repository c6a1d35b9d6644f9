//! Where WebVTT's cue settings ("line:0 align:start") are: Matroska and WebM each have their own place.

use super::id;
use crate::container::ebml::{Elements, uint};
use crate::container::inspect::Budget;

/// Bytes and elements of what is kept beside a block. Settings are a line.
pub(super) const ADDITIONS_BYTES_MAX: u64 = 4096;
const ADDITIONS_MAX: u32 = 64;

/// The `BlockAddID` of what belongs to the codec (RFC 9559, section 5.1.3.5.2.3), also if it isn't said.
const OF_CODEC: u64 = 1;

/// In Matroska the `BlockAdditions` have them: settings, the cue's name and comments, a line each.
pub(super) fn settings_beside(additions: &[u8]) -> Vec<u8> {
    let mut budget = Budget::new(ADDITIONS_MAX);
    let mut elements = Elements::of(additions, &mut budget);
    while let Some((id, body)) = elements.next() {
        let additional = (id == id::BLOCK_MORE).then(|| additional(elements.within(body))).flatten();
        if let Some(additional) = additional {
            return lines::<2>(additional)[0].to_vec();
        }
    }
    Vec::new()
}

fn additional<'a>(mut elements: Elements<'a, '_>) -> Option<&'a [u8]> {
    let (mut kind, mut additional) = (OF_CODEC, None);
    while let Some((id, body)) = elements.next() {
        match id {
            id::BLOCK_ADD_ID => kind = uint(body).unwrap_or(kind),
            id::BLOCK_ADDITIONAL => additional = additional.or(Some(body)),
            _ => {}
        }
    }
    additional.filter(|_| kind == OF_CODEC)
}

/// In WebM the payload has them: the cue's name, settings and then text, each from a new line on. Says settings and text.
pub(super) fn settings_before(payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let [_name, settings, text] = lines(payload);
    (settings.to_vec(), text.to_vec())
}

/// The first lines, and the rest as the last of them. What isn't there is empty.
fn lines<const N: usize>(text: &[u8]) -> [&[u8]; N] {
    let mut parts = text.splitn(N, |&octet| octet == b'\n');
    let mut lines = [&[][..]; N];
    for (nth, line) in lines.iter_mut().enumerate() {
        let part = parts.next().unwrap_or_default();
        *line = if nth + 1 < N { part.strip_suffix(b"\r").unwrap_or(part) } else { part };
    }
    lines
}

//! SeekHead (RFC 9559, section 5.1.1): where other children of the Segment are.

use super::id;
use crate::container::ebml::{Elements, uint};
use crate::container::inspect::Budget;

/// The children that are looked for, in the order in which they are wanted: what one SeekHead doesn't name, the next may.
pub(super) const SOUGHT: [u32; 4] = [id::SEEK_HEAD, id::INFO, id::TRACKS, id::CUES];

/// The ids of those that are sought, and where they are from where the Segment's data begins. The first of each kind.
pub(super) fn read(body: &[u8], budget: &mut Budget) -> Vec<(u32, u64)> {
    let mut named = Vec::<(u32, u64)>::new();
    let mut seeks = Elements::of(body, budget);
    while let Some((id, body)) = seeks.next() {
        let seek = (id == id::SEEK).then(|| seek(seeks.within(body))).flatten();
        named.extend(seek.filter(|seek| named.iter().all(|other| other.0 != seek.0)));
    }
    named
}

fn seek(mut elements: Elements<'_, '_>) -> Option<(u32, u64)> {
    let (mut named, mut position) = (None, None);
    while let Some((id, body)) = elements.next() {
        match id {
            id::SEEK_ID => named = named.or(uint(body)),
            id::SEEK_POSITION => position = position.or(uint(body)),
            _ => {}
        }
    }
    let named = named?;
    let id = SOUGHT.into_iter().find(|&id| u64::from(id) == named)?;
    Some((id, position?))
}

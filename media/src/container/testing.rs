//! What the tests of containers share: looking into a file that is in memory.

use std::ops::Range;

use super::{Facts, Fault, Inspection, Step};

/// Drives an inspection to its end, as whoever has the whole file does. What came of it, and what it read.
pub(super) fn inspect(file: &[u8]) -> (Result<Facts, Fault>, Vec<Range<u64>>) {
    let mut inspection = Inspection::new(file.len() as u64);
    let mut reads = Vec::new();
    loop {
        match inspection.step() {
            Step::Read(range) => {
                let bytes = file[range.start as usize..range.end as usize].to_vec();
                inspection.supply(range.start, bytes);
                reads.push(range);
            }
            Step::Done(facts) => return (Ok(*facts), reads),
            Step::Failed(fault) => return (Err(fault), reads),
        }
    }
}

/// A file with some of its bytes changed, and cut: what hostile or broken ones are like.
pub(super) fn damaged(mut file: Vec<u8>, changes: &[(usize, u8)], cut: usize) -> Vec<u8> {
    for &(at, value) in changes {
        let at = at % file.len();
        file[at] = value;
    }
    file.truncate(cut.max(1));
    file
}

//! What must hold for any file that claims to be Matroska, once its Clusters are read.

use afflux_media::container::matroska::{Block, ClusterScan, Head, SubtitleBlocks};
use afflux_media::container::{Index, Inspection, Step, TrackKind};
use afflux_media::limits::{STRIPPED_BYTES_MAX, SUBTITLE_BLOCK_BYTES_MAX};

/// A file's blocks and its index are the same however its bytes are divided, and don't need those that aren't asked for.
pub fn matroska_blocks(data: &[u8]) {
    let Some((head, tracks)) = inspect(data) else { return };
    // Any size of parts will do, but a small one puts more borders into a small file.
    let part = 1 + data.len() % 61;
    assert_eq!(index(&head, data, data.len()), index(&head, data, part));
    for track in tracks {
        let Ok(machine) = SubtitleBlocks::new(&head, track) else { continue };
        let whole = blocks(machine.clone(), data, data.len());
        assert_eq!(blocks(machine.clone(), data, part), whole);
        assert_eq!(wanted(machine, data, part), whole);
        let bytes_max = SUBTITLE_BLOCK_BYTES_MAX as usize + STRIPPED_BYTES_MAX;
        assert!(whole.iter().all(|block| block.payload.len() <= bytes_max));
    }
}

fn inspect(data: &[u8]) -> Option<(Head, Vec<u64>)> {
    let mut inspection = Inspection::new(data.len() as u64);
    let facts = loop {
        match inspection.step() {
            Step::Read(range) => {
                inspection.supply(range.start, data[range.start as usize..range.end as usize].to_vec());
            }
            Step::Done(facts) => break facts,
            Step::Failed(_) => return None,
        }
    };
    let texts = facts.tracks.iter().filter(|track| track.kind == TrackKind::Subtitle);
    Some((inspection.matroska()?.clone(), texts.map(|track| track.id).collect()))
}

fn index(head: &Head, data: &[u8], part: usize) -> Option<Index> {
    let mut scan = ClusterScan::new(head);
    for (nth, bytes) in data.chunks(part).enumerate() {
        scan.handle((nth * part) as u64, bytes);
    }
    scan.index()
}

fn blocks(mut machine: SubtitleBlocks, data: &[u8], part: usize) -> Vec<Block> {
    let mut found = Vec::new();
    for (nth, bytes) in data.chunks(part).enumerate() {
        machine.handle((nth * part) as u64, bytes, |block| found.push(block));
    }
    found
}

fn wanted(mut machine: SubtitleBlocks, data: &[u8], part: usize) -> Vec<Block> {
    let mut found = Vec::new();
    while let Some(at) = machine.wanted() {
        let end = data.len().min(at as usize + part);
        machine.handle(at, &data[at as usize..end], |block| found.push(block));
    }
    found
}

//! Writes elements, so that the tests can say what a file has in it.

use crate::container::matroska::id;

/// A size in as few bytes as it takes.
fn size(size: usize) -> Vec<u8> {
    let length = (1..=8).find(|length| (size as u64) < (1 << (7 * length)) - 1).unwrap();
    (size as u64 | 1 << (7 * length)).to_be_bytes()[8 - length..].to_vec()
}

fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|&octet| octet == 0).collect()
}

pub(super) fn element(id: u32, body: impl AsRef<[u8]>) -> Vec<u8> {
    [id_bytes(id), size(body.as_ref().len()), body.as_ref().to_vec()].concat()
}

/// An element that claims a size.
pub(super) fn claiming(id: u32, claimed: usize, body: impl AsRef<[u8]>) -> Vec<u8> {
    [id_bytes(id), size(claimed), body.as_ref().to_vec()].concat()
}

/// One of unknown size.
pub(super) fn endless(id: u32, children: &[Vec<u8>]) -> Vec<u8> {
    [id_bytes(id), vec![0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], children.concat()].concat()
}

pub(super) fn parent(id: u32, children: &[Vec<u8>]) -> Vec<u8> {
    element(id, children.concat())
}

/// Always of eight bytes, so that sizes don't depend on offsets.
pub(super) fn uint(id: u32, value: u64) -> Vec<u8> {
    element(id, value.to_be_bytes())
}

pub(super) fn float(id: u32, value: f64) -> Vec<u8> {
    element(id, value.to_be_bytes())
}

pub(super) fn header(document: &str) -> Vec<u8> {
    parent(id::EBML, &[element(0x4286, [1]), element(id::DOC_TYPE, document)])
}

/// A file of a Segment with these children.
pub(super) fn file(children: &[Vec<u8>]) -> Vec<u8> {
    [header("matroska"), parent(id::SEGMENT, children)].concat()
}

/// Where the Segment's data begins in what [`file`] wrote.
pub(super) fn segment_start(children: &[Vec<u8>]) -> u64 {
    (file(children).len() - children.concat().len()) as u64
}

pub(super) fn seek_head(seeks: &[(u32, u64)]) -> Vec<u8> {
    let seek = |&(id, at): &(u32, u64)| {
        parent(id::SEEK, &[element(id::SEEK_ID, id_bytes(id)), uint(id::SEEK_POSITION, at)])
    };
    parent(id::SEEK_HEAD, &seeks.iter().map(seek).collect::<Vec<_>>())
}

/// Of milliseconds.
pub(super) fn info(duration: f64) -> Vec<u8> {
    parent(id::INFO, &[uint(id::TIMESTAMP_SCALE, 1_000_000), float(id::DURATION, duration)])
}

pub(super) fn track(number: u64, kind: u64, codec: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let entry = [uint(id::TRACK_NUMBER, number), uint(id::TRACK_TYPE, kind), element(id::CODEC_ID, codec)];
    parent(id::TRACK_ENTRY, &[&entry[..], more].concat())
}

/// A video of H.264 with number 1 and a text with number 2.
pub(super) fn tracks() -> Vec<u8> {
    parent(id::TRACKS, &[track(1, 1, "V_MPEG4/ISO/AVC", &[]), track(2, 17, "S_TEXT/UTF8", &[])])
}

pub(super) fn cue(time: u64, positions: &[(u64, u64)]) -> Vec<u8> {
    let position = |&(track, at): &(u64, u64)| {
        parent(id::CUE_TRACK_POSITIONS, &[uint(id::CUE_TRACK, track), uint(id::CUE_CLUSTER_POSITION, at)])
    };
    let positions = positions.iter().map(position).collect::<Vec<_>>();
    parent(id::CUE_POINT, &[vec![uint(id::CUE_TIME, time)], positions].concat())
}

pub(super) fn cluster(timestamp: u64, children: &[Vec<u8>]) -> Vec<u8> {
    parent(id::CLUSTER, &[&[uint(id::TIMESTAMP, timestamp)], children].concat())
}

fn block_body(track: u8, time: i16, flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | track][..], &time.to_be_bytes(), &[flags], payload].concat()
}

pub(super) fn simple_block(track: u8, time: i16, payload: impl AsRef<[u8]>) -> Vec<u8> {
    element(id::SIMPLE_BLOCK, block_body(track, time, 0x80, payload.as_ref()))
}

/// One of pictures that need others.
pub(super) fn dependent_block(track: u8, time: i16, payload: impl AsRef<[u8]>) -> Vec<u8> {
    element(id::SIMPLE_BLOCK, block_body(track, time, 0, payload.as_ref()))
}

pub(super) fn laced_block(track: u8, time: i16, payload: impl AsRef<[u8]>) -> Vec<u8> {
    element(id::SIMPLE_BLOCK, block_body(track, time, 0x82, payload.as_ref()))
}

pub(super) fn block_group(track: u8, time: i16, duration: u64, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let block = element(id::BLOCK, block_body(track, time, 0, payload.as_ref()));
    parent(id::BLOCK_GROUP, &[block, uint(id::BLOCK_DURATION, duration)])
}

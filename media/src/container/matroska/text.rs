//! Texts out of Clusters (RFC 9559, sections 5.1.3 and 10), from bytes of which pictures and sound are left out.

use super::cluster::{HEAD_BYTES_MAX, Search};
use super::coding::{Form, Undo};
use super::webvtt::{self, ADDITIONS_BYTES_MAX};
use super::{Head, id, micros};
use crate::container::Refusal;
use crate::container::ebml::{self, Elements, HEADER_BYTES_MAX, Header, Unread, uint};
use crate::container::inspect::Budget;
use crate::container::text_tracks::{Found, Place, Step, Text};
use crate::limits::SUBTITLE_BLOCK_BYTES_MAX;

/// Bytes before a block's payload: the track's number, the time and the flags (section 10.1).
const BLOCK_HEADER_BYTES_MAX: u64 = 8 + 2 + 1;

/// The flags that say that a block has several frames, which text doesn't have.
const LACING: u8 = 0b0000_0110;

/// Bytes of a BlockGroup in which its Block is looked for, to see whose it is: it comes first but for a CRC-32, in files.
const GROUP_HEAD_BYTES: u64 = 64;

/// Bytes of a BlockGroup with a text: what else is in it is small.
const GROUP_BYTES_MAX: u64 = SUBTITLE_BLOCK_BYTES_MAX + 2 * ADDITIONS_BYTES_MAX;

/// Elements of a BlockGroup that are looked at. Files have four.
const GROUP_ELEMENTS_MAX: u32 = 64;

/// The Cluster that a walk is in.
#[derive(Clone, Copy, Debug)]
pub(in crate::container) struct OpenCluster {
    end: Option<u64>,
    /// In ticks.
    timestamp: Option<u64>,
}

/// How texts are got out of a file.
#[derive(Clone, Debug)]
pub(in crate::container) struct Texts {
    segment: std::ops::Range<u64>,
    scale: u64,
    tracks: Vec<Readable>,
}

/// A track whose texts are read.
#[derive(Clone, Debug)]
struct Readable {
    number: u64,
    form: Form,
    undo: Undo,
    duration_micros: Option<u64>,
}

/// An element of which the beginning is there, or all.
#[derive(Clone, Copy, Debug)]
struct Element<'a> {
    at: u64,
    end: u64,
    header_bytes: usize,
    /// What is there from `at` on, which may be less than the element and may be more.
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    /// Of it and its header.
    fn bytes(&self) -> u64 {
        self.end - self.at
    }

    /// How many are its header and so many bytes of its body, if that has as many.
    fn bytes_of(&self, body_bytes: u64) -> u64 {
        self.bytes().min(self.header_bytes as u64 + body_bytes)
    }

    /// So many bytes of its body, or all if it has fewer; nothing if they aren't there.
    fn beginning(&self, body_bytes: u64) -> Option<&'a [u8]> {
        let until = usize::try_from(self.bytes_of(body_bytes)).ok()?;
        self.rest.get(self.header_bytes..until)
    }

    fn body(&self) -> Option<&'a [u8]> {
        self.beginning(self.bytes())
    }
}

/// A block, and what its group says of it.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    body: &'a [u8],
    /// In ticks.
    duration: Option<u64>,
    additions: &'a [u8],
}

/// What a block begins with.
#[derive(Clone, Copy, Debug)]
struct BlockHead {
    track: u64,
    time: i16,
    flags: u8,
    bytes: usize,
}

impl BlockHead {
    fn read(block: &[u8]) -> Result<Self, Unread> {
        let (track, length) = ebml::number(block)?;
        let fields = block.get(length..).and_then(|rest| rest.first_chunk::<3>()).ok_or(Unread::Short)?;
        let [high, low, flags] = *fields;
        Ok(Self { track, time: i16::from_be_bytes([high, low]), flags, bytes: length + 3 })
    }
}

impl Head {
    /// The head of a track's script, or why its texts can't be read.
    pub(in crate::container) fn readable(&self, track: u64) -> Result<&[u8], Refusal> {
        let coding = self.coding(track).ok_or(Refusal::NoSuchTrack)?;
        coding.text()?;
        Ok(&coding.script)
    }

    /// How the texts of these tracks are read.
    pub(in crate::container) fn texts(&self, tracks: &[u64]) -> Texts {
        let readable = |&number: &u64| {
            let coding = self.coding(number)?;
            let (form, undo) = coding.text().ok()?;
            let duration = coding.duration.map(|duration| duration.as_micros());
            let duration_micros = duration.and_then(|micros| u64::try_from(micros).ok());
            Some(Readable { number, form, undo, duration_micros })
        };
        let tracks = tracks.iter().filter_map(readable).collect();
        Texts { segment: self.segment(), scale: self.scale, tracks }
    }
}

impl Texts {
    /// Where there is nothing more.
    pub(in crate::container) fn end(&self) -> u64 {
        self.segment.end
    }

    /// What begins where a walk is.
    pub(in crate::container) fn step(&self, place: &mut Place, rest: &[u8], found: &mut Found) -> Step {
        if place.is_lost {
            return self.search(place, rest);
        }
        place.cluster.take_if(|cluster| cluster.end.is_some_and(|end| end <= place.at));
        match Header::read(rest) {
            Ok(header) => self.enter(place, header, rest, found),
            Err(Unread::Short) => Step::Needs(HEADER_BYTES_MAX as u64),
            Err(Unread::Invalid) => leave(place),
        }
    }

    fn search(&self, place: &mut Place, bytes: &[u8]) -> Step {
        let mut search = Search::new(self.segment.clone());
        let Some(cluster) = search.find(place.at, bytes) else {
            let at = search.kept_from();
            return if at > place.at { Step::To(at) } else { Step::Needs(HEAD_BYTES_MAX as u64) };
        };
        place.cluster = Some(OpenCluster { end: cluster.end, timestamp: Some(cluster.timestamp) });
        self.meet(place, cluster.timestamp);
        Step::Found(cluster.offset, cluster.blocks)
    }

    fn enter(&self, place: &mut Place, header: Header, rest: &[u8], found: &mut Found) -> Step {
        let body = place.at.saturating_add(header.length as u64);
        let end = header.size.map(|size| body.saturating_add(size));
        place.cluster.take_if(|cluster| cluster.end.is_none() && id::is_of_segment(header.id));
        if header.id == id::CLUSTER && place.cluster.is_none() {
            place.cluster = Some(OpenCluster { end, timestamp: None });
            return Step::To(body);
        }
        let parent_end = place.cluster.and_then(|cluster| cluster.end).unwrap_or(self.segment.end);
        let Some(end) = end.filter(|&end| end <= parent_end) else { return leave(place) };
        let Some(cluster) = place.cluster else { return Step::To(end) };
        let element = Element { at: place.at, end, header_bytes: header.length, rest };
        match header.id {
            id::TIMESTAMP if (1..=8).contains(&(end - body)) => {
                let Some(body) = element.body() else { return Step::Needs(element.bytes()) };
                let timestamp = cluster.timestamp.or(uint(body));
                place.cluster = Some(OpenCluster { timestamp, ..cluster });
                timestamp.into_iter().for_each(|timestamp| self.meet(place, timestamp));
                Step::To(end)
            }
            id::SIMPLE_BLOCK => self.simple_block(&element, cluster, found),
            id::BLOCK_GROUP => self.group(&element, cluster, found),
            _ => Step::To(end),
        }
    }

    fn meet(&self, place: &mut Place, timestamp: u64) {
        micros(timestamp.into(), self.scale).into_iter().for_each(|micros| place.meet(micros));
    }

    fn simple_block(&self, element: &Element<'_>, cluster: OpenCluster, found: &mut Found) -> Step {
        let Some(head) = element.beginning(BLOCK_HEADER_BYTES_MAX) else {
            return Step::Needs(element.bytes_of(BLOCK_HEADER_BYTES_MAX));
        };
        let is_ours = BlockHead::read(head).is_ok_and(|head| self.track_of(head).is_some());
        if !is_ours || element.bytes() > GROUP_BYTES_MAX {
            return Step::To(element.end);
        }
        let Some(body) = element.body() else { return Step::Needs(element.bytes()) };
        self.add(Block { body, duration: None, additions: &[] }, element.at, cluster, found);
        Step::To(element.end)
    }

    fn group(&self, element: &Element<'_>, cluster: OpenCluster, found: &mut Found) -> Step {
        let Some(beginning) = element.beginning(GROUP_HEAD_BYTES) else {
            return Step::Needs(element.bytes_of(GROUP_HEAD_BYTES));
        };
        let is_others = first_block(beginning).is_some_and(|block| self.track_of(block).is_none());
        if is_others || element.bytes() > GROUP_BYTES_MAX {
            return Step::To(element.end);
        }
        let Some(group) = element.body() else { return Step::Needs(element.bytes()) };
        let mut budget = Budget::new(GROUP_ELEMENTS_MAX);
        let mut elements = Elements::of(group, &mut budget);
        let (mut block, mut duration, mut additions) = (None, None, &[][..]);
        while let Some((id, body)) = elements.next() {
            match id {
                id::BLOCK => block = block.or(Some(body)),
                id::BLOCK_DURATION => duration = duration.or(uint(body)),
                id::BLOCK_ADDITIONS if body.len() as u64 <= ADDITIONS_BYTES_MAX => additions = body,
                _ => {}
            }
        }
        if let Some(body) = block {
            self.add(Block { body, duration, additions }, element.at, cluster, found);
        }
        Step::To(element.end)
    }

    fn track_of(&self, head: BlockHead) -> Option<&Readable> {
        self.tracks.iter().find(|track| track.number == head.track && head.flags & LACING == 0)
    }

    /// A block of which all is there, in the element that begins at an offset. One that can't be read is left out alone.
    fn add(&self, block: Block<'_>, at: u64, cluster: OpenCluster, found: &mut Found) {
        let Ok(head) = BlockHead::read(block.body) else { return };
        let (Some(track), Some(timestamp)) = (self.track_of(head), cluster.timestamp) else { return };
        let Some(shown) = micros(i128::from(timestamp) + i128::from(head.time), self.scale) else { return };
        let payload = &block.body[head.bytes..];
        if payload.len() as u64 > SUBTITLE_BLOCK_BYTES_MAX {
            return;
        }
        let payload = match track.undo.apply(payload) {
            Ok(payload) => payload,
            Err(bytes) => return found.wasted.push((track.number, bytes)),
        };
        let (settings, payload) = match track.form {
            Form::Plain => (Vec::new(), payload),
            Form::BesideSettings => (webvtt::settings_beside(block.additions), payload),
            Form::AfterSettings => webvtt::settings_before(&payload),
        };
        let said = block.duration.and_then(|ticks| micros(ticks.into(), self.scale));
        let duration_micros = said.or(track.duration_micros);
        found.texts.push((track.number, at, Text { micros: shown, duration_micros, payload, settings }));
    }
}

/// The head of a group's first Block, if it is in these bytes.
fn first_block(group: &[u8]) -> Option<BlockHead> {
    let mut rest = group;
    loop {
        let header = Header::read(rest).ok()?;
        let body = &rest[header.length..];
        if header.id == id::BLOCK {
            return BlockHead::read(body).ok();
        }
        rest = body.get(usize::try_from(header.size?).ok()?..)?;
    }
}

/// What is here can't be read: goes on behind the Cluster if it is known where that ends.
fn leave(place: &mut Place) -> Step {
    let end = place.cluster.take().and_then(|cluster| cluster.end).filter(|&end| end > place.at);
    end.map_or_else(|| place.lose(), Step::To)
}

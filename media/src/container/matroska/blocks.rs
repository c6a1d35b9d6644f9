//! Blocks of a track of text, read from Clusters as their bytes pass (RFC 9559, sections 5.1.3 and 10).

use std::time::Duration;

use super::cluster::{Cluster, Search};
use super::coding::{Form, Refusal};
use super::webvtt::{self, ADDITIONS_BYTES_MAX};
use super::{Head, id, micros};
use crate::container::ebml::{self, HEADER_BYTES_MAX, Header, Unread, uint};
use crate::limits::SUBTITLE_BLOCK_BYTES_MAX;

/// Bytes before a block's payload: the track's number, the time and the flags (section 10.1).
const BLOCK_HEADER_BYTES_MAX: usize = 8 + 2 + 1;

/// The flags that say that a block has several frames.
const LACING: u8 = 0b0000_0110;

/// What a track shows at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// From when.
    pub time: Duration,
    /// How long, if that is said.
    pub duration: Option<Duration>,
    /// As the track's codec has it: text of SubRip or WebVTT, or a `Dialogue` of SubStation Alpha without its times.
    pub payload: Vec<u8>,
    /// How WebVTT places it ("line:0 align:start"); empty if it doesn't.
    pub settings: Vec<u8>,
}

/// Gets the blocks of one track of text out of a file.
///
/// It is given the file's bytes from [`Self::wanted`] on, in order; what lies before that may be left out, so that pictures and
/// sound needn't be read. Bytes from elsewhere begin anew: it looks for the next Cluster in them. It keeps one block at most.
///
/// Left out: blocks with several frames in them, which text doesn't have, and blocks longer than
/// [`SUBTITLE_BLOCK_BYTES_MAX`].
#[derive(Clone, Debug)]
pub struct SubtitleBlocks {
    track: u64,
    scale: u64,
    default_duration: Option<Duration>,
    form: Form,
    stripped: Vec<u8>,
    segment_end: u64,
    search: Search,
    /// Of the next byte that is needed.
    at: u64,
    /// Of what `state` waits for.
    kept: Vec<u8>,
    state: State,
    cluster: Option<Open>,
    group: Option<Group>,
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Anything. A Cluster is looked for.
    Lost,
    /// An element's header.
    Header,
    /// The body of a small number.
    Number { id: u32, end: u64 },
    /// What is kept beside a block.
    Additions { end: u64 },
    /// The header of a block.
    BlockHeader { end: u64 },
    /// The payload of a block of our track.
    Payload { time: i16, end: u64 },
}

/// A Cluster that bytes are read of.
#[derive(Clone, Copy, Debug)]
struct Open {
    end: Option<u64>,
    timestamp: Option<u64>,
}

/// A BlockGroup that bytes are read of.
#[derive(Clone, Debug)]
struct Group {
    end: u64,
    block: Option<(i16, Vec<u8>)>,
    /// In ticks.
    duration: Option<u64>,
    settings: Vec<u8>,
}

impl Group {
    fn new(end: u64, block: Option<(i16, Vec<u8>)>) -> Self {
        Self { end, block, duration: None, settings: Vec::new() }
    }
}

impl SubtitleBlocks {
    /// Of a track of the file of which this is the head.
    pub fn new(head: &Head, track: u64) -> Result<Self, Refusal> {
        let coding = head.coding(track).ok_or(Refusal::NoSuchTrack)?;
        let (form, stripped) = coding.text()?;
        Ok(Self {
            track,
            scale: head.scale,
            default_duration: coding.duration,
            form,
            stripped,
            segment_end: head.segment.end,
            search: Search::new(head.segment()),
            at: head.clusters,
            kept: Vec::new(),
            state: State::Header,
            cluster: None,
            group: None,
        })
    }

    /// The offset from which on it needs the file's bytes; `None` after the last.
    pub fn wanted(&self) -> Option<u64> {
        (self.at < self.segment_end).then_some(self.at)
    }

    /// Bytes of the file, from an offset on. Each block that they complete is given to `found`, in the file's order.
    pub fn handle(&mut self, offset: u64, bytes: &[u8], mut found: impl FnMut(Block)) {
        if offset > self.at {
            self.lose(offset);
        }
        // What lies behind the Segment isn't its own, whatever its last Cluster claims.
        let beyond = behind(bytes, self.segment_end.saturating_sub(offset)).len();
        let mut rest = behind(&bytes[..bytes.len() - beyond], self.at - offset);
        while !rest.is_empty() {
            let before = self.at;
            match self.state {
                State::Lost => self.look_for_cluster(rest),
                _ => self.take(rest),
            }
            if let Some(block) = self.close() {
                found(block);
            }
            rest = behind(rest, self.at - before);
        }
    }

    /// Begins anew at an offset.
    fn lose(&mut self, offset: u64) {
        self.at = offset;
        self.kept = Vec::new();
        self.state = State::Lost;
        self.cluster = None;
        self.group = None;
    }

    fn look_for_cluster(&mut self, bytes: &[u8]) {
        match self.search.find(self.at, bytes) {
            Some(Cluster { blocks, end, timestamp, .. }) => {
                self.cluster = Some(Open { end, timestamp: Some(timestamp) });
                self.go_to(blocks);
            }
            None => self.at = self.at.saturating_add(bytes.len() as u64),
        }
    }

    /// Takes as many bytes as the state needs, or as there are.
    fn take(&mut self, bytes: &[u8]) {
        match self.state {
            State::Lost => {}
            State::Header => self.take_while_short(bytes, HEADER_BYTES_MAX, |this| {
                Header::read(&this.kept).map(|header| this.enter(header))
            }),
            State::BlockHeader { end } => {
                let bytes_max = (end - self.at + self.kept.len() as u64).min(BLOCK_HEADER_BYTES_MAX as u64);
                self.take_while_short(bytes, bytes_max as usize, |this| {
                    this.block_header()
                        .map(|(number, time, flags)| this.enter_block(number, time, flags, end))
                });
            }
            State::Number { id, end } => {
                if self.take_until(bytes, end) {
                    self.enter_number(id);
                }
            }
            State::Additions { end } => {
                if self.take_until(bytes, end) {
                    self.enter_additions();
                }
            }
            State::Payload { time, end } => {
                if self.take_until(bytes, end) {
                    let payload = std::mem::take(&mut self.kept);
                    self.enter_payload(time, payload);
                }
            }
        }
    }

    /// Keeps byte after byte until `read` can say what they are; they are a dozen at most.
    fn take_while_short(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        read: impl Fn(&mut Self) -> Result<(), Unread>,
    ) {
        for &octet in bytes {
            self.kept.push(octet);
            self.at += 1;
            match read(self) {
                Ok(()) => return,
                Err(Unread::Short) if self.kept.len() < bytes_max => {}
                Err(_) => return self.leave_damage(),
            }
        }
    }

    /// Keeps bytes up to an offset. Says whether that is reached.
    fn take_until(&mut self, bytes: &[u8], end: u64) -> bool {
        let count = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..count]);
        self.at += count as u64;
        self.at == end
    }

    /// An element of this header begins its body where we are.
    fn enter(&mut self, header: Header) {
        if self.cluster.is_some_and(|cluster| cluster.end.is_none()) && id::is_of_segment(header.id) {
            (self.cluster, self.group) = (None, None);
        }
        let end = header.size.map(|size| self.at.saturating_add(size));
        if header.id == id::CLUSTER && self.cluster.is_none() {
            self.cluster = Some(Open { end, timestamp: None });
            return self.go_to(self.at);
        }
        let Some(end) = end.filter(|&end| end <= self.parent_end().unwrap_or(self.segment_end)) else {
            return self.leave_damage();
        };
        match self.state_in(header.id, end) {
            Some(state) => self.wait_for(state),
            None if header.id == id::BLOCK_GROUP && self.cluster.is_some() && self.group.is_none() => {
                self.group = Some(Group::new(end, None));
                self.go_to(self.at);
            }
            None => self.go_to(end),
        }
    }

    /// Where the innermost open element ends, if that is said.
    fn parent_end(&self) -> Option<u64> {
        self.group.as_ref().map(|group| group.end).or(self.cluster?.end)
    }

    /// What to wait for in an element that begins here; nothing if it isn't needed there.
    fn state_in(&self, id: u32, end: u64) -> Option<State> {
        self.cluster?;
        let size = end - self.at;
        match (id, &self.group) {
            (id::TIMESTAMP, None) | (id::BLOCK_DURATION, Some(_)) if (1..=8).contains(&size) => {
                Some(State::Number { id, end })
            }
            (id::BLOCK_ADDITIONS, Some(_))
                if self.form == Form::BesideSettings && (1..=ADDITIONS_BYTES_MAX).contains(&size) =>
            {
                Some(State::Additions { end })
            }
            (id::SIMPLE_BLOCK, None) | (id::BLOCK, Some(_)) if size > 0 => Some(State::BlockHeader { end }),
            _ => None,
        }
    }

    fn enter_number(&mut self, id: u32) {
        let number = uint(&self.kept);
        match (&mut self.group, &mut self.cluster) {
            (Some(group), _) if id == id::BLOCK_DURATION => group.duration = group.duration.or(number),
            (None, Some(cluster)) => cluster.timestamp = cluster.timestamp.or(number),
            _ => {}
        }
        self.go_to(self.at);
    }

    fn enter_additions(&mut self) {
        if let Some(group) = &mut self.group {
            group.settings = webvtt::settings_beside(&self.kept);
        }
        self.go_to(self.at);
    }

    /// Track, time and flags, of the bytes kept.
    fn block_header(&self) -> Result<(u64, i16, u8), Unread> {
        let (number, length) = ebml::number(&self.kept)?;
        let [high, low, flags] = *self.kept.get(length..length + 3).ok_or(Unread::Short)? else {
            return Err(Unread::Short);
        };
        Ok((number, i16::from_be_bytes([high, low]), flags))
    }

    fn enter_block(&mut self, number: u64, time: i16, flags: u8, end: u64) {
        let is_ours = number == self.track && flags & LACING == 0;
        let is_first = self.group.as_ref().is_none_or(|group| group.block.is_none());
        if !is_ours || end - self.at > SUBTITLE_BLOCK_BYTES_MAX {
            // What else is in a group says something of its block only.
            return self.go_to(self.group.as_ref().map_or(end, |group| group.end));
        }
        match is_first {
            true if end == self.at => self.enter_payload(time, Vec::new()),
            true => self.wait_for(State::Payload { time, end }),
            false => self.go_to(end),
        }
    }

    fn enter_payload(&mut self, time: i16, payload: Vec<u8>) {
        match &mut self.group {
            Some(group) => group.block = Some((time, payload)),
            // A SimpleBlock is a group that ends with it.
            None => self.group = Some(Group::new(self.at, Some((time, payload)))),
        }
        self.go_to(self.at);
    }

    /// Ends what ends where we are; says the block that was in it.
    fn close(&mut self) -> Option<Block> {
        if self.state != State::Header || !self.kept.is_empty() {
            return None;
        }
        let cluster = self.cluster;
        let group = self.group.take_if(|group| group.end <= self.at);
        self.cluster.take_if(|cluster| cluster.end.is_some_and(|end| end <= self.at));
        self.block(group?, cluster?.timestamp?)
    }

    fn block(&self, group: Group, timestamp: u64) -> Option<Block> {
        let (time, payload) = group.block?;
        let micros_of = |ticks| micros(ticks, self.scale).map(Duration::from_micros);
        let payload = [&self.stripped[..], &payload].concat();
        let (settings, payload) = match self.form {
            Form::AfterSettings => webvtt::settings_before(&payload),
            Form::Plain | Form::BesideSettings => (group.settings, payload),
        };
        Some(Block {
            time: micros_of(i128::from(timestamp) + i128::from(time))?,
            duration: group.duration.and_then(|ticks| micros_of(ticks.into())).or(self.default_duration),
            payload,
            settings,
        })
    }

    /// What is here can't be read: goes on behind the innermost element of which it is known where it ends.
    fn leave_damage(&mut self) {
        if let State::BlockHeader { end } = self.state {
            return self.go_to(end);
        }
        let end = self.parent_end().filter(|&end| end >= self.at);
        self.group = None;
        match end {
            Some(end) => self.go_to(end),
            None => self.lose(self.at),
        }
    }

    fn go_to(&mut self, offset: u64) {
        self.at = offset;
        self.wait_for(State::Header);
    }

    fn wait_for(&mut self, state: State) {
        self.kept.clear();
        self.state = state;
    }
}

/// Bytes without so many of the first.
fn behind(bytes: &[u8], count: u64) -> &[u8] {
    &bytes[usize::try_from(count).map_or(bytes.len(), |count| count.min(bytes.len()))..]
}

//! The packets of the head sorted into tables, streams and times, and what they say of the film together.

use std::collections::BTreeMap;

use super::super::facts::{Codec, Track, TrackKind, Video};
use super::elementary::{self, Beginning};
use super::packet::Packet;
use super::section::Sections;
use super::tables::{self, Program};
use super::ticks::{Span, TICKS_A_SECOND, Ticks};
use crate::limits::PROGRAMS_MAX;

const ASSOCIATION_PID: u16 = 0;

/// Times by PID: of what is shown, and of the clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    shown: BTreeMap<u16, Span>,
    clocks: BTreeMap<u16, Span>,
}

impl Times {
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        if let Some(clock) = packet.clock {
            note(&mut self.clocks, packet.pid, clock);
        }
        let header = packet.is_start.then(|| elementary::header(packet.payload)).flatten();
        if let Some(shown) = header.and_then(|header| header.shown) {
            note(&mut self.shown, packet.pid, shown);
        }
    }
}

fn note(spans: &mut BTreeMap<u16, Span>, pid: u16, ticks: Ticks) {
    let now = Span::at(ticks);
    spans.entry(pid).and_modify(|span| *span = span.with(now)).or_insert(now);
}

/// A program that the association names.
#[derive(Debug)]
struct Named {
    number: u16,
    map_pid: u16,
    sections: Sections,
    program: Option<Program>,
}

/// What the packets so far said.
#[derive(Debug, Default)]
pub(super) struct Demux {
    association: Sections,
    /// In the association's order. A program that another association doesn't name any more stays: what was recorded of it is there.
    programs: Vec<Named>,
    /// Streams of pictures and sound.
    beginnings: BTreeMap<u16, (Codec, Beginning)>,
    times: Times,
}

impl Demux {
    pub(super) fn take(&mut self, packet: &Packet<'_>) {
        self.times.take(packet);
        self.take_tables(packet);
        let Some((codec, beginning)) = self.beginnings.get_mut(&packet.pid) else { return };
        if !packet.is_start {
            beginning.extend(codec, packet.payload);
        } else if let Some(header) = elementary::header(packet.payload) {
            beginning.start(codec, header.data);
        }
    }

    /// No more packets come.
    pub(super) fn finish(&mut self) {
        for (codec, beginning) in self.beginnings.values_mut() {
            beginning.finish(codec);
        }
    }

    /// Whether more packets would say no more.
    pub(super) fn is_settled(&self) -> bool {
        let has_maps = !self.programs.is_empty() && self.programs.iter().all(|named| named.program.is_some());
        has_maps && self.program().is_some_and(|program| timed(program).all(|pid| self.is_known(pid)))
    }

    /// The program that the film is: the first with pictures, or the first there is.
    pub(super) fn program(&self) -> Option<&Program> {
        let programs = || self.programs.iter().filter_map(|named| named.program.as_ref());
        programs().find(|program| pictures(program).is_some()).or_else(|| programs().next())
    }

    /// Whether times at the end of a file say how long it is: those of the pictures, if there are any.
    pub(super) fn ends_in(&self, tail: &Times) -> bool {
        let Some(program) = self.program() else { return true };
        match pictures(program) {
            Some(pid) => tail.shown.contains_key(&pid),
            None => timed(program).any(|pid| tail.shown.contains_key(&pid)),
        }
    }

    /// How many ticks are between the first time and the last; none if they don't follow each other.
    pub(super) fn duration(&self, tail: &Times) -> Option<i64> {
        let program = self.program()?;
        let spans = timed(program).filter_map(|pid| self.times.shown.get(&pid).copied());
        let first = spans.reduce(Span::with).map(|span| span.first);
        let ends = timed(program).filter_map(|pid| {
            let last = tail.shown.get(&pid).or(self.times.shown.get(&pid))?.last;
            Some(last.since(first?) + self.frame_ticks(pid))
        });
        let shown = ends.reduce(i64::max);
        shown.or_else(|| self.clock_ticks(program, tail)).filter(|&ticks| ticks > 0)
    }

    /// What the clock says where nothing says when it is shown: its packets are scrambled.
    fn clock_ticks(&self, program: &Program, tail: &Times) -> Option<i64> {
        let head = self.times.clocks.get(&program.clock_pid)?;
        let end = tail.clocks.get(&program.clock_pid).unwrap_or(head);
        Some(end.last.since(head.first))
    }

    pub(super) fn tracks(&self) -> Vec<Track> {
        let Some(program) = self.program() else { return Vec::new() };
        let mut tracks: Vec<Track> = program.streams.iter().map(|stream| self.track(stream)).collect();
        super::super::mark_defaults(&mut tracks);
        tracks
    }

    fn track(&self, stream: &tables::Stream) -> Track {
        let about = stream.about.clone();
        let understood = self.beginnings.get(&stream.pid).and_then(|(_, beginning)| beginning.understood());
        let (kind, codec) = match understood {
            Some(understood) => (with_told(understood.kind.clone(), &about.kind), understood.codec.clone()),
            None => (about.kind, about.codec),
        };
        Track {
            id: u64::from(stream.pid),
            kind,
            codec,
            language: about.language.map(Into::into),
            title: None,
            is_default: false,
            is_forced: false,
            is_hearing_impaired: about.is_hearing_impaired,
        }
    }

    fn take_tables(&mut self, packet: &Packet<'_>) {
        if packet.pid == ASSOCIATION_PID {
            let programs = &mut self.programs;
            self.association.push(packet.payload, packet.is_start, |section| {
                for (number, map_pid) in tables::programs(section).into_iter().flatten() {
                    name(programs, number, map_pid);
                }
            });
        }
        for named in self.programs.iter_mut().filter(|named| named.map_pid == packet.pid) {
            let (number, program, beginnings) = (named.number, &mut named.program, &mut self.beginnings);
            named.sections.push(packet.payload, packet.is_start, |section| {
                if let Some(map) = tables::program(section, number) {
                    begin(beginnings, &map);
                    *program = Some(map);
                }
            });
        }
    }

    fn is_known(&self, pid: u16) -> bool {
        let is_settled = |(codec, beginning): &(Codec, Beginning)| beginning.is_settled(codec);
        self.times.shown.contains_key(&pid) && self.beginnings.get(&pid).is_some_and(is_settled)
    }

    /// How long the last picture stays.
    fn frame_ticks(&self, pid: u16) -> i64 {
        let understood = self.beginnings.get(&pid).and_then(|(_, beginning)| beginning.understood());
        let rate = match understood.map(|understood| &understood.kind) {
            Some(TrackKind::Video(video)) => video.frame_rate,
            _ => None,
        };
        // Slower than one a second is a slide show, whose last picture needn't stay.
        rate.filter(|&rate| rate >= 1.0).map_or(0, |rate| (TICKS_A_SECOND as f64 / rate) as i64)
    }
}

fn name(programs: &mut Vec<Named>, number: u16, map_pid: u16) {
    let is_known = programs.iter().any(|named| (named.number, named.map_pid) == (number, map_pid));
    if !is_known && programs.len() < PROGRAMS_MAX {
        programs.push(Named { number, map_pid, sections: Sections::default(), program: None });
    }
}

/// Streams that are new begin; those that were there go on, whatever the map calls them now.
fn begin(beginnings: &mut BTreeMap<u16, (Codec, Beginning)>, program: &Program) {
    for stream in program.streams.iter().filter(|stream| is_timed(stream)) {
        let begin = || (stream.about.codec.clone(), Beginning::default());
        beginnings.entry(stream.pid).or_insert_with(begin);
    }
}

fn is_timed(stream: &tables::Stream) -> bool {
    matches!(stream.about.kind, TrackKind::Video(_) | TrackKind::Audio(_))
}

/// The streams whose times are the film's. Those of subtitles are ahead or behind, or there are none for minutes.
fn timed(program: &Program) -> impl Iterator<Item = u16> {
    program.streams.iter().filter(|stream| is_timed(stream)).map(|stream| stream.pid)
}

fn pictures(program: &Program) -> Option<u16> {
    let is_video = |stream: &&tables::Stream| matches!(stream.about.kind, TrackKind::Video(_));
    program.streams.iter().find(is_video).map(|stream| stream.pid)
}

/// What a stream says of itself, with what only the table says of it.
fn with_told(kind: TrackKind, told: &TrackKind) -> TrackKind {
    match (kind, told) {
        (TrackKind::Video(video), TrackKind::Video(told)) => {
            TrackKind::Video(Video { hdr: told.hdr.or(video.hdr), ..video })
        }
        (kind, _) => kind,
    }
}

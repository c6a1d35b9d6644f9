//! Packets of a transport stream that have times, from wherever they are.

use super::super::facts::{Facts, TrackKind};
use super::super::search::{Looked, Place};
use super::elementary;
use super::packet::{Packets, Stride};
use super::ticks::{TICKS_A_SECOND, Ticks, micros};

/// How a search recognises places in a transport stream.
///
/// Times that aren't between the film's start and its end, because the clock was set anew on the way, count for nothing.
#[derive(Debug)]
pub(in super::super) struct Places {
    /// Whose times are looked at; the first counts where it is there.
    pids: Vec<u16>,
    end_micros: u64,
    origin: Option<Origin>,
}

/// What the start of a stream says.
#[derive(Clone, Copy, Debug)]
struct Origin {
    stride: Stride,
    /// The first packet's time.
    first: Ticks,
    /// Its key frames are marked. Not every program does that.
    has_keys: bool,
}

/// A packet with a time.
#[derive(Clone, Copy, Debug)]
struct Timed {
    offset: u64,
    pid: u16,
    is_key: bool,
    shown: Ticks,
    decoded: Ticks,
}

impl Places {
    /// None if nothing in it has times.
    pub(in super::super) fn new(facts: &Facts, end_micros: u64) -> Option<Self> {
        let pids = pids(facts);
        (!pids.is_empty()).then_some(Self { pids, end_micros, origin: None })
    }

    /// Whether that is known from the start of the file on which the rest is looked at by.
    pub(in super::super) fn begin(&mut self, offset: u64, bytes: &[u8]) -> bool {
        self.origin = Stride::of_head(bytes).and_then(|stride| {
            let timed = || self.timed(offset, bytes, stride);
            let earlier = |first: Ticks, shown: Ticks| if shown.since(first) < 0 { shown } else { first };
            let first = timed().map(|packet| packet.shown).reduce(earlier)?;
            Some(Origin { stride, first, has_keys: timed().any(|packet| packet.is_key) })
        });
        self.origin.is_some()
    }

    pub(in super::super) fn look(&self, offset: u64, bytes: &[u8]) -> Looked {
        let resume = offset.saturating_add(bytes.len() as u64);
        let Some(origin) = self.origin else { return Looked { resume, ..Looked::default() } };
        let timed = || self.timed(offset, bytes, origin.stride);
        let mut of_each = self.pids.iter().map(|&pid| {
            let places = timed().filter(|packet| packet.pid == pid);
            places.filter_map(|packet| self.place(packet, origin)).collect::<Vec<_>>()
        });
        Looked { places: of_each.find(|places| !places.is_empty()).unwrap_or_default(), resume, wanted: 0 }
    }

    fn timed<'a>(&'a self, offset: u64, bytes: &'a [u8], stride: Stride) -> impl Iterator<Item = Timed> + 'a {
        Packets::new(bytes, offset, stride).filter_map(|packet| {
            let header = elementary::header(packet.payload).filter(|_| packet.is_start)?;
            let shown = header.shown.filter(|_| self.pids.contains(&packet.pid))?;
            let decoded = header.decoded.unwrap_or(shown);
            Some(Timed { offset: packet.offset, pid: packet.pid, is_key: packet.is_key, shown, decoded })
        })
    }

    /// In the order of decoding times go up. The first picture is decoded a little before it is shown.
    fn place(&self, packet: Timed, origin: Origin) -> Option<Place> {
        let ticks = packet.decoded.since(origin.first);
        let micros = micros(ticks);
        (ticks >= -TICKS_A_SECOND && micros <= self.end_micros).then_some(Place {
            offset: packet.offset,
            micros,
            end: None,
            is_key: origin.has_keys.then_some(packet.is_key),
        })
    }
}

/// The PIDs of pictures, then those of sound.
fn pids(facts: &Facts) -> Vec<u16> {
    let of = |is_kind: fn(&TrackKind) -> bool| {
        let tracks = facts.tracks.iter().filter(move |track| is_kind(&track.kind));
        tracks.filter_map(|track| u16::try_from(track.id).ok())
    };
    let video = of(|kind| matches!(kind, TrackKind::Video(_)));
    video.chain(of(|kind| matches!(kind, TrackKind::Audio(_)))).collect()
}

//! The tracks of text inside of a film, read as the film's bytes come, in any order, and only those bytes that it takes.
//!
//! [`TextTracks`] names what it needs next of what is there, and is given it. In Matroska and in fragmented MP4 it goes from
//! element to element and hops over pictures and sound, from many places of the file at once: a gap holds up only what is right
//! behind it. In an MP4 of one piece it knows where every text is.
//!
//! Not here: what containers look like inside (`matroska` and `mp4` have that), and what texts mean (`subtitle::embedded`).

mod kept;
mod walk;

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::time::Duration;

use thiserror::Error;

use self::kept::Kept;
use self::walk::{Walk, starts};
use super::{Codec, Facts, Inspection, TrackKind, matroska, mp4};
use crate::limits::{
    MICROS_MAX, TEXT_AHEAD_BYTES, TEXT_BYTES_MAX, TEXT_GAP_BYTES, TEXT_SAMPLES_MAX, TEXT_SEARCH_BYTES,
    TEXT_SPAN_BYTES,
};
use crate::subtitle::embedded::{self, Kind};
use crate::subtitle::{Format, SubtitleError};

pub(super) use self::walk::{Place, Step};

/// Why a track's text can't be given.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is none of that number.
    #[error("the film has no such subtitle track")]
    NoSuchTrack,
    /// It has no text.
    #[error("these subtitles are pictures ({0}): choose a text subtitle, or a player that shows them")]
    Pictures(&'static str),
    /// It is TTML.
    #[error("these subtitles are TTML, which isn't read: convert them to SubRip")]
    Ttml,
    /// It is something that isn't read here.
    #[error(
        "these subtitles are of a kind that isn't read ({0}): SubRip, SubStation Alpha, WebVTT and timed text are"
    )]
    Unread(String),
    /// It is compressed with something that nobody uses for text.
    #[error(
        "these subtitles are compressed in a way that isn't read: remux them with `mkvmerge --compression -1:none`"
    )]
    Compressed,
    /// It is encrypted.
    #[error("these subtitles are encrypted")]
    Encrypted,
    /// It has more than any honest one.
    #[error("these subtitles have more text than any film")]
    TooMuch,
    /// What was read of it can't be written.
    #[error(transparent)]
    Subtitle(#[from] SubtitleError),
}

/// What a track is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TextForm {
    /// WebVTT, for browsers and HLS.
    #[default]
    WebVtt,
    /// SubRip, for everything else.
    Srt,
    /// As nearly as it can be what it was before it came into the film: [`TextTrack::raw`] says what.
    Raw,
}

/// How a track is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// As what.
    pub form: TextForm,
    /// How much later everything is shown, in milliseconds. Texts that would end before the film begins are dropped.
    pub offset_ms: i64,
    /// Only what is seen at some time of these, after the offset, at the times it has in the film.
    pub window_ms: Option<Range<u64>>,
}

/// A subtitle track of a film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextTrack {
    /// The number that the container, and [`Facts`], know it by.
    pub id: u64,
    /// What [`TextForm::Raw`] is of it, or why it can't be given.
    pub raw: Result<Format, Refusal>,
    /// How many texts were read of it so far.
    pub texts: usize,
}

/// All tracks of text of one file, and what was read of them so far.
///
/// Drive it so: [`Self::next`] with what is there of the file; read the bytes that it names and give them to [`Self::supply`];
/// again until it names none. Do so again when more of the file may have come, until [`Self::is_complete`]. What was read isn't
/// needed again: the file may go.
#[derive(Debug)]
pub struct TextTracks {
    length: u64,
    duration: Option<Duration>,
    source: Source,
    tracks: Vec<Track>,
    walks: Vec<Walk>,
    /// The walk that goes on.
    walking: usize,
    /// Samples that aren't read yet. The same may be said of several tracks.
    samples: BTreeMap<Whose, Sample>,
    /// The last of which it was asked whether they are there.
    sampling: Whose,
    /// What is kept of all tracks.
    bytes: usize,
}

/// What the container is.
#[derive(Debug)]
enum Source {
    Matroska(matroska::Texts),
    Fragments(mp4::Texts),
    /// Nothing but samples that are known.
    Samples,
}

#[derive(Debug)]
struct Track {
    id: u64,
    kept: Result<Kept, Refusal>,
}

/// Where a sample begins, of which track it is, and when it is shown in microseconds.
pub(super) type Whose = (u64, u64, u64);

/// A text that is known to be somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) bytes: u64,
    pub(super) duration_micros: Option<u64>,
}

/// A text as its container has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// When it is shown.
    pub(super) micros: u64,
    /// For how long, if that is said.
    pub(super) duration_micros: Option<u64>,
    pub(super) payload: Vec<u8>,
    /// Of WebVTT in Matroska: where it is shown.
    pub(super) settings: Vec<u8>,
}

/// What a walk came by.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Texts, by track and offset.
    pub(super) texts: Vec<(u64, u64, Text)>,
    /// Where texts are.
    pub(super) samples: Vec<(Whose, Sample)>,
    /// Bytes of texts that were of no use, and cost as much as others.
    pub(super) wasted: Vec<(u64, usize)>,
}

impl TextTracks {
    /// Of a file of so many bytes whose inspection has ended with these facts. `None` if it has no subtitles at all.
    pub fn new(inspection: &Inspection, facts: &Facts, length: u64) -> Option<Self> {
        Self::with_spans(inspection, facts, length, TEXT_SPAN_BYTES)
    }

    pub(super) fn with_spans(
        inspection: &Inspection,
        facts: &Facts,
        length: u64,
        span_bytes: u64,
    ) -> Option<Self> {
        let subtitles = facts.tracks.iter().filter(|track| track.kind == TrackKind::Subtitle);
        let head = Head { matroska: inspection.matroska(), mp4: inspection.mp4() };
        let tracks: Vec<Track> =
            subtitles.map(|track| Track { id: track.id, kept: head.kept(track) }).collect();
        if tracks.is_empty() {
            return None;
        }
        let readable: Vec<u64> =
            tracks.iter().filter(|track| track.kept.is_ok()).map(|track| track.id).collect();
        let (source, range) = head.source(&readable, length);
        let points = facts.index.as_ref().map_or(&[][..], |index| index.points());
        let mut this = Self {
            length,
            duration: facts.duration,
            source,
            tracks,
            walks: if readable.is_empty() { Vec::new() } else { starts(range, points, span_bytes) },
            walking: 0,
            samples: BTreeMap::new(),
            sampling: Whose::default(),
            bytes: 0,
        };
        let samples = head.mp4.into_iter().flat_map(mp4::TextHead::samples);
        samples.for_each(|(whose, sample)| this.add_sample(whose, sample));
        Some(this)
    }

    /// What is to be read next, of what is there: of an offset, `there` says up to which byte the file is there from it on, which
    /// is itself if it is missing. `None`: there is nothing more for now.
    pub fn next(&mut self, there: impl Fn(u64) -> u64) -> Option<Range<u64>> {
        self.next_samples(&there).or_else(|| self.next_of_walks(&there))
    }

    /// The bytes that it named last, which begin there.
    pub fn supply(&mut self, offset: u64, bytes: &[u8]) {
        self.read_samples(offset, bytes);
        let mut found = Found::default();
        if let Some(walk) = self.walks.get(self.walking).filter(|walk| walk.place.at == offset) {
            let end = self.end_of(self.walking);
            let mut walk = walk.clone();
            walk.take(bytes, (end, self.length), |place, rest| match &self.source {
                Source::Matroska(texts) => texts.step(place, rest, &mut found),
                Source::Fragments(texts) => texts.step(place, rest, &mut found),
                Source::Samples => Step::To(u64::MAX),
            });
            self.walks[self.walking] = walk;
            self.hand_over();
        }
        for (track, at, text) in found.texts {
            self.keep(track, at, text);
        }
        for (track, bytes) in found.wasted {
            self.charge(track, bytes);
        }
        for (whose, sample) in found.samples {
            self.add_sample(whose, sample);
        }
    }

    /// Reads what is from an offset of the file on before other things: that is what somebody watches.
    pub fn turn_to(&mut self, offset: u64) {
        self.walking = self.walks.partition_point(|walk| walk.begin <= offset).saturating_sub(1);
        self.sampling = (offset, 0, 0);
    }

    /// Its subtitle tracks, in the container's order.
    pub fn tracks(&self) -> impl Iterator<Item = TextTrack> + '_ {
        self.tracks.iter().map(|track| TextTrack {
            id: track.id,
            raw: track.kept.as_ref().map(Kept::format).map_err(Clone::clone),
            texts: track.kept.as_ref().map_or(0, Kept::count),
        })
    }

    /// How much it holds: bytes of text, and what each text costs besides.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether all text of the film was read.
    pub fn is_complete(&self) -> bool {
        self.samples.is_empty() && (0..self.walks.len()).all(|nth| self.is_done(nth))
    }

    /// Times of the film of which all text was read, in milliseconds and in order; none touches the next. The end of the last is
    /// the film's, or [`u64::MAX`] if nobody knows that.
    pub fn covered(&self) -> Vec<Range<u64>> {
        let end_micros = self.duration.map_or(u64::MAX, |end| end.as_micros().try_into().unwrap_or(u64::MAX));
        let mut walked = Vec::new();
        // From when on a walk goes on where the one before has ended.
        let mut from = Some(0);
        for (nth, walk) in self.walks.iter().enumerate() {
            let (first, last) = walk.place.micros.unzip();
            if let (Some(start), Some(last)) = (from.or(first), last) {
                walked.push(start..last);
            }
            from = if self.is_done(nth) { last.or(from) } else { None };
        }
        walked.extend(from.map(|from| from..end_micros));
        let missing = self.samples.iter().map(|(&(_, _, micros), sample)| {
            micros..micros.saturating_add(sample.duration_micros.unwrap_or(1).max(1))
        });
        walk::without(walk::merged(walked), walk::merged(missing.collect()))
    }

    /// A track as text: what was read of it so far, in order of time.
    pub fn write(&self, track: u64, options: &TextOptions) -> Result<String, Refusal> {
        let track = self.tracks.iter().find(|known| known.id == track).ok_or(Refusal::NoSuchTrack)?;
        let kept = track.kept.as_ref().map_err(Clone::clone)?;
        Ok(kept.write(options)?)
    }

    /// The first samples from the last on that are there, and those near behind them.
    fn next_samples(&mut self, there: impl Fn(u64) -> u64) -> Option<Range<u64>> {
        let (behind, before) = ((Bound::Excluded(self.sampling), Bound::Unbounded), ..=self.sampling);
        let mut from_here = self.samples.range(behind).chain(self.samples.range(before));
        let is_there = |(whose, sample): &(&Whose, &Sample)| there(whose.0) >= whose.0 + sample.bytes;
        let (&first, sample) = from_here.find(is_there)?;
        let (start, there_to) = (first.0, there(first.0));
        let mut end = start + sample.bytes;
        for (whose, sample) in self.samples.range(first..) {
            let sample_end = whose.0 + sample.bytes;
            let is_near = whose.0 <= end.saturating_add(TEXT_GAP_BYTES);
            if !is_near || sample_end > there_to || sample_end > start.saturating_add(TEXT_SEARCH_BYTES) {
                break;
            }
            end = end.max(sample_end);
        }
        self.sampling = first;
        Some(start..end)
    }

    /// Where the walk that is on its way goes on, or the next that can.
    fn next_of_walks(&mut self, there: impl Fn(u64) -> u64) -> Option<Range<u64>> {
        for turn in 0..self.walks.len() {
            let nth = (self.walking + turn) % self.walks.len();
            if self.is_done(nth) {
                continue;
            }
            let walk = &self.walks[nth];
            let at = walk.place.at;
            let needed = at.saturating_add(walk.place.needs).min(self.length);
            let there_to = there(at).min(self.length);
            if there_to < needed || there_to <= at {
                continue;
            }
            let ahead = if walk.is_searching_on() { TEXT_SEARCH_BYTES } else { TEXT_AHEAD_BYTES };
            let end = there_to.min(at.saturating_add(ahead)).min(self.end_of(nth)).max(needed);
            self.walking = nth;
            return Some(at..end);
        }
        None
    }

    /// Where the walk of the next place has begun, or where the last ends.
    fn end_of(&self, nth: usize) -> u64 {
        let last = match &self.source {
            Source::Matroska(texts) => texts.end(),
            Source::Fragments(_) | Source::Samples => self.length,
        };
        self.walks.get(nth + 1).map_or(last, |next| next.begin).min(self.length)
    }

    fn is_done(&self, nth: usize) -> bool {
        self.walks[nth].place.at >= self.end_of(nth)
    }

    /// A walk that came to where the next one hasn't found anything yet goes on as that.
    fn hand_over(&mut self) {
        while self.is_done(self.walking) && !self.walks[self.walking].place.is_lost {
            let place = self.walks[self.walking].place.clone();
            let next = self.walks.get_mut(self.walking + 1).filter(|next| next.is_unconfirmed);
            let Some(next) = next else { return };
            next.go_on_from(place);
            self.walking += 1;
        }
    }

    fn add_sample(&mut self, whose: Whose, sample: Sample) {
        let is_sound = whose.0.checked_add(sample.bytes).is_some_and(|end| end <= self.length);
        let is_readable = self.tracks.iter().any(|track| track.id == whose.1 && track.kept.is_ok());
        let is_text = sample.bytes > 0 && sample.bytes <= crate::limits::SUBTITLE_BLOCK_BYTES_MAX;
        if !(is_sound && is_readable && is_text && whose.2 <= MICROS_MAX) {
            return;
        }
        if self.samples.len() >= TEXT_SAMPLES_MAX {
            return self.give_up(whose.1);
        }
        self.samples.insert(whose, sample);
    }

    /// Takes the samples that are whole in these bytes.
    fn read_samples(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset.saturating_add(bytes.len() as u64);
        let inside = self.samples.range((offset, 0, 0)..(end, 0, 0));
        let whole: Vec<(Whose, Sample)> = inside
            .filter(|(whose, sample)| whose.0 + sample.bytes <= end)
            .map(|(&whose, &sample)| (whose, sample))
            .collect();
        for (whose, sample) in whole {
            // A track that was given up has none any more.
            if self.samples.remove(&whose).is_none() {
                continue;
            }
            let begin = (whose.0 - offset) as usize;
            let text = Text {
                micros: whose.2,
                duration_micros: sample.duration_micros,
                payload: bytes[begin..begin + sample.bytes as usize].to_vec(),
                settings: Vec::new(),
            };
            self.keep(whose.1, whose.0, text);
        }
    }

    fn keep(&mut self, id: u64, at: u64, text: Text) {
        let cost = text.payload.len() + text.settings.len();
        self.charge(id, cost);
        let track = self.tracks.iter_mut().find(|track| track.id == id);
        if let Some(Track { kept: Ok(kept), .. }) = track {
            kept.add(at, text);
        }
    }

    /// A text of so many bytes was read of a track; it is given up if they are too many.
    fn charge(&mut self, id: u64, bytes: usize) {
        let Some(Track { kept: Ok(kept), .. }) = self.tracks.iter_mut().find(|track| track.id == id) else {
            return;
        };
        let cost = kept.charge(bytes);
        self.bytes += cost;
        if kept.is_too_much() || self.bytes > TEXT_BYTES_MAX {
            self.give_up(id);
        }
    }

    fn give_up(&mut self, id: u64) {
        self.samples.retain(|whose, _| whose.1 != id);
        let Some(track) = self.tracks.iter_mut().find(|track| track.id == id) else { return };
        if let Ok(kept) = &track.kept {
            self.bytes -= kept.cost();
        }
        track.kept = Err(Refusal::TooMuch);
        if self.tracks.iter().all(|track| track.kept.is_err()) {
            self.walks.clear();
        }
    }
}

/// What the inspection knows that facts don't tell.
struct Head<'a> {
    matroska: Option<&'a matroska::Head>,
    mp4: Option<&'a mp4::TextHead>,
}

impl Head<'_> {
    fn kept(&self, track: &super::Track) -> Result<Kept, Refusal> {
        let (id, codec) = (track.id, &track.codec);
        let kind = match codec {
            Codec::Srt => Kind::Srt,
            Codec::Ass => Kind::Ass,
            Codec::WebVtt if self.mp4.is_some() => Kind::WebVttBoxes,
            Codec::WebVtt => Kind::WebVtt,
            Codec::TimedText => Kind::TimedText,
            Codec::Pgs => return Err(Refusal::Pictures("PGS")),
            Codec::VobSub => return Err(Refusal::Pictures("VobSub")),
            Codec::DvbSub => return Err(Refusal::Pictures("DVB")),
            Codec::Other(name) => {
                return Err(match name.as_str() {
                    "stpp" => Refusal::Ttml,
                    "enct" | "encs" => Refusal::Encrypted,
                    name => Refusal::Unread(name.to_owned()),
                });
            }
            other => return Err(Refusal::Unread(other.as_str().to_owned())),
        };
        let head = match (self.matroska, self.mp4) {
            (Some(head), _) => head.readable(id)?,
            (None, Some(head)) => head.readable(id)?,
            (None, None) => return Err(Refusal::Unread(codec.as_str().to_owned())),
        };
        let head = embedded::Head { kind, text: String::from_utf8_lossy(head).into_owned() };
        Ok(Kept::new(head, track.language))
    }

    /// How the file is read, and where.
    fn source(&self, readable: &[u64], length: u64) -> (Source, Range<u64>) {
        if let Some(head) = self.matroska {
            let texts = head.texts(readable);
            let range = head.clusters()..texts.end().min(length);
            return (Source::Matroska(texts), range);
        }
        match self.mp4.and_then(|head| head.fragments(readable)) {
            Some((texts, at)) => (Source::Fragments(texts), at..length),
            None => (Source::Samples, length..length),
        }
    }
}

//! Matroska (RFC 9559) and WebM: its head, its Cues, and its Clusters as their bytes pass.
//!
//! An inspection reads the Segment's children one header after another until it knows enough or the first Cluster comes, and
//! follows the SeekHead to what lies behind the Clusters, most often the Cues. Whatever part is damaged is as if it weren't
//! there. [`ClusterScan`] makes an index for a file without Cues, and
//! [`TextTracks`](super::TextTracks) gets the text out of them.
//!
//! Not here: encryption, and pictures or sound of any kind.

mod cluster;
mod codec;
mod coding;
mod cues;
mod id;
mod info;
mod places;
mod seek_head;
#[cfg(test)]
mod tests;
mod text;
mod tracks;
mod webvtt;

pub use cluster::ClusterScan;
pub(super) use places::Places;
pub(super) use text::{OpenCluster, Texts};

use std::ops::Range;

use self::coding::Coding;
use self::cues::Cue;
use self::info::Info;
use self::seek_head::SOUGHT;
use super::ebml::{Elements, HEADER_BYTES_MAX, Header, Unread, text};
use super::inspect::{Budget, Fault, Halt, Parser};
use super::known::Known;
use super::search::{Layout, Searchable};
use super::tail::Tail;
use super::{Container, Facts, Index, Track, TrackKind};
use crate::limits::{
    CUES_BYTES_MAX, HOPS_MAX, INFO_BYTES_MAX, MICROS_MAX, SEEK_HEAD_BYTES_MAX, SEEK_HEADS_MAX,
    TRACKS_BYTES_MAX,
};

/// What a file's Clusters are read with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    segment: Range<u64>,
    clusters: u64,
    scale: u64,
    codings: Vec<Coding>,
}

impl Head {
    /// Where the children of the Segment are.
    pub fn segment(&self) -> Range<u64> {
        self.segment.clone()
    }

    /// No Cluster begins before this offset, and in a sound file an element begins there.
    pub fn clusters(&self) -> u64 {
        self.clusters
    }

    /// The `CodecPrivate` of a track of text, as it is: the head of a script of SubStation Alpha, or of WebVTT.
    pub fn script(&self, track: u64) -> Option<&[u8]> {
        let coding = self.coding(track).filter(|coding| coding.form.is_some())?;
        Some(&coding.script)
    }

    fn coding(&self, track: u64) -> Option<&Coding> {
        self.codings.iter().find(|coding| coding.number == track)
    }
}

/// Ticks in microseconds, where that is a time; one before the start is the start.
fn micros(ticks: i128, scale: u64) -> Option<u64> {
    let micros = ticks.max(0).checked_mul(scale.into())? / 1000;
    u64::try_from(micros).ok().filter(|&micros| micros <= MICROS_MAX)
}

/// Where an element is.
#[derive(Clone, Debug)]
struct Place {
    id: u32,
    /// From its first byte to where the next one begins; `None` if its size is unknown.
    whole: Option<Range<u64>>,
    body: u64,
}

impl Place {
    /// What begins at an offset; nothing if that can't be, or if it doesn't end within `end`.
    fn read(file: &Known, at: u64, end: u64) -> Result<Option<Self>, Halt> {
        let until = at.saturating_add(HEADER_BYTES_MAX as u64).min(end);
        if at >= until {
            return Ok(None);
        }
        let Ok(header) = Header::read(file.bytes_up_to(at..until)?) else { return Ok(None) };
        let body = at + header.length as u64;
        let whole = header.size.map(|size| at..body.saturating_add(size));
        let fits = whole.as_ref().is_none_or(|whole| whole.end <= end);
        Ok(fits.then_some(Self { id: header.id, whole, body }))
    }

    /// Its body, if that is no longer than it should be.
    fn contents<'a>(&self, file: &'a Known, bytes_max: u64) -> Result<Option<&'a [u8]>, Halt> {
        let body = self.whole.as_ref().map(|whole| self.body..whole.end);
        body.filter(|body| body.end - body.start <= bytes_max).map(|body| file.bytes(body)).transpose()
    }
}

/// An inspection of one file.
#[derive(Debug, Default)]
pub(super) struct Matroska {
    stage: Stage,
    is_webm: bool,
    segment: Range<u64>,
    /// Where the Segment claims to end, which may be more than there is of the file.
    said_end: u64,
    info: Option<Info>,
    tracks: Option<(Vec<Track>, Vec<Coding>)>,
    cues: Option<Vec<Cue>>,
    /// Children of the Segment that the SeekHeads name and that aren't read yet, by their ids and offsets.
    named: Vec<(u32, u64)>,
    seek_heads: u32,
    clusters: u64,
    tail: Tail,
    /// Something can't be read.
    is_unreadable: bool,
    head: Option<Head>,
}

/// What is read next.
#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    /// The EBML header.
    #[default]
    Header,
    /// The Segment's header, or something before it.
    Root { at: u64, hops: u32 },
    /// The Segment's children up to the first Cluster.
    Children { at: u64, hops: u32 },
    /// What the SeekHeads name and is still missing.
    Named,
    /// The end of the Segment, for its last Cluster.
    Tail,
    /// Nothing.
    Done,
}

impl Parser for Matroska {
    fn advance(&mut self, file: &Known, budget: &mut Budget) -> Result<Facts, Halt> {
        loop {
            self.stage = match self.stage {
                Stage::Header => self.read_header(file, budget)?,
                Stage::Root { at, hops } => self.read_root(file, at, hops)?,
                Stage::Children { at, hops } => self.read_child(file, budget, at, hops)?,
                Stage::Named => match self.next_named() {
                    Some((id, at)) => self.read_named(file, budget, id, at)?,
                    None => Stage::Tail,
                },
                Stage::Tail => self.read_tail(file)?,
                Stage::Done => return Ok(self.tell()?),
            };
        }
    }

    fn go_without(&mut self) -> bool {
        self.is_unreadable = true;
        self.stage = match self.stage {
            Stage::Header | Stage::Root { .. } => return false,
            // What it would lead to may be named elsewhere.
            Stage::Children { .. } => Stage::Named,
            Stage::Named => {
                let missing = self.next_named();
                self.named.retain(|&named| Some(named) != missing);
                Stage::Named
            }
            Stage::Tail | Stage::Done => Stage::Done,
        };
        true
    }

    fn matroska(&self) -> Option<&Head> {
        self.head.as_ref()
    }
}

impl Matroska {
    fn read_header(&mut self, file: &Known, budget: &mut Budget) -> Result<Stage, Halt> {
        let broken = Fault::Broken("its EBML header can't be read");
        let place = Place::read(file, 0, u64::MAX)?.filter(|place| place.id == id::EBML).ok_or(broken)?;
        let contents = place.contents(file, INFO_BYTES_MAX)?.ok_or(broken)?;
        let mut elements = Elements::of(contents, budget);
        let mut document = None;
        while let Some((id, body)) = elements.next() {
            if id == id::DOC_TYPE {
                document = document.or(text(body, 16));
            }
        }
        self.is_webm = match document.as_deref() {
            Some("webm") => true,
            Some("matroska") => false,
            _ => return Err(Fault::Unknown.into()),
        };
        Ok(Stage::Root { at: place.body + contents.len() as u64, hops: HOPS_MAX })
    }

    /// Only what may stand anywhere stands between the header and the Segment.
    fn read_root(&mut self, file: &Known, at: u64, hops: u32) -> Result<Stage, Halt> {
        let until = at.saturating_add(HEADER_BYTES_MAX as u64);
        let broken = Fault::Broken("it has no Segment");
        let header = Header::read(file.bytes_up_to(at..until)?).map_err(|unread| match unread {
            Unread::Short => Halt::Truncated,
            Unread::Invalid => broken.into(),
        })?;
        let body = at + header.length as u64;
        if header.id == id::SEGMENT {
            let end = header.size.map_or(file.length(), |size| body.saturating_add(size));
            self.said_end = end;
            self.segment = body..end.min(file.length());
            return Ok(Stage::Children { at: body, hops: HOPS_MAX });
        }
        match (header.size, hops.checked_sub(1)) {
            (Some(size), Some(hops)) => Ok(Stage::Root { at: body.saturating_add(size), hops }),
            _ => Err(broken.into()),
        }
    }

    fn read_child(&mut self, file: &Known, budget: &mut Budget, at: u64, hops: u32) -> Result<Stage, Halt> {
        self.clusters = at;
        if hops == 0 || self.knows_enough() {
            return Ok(Stage::Named);
        }
        let Some(place) = Place::read(file, at, self.segment.end)? else { return Ok(Stage::Named) };
        // Only a Cluster may be of unknown size here, and what comes from the first of them on is read as it passes.
        let Some(whole) = place.whole.clone().filter(|_| place.id != id::CLUSTER) else {
            return Ok(Stage::Named);
        };
        self.read_place(file, budget, &place)?;
        Ok(Stage::Children { at: whole.end, hops: hops - 1 })
    }

    /// Nothing that the way to the first Cluster could add.
    fn knows_enough(&self) -> bool {
        self.info.is_some()
            && self.tracks.is_some()
            && (self.cues.is_some() || self.offset_of(id::CUES).is_some())
    }

    fn is_missing(&self, id: u32) -> bool {
        match id {
            id::INFO => self.info.is_none(),
            id::TRACKS => self.tracks.is_none(),
            id::CUES => self.cues.is_none(),
            // One more may name what this one doesn't.
            id::SEEK_HEAD => {
                let is_unnamed = |id| self.is_missing(id) && self.offset_of(id).is_none();
                self.seek_heads < SEEK_HEADS_MAX
                    && [id::INFO, id::TRACKS, id::CUES].into_iter().any(is_unnamed)
            }
            _ => false,
        }
    }

    fn offset_of(&self, id: u32) -> Option<u64> {
        self.named.iter().find(|(named, _)| *named == id).map(|&(_, at)| at)
    }

    fn next_named(&self) -> Option<(u32, u64)> {
        let mut missing = SOUGHT.into_iter().filter(|&id| self.is_missing(id));
        missing.find_map(|id| self.offset_of(id).map(|at| (id, at)))
    }

    fn read_named(&mut self, file: &Known, budget: &mut Budget, id: u32, at: u64) -> Result<Stage, Halt> {
        if let Some(place) = Place::read(file, at, self.segment.end)?.filter(|place| place.id == id) {
            self.read_place(file, budget, &place)?;
        }
        // Whatever it was, it isn't tried again.
        self.named.retain(|&named| named != (id, at));
        Ok(Stage::Named)
    }

    /// Reads a child of the Segment if it is one that is missing.
    fn read_place(&mut self, file: &Known, budget: &mut Budget, place: &Place) -> Result<(), Halt> {
        let bytes_max = match place.id {
            id::SEEK_HEAD => SEEK_HEAD_BYTES_MAX,
            id::INFO => INFO_BYTES_MAX,
            id::TRACKS => TRACKS_BYTES_MAX,
            id::CUES => CUES_BYTES_MAX,
            _ => return Ok(()),
        };
        if !self.is_missing(place.id) {
            return Ok(());
        }
        let Some(body) = place.contents(file, bytes_max)? else { return Ok(()) };
        match place.id {
            id::SEEK_HEAD => {
                let named = seek_head::read(body, budget);
                self.seek_heads += 1;
                self.name(&named);
            }
            id::INFO => self.info = Some(Info::read(body, budget)),
            id::TRACKS => self.tracks = Some(tracks::read(body, budget)),
            _ => self.cues = Some(cues::read(body, budget)),
        }
        Ok(())
    }

    /// Keeps what a SeekHead names, but for what another named already or what can't be there.
    fn name(&mut self, named: &[(u32, u64)]) {
        for &(id, position) in named {
            let at = self.segment.start.checked_add(position).filter(|at| self.segment.contains(at));
            if let Some(at) = at.filter(|_| self.offset_of(id).is_none()) {
                self.named.push((id, at));
            }
        }
    }

    /// A film that doesn't say how long it is lasts until its last block.
    fn read_tail(&mut self, file: &Known) -> Result<Stage, Halt> {
        let info = self.info.unwrap_or_default();
        if self.tracks.is_none() || info.duration.is_some() {
            return Ok(Stage::Done);
        }
        let within = self.clusters..self.segment.end;
        while self.tail.grow(file, within.start, within.end)? {
            let bytes = self.tail.bytes();
            let last = places::last_time(&within, within.end - bytes.len() as u64, bytes, info.scale);
            if last.is_some() {
                let duration = last.filter(|last| !last.is_zero());
                self.info = Some(Info { duration, ..info });
                break;
            }
        }
        Ok(Stage::Done)
    }

    fn tell(&mut self) -> Result<Facts, Fault> {
        if self.info.is_none() && self.tracks.is_none() {
            let broken = Fault::Broken("it has neither Info nor Tracks");
            return Err(match () {
                () if self.is_unreadable => Fault::Unreadable,
                () if self.said_end > self.segment.end => Fault::Truncated,
                () => broken,
            });
        }
        let (tracks, codings) = self.tracks.take().unwrap_or_default();
        let Info { scale, duration } = self.info.unwrap_or_default();
        let index = self.index(&tracks, scale);
        self.head = Some(Head { segment: self.segment.clone(), clusters: self.clusters, scale, codings });
        let container = if self.is_webm { Container::WebM } else { Container::Matroska };
        let pictures = tracks.iter().find(|track| matches!(track.kind, TrackKind::Video(_)));
        let clusters = Layout::Clusters {
            begin: self.clusters,
            end: self.said_end,
            tick_nanos: scale,
            pictures: pictures.map(|track| track.id),
        };
        let searchable = index.is_none().then_some(Searchable(clusters));
        Ok(Facts { container, duration, tracks, index, searchable, learnt: None })
    }

    /// Of the video's Cues. If that has none, those of others lead to the same Clusters.
    fn index(&mut self, tracks: &[Track], scale: u64) -> Option<Index> {
        let cues = self.cues.take().unwrap_or_default();
        let video = tracks.iter().find(|track| matches!(track.kind, TrackKind::Video(_)));
        let index = |track| cues::index(&cues, track, scale, &self.segment);
        video.and_then(|video| index(Some(video.id))).or_else(|| index(None))
    }
}

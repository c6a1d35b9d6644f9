//! What containers say of the files that are streamed: read once, from as few bytes as it takes, and kept.
//!
//! A look at a file is shared by all sessions that turn to it. It goes on while one of them is at the file and the session that
//! began it lives; whoever comes later, or is still there, begins it anew.

mod search;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use afflux_media::container::{Container, Facts, Fault, Index, Inspection, Point, Step};
use afflux_metainfo::{FileIndex, InfoHash};
use afflux_stream::Media;
use afflux_stream::window::bounded_rate;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::foreign::NoFilm;
use super::parts::read_part;
use super::sessions::Opened;
use super::{Shared, unix_now};
use crate::database::KnownFilm;

/// Whole MiB that all looks together may have read: they are in memory beside `STREAM_CACHE_SIZE`, and one hostile file makes it
/// all of this. A look that finds no room is given up, rather than waiting for one whose bytes may never come.
const LOOK_MIB_MAX: usize = 64;
/// Films in memory, and looks under way; other films are read from the database again. Most have an index of 60 KB.
const AT_HAND_MAX: usize = 256;

/// What is known of one file.
#[derive(Debug)]
pub(super) struct Film {
    pub(super) facts: Facts,
    /// Bytes of the file.
    length: u64,
    /// What searches have learnt of it, if it has no index; a leaf lock.
    learnt: Mutex<Option<Index>>,
}

/// A look at a file: what it gives, once it has ended.
#[derive(Clone, Debug)]
pub(super) struct Looking(watch::Receiver<Option<Result<Arc<Film>, NoFilm>>>);

/// All files that were looked at lately.
#[derive(Debug)]
pub(super) struct Films {
    looks: Mutex<BTreeMap<(InfoHash, FileIndex), Looking>>,
    room: Semaphore,
}

impl Default for Films {
    fn default() -> Self {
        Self { looks: Mutex::default(), room: Semaphore::new(LOOK_MIB_MAX) }
    }
}

impl Looking {
    /// What is known by now.
    pub(super) fn film(&self) -> Option<Arc<Film>> {
        self.0.borrow().as_ref()?.as_ref().ok().cloned()
    }

    /// Why nothing will be known.
    pub(super) fn problem(&self) -> Option<NoFilm> {
        self.0.borrow().as_ref()?.as_ref().err().cloned()
    }

    /// Waits for what is known, so long.
    pub(super) async fn wait(&self, most: Duration) -> Option<Arc<Film>> {
        let mut told = self.0.clone();
        let _ = tokio::time::timeout(most, told.wait_for(Option::is_some)).await;
        self.film()
    }

    /// Whether it was given up before it knew anything.
    pub(super) fn is_given_up(&self) -> bool {
        self.0.has_changed().is_err() && self.0.borrow().is_none()
    }

    /// Whether it is to be begun anew by who comes next.
    fn is_over(&self) -> bool {
        match &*self.0.borrow() {
            Some(Err(problem)) => problem.may_pass(),
            Some(Ok(_)) => false,
            None => self.0.has_changed().is_err(),
        }
    }
}

impl Film {
    fn new(facts: Facts, length: u64) -> Self {
        let learnt = Mutex::new(facts.learnt.clone());
        Self { facts, length, learnt }
    }

    /// Its length in seconds.
    pub(super) fn seconds(&self) -> Option<f64> {
        self.facts.duration.map(|duration| duration.as_secs_f64()).filter(|&seconds| seconds > 0.0)
    }

    /// Bytes of the file that are a second of the film.
    pub(super) fn rate(&self) -> Option<u64> {
        // What the file says of its length may be a lie.
        self.seconds().map(|seconds| bounded_rate((self.length as f64 / seconds) as u64))
    }

    /// The same around a place, as its index says.
    pub(super) fn rate_at(&self, offset: u64) -> Option<u64> {
        let (Some(index), Some(end)) = (&self.facts.index, self.end()) else { return self.rate() };
        let to = index.time_at(offset, end).saturating_add(RATE_SPAN);
        let bytes = index.bytes_at(to, self.length).start.saturating_sub(offset);
        let rate = bytes / RATE_SPAN.as_secs();
        // Near the end there is no such stretch any more.
        if rate > 0 { Some(bounded_rate(rate)) } else { self.rate() }
    }

    /// Which time a byte belongs to, in seconds.
    pub(super) fn seconds_at(&self, offset: u64) -> Option<f64> {
        let end = self.end()?;
        let learnt = if self.facts.index.is_none() { self.learnt() } else { None };
        match self.facts.index.as_ref().or(learnt.as_ref()) {
            Some(index) => Some(index.time_at(offset, end).as_secs_f64()),
            None => Some(self.seconds()? * offset as f64 / self.length.max(1) as f64),
        }
    }

    /// How an index of this kind is called.
    pub(super) fn method(&self) -> &'static str {
        match (self.facts.container, &self.facts.index) {
            (_, None) | (Container::Foreign(_), _) => "linear",
            (Container::MpegTs, _) => "search",
            (Container::Mp4, _) => "stbl",
            (Container::FragmentedMp4, _) => "sidx",
            (Container::Matroska | Container::WebM, _) => "cues",
            (Container::Avi, _) => "idx1",
        }
    }

    fn end(&self) -> Option<Point> {
        let micros = u64::try_from(self.facts.duration?.as_micros()).ok()?;
        Some(Point { micros, offset: self.length })
    }
}

/// Waits until nobody is at the file any more: the list of looks holds one receiver, for whoever comes.
async fn abandoned(told: &watch::Sender<Option<Result<Arc<Film>, NoFilm>>>) {
    while told.receiver_count() > 1 {
        tokio::time::sleep(ABANDONED).await;
    }
}

/// A look of which nobody waits for the end goes on so long at most.
const ABANDONED: Duration = Duration::from_secs(1);

/// Over how much of a film a rate is taken: as long as players buffer.
const RATE_SPAN: Duration = Duration::from_secs(30);

impl Shared {
    /// The look at a file, begun unless it was. It ends with `ended`, the session's end.
    pub(super) fn look_at(
        self: &Arc<Self>,
        opened: &Opened,
        file: FileIndex,
        ended: &CancellationToken,
    ) -> Looking {
        let key = (opened.viewing.torrent().info_hash(), file);
        let mut looks = self.films.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = looks.get(&key).filter(|known| !known.is_over()) {
            return known.clone();
        }
        if looks.len() >= AT_HAND_MAX {
            looks.retain(|_, look| look.0.borrow().is_none() && !look.is_over());
        }
        let (told, look) = watch::channel(None);
        if looks.len() >= AT_HAND_MAX {
            // So many wait for bytes that nobody has; this one is over before it began.
            return Looking(look);
        }
        looks.insert(key, Looking(look.clone()));
        drop(looks);
        let (shared, opened, ended) = (Arc::clone(self), opened.clone(), ended.clone());
        tokio::spawn(async move {
            tokio::select! {
                film = shared.know(&opened, file) => if film.is_some() {
                    told.send_replace(film.map(|film| film.map(Arc::new)));
                },
                () = ended.cancelled() => {}
                () = abandoned(&told) => {}
            }
        });
        Looking(look)
    }

    /// What a file's container says, from the database or from the file. `None` if the file can't be read any more.
    async fn know(&self, opened: &Opened, file: FileIndex) -> Option<Result<Film, NoFilm>> {
        let hash = opened.viewing.torrent().info_hash();
        let media: Arc<dyn Media> = Arc::new(opened.viewing.open(&opened.ready, file).ok()?);
        let length = media.facts().length;
        if let Some(facts) = self.recall(hash, file).await {
            return Some(Ok(Film::new(facts, length)));
        }
        let told = match self.inspect(&*media).await? {
            Ok((_, facts)) => Ok(facts),
            Err(fault) => self.ask_others(&media, fault).await?,
        };
        match told {
            Ok(facts) => {
                info!(
                    file = media.facts().name,
                    container = ?facts.container,
                    tracks = facts.tracks.len(),
                    "a film"
                );
                self.keep(hash, file, &facts).await;
                Some(Ok(Film::new(facts, length)))
            }
            Err(problem) => {
                debug!(file = media.facts().name, %problem, "no film that we know");
                Some(Err(problem))
            }
        }
    }

    /// How many seconds those of a torrent's files last that somebody has watched.
    pub(super) async fn durations(&self, hash: InfoHash) -> BTreeMap<FileIndex, f64> {
        let known = self.database.films().of(hash).await.unwrap_or_default().into_iter();
        let seconds = |film: KnownFilm| {
            let facts: Facts = serde_json::from_str(&film.facts).ok()?;
            Some((film.file, facts.duration?.as_secs_f64()))
        };
        known.filter_map(seconds).collect()
    }

    /// What is kept of a file of so many bytes.
    pub(super) async fn known_film(&self, hash: InfoHash, file: FileIndex, length: u64) -> Option<Film> {
        Some(Film::new(self.recall(hash, file).await?, length))
    }

    async fn recall(&self, hash: InfoHash, file: FileIndex) -> Option<Facts> {
        let written = self.database.films().find(hash, file).await.ok()??;
        // What an older version wrote otherwise is read from the file again.
        let mut facts: Facts = serde_json::from_str(&written.facts).ok()?;
        facts.index = written.points.and_then(|points| serde_json::from_str(&points).ok());
        let _ = self.database.films().used(hash, file, unix_now()).await;
        Some(facts)
    }

    async fn keep(&self, hash: InfoHash, file: FileIndex, facts: &Facts) {
        let points = facts.index.as_ref().and_then(|index| serde_json::to_string(index).ok());
        let Ok(written) = serde_json::to_string(&Facts { index: None, ..facts.clone() }) else { return };
        let film = KnownFilm { file, facts: written, points };
        if let Err(error) = self.database.films().save(hash, film, unix_now()).await {
            warn!(%error, "what is known of a film can't be written down");
        }
    }

    /// Asks the container for what it says, byte by byte as it wants them.
    pub(super) async fn inspect(&self, media: &dyn Media) -> Option<Result<(Inspection, Facts), Fault>> {
        let mut inspection = Inspection::new(media.facts().length);
        let (mut bytes_read, mut room) = (0, self.films.room.try_acquire_many(0).ok()?);
        loop {
            let range = match inspection.step() {
                Step::Read(range) => range,
                Step::Done(facts) => return Some(Ok((inspection, *facts))),
                Step::Failed(fault) => return Some(Err(fault)),
            };
            bytes_read += range.end - range.start;
            let missing = (bytes_read >> 20) as usize - room.num_permits();
            room.merge(self.films.room.try_acquire_many(missing as u32).ok()?);
            inspection.supply(range.start, read_part(media, range).await?);
        }
    }
}

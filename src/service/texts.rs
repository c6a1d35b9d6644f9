//! Text inside of films, read as their pieces pass. Nothing is fetched for it but the film's head; what is there is read where the
//! text is, and what was read of it stays when the pieces go.
//!
//! A reading is shared by all sessions that are at the film, and ends with the last of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use afflux_media::container::{Codec, Facts, TextTracks, TrackKind};
use afflux_metainfo::{FileIndex, InfoHash};
use afflux_storage::ReadError;
use tokio::sync::watch;
use tracing::{debug, warn};

use super::parts::read_stored;
use super::sessions::{Opened, Session};
use super::{Shared, buffer};
use crate::engine::torrent::Ready;

/// Films of which texts are read at once. Beyond, those of a new one aren't, until another one is over.
const FILMS_MAX: usize = 256;
/// Bytes of text that all films together may have; beyond, the largest loses its own. A film has 200 KB a language, so this is hundreds
/// of them, and who fills it with a hostile film takes nothing from others.
const ALL_BYTES_MAX: usize = 64 << 20;
/// Between two looks at what has come of a film: a player shows a text seconds after its piece came.
const ROUND: Duration = Duration::from_millis(500);
/// Reads of a round, each of a few kilobytes: four times what a film plays in that time. Of a film that lies on disk as a whole more
/// would be read than anybody sees. Once somebody has asked for a text, rounds follow each other as long as there is more.
const READS_A_ROUND: usize = 60;

/// The texts of all films that are watched.
#[derive(Debug, Default)]
pub(super) struct Texts(Mutex<BTreeMap<(InfoHash, FileIndex), Weak<Reading>>>);

/// The texts of one film.
#[derive(Debug)]
pub(super) struct Reading {
    /// Where its bytes are.
    ready: Weak<Ready>,
    at: Mutex<At>,
    /// Somebody has asked for a text.
    is_asked: AtomicBool,
    /// All that was there at the last look has been read.
    is_caught_up: AtomicBool,
    /// Told whenever something was read.
    news: watch::Sender<()>,
}

/// How far a reading is.
#[derive(Debug)]
enum At {
    /// The film's head is read.
    Head,
    /// Its texts are read as they come.
    Texts(TextTracks),
    /// All of it was read, or no more can be.
    Over { tracks: Option<TextTracks>, end: End },
}

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is no more that could be read.
    Whole,
    /// The torrent has moved, or memory was short: who comes later begins anew.
    CutShort,
}

/// Whether a film has subtitles that could be text.
pub(super) fn has_texts(facts: &Facts) -> bool {
    facts.tracks.iter().any(|track| track.kind == TrackKind::Subtitle && is_text(&track.codec))
}

/// Whether a codec is one of texts, as far as its name says.
pub(super) fn is_text(codec: &Codec) -> bool {
    matches!(codec, Codec::Srt | Codec::Ass | Codec::WebVtt | Codec::TimedText)
}

impl Reading {
    /// What was read so far; `None` while the film's head is read, and if there is nothing that could be.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&TextTracks) -> T) -> Option<T> {
        match &*self.at() {
            At::Texts(tracks) | At::Over { tracks: Some(tracks), .. } => Some(ask(tracks)),
            At::Head | At::Over { tracks: None, .. } => None,
        }
    }

    /// Waits until `is_enough` is said of what was read, or nothing more is going to be: somebody asks for a text.
    pub(super) async fn wait(&self, is_enough: impl Fn(&TextTracks) -> bool) {
        self.is_asked.store(true, Ordering::Relaxed);
        let mut news = self.news.subscribe();
        let is_over = || match &*self.at() {
            At::Head => false,
            At::Texts(tracks) => is_enough(tracks),
            At::Over { .. } => true,
        };
        while !is_over() {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether all that is there has been read, so that only more of the film brings more text.
    pub(super) fn is_caught_up(&self) -> bool {
        self.is_caught_up.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for what is there.
    fn goes_on(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed) && !self.is_caught_up()
    }

    /// Reads first what is from a place of the file on.
    pub(super) fn turn_to(&self, offset: u64) {
        if let At::Texts(tracks) = &mut *self.at() {
            tracks.turn_to(offset);
        }
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether more may be read of a film that is there.
    fn is_of(&self, ready: &Arc<Ready>) -> bool {
        let is_cut_short = matches!(&*self.at(), At::Over { end: End::CutShort, .. });
        // A torrent that has moved is another one, and what comes from now on comes there.
        std::ptr::eq(self.ready.as_ptr(), Arc::as_ptr(ready)) && !is_cut_short
    }

    fn bytes(&self) -> usize {
        self.with(TextTracks::bytes).unwrap_or_default()
    }

    /// No more is read; what was stays.
    fn end(&self, end: End) {
        let mut at = self.at();
        let tracks = match std::mem::replace(&mut *at, At::Head) {
            At::Texts(tracks) => Some(tracks),
            At::Over { tracks, .. } => tracks,
            At::Head => None,
        };
        *at = At::Over { tracks, end };
        drop(at);
        self.news.send_replace(());
    }
}

impl Texts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(InfoHash, FileIndex), Weak<Reading>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the largest film's texts from it, if all together have become too many bytes.
    fn relieve(&self) {
        let all: Vec<Arc<Reading>> = self.lock().values().filter_map(Weak::upgrade).collect();
        if all.iter().map(|reading| reading.bytes()).sum::<usize>() <= ALL_BYTES_MAX {
            return;
        }
        if let Some(largest) = all.iter().max_by_key(|reading| reading.bytes()) {
            warn!(
                bytes = largest.bytes(),
                "all films together have too much text: the largest loses its own"
            );
            *largest.at() = At::Over { tracks: None, end: End::Whole };
            largest.news.send_replace(());
        }
    }
}

impl Session {
    /// The texts of the film that it is at, once the film is known to have some. Begins to read them.
    pub(super) fn texts(&self, shared: &Arc<Shared>) -> Option<Arc<Reading>> {
        let (opened, file, film, known) = {
            let state = self.state();
            (state.opened()?.clone(), state.file?, state.film()?, state.texts.clone())
        };
        if known.as_ref().is_some_and(|known| known.is_of(&opened.ready)) || !has_texts(&film.facts) {
            return known;
        }
        let reading = shared.read_texts(&opened, file).or(known);
        let mut state = self.state();
        if state.file == Some(file) {
            state.texts.clone_from(&reading);
        }
        reading
    }
}

impl Shared {
    /// The reading of a film's texts, begun unless it was. It ends when nobody holds it.
    pub(super) fn read_texts(self: &Arc<Self>, opened: &Opened, file: FileIndex) -> Option<Arc<Reading>> {
        let key = (opened.viewing.torrent().info_hash(), file);
        let mut all = self.texts.lock();
        if let Some(known) = all.get(&key).and_then(Weak::upgrade).filter(|known| known.is_of(&opened.ready))
        {
            return Some(known);
        }
        all.retain(|_, known| known.strong_count() > 0);
        if all.len() >= FILMS_MAX {
            return None;
        }
        let reading = Reading {
            ready: Arc::downgrade(&opened.ready),
            at: Mutex::new(At::Head),
            is_asked: AtomicBool::new(false),
            is_caught_up: AtomicBool::new(false),
            news: watch::Sender::new(()),
        };
        let reading = Arc::new(reading);
        all.insert(key, Arc::downgrade(&reading));
        drop(all);
        tokio::spawn(follow(Arc::downgrade(self), Arc::downgrade(&reading), opened.clone(), file));
        Some(reading)
    }

    /// Reads what of a film's texts is there; how it has ended, unless there may be more.
    async fn read_on(&self, reading: &Reading, ready: &Ready, file: FileIndex) -> Option<End> {
        let there = buffer::ranges(ready, file, usize::MAX);
        reading.is_caught_up.store(false, Ordering::Relaxed);
        for _ in 0..READS_A_ROUND {
            let next = match &mut *reading.at() {
                At::Texts(tracks) if !tracks.is_complete() => tracks.next(|offset| end_at(&there, offset)),
                At::Texts(_) | At::Head | At::Over { .. } => return Some(End::Whole),
            };
            let Some(range) = next else {
                reading.is_caught_up.store(true, Ordering::Relaxed);
                break;
            };
            let bytes = match read_stored(ready, file, range.clone()).await {
                Ok(bytes) => bytes,
                Err(ReadError::Closed) => return Some(End::CutShort),
                // What has gone since is read when it comes again; a disk that is busy or fails may do better later.
                Err(_) => break,
            };
            if let At::Texts(tracks) = &mut *reading.at() {
                tracks.supply(range.start, &bytes);
            }
        }
        reading.news.send_replace(());
        None
    }
}

/// Up to which byte a file is there from one on.
fn end_at(there: &[[u64; 2]], offset: u64) -> u64 {
    let behind = there.partition_point(|[start, _]| *start <= offset);
    let stretch = behind.checked_sub(1).map(|at| there[at]);
    stretch.map_or(offset, |[_, end]| end.max(offset))
}

/// Follows a film while somebody holds the reading of its texts.
async fn follow(shared: Weak<Shared>, reading: Weak<Reading>, opened: Opened, file: FileIndex) {
    let unheld = async {
        while reading.strong_count() > 0 {
            tokio::time::sleep(ROUND).await;
        }
    };
    let tracks = {
        let Some(shared) = shared.upgrade() else { return };
        tokio::select! {
            tracks = shared.texts_of(&opened, file) => tracks,
            () = unheld => return,
        }
    };
    // From here on only what is there is read: the viewing wants nothing.
    let ready = Arc::clone(&opened.ready);
    drop(opened);
    match (reading.upgrade(), tracks) {
        (Some(reading), Ok(tracks)) => *reading.at() = At::Texts(tracks),
        (Some(reading), Err(end)) => return reading.end(end),
        (None, _) => return,
    }
    loop {
        {
            let (Some(shared), Some(reading)) = (shared.upgrade(), reading.upgrade()) else { return };
            if let Some(end) = shared.read_on(&reading, &ready, file).await {
                return reading.end(end);
            }
            shared.texts.relieve();
        }
        let goes_on = reading.upgrade().is_some_and(|reading| reading.goes_on());
        if goes_on { tokio::task::yield_now().await } else { tokio::time::sleep(ROUND).await }
    }
}

impl Shared {
    /// The text tracks of a film, by its head.
    async fn texts_of(&self, opened: &Opened, file: FileIndex) -> Result<TextTracks, End> {
        let media = opened.viewing.open(&opened.ready, file).map_err(|_| End::Whole)?;
        let inspected = self.inspect(&media).await.ok_or(End::CutShort)?;
        let (inspection, facts) = inspected.map_err(|_| End::Whole)?;
        let length = afflux_stream::Media::facts(&media).length;
        let tracks = TextTracks::new(&inspection, &facts, length).ok_or(End::Whole)?;
        debug!(tracks = tracks.tracks().count(), "texts inside of a film");
        Ok(tracks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_up_to_the_end_of_its_stretch() {
        let there = [[0, 10], [20, 30]];
        for (offset, end) in [(0, 10), (9, 10), (10, 10), (15, 15), (20, 30), (29, 30), (30, 30), (99, 99)] {
            assert_eq!(end_at(&there, offset), end, "{offset}");
        }
        assert_eq!(end_at(&[], 5), 5);
    }
}

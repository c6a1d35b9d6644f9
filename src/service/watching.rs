//! Where users are in films, so that they go on there, or with the next episode.
//!
//! It is noted while they watch, a few seconds apart and of all sessions at once; what a session's readers show is the machine's to
//! say (`stream::session::Run`). A client that knows better says it itself, and isn't contradicted for a while.

mod shapes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_metainfo::{FileIndex, InfoHash, InfoHashes, Layout};
use afflux_stream::media_type::Kind;
use afflux_stream::session::Run;
use tracing::warn;

pub use self::shapes::{WatchedFile, WatchingWish};
use super::films::Film;
use super::refusal::{Code, Refusal};
use super::sessions::{Session, Wanted, choose};
use super::sources::unknown;
use super::{Page, Shared, StreamingService, unix_now};
use crate::auth::Identity;
use crate::database::Watched;
use crate::engine::Torrent;
use crate::engine::torrent::Ready;
use crate::media_choice;
use crate::source::Source;
use crate::user::User;

/// Between two notes: what a kill loses of where somebody was.
pub(super) const NOTED: Duration = Duration::from_secs(5);
/// What a client says counts, and not what we guess, until bytes are sent so long after it.
const TOLD_HOLDS: Duration = Duration::from_secs(60);
/// Beyond this part of a film come its credits.
const FINISHED_PART: f64 = 0.95;
/// So do they in the last seconds of a film that isn't short.
const CREDITS_SECONDS: f64 = 180.0;
/// A film that lasts so long isn't short.
const LONG_SECONDS: f64 = 20.0 * 60.0;

/// What was noted of a session.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// The run as it was noted last, and what was written down of it.
    run: Option<Run>,
    row: Option<Watched>,
    /// What a client said of which file, and when.
    told: Option<(FileIndex, Instant)>,
    /// What comes after a file. It takes reading all names to say.
    next: Option<(FileIndex, Option<(FileIndex, String)>)>,
}

impl StreamingService {
    /// What this user can go on with, the last watched first; 100 without a limit.
    ///
    /// # Errors
    /// A limit of none or of too many, or the database can't be read.
    pub async fn watching(&self, who: &Identity, limit: Option<u32>) -> Result<Vec<WatchedFile>, Refusal> {
        let limit = Page::size(limit)?;
        self.shared.note_watching().await;
        let rows = self.shared.database.watching().list(&who.user, limit).await?;
        Ok(rows.into_iter().map(WatchedFile::from).collect())
    }

    /// Says where this user is in a file of a torrent that they named.
    ///
    /// # Errors
    /// No such torrent or file, a place outside of it, or nothing is to be remembered here.
    pub async fn set_watching(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        file: FileIndex,
        wish: WatchingWish,
    ) -> Result<WatchedFile, Refusal> {
        let shared = &self.shared;
        if !shared.keeps_watching() {
            let detail = "the daemon remembers nothing of what is watched (--analytics-retention 0)";
            return Err(Refusal::new(Code::Conflict, detail));
        }
        let mut row = shared.blank_row(who, hashes, file).await?;
        let film = shared.known_film(row.info_hash, file, row.length).await;
        place(&mut row, &wish, film.as_ref())?;
        shared.set_row(row.clone()).await?;
        Ok(row.into())
    }

    /// Forgets where this user is in a file.
    ///
    /// # Errors
    /// Nothing is known of it.
    pub async fn forget_watching(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        file: FileIndex,
    ) -> Result<(), Refusal> {
        let hash = self.shared.wire(who, hashes).await?;
        let _turn = self.shared.watching.lock().await;
        self.shared.hold(&who.user, hash, file);
        match self.shared.database.watching().forget(&who.user, hash, file).await? {
            true => Ok(()),
            false => {
                Err(Refusal::new(Code::NotWatched, "nothing is remembered of this file: GET /api/watching"))
            }
        }
    }
}

impl Shared {
    /// Whether anything is to be remembered of what users watch.
    fn keeps_watching(&self) -> bool {
        !self.config.streams.analytics_retention.is_zero()
    }

    /// Writes down where the users of all sessions are.
    pub(super) async fn note_watching(&self) {
        let _turn = self.watching.lock().await;
        let now = unix_now();
        let rows = self.sessions.awake().iter().filter_map(|session| session.watched(now)).collect();
        self.write_rows(rows).await;
    }

    /// The same of one session.
    pub(super) async fn note_last_watched(&self, session: &Session) {
        let _turn = self.watching.lock().await;
        self.write_rows(session.watched(unix_now()).into_iter().collect()).await;
    }

    async fn write_rows(&self, rows: Vec<Watched>) {
        if rows.is_empty() || !self.keeps_watching() {
            return;
        }
        let written: Vec<(User, InfoHash)> =
            rows.iter().map(|row| (row.user.clone(), row.info_hash)).collect();
        if let Err(error) = self.database.watching().save(rows).await {
            warn!(%error, "where users are in films can't be written down; it is tried again");
            for session in written.iter().filter_map(|(user, hash)| self.session_of(user, *hash)) {
                session.state().noted.forget();
            }
        }
    }

    fn session_of(&self, user: &User, hash: InfoHash) -> Option<Arc<Session>> {
        self.sessions.find(user, hash).and_then(|id| self.sessions.get(id))
    }

    /// What a user has watched of a torrent, the last first.
    async fn watched_of(&self, user: &User, hash: InfoHash) -> Vec<Watched> {
        self.database.watching().of(user, hash).await.unwrap_or_default()
    }

    /// The file that a user means, and where they were in it. Without a number it is the main video, but of a series what is to be
    /// gone on with; who asks for bytes, again and again, gets those of the same file while the session is at it.
    pub(super) async fn goes_on(
        &self,
        session: &Session,
        ready: &Ready,
        wish: Option<u32>,
        wanted: Wanted,
    ) -> Result<(FileIndex, Option<Watched>), Refusal> {
        self.note_last_watched(session).await;
        let rows = self.watched_of(&session.user, session.info_hash).await;
        let present = session.state().file.filter(|_| wanted == Wanted::Bytes);
        let begun = || {
            rows.first()
                .map(|row| row.next.as_ref().filter(|_| row.finished).map_or(row.file, |(next, _)| *next))
        };
        let of_a_series =
            present.or_else(begun).filter(|&file| media_choice::is_episode(&ready.layout, file));
        let file = match (wish, of_a_series) {
            (None, Some(episode)) => episode,
            _ => choose(ready, wish)?,
        };
        Ok((file, rows.into_iter().find(|row| row.file == file && !row.finished)))
    }

    /// Writes down what a client says.
    async fn set_row(&self, row: Watched) -> Result<(), Refusal> {
        let _turn = self.watching.lock().await;
        self.hold(&row.user, row.info_hash, row.file);
        Ok(self.database.watching().save(vec![row]).await?)
    }

    /// A client said something of a file: what a session shows of it counts for less.
    fn hold(&self, user: &User, hash: InfoHash, file: FileIndex) {
        if let Some(session) = self.session_of(user, hash) {
            let noted = &mut session.state().noted;
            noted.forget();
            noted.told = Some((file, Instant::now()));
        }
    }

    /// A row for a file of a torrent that this user named, without a place.
    async fn blank_row(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        file: FileIndex,
    ) -> Result<Watched, Refusal> {
        let named = self.find(who, hashes).await?.ok_or_else(unknown)?;
        let hash = named.source.hashes().wire();
        let running = self.engine.get(hash).as_ref().and_then(Torrent::ready);
        let layout = match (&named.source, &running) {
            (Source::Torrent(torrent), _) => &torrent.info.layout,
            (Source::Magnet(_), Some(ready)) => &*ready.layout,
            (Source::Magnet(_), None) => {
                return Err(Refusal::new(
                    Code::Conflict,
                    "the torrent's files aren't known yet: stream it first",
                ));
            }
        };
        let span = layout.file(file).filter(|_| is_watched(layout, file));
        let span = span.ok_or_else(|| {
            Refusal::new(Code::NoFile, "the torrent has no such file, or it is no film and no song")
        })?;
        Ok(Watched {
            user: who.user.clone(),
            info_hash: hash,
            file,
            updated_at: unix_now(),
            finished: false,
            position: None,
            seconds: None,
            duration: None,
            length: span.length,
            name: named.source.name(),
            path: span.display_path(),
            next: next_of(layout, file),
        })
    }
}

impl Session {
    /// Where its user is in a film, if that is news.
    fn watched(&self, now: u64) -> Option<Watched> {
        let mut state = self.state();
        let run = state.machine.watched()?;
        let file = FileIndex(run.begun.file);
        // Of a file that the session has left nothing is known any more but its bytes; it was noted while it was there.
        if state.file != Some(file) || !state.noted.is_news(&run) {
            return None;
        }
        let ready = Arc::clone(&state.opened()?.ready);
        let span = ready.layout.file(file).filter(|_| is_watched(&ready.layout, file))?;
        let film = state.film_of(file);
        let seconds = run.seconds(|offset| film.as_ref()?.seconds_at(offset));
        let position = film.as_ref().zip(seconds).and_then(|(film, at)| offset_at(film, span.length, at));
        let mut row = Watched {
            user: self.user.clone(),
            info_hash: self.info_hash,
            file,
            updated_at: now,
            finished: false,
            position: Some(position.unwrap_or(run.sent_to)),
            seconds,
            duration: film.as_ref().and_then(|film| film.seconds()),
            length: span.length,
            name: ready.info.name.clone(),
            path: span.display_path(),
            next: state.noted.next_of(&ready.layout, file),
        };
        row.conclude();
        state.noted.run = Some(run);
        // A player that has come to the end plays no further.
        let is_known = state.noted.row.as_ref().is_some_and(|known| row.is_same_place(known));
        (!is_known).then(|| state.noted.row.insert(row).clone())
    }
}

impl Noted {
    /// What was noted counts no more.
    fn forget(&mut self) {
        (self.run, self.row) = (None, None);
    }

    fn is_news(&self, run: &Run) -> bool {
        let held =
            self.told.is_some_and(|(file, at)| file.0 == run.begun.file && run.sent_at < at + TOLD_HOLDS);
        let same =
            |noted: &Run| (noted.begun, noted.sent_to, noted.played) == (run.begun, run.sent_to, run.played);
        !held && !self.run.as_ref().is_some_and(same)
    }

    fn next_of(&mut self, layout: &Layout, file: FileIndex) -> Option<(FileIndex, String)> {
        if self.next.as_ref().is_none_or(|(of, _)| *of != file) {
            self.next = Some((file, next_of(layout, file)));
        }
        self.next.as_ref().and_then(|(_, next)| next.clone())
    }
}

impl Watched {
    fn is_same_place(&self, other: &Self) -> bool {
        let place = |row: &Self| (row.file, row.finished, row.position, row.seconds, row.duration);
        place(self) == place(other)
    }

    /// Near its end a film is finished, and there is no place to go on from.
    fn conclude(&mut self) {
        let in_credits = self.duration.zip(self.seconds).is_some_and(|(duration, seconds)| {
            duration >= LONG_SECONDS && duration - seconds <= CREDITS_SECONDS
        });
        if in_credits || progress(self) >= FINISHED_PART {
            self.finish();
        }
    }

    fn finish(&mut self) {
        self.finished = true;
        (self.seconds, self.position) = (None, None);
    }
}

/// Puts into a row what a client said.
fn place(row: &mut Watched, wish: &WatchingWish, film: Option<&Film>) -> Result<(), Refusal> {
    let outside = |what: String| Refusal::new(Code::OutOfRange, what);
    if wish.duration_seconds.is_some_and(|duration| !duration.is_finite() || duration <= 0.0) {
        return Err(outside("\"durationSeconds\" is the film's length, and no film has none".to_owned()));
    }
    // The film knows better than the player.
    row.duration = film.and_then(Film::seconds).or(wish.duration_seconds);
    match (wish.position_seconds, wish.position_bytes, wish.finished) {
        (Some(seconds), None, None) => {
            let most = row.duration.unwrap_or(f64::MAX);
            if !(0.0..=most).contains(&seconds) {
                return Err(outside(format!(
                    "\"positionSeconds\" lies outside of the film, which lasts {most:.1} s"
                )));
            }
            row.seconds = Some(seconds);
            let by_part = || Some((row.length as f64 * (seconds / row.duration?)) as u64);
            row.position = film.and_then(|film| offset_at(film, row.length, seconds)).or_else(by_part);
            row.conclude();
        }
        (None, Some(bytes), None) if bytes <= row.length => {
            row.position = Some(bytes);
            let by_part = || Some(row.duration? * bytes as f64 / row.length.max(1) as f64);
            row.seconds = film.and_then(|film| film.seconds_at(bytes)).or_else(by_part);
            row.conclude();
        }
        (None, Some(_), None) => {
            return Err(outside(format!(
                "\"positionBytes\" lies beyond the end; the file has {} bytes",
                row.length
            )));
        }
        (None, None, Some(true)) => row.finish(),
        _ => {
            let detail = "say exactly one of \"positionSeconds\", \"positionBytes\" and \"finished\": true; DELETE forgets the film";
            return Err(Refusal::new(Code::BadRequest, detail));
        }
    }
    Ok(())
}

/// The part of a film that was watched.
fn progress(row: &Watched) -> f64 {
    let of = |part: f64, whole: f64| (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0));
    let by_time = row.seconds.zip(row.duration).and_then(|(seconds, duration)| of(seconds, duration));
    let by_bytes = || of(row.position? as f64, row.length as f64);
    if row.finished { 1.0 } else { by_time.or_else(by_bytes).unwrap_or(0.0) }
}

/// The byte at which a second of a film can be gone on with: its index leads to a key frame.
fn offset_at(film: &Film, length: u64, seconds: f64) -> Option<u64> {
    let offset = match &film.facts.index {
        Some(index) => index.before(Duration::try_from_secs_f64(seconds).ok()?).offset,
        None => (length as f64 * (seconds / film.seconds()?)) as u64,
    };
    Some(offset.min(length))
}

/// Whether a file is one that is watched or listened to.
fn is_watched(layout: &Layout, file: FileIndex) -> bool {
    let name = layout.file(file).filter(|span| !span.pad).and_then(|span| span.path.last());
    name.is_some_and(|name| matches!(afflux_stream::media_type(name).kind, Kind::Video | Kind::Audio))
}

fn next_of(layout: &Layout, file: FileIndex) -> Option<(FileIndex, String)> {
    let next = media_choice::next_file(layout, file)?;
    Some((next, layout.file(next)?.display_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(duration: Option<f64>) -> Watched {
        Watched {
            user: User::local(),
            info_hash: InfoHash([1; 20]),
            file: FileIndex(0),
            updated_at: 1,
            finished: false,
            position: None,
            seconds: None,
            duration,
            length: 1_000_000,
            name: "film".to_owned(),
            path: "film.mkv".to_owned(),
            next: None,
        }
    }

    fn placed(wish: WatchingWish) -> Result<Watched, Code> {
        let mut row = row(None);
        place(&mut row, &wish, None).map(|()| row).map_err(|refusal| refusal.code)
    }

    #[test]
    fn a_film_is_finished_in_its_credits_and_a_short_one_near_its_end() {
        let finished = |duration: f64, seconds: f64| {
            let mut row = Watched { seconds: Some(seconds), ..row(Some(duration)) };
            row.conclude();
            assert_eq!(row.finished, row.seconds.is_none());
            row.finished
        };
        assert!(!finished(7200.0, 6800.0) && finished(7200.0, 6841.0), "95 % of two hours");
        assert!(!finished(1500.0, 1310.0) && finished(1500.0, 1321.0), "three minutes of an episode");
        assert!(
            !finished(600.0, 500.0) && finished(600.0, 571.0),
            "a clip of ten minutes has no such credits"
        );
        let mut unknown = Watched { position: Some(960_000), ..row(None) };
        unknown.conclude();
        assert!(unknown.finished, "by its bytes, where nothing else is known");
    }

    #[test]
    fn what_a_client_says_is_a_place_in_the_film_or_refused() {
        let wish = WatchingWish { duration_seconds: Some(100.0), ..WatchingWish::default() };
        let half = placed(WatchingWish { position_seconds: Some(50.0), ..wish }).unwrap();
        assert_eq!((half.seconds, half.position, progress(&half)), (Some(50.0), Some(500_000), 0.5));
        let half = placed(WatchingWish { position_bytes: Some(500_000), ..wish }).unwrap();
        assert_eq!((half.seconds, half.position), (Some(50.0), Some(500_000)));
        assert!(placed(WatchingWish { position_seconds: Some(96.0), ..wish }).unwrap().finished);
        assert!(placed(WatchingWish { finished: Some(true), ..wish }).unwrap().finished);
        let alone = placed(WatchingWish { position_seconds: Some(5.0), ..WatchingWish::default() }).unwrap();
        assert_eq!((alone.seconds, alone.position, progress(&alone)), (Some(5.0), None, 0.0));
        for (wrong, code) in [
            (WatchingWish { position_seconds: Some(101.0), ..wish }, Code::OutOfRange),
            (WatchingWish { position_seconds: Some(-1.0), ..wish }, Code::OutOfRange),
            (WatchingWish { position_seconds: Some(f64::NAN), ..wish }, Code::OutOfRange),
            (WatchingWish { position_bytes: Some(1_000_001), ..wish }, Code::OutOfRange),
            (WatchingWish { position_bytes: Some(1), duration_seconds: Some(0.0), ..wish }, Code::OutOfRange),
            (WatchingWish { finished: Some(false), ..wish }, Code::BadRequest),
            (WatchingWish { finished: Some(true), position_bytes: Some(1), ..wish }, Code::BadRequest),
            (wish, Code::BadRequest),
        ] {
            assert_eq!(placed(wrong).unwrap_err(), code, "{wrong:?}");
        }
    }

    #[test]
    fn what_a_client_said_of_a_file_holds_until_more_of_it_is_sent_much_later() {
        use afflux_stream::session::{Look, Opening, Place, ReaderKey, ReaderKind, Session, SessionConfig};
        let began = Instant::now();
        let mut session = Session::new(SessionConfig::default(), began);
        let opening = Opening { place: Place::default(), kind: ReaderKind::Play, client: None };
        let look = Look {
            metadata: true,
            checking: false,
            trouble: None,
            place: Place::default(),
            buffered_bytes: 0,
            file_length: 1 << 40,
            complete: false,
        };
        session.handle_look(look, began);
        session.handle_reader_opened(ReaderKey(1), opening, began).unwrap();
        let mut play = |seconds: std::ops::Range<u64>| {
            for second in seconds {
                session.handle_sent(ReaderKey(1), 1 << 20, began + Duration::from_secs(second));
            }
            session.watched().expect("it lasts")
        };
        let mut noted = Noted::default();
        let first = play(0..30);
        assert!(noted.is_news(&first));
        noted.run = Some(first);
        assert!(!noted.is_news(&first), "once");
        noted.forget();
        assert!(noted.is_news(&first), "it couldn't be written down");
        noted.run = Some(first);
        noted.told = Some((FileIndex(0), began + Duration::from_secs(29)));
        assert!(!noted.is_news(&play(30..80)));
        noted.told = Some((FileIndex(1), began + Duration::from_secs(79)));
        assert!(noted.is_news(&play(80..81)), "it was said of another file");
        noted.told = Some((FileIndex(0), began + Duration::from_secs(29)));
        assert!(noted.is_news(&play(81..100)));
    }
}

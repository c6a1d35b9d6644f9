//! Between a session's players and the torrent's bytes: what is sent is counted, paced and checked here.
//!
//! A reader here outlives the torrent's own: when the torrent moves from memory to files, it goes on there at the same byte,
//! and the player hears nothing of it. It ends with its session.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use afflux_metainfo::FileIndex;
use afflux_stream::library::FilePart;
use afflux_stream::pace::{Allowance, Purpose};
use afflux_stream::session::{self, Place, ReaderKey, ReaderKind};
use afflux_stream::token::{MediaToken, TokenError};
use afflux_stream::{Media, MediaFacts, MediaRequest, MediaType, OpenError, ReadError, Reader, Window};
use bytes::Bytes;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::content::Head;
use super::refusal::{Code, Refusal};
use super::sessions::{Opened, Session, bound, choose};
use super::{Shared, subtitles, unix_now};

/// The name under which a session's playlist is served.
const PLAYLIST: &str = "playlist.m3u8";

/// How a file is opened.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) file: FileIndex,
    /// Somebody saves the file: there is no film's pace.
    pub(super) unpaced: bool,
    pub(super) client: Option<String>,
}

/// A file of a session, for one request.
struct SessionMedia {
    shared: Arc<Shared>,
    session: Arc<Session>,
    opening: Opening,
    /// It is no film itself but goes with one, which the session stays at: a subtitle, a cover.
    beside: bool,
    inner: Arc<dyn Media>,
}

/// Opens a file of a session, within its number of parallel reads.
pub(super) fn open(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    opened: &Opened,
    opening: Opening,
) -> Result<Arc<dyn Media>, Refusal> {
    session.account.check_quota()?;
    let readers_max = shared.config.streams.readers_per_session as usize;
    let readers = session.state().machine.figures(Instant::now()).readers;
    if readers >= readers_max {
        let detail = format!(
            "this stream has {readers} connections open, which is all it may have: close some of them"
        );
        return Err(Refusal::new(Code::TooManyStreams, detail));
    }
    shared.check_content(session, opened, opening.file)?;
    let inner = opened.viewing.open(&opened.ready, opening.file);
    let inner = inner.map_err(|failure| Refusal::from_failure(Code::NoFile, &failure))?;
    let beside = session.is_beside(opened, opening.file);
    session.turn_to(opened, opening.file, shared);
    let (shared, session) = (Arc::clone(shared), Arc::clone(session));
    Ok(Arc::new(SessionMedia { shared, session, opening, beside, inner: Arc::new(inner) }))
}

impl Shared {
    /// What a media URL gives.
    pub(super) async fn open_media(
        self: &Arc<Self>,
        request: &MediaRequest,
    ) -> Result<Arc<dyn Media>, OpenError> {
        let unverified = MediaToken::parse(&request.id).map_err(|_| OpenError::NotFound)?;
        let (user, hash) = self.sessions.whose(unverified.session()).ok_or(OpenError::NotFound)?;
        let token = unverified.verify(&self.config.media_key, &bound(&user, &hash), unix_now());
        let token = token.map_err(|error| match error {
            TokenError::Expired => OpenError::Gone,
            _ => OpenError::NotFound,
        })?;
        let ended = |refusal: Refusal| match refusal.code {
            // The token is right, so there was one.
            Code::NoStream => OpenError::Gone,
            _ => open_error(refusal),
        };
        let session = self.awake(token.session).await.map_err(ended)?;
        session.account.check_enabled().map_err(open_error)?;
        let asked = self.note_media_request(&session, Some(request.remote.ip())).await;
        asked.map_err(ended)?;
        let opened = session.open(self).await.map_err(open_error)?;
        let Some(file) = token.file else {
            return match request.path.as_str() {
                PLAYLIST => {
                    let durations = self.durations(hash).await;
                    let asked = (&request.base, request.query.as_deref());
                    let list = session.playlist(self, &opened.ready, &durations, asked)?;
                    Ok(written(PLAYLIST, MediaType::PLAYLIST, list))
                }
                path => {
                    let query = request.query.as_deref();
                    let subtitle = subtitles::open(self, &session, &opened, path, query).await;
                    subtitle.unwrap_or(Err(OpenError::NotFound))
                }
            };
        };
        // The name doesn't matter, but a folder is something else than the file.
        if request.path.contains('/') {
            return Err(OpenError::NotFound);
        }
        let file = choose(&opened.ready, Some(file)).map_err(open_error)?;
        let opening = Opening {
            file,
            unpaced: request.query.as_deref().is_some_and(is_download),
            client: request.user_agent.clone(),
        };
        open(self, &session, &opened, opening).map_err(open_error)
    }
}

/// Whether a query asks for a file to save, as `stream::reply` understands it.
fn is_download(query: &str) -> bool {
    query
        .split('&')
        .any(|pair| pair == "download" || pair.strip_prefix("download=").is_some_and(|v| v != "0"))
}

/// A refusal as the range server says it.
fn open_error(refusal: Refusal) -> OpenError {
    match refusal.code {
        Code::Suspicious | Code::QuotaUsed if refusal.retry_after.is_some() => {
            OpenError::Later(refusal.detail, refusal.retry_after.unwrap_or_default())
        }
        Code::NoStream | Code::NoFile | Code::UnknownTorrent => OpenError::NotFound,
        Code::TooManyStreams | Code::QuotaUsed | Code::RateLimited | Code::Suspicious => {
            OpenError::TooMany(refusal.detail)
        }
        Code::ContentBlocked | Code::UserDisabled | Code::SourceRefused | Code::Forbidden => {
            OpenError::Refused(refusal.detail)
        }
        _ => OpenError::Unavailable(refusal.detail),
    }
}

impl Media for SessionMedia {
    fn facts(&self) -> &MediaFacts {
        self.inner.facts()
    }

    fn reader(&self, range: Range<u64>) -> Box<dyn Reader> {
        let key = ReaderKey(self.session.next_reader());
        let now = Instant::now();
        let place = Place { file: self.opening.file.0, offset: range.start };
        let kind = match () {
            () if self.beside => ReaderKind::Probe,
            () if self.opening.unpaced => ReaderKind::Download,
            () => ReaderKind::Play,
        };
        let opening = session::Opening { place, kind, client: self.opening.client.as_deref() };
        {
            let mut state = self.session.state();
            // One too many gets no place in the figures; `open` keeps it from coming this far.
            let _ = state.machine.handle_reader_opened(key, opening, now);
            if !self.beside {
                state.pace.handle_open(place, now);
                state.rate = self.facts().bitrate.map(|bits| bits / 8).or(state.rate);
            }
        }
        Box::new(SessionReader {
            key,
            inner: self.inner.reader(range.clone()),
            length: self.facts().length,
            end: range.end,
            head: self.head(),
            ended: Box::pin(self.session.ended.clone().cancelled_owned()),
            moving: None,
            timer: None,
            window: None,
            shared: Arc::clone(&self.shared),
            session: Arc::clone(&self.session),
            // What goes beside a film isn't played at the film's pace.
            unpaced: self.opening.unpaced || self.beside,
            file: self.opening.file,
        })
    }
}

impl SessionMedia {
    /// The look at the file's head that has to be over first.
    fn head(&self) -> Option<Awaited<Result<(), ReadError>>> {
        if !self.shared.blocks_content() {
            return None;
        }
        let mut head = self.session.state().checks.of(self.opening.file)?;
        if *head.borrow() == Some(Head::Fine) {
            return None;
        }
        Some(Box::pin(async move {
            match head.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(Head::Other(reason))) => Err(ReadError::Failed(reason.clone())),
                _ => Ok(()),
            }
        }))
    }
}

/// Something that a reader waits for.
type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One answer's way through a file.
struct SessionReader {
    shared: Arc<Shared>,
    session: Arc<Session>,
    file: FileIndex,
    unpaced: bool,
    key: ReaderKey,
    inner: Box<dyn Reader>,
    /// Of the whole file.
    length: u64,
    end: u64,
    /// Until the file's head was judged.
    head: Option<Awaited<Result<(), ReadError>>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The torrent has moved; this finds it.
    moving: Option<Awaited<Option<Box<dyn Reader>>>>,
    /// The pace says to wait.
    timer: Option<Pin<Box<Sleep>>>,
    /// What is wanted, for a torrent that moved.
    window: Option<Window>,
}

impl Reader for SessionReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        if self.ended.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(ReadError::Ended));
        }
        if let Some(head) = &mut self.head {
            // A head that doesn't come is a wait like any other.
            let Poll::Ready(judged) = head.as_mut().poll(cx) else { return self.wait(at, 0) };
            judged?;
            self.head = None;
        }
        let allowed = ready!(self.poll_pace(cx, at, most))?;
        loop {
            if let Some(moving) = &mut self.moving {
                let Poll::Ready(found) = moving.as_mut().poll(cx) else { return self.wait(at, allowed) };
                self.moving = None;
                let Some(found) = found else { return Poll::Ready(Err(ReadError::Ended)) };
                self.inner = found;
                if let Some(window) = self.window {
                    self.inner.set_window(window);
                }
            }
            match self.inner.poll_read(cx, at, allowed) {
                Poll::Ready(Ok(bytes)) => {
                    self.sent(at, bytes.len() as u64, allowed as u64);
                    return Poll::Ready(Ok(bytes));
                }
                Poll::Ready(Err(ReadError::Ended)) => self.moving = Some(self.find(at)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.wait(at, allowed),
            }
        }
    }

    fn file_part(&mut self, at: u64, most: u64) -> Option<FilePart> {
        if self.head.is_some() || self.moving.is_some() || self.session.ended.is_cancelled() {
            return None;
        }
        let Ok(Allowance::Bytes(allowed)) = self.take(at, most) else { return None };
        let part = self.inner.file_part(at, allowed);
        self.sent(at, part.as_ref().map_or(0, |part| part.length), allowed);
        part
    }

    fn set_window(&mut self, mut window: Window) {
        let film = self.session.state().film_of(self.file);
        if let Some(rate) = film.and_then(|film| film.rate_at(window.position)) {
            // What is due when is known better than from what the player has read so far.
            window.rate = rate;
        }
        self.window = Some(window);
        self.inner.set_window(window);
    }
}

impl SessionReader {
    /// How much may be sent now, at least a byte; waits for it.
    fn poll_pace(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<usize, ReadError>> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            match self.take(at, most as u64)? {
                Allowance::Bytes(bytes) => return Poll::Ready(Ok(bytes as usize)),
                Allowance::Later(then) => {
                    self.timer = Some(Box::pin(tokio::time::sleep_until(then.into())));
                }
            }
        }
    }

    fn take(&self, at: u64, most: u64) -> Result<Allowance, ReadError> {
        if !self.session.account.has_quota() {
            return Err(ReadError::Failed("the day's quota is used up".to_owned()));
        }
        let (mut state, now) = (self.session.state(), Instant::now());
        // The sooner the film's rate is known, the less is sent in vain.
        state.learn_rate(self.file, self.length, now);
        Ok(state.pace.take(self.purpose(), self.place(at), most, now))
    }

    /// Counts what was sent of what was allowed.
    fn sent(&self, at: u64, bytes: u64, allowed: u64) {
        let mut state = self.session.state();
        if allowed > bytes {
            state.pace.refund(self.purpose(), self.place(at + bytes), allowed - bytes);
        }
        if bytes > 0 {
            state.machine.handle_sent(self.key, bytes, Instant::now());
            let rate = state.rate.filter(|&rate| rate > 0 && !self.unpaced);
            drop(state);
            self.session.account.sent(bytes);
            self.shared.metrics.sent(bytes);
            if let Some(rate) = rate {
                self.shared.note_read(&self.session, self.place(at), bytes, rate);
            }
        }
    }

    fn wait(&self, at: u64, allowed: usize) -> Poll<Result<Bytes, ReadError>> {
        self.sent(at, 0, allowed as u64);
        self.session.state().machine.handle_waiting(self.key, at, Instant::now());
        Poll::Pending
    }

    fn purpose(&self) -> Purpose {
        let paced = self.shared.config.streams.pace && !self.unpaced;
        if paced { Purpose::Play } else { Purpose::Download }
    }

    fn place(&self, offset: u64) -> Place {
        Place { file: self.file.0, offset }
    }

    /// The same file in the torrent that runs now.
    fn find(&self, at: u64) -> Awaited<Option<Box<dyn Reader>>> {
        let (shared, session, file) = (Arc::clone(&self.shared), Arc::clone(&self.session), self.file);
        let end = self.end;
        Box::pin(async move {
            let torrent = session.torrent();
            let was = session.opened()?;
            if was.viewing.torrent().is(&torrent) {
                return None;
            }
            let opened = session.open(&shared).await.ok()?;
            let media = opened.viewing.open(&opened.ready, file).ok()?;
            // What is needed of it is told at once: the player waits.
            shared.torrents.look(Instant::now());
            Some(media.reader(at..end))
        })
    }
}

impl Drop for SessionReader {
    fn drop(&mut self) {
        self.session.state().machine.handle_reader_closed(self.key, Instant::now());
    }
}

/// A small file of our own making.
pub(super) fn text(name: &str, text: String) -> Arc<dyn Media> {
    written(name, afflux_stream::media_type(name), text)
}

fn written(name: &str, media_type: MediaType, text: String) -> Arc<dyn Media> {
    let facts = MediaFacts {
        length: text.len() as u64,
        etag: format!("\"{}\"", sha1_smol::Sha1::from(&text).digest()),
        name: name.to_owned(),
        media_type,
        complete: false,
        bitrate: None,
        modified: None,
    };
    Arc::new(TextMedia { facts, bytes: text.into() })
}

struct TextMedia {
    facts: MediaFacts,
    bytes: Bytes,
}

impl Media for TextMedia {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, _: Range<u64>) -> Box<dyn Reader> {
        Box::new(TextReader(self.bytes.clone()))
    }
}

struct TextReader(Bytes);

impl Reader for TextReader {
    fn poll_read(&mut self, _: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        let start = (at as usize).min(self.0.len());
        Poll::Ready(Ok(self.0.slice(start..self.0.len().min(start + most))))
    }

    fn set_window(&mut self, _: Window) {}
}

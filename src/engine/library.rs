//! A torrent's file as the range server sees it: facts, and readers over verified bytes.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use afflux_metainfo::layout::FileSpan;
use afflux_metainfo::{FileIndex, PieceIndex};
use afflux_storage::ReadError as StoreError;
use afflux_stream::library::{FilePart, Media, MediaFacts, ReadError, Reader};
use afflux_swarm::{Kind, Window};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::Torrent;
use super::readers::{Place, ViewingKey};
use super::torrent::Ready;
use crate::failure::Failure;
use crate::media_choice;

/// Bytes asked of the store at once: one extent of its pool, and a good frame for hyper.
const READ_BYTES: u64 = 256 * 1024;
/// Head of the next episode that is fetched before anybody asks: a few seconds of a film.
const NEXT_HEAD_BYTES: u64 = 4 * 1024 * 1024;
/// When the store has too many reads queued, try again after this.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// When the disk failed but the bytes may still be there, try again after this: a drive that hangs mustn't be hammered
/// by every reader.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// An open file of a torrent.
#[derive(Debug)]
pub struct TorrentMedia {
    torrent: Torrent,
    viewing: ViewingKey,
    ready: Arc<Ready>,
    index: FileIndex,
    file: FileSpan,
    facts: MediaFacts,
}

impl TorrentMedia {
    /// Opens a file; fails if there is none of this number.
    pub fn open(torrent: &Torrent, ready: &Arc<Ready>, index: FileIndex) -> Result<Self, Failure> {
        Self::open_for(torrent, ViewingKey::default(), ready, index)
    }

    /// The same for the readers of a viewing.
    pub(super) fn open_for(
        torrent: &Torrent,
        viewing: ViewingKey,
        ready: &Arc<Ready>,
        index: FileIndex,
    ) -> Result<Self, Failure> {
        let file = ready
            .layout
            .file(index)
            .filter(|file| !file.pad)
            .ok_or_else(|| Failure::usage(format!("the torrent has no file {index}")))?
            .clone();
        let name = file.path.last().cloned().unwrap_or_default();
        let complete = ready.layout.pieces_of(file.range()).all(|piece| ready.store.have(PieceIndex(piece)));
        let facts = MediaFacts {
            length: file.length,
            etag: format!("\"{}-{index}\"", torrent.info_hash()),
            media_type: afflux_stream::media_type(&name),
            name,
            complete,
            bitrate: None,
            modified: None,
        };
        Ok(Self { torrent: torrent.clone(), viewing, ready: Arc::clone(ready), index, file, facts })
    }
}

impl Media for TorrentMedia {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, _range: Range<u64>) -> Box<dyn Reader> {
        Box::new(TorrentReader {
            place: self.torrent.readers.enter(self.viewing),
            viewing: self.viewing,
            torrent: self.torrent.clone(),
            ready: Arc::clone(&self.ready),
            index: self.index,
            file: self.file.clone(),
            next_file: Next::Unknown,
            runs: VecDeque::new(),
            next: 0,
            read: None,
            pause: None,
        })
    }
}

/// What is watched after a file; looked for when that is fetched to its end.
enum Next {
    Unknown,
    None,
    /// Its head is wished for.
    Wanted {
        _place: Place,
    },
}

/// One response's way through a file.
struct TorrentReader {
    torrent: Torrent,
    viewing: ViewingKey,
    ready: Arc<Ready>,
    place: Place,
    index: FileIndex,
    file: FileSpan,
    next_file: Next,
    /// Bytes read ahead of what was lent: the rest of one read.
    runs: VecDeque<Bytes>,
    /// Where the first of them lies in the file.
    next: u64,
    read: Option<oneshot::Receiver<Result<Vec<Bytes>, StoreError>>>,
    pause: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Reader for TorrentReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        if at != self.next {
            self.runs.clear();
            self.read = None;
            self.next = at;
        }
        loop {
            if let Some(run) = self.runs.pop_front() {
                return Poll::Ready(Ok(self.lend(run, most)));
            }
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if let Some(read) = &mut self.read {
                let answer = ready!(std::pin::Pin::new(read).poll(cx)).unwrap_or(Err(StoreError::Closed));
                self.read = None;
                self.take(answer)?;
                continue;
            }
            let (piece, range) = self.wanted(at);
            if !self.ready.store.have(piece) {
                self.place.wait_for(piece, cx.waker());
                // It may have come between the two looks.
                if !self.ready.store.have(piece) {
                    return if self.is_over() { Poll::Ready(Err(ReadError::Ended)) } else { Poll::Pending };
                }
            }
            match self.ready.store.try_read(piece, range.clone()) {
                Some(runs) => self.runs = runs.into(),
                None => self.read = Some(self.ask(piece, range)),
            }
        }
    }

    fn file_part(&mut self, at: u64, most: u64) -> Option<FilePart> {
        let start = self.file.offset + at;
        let end = start.saturating_add(most).min(self.file.range().end);
        let loan = self.ready.store.lend_file(start..end)?;
        // What was read ahead for this place isn't needed any more.
        self.runs.clear();
        self.read = None;
        self.next = at + loan.len();
        Some(FilePart { file: loan.file(), offset: loan.offset(), length: loan.len() })
    }

    fn set_window(&mut self, window: afflux_stream::window::Window) {
        let offset = self.file.offset;
        self.place.want(Window {
            position: offset + window.position,
            urgent_end: offset + window.urgent_end,
            soon_end: offset + window.end,
            file_end: offset + self.file.length,
            rate: Some(window.rate),
            waiting: window.waiting,
            kind: if window.probe { Kind::Probe } else { Kind::Play },
        });
        if window.end == self.file.length && !window.probe {
            self.look_to_the_next();
        }
    }
}

impl TorrentReader {
    /// Lends at most `most` bytes of a run and keeps the rest.
    fn lend(&mut self, mut run: Bytes, most: usize) -> Bytes {
        if run.len() > most {
            self.runs.push_front(run.split_off(most));
        }
        self.next += run.len() as u64;
        run
    }

    /// The read-ahead has reached the end of the file: the head of the next one is wanted, behind everything else.
    fn look_to_the_next(&mut self) {
        if !matches!(self.next_file, Next::Unknown) {
            return;
        }
        self.next_file = Next::None;
        let layout = &self.ready.layout;
        let Some(next) = media_choice::next_file(layout, self.index).and_then(|next| layout.file(next))
        else {
            return;
        };
        let place = self.torrent.readers.enter(self.viewing);
        let head_end = next.offset + NEXT_HEAD_BYTES.min(next.length);
        place.want_ahead(Window {
            position: next.offset,
            urgent_end: next.offset,
            soon_end: head_end,
            file_end: next.range().end,
            rate: None,
            waiting: false,
            kind: Kind::Next,
        });
        self.next_file = Next::Wanted { _place: place };
    }

    /// The piece that holds a byte of the file, and what to read of it.
    fn wanted(&self, at: u64) -> (PieceIndex, Range<u32>) {
        let layout = &self.ready.layout;
        let start = self.file.offset + at;
        let piece = PieceIndex((start / u64::from(layout.piece_length())) as u32);
        let piece_start = layout.piece_offset(piece);
        let piece_end = piece_start + u64::from(layout.length_of(piece));
        // Up to the end of an extent: a read across two of them may fetch both.
        let extent_end = piece_start + ((start - piece_start) / READ_BYTES + 1) * READ_BYTES;
        let end = piece_end.min(self.file.range().end).min(extent_end);
        (piece, (start - piece_start) as u32..(end - piece_start) as u32)
    }

    fn ask(&self, piece: PieceIndex, range: Range<u32>) -> oneshot::Receiver<Result<Vec<Bytes>, StoreError>> {
        let (reply, answer) = oneshot::channel();
        self.ready.store.read(
            piece,
            range,
            Box::new(move |result| {
                // A reader that left in the meantime needs no answer.
                let _ = reply.send(result);
            }),
        );
        answer
    }

    /// Takes an answer of the store. A piece that is gone is waited for again; only what can't be mended ends
    /// the response.
    fn take(&mut self, answer: Result<Vec<Bytes>, StoreError>) -> Result<(), ReadError> {
        match answer {
            Ok(runs) => self.runs = runs.into(),
            Err(StoreError::NotHave | StoreError::Evicted) => {}
            Err(StoreError::Busy) => self.pause = Some(Box::pin(tokio::time::sleep(BUSY_PAUSE))),
            Err(StoreError::Disk(_)) => self.pause = Some(Box::pin(tokio::time::sleep(DISK_PAUSE))),
            Err(StoreError::Closed) => return Err(ReadError::Ended),
            Err(error @ StoreError::Range) => return Err(ReadError::Failed(error.to_string())),
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.torrent.status.has_changed().is_err()
    }
}

//! A response's body: frames of a file's verified bytes, in the order of a [`Plan`], lent by a [`Reader`] and never copied.
//!
//! A piece that isn't there yet holds the body open; a reader that fails cuts the connection, so that an answer is either whole or
//! visibly broken. The body tells its reader what is wanted next, and dropping it drops the reader: that is what a
//! seek looks like from here. Not here: what is wanted (`window`), and HTTP (`reply`, hyper).

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::Sleep;

use crate::library::{Media, ReadError, Reader};
use crate::limits::{FILE_PART_BYTES_MAX, FRAME_BYTES_MAX};
use crate::outlet::Outlet;
use crate::reply::Plan;
use crate::window::{PROBE_SENT_MAX, Run, Window, WindowConfig};

/// An error of any body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of every response: media, JSON and problems alike.
pub type ResponseBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body of nothing.
pub fn empty() -> ResponseBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> ResponseBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// The body that a plan makes of a file; with an outlet, the kernel sends what lies in files.
pub(crate) fn planned(
    plan: Plan,
    media: &Arc<dyn Media>,
    config: WindowConfig,
    outlet: Option<Outlet>,
) -> ResponseBody {
    let body = |segments: Vec<Segment>| {
        let mut body = MediaBody::new(media.clone(), segments, config);
        body.outlet = outlet;
        body.map_err(BoxError::from).boxed_unsync()
    };
    match plan {
        Plan::Empty => empty(),
        Plan::Problem(problem) => full(problem.to_json()),
        Plan::Single(range) => body(vec![Segment::File(range)]),
        Plan::Multipart(framing) => {
            let parts = framing
                .parts
                .into_iter()
                .flat_map(|(head, part)| [Segment::Framing(head), Segment::File(part)]);
            body(parts.chain([Segment::Framing(framing.close)]).collect())
        }
    }
}

/// One stretch of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Bytes of our own, between parts.
    Framing(Bytes),
    /// Bytes of the file.
    File(Range<u64>),
}

/// A body over readers of one file: one at a time, the first from the start on, so that fetching begins before the head of the
/// answer is on the wire.
pub struct MediaBody {
    media: Arc<dyn Media>,
    config: WindowConfig,
    outlet: Option<Outlet>,
    segments: VecDeque<Segment>,
    reading: Option<Reading>,
    /// Bytes still to come, framing included.
    left: u64,
}

impl MediaBody {
    /// A body of `segments` of `media`. Ranges must lie inside the file.
    pub fn new(
        media: Arc<dyn Media>,
        segments: impl IntoIterator<Item = Segment>,
        config: WindowConfig,
    ) -> MediaBody {
        let segments: VecDeque<Segment> =
            segments.into_iter().filter(|segment| segment.length() > 0).collect();
        let left = segments.iter().map(Segment::length).sum();
        let mut body = MediaBody { media, config, outlet: None, segments, reading: None, left };
        if let Some(range) = body.segments.iter().find_map(Segment::file) {
            body.reading = Some(body.open(range));
        }
        body
    }

    fn open(&self, range: Range<u64>) -> Reading {
        let now = Instant::now();
        let facts = self.media.facts();
        let run = Run::new(self.config, range.clone(), facts.length, facts.bitrate, now);
        let begun = range.start;
        let mut reading = Reading { reader: self.media.reader(range), run, begun, told: None, timer: None };
        reading.tell(now);
        reading
    }

    /// The next bytes of the file: up to the end of the current part, whose reader goes with its last byte.
    fn poll_file(&mut self, range: Range<u64>, cx: &mut Context<'_>) -> Poll<Result<Bytes, ReadError>> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => self.open(range),
        };
        let polled = reading.poll(cx, self.outlet.as_ref());
        let ended = match &polled {
            Poll::Ready(Ok(_)) => reading.run.position() == reading.run.end(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if ended {
            self.segments.pop_front();
        } else {
            self.reading = Some(reading);
        }
        polled
    }
}

impl Body for MediaBody {
    type Data = Bytes;
    type Error = ReadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReadError>>> {
        let read = match self.segments.front() {
            None => return Poll::Ready(None),
            Some(Segment::Framing(bytes)) => {
                let bytes = bytes.clone();
                self.segments.pop_front();
                Ok(bytes)
            }
            Some(Segment::File(range)) => {
                let range = range.clone();
                ready!(self.poll_file(range, cx))
            }
        };
        match &read {
            Ok(bytes) => self.left -= bytes.len() as u64,
            // Nothing may follow an error.
            Err(_) => self.segments.clear(),
        }
        Poll::Ready(Some(read.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Segment::Framing(bytes) => bytes.len() as u64,
            Segment::File(range) => range.end.saturating_sub(range.start),
        }
    }

    fn file(&self) -> Option<Range<u64>> {
        match self {
            Segment::Framing(_) => None,
            Segment::File(range) => Some(range.clone()),
        }
    }
}

/// A reader under way.
struct Reading {
    reader: Box<dyn Reader>,
    run: Run,
    /// Where in the file it began.
    begun: u64,
    /// The window the reader knows of.
    told: Option<Window>,
    /// Set while the reader waits and its window changes with time.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    fn poll(&mut self, cx: &mut Context<'_>, outlet: Option<&Outlet>) -> Poll<Result<Bytes, ReadError>> {
        let at = self.run.position();
        let token = outlet.and_then(|outlet| {
            let most = self.file_part_bytes();
            let part = self.reader.file_part(at, most).filter(|part| part.length <= most)?;
            outlet.promise(part)
        });
        let (polled, most) = match token {
            Some(token) => (Poll::Ready(Ok(token)), FILE_PART_BYTES_MAX),
            None => (self.reader.poll_read(cx, at, self.frame_bytes()), self.frame_bytes()),
        };
        match polled {
            Poll::Ready(Ok(bytes)) if bytes.is_empty() || bytes.len() > most => {
                Poll::Ready(Err(ReadError::Failed("a reader lent nothing, or more than was asked".into())))
            }
            Poll::Ready(Ok(bytes)) => {
                let now = Instant::now();
                self.timer = None;
                self.run.handle_sent(bytes.len() as u64, now);
                self.tell(now);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                self.run.handle_wait();
                self.watch_clock(cx);
                Poll::Pending
            }
        }
    }

    /// Bytes to ask for at once. A sender that is to be paced gets its allowance here, and sleeps on the same timer.
    fn frame_bytes(&self) -> usize {
        let left = self.run.end() - self.run.position();
        usize::try_from(left).map_or(FRAME_BYTES_MAX, |left| left.min(FRAME_BYTES_MAX))
    }

    /// The same of a file. A look at its head isn't taken for more than it is by what one step sent.
    fn file_part_bytes(&self) -> u64 {
        let (at, left) = (self.run.position(), self.run.end() - self.run.position());
        let reads_on = at - self.begun >= PROBE_SENT_MAX;
        left.min(if reads_on { FILE_PART_BYTES_MAX } else { FRAME_BYTES_MAX } as u64)
    }

    /// Tells the window now, and sleeps until it changes by itself.
    fn watch_clock(&mut self, cx: &mut Context<'_>) {
        loop {
            let now = Instant::now();
            self.tell(now);
            let Some(deadline) = self.run.deadline(now) else {
                self.timer = None;
                return;
            };
            let deadline = tokio::time::Instant::from_std(deadline);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            // The timer's clock is a little coarser than ours: only a later reading of it ends the loop.
            self.timer = None;
            if Instant::now() < deadline.into_std() {
                cx.waker().wake_by_ref();
                return;
            }
        }
    }

    fn tell(&mut self, now: Instant) {
        let window = self.run.window(now);
        if self.told != Some(window) {
            self.told = Some(window);
            self.reader.set_window(window);
        }
    }
}

#[cfg(test)]
mod tests;

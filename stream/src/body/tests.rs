use std::sync::Mutex;
use std::task::Waker;
use std::time::Duration;

use super::*;
use crate::library::MediaFacts;
use crate::media_type::media_type;
use crate::multipart::Framing;
use crate::window::PROBE_BYTES;

/// A file whose first `ready` bytes are there.
struct Slow {
    facts: MediaFacts,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    ready: u64,
    failed: bool,
    run: usize,
    waker: Option<Waker>,
    windows: Vec<Window>,
    readers: usize,
}

struct SlowReader(Arc<Mutex<State>>);

impl Media for Slow {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, _: Range<u64>) -> Box<dyn Reader> {
        self.state.lock().unwrap().readers += 1;
        Box::new(SlowReader(self.state.clone()))
    }
}

impl Reader for SlowReader {
    fn poll_read(&mut self, cx: &mut Context<'_>, at: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        let mut state = self.0.lock().unwrap();
        if state.failed {
            return Poll::Ready(Err(ReadError::Ended));
        }
        if at >= state.ready {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let end = state.ready.min(at + most.min(state.run) as u64);
        Poll::Ready(Ok((at..end).map(byte).collect()))
    }

    fn set_window(&mut self, window: Window) {
        self.0.lock().unwrap().windows.push(window);
    }
}

impl Drop for SlowReader {
    fn drop(&mut self) {
        self.0.lock().unwrap().readers -= 1;
    }
}

fn byte(at: u64) -> u8 {
    (at % 251) as u8
}

fn slow(length: u64, ready: u64) -> (Arc<dyn Media>, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(State { ready, run: usize::MAX, ..State::default() }));
    let facts = MediaFacts {
        length,
        etag: "x".into(),
        name: "film.mkv".into(),
        media_type: media_type("film.mkv"),
        complete: false,
        bitrate: None,
        modified: None,
    };
    (Arc::new(Slow { facts, state: state.clone() }), state)
}

fn single(media: &Arc<dyn Media>, range: Range<u64>) -> MediaBody {
    MediaBody::new(media.clone(), [Segment::File(range)], WindowConfig::default())
}

async fn frame(body: &mut MediaBody) -> Option<Result<Bytes, ReadError>> {
    body.frame().await.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

#[tokio::test]
async fn frames_are_long_and_end_with_the_range() {
    let (media, state) = slow(1 << 20, 1 << 20);
    let mut body = single(&media, 100..600_100);
    let (mut at, mut frames) = (100u64, 0);
    while let Some(bytes) = frame(&mut body).await {
        let bytes = bytes.unwrap();
        assert!(bytes.iter().enumerate().all(|(i, b)| *b == byte(at + i as u64)));
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        at += bytes.len() as u64;
        frames += 1;
        assert_eq!(body.size_hint().exact(), Some(600_100 - at));
    }
    assert_eq!((at, frames), (600_100, 3));
    assert!(body.is_end_stream());
    assert_eq!(state.lock().unwrap().readers, 0, "the reader goes with its last byte");
}

#[tokio::test]
async fn a_reader_knows_its_window_before_it_is_asked_for_bytes() {
    let (media, state) = slow(1 << 20, 0);
    let _body = single(&media, 5..1 << 20);
    assert_eq!(state.lock().unwrap().windows.first().map(|window| window.position), Some(5));
}

#[tokio::test]
async fn the_window_moves_with_the_position() {
    let (media, state) = slow(64 << 20, 64 << 20);
    let mut body = single(&media, 0..64 << 20);
    for _ in 0..4 {
        frame(&mut body).await.unwrap().unwrap();
    }
    let state = state.lock().unwrap();
    let positions: Vec<u64> =
        state.windows.iter().map(|window| window.position / FRAME_BYTES_MAX as u64).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_piece_holds_the_body_open_and_then_goes_on() {
    let (media, state) = slow(1000, 10);
    let mut body = single(&media, 0..1000);
    assert_eq!(frame(&mut body).await.unwrap().unwrap().len(), 10);
    assert!(tokio::time::timeout(Duration::from_secs(3600), frame(&mut body)).await.is_err());
    assert!(state.lock().unwrap().windows.last().unwrap().waiting);
    let waker = {
        let mut state = state.lock().unwrap();
        state.ready = 1000;
        state.waker.take().unwrap()
    };
    waker.wake();
    assert_eq!(frame(&mut body).await.unwrap().unwrap().len(), 990);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_reader_that_waits_gets_its_read_ahead_by_time_alone() {
    let (media, state) = slow(64 << 20, 0);
    let mut body = single(&media, 0..64 << 20);
    assert!(tokio::time::timeout(Duration::from_millis(1), frame(&mut body)).await.is_err());
    assert_eq!(state.lock().unwrap().windows.last().unwrap().end, PROBE_BYTES);
    // Nothing wakes the body but its own timer.
    let grown = async {
        loop {
            let polled = tokio::time::timeout(Duration::from_secs(5), frame(&mut body));
            tokio::select! {
                _ = polled => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
            if state.lock().unwrap().windows.last().unwrap().end > PROBE_BYTES {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), grown).await.unwrap();
}

#[tokio::test]
async fn a_failed_reader_is_an_error_and_nothing_follows() {
    let (media, state) = slow(1000, 10);
    let mut body = single(&media, 0..1000);
    frame(&mut body).await.unwrap().unwrap();
    state.lock().unwrap().failed = true;
    assert_eq!(frame(&mut body).await, Some(Err(ReadError::Ended)));
    assert_eq!(frame(&mut body).await, None);
    assert!(!body.is_end_stream(), "the bytes owed are not forgotten");
    assert_eq!(state.lock().unwrap().readers, 0);
}

#[tokio::test]
async fn a_reader_that_breaks_its_word_is_an_error() {
    let (media, state) = slow(1000, 1000);
    state.lock().unwrap().run = 0;
    assert!(matches!(frame(&mut single(&media, 0..1000)).await, Some(Err(ReadError::Failed(_)))));
}

#[tokio::test]
async fn parts_are_read_one_after_the_other() {
    let (media, state) = slow(1000, 1000);
    let framing = Framing::new("B", "video/mp4", vec![990..1000, 0..5], 1000);
    let length = framing.length();
    let segments = framing
        .parts
        .iter()
        .flat_map(|(head, part)| [Segment::Framing(head.clone()), Segment::File(part.clone())]);
    let segments: Vec<Segment> = segments.chain([Segment::Framing(framing.close.clone())]).collect();
    let mut body = MediaBody::new(media, segments, WindowConfig::default());
    assert_eq!(body.size_hint().exact(), Some(length));
    let mut sent = Vec::new();
    while let Some(bytes) = frame(&mut body).await {
        assert!(state.lock().unwrap().readers <= 1);
        sent.extend_from_slice(&bytes.unwrap());
    }
    let mut expected = framing.parts[0].0.to_vec();
    expected.extend((990..1000).map(byte));
    expected.extend_from_slice(&framing.parts[1].0);
    expected.extend((0..5).map(byte));
    expected.extend_from_slice(&framing.close);
    assert_eq!(sent, expected);
    assert_eq!(sent.len() as u64, length);
}

#[tokio::test]
async fn dropping_the_body_drops_its_reader() {
    let (media, state) = slow(1000, 0);
    let body = single(&media, 0..1000);
    assert_eq!(state.lock().unwrap().readers, 1);
    drop(body);
    assert_eq!(state.lock().unwrap().readers, 0);
}

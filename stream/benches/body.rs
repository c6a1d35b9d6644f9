//! What a response costs before the socket: deciding the answer, and pulling a body out of a reader that has everything,
//! in runs of one block and of many.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use afflux_stream::body::{MediaBody, Segment};
use afflux_stream::reply::{Asked, reply};
use afflux_stream::{Media, MediaFacts, ReadError, Reader, Window, WindowConfig, media_type};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use http::{HeaderMap, HeaderValue, Method};
use http_body::Body;

const BLOCK: usize = 16 * 1024;
const SENT: u64 = 64 * 1024 * 1024;

/// A file all of whose bytes lie in memory, lent in runs of `run` bytes.
struct Whole {
    facts: MediaFacts,
    memory: Bytes,
}

struct WholeReader(Bytes);

impl Media for Whole {
    fn facts(&self) -> &MediaFacts {
        &self.facts
    }

    fn reader(&self, _: Range<u64>) -> Box<dyn Reader> {
        Box::new(WholeReader(self.memory.clone()))
    }
}

impl Reader for WholeReader {
    fn poll_read(&mut self, _: &mut Context<'_>, _: u64, most: usize) -> Poll<Result<Bytes, ReadError>> {
        Poll::Ready(Ok(self.0.slice(..most.min(self.0.len()))))
    }

    fn set_window(&mut self, window: Window) {
        black_box(window);
    }
}

fn facts(length: u64) -> MediaFacts {
    MediaFacts {
        length,
        etag: "00112233445566778899aabbccddeeff00112233-0".into(),
        name: "Some.Film.2020.1080p.mkv".into(),
        media_type: media_type("Some.Film.2020.1080p.mkv"),
        complete: false,
        bitrate: None,
        modified: None,
    }
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Bytes(SENT));
    for run in [BLOCK, 4 * BLOCK, 16 * BLOCK] {
        let media: Arc<dyn Media> = Arc::new(Whole { facts: facts(SENT), memory: Bytes::from(vec![0; run]) });
        group.bench_function(BenchmarkId::from_parameter(run), |bencher| {
            let mut context = Context::from_waker(Waker::noop());
            bencher.iter(|| {
                let mut body =
                    MediaBody::new(media.clone(), [Segment::File(0..SENT)], WindowConfig::default());
                let mut body = std::pin::Pin::new(&mut body);
                while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut context) {
                    black_box(frame.is_ok());
                }
            });
        });
    }
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    let facts = facts(5 << 30);
    let mut headers = HeaderMap::new();
    headers.insert("range", HeaderValue::from_static("bytes=60269708-"));
    headers.insert("if-match", HeaderValue::from_static("\"00112233445566778899aabbccddeeff00112233-0\""));
    criterion.bench_function("reply", |bencher| {
        bencher.iter(|| {
            let asked = Asked { method: &Method::GET, headers: &headers, query: None, nonce: 1 };
            reply(black_box(&asked), black_box(&facts))
        });
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bodies(&mut criterion);
    replies(&mut criterion);
    criterion.final_summary();
}

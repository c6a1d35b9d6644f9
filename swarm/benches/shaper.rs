//! What a grant costs: it is asked for under one lock for every run of blocks that is read or sent.

use std::hint::black_box;
use std::time::{Duration, Instant};

use afflux_swarm::shaper::{Direction, Grant, Limits, LinkKey, Shaper};
use criterion::Criterion;

const LINKS: usize = 500;

/// The start of virtual time.
#[allow(clippy::disallowed_methods, reason = "an Instant can't be made of nothing")]
fn epoch() -> Instant {
    Instant::now()
}

/// Fifty torrents in five classes, ten links each.
fn tree(limits: Limits, now: Instant) -> (Shaper, Vec<LinkKey>) {
    let mut shaper = Shaper::new(limits, now);
    let classes: Vec<_> = (0..5).map(|_| shaper.add_class(limits, now)).collect();
    let torrents: Vec<_> =
        (0..50).map(|number| shaper.add_torrent(Some(classes[number % 5]), limits, now)).collect();
    let links = (0..LINKS)
        .filter_map(|number| shaper.add_link(torrents[number % torrents.len()], limits, now))
        .collect();
    (shaper, links)
}

fn take(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shaper.take");
    let start = epoch();

    let (mut shaper, links) = tree(Limits::default(), start);
    let mut turn = 0;
    group.bench_function("without limits", |bencher| {
        bencher.iter(|| {
            turn += 1;
            black_box(shaper.take(links[turn % LINKS], Direction::Download, 16 * 1024, start))
        });
    });

    // Time goes on fast enough that every level has something to spare.
    let wide = Limits { download: Some(1 << 40), upload: Some(1 << 40) };
    let (mut shaper, links) = tree(wide, start);
    let mut now = start;
    group.bench_function("granted at once at four levels", |bencher| {
        bencher.iter(|| {
            turn += 1;
            now += Duration::from_micros(10);
            black_box(shaper.take(links[turn % LINKS], Direction::Download, 16 * 1024, now))
        });
    });

    // Everybody waits in the global queue: a claim, and a grant when its turn has come.
    let narrow = Limits { download: Some(10_000_000), upload: None };
    let (mut shaper, links) = tree(Limits::default(), start);
    shaper.set_global(narrow, start);
    let mut now = start;
    let mut waiting = links[0];
    group.bench_function("waited for at one level", |bencher| {
        bencher.iter(|| {
            turn += 1;
            match shaper.take(waiting, Direction::Download, 16 * 1024, now) {
                Grant::Now(_) => waiting = links[turn % LINKS],
                Grant::Later(then) => now = then,
            }
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    take(&mut criterion);
    criterion.final_summary();
}

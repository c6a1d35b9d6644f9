//! The shaper in virtual time: links that want as much as they can get.

use super::*;
use crate::testing::epoch;
use Direction::{Download, Upload};

const KIB: u64 = 1024;

fn upload(rate: u64) -> Limits {
    Limits { upload: Some(rate), download: None }
}

fn none() -> Limits {
    Limits::default()
}

/// One link's appetite.
pub(super) struct Eater {
    pub(super) link: LinkKey,
    pub(super) want: u32,
    pub(super) next: Instant,
    pub(super) eaten: u64,
}

impl Eater {
    pub(super) fn new(link: LinkKey, want: u32, now: Instant) -> Self {
        Self { link, want, next: now, eaten: 0 }
    }
}

/// Lets all eaters ask whenever they may, until `end`; timers fire `late` after their time.
pub(super) fn feed(
    shaper: &mut Shaper,
    eaters: &mut [Eater],
    direction: Direction,
    end: Instant,
    late: Duration,
) {
    loop {
        let eater = eaters.iter_mut().min_by_key(|eater| eater.next).expect("someone eats");
        let now = eater.next;
        if now > end {
            return;
        }
        let grant = shaper.take(eater.link, direction, eater.want, now);
        match grant {
            Grant::Now(bytes) => {
                assert!(bytes > 0 && bytes <= eater.want);
                eater.eaten += u64::from(bytes);
            }
            Grant::Later(then) => {
                assert!(then > now, "a wait must end later than it begins");
                eater.next = then + late;
            }
        }
        while let Some(woken) = shaper.poll_woken() {
            if let Some(eater) = eaters.iter_mut().find(|eater| eater.link == woken) {
                eater.next = eater.next.min(now + late);
            }
        }
    }
}

pub(super) fn within(actual: u64, expected: u64, percent: u64) {
    let slack = expected * percent / 100;
    assert!(
        (expected - slack..=expected + slack).contains(&actual),
        "{actual} is not within {percent} % of {expected}"
    );
}

#[test]
fn a_global_limit_holds_within_three_percent() {
    for rate in [10 * KIB, 100 * KIB, 3_333_333, 100 * KIB * KIB] {
        for links in [1, 7, 50] {
            let start = epoch();
            let mut shaper = Shaper::new(upload(rate), start);
            let torrent = shaper.add_torrent(None, none(), start);
            let mut eaters: Vec<_> = (0..links)
                .map(|_| shaper.add_link(torrent, none(), start).unwrap())
                .map(|link| Eater::new(link, 16 * 1024, start))
                .collect();
            let end = start + Duration::from_secs(10);
            feed(&mut shaper, &mut eaters, Upload, end, Duration::ZERO);
            within(eaters.iter().map(|eater| eater.eaten).sum(), rate * 10, 3);
        }
    }
}

#[test]
fn late_timers_cost_no_rate() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    let mut eaters = [Eater::new(link, 1 << 20, start)];
    let late = Duration::from_millis(15);
    feed(&mut shaper, &mut eaters, Upload, start + Duration::from_secs(10), late);
    within(eaters[0].eaten, 10_000_000, 3);
}

#[test]
fn an_upload_limit_does_not_touch_download() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(10 * KIB), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    while let Grant::Now(_) = shaper.take(link, Upload, 16 * 1024, start) {}
    for _ in 0..1_000 {
        assert_eq!(shaper.take(link, Download, 1 << 20, start), Grant::Now(1 << 20));
    }
}

#[test]
fn links_of_a_parent_get_equal_shares() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(200 * KIB), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let mut eaters: Vec<_> = (0..10)
        .map(|_| shaper.add_link(torrent, none(), start).unwrap())
        .map(|link| Eater::new(link, 16 * 1024, start))
        .collect();
    // Whoever asks for more at a time gets no larger share.
    eaters[3].want = 1 << 20;
    feed(&mut shaper, &mut eaters, Upload, start + Duration::from_secs(10), Duration::ZERO);
    for eater in &eaters {
        within(eater.eaten, 200 * KIB, 15);
    }
}

#[test]
fn the_narrowest_level_decides_and_leaves_the_rest_to_others() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000_000), start);
    let class = shaper.add_class(upload(300_000), start);
    let narrow = shaper.add_torrent(Some(class), upload(100_000), start);
    let sibling = shaper.add_torrent(Some(class), none(), start);
    let wide = shaper.add_torrent(None, none(), start);
    let mut eaters: Vec<_> = [narrow, narrow, sibling, wide]
        .into_iter()
        .map(|torrent| shaper.add_link(torrent, none(), start).unwrap())
        .map(|link| Eater::new(link, 16 * 1024, start))
        .collect();
    feed(&mut shaper, &mut eaters, Upload, start + Duration::from_secs(10), Duration::ZERO);
    within(eaters[0].eaten + eaters[1].eaten, 1_000_000, 3);
    within(eaters[2].eaten, 2_000_000, 3);
    within(eaters[3].eaten, 7_000_000, 3);
}

#[test]
fn fifty_slow_links_hoard_nothing_of_the_global_rate() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let mut eaters: Vec<_> = (0..50)
        .map(|_| shaper.add_link(torrent, upload(1_000), start).unwrap())
        .map(|link| Eater::new(link, 16 * 1024, start))
        .collect();
    eaters.push(Eater::new(shaper.add_link(torrent, none(), start).unwrap(), 16 * 1024, start));
    feed(&mut shaper, &mut eaters, Upload, start + Duration::from_secs(10), Duration::ZERO);
    within(eaters.iter().map(|eater| eater.eaten).sum(), 10_000_000, 3);
}

#[test]
fn control_bytes_are_never_delayed_but_paid_for() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(100_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    shaper.debit(link, Upload, 110_000, start);
    let Grant::Later(then) = shaper.take(link, Upload, 1_000, start) else { panic!("the level is in debt") };
    // 110,000 less the burst of 10,000, and the 1,000 that are asked for.
    assert_eq!(then, start + Duration::from_millis(1_010));
}

#[test]
fn a_flood_of_control_bytes_stops_payload_for_seconds_not_hours() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    (0..1_000).for_each(|_| shaper.debit(link, Upload, 1 << 20, start));
    let Grant::Later(then) = shaper.take(link, Upload, 1_000, start) else { panic!("the level is in debt") };
    assert!(then <= start + DEBT_TIME_MAX + Duration::from_secs(1));
}

#[test]
fn a_higher_limit_moves_those_who_wait() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    while let Grant::Now(_) = shaper.take(link, Upload, 16 * 1024, start) {}
    let Grant::Later(slow) = shaper.take(link, Upload, 16 * 1024, start) else { panic!("nothing is left") };
    shaper.set_global(upload(1_000_000), start);
    let Grant::Later(fast) = shaper.take(link, Upload, 16 * 1024, start) else { panic!("nothing is left") };
    assert!(fast < start + (slow - start) / 500);
    shaper.set_global(none(), start);
    assert!(matches!(shaper.take(link, Upload, 16 * 1024, start), Grant::Now(_)));
    assert_eq!(shaper.take(link, Upload, 16 * 1024, start), Grant::Now(16 * 1024));
}

#[test]
fn a_limit_set_later_does_not_charge_for_the_past() {
    let start = epoch();
    let mut shaper = Shaper::new(none(), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    (0..100).for_each(|_| assert!(matches!(shaper.take(link, Upload, 1 << 20, start), Grant::Now(_))));
    shaper.set_global(upload(100_000), start);
    let Grant::Later(then) = shaper.take(link, Upload, 2_000, start) else {
        panic!("the limit holds at once")
    };
    assert_eq!(then, start + Duration::from_millis(20));
}

#[test]
fn what_a_leaver_claimed_goes_to_those_behind() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(1_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let links: Vec<_> = (0..3).map(|_| shaper.add_link(torrent, none(), start).unwrap()).collect();
    while let Grant::Now(_) = shaper.take(links[0], Upload, 1_024, start) {}
    let Grant::Later(second) = shaper.take(links[1], Upload, 1_024, start) else { panic!("nothing is left") };
    let Grant::Later(third) = shaper.take(links[2], Upload, 1_024, start) else { panic!("nothing is left") };
    assert!(third > second);
    shaper.give_up(links[0], Upload);
    shaper.remove_link(links[1]);
    assert_eq!(shaper.take(links[1], Upload, 1, start), Grant::Later(start + GONE));
    let Grant::Later(moved) = shaper.take(links[2], Upload, 1_024, start) else { panic!("nothing is left") };
    assert!(moved < second, "a link moves up when those ahead leave");
}

#[test]
fn refunds_and_smaller_wants_are_not_lost() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(100_000), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    assert_eq!(shaper.take(link, Upload, 10_000, start), Grant::Now(10_000));
    shaper.refund(link, Upload, 10_000);
    assert_eq!(shaper.take(link, Upload, 10_000, start), Grant::Now(10_000));
    let Grant::Later(then) = shaper.take(link, Upload, 2_000, start) else { panic!("nothing is left") };
    assert_eq!(shaper.take(link, Upload, 500, then), Grant::Now(500));
    assert_eq!(shaper.take(link, Upload, 1_500, then), Grant::Now(1_500));
}

#[test]
fn grants_do_not_dribble() {
    let start = epoch();
    let mut shaper = Shaper::new(upload(10 * KIB), start);
    let torrent = shaper.add_torrent(None, none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    let mut now = start;
    for _ in 0..1_000 {
        match shaper.take(link, Upload, 16 * 1024, now) {
            Grant::Now(bytes) => assert!(bytes >= QUANTUM_BYTES_MIN),
            Grant::Later(then) => now = then,
        }
    }
}

#[test]
fn a_torrent_that_changes_class_leaves_the_old_queue() {
    let start = epoch();
    let mut shaper = Shaper::new(none(), start);
    let (old, new) = (shaper.add_class(upload(2_000_000), start), shaper.add_class(upload(1_000), start));
    let torrent = shaper.add_torrent(Some(old), none(), start);
    let link = shaper.add_link(torrent, none(), start).unwrap();
    while let Grant::Now(_) = shaper.take(link, Upload, 1 << 20, start) {}
    shaper.set_torrent_classes(torrent, &[(new, Need::Soon)]);
    assert_eq!(shaper.take(link, Upload, 1_000, start), Grant::Now(1_000));
    assert!(matches!(shaper.take(link, Upload, 1_000, start), Grant::Later(then) if then < start + GONE));
    shaper.remove_class(new);
    assert_eq!(shaper.take(link, Upload, 900, start), Grant::Now(900));
}

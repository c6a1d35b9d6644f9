//! Users, needs and turns in virtual time: torrents that want as much as they can get.

use std::num::NonZeroU8;

use super::tests::{Eater, feed, within};
use super::*;
use crate::testing::epoch;
use Direction::{Download, Upload};

const RATE: u64 = 1_000_000;

/// A shaper with a global limit both ways, and who eats from it.
struct Table {
    shaper: Shaper,
    start: Instant,
    eaters: Vec<Eater>,
    /// The torrent of each eater.
    seats: Vec<TorrentKey>,
}

impl Table {
    fn new(rate: Option<u64>) -> Self {
        let start = epoch();
        let shaper = Shaper::new(Limits { download: rate, upload: rate }, start);
        Self { shaper, start, eaters: Vec::new(), seats: Vec::new() }
    }

    fn user(&mut self, rate: Option<u64>) -> ClassKey {
        self.shaper.add_class(Limits { download: rate, upload: rate }, self.start)
    }

    fn torrent(&mut self, users: &[(ClassKey, Need)], links: usize) -> TorrentKey {
        let torrent = self.shaper.add_torrent(None, Limits::default(), self.start);
        self.shaper.set_torrent_classes(torrent, users);
        for _ in 0..links {
            let link = self.shaper.add_link(torrent, Limits::default(), self.start).unwrap();
            self.eaters.push(Eater::new(link, 16 * 1024, self.start));
            self.seats.push(torrent);
        }
        torrent
    }

    /// Lets everybody eat for ten seconds more; says what each torrent got.
    fn dine(&mut self, direction: Direction) -> impl Fn(TorrentKey) -> u64 + use<> {
        let begin = self.eaters.iter().map(|eater| eater.next).min().unwrap_or(self.start);
        self.eaters.iter_mut().for_each(|eater| eater.eaten = 0);
        let end = begin + Duration::from_secs(10);
        feed(&mut self.shaper, &mut self.eaters, direction, end, Duration::ZERO);
        let eaten: Vec<_> =
            self.seats.iter().copied().zip(self.eaters.iter().map(|eater| eater.eaten)).collect();
        move |torrent| eaten.iter().filter(|(seat, _)| *seat == torrent).map(|(_, eaten)| eaten).sum()
    }
}

#[test]
fn users_share_evenly_whatever_the_number_of_their_torrents_and_links() {
    let mut table = Table::new(Some(RATE));
    let (anna, ben) = (table.user(None), table.user(None));
    let film = table.torrent(&[(anna, Need::Soon)], 1);
    let series: Vec<_> = (0..4).map(|nth| table.torrent(&[(ben, Need::Soon)], 1 + 5 * nth)).collect();
    let got = table.dine(Download);
    within(got(film), 5 * RATE, 5);
    series.iter().for_each(|&episode| within(got(episode), 5 * RATE / 4, 5));
}

#[test]
fn what_is_about_to_stall_goes_first_and_lower_needs_keep_a_tenth() {
    let mut table = Table::new(Some(RATE));
    let (anna, ben) = (table.user(None), table.user(None));
    let urgent = table.torrent(&[(anna, Need::Stalling)], 1);
    let full = table.torrent(&[(ben, Need::Full)], 30);
    let download = table.torrent(&[(anna, Need::Background)], 10);
    let got = table.dine(Download);
    within(got(urgent), 9 * RATE, 3);
    within(got(full), RATE / 2, 5);
    within(got(download), RATE / 2, 5);
}

#[test]
fn a_need_that_changes_counts_at_once() {
    let mut table = Table::new(Some(RATE));
    let (anna, ben) = (table.user(None), table.user(None));
    let film = table.torrent(&[(anna, Need::Full)], 2);
    let other = table.torrent(&[(ben, Need::Soon)], 2);
    let got = table.dine(Download);
    // The burst of the beginning goes to who comes first.
    within(got(film), RATE + RATE / 10, 3);
    table.shaper.set_torrent_classes(film, &[(anna, Need::Stalling)]);
    let got = table.dine(Download);
    within(got(film), 9 * RATE, 3);
    within(got(other), RATE, 5);
}

#[test]
fn two_users_of_one_torrent_give_it_a_turn_each() {
    let mut table = Table::new(Some(900_000));
    let (anna, ben, cleo) = (table.user(None), table.user(None), table.user(None));
    let shared = table.torrent(&[(anna, Need::Soon), (ben, Need::Soon)], 1);
    let own = table.torrent(&[(anna, Need::Soon)], 1);
    let others = table.torrent(&[(cleo, Need::Soon)], 1);
    let got = table.dine(Download);
    within(got(shared), 4_500_000, 5);
    within(got(own), 1_500_000, 5);
    within(got(others), 3_000_000, 5);
}

#[test]
fn a_user_whose_limit_is_used_up_slows_nobody_who_shares_its_torrent() {
    let mut table = Table::new(None);
    let (slow, fast) = (table.user(Some(100_000)), table.user(Some(500_000)));
    let shared = table.torrent(&[(slow, Need::Soon), (fast, Need::Soon)], 3);
    let own = table.torrent(&[(slow, Need::Stalling)], 3);
    let got = table.dine(Download);
    within(got(shared) + got(own), 6_000_000, 3);
    within(got(shared), 5_000_000 + 100_000, 3);
}

#[test]
fn a_limit_of_a_user_holds_beside_users_without_one() {
    for direction in [Download, Upload] {
        let mut table = Table::new(Some(RATE));
        let (slow, free) = (table.user(Some(RATE / 10)), table.user(None));
        let limited: Vec<_> = (0..3).map(|_| table.torrent(&[(slow, Need::Stalling)], 7)).collect();
        let other = table.torrent(&[(free, Need::Full)], 1);
        let got = table.dine(direction);
        within(limited.iter().map(|&torrent| got(torrent)).sum(), RATE, 3);
        within(got(other), 9 * RATE, 3);
    }
}

#[test]
fn a_user_of_double_weight_gets_double() {
    let mut table = Table::new(Some(900_000));
    let (anna, ben) = (table.user(None), table.user(None));
    table.shaper.set_class_weight(anna, NonZeroU8::new(2).unwrap());
    let heavy = table.torrent(&[(anna, Need::Soon)], 1);
    let light = table.torrent(&[(ben, Need::Soon)], 5);
    let got = table.dine(Download);
    within(got(heavy), 6_000_000, 3);
    within(got(light), 3_000_000, 3);
}

#[test]
fn uploads_go_evenly_to_torrents_whoever_they_are_for() {
    let mut table = Table::new(Some(900_000));
    let (anna, ben) = (table.user(None), table.user(None));
    let torrents = [
        table.torrent(&[(anna, Need::Stalling)], 20),
        table.torrent(&[(anna, Need::Idle), (ben, Need::Soon)], 1),
        table.torrent(&[], 3),
    ];
    let got = table.dine(Upload);
    torrents.iter().for_each(|&torrent| within(got(torrent), 3_000_000, 5));
}

#[test]
fn silence_saves_nothing_up() {
    let mut table = Table::new(Some(RATE));
    let (anna, ben) = (table.user(None), table.user(None));
    table.torrent(&[(anna, Need::Soon)], 2);
    let _ = table.dine(Download);
    let late = table.torrent(&[(ben, Need::Soon)], 2);
    let begin = table.eaters[0].next;
    table.eaters.iter_mut().for_each(|eater| eater.next = eater.next.max(begin));
    let got = table.dine(Download);
    within(got(late), 5 * RATE, 5);
}

#[test]
fn who_waits_is_woken_when_a_limit_is_lifted_on_any_level() {
    let narrow = Limits { download: Some(1_000), upload: None };
    for level in 0..4 {
        let start = epoch();
        let mut shaper = Shaper::new(Limits::default(), start);
        let user = shaper.add_class(Limits::default(), start);
        let torrent = shaper.add_torrent(Some(user), Limits::default(), start);
        let link = shaper.add_link(torrent, Limits::default(), start).unwrap();
        let set = |shaper: &mut Shaper, limits| match level {
            0 => shaper.set_global(limits, start),
            1 => shaper.set_class(user, limits, start),
            2 => shaper.set_torrent(torrent, limits, start),
            _ => shaper.set_link(link, limits, start),
        };
        set(&mut shaper, narrow);
        while let Grant::Now(_) = shaper.take(link, Download, 16 * 1024, start) {}
        while shaper.poll_woken().is_some() {}
        assert!(shaper.is_limited());
        set(&mut shaper, Limits::default());
        assert!(!shaper.is_limited());
        assert_eq!(shaper.poll_woken(), Some(link), "level {level}");
        assert!(matches!(shaper.take(link, Download, 16 * 1024, start), Grant::Now(_)));
    }
}

#[test]
fn a_limit_that_falls_below_what_is_waited_for_still_gives_turns() {
    for fallen in [2_000, 5] {
        let mut table = Table::new(Some(100 * RATE));
        let user = table.user(Some(50 * RATE));
        table.torrent(&[(user, Need::Soon)], 10);
        let _ = table.dine(Download);
        let now = table.eaters[0].next;
        table.shaper.set_global(Limits { download: Some(fallen), upload: None }, now);
        let mut first = None;
        for _ in 0..10_000 {
            let eater = table.eaters.iter_mut().min_by_key(|eater| eater.next).unwrap();
            match table.shaper.take(eater.link, Download, eater.want, eater.next) {
                Grant::Now(bytes) if eater.next > now + BURST_TIME => first = first.or(Some(bytes)),
                Grant::Now(_) => {}
                Grant::Later(then) => eater.next = then,
            }
        }
        assert!(first.is_some_and(|bytes| u64::from(bytes) <= fallen.max(u64::from(QUANTUM_BYTES_MIN))));
    }
}

#[test]
fn a_class_that_goes_leaves_its_torrents_to_the_house() {
    let mut table = Table::new(Some(RATE));
    let (anna, ben) = (table.user(Some(1_000)), table.user(None));
    let left = table.torrent(&[(anna, Need::Stalling)], 2);
    let shared = table.torrent(&[(anna, Need::Soon), (ben, Need::Soon)], 2);
    table.shaper.remove_class(anna);
    let got = table.dine(Download);
    // The burst of the beginning goes to who comes first.
    within(got(left), RATE + RATE / 10, 3);
    within(got(shared), 9 * RATE, 3);
}

#[test]
fn blocks_sent_whole_are_owed_in_full_at_any_rate() {
    let start = epoch();
    let rate = 1_024;
    let mut shaper = Shaper::new(Limits { download: None, upload: Some(rate) }, start);
    let torrent = shaper.add_torrent(None, Limits::default(), start);
    let link = shaper.add_link(torrent, Limits::default(), start).unwrap();
    let (mut now, mut sent) = (start, 0);
    while now < start + Duration::from_secs(600) {
        match shaper.take(link, Upload, 16 * 1024, now) {
            Grant::Now(bytes) => {
                shaper.overdraw(link, Upload, 16 * 1024 - bytes, now);
                sent += 16 * 1024;
            }
            Grant::Later(then) => now = then,
        }
    }
    within(sent, 600 * rate, 3);
}

#[test]
fn a_torrent_is_for_a_bounded_number_of_classes_and_for_each_once() {
    let start = epoch();
    let mut shaper = Shaper::new(Limits::default(), start);
    let torrent = shaper.add_torrent(None, Limits::default(), start);
    let users: Vec<_> = (0..100).map(|_| shaper.add_class(Limits::default(), start)).collect();
    shaper.remove_class(users[0]);
    let shares: Vec<_> = users.iter().chain(&users).map(|&user| (user, Need::Soon)).collect();
    shaper.set_torrent_classes(torrent, &shares);
    assert_eq!(shaper.torrents.get(torrent).unwrap().shares.len(), SHARES_MAX);
    shaper.set_torrent_classes(torrent, &shares[..1]);
    assert_eq!(shaper.torrents.get(torrent).unwrap().shares.len(), 1, "it's the house's");
}

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;
/// Of the film that the players' traces were recorded with: 137 MB in ten minutes.
const RATE: u64 = 228_000;
const LENGTH: u64 = 136_985_860;

fn place(offset: u64) -> Place {
    Place { file: 0, offset }
}

fn film(rate: Option<u64>) -> PaceConfig {
    PaceConfig { file_length: LENGTH, rate, max_rate: None }
}

fn pace(rate: Option<u64>) -> (Pace, Instant) {
    let now = Instant::now();
    (Pace::new(film(rate), now), now)
}

/// Takes all there is at once.
fn drain(pace: &mut Pace, at: &mut u64, now: Instant) -> u64 {
    let before = *at;
    while let Allowance::Bytes(n) = pace.take(Purpose::Play, place(*at), 64 * 1024, now) {
        *at += n;
    }
    *at - before
}

/// What a reader that takes all it gets was sent in `seconds`.
fn read(pace: &mut Pace, at: &mut u64, now: &mut Instant, seconds: u64) -> u64 {
    let (before, end) = (*at, *now + Duration::from_secs(seconds));
    while *now < end {
        match pace.take(Purpose::Play, place(*at), 256 * 1024, *now) {
            Allowance::Bytes(n) => *at += n,
            Allowance::Later(later) => {
                assert!(later > *now);
                *now = later;
            }
        }
    }
    *at - before
}

#[test]
fn a_reader_gets_a_burst_and_then_half_as_much_again_as_it_needs() {
    let rate = 4 * MIB;
    let (mut pace, mut now) = pace(Some(rate));
    let mut at = 0;
    pace.handle_open(place(0), now);
    assert_eq!(drain(&mut pace, &mut at, now), 8 * MIB);
    let sent = read(&mut pace, &mut at, &mut now, 60);
    assert!((sent / 60).abs_diff(rate * 3 / 2) < 100_000, "{sent}");
}

#[test]
fn a_slow_film_gets_the_floor_once_its_reader_stays() {
    let (mut pace, mut now) = pace(Some(RATE));
    let mut at = 0;
    pace.handle_open(place(0), now);
    drain(&mut pace, &mut at, now);
    let sent = read(&mut pace, &mut at, &mut now, STAYS.as_secs());
    assert!((sent / STAYS.as_secs()).abs_diff(RATE * 3 / 2) < 20_000, "{sent}");
    let sent = read(&mut pace, &mut at, &mut now, 10);
    assert!((sent / 10).abs_diff(FLOOR) < 20_000, "{sent}");
}

#[test]
fn a_rate_that_becomes_known_brings_what_is_missing_of_the_burst_once() {
    let rate = MIB;
    let (mut pace, now) = pace(None);
    let mut at = 0;
    pace.handle_open(place(0), now);
    assert_eq!(drain(&mut pace, &mut at, now), 2 * MIB);
    pace.set_media(LENGTH, Some(rate), now);
    assert_eq!(drain(&mut pace, &mut at, now), 6 * MIB);
    pace.set_media(LENGTH, Some(rate), now);
    assert_eq!(drain(&mut pace, &mut at, now), 0);
}

#[test]
fn downloads_are_not_paced_but_a_users_limit_holds_for_all() {
    let (mut pace, now) = pace(Some(RATE));
    let all = pace.take(Purpose::Download, place(0), u64::MAX, now);
    assert_eq!(all, Allowance::Bytes(u64::MAX));
    pace.set_max_rate(Some(100_000), now);
    for purpose in [Purpose::Download, Purpose::Play] {
        pace.set_max_rate(None, now);
        pace.set_max_rate(Some(100_000), now);
        assert_eq!(pace.take(purpose, place(0), MIB, now), Allowance::Bytes(100_000));
        let Allowance::Later(later) = pace.take(purpose, place(0), MIB, now) else { panic!("it is used up") };
        assert_eq!(later - now, Duration::from_millis(250));
    }
    let later = now + Duration::from_millis(500);
    assert_eq!(pace.take(Purpose::Download, place(0), MIB, later), Allowance::Bytes(50_000));
    assert_eq!(pace.rate(), 100_000);
}

#[test]
fn what_was_not_sent_is_given_back() {
    let (mut pace, now) = pace(Some(RATE));
    let mut at = 0;
    pace.handle_open(place(0), now);
    let burst = drain(&mut pace, &mut at, now);
    pace.refund(Purpose::Play, place(at - 100_000), 100_000);
    at -= 100_000;
    assert_eq!(pace.handle_open(place(at), now), Opened::Again { wasted: 0 });
    // With what was too little for a frame before.
    assert!((100_000..100_000 + GRAIN_BYTES_MAX).contains(&drain(&mut pace, &mut at, now)));
    assert!((burst..burst + GRAIN_BYTES_MAX).contains(&at));
}

#[test]
fn seeks_get_their_burst_at_once_until_there_are_too_many() {
    let (mut pace, now) = pace(Some(RATE));
    let bursts = (1..=20).filter(|n| {
        let mut at = n * 6 * MIB;
        assert_eq!(pace.handle_open(place(at), now), Opened::Seek);
        drain(&mut pace, &mut at, now) >= MIB
    });
    assert_eq!(bursts.count(), 8);
}

#[test]
fn opening_again_gets_no_burst() {
    let (mut pace, now) = pace(Some(RATE));
    let mut at = 0;
    pace.handle_open(place(0), now);
    drain(&mut pace, &mut at, now);
    for n in 0..20 {
        assert!(matches!(pace.handle_open(place(n * 10_000), now), Opened::Again { .. }));
        assert_eq!(drain(&mut pace, &mut at, now), 0);
    }
}

#[test]
fn a_lost_connection_is_no_waste() {
    let (mut pace, now) = pace(None);
    let rate = pace.rate();
    let mut at = 0;
    pace.handle_open(place(0), now);
    drain(&mut pace, &mut at, now);
    let later = now + Duration::from_secs(10);
    assert_eq!(pace.handle_open(place(at), later), Opened::Again { wasted: 0 });
    assert_eq!(pace.rate(), rate);
    assert!(drain(&mut pace, &mut at, later) >= MIB, "what came together meanwhile");
}

#[test]
fn an_announced_seek_is_one_even_nearby() {
    let (mut pace, now) = pace(Some(RATE));
    let mut at = 0;
    pace.handle_open(place(0), now);
    drain(&mut pace, &mut at, now);
    pace.handle_seek(now);
    assert_eq!(pace.handle_open(place(1000), now), Opened::Seek);
}

#[test]
fn the_same_place_of_another_file_is_another_place() {
    let (mut pace, now) = pace(Some(RATE));
    pace.handle_open(place(0), now);
    assert_eq!(pace.handle_open(Place { file: 1, offset: 0 }, now), Opened::Seek);
}

/// As the players of the traces open a film, look round in it and seek: where each reader begins, when, and how much it reads.
#[test]
fn players_that_seek_have_a_megabyte_at_once_wherever_they_go() {
    let mpv: &[(u64, u64, u64)] = &[
        (0, 0, 9 * MIB),
        (2980, 136_978_757, 7103),
        (2980, 67_500_000, 9 * MIB),
        (5970, 21_900_000, 9 * MIB),
    ];
    let vlc: &[(u64, u64, u64)] = &[
        (0, 0, 229_376),
        (70, 136_978_757, 7103),
        (80, 123, 11 * MIB),
        (3980, 67_500_000, 12 * MIB),
        (7990, 21_900_000, 12 * MIB),
    ];
    let chromium: &[(u64, u64, u64)] = &[
        (0, 0, 196_608),
        (60, 136_600_000, 385_860),
        (340, 163_840, 196_608),
        (360, 327_680, 196_608),
        (390, 491_520, 11 * MIB),
        (4400, 60_600_000, 8 * MIB),
        (8400, 19_900_000, 9 * MIB),
    ];
    let ts: &[(u64, u64, u64)] = &[
        (0, 0, 1_376_256),
        (440, LENGTH - 250_000, 250_000),
        (520, 0, 163_840),
        (520, LENGTH - 940, 940),
        (530, LENGTH - 3008, 3008),
        (530, LENGTH - 15_228, 15_228),
        (530, 68_000_000, 163_840),
        (530, 68_017_000, 163_840),
        (540, 68_027_000, 163_840),
        (540, 68_018_000, 1_540_096),
    ];
    for (player, readers) in [("mpv", mpv), ("VLC", vlc), ("Chromium", chromium), ("MPEG-TS", ts)] {
        for rate in [Some(RATE), None] {
            let (mut pace, began) = pace(rate);
            for (nth, &(ms, from, bytes)) in readers.iter().enumerate() {
                let now = began + Duration::from_millis(ms);
                pace.handle_open(place(from), now);
                let (mut at, mut sent) = (from, 0);
                while sent < bytes.min(MIB) {
                    let Allowance::Bytes(n) = pace.take(Purpose::Play, place(at), 64 * 1024, now) else {
                        break;
                    };
                    (at, sent) = (at + n, sent + n);
                }
                assert!(sent >= bytes.min(MIB), "{player}, reader {nth}, {rate:?}: {sent}");
                // What it reads of the rest until the next one opens, as the wire and the pace let it.
                let until = readers.get(nth + 1).map_or(ms + 3000, |next| next.0);
                let mut later = now;
                while sent < bytes && later < began + Duration::from_millis(until) {
                    match pace.take(Purpose::Play, place(at), 64 * 1024, later) {
                        Allowance::Bytes(n) => (at, sent) = (at + n, sent + n),
                        Allowance::Later(at) => later = at,
                    }
                }
            }
        }
    }
}

/// A player that opens `bytes=N-` every three seconds.
#[derive(Clone, Copy, Debug)]
struct Looper {
    /// Bytes per second that it plays.
    rate: u64,
    /// What the sockets between us hold; lost with a connection.
    socket_bytes: u64,
    /// Seconds it buffers.
    buffer_seconds: u64,
    /// Seconds ahead that it keeps when it hangs up.
    kept_seconds: u64,
}

/// Bytes sent per byte played, and the time without a picture after the first five seconds, in ms.
fn watch(player: Looper, config: PaceConfig, seconds: u64) -> (f64, u64) {
    const STEP_MS: u64 = 20;
    let began = Instant::now();
    let mut pace = Pace::new(config, began);
    let (mut sent, mut starved) = (0u64, 0u64);
    // All in bytes of the film; `written` is what left us.
    let (mut played, mut received, mut written) = (0u64, 0u64, 0u64);
    for ms in (0..seconds * 1000).step_by(STEP_MS as usize) {
        let now = began + Duration::from_millis(ms);
        if ms % 3000 == 0 {
            received = received.min(played + player.kept_seconds * player.rate);
            written = received;
            pace.handle_open(place(written), now);
        }
        while written - received < player.socket_bytes {
            let Allowance::Bytes(n) = pace.take(Purpose::Play, place(written), 64 * 1024, now) else { break };
            (written, sent) = (written + n, sent + n);
            received = written.min(played + player.buffer_seconds * player.rate).max(received);
        }
        received = written.min(played + player.buffer_seconds * player.rate).max(received);
        let step = player.rate * STEP_MS / 1000;
        if played + step <= received {
            played += step;
        } else if ms > 5000 {
            starved += STEP_MS;
        }
    }
    (sent as f64 / played as f64, starved)
}

#[test]
fn a_player_that_opens_again_without_end_is_sent_half_as_much_again_at_most_and_never_starves() {
    for rate in [40_000, 100_000, RATE, 1_000_000, 5_000_000] {
        for (buffer_seconds, kept_seconds) in [(30, 30), (30, 5), (60, 4), (10, 10)] {
            for socket_bytes in [256 * 1024, 4 * MIB] {
                // Of music of which nothing is known, what the sockets swallow first is too much ever to be made up for.
                let unknown = (rate > 50_000).then_some(false);
                for known in [true].into_iter().chain(unknown) {
                    let player = Looper { rate, socket_bytes, buffer_seconds, kept_seconds };
                    let file_length = rate * 5400;
                    let config = PaceConfig { file_length, rate: known.then_some(rate), max_rate: None };
                    let (ratio, starved) = watch(player, config, 870);
                    assert!(ratio <= 1.5, "{player:?}, rate known: {known}: {ratio:.3}");
                    assert_eq!(starved, 0, "{player:?}, rate known: {known}");
                }
            }
        }
    }
}

/// The same within the first minute: what a film is begun with weighs most then. A player that keeps nothing, and takes all it is
/// given or no more than it plays.
#[test]
fn a_minute_of_opening_again_costs_half_as_much_again_at_most() {
    // Of slower media, the megabyte that a look round takes is too much to be made up for so soon.
    for rate in [150_000, RATE, 500_000, 2_000_000, 5_000_000] {
        // Of a small file of which nothing is known, what comes before the second opening is too much to be made up for so soon.
        let unknown = (rate >= 2_000_000).then_some(false);
        for known in [true].into_iter().chain(unknown) {
            for buffer_seconds in [1, 3, 3600] {
                for (socket_bytes, kept_seconds) in
                    [(64 * 1024, 0), (4 * MIB, 0), (36 * MIB, 0), (4 * MIB, 2)]
                {
                    let player = Looper { rate, socket_bytes, buffer_seconds, kept_seconds };
                    let config =
                        PaceConfig { file_length: rate * 5400, rate: known.then_some(rate), max_rate: None };
                    let (ratio, starved) = watch(player, config, 60);
                    assert!(ratio <= 1.5, "{player:?}, rate known: {known}: {ratio:.3}");
                    // Who keeps nothing has no picture until something comes: a moment, twenty times.
                    let most = if kept_seconds == 0 { 20 * 250 } else { 0 };
                    assert!(starved <= most, "{player:?}, rate known: {known}: {starved} ms");
                }
            }
        }
    }
}

/// A film whose scenes need nearly twice its mean rate for a minute, and then next to nothing.
#[test]
fn scenes_above_the_mean_rate_are_not_held_up() {
    for rate in [RATE, 2 * MIB] {
        let config = PaceConfig { file_length: rate * 5400, rate: Some(rate), max_rate: None };
        let began = Instant::now();
        let mut pace = Pace::new(config, began);
        let (mut at, mut played, mut starved) = (0, 0, 0);
        pace.handle_open(place(0), began);
        for second in 0..600u64 {
            let now = began + Duration::from_secs(second);
            // It buffers 60 MB.
            while at < played + 60 * MIB
                && let Allowance::Bytes(n) = pace.take(Purpose::Play, place(at), 256 * 1024, now)
            {
                at += n;
            }
            let needs = if second % 120 < 60 { rate / 10 } else { rate * 19 / 10 };
            if played + needs <= at { played += needs } else { starved += 1 }
        }
        assert_eq!(starved, 0, "{rate}");
    }
}

#[test]
fn the_floor_comes_back_when_a_player_stops_wasting() {
    let (mut pace, began) = pace(Some(RATE));
    pace.handle_open(place(0), began);
    let mut now = began;
    for _ in 0..5 {
        let mut at = 0;
        drain(&mut pace, &mut at, now);
        now += Duration::from_secs(3);
        pace.handle_open(place(0), now);
    }
    assert_eq!(pace.rate(), RATE * 6 / 5);
    pace.take(Purpose::Play, place(0), 1, now + WASTE_MEMORY);
    assert_eq!(pace.rate(), FLOOR);
}

#[derive(Clone, Copy, Debug)]
enum Ask {
    Open(u64),
    Seek,
    Take(Purpose, u64, u64),
    Refund(u64, u64),
    Media(u64, Option<u64>),
    Limit(Option<u64>),
}

fn ask() -> impl Strategy<Value = Ask> {
    let at = || prop_oneof![0..16 * MIB, 0..LENGTH, any::<u64>()];
    let bytes = || prop_oneof![0..4 * MIB, any::<u64>()];
    let purpose = prop_oneof![Just(Purpose::Play), Just(Purpose::Download)];
    prop_oneof![
        at().prop_map(Ask::Open),
        Just(Ask::Seek),
        (purpose, at(), bytes()).prop_map(|(purpose, at, want)| Ask::Take(purpose, at, want)),
        (at(), bytes()).prop_map(|(at, bytes)| Ask::Refund(at, bytes)),
        (bytes(), proptest::option::of(bytes())).prop_map(|(length, rate)| Ask::Media(length, rate)),
        proptest::option::of(bytes()).prop_map(Ask::Limit),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_an_answer_comes_and_waiting_for_it_helps(
        asks in proptest::collection::vec((prop_oneof![0u64..100, 0u64..100_000], ask()), 0..60),
    ) {
        let (mut pace, mut now) = pace(None);
        for (ms, ask) in asks {
            now += Duration::from_millis(ms);
            match ask {
                Ask::Open(at) => {
                    pace.handle_open(place(at), now);
                }
                Ask::Seek => pace.handle_seek(now),
                Ask::Refund(at, bytes) => pace.refund(Purpose::Play, place(at), bytes),
                Ask::Media(length, rate) => pace.set_media(length, rate, now),
                Ask::Limit(rate) => pace.set_max_rate(rate, now),
                Ask::Take(purpose, at, want) => match pace.take(purpose, place(at), want, now) {
                    Allowance::Bytes(n) => prop_assert!(n <= want && (n > 0 || want == 0)),
                    Allowance::Later(later) => {
                        prop_assert!(later > now && later <= now + Duration::from_secs(2), "{:?}", later - now);
                        now = later;
                        // What was wasted may be forgotten meanwhile; then frames are longer, a few times.
                        let answers = [(); 4].map(|()| match pace.take(purpose, place(at), want, now) {
                            Allowance::Bytes(n) => n,
                            Allowance::Later(later) => {
                                now = later;
                                0
                            }
                        });
                        prop_assert!(answers.iter().any(|&n| n > 0), "{:?}", answers);
                    }
                },
            }
            prop_assert!(pace.stretches.len() <= STRETCHES_MAX && pace.wastes.len() <= WASTES_HABIT);
        }
    }

    #[test]
    fn readers_in_one_place_never_get_more_than_a_burst_and_the_rate(
        steps in proptest::collection::vec((0u64..3000, 0u64..2 * MIB, any::<bool>()), 0..60),
    ) {
        let (mut pace, began) = pace(Some(RATE));
        let (mut now, mut sent) = (began, 0);
        pace.handle_open(place(0), now);
        for (ms, want, opens) in steps {
            now += Duration::from_millis(ms);
            if opens {
                pace.handle_open(place(0), now);
            }
            if let Allowance::Bytes(n) = pace.take(Purpose::Play, place(0), want, now) {
                sent += n;
            }
            let most = RATE * BURST_SECONDS + FLOOR * now.duration_since(began).as_millis() as u64 / 1000;
            prop_assert!(sent <= most, "{} of {}", sent, most);
        }
    }
}

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;
const FILM: u64 = 4096 * MIB;

/// What happens to a session, for tables.
#[derive(Clone, Copy, Debug)]
enum Input {
    /// The files are known, and so many bytes are there from the player's place on.
    Has(u64),
    /// Nothing is known yet.
    Nothing,
    Complete,
    Wrong(Trouble),
    Open(u64, u64),
    Probe(u64, u64),
    Download(u64, u64),
    Sent(u64, u64),
    Waits(u64),
    Close(u64),
    Pause,
    Resume,
    Seek(u64),
    /// Somebody asks about it.
    Touch,
    /// Time passes.
    Pass,
}

use Input::*;

/// A session with a driver that is never late, and what came out of it in words.
struct Rig {
    session: Session,
    began: Instant,
    said: Vec<String>,
}

impl Rig {
    fn new() -> Rig {
        // Any instant will do: only differences count.
        let began = Instant::now();
        Rig { session: Session::new(SessionConfig::default(), began), began, said: Vec::new() }
    }

    fn run(&mut self, inputs: &[(u64, Input)]) -> &mut Rig {
        for &(ms, input) in inputs {
            let now = self.began + Duration::from_millis(ms);
            while let Some(deadline) = self.session.deadline().filter(|&deadline| deadline <= now) {
                self.session.handle_timeout(deadline);
                self.drain(deadline);
            }
            feed(&mut self.session, input, now);
            self.drain(now);
        }
        self
    }

    fn drain(&mut self, now: Instant) {
        let ms = now.duration_since(self.began).as_millis();
        while let Some(output) = self.session.poll_output() {
            let said = match output {
                Output::StateChanged { to, trouble: None, .. } => to.as_str().to_owned(),
                Output::StateChanged { to, trouble: Some(trouble), .. } => {
                    format!("{}:{}", to.as_str(), trouble.code())
                }
                Output::TroubleChanged(trouble) => format!("now {}", trouble.code()),
                Output::Stalled { since } => {
                    format!("stall since {}", since.duration_since(self.began).as_millis())
                }
                Output::Recovered { after } => format!("recovered after {}", after.as_millis()),
                Output::Escalate(step) => format!("{step:?}"),
                Output::Idle => "idle".to_owned(),
            };
            self.said.push(format!("{ms} {said}"));
        }
    }

    fn figures(&self, ms: u64) -> Figures {
        self.session.figures(self.began + Duration::from_millis(ms))
    }
}

fn feed(session: &mut Session, input: Input, now: Instant) {
    let look = Look {
        metadata: true,
        checking: false,
        trouble: None,
        place: session.place(),
        buffered_bytes: 0,
        file_length: FILM,
        complete: false,
    };
    let place = |offset| Place { file: 0, offset };
    let mut open = |key, at, kind| {
        let opening = Opening { place: place(at), kind, client: Some("mpv\n") };
        let _ = session.handle_reader_opened(ReaderKey(key), opening, now);
    };
    match input {
        Has(buffered_bytes) => session.handle_look(Look { buffered_bytes, ..look }, now),
        Nothing => session.handle_look(Look { metadata: false, ..look }, now),
        Complete => session.handle_look(Look { complete: true, buffered_bytes: FILM, ..look }, now),
        Wrong(trouble) => session.handle_look(Look { trouble: Some(trouble), ..look }, now),
        Open(key, at) => open(key, at, ReaderKind::Play),
        Probe(key, at) => open(key, at, ReaderKind::Probe),
        Download(key, at) => open(key, at, ReaderKind::Download),
        Sent(key, bytes) => session.handle_sent(ReaderKey(key), bytes, now),
        Waits(key) => {
            let at = session.readers.get(&ReaderKey(key)).map_or(0, |reader| reader.place.offset);
            session.handle_waiting(ReaderKey(key), at, now);
        }
        Close(key) => session.handle_reader_closed(ReaderKey(key), now),
        Pause => session.pause(now),
        Resume => session.resume(now),
        Seek(at) => session.seek(place(at), now),
        Touch => session.touch(now),
        Pass => session.handle_timeout(now),
    }
}

fn said(inputs: &[(u64, Input)]) -> Vec<String> {
    let mut rig = Rig::new();
    rig.run(inputs);
    rig.said
}

#[test]
fn a_stream_goes_from_metadata_to_playing_and_back() {
    let script = [
        (0, Nothing),
        (500, Has(0)),
        (1000, Has(2 * MIB)),
        (2000, Open(1, 0)),
        (2010, Sent(1, 300_000)),
        (60_000, Sent(1, MIB)),
        (70_000, Close(1)),
        (71_000, Has(2 * MIB)),
        (80_000, Pass),
    ];
    assert_eq!(
        said(&script),
        ["500 buffering", "1000 ready", "2100 playing", "71000 playing", "75000 ready"]
            .iter()
            .filter(|line| **line != "71000 playing")
            .copied()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_look_at_the_head_is_not_playing() {
    let script = [(0, Has(2 * MIB)), (10, Open(1, 0)), (12, Sent(1, 200_000)), (60, Close(1)), (5000, Pass)];
    assert_eq!(said(&script), ["0 ready"]);
}

#[test]
fn a_reader_known_to_be_a_look_is_never_playing() {
    let script = [(0, Has(2 * MIB)), (10, Probe(1, 0)), (12, Sent(1, 20 * MIB)), (9000, Pass)];
    assert_eq!(said(&script), ["0 ready"]);
}

/// As Chromium loads a film of which it wants only the metadata (delivery's traces, in our own figures).
#[test]
fn many_short_readers_are_one_quiet_session() {
    let mut script =
        vec![(0, Has(4 * MIB)), (0, Open(1, 0)), (20, Sent(1, 196_608)), (60, Open(2, FILM - 393_134))];
    script.extend([(61, Close(1)), (90, Sent(2, 393_134)), (100, Close(2))]);
    for n in 0..3 {
        let at = 163_840 * (n + 1);
        script.extend([
            (340 + n * 30, Open(3 + n, at)),
            (345 + n * 30, Sent(3 + n, 196_608)),
            (360 + n * 30, Close(3 + n)),
        ]);
    }
    script.push((3000, Pass));
    let mut rig = Rig::new();
    rig.run(&script);
    assert_eq!(rig.said, ["0 ready"]);
    let figures = rig.figures(3000);
    assert_eq!((figures.readers, figures.readers_opened, figures.seeks.count), (0, 5, 0));
    assert_eq!(rig.session.place(), Place::default());
}

#[test]
fn a_short_wait_is_not_told_and_a_longer_one_is_buffering() {
    let play = [(0, Has(4 * MIB)), (0, Open(1, 0)), (300, Sent(1, MIB)), (10_000, Waits(1))];
    let short = [&play[..], &[(10_900, Sent(1, 10)), (20_000, Pass)]].concat();
    assert_eq!(said(&short), ["0 ready", "300 playing"]);
    let long = [&play[..], &[(12_000, Sent(1, 10)), (20_000, Pass)]].concat();
    assert_eq!(said(&long), ["0 ready", "300 playing", "11000 buffering", "12000 playing"]);
}

#[test]
fn a_reader_that_waits_for_a_moment_finds_the_stream_still_ready() {
    let looks = [(0, Has(4 * MIB)), (0, Probe(1, 0)), (10, Waits(1)), (11, Sent(1, 10)), (12, Waits(1))];
    assert_eq!(said(&[&looks[..], &[(13, Sent(1, 10)), (5000, Pass)]].concat()), ["0 ready"]);
    let long = [&looks[..], &[(3000, Pass)]].concat();
    assert_eq!(said(&long), ["0 ready", "1012 buffering"]);
}

#[test]
fn a_stall_goes_on_when_who_waited_longest_leaves_and_another_waits() {
    let script = [
        (0, Has(4 * MIB)),
        (0, Open(1, 0)),
        (0, Open(2, 0)),
        (0, Waits(1)),
        (1000, Waits(2)),
        (40_000, Close(1)),
        (50_000, Sent(2, 10)),
    ];
    let mut rig = Rig::new();
    rig.run(&script);
    assert_eq!(rig.said.iter().filter(|line| line.contains("stall since")).count(), 1, "{:?}", rig.said);
    assert_eq!(rig.figures(50_000).stalls.total, Duration::from_secs(50));
}

#[test]
fn a_stall_is_told_fought_with_growing_pauses_and_over_with_the_first_byte() {
    let script = [
        (0, Has(4 * MIB)),
        (0, Open(1, 0)),
        (300, Sent(1, MIB)),
        (10_000, Waits(1)),
        (20_000, Waits(1)),
        (41_000, Wrong(Trouble::NoPeers)),
        (160_000, Pass),
        (170_000, Sent(1, 10)),
        (171_000, Pass),
    ];
    let mut rig = Rig::new();
    assert_eq!(
        rig.run(&script).said[2..],
        [
            "11000 buffering",
            "40000 stall since 10000",
            "40000 stalled:slow_swarm",
            "40000 Announce",
            "41000 now no_peers",
            "45000 Lookup",
            "50000 MorePeers",
            "80000 Announce",
            "85000 Lookup",
            "90000 MorePeers",
            "150000 Announce",
            "155000 Lookup",
            "160000 MorePeers",
            "170000 recovered after 160000",
            "170000 playing",
        ]
    );
    let stalls = rig.figures(171_000).stalls;
    assert_eq!((stalls.count, stalls.total, stalls.since), (1, Duration::from_secs(160), None));
    assert_eq!(rig.figures(171_000).waited, Duration::ZERO);
}

#[test]
fn a_late_driver_counts_the_same_stall() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (300, Sent(1, MIB)), (1000, Waits(1))]);
    let late = rig.began + Duration::from_secs(100);
    rig.session.handle_sent(ReaderKey(1), 10, late);
    rig.said.clear();
    rig.drain(late);
    assert_eq!(
        rig.said,
        [
            "100000 buffering",
            "100000 stall since 1000",
            "100000 stalled:slow_swarm",
            "100000 Announce",
            "100000 recovered after 99000",
            "100000 playing",
        ]
    );
}

#[test]
fn a_reader_that_waits_beside_one_that_is_sent_bytes_stalls_nobody() {
    let mut script = vec![(0, Has(4 * MIB)), (0, Open(1, 0)), (0, Open(2, FILM - 1000)), (0, Waits(2))];
    script.extend((1..100).map(|n| (n * 500, Sent(1, MIB))));
    let mut rig = Rig::new();
    assert_eq!(rig.run(&script).said, ["0 ready", "500 playing"]);
    assert_eq!(rig.figures(50_000).waited, Duration::ZERO);
}

#[test]
fn a_player_that_holds_its_connection_is_playing_for_hours_and_not_idle() {
    let hours = 5 * 3_600_000;
    let script =
        [(0, Has(4 * MIB)), (0, Open(1, 0)), (300, Sent(1, 4 * MIB)), (hours, Has(4 * MIB)), (hours, Pass)];
    assert_eq!(said(&script), ["0 ready", "300 playing"]);
}

#[test]
fn seeks_are_counted_when_their_reader_reads_on() {
    let mut rig = Rig::new();
    rig.run(&[
        (0, Has(4 * MIB)),
        (100, Open(1, 0)),
        (150, Sent(1, 9 * MIB)),
        (3000, Close(1)),
        // The index, then the place: 800 ms to its first byte.
        (3000, Open(2, FILM - 7103)),
        (3010, Sent(2, 7103)),
        (3010, Close(2)),
        (3020, Open(3, FILM / 2)),
        (3021, Waits(3)),
        (3820, Sent(3, MIB)),
        // A reconnect where the last one stopped, with what the sockets lost.
        (6000, Close(3)),
        (6000, Open(4, FILM / 2 + MIB / 2)),
        (6050, Sent(4, MIB)),
        // A look elsewhere that doesn't stay.
        (7000, Open(5, FILM / 4)),
        (7010, Sent(5, 100_000)),
        (7050, Close(5)),
        (9000, Close(4)),
        (9000, Open(6, MIB)),
        (9200, Sent(6, MIB)),
        (9900, Pass),
    ]);
    let figures = rig.figures(10_000);
    let ms = Duration::from_millis;
    assert_eq!(figures.seeks, Seeks { count: 2, total: ms(1000), max: ms(800) });
    assert_eq!((figures.ttfb, figures.reader_ttfb), (Some(ms(150)), Some(ms(50))));
    assert_eq!(rig.session.place(), Place { file: 0, offset: 2 * MIB });
    assert_eq!(figures.client.as_deref(), Some("mpv"));
}

#[test]
fn an_announced_seek_moves_the_place_and_counts_even_nearby() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (400, Sent(1, 9 * MIB)), (3000, Seek(8 * MIB))]);
    assert_eq!(rig.session.place().offset, 9 * MIB, "the reader still plays");
    rig.run(&[(3001, Close(1)), (3002, Open(2, 8 * MIB)), (3102, Sent(2, MIB)), (4000, Pass)]);
    assert_eq!(rig.figures(4000).seeks.count, 1);
    assert_eq!(rig.session.place().offset, 9 * MIB);
}

/// A reader that is sent a MiB in each second.
fn plays(key: u64, seconds: std::ops::Range<u64>) -> Vec<(u64, Input)> {
    seconds.map(|second| (second * 1000, Sent(key, MIB))).collect()
}

fn watched(rig: &Rig) -> Option<(u64, u64, u64)> {
    let run = rig.session.watched()?;
    Some((run.begun.offset / MIB, run.sent_to / MIB, run.played.as_secs()))
}

#[test]
fn who_stays_watches_and_who_looks_elsewhere_for_a_moment_does_not() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (0, Sent(1, 9 * MIB))]).run(&plays(1, 1..10));
    assert_eq!(watched(&rig), None, "ten seconds may be a look");
    rig.run(&plays(1, 10..31));
    assert_eq!(watched(&rig), Some((0, 39, 30)));
    // A preview beside the time line.
    rig.run(&[(31_000, Open(2, FILM / 2)), (31_100, Sent(2, MIB)), (33_000, Close(2))])
        .run(&plays(1, 33..40));
    assert_eq!(watched(&rig), Some((0, 46, 39)));
    // A seek, which counts when somebody has stayed there.
    rig.run(&[(40_000, Close(1)), (40_000, Open(3, FILM / 2))]).run(&plays(3, 41..50));
    assert_eq!(watched(&rig).unwrap().0, 0);
    rig.run(&plays(3, 50..60));
    let (begun, sent_to, played) = watched(&rig).unwrap();
    assert_eq!((begun, sent_to), (2048, 2067));
    assert!((17..=19).contains(&played), "{played}");
}

#[test]
fn a_reconnect_goes_on_and_another_file_begins_anew() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (0, Sent(1, 9 * MIB))]).run(&plays(1, 1..20));
    rig.run(&[(20_000, Close(1)), (21_000, Open(2, 26 * MIB))]).run(&plays(2, 22..40));
    let (begun, sent_to, played) = watched(&rig).unwrap();
    assert_eq!((begun, sent_to), (0, 44));
    assert!((37..=39).contains(&played), "{played}");
    let later = rig.began + Duration::from_secs(50);
    let opening = Opening { place: Place { file: 1, offset: 0 }, kind: ReaderKind::Play, client: None };
    rig.session.handle_reader_opened(ReaderKey(3), opening, later).unwrap();
    for second in 50..75 {
        rig.session.handle_sent(ReaderKey(3), MIB, rig.began + Duration::from_secs(second));
    }
    assert_eq!(rig.session.watched().unwrap().begun, Place { file: 1, offset: 0 });
}

#[test]
fn a_paused_player_watches_no_further() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (0, Sent(1, 9 * MIB))]).run(&plays(1, 1..61));
    let looks: Vec<_> = (61..4000).map(|second| (second * 1000, Has(4 * MIB))).collect();
    rig.run(&looks);
    let (_, _, played) = watched(&rig).unwrap();
    assert!((60..=90).contains(&played), "{played}");
    rig.run(&[(4_000_000, Close(1)), (4_100_000, Has(4 * MIB))]);
    assert!(watched(&rig).unwrap().2 <= 95, "nor does one that is gone");
}

#[test]
fn a_player_that_has_all_to_the_end_plays_it_from_what_it_holds() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, FILM - 40 * MIB)), (0, Sent(1, 10 * MIB))])
        .run(&plays(1, 1..31));
    rig.run(&[(31_000, Close(1))]);
    let looks: Vec<_> = (31..120).map(|second| (second * 1000, Has(0))).collect();
    rig.run(&looks);
    assert_eq!(watched(&rig).unwrap().2, 119);
}

#[test]
fn a_position_is_what_was_played_within_what_was_sent() {
    let now = Instant::now();
    let run = |sent_to, seconds| {
        let mut run = Run::begin(Place { file: 0, offset: 100 * MIB }, now);
        run.handle_sent(sent_to, now);
        run.played = Duration::from_secs(seconds);
        run
    };
    // A MiB is a second of the film.
    let at = |run: Run| run.seconds(|offset| Some((offset / MIB) as f64));
    assert_eq!(at(run(180 * MIB, 60)), Some(160.0), "it holds twenty seconds");
    assert_eq!(at(run(180 * MIB, 90)), Some(180.0), "it was stalled");
    assert_eq!(at(run(400 * MIB, 60)), Some(250.0), "played faster: nobody holds so much");
    assert_eq!(run(400 * MIB, 60).seconds(|_| None), None);
}

#[test]
fn another_file_is_another_place_and_no_seek() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (400, Sent(1, 9 * MIB)), (3000, Close(1))]);
    let now = rig.began + Duration::from_secs(4);
    let place = Place { file: 1, offset: 0 };
    let opening = Opening { place, kind: ReaderKind::Play, client: None };
    rig.session.handle_reader_opened(ReaderKey(2), opening, now).unwrap();
    rig.session.handle_sent(ReaderKey(2), 10 * MIB, now);
    assert_eq!(rig.session.place(), Place { file: 1, offset: 10 * MIB });
    assert_eq!((rig.figures(4000).seeks.count, rig.session.buffered_bytes()), (0, 0));
}

#[test]
fn a_pause_is_no_stall_and_only_resume_ends_it() {
    let script = [
        (0, Has(4 * MIB)),
        (0, Open(1, 0)),
        (300, Sent(1, MIB)),
        (1000, Waits(1)),
        (1500, Pause),
        (100_000, Open(2, MIB)),
        (100_000, Waits(2)),
        (200_000, Resume),
        (229_999, Pass),
        (230_000, Pass),
    ];
    let mut rig = Rig::new();
    assert_eq!(
        rig.run(&script).said[1..],
        [
            "300 playing",
            "1500 paused",
            "200000 buffering",
            "230000 stall since 200000",
            "230000 stalled:slow_swarm",
            "230000 Announce"
        ]
    );
    assert_eq!(rig.figures(230_000).waited, Duration::from_millis(500));
}

#[test]
fn a_fatal_trouble_stops_the_stream_until_it_is_over() {
    let script = [
        (0, Has(4 * MIB)),
        (0, Open(1, 0)),
        (300, Sent(1, MIB)),
        (1000, Waits(1)),
        (40_000, Wrong(Trouble::DiskFull)),
        (41_000, Wrong(Trouble::DiskError)),
        (42_000, Has(0)),
        (43_000, Sent(1, 1000)),
        (44_000, Wrong(Trouble::TrackerDown)),
    ];
    let mut rig = Rig::new();
    assert_eq!(
        rig.run(&script).said[6..],
        [
            "36000 Lookup",
            "40000 recovered after 39000",
            "40000 error:disk_full",
            "41000 now disk_error",
            "42000 buffering",
            "43000 playing",
        ]
    );
    let trouble = rig.session.trouble().unwrap();
    assert_eq!((trouble.trouble, trouble.since), (Trouble::TrackerDown, rig.began + Duration::from_secs(44)));
}

#[test]
fn a_complete_file_is_complete_whoever_reads() {
    let script =
        [(0, Complete), (100, Open(1, 0)), (200, Sent(1, 9 * MIB)), (9000, Close(1)), (20_000, Has(0))];
    assert_eq!(said(&script), ["0 complete", "20000 buffering"]);
}

#[test]
fn a_download_is_playing_and_leaves_the_place_alone() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Download(1, 0)), (400, Sent(1, 90 * MIB)), (500, Pass)]);
    assert_eq!(rig.said, ["0 ready", "400 playing"]);
    assert_eq!(rig.session.place(), Place::default());
}

#[test]
fn who_asks_about_a_session_keeps_it() {
    let minutes = |n: u64| n * 60_000;
    let script = [(0, Has(4 * MIB)), (minutes(10), Touch), (minutes(24), Touch), (minutes(40), Pass)];
    assert_eq!(said(&script), ["0 ready".to_owned(), format!("{} idle", minutes(39))]);
}

#[test]
fn nobody_reading_is_told_once_until_somebody_does() {
    let minutes = |n: u64| n * 60_000;
    let script = [
        (0, Has(4 * MIB)),
        (minutes(10), Open(1, 0)),
        (minutes(50), Close(1)),
        (minutes(80), Pass),
        (minutes(90), Open(2, 0)),
        (minutes(90), Close(2)),
        (minutes(91), Pause),
        (minutes(300), Pass),
        (minutes(900), Pass),
    ];
    let idle: Vec<String> = said(&script).into_iter().filter(|line| line.ends_with("idle")).collect();
    assert_eq!(idle, [format!("{} idle", minutes(65)), format!("{} idle", minutes(91 + 12 * 60))]);
}

#[test]
fn an_ended_session_says_nothing_more() {
    let mut rig = Rig::new();
    rig.run(&[(0, Has(4 * MIB)), (0, Open(1, 0)), (400, Sent(1, 9 * MIB))]);
    let now = rig.began + Duration::from_secs(1);
    rig.session.end(now);
    let opening = Opening { place: Place::default(), kind: ReaderKind::Play, client: None };
    assert_eq!(rig.session.handle_reader_opened(ReaderKey(2), opening, now), Err(ReaderRefused::Ended));
    rig.session.seek(Place::default(), now);
    rig.session.pause(now);
    assert_eq!((rig.session.poll_output(), rig.session.deadline()), (None, None));
    assert_eq!(rig.session.figures(now).readers, 0);
}

#[test]
fn readers_are_bounded() {
    let mut rig = Rig::new();
    let opening = Opening { place: Place::default(), kind: ReaderKind::Play, client: None };
    for key in 0..SESSION_READERS_MAX as u64 {
        rig.session.handle_reader_opened(ReaderKey(key), opening, rig.began).unwrap();
    }
    let refused = rig.session.handle_reader_opened(ReaderKey(99), opening, rig.began);
    assert_eq!(refused, Err(ReaderRefused::TooMany));
    rig.session.handle_reader_opened(ReaderKey(3), opening, rig.began).expect("it takes its own place");
}

#[test]
fn troubles_have_codes_of_their_own() {
    let mut codes: Vec<&str> = Trouble::ALL.iter().map(|trouble| trouble.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Trouble::ALL.len());
}

fn input() -> impl Strategy<Value = Input> {
    let key = 0u64..4;
    let at = prop_oneof![0..2 * MIB, 0..FILM, FILM - MIB..FILM, Just(u64::MAX)];
    prop_oneof![
        prop_oneof![Just(0), Just(4 * MIB), Just(u64::MAX)].prop_map(Has),
        Just(Nothing),
        Just(Complete),
        proptest::sample::select(&Trouble::ALL[..]).prop_map(Wrong),
        (key.clone(), at.clone()).prop_map(|(key, at)| Open(key, at)),
        (key.clone(), at.clone()).prop_map(|(key, at)| Probe(key, at)),
        (key.clone(), at.clone()).prop_map(|(key, at)| Download(key, at)),
        (key.clone(), prop_oneof![0..20 * MIB, Just(u64::MAX)]).prop_map(|(key, n)| Sent(key, n)),
        key.clone().prop_map(Waits),
        key.prop_map(Close),
        Just(Pause),
        Just(Resume),
        at.prop_map(Seek),
        Just(Pass),
    ]
}

proptest! {
    #[test]
    fn states_follow_the_arrows_and_totals_only_grow(
        steps in proptest::collection::vec((prop_oneof![0u64..400, 0u64..40_000, 0u64..4_000_000], input()), 0..80),
    ) {
        let began = Instant::now();
        let (mut session, mut now) = (Session::new(SessionConfig::default(), began), began);
        let (mut state, mut stalled, mut known) = (State::Metadata, false, session.figures(now));
        for (ms, input) in steps {
            now += Duration::from_millis(ms);
            feed(&mut session, input, now);
            let mut outputs = 0;
            while let Some(output) = session.poll_output() {
                outputs += 1;
                match output {
                    Output::StateChanged { from, to, trouble } => {
                        prop_assert_eq!(from, state);
                        prop_assert!(from.leads_to(to), "{:?} -> {:?}", from, to);
                        prop_assert_eq!(trouble.is_some(), matches!(to, State::Stalled | State::Error));
                        state = to;
                    }
                    Output::Stalled { .. } => prop_assert!(!std::mem::replace(&mut stalled, true)),
                    Output::Recovered { .. } => prop_assert!(std::mem::replace(&mut stalled, false)),
                    Output::Escalate(_) => prop_assert!(stalled),
                    Output::TroubleChanged(_) => prop_assert!(matches!(state, State::Stalled | State::Error)),
                    Output::Idle => prop_assert!(session.readers.is_empty() || matches!(input, Open(..) | Probe(..) | Download(..))),
                }
            }
            prop_assert!(outputs <= 10, "{} at once", outputs);
            prop_assert_eq!(session.state(), state);
            prop_assert_eq!(state == State::Stalled, stalled);
            prop_assert!(session.deadline().is_none_or(|deadline| deadline > now));
            if let Some(run) = session.watched() {
                prop_assert!(run.sent_to >= run.begun.offset && run.sent_at <= now);
                prop_assert!((WATCHED_MIN..=now - began).contains(&run.played));
            }
            let figures = session.figures(now);
            prop_assert_eq!(figures.stalls.since.is_some(), stalled);
            prop_assert!(figures.stalls.count >= known.stalls.count && figures.stalls.total >= known.stalls.total);
            prop_assert!(figures.seeks.count >= known.seeks.count && figures.seeks.total >= known.seeks.total);
            prop_assert!(figures.waited >= known.waited && figures.bytes_sent >= known.bytes_sent);
            prop_assert!(figures.last_activity >= known.last_activity && figures.seeks.max <= figures.seeks.total);
            prop_assert!(figures.stalls.total + figures.waited <= now - began);
            known = figures;
        }
    }
}

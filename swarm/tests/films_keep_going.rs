//! Films that play go on, whoever else waits, is slow or falls silent; and when they are safe, the swarm comes first.

mod harness;

use std::time::Duration;

use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::Command;
use afflux_swarm::trace::{Fate, Hindrance};
use afflux_swarm::{Config, Kind, Output, ReaderKey, Window};
use harness::{KIB, MIB, Manner, World, config, layout, play};

const FILM: u64 = 512 * MIB;

/// Plays from a position at a rate, in steps of a tenth of a second, with no buffer of its own but the swarm's.
struct Player {
    reader: u64,
    position: u64,
    rate: u64,
    started: bool,
    /// Tenths of a second in which it had nothing to show.
    stalled: u32,
}

const STEP: Duration = Duration::from_millis(100);

impl Player {
    fn new(reader: u64, position: u64, rate: u64) -> Self {
        Self { reader, position, rate, started: false, stalled: 0 }
    }

    /// Reads for a tenth of a second, once two seconds are in hand.
    fn step(&mut self, world: &mut World) {
        let buffered = world.swarm.contiguous_from(self.position) - self.position;
        let piece = self.rate / 10;
        self.started |= buffered >= self.rate * 2;
        if self.started {
            self.position += buffered.min(piece);
            self.stalled += u32::from(buffered < piece);
        }
        world.want(self.reader, self.window(buffered <= piece));
    }

    fn window(&self, waiting: bool) -> Window {
        Window {
            position: self.position,
            urgent_end: self.position + 2 * self.rate,
            soon_end: self.position + 20 * self.rate,
            file_end: FILM,
            rate: Some(self.rate),
            waiting,
            kind: Kind::Play,
        }
    }
}

fn watch(world: &mut World, player: &mut Player, time: Duration) {
    for _ in 0..time.as_millis() / STEP.as_millis() {
        player.step(world);
        world.run_for(STEP);
    }
}

fn seeds(world: &mut World, count: usize, rate: u64) {
    for _ in 0..count {
        world.seed(rate, 40, Manner::Honest);
    }
}

/// Everything but some pieces.
fn all_but(world: &World, lacking: std::ops::Range<u32>) -> Bitfield {
    let mut pieces = Bitfield::full(world.layout.piece_count());
    lacking.for_each(|piece| {
        pieces.remove(PieceIndex(piece));
    });
    pieces
}

#[test]
fn a_reader_keeps_its_rate_beside_64_that_wait_for_what_nobody_has() {
    let received = |waiting: u64| {
        let mut world = World::new(config(), layout(256 * KIB, FILM), 1);
        for _ in 0..8 {
            let theirs = all_but(&world, 1_024..2_048);
            world.join(theirs, 192 * KIB, 40, Manner::Honest);
        }
        // It reads as fast as bytes come.
        let mut position = 0;
        for reader in 0..waiting {
            world.want(100 + reader, play(256 * MIB + reader * 3 * MIB, FILM));
        }
        for _ in 0..300 {
            world.want(1, play(position, FILM));
            world.run_for(STEP);
            position = world.swarm.contiguous_from(position);
        }
        position
    };
    let (alone, beside) = (received(0), received(64));
    assert!(beside * 100 >= alone * 95, "{beside} bytes beside 64, {alone} alone");
}

#[test]
fn of_64_readers_that_wait_each_is_served_and_one_that_plays_goes_on() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 2);
    seeds(&mut world, 8, 192 * KIB);
    let mut player = Player::new(1, 0, MIB);
    watch(&mut world, &mut player, Duration::from_secs(10));
    assert!(player.started && player.stalled == 0);
    let places: Vec<u64> = (0..64).map(|nth| 128 * MIB + nth * 5 * MIB).collect();
    for (reader, &place) in (100..).zip(&places) {
        let window = Window { kind: Kind::Probe, urgent_end: place + 256 * KIB, ..play(place, FILM) };
        world.want(reader, window);
    }
    watch(&mut world, &mut player, Duration::from_secs(60));
    assert_eq!(player.stalled, 0, "the one that plays stopped");
    let unserved = places.iter().filter(|&&place| world.swarm.contiguous_from(place) == place).count();
    assert_eq!(unserved, 0);
}

#[test]
fn a_slow_and_a_silent_peer_hold_no_film_up() {
    let mut world = World::new(config(), layout(MIB, FILM), 3);
    seeds(&mut world, 7, 192 * KIB);
    world.seed(19 * KIB, 40, Manner::Honest);
    world.seed(192 * KIB, 40, Manner::Silent);
    let mut player = Player::new(1, 0, MIB);
    watch(&mut world, &mut player, Duration::from_secs(60));
    assert!(player.started);
    assert_eq!(player.stalled, 0);
    let snapshot = world.swarm.snapshot(world.now);
    assert!(
        snapshot.duplicate_bytes <= snapshot.received_bytes * 3 / 100 + 512 * KIB,
        "{} of {} bytes twice",
        snapshot.duplicate_bytes,
        snapshot.received_bytes
    );
}

#[test]
fn a_block_deep_in_a_slow_queue_moves_to_a_peer_that_has_it_sooner() {
    let mut world = World::new(config(), layout(MIB, FILM), 4);
    let slow = world.seed(16 * KIB, 40, Manner::Honest);
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_millis(200));
    let key = world.peers[slow].key.unwrap();
    let held: Vec<_> = world.requests_since(0).into_iter().map(|(_, block)| block).collect();
    assert!(held.len() >= 2);
    world.seed(4 * MIB, 20, Manner::Honest);
    world.run_until(5, |world| world.have(0));
    let moved =
        |block| world.log.iter().any(|(_, output)| *output == Output::Send(key, Command::Cancel(block)));
    assert!(held[1..].iter().all(|block| moved(*block)));
    // A second for each block of the slow one's would be two; the one that it was sending is bought again when late.
    assert!(world.millis() < 900, "{} ms", world.millis());
    assert!(world.swarm.snapshot(world.now).duplicate_bytes <= 16 * KIB, "moving is not buying");
}

#[test]
fn a_halt_of_the_whole_link_buys_hardly_any_duplicates() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 5);
    // Now and then nothing comes from anyone for a moment: whoever would be asked a second time is as late as the first.
    seeds(&mut world, 4, 256 * KIB);
    let mut position = 0;
    for nth in 0..300 {
        world.want(1, play(position, FILM));
        world.run_for(Duration::from_millis(200));
        if nth % 30 == 29 {
            world.halt_all(Duration::from_millis(800));
        }
        position = world.swarm.contiguous_from(position);
    }
    let snapshot = world.swarm.snapshot(world.now);
    assert!(snapshot.duplicate_bytes * 200 <= snapshot.received_bytes, "{snapshot:?}");
}

#[test]
fn a_safe_buffer_gives_way_to_the_rarest_pieces() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 6);
    for _ in 0..4 {
        let theirs = all_but(&world, 1_900..1_910);
        world.join(theirs, MIB, 40, Manner::Honest);
    }
    seeds(&mut world, 1, MIB);
    let mut player = Player::new(1, 0, 512 * KIB);
    watch(&mut world, &mut player, Duration::from_secs(2));
    assert!(!(1_900..1_910).any(|piece| world.have(piece)), "rare pieces came before the buffer was safe");
    watch(&mut world, &mut player, Duration::from_secs(20));
    assert!((1_900..1_910).all(|piece| world.have(piece)), "the rare pieces were left alone");
    assert_eq!(player.stalled, 0);
    let snapshot = world.swarm.snapshot(world.now);
    // Four fifths of what the link carries is more than any window: nothing idles.
    assert!(snapshot.received_bytes > 22 * 4 * MIB, "{snapshot:?}");
}

#[test]
fn the_next_head_waits_until_the_film_is_safe_and_then_comes() {
    let config = Config { keep_bytes_max: Some(64 * MIB), ..config() };
    let mut world = World::new(config, layout(256 * KIB, FILM), 7);
    seeds(&mut world, 4, 512 * KIB);
    let next = Window { kind: Kind::Next, waiting: false, ..play(400 * MIB, FILM) };
    world.want(9, next);
    let mut player = Player::new(1, 0, MIB);
    watch(&mut world, &mut player, Duration::from_secs(4));
    assert!(!world.have(1_600), "the next one's head came before this one's buffer was safe");
    watch(&mut world, &mut player, Duration::from_secs(60));
    assert!(world.have(1_600), "the next one's head never came");
    assert_eq!(player.stalled, 0);
}

#[test]
fn subtitles_come_after_what_a_player_waits_for_and_before_all_that_is_read_ahead() {
    let config = Config { keep_bytes_max: Some(64 * MIB), ..config() };
    let mut world = World::new(config, layout(256 * KIB, FILM), 7);
    seeds(&mut world, 4, 512 * KIB);
    let end = 401 * MIB;
    let subtitles = Window {
        kind: Kind::Beside,
        waiting: false,
        urgent_end: 400 * MIB,
        soon_end: end,
        file_end: end,
        ..play(400 * MIB, FILM)
    };
    let player = play(0, FILM);
    world.want(1, player);
    world.want(9, subtitles);
    world.run_until(20, |world| (1_600..1_604).all(|piece| world.have(piece)));
    let order: Vec<u32> = world.verified_order.iter().map(|piece| piece.0).collect();
    let layout = layout(256 * KIB, FILM);
    let urgent = layout.pieces_of(0..player.urgent_end.max(1)).len();
    let before = order.iter().filter(|&&piece| piece < 1_600).count();
    assert!(order[0] == 0, "what the player waits for comes first: {order:?}");
    assert!(before <= urgent + 4, "no more than was on its way was read ahead: {urgent} of {order:?}");
    // And nothing evicts them while the film goes on.
    let mut player = Player::new(1, 0, MIB);
    watch(&mut world, &mut player, Duration::from_secs(90));
    assert!((1_600..1_604).all(|piece| world.have(piece)), "the subtitles are gone");
    assert!(!world.have(64), "the film itself is evicted meanwhile");
    assert_eq!(player.stalled, 0);
}

#[test]
fn readers_of_what_nobody_has_take_nothing_from_one_that_plays() {
    // More readers than pieces fit in memory.
    let config = Config { keep_bytes_max: Some(8 * MIB), ..config() };
    let mut world = World::new(config, layout(MIB, FILM), 11);
    for _ in 0..8 {
        let theirs = all_but(&world, 384..512);
        world.join(theirs, 192 * KIB, 40, Manner::Honest);
    }
    for reader in 0..64 {
        world.want(100 + reader, play((400 + reader) * MIB, FILM));
    }
    let mut player = Player::new(1, 0, MIB);
    watch(&mut world, &mut player, Duration::from_secs(30));
    assert!(player.started);
    assert_eq!(player.stalled, 0);
}

#[test]
fn a_warm_up_comes_before_the_rest_of_a_film_that_is_kept() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 8);
    seeds(&mut world, 8, 64 * KIB);
    let warm_up = Window { kind: Kind::Probe, waiting: false, urgent_end: 2 * MIB, ..play(0, FILM) };
    world.want(1, warm_up);
    world.run_until(20, |world| world.swarm.contiguous_from(0) >= 2 * MIB);
    // 2 MiB at 512 KiB/s.
    assert!(world.millis() < 4_400, "{} ms", world.millis());
    assert!(world.verified_order.iter().take(8).all(|piece| piece.0 < 8), "{:?}", world.verified_order);
}

#[test]
fn a_stall_tells_who_was_asked_and_what_they_did() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 9);
    let silent = world.seed(MIB, 40, Manner::Silent);
    let honest = world.seed(128 * KIB, 40, Manner::Honest);
    world.want(1, play(0, FILM));
    world.run_until(10, |world| world.have(0));
    let stall = world.swarm.trace().next().expect("it waited").clone();
    assert_eq!((stall.reader, stall.piece, stall.blocks), (ReaderKey(1), PieceIndex(0), 16));
    assert_eq!(stall.until, Some(world.now));
    let of = |nth: usize| {
        let addr = world.peers[nth].addr;
        stall.asks.iter().filter(move |ask| ask.peer == addr)
    };
    assert!(of(silent).count() > 0 && of(silent).all(|ask| ask.fate != Fate::Delivered));
    assert_eq!(of(honest).filter(|ask| ask.fate == Fate::Delivered).count(), 16);
    assert!(of(honest).all(|ask| ask.ended.is_some_and(|ended| ended > ask.at)));
}

#[test]
fn a_stall_for_want_of_peers_says_so() {
    let mut world = World::new(config(), layout(256 * KIB, FILM), 10);
    let theirs = all_but(&world, 0..1);
    world.join(theirs, MIB, 40, Manner::Honest);
    world.want(1, play(0, FILM));
    world.run_for(Duration::from_secs(2));
    let stall = world.swarm.trace().next().expect("it waits").clone();
    assert_eq!(stall.until, None);
    assert_eq!(stall.obstacles.iter().map(|o| o.kind).collect::<Vec<_>>(), [Hindrance::NobodyHas]);
    world.swarm.forget(ReaderKey(1), world.now);
    assert!(world.swarm.trace().all(|stall| stall.until == Some(world.now)));
}

#[test]
fn a_peer_that_hiccuped_is_asked_again_though_readers_want_only_what_is_urgent() {
    let memory = Config { keep_bytes_max: Some(4 * MIB), ..config() };
    let mut world = World::new(memory, layout(256 * KIB, FILM), 31);
    world.seed(512 * KIB, 20, Manner::Honest);
    let hiccups = world.seed(512 * KIB, 20, Manner::Honest);
    let key = world.peers[hiccups].key.unwrap();
    let mut asked = Vec::new();
    for piece in 0..80 {
        world.peers[hiccups].manner = if (8..16).contains(&piece) { Manner::Silent } else { Manner::Honest };
        let (position, end) = (piece * 256 * KIB, (piece + 1) * 256 * KIB);
        let mark = world.log.len();
        world.want(1, Window { urgent_end: end, soon_end: end, ..play(position, FILM) });
        world.run_until(20, |world| world.have(piece as u32));
        asked.push(world.requests_since(mark).iter().filter(|(peer, _)| *peer == key).count());
    }
    assert!(asked[..8].iter().sum::<usize>() > 0 && asked[60..].iter().sum::<usize>() > 0, "{asked:?}");
}

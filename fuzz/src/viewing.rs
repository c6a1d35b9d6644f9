//! Targets of the stream crate's machines: whatever players, torrents and users do.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use afflux_stream::pace::{Allowance, Pace, PaceConfig, Purpose};
use afflux_stream::session::{
    Look, Opening, Output, Place, ReaderKey, ReaderKind, Session, SessionConfig, State, Trouble,
};
use afflux_stream::suspicion::{SuspicionConfig, Suspicions};
use afflux_stream::token::SessionId;

const STEPS_MAX: usize = 512;

/// Every four bytes are a step: what happens, to which reader, a number for it, how much later. Some pass time as long as a stall.
struct Step {
    what: u8,
    who: u8,
    number: u8,
    later: Duration,
}

fn steps(data: &[u8]) -> impl Iterator<Item = Step> {
    data.chunks_exact(4).take(STEPS_MAX).map(|step| {
        let unit = if step[3] & 1 == 0 { 10 } else { 1000 };
        let later = Duration::from_millis(u64::from(step[3]) * unit);
        Step { what: step[0], who: step[1], number: step[2], later }
    })
}

/// A place for a number: near the begin, in the middle, at the very end.
fn place(number: u8) -> Place {
    let offset = match number {
        255 => u64::MAX,
        number => u64::from(number) << 20,
    };
    Place { file: u32::from(number.is_multiple_of(7)), offset }
}

/// A session. States change along the diagram's arrows and as they are told, stalls and recoveries take turns, totals only grow, and
/// the next deadline is always to come.
pub fn session(data: &[u8]) {
    let mut now = Instant::now();
    let mut session = Session::new(SessionConfig::default(), now);
    let (mut state, mut stalled, mut known) = (State::Metadata, false, session.figures(now));
    for step in steps(data) {
        now += step.later;
        feed(&mut session, &step, now);
        while let Some(output) = session.poll_output() {
            match output {
                Output::StateChanged { from, to, .. } => {
                    assert!(from == state && from.leads_to(to), "{state:?}: {from:?} to {to:?}");
                    state = to;
                }
                Output::Stalled { .. } => assert!(!std::mem::replace(&mut stalled, true)),
                Output::Recovered { .. } => assert!(std::mem::replace(&mut stalled, false)),
                Output::Escalate(_) => assert!(stalled),
                Output::TroubleChanged(_) | Output::Idle => {}
            }
        }
        assert!(session.is_ended() || session.state() == state);
        assert!(session.deadline().is_none_or(|deadline| deadline > now));
        let figures = session.figures(now);
        assert!(figures.stalls.total >= known.stalls.total && figures.stalls.count >= known.stalls.count);
        assert!(figures.waited >= known.waited && figures.bytes_sent >= known.bytes_sent);
        assert!(figures.seeks.count >= known.seeks.count && figures.seeks.total >= known.seeks.total);
        known = figures;
    }
}

fn feed(session: &mut Session, step: &Step, now: Instant) {
    let key = ReaderKey(u64::from(step.who % 40));
    let kinds = [ReaderKind::Play, ReaderKind::Probe, ReaderKind::Download];
    match step.what % 12 {
        0 => session.handle_look(look(session, step.who, step.number), now),
        kind @ 1..=3 => {
            let kind = kinds[usize::from(kind) - 1];
            let _ = session.handle_reader_opened(
                key,
                Opening { place: place(step.number), kind, client: Some("\u{7}é") },
                now,
            );
        }
        4 | 5 => session.handle_sent(key, u64::from(step.number) << 14, now),
        6 => session.handle_waiting(key, place(step.number).offset, now),
        7 => session.handle_reader_closed(key, now),
        8 => session.pause(now),
        9 => session.resume(now),
        10 => session.seek(place(step.number), now),
        _ if step.number == 255 => session.end(now),
        _ => session.handle_timeout(now),
    }
}

fn look(session: &Session, flags: u8, number: u8) -> Look {
    let trouble = Trouble::ALL.get(usize::from(number) % (Trouble::ALL.len() * 2)).copied();
    Look {
        metadata: flags & 1 == 0,
        checking: flags & 2 != 0,
        trouble,
        place: if flags & 4 == 0 { session.place() } else { place(number) },
        buffered_bytes: if flags & 8 == 0 { u64::from(number) << 16 } else { u64::MAX },
        file_length: 255 << 20,
        complete: flags & 48 == 48,
    }
}

/// A pace. Nothing more than asked for is allowed, whoever waits is told until when, and that helps in the end.
pub fn pace(data: &[u8]) {
    let mut now = Instant::now();
    let mut pace = Pace::new(PaceConfig { file_length: 255 << 20, rate: None, max_rate: None }, now);
    for step in steps(data) {
        now += step.later;
        let number = u64::from(step.number);
        let bytes = if step.number == 255 { u64::MAX } else { number << 14 };
        match step.what % 7 {
            0 => {
                pace.handle_open(place(step.number), now);
            }
            1 => pace.handle_seek(now),
            2 => pace.refund(Purpose::Play, place(step.who), bytes),
            3 => pace.set_media(bytes, (step.who > 0).then(|| u64::from(step.who) << 12), now),
            4 => pace.set_max_rate((step.who > 0).then_some(bytes), now),
            what => {
                let purpose = if what == 5 { Purpose::Play } else { Purpose::Download };
                now = take(&mut pace, purpose, place(step.who), bytes, now);
            }
        }
        assert!(pace.rate() > 0);
    }
}

/// Waits as it is told until there are bytes; says when there were.
fn take(pace: &mut Pace, purpose: Purpose, place: Place, want: u64, mut now: Instant) -> Instant {
    for _ in 0..8 {
        match pace.take(purpose, place, want, now) {
            Allowance::Bytes(n) => {
                assert!(n <= want && (n > 0 || want == 0));
                return now;
            }
            Allowance::Later(later) => {
                assert!(later > now);
                now = later;
            }
        }
    }
    panic!("waiting doesn't help");
}

/// Suspicions. Nobody is accused of as much as is allowed.
pub fn suspicions(data: &[u8]) {
    let (config, mut now) = (SuspicionConfig::default(), Instant::now());
    let mut suspicions = Suspicions::new(config, now);
    for step in steps(data) {
        now += step.later;
        let (user, session) = (step.who.to_string(), SessionId([step.who; 16]));
        let (sign, threshold) = match step.what % 6 {
            0 => (suspicions.handle_torrent_added(&user, now), config.torrents_added),
            1 => (suspicions.handle_parse_failure(&user, now), config.parse_failures),
            2 => (suspicions.handle_stream_start(&user, now), config.stream_starts),
            3 => (suspicions.handle_range_request(session, now), config.range_requests),
            4 => {
                let from = IpAddr::from([192, 0, step.number, 1]);
                (suspicions.handle_token_used(session, from, now), config.networks)
            }
            _ => {
                let bytes = u64::from(step.number) << 24;
                (suspicions.handle_read(session, place(step.number), bytes, 1 << 20, now), config.read_speed)
            }
        };
        if let Some(sign) = sign {
            assert!(sign.count >= threshold.most && sign.action == threshold.action, "{sign:?}");
        }
    }
}

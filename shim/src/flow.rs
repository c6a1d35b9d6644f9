//! One direction of one connection: what is under way, when it arrives, and what a loss does to it. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Payload of a packet on an Ethernet path with timestamps.
pub const PACKET_BYTES: u64 = 1448;

/// The least time after which TCP sends again when no later packet told of the gap (Linux; RFC 6298 says a second).
pub const TIMEOUT_MIN: Duration = Duration::from_millis(200);

/// Packets that may be under way at the start where packets get lost. RFC 6928.
const WINDOW_PACKETS_START: f64 = 10.0;

/// With fewer under way a gap isn't noticed by three later packets, and only the timeout helps. RFC 5681.
const FAST_RETRANSMIT_PACKETS: f64 = 4.0;

/// A window never shrinks below this.
const WINDOW_PACKETS_MIN: f64 = 2.0;

/// Bytes that may be under way where a line has no rate.
const FLIGHT_BYTES_UNLIMITED: u64 = 4 * 1024 * 1024;

/// A direction of a connection.
#[derive(Clone, Debug)]
pub struct Flow {
    delay: Duration,
    round_trip: Duration,
    /// Sent, and not yet known to have arrived.
    unacked_bytes: u64,
    /// What has arrived, by when the sender knows.
    acks: VecDeque<(Instant, u64)>,
    /// Nothing arrives before what was sent earlier.
    last_arrival: Option<Instant>,
    loss: Option<Loss>,
}

impl Flow {
    /// A flow of this delay whose acknowledgements take `delay_back`. `loss` is the share of packets lost, 0 to 1.
    pub fn new(delay: Duration, delay_back: Duration, loss: f64, seed: u64) -> Self {
        Self {
            delay,
            round_trip: delay + delay_back,
            unacked_bytes: 0,
            acks: VecDeque::new(),
            last_arrival: None,
            loss: (loss > 0.0).then(|| Loss::new(loss.min(1.0), seed)),
        }
    }

    /// Bytes that may be sent now on a line that lets so many be under way.
    pub fn room(&mut self, flight_bytes_max: Option<u64>, now: Instant) -> u64 {
        while let Some((_, bytes)) = self.acks.pop_front_if(|(at, _)| *at <= now) {
            self.unacked_bytes = self.unacked_bytes.saturating_sub(bytes);
            if let Some(loss) = &mut self.loss {
                loss.grow(bytes);
            }
        }
        let limit = flight_bytes_max.unwrap_or(FLIGHT_BYTES_UNLIMITED);
        let window = self.loss.as_ref().map_or(u64::MAX, Loss::window_bytes);
        window.min(limit).saturating_sub(self.unacked_bytes)
    }

    /// When more room is known to come; nothing while the receiver hasn't taken what arrived.
    pub fn next_ack(&self) -> Option<Instant> {
        self.acks.front().map(|(at, _)| *at)
    }

    /// Takes `bytes` that leave the line at `left_at`; gives the moment at which they arrive.
    pub fn send(&mut self, bytes: u64, left_at: Instant) -> Instant {
        self.unacked_bytes += bytes;
        let mut arrives = left_at + self.delay;
        if let Some(loss) = &mut self.loss {
            let packets = bytes.div_ceil(PACKET_BYTES);
            // All draws are made, so that the outcome of one doesn't shift the next ones.
            let lost = (0..packets).filter(|_| loss.is_lost()).count();
            if lost > 0 {
                arrives += loss.strike(self.round_trip, left_at);
            }
        }
        let arrives = self.last_arrival.map_or(arrives, |last| last.max(arrives));
        self.last_arrival = Some(arrives);
        arrives
    }

    /// The receiver took `bytes`.
    pub fn delivered(&mut self, bytes: u64, now: Instant) {
        let delay_back = self.round_trip - self.delay;
        self.acks.push_back((now + delay_back, bytes));
    }
}

/// Reno's window under random loss.
#[derive(Clone, Debug)]
struct Loss {
    share: f64,
    random: u64,
    window_packets: f64,
    /// Above this it grows by a packet each round trip, below by one with each acknowledged packet.
    threshold_packets: f64,
    /// Losses until then belong to the same window, which is halved once.
    recovering_until: Option<Instant>,
}

impl Loss {
    fn new(share: f64, seed: u64) -> Self {
        Self {
            share,
            random: seed,
            window_packets: WINDOW_PACKETS_START,
            threshold_packets: f64::INFINITY,
            recovering_until: None,
        }
    }

    fn window_bytes(&self) -> u64 {
        (self.window_packets * PACKET_BYTES as f64) as u64
    }

    fn is_lost(&mut self) -> bool {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
        drawn < self.share
    }

    /// A packet was lost: the window shrinks; how much later the second copy arrives.
    fn strike(&mut self, round_trip: Duration, now: Instant) -> Duration {
        let timeout = TIMEOUT_MIN.max(2 * round_trip);
        let unnoticed = self.window_packets < FAST_RETRANSMIT_PACKETS;
        if self.recovering_until.is_none_or(|until| now >= until) {
            self.threshold_packets = (self.window_packets / 2.0).max(WINDOW_PACKETS_MIN);
            self.window_packets = self.threshold_packets;
            self.recovering_until = Some(now + round_trip);
        }
        if unnoticed { timeout } else { round_trip }
    }

    fn grow(&mut self, acked_bytes: u64) {
        let packets = acked_bytes as f64 / PACKET_BYTES as f64;
        if self.window_packets < self.threshold_packets {
            self.window_packets += packets;
        } else {
            self.window_packets += packets / self.window_packets;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Line;

    const MIB: u64 = 1024 * 1024;

    /// Sends as much as `line` and `flow` let for so long, to a receiver that takes all at once; gives the
    /// bytes that arrived.
    fn run(line: &mut Line, flow: &mut Flow, round_trip: Duration, span: Duration) -> u64 {
        let start = Instant::now();
        let (mut now, end, mut arrived) = (start, start + span, 0);
        let mut under_way = VecDeque::new();
        while now < end {
            while let Some((at, bytes)) = under_way.pop_front_if(|(at, _)| *at <= now) {
                flow.delivered(bytes, at);
                arrived += bytes;
            }
            let room = flow.room(line.flight_bytes_max(round_trip), now).min(line.quantum());
            if line.opens_at() <= now && room > 0 {
                under_way.push_back((flow.send(room, line.send(room, now)), room));
                continue;
            }
            let next = under_way.front().map(|(at, _)| *at).into_iter().chain(flow.next_ack());
            let opens = Some(line.opens_at()).filter(|at| *at > now);
            now = next.chain(opens).filter(|at| *at > now).min().unwrap_or(end);
        }
        arrived
    }

    fn rate(rate: u64, delay_ms: u64, loss: f64, seed: u64) -> f64 {
        let delay = Duration::from_millis(delay_ms);
        let mut line = Line::new(Some(rate), 16 * 1024, Instant::now());
        let mut flow = Flow::new(delay, delay, loss, seed);
        let span = Duration::from_secs(60);
        run(&mut line, &mut flow, 2 * delay, span) as f64 / span.as_secs_f64()
    }

    #[test]
    fn without_loss_a_flow_fills_its_line_whatever_the_delay() {
        for delay_ms in [0, 20, 150] {
            for line_rate in [15_000, 192 * 1024, 8 * MIB] {
                let share = rate(line_rate, delay_ms, 0.0, 1) / line_rate as f64;
                assert!((0.97..=1.0).contains(&share), "{delay_ms} ms, {line_rate}: {share}");
            }
        }
    }

    #[test]
    fn bytes_arrive_a_delay_after_they_left() {
        let start = Instant::now();
        let (there, back) = (Duration::from_millis(15), Duration::from_millis(25));
        let mut flow = Flow::new(there, back, 0.0, 1);
        assert_eq!(flow.send(1000, start), start + there);
        flow.delivered(1000, start + there);
        assert_eq!(flow.next_ack(), Some(start + there + back));
    }

    #[test]
    fn a_receiver_that_takes_nothing_stops_the_sender() {
        let start = Instant::now();
        let mut flow = Flow::new(Duration::ZERO, Duration::ZERO, 0.0, 1);
        flow.send(1000, start);
        assert_eq!(flow.room(Some(1000), start + Duration::from_secs(9)), 0);
        flow.delivered(400, start);
        assert_eq!(flow.room(Some(1000), start), 400);
    }

    #[test]
    fn loss_keeps_a_flow_near_what_mathis_predicts() {
        // Mathis et al., 1997: 1.22 packets / (round trip x sqrt(loss)), for rare loss on an ample line.
        for (loss, delay_ms) in [(0.0005, 20), (0.001, 50), (0.005, 20)] {
            let got = rate(100 * MIB, delay_ms, loss, 7);
            let predicted = 1.22 * PACKET_BYTES as f64 / (0.002 * delay_ms as f64 * f64::sqrt(loss));
            let ratio = got / predicted;
            assert!((0.6..1.5).contains(&ratio), "{loss}, {delay_ms} ms: {ratio}");
        }
    }

    #[test]
    fn heavy_loss_slows_and_never_stops() {
        let got = rate(MIB, 75, 0.05, 3);
        assert!(got > 5_000.0 && got < 100_000.0, "{got}");
    }

    #[test]
    fn a_lost_packet_holds_up_what_follows() {
        let start = Instant::now();
        let delay = Duration::from_millis(20);
        let mut flow = Flow::new(delay, delay, 1.0, 1);
        let first = flow.send(100, start);
        assert_eq!(first, start + 3 * delay, "a round trip later than it would");
        flow.loss = None;
        assert_eq!(flow.send(100, start), first);
    }

    #[test]
    fn with_little_under_way_only_the_timeout_helps() {
        let (start, delay) = (Instant::now(), Duration::from_millis(20));
        let mut flow = Flow::new(delay, delay, 1.0, 1);
        for nth in 0..4 {
            flow.send(100, start + nth * 10 * delay);
        }
        let later = start + Duration::from_secs(60);
        assert_eq!(flow.send(100, later), later + delay + TIMEOUT_MIN);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets() {
        assert_eq!(rate(MIB, 20, 0.01, 5).to_bits(), rate(MIB, 20, 0.01, 5).to_bits());
        assert_ne!(rate(MIB, 20, 0.01, 5).to_bits(), rate(MIB, 20, 0.01, 6).to_bits());
    }
}

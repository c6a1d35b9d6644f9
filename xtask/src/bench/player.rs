//! A player: plays once two seconds are in hand, reads at the film's rate, and stops when it runs dry. Pure.

use std::time::{Duration, Instant};

use super::film::FILM_BYTES_PER_SECOND;

/// What has to be in hand to start, and to go on after a stall or a seek.
pub(crate) const IN_HAND_BYTES: u64 = 2 * FILM_BYTES_PER_SECOND;

/// What it reads beyond that while it plays.
const SLACK_BYTES: u64 = FILM_BYTES_PER_SECOND / 10;

/// It reads in steps rather than bytes: a player that asks for each byte when it is due keeps a processor busy.
pub(crate) const STEP_BYTES: u64 = 16 * 1024;

/// A player, with what has happened to it.
#[derive(Clone, Debug)]
pub(crate) struct Player {
    /// Bytes got and bytes played since the start or the last seek.
    received: u64,
    played: f64,
    state: State,
    /// Up to when it was played.
    played_until: Instant,
    /// From the start until it played, in seconds; nothing if it never did.
    pub(crate) startup: Option<f64>,
    /// The same for each seek.
    pub(crate) resumes: Vec<Option<f64>>,
    pub(crate) stalls: u32,
    pub(crate) stalled: Duration,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Starting { since: Instant },
    Seeking { since: Instant },
    Playing,
    Stalled { since: Instant },
}

impl Player {
    pub(crate) fn new(started_at: Instant) -> Self {
        Self {
            received: 0,
            played: 0.0,
            state: State::Starting { since: started_at },
            played_until: started_at,
            startup: None,
            resumes: Vec::new(),
            stalls: 0,
            stalled: Duration::ZERO,
        }
    }

    /// Bytes that it would read now.
    pub(crate) fn wants(&self) -> u64 {
        let in_hand = self.received as f64 - self.played;
        let wanted = ((IN_HAND_BYTES + SLACK_BYTES) as f64 - in_hand).max(0.0) as u64;
        if wanted < STEP_BYTES { 0 } else { wanted }
    }

    /// Goes to another place: what is in hand is of no use there.
    pub(crate) fn seek(&mut self, now: Instant) {
        self.advance(now);
        self.end_stall(now);
        if let State::Seeking { .. } = self.state {
            self.resumes.push(None);
        }
        (self.received, self.played) = (0, 0.0);
        self.state = State::Seeking { since: now };
    }

    pub(crate) fn receive(&mut self, bytes: u64, now: Instant) {
        self.advance(now);
        self.received += bytes;
        if self.state == State::Playing || self.received - (self.played as u64) < IN_HAND_BYTES {
            return;
        }
        match self.state {
            State::Starting { since } => self.startup = Some((now - since).as_secs_f64()),
            State::Seeking { since } => self.resumes.push(Some((now - since).as_secs_f64())),
            State::Stalled { .. } => self.end_stall(now),
            State::Playing => {}
        }
        self.state = State::Playing;
    }

    /// Plays up to `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.played_until);
        self.played_until = now;
        if self.state != State::Playing {
            return;
        }
        self.played += span.as_secs_f64() * FILM_BYTES_PER_SECOND as f64;
        if self.played >= self.received as f64 {
            self.played = self.received as f64;
            self.stalls += 1;
            self.state = State::Stalled { since: now };
        }
    }

    /// The film is switched off.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.advance(now);
        self.end_stall(now);
        if let State::Seeking { .. } = self.state {
            self.resumes.push(None);
        }
    }

    fn end_stall(&mut self, now: Instant) {
        if let State::Stalled { since } = self.state {
            self.stalled += now - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_plays_once_two_seconds_are_in_hand() {
        let start = Instant::now();
        let mut player = Player::new(start);
        player.receive(IN_HAND_BYTES - 1, start + SECOND);
        assert_eq!(player.startup, None);
        player.receive(1, start + 3 * SECOND);
        assert_eq!(player.startup, Some(3.0));
        player.advance(start + 4 * SECOND);
        assert_eq!(player.wants(), FILM_BYTES_PER_SECOND + SLACK_BYTES);
        assert_eq!(player.stalls, 0);
        player.receive(FILM_BYTES_PER_SECOND + SLACK_BYTES - 1000, start + 4 * SECOND);
        assert_eq!(player.wants(), 0, "no step's worth");
    }

    #[test]
    fn running_dry_is_a_stall_until_two_seconds_are_there_again() {
        let start = Instant::now();
        let mut player = Player::new(start);
        player.receive(IN_HAND_BYTES, start);
        player.advance(start + 2 * SECOND);
        assert_eq!((player.stalls, player.wants()), (1, IN_HAND_BYTES + SLACK_BYTES));
        player.receive(IN_HAND_BYTES - 1, start + 4 * SECOND);
        player.receive(1, start + 5 * SECOND);
        assert_eq!((player.stalls, player.stalled), (1, 3 * SECOND));
        player.advance(start + 6 * SECOND);
        assert_eq!(player.stalls, 1);
    }

    #[test]
    fn a_seek_is_no_stall() {
        let start = Instant::now();
        let mut player = Player::new(start);
        player.receive(IN_HAND_BYTES, start);
        player.seek(start + SECOND);
        player.receive(IN_HAND_BYTES, start + 5 * SECOND);
        player.seek(start + 6 * SECOND);
        player.stop(start + 9 * SECOND);
        assert_eq!((player.resumes, player.stalls), (vec![Some(4.0), None], 0));
    }
}

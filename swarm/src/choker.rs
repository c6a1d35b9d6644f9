//! Who is unchoked: by what they give us while we leech, in turn while we seed (BEP 3).
//!
//! A round every ten seconds ranks everybody; between rounds only free slots are given away, so nobody
//! flaps. One slot is optimistic: it goes to somebody by chance, so that newcomers get something to trade with
//! and better partners are found.
//!
//! Not here: rates of the shaper, what is sent to whom, allowed-fast pieces.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::key::PeerKey;

/// BEP 3: chokes are reconsidered every ten seconds, which is long enough for TCP to show a peer's rate.
pub const ROUND: Duration = Duration::from_secs(10);

/// BEP 3: the optimistic unchoke rotates every thirty seconds, long enough for an exchange to start.
pub const OPTIMISTIC_TURN: Duration = Duration::from_secs(30);

/// BEP 3: newly connected peers are three times as likely to be the optimistic unchoke.
pub const NEWCOMER_WEIGHT: usize = 3;

/// How long a peer is new (custom: Transmission has 45 s; a turn and a half).
pub const NEWCOMER_AGE: Duration = Duration::from_secs(45);

/// While seeding, how long a turn lasts at least (custom: libtorrent's round robin has a minute).
pub const QUOTA_TIME: Duration = Duration::from_secs(60);

/// While seeding, how long a turn lasts at most (ours): a slow peer must not sit on a slot for hours.
pub const TURN_TIME_MAX: Duration = Duration::from_secs(5 * 60);

const _: () = assert!(TURN_TIME_MAX.as_secs() >= QUOTA_TIME.as_secs());

/// The bounds of a choker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Peers unchoked for what they give (or in their turn), the optimistic ones apart. 0 chokes everybody.
    pub slots: u32,
    /// Peers unchoked by chance on top of that.
    pub optimistic_slots: u32,
    /// While seeding, what a peer gets at least before its turn can end, in bytes. The more, the fewer
    /// partial pieces are left behind in the swarm, and the longer others wait.
    pub quota_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { slots: 8, optimistic_slots: 1, quota_bytes: 20 * 1024 * 1024 }
    }
}

/// What the choker needs to know of a connected peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The peer.
    pub key: PeerKey,
    /// Whether it wants something of us.
    pub interested: bool,
    /// Whether we have it unchoked now.
    pub unchoked: bool,
    /// What it sends us, in bytes per second.
    pub download_rate: u64,
    /// What we send it, in bytes per second.
    pub upload_rate: u64,
    /// Payload sent to it since it connected.
    pub uploaded_bytes: u64,
    /// When it connected.
    pub connected_at: Instant,
    /// Whether it owes us blocks for too long.
    pub is_snubbed: bool,
    /// Whether it has all pieces, or says that it takes none (BEP 21).
    pub upload_only: bool,
}

impl Candidate {
    fn wants_slot(&self) -> bool {
        self.interested && !self.upload_only
    }
}

/// A command to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The peer.
    pub key: PeerKey,
    /// `true`: unchoke; `false`: choke.
    pub unchoke: bool,
}

/// Decides who is unchoked.
#[derive(Debug)]
pub struct Choker {
    config: Config,
    chance: Chance,
    /// Those who have a slot, since when, and what had been sent to them by then.
    turns: BTreeMap<PeerKey, Turn>,
    /// When those without a slot lost theirs; absent if they never had one.
    rested: BTreeMap<PeerKey, Instant>,
    optimistic: BTreeSet<PeerKey>,
    round_due: Option<Instant>,
    optimistic_due: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    since: Instant,
    uploaded_bytes: u64,
}

impl Choker {
    /// Nobody is unchoked yet.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            chance: Chance::new(seed),
            turns: BTreeMap::new(),
            rested: BTreeMap::new(),
            optimistic: BTreeSet::new(),
            round_due: None,
            optimistic_due: None,
        }
    }

    /// Changes the bounds. Fewer slots take effect in the next round.
    pub fn set_config(&mut self, config: Config) {
        self.config = config;
    }

    /// Decides. From [`deadline`](Self::deadline) on this is a whole round; before it, only free slots are given
    /// away, so it can be called whenever a peer becomes interested or leaves. `peers` are all connected peers, in
    /// a stable order. Chokes come before unchokes.
    pub fn rechoke(
        &mut self,
        peers: impl Iterator<Item = Candidate>,
        seeding: bool,
        now: Instant,
    ) -> Vec<Change> {
        let peers: Vec<Candidate> = peers.collect();
        self.observe(&peers, now);
        let chosen = if self.config.slots == 0 {
            self.optimistic.clear();
            self.round_due = Some(now + ROUND);
            BTreeSet::new()
        } else if self.round_due.is_none_or(|due| due <= now) {
            self.round_due = Some(now + ROUND);
            self.choose(&peers, seeding, now)
        } else {
            self.fill(&peers, seeding, now)
        };
        self.apply(&peers, &chosen, now)
    }

    /// When the next round is due; `None` before the first call.
    pub fn deadline(&self) -> Option<Instant> {
        self.round_due
    }

    /// Takes over who is there and who is unchoked.
    fn observe(&mut self, peers: &[Candidate], now: Instant) {
        let present: BTreeMap<PeerKey, &Candidate> = peers.iter().map(|peer| (peer.key, peer)).collect();
        self.turns.retain(|key, _| present.get(key).is_some_and(|peer| peer.unchoked));
        self.optimistic.retain(|key| present.get(key).is_some_and(|peer| peer.unchoked));
        self.rested.retain(|key, _| present.contains_key(key));
        for peer in peers.iter().filter(|peer| peer.unchoked) {
            self.turns.entry(peer.key).or_insert(Turn { since: now, uploaded_bytes: peer.uploaded_bytes });
        }
    }

    /// A whole round.
    fn choose(&mut self, peers: &[Candidate], seeding: bool, now: Instant) -> BTreeSet<PeerKey> {
        let mut regulars: Vec<&Candidate> = peers
            .iter()
            // A snubbing peer keeps no slot for what it once gave (anti-snubbing, BEP 3); it may still be lucky.
            .filter(|peer| peer.wants_slot() && (seeding || !peer.is_snubbed))
            // While seeding, all slots go round, so the one by chance takes no part in the order.
            .filter(|peer| !(seeding && self.optimistic.contains(&peer.key)))
            .collect();
        if seeding {
            regulars.sort_by_key(|peer| self.seeding_rank(peer, now));
        } else {
            // Among equals, who has the slot keeps it: a change costs both sides a restart.
            regulars.sort_by_key(|peer| (Reverse(peer.download_rate), !peer.unchoked, peer.key));
        }
        let mut chosen: BTreeSet<_> =
            regulars.iter().take(self.config.slots as usize).map(|peer| peer.key).collect();
        self.optimistic.retain(|key| !chosen.contains(key));
        self.turn_optimistic(peers, &mut chosen, now);
        chosen
    }

    /// Lower is better. A peer keeps its turn until it has had its time and its bytes; then whoever waited longest
    /// comes next.
    fn seeding_rank(&self, peer: &Candidate, now: Instant) -> (u8, Option<Instant>, PeerKey) {
        match self.turns.get(&peer.key) {
            Some(turn) => {
                let time = now.saturating_duration_since(turn.since);
                let bytes = peer.uploaded_bytes.saturating_sub(turn.uploaded_bytes);
                // One that takes nothing in all that time has no use for its slot.
                let had_enough = bytes >= self.config.quota_bytes || peer.upload_rate == 0;
                let over = time >= TURN_TIME_MAX || (time >= QUOTA_TIME && had_enough);
                (if over { 2 } else { 0 }, Some(turn.since), peer.key)
            }
            None => (1, self.rested.get(&peer.key).copied(), peer.key),
        }
    }

    /// Fills up the optimistic slots, after giving them up if their turn is over.
    fn turn_optimistic(&mut self, peers: &[Candidate], chosen: &mut BTreeSet<PeerKey>, now: Instant) {
        let wanting: BTreeSet<_> =
            peers.iter().filter(|peer| peer.wants_slot()).map(|peer| peer.key).collect();
        self.optimistic.retain(|key| wanting.contains(key));
        let mut past = BTreeSet::new();
        if self.optimistic_due.is_none_or(|due| due <= now) {
            self.optimistic_due = Some(now + OPTIMISTIC_TURN);
            past = std::mem::take(&mut self.optimistic);
        }
        while self.optimistic.len() > self.config.optimistic_slots as usize {
            self.optimistic.pop_last();
        }
        while self.optimistic.len() < self.config.optimistic_slots as usize {
            let free = |peer: &&Candidate| {
                peer.wants_slot() && !chosen.contains(&peer.key) && !self.optimistic.contains(&peer.key)
            };
            let pool: Vec<&Candidate> = peers.iter().filter(free).collect();
            let others: Vec<&Candidate> =
                pool.iter().copied().filter(|peer| !past.contains(&peer.key)).collect();
            // Somebody else's turn, if there is somebody else.
            let pool = if others.is_empty() { pool } else { others };
            let Some(lucky) = draw(&mut self.chance, &pool, now) else { break };
            self.optimistic.insert(lucky);
        }
        chosen.extend(&self.optimistic);
    }

    /// Between rounds: whoever has a slot keeps it, free ones are given away.
    fn fill(&mut self, peers: &[Candidate], seeding: bool, now: Instant) -> BTreeSet<PeerKey> {
        let (wanted, idle): (Vec<&Candidate>, Vec<&Candidate>) =
            peers.iter().filter(|peer| peer.unchoked).partition(|peer| peer.wants_slot());
        let mut chosen: BTreeSet<_> = wanted.iter().map(|peer| peer.key).collect();
        // One that had a slot by chance, wanted nothing for a while and does again has that kind of slot still.
        let slots = self.config.slots as usize;
        let regulars = wanted.iter().map(|peer| peer.key).filter(|key| !self.optimistic.contains(key));
        let lucky: Vec<PeerKey> = regulars.skip(slots).collect();
        self.optimistic.extend(lucky);
        let regular = chosen.iter().filter(|key| !self.optimistic.contains(key)).count();
        let mut waiting: Vec<&Candidate> =
            peers.iter().filter(|peer| !peer.unchoked && peer.wants_slot()).collect();
        if seeding {
            waiting.sort_by_key(|peer| self.seeding_rank(peer, now));
        } else {
            waiting.retain(|peer| !peer.is_snubbed);
            waiting.sort_by_key(|peer| (Reverse(peer.download_rate), peer.key));
        }
        let free = slots.saturating_sub(regular);
        chosen.extend(waiting.iter().take(free).map(|peer| peer.key));
        self.turn_optimistic_if_free(peers, &mut chosen, now);
        // Slots of those who want nothing now are kept for them until somebody else needs them.
        let total = (self.config.slots + self.config.optimistic_slots) as usize;
        let spare = total.saturating_sub(chosen.len());
        chosen.extend(idle.iter().take(spare).map(|peer| peer.key));
        chosen
    }

    /// Between rounds an optimistic slot is given away only if nobody has it, and its turn isn't ended.
    fn turn_optimistic_if_free(&mut self, peers: &[Candidate], chosen: &mut BTreeSet<PeerKey>, now: Instant) {
        let due = self.optimistic_due.replace(now + OPTIMISTIC_TURN);
        self.turn_optimistic(peers, chosen, now);
        self.optimistic_due = due;
    }

    fn apply(&mut self, peers: &[Candidate], chosen: &BTreeSet<PeerKey>, now: Instant) -> Vec<Change> {
        let mut changes = Vec::new();
        for peer in peers.iter().filter(|peer| peer.unchoked && !chosen.contains(&peer.key)) {
            self.turns.remove(&peer.key);
            self.optimistic.remove(&peer.key);
            self.rested.insert(peer.key, now);
            changes.push(Change { key: peer.key, unchoke: false });
        }
        for peer in peers.iter().filter(|peer| !peer.unchoked && chosen.contains(&peer.key)) {
            self.turns.insert(peer.key, Turn { since: now, uploaded_bytes: peer.uploaded_bytes });
            changes.push(Change { key: peer.key, unchoke: true });
        }
        changes
    }
}

/// One of `pool`, newcomers more likely.
fn draw(chance: &mut Chance, pool: &[&Candidate], now: Instant) -> Option<PeerKey> {
    let weight = |peer: &Candidate| {
        let age = now.saturating_duration_since(peer.connected_at);
        if age < NEWCOMER_AGE { NEWCOMER_WEIGHT } else { 1 }
    };
    let total: usize = pool.iter().map(|peer| weight(peer)).sum();
    let mut ticket = chance.below(total);
    for peer in pool {
        let tickets = weight(peer);
        if ticket < tickets {
            return Some(peer.key);
        }
        ticket -= tickets;
    }
    None
}

#[cfg(test)]
mod tests;

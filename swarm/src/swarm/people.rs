//! Who is connected, dialled, served, banned.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::{Bitfield, PieceIndex};
use afflux_peer::Command;
use afflux_peer::limits::HANDSHAKE_TIMEOUT;

use super::{Peer, Swarm};
use crate::blame::Sender;
use crate::choker::Candidate;
use crate::input::{Connected, Direction, Parting, Refusal};
use crate::key::PeerKey;
use crate::limits::SHUNNED_MAX;
use crate::output::{Output, Reason};
use crate::roster::{self, Fate, Source};

impl Swarm {
    /// A dial that [`Output::Dial`] asked for came to nothing.
    pub fn handle_dial_failed(&mut self, addr: SocketAddr, now: Instant) {
        self.roster.failed(addr, now);
        self.dial(now);
    }

    /// A connection's handshake is done. With an error, close it: it isn't known and needs no `handle_disconnected`.
    pub fn handle_connected(&mut self, link: Connected, now: Instant) -> Result<PeerKey, Refusal> {
        let answer = self.admit(&link, now);
        if let Ok(key) = answer {
            if self.content.is_some() {
                self.introduce(key);
            }
            if self.told_waiting {
                self.send(key, Command::ReaderWaiting(true));
            }
        }
        self.dial(now);
        answer
    }

    /// A connection is gone. What was asked of it is asked of others.
    pub fn handle_disconnected(&mut self, peer: PeerKey, why: Parting, now: Instant) {
        let Some(known) = self.peers.get(peer) else { return };
        let (ip, useful) = (known.addr.ip(), known.told_interested || known.interested);
        let banned = why == (Parting::Violation { ban: true });
        if banned {
            self.banish(Sender { peer, ip }, now);
        }
        let fate = match why {
            Parting::Closed if useful || self.content.is_none() => Fate::Useful,
            Parting::Closed => Fate::Useless,
            Parting::TimedOut | Parting::Violation { .. } => Fate::Failed,
        };
        self.remove(peer, fate, now);
        self.rechoke(now);
        self.dial(now);
        self.schedule(None, now);
    }

    /// Bans an address: nobody there is spoken to any more.
    pub fn ban(&mut self, ip: IpAddr, now: Instant) {
        self.roster.ban(ip, now);
        self.outputs.push_back(Output::Ban(ip));
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let banned = self.peers.get(key).is_some_and(|peer| self.roster.is_banned(peer.addr.ip(), now));
            if banned {
                self.outputs.push_back(Output::Disconnect(key, Reason::Banned));
                self.remove(key, Fate::Failed, now);
            }
        }
    }

    /// Bans until the given moment: bans that were saved.
    pub fn ban_until(&mut self, ip: IpAddr, until: Instant) {
        self.roster.ban_until(ip, until);
    }

    /// All bans and their ends, for saving.
    pub fn bans(&self) -> impl Iterator<Item = (IpAddr, Instant)> + '_ {
        self.roster.bans()
    }

    /// Whether a connection from this address would be taken, before its handshake is read.
    pub fn admits(&self, addr: SocketAddr, now: Instant) -> Result<(), Refusal> {
        match self.roster.admits(addr, now) {
            Err(roster::Refusal::Full) if self.useless_peer().is_some() => Ok(()),
            answer => answer.map_err(refusal),
        }
    }

    /// Dials as many as may be dialled.
    pub(super) fn dial(&mut self, now: Instant) {
        if self.paused {
            return;
        }
        while let Some(addr) = self.roster.next_dial(now) {
            self.outputs.push_back(Output::Dial(addr));
        }
    }

    /// The first words to a peer once the layout is known.
    pub(super) fn introduce(&mut self, key: PeerKey) {
        let Some(content) = &self.content else { return };
        // A piece that may go is told of only to those that can be told when it's gone.
        let unlearns = self.peers.get(key).is_some_and(|peer| peer.unlearns);
        let have = match &content.keep {
            Some(_) if !unlearns => Bitfield::new(content.layout.piece_count()),
            _ => content.have.clone(),
        };
        self.send(key, Command::Advertise(Arc::new(have)));
        if self.told_complete {
            self.send(key, Command::UploadOnly(true));
        }
    }

    /// Decides whom to serve. Between rounds this only fills free slots.
    pub(super) fn rechoke(&mut self, now: Instant) {
        let seeding = self.content.as_ref().is_some_and(|content| content.missing.is_empty());
        let candidates = self.peers.iter().map(|(key, peer)| Candidate {
            key,
            interested: peer.interested,
            unchoked: !peer.choked,
            download_rate: peer.download_rate,
            upload_rate: peer.upload_rate,
            uploaded_bytes: peer.uploaded,
            connected_at: peer.connected_at,
            is_snubbed: peer.snubbed,
            upload_only: peer.upload_only || peer.is_seed(),
        });
        for change in self.choker.rechoke(candidates, seeding, now) {
            let Some(peer) = self.peers.get_mut(change.key) else { continue };
            if peer.choked != change.unchoke {
                continue;
            }
            peer.choked = !change.unchoke;
            let command = if change.unchoke { Command::Unchoke } else { Command::Choke };
            self.send(change.key, command);
        }
    }

    /// Bans those that `blame` has proven guilty.
    pub(super) fn punish(&mut self, liars: &[Sender], now: Instant) {
        for &liar in liars {
            self.banish(liar, now);
            self.throw_away(liar, now);
        }
        self.collect_keys();
        for nth in 0..self.scratch.keys.len() {
            let key = self.scratch.keys[nth];
            let on_parole = self.blame.on_parole(key);
            if let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.on_parole != on_parole) {
                peer.on_parole = on_parole;
                peer.starved_at = None;
                self.rank(key);
                if !on_parole {
                    self.release_owned(key);
                }
            }
        }
    }

    /// Forgets the pieces under way that hold blocks of a liar's: they would fail, and later.
    fn throw_away(&mut self, liar: Sender, now: Instant) {
        let Some(content) = &self.content else { return };
        let under_way = |piece: &PieceIndex| content.table.piece(*piece).is_some_and(|open| !open.is_whole());
        let spoilt: Vec<PieceIndex> = self.blame.pieces_of(liar).filter(under_way).collect();
        spoilt.into_iter().for_each(|piece| self.discard(piece, now));
    }

    /// Bans a peer with its address. On loopback all peers share one, so there it's the peer alone that goes.
    pub(super) fn banish(&mut self, liar: Sender, now: Instant) {
        if !liar.ip.is_loopback() {
            if !self.roster.is_banned(liar.ip, now) {
                self.ban(liar.ip, now);
            }
            return;
        }
        let Some(peer) = self.peers.get(liar.peer) else { return };
        if self.shunned.len() == SHUNNED_MAX {
            self.shunned.remove(0);
        }
        self.shunned.push(peer.peer_id);
        self.outputs.push_back(Output::Disconnect(liar.peer, Reason::Banned));
        self.remove(liar.peer, Fate::Ourselves, now);
    }

    fn admit(&mut self, link: &Connected, now: Instant) -> Result<PeerKey, Refusal> {
        if let Some(crossed) = self.crossed_by(link, now) {
            self.outputs.push_back(Output::Disconnect(crossed, Reason::Useless));
            self.remove(crossed, Fate::Useful, now);
        }
        let refused = if link.peer_id == self.config.local_peer_id {
            Some((Refusal::Ourselves, Fate::Ourselves))
        } else if self.shunned.contains(&link.peer_id) {
            Some((Refusal::Banned, Fate::Ourselves))
        } else if self.peers.iter().any(|(_, peer)| peer.peer_id == link.peer_id) {
            Some((Refusal::Duplicate, Fate::Useless))
        } else {
            None
        };
        if let Some((refusal, fate)) = refused {
            // The roster learns of the dial's end; an incoming connection it never saw.
            if link.direction == Direction::Outgoing && self.roster.connected(link.addr, now).is_ok() {
                self.roster.parted(link.addr, fate, now);
            }
            return Err(refusal);
        }
        self.enlist(link, now).map_err(refusal)?;
        let piece_count = self.content.as_ref().map_or(0, |content| content.layout.piece_count());
        Ok(self.peers.insert(Peer::new(link, piece_count, now)))
    }

    /// Two that dial each other at the same time get two connections, and each would refuse its second one: none would be
    /// left. So the one dialled by the lower id stays, on both sides; this is the other one, if it came first.
    fn crossed_by(&self, link: &Connected, now: Instant) -> Option<PeerKey> {
        let keeps = if self.config.local_peer_id.0 < link.peer_id.0 {
            Direction::Outgoing
        } else {
            Direction::Incoming
        };
        let crosses = |peer: &Peer| {
            peer.peer_id == link.peer_id
                && peer.direction != link.direction
                // An id can be borrowed; an address and the right moment with it hardly.
                && peer.addr.ip() == link.addr.ip()
                && now.saturating_duration_since(peer.connected_at) < HANDSHAKE_TIMEOUT
        };
        let crossed = self.peers.iter().find(|(_, peer)| crosses(peer)).map(|(key, _)| key);
        crossed.filter(|_| link.direction == keeps)
    }

    /// Takes a place in the roster, a useless peer's if there is no other.
    fn enlist(&mut self, link: &Connected, now: Instant) -> Result<(), roster::Refusal> {
        if self.roster.admits(link.addr, now) == Err(roster::Refusal::Full)
            && let Some(useless) = self.useless_peer()
        {
            self.outputs.push_back(Output::Disconnect(useless, Reason::Useless));
            self.remove(useless, Fate::Useless, now);
        }
        match link.direction {
            Direction::Outgoing => self.roster.connected(link.addr, now),
            Direction::Incoming => self.roster.accepted(link.addr, now),
        }
    }

    /// A peer that has nothing for us and wants nothing of us, or can't: both seeds, or both partial ones.
    fn useless_peer(&self) -> Option<PeerKey> {
        let content = self.content.as_ref()?;
        let nothing_to_get = content.missing.is_empty();
        let useless =
            |peer: &Peer| peer.useful == 0 && !peer.interested && (peer.is_seed() || peer.upload_only);
        self.peers.iter().find(|(_, peer)| nothing_to_get && useless(peer)).map(|(key, _)| key)
    }

    fn remove(&mut self, key: PeerKey, fate: Fate, now: Instant) {
        let Some(content) = &mut self.content else {
            self.forget_peer(key, fate, now);
            return;
        };
        if let Some(peer) = self.peers.get_mut(key)
            && let Some(counting) = peer.counting.take()
        {
            content.availability.subtract(&peer.pieces, counting);
        }
        self.return_all(key, now);
        self.forget_peer(key, fate, now);
    }

    fn forget_peer(&mut self, key: PeerKey, fate: Fate, now: Instant) {
        self.unrank(key);
        let Some(peer) = self.peers.remove(key) else { return };
        self.roster.parted(peer.addr, fate, now);
        if let Some(addr) = peer.listens_at.filter(|_| fate == Fate::Useful) {
            self.roster.add(addr, Source::Incoming, now);
        }
        self.blame.departed(key);
        if let Some(assembly) = &mut self.assembly {
            assembly.departed(key);
        }
    }
}

fn refusal(refusal: roster::Refusal) -> Refusal {
    match refusal {
        roster::Refusal::Full => Refusal::Full,
        roster::Refusal::Banned => Refusal::Banned,
        roster::Refusal::Duplicate => Refusal::Duplicate,
        roster::Refusal::PerAddress => Refusal::PerAddress,
    }
}

//! The routing table (BEP 5): buckets of eight, split where our own id lies.
//!
//! Only nodes that have answered us get in, at most one per address and, in a bucket, one per neighbourhood
//! (/24, or /64 in IPv6), so that one machine or one network can't fill it. Local addresses are exempt: a LAN
//! or a test has few. A node that finds its bucket full waits in its spares until one there turns bad.
//! Not here: sending the pings that this asks for.

use std::net::SocketAddr;
use std::time::Instant;

use crate::address::{Contact, Scope, neighbourhood, party, scope};
use crate::id::NodeId;
use crate::limits;

/// One family's nodes.
#[derive(Debug)]
pub struct Table {
    own: NodeId,
    /// Bucket `i` holds nodes that share exactly `i` leading bits with us; the last one all that share more.
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    entries: Vec<Entry>,
    /// Newest last.
    spares: Vec<Entry>,
    changed: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    contact: Contact,
    /// When it last answered, or asked us something after it had answered once.
    heard: Instant,
    failures: u8,
}

/// What became of a node that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is new in the table.
    Added,
    /// It was there already.
    Known,
    /// Its bucket is full. The node to ping, if one there may be gone.
    Waiting(Option<Contact>),
    /// It may not come in: our own id, another's id, or its network is there already.
    Refused,
}

impl Entry {
    fn is_good(&self, now: Instant) -> bool {
        self.failures == 0 && now.saturating_duration_since(self.heard) < limits::GOOD_FOR
    }

    fn is_bad(&self) -> bool {
        self.failures >= limits::FAILURES_BAD
    }

    fn fits(&self) -> bool {
        self.contact.id.fits(self.contact.addr.ip())
    }
}

impl Table {
    /// An empty table around our own id.
    pub fn new(own: NodeId, now: Instant) -> Self {
        Self { own, buckets: vec![Bucket { entries: Vec::new(), spares: Vec::new(), changed: now }] }
    }

    /// A node answered us from its address.
    pub fn answered(&mut self, contact: Contact, now: Instant) -> Admission {
        if contact.id == self.own {
            return Admission::Refused;
        }
        if let Some(entry) = self.find_mut(contact.id) {
            if entry.contact.addr == contact.addr {
                (entry.heard, entry.failures) = (now, 0);
                let at = self.bucket_of(contact.id);
                self.buckets[at].changed = now;
                return Admission::Known;
            }
            // Somebody else answers with a known id: believed only once the one we know is gone.
            if !entry.is_bad() {
                return Admission::Refused;
            }
            self.remove(contact.addr, Some(contact.id));
        }
        // A node that restarted with a new id.
        self.remove(contact.addr, None);
        if self.has_party(contact.addr) {
            return Admission::Refused;
        }
        self.place(Entry { contact, heard: now, failures: 0 }, now)
    }

    /// A node asked us something. Returns whether it is worth a ping, to see if it may come in.
    pub fn asked(&mut self, contact: Contact, now: Instant) -> bool {
        if contact.id == self.own {
            return false;
        }
        if let Some(entry) = self.find_mut(contact.id) {
            if entry.contact.addr == contact.addr && entry.failures == 0 {
                entry.heard = now;
            }
            return entry.contact.addr == contact.addr && entry.failures > 0;
        }
        let at = self.bucket_of(contact.id);
        let bucket = &self.buckets[at];
        let splits = at + 1 == self.buckets.len() && self.buckets.len() < 160;
        let room = bucket.entries.len() < limits::BUCKET_NODES_MAX
            || splits
            || bucket.entries.iter().any(|entry| !entry.is_good(now));
        room && !self.has_party(contact.addr)
    }

    /// A node didn't answer a query of ours.
    pub fn failed(&mut self, addr: SocketAddr) {
        for bucket in &mut self.buckets {
            bucket.spares.retain(|spare| spare.contact.addr != addr);
            let Some(at) = bucket.entries.iter().position(|entry| entry.contact.addr == addr) else {
                continue;
            };
            let entry = &mut bucket.entries[at];
            entry.failures = entry.failures.saturating_add(1);
            if entry.failures >= limits::FAILURES_FORGOTTEN {
                bucket.entries.remove(at);
            }
            bucket.replace_bad();
        }
    }

    /// The nodes nearest to `target` that haven't failed, nearest first.
    pub fn closest(&self, target: &NodeId, count: usize) -> Vec<Contact> {
        let mut nodes: Vec<_> =
            self.entries().filter(|entry| entry.failures == 0).map(|entry| entry.contact).collect();
        nodes.sort_unstable_by_key(|node| node.id.distance(target));
        nodes.truncate(count);
        nodes
    }

    /// The node that was silent longest of those that aren't known to be good.
    pub fn questionable(&self, now: Instant) -> Option<Contact> {
        self.entries()
            .filter(|entry| !entry.is_good(now))
            .min_by_key(|entry| entry.heard)
            .map(|entry| entry.contact)
    }

    /// A place to look around in, if a bucket hasn't changed for long (BEP 5, refresh). Counts as a change.
    pub fn refresh_target(&mut self, noise: [u8; 20], now: Instant) -> Option<NodeId> {
        let stale = |bucket: &Bucket| now.saturating_duration_since(bucket.changed) >= limits::GOOD_FOR;
        let at = self.buckets.iter().position(stale)?;
        self.buckets[at].changed = now;
        Some(self.own.sibling(at, noise))
    }

    /// Moves the table around a new id of ours.
    pub fn rebase(&mut self, own: NodeId, now: Instant) {
        let old = std::mem::replace(self, Self::new(own, now));
        for bucket in old.buckets {
            for entry in bucket.entries.into_iter().chain(bucket.spares) {
                if entry.contact.id != own
                    && self.find_mut(entry.contact.id).is_none()
                    && !self.has_party(entry.contact.addr)
                {
                    self.place(entry, now);
                }
            }
        }
    }

    /// Our id in this table.
    pub fn own(&self) -> NodeId {
        self.own
    }

    /// Nodes in the table, of any state.
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nodes that are known to be good.
    pub fn good(&self, now: Instant) -> usize {
        self.entries().filter(|entry| entry.is_good(now)).count()
    }

    /// Every node, bucket by bucket.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> + '_ {
        self.entries().map(|entry| entry.contact)
    }

    /// Whether a node at this address is in the table.
    pub fn knows(&self, addr: SocketAddr) -> bool {
        self.entries().any(|entry| entry.contact.addr == addr)
    }

    fn place(&mut self, entry: Entry, now: Instant) -> Admission {
        loop {
            let at = self.bucket_of(entry.contact.id);
            let last = at + 1 == self.buckets.len() && self.buckets.len() < 160;
            let bucket = &mut self.buckets[at];
            if bucket.has_neighbour(entry.contact.addr) {
                return Admission::Refused;
            }
            if bucket.entries.len() < limits::BUCKET_NODES_MAX {
                bucket.entries.push(entry);
                bucket.changed = now;
                return Admission::Added;
            }
            if !last {
                return bucket.wait(entry, now);
            }
            self.split(now);
        }
    }

    /// Divides the last bucket: what shares one more bit with us moves on.
    fn split(&mut self, now: Instant) {
        let bits = self.buckets.len() - 1;
        let Some(last) = self.buckets.last_mut() else { return };
        let own = self.own;
        let (stay, go): (Vec<_>, Vec<_>) =
            last.entries.drain(..).partition(|entry| own.shared_bits(&entry.contact.id) == bits);
        last.entries = stay;
        last.changed = now;
        self.buckets.push(Bucket { entries: go, spares: Vec::new(), changed: now });
    }

    fn bucket_of(&self, id: NodeId) -> usize {
        self.own.shared_bits(&id).min(self.buckets.len() - 1)
    }

    fn find_mut(&mut self, id: NodeId) -> Option<&mut Entry> {
        let at = self.bucket_of(id);
        self.buckets[at].entries.iter_mut().find(|entry| entry.contact.id == id)
    }

    fn remove(&mut self, addr: SocketAddr, id: Option<NodeId>) {
        let gone = |entry: &Entry| entry.contact.addr == addr || id == Some(entry.contact.id);
        for bucket in &mut self.buckets {
            bucket.entries.retain(|entry| !gone(entry));
            bucket.spares.retain(|entry| !gone(entry));
        }
    }

    fn has_party(&self, addr: SocketAddr) -> bool {
        scope(addr.ip()) == Scope::Global
            && self
                .entries()
                .any(|entry| party(entry.contact.addr.ip()) == party(addr.ip()) && !entry.is_bad())
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.buckets.iter().flat_map(|bucket| &bucket.entries)
    }
}

impl Bucket {
    fn has_neighbour(&self, addr: SocketAddr) -> bool {
        scope(addr.ip()) == Scope::Global
            && self
                .entries
                .iter()
                .any(|entry| neighbourhood(entry.contact.addr.ip()) == neighbourhood(addr.ip()))
    }

    /// The bucket is full: the newcomer takes a bad node's place, or waits.
    fn wait(&mut self, entry: Entry, now: Instant) -> Admission {
        let (id, addr) = (entry.contact.id, entry.contact.addr);
        self.spares.retain(|spare| {
            let same_house = scope(addr.ip()) == Scope::Global
                && neighbourhood(spare.contact.addr.ip()) == neighbourhood(addr.ip());
            spare.contact.id != id && spare.contact.addr != addr && !same_house
        });
        if self.spares.len() >= limits::SPARE_NODES_MAX {
            self.spares.remove(0);
        }
        self.spares.push(entry);
        self.replace_bad();
        if self.entries.iter().any(|entry| entry.contact.id == id) {
            self.changed = now;
            return Admission::Added;
        }
        let questionable = self.entries.iter().filter(|entry| !entry.is_good(now));
        // Ids that don't fit their address (BEP 42) have to prove themselves first.
        Admission::Waiting(questionable.min_by_key(|e| (e.fits(), e.heard)).map(|entry| entry.contact))
    }

    /// Puts spares in the place of bad nodes: those whose id fits their address first, then the newest.
    fn replace_bad(&mut self) {
        while let Some(bad) = self.entries.iter().position(Entry::is_bad) {
            let best = (0..self.spares.len()).max_by_key(|&at| (self.spares[at].fits(), at));
            let Some(best) = best else { return };
            let spare = self.spares.remove(best);
            self.entries.remove(bad);
            if !self.has_neighbour(spare.contact.addr) {
                self.entries.push(spare);
            }
        }
        while self.entries.len() < limits::BUCKET_NODES_MAX {
            let Some(spare) = self.spares.pop() else { return };
            if !self.has_neighbour(spare.contact.addr) {
                self.entries.push(spare);
            }
        }
    }
}

#[cfg(test)]
#[path = "table/tests.rs"]
mod tests;

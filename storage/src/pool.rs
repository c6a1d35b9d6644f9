//! Block buffers, lent in extents of up to [`EXTENT_BLOCKS`] adjacent blocks, one allocation each.
//!
//! An extent is charged to the ledger whole, from the moment it is granted until the last reference to any
//! part of it is gone. Its blocks are handed out one by one to be written by sockets ([`BlockBuffer`]), then joined
//! again without a copy and shared (`Extent`). Memory whose last reference goes away returns to a bounded free
//! list, where it stays charged. A block whose own memory is with a slow peer can come in a *spare* of its length,
//! with a charge of its own; the shared extent then consists of several runs.
//!
//! Buffers are initialised memory, so that they can be read into without `unsafe`; what a recycled one holds
//! is left over from other blocks, and only verified bytes are ever read out of this crate.
//!
//! Freed extents only leave the process if the allocator unmaps them. glibc stops doing that: after the first such
//! free it raises its own threshold above 256 KiB (measured here: 100 MiB stay resident for good). A process that
//! wants its memory back fixes the threshold when it starts, with `mallopt(M_MMAP_THRESHOLD, 128 KiB)`, as the
//! `afflux` binary does, or `GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, Weak};

use afflux_metainfo::BLOCK_LENGTH;
use bytes::{Bytes, BytesMut};

use crate::cache::Cache;
use crate::intake::Full;
use crate::ledger::{Charge, Ledger, RoomHook};
#[cfg(doc)]
use crate::limits::EXTENT_BLOCKS;
use crate::limits::FREE_LIST_BYTES_MAX;
use crate::lock::lock;

/// Lends block buffers charged to a [`Ledger`]; all clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    ledger: Ledger,
    free: Mutex<FreeList>,
    cache: Cache,
}

/// Memory that nobody uses, by its exact size, still charged.
#[derive(Default)]
struct FreeList {
    by_length: BTreeMap<usize, Vec<(BytesMut, Charge)>>,
    bytes: usize,
}

impl Pool {
    /// A pool whose memory is charged to `ledger`. It also holds the cache of verified pieces, which is what
    /// gives way when memory is short.
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Shared { ledger, free: Mutex::default(), cache: Cache::default() }))
    }

    /// The ledger that everything here is charged to.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Called when memory came back after a `reserve` was refused: try again. It replaces the last such hook.
    /// It runs on whatever thread dropped the memory, so it must be quick and must not block.
    pub fn on_room(&self, hook: RoomHook) {
        self.0.ledger.on_room(hook);
    }

    /// Gives back what nobody has used since the last call: verified pieces that are on disk too, and memory that waits for
    /// the next piece.
    pub fn forget_unused(&self) {
        self.0.cache.forget_unused();
        self.trim(usize::MAX);
        self.0.ledger.wake();
    }

    /// Bytes that are charged but in nobody's use: they are there for the next piece.
    pub fn idle_bytes(&self) -> usize {
        lock(&self.0.free).bytes
    }

    /// Bytes that are there for the asking.
    pub(crate) fn spare_bytes(&self) -> usize {
        let ledger = &self.0.ledger;
        ledger.limit().saturating_sub(ledger.used()) + self.idle_bytes()
    }

    /// Bytes of verified pieces held in memory.
    pub fn cached_bytes(&self) -> usize {
        self.0.cache.bytes()
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    /// Grants the right to `bytes` of memory in extents of `extent_length`; idle memory is used first, then
    /// the cache gives way. Either everything is granted or nothing.
    pub(crate) fn grant(&self, bytes: usize, extent_length: usize) -> Option<Grant> {
        let shared = &self.0;
        if bytes > shared.ledger.limit() {
            return None;
        }
        let mut grant =
            Grant { charge: shared.ledger.try_charge(0)?, spare: Vec::new(), home: Arc::downgrade(shared) };
        loop {
            grant.take_spare(bytes, extent_length, &mut lock(&shared.free));
            let rest = bytes - grant.charge.bytes();
            if let Some(charge) = shared.ledger.try_charge(rest) {
                grant.charge.absorb(charge);
                return Some(grant);
            }
            let short = (shared.ledger.used() + rest).saturating_sub(shared.ledger.limit()).max(1);
            // What is still idle has another size. What the cache gives up becomes idle, and is ours next turn.
            if self.trim(short) == 0 && shared.cache.shrink(short) == 0 {
                let charge = shared.ledger.try_charge(rest)?;
                grant.charge.absorb(charge);
                return Some(grant);
            }
        }
    }

    /// Like [`grant`](Self::grant), for new pieces: readers that wait for memory come first. A refusal arms the
    /// [room hook](Self::on_room).
    pub(crate) fn admit(&self, bytes: usize, extent_length: usize) -> Result<Grant, Full> {
        let attempt = || if self.0.ledger.is_awaited() { None } else { self.grant(bytes, extent_length) };
        attempt()
            .or_else(|| {
                self.0.ledger.note_refusal();
                attempt()
            })
            .ok_or(Full)
    }

    /// Memory for one block more than was reserved, if there is some for the asking; readers that wait come first.
    pub(crate) fn spare(&self, length: usize) -> Option<BlockBuffer> {
        if length > BLOCK_LENGTH as usize || self.0.ledger.is_awaited() {
            return None;
        }
        self.grant(length, length)?.lease().split().pop()
    }

    /// Waits for a grant; `None` if `stop` says so first, or if it can never fit.
    pub(crate) fn wait_grant(
        &self,
        bytes: usize,
        extent_length: usize,
        stop: impl Fn() -> bool,
    ) -> Option<Grant> {
        if bytes > self.0.ledger.limit() {
            return None;
        }
        self.0.ledger.wait_until(|| self.grant(bytes, extent_length), stop)
    }

    /// Frees idle memory; says how much.
    fn trim(&self, bytes: usize) -> usize {
        let trimmed = lock(&self.0.free).trim(bytes);
        trimmed.iter().map(|(_, charge)| charge.bytes()).sum()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({:?}, {} idle, {} cached)", self.0.ledger, self.idle_bytes(), self.cached_bytes())
    }
}

impl FreeList {
    fn push(&mut self, bytes: BytesMut, charge: Charge) -> Option<(BytesMut, Charge)> {
        if self.bytes + charge.bytes() > FREE_LIST_BYTES_MAX {
            return Some((bytes, charge));
        }
        self.bytes += charge.bytes();
        self.by_length.entry(bytes.len()).or_default().push((bytes, charge));
        None
    }

    /// The last one put in: the warmest.
    fn pop(&mut self, length: usize) -> Option<(BytesMut, Charge)> {
        let (bytes, charge) = self.by_length.get_mut(&length)?.pop()?;
        self.bytes -= charge.bytes();
        Some((bytes, charge))
    }

    fn trim(&mut self, bytes: usize) -> Vec<(BytesMut, Charge)> {
        let mut trimmed = Vec::new();
        let mut freed = 0;
        while freed < bytes {
            let Some(mut longest) = self.by_length.last_entry() else { break };
            match longest.get_mut().pop() {
                Some(pair) => {
                    freed += pair.1.bytes();
                    self.bytes -= pair.1.bytes();
                    trimmed.push(pair);
                }
                None => drop(longest.remove()),
            }
        }
        trimmed
    }
}

/// The right to memory, some of it there already.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Before `charge`, so that memory goes before its charge does.
    spare: Vec<BytesMut>,
    charge: Charge,
    home: Weak<Shared>,
}

impl Grant {
    fn take_spare(&mut self, bytes: usize, extent_length: usize, free: &mut FreeList) {
        while self.charge.bytes() + extent_length <= bytes {
            let Some((spare, charge)) = free.pop(extent_length) else { return };
            self.spare.push(spare);
            self.charge.absorb(charge);
        }
    }

    /// Splits off the right to one extent, with memory for it if there is some; `None` if too little is left.
    pub(crate) fn split(&mut self, length: usize) -> Option<Grant> {
        let fitting = self.spare.iter().rposition(|spare| spare.len() == length);
        let charge = self.charge.split(length)?;
        let spare = fitting.map(|at| self.spare.swap_remove(at)).into_iter().collect();
        Some(Grant { spare, charge, home: self.home.clone() })
    }

    /// Turns the whole grant into one extent of memory.
    pub(crate) fn lease(mut self) -> ExtentBuffer {
        let length = self.charge.bytes();
        let bytes = match self.spare.pop() {
            Some(spare) if spare.len() == length => spare,
            _ => BytesMut::zeroed(length),
        };
        ExtentBuffer { bytes, lease: Arc::new(Lease { charge: self.charge, home: self.home }) }
    }
}

/// What keeps an extent charged, shared by all parts of it.
#[derive(Debug)]
pub(crate) struct Lease {
    charge: Charge,
    home: Weak<Shared>,
}

impl Lease {
    /// Bytes that are charged while it lives.
    pub(crate) fn bytes(&self) -> usize {
        self.charge.bytes()
    }

    /// Gives memory back, to the free list if it takes it. Only memory that nobody else can see gets here.
    fn recycle(self, bytes: BytesMut) {
        let ledger = self.charge.ledger().clone();
        let refused = match self.home.upgrade() {
            Some(home) if bytes.len() == self.charge.bytes() => lock(&home.free).push(bytes, self.charge),
            _ => Some((bytes, self.charge)),
        };
        drop(refused);
        ledger.wake();
    }
}

/// Exclusively owned, writable memory of one extent.
#[derive(Debug)]
pub(crate) struct ExtentBuffer {
    bytes: BytesMut,
    lease: Arc<Lease>,
}

impl ExtentBuffer {
    pub(crate) fn lease(&self) -> Arc<Lease> {
        self.lease.clone()
    }

    /// Its blocks, in order; together they are this memory.
    pub(crate) fn split(mut self) -> Vec<BlockBuffer> {
        let mut blocks = Vec::with_capacity(self.bytes.len().div_ceil(BLOCK_LENGTH as usize));
        let mut offset = 0;
        while !self.bytes.is_empty() {
            let length = self.bytes.len().min(BLOCK_LENGTH as usize);
            let bytes = self.bytes.split_to(length);
            blocks.push(BlockBuffer { bytes, lease: self.lease.clone(), offset });
            offset += length as u32;
        }
        blocks
    }

    /// From here on the memory is only read.
    pub(crate) fn share(self) -> Arc<Extent> {
        let ExtentBuffer { bytes, lease } = self;
        Arc::new(Extent { runs: vec![Run { bytes: bytes.freeze(), lease }] })
    }
}

impl Deref for ExtentBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for ExtentBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Exclusively owned, writable, initialised memory of one block. Its extent stays charged while it lives.
pub struct BlockBuffer {
    /// Before `lease`, so that memory goes before its charge does.
    bytes: BytesMut,
    lease: Arc<Lease>,
    /// Where it begins in its extent.
    offset: u32,
}

impl BlockBuffer {
    /// Whether this is the part of that extent that begins at `offset`.
    pub(crate) fn is_part_of(&self, lease: &Arc<Lease>, offset: u32) -> bool {
        self.offset == offset && Arc::ptr_eq(&self.lease, lease)
    }

    pub(crate) fn lease(&self) -> Arc<Lease> {
        self.lease.clone()
    }

    /// Whether the other lies right behind this in the same memory.
    fn is_followed_by(&self, other: &Self) -> bool {
        other.is_part_of(&self.lease, self.offset + self.bytes.len() as u32)
    }
}

impl Deref for BlockBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for BlockBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for BlockBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockBuffer({} bytes at {})", self.bytes.len(), self.offset)
    }
}

/// Verified memory of one extent of a piece, shared and no longer written.
#[derive(Debug)]
pub(crate) struct Extent {
    /// One, unless a block of it came in a spare while its own memory was with a slow link.
    runs: Vec<Run>,
}

/// Adjacent memory with one charge.
#[derive(Debug)]
struct Run {
    /// Before `lease`, so that memory goes before its charge does.
    bytes: Bytes,
    lease: Arc<Lease>,
}

impl Extent {
    /// Puts blocks together, in order. Neighbours in memory are joined, nothing is copied.
    pub(crate) fn assemble(blocks: impl IntoIterator<Item = BlockBuffer>) -> Arc<Self> {
        let mut runs: Vec<BlockBuffer> = Vec::with_capacity(1);
        for block in blocks {
            match runs.last_mut() {
                Some(run) if run.is_followed_by(&block) => run.bytes.unsplit(block.bytes),
                _ => runs.push(block),
            }
        }
        let share = |block: BlockBuffer| Run { bytes: block.bytes.freeze(), lease: block.lease };
        Arc::new(Self { runs: runs.into_iter().map(share).collect() })
    }

    pub(crate) fn len(&self) -> usize {
        self.runs().map(<[u8]>::len).sum()
    }

    /// Its bytes, in order.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &[u8]> {
        self.runs.iter().map(|run| &run.bytes[..])
    }

    /// A part of it, for a reader, run by run; the whole extent stays charged until all of them are dropped.
    pub(crate) fn lend(self: Arc<Self>, range: Range<usize>) -> impl Iterator<Item = Bytes> {
        let mut end = 0;
        (0..self.runs.len()).filter_map(move |number| {
            let begin = end;
            end += self.runs[number].bytes.len();
            let part = range.start.max(begin)..range.end.min(end);
            // One small allocation per loan: it is what lets the cache see which extents are in use.
            let loan = || Bytes::from_owner(Loan { extent: Some(self.clone()), run: number });
            (!part.is_empty()).then(|| loan().slice(part.start - begin..part.end - begin))
        })
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        for Run { bytes, lease } in self.runs.drain(..) {
            match bytes.try_into_mut() {
                Ok(bytes) => match Arc::into_inner(lease) {
                    Some(lease) => lease.recycle(bytes),
                    None => drop(bytes),
                },
                Err(shared) => drop(shared),
            }
        }
    }
}

/// A reader's hold on a run of an extent.
struct Loan {
    /// `None` only while it is being dropped.
    extent: Option<Arc<Extent>>,
    run: usize,
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        self.extent.as_deref().map_or(&[], |extent| &extent.runs[self.run].bytes)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(extent) = self.extent.take() else { return };
        let ledger = extent.runs.first().map(|run| run.lease.charge.ledger().clone());
        drop(extent);
        // If the cache holds it too nothing was refunded, but now it can be evicted for whoever waits.
        if let Some(ledger) = ledger {
            ledger.wake();
        }
    }
}

#[cfg(test)]
mod tests;

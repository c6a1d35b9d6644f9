//! What the peer has asked of us: the queue, what is being read for it, and what it may have while choked.

use std::collections::VecDeque;

use afflux_metainfo::{BlockRef, Layout, PieceIndex};

use crate::limits::{
    ALLOWED_FAST_TIMES_MAX, CHOKED_REQUESTS_MAX, EXCESS_REQUESTS_MAX, GONE_PIECES_MAX, INVALID_REQUESTS_MAX,
    REQQ_MAX, SERVED_BLOCK_BYTES_MAX,
};
use crate::violation::Violation;

/// A piece that the peer may have while choked (BEP 6), and how much of it is left to give.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    piece: PieceIndex,
    left_bytes: u64,
}

/// The peer's side of what a request is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    pub(super) layout: Option<&'a Layout>,
    /// We have told the peer that we have this piece.
    pub(super) told: bool,
    pub(super) choked: bool,
    pub(super) interested: bool,
}

/// Requests of the peer.
#[derive(Debug)]
pub(super) struct Uploads {
    capacity: usize,
    queue: VecDeque<BlockRef>,
    /// Given out to be read, and not yet answered.
    reading: VecDeque<BlockRef>,
    reading_bytes: usize,
    allowances: Vec<Allowance>,
    /// Pieces that were taken back (BEP 54), the last one last, and how many requests for each may still have crossed that
    /// word.
    gone: VecDeque<(PieceIndex, u32)>,
    choked_requests: u32,
    choked_requests_max: u32,
    invalid_requests: u32,
    excess_requests: u32,
}

impl Uploads {
    pub(super) fn new(reqq: u32) -> Self {
        Self {
            capacity: reqq.clamp(1, REQQ_MAX) as usize,
            queue: VecDeque::new(),
            reading: VecDeque::new(),
            reading_bytes: 0,
            allowances: Vec::new(),
            gone: VecDeque::new(),
            choked_requests: 0,
            choked_requests_max: CHOKED_REQUESTS_MAX,
            invalid_requests: 0,
            excess_requests: 0,
        }
    }

    /// Lets the peer have this piece while choked.
    pub(super) fn allow(&mut self, piece: PieceIndex, length: u32) {
        let left_bytes = u64::from(length) * u64::from(ALLOWED_FAST_TIMES_MAX);
        self.allowances.push(Allowance { piece, left_bytes });
    }

    /// Takes a request. `Ok(false)`: it is refused, and the peer may have to be told.
    pub(super) fn request(&mut self, block: BlockRef, standing: Standing<'_>) -> Result<bool, Violation> {
        let Some(layout) = standing.layout else {
            return self.refuse_choked();
        };
        if block.length > SERVED_BLOCK_BYTES_MAX || !layout.contains(&block) {
            self.invalid_requests += 1;
            let excused = self.invalid_requests <= INVALID_REQUESTS_MAX;
            return if excused { Ok(false) } else { Err(Violation::InvalidRequests) };
        }
        if !standing.interested || (standing.choked && !self.spend_allowance(block)) {
            return self.refuse_choked();
        }
        if !standing.told && self.crossed(block.index) {
            return Ok(false);
        }
        // A piece that is gone may have been asked before the peer knew: that is nobody's fault, but a
        // flood is.
        if !standing.told || self.queue.len() + self.reading.len() >= self.capacity {
            self.excess_requests += 1;
            let excused = self.excess_requests <= EXCESS_REQUESTS_MAX;
            return if excused { Ok(false) } else { Err(Violation::RequestFlood) };
        }
        self.queue.push_back(block);
        Ok(true)
    }

    /// Takes a request back; says whether it was there to be taken.
    pub(super) fn cancel(&mut self, block: &BlockRef) -> bool {
        if let Some(place) = self.queue.iter().position(|queued| queued == block) {
            self.queue.remove(place);
            return true;
        }
        self.take_reading(block)
    }

    /// We choke: takes out all that a choked peer can't have, and hands it to `refused`.
    pub(super) fn choke(&mut self, mut refused: impl FnMut(BlockRef)) {
        self.choked_requests = 0;
        self.choked_requests_max = CHOKED_REQUESTS_MAX + self.capacity as u32;
        let allowances = &self.allowances;
        let mut stays = |block: &BlockRef| {
            let stays = allowances.iter().any(|allowance| allowance.piece == block.index);
            if !stays {
                refused(*block);
            }
            stays
        };
        self.reading.retain(&mut stays);
        self.queue.retain(&mut stays);
        self.count_reading();
    }

    /// A piece is gone: takes out all requests for it.
    pub(super) fn forget_piece(&mut self, piece: PieceIndex, mut refused: impl FnMut(BlockRef)) {
        if self.gone.len() == GONE_PIECES_MAX {
            self.gone.pop_front();
        }
        self.gone.push_back((piece, self.capacity as u32));
        let mut stays = |block: &BlockRef| {
            if block.index == piece {
                refused(*block);
            }
            block.index != piece
        };
        self.reading.retain(&mut stays);
        self.queue.retain(&mut stays);
        self.count_reading();
    }

    /// The next block to read, if no more than `room` bytes are under way to the peer with it.
    pub(super) fn next(&mut self, room: usize) -> Option<BlockRef> {
        if !self.has_next(room) {
            return None;
        }
        let block = self.queue.pop_front()?;
        self.reading_bytes += block.length as usize;
        self.reading.push_back(block);
        Some(block)
    }

    pub(super) fn has_next(&self, room: usize) -> bool {
        self.reading_bytes < room && !self.queue.is_empty()
    }

    /// A block was read (or couldn't be); says whether the peer still waits for an answer.
    pub(super) fn take_reading(&mut self, block: &BlockRef) -> bool {
        let Some(place) = self.reading.iter().position(|reading| reading == block) else { return false };
        self.reading.remove(place);
        self.reading_bytes -= block.length as usize;
        true
    }

    /// A block left: what went before is forgiven a little.
    pub(super) fn handle_sent(&mut self) {
        self.excess_requests = self.excess_requests.saturating_sub(1);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.reading.len()
    }

    /// Whether a request may have been on its way when the peer was told that the piece is gone.
    fn crossed(&mut self, piece: PieceIndex) -> bool {
        let gone = self.gone.iter_mut().rfind(|(gone, left)| *gone == piece && *left > 0);
        gone.is_some_and(|(_, left)| {
            *left -= 1;
            true
        })
    }

    fn count_reading(&mut self) {
        self.reading_bytes = self.reading.iter().map(|block| block.length as usize).sum();
    }

    fn refuse_choked(&mut self) -> Result<bool, Violation> {
        self.choked_requests += 1;
        let excused = self.choked_requests <= self.choked_requests_max;
        if excused { Ok(false) } else { Err(Violation::RequestsWhileChoked) }
    }

    fn spend_allowance(&mut self, block: BlockRef) -> bool {
        let allowance = self.allowances.iter_mut().find(|allowance| allowance.piece == block.index);
        let left = allowance.and_then(|allowance| {
            allowance.left_bytes = allowance.left_bytes.checked_sub(u64::from(block.length))?;
            Some(allowance.left_bytes)
        });
        left.is_some()
    }
}

//! What hash threads do: take what has arrived of several pieces, and hash it side by side.
//!
//! One lane alone takes more than twice the time per byte of four (see [`hasher`](crate::hasher)), so unless a reader waits
//! for one of the pieces a hash thread lets a moment pass for more of them.

use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::PieceIndex;

use crate::disk::shielded;
use crate::hasher::LANES;
use crate::intake::{Next, Run};
use crate::limits::HASH_GATHER;
use crate::queue::Queue;
use crate::torrent::Torrent;

/// A piece with blocks that are ready. A piece is in the queue at most once.
pub(crate) struct HashJob {
    pub(crate) torrent: Arc<Torrent>,
    pub(crate) piece: PieceIndex,
}

impl HashJob {
    fn is_awaited(&self) -> bool {
        self.torrent.is_awaited(self.piece)
    }
}

/// Waits for jobs for all lanes, or for as many as come in time; `None` when the queue has ended.
pub(crate) fn gather(queue: &Queue<HashJob>) -> Option<Vec<HashJob>> {
    let first = queue.pop()?;
    let mut until = Instant::now();
    if !first.is_awaited() {
        until += HASH_GATHER;
    }
    let mut jobs = vec![first];
    while jobs.len() < LANES
        && let Some(job) = queue.pop_before(until)
    {
        if job.is_awaited() {
            until = Instant::now();
        }
        jobs.push(job);
    }
    Some(jobs)
}

/// Hashes what is ready of these pieces, and decides about those that are complete.
pub(crate) fn hash(jobs: Vec<HashJob>) {
    let mut runs: Vec<(HashJob, Run)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job.torrent.intake.take_run(job.piece) {
            Some(run) => runs.push((job, run)),
            None => job.torrent.job_done(),
        }
    }
    Run::hash(runs.iter_mut().map(|(_, run)| run));
    for (HashJob { torrent, piece }, mut run) in runs {
        let read_back = run
            .spilled()
            .map_or(Ok(()), |(begin, length, hash)| torrent.read_back(piece, begin, length, hash));
        if let Err(error) = read_back {
            shielded(|| torrent.lose_unstored(piece, &error));
            torrent.job_done();
            continue;
        }
        match torrent.intake.return_run(run) {
            Next::Continue => torrent.queue_hash(piece),
            Next::Complete(complete) => shielded(|| torrent.settle(complete)),
            Next::Wait | Next::Gone => {}
        }
        torrent.job_done();
    }
}

//! What a link gives: the peer's requests, answered from memory on the spot or by way of the disk threads.

use std::time::Instant;

use afflux_metainfo::{BLOCK_LENGTH, BlockRef};
use afflux_peer::Connection;
use afflux_storage::{ReadError, Store};
use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::debug;

use super::rates::{Allowance, PeerRates};

/// Reads by disk threads under way at once: two keep the disk busy while one is sent, more only hold memory.
const READS_MAX: usize = 4;

/// An answer of the store to a read.
pub(super) type Answer = (BlockRef, Result<Vec<Bytes>, ReadError>);

/// The uploads of a link.
pub(super) struct Uploads {
    answers: (mpsc::Sender<Answer>, mpsc::Receiver<Answer>),
    reads: usize,
    /// The rate allows nothing until then.
    allowed_at: Option<Instant>,
}

impl Uploads {
    pub(super) fn new() -> Self {
        Self { answers: mpsc::channel(READS_MAX), reads: 0, allowed_at: None }
    }

    /// Serves requests as far as rate and send buffer allow: what is in memory goes to the send buffer, reads are begun for
    /// the rest.
    pub(super) fn serve(
        &mut self,
        connection: &mut Connection,
        rates: &PeerRates,
        store: Option<&Store>,
        now: Instant,
    ) {
        if self.allowed_at.is_some_and(|at| at > now) {
            return;
        }
        if self.allowed_at.take().is_some() && !self.can_begin(connection) {
            // What it waited for was cancelled, or the send buffer is full: others shall not wait for it.
            return rates.give_up_upload();
        }
        while self.can_begin(connection) {
            // The rate is asked before the request is chosen: one that is cancelled while the rate makes us wait
            // must not have used it up.
            if let Allowance::Later(at) = rates.upload(BLOCK_LENGTH as usize, now) {
                self.allowed_at = Some(at);
                return;
            }
            let block = connection.next_upload();
            let length = block.map_or(0, |block| block.length.min(BLOCK_LENGTH));
            rates.upload_unused((BLOCK_LENGTH - length) as usize);
            let Some(block) = block else { return };
            rates.overdraw_upload(block.length.saturating_sub(BLOCK_LENGTH) as usize, now);
            match store {
                Some(store) => self.answer(connection, store, block, now),
                None => connection.refuse_upload(block, now),
            }
        }
    }

    fn answer(&mut self, connection: &mut Connection, store: &Store, block: BlockRef, now: Instant) {
        let range = block.begin..block.begin + block.length;
        if let Some(payload) = store.try_read(block.index, range.clone()) {
            return connection.send_block(block, payload, now);
        }
        self.reads += 1;
        let answers = self.answers.0.clone();
        let reply = move |result| {
            // There is room for every read under way; a closed channel means that the link has ended.
            let _ = answers.try_send((block, result));
        };
        store.read(block.index, range, Box::new(reply));
    }

    /// Waits for the answer to a read.
    pub(super) async fn answered(&mut self) -> Answer {
        match self.answers.1.recv().await {
            Some(answer) => answer,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Sends what a read has brought.
    pub(super) fn handle_answer(
        &mut self,
        connection: &mut Connection,
        (block, result): Answer,
        now: Instant,
    ) {
        self.reads -= 1;
        match result {
            Ok(payload) => connection.send_block(block, payload, now),
            Err(error) => {
                debug!(piece = %block.index, %error, "a request can't be served");
                connection.refuse_upload(block, now);
            }
        }
    }

    /// Whether more could be served now: what was just written has made room, and nothing else tells of it.
    pub(super) fn is_due(&self, connection: &Connection) -> bool {
        self.allowed_at.is_none() && self.can_begin(connection)
    }

    /// The rate may allow what it didn't.
    pub(super) fn wake(&mut self, now: Instant) {
        self.allowed_at = self.allowed_at.map(|at| at.min(now));
    }

    /// When the rate allows the next one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.allowed_at
    }

    fn can_begin(&self, connection: &Connection) -> bool {
        self.reads < READS_MAX && connection.is_upload_due()
    }
}

#[cfg(test)]
mod tests;

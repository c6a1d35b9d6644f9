//! What a torrent's task does about its storage: opening it, verdicts on pieces, stopping and going on.

use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::Bitfield;
use afflux_metainfo::info::Info;
use afflux_storage::{Event as StorageEvent, disk};
use tracing::{debug, info, warn};

use super::super::halt::{Due, Halt};
use super::super::link::ToLink;
use super::super::open::{self, Opened};
use super::super::status::Fault;
use super::{EARLY_VERDICT_MAX, Input, Ready, SAVE_INTERVAL, Task};

impl Task {
    /// A verdict on a piece may overtake the report of its last block, which comes from another thread. It waits for
    /// that report: whatever the swarm did about the piece before, the block would then be counted for the next try.
    pub(super) fn judge(&mut self, event: StorageEvent, now: Instant) {
        if self.is_early(&event) { self.early.push((now, event)) } else { self.stored(event, now) }
    }

    /// Passes on verdicts whose blocks have all been reported, or that have waited too long for a report.
    pub(super) fn pass_early(&mut self, now: Instant) {
        for (since, event) in std::mem::take(&mut self.early) {
            if self.is_early(&event) && now.duration_since(since) < EARLY_VERDICT_MAX {
                self.early.push((since, event));
            } else {
                self.stored(event, now);
            }
        }
    }

    fn is_early(&self, event: &StorageEvent) -> bool {
        match event {
            StorageEvent::Verified { piece, .. } => self.config.swarm.awaits_blocks(*piece),
            StorageEvent::Failed { piece, attempt, .. } => {
                self.attempts.goes_on(*piece, *attempt) && self.config.swarm.awaits_blocks(*piece)
            }
            _ => false,
        }
    }

    pub(super) fn stored(&mut self, event: StorageEvent, now: Instant) {
        match event {
            StorageEvent::Verified { piece, digests } => {
                self.attempts.end(piece);
                self.config.swarm.handle_verified(piece, digests.as_deref(), now);
            }
            // Its blocks were discarded before it was known to be wrong; whoever sent some since is innocent.
            StorageEvent::Failed { piece, attempt, .. } if !self.attempts.goes_on(piece, attempt) => {}
            StorageEvent::Failed { piece, digests, .. } => {
                warn!(%piece, "a piece's hash is wrong; its senders are suspects");
                self.attempts.end(piece);
                self.config.swarm.handle_failed(piece, &digests, now);
                if self.config.swarm.wants_digests(piece) {
                    self.with_store(|store| store.want_digests(piece));
                }
            }
            StorageEvent::Written { .. } => {
                self.save_due.get_or_insert(now + SAVE_INTERVAL);
                if self.halt.is_some_and(|halt| halt.is_over()) {
                    self.go_on(now);
                }
            }
            StorageEvent::Lost { piece, error } => {
                match error {
                    // Storage checks it, and says so once.
                    disk::Error::Changed { .. } => debug!(%piece, "a piece has to be checked"),
                    error => warn!(%piece, %error, "a piece can't be read any more; it is fetched again"),
                }
                self.config.swarm.handle_lost(&[piece], now);
                self.want_only_what_is_there(now);
            }
            StorageEvent::Unstored { piece } => {
                self.attempts.end(piece);
                // If it has been begun anew since, that ends too: both sides start afresh.
                self.with_store(|store| store.discard(piece));
                self.config.swarm.handle_unstored(piece, now);
            }
            StorageEvent::Stopped(error) => self.pause(&error, now),
            StorageEvent::Checked { piece, ok, done, total } => self.checked(piece, ok, (done, total), now),
            StorageEvent::CheckFinished { have } => self.check_finished(have, now),
        }
    }

    /// Opens storage off this task; the answer is [`Input::Opened`].
    pub(super) fn open(&mut self, info: Info) {
        self.opening = true;
        let info = Arc::new(info);
        self.config.info.send_replace(Some(Arc::clone(&info)));
        self.tell_links(&ToLink::Metadata(info.raw.clone()));
        if info.private {
            self.config.discovery.leave_dht();
        }
        let place = self.config.place.clone();
        let (shared, readers) = (Arc::clone(&self.config.shared), Arc::clone(&self.config.readers));
        let (to_self, to_events) = (self.config.to_self.clone(), self.config.to_self.clone());
        let notify = Arc::new(move |event: StorageEvent| {
            if let StorageEvent::Verified { piece, .. }
            | StorageEvent::Lost { piece, .. }
            | StorageEvent::Checked { piece, ok: true, .. } = event
            {
                readers.wake(piece);
            }
            // Fails only when the torrent is gone; then nobody cares.
            let _ = to_events.blocking_send(Input::Storage(event));
        });
        let waiting = Arc::clone(&self.config.readers);
        tokio::task::spawn_blocking(move || {
            let opened = open::open(info, &place, &shared, notify);
            if let Ok(opened) = &opened {
                opened.store.tell_awaited(Arc::new(move |piece| waiting.is_awaited(piece)));
            }
            let _ = to_self.blocking_send(Input::Opened(opened.map(Box::new)));
        });
    }

    pub(super) fn opened(&mut self, opened: Opened, now: Instant) {
        self.lock = opened.lock;
        self.share = opened.share.map(|share| (share, 0));
        self.apply_share(now);
        if self.share.is_none() {
            // Those that are written as they come need memory only for what is asked for.
            let open_bytes = self.config.shared.open_bytes_max(&opened.layout);
            self.config.swarm.set_open_bytes_max(open_bytes, now);
        }
        if !opened.priorities.is_empty() {
            // What was said since the start is newer than what is remembered.
            self.wishes.priorities.get_or_insert(opened.priorities);
        }
        self.partial = opened.partial;
        self.wishes.unsaved = opened.is_new && self.config.place.resume_dir.is_some();
        let ready = Arc::new(Ready { layout: opened.layout, info: opened.info, store: opened.store });
        if opened.recheck.is_empty() && opened.spots.is_empty() {
            return self.begin(ready, opened.have, now);
        }
        self.check(ready, opened.recheck, opened.spots, opened.strangers);
    }

    /// Tells the swarm how much memory it may use, if that has changed: other torrents came or went.
    pub(super) fn apply_share(&mut self, now: Instant) {
        let Some((share, told_bytes)) = &mut self.share else { return };
        let share_bytes = share.bytes();
        if std::mem::replace(told_bytes, share_bytes) != share_bytes {
            let (open_bytes, keep_bytes) = share.split(share_bytes);
            self.config.swarm.set_open_bytes_max(open_bytes, now);
            self.config.swarm.set_keep_bytes_max(keep_bytes, now);
        }
    }

    /// Metadata and storage are there: transfer.
    pub(super) fn begin(&mut self, ready: Arc<Ready>, have: Bitfield, now: Instant) {
        // What is wanted is told when storage knows of it too.
        self.wishes.hold |= self.wishes.priorities.is_some();
        if self.wishes.hold || self.wishes.unsaved {
            self.config.swarm.pause(now);
        }
        self.config.swarm.learn_layout(Arc::clone(&ready.layout), have, now);
        for partial in std::mem::take(&mut self.partial) {
            if !self.config.swarm.resume_piece(partial.piece, &partial.blocks, now) {
                ready.store.discard(partial.piece);
            }
        }
        self.tell_links(&ToLink::Ready(Arc::clone(&ready)));
        self.ready = Some(Arc::clone(&ready));
        self.apply_priorities();
        self.want_only_what_is_there(now);
        self.config.ready.send_replace(Some(ready));
        match self.wishes.unsaved {
            true => self.save_first(),
            false => self.save_due = Some(now),
        }
        self.act(now);
        // Complete from the start is no event for trackers (BEP 3).
        self.completed = false;
        self.tick(now);
        self.config.discovery.start_trackers();
    }

    /// Read-only storage takes no blocks, so what is missing there isn't wanted.
    pub(super) fn want_only_what_is_there(&mut self, now: Instant) {
        if let Some(ready) = self.ready.as_ref().filter(|_| self.config.place.read_only) {
            self.config.swarm.select(ready.store.have_all(), now);
        }
    }

    pub(super) fn parse_metadata(&mut self, raw: bytes::Bytes, now: Instant) {
        if self.opening {
            // A .torrent said it all, and its storage is being opened: peers were only quicker to tell it again.
            return;
        }
        match Info::from_metadata(raw) {
            Ok(info) => match info.transferable() {
                Ok(()) => self.open(info),
                Err(reason) => self.fail(reason.to_string()),
            },
            Err(error) => {
                // The hash is right, so every peer would send the same: another try changes nothing.
                self.config.swarm.reject_metadata(now);
                self.fail(format!("the torrent's metadata is broken: {error}"));
            }
        }
    }

    pub(super) fn fail(&mut self, reason: String) {
        warn!(%reason, "the torrent can't go on");
        self.error = Some((Fault::Torrent, reason));
        self.config.swarm.pause(Instant::now());
        self.config.readers.wake_all();
        self.next_tick = Instant::now();
    }

    /// Writing has stopped: nothing more is asked, what is there is served on.
    pub(super) fn pause(&mut self, error: &disk::Error, now: Instant) {
        warn!(%error, "writing has stopped");
        self.error = Some((error.into(), error.to_string()));
        self.halt = Some(Halt::new(now));
        self.config.swarm.pause(now);
        self.next_tick = now;
    }

    /// Tries to write again when it's time.
    pub(super) fn retry(&mut self, now: Instant) {
        match self.halt.as_mut().map_or(Due::Nothing, |halt| halt.look(now)) {
            Due::Nothing => {}
            Due::Retry => {
                if let Some(ready) = self.ready.clone() {
                    // Off this task: what is lost by now is told at once, through our own inbox.
                    tokio::task::spawn_blocking(move || ready.store.retry());
                }
            }
            Due::GoOn => self.go_on(now),
        }
    }

    /// Writing works again.
    fn go_on(&mut self, now: Instant) {
        info!("writing goes on");
        (self.halt, self.error) = (None, None);
        if self.wishes.hold {
            self.apply_priorities();
        }
        self.unpause(now);
        self.next_tick = now;
    }
}

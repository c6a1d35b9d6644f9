//! What a torrent's task does about its files: how much each is wanted, what they are called, where they lie.
//!
//! Storage is told first, off this task, and the swarm when storage is ready: what isn't wanted any more must not be
//! made, and what is wanted again is to be found in its place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::FileIndex;
use afflux_storage::{Kind, disk};
use afflux_swarm::Priority;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::super::open;
use super::{Input, Task};
use crate::failure::Failure;

/// Where the wishes about a torrent's files are.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// How much each file is wanted, if that was ever said.
    pub(super) priorities: Option<Vec<Priority>>,
    /// Nothing is fetched before that was said.
    pub(super) hold: bool,
    /// Nothing is written before something is remembered: after a kill nobody could say whose files these are.
    pub(super) unsaved: bool,
    /// Storage is being told.
    applying: bool,
    /// They changed while it was.
    again: bool,
    /// Who waits until the status counts by them.
    waiting: Vec<oneshot::Sender<()>>,
    /// The files are being moved.
    moving: bool,
}

impl Wishes {
    /// Nothing was said yet.
    pub(super) fn new(hold: bool) -> Self {
        Self { hold, ..Self::default() }
    }
}

/// The files are in another folder, or not, and whoever asked for it waits.
pub(in crate::engine) struct Moved {
    dir: PathBuf,
    outcome: Result<(), disk::Error>,
    done: oneshot::Sender<Result<(), Failure>>,
}

impl Task {
    pub(super) fn prioritize(&mut self, priorities: Vec<Priority>, done: oneshot::Sender<()>) {
        self.wishes.priorities = Some(priorities);
        // Before storage is there nothing is counted yet, and nobody has to wait.
        if self.ready.is_some() {
            self.wishes.waiting.push(done);
        }
        self.apply_priorities();
    }

    /// Tells storage what isn't wanted; [`Input::Sorted`] says that it knows.
    pub(super) fn apply_priorities(&mut self) {
        let (Some(priorities), Some(ready)) = (&self.wishes.priorities, self.ready.clone()) else { return };
        if std::mem::replace(&mut self.wishes.applying, true) {
            self.wishes.again = true;
            return;
        }
        let unwanted = open::unwanted(priorities);
        let to_self = self.config.to_self.clone();
        tokio::task::spawn_blocking(move || {
            let sorted = ready.store.leave_out(&unwanted);
            // Fails only when the torrent is gone.
            let _ = to_self.blocking_send(Input::Sorted(sorted));
        });
    }

    /// Storage knows what isn't wanted.
    pub(super) fn sorted(&mut self, outcome: Result<(), disk::Error>, now: Instant) {
        self.wishes.applying = false;
        if let Err(error) = outcome {
            // Tried again with the writing.
            self.pause(&error, now);
            self.tick(now);
            return self.wishes.waiting.clear();
        }
        if std::mem::take(&mut self.wishes.again) {
            return self.apply_priorities();
        }
        self.wishes.hold = false;
        self.tell_priorities(now);
        self.unpause(now);
        self.save_due.get_or_insert(now);
        self.tick(now);
        self.wishes.waiting.clear();
    }

    /// The swarm fetches what is wanted.
    fn tell_priorities(&mut self, now: Instant) {
        if let Some(priorities) = &self.wishes.priorities {
            self.config.swarm.prioritize(priorities, now);
        }
        self.want_only_what_is_there(now);
    }

    /// Goes on, if nothing speaks against it.
    pub(super) fn unpause(&mut self, now: Instant) {
        if self.halt.is_none() && !self.wishes.hold && !self.wishes.unsaved && !self.wishes.moving {
            self.config.swarm.resume(now);
        }
    }

    pub(super) fn rename(
        &mut self,
        file: FileIndex,
        path: Vec<String>,
        done: oneshot::Sender<Result<(), Failure>>,
        now: Instant,
    ) {
        let Some(ready) = self.ready.clone() else { return refuse(done) };
        self.save_due = Some(now);
        tokio::task::spawn_blocking(move || {
            let renamed = ready.store.rename(file, path);
            let _ = done.send(renamed.map_err(|error| Failure::work(error.to_string())));
        });
    }

    /// Moves all files; nothing is fetched meanwhile. [`Input::Moved`] says how it went.
    pub(super) fn move_to(&mut self, dir: PathBuf, done: oneshot::Sender<Result<(), Failure>>, now: Instant) {
        let Some(ready) = self.ready.clone().filter(|_| !self.wishes.moving) else { return refuse(done) };
        self.wishes.moving = true;
        self.config.swarm.pause(now);
        let to_self = self.config.to_self.clone();
        tokio::task::spawn_blocking(move || {
            let outcome = ready.store.move_to(&dir);
            let _ = to_self.blocking_send(Input::Moved(Moved { dir, outcome, done }));
        });
    }

    pub(super) fn moved(&mut self, moved: Moved, now: Instant) {
        let Moved { dir, outcome, done } = moved;
        self.wishes.moving = false;
        match &outcome {
            Ok(()) => {
                info!(dir = %dir.display(), "the files were moved");
                self.config.place.kind = Kind::Disk { dir };
                self.save_due = Some(now);
            }
            Err(error) => warn!(%error, "the files stay where they are"),
        }
        self.unpause(now);
        // Whoever asked may be gone.
        let _ = done.send(outcome.map_err(|error| Failure::work(error.to_string())));
    }

    /// Remembers a new torrent; [`Input::Saved`] says that it is.
    pub(super) fn save_first(&mut self) {
        let Some(ready) = self.ready.clone() else { return };
        let (place, priorities) = (self.config.place.clone(), self.remembered_priorities());
        let to_self = self.config.to_self.clone();
        self.saving = Some(tokio::task::spawn_blocking(move || {
            open::save(&ready, &place, &priorities);
            // Fails only when the torrent is gone, which then waits for this.
            let _ = to_self.blocking_send(Input::Saved);
        }));
    }

    pub(super) fn saved(&mut self, now: Instant) {
        self.wishes.unsaved = false;
        self.unpause(now);
    }

    /// What is remembered of the wishes.
    pub(super) fn remembered_priorities(&self) -> Arc<[Priority]> {
        self.wishes.priorities.as_deref().unwrap_or_default().into()
    }
}

fn refuse(done: oneshot::Sender<Result<(), Failure>>) {
    let _ = done.send(Err(Failure::work("the torrent's files aren't open yet, or are being moved already")));
}

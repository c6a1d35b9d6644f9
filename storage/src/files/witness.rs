//! Whether somebody else changes our files: what a file looked like when we last touched it, and what it looks like now.
//!
//! A file that we write changes all the time, so nothing is known of it until that write is over. What two threads write
//! at once isn't known until one alone does.

use std::collections::{BTreeMap, BTreeSet};

use afflux_metainfo::FileIndex;

use super::walk::{fingerprint_of, retry};
use super::{Files, Handle, PARTS, Places, Survey};
use crate::disk::Error;
use crate::lock::lock;
use crate::resume::Fingerprint;

/// What is known of each file that was opened.
#[derive(Default)]
pub(super) struct Witness {
    /// By number, as far as any is known.
    files: Vec<Option<Fingerprint>>,
    parts: Option<Fingerprint>,
    writing: BTreeMap<FileIndex, Writing>,
    /// Files that are other than they were known.
    changed: BTreeSet<FileIndex>,
}

#[derive(Default)]
struct Writing {
    threads: u32,
    /// More than one at once, at some time.
    crowded: bool,
}

impl Witness {
    /// Files as they were when it was decided what of them can be trusted.
    pub(super) fn new(survey: Survey) -> Self {
        Self { files: survey.files, parts: survey.parts, ..Self::default() }
    }

    /// What the file should look like, if that can be said.
    pub(super) fn known(&self, file: FileIndex) -> Option<Fingerprint> {
        if file == PARTS { self.parts } else { self.files.get(file.as_usize()).copied().flatten() }
    }

    /// The file is seen for the first time, or nothing changes.
    pub(super) fn meet(&mut self, file: FileIndex, now: Option<Fingerprint>) {
        if self.known(file).is_none() && !self.writing.contains_key(&file) {
            self.note(file, now);
        }
    }

    /// We are about to write to it; gives what it should look like before.
    pub(super) fn begin_write(&mut self, file: FileIndex) -> Option<Fingerprint> {
        let writing = self.writing.entry(file).or_default();
        writing.threads += 1;
        writing.crowded |= writing.threads > 1;
        let before = self.known(file);
        self.note(file, None);
        before
    }

    pub(super) fn end_write(&mut self, file: FileIndex, now: Option<Fingerprint>) {
        let Some(writing) = self.writing.get_mut(&file) else { return };
        writing.threads -= 1;
        if writing.threads > 0 {
            return;
        }
        let crowded = writing.crowded;
        self.writing.remove(&file);
        if !crowded {
            self.note(file, now);
        }
    }

    /// Files that changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<FileIndex> {
        std::mem::take(&mut self.changed)
    }

    /// The files are others now.
    pub(super) fn forget_all(&mut self) {
        (self.files, self.parts) = Default::default();
    }

    /// We changed the file, and not by writing.
    pub(super) fn forget(&mut self, file: FileIndex) {
        self.note(file, None);
    }

    fn note(&mut self, file: FileIndex, now: Option<Fingerprint>) {
        if file == PARTS {
            self.parts = now;
            return;
        }
        if self.files.len() <= file.as_usize() && now.is_some() {
            self.files.resize(file.as_usize() + 1, None);
        }
        if let Some(known) = self.files.get_mut(file.as_usize()) {
            *known = now;
        }
    }
}

impl Files {
    /// Says that a file was changed if it isn't as it was known `before`, and that wasn't us.
    pub(super) fn attest(
        &self,
        places: &Places,
        file: FileIndex,
        before: Option<Fingerprint>,
        now: Option<Fingerprint>,
    ) -> Result<(), Error> {
        if before.is_none() || before == now {
            return Ok(());
        }
        {
            let mut state = lock(&self.state);
            // We wrote to it meanwhile.
            if state.witness.known(file) != before {
                return Ok(());
            }
            state.witness.note(file, now);
        }
        Err(self.changed(places, file))
    }

    /// Whether a file is as it is known. If not, a read of it says more.
    pub(super) fn is_as_known(&self, file: FileIndex, handle: &Handle) -> bool {
        let known = lock(&self.state).witness.known(file);
        known.is_none() || known == fingerprint(handle) || lock(&self.state).witness.known(file) != known
    }

    pub(super) fn changed(&self, places: &Places, file: FileIndex) -> Error {
        lock(&self.state).witness.changed.insert(file);
        Error::Changed { path: places.path(file) }
    }
}

pub(super) fn fingerprint(handle: &Handle) -> Option<Fingerprint> {
    retry(|| rustix::fs::fstat(&handle.fd)).ok().and_then(|stat| fingerprint_of(&stat))
}

//! What is on disk of torrents that don't run: looking at it, and removing it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use afflux_metainfo::info::Info;
use afflux_metainfo::{Bitfield, InfoHash};
use afflux_storage::{Resume, remove_files};
use tracing::info;

use super::Engine;
use crate::failure::Failure;

/// What is remembered of a torrent.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// What is shared.
    pub info: Info,
    /// Its verified pieces, as far as it was saved.
    pub have: Bitfield,
    /// Files that aren't called as the torrent says.
    renamed: Vec<(afflux_metainfo::FileIndex, Vec<String>)>,
}

impl Engine {
    /// What is remembered of a torrent in files, running or not. Reads a file: blocks.
    pub fn remembered(&self, info_hash: InfoHash) -> Option<Remembered> {
        remembered(&self.shared.resume_folder(), info_hash)
    }

    /// Whether what is remembered of a torrent lies in this folder, as it was left. Looks at its files: blocks.
    pub fn lies_in(&self, info_hash: InfoHash, dir: &Path) -> bool {
        let resume = self.shared.resume_folder();
        let Some(remembered) = remembered(&resume, info_hash) else { return false };
        let Ok(Some(resume)) = Resume::load(&resume, info_hash) else { return false };
        let trusted = resume.trust(&Arc::new(remembered.info.layout), dir, 0);
        trusted.is_ok_and(|trusted| trusted.have.count() > 0)
    }

    /// Removes a torrent's files from a folder, and what is remembered of it; says how many files that were. Waits for a run of
    /// it that is ending.
    ///
    /// Files of which nothing is remembered stay: nobody can say whose they are.
    ///
    /// # Errors
    /// It runs, or files can't be removed.
    pub async fn erase(&self, info_hash: InfoHash, dir: PathBuf) -> Result<u32, Failure> {
        if self.get(info_hash).is_some() {
            return Err(Failure::work("the torrent runs: its files are needed"));
        }
        let (turns, resume) = (Arc::clone(&self.shared.turns), self.shared.resume_folder());
        let work = move || {
            let _turn = turns.take(&resume, info_hash).map_err(|error| Failure::work(error.to_string()))?;
            let Some(Remembered { info, renamed, .. }) = remembered(&resume, info_hash) else { return Ok(0) };
            let removed = remove_files(&dir, &Arc::new(info.layout), info_hash, &renamed);
            let removed = removed.map_err(|error| Failure::work(error.to_string()))?;
            Resume::remove(&resume, info_hash).map_err(|error| Failure::work(error.to_string()))?;
            info!(files = removed, dir = %dir.display(), "a torrent's files were removed");
            Ok(removed)
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(Failure::work(format!("the files can't be removed: {error}"))))
    }
}

/// Whatever can't be read or is another torrent's is as good as nothing: it is checked when the torrent runs.
pub(super) fn remembered(folder: &Path, info_hash: InfoHash) -> Option<Remembered> {
    let Resume { extra, have, renamed, .. } = Resume::load(folder, info_hash).ok()??;
    let info = Info::from_metadata(extra.into()).ok()?;
    let fits = info.hashes.wire() == info_hash
        && info.transferable().is_ok()
        && have.length() == info.layout.piece_count();
    fits.then_some(Remembered { info, have, renamed })
}

//! Downloads: torrents that users keep for offline viewing.
//!
//! A download is a row of the database ([`kept`]) and, while it has something to do, a use of its torrent. Once a second
//! ([`running`]) those with something to do get a place, their progress is looked at, and those that are over are let go: their
//! files stay, and streams read them from disk. Users who keep the same torrent share its files ([`places`]).

mod content;
mod kept;
mod places;
mod running;
mod shapes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use afflux_metainfo::limits::FILES_MAX;
use afflux_metainfo::{FileIndex, InfoHash, InfoHashes};

use self::kept::Kept;
pub use self::shapes::{DownloadChanges, DownloadState, DownloadStatus, DownloadWish};
use super::catalog::Named;
use super::refusal::{Code, Refusal};
use super::{Dropping, Page, Shared, SourceInput, StreamingService, unix_now};
use crate::auth::{Identity, Scope};
use crate::database::limits::DOWNLOADS_PER_USER_MAX;
use crate::database::{Download, Progress};
use crate::source::Source;
use crate::user::User;

/// Downloads of one user that run at once; the others wait. Each has connections of its own, and none is quicker for there being
/// more.
const RUNNING_PER_USER_MAX: usize = 20;
/// Downloads of all users that run at once. Each costs memory and timers, also when nobody answers it.
const RUNNING_MAX: usize = 1000;
/// Downloads that begin in one look: a start after which many begin must not hold up the streams, which are looked at by the same
/// task.
const BEGUN_AT_ONCE_MAX: usize = 16;
/// Downloads of all users: all of them are looked at every second.
const DOWNLOADS_MAX: usize = 20_000;
/// What a ratio may be, as on the command line.
const RATIO_MAX: f64 = 1000.0;
/// Numbers of files in one answer: a thousand downloads of some of ten thousand files each would be 70 MB.
const FILES_TOLD_MAX: usize = 100_000;

/// All downloads. Its lock is a leaf.
#[derive(Debug, Default)]
pub(super) struct Downloads {
    kept: Mutex<BTreeMap<InfoHash, BTreeMap<User, Arc<Kept>>>>,
    /// Held while one is added, so that nobody has two of one torrent.
    adding: tokio::sync::Mutex<()>,
    /// What is there of those of the last run is known.
    is_learned: AtomicBool,
}

impl Downloads {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<InfoHash, BTreeMap<User, Arc<Kept>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All, of all users.
    fn all(&self) -> Vec<Arc<Kept>> {
        self.lock().values().flat_map(BTreeMap::values).map(Arc::clone).collect()
    }

    /// All of one torrent.
    fn of(&self, hash: InfoHash) -> Vec<Arc<Kept>> {
        self.lock().get(&hash).into_iter().flat_map(BTreeMap::values).map(Arc::clone).collect()
    }

    fn find(&self, user: &User, hash: InfoHash) -> Option<Arc<Kept>> {
        self.lock().get(&hash)?.get(user).map(Arc::clone)
    }

    fn insert(&self, kept: Kept) -> Arc<Kept> {
        let kept = Arc::new(kept);
        self.lock().entry(kept.info_hash).or_default().insert(kept.user.clone(), Arc::clone(&kept));
        kept
    }

    fn remove(&self, kept: &Kept) {
        let mut all = self.lock();
        if let Some(users) = all.get_mut(&kept.info_hash) {
            users.remove(&kept.user);
            if users.is_empty() {
                all.remove(&kept.info_hash);
            }
        }
    }

    /// Refuses a further download of a user beyond the bounds.
    fn check_room(&self, user: &User) -> Result<(), Refusal> {
        let all = self.all();
        let own = all.iter().filter(|kept| kept.user == *user).count();
        if own as u64 >= DOWNLOADS_PER_USER_MAX {
            let detail = format!("you keep {own} torrents, which is all a user may: remove some of them");
            return Err(Refusal::new(Code::TooManyDownloads, detail));
        }
        if all.len() >= DOWNLOADS_MAX {
            return Err(Refusal::new(Code::Full, "the daemon keeps as many torrents as it can"));
        }
        Ok(())
    }

    /// Where a torrent's files are kept, if that is settled.
    pub(super) fn folder_of(&self, hash: InfoHash) -> Option<PathBuf> {
        self.of(hash).iter().find_map(|kept| kept.state().folder().map(Path::to_path_buf))
    }

    /// Whether another torrent's files are or will be called this in a folder.
    fn has_claim(&self, folder: &Path, top: &str, but: InfoHash) -> bool {
        self.all().iter().filter(|kept| kept.info_hash != but).any(|kept| {
            let state = kept.state();
            state.folder() == Some(folder) && state.content.as_ref().is_some_and(|content| content.top == top)
        })
    }

    /// Whether somebody else than this user keeps a torrent.
    fn others_keep(&self, user: &User, hash: InfoHash) -> bool {
        self.of(hash).iter().any(|kept| kept.user != *user)
    }
}

impl StreamingService {
    /// Keeps a torrent for offline viewing. Answers at once: the metadata of a magnet link is fetched afterwards, for as long as
    /// that takes. Asked for again, it is what it was.
    ///
    /// # Errors
    /// A torrent or a wish that can't be understood, a source that the policy forbids, too many downloads; also if it is kept
    /// already and something else is wished now.
    pub async fn add_download(
        &self,
        who: &Identity,
        input: SourceInput,
        wish: DownloadWish,
    ) -> Result<DownloadStatus, Refusal> {
        let shared = &self.shared;
        let wish = Checked::new(wish)?;
        shared.downloads.check_room(&who.user)?;
        let named = shared.name(who, input, false).await?;
        let hash = named.source.hashes().wire();
        let _turn = shared.downloads.adding.lock().await;
        if let Some(known) = shared.downloads.find(&who.user, hash) {
            return match wish == Checked::default() {
                true => Ok(shared.shape(who, &known)),
                false => Err(Refusal::new(Code::Conflict, "you keep this torrent already: PATCH changes it")),
            };
        }
        shared.downloads.check_room(&who.user)?;
        let row = wish.row(&who.user, &named)?;
        shared.database.downloads().save(row.clone()).await?;
        let account = shared.accounts.get(&who.user);
        let kept = Kept::new(row, named.source.name(), account);
        shared.learn(&kept).await;
        let kept = shared.downloads.insert(kept);
        shared.tell_download(&kept);
        Ok(shared.shape(who, &kept))
    }

    /// This user's downloads, those that were asked for last first; everybody's for admins. A page may have fewer than were asked
    /// for, and then there may be more all the same; the one after the last is empty.
    ///
    /// # Errors
    /// A page that can't be understood.
    pub fn downloads(&self, who: &Identity, page: &Page) -> Result<Vec<DownloadStatus>, Refusal> {
        let everybody = who.scopes.contains(Scope::Admin);
        let key = |kept: &Kept| (kept.added_at, kept.info_hash);
        let after = page.cursor()?.map(|cursor| (cursor.added_at, cursor.info_hash));
        let mut all = self.shared.downloads.all();
        all.retain(|kept| {
            (everybody || kept.user == who.user) && after.is_none_or(|after| key(kept) < after)
        });
        all.sort_by(|a, b| key(b).cmp(&key(a)).then_with(|| a.user.cmp(&b.user)));
        let limit = Page::size(page.limit)?;
        let (mut shown, mut last, mut files) = (Vec::new(), None, 0);
        for kept in all {
            // The next page begins after what is equal to the last one.
            if (shown.len() >= limit || files >= FILES_TOLD_MAX) && last != Some(key(&kept)) {
                break;
            }
            last = Some(key(&kept));
            let shape = self.shared.shape(who, &kept);
            files += shape.files.as_ref().map_or(0, Vec::len);
            shown.push(shape);
        }
        Ok(shown)
    }

    /// One of this user's downloads; anybody's for admins.
    ///
    /// # Errors
    /// There is none.
    pub async fn download(&self, who: &Identity, hashes: InfoHashes) -> Result<DownloadStatus, Refusal> {
        let kept = self.shared.own_download(who, hashes).await?;
        Ok(self.shared.shape(who, &kept))
    }

    /// Changes a download.
    ///
    /// # Errors
    /// There is none, or a change that can't be understood; then nothing is changed.
    pub async fn change_download(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        changes: DownloadChanges,
    ) -> Result<DownloadStatus, Refusal> {
        let kept = self.shared.own_download(who, hashes).await?;
        self.shared.change(&kept, changes).await?;
        self.shared.tell_download(&kept);
        Ok(self.shared.shape(who, &kept))
    }

    /// Stops a download. What is there stays and can be streamed.
    ///
    /// # Errors
    /// There is none.
    pub async fn pause_download(
        &self,
        who: &Identity,
        hashes: InfoHashes,
    ) -> Result<DownloadStatus, Refusal> {
        let changes = DownloadChanges { paused: Some(true), ..DownloadChanges::default() };
        self.change_download(who, hashes, changes).await
    }

    /// Lets a download go on, also one that failed.
    ///
    /// # Errors
    /// There is none.
    pub async fn resume_download(
        &self,
        who: &Identity,
        hashes: InfoHashes,
    ) -> Result<DownloadStatus, Refusal> {
        let changes = DownloadChanges { paused: Some(false), ..DownloadChanges::default() };
        self.change_download(who, hashes, changes).await
    }

    /// Forgets a download. Its files stay, unless they are to be deleted: that ends this user's stream of them too.
    ///
    /// # Errors
    /// There is none; files are to be deleted and others keep or stream the torrent, unless an admin forces it; or they can't be
    /// deleted, and then the download stays.
    pub async fn remove_download(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        dropping: Dropping,
    ) -> Result<(), Refusal> {
        let kept = self.shared.own_download(who, hashes).await?;
        check_force(who, dropping)?;
        self.shared.let_go(&kept, dropping).await
    }
}

/// Refuses to force something for who isn't an admin.
pub(super) fn check_force(who: &Identity, dropping: Dropping) -> Result<(), Refusal> {
    match dropping.force && !who.scopes.contains(Scope::Admin) {
        true => Err(Refusal::new(Code::Forbidden, "force is for admins")),
        false => Ok(()),
    }
}

impl Shared {
    /// One of a user's downloads, or anybody's for an admin.
    async fn own_download(&self, who: &Identity, hashes: InfoHashes) -> Result<Arc<Kept>, Refusal> {
        let hash = self.wire(who, hashes).await?;
        let own = self.downloads.find(&who.user, hash);
        let any = || self.downloads.of(hash).into_iter().next().filter(|_| who.scopes.contains(Scope::Admin));
        own.or_else(any).ok_or_else(|| {
            Refusal::new(Code::NoDownload, "you don't keep this torrent: POST it to /api/downloads first")
        })
    }

    fn shape(&self, who: &Identity, kept: &Kept) -> DownloadStatus {
        kept.state().status(self.settings(), who.scopes.contains(Scope::Admin))
    }

    async fn change(&self, kept: &Kept, changes: DownloadChanges) -> Result<(), Refusal> {
        let _turn = kept.changing.lock().await;
        let mut row = {
            let state = kept.state();
            if state.is_removed {
                return Err(Refusal::new(Code::NoDownload, "it is being removed"));
            }
            state.written()
        };
        let before = row.files.clone();
        apply(&mut row, changes)?;
        let are_others = row.files != before;
        if are_others {
            self.check_files(kept, row.files.as_deref()).await?;
            row.progress.finished_at = None;
        }
        self.database.downloads().save(row.clone()).await?;
        {
            let mut state = kept.state();
            let progress = Progress {
                finished_at: state.row.progress.finished_at.filter(|_| !are_others),
                ..state.row.progress
            };
            state.row = Download { progress, ..row };
            // Whoever changes something wants it tried again.
            state.trouble = None;
            let wish = state.wish();
            if let Some(run) = &mut state.run {
                run.using.wish(wish);
                run.counted = None;
            }
        }
        if are_others && kept.torrent().is_none() {
            self.learn(kept).await;
        }
        if kept.state().row.paused {
            self.stop_download(kept, Instant::now());
        }
        self.torrents.look(Instant::now());
        Ok(())
    }

    /// Refuses files that a torrent doesn't have, as far as it is known.
    async fn check_files(&self, kept: &Kept, files: Option<&[FileIndex]>) -> Result<(), Refusal> {
        let running = kept.torrent().and_then(|torrent| torrent.info());
        let checked =
            match (running, self.named_by(&kept.user, kept.info_hash).await.map(|named| named.source)) {
                (Some(info), _) => content::check(&info.layout, files),
                (None, Ok(Source::Torrent(torrent))) => content::check(&torrent.info.layout, files),
                // It is checked when the metadata is there.
                (None, _) => Ok(()),
            };
        checked.map_err(|detail| Refusal::new(Code::NoFile, detail))
    }

    /// Forgets a download, with its files if that is wished.
    pub(super) async fn let_go(&self, kept: &Arc<Kept>, dropping: Dropping) -> Result<(), Refusal> {
        if dropping.delete_data {
            // Before this one's turn: two that force each other out would wait for each other.
            self.clear_the_way(&kept.user, kept.info_hash, dropping.force).await?;
        }
        let _turn = kept.changing.lock().await;
        let folder = {
            let mut state = kept.state();
            if std::mem::replace(&mut state.is_removed, true) {
                return Ok(());
            }
            state.folder().map(Path::to_path_buf).filter(|_| dropping.delete_data)
        };
        self.stop_download(kept, Instant::now());
        let gone = match folder {
            Some(folder) => self.erase(kept.info_hash, folder).await,
            None => Ok(()),
        };
        let gone = match gone {
            Ok(()) => self.database.downloads().remove(&kept.user, kept.info_hash).await.map_err(Into::into),
            Err(refusal) => Err(refusal),
        };
        match &gone {
            Ok(_) => self.downloads.remove(kept),
            Err(_) => kept.state().is_removed = false,
        }
        gone.map(drop)
    }

    /// Forgets a user's download of a torrent, if there is one; with its files, wherever they are, if that is wished.
    pub(super) async fn let_go_of_files(
        &self,
        user: &User,
        hash: InfoHash,
        dropping: Dropping,
    ) -> Result<(), Refusal> {
        // With force the files go that only others keep.
        let folder = self.downloads.folder_of(hash).or_else(|| self.torrents.stream_folder(hash));
        if let Some(own) = self.downloads.find(user, hash) {
            return self.let_go(&own, dropping).await;
        }
        match folder.filter(|_| dropping.delete_data) {
            Some(folder) => {
                self.clear_the_way(user, hash, dropping.force).await?;
                self.erase(hash, folder).await
            }
            None => Ok(()),
        }
    }

    /// Before files are deleted: refuses if others need them, or ends what others do with them; ends this user's stream.
    pub(super) async fn clear_the_way(
        &self,
        user: &User,
        hash: InfoHash,
        force: bool,
    ) -> Result<(), Refusal> {
        let others = self.downloads.others_keep(user, hash) || self.sessions.others_watch(user, hash);
        if others && !force {
            return Err(in_use());
        }
        for kept in self.downloads.of(hash).into_iter().filter(|kept| kept.user != *user) {
            let only_forget = Dropping { delete_data: false, force };
            Box::pin(self.let_go(&kept, only_forget)).await?;
        }
        self.end_sessions(hash, "deleted", |session| force || session.user == *user).await;
        Ok(())
    }

    /// Deletes a torrent's files from a folder.
    pub(super) async fn erase(&self, hash: InfoHash, folder: PathBuf) -> Result<(), Refusal> {
        let _erasing = self.torrents.begin_erasing(hash).ok_or_else(in_use)?;
        let erased = self.engine.erase(hash, folder.clone()).await;
        erased.map_err(|failure| {
            let detail = format!("files can't be deleted from {}: {failure}", folder.display());
            Refusal::new(Code::Internal, detail)
        })?;
        // A folder of its own that is empty now; anything else stays.
        if folder.file_name().is_some_and(|name| name.to_str() == Some(&hash.to_string())) {
            let _ = tokio::fs::remove_dir(&folder).await;
        }
        Ok(())
    }
}

fn in_use() -> Refusal {
    let detail = "others keep or stream this torrent: its files stay until they have let it go (an admin can say ?force=true)";
    Refusal::new(Code::InUse, detail)
}

/// A wish that can be fulfilled as far as can be told without the torrent.
#[derive(Clone, Debug, Default, PartialEq)]
struct Checked {
    files: Option<Vec<FileIndex>>,
    wish: DownloadWish,
}

impl Checked {
    fn new(mut wish: DownloadWish) -> Result<Self, Refusal> {
        let files = wish.files.take().map(checked_files).transpose()?;
        check_ratio(wish.seed_ratio)?;
        Ok(Self { files, wish })
    }

    /// A new row.
    fn row(self, user: &User, named: &Named) -> Result<Download, Refusal> {
        let Self { files, wish } = self;
        if let Source::Torrent(torrent) = &named.source {
            torrent
                .info
                .transferable()
                .map_err(|reason| Refusal::new(Code::UnsupportedTorrent, reason.to_string()))?;
            content::check(&torrent.info.layout, files.as_deref())
                .map_err(|detail| Refusal::new(Code::NoFile, detail))?;
        }
        Ok(Download {
            user: user.clone(),
            info_hash: named.source.hashes().wire(),
            // Settled when the metadata is known.
            folder: PathBuf::new(),
            files,
            sequential: wish.sequential,
            paused: wish.paused,
            download_limit: wish.download_limit.filter(|&rate| rate > 0),
            upload_limit: wish.upload_limit.filter(|&rate| rate > 0),
            seed_ratio: wish.seed_ratio,
            seed_seconds: wish.seed_time,
            added_at: unix_now(),
            progress: Progress::default(),
            error: None,
        })
    }
}

fn apply(row: &mut Download, changes: DownloadChanges) -> Result<(), Refusal> {
    if let Some(files) = changes.files {
        row.files = files.map(checked_files).transpose()?;
    }
    if let Some(ratio) = changes.seed_ratio {
        check_ratio(ratio)?;
        row.seed_ratio = ratio;
    }
    if let Some(rate) = changes.download_limit {
        row.download_limit = rate.filter(|&rate| rate > 0);
    }
    if let Some(rate) = changes.upload_limit {
        row.upload_limit = rate.filter(|&rate| rate > 0);
    }
    row.seed_seconds = changes.seed_time.unwrap_or(row.seed_seconds);
    row.sequential = changes.sequential.unwrap_or(row.sequential);
    row.paused = changes.paused.unwrap_or(row.paused);
    Ok(())
}

/// Numbers of files, each once and in order.
fn checked_files(files: Vec<u32>) -> Result<Vec<FileIndex>, Refusal> {
    let mut files: Vec<FileIndex> = files.into_iter().map(FileIndex).collect();
    files.sort_unstable();
    files.dedup();
    match files.len() {
        0 => Err(Refusal::new(Code::BadRequest, "\"files\" names none: leave it out to keep all of them")),
        count if count > FILES_MAX => {
            Err(Refusal::new(Code::BadRequest, format!("no torrent has more than {FILES_MAX} files")))
        }
        _ => Ok(files),
    }
}

fn check_ratio(ratio: Option<f64>) -> Result<(), Refusal> {
    match ratio {
        Some(ratio) if !(0.0..=RATIO_MAX).contains(&ratio) => {
            let detail = format!("\"seedRatio\" is a number from 0 (not at all) to {RATIO_MAX}");
            Err(Refusal::new(Code::BadRequest, detail))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_that_make_no_sense_are_refused_with_a_sentence() {
        let refused = |wish: DownloadWish| Checked::new(wish).unwrap_err().code;
        assert_eq!(refused(DownloadWish { files: Some(vec![]), ..Default::default() }), Code::BadRequest);
        let many = (0..=FILES_MAX as u32).collect();
        assert_eq!(refused(DownloadWish { files: Some(many), ..Default::default() }), Code::BadRequest);
        for ratio in [-1.0, 1000.5, f64::NAN, f64::INFINITY] {
            let wish = DownloadWish { seed_ratio: Some(ratio), ..Default::default() };
            assert_eq!(refused(wish), Code::BadRequest, "{ratio}");
        }
        let wish = DownloadWish { files: Some(vec![3, 1, 3]), ..Default::default() };
        assert_eq!(Checked::new(wish).unwrap().files, Some(vec![FileIndex(1), FileIndex(3)]));
    }
}

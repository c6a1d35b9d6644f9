//! A torrent as the rest of the program holds it: what it says, and what may be asked of its task.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use afflux_metainfo::info::Info;
use afflux_metainfo::{FileIndex, InfoHash};
use afflux_swarm::trace::Stall;
use afflux_swarm::{Priority, StrategyName, Window};
use tokio::sync::{mpsc, oneshot, watch};

use super::rates::TorrentDial;
use super::readers::{Readers, ViewingKey, WarmUp};
use super::status::Status;
use super::torrent::{Input, Ready};
use crate::failure::Failure;
use crate::source::Ways;

/// Where to look for more peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Trackers are asked as soon as they allow it.
    Trackers,
    /// The DHT is asked.
    Dht,
    /// Both, and whoever is known and didn't answer or parted is tried again before their time.
    Everywhere,
}

/// A torrent of a running engine; all clones are the same.
#[derive(Clone, Debug)]
pub struct Torrent {
    pub(super) info_hash: InfoHash,
    pub(super) name: Arc<str>,
    pub(super) streamed: bool,
    pub(super) inbox: mpsc::Sender<Input>,
    pub(super) info: watch::Receiver<Option<Arc<Info>>>,
    pub(super) ready: watch::Receiver<Option<Arc<Ready>>>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) readers: Arc<Readers>,
    pub(super) rates: TorrentDial,
}

impl Torrent {
    /// The hash it is known by on the wire.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Its name, as far as it was known at the start.
    pub fn name(&self) -> String {
        self.ready.borrow().as_ref().map_or_else(|| self.name.to_string(), |ready| ready.info.name.clone())
    }

    /// Whether both are the same run of the same torrent.
    pub fn is(&self, other: &Self) -> bool {
        self.inbox.same_channel(&other.inbox)
    }

    /// Whether only what its readers need is kept of it.
    pub fn is_streamed(&self) -> bool {
        self.streamed
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The metadata once it is known, also where storage can't be opened with it.
    pub fn info(&self) -> Option<Arc<Info>> {
        self.info.borrow().clone()
    }

    /// Metadata and storage, once they are there.
    pub fn ready(&self) -> Option<Arc<Ready>> {
        self.ready.borrow().clone()
    }

    /// Waits for metadata and storage; the error is why there won't be any.
    pub async fn wait_ready(&self) -> Result<Arc<Ready>, Failure> {
        let (mut ready, mut status) = (self.ready.clone(), self.status.clone());
        loop {
            if let Some(ready) = ready.borrow_and_update().clone() {
                return Ok(ready);
            }
            if let Some(error) = status.borrow_and_update().error.clone() {
                return Err(Failure::work(error));
            }
            tokio::select! {
                changed = ready.changed() => changed.map_err(|_| ended())?,
                changed = status.changed() => changed.map_err(|_| ended())?,
            }
        }
    }

    /// Waits for the next look at how it is doing.
    pub async fn next_status(&self, seen: &mut watch::Receiver<Status>) -> Result<Status, Failure> {
        seen.changed().await.map_err(|_| ended())?;
        Ok(seen.borrow_and_update().clone())
    }

    /// A receiver of looks.
    pub fn watch(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Fetches only these files from now on (a bit per file).
    pub async fn select(&self, files: Vec<bool>) {
        let priority = |wanted| if wanted { Priority::Normal } else { Priority::Off };
        self.prioritize(files.into_iter().map(priority).collect()).await;
    }

    /// Fetches files in this order from now on (a priority per file); those that are off are not fetched. Remembered.
    ///
    /// Once the torrent is ready this returns when [`Self::status`] counts by the new priorities: whoever waits for
    /// the end doesn't take the old one for it.
    pub async fn prioritize(&self, files: Vec<Priority>) {
        let (done, counted) = oneshot::channel();
        let _ = self.inbox.send(Input::Prioritize(files, done)).await;
        // Answered by dropping it, also when storage refused (the status says why) or the torrent is gone.
        let _ = counted.await;
    }

    /// Gives a file another path below the download folder. Remembered.
    pub async fn rename(&self, file: FileIndex, path: Vec<String>) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::Rename { file, path, done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Moves all files to another folder; the torrent goes on from there. Who adds it again has to name that folder.
    pub async fn move_to(&self, dir: PathBuf) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::Move { dir, done }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Peers to try.
    pub async fn add_peers(&self, addrs: Vec<SocketAddr>) {
        let _ = self.inbox.send(Input::Candidates { addrs, source: afflux_swarm::Source::Given }).await;
    }

    /// Takes the trackers and peers that another naming of the same torrent brings. Not for a private torrent, whose
    /// peers come from its own trackers alone (BEP 27).
    pub async fn learn(&self, ways: Ways) {
        let _ = self.inbox.send(Input::Learn(ways)).await;
    }

    /// What its readers want at this moment, oldest reader first; warm-ups aren't readers.
    pub fn windows(&self) -> Vec<Window> {
        self.readers.windows()
    }

    /// Fetches the head and the tail of a file before anybody reads it: players begin with both. Until the
    /// answer is dropped.
    pub fn warm_up(&self, ready: &Ready, file: FileIndex, bytes: u64) -> WarmUp {
        WarmUp::ends(&self.readers, ViewingKey::default(), ready, file, bytes)
    }

    /// Chooses by another strategy from now on; nothing that is there or on its way is lost. Refused for a torrent in
    /// memory, which can't keep what no reader needs soon.
    pub async fn set_strategy(&self, strategy: StrategyName) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.inbox.send(Input::SetStrategy(strategy, done)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Why readers waited: the waits that ended after `since`, and those that go on, the oldest first.
    pub async fn stalls(&self, since: Option<Instant>) -> Result<Vec<Stall>, Failure> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(Input::Stalls { since, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Looks for more peers: a reader waits.
    pub async fn find_more_peers(&self, search: Search) {
        let _ = self.inbox.send(Input::NeedPeers(search)).await;
    }

    /// The addresses of peers that it has found and is connected to.
    async fn peers(&self) -> Vec<SocketAddr> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inbox.send(Input::Peers(reply)).await;
        // A torrent that is gone has none.
        answer.await.unwrap_or_default()
    }

    pub(super) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.inbox.send(Input::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// A run of a torrent that another one replaces: it ends, off this task, when this is dropped.
#[derive(Debug)]
#[must_use = "the run ends when this is dropped"]
pub struct Replaced(pub(super) Torrent);

impl Replaced {
    /// Ends the run, and gives its peers to the one that goes on.
    pub async fn hand_over(self, to: &Torrent) {
        let peers = self.0.peers().await;
        self.0.stop().await;
        to.add_peers(peers).await;
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let torrent = self.0.clone();
        tokio::spawn(async move { torrent.stop().await });
    }
}

fn ended() -> Failure {
    Failure::work("the torrent was ended")
}

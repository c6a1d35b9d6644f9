//! Torrents by name: reading what users bring, getting what is missing from the swarm, listing and letting go.

use std::sync::Arc;

use afflux_metainfo::InfoHashes;
use afflux_stream::suspicion::Pattern;
use afflux_swarm::StrategyName;
use serde_json::Value;
use tracing::warn;

use super::catalog::Named;
use super::downloads::check_force;
use super::refusal::{Code, Refusal};
use super::shapes::{ChangedTorrent, ListedTorrent, LiveState, LiveTorrent, Trace};
use super::torrents::{Files, Purpose, Use};
use super::{Converted, Dropping, Page, Shared, SourceInput, StreamingService, unix_now};
use crate::auth::{Identity, Scope};
use crate::engine::Torrent;
use crate::engine::torrent::Ready;
use crate::fetch::FetchError;
use crate::policy::SourcePolicy;
use crate::source::Source;
use crate::torrent_info::TorrentInfo;
use crate::user::User;

impl StreamingService {
    /// Reads a torrent and remembers it for this user. With `fetch`, metadata that the input lacks comes from the swarm.
    ///
    /// # Errors
    /// Input that is no torrent, a source that the policy forbids, no metadata within `TORRENT_TIMEOUT`.
    pub async fn parse_torrent(
        &self,
        who: &Identity,
        input: SourceInput,
        fetch: bool,
    ) -> Result<TorrentInfo, Refusal> {
        let named = self.shared.name(who, input, fetch).await?;
        Ok(TorrentInfo::new(&named.source, None))
    }

    /// Makes a complete .torrent of whatever names one.
    ///
    /// # Errors
    /// As for [`parse_torrent`](Self::parse_torrent).
    pub async fn convert_magnet(&self, who: &Identity, input: SourceInput) -> Result<Converted, Refusal> {
        let named = self.shared.name(who, input, true).await?;
        let file = named.file().cloned();
        let file = file.ok_or_else(|| Refusal::new(Code::Internal, "the torrent has no metadata"))?;
        Ok(Converted { hashes: named.source.hashes(), info: TorrentInfo::new(&named.source, None), file })
    }

    /// What a torrent says and how it is doing; one that this user named.
    pub async fn torrent_info(&self, who: &Identity, hashes: InfoHashes) -> Result<LiveTorrent, Refusal> {
        let named = self.shared.find(who, hashes).await?.ok_or_else(unknown)?;
        let torrent = self.shared.engine.get(named.source.hashes().wire());
        let ready = torrent.as_ref().and_then(Torrent::ready);
        let mut info = TorrentInfo::new(&named.source, ready.as_ref().map(|ready| &*ready.info));
        for film in self.shared.database.films().of(named.source.hashes().wire()).await? {
            // What an older version wrote otherwise is left out until somebody watches it again.
            if let Ok(facts) = serde_json::from_str(&film.facts) {
                info.add_media(film.file, &facts);
            }
        }
        Ok(LiveTorrent { info, live: torrent.as_ref().map(live) })
    }

    /// The torrents that this user named, by info-hash; all users' for admins.
    pub async fn torrents(&self, who: &Identity, page: &Page) -> Result<Vec<ListedTorrent>, Refusal> {
        let limit = Page::size(page.limit)?;
        let user = Some(&who.user).filter(|_| !who.scopes.contains(Scope::Admin));
        let rows = self.shared.database.torrents().list(user, page.cursor()?, limit).await?;
        let listed = rows.into_iter().map(|row| ListedTorrent {
            info_hash: row.info_hash.to_string(),
            name: row.name,
            user: user.is_none().then(|| row.user.to_string()),
            added_at: Some(row.added_at),
            live: self.shared.engine.get(row.info_hash).as_ref().map(live),
        });
        Ok(listed.collect())
    }

    /// Changes the order of pieces that no reader asks for.
    pub async fn set_strategy(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        strategy: StrategyName,
    ) -> Result<ChangedTorrent, Refusal> {
        let torrent = self.shared.own_torrent(who, hashes).await?;
        let hash = torrent.info_hash();
        if self.shared.sessions.others_watch(&who.user, hash) && !who.scopes.contains(Scope::Admin) {
            return Err(Refusal::new(Code::InUse, "others watch this torrent: an admin may change it"));
        }
        let set = torrent.set_strategy(strategy).await;
        set.map_err(|failure| Refusal::from_failure(Code::NotForThisStorage, &failure))?;
        Ok(ChangedTorrent {
            info_hash: hash.to_string(),
            name: torrent.name(),
            strategy: strategy.as_str().to_owned(),
            live: live(&torrent),
        })
    }

    /// Lets a torrent go: this user's naming of it, session for it and download of it; the files too, if that is wished.
    ///
    /// # Errors
    /// While others use it, unless an admin forces it; or if its files can't be deleted.
    pub async fn drop_torrent(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        dropping: Dropping,
    ) -> Result<(), Refusal> {
        let shared = &self.shared;
        check_force(who, dropping)?;
        let named = shared.find(who, hashes).await?.ok_or_else(unknown)?;
        let hash = named.source.hashes().wire();
        if !dropping.force && shared.sessions.others_watch(&who.user, hash) {
            let detail =
                "others stream this torrent: it stays until they have ended (an admin can say ?force=true)";
            return Err(Refusal::new(Code::InUse, detail));
        }
        shared.end_sessions(hash, "deleted", |session| dropping.force || session.user == who.user).await;
        shared.let_go_of_files(&who.user, hash, dropping).await?;
        shared.database.watching().forget_torrent(&who.user, hash).await?;
        shared.database.torrents().forget(&who.user, named.source.hashes()).await?;
        shared.torrents.look(std::time::Instant::now());
        Ok(())
    }

    /// Why readers of a torrent that this user streams waited.
    pub async fn trace(&self, who: &Identity, hashes: InfoHashes) -> Result<Trace, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        let torrent = session.torrent();
        let stalls = torrent.stalls(None).await;
        let stalls = stalls.map_err(|failure| Refusal::from_failure(Code::TorrentFailed, &failure))?;
        let now = std::time::Instant::now();
        let ready = torrent.ready();
        let told = ready
            .iter()
            .flat_map(|ready| stalls.iter().map(|stall| crate::trace::stall_json(stall, &ready.layout, now)));
        let stalls: Vec<Value> = told.collect();
        Ok(Trace { info_hash: torrent.info_hash().to_string(), stalls })
    }
}

impl Shared {
    /// Reads what a user brings and remembers it; with `fetch` the metadata comes from the swarm if it has to.
    pub(super) async fn name(
        self: &Arc<Self>,
        who: &Identity,
        input: SourceInput,
        fetch: bool,
    ) -> Result<Named, Refusal> {
        self.check_habits(who, Pattern::TorrentsAdded)?;
        self.check_habits(who, Pattern::ParseFailures)?;
        let named = match self.read(input).await {
            Ok(named) => self.allowed(named)?,
            Err(refusal) => {
                if refusal.code == Code::BadSource {
                    self.note_parse_failure(who).await;
                }
                return Err(refusal);
            }
        };
        self.torrents.learn(&named.source);
        let named = match &named.source {
            Source::Magnet(_) if fetch => self.complete(who, &named).await?,
            _ => named,
        };
        if self.remember(&who.user, &named).await {
            self.note_torrent_added(who).await;
        }
        Ok(named)
    }

    async fn read(&self, input: SourceInput) -> Result<Named, Refusal> {
        match input {
            SourceInput::File(bytes) => Named::by_file(bytes),
            SourceInput::Url(url) => {
                self.policy().check_url(&url).map_err(|refused| refused_source(&refused))?;
                let fetched = self.engine.fetch_torrent(&url).await;
                Named::by_file(fetched.map_err(|error| not_fetched(&error))?.into())
            }
            SourceInput::Magnet(text) => Named::by_link(&text),
        }
    }

    /// The source as the policy lets it be: without what it forbids, if anything is left.
    pub(super) fn allowed(&self, mut named: Named) -> Result<Named, Refusal> {
        self.policy().admit(&mut named.source).map_err(|refused| refused_source(&refused))?;
        Ok(named)
    }

    /// Gets a magnet's metadata from the swarm. Who asks for the same at the same time waits for the same.
    async fn complete(self: &Arc<Self>, who: &Identity, named: &Named) -> Result<Named, Refusal> {
        if let Some(known) = self.find(who, named.source.hashes()).await?
            && known.file().is_some()
        {
            return known.with_trackers_of(&named.source);
        }
        let _turn = self.fetches.try_acquire().map_err(|_| {
            let detail = "many torrents' metadata is being fetched: try again in a moment";
            Refusal::new(Code::TooManyFetches, detail).retry_after(std::time::Duration::from_secs(5))
        })?;
        let using = self.torrents.take_up(&named.source, &Purpose::Stream, Files::None)?;
        let (_, ready) = self.ready(&using).await?;
        named.completed(&ready.info)
    }

    /// Waits for a torrent's metadata, wherever the torrent goes meanwhile; it comes with the torrent that has it.
    pub(super) async fn ready(&self, using: &Use) -> Result<(Torrent, Arc<Ready>), Refusal> {
        loop {
            let torrent = using.torrent();
            match self.metadata(&torrent).await {
                Err(_) if !using.torrent().is(&torrent) => {}
                done => return done.map(|ready| (torrent, ready)),
            }
        }
    }

    async fn metadata(&self, torrent: &Torrent) -> Result<Arc<Ready>, Refusal> {
        let timeout = self.config.tuning.torrent_timeout;
        let waited = torrent.wait_metadata(timeout).await;
        waited.map_err(|failure| match torrent.status().error {
            Some(reason) => Refusal::new(Code::TorrentFailed, reason),
            None => Refusal::from_failure(Code::NoMetadata, &failure),
        })
    }

    /// A torrent that this user named; any that somebody named, for admins.
    pub(super) async fn find(&self, who: &Identity, hashes: InfoHashes) -> Result<Option<Named>, Refusal> {
        let torrents = self.database.torrents();
        let mut row = torrents.find(&who.user, hashes).await?;
        if row.is_none() && who.scopes.contains(Scope::Admin) {
            row = torrents.find_any(hashes).await?;
        }
        row.map(|row| Named::read(row.source)).transpose()
    }

    /// What this user named, or just the hash.
    pub(super) async fn find_or_hash(&self, who: &Identity, hashes: InfoHashes) -> Result<Named, Refusal> {
        self.allowed(self.find(who, hashes).await?.unwrap_or_else(|| Named::by_hash(hashes)))
    }

    /// Remembers a torrent for a user; says whether it is new. That it can't is no reason to refuse the torrent.
    pub(super) async fn remember(&self, user: &User, named: &Named) -> bool {
        let hashes = named.source.hashes();
        let remembered = self
            .database
            .torrents()
            .remember(user, hashes, &named.source.name(), named.written(), unix_now())
            .await;
        remembered.unwrap_or_else(|error| {
            warn!(%error, "a torrent can't be remembered");
            false
        })
    }

    /// A running torrent that this user named or streams.
    async fn own_torrent(&self, who: &Identity, hashes: InfoHashes) -> Result<Torrent, Refusal> {
        let named = self.find(who, hashes).await?.ok_or_else(unknown)?;
        let torrent = self.engine.get(named.source.hashes().wire());
        torrent.ok_or_else(|| Refusal::new(Code::Conflict, "this torrent isn't running: stream it first"))
    }

    fn policy(&self) -> &SourcePolicy {
        &self.config.policy
    }
}

fn live(torrent: &Torrent) -> LiveState {
    let status = torrent.status();
    if torrent.is_streamed() { LiveState::streamed(&status) } else { LiveState::new(&status) }
}

pub(super) fn unknown() -> Refusal {
    Refusal::new(
        Code::UnknownTorrent,
        "you haven't named this torrent yet: POST it to /api/torrents/parse first",
    )
}

/// Why there is no .torrent: the URL, our rules, or the other side.
fn not_fetched(error: &FetchError) -> Refusal {
    let code = match error {
        FetchError::Url(_) => Code::BadSource,
        FetchError::Refused { .. } | FetchError::Denied(_) | FetchError::Own { .. } => Code::SourceRefused,
        _ => Code::FetchFailed,
    };
    Refusal::new(code, format!("the .torrent can't be fetched: {error}"))
}

fn refused_source(refused: &impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::SourceRefused, refused.to_string())
}

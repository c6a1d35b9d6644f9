//! How streams went, for their users and for who runs the daemon.
//!
//! A session's figures are in its machine while it runs, and become a row of the database when it ends or the daemon stops. Both
//! are told side by side here. A session that goes on after a restart has a row for each run.

use std::collections::BTreeMap;
use std::time::Instant;

use afflux_metainfo::{FileIndex, InfoHashes};
use tracing::warn;

use super::refusal::{Code, Refusal};
use super::sessions::Session;
use super::shapes::{SeekCount, StallCount, StreamView, SuspicionCount, UserTotals, ViewsPage};
use super::{Shared, StreamingService, unix_now};
use crate::auth::{Identity, Scope};
use crate::database::limits::PAGE_ROWS_MAX;
use crate::database::{Day, NewView, Suspicion, Totals, ViewCursor, ViewFilter};
use crate::engine::Status;
use crate::user::User;

/// Rows in one answer, unless another number is asked for.
const PAGE: u32 = 100;

/// Which views to tell of; what is `None` doesn't matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewsQuery {
    /// Whose; for others than oneself only admins may ask.
    pub user: Option<User>,
    /// Of which torrent.
    pub hashes: Option<InfoHashes>,
    /// Ended at this time or later, in seconds since 1970. What runs ends now.
    pub from: Option<u64>,
    /// Ended before this time.
    pub to: Option<u64>,
    /// Only what comes after the page that gave this as its [`next`](ViewsPage::next).
    pub after: Option<u64>,
    /// At most so many that have ended; 100 without it, [`PAGE_ROWS_MAX`] at most.
    pub limit: Option<u32>,
}

impl StreamingService {
    /// How this user's streams went, for admins everybody's: on the first page all that run, then the newest that have ended.
    ///
    /// # Errors
    /// Somebody else's are asked for by who is no admin, or the database can't be read.
    pub async fn views(&self, who: &Identity, query: &ViewsQuery) -> Result<ViewsPage, Refusal> {
        let filter = self.shared.view_filter(who, query).await?;
        // Before those that have ended: one that ends meanwhile is there twice rather than not at all.
        let running = if query.after.is_none() { self.shared.running(&filter) } else { Vec::new() };
        let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_ROWS_MAX as u32) as usize;
        let ended = self.shared.database.views().list(filter, query.after.map(ViewCursor), limit).await?;
        let next = ended.last().filter(|_| ended.len() == limit).map(|last| last.cursor().0);
        let ended: Vec<StreamView> = ended.into_iter().map(|row| StreamView::ended(row.view)).collect();
        let has_ended = |view: &StreamView| {
            ended.iter().any(|row| {
                (&row.user, &row.info_hash, row.started_at) == (&view.user, &view.info_hash, view.started_at)
            })
        };
        let mut views: Vec<StreamView> = running.into_iter().map(StreamView::running).collect();
        views.retain(|view| !has_ended(view));
        views.extend(ended);
        Ok(ViewsPage { views, next })
    }

    /// The sums of the same views by user, who was sent most first: of [`PAGE_ROWS_MAX`] users at most.
    ///
    /// # Errors
    /// As for [`views`](Self::views).
    pub async fn view_totals(&self, who: &Identity, query: &ViewsQuery) -> Result<Vec<UserTotals>, Refusal> {
        let filter = self.shared.view_filter(who, query).await?;
        let running = self.shared.running(&filter);
        let ended = self.shared.database.views().totals(filter).await?;
        let mut sums: BTreeMap<User, Sum> =
            ended.into_iter().map(|totals| (totals.user.clone(), Sum::from(totals))).collect();
        for view in &running {
            sums.entry(view.user.clone()).or_default().add(view);
        }
        let mut users: Vec<UserTotals> = sums.into_iter().map(|(user, sum)| sum.told(&user)).collect();
        users.sort_by_key(|totals| std::cmp::Reverse(totals.bytes_sent));
        users.truncate(PAGE_ROWS_MAX);
        Ok(users)
    }

    /// What this user, for admins anybody, did that no viewer does, the last first: [`PAGE_ROWS_MAX`] rows at most. Of the query only
    /// the user and the days that `from` and `to` are on matter.
    ///
    /// # Errors
    /// As for [`views`](Self::views).
    pub async fn suspicions(
        &self,
        who: &Identity,
        query: &ViewsQuery,
    ) -> Result<Vec<SuspicionCount>, Refusal> {
        let user = visible(who, query.user.as_ref())?;
        let from = query.from.map_or(Day(0), Day::of);
        let mut rows = self.shared.database.suspicions().list(user.as_ref(), from).await?;
        rows.retain(|row| query.to.is_none_or(|to| row.day <= Day::of(to)));
        Ok(rows.into_iter().map(SuspicionCount::from).collect())
    }
}

impl Shared {
    async fn view_filter(&self, who: &Identity, query: &ViewsQuery) -> Result<ViewFilter, Refusal> {
        let user = visible(who, query.user.as_ref())?;
        let info_hash = match query.hashes {
            Some(hashes) => Some(self.wire(who, hashes).await?),
            None => None,
        };
        Ok(ViewFilter { user, info_hash, from: query.from, to: query.to })
    }

    /// How sessions go that run, the newest first. Of those that are asleep there is nothing to tell.
    fn running(&self, filter: &ViewFilter) -> Vec<NewView> {
        let is_meant = |session: &Session| {
            filter.user.as_ref().is_none_or(|user| session.user == *user)
                && filter.info_hash.is_none_or(|hash| session.info_hash == hash)
        };
        let sessions = self.sessions.awake().into_iter().filter(|session| is_meant(session));
        let is_in_time = |view: &NewView| {
            filter.from.is_none_or(|from| view.ended_at >= from)
                && filter.to.is_none_or(|to| view.ended_at < to)
        };
        let mut views: Vec<NewView> =
            sessions.filter_map(|session| session.view()).filter(is_in_time).collect();
        views.sort_by(|a, b| b.started_at.cmp(&a.started_at).then_with(|| a.user.cmp(&b.user)));
        views
    }

    /// Writes down how the sessions went that run: what they do in the next run is a row of its own.
    pub(super) async fn note_views(&self) {
        for session in self.sessions.awake() {
            self.note_view(&session).await;
        }
    }

    /// Writes down how a session went. One that nobody read isn't worth a row.
    pub(super) async fn note_view(&self, session: &Session) {
        let is_kept = !self.config.streams.analytics_retention.is_zero();
        if !is_kept || session.state().machine.figures(Instant::now()).readers_opened == 0 {
            return;
        }
        let Some(view) = session.view() else { return };
        if let Err(error) = self.database.views().add(view).await {
            warn!(%error, "how a stream went can't be written down");
        }
    }
}

/// Whose views one gets: one's own, or, for admins, those asked for.
fn visible(who: &Identity, wanted: Option<&User>) -> Result<Option<User>, Refusal> {
    if who.scopes.contains(Scope::Admin) {
        return Ok(wanted.cloned());
    }
    match wanted {
        Some(other) if *other != who.user => {
            Err(Refusal::new(Code::NoUser, format!("nobody is called {other} as far as you can see")))
        }
        _ => Ok(Some(who.user.clone())),
    }
}

impl Session {
    /// How it has gone since it is awake; nothing before its files are known.
    fn view(&self) -> Option<NewView> {
        let status = self.torrent().status();
        let mut state = self.state();
        state.follow(&status);
        let figures = state.machine.figures(Instant::now());
        let opened = state.opened()?;
        let place = state.machine.place();
        let file = FileIndex(place.file);
        let span = opened.ready.layout.file(file)?;
        Some(NewView {
            user: self.user.clone(),
            info_hash: self.info_hash,
            file,
            name: span.display_path(),
            client: figures.client,
            started_at: self.awake_since,
            ended_at: unix_now(),
            ttfb_ms: figures.ttfb.map(|time| time.as_millis() as u64),
            seeks: u64::from(figures.seeks.count),
            seek_ms_total: figures.seeks.total.as_millis() as u64,
            seek_ms_max: figures.seeks.max.as_millis() as u64,
            stalls: u64::from(figures.stalls.count),
            stalled_ms: figures.stalls.total.as_millis() as u64,
            bytes_swarm: state.received.sum,
            bytes_sent: figures.bytes_sent,
            bytes_wasted: state.wasted.sum,
            peers_max: u64::from(state.peers_max),
            completion: if span.length == 0 { 1.0 } else { place.offset as f64 / span.length as f64 },
        })
    }
}

impl super::sessions::State {
    /// Follows what the torrent carries while the session lasts.
    pub(super) fn follow(&mut self, status: &Status) {
        self.received.see(status.totals.payload_received);
        self.wasted.see(wasted(status));
        self.peers_max = self.peers_max.max(status.snapshot.connected);
    }
}

/// What a torrent received in vain: twice, too late, or corrupt.
pub(super) fn wasted(status: &Status) -> u64 {
    status.totals.wasted + status.snapshot.failed_bytes
}

/// What a count of the torrent's grew by. When the torrent moves from memory to files, its counts begin anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    last: u64,
    sum: u64,
}

impl From<u64> for Grown {
    fn from(first: u64) -> Self {
        Self { last: first, sum: 0 }
    }
}

impl Grown {
    fn see(&mut self, count: u64) {
        self.sum += count.checked_sub(self.last).unwrap_or(count);
        self.last = count;
    }
}

impl StreamView {
    fn ended(view: NewView) -> Self {
        let ended_at = Some(view.ended_at);
        Self { running: false, ended_at, ..Self::running(view) }
    }

    fn running(view: NewView) -> Self {
        Self {
            running: true,
            user: view.user.to_string(),
            info_hash: view.info_hash.to_string(),
            file: view.file.0,
            name: view.name,
            client: view.client,
            started_at: view.started_at,
            ended_at: None,
            ttfb_ms: view.ttfb_ms,
            seeks: seeks(view.seeks, view.seek_ms_total, view.seek_ms_max),
            stalls: stalls(view.stalls, view.stalled_ms),
            bytes_swarm: view.bytes_swarm,
            bytes_sent: view.bytes_sent,
            bytes_wasted: view.bytes_wasted,
            peers_max: view.peers_max,
            completion: if view.completion.is_finite() { view.completion.clamp(0.0, 1.0) } else { 0.0 },
        }
    }
}

/// What one user watched, ended and running.
#[derive(Debug, Default)]
struct Sum {
    views: u64,
    with_ttfb: u64,
    ttfb_ms: f64,
    seeks: u64,
    seek_ms: u64,
    seek_ms_max: u64,
    stalls: u64,
    stalled_ms: u64,
    bytes_swarm: u64,
    bytes_sent: u64,
    bytes_wasted: u64,
}

impl From<Totals> for Sum {
    fn from(totals: Totals) -> Self {
        Self {
            views: totals.views,
            with_ttfb: totals.with_ttfb,
            ttfb_ms: totals.ttfb_ms_mean.unwrap_or_default() * totals.with_ttfb as f64,
            seeks: totals.seeks,
            seek_ms: totals.seek_ms_total,
            seek_ms_max: totals.seek_ms_max,
            stalls: totals.stalls,
            stalled_ms: totals.stalled_ms,
            bytes_swarm: totals.bytes_swarm,
            bytes_sent: totals.bytes_sent,
            bytes_wasted: totals.bytes_wasted,
        }
    }
}

impl Sum {
    fn add(&mut self, view: &NewView) {
        self.views += 1;
        self.with_ttfb += u64::from(view.ttfb_ms.is_some());
        self.ttfb_ms += view.ttfb_ms.unwrap_or_default() as f64;
        self.seeks += view.seeks;
        self.seek_ms += view.seek_ms_total;
        self.seek_ms_max = self.seek_ms_max.max(view.seek_ms_max);
        self.stalls += view.stalls;
        self.stalled_ms += view.stalled_ms;
        self.bytes_swarm += view.bytes_swarm;
        self.bytes_sent += view.bytes_sent;
        self.bytes_wasted += view.bytes_wasted;
    }

    fn told(self, user: &User) -> UserTotals {
        UserTotals {
            user: user.to_string(),
            views: self.views,
            ttfb_ms_mean: (self.with_ttfb > 0).then(|| self.ttfb_ms / self.with_ttfb as f64),
            seeks: seeks(self.seeks, self.seek_ms, self.seek_ms_max),
            stalls: stalls(self.stalls, self.stalled_ms),
            bytes_swarm: self.bytes_swarm,
            bytes_sent: self.bytes_sent,
            bytes_wasted: self.bytes_wasted,
        }
    }
}

fn seeks(count: u64, total_ms: u64, max_ms: u64) -> SeekCount {
    SeekCount { count: u32::try_from(count).unwrap_or(u32::MAX), total_ms, max_ms }
}

fn stalls(count: u64, total_ms: u64) -> StallCount {
    StallCount { count: u32::try_from(count).unwrap_or(u32::MAX), total_ms }
}

impl From<Suspicion> for SuspicionCount {
    fn from(row: Suspicion) -> Self {
        Self {
            user: row.user.to_string(),
            pattern: row.pattern,
            day: u64::from(row.day.0) * 24 * 3600,
            count: row.count,
            last_at: row.last_at,
            detail: row.detail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grew_is_counted_on_when_the_count_begins_anew() {
        let mut grown = Grown::from(100);
        for count in [100, 150, 150, 30, 40] {
            grown.see(count);
        }
        assert_eq!(grown.sum, 50 + 40);
    }

    #[test]
    fn only_admins_see_what_is_anothers() {
        let admin = Identity::local();
        let anna = Identity { scopes: "analytics".parse().unwrap(), ..Identity::local() };
        let bob: User = "bob".parse().unwrap();
        assert_eq!(visible(&admin, None), Ok(None));
        assert_eq!(visible(&admin, Some(&bob)), Ok(Some(bob.clone())));
        assert_eq!(visible(&anna, None), Ok(Some(anna.user.clone())));
        assert_eq!(visible(&anna, Some(&anna.user)), Ok(Some(anna.user.clone())));
        assert_eq!(visible(&anna, Some(&bob)).unwrap_err().code, Code::NoUser);
    }

    #[test]
    fn a_mean_of_running_and_ended_views_weighs_each_once() {
        let mut sum = Sum { with_ttfb: 3, ttfb_ms: 300.0, ..Sum::default() };
        sum.with_ttfb += 1;
        sum.ttfb_ms += 500.0;
        assert_eq!(sum.told(&User::local()).ttfb_ms_mean, Some(200.0));
    }
}

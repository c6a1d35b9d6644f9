//! Finding a time in a film that has no index, by looking at a few places of its file.

use std::sync::PoisonError;
use std::time::Duration;

use afflux_media::container::search::{Found, Search, Seek};
use afflux_media::container::{Facts, Index};
use afflux_metainfo::FileIndex;
use afflux_stream::Media;
use tracing::debug;

use super::Film;
use crate::service::Shared;
use crate::service::parts::read_part;
use crate::service::sessions::Opened;

/// How long a seek waits for places that peers have to send first. Then the place is guessed.
const SEARCH_TIME: Duration = Duration::from_secs(10);

impl Film {
    /// What was learnt of it on the way of searches, where it has no index.
    pub(super) fn learnt(&self) -> Option<Index> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The facts, with what was learnt since they were told.
    fn facts_so_far(&self) -> Facts {
        Facts { learnt: self.learnt(), ..self.facts.clone() }
    }
}

impl Shared {
    /// From where a player reaches a time of a film without an index. `None` if it has one, if it can't be searched, or if what has
    /// to be looked at doesn't come in time.
    pub(in crate::service) async fn search(
        &self,
        opened: &Opened,
        file: FileIndex,
        film: &Film,
        time: Duration,
    ) -> Option<Found> {
        let mut facts = film.facts_so_far();
        let seek = Seek::new(&facts, film.length, time)?;
        let media = opened.viewing.open(&opened.ready, file).ok()?;
        let found = tokio::time::timeout(SEARCH_TIME, run(seek, &media)).await.ok()??;
        facts.learn(found.learnt.clone());
        *film.learnt.lock().unwrap_or_else(PoisonError::into_inner) = facts.learnt.clone();
        self.keep(opened.viewing.torrent().info_hash(), file, &facts).await;
        Some(found)
    }
}

async fn run(mut seek: Seek, media: &dyn Media) -> Option<Found> {
    let mut reads = 0;
    loop {
        match seek.step() {
            Search::Read(range) => {
                reads += 1;
                let bytes = read_part(media, range.clone()).await?;
                seek.supply(range.start, &bytes);
            }
            Search::Found(found) => {
                debug!(reads, offset = found.point.offset, "found a time");
                return Some(found);
            }
            Search::Failed(fault) => {
                debug!(reads, %fault, "found no time");
                return None;
            }
        }
    }
}

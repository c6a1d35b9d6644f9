//! Files of containers that we don't read ourselves: which of them ffprobe is asked about, and what is said of the others.

use std::sync::Arc;

use afflux_media::container::{Facts, Fault, Foreign, HEAD_BYTES};
use afflux_stream::Media;
use thiserror::Error;

use super::Shared;
use super::parts::{await_part, read_part};
use crate::ffprobe::{Ffprobe, ProbeError};

/// What ffprobe reads of nearly every file at its start. Waited for before it takes one of the few places, so that files that
/// nobody has keep none.
const START_BYTES: u64 = 1 << 20;
/// The same at its end, where the last time of a film stands.
const END_BYTES: u64 = 256 << 10;

/// Why nothing is known of a file; the sentence is for whoever wants to watch it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum NoFilm {
    /// We can't read it, and others wouldn't either.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Others read it, and tell nothing.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl NoFilm {
    /// Whether it may go better another time.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Probe(error) if error.may_pass())
    }
}

impl Shared {
    /// What others say of a file that we couldn't read for this reason. `None` if the file can't be read any more.
    pub(super) async fn ask_others(
        &self,
        media: &Arc<dyn Media>,
        fault: Fault,
    ) -> Option<Result<Facts, NoFilm>> {
        let length = media.facts().length;
        let foreign = match fault {
            Fault::Unknown => Foreign::recognise(&read_part(&**media, 0..length.min(HEAD_BYTES)).await?),
            _ => None,
        };
        let Some(foreign) = foreign else { return Some(Err(fault.into())) };
        let program = match Ffprobe::program(foreign) {
            Ok(program) => program,
            // Nothing is fetched for what nobody reads.
            Err(missing) => return Some(Err(missing.into())),
        };
        await_part(&**media, 0..length.min(START_BYTES)).await?;
        await_part(&**media, length.saturating_sub(END_BYTES)..length).await?;
        Some(self.ffprobe.ask(program, Arc::clone(media), foreign).await.map_err(NoFilm::from))
    }
}

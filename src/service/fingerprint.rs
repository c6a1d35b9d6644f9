//! The hash by which databases of subtitles know a film, made of the file's two ends, which players fetch anyway.

use std::time::Duration;

use afflux_media::opensubtitles::{END_BYTES, hash};
use afflux_metainfo::InfoHashes;
use afflux_stream::Media;

use super::StreamingService;
use super::parts::read_part;
use super::refusal::{Code, Refusal};
use super::sessions::choose;
use super::shapes::OpenSubtitlesHash;
use crate::auth::Identity;

/// How long somebody waits for two ends that peers have to send first.
const PATIENCE: Duration = Duration::from_secs(30);

impl StreamingService {
    /// The hash by which opensubtitles.org knows a file: the one that this user's session is at, or another one of the torrent.
    /// The file's first and last 64 KiB are fetched for it, unless they are there.
    ///
    /// # Errors
    /// There is no session, or no such file; the file is too short to have one; nobody sends its ends.
    pub async fn open_subtitles_hash(
        &self,
        who: &Identity,
        hashes: InfoHashes,
        file: Option<u32>,
    ) -> Result<OpenSubtitlesHash, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        let opened = session.open(&self.shared).await?;
        let current = session.state().file.filter(|_| file.is_none());
        let file = current.map_or_else(|| choose(&opened.ready, file), Ok)?;
        self.shared.check_content(&session, &opened, file)?;
        let media = opened.viewing.open(&opened.ready, file);
        let media = media.map_err(|failure| Refusal::from_failure(Code::NoFile, &failure))?;
        let size = media.facts().length;
        let Some(tail) = size.checked_sub(END_BYTES as u64) else {
            let least = END_BYTES >> 10;
            return Err(Refusal::new(
                Code::OutOfRange,
                format!("a file below {least} KiB has no such hash, and this has {size} bytes"),
            ));
        };
        let ends = async { tokio::join!(end(&media, 0), end(&media, tail)) };
        let ends = tokio::select! {
            ends = tokio::time::timeout(PATIENCE, ends) => ends.ok(),
            () = session.ended.cancelled() => None,
        };
        let Some((Some(head), Some(tail))) = ends else {
            return Err(Refusal::new(Code::NotThere, "nobody has sent the file's ends yet: try again later")
                .retry_after(PATIENCE));
        };
        Ok(OpenSubtitlesHash { file: file.0, size, hash: format!("{:016x}", hash(size, &head, &tail)) })
    }
}

async fn end(media: &dyn Media, start: u64) -> Option<Box<[u8; END_BYTES]>> {
    let bytes = read_part(media, start..start + END_BYTES as u64).await?;
    bytes.into_boxed_slice().try_into().ok()
}

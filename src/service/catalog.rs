//! What users named torrents by: kept per user, since a .torrent's trackers may carry its owner's passkey.

use std::collections::BTreeSet;

use afflux_metainfo::InfoHashes;
use afflux_metainfo::create::Envelope;
use afflux_metainfo::info::Info;
use afflux_metainfo::magnet::Magnet;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use bytes::Bytes;

use super::refusal::{Code, Refusal};
use crate::database;
use crate::source::Source;

/// A torrent as a user named it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) source: Source,
    /// The .torrent, byte for byte, if it was given or fetched as one.
    file: Option<Bytes>,
}

impl Named {
    /// Named by a magnet link or an info-hash. Nothing else is read: a path would be opened.
    pub(super) fn by_link(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let parsed = match text.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("magnet:") => {
                text.parse::<Magnet>().map_err(|error| format!("the magnet link is wrong: {error}"))
            }
            _ => text
                .parse::<InfoHashes>()
                .map(Magnet::new)
                .map_err(|error| format!("this is neither a magnet link nor an info-hash: {error}")),
        };
        let magnet = parsed.map_err(|detail| Refusal::new(Code::BadSource, detail))?;
        Ok(Self { source: Source::Magnet(Box::new(magnet)), file: None })
    }

    /// Named by a hash alone: its metadata and peers are looked up in the DHT.
    pub(super) fn by_hash(hashes: InfoHashes) -> Self {
        Self { source: Source::Magnet(Box::new(Magnet::new(hashes))), file: None }
    }

    /// Named by a .torrent.
    pub(super) fn by_file(bytes: Bytes) -> Result<Self, Refusal> {
        let torrent = TorrentFile::parse(&bytes)
            .map_err(|error| Refusal::new(Code::BadSource, format!("this is no valid .torrent: {error}")))?;
        Ok(Self { source: Source::Torrent(Box::new(torrent)), file: Some(bytes) })
    }

    /// The same with the metadata that peers gave.
    pub(super) fn completed(&self, info: &Info) -> Result<Self, Refusal> {
        let web_seeds = match &self.source {
            Source::Torrent(_) => return Ok(self.clone()),
            Source::Magnet(magnet) => magnet.web_seeds.clone(),
        };
        let envelope = Envelope { trackers: self.source.trackers(), web_seeds, ..Envelope::default() };
        Self::by_file(envelope.seal(&info.raw).into())
    }

    /// The same with the trackers of another naming of it. A private torrent has its own and no others (BEP 27).
    pub(super) fn with_trackers_of(self, other: &Source) -> Result<Self, Refusal> {
        let Source::Torrent(torrent) = &self.source else { return Ok(self) };
        let known: BTreeSet<&String> = torrent.trackers.iter().flatten().collect();
        let mut more = other.trackers();
        more.iter_mut().for_each(|tier| tier.retain(|url| !known.contains(url)));
        more.retain(|tier| !tier.is_empty());
        if more.is_empty() || torrent.info.private {
            return Ok(self);
        }
        let mut torrent = torrent.clone();
        torrent.trackers.extend(more);
        // What is more than a torrent may have is left out when it is read again.
        Self::by_file(sealed(&torrent).into())
    }

    /// The .torrent, once there is one.
    pub(super) fn file(&self) -> Option<&Bytes> {
        self.file.as_ref()
    }

    /// How it is written down.
    pub(super) fn written(&self) -> database::Source {
        match (&self.file, &self.source) {
            (Some(file), _) => database::Source::Torrent(file.to_vec()),
            (None, Source::Magnet(magnet)) => database::Source::Magnet(magnet.to_string()),
            (None, Source::Torrent(torrent)) => database::Source::Torrent(sealed(torrent)),
        }
    }

    /// What was written down, read again.
    pub(super) fn read(written: database::Source) -> Result<Self, Refusal> {
        match written {
            database::Source::Torrent(bytes) => Self::by_file(bytes.into()),
            database::Source::Magnet(link) => Self::by_link(&link),
        }
    }
}

fn sealed(torrent: &TorrentFile) -> Vec<u8> {
    let envelope = Envelope {
        trackers: torrent.trackers.clone(),
        web_seeds: torrent.web_seeds.clone(),
        nodes: torrent.nodes.clone(),
        comment: torrent.comment.clone(),
        created_by: torrent.created_by.clone(),
        creation_date: torrent.creation_date,
    };
    envelope.seal(&torrent.info.raw)
}

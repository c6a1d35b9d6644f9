//! `TorrentInfo`: what a torrent says, in the JSON shape that scripts and users rely on.

use afflux_media::container::Facts;
use afflux_metainfo::info::Info;
use afflux_metainfo::{FileIndex, InfoHashes, Layout};
use afflux_stream::magic::{FileFacts, judge_torrent};
use afflux_stream::{Kind, Verdict, media_type, verdict};
use serde::Serialize;
use utoipa::ToSchema;

use crate::media_choice;
use crate::media_info::MediaInfo;
use crate::release_info::ReleaseInfo;
use crate::source::Source;

/// One file of a torrent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    index: u32,
    path: String,
    size: u64,
    kind: &'static str,
    mime: &'static str,
    verdict: &'static str,
    /// A subtitle's language (BCP 47), where its name beside its film's says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// What a film's name says, with the folders above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<ReleaseInfo>,
    /// What the file's container says, once somebody has watched it.
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaInfo>,
}

/// Everything a .torrent or magnet says.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "infoHash": "dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c",
    "name": "Big Buck Bunny",
    "totalSize": 276_445_467,
    "pieceLength": 262_144,
    "pieceCount": 1055,
    "private": false,
    "trackers": ["udp://tracker.example:6969"],
    "webSeeds": [],
    "files": [{
        "index": 0, "path": "Big Buck Bunny/Big Buck Bunny.mp4", "size": 276_445_467, "kind": "video", "mime": "video/mp4",
        "verdict": "ok",
    }],
    "mainFile": 0,
    "release": {"title": "Big Buck Bunny", "seasons": [], "episodes": [], "absoluteEpisodes": [], "audio": [], "hdr": [], "languages": []},
    "warnings": [],
}))]
pub struct TorrentInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash_v2: Option<String>,
    name: String,
    total_size: Option<u64>,
    piece_length: Option<u32>,
    piece_count: Option<u32>,
    private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    trackers: Vec<String>,
    web_seeds: Vec<String>,
    files: Vec<FileInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    main_file: Option<u32>,
    /// What its name says.
    release: ReleaseInfo,
    warnings: Vec<String>,
}

impl TorrentInfo {
    /// What `source` says; `fetched` is its metadata if that had to come from peers.
    pub fn new(source: &Source, fetched: Option<&Info>) -> Self {
        let mut about = Self::from_hashes(source.hashes(), source.name());
        about.trackers = source.trackers().concat();
        match source {
            Source::Torrent(torrent) => {
                about.comment.clone_from(&torrent.comment);
                about.created_by.clone_from(&torrent.created_by);
                about.web_seeds.clone_from(&torrent.web_seeds);
                about.describe(&torrent.info);
            }
            Source::Magnet(magnet) => {
                about.web_seeds.clone_from(&magnet.web_seeds);
                about.total_size = magnet.exact_length;
                if let Some(info) = fetched {
                    about.describe(info);
                }
            }
        }
        about
    }

    /// Adds what a file's container says.
    pub fn add_media(&mut self, file: FileIndex, facts: &Facts) {
        let file = self.files.iter_mut().find(|known| known.index == file.0);
        if let Some(file) = file {
            file.media = Some(MediaInfo::new(facts, file.size));
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The files, in the order of the metainfo.
    pub fn files(&self) -> &[FileInfo] {
        &self.files
    }

    fn from_hashes(hashes: InfoHashes, name: String) -> Self {
        Self {
            info_hash: hashes.v1().map(|hash| hash.to_string()),
            info_hash_v2: hashes.v2().map(|hash| hash.to_string()),
            release: ReleaseInfo::of(&name),
            name,
            total_size: None,
            piece_length: None,
            piece_count: None,
            private: false,
            comment: None,
            created_by: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            files: Vec::new(),
            main_file: None,
            warnings: Vec::new(),
        }
    }

    fn describe(&mut self, info: &Info) {
        let layout = &info.layout;
        self.info_hash = info.hashes.v1().map(|hash| hash.to_string());
        self.info_hash_v2 = info.hashes.v2().map(|hash| hash.to_string());
        self.name.clone_from(&info.name);
        self.release = ReleaseInfo::of(&self.name);
        self.total_size = Some(media_choice::files(layout).map(|(_, file)| file.length).sum());
        self.piece_length = Some(layout.piece_length());
        self.piece_count = Some(layout.piece_count());
        self.private = info.private;
        self.files = files(layout);
        self.main_file = media_choice::main_file(layout).map(|FileIndex(index)| index);
        self.warnings = info.warnings.iter().map(ToString::to_string).collect();
        let facts: Vec<FileFacts<'_>> =
            self.files.iter().map(|file| FileFacts { path: &file.path, length: file.size }).collect();
        let suspicious = judge_torrent(&self.name, &facts);
        self.warnings.extend(suspicious.into_iter().map(|warning| warning.sentence().to_owned()));
        if let Err(reason) = info.transferable() {
            self.warnings.push(reason.to_string());
        }
        for file in &self.files {
            match file.verdict {
                "block" => self
                    .warnings
                    .push(format!("{} looks like a trap: it is not what its name says", file.path)),
                "warn" => {
                    self.warnings.push(format!("{} is a program or an archive; it may be harmful", file.path))
                }
                _ => {}
            }
        }
    }
}

impl FileInfo {
    /// The path with `/` between components.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Its number.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// What it is for, in the API's word.
    pub fn kind(&self) -> &'static str {
        self.kind
    }
}

/// Films of a torrent whose names are read. A torrent may have a hundred thousand files, and is looked at often.
const RELEASES_MAX: usize = 1000;

fn files(layout: &Layout) -> Vec<FileInfo> {
    let mut releases_left = RELEASES_MAX;
    let mut languages = media_choice::subtitle_languages(layout);
    media_choice::files(layout)
        .map(|(FileIndex(index), file)| {
            let path = file.display_path();
            let media = media_type(&path);
            let judged: Verdict = verdict(&path);
            let is_read = media.kind == Kind::Video && releases_left > 0;
            releases_left -= usize::from(is_read);
            FileInfo {
                index,
                size: file.length,
                kind: media.kind.as_str(),
                mime: media.mime,
                verdict: judged.as_str(),
                language: languages.remove(&FileIndex(index)).map(|tag| tag.to_string()),
                release: is_read.then(|| ReleaseInfo::of(&path)),
                media: None,
                path,
            }
        })
        .collect()
}

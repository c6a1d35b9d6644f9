//! A file's name with the folders above it, which say what the file doesn't.

use super::{Release, parse_name, parse_part};
use crate::limits::FOLDERS_MAX;

/// Extensions of files that have to do with films; sorted.
const EXTENSIONS: &[&str] = &[
    "3gp", "ass", "avi", "divx", "flv", "idx", "iso", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg",
    "mts", "nfo", "nzb", "ogm", "ogv", "srt", "ssa", "sub", "sup", "torrent", "ts", "vob", "vtt", "webm",
    "wmv",
];

/// Those of films themselves; sorted.
const FILMS: &[&str] = &[
    "3gp", "avi", "divx", "flv", "iso", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogm",
    "ogv", "ts", "vob", "webm", "wmv",
];

/// Folders that say where things are, not what; sorted.
const PLACES: &[&str] = &[
    "anime",
    "complete",
    "data",
    "data-1",
    "downloads",
    "featurettes",
    "films",
    "folder",
    "home",
    "library",
    "live",
    "media",
    "minisodes",
    "mnt",
    "movies",
    "public",
    "sample",
    "samples",
    "series",
    "shows",
    "subs",
    "subtitles",
    "test",
    "tmp",
    "tv",
    "tv series",
    "tv shows",
    "tvshows",
    "video",
    "videos",
    "volumes",
];

/// The name and its extension, if that is one of a film or of what comes with films.
pub(super) fn split_extension(name: &str) -> (&str, Option<&'static str>) {
    let name = name.trim();
    let Some((stem, extension)) = name.rsplit_once('.') else { return (name, None) };
    match EXTENSIONS.binary_search(&extension.to_ascii_lowercase().as_str()) {
        Ok(at) => (stem, Some(EXTENSIONS[at])),
        Err(_) => (name, None),
    }
}

pub(super) fn is_film(extension: Option<&str>) -> bool {
    extension.is_some_and(|extension| FILMS.binary_search(&extension).is_ok())
}

pub(super) fn is_subtitle(extension: Option<&str>) -> bool {
    matches!(extension, Some("ass" | "idx" | "srt" | "ssa" | "sub" | "sup" | "vtt"))
}

/// Slashes are in names as well ("1/8", "Title / Titre"): it is a path if it begins with one, or ends with a file.
pub(super) fn is_path(name: &str) -> bool {
    let is_rooted = name.starts_with('/') || name.get(1..3) == Some(":\\");
    let Some((folder, file)) = name.rsplit_once(['/', '\\']) else { return false };
    let is_tight = !folder.ends_with(' ') && !file.starts_with(' ');
    let is_closed = !file.contains([')', ']']) || file.contains(['(', '[']);
    is_rooted || (is_tight && is_closed && split_extension(file).1.is_some())
}

/// Reads a path, with `/` or `\` between its parts: what the file's name says, and beyond that what the folders above it say,
/// the nearest first and at most [`FOLDERS_MAX`] of them.
pub fn parse_path(path: &str) -> Release {
    let mut parts = path.rsplit(['/', '\\']).filter(|part| !part.trim().is_empty());
    let (mut release, is_led) = parts.next().map(parse_part).unwrap_or_default();
    let mut is_named = is_telling(&release) && !is_led;
    for folder in parts.take(FOLDERS_MAX) {
        if PLACES.binary_search(&folder.to_ascii_lowercase().trim()).is_ok() {
            continue;
        }
        let above = parse_name(folder);
        let takes_title = !above.title.is_empty() && prefers(&release, &above, is_named);
        if takes_title {
            release.title.clone_from(&above.title);
            is_named = is_named || is_telling(&above) || release.episodes.is_empty();
        }
        release.take(above);
        is_named |= takes_title;
    }
    release
}

/// Has more than a title, and one that is no abbreviation.
fn is_telling(release: &Release) -> bool {
    let is_whole = release.title.len() > 1;
    let is_film = release.year.is_some();
    let is_episode = !release.episodes.is_empty() || release.date.is_some();
    is_whole && (is_film || is_episode)
}

/// A folder's title is better than an abbreviation, or than what is an episode's title.
fn prefers(file: &Release, above: &Release, is_named: bool) -> bool {
    let folded = fold(&above.title);
    let is_same = fold(&file.title) == folded;
    let is_release = above.group.is_some() || above.year.is_some();
    if is_named {
        // "grp-title.2016.mkv" below the whole name.
        return is_release && !is_same && fold(&file.title).ends_with(&folded) && file.seasons.is_empty();
    }
    !is_same && (is_release || file.title.is_empty() || file.year.is_none())
}

fn fold(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl Release {
    /// Fills what it doesn't say with what another says.
    fn take(&mut self, other: Self) {
        // A folder of several seasons doesn't say of which one a file is.
        if self.seasons.is_empty() && other.seasons.len() == 1 {
            self.seasons = other.seasons;
        }
        if !self.seasons.is_empty() {
            self.absolute_episodes.clear();
        }
        if self.episodes.is_empty() && self.date.is_none() {
            self.episodes = other.episodes;
        }
        if self.languages.is_empty() {
            self.languages = other.languages;
        }
        if self.audio.is_empty() {
            self.audio = other.audio;
        }
        if self.hdr.is_empty() {
            self.hdr = other.hdr;
        }
        self.year = self.year.or(other.year);
        self.date = self.date.or(other.date);
        self.resolution = self.resolution.or(other.resolution);
        self.source = self.source.or(other.source);
        self.video_codec = self.video_codec.or(other.video_codec);
        self.edition = self.edition.or(other.edition);
        self.group = self.group.take().or(other.group);
        self.is_proper |= other.is_proper;
        self.is_repack |= other.is_repack;
        self.is_remux |= other.is_remux;
    }
}

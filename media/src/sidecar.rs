//! Which of a torrent's subtitle files belong to a video, and what their names say of them.
//!
//! Names are all there is to go by: [`sidecars`] pairs files, [`labels`] reads what follows the video's name. Not here: what is
//! in the files.

mod episode;
pub mod labels;

use std::collections::{BTreeMap, BTreeSet};

use crate::language::Tag;
use crate::limits::{SIDECAR_PATH_BYTES_MAX, SIDECARS_MAX};
use crate::subtitle::Format;

use self::episode::Episode;
use self::labels::Labels;

/// Endings of videos. A file that is none of these isn't asked whether a subtitle is its.
const VIDEO_EXTENSIONS: [&str; 20] = [
    "mkv", "mp4", "m4v", "avi", "mov", "webm", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "wmv", "flv",
    "ogv", "ogm", "divx", "3gp", "asf", "rmvb",
];

/// Folders that hold subtitles and say nothing of whose.
const SUBTITLE_FOLDERS: [&str; 8] =
    ["subs", "sub", "subtitles", "subtitle", "vobsub", "vobsubs", "srt", "captions"];

/// Between the words of a name.
const SEPARATORS: [char; 10] = ['.', '-', '_', ' ', '(', ')', '[', ']', '+', ','];

/// A subtitle file that belongs to a video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// Which of the files it is; of VobSub's two it is the `.idx`.
    pub index: usize,
    /// The `.sub` with the pictures that an `.idx` tells of.
    pub pictures: Option<usize>,
    /// What it is by its extension; a lone `.sub` may be several.
    pub format: Option<Format>,
    /// Its language, where its name says one.
    pub language: Option<Tag>,
    /// What else its name says.
    pub title: Option<String>,
    /// It is shown even to those who want no subtitles.
    pub is_forced: bool,
    /// Players choose it if nobody says otherwise.
    pub is_default: bool,
    /// It is for people who don't hear well.
    pub is_sdh: bool,
    /// What speaks for its being this video's.
    pub rank: Rank,
}

/// What speaks for a subtitle's being a video's, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It has the video's name and nothing more.
    SameName,
    /// It has the video's name and something more.
    NameAndLabels,
    /// It is in a folder with the video's name: `Subs/Film.2020/2_English.srt`.
    Folder,
    /// It is of the same season and episode.
    Episode,
    /// There is no other video that it could be of.
    OnlyVideo,
}

/// The subtitles of a video, by rank and then as the files are. `files` are all paths of the torrent, with `/` between folders: the
/// other videos say which subtitles aren't this one's. At most [`SIDECARS_MAX`]; paths beyond [`SIDECAR_PATH_BYTES_MAX`] are
/// nobody's.
pub fn sidecars(video: &str, files: &[&str]) -> Vec<Sidecar> {
    if video.len() > SIDECAR_PATH_BYTES_MAX {
        return Vec::new();
    }
    let torrent = Torrent::new(video, files);
    let mut found: Vec<Sidecar> = files
        .iter()
        .enumerate()
        .filter(|(_, path)| path.len() <= SIDECAR_PATH_BYTES_MAX)
        .filter_map(|(index, path)| torrent.sidecar(index, path))
        .collect();
    found.sort_by_key(|sidecar| (sidecar.rank, sidecar.index));
    found.truncate(SIDECARS_MAX);
    found
}

/// A path and its parts.
#[derive(Debug)]
struct Path<'a> {
    folders: Vec<&'a str>,
    /// The name without its extension.
    stem: &'a str,
    extension: &'a str,
}

impl<'a> Path<'a> {
    fn new(path: &'a str) -> Self {
        let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let folders = folders.split('/').filter(|folder| !folder.is_empty()).collect();
        Self { folders, stem, extension }
    }

    fn is_video(&self) -> bool {
        VIDEO_EXTENSIONS.iter().any(|extension| self.extension.eq_ignore_ascii_case(extension))
    }
}

fn is_subtitle(extension: &str) -> bool {
    extension.eq_ignore_ascii_case("sub") || Format::from_extension(extension).is_some()
}

/// A name by which files are the same: case and separators make no difference. It has as many bytes as it had.
fn folded(name: &str) -> String {
    let fold = |letter: char| if matches!(letter, '.' | '_') { ' ' } else { letter.to_ascii_lowercase() };
    name.chars().map(fold).collect()
}

/// What has to be known of all files.
struct Torrent<'a> {
    video: Path<'a>,
    video_name: String,
    video_episode: Option<Episode>,
    /// The names of all videos, samples aside.
    videos: BTreeSet<String>,
    is_only_video: bool,
    /// Another video has the same name, in another folder.
    has_namesake: bool,
    /// Folders with the video's name that other videos are in.
    crowded: BTreeSet<String>,
    /// Each pair's `.idx` and `.sub` by the path without those.
    pairs: BTreeMap<String, Pair>,
}

#[derive(Debug, Default)]
struct Pair {
    index: Option<usize>,
    pictures: Option<usize>,
}

impl<'a> Torrent<'a> {
    fn new(video: &'a str, files: &[&'a str]) -> Self {
        let path = Path::new(video);
        let name = folded(path.stem);
        let mut videos = BTreeSet::from([name.clone()]);
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        let mut is_only_video = true;
        let mut has_namesake = false;
        let mut crowded = BTreeSet::new();
        for (index, file) in files.iter().enumerate().filter(|(_, file)| file.len() <= SIDECAR_PATH_BYTES_MAX)
        {
            let other = Path::new(file);
            if other.is_video() && !is_sample(&other) {
                let named = other.folders.iter().rposition(|folder| folded(folder) == name);
                if let Some(at) = named.filter(|_| *file != video) {
                    crowded.insert(other.folders[..=at].join("/"));
                }
                is_only_video &= *file == video;
                let other_name = folded(other.stem);
                has_namesake |= *file != video && other_name == name;
                videos.insert(other_name);
            }
            let Some((whole, _)) = file.rsplit_once('.') else { continue };
            if other.extension.eq_ignore_ascii_case("idx") {
                pairs.entry(whole.to_ascii_lowercase()).or_default().index = Some(index);
            } else if other.extension.eq_ignore_ascii_case("sub") {
                pairs.entry(whole.to_ascii_lowercase()).or_default().pictures = Some(index);
            }
        }
        pairs.retain(|_, pair| pair.index.is_some() && pair.pictures.is_some());
        let video_episode = Episode::find(path.stem);
        Self {
            video: path,
            video_name: name,
            video_episode,
            videos,
            is_only_video,
            has_namesake,
            crowded,
            pairs,
        }
    }

    fn sidecar(&self, index: usize, whole: &str) -> Option<Sidecar> {
        let path = Path::new(whole);
        if !is_subtitle(path.extension) {
            return None;
        }
        let pictures = self.pictures(whole, index);
        if pictures == Some(index) {
            return None;
        }
        let (rank, labels) = self.rank(&path)?;
        let labels = self.with_folder(labels, &path);
        Some(Sidecar {
            index,
            pictures,
            format: Format::from_extension(path.extension),
            language: labels.language,
            title: labels.title,
            is_forced: labels.is_forced,
            is_default: labels.is_default,
            is_sdh: labels.is_sdh,
            rank,
        })
    }

    /// The pictures of the pair that a file is of, whichever of both it is.
    fn pictures(&self, whole: &str, index: usize) -> Option<usize> {
        let (stem, _) = whole.rsplit_once('.')?;
        let pair = self.pairs.get(&stem.to_ascii_lowercase())?;
        let is_of_it = pair.index == Some(index) || pair.pictures == Some(index);
        pair.pictures.filter(|_| is_of_it)
    }

    /// What speaks for a subtitle's being the video's, if anything does.
    fn rank(&self, path: &Path<'_>) -> Option<(Rank, Labels)> {
        let name = folded(path.stem);
        if let Some(bytes) = longest_name(&name, &self.videos) {
            // Whatever else: it has some video's name.
            let is_its = self.video_name.len() == bytes && self.video_name == name[..bytes];
            if !is_its || !self.is_near(path) {
                return None;
            }
            let rest = &path.stem[bytes..];
            let rank = if rest.is_empty() { Rank::SameName } else { Rank::NameAndLabels };
            return Some((rank, Labels::parse(rest)));
        }
        let labels = || Labels::parse_name(path.stem, self.video.stem);
        match self.named_folder(path) {
            Owner::This => return Some((Rank::Folder, labels())),
            Owner::Another => return None,
            Owner::Unsaid => {}
        }
        let episode = Episode::find(path.stem)
            .or_else(|| path.folders.iter().rev().find_map(|folder| Episode::find(folder)));
        if episode.is_some() && episode == self.video_episode {
            return Some((Rank::Episode, labels()));
        }
        self.is_only_video.then(|| (Rank::OnlyVideo, labels()))
    }

    /// Whether no other video has this one's name, or else the subtitle is beside this one, in a folder for subtitles near it, or
    /// further up.
    fn is_near(&self, path: &Path<'_>) -> bool {
        let is_for_subtitles = |folder: &&str| {
            SUBTITLE_FOLDERS.iter().any(|name| folder.eq_ignore_ascii_case(name))
                || folded(folder) == self.video_name
        };
        let own = path.folders.iter().position(is_for_subtitles).unwrap_or(path.folders.len());
        !self.has_namesake || self.video.folders.starts_with(&path.folders[..own])
    }

    /// Whose the innermost folder is that has a video's name. One in which there are other videos, too, says nothing.
    fn named_folder(&self, path: &Path<'_>) -> Owner {
        let names = path.folders.iter().map(|folder| folded(folder));
        let Some((at, name)) = names.enumerate().rfind(|(_, name)| self.videos.contains(name)) else {
            return Owner::Unsaid;
        };
        let folders = &path.folders[..=at];
        match name == self.video_name {
            true if self.crowded.contains(&folders.join("/")) => Owner::Unsaid,
            true => Owner::This,
            false if self.video.folders.starts_with(folders) => Owner::Unsaid,
            false => Owner::Another,
        }
    }

    /// Adds what the folder says that a subtitle is in: `Subs/English/film.srt`. The video's own folder has a film's name, and "It"
    /// is one.
    fn with_folder(&self, mut labels: Labels, path: &Path<'_>) -> Labels {
        let own = path.folders.last().filter(|_| !self.video.folders.starts_with(&path.folders));
        let of_folder = own.map(|folder| Labels::parse(folder)).filter(|labels| labels.title.is_none());
        if let Some(folder) = of_folder {
            labels.language = labels.language.or(folder.language);
            labels.is_forced |= folder.is_forced;
            labels.is_sdh |= folder.is_sdh;
        }
        labels
    }
}

/// Whose a folder is.
enum Owner {
    This,
    Another,
    Unsaid,
}

/// Parts of films that are there to look at their quality aren't what a subtitle is of.
fn is_sample(path: &Path<'_>) -> bool {
    let has_word = |text: &str| text.split(SEPARATORS).any(|word| word.eq_ignore_ascii_case("sample"));
    has_word(path.stem) || path.folders.last().is_some_and(|folder| has_word(folder))
}

/// Bytes of the longest name of a video that a name begins with and that ends with a word of it.
fn longest_name(name: &str, videos: &BTreeSet<String>) -> Option<usize> {
    let ends = name.char_indices().rev().filter(|(_, letter)| SEPARATORS.contains(letter)).map(|(at, _)| at);
    std::iter::once(name.len()).chain(ends).find(|&end| end > 0 && videos.contains(&name[..end]))
}

#[cfg(test)]
mod tests;

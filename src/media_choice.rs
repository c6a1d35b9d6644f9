//! Which file of a torrent a person means: the main video, or what `--file` says.

use std::collections::BTreeMap;

use afflux_media::Tag;
use afflux_media::release::{Episode, Pack, pack};
use afflux_media::sidecar::{Sidecar, sidecars};
use afflux_metainfo::layout::FileSpan;
use afflux_metainfo::{FileIndex, Layout};
use afflux_stream::media_type::Kind;

use crate::failure::Failure;

/// The largest video; without one the largest audio file.
pub fn main_file(layout: &Layout) -> Option<FileIndex> {
    largest(layout, Kind::Video).or_else(|| largest(layout, Kind::Audio))
}

/// What a user means by an index or a glob over paths.
pub fn chosen_file(layout: &Layout, wish: Option<&str>) -> Result<FileIndex, Failure> {
    let Some(wish) = wish else {
        return main_file(layout).ok_or_else(|| {
            Failure::work(format!("the torrent has no video; say --file with one of: {}", listing(layout)))
        });
    };
    if let Ok(index) = wish.parse::<u32>() {
        return match layout.file(FileIndex(index)) {
            Some(file) if !file.pad => Ok(FileIndex(index)),
            _ => Err(Failure::usage(format!("--file {index}: the torrent's files are {}", listing(layout)))),
        };
    }
    let matching = matching_files(layout, wish)?.into_iter();
    matching
        .max_by_key(|index| layout.file(*index).map(|file| file.length))
        .ok_or_else(|| Failure::usage(format!("--file {wish:?} matches none of {}", listing(layout))))
}

/// What is probably watched after `file`: the next episode as names count them, into the next season too; where they don't, the next
/// film or song of its folder, in the order in which people number them. Samples and extras are much shorter than an
/// episode, and aren't episodes.
pub fn next_file(layout: &Layout, file: FileIndex) -> Option<FileIndex> {
    let current = layout.file(file)?;
    let kind = kind_of(current);
    if !matches!(kind, Kind::Video | Kind::Audio) {
        return None;
    }
    let episodes = episodes(layout);
    if let Some(at) = episodes.iter().position(|&episode| episode == file) {
        return episodes.get(at + 1).copied();
    }
    let folder = folder_of(current);
    let place = natural_key(&current.display_path());
    files(layout)
        .filter(|(_, other)| folder_of(other) == folder && kind_of(other) == kind)
        .filter(|(_, other)| other.length >= current.length / EPISODE_FRACTION && other.length > 0)
        .map(|(index, other)| (natural_key(&other.display_path()), index))
        .filter(|(key, _)| *key > place)
        .min()
        .map(|(_, index)| index)
}

/// What there is to watch, in order: episodes by season, then specials, then films; samples and extras only where there is nothing
/// else. Without any video all songs.
pub fn watching_order(layout: &Layout) -> Vec<FileIndex> {
    let videos = in_order(layout, Kind::Video);
    if videos.is_empty() {
        return in_order(layout, Kind::Audio);
    }
    let Some((pack, packed)) = packed(layout, &videos) else { return videos };
    let specials = pack.specials.iter().map(|episode| episode.file);
    let order: Vec<FileIndex> =
        numbered(&pack).chain(specials).chain(pack.films.iter().copied()).map(packed).collect();
    if order.is_empty() { videos } else { order }
}

/// The seasons that names count, with their episodes in order; those of none come first, as season 0.
pub fn seasons(layout: &Layout) -> Vec<(u16, Vec<FileIndex>)> {
    let videos = in_order(layout, Kind::Video);
    let Some((pack, packed)) = packed(layout, &videos) else { return Vec::new() };
    let files = |episodes: &[Episode]| episodes.iter().map(|episode| packed(episode.file)).collect();
    let specials = (!pack.specials.is_empty()).then(|| (0, files(&pack.specials)));
    let numbered = pack.seasons.iter().filter_map(|season| Some((season.number?, files(&season.episodes))));
    specials.into_iter().chain(numbered).collect()
}

/// Whether a file is an episode of a series, as names count them.
pub fn is_episode(layout: &Layout, file: FileIndex) -> bool {
    episodes(layout).contains(&file)
}

/// The episodes of all seasons, in order.
fn episodes(layout: &Layout) -> Vec<FileIndex> {
    let videos = in_order(layout, Kind::Video);
    packed(layout, &videos).map_or_else(Vec::new, |(pack, packed)| numbered(&pack).map(packed).collect())
}

fn numbered(pack: &Pack) -> impl Iterator<Item = usize> + '_ {
    pack.seasons.iter().flat_map(|season| season.episodes.iter().map(|episode| episode.file))
}

/// What the names of videos make of them, and which file each is. Of more than a few hundred the names aren't read.
fn packed<'a>(layout: &Layout, videos: &'a [FileIndex]) -> Option<(Pack, impl Fn(usize) -> FileIndex + 'a)> {
    if videos.len() > PACKED_MAX {
        return None;
    }
    let paths: Vec<String> =
        videos.iter().filter_map(|&file| layout.file(file)).map(FileSpan::display_path).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Some((pack(&paths), |at| videos[at]))
}

/// The languages of subtitle files, as their names beside their films' say. Of a torrent with more of both than a long series none.
pub fn subtitle_languages(layout: &Layout) -> BTreeMap<FileIndex, Tag> {
    let is_asked = |kind| matches!(kind, Kind::Video | Kind::Subtitle);
    let (asked, paths): (Vec<(FileIndex, Kind)>, Vec<String>) = files(layout)
        .filter(|(_, file)| is_asked(kind_of(file)))
        .map(|(index, file)| ((index, kind_of(file)), file.display_path()))
        .unzip();
    let films = asked.iter().filter(|(_, kind)| *kind == Kind::Video).count();
    if films * (asked.len() - films) > SUBTITLE_PAIRS_MAX {
        return BTreeMap::new();
    }
    let all: Vec<&str> = paths.iter().map(String::as_str).collect();
    let films = asked.iter().zip(&all).filter(|((_, kind), _)| *kind == Kind::Video);
    let of_film = |path: &str| {
        let language = |sidecar: Sidecar| Some((asked.get(sidecar.index)?.0, sidecar.language?));
        sidecars(path, &all).into_iter().filter_map(language).collect::<Vec<_>>()
    };
    films.flat_map(|(_, path)| of_film(path)).collect()
}

/// All files of a kind, in the order in which people number them.
fn in_order(layout: &Layout, kind: Kind) -> Vec<FileIndex> {
    let mut found: Vec<(Vec<NamePart>, FileIndex)> = files(layout)
        .filter(|(_, file)| kind_of(file) == kind && file.length > 0)
        .map(|(index, file)| (natural_key(&file.display_path()), index))
        .collect();
    found.sort();
    found.into_iter().map(|(_, index)| index).collect()
}

/// Videos whose names are read to put them in order: a long series. More take milliseconds.
const PACKED_MAX: usize = 500;

/// Films times subtitles that are held against each other by name: a hundred episodes with two subtitles each, and some milliseconds.
const SUBTITLE_PAIRS_MAX: usize = 20_000;

/// An episode is at least this part of the one before it.
const EPISODE_FRACTION: u64 = 4;

fn kind_of(file: &FileSpan) -> Kind {
    file.path.last().map_or(Kind::Other, |name| afflux_stream::media_type(name).kind)
}

fn folder_of(file: &FileSpan) -> &[String] {
    file.path.split_last().map_or(&[], |(_, folder)| folder)
}

/// A part of a name: "Episode 9" comes before "Episode 10".
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NamePart {
    /// A run of digits: by its length without leading zeros, then by the digits.
    Number(usize, String),
    /// Anything else, case aside.
    Text(String),
}

fn natural_key(name: &str) -> Vec<NamePart> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        parts.push(if digits {
            let number = run.trim_start_matches('0');
            NamePart::Number(number.len(), number.to_owned())
        } else {
            NamePart::Text(run.to_lowercase())
        });
        rest = after;
    }
    parts
}

/// The files whose path or name fits a pattern, case aside.
pub fn matching_files(layout: &Layout, pattern: &str) -> Result<Vec<FileIndex>, Failure> {
    let glob = globset::GlobBuilder::new(pattern)
        .case_insensitive(true)
        .build()
        .map_err(|error| Failure::usage(format!("{pattern:?} is neither a number nor a pattern: {error}")))?
        .compile_matcher();
    let fits = |file: &FileSpan| {
        glob.is_match(file.display_path()) || file.path.last().is_some_and(|name| glob.is_match(name))
    };
    Ok(files(layout).filter(|(_, file)| fits(file)).map(|(index, _)| index).collect())
}

/// All files but padding, with their numbers.
pub fn files(layout: &Layout) -> impl Iterator<Item = (FileIndex, &FileSpan)> {
    let numbered = layout.files().iter().enumerate().map(|(nth, file)| (FileIndex(nth as u32), file));
    numbered.filter(|(_, file)| !file.pad)
}

fn largest(layout: &Layout, kind: Kind) -> Option<FileIndex> {
    files(layout)
        .filter(|(_, file)| file.length > 0)
        .filter(|(_, file)| kind_of(file) == kind)
        .max_by_key(|(index, file)| (file.length, std::cmp::Reverse(*index)))
        .map(|(index, _)| index)
}

/// The first few files, for error messages.
fn listing(layout: &Layout) -> String {
    const SHOWN: usize = 12;
    let mut shown: Vec<String> =
        files(layout).take(SHOWN).map(|(index, file)| format!("{index} {:?}", file.display_path())).collect();
    let rest = files(layout).count().saturating_sub(SHOWN);
    if rest > 0 {
        shown.push(format!("and {rest} more (afflux inspect lists them)"));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[(&str, u64)]) -> Layout {
        let rows =
            files.iter().map(|(path, length)| (path.split('/').map(str::to_owned).collect(), *length, false));
        Layout::new(1 << 14, rows).unwrap()
    }

    #[test]
    fn the_largest_video_is_the_main_file_even_beside_larger_archives() {
        let layout =
            layout(&[("t/a.zip", 900), ("t/sample.mkv", 10), ("t/film.mkv", 500), ("t/film.srt", 5)]);
        assert_eq!(main_file(&layout), Some(FileIndex(2)));
    }

    #[test]
    fn the_next_episode_follows_by_number_and_samples_and_other_folders_are_left_out() {
        let layout = layout(&[
            ("t/Show 10.mkv", 500),
            ("t/show 9.mkv", 480),
            ("t/Show 9 sample.mkv", 20),
            ("t/Show 09.srt", 5),
            ("t/extras/Show 9b.mkv", 500),
            ("t/Show 11.mkv", 500),
        ]);
        assert_eq!(next_file(&layout, FileIndex(1)), Some(FileIndex(0)));
        assert_eq!(next_file(&layout, FileIndex(0)), Some(FileIndex(5)));
        assert_eq!(next_file(&layout, FileIndex(5)), None);
        assert_eq!(next_file(&layout, FileIndex(3)), None, "subtitles have no next");
        assert_eq!(next_file(&layout, FileIndex(99)), None);
    }

    #[test]
    fn a_series_goes_on_in_the_next_season_and_samples_and_extras_are_left_out() {
        let layout = layout(&[
            ("t/Season 2/Show.S02E01.mkv", 500),
            ("t/Season 1/Show.S01E10.mkv", 500),
            ("t/Season 1/Show.S01E9.mkv", 480),
            ("t/Specials/Show.S00E01.mkv", 480),
            ("t/Sample/show.s01e09.sample.mkv", 20),
            ("t/Extras/Trailer.mkv", 100),
        ]);
        let order: Vec<u32> = watching_order(&layout).into_iter().map(|FileIndex(index)| index).collect();
        assert_eq!(order, [2, 1, 0, 3]);
        let seasons =
            [(0, vec![FileIndex(3)]), (1, vec![FileIndex(2), FileIndex(1)]), (2, vec![FileIndex(0)])];
        assert_eq!(super::seasons(&layout), seasons);
        assert!(is_episode(&layout, FileIndex(0)) && !is_episode(&layout, FileIndex(5)));
        assert_eq!(next_file(&layout, FileIndex(1)), Some(FileIndex(0)), "into the next season");
        assert_eq!(next_file(&layout, FileIndex(0)), None);
    }

    #[test]
    fn a_file_is_chosen_by_number_or_pattern_and_a_wrong_choice_lists_what_there_is() {
        let layout = layout(&[("t/one.mkv", 9), ("t/Two.MKV", 5), ("t/notes.txt", 1)]);
        assert_eq!(chosen_file(&layout, Some("1")).unwrap(), FileIndex(1));
        assert_eq!(chosen_file(&layout, Some("two*")).unwrap(), FileIndex(1));
        assert_eq!(chosen_file(&layout, Some("t/*.mkv")).unwrap(), FileIndex(0));
        let failure = chosen_file(&layout, Some("7")).unwrap_err().to_string();
        assert!(failure.contains("one.mkv"), "{failure}");
        assert!(chosen_file(&layout, Some("*.avi")).is_err());
        assert!(chosen_file(&layout, Some("[")).is_err());
    }
}

//! The files of a torrent in the order in which people watch them.

use super::paths::{is_film, split_extension};
use super::{Date, parse_path};

/// The files of a torrent, each by its place in the list that was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pack {
    /// In order; those whose season isn't said come first.
    pub seasons: Vec<Season>,
    /// Episodes of no season: the zeroth, and what is called special.
    pub specials: Vec<Episode>,
    /// Films about the film: trailers, deleted scenes, openings without words.
    pub extras: Vec<usize>,
    /// Pieces to look at before.
    pub samples: Vec<usize>,
    /// Films that are no episodes.
    pub films: Vec<usize>,
    /// Everything that is no film.
    pub others: Vec<usize>,
}

/// A season.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Season {
    /// Which, if that is said.
    pub number: Option<u16>,
    /// In order.
    pub episodes: Vec<Episode>,
}

/// A file with an episode, or with several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Which file.
    pub file: usize,
    /// Their numbers, in order.
    pub numbers: Vec<u16>,
    /// When it was on air, where episodes are counted so.
    pub date: Option<Date>,
}

enum Place {
    Season(Option<u16>, Episode),
    Special(Episode),
    Extra,
    Sample,
    Film,
    Other,
}

/// Sorts the files of a torrent into seasons and episodes. Two files of the same episode stay in the order of the list.
pub fn pack(paths: &[&str]) -> Pack {
    let mut pack = Pack::default();
    let mut episodes = Vec::new();
    for (file, path) in paths.iter().enumerate() {
        match place(file, path) {
            Place::Season(season, episode) => episodes.push((season, episode)),
            Place::Special(episode) => pack.specials.push(episode),
            Place::Extra => pack.extras.push(file),
            Place::Sample => pack.samples.push(file),
            Place::Film => pack.films.push(file),
            Place::Other => pack.others.push(file),
        }
    }
    episodes.sort_by(|(one, episode), (other, next)| one.cmp(other).then_with(|| episode.order(next)));
    pack.specials.sort_by(Episode::order);
    for (number, episode) in episodes {
        match pack.seasons.last_mut().filter(|season| season.number == number) {
            Some(season) => season.episodes.push(episode),
            None => pack.seasons.push(Season { number, episodes: vec![episode] }),
        }
    }
    pack
}

impl Episode {
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        (self.date, &self.numbers, self.file).cmp(&(other.date, &other.numbers, other.file))
    }
}

fn place(file: usize, path: &str) -> Place {
    if !is_film(split_extension(path).1) {
        return Place::Other;
    }
    if has_word(path, SAMPLES) {
        return Place::Sample;
    }
    let release = parse_path(path);
    if release.is_extra || has_word(path, EXTRAS) {
        return Place::Extra;
    }
    let season = release.seasons.first().copied();
    let is_special = season == Some(0) || has_word(path, SPECIALS);
    let episode = Episode { file, numbers: release.episodes, date: release.date };
    match (episode.numbers.is_empty() && episode.date.is_none(), is_special) {
        (true, false) => Place::Film,
        (_, true) => Place::Special(episode),
        (false, false) => Place::Season(season, episode),
    }
}

/// Sorted.
const SAMPLES: &[&str] = &["sample", "samples"];

/// Sorted.
const EXTRAS: &[&str] = &[
    "bonus",
    "creditless",
    "deleted",
    "extra",
    "extras",
    "featurette",
    "featurettes",
    "interview",
    "interviews",
    "nced",
    "ncop",
    "trailer",
    "trailers",
];

/// Sorted.
const SPECIALS: &[&str] = &["ova", "special", "specials"];

/// A folder has one of these names, or the file's name begins or ends with one: in the middle they are words of a title.
fn has_word(path: &str, words: &[&str]) -> bool {
    let is_one = |text: &str| {
        let text = text.trim_end_matches(|digit: char| digit.is_ascii_digit());
        words.binary_search(&text.to_ascii_lowercase().as_str()).is_ok()
    };
    let mut parts = path.rsplit(['/', '\\']);
    let file = split_extension(parts.next().unwrap_or_default()).0;
    let separates = |letter: char| !letter.is_alphanumeric();
    let mut ends = file.split(separates).filter(|word| !word.is_empty());
    let is_edge = ends.next().is_some_and(is_one) || ends.next_back().is_some_and(is_one);
    is_edge || parts.any(is_one)
}

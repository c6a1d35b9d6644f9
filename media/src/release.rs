//! What a release's name says: title, year, season, episode, quality, languages, who made it.
//!
//! A name is cut into words once; recognisers claim words, the surest first: the words of the trade ([`parse`] knows a few
//! hundred), dates, marked episodes, the year, numbers that nothing marks. The title is what stands before the first claim,
//! the group what is left at the end. There is no standard for any of this, only habits; nothing said here is certain.
//!
//! Here too: names with the folders around them ([`parse_path`]), and the files of a torrent in order ([`pack`]).

mod counted;
mod dates;
mod group;
mod marks;
mod noise;
mod numbers;
mod packs;
mod paths;
mod table;
mod title;
mod tokens;
mod tongues;
mod trade;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use dates::Date;
pub use packs::{Episode, Pack, Season, pack};
pub use paths::parse_path;
pub use vocabulary::{Audio, Edition, Family, Hdr, Resolution, Source, VideoCodec};

use crate::language::Language;
use crate::limits::NAME_BYTES_MAX;
use counted::Context;
use numbers::Numbers;
use table::Meaning;
use tokens::Name;
use trade::Finding;

/// What a name says. What it doesn't say is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// As people write it, as far as a name keeps that.
    pub title: String,
    /// When it came out.
    pub year: Option<u16>,
    /// In order.
    pub seasons: Vec<u16>,
    /// As the name counts them.
    pub episodes: Vec<u16>,
    /// Counted from the first of all, where the name does.
    pub absolute_episodes: Vec<u16>,
    /// When it was on air, for what is on every day.
    pub date: Option<Date>,
    /// Lines of the picture.
    pub resolution: Option<Resolution>,
    /// Where it comes from.
    pub source: Option<Source>,
    /// How the pictures are encoded.
    pub video_codec: Option<VideoCodec>,
    /// How the sounds are encoded, in order.
    pub audio: Vec<Audio>,
    /// How bright it gets, in order.
    pub hdr: Vec<Hdr>,
    /// Heard or read, in order.
    pub languages: Vec<Language>,
    /// Which cut.
    pub edition: Option<Edition>,
    /// Who made it.
    pub group: Option<String>,
    /// By the extension.
    pub container: Option<&'static str>,
    /// It replaces what others made.
    pub is_proper: bool,
    /// It replaces what the same people made.
    pub is_repack: bool,
    /// It is from a disc as it is.
    pub is_remux: bool,
    /// It is an extra of a season.
    pub is_extra: bool,
}

/// Reads the name of a torrent or of a file. Beyond [`NAME_BYTES_MAX`] it isn't looked at.
pub fn parse(name: &str) -> Release {
    if paths::is_path(name) { parse_path(name) } else { parse_name(name) }
}

fn parse_name(text: &str) -> Release {
    parse_part(text).0
}

/// Reads a part of a path; with it whether a number leads to the title, which then is an episode's.
fn parse_part(text: &str) -> (Release, bool) {
    let (text, container) = paths::split_extension(cut(text));
    let name = &mut Name::new(text);
    let (mut release, is_led) = read(name);
    release.container = container;
    if paths::is_subtitle(container) {
        release.languages.extend(trade::language_at_end(name));
        sort(&mut release.languages);
    }
    (release, is_led)
}

/// The beginning of a text, in whole letters.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(NAME_BYTES_MAX)]
}

fn read(name: &mut Name<'_>) -> (Release, bool) {
    noise::claim(name);
    let mut found = trade::find(name);
    let date = dates::date(name);
    let mut numbers = numbers::marked(name);
    let year = dates::year(name);
    // Fights are sold one by one, and their numbers are their names.
    let is_sold = found.iter().any(|one| one.meaning == Meaning::Source(Source::Ppv));
    let is_broadcast = !is_sold && found.iter().any(|one| is_broadcast(one.meaning));
    if numbers.episodes.is_empty() && date.is_none() {
        counted::find(name, &mut numbers, Context { is_dated: year.is_some(), is_broadcast });
        if numbers.seasons.is_empty() {
            numbers.absolute.clone_from(&numbers.episodes);
        }
    } else if numbers.seasons.is_empty() {
        numbers.absolute.clone_from(&numbers.episodes);
    } else {
        counted::beside_marks(name, &mut numbers);
    }
    let title = title::find(name);
    trade::settle(name, &mut found, &title);
    let group = group::find(name, &title);
    if numbers.is_spanish && !found.iter().any(|one| matches!(one.meaning, Meaning::Language(_))) {
        found.push(Finding::told(Meaning::Language("es")));
    }
    let is_led = title::is_led(name, &title);
    let mut release = Release { title: title::text(name, title), group, date, ..Release::default() };
    release.count(numbers, year);
    release.tell(&found);
    (release, is_led)
}

fn is_broadcast(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Source(source) if source.family() == Family::Tv)
}

impl Release {
    fn count(&mut self, numbers: Numbers, year: Option<u16>) {
        // A season that is a year says the year too.
        let of_season = numbers.seasons.first().copied().filter(|&season| season >= 1900);
        self.year = year.or(of_season).or(self.date.map(|date| date.year));
        self.seasons = numbers.seasons;
        self.episodes = numbers.episodes;
        self.absolute_episodes = numbers.absolute;
        self.is_extra = numbers.is_extra;
    }

    fn tell(&mut self, found: &[Finding]) {
        let mut implied = None;
        for one in found {
            match one.meaning {
                Meaning::Resolution(resolution) => _ = self.resolution.get_or_insert(resolution),
                Meaning::Implied(resolution) => _ = implied.get_or_insert(resolution),
                Meaning::Source(source) => self.come_from(source),
                Meaning::Encoded(source, codec) => {
                    self.come_from(source);
                    self.video_codec.get_or_insert(codec);
                }
                Meaning::Video(codec) => _ = self.video_codec.get_or_insert(codec),
                Meaning::Audio(audio) => self.audio.push(audio),
                Meaning::Hdr(hdr) => self.hdr.push(hdr),
                Meaning::Edition(edition) => _ = self.edition.get_or_insert(edition),
                Meaning::Language(code) => self.languages.extend(Language::from_code(code)),
                Meaning::Nordic => {
                    self.languages
                        .extend(["da", "fi", "no", "sv"].into_iter().filter_map(Language::from_code));
                }
                Meaning::Proper => self.is_proper = true,
                Meaning::Repack => self.is_repack = true,
                Meaning::Remux => self.is_remux = true,
                Meaning::Nothing => {}
            }
        }
        self.resolution = self.resolution.or(implied);
        if self.is_remux && self.source.is_none() {
            self.source = Some(Source::Remux);
        }
        sort(&mut self.audio);
        sort(&mut self.hdr);
        sort(&mut self.languages);
    }

    /// The first source that is said, but a copy for the press is one whatever it was copied to, and how it was sold or
    /// scanned gives way to what came of it.
    fn come_from(&mut self, source: Source) {
        self.is_remux |= source == Source::Remux;
        let is_vague = matches!(self.source, None | Some(Source::Ppv | Source::TeleCine));
        if is_vague || source == Source::Screener {
            self.source = Some(source);
        }
    }
}

fn sort<T: Ord>(all: &mut Vec<T>) {
    all.sort_unstable();
    all.dedup();
}

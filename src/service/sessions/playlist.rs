//! A session's playlist: its videos in watching order with titles, lengths and subtitles, for players that take lists (M3U).
//!
//! Subtitles are said as Kodi (22) and other players read them, which is how VLC once did. VLC 3 itself ignores them in lists, local
//! ones too, as it ignores all options that might be unsafe; mpv has no way to say them.

use std::collections::BTreeMap;

use afflux_media::release;
use afflux_metainfo::{FileIndex, Layout};
use afflux_stream::{BaseUrl, OpenError};

use super::Session;
use crate::engine::torrent::Ready;
use crate::media_choice;
use crate::service::{Shared, subtitles};
use crate::shelf::encode;

/// Films of a playlist whose names are read; of more it is the names themselves.
const TITLES_MAX: usize = 500;
/// Names of files that are compared with those of films to find the films' subtitles: some ten milliseconds.
const NAMES_COMPARED_MAX: usize = 20_000;
/// Subtitles of one film: a menu that fits a screen.
const SUBTITLES_MAX: usize = 10;

impl Session {
    /// The torrent's videos (without any, its songs) in watching order, or those of one season (`season=2` of the query).
    ///
    /// # Errors
    /// There is no such season.
    pub(in crate::service) fn playlist(
        &self,
        shared: &Shared,
        ready: &Ready,
        durations: &BTreeMap<FileIndex, f64>,
        (base, query): (&BaseUrl, Option<&str>),
    ) -> Result<String, OpenError> {
        let layout = &ready.layout;
        let files = match season(query).map_err(OpenError::Unreadable)? {
            Some(season) => of_season(layout, season)?,
            None => media_choice::watching_order(layout),
        };
        let looked_at = NAMES_COMPARED_MAX / layout.files().len().max(1);
        let mut list = String::from("#EXTM3U\n");
        for (nth, file) in files.into_iter().enumerate() {
            let Some(span) = layout.file(file) else { continue };
            let name = span.path.last().cloned().unwrap_or_default();
            // A line break in a name would be a line of its own.
            let title = if nth < TITLES_MAX { title(&span.display_path()) } else { name.clone() };
            let title: String = title.chars().filter(|c| !c.is_control()).collect();
            let token = self.token(shared, Some(file));
            // Players take -1 for a film of which it isn't known how long it is.
            let seconds = durations.get(&file).map_or(-1, |seconds| seconds.round() as i64);
            list.push_str(&format!("#EXTINF:{seconds},{title}\n"));
            if nth < looked_at {
                list.push_str(&self.subtitle_line(shared, ready, file, base));
            }
            list.push_str(&format!("../{token}/{}\n", encode(&name)));
        }
        Ok(list)
    }

    /// The subtitles of a film, in the one line that players know. They take URLs there as they are, so these are whole.
    fn subtitle_line(&self, shared: &Shared, ready: &Ready, film: FileIndex, base: &BaseUrl) -> String {
        let links = subtitles::links(self, shared, ready, film).into_iter();
        // Players find what is inside of the film themselves.
        let files = links.filter(|link| link.track.is_none() && link.vtt_url.is_some()).take(SUBTITLES_MAX);
        let urls: Vec<String> = files.filter_map(|link| Some(format!("{base}{}", link.url?))).collect();
        if urls.is_empty() { String::new() } else { format!("#EXTVLCOPT:input-slave={}\n", urls.join("#")) }
    }
}

/// `season` of a query.
fn season(query: Option<&str>) -> Result<Option<u16>, String> {
    let given = query.into_iter().flat_map(|query| query.split('&'));
    let Some(number) = given.filter_map(|pair| pair.strip_prefix("season=")).next_back() else {
        return Ok(None);
    };
    number.parse().map(Some).map_err(|_| "season is the number of one, such as 2".to_owned())
}

fn of_season(layout: &Layout, season: u16) -> Result<Vec<FileIndex>, OpenError> {
    let seasons = media_choice::seasons(layout);
    let known: Vec<String> = seasons.iter().map(|(number, _)| number.to_string()).collect();
    let found = seasons.into_iter().find(|(number, _)| *number == season);
    found.map(|(_, episodes)| episodes).ok_or_else(|| {
        let there = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        OpenError::Unreadable(format!("there is no season {season} by the names of the files: {there}"))
    })
}

/// What people call a film: its title with year or episode, as its name says them, else the file's name.
fn title(path: &str) -> String {
    let release = release::parse(path);
    let name = path.rsplit('/').next().unwrap_or(path);
    if release.title.is_empty() {
        return name.to_owned();
    }
    let mut title = release.title;
    if let Some(year) = release.year {
        title.push_str(&format!(" ({year})"));
    }
    let number = |letter, numbers: &[u16]| {
        numbers.iter().map(|number| format!("{letter}{number:02}")).collect::<String>()
    };
    let numbered = number('S', &release.seasons) + &number('E', &release.episodes);
    for part in [numbered, release.date.map(|date| date.to_string()).unwrap_or_default()] {
        if !part.is_empty() {
            title.push(' ');
            title.push_str(&part);
        }
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_season_is_a_number_or_refused() {
        assert_eq!(season(None), Ok(None));
        assert_eq!(season(Some("download=1")), Ok(None));
        assert_eq!(season(Some("a=b&season=2")), Ok(Some(2)));
        for wrong in ["season=", "season=two", "season=-1", "season=65536"] {
            assert!(season(Some(wrong)).is_err(), "{wrong}");
        }
    }
}

//! Subtitles of a film: the files of the torrent that are its own by what names say, and each of them as WebVTT, which pages and
//! TVs take.
//!
//! Not here: subtitles inside the film's own file.

use std::sync::Arc;
use std::time::Duration;

use afflux_media::Tag;
use afflux_media::limits::SUBTITLE_BYTES_MAX;
use afflux_media::sidecar::{Sidecar, sidecars};
use afflux_media::subtitle::{Format, Hint, Options, Target, convert};
use afflux_metainfo::{FileIndex, InfoHashes, Layout};
use afflux_stream::{Media, OpenError};

use super::parts::read_part;
use super::reading::text;
use super::refusal::Refusal;
use super::sessions::{Opened, Session, choose};
use super::shapes::SubtitleLink;
use super::{Shared, StreamingService, content};
use crate::auth::Identity;
use crate::engine::torrent::Ready;
use crate::media_choice;

/// Where the subtitles of a session are, below its token.
const FOLDER: &str = "subtitles/";
/// Files of a torrent that are looked at for subtitles. A series of many seasons has as many; beyond that nobody finds one in a menu.
const FILES_MAX: usize = 2000;
/// Files that are converted at once, or read if they are large: each holds its bytes twice.
pub(super) const CONVERSIONS_MAX: usize = 4;
/// A subtitle beyond this is large. Others are waited for beside each other: what one torrent hasn't holds up nobody else's.
const LARGE_BYTES: u64 = 1 << 20;
/// How long a player waits for a subtitle that nobody has: it plays without.
const PATIENCE: Duration = Duration::from_secs(60);

impl StreamingService {
    /// The subtitles of the film that this user's session is at.
    ///
    /// # Errors
    /// There is no session, or no film.
    pub async fn subtitles(&self, who: &Identity, hashes: InfoHashes) -> Result<Vec<SubtitleLink>, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        let opened = session.open(&self.shared).await?;
        let film = session.state().file;
        let film = film.map_or_else(|| choose(&opened.ready, None), Ok)?;
        Ok(links(&session, &self.shared, &opened.ready, film))
    }
}

/// The subtitles of a film, with URLs.
pub(super) fn links(session: &Session, shared: &Shared, ready: &Ready, film: FileIndex) -> Vec<SubtitleLink> {
    let token = session.token(shared, None);
    let link = |(file, sidecar): (FileIndex, Sidecar)| {
        let span = ready.layout.file(file)?;
        let is_text = sidecar.pictures.is_none()
            && !matches!(sidecar.format, Some(Format::VobSub | Format::Pgs | Format::Ttml))
            && span.length <= SUBTITLE_BYTES_MAX as u64;
        Some(SubtitleLink {
            file: file.0,
            name: span.path.last().cloned().unwrap_or_default(),
            language: sidecar.language.map(|tag| tag.to_string()),
            title: sidecar.title,
            forced: sidecar.is_forced,
            default: sidecar.is_default,
            sdh: sidecar.is_sdh,
            format: sidecar.format.map(|format| format.to_string()),
            url: session.media_path(shared, ready, file),
            vtt_url: is_text.then(|| format!("/stream/{token}/{FOLDER}{file}.vtt")),
        })
    };
    of_film(&ready.layout, film).into_iter().filter_map(link).collect()
}

/// The subtitle files of a film.
fn of_film(layout: &Layout, film: FileIndex) -> Vec<(FileIndex, Sidecar)> {
    let Some(path) = layout.file(film).map(|file| file.display_path()) else { return Vec::new() };
    let (files, paths): (Vec<FileIndex>, Vec<String>) =
        media_choice::files(layout).take(FILES_MAX).map(|(index, file)| (index, file.display_path())).unzip();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let found = sidecars(&path, &paths).into_iter();
    found.filter_map(|sidecar| Some((*files.get(sidecar.index)?, sidecar))).collect()
}

/// A subtitle of a session in another form; `path` is what follows the token. `None` if that is none.
pub(super) async fn open(
    shared: &Arc<Shared>,
    session: &Session,
    opened: &Opened,
    path: &str,
    query: Option<&str>,
) -> Option<Result<Arc<dyn Media>, OpenError>> {
    let (index, target) = path.strip_prefix(FOLDER)?.rsplit_once('.')?;
    let target = match target {
        "vtt" => Target::WebVtt,
        "srt" => Target::Srt,
        _ => return None,
    };
    let file = FileIndex(index.parse().ok()?);
    let span = opened.ready.layout.file(file).filter(|span| !span.pad && content::is_subtitle(span))?;
    let options = match offset(query) {
        Ok(offset_ms) => Options { target, offset_ms, ..Options::default() },
        Err(why) => return Some(Err(OpenError::Unreadable(why))),
    };
    let name = format!("{index}.{}", if target == Target::Srt { "srt" } else { "vtt" });
    let extension = span.path.last().and_then(|name| name.rsplit_once('.')).map(|(_, last)| last.to_owned());
    let converting = converted(shared, session, opened, file, (extension, options));
    let done = tokio::select! {
        done = tokio::time::timeout(PATIENCE, converting) => done,
        () = session.ended.cancelled() => return Some(Err(OpenError::Gone)),
    };
    let late = || Err(OpenError::Unavailable("the subtitle hasn't come from the swarm yet".to_owned()));
    Some(done.unwrap_or_else(|_| late()).map(|converted| text(&name, converted)))
}

/// Reads a subtitle, and writes it in another form.
async fn converted(
    shared: &Shared,
    session: &Session,
    opened: &Opened,
    file: FileIndex,
    (extension, options): (Option<String>, Options),
) -> Result<String, OpenError> {
    let media = opened.viewing.open(&opened.ready, file).map_err(|_| OpenError::NotFound)?;
    let length = media.facts().length;
    if length > SUBTITLE_BYTES_MAX as u64 {
        let most = SUBTITLE_BYTES_MAX >> 20;
        return Err(OpenError::Unreadable(format!(
            "a subtitle has at most {most} MiB, and this has {length} bytes"
        )));
    }
    let ended = |_| OpenError::Gone;
    let turn = || shared.conversions.acquire();
    let large = if length > LARGE_BYTES { Some(turn().await.map_err(ended)?) } else { None };
    let Some(bytes) = read_part(&media, 0..length).await else { return Err(OpenError::Gone) };
    let _turn = match large {
        Some(turn) => turn,
        None => turn().await.map_err(ended)?,
    };
    let (language, frame_rate) = hints(session, opened, file);
    let convert = move || {
        let hint = Hint { extension: extension.as_deref(), language, frame_rate };
        let converted = convert(&bytes, &hint, &options).map_err(|error| error.to_string())?;
        // What only has a subtitle's name would come as an empty one. WebVTT says itself that it is one.
        let is_one =
            converted.cues > 0 || converted.format == Format::WebVtt || bytes.trim_ascii().is_empty();
        if is_one {
            Ok(converted.text)
        } else {
            Err("no line of text with its times was found in it".to_owned())
        }
    };
    let converted = tokio::task::spawn_blocking(convert).await;
    let failed = || OpenError::Unavailable("the subtitle can't be converted now".to_owned());
    converted.map_err(|_| failed())?.map_err(OpenError::Unreadable)
}

/// What is known of a subtitle beside its bytes: the language that its name says, and how many pictures of the film a second has.
fn hints(session: &Session, opened: &Opened, file: FileIndex) -> (Option<Tag>, Option<f64>) {
    let (film, facts) = {
        let state = session.state();
        (state.file, state.film())
    };
    let of_film = film.map(|film| of_film(&opened.ready.layout, film)).unwrap_or_default();
    let language =
        of_film.into_iter().find(|(other, _)| *other == file).and_then(|(_, sidecar)| sidecar.language);
    let frame_rate = facts.and_then(|film| film.facts.video().and_then(|(_, video)| video.frame_rate));
    (language, frame_rate)
}

/// `offset_ms` of a query: by how much later cues are shown, or earlier.
fn offset(query: Option<&str>) -> Result<i64, String> {
    let given = query.into_iter().flat_map(|query| query.split('&'));
    let Some(offset) = given.filter_map(|pair| pair.strip_prefix("offset_ms=")).next_back() else {
        return Ok(0);
    };
    // A day either way is far more than any film.
    let offset = offset.parse().ok().filter(|offset: &i64| offset.abs() <= 86_400_000);
    offset.ok_or_else(|| "offset_ms is a number of milliseconds, such as -1500, of a day at most".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_number_of_milliseconds_or_refused() {
        assert_eq!(offset(None), Ok(0));
        assert_eq!(offset(Some("download=1")), Ok(0));
        assert_eq!(offset(Some("a=b&offset_ms=-1500")), Ok(-1500));
        for wrong in ["offset_ms=", "offset_ms=1.5", "offset_ms=99999999999999999999", "offset_ms=-86400001"]
        {
            assert!(offset(Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_films_subtitles_are_those_that_its_name_is_in() {
        let rows = ["t/Film.mkv", "t/Film.de.forced.srt", "t/Subs/Film.en.ass", "t/Other.mkv", "t/Other.srt"];
        let rows = rows.map(|path| (path.split('/').map(str::to_owned).collect(), 10, false));
        let layout = Layout::new(1 << 14, rows).unwrap();
        let found: Vec<(u32, Option<String>, bool)> = of_film(&layout, FileIndex(0))
            .into_iter()
            .map(|(file, sidecar)| (file.0, sidecar.language.map(|tag| tag.to_string()), sidecar.is_forced))
            .collect();
        assert_eq!(found, [(1, Some("de".to_owned()), true), (2, Some("en".to_owned()), false)]);
    }
}

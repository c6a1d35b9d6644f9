//! Subtitles of a film: the files of the torrent that are its own by what names say, and the tracks inside of its own file; each
//! of them as WebVTT, which pages and TVs take.

mod asked;
mod embedded;

use std::sync::Arc;
use std::time::Duration;

use afflux_media::Tag;
use afflux_media::limits::SUBTITLE_BYTES_MAX;
use afflux_media::sidecar::{Sidecar, sidecars};
use afflux_media::subtitle::{Format, Hint, Options, Target, convert};
use afflux_metainfo::{FileIndex, InfoHashes, Layout};
use afflux_stream::{Media, OpenError};

use self::asked::Asked;
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
/// How long a list of subtitles waits for the film's head, if that is still being fetched.
const LOOK_TIME: Duration = Duration::from_secs(5);

impl StreamingService {
    /// The subtitles of the film that this user's session is at.
    ///
    /// # Errors
    /// There is no session, or no film.
    pub async fn subtitles(&self, who: &Identity, hashes: InfoHashes) -> Result<Vec<SubtitleLink>, Refusal> {
        let session = self.shared.own_session(who, hashes).await?;
        let opened = session.open(&self.shared).await?;
        let file = session.state().file;
        let file = file.map_or_else(|| choose(&opened.ready, None), Ok)?;
        // What is inside of the film is known once its head has come.
        if let Some(looking) = session.looking(&self.shared) {
            looking.wait(LOOK_TIME).await;
        }
        session.texts(&self.shared);
        Ok(links(&session, &self.shared, &opened.ready, file))
    }
}

/// The subtitles of a film that a session is at, with URLs: its files, and as far as they are known the tracks inside of it.
pub(super) fn links(session: &Session, shared: &Shared, ready: &Ready, film: FileIndex) -> Vec<SubtitleLink> {
    let token = session.token(shared, None);
    let (known, texts) = {
        let state = session.state();
        (state.film_of(film), state.texts.clone())
    };
    let inside = known.map(|known| embedded::links(&token, film, &known, texts.as_deref()));
    let mut links = sidecar_links(session, shared, ready, film);
    links.extend(inside.unwrap_or_default());
    links
}

fn sidecar_links(session: &Session, shared: &Shared, ready: &Ready, film: FileIndex) -> Vec<SubtitleLink> {
    let token = session.token(shared, None);
    let link = |(file, sidecar): (FileIndex, Sidecar)| {
        let span = ready.layout.file(file)?;
        let is_text = sidecar.pictures.is_none()
            && !matches!(sidecar.format, Some(Format::VobSub | Format::Pgs | Format::Ttml))
            && span.length <= SUBTITLE_BYTES_MAX as u64;
        Some(SubtitleLink {
            file: file.0,
            track: None,
            name: span.path.last().cloned().unwrap_or_default(),
            language: sidecar.language.map(|tag| tag.to_string()),
            title: sidecar.title,
            forced: sidecar.is_forced,
            default: sidecar.is_default,
            sdh: sidecar.is_sdh,
            format: sidecar.format.map(|format| format.to_string()),
            url: Some(session.media_path(shared, ready, file)),
            vtt_url: is_text.then(|| format!("/stream/{token}/{FOLDER}{file}.vtt")),
            complete: None,
            covered_seconds: None,
            problem: None,
        })
    };
    of_film(&ready.layout, film).into_iter().filter_map(link).collect()
}

/// The subtitle files of a film.
pub(super) fn of_film(layout: &Layout, film: FileIndex) -> Vec<(FileIndex, Sidecar)> {
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
    let (id, form) = path.strip_prefix(FOLDER)?.rsplit_once('.')?;
    let asked = match Asked::parse(query) {
        Ok(asked) => asked,
        Err(why) => return Some(Err(OpenError::Unreadable(why))),
    };
    if let Some((file, track)) = id.split_once('.') {
        let of = (FileIndex(file.parse().ok()?), track.parse().ok()?);
        matches!(form, "vtt" | "srt" | "ass").then_some(())?;
        return Some(embedded::open(shared, session, opened, of, (form, asked)).await);
    }
    let target = match form {
        "vtt" => Target::WebVtt,
        "srt" => Target::Srt,
        _ => return None,
    };
    let file = FileIndex(id.parse().ok()?);
    let span = opened.ready.layout.file(file).filter(|span| !span.pad && content::is_subtitle(span))?;
    if asked.window_ms.is_some() {
        let why = "from_ms and to_ms are for subtitles inside of a film; a file's are given as a whole";
        return Some(Err(OpenError::Unreadable(why.to_owned())));
    }
    let options = Options { target, offset_ms: asked.offset_ms, ..Options::default() };
    let name = format!("{file}.{form}");
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

#[cfg(test)]
mod tests {
    use super::*;

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

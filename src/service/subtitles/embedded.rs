//! Subtitles inside of a film's file, as far as they have come.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use afflux_media::container::{
    Codec, Refusal, TextForm, TextOptions, TextTrack, TextTracks, Track, TrackKind,
};
use afflux_media::subtitle::Format;
use afflux_metainfo::FileIndex;
use afflux_stream::{Media, OpenError};

use super::asked::Asked;
use super::{FOLDER, PATIENCE};
use crate::service::Shared;
use crate::service::films::Film;
use crate::service::reading::text;
use crate::service::sessions::{Opened, Session};
use crate::service::shapes::SubtitleLink;
use crate::service::texts::Reading;

/// How long a player waits for a film's head before it is told that there is nothing yet.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);

/// How long a player waits for all that has come of a film to be read.
const READ_PATIENCE: Duration = Duration::from_secs(20);

/// The subtitle tracks of a film, with URLs for those that can be given as text.
pub(super) fn links(
    token: &str,
    file: FileIndex,
    film: &Film,
    reading: Option<&Reading>,
) -> Vec<SubtitleLink> {
    let known: Vec<TextTrack> =
        reading.and_then(|reading| reading.with(|tracks| tracks.tracks().collect())).unwrap_or_default();
    let progress = reading.and_then(|reading| reading.with(Progress::of));
    let subtitles = film.facts.tracks.iter().filter(|track| track.kind == TrackKind::Subtitle);
    let link = |(nth, track): (usize, &Track)| {
        let found = known.iter().find(|known| known.id == track.id);
        let raw = found.map_or_else(|| by_codec(&track.codec), |known| known.raw.clone());
        let path = |extension: &str| format!("/stream/{token}/{FOLDER}{file}.{}.{extension}", track.id);
        let progress = progress.as_ref().filter(|_| raw.is_ok());
        SubtitleLink {
            file: file.0,
            track: Some(track.id),
            name: track.title.clone().unwrap_or_else(|| format!("Track {}", nth + 1)),
            language: track.language.as_ref().map(ToString::to_string),
            title: track.title.clone(),
            forced: track.is_forced,
            default: track.is_default,
            sdh: track.is_hearing_impaired,
            format: Some(match &raw {
                Ok(format) => format.to_string(),
                Err(_) => track.codec.as_str().to_owned(),
            }),
            url: raw.as_ref().ok().map(|format| path(extension(*format))),
            vtt_url: raw.is_ok().then(|| path("vtt")),
            complete: progress.map(|progress| progress.complete),
            covered_seconds: progress.map(|progress| progress.covered.clone()),
            problem: raw.err().map(|refusal| refusal.to_string()),
        }
    };
    subtitles.enumerate().map(link).collect()
}

/// How much of a film's text has come.
struct Progress {
    complete: bool,
    covered: Vec<[f64; 2]>,
}

impl Progress {
    fn of(tracks: &TextTracks) -> Self {
        let seconds = |range: Range<u64>| [range.start, range.end].map(|ms| ms as f64 / 1000.0);
        Self { complete: tracks.is_complete(), covered: tracks.covered().into_iter().map(seconds).collect() }
    }
}

/// What can be given of a track, as far as its codec says before the film's head was read for it.
fn by_codec(codec: &Codec) -> Result<Format, Refusal> {
    match codec {
        Codec::Srt | Codec::TimedText => Ok(Format::Srt),
        Codec::Ass => Ok(Format::Ass),
        Codec::WebVtt => Ok(Format::WebVtt),
        Codec::Pgs => Err(Refusal::Pictures("PGS")),
        Codec::VobSub => Err(Refusal::Pictures("VobSub")),
        Codec::DvbSub => Err(Refusal::Pictures("DVB")),
        other => Err(Refusal::Unread(other.as_str().to_owned())),
    }
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Ass => "ass",
        Format::WebVtt => "vtt",
        _ => "srt",
    }
}

/// A track in a form, by the name after the folder: `FILE.TRACK.vtt`.
pub(super) async fn open(
    shared: &Arc<Shared>,
    session: &Session,
    opened: &Opened,
    (file, track): (FileIndex, u64),
    (form, asked): (&str, Asked),
) -> Result<Arc<dyn Media>, OpenError> {
    opened.ready.layout.file(file).filter(|span| !span.pad).ok_or(OpenError::NotFound)?;
    let reading = reading(shared, session, opened, file).await?;
    let patience = if asked.window_ms.is_some() { PATIENCE } else { READ_PATIENCE };
    let waiting = reading.wait(|tracks| match &asked.window_ms {
        Some(wanted) => has(tracks, wanted),
        None => reading.is_caught_up(),
    });
    // What hasn't come by then is missing in the answer: a player does better with some of its subtitles than with none.
    tokio::select! {
        _ = tokio::time::timeout(patience, waiting) => {}
        () = session.ended.cancelled() => return Err(OpenError::Gone),
    }
    let late = || OpenError::Unavailable("the film's head hasn't come from the swarm yet".to_owned());
    let options = TextOptions {
        form: if form == "vtt" { TextForm::WebVtt } else { TextForm::Srt },
        offset_ms: asked.offset_ms,
        window_ms: asked.window_ms,
    };
    let write = |tracks: &TextTracks| {
        let raw = tracks.tracks().find(|known| known.id == track).ok_or(Refusal::NoSuchTrack)?.raw?;
        // The raw form of SubRip and WebVTT is the one that is asked for; only scripts have another.
        let form = if form == "ass" { TextForm::Raw } else { options.form };
        match (form, raw) {
            (TextForm::Raw, raw) if raw != Format::Ass => {
                Err(Refusal::Unread("no SubStation Alpha".to_owned()))
            }
            (form, _) => tracks.write(track, &TextOptions { form, ..options.clone() }),
        }
    };
    let written = reading.with(write).ok_or_else(late)?;
    let name = format!("{file}.{track}.{form}");
    match written {
        Ok(written) => Ok(text(&name, written)),
        Err(Refusal::NoSuchTrack) => Err(OpenError::NotFound),
        Err(refusal) => Err(OpenError::Unreadable(refusal.to_string())),
    }
}

/// The reading of a film's texts: of the film that the session is at, or of another one of its torrent, whose bytes may be there too.
async fn reading(
    shared: &Arc<Shared>,
    session: &Session,
    opened: &Opened,
    file: FileIndex,
) -> Result<Arc<Reading>, OpenError> {
    let looking = shared.look_at(opened, file, &session.ended);
    let film = looking.wait(HEAD_PATIENCE).await;
    let Some(film) = film else {
        return Err(match looking.problem() {
            Some(problem) => OpenError::Unreadable(problem.to_string()),
            None => OpenError::Unavailable("the film's head hasn't come from the swarm yet".to_owned()),
        });
    };
    let own = if session.state().file == Some(file) { session.texts(shared) } else { None };
    let full = || OpenError::Unavailable("too many films have their subtitles read at once".to_owned());
    match own {
        Some(reading) => Ok(reading),
        None if film.facts.tracks.iter().any(|track| track.kind == TrackKind::Subtitle) => {
            shared.read_texts(opened, file).ok_or_else(full)
        }
        None => Err(OpenError::NotFound),
    }
}

/// Whether all text of some time has been read.
fn has(tracks: &TextTracks, wanted: &Range<u64>) -> bool {
    tracks.covered().iter().any(|range| range.start <= wanted.start && wanted.end <= range.end)
}

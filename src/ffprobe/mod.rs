//! Asking ffprobe about a file of a container that we don't read ourselves.
//!
//! ffprobe is a large program in C that is given a stranger's bytes, so it is given little else:
//!
//! - It is told which rules to go by ([`Foreign`]), and may use no others: no playlist is ever followed, no sequence of pictures or
//!   second file opened. Of protocols it has HTTP over TCP, and of the caller's environment nothing, so that no proxy is asked.
//! - It reads through a URL of its own (`lent`), which leads to this file and nothing else, to a bounded number of bytes, and only
//!   while it runs.
//! - It runs below limits of memory, processor time, open files and time, writes no file, and ends with its whole process group when
//!   nobody waits for it any more (`child`). Should we be killed ourselves, its bytes end with us, and the system counts its seconds.
//!
//! What it says is read by `media` ([`Report`]), within the limits of what we read ourselves. Which files are asked about, and where
//! answers are kept, isn't here.

mod child;
mod lent;
mod limits;

use std::path::PathBuf;
use std::sync::Arc;

use afflux_media::container::ffprobe::{ENTRIES, Report};
use afflux_media::container::{Facts, Foreign};
use afflux_stream::Media;
use thiserror::Error;
use tokio::sync::Semaphore;
use tracing::debug;

use self::child::{Confined, Unwell};
use self::lent::Lent;
use self::limits::{ANALYSED_MICROSECONDS, PROBED_BYTES, PROBES_MAX, READ_BYTES_MAX, TIME_MAX};

/// Why ffprobe tells nothing of a file; the sentence is for whoever wants to watch it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProbeError {
    /// There is no such program.
    #[error(
        "this container ({}) is read by ffprobe, which isn't installed: install ffmpeg (apt install ffmpeg) and have it \
         in the daemon's PATH",
        .0.as_str()
    )]
    Missing(Foreign),
    /// The system doesn't start it, or not below its limits.
    #[error("ffprobe can't be started: {0}")]
    NotStarted(String),
    /// The file's bytes didn't come.
    #[error("what ffprobe needs of the file didn't come within {} s: start the stream again later", TIME_MAX.as_secs())]
    Starved,
    /// It would have gone on.
    #[error("the file asks for too much: ffprobe was ended after {} s", TIME_MAX.as_secs())]
    TooSlow,
    /// Memory, processor time or the number of bytes that it may read.
    #[error("the file asks for too much: ffprobe came to its limits with it")]
    TooMuch,
    /// It finds nothing to play.
    #[error("the file begins as one of a container ({}), and ffprobe finds nothing in it that plays", .0.as_str())]
    Nothing(Foreign),
    /// Its answer makes no sense.
    #[error("ffprobe's answer can't be read")]
    Unreadable,
}

impl ProbeError {
    /// Whether it may go better another time, though the file stays the same.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NotStarted(_) | Self::Starved)
    }
}

/// Asks ffprobe, for few at once.
#[derive(Debug)]
pub struct Ffprobe {
    places: Semaphore,
}

impl Default for Ffprobe {
    fn default() -> Self {
        Self { places: Semaphore::new(PROBES_MAX) }
    }
}

impl Ffprobe {
    /// Where the program is. It is looked for each time, so that it needs no restart of ours to be installed.
    ///
    /// # Errors
    /// [`ProbeError::Missing`].
    pub fn program(foreign: Foreign) -> Result<PathBuf, ProbeError> {
        find(std::env::var_os("PATH")).ok_or(ProbeError::Missing(foreign))
    }

    /// What ffprobe says of a file that begins as this container does. Dropping the answer ends the program.
    ///
    /// # Errors
    /// A sentence for whoever wants to watch the file.
    pub async fn ask(
        &self,
        program: PathBuf,
        media: Arc<dyn Media>,
        foreign: Foreign,
    ) -> Result<Facts, ProbeError> {
        let Ok(_place) = self.places.acquire().await else { return Err(ProbeError::Starved) };
        let name = media.facts().name.clone();
        let lent = Lent::new(media).map_err(not_started)?;
        let answer = ask(program, &lent, foreign).await.map_err(|unwell| {
            // Whoever reads the log can't use the URL: it is over.
            debug!(file = name, ?unwell, "ffprobe tells nothing");
            unwell.told(foreign, lent.waits(), lent.is_used_up())
        })?;
        let report: Report = serde_json::from_slice(&answer).map_err(|_| ProbeError::Unreadable)?;
        debug!(file = name, bytes_read = READ_BYTES_MAX - lent.bytes_left(), "ffprobe has answered");
        report.facts(foreign).ok_or(ProbeError::Nothing(foreign))
    }
}

impl Unwell {
    /// What is told of it, by whether the file's bytes were waited for, and whether it was read as much as it may be.
    fn told(self, foreign: Foreign, waits: bool, is_used_up: bool) -> ProbeError {
        match self {
            Self::NotStarted(why) => ProbeError::NotStarted(why),
            Self::TimedOut if waits => ProbeError::Starved,
            Self::TimedOut => ProbeError::TooSlow,
            Self::TooLong | Self::Killed => ProbeError::TooMuch,
            Self::Failed(_) if is_used_up => ProbeError::TooMuch,
            Self::Failed(_) => ProbeError::Nothing(foreign),
        }
    }
}

/// Runs the program while its URL is open. Both end when this is dropped.
async fn ask(program: PathBuf, lent: &Arc<Lent>, foreign: Foreign) -> Result<Vec<u8>, Unwell> {
    let (url, serving) = lent.open().await.map_err(|error| Unwell::NotStarted(error.to_string()))?;
    let confined = Confined { program, arguments: arguments(foreign, url), time_max: TIME_MAX };
    tokio::select! {
        answer = confined.run() => answer,
        () = serving => Err(Unwell::NotStarted("its URL was closed".to_owned())),
    }
}

fn arguments(foreign: Foreign, url: String) -> Vec<String> {
    let demuxer = foreign.demuxer();
    let fixed = ["-v", "error", "-of", "json", "-show_entries", ENTRIES];
    // The second list is for containers within containers.
    let allowed = ["-protocol_whitelist", "http,tcp", "-format_whitelist", demuxer, "-f", demuxer];
    let (probed, analysed) = (PROBED_BYTES.to_string(), ANALYSED_MICROSECONDS.to_string());
    let bounds = ["-probesize", &probed, "-analyzeduration", &analysed];
    let words = fixed.into_iter().chain(allowed).chain(bounds);
    words.map(str::to_owned).chain(["-i".to_owned(), url]).collect()
}

/// The program, by `PATH`. Folders that aren't said in full depend on where we are, and aren't looked into.
fn find(path: Option<std::ffi::OsString>) -> Option<PathBuf> {
    use rustix::fs::{Access, access};
    let folders = std::env::split_paths(path.as_ref()?).filter(|folder| folder.is_absolute());
    folders
        .map(|folder| folder.join("ffprobe"))
        .find(|file| file.is_file() && access(file, Access::EXEC_OK).is_ok())
}

fn not_started(error: impl ToString) -> ProbeError {
    ProbeError::NotStarted(error.to_string())
}

#[cfg(test)]
mod tests;

//! A film in a swarm of one slow libtorrent seeder, and a daemon that streams it.

use std::ops::Range;
use std::rc::Rc;

use serde_json::Value;

use super::film::{Container, Film, Moment, subtitles};
use crate::harness::afflux::{ALONE, Afflux, create};
use crate::harness::clients::Libtorrent;
use crate::harness::process::Process;
use crate::harness::{Scratch, http};

/// Half a second of the film.
const PIECE_LENGTH: u32 = 32 * 1024;
/// Twice what the film plays at: so much is missing for most of a minute.
const SEEDER_BYTES_PER_SECOND: &str = "120000";

/// Lines that are sought: first one far ahead, then one between that and what was played.
pub(crate) const AHEAD: [u32; 7] = [16, 17, 18, 19, 20, 21, 22];
pub(crate) const BETWEEN: [u32; 6] = [9, 10, 8, 11, 7, 12];

/// A film that can be watched.
pub(crate) struct Screening {
    daemon: Process,
    _seeder: Libtorrent,
    pub(crate) scratch: Rc<Scratch>,
    pub(crate) container: Container,
    film: &'static Film,
    base: String,
    hash: String,
    /// Of the film.
    pub(crate) url: String,
    /// Of its subtitles, as they are in the torrent and as pages take them.
    pub(crate) subtitles_url: String,
    pub(crate) vtt_url: String,
}

impl Screening {
    pub(crate) fn of(container: Container) -> Self {
        let film = Film::in_a(container);
        let scratch = Rc::new(Scratch::new());
        let shared = scratch.folder("shared");
        let folder = shared.join("Frames");
        std::fs::create_dir(&folder).expect("our own folder");
        let name = film.path.file_name().expect("a film has a name");
        std::fs::copy(&film.path, folder.join(name)).expect("our own folder");
        std::fs::write(folder.join(name).with_extension("srt"), subtitles()).expect("our own folder");
        let torrent = create(&scratch, &folder, PIECE_LENGTH, &[]);
        let seeder =
            Libtorrent::seed(&scratch, &torrent, &shared, &["--upload-limit", SEEDER_BYTES_PER_SECOND]);
        let mut daemon = Afflux::new(&scratch, "daemon")
            .args(["serve", "--port", "0", "--json", "--peer", &seeder.address])
            .args(ALONE)
            .env("STREAM_AUTH_REQUIRED", "false")
            .start();
        let base = daemon.event("listening")["url"].as_str().expect("a URL").to_owned();
        let torrent = std::fs::read(&torrent).expect("our own file");
        let parsed = http::post(&format!("{base}/api/torrents/parse"), "application/x-bittorrent", &torrent);
        assert_eq!(parsed.status, 200);
        let parsed: Value = serde_json::from_slice(&parsed.bytes()).expect("JSON");
        let hash = parsed["infoHash"].as_str().expect("a v1 torrent").to_owned();
        let session = http::json(&format!("{base}/api/stream/{hash}"));
        let subtitle = &session["subtitles"][0];
        let url = |value: &Value| value.as_str().expect("a URL").to_owned();
        Self {
            url: url(&session["url"]),
            subtitles_url: url(&subtitle["url"]),
            vtt_url: url(&subtitle["vttUrl"]),
            daemon,
            _seeder: seeder,
            scratch,
            container,
            film,
            base,
            hash,
        }
    }

    /// Stretches of the film that are there.
    fn ranges(&self) -> Vec<Range<u64>> {
        let status = http::json(&format!("{}/api/stream/{}/status", self.base, self.hash));
        assert!(status["error"].is_null() && status["mediaProblem"].is_null(), "{status}");
        let ranges = status["bufferedRanges"].as_array().expect("ranges").iter();
        ranges.map(|range| range[0].as_u64().expect("a place")..range[1].as_u64().expect("a place")).collect()
    }

    /// The first of these moments of which nothing is there.
    pub(crate) fn missing_moment(&self, cues: &[u32]) -> Moment {
        let ranges = self.ranges();
        let moments = cues.iter().map(|&cue| Moment::of_cue(cue));
        let is_missing = |moment: &Moment| {
            let needed = self.film.bytes_of(*moment);
            ranges.iter().all(|there| there.end <= needed.start || needed.end <= there.start)
        };
        let found = moments.into_iter().find(is_missing);
        found.unwrap_or_else(|| panic!("something of each of {cues:?} is there already: {ranges:?}"))
    }

    /// Ends it as a person does; it must end well.
    pub(crate) fn end(mut self) {
        self.daemon.signal("TERM");
        self.daemon.succeed();
    }
}

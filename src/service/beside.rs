//! The small subtitle files of a film: fetched with it, so that they are there when somebody turns them on.
//!
//! They come before what is read ahead of the film and after what its player waits for, and stay while the session is at it (in
//! memory and in the disk cache too). A larger one is fetched when it is asked for.

use std::ops::Range;

use afflux_metainfo::{FileIndex, Layout};

use super::sessions::Opened;
use super::subtitles::of_film;
use crate::engine::WarmUp;

/// Files of one film: as many as there are languages in a large release.
const FILES_MAX: usize = 40;
/// Bytes of one of them. Text of three hours has a quarter of that; more are pictures.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of all of them: what a slow swarm sends in some seconds.
const BYTES_MAX: u64 = 4 << 20;
/// Stretches of a torrent in which they lie. Each is a reader for the swarm, which has not very many.
const STRETCHES_MAX: usize = 8;

/// Fetches them until the answer is dropped.
pub(super) fn fetch(opened: &Opened, film: FileIndex) -> WarmUp {
    opened.viewing.beside(&stretches(&opened.ready.layout, film))
}

/// Where the likeliest of them lie, in bytes of the torrent.
fn stretches(layout: &Layout, film: FileIndex) -> Vec<Range<u64>> {
    let (mut bytes, mut found) = (0, Vec::new());
    let files = of_film(layout, film).into_iter().filter_map(|(file, _)| layout.file(file));
    for file in files.filter(|file| (1..=FILE_BYTES_MAX).contains(&file.length)).take(FILES_MAX) {
        bytes += file.length;
        if bytes > BYTES_MAX {
            break;
        }
        found.push(file.range());
    }
    found.sort_unstable_by_key(|range| range.start);
    let mut stretches: Vec<Range<u64>> = Vec::new();
    for range in found {
        match stretches.last_mut() {
            // What lies between is of the same piece, or of the next one.
            Some(last) if range.start <= last.end + u64::from(layout.piece_length()) => last.end = range.end,
            _ => stretches.push(range),
        }
    }
    stretches.truncate(STRETCHES_MAX);
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 1 << 14;

    fn layout(files: &[(String, u64)]) -> Layout {
        let rows =
            files.iter().map(|(path, length)| (path.split('/').map(str::to_owned).collect(), *length, false));
        Layout::new(PIECE, rows).unwrap()
    }

    fn files(rows: &[(&str, u64)]) -> Vec<(String, u64)> {
        rows.iter().map(|(path, length)| ((*path).to_owned(), *length)).collect()
    }

    #[test]
    fn small_subtitles_that_lie_together_are_one_stretch() {
        let layout = layout(&files(&[
            ("t/Film.mkv", 1 << 20),
            ("t/Film.de.srt", 50_000),
            ("t/Film.en.srt", 60_000),
            ("t/Film.nfo", 1000),
            ("t/Film.fr.srt", 40_000),
            ("t/Trailer.mkv", 1 << 20),
            ("t/Subs/Film.it.srt", 30_000),
            ("t/Film.pt.srt", FILE_BYTES_MAX + 1),
            ("t/Film.es.srt", 0),
        ]));
        let film = 1 << 20;
        let second = film + 151_000 + (1 << 20);
        assert_eq!(stretches(&layout, FileIndex(0)), [film..film + 151_000, second..second + 30_000]);
        assert!(stretches(&layout, FileIndex(5)).is_empty(), "it has none");
    }

    #[test]
    fn however_many_there_are_they_stay_few_and_small() {
        let many = |length: u64, between: u64| {
            let mut rows = files(&[("t/Film.mkv", 1 << 20)]);
            for nth in 0..200 {
                rows.push((format!("t/Film.{nth}.srt"), length));
                rows.push((format!("t/{nth}.bin"), between));
            }
            stretches(&layout(&rows), FileIndex(0))
        };
        let total =
            |stretches: Vec<Range<u64>>| stretches.iter().map(|range| range.end - range.start).sum::<u64>();
        assert!(total(many(1000, 0)) <= FILES_MAX as u64 * 1000);
        assert!(total(many(FILE_BYTES_MAX, 0)) <= BYTES_MAX);
        assert!(many(1000, 2 * PIECE).len() <= STRETCHES_MAX);
    }
}

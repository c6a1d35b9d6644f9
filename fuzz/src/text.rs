//! What must hold for the text of any file that claims to be a film, whatever comes first of it.

use afflux_media::container::{Facts, Inspection, Step, TextForm, TextOptions, TextTracks};
use afflux_media::limits::TEXT_TRACK_BYTES_MAX;

/// Text is asked for only where the film is there, all of it is read in the end at a cost that its length bounds, and what was
/// read can be written.
pub fn text_tracks(data: &[u8]) {
    let Some((inspection, facts)) = inspect(data) else { return };
    let Some(mut tracks) = TextTracks::new(&inspection, &facts, data.len() as u64) else { return };
    let piece = 1 + data.len() % 61;
    let pieces = data.len().div_ceil(piece);
    let mut has = vec![false; pieces];
    let mut reads = 0;
    // Every seventh piece, and round again.
    let mut nth = 0;
    for _ in 0..pieces {
        while has[nth] {
            nth = (nth + 1) % pieces;
        }
        has[nth] = true;
        nth = (nth + 7) % pieces;
        while let Some(range) = tracks.next(|offset| there(&has, piece, data.len(), offset)) {
            assert!(range.start < range.end && range.end <= data.len() as u64, "{range:?}");
            assert!(there(&has, piece, data.len(), range.start) >= range.end, "{range:?} isn't there");
            tracks.supply(range.start, &data[range.start as usize..range.end as usize]);
            reads += 1;
            assert!(reads <= 4 * data.len() + 64, "it doesn't end");
        }
    }
    assert!(tracks.is_complete(), "everything was there");
    assert!(tracks.covered().windows(2).all(|pair| pair[0].end < pair[1].start));
    for track in tracks.tracks().filter(|track| track.raw.is_ok()) {
        for form in [TextForm::WebVtt, TextForm::Srt, TextForm::Raw] {
            let options = TextOptions { form, offset_ms: -500, window_ms: Some(0..1 << 40) };
            let text = tracks.write(track.id, &options).unwrap_or_default();
            assert!(text.len() <= 8 * TEXT_TRACK_BYTES_MAX);
        }
    }
}

fn there(has: &[bool], piece: usize, length: usize, offset: u64) -> u64 {
    let first = (offset as usize / piece).min(has.len());
    let count = has[first..].iter().take_while(|&&has| has).count();
    (((first + count) * piece).min(length) as u64).max(offset)
}

fn inspect(data: &[u8]) -> Option<(Inspection, Facts)> {
    let mut inspection = Inspection::new(data.len() as u64);
    loop {
        match inspection.step() {
            Step::Read(range) => {
                inspection.supply(range.start, data[range.start as usize..range.end as usize].to_vec());
            }
            Step::Done(facts) => return Some((inspection, *facts)),
            Step::Failed(_) => return None,
        }
    }
}

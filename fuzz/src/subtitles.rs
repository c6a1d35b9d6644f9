//! What must hold for any subtitle, and any name of one.

use afflux_media::limits::CUE_BYTES_MAX;
use afflux_media::sidecar::sidecars;
use afflux_media::subtitle::{Hint, Options, Target, convert};

/// Converting: what is written is read again as the same, with its cues in order.
pub fn subtitle(data: &[u8]) {
    let hint = Hint { extension: Some("srt"), ..Hint::default() };
    let to = |target| Options { target, ..Options::default() };
    let Ok(first) = convert(data, &hint, &to(Target::WebVtt)) else { return };
    let second = convert(first.text.as_bytes(), &Hint::default(), &to(Target::WebVtt)).expect("it is WebVTT");
    assert_eq!(second.text, first.text);
    let srt = convert(data, &hint, &to(Target::Srt)).expect("what is WebVTT can be SubRip");
    if srt.text.len() > CUE_BYTES_MAX {
        // What keeps SubRip's text from being a tag takes bytes, so that a cue at its limit loses others.
        return;
    }
    let again = convert(srt.text.as_bytes(), &hint, &to(Target::Srt)).expect("it is SubRip");
    assert_eq!((again.cues, &again.text), (first.cues, &srt.text));
}

/// Pairing: lines are paths, the first is the video; what is found is there, strongest first, and nothing twice.
pub fn sidecar_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files: Vec<&str> = text.lines().collect();
    let found = sidecars(files.first().copied().unwrap_or_default(), &files);
    assert!(found.iter().all(|sidecar| sidecar.index < files.len()));
    assert!(found.windows(2).all(|two| (two[0].rank, two[0].index) < (two[1].rank, two[1].index)));
}

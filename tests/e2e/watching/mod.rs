//! Real players watch a film that a slow libtorrent is still sending: in each container they play, seek forward and back to
//! what isn't there, with subtitles on. Each picture of the film says which frame it is, so that they are held to the frame.

mod chromium;
mod ffmpeg;
mod film;
mod mpv;
mod screening;
mod time_code;
mod vlc;

use chromium::Chromium;
use ffmpeg::Ffmpeg;
use film::{Container, Moment};
use mpv::Mpv;
use screening::{AHEAD, BETWEEN, Screening};
use vlc::Vlc;

/// What shows films.
trait Player {
    /// Opens the film with its subtitles, and plays.
    fn open(screening: &Screening) -> Self;

    /// Plays on for a while, frame after frame.
    fn play(&mut self);

    /// Goes to a moment: the frame of that moment is shown, and the line.
    fn seek(&mut self, moment: Moment);

    /// Ends; there was nothing to complain of.
    fn end(self);
}

fn watch<P: Player>(container: Container) {
    let screening = Screening::of(container);
    let mut player = P::open(&screening);
    player.play();
    player.seek(screening.missing_moment(&AHEAD));
    player.play();
    player.seek(match container.is_read_through() {
        // Nothing of what lies behind is missing.
        true => Moment::of_cue(BETWEEN[0]),
        false => screening.missing_moment(&BETWEEN),
    });
    player.play();
    player.end();
    screening.end();
}

/// A test per player and container.
macro_rules! watch {
    ($($player:ident { $($name:ident: $container:ident,)* })*) => {
        $($(#[test] fn $name() { watch::<$player>(Container::$container); })*)*
    };
}

watch! {
    Mpv {
        mpv_watches_an_mp4_with_its_index_last: Mp4IndexLast,
        mpv_watches_an_mp4_with_its_index_first: Mp4IndexFirst,
        mpv_watches_an_mp4_of_fragments: Mp4Fragmented,
        mpv_watches_an_mkv_with_its_cues_last: MkvCuesLast,
        mpv_watches_an_mkv_without_cues: MkvWithoutCues,
        mpv_watches_a_webm: Webm,
        mpv_watches_a_ts: Ts,
        mpv_watches_an_avi: Avi,
    }
    Vlc {
        vlc_watches_an_mp4_with_its_index_last: Mp4IndexLast,
        vlc_watches_an_mp4_with_its_index_first: Mp4IndexFirst,
        vlc_watches_an_mp4_of_fragments: Mp4Fragmented,
        vlc_watches_an_mkv_with_its_cues_last: MkvCuesLast,
        vlc_watches_an_mkv_without_cues: MkvWithoutCues,
        vlc_watches_a_webm: Webm,
        vlc_watches_a_ts: Ts,
        vlc_watches_an_avi: Avi,
    }
    Ffmpeg {
        ffmpeg_watches_an_mp4_with_its_index_last: Mp4IndexLast,
        ffmpeg_watches_an_mp4_with_its_index_first: Mp4IndexFirst,
        ffmpeg_watches_an_mp4_of_fragments: Mp4Fragmented,
        ffmpeg_watches_an_mkv_with_its_cues_last: MkvCuesLast,
        ffmpeg_watches_an_mkv_without_cues: MkvWithoutCues,
        ffmpeg_watches_a_webm: Webm,
        ffmpeg_watches_a_ts: Ts,
        ffmpeg_watches_an_avi: Avi,
    }
    Chromium {
        chromium_watches_an_mp4_with_its_index_last: Mp4IndexLast,
        chromium_watches_an_mp4_with_its_index_first: Mp4IndexFirst,
        chromium_watches_an_mp4_of_fragments: Mp4Fragmented,
        chromium_watches_an_mkv_with_its_cues_last: MkvCuesLast,
        chromium_watches_an_mkv_without_cues: MkvWithoutCues,
        chromium_watches_a_webm: Webm,
    }
}

/// The rest of the table: what Chromium says no to, whoever serves it.
#[test]
fn chromium_knows_no_ts() {
    Chromium::refuses(Container::Ts);
}

#[test]
fn chromium_knows_no_avi() {
    Chromium::refuses(Container::Avi);
}

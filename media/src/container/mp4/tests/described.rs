//! What is told of tracks.

use super::*;

/// Sound in chunks of half a second, each before the pictures of its time.
pub(super) fn audio() -> TrackSpec {
    TrackSpec {
        tables: vec![
            table(b"stts", &[[50, 20]]),
            table(b"stsc", &[[1, 25, 1]]),
            full(b"stsz", 0, 0, &[&[0, 50][..], &[10; 50]].concat()),
            table(b"stco", &[[4000], [7500]]),
        ],
        ..TrackSpec::new(2, b"soun", sound(b"mp4a", 0, 2, 48000, &esds(0x40, &[0x11, 0xb0])))
    }
}

pub(super) fn subtitle() -> TrackSpec {
    TrackSpec { flags: 0, language: 0x1a26, ..TrackSpec::new(3, b"sbtl", boxed(b"tx3g", &zeros(30))) }
}

fn track(spec: TrackSpec) -> Track {
    film(&[spec]).tracks.remove(0)
}

fn picture_track(entry: Vec<u8>) -> (Codec, Video) {
    let track = track(TrackSpec::new(1, b"vide", entry));
    match track.kind {
        TrackKind::Video(video) => (track.codec, video),
        other => panic!("{other:?}"),
    }
}

fn sound_track(entry: Vec<u8>) -> (Codec, u16, u32) {
    let track = track(TrackSpec::new(1, b"soun", entry));
    match track.kind {
        TrackKind::Audio(Audio { channels, sample_rate }) => (track.codec, channels, sample_rate),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_film_of_a_phone_held_upright_is_as_high_as_it_is_shown() {
    const ONE: u32 = 1 << 16;
    let minus_one = ONE.wrapping_neg();
    for (matrix, expected) in [
        ([ONE, 0, 0, ONE], (640, 360)),
        ([0, ONE, minus_one, 0], (360, 640)),
        ([minus_one, 0, 0, minus_one], (640, 360)),
        ([0, minus_one, ONE, 0], (360, 640)),
        ([0; 4], (640, 360)),
    ] {
        let TrackKind::Video(video) = track(TrackSpec { matrix, ..video() }).kind else { panic!() };
        assert_eq!((video.width, video.height), expected, "{matrix:?}");
    }
}

#[test]
fn a_film_has_its_length_and_its_tracks() {
    let facts = film(&[video(), audio(), subtitle()]);
    assert_eq!((facts.container, facts.duration), (Container::Mp4, Some(Duration::from_secs(1))));
    let said: Vec<_> = facts.tracks.iter().map(|track| (track.id, &track.codec, track.is_default)).collect();
    assert_eq!(said, [(1, &Codec::Avc, true), (2, &Codec::Aac, true), (3, &Codec::TimedText, false)]);
    let video = Video { width: 640, height: 360, hdr: None, frame_rate: Some(25.0) };
    assert_eq!(facts.video().map(|(_, video)| *video), Some(video));
    assert_eq!(facts.tracks[1].kind, TrackKind::Audio(Audio { channels: 6, sample_rate: 48000 }));
    assert_eq!(facts.tracks[2].kind, TrackKind::Subtitle);
}

#[test]
fn pictures_are_known_by_their_sample_entry() {
    for (kind, codec) in [
        (b"avc3", Codec::Avc),
        (b"hev1", Codec::Hevc),
        (b"dvh1", Codec::Hevc),
        (b"av01", Codec::Av1),
        (b"vp08", Codec::Vp8),
        (b"vp09", Codec::Vp9),
        (b"jpeg", Codec::Mjpeg),
        (b"m\x00\xff ", Codec::Other("m..".to_owned())),
    ] {
        assert_eq!(picture_track(picture(kind, 2, 2, &[])).0, codec);
    }
    for (object_type, codec) in
        [(0x20, Codec::Mpeg4), (0x61, Codec::Mpeg2), (0x6a, Codec::Mpeg1), (0x6c, Codec::Mjpeg)]
    {
        assert_eq!(picture_track(picture(b"mp4v", 2, 2, &[esds(object_type, &[])])).0, codec);
    }
    let protected = picture(b"encv", 2, 2, &[boxes(b"sinf", &[boxed(b"frma", b"hvc1")])]);
    assert_eq!(picture_track(protected).0, Codec::Hevc);
    assert_eq!(picture_track(picture(b"avc1", 0, 0, &[])).1.width, 640, "as the track is shown");
}

#[test]
fn brighter_pictures_are_told() {
    let colr =
        |form: &[u8; 4], transfer: u8| boxed(b"colr", &[&form[..], &[0, 9, 0, transfer, 0, 9, 0]].concat());
    let hdr = |kind: &[u8; 4], inside: &[Vec<u8>]| picture_track(picture(kind, 2, 2, inside)).1.hdr;
    assert_eq!(hdr(b"hvc1", &[colr(b"nclx", 16)]), Some(Hdr::Hdr10));
    assert_eq!(hdr(b"hvc1", &[colr(b"prof", 16), colr(b"nclc", 18)]), Some(Hdr::Hlg));
    assert_eq!(hdr(b"hvc1", &[colr(b"nclx", 1)]), None);
    assert_eq!(hdr(b"hvc1", &[colr(b"nclx", 16), boxed(b"dvvC", &[])]), Some(Hdr::DolbyVision));
    assert_eq!(hdr(b"dvhe", &[]), Some(Hdr::DolbyVision));
    assert_eq!(hdr(b"vp09", &[full(b"vpcC", 1, 0, &[0x0a1f_a009, 0x1009_0000])]), Some(Hdr::Hdr10));
}

#[test]
fn sound_is_known_by_its_sample_entry() {
    for (object_type, codec) in [
        (0x40, Codec::Aac),
        (0x67, Codec::Aac),
        (0x6b, Codec::Mp3),
        (0xa5, Codec::Ac3),
        (0xa6, Codec::Eac3),
        (0xa9, Codec::Dts),
        (0xad, Codec::Opus),
    ] {
        assert_eq!(sound_track(sound(b"mp4a", 0, 2, 44100, &esds(object_type, &[]))), (codec, 2, 44100));
    }
    for (kind, codec) in
        [(b"dtsc", Codec::Dts), (b".mp3", Codec::Mp3), (b"sowt", Codec::Pcm), (b"mlpa", Codec::TrueHd)]
    {
        assert_eq!(sound_track(sound(kind, 0, 2, 44100, &[])), (codec, 2, 44100));
    }
}

#[test]
fn what_the_decoder_is_told_is_more_exact_than_the_sample_entry() {
    let dac3 = boxed(b"dac3", &[0b0001_0000, 0b0011_1101, 0x40]);
    assert_eq!(sound_track(sound(b"ac-3", 0, 2, 0, &dac3)), (Codec::Ac3, 6, 48000));
    let dec3 = boxed(b"dec3", &[0, 0, 0b0010_0000, 0b0000_1111, 0b0000_0010, 0b0000_0010]);
    assert_eq!(sound_track(sound(b"ec-3", 0, 2, 0, &dec3)), (Codec::Eac3, 8, 48000));
    let dops = boxed(b"dOps", &[0, 6, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 1]);
    assert_eq!(sound_track(sound(b"Opus", 0, 2, 44100, &dops)), (Codec::Opus, 6, 48000));
    let dfla = boxed(b"dfLa", &[&zeros(18)[..], &[0x17, 0x70, 0x02, 0xf0]].concat());
    assert_eq!(sound_track(sound(b"fLaC", 0, 2, 0, &dfla)), (Codec::Flac, 2, 96000));
    let alac = boxed(b"alac", &[&zeros(13)[..], &[6], &zeros(10), &be(&[88200])].concat());
    assert_eq!(sound_track(sound(b"alac", 0, 2, 0, &alac)), (Codec::Alac, 6, 88200));
}

#[test]
fn quicktime_has_sound_entries_of_three_forms() {
    let wave = boxes(b"wave", &[boxed(b"frma", b"mp4a"), esds(0x6b, &[])]);
    let first = sound(b"mp4a", 1, 2, 44100, &[zeros(16), wave].concat());
    assert_eq!(sound_track(first), (Codec::Mp3, 2, 44100));
    let fields = [&zeros(4)[..], &96000f64.to_be_bytes(), &be(&[8, 0x7f00_0000]), &zeros(16)].concat();
    let second = sound(b"lpcm", 2, 3, 1, &fields);
    assert_eq!(sound_track(second), (Codec::Pcm, 8, 96000));
}

#[test]
fn languages_are_three_letters_or_a_tag_or_a_number_of_the_macintosh() {
    let language = |spec: TrackSpec| track(spec).language.map(|tag| tag.to_string());
    let deu = u16::from_be_bytes([0x10, 0xb5]);
    assert_eq!(language(TrackSpec { language: deu, ..video() }).as_deref(), Some("de"));
    assert_eq!(language(TrackSpec { language: 2, ..video() }).as_deref(), Some("de"));
    assert_eq!(language(TrackSpec { language: 0x55c4, ..video() }), None, "und");
    assert_eq!(language(TrackSpec { language: 0x7fff, ..video() }), None);
    let elng = boxed(b"elng", b"\0\0\0\0pt-BR\0");
    assert_eq!(language(TrackSpec { media: vec![elng], ..video() }).as_deref(), Some("pt-BR"));
}

#[test]
fn a_title_is_what_people_wrote_and_no_programs_own_name() {
    let title = |spec: TrackSpec| track(spec).title;
    let named = |name: &[u8]| TrackSpec { more: vec![boxes(b"udta", &[boxed(b"name", name)])], ..video() };
    assert_eq!(title(named("Kommentar \u{1}äöü".as_bytes())).as_deref(), Some("Kommentar äöü"));
    assert_eq!(title(named(b"\0\0")), None);
    assert_eq!(title(named(&[b'a'; 1000])).map(|title| title.len()), Some(TITLE_BYTES_MAX));
    assert_eq!(title(TrackSpec { handler_name: b"Commentary\0", ..video() }).as_deref(), Some("Commentary"));
    assert_eq!(title(TrackSpec { handler_name: b"\x05Songs", ..video() }).as_deref(), Some("Songs"));
    for program in [&b"SoundHandler\0"[..], b"\x10Core Media Audio", b"ISO Media file produced by X\0"] {
        assert_eq!(title(TrackSpec { handler_name: Box::leak(program.into()), ..video() }), None);
    }
}

#[test]
fn subtitles_may_be_forced_or_for_those_who_do_not_hear() {
    let forced = boxed(b"tx3g", &[&zeros(8)[..], &be(&[0x8000_0000]), &zeros(18)].concat());
    assert!(track(TrackSpec::new(1, b"sbtl", forced)).is_forced);
    let kind = |value: &[u8]| boxed(b"kind", &[b"\0\0\0\0urn:mpeg:dash:role:2011\0", value, b"\0"].concat());
    let with = |value: &[u8]| TrackSpec { more: vec![boxes(b"udta", &[kind(value)])], ..subtitle() };
    assert!(track(with(b"caption")).is_hearing_impaired);
    assert!(track(with(b"forced-subtitle")).is_forced);
    assert!(!track(with(b"main")).is_forced && !track(subtitle()).is_hearing_impaired);
    let vobsub = boxed(b"mp4s", &[zeros(8), esds(0xe0, &[])].concat());
    assert_eq!(track(TrackSpec::new(1, b"subp", vobsub)).codec, Codec::VobSub);
}

#[test]
fn chapters_are_no_subtitles() {
    let chapters = TrackSpec::new(9, b"text", boxed(b"text", &zeros(40)));
    let film =
        film(&[TrackSpec { more: vec![boxes(b"tref", &[boxed(b"chap", &be(&[9]))])], ..video() }, chapters]);
    assert_eq!(film.tracks[1].kind, TrackKind::Other);
}

#[test]
fn a_rate_is_told_where_it_is_constant() {
    let rate = |rows: &[[u32; 2]]| {
        let spec = TrackSpec { tables: vec![table(b"stts", rows)], ..video() };
        film(&[spec]).video().and_then(|(_, video)| video.frame_rate)
    };
    assert_eq!(rate(&[[100, 40], [1, 33]]), Some(25.0), "but for the last");
    assert_eq!(
        rate(&[[1, 41], [2, 42], [1, 41], [2, 42]]).map(|rate| rate.round()),
        Some(24.0),
        "a coarse clock"
    );
    assert_eq!(rate(&[[50, 40], [50, 20]]), None);
    assert_eq!(rate(&[[50, 0]]), None);
    assert_eq!(rate(&[]), None);
}

#[test]
fn a_length_that_the_movie_does_not_say_is_its_longest_tracks() {
    for unsaid in [0, u32::MAX] {
        let traks = [TrackSpec { duration: 3000, ..video() }, TrackSpec { duration: u32::MAX, ..audio() }];
        let moov = boxes(b"moov", &[mvhd(unsaid), traks[0].trak(), traks[1].trak()]);
        assert_eq!(facts(&Sparse::of(&[ftyp(), moov])).duration, Some(Duration::from_secs(3)));
    }
}

#[test]
fn more_tracks_than_are_told_of_are_left_out() {
    let many: Vec<TrackSpec> = (0..200).map(|id| TrackSpec { id, ..subtitle() }).collect();
    assert_eq!(film(&many).tracks.len(), TRACKS_MAX);
}

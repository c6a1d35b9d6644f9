//! What is told of tracks.

use super::writer::*;
use super::{facts, head, id};
use crate::container::{Audio, Codec, Hdr, Track, TrackKind, Video};
use crate::limits::{TITLE_BYTES_MAX, TRACKS_MAX};

fn read(entries: &[Vec<u8>]) -> Vec<Track> {
    facts(&file(&[parent(id::TRACKS, entries)])).tracks
}

fn one(kind: u64, codec: &str, more: &[Vec<u8>]) -> Track {
    let [track] = read(&[track(1, kind, codec, more)]).try_into().expect("one track");
    track
}

fn video(more: &[Vec<u8>]) -> Video {
    match one(1, "V_MPEGH/ISO/HEVC", more).kind {
        TrackKind::Video(video) => video,
        kind => panic!("{kind:?}"),
    }
}

fn colour(transfer: u64) -> Vec<u8> {
    parent(id::VIDEO, &[parent(id::COLOUR, &[uint(id::TRANSFER_CHARACTERISTICS, transfer)])])
}

fn addition(kind: u64) -> Vec<u8> {
    parent(id::BLOCK_ADDITION_MAPPING, &[uint(id::BLOCK_ADD_ID_TYPE, kind)])
}

#[test]
fn a_video_tells_its_size_and_its_rate() {
    let size = parent(id::VIDEO, &[uint(id::PIXEL_WIDTH, 1920), uint(id::PIXEL_HEIGHT, 800)]);
    assert_eq!((video(std::slice::from_ref(&size)).width, video(&[size]).height), (1920, 800));
    for (nanos, rate) in
        [(41_666_666, 24.0), (41_708_333, 24.0 / 1.001), (40_000_000, 25.0), (16_683_333, 60.0 / 1.001)]
    {
        assert_eq!(video(&[uint(id::DEFAULT_DURATION, nanos)]).frame_rate, Some(rate), "{nanos} ns");
    }
    let odd = video(&[uint(id::DEFAULT_DURATION, 73_000_123)]).frame_rate.unwrap();
    assert!((odd - 13.6986).abs() < 0.0001);
}

#[test]
fn sizes_and_rates_that_nobody_means_are_not_told() {
    for duration in [0, 1, u64::MAX] {
        assert_eq!(video(&[uint(id::DEFAULT_DURATION, duration)]).frame_rate, None, "{duration} ns");
    }
    assert_eq!(video(&[parent(id::VIDEO, &[uint(id::PIXEL_WIDTH, u64::MAX)])]).width, 0);
}

#[test]
fn brighter_pictures_are_told_by_the_best_that_is_said() {
    let [dvcc, dvvc] = [b"dvcC", b"dvvC"].map(|name| u32::from_be_bytes(*name).into());
    for (more, hdr) in [
        (vec![], None),
        (vec![colour(1)], None),
        (vec![colour(16)], Some(Hdr::Hdr10)),
        (vec![colour(18)], Some(Hdr::Hlg)),
        (vec![colour(16), addition(4)], Some(Hdr::Hdr10Plus)),
        (vec![colour(16), addition(4), addition(dvcc)], Some(Hdr::DolbyVision)),
        (vec![addition(dvvc), addition(4), colour(16)], Some(Hdr::DolbyVision)),
    ] {
        assert_eq!(video(&more).hdr, hdr);
    }
}

#[test]
fn sound_tells_channels_and_the_rate_that_is_heard() {
    let audio = |more: &[Vec<u8>]| one(2, "A_AAC", more).kind;
    let said = [float(id::SAMPLING_FREQUENCY, 24_000.0), float(id::OUTPUT_SAMPLING_FREQUENCY, 48_000.0)];
    let said = parent(id::AUDIO, &[&said[..], &[uint(id::CHANNELS, 6)]].concat());
    assert_eq!(audio(&[said]), TrackKind::Audio(Audio { channels: 6, sample_rate: 48_000 }));
    assert_eq!(audio(&[]), TrackKind::Audio(Audio { channels: 1, sample_rate: 8000 }));
    let nonsense = parent(id::AUDIO, &[float(id::SAMPLING_FREQUENCY, f64::NAN)]);
    assert_eq!(audio(&[nonsense]), TrackKind::Audio(Audio { channels: 1, sample_rate: 8000 }));
}

#[test]
fn the_tag_of_a_language_counts_before_its_code_and_silence_is_english() {
    let language = |more: &[Vec<u8>]| one(17, "S_TEXT/UTF8", more).language.map(|tag| tag.to_string());
    let (code, tag) = (element(id::LANGUAGE, "ger"), element(id::LANGUAGE_BCP47, "pt-BR"));
    assert_eq!(language(&[]).as_deref(), Some("en"));
    assert_eq!(language(std::slice::from_ref(&code)).as_deref(), Some("de"));
    assert_eq!(language(&[code, tag]).as_deref(), Some("pt-BR"));
    assert_eq!(language(&[element(id::LANGUAGE, "und")]), None);
}

#[test]
fn flags_have_the_defaults_of_the_standard() {
    let plain = one(17, "S_HDMV/PGS", &[]);
    assert_eq!((plain.is_default, plain.is_forced, plain.is_hearing_impaired), (true, false, false));
    let flags = [uint(id::FLAG_DEFAULT, 0), uint(id::FLAG_FORCED, 1), uint(id::FLAG_HEARING_IMPAIRED, 1)];
    let flagged = one(17, "S_HDMV/PGS", &flags);
    assert_eq!((flagged.is_default, flagged.is_forced, flagged.is_hearing_impaired), (false, true, true));
}

#[test]
fn a_name_is_told_within_its_bound() {
    assert_eq!(one(2, "A_AC3", &[element(id::NAME, "Commentary")]).title.as_deref(), Some("Commentary"));
    assert_eq!(one(2, "A_AC3", &[element(id::NAME, "é".repeat(9999))]).title.unwrap().len(), TITLE_BYTES_MAX);
}

#[test]
fn tracks_that_are_not_sound_are_left_out_alone() {
    let entries = [
        track(0, 1, "V_VP9", &[]),
        parent(id::TRACK_ENTRY, &[uint(id::TRACK_NUMBER, 5)]),
        element(id::TRACK_ENTRY, [0xff; 9]),
        track(7, 1, "V_VP9", &[]),
        track(7, 2, "A_OPUS", &[]),
        track(8, 99, "B_VOBBTN", &[]),
    ];
    let tracks = read(&entries);
    let told = tracks.iter().map(|track| (track.id, track.codec.clone())).collect::<Vec<_>>();
    assert_eq!(told, [(7, Codec::Vp9), (8, Codec::Other("B_VOBBTN".into()))]);
    assert_eq!(tracks[1].kind, TrackKind::Other);
}

#[test]
fn no_more_tracks_are_told_of_than_fit() {
    let entries = (1..1000).map(|number| track(number, 2, "A_AC3", &[])).collect::<Vec<_>>();
    assert_eq!(read(&entries).len(), TRACKS_MAX);
}

#[test]
fn the_head_of_a_script_is_kept() {
    let private = element(id::CODEC_PRIVATE, "[Script Info]");
    let entries =
        [track(1, 17, "S_TEXT/ASS", std::slice::from_ref(&private)), track(2, 1, "V_AV1", &[private])];
    let head = head(&file(&[parent(id::TRACKS, &entries)]));
    assert_eq!(head.script(1), Some(&b"[Script Info]"[..]));
    assert_eq!((head.script(2), head.script(3)), (None, None));
}

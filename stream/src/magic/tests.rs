use proptest::prelude::*;

use super::*;

fn transport(packet: usize, first: usize) -> Vec<u8> {
    let mut head = vec![1; HEAD_BYTES];
    head.iter_mut().skip(first).step_by(packet).for_each(|byte| *byte = 0x47);
    head
}

fn asf(object: [u8; 16]) -> Vec<u8> {
    let mut head =
        vec![0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C];
    head.resize(30, 1);
    for id in [[9; 16], object] {
        head.extend(id);
        head.extend(40u64.to_le_bytes());
        head.extend([0; 16]);
    }
    head
}

const ENCRYPTION: [u8; 16] =
    [0xFB, 0xB3, 0x11, 0x22, 0x23, 0xBD, 0xD2, 0x11, 0xB4, 0xB7, 0x00, 0xA0, 0xC9, 0x55, 0xFC, 0x6E];

#[test]
fn media_begin_as_their_names_say() {
    let utf16: Vec<u8> = "\u{FEFF}1\r\n00:00".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_be: Vec<u8> = "\u{FEFF}1\r\n00:00".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let heads: [(&str, &[u8]); 36] = [
        ("a.mkv", b"\x1A\x45\xDF\xA3\x93"),
        ("a.WebM", b"\x1A\x45\xDF\xA3\x93"),
        ("a.mp4", b"\0\0\0\x20ftypisom"),
        ("a.mov", b"\0\0\0\x08wide\0\0\0\0mdat"),
        ("a.m4s", b"\0\0\0\x18stypmsdh"),
        ("a.mp4", b"\0\0\0\x01mdat\0\0\0\0"),
        ("a.mp4", b"\0\0\x10\0moov"),
        ("a.avi", b"RIFF\0\0\0\0AVI LIST"),
        ("a.ts", &transport(188, 0)),
        ("a.m2ts", &transport(192, 4)),
        ("a.ts", &transport(188, 77)),
        ("a.mpg", b"\0\0\x01\xBA\x44"),
        ("a.m2v", b"\0\0\x01\xB3\x44"),
        ("a.vob", b"\0\0\x01\xBA\x44"),
        ("a.wmv", &asf([7; 16])),
        ("a.flv", b"FLV\x01\x05"),
        ("a.rmvb", b".RMF\0\0"),
        ("a.ogv", b"OggS\0"),
        ("a.opus", b"OggS\0"),
        ("a.flac", b"fLaC\0"),
        ("a.flac", b"ID3\x04\0\0"),
        ("a.mp3", b"ID3\x03\0\0"),
        ("a.mp3", b"\xFF\xFB\x90\x64"),
        ("a.aac", b"\xFF\xF1\x50\x80"),
        ("a.wav", b"RIFF\0\0\0\0WAVEfmt "),
        ("a.wav", b"RF64\xFF\xFF\xFF\xFFWAVE"),
        ("a.ac3", b"\x0B\x77\0\0"),
        ("a.aiff", b"FORM\0\0\0\0AIFC"),
        ("a.srt", b"\xEF\xBB\xBF1\r\n00:00:01,000 --> 00:00:02,000\r\n"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nCaf\xE9\n"),
        ("a.srt", &utf16),
        ("a.ass", &utf16_be),
        ("a.vtt", b"\xEF\xBB\xBFWEBVTT\n"),
        ("a.jpg", b"\xFF\xD8\xFF\xE0"),
        ("a.png", b"\x89PNG\r\n\x1A\n"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 "),
    ];
    for (name, head) in heads {
        assert_eq!(judge_head(name, head), HeadVerdict::Matches, "{name} {head:02x?}");
    }
}

#[test]
fn what_is_never_media_is_told_by_kind() {
    use HeadReason::{Archive, Document, Executable, Script};
    let heads: [(&[u8], HeadReason); 20] = [
        (b"MZ\x90\0", Executable),
        (b"\x7FELF\x02", Executable),
        (&[0xCF, 0xFA, 0xED, 0xFE, 7], Executable),
        (&[0xCA, 0xFE, 0xBA, 0xBE, 0], Executable),
        (&[0x4C, 0, 0, 0, 1, 0x14, 2, 0], Executable),
        (b"[InternetShortcut]\r\nURL=http://x", Executable),
        (b"#!/bin/sh\n", Script),
        (b"@ECHO OFF\r\n", Script),
        (b" <script>", Script),
        (b"PK\x03\x04\x14", Archive),
        (b"Rar!\x1A\x07\x01\0", Archive),
        (b"7z\xBC\xAF\x27\x1C", Archive),
        (&[0x1F, 0x8B, 8], Archive),
        (b"BZh91AY", Archive),
        (b"\xFD7zXZ\0", Archive),
        (b"%PDF-1.7", Document),
        (b"\r\n<!DOCTYPE html>", Document),
        (b"\xEF\xBB\xBF<HTML>", Document),
        (b"<?xml version", Document),
        (&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], Document),
    ];
    for name in ["film.mkv", "film.mp4", "film.avi", "film.ts", "song.mp3", "film.srt", "cover.jpg"] {
        for (head, reason) in heads {
            assert_eq!(judge_head(name, head), HeadVerdict::Differs(reason), "{name} {head:02x?}");
        }
    }
}

#[test]
fn other_media_is_told_from_what_is_nothing() {
    assert_eq!(judge_head("a.mkv", b"\0\0\0\x20ftypisom"), HeadVerdict::Differs(HeadReason::OtherMedia));
    assert_eq!(judge_head("a.mp4", b"\x1A\x45\xDF\xA3\x93"), HeadVerdict::Differs(HeadReason::OtherMedia));
    assert_eq!(judge_head("a.mkv", b"hello, world"), HeadVerdict::Differs(HeadReason::Unknown));
    assert_eq!(judge_head("a.ts", b"Good morning"), HeadVerdict::Differs(HeadReason::Unknown));
    assert_eq!(judge_head("a.mp4", b"\0\0\0\x04ftyp"), HeadVerdict::Differs(HeadReason::Unknown));
    assert_eq!(judge_head("a.srt", b"1\n\0\0"), HeadVerdict::Differs(HeadReason::Unknown));
}

#[test]
fn windows_media_that_asks_for_a_licence_is_no_media() {
    for name in ["a.wmv", "a.avi", "a.mkv"] {
        assert_eq!(judge_head(name, &asf(ENCRYPTION)), HeadVerdict::Differs(HeadReason::Drm), "{name}");
    }
}

#[test]
fn what_has_no_known_name_or_no_bytes_yet_is_not_judged() {
    for (name, head) in
        [("a.exe", &b"MZ"[..]), ("a", b"MZ"), ("a.nfo", b"PK"), ("a.mkv", b""), ("a.mkv", &[0; 900])]
    {
        assert_eq!(judge_head(name, head), HeadVerdict::NoOpinion, "{name}");
    }
}

#[test]
fn files_shorter_than_a_head_are_judged_by_what_there_is() {
    assert_eq!(judge_head("a.ts", &transport(188, 0)[..188]), HeadVerdict::Matches);
    assert_eq!(judge_head("a.mkv", b"\x1A\x45\xDF"), HeadVerdict::Differs(HeadReason::Unknown));
    assert_eq!(judge_head("a.srt", b"1"), HeadVerdict::Matches);
}

#[test]
fn the_policy_decides_what_a_difference_means() {
    let verdict = |reason, policy| HeadVerdict::Differs(reason).verdict(policy);
    assert_eq!(verdict(HeadReason::Executable, ContentPolicy::Block), Verdict::Block);
    assert_eq!(verdict(HeadReason::Executable, ContentPolicy::Warn), Verdict::Warn);
    assert_eq!(verdict(HeadReason::Unknown, ContentPolicy::Block), Verdict::Warn);
    assert_eq!(verdict(HeadReason::OtherMedia, ContentPolicy::Block), Verdict::Warn);
    assert_eq!(verdict(HeadReason::Drm, ContentPolicy::Block), Verdict::Block);
    assert_eq!(HeadVerdict::NoOpinion.verdict(ContentPolicy::Block), Verdict::Ok);
}

#[test]
fn codes_are_different() {
    let mut codes: Vec<&str> = HeadReason::ALL.iter().map(|reason| reason.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), HeadReason::ALL.len());
}

const GIB: u64 = 1 << 30;

fn warnings(name: &str, files: &[(&str, u64)]) -> Vec<&'static str> {
    let files: Vec<FileFacts<'_>> = files.iter().map(|&(path, length)| FileFacts { path, length }).collect();
    judge_torrent(name, &files).into_iter().map(TorrentWarning::code).collect()
}

#[test]
fn ordinary_torrents_are_fine() {
    let none: [&str; 0] = [];
    for (name, files) in [
        (
            "Film.2020.1080p.BluRay.x264",
            &[("Film.2020.1080p.mkv", 8 * GIB), ("Film.nfo", 1), ("Subs/en.srt", 1)][..],
        ),
        ("Film.2020.2160p.WEB-DL", &[("Film.mkv", 14 * GIB), ("Sample/sample.mkv", 40 << 20)]),
        ("Show.S01E02.2160p", &[("Show.S01E02.mkv", GIB / 2)]),
        ("Film.720p.x264", &[("film.rar", GIB), ("film.r00", GIB), ("film.r01", GIB)]),
        ("Film.720p.x264", &[("film.part1.rar", GIB), ("film.part2.rar", GIB)]),
        ("Film.DVD9.PAL.720p", &[("film.dvd9.720p.iso", 8 * GIB)]),
        ("debian-13.iso", &[("debian-13-amd64-netinst.iso", GIB)]),
        ("backup", &[("backup.rar", GIB)]),
        ("app", &[("setup.exe", 1), ("readme.txt", 1)]),
        ("", &[]),
    ] {
        assert_eq!(warnings(name, files), none, "{name}");
    }
}

#[test]
fn traps_are_told() {
    let film = ("Film.mkv", 4 * GIB);
    for (name, files, expected) in [
        ("Film", &[("film.rar", GIB), ("PASSWORD.txt", 1)][..], "password_archive"),
        ("Film", &[film, ("codec pack setup.exe", 1)], "codec_to_install"),
        ("Film", &[film, ("x.exe", 1), ("ReadMe.txt", 1)], "codec_to_install"),
        ("Film", &[("film.001", GIB)], "lone_volume"),
        ("Film", &[("film.part1.rar", GIB)], "lone_volume"),
        ("Film", &[("film.r07", GIB)], "lone_volume"),
        ("Film", &[film, ("Film.2020.1080p.iso", GIB)], "image_as_film"),
        ("Film.1080p.WEB-DL", &[("read.txt", 1)], "no_video"),
        ("Show.S01E02", &[("a.exe", 1)], "no_video"),
        ("Film.2160p.HDR", &[("film.mkv", GIB / 2)], "size_against_quality"),
        ("Film.480p", &[("film.mkv", 21 * GIB)], "size_against_quality"),
    ] {
        assert_eq!(warnings(name, files), [expected], "{name} {files:?}");
    }
    let many = vec![("a/track.flac", 1); 10_001];
    assert_eq!(warnings("Music", &many), ["many_files"]);
}

proptest! {
    #[test]
    fn any_head_has_a_verdict(name in "[a-z]{0,3}\\.(mkv|mp4|avi|ts|mp3|srt|vtt|wmv|flac|mpg|jpg)", head: Vec<u8>) {
        judge_head(&name, &head);
        let mut asf = asf([7; 16]);
        asf.extend(&head);
        judge_head(&name, &asf);
    }

    #[test]
    fn any_torrent_has_its_warnings_once(name: String, paths: Vec<String>) {
        let files: Vec<FileFacts<'_>> = paths.iter().map(|path| FileFacts { path, length: 1 }).collect();
        let warnings = judge_torrent(&name, &files);
        prop_assert!(warnings.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

use std::time::Duration;

use proptest::prelude::*;

use super::super::facts::{Audio, Codec, Hdr, Track, TrackKind, Video};
use super::super::parameter_sets::tests::{avc_sps, stream};
use super::super::testing::{damaged, inspect, inspect_without, seek};
use super::super::{Found, Search, Seek};
use super::section::crc32;
use super::*;

const MAP_PID: u16 = 0x100;
const VIDEO_PID: u16 = 0x101;
const AUDIO_PID: u16 = 0x102;
const SUBTITLE_PID: u16 = 0x103;
const PERIOD: u64 = 1 << 33;

/// A section of a table with that content behind its length, and the CRC.
pub(super) fn section(table: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() + 4) as u16 | 0xb000;
    let mut section = [&[table][..], &length.to_be_bytes(), content].concat();
    section.extend(crc32(&section).to_be_bytes());
    section
}

fn association(maps: &[(u16, u16)]) -> Vec<u8> {
    let entries = maps.iter().flat_map(|(number, pid)| [number.to_be_bytes(), (pid | 0xe000).to_be_bytes()]);
    section(0, &[&[0, 1, 0xc1, 0, 0][..], &entries.flatten().collect::<Vec<_>>()].concat())
}

/// A map of program 1: its descriptors, then streams by type, PID and descriptors.
fn map(info: &[u8], streams: &[(u8, u16, &[u8])]) -> Vec<u8> {
    let length = |bytes: &[u8]| (bytes.len() as u16 | 0xf000).to_be_bytes();
    let clock = (VIDEO_PID | 0xe000).to_be_bytes();
    let mut content = [&[0, 1, 0xc1, 0, 0][..], &clock, &length(info), info].concat();
    for (kind, pid, info) in streams {
        content.extend([&[*kind][..], &(pid | 0xe000).to_be_bytes(), &length(info), info].concat());
    }
    section(2, &content)
}

/// A film while it is written.
struct Writer {
    bytes: Vec<u8>,
    is_timed: bool,
}

impl Writer {
    fn new(is_timed: bool) -> Self {
        Self { bytes: Vec::new(), is_timed }
    }

    fn packet(&mut self, pid: u16, is_start: bool, clock: Option<u64>, payload: &[u8]) {
        if self.is_timed {
            self.bytes.extend([0; 4]);
        }
        let mut adaptation = clock
            .map_or(Vec::new(), |clock| [&[0x10][..], &((clock % PERIOD) << 15).to_be_bytes()[2..]].concat());
        let room = 184 - payload.len();
        if room > 0 {
            if room > 1 && adaptation.is_empty() {
                adaptation.push(0);
            }
            adaptation.resize(room - 1, 0xff);
            adaptation.insert(0, room as u8 - 1);
        }
        let [high, low] = (pid | u16::from(is_start) << 14).to_be_bytes();
        let control = if room > 0 { 0x30 } else { 0x10 };
        self.bytes.extend([&[0x47, high, low, control], &adaptation[..], payload].concat());
    }

    fn section(&mut self, pid: u16, section: &[u8]) {
        let payload = [&[0][..], section].concat();
        for (nth, part) in payload.chunks(184).enumerate() {
            let padded = [part, &vec![0xff; 184 - part.len()]].concat();
            self.packet(pid, nth == 0, None, &padded);
        }
    }

    /// A packet of an elementary stream in packets, shown then, and with that clock at its start.
    fn elementary(&mut self, pid: u16, stream_id: u8, shown: u64, clock: Option<u64>, data: &[u8]) {
        let shown = shown % PERIOD;
        let field = |shift: u32| ((shown >> shift << 1 | 1) as u16).to_be_bytes();
        let time = [&[0x20 | (shown >> 29 & 0xe) as u8 | 1][..], &field(15), &field(0)].concat();
        let payload = [&[0, 0, 1, stream_id, 0, 0, 0x80, 0x80, 5][..], &time, data].concat();
        let first = payload.len().min(184 - if clock.is_some() { 8 } else { 0 });
        self.packet(pid, true, clock, &payload[..first]);
        for part in payload[first..].chunks(184) {
            self.packet(pid, false, None, part);
        }
    }
}

/// AC-3 with 3/2 channels and one for low frequencies at 48 kHz.
const AC3_FRAME: [u8; 8] = [0x0b, 0x77, 0, 0, 0x14, 0x40, 0xe1, 0];

/// What a film in the tests is like.
#[derive(Clone, Copy)]
struct Film {
    is_timed: bool,
    first: u64,
    frames: u64,
    /// Bytes of a picture; each twentieth second has ten times as many.
    frame_bytes: usize,
}

const SHORT: Film = Film { is_timed: false, first: 126_000, frames: 100, frame_bytes: 1500 };

const LANGUAGES: [&[u8]; 3] =
    [&[], &[0x0a, 4, b'd', b'e', b'u', 0], &[0x59, 8, b'e', b'n', b'g', 0x20, 0, 1, 0, 1]];

impl Film {
    /// 25 pictures a second, every 25th of them a key frame, sound of 40 ms with each.
    fn write(self) -> Vec<u8> {
        let mut writer = Writer::new(self.is_timed);
        let key = stream(&[&[9, 0x10], &avc_sps(80, 45, 0, true), &[0x65]]);
        let tables = map(
            &[],
            &[
                (0x1b, VIDEO_PID, LANGUAGES[0]),
                (0x81, AUDIO_PID, LANGUAGES[1]),
                (6, SUBTITLE_PID, LANGUAGES[2]),
            ],
        );
        for frame in 0..self.frames {
            let shown = self.first + frame * 3600;
            let is_key = frame % 25 == 0;
            if is_key {
                writer.section(0, &association(&[(1, MAP_PID)]));
                writer.section(MAP_PID, &tables);
            }
            let bytes = if frame / 25 % 20 == 19 { self.frame_bytes * 10 } else { self.frame_bytes };
            let mut data = if is_key { key.clone() } else { stream(&[&[0x41]]) };
            data.resize(bytes.max(data.len()), 0xab);
            writer.elementary(VIDEO_PID, 0xe0, shown, Some(shown - 3600), &data);
            writer.elementary(AUDIO_PID, 0xbd, shown, None, &AC3_FRAME);
        }
        writer.bytes
    }
}

fn facts(file: &[u8]) -> Facts {
    inspect(file).0.unwrap()
}

fn codecs(file: &[u8]) -> Vec<Codec> {
    facts(file).tracks.into_iter().map(|track| track.codec).collect()
}

#[test]
fn a_stream_says_what_is_in_it_and_how_long_it_is() {
    for is_timed in [false, true] {
        let found = facts(&Film { is_timed, ..SHORT }.write());
        assert_eq!(found.duration, Some(Duration::from_secs(4) - Duration::from_micros(6634)));
        let [video, audio, subtitle] = &found.tracks[..] else { panic!("{:?}", found.tracks) };
        let rate = Some(30_000.0 / 1001.0);
        let picture = Video { width: 1280, height: 720, hdr: None, frame_rate: rate };
        assert_eq!((&video.codec, &video.kind), (&Codec::Avc, &TrackKind::Video(picture)));
        let sound = TrackKind::Audio(Audio { channels: 6, sample_rate: 48_000 });
        assert_eq!((&audio.codec, &audio.kind), (&Codec::Ac3, &sound));
        assert_eq!((&subtitle.codec, &subtitle.kind), (&Codec::DvbSub, &TrackKind::Subtitle));
        let language = |track: &Track| track.language.map(|tag| tag.to_string());
        assert_eq!([video, audio, subtitle].map(language), [None, Some("de".into()), Some("en".into())]);
        assert_eq!([video, audio, subtitle].map(|track| track.is_default), [true, true, false]);
        assert_eq!([video, audio, subtitle].map(|track| track.is_hearing_impaired), [false, false, true]);
    }
}

#[test]
fn a_long_stream_is_read_at_its_ends_only() {
    let file = Film { frames: 1500, ..SHORT }.write();
    let (found, reads) = inspect(&file);
    assert_eq!(found.unwrap().duration.unwrap().as_secs(), 59);
    assert_eq!(reads.len(), 3, "{reads:?}");
    let bytes: u64 = reads.iter().map(|range| range.end - range.start).sum();
    assert!(bytes <= 2 * TS_WINDOW_BYTES + 188, "{reads:?}");
}

#[test]
fn a_clock_that_begins_again_does_not_shorten_the_film() {
    let whole = facts(&SHORT.write()).duration;
    for before in [1, 3600, 50 * 3600, 99 * 3600] {
        assert_eq!(facts(&Film { first: PERIOD - before, ..SHORT }.write()).duration, whole, "{before}");
    }
}

#[test]
fn a_clock_that_is_set_back_leaves_the_length_unknown() {
    let first = Film { first: 900_000_000, frames: 800, ..SHORT }.write();
    let second = Film { first: 90_000, frames: 800, ..SHORT }.write();
    assert_eq!(facts(&[first, second].concat()).duration, None);
}

#[test]
fn a_stream_may_begin_and_end_within_a_packet() {
    let file = SHORT.write();
    let found = facts(&file[100..file.len() - 50]);
    assert_eq!((found.tracks.len(), found.duration.unwrap().as_secs()), (3, 3));
}

#[test]
fn the_times_of_scrambled_pictures_are_their_clocks() {
    let mut file = SHORT.write();
    for packet in file.chunks_mut(188) {
        let pid = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
        if [VIDEO_PID, AUDIO_PID].contains(&pid) {
            packet[3] |= 0x80;
        }
    }
    let found = facts(&file);
    assert_eq!(found.duration, Some(Duration::from_millis(99 * 40)));
    assert_eq!(found.tracks[0].kind, TrackKind::Video(Video::default()));
}

#[test]
fn types_and_descriptors_say_the_codec() {
    let registration = |name: &[u8; 4]| [&[5, 4][..], name].concat();
    let (hevc, ac3, eac3, dts) =
        (registration(b"HEVC"), registration(b"AC-3"), registration(b"EAC3"), registration(b"DTS1"));
    let streams: Vec<(u8, Vec<u8>, Codec)> = vec![
        (0x01, vec![], Codec::Mpeg1),
        (0x02, vec![], Codec::Mpeg2),
        (0x03, vec![], Codec::Mp2),
        (0x0f, vec![], Codec::Aac),
        (0x11, vec![], Codec::Aac),
        (0x1b, vec![], Codec::Avc),
        (0x24, vec![], Codec::Hevc),
        (0x81, vec![], Codec::Ac3),
        (0x82, vec![], Codec::Dts),
        (0x83, vec![], Codec::TrueHd),
        (0x87, vec![], Codec::Eac3),
        (0x90, vec![], Codec::Pgs),
        (6, hevc, Codec::Hevc),
        (6, ac3, Codec::Ac3),
        (6, eac3, Codec::Eac3),
        (6, dts, Codec::Dts),
        (6, vec![0x52, 1, 9, 0x6a, 1, 0], Codec::Ac3),
        (6, vec![0x7a, 1, 0], Codec::Eac3),
        (6, vec![0x7b, 1, 0], Codec::Dts),
        (6, vec![0x59, 0], Codec::DvbSub),
        (6, vec![0x56, 0], Codec::Other("teletext".into())),
        (6, vec![0x56, 99], Codec::Other("stream type 0x06".into())),
        (0x86, registration(b"CUEI"), Codec::Other("stream type 0x86".into())),
    ];
    let entries: Vec<(u8, u16, &[u8])> =
        streams.iter().zip(0x200..).map(|((kind, info, _), pid)| (*kind, pid, &info[..])).collect();
    let mut writer = Writer::new(false);
    writer.section(0, &association(&[(0, 0x10), (1, MAP_PID)]));
    // Longer than a packet.
    writer.section(MAP_PID, &map(&[0x52; 60], &entries));
    writer.section(0, &association(&[(1, MAP_PID)]));
    let expected: Vec<Codec> = streams.iter().map(|(_, _, codec)| codec.clone()).collect();
    assert_eq!(codecs(&writer.bytes), expected);
}

#[test]
fn types_of_a_disc_are_a_discs() {
    let mut writer = Writer::new(true);
    writer.section(0, &association(&[(1, MAP_PID)]));
    let streams: [(u8, u16, &[u8]); 3] =
        [(0x80, 1, &[]), (0x86, 2, &[]), (0x24, 3, &[0xb0, 5, 1, 0, 0, 0, 0])];
    writer.section(MAP_PID, &map(b"\x05\x04HDMV", &streams));
    writer.section(0, &association(&[(1, MAP_PID)]));
    let found = facts(&writer.bytes);
    let is_dolby =
        |track: &Track| matches!(&track.kind, TrackKind::Video(video) if video.hdr == Some(Hdr::DolbyVision));
    assert_eq!(found.tracks.iter().map(is_dolby).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(codecs(&writer.bytes), [Codec::Pcm, Codec::Dts, Codec::Hevc]);
}

#[test]
fn the_first_program_with_pictures_is_the_film() {
    let mut writer = Writer::new(false);
    writer.section(0, &association(&[(7, 0x77), (1, MAP_PID)]));
    let mut radio = map(&[], &[(3, 0x200, &[])]);
    radio[4] = 7;
    let end = radio.len() - 4;
    radio[end..].fill(0xff);
    writer.section(0x77, &radio);
    writer.section(MAP_PID, &map(&[], &[(2, VIDEO_PID, &[])]));
    assert_eq!(codecs(&writer.bytes), [Codec::Mpeg2]);
}

#[test]
fn headers_of_sound_say_channels_and_rate() {
    let cases: [(u8, &[u8], Codec, u16, u32); 7] = [
        (0x0f, &[0xff, 0xf1, 0x4c, 0x80, 0, 0x1f, 0xfc], Codec::Aac, 2, 48_000),
        (0x03, &[0xff, 0xfd, 0xa4, 0x00], Codec::Mp2, 2, 48_000),
        (0x03, &[0xff, 0xfb, 0x90, 0xc0], Codec::Mp3, 1, 44_100),
        (0x04, &[0xff, 0xf3, 0x90, 0x00], Codec::Mp3, 2, 22_050),
        (0x81, &AC3_FRAME, Codec::Ac3, 6, 48_000),
        (0x81, &[0x0b, 0x77, 0x02, 0xff, 0x3f, 0x86, 0], Codec::Eac3, 6, 48_000),
        (
            0x82,
            &[0x7f, 0xfe, 0x80, 0x01, 0xfc, 0x3c, 0x3f, 0xf2, 0x75, 0xe0, 0x04, 0x00],
            Codec::Dts,
            6,
            48_000,
        ),
    ];
    for (kind, frame, codec, channels, sample_rate) in cases {
        let mut writer = Writer::new(false);
        writer.section(0, &association(&[(1, MAP_PID)]));
        writer.section(MAP_PID, &map(&[], &[(kind, AUDIO_PID, &[])]));
        writer.elementary(AUDIO_PID, 0xc0, 9000, None, frame);
        let track = facts(&writer.bytes).tracks.remove(0);
        assert_eq!(track.kind, TrackKind::Audio(Audio { channels, sample_rate }), "{frame:x?}");
        assert_eq!(track.codec, codec, "{frame:x?}");
    }
}

#[test]
fn a_stream_without_tables_is_of_no_use() {
    let mut writer = Writer::new(false);
    for _ in 0..10_000 {
        writer.packet(VIDEO_PID, false, None, &[0; 184]);
    }
    let (found, reads) = inspect(&writer.bytes);
    assert!(matches!(found, Err(Fault::Broken(_))), "{found:?}");
    assert!(reads.iter().all(|range| range.end <= TS_HEAD_BYTES_MAX), "{reads:?}");
}

/// Where a search for a time ends, and how many reads it took.
fn find(file: &[u8], facts: &Facts, time: Duration) -> (Result<Found, Fault>, usize) {
    let read = |range: std::ops::Range<u64>| file[range.start as usize..range.end as usize].to_vec();
    let (found, reads) = seek(facts, file.len() as u64, time, read).unwrap();
    (found, reads.len())
}

#[test]
fn a_time_is_found_in_a_few_reads() {
    let film = Film { frames: 5000, first: PERIOD - 2500 * 3600, frame_bytes: 3000, is_timed: true };
    let file = film.write();
    let facts = facts(&file);
    for seconds in [0, 1, 17, 18, 19, 20, 21, 99, 100, 101, 150, 198, 199, 5000] {
        let time = Duration::from_secs(seconds);
        let (Ok(Found { point, .. }), reads) = find(&file, &facts, time) else {
            panic!("{seconds} s isn't found")
        };
        assert!(reads <= 9, "{reads} reads for {seconds} s");
        let goal = time.min(facts.duration.unwrap());
        let found = Duration::from_micros(point.micros);
        // A second, or 256 KiB of quiet pictures.
        assert!(found <= goal && goal - found < Duration::from_secs(4), "{found:?} for {goal:?}");
        // The packet there is shown then.
        let at = point.offset as usize;
        let header = elementary::header(Packets::new(&file[at..], 0, Stride::Timed).next().unwrap().payload);
        let Some(shown) = header.and_then(|header| header.shown) else { panic!("no time at {at}") };
        assert_eq!(micros(shown.since(ticks::Ticks::new(film.first))), point.micros);
    }
}

#[test]
fn a_search_ends_where_the_clock_is_set_anew() {
    let (a, c) = (Film { frames: 900, ..SHORT }, Film { frames: 900, first: 126_000 + 1800 * 3600, ..SHORT });
    let strange = Film { frames: 900, first: PERIOD / 3, ..SHORT };
    let file = [a.write(), strange.write(), c.write()].concat();
    let facts = facts(&file);
    assert_eq!(facts.duration.unwrap().as_secs(), 107);
    for seconds in 0..110 {
        let (found, reads) = find(&file, &facts, Duration::from_secs(seconds));
        assert!(reads <= 24 && found.is_ok(), "{found:?} in {reads} for {seconds} s");
    }
}

#[test]
fn a_key_frame_that_is_marked_is_found() {
    let film = Film { frames: 3000, frame_bytes: 3000, ..SHORT };
    let mut file = film.write();
    let facts = facts(&file);
    // Every fifth second is marked.
    let packets =
        Packets::new(&file, 0, Stride::Plain).filter(|packet| packet.pid == VIDEO_PID && packet.is_start);
    let marked: Vec<usize> = packets.step_by(125).map(|packet| packet.offset as usize).collect();
    for &at in &marked {
        assert_eq!(file[at + 3] & 0x20, 0x20, "it has a clock");
        file[at + 5] |= 0x40;
    }
    for seconds in [0, 3, 27, 62, 99, 119] {
        let (found, reads) = find(&file, &facts, Duration::from_millis(seconds * 1000 + 500));
        let found = found.unwrap();
        let expected = marked[seconds as usize / 5] as u64;
        assert_eq!((found.point.offset, found.is_key_frame), (expected, true), "{seconds} s");
        assert!(reads <= 12, "{reads} reads for {seconds} s");
    }
}

#[test]
fn an_end_that_cant_be_had_leaves_the_tracks_without_a_length() {
    let file = Film { frames: 1000, ..SHORT }.write();
    let length = file.len() as u64;
    let found = inspect_without(&file, length - 1..length).unwrap();
    assert_eq!((found.duration, &found.tracks), (None, &facts(&file).tracks));
    assert_eq!(inspect_without(&file, 0..1), Err(Fault::Unreadable));
}

#[test]
fn what_cant_be_searched_is_not() {
    let file = SHORT.write();
    let known = facts(&file);
    let time = Duration::from_secs(1);
    assert!(Seek::new(&Facts { duration: None, ..known.clone() }, 1 << 20, time).is_none());
    assert!(Seek::new(&Facts { container: Container::Avi, ..known.clone() }, 1 << 20, time).is_none());
    let mut search = Seek::new(&known, 1 << 20, time).unwrap();
    search.cannot_read();
    assert_eq!(search.step(), Search::Failed(Fault::Unreadable));
    assert!(matches!(find(&vec![0; 1 << 20], &known, time), (Err(Fault::Broken(_)), _)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_streams_are_looked_into_and_searched_within_limits(
        changes in proptest::collection::vec((0usize..40_000, any::<u8>()), 0..60),
        cut in 1usize..40_000,
        is_timed: bool,
        seconds in 0u64..10,
    ) {
        let whole = Film { is_timed, frames: 20, ..SHORT }.write();
        let known = facts(&whole);
        let file = damaged(whole, &changes, cut);
        let (found, reads) = inspect(&file);
        prop_assert!(reads.len() <= 12);
        for facts in [Some(known), found.ok()].into_iter().flatten() {
            if Seek::new(&facts, file.len() as u64, Duration::ZERO).is_some() {
                let _ = find(&file, &facts, Duration::from_secs(seconds));
            }
        }
    }

    #[test]
    fn any_tables_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (tables::programs(&bytes), tables::program(&bytes, 1), elementary::header(&bytes));
        let mut writer = Writer::new(false);
        writer.section(0, &association(&[(1, MAP_PID)]));
        writer.section(MAP_PID, &section(2, &[&[0, 1, 0xc1, 0, 0][..], &bytes].concat()));
        writer.section(MAP_PID, &bytes);
        let _ = inspect(&writer.bytes);
    }
}

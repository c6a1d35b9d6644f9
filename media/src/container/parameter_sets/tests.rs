use proptest::prelude::*;

use super::*;

/// Writes bits in the standards' order.
#[derive(Default)]
pub(in super::super) struct Writer(Vec<bool>);

impl Writer {
    pub(in super::super) fn u(&mut self, count: u32, value: u64) -> &mut Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    /// Exp-Golomb codes, one after the other.
    pub(in super::super) fn ue<const N: usize>(&mut self, values: [u64; N]) -> &mut Self {
        for value in values {
            let bits = (value + 1).ilog2();
            self.u(bits, 0).u(bits + 1, value + 1);
        }
        self
    }

    pub(in super::super) fn bytes(&self) -> Vec<u8> {
        let byte =
            |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit)) << (8 - bits.len());
        self.0.chunks(8).map(byte).collect()
    }
}

/// A unit with the bytes that keep start codes out of it.
fn escaped(payload: &[u8]) -> Vec<u8> {
    let (mut unit, mut zeros) = (Vec::new(), 0);
    for &byte in payload {
        if zeros >= 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
    unit
}

/// Usability information: no aspect ratio, no overscan, a transfer characteristic, no places of colours.
fn signal_of(writer: &mut Writer, transfer: u64) {
    writer.u(2, 0).u(1, 1).u(4, 0b1010).u(1, 1).u(8, 9).u(8, transfer).u(8, 9).u(1, 0);
}

/// A unit of H.264: a picture of so many macroblocks, with that much cut off below, in frames or in fields, 30000/1001 a second.
pub(in super::super) fn avc_sps(columns: u64, rows: u64, below: u64, is_frames: bool) -> Vec<u8> {
    let mut set = Writer::default();
    set.u(8, 100).u(16, 40).ue([0, 1, 0, 0]).u(1, 0).u(1, 1);
    // Of eight scaling lists the second is there: it ends at its second number.
    set.u(1, 0).u(1, 1).ue([1]).ue([18]).u(6, 0);
    set.ue([0, 0, 4, 4]).u(1, 0).ue([columns - 1, rows - 1]).u(1, u64::from(is_frames));
    if !is_frames {
        set.u(1, 0);
    }
    set.u(1, 1).u(1, 1).ue([0, 0, 0, below]).u(1, 1);
    signal_of(&mut set, 1);
    set.u(1, 1).u(32, 1001).u(32, 60_000).u(1, 1).u(2, 0).u(2, 0).u(1, 1);
    escaped(&[&[0x67], &set.bytes()[..]].concat())
}

/// A unit of H.265: 3840 by 2160 of 2176 rows, with reference pictures told in three ways, 24000/1001 a second.
fn hevc_sps(transfer: u64) -> Vec<u8> {
    let mut set = Writer::default();
    // Two sub-layers, the first with a profile and a level of its own.
    set.u(4, 0).u(3, 1).u(1, 1).u(48, 0x0222_0000_0000).u(48, 150).u(2, 3).u(14, 0).u(48, 0).u(48, 90);
    set.ue([0, 1, 3840, 2176]).u(1, 1).ue([0, 0, 0, 8]).ue([2, 2, 4]);
    set.u(1, 1).ue([4, 2, 0]).ue([4, 2, 0]).ue([0, 3, 0, 3, 2, 2]);
    // Scaling lists: all as other ones but the first of 16 by 16.
    set.u(1, 1).u(1, 1);
    for list in 0..20 {
        if list == 12 {
            set.u(1, 1).ue([16; 65]);
        } else {
            set.u(1, 0).ue([0]);
        }
    }
    set.u(2, 3).u(1, 1).u(8, 0x77).ue([0, 2]).u(1, 0);
    // Sets of reference pictures: -1, -3, +2; one step before it: -2, -4, (+1), -1; and the one that follows from that.
    set.ue([3]).ue([2, 1]).ue([0]).u(1, 1).ue([1]).u(1, 1).ue([1]).u(1, 1);
    set.u(1, 1).u(1, 1).ue([0]).u(1, 1).u(1, 1).u(2, 0).u(1, 1);
    set.u(1, 1).u(1, 0).ue([0]).u(4, 0b1111);
    // One long-term picture, in 8 bits and a flag.
    set.u(1, 1).ue([1]).u(9, 0);
    set.u(2, 3).u(1, 1);
    signal_of(&mut set, transfer);
    set.u(3, 0).u(1, 1).ue([0, 0, 0, 8]).u(1, 1).u(32, 1001).u(32, 24_000).u(4, 0);
    escaped(&[&[0x42, 1], &set.bytes()[..]].concat())
}

pub(in super::super) fn stream(units: &[&[u8]]) -> Vec<u8> {
    units.iter().flat_map(|unit| [&[0, 0, 0, 1], *unit].concat()).collect()
}

/// A sequence header, and behind it an extension that adds bits to the size and halves the rate.
fn mpeg2_header(width: u64, height: u64) -> Vec<u8> {
    let mut header = Writer::default();
    header.u(32, 0x1b3).u(12, width & 0xfff).u(12, height & 0xfff).u(4, 3).u(4, 8).u(32, 0x1234_2000);
    header
        .u(32, 0x1b5)
        .u(4, 1)
        .u(11, 0x482)
        .u(2, width >> 12)
        .u(2, height >> 12)
        .u(22, 0x1000)
        .u(2, 0)
        .u(5, 1);
    header.u(32, 0x1b8).u(32, 0);
    header.bytes()
}

fn size(video: Option<Video>) -> Option<(u32, u32)> {
    video.map(|video| (video.width, video.height))
}

#[test]
fn a_picture_of_h264_is_as_large_as_what_isnt_cropped() {
    let frames = avc_stream(&stream(&[&[9, 0x10], &avc_sps(120, 68, 4, true), &[0x68, 1]])).unwrap();
    assert_eq!((frames.width, frames.height, frames.hdr), (1920, 1080, None));
    assert_eq!(frames.frame_rate, Some(30_000.0 / 1001.0));
    let fields = avc_stream(&stream(&[&avc_sps(120, 34, 2, false)]));
    assert_eq!(size(fields), Some((1920, 1080)));
}

#[test]
fn a_set_that_ends_early_still_says_how_large_its_pictures_are() {
    let whole = avc_sps(45, 36, 0, true);
    let read = |length: usize| avc_stream(&stream(&[&whole[..length]]));
    let enough = (1..whole.len()).find(|&length| read(length).is_some()).unwrap();
    assert!(enough + 8 < whole.len());
    for length in enough..whole.len() {
        assert_eq!(size(read(length)), Some((720, 576)), "{length}");
    }
    assert_eq!(read(enough).unwrap().frame_rate, None);
}

#[test]
fn h265_says_its_size_its_rate_and_its_brightness() {
    for (transfer, hdr) in [(1, None), (16, Some(Hdr::Hdr10)), (18, Some(Hdr::Hlg))] {
        let video = hevc_stream(&stream(&[&[0x40, 1, 0xc], &hevc_sps(transfer), &[0x44, 1]])).unwrap();
        assert_eq!((video.width, video.height, video.hdr), (3840, 2160, hdr));
        assert_eq!(video.frame_rate, Some(24_000.0 / 1001.0));
    }
}

#[test]
fn messages_make_pictures_hdr10_plus_if_they_are_bright_at_all() {
    let other = [&[137, 24][..], &[9; 24]].concat();
    let long = [&[5, 0xff, 1][..], &[7; 256]].concat();
    let dynamic = [4, 8, 0xb5, 0, 0x3c, 0, 1, 4, 1, 0x40];
    let message = |messages: &[&[u8]]| [&[0x4e, 1], &escaped(&messages.concat())[..], &[0x80]].concat();
    let hdr = |transfer, message: &[u8]| hevc_stream(&stream(&[&hevc_sps(transfer), message])).unwrap().hdr;
    assert_eq!(hdr(16, &message(&[&other, &long, &dynamic])), Some(Hdr::Hdr10Plus));
    assert_eq!(hdr(16, &message(&[&other, &long])), Some(Hdr::Hdr10));
    assert_eq!(hdr(16, &message(&[&dynamic[..6]])), Some(Hdr::Hdr10), "longer than its unit");
    assert_eq!(hdr(1, &message(&[&dynamic])), None);
}

#[test]
fn an_mpeg2_sequence_has_its_extension_added() {
    let video = mpeg2_stream(&mpeg2_header(4096 + 720, 576)).unwrap();
    assert_eq!((video.width, video.height, video.frame_rate), (4816, 576, Some(30.0)));
    let plain = mpeg2_stream(&mpeg2_header(720, 576)[..12]).unwrap();
    assert_eq!((plain.width, plain.height, plain.frame_rate), (720, 576, Some(60.0)));
    assert_eq!(mpeg2_stream(&mpeg2_header(0, 576)), None);
}

#[test]
fn a_second_extension_of_an_mpeg2_sequence_adds_nothing() {
    let mut many = mpeg2_header(720, 576);
    let extension = many[12..].to_vec();
    let once = mpeg2_stream(&many);
    // Each would halve the rate, until the numbers behind it run over.
    (0..100).for_each(|_| many.extend_from_slice(&extension));
    assert_eq!(mpeg2_stream(&many), once);
}

#[test]
fn configuration_records_carry_the_same_sets() {
    let sps = avc_sps(80, 45, 0, true);
    let length = |unit: &[u8]| (unit.len() as u16).to_be_bytes();
    let avcc = [&[1, 100, 0, 40, 0xff, 0xe1], &length(&sps)[..], &sps, &[1, 0, 1, 0x68]].concat();
    assert_eq!(size(avc_configuration(&avcc)), Some((1280, 720)));

    let (vps, sps) = ([0x40, 1, 7], hevc_sps(16));
    let array = |kind: u8, unit: &[u8]| [&[0x80 | kind, 0, 1], &length(unit)[..], unit].concat();
    let hvcc = [&[1; 22][..], &[2], &array(32, &vps), &array(33, &sps)].concat();
    assert_eq!(size(hevc_configuration(&hvcc)), Some((3840, 2160)));
    assert_eq!((avc_configuration(&[1; 5]), hevc_configuration(&[1; 23])), (None, None));
}

#[test]
fn sizes_that_no_picture_has_are_refused() {
    assert_eq!(avc_stream(&stream(&[&avc_sps(2, 1, 8, true)])), None, "nothing is left of it");
    assert_eq!(avc_stream(&stream(&[&avc_sps(4000, 68, 0, true)])), None);
    assert_eq!(avc_stream(&stream(&[&avc_sps(1 << 31, 1 << 31, 0, false)])), None);
}

fn all(bytes: &[u8]) -> [Option<Video>; 5] {
    [avc_stream, hevc_stream, mpeg2_stream, avc_configuration, hevc_configuration].map(|read| read(bytes))
}

fn check(bytes: &[u8]) {
    for video in all(bytes).into_iter().flatten() {
        let sides = 1..=PICTURE_SIDE_MAX;
        assert!(sides.contains(&video.width) && sides.contains(&video.height));
        assert!(video.frame_rate.is_none_or(|rate| rate > 0.0 && rate <= FRAME_RATE_MAX));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_within_limits(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
        check(&stream(&[&[&[0x67], &bytes[..]].concat()]));
        check(&stream(&[&[&[0x42, 1], &bytes[..]].concat()]));
        check(&[&[0, 0, 1, 0xb3], &bytes[..]].concat());
    }

    #[test]
    fn damaged_sets_are_read_within_limits(at in 0usize..400, value: u8, is_hevc: bool) {
        let mut unit = if is_hevc { hevc_sps(16) } else { avc_sps(120, 68, 4, true) };
        let at = at % unit.len();
        unit[at] = value;
        check(&stream(&[&unit]));
    }
}

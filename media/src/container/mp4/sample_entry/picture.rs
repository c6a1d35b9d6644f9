//! Visual sample entries (ISO 14496-12 section 12.1.3, 14496-15; QuickTime's image descriptions).

use super::super::super::facts::{Codec, Hdr, TrackKind, Video};
use super::super::boxes::{Boxes, Fields};
use super::{Raw, SampleEntry, other};

/// A visual sample entry's fields before its boxes.
const FIELDS_BYTES: usize = 78;

/// Transfer characteristics (ISO 23091-2) of brighter pictures.
const PQ: u16 = 16;
const HLG: u16 = 18;

pub(super) fn read(raw: &Raw) -> SampleEntry {
    let (width, height) = size(raw).unwrap_or_default();
    let video = Video { width: width.into(), height: height.into(), hdr: hdr(raw), frame_rate: None };
    SampleEntry { codec: codec(raw), kind: TrackKind::Video(video), is_forced: false }
}

fn size(raw: &Raw) -> Option<(u16, u16)> {
    let mut fields = Fields(raw.content);
    fields.skip(24)?;
    Some((fields.u16()?, fields.u16()?))
}

fn codec(raw: &Raw) -> Codec {
    match &raw.original(FIELDS_BYTES) {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" | b"dva1" | b"dvav" | b"ai12" | b"ai15" => Codec::Avc,
        b"hvc1" | b"hev1" | b"hvc2" | b"hev2" | b"dvh1" | b"dvhe" => Codec::Hevc,
        b"av01" | b"dav1" => Codec::Av1,
        b"vp08" => Codec::Vp8,
        b"vp09" => Codec::Vp9,
        b"vc-1" => Codec::Vc1,
        b"jpeg" | b"mjpg" | b"MJPG" | b"mjpa" | b"mjpb" | b"AVDJ" | b"dmb1" => Codec::Mjpeg,
        b"m1v1" | b"m1v " | b"mpg1" => Codec::Mpeg1,
        b"m2v1" | b"mp2v" | b"mpg2" => Codec::Mpeg2,
        b"divx" | b"DIVX" | b"DX50" | b"xvid" | b"XVID" | b"3IV2" | b"FMP4" => Codec::Mpeg4,
        kind @ b"mp4v" => raw.descriptor(FIELDS_BYTES).map_or(Codec::Mpeg4, |found| found.codec(kind)),
        kind => other(kind),
    }
}

/// Dolby Vision has a base that is something else by itself, so it is what is said.
fn hdr(raw: &Raw) -> Option<Hdr> {
    let boxes = raw.boxes(FIELDS_BYTES);
    let is_dolby_vision = matches!(&raw.kind, b"dvh1" | b"dvhe" | b"dva1" | b"dvav" | b"dav1")
        || boxes.clone().any(|(kind, _)| matches!(&kind, b"dvcC" | b"dvvC" | b"dvwC"));
    if is_dolby_vision {
        return Some(Hdr::DolbyVision);
    }
    match transfer(boxes)? {
        PQ => Some(Hdr::Hdr10),
        HLG => Some(Hdr::Hlg),
        _ => None,
    }
}

/// How light follows from numbers: `colr` (section 12.1.5), or else what VP9 says of itself (`vpcC`).
fn transfer(boxes: Boxes) -> Option<u16> {
    let in_colr = boxes.clone().filter(|(kind, _)| kind == b"colr").find_map(|(_, content)| {
        let mut fields = Fields(content);
        let form: [u8; 4] = fields.array()?;
        fields.skip(2)?;
        let transfer = fields.u16()?;
        // What is not in numbers is a colour profile.
        matches!(&form, b"nclx" | b"nclc").then_some(transfer)
    });
    in_colr.or_else(|| {
        let mut fields = Fields(boxes.first(b"vpcC")?);
        fields.full()?;
        // Profile, level, depth, and the colours' primaries.
        fields.skip(4)?;
        fields.u8().map(u16::from)
    })
}

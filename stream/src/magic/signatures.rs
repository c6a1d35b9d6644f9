//! How files begin: the shapes of media that we know by name, and what is never media.

/// How a kind of media begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Matroska and WebM (RFC 8794: the EBML header's id).
    Ebml,
    /// MP4 and its kin (ISO 14496-12): a box that may come first.
    IsoBoxes,
    /// AVI, WAV or WebP: RIFF with this form (and RF64 for long WAVs).
    Riff(&'static [u8; 4]),
    /// MPEG transport stream (ISO 13818-1): a sync byte every 188 bytes, or 192 with time stamps.
    Transport,
    /// MPEG program stream or bare video (ISO 13818-1): a start code.
    Program,
    /// Ogg (RFC 3533).
    Ogg,
    /// FLAC (RFC 9639), after tags.
    Flac,
    /// MPEG audio and AAC in ADTS: sync bits, or a tag that says so.
    MpegAudio,
    /// ASF, Windows media.
    Asf,
    /// Flash video.
    Flash,
    /// RealMedia.
    Real,
    /// Dolby's (A/52).
    Ac3,
    /// AIFF.
    Aiff,
    /// Text, in UTF-8, UTF-16 or what subtitles have always been in.
    Text,
    /// WebVTT (its own signature).
    WebVtt,
    /// One of these bytes at the very begin.
    Bytes(&'static [&'static [u8]]),
}

impl Shape {
    /// The shapes that players play.
    pub(super) const MEDIA: [Shape; 14] = [
        Shape::Ebml,
        Shape::IsoBoxes,
        Shape::Riff(b"AVI "),
        Shape::Riff(b"WAVE"),
        Shape::Transport,
        Shape::Program,
        Shape::Ogg,
        Shape::Flac,
        Shape::MpegAudio,
        Shape::Asf,
        Shape::Flash,
        Shape::Real,
        Shape::Ac3,
        Shape::Aiff,
    ];

    /// Whether `head` begins so.
    pub(super) fn fits(self, head: &[u8]) -> bool {
        match self {
            Shape::Ebml => head.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]),
            Shape::IsoBoxes => is_iso(head),
            Shape::Riff(form) => is_riff(head, form),
            Shape::Transport => is_transport(head),
            Shape::Program => is_program(head),
            Shape::Ogg => head.starts_with(b"OggS"),
            Shape::Flac => head.starts_with(b"fLaC") || is_tagged(head),
            Shape::MpegAudio => is_mpeg_audio(head) || is_tagged(head),
            Shape::Asf => head.starts_with(&ASF),
            Shape::Flash => head.starts_with(b"FLV\x01"),
            Shape::Real => head.starts_with(b".RMF"),
            Shape::Ac3 => head.starts_with(&[0x0B, 0x77]),
            Shape::Aiff => head.starts_with(b"FORM") && head.get(8..11) == Some(b"AIF"),
            Shape::Text => is_text(head) && Never::of(head).is_none(),
            Shape::WebVtt => head.strip_prefix(UTF8_MARK).unwrap_or(head).starts_with(b"WEBVTT"),
            Shape::Bytes(all) => all.iter().any(|bytes| head.starts_with(bytes)),
        }
    }
}

/// What a file with this extension (lower case) may begin like; `None` where nothing is known. What muxers and people confuse without
/// harm is allowed.
pub(super) fn shapes_of(extension: &str) -> Option<&'static [Shape]> {
    use Shape::{
        Ac3, Aiff, Asf, Bytes, Ebml, Flac, Flash, IsoBoxes, MpegAudio, Ogg, Program, Real, Riff, Text,
        Transport, WebVtt,
    };
    Some(match extension {
        "mkv" | "mk3d" | "mka" | "webm" => &[Ebml],
        "mp4" | "m4v" | "m4a" | "m4b" | "mov" | "qt" | "3gp" | "3g2" | "f4v" | "m4s" => &[IsoBoxes],
        "avi" | "divx" => &[Riff(b"AVI ")],
        "ts" | "m2ts" | "mts" | "m2t" => &[Transport],
        "mpg" | "mpeg" | "mpe" | "m2v" | "vob" => &[Program, Transport],
        "wmv" | "asf" | "wma" => &[Asf],
        "flv" => &[Flash, IsoBoxes],
        "rm" | "rmvb" => &[Real],
        "ogv" | "ogm" | "ogg" | "oga" | "opus" => &[Ogg],
        "mp3" => &[MpegAudio, Riff(b"WAVE")],
        "aac" => &[MpegAudio, IsoBoxes],
        "flac" => &[Flac, Ogg],
        "wav" => &[Riff(b"WAVE")],
        "ac3" | "eac3" => &[Ac3],
        "aif" | "aiff" => &[Aiff],
        "srt" | "ass" | "ssa" => &[Text],
        "vtt" => &[WebVtt],
        "jpg" | "jpeg" => &[Bytes(&[&[0xFF, 0xD8, 0xFF]])],
        "png" => &[Bytes(&[b"\x89PNG\r\n\x1A\n"])],
        "gif" => &[Bytes(&[b"GIF87a", b"GIF89a"])],
        "webp" => &[Riff(b"WEBP")],
        "bmp" => &[Bytes(&[b"BM"])],
        "avif" => &[IsoBoxes],
        _ => return None,
    })
}

/// What no media begins like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Never {
    Executable,
    Script,
    Archive,
    Document,
}

impl Never {
    /// What `head` is, if it's one of those.
    pub(super) fn of(head: &[u8]) -> Option<Never> {
        const SIGNATURES: [(&[u8], Never); 24] = [
            (b"MZ", Never::Executable),
            (b"\x7FELF", Never::Executable),
            // Mach-O, both widths and byte orders, and the universal one, which is Java's class files' too.
            (&[0xFE, 0xED, 0xFA, 0xCE], Never::Executable),
            (&[0xFE, 0xED, 0xFA, 0xCF], Never::Executable),
            (&[0xCE, 0xFA, 0xED, 0xFE], Never::Executable),
            (&[0xCF, 0xFA, 0xED, 0xFE], Never::Executable),
            (&[0xCA, 0xFE, 0xBA, 0xBE], Never::Executable),
            // A shortcut of Windows.
            (&[0x4C, 0, 0, 0, 0x01, 0x14, 0x02], Never::Executable),
            // Installers and old office files: OLE.
            (&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], Never::Document),
            (b"#!", Never::Script),
            (b"PK\x03\x04", Never::Archive),
            (b"PK\x05\x06", Never::Archive),
            (b"Rar!\x1A\x07", Never::Archive),
            (b"7z\xBC\xAF\x27\x1C", Never::Archive),
            (&[0x1F, 0x8B], Never::Archive),
            (b"BZh", Never::Archive),
            (b"\xFD7zXZ\0", Never::Archive),
            (&[0x28, 0xB5, 0x2F, 0xFD], Never::Archive),
            (b"MSCF", Never::Archive),
            (b"%PDF", Never::Document),
            (b"{\\rtf", Never::Document),
            (b"d8:announce", Never::Document),
            (b"[InternetShortcut]", Never::Executable),
            (b"Windows Registry Editor", Never::Script),
        ];
        let known = SIGNATURES.iter().find(|(bytes, _)| head.starts_with(bytes)).map(|&(_, never)| never);
        known.or_else(|| markup(head))
    }
}

/// Web pages and what else runs in a browser or a script host, after marks and blanks.
fn markup(head: &[u8]) -> Option<Never> {
    const PAGES: [&str; 6] = ["<!doctype", "<html", "<head", "<body", "<svg", "<?xml"];
    const SCRIPTS: [&str; 4] = ["<script", "<?php", "<job", "@echo off"];
    let text = head.strip_prefix(UTF8_MARK).unwrap_or(head).trim_ascii_start();
    let begins =
        |word: &&str| text.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word.as_bytes()));
    if SCRIPTS.iter().any(begins) {
        Some(Never::Script)
    } else {
        PAGES.iter().any(begins).then_some(Never::Document)
    }
}

const UTF8_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// The header object's GUID.
const ASF: [u8; 16] =
    [0x30, 0x26, 0xB2, 0x75, 0x8E, 0x66, 0xCF, 0x11, 0xA6, 0xD9, 0x00, 0xAA, 0x00, 0x62, 0xCE, 0x6C];

/// Objects of an ASF header that ask for a licence: content encryption, its extension, and digital signature's company.
const ASF_DRM: [[u8; 16]; 2] = [
    [0xFB, 0xB3, 0x11, 0x22, 0x23, 0xBD, 0xD2, 0x11, 0xB4, 0xB7, 0x00, 0xA0, 0xC9, 0x55, 0xFC, 0x6E],
    [0x14, 0xE6, 0x8A, 0x29, 0x22, 0x26, 0x17, 0x4C, 0xB9, 0x35, 0xDA, 0xE0, 0x7E, 0xE9, 0x28, 0x9C],
];

/// Bytes of the ASF header object before its first member.
const ASF_HEADER_BYTES: usize = 30;

/// Whether an ASF header has an object that asks for a licence. Walks from object to object as far as the head goes.
pub(super) fn has_drm(head: &[u8]) -> bool {
    if !head.starts_with(&ASF) {
        return false;
    }
    let mut rest = head.get(ASF_HEADER_BYTES..).unwrap_or_default();
    while let Some((id, after)) = rest.split_first_chunk::<16>()
        && let Some((length, _)) = after.split_first_chunk::<8>()
    {
        if ASF_DRM.contains(id) {
            return true;
        }
        // Never less than its own head: the walk always ends.
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX).max(24);
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

fn is_iso(head: &[u8]) -> bool {
    const FIRST: [&[u8; 4]; 12] = [
        b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid", b"sidx", b"moof",
        b"emsg",
    ];
    let Some((length, rest)) = head.split_first_chunk::<4>() else { return false };
    let Some(kind) = rest.first_chunk::<4>() else { return false };
    // 0 lasts to the end of the file, 1 says that a longer length follows.
    FIRST.contains(&kind) && matches!(u32::from_be_bytes(*length), 0 | 1 | 8..)
}

fn is_riff(head: &[u8], form: &[u8; 4]) -> bool {
    let outer = head.starts_with(b"RIFF") || (form == b"WAVE" && head.starts_with(b"RF64"));
    outer && head.get(8..12) == Some(form)
}

/// Three sync bytes in a row, a packet apart, wherever the first is: a recording may begin within a packet. A file too short for
/// that has as many as there are, from its begin on.
fn is_transport(head: &[u8]) -> bool {
    const SYNC: u8 = 0x47;
    const PACKETS: [usize; 3] = [188, 192, 204];
    let synced = |first: usize, packet: usize| {
        head.iter().skip(first).step_by(packet).take(3).all(|&byte| byte == SYNC)
    };
    let fits =
        |packet: usize| (0..packet).any(|first| head.len() > first + packet * 2 && synced(first, packet));
    let is_short = (PACKETS[0]..PACKETS[0] * 3).contains(&head.len());
    PACKETS.into_iter().any(fits) || (is_short && (synced(0, 188) || synced(4, 192)))
}

fn is_program(head: &[u8]) -> bool {
    // A pack, a sequence, a system header, a group, or a stream's packet.
    matches!(head, [0, 0, 1, 0xB0..=0xEF, ..] | [0, 0, 0, 1, ..])
}

fn is_mpeg_audio(head: &[u8]) -> bool {
    match head {
        // Eleven sync bits; a layer or AAC's 0; no bad rate.
        // The mark of UTF-16 text, which would be sound of a kind that nobody makes.
        [0xFF, 0xFE, ..] => false,
        [0xFF, second, third, ..] => second & 0xE0 == 0xE0 && second & 0x18 != 0x08 && third >> 4 != 0xF,
        _ => head.starts_with(b"ADIF"),
    }
}

/// A tag before the sound (ID3v2 or APE): what comes after it may lie beyond the head.
fn is_tagged(head: &[u8]) -> bool {
    matches!(head, [b'I', b'D', b'3', major, revision, ..] if *major < 0xFF && *revision < 0xFF)
        || head.starts_with(b"APETAGEX")
}

/// Text has no control bytes but blanks; in UTF-16 every letter has two bytes, and the mark says in which order.
fn is_text(head: &[u8]) -> bool {
    let fine = |unit: u16| unit >= 0x20 || matches!(unit, 0x09 | 0x0A | 0x0C | 0x0D | 0x1A);
    let wide = |read: fn([u8; 2]) -> u16| head.chunks_exact(2).all(|pair| fine(read([pair[0], pair[1]])));
    match head {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        _ => head.iter().all(|&byte| fine(u16::from(byte))),
    }
}

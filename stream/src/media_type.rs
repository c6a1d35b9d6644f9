//! What a file is, by its name: media type, purpose, and whether a browser may show it.
//!
//! The bytes may say otherwise; that is for `media` to find out. The spellings are those that players and browsers know
//! best, which is not always what IANA has (`video/x-matroska`).

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Moving pictures.
    Video,
    /// Sound.
    Audio,
    /// Text or pictures shown over a video.
    Subtitle,
    /// A still picture.
    Image,
    /// Something to read.
    Text,
    /// A container of other files, never unpacked here.
    Archive,
    /// Something that runs, or makes something run.
    Executable,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind's name as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Video => "video",
            Kind::Audio => "audio",
            Kind::Subtitle => "subtitle",
            Kind::Image => "image",
            Kind::Text => "text",
            Kind::Archive => "archive",
            Kind::Executable => "executable",
            Kind::Other => "other",
        }
    }
}

/// A file's media type and what it may do in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// The media type by the file's extension.
    pub mime: &'static str,
    /// What the file is for.
    pub kind: Kind,
    /// Whether a browser may show it: media, subtitles and images that hold nothing but pixels. All else is served as an attachment
    /// of unknown type.
    pub inline: bool,
}

impl MediaType {
    /// A playlist that we wrote. One of a torrent's files isn't shown: what it names is a stranger's choice. Under the type of HLS,
    /// which looks the same, VLC takes it for HLS and plays nothing.
    pub const PLAYLIST: MediaType = MediaType { mime: "audio/x-mpegurl", kind: Kind::Other, inline: true };

    /// The `Content-Type` it is served with: what may not be shown doesn't get to say what it is.
    pub fn content_type(&self) -> &'static str {
        if self.inline { self.mime } else { OCTETS }
    }
}

/// Bytes of unknown meaning.
pub const OCTETS: &str = "application/octet-stream";

/// The type of the file called `name` (a name or a path; case doesn't matter).
pub fn media_type(name: &str) -> MediaType {
    let extension = extension(name);
    let (mime, kind) = by_extension(&extension);
    let inline = match kind {
        // A subtitle in pictures is bytes to a browser, and harmless. Only players and text tracks read the others.
        Kind::Video | Kind::Audio | Kind::Subtitle => true,
        // A drawing in SVG may have scripts in it.
        Kind::Image => extension != "svg",
        Kind::Text | Kind::Archive | Kind::Executable | Kind::Other => false,
    };
    MediaType { mime, kind, inline }
}

/// The last extension of a name in lower case, without its dot; empty when there is none. Blanks and dots at the end don't count,
/// since Windows drops them.
pub(crate) fn extension(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control());
    match name.rsplit_once('.') {
        Some((_, extension)) => extension.trim().to_ascii_lowercase(),
        None => String::new(),
    }
}

/// The table. Extensions of things that run are in `verdict`'s words a trap or a warning; here they are one kind.
pub(crate) fn by_extension(extension: &str) -> (&'static str, Kind) {
    use Kind::{Archive, Audio, Executable, Image, Other, Subtitle, Text, Video};
    match extension {
        "mp4" | "m4v" => ("video/mp4", Video),
        "mkv" | "mk3d" => ("video/x-matroska", Video),
        "webm" => ("video/webm", Video),
        "ts" | "m2ts" | "mts" | "m2t" => ("video/mp2t", Video),
        "avi" | "divx" => ("video/x-msvideo", Video),
        "mov" | "qt" => ("video/quicktime", Video),
        "wmv" => ("video/x-ms-wmv", Video),
        "asf" => ("video/x-ms-asf", Video),
        "flv" | "f4v" => ("video/x-flv", Video),
        "mpg" | "mpeg" | "vob" | "m2v" | "mpe" => ("video/mpeg", Video),
        "ogv" | "ogm" => ("video/ogg", Video),
        "3gp" => ("video/3gpp", Video),
        "3g2" => ("video/3gpp2", Video),
        "rm" | "rmvb" => ("application/vnd.rn-realmedia", Video),
        "m4s" => ("video/iso.segment", Video),
        "mp3" => ("audio/mpeg", Audio),
        "m4a" | "m4b" => ("audio/mp4", Audio),
        "aac" => ("audio/aac", Audio),
        "flac" => ("audio/flac", Audio),
        "mka" => ("audio/x-matroska", Audio),
        "ogg" | "oga" | "opus" => ("audio/ogg", Audio),
        "wav" => ("audio/wav", Audio),
        "wma" => ("audio/x-ms-wma", Audio),
        "ac3" => ("audio/ac3", Audio),
        "eac3" => ("audio/eac3", Audio),
        "dts" => ("audio/vnd.dts", Audio),
        "aif" | "aiff" => ("audio/aiff", Audio),
        "ape" | "wv" | "alac" | "tta" => (OCTETS, Audio),
        "srt" => ("application/x-subrip; charset=utf-8", Subtitle),
        "vtt" => ("text/vtt; charset=utf-8", Subtitle),
        "ass" | "ssa" => ("text/x-ssa; charset=utf-8", Subtitle),
        "sub" | "idx" | "sup" => (OCTETS, Subtitle),
        "jpg" | "jpeg" => ("image/jpeg", Image),
        "png" => ("image/png", Image),
        "gif" => ("image/gif", Image),
        "webp" => ("image/webp", Image),
        "avif" => ("image/avif", Image),
        "bmp" => ("image/bmp", Image),
        "tif" | "tiff" => ("image/tiff", Image),
        "svg" => ("image/svg+xml", Image),
        "txt" | "nfo" | "md" | "log" | "sfv" | "md5" => ("text/plain; charset=utf-8", Text),
        "htm" | "html" => ("text/html; charset=utf-8", Text),
        "pdf" => ("application/pdf", Text),
        "epub" => ("application/epub+zip", Text),
        "zip" | "zipx" => ("application/zip", Archive),
        "rar" => ("application/vnd.rar", Archive),
        "7z" => ("application/x-7z-compressed", Archive),
        "gz" | "tgz" => ("application/gzip", Archive),
        "tar" => ("application/x-tar", Archive),
        "xz" | "bz2" | "zst" | "lzh" | "arj" | "cab" | "ace" | "001" => (OCTETS, Archive),
        "iso" | "img" | "nrg" | "mdf" => ("application/x-iso9660-image", Archive),
        extension if is_rar_volume(extension) => ("application/vnd.rar", Archive),
        extension if crate::verdict::runs(extension) => (OCTETS, Executable),
        "m3u8" => ("application/vnd.apple.mpegurl", Other),
        "torrent" => ("application/x-bittorrent", Other),
        _ => (OCTETS, Other),
    }
}

/// `r00` to `r99`: the later volumes of an old-style set.
fn is_rar_volume(extension: &str) -> bool {
    matches!(extension.as_bytes(), [b'r', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_get_the_spelling_players_know() {
        for (name, mime) in [
            ("a.mp4", "video/mp4"),
            ("a.m4v", "video/mp4"),
            ("a.mkv", "video/x-matroska"),
            ("a.webm", "video/webm"),
            ("a.ts", "video/mp2t"),
            ("a.m2ts", "video/mp2t"),
            ("a.mts", "video/mp2t"),
            ("a.avi", "video/x-msvideo"),
            ("a.mov", "video/quicktime"),
            ("a.wmv", "video/x-ms-wmv"),
            ("a.flv", "video/x-flv"),
            ("a.mpg", "video/mpeg"),
            ("a.vob", "video/mpeg"),
            ("a.ogv", "video/ogg"),
            ("a.mp3", "audio/mpeg"),
            ("a.m4a", "audio/mp4"),
            ("a.flac", "audio/flac"),
            ("a.mka", "audio/x-matroska"),
            ("a.opus", "audio/ogg"),
            ("a.srt", "application/x-subrip; charset=utf-8"),
            ("a.vtt", "text/vtt; charset=utf-8"),
            ("a.ass", "text/x-ssa; charset=utf-8"),
            ("a.idx", OCTETS),
            ("a.m4s", "video/iso.segment"),
            ("a.jpg", "image/jpeg"),
            ("a.PNG", "image/png"),
            ("a.gif", "image/gif"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
        ] {
            let media_type = media_type(name);
            assert_eq!(media_type.content_type(), mime, "{name}");
            assert!(media_type.inline, "{name}");
        }
    }

    #[test]
    fn what_is_not_media_is_never_shown_in_place() {
        for name in [
            "a.html",
            "a.htm",
            "a.xhtml",
            "a.xml",
            "a.svg",
            "a.svgz",
            "a.pdf",
            "a.js",
            "a.css",
            "a.json",
            "a.exe",
            "a.zip",
            "a.nfo",
            "a.txt",
            "a.m3u8",
            "a.m3u",
            "a.pls",
            "a.torrent",
            "a.swf",
            "a",
            "mkv",
            ".mkv.",
            "a.mkv.html",
            "a.jpg.svg",
        ] {
            let media_type = media_type(name);
            let expected = name == ".mkv.";
            assert_eq!(media_type.inline, expected, "{name}");
            assert_eq!(media_type.content_type() == OCTETS, !expected, "{name}");
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        for (name, kind) in [
            ("Film.MKV", Kind::Video),
            ("b/c.Flac", Kind::Audio),
            ("x.en.srt", Kind::Subtitle),
            ("cover.JPG", Kind::Image),
            ("read.nfo", Kind::Text),
            ("x.r07", Kind::Archive),
            ("setup.exe", Kind::Executable),
            ("x.rxx", Kind::Other),
            ("no extension", Kind::Other),
            ("folder.mkv/file", Kind::Other),
        ] {
            assert_eq!(media_type(name).kind, kind, "{name}");
        }
    }
}

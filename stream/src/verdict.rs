//! Whether a file of a torrent looks like a trap, by its path alone.
//!
//! For paths of files, never for a torrent's title: titles end in things like `MkvCage.com`. Not here: what the first
//! bytes say, and what is done about it.

use crate::media_type::{Kind, by_extension, extension};

/// What to think of a file before anybody opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to say.
    Ok,
    /// Don't select it by itself, and say so.
    Warn,
    /// A trap: not served without an explicit wish.
    Block,
}

impl Verdict {
    /// The verdict's name as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Block => "block",
        }
    }
}

/// Extensions that a click runs on common desktops and that no honest release carries.
const TRAPS: [&str; 15] =
    ["exe", "scr", "lnk", "ps1", "vbs", "vbe", "bat", "cmd", "com", "pif", "msi", "hta", "js", "jse", "wsf"];

/// Extensions that run something, and that honest releases of software do carry.
const RUNNABLE: [&str; 18] = [
    "msp", "cpl", "dll", "scf", "inf", "reg", "jar", "apk", "app", "dmg", "pkg", "appimage", "sh", "run",
    "desktop", "chm", "url", "deb",
];

/// Archives that releases don't use and droppers do, and disc images, which a double click mounts.
const UNUSUAL: [&str; 7] = ["zipx", "arj", "lzh", "ace", "cab", "iso", "img"];

/// Judges a file by its path.
pub fn verdict(path: &str) -> Verdict {
    if path.chars().any(turns_text) {
        return Verdict::Block;
    }
    let last = extension(path);
    let disguised = runs(&last) || by_extension(&last).1 == Kind::Archive;
    if traps(&last) || (disguised && names_media_before(path, &last)) {
        return Verdict::Block;
    }
    if runs(&last) || UNUSUAL.contains(&last.as_str()) || path.chars().any(char::is_control) {
        return Verdict::Warn;
    }
    Verdict::Ok
}

/// Whether a file with this extension (lower case) runs, or makes something run.
pub(crate) fn runs(extension: &str) -> bool {
    traps(extension) || RUNNABLE.contains(&extension)
}

fn traps(extension: &str) -> bool {
    TRAPS.contains(&extension)
}

/// Characters that change the direction of text, so that `exe.4pm` can be shown backwards.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether another extension, one of media, stands before the last one: `film.mkv.lnk`, `film.mp4      .exe`.
fn names_media_before(path: &str, last: &str) -> bool {
    let name = path.trim_end_matches(|c: char| c == '.' || c.is_whitespace() || c.is_control());
    let Some(cut) = name.len().checked_sub(last.len()).filter(|&cut| name.is_char_boundary(cut)) else {
        return false;
    };
    matches!(by_extension(&extension(&name[..cut])).1, Kind::Video | Kind::Audio | Kind::Subtitle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_and_what_comes_with_them_are_fine() {
        for path in [
            "Film (2020)/Film.2020.1080p.mkv",
            "Film.en.srt",
            "cover.jpg",
            "release.nfo",
            "part.r00",
            "part.rar",
            "backup.zip",
            "Name.with.com.in.it.mp4",
            "日本語.mkv",
            "",
        ] {
            assert_eq!(verdict(path), Verdict::Ok, "{path}");
        }
    }

    #[test]
    fn what_runs_on_a_click_is_blocked() {
        for path in [
            "Film.exe",
            "a/b.SCR",
            "x.lnk",
            "x.ps1",
            "x.vbs",
            "x.bat",
            "x.cmd",
            "x.com",
            "x.pif",
            "x.msi",
            "x.hta",
            "x.js",
            "x.jse",
            "x.wsf",
            "x.exe ",
            "x.exe.",
            "x.exe\u{a0}",
        ] {
            assert_eq!(verdict(path), Verdict::Block, "{path}");
        }
    }

    #[test]
    fn what_software_carries_is_a_warning() {
        for path in [
            "lib.dll",
            "x.jar",
            "x.apk",
            "x.dmg",
            "install.sh",
            "x.AppImage",
            "film.iso",
            "x.zipx",
            "a\u{7}b.mkv",
        ] {
            assert_eq!(verdict(path), Verdict::Warn, "{path}");
        }
    }

    #[test]
    fn a_media_extension_before_another_is_a_disguise() {
        for path in [
            "MOVIE.mkv.lnk",
            "MOVIE.mp4                                   .sh",
            "MOVIE.avi\u{a0}\u{a0}\u{a0}.zipx",
            "song.mp3.rar",
            "Film.mkv.jar",
        ] {
            assert_eq!(verdict(path), Verdict::Block, "{path}");
        }
    }

    #[test]
    fn turned_text_is_blocked_anywhere_in_a_path() {
        for path in ["Film\u{202E}vkm.exe", "dir\u{2066}/film.mkv", "film\u{200F}.mkv"] {
            assert_eq!(verdict(path), Verdict::Block, "{path:?}");
        }
    }
}

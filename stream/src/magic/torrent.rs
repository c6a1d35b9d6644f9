//! What a torrent looks like as a whole, by the paths and sizes of its files.

use crate::limits::{TORRENT_FILES_JUDGED, TORRENT_FILES_MANY};
use crate::media_type::{Kind, by_extension, extension};

/// A file as far as it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts<'a> {
    /// Its path in the torrent.
    pub path: &'a str,
    /// Its length in bytes.
    pub length: u64,
}

/// What is strange about a torrent. None of it is proof, so all of it only warns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TorrentWarning {
    /// An archive, and a file beside it that speaks of a password.
    PasswordArchive,
    /// A codec or player to be installed beside the film, as no release has.
    CodecToInstall,
    /// One volume of an archive that has more, and the others aren't here.
    LoneVolume,
    /// A disc image with a film's name.
    ImageAsFilm,
    /// It is named as a video, and has none.
    NoVideo,
    /// Far smaller or larger than the quality that its name claims.
    SizeAgainstQuality,
    /// More files than any release has.
    ManyFiles,
}

impl TorrentWarning {
    /// The code of the HTTP API; never changes.
    pub fn code(self) -> &'static str {
        match self {
            TorrentWarning::PasswordArchive => "password_archive",
            TorrentWarning::CodecToInstall => "codec_to_install",
            TorrentWarning::LoneVolume => "lone_volume",
            TorrentWarning::ImageAsFilm => "image_as_film",
            TorrentWarning::NoVideo => "no_video",
            TorrentWarning::SizeAgainstQuality => "size_against_quality",
            TorrentWarning::ManyFiles => "many_files",
        }
    }

    /// A sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            TorrentWarning::PasswordArchive => {
                "there is an archive with a password, as fakes have: don't pay or sign up for it"
            }
            TorrentWarning::CodecToInstall => {
                "there is a codec or player to be installed: films don't need one, don't run it"
            }
            TorrentWarning::LoneVolume => {
                "there is one part of an archive without the others: it can't be unpacked or played"
            }
            TorrentWarning::ImageAsFilm => "there is a disc image with a film's name: it can't be streamed",
            TorrentWarning::NoVideo => {
                "it is named as a video and has none: look at its files before you fetch them"
            }
            TorrentWarning::SizeAgainstQuality => {
                "its size doesn't fit the quality that its name claims: it may be another film"
            }
            TorrentWarning::ManyFiles => "it has more than 10,000 files: choose the one that you want",
        }
    }
}

/// Looks at the files of a torrent called `name`. Each warning comes once, in the order of the enum. Of very many files only the
/// first are looked at.
pub fn judge_torrent(name: &str, files: &[FileFacts<'_>]) -> Vec<TorrentWarning> {
    let judged: Vec<Judged> = files.iter().take(TORRENT_FILES_JUDGED).map(Judged::new).collect();
    let checks = [
        (TorrentWarning::PasswordArchive, has_password_archive(&judged)),
        (TorrentWarning::CodecToInstall, has_codec(&judged)),
        (TorrentWarning::LoneVolume, has_lone_volume(&judged)),
        (TorrentWarning::ImageAsFilm, judged.iter().any(Judged::is_image_as_film)),
        (TorrentWarning::NoVideo, is_without_video(name, &judged)),
        (TorrentWarning::SizeAgainstQuality, is_size_odd(name, &judged)),
        (TorrentWarning::ManyFiles, files.len() > TORRENT_FILES_MANY),
    ];
    checks.into_iter().filter(|(_, found)| *found).map(|(warning, _)| warning).collect()
}

/// A file with its name taken apart.
struct Judged {
    /// The name in lower case, without folders and extension.
    stem: String,
    extension: String,
    kind: Kind,
    length: u64,
}

impl Judged {
    fn new(file: &FileFacts<'_>) -> Judged {
        let extension = extension(file.path);
        let name = file.path.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem).to_owned();
        Judged { stem, kind: by_extension(&extension).1, extension, length: file.length }
    }

    fn is_image_as_film(&self) -> bool {
        matches!(self.extension.as_str(), "iso" | "img") && claims_video(&self.stem) && !is_disc(&self.stem)
    }
}

fn has_password_archive(files: &[Judged]) -> bool {
    let archive = files.iter().any(|file| file.kind == Kind::Archive);
    let words = ["password", "passwort", "contraseña", "mot de passe", "пароль"];
    let note = |file: &Judged| matches!(file.kind, Kind::Text | Kind::Image | Kind::Executable);
    archive && files.iter().any(|file| note(file) && words.iter().any(|word| file.stem.contains(word)))
}

/// A program that calls itself what a film needs, or any program beside a video with instructions.
fn has_codec(files: &[Judged]) -> bool {
    let words = ["codec", "player", "setup", "install"];
    let program = |file: &&Judged| file.kind == Kind::Executable;
    let video = files.iter().any(|file| file.kind == Kind::Video);
    let readme = |file: &Judged| {
        file.kind == Kind::Text
            && ["readme", "read me", "how to", "instructions"].iter().any(|word| file.stem.contains(word))
    };
    let named = files.iter().filter(program).any(|file| words.iter().any(|word| file.stem.contains(word)));
    let any = files.iter().any(|file| program(&file));
    (named && video) || (any && video && files.iter().any(readme))
}

/// `.001` without `.002`, `.r05` without `.r06` or `.rar`, `part1.rar` without `part2.rar`.
fn has_lone_volume(files: &[Judged]) -> bool {
    let volumes = files.iter().filter(|file| is_volume(file)).count();
    let first = |file: &&Judged| file.extension == "rar";
    volumes == 1 && files.iter().filter(|file| first(file) || is_volume(file)).count() == 1
}

fn is_volume(file: &Judged) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let part = file.stem.rsplit_once(".part").is_some_and(|(_, number)| digits(number));
    match file.extension.as_bytes() {
        b"rar" => part,
        [b'r', a, b] => a.is_ascii_digit() && b.is_ascii_digit(),
        [_, _, _] => file.extension == "001",
        _ => false,
    }
}

fn is_without_video(name: &str, files: &[Judged]) -> bool {
    let claims = claims_video(&name.to_lowercase()) || files.iter().any(|file| claims_video(&file.stem));
    let plays = |file: &Judged| matches!(file.kind, Kind::Video | Kind::Audio) || is_disc(&file.stem);
    // An archive with all its parts may hold it, and so may a disc.
    let holds = |file: &Judged| plays(file) || (file.kind == Kind::Archive && !file.is_image_as_film());
    !files.is_empty() && claims && !files.iter().any(holds)
}

/// What is claimed of the length of the picture, and bounds of bytes that no such film has: 2160p of two hours fits no GiB, and 480p
/// fills no 20.
fn is_size_odd(name: &str, files: &[Judged]) -> bool {
    const GIB: u64 = 1024 * 1024 * 1024;
    let name = name.to_lowercase();
    let is_episode = words(&name).any(is_episode);
    let videos = || files.iter().filter(|file| file.kind == Kind::Video);
    let Some(largest) = videos().map(|file| file.length).max() else { return false };
    let claims = |word: &str| words(&name).any(|part| part == word);
    let high = claims("2160p") || claims("4k") || claims("uhd");
    let low = claims("480p") || claims("360p");
    // An episode or a trailer may be short; a season has many.
    let feature = !is_episode && !claims("trailer") && !claims("sample") && !claims("clip");
    (high && feature && largest < GIB) || (low && videos().count() == 1 && largest > 20 * GIB)
}

/// Whether a name (lower case) says, in the words of releases, that it is a video.
fn claims_video(name: &str) -> bool {
    const CLAIMS: [&str; 21] = [
        "2160p", "1080p", "1080i", "720p", "576p", "480p", "x264", "x265", "h264", "h265", "hevc", "xvid",
        "divx", "bluray", "brrip", "bdrip", "webrip", "web-dl", "hdtv", "dvdrip", "hdrip",
    ];
    words(name).any(|word| CLAIMS.contains(&word) || is_episode(word)) || name.contains("web-dl")
}

/// A disc that was copied whole: its image is what it should be.
fn is_disc(name: &str) -> bool {
    words(name)
        .any(|word| matches!(word, "dvd5" | "dvd9" | "dvd" | "pal" | "ntsc" | "bd25" | "bd50" | "complete"))
}

/// `s01e02`.
fn is_episode(word: &str) -> bool {
    let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let parts = word.strip_prefix('s').and_then(|rest| rest.split_once('e'));
    parts.is_some_and(|(season, episode)| digits(season) && digits(episode))
}

fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty())
}

//! What browsers are told of a torrent's files: media, subtitles and images may be shown, and nothing else, whatever it is called.

use serde_json::Value;

use crate::daemon::Options;
use crate::film::{Film, film_bytes};
use crate::http::{Answer, Ask};

/// What is shown, and as what.
const SHOWN: [(&str, &str); 8] = [
    ("film.mkv", "video/x-matroska"),
    ("song.mp3", "audio/mpeg"),
    ("film.en.srt", "application/x-subrip; charset=utf-8"),
    ("film.en.vtt", "text/vtt; charset=utf-8"),
    ("cover.jpg", "image/jpeg"),
    ("cover.png", "image/png"),
    ("cover.webp", "image/webp"),
    ("film.sup", "application/octet-stream"),
];

/// What could run scripts, be a page, or lead elsewhere.
const KEPT: [&str; 17] = [
    "page.html",
    "page.htm",
    "page.xhtml",
    "page.mht",
    "cover.svg",
    "cover.svgz",
    "feed.xml",
    "style.xsl",
    "paper.pdf",
    "movie.swf",
    "data.json",
    "read.nfo",
    "read.txt",
    "list.m3u8",
    "list.m3u",
    "list.pls",
    "no extension",
];

/// A page that would tell, if it ran, and that is a picture, a feed and a style sheet as much.
const PAGE: &str =
    "<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

fn begins(answer: &Answer, name: &str, expected: &str) -> bool {
    answer.header(name).is_some_and(|value| value.starts_with(expected))
}

fn is_harmless(answer: &Answer, name: &str) {
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{name}");
    assert!(begins(answer, "content-security-policy", "sandbox"), "{name}");
}

#[test]
fn only_media_subtitles_and_images_are_shown_in_place() {
    let content = |name: &str| match name {
        "film.mkv" => film_bytes(1, 300_000),
        "song.mp3" => b"ID3\x04\0\0\0\0\0\0".repeat(100),
        "film.en.srt" => b"1\n00:00:01,000 --> 00:00:02,000\nHello\n".to_vec(),
        "film.en.vtt" => b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n".to_vec(),
        "cover.jpg" => b"\xFF\xD8\xFF\xE0".repeat(100),
        "cover.png" => b"\x89PNG\r\n\x1A\n".repeat(100),
        "cover.webp" => b"RIFF\0\x10\0\0WEBPVP8 ".repeat(100),
        "film.sup" => b"PG\0\0".repeat(100),
        _ => PAGE.as_bytes().to_vec(),
    };
    let names: Vec<&str> = SHOWN.iter().map(|(name, _)| *name).chain(KEPT).collect();
    let film =
        Film::folder("Everything", names.iter().map(|&name| (name.to_owned(), content(name))).collect());
    let seeder = film.seeder("127.0.12.1");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--ranges-per-second", "0"]).start();
    let anna = daemon.viewer("anna");
    anna.parse(&film);
    for (nth, &name) in names.iter().enumerate() {
        let shown = SHOWN.iter().find(|(shown, _)| *shown == name);
        let path = format!("/api/stream/{}?file={nth}", film.hash);
        let session: Value = anna.ask("GET", &path).header("Accept", "application/json").send().value();
        let url = session["url"].as_str().expect("a URL");
        // By its own URL, by the session's route, and a part of it.
        for answer in [Ask::get(url).send(), anna.get(&path), Ask::get(url).range(2, 5).send()] {
            assert!(matches!(answer.status, 200 | 206), "{name}: {}", answer.status);
            is_harmless(&answer, name);
            match shown {
                Some((_, media_type)) => {
                    assert_eq!(answer.header("content-type"), Some(*media_type), "{name}");
                    assert!(begins(&answer, "content-disposition", "inline;"), "{name}");
                }
                None => {
                    assert_eq!(answer.header("content-type"), Some("application/octet-stream"), "{name}");
                    assert!(begins(&answer, "content-disposition", "attachment;"), "{name}");
                }
            }
        }
        // In several parts it is no page either.
        let parts = Ask::get(url).header("Range", "bytes=0-1,4-5").send();
        is_harmless(&parts, name);
        assert!(begins(&parts, "content-type", "multipart/byteranges"), "{name}");
        let saved = Ask::get(&format!("{url}?download=1")).send();
        assert!(begins(&saved, "content-disposition", "attachment;"), "{name}");
        is_harmless(&saved, name);
        assert!(saved.bytes() == content(name), "{name} differs");
    }
    let session = anna.start(&film).value();
    let playlist = Ask::get(session["playlistUrl"].as_str().expect("a URL")).send();
    assert_eq!(playlist.header("content-type"), Some("audio/x-mpegurl"), "ours is one");
    assert!(playlist.bytes().starts_with(b"#EXTM3U"));
    daemon.end();
}

#[test]
fn a_page_with_a_films_name_is_blocked_or_given_as_a_film_and_nothing_else() {
    for (nth, policy) in [(2, "block"), (3, "warn")] {
        let film = Film::named("film.mp4", PAGE.repeat(100).into_bytes());
        let seeder = film.seeder(&format!("127.0.12.{nth}"));
        let daemon = Options::default().peers(&[&seeder]).arg(&["--content-policy", policy]).start();
        let anna = daemon.viewer("anna");
        let url = anna.watch(&film);
        if policy == "block" {
            anna.wait_status(&film, "blocked", |status| status["error"]["code"] == "blocked_content");
            assert_eq!(Ask::get(&url).send().status, 403);
        } else {
            let answer = Ask::get(&url).send();
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("video/mp4")));
            is_harmless(&answer, policy);
        }
        daemon.end();
    }
}

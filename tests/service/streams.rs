//! A stream as its player meets it: URLs, ranges, playlists, the words of its status in their order, seeks and pauses.

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options, Person};
use crate::film::{Film, MIB, film_bytes};
use crate::harness::{Scratch, wait_for};
use crate::http::Ask;
use crate::isolation::listen;
use crate::meeting::Meeting;
use crate::wire::Seeder;

/// What is fetched before a stream counts as ready.
const BUFFER: usize = MIB / 2;

/// The path of one of a film's routes.
fn place(film: &Film, what: &str) -> String {
    format!("/api/stream/{}{what}", film.hash)
}

fn seek(person: &Person, film: &Film, wish: &Value) -> Value {
    person.post(&place(film, "/seek"), wish).value()
}

#[test]
fn a_player_gets_the_bytes_that_it_asks_for() {
    let film = Film::new(1, 3 * MIB + 12_345);
    let seeder = film.seeder("127.0.4.1");
    // It opens the film again and again, which would be paced.
    let daemon = Options::default().peers(&[&seeder]).arg(&["--pace", "false"]).start();
    let anna = daemon.viewer("anna");
    let session = anna.stream(&film);
    assert_eq!((&session["infoHash"], &session["file"]), (&json!(film.hash), &json!(0)));
    let url = session["url"].as_str().expect("a URL");
    assert!(url.starts_with(&daemon.url("/stream/")) && url.ends_with("/film%201.mkv"), "{url}");
    assert_eq!(anna.start(&film).value()["sessionId"], session["sessionId"], "one per user and torrent");

    let (bytes, length) = (film.bytes(), film.bytes().len());
    for (range, part) in [
        ("bytes=0-0".to_owned(), 0..1),
        ("bytes=1000000-1199999".to_owned(), 1_000_000..1_200_000),
        (format!("bytes={}-", length - 1000), length - 1000..length),
        ("bytes=-500".to_owned(), length - 500..length),
        (format!("bytes={}-{}", length - 10, length + 10), length - 10..length),
    ] {
        let answer = Ask::get(url).header("Range", &range).send();
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (206, Some("video/x-matroska")),
            "{range}"
        );
        let told = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), Some(told.as_str()));
        assert!(answer.bytes() == bytes[part], "{range} differs");
    }
    let whole = Ask::get(url).send();
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    let etag = whole.header("etag").expect("a strong ETag").to_owned();
    assert!(whole.bytes() == bytes, "the film differs");

    let parts = Ask::get(url).header("Range", "bytes=0-99,2000000-2000099").send();
    assert_eq!(parts.status, 206);
    assert!(
        parts.header("content-type").is_some_and(|kind| kind.starts_with("multipart/byteranges; boundary="))
    );
    let parts = parts.bytes();
    for part in [0..100, 2_000_000..2_000_100] {
        assert!(parts.windows(100).any(|window| *window == bytes[part.clone()]), "{part:?} isn't in it");
    }
    let beyond = Ask::get(url).header("Range", &format!("bytes={length}-")).send();
    assert_eq!(beyond.header("content-range"), Some(format!("bytes */{length}").as_str()));
    assert_eq!(beyond.problem(), (416, "range_not_satisfiable".to_owned()));
    let same = |header: &str| Ask::get(url).range(0, 9).header(header, &etag).send().status;
    assert_eq!((same("If-Range"), same("If-None-Match"), same("If-Match")), (206, 304, 206));
    assert_eq!(Ask::get(url).range(0, 9).header("If-Range", "\"other\"").send().status, 200);
    assert_eq!(Ask::get(url).header("If-Match", "\"other\"").send().status, 412);
    assert_eq!(Ask::new("PUT", url).send().problem().0, 405);
    // The same by the API's own route, with the token in the header.
    let media = anna.ask("GET", &place(&film, "")).range(5, 104).send();
    assert_eq!(media.status, 206);
    assert!(media.bytes() == bytes[5..105]);
    daemon.end();
}

#[test]
fn a_look_at_the_head_fetches_nothing() {
    let film = Film::new(2, 8 * MIB);
    let seeder = film.seeder("127.0.4.2");
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_BUFFER_SIZE", "65536").start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    anna.wait_state(&film, "ready");
    // What is fetched ahead of a player, head and tail, isn't the looks'.
    let mut asked = 0;
    wait_for("what players read first is there", || {
        (std::mem::replace(&mut asked, seeder.asked()) == seeder.asked() && asked > 0).then_some(())
    });
    for _ in 0..20 {
        let head = Ask::new("HEAD", &url).send();
        assert_eq!(head.status, 200);
        assert_eq!(head.header("content-length"), Some((8 * MIB).to_string().as_str()));
        assert!(head.bytes().is_empty());
    }
    assert_eq!(seeder.asked(), asked);
    assert_eq!(anna.status(&film)["readers"], 0);
    daemon.end();
}

#[test]
fn only_the_url_that_was_given_opens_a_stream_and_only_as_long_as_it_lasts() {
    let film = Film::new(3, MIB);
    let seeder = film.seeder("127.0.4.3");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let token = url.split('/').nth(4).expect("a token").to_owned();
    let not_found = (404, "stream_not_found".to_owned());
    // Every single character counts; a few of them are tried.
    for at in [0, 7, 21, 22, 30, 40, 50, token.len() - 1] {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut forged = token.clone();
        forged.replace_range(at..=at, other);
        assert_eq!(Ask::get(&url.replace(&token, &forged)).send().problem(), not_found, "{at}");
    }
    for wrong in ["x", &token[1..], &format!("{token}A"), &"A".repeat(token.len()), "%00", "..%2f..%2fetc"] {
        let answer = Ask::get(&url.replace(&token, wrong)).send();
        assert_eq!(answer.problem(), not_found, "{wrong}");
    }
    // The session's own token is for the playlist, and no file's.
    assert_eq!(Ask::get(&url).range(0, 99).send().bytes(), &film.bytes()[..100]);
    assert_eq!(anna.delete(&place(&film, "")).status, 204);
    let ended = (410, "stream_ended".to_owned());
    assert_eq!(Ask::get(&url).send().problem(), ended);
    assert_eq!(anna.get(&place(&film, "/status")).problem(), (404, "no_stream".to_owned()));
    assert_eq!(anna.delete(&place(&film, "")).problem(), (404, "no_stream".to_owned()));
    let again = anna.watch(&film);
    assert_eq!(Ask::get(&url).send().problem(), ended, "the next session has other URLs");
    assert_eq!(Ask::get(&again).send().bytes(), film.bytes());
    daemon.end();
}

#[test]
fn a_url_is_gone_after_its_time() {
    let film = Film::new(4, MIB);
    let seeder = film.seeder("127.0.4.4");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--url-ttl", "1s"]).start();
    let anna = daemon.viewer("anna");
    let mut hears = listen(&anna, "");
    let url = anna.watch(&film);
    wait_for("the URL's time is over", || (Ask::get(&url).send().status == 410).then_some(()));
    wait_for("its session ends", || hears.until("\"expired\"").then_some(()));
    assert_eq!(Ask::get(&url).send().problem(), (410, "stream_ended".to_owned()));
    daemon.end();
}

#[test]
fn a_playlist_has_the_videos_in_watching_order() {
    let names = ["Show E10.mkv", "Show E02.mkv", "Show E01.mkv", "Show E01.srt", "cover.jpg"];
    let subtitle = b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n".to_vec();
    let files: Vec<(String, Vec<u8>)> = names
        .iter()
        .zip(0_usize..)
        .map(|(&name, nth)| match name.ends_with(".srt") {
            true => (name.to_owned(), subtitle.clone()),
            false => (name.to_owned(), film_bytes(nth as u64, MIB / 4 + nth)),
        })
        .collect();
    let film = Film::folder("Show", files.clone());
    let seeder = film.seeder("127.0.4.5");
    let daemon = Options::default().peers(&[&seeder]).start();
    let session = daemon.viewer("anna").stream(&film);
    let playlist = session["playlistUrl"].as_str().expect("a URL");
    let answer = Ask::get(playlist).send();
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/x-mpegurl")));
    let list = String::from_utf8(answer.bytes()).expect("text");
    let titles: Vec<&str> = list.lines().filter_map(|line| line.strip_prefix("#EXTINF:-1,")).collect();
    assert_eq!(titles, ["Show E01", "Show E02", "Show E10"]);
    let folder = playlist.strip_suffix("playlist.m3u8").expect("its name");
    for (title, line) in titles.iter().zip(list.lines().filter(|line| !line.starts_with('#'))) {
        let (_, bytes) =
            files.iter().find(|(name, _)| *name == format!("{title}.mkv")).expect("one of the files");
        // Players resolve `..` themselves.
        let token = line.strip_prefix("../").expect("a relative URL");
        let (root, _) = folder.trim_end_matches('/').rsplit_once('/').expect("a token");
        assert!(Ask::get(&format!("{root}/{token}")).send().bytes() == *bytes, "{title} differs");
    }
    let subtitles = session["subtitles"].as_array().expect("a list");
    assert_eq!((subtitles.len(), &subtitles[0]["name"]), (1, &json!("Show E01.srt")));
    assert_eq!(Ask::get(subtitles[0]["url"].as_str().expect("a URL")).send().bytes(), subtitle);
    let root = playlist.replace("playlist.m3u8", "other.mkv");
    assert_eq!(Ask::get(&root).send().problem().0, 404, "the session's own token opens no file");
    daemon.end();
}

#[test]
fn a_streams_life_is_told_in_its_order() {
    let film = Film::new(6, 4 * MIB);
    let scratch = Scratch::new();
    let meeting = Meeting::start();
    let buffer = BUFFER.to_string();
    let daemon = meeting.options().env("STREAM_BUFFER_SIZE", &buffer).start();
    let anna = daemon.viewer("anna");
    let mut hears = listen(&anna, "");
    let (url, _seeder) = std::thread::scope(|scope| {
        // A hash that nobody named: it is looked for.
        let session = scope.spawn(|| anna.start(&film).value());
        wait_for("the session begins", || (anna.get(&place(&film, "/status")).status == 200).then_some(()));
        let waiting = anna.wait_state(&film, "metadata");
        assert_eq!((&waiting["file"], &waiting["bytesServed"]), (&Value::Null, &json!(0)));
        let port = meeting.daemon_port(&film);
        let rate = ["--upload-limit", "1M", "--peer", &format!("127.0.0.1:{port}")];
        let seeder = film.real_seeder(&scratch, &rate);
        let session = session.join().expect("a session");
        (session["url"].as_str().expect("a URL").to_owned(), seeder)
    });
    let ready = anna.wait_state(&film, "ready");
    assert!(ready["bufferedBytes"].as_u64() >= Some(BUFFER as u64), "{ready}");
    assert_eq!((&ready["bufferedRanges"][0][0], &ready["readers"]), (&json!(0), &json!(0)), "{ready}");
    assert_eq!((&ready["length"], &ready["file"]), (&json!(4 * MIB), &json!(0)), "{ready}");
    assert_eq!((&ready["ttfbMs"], &ready["peers"]["connected"]), (&Value::Null, &json!(1)), "{ready}");

    let mut player = Ask::get(&url).header("User-Agent", "a player").send();
    let mut film_read = player.next(MIB);
    let playing = anna.wait_state(&film, "playing");
    assert_eq!(playing["readers"], 1, "{playing}");
    assert!(playing["ttfbMs"].is_u64() && playing["positionBytes"].as_u64() > Some(0), "{playing}");
    film_read.extend(player.bytes());
    assert!(film_read == film.bytes(), "the film differs");
    let complete = anna.wait_state(&film, "complete");
    assert_eq!(complete["bufferedRanges"], json!([[0, 4 * MIB]]), "{complete}");
    assert_eq!((&complete["bytesServed"], &complete["stalls"]["count"]), (&json!(4 * MIB), &json!(0)));
    assert_eq!(anna.delete(&place(&film, "")).status, 204);

    wait_for("the end is told", || hears.until("\"streamEnded\"").then_some(()));
    let mut events = hears.events();
    let (_, ended) = events.pop().expect("an end");
    assert_eq!((&ended["reason"], &ended["infoHash"]), (&json!("deleted"), &json!(film.hash)));
    let steps: Vec<(&str, &str)> = events
        .iter()
        .map(|(_, event)| (event["from"].as_str().expect("a word"), event["to"].as_str().expect("a word")))
        .collect();
    assert!(
        steps.windows(2).all(|pair| pair[0].1 == pair[1].0),
        "each begins where the last ended: {steps:?}"
    );
    let mut first = Vec::new();
    for word in steps.iter().map(|step| step.1) {
        if !first.contains(&word) {
            first.push(word);
        }
    }
    assert_eq!(
        (steps[0].0, first),
        ("metadata", vec!["buffering", "ready", "playing", "complete"]),
        "{steps:?}"
    );
    daemon.end();
}

#[test]
fn a_stream_that_gets_nothing_stalls_says_why_and_goes_on_when_somebody_comes() {
    let film = Film::new(7, 2 * MIB);
    let silent = film.silent_seeder("127.0.4.7");
    let meeting = Meeting::start();
    let daemon = meeting.options().peers(&[&silent]).env("STREAM_TIMEOUT", "1000").start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let player = std::thread::spawn(move || Ask::get(&url).send().bytes());
    let stalled = anna.wait_state(&film, "stalled");
    assert_eq!(stalled["stalls"]["count"], 1, "{stalled}");
    let mut hears = listen(&anna, "");
    let helper = film.seeder("127.0.4.8");
    helper.dial(meeting.daemon_port(&film));
    assert!(player.join().expect("a player") == film.bytes(), "the film differs");
    anna.wait_state(&film, "complete");
    wait_for("that it goes on is told", || hears.until("\"from\":\"stalled\"").then_some(()));
    daemon.end();
}

#[test]
fn a_seek_fetches_its_place_before_the_player_comes() {
    let film = Film::new(9, 32 * MIB);
    let seeder = film.seeder("127.0.4.9");
    let daemon = Options::default().peers(&[&seeder]).env("STREAM_BUFFER_SIZE", "262144").start();
    let anna = daemon.viewer("anna");
    anna.stream(&film);
    anna.wait_state(&film, "ready");
    let length = 32 * MIB;
    for (wish, at, seconds, method) in [
        (json!({"bytes": 10 * MIB + 7}), 10 * MIB + 7, None, "exact"),
        (json!({"fraction": 0.5}), length / 2, None, "linear"),
        (json!({"seconds": 600, "duration": 800}), length / 4 * 3, Some(600.0), "linear"),
    ] {
        assert!(!seeder.has_given(at, at + MIB), "{wish} is there already");
        let answer = seek(&anna, &film, &wish);
        assert_eq!((&answer["byteOffset"], &answer["method"]), (&json!(at), &json!(method)), "{wish}");
        assert_eq!(answer["seconds"].as_f64(), seconds, "{wish}");
        anna.wait_status(&film, &format!("{wish} is fetched"), |status| {
            status["positionBytes"] == at && status["bufferedBytes"].as_u64() >= Some(MIB as u64)
        });
    }
    assert!(!seeder.has_given(length / 8, length / 4), "what was jumped over isn't fetched");
    let outside = (422, "out_of_range".to_owned());
    let both = (400, "bad_request".to_owned());
    for (wish, refusal) in [
        (json!({"bytes": length}), &outside),
        (json!({"fraction": 1.5}), &outside),
        (json!({"fraction": -0.1}), &outside),
        (json!({"seconds": 5}), &outside),
        (json!({"seconds": 900, "duration": 800}), &outside),
        (json!({"seconds": 1, "duration": 0}), &outside),
        (json!({}), &both),
        (json!({"bytes": 1, "fraction": 0.1}), &both),
        (json!({"bytes": -1}), &both),
        (json!({"byte": 1}), &both),
    ] {
        assert_eq!(anna.post(&place(&film, "/seek"), &wish).problem(), *refusal, "{wish}");
    }
    let no_file = anna.post(&place(&film, "/seek"), &json!({"bytes": 1, "file": 9}));
    assert_eq!(no_file.problem(), (404, "no_such_file".to_owned()));
    daemon.end();
}

#[test]
fn a_pause_stops_fetching_and_nothing_is_lost_by_it() {
    let film = Film::new(10, 4 * MIB);
    let seeder = film.slow_seeder("127.0.4.10", MIB);
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let url = anna.watch(&film);
    let mut player = Ask::get(&url).send();
    let mut read = player.next(MIB / 2);
    assert_eq!(anna.post(&place(&film, "/pause"), &json!({})).value()["state"], "paused");
    let stood = stands_still(&seeder);
    assert!(stood < film.bytes().len(), "all of it was fetched before the pause");
    assert_eq!(anna.status(&film)["state"], "paused", "a player that reads on doesn't end it");
    assert_ne!(anna.post(&place(&film, "/resume"), &json!({})).value()["state"], "paused");
    read.extend(player.bytes());
    assert!(read == film.bytes(), "the film differs");
    assert!(seeder.given_bytes() > stood);
    anna.wait_state(&film, "complete");
    daemon.end();
}

/// Waits until a seeder isn't asked any more, and sees that it stays so for a while; how much it has given.
fn stands_still(seeder: &Seeder) -> usize {
    let while_it_would_give = std::time::Duration::from_secs(1);
    wait_for("nothing more is fetched", || {
        let before = seeder.given_bytes();
        std::thread::sleep(while_it_would_give);
        (seeder.given_bytes() == before).then_some(before)
    })
}

#[test]
fn a_session_that_nobody_reads_ends_and_its_torrent_after_the_grace() {
    let film = Film::new(11, MIB);
    let seeder = film.seeder("127.0.4.11");
    let daemon =
        Options::default().peers(&[&seeder]).arg(&["--idle-time", "1s", "--torrent-grace", "1s"]).start();
    let anna = daemon.viewer("anna");
    let mut hears = listen(&anna, "");
    let url = anna.watch(&film);
    assert!(Ask::get(&url).send().bytes() == film.bytes());
    wait_for("the session ends", || hears.until("\"idle\"").then_some(()));
    assert_eq!(Ask::get(&url).send().problem().0, 410);
    assert_eq!(anna.get("/api/stream").value(), json!([]));
    wait_for("the torrent is let go", || {
        let listed = anna.get("/api/torrents").value();
        assert_eq!(listed[0]["infoHash"], film.hash, "it is still known by its name");
        listed[0]["state"].is_null().then_some(())
    });
    let again = anna.watch(&film);
    assert!(Ask::get(&again).send().bytes() == film.bytes(), "and comes back when it is asked for");
    daemon.end();
}

#[test]
fn a_session_that_somebody_asks_about_is_kept() {
    let films = [16, 17].map(|seed| Film::new(seed, MIB / 2));
    let daemon = Options::default().arg(&["--idle-time", "2s"]).env("TORRENT_TIMEOUT", "100").start();
    let anna = daemon.viewer("anna");
    let mut hears = listen(&anna, "");
    let kept = anna.stream(&films[0]);
    anna.stream(&films[1]);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(anna.status(&films[0])["sessionId"], kept["sessionId"]);
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        });
        wait_for("the other one ends", || hears.until("\"idle\"").then_some(()));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    wait_for("and this one too, once nobody asks", || {
        hears.until(&format!("{}\",\"reason\":\"idle\"", films[0].hash)).then_some(())
    });
    daemon.end();
}

#[test]
fn a_player_that_is_slow_keeps_its_session() {
    let film = Film::new(12, 24 * MIB);
    let seeder = film.seeder("127.0.4.12");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--idle-time", "1s", "--pace", "false"]).start();
    let anna = daemon.viewer("anna");
    let mut hears = listen(&anna, "");
    let url = anna.watch(&film);
    let mut player = Ask::get(&url).send();
    let read = player.next(100_000);
    // Another session of hers comes and goes meanwhile: that much time passes for sure.
    let other = Film::new(13, MIB / 2);
    anna.stream(&other);
    wait_for("a session that nobody reads ends", || hears.until(&other.hash).then_some(()));
    wait_for("it ends", || hears.until("\"idle\"").then_some(()));
    assert_eq!(anna.status(&film)["readers"], 1);
    assert!([read, player.bytes()].concat() == film.bytes(), "the film differs");
    assert!(!hears.text.contains(&format!("\"{}\",\"reason\"", film.hash)), "{}", hears.text);
    daemon.end();
}

#[test]
fn everything_that_a_daemon_has_of_a_torrent_is_let_go_with_its_last_stream() {
    let film = Film::new(14, MIB);
    let seeder = film.seeder("127.0.4.14");
    let daemon =
        Options::default().peers(&[&seeder]).arg(&["--torrent-grace", "0s", "--storage", "cache"]).start();
    let anna = daemon.viewer("anna");
    assert!(Ask::get(&anna.watch(&film)).send().bytes() == film.bytes());
    assert_eq!(anna.delete(&format!("/api/torrents/{}", film.hash)).status, 204);
    let cache = daemon.scratch.path("daemon.state").join("cache");
    wait_for("the cache is empty", || (files_below(&cache) == 0).then_some(()));
    daemon.end();
}

fn files_below(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => files_below(&entry.path()),
        Ok(_) => 1,
        Err(_) => 0,
    });
    sizes.sum()
}

/// Two daemons share no key: what one signed is nothing to the other.
#[test]
fn a_url_of_another_daemon_opens_nothing() {
    let film = Film::new(15, MIB);
    let seeder = film.seeder("127.0.4.15");
    let daemons = [(); 2].map(|()| Options::default().peers(&[&seeder]).start());
    let urls = daemons.each_ref().map(|daemon| daemon.viewer("anna").watch(&film));
    let moved = urls[0].replace(&daemons[0].base, &daemons[1].base);
    assert_eq!(Ask::get(&moved).send().problem().0, 404);
    daemons.into_iter().for_each(Daemon::end);
}

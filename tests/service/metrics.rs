//! What Prometheus gets: a page in its format, with what happened on it, and nothing about anybody.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::daemon::{Daemon, Options};
use crate::film::{Film, MIB};
use crate::harness::{repository, wait_for};
use crate::http::Ask;

/// A page of the OpenMetrics text format 1.0, read without any leniency.
#[derive(Debug, Default)]
struct Page {
    /// Families by name: their type.
    families: BTreeMap<String, String>,
    samples: BTreeMap<Series, f64>,
}

/// A sample's name and its labels.
type Series = (String, BTreeMap<String, String>);

impl Page {
    fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("the page says where it ends");
        let (mut page, mut helped, mut family) = (Self::default(), BTreeSet::new(), String::new());
        for line in body.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (keyword, rest) = comment.split_once(' ').expect("a keyword");
                let (name, value) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?} says nothing"));
                assert!(is_name(name), "{line}");
                match keyword {
                    "HELP" => assert!(helped.insert(name.to_owned()) && value.ends_with('.'), "{line}"),
                    "TYPE" => {
                        assert!(matches!(value, "counter" | "gauge" | "histogram" | "info"), "{line}");
                        assert_eq!(page.families.insert(name.to_owned(), value.to_owned()), None, "{line}");
                        family = name.to_owned();
                    }
                    "UNIT" => assert!(name.ends_with(&format!("_{value}")), "{line}"),
                    _ => panic!("{line}"),
                }
            } else {
                let ((name, labels), value) = sample(line);
                let kind = page.families.get(&family).map(String::as_str);
                let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is among {family}"));
                let allowed: &[&str] = match kind {
                    Some("counter") => &["_total"],
                    Some("gauge") => &[""],
                    Some("histogram") => &["_bucket", "_sum", "_count"],
                    _ => &["_info"],
                };
                assert!(allowed.contains(&suffix), "{line}");
                assert!(value >= 0.0, "{line}");
                assert_eq!(page.samples.insert((name, labels), value), None, "{line} is there twice");
            }
        }
        assert_eq!(helped, page.families.keys().cloned().collect(), "each family has a sentence");
        page.check_histograms();
        page
    }

    /// Buckets only grow, and the last one has all.
    fn check_histograms(&self) {
        for family in self.families.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let bucket = format!("{family}_bucket");
            let bound = |labels: &BTreeMap<String, String>| match labels["le"].as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a bound"),
            };
            let mut buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter(|((name, _), _)| *name == bucket)
                .map(|((_, labels), &count)| (bound(labels), count))
                .collect();
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{family}: {buckets:?}");
            let &(last, all) = buckets.last().expect("buckets");
            assert_eq!((last, all), (f64::INFINITY, self.of(&format!("{family}_count"), &[])), "{family}");
        }
    }

    #[track_caller]
    fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let series = (name.to_owned(), labels);
        *self.samples.get(&series).unwrap_or_else(|| panic!("no {series:?}"))
    }

    fn names(&self) -> BTreeSet<&str> {
        self.samples.keys().map(|(name, _)| name.as_str()).collect()
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `name{label="value",…} value`.
fn sample(line: &str) -> (Series, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !value.contains(['\\', '\n']) && !value.is_empty(), "{line}");
            assert_eq!(labels.insert(label.to_owned(), value.to_owned()), None, "{line}");
            match after.strip_prefix(',') {
                Some(next) => inner = next,
                None => {
                    rest = after.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    ((name.to_owned(), labels), value.parse().unwrap_or_else(|_| panic!("{line}")))
}

fn scrape(daemon: &Daemon) -> (Page, String) {
    let answer = daemon.admin().get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    let text = String::from_utf8(answer.bytes()).expect("UTF-8");
    (Page::read(&text), text)
}

#[test]
fn what_happened_is_on_the_page_and_to_whom_is_not() {
    let film = Film::new(1, 8 * MIB);
    let seeder = film.seeder("127.0.11.1");
    let daemon = Options::default().peers(&[&seeder]).start();
    let anna = daemon.viewer("anna");
    let (before, _) = scrape(&daemon);
    assert_eq!(before.of("afflux_stream_ttfb_seconds_count", &[]), 0.0);

    let url = anna.watch(&film);
    assert_eq!(Ask::get(&url).header("User-Agent", "Zaphod's player").send().bytes(), film.bytes());
    assert_eq!(Ask::get(&format!("{url}x?")).send().status, 200, "any name will do");
    assert_eq!(Ask::get(&url.replace("/stream/", "/stream/x")).send().status, 404);
    assert_eq!(Ask::get(&daemon.url("/api/torrents")).send().status, 401);
    let status = anna.status(&film)["state"].as_str().expect("a word").to_owned();
    let page = wait_for("the looks have come by", || {
        let (page, _) = scrape(&daemon);
        (page.of("afflux_sessions", &[("state", &status)]) == 1.0
            && page.of("afflux_stream_ttfb_seconds_count", &[]) == 1.0)
            .then_some(page)
    });
    let length = film.bytes().len() as f64;
    assert_eq!(page.of("afflux_sessions_started_total", &[]), 1.0);
    assert_eq!(page.of("afflux_media_opens_total", &[("outcome", "opened")]), 2.0);
    assert_eq!(page.of("afflux_media_opens_total", &[("outcome", "not_found")]), 1.0);
    assert_eq!(page.of("afflux_tokens_refused_total", &[("code", "token_missing")]), 1.0);
    assert_eq!(page.of("afflux_http_requests_total", &[("class", "4xx")]), 1.0);
    assert!(page.of("afflux_http_requests_total", &[("class", "2xx")]) >= 4.0);
    assert!(page.of("afflux_stream_sent_bytes_total", &[]) >= length);
    assert!(page.of("afflux_swarm_received_bytes_total", &[]) >= length);
    assert_eq!(page.of("afflux_peers_connected", &[]), 1.0);
    assert!(page.of("afflux_memory_used_bytes", &[]) <= page.of("afflux_memory_limit_bytes", &[]));
    assert_eq!(page.of("afflux_users", &[]), 2.0, "anna and who scrapes");

    assert_eq!(anna.delete(&format!("/api/stream/{}", film.hash)).status, 204);
    let (page, text) = scrape(&daemon);
    assert_eq!(page.of("afflux_sessions_ended_total", &[("reason", "deleted")]), 1.0);
    assert_eq!(page.of("afflux_stream_ttfb_seconds_count", &[]), 1.0, "counted once");
    assert_eq!(page.of("afflux_sessions", &[("state", &status)]), 0.0);
    for secret in [film.hash.as_str(), "anna", "film 1", "Zaphod's player", "127.0.11.1", &url] {
        assert!(!text.contains(secret), "{secret} is on the page");
    }
    let closed = ["le", "state", "reason", "class", "outcome", "code", "pattern", "version"];
    for (name, labels) in page.samples.keys() {
        assert!(labels.keys().all(|label| closed.contains(&label.as_str())), "{name}: {labels:?}");
    }
}

#[test]
fn a_seek_and_a_suspicion_are_counted_each_once() {
    let film = Film::new(2, 24 * MIB);
    let seeder = film.seeder("127.0.11.2");
    let daemon = Options::default().peers(&[&seeder]).arg(&["--parse-failures-per-hour", "1:count"]).start();
    let anna = daemon.viewer("anna");
    for _ in 0..3 {
        let bad = json!({"magnet": "magnet:?nothing"});
        assert_eq!(anna.post("/api/torrents/parse", &bad).problem().1, "bad_source");
    }
    let url = anna.watch(&film);
    assert_eq!(Ask::get(&url).send().bytes(), film.bytes());
    anna.post(&format!("/api/stream/{}/seek", film.hash), &json!({"bytes": 4 * MIB})).value();
    let mut player = Ask::get(&url).range(4 * MIB, film.bytes().len() - 1).send();
    assert_eq!(player.next(4 * MIB), &film.bytes()[4 * MIB..8 * MIB]);
    let seeks = anna.wait_status(&film, "a seek", |status| status["seeks"]["count"] == 1);
    let page = wait_for("the seek is counted", || {
        let (page, _) = scrape(&daemon);
        (page.of("afflux_stream_seek_seconds_count", &[]) == 1.0).then_some(page)
    });
    let told = seeks["seeks"]["totalMs"].as_f64().expect("milliseconds") / 1000.0;
    assert!((page.of("afflux_stream_seek_seconds_sum", &[]) - told).abs() <= 0.001);
    assert_eq!(page.of("afflux_suspicious_total", &[("pattern", "parse_failures")]), 1.0);
    assert_eq!(page.of("afflux_suspicious_total", &[("pattern", "range_flood")]), 0.0);
}

/// All queries of a dashboard.
fn queries(dashboard: &Value, found: &mut Vec<String>) {
    match dashboard {
        Value::Object(object) => {
            found.extend(object.get("expr").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|value| queries(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_there_is_and_nothing_else() {
    let (page, _) = scrape(&Daemon::new());
    let dashboard =
        std::fs::read_to_string(repository("packaging/grafana/afflux.json")).expect("the dashboard");
    let mut found = Vec::new();
    queries(&serde_json::from_str(&dashboard).expect("JSON"), &mut found);
    let words = found.iter().flat_map(|query| {
        query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
    });
    let ours = |word: &&str| word.starts_with("afflux_") || word.starts_with("process_");
    let asked: BTreeSet<&str> = words.filter(ours).collect();
    let told = page.names();
    for name in &asked {
        assert!(told.contains(name), "the dashboard asks for {name}");
    }
    for family in page.families.keys() {
        let is_shown = asked.iter().any(|name| name.starts_with(family.as_str()));
        assert!(is_shown, "{family} isn't on the dashboard");
    }
}

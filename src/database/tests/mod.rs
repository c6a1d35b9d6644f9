//! The database as its users see it. This file: rows to fill it with.

mod bounds;
mod damage;
mod life;
mod rows;

use std::path::Path;

use afflux_metainfo::{FileIndex, InfoHash, InfoHashV2, InfoHashes};

use super::*;
use crate::user::User;

pub(super) const NOW: u64 = 1_800_000_000;

pub(super) fn user(name: &str) -> User {
    name.parse().unwrap()
}

pub(super) fn hash(seed: u8) -> InfoHash {
    InfoHash([seed; 20])
}

fn hybrid(seed: u8) -> InfoHashes {
    InfoHashes::Hybrid(hash(seed), InfoHashV2([seed; 32]))
}

fn magnet(seed: u8) -> Source {
    Source::Magnet(format!("magnet:?xt=urn:btih:{}", hash(seed)))
}

fn session(name: &str, seed: u8) -> SavedSession {
    SavedSession {
        id: afflux_stream::token::SessionId([seed; 16]),
        user: user(name),
        info_hash: hash(seed),
        file: FileIndex(3),
        created_at: NOW + u64::from(seed),
        last_used: NOW + 10,
        expires_at: NOW + 3600,
        paused: true,
        position: 1 << 40,
        token_max_rate: Some(1 << 20),
        client: Some("mpv 0.40".to_owned()),
        tokens: vec![[seed; 32], [seed + 1; 32]],
    }
}

fn download(name: &str, seed: u8) -> Download {
    Download {
        user: user(name),
        info_hash: hash(seed),
        folder: "/srv/films".into(),
        files: Some(vec![FileIndex(0), FileIndex(7)]),
        sequential: true,
        paused: false,
        download_limit: Some(1 << 20),
        upload_limit: None,
        seed_ratio: Some(1.5),
        seed_seconds: Some(86_400),
        added_at: NOW + u64::from(seed),
        progress: Progress { uploaded_bytes: 5, seeded_seconds: 6, finished_at: None },
        error: Some("the disk is full".to_owned()),
    }
}

pub(super) fn view(name: &str, seed: u8) -> NewView {
    NewView {
        user: user(name),
        info_hash: hash(seed),
        file: FileIndex(1),
        name: "film.mkv".to_owned(),
        client: None,
        started_at: NOW,
        ended_at: NOW + u64::from(seed),
        ttfb_ms: Some(300),
        seeks: 2,
        seek_ms_total: 500,
        seek_ms_max: 400,
        stalls: 1,
        stalled_ms: 1200,
        bytes_swarm: 1 << 30,
        bytes_sent: 1 << 31,
        bytes_wasted: 16_384,
        peers_max: 40,
        completion: 0.75,
    }
}

fn film(file: u32) -> KnownFilm {
    let facts = r#"{"container":"Mp4"}"#.to_owned();
    KnownFilm { file: FileIndex(file), facts, points: Some("[[0,1]]".to_owned()) }
}

fn watched(name: &str, seed: u8, file: u32) -> Watched {
    Watched {
        user: user(name),
        info_hash: hash(seed),
        file: FileIndex(file),
        updated_at: NOW + u64::from(file),
        finished: false,
        position: Some(1 << 30),
        seconds: Some(1234.5),
        duration: Some(5400.0),
        length: 1 << 31,
        name: "Show".to_owned(),
        path: format!("Show/{file}.mkv"),
        next: Some((FileIndex(file + 1), format!("Show/{}.mkv", file + 1))),
    }
}

fn usage(name: &str, day: u32) -> UsageRow {
    UsageRow { user: user(name), day: Day(day), bytes_sent: 100, bytes_swarm: 10, requests: 1 }
}

fn open(folder: &Path) -> Database {
    let (database, notice) = Database::open(folder).unwrap();
    assert_eq!(notice, None);
    database
}

/// Rows in every table.
async fn fill(database: &Database) {
    for (seed, name) in (1..).zip(["anna", "bert", "cleo"]) {
        let user = user(name);
        database.users().seen(&user, NOW).await.unwrap();
        let revocation =
            Revocation { token_id: format!("token-{seed}"), expires: NOW, reason: "lost".to_owned() };
        database.revocations().revoke(revocation).await.unwrap();
        let torrent = Source::Torrent(vec![seed; 10_000]);
        database.torrents().remember(&user, hybrid(seed), "film", torrent, NOW).await.unwrap();
        database
            .torrents()
            .remember(&user, InfoHashes::V1(hash(seed + 50)), "film", magnet(seed), NOW)
            .await
            .unwrap();
        database.sessions().save(session(name, seed)).await.unwrap();
        database.downloads().save(download(name, seed)).await.unwrap();
        database.views().add(view(name, seed)).await.unwrap();
        database.usage().add(vec![usage(name, 20_000)]).await.unwrap();
        database.films().save(hash(seed), film(0), NOW).await.unwrap();
        database.watching().save(vec![watched(name, seed, 0)]).await.unwrap();
        database.suspicions().add(&user, "scan", "sixty ranges a second", NOW).await.unwrap();
    }
}

/// Everything that can be read, and how many rows that is.
async fn read_all(database: &Database) -> Result<usize, DatabaseError> {
    let mut rows = database.users().list(None, 1000).await?.len();
    rows += database.revocations().all().await?.len();
    for name in ["anna", "bert", "cleo"] {
        let user = user(name);
        rows += database.torrents().list(Some(&user), None, 1000).await?.len();
        rows += usize::from(database.users().find(&user).await?.is_some());
        rows += database.sessions().of(&user).await?.len();
        rows += database.watching().list(&user, 1000).await?.len();
    }
    for seed in 1..=3 {
        rows += database.films().of(hash(seed)).await?.len();
        rows += usize::from(database.torrents().find_any(hybrid(seed)).await?.is_some());
        rows += usize::from(
            database.torrents().find_any(InfoHashes::V2(InfoHashV2([seed; 32]))).await?.is_some(),
        );
    }
    rows += database.sessions().all_alive(0).await?.len();
    rows += database.downloads().list(None).await?.len();
    rows += database.views().list(ViewFilter::default(), None, 1000).await?.len();
    rows += database.views().totals(ViewFilter::default()).await?.len();
    rows += database.usage().on(Day(20_000)).await?.len();
    rows += database.suspicions().list(None, Day(0)).await?.len();
    Ok(rows)
}

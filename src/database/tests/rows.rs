//! What is written comes back, table by table.

use super::*;

fn begin() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    (folder, database)
}

#[tokio::test]
async fn a_user_is_made_when_first_seen() {
    let (_folder, database) = begin();
    let (users, anna) = (database.users(), user("anna"));
    assert_eq!(users.find(&anna).await.unwrap(), None);
    users.seen(&anna, NOW).await.unwrap();
    users.seen(&anna, NOW + 60).await.unwrap();
    users.seen(&anna, NOW + 30).await.unwrap();
    let known = KnownUser {
        user: anna.clone(),
        disabled: false,
        limits: UserLimits::default(),
        first_seen: NOW,
        last_seen: NOW + 60,
    };
    assert_eq!(users.find(&anna).await.unwrap(), Some(known));
    assert!(users.forget(&anna).await.unwrap());
    assert!(!users.forget(&anna).await.unwrap());
    assert_eq!(users.find(&anna).await.unwrap(), None);
}

#[tokio::test]
async fn a_patch_changes_only_the_limits_it_names() {
    let (_folder, database) = begin();
    let (users, anna) = (database.users(), user("anna"));
    let patch = LimitsPatch {
        max_streams: Some(Some(2)),
        daily_bytes: Some(Some(1 << 40)),
        ..LimitsPatch::default()
    };
    users.set_limits(&anna, patch, NOW).await.unwrap();
    let patch =
        LimitsPatch { max_streams: Some(None), upload_limit: Some(Some(0)), ..LimitsPatch::default() };
    let limits = users.set_limits(&anna, patch, NOW).await.unwrap();
    let expected = UserLimits {
        max_streams: None,
        download_limit: None,
        upload_limit: Some(0),
        daily_bytes: Some(1 << 40),
    };
    assert_eq!(limits, expected);
    assert_eq!(users.find(&anna).await.unwrap().unwrap().limits, expected);
}

#[tokio::test]
async fn a_user_who_never_came_can_be_shut_out() {
    let (_folder, database) = begin();
    let users = database.users();
    users.seen(&user("anna"), NOW).await.unwrap();
    users.set_disabled(&user("bert"), true, NOW).await.unwrap();
    assert_eq!(users.disabled().await.unwrap(), [user("bert")]);
    let names: Vec<User> = users.list(None, 10).await.unwrap().into_iter().map(|row| row.user).collect();
    assert_eq!(names, [user("anna"), user("bert")]);
    assert_eq!(users.list(Some(&user("anna")), 10).await.unwrap()[0].user, user("bert"));
    users.set_disabled(&user("bert"), false, NOW).await.unwrap();
    assert_eq!(users.disabled().await.unwrap(), []);
}

#[tokio::test]
async fn a_revocation_stays_until_an_hour_after_its_token() {
    let (_folder, database) = begin();
    let revocations = database.revocations();
    let revocation = Revocation { token_id: "a".to_owned(), expires: NOW, reason: "lost".to_owned() };
    revocations.revoke(revocation.clone()).await.unwrap();
    let again = Revocation { reason: "again".to_owned(), ..revocation.clone() };
    revocations.revoke(Revocation { expires: NOW - 5, ..again }).await.unwrap();
    assert_eq!(revocations.all().await.unwrap(), [revocation]);
    assert_eq!(revocations.purge(NOW + 3600).await.unwrap(), 0);
    assert_eq!(revocations.purge(NOW + 3601).await.unwrap(), 1);
    assert_eq!(revocations.all().await.unwrap(), []);
}

#[tokio::test]
async fn a_torrent_is_found_by_either_of_its_hashes() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    let source = Source::Torrent(b"d4:infod4:name1:aee".to_vec());
    torrents.remember(&anna, hybrid(1), "film", source.clone(), NOW).await.unwrap();
    let entry = TorrentEntry {
        user: anna.clone(),
        info_hash: hash(1),
        info_hash_v2: hybrid(1).v2(),
        added_at: NOW,
        last_used: NOW,
        name: "film".into(),
        source_bytes: 19,
    };
    let known = Some(KnownTorrent { entry, source });
    for hashes in [InfoHashes::V1(hash(1)), InfoHashes::V2(InfoHashV2([1; 32])), hybrid(1)] {
        assert_eq!(torrents.find(&anna, hashes).await.unwrap(), known);
        assert_eq!(torrents.find_any(hashes).await.unwrap(), known);
        assert_eq!(torrents.find(&user("bert"), hashes).await.unwrap(), None);
    }
    assert_eq!(torrents.find(&anna, InfoHashes::V1(hash(2))).await.unwrap(), None);
    assert!(torrents.touch(&anna, InfoHashes::V2(InfoHashV2([1; 32])), NOW + 9).await.unwrap());
    assert_eq!(torrents.find(&anna, hybrid(1)).await.unwrap().unwrap().entry.last_used, NOW + 9);
    assert!(!torrents.touch(&anna, InfoHashes::V1(hash(2)), NOW).await.unwrap());
    assert!(!torrents.forget(&user("bert"), hybrid(1)).await.unwrap());
    assert!(torrents.forget(&anna, InfoHashes::V2(InfoHashV2([1; 32]))).await.unwrap());
    assert_eq!(torrents.find(&anna, hybrid(1)).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_learned_of_a_torrent_is_added() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    let complete = Source::Torrent(vec![1, 2, 3]);
    torrents.remember(&anna, InfoHashes::V1(hash(1)), "film", magnet(1), NOW).await.unwrap();
    torrents.remember(&anna, hybrid(1), "film", complete.clone(), NOW + 1).await.unwrap();
    torrents.remember(&anna, InfoHashes::V1(hash(1)), "film", magnet(1), NOW + 2).await.unwrap();
    torrents.remember(&anna, InfoHashes::V2(InfoHashV2([1; 32])), "film", magnet(1), NOW + 3).await.unwrap();
    let all = torrents.list(Some(&anna), None, 10).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].added_at, all[0].last_used), (NOW, NOW + 3));
    assert_eq!(all[0].info_hash_v2, hybrid(1).v2());
    assert_eq!(torrents.find(&anna, hybrid(1)).await.unwrap().unwrap().source, complete);
}

#[tokio::test]
async fn a_torrent_that_turns_out_to_be_a_hybrid_stays_one_torrent() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    let v2 = InfoHashV2([2; 32]);
    torrents.remember(&anna, InfoHashes::V2(v2), "film", magnet(2), NOW).await.unwrap();
    let alone = torrents.find(&anna, InfoHashes::V2(v2)).await.unwrap().unwrap().entry;
    assert_eq!(alone.info_hash, v2.truncated());
    torrents.remember(&anna, InfoHashes::Hybrid(hash(1), v2), "film", magnet(2), NOW + 1).await.unwrap();
    let all = torrents.list(Some(&anna), None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].info_hash, all[0].info_hash_v2, all[0].added_at), (hash(1), Some(v2), NOW));
}

#[tokio::test]
async fn torrents_come_page_by_page() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    for seed in 0..7 {
        // Two are added in the same second.
        let at = NOW + u64::from(seed / 2);
        torrents.remember(&anna, InfoHashes::V1(hash(seed)), "film", magnet(seed), at).await.unwrap();
    }
    torrents.remember(&user("bert"), InfoHashes::V1(hash(9)), "film", magnet(9), NOW).await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = torrents.list(Some(&anna), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.cursor());
        seen.extend(page.iter().map(|entry| entry.info_hash));
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1, 0].map(hash));
}

#[tokio::test]
async fn sessions_survive_until_they_end_or_expire() {
    let (folder, database) = begin();
    for seed in 1..=3 {
        database.sessions().save(session("anna", seed)).await.unwrap();
    }
    let moved = SavedSession { position: 7, client: None, ..session("anna", 1) };
    database.sessions().save(moved.clone()).await.unwrap();
    let short = SavedSession { expires_at: NOW, ..session("bert", 4) };
    database.sessions().save(short.clone()).await.unwrap();
    database.close().await;

    let database = open(folder.path());
    let sessions = database.sessions();
    let alive = sessions.all_alive(NOW).await.unwrap();
    assert_eq!(alive, [moved, session("anna", 2), session("anna", 3)]);
    assert_eq!(sessions.of(&user("bert")).await.unwrap(), [short]);
    assert_eq!(sessions.purge(NOW).await.unwrap(), 1);
    assert!(sessions.end(afflux_stream::token::SessionId([2; 16])).await.unwrap());
    assert!(!sessions.end(afflux_stream::token::SessionId([2; 16])).await.unwrap());
    assert_eq!(sessions.of(&user("anna")).await.unwrap().len(), 2);
    assert_eq!(sessions.of(&user("bert")).await.unwrap(), []);
}

#[tokio::test]
async fn downloads_keep_all_that_was_said_of_them() {
    use std::os::unix::ffi::OsStrExt;

    let (_folder, database) = begin();
    let downloads = database.downloads();
    let strange = std::ffi::OsStr::from_bytes(b"/srv/\xff\xfe").into();
    let all_files = Download { files: None, folder: strange, error: None, ..download("bert", 2) };
    let no_files = Download { files: Some(Vec::new()), ..download("anna", 3) };
    for download in [download("anna", 1), all_files.clone(), no_files.clone()] {
        downloads.save(download).await.unwrap();
    }
    let (anna, bert) = (user("anna"), user("bert"));
    let everybodys = [download("anna", 1), all_files, no_files.clone()];
    assert_eq!(downloads.list(None).await.unwrap(), everybodys);
    assert_eq!(downloads.list(Some(&anna)).await.unwrap(), [download("anna", 1), no_files]);

    let done = Progress { uploaded_bytes: 10, seeded_seconds: 20, finished_at: Some(NOW) };
    assert!(downloads.progress(&anna, hash(1), done).await.unwrap());
    let more = Progress { uploaded_bytes: 11, finished_at: None, ..done };
    assert!(downloads.progress(&anna, hash(1), more).await.unwrap());
    assert!(!downloads.progress(&bert, hash(1), more).await.unwrap());
    let reached = downloads.find(&anna, hash(1)).await.unwrap().unwrap().progress;
    assert_eq!(reached, Progress { uploaded_bytes: 11, ..done });

    assert!(downloads.remove(&anna, hash(1)).await.unwrap());
    assert!(!downloads.remove(&anna, hash(1)).await.unwrap());
    assert_eq!(downloads.find(&anna, hash(1)).await.unwrap(), None);
}

#[tokio::test]
async fn views_are_filtered_and_come_page_by_page() {
    let (_folder, database) = begin();
    let views = database.views();
    for seed in 0..6 {
        let name = if seed % 2 == 0 { "anna" } else { "bert" };
        views.add(view(name, seed)).await.unwrap();
    }
    let everything = views.list(ViewFilter::default(), None, 1000).await.unwrap();
    assert_eq!(everything.len(), 6);
    assert_eq!(everything[0].view, view("bert", 5));

    let anna = ViewFilter { user: Some(user("anna")), ..ViewFilter::default() };
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = views.list(anna.clone(), before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.cursor());
        seen.extend(page.into_iter().map(|row| row.view));
    }
    assert_eq!(seen, [view("anna", 4), view("anna", 2), view("anna", 0)]);

    let torrent = ViewFilter { info_hash: Some(hash(3)), ..ViewFilter::default() };
    assert_eq!(views.list(torrent, None, 10).await.unwrap()[0].view, view("bert", 3));
    let span = ViewFilter { from: Some(NOW + 1), to: Some(NOW + 3), ..ViewFilter::default() };
    assert_eq!(views.list(span, None, 10).await.unwrap().len(), 2);
    assert_eq!(views.purge(NOW + 4).await.unwrap(), 4);
    assert_eq!(views.list(ViewFilter::default(), None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn totals_add_up_what_each_user_watched() {
    let (_folder, database) = begin();
    let views = database.views();
    let never_started = NewView { ttfb_ms: None, bytes_sent: 0, seek_ms_max: 900, ..view("anna", 9) };
    for view in [view("anna", 1), view("anna", 2), never_started, view("bert", 3)] {
        views.add(view).await.unwrap();
    }
    let totals = views.totals(ViewFilter::default()).await.unwrap();
    let anna = Totals {
        user: user("anna"),
        views: 3,
        with_ttfb: 2,
        ttfb_ms_mean: Some(300.0),
        seeks: 6,
        seek_ms_total: 1500,
        seek_ms_max: 900,
        stalls: 3,
        stalled_ms: 3600,
        bytes_swarm: 3 << 30,
        bytes_sent: 2 << 31,
        bytes_wasted: 3 * 16_384,
    };
    assert_eq!(totals[0], anna);
    assert_eq!(totals.len(), 2);
    let early = ViewFilter { to: Some(NOW + 2), ..ViewFilter::default() };
    assert_eq!(views.totals(early).await.unwrap().len(), 1);
}

#[tokio::test]
async fn usage_adds_up_by_day() {
    let (_folder, database) = begin();
    let (counted, anna) = (database.usage(), user("anna"));
    assert_eq!(Day::of(NOW), Day(20_833));
    counted.add(vec![usage("anna", 5), usage("anna", 5), usage("bert", 5), usage("anna", 6)]).await.unwrap();
    let twice = UsageRow { bytes_sent: 200, bytes_swarm: 20, requests: 2, ..usage("anna", 5) };
    assert_eq!(counted.of(&anna, Day(5)).await.unwrap(), Some(twice.clone()));
    assert_eq!(counted.of(&anna, Day(7)).await.unwrap(), None);
    assert_eq!(counted.span(&anna, Day(0), Day(6)).await.unwrap(), [twice.clone(), usage("anna", 6)]);
    assert_eq!(counted.on(Day(5)).await.unwrap(), [twice, usage("bert", 5)]);
    assert_eq!(counted.purge(Day(6)).await.unwrap(), 2);
    assert_eq!(counted.span(&anna, Day(0), Day(9)).await.unwrap(), [usage("anna", 6)]);
}

#[tokio::test]
async fn suspicions_are_counted_by_day() {
    let (_folder, database) = begin();
    let (suspicions, anna) = (database.suspicions(), user("anna"));
    assert_eq!(suspicions.add(&anna, "scan", "first", NOW).await.unwrap(), 1);
    assert_eq!(suspicions.add(&anna, "scan", "second", NOW + 1).await.unwrap(), 2);
    assert_eq!(suspicions.add(&anna, "flood", "third", NOW + 2).await.unwrap(), 1);
    assert_eq!(suspicions.add(&anna, "scan", "tomorrow", NOW + 86_400).await.unwrap(), 1);
    assert_eq!(suspicions.add(&user("bert"), "scan", "his", NOW).await.unwrap(), 1);
    let all = suspicions.list(Some(&anna), Day(0)).await.unwrap();
    let details: Vec<&str> = all.iter().map(|row| &row.detail[..]).collect();
    assert_eq!(details, ["tomorrow", "third", "second"]);
    assert_eq!((all[2].count, all[2].last_at, all[2].day), (2, NOW + 1, Day::of(NOW)));
    assert_eq!(suspicions.list(None, Day(0)).await.unwrap().len(), 4);
    assert_eq!(suspicions.list(None, Day::of(NOW + 86_400)).await.unwrap().len(), 1);
    assert_eq!(suspicions.purge(Day::of(NOW + 86_400)).await.unwrap(), 3);
    assert_eq!(suspicions.list(None, Day(0)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_known_of_films_is_found_with_its_index_and_listed_without() {
    let (folder, database) = begin();
    for file in [2, 0] {
        database.films().save(hash(1), film(file), NOW).await.unwrap();
    }
    database.films().save(hash(2), film(0), NOW).await.unwrap();
    let silent = KnownFilm { points: None, ..film(2) };
    database.films().save(hash(1), silent.clone(), NOW + 1).await.unwrap();
    database.close().await;

    let database = open(folder.path());
    let films = database.films();
    assert_eq!(films.find(hash(1), FileIndex(0)).await.unwrap(), Some(film(0)));
    assert_eq!(
        films.find(hash(1), FileIndex(2)).await.unwrap(),
        Some(silent.clone()),
        "the newer word counts"
    );
    assert_eq!(films.find(hash(3), FileIndex(0)).await.unwrap(), None);
    assert_eq!(films.of(hash(1)).await.unwrap(), [KnownFilm { points: None, ..film(0) }, silent]);
}

#[tokio::test]
async fn what_is_gone_on_with_is_what_was_begun_and_what_follows_what_was_finished_last() {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    let (watching, anna) = (database.watching(), user("anna"));
    let finished =
        |file| Watched { finished: true, position: None, seconds: None, ..watched("anna", 1, file) };
    watching
        .save(vec![finished(0), finished(1), watched("anna", 2, 5), watched("bert", 1, 9)])
        .await
        .unwrap();
    let listed = async || -> Vec<(u8, u32, bool)> {
        let rows = watching.list(&anna, 100).await.unwrap();
        rows.into_iter().map(|row| (row.info_hash.0[0], row.file.0, row.finished)).collect()
    };
    assert_eq!(listed().await, [(2, 5, false), (1, 1, true)], "nobody goes on with the first episode");
    watching.save(vec![watched("anna", 1, 2)]).await.unwrap();
    assert_eq!(listed().await, [(2, 5, false), (1, 2, false)], "the next one was begun");
    let last = Watched { next: None, ..finished(7) };
    watching.save(vec![last.clone()]).await.unwrap();
    assert_eq!(listed().await, [(2, 5, false), (1, 2, false)], "after the last there is nothing");
    assert_eq!(watching.of(&anna, hash(1)).await.unwrap()[0], last);
    assert_eq!(watching.list(&anna, 1).await.unwrap(), [watched("anna", 2, 5)]);
    assert!(watching.forget(&anna, hash(1), FileIndex(2)).await.unwrap());
    assert!(!watching.forget(&anna, hash(1), FileIndex(2)).await.unwrap());
    watching.forget_torrent(&anna, hash(1)).await.unwrap();
    assert_eq!(listed().await, [(2, 5, false)]);
    assert_eq!(watching.of(&user("bert"), hash(1)).await.unwrap().len(), 1, "another's stays");
    assert_eq!(watching.purge(NOW + 9).await.unwrap(), 1);
    assert_eq!(listed().await, []);
}

//! What is too much is refused or lets the oldest go, and says so.

use super::limits::*;
use super::*;

fn begin() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path());
    (folder, database)
}

/// Makes rows quickly, for `n` from 1 to `count`.
async fn make(database: &Database, count: u64, insert: &'static str) {
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) {insert}"
    );
    let work = move |connection: &Transaction<'_>| Ok(connection.execute(&sql, [])?);
    assert_eq!(database.write(work).await.unwrap() as u64, count);
}

fn is_too_many<T>(result: Result<T, DatabaseError>) -> bool {
    let Err(error) = result else { return false };
    assert!(error.to_string().starts_with("the database keeps at most "), "{error}");
    matches!(error, DatabaseError::TooMany { .. })
}

#[tokio::test]
async fn users_beyond_the_bound_are_not_recorded() {
    let (_folder, database) = begin();
    let users = database.users();
    users.seen(&user("anna"), NOW).await.unwrap();
    let insert = "INSERT INTO users SELECT 'user' || n, 0, NULL, NULL, NULL, NULL, 1, 1 FROM numbers";
    make(&database, USERS_MAX - 1, insert).await;
    assert!(is_too_many(users.seen(&user("zoe"), NOW).await));
    assert!(is_too_many(users.set_disabled(&user("zoe"), true, NOW).await));
    assert!(is_too_many(users.set_limits(&user("zoe"), LimitsPatch::default(), NOW).await));
    users.seen(&user("anna"), NOW + 1).await.unwrap();
    users.forget(&user("user1")).await.unwrap();
    users.seen(&user("zoe"), NOW).await.unwrap();
    assert_eq!(users.list(None, usize::MAX).await.unwrap().len(), PAGE_ROWS_MAX);
}

#[tokio::test]
async fn a_revocation_is_refused_rather_than_another_forgotten() {
    let (_folder, database) = begin();
    let revocations = database.revocations();
    make(&database, REVOCATIONS_MAX, "INSERT INTO revocations SELECT 'token' || n, n, '' FROM numbers").await;
    let revocation = Revocation { token_id: "new".to_owned(), expires: NOW, reason: String::new() };
    assert!(is_too_many(revocations.revoke(revocation.clone()).await));
    let known = Revocation { token_id: "token1".to_owned(), ..revocation.clone() };
    revocations.revoke(known).await.unwrap();
    revocations.purge(REVOCATION_GRACE_SECONDS + 3).await.unwrap();
    revocations.revoke(revocation).await.unwrap();
}

#[tokio::test]
async fn a_user_who_names_many_torrents_forgets_the_least_used_and_none_that_is_kept() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    let insert = "INSERT INTO torrents SELECT 'anna', unhex(printf('%040x', n)), NULL, n, n, 'film', 1, x'00' FROM numbers";
    make(&database, TORRENTS_PER_USER_MAX, insert).await;
    let numbered = |n: u8| {
        let mut hash = [0; 20];
        hash[19] = n;
        InfoHashes::V1(InfoHash(hash))
    };
    torrents.touch(&anna, numbered(1), NOW).await.unwrap();
    let kept = Download { info_hash: numbered(2).wire(), ..download("anna", 2) };
    database.downloads().save(kept).await.unwrap();
    // Long ago, and yet the one that was just named stays.
    torrents.remember(&anna, hybrid(0xee), "film", magnet(1), 0).await.unwrap();
    assert!(torrents.find(&anna, hybrid(0xee)).await.unwrap().is_some());
    assert!(torrents.find(&anna, numbered(1)).await.unwrap().is_some());
    assert!(torrents.find(&anna, numbered(2)).await.unwrap().is_some());
    assert!(torrents.find(&anna, numbered(3)).await.unwrap().is_none());
    assert!(torrents.find(&anna, numbered(4)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_user_who_names_long_torrents_forgets_the_least_used() {
    let (_folder, database) = begin();
    let (torrents, anna) = (database.torrents(), user("anna"));
    let insert = "INSERT INTO torrents SELECT 'anna', unhex(printf('%040x', n)), NULL, n, n, 'film', 0, zeroblob(16777216) \
                  FROM numbers";
    make(&database, 4, insert).await;
    torrents.remember(&user("bert"), hybrid(1), "film", magnet(1), NOW).await.unwrap();
    torrents.remember(&anna, hybrid(1), "film", Source::Torrent(vec![0; 16 << 20]), NOW).await.unwrap();
    let kept = torrents.list(Some(&anna), None, 10).await.unwrap();
    let added: Vec<u64> = kept.iter().map(|entry| entry.added_at).collect();
    assert_eq!(added, [NOW, 4, 3, 2]);
    assert_eq!(kept.iter().map(|entry| entry.source_bytes).sum::<u64>(), SOURCE_BYTES_PER_USER_MAX);
    assert!(torrents.find(&user("bert"), hybrid(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn sessions_and_downloads_beyond_their_bounds_are_refused() {
    let (_folder, database) = begin();
    let insert = "INSERT INTO sessions SELECT unhex(printf('%032x', n)), 'anna', zeroblob(20), 0, 1, 1, 1, 0, 0, NULL, \
                  NULL, zeroblob(0) FROM numbers";
    make(&database, SESSIONS_MAX, insert).await;
    assert!(is_too_many(database.sessions().save(session("anna", 200)).await));
    database.sessions().purge(1).await.unwrap();
    database.sessions().save(session("anna", 200)).await.unwrap();

    let insert = "INSERT INTO downloads SELECT 'anna', unhex(printf('%040x', n)), x'2f', 0, 0, NULL, NULL, NULL, NULL, \
                  1, NULL, 0, 0, NULL, NULL FROM numbers";
    make(&database, DOWNLOADS_PER_USER_MAX, insert).await;
    assert!(is_too_many(database.downloads().save(download("anna", 200)).await));
    database.downloads().save(download("bert", 200)).await.unwrap();
}

#[tokio::test]
async fn usage_beyond_the_bound_does_not_lose_that_of_others() {
    let (_folder, database) = begin();
    let counted = database.usage();
    counted.add(vec![usage("anna", 1)]).await.unwrap();
    make(&database, USAGE_PER_DAY_MAX - 1, "INSERT INTO usage SELECT 'user' || n, 1, 0, 0, 0 FROM numbers")
        .await;
    let deltas = vec![usage("zoe", 1), usage("anna", 1), usage("zoe", 2)];
    assert!(is_too_many(counted.add(deltas).await));
    assert_eq!(counted.of(&user("anna"), Day(1)).await.unwrap().unwrap().requests, 2);
    assert_eq!(counted.of(&user("zoe"), Day(1)).await.unwrap(), None);
    assert!(counted.of(&user("zoe"), Day(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn suspicions_beyond_the_bound_are_refused() {
    let (_folder, database) = begin();
    let suspicions = database.suspicions();
    suspicions.add(&user("anna"), "scan", "", NOW).await.unwrap();
    let insert = "INSERT INTO suspicious SELECT 'user' || n, 'scan', 1, 1, 1, '' FROM numbers";
    make(&database, SUSPICIONS_MAX - 1, insert).await;
    assert!(is_too_many(suspicions.add(&user("zoe"), "scan", "", NOW).await));
    assert_eq!(suspicions.add(&user("anna"), "scan", "", NOW).await.unwrap(), 2);
}

#[tokio::test]
async fn numbers_and_texts_of_any_size_are_kept_as_well_as_they_can_be() {
    let (_folder, database) = begin();
    let huge =
        UsageRow { bytes_sent: u64::MAX, bytes_swarm: u64::MAX, requests: u64::MAX, ..usage("anna", 1) };
    database.usage().add(vec![huge.clone(), huge]).await.unwrap();
    let row = database.usage().of(&user("anna"), Day(1)).await.unwrap().unwrap();
    assert_eq!((row.bytes_sent, row.requests), (NUMBER_MAX, NUMBER_MAX));

    let long = NewView {
        name: "ä".repeat(TEXT_BYTES_MAX),
        bytes_sent: u64::MAX,
        completion: f64::NAN,
        ..view("anna", 1)
    };
    for _ in 0..3 {
        database.views().add(long.clone()).await.unwrap();
    }
    let kept = &database.views().list(ViewFilter::default(), None, 1).await.unwrap()[0].view;
    assert_eq!((kept.name.len(), kept.bytes_sent), (TEXT_BYTES_MAX, NUMBER_MAX));
    assert_eq!(database.views().totals(ViewFilter::default()).await.unwrap()[0].bytes_sent, 3 * NUMBER_MAX);

    let mut strange = download("anna", 1);
    strange.seed_ratio = Some(f64::INFINITY);
    database.downloads().save(strange).await.unwrap();
    assert_eq!(database.downloads().find(&user("anna"), hash(1)).await.unwrap().unwrap().seed_ratio, None);
}

#[tokio::test]
async fn keys_longer_than_any_real_one_are_refused() {
    let (_folder, database) = begin();
    let token_id = "x".repeat(TOKEN_ID_BYTES_MAX + 1);
    let revocation = Revocation { token_id, expires: NOW, reason: String::new() };
    let error = database.revocations().revoke(revocation).await.unwrap_err();
    assert_eq!(error.to_string(), "a token's id of 257 bytes isn't kept; 256 bytes are the most");
    let pattern = "x".repeat(PATTERN_BYTES_MAX + 1);
    let result = database.suspicions().add(&user("anna"), &pattern, "", NOW).await;
    assert!(matches!(result, Err(DatabaseError::TooLong { .. })));
    let source = Source::Torrent(vec![0; afflux_metainfo::limits::TORRENT_BYTES_MAX + 1]);
    let result = database.torrents().remember(&user("anna"), hybrid(1), "film", source, NOW).await;
    assert!(matches!(result, Err(DatabaseError::TooLong { .. })));
    let long = Download { folder: "x".repeat(5000).into(), ..download("anna", 1) };
    let result = database.downloads().save(long).await;
    assert!(matches!(result, Err(DatabaseError::TooLong { .. })));
}

#[tokio::test]
async fn films_that_nobody_watches_any_more_go_for_new_ones() {
    let (_folder, database) = begin();
    let insert = "INSERT INTO films SELECT unhex(printf('%040x', n)), 0, n, 'x', NULL FROM numbers";
    make(&database, FILMS_MAX, insert).await;
    let nth = |n: u64| InfoHash(std::array::from_fn(|at| if at < 12 { 0 } else { n.to_be_bytes()[at - 12] }));
    let films = database.films();
    films.used(nth(1), FileIndex(0), NOW).await.unwrap();
    films.save(hash(200), film(0), NOW).await.unwrap();
    let is_there = async |hash| films.find(hash, FileIndex(0)).await.unwrap().is_some();
    assert!(is_there(hash(200)).await && is_there(nth(1)).await && is_there(nth(3)).await);
    assert!(!is_there(nth(2)).await, "the one that was used least");
    let long = KnownFilm { facts: "x".repeat(FILM_BYTES_MAX), ..film(0) };
    assert!(matches!(films.save(hash(201), long, NOW).await, Err(DatabaseError::TooLong { .. })));
}

#[tokio::test]
async fn who_watches_much_forgets_what_was_watched_longest_ago() {
    let (_folder, database) = begin();
    let insert = "INSERT INTO watching SELECT 'anna', zeroblob(20), n, n, 0, 1, 1.0, 1.0, 1, NULL, 'x', 'x', NULL FROM numbers";
    make(&database, WATCHED_PER_USER_MAX, insert).await;
    database.watching().save(vec![watched("anna", 1, 0), watched("bert", 1, 0)]).await.unwrap();
    let old = database.watching().of(&user("anna"), hash(0)).await.unwrap();
    assert_eq!(old.len() as u64, WATCHED_PER_USER_MAX - 1);
    assert_eq!(old.last().unwrap().file, FileIndex(2));
    let strange = Watched { seconds: Some(f64::NAN), duration: Some(-1.0), ..watched("anna", 2, 0) };
    database.watching().save(vec![strange]).await.unwrap();
    let read = database.watching().of(&user("anna"), hash(2)).await.unwrap().remove(0);
    assert_eq!((read.seconds, read.duration), (None, None));
}

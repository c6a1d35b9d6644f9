//! Numbers: connections and peers that are served, bounded over all torrents.

use afflux_swarm::shaper::Limits;

use crate::house::{Film, House, MIB, wait_complete, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn fewer_connections_close_nobody_and_let_nobody_in() {
    let film = Film::new(MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    // Slow enough that the first stays while the second tries.
    seeder.engine.set_limits(Limits { upload: Some(1024), download: None });
    let seed = seeder.engine.get(film.source().hashes().wire()).unwrap();
    let (first, second) = (House::new().await, House::new().await);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = first.fetch(&film.source(), folders[0].path(), &[seeder.address()]).await;
    wait_for(&seed, |status| status.snapshot.connected == 1).await;
    seeder.engine.set_connections_max(1);
    let other = second.fetch(&film.source(), folders[1].path(), &[seeder.address()]).await;
    wait_for(&other, |status| status.snapshot.dialling == 0 && status.snapshot.known == 1).await;
    assert_eq!(seed.status().snapshot.connected, 1);
    seeder.engine.set_connections_max(0);
    seeder.engine.set_limits(Limits::default());
    wait_complete(&one).await;
    assert_eq!(other.status().totals.payload_received, 0);
    seeder.engine.set_connections_max(10);
    other.add_peers(vec![first.address()]).await;
    wait_complete(&other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_while_there_is_no_place_for_it() {
    let film = Film::new(MIB, 64 * 1024);
    let seeder = film.seeder(None).await;
    seeder.engine.set_served_max(0);
    let seed = seeder.engine.get(film.source().hashes().wire()).unwrap();
    // A torrent at rest hears of it with its first peer.
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[seeder.address()]).await;
    wait_for(&seed, |status| status.snapshot.connected == 1).await;
    wait_for(&seed, |status| status.snapshot.served == 0).await;
    seeder.engine.set_served_max(4);
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    film.assert_file(folder.path());
}

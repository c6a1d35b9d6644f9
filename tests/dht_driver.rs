//! The DHT's driver on real loopback sockets: among themselves, and among nodes of another implementation.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use afflux::dht::{DhtConfig, DhtHandle};
use afflux_metainfo::InfoHash;

/// Long enough for a machine under load; nothing here asserts how fast something is.
const PATIENCE: Duration = Duration::from_secs(30);

fn config(folder: &Path, name: &str, bootstrap: Vec<String>) -> DhtConfig {
    DhtConfig {
        bind_v4: Some(Ipv4Addr::LOCALHOST),
        bind_v6: None,
        port: 0,
        bootstrap,
        allow_local: false,
        state_file: folder.join(name).join("dht.table"),
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Looks until somebody is found, as a torrent would, and returns the peers of the first lookup with any.
async fn find(dht: &DhtHandle, info_hash: InfoHash) -> Vec<SocketAddr> {
    let search = async {
        loop {
            let mut batches = dht.lookup(info_hash, None);
            let mut found = Vec::new();
            while let Some(batch) = batches.recv().await {
                found.extend(batch);
            }
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("nobody was found")
}

async fn announce(dht: &DhtHandle, info_hash: InfoHash, port: u16) {
    let mut batches = dht.lookup(info_hash, Some(port));
    let end = async { while batches.recv().await.is_some() {} };
    tokio::time::timeout(PATIENCE, end).await.expect("the announce never ended");
}

async fn joined(dht: &DhtHandle) {
    let join = async {
        while dht.stats().nodes_v4 + dht.stats().nodes_v6 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, join).await.expect("nobody answered");
}

#[tokio::test]
async fn one_handle_finds_what_another_announced() {
    let folder = tempfile::tempdir().unwrap();
    let router = DhtHandle::start(config(folder.path(), "router", Vec::new())).unwrap();
    let through = vec![local(router.port()).to_string()];
    let seeder = DhtHandle::start(config(folder.path(), "seeder", through.clone())).unwrap();
    let leecher = DhtHandle::start(config(folder.path(), "leecher", through)).unwrap();
    joined(&seeder).await;
    let hash = InfoHash::of(b"a film");
    announce(&seeder, hash, 5151).await;
    assert_eq!(find(&leecher, hash).await, [local(5151)]);
}

#[tokio::test]
async fn the_table_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let router = DhtHandle::start(config(folder.path(), "router", Vec::new())).unwrap();
    let ours = config(folder.path(), "ours", vec![local(router.port()).to_string()]);
    let first = DhtHandle::start(ours.clone()).unwrap();
    joined(&first).await;
    first.shutdown().await;
    assert!(ours.state_file.exists());
    assert!(!ours.state_file.with_extension("table.tmp").exists());
    let again = DhtHandle::start(DhtConfig { bootstrap: Vec::new(), ..ours }).unwrap();
    joined(&again).await;
}

#[tokio::test]
async fn a_damaged_table_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let ours = config(folder.path(), "ours", Vec::new());
    std::fs::create_dir_all(ours.state_file.parent().unwrap()).unwrap();
    std::fs::write(&ours.state_file, b"d2:id5:wronge").unwrap();
    DhtHandle::start(ours.clone()).unwrap().shutdown().await;
    assert_ne!(std::fs::read(&ours.state_file).unwrap(), b"d2:id5:wronge", "the next save replaces it");
}

#[tokio::test]
async fn ipv6_nodes_find_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let v6 = |name: &str, bootstrap| DhtConfig {
        bind_v4: None,
        bind_v6: Some(Ipv6Addr::LOCALHOST),
        ..config(folder.path(), name, bootstrap)
    };
    let Ok(router) = DhtHandle::start(v6("router", Vec::new())) else {
        eprintln!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let through = SocketAddr::from((Ipv6Addr::LOCALHOST, router.port()));
    let other = DhtHandle::start(v6("other", vec![through.to_string()])).unwrap();
    joined(&other).await;
    let hash = InfoHash::of(b"a film");
    announce(&other, hash, 5252).await;
    assert_eq!(find(&router, hash).await, [SocketAddr::from((Ipv6Addr::LOCALHOST, 5252))]);
}

#[tokio::test]
async fn a_port_in_use_and_a_wrong_bootstrap_node_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let first = DhtHandle::start(config(folder.path(), "first", Vec::new())).unwrap();
    let taken = DhtConfig { port: first.port(), ..config(folder.path(), "second", Vec::new()) };
    assert_eq!(DhtHandle::start(taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let wrong = config(folder.path(), "third", vec!["no port".to_owned()]);
    assert!(DhtHandle::start(wrong).unwrap_err().to_string().contains("no port"));
}

#[tokio::test]
async fn mainline_nodes_and_we_find_each_other() {
    let testnet =
        tokio::task::spawn_blocking(|| mainline::Testnet::builder(8).build().unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ours = DhtHandle::start(config(folder.path(), "ours", testnet.bootstrap[..1].to_vec())).unwrap();
    joined(&ours).await;
    let (theirs, own) = (InfoHash::of(b"theirs"), InfoHash::of(b"ours"));
    let announcer = testnet.nodes[3].clone();
    #[allow(deprecated, reason = "mainline's blocking face, on a thread for blocking work")]
    tokio::task::spawn_blocking(move || {
        announcer.announce_peer(mainline::Id::from_bytes(theirs.0).unwrap(), Some(5353)).unwrap();
    })
    .await
    .unwrap();
    assert_eq!(find(&ours, theirs).await, [local(5353)]);
    announce(&ours, own, 5454).await;
    let asker = testnet.nodes[5].clone();
    #[allow(deprecated, reason = "mainline's blocking face, on a thread for blocking work")]
    let found = tokio::task::spawn_blocking(move || {
        let peers = asker.get_peers(mainline::Id::from_bytes(own.0).unwrap());
        peers.flatten().map(|peer| peer.port()).collect::<Vec<_>>()
    });
    assert!(found.await.unwrap().contains(&5454));
}

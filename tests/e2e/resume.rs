//! A download that is killed goes on from where it was; one that is stopped says what it has.

use crate::film::Film;
use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::payload::assert_same;
use crate::harness::process::Process;
use crate::harness::wait_for;
use crate::wire::{Manner, Seeder};

fn download(film: &Film, seeder: &Seeder) -> Process {
    let download = Afflux::new(&film.scratch, "download").arg("download").arg(&film.torrent);
    let peer = seeder.address.to_string();
    download
        .arg("-o")
        .arg(film.scratch.folder("fetched"))
        .args(["--peer", &peer, "--json"])
        .args(ALONE)
        .start()
}

fn fetched_bytes(film: &Film, signal: &str) -> usize {
    let slow = film.seeder("127.0.0.20", Manner::Honest, 250_000);
    let mut first = download(film, &slow);
    wait_for("half of the film is fetched", || (slow.given_bytes() > film.length() / 2).then_some(()));
    first.signal(signal);
    assert_eq!(first.wait().success(), signal == "TERM", "a polite end is a good end");
    assert!(slow.given_bytes() < film.length(), "it was complete before it was stopped");
    drop(slow);

    let fast = film.seeder("127.0.0.21", Manner::Honest, 4_000_000);
    let mut second = download(film, &fast);
    second.succeed();
    let name = film.path.file_name().expect("a name");
    assert_same(&film.path, &film.scratch.folder("fetched").join(name));
    fast.given_bytes()
}

#[test]
fn a_killed_download_goes_on_from_where_it_was() {
    let film = Film::mp4();
    let again = fetched_bytes(&film, "KILL");
    assert!(again < film.length() * 7 / 10, "{again} of {} bytes were fetched again", film.length());
}

#[test]
fn a_stopped_download_goes_on_from_where_it_was() {
    let film = Film::mkv();
    let again = fetched_bytes(&film, "TERM");
    assert!(again < film.length() * 6 / 10, "{again} of {} bytes were fetched again", film.length());
}

//! A torrent's files: which are wanted and when, what they are called, where they lie, and pieces under way.

use std::path::Path;
use std::sync::Arc;

use afflux::engine::{AddOptions, State, Torrent};
use afflux::source::Source;
use afflux_metainfo::FileIndex;
use afflux_metainfo::create::Builder;
use afflux_metainfo::torrent::Torrent as TorrentFile;
use afflux_storage::Kind;
use afflux_swarm::Priority;
use tempfile::TempDir;

use super::house::{Film, House, MIB, ready, wait_complete, wait_for};

const PIECE: u32 = 64 * 1024;

/// A torrent of several files of noise.
struct Set {
    torrent: TorrentFile,
    folder: TempDir,
    files: Vec<Vec<u8>>,
}

impl Set {
    fn new(lengths: &[u64]) -> Self {
        let noise = Film::new(lengths.iter().sum(), PIECE).data;
        let folder = tempfile::tempdir().unwrap();
        let (mut rest, mut files) = (&noise[..], Vec::new());
        for (nth, length) in lengths.iter().enumerate() {
            let (file, behind) = rest.split_at(*length as usize);
            std::fs::create_dir_all(folder.path().join("set")).unwrap();
            std::fs::write(folder.path().join(format!("set/{nth}")), file).unwrap();
            files.push(file.to_vec());
            rest = behind;
        }
        let rows = lengths.iter().enumerate().map(|(nth, length)| (vec![nth.to_string()], *length));
        let builder = Builder::folder("set", rows, PIECE).unwrap();
        let hashes = afflux_storage::hash_files(builder.layout(), folder.path(), 1, &|_, _| {}).unwrap();
        let torrent = TorrentFile::parse(&builder.build(&hashes).unwrap()).unwrap();
        Self { torrent, folder, files }
    }

    fn source(&self) -> Source {
        Source::Torrent(Box::new(self.torrent.clone()))
    }

    async fn seeder(&self) -> House {
        let house = House::new().await;
        let kind = Kind::Disk { dir: self.folder.path().to_path_buf() };
        let options = AddOptions { read_only: true, ..AddOptions::new(kind) };
        wait_complete(&house.engine.add(&self.source(), options).unwrap()).await;
        house
    }

    /// Fetches to `folder` once it's said what.
    async fn fetch(&self, house: &House, folder: &Path, seeder: &House) -> Torrent {
        let options = AddOptions { hold: true, ..AddOptions::new(Kind::Disk { dir: folder.to_path_buf() }) };
        let torrent = house.engine.add(&self.source(), options).unwrap();
        torrent.add_peers(vec![seeder.address()]).await;
        ready(&torrent).await;
        torrent
    }

    fn assert_file(&self, folder: &Path, nth: usize) {
        assert!(
            std::fs::read(folder.join(format!("set/{nth}"))).unwrap() == self.files[nth],
            "file {nth} differs"
        );
    }
}

fn names(folder: &Path) -> Vec<String> {
    let listing = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        listing.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_wanted_are_never_made_until_they_are() {
    let set = Set::new(&[100_000, 300_000, 100_000, 0]);
    let seeder = set.seeder().await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = set.fetch(&house, folder.path(), &seeder).await;
    torrent.select(vec![true, false, true, false]).await;
    wait_for(&torrent, |status| status.state == State::Seeding && status.progress.bytes_have > 0).await;
    house.engine.shutdown().await;
    assert_eq!(names(&folder.path().join("set")), ["0", "2"]);
    set.assert_file(folder.path(), 0);
    set.assert_file(folder.path(), 2);

    // The next run knows what was wanted, and looks at nothing again.
    let house = House::at(house.state.clone(), |_| {}).await;
    let kind = Kind::Disk { dir: folder.path().to_path_buf() };
    let torrent = house.engine.add(&set.source(), AddOptions::new(kind)).unwrap();
    torrent.add_peers(vec![seeder.address()]).await;
    let status = wait_for(&torrent, |status| status.state == State::Seeding).await;
    assert_eq!((status.totals.payload_received, status.checked), (0, None));
    assert_eq!(names(&folder.path().join("set")), ["0", "2"]);
    torrent.select(vec![true; 4]).await;
    wait_for(&torrent, |status| status.progress.bytes_have == 500_000).await;
    house.engine.shutdown().await;
    assert_eq!(names(&folder.path().join("set")), ["0", "1", "2", "3"]);
    assert_eq!(names(folder.path()), ["set"], "the part file is gone");
    (0..3).for_each(|nth| set.assert_file(folder.path(), nth));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_counts_by_new_priorities_as_soon_as_they_are_told() {
    let set = Set::new(&[100_000, 300_000]);
    let seeder = set.seeder().await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = set.fetch(&house, folder.path(), &seeder).await;
    torrent.select(vec![true, false]).await;
    wait_for(&torrent, |status| status.state == State::Seeding && status.progress.bytes_have > 0).await;
    // Whoever looks now must not take the end of the first file for the end of both.
    torrent.select(vec![true, true]).await;
    assert_eq!(torrent.status().progress.bytes_selected, 400_000);
    wait_for(&torrent, |status| status.progress.bytes_have == 400_000).await;
    house.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_high_priority_comes_first() {
    let set = Set::new(&[2 * MIB, 2 * MIB, 2 * MIB]);
    let seeder = set.seeder().await;
    let house = House::with(|config| config.swarm.download_limit = Some(2 * MIB)).await;
    let folder = tempfile::tempdir().unwrap();
    let torrent = set.fetch(&house, folder.path(), &seeder).await;
    torrent.prioritize(vec![Priority::Low, Priority::Normal, Priority::High]).await;
    // When half of it is there, most of that is of the last file, and next to nothing of the first.
    let store = ready(&torrent).await.store.clone();
    wait_for(&torrent, |status| status.fraction() > 0.45).await;
    let per_file = store.have_all().iter().fold([0; 3], |mut counts, piece| {
        counts[piece.as_usize() / 32] += 1;
        counts
    });
    assert!(per_file[2] >= 28 && per_file[0] <= 2, "{per_file:?}");
    house.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_renamed_and_moved_while_they_arrive_and_found_again() {
    let set = Set::new(&[3 * MIB, 2 * MIB]);
    let seeder = set.seeder().await;
    let house = House::with(|config| config.swarm.download_limit = Some(4 * MIB)).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let torrent = set.fetch(&house, from.path(), &seeder).await;
    torrent.select(vec![true, true]).await;
    wait_for(&torrent, |status| status.fraction() > 0.2).await;
    torrent.rename(FileIndex(1), vec!["other name".to_owned()]).await.unwrap();
    wait_for(&torrent, |status| status.fraction() > 0.4).await;
    torrent.move_to(to.path().join("below")).await.unwrap();
    wait_complete(&torrent).await;
    house.engine.shutdown().await;
    assert_eq!(names(from.path()), Vec::<String>::new());
    let below = to.path().join("below");
    set.assert_file(&below, 0);
    assert!(std::fs::read(below.join("other name")).unwrap() == set.files[1]);

    let house = House::at(house.state.clone(), |_| {}).await;
    let torrent = house.engine.add(&set.source(), AddOptions::new(Kind::Disk { dir: below })).unwrap();
    let status = wait_complete(&torrent).await;
    assert_eq!((status.progress.bytes_have, status.checked), (5 * MIB, None));
    let refused = torrent.rename(FileIndex(0), vec!["other name".to_owned()]).await;
    assert!(refused.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_pieces_under_way_are_not_fetched_again_after_a_stop() {
    let film = Arc::new(Film::new(16 * MIB, 4 * MIB as u32));
    let slow = film.seeder(Some(4 * MIB)).await;
    let (house, folder) = (House::new().await, tempfile::tempdir().unwrap());
    let torrent = house.fetch(&film.source(), folder.path(), &[slow.address()]).await;
    wait_for(&torrent, |status| status.totals.payload_received > 6 * MIB).await;
    house.engine.shutdown().await;
    let first = torrent.status().totals.payload_received;
    assert!(first < film.length() - 4 * MIB, "it was stopped too late: {first}");

    let again = House::at(house.state.clone(), |_| {}).await;
    let torrent = again.fetch(&film.source(), folder.path(), &[slow.address()]).await;
    let second = wait_complete(&torrent).await.totals.payload_received;
    again.engine.shutdown().await;
    film.assert_file(folder.path());
    // What was on its way at the stop is all that may come twice.
    assert!(first + second <= film.length() + MIB, "{first} and {second} bytes for {}", film.length());
}

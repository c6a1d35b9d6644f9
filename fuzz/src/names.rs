//! What must hold for any name of a torrent or file.

use afflux_media::release::{self, Release};

/// The name of a torrent, and one of a file on each line: no panic, nothing beyond its limits, every file in the pack once.
pub fn release_name(data: &[u8]) {
    use afflux_media::limits::{EPISODES_MAX, NAME_BYTES_MAX, SEASONS_MAX};
    let text = String::from_utf8_lossy(data);
    let is_bounded = |release: &Release| {
        release.title.len() <= NAME_BYTES_MAX
            && release.seasons.len() <= SEASONS_MAX
            && release.episodes.len() <= EPISODES_MAX
            && release.absolute_episodes.len() <= EPISODES_MAX
    };
    assert!(is_bounded(&release::parse(&text)) && is_bounded(&release::parse_path(&text)));
    let paths: Vec<&str> = text.lines().take(64).collect();
    let pack = release::pack(&paths);
    let episodes = pack.seasons.iter().flat_map(|season| &season.episodes).chain(&pack.specials);
    let others = [&pack.extras, &pack.samples, &pack.films, &pack.others];
    assert_eq!(episodes.count() + others.map(Vec::len).iter().sum::<usize>(), paths.len());
}

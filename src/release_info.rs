//! `release`: what a torrent's or a file's name says, in the JSON shape that scripts and users rely on.

use afflux_media::release::{self, Release};
use serde::Serialize;
use utoipa::ToSchema;

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "title": "The Long Way Home", "seasons": [2], "episodes": [5], "absoluteEpisodes": [], "resolution": "1080p", "source": "web",
    "videoCodec": "avc", "audio": ["aac"], "hdr": [], "languages": ["en"], "group": "GROUP", "container": "mkv",
}))]
pub struct ReleaseInfo {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    year: Option<u16>,
    seasons: Vec<u16>,
    episodes: Vec<u16>,
    /// Counted from the first of all.
    absolute_episodes: Vec<u16>,
    /// Of what is on every day: `2026-11-24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    /// `480p` to `4320p`.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    video_codec: Option<&'static str>,
    audio: Vec<&'static str>,
    hdr: Vec<&'static str>,
    /// ISO 639-1.
    languages: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edition: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'static str>,
}

impl ReleaseInfo {
    /// Of a torrent's name, or of a file's path: the folders above a file say what its own name leaves out.
    pub fn of(name: &str) -> Self {
        release::parse(name).into()
    }
}

impl From<Release> for ReleaseInfo {
    fn from(release: Release) -> Self {
        Self {
            title: release.title,
            year: release.year,
            seasons: release.seasons,
            episodes: release.episodes,
            absolute_episodes: release.absolute_episodes,
            date: release.date.map(|date| date.to_string()),
            resolution: release.resolution.map(|resolution| resolution.as_str()),
            source: release.source.map(|source| source.as_str()),
            video_codec: release.video_codec.map(|codec| codec.as_str()),
            audio: release.audio.into_iter().map(|audio| audio.as_str()).collect(),
            hdr: release.hdr.into_iter().map(|hdr| hdr.as_str()).collect(),
            languages: release.languages.into_iter().map(|language| language.alpha2()).collect(),
            edition: release.edition.map(|edition| edition.as_str()),
            group: release.group,
            container: release.container,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_folders_say_what_its_name_leaves_out() {
        let info =
            ReleaseInfo::of("The.Long.Way.Home.S02.1080p.WEB-DL.x264-GRP/The.Long.Way.Home.S02E05.mkv");
        let told = serde_json::to_value(&info).unwrap();
        assert_eq!((&told["title"], &told["seasons"]), (&"The Long Way Home".into(), &vec![2].into()));
        assert_eq!((&told["episodes"], &told["resolution"]), (&vec![5].into(), &"1080p".into()));
        assert_eq!(told["container"], "mkv");
        assert!(told.get("year").is_none(), "what isn't said is left out: {told}");
    }
}

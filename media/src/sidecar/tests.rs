use proptest::prelude::*;

use super::*;

/// The paths that are a video's, each with what is known of it.
fn found(video: &str, files: &[&str]) -> Vec<String> {
    let shown = |sidecar: &Sidecar| {
        let language = sidecar.language.map(|tag| format!(" {tag}")).unwrap_or_default();
        format!("{:?} {}{language}", sidecar.rank, files[sidecar.index])
    };
    sidecars(video, files).iter().map(shown).collect()
}

#[test]
fn a_subtitle_with_the_videos_name_is_its() {
    let files = [
        "Film.2020.mkv",
        "Film.2020.srt",
        "Film.2020.en.srt",
        "film 2020_fr.ASS",
        "Film.2020.nfo",
        "Film.2020x.srt",
    ];
    let expected = [
        "SameName Film.2020.srt",
        "NameAndLabels Film.2020.en.srt en",
        "NameAndLabels film 2020_fr.ASS fr",
        "OnlyVideo Film.2020x.srt",
    ];
    assert_eq!(found("Film.2020.mkv", &files), expected);
}

#[test]
fn a_subtitle_is_of_the_video_with_the_longest_name() {
    let files = ["Film.mkv", "Film.2.mkv", "Film.en.srt", "Film.2.en.srt", "Film.2.srt", "Other.srt"];
    assert_eq!(found("Film.mkv", &files), ["NameAndLabels Film.en.srt en"]);
    assert_eq!(found("Film.2.mkv", &files), ["SameName Film.2.srt", "NameAndLabels Film.2.en.srt en"]);
}

#[test]
fn the_same_name_in_another_season_is_another_videos() {
    let files = ["S1/01.mkv", "S2/01.mkv", "S1/01.srt", "S2/01.srt", "S2/Subs/01.en.srt", "Subs/01.de.srt"];
    let expected =
        ["SameName S2/01.srt", "NameAndLabels S2/Subs/01.en.srt en", "NameAndLabels Subs/01.de.srt de"];
    assert_eq!(found("S2/01.mkv", &files), expected);
}

#[test]
fn a_name_that_one_video_has_is_its_in_any_folder() {
    let files = ["Episodes/a.mkv", "Episodes/b.mkv", "Legendas/a.srt", "Legendas/b.pt.srt"];
    assert_eq!(found("Episodes/a.mkv", &files), ["SameName Legendas/a.srt"]);
    assert_eq!(found("Episodes/b.mkv", &files), ["NameAndLabels Legendas/b.pt.srt pt"]);
}

#[test]
fn a_folder_with_the_videos_name_holds_its_subtitles() {
    let files = [
        "Show.S01E01.mkv",
        "Show.S01E02.mkv",
        "Subs/Show.S01E01/2_English.srt",
        "Subs/Show.S01E02/2_English.srt",
        "Subs/Show.S01E02/3_German.srt",
    ];
    let expected = ["Folder Subs/Show.S01E02/2_English.srt en", "Folder Subs/Show.S01E02/3_German.srt de"];
    assert_eq!(found("Show.S01E02.mkv", &files), expected);
}

#[test]
fn a_folder_with_other_videos_says_nothing_of_whose_it_is() {
    let files = ["S/Ep1/Ep1.mkv", "S/Ep1/English.srt", "S/Ep2/Ep2.mkv", "S/Ep2/German.srt"];
    assert_eq!(found("S/Ep1/Ep1.mkv", &files), ["Folder S/Ep1/English.srt en"]);
    let files = ["Film/Film.mkv", "Film/Film 2.mkv", "Film/Subs/English.srt", "Film/Subs/Film/de.srt"];
    assert_eq!(found("Film/Film.mkv", &files), ["Folder Film/Subs/Film/de.srt de"]);
    assert!(found("Film/Film 2.mkv", &files).is_empty());
}

#[test]
fn a_folder_may_say_the_language() {
    let files =
        ["It/It.mkv", "It/It.srt", "It/Subs/English/It.srt", "It/Subs/Forced/It.de.srt", "It/Subs/It.fr.srt"];
    let expected = [
        "SameName It/It.srt",
        "SameName It/Subs/English/It.srt en",
        "NameAndLabels It/Subs/Forced/It.de.srt de",
        "NameAndLabels It/Subs/It.fr.srt fr",
    ];
    assert_eq!(found("It/It.mkv", &files), expected);
    assert!(sidecars("It/It.mkv", &files)[2].is_forced);
}

#[test]
fn episodes_are_paired_by_their_numbers() {
    let files = [
        "Show.S01E01.1080p.mkv",
        "Show.S01E02.1080p.mkv",
        "Subs/show - 1x01 - eng.srt",
        "Subs/show - 1x02 - eng.srt",
        "Subs/s01e02/German.srt",
    ];
    let expected = ["Episode Subs/show - 1x02 - eng.srt en", "Episode Subs/s01e02/German.srt de"];
    assert_eq!(found("Show.S01E02.1080p.mkv", &files), expected);
}

#[test]
fn all_are_of_the_only_video_whatever_its_sample_is() {
    let files =
        ["Film/a.film.mkv", "Film/Sample/sample-a.film.mkv", "Film/Subs/English.srt", "Film/Subs/x/fre.srt"];
    let expected = ["OnlyVideo Film/Subs/English.srt en", "OnlyVideo Film/Subs/x/fre.srt fr"];
    assert_eq!(found("Film/a.film.mkv", &files), expected);
    let files = ["a.mkv", "b.mkv", "Subs/English.srt"];
    assert!(found("a.mkv", &files).is_empty());
}

#[test]
fn vobsub_is_two_files_and_one_subtitle() {
    let files = ["a.mkv", "a.SUB", "a.idx", "a.en.sub"];
    let both = sidecars("a.mkv", &files);
    let shown: Vec<_> =
        both.iter().map(|sidecar| (sidecar.index, sidecar.pictures, sidecar.format)).collect();
    assert_eq!(shown, [(2, Some(1), Some(Format::VobSub)), (3, None, None)]);
}

#[test]
fn there_are_no_more_than_the_limit() {
    let names: Vec<String> = (0..1000).map(|number| format!("a.{number}.srt")).collect();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(sidecars("a.mkv", &files).len(), SIDECARS_MAX);
    let long = "a".repeat(SIDECAR_PATH_BYTES_MAX);
    assert!(sidecars(&format!("{long}.mkv"), &[&format!("{long}.srt")]).is_empty());
}

proptest! {
    #[test]
    fn any_paths_are_paired_or_not(video: String, files: Vec<String>, names in "[aé]\\.([aé. _-]|en|hi|S01E02|/|Subs){0,6}\\.(srt|sub|idx|mkv)") {
        let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
        files.push(&names);
        for video in [video.as_str(), "a.mkv", "é.mkv"] {
            let found = sidecars(video, &files);
            prop_assert!(found.iter().all(|sidecar| sidecar.index < files.len()));
        }
    }
}

//! Names invented for these tests.

use proptest::prelude::*;

use super::table::{EDITIONS, NETWORKS, QUALITIES, Row};
use super::tongues::TONGUES;
use super::*;
use crate::limits::{EPISODES_MAX, SEASONS_MAX};

fn counted(name: &str) -> (String, Vec<u16>, Vec<u16>) {
    let release = parse(name);
    (release.title, release.seasons, release.episodes)
}

fn languages(name: &str) -> String {
    let codes: Vec<&str> = parse(name).languages.iter().map(|language| language.alpha2()).collect();
    codes.join(",")
}

fn title_and_year(name: &str) -> (String, Option<u16>) {
    let release = parse(name);
    (release.title, release.year)
}

fn group(name: &str) -> Option<String> {
    parse(name).group
}

#[test]
fn a_film_s_name_says_everything() {
    let release = parse(
        "The.Paper.Harbour.2011.Extended.Cut.PROPER.2160p.UHD.BluRay.REMUX.HDR10.DV.HEVC.TrueHD.7.1.Atmos-LNTRN.mkv",
    );
    let expected = Release {
        title: "The Paper Harbour".to_owned(),
        year: Some(2011),
        resolution: Some(Resolution::P2160),
        source: Some(Source::BluRay),
        video_codec: Some(VideoCodec::Hevc),
        audio: vec![Audio::TrueHd, Audio::Atmos],
        hdr: vec![Hdr::Hdr, Hdr::DolbyVision],
        edition: Some(Edition::Extended),
        group: Some("LNTRN".to_owned()),
        container: Some("mkv"),
        is_proper: true,
        is_remux: true,
        ..Release::default()
    };
    assert_eq!(release, expected);
    assert_eq!(Source::BluRay.family(), Family::BluRay);
}

#[test]
fn years_in_titles_stay_there() {
    for (name, title, year) in [
        ("Lighthouse.1902.2015.720p.WEB-DL.x264-QRTZ", "Lighthouse 1902", Some(2015)),
        ("2031 (2019) 1080p", "2031", Some(2019)),
        ("1931", "1931", None),
        ("1931.1080p.BluRay", "1931", None),
        ("Harbour (1988) 1080p", "Harbour", Some(1988)),
        ("Harbour Tales 1990-1994 DVDRip", "Harbour Tales", Some(1990)),
        ("(612) Nights of Rain 2009 BDRip", "612) Nights of Rain", Some(2009)),
    ] {
        assert_eq!(title_and_year(name), (title.to_owned(), year), "{name}");
    }
}

#[test]
fn words_of_the_trade_stay_in_titles() {
    for (name, title) in [
        ("The.Web.of.Glass.2014.1080p.WEB.H264-QRTZ", "The Web of Glass"),
        ("Uncut Amber 2018 720p", "Uncut Amber"),
        ("The French Gardener (2004)", "The French Gardener"),
        ("Max and the Complete Fox 2001 DVDRip", "Max and the Complete Fox"),
        ("Half Is (Not) Enough (2012) [1080p]", "Half Is (Not) Enough"),
    ] {
        assert_eq!(parse(name).title, title, "{name}");
    }
}

#[test]
fn languages_before_the_year_are_none_of_the_title() {
    let release = parse("Sea.of.Quiet.Bells.FRENCH.2015.1080p.BluRay.x264-QRTZ");
    assert_eq!(release.title, "Sea of Quiet Bells");
    assert_eq!(release.languages, [Language::from_code("fr").unwrap()]);
}

#[test]
fn seasons_and_episodes_are_counted_in_many_ways() {
    for (name, seasons, episodes) in [
        ("Glass Tide S02E07 720p", &[2][..], &[7][..]),
        ("Glass.Tide.S02E07E08.HDTV", &[2], &[7, 8]),
        ("Glass.Tide.S02E07-09.HDTV", &[2], &[7, 8, 9]),
        ("Glass.Tide.S02E07-E09.HDTV", &[2], &[7, 8, 9]),
        ("Glass Tide 3x11", &[3], &[11]),
        ("Glass.Tide.S01-S03.1080p", &[1, 2, 3], &[]),
        ("Glass Tide Season 2 Episode 5", &[2], &[5]),
        ("Glass Tide Seasons 1-3 DVDRip", &[1, 2, 3], &[]),
        ("Glass Tide (Season 1,2,3&4)", &[1, 2, 3, 4], &[]),
        ("Glass Tide 4th Season", &[4], &[]),
        ("Marea de Cristal - Temporada 3 [HDTV][Cap.304]", &[3], &[4]),
        ("Стеклянный прилив (2 сезон: 1 серия из 8)", &[2], &[1]),
        ("Glass.Tide.S2014E09.1080p", &[2014], &[9]),
        ("Glass.Tide.1940x02.mkv", &[1940], &[2]),
        ("Glass Tide [03/12]", &[], &[3]),
        ("Glass Tide 5of9 DVDRip", &[], &[5]),
        ("glass.tide.214.hdtv-qrtz", &[2], &[14]),
    ] {
        let (_, said_seasons, said_episodes) = counted(name);
        assert_eq!((said_seasons.as_slice(), said_episodes.as_slice()), (seasons, episodes), "{name}");
    }
}

#[test]
fn numbers_that_nothing_marks_count_from_the_first() {
    for (name, title, episodes) in [
        ("[Kumo] Glass Tide - 07 [1080p][0A1B2C3D].mkv", "Glass Tide", &[7][..]),
        ("[Kumo]_Glass_Tide_-_07v2_[720p].mkv", "Glass Tide", &[7]),
        ("[Kumo] Glass Tide 2099 - 12 (720p)", "Glass Tide 2099", &[12]),
        ("[Kumo] Glass Tide 100 - 03 [1080p]", "Glass Tide 100", &[3]),
        ("[Kumo][Glass Tide][05][1080p]", "Glass Tide", &[5]),
        ("[Kumo] Glass Tide - 01-12 [BD 1080p]", "Glass Tide", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ("Glass Tide Episode 512 VOSTFR", "Glass Tide", &[512]),
        ("Glass Tide #31", "Glass Tide", &[31]),
    ] {
        let release = parse(name);
        assert_eq!(release.title, title, "{name}");
        assert_eq!(release.episodes, episodes, "{name}");
        assert_eq!(release.absolute_episodes, episodes, "{name}");
        assert!(release.seasons.is_empty(), "{name}");
    }
}

#[test]
fn what_is_on_every_day_is_dated() {
    for name in [
        "Late.Harbour.2018.03.09.Some.Guest.720p.WEB.h264-QRTZ",
        "Late Harbour 09-03-2018 HDTV",
        "Late Harbour 9th March 2018 WEBRip",
        "Late Harbour March 9, 2018",
        "Late.Harbour.20180309.720p",
        "Late.Harbour.18.03.09.720p",
    ] {
        let release = parse(name);
        assert_eq!(release.title, "Late Harbour", "{name}");
        assert_eq!(release.date, Some(Date { year: 2018, month: 3, day: 9 }), "{name}");
        assert_eq!(release.date.map(|date| date.to_string()).as_deref(), Some("2018-03-09"));
    }
}

#[test]
fn may_is_a_month_before_it_is_malay() {
    let release = parse("Late Harbour S02E03 May 23, 2014");
    assert_eq!(release.date, Some(Date { year: 2014, month: 5, day: 23 }));
    assert_eq!(release.languages, []);
}

#[test]
fn days_that_are_in_no_calendar_are_no_dates() {
    for name in ["Late.Harbour.2018.13.32.720p", "Late.Harbour.2018.00.10", "Late Harbour 31-04-2018"] {
        assert_eq!(parse(name).date, None, "{name}");
    }
}

#[test]
fn groups_are_behind_a_dash_or_in_the_first_brackets() {
    for (name, expected) in [
        ("Glass.Tide.2011.1080p.BluRay.x264-QRTZ", Some("QRTZ")),
        ("Glass.Tide.2011.1080p.BluRay.x264-QRTZ[site].mkv", Some("QRTZ")),
        ("Glass.Tide.2011.1080p.BluRay.x264-QRTZ-Rakuv", Some("QRTZ")),
        ("Glass.Tide.2011.1080p.BluRay.x264.D-QR7", Some("D-QR7")),
        ("Glass Tide (2011) (1080p BluRay x265 QRTZ)", Some("QRTZ")),
        ("Glass Tide 2011 720p BluRay x264 - QRTZ", Some("QRTZ")),
        ("Glass Tide - 03 [Kumo][720p][0A1B2C3D].mkv", Some("Kumo")),
        ("Glass.Tide.S01E02.720p.WEBRip.x264-QRTZ_English", Some("QRTZ")),
        ("[Kumo-Subs] Glass Tide - 03 [720p].mkv", Some("Kumo-Subs")),
        ("Glass.Tide.S01E02.Low.Water.WEB-DL", None),
        ("Glass Tide", None),
    ] {
        assert_eq!(group(name).as_deref(), expected, "{name}");
    }
}

#[test]
fn languages_are_told_by_words_and_by_codes_among_others() {
    for (name, expected) in [
        ("Glass.Tide.2011.iTALiAN.1080p.BluRay.x264-QRTZ", "it"),
        ("Glass Tide 2011 BDRip [Hindi + English] x264", "en,hi"),
        ("Glass Tide (2011) [1080p] [ENG-SPA]", "en,es"),
        ("Glass.Tide.2011.VOSTFR.720p.WEB.H264", "fr"),
        ("Glass Tide 2011 [Lektor PL] DVDRip", "pl"),
        ("Glass.Tide.2011.SWESUB.DANSUB.720p.WEB-DL", "da,sv"),
        ("Subs/Glass.Tide.2011.pt.srt", "pt"),
        ("2_English.srt", "en"),
        ("Glass.Tide.2011.1080p.WEB-DL.H.264-NL", ""),
        ("Glass Tide is in it 2011 720p", ""),
    ] {
        assert_eq!(languages(name), expected, "{name}");
    }
}

#[test]
fn a_title_in_two_scripts_is_told_in_latin_letters() {
    for (name, title) in [
        ("Стеклянный прилив / Glass Tide (2011) BDRip", "Glass Tide"),
        ("Стеклянный прилив (Glass Tide) 2011 BDRip 1080p", "Glass Tide"),
        ("玻璃潮汐.Glass.Tide.2011.1080p.WEB-DL", "Glass Tide"),
        ("[雲字幕][玻璃潮汐][Glass Tide][03][1080p]", "Glass Tide"),
        ("Стеклянный прилив 2011 BDRip", "Стеклянный прилив"),
    ] {
        assert_eq!(parse(name).title, title, "{name}");
    }
}

#[test]
fn a_name_with_no_title_has_none() {
    for name in ["S02E04.720p.BluRay-QRTZ", "2x05.1080p.WEB.H264-QRTZ.mkv", "", "...", "[]"] {
        assert_eq!(parse(name).title, "", "{name}");
    }
    assert_eq!(group("S02E04.720p.BluRay-QRTZ").as_deref(), Some("QRTZ"));
}

#[test]
fn words_that_were_not_separated_are_two() {
    let release = parse("Glass.TideS02E03.Bluray1080p.AC3x264");
    assert_eq!(release.title, "Glass Tide");
    assert_eq!((release.seasons, release.episodes), (vec![2], vec![3]));
    assert_eq!(release.resolution, Some(Resolution::P1080));
    assert_eq!(release.video_codec, Some(VideoCodec::Avc));
}

#[test]
fn addresses_and_checksums_say_nothing() {
    for name in [
        "www.example.org - Glass Tide 2011 720p",
        "[ www.example.org ] Glass Tide 2011 720p",
        "[example.org] Glass Tide 2011 720p [DEADBEE5]",
    ] {
        let release = parse(name);
        assert_eq!(release.title, "Glass Tide", "{name}");
        assert_eq!(release.group, None, "{name}");
    }
}

#[test]
fn sizes_in_pixels_are_lines_by_their_width() {
    for (name, resolution) in [
        ("Glass Tide [1920x800]", Resolution::P1080),
        ("Glass Tide (1280*720)", Resolution::P720),
        ("Glass Tide [720]", Resolution::P720),
        ("Glass Tide 1080i HDTV", Resolution::I1080),
        ("Glass Tide 4K WEB-DL", Resolution::P2160),
        ("Glass Tide UHD BluRay 1080p", Resolution::P1080),
    ] {
        assert_eq!(parse(name).resolution, Some(resolution), "{name}");
    }
}

#[test]
fn folders_say_what_the_file_does_not() {
    let release = parse_path("/srv/TV Shows/Glass Tide (2011)/Season 2/E07 - Low Water.mkv");
    assert_eq!(release.title, "Glass Tide");
    assert_eq!((release.year, release.seasons, release.episodes), (Some(2011), vec![2], vec![7]));

    let release = parse_path("Movies/Glass.Tide.2011.720p.BluRay.x264-QRTZ/qrtz-gt.mkv");
    assert_eq!((release.title.as_str(), release.year), ("Glass Tide", Some(2011)));
    assert_eq!(release.group.as_deref(), Some("QRTZ"));
    assert_eq!(release.container, Some("mkv"));

    let release = parse_path("Glass Tide S01-S04\\Season 3\\Glass Tide - 3x05.avi");
    assert_eq!((release.title.as_str(), release.seasons), ("Glass Tide", vec![3]));
}

#[test]
fn a_pack_is_in_the_order_in_which_people_watch_it() {
    let paths = [
        "Glass Tide/Season 2/Glass.Tide.S02E10.mkv",
        "Glass Tide/Season 2/Glass.Tide.S02E02.mkv",
        "Glass Tide/Season 1/Glass.Tide.S01E01-E02.mkv",
        "Glass Tide/Season 1/Glass.Tide.S01E03.mkv",
        "Glass Tide/Specials/Glass.Tide.S00E01.mkv",
        "Glass Tide/Extras/Interview with the crew.mkv",
        "Glass Tide/Sample/glass.tide.s01e01.sample.mkv",
        "Glass Tide/Season 1/Glass.Tide.S01E03.srt",
        "Glass Tide/The Making.mkv",
    ];
    let pack = pack(&paths);
    let seasons: Vec<(Option<u16>, Vec<usize>)> = pack
        .seasons
        .iter()
        .map(|season| (season.number, season.episodes.iter().map(|episode| episode.file).collect()))
        .collect();
    assert_eq!(seasons, [(Some(1), vec![2, 3]), (Some(2), vec![1, 0])]);
    assert_eq!(pack.seasons[0].episodes[0].numbers, [1, 2]);
    assert_eq!(pack.specials.iter().map(|episode| episode.file).collect::<Vec<_>>(), [4]);
    assert_eq!((pack.extras, pack.samples), (vec![5], vec![6]));
    assert_eq!((pack.films, pack.others), (vec![8], vec![7]));
}

#[test]
fn ranges_are_no_longer_than_the_limits() {
    for name in ["Title S1-S9999", "Title S01E1-E65535", "Title E00001-E65535", "Title Seasons 1 to 9999"] {
        let release = parse(name);
        assert!(release.seasons.len() <= SEASONS_MAX, "{name}");
        assert!(release.episodes.len() <= EPISODES_MAX, "{name}");
    }
}

#[test]
fn a_name_is_read_up_to_the_limit_in_whole_letters() {
    let long = "é".repeat(NAME_BYTES_MAX);
    assert_eq!(parse(&long).title.len(), NAME_BYTES_MAX);
    assert_eq!(parse(&format!("é{}", "a".repeat(NAME_BYTES_MAX))).title.len(), NAME_BYTES_MAX);
}

#[test]
fn the_tables_are_in_order() {
    for table in [QUALITIES, EDITIONS, NETWORKS, TONGUES] {
        let two_out_of_order = table.windows(2).find(|two: &&[Row]| two[0].0 >= two[1].0);
        assert_eq!(two_out_of_order, None);
    }
    for (key, meaning, _) in TONGUES {
        let Meaning::Language(code) = meaning else { panic!("{key} is no language") };
        assert!(Language::from_code(code).is_some(), "{key}: {code}");
    }
}

/// Names of what names are made of, so that the recognisers meet each other.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Glass", "the", "S01E02", "s1", "1x02", "E05", "2011", "1080p", "720", "x264", "WEB", "DL", "FRENCH",
        "ENG", "Season", "-", " - ", ".", " ", "_", "[", "]", "(", ")", "/", "12", "07v2", "of", "DTS", "HD",
        "MA", "5", "1", "aka", "й", "第01話", "www", "com", "#", "99999", "Cap", "304", "May", "23", "\u{0}",
        "🎬",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn holds(name: &str) -> Result<(), TestCaseError> {
    for release in [parse(name), parse_path(name)] {
        prop_assert!(release.title.len() <= NAME_BYTES_MAX);
        prop_assert!(release.seasons.len() <= SEASONS_MAX);
        prop_assert!(release.episodes.len() <= EPISODES_MAX);
        prop_assert!(release.absolute_episodes.len() <= EPISODES_MAX);
        prop_assert!(release.languages.is_sorted() && release.audio.is_sorted() && release.hdr.is_sorted());
        prop_assert!(release.group.is_none_or(|group| !group.is_empty()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_within_the_limits(name in ".{0,200}") {
        holds(&name)?;
    }

    #[test]
    fn any_name_of_usual_pieces_is_read_within_the_limits(name in pieces()) {
        holds(&name)?;
    }

    #[test]
    fn every_file_of_a_pack_is_somewhere_once(paths in prop::collection::vec(pieces(), 0..8)) {
        let paths: Vec<String> = paths.into_iter().map(|path| format!("{path}.mkv")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let pack = pack(&paths);
        let episodes = pack.seasons.iter().flat_map(|season| &season.episodes).chain(&pack.specials);
        let mut files: Vec<usize> = episodes.map(|episode| episode.file).collect();
        files.extend([pack.extras, pack.samples, pack.films, pack.others].concat());
        files.sort_unstable();
        prop_assert_eq!(files, (0..paths.len()).collect::<Vec<_>>());
    }
}

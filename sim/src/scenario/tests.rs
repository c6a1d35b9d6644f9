use std::collections::BTreeSet;
use std::time::Duration;

use super::builtin::{self, Builtin};
use super::mistake::{FileError, Kind};
use super::*;

const SMALL: &str = r#"
name = "small"
about = "A seed and a viewer"
network = "fluid"
limit = "10 min"
[content]
length = "16 MiB"
piece-length = "256 KiB"
media-rate = "1 Mbit/s"
[[group]]
name = "seed"
role = "seed"
up = "1 MiB/s"
down = "1 MiB/s"
[[group]]
name = "viewer"
role = "viewer"
up = "1 MiB/s"
down = "1 MiB/s"
"#;

/// The only mistake of a text.
fn mistake(text: &str) -> Mistake {
    let error = Scenario::parse(text).expect_err("there is a mistake in it");
    assert_eq!(error.mistakes().len(), 1, "{error}");
    error.mistakes()[0].clone()
}

/// The only mistake after a replacement in the small scenario.
fn changed(from: &str, to: &str) -> Mistake {
    assert!(SMALL.contains(from), "{from}");
    mistake(&SMALL.replacen(from, to, 1))
}

/// The only mistake with another line in the last group.
fn viewer_with(line: &str) -> Mistake {
    mistake(&format!("{SMALL}{line}\n"))
}

/// The viewers' group with more lines, beside somebody who can be compared in any case.
fn viewer(lines: &str) -> Group {
    const OTHER: &str = "[[group]]\nname = \"other\"\nrole = \"leecher\"\nup = \"1 MB/s\"\ndown = \"1 MB/s\"";
    let text = format!("{SMALL}{lines}\n{OTHER}\n");
    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{}", error.render("viewer")));
    scenario.groups[1].clone()
}

#[test]
fn every_builtin_scenario_can_be_read_and_has_its_file_s_name() {
    for builtin in builtin::ALL {
        let scenario = builtin.scenario().unwrap_or_else(|error| panic!("{}", error.render(builtin.name)));
        assert_eq!(scenario.name, builtin.name);
    }
    let names: BTreeSet<&str> = builtin::ALL.iter().map(|builtin| builtin.name).collect();
    assert_eq!(names.len(), builtin::ALL.len());
}

#[test]
fn builtin_scenarios_are_found_by_name() {
    assert_eq!(builtin::find("lossy").map(|Builtin { name, .. }| name), Some("lossy"));
    assert_eq!(builtin::find("lossless"), None);
    assert_eq!(builtin::closest("flashcrowd"), Some("flash-crowd"));
}

#[test]
fn what_a_file_leaves_out_has_the_usual_value() {
    let group = viewer("");
    assert_eq!(group.count, 1);
    assert_eq!(group.manner, Manner::Honest);
    assert_eq!(group.arrival, Arrival::At(Duration::ZERO));
    assert_eq!(group.stay, Stay::Always);
    assert_eq!(group.strategy, None);
    assert!(!group.nat);
    assert!(group.counted());
}

#[test]
fn what_a_file_says_is_what_is_simulated() {
    let group = viewer(
        r#"
        count = 3
        manner = "free-rider"
        arrival = { poisson = "6 /min" }
        stay = { after-done = "30 s" }
        latency = "40 ms"
        queue = "64 KiB"
        disk-latency = "8 ms"
        disk-faults = "1 %"
        upload-limit = "100 KiB/s"
        nat = true
        strategy = "rarest"
        connections-max = 0x10
        unchoke-slots = 2
        player = { start = "50 %", start-buffer = "5 s", tail-first = true, seeks = { at = [["1 min", "10 %"]] } }
        "#,
    );
    assert_eq!(group.count, 3);
    assert_eq!(group.manner, Manner::FreeRider);
    assert_eq!(group.arrival, Arrival::Poisson { rate: 0.1 });
    assert_eq!(group.stay, Stay::AfterDone(Duration::from_secs(30)));
    let rate = 1 << 20;
    let latency = Duration::from_millis(40);
    assert_eq!(group.access, Access { up: rate, down: rate, latency, loss: 0.0, queue: 64 << 10 });
    assert_eq!(group.limits, Limits { up: Some(100 << 10), down: None });
    assert_eq!(group.disk, Disk { latency: Duration::from_millis(8), faults: 0.01 });
    assert!(group.nat);
    assert_eq!(group.strategy.as_deref(), Some("rarest"));
    assert_eq!((group.connections_max, group.unchoke_slots), (16, 2));
    let seeks = Seeks::At(vec![(Duration::from_secs(60), 0.1)]);
    let start_buffer = Duration::from_secs(5);
    assert_eq!(group.role, Role::Viewer(Player { start: 0.5, start_buffer, tail_first: true, seeks }));
    assert!(!group.counted());
}

#[test]
fn a_mistake_names_line_column_field_and_what_is_allowed() {
    let mistake = changed("up = \"1 MiB/s\"", "up = \"1 MiB\"");
    assert_eq!(mistake.kind, Kind::BadValue);
    assert_eq!((mistake.line, mistake.column, mistake.width), (13, 6, 7));
    assert_eq!(mistake.field, "group[1].up");
    assert_eq!(mistake.found, "\"1 MiB\"");
    assert!(mistake.allowed.contains("1 KiB/s to 16 GiB/s"), "{}", mistake.allowed);
    assert_eq!(mistake.meant.as_deref(), Some("\"1 MiB/s\""));
}

#[test]
fn a_report_shows_the_line_and_marks_the_place() {
    let error = Scenario::parse(&SMALL.replacen("\"1 MiB/s\"", "\"fast\"", 1)).unwrap_err();
    let report = error.render("small.toml");
    assert!(report.starts_with("small.toml:13:6: group[1].up is \"fast\": a rate from"), "{report}");
    assert!(report.ends_with("\n   |\n13 | up = \"fast\"\n   |      ^^^^^^\n"), "{report}");
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_text() {
    let text =
        SMALL.replace("\"fluid\"", "\"liquid\"").replace("\"256 KiB\"", "256").replace("limit", "limt");
    let error = Scenario::parse(&text).unwrap_err();
    let fields: Vec<&str> = error.mistakes().iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(fields, ["limit", "network", "limt", "content.piece-length"]);
    assert_eq!(error.mistakes()[2].meant.as_deref(), Some("limit"));
}

#[test]
fn a_field_that_does_not_exist_is_refused_and_the_close_one_proposed() {
    let mistake = viewer_with("latncy = \"10 ms\"");
    assert_eq!(mistake.kind, Kind::UnknownField);
    assert_eq!(mistake.meant.as_deref(), Some("latency"));
    assert!(mistake.allowed.contains("latency"));
    let inside = viewer_with("player = { begin = \"10 %\" }");
    assert_eq!((inside.kind, inside.field.as_str()), (Kind::UnknownField, "group[2].player.begin"));
}

#[test]
fn a_field_that_is_missing_is_named_with_what_it_may_be() {
    let mistake = changed("media-rate = \"1 Mbit/s\"\n", "");
    assert_eq!((mistake.kind, mistake.field.as_str()), (Kind::MissingField, "content.media-rate"));
    assert!(mistake.allowed.contains("a rate from"), "{}", mistake.allowed);
    let role = changed("role = \"seed\"\n", "");
    assert_eq!((role.field.as_str(), role.line), ("group[1].role", 10));
}

#[test]
fn what_is_no_toml_is_shown_where_it_breaks() {
    let mistake = mistake("name = \"small\nlimit = 3");
    assert_eq!((mistake.kind, mistake.line), (Kind::Syntax, 1));
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (line, range) in [
        ("count = 0", "from 1 to 20000"),
        ("count = -1", "from 1 to 20000"),
        ("count = 99999999999999999999999", "from 1 to 20000"),
        ("count = 1.5", "from 1 to 20000"),
        ("latency = \"6 s\"", "from 0 ms to 5 s"),
        ("latency = 40", "from 0 ms to 5 s"),
        ("upload-limit = \"0 B/s\"", "from 1 KiB/s to 16 GiB/s"),
        ("disk-faults = \"51 %\"", "from 0 % to 50 %"),
        ("arrival = { poisson = \"1001 /s\" }", "to 1000 /s"),
        ("stay = { churn = \"1 ms\" }", "from 1 s to 48 h"),
        ("strategy = \"fastest\"", "\"rarest\""),
        ("nat = \"yes\"", "true or false"),
        ("player = 3", "a table"),
        ("player = { start = \"100 %\" }", "99.9 %"),
        ("player = { seeks = { at = [[\"2 s\", \"1 %\"], [\"1 s\", \"1 %\"]] } }", "in the order of time"),
        ("player = { seeks = { at = [[\"2 s\"]] } }", "a pair"),
        ("player = { seeks = { at = [] } }", "1 to 1000 pairs"),
        ("player = { seeks = { every = \"0 s\" } }", "from 1 s"),
        ("arrival = \"now\"", "poisson"),
        ("stay = { for = \"1 s\", churn = \"1 s\" }", "after-done"),
    ] {
        let mistake = viewer_with(line);
        assert_eq!(mistake.kind, Kind::BadValue, "{line}");
        assert!(mistake.allowed.contains(range), "{line}: {}", mistake.allowed);
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (line, why) in [
        ("have = \"10 %\"", "leecher"),
        ("loss = \"1 %\"", "segment"),
        ("arrival = { at = \"10 min\" }", "the run ends"),
        ("count = 20000", "at most 20000"),
        ("count = 10000\nstay = { churn = \"1 s\" }", "a longer stay"),
        ("strategy = \"rarest\"", "to compare"),
        ("manner = \"silent\"", "to compare"),
    ] {
        let text = format!("{SMALL}{line}\n");
        let error = Scenario::parse(&text).expect_err(line).to_string();
        assert!(error.contains(why), "{line}: {error}");
    }
    for (from, to, why) in [
        ("\"256 KiB\"", "\"300 KiB\"", "a power of two"),
        ("\"16 MiB\"", "\"256 GiB\"", "at most 200000 pieces"),
        ("\"16 MiB\"", "\"24 GiB\"", "at most 48 h"),
        ("role = \"seed\"", "role = \"leecher\"", "who has something"),
        ("name = \"viewer\"", "name = \"seed\"", "once"),
        ("role = \"seed\"", "role = \"seed\"\nplayer = {}", "viewer"),
    ] {
        let error = Scenario::parse(&SMALL.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(error.contains(why), "{to}: {error}");
    }
}

#[test]
fn mistakes_in_a_list_of_seeks_are_reported_each_at_its_place() {
    let list = r#"player = { seeks = { at = [
        ["10 s", "50 %"],
        ["20 s", "150 %"],
        ["15 s", "10 %"], ["16 s", "20 %"],
        ["1 fortnight", 3],
        "30 s",
        ["40 s"],
    ] } }"#;
    let error = Scenario::parse(&format!("{SMALL}{list}\n")).unwrap_err();
    let first_line = SMALL.lines().count() + 1;
    let found = error.mistakes().iter().map(|mistake| {
        let field = mistake.field.strip_prefix("group[2].player.seeks.at").unwrap();
        (mistake.line - first_line, mistake.column, field, mistake.found.as_str())
    });
    let expected = [
        (2, 18, "[2][2]", "\"150 %\""),
        (3, 10, "[3][1]", "\"15 s\""),
        (4, 10, "[5][1]", "\"1 fortnight\""),
        (4, 25, "[5][2]", "3"),
        (5, 9, "[6]", "\"30 s\""),
        (6, 9, "[7]", "an array of 1 value"),
    ];
    assert_eq!(found.collect::<Vec<_>>(), expected, "{error}");
    let allowed = |index: usize| error.mistakes()[index].allowed.as_str();
    assert!(allowed(0).contains("99.9 %") && allowed(1).contains("order of time"), "{error}");
}

#[test]
fn numbers_are_shown_as_people_write_them() {
    assert_eq!(viewer_with("loss = \"7 %\"").found, "7 %");
    assert_eq!(viewer_with("loss = \"12.3456 %\"").found, "12.3456 %");
    assert_eq!(viewer_with("loss = \"0.00001 %\"").found, "0.00001 %");
    let pace = viewer_with("arrival = { poisson = \"0.001 /h\" }");
    assert!(pace.allowed.contains("from 0.0416667 /h to 1000 /s"), "{}", pace.allowed);
    // What is shown as the least is allowed.
    assert!(matches!(viewer("arrival = { poisson = \"0.0416667 /h\" }").arrival, Arrival::Poisson { .. }));
}

#[test]
fn too_many_groups_are_counted() {
    let more = "[[group]]\nname = \"more\"\n".repeat(limits::GROUPS_MAX - 1);
    let mistake = mistake(&format!("{SMALL}{more}"));
    assert_eq!((mistake.field.as_str(), mistake.line), ("group", 10));
    assert_eq!(mistake.found, "an array of 65 values");
    assert!(mistake.allowed.contains("1 to 64 tables"), "{}", mistake.allowed);
}

/// The small scenario with pieces of 16 KiB, and so many viewers.
fn crowd(length: &str, count: u32, connections_max: u32) -> Result<Scenario, FileError> {
    let viewers = format!("name = \"viewer\"\ncount = {count}\nconnections-max = {connections_max}");
    let text = SMALL
        .replace("\"16 MiB\"", length)
        .replace("\"256 KiB\"", "\"16 KiB\"")
        .replace("name = \"viewer\"", &viewers);
    Scenario::parse(&text)
}

#[test]
fn connections_with_huge_torrents_may_not_take_the_machine_s_memory() {
    let error = crowd("\"3 GiB\"", 1000, 1000).unwrap_err();
    let [mistake] = error.mistakes() else { panic!("{error}") };
    assert_eq!((mistake.field.as_str(), mistake.line), ("group", 10));
    assert_eq!(
        mistake.found,
        "1001 peers with 1000050 connections and 196608 pieces, which take 70.6 GiB of memory"
    );
    assert!(mistake.allowed.starts_with("at most 4 GiB are allowed"), "{}", mistake.allowed);
}

#[test]
fn peers_with_huge_torrents_may_not_take_the_machine_s_memory() {
    let error = crowd("\"3 GiB\"", 2500, 1).unwrap_err();
    let [mistake] = error.mistakes() else { panic!("{error}") };
    assert_eq!(
        mistake.found,
        "2501 peers with 2550 connections and 196608 pieces, which take 4.8 GiB of memory"
    );
    assert!(mistake.allowed.contains("10 bytes per peer"), "{}", mistake.allowed);
}

#[test]
fn large_swarms_of_usual_torrents_may_be_simulated() {
    for (length, count, connections_max) in
        [("\"16 MiB\"", 10_000, 40), ("\"1 GiB\"", 1000, 40), ("\"3 GiB\"", 500, 50), ("\"3 GiB\"", 50, 1000)]
    {
        let read = crowd(length, count, connections_max);
        assert!(read.is_ok(), "{length}, {count} peers: {}", read.unwrap_err());
    }
}

#[test]
fn texts_that_are_too_long_or_deep_are_refused() {
    let long = "#".repeat(limits::TEXT_BYTES_MAX + 1);
    assert_eq!(mistake(&long).kind, Kind::Syntax);
    let deep = format!("a = {}", "[".repeat(100_000));
    assert!(Scenario::parse(&deep).is_err());
}

#[test]
fn no_more_mistakes_are_reported_than_fit_a_screen() {
    let many: String = (0..100).map(|index| format!("field-{index} = 1\n")).collect();
    let error = Scenario::parse(&many).unwrap_err();
    assert_eq!(error.mistakes().len(), limits::MISTAKES_MAX);
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let text = "\"\\u001b[31mname\" = \"\\u001b\"\nname = \"\\u001b\"";
    let report = Scenario::parse(text).unwrap_err().render("evil.toml");
    assert!(!report.contains('\u{1b}'), "{report:?}");
}

proptest::proptest! {
    /// Whatever is done to a text, it's read or refused with mistakes that have a place in it.
    #[test]
    fn any_text_is_read_or_refused(
        start in 0..SMALL.len(),
        length in 0_usize..40,
        put in "[a-z0-9 \\[\\]{}=\"\\\\.,%\n\u{7f}é]{0,24}",
    ) {
        let end = (start + length).min(SMALL.len());
        let text = format!("{}{put}{}", &SMALL[..start], &SMALL[end..]);
        if let Err(error) = Scenario::parse(&text) {
            let lines = text.matches('\n').count() + 1;
            for mistake in error.mistakes() {
                proptest::prop_assert!((1..=lines).contains(&mistake.line) && mistake.column >= 1);
            }
            proptest::prop_assert!(!error.render("file").is_empty());
        }
    }
}

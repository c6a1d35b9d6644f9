use super::*;

const HEAD: &str = "[Script Info]\nPlayResX: 640\nPlayResY: 360\n\n[V4+ Styles]\n\
    Format: Name, Fontname, Bold, Italic, Underline, Alignment\n\
    Style: Default,Arial,0,0,0,2\nStyle: Thought,Arial,0,-1,0,2\nStyle: Sign,Arial,-1,0,0,8\n\n[Events]\n\
    Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";

fn cues(events: &str) -> Vec<Cue> {
    read(&format!("{HEAD}{events}")).unwrap().settle().cues
}

fn one(style: &str, text: &str) -> Cue {
    cues(&format!("Dialogue: 0,0:00:01.00,0:00:02.00,{style},,0,0,0,,{text}\n")).remove(0)
}

/// The text with * for bold, / for italic and _ for underlined parts.
fn marked(cue: &Cue) -> String {
    let spans = cue.text.spans().iter().map(|span| {
        let marks = [(span.style.is_bold, "*"), (span.style.is_italic, "/"), (span.style.is_underlined, "_")];
        let marks: String = marks.iter().filter(|(is_on, _)| *is_on).map(|(_, mark)| *mark).collect();
        format!("{marks}{}", span.text)
    });
    spans.collect::<Vec<_>>().join("|")
}

fn said(text: &str) -> String {
    marked(&one("Default", text))
}

#[test]
fn events_have_times_and_texts_with_commas() {
    let cue = one("Default", "Well, yes, {a comment}indeed");
    assert_eq!((cue.start_ms, cue.end_ms, cue.text.plain()), (1000, 2000, "Well, yes, indeed".into()));
}

#[test]
fn columns_are_where_the_format_says() {
    let text = "[Events]\nFormat: Start, Text, End\nDialogue: 0:00:01.50,a,0:00:02.00\n";
    // The last column is the text, whatever it is called.
    assert_eq!(read(text).unwrap().cues[0].start_ms, 1500);
    let text = "[Events]\nFormat: End, Start, Text\nDialogue: 0:00:02.00,0:00:01.00,a, b\n";
    let cue = &read(text).unwrap().cues[0];
    assert_eq!((cue.start_ms, cue.end_ms, cue.text.plain()), (1000, 2000, "a, b".into()));
}

#[test]
fn version_4_has_its_own_numbers_for_places() {
    let text = "[V4 Styles]\nFormat: Name, Bold, Alignment\nStyle: Top,-1,6\n[Events]\n\
        Format: Marked, Start, End, Style, Text\nDialogue: Marked=0,0:00:01.00,0:00:02.00,*Top,Hi\n";
    let cue = &read(text).unwrap().cues[0];
    assert_eq!((cue.placement.anchor(), marked(cue).as_str()), (Some(8), "*Hi"));
}

#[test]
fn styles_and_overrides_say_how_text_looks() {
    assert_eq!(marked(&one("Thought", "a{\\i0}b{\\i}c{\\r}d")), "/a|b|/cd");
    assert_eq!(marked(&one("sign", "a{\\b0}b{\\rThought}c{\\rNone}d")), "*a|b|/cd");
    assert_eq!(said("{\\b1}a{\\b0\\u1}b{\\b700\\u0}c{\\b400}d"), "*a|_b|*c|d");
    assert_eq!(said("{\\blur2\\bord3\\be1\\iclip(1,2,3,4)\\fnArial\\c&HFF&\\k20\\t(0,9,\\b1)}a"), "a");
}

#[test]
fn lines_and_hard_spaces_are_escaped() {
    assert_eq!(said("One\\NTwo\\nthree\\hfour\\x"), "One\nTwo\nthree\u{a0}four\\x");
    assert_eq!(said("ends with \\"), "ends with \\");
    assert_eq!(said("{never closed"), "{never closed");
}

#[test]
fn drawings_are_dropped() {
    assert_eq!(said("{\\p1}m 0 0 l 100 0 100 100{\\p0}text"), "text");
    assert!(cues("Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\p1}m 0 0 l 1 1\n").is_empty());
    assert!(!said("{\\pos(1,2)}a").is_empty());
}

#[test]
fn places_become_settings() {
    let placed = |style, text| one(style, text).placement.to_string();
    assert_eq!(placed("Default", "a"), "");
    assert_eq!(placed("Sign", "a"), " line:0");
    assert_eq!(placed("Sign", "{\\an2}a"), "");
    assert_eq!(placed("Default", "{\\an7\\an1}a"), " line:0 align:left");
    assert_eq!(placed("Default", "{\\a6}a"), " line:0");
    assert_eq!(placed("Default", "{\\pos(320,340)}a"), "");
    assert_eq!(placed("Sign", "{\\pos(160,36)}a"), " line:10% position:25%");
    assert_eq!(placed("Sign", "{\\move(160,36,200,40)}a"), " line:10% position:25%");
    assert_eq!(placed("Sign", "{\\pos(-1e308,1e308)}a"), " line:100% position:0%");
    assert_eq!(placed("Sign", "{\\pos(nan,1)\\pos(1\\pos()}a"), " line:0");
}

#[test]
fn comments_are_dropped_and_layers_of_one_text_are_one_cue() {
    let found = cues(
        "Comment: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,no\n\
         Dialogue: 1,0:00:01.00,0:00:02.00,Default,,0,0,0,,above\n\
         Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\bord4}below\n\
         Dialogue: 2,0:00:01.00,0:00:02.00,Default,,0,0,0,,below\n\
         Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,below\n",
    );
    let texts: Vec<String> = found.iter().map(|cue| cue.text.plain()).collect();
    assert_eq!(texts, ["below", "above", "below"]);
}

#[test]
fn it_is_known_by_its_sections_and_events() {
    assert!(is_its("[script info]"));
    assert!(is_its("Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,a"));
    assert!(!is_its("[INFORMATION]"));
    assert!(!is_its("Dialogue: well, not much, really"));
}

use proptest::prelude::*;

use super::*;

fn vtt(bytes: &[u8]) -> Converted {
    convert(bytes, &Hint::default(), &Options::default()).unwrap()
}

fn srt_options() -> Options {
    Options { target: Target::Srt, ..Options::default() }
}

const SRT: &str = "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Fish</i> & <b>chips</b>, a < b\r\n\r\n\
    2\r\n0:00:03,000 --> 0:00:04,000\r\n{\\an8}Up --> there\r\n";

#[test]
fn subrip_becomes_webvtt() {
    let expected = "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<i>Fish</i> &amp; <b>chips</b>, a &lt; b\n\n\
        00:00:03.000 --> 00:00:04.000 line:0\nUp --&gt; there\n";
    let converted = vtt(SRT.as_bytes());
    assert_eq!(converted.text, expected);
    assert_eq!((converted.format, converted.encoding, converted.cues), (Format::Srt, "UTF-8", 2));
}

#[test]
fn subrip_stays_subrip() {
    let converted = convert(SRT.as_bytes(), &Hint::default(), &srt_options()).unwrap();
    let expected = "1\n00:00:01,000 --> 00:00:02,500\n<i>Fish</i> & <b>chips</b>, a < b\n\n\
        2\n00:00:03,000 --> 00:00:04,000\n{\\an8}Up --\u{2060}> there\n\n";
    assert_eq!(converted.text, expected);
}

#[test]
fn webvtt_keeps_what_it_says() {
    let text = "WEBVTT\n\nSTYLE\n::cue(.a) { color: red }\n\nintro\n00:00:01.000 --> 00:00:02.000 line:0 align:left\n\
        <v Fred><c.a>Hi, <b>all</b></c> of\nyou</v>\n";
    assert_eq!(vtt(text.as_bytes()).text, text);
}

#[test]
fn what_is_in_no_cue_of_subrip_does_not_look_like_one() {
    let text = "WEBVTT\n\n00:01.000 --> 00:02.000\n&lt;b>no&lt;/b> &amp;amp; {\\an8}\n00:00:05,000 --&gt; 00:00:06,000\nx\n";
    let written = convert(text.as_bytes(), &Hint::default(), &srt_options()).unwrap().text;
    let again = read(&written, Format::Srt, &Hint::default()).unwrap();
    assert_eq!(again.cues.len(), 1);
    let plain = again.cues[0].text.plain().replace('\u{2060}', "");
    assert_eq!(plain, "<b>no</b> &amp; {\\an8}\n00:00:05,000 --> 00:00:06,000\nx");
}

#[test]
fn an_offset_and_a_window_apply_to_what_is_written() {
    let options = Options { offset_ms: -2600, window_ms: Some(0..1000), ..Options::default() };
    let converted = convert(SRT.as_bytes(), &Hint::default(), &options).unwrap();
    assert_eq!(converted.text, "WEBVTT\n\n00:00:00.400 --> 00:00:01.400 line:0\nUp --&gt; there\n");
}

#[test]
fn formats_are_told_by_their_content_then_by_their_name() {
    let hint = |extension| Hint { extension: Some(extension), ..Hint::default() };
    for (text, extension, format) in [
        ("WEBVTT\n", "srt", Some(Format::WebVtt)),
        (SRT, "ass", Some(Format::Srt)),
        ("Dialogue: go on\n00:00:01,0 --> 00:00:02,0\n", "txt", Some(Format::Srt)),
        ("; x\n[Script Info]\n", "srt", Some(Format::Ass)),
        ("{1}{1}25\n", "srt", Some(Format::MicroDvd)),
        ("[INFORMATION]\n00:00:01.00,00:00:02.00\nHi\n", "sub", Some(Format::SubViewer)),
        ("\u{feff}\n<SAMI>\n", "smi", Some(Format::Sami)),
        ("<?xml version='1.0'?>", "xml", Some(Format::Ttml)),
        ("# VobSub index file, v7\n", "idx", Some(Format::VobSub)),
        ("nothing", "SSA", Some(Format::Ass)),
        ("nothing", "sub", None),
        ("", "", None),
    ] {
        assert_eq!(recognise(text, &hint(extension)), format, "{text:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = |bytes: &[u8]| convert(bytes, &Hint::default(), &Options::default()).unwrap_err();
    assert_eq!(error(b""), SubtitleError::Unknown);
    assert_eq!(error(b"\0\0\x01\xba\x44"), SubtitleError::Pictures(Format::VobSub));
    assert_eq!(error(b"PG\0\0\0\0\0\0\0\0\x16\0\0"), SubtitleError::Pictures(Format::Pgs));
    assert_eq!(error(b"<tt>"), SubtitleError::Unread(Format::Ttml));
    assert_eq!(error(&vec![b' '; SUBTITLE_BYTES_MAX + 1]), SubtitleError::TooLong);
    let many = "0:01 --> 0:02\nx\n".repeat(CUES_MAX + 1);
    assert_eq!(error(many.as_bytes()), SubtitleError::TooManyCues);
}

#[test]
fn what_would_grow_without_end_is_refused() {
    let cue = format!("00:01.000 --> 00:02.000\n<v {}>{}\n\n", "&".repeat(64), "a<v b>b</v>".repeat(300));
    let text = format!("WEBVTT\n\n{}", cue.repeat(600));
    let error = convert(text.as_bytes(), &Hint::default(), &Options::default()).unwrap_err();
    assert_eq!(error, SubtitleError::TooLong);
}

#[test]
fn old_encodings_are_read() {
    // "Привет, мир. Как дела?" in windows-1251.
    let bytes = [
        &b"1\n00:00:01,000 --> 00:00:02,000\n"[..],
        b"\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0. \xca\xe0\xea \xe4\xe5\xeb\xe0?\n",
    ]
    .concat();
    let converted = vtt(&bytes);
    assert!(converted.text.contains("Привет, мир. Как дела?"), "{}", converted.text);
    assert_eq!((converted.encoding, converted.evidence), ("windows-1251", Evidence::Statistics));
}

/// What formats are made of, so that arbitrary texts get somewhere.
fn piece() -> impl Strategy<Value = String> {
    let known = vec![
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "-->",
        "->",
        "00:00:01,000 --> 00:00:02,500\n",
        "00:00:03.000 --> 00:00:02.000 line:0\n",
        "1",
        "<b>",
        "</b>",
        "<i>",
        "</i>",
        "<u>",
        "<v Bob & Co>",
        "</v>",
        "<c.a.b>",
        "</c>",
        "<ruby>",
        "<rt>",
        "</ruby>",
        "{\\an8}",
        "{\\i1}",
        "{\\r}",
        "{\\p1}",
        "{\\pos(10,20)}",
        "{",
        "}",
        "\\N",
        "\\h",
        "&amp;",
        "&lt;",
        "&",
        "<",
        ">",
        "WEBVTT\n\n",
        "NOTE x\n\n",
        "STYLE\n::cue{}\n\n",
        "[Events]\n",
        "[V4+ Styles]\nFormat: Name, Bold\nStyle: A,-1\n",
        "Dialogue: 0,0:00:01.00,0:00:02.00,A,,0,0,0,,",
        "{1}{1}25\n",
        "{10}{20}",
        "{Y:i}",
        "<SYNC Start=1000>",
        "<P Class=A>",
        "<P Class=B>",
        "<br>",
        "0:00:01.0,0:00:02.0\n",
        "[br]",
        "|",
        "text",
        "é",
        "\u{feff}",
        "\0",
    ];
    prop_oneof![8 => proptest::sample::select(known).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn text() -> impl Strategy<Value = String> {
    let heads = vec![
        "",
        "WEBVTT\n\n",
        "[Script Info]\n",
        "{1}{1}25\n",
        "<SAMI>",
        "0:00:01.0,0:00:02.0\n",
        "1\n00:00:01,000 --> 00:00:02,000\n",
    ];
    let pieces = proptest::collection::vec(piece(), 0..40);
    (proptest::sample::select(heads), pieces).prop_map(|(head, pieces)| head.to_owned() + &pieces.concat())
}

fn assert_settled(document: &Document) {
    assert!(document.cues.is_sorted_by_key(|cue| cue.start_ms));
    assert!(document.cues.iter().all(|cue| cue.start_ms < cue.end_ms && !cue.text.is_empty()));
}

proptest! {
    #[test]
    fn any_bytes_are_converted_or_refused(bytes: Vec<u8>) {
        let _ = convert(&bytes, &Hint::default(), &Options::default());
    }

    #[test]
    fn what_is_written_is_read_back(text in text(), offset_ms: i64) {
        let hint = Hint { extension: Some("srt"), ..Hint::default() };
        let Ok(first) = convert(text.as_bytes(), &hint, &Options::default()) else { return Ok(()) };
        let document = read(&first.text, Format::WebVtt, &hint).unwrap();
        assert_settled(&document);
        prop_assert_eq!(document.cues.len(), first.cues);
        prop_assert_eq!(&document.write(Target::WebVtt).unwrap(), &first.text);
        let second = convert(first.text.as_bytes(), &Hint::default(), &Options::default()).unwrap();
        prop_assert_eq!(second.text, first.text);

        let written = document.write(Target::Srt).unwrap();
        let srt = read(&written, Format::Srt, &hint).unwrap();
        prop_assert_eq!(srt.write(Target::Srt).unwrap(), written);
        let plain = |document: &Document| {
            let cues = document.cues.iter().map(|cue| {
                let text = cue.text.plain().replace('\u{2060}', "");
                (cue.start_ms, cue.end_ms, text)
            });
            cues.collect::<Vec<_>>()
        };
        prop_assert_eq!(plain(&srt), plain(&document));

        let mut moved = document;
        moved.shift(offset_ms);
        assert_settled(&moved);
    }
}

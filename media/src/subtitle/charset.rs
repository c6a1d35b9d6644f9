//! From bytes to text: most subtitles are older than UTF-8's victory, and none says what it is written in.
//!
//! A byte order mark is believed. Then what is UTF-8 by its form is UTF-8, since other text hardly ever is; then UTF-16 shows
//! itself by its zeros; the rest is left to statistics, which a language helps along.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::language::Tag;

/// Bytes that statistics look at: half a film's dialogue.
const SAMPLE_BYTES: usize = 1 << 18;

/// Bytes in which zeros are counted.
const ZEROS_SAMPLE_BYTES: usize = 4096;

/// A text, and how it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The text, without a byte order mark.
    pub text: Cow<'a, str>,
    /// The encoding's name (WHATWG Encoding, section 4.2), such as "windows-1251".
    pub encoding: &'static str,
    /// What speaks for it.
    pub evidence: Evidence,
    /// Some bytes mean nothing in it; they became U+FFFD.
    pub has_errors: bool,
}

/// What speaks for an encoding, strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It begins with a byte order mark.
    Mark,
    /// It follows UTF-8's rules, but for a few damaged letters at most.
    Form,
    /// Every second byte of its plain letters is zero, as in UTF-16.
    Zeros,
    /// Its letters are as frequent as the encoding's languages have them.
    Statistics,
}

/// Decodes a text. The language is a hint: where statistics can't tell, they go by it.
pub fn decode(bytes: &[u8], language: Option<Tag>) -> Decoded<'_> {
    if let Some((encoding, mark_bytes)) = Encoding::for_bom(bytes) {
        return decode_as(encoding, &bytes[mark_bytes..], Evidence::Mark);
    }
    if let Some(encoding) = utf16_by_zeros(bytes) {
        return decode_as(encoding, bytes, Evidence::Zeros);
    }
    if is_nearly_utf8(bytes) {
        return decode_as(UTF_8, bytes, Evidence::Form);
    }
    decode_as(by_statistics(bytes, language), bytes, Evidence::Statistics)
}

/// Decodes texts of one origin, which are all written in the same way, and say more of that together.
pub(crate) fn decode_all<'a>(texts: &[&'a [u8]], language: Option<Tag>) -> Vec<Cow<'a, str>> {
    let is_utf8 = texts.iter().all(|text| str::from_utf8(text).is_ok());
    let together = if is_utf8 { Vec::new() } else { texts.join(&b'\n') };
    let encoding = if is_nearly_utf8(&together) { UTF_8 } else { by_statistics(&together, language) };
    texts.iter().map(|text| encoding.decode_without_bom_handling(text).0).collect()
}

fn decode_as<'a>(encoding: &'static Encoding, bytes: &'a [u8], evidence: Evidence) -> Decoded<'a> {
    let (text, has_errors) = encoding.decode_without_bom_handling(bytes);
    Decoded { text, encoding: encoding.name(), evidence, has_errors }
}

/// UTF-16 without a mark. Times, digits and line ends are ASCII in any language's subtitles, so zeros are on one side, and many.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static Encoding> {
    let sample = &bytes[..bytes.len().min(ZEROS_SAMPLE_BYTES)];
    let pairs = sample.chunks_exact(2);
    let count = pairs.len();
    let (mut first, mut second) = (0, 0);
    for pair in pairs {
        first += usize::from(pair[0] == 0);
        second += usize::from(pair[1] == 0);
    }
    let is_many = |zeros: usize| zeros * 5 >= count && count > 0;
    let is_few = |zeros: usize| zeros * 50 <= count;
    match () {
        () if is_many(second) && is_few(first) => Some(UTF_16LE),
        () if is_many(first) && is_few(second) => Some(UTF_16BE),
        () => None,
    }
}

/// Whether it is UTF-8 but for few places. A letter cut in half by a tool that counts bytes doesn't make a file another encoding's;
/// twenty letters that are whole by chance don't exist in any other.
fn is_nearly_utf8(bytes: &[u8]) -> bool {
    let (mut whole, mut broken) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        whole += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    broken * 20 <= whole
}

fn by_statistics(bytes: &[u8], language: Option<Tag>) -> &'static Encoding {
    // Nothing here runs scripts, which is what refusing ISO-2022-JP protects from.
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(&bytes[..bytes.len().min(SAMPLE_BYTES)], bytes.len() <= SAMPLE_BYTES);
    detector.guess(language.and_then(country), Utf8Detection::Deny)
}

/// The country whose old encoding a language's files have: the detector takes its hint as a top-level domain. Windows' encodings
/// come first, since subtitles were made there.
fn country(tag: Tag) -> Option<&'static [u8]> {
    let country: &[u8] = match tag.language.alpha2() {
        "ru" | "be" | "bg" | "mk" | "uk" | "kk" | "ky" | "tg" | "mn" | "tt" => b"ru",
        // In either alphabet.
        "sr" | "bs" => b"ba",
        "pl" | "cs" | "sk" | "hu" | "ro" | "hr" | "sl" | "sq" => b"cz",
        "lt" | "lv" | "et" => b"lt",
        "el" => b"gr",
        "tr" | "az" => b"tr",
        "he" | "yi" => b"il",
        "ar" | "fa" | "ur" | "ps" | "ku" => b"eg",
        "vi" => b"vn",
        "th" => b"th",
        "ja" => b"jp",
        "ko" => b"kr",
        "zh" if is_traditional(tag) => b"tw",
        "zh" => b"cn",
        "is" | "fo" => b"is",
        "en" | "fr" | "de" | "es" | "it" | "pt" | "nl" | "sv" | "da" | "no" | "nb" | "nn" | "fi" | "ca"
        | "gl" | "eu" | "ga" => b"fr",
        _ => return None,
    };
    Some(country)
}

fn is_traditional(tag: Tag) -> bool {
    let written = tag.to_string();
    written.split('-').any(|part| matches!(part, "Hant" | "TW" | "HK" | "MO"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> Option<Tag> {
        text.parse().ok()
    }

    fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn a_byte_order_mark_is_believed_and_taken_off() {
        let bytes = [&b"\xef\xbb\xbf"[..], "naïve".as_bytes()].concat();
        let decoded = decode(&bytes, tag("ru"));
        assert_eq!((&*decoded.text, decoded.encoding, decoded.evidence), ("naïve", "UTF-8", Evidence::Mark));
        let bytes = [vec![0xfe, 0xff], utf16("Привет", u16::to_be_bytes)].concat();
        let decoded = decode(&bytes, None);
        assert_eq!((&*decoded.text, decoded.encoding), ("Привет", "UTF-16BE"));
    }

    #[test]
    fn utf8_is_known_by_its_form_even_when_a_letter_is_cut() {
        let text = "00:01\nБыло бы нелепо принять это за что-то другое";
        assert_eq!(decode(text.as_bytes(), tag("pl")).evidence, Evidence::Form);
        let cut = &text.as_bytes()[..text.len() - 1];
        let decoded = decode(cut, None);
        assert_eq!((decoded.encoding, decoded.has_errors), ("UTF-8", true));
        assert!(decoded.text.ends_with("друго\u{fffd}"));
    }

    #[test]
    fn utf16_without_a_mark_is_known_by_its_zeros() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\nГде они?\n";
        for (to_bytes, name) in
            [(u16::to_le_bytes as fn(u16) -> [u8; 2], "UTF-16LE"), (u16::to_be_bytes, "UTF-16BE")]
        {
            let bytes = utf16(text, to_bytes);
            let decoded = decode(&bytes, None);
            assert_eq!((&*decoded.text, decoded.encoding), (text, name));
        }
    }

    #[test]
    fn old_encodings_are_told_by_their_letters_and_the_language() {
        for (text, language, label) in [
            ("Ты слышишь меня? Я всё ещё жду тебя у старого моста.", Some("ru"), "windows-1251"),
            ("Ты слышишь меня? Я всё ещё жду тебя у старого моста.", None, "windows-1251"),
            ("Με ακούς; Σε περιμένω ακόμα στην παλιά γέφυρα.", Some("el"), "windows-1253"),
            (
                "Beni duyuyor musun? Hâlâ eski köprüde bekliyorum, değil mi? Şimdi.",
                Some("tr"),
                "windows-1254",
            ),
            ("Słyszysz mnie? Wciąż czekam na ciebie przy starym moście. Źle.", Some("pl"), "windows-1250"),
            ("Příliš žluťoučký kůň úpěl ďábelské ódy, říkal starý muž.", Some("cs"), "windows-1250"),
            ("Hallasz engem? Még mindig a régi hídnál várok rád, őszintén.", Some("hu"), "windows-1250"),
            ("Чуваш ли ме? Още те чакам до стария мост.", Some("bg"), "windows-1251"),
            ("คุณได้ยินฉันไหม ฉันยังรอคุณอยู่ที่สะพานเก่า", Some("th"), "windows-874"),
            ("هل تسمعني؟ ما زلت أنتظرك عند الجسر القديم.", Some("ar"), "windows-1256"),
            ("אתה שומע אותי? אני עדיין מחכה לך ליד הגשר הישן.", Some("he"), "windows-1255"),
            ("你听得到我吗？我还在旧桥那里等你。", Some("zh"), "GBK"),
            ("你聽得到我嗎？我還在舊橋那裡等你。", Some("zh-TW"), "Big5"),
            ("聞こえますか。まだ古い橋で待っています。", Some("ja"), "Shift_JIS"),
            ("내 말 들려? 아직 오래된 다리에서 기다리고 있어.", Some("ko"), "EUC-KR"),
            ("Tu m'entends ? Je t'attends toujours près du vieux pont, là-bas.", Some("fr"), "windows-1252"),
        ] {
            let encoding = Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, _) = encoding.encode(text);
            let decoded = decode(&bytes, language.and_then(tag));
            // Some alphabets are the same in two encodings, so that either is right.
            assert_eq!((&*decoded.text, decoded.evidence), (text, Evidence::Statistics), "{label}");
        }
    }

    #[test]
    fn nothing_is_an_empty_text() {
        assert_eq!(decode(b"", None).text, "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_some_text(bytes: Vec<u8>, language in 0_usize..183) {
            let language = crate::Language::all().nth(language).map(Tag::from);
            let decoded = decode(&bytes, language);
            proptest::prop_assert!(decoded.text.len() <= bytes.len() * 3 + 3);
        }
    }
}

//! Languages as files name them: two letters (ISO 639-1), three (ISO 639-2, both ways), English names, tags (BCP 47).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A language of ISO 639-1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(u8);

struct Entry {
    alpha2: &'static str,
    /// ISO 639-2/B, as Matroska has it ("ger").
    alpha3_b: &'static str,
    /// ISO 639-2/T, as MP4 has it ("deu").
    alpha3: &'static str,
    name: &'static str,
    others: &'static [&'static str],
}

const fn entry(
    alpha2: &'static str,
    alpha3_b: &'static str,
    alpha3: &'static str,
    name: &'static str,
    others: &'static [&'static str],
) -> Entry {
    Entry { alpha2, alpha3_b, alpha3, name, others }
}

/// By their two letters.
#[rustfmt::skip]
const LANGUAGES: [Entry; 183] = [
    entry("aa", "aar", "aar", "Afar", &[]),
    entry("ab", "abk", "abk", "Abkhazian", &[]),
    entry("ae", "ave", "ave", "Avestan", &[]),
    entry("af", "afr", "afr", "Afrikaans", &[]),
    entry("ak", "aka", "aka", "Akan", &[]),
    entry("am", "amh", "amh", "Amharic", &[]),
    entry("an", "arg", "arg", "Aragonese", &[]),
    entry("ar", "ara", "ara", "Arabic", &[]),
    entry("as", "asm", "asm", "Assamese", &[]),
    entry("av", "ava", "ava", "Avaric", &[]),
    entry("ay", "aym", "aym", "Aymara", &[]),
    entry("az", "aze", "aze", "Azerbaijani", &[]),
    entry("ba", "bak", "bak", "Bashkir", &[]),
    entry("be", "bel", "bel", "Belarusian", &["Byelorussian"]),
    entry("bg", "bul", "bul", "Bulgarian", &[]),
    entry("bi", "bis", "bis", "Bislama", &[]),
    entry("bm", "bam", "bam", "Bambara", &[]),
    entry("bn", "ben", "ben", "Bengali", &[]),
    entry("bo", "tib", "bod", "Tibetan", &[]),
    entry("br", "bre", "bre", "Breton", &[]),
    entry("bs", "bos", "bos", "Bosnian", &[]),
    entry("ca", "cat", "cat", "Catalan", &["Valencian"]),
    entry("ce", "che", "che", "Chechen", &[]),
    entry("ch", "cha", "cha", "Chamorro", &[]),
    entry("co", "cos", "cos", "Corsican", &[]),
    entry("cr", "cre", "cre", "Cree", &[]),
    entry("cs", "cze", "ces", "Czech", &[]),
    entry("cu", "chu", "chu", "Church Slavic", &[]),
    entry("cv", "chv", "chv", "Chuvash", &[]),
    entry("cy", "wel", "cym", "Welsh", &[]),
    entry("da", "dan", "dan", "Danish", &[]),
    entry("de", "ger", "deu", "German", &[]),
    entry("dv", "div", "div", "Divehi", &["Maldivian"]),
    entry("dz", "dzo", "dzo", "Dzongkha", &[]),
    entry("ee", "ewe", "ewe", "Ewe", &[]),
    entry("el", "gre", "ell", "Greek", &[]),
    entry("en", "eng", "eng", "English", &[]),
    entry("eo", "epo", "epo", "Esperanto", &[]),
    entry("es", "spa", "spa", "Spanish", &["Castilian"]),
    entry("et", "est", "est", "Estonian", &[]),
    entry("eu", "baq", "eus", "Basque", &[]),
    entry("fa", "per", "fas", "Persian", &["Farsi"]),
    entry("ff", "ful", "ful", "Fulah", &[]),
    entry("fi", "fin", "fin", "Finnish", &[]),
    entry("fj", "fij", "fij", "Fijian", &[]),
    entry("fo", "fao", "fao", "Faroese", &[]),
    entry("fr", "fre", "fra", "French", &[]),
    entry("fy", "fry", "fry", "Western Frisian", &[]),
    entry("ga", "gle", "gle", "Irish", &[]),
    entry("gd", "gla", "gla", "Gaelic", &["Scottish Gaelic"]),
    entry("gl", "glg", "glg", "Galician", &[]),
    entry("gn", "grn", "grn", "Guarani", &[]),
    entry("gu", "guj", "guj", "Gujarati", &[]),
    entry("gv", "glv", "glv", "Manx", &[]),
    entry("ha", "hau", "hau", "Hausa", &[]),
    entry("he", "heb", "heb", "Hebrew", &["Ivrit"]),
    entry("hi", "hin", "hin", "Hindi", &[]),
    entry("ho", "hmo", "hmo", "Hiri Motu", &[]),
    entry("hr", "hrv", "hrv", "Croatian", &[]),
    entry("ht", "hat", "hat", "Haitian", &["Haitian Creole"]),
    entry("hu", "hun", "hun", "Hungarian", &[]),
    entry("hy", "arm", "hye", "Armenian", &[]),
    entry("hz", "her", "her", "Herero", &[]),
    entry("ia", "ina", "ina", "Interlingua", &[]),
    entry("id", "ind", "ind", "Indonesian", &[]),
    entry("ie", "ile", "ile", "Interlingue", &[]),
    entry("ig", "ibo", "ibo", "Igbo", &[]),
    entry("ii", "iii", "iii", "Sichuan Yi", &[]),
    entry("ik", "ipk", "ipk", "Inupiaq", &[]),
    entry("io", "ido", "ido", "Ido", &[]),
    entry("is", "ice", "isl", "Icelandic", &[]),
    entry("it", "ita", "ita", "Italian", &[]),
    entry("iu", "iku", "iku", "Inuktitut", &[]),
    entry("ja", "jpn", "jpn", "Japanese", &[]),
    entry("jv", "jav", "jav", "Javanese", &[]),
    entry("ka", "geo", "kat", "Georgian", &[]),
    entry("kg", "kon", "kon", "Kongo", &[]),
    entry("ki", "kik", "kik", "Kikuyu", &[]),
    entry("kj", "kua", "kua", "Kuanyama", &[]),
    entry("kk", "kaz", "kaz", "Kazakh", &[]),
    entry("kl", "kal", "kal", "Kalaallisut", &["Greenlandic"]),
    entry("km", "khm", "khm", "Khmer", &[]),
    entry("kn", "kan", "kan", "Kannada", &[]),
    entry("ko", "kor", "kor", "Korean", &[]),
    entry("kr", "kau", "kau", "Kanuri", &[]),
    entry("ks", "kas", "kas", "Kashmiri", &[]),
    entry("ku", "kur", "kur", "Kurdish", &[]),
    entry("kv", "kom", "kom", "Komi", &[]),
    entry("kw", "cor", "cor", "Cornish", &[]),
    entry("ky", "kir", "kir", "Kyrgyz", &["Kirghiz"]),
    entry("la", "lat", "lat", "Latin", &[]),
    entry("lb", "ltz", "ltz", "Luxembourgish", &["Letzeburgesch"]),
    entry("lg", "lug", "lug", "Ganda", &[]),
    entry("li", "lim", "lim", "Limburgish", &[]),
    entry("ln", "lin", "lin", "Lingala", &[]),
    entry("lo", "lao", "lao", "Lao", &[]),
    entry("lt", "lit", "lit", "Lithuanian", &[]),
    entry("lu", "lub", "lub", "Luba-Katanga", &[]),
    entry("lv", "lav", "lav", "Latvian", &[]),
    entry("mg", "mlg", "mlg", "Malagasy", &[]),
    entry("mh", "mah", "mah", "Marshallese", &[]),
    entry("mi", "mao", "mri", "Maori", &[]),
    entry("mk", "mac", "mkd", "Macedonian", &[]),
    entry("ml", "mal", "mal", "Malayalam", &[]),
    entry("mn", "mon", "mon", "Mongolian", &[]),
    entry("mr", "mar", "mar", "Marathi", &[]),
    entry("ms", "may", "msa", "Malay", &[]),
    entry("mt", "mlt", "mlt", "Maltese", &[]),
    entry("my", "bur", "mya", "Burmese", &["Myanmar"]),
    entry("na", "nau", "nau", "Nauru", &[]),
    entry("nb", "nob", "nob", "Norwegian Bokmål", &["Bokmål"]),
    entry("nd", "nde", "nde", "North Ndebele", &[]),
    entry("ne", "nep", "nep", "Nepali", &[]),
    entry("ng", "ndo", "ndo", "Ndonga", &[]),
    entry("nl", "dut", "nld", "Dutch", &["Flemish"]),
    entry("nn", "nno", "nno", "Norwegian Nynorsk", &["Nynorsk"]),
    entry("no", "nor", "nor", "Norwegian", &[]),
    entry("nr", "nbl", "nbl", "South Ndebele", &[]),
    entry("nv", "nav", "nav", "Navajo", &[]),
    entry("ny", "nya", "nya", "Chichewa", &[]),
    entry("oc", "oci", "oci", "Occitan", &[]),
    entry("oj", "oji", "oji", "Ojibwa", &[]),
    entry("om", "orm", "orm", "Oromo", &[]),
    entry("or", "ori", "ori", "Oriya", &["Odia"]),
    entry("os", "oss", "oss", "Ossetian", &[]),
    entry("pa", "pan", "pan", "Punjabi", &["Panjabi"]),
    entry("pi", "pli", "pli", "Pali", &[]),
    entry("pl", "pol", "pol", "Polish", &[]),
    entry("ps", "pus", "pus", "Pashto", &[]),
    entry("pt", "por", "por", "Portuguese", &[]),
    entry("qu", "que", "que", "Quechua", &[]),
    entry("rm", "roh", "roh", "Romansh", &[]),
    entry("rn", "run", "run", "Rundi", &[]),
    entry("ro", "rum", "ron", "Romanian", &["Moldavian"]),
    entry("ru", "rus", "rus", "Russian", &[]),
    entry("rw", "kin", "kin", "Kinyarwanda", &[]),
    entry("sa", "san", "san", "Sanskrit", &[]),
    entry("sc", "srd", "srd", "Sardinian", &[]),
    entry("sd", "snd", "snd", "Sindhi", &[]),
    entry("se", "sme", "sme", "Northern Sami", &[]),
    entry("sg", "sag", "sag", "Sango", &[]),
    entry("si", "sin", "sin", "Sinhala", &["Sinhalese"]),
    entry("sk", "slo", "slk", "Slovak", &[]),
    entry("sl", "slv", "slv", "Slovenian", &["Slovene"]),
    entry("sm", "smo", "smo", "Samoan", &[]),
    entry("sn", "sna", "sna", "Shona", &[]),
    entry("so", "som", "som", "Somali", &[]),
    entry("sq", "alb", "sqi", "Albanian", &[]),
    entry("sr", "srp", "srp", "Serbian", &[]),
    entry("ss", "ssw", "ssw", "Swati", &[]),
    entry("st", "sot", "sot", "Southern Sotho", &[]),
    entry("su", "sun", "sun", "Sundanese", &[]),
    entry("sv", "swe", "swe", "Swedish", &[]),
    entry("sw", "swa", "swa", "Swahili", &[]),
    entry("ta", "tam", "tam", "Tamil", &[]),
    entry("te", "tel", "tel", "Telugu", &[]),
    entry("tg", "tgk", "tgk", "Tajik", &[]),
    entry("th", "tha", "tha", "Thai", &[]),
    entry("ti", "tir", "tir", "Tigrinya", &[]),
    entry("tk", "tuk", "tuk", "Turkmen", &[]),
    entry("tl", "tgl", "tgl", "Tagalog", &["Filipino"]),
    entry("tn", "tsn", "tsn", "Tswana", &[]),
    entry("to", "ton", "ton", "Tonga", &[]),
    entry("tr", "tur", "tur", "Turkish", &[]),
    entry("ts", "tso", "tso", "Tsonga", &[]),
    entry("tt", "tat", "tat", "Tatar", &[]),
    entry("tw", "twi", "twi", "Twi", &[]),
    entry("ty", "tah", "tah", "Tahitian", &[]),
    entry("ug", "uig", "uig", "Uyghur", &["Uighur"]),
    entry("uk", "ukr", "ukr", "Ukrainian", &[]),
    entry("ur", "urd", "urd", "Urdu", &[]),
    entry("uz", "uzb", "uzb", "Uzbek", &[]),
    entry("ve", "ven", "ven", "Venda", &[]),
    entry("vi", "vie", "vie", "Vietnamese", &[]),
    entry("vo", "vol", "vol", "Volapük", &[]),
    entry("wa", "wln", "wln", "Walloon", &[]),
    entry("wo", "wol", "wol", "Wolof", &[]),
    entry("xh", "xho", "xho", "Xhosa", &[]),
    entry("yi", "yid", "yid", "Yiddish", &[]),
    entry("yo", "yor", "yor", "Yoruba", &[]),
    entry("za", "zha", "zha", "Zhuang", &[]),
    entry("zh", "chi", "zho", "Chinese", &["Mandarin", "Cantonese"]),
    entry("zu", "zul", "zul", "Zulu", &[]),
];

impl Language {
    /// Of two or three letters in any case: ISO 639-1, 639-2/B or 639-2/T.
    pub fn from_code(code: &str) -> Option<Self> {
        let is_it = |entry: &Entry| match code.len() {
            2 => entry.alpha2.eq_ignore_ascii_case(code),
            3 => entry.alpha3.eq_ignore_ascii_case(code) || entry.alpha3_b.eq_ignore_ascii_case(code),
            _ => false,
        };
        Self::find(is_it)
    }

    /// Of an English name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        // Two names have a letter that isn't ASCII; nobody shouts those.
        Self::find(|entry| {
            entry.name.eq_ignore_ascii_case(name)
                || entry.others.iter().any(|other| other.eq_ignore_ascii_case(name))
        })
    }

    fn find(is_it: impl FnMut(&Entry) -> bool) -> Option<Self> {
        LANGUAGES.iter().position(is_it).map(|at| Self(at as u8))
    }

    fn entry(self) -> &'static Entry {
        // Made by `find` alone, so it is in the table.
        &LANGUAGES[usize::from(self.0)]
    }

    /// Two letters (ISO 639-1).
    pub fn alpha2(self) -> &'static str {
        self.entry().alpha2
    }

    /// Three letters (ISO 639-2/T).
    pub fn alpha3(self) -> &'static str {
        self.entry().alpha3
    }

    /// Three letters as libraries have them (ISO 639-2/B).
    pub fn alpha3_b(self) -> &'static str {
        self.entry().alpha3_b
    }

    /// Its English name.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// All of them, by their two letters.
    pub fn all() -> impl Iterator<Item = Self> {
        (0u8..).take(LANGUAGES.len()).map(Self)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha2())
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.alpha2())
    }
}

/// A language as it is written or spoken somewhere: "pt-BR", "zh-Hant", "es-419" (BCP 47).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag {
    /// Which.
    pub language: Language,
    /// How it is written: four letters, "Hant" (ISO 15924).
    pub script: Option<Script>,
    /// Where: "BR" or "419" (ISO 3166-1, UN M.49).
    pub region: Option<Region>,
}

/// Four letters, "Hant".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Script([u8; 4]);

/// Two letters or three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Region {
    /// "BR".
    Country([u8; 2]),
    /// "419": Latin America.
    Area([u8; 3]),
}

/// A text that is no tag of a language we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no tag of a language, such as \"en\", \"pt-BR\" or \"zh-Hant\"")]
pub struct BadTag;

impl From<Language> for Tag {
    fn from(language: Language) -> Self {
        Self { language, script: None, region: None }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.to_string()
    }
}

impl TryFrom<String> for Tag {
    type Error = BadTag;

    fn try_from(text: String) -> Result<Self, BadTag> {
        text.parse()
    }
}

impl FromStr for Tag {
    type Err = BadTag;

    /// Language, script and region; what a tag may have beyond that (variants, extensions) isn't looked at. Takes `_` for `-`,
    /// as people write it.
    fn from_str(text: &str) -> Result<Self, BadTag> {
        let mut parts = text.split(['-', '_']);
        let language = parts.next().and_then(Language::from_code).ok_or(BadTag)?;
        let mut tag = Self::from(language);
        // Each part may come once, and in this order; the first that is something else ends what we understand.
        for part in parts.take(2) {
            if let Some(script) = Script::parse(part).filter(|_| tag.script.is_none() && tag.region.is_none())
            {
                tag.script = Some(script);
            } else if let Some(region) = Region::parse(part).filter(|_| tag.region.is_none()) {
                tag.region = Some(region);
            } else {
                break;
            }
        }
        Ok(tag)
    }
}

impl Script {
    fn parse(part: &str) -> Option<Self> {
        let mut letters = letters::<4>(part, u8::is_ascii_alphabetic)?;
        letters.make_ascii_lowercase();
        letters[0].make_ascii_uppercase();
        Some(Self(letters))
    }
}

impl Region {
    fn parse(part: &str) -> Option<Self> {
        let country = letters::<2>(part, u8::is_ascii_alphabetic).map(|mut letters| {
            letters.make_ascii_uppercase();
            Self::Country(letters)
        });
        country.or_else(|| letters::<3>(part, u8::is_ascii_digit).map(Self::Area))
    }
}

fn letters<const N: usize>(part: &str, is_one: impl Fn(&u8) -> bool) -> Option<[u8; N]> {
    <[u8; N]>::try_from(part.as_bytes()).ok().filter(|bytes| bytes.iter().all(is_one))
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.language.alpha2())?;
        let script = self.script.as_ref().map(|script| &script.0[..]);
        let region = self.region.as_ref().map(|region| match region {
            Region::Country(letters) => &letters[..],
            Region::Area(digits) => &digits[..],
        });
        // ASCII by how they are made.
        let parts = [script, region].into_iter().flatten().filter_map(|part| std::str::from_utf8(part).ok());
        parts.into_iter().try_for_each(|part| write!(f, "-{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_name_finds_its_language_and_no_other() {
        for language in Language::all() {
            for code in [language.alpha2(), language.alpha3(), language.alpha3_b()] {
                assert_eq!(Language::from_code(code), Some(language), "{code}");
                assert_eq!(Language::from_code(&code.to_uppercase()), Some(language), "{code}");
            }
            assert_eq!(Language::from_name(language.name()), Some(language));
        }
        assert_eq!(Language::from_name("farsi"), Language::from_code("per"));
        for nothing in ["", "e", "xx", "xxx", "engl", "é", "日本"] {
            assert_eq!(Language::from_code(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(LANGUAGES.windows(2).all(|two| two[0].alpha2 < two[1].alpha2));
    }

    #[test]
    fn a_tag_is_read_in_any_case_and_written_in_its_own() {
        for (text, written) in [
            ("en", "en"),
            ("ENG", "en"),
            ("pt_br", "pt-BR"),
            ("zh-hans", "zh-Hans"),
            ("zh-HANT-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-DE-1996", "de-DE"),
            ("sr-latn-x-private", "sr-Latn"),
            ("fr-", "fr"),
            ("en-US-Latn", "en-US"),
        ] {
            assert_eq!(text.parse::<Tag>().map(|tag| tag.to_string()), Ok(written.to_owned()), "{text}");
        }
        for nothing in ["", "-", "xx", "-en", "english"] {
            assert_eq!(nothing.parse::<Tag>(), Err(BadTag), "{nothing:?}");
        }
    }
}

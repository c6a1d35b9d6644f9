//! What a subtitle's name says beside its video's: a language, what it is for, and a title, in any order.

use crate::language::{Language, Tag};

/// What a name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Its language.
    pub language: Option<Tag>,
    /// What is left when all else is known, as it is written.
    pub title: Option<String>,
    /// "forced", "foreign".
    pub is_forced: bool,
    /// "default".
    pub is_default: bool,
    /// "sdh", "cc", "hi" beside a language.
    pub is_sdh: bool,
}

/// Codes that people write and that are no ISO 639 codes.
const OTHER_CODES: [(&str, &str); 9] = [
    ("chs", "zh-Hans"),
    ("cht", "zh-Hant"),
    ("cn", "zh"),
    ("jp", "ja"),
    ("pb", "pt-BR"),
    ("pob", "pt-BR"),
    ("ptbr", "pt-BR"),
    ("zhs", "zh-Hans"),
    ("zht", "zh-Hant"),
];

/// Words beside a language's name, and what they add to its tag.
const QUALIFIERS: [(&str, &str); 13] = [
    ("brazil", "BR"),
    ("brazilian", "BR"),
    ("canada", "CA"),
    ("canadian", "CA"),
    ("european", ""),
    ("latin america", "419"),
    ("latin american", "419"),
    ("latin", "419"),
    ("latino", "419"),
    ("simplified", "Hans"),
    ("spain", "ES"),
    ("traditional", "Hant"),
    ("mexican", "MX"),
];

/// Between the words of a part.
const SEPARATORS: [char; 8] = ['-', '_', ' ', '(', ')', '[', ']', ','];

/// Words of a part that may all be known. A longer part is a sentence.
const WORDS_MAX: usize = 6;

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Language(Tag),
    /// "hi": Hindi, or for those who are hearing-impaired if there is another language.
    Hi,
    Forced,
    Default,
    Sdh,
}

impl Word {
    fn parse(word: &str) -> Option<Self> {
        let flags = [
            ("hi", Self::Hi),
            ("forced", Self::Forced),
            ("foreign", Self::Forced),
            ("default", Self::Default),
            ("sdh", Self::Sdh),
            ("cc", Self::Sdh),
        ];
        let flag = flags.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, flag)| flag);
        flag.or_else(|| language(word).map(Self::Language))
    }

    fn is_flag(self) -> bool {
        !matches!(self, Self::Language(_))
    }
}

/// A code, an English name, or a tag that is one to its end: "ru-something-else" is more than Russian.
fn language(word: &str) -> Option<Tag> {
    let other = OTHER_CODES.iter().find(|(code, _)| word.eq_ignore_ascii_case(code)).map(|(_, tag)| *tag);
    let tag = other.unwrap_or(word).parse::<Tag>().ok();
    let is_whole =
        |tag: &Tag| tag.to_string().split('-').count() == other.unwrap_or(word).split(['-', '_']).count();
    tag.filter(is_whole).or_else(|| Language::from_name(word).map(Tag::from))
}

/// A part of a name between dots.
#[derive(Debug)]
struct Part<'a> {
    /// All of it.
    text: &'a str,
    words: Vec<Word>,
    /// What of it is none.
    title: Option<&'a str>,
}

impl<'a> Part<'a> {
    fn parse(text: &'a str) -> Self {
        let known = |words| Self { text, words, title: None };
        // "en-cc" is captions and no English of the Cocos Islands.
        if let Some((head, tail)) = text.split_once(['-', '_'])
            && let (Some(first), Some(second)) = (language(head), Word::parse(tail))
            && second.is_flag()
        {
            return known(vec![Word::Language(first), second]);
        }
        if let Some(word) = Word::parse(text) {
            return known(vec![word]);
        }
        if let Some(words) = all_words(text) {
            return known(words);
        }
        // "ru-something-else", "2_English": a dash or an underscore ends a word; a space is of a title.
        for split in
            [text.split_once(['-', '_']), text.rsplit_once(['-', '_']).map(|(title, word)| (word, title))]
        {
            if let Some((word, title)) = split.filter(|(word, _)| !word.contains(' '))
                && let Some(word) = Word::parse(word)
            {
                return Self { text, words: vec![word], title: Some(title) };
            }
        }
        Self { text, words: Vec::new(), title: Some(text) }
    }
}

/// The words of a part that has no others: "English (SDH)", "Brazilian Portuguese", "2_English".
fn all_words(text: &str) -> Option<Vec<Word>> {
    let parts: Vec<&str> =
        text.split(SEPARATORS).filter(|word| !word.is_empty()).take(WORDS_MAX + 1).collect();
    if parts.len() > WORDS_MAX {
        return None;
    }
    let mut words = Vec::new();
    let mut qualifiers = Vec::new();
    let mut rest = &parts[..];
    while let [first, after @ ..] = rest {
        let two = after.first().map(|second| format!("{first} {second}"));
        let longer = two.as_deref().and_then(|two| qualifier(two).map(|suffix| (suffix, &after[1..])));
        if let Some((suffix, after)) = longer.or_else(|| qualifier(first).map(|suffix| (suffix, after))) {
            qualifiers.push(suffix);
            rest = after;
            continue;
        }
        let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
        match Word::parse(first) {
            Some(word) => words.push(word),
            // Packs number their files.
            None if is_number && parts.len() > 1 => {}
            None => return None,
        }
        rest = after;
    }
    qualify(&mut words, &qualifiers);
    (!words.is_empty()).then_some(words)
}

fn qualifier(word: &str) -> Option<&'static str> {
    QUALIFIERS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, suffix)| *suffix)
}

/// Adds what words beside it say to the language.
fn qualify(words: &mut [Word], qualifiers: &[&str]) {
    let tags = words.iter_mut().filter_map(|word| match word {
        Word::Language(tag) => Some(tag),
        _ => None,
    });
    for tag in tags {
        for suffix in qualifiers.iter().filter(|suffix| !suffix.is_empty()) {
            *tag = format!("{tag}-{suffix}").parse().unwrap_or(*tag);
        }
    }
}

impl Part<'_> {
    /// What it adds to a title, if the name's language is this.
    fn title(&self, language: Option<Tag>) -> Option<&str> {
        match self.words[..] {
            // Another language than the one that counts; the same again adds nothing.
            [Word::Language(tag)] if language.is_some_and(|own| own.language != tag.language) => {
                Some(self.text)
            }
            _ => self.title,
        }
    }
}

impl Labels {
    /// Of what follows the video's name: ".en.forced", " - English (SDH)".
    pub fn parse(rest: &str) -> Self {
        let rest = rest.trim_matches(['.', ' ', '_', '-']);
        let parts: Vec<Part<'_>> = rest.split('.').filter(|part| !part.is_empty()).map(Part::parse).collect();
        Self::from_parts(&parts)
    }

    /// Of a whole name in a folder for subtitles. A name that begins like the video's has its labels at its end.
    pub(super) fn parse_name(name: &str, video: &str) -> Self {
        let first = |text: &str| {
            text.split(|letter: char| !letter.is_alphanumeric())
                .find(|word| !word.is_empty())
                .map(str::to_lowercase)
        };
        if first(name) != first(video) || Word::parse(name).is_some() {
            return Self::parse(name);
        }
        let is_end = |letter: char| letter == '.' || SEPARATORS.contains(&letter);
        let words = name.rsplit(is_end).filter(|word| !word.is_empty());
        let part = |text| Word::parse(text).map(|word| Part { text, words: vec![word], title: None });
        let known = words.map_while(part);
        let mut parts: Vec<Part<'_>> = known.take(WORDS_MAX).collect();
        parts.reverse();
        Self { title: None, ..Self::from_parts(&parts) }
    }

    fn from_parts(parts: &[Part<'_>]) -> Self {
        let words = || parts.iter().flat_map(|part| &part.words);
        let tags =
            || words().filter_map(|word| if let Word::Language(tag) = word { Some(*tag) } else { None });
        // Where two are named, the last is what it is in and the others are of its title: "title.en.fr".
        let named = tags().next_back();
        let his = words().filter(|word| **word == Word::Hi).count();
        let language = named.or_else(|| Language::from_code("hi").filter(|_| his > 0).map(Tag::from));
        let mut labels = Self {
            language,
            title: None,
            is_forced: words().any(|word| *word == Word::Forced),
            is_default: words().any(|word| *word == Word::Default),
            is_sdh: words().any(|word| *word == Word::Sdh) || his > usize::from(named.is_none()),
        };
        labels.title = title(parts, named);
        labels
    }
}

/// What of a name is neither its language nor a flag.
fn title(parts: &[Part<'_>], language: Option<Tag>) -> Option<String> {
    let title = parts.iter().filter_map(|part| part.title(language)).collect::<Vec<_>>().join(".");
    let title = title.trim_matches(['.', ' ', '-', '_']);
    // "mytitle - 1" is the first of several.
    let title = match title.rsplit_once(" - ") {
        Some((title, number)) if is_number(number) => title.trim_end(),
        _ => title,
    };
    (!title.is_empty() && !is_number(title)).then(|| title.to_owned())
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line of what is known.
    fn said(rest: &str) -> String {
        shown(&Labels::parse(rest))
    }

    fn shown(labels: &Labels) -> String {
        let flags = [(labels.is_forced, "forced"), (labels.is_default, "default"), (labels.is_sdh, "sdh")];
        let flags = flags.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name.to_owned());
        let language = labels.language.map(|tag| tag.to_string());
        let title = labels.title.as_ref().map(|title| format!("'{title}'"));
        language.into_iter().chain(flags).chain(title).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_come_in_any_order_and_with_any_separator() {
        for rest in [
            ".en.forced",
            ".forced.ENG",
            "-English-forced",
            "_forced_en",
            " (English) [Forced]",
            ".foreign.english",
        ] {
            assert_eq!(said(rest), "en forced", "{rest}");
        }
        assert_eq!(said(".default.ger.sdh"), "de default sdh");
        assert_eq!(said(""), "");
        assert_eq!(said(".."), "");
    }

    #[test]
    fn tags_are_languages_somewhere() {
        assert_eq!(said(".pt-BR"), "pt-BR");
        assert_eq!(said(".zh_hans.forced"), "zh-Hans forced");
        assert_eq!(said(".es-419.cc"), "es-419 sdh");
        assert_eq!(said(".pob"), "pt-BR");
        assert_eq!(said(".Brazilian Portuguese"), "pt-BR");
        assert_eq!(said(".Spanish (Latin American)"), "es-419");
        assert_eq!(said(".Chinese Traditional"), "zh-Hant");
        assert_eq!(said(".Portuguese_(European)"), "pt");
    }

    #[test]
    fn hi_is_hindi_alone_and_for_the_hearing_impaired_beside_a_language() {
        assert_eq!(said(".hi"), "hi");
        assert_eq!(said(".hin"), "hi");
        assert_eq!(said(".hi.forced"), "hi forced");
        assert_eq!(said(".hi.sdh"), "hi sdh");
        assert_eq!(said(".hi.hi"), "hi sdh");
        assert_eq!(said(".en.hi"), "en sdh");
        assert_eq!(said(".hi.en"), "en sdh");
        assert_eq!(said(".en-hi"), "en sdh");
        assert_eq!(said(".en_cc"), "en sdh");
    }

    #[test]
    fn what_is_left_is_a_title() {
        assert_eq!(said(".Director's cut.en"), "en 'Director's cut'");
        assert_eq!(said(".en.Signs.and.songs"), "en 'Signs.and.songs'");
        assert_eq!(said(".Dubbed from Chinese.en"), "en 'Dubbed from Chinese'");
        assert_eq!(said(".no.words.fr"), "fr 'no.words'");
        assert_eq!(said(".de-for-children"), "de 'for-children'");
        assert_eq!(said(".extra - 2.it"), "it 'extra'");
        assert_eq!(said(".part 2.it"), "it 'part 2'");
        assert_eq!(said(".(Director's cut).en"), "en '(Director's cut)'");
        assert_eq!(said(".fr.EN"), "en 'fr'");
        assert_eq!(said(".en.2"), "en");
        assert_eq!(said(".English.eng"), "en");
    }

    #[test]
    fn a_whole_name_has_its_labels_at_its_end_if_it_begins_like_the_video() {
        let named = |name| shown(&Labels::parse_name(name, "A.Film.2020.1080p"));
        assert_eq!(named("2_English"), "en");
        assert_eq!(named("12_French (Canadian)"), "fr-CA");
        assert_eq!(named("English (SDH)"), "en sdh");
        assert_eq!(named("a.film.2020.720p.forced.ger"), "de forced");
        assert_eq!(named("A Film (2020)"), "");
        assert_eq!(named("Commentary"), "'Commentary'");
    }

    proptest::proptest! {
        #[test]
        fn any_name_says_something_or_nothing(rest: String, name: String, video: String) {
            let _ = Labels::parse(&rest);
            let labels = Labels::parse_name(&name, &video);
            proptest::prop_assert!(labels.title.is_none_or(|title| title.len() <= name.len() + 64));
        }
    }
}

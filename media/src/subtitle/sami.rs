//! SAMI: something like HTML, with a `SYNC` for each time and a `P` for each language at that time.

use crate::language::Tag;

use super::SubtitleError;
use super::cue::{Cue, Document, Style, TextBuilder};
use super::markup::{self, entity};
use super::placement::Placement;

/// Reads the cues of one language: the one that is asked for if there are several, else the first.
pub(super) fn read(text: &str, language: Option<Tag>) -> Result<Document, SubtitleError> {
    let mut reader =
        Reader { class: language.and_then(|language| class_of(text, language)), ..Reader::default() };
    let mut rest = text;
    while let Some((said, after)) = rest.split_once('<') {
        reader.say(said);
        if !after.starts_with(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '/' | '!')) {
            reader.say("<");
            rest = after;
            continue;
        }
        let end = if after.starts_with("!--") { "-->" } else { ">" };
        let Some((inside, after)) = after.split_once(end) else {
            rest = "";
            break;
        };
        reader.tag(inside)?;
        rest = after;
    }
    reader.say(rest);
    reader.close(0)?;
    Ok(reader.document)
}

/// The class whose style says this language: `.ENCC { Name: English; lang: en-US; }`.
fn class_of(text: &str, language: Tag) -> Option<&str> {
    let end = ["<SYNC", "<Sync", "<sync"].iter().filter_map(|tag| text.find(tag)).min().unwrap_or(text.len());
    text[..end].split('}').find_map(|rule| {
        let (selector, declarations) = rule.rsplit_once('{')?;
        let is_its = declarations.split(';').filter_map(|line| line.split_once(':')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("lang")
                && value.trim().parse().is_ok_and(|tag: Tag| tag.language == language.language)
        });
        selector.trim().rsplit_once('.').map(|(_, class)| class).filter(|_| is_its)
    })
}

#[derive(Default)]
struct Reader<'a> {
    document: Document,
    /// Which language's texts are read, once that is known.
    class: Option<&'a str>,
    /// The time of the last `SYNC`.
    sync_ms: Option<u64>,
    /// When what is being said began; `None` while another language speaks.
    open: Option<u64>,
    is_heard: bool,
    style: Style,
    builder: TextBuilder,
}

impl<'a> Reader<'a> {
    fn tag(&mut self, inside: &'a str) -> Result<(), SubtitleError> {
        let tag = markup::Tag::parse(inside);
        let is = |name: &str| tag.name.eq_ignore_ascii_case(name);
        if let Some(look) = self.style.look_mut(tag.name) {
            *look = !tag.is_end;
        } else if is("br") || is("br/") {
            self.builder.push('\n', &self.style);
        } else if is("sync") && !tag.is_end {
            self.sync_ms = attribute(tag.annotation, "start").and_then(|value| value.parse().ok());
            self.is_heard = false;
        } else if is("p") && !tag.is_end {
            return self.paragraph(attribute(tag.annotation, "class"));
        }
        Ok(())
    }

    /// Someone speaks. What the same language said before ends with that.
    fn paragraph(&mut self, class: Option<&'a str>) -> Result<(), SubtitleError> {
        let own = *self.class.get_or_insert(class.unwrap_or_default());
        let is_own = class.is_none_or(|class| class.eq_ignore_ascii_case(own));
        let Some(sync_ms) = self.sync_ms.filter(|_| is_own) else {
            self.is_heard = false;
            return Ok(());
        };
        if self.open != Some(sync_ms) {
            self.close(sync_ms)?;
            self.open = Some(sync_ms);
        }
        self.builder.push('\n', &self.style);
        self.is_heard = true;
        Ok(())
    }

    fn say(&mut self, text: &str) {
        let mut rest = text;
        while let Some(letter) = rest.chars().next().filter(|_| self.is_heard) {
            let (letter, bytes) = entity(rest).unwrap_or((letter, letter.len_utf8()));
            // Nothing but a hard space is how a text is taken away.
            let is_space = letter.is_whitespace();
            self.builder.push(if is_space { ' ' } else { letter }, &self.style);
            rest = &rest[bytes..];
        }
    }

    fn close(&mut self, end_ms: u64) -> Result<(), SubtitleError> {
        let text = std::mem::take(&mut self.builder).build();
        self.style = Style::default();
        let Some(start_ms) = self.open.take() else { return Ok(()) };
        self.document.push(Cue { start_ms, end_ms, id: None, placement: Placement::default(), text })
    }
}

/// The value of an attribute: `Start=1000`, `class="ENCC"`.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let pairs = attributes.split_ascii_whitespace().filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    values.next().map(|value| value.trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_LANGUAGES: &str = "<SAMI><HEAD><TITLE>x</TITLE><STYLE TYPE=\"text/css\"><!--\nP { margin-left: 8pt }\n\
        .KRCC { Name: Korean; lang: ko-KR; }\n.ENCC { Name: English; lang: en-US; }\n--></STYLE></HEAD><BODY>\n\
        <SYNC Start=1000><P Class=KRCC>하나<br><i>둘</i>\n<SYNC Start=1000><P Class=ENCC>One &amp; two\n\
        <sync start=\"2500\"><p class=\"ENCC\">&nbsp;\n<SYNC Start=3000><P Class=KRCC>&nbsp;\n\
        <SYNC Start=4000><P Class=ENCC>Three < four\n</BODY></SAMI>";

    fn said(text: &str, language: Option<&str>) -> Vec<(u64, u64, String)> {
        let document = read(text, language.and_then(|tag| tag.parse().ok())).unwrap().settle();
        document.cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.plain())).collect()
    }

    #[test]
    fn the_language_that_is_asked_for_is_read_and_else_the_first() {
        let english = [(1000, 2500, "One & two".into()), (4000, 7000, "Three < four".into())];
        assert_eq!(said(TWO_LANGUAGES, Some("en")), english);
        assert_eq!(said(TWO_LANGUAGES, None), [(1000, 3000, "하나\n둘".into())]);
        assert_eq!(said(TWO_LANGUAGES, Some("fr")), said(TWO_LANGUAGES, Some("ko")));
    }

    #[test]
    fn paragraphs_need_no_class() {
        let text = "<SAMI><BODY><SYNC Start=0><P>One<P>two<SYNC Start=500><P>&nbsp;<SYNC Start=x><P>nowhere";
        assert_eq!(said(text, None), [(0, 500, "One\ntwo".into())]);
    }

    #[test]
    fn what_is_cut_off_says_what_it_said() {
        assert_eq!(said("<SAMI><SYNC Start=1><P>One<SYNC Sta", None), [(1, 3001, "One".into())]);
        assert!(said("<SAMI><!-- <SYNC Start=1><P>One", None).is_empty());
    }
}

//! What HTML left in subtitles: tags in angle brackets, and letters by name.

use super::cue::Style;

/// A tag in angle brackets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// It ends what one of its name began.
    pub(super) is_end: bool,
    /// "i".
    pub(super) name: &'a str,
    /// What follows the name directly, after a dot: "loud" in `<v.loud Fred>`.
    pub(super) class: &'a str,
    /// The rest: "Fred".
    pub(super) annotation: &'a str,
}

impl<'a> Tag<'a> {
    /// Of what is between the brackets.
    pub(super) fn parse(inside: &'a str) -> Self {
        let (is_end, inside) = match inside.strip_prefix('/') {
            Some(inside) => (true, inside),
            None => (false, inside),
        };
        let (head, annotation) = inside.split_once([' ', '\t', '\n']).unwrap_or((inside, ""));
        let (name, class) = head.split_once('.').unwrap_or((head, ""));
        Self { is_end, name, class, annotation }
    }
}

impl Style {
    /// The look of b, i or u, in either case.
    pub(super) fn look_mut(&mut self, name: &str) -> Option<&mut bool> {
        match name {
            "b" | "B" => Some(&mut self.is_bold),
            "i" | "I" => Some(&mut self.is_italic),
            "u" | "U" => Some(&mut self.is_underlined),
            _ => None,
        }
    }
}

/// Bytes of the longest name of a letter that we know, or its number, with `&` and `;`.
const ENTITY_BYTES_MAX: usize = 10;

/// The letter that a text begins with which is written as `&name;` or `&#number;` (HTML, section 13.5), and its bytes.
pub(super) fn entity(text: &str) -> Option<(char, usize)> {
    let inside = text.strip_prefix('&')?;
    let end = inside.bytes().take(ENTITY_BYTES_MAX).position(|byte| byte == b';')?;
    let letter = match &inside[..end] {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "lrm" => '\u{200e}',
        "rlm" => '\u{200f}',
        other => numbered(other.strip_prefix('#')?)?,
    };
    Some((letter, end + 2))
}

fn numbered(number: &str) -> Option<char> {
    // `from_str_radix` takes a plus.
    let is_number = number.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X'));
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => number.parse().ok(),
    };
    code.filter(|_| is_number).and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_parts() {
        let tag = Tag::parse("v.loud.far Fred Smith");
        assert_eq!((tag.is_end, tag.name, tag.class), (false, "v", "loud.far"));
        assert_eq!(tag.annotation, "Fred Smith");
        assert_eq!(Tag::parse("/i"), Tag { is_end: true, name: "i", class: "", annotation: "" });
        assert_eq!(Tag::parse("").name, "");
    }

    #[test]
    fn letters_have_names_and_numbers() {
        for (text, letter) in
            [("&amp;x", ('&', 5)), ("&#233;", ('é', 6)), ("&#x1F600;", ('😀', 9)), ("&nbsp;", ('\u{a0}', 6))]
        {
            assert_eq!(entity(text), Some(letter));
        }
        for nothing in ["&", "&;", "&amp", "&#;", "&#x;", "&#+5;", "&#xD800;", "&bogus;", "&é;", "x&amp;"] {
            assert_eq!(entity(nothing), None, "{nothing}");
        }
    }
}

//! The title: what stands before the first word that was recognised.

use std::ops::Range;

use super::table::{NETWORKS, QUALITIES, look_up};
use super::tokens::{Claim, Name, opens};

/// Which words are the title.
pub(super) fn find(name: &Name<'_>) -> Range<usize> {
    let start = start(name);
    // "S02E04.720p-GROUP": no more than a number and a quality has none.
    let is_behind =
        |claim: Claim| (0..start).any(|at| name.claim_of(at) == Some(claim) && name.bracket(at) == 0);
    if is_behind(Claim::Number) && is_behind(Claim::Quality) {
        return 0..0;
    }
    let end = end(name, start);
    let title = other_script(name, start..end).unwrap_or(start..end);
    if title.is_empty() { fallback(name) } else { in_latin(name, title) }
}

/// Nobody has it in a title.
fn is_claimed(name: &Name<'_>, at: usize) -> bool {
    name.claim_of(at).is_some_and(|claim| claim != Claim::Hint)
}

/// A word that may be one of the title. A word of the trade before others of it, as in "HD 720p: Title", is none.
fn is_open(name: &Name<'_>, at: usize) -> bool {
    let is_led = is_hint(name, at) && name.claim_of(at + 1) == Some(Claim::Quality) && name.is_free(at + 2);
    !is_claimed(name, at) && !is_led
}

/// Behind the brackets of who made it, and what else was recognised.
fn start(name: &Name<'_>) -> usize {
    let first = (0..name.len()).find(|&at| is_open(name, at)).unwrap_or(name.len());
    // "(500) Days": a number in round brackets is a title's.
    let is_number = name.gap(first).ends_with('(') && name.number(first, 4).is_some();
    if name.bracket(first) == 0 || is_number {
        return first;
    }
    let is_counted = |at: usize| name.claim_of(at) == Some(Claim::Number) && name.bracket(at) != 0;
    let counted = (first..name.len()).find(|&at| is_counted(at)).unwrap_or(name.len());
    let outside = (first..counted).find(|&at| name.bracket(at) == 0 && is_open(name, at));
    outside.unwrap_or_else(|| in_brackets(name, first, counted))
}

/// Everything is in brackets: the first are of who made it, and of the others those in Latin letters are looked up best.
fn in_brackets(name: &Name<'_>, first: usize, end: usize) -> usize {
    let opens =
        |&at: &usize| is_open(name, at) && !is_hint(name, at) && name.bracket(at) != name.bracket(at - 1);
    let is_inside =
        |at: usize, word: usize| name.bracket(word) == name.bracket(at) && !is_claimed(name, word);
    let is_latin = |&at: &usize| {
        let mut words = (at..name.len()).take_while(|&word| is_inside(at, word));
        name.bracket(at) != 0 && words.any(|word| is_latin(name, word))
    };
    let others = || (first + 1..end).filter(opens);
    others().find(is_latin).or_else(|| others().next()).unwrap_or(first)
}

/// A Roman number in one letter: "Ⅲ".
fn is_roman(letter: char) -> bool {
    ('\u{2160}'..='\u{2188}').contains(&letter)
}

/// A word of two letters or more, of which all are Latin.
fn is_latin(name: &Name<'_>, at: usize) -> bool {
    name.word(at).bytes().filter(u8::is_ascii_alphabetic).count() >= 2 && !is_foreign(name, at)
}

/// A word with letters that come after the Greek.
fn is_foreign(name: &Name<'_>, at: usize) -> bool {
    name.word(at).chars().any(|letter| letter >= '\u{370}' && !is_roman(letter) && letter.is_alphabetic())
}

fn is_hint(name: &Name<'_>, at: usize) -> bool {
    name.claim_of(at) == Some(Claim::Hint)
}

/// A number stands before the title.
pub(super) fn is_led(name: &Name<'_>, title: &Range<usize>) -> bool {
    (0..title.start).any(|at| name.claim_of(at) == Some(Claim::Number) && name.bracket(at) == 0)
}

fn end(name: &Name<'_>, start: usize) -> usize {
    let is_numbered = is_led(name, &(start..start));
    let mut at = start + 1;
    while at < name.len() && !is_claimed(name, at) {
        let gap = name.gap(at);
        let is_other = matches!(gap, " / " | " | ") || gap.contains(" / ") || is_known_as(name, at);
        if is_other || (is_numbered && name.is_after_dash(at)) {
            break;
        }
        if name.bracket(at) != name.bracket(at - 1) {
            match bracket_of_title(name, at, start) {
                Some(end) => at = end + 1,
                None => break,
            }
            continue;
        }
        at += 1;
    }
    without_hints(name, start, at.min(name.len()))
}

/// "aka", which begins another title.
fn is_known_as(name: &Name<'_>, at: usize) -> bool {
    name.word(at) == "aka" || (name.word(at) == "a" && name.word(at + 1) == "k" && name.word(at + 2) == "a")
}

/// Where a bracket ends that words of the title follow, as in "You Are (Not) Alone".
fn bracket_of_title(name: &Name<'_>, at: usize, start: usize) -> Option<usize> {
    if name.bracket(start) != 0 && name.bracket(at) == 0 {
        // The title began in the bracket that ends here.
        return name.gap(at).contains(')').then_some(at);
    }
    let end = (at..name.len()).find(|&word| name.bracket(word) != name.bracket(at))?;
    let is_free = (at..end).all(|word| name.is_free(word));
    let goes_on = name.is_free(end) && name.bracket(end) == 0 && !name.is_after_dash(end);
    let is_tight = !name.gap(end).contains(['-', '/']) && !name.gap(at).contains("- ");
    (is_free && goes_on && is_tight).then_some(end)
}

/// Words right before the end that the trade has as well are the trade's, unless nothing but an article would be left.
fn without_hints(name: &Name<'_>, start: usize, end: usize) -> usize {
    let is_article = |at: usize| {
        matches!(
            name.word(at),
            "the" | "a" | "an" | "of" | "and" | "my" | "la" | "le" | "der" | "die" | "das"
        )
    };
    let next_is_year = name.claim_of(end) == Some(Claim::Year);
    let mut shorter = end;
    // "The Good German (2006)": of so few words none is a language.
    let is_short = next_is_year && (end - start <= 2 || (end - start <= 3 && is_article(start)));
    while !is_short && shorter > start + 1 && is_hint(name, shorter - 1) && is_meant(name, shorter - 1, end) {
        shorter -= 1;
    }
    while shorter < end && is_article(shorter - 1) {
        shorter += 1;
    }
    shorter
}

/// Before a year or a number people write languages and cuts; services and sources only before what it is made of.
fn is_meant(name: &Name<'_>, at: usize, end: usize) -> bool {
    let word = name.word(at);
    let is_before_quality = name.claim_of(end) == Some(Claim::Quality);
    let is_before_year = name.claim_of(end) == Some(Claim::Year);
    let is_source = look_up(NETWORKS, word).is_some() || look_up(QUALITIES, word).is_some();
    is_before_quality || !(is_source || (is_before_year && matches!(word, "complete" | "final" | "line")))
}

/// A title in another script with one in Latin letters behind it, after a slash or in brackets: whoever looks it up wants the latter.
fn other_script(name: &Name<'_>, title: Range<usize>) -> Option<Range<usize>> {
    let is_any_latin = |words: Range<usize>| {
        words.into_iter().any(|at| name.word(at).contains(|letter: char| letter.is_ascii_alphabetic()))
    };
    let next = title.end;
    if title.is_empty() || is_any_latin(title) || !name.is_free(next) {
        return None;
    }
    let is_slash = name.gap(next).contains('/');
    let is_bracket = name.gap(next).ends_with('(');
    if !is_slash && !is_bracket {
        return None;
    }
    let end = match is_slash {
        true => self::end(name, next),
        false => (next..name.len())
            .find(|&at| name.bracket(at) != name.bracket(next) || is_claimed(name, at))
            .unwrap_or(name.len()),
    };
    is_any_latin(next..end).then_some(next..end)
}

/// Of a title in two scripts the words in Latin letters.
fn in_latin(name: &Name<'_>, title: Range<usize>) -> Range<usize> {
    let is_mixed = title.clone().any(|at| is_foreign(name, at)) && title.clone().any(|at| is_latin(name, at));
    if !is_mixed {
        return title;
    }
    let is_foreign = |&at: &usize| is_foreign(name, at);
    let start = title.clone().find(|&at| is_latin(name, at)).unwrap_or(title.start);
    let end = (start..title.end).find(is_foreign).unwrap_or(title.end);
    start..end
}

/// If all words are recognised, the first that isn't of how it is made.
fn fallback(name: &Name<'_>) -> Range<usize> {
    let first = (0..name.len()).find(|&at| !is_claimed(name, at));
    first.map_or(0..0, |at| at..at + 1)
}

/// The words as people write them.
pub(super) fn text(name: &Name<'_>, words: Range<usize>) -> String {
    let Some(last) = words.end.checked_sub(1).filter(|_| !words.is_empty()) else { return String::new() };
    let mut end = name.token(last).end;
    let rest = &name.text()[end..];
    let text = &name.text()[name.token(words.start).start..end];
    // What belongs to the last word: "!", and the bracket that was opened in the title.
    let is_open = text.contains(opens) && !text.contains([')', ']', '}']);
    end += rest.find(|next| next != '!' && !(is_open && next == ')')).unwrap_or(rest.len());
    spaced(&name.text()[name.token(words.start).start..end])
}

/// With spaces for what stands for them.
fn spaced(text: &str) -> String {
    let has_spaces = text.contains([' ', '_']);
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        let is_space = letter == '_'
            || letter.is_whitespace()
            || (letter == '.' && !has_spaces && !is_initial(text, at));
        match is_space {
            true if out.ends_with(' ') || out.is_empty() => {}
            true => out.push(' '),
            false => out.push(letter),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// A dot between single letters: "S.H.I.E.L.D".
fn is_initial(text: &str, dot: usize) -> bool {
    let is_single = |mut letters: std::iter::Take<&mut dyn Iterator<Item = char>>| {
        letters.next().is_some_and(char::is_alphabetic)
            && letters.next().is_none_or(|next| matches!(next, '.' | ' '))
    };
    is_single((&mut text[..dot].chars().rev() as &mut dyn Iterator<Item = char>).take(2))
        && is_single((&mut text[dot + 1..].chars() as &mut dyn Iterator<Item = char>).take(2))
}

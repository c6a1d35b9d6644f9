//! Who made it: behind the last dash, in the first brackets, or the last word.

use std::ops::Range;

use super::tokens::{Claim, Name};

/// Marks that those who carry releases on put behind the group; sorted.
const CARRIERS: &[&str] = &[
    "1",
    "4p",
    "4planet",
    "alternativetorequested",
    "alternativetorrents",
    "altezachen",
    "asrequested",
    "buymore",
    "chamele0n",
    "gerov",
    "nzbgeek",
    "obfuscated",
    "obfuscation",
    "postbot",
    "pre",
    "rakuv",
    "rakuv02",
    "rakuvfinhel",
    "rakuvus",
    "rarbg.com",
    "repackpost",
    "rp",
    "sample",
    "scrambled",
    "whiterev",
    "xpost",
    "z0ids3n",
];

/// Words that stand at the end and are no group; sorted.
const NOT_GROUPS: &[&str] = &[
    "avi", "cd1", "cd2", "dl", "end", "esub", "esubs", "hd", "mkv", "mp4", "msubs", "nogroup", "sample",
    "subs",
];

/// The group, if there is one.
pub(super) fn find(name: &Name<'_>, title: &Range<usize>) -> Option<String> {
    let tail = tail(name, title);
    after_dash(name, &tail)
        .or_else(|| first_brackets(name, title))
        .or_else(|| last_brackets(name, title))
        .or_else(|| last_word(name, &tail))
        .or_else(|| word_in_brackets(name, title))
        .filter(|group| {
            !group.is_empty() && NOT_GROUPS.binary_search(&group.to_ascii_lowercase().as_str()).is_err()
        })
        .map(str::to_owned)
}

/// What nobody recognised at the end, without the brackets behind it.
fn tail(name: &Name<'_>, title: &Range<usize>) -> Range<usize> {
    let mut end = name.len();
    while end > title.end && (name.bracket(end - 1) != 0 || name.claim_of(end - 1) == Some(Claim::Noise)) {
        end -= 1;
    }
    // "x264-GROUP_English": a word behind the group.
    if end > title.end + 2
        && name.claim_of(end - 1) == Some(Claim::Hint)
        && name.is_free(end - 2)
        && name.gap(end - 2) == "-"
    {
        end -= 1;
    }
    // Nothing stands outside of brackets: then nothing is a tail.
    let mut start = end;
    while start > title.end && name.is_free(start - 1) && name.bracket(start - 1) == 0 {
        start -= 1;
    }
    start..end
}

fn after_dash<'a>(name: &Name<'a>, tail: &Range<usize>) -> Option<&'a str> {
    let before = name.claim_of(tail.start.checked_sub(1)?)?;
    let is_made = matches!(before, Claim::Quality | Claim::Hint);
    if tail.is_empty() {
        return None;
    }
    let is_dash = name.gap(tail.start).contains('-');
    if is_dash
        && (is_made || name.gap(tail.start) == "-" && tail.clone().skip(1).all(|at| name.gap(at) == "-"))
    {
        return text(name, without_carrier(name, before_dash(name, tail.clone())));
    }
    // "x264.D-Z0N3": a name with a dash of its own.
    let inner = tail.start + 1..tail.end;
    if is_made && !inner.is_empty() && inner.clone().all(|at| name.gap(at) == "-") {
        return text(name, without_carrier(name, tail.clone()));
    }
    // "S01E02.What.They.Said-GROUP".
    let last = inner.rev().find(|&at| name.gap(at).contains('-'))?;
    let is_one = name.gap(last) == "-" && !tail.clone().any(|at| name.gap(at).contains(' '));
    let is_apart = is_made && name.is_after_dash(last) && last + 1 == tail.end;
    (is_one || is_apart).then(|| text(name, last..tail.end)).flatten()
}

/// Up to the next dash with room around it.
fn before_dash(name: &Name<'_>, words: Range<usize>) -> Range<usize> {
    let end = (words.start + 1..words.end).find(|&at| name.is_after_dash(at)).unwrap_or(words.end);
    words.start..end
}

fn without_carrier(name: &Name<'_>, words: Range<usize>) -> Range<usize> {
    let is_carrier = |at: &usize| CARRIERS.binary_search(&name.word(*at)).is_ok();
    let carriers = words.clone().skip(1).rev().take_while(is_carrier).count();
    words.start..words.end - carriers
}

/// "[Group] Title".
fn first_brackets<'a>(name: &Name<'a>, title: &Range<usize>) -> Option<&'a str> {
    let first = (0..title.start).find(|&at| name.claim_of(at) != Some(Claim::Noise))?;
    let words = bracket(name, first);
    let is_square = name.gap(first).ends_with(['[', '【', '{']);
    let is_free = words.clone().all(|at| name.is_free(at) || name.claim_of(at) == Some(Claim::Hint));
    (is_square && is_free && words.end <= title.start).then(|| text(name, words)).flatten()
}

/// "(1080p BluRay x265) [Group]", "Title - 07 [Group][720p]": the last brackets that nobody recognised.
fn last_brackets<'a>(name: &Name<'a>, title: &Range<usize>) -> Option<&'a str> {
    let behind = |claim: Claim| {
        (title.end..name.len()).find(|&at| name.claim_of(at) == Some(claim)).unwrap_or(name.len())
    };
    let (quality, number) = (behind(Claim::Quality), behind(Claim::Number));
    let mut at = name.len();
    while at > title.end {
        let words = bracket(name, at - 1);
        at = words.start.min(at - 1);
        let is_free = !words.is_empty() && words.clone().all(|word| name.is_free(word));
        let is_short = words.len() <= 2 || name.gap(words.start).contains('-');
        // Behind a number alone it may be an episode's title.
        let is_counted = number < words.start && words.len() <= 2 && name.gap(words.start).ends_with('[');
        if is_free && words.start >= title.end && is_short && (quality < words.start || is_counted) {
            return text(name, words);
        }
    }
    None
}

/// The words of the brackets around one.
fn bracket(name: &Name<'_>, at: usize) -> Range<usize> {
    let of = name.bracket(at);
    if of == 0 {
        return at..at;
    }
    let start = (0..at).rev().take_while(|&word| name.bracket(word) == of).last().unwrap_or(at);
    let end = (at..name.len()).find(|&word| name.bracket(word) != of).unwrap_or(name.len());
    start..end
}

/// "x264 GROUP".
fn last_word<'a>(name: &Name<'a>, tail: &Range<usize>) -> Option<&'a str> {
    let is_made = matches!(name.claim_of(tail.start.checked_sub(1)?), Some(Claim::Quality | Claim::Hint));
    let is_word = tail.len() == 1 && name.written(tail.start).contains(|letter: char| letter.is_alphabetic());
    (is_made && is_word).then(|| name.written(tail.start))
}

/// "(1080p AMZN WEB-DL x265 GROUP)".
fn word_in_brackets<'a>(name: &Name<'a>, title: &Range<usize>) -> Option<&'a str> {
    let is_last =
        |&at: &usize| name.bracket(at) != 0 && name.is_free(at) && name.bracket(at + 1) != name.bracket(at);
    let at = (title.end..name.len()).rev().find(is_last)?;
    let words = bracket(name, at);
    let start = words.clone().rev().take_while(|&word| name.is_free(word)).last()?;
    let is_made = words.clone().any(|word| name.claim_of(word) == Some(Claim::Quality));
    let is_short = at - start <= 1 && name.written(at).contains(|letter: char| letter.is_alphabetic());
    (is_made && is_short).then(|| text(name, start..words.end)).flatten()
}

fn text<'a>(name: &Name<'a>, words: Range<usize>) -> Option<&'a str> {
    let last = words.end.checked_sub(1).filter(|_| !words.is_empty())?;
    Some(&name.text()[name.token(words.start).start..name.token(last).end])
}

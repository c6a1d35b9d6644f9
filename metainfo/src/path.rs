//! File names out of a torrent, made safe before anything else sees them.
//!
//! What comes out never escapes the download folder, is legal on Linux, macOS and Windows, and shows no
//! more than it is. Not here: opening files (storage refuses links, whatever the name says) and judging
//! names (media).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use thiserror::Error;

use crate::limits::{PATH_COMPONENT_BYTES_MAX, PATH_DEPTH_MAX, RENAMED_FILES_MAX, TEXT_BYTES_MAX};

/// Longest tail behind a dot that counts as an extension and outlives shortening.
const EXTENSION_BYTES_MAX: usize = 32;

/// Room for the number in a renamed file's name: a dot and every `u32`.
const NUMBER_BYTES_MAX: usize = 11;

/// Why no paths can be made of a torrent's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// More components than [`PATH_DEPTH_MAX`].
    #[error("folders are nested deeper than {PATH_DEPTH_MAX} levels")]
    TooDeep,
    /// More renamed files than [`RENAMED_FILES_MAX`].
    #[error("more than {RENAMED_FILES_MAX} files share their names with others")]
    TooManyDuplicates,
}

/// One component made safe; `None` if it is to be left out (empty, `.`, `..`).
///
/// Safe components come out unchanged, so making safe twice changes nothing.
pub fn safe_component(raw: &[u8]) -> Option<String> {
    if matches!(raw, b"" | b"." | b"..") {
        return None;
    }
    let mut name = replace_unsafe(raw);
    trim_end(&mut name);
    shorten(&mut name, 0);
    trim_end(&mut name);
    if is_windows_device(&name) {
        name.insert(0, '_');
        shorten(&mut name, 0);
    }
    // What consisted of dots and spaces was a name, if a strange one: it must not vanish, nor become `..`.
    if name.is_empty() {
        name.push('_');
    }
    Some(name)
}

/// A path made safe, component by component; `["_"]` if nothing is left of it.
pub fn safe_components(raw: &[&[u8]]) -> Result<Vec<String>, PathError> {
    let mut path = Vec::with_capacity(raw.len().min(PATH_DEPTH_MAX));
    for component in raw.iter().filter_map(|raw| safe_component(raw)) {
        if path.len() == PATH_DEPTH_MAX {
            return Err(PathError::TooDeep);
        }
        path.push(component);
    }
    if path.is_empty() {
        path.push("_".to_owned());
    }
    Ok(path)
}

/// Renames files (`name.1.ext`) so that no two paths are equal, differ in case only, or are file and folder
/// at once. Returns the positions of those renamed, ascending. Folders keep their names, and the first file
/// its own.
///
/// Folders are counted in a tree, so that time and memory grow with the paths' bytes, whatever the names.
/// Names that differ in Unicode normalisation only are not seen as equal.
pub fn disambiguate(paths: &mut [&mut Vec<String>]) -> Result<Vec<usize>, PathError> {
    let mut tree = Tree::default();
    let folders: Vec<u32> = paths
        .iter()
        .map(|path| {
            let above = path.len().saturating_sub(1);
            path[..above].iter().fold(0, |folder, component| tree.folder(folder, component))
        })
        .collect();
    let mut renamed = Vec::new();
    for (position, (path, folder)) in paths.iter_mut().zip(folders).enumerate() {
        let Some(name) = path.last_mut() else { continue };
        if tree.claim(folder, name) {
            continue;
        }
        if renamed.len() == RENAMED_FILES_MAX {
            return Err(PathError::TooManyDuplicates);
        }
        renamed.push(position);
        *name = tree.claim_other(folder, name);
    }
    Ok(renamed)
}

/// The names taken in each folder, folded; folders have numbers, files don't. The root is 0.
#[derive(Default)]
struct Tree {
    /// With the folder's number, if the name is a folder's.
    taken: BTreeMap<(u32, String), Option<u32>>,
    folders: u32,
    /// The last number given out for each name: counting goes on from there, so that a thousand equal names
    /// cost a thousand steps.
    numbers: BTreeMap<(u32, String), u32>,
}

impl Tree {
    fn folder(&mut self, parent: u32, name: &str) -> u32 {
        let folders = &mut self.folders;
        let number = self.taken.entry((parent, fold_case(name))).or_insert_with(|| {
            *folders += 1;
            Some(*folders)
        });
        number.unwrap_or(parent)
    }

    /// Takes a name for a file, if it's free.
    fn claim(&mut self, folder: u32, name: &str) -> bool {
        match self.taken.entry((folder, fold_case(name))) {
            Entry::Occupied(_) => false,
            Entry::Vacant(slot) => {
                slot.insert(None);
                true
            }
        }
    }

    /// Takes the first free name of the row `name.1.ext`, `name.2.ext`, … for a file.
    fn claim_other(&mut self, folder: u32, name: &str) -> String {
        // Shortened before counting: long names that differ only in what is cut off share one count.
        let mut base = name.to_owned();
        shorten(&mut base, NUMBER_BYTES_MAX);
        let key = (folder, fold_case(&base));
        let mut number = self.numbers.get(&key).copied().unwrap_or(0);
        let other = loop {
            number += 1;
            let mut candidate = base.clone();
            candidate.insert_str(split_extension(&base).0.len(), &format!(".{number}"));
            if self.claim(folder, &candidate) {
                break candidate;
            }
        };
        self.numbers.insert(key, number);
        other
    }
}

/// Text of a torrent for people, on one line: one that can't drive a terminal, turn the line round, or fill
/// the screen.
pub(crate) fn safe_text(raw: &[u8]) -> String {
    safe_chars(raw, |_| false)
}

/// The same, line breaks kept.
pub(crate) fn safe_lines(raw: &[u8]) -> String {
    safe_chars(raw, |c| c == '\n')
}

fn safe_chars(raw: &[u8], keep: impl Fn(char) -> bool) -> String {
    let shown = |c: char| if is_deceptive(c) && !keep(c) { '_' } else { c };
    // Cut before it is copied: a comment can be as long as the .torrent.
    let raw = &raw[..raw.len().min(TEXT_BYTES_MAX)];
    let mut text: String = String::from_utf8_lossy(raw).chars().map(shown).collect();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text.trim().to_owned()
}

/// A raw path for a warning: escaped, so that it shows what is there.
pub(crate) fn escaped(raw: &[&[u8]]) -> String {
    let mut shown = String::new();
    for (nth, component) in raw.iter().enumerate() {
        if nth > 0 {
            shown.push('/');
        }
        for chunk in component.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    c if is_deceptive(c) || c == '\\' => shown.extend(c.escape_default()),
                    c => shown.push(c),
                }
            }
            chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
        }
        if shown.len() > PATH_COMPONENT_BYTES_MAX {
            shown.truncate(shown.floor_char_boundary(PATH_COMPONENT_BYTES_MAX));
            shown.push('…');
            break;
        }
    }
    shown
}

/// Each malformed sequence and each character that some system forbids or a person can't see becomes `_`.
fn replace_unsafe(raw: &[u8]) -> String {
    let mut name = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        name.extend(chunk.valid().chars().map(|c| if is_unsafe(c) { '_' } else { c }));
        if !chunk.invalid().is_empty() {
            name.push('_');
        }
    }
    name
}

fn is_unsafe(c: char) -> bool {
    matches!(c, '/' | '\\' | ':' | '<' | '>' | '"' | '|' | '?' | '*') || is_deceptive(c)
}

/// Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls (`exe.4pm` that
/// reads `mp4.exe`), the byte order mark.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Windows drops dots and spaces at the end, so that `a.` would become another's `a`.
fn trim_end(name: &mut String) {
    let kept = name.trim_end_matches(|c: char| c == '.' || c.is_whitespace()).len();
    name.truncate(kept);
}

/// Cuts a name in front of its extension, until `room` more bytes fit.
fn shorten(name: &mut String, room: usize) {
    let longest = PATH_COMPONENT_BYTES_MAX - room;
    if name.len() <= longest {
        return;
    }
    let (stem, extension) = split_extension(name);
    let stem_end = stem.floor_char_boundary(longest - extension.len());
    let start = name.len() - extension.len();
    name.replace_range(stem_end..start, "");
}

/// `("film", ".mkv")`; the second half is empty where there's no extension worth keeping.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= EXTENSION_BYTES_MAX => name.split_at(dot),
        _ => (name, ""),
    }
}

/// Names that open a device on Windows whatever their extension: `CON`, `nul.txt`, `Com1 .mkv`.
fn is_windows_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end();
    let fixed = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    if fixed.iter().any(|device| stem.eq_ignore_ascii_case(device)) {
        return true;
    }
    let Some((kind, port)) = stem.split_at_checked(3) else { return false };
    (kind.eq_ignore_ascii_case("com") || kind.eq_ignore_ascii_case("lpt"))
        && matches!(port, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
}

/// The same for all names that a file system blind to case takes for one.
fn fold_case(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // Up and down again: `ſ` and `s`, `ς` and `σ` meet that way.
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(raw: &str) -> String {
        safe_component(raw.as_bytes()).unwrap()
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["film.mkv", ".hidden", "日本語.srt", "a b (2020) [x264]", "e\u{301}té", "..a", "👩‍🚀.png"]
        {
            assert_eq!(safe(name), name);
        }
    }

    #[test]
    fn names_of_dots_and_spaces_do_not_vanish() {
        assert_eq!(
            (safe("..."), safe(". ."), safe(" "), safe("a. .")),
            ("_".into(), "_".into(), "_".into(), "a".into())
        );
        assert_eq!(safe_component(b".."), None);
        assert_eq!(safe_components(&[b"..", b"", b"."]).unwrap(), ["_"]);
    }

    #[test]
    fn device_names_are_defused() {
        assert_eq!(
            (safe("CON"), safe("nul.txt"), safe("Com1 .mkv")),
            ("_CON".into(), "_nul.txt".into(), "_Com1 .mkv".into())
        );
        assert_eq!((safe("LPT²"), safe("conin$.a")), ("_LPT²".into(), "_conin$.a".into()));
        assert_eq!(
            (safe("console"), safe("com10"), safe("common")),
            ("console".into(), "com10".into(), "common".into())
        );
        let hidden_by_spaces = format!("con{}x", " ".repeat(300));
        assert_eq!(safe(&hidden_by_spaces), "_con");
    }

    #[test]
    fn long_names_keep_their_extension_and_whole_characters() {
        let long = safe(&format!("{}.mkv", "é".repeat(300)));
        assert!(long.len() <= PATH_COMPONENT_BYTES_MAX && long.ends_with("é.mkv"), "{long}");
        let no_extension = safe(&format!("a.{}", "b".repeat(500)));
        assert_eq!(no_extension.len(), PATH_COMPONENT_BYTES_MAX);
    }

    #[test]
    fn making_safe_twice_changes_nothing() {
        let long = format!("{} . .{}", "x".repeat(238), "y".repeat(20));
        for raw in ["con", "a:b", "x. ", "nul .", "\u{202e}fdp.exe", &long] {
            let once = safe(raw);
            assert_eq!(safe(&once), once, "{raw:?}");
        }
    }

    fn disambiguated(paths: &[&str]) -> Vec<String> {
        let mut paths: Vec<Vec<String>> =
            paths.iter().map(|path| path.split('/').map(str::to_owned).collect()).collect();
        disambiguate(&mut paths.iter_mut().collect::<Vec<_>>()).unwrap();
        paths.iter().map(|path| path.join("/")).collect()
    }

    #[test]
    fn equal_and_case_equal_names_are_numbered() {
        assert_eq!(disambiguated(&["a.x", "A.X", "a.x", "a.1.x"]), ["a.x", "A.1.X", "a.2.x", "a.1.1.x"]);
        assert_eq!(
            disambiguated(&["d/x", "D/X", "Straße", "STRASSE"]),
            ["d/x", "D/X.1", "Straße", "STRASSE.1"]
        );
    }

    #[test]
    fn a_file_gives_way_to_a_folder_of_its_name() {
        assert_eq!(disambiguated(&["a", "a/b", "a/b/c"]), ["a.1", "a/b.1", "a/b/c"]);
    }

    #[test]
    fn long_names_that_differ_where_they_are_cut_are_counted_together() {
        // Were each counted for itself, the last would try a thousand numbers, and all of them half a
        // million.
        let long = |n: usize| format!("{}{n:04}", "x".repeat(PATH_COMPONENT_BYTES_MAX - 4));
        let names: Vec<String> = (0..1000).flat_map(|n| [long(n), long(n)]).collect();
        let mut tree = Tree::default();
        names.iter().for_each(|name| {
            if !tree.claim(0, name) {
                tree.claim_other(0, name);
            }
        });
        assert_eq!((tree.taken.len(), tree.numbers.len()), (2000, 1));
    }

    #[test]
    fn numbering_a_name_at_the_limit_does_not_lengthen_it() {
        let long = "x".repeat(PATH_COMPONENT_BYTES_MAX - 4) + ".mkv";
        let renamed = &disambiguated(&[&long, &long])[1];
        assert!(renamed.len() <= PATH_COMPONENT_BYTES_MAX && renamed.ends_with("x.1.mkv"), "{renamed}");
    }
}

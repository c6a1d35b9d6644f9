//! SubViewer 2, and what YouTube makes of it (`.sbv`): a line of two times, then lines of text.

use crate::limits::CUE_LINES_MAX;

use super::SubtitleError;
use super::cue::{Cue, Document};
use super::srt::{lines, styled};
use super::time::Scanner;

/// Ends a line in a line.
const BREAK: &str = "[br]";

/// Whether only this format has such a line.
pub(super) fn is_its(line: &str) -> bool {
    times(line).is_some()
}

/// "00:00:01.00,00:00:02.00", and nothing else.
fn times(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.trim().split_once(',')?;
    Some((time(start)?, time(end)?))
}

fn time(text: &str) -> Option<u64> {
    let mut scanner = Scanner::new(text);
    let ms = scanner.time().filter(|_| text.starts_with(|letter: char| letter.is_ascii_digit()));
    ms.filter(|_| scanner.rest().is_empty())
}

/// A cue ends with an empty line or the next times. What is before the first is about the file.
pub(super) fn read(text: &str) -> Result<Document, SubtitleError> {
    let mut document = Document::default();
    let mut open: Option<(u64, u64)> = None;
    let mut said: Vec<&str> = Vec::new();
    for line in lines(text).chain([""]) {
        let next = times(line);
        if next.is_none() && !line.trim().is_empty() {
            said.extend(line.split(BREAK).take(CUE_LINES_MAX - said.len()));
            continue;
        }
        // Times without a text wait for it behind an empty line.
        if let Some((start_ms, end_ms)) = open.filter(|_| !said.is_empty()) {
            let (text, placement) = styled(&said);
            document.push(Cue { start_ms, end_ms, id: None, placement, text })?;
            open = None;
        }
        said.clear();
        open = next.or(open);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<(u64, u64, String)> {
        let document = read(text).unwrap().settle();
        document.cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.plain())).collect()
    }

    #[test]
    fn cues_follow_their_times() {
        let text = "[INFORMATION]\n[TITLE]x\n[SUBTITLE]\n00:00:01.50,00:00:02.00\nOne[br]two\n\n00:00:03.00,00:00:04.00\nThree\n";
        let expected = [(1500, 2000, "One\ntwo".into()), (3000, 4000, "Three".into())];
        assert_eq!(said(text), expected);
        assert_eq!(said("0:00:01.500,0:00:02.000\nOne\ntwo\nignored,not\n\nnobody's\n").len(), 1);
    }

    #[test]
    fn it_is_known_by_its_times() {
        assert!(is_its("00:00:01.50,00:00:02.00"));
        for line in
            ["", ",", "one, two", "00:00:01,500", "1:00,2:00 and more", "00:00:01,000 --> 00:00:02,000"]
        {
            assert!(!is_its(line), "{line}");
        }
    }
}

//! MicroDVD: times are numbers of pictures, so it has to be known how many there are in a second.

use super::SubtitleError;
use super::cue::{Cue, Document, Style, TextBuilder};
use super::placement::Placement;
use super::srt::lines;

/// Of films, if neither the file nor the video says: 24 000 / 1001.
const FRAME_RATE: f64 = 24_000.0 / 1001.0;

/// Slower or faster is a mistake.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 5.0..=300.0;

/// Whether the first line that says anything is one of its.
pub(super) fn is_microdvd(text: &str) -> bool {
    let first = lines(text).map(str::trim).find(|line| !line.is_empty());
    first.and_then(frames).is_some()
}

/// "{25}{75}text": the first picture, the last if there is one, and the text.
fn frames(line: &str) -> Option<(u64, Option<u64>, &str)> {
    let (start, rest) = braced(line)?;
    let (end, text) = braced(rest)?;
    Some((frame(start)?, frame(end).or(end.is_empty().then_some(0)).filter(|&end| end > 0), text))
}

fn braced(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix(['{', '['])?.split_once(['}', ']'])
}

fn frame(digits: &str) -> Option<u64> {
    let is_number = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

/// Reads lines; if the first says how many pictures are in a second, that is what counts, else what the video says.
pub(super) fn read(text: &str, frame_rate: Option<f64>) -> Result<Document, SubtitleError> {
    let mut rate = frame_rate.filter(|rate| FRAME_RATES.contains(rate)).unwrap_or(FRAME_RATE);
    let mut document = Document::default();
    let mut is_first = true;
    for line in lines(text) {
        let Some((start, end, said)) = frames(line.trim()) else { continue };
        let is_rate = std::mem::take(&mut is_first) && start <= 1;
        if let Some(said_rate) = self::rate(said).filter(|_| is_rate) {
            rate = said_rate;
            continue;
        }
        // Nine digits at most, so no number is lost.
        let ms = |frame: u64| (frame as f64 * 1000.0 / rate).round() as u64;
        let text = styled(said);
        let end_ms = end.map_or(0, ms);
        document.push(Cue {
            start_ms: ms(start),
            end_ms,
            id: None,
            placement: Placement::default(),
            text,
        })?;
    }
    Ok(document)
}

fn rate(text: &str) -> Option<f64> {
    text.trim().replace(',', ".").parse().ok().filter(|rate| FRAME_RATES.contains(rate))
}

/// Lines with `|` between. `{Y:i}` holds for all that follow, `{y:i}` and a `/` before the line for one.
fn styled(text: &str) -> super::cue::Text {
    let mut builder = TextBuilder::default();
    let mut all = Style::default();
    for line in text.split('|') {
        let mut own = all.clone();
        let mut rest = line.trim_start();
        while let Some((code, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            let Some((name, value)) = code.split_once(':') else { break };
            match name {
                "Y" => {
                    set(&mut all, value);
                    set(&mut own, value);
                }
                "y" => set(&mut own, value),
                // Colours, fonts, sizes and places.
                "C" | "c" | "F" | "f" | "S" | "s" | "P" | "o" | "H" => {}
                _ => break,
            }
            rest = after;
        }
        if let Some(slanted) = rest.strip_prefix('/') {
            own.is_italic = true;
            rest = slanted;
        }
        builder.push_str(rest, &own);
        builder.push('\n', &own);
    }
    builder.build()
}

/// "i,b".
fn set(style: &mut Style, value: &str) {
    for name in value.split(',') {
        if let Some(look) = style.look_mut(name.trim()) {
            *look = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, frame_rate: Option<f64>) -> Vec<(u64, u64, String)> {
        let document = read(text, frame_rate).unwrap().settle();
        document.cues.iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.plain())).collect()
    }

    #[test]
    fn times_are_counted_by_what_the_file_says_or_the_video_or_films() {
        let cue = |start, end| [(start, end, "Hi\nyou".to_owned())];
        assert_eq!(said("{1}{1}25.000\n{25}{75}Hi|you\n", Some(30.0)), cue(1000, 3000));
        assert_eq!(said("{30}{60}Hi|you\n", Some(30.0)), cue(1000, 2000));
        assert_eq!(said("{24}{48}Hi|you\n", None), cue(1001, 2002));
        assert_eq!(said("{24}{48}Hi|you\n", Some(f64::NAN)), cue(1001, 2002));
    }

    #[test]
    fn an_end_may_be_missing() {
        assert_eq!(said("{25}{}Hi\n{50}{75}you\n", Some(25.0))[0], (1000, 2000, "Hi".into()));
    }

    #[test]
    fn codes_are_understood_or_dropped() {
        let document = read("{25}{50}{Y:i}{c:$0000ff}One|{y:b}two|{x}three|/four\n", None).unwrap();
        let spans = document.cues[0].text.spans();
        assert_eq!(document.cues[0].text.plain(), "One\ntwo\n{x}three\nfour");
        assert!(spans.iter().all(|span| span.style.is_italic));
        assert_eq!(spans.iter().filter(|span| span.style.is_bold).count(), 1);
    }

    #[test]
    fn it_is_known_by_its_first_line() {
        assert!(is_microdvd("\n{1}{1}23.976\n"));
        assert!(is_microdvd("{100}{}x"));
        assert!(!is_microdvd("{a}{b}x"));
        assert!(!is_microdvd("{1}x"));
    }
}

//! SubStation Alpha, version 4 (`.ssa`) and 4+ (`.ass`).
//!
//! What a cue can say is kept: what is said, in bold, italics and underlined, and where. Colours, fonts, movement and drawings
//! aren't; whoever has a player that knows them should be given the file itself.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Display};

use crate::limits::CUE_STYLES_MAX;

use super::SubtitleError;
use super::cue::{Cue, Document, Style, Text, TextBuilder};
use super::placement::{Anchor, Percent, Placement};
use super::srt::lines;
use super::time::Scanner;

/// How big the picture is if the file doesn't say.
const PICTURE: (f64, f64) = (384.0, 288.0);

/// How many cues back one is looked for that says the same: a text with an outline, a shadow and a glow is written as often.
const LAYERS: usize = 8;

/// What the columns of events are if nobody says.
const EVENT_COLUMNS: &str = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text";

/// Whether only this format has such a line: the head of one of its sections, or an event.
pub(super) fn is_its(line: &str) -> bool {
    let line = line.trim_start();
    let is_head = Section::parse(line).is_some_and(|section| section != Section::Other);
    is_head || event(line).is_some_and(has_times)
}

fn has_times(fields: &str) -> bool {
    let times = fields.splitn(4, ',').skip(1).take(2);
    times.filter(|field| Scanner::new(field).time().is_some()).count() == 2
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Info,
    Styles { is_legacy: bool },
    Events,
    Other,
}

impl Section {
    fn parse(line: &str) -> Option<Self> {
        let name = line.trim().strip_prefix('[')?.strip_suffix(']')?;
        Some(match name.to_ascii_lowercase().as_str() {
            "script info" => Self::Info,
            "v4 styles" => Self::Styles { is_legacy: true },
            "v4+ styles" | "v4++ styles" => Self::Styles { is_legacy: false },
            "events" => Self::Events,
            _ => Self::Other,
        })
    }
}

/// What an event says behind its kind, if it is one that is shown.
fn event(line: &str) -> Option<&str> {
    line.strip_prefix("Dialogue:")
}

/// Reads events in the order of their layers, the lowest first.
pub(super) fn read(text: &str) -> Result<Document, SubtitleError> {
    let mut script = Script::default();
    script.read(text)?;
    Ok(script.finish())
}

/// An event inside of a film: a line of a script without its times, and with its number among the events before that
/// (Matroska codec specification, "SSA/ASS subtitles").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    times: (u64, u64),
    /// Which of the script's events it was.
    pub(super) nth: u64,
    layer: &'a str,
    style: &'a str,
    /// From the name on, the text and the fields between.
    rest: &'a str,
}

impl<'a> Packet<'a> {
    /// Of the milliseconds of which it is shown, and what the film has. A line ends it.
    pub(super) fn parse(times: (u64, u64), text: &'a str) -> Option<Self> {
        let line = text.split(['\r', '\n']).find(|line| !line.is_empty())?;
        let mut fields = line.splitn(4, ',');
        let nth = fields.next()?.trim().parse().ok()?;
        Some(Self { times, nth, layer: fields.next()?, style: fields.next()?, rest: fields.next()? })
    }
}

impl Display for Packet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (Clock(self.times.0), Clock(self.times.1));
        write!(f, "Dialogue: {},{start},{end},{},{}", self.layer, self.style, self.rest)
    }
}

/// Milliseconds as scripts have them, in hundredths of a second.
struct Clock(u64);

impl Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = self.0.saturating_add(5) / 10;
        let (hours, minutes) = (hundredths / 360_000, hundredths / 6000 % 60);
        write!(f, "{hours}:{minutes:02}:{:02}.{:02}", hundredths / 100 % 60, hundredths % 100)
    }
}

/// Reads events in the order that they stood in, and what the script said before them.
pub(super) fn read_packets(head: &str, packets: &[Packet<'_>]) -> Result<Document, SubtitleError> {
    /// Name, three margins and effect.
    const BEFORE_TEXT: usize = 5;
    let mut script = Script::default();
    script.read(head)?;
    for packet in packets {
        let said = packet.rest.splitn(BEFORE_TEXT + 1, ',').nth(BEFORE_TEXT).unwrap_or_default();
        let layer = packet.layer.trim().parse().unwrap_or(0);
        script.show(packet.times, layer, Some(packet.style.trim()), said)?;
    }
    Ok(script.finish())
}

/// A script without its events, and a line's end behind it.
pub(super) fn without_events(head: &str) -> String {
    let mut script = String::new();
    let mut is_event = false;
    for line in lines(head.trim_end_matches(['\0', '\r', '\n'])) {
        if let Some(section) = Section::parse(line) {
            is_event = section == Section::Events;
        }
        if !is_event {
            script.push_str(line);
            script.push('\n');
        }
    }
    script
}

#[derive(Debug)]
struct Script {
    picture: (f64, f64),
    style_columns: Vec<String>,
    event_columns: Columns,
    styles: BTreeMap<String, Look>,
    document: Document,
    layers: Vec<i32>,
}

/// What a style says that a cue can.
#[derive(Clone, Debug)]
struct Look {
    style: Style,
    anchor: Anchor,
}

/// Where in an event's fields is what.
#[derive(Debug)]
struct Columns {
    count: usize,
    layer: Option<usize>,
    start: Option<usize>,
    end: Option<usize>,
    style: Option<usize>,
}

impl Default for Look {
    fn default() -> Self {
        Self { style: Style::default(), anchor: Anchor::DEFAULT }
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            picture: PICTURE,
            style_columns: Vec::new(),
            event_columns: Columns::parse(EVENT_COLUMNS),
            styles: BTreeMap::new(),
            document: Document::default(),
            layers: Vec::new(),
        }
    }
}

impl Columns {
    fn parse(format: &str) -> Self {
        let find = |name: &str| format.split(',').position(|column| column.trim().eq_ignore_ascii_case(name));
        Self {
            count: format.split(',').count(),
            layer: find("Layer"),
            start: find("Start"),
            end: find("End"),
            style: find("Style"),
        }
    }
}

impl Script {
    fn read(&mut self, text: &str) -> Result<(), SubtitleError> {
        let mut section = Section::Events;
        for line in lines(text) {
            let line = line.trim_start();
            if let Some(next) = Section::parse(line) {
                section = next;
            } else if let Some(fields) = event(line) {
                // Whatever section it is said to be in: only events are shown.
                self.event(fields)?;
            } else if let Some((key, value)) = line.split_once(':') {
                self.setting(section, key.trim(), value.trim());
            }
        }
        Ok(())
    }

    fn setting(&mut self, section: Section, key: &str, value: &str) {
        match (section, key) {
            (Section::Info, "PlayResX") => set_pixels(&mut self.picture.0, value),
            (Section::Info, "PlayResY") => set_pixels(&mut self.picture.1, value),
            (Section::Styles { .. }, "Format") => {
                self.style_columns =
                    value.split(',').map(|column| column.trim().to_ascii_lowercase()).collect();
            }
            (Section::Styles { is_legacy }, "Style") => self.style(value, is_legacy),
            (Section::Events, "Format") => self.event_columns = Columns::parse(value),
            _ => {}
        }
    }

    fn style(&mut self, value: &str, is_legacy: bool) {
        if self.styles.len() >= CUE_STYLES_MAX {
            return;
        }
        let mut name = None;
        let mut look = Look::default();
        for (column, field) in self.style_columns.iter().zip(value.split(',').map(str::trim)) {
            // True is -1.
            let is_on = field.parse::<i32>().is_ok_and(|number| number != 0);
            let number = field.parse().ok();
            match column.as_str() {
                "name" => name = Some(style_name(field)),
                "bold" => look.style.is_bold = is_on,
                "italic" => look.style.is_italic = is_on,
                "underline" => look.style.is_underlined = is_on,
                "alignment" if is_legacy => {
                    look.anchor = number.and_then(Anchor::from_legacy_number).unwrap_or(Anchor::DEFAULT);
                }
                "alignment" => look.anchor = number.and_then(Anchor::from_number).unwrap_or(Anchor::DEFAULT),
                _ => {}
            }
        }
        if let Some(name) = name {
            self.styles.insert(name, look);
        }
    }

    fn event(&mut self, fields: &str) -> Result<(), SubtitleError> {
        let columns = &self.event_columns;
        // Text is the last and may have commas.
        let fields: Vec<&str> = fields.splitn(columns.count.max(1), ',').collect();
        let field = |column: Option<usize>| column.and_then(|at| fields.get(at)).map(|field| field.trim());
        let time = |column| field(column).and_then(|field| Scanner::new(field).time());
        let Some(start_ms) = time(columns.start) else { return Ok(()) };
        let end_ms = time(columns.end).unwrap_or(0);
        let layer = field(columns.layer).and_then(|layer| layer.parse().ok()).unwrap_or(0);
        let style = field(columns.style);
        let said = fields.last().copied().unwrap_or_default();
        self.show((start_ms, end_ms), layer, style, said)
    }

    /// A text of a style is shown.
    fn show(
        &mut self,
        (start_ms, end_ms): (u64, u64),
        layer: i32,
        style: Option<&str>,
        said: &str,
    ) -> Result<(), SubtitleError> {
        let look = style.and_then(|name| self.styles.get(&style_name(name))).cloned();
        let (text, placement) = Reader::new(look.unwrap_or_default(), &self.styles, self.picture).read(said);
        let before = self.document.cues.len();
        self.document.push(Cue { start_ms, end_ms, id: None, placement, text })?;
        if self.document.cues.len() > before {
            self.layers.push(layer);
        }
        Ok(())
    }

    fn finish(self) -> Document {
        let mut cues: Vec<(i32, Cue)> = self.layers.into_iter().zip(self.document.cues).collect();
        cues.sort_by_key(|(layer, cue)| (cue.start_ms, *layer));
        let cues = cues.into_iter().map(|(_, cue)| cue).collect();
        Document { cues: without_copies(cues), ..self.document }
    }
}

/// Names are the same in any case, and "*Default" is "Default".
fn style_name(name: &str) -> String {
    name.trim_start_matches('*').to_ascii_lowercase()
}

fn set_pixels(pixels: &mut f64, value: &str) {
    if let Some(read) = value.parse::<u32>().ok().filter(|&read| read > 0) {
        *pixels = f64::from(read);
    }
}

/// Drops what says the same at the same time as one shortly before: layers of one text.
fn without_copies(cues: Vec<Cue>) -> Vec<Cue> {
    let mut kept: Vec<Cue> = Vec::with_capacity(cues.len());
    let mut recent: VecDeque<usize> = VecDeque::with_capacity(LAYERS);
    for cue in cues {
        let is_copy = |&at: &usize| {
            let other: &Cue = &kept[at];
            (other.start_ms, other.end_ms) == (cue.start_ms, cue.end_ms)
                && other.text.plain() == cue.text.plain()
        };
        if recent.iter().any(is_copy) {
            continue;
        }
        if recent.len() == LAYERS {
            recent.pop_front();
        }
        recent.push_back(kept.len());
        kept.push(cue);
    }
    kept
}

/// Reads one event's text.
struct Reader<'a> {
    base: Look,
    styles: &'a BTreeMap<String, Look>,
    picture: (f64, f64),
    style: Style,
    /// The first place counts, as in every renderer.
    anchor: Option<Anchor>,
    place: Option<(f64, f64)>,
    is_drawing: bool,
    builder: TextBuilder,
}

impl<'a> Reader<'a> {
    fn new(base: Look, styles: &'a BTreeMap<String, Look>, picture: (f64, f64)) -> Self {
        let style = base.style.clone();
        Self {
            base,
            styles,
            picture,
            style,
            anchor: None,
            place: None,
            is_drawing: false,
            builder: TextBuilder::default(),
        }
    }

    fn read(mut self, text: &str) -> (Text, Placement) {
        let mut rest = text;
        while let Some((said, block)) = rest.split_once('{') {
            self.say(said);
            let Some((inside, after)) = block.split_once('}') else {
                // Never closed: it is a brace that is said.
                self.say("{");
                self.say(block);
                rest = "";
                break;
            };
            inside.split('\\').skip(1).for_each(|tag| self.override_tag(tag.trim_end()));
            rest = after;
        }
        self.say(rest);
        self.finish()
    }

    fn finish(self) -> (Text, Placement) {
        let text = self.builder.build();
        let anchor = self.anchor.unwrap_or(self.base.anchor);
        let placement = match self.place {
            Some((x, y)) => {
                let (x, y) = (percent(x, self.picture.0), percent(y, self.picture.1));
                let lines =
                    text.spans().iter().flat_map(|span| span.text.bytes()).filter(|&byte| byte == b'\n');
                Placement::at(x, y, anchor, lines.count() + 1)
            }
            None => Placement::anchored(anchor),
        };
        (text, placement)
    }

    fn say(&mut self, text: &str) {
        if self.is_drawing {
            return;
        }
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let escaped = match letter {
                '\\' => letters.peek().copied(),
                _ => None,
            };
            let said = match escaped {
                // `\n` is a space unless lines are only broken by hand, which a cue doesn't say; people mean a line.
                Some('N' | 'n') => '\n',
                Some('h') => '\u{a0}',
                _ => letter,
            };
            if said != letter {
                letters.next();
            }
            self.builder.push(said, &self.style);
        }
    }

    /// One override: a name and its value without anything between. Longer names are tried by their whole.
    fn override_tag(&mut self, tag: &str) {
        let name_bytes = tag.bytes().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(tag.len());
        let (name, value) = tag.split_at(name_bytes);
        match name {
            "b" => switch(&mut self.style.is_bold, value, self.base.style.is_bold),
            "i" => switch(&mut self.style.is_italic, value, self.base.style.is_italic),
            "u" => switch(&mut self.style.is_underlined, value, self.base.style.is_underlined),
            // How finely it is drawn.
            "p" => self.is_drawing = value.parse::<u32>().is_ok_and(|scale| scale > 0),
            "an" => self.anchor = self.anchor.or(value.parse().ok().and_then(Anchor::from_number)),
            "a" => self.anchor = self.anchor.or(value.parse().ok().and_then(Anchor::from_legacy_number)),
            "pos" | "move" => self.place = self.place.or(pair(value)),
            _ => self.reset(tag),
        }
    }

    /// `\r` goes back to the event's style, `\rName` to another one.
    fn reset(&mut self, tag: &str) {
        let Some(name) = tag.strip_prefix('r') else { return };
        if name.is_empty() {
            self.style = self.base.style.clone();
        } else if let Some(look) = self.styles.get(&style_name(name)) {
            self.style = look.style.clone();
        }
    }
}

/// 0 or 1, or how heavy letters are, where 400 is usual; nothing is what the style says. What is no number changes nothing: it is
/// inside of something that moves.
fn switch(look: &mut bool, value: &str, base: bool) {
    match value.parse::<i32>() {
        Ok(number) => *look = number == 1 || number > 400,
        Err(_) if value.is_empty() => *look = base,
        Err(_) => {}
    }
}

/// "(320,240" and what follows: `\move` begins with where it begins.
fn pair(value: &str) -> Option<(f64, f64)> {
    let mut numbers = value.trim_start().strip_prefix('(')?.split([',', ')']).map(str::trim);
    let mut number = || numbers.next()?.parse::<f64>().ok().filter(|number| number.is_finite());
    number().zip(number())
}

fn percent(pixels: f64, of: f64) -> Percent {
    // Between 0 and 10 000, whatever it was.
    Percent::from_hundredths((pixels / of * 10_000.0).round().clamp(0.0, 10_000.0) as u16)
}

#[cfg(test)]
mod tests;

//! Where a cue is shown, as WebVTT has it (section 4.4, "WebVTT cue settings"), and how older formats' places become that.

use std::fmt;

use crate::limits::CUE_NAME_BYTES_MAX;

/// Height of a line of text in hundredths of a percent of the picture's: 5 % for the letters, as WebVTT's section 7.4 has it, and
/// what browsers leave between.
const LINE_HEIGHT: u16 = 533;

/// Where a cue is shown; the default is in the middle at the bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Lines go down, not across.
    pub vertical: Option<Vertical>,
    /// Across the lines.
    pub line: Option<Line>,
    /// Along the lines.
    pub position: Option<(Percent, Option<PositionAlign>)>,
    /// How long lines may be.
    pub size: Option<Percent>,
    /// Where in its lines text is.
    pub align: Option<Align>,
    /// Which of the preamble's regions it is in; at most [`CUE_NAME_BYTES_MAX`].
    pub region: Option<String>,
}

/// Text that goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vertical {
    /// The next line is to the left.
    RightToLeft,
    /// The next line is to the right.
    LeftToRight,
}

/// A place across the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Counted in lines; from the end if negative, where -1 is the last.
    Number(i16),
    /// Of the picture, and what of the text is there.
    Percent(Percent, Option<LineAlign>),
}

/// Hundredths of a percent, up to 10 000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u16);

macro_rules! keywords {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            fn parse(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

keywords! {
    /// What of a text is at its line.
    LineAlign {
        /// Its first line.
        Start = "start",
        /// Its middle.
        Center = "center",
        /// Its last line.
        End = "end",
    }
}

keywords! {
    /// What of a text is at its position.
    PositionAlign {
        /// Its left end, or its upper if vertical.
        LineLeft = "line-left",
        /// Its middle.
        Center = "center",
        /// Its right end.
        LineRight = "line-right",
    }
}

keywords! {
    /// Where in its lines text is.
    Align {
        /// Where reading begins.
        Start = "start",
        /// In the middle.
        Center = "center",
        /// Where reading ends.
        End = "end",
        /// Left.
        Left = "left",
        /// Right.
        Right = "right",
    }
}

impl Percent {
    /// Of hundredths; what is beyond 100 % is 100 %.
    pub fn from_hundredths(hundredths: u16) -> Self {
        Self(hundredths.min(10_000))
    }

    /// "50%" or "33.3%" (a "WebVTT percentage").
    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || whole.len() > 3 {
            return None;
        }
        let digit = |at: usize| fraction.as_bytes().get(at).map_or(0, |byte| u16::from(byte - b'0'));
        let hundredths = u32::from(digit(0) * 10 + digit(1)) + whole.parse::<u32>().ok()? * 100;
        u16::try_from(hundredths).ok().filter(|&hundredths| hundredths <= 10_000).map(Self)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, tenths) if tenths % 10 == 0 => write!(f, "{whole}.{}%", tenths / 10),
            (whole, hundredths) => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl Placement {
    /// WebVTT's settings. What isn't one is left out, as browsers do.
    pub fn parse(settings: &str) -> Self {
        let mut placement = Self::default();
        let settings = settings.split_ascii_whitespace().filter_map(|setting| setting.split_once(':'));
        settings.for_each(|(name, value)| placement.set(name, value));
        placement
    }

    fn set(&mut self, name: &str, value: &str) {
        match name {
            "vertical" => match value {
                "rl" => self.vertical = Some(Vertical::RightToLeft),
                "lr" => self.vertical = Some(Vertical::LeftToRight),
                _ => {}
            },
            "line" => self.line = Line::parse(value).or(self.line),
            "position" => {
                let (percent, align) = split_align(value, PositionAlign::parse);
                let percent = Percent::parse(percent);
                self.position = percent.zip(align).or(self.position);
            }
            "size" => self.size = Percent::parse(value).or(self.size),
            "align" => self.align = Align::parse(value).or(self.align),
            "region" if value.len() <= CUE_NAME_BYTES_MAX && !value.contains("-->") => {
                self.region = Some(value.to_owned());
            }
            _ => {}
        }
    }

    /// SubStation Alpha's `\an`: as on the number block of a keyboard, 2 is the default.
    pub(super) fn anchored(anchor: Anchor) -> Self {
        let line = match anchor.row {
            Row::Bottom => None,
            Row::Middle => Some(Line::Percent(Percent(5000), None)),
            Row::Top => Some(Line::Number(0)),
        };
        let align = match anchor.column {
            Column::Left => Some(Align::Left),
            Column::Middle => None,
            Column::Right => Some(Align::Right),
        };
        Self { line, align, ..Self::default() }
    }

    /// The number that says this, if one does.
    pub(super) fn anchor(&self) -> Option<u8> {
        (1..=9).find(|&number| Anchor::from_number(number).map(Self::anchored).as_ref() == Some(self))
    }

    /// SubStation Alpha's `\pos`, as a part of the picture, for a text of so many lines.
    ///
    /// Not every browser knows what of a text is at its line, so this says where its first line is. Text in the middle at the
    /// bottom stays where it always is.
    pub(super) fn at(x: Percent, y: Percent, anchor: Anchor, lines: usize) -> Self {
        let is_centred = anchor.column == Column::Middle && (4500..=5500).contains(&x.0);
        if is_centred && anchor.row == Row::Bottom && y.0 >= 8000 {
            return Self::default();
        }
        let height = LINE_HEIGHT.saturating_mul(u16::try_from(lines).unwrap_or(u16::MAX));
        let above = match anchor.row {
            Row::Top => 0,
            Row::Middle => height / 2,
            Row::Bottom => height,
        };
        let line = Some(Line::Percent(Percent(y.0.saturating_sub(above)), None));
        let position = (!is_centred).then_some((x, None));
        Self { line, position, ..Self::anchored(anchor) }
    }
}

impl Line {
    fn parse(value: &str) -> Option<Self> {
        let (place, align) = split_align(value, LineAlign::parse);
        let align = align?;
        match Percent::parse(place) {
            Some(percent) => Some(Self::Percent(percent, align)),
            // What of a text is at a line that is counted can't be chosen anywhere but in Firefox.
            None => place.parse().ok().map(Self::Number),
        }
    }
}

/// "50%,center" apart; `None` if there is an align, but a wrong one.
fn split_align<A>(value: &str, parse: fn(&str) -> Option<A>) -> (&str, Option<Option<A>>) {
    match value.split_once(',') {
        Some((place, align)) => (place, parse(align).map(Some)),
        None => (value, Some(None)),
    }
}

impl fmt::Display for Placement {
    /// WebVTT's settings, each after a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vertical {
            Some(Vertical::RightToLeft) => f.write_str(" vertical:rl")?,
            Some(Vertical::LeftToRight) => f.write_str(" vertical:lr")?,
            None => {}
        }
        match self.line {
            Some(Line::Number(number)) => write!(f, " line:{number}")?,
            Some(Line::Percent(percent, None)) => write!(f, " line:{percent}")?,
            Some(Line::Percent(percent, Some(align))) => write!(f, " line:{percent},{}", align.word())?,
            None => {}
        }
        match self.position {
            Some((percent, None)) => write!(f, " position:{percent}")?,
            Some((percent, Some(align))) => write!(f, " position:{percent},{}", align.word())?,
            None => {}
        }
        if let Some(size) = self.size {
            write!(f, " size:{size}")?;
        }
        if let Some(align) = self.align {
            write!(f, " align:{}", align.word())?;
        }
        self.region.as_ref().map_or(Ok(()), |region| write!(f, " region:{region}"))
    }
}

/// What of a text is at its place, and so in which part of the picture it is if it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    row: Row,
    column: Column,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Bottom,
    Middle,
    Top,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Left,
    Middle,
    Right,
}

impl Anchor {
    pub(super) const DEFAULT: Self = Self { row: Row::Bottom, column: Column::Middle };

    /// As on the number block of a keyboard (`\an`, and styles of version 4+).
    pub(super) fn from_number(number: u8) -> Option<Self> {
        let row = match number {
            1..=3 => Row::Bottom,
            4..=6 => Row::Middle,
            7..=9 => Row::Top,
            _ => return None,
        };
        Some(Self { row, column: Self::column(number % 3) })
    }

    /// As version 4 has it (`\a`): 1 to 3 below, 4 more above, 8 more in the middle.
    pub(super) fn from_legacy_number(number: u8) -> Option<Self> {
        let row = match number {
            1..=3 => Row::Bottom,
            5..=7 => Row::Top,
            9..=11 => Row::Middle,
            _ => return None,
        };
        Some(Self { row, column: Self::column(number % 4) })
    }

    fn column(number: u8) -> Column {
        match number {
            1 => Column::Left,
            2 => Column::Middle,
            _ => Column::Right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_written_as_they_were_read() {
        for settings in [
            "",
            " vertical:rl",
            " line:-1",
            " line:0 align:left",
            " line:33.25%,end position:10.5%,line-left size:35% align:start",
            " position:100%,center region:fred",
            " vertical:lr line:7 size:0%",
        ] {
            assert_eq!(Placement::parse(settings).to_string(), settings);
        }
    }

    #[test]
    fn what_is_no_setting_is_left_out() {
        for settings in [
            "line",
            "line:",
            "line:x",
            "line:1.5",
            "line:101%",
            "line:50%,above",
            "position:50",
            "position:-1%",
            "position:1.%",
            "position:.5%",
            "size:1000%",
            "size:99999999999999999999%",
            "align:top",
            "vertical:up",
            "region:0123456789012345678901234567890123456789012345678901234567890123456789",
            "colour:red",
            "line:é%",
        ] {
            assert_eq!(Placement::parse(settings), Placement::default(), "{settings}");
        }
        assert_eq!(Placement::parse("line:2 line:x size:9%").to_string(), " line:2 size:9%");
    }

    #[test]
    fn each_anchor_is_a_place_of_its_own() {
        for number in 1..=9 {
            let placement = Anchor::from_number(number).map(Placement::anchored).unwrap();
            assert_eq!(placement.anchor(), Some(number));
        }
        assert_eq!(Anchor::from_number(2), Some(Anchor::DEFAULT));
        let legacy = [(1, 1), (2, 2), (3, 3), (5, 7), (6, 8), (7, 9), (9, 4), (10, 5), (11, 6)];
        for (old, new) in legacy {
            assert_eq!(Anchor::from_legacy_number(old), Anchor::from_number(new), "{old}");
        }
        for nothing in [0, 4, 8, 12, 255] {
            assert_eq!(Anchor::from_legacy_number(nothing), None);
        }
    }

    #[test]
    fn a_place_is_of_the_first_line_and_the_usual_one_says_nothing() {
        let at = |x, y, number, lines| {
            let anchor = Anchor::from_number(number).unwrap();
            Placement::at(Percent(x), Percent(y), anchor, lines).to_string()
        };
        assert_eq!(at(5000, 9500, 2, 2), "");
        assert_eq!(at(5000, 5000, 2, 2), " line:39.34%");
        assert_eq!(at(2000, 1000, 7, 1), " line:10% position:20% align:left");
        assert_eq!(at(2000, 100, 5, usize::MAX), " line:0% position:20%");
    }
}

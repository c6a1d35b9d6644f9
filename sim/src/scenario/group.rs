//! Reads one `[[group]]`.

use std::ops::Range;
use std::time::Duration;

use afflux_swarm::StrategyName;
use toml::Spanned;
use toml::de::DeValue;

use super::fields::{Fields, Misfit, Reading, Wrong, note_wrong};
use super::limits::{
    CHURN_MIN, CONNECTIONS_MAX, DISK_FAULTS_MAX, DISK_LATENCY_MAX, LATENCY_MAX, LIMIT_MAX, LOSS_MAX,
    NAME_CHARS_MAX, PEERS_MAX, POISSON_RATE_MAX, POISSON_RATE_MIN, QUEUE_MAX, QUEUE_MIN, RATE_MAX, RATE_MIN,
    SEEK_INTERVAL_MIN, SEEKS_MAX, START_BUFFER_MAX, UNCHOKE_SLOTS_MAX,
};
use super::mistake::{Draft, Kind, Mistakes};
use super::readings::{count, duration, fraction, name, pace, rate, size, truth, word};
use super::{Access, Arrival, Disk, Group, Limits, Manner, Player, Role, Seeks, Stay};

/// A group and where it stands.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) group: Group,
    pub(super) place: Placed,
}

/// Where the fields of a group stand that are checked against the whole.
#[derive(Debug)]
pub(super) struct Placed {
    prefix: String,
    spans: Vec<(&'static str, Range<usize>)>,
}

impl Placed {
    fn of(fields: &Fields<'_>) -> Self {
        let spans = ["name", "loss", "arrival", "stay"].map(|field| (field, fields.span(field)));
        Self { prefix: fields.path(""), spans: spans.into() }
    }

    /// Notes that a field doesn't go with the rest of the file.
    pub(super) fn contradict(&self, field: &str, found: String, allowed: &str, mistakes: &mut Mistakes<'_>) {
        let span = self.spans.iter().find(|(name, _)| *name == field).map_or(0..0, |(_, span)| span.clone());
        let path = format!("{}{field}", self.prefix);
        mistakes.note(span, Draft::new(Kind::Contradiction, &path, found, allowed));
    }
}

/// The roles by name; their figures are fields of their own.
#[derive(Clone, Copy, PartialEq)]
enum Kin {
    Seed,
    Leecher,
    Viewer,
}

const ROLES: [(&str, Kin); 3] = [("seed", Kin::Seed), ("leecher", Kin::Leecher), ("viewer", Kin::Viewer)];
const MANNERS: [(&str, Manner); 4] = [
    ("honest", Manner::Honest),
    ("free-rider", Manner::FreeRider),
    ("silent", Manner::Silent),
    ("corrupt", Manner::Corrupt),
];

/// What a client has by default where the file doesn't say: 50 connections and 4 slots are the field's old custom.
const CONNECTIONS: u32 = 50;
const UNCHOKE_SLOTS: u32 = 4;
/// A home's way to the middle of its country's network.
const LATENCY: Duration = Duration::from_millis(10);
/// Half a second at 4 Mbit/s, as home routers have it.
const QUEUE: u64 = 256 * 1024;
/// What players have in hand before the first frame.
const START_BUFFER: Duration = Duration::from_secs(2);

/// Reads a group's table. `None`: something that it can't be without is wrong.
pub(super) fn read(mut fields: Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<Read> {
    let name = fields.required("name", &name(NAME_CHARS_MAX), mistakes);
    let count = fields.optional("count", &count(1, PEERS_MAX), mistakes).unwrap_or(1);
    let role = role(&mut fields, mistakes);
    let manner = fields.optional("manner", &word(&MANNERS), mistakes).unwrap_or(Manner::Honest);
    let arrival = arrival(&mut fields, mistakes);
    let stay = stay(&mut fields, mistakes);
    let access = access(&mut fields, mistakes);
    let limits = limits(&mut fields, mistakes);
    let disk = disk(&mut fields, mistakes);
    let nat = fields.optional("nat", &truth, mistakes).unwrap_or(false);
    let strategy = strategy(&mut fields, mistakes);
    let connections_max = counted(&mut fields, "connections-max", CONNECTIONS_MAX, CONNECTIONS, mistakes);
    let unchoke_slots = counted(&mut fields, "unchoke-slots", UNCHOKE_SLOTS_MAX, UNCHOKE_SLOTS, mistakes);
    let place = Placed::of(&fields);
    fields.finish(mistakes);
    let group = Group {
        name: name?,
        count,
        role: role?,
        manner,
        arrival,
        stay,
        access: access?,
        limits,
        disk,
        nat,
        strategy,
        connections_max,
        unchoke_slots,
    };
    Some(Read { group, place })
}

fn counted(
    fields: &mut Fields<'_>,
    name: &'static str,
    most: u32,
    default: u32,
    mistakes: &mut Mistakes<'_>,
) -> u32 {
    fields.optional(name, &count(1, most), mistakes).unwrap_or(default)
}

fn role(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<Role> {
    let kin = fields.required("role", &word(&ROLES), mistakes)?;
    let have = fields.optional("have", &fraction(1.0), mistakes);
    if kin != Kin::Leecher {
        fields.refuse("have", "only a group with role = \"leecher\" may have a part at the start", mistakes);
    }
    if kin != Kin::Viewer {
        fields.refuse("player", "only a group with role = \"viewer\" may have a player", mistakes);
    }
    Some(match kin {
        Kin::Seed => Role::Seed,
        Kin::Leecher => Role::Leecher { have: have.unwrap_or(0.0) },
        Kin::Viewer => Role::Viewer(player(fields, mistakes)),
    })
}

fn strategy(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<String> {
    let names = StrategyName::ALL.map(|name| (name.as_str(), name));
    fields.optional("strategy", &word(&names), mistakes).map(|name| name.as_str().to_owned())
}

fn access(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<Access> {
    let up = fields.required("up", &rate(RATE_MIN, RATE_MAX), mistakes);
    let down = fields.required("down", &rate(RATE_MIN, RATE_MAX), mistakes);
    let latency = fields.optional("latency", &duration(Duration::ZERO, LATENCY_MAX), mistakes);
    let loss = fields.optional("loss", &fraction(LOSS_MAX), mistakes);
    let queue = fields.optional("queue", &size(QUEUE_MIN, QUEUE_MAX), mistakes);
    Some(Access {
        up: up?,
        down: down?,
        latency: latency.unwrap_or(LATENCY),
        loss: loss.unwrap_or(0.0),
        queue: queue.unwrap_or(QUEUE),
    })
}

fn limits(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Limits {
    Limits {
        up: fields.optional("upload-limit", &rate(RATE_MIN, RATE_MAX), mistakes),
        down: fields.optional("download-limit", &rate(RATE_MIN, RATE_MAX), mistakes),
    }
}

fn disk(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Disk {
    let latency = fields.optional("disk-latency", &duration(Duration::ZERO, DISK_LATENCY_MAX), mistakes);
    let faults = fields.optional("disk-faults", &fraction(DISK_FAULTS_MAX), mistakes);
    Disk { latency: latency.unwrap_or(Duration::ZERO), faults: faults.unwrap_or(0.0) }
}

fn arrival(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Arrival {
    let allowed = "{ at = \"10 s\" }, { spread = \"1 min\" } or { poisson = \"6 /min\" } is allowed";
    let time = duration(Duration::ZERO, LIMIT_MAX);
    let chosen = choice(fields, "arrival", allowed, &[], mistakes, |key, value| match key {
        "at" => Some(whole(value, &time).map(Arrival::At)),
        "spread" => Some(whole(value, &time).map(Arrival::Spread)),
        "poisson" => {
            let rate = whole(value, &pace(POISSON_RATE_MIN, POISSON_RATE_MAX));
            Some(rate.map(|rate| Arrival::Poisson { rate }))
        }
        _ => None,
    });
    chosen.unwrap_or(Arrival::At(Duration::ZERO))
}

fn stay(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Stay {
    let allowed =
        "\"always\", { after-done = \"30 s\" }, { for = \"10 min\" } or { churn = \"2 min\" } is allowed";
    let time = duration(Duration::ZERO, LIMIT_MAX);
    let chosen =
        choice(fields, "stay", allowed, &[("always", Stay::Always)], mistakes, |key, value| match key {
            "after-done" => Some(whole(value, &time).map(Stay::AfterDone)),
            "for" => Some(whole(value, &time).map(Stay::For)),
            "churn" => Some(whole(value, &duration(CHURN_MIN, LIMIT_MAX)).map(Stay::Churn)),
            _ => None,
        });
    chosen.unwrap_or(Stay::Always)
}

fn player(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Player {
    let mut player = Player { start: 0.0, start_buffer: START_BUFFER, tail_first: false, seeks: Seeks::None };
    let Some(value) = fields.raw("player") else { return player };
    let Some(table) = value.get_ref().as_table() else {
        let allowed = "a table is allowed, such as { start-buffer = \"2 s\", tail-first = true }";
        note_wrong(&fields.path("player"), value, Wrong::new(allowed), mistakes);
        return player;
    };
    let mut own = Fields::of(&fields.path("player"), table, value.span());
    player.start = own.optional("start", &place, mistakes).unwrap_or(player.start);
    let buffer = duration(Duration::ZERO, START_BUFFER_MAX);
    player.start_buffer = own.optional("start-buffer", &buffer, mistakes).unwrap_or(player.start_buffer);
    player.tail_first = own.optional("tail-first", &truth, mistakes).unwrap_or(player.tail_first);
    player.seeks = seeks(&mut own, mistakes);
    own.finish(mistakes);
    player
}

fn seeks(fields: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Seeks {
    let allowed = "\"never\", { every = \"30 s\" } or { at = [[\"30 s\", \"50 %\"], …] } is allowed";
    let chosen =
        choice(fields, "seeks", allowed, &[("never", Seeks::None)], mistakes, |key, value| match key {
            "every" => Some(whole(value, &duration(SEEK_INTERVAL_MIN, LIMIT_MAX)).map(Seeks::Every)),
            "at" => Some(seek_list(value).map(Seeks::At)),
            _ => None,
        });
    chosen.unwrap_or(Seeks::None)
}

/// A reading that may fail at several places.
type Inside<'v, T> = Result<T, Vec<Misfit<'v>>>;

/// A reading of the whole value.
fn whole<'v, T>(value: &'v Spanned<DeValue<'v>>, reading: Reading<'_, T>) -> Inside<'v, T> {
    reading(value.get_ref()).map_err(|wrong| vec![Misfit::new("", value, wrong)])
}

/// Pairs of playing time and place, in the order of time.
fn seek_list<'v>(list: &'v Spanned<DeValue<'v>>) -> Inside<'v, Vec<(Duration, f64)>> {
    let Some(items) = list.get_ref().as_array().filter(|items| (1..=SEEKS_MAX).contains(&items.len())) else {
        let allowed = format!(
            "1 to {SEEKS_MAX} pairs of playing time and place are allowed, \
             such as [[\"30 s\", \"50 %\"], [\"1 min\", \"10 %\"]]"
        );
        return Err(vec![Misfit::new("", list, Wrong::new(allowed))]);
    };
    let (mut pairs, mut misfits, mut before) = (Vec::new(), Vec::new(), None);
    for (number, item) in (1..).zip(items.iter()) {
        match seek(number, item, &mut before) {
            Ok(pair) => pairs.push(pair),
            Err(more) => misfits.extend(more),
        }
    }
    if misfits.is_empty() { Ok(pairs) } else { Err(misfits) }
}

/// One pair of the list; `before` is the playing time of the pair before it, and then of this one.
fn seek<'v>(
    number: usize,
    item: &'v Spanned<DeValue<'v>>,
    before: &mut Option<Duration>,
) -> Inside<'v, (Duration, f64)> {
    let Some([at, to]) = item.get_ref().as_array().map(|pair| &**pair) else {
        let allowed = "a pair of playing time and place is allowed, such as [\"30 s\", \"50 %\"]";
        return Err(vec![Misfit::new(format!("[{number}]"), item, Wrong::new(allowed))]);
    };
    let ordered = |time| {
        let wrong = || Wrong::new("seeks are allowed in the order of time, each later than the one before");
        if before.replace(time) < Some(time) { Ok(time) } else { Err(wrong()) }
    };
    let time = duration(Duration::ZERO, LIMIT_MAX)(at.get_ref()).and_then(ordered);
    match (time, place(to.get_ref())) {
        (Ok(time), Ok(place)) => Ok((time, place)),
        (time, place) => {
            let read = [(1, at, time.err()), (2, to, place.err())];
            let misfit = |(which, value, wrong): (_, _, Option<Wrong>)| {
                Some(Misfit::new(format!("[{number}][{which}]"), value, wrong?))
            };
            Err(read.into_iter().filter_map(misfit).collect())
        }
    }
}

/// A place in the film where there is still something to see.
fn place(value: &DeValue<'_>) -> Result<f64, Wrong> {
    let wrong = || Wrong::new("a place from 0 % to 99.9 % of the film is allowed");
    fraction(0.999)(value).map_err(|_| wrong())
}

/// A field that is one of some words, or a table of one key that says which.
fn choice<'a, T: Clone>(
    fields: &mut Fields<'a>,
    name: &'static str,
    allowed: &str,
    words: &[(&str, T)],
    mistakes: &mut Mistakes<'_>,
    keyed: impl Fn(&str, &'a Spanned<DeValue<'a>>) -> Option<Inside<'a, T>>,
) -> Option<T> {
    let value = fields.raw(name)?;
    let path = fields.path(name);
    let word = value.get_ref().as_str();
    if let Some((_, meaning)) = words.iter().find(|(known, _)| Some(*known) == word) {
        return Some(meaning.clone());
    }
    let only =
        value.get_ref().as_table().filter(|table| table.len() == 1).and_then(|table| table.iter().next());
    if let Some((key, inside)) = only
        && let Some(read) = keyed(key.get_ref(), inside)
    {
        return match read {
            Ok(meaning) => Some(meaning),
            Err(misfits) => {
                let path = format!("{path}.{}", key.get_ref());
                misfits.into_iter().for_each(|misfit| misfit.note(&path, mistakes));
                None
            }
        };
    }
    note_wrong(&path, value, Wrong::new(allowed), mistakes);
    None
}

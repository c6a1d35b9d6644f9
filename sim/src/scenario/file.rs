//! Reads a scenario from TOML. The format is described in the crate's README; everything that is wrong is reported at once.

use std::ops::Range;

use toml::de::DeTable;

use super::fields::{Fields, Wrong, note_wrong};
use super::group::{self, Read};
use super::limits::{
    ABOUT_CHARS_MAX, ARRIVALS_MAX, CONNECTION_PIECE_BITS, FILM_MAX, GROUPS_MAX, LENGTH_MAX, LENGTH_MIN,
    LIMIT_MAX, LIMIT_MIN, NAME_CHARS_MAX, PEER_PIECE_BYTES, PEERS_MAX, PIECE_LENGTH_MAX, PIECE_LENGTH_MIN,
    PIECES_BYTES_MAX, PIECES_MAX, RATE_MAX, RATE_MIN, SEGMENT_PEERS_MAX, TEXT_BYTES_MAX,
};
use super::mistake::{Draft, FileError, Kind, Mistakes, printable};
use super::readings::{duration, name, rate, show_bytes, show_number, show_time, size, text, word};
use super::{Arrival, Content, Group, Manner, Network, Role, Scenario, Stay};

/// What `network` may be.
const NETWORKS: [(&str, Network); 2] = [("fluid", Network::Fluid), ("segment", Network::Segment)];

impl Scenario {
    /// Reads a scenario file's text. No text makes it panic, and none that it accepts asks for more than
    /// [`limits`](super::limits) allow.
    pub fn parse(source: &str) -> Result<Self, FileError> {
        let mut mistakes = Mistakes::new(source);
        if source.len() > TEXT_BYTES_MAX {
            let found = format!("the text has {} bytes", source.len());
            let allowed = format!("{TEXT_BYTES_MAX} are allowed");
            mistakes.note(0..0, Draft::new(Kind::Syntax, "", found, allowed));
            return mistakes.verdict(None);
        }
        let (table, errors) = DeTable::parse_recoverable(source);
        for error in &errors {
            let why: String = error.message().chars().map(printable).collect();
            mistakes.note(error.span().unwrap_or(0..0), Draft::new(Kind::Syntax, "", "this is no TOML", why));
        }
        // What a parser makes of a text that it couldn't follow would be reported as further mistakes that aren't any.
        let scenario = if errors.is_empty() { scenario(Fields::top(&table), &mut mistakes) } else { None };
        mistakes.verdict(scenario)
    }
}

fn scenario(mut top: Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<Scenario> {
    let name = top.required("name", &name(NAME_CHARS_MAX), mistakes);
    let about = top.required("about", &text(ABOUT_CHARS_MAX), mistakes);
    let network = top.required("network", &word(&NETWORKS), mistakes);
    let limit = top.required("limit", &duration(LIMIT_MIN, LIMIT_MAX), mistakes);
    let content = content(&mut top, mistakes);
    let groups = groups(&mut top, mistakes);
    let span = top.span("group");
    top.finish(mistakes);
    let scenario = Scenario {
        name: name?,
        about: about?,
        network: network?,
        limit: limit?,
        content: content?,
        groups: groups.iter().map(|read| read.group.clone()).collect(),
    };
    // What follows from a mistake isn't another one.
    if mistakes.is_empty() {
        check_groups(&scenario, &groups, mistakes);
        check_whole(&scenario, span, mistakes);
    }
    Some(scenario)
}

fn content(top: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Option<Content> {
    const ALLOWED: &str = "a table [content] with length, piece-length and media-rate is allowed";
    let Some(value) = top.raw("content") else {
        top.missing("content", ALLOWED, mistakes);
        return None;
    };
    let Some(table) = value.get_ref().as_table() else {
        note_wrong("content", value, Wrong::new(ALLOWED), mistakes);
        return None;
    };
    let mut fields = Fields::of("content", table, value.span());
    let length = fields.required("length", &size(LENGTH_MIN, LENGTH_MAX), mistakes);
    let piece_length = fields.required("piece-length", &size(PIECE_LENGTH_MIN, PIECE_LENGTH_MAX), mistakes);
    let media_rate = fields.required("media-rate", &rate(RATE_MIN, RATE_MAX), mistakes);
    let content = Content { length: length?, piece_length: piece_length?, media_rate: media_rate? };
    check_content(&content, &fields, mistakes);
    fields.finish(mistakes);
    Some(content)
}

fn check_content(content: &Content, fields: &Fields<'_>, mistakes: &mut Mistakes<'_>) {
    let Content { length, piece_length, media_rate } = *content;
    if !piece_length.is_power_of_two() {
        let allowed = "a power of two is allowed, such as \"256 KiB\" or \"1 MiB\"";
        fields.contradiction("piece-length", allowed, mistakes);
    }
    if length.div_ceil(piece_length) > PIECES_MAX {
        let least = length.div_ceil(PIECES_MAX).next_power_of_two();
        let allowed = format!(
            "at most {PIECES_MAX} pieces are allowed, which takes at least {} for this length",
            show_bytes(least)
        );
        fields.contradiction("piece-length", allowed, mistakes);
    }
    if length / media_rate > FILM_MAX.as_secs() {
        let allowed = format!(
            "the film would take {} h: at most {} are allowed",
            length / media_rate / 3600,
            show_time(FILM_MAX)
        );
        fields.contradiction("media-rate", allowed, mistakes);
    }
}

fn groups(top: &mut Fields<'_>, mistakes: &mut Mistakes<'_>) -> Vec<Read> {
    let allowed = format!("1 to {GROUPS_MAX} tables [[group]] are allowed");
    let Some(value) = top.raw("group") else {
        top.missing("group", allowed, mistakes);
        return Vec::new();
    };
    let tables: Option<Vec<_>> =
        value.get_ref().as_array().filter(|array| (1..=GROUPS_MAX).contains(&array.len())).and_then(
            |array| array.iter().map(|item| Some((item.get_ref().as_table()?, item.span()))).collect(),
        );
    let Some(tables) = tables else {
        note_wrong("group", value, Wrong::new(allowed), mistakes);
        return Vec::new();
    };
    let numbered = tables.into_iter().enumerate();
    numbered
        .filter_map(|(index, (table, span))| {
            group::read(Fields::of(&format!("group[{}]", index + 1), table, span), mistakes)
        })
        .collect()
}

/// What one group may be beside the others, and within this network and time.
fn check_groups(scenario: &Scenario, groups: &[Read], mistakes: &mut Mistakes<'_>) {
    for (index, Read { group, place }) in groups.iter().enumerate() {
        if groups[..index].iter().any(|other| other.group.name == group.name) {
            place.contradict(
                "name",
                format!("{:?}", group.name),
                "each group's name is allowed once",
                mistakes,
            );
        }
        if scenario.network == Network::Fluid && group.access.loss > 0.0 {
            let found = format!("{} %", show_number(group.access.loss * 100.0));
            let allowed = "losses are modelled with network = \"segment\" only";
            place.contradict("loss", found, allowed, mistakes);
        }
        if let Arrival::At(last) | Arrival::Spread(last) = group.arrival
            && last >= scenario.limit
        {
            let allowed = format!("the run ends at {}: peers have to come before", show_time(scenario.limit));
            place.contradict("arrival", format!("so late as {}", show_time(last)), &allowed, mistakes);
        }
        if let Stay::Churn(mean) = group.stay {
            let arrivals = f64::from(group.count) * (1.0 + scenario.limit.as_secs_f64() / mean.as_secs_f64());
            if arrivals > ARRIVALS_MAX {
                let found = format!("so short that {arrivals:.0} peers would come");
                let allowed =
                    format!("{ARRIVALS_MAX} are allowed: fewer peers, a longer stay or a shorter run");
                place.contradict("stay", found, &allowed, mistakes);
            }
        }
    }
}

/// What all of them may be together.
fn check_whole(scenario: &Scenario, span: Range<usize>, mistakes: &mut Mistakes<'_>) {
    let mut contradict = |found: String, allowed: String| {
        mistakes.note(span.clone(), Draft::new(Kind::Contradiction, "group", found, allowed));
    };
    let groups = &scenario.groups;
    let peers: u64 = groups.iter().map(|group| u64::from(group.count)).sum();
    let (peers_max, network) = match scenario.network {
        Network::Fluid => (PEERS_MAX, "fluid"),
        Network::Segment => (SEGMENT_PEERS_MAX, "segment"),
    };
    if peers > u64::from(peers_max) {
        contradict(
            format!("{peers} peers in all"),
            format!("at most {peers_max} are allowed with network = {network:?}"),
        );
    }
    if let Some((found, allowed)) = too_much_memory(scenario, peers) {
        contradict(found, allowed);
    }
    let gives = |group: &Group| match group.role {
        Role::Seed => true,
        Role::Leecher { have } => have > 0.0,
        Role::Viewer(_) => false,
    };
    if !groups.iter().any(|group| gives(group) && group.manner == Manner::Honest) {
        contradict(
            "without anybody who has something".to_owned(),
            "at least one honest group of seeds, or of leechers that have a part, is needed".to_owned(),
        );
    }
    if !groups.iter().any(Group::counted) {
        contradict(
            "without anybody to compare".to_owned(),
            "at least one honest group of leechers or viewers without a strategy of its own is needed"
                .to_owned(),
        );
    }
}

/// What the peers would keep about pieces, and what is allowed, if it is too much.
fn too_much_memory(scenario: &Scenario, peers: u64) -> Option<(String, String)> {
    let pieces = scenario.content.length.div_ceil(scenario.content.piece_length);
    // With each of the others a peer has one connection at most.
    let most = |group: &Group| u64::from(group.connections_max).min(peers - 1);
    let links: u64 = scenario.groups.iter().map(|group| u64::from(group.count) * most(group)).sum();
    let bytes = peers * pieces * PEER_PIECE_BYTES + links * (CONNECTION_PIECE_BITS * pieces).div_ceil(8);
    if bytes <= PIECES_BYTES_MAX {
        return None;
    }
    // Upwards, or what is a little too much would look like what is allowed.
    let tenths = (10 * bytes).div_ceil(1 << 30);
    let found = format!(
        "{peers} peers with {links} connections and {pieces} pieces, which take {}.{} GiB of memory",
        tenths / 10,
        tenths % 10
    );
    let allowed = format!(
        "at most {} are allowed, of which each piece takes {PEER_PIECE_BYTES} bytes per peer and \
         {CONNECTION_PIECE_BITS} bits per connection; a lower count or connections-max, or longer pieces, take less",
        show_bytes(PIECES_BYTES_MAX)
    );
    Some((found, allowed))
}

impl Group {
    /// Whether its figures count in comparisons: it downloads, honestly, and with the strategy that is compared.
    pub fn counted(&self) -> bool {
        self.manner == Manner::Honest && self.strategy.is_none() && self.role != Role::Seed
    }
}

//! A .torrent file (BEP 3, 5, 12, 19, 52): the `info` dictionary and what surrounds it.
//!
//! What surrounds it is hashed by nobody: what is malformed there is left out with a warning.

use bytes::Bytes;

use crate::bencode::{self, Dict, Document, Value};
use crate::error::TorrentError;
use crate::info::{Info, Warning};
use crate::layers;
pub use crate::layers::PieceLayers;
use crate::limits::{self, HOST_BYTES_MAX, NODES_MAX, TRACKERS_MAX, WEB_SEEDS_MAX};
use crate::path::{safe_lines, safe_text};
use crate::url::{TRACKER_SCHEMES, UrlFilter, WEB_SEED_SCHEMES};

/// A .torrent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// What is shared. Its warnings are those of the whole file.
    pub info: Info,
    /// Tracker URLs (http, https, udp, ws, wss) in tiers (BEP 12), no URL twice, at most [`TRACKERS_MAX`].
    /// Shuffling inside a tier is for whoever announces.
    pub trackers: Vec<Vec<String>>,
    /// http and https URLs of BEP 19, no URL twice, at most [`WEB_SEEDS_MAX`].
    pub web_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5): host and port, at most [`NODES_MAX`].
    pub nodes: Vec<(String, u16)>,
    /// What its maker says about it; control characters are replaced.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// When it was made, in seconds since 1970.
    pub creation_date: Option<i64>,
    /// The v2 piece layers.
    pub piece_layers: PieceLayers,
}

impl Torrent {
    /// Reads a whole .torrent file. The info-hash is taken over the `info` value's bytes as they stand in it.
    pub fn parse(file: &[u8]) -> Result<Self, TorrentError> {
        if file.len() > limits::TORRENT_BYTES_MAX {
            let (kind, offset) = (bencode::ErrorKind::TooLarge, limits::TORRENT_BYTES_MAX);
            return Err(bencode::Error { kind, offset }.into());
        }
        // copy: once per torrent, so that hashes and layers are views of one shared buffer.
        let file = Bytes::copy_from_slice(file);
        let document = Document::parse(&file, &limits::TORRENT)?;
        let outer = document.root().as_dict().ok_or(TorrentError::NotADictionary)?;
        let info = outer.get(b"info").and_then(|info| info.as_dict()).ok_or(TorrentError::Field("info"))?;
        let mut info = Info::read(info, file.slice_ref(info.raw()))?;
        if !outer.is_canonical() {
            info.warnings.push(Warning::UnsortedKeys("outermost dictionary"));
        }
        let trackers = trackers(outer, &mut info.warnings);
        let web_seeds = web_seeds(outer, &mut info.warnings);
        let nodes = nodes(outer, &mut info.warnings);
        let piece_layers = layers::read(outer, &file, &mut info);
        Ok(Self {
            info,
            trackers,
            web_seeds,
            nodes,
            comment: text(outer, b"comment.utf-8", safe_lines)
                .or_else(|| text(outer, b"comment", safe_lines)),
            created_by: text(outer, b"created by", safe_text),
            creation_date: outer.get_int(b"creation date"),
            piece_layers,
        })
    }
}

fn text(outer: Dict<'_, '_>, key: &[u8], safe: fn(&[u8]) -> String) -> Option<String> {
    outer.get_bytes(key).map(safe).filter(|text| !text.is_empty())
}

/// `announce-list` where it has anything usable, else `announce` (BEP 12).
fn trackers(outer: Dict<'_, '_>, warnings: &mut Vec<Warning>) -> Vec<Vec<String>> {
    let mut filter = UrlFilter::new(TRACKER_SCHEMES, TRACKERS_MAX);
    let mut tiers: Vec<Vec<String>> = Vec::new();
    if let Some(list) = outer.get(b"announce-list").and_then(|list| list.as_list()) {
        // Some programs write a plain list: a tier for each.
        let admitted = list.iter().map(|tier| strings(tier).filter_map(|url| filter.admit(url)).collect());
        tiers.extend(admitted.filter(|tier: &Vec<_>| !tier.is_empty()));
    }
    if tiers.is_empty()
        && let Some(url) = outer.get_bytes(b"announce").filter(|url| !url.is_empty())
    {
        tiers.extend(filter.admit(url).map(|url| vec![url]));
    }
    note_left_out("trackers", filter.left_out, warnings);
    tiers
}

/// `url-list`: a string or a list of strings (BEP 19).
fn web_seeds(outer: Dict<'_, '_>, warnings: &mut Vec<Warning>) -> Vec<String> {
    let Some(value) = outer.get(b"url-list") else { return Vec::new() };
    let mut filter = UrlFilter::new(WEB_SEED_SCHEMES, WEB_SEEDS_MAX);
    // An empty string or list is how some programs say that there is none.
    let urls = strings(value).filter(|url| !url.is_empty()).filter_map(|url| filter.admit(url)).collect();
    note_left_out("web seeds", filter.left_out, warnings);
    urls
}

/// `nodes`: a list of `[host, port]` (BEP 5).
fn nodes(outer: Dict<'_, '_>, warnings: &mut Vec<Warning>) -> Vec<(String, u16)> {
    let mut nodes: Vec<(String, u16)> = Vec::new();
    let mut left_out = 0;
    if let Some(list) = outer.get(b"nodes").and_then(|list| list.as_list()) {
        for value in list.iter() {
            match node(value) {
                Some(node) if nodes.len() < NODES_MAX && !nodes.contains(&node) => nodes.push(node),
                _ => left_out += 1,
            }
        }
    }
    note_left_out("nodes", left_out, warnings);
    nodes
}

fn node(value: Value<'_, '_>) -> Option<(String, u16)> {
    let mut pair = value.as_list()?.iter();
    let host = pair.next()?.as_str().filter(|host| is_host(host))?;
    let port = u16::try_from(pair.next()?.as_int()?).ok().filter(|&port| port > 0)?;
    Some((host.to_owned(), port))
}

/// Whether a text could be a host name or an IP address; looking it up will tell.
pub(crate) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= HOST_BYTES_MAX
        && !text.chars().any(|c| c.is_control() || c.is_whitespace() || "/\\?#@&%[]".contains(c))
}

/// A string, or the strings of a list.
fn strings<'a>(value: Value<'_, 'a>) -> impl Iterator<Item = &'a [u8]> {
    let list = value.as_list().into_iter().flat_map(|list| list.iter());
    value.as_bytes().into_iter().chain(list.filter_map(|value| value.as_bytes()))
}

fn note_left_out(what: &'static str, count: usize, warnings: &mut Vec<Warning>) {
    if count > 0 {
        warnings.push(Warning::LeftOut { what, count });
    }
}

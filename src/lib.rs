//! Afflux: a BitTorrent engine with streaming built in.
//!
//! This crate is where the pure rooms meet sockets, files and the clock: the [`engine`], its drivers for
//! [trackers](announce), [HTTP](fetch) and the [DHT](dht), [accounts](auth), the [settings](config), and the [command line](cli).
//! The rules of the protocol live in the pure crates; see ARCHITECTURE.md for the map.

pub mod announce;
pub mod api;
pub mod auth;
pub mod cli;
pub mod config;
pub mod cors;
pub mod database;
pub mod dht;
pub mod engine;
pub mod failure;
pub mod fetch;
pub mod ffprobe;
pub mod media_choice;
pub mod media_info;
pub mod metrics;
pub mod policy;
pub mod release_info;
pub mod service;
pub mod shelf;
pub mod signals;
pub mod source;
pub mod system;
pub mod threads;
pub mod torrent_info;
pub mod trace;
pub mod tracker_server;
pub mod user;
pub mod watch;

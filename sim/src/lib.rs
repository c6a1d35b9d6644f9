//! A deterministic simulator of BitTorrent swarms.
//!
//! It runs the machines that the engine runs, [`afflux_swarm::Swarm`] and [`afflux_peer::Connection`], in virtual time
//! over a modelled network. One [`Scenario`] and one seed give one run and one [`Outcome`], byte for byte, on any machine.
//!
//! Here: the network, the disks, the players, the odd peers, scenarios and their file format, statistics and reports. Not
//! here: files, clocks and terminals; `afflux sim` reads the scenarios and writes the reports.

pub mod closed_forms;
pub mod compare;
pub mod log;
pub mod outcome;
pub mod report;
pub mod scenario;
pub mod stats;
pub mod table;

mod agenda;
mod chance;
mod clock;
mod discovery;
mod disk;
mod diversity;
mod invariants;
mod journal;
mod link;
mod net;
mod node;
mod player;
mod proven;
mod run;
mod wire;
mod world;

pub use log::{Entry, Log, What};
pub use outcome::{Outcome, PeerOutcome, Seek};
pub use run::{RunError, run};
pub use scenario::Scenario;

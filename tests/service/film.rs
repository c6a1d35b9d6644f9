//! Films that no player could show but that begin as films do, in torrents written by hand, so that names can be anything.

use std::path::PathBuf;
use std::sync::Arc;

use sha1_smol::Sha1;

use crate::harness::afflux::{ALONE, Afflux};
use crate::harness::payload::noise;
use crate::harness::process::Process;
use crate::harness::{Scratch, free_port};
use crate::wire::{Content, Manner, Seeder};

/// Small, so that a few megabytes are many pieces.
pub(crate) const PIECE_LENGTH: usize = 64 * 1024;
pub(crate) const MIB: usize = 1 << 20;
/// Faster than any test reads.
const UNHURRIED: usize = 200 * MIB;
/// How Matroska files begin.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];

/// A torrent and its bytes.
pub(crate) struct Film {
    pub(crate) torrent: Vec<u8>,
    pub(crate) hash: String,
    pub(crate) content: Arc<Content>,
    files: Vec<(String, usize)>,
    folder: Option<&'static str>,
}

impl Film {
    /// One film of so many bytes; different seeds make different ones.
    pub(crate) fn new(seed: u64, length: usize) -> Self {
        Self::named(&format!("film {seed}.mkv"), film_bytes(seed, length))
    }

    /// A file with any name and content.
    pub(crate) fn named(name: &str, bytes: Vec<u8>) -> Self {
        Self::build(None, vec![(name.to_owned(), bytes)])
    }

    /// A folder of files.
    pub(crate) fn folder(name: &'static str, files: Vec<(String, Vec<u8>)>) -> Self {
        Self::build(Some(name), files)
    }

    fn build(folder: Option<&'static str>, files: Vec<(String, Vec<u8>)>) -> Self {
        let lengths = files.iter().map(|(name, bytes)| (name.clone(), bytes.len())).collect();
        let bytes = files.into_iter().flat_map(|(_, bytes)| bytes).collect::<Vec<u8>>();
        let mut film = Self {
            torrent: Vec::new(),
            hash: String::new(),
            content: Content::new(&"0".repeat(40), PIECE_LENGTH, Vec::new()),
            files: lengths,
            folder,
        };
        let info = film.info(&bytes);
        film.hash = Sha1::from(&info).digest().to_string();
        film.torrent = [b"d4:info".as_slice(), &info, b"e"].concat();
        film.content = Content::new(&film.hash, PIECE_LENGTH, bytes);
        film
    }

    fn info(&self, bytes: &[u8]) -> Vec<u8> {
        let mut info = Vec::from(b"d");
        match self.folder {
            Some(_) => {
                info.extend(b"5:filesl");
                for (name, length) in &self.files {
                    info.extend(format!("d6:lengthi{length}e4:pathl{}:{name}ee", name.len()).as_bytes());
                }
                info.extend(b"e");
            }
            None => info.extend(format!("6:lengthi{}e", bytes.len()).as_bytes()),
        }
        let name = self.folder.unwrap_or(&self.files[0].0);
        let hashes: Vec<u8> =
            bytes.chunks(PIECE_LENGTH).flat_map(|piece| Sha1::from(piece).digest().bytes()).collect();
        info.extend(format!("4:name{}:{name}", name.len()).as_bytes());
        info.extend(format!("12:piece lengthi{PIECE_LENGTH}e6:pieces{}:", hashes.len()).as_bytes());
        info.extend(hashes);
        info.extend(b"e");
        info
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.content.bytes
    }

    pub(crate) fn magnet(&self) -> String {
        format!("magnet:?xt=urn:btih:{}", self.hash)
    }

    /// A peer that has it and counts what it gives; each has an address of its own.
    pub(crate) fn seeder(&self, ip: &str) -> Seeder {
        self.slow_seeder(ip, UNHURRIED)
    }

    /// The same, with this many bytes per second.
    pub(crate) fn slow_seeder(&self, ip: &str, bytes_per_second: usize) -> Seeder {
        Seeder::start(ip, &self.content, Manner::Honest, bytes_per_second)
    }

    /// A peer that takes requests and never answers.
    pub(crate) fn silent_seeder(&self, ip: &str) -> Seeder {
        Seeder::start(ip, &self.content, Manner::Silent, UNHURRIED)
    }

    /// `afflux seed` with it, which gives metadata too; and where it listens.
    pub(crate) fn real_seeder(&self, scratch: &Scratch, more: &[&str]) -> (Process, String) {
        let folder = scratch.folder(&format!("{}.shared", self.hash));
        let root = self.folder.map_or(folder.clone(), |name| folder.join(name));
        std::fs::create_dir_all(&root).expect("our own folder");
        let mut bytes = self.bytes();
        for (name, length) in &self.files {
            let (file, rest) = bytes.split_at(*length);
            std::fs::write(root.join(name), file).expect("our own folder");
            bytes = rest;
        }
        let port = free_port();
        let mut process = Afflux::new(scratch, &format!("seed-{}", &self.hash[..8]))
            .arg("seed")
            .arg(self.file(scratch))
            .arg("-o")
            .arg(folder)
            .args(["--json", "--bind", ALONE[1], "--peer-port", &port.to_string(), "--no-dht"])
            .args(more)
            .start();
        process.said("seeding");
        (process, format!("127.0.0.1:{port}"))
    }

    /// The .torrent in a file.
    pub(crate) fn file(&self, scratch: &Scratch) -> PathBuf {
        let path = scratch.path(&format!("{}.torrent", self.hash));
        std::fs::write(&path, &self.torrent).expect("our own folder");
        path
    }
}

/// What begins like a Matroska file and goes on as noise.
pub(crate) fn film_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = noise(seed, length);
    bytes[..EBML.len()].copy_from_slice(&EBML);
    bytes
}

/// A file of so many bytes that begins as a Matroska film of so many seconds does, and goes on as noise.
pub(crate) fn lasting(seed: u64, length: usize, seconds: f64) -> Vec<u8> {
    let element = |id: &[u8], body: &[u8]| {
        let length = (1u64 << 56 | body.len() as u64).to_be_bytes();
        [id, &length, body].concat()
    };
    let head = element(&[0x1a, 0x45, 0xdf, 0xa3], &element(&[0x42, 0x82], b"matroska"));
    let scale = element(&[0x2a, 0xd7, 0xb1], &1_000_000u32.to_be_bytes());
    let duration = element(&[0x44, 0x89], &(seconds * 1000.0).to_be_bytes());
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &[scale, duration].concat());
    let codec = element(&[0x86], b"V_MPEG4/ISO/AVC");
    let entry = [element(&[0xd7], &[1]), element(&[0x83], &[1]), codec].concat();
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry));
    let begun =
        [head, vec![0x18, 0x53, 0x80, 0x67, 1, 255, 255, 255, 255, 255, 255, 255], info, tracks].concat();
    let rest = length - begun.len() - 12;
    let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &noise(seed, rest));
    [begun, cluster].concat()
}

//! Viewers that seek at random, look for a while, and compare every byte with what the film has there.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::chance::Chance;
use crate::film::content;

/// Nobody waits longer for bytes.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is looked at after a seek, at most.
const LOOK_BYTES_MAX: u64 = 2 << 20;
/// One look in so many is slow: its connection stays full of what the daemon sends.
const SLOW: u64 = 8;
const SLOW_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Viewers {
    pub(crate) count: usize,
    /// Of all together.
    pub(crate) seeks: usize,
    pub(crate) length: u64,
}

impl Viewers {
    /// Returns when all seeks are done.
    pub(crate) fn watch(&self, urls: &[String]) {
        let left = AtomicUsize::new(self.seeks);
        std::thread::scope(|scope| {
            for viewer in 0..self.count {
                let (url, left) = (&urls[viewer % urls.len()], &left);
                scope.spawn(move || {
                    let mut chance = Chance::new(viewer + 1);
                    while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                        self.seek(url, &mut chance);
                    }
                });
            }
        });
    }

    fn seek(&self, url: &str, chance: &mut Chance) {
        let start = chance.below(self.length);
        let bytes = (1 + chance.below(LOOK_BYTES_MAX)).min(self.length - start);
        let slow = chance.below(SLOW) == 0;
        let (address, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let mut stream = TcpStream::connect(address).expect("the daemon listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a valid time");
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nRange: bytes={start}-\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("the daemon reads");
        let head = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 206"), "{head}");
        let (mut at, end, mut buffer) = (start, start + bytes, vec![0; 64 * 1024]);
        while at < end {
            let most = (end - at).min(buffer.len() as u64) as usize;
            let count = stream.read(&mut buffer[..most]).expect("bytes come in time");
            assert!(count > 0, "the film ended at {at}, before {end}");
            // The pattern may end within what was read.
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let right = content(at);
                let part = rest.len().min(right.len());
                assert!(rest[..part] == right[..part], "wrong bytes at {at}");
                rest = &rest[part..];
                at += part as u64;
            }
            if slow {
                std::thread::sleep(SLOW_PAUSE);
            }
        }
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head in time");
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

//! A film over an open link: read as fast as it comes, and watched at 8 Mbit/s. The seeder costs almost nothing and is as
//! fast as the machine, so that the client is what is measured.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::case::{Case, Figures, Row, Unit};
use super::film::Film;
use super::http::Response;
use super::payload::Payload;
use super::player::Player;
use super::process::Spent;
use super::serving::{Serving, Show};
use super::subject::Subject;
use super::work::{Turn, Work, Workshop};

const MIB: u64 = 1024 * 1024;

/// The names of the cases.
const SEQUENTIAL: &str = "sequential";
const PLAYBACK: &str = "playback";

/// How long is watched.
const SPAN: Duration = Duration::from_secs(60);
const SPAN_QUICK: Duration = Duration::from_secs(15);

/// A client that brings nothing for so long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Bytes read at once: as fast as it comes, and by a player.
const READ_BYTES: usize = 256 * 1024;
const PLAYER_READ_BYTES: usize = 64 * 1024;

/// The player looks at its clock at least so often.
const TICK: Duration = Duration::from_millis(10);

/// The client's memory is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// libtorrent has no range server of its own: its column is a small one in Python over its piece deadlines.
const SUBJECTS: [Subject; 5] =
    [Subject::Afflux, Subject::Libtorrent, Subject::Rqbit, Subject::Webtorrent, Subject::Peerflix];

/// The film of all turns.
#[derive(Debug)]
pub(crate) struct Playback {
    payload: Payload,
    film: Film,
}

pub(crate) fn work(workshop: &Workshop) -> Result<Box<dyn Work>> {
    let payload = Payload::usual(workshop)?;
    let film = Film::new(workshop.seed, payload.bytes, MIB);
    Ok(Box::new(Playback { payload, film }))
}

impl Work for Playback {
    fn cases(&self) -> Vec<Case> {
        let mib = self.payload.mib();
        vec![
            Case {
                name: SEQUENTIAL,
                title: format!(
                    "{mib} MiB read over HTTP while they are downloaded over an open link, from adding on"
                ),
                rows: vec![
                    Row::new("rate", "rate", Unit::MibPerSecond),
                    Row::new("cpu", "CPU per GiB", Unit::Seconds),
                    Row::new("peak_rss", "peak memory", Unit::Mib),
                    Row::new("peak_anon", "peak memory, no file's", Unit::Mib),
                ],
            },
            Case {
                name: PLAYBACK,
                title: "a film of 8 Mbit/s watched over an open link".to_owned(),
                rows: vec![
                    Row::new("first_byte", "first byte after adding", Unit::Milliseconds),
                    Row::new("startup", "start-up with 2 s in hand", Unit::Milliseconds),
                    Row::new("stalls", "stalls", Unit::Count),
                    Row::new("cpu", "CPU, of a core", Unit::Share),
                    Row::new("peak_rss", "peak memory", Unit::Mib),
                    Row::new("peak_anon", "peak memory, no file's", Unit::Mib),
                ],
            },
        ]
    }

    fn subjects(&self, _case: &Case) -> Vec<Subject> {
        SUBJECTS.to_vec()
    }

    fn take(&mut self, turn: &Turn) -> Result<Figures> {
        let (_seeder, peer, _) = self.payload.seeder(turn.folder)?;
        let (torrent, _tracker) = self.payload.torrent(turn.folder, &[peer])?;
        let place = Place::new(turn.workshop.memory.path().join("film"))?;
        let show = Show { torrent: &torrent, film: &place.0, is_complete: false, folder: turn.folder };
        let mut serving = Serving::start(turn.subject, &turn.workshop.programs, &show)?;
        if turn.case.name == SEQUENTIAL {
            self.read(&mut serving)
        } else {
            self.watch(&mut serving, if turn.workshop.is_quick { SPAN_QUICK } else { SPAN })
        }
    }
}

impl Playback {
    /// From the first byte to the last, as fast as it comes.
    fn read(&self, serving: &mut Serving) -> Result<Figures> {
        let mut socket = TcpStream::connect(serving.url.host)?;
        socket.set_read_timeout(Some(SILENCE_MAX))?;
        write!(socket, "GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", serving.url.path, serving.url.host)?;
        let mut bytes = vec![0; READ_BYTES];
        let mut held = skip_head(&mut socket, &mut bytes)?;
        let mut place = 0;
        let mut looked_at = Instant::now();
        while place < self.payload.bytes {
            if held == 0 {
                held =
                    socket.read(&mut bytes).with_context(|| format!("nothing comes after byte {place}"))?;
            }
            if held == 0 {
                bail!("the response ended at byte {place}");
            }
            if !self.film.holds(place, &bytes[..held]) {
                bail!("wrong bytes between {place} and {}", place + held as u64);
            }
            place += held as u64;
            held = 0;
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                serving.process.spent();
            }
        }
        let spent = serving.process.spent();
        let gib = self.payload.gib();
        let mut figures = memory(&spent);
        figures.insert("rate", Some(self.payload.mib() / spent.wall.as_secs_f64()));
        figures.insert("cpu", Some(spent.cpu.as_secs_f64() / gib));
        Ok(figures)
    }

    /// At the film's rate, for `span`.
    fn watch(&self, serving: &mut Serving, span: Duration) -> Result<Figures> {
        let added_at = serving.process.marked_at();
        let mut player = Player::new(added_at);
        let mut response = Response::open(&serving.url, 0)?;
        let mut bytes = vec![0; PLAYER_READ_BYTES];
        let (mut place, mut first_byte) = (0, None);
        let mut looked_at = Instant::now();
        while added_at.elapsed() < span {
            player.advance(Instant::now());
            let most = usize::try_from(player.wants()).map_or(bytes.len(), |wants| wants.min(bytes.len()));
            let count = match most {
                0 => {
                    std::thread::sleep(TICK);
                    0
                }
                most => match response.read(&mut bytes[..most], TICK)? {
                    Some(0) => bail!("the response ended at byte {place}"),
                    count => count.unwrap_or(0),
                },
            };
            if !self.film.holds(place, &bytes[..count]) {
                bail!("wrong bytes between {place} and {}", place + count as u64);
            }
            if count > 0 && first_byte.is_none() {
                first_byte = Some(added_at.elapsed().as_secs_f64());
            }
            place += count as u64;
            player.receive(count as u64, Instant::now());
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                serving.process.spent();
            }
        }
        player.stop(Instant::now());
        let spent = serving.process.spent();
        let mut figures = memory(&spent);
        figures.insert("first_byte", first_byte.map(|seconds| 1000.0 * seconds));
        figures.insert("startup", player.startup.map(|seconds| 1000.0 * seconds));
        figures.insert("stalls", Some(f64::from(player.stalls)));
        figures.insert("cpu", Some(spent.cpu.as_secs_f64() / spent.wall.as_secs_f64()));
        Ok(figures)
    }
}

fn memory(spent: &Spent) -> Figures {
    let mib = |bytes: u64| Some(bytes as f64 / MIB as f64);
    Figures::from([("peak_rss", mib(spent.peak_rss)), ("peak_anon", mib(spent.peak_anon))])
}

/// Reads up to the end of a response's head; how much of the body came with it, at the start of `bytes`.
fn skip_head(socket: &mut TcpStream, bytes: &mut [u8]) -> Result<usize> {
    let mut held = 0;
    loop {
        let count = socket.read(&mut bytes[held..]).context("no answer comes")?;
        held += count;
        if let Some(end) = bytes[..held].windows(4).position(|four| four == b"\r\n\r\n") {
            if !bytes.starts_with(b"HTTP/1.1 20") {
                bail!("the client answers: {}", String::from_utf8_lossy(&bytes[..end]));
            }
            bytes.copy_within(end + 4..held, 0);
            return Ok(held - end - 4);
        }
        if count == 0 {
            bail!("no answer comes");
        }
    }
}

/// A folder for what a client keeps; gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(path: PathBuf) -> Result<Self> {
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

//! What is done with a running client, and the figures of it. All bytes are compared with the film's.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::case::{Figures, median};
use super::client::Running;
use super::film::{BLOCK_BYTES, FILM_BYTES_PER_SECOND, Film, Random};
use super::http::Response;
use super::player::{IN_HAND_BYTES, Player, STEP_BYTES};
use super::scenario::{Course, DYING};
use super::swarm::Swarm;

const MIB: u64 = 1024 * 1024;

const SEEKS: usize = 20;

/// What is watched after a start and after each seek, so that the client is under way when the next one comes.
const WATCH_AFTER_START: Duration = Duration::from_secs(3);
const WATCH_AFTER_SEEK: Duration = Duration::from_secs(1);

/// Who waits longer than this for a picture has gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// After so many seeks that came to nothing, the others aren't waited for.
const NEVERS_MAX: usize = 3;

/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// The longest wait for bytes before the player looks at its clock.
const TICK: Duration = Duration::from_millis(10);

/// How many readers wait for what isn't there.
const WAITING: u64 = 64;

/// Spans of `waiting`: for the client to find its rate, and to measure it.
const SETTLE: Duration = Duration::from_secs(10);
const MEASURE: Duration = Duration::from_secs(15);

/// Runs a course.
pub(crate) fn run(course: Course, running: &Running, swarm: &Swarm, seed: u64) -> Result<Figures> {
    let mut viewer = Viewer { running, swarm, random: Random::new(seed) };
    let mut figures = match course {
        Course::Seeks => viewer.seeks()?,
        Course::Watch { span } => viewer.watch(span, &[0.25, 0.5, 0.75], false)?,
        Course::Deaths { span } => viewer.watch(span, &[], true)?,
        Course::Waiting => viewer.waiting()?,
    };
    figures.insert("sent_again", Some(swarm.ledger.again_share()));
    Ok(figures)
}

struct Viewer<'a> {
    running: &'a Running,
    swarm: &'a Swarm,
    random: Random,
}

impl<'a> Viewer<'a> {
    fn seeks(&mut self) -> Result<Figures> {
        let mut picture = self.open(0)?;
        let start = picture.wait_for([1, IN_HAND_BYTES], self.running.added_at)?;
        start[0].with_context(|| format!("not a byte of the film came within {} s", PATIENCE.as_secs()))?;
        picture.watch(WATCH_AFTER_START)?;
        let (mut first_byte, mut first_mib) = (Vec::new(), Vec::new());
        for _ in 0..SEEKS {
            let film = &self.swarm.film;
            let piece = self.fresh_piece(film.length - 64 * MIB)?;
            let place = piece * film.piece_bytes + self.random.next() % film.piece_bytes;
            let since = Instant::now();
            drop(picture);
            picture = self.open(place)?;
            let [byte, mib] = picture.wait_for([1, MIB], since)?;
            first_byte.push(byte);
            first_mib.push(mib);
            if first_mib.iter().filter(|time| time.is_none()).count() == NEVERS_MAX {
                break;
            }
            picture.watch(WATCH_AFTER_SEEK)?;
        }
        Ok(Figures::from([
            ("start_first_byte", start[0]),
            ("start_in_hand", start[1]),
            ("seek_first_byte_p50", median(&first_byte)),
            ("seek_first_byte_worst", worst(&first_byte)),
            ("seek_first_mib_p50", median(&first_mib)),
        ]))
    }

    /// Watches for `span`, seeks at these parts of it; with `deaths`, a seeder is lost each minute.
    fn watch(&mut self, span: Duration, seeks: &[f64], deaths: bool) -> Result<Figures> {
        let started_at = self.running.added_at;
        let mut player = Player::new(started_at);
        let mut picture = self.open(0)?;
        let mut seeks = seeks.iter().map(|part| started_at + span.mul_f64(*part)).peekable();
        let dying = if deaths { &self.swarm.links[1..=DYING] } else { &[] };
        let mut dying =
            dying.iter().zip((1..).map(|nth| started_at + Duration::from_secs(60) * nth)).peekable();
        let end = started_at + span;
        while Instant::now() < end {
            let now = Instant::now();
            if let Some((link, _)) = dying.next_if(|(_, at)| *at <= now) {
                link.kill();
            }
            if seeks.next_if(|at| *at <= now).is_some() {
                // What is left of the film has to last until the end.
                let left = (end - now).as_secs() * FILM_BYTES_PER_SECOND + 8 * MIB;
                let piece = self.fresh_piece(self.swarm.film.length.saturating_sub(left))?;
                player.seek(Instant::now());
                drop(picture);
                // Two seconds from a piece's start are two pieces, from elsewhere mostly three: as long as the link
                // is this slow, that would be most of the figure.
                picture = self.open(piece * self.swarm.film.piece_bytes)?;
            }
            player.advance(now);
            let bytes = picture.read(player.wants())?;
            player.receive(bytes, Instant::now());
        }
        player.stop(Instant::now());
        Ok(Figures::from([
            ("startup", player.startup),
            ("stalls", Some(f64::from(player.stalls))),
            ("stalled_seconds", Some(player.stalled.as_secs_f64())),
            ("resume_p50", median(&player.resumes)),
            ("resume_worst", worst(&player.resumes)),
        ]))
    }

    fn waiting(&mut self) -> Result<Figures> {
        let film = &self.swarm.film;
        let missing = film.pieces() * 3 / 4;
        let mut picture = self.open(0)?;
        picture.rate(SETTLE)?;
        let alone = picture.rate(MEASURE)?;
        let apart = (film.pieces() - missing) / WAITING;
        let mut others: Vec<Response> = (0..WAITING)
            .map(|nth| Response::open(&self.running.url, (missing + nth * apart) * film.piece_bytes))
            .collect::<Result<_>>()?;
        picture.rate(SETTLE)?;
        let beside = picture.rate(MEASURE)?;
        let waited = others.iter_mut().map(still_waits).filter(|waits| *waits).count();
        let mib = MIB as f64;
        Ok(Figures::from([
            ("waited", Some(waited as f64)),
            ("rate_alone", Some(alone / mib)),
            ("rate_beside", Some(beside / mib)),
            ("rate_kept", Some(beside / alone.max(1.0))),
        ]))
    }

    fn open(&self, place: u64) -> Result<Picture<'a>> {
        let response = Response::open(&self.running.url, place)?;
        Ok(Picture { response, film: &self.swarm.film, place })
    }

    /// A piece before `end` of which the client has nothing, nor of what follows: no seeder has sent any of it.
    fn fresh_piece(&mut self, end: u64) -> Result<u64> {
        let film = &self.swarm.film;
        let ahead = (2 * MIB).div_ceil(film.piece_bytes).max(2);
        let last = (end / film.piece_bytes).min(film.pieces().saturating_sub(ahead)).max(1);
        let mut draws = (0..16 * film.pieces()).map(|_| self.random.next() % last);
        let piece = draws.find(|&piece| self.swarm.ledger.is_fresh(piece..piece + ahead));
        piece.context("the client has something of every place already: the film is too short")
    }
}

/// Whether a response was neither refused nor ended, and has brought nothing.
fn still_waits(response: &mut Response) -> bool {
    matches!(response.read(&mut [0; 1], TICK), Ok(None))
}

/// A response that shows the film from a place on.
struct Picture<'a> {
    response: Response,
    film: &'a Film,
    place: u64,
}

impl Picture<'_> {
    /// Reads on; when so many bytes have come each, in seconds since `since`. Stops waiting after [`PATIENCE`].
    fn wait_for<const N: usize>(&mut self, marks: [u64; N], since: Instant) -> Result<[Option<f64>; N]> {
        let mut times = [None; N];
        let start = self.place;
        let most = marks.into_iter().max().unwrap_or(0);
        while self.place - start < most && since.elapsed() < PATIENCE {
            self.read(start + most - self.place)?;
            for (time, mark) in times.iter_mut().zip(marks) {
                if time.is_none() && self.place - start >= mark {
                    *time = Some(since.elapsed().as_secs_f64());
                }
            }
        }
        Ok(times)
    }

    /// Reads at the film's rate.
    fn watch(&mut self, span: Duration) -> Result<()> {
        let (started_at, start) = (Instant::now(), self.place);
        while started_at.elapsed() < span {
            let played = (started_at.elapsed().as_secs_f64() * FILM_BYTES_PER_SECOND as f64) as u64;
            let due = (start + played).saturating_sub(self.place);
            self.read(if due < STEP_BYTES { 0 } else { due })?;
        }
        Ok(())
    }

    /// Reads as fast as it comes; bytes per second.
    fn rate(&mut self, span: Duration) -> Result<f64> {
        let (started_at, start) = (Instant::now(), self.place);
        while started_at.elapsed() < span {
            self.read(READ_BYTES as u64)?;
        }
        Ok((self.place - start) as f64 / started_at.elapsed().as_secs_f64())
    }

    /// Up to `most` bytes, if there are any within a tick; how many.
    fn read(&mut self, most: u64) -> Result<u64> {
        if most == 0 {
            std::thread::sleep(TICK);
            return Ok(0);
        }
        let mut bytes = [0; READ_BYTES];
        let most = usize::try_from(most).map_or(READ_BYTES, |most| most.min(READ_BYTES));
        let Some(count) = self.response.read(&mut bytes[..most], TICK)? else { return Ok(0) };
        if count == 0 {
            bail!("the response ended at byte {} of the film", self.place);
        }
        if !self.film.holds(self.place, &bytes[..count]) {
            bail!("wrong bytes in block {}", self.place / BLOCK_BYTES);
        }
        self.place += count as u64;
        Ok(count as u64)
    }
}

fn worst(figures: &[Option<f64>]) -> Option<f64> {
    figures.iter().copied().reduce(|worst, figure| Some(worst?.max(figure?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_came_is_the_worst() {
        assert_eq!(worst(&[Some(3.0), None, Some(1.0)]), None);
        assert_eq!(worst(&[Some(1.0), Some(3.0)]), Some(3.0));
    }
}

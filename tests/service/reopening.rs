//! Televisions that open `bytes=N-` every three seconds, hang up and open again: what they are sent beyond what they play is wasted.

use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionread;

use crate::daemon::{Options, Person};
use crate::film::{Film, lasting};
use crate::http::Ask;

/// Bytes per second of the film.
const RATE: usize = 400_000;
/// How long it is watched: 20 openings.
const MINUTE: Duration = Duration::from_secs(60);
const OPEN_AGAIN: Duration = Duration::from_secs(3);
/// Longer than a minute, so that there is always more to send.
const FILM_SECONDS: usize = 150;

/// How a player reads what it is sent.
#[derive(Clone, Copy, Debug)]
enum Appetite {
    /// All it can have.
    Everything,
    /// No more than it plays: the rest stays in the sockets.
    AsItPlays,
}

/// What a minute came to, in bytes.
#[derive(Clone, Copy, Debug)]
struct Minute {
    played: usize,
    /// What came as far as the player's own side of the connections, read or not.
    received: usize,
    openings: usize,
}

/// Watches for a minute, and keeps nothing of what it was sent when it hangs up.
fn watch(url: &str, film: &Film, appetite: Appetite) -> Minute {
    let began = Instant::now();
    let place = |at: Instant| (RATE as f64 * at.duration_since(began).as_secs_f64()) as usize;
    let mut minute = Minute { played: 0, received: 0, openings: 0 };
    let mut buffer = vec![0; 64 * 1024];
    while began.elapsed() < MINUTE {
        let (opened, from) = (Instant::now(), place(Instant::now()));
        let mut answer = Ask::get(url).header("Range", &format!("bytes={from}-")).send();
        assert_eq!(answer.status, 206);
        answer.socket().set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout above zero");
        let mut read = 0;
        while opened.elapsed() < OPEN_AGAIN {
            if matches!(appetite, Appetite::AsItPlays) && from + read > place(Instant::now()) {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            // Nothing for a moment is no error: the daemon paces.
            let Ok(count) = answer.read(&mut buffer) else { continue };
            assert!(count > 0, "the daemon hung up");
            assert!(buffer[..count] == film.bytes()[from + read..from + read + count], "the film differs");
            read += count;
        }
        minute.received += read + answer.buffered() + waiting(answer.socket());
        minute.openings += 1;
    }
    minute.played = place(Instant::now());
    minute
}

/// Bytes that the kernel has for a reader that didn't want them.
fn waiting(socket: &TcpStream) -> usize {
    ioctl_fionread(socket).expect("a socket can be asked") as usize
}

fn costs_little(person: &Person, film: &Film, appetite: Appetite) {
    let url = person.watch(film);
    let minute = watch(&url, film, appetite);
    let sent = person.status(film)["bytesServed"].as_u64().expect("a number") as usize;
    println!(
        "{appetite:?}: {minute:?}, sent {sent}, {:.2} of what was played",
        sent as f64 / minute.played as f64
    );
    assert!(minute.openings > 5, "this was no loop: {minute:?}");
    assert!(minute.received <= sent, "{minute:?}: {sent} is less");
    assert!(sent * 2 <= minute.played * 3, "{appetite:?}: {minute:?}, {sent} bytes were sent");
    // A film that doesn't come would cost nothing.
    assert!(minute.received * 10 >= minute.played * 9, "{appetite:?}: {minute:?}");
}

#[test]
fn a_minute_of_opening_again_every_three_seconds_sends_half_as_much_again_as_is_played_at_most() {
    let film = Film::named("film.mkv", lasting(70, RATE * FILM_SECONDS, FILM_SECONDS as f64));
    let seeder = film.seeder("127.0.11.1");
    let daemon = Options::default().peers(&[&seeder]).start();
    let (anna, bob) = (daemon.viewer("anna"), daemon.viewer("bob"));
    thread::scope(|scope| {
        scope.spawn(|| costs_little(&anna, &film, Appetite::Everything));
        scope.spawn(|| costs_little(&bob, &film, Appetite::AsItPlays));
    });
    daemon.end();
}

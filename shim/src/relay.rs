//! One connection of a link: four threads, a reader and a writer each way.
//!
//! A reader takes bytes when its line and its flow have room and says when they arrive; a writer waits until then.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::flow::Flow;
use crate::link::{Direction, Shared, connect};

/// The longest wait before a thread looks whether its link was killed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Something that arrives.
enum Parcel {
    Bytes(Vec<u8>),
    /// The sender has closed its side.
    End,
}

/// Relays `client` until both sides have closed, one of them broke off, or the link is killed.
pub(crate) fn carry(client: TcpStream, shared: &Shared) {
    // TCP's handshake: a client may send once its SYN was answered.
    if !sleep_until(Instant::now() + 2 * shared.config.delay, shared) {
        return reset(&client);
    }
    let Ok(target) = connect(shared.config.target) else {
        return reset(&client);
    };
    let noted = [&client, &target].map(|socket| shared.note(socket));
    let is_whole = noted.iter().all(Result::is_ok) && relay(&client, &target, shared);
    if !is_whole || shared.is_killed() {
        reset(&client);
        reset(&target);
    }
    drop((client, target));
    for id in noted.into_iter().flatten() {
        shared.forget(id);
    }
}

/// Makes the last close of this socket a reset, and wakes who reads from it.
pub(crate) fn reset(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Read);
}

/// Whether all that was sent arrived.
fn relay(client: &TcpStream, target: &TcpStream, shared: &Shared) -> bool {
    let is_broken = AtomicBool::new(false);
    for socket in [client, target] {
        let _ = socket.set_nodelay(true);
        let _ = socket.set_write_timeout(Some(LOOK_EVERY));
    }
    let config = &shared.config;
    let lane = |direction, from, to, seed| Lane {
        from,
        to,
        direction,
        shared,
        is_broken: &is_broken,
        flow: Mutex::new(Flow::new(config.delay, config.delay, config.loss, seed)),
        moved: Condvar::new(),
    };
    // Each direction and connection loses packets of its own.
    let seed = config.seed ^ client.peer_addr().map_or(0, |address| u64::from(address.port()) << 32);
    let up = lane(&shared.up, client, target, seed);
    let down = lane(&shared.down, target, client, !seed);
    thread::scope(|scope| {
        for lane in [&up, &down] {
            let (parcels, arriving) = mpsc::channel();
            scope.spawn(move || lane.read(&parcels));
            scope.spawn(move || lane.write(&arriving));
        }
    });
    !is_broken.load(Ordering::SeqCst)
}

/// One direction of a connection.
struct Lane<'a> {
    from: &'a TcpStream,
    to: &'a TcpStream,
    direction: &'a Direction,
    shared: &'a Shared,
    /// One side is gone, and so the whole connection.
    is_broken: &'a AtomicBool,
    flow: Mutex<Flow>,
    /// The flow has heard of a delivery.
    moved: Condvar,
}

impl Lane<'_> {
    /// Takes what the sender has. What is in `parcels` is bounded by what the flow lets be under way.
    fn read(&self, parcels: &Sender<(Instant, Parcel)>) {
        let mut from = self.from;
        while let Some(room) = self.wait_for_room() {
            let mut bytes = vec![0; room];
            let count = match from.read(&mut bytes) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return self.break_off(),
            };
            bytes.truncate(count);
            let left_at = self.direction.line().send(count as u64, Instant::now());
            let arrives = self.flow().send(count as u64, left_at);
            let parcel = if count == 0 { Parcel::End } else { Parcel::Bytes(bytes) };
            if parcels.send((arrives, parcel)).is_err() || count == 0 {
                return;
            }
        }
    }

    /// Hands over what has arrived.
    fn write(&self, arriving: &Receiver<(Instant, Parcel)>) {
        for (arrives, parcel) in arriving {
            if !sleep_until(arrives, self.shared) {
                return;
            }
            let Parcel::Bytes(bytes) = parcel else {
                let _ = self.to.shutdown(Shutdown::Write);
                return;
            };
            if self.write_all(&bytes).is_err() {
                return self.break_off();
            }
            self.direction.carried_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.flow().delivered(bytes.len() as u64, Instant::now());
            self.moved.notify_one();
        }
    }

    /// Writes for as long as it takes, unless the link is killed meanwhile.
    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut to = self.to;
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(error) if is_passing(&error) && !self.shared.is_killed() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes that may be read now, once there are any; nothing when the link was killed or the receiver is gone.
    fn wait_for_room(&self) -> Option<usize> {
        loop {
            if self.shared.is_killed() || self.is_broken.load(Ordering::SeqCst) {
                return None;
            }
            let (opens_at, quantum, flight) = {
                let line = self.direction.line();
                (line.opens_at(), line.quantum(), line.flight_bytes_max(2 * self.shared.config.delay))
            };
            let now = Instant::now();
            if opens_at > now {
                thread::sleep((opens_at - now).min(LOOK_EVERY));
                continue;
            }
            let mut flow = self.flow();
            let room = flow.room(flight, now).min(quantum);
            if room > 0 {
                return usize::try_from(room).ok();
            }
            let wait = flow.next_ack().map_or(LOOK_EVERY, |at| at.saturating_duration_since(now));
            let _ = self.moved.wait_timeout(flow, wait.min(LOOK_EVERY));
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One side is gone: the other hears of it by a reset.
    fn break_off(&self) {
        self.is_broken.store(true, Ordering::SeqCst);
        reset(self.from);
        reset(self.to);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Sleeps; false when the link was killed meanwhile.
fn sleep_until(moment: Instant, shared: &Shared) -> bool {
    loop {
        if shared.is_killed() {
            return false;
        }
        let left = moment.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}

//! A link: the task of one peer. It owns the socket and the [`Connection`], and contains no rule of its own.
//!
//! Bytes from the socket go to the connection and the store, the connection's events go to the torrent in
//! batches, the torrent's commands go to the connection, and what the connection has to say goes to the socket.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use afflux_peer::{CloseReason, Command, Connection, Event, Severity};
use afflux_swarm::{Gauges, Parting, PeerKey};
use bytes::Bytes;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tracing::debug;

use super::rates::{Allowance, PeerRates};
use super::receive::{Outcome, ReceiveError, Receiver, Turn};
use super::serve::Uploads;
use super::slots::Slot;
use super::torrent::{Input, LinkReport, Ready};

/// Batches of commands that wait for a link. A link that lets so many lie doesn't run any more; the torrent
/// keeps what doesn't fit until the next turn.
pub(super) const COMMAND_BATCHES_MAX: usize = 32;
/// Read at most this much before others have their turn.
const READ_BYTES_PER_TURN: usize = 1024 * 1024;
/// Slices of one write: requests in one, then header and payload of each block.
const WRITE_SLICES_MAX: usize = 64;
/// A link with nothing due looks at the clock this often.
const IDLE: Duration = Duration::from_secs(60);

/// What a torrent says to a link.
#[derive(Clone, Debug)]
pub(super) enum ToLink {
    /// For the connection, in order.
    Commands(Vec<Command>),
    /// The metadata is known now: it is served, though storage may still be opened or checked.
    Metadata(Bytes),
    /// Storage is there: pieces may be told and transferred.
    Ready(Arc<Ready>),
}

/// One peer's task.
pub(super) struct Link {
    pub(super) peer: PeerKey,
    pub(super) stream: TcpStream,
    pub(super) connection: Connection,
    pub(super) ready: Option<Arc<Ready>>,
    pub(super) commands: mpsc::Receiver<ToLink>,
    pub(super) torrent: mpsc::Sender<Input>,
    pub(super) rates: PeerRates,
    /// Held as long as the connection lives.
    pub(super) _slot: Slot,
}

/// The link while it runs.
struct Running {
    link: Link,
    receiver: Receiver,
    events: Vec<Event>,
    uploads: Uploads,
    /// The rate allows no reading until then.
    read_at: Option<Instant>,
    /// The connection takes no more bytes until some of ours have left.
    held: bool,
    /// The torrent doesn't know yet how many requests the connection wants.
    unreported: bool,
    /// How many cancelled blocks the torrent believes to be on their way.
    told_lingering: u32,
    /// Control bytes sent that are debited from the upload rate already.
    control_debited: u64,
}

/// Runs a link to its end and tells the torrent about it.
pub(super) async fn run(link: Link) {
    let (peer, torrent) = (link.peer, link.torrent.clone());
    let mut running = Running {
        link,
        receiver: Receiver::default(),
        events: Vec::new(),
        uploads: Uploads::new(),
        read_at: None,
        held: false,
        unreported: true,
        told_lingering: 0,
        control_debited: 0,
    };
    let parting = running.converse().await;
    let store = running.link.ready.as_ref().map(|ready| &ready.store);
    running.receiver.release(store);
    // What came before the end counts: the store has those blocks, so the torrent must know of them and of who sent them.
    let _ = running.report(Instant::now()).await;
    let copied_bytes = running.receiver.copied_bytes;
    drop(running);
    // A torrent that is gone needs no goodbye.
    let _ = torrent.send(Input::Parted { peer, parting, copied_bytes }).await;
}

impl Running {
    async fn converse(&mut self) -> Parting {
        let mut timer = std::pin::pin!(tokio::time::sleep(IDLE));
        loop {
            let now = Instant::now();
            if let Err(parting) = self.step(now).await {
                return parting;
            }
            arm(timer.as_mut(), self.deadline(now));
            let interest = self.interest();
            tokio::select! {
                message = self.link.commands.recv() => {
                    if let Err(parting) = self.obey(message) {
                        return parting;
                    }
                }
                answer = self.uploads.answered() => {
                    self.uploads.handle_answer(&mut self.link.connection, answer, Instant::now());
                }
                ready = readiness(&self.link.stream, interest) => {
                    let read = match ready {
                        Ok(ready) if ready.is_readable() || ready.is_read_closed() => self.read(Instant::now()),
                        Ok(_) => Ok(()),
                        Err(error) => Err(self.failed(&error)),
                    };
                    if let Err(parting) = read {
                        return parting;
                    }
                }
                () = self.link.rates.woken() => {
                    self.read_at = self.read_at.map(|at| at.min(now));
                    self.uploads.wake(now);
                }
                () = timer.as_mut() => {
                    let now = Instant::now();
                    self.link.connection.handle_timeout(now);
                    self.unreported = true;
                }
            }
        }
    }

    /// What is to be done after whatever happened: serve, write, report.
    async fn step(&mut self, now: Instant) -> Result<(), Parting> {
        self.resume_reading(now);
        let Link { connection, rates, ready, .. } = &mut self.link;
        self.uploads.serve(connection, rates, ready.as_ref().map(|ready| &ready.store), now);
        self.write(now).map_err(|error| self.failed(&error))?;
        while let Some(event) = self.link.connection.poll_output() {
            self.events.push(event);
        }
        if self.events.contains(&Event::Snubbed) {
            // Others will be asked for the block that it stopped in: they need its place.
            self.receiver.release(self.link.ready.as_ref().map(|ready| &ready.store));
        }
        let closed = self.events.iter().find_map(|event| match event {
            Event::Closed(reason) => Some(*reason),
            _ => None,
        });
        self.report(now).await?;
        match closed {
            Some(CloseReason::Silent | CloseReason::TransmitStalled | CloseReason::PayloadStalled) => {
                Err(Parting::TimedOut)
            }
            None => Ok(()),
        }
    }

    async fn report(&mut self, now: Instant) -> Result<(), Parting> {
        let lingering = self.link.connection.lingering();
        if self.events.is_empty() && !self.unreported && lingering == self.told_lingering {
            return Ok(());
        }
        (self.unreported, self.told_lingering) = (false, lingering);
        let report = LinkReport {
            gauges: Gauges::of(&self.link.connection, now),
            totals: self.link.connection.facts(now).totals,
            events: std::mem::take(&mut self.events),
            kept: std::mem::take(&mut self.receiver.kept),
        };
        let input = Input::Reported { peer: self.link.peer, report };
        self.link.torrent.send(input).await.map_err(|_| Parting::Closed)
    }

    fn obey(&mut self, message: Option<ToLink>) -> Result<(), Parting> {
        let now = Instant::now();
        match message {
            Some(ToLink::Commands(commands)) => {
                for command in commands {
                    // These change how many requests the connection wants, and nothing else would tell.
                    self.unreported |= matches!(command, Command::Cancel(_) | Command::ReaderWaiting(_));
                    self.link.connection.handle_command(command, now);
                }
            }
            Some(ToLink::Metadata(info)) => self.link.connection.set_metadata(info),
            Some(ToLink::Ready(ready)) => {
                let learnt = self.link.connection.learn_layout(Arc::clone(&ready.layout), now);
                self.link.ready = Some(ready);
                learnt.map_err(|violation| self.violated(violation))?;
                self.unreported = true;
            }
            None => return Err(Parting::Closed),
        }
        Ok(())
    }

    fn read(&mut self, now: Instant) -> Result<(), Parting> {
        let outcome = self.read_what_is_there(now);
        self.receiver.rest(self.link.ready.as_ref().map(|ready| &ready.store));
        outcome
    }

    fn read_what_is_there(&mut self, now: Instant) -> Result<(), Parting> {
        let mut budget = READ_BYTES_PER_TURN;
        while budget > 0 {
            let allowance = match self.link.rates.download(budget, now) {
                Allowance::Bytes(bytes) => bytes,
                Allowance::Later(at) => {
                    self.link.connection.set_reading(false, now);
                    self.read_at = Some(at);
                    return Ok(());
                }
            };
            let mut turn = Turn {
                stream: &self.link.stream,
                connection: &mut self.link.connection,
                store: self.link.ready.as_ref().map(|ready| &ready.store),
                events: &mut self.events,
                now,
            };
            let outcome = self.receiver.receive(&mut turn, allowance);
            let bytes = if let Ok(Outcome::Bytes(bytes)) = outcome { bytes } else { 0 };
            self.link.rates.downloaded(allowance, bytes, now);
            match outcome {
                Ok(Outcome::Bytes(bytes)) => budget = budget.saturating_sub(bytes),
                Ok(Outcome::Empty) => return Ok(()),
                Ok(Outcome::Held) => {
                    self.held = true;
                    return Ok(());
                }
                Ok(Outcome::End) => return Err(Parting::Closed),
                Err(ReceiveError::Io(error)) => return Err(self.failed(&error)),
                Err(ReceiveError::Violation(violation)) => return Err(self.violated(violation)),
            }
        }
        Ok(())
    }

    fn resume_reading(&mut self, now: Instant) {
        if self.read_at.is_some_and(|at| at <= now) {
            self.read_at = None;
            self.link.connection.set_reading(true, now);
        }
    }

    /// Writes what the socket takes.
    fn write(&mut self, now: Instant) -> io::Result<()> {
        loop {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let count = self.link.connection.transmit_slices(&mut slices);
            if count == 0 {
                self.held = false;
                return Ok(());
            }
            match self.link.stream.try_write_vectored(&slices[..count]) {
                Ok(length) => {
                    self.held = false;
                    self.link.connection.transmitted(length, now);
                    self.debit_control(now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn debit_control(&mut self, now: Instant) {
        let sent = self.link.connection.facts(now).totals.control_sent;
        self.link.rates.debit_upload((sent - self.control_debited) as usize, now);
        self.control_debited = sent;
    }

    fn deadline(&self, now: Instant) -> Instant {
        let due = [self.link.connection.deadline(), self.read_at, self.uploads.deadline()];
        due.into_iter().flatten().min().unwrap_or(now + IDLE)
    }

    fn interest(&self) -> Option<Interest> {
        let read = self.read_at.is_none() && !self.held;
        let connection = &self.link.connection;
        let write = connection.pending_bytes() > 0 || self.uploads.is_due(connection);
        match (read, write) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        }
    }

    fn failed(&self, error: &io::Error) -> Parting {
        debug!(peer = ?self.link.peer, %error, "the connection failed");
        Parting::Closed
    }

    fn violated(&self, violation: afflux_peer::Violation) -> Parting {
        debug!(peer = ?self.link.peer, %violation, "the peer broke a rule");
        Parting::Violation { ban: violation.severity() == Severity::Ban }
    }
}

/// Waits until the socket is ready for what is of interest; for nothing, for ever.
async fn readiness(stream: &TcpStream, interest: Option<Interest>) -> io::Result<tokio::io::Ready> {
    match interest {
        Some(interest) => stream.ready(interest).await,
        None => std::future::pending().await,
    }
}

/// Sets a timer, unless it rings before that anyway: most deadlines move into the future with each message.
fn arm(timer: std::pin::Pin<&mut Sleep>, deadline: Instant) {
    let deadline = tokio::time::Instant::from_std(deadline);
    if timer.is_elapsed() || deadline < timer.deadline() {
        timer.reset(deadline);
    }
}

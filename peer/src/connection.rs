//! The conversation with one remote peer, from both handshakes to the end.
//!
//! [`Connection`] owns all state; its parts lie in modules of their own. Here: what others call, and the
//! timers. In `incoming`: what each message of the peer does. In `orders`: what each command does.
//!
//! # Driving it
//! After any input, poll events until there are none, send what waits, serve uploads, and sleep until the
//! deadline:
//!
//! 1. read as [`Connection::expects`] says: messages to [`Connection::handle_control`]; payload straight to
//!    where it belongs, then [`Connection::handle_payload`]. [`Connection::predicted`] names the blocks
//!    behind, so that one vectored read can fill several of them;
//! 2. [`Connection::poll_output`] until `None`;
//! 3. [`Connection::next_upload`] until `None`; each is answered, now or later, by
//!    [`Connection::send_block`] or [`Connection::refuse_upload`];
//! 4. [`Connection::transmit_slices`], write, [`Connection::transmitted`];
//! 5. at [`Connection::deadline`]: [`Connection::handle_timeout`].
//!
//! A [`Violation`] or [`Event::Closed`] ends it: then nothing is taken any more, and nothing more comes out.

mod exchange;
mod facts;
mod incoming;
mod orders;
mod pieces;
mod receive;
mod requests;
mod timers;
mod transmit;
mod uploads;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use std::collections::VecDeque;

use afflux_metainfo::{Bitfield, BlockRef, InfoHash, Layout, PieceIndex};
use bytes::Bytes;

pub use self::facts::{Config, Direction, Expect, Facts, Totals};

use self::exchange::Exchange;
use self::pieces::Pieces;
use self::receive::Receive;
use self::requests::Requests;
use self::timers::{Timer, Timers};
use self::transmit::Transmit;
use self::uploads::Uploads;
use crate::command::Command;
use crate::event::{CloseReason, Event};
use crate::extension::{ExtensionHandshake, HANDSHAKE_ID, OUR_LT_DONTHAVE, OUR_UT_METADATA};
use crate::handshake::{Handshake, Reserved};
use crate::limits::{
    ANSWERS_WAITING_BYTES_MAX, EVENTS_WAITING_MAX, FLIP_FORGIVEN, FLIPS_BURST_MAX, KEEP_ALIVE,
    KEEP_ALIVE_SPREAD, PEER_REQQ_DEFAULT, PEER_SILENT_MAX, TRANSMIT_STALL_MAX, WATERMARK_BYTES_MAX,
    WATERMARK_BYTES_MIN,
};
use crate::meter::Meter;
use crate::pipeline::Pipeline;
use crate::violation::Violation;
use crate::wire::{Decoded, Message, PIECE, PIECE_HEADER_LENGTH, decode};

/// One conversation.
///
/// Choke and interest are four booleans, as BEP 3 has them. Requests live here:
///
/// ```text
///  Request -> outstanding --header--> arriving --last byte--> BlockReceived
///                 | cancel, lapse, choke without BEP 6, lost piece
///                 v
///             withdrawn --block--> thrown away (waste)
///                       --reject-> forgotten
/// ```
#[derive(Debug)]
pub struct Connection {
    config: Config,
    info_hash: InfoHash,
    remote: Reserved,
    layout: Option<Arc<Layout>>,
    am_choking: bool,
    am_interested: bool,
    peer_choking: bool,
    peer_interested: bool,
    /// What the peer was told that we have.
    told: Option<Bitfield>,
    /// The size of the metadata that the peer was told.
    told_metadata_size: Option<u32>,
    /// We have offered our allowed-fast set.
    allowed_fast_given: bool,
    /// What the peer has allowed us while choked.
    allowed_fast: Vec<PieceIndex>,
    extensions: ExtensionHandshake,
    extension_handshakes: u32,
    pieces: Pieces,
    requests: Requests,
    uploads: Uploads,
    exchange: Exchange,
    receive: Receive,
    transmit: Transmit,
    pipeline: Pipeline,
    download: Meter,
    upload: Meter,
    totals: Totals,
    flips: Flips,
    unknown_bytes: u64,
    timers: Timers,
    keep_alive: Duration,
    /// The driver reads what comes.
    reading: bool,
    /// When the peer last did something for us while it owed us blocks.
    progress_at: Instant,
    events: VecDeque<Event>,
    closed: bool,
}

impl Connection {
    /// A conversation whose handshakes are both done; queues our extension handshake.
    ///
    /// Without a `layout` (metadata still unknown) what the peer has is kept until [`Self::learn_layout`].
    /// `metadata_size` is told to the peer (BEP 9); the dictionary itself comes by [`Self::set_metadata`].
    pub fn new(
        config: Config,
        remote: &Handshake,
        layout: Option<Arc<Layout>>,
        metadata_size: Option<u32>,
        seed: u64,
        now: Instant,
    ) -> Self {
        let spread_ms = KEEP_ALIVE_SPREAD.as_millis() as u64;
        let mut connection = Self {
            info_hash: remote.info_hash,
            remote: remote.reserved,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            told: None,
            told_metadata_size: metadata_size,
            allowed_fast_given: false,
            allowed_fast: Vec::new(),
            extensions: ExtensionHandshake::default(),
            extension_handshakes: 0,
            pieces: Pieces::new(layout.as_ref().map(|layout| layout.piece_count())),
            requests: Requests::default(),
            uploads: Uploads::new(config.reqq),
            exchange: Exchange::default(),
            receive: Receive::default(),
            transmit: Transmit::default(),
            pipeline: Pipeline::new(),
            download: Meter::new(now),
            upload: Meter::new(now),
            totals: Totals::default(),
            flips: Flips { left: FLIPS_BURST_MAX, since: now },
            unknown_bytes: 0,
            timers: Timers::default(),
            keep_alive: KEEP_ALIVE - Duration::from_millis(seed % spread_ms),
            reading: true,
            progress_at: now,
            events: VecDeque::new(),
            closed: false,
            layout,
            config,
        };
        connection.push_handshake(connection.config.upload_only.then_some(true));
        connection.timers.set(Timer::KeepAlive, Some(now + connection.keep_alive));
        connection.hear(now);
        connection.settle(now);
        connection
    }

    /// Takes messages; returns how many bytes were taken. It stops at the start of a payload and when
    /// [`Self::expects`] turns to [`Expect::Hold`]; what isn't taken must be given again.
    pub fn handle_control(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Violation> {
        let mut taken = 0;
        while taken < bytes.len() && self.expects() == Expect::Control {
            match self.handle_bytes(&bytes[taken..], now) {
                Ok(step) => taken += step,
                Err(violation) => {
                    self.close();
                    return Err(violation);
                }
            }
        }
        self.totals.control_received += taken as u64;
        if taken > 0 {
            self.hear(now);
        }
        self.settle(now);
        Ok(taken)
    }

    /// `length` bytes of the current payload were stored, or thrown away.
    pub fn handle_payload(&mut self, length: u32, now: Instant) {
        let Some(incoming) = &mut self.receive.incoming else { return };
        let length = length.min(incoming.block.length - incoming.received);
        incoming.received += length;
        let (incoming, whole) = (*incoming, incoming.received == incoming.block.length);
        if incoming.asked.is_some() {
            self.totals.payload_received += u64::from(length);
            self.download.count(u64::from(length), now);
            self.pipeline.handle_bytes(length, now);
        } else {
            self.totals.wasted += u64::from(length);
            // It took its time of what else is outstanding, so it counts for what the peer can send.
            if incoming.solicited && !self.requests.is_empty() {
                self.pipeline.handle_bytes(length, now);
            }
        }
        self.progress_at = now;
        if whole {
            self.receive.incoming = None;
            if let Some(asked) = incoming.asked {
                let elapsed = now.saturating_duration_since(asked.at);
                self.pipeline.handle_block(elapsed);
                self.note_idle(now);
                self.events.push_back(Event::BlockReceived { block: asked.block, elapsed });
            }
        }
        self.hear(now);
        self.settle(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        for timer in Timer::ALL {
            if self.timers.take_due(timer, now) {
                self.handle_timer(timer, now);
            }
        }
        self.settle(now);
    }

    /// Does what the torrent says.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        if !self.closed {
            self.obey(command, now);
            self.settle(now);
        }
    }

    /// The metadata is known: what the peer has is validated and told.
    pub fn learn_layout(&mut self, layout: Arc<Layout>, now: Instant) -> Result<(), Violation> {
        if self.layout.is_some() || self.closed {
            return Ok(());
        }
        let count = layout.piece_count();
        self.told = self.told.take().map(|_| Bitfield::new(count));
        self.layout = Some(layout);
        match self.pieces.learn_count(count) {
            Ok(event) => self.events.extend(event),
            Err(violation) => {
                self.close();
                return Err(violation);
            }
        }
        self.allowed_fast.retain(|piece| piece.0 < count);
        self.events.extend(self.allowed_fast.iter().map(|&piece| Event::AllowedFast(piece)));
        self.settle(now);
        Ok(())
    }

    /// The raw info dictionary, to be served from now on (BEP 9); the peer is told its size if it wasn't.
    pub fn set_metadata(&mut self, info: Bytes) {
        let size = u32::try_from(info.len()).ok();
        self.exchange.set_info(info);
        if self.told_metadata_size.is_none() && self.remote.extensions() && !self.closed {
            self.told_metadata_size = size;
            self.push_extended(
                HANDSHAKE_ID,
                &ExtensionHandshake { metadata_size: size, ..Default::default() }.encode(),
            );
        }
    }

    /// Stops or starts the clocks of the receive side: the driver doesn't read, for reasons of its own, and
    /// so the peer isn't to blame that nothing comes.
    pub fn set_reading(&mut self, reading: bool, now: Instant) {
        self.reading = reading;
        self.progress_at = now;
        self.hear(now);
        self.settle(now);
    }

    /// The next thing that happened.
    pub fn poll_output(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// `length` bytes of what [`Self::transmit_slices`] gave have left.
    pub fn transmitted(&mut self, length: usize, now: Instant) {
        if length == 0 {
            return;
        }
        let Self { transmit, events, uploads, .. } = self;
        let left = transmit.advance(length, |block| {
            uploads.handle_sent();
            events.push_back(Event::BlockSent { block });
        });
        self.totals.control_sent += left.control;
        self.totals.payload_sent += left.payload;
        self.upload.count(left.payload, now);
        self.timers.set(Timer::KeepAlive, Some(now + self.keep_alive));
        self.timers.set(Timer::TransmitStalled, None);
        self.settle(now);
    }

    /// The next request to serve, while what is read and waits to be sent is below the watermark. Answer
    /// each with [`Self::send_block`] or [`Self::refuse_upload`].
    pub fn next_upload(&mut self) -> Option<BlockRef> {
        if self.closed { None } else { self.uploads.next(self.upload_room()) }
    }

    /// Whether [`Self::next_upload`] has something now.
    pub fn is_upload_due(&self) -> bool {
        !self.closed && self.uploads.has_next(self.upload_room())
    }

    /// Half a second of what the peer takes: enough to keep the socket busy, and no memory for those who don't read.
    fn upload_room(&self) -> usize {
        let half = u32::try_from(self.upload.latest() / 2).unwrap_or(u32::MAX);
        let watermark = half.clamp(WATERMARK_BYTES_MIN, WATERMARK_BYTES_MAX) as usize;
        watermark.saturating_sub(self.transmit.payload_bytes())
    }

    /// Sends a block that [`Self::next_upload`] gave out. Dropped if the peer no longer waits for it:
    /// cancelled, or choked. Payload that isn't exactly as long as the block is as good as none: the
    /// request is refused.
    pub fn send_block(&mut self, block: BlockRef, payload: impl IntoIterator<Item = Bytes>, now: Instant) {
        if !self.closed && self.uploads.take_reading(&block) && !self.transmit.push_block(block, payload) {
            self.reject(block);
        }
        self.settle(now);
    }

    /// Declines a block that [`Self::next_upload`] gave out: rejected with BEP 6, else silently dropped.
    pub fn refuse_upload(&mut self, block: BlockRef, now: Instant) {
        if self.uploads.take_reading(&block) {
            self.reject(block);
        }
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        if self.closed { None } else { self.timers.earliest() }
    }

    /// What the next bytes are.
    #[inline]
    pub fn expects(&self) -> Expect {
        if self.closed {
            return Expect::Hold;
        }
        if let Some(incoming) = &self.receive.incoming {
            let wanted = incoming.asked.is_some();
            return Expect::Payload { block: incoming.block, received: incoming.received, wanted };
        }
        let crowded = self.events.len() >= EVENTS_WAITING_MAX
            || self.transmit.answer_bytes() >= ANSWERS_WAITING_BYTES_MAX;
        if crowded { Expect::Hold } else { Expect::Control }
    }

    /// Bytes still missing of the header in front of the next payload, if what comes after the current
    /// payload can be a `piece`; for vectored reads of header and payload in one.
    pub fn header_bytes_left(&self) -> Option<usize> {
        let partial = &self.receive.partial;
        let possible = self.receive.skip == 0
            && partial.len() < PIECE_HEADER_LENGTH
            && partial.get(4).is_none_or(|&id| id == PIECE);
        possible.then(|| PIECE_HEADER_LENGTH - partial.len())
    }

    /// Blocks that will probably come next, after the current one: our requests, in order.
    pub fn predicted(&self) -> impl Iterator<Item = BlockRef> + '_ {
        self.requests.iter()
    }

    /// Fills `slices` with what is to be sent, in order; returns how many were filled.
    pub fn transmit_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.transmit.slices(slices)
    }

    /// Bytes that wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        self.transmit.pending_bytes()
    }

    /// Requests of the peer that wait to be served.
    pub fn uploads_waiting(&self) -> usize {
        self.uploads.len()
    }

    /// How many more requests the pipeline wants now. While choked they may only be for allowed-fast pieces.
    pub fn room(&self) -> u32 {
        if self.closed || self.layout.is_none() || (self.peer_choking && self.allowed_fast.is_empty()) {
            return 0;
        }
        self.pipeline.depth().saturating_sub(self.outstanding())
    }

    /// Requests whose block isn't whole yet.
    #[inline]
    pub fn outstanding(&self) -> u32 {
        let arriving = self.receive.incoming.is_some_and(|incoming| incoming.asked.is_some());
        self.requests.len() as u32 + u32::from(arriving)
    }

    /// Cancelled requests whose blocks will probably still come, before those of later ones.
    pub fn lingering(&self) -> u32 {
        let arriving = self
            .receive
            .incoming
            .is_some_and(|incoming| incoming.solicited && (incoming.asked.is_none() || incoming.called_off));
        self.requests.lingering() as u32 + u32::from(arriving)
    }

    /// Whether a block of this piece may be asked now: not choked, or allowed fast (BEP 6).
    pub fn may_request(&self, piece: PieceIndex) -> bool {
        !self.peer_choking || self.allowed_fast.contains(&piece)
    }

    /// What the peer's extension handshakes have said so far (BEP 10).
    pub fn extensions(&self) -> &ExtensionHandshake {
        &self.extensions
    }

    /// What is known of the peer.
    pub fn facts(&self, now: Instant) -> Facts<'_> {
        Facts {
            am_choking: self.am_choking,
            am_interested: self.am_interested,
            peer_choking: self.peer_choking,
            peer_interested: self.peer_interested,
            supports_fast: self.remote.fast(),
            supports_extensions: self.remote.extensions(),
            reqq: self.extensions.reqq.unwrap_or(PEER_REQQ_DEFAULT),
            client: self.extensions.client.as_deref(),
            upload_only: self.extensions.upload_only.unwrap_or(false),
            round_trip: self.pipeline.round_trip(),
            delivery_rate: self.pipeline.usual_rate().unwrap_or(0),
            download_rate: self.download.per_second(now),
            upload_rate: self.upload.per_second(now),
            outstanding: self.outstanding(),
            lingering: self.lingering(),
            snubbed: self.pipeline.snubbed(),
            totals: self.totals,
        }
    }

    /// One step through what came; returns how many bytes it took.
    fn handle_bytes(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Violation> {
        if self.receive.skip > 0 {
            return Ok(self.receive.pass_over(bytes.len()));
        }
        let bitfield_bytes = self.pieces.bitfield_bytes();
        if self.receive.partial.is_empty() {
            return match decode(bytes, bitfield_bytes)? {
                Decoded::Message(message, length) => self.handle_message(message, now).map(|()| length),
                Decoded::Needs(_) => Ok(self.receive.gather(bytes, bytes.len())),
            };
        }
        let wanted = match decode(&self.receive.partial, bitfield_bytes)? {
            Decoded::Needs(wanted) => wanted,
            Decoded::Message(_, length) => length,
        };
        let taken = self.receive.gather(bytes, wanted);
        let gathered = std::mem::take(&mut self.receive.partial);
        match decode(&gathered, bitfield_bytes)? {
            Decoded::Needs(_) => self.receive.partial = gathered,
            Decoded::Message(message, _) => {
                self.handle_message(message, now)?;
                self.receive.reuse(gathered);
            }
        }
        Ok(taken)
    }

    fn handle_timer(&mut self, timer: Timer, now: Instant) {
        match timer {
            Timer::KeepAlive => {
                if self.transmit.pending_bytes() == 0 {
                    self.transmit.push(&Message::KeepAlive);
                }
                self.timers.set(Timer::KeepAlive, Some(now + self.keep_alive));
            }
            Timer::Silent => self.end(CloseReason::Silent),
            Timer::TransmitStalled => self.end(CloseReason::TransmitStalled),
            Timer::Late => {
                self.pipeline.snub();
                self.events.push_back(Event::Snubbed);
            }
            Timer::Lapse => self.lapse(now),
            Timer::Disinterest => {
                self.am_interested = false;
                self.transmit.push(&Message::NotInterested);
            }
            Timer::Metadata => {
                while let Some(piece) = self.exchange.take_overdue(now) {
                    self.events.push_back(Event::MetadataRejected { piece });
                }
            }
        }
    }

    /// Nothing came for the whole peer timeout: what was asked is for others to send.
    fn lapse(&mut self, now: Instant) {
        if self.receive.incoming.is_some() {
            return self.end(CloseReason::PayloadStalled);
        }
        if !self.pipeline.snubbed() {
            self.pipeline.snub();
            self.events.push_back(Event::Snubbed);
        }
        while let Some(block) = self.requests.withdraw_oldest() {
            self.transmit.push(&Message::Cancel(block));
            self.events.push_back(Event::RequestLapsed(block));
        }
        self.note_idle(now);
    }

    /// Sets the timers that follow from the state, after anything that may have changed it.
    fn settle(&mut self, now: Instant) {
        let stalled = match self.timers.get(Timer::TransmitStalled) {
            _ if self.transmit.pending_bytes() == 0 => None,
            None => Some(now + TRANSMIT_STALL_MAX),
            running => running,
        };
        self.timers.set(Timer::TransmitStalled, stalled);
        let owes = self.reading && (self.receive.incoming.is_some() || !self.requests.is_empty());
        let (mut late, mut lapse) = (None, None);
        if owes {
            lapse = Some(self.progress_at + self.config.peer_timeout);
            // A peer that chokes us owes an answer, but not soon.
            if !self.pipeline.snubbed() && !self.peer_choking {
                late = Some(self.progress_at + self.pipeline.late_after(self.config.peer_timeout));
            }
        }
        self.timers.set(Timer::Late, late);
        self.timers.set(Timer::Lapse, lapse);
        self.timers.set(Timer::Metadata, self.exchange.due().filter(|_| self.reading));
    }

    /// The peer lives.
    #[inline]
    fn hear(&mut self, now: Instant) {
        self.timers.set(Timer::Silent, self.reading.then(|| now + PEER_SILENT_MAX));
    }

    /// Tells the pipeline if nothing is outstanding any more.
    #[inline]
    fn note_idle(&mut self, now: Instant) {
        if self.outstanding() == 0 {
            self.pipeline.handle_idle(now);
        }
    }

    /// Tells the peer that a request of its won't be served; without BEP 6 there are no words for it.
    fn reject(&mut self, block: BlockRef) {
        if self.remote.fast() {
            self.transmit.push(&Message::Reject(block));
        }
    }

    fn push_extended(&mut self, id: u8, payload: &[u8]) {
        self.transmit.push(&Message::Extended { id, payload });
    }

    fn push_handshake(&mut self, upload_only: Option<bool>) {
        if !self.remote.extensions() {
            return;
        }
        let config = &self.config;
        let handshake = ExtensionHandshake {
            client: Some(config.client.clone()),
            reqq: Some(config.reqq),
            metadata_size: self.told_metadata_size,
            // Who dialled us knows our port (BEP 10).
            listen_port: config.listen_port.filter(|_| config.direction == Direction::Outgoing),
            upload_only,
            your_ip: Some(config.remote.ip().to_canonical()),
            ut_metadata: Some(OUR_UT_METADATA),
            lt_donthave: Some(OUR_LT_DONTHAVE),
        };
        self.push_extended(HANDSHAKE_ID, &handshake.encode());
    }

    fn end(&mut self, reason: CloseReason) {
        if !self.closed {
            self.events.push_back(Event::Closed(reason));
            self.close();
        }
    }

    fn close(&mut self) {
        self.closed = true;
    }
}

/// How often choke and interest may still change: a burst, refilled with time.
#[derive(Debug)]
struct Flips {
    left: u32,
    since: Instant,
}

impl Flips {
    fn spend(&mut self, now: Instant) -> Result<(), Violation> {
        let forgiven = now.saturating_duration_since(self.since).as_millis() / FLIP_FORGIVEN.as_millis();
        if forgiven > 0 {
            self.left = self
                .left
                .saturating_add(forgiven.min(u128::from(FLIPS_BURST_MAX)) as u32)
                .min(FLIPS_BURST_MAX);
            self.since = now;
        }
        self.left = self.left.checked_sub(1).ok_or(Violation::Flapping)?;
        Ok(())
    }
}

//! What each message of the peer does.

use std::time::Instant;

use afflux_metainfo::{BLOCK_LENGTH, BlockRef, PieceIndex};
use bytes::Bytes;

use super::Connection;
use super::receive::Incoming;
use super::uploads::Standing;
use crate::event::Event;
use crate::extension::{HANDSHAKE_ID, OUR_LT_DONTHAVE, OUR_UT_METADATA};
use crate::limits::{
    ALLOWED_FAST_TAKEN_MAX, ANSWERS_WAITING_BYTES_MAX, EXTENSION_HANDSHAKES_MAX, UNKNOWN_BYTES_MAX,
    UNREQUESTED_BYTES_MAX, UNREQUESTED_REJECTS_MAX,
};
use crate::metadata::MetadataMessage;
use crate::violation::Violation;
use crate::wire::{self, Message, PIECE_HEADER_LENGTH};

impl Connection {
    #[inline]
    pub(super) fn handle_message(&mut self, message: Message<'_>, now: Instant) -> Result<(), Violation> {
        match message {
            Message::Piece(block) => self.handle_piece(block, now),
            Message::Request(block) => self.handle_request(block),
            Message::Cancel(block) => {
                self.handle_cancel(block);
                Ok(())
            }
            Message::Have(piece) => {
                let events = self.pieces.handle_have(piece)?;
                self.events.extend(events.into_iter().flatten());
                Ok(())
            }
            Message::KeepAlive => Ok(()),
            Message::Choke | Message::Unchoke => {
                self.flips.spend(now)?;
                self.handle_choke(message == Message::Choke, now);
                Ok(())
            }
            Message::Interested | Message::NotInterested => {
                self.flips.spend(now)?;
                self.handle_interest(message == Message::Interested);
                Ok(())
            }
            Message::Bitfield(bits) => {
                let event = self.pieces.handle_bitfield(bits)?;
                self.events.extend(event);
                Ok(())
            }
            Message::Port(port) => {
                self.events.extend((port > 0).then_some(Event::DhtPort(port)));
                Ok(())
            }
            Message::Extended { id, payload } => self.handle_extended(id, payload, now),
            Message::Unknown { rest, .. } => {
                self.receive.skip = rest;
                self.count_unknown(rest as usize)
            }
            Message::Suggest(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_) => self.handle_fast(message, now),
        }
    }

    /// The header of a block came; its payload follows.
    #[inline]
    fn handle_piece(&mut self, block: BlockRef, now: Instant) -> Result<(), Violation> {
        if block.length > BLOCK_LENGTH {
            return Err(Violation::BlockTooLong { length: block.length });
        }
        let answered = self.requests.answer(&block, now);
        let mut solicited = true;
        match answered {
            Some((asked, Some(waited))) => self.pipeline.handle_first_byte(waited, asked.alone, now),
            Some((_, None)) => {}
            None if self.requests.take_withdrawn(&block) => {}
            None => {
                solicited = false;
                self.count_unrequested(block.length as usize + PIECE_HEADER_LENGTH)?;
            }
        }
        self.progress_at = now;
        // An empty block answers nothing that we ask, and has no payload to wait for.
        if block.length > 0 {
            let asked = answered.map(|(asked, _)| asked);
            self.receive.incoming =
                Some(Incoming { block, received: 0, asked, solicited, called_off: false });
        }
        Ok(())
    }

    fn handle_request(&mut self, block: BlockRef) -> Result<(), Violation> {
        let standing = Standing {
            layout: self.layout.as_deref(),
            told: self.told.as_ref().is_some_and(|told| told.contains(block.index)),
            choked: self.am_choking,
            interested: self.peer_interested,
        };
        if !self.uploads.request(block, standing)? {
            self.reject(block);
        }
        Ok(())
    }

    /// BEP 6: a cancelled request is answered too. A block already in the send buffer is the answer.
    fn handle_cancel(&mut self, block: BlockRef) {
        if self.uploads.cancel(&block) {
            self.reject(block);
        }
    }

    fn handle_choke(&mut self, choking: bool, now: Instant) {
        if choking == self.peer_choking {
            return;
        }
        self.peer_choking = choking;
        // The wait for blocks starts with the permission to have them.
        self.progress_at = now;
        self.events.push_back(if choking { Event::Choked } else { Event::Unchoked });
        if choking && !self.remote.fast() {
            while let Some(block) = self.requests.withdraw_oldest() {
                self.events.push_back(Event::RequestReturned(block));
            }
            self.note_idle(now);
        }
    }

    fn handle_interest(&mut self, interested: bool) {
        if interested != self.peer_interested {
            self.peer_interested = interested;
            self.events.push_back(if interested { Event::Interested } else { Event::NotInterested });
        }
    }

    /// The messages of BEP 6, which demands that they end a conversation where it wasn't agreed.
    fn handle_fast(&mut self, message: Message<'_>, now: Instant) -> Result<(), Violation> {
        if !self.remote.fast() {
            return Err(Violation::FastNotAgreed { id: fast_id(&message) });
        }
        match message {
            Message::HaveAll => {
                let event = self.pieces.handle_all()?;
                self.events.extend(event);
            }
            Message::HaveNone => {
                let event = self.pieces.handle_none()?;
                self.events.extend(event);
            }
            Message::Reject(block) => self.handle_reject(block, now)?,
            Message::Suggest(piece) => {
                self.pieces.check_index(piece)?;
                // Only advice: before the metadata is known there is nothing to do with it.
                self.events.extend(self.layout.is_some().then_some(Event::Suggested(piece)));
            }
            Message::AllowedFast(piece) => self.handle_allowed_fast(piece)?,
            _ => {}
        }
        Ok(())
    }

    fn handle_reject(&mut self, block: BlockRef, now: Instant) -> Result<(), Violation> {
        // A block asked again after a cancel has two answers coming: the first one is for what was cancelled.
        if self.requests.take_withdrawn(&block) {
            return Ok(());
        }
        if self.requests.take(&block).is_none() {
            return self.count_stray_reject();
        }
        self.note_idle(now);
        self.progress_at = now;
        self.events.push_back(Event::RequestRejected(block));
        Ok(())
    }

    fn handle_allowed_fast(&mut self, piece: PieceIndex) -> Result<(), Violation> {
        self.pieces.check_index(piece)?;
        if self.allowed_fast.len() < ALLOWED_FAST_TAKEN_MAX && !self.allowed_fast.contains(&piece) {
            self.allowed_fast.push(piece);
            // Before the metadata is known nobody could check the index; then `learn_layout` tells.
            self.events.extend(self.layout.is_some().then_some(Event::AllowedFast(piece)));
        }
        Ok(())
    }

    fn handle_extended(&mut self, id: u8, payload: &[u8], now: Instant) -> Result<(), Violation> {
        match id {
            _ if !self.remote.extensions() => self.count_unknown(payload.len()),
            HANDSHAKE_ID => self.handle_extension_handshake(payload),
            OUR_UT_METADATA => self.handle_metadata(MetadataMessage::parse(payload)?),
            OUR_LT_DONTHAVE => {
                let bytes = <[u8; 4]>::try_from(payload).map_err(|_| Violation::MalformedExtension)?;
                self.handle_dont_have(PieceIndex(u32::from_be_bytes(bytes)), now)
            }
            _ => self.count_unknown(payload.len()),
        }
    }

    fn handle_extension_handshake(&mut self, payload: &[u8]) -> Result<(), Violation> {
        self.extension_handshakes += 1;
        if self.extension_handshakes > EXTENSION_HANDSHAKES_MAX {
            return Err(Violation::HandshakeFlood);
        }
        self.extensions.update(payload)?;
        if let Some(size) = self.extensions.metadata_size {
            self.exchange.agree_size(size)?;
        }
        if let Some(reqq) = self.extensions.reqq {
            self.pipeline.set_reqq(reqq);
        }
        self.events.push_back(Event::ExtensionsKnown(Box::new(self.extensions.clone())));
        Ok(())
    }

    /// BEP 54: without BEP 6 the peer has silently dropped our requests for the piece.
    fn handle_dont_have(&mut self, piece: PieceIndex, now: Instant) -> Result<(), Violation> {
        let event = self.pieces.handle_dont_have(piece)?;
        self.events.extend(event);
        if !self.remote.fast() {
            while let Some(block) = self.requests.withdraw_one_of(piece) {
                self.events.push_back(Event::RequestReturned(block));
            }
            self.note_idle(now);
        }
        Ok(())
    }

    fn handle_metadata(&mut self, message: MetadataMessage<'_>) -> Result<(), Violation> {
        match message {
            MetadataMessage::Request { piece } => self.serve_metadata(piece),
            MetadataMessage::Data { piece, data, .. } if !self.exchange.take_asked(piece) => {
                self.totals.wasted += data.len() as u64;
                self.count_unrequested(data.len())
            }
            MetadataMessage::Data { piece, total_size, data } => {
                self.exchange.check_data(piece, total_size, data.len())?;
                // copy: metadata is small and once per torrent; the bytes it came in belong to the driver.
                let data = Bytes::copy_from_slice(data);
                self.events.push_back(Event::MetadataReceived { piece, total_size, data });
                Ok(())
            }
            MetadataMessage::Reject { piece } if self.exchange.take_asked(piece) => {
                self.events.push_back(Event::MetadataRejected { piece });
                Ok(())
            }
            MetadataMessage::Reject { .. } => self.count_stray_reject(),
            MetadataMessage::Unknown => Ok(()),
        }
    }

    fn serve_metadata(&mut self, piece: u32) -> Result<(), Violation> {
        let crowded = self.transmit.answer_bytes() > ANSWERS_WAITING_BYTES_MAX / 2;
        let answer = self.exchange.serve(piece, crowded)?;
        // Who asks without having given us an id can't be answered.
        let Some(id) = self.extensions.ut_metadata else { return Ok(()) };
        match answer {
            Some((data, total_size)) => {
                let head = MetadataMessage::Data { piece, total_size, data: &[] }.encode_head();
                self.transmit.push_extended(id, &head, data);
            }
            None => self.push_extended(id, &MetadataMessage::Reject { piece }.encode_head()),
        }
        Ok(())
    }

    fn count_unrequested(&mut self, bytes: usize) -> Result<(), Violation> {
        self.requests.stray_bytes += bytes as u64;
        let excused = UNREQUESTED_BYTES_MAX + self.totals.payload_received / 16;
        if self.requests.stray_bytes > excused { Err(Violation::UnrequestedPayload) } else { Ok(()) }
    }

    fn count_stray_reject(&mut self) -> Result<(), Violation> {
        self.requests.stray_rejects += 1;
        let excused = self.requests.stray_rejects <= UNREQUESTED_REJECTS_MAX;
        if excused { Ok(()) } else { Err(Violation::UnrequestedRejects) }
    }

    fn count_unknown(&mut self, bytes: usize) -> Result<(), Violation> {
        self.unknown_bytes += bytes as u64;
        if self.unknown_bytes > UNKNOWN_BYTES_MAX { Err(Violation::UnknownFlood) } else { Ok(()) }
    }
}

fn fast_id(message: &Message<'_>) -> u8 {
    match message {
        Message::Suggest(_) => wire::SUGGEST,
        Message::HaveAll => wire::HAVE_ALL,
        Message::HaveNone => wire::HAVE_NONE,
        Message::AllowedFast(_) => wire::ALLOWED_FAST,
        _ => wire::REJECT,
    }
}

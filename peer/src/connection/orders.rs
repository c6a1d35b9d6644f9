//! What each command of the torrent does.

use std::net::IpAddr;
use std::time::Instant;

use afflux_metainfo::{Bitfield, BlockRef, PieceIndex};

use super::Connection;
use super::timers::Timer;
use crate::command::Command;
use crate::event::Event;
use crate::fast::allowed_fast_set;
use crate::limits::{ALLOWED_FAST_GIVEN, DISINTEREST_DELAY, OUTSTANDING_MAX};
use crate::metadata::MetadataMessage;
use crate::wire::Message;

impl Connection {
    pub(super) fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Request(block) => self.request(block, now),
            Command::Cancel(block) => self.cancel(block, now),
            Command::Choke => self.choke(),
            Command::Unchoke => {
                if std::mem::take(&mut self.am_choking) {
                    self.transmit.push(&Message::Unchoke);
                }
            }
            Command::Interested => {
                self.timers.set(Timer::Disinterest, None);
                if !std::mem::replace(&mut self.am_interested, true) {
                    self.transmit.push(&Message::Interested);
                }
            }
            Command::NotInterested => {
                if self.am_interested && self.timers.get(Timer::Disinterest).is_none() {
                    self.timers.set(Timer::Disinterest, Some(now + DISINTEREST_DELAY));
                }
            }
            Command::Have(piece) => self.tell_have(piece),
            Command::DontHave(piece) => self.tell_dont_have(piece),
            Command::Advertise(pieces) => self.advertise(&pieces),
            Command::Suggest(piece) => {
                if self.remote.fast() {
                    self.transmit.push(&Message::Suggest(piece));
                }
            }
            Command::RequestMetadata { piece } => self.request_metadata(piece, now),
            Command::ReaderWaiting(waiting) => self.pipeline.set_reader_waiting(waiting),
            Command::UploadOnly(upload_only) => self.tell_upload_only(upload_only),
        }
    }

    fn request(&mut self, block: BlockRef, now: Instant) {
        let exists = self.layout.as_ref().is_some_and(|layout| layout.is_block(&block));
        let outstanding = self.outstanding();
        if !exists || !self.may_request(block.index) || outstanding >= OUTSTANDING_MAX {
            return self.events.push_back(Event::RequestReturned(block));
        }
        if outstanding == 0 {
            self.pipeline.handle_busy(now);
            self.progress_at = now;
        }
        self.requests.push(block, outstanding == 0, now);
        self.transmit.push(&Message::Request(block));
    }

    fn cancel(&mut self, block: BlockRef, now: Instant) {
        if self.requests.cancel(&block, self.remote.fast()) {
            self.transmit.push(&Message::Cancel(block));
            self.note_idle(now);
        } else if let Some(incoming) = self.receive.incoming.as_mut().filter(|it| it.block == block) {
            incoming.called_off = true;
        }
    }

    /// BEP 6: choke first and then reject, so that the peer doesn't ask again.
    fn choke(&mut self) {
        if std::mem::replace(&mut self.am_choking, true) {
            return;
        }
        self.transmit.push(&Message::Choke);
        let Self { uploads, transmit, remote, .. } = self;
        uploads.choke(|block| {
            if remote.fast() {
                transmit.push(&Message::Reject(block));
            }
        });
    }

    fn tell_have(&mut self, piece: PieceIndex) {
        let Some(layout) = &self.layout else { return };
        let told = self.told.get_or_insert_with(|| Bitfield::new(layout.piece_count()));
        if piece.0 < told.length() && told.insert(piece) {
            self.transmit.push(&Message::Have(piece));
        }
    }

    fn tell_dont_have(&mut self, piece: PieceIndex) {
        let Some(told) = self.told.as_mut().filter(|told| told.contains(piece)) else { return };
        let Some(id) = self.extensions.lt_donthave else { return };
        told.remove(piece);
        self.push_extended(id, &piece.0.to_be_bytes());
        let Self { uploads, transmit, remote, .. } = self;
        uploads.forget_piece(piece, |block| {
            if remote.fast() {
                transmit.push(&Message::Reject(block));
            }
        });
    }

    fn advertise(&mut self, pieces: &Bitfield) {
        let count = self.layout.as_ref().map_or(0, |layout| layout.piece_count());
        if pieces.length() != count && !pieces.is_empty() {
            return;
        }
        if self.told.is_some() {
            pieces.iter().for_each(|piece| self.tell_have(piece));
        } else {
            self.tell_first(pieces);
            self.told = Some(if pieces.is_empty() { Bitfield::new(count) } else { pieces.clone() });
            self.tell_dht_port();
        }
        self.give_allowed_fast();
    }

    fn tell_first(&mut self, pieces: &Bitfield) {
        match (self.remote.fast(), pieces.is_empty()) {
            (true, true) => self.transmit.push(&Message::HaveNone),
            (true, false) if pieces.is_full() => self.transmit.push(&Message::HaveAll),
            // Who has nothing and doesn't speak BEP 6 says so by saying nothing.
            (false, true) => {}
            (_, false) => self.transmit.push(&Message::Bitfield(&pieces.to_wire())),
        }
    }

    /// BEP 5; behind what we have, since BEP 6 wants that first.
    fn tell_dht_port(&mut self) {
        if let Some(port) = self.config.dht_port.filter(|_| self.remote.dht()) {
            self.transmit.push(&Message::Port(port));
        }
    }

    /// BEP 6: pieces of ours that the peer may have while choked, to get it started.
    fn give_allowed_fast(&mut self) {
        let (Some(layout), Some(told)) = (&self.layout, &self.told) else { return };
        let IpAddr::V4(ip) = self.config.remote.ip().to_canonical() else { return };
        if self.allowed_fast_given || told.is_empty() || !self.remote.fast() {
            return;
        }
        self.allowed_fast_given = true;
        let set = allowed_fast_set(ip, &self.info_hash, layout.piece_count(), ALLOWED_FAST_GIVEN);
        for piece in set.into_iter().filter(|&piece| told.contains(piece)) {
            self.uploads.allow(piece, layout.length_of(piece));
            self.transmit.push(&Message::AllowedFast(piece));
        }
    }

    fn request_metadata(&mut self, piece: u32, now: Instant) {
        match self.extensions.ut_metadata {
            Some(id) if self.exchange.ask(piece, now) => {
                self.push_extended(id, &MetadataMessage::Request { piece }.encode_head());
            }
            _ => self.events.push_back(Event::MetadataRejected { piece }),
        }
    }

    /// BEP 21: the extension handshake says so, again if it changes. It is told whole, though BEP 10 lets what is left
    /// out stand as it was: Transmission forgets the messages that a later handshake doesn't name.
    fn tell_upload_only(&mut self, upload_only: bool) {
        if std::mem::replace(&mut self.config.upload_only, upload_only) != upload_only {
            self.push_handshake(Some(upload_only));
        }
    }
}

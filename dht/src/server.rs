//! The answering side: `ping`, `find_node`, `get_peers`, `announce_peer` (BEP 5, BEP 32).
//!
//! BEP 44's `get` is answered with nodes and a token, never with an item, because some clients look with it for
//! the nodes to announce to. Its `put` is an unknown method.
//! A reply is never larger than [`limits::REPLY_BYTES_MAX`], nor than [`limits::AMPLIFICATION_MAX`] times its
//! query. Not here: rates (`flood`), and whether we answer at all (`node`).

use std::net::SocketAddr;
use std::time::Instant;

use crate::address::{Contact, Family, scope};
use crate::id::NodeId;
use crate::krpc::{Body, Message, Method, Query, Response, Want, code};
use crate::limits;
use crate::peers::PeerStore;
use crate::random::Random;
use crate::table::Table;
use crate::tokens::Tokens;

/// Our client and version (BEP 20). Four bytes: some nodes ignore messages with any other length.
pub(crate) const VERSION: &[u8] = b"AF\x00\x01";

pub(crate) struct Server {
    pub(crate) tokens: Tokens,
    pub(crate) peers: PeerStore,
}

/// A question with what is known about it.
pub(crate) struct Question<'a> {
    pub(crate) from: SocketAddr,
    /// What its datagram weighed.
    pub(crate) bytes: usize,
    pub(crate) transaction: &'a [u8],
}

impl Server {
    /// The reply to a query, or none if even that would weigh too much.
    pub(crate) fn answer(
        &mut self,
        question: &Question<'_>,
        query: &Query<'_>,
        own: NodeId,
        tables: [Option<&Table>; 2],
        random: &mut Random,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let mut response = Response::bare(own);
        let token = self.tokens.issue(question.from.ip());
        match query.method {
            Method::Ping => {}
            Method::FindNode { target, want } => {
                add_nodes(&mut response, question.from, target, want, tables)
            }
            Method::Get { target, want } => {
                add_nodes(&mut response, question.from, target, want, tables);
                response.token = Some(&token);
            }
            Method::GetPeers { info_hash, want } => {
                add_nodes(&mut response, question.from, info_hash.into(), want, tables);
                response.token = Some(&token);
                let count = question.room_for_peers(&response);
                response.values = self.peers.sample(info_hash, question.from, count, random.number());
            }
            Method::AnnouncePeer { info_hash, port, token } => {
                if !self.tokens.accepts(token, question.from.ip()) {
                    return question.refuse(code::PROTOCOL, "bad token");
                }
                let peer = SocketAddr::new(question.from.ip(), port.unwrap_or(question.from.port()));
                if !self.peers.insert(info_hash, peer, &own, now) {
                    return question.refuse(code::SERVER, "no room for this announce");
                }
            }
        }
        question.reply(response)
    }
}

impl Question<'_> {
    /// An error as reply.
    pub(crate) fn refuse(&self, code: i64, text: &str) -> Option<Vec<u8>> {
        let bytes = self.message(Body::Error { code, text: text.as_bytes() }).encode();
        (bytes.len() <= self.budget()).then_some(bytes)
    }

    /// A response as reply, with fewer nodes if it would weigh too much.
    fn reply(&self, mut response: Response<'_>) -> Option<Vec<u8>> {
        loop {
            let bytes = self.message(Body::Response(response.clone())).encode();
            if bytes.len() <= self.budget() {
                return Some(bytes);
            }
            let heavier = match (&mut response.nodes6, &mut response.nodes) {
                (Some(nodes), _) if !nodes.is_empty() => nodes,
                (_, Some(nodes)) => nodes,
                _ => return None,
            };
            heavier.pop()?;
        }
    }

    fn room_for_peers(&self, response: &Response<'_>) -> usize {
        let without = self.message(Body::Response(response.clone())).encode().len() + b"6:valuesle".len();
        let each = if self.from.is_ipv4() { b"6:".len() + 6 } else { b"18:".len() + 18 };
        self.budget().saturating_sub(without) / each
    }

    fn budget(&self) -> usize {
        (self.bytes * limits::AMPLIFICATION_MAX).min(limits::REPLY_BYTES_MAX)
    }

    fn message<'m>(&'m self, body: Body<'m>) -> Message<'m> {
        let external = Some(self.from);
        Message { transaction: self.transaction, version: Some(VERSION), external, read_only: false, body }
    }
}

fn add_nodes(
    response: &mut Response<'_>,
    asker: SocketAddr,
    target: NodeId,
    want: Want,
    tables: [Option<&Table>; 2],
) {
    let want = want.families(Family::of(asker));
    let nodes = |family: Family| -> Vec<Contact> {
        let Some(table) = tables[family.index()] else { return Vec::new() };
        // Twice as many, because some aren't for this asker: itself, and those nearer to us than it is.
        let near = table.closest(&target, limits::BUCKET_NODES_MAX * 2);
        let fit = |node: &Contact| node.addr != asker && scope(node.addr.ip()) >= scope(asker.ip());
        near.into_iter().filter(fit).take(limits::BUCKET_NODES_MAX).collect()
    };
    response.nodes = want.v4.then(|| nodes(Family::V4));
    response.nodes6 = want.v6.then(|| nodes(Family::V6));
}

//! KRPC: the messages of the DHT as bencoded datagrams (BEP 5, with the keys of BEP 32, 42 and 43).
//!
//! Parsing walks the scanner's tokens and copies only lists of addresses; unknown keys are skipped, so that
//! later extensions pass. Not here: what is done about a message.

use std::net::SocketAddr;

use afflux_metainfo::InfoHash;
use afflux_metainfo::bencode::{self, Dict, Document, Writer};
use thiserror::Error;

use crate::address::{self, Contact, Family};
use crate::id::NodeId;
use crate::limits;

/// BEP 5: what an error message says.
pub mod code {
    /// Something else.
    pub const GENERIC: i64 = 201;
    /// The server's own trouble.
    pub const SERVER: i64 = 202;
    /// Malformed, invalid argument, bad token.
    pub const PROTOCOL: i64 = 203;
    /// No such method.
    pub const METHOD_UNKNOWN: i64 = 204;
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `t`: chosen by who asks, echoed by who answers.
    pub transaction: &'a [u8],
    /// `v`: client and version (BEP 20), if told.
    pub version: Option<&'a [u8]>,
    /// `ip` of an answer: the asker's address as seen from outside (BEP 42).
    pub external: Option<SocketAddr>,
    /// `ro` of a query: the asker answers nobody (BEP 43).
    pub read_only: bool,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A question of a method we know.
    Query(Query<'a>),
    /// A question of a method we don't know; its arguments aren't looked at.
    UnknownQuery {
        /// Its name.
        method: &'a [u8],
    },
    /// An answer.
    Response(Response<'a>),
    /// A refusal.
    Error {
        /// One of [`code`], or anything.
        code: i64,
        /// For a human.
        text: &'a [u8],
    },
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// Who asks.
    pub id: NodeId,
    /// What.
    pub method: Method<'a>,
}

/// The four methods of BEP 5, and the reading one of BEP 44.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// Are you there?
    Ping,
    /// Whom do you know near this id?
    FindNode {
        /// The place.
        target: NodeId,
        /// Families of nodes asked for.
        want: Want,
    },
    /// Who shares this torrent?
    GetPeers {
        /// The torrent.
        info_hash: InfoHash,
        /// Families of nodes asked for.
        want: Want,
    },
    /// Which item is stored here (BEP 44)? We store none, but others find their way, and a place to announce,
    /// through the nodes and the token of the answer.
    Get {
        /// The item's place.
        target: NodeId,
        /// Families of nodes asked for.
        want: Want,
    },
    /// I share this torrent.
    AnnouncePeer {
        /// The torrent.
        info_hash: InfoHash,
        /// The peer's port; `None`: the one the datagram came from (`implied_port`).
        port: Option<u16>,
        /// What the asked node gave with its answer to `get_peers`.
        token: &'a [u8],
    },
}

/// `want` (BEP 32). None set: the family the query came by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// `n4`.
    pub v4: bool,
    /// `n6`.
    pub v6: bool,
}

/// An answer; which keys it has depends on the question, which the reader of it remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Who answers.
    pub id: NodeId,
    /// `nodes`: IPv4 nodes.
    pub nodes: Option<Vec<Contact>>,
    /// `nodes6`: IPv6 nodes.
    pub nodes6: Option<Vec<Contact>>,
    /// What to announce with.
    pub token: Option<&'a [u8]>,
    /// Peers.
    pub values: Vec<SocketAddr>,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Not bencode.
    #[error(transparent)]
    Bencode(#[from] bencode::Error),
    /// The root is no dictionary, or `y` is missing or unknown.
    #[error("it is neither a query, nor a response, nor an error")]
    Kind,
    /// `t` is missing, empty, or too long to echo.
    #[error("the transaction id is missing, empty or too long")]
    Transaction,
    /// A key is missing or of the wrong type or size.
    #[error("key {0:?} is missing or malformed")]
    Key(&'static str),
}

/// Why a datagram couldn't be read, and whom that may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("malformed krpc message: {why}")]
pub struct Unreadable<'a> {
    /// What is wrong.
    pub why: Malformed,
    /// The transaction id if it was a query, and so may be answered with an error.
    pub query: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Unreadable<'a>> {
        let unasked = |why| Unreadable { why, query: None };
        let document =
            Document::parse(bytes, &limits::MESSAGE).map_err(|error| unasked(Malformed::Bencode(error)))?;
        let root = document.root().as_dict().ok_or(unasked(Malformed::Kind))?;
        let transaction = root.get_bytes(b"t").unwrap_or(&[]);
        if transaction.is_empty() || transaction.len() > limits::TRANSACTION_BYTES_MAX {
            return Err(unasked(Malformed::Transaction));
        }
        let body = match root.get_bytes(b"y") {
            Some(b"q") => query(root).map_err(|why| Unreadable { why, query: Some(transaction) })?,
            Some(b"r") => response(root).map_err(unasked)?,
            Some(b"e") => error(root).map_err(unasked)?,
            _ => return Err(unasked(Malformed::Kind)),
        };
        Ok(Self {
            transaction,
            version: root.get_bytes(b"v"),
            external: root.get_bytes(b"ip").and_then(address::read_compact),
            read_only: root.get_int(b"ro") == Some(1),
            body,
        })
    }

    /// Writes the datagram, keys sorted.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.dict(|d| {
            match &self.body {
                Body::Query(query) => write_arguments(d, query),
                Body::Error { code, text } => {
                    d.bytes("e").list(|l| {
                        l.int(*code).bytes(text);
                    });
                }
                Body::Response(_) | Body::UnknownQuery { .. } => {}
            }
            if let Some(external) = self.external {
                d.bytes("ip").bytes(address::compact(external));
            }
            match &self.body {
                Body::Query(query) => {
                    d.bytes("q").bytes(query.method.name());
                }
                Body::UnknownQuery { method } => {
                    d.bytes("q").bytes(method);
                }
                Body::Response(response) => write_response(d, response),
                Body::Error { .. } => {}
            }
            if self.read_only {
                d.bytes("ro").int(1);
            }
            d.bytes("t").bytes(self.transaction);
            if let Some(version) = self.version {
                d.bytes("v").bytes(version);
            }
            d.bytes("y").bytes(self.body.kind());
        });
        writer.finish()
    }
}

impl Body<'_> {
    fn kind(&self) -> &'static str {
        match self {
            Self::Query(_) | Self::UnknownQuery { .. } => "q",
            Self::Response(_) => "r",
            Self::Error { .. } => "e",
        }
    }
}

impl Method<'_> {
    /// Its name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::FindNode { .. } => "find_node",
            Self::GetPeers { .. } => "get_peers",
            Self::Get { .. } => "get",
            Self::AnnouncePeer { .. } => "announce_peer",
        }
    }
}

impl Want {
    /// The families meant in a query that came by `family`.
    pub fn families(self, family: Family) -> Self {
        match (self.v4 || self.v6, family) {
            (true, _) => self,
            (false, Family::V4) => Self { v4: true, v6: false },
            (false, Family::V6) => Self { v4: false, v6: true },
        }
    }
}

impl Response<'_> {
    /// An answer that only says who we are.
    pub fn bare(id: NodeId) -> Self {
        Self { id, nodes: None, nodes6: None, token: None, values: Vec::new() }
    }
}

fn query<'a>(root: Dict<'_, 'a>) -> Result<Body<'a>, Malformed> {
    let method = root.get_bytes(b"q").ok_or(Malformed::Key("q"))?;
    if !matches!(method, b"ping" | b"find_node" | b"get_peers" | b"get" | b"announce_peer") {
        return Ok(Body::UnknownQuery { method });
    }
    let arguments = root.get(b"a").and_then(|value| value.as_dict()).ok_or(Malformed::Key("a"))?;
    let id = id(arguments, "id")?;
    let method = match method {
        b"ping" => Method::Ping,
        b"find_node" => Method::FindNode { target: self::id(arguments, "target")?, want: want(arguments) },
        b"get" => Method::Get { target: self::id(arguments, "target")?, want: want(arguments) },
        b"get_peers" => Method::GetPeers { info_hash: info_hash(arguments)?, want: want(arguments) },
        _ => Method::AnnouncePeer {
            info_hash: info_hash(arguments)?,
            port: announced_port(arguments)?,
            token: arguments.get_bytes(b"token").ok_or(Malformed::Key("token"))?,
        },
    };
    Ok(Body::Query(Query { id, method }))
}

fn response<'a>(root: Dict<'_, 'a>) -> Result<Body<'a>, Malformed> {
    let values = root.get(b"r").and_then(|value| value.as_dict()).ok_or(Malformed::Key("r"))?;
    Ok(Body::Response(Response {
        id: id(values, "id")?,
        nodes: nodes(values, "nodes", Family::V4)?,
        nodes6: nodes(values, "nodes6", Family::V6)?,
        token: optional_bytes(values, "token")?,
        values: peers(values)?,
    }))
}

fn error<'a>(root: Dict<'_, 'a>) -> Result<Body<'a>, Malformed> {
    let list = root.get(b"e").and_then(|value| value.as_list()).ok_or(Malformed::Key("e"))?;
    let mut values = list.iter();
    let code = values.next().and_then(|value| value.as_int()).ok_or(Malformed::Key("e"))?;
    let text = values.next().and_then(|value| value.as_bytes()).unwrap_or(&[]);
    Ok(Body::Error { code, text })
}

fn id(dict: Dict<'_, '_>, key: &'static str) -> Result<NodeId, Malformed> {
    dict.get_bytes(key.as_bytes()).and_then(NodeId::from_slice).ok_or(Malformed::Key(key))
}

fn info_hash(arguments: Dict<'_, '_>) -> Result<InfoHash, Malformed> {
    id(arguments, "info_hash").map(|id| InfoHash(id.0))
}

/// Unknown families are skipped, and so is a `want` of the wrong type: the query makes sense without it.
fn want(arguments: Dict<'_, '_>) -> Want {
    let mut want = Want::default();
    if let Some(list) = arguments.get(b"want").and_then(|value| value.as_list()) {
        for family in list.iter().filter_map(|value| value.as_bytes()) {
            want.v4 |= family == b"n4";
            want.v6 |= family == b"n6";
        }
    }
    want
}

/// BEP 5: with a non-zero `implied_port`, `port` is ignored and the datagram's own counts.
fn announced_port(arguments: Dict<'_, '_>) -> Result<Option<u16>, Malformed> {
    if arguments.get_int(b"implied_port").is_some_and(|implied| implied != 0) {
        return Ok(None);
    }
    let port = arguments.get_int(b"port").and_then(|port| u16::try_from(port).ok());
    port.filter(|&port| port != 0).map(Some).ok_or(Malformed::Key("port"))
}

fn optional_bytes<'a>(dict: Dict<'_, 'a>, key: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
    match dict.get(key.as_bytes()) {
        None => Ok(None),
        Some(value) => value.as_bytes().map(Some).ok_or(Malformed::Key(key)),
    }
}

fn nodes(dict: Dict<'_, '_>, key: &'static str, family: Family) -> Result<Option<Vec<Contact>>, Malformed> {
    let Some(bytes) = optional_bytes(dict, key)? else { return Ok(None) };
    address::read_nodes(bytes, family).map(Some).ok_or(Malformed::Key(key))
}

/// BEP 32: a list may mix addresses of both families.
fn peers(dict: Dict<'_, '_>) -> Result<Vec<SocketAddr>, Malformed> {
    let bad = Malformed::Key("values");
    let Some(value) = dict.get(b"values") else { return Ok(Vec::new()) };
    let list = value.as_list().ok_or(bad)?;
    list.iter().map(|peer| peer.as_bytes().and_then(address::read_compact).ok_or(bad)).collect()
}

fn write_arguments(d: &mut Writer, query: &Query<'_>) {
    d.bytes("a").dict(|a| {
        a.bytes("id").bytes(query.id.0);
        match &query.method {
            Method::Ping => {}
            Method::FindNode { target, want } | Method::Get { target, want } => {
                a.bytes("target").bytes(target.0);
                write_want(a, *want);
            }
            Method::GetPeers { info_hash, want } => {
                a.bytes("info_hash").bytes(info_hash.0);
                write_want(a, *want);
            }
            Method::AnnouncePeer { info_hash, port, token } => {
                if port.is_none() {
                    a.bytes("implied_port").int(1);
                }
                a.bytes("info_hash").bytes(info_hash.0);
                // Some nodes demand a port even when it is implied.
                a.bytes("port").int(port.map_or(1, i64::from)).bytes("token").bytes(token);
            }
        }
    });
}

fn write_want(a: &mut Writer, want: Want) {
    if want == Want::default() {
        return;
    }
    a.bytes("want").list(|l| {
        for (name, wanted) in [("n4", want.v4), ("n6", want.v6)] {
            if wanted {
                l.bytes(name);
            }
        }
    });
}

fn write_response(d: &mut Writer, response: &Response<'_>) {
    d.bytes("r").dict(|r| {
        r.bytes("id").bytes(response.id.0);
        if let Some(nodes) = &response.nodes {
            r.bytes("nodes").bytes(address::compact_nodes(nodes));
        }
        if let Some(nodes) = &response.nodes6 {
            r.bytes("nodes6").bytes(address::compact_nodes(nodes));
        }
        if let Some(token) = response.token {
            r.bytes("token").bytes(token);
        }
        if !response.values.is_empty() {
            r.bytes("values").list(|l| {
                for &peer in &response.values {
                    l.bytes(address::compact(peer));
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: NodeId = NodeId(*b"abcdefghij0123456789");
    const OTHER: NodeId = NodeId(*b"mnopqrstuvwxyz123456");

    fn message(body: Body<'_>) -> Message<'_> {
        Message { transaction: b"aa", version: None, external: None, read_only: false, body }
    }

    fn same_both_ways(bytes: &[u8], expected: Body<'_>) {
        let expected = message(expected);
        assert_eq!(Message::decode(bytes).as_ref(), Ok(&expected));
        assert_eq!(expected.encode(), bytes, "{}", String::from_utf8_lossy(bytes));
    }

    fn asks(method: Method<'_>) -> Body<'_> {
        Body::Query(Query { id: ASKER, method })
    }

    #[test]
    fn queries_of_bep_5_are_read_and_written() {
        let hash = InfoHash(OTHER.0);
        same_both_ways(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", asks(Method::Ping));
        same_both_ways(
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            asks(Method::FindNode { target: OTHER, want: Want::default() }),
        );
        same_both_ways(
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            asks(Method::GetPeers { info_hash: hash, want: Want::default() }),
        );
        same_both_ways(
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe\
              1:q13:announce_peer1:t2:aa1:y1:qe",
            asks(Method::AnnouncePeer { info_hash: hash, port: Some(6881), token: b"aoeusnth" }),
        );
    }

    #[test]
    fn an_implied_port_hides_the_one_that_is_told() {
        // BEP 5's own example.
        let bytes = b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:\
              porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe";
        let method = Method::AnnouncePeer { info_hash: InfoHash(OTHER.0), port: None, token: b"aoeusnth" };
        assert_eq!(Message::decode(bytes), Ok(message(asks(method))));
    }

    #[test]
    fn answers_of_bep_5_are_read_and_written() {
        same_both_ways(
            b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
            Body::Response(Response::bare(OTHER)),
        );
        same_both_ways(
            b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
            Body::Response(Response {
                token: Some(b"aoeusnth"),
                values: ["97.120.106.101:11893", "105.100.104.116:28269"].map(|a| a.parse().unwrap()).into(),
                ..Response::bare(ASKER)
            }),
        );
        same_both_ways(
            b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
            Body::Error { code: code::GENERIC, text: b"A Generic Error Ocurred" },
        );
    }

    #[test]
    fn extension_keys_are_read_and_written() {
        let bytes = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee\
              1:q9:find_node2:roi1e1:t2:aa1:v4:AF001:y1:qe";
        let mut expected =
            message(asks(Method::FindNode { target: OTHER, want: Want { v4: true, v6: true } }));
        (expected.read_only, expected.version) = (true, Some(&b"AF00"[..]));
        assert_eq!(Message::decode(bytes).as_ref(), Ok(&expected));
        assert_eq!(expected.encode(), bytes);
        let bytes = b"d2:ip6:axje.u1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re";
        let mut expected = message(Body::Response(Response::bare(OTHER)));
        expected.external = Some("97.120.106.101:11893".parse().unwrap());
        assert_eq!(Message::decode(bytes).as_ref(), Ok(&expected));
        assert_eq!(expected.encode(), bytes);
    }

    #[test]
    fn queries_of_unknown_methods_need_no_arguments() {
        let body = Message::decode(b"d1:q4:vote1:t1:x1:y1:qe").unwrap().body;
        assert_eq!(body, Body::UnknownQuery { method: b"vote" });
    }

    #[test]
    fn malformed_queries_tell_the_transaction_to_answer() {
        for (bytes, key) in [
            (&b"d1:q4:ping1:t2:aa1:y1:qe"[..], "a"),
            (b"d1:ale1:q4:ping1:t2:aa1:y1:qe", "a"),
            (b"d1:ade1:q4:ping1:t2:aa1:y1:qe", "id"),
            (b"d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe", "id"),
            (b"d1:ad2:idi5ee1:q4:ping1:t2:aa1:y1:qe", "id"),
            (b"d1:ad2:id20:abcdefghij0123456789e1:q9:find_node1:t2:aa1:y1:qe", "target"),
            (b"d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe", "info_hash"),
            (b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe", "q"),
        ] {
            let error = Message::decode(bytes).unwrap_err();
            assert_eq!((error.why, error.query), (Malformed::Key(key), Some(&b"aa"[..])));
        }
    }

    #[test]
    fn announces_need_a_real_port_and_a_token() {
        for (rest, key) in [
            ("4:porti0e5:token1:xe", "port"),
            ("4:porti65536e5:token1:xe", "port"),
            ("4:porti-1e5:token1:xe", "port"),
            ("5:token1:xe", "port"),
            ("4:porti1ee", "token"),
            ("4:porti1e5:tokeni1ee", "token"),
        ] {
            let text = format!(
                "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456{rest}1:q13:announce_peer1:t2:aa1:y1:qe"
            );
            assert_eq!(Message::decode(text.as_bytes()).unwrap_err().why, Malformed::Key(key), "{rest}");
        }
    }

    #[test]
    fn malformed_answers_are_told_to_nobody() {
        for bytes in [
            &b"d1:rd2:id20:mnopqrstuvwxyz1234565:nodes25:aaaaaaaaaaaaaaaaaaaaaaaaae1:t2:aa1:y1:re"[..],
            b"d1:rd2:id20:mnopqrstuvwxyz1234566:nodes61:ae1:t2:aa1:y1:re",
            b"d1:rd2:id20:mnopqrstuvwxyz1234565:tokeni1ee1:t2:aa1:y1:re",
            b"d1:rd2:id20:mnopqrstuvwxyz1234566:valuesl5:aaaaaee1:t2:aa1:y1:re",
            b"d1:rd2:id20:mnopqrstuvwxyz1234566:values6:axje.ue1:t2:aa1:y1:re",
            b"d1:rde1:t2:aa1:y1:re",
            b"d1:ei1e1:t2:aa1:y1:ee",
            b"d1:ele1:t2:aa1:y1:ee",
            b"d1:t2:aa1:y1:xe",
            b"d1:t2:aae",
            b"le",
            b"d1:t0:1:y1:qe",
            b"d1:t17:aaaaaaaaaaaaaaaaa1:y1:qe",
            b"d1:ti1e1:y1:qe",
            b"",
        ] {
            assert_eq!(Message::decode(bytes).unwrap_err().query, None, "{}", String::from_utf8_lossy(bytes));
        }
    }
}

//! Announces over HTTP (BEP 3, 7, 23, 24): the URL that is fetched, and what the body says.
//!
//! Not here: fetching; the times at which it is done ([`crate::tiers`]).

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use afflux_metainfo::bencode::{Dict, Document, List, Value};

use crate::announce::{AnnounceRequest, Event, Reply, ReplyError, printable};
use crate::limits;
use crate::url::TrackerUrl;

/// The URL to fetch for an announce; the query that the tracker's own URL has is kept (passkeys live there).
///
/// Compact replies are asked for (BEP 23); addresses of ours are never sent (BEP 7 discourages it).
pub fn announce_url(tracker: &TrackerUrl, request: &AnnounceRequest) -> String {
    let mut url = tracker.as_str().to_owned();
    url.push(if tracker.path_and_query().contains('?') { '&' } else { '?' });
    url.push_str("info_hash=");
    percent_encode(&mut url, &request.info_hash.0);
    url.push_str("&peer_id=");
    percent_encode(&mut url, &request.peer_id.0);
    let AnnounceRequest { port, uploaded, downloaded, left, key, .. } = request;
    url.push_str(&format!("&port={port}&uploaded={uploaded}&downloaded={downloaded}&left={left}"));
    url.push_str(&format!("&compact=1&key={key:08x}"));
    if let Some(event) = event_name(request.event) {
        url.push_str("&event=");
        url.push_str(event);
    }
    if let Some(numwant) = request.numwant {
        url.push_str(&format!("&numwant={numwant}"));
    }
    if let Some(id) = &request.tracker_id {
        url.push_str("&trackerid=");
        percent_encode(&mut url, id);
    }
    url
}

/// Reads the body of a tracker's answer. Keys that aren't known or have another type than they should are
/// passed over, except for the peers, whose damage is an error.
pub fn parse_reply(body: &[u8]) -> Result<Reply, ReplyError> {
    let document = Document::parse(body, &limits::REPLY)?;
    let dict = document.root().as_dict().ok_or(ReplyError::NotADictionary)?;
    if let Some(reason) = dict.get_bytes(b"failure reason") {
        return Err(ReplyError::Rejected(printable(reason)));
    }
    let mut reply = Reply::new(dict.get_int(b"interval"), dict.get_int(b"min interval"));
    let (peers, peers6) = (dict.get(b"peers"), dict.get_bytes(b"peers6"));
    if peers.is_none() && peers6.is_none() {
        return Err(ReplyError::NoPeers);
    }
    // IPv6 first: a reply that is full of IPv4 must not push the rarer kind out.
    if let Some(peers6) = peers6 {
        reply.add_compact_v6(peers6)?;
    }
    if let Some(peers) = peers {
        add_peers(&mut reply, peers)?;
    }
    reply.complete = count(dict, b"complete");
    reply.incomplete = count(dict, b"incomplete");
    reply.tracker_id = dict
        .get_bytes(b"tracker id")
        .filter(|id| !id.is_empty() && id.len() <= limits::TRACKER_ID_BYTES_MAX)
        .map(<[u8]>::to_vec);
    reply.external_ip = dict.get_bytes(b"external ip").and_then(packed_ip);
    reply.warning = dict.get_bytes(b"warning message").map(printable).filter(|text| !text.is_empty());
    Ok(reply)
}

fn add_peers(reply: &mut Reply, peers: Value<'_, '_>) -> Result<(), ReplyError> {
    if let Some(compact) = peers.as_bytes() {
        reply.add_compact_v4(compact)
    } else if let Some(list) = peers.as_list() {
        add_listed_peers(reply, list);
        Ok(())
    } else {
        Err(ReplyError::NoPeers)
    }
}

/// The form without `compact` (BEP 3). Names instead of addresses are passed over: resolving them would make us
/// ask for whatever a tracker likes.
fn add_listed_peers(reply: &mut Reply, list: List<'_, '_>) {
    let addresses = list.iter().filter_map(|peer| {
        let peer = peer.as_dict()?;
        let ip: IpAddr = peer.get(b"ip")?.as_str()?.parse().ok()?;
        let port = u16::try_from(peer.get_int(b"port")?).ok()?;
        Some(SocketAddr::new(ip, port))
    });
    addresses.for_each(|peer| reply.add_peer(peer));
}

fn count(dict: Dict<'_, '_>, key: &[u8]) -> Option<u32> {
    dict.get_int(key).and_then(|number| u32::try_from(number).ok())
}

/// An address of 4 or 16 bytes (BEP 24).
fn packed_ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(v4));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

fn event_name(event: Event) -> Option<&'static str> {
    match event {
        Event::None => None,
        Event::Started => Some("started"),
        Event::Stopped => Some("stopped"),
        Event::Completed => Some("completed"),
    }
}

/// Appends raw bytes; only RFC 3986's unreserved characters stay as they are.
fn percent_encode(url: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            url.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use afflux_metainfo::{InfoHash, PeerId};

    use super::*;

    fn request() -> AnnounceRequest {
        let mut info_hash = [b'a'; 20];
        info_hash[..4].copy_from_slice(b"\x00 ~\xff");
        AnnounceRequest {
            info_hash: InfoHash(info_hash),
            peer_id: PeerId(*b"-AF0001-abcdefghijkl"),
            port: 6881,
            uploaded: 1,
            downloaded: 2,
            left: u64::MAX,
            event: Event::Started,
            numwant: Some(50),
            key: 0xbeef,
            tracker_id: None,
        }
    }

    fn url(tracker: &str, request: &AnnounceRequest) -> String {
        announce_url(&tracker.parse().unwrap(), request)
    }

    #[test]
    fn an_announce_is_one_url() {
        assert_eq!(
            url("http://a.example:6969/announce", &request()),
            "http://a.example:6969/announce?info_hash=%00%20~%FFaaaaaaaaaaaaaaaa&peer_id=-AF0001-abcdefghijkl\
             &port=6881&uploaded=1&downloaded=2&left=18446744073709551615&compact=1&key=0000beef\
             &event=started&numwant=50"
        );
    }

    #[test]
    fn the_trackers_own_query_and_id_are_kept() {
        let request = AnnounceRequest {
            event: Event::None,
            numwant: None,
            tracker_id: Some(b"i&d".to_vec()),
            ..request()
        };
        let url = url("https://a.example/announce?passkey=x#y", &request);
        assert!(url.starts_with("https://a.example/announce?passkey=x&info_hash="), "{url}");
        assert!(url.ends_with("&key=0000beef&trackerid=i%26d"), "{url}");
    }

    #[test]
    fn compact_peers_of_both_families_are_read() {
        let body = b"d8:completei5e11:external ip4:\x01\x02\x03\x0410:incompletei7e8:intervali900e\
            12:min intervali120e5:peers12:\x01\x01\x01\x01\x1a\xe1\x02\x02\x02\x02\x00\x00\
            6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe110:tracker id2:id\
            15:warning message3:hey e";
        let body = [&body[..body.len() - 2], b"e"].concat();
        let reply = parse_reply(&body).unwrap();
        let expected: Vec<SocketAddr> =
            vec!["[2001:db8::1]:6881".parse().unwrap(), "1.1.1.1:6881".parse().unwrap()];
        assert_eq!(reply.peers, expected, "port 0 is no peer");
        assert_eq!((reply.complete, reply.incomplete), (Some(5), Some(7)));
        assert_eq!((reply.interval.as_secs(), reply.min_interval.as_secs()), (900, 120));
        assert_eq!(reply.external_ip, Some("1.2.3.4".parse().unwrap()));
        assert_eq!(reply.tracker_id.as_deref(), Some(&b"id"[..]));
        assert_eq!(reply.warning.as_deref(), Some("hey"));
    }

    #[test]
    fn listed_peers_are_read_when_they_are_addresses() {
        let body = b"d5:peersl\
            d2:ip7:1.1.1.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti1ee\
            d2:ip11:peer.sample4:porti1ee\
            d2:ip7:1.1.1.14:porti65536ee\
            d2:ip7:1.1.1.14:porti-1ee\
            d2:ip5:fe::14:porti9ee\
            i0e\
            ee";
        let expected: Vec<SocketAddr> = vec!["1.1.1.1:1".parse().unwrap(), "[fe::1]:9".parse().unwrap()];
        assert_eq!(parse_reply(body).unwrap().peers, expected);
    }

    #[test]
    fn a_failure_reason_is_the_whole_answer() {
        let body = b"d14:failure reason10:not \x07found8:intervali900e5:peers0:e";
        assert_eq!(parse_reply(body), Err(ReplyError::Rejected("not  found".into())));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        assert!(matches!(parse_reply(b"<html>"), Err(ReplyError::Bencode(_))));
        assert_eq!(parse_reply(b"le"), Err(ReplyError::NotADictionary));
        assert_eq!(parse_reply(b"d8:intervali900ee"), Err(ReplyError::NoPeers));
        assert_eq!(parse_reply(b"d5:peersi1ee"), Err(ReplyError::NoPeers));
        assert_eq!(parse_reply(b"d5:peers0:e").unwrap().peers, []);
    }
}

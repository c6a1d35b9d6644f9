//! What trackers and torrents send to `afflux-tracker`: replies over HTTP, datagrams, URLs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use afflux_metainfo::{InfoHash, PeerId};
use afflux_tracker::http::{announce_url, parse_reply};
use afflux_tracker::udp::{Client, Config, Output};
use afflux_tracker::{AnnounceRequest, Event, Reply, TrackerUrl, limits};

/// The body of an HTTP reply: no panic, and whatever is accepted is inside the limits.
pub fn tracker_http(data: &[u8]) {
    if let Ok(reply) = parse_reply(data) {
        assert_within_limits(&reply);
    }
}

/// A UDP attempt. The first byte chooses the family; then come steps: a byte that says what happens, one that is the
/// length of a datagram's body, and that body. No panic; at most one end; nothing but silence after it.
pub fn tracker_udp(data: &[u8]) {
    let Some((&family, mut steps)) = data.split_first() else { return };
    let server: SocketAddr = match family % 2 {
        0 => SocketAddr::from(([192, 0, 2, 1], 6969)),
        _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 6969)),
    };
    let mut now = Instant::now();
    let config = Config {
        server,
        request: request(None),
        path_and_query: "/announce?x=1".to_owned(),
        connection_id: None,
        timeout: Duration::from_secs(600),
    };
    let mut client = Client::new(config, u64::from(family), now);
    let (mut transaction, mut ended) = ([0; 4], false);
    loop {
        drain(&mut client, &mut transaction, &mut ended);
        assert_eq!(client.deadline().is_none(), ended);
        let [what, length, rest @ ..] = steps else { return };
        let (body, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        steps = rest;
        if what & 0x80 != 0 {
            now += Duration::from_secs(u64::from(*what & 0x7f));
            client.handle_timeout(now);
            continue;
        }
        // The lower bits are the action; the others say whether it comes from the server, with its transaction.
        let from = if what & 0x40 == 0 { server } else { SocketAddr::from(([192, 0, 2, 2], 6969)) };
        let answered = if what & 0x20 == 0 { transaction } else { [0; 4] };
        let datagram = [&u32::from(what & 0x0f).to_be_bytes()[..], &answered, body].concat();
        client.handle_datagram(from, &datagram, now);
        client.handle_datagram(from, body, now);
    }
}

/// A URL as a torrent has it: no panic; what is accepted is read the same again, and an announce for it is printable ASCII.
pub fn tracker_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(url) = text.parse::<TrackerUrl>() else { return };
    assert_eq!(url.as_str().parse::<TrackerUrl>().as_ref(), Ok(&url));
    assert!(url.as_str().len() <= limits::URL_BYTES_MAX);
    assert_ne!(url.port(), 0);
    let announce = announce_url(&url, &request(Some(data.to_vec())));
    assert!(announce.starts_with(url.as_str()));
    assert!(announce.bytes().all(|byte| byte.is_ascii_graphic()));
}

fn drain(client: &mut Client, transaction: &mut [u8; 4], ended: &mut bool) {
    while let Some(output) = client.poll_output() {
        assert!(!*ended, "an attempt ends once, and last");
        match output {
            Output::Send(datagram) => {
                assert!(datagram.len() < 1200);
                transaction.copy_from_slice(&datagram[12..16]);
            }
            Output::Done(result) => {
                *ended = true;
                if let Ok(reply) = result {
                    assert_within_limits(&reply);
                }
            }
        }
    }
}

fn assert_within_limits(reply: &Reply) {
    assert!((limits::INTERVAL_MIN..=limits::INTERVAL_MAX).contains(&reply.interval));
    assert!((limits::MIN_INTERVAL_MIN..=reply.interval).contains(&reply.min_interval));
    assert!(reply.peers.len() <= limits::PEERS_MAX);
    assert!(reply.peers.iter().all(|peer| peer.port() != 0));
    assert!(reply.tracker_id.as_ref().is_none_or(|id| id.len() <= limits::TRACKER_ID_BYTES_MAX));
    assert!(reply.warning.as_ref().is_none_or(|text| text.chars().count() <= limits::MESSAGE_CHARS_MAX));
}

fn request(tracker_id: Option<Vec<u8>>) -> AnnounceRequest {
    AnnounceRequest {
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
        port: 6881,
        uploaded: 0,
        downloaded: 0,
        left: 1,
        event: Event::Started,
        numwant: None,
        key: 1,
        tracker_id,
    }
}

//! The extension handshake (BEP 10), with the keys of BEP 9, 21 and 54.
//!
//! Not here: what is said under the ids that it gives out ([`metadata`](crate::metadata) is one).

use std::net::IpAddr;

use afflux_metainfo::bencode::{Dict, Document, Writer};
use afflux_metainfo::limits::METADATA_BYTES_MAX;

use crate::limits::{CLIENT_NAME_CHARS_MAX, EXTENSION_BENCODE, OUTSTANDING_MAX};
use crate::violation::Violation;

/// The id of the extension handshake itself (BEP 10).
pub const HANDSHAKE_ID: u8 = 0;

/// The id under which peers send us `ut_metadata`; ours.
pub const OUR_UT_METADATA: u8 = 1;

/// The id under which peers send us `lt_donthave`; ours.
pub const OUR_LT_DONTHAVE: u8 = 2;

/// What an extension handshake said; absent or senseless values are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionHandshake {
    /// `v`: the peer's name for itself, made printable and short.
    pub client: Option<String>,
    /// `reqq`: requests that the peer queues; clamped to what we use.
    pub reqq: Option<u32>,
    /// `metadata_size` in bytes (BEP 9); only sizes that we would take.
    pub metadata_size: Option<u32>,
    /// `p`: the peer's TCP port for incoming connections.
    pub listen_port: Option<u16>,
    /// `upload_only` (BEP 21).
    pub upload_only: Option<bool>,
    /// `yourip`: our address as the peer sees it. A vote, not a fact.
    pub your_ip: Option<IpAddr>,
    /// The peer's id for `ut_metadata` (BEP 9), `None` if not supported or switched off.
    pub ut_metadata: Option<u8>,
    /// The peer's id for `lt_donthave` (BEP 54).
    pub lt_donthave: Option<u8>,
}

impl ExtensionHandshake {
    /// Takes a handshake in on top of what earlier ones said: BEP 10 allows repeats that tell only what
    /// changed.
    pub fn update(&mut self, payload: &[u8]) -> Result<(), Violation> {
        let document =
            Document::parse(payload, &EXTENSION_BENCODE).map_err(|_| Violation::MalformedExtension)?;
        let dict = document.root().as_dict().ok_or(Violation::MalformedExtension)?;
        if let Some(names) = dict.get(b"m").and_then(|value| value.as_dict()) {
            update_id(&mut self.ut_metadata, names, b"ut_metadata");
            update_id(&mut self.lt_donthave, names, b"lt_donthave");
        }
        set(&mut self.client, dict.get_bytes(b"v").and_then(printable));
        let reqq = |number: i64| Some(number.clamp(1, i64::from(OUTSTANDING_MAX)) as u32);
        set(&mut self.reqq, dict.get_int(b"reqq").and_then(reqq));
        let size = |number: i64| u32::try_from(number).ok().filter(|size| (1..=METADATA_MAX).contains(size));
        set(&mut self.metadata_size, dict.get_int(b"metadata_size").and_then(size));
        let port = |number: i64| u16::try_from(number).ok().filter(|&port| port > 0);
        set(&mut self.listen_port, dict.get_int(b"p").and_then(port));
        set(&mut self.upload_only, dict.get_int(b"upload_only").map(|number| number != 0));
        set(&mut self.your_ip, dict.get_bytes(b"yourip").and_then(address));
        Ok(())
    }

    /// The payload of a handshake that says this. The ids in it are ours to choose.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.dict(|dict| {
            dict.bytes("m").dict(|names| {
                if let Some(id) = self.lt_donthave {
                    names.bytes("lt_donthave").int(i64::from(id));
                }
                if let Some(id) = self.ut_metadata {
                    names.bytes("ut_metadata").int(i64::from(id));
                }
            });
            if let Some(size) = self.metadata_size {
                dict.bytes("metadata_size").int(i64::from(size));
            }
            if let Some(port) = self.listen_port {
                dict.bytes("p").int(i64::from(port));
            }
            if let Some(reqq) = self.reqq {
                dict.bytes("reqq").int(i64::from(reqq));
            }
            if let Some(upload_only) = self.upload_only {
                dict.bytes("upload_only").int(i64::from(upload_only));
            }
            if let Some(client) = &self.client {
                dict.bytes("v").bytes(client);
            }
            match self.your_ip {
                Some(IpAddr::V4(ip)) => drop(dict.bytes("yourip").bytes(ip.octets())),
                Some(IpAddr::V6(ip)) => drop(dict.bytes("yourip").bytes(ip.octets())),
                None => {}
            }
        });
        writer.finish()
    }
}

const METADATA_MAX: u32 = METADATA_BYTES_MAX as u32;

fn set<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

/// BEP 10: zero switches off, a name that isn't there stays as it was.
fn update_id(place: &mut Option<u8>, names: Dict<'_, '_>, name: &[u8]) {
    if let Some(number) = names.get_int(name) {
        *place = u8::try_from(number).ok().filter(|&id| id != HANDSHAKE_ID);
    }
}

/// The name as people may see it: logs and terminals obey control characters.
fn printable(name: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(name);
    let shown: String =
        text.chars().filter(|c| !c.is_control() && !is_invisible(*c)).take(CLIENT_NAME_CHARS_MAX).collect();
    (!shown.trim().is_empty()).then(|| shown.trim().to_owned())
}

/// Marks that change the direction of text, or have no width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(payload: &[u8]) -> Result<ExtensionHandshake, Violation> {
        let mut handshake = ExtensionHandshake::default();
        handshake.update(payload).map(|()| handshake)
    }

    #[test]
    fn example_of_bep_10_is_read() {
        // The text of the BEP counts one byte too few for its µ; this is what it means.
        let handshake =
            parse("d1:md11:LT_metadatai1e7:µT_PEXi2ee1:pi6881e1:v13:µTorrent 1.2e".as_bytes()).unwrap();
        assert_eq!(handshake.client.as_deref(), Some("µTorrent 1.2"));
        assert_eq!((handshake.listen_port, handshake.ut_metadata), (Some(6881), None));
    }

    #[test]
    fn what_is_written_is_read() {
        let full = ExtensionHandshake {
            client: Some("Afflux/0.1.0".into()),
            reqq: Some(500),
            metadata_size: Some(31235),
            listen_port: Some(6881),
            upload_only: Some(true),
            your_ip: Some("2001:db8::1".parse().unwrap()),
            ut_metadata: Some(3),
            lt_donthave: Some(255),
        };
        for handshake in [full, ExtensionHandshake::default()] {
            let payload = handshake.encode();
            assert_eq!(parse(&payload), Ok(handshake));
            assert!(
                Document::parse(&payload, &EXTENSION_BENCODE)
                    .unwrap()
                    .root()
                    .as_dict()
                    .unwrap()
                    .is_canonical()
            );
        }
    }

    #[test]
    fn a_repeat_changes_only_what_it_names() {
        let mut handshake = parse(b"d1:md11:lt_donthavei7e11:ut_metadatai2ee4:reqqi100ee").unwrap();
        handshake.update(b"d1:md11:ut_metadatai0ee11:upload_onlyi1ee").unwrap();
        assert_eq!((handshake.ut_metadata, handshake.lt_donthave), (None, Some(7)));
        assert_eq!((handshake.reqq, handshake.upload_only), (Some(100), Some(true)));
    }

    #[test]
    fn senseless_values_are_dropped_or_clamped() {
        let handshake = parse(
            b"d1:md11:lt_donthavei-1e11:ut_metadatai256ee13:metadata_sizei2147483648e1:pi65536e4:reqqi0e6:yourip3:abce",
        )
        .unwrap();
        assert_eq!(handshake, ExtensionHandshake { reqq: Some(1), ..Default::default() });
        assert_eq!(parse(b"d4:reqqi2147483648ee").unwrap().reqq, Some(OUTSTANDING_MAX));
        for size in ["0", "-5", "16777217"] {
            assert_eq!(parse(format!("d13:metadata_sizei{size}ee").as_bytes()).unwrap().metadata_size, None);
        }
    }

    #[test]
    fn names_are_made_fit_to_be_seen() {
        let client = |name: &[u8]| {
            let mut payload = format!("d1:v{}:", name.len()).into_bytes();
            payload.extend_from_slice(name);
            payload.push(b'e');
            parse(&payload).unwrap().client
        };
        assert_eq!(client(b"\x1b[2Jevil\r\n").as_deref(), Some("[2Jevil"));
        assert_eq!(client("a\u{202e}b".as_bytes()).as_deref(), Some("ab"));
        assert_eq!(client(b"\n\t ").as_deref(), None);
        assert_eq!(client(&[b'x'; 1000]).map(|name| name.len()), Some(CLIENT_NAME_CHARS_MAX));
    }

    #[test]
    fn what_is_no_dictionary_is_malformed() {
        for payload in [&b""[..], b"le", b"i1e", b"d", b"dede", b"d1:m"] {
            assert_eq!(parse(payload), Err(Violation::MalformedExtension));
        }
    }
}

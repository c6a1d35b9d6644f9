//! The table between runs: our ids and the nodes that were good, bencoded.
//!
//! A saved table is outside data like any other: it is bounded, checked, and its nodes are asked before they
//! are believed. Not here: the file.

use afflux_metainfo::bencode::{self, Document, Writer};

use crate::address::{Contact, Family, compact_nodes, is_usable, read_nodes};
use crate::id::NodeId;
use crate::krpc::Malformed;
use crate::limits;

/// What a node remembers from its last run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Our id in the IPv4 and in the IPv6 DHT.
    pub ids: [NodeId; 2],
    /// IPv4 nodes.
    pub v4: Vec<Contact>,
    /// IPv6 nodes.
    pub v6: Vec<Contact>,
}

impl Saved {
    /// As a bencoded dictionary.
    pub fn to_bytes(&self) -> Vec<u8> {
        let most = |nodes: &[Contact]| compact_nodes(&nodes[..nodes.len().min(limits::SAVED_NODES_MAX)]);
        let mut writer = Writer::new();
        writer.dict(|d| {
            d.bytes("id").bytes(self.ids[0].0).bytes("id6").bytes(self.ids[1].0);
            d.bytes("nodes").bytes(most(&self.v4)).bytes("nodes6").bytes(most(&self.v6));
        });
        writer.finish()
    }

    /// Reads what [`Saved::to_bytes`] wrote, or refuses it. Nodes that can't be reached are left out.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let limits =
            bencode::Limits { bytes: limits::SAVED_BYTES_MAX, depth: 4, tokens: 64, ..limits::MESSAGE };
        let document = Document::parse(bytes, &limits)?;
        let root = document.root().as_dict().ok_or(Malformed::Kind)?;
        let id = |key: &'static str| -> Result<NodeId, Malformed> {
            root.get_bytes(key.as_bytes()).and_then(NodeId::from_slice).ok_or(Malformed::Key(key))
        };
        let nodes = |key: &'static str, family| -> Result<Vec<Contact>, Malformed> {
            let bytes = root.get_bytes(key.as_bytes()).ok_or(Malformed::Key(key))?;
            let mut nodes = read_nodes(bytes, family).ok_or(Malformed::Key(key))?;
            nodes.retain(|node| is_usable(node.addr));
            nodes.truncate(limits::SAVED_NODES_MAX);
            Ok(nodes)
        };
        Ok(Self {
            ids: [id("id")?, id("id6")?],
            v4: nodes("nodes", Family::V4)?,
            v6: nodes("nodes6", Family::V6)?,
        })
    }

    pub(crate) fn nodes(&self, family: Family) -> &[Contact] {
        if family == Family::V4 { &self.v4 } else { &self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(seed: u8, addr: &str) -> Contact {
        Contact { id: NodeId([seed; 20]), addr: addr.parse().unwrap() }
    }

    #[test]
    fn a_saved_table_comes_back_whole() {
        let saved = Saved {
            ids: [NodeId([1; 20]), NodeId([2; 20])],
            v4: vec![node(3, "1.2.3.4:5"), node(4, "127.0.0.1:9")],
            v6: vec![node(5, "[2001:db8::1]:6881")],
        };
        assert_eq!(Saved::from_bytes(&saved.to_bytes()), Ok(saved));
    }

    #[test]
    fn a_damaged_table_is_refused_and_an_unreachable_node_left_out() {
        let saved = Saved {
            ids: [NodeId([1; 20]); 2],
            v4: vec![node(3, "224.0.0.1:5"), node(4, "1.1.1.1:0"), node(5, "1.1.1.1:1")],
            v6: Vec::new(),
        };
        let bytes = saved.to_bytes();
        assert_eq!(Saved::from_bytes(&bytes).unwrap().v4, [node(5, "1.1.1.1:1")]);
        for cut in 0..bytes.len() {
            assert!(Saved::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Saved::from_bytes(b"d2:id3:abce").is_err());
    }

    #[test]
    fn a_table_beyond_the_bound_is_cut() {
        let many = vec![node(3, "1.2.3.4:5"); limits::SAVED_NODES_MAX + 1];
        let saved = Saved { ids: [NodeId([1; 20]); 2], v4: many, v6: Vec::new() };
        assert_eq!(Saved::from_bytes(&saved.to_bytes()).unwrap().v4.len(), limits::SAVED_NODES_MAX);
    }
}

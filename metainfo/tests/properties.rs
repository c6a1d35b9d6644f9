//! What holds for all names and all magnets.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use afflux_metainfo::path::{disambiguate, safe_component, safe_components};
use afflux_metainfo::{InfoHash, InfoHashV2, InfoHashes, Magnet, PeerAddress, limits};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Components out of few letters, so that they collide.
fn component() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[aAbB.]{0,4}".prop_map(String::into_bytes),
        1 => "(con|NUL|a\\.1|a\\.2|A\\.1\\.1)(\\.x)?".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..6),
        1 => "[aé]{236,260}(\\.mkv)?".prop_map(String::into_bytes),
    ]
}

fn hashes() -> impl Strategy<Value = InfoHashes> {
    let (v1, v2) = (any::<[u8; 20]>().prop_map(InfoHash), any::<[u8; 32]>().prop_map(InfoHashV2));
    prop_oneof![
        v1.clone().prop_map(InfoHashes::V1),
        v2.clone().prop_map(InfoHashes::V2),
        (v1, v2).prop_map(|(v1, v2)| InfoHashes::Hybrid(v1, v2)),
    ]
}

fn peer() -> impl Strategy<Value = PeerAddress> {
    let port = 1u16..;
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(|(ip, port)| PeerAddress::Socket((ip, port.max(1)).into())),
        any::<([u16; 8], u16)>().prop_map(|(ip, port)| PeerAddress::Socket((ip, port.max(1)).into())),
        ("[a-z]{1,5}\\.example", port).prop_map(|(host, port)| PeerAddress::Named { host, port }),
    ]
}

/// Sorted and apart by construction: each pair is a gap and a width.
fn select() -> impl Strategy<Value = Vec<RangeInclusive<u32>>> {
    vec((2u32..9, 0u32..9), 0..6).prop_map(|steps| {
        let mut end = 0;
        let next = |(gap, width)| {
            let range = end + gap..=end + gap + width;
            end = *range.end();
            range
        };
        steps.into_iter().map(next).collect()
    })
}

prop_compose! {
    fn magnet()(
        hashes in hashes(),
        name in option::of("[a-zé&=%+#日 ]{0,12}[a-z]"),
        trackers in vec("(http|udp)://[a-z]{3,9}/[a-z%&+=?]{0,9}", 0..5),
        web_seeds in vec("https://[a-z]{3,9}/[a-z%&+=?é]{0,9}", 0..5),
        peers in vec(peer(), 0..5),
        select in select(),
        exact_length in option::of(any::<u64>()),
    ) -> Magnet {
        let apart = |urls: Vec<String>| urls.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let name = name.map(|name| name.trim().to_owned());
        let peers = peers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let (trackers, web_seeds) = (apart(trackers), apart(web_seeds));
        Magnet { hashes, name, trackers, web_seeds, peers, select, exact_length }
    }
}

proptest! {
    #[test]
    fn safe_names_stay_safe_and_become_different(raw in vec(vec(component(), 0..4), 0..24)) {
        let mut paths = Vec::new();
        for path in &raw {
            let views: Vec<&[u8]> = path.iter().map(Vec::as_slice).collect();
            paths.push(safe_components(&views).unwrap());
        }
        disambiguate(&mut paths.iter_mut().collect::<Vec<_>>()).unwrap();
        for component in paths.iter().flatten() {
            prop_assert!(component.len() <= limits::PATH_COMPONENT_BYTES_MAX);
            let again = safe_component(component.as_bytes());
            prop_assert_eq!(again.as_deref(), Some(&component[..]));
        }
        let mut folded: Vec<Vec<String>> =
            paths.iter().map(|path| path.iter().map(|component| component.to_lowercase()).collect()).collect();
        folded.sort();
        // Sorted, whatever lies below a file comes right behind it.
        prop_assert!(folded.windows(2).all(|pair| !pair[1].starts_with(&pair[0])), "{:?}", paths);
        prop_assert_eq!(disambiguate(&mut paths.iter_mut().collect::<Vec<_>>()).unwrap(), Vec::<usize>::new());
    }

    #[test]
    fn a_written_magnet_reads_as_the_same(magnet in magnet()) {
        prop_assert_eq!(magnet.to_string().parse(), Ok(magnet));
    }

    #[test]
    fn no_text_makes_a_magnet_panic(rest in "[xtdnrwsopel.=&%0-9a-f:/\\[\\],+-]{0,60}") {
        let _ = format!("magnet:?xt=urn:btih:{}&{rest}", "a".repeat(40)).parse::<Magnet>();
    }
}

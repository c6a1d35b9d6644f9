//! The table against its rules, and against a plain list in random runs.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[allow(clippy::disallowed_methods, reason = "any instant will do as the start of virtual time")]
fn start() -> Instant {
    Instant::now()
}

const OWN: NodeId = NodeId([0; 20]);

fn node(first: u8, second: u8, addr: [u8; 4]) -> Contact {
    let mut id = [0x77; 20];
    (id[0], id[1]) = (first, second);
    Contact { id: NodeId(id), addr: SocketAddr::from((addr, 6881)) }
}

/// Nodes of the far half, each in its own /24.
fn far(number: u8) -> Contact {
    node(0x80, number, [8, 8, number, 1])
}

fn full(now: Instant) -> Table {
    let mut table = Table::new(OWN, now);
    // Near nodes make the first bucket split; then the far half fills.
    for number in 0..9 {
        table.answered(node(0x01, number, [9, 9, number, 1]), now);
    }
    for number in 0..8 {
        assert_eq!(table.answered(far(number), now), Admission::Added);
    }
    table
}

#[test]
fn a_full_bucket_of_good_nodes_takes_no_more() {
    let now = start();
    let mut table = full(now);
    assert_eq!(table.answered(far(8), now), Admission::Waiting(None));
    assert!(!table.asked(far(9), now), "no use in pinging it");
    assert_eq!(table.answered(node(0x00, 1, [9, 9, 77, 1]), now), Admission::Added, "our own half splits");
}

#[test]
fn a_silent_node_is_pinged_before_another_takes_its_place() {
    let now = start();
    let mut table = full(now);
    for number in 1..8 {
        table.answered(far(number), now + Duration::from_secs(60));
    }
    let later = now + limits::GOOD_FOR;
    assert_eq!(table.answered(far(8), later), Admission::Waiting(Some(far(0))));
    assert!(table.knows(far(0).addr));
    table.failed(far(0).addr);
    assert!(table.knows(far(0).addr), "one lost datagram is no death");
    table.failed(far(0).addr);
    assert!(!table.knows(far(0).addr));
    assert!(table.knows(far(8).addr), "the spare has moved in");
}

#[test]
fn a_pinged_node_that_answers_stays() {
    let now = start();
    let mut table = full(now);
    let later = now + limits::GOOD_FOR;
    table.answered(far(8), later);
    table.failed(far(0).addr);
    assert_eq!(table.answered(far(0), later), Admission::Known);
    table.failed(far(0).addr);
    assert!(table.knows(far(0).addr), "failures count only in a row");
}

#[test]
fn one_address_and_one_network_get_one_place() {
    let now = start();
    let mut table = Table::new(OWN, now);
    assert_eq!(table.answered(node(0x80, 1, [8, 8, 8, 1]), now), Admission::Added);
    assert_eq!(table.answered(node(0x81, 2, [8, 8, 8, 2]), now), Admission::Refused, "same /24");
    let mut same_ip = node(0x01, 3, [8, 8, 8, 1]);
    same_ip.addr.set_port(1);
    assert_eq!(table.answered(same_ip, now), Admission::Refused, "same address");
    assert!(!table.asked(same_ip, now));
    assert_eq!(table.answered(node(0x80, 4, [10, 0, 0, 1]), now), Admission::Added);
    assert_eq!(table.answered(node(0x80, 5, [10, 0, 0, 2]), now), Admission::Added, "a LAN has one network");
}

#[test]
fn a_known_id_at_another_address_is_believed_only_after_the_first_is_gone() {
    let now = start();
    let mut table = Table::new(OWN, now);
    let (honest, thief) = (node(0x80, 1, [8, 8, 8, 1]), node(0x80, 1, [6, 6, 6, 6]));
    table.answered(honest, now);
    assert_eq!(table.answered(thief, now), Admission::Refused);
    table.failed(honest.addr);
    assert_eq!(table.answered(thief, now), Admission::Refused);
    table.failed(honest.addr);
    assert_eq!(table.answered(thief, now), Admission::Added);
    assert_eq!(table.len(), 1);
}

#[test]
fn a_node_that_restarts_with_a_new_id_replaces_itself() {
    let now = start();
    let mut table = Table::new(OWN, now);
    table.answered(node(0x80, 1, [8, 8, 8, 1]), now);
    assert_eq!(table.answered(node(0x01, 2, [8, 8, 8, 1]), now), Admission::Added);
    assert_eq!(table.contacts().collect::<Vec<_>>(), [node(0x01, 2, [8, 8, 8, 1])]);
}

#[test]
fn our_own_id_never_comes_in() {
    let now = start();
    let mut table = Table::new(OWN, now);
    let contact = Contact { id: OWN, addr: SocketAddr::from(([8, 8, 8, 8], 1)) };
    assert_eq!(table.answered(contact, now), Admission::Refused);
    assert!(!table.asked(contact, now));
}

#[test]
fn nodes_that_failed_are_not_given_to_others() {
    let now = start();
    let mut table = Table::new(OWN, now);
    table.answered(far(1), now);
    table.answered(far(2), now);
    table.failed(far(1).addr);
    assert_eq!(table.closest(&OWN, 8), [far(2)]);
}

#[test]
fn a_spare_with_a_fitting_id_goes_first() {
    let now = start();
    let mut table = full(now);
    // The newest spare has any id; the one before fits its address.
    let ip = [8, 8, 200, 1];
    let fitting = (0..=255)
        .map(|r| Contact { id: NodeId::for_address(ip.into(), [r; 20]), addr: SocketAddr::from((ip, 1)) })
        .find(|contact| contact.id.0[0] & 0x80 != 0)
        .unwrap();
    table.answered(fitting, now);
    table.answered(far(100), now);
    table.failed(far(0).addr);
    table.failed(far(0).addr);
    assert!(table.knows(fitting.addr));
    assert!(!table.knows(far(100).addr));
}

#[test]
fn quiet_buckets_are_refreshed_once_each() {
    let now = start();
    let mut table = full(now);
    let later = now + limits::GOOD_FOR;
    assert_eq!(table.refresh_target([1; 20], later - Duration::from_secs(1)), None);
    let targets: Vec<_> = std::iter::from_fn(|| table.refresh_target([0xaa; 20], later)).collect();
    assert_eq!(targets.len(), table.buckets.len());
    for (bits, target) in targets.iter().enumerate() {
        assert_eq!(OWN.shared_bits(target), bits);
    }
}

#[test]
fn a_new_id_of_ours_keeps_the_nodes() {
    let now = start();
    let mut table = full(now);
    let before = table.len();
    table.rebase(NodeId([0xff; 20]), now);
    assert_eq!(table.own(), NodeId([0xff; 20]));
    assert!(table.len() + 4 >= before, "{} of {before}", table.len());
    check(&table);
}

fn check(table: &Table) {
    let contacts: Vec<_> = table.contacts().collect();
    for (at, bucket) in table.buckets.iter().enumerate() {
        assert!(bucket.entries.len() <= limits::BUCKET_NODES_MAX);
        assert!(bucket.spares.len() <= limits::SPARE_NODES_MAX);
        for entry in &bucket.entries {
            assert_eq!(table.bucket_of(entry.contact.id), at);
            let neighbours = bucket
                .entries
                .iter()
                .filter(|e| neighbourhood(e.contact.addr.ip()) == neighbourhood(entry.contact.addr.ip()));
            assert!(neighbours.count() == 1 || scope(entry.contact.addr.ip()) != Scope::Global);
        }
    }
    for (at, contact) in contacts.iter().enumerate() {
        assert!(contacts[at + 1..].iter().all(|c| c.id != contact.id && c.addr != contact.addr));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_run_keeps_the_rules(steps in prop::collection::vec((0u8..3, any::<u16>(), 0u8..12, any::<u16>()), 1..200)) {
        let mut now = start();
        let mut table = Table::new(OWN, now);
        for (kind, id, net, pause) in steps {
            now += Duration::from_millis(u64::from(pause) * 10);
            // Ids crowd around ours, so that buckets split deep.
            let mut bytes = [0; 20];
            bytes[(id % 5) as usize] = (id >> 8) as u8 | 1;
            let contact = Contact {
                id: NodeId(bytes),
                addr: SocketAddr::from(([if id & 8 == 0 { 10 } else { 8 }, 8, net, (id & 3) as u8 + 1], 6881)),
            };
            match kind {
                0 => { table.answered(contact, now); }
                1 => { table.asked(contact, now); }
                _ => table.failed(contact.addr),
            }
            check(&table);
            let mut all: Vec<_> =
                table.entries().filter(|e| e.failures == 0).map(|e| e.contact).collect();
            all.sort_by_key(|c| c.id.distance(&contact.id));
            all.truncate(8);
            prop_assert_eq!(table.closest(&contact.id, 8), all);
        }
    }
}

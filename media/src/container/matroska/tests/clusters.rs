//! An index out of Clusters as they pass.

use proptest::prelude::*;

use super::writer::*;
use super::{head, id};
use crate::container::Point;
use crate::container::matroska::ClusterScan;

/// A film without Cues; says where its Clusters are, which are of both kinds.
fn film() -> (Vec<u8>, Vec<Point>) {
    let mut children = vec![info(50_000.0), tracks()];
    let mut places = Vec::new();
    for nth in 0..5u64 {
        places.push(children.concat().len() as u64);
        let sum = element(id::CRC_32, [9; 4]);
        let content = [sum, uint(id::TIMESTAMP, nth * 10_000), simple_block(1, 0, vec![nth as u8; 700])];
        children.push(if nth % 2 == 0 {
            parent(id::CLUSTER, &content)
        } else {
            endless(id::CLUSTER, &content)
        });
    }
    let start = segment_start(&children);
    let points = (0..).zip(places).map(|(nth, at)| Point { micros: nth * 10_000_000, offset: start + at });
    (file(&children), points.collect())
}

#[test]
fn clusters_that_pass_in_order_make_an_index() {
    let (file, points) = film();
    for part in [1, 2, 63, 64, 65, 1000, 9999] {
        let mut scan = ClusterScan::new(&head(&file));
        assert_eq!(scan.index(), None);
        for (nth, bytes) in file.chunks(part).enumerate() {
            scan.handle((nth * part) as u64, bytes);
        }
        assert_eq!(scan.index().unwrap().points(), points, "{part} bytes at a time");
    }
}

#[test]
fn clusters_that_pass_in_any_order_are_found_in_what_came_whole() {
    let (file, points) = film();
    let mut scan = ClusterScan::new(&head(&file));
    let middle = points[3].offset as usize;
    assert!(scan.handle(middle as u64 - 5, &file[middle - 5..middle + 100]));
    assert_eq!(scan.index().unwrap().points(), &points[3..4]);
    assert!(scan.handle(0, &file[..middle]));
    assert!(!scan.handle(0, &file[..middle]), "all of them are known");
    assert_eq!(scan.index().unwrap().points(), &points[..4]);
}

#[test]
fn what_only_looks_like_a_cluster_is_none() {
    let (file, points) = film();
    let head = head(&file);
    let at = points[0].offset;
    for lie in [
        claiming(id::CLUSTER, 1 << 30, uint(id::TIMESTAMP, 5)),
        claiming(id::CLUSTER, 3, uint(id::TIMESTAMP, 5)),
        parent(id::CLUSTER, &[simple_block(1, 0, ""), uint(id::TIMESTAMP, 5)]),
        parent(id::CLUSTER, &[element(id::TIMESTAMP, [0; 9])]),
        parent(id::CLUSTER, &[uint(id::TIMESTAMP, u64::MAX)]),
        vec![0x1f; 100],
    ] {
        let mut scan = ClusterScan::new(&head);
        assert!(!scan.handle(at, &[lie, vec![0; 100]].concat()));
        assert_eq!(scan.index(), None);
    }
}

#[test]
fn a_cluster_outside_of_the_segment_is_none() {
    let (file, points) = film();
    let mut scan = ClusterScan::new(&head(&file));
    let bytes = &file[points[1].offset as usize..];
    assert!(!scan.handle(0, &bytes[..200]));
    assert!(!scan.handle(file.len() as u64, bytes));
    assert!(!scan.handle(u64::MAX - 3, bytes));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn parts_of_any_size_lead_to_the_same_index(sizes in proptest::collection::vec(1usize..400, 1..40)) {
        let (file, points) = film();
        let mut scan = ClusterScan::new(&head(&file));
        let mut at = 0;
        for size in sizes.into_iter().cycle() {
            let end = file.len().min(at + size);
            scan.handle(at as u64, &file[at..end]);
            at = end;
            if at == file.len() {
                break;
            }
        }
        let index = scan.index().unwrap();
        prop_assert_eq!(index.points(), &points[..]);
    }
}

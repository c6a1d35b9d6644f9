//! What must hold for any file that claims to be Matroska, once its Clusters are looked for.

use afflux_media::container::matroska::{ClusterScan, Head};
use afflux_media::container::{Index, Inspection, Step};

/// A file's index is the same however its bytes are divided.
pub fn cluster_scan(data: &[u8]) {
    let Some(head) = inspect(data) else { return };
    // Any size of parts will do, but a small one puts more borders into a small file.
    let part = 1 + data.len() % 61;
    assert_eq!(index(&head, data, data.len()), index(&head, data, part));
}

fn inspect(data: &[u8]) -> Option<Head> {
    let mut inspection = Inspection::new(data.len() as u64);
    loop {
        match inspection.step() {
            Step::Read(range) => {
                inspection.supply(range.start, data[range.start as usize..range.end as usize].to_vec());
            }
            Step::Done(_) => return inspection.matroska().cloned(),
            Step::Failed(_) => return None,
        }
    }
}

fn index(head: &Head, data: &[u8], part: usize) -> Option<Index> {
    let mut scan = ClusterScan::new(head);
    for (nth, bytes) in data.chunks(part).enumerate() {
        scan.handle((nth * part) as u64, bytes);
    }
    scan.index()
}

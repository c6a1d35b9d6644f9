//! Which byte is which time in films of one piece.

use super::*;

fn with(kind: &[u8; 4], replacement: Vec<u8>) -> TrackSpec {
    let mut spec = video();
    spec.tables.retain(|table| table[4..8] != *kind);
    spec.tables.push(replacement);
    spec
}

fn points_of(spec: TrackSpec) -> Vec<(u64, u64)> {
    points(&film(&[spec]))
}

#[test]
fn the_points_are_the_key_frames() {
    assert_eq!(points_of(video()), [(0, 5000), (400, 7000)]);
    assert_eq!(points_of(with(b"stss", table(b"stss", &[[3], [13]]))), [(80, 5200), (480, 7200)]);
}

#[test]
fn without_a_table_of_them_all_are_key_frames() {
    let mut spec = video();
    spec.tables.retain(|table| table[4..8] != *b"stss");
    let points = points_of(spec);
    assert_eq!((points.len(), points[6], points[24]), (25, (240, 6100), (960, 9400)));
}

#[test]
fn samples_of_different_sizes_are_added_up_in_their_chunk() {
    let key_frames = table(b"stss", &[[2], [4], [8], [25]]);
    let sizes: Vec<u32> = (1..=25).collect();
    let of_sizes = |sizes: Vec<u8>| {
        let mut spec = with(b"stss", key_frames.clone());
        spec.tables.retain(|table| table[4..8] != *b"stsz");
        spec.tables.push(sizes);
        points_of(spec)
    };
    let expected = [(40, 5001), (120, 5001 + 2 + 3), (280, 6000 + 6 + 7), (960, 9000 + 21 + 22 + 23 + 24)];
    assert_eq!(of_sizes(full(b"stsz", 0, 0, &[&[0, 25], &sizes[..]].concat())), expected);
    let bytes: Vec<u8> = (1..=25).collect();
    assert_eq!(of_sizes(boxed(b"stz2", &[be(&[0, 8, 25]), bytes].concat())), expected);
    let words: Vec<u8> = (1..=25u16).flat_map(u16::to_be_bytes).collect();
    assert_eq!(of_sizes(boxed(b"stz2", &[be(&[0, 16, 25]), words].concat())), expected);
    let nibbles = boxed(b"stz2", &[be(&[0, 4, 25]), vec![0x12; 13]].concat());
    assert_eq!(of_sizes(nibbles), [(40, 5001), (120, 5004), (280, 6003), (960, 9006)]);
}

#[test]
fn chunks_may_be_of_different_lengths_and_far_away() {
    let far = 5u64 << 32;
    let offsets: Vec<u8> = (0..3).flat_map(|nth| (far + nth * 10_000).to_be_bytes()).collect();
    let mut spec = with(b"stco", boxed(b"co64", &[be(&[0, 3]), offsets].concat()));
    spec.tables.retain(|table| table[4..8] != *b"stsc");
    spec.tables.push(table(b"stsc", &[[1, 8, 1], [3, 9, 1]]));
    assert_eq!(points_of(spec), [(0, far), (400, far + 10_000 + 200)]);
}

#[test]
fn a_key_frame_is_shown_when_it_is_put_off_to_and_the_edit_list_says() {
    let shifts = table(b"ctts", &[[10, 80], [15, 120]]);
    let shifted = with(b"ctts", shifts);
    assert_eq!(points_of(shifted.clone()), [(80, 5000), (520, 7000)]);
    let edits = |rows: &[[u32; 3]]| vec![boxes(b"edts", &[table(b"elst", rows)])];
    let cut = TrackSpec { more: edits(&[[1000, 80, 1 << 16]]), ..shifted.clone() };
    assert_eq!(points_of(cut), [(0, 5000), (440, 7000)]);
    let late =
        TrackSpec { more: edits(&[[1500, u32::MAX, 1 << 16], [1000, 80, 1 << 16]]), ..shifted.clone() };
    assert_eq!(points_of(late), [(1500, 5000), (1940, 7000)]);
    let long = [2, 0, 250, u32::MAX, u32::MAX, 1 << 16, 0, 1000, 0, 80, 1 << 16];
    let long = TrackSpec { more: vec![boxes(b"edts", &[full(b"elst", 1, 0, &long)])], ..shifted.clone() };
    assert_eq!(points_of(long), [(250, 5000), (690, 7000)]);
    // The first 200 ms, then nothing for a while, then from 480 ms on: the second key frame is 40 ms into that.
    let parts = [[200, 80, 1 << 16], [100, u32::MAX, 1 << 16], [500, 480, 1 << 16]];
    let two = TrackSpec { more: edits(&parts), ..shifted.clone() };
    assert_eq!(points_of(two), [(0, 5000), (340, 7000)]);
    let left_out = TrackSpec { more: edits(&[[200, 80, 1 << 16], [500, 600, 1 << 16]]), ..shifted.clone() };
    assert_eq!(points_of(left_out), [(0, 5000), (200, 7000)], "it is where the second part begins");
    for strange in [[500, 40, 1 << 16], [500, 480, 2 << 16], [500, 480, 0]] {
        let first = TrackSpec { more: edits(&[[200, 80, 1 << 16], strange]), ..shifted.clone() };
        assert_eq!(points_of(first), [(0, 5000), (440, 7000)], "{strange:?} isn't followed");
    }
    let back = with(b"ctts", full(b"ctts", 1, 0, &[1, 25, (-40i32) as u32]));
    assert_eq!(points_of(back), [(0, 5000), (360, 7000)], "what would be before the start is at it");
}

#[test]
fn sound_that_lies_before_its_pictures_is_read_with_them_if_it_is_near() {
    let sound = |offsets: &[[u32; 1]]| {
        let mut sound = described::audio();
        sound.tables.retain(|table| table[4..8] != *b"stco");
        sound.tables.push(table(b"stco", offsets));
        points(&film(&[video(), sound]))
    };
    assert_eq!(sound(&[[4000], [7500]]), [(0, 4000), (400, 4000)]);
    assert_eq!(sound(&[[4900], [9900]]), [(0, 4900), (400, 4900)]);
    assert_eq!(sound(&[[5900], [9900]]), [(0, 5000), (400, 5900)]);
    assert_eq!(sound(&[[90_000], [99_000]]), [(0, 5000), (400, 7000)]);
    let mut far = video();
    far.tables.retain(|table| table[4..8] != *b"stco");
    far.tables.push(table(b"stco", &[[9 << 20], [10 << 20], [20 << 20]]));
    assert_eq!(points(&film(&[far, described::audio()])), [(0, 9 << 20), (400, 20 << 20)]);
}

#[test]
fn sound_alone_has_a_point_for_about_each_second() {
    let mut long = described::audio();
    long.tables = vec![
        table(b"stts", &[[500, 20]]),
        table(b"stsc", &[[1, 500, 1]]),
        full(b"stsz", 0, 0, &[10, 500]),
        table(b"stco", &[[4000]]),
    ];
    let seconds: Vec<_> = (0..10).map(|nth| (nth * 1000, 4000 + nth * 500)).collect();
    assert_eq!(points(&film(&[long])), seconds);
}

#[test]
fn sound_whose_sizes_are_not_bytes_has_points_where_its_chunks_begin() {
    let mut pcm = TrackSpec::new(1, b"soun", sound(b"twos", 0, 2, 1000, &[]));
    pcm.tables = vec![
        table(b"stts", &[[4000, 1]]),
        table(b"stsc", &[[1, 1500, 1]]),
        full(b"stsz", 0, 0, &[1, 4000]),
        table(b"stco", &[[100], [6100], [12100]]),
    ];
    assert_eq!(points(&film(&[pcm])), [(0, 100), (1500, 6100), (3000, 12100)]);
}

#[test]
fn a_table_that_ends_early_ends_the_index_and_leaves_the_facts() {
    for (kind, short) in [
        (b"stco", table(b"stco", &[[5000]])),
        (b"stts", table(b"stts", &[[5, 40]])),
        (b"ctts", table(b"ctts", &[[5, 0]])),
        (b"stss", full(b"stss", 0, 0, &[u32::MAX, 1])),
        (b"stsz", full(b"stsz", 0, 0, &[&[0, u32::MAX][..], &[7; 3]].concat())),
    ] {
        let mut spec = with(kind, short);
        if kind == b"stsz" {
            spec.tables.retain(|table| table[4..8] != *b"stss");
            spec.tables.push(table(b"stss", &[[1], [14]]));
        }
        assert_eq!(points_of(spec), [(0, 5000)], "{kind:?}");
    }
    let nothing = TrackSpec { tables: Vec::new(), ..video() };
    assert_eq!(
        (points_of(nothing.clone()), film(&[nothing]).duration),
        (vec![], Some(Duration::from_secs(1)))
    );
}

#[test]
fn tables_that_contradict_themselves_have_no_index() {
    for chunks in [[0, 5, 1], [1, 0, 1], [7, 5, 1]] {
        assert_eq!(points_of(with(b"stsc", table(b"stsc", &[chunks]))), []);
    }
    assert_eq!(points_of(with(b"stsc", table(b"stsc", &[[5, 5, 1], [2, 5, 1]]))), []);
    assert_eq!(points_of(with(b"stss", table(b"stss", &[[0], [1]]))), []);
    assert_eq!(points_of(with(b"stss", table(b"stss", &[[11], [1]]))), [(400, 7000)], "none goes back");
    assert_eq!(points_of(TrackSpec { timescale: 0, ..video() }), []);
}

#[test]
fn four_billion_samples_in_twenty_bytes_cost_nothing() {
    let mut spec = video();
    spec.tables = vec![
        table(b"stts", &[[u32::MAX, 1]]),
        table(b"stsc", &[[1, u32::MAX, 1]]),
        full(b"stsz", 0, 0, &[3, u32::MAX]),
        table(b"stco", &[[0]]),
    ];
    let points = points_of(spec);
    assert!(points.len() > POINTS_MAX / 4 && points.len() <= POINTS_MAX, "{}", points.len());
}

#[test]
fn the_largest_numbers_overflow_nothing() {
    let mut spec = video();
    spec.tables = vec![
        table(b"stts", &[[u32::MAX, u32::MAX]; 3]),
        table(b"ctts", &[[u32::MAX, 0x7fff_ffff]; 3]),
        table(b"stss", &[[1], [u32::MAX]]),
        table(b"stsc", &[[1, u32::MAX, 1]]),
        full(b"stsz", 0, 0, &[u32::MAX, u32::MAX]),
        boxed(b"co64", &[be(&[0, 2]), vec![0xff; 16]].concat()),
    ];
    let elst = full(b"elst", 1, 0, &[1, u32::MAX, u32::MAX, 0x7fff_ffff, u32::MAX, 1]);
    spec.more = vec![boxes(b"edts", &[elst])];
    assert_eq!(points_of(spec), [(0, u64::MAX)]);
}

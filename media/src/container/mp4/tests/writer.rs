//! Writes boxes, so that tests can say in a few lines what a file is like.

/// A box.
pub(super) fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap();
    [&size.to_be_bytes()[..], kind, content].concat()
}

/// A box of other boxes.
pub(super) fn boxes(kind: &[u8; 4], content: &[Vec<u8>]) -> Vec<u8> {
    boxed(kind, &content.concat())
}

/// A full box of numbers of 32 bits.
pub(super) fn full(kind: &[u8; 4], version: u8, flags: u32, words: &[u32]) -> Vec<u8> {
    boxed(kind, &[be(&[u32::from(version) << 24 | flags]), be(words)].concat())
}

pub(super) fn be(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Its rows behind their count.
pub(super) fn table<const N: usize>(kind: &[u8; 4], rows: &[[u32; N]]) -> Vec<u8> {
    full(kind, 0, 0, &[&[rows.len() as u32][..], rows.as_flattened()].concat())
}

/// Nothing in particular.
pub(super) fn zeros(bytes: usize) -> Vec<u8> {
    vec![0; bytes]
}

pub(super) fn ftyp() -> Vec<u8> {
    boxed(b"ftyp", b"isom\0\0\x02\0isomavc1")
}

/// Milliseconds are the movie's clock.
pub(super) fn mvhd(millis: u32) -> Vec<u8> {
    full(b"mvhd", 0, 0, &[&[0, 0, 1000, millis][..], &[0; 20]].concat())
}

/// What a track of a test is like.
#[derive(Clone)]
pub(super) struct TrackSpec {
    pub(super) id: u32,
    pub(super) handler: [u8; 4],
    pub(super) handler_name: &'static [u8],
    pub(super) flags: u32,
    pub(super) timescale: u32,
    pub(super) duration: u32,
    pub(super) language: u16,
    pub(super) entry: Vec<u8>,
    /// The `stbl` without `stsd`.
    pub(super) tables: Vec<Vec<u8>>,
    /// Further boxes in the `mdia`.
    pub(super) media: Vec<Vec<u8>>,
    /// The first four of the matrix that it is shown by: across to across and down, down to across and down.
    pub(super) matrix: [u32; 4],
    /// Further boxes in the `trak`.
    pub(super) more: Vec<Vec<u8>>,
}

impl TrackSpec {
    pub(super) fn new(id: u32, handler: &[u8; 4], entry: Vec<u8>) -> Self {
        Self {
            id,
            handler: *handler,
            handler_name: b"\0",
            flags: 3,
            timescale: 1000,
            duration: 0,
            language: 0x55c4,
            entry,
            tables: Vec::new(),
            media: Vec::new(),
            matrix: [1 << 16, 0, 0, 1 << 16],
            more: Vec::new(),
        }
    }

    pub(super) fn trak(&self) -> Vec<u8> {
        let [a, b, c, d] = self.matrix;
        let matrix = [a, b, 0, c, d, 0, 0, 0, 1 << 30];
        let tkhd = full(
            b"tkhd",
            0,
            self.flags,
            &[&[0, 0, self.id, 0, 0][..], &[0; 4], &matrix, &[640 << 16, 360 << 16]].concat(),
        );
        let language = u32::from(self.language) << 16;
        let mdhd = full(b"mdhd", 0, 0, &[0, 0, self.timescale, self.duration, language]);
        let hdlr = [&zeros(8)[..], &self.handler, &zeros(12), self.handler_name].concat();
        let stsd = boxed(b"stsd", &[be(&[0, 1]), self.entry.clone()].concat());
        let stbl = boxes(b"stbl", &[vec![stsd], self.tables.clone()].concat());
        let minf = boxes(b"minf", &[stbl]);
        let mdia =
            boxes(b"mdia", &[vec![mdhd, boxed(b"hdlr", &hdlr)], self.media.clone(), vec![minf]].concat());
        boxes(b"trak", &[vec![tkhd], self.more.clone(), vec![mdia]].concat())
    }
}

/// A visual sample entry.
pub(super) fn picture(kind: &[u8; 4], width: u16, height: u16, inside: &[Vec<u8>]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    boxed(kind, &[zeros(24), size, zeros(50), inside.concat()].concat())
}

/// An audio sample entry of a version, with the fields that version has besides.
pub(super) fn sound(kind: &[u8; 4], version: u16, channels: u16, rate: u32, more: &[u8]) -> Vec<u8> {
    let version = version.to_be_bytes();
    let channels = channels.to_be_bytes();
    boxed(
        kind,
        &[&zeros(8), &version[..], &zeros(6), &channels, &zeros(6), &be(&[rate << 16]), more].concat(),
    )
}

/// An `esds` of an object type, with what its decoder is told.
pub(super) fn esds(object_type: u8, specific: &[u8]) -> Vec<u8> {
    let descriptor = |tag: u8, content: &[u8]| [&[tag, 0x80, content.len() as u8][..], content].concat();
    let config = [&[object_type][..], &zeros(12), &descriptor(5, specific)].concat();
    let stream = [&[0, 1, 0x00][..], &descriptor(4, &config)].concat();
    boxed(b"esds", &[&zeros(4)[..], &descriptor(3, &stream)].concat())
}

/// A fragment of samples of 40 ticks, all of which need others but the first; begun at a time.
pub(super) fn moof(track: u32, ticks: u32, samples: u32) -> Vec<u8> {
    fragment(track, ticks, samples, 0x0200_0000)
}

/// The same, but its first sample needs others too.
pub(super) fn dependent_moof(track: u32, ticks: u32, samples: u32) -> Vec<u8> {
    fragment(track, ticks, samples, 0x1_0000)
}

fn fragment(track: u32, ticks: u32, samples: u32, first_flags: u32) -> Vec<u8> {
    let tfhd = full(b"tfhd", 0, 0x2_0028, &[track, 40, 0x1_0000]);
    let tfdt = full(b"tfdt", 0, 0, &[ticks]);
    let trun = full(b"trun", 0, 0x5, &[samples, 8, first_flags]);
    boxes(b"moof", &[full(b"mfhd", 0, 0, &[1]), boxes(b"traf", &[tfhd, tfdt, trun])])
}

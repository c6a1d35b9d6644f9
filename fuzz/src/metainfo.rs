//! What must hold for any bytes that the readers of `metainfo` are given.

use afflux_metainfo::bencode::{Document, Value, Writer};
use afflux_metainfo::create::Envelope;
use afflux_metainfo::{Info, Magnet, Torrent, limits};

/// Scanning: every value can be walked and lies inside its parent; what is canonical is what the writer
/// would write.
pub fn bencode(data: &[u8]) {
    let Ok((document, end)) = Document::parse_prefix(data, &limits::TORRENT) else {
        assert!(Document::parse(data, &limits::TORRENT).is_err(), "a whole value is a prefix, too");
        return;
    };
    assert_eq!(Document::parse(data, &limits::TORRENT).is_ok(), end == data.len());
    let root = document.root();
    assert_eq!(root.raw(), &data[..end]);

    let mut writer = Writer::new();
    let canonical = rewrite(root, &mut writer);
    let written = writer.finish();
    // The scanner takes one form of every number and length, so that writing again gives the bytes back,
    // even where keys are out of order.
    assert_eq!(written, root.raw());
    let again = Document::parse(&written, &limits::TORRENT).expect("what was read is read again");
    assert_eq!(rewrite(again.root(), &mut Writer::new()), canonical);
}

/// Writes a value again; says whether all its dictionaries are in order. The scanner's depth limit bounds the
/// recursion.
fn rewrite(value: Value<'_, '_>, writer: &mut Writer) -> bool {
    let mut canonical = true;
    if let Some(bytes) = value.as_bytes() {
        writer.bytes(bytes);
        assert_eq!(value.as_str(), std::str::from_utf8(bytes).ok());
    } else if let Some(number) = value.as_int() {
        writer.int(number);
    } else if let Some(list) = value.as_list() {
        writer.list(|writer| {
            for child in list.iter() {
                assert_inside(child, value);
                canonical &= rewrite(child, writer);
            }
        });
    } else {
        let dict = value.as_dict().expect("a value is a string, an integer, a list or a dictionary");
        let keys: Vec<&[u8]> = dict.iter().map(|(key, _)| key).collect();
        assert_eq!(dict.is_canonical(), keys.is_sorted_by(|a, b| a < b));
        canonical &= dict.is_canonical();
        writer.dict(|writer| {
            for (key, child) in dict.iter() {
                assert_inside(child, value);
                assert!(dict.get(key).is_some());
                writer.bytes(key);
                canonical &= rewrite(child, writer);
            }
        });
    }
    canonical
}

fn assert_inside(child: Value<'_, '_>, parent: Value<'_, '_>) {
    let (inner, outer) = (child.raw().as_ptr_range(), parent.raw().as_ptr_range());
    assert!(outer.start < inner.start && inner.end < outer.end);
}

/// A .torrent that is taken is consistent, has safe and different names, and survives being wrapped again.
pub fn torrent(data: &[u8]) {
    if let Ok(info) = Info::from_metadata(data.to_vec().into()) {
        check_info(&info);
    }
    let Ok(torrent) = Torrent::parse(data) else { return };
    check_info(&torrent.info);
    let trackers: Vec<&String> = torrent.trackers.iter().flatten().collect();
    assert!(trackers.len() <= limits::TRACKERS_MAX && torrent.trackers.iter().all(|tier| !tier.is_empty()));

    let sealed = Envelope::from(&torrent).seal(&torrent.info.raw);
    // Longer spellings of the same (a list where there was one string) may push a file over the limit.
    if sealed.len() > limits::TORRENT_BYTES_MAX {
        return;
    }
    let again = Torrent::parse(&sealed).expect("what was read is written and read again");
    assert_eq!(again.info.hashes, torrent.info.hashes);
    assert_eq!((&again.info.layout, &again.info.name), (&torrent.info.layout, &torrent.info.name));
    assert_eq!(
        (&again.trackers, &again.web_seeds, &again.nodes),
        (&torrent.trackers, &torrent.web_seeds, &torrent.nodes)
    );
    assert_eq!((&again.comment, &again.created_by), (&torrent.comment, &torrent.created_by));
}

fn check_info(info: &Info) {
    let mut paths = Vec::new();
    for file in info.layout.files() {
        assert!(file.path.len() <= limits::PATH_DEPTH_MAX && file.path[0] == info.name);
        for component in &file.path {
            assert!(!component.is_empty() && component != "." && component != "..");
            assert!(component.len() <= limits::PATH_COMPONENT_BYTES_MAX);
            assert!(!component.contains(['/', '\\', '\0', ':', '\n', '\u{202e}']));
        }
        if !file.pad {
            paths.push(file.path.iter().map(|component| component.to_lowercase()).collect::<Vec<_>>());
        }
    }
    paths.sort();
    // Sorted, whatever lies below a file comes right behind it.
    assert!(paths.windows(2).all(|pair| !pair[1].starts_with(&pair[0])), "two files would meet");
    if let Some(hashes) = &info.piece_hashes {
        assert_eq!(hashes.count(), info.layout.piece_count());
    }
    for file in info.v2.iter().flat_map(|v2| &v2.files) {
        let span = info.layout.file(file.file).expect("a v2 file is in the layout");
        assert!(!span.pad && span.length > 0);
        assert_eq!(span.offset % u64::from(info.layout.piece_length()), 0);
    }
    info.warnings.iter().for_each(|warning| assert!(!warning.to_string().contains('\x1b')));
}

/// A magnet that is taken is written and read as the same.
pub fn magnet(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(magnet) = text.parse::<Magnet>() else { return };
    assert!(magnet.select.windows(2).all(|pair| *pair[0].end() < *pair[1].start()));
    let written = magnet.to_string();
    // Escapes can make it longer than what it was read from.
    if written.len() <= limits::MAGNET_BYTES_MAX {
        assert_eq!(written.parse(), Ok(magnet));
    }
}

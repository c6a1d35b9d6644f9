//! What the range server serves: files of torrents, by unguessable ids.

use std::sync::Arc;

use afflux_metainfo::{FileIndex, Layout};
use afflux_stream::{Library, Media, MediaRequest, OpenError};
use dashmap::DashMap;

use crate::engine::{Torrent, TorrentMedia};
use crate::failure::Failure;
use crate::media_choice;

/// Characters of an id: 26 of base32 are 130 bits, which nobody guesses.
const ID_LENGTH: usize = 26;

/// Torrents on offer, by the id in their media URLs.
#[derive(Debug, Default)]
pub struct Shelf {
    torrents: DashMap<String, Torrent>,
}

impl Shelf {
    /// Offers a torrent's files; gives the id for their URLs.
    pub fn offer(&self, torrent: &Torrent) -> Result<String, Failure> {
        let known = self.torrents.iter().find(|entry| entry.value().info_hash() == torrent.info_hash());
        if let Some(entry) = known {
            return Ok(entry.key().clone());
        }
        let id = make_id()?;
        self.torrents.insert(id.clone(), torrent.clone());
        Ok(id)
    }
}

impl Library for Shelf {
    async fn open(&self, request: &MediaRequest) -> Result<Arc<dyn Media>, OpenError> {
        let torrent =
            self.torrents.get(&request.id).map(|torrent| torrent.clone()).ok_or(OpenError::NotFound)?;
        let ready = torrent.wait_ready().await.map_err(|error| OpenError::Unavailable(error.to_string()))?;
        let file = file_at(&ready.layout, &request.path).ok_or(OpenError::NotFound)?;
        let media = TorrentMedia::open(&torrent, &ready, file).map_err(|_| OpenError::NotFound)?;
        Ok(Arc::new(media))
    }
}

/// The path of a file's media URL, below the server's root.
pub fn media_path(id: &str, layout: &Layout, file: FileIndex) -> String {
    let path = layout.file(file).map(|file| &file.path[..]).unwrap_or_default();
    // The torrent's own folder says nothing that its files don't.
    let path = if path.len() > 1 { &path[1..] } else { path };
    let encoded: Vec<String> = path.iter().map(|part| encode(part)).collect();
    format!("/stream/{id}/{}", encoded.join("/"))
}

/// The file that a request's path means. Its spelling is compared with that of each file's own URL.
fn file_at(layout: &Layout, path: &str) -> Option<FileIndex> {
    let wanted = decode(path)?;
    let matches = |file: &afflux_metainfo::layout::FileSpan| {
        let path = if file.path.len() > 1 { &file.path[1..] } else { &file.path[..] };
        path.join("/").as_bytes() == wanted
    };
    media_choice::files(layout).find(|(_, file)| matches(file)).map(|(index, _)| index)
}

/// Percent-encodes one path segment (RFC 3986, section 3.3): letters, digits and `-._~` stay.
pub(crate) fn encode(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(path: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let text = std::str::from_utf8(&digits).ok()?;
        out.push(u8::from_str_radix(text, 16).ok()?);
    }
    Some(out)
}

fn make_id() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; ID_LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::work(format!("the system gives no random numbers: {error}")))?;
    Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_own_url_whatever_its_name_has_in_it() {
        let names = ["a b.mkv", "ä%2F?.mp4", "plain"];
        let rows = names.map(|name| (vec!["top".to_owned(), "in ner".to_owned(), name.to_owned()], 5, false));
        let layout = Layout::new(1 << 14, rows).unwrap();
        for nth in 0..3 {
            let url = media_path("id", &layout, FileIndex(nth));
            let path = url.strip_prefix("/stream/id/").expect("the id comes first");
            assert_eq!(file_at(&layout, path), Some(FileIndex(nth)), "{url}");
        }
        assert_eq!(file_at(&layout, "in%20ner/other"), None);
        assert_eq!(file_at(&layout, "%zz"), None);
        assert_eq!(file_at(&layout, "%"), None);
    }
}

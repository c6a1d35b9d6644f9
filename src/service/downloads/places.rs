//! Where a download's files go: where people look for them, unless something else is there.

use std::path::{Path, PathBuf};

use afflux_metainfo::{InfoHash, Layout};

use super::Downloads;
use super::content::top;
use crate::engine::Engine;

/// The folder for a torrent whose place isn't settled yet. Looks at files: blocks.
///
/// That is the download folder itself, so that a torrent's own folder or file lies there under its name. If something else has
/// that name already, or will have, it is a folder below it that is called by the torrent's hash.
pub(super) fn choose(
    downloads: &Downloads,
    engine: &Engine,
    root: &Path,
    hash: InfoHash,
    layout: &Layout,
) -> PathBuf {
    let own = root.join(hash.to_string());
    // A stream was kept there, or this download when it was here before.
    if own.symlink_metadata().is_ok() {
        return own;
    }
    let name = top(layout);
    let shown = layout.files().first().and_then(|file| file.path.first());
    let is_there = shown.is_some_and(|name| root.join(name).symlink_metadata().is_ok());
    let is_taken =
        is_hash(&name) || downloads.has_claim(root, &name, hash) || is_there && !engine.lies_in(hash, root);
    if is_taken { own } else { root.to_path_buf() }
}

/// Whether a name is what folders of other torrents are called.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

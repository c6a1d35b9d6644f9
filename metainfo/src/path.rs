//! File names out of a torrent, made safe before anything else sees them.
//!
//! What comes out never escapes the download folder, is legal on Linux, macOS and Windows, and shows no more than
//! it is. Not here: opening files (storage refuses links, whatever the name says) and judging names (media).

use thiserror::Error;

/// Why no paths can be made of a torrent's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// More components than [`PATH_DEPTH_MAX`](crate::limits::PATH_DEPTH_MAX).
    #[error("folders are nested too deeply")]
    TooDeep,
    /// More renamed files than [`RENAMED_FILES_MAX`](crate::limits::RENAMED_FILES_MAX).
    #[error("too many files have the same name")]
    TooManyDuplicates,
}

/// One component made safe; `None` if nothing is to be left of it (empty, `.`, `..`).
pub fn safe_component(_raw: &[u8]) -> Option<String> {
    todo!()
}

/// A path made safe, component by component; `["_"]` if nothing is left of it.
pub fn safe_components(_raw: &[&[u8]]) -> Result<Vec<String>, PathError> {
    todo!()
}

/// Renames files (`name.1.ext`) so that no two paths are equal, differ in case only, or are file and folder at once.
/// Returns the positions of those renamed, ascending. Folders keep their names, and the first file its own.
pub fn disambiguate(_paths: &mut [&mut Vec<String>]) -> Result<Vec<usize>, PathError> {
    todo!()
}

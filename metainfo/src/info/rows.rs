//! From files as a dictionary lists them to a [`Layout`] with safe names.

use super::Warning;
use crate::error::TorrentError;
use crate::index::FileIndex;
use crate::layout::Layout;
use crate::limits::{PATH_BYTES_MAX, PATH_COMPONENT_COST_BYTES, PATH_DEPTH_MAX, RENAMED_WARNINGS_MAX};
use crate::path::{PathError, disambiguate, escaped, safe_components};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// BEP 47, attribute `p`.
    Pad,
    /// BEP 47, attribute `l`. Kept as an empty row that isn't stored, so that the numbers of the files
    /// behind it (BEP 53) stay those of other programs; following it could lead anywhere.
    Symlink,
}

impl Kind {
    /// From the letters of BEP 47's `attr`.
    pub(super) fn of(attributes: Option<&[u8]>) -> Self {
        match attributes {
            Some(letters) if letters.contains(&b'p') => Self::Pad,
            Some(letters) if letters.contains(&b'l') => Self::Symlink,
            _ => Self::File,
        }
    }
}

/// A file as the dictionary lists it, before its name is made safe.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// Below the torrent's name; empty if the torrent is one file of that name.
    pub(super) path: Vec<&'a [u8]>,
    pub(super) length: u64,
    pub(super) kind: Kind,
    /// BEP 52, of files that have bytes.
    pub(super) pieces_root: Option<[u8; 32]>,
}

/// Counts what the paths will cost before they are made.
pub(super) struct PathBudget {
    name_bytes: u64,
    spent_bytes: u64,
}

impl PathBudget {
    /// `name` is the component that every path starts with.
    pub(super) fn new(name: &[u8]) -> Self {
        Self { name_bytes: name.len() as u64 + PATH_COMPONENT_COST_BYTES, spent_bytes: 0 }
    }

    pub(super) fn charge(&mut self, path: &[&[u8]]) -> Result<(), TorrentError> {
        let components = path.len() as u64 * PATH_COMPONENT_COST_BYTES;
        let bytes: u64 = path.iter().map(|component| component.len() as u64).sum();
        self.spent_bytes += self.name_bytes + components + bytes;
        if self.spent_bytes > PATH_BYTES_MAX { Err(TorrentError::PathBytes) } else { Ok(()) }
    }
}

/// Lays the rows end to end, under safe names that are all different.
pub(super) fn lay_out(
    name: &str,
    raw_name: &[u8],
    rows: Vec<Row<'_>>,
    piece_length: u64,
    warnings: &mut Vec<Warning>,
) -> Result<Layout, TorrentError> {
    let mut paths = rows.iter().map(|row| stored_path(name, row)).collect::<Result<Vec<_>, _>>()?;
    let mut stored: Vec<&mut Vec<String>> =
        paths.iter_mut().zip(&rows).filter(|(_, row)| row.kind == Kind::File).map(|(path, _)| path).collect();
    disambiguate(&mut stored).map_err(TorrentError::from)?;
    warn(name, raw_name, &rows, &paths, warnings);
    let files = paths.into_iter().zip(&rows);
    Ok(Layout::new(piece_length, files.map(|(path, row)| (path, row.length, row.kind != Kind::File)))?)
}

fn stored_path(name: &str, row: &Row<'_>) -> Result<Vec<String>, TorrentError> {
    let mut path = vec![name.to_owned()];
    match row.kind {
        // Never stored: whatever name the torrent gives it is noise.
        Kind::Pad => path.extend([".pad".to_owned(), row.length.to_string()]),
        Kind::File | Kind::Symlink if row.path.is_empty() => {}
        Kind::File | Kind::Symlink => path.append(&mut safe_components(&row.path)?),
    }
    if path.len() > PATH_DEPTH_MAX {
        return Err(TorrentError::PathDepth);
    }
    Ok(path)
}

/// Says which names are not what the torrent says.
fn warn(name: &str, raw_name: &[u8], rows: &[Row<'_>], paths: &[Vec<String>], warnings: &mut Vec<Warning>) {
    let folder = rows.iter().all(|row| !row.path.is_empty());
    if folder && name.as_bytes() != raw_name {
        warnings.push(Warning::RenamedFolder { original: escaped(&[raw_name]), stored: name.to_owned() });
    }
    let mut listed = 0;
    let mut more = 0;
    for (position, (row, path)) in rows.iter().zip(paths).enumerate() {
        let file = FileIndex(position as u32);
        let single = [raw_name];
        let (original, stored) = match row.path.is_empty() {
            true => (&single[..], &path[..]),
            false => (&row.path[..], &path[1..]),
        };
        let same =
            || original.len() == stored.len() && original.iter().zip(stored).all(|(o, s)| *o == s.as_bytes());
        match row.kind {
            Kind::Pad => continue,
            Kind::File if same() => continue,
            _ if listed == RENAMED_WARNINGS_MAX => {
                more += 1;
                continue;
            }
            Kind::File => {
                let stored = stored.join("/");
                warnings.push(Warning::Renamed { file, original: escaped(original), stored });
            }
            Kind::Symlink => warnings.push(Warning::Symlink { file, original: escaped(original) }),
        }
        listed += 1;
    }
    if more > 0 {
        warnings.push(Warning::RenamedMore(more));
    }
}

impl From<PathError> for TorrentError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::TooDeep => Self::PathDepth,
            PathError::TooManyDuplicates => Self::DuplicateNames,
        }
    }
}

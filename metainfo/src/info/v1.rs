//! The files of a v1 `info` dictionary: `length`, or `files` (BEP 3, attributes of BEP 47).

use super::refuse_repeated_keys;
use super::rows::{Kind, PathBudget, Row};
use crate::bencode::{Dict, Value};
use crate::error::TorrentError;
use crate::layout::LayoutError;
use crate::limits::FILES_MAX;

/// The rows that the dictionary lists, in its order.
pub(super) fn read<'a>(
    info: Dict<'_, 'a>,
    piece_length: u64,
    budget: &mut PathBudget,
) -> Result<Vec<Row<'a>>, TorrentError> {
    let Some(files) = info.get(b"files") else {
        let length = info.get(b"length").ok_or(TorrentError::Field("length"))?;
        let length = size(Some(length)).ok_or(TorrentError::FileLength(0))?;
        return Ok(vec![Row { path: Vec::new(), length, kind: Kind::File, pieces_root: None }]);
    };
    let mut rows = Vec::new();
    for (position, value) in files.as_list().ok_or(TorrentError::Field("files"))?.iter().enumerate() {
        if position == FILES_MAX {
            return Err(LayoutError::FileCount(FILES_MAX + 1).into());
        }
        let row = row(position, value)?;
        if row.kind == Kind::Pad && row.length > piece_length {
            return Err(TorrentError::PadFile(position));
        }
        budget.charge(&row.path)?;
        rows.push(row);
    }
    Ok(rows)
}

/// A size that can be: an integer from zero on.
pub(super) fn size(value: Option<Value<'_, '_>>) -> Option<u64> {
    u64::try_from(value?.as_int()?).ok()
}

fn row<'a>(position: usize, value: Value<'_, 'a>) -> Result<Row<'a>, TorrentError> {
    let file = value.as_dict().ok_or(TorrentError::FilePath(position))?;
    refuse_repeated_keys(file)?;
    let kind = Kind::of(file.get_bytes(b"attr"));
    let path = match kind {
        Kind::Pad => Vec::new(),
        Kind::File | Kind::Symlink => path(file).ok_or(TorrentError::FilePath(position))?,
    };
    let length = match kind {
        Kind::Symlink => 0,
        Kind::File | Kind::Pad => size(file.get(b"length")).ok_or(TorrentError::FileLength(position))?,
    };
    Ok(Row { path, length, kind, pieces_root: None })
}

fn path<'a>(file: Dict<'_, 'a>) -> Option<Vec<&'a [u8]>> {
    let utf8 = components(file.get(b"path.utf-8"));
    utf8.filter(|path| path.iter().all(|component| std::str::from_utf8(component).is_ok()))
        .or_else(|| components(file.get(b"path")))
}

fn components<'a>(list: Option<Value<'_, 'a>>) -> Option<Vec<&'a [u8]>> {
    let path = list?.as_list()?.iter().map(|component| component.as_bytes()).collect::<Option<Vec<_>>>()?;
    (!path.is_empty()).then_some(path)
}

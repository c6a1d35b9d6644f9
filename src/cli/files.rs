//! What can be said about a torrent's files: which are wanted, in which order, and how they lie on disk.

use afflux_metainfo::Layout;
use afflux_storage::Allocation;
use afflux_swarm::Priority;

use crate::failure::Failure;
use crate::media_choice;

/// When a file takes its space on the disk.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub(super) enum Preallocate {
    /// As it grows
    None,
    /// Its length at once, its space as it is filled
    #[default]
    Sparse,
    /// All of it at once
    Full,
}

impl From<Preallocate> for Allocation {
    fn from(preallocate: Preallocate) -> Self {
        match preallocate {
            Preallocate::None => Self::None,
            Preallocate::Sparse => Self::Sparse,
            Preallocate::Full => Self::Full,
        }
    }
}

/// How much each file is wanted: what is selected, what of it comes first and what last.
pub(super) fn priorities(
    layout: &Layout,
    selected: Vec<bool>,
    first: Option<&str>,
    last: Option<&str>,
) -> Result<Vec<Priority>, Failure> {
    let priority = |wanted| if wanted { Priority::Normal } else { Priority::Off };
    let mut priorities: Vec<Priority> = selected.into_iter().map(priority).collect();
    for (flag, spec, priority) in [("--last", last, Priority::Low), ("--first", first, Priority::High)] {
        let Some(spec) = spec else { continue };
        let chosen = selection(layout, flag, spec)?;
        let chosen =
            priorities.iter_mut().zip(chosen).filter(|(known, chosen)| *chosen && **known != Priority::Off);
        chosen.for_each(|(known, _)| *known = priority);
    }
    Ok(priorities)
}

/// Which files a SPEC means: numbers and ranges, or a pattern over paths and names.
pub(super) fn selection(layout: &Layout, flag: &str, spec: &str) -> Result<Vec<bool>, Failure> {
    let files = layout.files();
    let mut chosen = vec![false; files.len()];
    let numbers = spec.chars().all(|c| c.is_ascii_digit() || matches!(c, ',' | '-' | ' '));
    if numbers {
        for part in spec.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
                (Ok(first), Ok(last)) if first <= last && last < files.len() => {
                    chosen[first..=last].fill(true)
                }
                _ => return Err(wrong_selection(flag, spec, files.len())),
            }
        }
    } else {
        media_choice::matching_files(layout, spec)?
            .into_iter()
            .for_each(|file| chosen[file.as_usize()] = true);
    }
    if chosen.iter().any(|&chosen| chosen) {
        Ok(chosen)
    } else {
        Err(wrong_selection(flag, spec, files.len()))
    }
}

fn wrong_selection(flag: &str, spec: &str, count: usize) -> Failure {
    Failure::usage(format!(
        "{flag} {spec:?} selects nothing: the torrent has files 0 to {} (afflux inspect lists them)",
        count - 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        let names = ["a.mkv", "b.srt", "c.mkv", "d.txt"];
        Layout::new(1 << 14, names.map(|name| (vec!["t".into(), name.into()], 5, false))).unwrap()
    }

    #[test]
    fn what_is_selected_can_come_first_or_last() {
        let selected = vec![true, true, true, false];
        let priorities = priorities(&layout(), selected, Some("*.mkv"), Some("0-1,3")).unwrap();
        assert_eq!(priorities, [Priority::High, Priority::Low, Priority::High, Priority::Off]);
    }

    #[test]
    fn files_are_selected_by_numbers_ranges_and_patterns() {
        assert_eq!(selection(&layout(), "--files", "0, 2-3").unwrap(), [true, false, true, true]);
        assert_eq!(selection(&layout(), "--files", "*.mkv").unwrap(), [true, false, true, false]);
        for wrong in ["4", "3-1", "-", "", "*.avi"] {
            assert!(selection(&layout(), "--files", wrong).is_err(), "{wrong:?}");
        }
    }
}

//! What a process and its children cost, from outside: the kernel's own figures in `/proc`. Processor time is in ticks of 10 ms.

use std::fs;
use std::time::Duration;

/// Linux shows times in these, whatever its own clock: `USER_HZ`.
const TICKS_PER_SECOND: u64 = 100;

/// A process and those that its first thread started, and so on.
pub(crate) fn tree(id: u32) -> Vec<u32> {
    let mut all = vec![id];
    let mut next = 0;
    while let Some(&id) = all.get(next) {
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        next += 1;
    }
    all
}

/// Processor time of a process and its children, those included that it has outlived.
pub(crate) fn cpu_of(id: u32) -> Duration {
    let ticks: u64 = tree(id)
        .into_iter()
        .map(|id| ticks_in(&fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default()))
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// utime, stime, cutime, cstime: the 14th field to the 17th. The second is a name, which may hold anything.
fn ticks_in(stat: &str) -> u64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(4).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// What a process and its children hold, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Memory {
    /// Resident, the most so far.
    pub(crate) peak_rss: u64,
    /// Resident now.
    pub(crate) rss: u64,
    /// Resident now, and no file's.
    pub(crate) anon: u64,
}

pub(crate) fn memory_of(id: u32) -> Memory {
    let each = tree(id)
        .into_iter()
        .map(|id| memory_in(&fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default()));
    each.fold(Memory::default(), |sum, one| Memory {
        peak_rss: sum.peak_rss + one.peak_rss,
        rss: sum.rss + one.rss,
        anon: sum.anon + one.anon,
    })
}

fn memory_in(status: &str) -> Memory {
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        value.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    Memory { peak_rss: field("VmHWM:"), rss: field("VmRSS:"), anon: field("RssAnon:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_hides_no_ticks() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 10 20 0 0 5 6 7 8 20 0 1 0 99 1 1";
        assert_eq!(ticks_in(stat), 26);
        assert_eq!(ticks_in(""), 0);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(memory_in(status), Memory { peak_rss: 2 << 20, rss: 1 << 20, anon: 1 << 19 });
    }
}

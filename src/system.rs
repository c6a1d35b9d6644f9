//! What is asked of the C library and has no safe interface elsewhere: all `unsafe` of the project. What it is asked for, and
//! why, is with those who ask: [`crate::threads`], and `memory.rs` of the binary.
//!
//! Where a system hasn't got something, the function for it does nothing: everything here is for speed or thrift.

#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "these calls have no safe interface"))]

/// From which length on the allocator maps a block by itself (`M_MMAP_THRESHOLD` of glibc).
///
/// For a program's first moment: once there is a second thread, or if that can't be known, nothing is changed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn map_allocations_from(bytes: i32) {
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1) {
        // SAFETY: `mallopt` takes two numbers and keeps no pointer. It must not run beside itself or other calls of the
        // allocator: this is the only thread, so nobody is there to make them, or to start another thread.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
    }
}

/// Other allocators have no such thing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn map_allocations_from(_bytes: i32) {}

/// Has the allocator give back what it holds free (`malloc_trim` of glibc).
pub fn trim_heaps() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` takes a number, may be called by any thread at any time, and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Schedules the calling thread as one of a batch (`SCHED_BATCH` of Linux); false if the system won't, or can't.
#[cfg(target_os = "linux")]
pub fn schedule_as_batch() -> bool {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads the parameters during the call and keeps no pointer; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &parameters) == 0 }
}

/// Other systems have no such thing.
#[cfg(not(target_os = "linux"))]
pub fn schedule_as_batch() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    /// Field 41 of `/proc/[pid]/stat`, proc(5). The second field is a name in brackets, which may have anything in it.
    fn policy() -> Option<u32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_whitespace().nth(38)?.parse().ok()
    }

    #[test]
    fn only_the_thread_that_asks_becomes_one_of_a_batch() {
        const SCHED_BATCH: u32 = 3;
        let before = policy();
        let inside = std::thread::spawn(|| (super::schedule_as_batch(), policy())).join().unwrap();
        assert_eq!(inside, (true, Some(SCHED_BATCH)));
        assert!(before.is_some() && policy() == before);
    }
}

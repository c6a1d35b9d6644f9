//! What the process asks of its allocator, from before anything else happens.
//!
//! This is the binary's only: a program that uses the library decides about its allocator itself. Not here: what may be
//! allocated, which is the byte ledger's (`afflux-storage`).

use std::thread;
use std::time::Duration;

use afflux::system;

/// Extents of 256 KiB are mapped by themselves when they are longer than this, and unmapped when they are freed.
const MMAP_THRESHOLD_BYTES: i32 = 128 * 1024;

/// How often the allocator is told to give back what it holds free: as often as the pool gives back what nobody used.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);

/// Makes freed memory leave the process, where the allocator is glibc. Others see to it themselves.
pub(crate) fn give_freed_memory_back() {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    map_extents();
    // If there can be no thread, small memory stays resident longer; nothing else.
    let _ = thread::Builder::new().name("memory".into()).spawn(trim_for_ever);
}

/// Payload by the extent: mapped, and unmapped.
///
/// glibc begins with this very threshold, but raises it above the length of any mapped block that is freed; from then
/// on extents come from the heap, where one live allocation behind them keeps all of them resident. Setting it
/// turns that off. Measured with 120 MiB of pieces in memory, evicted down to the 8 MiB that the pool kept then, four
/// times over: 123 MiB were resident afterwards without this, 11 with it. The mapping costs nothing that can be
/// measured: 80 ms a cycle either way, and 1 GiB downloaded over loopback in 1.5 to 1.9 s of processor time with
/// it and 1.5 to 2.2 without. `M_TRIM_THRESHOLD` on top changed nothing.
fn map_extents() {
    system::map_allocations_from(MMAP_THRESHOLD_BYTES);
}

/// Everything smaller: lone blocks, messages, what is known of peers.
///
/// Every thread has a heap of its own in glibc, and only what is free at its very end leaves by itself. Measured after 10,000
/// seeks over pieces of 16 MiB in the disk cache, with 200 peers: two such heaps kept 31 MiB for good, of 34 resident; this
/// left 20.
fn trim_for_ever() {
    loop {
        thread::sleep(TRIM_INTERVAL);
        system::trim_heaps();
    }
}

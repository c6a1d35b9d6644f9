//! What the process itself uses, by the names that Prometheus' own libraries give it.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::{set, set_seconds};

/// A look at the process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Process {
    resident_bytes: u64,
    cpu_seconds: f64,
    open_files: u64,
}

/// The figures of it.
#[derive(Debug, Default)]
pub(super) struct ProcessGauges {
    resident: Gauge,
    cpu: Counter<f64, AtomicU64>,
    open_files: Gauge,
}

impl ProcessGauges {
    pub(super) fn register(&self, registry: &mut Registry) {
        let (resident, cpu) = (self.resident.clone(), self.cpu.clone());
        let help = "Memory of the process that is in RAM";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, resident);
        let help = "Time that the process has computed, of all its threads";
        registry.register_with_unit("process_cpu", help, Unit::Seconds, cpu);
        registry.register("process_open_fds", "Files and sockets that are open", self.open_files.clone());
    }

    pub(super) fn set(&self, process: &Process) {
        set(&self.resident, process.resident_bytes);
        set_seconds(&self.cpu, process.cpu_seconds);
        set(&self.open_files, process.open_files);
    }
}

impl Process {
    /// Nothing where the system doesn't tell.
    #[cfg(target_os = "linux")]
    pub(super) fn read() -> Option<Self> {
        use rustix::time::{ClockId, clock_gettime};

        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        // The folder that is being listed is open too.
        let open_files = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
        Some(Self {
            resident_bytes: resident_bytes(&status)?,
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
            open_files,
        })
    }

    /// Other systems don't tell.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn read() -> Option<Self> {
        None
    }
}

/// `VmRSS` of `/proc/[pid]/status`, proc(5). It is in kB whatever a page has, unlike `statm`.
#[cfg(target_os = "linux")]
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(resident_bytes("Name:\tafflux\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        for odd in ["", "VmRSS:", "VmRSS: 12 pages", "VmRSS: 18446744073709551615 kB"] {
            assert_eq!(resident_bytes(odd), None, "{odd:?}");
        }
    }
}

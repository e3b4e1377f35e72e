//! What this machine has: its processor, memory, and room on its disks.

use std::path::Path;

use sysinfo::{CpuRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

/// Main memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What a program can have without pushing others out.
    pub available: u64,
}

/// Returns the memory of this machine as it is now, or what the container that this runs in may have of it.
pub fn memory() -> Memory {
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()));
    let whole = Memory { total: system.total_memory(), available: system.available_memory() };
    match system.cgroup_limits() {
        Some(limits) if limits.total_memory > 0 && limits.total_memory < whole.total => {
            Memory { total: limits.total_memory, available: limits.free_memory.min(whole.available) }
        }
        _ => whole,
    }
}

/// Returns the processor as its maker calls it; empty where the system does not tell.
pub fn processor() -> String {
    let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    system.cpus().first().map_or_else(String::new, |cpu| cpu.brand().trim().to_owned())
}

/// Returns how many bytes can still be written where `path` lies; `None` where the system does not tell.
pub fn free_space(path: &Path) -> Option<u64> {
    let path = std::fs::canonicalize(path).ok()?;
    let disks = Disks::new_with_refreshed_list();
    let holding = disks.list().iter().filter(|disk| path.starts_with(disk.mount_point()));
    let nearest = holding.max_by_key(|disk| disk.mount_point().components().count())?;
    // Some network and overlay systems tell nothing, which reads as an empty disk without room.
    (nearest.total_space() > 0).then(|| nearest.available_space())
}

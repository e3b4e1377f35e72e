//! What this machine has: its processor, memory, and room on its disks.

use std::path::Path;

use sysinfo::{CGroupLimits, CpuRefreshKind, Disks, MemoryRefreshKind, RefreshKind, System};

/// Main memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    /// What a program can have without pushing others out.
    pub available: u64,
}

/// Where a container's kernel tells what its memory is used for, and which of it belongs to no program and gives way to none: files in folders
/// that lie in memory, and tables of the kernel's own. Version 2 of control groups, then version 1, whose statistics leave the tables out.
static STATISTICS: [(&str, &[&str]); 2] =
    [("/sys/fs/cgroup/memory.stat", &["shmem", "slab_unreclaimable"]), ("/sys/fs/cgroup/memory/memory.stat", &["total_shmem"])];

/// Returns the memory of this machine as it is now, or what the container that this runs in may have of it.
pub fn memory() -> Memory {
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()));
    let whole = Memory { total: system.total_memory(), available: system.available_memory() };
    system.cgroup_limits().map_or(whole, |limits| within(&limits, held(), whole))
}

/// Returns the bytes of this container's memory that no program can have, besides those of programs; 0 where nobody tells.
fn held() -> u64 {
    let told = STATISTICS.iter().find_map(|(path, names)| Some((std::fs::read_to_string(path).ok()?, names)));
    told.map_or(0, |(statistics, names)| sum_of(&statistics, names))
}

/// Adds up some of a control group's statistics.
fn sum_of(statistics: &str, names: &[&str]) -> u64 {
    let lines = statistics.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(name, _)| names.contains(name)).filter_map(|(_, bytes)| bytes.parse::<u64>().ok()).sum()
}

/// Returns what a container may have of a machine's memory, where it holds so many bytes besides those of programs.
fn within(limits: &CGroupLimits, held: u64, whole: Memory) -> Memory {
    if limits.total_memory == 0 || limits.total_memory >= whole.total {
        return whole;
    }
    // Not `free_memory`: it takes the files that the kernel keeps in memory for used, a router just downloaded among them, and they give way.
    let free = limits.total_memory.saturating_sub(limits.rss).saturating_sub(held);
    Memory { total: limits.total_memory, available: free.min(whole.available) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_container_files_that_the_kernel_keeps_in_memory_count_as_available() {
        let whole = Memory { total: 64_000, available: 40_000 };
        let limits = CGroupLimits { total_memory: 2_000, free_memory: 140, rss: 270, ..CGroupLimits::default() };
        assert_eq!(within(&limits, 0, whole), Memory { total: 2_000, available: 1_730 });
        assert_eq!(within(&limits, 700, whole).available, 1_030, "files in folders that lie in memory stay there");
        let busy = Memory { available: 500, ..whole };
        assert_eq!(within(&limits, 0, busy), Memory { total: 2_000, available: 500 }, "there is no more than the machine has");
        let unlimited = CGroupLimits { total_memory: whole.total, ..limits };
        assert_eq!(within(&unlimited, 700, whole), whole);
        let [(_, second), (_, first)] = STATISTICS;
        assert_eq!(sum_of("anon 270\nfile 900\nshmem 600\nslab_reclaimable 40\nslab_unreclaimable 100\n", second), 700);
        assert_eq!(sum_of("rss 200\nshmem 500\ntotal_rss 270\ntotal_shmem 600\n", first), 600);
    }
}

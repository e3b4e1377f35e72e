//! Where a router would run under a choice, and how much memory is free there.

use candle_core::Device;

use super::device;
use super::machine::{self, Memory};
use super::protocol::DeviceChoice;

/// Where a router would run: what its need is compared with before anything is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `cpu`, `cuda` or `metal`; empty until somebody looked.
    pub device: &'static str,
    /// The processor or the GPU as its maker calls it; empty where the system does not tell.
    pub name: String,
    /// What routers take there, in bytes: a card's own memory, otherwise the machine's; all 0 where nobody tells.
    pub memory: Memory,
    /// As f32, in bytes, what a router may take for its quantised weights to become dense ones; see [`device::Opened::small`].
    pub small: u64,
}

impl Place {
    /// Looks where routers run under this choice. GPUs are opened for that: whether there is one shows itself only so.
    pub fn of(choice: DeviceChoice) -> Self {
        let opened = match choice {
            DeviceChoice::Cpu => None,
            _ => device::candidates(choice).ok().and_then(|found| found.devices.into_iter().next()),
        };
        let device = match (&opened, choice) {
            (Some(opened), _) => opened.name,
            // It refuses to load anything, and what it would need is half precision all the same.
            (None, DeviceChoice::Cuda) => "cuda",
            (None, DeviceChoice::Metal) => "metal",
            (None, DeviceChoice::Auto | DeviceChoice::Cpu) => "cpu",
        };
        let small = opened.as_ref().map_or(if device == "cpu" { device::CPU.small } else { 0 }, |opened| opened.small);
        if device == "cuda" {
            let (name, memory) = opened.and_then(|opened| of_card(&opened.device)).unwrap_or_default();
            return Self { device, name, memory, small };
        }
        // The GPU of a Mac is a part of its processor and shares its memory.
        Self { device, name: machine::processor(), memory: machine::memory(), small }
    }

    /// Returns whether routers run on the CPU, where weights that are not quantised are computed in f32; elsewhere it is half precision.
    pub fn is_cpu(&self) -> bool {
        self.device == "cpu"
    }

    /// Returns the same GPU as one on which quantised weights stay as they are; a CPU as it is.
    #[must_use]
    pub fn without_dense(&self) -> Self {
        Self { small: if self.is_cpu() { self.small } else { 0 }, ..self.clone() }
    }

    /// Returns what people call its memory.
    pub fn memory_name(&self) -> &'static str {
        if self.has_own_memory() { "GPU memory" } else { "memory" }
    }

    /// Returns whether a router that takes `needed` bytes has room; `None` where nobody tells.
    pub fn fits(&self, needed: u64) -> Option<bool> {
        (self.memory.total > 0).then_some(needed <= self.memory.available)
    }

    /// Returns why a router that takes `needed` bytes has no room, for people.
    pub fn shortage(&self, needed: u64) -> String {
        let Memory { total, available } = self.memory;
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        if needed > total {
            let owner = if self.has_own_memory() { "the GPU" } else { "this machine" };
            format!("does not fit: {owner} has {:.1} GB", gigabytes(total))
        } else {
            format!("does not fit now: {:.1} GB are free, close other programs", gigabytes(available))
        }
    }

    fn has_own_memory(&self) -> bool {
        self.device == "cuda"
    }
}

/// Returns what a router may take as f32 for its quantised weights to become half precision on a card: they then take a quarter of its memory.
pub fn small_on_card(device: &Device) -> u64 {
    of_card(device).map_or(0, |(_, memory)| memory.total / 2)
}

/// Returns the bytes that are free on a card; `None` on other devices.
pub fn free_on_card(device: &Device) -> Option<u64> {
    of_card(device).map(|(_, memory)| memory.available)
}

/// Returns the name of an NVIDIA card, and its memory.
#[cfg(feature = "cuda")]
fn of_card(device: &Device) -> Option<(String, Memory)> {
    let stream = device.as_cuda_device().ok()?.cuda_stream();
    let (available, total) = stream.context().mem_get_info().ok()?;
    let name = stream.context().name().unwrap_or_default();
    Some((name, Memory { total: total as u64, available: available as u64 }))
}

/// A build without CUDA opens no card.
#[cfg(not(feature = "cuda"))]
fn of_card(_: &Device) -> Option<(String, Memory)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_not_measured_by_the_memory_of_the_machine() {
        let cpu = Place::of(DeviceChoice::Cpu);
        assert!(cpu.is_cpu() && cpu.fits(1) == Some(true), "{cpu:?}");
        if cfg!(not(feature = "cuda")) {
            let card = Place::of(DeviceChoice::Cuda);
            assert!(!card.is_cpu() && card.fits(1).is_none(), "of a card that cannot be opened nothing is known: {card:?}");
        }
        if cfg!(not(any(feature = "cuda", feature = "metal"))) {
            assert_eq!(Place::of(DeviceChoice::Auto).device, "cpu");
        }
    }

    #[test]
    fn a_shortage_says_what_there_is() {
        let memory = Memory { total: 16_000_000_000, available: 4_100_000_000 };
        let [machine, card] = ["cpu", "cuda"].map(|device| Place { device, name: String::new(), memory, small: 0 });
        assert_eq!(machine.fits(6_900_000_000), Some(false));
        assert_eq!(machine.shortage(6_900_000_000), "does not fit now: 4.1 GB are free, close other programs");
        assert_eq!(machine.shortage(20_000_000_000), "does not fit: this machine has 16.0 GB");
        assert_eq!(card.shortage(20_000_000_000), "does not fit: the GPU has 16.0 GB");
    }
}

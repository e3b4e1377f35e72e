//! Where the network runs: which devices there are, the precision of each, and what to say when one fails.
//!
//! Nothing here depends on how Waypost was built: a build without CUDA or Metal has these devices too, and opening them fails.

use candle_core::{DType, Device, Tensor};

use super::EngineError;
use super::protocol::DeviceChoice;

/// A device that computed something when it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    pub device: Device,
    /// `cpu`, `cuda` or `metal`.
    pub name: &'static str,
    /// What weights that are not quantised are computed in: f32 on the CPU, elsewhere bf16 where the device has it, else f16.
    pub dtype: DType,
}

/// The CPU, which is always there.
pub const CPU: Opened = Opened { device: Device::Cpu, name: "cpu", dtype: DType::F32 };

/// Returns the devices to try, the fastest first: one where the user named it, of [`DeviceChoice::Auto`] all that work, the CPU last.
///
/// # Errors
/// Fails when the named device cannot be used, with the way out.
pub fn candidates(choice: DeviceChoice) -> Result<Vec<Opened>, EngineError> {
    match choice {
        DeviceChoice::Cpu => Ok(vec![CPU]),
        DeviceChoice::Cuda => cuda().map(|device| vec![device]).map_err(|error| missing("CUDA", "cuda", &error)),
        DeviceChoice::Metal => metal().map(|device| vec![device]).map_err(|error| missing("Metal", "metal", &error)),
        DeviceChoice::Auto => Ok([cuda(), metal()].into_iter().flatten().chain([CPU]).collect()),
    }
}

fn cuda() -> candle_core::Result<Opened> {
    tried(Device::new_cuda(0)?, "cuda")
}

fn metal() -> candle_core::Result<Opened> {
    tried(Device::new_metal(0)?, "metal")
}

/// Computes a product in each precision: a driver that is too old, or a card without bf16, shows itself here and not in the first decision.
fn tried(device: Device, name: &'static str) -> candle_core::Result<Opened> {
    let product = |dtype| -> candle_core::Result<f32> {
        let ones = Tensor::ones((16, 16), dtype, &device)?;
        ones.matmul(&ones)?.to_dtype(DType::F32)?.sum_all()?.to_scalar()
    };
    let dtype = if product(DType::BF16).is_ok() { DType::BF16 } else { DType::F16 };
    product(dtype)?;
    Ok(Opened { device, name, dtype })
}

fn missing(what: &str, feature: &str, error: &candle_core::Error) -> EngineError {
    EngineError::router(format!(
        "{what} cannot be used here ({}); choose --device cpu, or install its driver and use a build with --features {feature}",
        first_line(&error.to_string())
    ))
}

/// Says what to do about a device that failed at its work. On the CPU such an error is a defect and stays one.
pub fn failure(name: &str, error: EngineError) -> EngineError {
    let EngineError::Internal(text) = &error else { return error };
    let what = first_line(text);
    match name {
        "cpu" => error,
        _ if is_out_of_memory(text) => EngineError::request(format!(
            "the {name} device has too little memory for this ({what}); choose --device cpu, a smaller quantisation of the router, or close what else uses the device"
        )),
        _ => EngineError::request(format!("the {name} device failed ({what}); choose --device cpu, or install a newer driver")),
    }
}

fn is_out_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    ["out of memory", "out_of_memory", "outofmemory", "failed to allocate", "alloc_failed"].iter().any(|sign| text.contains(sign))
}

/// Errors of drivers come with backtraces.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_device_names_the_way_out() {
        let internal = |text: &str| EngineError::Internal(text.to_owned());
        let memory = failure("cuda", internal("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")\n   0: backtrace"));
        let sentence = memory.to_string();
        assert!(
            sentence.contains("too little memory") && sentence.contains("--device cpu") && !sentence.contains("backtrace"),
            "{sentence}"
        );
        let driver = failure("metal", internal("Metal error: no such pipeline")).to_string();
        assert!(driver.contains("metal device failed") && driver.contains("--device cpu"), "{driver}");
        // What has nothing to do with the device stays as it is.
        assert_eq!(failure("cuda", EngineError::Cancelled), EngineError::Cancelled);
        assert_eq!(failure("cpu", internal("a defect")), internal("a defect"));
    }

    #[test]
    fn auto_ends_with_the_cpu_and_the_cpu_is_f32() {
        let devices = candidates(DeviceChoice::Auto).unwrap();
        assert_eq!(devices.last().map(|opened| (opened.name, opened.dtype)), Some(("cpu", DType::F32)));
        assert!(devices.iter().rev().skip(1).all(|opened| opened.dtype != DType::F32), "{devices:?}");
        for (choice, name) in [(DeviceChoice::Cuda, "cuda"), (DeviceChoice::Metal, "metal")] {
            match candidates(choice) {
                Ok(devices) => assert_eq!(devices[0].name, name),
                Err(error) => assert!(error.to_string().contains("--device cpu"), "{error}"),
            }
        }
    }
}

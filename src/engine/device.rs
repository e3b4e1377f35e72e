//! Where the network runs: which devices there are, the precision of each, and what to say when one fails.
//!
//! A build without CUDA or Metal has these devices too, and opening them fails: all of this but what prepares a CUDA device is the same in every build.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Error, Tensor};

use super::error::panic_message;
use super::protocol::DeviceChoice;
use super::weights::SMALL;
use super::{EngineError, place};

/// A device that computed something when it was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    pub device: Device,
    /// `cpu`, `cuda` or `metal`.
    pub name: &'static str,
    /// What weights that are not quantised are computed in: f32 on the CPU, elsewhere bf16 where the device has it (embedding and head then in f16,
    /// for finer logits), else f16.
    pub dtype: DType,
    /// Bytes that a router may take as f32 for its quantised weights to become f32 or half precision where products with them are slow. Tests
    /// set 0: no router of theirs is as large as those whose weights stay.
    pub small: u64,
}

/// The CPU, which is always there.
pub const CPU: Opened = Opened { device: Device::Cpu, name: "cpu", dtype: DType::F32, small: SMALL };

/// The devices to try for a router.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// The fastest first.
    pub devices: Vec<Opened>,
    /// Why faster ones are not among them: "cuda cannot be used (the driver is too old)". What this build does not know is not missed.
    pub refused: Vec<String>,
}

impl From<Opened> for Candidates {
    fn from(only: Opened) -> Self {
        Self { devices: vec![only], refused: Vec::new() }
    }
}

/// Returns the devices to try: one where the user named it, of [`DeviceChoice::Auto`] all that work, the CPU last.
///
/// # Errors
/// Fails when the named device cannot be used, with the way out.
pub fn candidates(choice: DeviceChoice) -> Result<Candidates, EngineError> {
    match choice {
        DeviceChoice::Cpu => Ok(CPU.into()),
        DeviceChoice::Cuda => cuda().map(Candidates::from).map_err(|error| missing("CUDA", "cuda", &error)),
        DeviceChoice::Metal => metal().map(Candidates::from).map_err(|error| missing("Metal", "metal", &error)),
        DeviceChoice::Auto => Ok(all([("cuda", cuda()), ("metal", metal())])),
    }
}

/// Returns those of faster devices that could be opened, and the CPU.
fn all(faster: impl IntoIterator<Item = (&'static str, candle_core::Result<Opened>)>) -> Candidates {
    let mut found = Candidates { devices: Vec::new(), refused: Vec::new() };
    for (name, opened) in faster {
        match opened {
            Ok(opened) => found.devices.push(opened),
            Err(Error::NotCompiledWithCudaSupport | Error::NotCompiledWithMetalSupport) => {}
            Err(error) => found.refused.push(format!("{name} cannot be used ({})", first_line(&error.to_string()))),
        }
    }
    found.devices.push(CPU);
    found
}

/// Returns the one CUDA device of this process. What is computed on several devices or streams does not wait for each other, while a router
/// is loaded on one thread and asked on others; and each opening takes memory that candle never gives back.
fn cuda() -> candle_core::Result<Opened> {
    static KEPT: Mutex<Option<Opened>> = Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(opened) = &*kept {
        return Ok(opened.clone());
    }
    // The other opener takes the stream of whichever thread is at work.
    let mut new = opened("cuda", || Device::new_cuda_with_stream(0).and_then(ready))?;
    // Without bf16 half precision is f16: products in a layer may overflow it, and quantised weights compute those in f32.
    if new.dtype == DType::BF16 {
        new.small = place::small_on_card(&new.device);
    }
    Ok(kept.insert(new).clone())
}

fn metal() -> candle_core::Result<Opened> {
    opened("metal", || Device::new_metal(0))
}

/// Makes a CUDA device ready for the many small tensors of a decision.
#[cfg(feature = "cuda")]
fn ready(device: Device) -> candle_core::Result<Device> {
    // Products in f32 are attention scores and what quantised products are compared with: queries lose no more than f16 would cost them, keys in
    // half precision nothing.
    candle_core::cuda::set_gemm_reduced_precision_f32(true);
    keep_memory(&device)?;
    without_events(device)
}

#[cfg(not(feature = "cuda"))]
fn ready(device: Device) -> candle_core::Result<Device> {
    Ok(device)
}

/// Returns the device without the events that tell streams what to wait for: two for every tensor, and here there is one stream.
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "who switches events off answers for the order of streams")]
fn without_events(device: Device) -> candle_core::Result<Device> {
    // SAFETY: the process has one CUDA device with one stream, see `cuda`, which does everything in the order it was asked for: tensors are
    // made, used and freed on that stream alone.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    Ok(device)
}

/// While the result lives, what operations send to a CUDA device to describe their shapes is kept there for the next ones: the layers of a pass have
/// it in common, and sending it takes longer than computing with it. The process never gives it back, some megabytes: there are as many shapes as
/// prompts and packs have lengths.
#[cfg(feature = "cuda")]
pub fn keep_shapes(device: &Device) -> impl Sized {
    device.as_cuda_device().ok().map(candle_core::CudaDevice::enable_cuda_graph_htod_cache)
}

#[cfg(not(feature = "cuda"))]
pub fn keep_shapes(_: &Device) -> impl Sized {}

/// Lets the driver keep what the tensors of a few decisions take: it would otherwise give all memory back to the system whenever a result is
/// waited for, and ask for it again. Drivers without such pools go on as they are.
#[cfg(feature = "cuda")]
#[expect(unsafe_code, reason = "the driver's interface is raw pointers")]
fn keep_memory(device: &Device) -> candle_core::Result<()> {
    use candle_core::cuda::cudarc::driver::{result, sys};

    let stream = device.as_cuda_device()?.cuda_stream();
    let mut threshold: u64 = 256 << 20;
    // SAFETY: the device is that of a context that is open, the pool is the driver's own, and the attribute is a `cuuint64_t`.
    let set = unsafe {
        result::device::get_default_mem_pool(stream.context().cu_device()).and_then(|pool| {
            let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
            result::mem_pool::set_attribute(pool, attribute, (&raw mut threshold).cast())
        })
    };
    // Only speed is lost.
    set.ok();
    Ok(())
}

/// Opens a device and tries it. Where there is none, candle and the bindings of drivers may panic.
fn opened(name: &'static str, open: impl FnOnce() -> candle_core::Result<Device>) -> candle_core::Result<Opened> {
    let attempt = catch_unwind(AssertUnwindSafe(|| tried(open()?, name)));
    attempt.unwrap_or_else(|panic| Err(Error::Msg(format!("there may be none: {}", panic_message(panic.as_ref())))))
}

/// Computes a product in each precision: a driver that is too old, or a card without bf16, shows itself here and not in the first decision.
fn tried(device: Device, name: &'static str) -> candle_core::Result<Opened> {
    let product = |dtype| -> candle_core::Result<f32> {
        let ones = Tensor::ones((16, 16), dtype, &device)?;
        ones.matmul(&ones)?.to_dtype(DType::F32)?.sum_all()?.to_scalar()
    };
    let dtype = match product(DType::BF16) {
        Ok(_) => DType::BF16,
        // A full card tells nothing of its precisions, and what is found here may be kept.
        Err(error) if is_out_of_memory(&error.to_string()) => return Err(error),
        Err(_) => product(DType::F16).map(|_| DType::F16)?,
    };
    Ok(Opened { device, name, dtype, small: 0 })
}

fn missing(what: &str, feature: &str, error: &Error) -> EngineError {
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

/// Says the same of a device on which no router could be loaded.
pub fn load_failure(name: &str, error: EngineError) -> EngineError {
    match failure(name, error) {
        EngineError::Request(sentence) => EngineError::Router(sentence),
        other => other,
    }
}

/// Says why a router that could not be loaded on this device is loaded on another, in the words of [`Candidates::refused`].
pub fn refusal(name: &str, text: &str) -> String {
    let what = first_line(text);
    if is_out_of_memory(text) { format!("{name} has too little memory for it ({what})") } else { format!("{name} failed ({what})") }
}

/// Says what to do about a router whose network computes no numbers.
pub fn no_numbers(router: &str, device: &str) -> EngineError {
    EngineError::router(match device {
        "cpu" => format!("{router}: the weights are damaged, the network computes no numbers; download it again"),
        _ => format!(
            "{router}: the network computes no numbers on the {device} device; choose --device cpu, and where that fails too, download the router again"
        ),
    })
}

fn is_out_of_memory(text: &str) -> bool {
    const SIGNS: [&str; 6] =
        ["out of memory", "out_of_memory", "outofmemory", "failed to allocate", "alloc_failed", "failed to create metal resource"];
    let text = text.to_lowercase();
    SIGNS.iter().any(|sign| text.contains(sign))
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
    fn what_cannot_be_loaded_is_an_error_of_the_router() {
        let full = || EngineError::Internal("Metal error Failed to create metal resource: Buffer".to_owned());
        assert!(matches!(failure("metal", full()), EngineError::Request(_)));
        let EngineError::Router(sentence) = load_failure("metal", full()) else { panic!("a router that cannot be loaded ends with 3") };
        assert!(sentence.contains("too little memory"), "{sentence}");
        assert_eq!(load_failure("cpu", EngineError::Cancelled), EngineError::Cancelled);
    }

    #[test]
    fn only_the_cpu_blames_the_weights_for_what_is_no_number() {
        let sentence = |device| no_numbers("tiny", device).to_string();
        assert!(sentence("cpu").contains("the weights are damaged"));
        assert!(sentence("metal").contains("metal device") && sentence("metal").contains("--device cpu"), "{}", sentence("metal"));
    }

    #[test]
    fn auto_says_why_it_takes_no_faster_device() {
        let found = all([
            ("cuda", Err(Error::Msg("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH\n   0: backtrace".to_owned()))),
            ("metal", Err(Error::NotCompiledWithMetalSupport)),
        ]);
        assert_eq!(found.refused, ["cuda cannot be used (CUDA_ERROR_SYSTEM_DRIVER_MISMATCH)"]);
        assert_eq!(found.devices.len(), 1);
    }

    #[test]
    fn a_panic_of_an_opener_is_an_error() {
        let error = opened("metal", || panic!("index 0 of 0 devices")).unwrap_err().to_string();
        assert!(error.contains("index 0 of 0 devices"), "{error}");
    }

    #[test]
    fn auto_ends_with_the_cpu_and_the_cpu_is_f32() {
        let devices = candidates(DeviceChoice::Auto).unwrap().devices;
        assert_eq!(devices.last().map(|opened| (opened.name, opened.dtype)), Some(("cpu", DType::F32)));
        assert!(devices.iter().rev().skip(1).all(|opened| opened.dtype != DType::F32), "{devices:?}");
        for (choice, name) in [(DeviceChoice::Cuda, "cuda"), (DeviceChoice::Metal, "metal")] {
            match candidates(choice) {
                Ok(found) => assert_eq!(found.devices[0].name, name),
                Err(error) => assert!(error.to_string().contains("--device cpu"), "{error}"),
            }
        }
    }
}

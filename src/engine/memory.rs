//! How much memory a router will take, from the headers of its files alone.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use safetensors::{Dtype, SafeTensors};

use super::config::{HEAD, ModelConfig};
use super::gguf::Gguf;
use super::hub;
use super::load::whole_gguf;
use super::local::CACHE_BUDGET;
use super::mapped::MappedFile;
use super::place::Place;
use super::weights::stays_quantised;
use super::{EngineError, amx};

/// Buffers of a pass, tokenizer and the like on the CPU.
const AROUND: u64 = 200 << 20;

/// The same on GPUs, which hold all scores of a pass and the logits of 256 tokens at once: 1.42 GB beside Arch-Router-1.5B's weights and a full cache
/// on an H200, what CUDA itself takes included.
const AROUND_ON_GPU: u64 = 1_500_000_000;

/// What the headers of a router's files say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Of all its files.
    pub disk_bytes: u64,
    /// With the weights as this machine computes with them, the prefix cache full, and what stands around them.
    pub memory_bytes: u64,
    /// Precision of the weights as stored, for people.
    pub stored: String,
    /// As its metadata says, where it does.
    pub licence: Option<String>,
}

/// Reads the headers of a folder or a `.gguf` file of a router that would run at this place.
///
/// # Errors
/// Fails with a sentence on what this version cannot run.
pub fn examine(path: &Path, place: &Place) -> Result<Examined, EngineError> {
    if !path.is_dir() {
        return examine_gguf(path, place);
    }
    if let Some(file) = whole_gguf(path)? {
        return examine_gguf(&file, place);
    }
    let on_cpu = place.is_cpu();
    let config_path = path.join("config.json");
    let config = std::fs::read(&config_path).map_err(|error| EngineError::router(format!("{}: {error}", config_path.display())))?;
    let config = ModelConfig::from_json(&config_path.display().to_string(), &config, None)?;
    hub::check_parts(path)?;
    let (mut disk_bytes, mut elements, mut types, mut has_head) = (0, 0_u64, Vec::new(), false);
    for file in with_extension(path, "safetensors") {
        let mapped = MappedFile::open(&file)?;
        let (_, metadata) = SafeTensors::read_metadata(mapped.bytes())
            .map_err(|error| EngineError::router(format!("{}: damaged safetensors ({error}); download it again", file.display())))?;
        disk_bytes += mapped.bytes().len() as u64;
        for (tensor, info) in metadata.tensors() {
            elements += info.shape.iter().product::<usize>() as u64;
            let name = match info.dtype {
                Dtype::F32 => "f32",
                Dtype::F16 => "f16",
                Dtype::BF16 => "bf16",
                _ => continue,
            };
            types.push(name);
            has_head |= tensor == HEAD;
        }
    }
    config.check_head(&path.display().to_string(), has_head)?;
    Ok(Examined {
        disk_bytes,
        memory_bytes: in_memory(elements * dense(on_cpu), on_cpu),
        stored: most(&types),
        licence: licence_file(path),
    })
}

fn examine_gguf(path: &Path, place: &Place) -> Result<Examined, EngineError> {
    let on_cpu = place.is_cpu();
    let mapped = MappedFile::open(path)?;
    let shown = path.display().to_string();
    let gguf = Gguf::parse(mapped.bytes()).map_err(|error| EngineError::router(format!("{shown}: {error}")))?;
    ModelConfig::from_gguf(&shown, &gguf)?;
    let elements = |shape: &[usize]| shape.iter().product::<usize>() as u64;
    let small = gguf.tensors().map(|tensor| elements(&tensor.shape) * 4).sum::<u64>() <= place.small;
    let (mut weights, mut types) = (0, Vec::new());
    for tensor in gguf.tensors() {
        let is_dense = matches!(tensor.dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16);
        let stays = !is_dense && stays_quantised(tensor.dtype, tensor.shape.last().copied().unwrap_or(0), on_cpu, small);
        let stored = tensor.bytes.len() as u64;
        weights += if stays { amx::in_memory(tensor.dtype, stored, on_cpu) } else { elements(&tensor.shape) * dense(on_cpu) };
        if tensor.shape.len() > 1 {
            types.push(tensor.dtype);
        }
    }
    let names: Vec<String> = types.iter().map(|dtype| format!("{dtype:?}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(Examined {
        disk_bytes: mapped.bytes().len() as u64,
        memory_bytes: in_memory(weights, on_cpu),
        stored: most(&names),
        licence: gguf.string("general.license").map(str::to_owned),
    })
}

/// Bytes of a weight that is not quantised: f32 on the CPU, half precision elsewhere.
fn dense(on_cpu: bool) -> u64 {
    if on_cpu { 4 } else { 2 }
}

/// Returns what a router takes whose weights take so many bytes.
pub fn in_memory(weights: u64, on_cpu: bool) -> u64 {
    weights + CACHE_BUDGET + if on_cpu { AROUND } else { AROUND_ON_GPU }
}

/// Returns the most frequent name.
fn most(names: &[&str]) -> String {
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    names.iter().max_by_key(|name| count(name)).map_or_else(String::new, |name| (*name).to_owned())
}

fn with_extension(folder: &Path, wanted: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == wanted)).collect()
}

/// Returns the first line of a licence that lies beside the weights.
fn licence_file(folder: &Path) -> Option<String> {
    let names = ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE"];
    let text = names.iter().find_map(|name| std::fs::read_to_string(folder.join(name)).ok())?;
    text.lines().map(|line| line.trim_matches(['#', ' '])).find(|line| !line.is_empty()).map(str::to_owned)
}

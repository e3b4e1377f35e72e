//! Named weights of a router, out of safetensors or GGUF files, checked against the shape the network expects.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};

use super::device::Opened;
use super::gguf::Gguf;
use super::linear::Linear;
use super::mapped::{self, FileRange, MappedFile, quantised};
use super::tensor_names::gguf_name;
use super::{EngineError, amx};

/// How one tensor is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    F32,
    F16,
    BF16,
    Quantised(GgmlDType),
}

struct Entry {
    file: Arc<MappedFile>,
    stored: Stored,
    shape: Vec<usize>,
    range: Range<usize>,
}

/// The weights of one router, still in their files.
pub struct Weights {
    entries: HashMap<String, Entry>,
    device: Device,
    /// What dense weights are turned into: f32 on the CPU, half precision on GPUs.
    dtype: DType,
    names: Names,
    path: String,
    /// Whether all of it may become f32 on the CPU, and half precision on a GPU, where products are faster so.
    small: bool,
}

/// A router that takes no more bytes than this as f32 is read into f32 rather than computed with slow quantised products.
pub const SMALL: u64 = 1 << 30;

/// Which of the two naming schemes the files use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Names {
    HuggingFace,
    Gguf,
}

/// Returns whether weights are computed with as they are in the file. On the CPU candle's fast quantised products need rows of a multiple of 256
/// (others run at a tenth of the speed) and exist for few types: with others f32 is five to eight times as fast, and worth its memory where the
/// router is small (see [`SMALL`]). On GPUs half precision is faster than any of them, and a small router has room for it.
pub fn stays_quantised(dtype: GgmlDType, columns: usize, on_cpu: bool, small: bool) -> bool {
    let fast =
        matches!(dtype, GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0) || (cfg!(target_arch = "aarch64") && dtype == GgmlDType::Q5K);
    if on_cpu { columns.is_multiple_of(256) && (fast || !small) } else { !small }
}

impl Weights {
    /// Opens the tensors of safetensors files; a tensor in two files is taken from the last.
    ///
    /// # Errors
    /// Fails on a damaged file. Tensors of other types than f32, f16 and bf16 count as missing.
    pub fn from_safetensors(path: &str, files: &[Arc<MappedFile>], device: &Device, dtype: DType) -> Result<Self, EngineError> {
        let mut entries = HashMap::new();
        for file in files {
            let fail = |what: String| EngineError::router(format!("{}: {what}; download the file again", file.path));
            let (header, metadata) =
                SafeTensors::read_metadata(file.bytes()).map_err(|error| fail(format!("damaged safetensors ({error})")))?;
            let data = header + 8;
            for (name, info) in metadata.tensors() {
                let stored = match info.dtype {
                    Dtype::F32 => Stored::F32,
                    Dtype::F16 => Stored::F16,
                    Dtype::BF16 => Stored::BF16,
                    // Buffers of other types (position ids) are no weights of this network.
                    _ => continue,
                };
                let (start, end) = info.data_offsets;
                let range = data.checked_add(start).zip(data.checked_add(end)).map(|(start, end)| start..end);
                let Some(range) = range.filter(|range| range.start <= range.end && range.end <= file.bytes().len()) else {
                    return Err(fail(format!("the tensor {name} lies past the end of the file")));
                };
                entries.insert(name, Entry { file: Arc::clone(file), stored, shape: info.shape.clone(), range });
            }
        }
        Ok(Self { entries, device: device.clone(), dtype, names: Names::HuggingFace, path: path.to_owned(), small: false })
    }

    /// Opens the tensors of a GGUF file whose header is `gguf`, for a device.
    pub fn from_gguf(file: &Arc<MappedFile>, gguf: &Gguf, names: impl Iterator<Item = String>, opened: &Opened) -> Self {
        let mut entries = HashMap::new();
        for name in names {
            if let Some(info) = gguf.tensor(&name) {
                let stored = match info.dtype {
                    GgmlDType::F32 => Stored::F32,
                    GgmlDType::F16 => Stored::F16,
                    GgmlDType::BF16 => Stored::BF16,
                    other => Stored::Quantised(other),
                };
                entries.insert(name, Entry { file: Arc::clone(file), stored, shape: info.shape.clone(), range: info.bytes.clone() });
            }
        }
        let numbers: usize = entries.values().map(|entry: &Entry| entry.shape.iter().product::<usize>()).sum();
        let small = numbers as u64 * 4 <= opened.small;
        Self { entries, device: opened.device.clone(), dtype: opened.dtype, names: Names::Gguf, path: file.path.clone(), small }
    }

    /// Returns the bytes that all of them will take in memory.
    pub fn bytes(&self) -> u64 {
        let bytes = |entry: &Entry| match entry.stored {
            Stored::Quantised(dtype) if self.stays_quantised(dtype, entry.shape.last().copied().unwrap_or(0)) => {
                amx::in_memory(dtype, entry.range.len() as u64, self.device.is_cpu())
            }
            _ => (entry.shape.iter().product::<usize>() * self.dtype.size_in_bytes()) as u64,
        };
        self.entries.values().map(bytes).sum()
    }

    /// Returns whether the file has this tensor; `name` is Hugging Face's name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(&self.file_name(name))
    }

    /// Returns a vector of `len` numbers in the network's type.
    ///
    /// # Errors
    /// Fails when it is missing or has another shape.
    pub fn vector(&self, name: &str, len: usize) -> Result<Tensor, EngineError> {
        let values = self.floats(self.entry(name, &[len])?)?;
        self.tensor(values, &[len], self.dtype)
    }

    /// Returns a vector of `len` numbers as they are, or `None` when the file has none or all are zero: adding it changes nothing.
    pub fn bias(&self, name: &str, len: usize) -> Result<Option<Vec<f32>>, EngineError> {
        if !self.has(name) {
            return Ok(None);
        }
        let values = self.floats(self.entry(name, &[len])?)?;
        Ok(values.iter().any(|&value| value != 0.0).then_some(values))
    }

    /// Returns one matrix of `out` rows.
    ///
    /// # Errors
    /// Fails when it is missing or has another shape.
    pub fn linear(&self, name: &str, out: usize, columns: usize) -> Result<Linear, EngineError> {
        let entry = self.entry(name, &[out, columns])?;
        match self.quantised(entry, columns)? {
            Some(quantised) => Ok(quantised),
            None => self.dense(&[entry], out, columns, self.dtype),
        }
    }

    /// Returns the matrix of an output head, as [`Self::linear`] does but in [`Self::fine_type`].
    ///
    /// # Errors
    /// Fails when it is missing or has another shape.
    pub fn head(&self, name: &str, out: usize, columns: usize) -> Result<Linear, EngineError> {
        let entry = self.entry(name, &[out, columns])?;
        match self.quantised(entry, columns)? {
            Some(quantised) => Ok(quantised),
            None => self.dense(&[entry], out, columns, self.fine_type()),
        }
    }

    /// Returns a matrix whose rows can be looked up fast, and which may be the output head, in [`Self::fine_type`].
    ///
    /// # Errors
    /// Fails when it is missing or has another shape.
    pub fn embedding(&self, name: &str, rows: usize, columns: usize) -> Result<Linear, EngineError> {
        let entry = self.entry(name, &[rows, columns])?;
        if let Some(quantised) = self.quantised(entry, columns)? {
            return Ok(quantised);
        }
        let weight = self.tensor(self.floats(entry)?, &[rows, columns], self.fine_type())?;
        entry.file.release(entry.range.clone());
        Ok(Linear::Embedding(weight))
    }

    /// Returns several matrices with the same input as one where they are dense, so that one product does the work of all, and apart where
    /// they stay quantised.
    ///
    /// # Errors
    /// Fails when one is missing or has another shape.
    pub fn fused(&self, parts: &[(String, usize)], columns: usize) -> Result<Vec<Linear>, EngineError> {
        let entries: Vec<&Entry> = parts.iter().map(|(name, out)| self.entry(name, &[*out, columns])).collect::<Result<_, _>>()?;
        if entries.iter().any(|entry| matches!(entry.stored, Stored::Quantised(dtype) if self.stays_quantised(dtype, columns))) {
            return parts.iter().map(|(name, out)| self.linear(name, *out, columns)).collect();
        }
        let out = parts.iter().map(|(_, out)| out).sum();
        Ok(vec![self.dense(&entries, out, columns, self.dtype)?])
    }

    /// Returns where the named weights lie when `weight` still reads them there.
    pub fn pages_of(&self, name: &str, weight: &Linear) -> Option<FileRange> {
        let entry = self.entries.get(&self.file_name(name))?;
        let in_place = matches!(weight, Linear::Quantised(_)) && self.device.is_cpu();
        in_place.then(|| FileRange { file: Arc::clone(&entry.file), range: entry.range.clone() })
    }

    /// Gives back the file pages of everything read so far.
    pub fn release_pages(&self) {
        for entry in self.entries.values() {
            entry.file.release(entry.range.clone());
        }
    }

    /// Returns the weights as they are stored, where products with them are fast.
    fn quantised(&self, entry: &Entry, columns: usize) -> Result<Option<Linear>, EngineError> {
        match entry.stored {
            Stored::Quantised(dtype) if self.stays_quantised(dtype, columns) => {
                Ok(Some(Linear::Quantised(Arc::new(quantised(&entry.file, entry.range.clone(), dtype, &entry.shape, &self.device)?))))
            }
            _ => Ok(None),
        }
    }

    /// Returns the rows of all entries one under the other, turned into `[columns, out]`.
    fn dense(&self, entries: &[&Entry], out: usize, columns: usize, dtype: DType) -> Result<Linear, EngineError> {
        let mut turned = vec![0.0_f32; columns * out];
        let mut first = 0;
        for entry in entries {
            let values = self.floats(entry)?;
            entry.file.release(entry.range.clone());
            let rows = values.len() / columns;
            // In squares that stay in the cache: a plain loop over either side misses it on every value of the other.
            const SIDE: usize = 32;
            turned.par_chunks_mut(SIDE * out).enumerate().for_each(|(band, turned)| {
                for row in (0..rows).step_by(SIDE) {
                    for (offset, turned) in turned.chunks_exact_mut(out).enumerate() {
                        let column = band * SIDE + offset;
                        for row in row..rows.min(row + SIDE) {
                            turned[first + row] = values[row * columns + column];
                        }
                    }
                }
            });
            first += rows;
        }
        Ok(Linear::Dense(self.tensor(turned, &[columns, out], dtype)?))
    }

    /// Returns the type of what logits are made with. In bf16 those of close calls would be eighths, and many the same; f16 is eight times as
    /// fine, has room for these numbers, and takes no more memory.
    fn fine_type(&self) -> DType {
        if self.dtype == DType::BF16 { DType::F16 } else { self.dtype }
    }

    /// Brings numbers to the device, in a type that is narrowed here: f32 would take twice the room there, and twice as long to get there.
    fn tensor(&self, values: Vec<f32>, shape: &[usize], dtype: DType) -> Result<Tensor, EngineError> {
        Ok(match dtype {
            DType::BF16 => Tensor::from_vec(narrowed(values, bf16::from_f32), shape, &self.device)?,
            DType::F16 => Tensor::from_vec(narrowed(values, f16::from_f32), shape, &self.device)?,
            _ => Tensor::from_vec(values, shape, &self.device)?.to_dtype(dtype)?,
        })
    }

    fn stays_quantised(&self, dtype: GgmlDType, columns: usize) -> bool {
        stays_quantised(dtype, columns, self.device.is_cpu(), self.small)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry, EngineError> {
        let name = self.file_name(name);
        let path = &self.path;
        let Some(entry) = self.entries.get(&name) else {
            return Err(EngineError::router(format!(
                "{path}: the tensor {name} is missing; the download is incomplete or this is no Qwen2 router"
            )));
        };
        if entry.shape != shape {
            let found = &entry.shape;
            return Err(EngineError::router(format!(
                "{path}: the tensor {name} has the shape {found:?} where the configuration says {shape:?}; files of different models are mixed"
            )));
        }
        Ok(entry)
    }

    /// Returns the numbers of a tensor whose shape was checked, as f32.
    fn floats(&self, entry: &Entry) -> Result<Vec<f32>, EngineError> {
        let bytes = &entry.file.bytes()[entry.range.clone()];
        let count: usize = entry.shape.iter().product();
        let width = match entry.stored {
            Stored::F32 => 4,
            Stored::F16 | Stored::BF16 => 2,
            Stored::Quantised(dtype) => return Ok(mapped::floats(&entry.file, entry.range.clone(), dtype, count)?),
        };
        if bytes.len() != count * width {
            return Err(EngineError::router(format!(
                "{}: a tensor of {count} numbers has {} bytes; download the file again",
                entry.file.path,
                bytes.len()
            )));
        }
        let mut values = vec![0.0_f32; count];
        const PART: usize = 1 << 16;
        values.par_chunks_mut(PART).zip(bytes.par_chunks(PART * width)).for_each(|(values, bytes)| match entry.stored {
            Stored::F32 => fill(values, bytes, f32::from_le_bytes),
            Stored::F16 => fill(values, bytes, |bytes: [u8; 2]| f16::from_le_bytes(bytes).to_f32()),
            _ => fill(values, bytes, |bytes: [u8; 2]| bf16::from_le_bytes(bytes).to_f32()),
        });
        Ok(values)
    }

    fn file_name(&self, name: &str) -> String {
        match self.names {
            Names::HuggingFace => name.to_owned(),
            Names::Gguf => gguf_name(name),
        }
    }
}

fn narrowed<T: Send>(values: Vec<f32>, narrow: impl Fn(f32) -> T + Sync + Send) -> Vec<T> {
    values.into_par_iter().map(narrow).collect()
}

fn fill<const N: usize>(values: &mut [f32], bytes: &[u8], read: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *value = read(*bytes);
    }
}

//! Reads the header of a GGUF file out of a memory map.
//!
//! Format: ggml's `docs/gguf.md`, versions 2 and 3. candle has a reader too, but it copies every tensor (which doubles the memory a
//! quantised router needs) and panics on a file that claims an alignment of zero; here every number of the file is checked before use.

use std::collections::HashMap;
use std::ops::Range;

use candle_core::quantized::GgmlDType;

/// A damaged file: one sentence without the path, which the caller adds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GgufError(String);

fn damaged<T>(what: impl Into<String>) -> Result<T, GgufError> {
    Err(GgufError(what.into()))
}

/// A value of the metadata. Arrays of other things than text are kept as numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<i64>),
    /// Read over, never used: arrays of arrays and of floats.
    Other,
}

/// Where one tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    pub dtype: GgmlDType,
    /// Rows first, as candle and PyTorch have it (the file has it the other way round).
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub bytes: Range<usize>,
}

/// The header of a GGUF file.
#[derive(Debug)]
pub struct Gguf {
    metadata: HashMap<String, MetaValue>,
    tensors: HashMap<String, TensorInfo>,
}

impl Gguf {
    /// Parses the header at the start of `file`.
    ///
    /// # Errors
    /// Fails on anything that is not a complete, consistent GGUF file; never allocates more than the file's own size.
    pub fn parse(file: &[u8]) -> Result<Self, GgufError> {
        let mut reader = Reader { file, at: 0 };
        if reader.take(4)? != b"GGUF" {
            return damaged("this is no GGUF file (it does not start with GGUF); name a model folder or a .gguf file");
        }
        let version = reader.u32()?;
        if version != 2 && version != 3 {
            return damaged(format!("GGUF version {version} is not supported; convert the model again with a present llama.cpp"));
        }
        let (tensor_count, pair_count) = (reader.u64()?, reader.u64()?);
        let mut metadata = HashMap::new();
        for _ in 0..pair_count {
            let key = reader.text()?;
            let kind = reader.u32()?;
            metadata.insert(key, reader.value(kind, 0)?);
        }
        let mut raw = Vec::new();
        for _ in 0..tensor_count {
            raw.push(reader.tensor()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(MetaValue::Unsigned(alignment)) if alignment.is_power_of_two() && (8..=1 << 20).contains(alignment) => *alignment as usize,
            Some(_) => return damaged("general.alignment must be a power of two from 8; the file is damaged, download it again"),
        };
        let data = reader.at.next_multiple_of(alignment);
        let mut tensors = HashMap::new();
        for (name, dtype, shape, offset) in raw {
            let bytes = tensor_bytes(&name, dtype, &shape, offset, data, file.len())?;
            tensors.insert(name, TensorInfo { dtype, shape, bytes });
        }
        Ok(Self { metadata, tensors })
    }

    /// Returns where the named tensor lies.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// Returns where every tensor lies, in no order.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.values()
    }

    /// Returns a text of the metadata.
    pub fn string(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            MetaValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns a list of texts of the metadata.
    pub fn strings(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key)? {
            MetaValue::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// Returns a list of whole numbers of the metadata.
    pub fn numbers(&self, key: &str) -> Option<&[i64]> {
        match self.metadata.get(key)? {
            MetaValue::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// Returns a whole number of the metadata that is not negative.
    pub fn unsigned(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            MetaValue::Unsigned(number) => Some(*number),
            MetaValue::Signed(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// Returns a fraction of the metadata.
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            MetaValue::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns a flag of the metadata.
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            MetaValue::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

fn tensor_bytes(name: &str, dtype: GgmlDType, shape: &[usize], offset: u64, data: usize, file: usize) -> Result<Range<usize>, GgufError> {
    let elements = shape.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    let row = shape.last().copied().unwrap_or(0);
    let Some(elements) = elements.filter(|&elements| elements > 0 && row.is_multiple_of(dtype.block_size())) else {
        return damaged(format!("the tensor {name} claims the impossible shape {shape:?}; the file is damaged, download it again"));
    };
    let size = (elements / dtype.block_size()).checked_mul(dtype.type_size());
    let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
    match (start, start.zip(size).and_then(|(start, size)| start.checked_add(size))) {
        (Some(start), Some(end)) if end <= file && start.is_multiple_of(8) => Ok(start..end),
        _ => damaged(format!("the tensor {name} lies past the end of the file, which was probably cut short; download it again")),
    }
}

struct Reader<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], GgufError> {
        let bytes = self.at.checked_add(count).and_then(|end| self.file.get(self.at..end));
        let Some(bytes) = bytes else { return damaged("the header ends too early; the file was probably cut short, download it again") };
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, GgufError> {
        let length = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<MetaValue, GgufError> {
        Ok(match kind {
            0 => MetaValue::Unsigned(u64::from(self.array::<1>()?[0])),
            1 => MetaValue::Signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => MetaValue::Unsigned(u64::from(u16::from_le_bytes(self.array()?))),
            3 => MetaValue::Signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => MetaValue::Unsigned(u64::from(self.u32()?)),
            5 => MetaValue::Signed(i64::from(i32::from_le_bytes(self.array()?))),
            6 => MetaValue::Float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => MetaValue::Bool(self.array::<1>()?[0] != 0),
            8 => MetaValue::Text(self.text()?),
            9 => self.list(depth)?,
            10 => MetaValue::Unsigned(self.u64()?),
            11 => MetaValue::Signed(i64::from_le_bytes(self.array()?)),
            12 => MetaValue::Float(f64::from_le_bytes(self.array()?)),
            other => {
                return damaged(format!("the metadata has a value of the unknown type {other}; the file is damaged, download it again"));
            }
        })
    }

    fn list(&mut self, depth: usize) -> Result<MetaValue, GgufError> {
        if depth > 4 {
            return damaged("the metadata nests lists too deeply; the file is damaged, download it again");
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind == 8 {
            return (0..count).map(|_| self.text()).collect::<Result<_, _>>().map(MetaValue::Texts);
        }
        let mut numbers = Vec::new();
        let mut whole = true;
        for _ in 0..count {
            match self.value(kind, depth + 1)? {
                MetaValue::Unsigned(number) if number <= i64::MAX as u64 => numbers.push(number as i64),
                MetaValue::Signed(number) => numbers.push(number),
                _ => whole = false,
            }
        }
        Ok(if whole { MetaValue::Numbers(numbers) } else { MetaValue::Other })
    }

    fn tensor(&mut self) -> Result<(String, GgmlDType, Vec<usize>, u64), GgufError> {
        let name = self.text()?;
        let rank = self.u32()?;
        if rank > 4 {
            return damaged(format!("the tensor {name} claims {rank} dimensions; the file is damaged, download it again"));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let kind = self.u32()?;
        let Some(dtype) = dtype(kind) else {
            return damaged(format!(
                "the tensor {name} has the unsupported type {kind}; use a file in F16, BF16, Q8_0, Q4_K_M or another K quantisation"
            ));
        };
        Ok((name, dtype, shape, self.u64()?))
    }
}

/// Numbers of `enum ggml_type` in ggml's `ggml.h`.
fn dtype(kind: u32) -> Option<GgmlDType> {
    Some(match kind {
        0 => GgmlDType::F32,
        1 => GgmlDType::F16,
        2 => GgmlDType::Q4_0,
        3 => GgmlDType::Q4_1,
        6 => GgmlDType::Q5_0,
        7 => GgmlDType::Q5_1,
        8 => GgmlDType::Q8_0,
        10 => GgmlDType::Q2K,
        11 => GgmlDType::Q3K,
        12 => GgmlDType::Q4K,
        13 => GgmlDType::Q5K,
        14 => GgmlDType::Q6K,
        30 => GgmlDType::BF16,
        _ => return None,
    })
}

//! Memory-mapped files, and quantised weights that stay in them.
//!
//! candle repacks Q4_K, Q6_K and Q8_0 weights into tiles on first use and keeps the packed form beside the original. Copying the original
//! into memory first would cost another gigabyte for a 1.5B router, so the original stays in the file: candle's `QuantizedType` is
//! implemented over the map, and its pages are given back once the tiles exist.

use std::borrow::Cow;
use std::fs::File;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::k_quants::{
    self, BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
};
use candle_core::quantized::{GgmlDType, GgmlType, QStorage, QTensor, QuantizedType};
use candle_core::{CpuStorage, Device, Result, bail};
use half::f16;
use memmap2::Mmap;
use rayon::prelude::*;

use super::EngineError;

/// A file mapped read-only.
pub struct MappedFile {
    map: Mmap,
    /// For messages.
    pub path: String,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// Fails when it cannot be opened, is empty, or is no regular file.
    pub fn open(path: &Path) -> std::result::Result<Arc<Self>, EngineError> {
        let shown = path.display().to_string();
        let fail = |error: std::io::Error| EngineError::router(format!("{shown}: {error}; check the path and its permissions"));
        // Asked before opening: opening a pipe would wait for its writer.
        if !std::fs::metadata(path).map_err(fail)?.is_file() {
            return Err(EngineError::router(format!("{shown} is not a file; name a model folder or a .gguf file")));
        }
        let file = File::open(path).map_err(fail)?;
        // SAFETY: the map is only read. Another program that cuts the file short while it is mapped can still end the process, as with any
        // memory-mapped loader; weights are not edited in place by anything known.
        #[expect(unsafe_code, reason = "mapping a file is unsafe because other processes may change it")]
        let map = unsafe { Mmap::map(&file) }.map_err(fail)?;
        Ok(Arc::new(Self { map, path: shown }))
    }

    /// Returns the file's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Gives the pages of `range` back to the system; reading them again maps them again. Only a hint, so failure is no error.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "there the system takes pages back by itself"))]
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            // SAFETY: dropping pages of a read-only map of a file changes no value; the next read takes them from the file again.
            #[expect(unsafe_code, reason = "madvise(DONTNEED) is unsafe for private writable maps, which this is not")]
            unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) }.ok();
        }
    }
}

/// A part of a mapped file.
#[derive(Clone)]
pub struct FileRange {
    pub file: Arc<MappedFile>,
    pub range: Range<usize>,
}

impl FileRange {
    /// Gives the pages back to the system until they are read again.
    pub fn release(&self) {
        self.file.release(self.range.clone());
    }
}

/// Blocks of one quantised type inside a mapped file.
struct MappedBlocks<T> {
    file: Arc<MappedFile>,
    range: Range<usize>,
    blocks: PhantomData<T>,
}

impl<T: GgmlType> MappedBlocks<T> {
    fn slice(&self) -> &[T] {
        let bytes = &self.file.bytes()[self.range.clone()];
        // SAFETY: ggml's block types are plain numbers without padding or invalid values, and `new` checked size and alignment.
        #[expect(unsafe_code, reason = "the blocks are read where they lie in the file")]
        unsafe {
            std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>())
        }
    }

    fn boxed(file: Arc<MappedFile>, range: Range<usize>) -> Result<Box<dyn QuantizedType>>
    where
        T: 'static,
    {
        let bytes = &file.bytes()[range.clone()];
        if !bytes.len().is_multiple_of(size_of::<T>()) || !bytes.as_ptr().cast::<T>().is_aligned() {
            bail!("quantised weights in {} are not aligned", file.path);
        }
        Ok(Box::new(Self { file, range, blocks: PhantomData }))
    }
}

impl<T: GgmlType> QuantizedType for MappedBlocks<T> {
    fn dtype(&self) -> GgmlDType {
        T::DTYPE
    }

    fn matmul_t(&self, mkn: (usize, usize, usize), lhs: &[f32], dst: &mut [f32]) -> Result<()> {
        k_quants::matmul(mkn, lhs, self.slice(), dst)
    }

    fn matmul_t_f16(&self, mkn: (usize, usize, usize), lhs: &[f16], dst: &mut [f16]) -> Result<()> {
        k_quants::matmul_f16(mkn, lhs, self.slice(), dst)
    }

    fn embedding(&self, ids: &[u32], rows: usize, hidden: usize) -> Result<CpuStorage> {
        let row_blocks = hidden / T::BLCK_SIZE;
        let mut out = vec![0.0; ids.len() * hidden];
        for (&id, out) in ids.iter().zip(out.chunks_exact_mut(hidden)) {
            let row = id as usize;
            if row >= rows {
                bail!("token {row} is not among the {rows} tokens of the vocabulary");
            }
            T::to_float(&self.slice()[row * row_blocks..][..row_blocks], out);
        }
        Ok(CpuStorage::F32(out))
    }

    fn dequantize(&self, elem_count: usize) -> Result<CpuStorage> {
        // Blocks that one thread takes at a time.
        const PART: usize = 1024;
        let mut out = vec![0.0; elem_count];
        let parts = self.slice().par_chunks(PART).zip(out.par_chunks_mut(PART * T::BLCK_SIZE));
        parts.for_each(|(blocks, out)| T::to_float(blocks, out));
        Ok(CpuStorage::F32(out))
    }

    fn storage_size_in_bytes(&self) -> usize {
        self.range.len()
    }

    fn as_ptr(&self) -> *const u8 {
        self.file.bytes()[self.range.clone()].as_ptr()
    }

    fn block_size(&self) -> usize {
        T::BLCK_SIZE
    }

    #[expect(
        clippy::unreachable,
        reason = "candle's trait lets it return no error, and to do nothing would leave other weights than asked for"
    )]
    fn from_float(&mut self, _: &[f32]) {
        unreachable!("mapped weights are read-only, and nothing here quantises")
    }

    #[expect(clippy::unreachable, reason = "as for from_float")]
    fn from_float_imatrix(&mut self, _: &[f32], _: &[f32], _: usize) {
        unreachable!("mapped weights are read-only, and nothing here quantises")
    }

    fn size(&self) -> usize {
        self.range.len()
    }
}

/// Returns the blocks of quantised weights where they lie in `file`; `range` must lie inside it.
fn blocks(file: &Arc<MappedFile>, range: Range<usize>, dtype: GgmlDType) -> Result<Box<dyn QuantizedType>> {
    let file = Arc::clone(file);
    match dtype {
        GgmlDType::Q4_0 => MappedBlocks::<BlockQ4_0>::boxed(file, range),
        GgmlDType::Q4_1 => MappedBlocks::<BlockQ4_1>::boxed(file, range),
        GgmlDType::Q5_0 => MappedBlocks::<BlockQ5_0>::boxed(file, range),
        GgmlDType::Q5_1 => MappedBlocks::<BlockQ5_1>::boxed(file, range),
        GgmlDType::Q8_0 => MappedBlocks::<BlockQ8_0>::boxed(file, range),
        GgmlDType::Q2K => MappedBlocks::<BlockQ2K>::boxed(file, range),
        GgmlDType::Q3K => MappedBlocks::<BlockQ3K>::boxed(file, range),
        GgmlDType::Q4K => MappedBlocks::<BlockQ4K>::boxed(file, range),
        GgmlDType::Q5K => MappedBlocks::<BlockQ5K>::boxed(file, range),
        GgmlDType::Q6K => MappedBlocks::<BlockQ6K>::boxed(file, range),
        other => bail!("{other:?} is no quantised type of weights"),
    }
}

/// Returns quantised weights of `file` as a tensor: in place on the CPU, copied on other devices. `range` must lie inside the file.
///
/// # Errors
/// Fails on types that are not quantised and where the device does.
pub fn quantised(file: &Arc<MappedFile>, range: Range<usize>, dtype: GgmlDType, shape: &[usize], device: &Device) -> Result<QTensor> {
    let storage = if device.is_cpu() {
        QStorage::Cpu(blocks(file, range, dtype)?)
    } else {
        QStorage::from_data(Cow::Borrowed(&file.bytes()[range]), device, dtype)?
    };
    QTensor::new(storage, shape)
}

/// Returns the `count` numbers that quantised weights of `file` stand for, made on all threads. `range` must lie inside the file.
///
/// # Errors
/// Fails on types that are not quantised, and where blocks and count do not fit each other.
pub fn floats(file: &Arc<MappedFile>, range: Range<usize>, dtype: GgmlDType, count: usize) -> Result<Vec<f32>> {
    let blocks = blocks(file, range, dtype)?;
    if blocks.size() / dtype.type_size() * dtype.block_size() != count {
        bail!("{} bytes of {dtype:?} are not {count} numbers", blocks.size());
    }
    match blocks.dequantize(count)? {
        CpuStorage::F32(values) => Ok(values),
        _ => bail!("quantised weights did not become f32"),
    }
}

//! Steps of a layer in one CUDA kernel each, for networks in bf16. Compiled by the machine's own NVRTC when the first router is loaded, and held to
//! candle's operations before they count; where that fails, those do the work.

#![expect(unsafe_code, reason = "kernels take pointers, and what they write is not initialised before")]

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::cuda::CudaStorage;
use candle_core::cuda::cudarc::driver::{CudaView, LaunchConfig, PushKernelArg as _};
use candle_core::cuda::cudarc::nvrtc::compile_ptx;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, DType, Device, Layout, Result, Shape, Storage, Tensor, bail};
use half::bf16;

use super::fused::Rows;

const MODULE: &str = "waypost_fused";

/// Returns whether these kernels can be used on a device and agree with candle's operations there.
pub fn work_on(device: &Device, dtype: DType) -> bool {
    device.is_cuda() && dtype == DType::BF16 && agree(device).unwrap_or(false)
}

/// Returns `silu(gate) * up`.
///
/// # Errors
/// Fails on other types than bf16, on rows of no multiple of eight numbers, and where the device does.
pub fn gated(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.apply_op2_no_bwd(up, &SiluMul)
}

/// Adds `bias` to each row of `x` `[tokens, width]` in bf16, then rotates its heads by `cos` and `sin` `[rows, head_dim / 2]`; the result is
/// `[rows, head_dim]` in f32.
///
/// # Errors
/// Fails on other types and shapes, and where the device does.
pub fn add_and_rotate(x: &Tensor, bias: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    x.apply_op3_no_bwd(cos, sin, &AddAndRotate { bias })
}

/// Returns the softmax of `scores` `[products, rows, keys]` in f32 with the mask `seen` `[sequences * longest, keys]` added, in bf16. Of each head of
/// keys there are so many products as sequences, and of each product the rows are those of its heads of queries, `longest` each.
///
/// # Errors
/// Fails on other types and shapes, and where the device does.
pub fn masked_softmax(scores: &Tensor, seen: &Tensor, rows: Rows) -> Result<Tensor> {
    scores.apply_op2_no_bwd(seen, &MaskedSoftmax(rows))
}

/// Computes each with numbers that have nothing round about them, and compares.
fn agree(device: &Device) -> Result<bool> {
    let numbers = |shape: (usize, usize), scale: f32, seed: usize| {
        let values: Vec<f32> = (0..shape.0 * shape.1).map(|i| ((i * 7919 + seed) % 1009) as f32 / 1009.0 * scale - scale / 2.0).collect();
        Tensor::from_vec(values, shape, device)
    };
    let close = |found: &Tensor, expected: &Tensor, tolerance: f32| -> Result<bool> {
        let found = found.to_dtype(DType::F32)?;
        // The largest passes over what is no number, and a sum does not.
        let is_number = found.sum_all()?.to_scalar::<f32>()?.is_finite();
        Ok(is_number && (found - expected.to_dtype(DType::F32)?)?.abs()?.max_all()?.to_scalar::<f32>()? < tolerance)
    };
    let half = |x: Tensor| x.to_dtype(DType::BF16);
    let (gate, up) = (half(numbers((37, 264), 6.0, 1)?)?, half(numbers((37, 264), 3.0, 2)?)?);
    let is_gated = close(&gated(&gate, &up)?, &(gate.silu()? * up)?, 0.05)?;

    let (tokens, heads, dim) = (13, 5, 32);
    let (x, bias) = (half(numbers((tokens, heads * dim), 4.0, 3)?)?, numbers((1, heads * dim), 9.0, 4)?);
    let (cos, sin) = (numbers((tokens * heads, dim / 2), 2.0, 5)?, numbers((tokens * heads, dim / 2), 2.0, 6)?);
    let rows = x.to_dtype(DType::F32)?.broadcast_add(&bias)?.reshape((1, tokens * heads, 1, dim))?;
    let expected = candle_nn::rotary_emb::rope_thd(&rows, &cos, &sin)?.reshape((tokens * heads, dim))?;
    let is_rotated = close(&add_and_rotate(&x, &bias, &cos, &sin)?, &expected, 1e-4)?;

    // Two heads of keys with three of queries each, three sequences of seven tokens: rows that fill no number of blocks.
    let (kv_heads, group, sequences, longest, keys) = (2, 3, 3, 7, 45);
    let scores = numbers((kv_heads * sequences * group * longest, keys), 8.0, 7)?;
    let seen: Vec<f32> = (0..sequences * longest * keys).map(|i| if i * 31 % 7 < 3 { f32::NEG_INFINITY } else { 0.0 }).collect();
    let seen = Tensor::from_vec(seen, (sequences * longest, keys), device)?;
    let spread = seen.reshape((1, sequences, 1, longest, keys))?.broadcast_as((kv_heads, sequences, group, longest, keys))?;
    let expected = candle_nn::ops::softmax(&(&scores + spread.contiguous()?.reshape(scores.shape())?)?, D::Minus1)?;
    let found = masked_softmax(&scores.reshape((kv_heads * sequences, group * longest, keys))?, &seen, Rows { sequences, longest })?;
    let is_softmax = close(&found.reshape(expected.shape())?, &expected, 0.003)?;
    Ok(is_gated && is_rotated && is_softmax)
}

struct SiluMul;

impl CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("{} is for CUDA", self.name())
    }

    fn cuda_fwd(&self, gate: &CudaStorage, gate_layout: &Layout, up: &CudaStorage, up_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        const TOGETHER: usize = 8;
        let shape = gate_layout.shape();
        let numbers = shape.elem_count();
        let offsets = [gate_layout.start_offset(), up_layout.start_offset()];
        if shape != up_layout.shape() || [numbers, offsets[0], offsets[1]].iter().any(|number| number % TOGETHER != 0) {
            bail!("{} takes two matrices of one shape, in eights", self.name());
        }
        let (gate, up, device) = (view::<bf16>(gate, gate_layout)?, view::<bf16>(up, up_layout)?, gate.device());
        let function = device.get_or_load_custom_func("silu_mul", MODULE, source()?)?;
        // SAFETY: the kernel writes all of it.
        let out = unsafe { device.alloc::<bf16>(numbers)? };
        let count = number(numbers / TOGETHER)?;
        let mut call = function.builder();
        call.arg(&gate).arg(&up).arg(&out).arg(&count);
        // SAFETY: three buffers of `8 * count` numbers each, as the kernel takes them, read and written inside their bounds.
        unsafe { call.launch(LaunchConfig::for_num_elems(count)) }.map_err(candle_core::Error::wrap)?;
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), shape.clone()))
    }
}

struct AddAndRotate<'a> {
    bias: &'a Tensor,
}

impl CustomOp3 for AddAndRotate<'_> {
    fn name(&self) -> &'static str {
        "add-and-rotate"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("{} is for CUDA", self.name())
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        cos: &CudaStorage,
        cos_layout: &Layout,
        sin: &CudaStorage,
        sin_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (tokens, width) = x_layout.shape().dims2()?;
        let (rows, half) = cos_layout.shape().dims2()?;
        let (bias, bias_layout) = self.bias.storage_and_layout();
        let Storage::Cuda(bias) = &*bias else { bail!("the bias is elsewhere") };
        let is_whole = tokens > 0 && rows.is_multiple_of(tokens);
        if !is_whole
            || cos_layout.shape() != sin_layout.shape()
            || rows * 2 * half != tokens * width
            || bias_layout.shape().elem_count() != width
        {
            bail!("{}: bias, angles and rows do not fit each other", self.name());
        }
        let device = x.device();
        let (x, bias) = (view::<bf16>(x, x_layout)?, view::<f32>(bias, bias_layout)?);
        let (cos, sin) = (view::<f32>(cos, cos_layout)?, view::<f32>(sin, sin_layout)?);
        let function = device.get_or_load_custom_func("add_and_rotate", MODULE, source()?)?;
        // SAFETY: the kernel writes all of it.
        let out = unsafe { device.alloc::<f32>(tokens * width)? };
        // The kernel counts all numbers of all rows in 32 bits.
        number(tokens * width)?;
        let (count, half_width, rows_of_bias) = (number(rows * half)?, number(half)?, number(rows / tokens)?);
        let mut call = function.builder();
        call.arg(&x).arg(&bias).arg(&cos).arg(&sin).arg(&out).arg(&count).arg(&half_width).arg(&rows_of_bias);
        // SAFETY: `count` pairs of numbers in `x` and `out`, as many angles, and a bias of `2 * half * rows_of_bias` numbers, all checked above.
        unsafe { call.launch(LaunchConfig::for_num_elems(count)) }.map_err(candle_core::Error::wrap)?;
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), Shape::from((rows, 2 * half))))
    }
}

struct MaskedSoftmax(Rows);

impl CustomOp2 for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked-softmax"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("{} is for CUDA", self.name())
    }

    fn cuda_fwd(&self, scores: &CudaStorage, layout: &Layout, seen: &CudaStorage, seen_layout: &Layout) -> Result<(CudaStorage, Shape)> {
        /// Warps of a block.
        const WARPS: u32 = 8;
        let Rows { sequences, longest } = self.0;
        let (products, rows, keys) = layout.shape().dims3()?;
        let is_whole = |number: usize, part: usize| part > 0 && number.is_multiple_of(part);
        if seen_layout.shape().dims2()? != (sequences * longest, keys) || !is_whole(rows, longest) || !is_whole(products, sequences) {
            bail!("{}: scores and mask do not fit each other", self.name());
        }
        let (scores, seen, device) = (view::<f32>(scores, layout)?, view::<f32>(seen, seen_layout)?, scores.device());
        let function = device.get_or_load_custom_func("masked_softmax", MODULE, source()?)?;
        // SAFETY: the kernel writes all of it.
        let out = unsafe { device.alloc::<bf16>(products * rows * keys)? };
        let (all, keys, group) = (number(products * rows)?, number(keys)?, number(rows / longest)?);
        let (sequences, longest) = (number(sequences)?, number(longest)?);
        let mut call = function.builder();
        call.arg(&scores).arg(&seen).arg(&out).arg(&all).arg(&keys).arg(&group).arg(&sequences).arg(&longest);
        let launch = LaunchConfig { grid_dim: (all.div_ceil(WARPS), 1, 1), block_dim: (32, WARPS, 1), shared_mem_bytes: 0 };
        // SAFETY: `all` rows of `keys` numbers in scores and result, and `sequences * longest` in the mask, all checked above.
        unsafe { call.launch(launch) }.map_err(candle_core::Error::wrap)?;
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), layout.shape().clone()))
    }
}

/// Returns the numbers of a tensor that lie side by side.
fn view<'a, T: candle_core::cuda::CudaDType>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, T>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(storage.as_cuda_slice::<T>()?.slice(start..end)),
        None => bail!("kernels take adjacent numbers"),
    }
}

/// Returns a number as kernels count.
fn number(number: usize) -> Result<u32> {
    u32::try_from(number).map_err(candle_core::Error::wrap)
}

/// Returns the kernels, compiled once.
fn source() -> Result<&'static str> {
    static COMPILED: OnceLock<std::result::Result<String, String>> = OnceLock::new();
    let compiled =
        COMPILED.get_or_init(|| compile_ptx(include_str!("fused.cu")).map(|ptx| ptx.to_src()).map_err(|error| error.to_string()));
    compiled.as_deref().map_err(|error| candle_core::Error::Msg(error.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{DeviceChoice, candidates};

    /// Without them every decision would be right and slow. Says nothing on machines without a card.
    #[test]
    fn kernels_work_on_every_card_with_bf16() {
        for opened in candidates(DeviceChoice::Auto).unwrap().devices.iter().filter(|opened| opened.name == "cuda") {
            assert!(opened.dtype != DType::BF16 || agree(&opened.device).unwrap());
        }
    }
}

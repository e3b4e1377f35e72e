//! The network's small operations in one pass each, on the CPU in f32, and what stands in for them on other devices.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, InplaceOp1, InplaceOp2, Layout, Shape, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::config::ModelConfig;
use super::math::{self, rotate_row, silu_mul, silu_mul_in_place};

/// Scales each row of `x` to a root mean square of 1, times `weight`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> candle_core::Result<Tensor> {
    let (x, eps) = (x.contiguous()?, eps as f32);
    if on_cpu(&x) { x.apply_op2_no_bwd(weight, &RmsNorm { eps }) } else { candle_nn::ops::rms_norm(&x, weight, eps) }
}

/// Returns `silu(gate) * up`, of one matrix with both halves side by side or of two; of two, the first is overwritten where it can be.
pub fn gated(parts: &[Tensor]) -> candle_core::Result<Tensor> {
    match parts {
        [both] if on_cpu(both) => both.apply_op1_no_bwd(&SiluMul),
        [both] => {
            let half = both.dim(1)? / 2;
            both.narrow(1, 0, half)?.silu()? * both.narrow(1, half, half)?
        }
        [gate, up] if on_cpu(gate) => {
            gate.inplace_op2(up, &SiluMul)?;
            Ok(gate.clone())
        }
        [gate, up] => gate.silu()? * up,
        _ => bail!("gate and up come as one matrix or as two"),
    }
}

/// Returns whether the operations of this file apply; elsewhere candle's own do.
pub fn on_cpu(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// The rotary embedding of one pass: cosines and sines `[tokens, head_dim / 2]` of the tokens' positions.
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotation {
    /// Returns the rotation of tokens at these positions.
    pub fn new(config: &ModelConfig, positions: &[usize]) -> Self {
        let half = config.head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| config.rope_theta.powf(-(i as f64) / half as f64)).collect();
        let angles: Vec<f64> =
            positions.iter().flat_map(|&position| frequencies.iter().map(move |frequency| position as f64 * frequency)).collect();
        let (sin, cos) = angles.into_iter().map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
        Self { cos, sin, half }
    }

    /// Adds the bias, then rotates the first `heads` heads of each row.
    pub fn apply(&self, x: Tensor, bias: Option<&[f32]>, heads: usize) -> candle_core::Result<Tensor> {
        if bias.is_none() && heads == 0 {
            return Ok(x);
        }
        if on_cpu(&x) {
            x.inplace_op1(&BiasAndRotate { rotation: self, bias, heads })?;
            return Ok(x);
        }
        let (rows, width) = x.dims2()?;
        let dtype = x.dtype();
        let mut x = x.contiguous()?.to_dtype(DType::F32)?;
        if let Some(bias) = bias {
            x = x.broadcast_add(&Tensor::new(bias, x.device())?)?;
        }
        if heads > 0 {
            // Angles stay in f32: positions above 256 do not fit bf16.
            let table = |values: &[f32]| Tensor::from_slice(values, (rows, self.half), x.device());
            let heads = x.reshape((1, rows, heads, 2 * self.half))?;
            x = candle_nn::rotary_emb::rope_thd(&heads, &table(&self.cos)?, &table(&self.sin)?)?.reshape((rows, width))?;
        }
        x.to_dtype(dtype)
    }
}

struct BiasAndRotate<'a> {
    rotation: &'a Rotation,
    bias: Option<&'a [f32]>,
    heads: usize,
}

impl InplaceOp1 for BiasAndRotate<'_> {
    fn name(&self) -> &'static str {
        "bias-and-rotate"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (rows, width) = layout.shape().dims2()?;
        let [stride, 1] = *layout.stride() else { bail!("rotation needs rows of adjacent values") };
        let CpuStorage::F32(values) = storage else { bail!("rotation in place is for f32") };
        let (arch, half) = (Arch::new(), self.rotation.half);
        // The last row may end before a whole stride does.
        let end = layout.start_offset() + (rows - 1) * stride + width;
        values[layout.start_offset()..end].par_chunks_mut(stride).enumerate().with_min_len(32).for_each(|(row, values)| {
            let values = &mut values[..width];
            if let Some(bias) = self.bias {
                for (value, bias) in values.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
            let angles = row * half..(row + 1) * half;
            rotate_row(arch, values, self.heads, &self.rotation.cos[angles.clone()], &self.rotation.sin[angles]);
        });
        Ok(())
    }
}

/// candle's own runs one value at a time on the CPU.
struct RmsNorm {
    eps: f32,
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = x_layout.shape().dims2()?;
        let (x, weight) = (contiguous(x, x_layout)?, contiguous(weight, weight_layout)?);
        let arch = Arch::new();
        let out = by_rows(width, rows, |row, out| math::rms_norm(arch, &x[row * width..(row + 1) * width], weight, self.eps, out));
        Ok((out, Shape::from((rows, width))))
    }
}

/// Fills a matrix row by row on all threads.
fn by_rows(width: usize, rows: usize, part: impl Fn(usize, &mut [f32]) + Sync) -> CpuStorage {
    let mut out = vec![0.0_f32; rows * width];
    out.par_chunks_mut(width).enumerate().with_min_len(8).for_each(|(row, out)| part(row, out));
    CpuStorage::F32(out)
}

/// `silu(gate) * up`, of one matrix with both halves side by side or of two.
struct SiluMul;

impl CustomOp1 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let values = contiguous(storage, layout)?;
        let (arch, half) = (Arch::new(), width / 2);
        let out = by_rows(half, rows, |row, out| {
            let (gate, up) = values[row * width..(row + 1) * width].split_at(half);
            silu_mul(arch, gate, up, out);
        });
        Ok((out, Shape::from((rows, half))))
    }
}

impl InplaceOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, gate: &mut CpuStorage, gate_layout: &Layout, up: &CpuStorage, up_layout: &Layout) -> candle_core::Result<()> {
        let (_, width) = gate_layout.shape().dims2()?;
        let up = contiguous(up, up_layout)?;
        let (CpuStorage::F32(gate), Some((start, end))) = (gate, gate_layout.contiguous_offsets()) else {
            bail!("the activation needs adjacent f32 values")
        };
        let arch = Arch::new();
        gate[start..end]
            .par_chunks_mut(width)
            .zip(up.par_chunks(width))
            .with_min_len(8)
            .for_each(|(gate, up)| silu_mul_in_place(arch, gate, up));
        Ok(())
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("the activation needs adjacent values"),
    }
}

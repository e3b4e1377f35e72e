//! The network's small operations in one pass each, on the CPU in f32, and what stands in for them on other devices.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Device, InplaceOp1, InplaceOp2, Layout, Shape, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::config::ModelConfig;
use super::fused;
use super::math::{self, rotate_row, silu_mul, silu_mul_in_place};

/// Scales each row of `x` to a root mean square of 1, times `weight`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> candle_core::Result<Tensor> {
    let (x, eps) = (x.contiguous()?, eps as f32);
    if on_cpu(&x) { x.apply_op2_no_bwd(weight, &RmsNorm { eps }) } else { candle_nn::ops::rms_norm(&x, weight, eps) }
}

/// Returns `silu(gate) * up`, of one matrix with both halves side by side or of two; of two, the first is overwritten where it can be.
///
/// # Errors
/// Fails where the device does, and on halves side by side elsewhere than on the CPU in f32.
pub fn gated(parts: &[Tensor]) -> candle_core::Result<Tensor> {
    match parts {
        [both] if on_cpu(both) => both.apply_op1_no_bwd(&SiluMul),
        [gate, up] if on_cpu(gate) => {
            gate.inplace_op2(up, &SiluMul)?;
            Ok(gate.clone())
        }
        [gate, up] => gate.silu()? * up.to_dtype(gate.dtype())?,
        _ => bail!("gate and up come as one matrix or as two"),
    }
}

/// Returns whether the operations of this file apply; elsewhere candle's own do.
pub fn on_cpu(x: &Tensor) -> bool {
    apply_to(x.device(), x.dtype())
}

/// Returns whether the operations of this file apply to a network of this type on this device.
pub fn apply_to(device: &Device, dtype: DType) -> bool {
    device.is_cpu() && dtype == DType::F32
}

/// What is rotated, in the order in which the heads of all three stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Queries,
    Keys,
    /// Only get their bias.
    Values,
}

/// What a layer adds to its queries, keys and values, side by side.
pub struct Bias {
    values: Vec<f32>,
    /// The same where candle's own operations add it.
    on_device: Option<Tensor>,
}

impl Bias {
    /// Returns these biases, brought to the device on which candle's own operations add them, if that is where they are added.
    pub fn new(values: Vec<f32>, device: Option<&Device>) -> candle_core::Result<Self> {
        let on_device = device.map(|device| Tensor::from_slice(&values, (1, values.len()), device)).transpose()?;
        Ok(Self { values, on_device })
    }
}

/// The rotary embedding of one pass: cosines and sines `[tokens, head_dim / 2]` of the tokens' positions.
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
    heads: usize,
    kv_heads: usize,
    /// The same where a device rotates.
    on_device: Option<OnDevice>,
}

struct OnDevice {
    /// `[tokens * (heads + 2 * kv_heads), head_dim / 2]`, in f32: positions above 256 do not fit bf16.
    cos: Tensor,
    sin: Tensor,
    /// A zero for each token: the row of the bias that is added to it. To spread it so and then to add is faster than to add it spread.
    bias_rows: Tensor,
}

impl Rotation {
    /// Returns the rotation of tokens at these positions.
    pub fn new(config: &ModelConfig, positions: &[usize]) -> Self {
        let half = config.head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| config.rope_theta.powf(-(i as f64) / half as f64)).collect();
        let angles: Vec<f64> =
            positions.iter().flat_map(|&position| frequencies.iter().map(move |frequency| position as f64 * frequency)).collect();
        let (sin, cos) = angles.into_iter().map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
        Self { cos, sin, half, heads: config.heads, kv_heads: config.kv_heads, on_device: None }
    }

    /// Brings the angles to the device on which candle's own operations rotate: once, for all layers, and for all heads, so that one operation
    /// turns them all. Those of queries are divided by the root of the head's size, and those of values turn nothing.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn on_device(mut self, device: &Device) -> candle_core::Result<Self> {
        let tokens = self.cos.len() / self.half;
        let scale = 1.0 / ((2 * self.half) as f64).sqrt();
        let table = |angles: &[f32], unturned: f32| -> candle_core::Result<Tensor> {
            let angles = Tensor::from_slice(angles, (tokens, 1, self.half), device)?;
            let of_heads = |angles: &Tensor, heads: usize| angles.broadcast_as((tokens, heads, self.half))?.contiguous();
            let values = Tensor::full(unturned, (tokens, self.kv_heads, self.half), device)?.contiguous()?;
            let all = [of_heads(&angles.affine(scale, 0.0)?, self.heads)?, of_heads(&angles, self.kv_heads)?, values];
            Tensor::cat(&all, 1)?.reshape((tokens * (self.heads + 2 * self.kv_heads), self.half))
        };
        let bias_rows = Tensor::zeros(tokens, DType::U32, device)?;
        self.on_device = Some(OnDevice { cos: table(&self.cos, 1.0)?, sin: table(&self.sin, 0.0)?, bias_rows });
        Ok(self)
    }

    /// Adds the bias of a part `[tokens, width]`, then rotates its heads, in place; values are not rotated. For the CPU in f32.
    ///
    /// # Errors
    /// Fails on other devices and types.
    pub fn apply(&self, x: Tensor, bias: Option<&Bias>, part: Part) -> candle_core::Result<Tensor> {
        if bias.is_none() && part == Part::Values {
            return Ok(x);
        }
        let width = x.dim(1)?;
        let head_dim = 2 * self.half;
        let first = head_dim
            * match part {
                Part::Queries => 0,
                Part::Keys => self.heads,
                Part::Values => self.heads + self.kv_heads,
            };
        let heads = if part == Part::Values { 0 } else { width / head_dim };
        let bias = bias.map(|bias| &bias.values[first..first + width]);
        x.inplace_op1(&BiasAndRotate { rotation: self, bias, heads })?;
        Ok(x)
    }

    /// The same out of candle's own operations, after [`Self::on_device`], of all parts at once: they come as one matrix or as three, and
    /// leave as `[tokens * (heads + 2 * kv_heads), head_dim]` in f32, of each token queries first and divided by the root of the head's size.
    /// With `is_fused` one kernel does it, of one matrix with a bias.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn apply_to_all(&self, parts: &[Tensor], bias: Option<&Bias>, is_fused: bool) -> candle_core::Result<Tensor> {
        let Some(OnDevice { cos, sin, bias_rows }) = &self.on_device else { bail!("the angles are not on the device") };
        if let ([all], Some(Bias { on_device: Some(bias), .. }), true) = (parts, bias, is_fused) {
            return fused::add_and_rotate(all, bias, cos, sin);
        }
        let parts = parts.iter().map(|part| part.to_dtype(DType::F32)).collect::<candle_core::Result<Vec<_>>>()?;
        let mut x = Tensor::cat(&parts, 1)?;
        if let Some(bias) = bias {
            let Some(values) = &bias.on_device else { bail!("the bias is not on the device") };
            x = (x + values.index_select(bias_rows, 0)?)?;
        }
        let (tokens, width) = x.dims2()?;
        let head_dim = 2 * self.half;
        let rows = tokens * width / head_dim;
        candle_nn::rotary_emb::rope_thd(&x.reshape((1, rows, 1, head_dim))?, cos, sin)?.reshape((rows, head_dim))
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

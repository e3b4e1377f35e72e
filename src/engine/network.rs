//! The Qwen2 network: embedding, layers of attention and gated feed-forward, final norm and output head.
//!
//! candle-transformers' own networks keep their caches private and give the logits of the last position only; this one computes any
//! [`Plan`] of packed sequences over caller-owned keys and values, and applies the head where the caller asks. Weights are f32 on the CPU,
//! half precision on GPUs, or quantised as the file says.

use candle_core::{CpuStorage, CustomOp1, DType, Device, InplaceOp1, Layout, Shape, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::attention::{Plan, attention};
use super::config::ModelConfig;
use super::math::{RowStats, rotate_row, row_stats, silu_mul};
use super::weights::{Linear, Weights};
use super::{CancelToken, EngineError};

/// Keys and values of a growing row of tokens, one pair of matrices `[capacity, kv_heads * head_dim]` a layer.
pub struct KvBuffer {
    pub keys: Vec<Tensor>,
    pub values: Vec<Tensor>,
    /// Rows that are filled.
    pub len: usize,
}

/// What the head found at one token: the row's statistics and the log-probabilities that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct NextToken {
    /// The most probable next token.
    pub best: u32,
    /// Natural-log probabilities, in the order asked for.
    pub log_probs: Vec<f32>,
}

struct Layer {
    input_norm: Tensor,
    /// One matrix for queries, keys and values where they are dense, else three.
    qkv: Vec<Linear>,
    qkv_bias: Option<Vec<f32>>,
    output: Linear,
    post_norm: Tensor,
    /// One matrix for gate and up where they are dense, else two.
    gate_up: Vec<Linear>,
    down: Linear,
}

/// A loaded network.
pub struct Network {
    pub config: ModelConfig,
    device: Device,
    dtype: DType,
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Linear,
}

impl Network {
    /// Reads all weights; `progress` is called with the number of layers read.
    ///
    /// # Errors
    /// Fails on missing or misshapen tensors, and with [`EngineError::Cancelled`].
    pub fn load(
        config: ModelConfig,
        weights: &Weights,
        device: &Device,
        dtype: DType,
        mut progress: impl FnMut(usize),
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        let (hidden, q_width, kv_width) = (config.hidden, config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let embedding = weights.linear("model.embed_tokens.weight", config.vocab, hidden)?;
        let mut layers = Vec::new();
        for index in 0..config.layers {
            cancel.check()?;
            let name = |part: &str| format!("model.layers.{index}.{part}");
            let qkv = [
                (name("self_attn.q_proj.weight"), q_width),
                (name("self_attn.k_proj.weight"), kv_width),
                (name("self_attn.v_proj.weight"), kv_width),
            ];
            let gate_up = [(name("mlp.gate_proj.weight"), config.intermediate), (name("mlp.up_proj.weight"), config.intermediate)];
            let mut bias = Vec::new();
            let mut biased = false;
            for (part, width) in [("q_proj", q_width), ("k_proj", kv_width), ("v_proj", kv_width)] {
                let values = weights.bias(&name(&format!("self_attn.{part}.bias")), width)?;
                biased |= values.is_some();
                bias.extend(values.unwrap_or_else(|| vec![0.0; width]));
            }
            layers.push(Layer {
                input_norm: weights.vector(&name("input_layernorm.weight"), hidden)?,
                qkv: weights.fused(&qkv, hidden)?,
                qkv_bias: biased.then_some(bias),
                output: weights.linear(&name("self_attn.o_proj.weight"), hidden, q_width)?,
                post_norm: weights.vector(&name("post_attention_layernorm.weight"), hidden)?,
                gate_up: weights.fused(&gate_up, hidden)?,
                down: weights.linear(&name("mlp.down_proj.weight"), hidden, config.intermediate)?,
            });
            progress(index + 1);
        }
        let norm = weights.vector("model.norm.weight", hidden)?;
        let head = if weights.has("lm_head.weight") { weights.linear("lm_head.weight", config.vocab, hidden)? } else { embedding.clone() };
        Ok(Self { config, device: device.clone(), dtype, embedding, layers, norm, head })
    }

    /// Runs every quantised matrix once, so that candle builds its packed form now and not inside the first decision; `done` is called after
    /// each layer with its number, when the file pages of the originals can go.
    ///
    /// # Errors
    /// Fails where the device does, and with [`EngineError::Cancelled`].
    pub fn warm_up(&self, mut done: impl FnMut(usize), cancel: &CancelToken) -> Result<(), EngineError> {
        let warm = |matrices: Vec<&Linear>| -> candle_core::Result<()> {
            matrices.into_par_iter().try_for_each(|matrix| match matrix {
                Linear::Quantised(weight) if self.device.is_cpu() => {
                    let (_, columns) = weight.shape().dims2()?;
                    matrix.forward(&Tensor::zeros((2, columns), DType::F32, &self.device)?).map(drop)
                }
                _ => Ok(()),
            })
        };
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            warm(layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]).collect())?;
            done(index + 1);
        }
        warm(vec![&self.head])?;
        done(self.layers.len());
        Ok(())
    }

    /// Returns the bytes that all weights take.
    pub fn weight_bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|layer| layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]));
        let head = if matches!((&self.head, &self.embedding), (Linear::Dense(head), Linear::Dense(embedding)) if head.id() == embedding.id())
        {
            None
        } else {
            Some(&self.head)
        };
        layers.chain([&self.embedding]).chain(head).map(Linear::bytes).sum()
    }

    /// Returns the precision the weights are computed with, for people: `f32`, `bf16`, `f16` or the quantised types of the layers' matrices.
    pub fn precision(&self) -> String {
        let layers = self.layers.iter().flat_map(|layer| layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]));
        let mut types: Vec<String> = layers
            .map(|matrix| match matrix {
                Linear::Dense(_) => format!("{:?}", self.dtype).to_lowercase(),
                Linear::Quantised(weight) => format!("{:?}", weight.dtype()).to_lowercase(),
            })
            .collect();
        types.sort();
        types.dedup();
        types.join("+")
    }

    /// Returns room for the keys and values of `capacity` tokens.
    ///
    /// # Errors
    /// Fails where the device has no memory.
    pub fn kv_buffer(&self, capacity: usize) -> Result<KvBuffer, EngineError> {
        let width = self.config.kv_heads * self.config.head_dim;
        let matrix = || Tensor::zeros((capacity, width), self.dtype, &self.device);
        let matrices = || (0..self.layers.len()).map(|_| matrix()).collect::<candle_core::Result<Vec<_>>>();
        Ok(KvBuffer { keys: matrices()?, values: matrices()?, len: 0 })
    }

    /// Computes the hidden states `[new tokens, hidden]` of the tokens of `plan`, which continue the `plan.past` rows of `kv`, and appends
    /// their keys and values. `cancel` is checked before each layer.
    ///
    /// # Errors
    /// Fails with [`EngineError::Cancelled`], on ids outside the vocabulary, and where the device does.
    pub fn forward(&self, tokens: &[u32], plan: &Plan, kv: &mut KvBuffer, cancel: &CancelToken) -> Result<Tensor, EngineError> {
        let ids = Tensor::new(tokens, &self.device)?;
        let mut x = self.embedding.rows(&ids, self.dtype)?;
        let rotation = Rotation::new(&self.config, &plan.positions());
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            let normed = self.rms_norm(&x, &layer.input_norm)?;
            let attended = self.attend(index, layer, &normed, plan, &rotation, kv)?;
            x = (x + layer.output.forward(&attended)?)?;
            let normed = self.rms_norm(&x, &layer.post_norm)?;
            x = (x + layer.down.forward(&self.gated(layer, &normed)?)?)?;
        }
        kv.len = plan.past + tokens.len();
        Ok(x)
    }

    /// Applies final norm and output head to some rows of hidden states; `wanted[i]` lists the next tokens whose log-probability is asked
    /// for at `rows[i]`.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn next_tokens(&self, hidden: &Tensor, rows: &[usize], wanted: &[Vec<u32>]) -> Result<Vec<NextToken>, EngineError> {
        // 32 rows of a vocabulary of 150,000 are 20 MB; a policy of a hundred routes has hundreds of nodes.
        const ROWS: usize = 32;
        let mut found = Vec::with_capacity(rows.len());
        for (rows, wanted) in rows.chunks(ROWS).zip(wanted.chunks(ROWS)) {
            let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
            let picked = hidden.index_select(&Tensor::new(index, &self.device)?, 0)?;
            let logits = self.head.forward(&self.rms_norm(&picked, &self.norm)?)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
            let (storage, layout) = logits.storage_and_layout();
            let candle_core::Storage::Cpu(storage) = &*storage else {
                return Err(EngineError::Internal("logits are not on the CPU".to_owned()));
            };
            let values = &storage.as_slice::<f32>()?[layout.start_offset()..];
            let arch = Arch::new();
            let part: Vec<NextToken> = values
                .par_chunks(self.config.vocab)
                .zip(wanted)
                .map_init(Vec::new, |scratch, (logits, wanted)| {
                    let RowStats { argmax, log_sum } = row_stats(arch, logits, scratch);
                    NextToken { best: argmax, log_probs: wanted.iter().map(|&token| logits[token as usize] - log_sum).collect() }
                })
                .collect();
            found.extend(part);
        }
        Ok(found)
    }

    fn attend(
        &self,
        index: usize,
        layer: &Layer,
        x: &Tensor,
        plan: &Plan,
        rotation: &Rotation,
        kv: &KvBuffer,
    ) -> candle_core::Result<Tensor> {
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let parts = layer.qkv.iter().map(|matrix| matrix.forward(x)).collect::<candle_core::Result<Vec<_>>>()?;
        let [q, k, v] = match parts.as_slice() {
            [qkv] => [qkv.narrow(1, 0, q_width)?, qkv.narrow(1, q_width, kv_width)?, qkv.narrow(1, q_width + kv_width, kv_width)?],
            [q, k, v] => [q.clone(), k.clone(), v.clone()],
            _ => bail!("queries, keys and values come as one matrix or as three"),
        };
        let bias = |from: usize, width: usize| layer.qkv_bias.as_ref().map(|bias| &bias[from..from + width]);
        let q = rotation.apply(q, bias(0, q_width), heads)?;
        let k = rotation.apply(k, bias(q_width, kv_width), kv_heads)?;
        let v = rotation.apply(v, bias(q_width + kv_width, kv_width), 0)?;
        kv.keys[index].slice_set(&k.contiguous()?, 0, plan.past)?;
        kv.values[index].slice_set(&v.contiguous()?, 0, plan.past)?;
        let rows = plan.past + plan.new_tokens();
        attention(&q, &kv.keys[index].narrow(0, 0, rows)?, &kv.values[index].narrow(0, 0, rows)?, heads, kv_heads, plan)
    }

    fn gated(&self, layer: &Layer, x: &Tensor) -> candle_core::Result<Tensor> {
        let parts = layer.gate_up.iter().map(|matrix| matrix.forward(x)).collect::<candle_core::Result<Vec<_>>>()?;
        let both = match parts.as_slice() {
            [both] => both.clone(),
            [gate, up] if gate.device().is_cpu() && gate.dtype() == DType::F32 => return gate.apply_op2_no_bwd(up, &SiluMul),
            [gate, up] => return gate.silu()? * up,
            _ => bail!("gate and up come as one matrix or as two"),
        };
        if both.device().is_cpu() && both.dtype() == DType::F32 {
            both.apply_op1_no_bwd(&SiluMul)
        } else {
            both.narrow(1, 0, self.config.intermediate)?.silu()? * both.narrow(1, self.config.intermediate, self.config.intermediate)?
        }
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor) -> candle_core::Result<Tensor> {
        candle_nn::ops::rms_norm(&x.contiguous()?, weight, self.config.rms_norm_eps as f32)
    }
}

/// The rotary embedding of one pass: cosines and sines `[tokens, head_dim / 2]` of the tokens' positions.
struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rotation {
    fn new(config: &ModelConfig, positions: &[usize]) -> Self {
        let half = config.head_dim / 2;
        let frequencies: Vec<f64> = (0..half).map(|i| config.rope_theta.powf(-(i as f64) / half as f64)).collect();
        let angles: Vec<f64> =
            positions.iter().flat_map(|&position| frequencies.iter().map(move |frequency| position as f64 * frequency)).collect();
        let (sin, cos) = angles.into_iter().map(|angle| (angle.sin() as f32, angle.cos() as f32)).unzip();
        Self { cos, sin, half }
    }

    /// Adds the bias, then rotates the first `heads` heads of each row.
    fn apply(&self, x: Tensor, bias: Option<&[f32]>, heads: usize) -> candle_core::Result<Tensor> {
        if bias.is_none() && heads == 0 {
            return Ok(x);
        }
        if x.device().is_cpu() && x.dtype() == DType::F32 {
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

/// `silu(gate) * up`, of one matrix with both halves side by side or of two.
struct SiluMul;

impl SiluMul {
    fn run(out_width: usize, rows: usize, part: impl Fn(usize, &mut [f32]) + Sync) -> CpuStorage {
        let mut out = vec![0.0_f32; rows * out_width];
        out.par_chunks_mut(out_width).enumerate().with_min_len(8).for_each(|(row, out)| part(row, out));
        CpuStorage::F32(out)
    }
}

impl CustomOp1 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let values = contiguous(storage, layout)?;
        let (arch, half) = (Arch::new(), width / 2);
        let out = Self::run(half, rows, |row, out| {
            let (gate, up) = values[row * width..(row + 1) * width].split_at(half);
            silu_mul(arch, gate, up, out);
        });
        Ok((out, Shape::from((rows, half))))
    }
}

impl candle_core::CustomOp2 for SiluMul {
    fn name(&self) -> &'static str {
        "silu-mul"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = gate_layout.shape().dims2()?;
        let (gate, up) = (contiguous(gate, gate_layout)?, contiguous(up, up_layout)?);
        let arch = Arch::new();
        let out = Self::run(width, rows, |row, out| {
            let range = row * width..(row + 1) * width;
            silu_mul(arch, &gate[range.clone()], &up[range], out);
        });
        Ok((out, Shape::from((rows, width))))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("the activation needs adjacent values"),
    }
}

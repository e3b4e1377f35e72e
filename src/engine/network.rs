//! The Qwen2 network: embedding, layers of attention and gated feed-forward, final norm and output head.
//!
//! candle-transformers' own networks keep their caches private and give the logits of the last position only; this one computes any
//! [`Plan`] of packed sequences over caller-owned keys and values, and applies the head where the caller asks. Weights are f32 on the CPU,
//! half precision on GPUs, or quantised as the file says.

use std::collections::HashMap;

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor, bail};
use rayon::prelude::*;

use super::attention::{Plan, Sequence, attention};
use super::config::ModelConfig;
use super::cpu_ops::{self, Bias, Part, Rotation, gated, rms_norm};
use super::head::{self, NextToken};
use super::linear::{Linear, are_close};
use super::mapped::FileRange;
use super::masked_attention::Products;
use super::weights::Weights;
use super::{CancelToken, EngineError, amx, device, fused, prefix_cache};

/// Keys and values of a growing row of tokens.
#[derive(Default)]
pub struct KvBuffer {
    /// `[planes, capacity, width]`, the planes of a layer side by side, its keys before its values: one plane each, with all heads in a row,
    /// where the kernels of the CPU compute attention, else one a head, as candle's own products take them.
    pub rows: Option<Tensor>,
    /// Rows that are filled.
    pub len: usize,
}

impl KvBuffer {
    /// Returns how many rows there is room for.
    pub fn capacity(&self) -> usize {
        self.rows.as_ref().and_then(|rows| rows.dim(1).ok()).unwrap_or(0)
    }
}

struct Layer {
    input_norm: Tensor,
    /// One matrix for queries, keys and values where they are dense, else three.
    qkv: Vec<Linear>,
    qkv_bias: Option<Bias>,
    output: Linear,
    post_norm: Tensor,
    /// One matrix for gate and up where they are dense and the kernels of the CPU take them so, else two.
    gate_up: Vec<Linear>,
    down: Linear,
}

/// What all layers of a pass have in common: made once, and brought to the device once.
struct Shared<'a> {
    plan: &'a Plan,
    rotation: Rotation,
    /// Where candle's own operations compute attention.
    products: Option<Products>,
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
    /// Whether the head is the embedding.
    tied: bool,
    /// Whether [`fused`] kernels do what they can.
    is_fused: bool,
    /// The embedding's place in its file, when its rows are read there.
    embedding_pages: Option<FileRange>,
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
        // Before the weights, while there is memory for it.
        let is_fused = fused::work_on(device, dtype);
        let embedding = weights.embedding("model.embed_tokens.weight", config.vocab, hidden)?;
        let added_on = (!cpu_ops::apply_to(device, dtype)).then_some(device);
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
                qkv_bias: biased.then(|| Bias::new(bias, added_on)).transpose()?,
                output: weights.linear(&name("self_attn.o_proj.weight"), hidden, q_width)?,
                post_norm: weights.vector(&name("post_attention_layernorm.weight"), hidden)?,
                gate_up: match added_on {
                    // Halves that lie side by side in memory are slow to GPUs.
                    Some(_) => gate_up.iter().map(|(name, width)| weights.linear(name, *width, hidden)).collect::<Result<_, _>>()?,
                    None => weights.fused(&gate_up, hidden)?,
                },
                down: weights.linear(&name("mlp.down_proj.weight"), hidden, config.intermediate)?,
            });
            progress(index + 1);
        }
        let norm = weights.vector("model.norm.weight", hidden)?;
        let tied = !weights.has("lm_head.weight");
        let head = if tied { embedding.clone() } else { weights.head("lm_head.weight", config.vocab, hidden)? };
        let embedding_pages = weights.pages_of("model.embed_tokens.weight", &embedding);
        Ok(Self { is_fused, embedding_pages, config, device: device.clone(), dtype, embedding, layers, norm, head, tied })
    }

    /// Runs every quantised matrix, so that candle builds its packed forms now and not inside the first decision; `done` is called after
    /// each layer with its number, when the file pages of the originals can go. Elsewhere than on the CPU a few tokens go through all of it.
    ///
    /// # Errors
    /// Fails where the device does, also where it computes no numbers, and with [`EngineError::Cancelled`].
    pub fn warm_up(&self, mut done: impl FnMut(usize), cancel: &CancelToken) -> Result<(), EngineError> {
        let warm = |matrices: Vec<&Linear>| -> candle_core::Result<()> {
            matrices.into_par_iter().try_for_each(|matrix| match matrix {
                Linear::Quantised(weight) if self.device.is_cpu() => {
                    let (_, columns) = weight.shape().dims2()?;
                    amx::rows_that_prepare(weight.dtype())
                        .iter()
                        .try_for_each(|&rows| matrix.forward(&Tensor::zeros((rows, columns), DType::F32, &self.device)?).map(drop))
                }
                _ => Ok(()),
            })
        };
        // The head first: it is the largest, and its packed form and its original are in memory together while it is made.
        warm(vec![&self.head])?;
        done(0);
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            warm(layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]).collect())?;
            done(index + 1);
        }
        if self.is_on_own_code() { Ok(()) } else { self.rehearse(cancel) }
    }

    /// Does what decisions do, with a few tokens: a device counts as usable once it has. What operations do there depends on driver and card.
    fn rehearse(&self, cancel: &CancelToken) -> Result<(), EngineError> {
        const PROMPT: usize = 12;
        self.check_products(PROMPT)?;
        let mut kv = KvBuffer::default();
        self.reserve(&mut kv, 4 * PROMPT)?;
        let prompt = Sequence { context: Vec::new(), chain: PROMPT, tree: vec![None, Some(0), None] };
        let mut found = Vec::new();
        // Two are computed apart from each other, as the conversations of a set are.
        for count in [2, 1] {
            let tokens = vec![0; count * prompt.len()];
            let hidden = self.forward(&tokens, &Plan { past: 0, sequences: vec![prompt.clone(); count] }, &mut kv, cancel)?;
            found.extend(self.next_tokens(&hidden, &[PROMPT - 1, PROMPT, tokens.len() - 1], &[&[0], &[], &[0]])?);
        }
        // Decoding computes a single row, which other kernels do.
        let written = Sequence { context: std::iter::once(0..PROMPT).collect(), chain: 1, tree: Vec::new() };
        let hidden = self.forward(&[0], &Plan { past: kv.len, sequences: vec![written] }, &mut kv, cancel)?;
        found.extend(self.next_tokens(&hidden, &[0], &[&[0]])?);
        if found.iter().flat_map(|next| &next.log_probs).any(|log_prob| log_prob.is_nan()) {
            return Err(EngineError::Internal("it computes no numbers with this router".to_owned()));
        }
        Ok(())
    }

    /// Compares quantised products of `rows` rows and of one, which different kernels compute, with those of the same weights in f32. candle does
    /// not ask whether CUDA started such a kernel: a build for another generation of cards would leave whatever is in memory.
    fn check_products(&self, rows: usize) -> Result<(), EngineError> {
        let matrices = self.layers.iter().flat_map(|layer| layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]));
        let mut smallest: HashMap<GgmlDType, &Linear> = HashMap::new();
        for matrix in matrices.chain([&self.embedding, &self.head]) {
            let Linear::Quantised(weight) = matrix else { continue };
            let known = smallest.entry(weight.dtype()).or_insert(matrix);
            if matrix.bytes() < known.bytes() {
                *known = matrix;
            }
        }
        for (dtype, matrix) in smallest {
            let Linear::Quantised(weight) = matrix else { continue };
            let (out, columns) = weight.shape().dims2()?;
            // A head of 150,000 rows as f32 would take as much memory as all the rest of a small router.
            let count = out.min(256);
            let picked: Vec<u32> = (0..count).map(|row| (row * out / count) as u32).collect();
            let picked = Tensor::from_vec(picked, count, &self.device)?;
            let exact = weight.embedding(&picked)?.t()?;
            let numbers: Vec<f32> = (0..rows * columns).map(|i| (i * 7919 % 97) as f32 / 97.0 - 0.5).collect();
            let x = Tensor::from_vec(numbers, (rows, columns), &self.device)?;
            for len in [rows, 1] {
                // The last ones: what a product that never ran leaves in its place may be the first ones of the product before.
                let x = x.narrow(0, rows - len, len)?;
                if !are_close(&matrix.forward(&x)?.index_select(&picked, 1)?, &x.matmul(&exact)?)? {
                    return Err(EngineError::Internal(format!("its products with {dtype:?} weights are wrong here")));
                }
            }
        }
        Ok(())
    }

    /// Returns whether this crate's own code for f32 on the CPU computes it; else candle's operations do, and [`fused`] kernels where they work.
    pub fn is_on_own_code(&self) -> bool {
        cpu_ops::apply_to(&self.device, self.dtype)
    }

    /// Returns how many new tokens a pass should have where the longest prompt has `longest`, for the scores of prompts that are computed apart from each
    /// other to take [`Products::LARGEST`]; any number where scores are computed block by block.
    pub fn most_at_once(&self, longest: usize) -> usize {
        const FEW: usize = 64;
        let row = self.config.heads * longest.max(1) * size_of::<f32>();
        if self.is_on_own_code() { usize::MAX } else { (Products::LARGEST / row).max(FEW) }
    }

    /// Returns how many new tokens of a pass keep its device busy.
    pub fn pass(&self) -> usize {
        match (self.is_on_cpu(), self.is_fused) {
            // More bring no speed, but make the system take memory back and give it again.
            (true, _) => 512,
            (false, false) => 768,
            // Twice as many bring little.
            (false, true) => 2048,
        }
    }

    /// Returns whether it runs on the CPU.
    pub fn is_on_cpu(&self) -> bool {
        self.device.is_cpu()
    }

    /// Returns whether its keys and values lie in the machine's main memory, which GPUs of Apple share.
    pub fn is_in_main_memory(&self) -> bool {
        !self.device.is_cuda()
    }

    /// Returns the bytes that all weights take.
    pub fn weight_bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|layer| layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]));
        let head = (!self.tied).then_some(&self.head);
        layers.chain([&self.embedding]).chain(head).map(Linear::bytes).sum()
    }

    /// Returns the precision the weights are computed with, for people: `f32`, `bf16`, `f16` or the quantised types of the layers' matrices.
    pub fn precision(&self) -> String {
        let layers = self.layers.iter().flat_map(|layer| layer.qkv.iter().chain(&layer.gate_up).chain([&layer.output, &layer.down]));
        let mut types: Vec<String> = layers
            .map(|matrix| match matrix {
                Linear::Dense(_) | Linear::Embedding(_) => format!("{:?}", self.dtype).to_lowercase(),
                Linear::Quantised(weight) => format!("{:?}", weight.dtype()).to_lowercase(),
            })
            .collect();
        types.sort();
        types.dedup();
        types.join("+")
    }

    /// Returns the bytes that keys and values of one token take.
    pub fn kv_bytes_per_token(&self) -> usize {
        let ModelConfig { layers, kv_heads, head_dim, .. } = self.config;
        2 * layers * kv_heads * head_dim * self.dtype.size_in_bytes()
    }

    /// Returns how many planes of keys and values a layer has, and how wide they are; see [`KvBuffer::rows`].
    fn planes(&self) -> (usize, usize) {
        let ModelConfig { kv_heads, head_dim, .. } = self.config;
        if self.is_on_own_code() { (2, kv_heads * head_dim) } else { (2 * kv_heads, head_dim) }
    }

    /// Makes room for `rows` rows of keys and values, keeping those that are filled.
    ///
    /// # Errors
    /// Fails where the device has no memory.
    pub fn reserve(&self, kv: &mut KvBuffer, rows: usize) -> Result<(), EngineError> {
        let (planes, width) = self.planes();
        let planes = planes * self.layers.len();
        let has_room = kv.rows.as_ref().is_some_and(|filled| filled.dims3().is_ok_and(|has| has.0 == planes && has.1 >= rows));
        if has_room {
            return Ok(());
        }
        // Before the larger ones are made, where nothing has to be kept.
        let old = kv.rows.take().filter(|_| kv.len > 0);
        // Somewhat more, so that the next and slightly longer prompt finds room.
        let grown = Tensor::zeros((planes, rows.next_multiple_of(256), width), self.dtype, &self.device)?;
        if let Some(old) = old {
            prefix_cache::copy_rows(&old, 0..kv.len, &grown, 0)?;
        }
        kv.rows = Some(grown);
        Ok(())
    }

    /// Computes the hidden states `[new tokens, hidden]` of the tokens of `plan`, which continue the `plan.past` rows of `kv`, and appends
    /// their keys and values. `cancel` is checked before each layer.
    ///
    /// # Errors
    /// Fails with [`EngineError::Cancelled`], on ids outside the vocabulary, and where the device does.
    pub fn forward(&self, tokens: &[u32], plan: &Plan, kv: &mut KvBuffer, cancel: &CancelToken) -> Result<Tensor, EngineError> {
        let ids = Tensor::new(tokens, &self.device)?;
        let mut x = self.embedding.rows(&ids, self.dtype)?;
        if let Some(pages) = &self.embedding_pages {
            // Each row brings 64 KiB of the file with it; a few prompts would have all of the embedding in memory a second time.
            pages.release();
        }
        let rotation = Rotation::new(&self.config, &plan.positions());
        let shared = if self.is_on_own_code() {
            Shared { plan, rotation, products: None }
        } else {
            let products = Products::new(plan, [self.config.heads, self.config.kv_heads], self.is_fused, &self.device)?;
            Shared { plan, rotation: rotation.on_device(&self.device)?, products: Some(products) }
        };
        let _kept = device::keep_shapes(&self.device);
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            let normed = rms_norm(&x, &layer.input_norm, self.config.rms_norm_eps)?;
            let attended = self.attend(index, layer, &normed, &shared, kv)?;
            x = layer.output.add_to(x, &attended)?;
            let normed = input_of(&layer.gate_up, rms_norm(&x, &layer.post_norm, self.config.rms_norm_eps)?)?;
            let gate_up = layer.gate_up.iter().map(|matrix| matrix.forward(&normed)).collect::<candle_core::Result<Vec<_>>>()?;
            x = layer.down.add_to(x, &self.gated(&gate_up)?)?;
        }
        kv.len = plan.past + tokens.len();
        Ok(x)
    }

    /// Applies final norm and output head to some rows of hidden states; `wanted[i]` lists the next tokens whose log-probability is asked
    /// for at `rows[i]`.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn next_tokens(&self, hidden: &Tensor, rows: &[usize], wanted: &[&[u32]]) -> Result<Vec<NextToken>, EngineError> {
        if rows.is_empty() {
            // CUDA refuses to start work on nothing.
            return Ok(Vec::new());
        }
        let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let picked = hidden.index_select(&Tensor::new(index, &self.device)?, 0)?;
        Ok(head::next_tokens(&self.head, &rms_norm(&picked, &self.norm, self.config.rms_norm_eps)?, wanted)?)
    }

    fn gated(&self, gate_up: &[Tensor]) -> candle_core::Result<Tensor> {
        match gate_up {
            [gate, up] if self.is_fused && [gate, up].iter().all(|part| part.dtype() == DType::BF16) && gate.dim(1)?.is_multiple_of(8) => {
                fused::gated(gate, up)
            }
            _ => gated(gate_up),
        }
    }

    fn attend(&self, index: usize, layer: &Layer, x: &Tensor, shared: &Shared<'_>, kv: &KvBuffer) -> candle_core::Result<Tensor> {
        let Shared { plan, rotation, products } = shared;
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let x = input_of(&layer.qkv, x.clone())?;
        let parts = layer.qkv.iter().map(|matrix| matrix.forward(&x)).collect::<candle_core::Result<Vec<_>>>()?;
        let bias = layer.qkv_bias.as_ref();
        let Some(filled) = &kv.rows else { bail!("there is no room for keys and values") };
        let planes = self.planes().0;
        let filled = filled.narrow(0, index * planes, planes)?;
        let rows = plan.past + plan.new_tokens();
        if let Some(products) = products {
            let rotated = rotation.apply_to_all(&parts, bias, self.is_fused)?;
            filled.slice_set(&products.added(&rotated)?.to_dtype(self.dtype)?, 1, plan.past)?;
            return products.attention(&rotated, &filled);
        }
        let [q, k, v] = match parts.as_slice() {
            [qkv] => [qkv.narrow(1, 0, q_width)?, qkv.narrow(1, q_width, kv_width)?, qkv.narrow(1, q_width + kv_width, kv_width)?],
            [q, k, v] => [q.clone(), k.clone(), v.clone()],
            _ => bail!("queries, keys and values come as one matrix or as three"),
        };
        let q = rotation.apply(q, bias, Part::Queries)?;
        let k = rotation.apply(k, bias, Part::Keys)?;
        let v = rotation.apply(v, bias, Part::Values)?;
        let (keys, values) = (filled.get(0)?, filled.get(1)?);
        keys.slice_set(&k.contiguous()?, 0, plan.past)?;
        values.slice_set(&v.contiguous()?, 0, plan.past)?;
        attention(&q, &keys.narrow(0, 0, rows)?, &values.narrow(0, 0, rows)?, heads, kv_heads, plan)
    }
}

/// Returns what these matrices are multiplied with: quantised ones take f32, which several of them then share.
fn input_of(matrices: &[Linear], x: Tensor) -> candle_core::Result<Tensor> {
    if matrices.iter().any(|matrix| matches!(matrix, Linear::Quantised(_))) { x.to_dtype(DType::F32) } else { Ok(x) }
}

//! The Qwen2 network: embedding, layers of attention and gated feed-forward, final norm and output head.
//!
//! candle-transformers' own networks keep their caches private and give the logits of the last position only; this one computes any
//! [`Plan`] of packed sequences over caller-owned keys and values, and applies the head where the caller asks. Weights are f32 on the CPU,
//! half precision on GPUs, or quantised as the file says.

use candle_core::{DType, Device, Tensor, bail};
use rayon::prelude::*;

use super::attention::{Plan, Sequence, attention, composed_attention};
use super::config::ModelConfig;
use super::cpu_ops::{self, Bias, Part, Rotation, gated, rms_norm};
use super::head::{self, NextToken};
use super::mapped::FileRange;
use super::weights::{Linear, Weights};
use super::{CancelToken, EngineError, amx};

/// Keys and values of a growing row of tokens, one pair of matrices `[capacity, kv_heads * head_dim]` a layer.
pub struct KvBuffer {
    pub keys: Vec<Tensor>,
    pub values: Vec<Tensor>,
    /// Rows that are filled.
    pub len: usize,
}

impl KvBuffer {
    /// Returns how many rows there is room for.
    pub fn capacity(&self) -> usize {
        self.keys.first().and_then(|keys| keys.dim(0).ok()).unwrap_or(0)
    }
}

struct Layer {
    input_norm: Tensor,
    /// One matrix for queries, keys and values where they are dense, else three.
    qkv: Vec<Linear>,
    qkv_bias: Option<Bias>,
    output: Linear,
    post_norm: Tensor,
    /// One matrix for gate and up where they are dense, else two.
    gate_up: Vec<Linear>,
    down: Linear,
}

/// What all layers of a pass have in common: made once, and brought to the device once.
struct Shared<'a> {
    plan: &'a Plan,
    rotation: Rotation,
    /// Where candle's own operations compute attention.
    mask: Option<Tensor>,
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
                gate_up: weights.fused(&gate_up, hidden)?,
                down: weights.linear(&name("mlp.down_proj.weight"), hidden, config.intermediate)?,
            });
            progress(index + 1);
        }
        let norm = weights.vector("model.norm.weight", hidden)?;
        let tied = !weights.has("lm_head.weight");
        let head = if tied { embedding.clone() } else { weights.linear("lm_head.weight", config.vocab, hidden)? };
        let embedding_pages = weights.pages_of("model.embed_tokens.weight", &embedding);
        Ok(Self { embedding_pages, config, device: device.clone(), dtype, embedding, layers, norm, head, tied })
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
        if self.has_kernels() { Ok(()) } else { self.rehearse(cancel) }
    }

    /// Does what decisions do, with a few tokens: a device counts as usable once it has. All of it is made of candle's own operations there,
    /// which depend on driver and card.
    fn rehearse(&self, cancel: &CancelToken) -> Result<(), EngineError> {
        const PROMPT: usize = 12;
        let mut kv = KvBuffer { keys: Vec::new(), values: Vec::new(), len: 0 };
        self.reserve(&mut kv, 2 * PROMPT)?;
        let prompt = Sequence { context: Vec::new(), chain: PROMPT, tree: vec![None, Some(0), None] };
        let tokens = vec![0; prompt.len()];
        let hidden = self.forward(&tokens, &Plan { past: 0, sequences: vec![prompt] }, &mut kv, cancel)?;
        let mut found = self.next_tokens(&hidden, &[PROMPT - 1, PROMPT, PROMPT + 1], &[&[0], &[], &[0]])?;
        // Decoding computes a single row, which other kernels do.
        let written = Sequence { context: std::iter::once(0..PROMPT).collect(), chain: 1, tree: Vec::new() };
        let hidden = self.forward(&[0], &Plan { past: kv.len, sequences: vec![written] }, &mut kv, cancel)?;
        found.extend(self.next_tokens(&hidden, &[0], &[&[0]])?);
        if found.iter().flat_map(|next| &next.log_probs).any(|log_prob| log_prob.is_nan()) {
            return Err(EngineError::Internal("it computes no numbers with this router".to_owned()));
        }
        Ok(())
    }

    /// Returns whether the kernels of this crate compute it, which are for f32 on the CPU; else candle's own operations do.
    fn has_kernels(&self) -> bool {
        cpu_ops::apply_to(&self.device, self.dtype)
    }

    /// Returns whether it runs on the CPU.
    pub fn is_on_cpu(&self) -> bool {
        self.device.is_cpu()
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

    /// Makes room for `rows` rows of keys and values, keeping those that are filled.
    ///
    /// # Errors
    /// Fails where the device has no memory.
    pub fn reserve(&self, kv: &mut KvBuffer, rows: usize) -> Result<(), EngineError> {
        if kv.keys.len() == self.layers.len() && kv.capacity() >= rows {
            return Ok(());
        }
        if kv.len == 0 {
            (kv.keys, kv.values) = (Vec::new(), Vec::new());
        }
        // Somewhat more, so that the next and slightly longer prompt finds room.
        let rows = rows.next_multiple_of(256);
        let width = self.config.kv_heads * self.config.head_dim;
        let grow = |old: Option<&Tensor>| -> candle_core::Result<Tensor> {
            let matrix = Tensor::zeros((rows, width), self.dtype, &self.device)?;
            if let Some(old) = old.filter(|_| kv.len > 0) {
                matrix.slice_set(&old.narrow(0, 0, kv.len)?, 0, 0)?;
            }
            Ok(matrix)
        };
        let grown = |old: &[Tensor]| (0..self.layers.len()).map(|layer| grow(old.get(layer))).collect::<candle_core::Result<Vec<_>>>();
        let (keys, values) = (grown(&kv.keys)?, grown(&kv.values)?);
        (kv.keys, kv.values) = (keys, values);
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
        let shared = if self.has_kernels() {
            Shared { plan, rotation, mask: None }
        } else {
            Shared { plan, rotation: rotation.on_device(&self.device)?, mask: Some(plan.mask(&self.device)?) }
        };
        for (index, layer) in self.layers.iter().enumerate() {
            cancel.check()?;
            let normed = rms_norm(&x, &layer.input_norm, self.config.rms_norm_eps)?;
            let attended = self.attend(index, layer, &normed, &shared, kv)?;
            x = layer.output.add_to(x, &attended)?;
            let normed = rms_norm(&x, &layer.post_norm, self.config.rms_norm_eps)?;
            let gate_up = layer.gate_up.iter().map(|matrix| matrix.forward(&normed)).collect::<candle_core::Result<Vec<_>>>()?;
            x = layer.down.add_to(x, &gated(&gate_up)?)?;
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
        let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        let picked = hidden.index_select(&Tensor::new(index, &self.device)?, 0)?;
        Ok(head::next_tokens(&self.head, &rms_norm(&picked, &self.norm, self.config.rms_norm_eps)?, wanted)?)
    }

    fn attend(&self, index: usize, layer: &Layer, x: &Tensor, shared: &Shared<'_>, kv: &KvBuffer) -> candle_core::Result<Tensor> {
        let Shared { plan, rotation, mask } = shared;
        let ModelConfig { heads, kv_heads, head_dim, .. } = self.config;
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let parts = layer.qkv.iter().map(|matrix| matrix.forward(x)).collect::<candle_core::Result<Vec<_>>>()?;
        let [q, k, v] = match parts.as_slice() {
            [qkv] => [qkv.narrow(1, 0, q_width)?, qkv.narrow(1, q_width, kv_width)?, qkv.narrow(1, q_width + kv_width, kv_width)?],
            [q, k, v] => [q.clone(), k.clone(), v.clone()],
            _ => bail!("queries, keys and values come as one matrix or as three"),
        };
        let bias = layer.qkv_bias.as_ref();
        let q = rotation.apply(q, bias, Part::Queries)?;
        let k = rotation.apply(k, bias, Part::Keys)?;
        let v = rotation.apply(v, bias, Part::Values)?;
        kv.keys[index].slice_set(&k.contiguous()?, 0, plan.past)?;
        kv.values[index].slice_set(&v.contiguous()?, 0, plan.past)?;
        let rows = plan.past + plan.new_tokens();
        let (keys, values) = (kv.keys[index].narrow(0, 0, rows)?, kv.values[index].narrow(0, 0, rows)?);
        match mask {
            None => attention(&q, &keys, &values, heads, kv_heads, plan),
            Some(mask) => composed_attention(&q, &keys, &values, heads, kv_heads, mask),
        }
    }
}

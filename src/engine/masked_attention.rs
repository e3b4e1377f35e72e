//! Attention out of candle's own operations, for devices and types that have no kernel of ours: products of all queries with all keys, of
//! which a mask leaves what each token sees.

use candle_core::{DType, Device, Result, Tensor};

use super::attention::Plan;

/// Computes what [`super::attention::attention`] does, of queries `[kv_heads, heads / kv_heads * new, head_dim]` in f32 that are divided by
/// the root of the head's size already, over `k` and `v` `[kv_heads, past + new, head_dim]`. The result is `[new, heads * head_dim]` in the
/// type of `v`.
///
/// Scores are f32, on CUDA with factors rounded to the eleven bits of TF32: keys of Qwen2 have large biases, so that their products leave the range of f16, and what tells them apart is lost in bf16.
///
/// # Errors
/// Fails on shapes that do not fit each other, and where the device does.
pub fn masked_attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask) -> Result<Tensor> {
    let (kv_heads, rows, dim) = q.dims3()?;
    let (new, keys) = mask.seen.dims2()?;
    let group = rows / new;
    let scores = q.matmul(&k.to_dtype(DType::F32)?.t()?)?;
    let scores = match &mask.spread {
        Some(mask) => (scores + mask)?,
        None => scores.reshape((kv_heads * group, new, keys))?.broadcast_add(&mask.seen)?.reshape((kv_heads, rows, keys))?,
    };
    let weights = candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(v.dtype())?;
    weights.matmul(v)?.reshape((kv_heads * group, new, dim))?.permute((1, 0, 2))?.reshape((new, kv_heads * group * dim))
}

/// Which new token sees which key, as [`masked_attention`] adds it to scores.
pub struct Mask {
    /// `[new tokens, past + new tokens]`: 0 where a token sees a key, minus infinity elsewhere.
    seen: Tensor,
    /// The same for all heads, in the shape of the scores, where that is no large matrix: GPUs add matrices of one shape several times as fast
    /// as they spread one over another.
    spread: Option<Tensor>,
}

impl Mask {
    /// What may be spread, in bytes.
    pub const LARGEST: usize = 256 << 20;

    /// Returns the mask of a pass on a device, spread over all heads where that takes at most `largest` bytes.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn new(plan: &Plan, heads: usize, kv_heads: usize, largest: usize, device: &Device) -> Result<Self> {
        let seen = seen(plan, device)?;
        let (new, keys) = seen.dims2()?;
        let is_small = heads * new * keys * size_of::<f32>() <= largest;
        let spread = || seen.broadcast_as((heads, new, keys))?.contiguous()?.reshape((kv_heads, heads / kv_heads * new, keys));
        Ok(Self { spread: is_small.then(spread).transpose()?, seen })
    }
}

fn seen(plan: &Plan, device: &Device) -> Result<Tensor> {
    let (new, keys) = (plan.new_tokens(), plan.past + plan.new_tokens());
    let mut mask = vec![f32::NEG_INFINITY; new * keys];
    let mut start = 0;
    for sequence in &plan.sequences {
        for row in 0..sequence.len() {
            let mask = &mut mask[(start + row) * keys..][..keys];
            for context in &sequence.context {
                mask[context.clone()].fill(0.0);
            }
            let own = &mut mask[plan.past + start..][..sequence.len()];
            own[..sequence.chain.min(row + 1)].fill(0.0);
            if row >= sequence.chain {
                let mut node = Some(row - sequence.chain);
                while let Some(index) = node {
                    own[sequence.chain + index] = 0.0;
                    node = sequence.tree[index];
                }
            }
        }
        start += sequence.len();
    }
    Tensor::from_vec(mask, (new, keys), device)
}

//! Attention out of candle's own operations, for GPUs and for other types than f32: products of queries with keys, of which a mask leaves what each
//! token sees.

use candle_core::{DType, Device, Result, Tensor};

use super::attention::{Plan, Sequence};
use super::fused::{self, Rows};

/// How a pass is computed: which queries are multiplied with which keys, and which of them see each other. Made once, for all layers.
///
/// Rows are picked by number rather than turned in place: turning needs the shape on the device, which every operation would send there again.
pub struct Products {
    heads: usize,
    kv_heads: usize,
    /// Of each product's rows, the query: `token * heads_of_all + head`, of queries, keys and values side by side.
    queries: Tensor,
    /// The new keys and values among the same, keys first.
    added: Tensor,
    /// Of the keys of each product, the row.
    keys: Tensor,
    /// Of each new token and head, the row among those of all products.
    mixed: Tensor,
    seen: Seen,
}

/// What is added to scores: 0 where a token sees a key, minus infinity elsewhere.
enum Seen {
    /// In the shape of the scores, `[products, rows, keys]`: GPUs add matrices of one shape several times as fast as they spread one over another.
    Spread(Tensor),
    /// `[new, keys]`, where the same for all heads would be a large matrix.
    OfTokens(Tensor),
    /// `[sequences * longest, keys]`, where a kernel reads it for all heads.
    Fused(Tensor, Rows),
}

/// How the mask is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For all heads, in the shape of the scores.
    Spread,
    /// Once for all of them.
    OfTokens,
    /// The same, for the kernels of [`fused`].
    Fused,
}

/// The numbers of a pass that has each sequence multiplied with its own keys: as many as the longest has tokens, and as many as the one that
/// sees most has keys.
struct Extent {
    sequences: usize,
    longest: usize,
    keys: usize,
}

impl Products {
    /// What the scores of a pass should take, and what of a mask may be spread over all heads, in bytes.
    pub const LARGEST: usize = 256 << 20;

    /// Returns the products of a pass in the form that takes the least work, for [`fused`] kernels or without. `heads` are those of queries, and those of
    /// keys.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn new(plan: &Plan, heads: [usize; 2], is_fused: bool, device: &Device) -> Result<Self> {
        let (new, keys) = (plan.new_tokens(), plan.past + plan.new_tokens());
        let apart = extent(plan);
        let apart = apart.sequences * apart.longest * apart.keys;
        let is_small = |numbers: usize| heads[0] * numbers * size_of::<f32>() <= Self::LARGEST;
        // What fills up shorter sequences takes some time of its own.
        let is_faster = 3 * apart < 2 * new * keys || (apart < new * keys && !is_small(new * keys));
        if is_faster && (is_fused || is_small(apart)) {
            return Self::apart(plan, heads, is_fused, device);
        }
        let form = match (is_fused, is_small(new * keys)) {
            (true, _) => Form::Fused,
            (false, true) => Form::Spread,
            (false, false) => Form::OfTokens,
        };
        Self::whole(plan, heads, form, device)
    }

    /// Returns one product of all new tokens with all keys for each head of keys.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn whole(plan: &Plan, [heads, kv_heads]: [usize; 2], form: Form, device: &Device) -> Result<Self> {
        let (new, keys) = (plan.new_tokens(), plan.past + plan.new_tokens());
        let seen = Tensor::from_vec(whole(plan), (new, keys), device)?;
        let seen = match form {
            Form::Spread => Seen::Spread(seen.broadcast_as((heads, new, keys))?.contiguous()?.reshape((kv_heads, (), keys))?),
            Form::OfTokens => Seen::OfTokens(seen),
            Form::Fused => Seen::Fused(seen, Rows { sequences: 1, longest: new }),
        };
        let all = heads + 2 * kv_heads;
        Ok(Self {
            heads,
            kv_heads,
            queries: numbers((0..heads).flat_map(|head| (0..new).map(move |token| token * all + head)), device)?,
            added: added(plan, [heads, kv_heads], device)?,
            keys: numbers(0..keys, device)?,
            mixed: numbers((0..new).flat_map(|token| (0..heads).map(move |head| head * new + token)), device)?,
            seen,
        })
    }

    /// Returns a product of each sequence with its own keys for each head of keys: what a pass of many would otherwise compute for nothing grows with
    /// its square. Without kernels the mask is spread.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn apart(plan: &Plan, [heads, kv_heads]: [usize; 2], is_fused: bool, device: &Device) -> Result<Self> {
        let Extent { sequences: count, longest, keys: most } = extent(plan);
        let (group, all) = (heads / kv_heads, heads + 2 * kv_heads);
        // What fills up shorter sequences sees everything: something must be seen, and nobody reads what comes of it.
        let mut seen = vec![0.0; count * longest * most];
        let (mut keys, mut tokens) = (vec![0; count * most], vec![0; count * longest]);
        let mut places = Vec::with_capacity(plan.new_tokens());
        let mut start = 0;
        for (index, sequence) in plan.sequences.iter().enumerate() {
            let context = sequence.context_len();
            let own = plan.past + start..plan.past + start + sequence.len();
            let rows = sequence.context.iter().cloned().flatten().chain(own);
            keys[index * most..].iter_mut().zip(rows).for_each(|(key, row)| *key = row);
            for row in 0..sequence.len() {
                let seen = &mut seen[(index * longest + row) * most..][..most];
                seen[context..].fill(f32::NEG_INFINITY);
                see_own(sequence, row, &mut seen[context..]);
                tokens[index * longest + row] = start + row;
                places.push((index, row));
            }
            start += sequence.len();
        }
        let mut queries = Vec::with_capacity(heads * tokens.len());
        for kv_head in 0..kv_heads {
            for tokens in tokens.chunks(longest) {
                queries.extend((0..group).flat_map(|member| tokens.iter().map(move |token| token * all + kv_head * group + member)));
            }
        }
        let row_of = |(index, row): (usize, usize), head: usize| ((head / group * count + index) * group + head % group) * longest + row;
        let mixed = places.into_iter().flat_map(|place| (0..heads).map(move |head| row_of(place, head)));
        let seen = Tensor::from_vec(seen, (count * longest, most), device)?;
        let seen = if is_fused {
            Seen::Fused(seen, Rows { sequences: count, longest })
        } else {
            let spread = seen.reshape((1, count, 1, longest, most))?.broadcast_as((kv_heads, count, group, longest, most))?;
            Seen::Spread(spread.contiguous()?.reshape((kv_heads * count, group * longest, most))?)
        };
        Ok(Self {
            heads,
            kv_heads,
            queries: numbers(queries.into_iter(), device)?,
            added: added(plan, [heads, kv_heads], device)?,
            keys: numbers(keys.into_iter(), device)?,
            mixed: numbers(mixed, device)?,
            seen,
        })
    }

    /// Returns the new keys and values `[2 * kv_heads, new, head_dim]` among the rotated rows that [`Self::attention`] takes.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn added(&self, rotated: &Tensor) -> Result<Tensor> {
        rotated.index_select(&self.added, 0)?.reshape((2 * self.kv_heads, (), rotated.dim(1)?))
    }

    /// Computes what [`super::attention::attention`] does. `rotated` are the new queries, keys and values `[new * (heads + 2 * kv_heads), head_dim]`
    /// in f32, queries divided by the root of the head's size; `filled` are all keys and values `[2 * kv_heads, capacity, head_dim]`, the new ones
    /// included. The result is `[new, heads * head_dim]` in the type of `filled`.
    ///
    /// Scores are f32, on CUDA with factors rounded to the eleven bits of TF32: keys of Qwen2 have large biases, so that their products leave the
    /// range of f16, and what tells them apart is lost in bf16.
    ///
    /// # Errors
    /// Fails on shapes that do not fit each other, and where the device does.
    pub fn attention(&self, rotated: &Tensor, filled: &Tensor) -> Result<Tensor> {
        let (heads, dim, kept) = (self.heads, rotated.dim(1)?, self.keys.dim(0)?);
        let (products, rows, keys) = match &self.seen {
            Seen::Spread(seen) => seen.dims3()?,
            Seen::OfTokens(seen) => (self.kv_heads, heads / self.kv_heads * seen.dim(0)?, kept),
            Seen::Fused(seen, Rows { sequences, longest }) => (self.kv_heads * sequences, heads / self.kv_heads * longest, seen.dim(1)?),
        };
        let q = rotated.index_select(&self.queries, 0)?.reshape((products, rows, dim))?;
        let both = filled.index_select(&self.keys, 1)?.reshape((2 * products, keys, dim))?;
        let scores = q.matmul(&both.narrow(0, 0, products)?.to_dtype(DType::F32)?.t()?)?;
        let softmax = |scores: Tensor| candle_nn::ops::softmax_last_dim(&scores)?.to_dtype(filled.dtype());
        let weights = match &self.seen {
            Seen::Spread(seen) => softmax((scores + seen)?)?,
            Seen::OfTokens(seen) => softmax(scores.reshape((heads, (), keys))?.broadcast_add(seen)?.reshape((products, rows, keys))?)?,
            Seen::Fused(seen, rows) => fused::masked_softmax(&scores, seen, *rows)?,
        };
        let mixed = weights.matmul(&both.narrow(0, products, products)?)?.reshape((products * rows, dim))?;
        mixed.index_select(&self.mixed, 0)?.reshape(((), heads * dim))
    }
}

fn numbers(numbers: impl Iterator<Item = usize>, device: &Device) -> Result<Tensor> {
    Tensor::new(numbers.map(|number| number as u32).collect::<Vec<_>>(), device)
}

fn added(plan: &Plan, [heads, kv_heads]: [usize; 2], device: &Device) -> Result<Tensor> {
    let all = heads + 2 * kv_heads;
    numbers((heads..all).flat_map(|plane| (0..plan.new_tokens()).map(move |token| token * all + plane)), device)
}

fn extent(plan: &Plan) -> Extent {
    let keys = plan.sequences.iter().map(|sequence| sequence.context_len() + sequence.len()).max().unwrap_or(0);
    Extent {
        sequences: plan.sequences.len(),
        longest: plan.sequences.iter().map(Sequence::len).max().unwrap_or(0),
        // Rows that begin at addresses of 16 bytes are multiplied faster.
        keys: keys.next_multiple_of(8),
    }
}

/// Returns the mask of all new tokens over all keys.
fn whole(plan: &Plan) -> Vec<f32> {
    let (new, keys) = (plan.new_tokens(), plan.past + plan.new_tokens());
    let mut mask = vec![f32::NEG_INFINITY; new * keys];
    let mut start = 0;
    for sequence in &plan.sequences {
        for row in 0..sequence.len() {
            let mask = &mut mask[(start + row) * keys..][..keys];
            for context in &sequence.context {
                mask[context.clone()].fill(0.0);
            }
            see_own(sequence, row, &mut mask[plan.past + start..]);
        }
        start += sequence.len();
    }
    mask
}

/// Marks what a token of a sequence sees of it; `own` begins with its first one.
fn see_own(sequence: &Sequence, row: usize, own: &mut [f32]) {
    own[..sequence.chain.min(row + 1)].fill(0.0);
    if row >= sequence.chain {
        let mut node = Some(row - sequence.chain);
        while let Some(index) = node {
            own[sequence.chain + index] = 0.0;
            node = sequence.tree[index];
        }
    }
}

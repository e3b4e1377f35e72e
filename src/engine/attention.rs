//! Attention over packed sequences that continue shared rows of keys and end in trees.
//!
//! One pass computes several sequences side by side. Each sees the rows it continues, its own tokens up to the present one, and nothing of
//! the other sequences. Those rows may be cached, or the chain of another sequence of the same pass, so that what several prompts begin with
//! is computed once. A sequence is a chain of tokens (a prompt, or the rest of it) and may end in a tree (the allowed answers): a node sees
//! the context, the whole chain and its own ancestors, and stands at the position of the chain's end plus its depth.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use pulp::Arch;
use rayon::prelude::*;

use super::math::softmax_in_place;
use super::product::{Into, MatrixRef, matmul};

/// Query rows worked on together, over all query heads that share a key head: enough to pay for bringing the keys into gemm's order, few
/// enough that their scores against 1,000 keys fit the second-level cache.
const BLOCK: usize = 192;

/// One sequence of a [`Plan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The rows of keys that it continues, in the order of their positions: cached ones, and chains of this pass.
    pub context: Vec<Range<usize>>,
    /// Tokens in a row.
    pub chain: usize,
    /// Tree nodes after the chain, parents before children: the index of each node's parent, or `None` for a child of the chain's end.
    pub tree: Vec<Option<usize>>,
}

impl Sequence {
    /// Returns how many new tokens it has.
    pub fn len(&self) -> usize {
        self.chain + self.tree.len()
    }

    /// Returns how many rows it continues.
    pub fn context_len(&self) -> usize {
        self.context.iter().map(Range::len).sum()
    }

    /// Returns each tree node's depth; children of the chain's end have depth 0.
    fn depths(&self) -> Vec<usize> {
        let mut depths: Vec<usize> = Vec::with_capacity(self.tree.len());
        for parent in &self.tree {
            depths.push(parent.map_or(0, |parent| depths[parent] + 1));
        }
        depths
    }
}

/// Which new token sees which key: rows `0..past` of the keys are known before the pass, those of the new tokens follow in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Rows that are known.
    pub past: usize,
    pub sequences: Vec<Sequence>,
}

impl Plan {
    /// Returns how many new tokens the pass computes.
    pub fn new_tokens(&self) -> usize {
        self.sequences.iter().map(Sequence::len).sum()
    }

    /// Returns the position of each new token, which decides its rotation.
    pub fn positions(&self) -> Vec<usize> {
        let mut positions = Vec::with_capacity(self.new_tokens());
        for sequence in &self.sequences {
            let (from, to) = (sequence.context_len(), sequence.context_len() + sequence.chain);
            positions.extend(from..to);
            positions.extend(sequence.depths().into_iter().map(|depth| to + depth));
        }
        positions
    }

    /// Splits the new tokens, in order, into blocks of at most `most` rows that see almost the same keys.
    fn blocks(&self, most: usize) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut start = 0;
        for sequence in &self.sequences {
            let mut add = |first, rows, tree| {
                let own = self.past + start..self.past + start + first + rows;
                blocks.push(Block { first_row: start + first, rows, spans: spans(&sequence.context, own), tree });
            };
            for row in (0..sequence.chain).step_by(most) {
                add(row, most.min(sequence.chain - row), None);
            }
            for node in (0..sequence.tree.len()).step_by(most) {
                let rows = most.min(sequence.tree.len() - node);
                let before = sequence.context_len() + sequence.chain;
                add(sequence.chain + node, rows, Some(TreeRows { parents: &sequence.tree, first_node: node, before }));
            }
            start += sequence.len();
        }
        blocks
    }
}

/// Joins the rows of a context and a sequence's own ones; what lies side by side becomes one product.
fn spans(context: &[Range<usize>], own: Range<usize>) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::with_capacity(context.len() + 1);
    for range in context.iter().cloned().chain([own]).filter(|range| !range.is_empty()) {
        match spans.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => spans.push(range),
        }
    }
    spans
}

/// Rows of one sequence that are computed together.
struct Block<'a> {
    first_row: usize,
    rows: usize,
    /// The keys that the last of the rows may see.
    spans: Vec<Range<usize>>,
    tree: Option<TreeRows<'a>>,
}

struct TreeRows<'a> {
    parents: &'a [Option<usize>],
    first_node: usize,
    /// Keys before the first node of the tree.
    before: usize,
}

impl Block<'_> {
    fn keys(&self) -> usize {
        self.spans.iter().map(Range::len).sum()
    }

    /// Softmax over the keys that `row` sees, zero elsewhere. `scores` are those of the spans, in order.
    fn weigh(&self, arch: Arch, row: usize, scores: &mut [f32]) {
        match &self.tree {
            None => {
                let seen = scores.len() - self.rows + row + 1;
                softmax_in_place(arch, &mut scores[..seen]);
                scores[seen..].fill(0.0);
            }
            Some(tree) => {
                let mut seen = vec![false; scores.len() - tree.before];
                let mut node = Some(tree.first_node + row);
                while let Some(index) = node {
                    seen[index] = true;
                    node = tree.parents[index];
                }
                for (score, seen) in scores[tree.before..].iter_mut().zip(seen) {
                    if !seen {
                        *score = f32::NEG_INFINITY;
                    }
                }
                softmax_in_place(arch, scores);
            }
        }
    }
}

/// Computes attention of `q` `[new, heads * dim]` over `k` and `v` `[past + new, kv_heads * dim]`, on the CPU in f32; the result has the shape
/// of `q`.
///
/// Query head `h` reads key and value head `h / (heads / kv_heads)`.
///
/// # Errors
/// Fails on shapes that do not fit the plan, and on other devices and types.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, kv_heads: usize, plan: &Plan) -> Result<Tensor> {
    q.apply_op3_no_bwd(k, v, &CpuAttention { heads, kv_heads, plan })
}

struct CpuAttention<'a> {
    heads: usize,
    kv_heads: usize,
    plan: &'a Plan,
}

/// Rows of a possibly strided matrix inside candle's storage.
fn rows<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<(&'a [f32], usize, usize, usize)> {
    let (rows, columns) = layout.shape().dims2()?;
    let [row_stride, 1] = *layout.stride() else { bail!("attention needs rows of adjacent values") };
    let data = storage.as_slice::<f32>()?;
    Ok((&data[layout.start_offset()..], rows, columns, row_stride))
}

impl CustomOp3 for CpuAttention<'_> {
    fn name(&self) -> &'static str {
        "packed-tree-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, new, width, q_stride) = rows(q, q_layout)?;
        let (k, keys, kv_width, k_stride) = rows(k, k_layout)?;
        let (v, v_rows, v_width, v_stride) = rows(v, v_layout)?;
        let (past, dim) = (self.plan.past, width / self.heads);
        let fits = new == self.plan.new_tokens() && keys == past + new && v_rows == keys;
        if !fits || kv_width != self.kv_heads * dim || v_width != kv_width || self.heads * dim != width {
            bail!("attention over {keys} keys of width {kv_width} does not fit {new} queries of width {width}");
        }
        let arch = Arch::new();
        let scale = 1.0 / (dim as f32).sqrt();
        let group = self.heads / self.kv_heads;
        let blocks = self.plan.blocks((BLOCK / group).max(16));
        let attend = |(scores, queries): &mut (Vec<f32>, Vec<f32>), (block, kv_head): (&Block<'_>, usize)| -> Vec<f32> {
            let (kv, columns, rows) = (kv_head * dim, block.keys(), group * block.rows);
            // The rows of all heads that read this key head, one head after the other.
            queries.clear();
            for head in kv_head * group..(kv_head + 1) * group {
                for row in block.first_row..block.first_row + block.rows {
                    queries.extend_from_slice(&q[row * q_stride + head * dim..][..dim]);
                }
            }
            // Every score is written below, so what an earlier block left needs no clearing.
            if scores.len() < rows * columns {
                scores.resize(rows * columns, 0.0);
            }
            let scores = &mut scores[..rows * columns];
            let mut at = 0;
            for span in &block.spans {
                let keys = MatrixRef::new(&k[span.start * k_stride + kv..], span.len(), dim, k_stride);
                matmul(MatrixRef::new(queries, rows, dim, dim), keys.transposed(), &mut scores[at..], columns, scale, Into::Fresh, 1);
                at += span.len();
            }
            for (row, scores) in scores.chunks_exact_mut(columns).enumerate() {
                block.weigh(arch, row % block.rows, scores);
            }
            let mut out = vec![0.0; rows * dim];
            let mut at = 0;
            for span in &block.spans {
                let weights = MatrixRef::new(&scores[at..], rows, span.len(), columns);
                let values = MatrixRef::new(&v[span.start * v_stride + kv..], span.len(), dim, v_stride);
                matmul(weights, values, &mut out, dim, 1.0, if at > 0 { Into::Sum } else { Into::Fresh }, 1);
                at += span.len();
            }
            out
        };
        // Later blocks of a sequence see more keys: longest first, so that the threads end together.
        let tasks: Vec<(&Block<'_>, usize)> =
            blocks.iter().rev().flat_map(|block| (0..self.kv_heads).map(move |head| (block, head))).collect();
        let mut parts: Vec<Vec<f32>> = tasks.into_par_iter().with_max_len(1).map_init(Default::default, attend).collect();
        parts.reverse();
        let mut out = vec![0.0; new * width];
        let mut rest = out.as_mut_slice();
        let mut by_block = Vec::with_capacity(blocks.len());
        for (block, parts) in blocks.iter().zip(parts.chunks_exact(self.kv_heads)) {
            let (rows, after) = rest.split_at_mut(block.rows * width);
            by_block.push((block.rows, rows, parts));
            rest = after;
        }
        by_block.into_par_iter().for_each(|(rows, out, parts)| {
            // Reversed above, so the last key head comes first.
            for (kv_head, part) in parts.iter().rev().enumerate() {
                for (index, values) in part.chunks_exact(dim).enumerate() {
                    let (head, row) = (kv_head * group + index / rows, index % rows);
                    out[row * width + head * dim..][..dim].copy_from_slice(values);
                }
            }
        });
        Ok((CpuStorage::F32(out), Shape::from((new, width))))
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "rows are lists of ranges, often of one")]
mod tests {
    use candle_core::{DType, Device};

    use super::super::masked_attention::{Form, Products};
    use super::*;

    /// The same numbers between -2 and 2 in every run, so that a failure can be seen again.
    fn random(seed: &mut fastrand::Rng, rows: usize, columns: usize) -> Tensor {
        let values: Vec<f32> = (0..rows * columns).map(|_| 4.0 * seed.f32() - 2.0).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    }

    /// The same in candle's operations, of rows with all heads side by side.
    fn composed(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, kv_heads: usize, products: &Products) -> Tensor {
        let apart = |x: &Tensor, heads: usize| {
            let (rows, width) = x.dims2().unwrap();
            x.reshape((rows, heads, width / heads)).unwrap().permute((1, 0, 2)).unwrap().contiguous().unwrap()
        };
        let (new, width) = q.dims2().unwrap();
        let dim = width / heads;
        let q = q.to_dtype(DType::F32).unwrap().affine(1.0 / (dim as f64).sqrt(), 0.0).unwrap();
        let of_new = |x: &Tensor| x.narrow(0, x.dim(0).unwrap() - new, new).unwrap().to_dtype(DType::F32).unwrap();
        let rotated = Tensor::cat(&[&q, &of_new(k), &of_new(v)], 1).unwrap().reshape(((), dim)).unwrap();
        let filled = Tensor::cat(&[apart(k, kv_heads), apart(v, kv_heads)], 0).unwrap();
        let added = products.added(&rotated).unwrap();
        let kept = filled.narrow(1, k.dim(0).unwrap() - new, new).unwrap().to_dtype(DType::F32).unwrap();
        assert_eq!(added.to_vec3::<f32>().unwrap(), kept.to_vec3::<f32>().unwrap(), "the new rows of keys and values");
        products.attention(&rotated, &filled).unwrap()
    }

    fn check(plan: &Plan, heads: usize, kv_heads: usize) {
        let (dim, keys) = (8, plan.past + plan.new_tokens());
        let mut seed = fastrand::Rng::with_seed(1);
        let mut random = |rows: usize, columns: usize| random(&mut seed, rows, columns);
        let (q, k, v) = (random(plan.new_tokens(), heads * dim), random(keys, kv_heads * dim), random(keys, kv_heads * dim));
        let ours = attention(&q, &k, &v, heads, kv_heads, plan).unwrap();
        let whole = |form| Products::whole(plan, [heads, kv_heads], form, &Device::Cpu);
        let apart = Products::apart(plan, [heads, kv_heads], false, &Device::Cpu);
        for products in [whole(Form::Spread), whole(Form::OfTokens), apart] {
            let plain = composed(&q, &k, &v, heads, kv_heads, &products.unwrap());
            let worst = (&ours - plain).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 1e-5, "{plan:?}: differs by {worst}");
        }
    }

    fn sequence(context: &[Range<usize>], chain: usize, tree: &[Option<usize>]) -> Sequence {
        Sequence { context: context.to_vec(), chain, tree: tree.to_vec() }
    }

    #[test]
    fn kernel_agrees_with_the_masked_matrix_form() {
        let tree = [None, Some(0), Some(0), Some(1), None, Some(4)];
        let one = |past: usize, chain, tree: &[Option<usize>]| Plan { past, sequences: vec![sequence(&[0..past], chain, tree)] };
        check(&one(0, 1, &[]), 4, 2);
        check(&one(0, 150, &[]), 4, 2);
        check(&one(33, 70, &[]), 6, 2);
        check(&one(5, 70, &tree), 4, 4);
        let deep: Vec<Option<usize>> = (0..150).map(|i: usize| i.checked_sub(3)).collect();
        check(&one(4, 9, &deep), 2, 1);
        for past in [17, 40] {
            // Side by side over one prefix, over parts of it, and over the chains of others.
            let packed = vec![
                sequence(&[0..17], 3, &tree),
                sequence(&[0..5, 9..17], 130, &[]),
                sequence(&[0..17, past..past + 3], 1, &tree),
                sequence(&[0..5, 9..17, past + 9..past + 139], 70, &tree),
                sequence(&[0..17, past..past + 3], 0, &tree),
            ];
            check(&Plan { past, sequences: packed }, 6, 3);
        }
        let unshared = vec![sequence(&[], 3, &tree), sequence(&[], 130, &[])];
        check(&Plan { past: 0, sequences: unshared }, 6, 3);
    }

    /// Products of about 700,000, where f16 ends at 65,504, and of which bf16 keeps two or three digits: all but the same direction for every
    /// token, as biases make it.
    #[test]
    fn large_keys_leave_neither_the_range_of_f16_nor_the_digits_of_bf16() {
        let (dim, plan) = (8, Plan { past: 0, sequences: vec![sequence(&[], 6, &[])] });
        let mut seed = fastrand::Rng::with_seed(2);
        let mut random = |shift: f64| (random(&mut seed, 6, dim) + shift).unwrap();
        let (q, k, v) = (random(300.0), random(300.0), random(0.0));
        let products = Products::new(&plan, [1, 1], false, &Device::Cpu).unwrap();
        for dtype in [DType::F16, DType::BF16] {
            let half = |x: &Tensor| x.to_dtype(dtype).unwrap();
            let exact = |x: &Tensor| half(x).to_dtype(DType::F32).unwrap();
            let found = composed(&q, &half(&k), &half(&v), 1, 1, &products).to_dtype(DType::F32).unwrap();
            // The same numbers, with every product in f32.
            let expected = composed(&q, &exact(&k), &exact(&v), 1, 1, &products);
            let worst = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(worst < 0.02, "{dtype:?}: differs by {worst}");
        }
    }

    #[test]
    fn positions_follow_depth() {
        let tree = [None, Some(0), None];
        let plan = Plan { past: 20, sequences: vec![sequence(&[0..10], 2, &tree), sequence(&[2..5, 20..22], 2, &tree)] };
        assert_eq!(plan.positions(), [10, 11, 12, 13, 12, 5, 6, 7, 8, 7]);
    }
}

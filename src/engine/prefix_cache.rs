//! Keys and values of earlier prompts, found again by their tokens.
//!
//! A radix tree over token ids: prompts that begin alike share the nodes of their common beginning, so one policy's scaffold is kept once
//! however many conversations follow it. Bounded in bytes; the least recently used ends of branches go first.

use std::ops::Range;

use candle_core::{Result, Tensor, bail};

use super::network::KvBuffer;

/// Copies some rows of all planes, `[planes, rows, width]` each, to the rows of `target` from `row` on.
///
/// # Errors
/// Fails where the device does.
pub fn copy_rows(source: &Tensor, rows: Range<usize>, target: &Tensor, row: usize) -> Result<()> {
    // On the CPU nothing is to be copied twice, elsewhere the number of operations is what costs.
    if source.device().is_cpu() { copy_by_plane(source, rows, target, row) } else { copy_at_once(source, rows, target, row) }
}

/// The rows of one plane lie side by side.
fn copy_by_plane(source: &Tensor, rows: Range<usize>, target: &Tensor, row: usize) -> Result<()> {
    let copy = |plane| target.get(plane)?.slice_set(&source.get(plane)?.narrow(0, rows.start, rows.len())?, 0, row);
    (0..source.dim(0)?).try_for_each(copy)
}

fn copy_at_once(source: &Tensor, rows: Range<usize>, target: &Tensor, row: usize) -> Result<()> {
    target.slice_set(&source.narrow(1, rows.start, rows.len())?.contiguous()?, 1, row)
}

/// Returns a copy of some rows of all planes: a view would keep all of `source` alive.
fn gather(source: &Tensor, rows: &[Range<usize>]) -> Result<Tensor> {
    if let [rows] = rows {
        return source.narrow(1, rows.start, rows.len())?.force_contiguous();
    }
    let (planes, _, width) = source.dims3()?;
    let len = rows.iter().map(Range::len).sum::<usize>();
    let (gathered, mut row) = (Tensor::zeros((planes, len, width), source.dtype(), source.device())?, 0);
    for rows in rows {
        copy_rows(source, rows.clone(), &gathered, row)?;
        row += rows.len();
    }
    Ok(gathered)
}

/// Returns those of some rows that stand for the `wanted` ones among them.
fn part(rows: &[Range<usize>], wanted: Range<usize>) -> Vec<Range<usize>> {
    let mut first = 0;
    let mut found = Vec::with_capacity(rows.len());
    for range in rows {
        let (from, to) = (wanted.start.max(first), wanted.end.min(first + range.len()));
        if from < to {
            found.push(range.start + from - first..range.start + to - first);
        }
        first += range.len();
    }
    found
}

struct Node {
    tokens: Vec<u32>,
    /// Their keys and values, as [`KvBuffer::rows`] has them; `None` of the root.
    block: Option<Tensor>,
    parent: usize,
    children: Vec<usize>,
    last_used: u64,
}

/// The cache of one router.
pub struct PrefixCache {
    /// Slot 0 is the root: no tokens. Freed slots are `None` and reused.
    nodes: Vec<Option<Node>>,
    bytes_per_token: usize,
    budget: u64,
    tokens: usize,
    clock: u64,
    hit_tokens: u64,
    missed_tokens: u64,
}

const ROOT: usize = 0;

impl PrefixCache {
    /// Returns an empty cache that keeps at most `budget` bytes, for a network with `bytes_per_token` bytes of keys and values a token.
    pub fn new(budget: u64, bytes_per_token: usize) -> Self {
        let root = Node { tokens: Vec::new(), block: None, parent: ROOT, children: Vec::new(), last_used: 0 };
        Self { nodes: vec![Some(root)], bytes_per_token, budget, tokens: 0, clock: 0, hit_tokens: 0, missed_tokens: 0 }
    }

    /// Returns the bytes kept now, the budget, and the tokens found and missed so far.
    pub fn stats(&self) -> super::CacheStats {
        super::CacheStats {
            bytes: (self.tokens * self.bytes_per_token) as u64,
            budget_bytes: self.budget,
            hit_tokens: self.hit_tokens,
            missed_tokens: self.missed_tokens,
        }
    }

    /// Returns how many of the first tokens are cached, the last token always left out: its hidden state is needed.
    pub fn find(&mut self, tokens: &[u32]) -> usize {
        self.clock += 1;
        let usable = &tokens[..tokens.len().saturating_sub(1)];
        let (mut at, mut found) = (ROOT, 0);
        while let Some((child, common)) = self.step(at, &usable[found..]) {
            found += common;
            at = child;
            let clock = self.clock;
            let Some(node) = self.nodes[child].as_mut() else { break };
            node.last_used = clock;
            if common < node.tokens.len() {
                break;
            }
        }
        found
    }

    /// Copies the cached keys and values of `tokens[wanted]` to the rows of `kv` from `row` on.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn copy(&self, tokens: &[u32], wanted: Range<usize>, kv: &KvBuffer, row: usize) -> Result<()> {
        let (mut at, mut found) = (ROOT, 0);
        while found < wanted.end {
            let Some((child, common)) = self.step(at, &tokens[found..wanted.end]) else { break };
            let Some(node) = self.nodes[child].as_ref() else { break };
            let (from, to) = (wanted.start.max(found), found + common);
            if from < to {
                let (Some(block), Some(rows)) = (&node.block, &kv.rows) else { bail!("keys and values of cached tokens are missing") };
                copy_rows(block, from - found..to - found, rows, row + from - wanted.start)?;
            }
            found = to;
            at = child;
        }
        Ok(())
    }

    /// Counts prompt tokens that were taken from the cache and others.
    pub fn count(&mut self, hit: usize, missed: usize) {
        self.hit_tokens += hit as u64;
        self.missed_tokens += missed as u64;
    }

    /// Keeps the keys and values of `tokens`, which are the first of these `rows` of `kv`, then drops what no longer fits the budget.
    ///
    /// # Errors
    /// Fails where the device does.
    pub fn insert(&mut self, tokens: &[u32], rows: &[Range<usize>], kv: &KvBuffer) -> Result<()> {
        self.clock += 1;
        let (mut at, mut done) = (ROOT, 0);
        while let Some((child, common)) = self.step(at, &tokens[done..]) {
            done += common;
            at = self.split(child, common)?;
            let clock = self.clock;
            if let Some(node) = self.nodes[at].as_mut() {
                node.last_used = clock;
            }
        }
        if done < tokens.len() && (self.bytes_per_token * (tokens.len() - done)) as u64 <= self.budget {
            let rows = part(rows, done..tokens.len());
            let Some(filled) = &kv.rows else { bail!("there are no keys and values to keep") };
            let block = Some(gather(filled, &rows)?);
            self.tokens += tokens.len() - done;
            self.add(Node { tokens: tokens[done..].to_vec(), block, parent: at, children: Vec::new(), last_used: self.clock });
        }
        self.shrink(self.budget);
        Ok(())
    }

    /// Keeps at most `bytes` from now on.
    pub fn set_budget(&mut self, bytes: u64) {
        self.budget = bytes;
        self.shrink(bytes);
    }

    /// Drops least recently used ends of branches until at most `bytes` are kept.
    pub fn shrink(&mut self, bytes: u64) {
        while (self.tokens * self.bytes_per_token) as u64 > bytes {
            let leaves = self.nodes.iter().enumerate().skip(1).filter_map(|(index, node)| {
                let node = node.as_ref()?;
                node.children.is_empty().then_some((node.last_used, index))
            });
            let Some((_, leaf)) = leaves.min() else { break };
            if let Some(node) = self.nodes[leaf].take() {
                self.tokens -= node.tokens.len();
                if let Some(parent) = self.nodes[node.parent].as_mut() {
                    parent.children.retain(|&child| child != leaf);
                }
            }
        }
    }

    /// Returns the child of `at` that `tokens` continues into, and how many tokens they share (at least one).
    fn step(&self, at: usize, tokens: &[u32]) -> Option<(usize, usize)> {
        let children = &self.nodes[at].as_ref()?.children;
        children.iter().find_map(|&child| {
            let node = self.nodes[child].as_ref()?;
            let common = node.tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            (common > 0).then_some((child, common))
        })
    }

    /// Cuts a node after `keep` tokens and returns the index of its first part, which takes the place of the whole.
    fn split(&mut self, index: usize, keep: usize) -> Result<usize> {
        let Some(node) = self.nodes[index].as_ref() else { return Ok(index) };
        if keep == node.tokens.len() {
            return Ok(index);
        }
        let len = node.tokens.len();
        let part = |rows: Range<usize>| node.block.as_ref().map(|block| gather(block, &[rows])).transpose();
        let (first, rest) = (part(0..keep)?, part(keep..len)?);
        let Some(node) = self.nodes[index].as_mut() else { return Ok(index) };
        let tail = Node {
            tokens: node.tokens.split_off(keep),
            block: rest,
            parent: index,
            children: std::mem::take(&mut node.children),
            last_used: node.last_used,
        };
        node.block = first;
        let grandchildren = tail.children.clone();
        let tail = self.add(tail);
        for child in grandchildren {
            if let Some(child) = self.nodes[child].as_mut() {
                child.parent = tail;
            }
        }
        Ok(index)
    }

    fn add(&mut self, node: Node) -> usize {
        let parent = node.parent;
        let index = match self.nodes.iter().position(Option::is_none) {
            Some(free) => {
                self.nodes[free] = Some(node);
                free
            }
            None => {
                self.nodes.push(Some(node));
                self.nodes.len() - 1
            }
        };
        if let Some(parent) = self.nodes[parent].as_mut() {
            parent.children.push(index);
        }
        index
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "rows are lists of ranges, often of one")]
mod tests {
    use candle_core::Device;

    use super::*;

    /// One layer whose keys are the tokens themselves, so that what comes back can be checked.
    fn buffer(tokens: &[u32], capacity: usize) -> KvBuffer {
        let mut rows: Vec<f32> = tokens.iter().map(|&token| token as f32).collect();
        rows.resize(capacity, -1.0);
        let values: Vec<f32> = rows.iter().map(|row| row * 2.0).collect();
        let rows = Tensor::from_vec([rows, values].concat(), (2, capacity, 1), &Device::Cpu).unwrap();
        KvBuffer { rows: Some(rows), len: tokens.len() }
    }

    #[test]
    fn copying_at_once_and_by_plane_is_the_same() {
        let numbers = |count: usize| (0..count).map(|i| i as f32).collect::<Vec<f32>>();
        let source = Tensor::from_vec(numbers(6 * 9 * 2), (6, 9, 2), &Device::Cpu).unwrap();
        for (rows, row) in [(0..9, 3), (2..5, 0), (8..9, 11)] {
            let target = || Tensor::zeros((6, 12, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
            let (by_plane, at_once) = (target(), target());
            copy_by_plane(&source, rows.clone(), &by_plane, row).unwrap();
            copy_at_once(&source, rows.clone(), &at_once, row).unwrap();
            let values = |x: &Tensor| x.to_vec3::<f32>().unwrap();
            assert_eq!(values(&by_plane), values(&at_once));
            assert_eq!(values(&by_plane)[5][row], values(&source)[5][rows.start]);
        }
    }

    fn keep(cache: &mut PrefixCache, tokens: &[u32]) {
        cache.insert(tokens, &[0..tokens.len()], &buffer(tokens, tokens.len() + 5)).unwrap();
    }

    fn found(cache: &mut PrefixCache, tokens: &[u32]) -> usize {
        let found = cache.find(tokens);
        // Also in two halves, as when prompts of one pass part inside a cached text.
        for parts in [vec![0..found], vec![0..found / 2, found / 2..found]] {
            let kv = buffer(&[], tokens.len() + 4);
            for part in parts {
                cache.copy(tokens, part.clone(), &kv, 3 + part.start).unwrap();
            }
            let rows: Vec<Vec<f32>> = kv.rows.unwrap().squeeze(2).unwrap().to_vec2().unwrap();
            let expected = |factor: f32| tokens[..found].iter().map(|&token| factor * token as f32).collect::<Vec<f32>>();
            assert_eq!(rows[0][3..3 + found], expected(1.0), "the cache gave the keys of other tokens");
            assert_eq!(rows[1][3..3 + found], expected(2.0), "the cache gave the values of other tokens");
        }
        found
    }

    #[test]
    fn longest_beginning_is_found_and_the_last_token_left_to_compute() {
        let mut cache = PrefixCache::new(1 << 20, 8);
        for tokens in [&[1, 2, 3, 4, 5][..], &[1, 2, 3, 9, 9], &[7, 7], &[1, 2, 3, 4, 5, 6]] {
            keep(&mut cache, tokens);
        }
        assert_eq!(found(&mut cache, &[1, 2, 3, 4, 5]), 4);
        assert_eq!(found(&mut cache, &[1, 2, 3, 4, 5, 6, 7]), 6);
        assert_eq!(found(&mut cache, &[1, 2, 8]), 2);
        assert_eq!(found(&mut cache, &[1, 2, 3, 9, 9, 9]), 5);
        assert_eq!(found(&mut cache, &[8, 8]), 0);
        assert_eq!(cache.stats().bytes, 8 * 10, "shared beginnings are kept once");
    }

    #[test]
    fn rows_that_lie_apart_are_kept_in_the_order_of_their_tokens() {
        let mut cache = PrefixCache::new(1 << 20, 8);
        keep(&mut cache, &[1, 2]);
        // Tokens 1 to 5, with rows of others before, between and after.
        let kv = buffer(&[9, 1, 2, 3, 9, 4, 9, 9, 5, 9], 10);
        // Only the first five: the sixth row stands for what is not to be kept.
        cache.insert(&[1, 2, 3, 4, 5], &[1..4, 5..6, 8..10], &kv).unwrap();
        assert_eq!(found(&mut cache, &[1, 2, 3, 4, 5, 6]), 5);
        cache.set_budget(8 * 2);
        assert_eq!(found(&mut cache, &[1, 2, 3, 4, 5, 6]), 2);
    }

    #[test]
    fn least_recently_used_end_goes_first() {
        let mut cache = PrefixCache::new(8 * 9, 8);
        for tokens in [[1, 1, 1, 2, 2], [1, 1, 1, 3, 3]] {
            keep(&mut cache, &tokens);
        }
        assert_eq!(found(&mut cache, &[1, 1, 1, 2, 2, 0]), 5);
        keep(&mut cache, &[1, 1, 1, 4, 4, 4]);
        assert!(cache.stats().bytes <= 8 * 9);
        assert_eq!(found(&mut cache, &[1, 1, 1, 3, 3, 0]), 3, "the branch not used since is gone");
        assert_eq!(found(&mut cache, &[1, 1, 1, 2, 2, 0]), 5);
        cache.shrink(0);
        assert_eq!(found(&mut cache, &[1, 1, 1, 2, 2, 0]), 0);
        assert_eq!(cache.stats().bytes, 0);
    }
}

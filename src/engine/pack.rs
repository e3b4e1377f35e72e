//! Several prompts as one piece of work: what they begin with in common is computed once.
//!
//! A radix tree over the prompts' tokens. Its segments become the sequences of one or more passes: a segment continues the rows of the
//! segments above it, whether these were cached or computed in the same pass, and the answers of a prompt follow the segment it ends with.

use std::ops::Range;

use super::attention::{Plan, Sequence};

/// Tokens that some prompts share, between two places where prompts part or end.
struct Segment {
    parent: usize,
    children: Vec<usize>,
    /// Tokens before it.
    start: usize,
    tokens: Vec<u32>,
    /// Its first tokens whose keys and values are cached.
    cached: usize,
    /// A prompt that goes through it.
    example: usize,
    /// The prompts that end here.
    prompts: Vec<usize>,
}

/// Prompts to compute together.
pub struct Pack {
    /// Segment 0 is the root: no tokens.
    segments: Vec<Segment>,
    /// Nodes of each prompt's answer tree: their parents.
    trees: Vec<Vec<Option<usize>>>,
    computed: usize,
    rows: usize,
}

/// Rows of the keys and values to fill from the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedRows {
    /// A prompt that begins with them.
    pub prompt: usize,
    /// Which of its tokens they stand for.
    pub tokens: Range<usize>,
    /// The row of the first one.
    pub row: usize,
}

/// A new token after which the next one is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the pass's new tokens.
    pub row: usize,
    pub prompt: usize,
    /// 0 for the end of the prompt, `n + 1` for node `n` of its answer tree.
    pub node: usize,
}

/// What a new token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewToken {
    Prompt(u32),
    Node { prompt: usize, node: usize },
}

/// One pass over the network.
#[derive(Debug, Default)]
pub struct Pass {
    pub plan: Plan,
    pub tokens: Vec<NewToken>,
    pub places: Vec<Place>,
}

/// Where everything lies: the order of the work.
#[derive(Debug)]
pub struct Layout {
    pub cached: Vec<CachedRows>,
    pub passes: Vec<Pass>,
    /// Of each prompt, the rows of its tokens, in order.
    pub rows: Vec<Vec<Range<usize>>>,
    /// Rows in all.
    pub len: usize,
}

const ROOT: usize = 0;

impl Pack {
    /// Returns a pack without prompts.
    pub fn new() -> Self {
        let root = Segment { parent: ROOT, children: Vec::new(), start: 0, tokens: Vec::new(), cached: 0, example: 0, prompts: Vec::new() };
        Self { segments: vec![root], trees: Vec::new(), computed: 0, rows: 0 }
    }

    /// Adds a prompt that has tokens. The first `cached` of them are cached, and `tree` has the parents of its answers' nodes.
    ///
    /// Returns how many of the tokens are computed on its account, at least the last: what it shares with earlier prompts is theirs.
    pub fn add(&mut self, tokens: &[u32], cached: usize, tree: &[Option<usize>]) -> usize {
        let prompt = self.trees.len();
        let (mut at, mut done) = (ROOT, 0);
        while let Some((child, common)) = self.step(at, &tokens[done..]) {
            at = self.split(child, common);
            done += common;
            let segment = &mut self.segments[at];
            segment.cached = segment.cached.max(cached.saturating_sub(segment.start).min(segment.tokens.len()));
        }
        let fresh = tokens.len().saturating_sub(done.max(cached)).max(1);
        if done < tokens.len() {
            let index = self.segments.len();
            let cached = cached.saturating_sub(done);
            self.segments.push(Segment {
                parent: at,
                children: Vec::new(),
                start: done,
                tokens: tokens[done..].to_vec(),
                cached,
                example: prompt,
                prompts: Vec::new(),
            });
            self.segments[at].children.push(index);
            at = index;
        }
        self.segments[at].prompts.push(prompt);
        self.trees.push(tree.to_vec());
        self.computed += fresh + tree.len();
        self.rows += tokens.len() - done + tree.len();
        fresh
    }

    /// Returns how many tokens and nodes have to be computed.
    pub fn computed(&self) -> usize {
        self.computed
    }

    /// Returns how many rows of keys and values all of it takes, cached ones included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Cuts the work into passes of about `most` new tokens: up to half more, so that no small pass is left at the end.
    pub fn layout(&self, most: usize) -> Layout {
        let order = self.order();
        let mut paths: Vec<Vec<Range<usize>>> = vec![Vec::new(); self.segments.len()];
        let mut cached = Vec::new();
        let mut len = 0;
        let mut cached_rows = vec![0..0; self.segments.len()];
        for &index in &order {
            let known = self.cached_of(index);
            if known > 0 {
                let start = self.segments[index].start;
                cached.push(CachedRows { prompt: self.segments[index].example, tokens: start..start + known, row: len });
                cached_rows[index] = len..len + known;
                len += known;
            }
        }
        let work: usize = order.iter().map(|&index| self.segments[index].tokens.len() - self.cached_of(index)).sum::<usize>()
            + self.trees.iter().map(Vec::len).sum::<usize>();
        let passes = (2 * work + most).div_euclid(2 * most).max(1);
        let mut cutter = Cutter { most: work.div_ceil(passes).max(1), passes: Vec::new(), pass: Pass::default(), len };
        cutter.pass.plan.past = len;
        let mut rows = vec![Vec::new(); self.trees.len()];
        for &index in &order {
            let segment = &self.segments[index];
            let mut path = paths[segment.parent].clone();
            append(&mut path, cached_rows[index].clone());
            let mut left = &segment.tokens[self.cached_of(index)..];
            let (own, others) = match segment.prompts.split_first() {
                Some((own, others)) => (Some(*own), others),
                None => (None, &[][..]),
            };
            while !left.is_empty() {
                let (part, after) = left.split_at(left.len().min(cutter.room()));
                left = after;
                let tree = own.filter(|_| left.is_empty());
                let chain = cutter.add(&path, part, tree.map(|prompt| (prompt, self.trees[prompt].as_slice())));
                if left.is_empty() {
                    cutter.ask(chain.end - 1, &segment.prompts);
                }
                append(&mut path, chain);
            }
            for &prompt in others {
                cutter.add(&path, &[], Some((prompt, &self.trees[prompt])));
            }
            for &prompt in &segment.prompts {
                rows[prompt].clone_from(&path);
            }
            paths[index] = path;
        }
        let Cutter { mut passes, pass, len, .. } = cutter;
        passes.push(pass);
        Layout { cached, passes, rows, len }
    }

    /// Segments with tokens, parents before children and siblings in the order they were added, so that results come early prompts first.
    fn order(&self) -> Vec<usize> {
        let (mut order, mut open) = (Vec::with_capacity(self.segments.len()), vec![ROOT]);
        while let Some(index) = open.pop() {
            open.extend(self.segments[index].children.iter().rev());
            if index != ROOT {
                order.push(index);
            }
        }
        order
    }

    /// The last token of a prompt is computed even where it is cached as the beginning of another: its hidden state is needed.
    fn cached_of(&self, index: usize) -> usize {
        let segment = &self.segments[index];
        let last = usize::from(!segment.prompts.is_empty());
        segment.cached.min(segment.tokens.len() - last)
    }

    fn step(&self, at: usize, tokens: &[u32]) -> Option<(usize, usize)> {
        self.segments[at].children.iter().find_map(|&child| {
            let common = self.segments[child].tokens.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            (common > 0).then_some((child, common))
        })
    }

    /// Cuts a segment after `keep` tokens and returns the index of its first part, which takes the place of the whole.
    fn split(&mut self, index: usize, keep: usize) -> usize {
        let next = self.segments.len();
        let segment = &mut self.segments[index];
        if keep < segment.tokens.len() {
            let tail = Segment {
                parent: index,
                children: std::mem::take(&mut segment.children),
                start: segment.start + keep,
                tokens: segment.tokens.split_off(keep),
                cached: segment.cached.saturating_sub(keep),
                example: segment.example,
                prompts: std::mem::take(&mut segment.prompts),
            };
            segment.cached = segment.cached.min(keep);
            segment.children.push(next);
            for &child in &tail.children {
                self.segments[child].parent = next;
            }
            self.segments.push(tail);
        }
        index
    }
}

/// Adds rows to a path; what lies side by side becomes one range.
fn append(path: &mut Vec<Range<usize>>, rows: Range<usize>) {
    match path.last_mut() {
        _ if rows.is_empty() => {}
        Some(last) if last.end == rows.start => last.end = rows.end,
        _ => path.push(rows),
    }
}

/// Fills passes one after the other.
struct Cutter {
    most: usize,
    passes: Vec<Pass>,
    pass: Pass,
    /// Rows so far, of earlier passes and this one.
    len: usize,
}

impl Cutter {
    /// Returns how many tokens the present pass still takes, after beginning another where it is full.
    fn room(&mut self) -> usize {
        if self.pass.tokens.len() >= self.most {
            let next = Pass { plan: Plan { past: self.len, sequences: Vec::new() }, ..Pass::default() };
            self.passes.push(std::mem::replace(&mut self.pass, next));
        }
        self.most - self.pass.tokens.len()
    }

    /// Adds a chain and the answers of a prompt after it; returns the rows of the chain.
    fn add(&mut self, context: &[Range<usize>], chain: &[u32], tree: Option<(usize, &[Option<usize>])>) -> Range<usize> {
        let start = self.len;
        self.pass.tokens.extend(chain.iter().copied().map(NewToken::Prompt));
        let mut sequence = Sequence { context: context.to_vec(), chain: chain.len(), tree: Vec::new() };
        if let Some((prompt, parents)) = tree {
            for node in 0..parents.len() {
                self.pass.places.push(Place { row: self.pass.tokens.len(), prompt, node: node + 1 });
                self.pass.tokens.push(NewToken::Node { prompt, node });
            }
            sequence.tree = parents.to_vec();
        }
        self.len += sequence.len();
        self.pass.plan.sequences.push(sequence);
        start..start + chain.len()
    }

    /// Asks for the token after a row, which is the end of these prompts.
    fn ask(&mut self, row: usize, prompts: &[usize]) {
        let row = row - self.pass.plan.past;
        self.pass.places.extend(prompts.iter().map(|&prompt| Place { row, prompt, node: 0 }));
    }
}

//! The closed set of valid answers as a tree of tokens, scored in the same pass as the prompt.
//!
//! Every valid answer is a path from the end of the prompt; answers share their beginnings. After one pass with a tree mask the
//! log-probabilities along the paths give each answer's exact probability, and the best token of the whole vocabulary at each node tells
//! what greedy decoding would write, as long as it stays inside the tree.

use std::collections::HashMap;

use super::EngineError;
use super::network::NextToken;
use super::tokenizer::RouterTokenizer;
use crate::dialect::{answer_text, first_name_prefix};
use crate::policy::DialectId;

/// One valid answer of a dialect.
#[derive(Clone, Debug)]
struct Answer {
    /// Position of the route among the policy's, `None` for no route.
    route: Option<usize>,
    text: String,
    /// Nodes from the root, never empty.
    path: Vec<usize>,
    /// In list dialects, where the first name is fixed.
    fixed: Option<Fixed>,
}

/// The place in an answer from which on any continuation names this route first.
#[derive(Clone, Debug)]
struct Fixed {
    /// Nodes of the path before it; `0` is the end of the prompt.
    depth: usize,
    /// The tokens whose text completes the name.
    closing: Vec<u32>,
}

/// All valid answers of a dialect for some routes.
#[derive(Clone, Debug)]
pub struct AnswerTree {
    tokens: Vec<u32>,
    parents: Vec<Option<usize>>,
    answers: Vec<Answer>,
    end_tokens: Vec<u32>,
}

/// The score of one answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerScore {
    /// Position of the route among those the tree was built for, `None` for no route.
    pub route: Option<usize>,
    /// Natural-log probability of the answer's tokens.
    pub log_prob: f64,
    /// The same with the end of turn.
    pub log_prob_end: f64,
    /// Probability of answering with this route, as the dialect reads answers: in list dialects, of all answers whose first name it is.
    pub p: f64,
}

/// What greedy decoding writes, as far as one pass can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greedy {
    /// The whole text; the turn ends after it.
    Proved(Vec<u32>),
    /// The tokens inside the tree, and the first one outside: decoding has to go on from there.
    Leaves(Vec<u32>),
}

/// Token sets found by a walk over the whole vocabulary, kept for the life of a router.
pub type ClosingTokens = HashMap<String, Vec<u32>>;

impl AnswerTree {
    /// Builds the tree for the routes named `names`.
    ///
    /// # Errors
    /// Fails where the tokenizer does.
    pub fn new(
        dialect: DialectId,
        names: &[&str],
        tokenizer: &RouterTokenizer,
        end_tokens: &[u32],
        closing: &mut ClosingTokens,
    ) -> Result<Self, EngineError> {
        let mut tree = Self { tokens: Vec::new(), parents: Vec::new(), answers: Vec::new(), end_tokens: end_tokens.to_vec() };
        let routes = names.iter().enumerate().map(|(index, name)| (Some(index), Some(*name))).chain([(None, None)]);
        for (route, name) in routes {
            let text = answer_text(dialect, name);
            // A route called `other` writes what no route writes: one answer, and the gateway reads it as no route.
            if tree.answers.iter().any(|answer| answer.text == text) {
                tree.answers.retain(|answer| answer.text != text);
            }
            let tokens = tokenizer.encode(&text)?;
            let fixed = match name.and_then(|name| first_name_prefix(dialect, name)) {
                Some(prefix) => fixed(&prefix, &tokens, tokenizer, closing)?,
                None => None,
            };
            let path = tree.add(&tokens);
            if !path.is_empty() {
                tree.answers.push(Answer { route, text, path, fixed });
            }
        }
        Ok(tree)
    }

    /// Returns the nodes' tokens, parents before children.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Returns each node's parent, `None` for children of the end of the prompt.
    pub fn parents(&self) -> &[Option<usize>] {
        &self.parents
    }

    /// Returns the tokens of the longest answer.
    pub fn longest(&self) -> usize {
        self.answers.iter().map(|answer| answer.path.len()).max().unwrap_or(0)
    }

    /// Returns, for the end of the prompt and then each node, the next tokens whose log-probability [`Self::score`] needs.
    pub fn wanted(&self) -> Vec<Vec<u32>> {
        let mut wanted = vec![Vec::new(); self.tokens.len() + 1];
        for (node, parent) in self.parents.iter().enumerate() {
            wanted[row(*parent)].push(self.tokens[node]);
        }
        for answer in &self.answers {
            wanted[row(answer.path.last().copied())].extend(&self.end_tokens);
            if let Some(fixed) = &answer.fixed {
                wanted[answer.row_at(fixed.depth)].extend(&fixed.closing);
            }
        }
        for tokens in &mut wanted {
            tokens.sort_unstable();
            tokens.dedup();
        }
        wanted
    }

    /// Scores every answer; `next` has a row for the end of the prompt and one for each node, with log-probabilities as [`Self::wanted`]
    /// asked for them. Answers come in the order of the routes, no route last.
    pub fn score(&self, wanted: &[Vec<u32>], next: &[NextToken]) -> Vec<AnswerScore> {
        let log_prob =
            |row: usize, token: u32| wanted[row].binary_search(&token).map_or(f64::NEG_INFINITY, |at| f64::from(next[row].log_probs[at]));
        let sum = |row: usize, tokens: &[u32]| tokens.iter().map(|&token| log_prob(row, token).exp()).sum::<f64>();
        let score = |answer: &Answer| {
            let steps: Vec<f64> = answer.path.iter().map(|&node| log_prob(row(self.parents[node]), self.tokens[node])).collect();
            let all: f64 = steps.iter().sum();
            let ended = all + sum(row(answer.path.last().copied()), &self.end_tokens).ln();
            let p = match &answer.fixed {
                Some(fixed) => steps[..fixed.depth].iter().sum::<f64>().exp() * sum(answer.row_at(fixed.depth), &fixed.closing),
                None => ended.exp(),
            };
            AnswerScore { route: answer.route, log_prob: all, log_prob_end: ended, p }
        };
        self.answers.iter().map(score).collect()
    }

    /// Follows the best token of the whole vocabulary from the end of the prompt.
    pub fn greedy(&self, next: &[NextToken]) -> Greedy {
        let (mut at, mut written) = (None, Vec::new());
        loop {
            let best = next[row(at)].best;
            if self.end_tokens.contains(&best) {
                return Greedy::Proved(written);
            }
            written.push(best);
            let child = (0..self.tokens.len()).find(|&node| self.parents[node] == at && self.tokens[node] == best);
            match child {
                Some(child) => at = Some(child),
                None => return Greedy::Leaves(written),
            }
        }
    }

    fn add(&mut self, tokens: &[u32]) -> Vec<usize> {
        let (mut at, mut path) = (None, Vec::new());
        for &token in tokens {
            let known = (0..self.tokens.len()).find(|&node| self.parents[node] == at && self.tokens[node] == token);
            let node = known.unwrap_or_else(|| {
                self.tokens.push(token);
                self.parents.push(at);
                self.tokens.len() - 1
            });
            path.push(node);
            at = Some(node);
        }
        path
    }
}

impl Answer {
    /// Returns the row of the node after `depth` tokens of the path.
    fn row_at(&self, depth: usize) -> usize {
        row(depth.checked_sub(1).map(|last| self.path[last]))
    }
}

/// Row 0 is the end of the prompt, row `n + 1` is node `n`.
fn row(node: Option<usize>) -> usize {
    node.map_or(0, |node| node + 1)
}

/// Finds the place where `prefix`, the text up to the closing quote of the first name, is complete whatever follows.
///
/// The tokens before it are those that the answer shares with one that goes on after the name; what is left of the prefix is completed by
/// any token whose text starts with it.
fn fixed(prefix: &str, answer: &[u32], tokenizer: &RouterTokenizer, closing: &mut ClosingTokens) -> Result<Option<Fixed>, EngineError> {
    let longer = tokenizer.encode(&format!("{prefix}, \""))?;
    let mut depth = answer.iter().zip(&longer).take_while(|(a, b)| a == b).count();
    while depth > 0 {
        let shared = tokenizer.decode(&answer[..depth])?;
        if let Some(left) = prefix.strip_prefix(&shared).filter(|left| !left.is_empty()) {
            let tokens = closing.entry(left.to_owned()).or_insert_with(|| tokenizer.starting_with(left));
            return Ok((!tokens.is_empty()).then(|| Fixed { depth, closing: tokens.clone() }));
        }
        // The shared tokens reach past the name (or end inside a character): look one token earlier.
        depth -= 1;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> AnswerTree {
        let mut tree = AnswerTree { tokens: vec![], parents: vec![], answers: vec![], end_tokens: vec![9] };
        for (route, tokens) in [(Some(0), &[1, 2, 3][..]), (Some(1), &[1, 2]), (None, &[1, 4])] {
            let path = tree.add(tokens);
            tree.answers.push(Answer { route, text: format!("{tokens:?}"), path, fixed: None });
        }
        tree
    }

    /// Distributions over the tokens 0..10, all mass on the listed ones.
    fn rows(tree: &AnswerTree, wanted: &[Vec<u32>], mass: &[&[(u32, f64)]]) -> Vec<NextToken> {
        assert_eq!(mass.len(), tree.tokens().len() + 1);
        let row = |(mass, wanted): (&&[(u32, f64)], &Vec<u32>)| {
            let p = |token: u32| mass.iter().find(|(t, _)| *t == token).map_or(0.0, |(_, p)| *p);
            let best = mass.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            NextToken { best, log_probs: wanted.iter().map(|&token| p(token).ln() as f32).collect() }
        };
        mass.iter().zip(wanted).map(row).collect()
    }

    #[test]
    fn shared_beginnings_are_one_path() {
        let tree = tree();
        assert_eq!(tree.tokens(), [1, 2, 3, 4]);
        assert_eq!(tree.parents(), [None, Some(0), Some(1), Some(0)]);
        assert_eq!(tree.wanted(), [vec![1], vec![2, 4], vec![3, 9], vec![9], vec![9]]);
    }

    #[test]
    fn probabilities_are_products_along_the_paths_and_greedy_follows_the_best() {
        let tree = tree();
        let wanted = tree.wanted();
        let next = rows(
            &tree,
            &wanted,
            &[&[(1, 0.9), (5, 0.1)], &[(2, 0.6), (4, 0.4)], &[(9, 0.7), (3, 0.3)], &[(9, 1.0)], &[(9, 0.5), (7, 0.5)]],
        );
        let p: Vec<f64> = tree.score(&wanted, &next).iter().map(|score| (score.p * 1e6).round() / 1e6).collect();
        assert_eq!(p, [0.162, 0.378, 0.18]);
        assert_eq!(tree.greedy(&next), Greedy::Proved(vec![1, 2]));
        let next = rows(&tree, &wanted, &[&[(1, 0.9)], &[(2, 0.3), (4, 0.4)], &[(9, 1.0)], &[(9, 1.0)], &[(9, 0.4), (7, 0.5)]]);
        assert_eq!(tree.greedy(&next), Greedy::Leaves(vec![1, 4, 7]));
    }
}

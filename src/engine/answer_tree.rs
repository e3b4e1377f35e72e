//! The closed set of valid answers as a tree of tokens, scored in the same pass as the prompt.
//!
//! Every valid answer is a path from the end of the prompt; answers share their beginnings. After one pass with a tree mask the
//! log-probabilities along the paths give each answer's exact probability, and the best token of the whole vocabulary at each node tells
//! what greedy decoding would write, as long as it stays inside the tree. In list dialects the tree also has the beginnings of lists that go
//! on after the first name, where the tokenizer cuts them otherwise.

use super::EngineError;
use super::head::NextToken;
use super::tokenizer::RouterTokenizer;
use crate::dialect::{all_names_text, answer_text, first_name_prefix};
use crate::policy::DialectId;

/// One valid answer of a dialect.
#[derive(Clone, Debug)]
struct Answer {
    /// Position of the route among the policy's, `None` for no route.
    route: Option<usize>,
    /// Nodes from the root, never empty.
    path: Vec<usize>,
    /// In list dialects, every place where one token can fix the first name, each once; empty elsewhere.
    fixed: Vec<Fixed>,
}

/// A place in the tree, and the tokens after which any continuation names this route first.
#[derive(Clone, Debug)]
struct Fixed {
    /// The node before it, `None` for the end of the prompt.
    after: Option<usize>,
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
    /// As [`AnswerTree::wanted`] returns it.
    wanted: Vec<Vec<u32>>,
    /// As [`AnswerTree::longest`] returns it.
    longest: usize,
    /// As [`AnswerTree::listed`] returns it.
    listed: usize,
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

impl AnswerTree {
    /// Builds the tree for the routes named `names`.
    ///
    /// # Errors
    /// Fails where the tokenizer does.
    pub fn new(dialect: DialectId, names: &[&str], tokenizer: &RouterTokenizer, end_tokens: &[u32]) -> Result<Self, EngineError> {
        let listed = all_names_text(dialect, names).map(|text| tokenizer.encode(&text)).transpose()?;
        let mut tree = Self {
            tokens: Vec::new(),
            parents: Vec::new(),
            answers: Vec::new(),
            end_tokens: end_tokens.to_vec(),
            wanted: Vec::new(),
            longest: 0,
            listed: listed.map_or(0, |tokens| tokens.len()),
        };
        let routes = names.iter().enumerate().map(|(index, name)| (Some(index), Some(*name))).chain([(None, None)]);
        for (route, name) in routes {
            let text = answer_text(dialect, name);
            let tokens = tokenizer.encode(&text)?;
            let path = tree.add(&tokens);
            // Names may share their answer: `other` is what no route writes, and spellings that differ in Unicode normalisation have the
            // same tokens. It counts once, for the name that gateways read back from it.
            if let Some(known) = tree.answers.iter().position(|answer| answer.path == path) {
                if tokenizer.decode(&tokens)? != text {
                    continue;
                }
                tree.answers.remove(known);
            }
            let mut fixed = Vec::new();
            let lists = name.and_then(|name| Some((first_name_prefix(dialect, name)?, all_names_text(dialect, &[name, name])?)));
            if let Some((prefix, longer)) = lists {
                let whole: String = tokens.iter().map(|&token| tokenizer.piece(token)).collect();
                // What follows the name is `]}`, which pieces spell as it is.
                if let Some(opening) = whole.strip_suffix(&text[prefix.len()..]) {
                    // A list that goes on may cut the name's end otherwise: `,"` before `]`, but `,` and `",` before another name.
                    for tokens in [tokens, tokenizer.encode(&longer)?] {
                        tree.find_fixed(opening, &tokens, tokenizer, &mut fixed);
                    }
                }
            }
            if !path.is_empty() {
                tree.answers.push(Answer { route, path, fixed });
            }
        }
        tree.wanted = tree.needed();
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

    /// Returns the tokens of the longest way through the tree: of the longest answer, or of a longer beginning of a list.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Returns the tokens of the answer that lists every route; 0 where answers are no lists.
    pub fn listed(&self) -> usize {
        self.listed
    }

    /// Returns, for the end of the prompt and then each node, the next tokens whose log-probability [`Self::score`] needs.
    pub fn wanted(&self) -> &[Vec<u32>] {
        &self.wanted
    }

    fn needed(&self) -> Vec<Vec<u32>> {
        let mut wanted = vec![Vec::new(); self.tokens.len() + 1];
        for (node, parent) in self.parents.iter().enumerate() {
            wanted[row(*parent)].push(self.tokens[node]);
        }
        for answer in &self.answers {
            wanted[row(answer.path.last().copied())].extend(&self.end_tokens);
            for fixed in &answer.fixed {
                wanted[row(fixed.after)].extend(&fixed.closing);
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
    pub fn score(&self, next: &[NextToken]) -> Vec<AnswerScore> {
        let log_prob = |row: usize, token: u32| {
            self.wanted[row].binary_search(&token).map_or(f64::NEG_INFINITY, |at| f64::from(next[row].log_probs[at]))
        };
        let sum = |row: usize, tokens: &[u32]| tokens.iter().map(|&token| log_prob(row, token).exp()).sum::<f64>();
        let reached = |node: Option<usize>| {
            let way = std::iter::successors(node, |&node| self.parents[node]);
            way.map(|node| log_prob(row(self.parents[node]), self.tokens[node])).sum::<f64>()
        };
        let score = |answer: &Answer| {
            let last = answer.path.last().copied();
            let all = reached(last);
            let ended = all + sum(row(last), &self.end_tokens).ln();
            let fixes = |fixed: &Fixed| reached(fixed.after).exp() * sum(row(fixed.after), &fixed.closing);
            let p = if answer.fixed.is_empty() { ended.exp() } else { answer.fixed.iter().map(fixes).sum() };
            // Rounding may put a sure answer a little above 1.
            AnswerScore { route: answer.route, log_prob: all, log_prob_end: ended, p: p.clamp(0.0, 1.0) }
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
            let node = self.child(at, token);
            path.push(node);
            at = Some(node);
        }
        self.longest = self.longest.max(path.len());
        path
    }

    /// Returns the node of a token after `at`, which is made where there is none.
    fn child(&mut self, at: Option<usize>, token: u32) -> usize {
        let known = (0..self.tokens.len()).find(|&node| self.parents[node] == at && self.tokens[node] == token);
        known.unwrap_or_else(|| {
            self.tokens.push(token);
            self.parents.push(at);
            self.tokens.len() - 1
        })
    }

    /// Adds to `found` the places on the way of `tokens` where the next token can complete `opening`, which ends with the quote that closes
    /// the first name, and to the tree the nodes that lead there.
    ///
    /// A token may end with the name or reach past it (`"`, `"]`, `",`), and the name may be closed in more than one token: each token on the
    /// way moves on to the next place. At a place the name is still open, and after a closing token it never is: whatever is written goes
    /// through one place and one closing token at most, so their probabilities add up. Ways share places, which count once.
    fn find_fixed(&mut self, opening: &str, tokens: &[u32], tokenizer: &RouterTokenizer, found: &mut Vec<Fixed>) {
        let (mut after, mut left) = (None, opening);
        for (depth, &token) in tokens.iter().enumerate() {
            if found.iter().all(|fixed| fixed.after != after) {
                let closing = tokenizer.pieces_starting_with(left);
                if !closing.is_empty() {
                    found.push(Fixed { after, closing });
                }
            }
            match left.strip_prefix(tokenizer.piece(token).as_str()) {
                Some(rest) if !rest.is_empty() => left = rest,
                _ => break,
            }
            after = Some(self.child(after, token));
            self.longest = self.longest.max(depth + 1);
        }
    }
}

/// Row 0 is the end of the prompt, row `n + 1` is node `n`.
fn row(node: Option<usize>) -> usize {
    node.map_or(0, |node| node + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> AnswerTree {
        let mut tree =
            AnswerTree { tokens: vec![], parents: vec![], answers: vec![], end_tokens: vec![9], wanted: vec![], longest: 0, listed: 0 };
        for (route, tokens) in [(Some(0), &[1, 2, 3][..]), (Some(1), &[1, 2]), (None, &[1, 4])] {
            let path = tree.add(tokens);
            tree.answers.push(Answer { route, path, fixed: Vec::new() });
        }
        tree.wanted = tree.needed();
        tree
    }

    /// Distributions over the tokens 0..10, all mass on the listed ones.
    fn rows(tree: &AnswerTree, mass: &[&[(u32, f64)]]) -> Vec<NextToken> {
        assert_eq!(mass.len(), tree.tokens().len() + 1);
        let row = |(mass, wanted): (&&[(u32, f64)], &Vec<u32>)| {
            let p = |token: u32| mass.iter().find(|(t, _)| *t == token).map_or(0.0, |(_, p)| *p);
            let best = mass.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
            NextToken { best, log_probs: wanted.iter().map(|&token| p(token).ln() as f32).collect() }
        };
        mass.iter().zip(tree.wanted()).map(row).collect()
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
        let next = rows(&tree, &[&[(1, 0.9), (5, 0.1)], &[(2, 0.6), (4, 0.4)], &[(9, 0.7), (3, 0.3)], &[(9, 1.0)], &[(9, 0.5), (7, 0.5)]]);
        let p: Vec<f64> = tree.score(&next).iter().map(|score| (score.p * 1e6).round() / 1e6).collect();
        assert_eq!(p, [0.162, 0.378, 0.18]);
        assert_eq!(tree.greedy(&next), Greedy::Proved(vec![1, 2]));
        let next = rows(&tree, &[&[(1, 0.9)], &[(2, 0.3), (4, 0.4)], &[(9, 1.0)], &[(9, 1.0)], &[(9, 0.4), (7, 0.5)]]);
        assert_eq!(tree.greedy(&next), Greedy::Leaves(vec![1, 4, 7]));
    }

    /// Cuts text into its characters, but for the pairs `",` and, where the first of these merges leaves it one, `,"`.
    fn tokenizer() -> RouterTokenizer {
        let pieces: Vec<String> = "{}[]:,\"\u{120}cdeortu".chars().map(String::from).chain(["\",", ",\""].map(str::to_owned)).collect();
        let vocab: serde_json::Map<String, serde_json::Value> =
            pieces.iter().cloned().zip((0..).map(|id: u32| serde_json::Value::from(id))).collect();
        let model = serde_json::json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": ["\" ,", ", \""],
        });
        let json = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null, "model": model,
        });
        RouterTokenizer::from_json("tokenizer.json", json.to_string().as_bytes(), pieces.len()).unwrap()
    }

    #[test]
    fn a_first_name_counts_however_a_longer_list_cuts_its_end_and_once() {
        const END: u32 = 99;
        let tokenizer = tokenizer();
        let id = |piece: &str| tokenizer.id(piece).unwrap();
        let new = |name: &str| AnswerTree::new(DialectId::Plano0420, &[name], &tokenizer, &[END]).unwrap();
        // `]}` of no route are the only nodes beside the answer's: a longer list goes the same way.
        assert_eq!(new("code").tokens().len(), "{\"route\":\u{120}[\"code\"]}".chars().count() + 2);

        // The answer ends with `,"` `]` `}`, a longer list goes on with `,` `",`: one node more.
        let tree = new("code,");
        let answer = tree.answers[0].path.clone();
        assert_eq!(tree.tokens().len(), answer.len() + 3);
        let e = answer[answer.len() - 4];
        let comma = (0..tree.tokens().len()).find(|&node| tree.parents()[node] == Some(e) && tree.tokens()[node] == id(",")).unwrap();
        let mut mass = vec![vec![(END, 1.0)]; tree.tokens().len() + 1];
        for &node in &answer {
            mass[row(tree.parents()[node])] = vec![(tree.tokens()[node], 1.0)];
        }
        mass[row(Some(e))] = vec![(id(",\""), 0.3), (id(","), 0.6), (id("d"), 0.1)];
        mass[row(Some(comma))] = vec![(id("\","), 0.5), (id("\""), 0.25), (id("c"), 0.25)];
        let mass: Vec<&[(u32, f64)]> = mass.iter().map(Vec::as_slice).collect();
        let scores = tree.score(&rows(&tree, &mass));
        assert_eq!(scores.iter().map(|score| score.route).collect::<Vec<_>>(), [Some(0), None]);
        assert!((scores[0].p - (0.3 + 0.6 * 0.75)).abs() < 1e-6 && scores[1].p == 0.0, "{scores:?}");
        assert!((scores[0].log_prob_end - 0.3_f64.ln()).abs() < 1e-6, "{scores:?}");
    }
}

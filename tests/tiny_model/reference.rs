//! What candle-transformers computes for the same weights, one answer after the other and one token after the other.

use std::collections::BTreeMap;

use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::quantized_qwen2::ModelWeights;
use candle_transformers::models::qwen2::{Config, Model};
use waypost::dialect::{DialectId, all_names_text, answer_text, first_name_prefix};
use waypost::engine::Scored;

use super::tokenizer::byte_char;
use super::{EPS, THETA, TinyModel, TinyTokenizer};

/// What one answer's score should be.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub log_prob: f64,
    pub log_prob_end: f64,
    pub p: f64,
}

/// Greedy decoding token by token.
#[derive(Debug)]
pub struct Written {
    pub tokens: Vec<u32>,
    pub ended: bool,
    /// Smallest distance between the best and the second best logit on the way: where it is tiny, rounding decides.
    pub closest: f64,
}

enum Network {
    F32 { model: Box<Model>, head: Tensor },
    Quantised(Box<ModelWeights>),
}

/// A network of candle-transformers with the tiny tokenizer.
pub struct Reference {
    network: Network,
    tokenizer: TinyTokenizer,
    ends: Vec<u32>,
}

impl Reference {
    /// Builds candle's `qwen2` on the same numbers.
    pub fn new(model: &TinyModel) -> Self {
        let (shape, tokenizer) = (model.shape, model.tokenizer.clone());
        let config = Config {
            vocab_size: tokenizer.vocab,
            hidden_size: shape.hidden,
            intermediate_size: shape.intermediate,
            num_hidden_layers: shape.layers,
            num_attention_heads: shape.heads,
            num_key_value_heads: shape.kv_heads,
            max_position_embeddings: shape.context,
            sliding_window: shape.context,
            max_window_layers: shape.layers,
            tie_word_embeddings: shape.tied,
            rope_theta: THETA,
            rms_norm_eps: EPS,
            use_sliding_window: false,
            hidden_act: candle_nn::Activation::Silu,
        };
        let tensors = model.tensors();
        let head = tensors.get("lm_head.weight").unwrap_or(&tensors["model.embed_tokens.weight"]).t().unwrap();
        let network = Model::new(&config, VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)).unwrap();
        Self { network: Network::F32 { model: Box::new(network), head }, tokenizer, ends: model.ends.clone() }
    }

    /// Builds candle's `quantized_qwen2` on the file of the network `held`.
    pub fn quantised(file: &[u8], held: &TinyModel) -> Self {
        let mut reader = std::io::Cursor::new(file);
        let content = Content::read(&mut reader).unwrap();
        let network = ModelWeights::from_gguf(content, &mut reader, &Device::Cpu).unwrap();
        Self { network: Network::Quantised(Box::new(network)), tokenizer: held.tokenizer.clone(), ends: held.ends.clone() }
    }

    /// Returns what the score of an answer should be: the answer written behind the prompt, computed from the start.
    pub fn answer(&mut self, prompt: &[u32], dialect: DialectId, name: Option<&str>) -> Expected {
        let answer = self.tokenizer.encode(&answer_text(dialect, name));
        let (steps, rows) = self.along(prompt, &answer);
        let log_prob: f64 = steps.iter().sum();
        let end: f64 = self.ends.iter().map(|&end| rows[answer.len()][end as usize].exp()).sum();
        let log_prob_end = log_prob + end.ln();
        let p = match name.and_then(|name| Some((first_name_prefix(dialect, name)?, all_names_text(dialect, &[name, name])?))) {
            Some((prefix, longer)) => {
                let longer = self.tokenizer.encode(&longer);
                let mut mass = self.mass(&prefix, &answer, &steps, &rows);
                let (steps, rows) = self.along(prompt, &longer);
                mass.extend(self.mass(&prefix, &longer, &steps, &rows));
                mass.values().sum::<f64>()
            }
            None => log_prob_end.exp(),
        };
        Expected { log_prob, log_prob_end, p }
    }

    /// Returns the log-probability of each token of an answer, and those of all tokens before the first, the second and so on.
    fn along(&mut self, prompt: &[u32], answer: &[u32]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let tokens: Vec<u32> = prompt.iter().chain(answer).copied().collect();
        let rows = self.rows(&tokens, prompt.len() - 1);
        let steps = answer.iter().zip(&rows).map(|(&token, row)| row[token as usize]).collect();
        (steps, rows)
    }

    /// Probability of writing `prefix` and anything after it: along the answer's tokens, every token that completes what is left. Each sum
    /// under the tokens before it, so that what two ways have in common counts once.
    fn mass(&self, prefix: &str, answer: &[u32], steps: &[f64], rows: &[Vec<f64>]) -> BTreeMap<Vec<u32>, f64> {
        let left: String = self.tokenizer.normalised(prefix).bytes().map(byte_char).collect();
        let mut left = left.as_str();
        let mut mass = BTreeMap::new();
        for (depth, &token) in answer.iter().enumerate() {
            let before = steps[..depth].iter().sum::<f64>().exp();
            let spelled = self.tokenizer.tokens.iter().enumerate();
            let completing = spelled.filter(|(_, token)| token.starts_with(left)).map(|(id, _)| before * rows[depth][id].exp());
            mass.insert(answer[..depth].to_vec(), completing.sum::<f64>());
            match left.strip_prefix(self.tokenizer.tokens[token as usize].as_str()) {
                Some(rest) if !rest.is_empty() => left = rest,
                _ => return mass,
            }
        }
        mass
    }

    /// Decodes greedily, up to `limit` tokens.
    pub fn greedy(&mut self, prompt: &[u32], limit: usize) -> Written {
        let mut written = Written { tokens: Vec::new(), ended: false, closest: f64::INFINITY };
        let mut row = self.step(prompt, 0);
        while written.tokens.len() < limit {
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a))).unwrap();
            let second = row.iter().enumerate().filter(|(token, _)| *token != best).map(|(_, p)| *p).fold(f64::NEG_INFINITY, f64::max);
            written.closest = written.closest.min(row[best] - second);
            if self.ends.contains(&(best as u32)) {
                written.ended = true;
                break;
            }
            written.tokens.push(best as u32);
            row = self.step(&[best as u32], prompt.len() + written.tokens.len() - 1);
        }
        written
    }

    /// Returns the log-probabilities after each token from position `from` on.
    fn rows(&mut self, tokens: &[u32], from: usize) -> Vec<Vec<f64>> {
        match &mut self.network {
            Network::F32 { model, head } => {
                model.clear_kv_cache();
                let hidden = model.forward(&ids(tokens), 0, None).unwrap().squeeze(0).unwrap();
                let logits = hidden.narrow(0, from, tokens.len() - from).unwrap().matmul(head).unwrap();
                logits.to_vec2::<f32>().unwrap().iter().map(|row| log_softmax(row)).collect()
            }
            // Gives the last position only: the prompt first, then token by token behind candle's own cache.
            Network::Quantised(_) => {
                let first = self.step(&tokens[..=from], 0);
                std::iter::once(first).chain((from + 1..tokens.len()).map(|at| self.step(&tokens[at..=at], at))).collect()
            }
        }
    }

    /// Returns the log-probabilities after `tokens`, which continue `past` tokens of candle's own cache.
    fn step(&mut self, tokens: &[u32], past: usize) -> Vec<f64> {
        match &mut self.network {
            Network::F32 { model, head } => {
                if past == 0 {
                    model.clear_kv_cache();
                }
                let hidden = model.forward(&ids(tokens), past, None).unwrap().squeeze(0).unwrap();
                let logits = hidden.narrow(0, tokens.len() - 1, 1).unwrap().matmul(head).unwrap();
                log_softmax(&logits.flatten_all().unwrap().to_vec1().unwrap())
            }
            Network::Quantised(network) => {
                log_softmax(&network.forward(&ids(tokens), past).unwrap().flatten_all().unwrap().to_vec1().unwrap())
            }
        }
    }

    /// Compares a score with what it should be, answer by answer and in its greedy text; returns the largest difference of a log-probability.
    pub fn check(&mut self, scored: &Scored, prompt: &[u32], dialect: DialectId, names: &[&str], tolerance: f64) -> f64 {
        assert!(scored.answers.last().is_some_and(|answer| answer.route.is_none()), "no route comes last: {:?}", scored.answers);
        let mut worst = 0.0_f64;
        for answer in &scored.answers {
            let name = answer.route.map(|route| names[route]);
            let expected = self.answer(prompt, dialect, name);
            for (ours, reference) in [(answer.log_prob, expected.log_prob), (answer.log_prob_end, expected.log_prob_end)] {
                worst = worst.max((ours - reference).abs());
            }
            assert!(
                worst <= tolerance && close(answer.p, expected.p, tolerance),
                "{dialect}, {name:?} of {names:?}: {answer:?} against {expected:?}, {worst:e} apart"
            );
        }
        // As many tokens as an answer may have, twice: in list dialects it may list every route.
        let listed = all_names_text(dialect, names).map_or(0, |text| self.tokenizer.encode(&text).len());
        let written = self.greedy(prompt, 64.max(2 * listed));
        // Where two tokens are as good as equal, either may be written.
        if written.closest > 2.0 * tolerance {
            assert_eq!(
                scored.greedy,
                self.tokenizer.decode(&written.tokens),
                "{dialect}, {names:?}: greedy text, proved {}",
                scored.proved
            );
            assert_eq!(scored.ended, written.ended, "{dialect}, {names:?}: end of the turn");
        }
        worst
    }
}

/// Whether two probabilities agree when their logarithms may differ by `tolerance`.
pub fn close(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.ln() - b.ln()).abs() <= tolerance
}

fn ids(tokens: &[u32]) -> Tensor {
    Tensor::new(tokens, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - max).exp()).sum();
    logits.iter().map(|&logit| f64::from(logit - max) - sum.ln()).collect()
}

//! A router that runs here: tokenizer, chat template, network and prefix cache, deciding one conversation at a time.

use std::time::{Duration, Instant};

use super::answer_tree::{AnswerScore, AnswerTree, Greedy};
use super::attention::{Plan, Sequence};
use super::chat_template::ChatTemplate;
use super::network::{KvBuffer, Network};
use super::prefix_cache::PrefixCache;
use super::protocol::{CacheStats, CancelToken, Progress, RouteRequest, RouterDescription};
use super::tokenizer::RouterTokenizer;
use super::worker::{OnProgress, Router};
use super::{EngineError, calibration, order_test};
use crate::decision::{Decision, Latency, Outcome, RouteProbability, TokenCounts};
use crate::dialect::{parse_answer, render};
use crate::policy::{DialectId, NO_ROUTE_LABEL, Route};

/// Tokens computed in one go: bounds the memory of a pass over a long prompt, at no cost in speed.
const CHUNK: usize = 1024;

/// Tokens after which a router that keeps writing is stopped: several times any valid answer.
pub const MAX_DECODED: usize = 64;

/// Keys and values kept of earlier prompts, in bytes.
pub(super) const CACHE_BUDGET: u64 = 512 << 20;

/// A loaded router with its caches.
pub struct LocalRouter {
    network: Network,
    tokenizer: RouterTokenizer,
    template: ChatTemplate,
    description: RouterDescription,
    end_tokens: Vec<u32>,
    cache: PrefixCache,
    max_decoded: usize,
    temperature: f64,
}

/// One scored prompt.
#[derive(Clone, Debug)]
pub struct Scored {
    pub answers: Vec<AnswerScore>,
    /// Text of greedy decoding, the end of turn left out.
    pub greedy: String,
    /// Whether the turn ended; `false` after [`MAX_DECODED`] tokens without an end.
    pub ended: bool,
    /// Whether the pass over prompt and tree already proved the text.
    pub proved: bool,
    pub tokens: TokenCounts,
    pub tokenize: Duration,
    pub forward: Duration,
    pub decode: Duration,
}

impl LocalRouter {
    /// Puts the parts of a router together; `end_tokens` must not be empty.
    pub fn new(
        network: Network,
        tokenizer: RouterTokenizer,
        template: ChatTemplate,
        description: RouterDescription,
        end_tokens: Vec<u32>,
    ) -> Self {
        let cache = PrefixCache::new(CACHE_BUDGET, network.kv_bytes_per_token());
        Self { network, tokenizer, template, description, end_tokens, cache, max_decoded: MAX_DECODED, temperature: 1.0 }
    }

    /// Shows probabilities at this temperature from now on; decisions stay as they are.
    #[must_use]
    pub fn with_temperature(self, temperature: f64) -> Self {
        Self { temperature, ..self }
    }

    /// Keeps at most `bytes` of keys and values from now on; 0 switches the prefix cache off.
    pub fn set_cache_budget(&mut self, bytes: u64) {
        self.cache = PrefixCache::new(bytes, self.network.kv_bytes_per_token());
    }

    /// Stops a router that keeps writing after this many tokens instead of [`MAX_DECODED`]: for measurements that need the scores alone.
    pub fn set_max_decoded(&mut self, tokens: usize) {
        self.max_decoded = tokens;
    }

    /// Forgets all cached keys and values, so that the next decision is a cold one.
    pub fn clear_cache(&mut self) {
        self.cache.shrink(0);
    }

    /// Returns the token ids of the chat-templated user message.
    ///
    /// # Errors
    /// Fails when the template or the tokenizer does.
    pub fn prompt_tokens(&self, user_message: &str) -> Result<Vec<u32>, EngineError> {
        self.tokenizer.encode(&self.template.wrap(user_message)?)
    }

    /// Scores all valid answers to a user message and finds what greedy decoding writes.
    ///
    /// # Errors
    /// Fails when the prompt is longer than the router can read, on cancellation, and where the device does.
    pub fn score(&mut self, dialect: DialectId, names: &[&str], user_message: &str, cancel: &CancelToken) -> Result<Scored, EngineError> {
        // Inside the pool the many short products of a pass are split without waking and blocking threads around each of them.
        rayon::scope(|_| self.score_in_pool(dialect, names, user_message, cancel))
    }

    fn score_in_pool(
        &mut self,
        dialect: DialectId,
        names: &[&str],
        user_message: &str,
        cancel: &CancelToken,
    ) -> Result<Scored, EngineError> {
        let start = Instant::now();
        let prompt = self.prompt_tokens(user_message)?;
        if prompt.is_empty() {
            let id = &self.description.info.id;
            return Err(EngineError::router(format!(
                "{id}: the chat template gives an empty prompt; use another conversion of the router"
            )));
        }
        let tree = AnswerTree::new(dialect, names, &self.tokenizer, &self.end_tokens)?;
        let tokenize = start.elapsed();
        let context = self.network.config.context;
        let longest = prompt.len() + tree.longest() + 1;
        if longest > context {
            return Err(EngineError::request(format!(
                "the prompt has {} tokens and an answer up to {}, but this router reads {context}; shorten the conversation or the descriptions, or set a smaller budget",
                prompt.len(),
                tree.longest() + 1
            )));
        }
        let start = Instant::now();
        let decoded = self.max_decoded.min(context - prompt.len());
        let mut kv = self.network.kv_buffer(prompt.len() + tree.tokens().len().max(decoded))?;
        let cached = self.cache.fill(&prompt, &mut kv)?;
        let wanted = tree.wanted();
        let mut done = cached;
        while prompt.len() - done > CHUNK {
            self.network.forward(&prompt[done..done + CHUNK], &Plan::chain(done, CHUNK), &mut kv, cancel)?;
            done += CHUNK;
        }
        let chain = prompt.len() - done;
        let plan = Plan { past: done, sequences: vec![Sequence { chain, tree: tree.parents().to_vec() }] };
        let tokens: Vec<u32> = prompt[done..].iter().chain(tree.tokens()).copied().collect();
        let hidden = self.network.forward(&tokens, &plan, &mut kv, cancel)?;
        let rows: Vec<usize> = (chain - 1..chain + tree.tokens().len()).collect();
        let next = self.network.next_tokens(&hidden, &rows, &wanted)?;
        let answers = tree.score(&wanted, &next);
        if answers.iter().any(|answer| answer.p.is_nan()) {
            let id = &self.description.info.id;
            return Err(EngineError::router(format!("{id}: the weights are damaged, the network computes no numbers; download it again")));
        }
        kv.len = prompt.len();
        self.cache.insert(&prompt, &kv)?;
        let forward = start.elapsed();

        let start = Instant::now();
        let proved = tree.greedy(&next);
        let (greedy, ended, proved, steps) = match proved {
            Greedy::Proved(tokens) => (tokens, true, true, 0),
            Greedy::Leaves(tokens) => {
                let written = self.decode(tokens, decoded, &mut kv, cancel)?;
                (written.tokens, written.ended, false, written.computed)
            }
        };
        let decode = if proved { Duration::ZERO } else { start.elapsed() };
        let tokens = TokenCounts { prompt: prompt.len(), cached, computed: prompt.len() - cached + tree.tokens().len() + steps };
        Ok(Scored { answers, greedy: self.tokenizer.decode(&greedy)?, ended, proved, tokens, tokenize, forward, decode })
    }

    /// Decodes greedily after `written`, which continues the rows of `kv`, up to `limit` tokens in all.
    fn decode(&self, mut written: Vec<u32>, limit: usize, kv: &mut KvBuffer, cancel: &CancelToken) -> Result<Decoded, EngineError> {
        let (mut fresh, mut computed) = (written.clone(), 0);
        while written.len() < limit {
            let hidden = self.network.forward(&fresh, &Plan::chain(kv.len, fresh.len()), kv, cancel)?;
            computed += fresh.len();
            let next = self.network.next_tokens(&hidden, &[fresh.len() - 1], &[Vec::new()])?;
            let Some(best) = next.first().map(|next| next.best) else { break };
            if self.end_tokens.contains(&best) {
                return Ok(Decoded { tokens: written, ended: true, computed });
            }
            written.push(best);
            fresh = vec![best];
        }
        Ok(Decoded { tokens: written, ended: false, computed })
    }

    /// Decides with the routes in the given order.
    fn decide_order(&mut self, request: &RouteRequest, routes: &[&Route], cancel: &CancelToken) -> Result<Decision, EngineError> {
        let start = Instant::now();
        let rendered = render(request.dialect, routes, &request.conversation, request.budget);
        let render = start.elapsed();
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        let scored = self.score(request.dialect, &names, &rendered.text, cancel)?;

        let mut probabilities: Vec<RouteProbability> = scored
            .answers
            .iter()
            .map(|answer| RouteProbability { route: answer.route.map_or(NO_ROUTE_LABEL, |route| names[route]).to_owned(), p: answer.p })
            .collect();
        probabilities.sort_by(|a, b| b.p.total_cmp(&a.p));
        let mut invalid_mass = (1.0 - probabilities.iter().map(|route| route.p).sum::<f64>()).max(0.0);
        calibration::apply(self.temperature, &mut probabilities, &mut invalid_mass);
        let margin = probabilities.first().map_or(0.0, |best| best.p) - probabilities.get(1).map_or(0.0, |second| second.p);
        let (outcome, route, error) = if scored.ended {
            match parse_answer(request.dialect, &names, &scored.greedy) {
                Ok(Some(route)) => (Outcome::Route, Some(route), None),
                Ok(None) => (Outcome::NoRoute, None, None),
                Err(error) => (Outcome::Error, None, Some(error.to_string())),
            }
        } else {
            let error = format!(
                "the router had not ended its turn after {} tokens; the gateway would wait for the rest and most likely fail to read it",
                self.max_decoded
            );
            (Outcome::Error, None, Some(error))
        };
        let model = match outcome {
            Outcome::Error => None,
            _ => request.policy.model_for(route.as_deref()).map(str::to_owned),
        };
        Ok(Decision {
            outcome,
            route,
            model,
            answer: scored.greedy,
            error,
            greedy_proved: scored.proved,
            probabilities,
            margin,
            invalid_mass,
            tokens: scored.tokens,
            latency_ms: Latency {
                render: millis(render),
                tokenize: millis(scored.tokenize),
                forward: millis(scored.forward),
                decode: millis(scored.decode),
                total: millis(start.elapsed()),
            },
            dialect: request.dialect,
            router: self.description.info.clone(),
            order_stability: None,
        })
    }
}

struct Decoded {
    tokens: Vec<u32>,
    ended: bool,
    computed: usize,
}

impl Router for LocalRouter {
    fn description(&self) -> RouterDescription {
        self.description.clone()
    }

    fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError> {
        let routes: Vec<&Route> = request.policy.routes.iter().collect();
        let mut decision = self.decide_order(request, &routes, cancel)?;
        if request.orders > 0 {
            let mut others = Vec::with_capacity(request.orders);
            for (done, order) in order_test::permutations(routes.len(), request.orders, request.seed).enumerate() {
                cancel.check()?;
                progress(Progress { stage: "Trying other orders of the routes", done: done as u64, total: Some(request.orders as u64) });
                let shuffled: Vec<&Route> = order.into_iter().map(|index| routes[index]).collect();
                others.push(self.decide_order(request, &shuffled, cancel)?);
            }
            decision.order_stability = Some(order_test::summarise(&decision, &others));
        }
        Ok(decision)
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

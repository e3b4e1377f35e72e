//! A router that runs here: tokenizer, chat template, network and caches, deciding one conversation or many.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_tree::{AnswerScore, AnswerTree};
use super::asking::{Ask, asks};
use super::chat_template::ChatTemplate;
use super::network::{KvBuffer, Network};
use super::prefix_cache::PrefixCache;
use super::prompts::{Prepared, PromptMaker};
use super::protocol::{CacheStats, CancelToken, Progress, RouteRequest, RouterDescription};
use super::scoring::{Answered, Batch, Question, Scorer};
use super::tokenizer::RouterTokenizer;
use super::verdict::{self, Timed};
use super::worker::{OnDecided, OnProgress, Requests, Router};
use super::{EngineError, device, machine, order_test, pressure};
use crate::decision::{Decision, TokenCounts};
use crate::dialect::render;
use crate::policy::{DialectId, Route};

/// Tokens after which a router that keeps writing is stopped, where no valid answer, and no list of all routes, is so long that it takes more.
pub const MAX_DECODED: usize = 64;

/// Keys and values kept of earlier prompts, in bytes.
pub(super) const CACHE_BUDGET: u64 = 512 << 20;

/// Prompts that are rendered and tokenised at a time, on all threads.
const AHEAD: usize = 4;

/// Prompts that are made while a GPU computes those before them. Whoever asks for a single decision meanwhile waits for these and for the batch that
/// is being computed.
const AHEAD_ON_GPU: usize = 16;

/// Prompts of one batch, of which those that cannot be decided cost nothing and would never fill it.
const PROMPTS: usize = 256;

/// Answer trees that are kept: policies and orders of their routes.
const TREES: usize = 64;

/// A loaded router with its caches.
pub struct LocalRouter {
    network: Network,
    prompts: Arc<PromptMaker>,
    description: RouterDescription,
    end_tokens: Vec<u32>,
    cache: PrefixCache,
    /// What the cache may take where there is memory enough.
    cache_budget: u64,
    available_memory: Box<dyn Fn() -> u64 + Send + Sync>,
    kept: Option<KvBuffer>,
    trees: HashMap<(DialectId, Vec<String>), Arc<AnswerTree>>,
    pass: usize,
    max_decoded: Option<usize>,
}

/// One scored prompt.
#[derive(Clone, Debug)]
pub struct Scored {
    pub answers: Vec<AnswerScore>,
    /// Text of greedy decoding, the end of turn left out.
    pub greedy: String,
    /// Whether the turn ended before decoding was stopped, see [`MAX_DECODED`].
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
        let pass = network.pass();
        let cache = PrefixCache::new(CACHE_BUDGET, network.kv_bytes_per_token());
        Self {
            network,
            prompts: Arc::new(PromptMaker { template, tokenizer }),
            description,
            end_tokens,
            cache,
            cache_budget: CACHE_BUDGET,
            available_memory: Box::new(|| machine::memory().available),
            kept: None,
            trees: HashMap::new(),
            pass,
            max_decoded: None,
        }
    }

    /// Keeps at most `bytes` of keys and values from now on, less where memory gets scarce; 0 switches the prefix cache off.
    pub fn set_cache_budget(&mut self, bytes: u64) {
        self.cache_budget = bytes;
        self.cache.set_budget(bytes);
    }

    /// Asks this instead of the system how many bytes of memory are available: for tests.
    pub fn set_available_memory(&mut self, available: impl Fn() -> u64 + Send + Sync + 'static) {
        self.available_memory = Box::new(available);
    }

    /// Lets the cache give way where memory gets scarce, and grow again where it does not.
    fn make_room(&mut self) {
        if !self.network.is_in_main_memory() {
            // A card that is full says so, and then [`Self::answer`] gives way.
            return;
        }
        let budget = pressure::budget(self.cache_budget, self.cache.stats().bytes, (self.available_memory)());
        self.cache.set_budget(budget);
        if budget < self.cache_budget {
            self.kept = None;
        }
    }

    /// Computes about this many tokens in one pass from now on, at least one.
    pub fn set_pass(&mut self, tokens: usize) {
        self.pass = tokens.max(1);
    }

    /// Stops a router that keeps writing after this many tokens instead of [`MAX_DECODED`]: for measurements that need the scores alone.
    pub fn set_max_decoded(&mut self, tokens: usize) {
        self.max_decoded = Some(tokens);
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
        self.prompts.tokens(user_message)
    }

    /// Scores all valid answers to a user message and finds what greedy decoding writes.
    ///
    /// # Errors
    /// Fails when the prompt is longer than the router can read, on cancellation, and where the device does.
    pub fn score(&mut self, dialect: DialectId, names: &[&str], user_message: &str, cancel: &CancelToken) -> Result<Scored, EngineError> {
        let start = Instant::now();
        let prompt = self.prompt_tokens(user_message)?;
        let question = self.question(dialect, names, prompt)?;
        let (length, tokenize) = (question.prompt.len(), start.elapsed());
        let mut batch = Batch::new();
        batch.add(question, None, &mut self.cache);
        let answered = self.scorer(cancel).answer(&batch)?;
        let Some(answered) = answered.into_iter().next() else { return Err(no_answer()) };
        Ok(Scored {
            greedy: self.prompts.tokenizer.decode(&answered.greedy)?,
            ended: answered.ended,
            proved: answered.proved,
            tokens: TokenCounts { prompt: length, cached: answered.cached, computed: answered.computed },
            tokenize,
            forward: answered.forward,
            decode: answered.decode,
            answers: answered.answers,
        })
    }

    fn scorer<'a>(&'a mut self, cancel: &'a CancelToken) -> Scorer<'a> {
        Scorer {
            network: &self.network,
            cache: &mut self.cache,
            kept: &mut self.kept,
            end_tokens: &self.end_tokens,
            pass: self.pass,
            limit: self.max_decoded,
            info: &self.description.info,
            cancel,
        }
    }

    /// Puts a prompt and its answers together.
    fn question(&mut self, dialect: DialectId, names: &[&str], prompt: Vec<u32>) -> Result<Question, EngineError> {
        if prompt.is_empty() {
            let id = &self.description.info.id;
            return Err(EngineError::router(format!(
                "{id}: the chat template gives an empty prompt; use another conversion of the router"
            )));
        }
        let tree = self.tree(dialect, names)?;
        let (length, context, answer) = (prompt.len(), self.network.config.context, tree.longest() + 1);
        if length + answer > context {
            return Err(EngineError::request(format!(
                "the prompt has {length} tokens and an answer up to {answer}, but this router reads {context}; shorten the conversation or the descriptions"
            )));
        }
        Ok(Question { prompt, tree })
    }

    fn tree(&mut self, dialect: DialectId, names: &[&str]) -> Result<Arc<AnswerTree>, EngineError> {
        let key = (dialect, names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        if let Some(tree) = self.trees.get(&key) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(AnswerTree::new(dialect, names, &self.prompts.tokenizer, &self.end_tokens)?);
        if self.trees.len() >= TREES {
            self.trees.clear();
        }
        self.trees.insert(key, Arc::clone(&tree));
        Ok(tree)
    }

    /// Decides many requests in batches; `answered` hears how many prompts of the present request are answered.
    fn decide_in_batches(
        &mut self,
        requests: Requests<'_>,
        done: OnDecided<'_>,
        answered: &mut dyn FnMut(usize),
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let mut asks = asks(requests);
        let mut ready = VecDeque::new();
        let mut before: Option<Vec<u32>> = None;
        let mut decided: Result<Vec<Decision>, EngineError> = Ok(Vec::new());
        loop {
            cancel.check()?;
            self.make_room();
            let (mut batch, mut waiting, mut fatal) = (Batch::new(), Vec::new(), None);
            while !batch.is_full(self.pass) && waiting.len() < PROMPTS {
                if ready.is_empty() {
                    ready = self.prompts.prepare(asks.by_ref().take(AHEAD).collect());
                }
                let Some(Prepared { ask, prompt, render, tokenize }) = ready.pop_front() else { break };
                let start = Instant::now();
                let question = prompt.and_then(|prompt| self.question(ask.request.dialect, &ask.names(), prompt));
                // The answers of a new policy are tokenised as well.
                let tokenize = tokenize + start.elapsed();
                match question {
                    Ok(question) => {
                        waiting.push((ask, Ok(Timed { length: question.prompt.len(), render, tokenize })));
                        let prompt = question.prompt.clone();
                        batch.add(question, before.as_deref(), &mut self.cache);
                        before = Some(prompt);
                    }
                    // The router itself fails: what was asked before is still answered.
                    Err(error @ EngineError::Router(_)) => {
                        fatal = Some(error);
                        break;
                    }
                    Err(error) => waiting.push((ask, Err(error))),
                }
            }
            if waiting.is_empty() {
                return fatal.map_or(Ok(()), Err);
            }
            let results = if self.network.is_on_own_code() || fatal.is_some() {
                self.answer(batch, cancel)
            } else {
                // While a GPU computes, the processor has time for the prompts after these.
                let following = asks.by_ref().take(AHEAD_ON_GPU.saturating_sub(ready.len())).collect();
                let prompts = Arc::clone(&self.prompts);
                let (results, following) = rayon::join(|| self.answer(batch, cancel), || prompts.prepare(following));
                ready.extend(following);
                results
            };
            let mut results = results?.into_iter();
            for (ask, timed) in waiting {
                let decision = timed.and_then(|timed| {
                    let result = results.next().unwrap_or_else(|| Err(no_answer()))?;
                    self.decision(&ask, &timed, result)
                });
                if let Ok(so_far) = &mut decided {
                    match decision {
                        Ok(decision) => so_far.push(decision),
                        Err(error) => decided = Err(error),
                    }
                }
                answered(ask.order + 1);
                if ask.is_last {
                    let decisions = std::mem::replace(&mut decided, Ok(Vec::new()));
                    done(ask.index, decisions.and_then(|decisions| with_orders(decisions, ask.request.orders > 0)));
                }
            }
            if let Some(error) = fatal {
                return Err(error);
            }
        }
    }

    /// Answers a batch; where the device fails at the whole, one question after the other.
    fn answer(&mut self, batch: Batch, cancel: &CancelToken) -> Result<Vec<Result<Answered, EngineError>>, EngineError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        match self.scorer(cancel).answer(&batch) {
            Ok(answered) => return Ok(answered.into_iter().map(Ok).collect()),
            Err(error @ (EngineError::Cancelled | EngineError::Router(_))) => return Err(error),
            Err(_) => {}
        }
        // What a device has too little memory for may find room without what is only kept.
        self.cache.shrink(0);
        self.kept = None;
        if !self.network.is_in_main_memory() {
            self.pass = (self.pass / 2).max(64);
        }
        let device = self.description.info.device.clone();
        let mut results = Vec::new();
        for question in batch.into_questions() {
            let mut alone = Batch::new();
            alone.add(question, None, &mut self.cache);
            match self.scorer(cancel).answer(&alone) {
                Err(error @ (EngineError::Cancelled | EngineError::Router(_))) => return Err(error),
                result => results.extend(match result {
                    Ok(answered) => answered.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(device::failure(&device, error))],
                }),
            }
        }
        Ok(results)
    }

    fn decision(&self, ask: &Ask, timed: &Timed, answered: Answered) -> Result<Decision, EngineError> {
        let greedy = self.prompts.tokenizer.decode(&answered.greedy)?;
        Ok(verdict::decision(ask, timed, answered, greedy, self.description.info.clone()))
    }
}

/// Makes one decision of those under the policy's own order and, where an order test was asked for, under all others that there are to try.
fn with_orders(mut decisions: Vec<Decision>, is_tested: bool) -> Result<Decision, EngineError> {
    if decisions.is_empty() {
        return Err(no_answer());
    }
    let others = decisions.split_off(1);
    let mut own = decisions.swap_remove(0);
    own.order_stability = is_tested.then(|| order_test::summarise(&own, &others));
    Ok(own)
}

fn no_answer() -> EngineError {
    EngineError::Internal("a prompt was left without an answer".to_owned())
}

impl Router for LocalRouter {
    fn description(&self) -> RouterDescription {
        self.description.clone()
    }

    fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    fn count(&mut self, request: &RouteRequest) -> Result<Option<usize>, EngineError> {
        let routes: Vec<&Route> = request.policy.routes.iter().collect();
        let message = render(request.dialect, &routes, &request.conversation, request.budget).text;
        self.prompt_tokens(&message).map(|tokens| Some(tokens.len()))
    }

    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError> {
        let (mut decided, total) = (None, order_test::tried(request.policy.routes.len(), request.orders) as u64);
        let mut answered = |prompts: usize| {
            if total > 0 {
                progress(Progress { stage: "Trying other orders of the routes", done: prompts as u64 - 1, total: Some(total) });
            }
        };
        let mut done = |_, result| decided = Some(result);
        self.decide_in_batches(&mut std::iter::once(request.clone()), &mut done, &mut answered, cancel)?;
        decided.unwrap_or_else(|| Err(no_answer()))
    }

    fn decide_all(&mut self, requests: Requests<'_>, done: OnDecided<'_>, cancel: &CancelToken) -> Result<(), EngineError> {
        self.decide_in_batches(requests, done, &mut |_| {}, cancel)
    }
}

//! From prompts to scores: one pack of work over the network, and decoding of what the passes did not prove.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer_tree::{AnswerScore, AnswerTree, Greedy};
use super::attention::{Plan, Sequence};
use super::head::NextToken;
use super::network::{KvBuffer, Network};
use super::pack::{NewToken, Pack};
use super::prefix_cache::PrefixCache;
use super::protocol::CancelToken;
use super::{EngineError, MAX_DECODED, device};
use crate::decision::RouterInfo;

/// Keys and values that are kept from one pack to the next instead of asking for memory again.
const KEPT: u64 = 256 << 20;

/// No list of routes is waited for longer than this many tokens, some fifty names: a router that never ends would cost minutes.
const LONGEST_LIST: usize = 512;

/// One prompt, and the answers that are valid for it.
pub struct Question {
    pub prompt: Vec<u32>,
    pub tree: Arc<AnswerTree>,
}

/// What came of one question.
pub struct Answered {
    pub answers: Vec<AnswerScore>,
    /// Tokens of greedy decoding, the end of turn left out.
    pub greedy: Vec<u32>,
    /// Whether the turn ended within `limit` tokens.
    pub ended: bool,
    /// Whether the pass over prompt and tree already proved the text.
    pub proved: bool,
    /// Tokens after which a router that keeps writing is stopped.
    pub limit: usize,
    /// Prompt tokens that were cached, or computed for an earlier question of the same pack.
    pub cached: usize,
    /// Tokens computed on this question's account: the rest of the prompt, the tree, what was decoded.
    pub computed: usize,
    /// This question's share of the time of the passes, by the tokens computed on its account.
    pub forward: Duration,
    /// The same for decoding.
    pub decode: Duration,
}

/// Questions to answer together.
pub struct Batch {
    questions: Vec<Question>,
    pack: Pack,
    /// Of each question, the prompt tokens computed on its account.
    fresh: Vec<usize>,
    /// Of each question, the prompt tokens whose keys and values are cached afterwards.
    kept: Vec<usize>,
}

impl Batch {
    /// Returns a batch without questions.
    pub fn new() -> Self {
        Self { questions: Vec::new(), pack: Pack::new(), fresh: Vec::new(), kept: Vec::new() }
    }

    /// Adds a question, whose prompt must not be empty. `before` is the prompt asked before it, where many are asked: what both end with is
    /// the instruction after the conversation, which no other prompt can take from the cache.
    pub fn add(&mut self, question: Question, before: Option<&[u32]>, cache: &mut PrefixCache) {
        let cached = cache.find(&question.prompt);
        let ends = before.map(|before| before.iter().rev().zip(question.prompt.iter().rev()).take_while(|(a, b)| a == b).count());
        self.kept.push(question.prompt.len() - ends.unwrap_or(0));
        let fresh = self.pack.add(&question.prompt, cached, question.tree.parents());
        cache.count(question.prompt.len() - fresh, fresh);
        self.fresh.push(fresh);
        self.questions.push(question);
    }

    /// Returns whether the work fills a pass of `most` new tokens, or the keys and values of what is cached take too much room.
    pub fn is_full(&self, most: usize) -> bool {
        self.pack.computed() >= most || self.pack.rows() >= 4 * most
    }

    /// Returns the questions, in the order they were added.
    pub fn into_questions(self) -> Vec<Question> {
        self.questions
    }

    /// Returns whether there are no questions.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }
}

/// What answering needs of a router.
pub struct Scorer<'a> {
    pub network: &'a Network,
    pub cache: &'a mut PrefixCache,
    /// Room for keys and values, kept between packs.
    pub kept: &'a mut Option<KvBuffer>,
    pub end_tokens: &'a [u32],
    /// New tokens of one pass.
    pub pass: usize,
    /// A limit of decoding instead of the one that follows the answers.
    pub limit: Option<usize>,
    /// For messages.
    pub info: &'a RouterInfo,
    pub cancel: &'a CancelToken,
}

impl Scorer<'_> {
    /// Answers all questions of a batch.
    ///
    /// # Errors
    /// Fails on cancellation, on weights that compute no numbers, and where the device does.
    pub fn answer(&mut self, batch: &Batch) -> Result<Vec<Answered>, EngineError> {
        // Inside the pool the many short products of a pass are split without waking and blocking threads around each of them.
        rayon::scope(|_| {
            let mut kv = self.kept.take().unwrap_or_default();
            let answered = self.answer_in_pool(batch, &mut kv);
            if (kv.capacity() * self.network.kv_bytes_per_token()) as u64 <= KEPT {
                *self.kept = Some(kv);
            }
            answered
        })
    }

    fn answer_in_pool(&mut self, batch: &Batch, kv: &mut KvBuffer) -> Result<Vec<Answered>, EngineError> {
        let start = Instant::now();
        let Batch { questions, pack, fresh, kept } = batch;
        let longest = questions.iter().map(|question| question.prompt.len() + question.tree.tokens().len()).max().unwrap_or(0);
        let layout = pack.layout(self.pass.min(self.network.most_at_once(longest)));
        kv.len = 0;
        self.network.reserve(kv, layout.len)?;
        for rows in &layout.cached {
            self.cache.copy(&questions[rows.prompt].prompt, rows.tokens.clone(), kv, rows.row)?;
        }
        let mut next: Vec<Vec<NextToken>> =
            questions.iter().map(|question| vec![NextToken::default(); question.tree.tokens().len() + 1]).collect();
        for pass in &layout.passes {
            let token = |token: &NewToken| match *token {
                NewToken::Prompt(token) => token,
                NewToken::Node { prompt, node } => questions[prompt].tree.tokens()[node],
            };
            let tokens: Vec<u32> = pass.tokens.iter().map(token).collect();
            let hidden = self.network.forward(&tokens, &pass.plan, kv, self.cancel)?;
            let rows: Vec<usize> = pass.places.iter().map(|place| place.row).collect();
            let wanted: Vec<&[u32]> =
                pass.places.iter().map(|place| questions[place.prompt].tree.wanted()[place.node].as_slice()).collect();
            for (place, found) in pass.places.iter().zip(self.network.next_tokens(&hidden, &rows, &wanted)?) {
                next[place.prompt][place.node] = found;
            }
        }
        let answers: Vec<Vec<AnswerScore>> = questions.iter().zip(&next).map(|(question, next)| question.tree.score(next)).collect();
        if answers.iter().flatten().any(|answer| answer.p.is_nan()) {
            return Err(device::no_numbers(&self.info.id, &self.info.device));
        }
        for ((question, rows), &kept) in questions.iter().zip(&layout.rows).zip(kept) {
            if let Err(error) = self.cache.insert(&question.prompt[..kept], rows, kv) {
                if self.network.is_in_main_memory() {
                    return Err(error.into());
                }
                // What is decided stays decided, and the cache grows no more to where the card is full.
                let half = self.cache.stats().bytes / 2;
                self.cache.set_budget(half);
                break;
            }
        }
        let forward = start.elapsed();

        let mut answered = Vec::with_capacity(questions.len());
        let mut open = Vec::new();
        for (index, (question, answers)) in questions.iter().zip(answers).enumerate() {
            let limit = self.limit_for(question);
            let (greedy, proved) = match question.tree.greedy(&next[index]) {
                Greedy::Proved(tokens) => (tokens, true),
                Greedy::Leaves(tokens) => {
                    open.push(Writing { question: index, context: layout.rows[index].clone(), fresh: tokens.clone(), limit });
                    (tokens, false)
                }
            };
            answered.push(Answered {
                answers,
                greedy,
                ended: proved,
                proved,
                limit,
                cached: question.prompt.len() - fresh[index],
                computed: fresh[index] + question.tree.tokens().len(),
                forward: Duration::ZERO,
                decode: Duration::ZERO,
            });
        }
        let whole: usize = answered.iter().map(|answered| answered.computed).sum();
        for answered in &mut answered {
            answered.forward = share(forward, answered.computed, whole);
        }
        self.decode(open, &mut answered, kv)?;
        Ok(answered)
    }

    fn limit_for(&self, question: &Question) -> usize {
        // The same text may be written in more and smaller tokens than the tokenizer's own.
        let list = (2 * question.tree.listed()).min(LONGEST_LIST);
        let limit = self.limit.unwrap_or_else(|| MAX_DECODED.max(2 * question.tree.longest()).max(list));
        limit.min(self.network.config.context - question.prompt.len())
    }

    /// Decodes greedily what left the trees, a token of each in one pass.
    fn decode(&self, mut open: Vec<Writing>, answered: &mut [Answered], kv: &mut KvBuffer) -> Result<(), EngineError> {
        let start = Instant::now();
        let mut steps = vec![0; answered.len()];
        self.network.reserve(kv, kv.len + open.iter().map(|writing| writing.limit).sum::<usize>())?;
        loop {
            open.retain(|writing| answered[writing.question].greedy.len() < writing.limit);
            if open.is_empty() {
                break;
            }
            let sequence = |writing: &Writing| Sequence { context: writing.context.clone(), chain: writing.fresh.len(), tree: Vec::new() };
            let plan = Plan { past: kv.len, sequences: open.iter().map(sequence).collect() };
            let tokens: Vec<u32> = open.iter().flat_map(|writing| writing.fresh.iter().copied()).collect();
            let hidden = self.network.forward(&tokens, &plan, kv, self.cancel)?;
            let (mut row, mut last) = (plan.past, Vec::with_capacity(open.len()));
            for writing in &mut open {
                let rows = row..row + writing.fresh.len();
                row = rows.end;
                last.push(rows.end - 1 - plan.past);
                steps[writing.question] += rows.len();
                writing.context.push(rows);
            }
            let next = self.network.next_tokens(&hidden, &last, &vec![&[][..]; open.len()])?;
            let mut next = next.iter();
            open.retain_mut(|writing| {
                let Some(best) = next.next().map(|next| next.best) else { return false };
                let answered = &mut answered[writing.question];
                answered.ended = self.end_tokens.contains(&best);
                if !answered.ended {
                    answered.greedy.push(best);
                    writing.fresh = vec![best];
                }
                !answered.ended
            });
        }
        let (time, whole) = (start.elapsed(), steps.iter().sum());
        for (answered, steps) in answered.iter_mut().zip(steps) {
            answered.computed += steps;
            answered.decode = share(time, steps, whole);
        }
        Ok(())
    }
}

/// An answer that is being decoded.
struct Writing {
    question: usize,
    /// Rows of everything before the tokens in `fresh`.
    context: Vec<Range<usize>>,
    fresh: Vec<u32>,
    limit: usize,
}

/// Returns the share of `part` in `whole` of a time.
fn share(time: Duration, part: usize, whole: usize) -> Duration {
    if whole == 0 { Duration::ZERO } else { time.mul_f64(part as f64 / whole as f64) }
}

//! A run: what measuring one policy with one router on one labelled set gave, case by case.
//!
//! Plain data that never changes once it is made. All figures are computed from it, so a run that is read back shows what it showed before.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Judged;
use crate::decision::{Decision, OrderStability, Outcome, RouterInfo, TokenCounts};
use crate::policy::{DialectId, Policy};

/// A file that was measured with, and its contents' SHA-256 in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub path: String,
    pub sha256: String,
}

/// Lines of a set that are in no figure, since they could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub count: usize,
    /// What is wrong with the first of them, with their place in the file.
    pub reasons: Vec<String>,
}

impl LeftOut {
    /// A file of another kind has a bad line for each of its lines.
    const REASONS: usize = 100;

    /// Counts them all and keeps the first reasons.
    pub fn new(reasons: impl ExactSizeIterator<Item = String>) -> Self {
        Self { count: reasons.len(), reasons: reasons.take(Self::REASONS).collect() }
    }
}

/// What was measured, with what, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// For people; the policy's name until somebody gives another.
    pub name: String,
    /// Start, ISO 8601 in UTC.
    pub date: String,
    /// The version of Waypost that measured.
    pub waypost: String,
    pub policy: Source,
    /// Of what the policy says, whatever its file's layout: [`crate::formats::policy_digest`].
    pub policy_digest: String,
    pub set: Source,
    pub router: RouterInfo,
    /// SHA-256 of the router's files, where it runs here.
    pub router_digest: Option<String>,
    /// As it was asked for; a running gateway ignores it: [`RouterInfo::dialect_of`].
    pub dialect: DialectId,
    /// Estimated tokens that a prompt was allowed: what was asked for (`--budget`), else the policy's for this dialect; `None` is the dialect's
    /// own number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// Other orders of the routes that were asked for besides the policy's own, fewer where there are fewer; 0 without an order test.
    pub orders: usize,
    pub seed: u64,
    /// Turns that were to be decided; more than there are decisions where the run was stopped or the router gave none.
    pub planned: usize,
    /// Turns of the set that were not to be decided, since only its first conversations were asked for (`--limit`); none of `planned`. 0 too in
    /// runs of versions that did not count them.
    #[serde(default)]
    pub beyond_limit: usize,
    /// Turns whose results were kept from earlier runs and not decided again.
    #[serde(default)]
    pub reused: usize,
    /// Wall-clock seconds it took to decide the others.
    pub seconds: f64,
    /// The agreement that was demanded, in 0 to 1.
    #[serde(default)]
    pub min_agreement: Option<f64>,
    /// The recall that was demanded of each route, in 0 to 1.
    #[serde(default)]
    pub min_recall: Option<f64>,
    /// Whether cases of the set have a label for each user message.
    #[serde(default)]
    pub per_turn: bool,
    /// Where it has: the conversations with a label for their last user message alone, by their position in the set, in order. Empty too in
    /// runs of versions that did not tell them apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_label: Vec<usize>,
    /// Lines of the set that could not be used.
    #[serde(default)]
    pub left_out: LeftOut,
    /// Conversations of which not every labelled turn has a result, by their position in the set, in order: the run was stopped in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<usize>,
    /// Names that `TurnResult::probabilities` are in the order of: the policy's routes, then `other`.
    pub labels: Vec<String>,
}

/// The result of one user turn of one labelled conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnResult {
    /// Position of the conversation among the good lines of the set; its turns follow each other.
    pub conversation: usize,
    /// Line of the set, counted from 1.
    pub line: usize,
    /// The case's id.
    pub id: Arc<str>,
    /// Position among the user turns of the conversation that were decided, counted from 0.
    pub turn: usize,
    /// What was said up to the message that was decided: [`crate::formats::conversation_digest`]. `None` in runs that were kept before
    /// Waypost looked at it, and where an older version could not read the case again.
    pub digest: Option<u64>,
    /// The beginning of the user message that was decided, on one line. Empty in runs of versions that did not keep it.
    pub preview: Arc<str>,
    /// The expected route's name; `other` for no route.
    pub label: Arc<str>,
    /// The case's tags.
    pub tags: Arc<[Arc<str>]>,
    /// [`Outcome::Error`] too for a turn that was not decided.
    pub outcome: Outcome,
    /// Whether the router gave no decision: nobody knows what a gateway would have done, so the turn is in no figure.
    pub undecided: bool,
    /// The decided route's name, `other` for no route, `None` for an error.
    pub decided: Option<Arc<str>>,
    /// The model that the decision maps to.
    pub model: Option<Arc<str>>,
    /// Probability of the decided answer; `None` for an error and where nobody told it. Runs of older versions have 0 there.
    pub confidence: Option<f32>,
    pub margin: f32,
    pub invalid_mass: f32,
    /// In the order of [`TurnResult::routes`], or of [`RunInfo::labels`] where that is `None`; `None` for an answer of which a server told
    /// nothing, where runs of older versions have 0. Empty where the router gives none.
    pub probabilities: Vec<Option<f32>>,
    /// The names that this line of the set chooses between, where it brings its own routes.
    pub routes: Option<Arc<[String]>>,
    /// Why the gateway would have failed, or why there was no decision at all.
    pub error: Option<String>,
    pub tokens: TokenCounts,
    pub latency_ms: f32,
    pub order_stability: Option<OrderStability>,
}

/// The immutable result of measuring.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    pub info: RunInfo,
    /// What was measured, whatever became of its file since.
    pub policy: Arc<Policy>,
    /// In the order of the set, whatever order they were decided in.
    pub turns: Vec<TurnResult>,
}

/// One user turn to decide: where it stands in the set and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnKey {
    pub conversation: usize,
    pub line: usize,
    pub id: Arc<str>,
    pub turn: usize,
    /// As in [`TurnResult::digest`].
    pub digest: Option<u64>,
    /// As in [`TurnResult::preview`].
    pub preview: Arc<str>,
    pub label: Arc<str>,
    pub tags: Arc<[Arc<str>]>,
    /// As in [`TurnResult::routes`].
    pub routes: Option<Arc<[String]>>,
}

/// Returns what people call a case: its id, with the number of the user turn behind the first one. `turn` counts from 0.
pub fn case_name(id: &str, turn: usize) -> String {
    if turn == 0 { id.to_owned() } else { format!("{id} turn {}", turn + 1) }
}

impl TurnResult {
    /// Joins what was expected with what was decided. `labels` are [`RunInfo::labels`].
    pub fn new(key: TurnKey, decision: &Decision, labels: &[String]) -> Self {
        let names = key.routes.as_deref().unwrap_or(labels);
        let told = |name: &str| decision.probabilities.iter().find(|route| route.route == name).map(|route| route.p as f32);
        let rest = decision.router.tells_all().then_some(0.0);
        let decided: Option<Arc<str>> = decision.label().map(Arc::from);
        Self {
            conversation: key.conversation,
            line: key.line,
            id: key.id,
            turn: key.turn,
            digest: key.digest,
            preview: key.preview,
            label: key.label,
            tags: key.tags,
            outcome: decision.outcome,
            undecided: false,
            confidence: decision.probabilities.iter().find(|entry| decision.chose(entry)).map(|entry| entry.p as f32),
            decided,
            model: decision.model.as_deref().map(Arc::from),
            margin: decision.margin as f32,
            invalid_mass: decision.invalid_mass as f32,
            probabilities: if decision.probabilities.is_empty() {
                Vec::new()
            } else {
                names.iter().map(|name| told(name).or(rest)).collect()
            },
            routes: key.routes,
            error: decision.error.clone(),
            tokens: decision.tokens,
            latency_ms: decision.latency_ms.total as f32,
            order_stability: decision.order_stability.clone(),
        }
    }

    /// Stands for a turn that was not decided, for the reason given.
    pub fn failed(key: TurnKey, reason: String) -> Self {
        Self {
            conversation: key.conversation,
            line: key.line,
            id: key.id,
            turn: key.turn,
            digest: key.digest,
            preview: key.preview,
            label: key.label,
            tags: key.tags,
            outcome: Outcome::Error,
            undecided: true,
            decided: None,
            model: None,
            confidence: None,
            margin: 0.0,
            invalid_mass: 0.0,
            probabilities: Vec::new(),
            routes: key.routes,
            error: Some(reason),
            tokens: TokenCounts::default(),
            latency_ms: 0.0,
            order_stability: None,
        }
    }

    /// Returns whether the decision equals the label.
    pub fn agrees(&self) -> bool {
        self.decided.as_ref() == Some(&self.label)
    }

    /// Returns whether there is a decision that differs from the label.
    pub fn is_wrong(&self) -> bool {
        !self.undecided && !self.agrees()
    }

    /// Returns whether the gateway would have failed, which is a decision of its kind.
    pub fn is_error(&self) -> bool {
        !self.undecided && self.outcome == Outcome::Error
    }

    /// Returns the probability of the decided answer; `None` for an error, which is none of the answers, and where nobody told it.
    pub fn sure(&self) -> Option<f32> {
        self.confidence.filter(|_| self.decided.is_some() && !self.probabilities.is_empty())
    }

    /// Returns what the metrics look at.
    pub fn judged(&self) -> Judged {
        Judged {
            conversation: self.conversation,
            label: self.label.to_string(),
            decided: self.decided.as_deref().map(str::to_owned),
            confidence: self.sure().map(f64::from),
        }
    }
}

impl Run {
    /// Returns whether there are fewer decisions than planned: the run was stopped, or the router gave none for some turns.
    pub fn is_partial(&self) -> bool {
        self.turns.len() < self.info.planned || self.undecided() > 0
    }

    /// Returns the turns with a decision, which every figure is about, in the order of the set.
    pub fn answered(&self) -> impl Iterator<Item = &TurnResult> {
        self.turns.iter().filter(|turn| !turn.undecided)
    }

    /// Returns the turns with a decision between the policy's routes: lines that bring their own say nothing about it.
    pub fn of_policy(&self) -> impl Iterator<Item = &TurnResult> {
        self.answered().filter(|turn| turn.routes.is_none())
    }

    /// Returns the turns that gates judge, those without a decision among them: of the policy, as its evidence has them, or all where each line
    /// brings its own routes.
    pub fn gated(&self) -> impl Iterator<Item = &TurnResult> {
        let all = self.turns.iter().all(|turn| turn.routes.is_some());
        self.turns.iter().filter(move |turn| all || turn.routes.is_none())
    }

    /// Returns how many turns were to be decided and nobody was asked about, since the run was stopped.
    pub fn unreached(&self) -> usize {
        self.info.planned.saturating_sub(self.turns.len())
    }

    /// Returns how many turns were asked about and got no decision.
    pub fn undecided(&self) -> usize {
        self.turns.len() - self.answered().count()
    }

    /// Returns whether turns were asked about and the router decided none of them, as where a server refuses everybody.
    pub fn has_no_decision(&self) -> bool {
        !self.turns.is_empty() && self.answered().next().is_none()
    }

    /// Returns whether a conversation, by its position in the set, has labelled turns without a result: whether all of it is right is not known.
    pub fn is_incomplete(&self, conversation: usize) -> bool {
        self.info.incomplete.binary_search(&conversation).is_ok()
    }

    /// Returns whether each user message of a conversation, by its position in the set, has its label: of one with a single label only the last
    /// was asked, which says nothing about its spans and turns.
    pub fn is_per_turn(&self, conversation: usize) -> bool {
        self.info.per_turn && self.info.one_label.binary_search(&conversation).is_err()
    }

    /// Returns what the metrics look at, in the order of the set.
    pub fn judged(&self) -> Vec<Judged> {
        self.answered().map(TurnResult::judged).collect()
    }
}

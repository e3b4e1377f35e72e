//! Everything a run shows, computed from its turns: the contract of `waypost eval --json` and what the window draws.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Judged;
use super::calibration::{Calibration, calibration};
use super::confidence::{ConfidenceBin, ReviewPoint, confidence_histogram, review_sweep};
use super::metrics::{Confusion, RouteFigures, mean, percentile, summarise};
use super::models::{ModelFigures, models};
use super::paper::{Spans, paper_metrics, spans};
use super::recall_gate::RecallGate;
use super::run::{LeftOut, Run, Source, TurnResult};
use super::scenarios::{Scenarios, scenarios};
use super::slices::{TagFigures, TurnFigures, per_tag, per_turn_number};
use crate::decision::{RouterInfo, TokenCounts};
use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// The figures of one run. The fields up to `dialect` are the contract of `waypost eval --json`; the others add to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Turns with a decision, errors of the gateway among them.
    pub cases: usize,
    pub agreement: f64,
    pub agreement_ci95: [f64; 2],
    pub macro_f1: f64,
    /// Turns that the gateway would have answered with HTTP 500.
    pub errors: usize,
    pub per_route: Vec<RouteFigures>,
    pub confusion: Confusion,
    /// As `agreement`: of all cases, those with one label among them.
    pub turn_accuracy: f64,
    /// Whether only some of the cases are of conversations with a label for each user message, as `span_accuracy` is.
    #[serde(skip)]
    pub is_mixed: bool,
    /// Of the conversations with a label for each user message; `None` where there are none, and before one is whole.
    pub span_accuracy: Option<f64>,
    /// As `span_accuracy`.
    pub conversation_accuracy: Option<f64>,
    pub calibration: Calibration,
    pub latency_ms: Percentiles,
    /// Of the turns that this run decided itself; where it reused all, by the time that they took then.
    pub decisions_per_second: f64,
    pub tokens: TokenCounts,
    pub policy: Source,
    pub set: Source,
    pub router: RouterInfo,
    /// `null` where a running gateway decided, with a prompt of its own.
    pub dialect: Option<DialectId>,
    /// As in [`super::RunInfo`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<usize>,
    /// Whether there are fewer decisions than planned.
    pub partial: bool,
    /// Turns for which the router gave no decision, in no other figure.
    pub undecided: usize,
    /// Why it gave none, the most frequent reason first.
    pub undecided_kinds: Vec<ErrorKind>,
    /// Turns that were to be decided.
    pub planned: usize,
    /// Turns whose results were kept from earlier runs.
    pub reused: usize,
    pub left_out: LeftOut,
    pub seconds: f64,
    /// How well "no route" is recognised.
    pub no_route: RouteFigures,
    /// The errors by what is said about them, the most frequent first.
    pub error_kinds: Vec<ErrorKind>,
    /// Turns that chose between routes of their own line, in no figure about scenarios and models.
    pub own_routes: usize,
    /// By the paper's scenarios; `None` where the policy has no domains and actions.
    pub scenarios: Option<Scenarios>,
    /// As `span_accuracy`; `None` for sets with one label a case.
    pub spans: Option<Spans>,
    /// Conversations with a label for each user message of which not all were decided: they are in no figure of spans and conversations.
    pub incomplete_conversations: usize,
    /// By the cases' tags, the most frequent first, 50 at most.
    pub per_tag: Vec<TagFigures>,
    /// By the number of the user turn, 50 at most, of the conversations with a label for each.
    pub per_turn_number: Vec<TurnFigures>,
    /// Empty where the router gives no probabilities, as `review`.
    pub confidence: Vec<ConfidenceBin>,
    pub review: Vec<ReviewPoint>,
    /// Turns with a decision of which nobody told how probable it is, in none of `calibration`, `confidence` and `review`.
    pub without_confidence: usize,
    /// Share of the prompts' tokens that came from the prefix cache.
    pub cache_hit_rate: f64,
    /// `None` without an order test.
    pub order_stability: Option<OrderFigures>,
    /// `None` where the policy names no models, or no turn chose between its routes.
    pub models: Option<ModelFigures>,
    /// `None` where no agreement was demanded.
    pub gate: Option<GateFigures>,
    /// `None` where no recall was demanded.
    pub recall_gate: Option<RecallGate>,
}

impl Figures {
    /// Returns how many cases with each label, in the order of the confusion matrix, are errors: its counts hold none.
    pub fn errors_by_label(&self) -> Vec<usize> {
        let rows = self.confusion.counts.iter().zip(&self.per_route);
        rows.map(|(row, route)| route.support.saturating_sub(row.iter().sum::<usize>())).collect()
    }

    /// Returns which turns the gates judge, for the end of a sentence, where those with routes of their own are not among them.
    pub fn gated_words(&self) -> String {
        match self.cases.saturating_sub(self.own_routes) {
            0 => String::new(),
            cases if cases == self.cases => String::new(),
            cases => format!(", judged by the cases that choose between the policy's routes ({cases})"),
        }
    }
}

/// Times of single decisions, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p90: f64,
    pub p99: f64,
    pub mean: f64,
    pub max: f64,
}

/// One reason why turns have no decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorKind {
    pub error: String,
    pub count: usize,
}

/// How far decisions depend on the order of the routes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OrderFigures {
    /// Orders tried besides the policy's own, of the turn with the most: routes of a line's own may have fewer. 0 where there is no other.
    pub orders: usize,
    /// Turns whose decision changed in at least one of them.
    pub changed_cases: usize,
    /// Mean share of all orders, the policy's own included, that decide as it does: [`crate::decision::OrderStability::agreement`].
    pub mean_agreement: f64,
}

/// The agreement that was demanded, and whether it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GateFigures {
    pub min_agreement: f64,
    /// Holds even if every turn that was not decided or not reached were wrong.
    pub passed: bool,
    /// It depends on the turns that were not decided or not reached: not passed, and not failed either.
    pub open: bool,
    /// Turns with a decision that were judged: [`Run::gated`].
    pub cases: usize,
    /// Of these, turns that agree with their label.
    pub right: usize,
}

impl GateFigures {
    fn new(min_agreement: f64, run: &Run) -> Self {
        let (mut right, mut cases, mut unknown) = (0, 0, run.unreached());
        for turn in run.gated() {
            right += usize::from(turn.agrees());
            *if turn.undecided { &mut unknown } else { &mut cases } += 1;
        }
        let reaches = |right: usize| right as f64 / (cases + unknown).max(1) as f64 >= min_agreement;
        let passed = reaches(right);
        Self { min_agreement, passed, open: !passed && reaches(right + unknown), cases, right }
    }
}

/// Computes all figures of a run.
pub fn figures(run: &Run) -> Figures {
    let (judged, undecided) = (run.judged(), run.undecided());
    let summary = summarise(&judged, run.info.labels.iter().cloned());
    // Whether a conversation is right is known once each of its turns is; a case with one label makes no spans.
    let is_whole = |case: &&Judged| run.is_per_turn(case.conversation) && !run.is_incomplete(case.conversation);
    let whole: Vec<Judged> = judged.iter().filter(is_whole).cloned().collect();
    let paper = paper_metrics(&whole);
    let tokens = run.turns.iter().fold(TokenCounts::default(), |sum, turn| TokenCounts {
        prompt: sum.prompt + turn.tokens.prompt,
        cached: sum.cached + turn.tokens.cached,
        computed: sum.computed + turn.tokens.computed,
    });
    let no_route = summary.per_route.iter().find(|figures| figures.route == NO_ROUTE_LABEL).cloned();
    Figures {
        cases: summary.cases,
        agreement: summary.agreement,
        agreement_ci95: summary.agreement_ci95,
        macro_f1: summary.macro_f1,
        errors: summary.errors,
        turn_accuracy: summary.agreement,
        is_mixed: run.info.per_turn && run.turns.iter().any(|turn| !run.is_per_turn(turn.conversation)),
        span_accuracy: paper.map(|paper| paper.span),
        conversation_accuracy: paper.map(|paper| paper.conversation),
        calibration: calibration(&judged),
        latency_ms: latency(run),
        decisions_per_second: rate(run),
        tokens,
        policy: run.info.policy.clone(),
        set: run.info.set.clone(),
        router: run.info.router.clone(),
        dialect: run.info.router.dialect_of(run.info.dialect),
        budget: run.info.budget,
        partial: run.is_partial(),
        undecided,
        undecided_kinds: kinds(run.turns.iter().filter(|turn| turn.undecided)),
        planned: run.info.planned,
        reused: run.info.reused,
        left_out: run.info.left_out.clone(),
        seconds: run.info.seconds,
        no_route: no_route.unwrap_or_else(|| RouteFigures {
            route: NO_ROUTE_LABEL.to_owned(),
            support: 0,
            precision: 0.0,
            recall: 0.0,
            f1: 0.0,
        }),
        error_kinds: kinds(run.turns.iter().filter(|turn| turn.is_error())),
        own_routes: run.answered().count() - run.of_policy().count(),
        scenarios: scenarios(run),
        spans: run.info.per_turn.then(|| spans(&whole)),
        incomplete_conversations: run.info.incomplete.iter().filter(|&&conversation| run.is_per_turn(conversation)).count(),
        per_tag: per_tag(run),
        per_turn_number: per_turn_number(run),
        confidence: confidence_histogram(&judged),
        review: review_sweep(&judged),
        without_confidence: judged.iter().filter(|case| case.decided.is_some() && case.confidence.is_none()).count(),
        cache_hit_rate: if tokens.prompt == 0 { 0.0 } else { tokens.cached as f64 / tokens.prompt as f64 },
        order_stability: order(run),
        models: models(run),
        gate: run.info.min_agreement.map(|least| GateFigures::new(least, run)),
        recall_gate: run.info.min_recall.map(|least| RecallGate::new(least, run)),
        per_route: summary.per_route,
        confusion: summary.confusion,
    }
}

fn latency(run: &Run) -> Percentiles {
    // What could not be decided took no time that says anything.
    let mut times: Vec<f64> = run.turns.iter().map(|turn| f64::from(turn.latency_ms)).filter(|&ms| ms > 0.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |q| percentile(&times, q);
    Percentiles { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), mean: mean(&times), max: at(1.0) }
}

fn rate(run: &Run) -> f64 {
    let answered = run.answered().count();
    let decided = answered.saturating_sub(run.info.reused);
    let (count, seconds) = if decided > 0 {
        (decided, run.info.seconds)
    } else {
        (answered, run.turns.iter().map(|turn| f64::from(turn.latency_ms)).sum::<f64>() / 1000.0)
    };
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn kinds<'a>(turns: impl Iterator<Item = &'a TurnResult>) -> Vec<ErrorKind> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in turns {
        *counts.entry(turn.error.as_deref().unwrap_or("no reason is known")).or_default() += 1;
    }
    let mut kinds: Vec<ErrorKind> = counts.into_iter().map(|(error, count)| ErrorKind { error: error.to_owned(), count }).collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
    // Sentences may name what the router wrote, so there may be as many as turns; a report needs the frequent ones.
    kinds.truncate(20);
    kinds
}

fn order(run: &Run) -> Option<OrderFigures> {
    let tested: Vec<_> = run.turns.iter().filter_map(|turn| turn.order_stability.as_ref()).collect();
    let orders = tested.iter().map(|stability| stability.orders).max()?;
    let changed_cases = tested.iter().filter(|stability| stability.changed > 0).count();
    let mean_agreement = tested.iter().map(|stability| stability.agreement).sum::<f64>() / tested.len() as f64;
    Some(OrderFigures { orders, changed_cases, mean_agreement })
}

//! Everything a run shows, computed from its turns: the contract of `waypost eval --json` and what the window draws.

use std::collections::BTreeMap;

use serde::Serialize;

use super::calibration::{Calibration, calibration};
use super::confidence::{ConfidenceBin, ReviewPoint, confidence_histogram, review_sweep};
use super::metrics::{Confusion, RouteFigures, percentile, summarise};
use super::paper::{Spans, paper_metrics, spans};
use super::run::{LeftOut, Run, Source};
use super::scenarios::{Scenarios, scenarios};
use super::slices::{TagFigures, TurnFigures, per_tag, per_turn_number};
use crate::decision::{Outcome, RouterInfo, TokenCounts};
use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// The figures of one run. The fields up to `dialect` are the contract (design, section 6); the others add to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Turns that were decided or failed.
    pub cases: usize,
    pub agreement: f64,
    pub agreement_ci95: [f64; 2],
    pub macro_f1: f64,
    /// Turns that the gateway would have answered with HTTP 500, or that could not be decided at all.
    pub errors: usize,
    pub per_route: Vec<RouteFigures>,
    pub confusion: Confusion,
    pub turn_accuracy: f64,
    /// `None` for sets with one label a case.
    pub span_accuracy: Option<f64>,
    /// `None` for sets with one label a case.
    pub conversation_accuracy: Option<f64>,
    pub calibration: Calibration,
    pub latency_ms: Percentiles,
    /// Of the turns that this run decided itself; where it reused all, by the time that they took then.
    pub decisions_per_second: f64,
    pub tokens: TokenCounts,
    pub policy: Source,
    pub set: Source,
    pub router: RouterInfo,
    pub dialect: DialectId,
    /// Whether the run was stopped before its end.
    pub partial: bool,
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
    /// By the paper's scenarios; `None` where the policy has no domains and actions.
    pub scenarios: Option<Scenarios>,
    /// `None` for sets with one label a case.
    pub spans: Option<Spans>,
    /// By the cases' tags, the most frequent first, 50 at most.
    pub per_tag: Vec<TagFigures>,
    /// By the number of the user turn, 50 at most; empty for sets with one label a case.
    pub per_turn_number: Vec<TurnFigures>,
    /// Empty where the router gives no probabilities, as `review`.
    pub confidence: Vec<ConfidenceBin>,
    pub review: Vec<ReviewPoint>,
    /// Share of the prompts' tokens that came from the prefix cache.
    pub cache_hit_rate: f64,
    /// `None` without an order test.
    pub order_stability: Option<OrderFigures>,
    /// `None` where the policy names no models.
    pub models: Option<ModelFigures>,
    /// `None` where no agreement was demanded.
    pub gate: Option<GateFigures>,
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
    /// Orders tried for each turn besides the policy's own.
    pub orders: usize,
    /// Turns whose decision changed in at least one of them.
    pub changed_cases: usize,
    /// Mean share of all orders, the policy's own included, that decide as it does: [`crate::decision::OrderStability::agreement`].
    pub mean_agreement: f64,
}

/// Whether routes change the model at all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFigures {
    /// Different models among the policy's routes and its fallback.
    pub distinct: usize,
    /// How many turns went to each model, the most frequent first; `None` stands for decisions without a model.
    pub decisions: Vec<ModelCount>,
    /// Share of turns that got the model of their expected route: at least the agreement, since wrong routes may have the right model.
    pub agreement: f64,
}

/// How many turns went to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelCount {
    pub model: Option<String>,
    pub count: usize,
}

/// The agreement that was demanded, and whether it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GateFigures {
    pub min_agreement: f64,
    pub passed: bool,
}

/// Computes all figures of a run.
pub fn figures(run: &Run) -> Figures {
    let judged = run.judged();
    let summary = summarise(&judged, run.info.labels.iter().cloned());
    let paper = paper_metrics(&judged).filter(|_| run.info.per_turn);
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
        span_accuracy: paper.map(|paper| paper.span),
        conversation_accuracy: paper.map(|paper| paper.conversation),
        calibration: calibration(&judged),
        latency_ms: latency(run),
        decisions_per_second: rate(run),
        tokens,
        policy: run.info.policy.clone(),
        set: run.info.set.clone(),
        router: run.info.router.clone(),
        dialect: run.info.dialect,
        partial: run.is_partial(),
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
        error_kinds: error_kinds(run),
        scenarios: scenarios(&judged, &run.policy),
        spans: run.info.per_turn.then(|| spans(&judged)),
        per_tag: per_tag(run),
        per_turn_number: per_turn_number(run),
        confidence: confidence_histogram(&judged),
        review: review_sweep(&judged),
        cache_hit_rate: if tokens.prompt == 0 { 0.0 } else { tokens.cached as f64 / tokens.prompt as f64 },
        order_stability: order(run),
        models: models(run),
        gate: run.info.min_agreement.map(|least| GateFigures { min_agreement: least, passed: summary.agreement >= least }),
        per_route: summary.per_route,
        confusion: summary.confusion,
    }
}

fn latency(run: &Run) -> Percentiles {
    // What could not be decided took no time that says anything.
    let mut times: Vec<f64> = run.turns.iter().map(|turn| f64::from(turn.latency_ms)).filter(|&ms| ms > 0.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |q| percentile(&times, q);
    let mean = times.iter().sum::<f64>() / times.len().max(1) as f64;
    Percentiles { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), mean, max: at(1.0) }
}

fn rate(run: &Run) -> f64 {
    let decided = run.turns.len().saturating_sub(run.info.reused);
    let (count, seconds) = if decided > 0 {
        (decided, run.info.seconds)
    } else {
        (run.turns.len(), run.turns.iter().map(|turn| f64::from(turn.latency_ms)).sum::<f64>() / 1000.0)
    };
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn error_kinds(run: &Run) -> Vec<ErrorKind> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in run.turns.iter().filter(|turn| turn.outcome == Outcome::Error) {
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

fn models(run: &Run) -> Option<ModelFigures> {
    let policy = &run.policy;
    let mut names: Vec<&str> = policy.routes.iter().filter_map(|route| route.model()).chain(policy.fallback.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    if policy.routes.iter().all(|route| route.models.is_empty()) {
        return None;
    }
    let mut decisions: Vec<ModelCount> = Vec::new();
    let mut agreed = 0;
    for turn in &run.turns {
        let expected = policy.model_for((*turn.label != *NO_ROUTE_LABEL).then_some(&*turn.label));
        // An error reaches no model, whatever was expected.
        agreed += usize::from(turn.agrees() || (turn.outcome != Outcome::Error && turn.model.as_deref() == expected));
        match decisions.iter_mut().find(|count| count.model.as_deref() == turn.model.as_deref()) {
            Some(known) => known.count += 1,
            None => decisions.push(ModelCount { model: turn.model.as_deref().map(str::to_owned), count: 1 }),
        }
    }
    decisions.sort_by_key(|count| std::cmp::Reverse(count.count));
    let agreement = agreed as f64 / run.turns.len().max(1) as f64;
    Some(ModelFigures { distinct: names.len(), decisions, agreement })
}

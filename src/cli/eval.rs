//! `waypost eval`: agreement over a labelled set.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::args::EvalArguments;
use super::input::read_policy;
use super::{Failure, report, router};
use crate::chat::Conversation;
use crate::chat::labelled::{Expected, LabelledCase};
use crate::decision::{Decision, RouterInfo, TokenCounts};
use crate::engine::{CancelToken, RouteRequest, Router};
use crate::eval::{Calibration, Confusion, Judged, RouteFigures, calibration, paper_metrics, percentile, summarise};
use crate::formats::{LabelledReader, open, read_text};
use crate::policy::{DialectId, NO_ROUTE_LABEL, Policy};

/// The contract of `waypost eval --json` (design, section 6).
#[derive(Serialize)]
struct Report {
    cases: usize,
    agreement: f64,
    agreement_ci95: [f64; 2],
    macro_f1: f64,
    errors: usize,
    per_route: Vec<RouteFigures>,
    confusion: Confusion,
    turn_accuracy: f64,
    /// Null for sets with one label a line.
    span_accuracy: Option<f64>,
    /// Null for sets with one label a line.
    conversation_accuracy: Option<f64>,
    calibration: Calibration,
    latency_ms: Percentiles,
    decisions_per_second: f64,
    tokens: TokenCounts,
    policy: Source,
    set: Source,
    router: RouterInfo,
    dialect: DialectId,
}

#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
}

#[derive(Serialize)]
struct Source {
    path: String,
    sha256: String,
}

/// One decision to make: a conversation up to a user turn, and its label.
struct Turn {
    case: usize,
    conversation: Conversation,
    label: String,
}

/// Measures, prints, and fails the gate when agreement is under the asked minimum.
///
/// # Errors
/// Fails on bad input, when the router cannot be loaded or run, and when the gate fails.
pub fn run(arguments: &EvalArguments) -> Result<(), Failure> {
    let policy_text = read_text(&arguments.policy)?;
    let policy = read_policy(&policy_text, &arguments.policy.display().to_string())?;
    let cases = read_set(arguments)?;
    if cases.is_empty() {
        return Err(Failure::Input(format!("{} has no usable line; add conversations with their expected route", arguments.set.display())));
    }
    warn_of_unknown_labels(&policy, &cases);
    let dialect = arguments.dialect.or(policy.dialect).unwrap_or(DialectId::DEFAULT);
    let mut router = router::open(&arguments.router)?;

    let turns: Vec<Turn> = cases.iter().enumerate().flat_map(|(index, case)| turns(index, case)).collect();
    let policies: Vec<Arc<Policy>> = policies(&policy, &cases);
    let bar = ProgressBar::new(turns.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {per_sec}  {eta} left") {
        bar.set_style(style);
    }
    let start = Instant::now();
    let (mut judged, mut decisions) = (Vec::with_capacity(turns.len()), Vec::with_capacity(turns.len()));
    for turn in turns {
        let (decision, verdict) = judge(router.as_mut(), &policies[turn.case], turn, dialect)?;
        judged.push(verdict);
        decisions.push(decision);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();

    let labels = policy.routes.iter().map(|route| route.name.clone()).chain([NO_ROUTE_LABEL.to_owned()]);
    let summary = summarise(&judged, labels);
    let paper = paper_metrics(&judged);
    let by_turn = cases.iter().any(|case| matches!(case.expected, Expected::PerTurn(_)));
    let latencies: Vec<f64> = decisions.iter().map(|decision| decision.latency_ms.total).collect();
    let report = Report {
        cases: summary.cases,
        agreement: summary.agreement,
        agreement_ci95: summary.agreement_ci95,
        macro_f1: summary.macro_f1,
        errors: summary.errors,
        per_route: summary.per_route,
        confusion: summary.confusion,
        turn_accuracy: summary.agreement,
        span_accuracy: paper.filter(|_| by_turn).map(|paper| paper.span),
        conversation_accuracy: paper.filter(|_| by_turn).map(|paper| paper.conversation),
        calibration: calibration(&judged),
        latency_ms: Percentiles { p50: percentile(&latencies, 0.5), p95: percentile(&latencies, 0.95) },
        decisions_per_second: decisions.len() as f64 / seconds,
        tokens: decisions.iter().fold(TokenCounts::default(), |sum, Decision { tokens, .. }| TokenCounts {
            prompt: sum.prompt + tokens.prompt,
            cached: sum.cached + tokens.cached,
            computed: sum.computed + tokens.computed,
        }),
        policy: Source { path: arguments.policy.display().to_string(), sha256: digest(&arguments.policy)? },
        set: Source { path: arguments.set.display().to_string(), sha256: digest(&arguments.set)? },
        router: decisions.first().map(|decision| decision.router.clone()).unwrap_or_default(),
        dialect,
    };
    if arguments.json {
        report::print_json(&report)?;
    } else {
        report::print(&text(&report))?;
    }
    match arguments.min_agreement {
        Some(least) if report.agreement < least => {
            Err(Failure::Gate(format!("the agreement of {:.3} is under the asked {least}", report.agreement)))
        }
        _ => Ok(()),
    }
}

/// Reads the set; bad lines are told and left out.
fn read_set(arguments: &EvalArguments) -> Result<Vec<LabelledCase>, Failure> {
    let path = arguments.set.display().to_string();
    let mut cases = Vec::new();
    for case in LabelledReader::new(open(&arguments.set)?, &path) {
        match case {
            Ok(case) => cases.push(case),
            Err(error) => eprintln!("warning: {error}; the line is left out"),
        }
        if arguments.limit.is_some_and(|limit| cases.len() >= limit) {
            break;
        }
    }
    Ok(cases)
}

/// Returns the SHA-256 of a file, in hexadecimal.
fn digest(path: &Path) -> Result<String, Failure> {
    let unreadable = |error| Failure::Input(format!("{}: {error}", path.display()));
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut digest, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part).map_err(unreadable)? {
            0 => break,
            read => digest.update(&part[..read]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn warn_of_unknown_labels(policy: &Policy, cases: &[LabelledCase]) {
    let known: HashSet<&str> = policy.routes.iter().map(|route| route.name.as_str()).chain([NO_ROUTE_LABEL]).collect();
    let mut told = HashSet::new();
    for case in cases.iter().filter(|case| case.routes.is_none()) {
        let labels = match &case.expected {
            Expected::Last(label) => std::slice::from_ref(label),
            Expected::PerTurn(labels) => labels,
        };
        for label in labels.iter().filter(|label| !known.contains(label.as_str())) {
            if told.insert(label) {
                eprintln!("warning: the label {label:?} of case {} is no route of the policy; no decision can agree with it", case.id);
            }
        }
    }
}

/// The policy that each case is decided with.
fn policies(policy: &Policy, cases: &[LabelledCase]) -> Vec<Arc<Policy>> {
    let shared = Arc::new(policy.clone());
    let own = |case: &LabelledCase| match &case.routes {
        Some(routes) => Arc::new(Policy { routes: routes.clone(), ..policy.clone() }),
        None => Arc::clone(&shared),
    };
    cases.iter().map(own).collect()
}

fn turns(index: usize, case: &LabelledCase) -> Vec<Turn> {
    let turn = |conversation, label: &String| Turn { case: index, conversation, label: label.clone() };
    match &case.expected {
        Expected::Last(label) => vec![turn(case.conversation.clone(), label)],
        Expected::PerTurn(labels) => {
            let upto = |last: usize| Conversation { messages: case.conversation.messages[..=last].to_vec() };
            case.conversation.user_turns().zip(labels).map(|(last, label)| turn(upto(last), label)).collect()
        }
    }
}

fn judge(router: &mut dyn Router, policy: &Arc<Policy>, turn: Turn, dialect: DialectId) -> Result<(Decision, Judged), Failure> {
    let Turn { case, conversation, label } = turn;
    let request =
        RouteRequest { policy: Arc::clone(policy), conversation: Arc::new(conversation), dialect, budget: None, orders: 0, seed: 0 };
    let decision = router.decide(&request, &mut |_| {}, &CancelToken::default())?;
    let decided = decision.label().map(str::to_owned);
    let confidence = decision.probabilities.iter().find(|route| Some(&route.route) == decided.as_ref()).map_or(0.0, |route| route.p);
    Ok((decision, Judged { conversation: case, label, decided, confidence }))
}

fn text(report: &Report) -> String {
    let [low, high] = report.agreement_ci95;
    let mut text = format!(
        "agreement {:.1} % of {} cases (95 % interval {:.1} to {:.1} %), macro F1 {:.3}, errors {}\n\n",
        report.agreement * 100.0,
        report.cases,
        low * 100.0,
        high * 100.0,
        report.macro_f1,
        report.errors
    );
    let width = report.per_route.iter().map(|figures| figures.route.chars().count()).max().unwrap_or(0).max(5);
    text += &format!("  {:width$}  cases  precision  recall     F1\n", "route");
    for RouteFigures { route, support, precision, recall, f1 } in &report.per_route {
        text += &format!("  {route:width$}  {support:5}  {precision:9.3}  {recall:6.3}  {f1:5.3}\n");
    }
    text += &format!(
        "\ncalibration error {:.3}, {:.1} decisions a second, p50 {:.0} ms, p95 {:.0} ms\n",
        report.calibration.ece, report.decisions_per_second, report.latency_ms.p50, report.latency_ms.p95
    );
    text
}

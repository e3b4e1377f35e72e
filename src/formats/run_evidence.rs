//! What a run proves about the policy that it measured, as an export carries it.

use std::sync::Arc;

use crate::eval::{Run, RunInfo, figures};

use super::gateway::{Confusion, Evidence, Gate, Stability, gateway_versions};

/// Returns the evidence of a run: of the turns that chose between the policy's routes, not of those whose line brings its own. Whether it
/// holds for a policy, [`super::evidence_problems`] says.
pub fn run_evidence(run: &Run) -> Evidence {
    let own_routes = run.turns.iter().filter(|turn| turn.routes.is_some()).count();
    let about_policy = (own_routes > 0).then(|| Run {
        info: RunInfo { planned: run.info.planned.saturating_sub(own_routes), ..run.info.clone() },
        policy: Arc::clone(&run.policy),
        turns: run.turns.iter().filter(|turn| turn.routes.is_none()).cloned().collect(),
    });
    let run = about_policy.as_ref().unwrap_or(run);
    let figures = figures(run);
    let labels = &figures.confusion.labels;
    let mut confusions: Vec<Confusion> = Vec::new();
    for (label, row) in figures.confusion.counts.iter().enumerate() {
        let wrong = row.iter().enumerate().filter(|(decided, count)| *decided != label && **count > 0);
        confusions.extend(wrong.map(|(decided, &count)| Confusion {
            label: labels[label].clone(),
            decided: labels[decided].clone(),
            count,
        }));
    }
    confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.count));
    let info = &run.info;
    Evidence {
        policy_sha256: info.policy_digest.clone(),
        set: info.set.path.clone(),
        set_sha256: info.set.sha256.clone(),
        cases: figures.cases,
        planned: info.planned,
        beyond_limit: info.beyond_limit,
        undecided: figures.undecided,
        own_routes,
        errors: figures.errors,
        agreement: figures.agreement,
        agreement_ci95: figures.agreement_ci95,
        confusions,
        router: info.router.clone(),
        router_sha256: info.router_digest.clone(),
        dialect: info.router.dialect_of(info.dialect),
        budget: info.router.dialect_of(info.dialect).and(info.budget),
        gateway_versions: info
            .router
            .live_gateway()
            .map_or_else(|| gateway_versions(info.dialect).to_owned(), |url| format!("the gateway at {url}")),
        date: info.date.clone(),
        order_stability: figures.order_stability.map(|order| Stability { orders: order.orders, changed_cases: order.changed_cases }),
        gate: figures.gate.map(|gate| Gate { min_agreement: gate.min_agreement, passed: gate.passed, open: gate.open }),
        recall_gate: figures.recall_gate,
        waypost: info.waypost.clone(),
    }
}

//! What a run proves about the policy that it measured, as an export carries it.

use crate::eval::{Run, figures};

use super::gateway::{Confusion, Evidence, Gate, Stability, gateway_versions};

/// Returns the evidence of a run. Whether it holds for a policy, [`super::evidence_problems`] says.
pub fn run_evidence(run: &Run) -> Evidence {
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
        undecided: figures.undecided,
        agreement: figures.agreement,
        agreement_ci95: figures.agreement_ci95,
        confusions,
        router: info.router.clone(),
        router_sha256: info.router_digest.clone(),
        dialect: info.dialect,
        gateway_versions: info
            .router
            .live_gateway()
            .map_or_else(|| gateway_versions(info.dialect).to_owned(), |url| format!("the gateway at {url}")),
        date: info.date.clone(),
        order_stability: figures.order_stability.map(|order| Stability { orders: order.orders, changed_cases: order.changed_cases }),
        gate: figures.gate.map(|gate| Gate { min_agreement: gate.min_agreement, passed: gate.passed, open: gate.open }),
        waypost: info.waypost.clone(),
    }
}

//! The three scenarios of the Arch-Router paper (arXiv 2506.16655): how fine the expected route is.

use serde::Serialize;

use super::metrics::wilson_interval;
use super::run::Run;
use crate::policy::{NO_ROUTE_LABEL, Policy};

/// Turn accuracy in each scenario, `None` where the set has no such turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scenarios {
    /// Fine-grained query, fine-grained action: a route for the very action exists and is expected.
    pub fqfa: Option<Share>,
    /// Fine-grained query, coarse action: only the domain's own route fits.
    pub fqca: Option<Share>,
    /// The request is irrelevant or already fulfilled: no route is expected.
    pub irrelevance: Option<Share>,
}

/// A share of turns and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    pub cases: usize,
    pub accuracy: f64,
    /// 95 % Wilson score interval.
    pub ci95: [f64; 2],
}

/// Splits the turns that are about the policy by their expected route; `None` where no route of it has both a domain and an action.
pub fn scenarios(run: &Run) -> Option<Scenarios> {
    let policy = &run.policy;
    policy.routes.iter().find(|route| route.domain.is_some() && route.action.is_some())?;
    let share = |wanted: fn(&Policy, &str) -> bool| {
        let (mut count, mut right) = (0, 0);
        for turn in run.of_policy().filter(|turn| wanted(policy, &turn.label)) {
            count += 1;
            right += usize::from(turn.agrees());
        }
        (count > 0).then(|| Share { cases: count, accuracy: right as f64 / count as f64, ci95: wilson_interval(right, count) })
    };
    Some(Scenarios {
        fqfa: share(|policy, label| policy.route(label).is_some_and(|route| route.action.is_some())),
        fqca: share(|policy, label| policy.route(label).is_some_and(|route| route.action.is_none() && route.domain.is_some())),
        irrelevance: share(|_, label| label == NO_ROUTE_LABEL),
    })
}

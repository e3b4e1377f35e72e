//! The recall that is demanded of each route: agreement can hold while a rare route is lost.

use serde::{Deserialize, Serialize};

use super::metrics::RouteFigures;
use super::run::Run;

/// The recall that was demanded, and the routes that do not have it; passed where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallGate {
    /// In 0 to 1.
    pub min_recall: f64,
    /// Routes with less, also were every turn right that was not decided.
    pub below: Vec<String>,
    /// Routes of which it depends on the turns that were not decided.
    pub open: Vec<String>,
}

impl RecallGate {
    pub(super) fn new(min_recall: f64, run: &Run, per_route: &[RouteFigures]) -> Self {
        let mut gate = Self { min_recall, below: Vec::new(), open: Vec::new() };
        for RouteFigures { route, support, recall, .. } in per_route {
            let undecided = run.turns.iter().filter(|turn| turn.undecided && *turn.label == **route).count();
            let (right, cases) = ((recall * *support as f64).round(), (support + undecided) as f64);
            // Of a route that no case is labelled with there is no recall.
            if cases > 0.0 && (right + undecided as f64) / cases < min_recall {
                gate.below.push(route.clone());
            } else if cases > 0.0 && right / cases < min_recall {
                gate.open.push(route.clone());
            }
        }
        gate
    }
}

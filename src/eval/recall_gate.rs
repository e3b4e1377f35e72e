//! The recall that is demanded of each route: agreement can hold while a rare route is lost.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::run::Run;

/// The recall that was demanded, and the routes that do not have it; passed where there are none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecallGate {
    /// In 0 to 1.
    pub min_recall: f64,
    /// Routes with less, also were every turn right that was not decided or not reached.
    pub below: Vec<String>,
    /// Right decisions and cases of each route of `below`, in its order; empty in files of versions that did not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below_counts: Vec<[usize; 2]>,
    /// Routes of which it depends on the turns that were not decided; all others where turns were not reached, whose labels nobody knows.
    pub open: Vec<String>,
}

/// Turns with a label.
#[derive(Clone, Copy, Default)]
struct Count {
    right: usize,
    decided: usize,
    undecided: usize,
}

impl RecallGate {
    pub(super) fn new(min_recall: f64, run: &Run) -> Self {
        let mut labels: Vec<&str> = run.info.labels.iter().map(String::as_str).collect();
        let mut counts: HashMap<&str, Count> = labels.iter().map(|&label| (label, Count::default())).collect();
        for turn in run.gated() {
            let count = counts.entry(&turn.label).or_insert_with(|| {
                labels.push(&turn.label);
                Count::default()
            });
            count.right += usize::from(turn.agrees());
            *if turn.undecided { &mut count.undecided } else { &mut count.decided } += 1;
        }
        let unreached = run.unreached();
        let mut gate = Self { min_recall, below: Vec::new(), below_counts: Vec::new(), open: Vec::new() };
        for label in labels {
            let Count { right, decided, undecided } = counts[label];
            let unknown = undecided + unreached;
            // Of a route that no case is labelled with there is no recall.
            if decided + unknown == 0 {
                continue;
            }
            let is_below = |right: usize| (right as f64 / (decided + unknown) as f64) < min_recall;
            if is_below(right + unknown) {
                gate.below.push(label.to_owned());
                gate.below_counts.push([right, decided]);
            } else if is_below(right) || (unreached > 0 && min_recall > 0.0) {
                gate.open.push(label.to_owned());
            }
        }
        gate
    }

    /// Returns the routes that do not have the recall for people, each with its right decisions and its cases: `refunds (3 of 5)`.
    pub fn below_words(&self) -> String {
        let counted = self.below.iter().zip(&self.below_counts).map(|(route, [right, cases])| format!("{route} ({right} of {cases})"));
        counted.collect::<Vec<_>>().join(", ")
    }
}

//! What confidence is worth: how it lies among right and wrong decisions, and what a threshold for review would do.

use serde::Serialize;

use super::Judged;

/// Decisions of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ConfidenceBin {
    /// The bin holds confidences from here to the next bin's.
    pub from: f64,
    pub right: usize,
    pub wrong: usize,
}

/// Returns twenty bins of equal width from 0 to 1 over the decisions that have a confidence; none without such.
pub fn confidence_histogram(judged: &[Judged]) -> Vec<ConfidenceBin> {
    const BINS: usize = 20;
    let mut bins: Vec<ConfidenceBin> = (0..BINS).map(|bin| ConfidenceBin { from: bin as f64 / BINS as f64, right: 0, wrong: 0 }).collect();
    let sure = sure(judged);
    if sure.is_empty() {
        return Vec::new();
    }
    for (confidence, right) in sure {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        *if right { &mut bin.right } else { &mut bin.wrong } += 1;
    }
    bins
}

/// Returns the confidences that there are, each with whether the decision is right.
fn sure(judged: &[Judged]) -> Vec<(f64, bool)> {
    judged.iter().filter_map(|case| Some((case.confidence?, case.agrees()))).collect()
}

/// What happens when decisions below a confidence go to somebody who looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReviewPoint {
    /// Decisions of at least this confidence are taken as they are.
    pub threshold: f64,
    /// Share of the decisions that are taken as they are.
    pub coverage: f64,
    /// Share of those that are right; `None` where none is taken.
    pub accuracy: Option<f64>,
}

/// Returns what each threshold from 0 to 1 in steps of 0.05, and 0.99, would do to the decisions that have a confidence; nothing without such.
pub fn review_sweep(judged: &[Judged]) -> Vec<ReviewPoint> {
    let mut sorted = sure(judged);
    if sorted.is_empty() {
        return Vec::new();
    }
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let right: Vec<usize> = std::iter::once(0)
        .chain(sorted.iter().scan(0, |sum, &(_, right)| {
            *sum += usize::from(right);
            Some(*sum)
        }))
        .collect();
    let thresholds = (0..20).map(|step| f64::from(step) / 20.0).chain([0.99, 1.0]);
    let point = |threshold: f64| {
        let taken = sorted.partition_point(|&(confidence, _)| confidence >= threshold);
        ReviewPoint {
            threshold,
            coverage: taken as f64 / sorted.len() as f64,
            accuracy: (taken > 0).then(|| right[taken] as f64 / taken as f64),
        }
    };
    thresholds.map(point).collect()
}

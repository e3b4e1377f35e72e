//! Whether the router is as sure as it is right.

use serde::Serialize;

use super::Judged;

/// Decisions of similar confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    pub cases: usize,
    /// Mean confidence, 0 without cases.
    pub confidence: f64,
    /// Share that agrees with the label, 0 without cases.
    pub agreement: f64,
}

/// The reliability diagram and its summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error (Guo et al., 2017): mean distance of confidence and agreement over the bins, weighted by their cases.
    /// `None` without probabilities.
    pub ece: Option<f64>,
    /// Ten bins of equal width from 0 to 1; empty ones where there are no probabilities.
    pub bins: Vec<ReliabilityBin>,
}

/// Sorts the decisions that have a confidence into ten bins by it and compares it with the share that is right.
pub fn calibration(judged: &[Judged]) -> Calibration {
    const BINS: usize = 10;
    let mut sums = [(0_usize, 0.0_f64, 0_usize); BINS];
    for (case, sure) in judged.iter().filter_map(|case| Some((case, case.confidence?))) {
        let bin = ((sure * BINS as f64) as usize).min(BINS - 1);
        let (cases, confidence, right) = &mut sums[bin];
        *cases += 1;
        *confidence += sure;
        *right += usize::from(case.agrees());
    }
    let bins: Vec<ReliabilityBin> = sums
        .iter()
        .map(|&(cases, confidence, right)| {
            let n = cases.max(1) as f64;
            ReliabilityBin { cases, confidence: confidence / n, agreement: right as f64 / n }
        })
        .collect();
    let total: usize = bins.iter().map(|bin| bin.cases).sum();
    let distance = |bin: &ReliabilityBin| bin.cases as f64 / total as f64 * (bin.confidence - bin.agreement).abs();
    Calibration { ece: (total > 0).then(|| bins.iter().map(distance).sum()), bins }
}

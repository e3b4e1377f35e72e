//! Agreement, per-route precision, recall and F1, the confusion matrix, and the interval that says how far to trust them.

use std::collections::HashMap;

use serde::Serialize;

use super::Judged;

/// How well one route is recognised.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteFigures {
    pub route: String,
    /// Cases with this label.
    pub support: usize,
    /// Share of the decisions for this route that are right; 0 where it was never decided, as scikit-learn has it.
    pub precision: f64,
    /// Share of the cases with this label that were decided so; 0 where there are none.
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    pub f1: f64,
}

/// How often each label was decided as each route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confusion {
    pub labels: Vec<String>,
    /// `counts[i][j]`: cases with label `i` decided as `j`. Errors are decided as nothing and stand apart.
    pub counts: Vec<Vec<usize>>,
}

/// The figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub cases: usize,
    /// Share of cases whose decision equals the label, 0 without cases.
    pub agreement: f64,
    /// 95 % Wilson score interval of the agreement.
    pub agreement_ci95: [f64; 2],
    /// Unweighted mean of F1 over the labels that occur as label or decision.
    pub macro_f1: f64,
    /// Cases in which the gateway would have failed the request.
    pub errors: usize,
    pub per_route: Vec<RouteFigures>,
    pub confusion: Confusion,
}

/// Summarises judged decisions. `labels` are the routes in the order to show them; labels and decisions that are not among them follow.
pub fn summarise(judged: &[Judged], labels: impl IntoIterator<Item = String>) -> Summary {
    let mut order: Vec<String> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let occurring = judged.iter().flat_map(|case| std::iter::once(&case.label).chain(&case.decided).cloned());
    for label in labels.into_iter().chain(occurring) {
        if !index.contains_key(&label) {
            index.insert(label.clone(), order.len());
            order.push(label);
        }
    }
    let mut counts = vec![vec![0; order.len()]; order.len()];
    let mut support = vec![0; order.len()];
    for case in judged {
        let label = index[&case.label];
        support[label] += 1;
        if let Some(decided) = &case.decided {
            counts[label][index[decided]] += 1;
        }
    }
    let per_route: Vec<RouteFigures> = order
        .iter()
        .enumerate()
        .map(|(at, route)| {
            let decided: usize = counts.iter().map(|row: &Vec<usize>| row[at]).sum();
            let right = counts[at][at];
            let (precision, recall) = (share(right, decided), share(right, support[at]));
            let f1 = share(2 * right, decided + support[at]);
            RouteFigures { route: route.clone(), support: support[at], precision, recall, f1 }
        })
        .collect();
    let occurs = |at: usize| support[at] > 0 || counts.iter().any(|row| row[at] > 0);
    let present: Vec<f64> = per_route.iter().enumerate().filter(|(at, _)| occurs(*at)).map(|(_, figures)| figures.f1).collect();
    let agreed = judged.iter().filter(|case| case.agrees()).count();
    Summary {
        cases: judged.len(),
        agreement: share(agreed, judged.len()),
        agreement_ci95: wilson_interval(agreed, judged.len()),
        macro_f1: mean(&present),
        errors: judged.iter().filter(|case| case.decided.is_none()).count(),
        per_route,
        confusion: Confusion { labels: order, counts },
    }
}

/// Returns the 95 % Wilson score interval of a share; everything is possible without cases.
pub fn wilson_interval(successes: usize, cases: usize) -> [f64; 2] {
    if cases == 0 {
        return [0.0, 1.0];
    }
    // The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    let (n, p) = (cases as f64, successes as f64 / cases as f64);
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)]
}

/// Returns the percentile `q` in 0 to 1 of `values` by linear interpolation between neighbours, as numpy does; 0 without values.
pub fn percentile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * sorted.len().saturating_sub(1) as f64;
    match (sorted.get(at.floor() as usize), sorted.get(at.ceil() as usize)) {
        (Some(low), Some(high)) => low + (high - low) * at.fract(),
        _ => 0.0,
    }
}

/// Returns the mean, 0 without values; the sum of nothing is -0, which no report should show.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

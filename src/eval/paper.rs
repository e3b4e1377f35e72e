//! Turn, span and conversation accuracy as in the Arch-Router paper (arXiv 2506.16655, section on metrics).

use serde::Serialize;

use super::Judged;

/// The paper's three accuracies, in 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PaperMetrics {
    /// Share of turns whose route equals the label.
    pub turn: f64,
    /// Share of spans, maximal runs of one label inside a conversation, in which every turn is right.
    pub span: f64,
    /// Share of conversations with every turn right.
    pub conversation: f64,
}

/// Computes the paper's metrics; turns of one conversation must follow each other. `None` without turns.
pub fn paper_metrics(judged: &[Judged]) -> Option<PaperMetrics> {
    let share = |runs: Vec<bool>| runs.iter().filter(|right| **right).count() as f64 / runs.len() as f64;
    let right = |turns: &[Judged]| turns.iter().all(Judged::agrees);
    (!judged.is_empty()).then(|| PaperMetrics {
        turn: share(judged.iter().map(Judged::agrees).collect()),
        span: share(judged.chunk_by(|a, b| a.conversation == b.conversation && a.label == b.label).map(right).collect()),
        conversation: share(judged.chunk_by(|a, b| a.conversation == b.conversation).map(right).collect()),
    })
}

//! Turn, span and conversation accuracy as in the Arch-Router paper (arXiv 2506.16655, section on metrics), and its diagnostics of spans.

use std::collections::BTreeMap;

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
        span: share(each_span(judged).map(right).collect()),
        conversation: share(judged.chunk_by(|a, b| a.conversation == b.conversation).map(right).collect()),
    })
}

/// Returns the maximal runs of one label inside a conversation.
fn each_span(judged: &[Judged]) -> impl Iterator<Item = &[Judged]> {
    judged.chunk_by(|a, b| a.conversation == b.conversation && a.label == b.label)
}

/// Where in a span decisions fail, and what its length costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spans {
    /// By the position in the span, as far as any span goes.
    pub first_failure: Vec<FirstFailure>,
    /// By the length of the span, the shortest first.
    pub by_length: Vec<SpanLength>,
}

/// A position in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FirstFailure {
    /// Counted from 1.
    pub position: usize,
    /// Spans that are so long and right up to here.
    pub reached: usize,
    /// Of these, the spans whose turn here is their first wrong one.
    pub failed: usize,
}

/// Spans of a length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpanLength {
    /// Turns in each.
    pub length: usize,
    pub spans: usize,
    /// Share of them in which every turn is right.
    pub accuracy: f64,
}

/// Looks at the spans of judged turns, those of one conversation after each other.
pub fn spans(judged: &[Judged]) -> Spans {
    let mut lengths: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    let mut first_failure: Vec<FirstFailure> = Vec::new();
    for span in each_span(judged) {
        let failed = span.iter().position(|turn| !turn.agrees());
        let (spans, right) = lengths.entry(span.len()).or_default();
        *spans += 1;
        *right += usize::from(failed.is_none());
        for at in 0..failed.map_or(span.len(), |failed| failed + 1) {
            if first_failure.len() == at {
                first_failure.push(FirstFailure { position: at + 1, reached: 0, failed: 0 });
            }
            first_failure[at].reached += 1;
            first_failure[at].failed += usize::from(failed == Some(at));
        }
    }
    let by_length = lengths.into_iter().map(|(length, (spans, right))| SpanLength { length, spans, accuracy: right as f64 / spans as f64 });
    Spans { first_failure, by_length: by_length.collect() }
}

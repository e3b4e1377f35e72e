//! Figures of a run against scikit-learn and statsmodels, and the paper's metrics by hand.
//!
//! `fixtures/metrics.jsonl` has random labels and decisions with what `precision_recall_fscore_support`, `f1_score`, `confusion_matrix`
//! (scikit-learn), `proportion_confint(method="wilson")` (statsmodels) and `percentile` (numpy) say about them.

use serde::Deserialize;
use waypost::eval::{Judged, calibration, paper_metrics, percentile, spans, summarise};

#[derive(Deserialize)]
struct Fixture {
    labels: Vec<String>,
    y: Vec<String>,
    decided: Vec<Option<String>>,
    confidence: Vec<f64>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<usize>,
    macro_f1: f64,
    confusion: Vec<Vec<usize>>,
    wilson: [f64; 2],
    ece: f64,
    p50: f64,
    p95: f64,
}

#[track_caller]
fn close(ours: f64, theirs: f64) {
    assert!((ours - theirs).abs() < 1e-9, "{ours} against {theirs}");
}

#[test]
fn figures_equal_scikit_learn_and_statsmodels() {
    for line in include_str!("fixtures/metrics.jsonl").lines() {
        let fixture: Fixture = serde_json::from_str(line).unwrap();
        let cases = fixture.y.iter().zip(&fixture.decided).zip(&fixture.confidence).enumerate();
        let judged: Vec<Judged> = cases
            .map(|(conversation, ((label, decided), &confidence))| Judged {
                conversation,
                label: label.clone(),
                decided: decided.clone(),
                confidence: Some(confidence),
            })
            .collect();
        let summary = summarise(&judged, fixture.labels.iter().cloned());
        assert_eq!(summary.confusion.labels, fixture.labels);
        assert_eq!(summary.confusion.counts, fixture.confusion);
        assert_eq!(summary.errors, fixture.decided.iter().filter(|decided| decided.is_none()).count());
        for (at, ours) in summary.per_route.iter().enumerate() {
            assert_eq!(ours.support, fixture.support[at]);
            close(ours.precision, fixture.precision[at]);
            close(ours.recall, fixture.recall[at]);
            close(ours.f1, fixture.f1[at]);
        }
        close(summary.macro_f1, fixture.macro_f1);
        close(summary.agreement_ci95[0], fixture.wilson[0]);
        close(summary.agreement_ci95[1], fixture.wilson[1]);
        close(calibration(&judged).ece.unwrap(), fixture.ece);
        close(percentile(&fixture.confidence, 0.5), fixture.p50);
        close(percentile(&fixture.confidence, 0.95), fixture.p95);
    }
}

#[test]
fn spans_end_where_the_label_or_the_conversation_does() {
    // Conversation 0: spans aa (right), b (wrong); conversation 1: spans b (right), a (right). A label that goes on in the next
    // conversation starts a new span.
    let turns = [(0, "a", "a"), (0, "a", "a"), (0, "b", "a"), (1, "b", "b"), (1, "a", "a")];
    let judged: Vec<Judged> = turns
        .iter()
        .map(|&(conversation, label, decided)| Judged {
            conversation,
            label: label.to_owned(),
            decided: Some(decided.to_owned()),
            confidence: Some(1.0),
        })
        .collect();
    let paper = paper_metrics(&judged).unwrap();
    assert_eq!((paper.turn, paper.span, paper.conversation), (0.8, 0.75, 0.5));
    assert_eq!(paper_metrics(&[]), None);
    let spans = spans(&judged);
    let lengths: Vec<_> = spans.by_length.iter().map(|of| (of.length, of.spans, of.accuracy)).collect();
    assert_eq!(lengths, [(1, 3, 2.0 / 3.0), (2, 1, 1.0)]);
    let failures: Vec<_> = spans.first_failure.iter().map(|at| (at.position, at.reached, at.failed)).collect();
    assert_eq!(failures, [(1, 4, 1), (2, 1, 0)]);
}

#[test]
fn nothing_is_claimed_without_cases() {
    let summary = summarise(&[], ["a".to_owned()]);
    assert_eq!((summary.cases, summary.agreement, summary.agreement_ci95), (0, 0.0, [0.0, 1.0]));
    assert_eq!(summary.confusion.counts, [[0]]);
}

//! What a run over a labelled set shows: agreement with its uncertainty, per-route figures, the paper's metrics, calibration.
//!
//! Pure functions over plain results; who decided, and how, is not known here.

mod calibration;
mod compare;
mod confidence;
mod figures;
mod metrics;
mod models;
mod overlap;
mod pairs;
mod paper;
mod random;
mod recall_gate;
mod run;
mod scenarios;
mod significance;
mod slices;
mod verdict;

pub use calibration::{Calibration, ReliabilityBin, calibration};
pub use compare::{Better, Cause, Causes, Comparison, Difference, Flip, FlipKind, RouteDelta, Side, compare};
pub use confidence::{ConfidenceBin, ReviewPoint, confidence_histogram, review_sweep};
pub use figures::{ErrorKind, Figures, GateFigures, OrderFigures, Percentiles, figures};
pub use metrics::{Confusion, RouteFigures, Summary, percentile, summarise, wilson_interval};
pub use models::{ModelCount, ModelFigures};
pub use overlap::{OverlapCase, RoutePair, overlap};
pub use pairs::case_rows;
pub use paper::{FirstFailure, PaperMetrics, SpanLength, Spans, paper_metrics, spans};
pub use random::SplitMix;
pub use recall_gate::RecallGate;
pub use run::{LeftOut, Run, RunInfo, Source, TurnKey, TurnResult, case_name};
pub use scenarios::{Scenarios, Share, scenarios};
pub use significance::{McNemar, mcnemar};
pub use slices::{Slice, TagFigures, TurnFigures};

/// One labelled decision: a user turn with its expected route and what was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Position of the conversation in the set; turns of one conversation share it and follow each other.
    pub conversation: usize,
    /// The expected route's name; `other` for no route.
    pub label: String,
    /// The decided route's name, `other` for no route, `None` where the gateway would have failed.
    pub decided: Option<String>,
    /// Probability of the decided answer, in 0 to 1; `None` for an error and where nobody told it.
    pub confidence: Option<f64>,
}

impl Judged {
    /// Returns whether the decision equals the label.
    pub fn agrees(&self) -> bool {
        self.decided.as_ref() == Some(&self.label)
    }
}

//! Measuring a policy on a labelled set, for the command line and the window alike: [`plan`] gives the requests for
//! [`crate::engine::Router::decide_all`] and a [`Collector`] that takes the decisions and makes the [`crate::eval::Run`].
//!
//! Results are kept (`kept`), so that a run that was stopped goes on where it was and a second run decides only what changed. `runs` writes runs
//! to folders and reads them, `attribution` finds which edit of a policy causes a flip, `digest` knows routers by their files.

mod attribution;
mod collector;
mod digest;
mod kept;
mod requests;
mod runs;
mod sets;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use crate::decision::RouterInfo;
use crate::eval::{LeftOut, RunInfo, Source};
use crate::formats::{FormatError, LabelledSet, policy_digest};
use crate::policy::{DialectId, NO_ROUTE_LABEL, Policy};

pub use attribution::{Attribution, attribute};
pub use collector::{Collector, Progressed, Resumable};
pub use digest::router_digest;
pub use kept::{KeptResults, results_folder};
pub use requests::{Requests, Step};
pub use runs::{SavedRun, list_runs, open_run, run_folder_name, write_findings, write_run};
pub use sets::apply_set_edit;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Measurement {
    pub policy: Arc<Policy>,
    /// For reports.
    pub policy_source: Source,
    pub set: Arc<LabelledSet>,
    pub dialect: DialectId,
    /// Estimated tokens that a prompt is allowed, whatever the policy says; `None` follows the policy.
    pub budget: Option<usize>,
    /// Other orders of the routes to decide under besides the policy's own, fewer where there are fewer.
    pub orders: usize,
    pub seed: u64,
    /// Measure only the first so many cases.
    pub limit: Option<usize>,
    pub router: RouterInfo,
    /// As [`router_digest`] gives it; `None` for a router that runs elsewhere.
    pub router_digest: Option<String>,
    /// For people; the policy's name or its file's where it is empty.
    pub name: String,
    pub min_agreement: Option<f64>,
    pub min_recall: Option<f64>,
    /// Where results are kept and taken from; `None` decides everything anew.
    pub kept: Option<PathBuf>,
}

impl Measurement {
    /// Returns the budget of each prompt; `None` stands for the dialect's own.
    fn prompt_budget(&self) -> Option<usize> {
        self.budget.or_else(|| self.policy.budget_for(self.dialect))
    }
}

/// Prepares a measurement: hand the requests to the router, and each of its results to the collector.
///
/// # Errors
/// The set's file cannot be read again. That results cannot be kept is no error: [`Collector::warning`] says so.
pub fn plan(measurement: &Measurement) -> Result<(Requests, Collector), FormatError> {
    let reader = measurement.set.reader()?;
    let planned = measurement.set.turns(measurement.limit);
    let (kept, warning) = match measurement.kept.as_deref().map(|folder| KeptResults::open(folder, measurement)) {
        Some(Ok(kept)) => (Some(kept), None),
        Some(Err(sentence)) => (None, Some(sentence)),
        None => (None, None),
    };
    let (lookup, keep) = match kept {
        Some(kept) => {
            let (lookup, keep) = kept.split(measurement.orders);
            (lookup, Some(keep))
        }
        None => (None, None),
    };
    let (sender, receiver) = mpsc::channel();
    let labels: Vec<String> = measurement.policy.routes.iter().map(|route| route.name.clone()).chain([NO_ROUTE_LABEL.to_owned()]).collect();
    let labels = deduplicated(labels);
    let answers = labels.len();
    let per_turn = measurement.set.is_per_turn();
    let measured = measurement.set.cases().iter().enumerate().filter(|(_, case)| case.is_labelled());
    let measured = measured.take(measurement.limit.unwrap_or(usize::MAX));
    let one_label = measured.filter(|(_, case)| per_turn && !case.per_turn).map(|(at, _)| at).collect();
    let info = RunInfo {
        name: name(measurement),
        date: super::clock::now(),
        waypost: env!("CARGO_PKG_VERSION").to_owned(),
        policy: measurement.policy_source.clone(),
        policy_digest: policy_digest(&measurement.policy),
        set: Source { path: measurement.set.label().to_owned(), sha256: measurement.set.sha256().to_owned() },
        router: measurement.router.clone(),
        router_digest: measurement.router_digest.clone(),
        dialect: measurement.dialect,
        budget: measurement.prompt_budget(),
        orders: measurement.orders,
        seed: measurement.seed,
        planned,
        beyond_limit: measurement.set.turns(None).saturating_sub(planned),
        reused: 0,
        seconds: 0.0,
        min_agreement: measurement.min_agreement,
        min_recall: measurement.min_recall,
        per_turn,
        one_label,
        left_out: LeftOut::new(measurement.set.bad().iter().map(ToString::to_string)),
        incomplete: Vec::new(),
        labels,
    };
    let requests = Requests::new(measurement.clone(), answers, reader, lookup, sender);
    let (policy, set) = (Arc::clone(&measurement.policy), Arc::clone(&measurement.set));
    Ok((requests, Collector::new(info, policy, set, receiver, keep, warning)))
}

fn name(measurement: &Measurement) -> String {
    if !measurement.name.is_empty() {
        return measurement.name.clone();
    }
    let path = std::path::Path::new(&measurement.policy_source.path);
    let stem = || path.file_stem().map_or_else(|| "policy".to_owned(), |stem| stem.to_string_lossy().into_owned());
    measurement.policy.name.clone().unwrap_or_else(stem)
}

/// A route may itself be called `other`, which is then the same answer as no route.
fn deduplicated(labels: Vec<String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        if !unique.contains(&label) {
            unique.push(label);
        }
    }
    unique
}

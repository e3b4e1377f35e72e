//! `waypost eval`: agreement over a labelled set.

use std::path::Path;
use std::sync::Arc;

use super::args::EvalArguments;
use super::input::{note_budget, refuse_two_stdins};
use super::measure::{Measured, ReadPolicy, asked_again, kept, measure, open_set, read_policy_file, stop_at_interrupt, warn_findings};
use super::{Failure, report, router};
use crate::app::measure::{Measurement, write_findings, write_run};
use crate::eval::{Figures, Run, figures};
use crate::formats::{LabelledSet, SetFinding, report_text, wrong_cases_text};
use crate::policy::DialectId;

/// Measures, prints and writes, and fails the gate when the agreement or a route's recall is below the required minimum.
///
/// # Errors
/// Fails on bad input, when the router cannot be loaded or run, when a gate fails or depends on what the router did not decide, and when it
/// was interrupted: then after the report of what was decided.
pub fn run(arguments: &EvalArguments) -> Result<(), Failure> {
    refuse_two_stdins([("--policy", arguments.policy.as_path()), ("--set", arguments.set.as_path())])?;
    check_share("--min-agreement", arguments.min_agreement)?;
    check_share("--min-recall", arguments.min_recall)?;
    let ReadPolicy { policy, source } = read_policy_file(&arguments.policy)?;
    let opened = open_set(&arguments.set)?;
    let set = &opened.set;
    let findings = set.findings(&policy);
    warn_findings(&findings);
    if let Some(folder) = &arguments.out {
        check_folder(folder)?;
    }
    let mut router = router::open(&arguments.router)?;
    let description = router.description();
    let router_digest = router::digest(&description, &router::source_of(&arguments.router)?)?;
    let dialect = arguments.dialect.or(policy.dialect).unwrap_or(DialectId::DEFAULT);
    note_budget(arguments.budget, description.info.dialect_of(dialect));
    let measurement = Measurement {
        dialect,
        budget: arguments.budget,
        policy,
        policy_source: source,
        set: Arc::clone(set),
        orders: arguments.orders,
        seed: arguments.seed,
        limit: arguments.limit,
        router: description.info,
        router_digest,
        name: String::new(),
        min_agreement: arguments.min_agreement,
        min_recall: arguments.min_recall,
        kept: kept(&arguments.keep),
    };
    let Measured { run, failure, is_kept, resumable } = measure(&measurement, router.as_mut(), &stop_at_interrupt()?)?;
    let figures = figures(&run);
    // First, so that a folder that cannot be written to any more does not cost the figures too.
    let printed =
        if arguments.json { report::print_json(&figures) } else { report::print(&(report_text(&figures) + &wrong_cases_text(&run))) };
    if let Some(folder) = &arguments.out {
        write(folder, &run)?;
        write_set(folder, set, &findings)?;
    }
    printed?;
    resumable.end();
    if let Some(failure) = failure {
        return Err(failure);
    }
    gates(&figures, is_kept)
}

/// Judges the gates: each passes or fails only where it does so whatever the decisions are that the router did not give. `is_kept` is
/// [`Measured::is_kept`].
fn gates(figures: &Figures, is_kept: bool) -> Result<(), Failure> {
    let (mut failed, mut open) = (Vec::new(), Vec::new());
    if let Some(gate) = figures.gate.as_ref().filter(|gate| !gate.passed) {
        if gate.open {
            open.push(format!("the agreement of at least {}", gate.min_agreement));
        } else {
            // Counts, since a share could be rounded to what is required.
            let (right, cases) = (gate.right, gate.cases);
            failed.push(format!("the agreement ({right} of {cases} cases) is below the required {}", gate.min_agreement));
        }
    }
    if let Some(gate) = &figures.recall_gate {
        if !gate.below.is_empty() {
            failed.push(format!("the recall of {} is below the required {}", gate.below_words(), gate.min_recall));
        }
        if !gate.open.is_empty() {
            open.push(format!("the recall of at least {} of {}", gate.min_recall, gate.open.join(", ")));
        }
    }
    match (failed.is_empty(), open.is_empty()) {
        (false, _) => Err(Failure::Gate(failed.join("; ") + &figures.gated_words())),
        (true, false) => Err(Failure::Router(format!(
            "{} was neither reached nor missed: it depends on undecided cases; {}",
            open.join(" and "),
            asked_again(is_kept)
        ))),
        (true, true) => Ok(()),
    }
}

/// Refuses a share outside 0 to 1, which is most likely meant as per cent.
fn check_share(name: &str, share: Option<f64>) -> Result<(), Failure> {
    match share {
        Some(share) if !(0.0..=1.0).contains(&share) => {
            Err(Failure::Input(format!("{name} {share}: write a share from 0 to 1, for example 0.85 for 85 %")))
        }
        _ => Ok(()),
    }
}

/// Makes a folder before the long work and tries whether it can be written to, so that a mistyped path costs nothing.
///
/// # Errors
/// Fails where it cannot be made or written to.
pub fn check_folder(folder: &Path) -> Result<(), Failure> {
    let failed = |reason: String| Failure::Input(format!("--out {}: {reason}; name another folder", folder.display()));
    std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
    // Of the error the kind alone: the rest may be the name of the file that was tried.
    tempfile::tempfile_in(folder).map(drop).map_err(|error| failed(format!("no file can be written there ({})", error.kind())))
}

/// Writes a run to a folder.
///
/// # Errors
/// Fails where the folder cannot be written to.
pub fn write(folder: &Path, run: &Run) -> Result<(), Failure> {
    write_run(folder, run).map_err(|error| Failure::Input(format!("--out {}: {error}; name another folder", folder.display())))
}

/// Writes what is wrong and odd with the set of a run into the run's folder.
///
/// # Errors
/// As [`write()`].
pub fn write_set(folder: &Path, set: &LabelledSet, findings: &[SetFinding]) -> Result<(), Failure> {
    let written = write_findings(folder, set, findings);
    written.map_err(|error| Failure::Input(format!("--out {}: {error}; name another folder", folder.display())))
}

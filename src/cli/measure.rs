//! What `waypost eval` and `waypost compare` share: opening a set, measuring with a progress bar, stopping at Ctrl+C.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::args::KeepArguments;
use super::input::{is_stdin, read_policy};
use super::{Failure, report};
use crate::app::measure::{Collector, Measurement, Progressed, Resumable, Step, plan, results_folder};
use crate::engine::{CancelToken, EngineError, Router};
use crate::eval::{Run, Source};
use crate::formats::{Digesting, LabelledSet, STDIN, SetFinding, open, read_text_from};
use crate::policy::Policy;

/// A policy and the file it came from.
#[derive(Clone)]
pub struct ReadPolicy {
    pub policy: Arc<Policy>,
    pub source: Source,
}

/// Reads a policy, from standard input for `-`.
///
/// # Errors
/// Fails on a file that cannot be read or is no policy.
pub fn read_policy_file(path: &Path) -> Result<ReadPolicy, Failure> {
    // Of the bytes as they are, so that `sha256sum` says the same: reading them as text drops a byte order mark. And of those that were read,
    // since a pipe gives them once.
    let label = if is_stdin(path) { STDIN.to_owned() } else { path.display().to_string() };
    let from: Box<dyn Read> = if is_stdin(path) { Box::new(std::io::stdin().lock()) } else { Box::new(open(path)?) };
    let mut from = Digesting::new(from);
    let policy = Arc::new(read_policy(&read_text_from(&mut from, &label)?, &label)?);
    Ok(ReadPolicy { policy, source: Source { path: label, sha256: from.finish() } })
}

/// A set that is open, and the copy of standard input or of a pipe that it may be read from.
pub struct OpenSet {
    pub set: Arc<LabelledSet>,
    _copy: Option<tempfile::NamedTempFile>,
}

/// Opens a set, with a progress bar on a terminal for a large one, and says what is wrong with it.
///
/// # Errors
/// Fails on a file that cannot be read, and on one without any usable case.
pub fn open_set(path: &Path) -> Result<OpenSet, Failure> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("Reading the set {wide_bar} {bytes}/{total_bytes}") {
        bar.set_style(style);
    }
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        true
    };
    let (copy, label) = if is_stdin(path) {
        (Some(copy_of(std::io::stdin().lock(), STDIN, MAX_COPIED)?), STDIN.to_owned())
    } else {
        let label = path.display().to_string();
        let is_pipe = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
        (if is_pipe { Some(copy_of(open(path)?, &label, MAX_COPIED)?) } else { None }, label)
    };
    let opened = match &copy {
        Some(copy) => LabelledSet::open_as(copy.path(), &label, &mut progress),
        None => LabelledSet::open(path, &mut progress),
    };
    bar.finish_and_clear();
    let Some(set) = opened? else { return Err(Failure::Input("reading the set was stopped".to_owned())) };
    warn_all(set.bad().iter().map(|error| format!("{error}; the case is left out")));
    let unlabelled = set.unlabelled().len();
    if unlabelled > 0 {
        let lines =
            if unlabelled == 1 { "1 line has no label and is".to_owned() } else { format!("{unlabelled} lines have no label and are") };
        warn_all(std::iter::once(format!("{}: {lines} left out; label them in the window, Batch, Set", set.label())));
    }
    if set.labelled() == 0 {
        return Err(Failure::Input(format!("{} has no usable case; add conversations with their expected route", set.label())));
    }
    Ok(OpenSet { set: Arc::new(set), _copy: copy })
}

/// Bytes of a set that are taken from where they come only once; some devices never end.
const MAX_COPIED: u64 = 1 << 30;

/// A set is read twice, which standard input and pipes cannot.
fn copy_of(from: impl Read, label: &str, limit: u64) -> Result<tempfile::NamedTempFile, Failure> {
    let failed = |error: std::io::Error| Failure::Input(format!("{label}: {error}; save the set to a file and name that"));
    let mut copy = tempfile::NamedTempFile::new().map_err(failed)?;
    let copied = std::io::copy(&mut from.take(limit + 1), &mut copy).map_err(failed)?;
    if copied > limit {
        return Err(Failure::Input(format!("{label}: the set is larger than {} MiB; save it to a file and name that", limit >> 20)));
    }
    copy.flush().map_err(failed)?;
    Ok(copy)
}

/// Warnings of one kind that are printed: a screenful.
const SHOWN: usize = 20;

/// Prints what is wrong with the lines of a set to standard error, a screenful at most.
fn warn_all(warnings: impl ExactSizeIterator<Item = String>) {
    let count = warnings.len();
    for warning in warnings.take(SHOWN) {
        report::tell(&format!("warning: {warning}"));
    }
    if count > SHOWN {
        report::tell(&format!("warning: and {} more like these; --out DIR writes all of them to set_findings.csv", count - SHOWN));
    }
}

/// Prints what is odd about a set to standard error, a screenful at most.
pub fn warn_findings(findings: &[SetFinding]) {
    warn_all(findings.iter().map(ToString::to_string));
    if findings.len() <= SHOWN && findings.iter().any(SetFinding::is_shortened) {
        report::tell("--out DIR writes all of these lines to set_findings.csv");
    }
}

/// Returns the folder where results are kept, as the arguments wish.
pub fn kept(arguments: &KeepArguments) -> Option<PathBuf> {
    if arguments.no_cache { None } else { arguments.cache.clone().or_else(results_folder) }
}

/// Asks running work to stop at the first Ctrl+C or termination, and ends the process at the second.
///
/// # Errors
/// Fails where the system lets nobody listen.
pub fn stop_at_interrupt() -> Result<CancelToken, Failure> {
    let token = CancelToken::default();
    let (stop, presses) = (token.clone(), AtomicUsize::new(0));
    ctrlc::set_handler(move || {
        stop.cancel();
        if presses.fetch_add(1, Ordering::Relaxed) > 0 {
            std::process::exit(STOPPED.into());
        }
    })
    .map_err(|error| Failure::Input(format!("cannot install a Ctrl+C handler ({error})")))?;
    Ok(token)
}

/// The exit status of what a user interrupted, as shells have it.
pub const STOPPED: u8 = 130;

/// What measuring gave.
pub struct Measured {
    pub run: Run,
    /// Why it is not the whole run.
    pub failure: Option<Failure>,
    /// Whether its results are kept, so that the same command goes on from them.
    pub is_kept: bool,
    /// To be ended once the run is where it belongs: until then the same command goes on from it.
    pub resumable: Resumable,
}

/// Measures; a run that was stopped or whose router failed is returned as far as it came, with the reason.
///
/// # Errors
/// Fails when the set cannot be read again.
pub fn measure(measurement: &Measurement, router: &mut dyn Router, cancel: &CancelToken) -> Result<Measured, Failure> {
    let (mut requests, collector) = plan(measurement)?;
    let bar = ProgressBar::new(collector.progress().planned as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    let shown: Cell<Option<Instant>> = Cell::new(None);
    let show = |collector: &Collector| {
        // Making the line costs more than a kept result does.
        if shown.get().is_none_or(|shown| shown.elapsed() >= Duration::from_millis(100)) {
            shown.set(Some(Instant::now()));
            let progress = collector.progress();
            bar.set_position(progress.done as u64);
            bar.set_message(progress_line(&progress));
        }
    };
    let collector = RefCell::new(collector);
    let mut done = |request, result| {
        let mut collector = collector.borrow_mut();
        collector.take(request, result);
        show(&collector);
    };
    // Where results are kept the router waits for its next request, and looks at nothing meanwhile.
    let mut asked = std::iter::from_fn(|| {
        loop {
            match requests.step()? {
                Step::Ask(request) => return Some(request),
                Step::Known if cancel.is_cancelled() => return None,
                Step::Known => {
                    let mut collector = collector.borrow_mut();
                    collector.listen();
                    show(&collector);
                }
            }
        }
    });
    let outcome = router.decide_all(&mut asked, &mut done, cancel);
    bar.finish_and_clear();
    let mut collector = collector.into_inner();
    let run = collector.run();
    let outcome = outcome.and_then(|()| if run.turns.len() < run.info.planned { cancel.check() } else { Ok(()) });
    let warning = collector.warning();
    if let Some(warning) = warning {
        report::tell(&format!("warning: {warning}"));
    }
    // A running gateway cuts by a dialect that it does not tell.
    let cut = if measurement.router.live_gateway().is_none() { requests.cut() } else { 0 };
    if cut > 0 {
        let were = if cut == 1 { "1 case was".to_owned() } else { format!("{cut} cases were") };
        let dialect = measurement.dialect;
        report::tell(&format!(
            "note: {were} cut: {dialect} does not send all of so long a conversation; waypost prompt says what it sends"
        ));
    }
    let is_kept = measurement.kept.is_some() && warning.is_none();
    let mut none_decided = None;
    if let Some(reason) = run.turns.iter().find(|turn| turn.undecided).map(|turn| turn.error.as_deref().unwrap_or_default()) {
        let (undecided, asked, again) = (run.undecided(), run.turns.len(), asked_again(is_kept));
        // Of the whole run, kept results included: a run that goes on may ask for nothing but what a server refused before.
        if outcome.is_ok() && run.has_no_decision() {
            none_decided = Some(Failure::Router(format!("no case was decided ({reason}); {again}")));
        } else {
            report::tell(&format!(
                "warning: {undecided} of {asked} cases were not decided and are left out of every figure ({reason}); {again}"
            ));
        }
    }
    let unreadable = collector.unreadable().map(|error| Failure::Input(error.to_string()));
    let failure = outcome.err().map(|error| match error {
        EngineError::Cancelled => {
            let (done, planned) = (run.turns.len(), run.info.planned);
            let next = if is_kept { "the same command goes on from there" } else { "no result is kept, so the same command starts over" };
            Failure::Stopped(format!("stopped after {done} of {planned} cases; {next}"))
        }
        error => Failure::from(error),
    });
    Ok(Measured { run, failure: unreadable.or(failure).or(none_decided), is_kept, resumable: collector.into_resumable() })
}

/// Returns what the same command does about cases that were not decided.
pub fn asked_again(is_kept: bool) -> &'static str {
    if is_kept { "the same command asks for them again" } else { "no result is kept, so the same command measures all cases again" }
}

fn progress_line(progress: &Progressed) -> String {
    let left = match progress.left {
        Some(seconds) => format!("{} left", duration(seconds)),
        None => "starting".to_owned(),
    };
    let decided = progress.done - progress.undecided;
    let agreement = 100.0 * progress.agreed as f64 / decided.max(1) as f64;
    let undecided = if progress.undecided > 0 { format!("  {} not decided", progress.undecided) } else { String::new() };
    format!("{:.1}/s  {left}  agreement {agreement:.1} %{undecided}", progress.rate)
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_not_copied_for_ever() {
        let failed = copy_of(std::io::repeat(b'a'), "/dev/zero", 1 << 20);
        assert!(matches!(failed, Err(Failure::Input(sentence)) if sentence.contains("larger than 1 MiB")));
        assert!(copy_of(&b"text"[..], STDIN, 4).is_ok());
    }
}

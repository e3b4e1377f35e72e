//! What `waypost eval` and `waypost compare` share: opening a set, measuring with a progress bar, stopping at Ctrl+C.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest as _, Sha256};

use super::args::KeepArguments;
use super::input::{is_stdin, read_policy};
use super::{Failure, report};
use crate::app::measure::{Measurement, Progressed, plan, results_folder};
use crate::engine::{CancelToken, EngineError, Router};
use crate::eval::{Run, Source};
use crate::formats::{LabelledSet, STDIN, read_text, read_text_from};
use crate::policy::Policy;

/// A policy and the file it came from.
pub struct ReadPolicy {
    pub policy: Arc<Policy>,
    pub source: Source,
}

/// Reads a policy, from standard input for `-`.
///
/// # Errors
/// Fails on a file that cannot be read or is no policy.
pub fn read_policy_file(path: &Path) -> Result<ReadPolicy, Failure> {
    let (text, label) = if is_stdin(path) {
        (read_text_from(std::io::stdin().lock(), STDIN)?, STDIN.to_owned())
    } else {
        (read_text(path)?, path.display().to_string())
    };
    let policy = Arc::new(read_policy(&text, &label)?);
    // Of the file as it is, so that `sha256sum` says the same; reading it as text drops a byte order mark.
    let bytes = if is_stdin(path) { text.into_bytes() } else { std::fs::read(path).unwrap_or_default() };
    let sha256 = Sha256::digest(&bytes).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    Ok(ReadPolicy { policy, source: Source { path: label, sha256 } })
}

/// A set that is open, and the copy of standard input that it may be read from.
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
    let copy = if is_stdin(path) { Some(copy_of_stdin()?) } else { None };
    let opened = match &copy {
        Some(copy) => LabelledSet::open_as(copy.path(), STDIN, &mut progress),
        None => LabelledSet::open(path, &mut progress),
    };
    bar.finish_and_clear();
    let Some(set) = opened? else { return Err(Failure::Input("reading the set was stopped".to_owned())) };
    warn_all(set.bad().iter().map(|error| format!("{error}; the case is left out")));
    if set.cases().is_empty() {
        return Err(Failure::Input(format!("{} has no usable case; add conversations with their expected route", set.label())));
    }
    Ok(OpenSet { set: Arc::new(set), _copy: copy })
}

/// A set is read twice, which standard input cannot.
fn copy_of_stdin() -> Result<tempfile::NamedTempFile, Failure> {
    let failed = |error: std::io::Error| Failure::Input(format!("{STDIN}: {error}"));
    let mut copy = tempfile::NamedTempFile::new().map_err(failed)?;
    std::io::copy(&mut std::io::stdin().lock(), &mut copy).and_then(|_| copy.flush()).map_err(failed)?;
    Ok(copy)
}

/// Prints warnings to standard error, a screenful at most.
pub fn warn_all(warnings: impl ExactSizeIterator<Item = String>) {
    const SHOWN: usize = 20;
    let count = warnings.len();
    for warning in warnings.take(SHOWN) {
        report::tell(&format!("warning: {warning}"));
    }
    if count > SHOWN {
        report::tell(&format!("warning: and {} more like these", count - SHOWN));
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
    .map_err(|error| Failure::Input(format!("Ctrl+C cannot be listened to ({error})")))?;
    Ok(token)
}

/// The exit status of what a user interrupted, as shells have it.
pub const STOPPED: u8 = 130;

/// Measures; a run that was stopped or whose router failed is returned as far as it came, with the reason.
///
/// # Errors
/// Fails when the set cannot be read again.
pub fn measure(measurement: &Measurement, router: &mut dyn Router, cancel: &CancelToken) -> Result<(Run, Option<Failure>), Failure> {
    let (mut requests, mut collector) = plan(measurement)?;
    let bar = ProgressBar::new(collector.progress().planned as u64);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {msg}") {
        bar.set_style(style);
    }
    let mut shown: Option<Instant> = None;
    let mut done = |request, result| {
        collector.take(request, result);
        // Making the line costs more than a kept result does.
        if shown.is_none_or(|shown| shown.elapsed() >= Duration::from_millis(100)) {
            shown = Some(Instant::now());
            let progress = collector.progress();
            bar.set_position(progress.done as u64);
            bar.set_message(progress_line(&progress));
        }
    };
    let outcome = router.decide_all(&mut requests, &mut done, cancel);
    bar.finish_and_clear();
    let run = collector.run();
    if let Some(warning) = collector.warning() {
        report::tell(&format!("warning: {warning}"));
    }
    collector.end();
    let failure = outcome.err().map(|error| match error {
        EngineError::Cancelled => {
            let (done, planned) = (run.turns.len(), run.info.planned);
            Failure::Stopped(format!("stopped after {done} of {planned} cases; the same command goes on from there"))
        }
        error => Failure::from(error),
    });
    Ok((run, failure))
}

fn progress_line(progress: &Progressed) -> String {
    let left = match progress.left {
        Some(seconds) => format!("{} left", duration(seconds)),
        None => "starting".to_owned(),
    };
    let agreement = 100.0 * progress.agreed as f64 / progress.done.max(1) as f64;
    format!("{:.1}/s  {left}  agreement {agreement:.1} %", progress.rate)
}

fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

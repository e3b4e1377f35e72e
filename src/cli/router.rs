//! From `--router` to a loaded router.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{AskingArguments, Device, RouterArguments};
use super::{Failure, report};
use crate::app::measure::router_digest;
use crate::engine::{
    CancelToken, DeviceChoice, EngineError, Limits, LocalRouter, OnProgress, Progress, Router, RouterDescription, RouterSource,
    RouterStamp, find_in_cache, load, open_router,
};

/// Reads the value of `--router`.
///
/// # Errors
/// Fails on a value that is none of the known kinds: as bad usage, or as a router that cannot be loaded where the value is a path.
pub fn source(value: &str) -> Result<RouterSource, Failure> {
    value.parse().map_err(|reason| {
        let sentence = format!("--router {reason}");
        if is_path(value) { Failure::Router(sentence) } else { Failure::Input(sentence) }
    })
}

/// Returns whether a value can only be meant as a place on this machine: it begins as paths do, or with a folder that is here.
pub fn is_path(value: &str) -> bool {
    let first = value.split_once(std::path::is_separator).map(|(first, _)| first);
    value.starts_with(['.', '~']) || Path::new(value).has_root() || first.is_some_and(|first| Path::new(first).is_dir())
}

/// Reads the value of `--router` together with how a server is to be asked.
///
/// # Errors
/// Fails as [`source`] does.
pub fn source_of(arguments: &RouterArguments) -> Result<RouterSource, Failure> {
    let AskingArguments { in_flight, timeout } = arguments.asking;
    let limit = Duration::try_from_secs_f64(timeout).ok().filter(|timeout| !timeout.is_zero());
    let limit = limit.ok_or_else(|| Failure::Input(format!("--timeout {timeout}: give seconds above 0")))?;
    let limits = Limits { in_flight: in_flight.max(1), timeout: limit, ..Limits::default() };
    Ok(source(arguments.router.as_deref().unwrap_or("builtin"))?.with_limits(limits))
}

/// Looks whether a router is where it is said to be, without loading it: for routers that are needed only after long work.
///
/// # Errors
/// Fails when the value is none of the known kinds, and when there are no files of the router here. Whether a server answers is not asked.
pub fn check(arguments: &RouterArguments) -> Result<(), Failure> {
    let source = source_of(arguments)?;
    if let RouterSource::Hub(id) = &source {
        find_in_cache(id)?;
    }
    source.path().map_or(Ok(()), check_path)
}

/// Looks whether the file or folder of a router is there.
///
/// # Errors
/// There is none.
pub fn check_path(path: &Path) -> Result<(), Failure> {
    if path.exists() { Ok(()) } else { Err(Failure::Router(format!("{}: there is no such file; check the path", path.display()))) }
}

/// Opens the router, with a progress bar on a terminal.
///
/// # Errors
/// Fails when the value is none of the known kinds, or the router cannot be loaded or reached.
pub fn open(arguments: &RouterArguments) -> Result<Box<dyn Router>, Failure> {
    let router = with_bar(&source_of(arguments)?, arguments.device, open_router)?;
    tell_refused(&router.description());
    Ok(router)
}

/// Loads a router that runs here, for what servers do not offer; `value` is that of `--router`.
///
/// # Errors
/// Fails as [`open`] does, and for servers.
pub fn open_local(value: &str, device: Device) -> Result<LocalRouter, Failure> {
    let router = with_bar(&source(value)?, device, load)?;
    tell_refused(&router.description());
    Ok(router)
}

/// Returns the digest of the files that a router was loaded from; `None` for one that runs elsewhere.
///
/// # Errors
/// Fails where the files have changed since: its results would stand under the digest of the new ones.
pub fn digest(description: &RouterDescription, source: &RouterSource) -> Result<Option<String>, Failure> {
    let digest = router_digest(source, None);
    // After the digest, which is then of the files that the router in memory was read from.
    check_unchanged(description, source).map(|()| digest)
}

fn check_unchanged(RouterDescription { label, stamp, .. }: &RouterDescription, source: &RouterSource) -> Result<(), Failure> {
    if stamp.as_ref().is_none_or(|stamp| *stamp == RouterStamp::of(source)) {
        return Ok(());
    }
    Err(Failure::Router(format!("{label}: the router's files have changed since it was loaded; give the same command again")))
}

/// Tells why a router runs on a slower device than the machine may have: a decision that takes a hundred times as long needs a reason.
fn tell_refused(description: &RouterDescription) {
    for reason in &description.refused {
        report::tell(&format!("note: the router runs on {}: {reason}", description.info.device));
    }
}

fn with_bar<R>(
    source: &RouterSource,
    device: Device,
    open: impl FnOnce(&RouterSource, DeviceChoice, OnProgress<'_>, &CancelToken) -> Result<R, EngineError>,
) -> Result<R, Failure> {
    // Draws on standard error, and only where that is a terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    let mut progress = |Progress { stage, done, total }: Progress| {
        bar.set_message(stage);
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    };
    let router = open(source, device.choice(), &mut progress, &CancelToken::default());
    bar.finish_and_clear();
    Ok(router?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_whose_files_have_changed_since_it_was_loaded_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("router.gguf");
        std::fs::write(&file, "old").unwrap();
        let source = RouterSource::Gguf(file.clone());
        let description = RouterDescription { stamp: Some(RouterStamp::of(&source)), ..RouterDescription::default() };
        assert!(check_unchanged(&description, &source).is_ok());
        std::fs::write(&file, "another").unwrap();
        let refused = check_unchanged(&description, &source);
        assert!(matches!(refused, Err(Failure::Router(sentence)) if sentence.contains("have changed")));
    }
}

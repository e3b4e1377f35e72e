//! Downloading from the Hub into the shared cache: whole or not at all, resumed where it stopped, and checked before use.
//!
//! hf-hub 1.0 begins a file anew whenever it was interrupted, checks no digest and cannot be cancelled, so the transfer is done here, in
//! hf-hub's own layout: `blobs/<digest>`, linked from `snapshots/<commit>/<name>`, with `refs/main` written last. What is under way lies
//! in `blobs/<digest>.incomplete`, which other tools resume too, under the lock that they respect.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::EngineError;
use super::hub::HubId;
use super::hub_digest::check_file;
use super::hub_plan::{Hub, Plan, RemoteFile};
use super::protocol::{CancelToken, Progress};
use super::server::Failure;
use super::worker::OnProgress;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};

/// How often a transfer is taken up again without a single new byte.
const ATTEMPTS: u32 = 6;

impl Hub {
    /// Downloads what is not there yet, checks all of it, and returns what to load. What is there and is not as the Hub declares it, cut short
    /// or damaged since, is fetched again. `progress` counts bytes.
    ///
    /// # Errors
    /// Fails with a sentence and a remedy, and on cancellation; what was fetched until then is kept and taken up again the next time.
    pub fn fetch(&self, plan: &Plan, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<PathBuf, EngineError> {
        let folder = HubId::new(&plan.id).folder(&self.cache);
        let blobs = folder.join("blobs");
        std::fs::create_dir_all(&blobs).map_err(|error| on_disk(&blobs, &error))?;
        self.check_space(plan, &blobs)?;
        let total = Some(plan.bytes());
        let mut done = 0;
        for file in &plan.files {
            let blob = blobs.join(file.digest.hex());
            let mut report = |stage, of_file: u64| progress(Progress { stage, done: done + of_file, total });
            self.fetch_blob(plan, file, &blob, &mut report, cancel)?;
            done += file.bytes;
            progress(Progress { stage: "Downloading", done, total });
            link(&folder, &plan.commit, file)?;
        }
        let reference = folder.join("refs").join("main");
        point(&folder, &reference, &plan.commit).map_err(|error| on_disk(&reference, &error))?;
        Ok(plan.pick.path_in(&folder.join("snapshots").join(&plan.commit)))
    }

    /// Says that there is too little room before anything is written, where the system tells.
    fn check_space(&self, plan: &Plan, blobs: &Path) -> Result<(), EngineError> {
        let there = |file: &RemoteFile| {
            let length = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
            length(blobs.join(file.digest.hex())).max(length(incomplete(blobs, file))).min(file.bytes)
        };
        let needed: u64 = plan.files.iter().map(|file| file.bytes - there(file)).sum();
        match super::machine::free_space(blobs) {
            Some(free) if free < needed => Err(EngineError::router(format!(
                "{} needs {} more, but the disk of {} has {} left; free some space, or set HF_HOME to a folder on another disk",
                plan.id,
                megabytes(needed),
                self.cache.display(),
                megabytes(free)
            ))),
            _ => Ok(()),
        }
    }

    fn fetch_blob(
        &self,
        plan: &Plan,
        file: &RemoteFile,
        blob: &Path,
        report: &mut dyn FnMut(&'static str, u64),
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let blobs = blob.parent().unwrap_or(Path::new("."));
        let _lock = self.lock(plan, file, report, cancel)?;
        if is_whole(file, blob, report, cancel)? {
            return Ok(());
        }
        let path = incomplete(blobs, file);
        let mut partial =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(|error| on_disk(&path, &error))?;
        self.server.run(cancel, self.transfer(plan, file, &mut partial, &path, report))?;
        partial.sync_all().map_err(|error| on_disk(&path, &error))?;
        drop(partial);
        let found = check_file(&path, &file.digest, &mut |done| report("Checking", done), cancel)?;
        if found != file.digest {
            // Not even its beginning can be trusted.
            std::fs::remove_file(&path).ok();
            return Err(EngineError::router(format!(
                "{} of {} arrived damaged: its digest is {}, the Hub declares {}; it was deleted, get it again, and if it stays so, check proxies on the way",
                file.name,
                plan.repo,
                found.hex(),
                file.digest.hex()
            )));
        }
        std::fs::rename(&path, blob).map_err(|error| on_disk(blob, &error))
    }

    /// Keeps other downloads of the same file out, those of other tools included, and waits for them to end.
    fn lock(
        &self,
        plan: &Plan,
        file: &RemoteFile,
        report: &mut dyn FnMut(&'static str, u64),
        cancel: &CancelToken,
    ) -> Result<File, EngineError> {
        let folder = HubId::new(&plan.id).folder(Path::new(""));
        let path = self.cache.join(".locks").join(folder).join(format!("{}.lock", file.digest.hex()));
        let opened = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| File::create(&path));
        let lock = opened.map_err(|error| on_disk(&path, &error))?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => {
                    report("Waiting for another download", 0);
                    cancel.check()?;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(TryLockError::Error(error)) => return Err(on_disk(&path, &error)),
            }
        }
    }

    /// Fetches until the file has its length, through lost connections.
    async fn transfer(
        &self,
        plan: &Plan,
        file: &RemoteFile,
        partial: &mut File,
        path: &Path,
        report: &mut dyn FnMut(&'static str, u64),
    ) -> Result<(), EngineError> {
        let mut tried = 0;
        loop {
            let mut have = partial.seek(SeekFrom::End(0)).map_err(|error| on_disk(path, &error))?;
            if have > file.bytes {
                partial.set_len(0).map_err(|error| on_disk(path, &error))?;
                have = 0;
            }
            if have == file.bytes {
                return Ok(());
            }
            report("Downloading", have);
            let failure = match self.stream(plan, file, have, partial, path, report).await {
                Ok(()) => Failure::Unreachable("the connection was closed early".to_owned()),
                Err(Interrupted::Lost(failure)) => failure,
                Err(Interrupted::Failed(error)) => return Err(error),
            };
            let now = partial.metadata().map_or(0, |metadata| metadata.len());
            if now == file.bytes {
                return Ok(());
            }
            tried = if now > have { 1 } else { tried + 1 };
            let is_passing =
                matches!(failure, Failure::Unreachable(_) | Failure::TimedOut | Failure::Status { code: 408 | 429 | 500..=504, .. });
            if tried >= ATTEMPTS || !is_passing {
                return Err(self.refusal(&plan.repo, &failure));
            }
            let asked = if let Failure::Status { retry_after: Some(asked), .. } = failure {
                asked.min(Duration::from_secs(60))
            } else {
                Duration::ZERO
            };
            report("Waiting for the network", now);
            tokio::time::sleep(asked + self.pause.saturating_mul(1 << tried.min(6)).mul_f64(0.5 + fastrand::f64())).await;
        }
    }

    /// Fetches from byte `have` on until the connection ends.
    async fn stream(
        &self,
        plan: &Plan,
        file: &RemoteFile,
        have: u64,
        partial: &mut File,
        path: &Path,
        report: &mut dyn FnMut(&'static str, u64),
    ) -> Result<(), Interrupted> {
        let url = format!("{}/{}/resolve/{}/{}", self.endpoint, plan.repo, plan.commit, file.name);
        let request = self.server.authorised(self.client.get(url));
        let request = if have > 0 { request.header(RANGE, format!("bytes={have}-")) } else { request };
        let lost = |error: &reqwest::Error| Interrupted::Lost(self.server.lost(error));
        let disk = |error: std::io::Error| Interrupted::Failed(on_disk(path, &error));
        let start = Instant::now();
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let mut at = have;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
                if !range.starts_with(&format!("bytes {have}-")) {
                    return Err(Interrupted::Lost(Failure::Malformed(format!("another part than was asked for: {range:?}"))));
                }
            }
            StatusCode::OK => {
                // It does not know ranges: everything comes again.
                partial.set_len(0).map_err(disk)?;
                at = 0;
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                partial.set_len(0).map_err(disk)?;
                return Ok(());
            }
            status => {
                let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let failure = Failure::Status {
                    code: status.as_u16(),
                    message: super::server::message(&response.text().await.unwrap_or_default()),
                    retry_after: retry_after.map(Duration::from_secs),
                    elapsed: start.elapsed(),
                };
                return Err(Interrupted::Lost(failure));
            }
        }
        partial.seek(SeekFrom::Start(at)).map_err(disk)?;
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            // More than was declared: the check at the end would fail anyway, and the disk is finite.
            let room = usize::try_from(file.bytes - at).unwrap_or(usize::MAX).min(chunk.len());
            partial.write_all(&chunk[..room]).map_err(disk)?;
            at += room as u64;
            report("Downloading", at);
            if room < chunk.len() {
                break;
            }
        }
        Ok(())
    }
}

/// Why a stream ended before its end.
enum Interrupted {
    /// May go on with another try.
    Lost(Failure),
    /// Will not.
    Failed(EngineError),
}

fn incomplete(blobs: &Path, file: &RemoteFile) -> PathBuf {
    blobs.join(format!("{}.incomplete", file.digest.hex()))
}

/// Returns whether a file is there as the Hub declares it. One that is not goes: nothing else would ever replace it.
fn is_whole(file: &RemoteFile, blob: &Path, report: &mut dyn FnMut(&'static str, u64), cancel: &CancelToken) -> Result<bool, EngineError> {
    let Ok(metadata) = blob.metadata() else { return Ok(false) };
    if metadata.len() == file.bytes && check_file(blob, &file.digest, &mut |done| report("Checking", done), cancel)? == file.digest {
        return Ok(true);
    }
    std::fs::remove_file(blob).map_err(|error| on_disk(blob, &error))?;
    Ok(false)
}

/// Puts a blob into the snapshot of its commit under its name.
fn link(folder: &Path, commit: &str, file: &RemoteFile) -> Result<(), EngineError> {
    let snapshot = folder.join("snapshots").join(commit);
    let pointer = snapshot.join(&file.name);
    let made = std::fs::create_dir_all(&snapshot).and_then(|()| {
        match std::fs::remove_file(&pointer) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(Path::new("../../blobs").join(file.digest.hex()), &pointer)
        }
        // Links need a privilege on Windows; a second name for the same bytes does not.
        #[cfg(not(unix))]
        {
            let blob = folder.join("blobs").join(file.digest.hex());
            std::fs::hard_link(&blob, &pointer).or_else(|_| std::fs::copy(&blob, &pointer).map(drop))
        }
    });
    made.map_err(|error| on_disk(&pointer, &error))
}

/// Makes a reference name a commit: at any moment it names the old one or the new one. What is written until then lies outside of `refs`,
/// where other tools take every file for a reference, under a name of its own, since two files of a router may be fetched at the same time.
fn point(folder: &Path, reference: &Path, commit: &str) -> std::io::Result<()> {
    reference.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    let fresh = folder.join(format!("{:016x}.incomplete", fastrand::u64(..)));
    let written = File::create_new(&fresh).and_then(|mut file| {
        file.write_all(commit.as_bytes())?;
        file.sync_all()
    });
    let placed = written.and_then(|()| std::fs::rename(&fresh, reference));
    if placed.is_err() {
        std::fs::remove_file(&fresh).ok();
    }
    placed
}

fn on_disk(path: &Path, error: &std::io::Error) -> EngineError {
    let path = path.display();
    EngineError::Router(match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            format!("the disk of {path} is full; free some space and try again: what was fetched is kept")
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("{path} cannot be written ({error}); set HF_HOME to a folder that is yours")
        }
        _ => format!("{path}: {error}"),
    })
}

fn megabytes(bytes: u64) -> String {
    if bytes >= 1_000_000_000 { format!("{:.1} GB", bytes as f64 / 1e9) } else { format!("{} MB", bytes.div_ceil(1_000_000)) }
}

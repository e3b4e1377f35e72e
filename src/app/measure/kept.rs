//! Results that are kept between runs: one file for each router and dialect, to which lines are only ever added.
//!
//! Behind the address of a server another router may answer next time, so its results serve to resume the run that they are of and no longer:
//! they have a file for each such run, which goes once every turn of the run was decided. Files that no run has used for long go as well,
//! whenever another run opens one of its own.
//!
//! A line is written whole or, when the process is killed in between, not understood and passed over, so the file is good at any time. The key
//! of a result is everything that it depends on: the prompt with its routes in their order, and the order test.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Measurement;
use crate::decision::{OrderStability, Outcome, TokenCounts};
use crate::dialect::render;
use crate::engine::RouteRequest;
use crate::eval::{TurnKey, TurnResult};
use crate::formats::{hex, policy_digest};
use crate::policy::{NO_ROUTE_LABEL, Policy, Route};

/// Half of a SHA-256: no two of any number of results that a disk holds share one by chance.
pub(super) type Key = [u8; 16];

/// Changed whenever kept results mean something else.
const FORMAT: &str = "5";

/// A file that has grown beyond this starts anew.
const LARGEST: u64 = 1 << 30;

/// A file that no run has used for this long goes: of a router that is gone, or of an older version.
const UNUSED: Duration = Duration::from_hours(90 * 24);

/// The same for what a server answered, which serves one run alone: nobody resumes that one any more.
const ABANDONED: Duration = Duration::from_hours(30 * 24);

/// How the name of a file begins that serves one run alone.
const UNFINISHED: &str = "unfinished-";

/// Bytes of a digest in the name of a file, in hexadecimal.
const NAMED: usize = 12;

/// At most this much work is lost when the process is killed.
const PAUSE: Duration = Duration::from_millis(500);

/// Where results are kept without any other wish: the user's cache folder. `None` where the system has none.
pub fn results_folder() -> Option<PathBuf> {
    dirs::cache_dir().map(|folder| folder.join("waypost").join("results"))
}

/// The open file of kept results.
pub struct KeptResults {
    path: PathBuf,
    file: File,
    index: HashMap<Key, u64>,
    is_whole_line: bool,
    unfinished: Option<File>,
}

/// Finds kept results.
pub(super) struct Lookup {
    file: BufReader<File>,
    index: HashMap<Key, u64>,
    orders: usize,
}

/// Keeps results.
pub(super) struct Keep {
    path: PathBuf,
    file: File,
    lines: Vec<u8>,
    written: Instant,
    /// For a router behind a server: the lock that every process in the middle of the same run shares.
    unfinished: Option<File>,
    warning: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// The key in hexadecimal; first, because the index looks for it there.
    k: String,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    route: Option<String>,
    /// Of a router elsewhere alone: a gateway may have taken another than the policy's first. Of others the policy at hand says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<String>,
    confidence: Option<f32>,
    margin: f32,
    invalid: f32,
    /// `null` of what is not known.
    p: Vec<Option<f32>>,
    tokens: [usize; 3],
    ms: f32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    order: Option<OrderStability>,
}

impl KeptResults {
    /// Opens the file for a measurement's router and dialect, making it where there is none.
    ///
    /// # Errors
    /// A sentence for people; the measurement can do without.
    pub fn open(folder: &Path, measurement: &Measurement) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("results are not kept for the next run: {} cannot be used ({error})", folder.display());
        let router = &measurement.router;
        let forget = measurement.router_digest.is_none();
        let who = measurement.router_digest.as_deref().unwrap_or(&router.id);
        let parts = [FORMAT, env!("CARGO_PKG_VERSION"), who, &router.device, &router.dtype, measurement.dialect.as_str()];
        let mut whose = parts.join("\0");
        if forget {
            whose += &this_run(measurement);
        }
        let name = hex(&Sha256::digest(whose.as_bytes())[..NAMED]);
        std::fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join(format!("{}{name}.jsonl", if forget { UNFINISHED } else { "" }));
        let unfinished = if forget { Some(shared_lock(&path).map_err(failed)?) } else { None };
        // Not before the lock, by which what this run goes on with stays, however old it is.
        remove_unused(folder);
        if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LARGEST) {
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        // Reading results counts as use. Without the mark they are computed again one day, so it may fail.
        file.set_modified(SystemTime::now()).ok();
        let (index, is_whole_line) = index(&file).map_err(failed)?;
        Ok(Self { path, file, index, is_whole_line, unfinished })
    }

    /// Returns how many results the file holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether the file holds no result.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Finding goes to the thread that makes requests, keeping stays with the collector.
    pub(super) fn split(self, orders: usize) -> (Option<Lookup>, Keep) {
        let Self { path, file, index, is_whole_line, unfinished } = self;
        let lookup = file.try_clone().ok().map(|file| Lookup { file: BufReader::new(file), index, orders });
        // A line that a killed process left half must not spoil the next one.
        let lines = if is_whole_line { Vec::new() } else { b"\n".to_vec() };
        (lookup, Keep { path, file, lines, written: Instant::now(), unfinished, warning: None })
    }
}

/// Tells a run from every other one of the same router and dialect, whose end must not cost this one its results.
fn this_run(measurement: &Measurement) -> String {
    let Measurement { policy, set, budget, limit, orders, seed, .. } = measurement;
    let budget = budget.map_or_else(String::new, |budget| format!("\0{budget}"));
    format!("\0{}\0{}\0{limit:?}\0{orders}\0{seed}{budget}", policy_digest(policy), set.sha256())
}

/// Beside the file itself, since Windows lets nobody write what is locked.
fn shared_lock(path: &Path) -> std::io::Result<File> {
    let lock = File::create(path.with_extension("lock"))?;
    lock.lock_shared()?;
    Ok(lock)
}

/// Removes what was not used for long. A file that cannot be read or removed only costs space.
fn remove_unused(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let limit = if is_unfinished { ABANDONED } else { UNUSED };
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        let is_old = used.is_ok_and(|used| used.elapsed().is_ok_and(|unused| unused > limit));
        if is_ours(&path) && is_old && !(is_unfinished && is_in_use(&path)) {
            std::fs::remove_file(path).ok();
        }
    }
}

/// Returns whether a file has a name that only [`KeptResults::open`] gives. The folder is of the user's choice and may hold labelled sets and
/// locks of other programs.
fn is_ours(path: &Path) -> bool {
    let is_kind = path.extension().is_some_and(|extension| extension == "jsonl" || extension == "lock");
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let name = stem.strip_prefix(UNFINISHED).unwrap_or(&stem);
    is_kind && name.len() == 2 * NAMED && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns whether a process is in the middle of the run that a file or its lock is of.
fn is_in_use(path: &Path) -> bool {
    File::open(path.with_extension("lock")).is_ok_and(|lock| lock.try_lock().is_err())
}

/// Reads the keys and the places of all whole lines; the second is whether the last line is one.
fn index(file: &File) -> std::io::Result<(HashMap<Key, u64>, bool)> {
    let mut reader = BufReader::with_capacity(1 << 18, file);
    reader.seek(SeekFrom::Start(0))?;
    let (mut index, mut line, mut offset) = (HashMap::new(), Vec::new(), 0);
    loop {
        line.clear();
        let read = match reader.read_until(b'\n', &mut line) {
            Ok(0) => return Ok((index, true)),
            Ok(read) => read as u64,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if !line.ends_with(b"\n") {
            return Ok((index, false));
        }
        if let Some(key) = line.strip_prefix(b"{\"k\":\"").filter(|_| line.ends_with(b"}\n")).and_then(|rest| unhex(rest.get(..32)?)) {
            index.insert(key, offset);
        }
        offset += read;
    }
}

impl Lookup {
    /// Returns the key of a request's result; `names` are the answers to choose between.
    pub fn key(&self, request: &RouteRequest) -> Key {
        let routes: Vec<&Route> = request.policy.routes.iter().collect();
        let prompt = render(request.dialect, &routes, &request.conversation, request.budget).text;
        let mut digest = Sha256::new();
        digest.update(prompt.as_bytes());
        // Names alone, since what else the router sees of a route is in the prompt. Zero bytes keep them apart.
        for route in routes {
            digest.update([0]);
            digest.update(route.name.as_bytes());
        }
        if self.orders > 0 {
            digest.update(format!("\0\0{} {}", request.orders, request.seed));
        }
        let mut key = Key::default();
        key.copy_from_slice(&digest.finalize()[..16]);
        key
    }

    /// Returns the kept result for a turn.
    pub fn find(&mut self, key: &Key, turn: TurnKey, policy: &Policy, labels: usize) -> Option<TurnResult> {
        let offset = *self.index.get(key)?;
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(offset)).ok()?;
        self.file.by_ref().take(16 << 20).read_line(&mut text).ok()?;
        let line: Line = serde_json::from_str(&text).ok()?;
        let names = turn.routes.as_ref().map_or(labels, |routes| routes.len());
        // Lines that somebody else wrote may hold anything.
        if line.k != hex(key) || !(line.p.is_empty() || line.p.len() == names) {
            return None;
        }
        let [prompt, cached, computed] = line.tokens;
        let mapped = policy.model_for(line.route.as_deref()).filter(|_| line.outcome != Outcome::Error);
        let model = line.model.as_deref().or(mapped).map(Into::into);
        let decided = match line.outcome {
            Outcome::Route => Some(line.route.as_deref()?.into()),
            Outcome::NoRoute => Some(NO_ROUTE_LABEL.into()),
            Outcome::Error => None,
        };
        let blank = TurnResult::failed(turn, String::new());
        Some(TurnResult {
            outcome: line.outcome,
            undecided: false,
            decided,
            model,
            confidence: line.confidence,
            margin: line.margin,
            invalid_mass: line.invalid,
            probabilities: line.p,
            error: line.error,
            tokens: TokenCounts { prompt, cached, computed },
            latency_ms: line.ms,
            order_stability: line.order,
            ..blank
        })
    }
}

impl Keep {
    /// Keeps a result; `route` is what was decided, where that is a route.
    pub fn add(&mut self, key: Key, result: &TurnResult, route: Option<&str>) {
        let line = Line {
            k: hex(&key),
            outcome: result.outcome,
            route: route.map(str::to_owned),
            model: self.unfinished.as_ref().and(result.model.as_deref()).map(str::to_owned),
            error: result.error.clone(),
            confidence: result.confidence,
            margin: result.margin,
            invalid: result.invalid_mass,
            p: result.probabilities.clone(),
            tokens: [result.tokens.prompt, result.tokens.cached, result.tokens.computed],
            ms: result.latency_ms,
            order: result.order_stability.clone(),
        };
        if let Ok(json) = serde_json::to_vec(&line) {
            self.lines.extend(json);
            self.lines.push(b'\n');
        }
        if self.written.elapsed() >= PAUSE {
            self.flush();
        }
    }

    /// Writes what was added. All of it in one call, so that the lines of two processes do not mix.
    pub fn flush(&mut self) {
        self.written = Instant::now();
        if self.lines.is_empty() || self.warning.is_some() {
            return;
        }
        if let Err(error) = self.file.write_all(&self.lines) {
            self.warning = Some(format!("results are not kept from here on: {} cannot be written ({error})", self.path.display()));
        }
        self.lines.clear();
    }

    pub fn warning(&self) -> Option<String> {
        self.warning.clone()
    }

    /// Ends keeping. Once all of a run is decided that only its own results could resume, they go; where another process is in the middle of
    /// the same run, the last one to end takes them away.
    pub fn finish(mut self, all_decided: bool) {
        self.flush();
        let is_last = |lock: &File| lock.unlock().is_ok() && lock.try_lock().is_ok();
        if all_decided && self.unfinished.as_ref().is_some_and(is_last) {
            // A file that stays only costs space.
            std::fs::remove_file(&self.path).ok();
            std::fs::remove_file(self.path.with_extension("lock")).ok();
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        self.flush();
    }
}

fn unhex(text: &[u8]) -> Option<Key> {
    let text = std::str::from_utf8(text).ok()?;
    let mut key = Key::default();
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

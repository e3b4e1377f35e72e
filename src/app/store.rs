//! Drafts on disk, so that nothing is lost when the process is killed: written a moment after each change by a thread of its own.
//!
//! The folder holds `session.json`, which names what is open, and one file for each open document. Documents are written before the
//! session that names them, each atomically, so whenever the process ends the folder is a whole.

use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use std::sync::mpsc::{Receiver, Sender};

use super::draft::{self, Draft, Session};
use super::session::App;
use super::settings::Settings;
use super::tasks::{Apply, Wake};
use super::{DocId, Document, FileStamp, Log, PolicyText, RouterSource, replace_file};
use crate::chat::Conversation;

/// The folder of the drafts inside [`super::data_folder`].
pub const DRAFTS: &str = "drafts";

/// In that folder, what is open and how the window is set.
const SESSION: &str = "session.json";

/// Pause after the last change before drafts are written.
const SAVE_PAUSE: Duration = Duration::from_millis(400);
/// Pause before what could not be written is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The folder with the drafts, and the thread that writes them.
pub(super) struct Store {
    folder: PathBuf,
    // `Option` because the sender must be gone before the thread can be joined.
    writes: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// Held while this process runs: two windows that wrote the same drafts would lose each other's.
    _lock: std::fs::File,
    /// What was last written of each document, so that only what changed is written.
    written: HashMap<DocId, Written>,
    /// What could not be written the last time; `None` stands for the session.
    failed: HashSet<Option<DocId>>,
}

/// A document as it was written. Holding the text keeps its address from being used again, so comparing addresses is enough.
struct Written {
    text: Arc<dyn Any + Send + Sync>,
    title: String,
    modified: bool,
    path: Option<PathBuf>,
    stamp: Option<FileStamp>,
}

impl Written {
    fn of<T: Any + Send + Sync>(document: &Document<T>) -> Self {
        let text = Arc::clone(&document.text) as Arc<dyn Any + Send + Sync>;
        let (title, path, modified) = (document.title.clone(), document.path.clone(), document.is_modified());
        Self { text, title, modified, path, stamp: document.stamp }
    }

    fn is(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.text), Arc::as_ptr(&other.text))
            && (self.modified, &self.title, &self.path, self.stamp) == (other.modified, &other.title, &other.path, other.stamp)
    }
}

enum Job {
    /// Writes a document, or the session. What could not be made to bytes is told as what could not be written.
    Write {
        document: Option<DocId>,
        path: PathBuf,
        bytes: Result<Vec<u8>, String>,
    },
    Remove(PathBuf),
    /// Answers when everything before it is done.
    Flush(Sender<()>),
}

/// What was open when Waypost last ran.
#[derive(Default)]
pub(super) struct Restored {
    pub settings: Option<Settings>,
    pub policies: Vec<Document<PolicyText>>,
    pub policy_index: usize,
    pub conversations: Vec<Document<Conversation>>,
    pub conversation_index: usize,
    pub last_id: u64,
}

impl Store {
    /// Opens the folder, making it where there is none. What cannot be written there is told through `outbox`.
    ///
    /// # Errors
    /// A sentence for the log, where the folder cannot be made.
    pub fn open(folder: PathBuf, outbox: &Sender<Apply>, wake: &Wake) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("Drafts are not kept: {} cannot be used ({error}); save your work to files", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = std::fs::File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|_| "Another Waypost window keeps the drafts; save your work in this one to files".to_owned())?;
        let (writes, inbox) = std::sync::mpsc::channel();
        let (outbox, wake) = (outbox.clone(), Arc::clone(wake));
        let report = move |document: Option<DocId>, result: Result<(), String>| {
            let apply: Apply = Box::new(move |app: &mut App| app.draft_written(document, result));
            if outbox.send(apply).is_ok() {
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("waypost-drafts".to_owned()).spawn(move || write_all(&inbox, &report));
        let thread = Some(thread.map_err(failed)?);
        Ok(Self { folder, writes: Some(writes), thread, _lock: lock, written: HashMap::new(), failed: HashSet::new() })
    }

    /// Waits until everything that was handed over is written, or could not be.
    pub fn flush(&self) {
        let (done, wait) = std::sync::mpsc::channel();
        self.send(Job::Flush(done));
        // Fails only where the thread is gone, and nothing is left to wait for then.
        wait.recv().ok();
    }

    /// Returns whether everything could be written the last time.
    pub fn keeps_all(&self) -> bool {
        self.failed.is_empty()
    }

    /// Reads what was open; what cannot be read is told and left out. Without the session that names them, all drafts were open.
    pub fn restore(&self, log: &mut Log) -> Restored {
        let (path, drafts) = (self.session(), self.drafts());
        let session = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| error.to_string()),
            // Nothing was ever open, or it was killed before the first session was written.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(self.session_of(&drafts)),
            Err(error) => Err(error.to_string()),
        };
        let session: Session = session.unwrap_or_else(|error| {
            // For whoever can repair it; the next change writes a new one.
            let kept = path.with_file_name("session.damaged.json");
            let kept = if std::fs::rename(&path, &kept).is_ok() { format!(", kept as {}", kept.display()) } else { String::new() };
            let found =
                if drafts.is_empty() { String::new() } else { format!("; the drafts beside it ({}) are open instead", drafts.len()) };
            let path = path.display();
            let sentence = format!("The last session could not be restored: {path} is damaged ({error}){kept}. Settings were reset{found}");
            log.error(sentence);
            self.session_of(&drafts)
        });
        let mut read = |id: u64| -> Option<Draft> {
            let told =
                |error: String| log.error(format!("A draft could not be restored: {} ({error})", self.document(DocId(id)).display()));
            self.read(id).map_err(told).ok()
        };
        let policies = session.policies.iter().filter_map(|&id| read(id)?.into_policy(DocId(id))).collect();
        let conversations = session.conversations.iter().filter_map(|&id| read(id)?.into_conversation(DocId(id))).collect();
        Restored {
            settings: Some(session.settings),
            policies,
            policy_index: session.policy_index,
            conversations,
            conversation_index: session.conversation_index,
            // Also those that could not be read: nothing new is to take their place.
            last_id: session.policies.iter().chain(&session.conversations).chain(&drafts).copied().max().unwrap_or_default(),
        }
    }

    fn read(&self, id: u64) -> Result<Draft, String> {
        let text = std::fs::read_to_string(self.document(DocId(id))).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Returns the numbers of the drafts in the folder, in order.
    fn drafts(&self) -> Vec<u64> {
        let number = |name: &str| -> Option<u64> { name.strip_prefix("document-")?.strip_suffix(".json")?.parse().ok() };
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut numbers: Vec<u64> = entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect();
        numbers.sort_unstable();
        numbers
    }

    fn session_of(&self, drafts: &[u64]) -> Session {
        let is_policy = |id: &u64| self.read(*id).is_ok_and(|draft| draft.is_policy());
        let (policies, conversations) = drafts.iter().copied().partition(is_policy);
        Session { policies, conversations, ..Session::default() }
    }

    /// Returns the folder, which other files of the workbench may be kept in too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn document(&self, id: DocId) -> PathBuf {
        self.folder.join(format!("document-{}.json", id.0))
    }

    fn session(&self) -> PathBuf {
        self.folder.join(SESSION)
    }

    fn send(&self, job: Job) {
        if let Some(writes) = &self.writes {
            // The thread ends only after this sender is dropped, so the send cannot fail.
            writes.send(job).ok();
        }
    }

    fn write(&self, document: Option<DocId>, value: &impl serde::Serialize) {
        let path = document.map_or_else(|| self.session(), |id| self.document(id));
        self.send(Job::Write { document, path, bytes: serde_json::to_vec(value).map_err(|error| error.to_string()) });
    }
}

impl Drop for Store {
    /// Waits for what is still to be written.
    fn drop(&mut self) {
        self.writes = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Tells what could not be written, and what could be after that.
fn write_all(inbox: &Receiver<Job>, report: &dyn Fn(Option<DocId>, Result<(), String>)) {
    let mut failed = HashSet::new();
    for job in inbox {
        match job {
            Job::Write { document, path, bytes } => {
                let result = bytes.and_then(|bytes| write_atomically(&path, &bytes).map_err(|error| error.to_string()));
                let was_failing = failed.remove(&document);
                if result.is_err() {
                    failed.insert(document);
                }
                if was_failing || result.is_err() {
                    report(document, result);
                }
            }
            Job::Remove(path) => drop(std::fs::remove_file(path)),
            Job::Flush(done) => {
                done.send(()).ok();
            }
        }
    }
}

/// Returns the routers that the user named in the window, read from the folder for data; none where nothing is kept or it cannot be read.
pub fn named_routers(data: &Path) -> Vec<RouterSource> {
    let session = std::fs::read(data.join(DRAFTS).join(SESSION)).ok().and_then(|json| serde_json::from_slice::<Session>(&json).ok());
    session.map(|session| session.settings.named_routers()).unwrap_or_default()
}

/// Replaces a file as a whole.
///
/// # Errors
/// As [`replace_file`].
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    replace_file(path, |file| file.write_all(bytes))
}

impl App {
    /// Writes drafts if the pause after the last change is over; returns how long it still is.
    pub(super) fn tick_save(&mut self, now: Instant) -> Option<Duration> {
        if std::mem::take(&mut self.unsaved) && self.store.is_some() {
            self.save_at = Some(now + SAVE_PAUSE);
        }
        let at = self.save_at?;
        if now < at {
            return Some(at - now);
        }
        self.save_at = None;
        self.save_drafts();
        None
    }

    /// Hands everything that changed to the thread that writes.
    pub fn save_drafts(&mut self) {
        let Some(store) = &mut self.store else { return };
        let mut open = HashMap::new();
        for document in &self.state.policies {
            let present = Written::of(document);
            if store.written.get(&document.id).is_none_or(|written| !written.is(&present)) {
                store.write(Some(document.id), &draft::from_policy(document));
            }
            open.insert(document.id, present);
        }
        for document in &self.state.conversations {
            let present = Written::of(document);
            if store.written.get(&document.id).is_none_or(|written| !written.is(&present)) {
                store.write(Some(document.id), &draft::from_conversation(document));
            }
            open.insert(document.id, present);
        }
        let session = Session {
            settings: self.state.settings.clone(),
            policies: self.state.policies.iter().map(|document| document.id.0).collect(),
            policy_index: self.state.policy_index,
            conversations: self.state.conversations.iter().map(|document| document.id.0).collect(),
            conversation_index: self.state.conversation_index,
        };
        store.write(None, &session);
        let known: HashSet<DocId> = store.written.keys().copied().chain(store.failed.iter().copied().flatten()).collect();
        for closed in known.into_iter().filter(|id| !open.contains_key(id)) {
            store.failed.remove(&Some(closed));
            store.send(Job::Remove(store.document(closed)));
        }
        store.written = open;
    }

    /// Takes note of a document, or of the session, that could not be written, or that could be after it could not.
    fn draft_written(&mut self, document: Option<DocId>, result: Result<(), String>) {
        let Some(store) = &mut self.store else { return };
        let Err(error) = result else {
            if store.failed.remove(&document) && store.failed.is_empty() {
                self.state.log.info("Drafts are written again");
            }
            return;
        };
        // Once: it goes on failing until the user does something about it.
        if store.failed.is_empty() {
            let folder = store.folder.display();
            let sentence = format!("Drafts could not be written to {folder} ({error}); free some space there, or save your work to files");
            self.state.log.error(sentence);
        }
        store.failed.insert(document);
        if let Some(document) = document {
            store.written.remove(&document);
        }
        self.save_at = self.save_at.or(Some(Instant::now() + RETRY_PAUSE));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop_reading();
        self.finish_labels();
        self.finish_names();
        self.save_drafts();
        self.close_routers();
        // What was waited for may have led to more.
        self.stop_reading();
    }
}

//! Drafts on disk, so that nothing is lost when the process is killed: written a moment after each change by a thread of its own.
//!
//! The folder holds `session.json`, which names what is open, and one file for each open document. Documents are written before the
//! session that names them, each atomically, so whenever the process ends the folder is a whole.

use std::any::Any;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use std::sync::mpsc::{Receiver, Sender};

use super::draft::{self, Draft, Session};
use super::session::App;
use super::state::Settings;
use super::{DocId, Document, Log, PolicyText, RouterSource, replace_file};
use crate::chat::Conversation;

/// The folder of the drafts inside [`super::data_folder`].
pub const DRAFTS: &str = "drafts";

/// In that folder, what is open and how the window is set.
const SESSION: &str = "session.json";

/// Pause after the last change before drafts are written.
const SAVE_PAUSE: Duration = Duration::from_millis(400);

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
}

/// A document as it was written. Holding the text keeps its address from being used again, so comparing addresses is enough.
struct Written {
    text: Arc<dyn Any + Send + Sync>,
    title: String,
    modified: bool,
}

impl Written {
    fn of<T: Any + Send + Sync>(document: &Document<T>) -> Self {
        let text = Arc::clone(&document.text) as Arc<dyn Any + Send + Sync>;
        Self { text, title: document.title.clone(), modified: document.is_modified() }
    }

    fn is(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.text), Arc::as_ptr(&other.text))
            && (self.modified, &self.title) == (other.modified, &other.title)
    }
}

enum Job {
    Write(PathBuf, Vec<u8>),
    Remove(PathBuf),
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
    /// Opens the folder, making it where there is none.
    ///
    /// # Errors
    /// A sentence for the log, where the folder cannot be made.
    pub fn open(folder: PathBuf) -> Result<Self, String> {
        let failed =
            |error: std::io::Error| format!("Drafts are not kept: {} cannot be used ({error}); save your work to files", folder.display());
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = std::fs::File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock()
            .map_err(|_| "Drafts are kept by the window that was opened first; save what you do in this one to files".to_owned())?;
        let (writes, inbox) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("waypost-drafts".to_owned()).spawn(move || write_all(&inbox)).map_err(failed)?;
        Ok(Self { folder, writes: Some(writes), thread: Some(thread), _lock: lock, written: HashMap::new() })
    }

    /// Reads what was open; what cannot be read is told and left out.
    pub fn restore(&self, log: &mut Log) -> Restored {
        let path = self.folder.join(SESSION);
        let Ok(text) = std::fs::read_to_string(&path) else { return Restored::default() };
        let session: Session = match serde_json::from_str(&text) {
            Ok(session) => session,
            Err(error) => {
                log.error(format!("The last session could not be restored: {} is damaged ({error})", path.display()));
                return Restored::default();
            }
        };
        let mut read = |id: u64| -> Option<Draft> {
            let path = self.document(DocId(id));
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string());
            let draft = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
            draft.map_err(|error| log.error(format!("A draft could not be restored: {} ({error})", path.display()))).ok()
        };
        let policies = session.policies.iter().filter_map(|&id| read(id)?.into_policy(DocId(id))).collect();
        let conversations = session.conversations.iter().filter_map(|&id| read(id)?.into_conversation(DocId(id))).collect();
        Restored {
            settings: Some(session.settings),
            policies,
            policy_index: session.policy_index,
            conversations,
            conversation_index: session.conversation_index,
            last_id: session.policies.iter().chain(&session.conversations).copied().max().unwrap_or_default(),
        }
    }

    /// Returns the folder, which other files of the workbench may be kept in too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn document(&self, id: DocId) -> PathBuf {
        self.folder.join(format!("document-{}.json", id.0))
    }

    fn send(&self, job: Job) {
        if let Some(writes) = &self.writes {
            // The thread ends only after this sender is dropped, so the send cannot fail.
            writes.send(job).ok();
        }
    }

    fn write(&self, path: PathBuf, value: &impl serde::Serialize) {
        if let Ok(json) = serde_json::to_vec(value) {
            self.send(Job::Write(path, json));
        }
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

/// A failed write is tried again with the next change; the present text is on screen anyway.
fn write_all(inbox: &Receiver<Job>) {
    for job in inbox {
        match job {
            Job::Write(path, bytes) => drop(write_atomically(&path, &bytes)),
            Job::Remove(path) => drop(std::fs::remove_file(path)),
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
                store.write(store.document(document.id), &draft::from_policy(document));
            }
            open.insert(document.id, present);
        }
        for document in &self.state.conversations {
            let present = Written::of(document);
            if store.written.get(&document.id).is_none_or(|written| !written.is(&present)) {
                store.write(store.document(document.id), &draft::from_conversation(document));
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
        store.write(store.folder.join(SESSION), &session);
        for closed in store.written.keys().filter(|id| !open.contains_key(id)) {
            store.send(Job::Remove(store.document(*closed)));
        }
        store.written = open;
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.finish_labels();
        self.save_drafts();
        self.close_routers();
    }
}

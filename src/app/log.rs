//! What happened since the start, for people: errors stay readable after their banner is gone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much attention an entry needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Info,
    Error,
}

/// What a banner is about, where that may be over before anybody dismisses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    /// A request for a decision that failed.
    Routing,
    /// YAML that cannot be read.
    Yaml,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Unique in its log.
    pub id: u64,
    /// Time since the start of Waypost.
    pub after: Duration,
    pub severity: Severity,
    pub text: String,
    /// Whether the entry is still shown as a banner.
    pub open: bool,
    topic: Option<Topic>,
}

/// Entries older than this many are forgotten, so that an engine that fails all day cannot fill the memory.
const LIMIT: usize = 500;

/// The entries, oldest first.
#[derive(Debug)]
pub struct Log {
    entries: VecDeque<Entry>,
    start: Instant,
    next: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { entries: VecDeque::new(), start: Instant::now(), next: 0 }
    }
}

impl Log {
    /// Notes something that needs no attention.
    pub fn info(&mut self, text: impl Into<String>) {
        self.push(Severity::Info, text.into(), false, None);
    }

    /// Notes something that went wrong and that is shown elsewhere.
    pub fn failure(&mut self, text: impl Into<String>) {
        self.push(Severity::Error, text.into(), false, None);
    }

    /// Notes something that went wrong, and shows it until it is dismissed.
    pub fn error(&mut self, text: impl Into<String>) {
        self.push(Severity::Error, text.into(), true, None);
    }

    /// As [`Self::error`], until what it says is over at the latest, see [`Self::settle`].
    pub(super) fn error_about(&mut self, topic: Topic, text: impl Into<String>) {
        self.push(Severity::Error, text.into(), true, Some(topic));
    }

    /// Takes what was told of a topic off the screen: it is over.
    pub(super) fn settle(&mut self, topic: Topic) {
        self.entries.iter_mut().filter(|entry| entry.topic == Some(topic)).for_each(|entry| entry.open = false);
    }

    /// Takes an entry off the screen; the log keeps it.
    pub fn dismiss(&mut self, id: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.open = false;
        }
    }

    /// Returns all entries, oldest first.
    pub fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// Returns the newest entry that is still to be shown as a banner, and how many there are.
    pub fn open(&self) -> (Option<&Entry>, usize) {
        let open = || self.entries.iter().filter(|entry| entry.open);
        (open().next_back(), open().count())
    }

    fn push(&mut self, severity: Severity, text: String, open: bool, topic: Option<Topic>) {
        // The same failure again moves to the end rather than filling the screen, for example while routing at every keystroke.
        if open {
            self.entries.retain(|entry| !(entry.open && entry.text == text));
        }
        if self.entries.len() == LIMIT {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { id: self.next, after: self.start.elapsed(), severity, text, open, topic });
        self.next += 1;
    }
}

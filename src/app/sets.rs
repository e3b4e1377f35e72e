//! Labelled sets: opening them, adding a case. Files are read and written on the thread of `tasks`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::batch::SampleSet;
use super::files::absolute;
use super::measure::apply_set_edit;
use super::session::App;
use super::state::Dialog;
use super::{Command, Sample, StudyKind, StudyRow, Subject, Tab};
use crate::chat::Conversation;
use crate::chat::labelled::Expected;
use crate::formats::{FormatError, LabelledReader, LabelledSet, SetEdit, SetFinding, case_json};
use crate::policy::{NO_ROUTE_LABEL, Policy};

/// Sets that the list of recent ones remembers.
const RECENT: usize = 12;
/// Lines of a file that tell whether it is a set.
const FIRST_LINES: usize = 100;

/// An open set, and what is odd about it beside a policy.
#[derive(Debug)]
pub struct OpenSet {
    pub set: Arc<LabelledSet>,
    pub findings: Vec<SetFinding>,
    /// The policy that the findings are about.
    pub policy: Arc<Policy>,
}

/// A set that is being read.
#[derive(Clone, Debug)]
pub struct Opening {
    pub path: PathBuf,
    progress: Arc<Reading>,
}

#[derive(Debug, Default)]
struct Reading {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Opening {
    /// Returns the read share of the file, between 0 and 1.
    pub fn fraction(&self) -> f32 {
        let total = self.progress.total.load(Ordering::Relaxed).max(1);
        (self.progress.done.load(Ordering::Relaxed) as f64 / total as f64) as f32
    }
}

/// A conversation that is about to be added to a set.
#[derive(Clone, Debug, PartialEq)]
pub struct AddToSet {
    pub conversation: Arc<Conversation>,
    /// The expected routes, `other` for none: of each user message where `per_turn`, otherwise of the last one alone. `None` until one is
    /// chosen or decided, since a label that nobody looked at is worse than none.
    pub expected: Vec<Option<String>>,
    pub per_turn: bool,
    /// Labels to choose from.
    pub labels: Vec<String>,
    /// `None` until a file is chosen.
    pub set: Option<PathBuf>,
}

impl AddToSet {
    /// Returns the labels once all are there.
    pub fn complete(&self) -> Option<Expected> {
        let mut labels: Vec<String> = self.expected.iter().cloned().collect::<Option<_>>()?;
        if self.per_turn { Some(Expected::PerTurn(labels)) } else { labels.pop().map(Expected::Last) }
    }

    /// Returns why the conversation cannot be added yet, or `None` when it can.
    pub fn obstacle(&self) -> Option<&'static str> {
        if self.complete().is_none() { Some("Choose the expected route first") } else { self.set.is_none().then_some("Choose a set first") }
    }
}

impl App {
    /// Reads a set in the background; what is open stays until it is there.
    pub(super) fn open_set(&mut self, path: &Path) {
        let path: &Path = &absolute(path);
        if let Some(opening) = &self.state.batch.opening {
            opening.progress.cancelled.store(true, Ordering::Relaxed);
        }
        let progress = Arc::new(Reading::default());
        self.state.batch.opening = Some(Opening { path: path.to_owned(), progress: Arc::clone(&progress) });
        let (path, policy) = (path.to_owned(), Arc::clone(self.state.routes()));
        let abandoned = Arc::clone(&progress);
        let read = move || (read_set(&path, &policy, &progress), path);
        self.files.run(
            read,
            |app, (read, path)| app.set_opened(read, &path),
            move |app| drop(app.state.batch.opening.take_if(|opening| Arc::ptr_eq(&opening.progress, &abandoned))),
        );
    }

    /// Opens a set and shows the tab for it.
    pub(super) fn show_set(&mut self, path: &Path) {
        self.change_settings(|settings| settings.tab = Tab::Batch);
        self.open_set(path);
    }

    fn set_opened(&mut self, read: Result<Option<OpenSet>, FormatError>, path: &Path) {
        if self.state.batch.opening.as_ref().is_some_and(|opening| opening.path == path) {
            self.state.batch.opening = None;
        }
        match read {
            Ok(Some(set)) => {
                let (labelled, unlabelled, bad) = (set.set.labelled(), set.set.unlabelled().len(), set.set.bad().len());
                let to_label = if unlabelled > 0 { format!(", {unlabelled} to label") } else { String::new() };
                let plural = |count: usize| if count == 1 { "" } else { "s" };
                let read = format!("{labelled} case{}{to_label}, {bad} bad line{}", plural(labelled), plural(bad));
                self.state.log.info(format!("Opened {}: {read}", path.display()));
                self.state.batch.set = Some(Arc::new(set));
                self.state.batch.labelling = None;
                self.note_recent_set(path.to_owned());
                // What was said in the selected case can be read now, if it is of this set.
                self.select_case(self.state.batch.selected);
                // Corrections that could not be written before.
                self.write_corrections();
                self.refresh_comparison();
            }
            Ok(None) => {}
            Err(error) => self.state.log.error(error.to_string()),
        }
    }

    /// Stops reading a set.
    pub(super) fn cancel_opening(&mut self) {
        if let Some(opening) = self.state.batch.opening.take() {
            opening.progress.cancelled.store(true, Ordering::Relaxed);
        }
    }

    /// Stops what reads whole sets, to open or to search them: the threads are waited for when the window closes, and nobody needs that.
    pub(super) fn stop_reading(&mut self) {
        self.cancel_opening();
        self.search.store(true, Ordering::Relaxed);
    }

    /// Looks at the open set beside the policy on screen once more.
    pub(super) fn refresh_findings(&mut self) {
        let policy = Arc::clone(self.state.routes());
        let Some(open) = self.state.batch.set.as_ref().filter(|open| !Arc::ptr_eq(&open.policy, &policy)) else { return };
        let set = Arc::clone(&open.set);
        let find = move || OpenSet { findings: set.findings(&policy), set, policy };
        let apply = |app: &mut Self, found: OpenSet| {
            if app.state.batch.set.as_ref().is_some_and(|open| Arc::ptr_eq(&open.set, &found.set)) {
                app.state.batch.set = Some(Arc::new(found));
            }
        };
        // Findings about an older policy stay beside it, and are looked for again the next time.
        self.files.run(find, apply, |_| ());
    }

    /// Finds out which labelled set belongs to the policy on screen.
    pub(super) fn refresh_sample(&mut self) {
        let policy = self.state.policy();
        let present = (policy.id, policy.path.clone());
        if self.sample_of.as_ref() == Some(&present) {
            return;
        }
        self.state.batch.sample = match &policy.path {
            Some(path) => Some(path.with_file_name("labelled.jsonl")).filter(|path| path.is_file()).map(SampleSet::File),
            None => Sample::of(&policy.text.policy).map(SampleSet::BuiltIn),
        };
        self.sample_of = Some(present);
    }

    /// Opens the set that was open last, when the Batch tab is shown for the first time and nothing else is open there.
    pub(super) fn refresh_set(&mut self) {
        if self.state.settings.tab != Tab::Batch || std::mem::replace(&mut self.batch_seen, true) {
            return;
        }
        let is_free = self.state.batch.set.is_none() && self.state.batch.opening.is_none();
        let last = self.state.settings.recent_sets.first().filter(|path| is_free && path.is_file());
        if let Some(path) = last.cloned() {
            self.open_set(&path);
        }
    }

    pub(super) fn open_sample_set(&mut self) {
        match self.state.batch.sample.clone() {
            Some(SampleSet::File(path)) => self.open_set(&path),
            Some(SampleSet::BuiltIn(sample)) => match self.write_sample(sample) {
                Ok(path) => self.open_set(&path),
                Err(error) => self.state.log.error(format!("The sample set could not be written ({error}); open one from a file")),
            },
            None => {}
        }
    }

    /// The sample is part of the program; as a file its labels can be corrected like any other's.
    fn write_sample(&self, sample: &Sample) -> std::io::Result<PathBuf> {
        let folder = self.store.as_ref().map_or_else(|| std::env::temp_dir().join("waypost"), |store| store.folder().join("sample"));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(sample.folder).with_extension("jsonl");
        if !path.exists() {
            super::store::write_atomically(&path, sample.set.as_bytes())?;
        }
        Ok(path)
    }

    /// Takes in a set that Waypost itself has just changed.
    pub(super) fn set_rewritten(&mut self, set: Arc<OpenSet>) {
        self.note_recent_set(set.set.path().to_owned());
        let before = self.state.batch.set.replace(set);
        self.keep_labelling(before.as_deref());
        self.refresh_comparison();
    }

    fn note_recent_set(&mut self, path: PathBuf) {
        self.change_settings(|settings| {
            settings.recent_sets.retain(|recent| *recent != path);
            settings.recent_sets.insert(0, path);
            settings.recent_sets.truncate(RECENT);
        });
    }

    /// Asks for the label and the set of the conversation in the Playground.
    pub(super) fn ask_label(&mut self) {
        let state = &self.state;
        let names = state.routes().routes.iter().map(|route| route.name.as_str()).filter(|name| !name.is_empty());
        let labels = names.chain([NO_ROUTE_LABEL]).map(str::to_owned).collect();
        let decided = state.decided_label();
        let open = state.batch.set.as_ref().map(|open| &open.set);
        let set = open.map(|set| set.path().to_owned()).or_else(|| state.settings.recent_sets.first().cloned());
        let conversation = Arc::clone(&state.conversation().text);
        // A case with one label among such with a label for each message would be in no figure of spans and conversations.
        let per_turn = open.is_some_and(|set| set.is_per_turn());
        let expected = if per_turn { label_each(&conversation, &self.decided_turns(), decided) } else { vec![decided] };
        self.state.dialog = Some(Dialog::AddToSet(AddToSet { conversation, expected, per_turn, labels, set }));
    }

    /// Proposes the decision that just came as the label of the last user message, where nobody has chosen one yet: it is about no other.
    pub(super) fn propose_label(&mut self) {
        let decided = self.state.decided_label();
        let conversation = Arc::clone(&self.state.conversation().text);
        if let Some(Dialog::AddToSet(add)) = &mut self.state.dialog
            && Arc::ptr_eq(&add.conversation, &conversation)
            && let Some(last) = add.expected.last_mut().filter(|last| last.is_none())
        {
            *last = decided;
        }
    }

    /// Appends the conversation to the chosen set, which is made where there is none.
    pub(super) fn add_to_set(&mut self) {
        let Some(Dialog::AddToSet(add)) = &self.state.dialog else { return };
        let Some((expected, path)) = add.complete().zip(add.set.clone()) else { return };
        let conversation = Arc::clone(&add.conversation);
        self.state.dialog = None;
        let policy = Arc::clone(self.state.routes());
        let labels = match &expected {
            Expected::Last(label) => label.clone(),
            Expected::PerTurn(labels) => labels.join(", "),
        };
        let shown = path.clone();
        let append = move || append_case(&path, &conversation, &expected, &policy);
        let apply = move |app: &mut Self, appended: Result<OpenSet, String>| match appended {
            Ok(set) => {
                app.set_rewritten(Arc::new(set));
                // Labels that were given meanwhile are of the file as it was before.
                app.write_corrections();
                app.tell_saved(format!("Added the conversation to {} as {labels}", shown.display()));
            }
            Err(sentence) => app.state.log.error(format!("The conversation was not added to {}: {sentence}", shown.display())),
        };
        self.files.run(append, apply, |_| ());
    }

    pub(super) fn set_command(&mut self, command: Command) {
        let decided = self.decided_turns();
        let Some(Dialog::AddToSet(add)) = &mut self.state.dialog else { return };
        match command {
            Command::AddLabel { turn, label } => {
                if let Some(present) = add.expected.get_mut(turn) {
                    *present = Some(label);
                }
            }
            Command::AddPerTurn(each) => {
                let last = add.expected.last().cloned().flatten();
                add.expected = if each { label_each(&add.conversation, &decided, last) } else { vec![last] };
                add.per_turn = each;
            }
            Command::AddSet(path) => add.set = Some(path),
            _ => self.add_to_set(),
        }
    }
}

impl App {
    /// Returns what was decided after each user message on screen, by the message's position, where that was studied.
    fn decided_turns(&self) -> Vec<(usize, String)> {
        let study = self.state.study(StudyKind::Turns).filter(|study| !self.state.is_study_outdated(study));
        let turn = |row: &StudyRow| match row.subject {
            Subject::Message(message) => Some((message, row.decision()?.label()?.to_owned())),
            _ => None,
        };
        study.map(|study| study.rows.iter().filter_map(turn).collect()).unwrap_or_default()
    }
}

/// Proposes a label for each user message: for the `last` one this, for each other what was `decided` after it, by its position, where that is
/// known.
fn label_each(conversation: &Conversation, decided: &[(usize, String)], last: Option<String>) -> Vec<Option<String>> {
    let proposed = |message: usize| decided.iter().find(|(turn, _)| *turn == message).map(|(_, label)| label.clone());
    let mut labels: Vec<Option<String>> = conversation.user_turns().map(proposed).collect();
    labels.pop();
    labels.push(last);
    labels
}

fn read_set(path: &Path, policy: &Arc<Policy>, progress: &Reading) -> Result<Option<OpenSet>, FormatError> {
    let mut report = |done, total| {
        progress.done.store(done, Ordering::Relaxed);
        progress.total.store(total, Ordering::Relaxed);
        !progress.cancelled.load(Ordering::Relaxed)
    };
    let set = LabelledSet::open(path, &mut report)?;
    Ok(set.map(|set| OpenSet { findings: set.findings(policy), set: Arc::new(set), policy: Arc::clone(policy) }))
}

/// Opens a set that was just written.
pub(super) fn read_again(path: &Path, policy: &Arc<Policy>) -> Result<OpenSet, String> {
    let set = read_set(path, policy, &Reading::default()).map_err(|error| error.to_string())?;
    set.ok_or_else(|| "reading it again was cancelled".to_owned())
}

fn append_case(path: &Path, conversation: &Conversation, expected: &Expected, policy: &Arc<Policy>) -> Result<OpenSet, String> {
    let sentence = |error: FormatError| error.to_string();
    if path.exists() {
        let open = read_again(path, policy)?;
        let id = format!("playground-{}", open.set.cases().len() + open.set.bad().len() + 1);
        let edit = open.set.append(&id, conversation, expected).map_err(sentence)?;
        edit_file(path, vec![edit]).map_err(|error| error.to_string())?;
    } else {
        let line = case_json("playground-1", conversation, expected) + "\n";
        super::store::write_atomically(path, line.as_bytes()).map_err(|error| error.to_string())?;
    }
    read_again(path, policy)
}

/// Applies edits to a file, the last one in it first, so that each is where it was found.
pub(super) fn edit_file(path: &Path, mut edits: Vec<SetEdit>) -> std::io::Result<()> {
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.offset));
    edits.iter().try_for_each(|edit| apply_set_edit(path, edit).map(drop))
}

/// Returns whether a file is a labelled set.
pub(super) fn is_set(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    if !["jsonl", "ndjson", "json", "csv", "tsv"].contains(&extension.as_str()) {
        return false;
    }
    // The first lines tell; a conversation has no label, and of a set some may have none yet.
    let name = path.display().to_string();
    crate::formats::open(path).is_ok_and(|file| LabelledReader::new(file, name).take(FIRST_LINES).any(|case| case.is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tasks::tests::app;

    #[test]
    fn closing_stops_what_is_being_read() {
        let mut app = app();
        app.open_set(Path::new("large.jsonl"));
        let (opening, search) = (app.state.batch.opening.clone().unwrap(), Arc::clone(&app.search));
        drop(app);
        assert!(opening.progress.cancelled.load(Ordering::Relaxed) && search.load(Ordering::Relaxed));
    }
}

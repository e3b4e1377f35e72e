//! Correcting labels: at once in the figures on screen, soon after in the set's file, and then in every kept run of the set.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Correction;
use super::measure::open_run;
use super::run_change::RunChange;
use super::session::App;
use super::sets::{OpenSet, edit_file, read_again};
use super::{RunId, RunView};
use crate::eval::{Run, TurnResult};
use crate::formats::{LabelledSet, SetEdit};
use crate::policy::NO_ROUTE_LABEL;

/// How long a closing window waits for labels and names: far longer than writing them takes, unless the disk is gone.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What writing corrections gives.
struct Written {
    /// The set as it is now.
    set: OpenSet,
    /// Corrections that the file could not take, and why; the others are in it.
    misfits: Vec<(Correction, String)>,
}

impl App {
    /// Corrects the label of a case of the run on screen.
    pub(super) fn relabel(&mut self, turn: u32, label: &str) {
        let Some(view) = &self.state.batch.view else { return };
        let Some(result) = view.run.turns.get(turn as usize) else { return };
        let correction = Correction {
            set: view.run.info.set.path.clone().into(),
            case: result.conversation,
            line: result.line,
            id: result.id.to_string(),
            turn: result.turn,
            before: result.label.to_string(),
            after: label.to_owned(),
        };
        let obstacle = self.state.batch.set.as_ref().and_then(|open| label_obstacle(&open.set, result, label));
        // The figures on screen may not have the last correction yet.
        let last = self.state.batch.corrections.iter().rev().find(|last| last.is_of(&correction)).map(|last| last.after.clone());
        let correction = Correction { before: last.unwrap_or(correction.before), ..correction };
        if correction.before == correction.after || !self.is_set_open(&correction.set) {
            return;
        }
        if let Some(sentence) = obstacle {
            return self.state.log.error(sentence);
        }
        if self.state.batch.shown.is_none() {
            return self.state.log.error("Labels can be corrected once the run has ended; stop it or wait");
        }
        self.state.batch.undone.clear();
        self.correct(&correction);
        self.state.batch.corrections.push(correction);
    }

    /// Gives a case of the open set its first label and goes on to the next one. A route without a name is no label.
    pub(super) fn label_case(&mut self, case: usize, label: &str) {
        let Some(open) = self.state.batch.set.as_ref().filter(|_| !label.is_empty()) else { return };
        let Some(entry) = open.set.cases().get(case).filter(|entry| !entry.is_labelled()) else { return };
        let correction = Correction {
            set: open.set.path().to_owned(),
            case,
            line: entry.place.line,
            id: entry.id.to_string(),
            turn: 0,
            before: String::new(),
            after: label.to_owned(),
        };
        // The file may not have its first label yet.
        let last = self.state.batch.corrections.iter().rev().find(|last| last.is_of(&correction)).map(|last| last.after.clone());
        let correction = Correction { before: last.unwrap_or_default(), ..correction };
        // Before the label is written, so that reading the next case does not wait for that.
        self.select_next_unlabelled(case);
        if correction.before == correction.after {
            return;
        }
        self.state.batch.undone.clear();
        self.correct(&correction);
        self.state.batch.corrections.push(correction);
    }

    /// Takes the last correction back, or does it again.
    pub(super) fn undo_label(&mut self, redo: bool) {
        let batch = &self.state.batch;
        let Some(correction) = (if redo { batch.undone.last() } else { batch.corrections.last() }).cloned() else { return };
        if !self.is_set_open(&correction.set) {
            return;
        }
        let (before, after) = (correction.before.clone(), correction.after.clone());
        let (before, after) = if redo { (before, after) } else { (after, before) };
        let told = format!("label of case {}, now {}", correction.id, if after.is_empty() { "none" } else { after.as_str() });
        self.correct(&Correction { before, after, ..correction });
        self.tell_undone(redo, &told);
        let batch = &mut self.state.batch;
        let (from, to) = if redo { (&mut batch.undone, &mut batch.corrections) } else { (&mut batch.corrections, &mut batch.undone) };
        to.extend(from.pop());
    }

    /// Returns whether a set is the open one, and says what to do where it is not.
    fn is_set_open(&mut self, path: &Path) -> bool {
        let is_open = self.state.batch.set.as_ref().is_some_and(|open| open.set.path() == path);
        if !is_open {
            let path = path.display();
            self.state.log.error(format!("The label was not changed: the run's set is not open; open {path} and correct it again"));
        }
        is_open
    }

    fn correct(&mut self, correction: &Correction) {
        self.state.last_done = None;
        if let Some(shown) = self.state.batch.shown.clone().filter(|_| !correction.changes_cases()) {
            self.change_run(shown, RunChange::Label(correction.clone()));
        }
        self.unwritten.push(correction.clone());
        self.write_corrections();
    }

    /// Writes the labels of the open set that are not in its file yet.
    pub(super) fn write_corrections(&mut self) {
        if let Some(open) = self.state.batch.set.clone() {
            self.write_corrections_of(open);
        }
    }

    /// One write at a time: each makes the set's index anew.
    fn write_corrections_of(&mut self, open: Arc<OpenSet>) {
        if !self.writing.is_empty() {
            return;
        }
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.unwritten).into_iter().partition(|one| one.set == open.set.path());
        self.unwritten = later;
        if now.is_empty() {
            return;
        }
        let now: Arc<[Correction]> = now.into();
        self.writing = Arc::clone(&now);
        let write = move || {
            let written = write_labels(&open, &now);
            (open, now, written)
        };
        let apply = |app: &mut Self, (open, now, written): (Arc<OpenSet>, Arc<[Correction]>, Result<Written, String>)| {
            match written {
                Ok(Written { set, misfits }) => {
                    app.writing = Arc::default();
                    let set = Arc::new(set);
                    let fits = |one: &&Correction| !misfits.iter().any(|(misfit, _)| misfit.is_of(one));
                    let fitting: Vec<Correction> = now.iter().filter(fits).cloned().collect();
                    app.labels_written(&open, &fitting, &set);
                    app.drop_misfits(&now, misfits);
                    // What was corrected meanwhile is written whichever set is open by now.
                    app.write_corrections_of(set);
                }
                Err(sentence) => {
                    app.abandon_writing();
                    // Waypost itself may have added a case to the file meanwhile: then the newer index fits.
                    if app.state.batch.newer_set(&open.set).is_some() {
                        return app.write_corrections();
                    }
                    return app.state.log.error(format!("The corrected label is not in the set's file yet: {sentence}"));
                }
            }
            app.write_corrections();
        };
        self.files.run(write, apply, Self::abandon_writing);
    }

    /// Keeps what could not be written: it is tried again with the next correction, when the set is opened again, and when the window closes.
    fn abandon_writing(&mut self) {
        let now = std::mem::take(&mut self.writing);
        drop(self.unwritten.splice(..0, now.iter().cloned()));
    }

    /// Gives up corrections that do not fit their file, which no later try would change: labels on screen are again what the file says.
    /// `written` are those of the same write.
    fn drop_misfits(&mut self, written: &[Correction], misfits: Vec<(Correction, String)>) {
        for (misfit, sentence) in misfits {
            self.state.log.error(format!("The label of case {} was not changed in the set's file: {sentence}", misfit.id));
            let batch = &mut self.state.batch;
            batch.corrections.retain(|other| !other.is_of(&misfit));
            batch.undone.retain(|other| !other.is_of(&misfit));
            // Of several corrections of one label the first one knows what the file has.
            let first = written.iter().find(|first| first.is_of(&misfit)).unwrap_or(&misfit);
            let taken = Correction { before: first.before.clone(), ..misfit.clone() };
            for later in self.unwritten.iter_mut().filter(|later| later.is_of(&misfit)) {
                later.before.clone_from(&taken.before);
            }
            let runs = self.state.library.runs.iter().filter(|run| run.set == taken.set && !misfit.changes_cases());
            self.uncounted.extend(runs.map(|run| (run.id.clone(), RunChange::Back(taken.clone()))));
        }
        self.count_changes();
    }

    /// Tells the kept runs of a set what was corrected in its file.
    fn labels_written(&mut self, before: &OpenSet, corrections: &[Correction], after: &Arc<OpenSet>) {
        if self.state.batch.set.as_ref().is_some_and(|open| open.set.path() == after.set.path()) {
            self.set_rewritten(Arc::clone(after));
        }
        if corrections.is_empty() {
            return;
        }
        let same_cases = || RunChange::Set { before: before.set.sha256().to_owned(), after: after.set.sha256().to_owned() };
        // A set with more cases than before, or fewer, is another one than what the runs were measured on.
        let set = (!corrections.iter().any(Correction::changes_cases)).then(same_cases);
        let kept = self.state.library.runs.iter().filter(|run| run.set == after.set.path());
        // One that was corrected again meanwhile is about to be written: it would come back for a moment.
        let is_last = |one: &&Correction| !one.changes_cases() && !self.unwritten.iter().any(|later| later.is_of(one));
        let labels: Vec<RunChange> = corrections.iter().filter(is_last).cloned().map(RunChange::Label).collect();
        if self.state.batch.measuring.is_some() {
            self.corrected_meanwhile.extend(labels.iter().cloned().chain(set.clone()));
        }
        for run in kept.map(|run| run.id.clone()).collect::<Vec<_>>() {
            let labels = labels.iter().cloned();
            labels.chain(set.clone()).for_each(|change| self.uncounted.push((run.clone(), change)));
        }
        self.count_changes();
    }

    /// Tells a run that was just kept which labels were corrected while it was measured.
    pub(super) fn correct_measured(&mut self, id: &RunId, run: &Run) {
        for change in std::mem::take(&mut self.corrected_meanwhile) {
            let is_of_set = |one: &Correction| one.set.as_os_str() == run.info.set.path.as_str();
            if !matches!(&change, RunChange::Label(one) if !is_of_set(one)) {
                self.uncounted.push((id.clone(), change));
            }
        }
        self.count_changes();
    }

    /// Waits, when the window closes, until the labels that are being written are in the set's file and in the kept runs.
    pub(super) fn finish_labels(&mut self) {
        self.wait_while(|app| !app.writing.is_empty() || app.counting);
    }

    /// Lets the threads get on with what is to be on disk before the window closes, but not for ever.
    pub(super) fn wait_while(&mut self, is_under_way: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LONGEST_WAIT;
        while is_under_way(self) && Instant::now() < end {
            self.poll();
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Tries once more to write the labels that are not in their set's file; returns what is still in none, for people. Drafts do not hold
    /// labels.
    pub(super) fn lost_labels(&mut self) -> Vec<String> {
        self.write_corrections();
        self.wait_while(|app| !app.writing.is_empty());
        let name = |set: &Path| set.file_name().map_or_else(|| set.display().to_string(), |name| name.to_string_lossy().into_owned());
        let mut lost: Vec<String> = self.writing.iter().chain(&self.unwritten).map(|one| format!("labels of {}", name(&one.set))).collect();
        lost.sort_unstable();
        lost.dedup();
        lost
    }

    fn change_run(&mut self, run: RunId, change: RunChange) {
        self.uncounted.push((run, change));
        self.count_changes();
    }

    /// Computes the figures of a changed run anew, that on screen first; one computation at a time, each from the last one's result.
    fn count_changes(&mut self) {
        if self.counting {
            return;
        }
        let (library, shown) = (&self.state.library, self.state.batch.shown.as_ref());
        self.uncounted.retain(|(run, _)| library.run(run).is_some());
        let is_shown = |(run, _): &&(RunId, RunChange)| Some(run) == shown;
        let Some(id) = self.uncounted.iter().find(is_shown).or(self.uncounted.first()).map(|(run, _)| run.clone()) else { return };
        let (changes, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.uncounted).into_iter().partition(|(run, _)| *run == id);
        self.uncounted = later;
        self.counting = true;
        let (loaded, folder) = (library.loaded.get(&id).cloned(), self.run_folder(&id).unwrap_or_default());
        let is_loaded = loaded.is_some();
        let compute = move || {
            let run = loaded.as_ref().map_or_else(|| open_run(&folder), |view| Ok(Run::clone(&view.run)));
            let view = run.map(|mut run| {
                changes.iter().cloned().for_each(|(_, change)| change.apply(&mut run));
                RunView::new(Arc::new(run))
            });
            (id, loaded, changes, view)
        };
        // A run that is read again is read after its last change was written, which is done there.
        let thread = if is_loaded { &self.figures } else { &self.files };
        thread.run(
            compute,
            |app, (id, loaded, changes, view)| {
                app.counting = false;
                let present = app.state.library.loaded.get(&id);
                let is_of_present = present.map(Arc::as_ptr) == loaded.as_ref().map(Arc::as_ptr);
                match view {
                    Ok(view) if is_of_present => app.keep_changed(&id, Arc::new(view)),
                    // It was read or renamed meanwhile.
                    Ok(_) => drop(app.uncounted.splice(..0, changes)),
                    Err(error) => app.state.log.error(format!("The labels of a kept run stay as they were: {error}")),
                }
                app.count_changes();
            },
            |app| {
                // The labels of that run stay as they were; those of others are counted.
                app.counting = false;
                app.count_changes();
            },
        );
    }
}

/// Returns why a case cannot have a label: a line that brings routes of its own is unreadable with any other label.
fn label_obstacle(set: &LabelledSet, turn: &TurnResult, label: &str) -> Option<String> {
    let line = turn.line;
    match &turn.routes {
        Some(names) if label == NO_ROUTE_LABEL || names.iter().any(|name| name == label) => None,
        Some(names) => {
            let names = names.join(", ");
            Some(format!("The label was not changed: {label} is not one of the routes on line {line}; choose one of {names}"))
        }
        // Runs that an earlier version kept may lack the names.
        None => set.cases().get(turn.conversation).filter(|entry| entry.own_routes && entry.id == turn.id).map(|_| {
            format!("The label was not changed: line {line} has routes of its own, which this run does not know; measure again first")
        }),
    }
}

/// Writes corrections into their set's file. One that does not fit keeps no other out of it.
fn write_labels(open: &OpenSet, corrections: &[Correction]) -> Result<Written, String> {
    // A file that others changed holds something else at every place: then none can be written before the set is opened again.
    open.set.reader().map_err(|error| error.to_string())?;
    let (mut edits, mut misfits): (Vec<SetEdit>, _) = (Vec::new(), Vec::new());
    // Of several corrections of one label the last counts.
    for (at, one) in corrections.iter().enumerate() {
        if corrections[at + 1..].iter().any(|later| later.is_of(one)) {
            continue;
        }
        match edit_of(&open.set, one) {
            Ok(edit) => edits.extend(edit),
            Err(sentence) => misfits.push((one.clone(), sentence)),
        }
    }
    edit_file(open.set.path(), edits).map_err(|error| error.to_string())?;
    Ok(Written { set: read_again(open.set.path(), &open.policy)?, misfits })
}

fn edit_of(set: &LabelledSet, one: &Correction) -> Result<Option<SetEdit>, String> {
    if set.cases().get(one.case).is_none_or(|case| case.place.line != one.line || *case.id != *one.id) {
        // A run knows its cases by their lines.
        let remedy = if one.before.is_empty() { "give the label once more" } else { "measure again, then correct it" };
        return Err(format!("line {} is no longer that case; {remedy}", one.line));
    }
    let edit = if one.after.is_empty() { set.unlabel(one.case) } else { set.relabel(one.case, one.turn, &one.after).map(Some) };
    edit.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tasks::tests::{app, defective, fail};

    #[test]
    fn corrections_whose_writing_met_a_defect_are_kept_and_told_when_the_window_closes() {
        let mut app = app();
        let correction = |after: &str| Correction {
            set: "/nowhere/set.jsonl".into(),
            case: 0,
            line: 1,
            id: "a".to_owned(),
            turn: 0,
            before: "x".to_owned(),
            after: after.to_owned(),
        };
        app.writing = [correction("first")].into();
        app.unwritten.push(correction("meanwhile"));
        app.files.run(defective, |_, ()| (), App::abandon_writing);
        fail(&mut app);
        let unwritten: Vec<&str> = app.unwritten.iter().map(|one| one.after.as_str()).collect();
        assert_eq!((app.writing.len(), unwritten), (0, vec!["first", "meanwhile"]));
        assert_eq!(app.lost_labels(), ["labels of set.jsonl"]);
    }
}

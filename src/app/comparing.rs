//! Comparing kept runs: which stand beside the baseline, what differs, which edit of the policy causes it.

use std::sync::Arc;

use super::compare::{CompareCommand, ComparisonView, Contender};
use super::session::App;
use super::state::{Dialog, Question};
use super::{BatchPart, RunId, Tab};

impl App {
    pub(super) fn compare_command(&mut self, command: CompareCommand) {
        let compare = &mut self.state.compare;
        match command {
            CompareCommand::Pin(id) => self.pin(id),
            CompareCommand::KeepBaseline(keep) => self.change_settings(|settings| settings.baseline_pinned = keep),
            CompareCommand::Include(id, on) => {
                compare.included.retain(|included| *included != id);
                if on {
                    compare.focus = Some(id.clone());
                    compare.included.push(id);
                }
                self.refresh_comparison();
            }
            CompareCommand::Focus(id) => {
                compare.focus = Some(id);
                self.refresh_comparison();
            }
            CompareCommand::Rename(id, name) => self.rename_run(&id, name),
            CompareCommand::Delete(id) => self.state.dialog = Some(Dialog::Question(Question::DeleteRun(id))),
            CompareCommand::ShowPart(part) => compare.part = part,
            CompareCommand::ShowKind(kind) => compare.kind = kind,
            CompareCommand::OnlyDifferent(only) => compare.only_different = only,
            CompareCommand::OpenCase(id, turn) => {
                self.change_settings(|settings| settings.tab = Tab::Batch);
                self.state.batch.part = BatchPart::Cases;
                self.show_run(id, Some(turn));
            }
            CompareCommand::FindCauses => self.find_causes(),
        }
    }

    /// Makes a run the one that others are compared with; the one before stands beside it.
    fn pin(&mut self, id: RunId) {
        let before = self.state.library.baseline.clone();
        self.set_baseline(Some(id.clone()), true);
        let compare = &mut self.state.compare;
        compare.included.retain(|included| *included != id);
        if let Some(before) = before.filter(|before| *before != id && !compare.included.contains(before)) {
            compare.included.push(before);
        }
        self.refresh_comparison();
    }

    /// Puts a run that was just measured beside the baseline, in place of runs that were measured for another comparison.
    pub(super) fn put_beside_baseline(&mut self, id: RunId) {
        let is_first = std::mem::take(&mut self.compare_measured);
        let compare = &mut self.state.compare;
        if is_first {
            compare.included.clear();
        }
        if is_first && !self.state.settings.baseline_pinned {
            // What the other variants are compared with, where the user chose nothing else.
            self.set_baseline(Some(id), false);
        } else if self.state.library.baseline.as_ref() != Some(&id) {
            compare.included.retain(|included| *included != id);
            compare.focus = Some(id.clone());
            compare.included.push(id);
        }
        self.refresh_comparison();
    }

    /// Compares the runs that are ticked now; while a comparison is being computed, once more after it.
    pub(super) fn refresh_comparison(&mut self) {
        self.compare_outdated = true;
        if self.state.compare.computing {
            return;
        }
        let state = &mut self.state;
        let chosen: Vec<RunId> = state.library.baseline.iter().chain(&state.compare.included).cloned().collect();
        if chosen.len() < 2 || state.library.baseline.is_none() {
            self.compare_outdated = false;
            state.compare.view = None;
            return;
        }
        if let Some(missing) = chosen.iter().find(|id| !state.library.loaded.contains_key(id)).cloned() {
            state.compare.computing = true;
            self.load_run(missing, |app, _| {
                app.state.compare.computing = false;
                app.refresh_comparison();
            });
            return;
        }
        self.compare_outdated = false;
        let contender = |id: &RunId| {
            let name = state.library.run(id)?.name.clone();
            Some(Contender { id: id.clone(), name, view: Arc::clone(state.library.loaded.get(id)?) })
        };
        let runs: Vec<Contender> = chosen.iter().filter_map(contender).collect();
        if runs.len() < 2 {
            return;
        }
        let focus = runs.iter().skip(1).position(|run| state.compare.focus.as_ref() == Some(&run.id)).map_or(runs.len() - 1, |at| at + 1);
        state.compare.computing = true;
        let set = state.batch.set.as_ref().map(|open| Arc::clone(&open.set));
        self.figures.run(
            move || ComparisonView::new(runs, focus, set.as_deref().map(|set| set.sha256())),
            |app, view| {
                app.state.compare.computing = false;
                app.state.compare.view = Some(Arc::new(view));
                if app.compare_outdated {
                    app.refresh_comparison();
                }
            },
            |app| {
                app.state.compare.computing = false;
                // Other runs may be compared.
                if app.compare_outdated {
                    app.refresh_comparison();
                }
            },
        );
    }
}

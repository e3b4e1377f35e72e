//! Keeping runs on disk, each in a folder of its own beside the drafts, so that they can be looked at and compared later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::measure::{list_runs, open_run, run_folder_name, write_findings, write_run};
use super::session::App;
use super::{KeptRun, RunId, RunView};
use crate::eval::Run;
use crate::formats::LabelledSet;

/// Pause after the last keystroke in a run's name before it is written.
const PAUSE: Duration = Duration::from_millis(600);

impl App {
    /// Returns the folder of a run; `None` where nothing outlives the window.
    pub(super) fn run_folder(&self, id: &RunId) -> Option<PathBuf> {
        self.store.as_ref().map(|store| store.folder().join("runs").join(&id.0))
    }

    /// Lists the runs that were kept before.
    pub(super) fn read_library(&mut self) {
        let Some(folder) = self.store.as_ref().map(|store| store.folder().join("runs")) else { return };
        self.state.library.baseline = self.state.settings.baseline.clone();
        self.files.run(
            move || list_runs(&folder),
            |app, mut saved| {
                saved.reverse();
                let known: Vec<KeptRun> = saved.into_iter().filter_map(KeptRun::saved).collect();
                let library = &mut app.state.library;
                let measured_meanwhile = std::mem::replace(&mut library.runs, known);
                library.runs.extend(measured_meanwhile);
                if library.baseline.as_ref().is_none_or(|id| library.run(id).is_none()) {
                    library.baseline = library.runs.first().map(|run| run.id.clone());
                    app.state.settings.baseline_pinned = false;
                }
            },
            |_| (),
        );
    }

    /// Keeps a run that was just measured; the first one becomes the baseline.
    pub(super) fn keep(&mut self, view: Arc<RunView>) -> RunId {
        let name = run_folder_name(&view.run.info);
        let library = &mut self.state.library;
        let is_free = |id: &RunId| library.run(id).is_none();
        let numbered = (2..).map(|number| RunId(format!("{name}-{number}")));
        let id = std::iter::once(RunId(name.clone())).chain(numbered).find(is_free).unwrap_or(RunId(name));
        library.runs.push(KeptRun::of(id.clone(), &view));
        self.write_kept(&id, &view.run);
        let library = &mut self.state.library;
        library.loaded.insert(id.clone(), view);
        if library.baseline.is_none() {
            self.set_baseline(Some(id.clone()), false);
        }
        id
    }

    /// Makes a run the baseline; `pinned` where the user chose it.
    pub(super) fn set_baseline(&mut self, id: Option<RunId>, pinned: bool) {
        self.state.library.baseline = id.clone();
        self.change_settings(|settings| (settings.baseline, settings.baseline_pinned) = (id, pinned));
    }

    fn write_kept(&self, id: &RunId, run: &Arc<Run>) {
        let Some(folder) = self.run_folder(id) else { return };
        let run = Arc::clone(run);
        self.files.run(
            move || {
                write_run(&folder, &run).map_err(|error| format!("The run is not kept: {} cannot be written ({error})", folder.display()))
            },
            |app, written| {
                if let Err(sentence) = written {
                    app.state.log.error(sentence);
                }
            },
            |_| (),
        );
    }

    /// Writes the report of the run on screen to a folder of its own, as `waypost eval --out` does.
    pub(super) fn save_report(&mut self, folder: &Path) {
        let Some(view) = self.state.batch.view.clone() else { return };
        let folder = folder.join(run_folder_name(&view.run.info));
        let set = self.state.batch.set.as_ref().map(|open| Arc::clone(&open.set));
        let set = set.filter(|set| set.sha256() == view.run.info.set.sha256);
        let without = if set.is_none() { ", without set_findings.csv, since the set that was measured is not open" } else { "" };
        let write = move || {
            let findings = |set: Arc<LabelledSet>| write_findings(&folder, &set, &set.findings(&view.run.policy));
            let written = write_run(&folder, &view.run).and_then(|()| set.map_or(Ok(()), findings));
            (written, folder)
        };
        let apply = move |app: &mut Self, (written, folder): (std::io::Result<()>, PathBuf)| match written {
            Ok(()) => app.tell_saved(format!("Saved the report to {}{without}", folder.display())),
            Err(error) => {
                app.state.log.error(format!("{} cannot be written ({error}); choose another folder", folder.display()));
            }
        };
        self.files.run(write, apply, |_| ());
    }

    /// Keeps what changed about a run, which is only its labels.
    pub(super) fn keep_changed(&mut self, id: &RunId, view: Arc<RunView>) {
        let library = &mut self.state.library;
        // Unless it was deleted meanwhile.
        let Some(kept) = library.runs.iter_mut().find(|run| run.id == *id) else { return };
        // A name that is being typed is newer than the run's.
        *kept = KeptRun { name: std::mem::take(&mut kept.name), ..KeptRun::of(id.clone(), &view) };
        if let Some(loaded) = library.loaded.get_mut(id) {
            *loaded = Arc::clone(&view);
            self.refresh_comparison();
        }
        self.write_kept(id, &view.run);
        if self.state.batch.shown.as_ref() == Some(id) {
            self.show_view(view, false);
        }
    }

    /// Gives a run another name, at once on screen and soon on disk.
    pub(super) fn rename_run(&mut self, id: &RunId, name: String) {
        let Some(kept) = self.state.library.runs.iter_mut().find(|run| run.id == *id) else { return };
        kept.name = name;
        if !self.renamed.contains(id) {
            self.renamed.push(id.clone());
        }
        self.rename_at = Some(Instant::now() + PAUSE);
    }

    /// Writes new names if the pause after the last keystroke is over; returns how long it still is.
    pub(super) fn tick_names(&mut self, now: Instant) -> Option<Duration> {
        let at = self.rename_at?;
        if now < at {
            return Some(at - now);
        }
        self.rename_at = None;
        for id in self.renamed.clone() {
            self.load_run(id, |app, id| app.name_loaded(id));
        }
        None
    }

    /// Has new names written without the pause when the window closes, before its threads end.
    pub(super) fn finish_names(&mut self) {
        let now = Instant::now();
        self.rename_at = self.rename_at.map(|_| now);
        self.tick_names(now);
        self.wait_while(|app| !app.renamed.is_empty());
    }

    fn name_loaded(&mut self, id: &RunId) {
        let library = &self.state.library;
        let Some((view, kept)) = library.loaded.get(id).cloned().zip(library.run(id).cloned()) else {
            return self.renamed.retain(|renamed| renamed != id);
        };
        let abandoned = id.clone();
        let rename = move || {
            let mut run = Run::clone(&view.run);
            run.info.name = kept.name;
            (kept.id, view.with_run(run), view)
        };
        let apply = |app: &mut Self, (id, view, old): (RunId, RunView, Arc<RunView>)| {
            // A label was corrected meanwhile, or the run is in memory no more, or gone.
            match app.state.library.loaded.get(&id) {
                Some(present) if Arc::ptr_eq(present, &old) => {}
                Some(_) => return app.name_loaded(&id),
                None if app.state.library.run(&id).is_some() => return app.load_run(id, |app, id| app.name_loaded(id)),
                None => return,
            }
            let view = Arc::new(view);
            app.write_kept(&id, &view.run);
            // Unless it got another name meanwhile.
            if app.state.library.run(&id).is_none_or(|kept| kept.name == view.run.info.name) {
                app.renamed.retain(|renamed| *renamed != id);
            }
            if app.state.batch.shown.as_ref() == Some(&id) {
                app.state.batch.view = Some(Arc::clone(&view));
            }
            app.state.library.loaded.insert(id, view);
            app.refresh_comparison();
        };
        // Nobody is to wait for a name that comes into no file.
        self.figures.run(rename, apply, move |app| app.renamed.retain(|renamed| *renamed != abandoned));
    }

    /// Has the cases of a run read, unless they are in memory; then `then` is called, also where they cannot be read.
    pub(super) fn load_run(&mut self, id: RunId, then: impl FnOnce(&mut Self, &RunId) + Clone + Send + 'static) {
        let folder = self.run_folder(&id).filter(|_| !self.state.library.loaded.contains_key(&id));
        let Some(folder) = folder else { return then(self, &id) };
        let (unread, give_up) = (id.clone(), then.clone());
        let read = move || (open_run(&folder).map(|run| RunView::new(Arc::new(run))), id);
        self.files.run(
            read,
            |app, (read, id)| {
                match read {
                    Ok(view) => drop(app.state.library.loaded.insert(id.clone(), Arc::new(view))),
                    Err(error) => {
                        app.state.log.error(error.to_string());
                        app.forget(&id);
                    }
                }
                then(app, &id);
            },
            move |app| {
                app.forget(&unread);
                give_up(app, &unread);
            },
        );
    }

    /// Shows a kept run in the Batch tab, and one of its cases.
    pub(super) fn show_run(&mut self, id: RunId, case: Option<u32>) {
        self.load_run(id, move |app, id| {
            let Some(view) = app.state.library.loaded.get(id).cloned() else { return };
            let set = PathBuf::from(&view.run.info.set.path);
            app.show_view(view, app.state.batch.shown.as_ref() != Some(id));
            app.state.batch.shown = Some(id.clone());
            // A run that is being measured does not take its place.
            app.is_first_view = false;
            app.reveal_case = case.is_some();
            app.select_case(case);
            let is_open = app.state.batch.set.as_ref().is_some_and(|open| open.set.path() == set);
            if !is_open && set.is_file() {
                app.open_set(&set);
            }
            app.unload();
        });
    }

    /// Deletes a run from the disk.
    pub(super) fn delete_run(&mut self, id: &RunId) {
        if let Some(folder) = self.run_folder(id) {
            let failed = move |error| format!("{} could not be deleted ({error})", folder.display());
            let folder = self.run_folder(id).unwrap_or_default();
            self.files.run(
                move || std::fs::remove_dir_all(folder).map_err(failed),
                |app, deleted| {
                    if let Err(sentence) = deleted {
                        app.state.log.error(sentence);
                    }
                },
                |_| (),
            );
        }
        self.forget(id);
    }

    fn forget(&mut self, id: &RunId) {
        let state = &mut self.state;
        state.library.runs.retain(|run| run.id != *id);
        state.library.loaded.remove(id);
        self.renamed.retain(|renamed| renamed != id);
        state.compare.included.retain(|included| included != id);
        if state.batch.shown.as_ref() == Some(id) {
            (state.batch.view, state.batch.shown, state.batch.selected, state.batch.case) = (None, None, None, None);
        }
        if state.library.baseline.as_ref() == Some(id) {
            let first = state.library.runs.first().map(|run| run.id.clone());
            state.compare.included.retain(|included| Some(included) != first.as_ref());
            self.set_baseline(first, false);
        }
        self.refresh_comparison();
    }

    /// Lets go of the cases of runs that are not on screen; what is on disk can be read again.
    fn unload(&mut self) {
        if self.store.is_none() {
            return;
        }
        let state = &mut self.state;
        let (compare, baseline, shown) = (&state.compare, &state.library.baseline, &state.batch.shown);
        state.library.loaded.retain(|id, _| compare.included.contains(id) || Some(id) == baseline.as_ref() || Some(id) == shown.as_ref());
    }
}

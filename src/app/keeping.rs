//! Keeping runs on disk: each in a folder of its own under the drafts, so that they can be looked at and compared later.

use std::sync::Arc;

use super::session::App;
use super::{KeptRun, RunId, RunView};
use crate::engine::{EngineError, JobId};

impl App {
    pub(super) fn read_library(&mut self) {}

    /// Keeps a run that was just measured; the first one becomes the baseline.
    pub(super) fn keep(&mut self, view: Arc<RunView>) -> RunId {
        let id = RunId(format!("run-{}", self.state.library.runs.len()));
        let kept = KeptRun::of(id.clone(), &view.run, view.figures.agreement);
        let library = &mut self.state.library;
        library.runs.push(kept);
        library.loaded.insert(id.clone(), view);
        library.baseline.get_or_insert_with(|| id.clone());
        id
    }
    pub(super) fn keep_shown(&mut self) {}
    pub(super) fn note_set(&mut self, _set: &super::OpenSet) {}
    pub(super) fn rename_run(&mut self, _id: &RunId, _name: String) {}
    pub(super) fn load_run(&mut self, _id: RunId, _then: impl FnOnce(&mut Self, bool) + Send + 'static) {}
    pub(super) fn show_run(&mut self, _id: &RunId, _case: Option<u32>) {}
    pub(super) fn compare_with_baseline(&mut self, id: RunId) {
        if std::mem::take(&mut self.compare_measured) || self.state.library.baseline.as_ref() != Some(&id) {
            self.state.compare.included.push(id);
        }
        self.refresh_comparison();
    }
    pub(super) fn find_causes(&mut self) {}
    pub(super) fn causes_decided(&mut self, _job: JobId, _results: Vec<(usize, Result<crate::decision::Decision, EngineError>)>) {}
    pub(super) fn causes_ended(&mut self, _job: JobId, _result: Result<(), EngineError>) {}
}

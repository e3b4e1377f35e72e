//! The runs that are kept: each in a folder of its own, named, one of them the baseline that others are compared with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::RunView;
use super::measure::SavedRun;
use crate::eval::RunInfo;
use crate::formats::RunSummary;

/// Identifies a kept run: the name of its folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RunId(pub String);

/// What is known of a kept run without reading its cases.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRun {
    pub id: RunId,
    pub name: String,
    /// Start, ISO 8601 in UTC.
    pub start: String,
    pub router: String,
    pub dialect: String,
    pub set: PathBuf,
    pub cases: usize,
    pub agreement: f64,
    pub partial: bool,
}

impl KeptRun {
    /// Returns what is known of a run in memory.
    pub fn of(id: RunId, view: &RunView) -> Self {
        Self::new(id, &view.run.info, view.figures.cases, view.figures.agreement, view.figures.partial)
    }

    /// Returns what is known of a run on disk.
    pub(super) fn saved(saved: SavedRun) -> Option<Self> {
        let id = RunId(saved.folder.file_name()?.to_str()?.to_owned());
        let RunSummary { info, cases, agreement, partial, .. } = &saved.summary;
        Some(Self::new(id, info, *cases, *agreement, *partial))
    }

    fn new(id: RunId, info: &RunInfo, cases: usize, agreement: f64, partial: bool) -> Self {
        Self {
            id,
            name: info.name.clone(),
            start: info.date.clone(),
            router: info.router.id.clone(),
            dialect: info.router.dialect_words(info.dialect).to_owned(),
            set: PathBuf::from(&info.set.path),
            cases,
            agreement,
            partial,
        }
    }

    /// Returns the start for people, in UTC to the minute.
    pub fn date(&self) -> String {
        self.start.chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect()
    }
}

/// The kept runs, oldest first.
#[derive(Debug, Default)]
pub struct Library {
    pub runs: Vec<KeptRun>,
    /// The run that others are compared with.
    pub baseline: Option<RunId>,
    /// Runs whose cases are in memory: those on screen.
    pub(super) loaded: HashMap<RunId, Arc<RunView>>,
}

impl Library {
    /// Returns a kept run.
    pub fn run(&self, id: &RunId) -> Option<&KeptRun> {
        self.runs.iter().find(|run| run.id == *id)
    }

    /// Returns a name that no kept run has: the wanted one, or with a number after it.
    pub fn free_name(&self, wanted: &str) -> String {
        let is_free = |name: &String| self.runs.iter().all(|run| run.name != *name);
        std::iter::once(wanted.to_owned()).chain((2..).map(|number| format!("{wanted} ({number})"))).find(is_free).unwrap_or_default()
    }
}

//! What the window knows about the router and about the jobs it gave to the engine.

use std::sync::Arc;

use super::{CacheStats, DeviceChoice, JobId, Progress, RouterDescription, RouterSource, StudyKind};
use crate::chat::Conversation;
use crate::decision::RouterInfo;
use crate::dialect::RenderedPrompt;
use crate::engine::RouterStamp;
use crate::policy::{DialectId, Policy};

/// Where loading stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterPhase {
    /// Nothing is loaded and nothing is being loaded, for example after a cancelled start.
    Absent,
    Loading,
    Ready,
    /// The sentence that says why, with the remedy.
    Failed(String),
}

/// The router as far as the window knows it.
#[derive(Clone, Debug)]
pub struct RouterStatus {
    pub source: RouterSource,
    pub device: DeviceChoice,
    pub phase: RouterPhase,
    /// The router that decides, also while another one is being loaded in its place.
    pub loaded: Option<RouterSource>,
    /// Where that one was asked to run.
    pub loaded_device: DeviceChoice,
    /// `Some` while a router is loaded, also while another one is being loaded in its place.
    pub description: Option<RouterDescription>,
    pub cache: Option<CacheStats>,
}

impl RouterStatus {
    /// Returns who decides.
    pub fn info(&self) -> Option<&RouterInfo> {
        self.description.as_ref().map(|description| &description.info)
    }

    /// Returns the files of who decides, which tell apart what was read from the same place at two times; `None` of one that runs elsewhere.
    pub fn stamp(&self) -> Option<&RouterStamp> {
        self.description.as_ref()?.stamp.as_ref()
    }
}

/// What a decision is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The texts on screen; `live` where they are routed by themselves, since they were changed.
    Current { live: bool },
    /// One row of a study.
    Study { kind: StudyKind, row: usize },
}

/// What a job is for.
#[derive(Clone, Debug)]
pub enum JobKind {
    Load,
    /// A labelled set is being measured; what is in [`super::Batch`] says which.
    Measure,
    /// Counts the tokens of the prompt on screen.
    Count {
        prompt: Arc<RenderedPrompt>,
    },
    /// The texts are kept beside the job so that its result can be told from one that is out of date.
    Route {
        purpose: Purpose,
        policy: Arc<Policy>,
        conversation: Arc<Conversation>,
        dialect: DialectId,
    },
}

/// A job that has not ended.
#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    pub started: bool,
    /// Whether its end was asked for: it still ends in one event, and nobody waits for its result any more.
    pub cancelling: bool,
    pub progress: Option<Progress>,
}

impl Job {
    /// Returns the done share between 0 and 1, where the end is known.
    pub fn fraction(&self) -> Option<f32> {
        let progress = self.progress.as_ref()?;
        progress.total.map(|total| (progress.done as f64 / total.max(1) as f64).clamp(0.0, 1.0) as f32)
    }

    /// Returns what is being done, for people.
    pub fn stage(&self) -> &'static str {
        match (&self.kind, &self.progress) {
            _ if self.cancelling => "Cancelling",
            (_, Some(progress)) => progress.stage,
            (JobKind::Count { .. }, None) => "Counting tokens",
            (JobKind::Load, None) => "Loading the router",
            (JobKind::Measure, None) => "Measuring",
            (JobKind::Route { purpose: Purpose::Current { .. }, .. }, None) => "Routing",
            (JobKind::Route { purpose: Purpose::Study { kind, .. }, .. }, None) => match kind {
                StudyKind::Turns => "Routing each turn",
                StudyKind::Variants => "Routing under each policy",
                StudyKind::Order => "Testing the order of the routes",
                StudyKind::Wording => "Testing the wording",
                StudyKind::Gateways => "Asking as each gateway does",
                StudyKind::Shelf => "Routing the shelf",
                StudyKind::History => "Testing the history",
                StudyKind::Robustness => "Testing small changes",
            },
        }
    }
}

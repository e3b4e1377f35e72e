//! The messages between the engine thread and everyone else: plain data, no model types.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::EngineError;
use super::router_stamp::RouterStamp;
use super::source::Limits;
use crate::chat::Conversation;
use crate::decision::{Decision, RouterInfo};
use crate::policy::{DialectId, Policy};

/// Identifies one job of one engine; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u64);

/// A request to stop, shared between whoever asked for a job and whoever works on it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the job to stop at its next check.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails with [`EngineError::Cancelled`] once a stop was asked for; long work calls this between chunks.
    pub fn check(&self) -> Result<(), EngineError> {
        if self.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

/// Where a router comes from, as the user names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RouterSource {
    /// The small router that ships with Waypost.
    Builtin,
    /// A Hugging Face folder (`config.json`, `tokenizer.json`, `*.safetensors`).
    Folder(PathBuf),
    /// A `.gguf` file.
    Gguf(PathBuf),
    /// A model on the Hugging Face Hub, `owner/name`, and after a colon a file of it or a part of that file's name.
    Hub(String),
    /// An OpenAI-compatible server: base URL and model.
    Endpoint { url: String, model: String, limits: Limits },
    /// A running Plano: base URL, and the model that its requests name.
    Gateway { url: String, model: Option<String>, limits: Limits },
}

/// Where the network runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum DeviceChoice {
    /// The fastest device this build and this machine have.
    #[default]
    Auto,
    Cpu,
    Cuda,
    Metal,
}

/// One conversation to decide.
#[derive(Clone, Debug)]
pub struct RouteRequest {
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
    pub dialect: DialectId,
    /// Estimated tokens the gateway allows for the prompt; `None` takes the dialect's own budget.
    pub budget: Option<usize>,
    /// Other orders of the routes to decide under besides the policy's own, fewer where there are fewer; 0 skips the order test.
    pub orders: usize,
    pub seed: u64,
}

impl RouteRequest {
    /// Returns a request with the dialect's own budget and no order test.
    pub fn new(policy: impl Into<Arc<Policy>>, conversation: impl Into<Arc<Conversation>>, dialect: DialectId) -> Self {
        Self { policy: policy.into(), conversation: conversation.into(), dialect, budget: None, orders: 0, seed: 0 }
    }
}

/// What a loaded router is, for people and for reports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouterDescription {
    pub info: RouterInfo,
    /// For people: "Built-in router (small, not Arch-Router)", or the file's own name.
    pub label: String,
    /// Tokens the router can read at once.
    pub context: usize,
    /// Bytes that the weights take in memory.
    pub weight_bytes: u64,
    /// Why it runs on none of the faster devices, where the choice was Waypost's: "cuda cannot be used (the driver is too old)". In the order
    /// they were tried; empty where the first one was good.
    pub refused: Vec<String>,
    /// The files as they were when it was loaded; `None` for a router that runs elsewhere.
    pub stamp: Option<RouterStamp>,
}

/// How full the prefix cache is and how often it helped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    pub bytes: u64,
    pub budget_bytes: u64,
    /// Prompt tokens taken from the cache since the router was loaded.
    pub hit_tokens: u64,
    /// Prompt tokens computed since the router was loaded.
    pub missed_tokens: u64,
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// What is being done, for people: "Reading weights".
    pub stage: &'static str,
    pub done: u64,
    /// `None` where the end is not known.
    pub total: Option<u64>,
}

/// What a job gives when it ends well.
#[derive(Clone, Debug)]
pub enum JobResult {
    Loaded(RouterDescription),
    Decided(Box<Decision>),
    /// Tokens of a prompt, chat template included; `None` where the router cannot tell.
    Counted(Option<usize>),
    /// All results were sent before.
    Measured,
}

/// What the engine thread says. Each job ends in exactly one [`Event::Finished`], whatever happens.
#[derive(Clone, Debug)]
pub enum Event {
    Started {
        job: JobId,
    },
    /// At most 30 a second for each job.
    Progress {
        job: JobId,
        progress: Progress,
    },
    /// Some results of a job that decides many conversations, each with the position of its request; none where it got on without a decision.
    /// At most 30 times a second.
    Results {
        job: JobId,
        results: Vec<(usize, Result<Decision, EngineError>)>,
    },
    /// `cache` is the state of the prefix cache after the job, where a router is loaded.
    Finished {
        job: JobId,
        result: Result<JobResult, EngineError>,
        cache: Option<CacheStats>,
    },
}

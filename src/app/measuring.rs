//! Measuring a policy on a set: one job of the engine, whose results come in pieces and are counted away from the drawing thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Measuring;
use super::session::App;
use super::{DocId, Job, JobId, JobKind, RunView, Tab};
use crate::decision::Decision;
use crate::engine::EngineError;
use crate::eval::Run;
use crate::policy::DialectId;

/// Time between two versions of the figures while results come in, at least; and how many times longer than computing them takes.
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: u32 = 8;

type Results = Vec<(usize, Result<Decision, EngineError>)>;

//! Takes the decisions of a measurement, in whatever order they come, and makes the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::kept::{Keep, Key};
use super::requests::Note;
use crate::decision::Decision;
use crate::engine::EngineError;
use crate::eval::{Run, RunInfo, TurnKey, TurnResult};
use crate::formats::{FormatError, LabelledSet};
use crate::policy::Policy;

/// How far a measurement is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progressed {
    /// Turns that are done, the reused ones included.
    pub done: usize,
    pub planned: usize,
    /// Turns whose results were kept from earlier runs.
    pub reused: usize,
    /// Turns that agree with their label so far.
    pub agreed: usize,
    /// Turns for which the router gave no decision.
    pub undecided: usize,
    pub seconds: f64,
    /// Decisions a second, reused ones left out; 0 before the first.
    pub rate: f64,
    /// Seconds left at this rate; `None` before the first decision.
    pub left: Option<f64>,
}

/// Collects the results of a measurement.
pub struct Collector {
    info: RunInfo,
    policy: Arc<Policy>,
    set: Arc<LabelledSet>,
    notes: Receiver<Note>,
    asked: HashMap<usize, Asked>,
    turns: Vec<TurnResult>,
    keep: Option<Keep>,
    warning: Option<String>,
    unreadable: Option<FormatError>,
    start: Instant,
    agreed: usize,
    /// Turns without a decision: another try may give one.
    undecided: usize,
}

struct Asked {
    turn: TurnKey,
    key: Option<Key>,
}

impl Collector {
    pub(super) fn new(
        info: RunInfo,
        policy: Arc<Policy>,
        set: Arc<LabelledSet>,
        notes: Receiver<Note>,
        keep: Option<Keep>,
        warning: Option<String>,
    ) -> Self {
        Self {
            info,
            policy,
            set,
            notes,
            asked: HashMap::new(),
            turns: Vec::new(),
            keep,
            warning,
            unreadable: None,
            start: Instant::now(),
            agreed: 0,
            undecided: 0,
        }
    }

    /// Takes the result of one request. A turn that the router gave up on is one without a decision; cancellation is no result.
    pub fn take(&mut self, request: usize, result: Result<Decision, EngineError>) {
        self.listen();
        if matches!(result, Err(EngineError::Cancelled)) {
            return;
        }
        let Some(Asked { turn, key }) = self.asked.remove(&request) else { return };
        let result = match result {
            Ok(decision) => {
                let result = TurnResult::new(turn, &decision, &self.info.labels);
                if let (Some(keep), Some(key)) = (&mut self.keep, key) {
                    keep.add(key, &result, decision.route.as_deref());
                    self.warning = self.warning.take().or_else(|| keep.warning());
                }
                result
            }
            // Not kept.
            Err(error) => TurnResult::failed(turn, error.to_string()),
        };
        self.push(result);
    }

    /// Takes in what needed no decision; done by [`Self::take`] too.
    pub fn listen(&mut self) {
        while let Ok(note) = self.notes.try_recv() {
            match note {
                Note::Asked { request, turn, key } => {
                    self.asked.insert(request, Asked { turn, key });
                }
                Note::Known(result) => {
                    self.info.reused += 1;
                    self.push(*result);
                }
                Note::Unreadable(error) => self.unreadable = Some(error),
            }
        }
    }

    fn push(&mut self, result: TurnResult) {
        self.agreed += usize::from(result.agrees());
        self.undecided += usize::from(result.undecided);
        self.turns.push(result);
    }

    /// Returns how far the measurement is.
    pub fn progress(&self) -> Progressed {
        let seconds = self.start.elapsed().as_secs_f64();
        let (done, reused, planned) = (self.turns.len(), self.info.reused, self.info.planned);
        let decided = done - reused;
        let rate = if decided > 0 { decided as f64 / seconds.max(1e-9) } else { 0.0 };
        let left = (decided > 0).then(|| planned.saturating_sub(done) as f64 / rate);
        Progressed { done, planned, reused, agreed: self.agreed, undecided: self.undecided, seconds, rate, left }
    }

    /// Returns the results so far, in the order they came.
    pub fn turns(&self) -> &[TurnResult] {
        &self.turns
    }

    /// Returns what went wrong with keeping results, as a sentence; the measurement goes on.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Returns why the set could not be read to its end, where it was changed or went away meanwhile; the run is partial then.
    pub fn unreadable(&self) -> Option<&FormatError> {
        self.unreadable.as_ref()
    }

    /// Returns a run of the results so far. Right after the last one it is the whole run, before it a partial one.
    pub fn run(&mut self) -> Run {
        self.listen();
        if let Some(keep) = &mut self.keep {
            keep.flush();
            self.warning = self.warning.take().or_else(|| keep.warning());
        }
        let mut turns = self.turns.clone();
        turns.sort_by_key(|turn| (turn.conversation, turn.turn));
        let labelled = |case: usize| self.set.cases().get(case).map_or(0, |entry| entry.labels.len());
        let conversations = turns.chunk_by(|a, b| a.conversation == b.conversation);
        let decided = |turns: &[TurnResult]| turns.iter().filter(|turn| !turn.undecided).count();
        let incomplete = conversations.filter(|turns| decided(turns) < labelled(turns[0].conversation));
        let incomplete = incomplete.map(|turns| turns[0].conversation).collect();
        let info = RunInfo { seconds: self.start.elapsed().as_secs_f64(), incomplete, ..self.info.clone() };
        Run { info, policy: Arc::clone(&self.policy), turns }
    }

    /// Ends the measurement, but not yet what was kept to resume it.
    pub fn into_resumable(self) -> Resumable {
        Resumable { all_decided: self.turns.len() >= self.info.planned && self.undecided == 0, keep: self.keep }
    }
}

/// What was kept of a measurement, from which it can be resumed until [`Self::end`].
pub struct Resumable {
    keep: Option<Keep>,
    all_decided: bool,
}

impl Resumable {
    /// Lets go of it, since its run is where it belongs. Of a complete run with a router that cannot be told by its files nothing stays: behind
    /// its address another router may answer next time. Where the router gave up on a request, the run is still to be completed, by asking that
    /// one again.
    pub fn end(self) {
        if let Some(keep) = self.keep {
            keep.finish(self.all_decided);
        }
    }
}

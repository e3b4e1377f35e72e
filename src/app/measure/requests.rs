//! The requests of a measurement, made one by one as the router asks for them: a set may be larger than the memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::Measurement;
use super::kept::{Key, Lookup};
use crate::chat::Conversation;
use crate::chat::labelled::LabelledCase;
use crate::dialect::is_cut;
use crate::engine::RouteRequest;
use crate::eval::{TurnKey, TurnResult};
use crate::formats::{CaseReader, FormatError, conversation_digest, conversation_preview};
use crate::policy::{NO_ROUTE_LABEL, Policy};

/// What the requests tell the collector, in the order of the set.
pub(super) enum Note {
    /// The request with this position is about this turn; its result is to be kept under the key.
    Asked { request: usize, turn: TurnKey, key: Option<Key> },
    /// This turn needs no decision: its result was kept.
    Known(Box<TurnResult>),
    /// The set can no longer be read as it was when it was opened, and nothing more is asked.
    Unreadable(FormatError),
}

/// One turn further in a measurement.
pub enum Step {
    /// It is to be decided.
    Ask(RouteRequest),
    /// Its result is kept.
    Known,
}

/// Yields the requests of a measurement; moves to the engine's thread.
pub struct Requests {
    measurement: Measurement,
    /// Answers that the policy allows.
    labels: usize,
    reader: CaseReader,
    lookup: Option<Lookup>,
    notes: Sender<Note>,
    next_case: usize,
    /// Cases that were prepared.
    measured: usize,
    next_request: usize,
    /// Turns so far of whose conversation the dialect sends a part only.
    cut: usize,
    ready: VecDeque<(TurnKey, RouteRequest)>,
}

impl Requests {
    pub(super) fn new(measurement: Measurement, labels: usize, reader: CaseReader, lookup: Option<Lookup>, notes: Sender<Note>) -> Self {
        let ready = VecDeque::new();
        Self { measurement, labels, reader, lookup, notes, next_case: 0, measured: 0, next_request: 0, cut: 0, ready }
    }

    /// Goes one turn further, for whoever looks around between turns whose results are kept; `None` after the last one.
    pub fn step(&mut self) -> Option<Step> {
        while self.ready.is_empty() {
            if !self.prepare() {
                return None;
            }
        }
        let (turn, request) = self.ready.pop_front()?;
        self.cut += usize::from(is_cut(request.dialect, &request.conversation, request.budget));
        let (key, known) = match &mut self.lookup {
            Some(lookup) => {
                let key = lookup.key(&request);
                let known = lookup.find(&key, turn.clone(), &request.policy, self.labels);
                (Some(key), known)
            }
            None => (None, None),
        };
        if let Some(result) = known {
            self.notes.send(Note::Known(Box::new(result))).ok();
            return Some(Step::Known);
        }
        self.notes.send(Note::Asked { request: self.next_request, turn, key }).ok();
        self.next_request += 1;
        Some(Step::Ask(request))
    }

    /// Returns of how many turns so far the dialect sends a part of the conversation only, whether their results were kept or not.
    pub fn cut(&self) -> usize {
        self.cut
    }

    /// Returns the steps as the engine's thread takes them: `None` for a turn whose result is kept.
    pub fn into_steps(mut self) -> impl Iterator<Item = Option<RouteRequest>> + Send {
        std::iter::from_fn(move || {
            self.step().map(|step| match step {
                Step::Ask(request) => Some(request),
                Step::Known => None,
            })
        })
    }

    /// Prepares the turns of the next case; `false` after the last one.
    fn prepare(&mut self) -> bool {
        let position = self.next_case;
        let limit = self.measurement.limit.unwrap_or(usize::MAX);
        let set = Arc::clone(&self.measurement.set);
        let Some(entry) = set.cases().get(position).filter(|_| self.measured < limit) else { return false };
        self.next_case += 1;
        if !entry.is_labelled() {
            return true;
        }
        self.measured += 1;
        let key = |turn: usize, asked: &Conversation, routes: Option<Arc<[String]>>| TurnKey {
            conversation: position,
            line: entry.place.line,
            id: Arc::clone(&entry.id),
            turn,
            digest: Some(conversation_digest(asked)),
            // That of the last message is in the index of the set already: one text for both.
            preview: if turn + 1 == entry.labels.len() { Arc::clone(&entry.preview) } else { conversation_preview(asked) },
            label: Arc::clone(&entry.labels[turn]),
            tags: Arc::clone(&entry.tags),
            routes,
        };
        match self.reader.read(entry) {
            Ok(case) => {
                let (policy, routes) = own(&case, &self.measurement.policy);
                for (turn, (conversation, _)) in case.turns().into_iter().enumerate().take(entry.labels.len()) {
                    let turn = key(turn, &conversation, routes.clone());
                    let request = RouteRequest {
                        policy: Arc::clone(&policy),
                        conversation: Arc::new(conversation),
                        dialect: self.measurement.dialect,
                        budget: self.measurement.prompt_budget(),
                        orders: self.measurement.orders,
                        seed: self.measurement.seed,
                    };
                    self.ready.push_back((turn, request));
                }
            }
            // It could be read when the set was opened: what is wrong is wrong with the file, not with the case.
            Err(error) => {
                self.next_case = usize::MAX;
                // A collector that is gone wants to know nothing more.
                self.notes.send(Note::Unreadable(error)).ok();
                return false;
            }
        }
        true
    }
}

/// Returns the policy that a case is decided with, and its names where it brings its own.
fn own(case: &LabelledCase, shared: &Arc<Policy>) -> (Arc<Policy>, Option<Arc<[String]>>) {
    let Some(routes) = &case.routes else { return (Arc::clone(shared), None) };
    let has_other = routes.iter().any(|route| route.name == NO_ROUTE_LABEL);
    let other = (!has_other).then(|| NO_ROUTE_LABEL.to_owned());
    let names = routes.iter().map(|route| route.name.clone()).chain(other).collect();
    (Arc::new(Policy { routes: routes.clone(), ..Policy::clone(shared) }), Some(names))
}

impl Iterator for Requests {
    type Item = RouteRequest;

    fn next(&mut self) -> Option<RouteRequest> {
        loop {
            if let Step::Ask(request) = self.step()? {
                return Some(request);
            }
        }
    }
}

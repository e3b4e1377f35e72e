//! Which edit of a policy causes a flip: the edits are applied one at a time and the flipped turns decided again.

use std::sync::Arc;

use crate::decision::Decision;
use crate::engine::{EngineError, RouteRequest};
use crate::eval::{Cause, Comparison, Run};
use crate::formats::{FormatError, LabelledSet};
use crate::policy::{DialectId, Policy, PolicyChange, policy_changes};

/// More flips than this are not looked into: the cost is a decision for each flip and edit.
const MOST: usize = 500;

/// The search for the causes of the flips between two policies, in up to two rounds of decisions.
pub struct Attribution {
    changes: Vec<PolicyChange>,
    a: Arc<Policy>,
    dialect: DialectId,
    flips: Vec<Flipped>,
    round: Round,
    asked: Vec<(usize, usize)>,
}

/// A flip whose cause is looked for.
struct Flipped {
    /// Position in [`Comparison::flips`].
    flip: usize,
    conversation: Arc<crate::chat::Conversation>,
    after: Option<Arc<str>>,
    causes: Vec<usize>,
    /// Whether a decision about it failed, which may have been the one to tell.
    is_doubtful: bool,
    /// The round that found them.
    found: Option<Round>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Each edit alone on top of the first policy.
    Alone,
    /// All edits but one.
    AllButOne,
    Done,
}

/// Prepares the search; `None` where the runs measured the same routes, or something else than the policy differs too.
///
/// # Errors
/// The set cannot be read again.
pub fn attribute(a: &Run, b: &Run, comparison: &Comparison, set: &LabelledSet) -> Result<Option<Attribution>, FormatError> {
    let changes = policy_changes(&a.policy, &b.policy);
    let same_rest = a.info.dialect == b.info.dialect && a.info.router == b.info.router && a.info.router_digest == b.info.router_digest;
    if changes.is_empty() || !same_rest || b.info.set.sha256 != set.sha256() {
        return Ok(None);
    }
    let mut reader = set.reader()?;
    let mut flips = Vec::new();
    for (flip, found) in comparison.flips.iter().enumerate() {
        let turn = &b.turns[found.at_b];
        let Some(entry) = set.cases().get(turn.conversation).filter(|entry| !entry.own_routes && entry.place.line == turn.line) else {
            continue;
        };
        let case = reader.read(entry)?;
        let Some((conversation, _)) = case.turns().into_iter().nth(turn.turn) else { continue };
        flips.push(Flipped {
            flip,
            conversation: Arc::new(conversation),
            after: found.b.clone(),
            causes: Vec::new(),
            is_doubtful: false,
            found: None,
        });
        if flips.len() == MOST {
            break;
        }
    }
    let round = if changes.len() > 1 { Round::Alone } else { Round::Done };
    if let [_] = changes.as_slice() {
        // The one edit that there is.
        for flip in &mut flips {
            (flip.causes, flip.found) = (vec![0], Some(Round::Alone));
        }
    }
    Ok(Some(Attribution { changes, a: Arc::clone(&a.policy), dialect: b.info.dialect, flips, round, asked: Vec::new() }))
}

impl Attribution {
    /// Returns the edits that turn the first policy into the second.
    pub fn changes(&self) -> &[PolicyChange] {
        &self.changes
    }

    /// Returns the requests of the next round, whose results are for [`Self::take`]; `None` when the search is over.
    pub fn next_round(&mut self) -> Option<Vec<RouteRequest>> {
        let (alone, next) = match self.round {
            Round::Alone => (true, Round::AllButOne),
            Round::AllButOne => (false, Round::Done),
            Round::Done => return None,
        };
        self.asked.clear();
        let mut requests = Vec::new();
        for change in 0..self.changes.len() {
            let policy = Arc::new(self.applied(|at| (at == change) == alone));
            for (position, flipped) in self.flips.iter().enumerate().filter(|(_, flipped)| flipped.found.is_none()) {
                self.asked.push((position, change));
                requests.push(RouteRequest {
                    policy: Arc::clone(&policy),
                    conversation: Arc::clone(&flipped.conversation),
                    dialect: self.dialect,
                    budget: None,
                    orders: 0,
                    seed: 0,
                });
            }
        }
        // The rounds end whatever the results are; `take` reads the round that runs.
        self.round = next;
        if requests.is_empty() { self.next_round() } else { Some(requests) }
    }

    fn applied(&self, wanted: impl Fn(usize) -> bool) -> Policy {
        let mut policy = Policy::clone(&self.a);
        for (_, change) in self.changes.iter().enumerate().filter(|(at, _)| wanted(*at)) {
            change.apply(&mut policy);
        }
        policy
    }

    /// Takes the result of one request of the round.
    pub fn take(&mut self, request: usize, result: Result<Decision, EngineError>) {
        let Some(&(position, change)) = self.asked.get(request) else { return };
        let flipped = &mut self.flips[position];
        let Ok(decision) = result else {
            flipped.is_doubtful = true;
            return;
        };
        let as_after = decision.label() == flipped.after.as_deref();
        let (round, is_cause) = match self.round {
            Round::AllButOne => (Round::Alone, as_after),
            _ => (Round::AllButOne, !as_after),
        };
        if is_cause {
            flipped.causes.push(change);
        }
        // Set by the first cause of a round, so that the round after it leaves the flip alone.
        if is_cause && flipped.found.is_none() {
            flipped.found = Some(round);
        }
    }

    /// Writes what was found into the comparison; nothing about a flip of which failed decisions leave it open.
    pub fn finish(self, comparison: &mut Comparison) {
        for Flipped { flip, mut causes, is_doubtful, found, .. } in self.flips {
            causes.sort_unstable();
            let named = || causes.iter().map(|&change| self.changes[change].to_string()).collect();
            let cause = match found {
                Some(Round::Alone) => Cause::Alone(named()),
                _ if is_doubtful => continue,
                Some(_) => Cause::Needed(named()),
                None => Cause::Together,
            };
            if let Some(flip) = comparison.flips.get_mut(flip) {
                flip.cause = Some(cause);
            }
        }
    }
}

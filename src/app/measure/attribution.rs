//! Which edit of a policy causes a flip: the edits are applied one at a time and the flipped turns decided again.

use std::sync::Arc;

use crate::decision::{Decision, RouterInfo};
use crate::dialect::default_budget;
use crate::engine::{EngineError, RouteRequest};
use crate::eval::{Cause, Causes, Comparison, FlipKind, Run};
use crate::formats::LabelledSet;
use crate::policy::{DialectId, Policy, PolicyChange, policy_changes};

/// More flips than this are not looked into where there are several edits: the cost is a decision for each flip and edit.
const MOST: usize = 500;

/// The search for the causes of the flips between two policies, in up to two rounds of decisions.
pub struct Attribution {
    changes: Vec<PolicyChange>,
    a: Arc<Policy>,
    dialect: DialectId,
    /// Whether the budgets of the prompts are those of the policies; otherwise `budget` is that of all.
    follows: bool,
    budget: Option<usize>,
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

/// Prepares the search, those flips first that broke: they must be understood before a policy goes out.
///
/// # Errors
/// A sentence for people: the runs measured the same routes, something else than the policy differs too, or the set cannot be read again.
pub fn attribute(a: &Run, b: &Run, comparison: &Comparison, set: &LabelledSet) -> Result<Attribution, String> {
    let mut changes = policy_changes(&a.policy, &b.policy);
    let follows = follow_their_budgets(a, b);
    if !follows || allowed(a) == allowed(b) {
        // Another one counted in the place of both, or the dialect heeds none, or one of them says the usual number.
        changes.retain(|change| !matches!(change, PolicyChange::Budget(_)));
    }
    if changes.is_empty() {
        return Err("the policies say the same to the router".to_owned());
    }
    if let Some(obstacle) = obstacle(a, b, set) {
        return Err(obstacle);
    }
    // The one edit that there is causes every flip, so nothing is decided or left out.
    let is_single = changes.len() == 1;
    let mut order: Vec<usize> = (0..comparison.flips.len()).collect();
    order.sort_by_key(|&flip| comparison.flips[flip].kind != FlipKind::Broken);
    let mut reader = set.reader().map_err(|error| error.to_string())?;
    let mut flips = Vec::new();
    for flip in order {
        if flips.len() == MOST && !is_single {
            break;
        }
        let found = &comparison.flips[flip];
        let turn = &b.turns[found.at_b];
        let Some(entry) = set.cases().get(turn.conversation).filter(|entry| !entry.own_routes && entry.place.line == turn.line) else {
            continue;
        };
        let conversation = if is_single {
            Arc::default()
        } else {
            let case = reader.read(entry).map_err(|error| error.to_string())?;
            let Some((conversation, _)) = case.turns().into_iter().nth(turn.turn) else { continue };
            Arc::new(conversation)
        };
        flips.push(Flipped {
            flip,
            conversation,
            after: found.b.clone(),
            causes: if is_single { vec![0] } else { Vec::new() },
            is_doubtful: false,
            found: is_single.then_some(Round::Alone),
        });
    }
    let round = if is_single { Round::Done } else { Round::Alone };
    let (dialect, budget) = (b.info.dialect, b.info.budget);
    Ok(Attribution { changes, a: Arc::clone(&a.policy), dialect, follows, budget, flips, round, asked: Vec::new() })
}

/// Returns whether each run allowed a prompt what its policy says.
fn follow_their_budgets(a: &Run, b: &Run) -> bool {
    [a, b].into_iter().all(|run| run.info.budget == run.policy.budget_for(run.info.dialect))
}

/// Returns the estimated tokens that a gateway allows a prompt of a run's policy.
fn allowed(run: &Run) -> Option<usize> {
    run.policy.budget_for(run.info.dialect).or_else(|| default_budget(run.info.dialect))
}

/// Returns why deciding cases again would not tell what the edits do.
fn obstacle(a: &Run, b: &Run, set: &LabelledSet) -> Option<String> {
    let (before, now) = (&a.info, &b.info);
    let [first, second] = [before, now].map(|info| info.router.dialect_words(info.dialect));
    if first != second {
        return Some(format!("the runs differ in the dialect too, {first} and {second}; measure both with the same"));
    }
    if before.budget != now.budget && !follow_their_budgets(a, b) {
        let [first, second] =
            [before, now].map(|info| info.budget.map_or_else(|| "the dialect's own".to_owned(), |n| format!("{n} tokens")));
        return Some(format!("the runs differ in the budget too, {first} and {second}; measure both with the same"));
    }
    if !before.router.decides_as(&now.router) {
        let words = |router: &RouterInfo| format!("{}{}", router.id, router.place());
        return Some(format!(
            "the runs differ in the router too, {} and {}; measure both with the same",
            words(&before.router),
            words(&now.router)
        ));
    }
    if before.router_digest != now.router_digest {
        return Some(format!("the files of the router {} were changed between the runs; measure both again", now.router.id));
    }
    (now.set.sha256 != set.sha256())
        .then(|| format!("{} is not the set that was measured, or was changed since; measure both again on it", set.label()))
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
            let budget = if self.follows { policy.budget_for(self.dialect) } else { self.budget };
            for (position, flipped) in self.flips.iter().enumerate().filter(|(_, flipped)| flipped.found.is_none()) {
                self.asked.push((position, change));
                requests.push(RouteRequest {
                    policy: Arc::clone(&policy),
                    conversation: Arc::clone(&flipped.conversation),
                    dialect: self.dialect,
                    budget,
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

    /// Writes what was found into the comparison, and of how many flips; nothing about a flip of which failed decisions leave it open.
    pub fn finish(self, comparison: &mut Comparison) {
        let mut known = 0;
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
                known += 1;
            }
        }
        comparison.causes = Causes::LookedInto(known);
    }
}

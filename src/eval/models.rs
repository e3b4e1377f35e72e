//! Whether routes change the model at all, and how many turns go to each.

use serde::Serialize;

use super::run::{Run, TurnResult};
use crate::decision::Outcome;
use crate::dialect::no_route_note;
use crate::policy::{NO_ROUTE_LABEL, Route};

/// Whether routes change the model at all.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelFigures {
    /// Different models that the policy's routes and its fallback may lead to.
    pub distinct: usize,
    /// How many turns went to each model, the most frequent first.
    pub decisions: Vec<ModelCount>,
    /// Share of turns that surely got the model of their expected route: at least the agreement, since wrong routes may have the right model.
    pub agreement: f64,
    /// Turns of which nobody but the gateway knows whether they did, since it orders the models of a route itself ([`Route::reordering`]),
    /// or serves no route with the model that the request names. They count as not reached in `agreement`.
    pub unknown: usize,
}

/// How many turns went to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelCount {
    /// `None` for decisions without a model, and where `one_of` names several.
    pub model: Option<String>,
    /// The models of which the gateway takes one, by prices or speeds that it alone knows; empty where the model is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    pub count: usize,
}

/// Where a decision leads.
#[derive(Clone, Copy, PartialEq)]
struct Destination<'a> {
    model: Option<&'a str>,
    /// As in [`ModelCount`], in the policy's order.
    one_of: &'a [String],
    /// By which rule the gateway takes one of them.
    rule: Option<&'a str>,
    /// Whether the gateway takes the model that the request names instead.
    of_request: bool,
}

impl<'a> Destination<'a> {
    fn known(model: Option<&'a str>) -> Self {
        Self { model, one_of: &[], rule: None, of_request: false }
    }

    /// Returns where a route leads; `model` is its first one, or what stands for no route.
    fn of(route: Option<&'a Route>, model: Option<&'a str>) -> Self {
        match route.and_then(|route| Some((route, route.reordering()?))) {
            Some((route, rule)) => Self { model: None, one_of: &route.models, rule: Some(rule), of_request: false },
            None => Self::known(model),
        }
    }

    /// Returns where the policy leads a turn of the run with this label.
    fn expected(run: &'a Run, label: &str) -> Self {
        let (policy, name) = (&*run.policy, (label != NO_ROUTE_LABEL).then_some(label));
        let destination = Self::of(name.and_then(|name| policy.route(name)), policy.model_for(name));
        Self { of_request: name.is_none() && leaves_no_route_to_the_request(run), ..destination }
    }

    /// Returns where the policy leads the decision of a turn of the run.
    fn decided(run: &'a Run, turn: &'a TurnResult) -> Self {
        let name = turn.decided.as_deref().filter(|_| turn.outcome == Outcome::Route);
        let destination = Self::of(name.and_then(|name| run.policy.route(name)), turn.model.as_deref());
        Self { of_request: turn.outcome == Outcome::NoRoute && leaves_no_route_to_the_request(run), ..destination }
    }

    /// Returns whether both are the same model; `None` where the gateway alone knows. Two routes without a model share none.
    fn is_same(&self, other: &Self) -> Option<bool> {
        if self.of_request != other.of_request {
            return None;
        }
        // Also where the model is not known: the same rule takes the same one of the same models.
        if self == other {
            return Some(self.model.is_some() || !self.one_of.is_empty());
        }
        let holds = |models: &[String], model: Option<&str>| model.is_some_and(|model| models.iter().any(|one| one == model));
        let may_be =
            holds(self.one_of, other.model) || holds(other.one_of, self.model) || self.one_of.iter().any(|one| other.one_of.contains(one));
        (!may_be).then_some(false)
    }
}

/// Returns whether the gateway of a run serves what fits no route with the model that the request names, as archgw and Plano do.
fn leaves_no_route_to_the_request(run: &Run) -> bool {
    no_route_note(Some(run.info.dialect)).is_some()
}

/// Returns the figures; `None` where the policy names no models, or no turn chose between its routes.
pub(super) fn models(run: &Run) -> Option<ModelFigures> {
    let policy = &*run.policy;
    if policy.routes.iter().all(|route| route.models.is_empty()) || run.of_policy().next().is_none() {
        return None;
    }
    let of_routes = policy.routes.iter().flat_map(|route| {
        let may_be_taken = if route.reordering().is_some() { route.models.len() } else { 1 };
        route.models.iter().take(may_be_taken).map(String::as_str)
    });
    let mut names: Vec<&str> = of_routes.chain(policy.fallback.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    // A gateway that decided has told which model it took.
    let is_told = run.info.router.live_gateway().is_some();
    let mut reached: Vec<(Destination<'_>, usize)> = Vec::new();
    let (mut cases, mut agreed, mut unknown) = (0_usize, 0_usize, 0_usize);
    for turn in run.of_policy() {
        cases += 1;
        let decided = Destination::decided(run, turn);
        let destination = if is_told { Destination::known(turn.model.as_deref()) } else { decided };
        let expected = Destination::expected(run, &turn.label);
        let is_right = match turn.outcome {
            _ if turn.agrees() => Some(true),
            // An error reaches no model, whatever was expected.
            Outcome::Error => Some(false),
            _ => expected.is_same(&decided).or_else(|| expected.is_same(&destination)),
        };
        match is_right {
            Some(is_right) => agreed += usize::from(is_right),
            None => unknown += 1,
        }
        match reached.iter_mut().find(|(known, _)| (known.model, known.one_of) == (destination.model, destination.one_of)) {
            Some((_, count)) => *count += 1,
            None => reached.push((destination, 1)),
        }
    }
    reached.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let decisions = reached.into_iter().map(|(Destination { model, one_of, .. }, count)| ModelCount {
        model: model.map(str::to_owned),
        one_of: one_of.to_vec(),
        count,
    });
    Some(ModelFigures { distinct: names.len(), decisions: decisions.collect(), agreement: agreed as f64 / cases as f64, unknown })
}

//! What differs between two policies as far as a router sees it, as changes that can be applied one at a time.

use std::fmt;

use super::{Policy, Route};

/// One change of what a router is told: names, descriptions, which routes there are and their order, how much of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyChange {
    /// A route is described otherwise.
    Describe {
        route: String,
        description: String,
    },
    /// A route has another name and its old description.
    Rename {
        from: String,
        to: Route,
    },
    Remove {
        route: String,
    },
    /// A new route and its position.
    Add {
        route: Route,
        at: usize,
    },
    /// The names in their new order.
    Reorder {
        names: Vec<String>,
    },
    /// Another budget cuts conversations elsewhere; `None` leaves it to the dialect.
    Budget(Option<usize>),
}

impl fmt::Display for PolicyChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Describe { route, .. } => write!(f, "the description of {route}"),
            Self::Rename { from, to } => write!(f, "{from} renamed to {}", to.name),
            Self::Remove { route } => write!(f, "the removed route {route}"),
            Self::Add { route, .. } => write!(f, "the new route {}", route.name),
            Self::Reorder { .. } => f.write_str("the order of the routes"),
            Self::Budget(Some(budget)) => write!(f, "the budget of {budget} tokens"),
            Self::Budget(None) => f.write_str("the budget left to the dialect"),
        }
    }
}

impl PolicyChange {
    /// Returns why what a change wins or loses here does not last in a gateway, for people; `None` where it does.
    pub fn caveat(&self) -> Option<&'static str> {
        matches!(self, Self::Reorder { .. }).then_some("gateways do not keep the order of the routes, nor what it wins or loses here")
    }

    /// Changes `policy`; a route that is not there changes nothing.
    pub fn apply(&self, policy: &mut Policy) {
        let routes = &mut policy.routes;
        let position = |routes: &[Route], name: &str| routes.iter().position(|route| route.name == name);
        match self {
            Self::Describe { route, description } => {
                if let Some(at) = position(routes, route) {
                    routes[at].description.clone_from(description);
                }
            }
            Self::Rename { from, to } => {
                if let Some(at) = position(routes, from) {
                    routes[at] = to.clone();
                }
            }
            Self::Remove { route } => routes.retain(|other| other.name != *route),
            Self::Add { route, at } => routes.insert((*at).min(routes.len()), route.clone()),
            // Routes that the new order does not know keep their places behind the others.
            Self::Reorder { names } => {
                routes.sort_by_key(|route| names.iter().position(|name| *name == route.name).unwrap_or(usize::MAX));
            }
            Self::Budget(budget) => policy.budget = *budget,
        }
    }
}

/// Returns the changes that turn what a router sees of `a` into what it sees of `b`, in an order in which they can be applied.
pub fn policy_changes(a: &Policy, b: &Policy) -> Vec<PolicyChange> {
    let mut changes = Vec::new();
    for (before, after) in a.routes.iter().filter_map(|before| Some((before, b.route(&before.name)?))) {
        if before.description != after.description {
            changes.push(PolicyChange::Describe { route: after.name.clone(), description: after.description.clone() });
        }
    }
    let mut added: Vec<(usize, &Route)> = b.routes.iter().enumerate().filter(|(_, route)| a.route(&route.name).is_none()).collect();
    for gone in a.routes.iter().filter(|route| b.route(&route.name).is_none()) {
        match added.iter().position(|(_, route)| route.description == gone.description) {
            Some(renamed) => changes.push(PolicyChange::Rename { from: gone.name.clone(), to: added.remove(renamed).1.clone() }),
            None => changes.push(PolicyChange::Remove { route: gone.name.clone() }),
        }
    }
    changes.extend(added.into_iter().map(|(at, route)| PolicyChange::Add { route: route.clone(), at }));
    let mut applied = a.clone();
    changes.iter().for_each(|change| change.apply(&mut applied));
    let names = |policy: &Policy| policy.routes.iter().map(|route| route.name.clone()).collect::<Vec<_>>();
    if names(&applied) != names(b) {
        changes.push(PolicyChange::Reorder { names: names(b) });
    }
    if a.budget != b.budget {
        changes.push(PolicyChange::Budget(b.budget));
    }
    changes
}

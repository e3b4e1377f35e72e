//! Changes to a policy as values, so that whoever shows a policy can ask for a change without owning it.

use super::{DialectId, Policy, Route};

/// One change to a policy. Positions refer to [`Policy::routes`]; a position past its end changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyEdit {
    Rename {
        route: usize,
        name: String,
    },
    Describe {
        route: usize,
        description: String,
    },
    SetDomain {
        route: usize,
        domain: Option<String>,
    },
    SetAction {
        route: usize,
        action: Option<String>,
    },
    SetModels {
        route: usize,
        models: Vec<String>,
    },
    /// Adds an empty route at the end, under a name that is still free.
    AddRoute,
    /// Adds a copy right after the route, under a name that is still free.
    DuplicateRoute {
        route: usize,
    },
    RemoveRoute {
        route: usize,
    },
    /// Takes the route out and puts it where `to` is.
    MoveRoute {
        route: usize,
        to: usize,
    },
    SetName(Option<String>),
    SetFallback(Option<String>),
    SetDialect(Option<DialectId>),
    /// In estimated tokens; `None` leaves it to the dialect.
    SetBudget(Option<usize>),
}

impl PolicyEdit {
    /// Changes `policy`.
    pub fn apply(self, policy: &mut Policy) {
        match self {
            Self::Rename { route, name } => with_route(policy, route, |route| route.name = name),
            Self::Describe { route, description } => with_route(policy, route, |route| route.description = description),
            Self::SetDomain { route, domain } => with_route(policy, route, |route| route.domain = domain),
            Self::SetAction { route, action } => with_route(policy, route, |route| route.action = action),
            Self::SetModels { route, models } => with_route(policy, route, |route| route.models = models),
            Self::AddRoute => policy.routes.push(Route::new(free_name(policy, "new_route"), "")),
            Self::DuplicateRoute { route } => {
                if let Some(original) = policy.routes.get(route) {
                    let name = free_name(policy, &format!("{}_copy", original.name));
                    let copy = Route { name, ..original.clone() };
                    policy.routes.insert(route + 1, copy);
                }
            }
            Self::RemoveRoute { route } => {
                if route < policy.routes.len() {
                    policy.routes.remove(route);
                }
            }
            Self::MoveRoute { route, to } => {
                if route < policy.routes.len() && to < policy.routes.len() {
                    let moved = policy.routes.remove(route);
                    policy.routes.insert(to, moved);
                }
            }
            Self::SetName(name) => policy.name = name,
            Self::SetFallback(model) => policy.fallback = model,
            Self::SetDialect(dialect) => policy.dialect = dialect,
            Self::SetBudget(budget) => policy.budget = budget,
        }
    }

    /// Returns what changes, for menus: "Undo: description".
    pub fn label(&self) -> &'static str {
        match self {
            Self::Rename { .. } => "route name",
            Self::Describe { .. } => "description",
            Self::SetDomain { .. } => "domain",
            Self::SetAction { .. } => "action",
            Self::SetModels { .. } => "models",
            Self::AddRoute => "new route",
            Self::DuplicateRoute { .. } => "duplicate",
            Self::RemoveRoute { .. } => "removed route",
            Self::MoveRoute { .. } => "order",
            Self::SetName(_) => "policy name",
            Self::SetFallback(_) => "fallback",
            Self::SetDialect(_) => "dialect",
            Self::SetBudget(_) => "budget",
        }
    }

    /// Returns the route whose text is being typed, `None` for changes that are done at once.
    ///
    /// Keystrokes in one field are undone together; everything else is undone step by step.
    pub fn typed_in(&self) -> Option<usize> {
        match self {
            Self::Rename { route, .. }
            | Self::Describe { route, .. }
            | Self::SetDomain { route, .. }
            | Self::SetAction { route, .. }
            | Self::SetModels { route, .. } => Some(*route),
            Self::SetName(_) | Self::SetFallback(_) | Self::SetBudget(_) => Some(0),
            Self::AddRoute | Self::DuplicateRoute { .. } | Self::RemoveRoute { .. } | Self::MoveRoute { .. } | Self::SetDialect(_) => None,
        }
    }
}

fn with_route(policy: &mut Policy, position: usize, change: impl FnOnce(&mut Route)) {
    if let Some(route) = policy.routes.get_mut(position) {
        change(route);
    }
}

/// Finds the first of `base`, `base_2`, … that no route has: two equal names would make a policy that cannot be saved.
fn free_name(policy: &Policy, base: &str) -> String {
    std::iter::once(base.to_owned())
        .chain((2..).map(|number| format!("{base}_{number}")))
        .find(|name| policy.route(name).is_none())
        .unwrap_or_default()
}

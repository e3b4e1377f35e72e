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
    SetModels {
        route: usize,
        models: Vec<String>,
    },
    /// Adds an empty route at the end, under a name that is still free.
    AddRoute,
    RemoveRoute {
        route: usize,
    },
    SetFallback(Option<String>),
    SetDialect(Option<DialectId>),
}

impl PolicyEdit {
    /// Changes `policy`.
    pub fn apply(self, policy: &mut Policy) {
        match self {
            Self::Rename { route, name } => with_route(policy, route, |route| route.name = name),
            Self::Describe { route, description } => with_route(policy, route, |route| route.description = description),
            Self::SetModels { route, models } => with_route(policy, route, |route| route.models = models),
            Self::AddRoute => policy.routes.push(Route::new(free_name(policy), "")),
            Self::RemoveRoute { route } => {
                if route < policy.routes.len() {
                    policy.routes.remove(route);
                }
            }
            Self::SetFallback(model) => policy.fallback = model,
            Self::SetDialect(dialect) => policy.dialect = dialect,
        }
    }
}

fn with_route(policy: &mut Policy, position: usize, change: impl FnOnce(&mut Route)) {
    if let Some(route) = policy.routes.get_mut(position) {
        change(route);
    }
}

/// Finds the first of `new_route`, `new_route_2`, … that no route has: two equal names would make a policy that cannot be saved.
fn free_name(policy: &Policy) -> String {
    let base = "new_route";
    std::iter::once(base.to_owned())
        .chain((2..).map(|number| format!("{base}_{number}")))
        .find(|name| policy.route(name).is_none())
        .unwrap_or_default()
}

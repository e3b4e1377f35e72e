//! Policies from YAML or JSON.

use std::collections::HashMap;

use crate::policy::{DialectId, NO_ROUTE_LABEL, Policy, Route};

use super::error::{FormatError, Origin, Warning};
use super::gateway::{PROVIDERS, SELECTION, SOURCES};
use super::source::without_bom;
use super::tree::{Entry, Node, Pos, Value, quoted};
use super::{json, yaml};

/// Reads a policy: an object with `routes`, or a bare list of routes as in the model card, in YAML or JSON.
///
/// Warned about only: keys that Waypost does not know (they are kept), a route called `other`, a policy without routes.
///
/// # Errors
/// Names the place and the remedy: bad YAML or JSON, a missing key, a value of the wrong type, an empty or repeated route name,
/// an unknown dialect, a budget that is no number.
pub fn parse_policy(text: &str, path: &str) -> Result<(Policy, Vec<Warning>), FormatError> {
    read(text, Origin::new(path))
}

/// As [`parse_policy`], but leaves equal and empty names of routes to the linter.
///
/// # Errors
/// As [`parse_policy`].
pub(super) fn parse_to_lint(text: &str, path: &str) -> Result<(Policy, Vec<Warning>), FormatError> {
    read(text, Origin::to_lint(path))
}

fn read(text: &str, mut origin: Origin<'_>) -> Result<(Policy, Vec<Warning>), FormatError> {
    let text = without_bom(text);
    let root = document(text, origin.path(), &origin)?;
    let policy = match root.value {
        Value::Null => return Err(origin.whole("the file is empty", "write a list of routes under `routes:`")),
        Value::Map(entries) => policy_from(root.at, entries, &mut origin)?,
        Value::List(items) => Policy { routes: routes_from(items, &mut origin)?, ..Policy::default() },
        _ => {
            let message = format!("a policy must be an object with `routes` or a list of routes, found {}", root.describe());
            return Err(origin.error(root.at, message, "write a list of routes under `routes:`"));
        }
    };
    if policy.routes.is_empty() {
        origin.warn(root.at, "the policy has no routes, and gateways then skip the router", "add a route with a name and a description");
    }
    Ok((policy, origin.warnings))
}

/// Reads text that may be either notation. What starts like JSON may still be YAML in brackets, which the model card's own example is.
pub(super) fn document(text: &str, path: &str, origin: &Origin<'_>) -> Result<Node, FormatError> {
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml::parse(text, origin);
    }
    json::parse(text, 1, origin).or_else(|json_error| {
        let is_yaml = path.ends_with(".yaml") || path.ends_with(".yml");
        yaml::parse(text, origin).map_err(|yaml_error| if is_yaml { yaml_error } else { json_error })
    })
}

fn policy_from(at: Pos, entries: Vec<Entry>, origin: &mut Origin<'_>) -> Result<Policy, FormatError> {
    let mut policy = Policy::default();
    let has = |keys: &[&str]| entries.iter().any(|entry| keys.contains(&entry.key.as_str()));
    if !has(&["routes"]) {
        return Err(if has(&GATEWAY_KEYS) {
            origin.error(at, "this is a gateway's configuration, not a policy", "convert it with `waypost import`")
        } else {
            origin.error(at, "the policy has no `routes`", "write a list of routes under `routes:`")
        });
    }
    for Entry { key, at, node } in entries {
        match key.as_str() {
            "name" => policy.name = optional_text(&node, "`name`", origin)?,
            "fallback" => policy.fallback = optional_text(&node, "`fallback`", origin)?,
            "dialect" => policy.dialect = dialect(&node, origin)?,
            "budget" => policy.budget = budget(&node, origin)?,
            "routes" => {
                policy.routes = match node.value {
                    Value::List(items) => routes_from(items, origin)?,
                    Value::Null => Vec::new(),
                    _ => {
                        let message = format!("`routes` must be a list, found {}", node.describe());
                        return Err(origin.error(node.at, message, "start each route with `- name:`"));
                    }
                };
            }
            PROVIDERS | SOURCES => policy.extra.push((key, node.to_json())),
            _ => {
                let message = format!("unknown key {} of the policy", quoted(&key));
                origin.warn(at, message, "it is kept as it is; check the spelling if you meant another");
                policy.extra.push((key, node.to_json()));
            }
        }
    }
    Ok(policy)
}

/// Keys by which the configuration files of gateways are known.
const GATEWAY_KEYS: [&str; 9] = [
    "listeners",
    "llm_providers",
    "model_providers",
    "routing_preferences",
    "model_list",
    "complexity_router_config",
    "tier_definitions",
    "routing",
    "signals",
];

/// Reads a list of routes whose names must differ.
///
/// # Errors
/// As [`parse_policy`].
pub(super) fn routes_from(items: Vec<Node>, origin: &mut Origin<'_>) -> Result<Vec<Route>, FormatError> {
    let mut routes = Vec::with_capacity(items.len());
    let mut lines: HashMap<String, usize> = HashMap::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let (route, name_at) = route_from(index + 1, item, origin)?;
        let first = lines.insert(route.name.clone(), name_at.line).filter(|_| !origin.any_names);
        if let Some(first) = first {
            let message = format!("route {} appears twice, first on line {first}", quoted(&route.name));
            return Err(origin.error(name_at, message, "rename one of them"));
        }
        if route.name == NO_ROUTE_LABEL {
            let message = format!(
                "route {NO_ROUTE_LABEL:?} has the name by which labelled sets, and gateways up to Plano 0.4.18, say that nothing fits"
            );
            origin.warn(name_at, message, "rename it unless you mean exactly that");
        }
        routes.push(route);
    }
    Ok(routes)
}

/// Reads one route; `number` names it until its name is known.
fn route_from(number: usize, node: Node, origin: &mut Origin<'_>) -> Result<(Route, Pos), FormatError> {
    let at = node.at;
    let Value::Map(entries) = node.value else {
        let message = format!("route {number} must be an object with `name` and `description`, found {}", node.describe());
        return Err(origin.error(at, message, "write `- name: …` and below it `description: …`"));
    };
    let label = entries.iter().find(|entry| entry.key == "name").and_then(|entry| match &entry.node.value {
        Value::Text(name) if !name.trim().is_empty() => Some(format!("route {}", quoted(name))),
        _ => None,
    });
    let label = label.unwrap_or_else(|| format!("route {number}"));
    let mut route = Route::default();
    let (mut name, mut description) = (None, None);
    for Entry { key, at, node } in entries {
        let whose = || format!("`{key}` of {label}");
        match key.as_str() {
            "name" => name = Some((text(&node, &whose(), origin)?, node.at)),
            "description" => description = Some(text(&node, &whose(), origin)?),
            "domain" => route.domain = optional_text(&node, &whose(), origin)?,
            "action" => route.action = optional_text(&node, &whose(), origin)?,
            "models" => route.models = models(&node, &label, origin)?,
            SELECTION => route.extra.push((key, node.to_json())),
            _ => {
                let message = format!("unknown key {} of {label}", quoted(&key));
                origin.warn(at, message, "it is kept as it is; check the spelling if you meant another");
                route.extra.push((key, node.to_json()));
            }
        }
    }
    let Some((name, name_at)) = name else {
        return Err(origin.error(at, format!("{label} has no `name`"), "add the name that the router shall answer with"));
    };
    if name.trim().is_empty() && !origin.any_names {
        return Err(origin.error(name_at, format!("the name of {label} is empty"), "give the route a name"));
    }
    let Some(description) = description else {
        return Err(origin.error(at, format!("{label} has no `description`"), "describe which conversations belong to it"));
    };
    Ok((Route { name, description, ..route }, name_at))
}

fn models(node: &Node, label: &str, origin: &Origin<'_>) -> Result<Vec<String>, FormatError> {
    match &node.value {
        Value::Null => Ok(Vec::new()),
        Value::List(items) => items.iter().map(|item| text(item, &format!("each model of {label}"), origin)).collect(),
        _ => {
            let message = format!("`models` of {label} must be a list, found {}", node.describe());
            Err(origin.error(node.at, message, "write one model a line, each after a dash"))
        }
    }
}

fn dialect(node: &Node, origin: &Origin<'_>) -> Result<Option<DialectId>, FormatError> {
    let Some(name) = optional_text(node, "`dialect`", origin)? else { return Ok(None) };
    name.parse().map(Some).map_err(|_| {
        let known: Vec<&str> = DialectId::ALL.into_iter().map(DialectId::as_str).collect();
        origin.error(node.at, format!("unknown dialect {}", quoted(&name)), format!("use one of {}", known.join(", ")))
    })
}

fn budget(node: &Node, origin: &Origin<'_>) -> Result<Option<usize>, FormatError> {
    let tokens = match &node.value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.parse().ok(),
        _ => None,
    };
    let refused = || {
        let message = format!("`budget` must be a whole number of tokens, found {}", node.describe());
        origin.error(node.at, message, "write it as in `budget: 8192`, or leave it out")
    };
    tokens.map(Some).ok_or_else(refused)
}

/// Returns text that may be left out or `null`.
///
/// # Errors
/// As [`text`].
fn optional_text(node: &Node, what: &str, origin: &Origin<'_>) -> Result<Option<String>, FormatError> {
    match node.value {
        Value::Null => Ok(None),
        _ => text(node, what, origin).map(Some),
    }
}

/// Returns text that must be there.
///
/// # Errors
/// The value is of another type.
pub(super) fn text(node: &Node, what: &str, origin: &Origin<'_>) -> Result<String, FormatError> {
    let remedy = match &node.value {
        Value::Text(text) => return Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => "put it in double quotes",
        Value::Null => "write the text after it",
        Value::List(_) | Value::Map(_) => "write one text in double quotes",
    };
    Err(origin.error(node.at, format!("{what} must be text, found {}", node.describe()), remedy))
}

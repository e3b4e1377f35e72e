//! What a policy says and a gateway's configuration has no key for: one comment line that an import reads back.
//!
//! Plano refuses every key it does not know, so domains, actions and the like can only travel in a comment.

use std::fmt::Write;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::policy::{DialectId, ExtraKeys, Policy};

use super::export::ExportFormat;
use super::import::GatewayShape;
use super::providers::{Declaration, PROVIDERS, SELECTION, SOURCES};

/// How each comment line that Waypost owns starts; an export into a configuration replaces them.
pub(super) const MARK: &str = "# waypost: ";

/// What the comment holds.
#[derive(Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Meta {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<DialectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra: ExtraKeys,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteMeta>,
}

#[derive(Default, Debug, Serialize, Deserialize)]
#[serde(default)]
struct RouteMeta {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra: ExtraKeys,
}

/// Returns the comment line for a policy, or nothing where there is nothing to keep; holds what a file of this format does not say itself.
pub(super) fn comment(policy: &Policy, format: ExportFormat) -> String {
    let (of_policy, of_route): (&[&str], &[&str]) = match format {
        ExportFormat::Plano04 | ExportFormat::RoutingApi => (&[PROVIDERS, SOURCES], &[SELECTION]),
        ExportFormat::Plano03 => (&[PROVIDERS], &[]),
        ExportFormat::VllmSr | ExportFormat::LiteLlm => (&[], &[]),
    };
    let unwritten = |extra: &ExtraKeys, written: &[&str]| -> ExtraKeys {
        extra.iter().filter(|(key, _)| !written.contains(&key.as_str())).cloned().collect()
    };
    // The one lists routes by their model, so the comment says their order.
    let is_grouped = format == ExportFormat::Plano03;
    let first_models_only = is_grouped || format == ExportFormat::LiteLlm;
    let routes: Vec<RouteMeta> = policy
        .routes
        .iter()
        .map(|route| RouteMeta {
            // As the file says it: routes are matched by name.
            name: if format == ExportFormat::LiteLlm { route.name.trim().to_owned() } else { route.name.clone() },
            domain: route.domain.clone(),
            action: route.action.clone(),
            models: if first_models_only && route.models.len() > 1 { route.models.clone() } else { Vec::new() },
            extra: unwritten(&route.extra, of_route),
        })
        .filter(|RouteMeta { domain, action, models, extra, .. }| {
            is_grouped || domain.is_some() || action.is_some() || !models.is_empty() || !extra.is_empty()
        })
        .collect();
    // The one has a key for it.
    let budget = policy.budget.filter(|_| format != ExportFormat::Plano04);
    let meta = Meta { name: policy.name.clone(), dialect: policy.dialect, budget, extra: unwritten(&policy.extra, of_policy), routes };
    if meta.name.is_none() && meta.dialect.is_none() && budget.is_none() && meta.extra.is_empty() && meta.routes.is_empty() {
        return String::new();
    }
    // Plain strings always serialise.
    format!("{MARK}{}\n", ascii(&serde_json::to_string(&meta).unwrap_or_default()))
}

/// Gives a policy back what an export could only say in the comment; routes are matched by name.
pub(super) fn restore(text: &str, shape: GatewayShape, policy: &mut Policy) {
    let Some(mut meta) = read(text) else { return };
    // Plano's own files declare providers themselves, and of others only what can be read is of use.
    let is_of_use = |json: &str| shape != GatewayShape::Plano && serde_json::from_str::<Vec<Declaration>>(json).is_ok();
    meta.extra.retain(|(key, json)| key != PROVIDERS || is_of_use(json));
    policy.name = policy.name.take().or(meta.name);
    policy.dialect = policy.dialect.or(meta.dialect);
    policy.budget = policy.budget.or(meta.budget);
    add(&mut policy.extra, meta.extra, &["name", "dialect", "budget", "fallback", "routes"]);
    for route in &mut policy.routes {
        let Some(kept) = meta.routes.iter().find(|kept| kept.name == route.name) else { continue };
        route.domain.clone_from(&kept.domain);
        route.action.clone_from(&kept.action);
        add(&mut route.extra, kept.extra.clone(), &["name", "description", "domain", "action", "models"]);
        // Somebody may have changed the file since; then its model counts.
        if kept.models.first() == route.models.first() && !kept.models.is_empty() {
            route.models.clone_from(&kept.models);
        }
    }
}

/// Adds keys that a comment kept. Anybody may have written it, and a policy says no key twice and every value in JSON.
fn add(extra: &mut ExtraKeys, kept: ExtraKeys, own: &[&str]) {
    for (key, json) in kept {
        let is_free = !own.contains(&key.as_str()) && extra.iter().all(|(other, _)| *other != key);
        if is_free && serde_json::from_str::<IgnoredAny>(&json).is_ok() {
            extra.push((key, json));
        }
    }
}

/// Returns the positions of the routes in the order that the comment remembers, or `None` where it does not name exactly these.
pub(super) fn order(text: &str, policy: &Policy) -> Option<Vec<usize>> {
    let meta = read(text)?;
    let order: Vec<usize> = meta.routes.iter().filter_map(|kept| policy.routes.iter().position(|route| route.name == kept.name)).collect();
    (order.len() == policy.routes.len() && meta.routes.len() == order.len()).then_some(order)
}

fn read(text: &str) -> Option<Meta> {
    // Comments of Waypost are not indented; an indented line may belong to a text.
    let json = text.lines().rev().filter_map(|line| line.strip_prefix(MARK)).find(|line| line.starts_with('{'))?;
    serde_json::from_str(json).ok()
}

/// Returns JSON text with every character escaped that a YAML reader may refuse or take for a line break, even in a comment.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if (' '..='~').contains(&c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

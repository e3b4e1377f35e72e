//! Models that a gateway refuses, or maps in a way that its author does not expect.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::rules::{
    ALIKE_MODELS, BAD_MODEL, BAD_SELECTION, NO_ADDRESS, NO_FALLBACK, NO_MODELS, NO_MODELS_AT_ALL, ONE_MODEL, REFUSED_KEY, REPEATED_MODEL,
    SAME_FIRST_MODEL, UNDECLARED_MODEL, UNHEEDED_BUDGET,
};
use super::{Field, Findings, Fix, LintContext, named, shown};
use crate::policy::provider::{Address, address};
use crate::policy::{DialectId, PolicyEdit, Route, SELECTION};

/// What Plano can be told to prefer.
const SELECTIONS: [&str; 3] = ["cheapest", "fastest", "none"];

pub(super) fn check(findings: &mut Findings<'_>, context: &LintContext) {
    let policy = findings.policy;
    let mapped = policy.routes.iter().any(|route| !route.models.is_empty());
    if !mapped && !policy.routes.is_empty() {
        findings.whole(&NO_MODELS_AT_ALL, Field::Routes, "no route has models".to_owned());
    }
    for (index, route) in findings.routes() {
        if mapped && route.models.is_empty() {
            let message = format!("route {} has no models", named(policy, index));
            let fix = policy.fallback.as_ref().map(|model| Fix {
                label: format!("Use the fallback {model}"),
                edit: PolicyEdit::SetModels { route: index, models: vec![model.clone()] },
            });
            findings.route(&NO_MODELS, index, Field::Models, message, fix);
        }
        let mut seen = HashSet::new();
        if !route.models.iter().all(|model| seen.insert(model)) {
            let mut models = Vec::new();
            for model in &route.models {
                if !models.contains(model) {
                    models.push(model.clone());
                }
            }
            let fix = Fix { label: "Keep each model once".to_owned(), edit: PolicyEdit::SetModels { route: index, models } };
            let message = format!("route {} names a model twice", named(policy, index));
            findings.route(&REPEATED_MODEL, index, Field::Models, message, Some(fix));
        }
        for (key, value) in &route.extra {
            if key == SELECTION && !SELECTIONS.iter().any(|what| route.prefers(what)) {
                let message = format!("the selection policy {value} of route {} is unknown", named(policy, index));
                findings.route(&BAD_SELECTION, index, Field::SelectionPolicy, message, None);
            }
        }
    }
    for (field, message) in &context.refused {
        findings.whole(&REFUSED_KEY, *field, message.clone());
    }
    each_model(findings, context);
    if mapped && policy.fallback.is_none() {
        findings.whole(&NO_FALLBACK, Field::Fallback, "the policy names no fallback model".to_owned());
    }
    // Of a gateway's configuration its notes say how to test it.
    let heeds = policy.dialect.unwrap_or(DialectId::DEFAULT).takes_budget();
    if let Some(budget) = policy.budget.filter(|_| !heeds && context.declared.is_none()) {
        let message = format!("the budget of {budget} tokens counts in the dialects plano-0.4.19 and plano-0.4.20 alone");
        findings.whole(&UNHEEDED_BUDGET, Field::Budget, message);
    }
    shared(findings);
}

/// Checks each model name once, where it first stands.
fn each_model(findings: &mut Findings<'_>, context: &LintContext) {
    let policy = findings.policy;
    let routes = policy.routes.iter().enumerate().flat_map(|(index, route)| route.models.iter().map(move |model| (Some(index), model)));
    let mut seen = HashSet::new();
    let mut called: HashMap<&str, &str> = HashMap::new();
    for (index, model) in routes.chain(policy.fallback.iter().map(|model| (None, model))) {
        if !seen.insert(model) {
            continue;
        }
        let found = match address(model) {
            None => Some((&BAD_MODEL, format!("{} is not a model name like \"openai/gpt-4o\"", shown(model)))),
            Some(Address::BaseUrl | Address::BaseUrlAndInterface) if !context.addressed.contains(model) && context.declared.is_none() => {
                Some((&NO_ADDRESS, format!("Plano does not know where {} is served", shown(model))))
            }
            Some(_) => None,
        };
        let undeclared = context.declared.as_ref().is_some_and(|declared| !declared.contains(model));
        let undeclared = undeclared.then(|| (&UNDECLARED_MODEL, format!("the gateway does not declare {}", shown(model))));
        let whole = model.as_str();
        let id = whole.split_once('/').map_or(whole, |(_, id)| id);
        let like = called.get(id).or_else(|| called.get(whole)).copied();
        called.extend([(id, whole), (whole, whole)]);
        // Of a gateway's configuration its notes say so.
        let alike = like.filter(|_| context.declared.is_none() && !context.is_foreign);
        let alike = alike.map(|other| (&ALIKE_MODELS, format!("Plano does not tell {} and {} apart", shown(model), shown(other))));
        for (rule, message) in found.into_iter().chain(undeclared).chain(alike) {
            match index {
                Some(index) => findings.route(rule, index, Field::Models, message, None),
                None => findings.whole(rule, Field::Fallback, message),
            }
        }
    }
}

/// Checks what routes have in common.
fn shared(findings: &mut Findings<'_>) {
    let mut by_model: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, route) in findings.routes() {
        if let Some(model) = route.model() {
            by_model.entry(model).or_default().push(index);
        }
    }
    let mapped: usize = by_model.values().map(Vec::len).sum();
    // Where Plano orders the models of a route itself, the first need not be the one it takes.
    let is_reordered = |route: &Route| route.reordering().is_some();
    if let [(model, routes)] = by_model.iter().collect::<Vec<_>>()[..]
        && routes.len() > 1
        && !findings.policy.routes.iter().any(is_reordered)
        && mapped == findings.policy.routes.len()
    {
        findings.whole(
            &ONE_MODEL,
            Field::Routes,
            if mapped == 2 {
                format!("both routes lead to {}", shown(model))
            } else {
                format!("all {mapped} routes lead to {}", shown(model))
            },
        );
    }
    // Only the versions of this dialect have the defect; where none is named, any gateway may be the target.
    if !matches!(findings.policy.dialect, None | Some(DialectId::Archgw031)) {
        return;
    }
    // One finding however many models are shared: the remedy is the same for all.
    let shared: Vec<(&str, &Vec<usize>)> =
        by_model.iter().filter(|(_, routes)| routes.len() > 1).map(|(model, routes)| (*model, routes)).collect();
    let groups: Vec<String> = shared
        .iter()
        .map(|(model, routes)| {
            let names: Vec<String> = routes.iter().map(|index| named(findings.policy, *index)).collect();
            format!("{} share the first model {}", names.join(", "), shown(model))
        })
        .collect();
    if let Some(second) = shared.iter().filter_map(|(_, routes)| routes.get(1)).min() {
        findings.route(&SAME_FIRST_MODEL, *second, Field::Models, format!("routes {}", groups.join("; ")), None);
    }
}

//! Names and texts that a gateway refuses, or that make a route unroutable.

use std::collections::HashMap;

use super::rules::{
    APOSTROPHE, BUDGET, CASE, DUPLICATE_NAME, EMPTY_DESCRIPTION, EMPTY_NAME, LABELLED_OTHER, LINE_FEED, NAMED_OTHER, NO_ROUTES, NON_ASCII,
    PLACEHOLDER, SPACES, TAG, VARIABLE,
};
use super::{Field, Findings, Fix, named, shown};
use crate::policy::{DialectId, NO_ROUTE_LABEL, Policy, PolicyEdit};

/// What gateways replace by the conversation, wherever it stands.
const CONVERSATION: &str = "{conversation}";

/// The tags of every dialect's prompt.
const TAGS: [&str; 4] = ["<routes>", "</routes>", "<conversation>", "</conversation>"];

/// Gateways estimate a token as four bytes; 2000 of them leave no room for a conversation in the oldest budget.
const LONGEST_ROUTES: usize = 2000 * 4;

pub(super) fn check(findings: &mut Findings<'_>) {
    let policy = findings.policy;
    if policy.routes.is_empty() {
        findings.whole(&NO_ROUTES, Field::Routes, "the policy has no routes".to_owned());
    }
    equal_names(findings);
    for (index, route) in findings.routes() {
        name(findings, index, &route.name);
        if route.description.trim().is_empty() && !route.name.trim().is_empty() {
            let message = format!("route {} has no description", shown(&route.name));
            findings.route(&EMPTY_DESCRIPTION, index, Field::Description, message, None);
        }
        for (field, text) in [(Field::Name, &route.name), (Field::Description, &route.description)] {
            anywhere(findings, index, field, text);
        }
    }
    let bytes: usize = policy.routes.iter().map(|route| route.name.len() + route.description.len()).sum();
    if bytes > LONGEST_ROUTES {
        let message = format!("the routes take about {} tokens of every prompt", bytes / 4);
        findings.whole(&BUDGET, Field::Routes, message);
    }
}

fn equal_names(findings: &mut Findings<'_>) {
    let mut first: HashMap<String, usize> = HashMap::new();
    for (index, route) in findings.routes() {
        if route.name.trim().is_empty() {
            continue;
        }
        let Some(&earlier) = first.get(&route.name.to_lowercase()) else {
            first.insert(route.name.to_lowercase(), index);
            continue;
        };
        let before = &findings.policy.routes[earlier].name;
        let fix = rename(findings.policy, index, &route.name);
        if *before == route.name {
            let message = format!("route {} appears twice", shown(before));
            findings.route(&DUPLICATE_NAME, index, Field::Name, message, fix);
        } else {
            let message = format!("the names {} and {} differ only by case", shown(before), shown(&route.name));
            findings.route(&CASE, index, Field::Name, message, fix);
        }
    }
}

fn name(findings: &mut Findings<'_>, index: usize, name: &str) {
    let policy = findings.policy;
    if name.trim().is_empty() {
        findings.route(&EMPTY_NAME, index, Field::Name, format!("route {} has no name", index + 1), rename(policy, index, "new_route"));
        return;
    }
    if name == NO_ROUTE_LABEL {
        // Where answers are lists, an empty one says that nothing fits. Where no dialect is named, any gateway may be the target.
        let (rule, message) = match policy.dialect {
            Some(DialectId::Plano0419 | DialectId::Plano0420) => (&LABELLED_OTHER, "the name \"other\" is the label of no route"),
            None | Some(DialectId::ModelCard | DialectId::Archgw031) => {
                (&NAMED_OTHER, "the name \"other\" is the router's answer when nothing fits")
            }
        };
        findings.route(rule, index, Field::Name, message.to_owned(), rename(policy, index, "other_requests"));
    }
    if name.contains('\'') {
        let message = format!("the name {} holds an apostrophe", shown(name));
        findings.route(&APOSTROPHE, index, Field::Name, message, rename(policy, index, &name.replace('\'', "")));
    }
    // A line feed reaches the router as the two characters \n, which is what gateways delete.
    if name.contains("\\n") || name.contains('\n') {
        let message = format!("the name {} holds a line break or \\n", shown(name));
        findings.route(&LINE_FEED, index, Field::Name, message, rename(policy, index, &name.replace("\\n", "_").replace('\n', "_")));
    }
    if name.trim() != name {
        let message = format!("the name {} has spaces around it", shown(name));
        findings.route(&SPACES, index, Field::Name, message, rename(policy, index, name.trim()));
    }
}

/// Checks that hold for a name as for a description.
fn anywhere(findings: &mut Findings<'_>, index: usize, field: Field, text: &str) {
    let policy = findings.policy;
    let what = format!("the {} of route {}", field.as_str(), named(policy, index));
    if text.contains(CONVERSATION) {
        let fix = replace(policy, index, field, &text.replace(CONVERSATION, "conversation"));
        findings.route(&PLACEHOLDER, index, field, format!("{what} holds {CONVERSATION}"), fix);
    }
    if let Some(tag) = TAGS.iter().find(|tag| text.contains(*tag)) {
        let without = TAGS.iter().fold(text.to_owned(), |text, tag| text.replace(tag, tag.trim_matches(['<', '/', '>'])));
        findings.route(&TAG, index, field, format!("{what} holds {tag}"), replace(policy, index, field, &without));
    }
    if let Some(variable) = variable(text) {
        findings.route(&VARIABLE, index, field, format!("{what} holds {variable}, which may be expanded"), None);
    }
    if !text.is_ascii() {
        let mut found: Vec<char> = Vec::new();
        for c in text.chars().filter(|c| !c.is_ascii()) {
            if found.len() < 5 && !found.contains(&c) {
                found.push(c);
            }
        }
        // A hyphen or a space of another kind looks like the usual one.
        let word = |c: &char| if c.is_alphabetic() { c.to_string() } else { format!("{c} U+{:04X}", u32::from(*c)) };
        let found = found.iter().map(word).collect::<Vec<_>>().join(", ");
        findings.route(&NON_ASCII, index, field, format!("{what} holds non-ASCII characters ({found})"), None);
    }
}

/// Returns the first `$NAME` or `${NAME}`; `$5` is left alone by gateways.
fn variable(text: &str) -> Option<&str> {
    text.match_indices('$').find_map(|(at, _)| {
        let rest = &text[at + 1..];
        let (inner, braced) = rest.strip_prefix('{').map_or((rest, false), |inner| (inner, true));
        let length = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let named = inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match (named, braced) {
            (true, false) => Some(&text[at..at + 1 + length]),
            (true, true) if inner[length..].starts_with('}') => Some(&text[at..at + 3 + length]),
            _ => None,
        }
    })
}

fn replace(policy: &Policy, index: usize, field: Field, text: &str) -> Option<Fix> {
    match field {
        Field::Name => rename(policy, index, text),
        _ => Some(Fix {
            label: "Remove it from the description".to_owned(),
            edit: PolicyEdit::Describe { route: index, description: text.to_owned() },
        }),
    }
}

/// Returns the change of a route's name to `base`, or to the first numbered variation of it that no other route has.
fn rename(policy: &Policy, index: usize, base: &str) -> Option<Fix> {
    let base = base.trim();
    let taken = |name: &str| policy.routes.iter().enumerate().any(|(other, route)| other != index && route.name.eq_ignore_ascii_case(name));
    if base.is_empty() {
        return None;
    }
    let name = std::iter::once(base.to_owned()).chain((2..).map(|number| format!("{base}_{number}"))).find(|name| !taken(name))?;
    Some(Fix { label: format!("Rename to {name}"), edit: PolicyEdit::Rename { route: index, name } })
}

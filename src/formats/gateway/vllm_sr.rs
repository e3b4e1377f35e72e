//! vLLM Semantic Router: preference signals and the decisions that use them.
//!
//! Read are the layout of v0.3 (`routing.signals`, `routing.decisions`) and the flat one before it; written is v0.3.
//! Source: config/config.yaml and website/docs/tutorials/signal/learned/preference.md of vllm-project/semantic-router.

use crate::formats::error::FormatError;
use crate::formats::policy_writer::push_quoted;
use crate::formats::tree::{Node, Pos, Value, quoted};
use crate::policy::{NO_ROUTE_LABEL, Policy};

use super::import::{NoteKind, Reader, at_path, field, items, plain_text};
use super::providers::{Declaration, declare, hidden_key, kept_address, models};

/// What stands for the address of a model in an export.
const UNFILLED: &str = "127.0.0.1:8000";

/// Reads preference signals as routes, and the models of the decisions that match one of them.
///
/// # Errors
/// A signal without a name, or two of one name.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let find = |path: &[&str]| at_path(root, path).or_else(|| at_path(root, &path[1..]));
    let signals = find(&["routing", "signals", "preferences"]);
    let decisions = items(find(&["routing", "decisions"]));
    reader.policy.fallback = ["model", "default_model"]
        .iter()
        .find_map(|key| plain_text(at_path(root, &["providers", "defaults"])?, key))
        .or_else(|| plain_text(at_path(root, &["providers"])?, "default_model"))
        .or_else(|| plain_text(root, "default_model"));
    if let Some(node) = signals {
        reader.routes_at(node.at);
    }
    let mut other = None;
    for (index, node) in items(signals).iter().enumerate() {
        if field(node, "description").is_none() {
            let message = "a preference signal without a description matches by its examples alone";
            reader.note(NoteKind::Changed, node.at, message, "describe it: the policy has an empty description");
        }
        let Some(name) = field(node, "name") else {
            return Err(reader.origin.error(node.at, format!("preference signal {} has no `name`", index + 1), "add `name`"));
        };
        let name = reader.text(&name.node, "the name of a preference signal")?;
        // The signal by this name stands for "nothing fits", which a policy says by its fallback.
        if name == NO_ROUTE_LABEL {
            other = Some(node.at);
            continue;
        }
        for key in ["examples", "threshold"] {
            if let Some(entry) = field(node, key) {
                let message = format!("`{key}` of the preference signal {} is not kept", quoted(&name));
                reader.note(NoteKind::Changed, entry.at, message, "descriptions alone decide in a policy");
            }
        }
        let mut route = crate::policy::Route::new(name, plain_text(node, "description").unwrap_or_default());
        route.models = decisions.iter().find(|decision| matches(decision, &route.name)).map(refs).unwrap_or_default();
        if route.models.is_empty() {
            let message = format!("no decision uses the preference signal {} alone", quoted(&route.name));
            reader.note(NoteKind::Changed, node.at, message, "add its models to the policy");
        }
        reader.add_route(route, node)?;
    }
    if let Some(at) = other {
        let model = decisions.iter().find(|decision| matches(decision, NO_ROUTE_LABEL)).map(refs).unwrap_or_default();
        reader.policy.fallback = model.into_iter().next().or(reader.policy.fallback.take());
        reader.note(NoteKind::Changed, at, "the signal \"other\" became the policy's fallback", "its description is not kept");
    }
    reader.no_routes = (
        "the configuration has no preference signals, the only ones that are matched by description".to_owned(),
        "add some under routing.signals.preferences, or write the policy by hand".to_owned(),
    );
    contrastive(root, reader);
    served(root, reader);
    Ok(())
}

/// Signals are compared by embeddings unless that is switched off; only then does a router read the descriptions.
fn contrastive(root: &Node, reader: &mut Reader<'_>) {
    let path = ["global", "model_catalog", "modules", "classifier", "preference", "use_contrastive"];
    let is_off = matches!(at_path(root, &path).map(|node| &node.value), Some(Value::Bool(false)));
    if !is_off && at_path(root, &["routing"]).is_some() && !reader.policy.routes.is_empty() {
        let at = reader.lines.whole.first().map_or(root.at, |(_, line)| Pos { line: *line, column: 1 });
        let message = "these signals are matched by embeddings, not by a router that reads the descriptions";
        reader.note(NoteKind::Ignored, at, message, format!("set {}: false to test them as they run", path.join(".")));
    }
}

/// Keeps where the models of the policy are served.
fn served(root: &Node, reader: &mut Reader<'_>) {
    if let Some(entry) = field(root, "vllm_endpoints") {
        let message = "where models are served (`vllm_endpoints`) is not kept";
        reader.note(NoteKind::Changed, entry.at, message, "add `providers` with a base_url for each model to the policy");
    }
    let named = models(&reader.policy);
    for node in items(at_path(root, &["providers", "models"])) {
        let Some(model) = plain_text(node, "name").filter(|model| named.contains(model)) else { continue };
        let backends = items(at_path(node, &["backend_refs"]));
        let Some(first) = backends.first() else { continue };
        if matches!(&first.value, Value::Map(entries) if entries.len() == 1) && plain_text(first, "endpoint").as_deref() == Some(UNFILLED) {
            let message = format!("{UNFILLED} stands in an export for the address of {}, and is not kept", quoted(&model));
            reader.note(NoteKind::Changed, first.at, message, "add the address to `providers` of the policy if it is meant");
            continue;
        }
        let endpoint = || {
            let protocol = plain_text(first, "protocol").unwrap_or_else(|| "http".to_owned());
            plain_text(first, "endpoint").map(|place| format!("{protocol}://{place}"))
        };
        let Some(url) = plain_text(first, "base_url").or_else(endpoint) else { continue };
        if backends.len() > 1 {
            let message = format!("{} is served in several places, and the policy keeps the first", quoted(&model));
            reader.note(NoteKind::Changed, first.at, message, "put something that shares the work in front of them");
        }
        if let Some(entry) = field(first, "extra_headers") {
            let message = format!("`extra_headers` of {} may be secret and are not kept", quoted(&model));
            reader.note(NoteKind::Changed, entry.at, message, "add them to the exported configuration by hand");
        }
        let access_key = match plain_text(first, "api_key_env") {
            Some(variable) => Some(format!("${variable}")),
            None => field(first, "api_key").map(|entry| hidden_key(&model, entry.at, reader)),
        };
        let base_url = Some(kept_address(&url, &model, first.at, reader));
        declare(Declaration { model, access_key, base_url, ..Declaration::default() }, first.at, reader);
    }
}

/// Returns whether a decision depends on one preference signal and nothing else.
fn matches(decision: &Node, name: &str) -> bool {
    let operator = at_path(decision, &["rules"]).and_then(|rules| plain_text(rules, "operator"));
    // Of one condition these two say the same; NOT says the opposite.
    if operator.is_some_and(|operator| ["AND", "OR"].iter().all(|known| !operator.eq_ignore_ascii_case(known))) {
        return false;
    }
    match items(at_path(decision, &["rules", "conditions"])) {
        [condition] => {
            plain_text(condition, "type").as_deref() == Some("preference") && plain_text(condition, "name").as_deref() == Some(name)
        }
        _ => false,
    }
}

fn refs(decision: &Node) -> Vec<String> {
    items(at_path(decision, &["modelRefs"])).iter().filter_map(|node| plain_text(node, "model")).collect()
}

/// Returns why a policy cannot become preference signals.
pub(super) fn problem(policy: &Policy) -> Option<String> {
    policy.route(NO_ROUTE_LABEL).map(|_| {
        format!("vLLM Semantic Router takes the signal {NO_ROUTE_LABEL:?} for requests that fit no route; rename the route of that name")
    })
}

/// Writes a configuration whose addresses are still to be filled in.
pub(super) fn write(policy: &Policy, comments: &str) -> String {
    let mut out = comments.to_owned();
    let mut line = |indent: usize, key: &str, value: Option<&str>| {
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(key);
        if let Some(value) = value {
            out.push(' ');
            push_quoted(&mut out, value);
        }
        out.push('\n');
    };
    line(0, "version: v0.3", None);
    line(0, "listeners:", None);
    for text in ["- name: http-8899", "  address: 0.0.0.0", "  port: 8899"] {
        line(2, text, None);
    }
    line(0, "providers:", None);
    if let Some(fallback) = &policy.fallback {
        line(2, "defaults:", None);
        line(4, "model:", Some(fallback));
    }
    line(2, "models: # fill in where each model is served", None);
    for model in models(policy) {
        line(4, "- name:", Some(&model));
        line(6, "backend_refs:", None);
        line(8, "- endpoint:", Some(UNFILLED));
    }
    line(0, "routing:", None);
    line(2, "modelCards:", None);
    for model in models(policy) {
        line(4, "- name:", Some(&model));
    }
    line(2, "signals:", None);
    line(4, "preferences:", None);
    for route in &policy.routes {
        line(6, "- name:", Some(&route.name));
        line(8, "description:", Some(&route.description));
    }
    line(2, "decisions:", None);
    for route in &policy.routes {
        line(4, "- name:", Some(&route.name));
        line(6, "priority: 100", None);
        for (indent, text) in [(6, "rules:"), (8, "operator: AND"), (8, "conditions:"), (10, "- type: preference")] {
            line(indent, text, None);
        }
        line(12, "name:", Some(&route.name));
        line(6, "modelRefs:", None);
        for model in &route.models {
            line(8, "- model:", Some(model));
        }
        line(6, "algorithm:", None);
        line(8, "type: static", None);
    }
    for (indent, text) in EXTERNAL {
        line(indent, text, None);
    }
    out
}

/// The router that reads the descriptions; without `use_contrastive: false` it is never asked.
const EXTERNAL: [(usize, &str); 13] = [
    (0, "global:"),
    (2, "model_catalog:"),
    (4, "external: # fill in where the router is served"),
    (6, "- name: preference-router"),
    (8, "llm_provider: vllm"),
    (8, "model_role: preference"),
    (8, "llm_endpoint: {address: 127.0.0.1, port: 8000}"),
    (8, "llm_model_name: \"katanemo/Arch-Router-1.5B\""),
    (8, "parser_type: json"),
    (4, "modules:"),
    (6, "classifier:"),
    (8, "preference:"),
    (10, "use_contrastive: false"),
];

//! What the current Plano refuses in a configuration: its schema, as far as routing touches it, and its validator's own checks.
//!
//! Source: config/plano_config_schema.yaml and cli/planoai/config_generator.py of Plano 0.4.36, and brightstaff's start-up.

use std::collections::HashSet;

use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::policy::provider::{Address, address, is_base_url, is_interface};

use super::import::{NoteKind, Reader, at_path, field, items, plain_text};
use super::plano::{self, Provider};
use super::yaml_1_1::{Seen, Unquoted};
use super::{plano_endpoints, plano_schema};

/// Notes everything the gateway would refuse before it looks at routes.
pub(super) fn root(root: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) {
    version(root, reader);
    for flaw in std::mem::take(&mut reader.flaws) {
        reader.note(NoteKind::Refused, flaw.at, flaw.message, flaw.remedy);
    }
    plano_schema::check(root, reader);
    beyond_the_schema(root, providers, reader);
    if let Some(entry) = field(root, "llm_providers").filter(|_| field(root, "model_providers").is_some()) {
        let message = "the gateway refuses llm_providers and model_providers in one file";
        reader.note(NoteKind::Refused, entry.at, message, "keep model_providers");
    }
    if let Some(entry) = field(root, "routing").and_then(|entry| field(&entry.node, "model")) {
        let message = "routing.model no longer chooses the router";
        reader.note(NoteKind::Ignored, entry.at, message, "name the router under overrides as llm_routing_model");
    }
    for key in ["model_providers", "llm_providers"] {
        for node in items(at_path(root, &[key])) {
            if plain_text(node, "model").is_none() {
                reader.note(NoteKind::Refused, node.at, "the gateway refuses a provider without a model", "add `model: provider/model`");
            }
        }
    }
    each(root, providers, reader);
    plano_endpoints::check(root, providers, reader);
    sources(root, reader);
}

/// Notes a selection policy that Plano does not know.
pub(super) fn selection(label: &str, node: &Node, reader: &mut Reader<'_>) {
    let prefer = plain_text(node, "prefer");
    if !prefer.as_deref().is_some_and(|prefer| ["cheapest", "fastest", "none"].contains(&prefer)) {
        let message = format!("the gateway refuses the selection_policy of {label}");
        reader.note(NoteKind::Refused, node.at, message, "write `prefer: cheapest`, `fastest` or `none`");
    }
}

fn version(root: &Node, reader: &mut Reader<'_>) {
    let Some(entry) = field(root, "version") else {
        reader.note(NoteKind::Refused, root.at, "the gateway refuses a file without a version", "add `version: v0.4.0`");
        return;
    };
    let known = matches!(&entry.node.value, Value::Text(version) if VERSIONS.contains(&version.as_str()));
    if !known {
        let message = format!("the gateway refuses the version, {}", entry.node.describe());
        reader.note(NoteKind::Refused, entry.node.at, message, format!("write one of {}", VERSIONS.join(", ")));
    }
    if field(root, "listeners").is_none() {
        reader.note(NoteKind::Refused, root.at, "the gateway refuses a file without listeners", "add `listeners: []`");
    }
}

/// Notes the keys of an object that the gateway does not allow there.
pub(super) fn unknown_keys(node: &Node, of: &str, allowed: &[&str], reader: &mut Reader<'_>) {
    let Value::Map(entries) = &node.value else { return };
    for Entry { key, at, .. } in entries.iter().filter(|entry| !allowed.contains(&entry.key.as_str())) {
        reader.note(NoteKind::Refused, *at, format!("the gateway refuses the key {} of {of}", quoted(key)), "remove it");
    }
}

/// Notes what else the validator and the start-up refuse of listeners, agents, tracing and budgets.
fn beyond_the_schema(root: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) {
    let mut ids = HashSet::new();
    for node in ["agents", "filters"].into_iter().flat_map(|key| items(at_path(root, &[key]))) {
        let Some(id) = plain_text(node, "id") else { continue };
        if ids.contains(&id) {
            reader.note(
                NoteKind::Refused,
                node.at,
                format!("the gateway refuses two agents or filters of the id {}", quoted(&id)),
                "rename one",
            );
        }
        ids.insert(id);
    }
    for listener in items(at_path(root, &["listeners"])) {
        for filter in ["input_filters", "output_filters"].into_iter().flat_map(|key| items(at_path(listener, &[key]))) {
            if let Value::Text(id) = &filter.value
                && !ids.contains(id)
            {
                let message = format!("the gateway refuses the filter {} of a listener: no agent or filter has that id", quoted(id));
                reader.note(NoteKind::Refused, filter.at, message, "declare it under filters");
            }
        }
    }
    if let Some(entry) = field(root, "listeners").filter(|entry| matches!(entry.node.value, Value::Map(_)) && providers.is_empty()) {
        let message = "the gateway refuses listeners of the old form without any model provider";
        reader.note(NoteKind::Refused, entry.at, message, "add model_providers");
    }
    if let Some(node) = at_path(root, &["tracing", "opentracing_grpc_endpoint"])
        && let Value::Text(url) = &node.value
        && !url.contains('$')
        && !url.is_empty()
        && url.strip_prefix("http://").is_none_or(|place| place.find('/').is_some_and(|at| at + 1 < place.len()))
    {
        let message = "the gateway refuses an opentracing_grpc_endpoint that is no http:// address without a path";
        reader.note(NoteKind::Refused, node.at, message, "write http://host:port");
    }
    if let Some(storage) = at_path(root, &["state_storage"])
        && plain_text(storage, "type").as_deref() == Some("postgres")
        && field(storage, "connection_string").is_none()
    {
        let message = "the gateway refuses a state_storage of the type postgres without `connection_string`";
        reader.note(NoteKind::Refused, storage.at, message, "add `connection_string:`");
    }
    let has_prices = items(at_path(root, &["model_metrics_sources"])).iter().any(|s| plain_text(s, "type").as_deref() == Some("cost"));
    if let Some(budget) = field(root, "routing").and_then(|entry| field(&entry.node, "routing_budget")).filter(|_| !has_prices) {
        let message = "the gateway refuses to start with a routing_budget without a cost source";
        reader.note(NoteKind::Refused, budget.at, message, "add model_metrics_sources with `type: cost`");
    }
}

fn each(root: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) {
    let own = own_providers(root, providers);
    // Plano keeps whole models and ids in one set.
    let (mut names, mut models, mut known) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut has_default = false;
    for provider in providers {
        let refuse = |reader: &mut Reader<'_>, message: String, remedy: &str| reader.note(NoteKind::Refused, provider.at, message, remedy);
        let model = quoted(&provider.model);
        if provider.is_internal {
            continue;
        }
        for Entry { key, at, .. } in provider.entries.iter().filter(|entry| !PROVIDER.contains(&entry.key.as_str())) {
            let remedy = match key.as_str() {
                "usage" => "write the route as a top-level routing preference, which an export does",
                "endpoint" => "write base_url with http:// or https://",
                _ => "remove it",
            };
            reader.note(NoteKind::Refused, *at, format!("the gateway refuses the key {} of the provider {model}", quoted(key)), remedy);
        }
        let unfit: Vec<&Entry> =
            provider.entries.iter().filter(|entry| !provider_fits(&entry.key, &entry.node, &reader.unquoted)).collect();
        for Entry { key, node, .. } in unfit {
            let message = format!("the gateway refuses `{key}` of the provider {model}, found {}", reader.unquoted.found(node));
            reader.note(NoteKind::Refused, node.at, message, "correct it, or remove the key");
        }
        let name = provider.name.clone().unwrap_or_else(|| provider.model.clone());
        let is_new = provider.is_wildcard() || models.insert(provider.model.clone());
        // Of two without a name the model says enough.
        if !names.insert(name.clone()) && (provider.name.is_some() || is_new) {
            refuse(reader, format!("the gateway refuses two providers named {}", quoted(&name)), "give one of them another name");
        } else if own.contains(&name.as_str()) {
            let message = format!("the gateway refuses to start with a provider named {}: it adds one of that name itself", quoted(&name));
            refuse(reader, message, "give it another name");
        }
        let id = provider.model.split_once('/').map(|(_, id)| id.to_owned());
        if !provider.is_wildcard() {
            let is_free = known.insert(provider.model.clone()) & id.clone().is_none_or(|id| known.insert(id));
            if !is_new {
                refuse(reader, format!("the gateway refuses two providers of the model {model}"), "keep one of them");
            } else if !is_free {
                refuse(reader, format!("the gateway refuses a second provider of a model called like {model}"), "keep one of them");
            }
        }
        if id.is_none() {
            refuse(reader, format!("the gateway refuses the model {model} without a provider"), "write it as provider/model");
        }
        address_of(provider, reader);
        if provider.is_default && provider.is_wildcard() {
            refuse(reader, format!("the gateway refuses the wildcard {model} as the default"), "make one model the default");
        }
        if provider.is_default && has_default {
            refuse(reader, "the gateway refuses to start with more than one default provider".to_owned(), "keep one default");
        }
        has_default |= provider.is_default;
    }
    if !has_default && !providers.is_empty() {
        let at = providers[0].at;
        let message = "no provider is the default, so the policy has no fallback";
        reader.note(NoteKind::Changed, at, message, "requests that fit no route use the model they ask for");
    }
}

/// Returns the names of the providers that the gateway adds for models of its own, unless the file has these models.
fn own_providers(root: &Node, providers: &[Provider<'_>]) -> Vec<&'static str> {
    let adds = |key: &str| {
        let model = field(root, "overrides").and_then(|overrides| plain_text(&overrides.node, key));
        let model = model.unwrap_or_else(|| "Plano-Orchestrator".to_owned());
        let id = model.split_once('/').map_or(model.as_str(), |(_, id)| id);
        !providers.iter().any(|provider| provider.model.split_once('/').is_some_and(|(_, other)| other == id))
    };
    let lists_routes = |entry: &Entry| entry.key == "routing_preferences" && !items(Some(&entry.node)).is_empty();
    let is_old = plano::version(plain_text(root, "version").as_deref().unwrap_or_default()) < plano::TOP_LEVEL_SINCE;
    // The gateway moves those inside providers of an old file to the top level.
    let has_routes = !items(at_path(root, &["routing_preferences"])).is_empty()
        || (is_old && providers.iter().any(|provider| provider.entries.iter().any(lists_routes)));
    let router = (has_routes && adds("llm_routing_model")).then_some("plano-orchestrator");
    router.into_iter().chain(adds("agent_orchestration_model").then_some("plano/orchestrator")).collect()
}

/// Notes what is missing for the gateway to reach a provider.
fn address_of(provider: &Provider<'_>, reader: &mut Reader<'_>) {
    let text = |key: &str| provider.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node.value);
    let (base_url, interface) = (text("base_url"), text("provider_interface"));
    let model = quoted(&provider.model);
    // A wildcard needs the same address as a model of its provider.
    let lookup = if provider.is_wildcard() { provider.model.replace('*', "any") } else { provider.model.clone() };
    // Nothing before the slash is a provider like any other that Plano does not know.
    let is_nameless = lookup.split_once('/').is_some_and(|(provider, _)| provider.trim().is_empty());
    let place = address(&lookup).or(is_nameless.then_some(Address::BaseUrlAndInterface));
    let (message, remedy) = match (place, base_url, interface) {
        (Some(Address::BaseUrl), None, _) => (format!("the gateway refuses {model} without a base_url"), "add base_url"),
        (Some(Address::BaseUrlAndInterface), None, _) | (Some(Address::BaseUrlAndInterface), _, None) => {
            let message =
                format!("the gateway does not know the provider of {model}, and refuses it without base_url and provider_interface");
            (message, "add both, or use a provider it knows")
        }
        (Some(Address::Known | Address::BaseUrl), _, Some(_)) => {
            (format!("the gateway refuses provider_interface beside the model {model}, which says it already"), "remove provider_interface")
        }
        _ => match base_url {
            // Empty text is as good as none to the gateway.
            Some(Value::Text(url)) if !url.is_empty() && !is_base_url(url) => {
                let message = format!("the gateway refuses the base_url of {model}, which is no address like http://host:port");
                (message, "write http:// or https://, the host, and a number where there is a port")
            }
            _ => return,
        },
    };
    reader.note(NoteKind::Refused, provider.at, message, remedy);
}

/// Returns whether the schema allows the value of a provider's key; unknown keys are noted elsewhere.
fn provider_fits(key: &str, node: &Node, unquoted: &Unquoted) -> bool {
    let seen = unquoted.seen(node);
    match key {
        "name" | "access_key" | "base_url" | "http_host" => matches!(seen, Seen::Text(_)),
        "provider_interface" => matches!(&seen, Seen::Text(name) if is_interface(name)),
        "default" | "passthrough_auth" => matches!(seen, Seen::Truth(_)),
        "headers" => {
            let is_text = |header: &Entry| matches!(unquoted.seen(&header.node), Seen::Text(_));
            matches!(&seen, Seen::Map(headers) if headers.iter().all(is_text))
        }
        "routing_preferences" => matches!(seen, Seen::List(_)),
        _ => true,
    }
}

/// Returns what Plano refuses in the value of `model_metrics_sources`, with the places.
pub(super) fn source_problems(list: &Node) -> Vec<(Pos, String)> {
    let Value::List(sources) = &list.value else {
        return vec![(list.at, format!("the gateway refuses model_metrics_sources that are no list, found {}", list.describe()))];
    };
    let (mut problems, mut seen) = (Vec::new(), HashSet::new());
    for source in sources {
        let kind = plain_text(source, "type").unwrap_or_default();
        let (keys, needed): (&[&str], &[&str]) = match kind.as_str() {
            "cost" => (&COST, &["provider"]),
            "latency" => (&LATENCY, &["provider", "url", "query"]),
            _ => {
                problems.push((source.at, "the gateway refuses a metrics source whose type is neither cost nor latency".to_owned()));
                continue;
            }
        };
        if let Value::Map(entries) = &source.value {
            for Entry { key, at, node } in entries {
                if !keys.contains(&key.as_str()) {
                    problems.push((*at, format!("the gateway refuses the key {} of a {kind} source", quoted(key))));
                } else if !source_fits(&kind, key, &node.value) {
                    problems.push((node.at, format!("the gateway refuses `{key}` of a {kind} source, found {}", node.describe())));
                }
            }
        }
        for key in needed.iter().filter(|key| field(source, key).is_none()) {
            problems.push((source.at, format!("the gateway refuses a {kind} source without `{key}`")));
        }
        if !seen.insert(kind.clone()) {
            problems.push((source.at, format!("the gateway refuses to start with two {kind} sources")));
        }
    }
    problems
}

fn source_fits(kind: &str, key: &str, value: &Value) -> bool {
    match (key, value) {
        ("provider", Value::Text(provider)) if kind == "cost" => ["digitalocean", "models.dev"].contains(&provider.as_str()),
        ("provider", Value::Text(provider)) => provider == "prometheus",
        ("refresh_interval", Value::Number(seconds)) => seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0),
        ("model_aliases", Value::Map(aliases)) => aliases.iter().all(|alias| matches!(alias.node.value, Value::Text(_))),
        ("type" | "url" | "query", Value::Text(_)) => true,
        _ => false,
    }
}

fn sources(root: &Node, reader: &mut Reader<'_>) {
    if let Some(entry) = field(root, "model_metrics_sources") {
        for (at, message) in source_problems(&entry.node) {
            reader.note(
                NoteKind::Refused,
                at,
                message,
                "write one cost source, one latency source or both, as Plano's reference shows them",
            );
        }
    }
    let mut model_listeners = items(at_path(root, &["listeners"])).iter().filter(|l| plain_text(l, "type").as_deref() == Some("model"));
    if let Some(second) = model_listeners.nth(1) {
        reader.note(NoteKind::Refused, second.at, "the gateway refuses two model listeners", "keep one of them");
    }
}

const VERSIONS: [&str; 6] = ["v0.1", "v0.1.0", "0.1-beta", "0.2.0", "v0.3.0", "v0.4.0"];

/// The keys of a provider.
const PROVIDER: [&str; 10] = [
    "name",
    "access_key",
    "model",
    "default",
    "base_url",
    "passthrough_auth",
    "http_host",
    "provider_interface",
    "headers",
    "routing_preferences",
];

/// The keys of any metrics source.
pub(super) const SOURCE: [&str; 6] = ["type", "provider", "url", "refresh_interval", "model_aliases", "query"];

const COST: [&str; 5] = ["type", "provider", "url", "refresh_interval", "model_aliases"];

const LATENCY: [&str; 5] = ["type", "provider", "url", "refresh_interval", "query"];

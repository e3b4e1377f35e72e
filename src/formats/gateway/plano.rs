//! Plano's and archgw's configurations, from 0.3.0 to 0.4.36.

use crate::formats::error::FormatError;
use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::policy::Route;

use super::import::{NoteKind, Reader, at_path, field, items, plain_text};
use super::plano_checks as checks;
use super::plano_writer::{USUAL_COST_SOURCE, prefers};
use super::providers::{Declaration, SELECTION, SOURCES, without_credentials};
use super::yaml_1_1::{Seen, Unquoted};

/// One provider of the file.
pub(super) struct Provider<'n> {
    pub(super) at: Pos,
    pub(super) entries: &'n [Entry],
    /// As the file gives it; gateways use the model where it is missing.
    pub(super) name: Option<String>,
    /// As the file gives it.
    pub(super) model: String,
    /// `provider/model`, which is how a policy names it.
    pub(super) canonical: String,
    pub(super) is_default: bool,
    /// Written by the gateway itself into the configuration it renders.
    pub(super) is_internal: bool,
}

impl Provider<'_> {
    /// Returns whether a route's reference is this provider's name or its whole model.
    fn is_called(&self, reference: &str) -> bool {
        reference == self.name.as_deref().unwrap_or(&self.canonical) || reference == self.model
    }

    /// Returns whether a route's reference is the model without its prefix.
    fn has_id(&self, reference: &str) -> bool {
        reference == self.canonical.split_once('/').map_or("", |(_, id)| id)
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.model.rsplit('/').next().is_some_and(|last| last.trim() == "*")
    }
}

/// The first version whose gateways read routes at the top level.
pub(super) const TOP_LEVEL_SINCE: (u64, u64, u64) = (0, 4, 0);

/// What `overrides` calls a policy's budget; known to Plano 0.4.19 and later.
pub(super) const BUDGET: &str = "orchestrator_model_context_length";

/// Reads a configuration of any era.
///
/// # Errors
/// As [`super::import_gateway`].
pub(super) fn read(root: Node, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let key = ["model_providers", "llm_providers"].into_iter().find(|key| field(&root, key).is_some());
    let mut nodes: Vec<&Node> = key.map_or(Vec::new(), |key| items(at_path(&root, &[key])).iter().collect());
    if key.is_none() {
        let listeners = items(at_path(&root, &["listeners"]));
        nodes.extend(listeners.iter().flat_map(|listener| items(at_path(listener, &["model_providers"]))));
    }
    let mut providers: Vec<Provider<'_>> = nodes.into_iter().filter_map(|node| provider(node, &reader.unquoted)).collect();
    unite(&mut providers, reader);
    let version = version(plain_text(&root, "version").as_deref().unwrap_or_default());
    checks::root(&root, &providers, reader);
    for provider in providers.iter().filter(|provider| !provider.is_wildcard()) {
        let (declaration, dropped) = Declaration::read(&provider.canonical, provider.entries, &reader.unquoted);
        for what in dropped {
            let message = format!("{what} of {} may be secret and is not kept", quoted(&provider.canonical));
            let remedy = match what.as_str() {
                "access_key" => "an export names an environment variable instead",
                _ => "add it to the exported configuration by hand, or name an environment variable instead",
            };
            reader.note(NoteKind::Changed, provider.at, message, remedy);
        }
        reader.declarations.push(declaration);
    }
    reader.declared =
        Some(providers.iter().filter(|provider| !provider.is_wildcard()).map(|provider| provider.canonical.clone()).collect());
    reader.policy.fallback =
        providers.iter().find(|provider| provider.is_default && !provider.is_wildcard()).map(|provider| provider.canonical.clone());

    budget(&root, reader);

    if let Some(entry) = field(&root, "routing_preferences") {
        reader.routes_at(entry.at);
        for (index, node) in items(Some(&entry.node)).iter().enumerate() {
            preference(index + 1, node, &providers, reader)?;
        }
        if version < TOP_LEVEL_SINCE && !reader.policy.routes.is_empty() {
            let message =
                "Plano 0.4.15 to 0.4.21 refuses top-level routing_preferences in a file of this version; 0.4.22 and later read them";
            reader.note(NoteKind::Changed, entry.at, message, "set `version: v0.4.0`");
        }
    }
    let top_level: Vec<String> = reader.policy.routes.iter().map(|route| route.name.clone()).collect();
    reader.grouped_by_model = top_level.is_empty();
    for provider in &providers {
        inline(provider, version, &top_level, reader)?;
        usage(provider, reader)?;
    }
    sources(&root, reader);
    if providers.iter().any(|provider| provider.is_internal) {
        let message = "this file was rendered by the gateway, which does not read it back";
        reader.note(NoteKind::Refused, root.at, message, "keep the configuration it was rendered from, or export the policy as a new one");
    }
    Ok(())
}

/// Takes the length to which Plano cuts conversations; what is no number is left to the checks.
fn budget(root: &Node, reader: &mut Reader<'_>) {
    let Some(entry) = field(root, "overrides").and_then(|overrides| field(&overrides.node, BUDGET)) else { return };
    let Seen::Number(number) = reader.unquoted.seen(&entry.node) else { return };
    let Some(tokens) = whole_tokens(number) else {
        let message = format!("overrides.{BUDGET} is {number}, which is no number of tokens, so the policy has no `budget`");
        reader.note(NoteKind::Changed, entry.at, message, "write a whole number that is not negative");
        return;
    };
    reader.policy.budget = Some(tokens);
    let message = format!("overrides.{BUDGET} is the `budget` of the policy: {tokens} estimated tokens for a prompt");
    let remedy = "its dialect is plano-0.4.20 unless a comment of Waypost names another, since only Plano 0.4.19 and later know the key";
    reader.note(NoteKind::Changed, entry.at, message, remedy);
}

/// Returns a number as a count of tokens; `None` where it is none.
pub(super) fn whole_tokens(number: f64) -> Option<usize> {
    ((0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0).then_some(number as usize)
}

/// Reads one provider; what is no object with a model is left to the checks.
fn provider<'n>(node: &'n Node, unquoted: &Unquoted) -> Option<Provider<'n>> {
    let Value::Map(entries) = &node.value else { return None };
    let (model, name) = (plain_text(node, "model")?, plain_text(node, "name"));
    let interface = plain_text(node, "provider_interface");
    let flag = |key: &str| field(node, key).is_some_and(|entry| unquoted.is_true(&entry.node));
    let canonical = match &interface {
        // Rendered: the prefix went into the interface, and the whole into the name.
        Some(_) if name.as_deref().and_then(|name| name.split_once('/')).is_some_and(|(_, id)| id == model) => name.clone()?,
        // Before 0.3.4 the interface was a key of its own.
        Some(interface) if !model.contains('/') || interface == "arch" => {
            // The name of Anthropic's interface before 0.3.4.
            let interface = if interface == "claude" { "anthropic" } else { interface };
            format!("{interface}/{model}")
        }
        _ => model.clone(),
    };
    let (is_default, is_internal) = (flag("default"), flag("internal"));
    Some(Provider { at: node.at, entries, name, model, canonical, is_default, is_internal })
}

/// Takes providers of one model with one key for the same, although they name different interfaces: Plano refuses to tell them apart.
fn unite(providers: &mut [Provider<'_>], reader: &mut Reader<'_>) {
    let key = |provider: &Provider<'_>| {
        provider
            .entries
            .iter()
            .find(|entry| entry.key == "access_key")
            .map(|entry| entry.node.to_json())
            .filter(|_| !provider.model.contains('/'))
    };
    for index in 1..providers.len() {
        let (before, rest) = providers.split_at_mut(index);
        let Some(provider) = rest.first_mut() else { continue };
        let same = |other: &&Provider<'_>| other.model == provider.model && key(other).is_some() && key(other) == key(provider);
        let Some(first) = before.iter().find(same).filter(|first| first.canonical != provider.canonical) else { continue };
        let message = format!("{} is taken for {}, which has the same key", quoted(&provider.canonical), quoted(&first.canonical));
        reader.note(NoteKind::Changed, provider.at, message, "change the policy's models if they differ");
        provider.canonical.clone_from(&first.canonical);
    }
}

/// Reads an entry of the top-level list.
fn preference(number: usize, node: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let Some(name) = field(node, "name") else {
        return Err(reader.origin.error(node.at, format!("routing preference {number} has no `name`"), "add the name of the route"));
    };
    let name = reader.text(&name.node, &format!("the name of routing preference {number}"))?;
    let label = format!("routing preference {}", quoted(&name));
    let mut route = Route::new(name, "");
    let mut missing: Vec<&str> = ["description", "models"].into_iter().filter(|key| field(node, key).is_none()).collect();
    let Value::Map(entries) = &node.value else { return Ok(()) };
    for Entry { key, at, node } in entries {
        match key.as_str() {
            "name" => {}
            "description" => route.description = reader.text(node, &format!("the description of {label}"))?,
            "models" => {
                let listed = match &node.value {
                    Value::Text(_) => {
                        let message = format!("the gateway refuses the models of {label}, which are no list");
                        reader.note(NoteKind::Refused, node.at, message, "write one model a line, each after a dash");
                        std::slice::from_ref(node)
                    }
                    _ => items(Some(node)),
                };
                if listed.is_empty() {
                    missing.push("models");
                }
                for model in listed {
                    let reference = reader.text(model, &format!("a model of {label}"))?;
                    let resolved = resolve(&reference, model.at, &label, providers, reader);
                    route.models.push(resolved);
                }
            }
            SELECTION => {
                checks::selection(&label, node, reader);
                checks::unknown_keys(node, &format!("the {SELECTION} of {label}"), &["prefer"], reader);
                route.extra.push((SELECTION.to_owned(), node.to_json()));
            }
            _ => {
                let message = format!("the gateway refuses the key {} of {label}, and the policy does not keep it", quoted(key));
                reader.note(NoteKind::Refused, *at, message, "remove it");
            }
        }
    }
    for key in missing {
        reader.note(NoteKind::Refused, node.at, format!("{label} has no {key}, which the gateway refuses"), format!("add `{key}:`"));
    }
    reader.add_route(route, node)
}

/// Returns the model that a route's reference stands for.
fn resolve(reference: &str, at: Pos, label: &str, providers: &[Provider<'_>], reader: &mut Reader<'_>) -> String {
    // An id may look like another provider's whole model, as in openrouter/openai/gpt-4o.
    let whole = providers.iter().find(|provider| provider.is_called(reference));
    if let Some(provider) = whole.or_else(|| providers.iter().find(|provider| provider.has_id(reference))) {
        let by_model =
            provider.name.as_deref().is_some_and(|name| name != reference) && reference == provider.model && reference.contains('/');
        if by_model && provider.name.as_deref() != Some(&provider.canonical) {
            let name = provider.name.as_deref().unwrap_or_default();
            let message = format!("{label} names the model {}, which the gateway knows only as {}", quoted(reference), quoted(name));
            reader.note(NoteKind::Refused, at, message, "remove the provider's `name`, or use it here");
        } else if reference != provider.canonical {
            let message = format!("{label} calls a model {}; the policy says {}", quoted(reference), quoted(&provider.canonical));
            reader.note(NoteKind::Changed, at, message, "an export writes what the gateway understands");
        }
        return provider.canonical.clone();
    }
    let message = format!("{label} names the model {}, which no provider declares: the gateway refuses to start", quoted(reference));
    reader.note(NoteKind::Refused, at, message, "declare it under model_providers; a wildcard is not enough");
    reference.to_owned()
}

/// Reads the preferences inside a provider: the form of 0.3.4 to 0.4.14.
fn inline(provider: &Provider<'_>, version: (u64, u64, u64), top_level: &[String], reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let Some(entry) = provider.entries.iter().find(|entry| entry.key == "routing_preferences") else { return Ok(()) };
    let preferences = items(Some(&entry.node));
    if preferences.is_empty() {
        return Ok(());
    }
    let model = quoted(&provider.model);
    if reader.lines.whole.is_empty() {
        reader.routes_at(entry.at);
    }
    if version >= TOP_LEVEL_SINCE {
        let message = format!("routing_preferences inside the provider {model} route nothing: a v0.4.0 file has them at the top level");
        reader.note(NoteKind::Ignored, entry.at, message, "export the policy into this file, which moves them");
    } else {
        let message = format!("routing_preferences inside the provider {model} are ignored by Plano 0.4.15 to 0.4.21");
        reader.note(NoteKind::Changed, entry.at, message, "0.4.14 and earlier read them, 0.4.22 and later move them to the top level");
    }
    if provider.is_wildcard() && version < TOP_LEVEL_SINCE {
        reader.note(NoteKind::Refused, entry.at, format!("the gateway refuses routes to the wildcard {model}"), "name one model");
    }
    let mut is_lifted = false;
    for node in preferences {
        let named = field(node, "name").map(|entry| &entry.node);
        let is_empty = |named: &Node| matches!(&named.value, Value::Text(name) if name.is_empty());
        let Some(named) = named.filter(|&named| !matches!(named.value, Value::Null) && !is_empty(named)) else {
            if named.is_some_and(|named| !is_empty(named)) || !matches!(node.value, Value::Map(_)) {
                let message =
                    format!("the gateway refuses a routing preference whose name is no text, found {}", named.unwrap_or(node).describe());
                reader.note(NoteKind::Refused, node.at, message, "give it a name in double quotes");
            } else {
                reader.note(NoteKind::Ignored, node.at, "the gateway drops a routing preference without a name", "give it a name");
            }
            reader.dropped = reader.dropped.or(Some(node.at));
            continue;
        };
        let name = reader.text(named, "the name of a routing preference")?;
        is_lifted |= !top_level.contains(&name);
        let description = match field(node, "description") {
            Some(entry) => reader.text(&entry.node, &format!("the description of routing preference {}", quoted(&name)))?,
            None => String::new(),
        };
        lift(name, description, provider, node, top_level, reader)?;
    }
    let custom = provider.name.as_deref().filter(|name| *name != provider.canonical);
    if let Some(name) = custom.filter(|_| is_lifted && version < TOP_LEVEL_SINCE) {
        let message = format!("the provider {model} is named {}, so Plano 0.4.22 and later do not find its routes' model", quoted(name));
        reader.note(NoteKind::Refused, entry.at, message, "remove the provider's `name`");
    }
    Ok(())
}

/// Adds an inline preference as Plano's own migration does: equal names are one route, the first description wins.
fn lift(
    name: String,
    description: String,
    provider: &Provider<'_>,
    node: &Node,
    top_level: &[String],
    reader: &mut Reader<'_>,
) -> Result<(), FormatError> {
    let model = (!provider.is_wildcard()).then(|| provider.canonical.clone());
    if top_level.contains(&name) {
        let message = format!("the top-level route {} wins over this one", quoted(&name));
        reader.note(NoteKind::Ignored, node.at, message, "remove one of them");
        return Ok(());
    }
    let Some(route) = reader.policy.routes.iter_mut().find(|route| route.name == name) else {
        return reader.add_route(Route { models: model.into_iter().collect(), ..Route::new(name, description) }, node);
    };
    route.models.extend(model.filter(|model| !route.models.contains(model)));
    if !description.is_empty() && description != route.description {
        let message = format!("route {} has another description above, which wins", quoted(&name));
        reader.note(NoteKind::Ignored, node.at, message, "give both the same description");
    }
    Ok(())
}

/// Reads the form of 0.3.0 to 0.3.3, in which a provider is a route and its `usage` the description.
fn usage(provider: &Provider<'_>, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let Some(entry) = provider.entries.iter().find(|entry| entry.key == "usage") else { return Ok(()) };
    let description = reader.text(&entry.node, "`usage`")?;
    if description.trim().is_empty() {
        return Ok(());
    }
    if reader.lines.whole.is_empty() {
        reader.routes_at(entry.at);
    }
    let name = provider.name.clone().unwrap_or_else(|| provider.model.clone());
    let node = Node { at: provider.at, value: Value::Null };
    reader.add_route(Route { models: vec![provider.canonical.clone()], ..Route::new(name, description) }, &node)
}

/// Keeps where costs and latencies come from, where a route needs them.
fn sources(root: &Node, reader: &mut Reader<'_>) {
    let (cheapest, fastest) = (prefers(&reader.policy, "cheapest"), prefers(&reader.policy, "fastest"));
    let listed = items(at_path(root, &[SOURCES]));
    let has = |kind: &str| listed.iter().any(|source| plain_text(source, "type").as_deref() == Some(kind));
    for (is_wanted, prefer, kind) in [(cheapest, "cheapest", "cost"), (fastest, "fastest", "latency")] {
        if is_wanted && !has(kind) {
            let at = reader.lines.whole.first().map_or(root.at, |(_, line)| Pos { line: *line, column: 1 });
            let message = format!("a route prefers the {prefer} model without a {kind} source: the gateway refuses to start");
            reader.note(NoteKind::Refused, at, message, format!("add model_metrics_sources with `type: {kind}`"));
        }
    }
    let kept: Vec<String> = listed
        .iter()
        .filter(|source| match plain_text(source, "type").as_deref() {
            Some("cost") => cheapest,
            Some("latency") => fastest,
            _ => false,
        })
        .map(|source| without_secrets(source, reader).to_json())
        .collect();
    let usual = [USUAL_COST_SOURCE.to_owned()];
    if !kept.is_empty() && kept != usual {
        reader.policy.extra.push((SOURCES.to_owned(), format!("[{}]", kept.join(","))));
    }
}

/// Returns a metrics source without what may be secret: keys that the gateway does not know, and all of a URL but the place.
fn without_secrets(source: &Node, reader: &mut Reader<'_>) -> Node {
    let mut source = source.clone();
    let Value::Map(entries) = &mut source.value else { return source };
    let mut dropped: Vec<(Pos, String)> = Vec::new();
    entries.retain_mut(|Entry { key, at, node }| {
        if let Value::Text(url) = &mut node.value
            && key == "url"
        {
            let clean = without_credentials(url);
            if clean != *url {
                dropped.push((*at, "what the url of a metrics source says besides the place".to_owned()));
                *url = clean;
            }
        }
        let is_known = checks::SOURCE.contains(&key.as_str());
        if !is_known {
            dropped.push((*at, format!("the key {} of a metrics source", quoted(key))));
        }
        is_known
    });
    for (at, what) in dropped {
        let message = format!("{what} may be secret and is not kept");
        reader.note(NoteKind::Changed, at, message, "add it to the exported configuration by hand");
    }
    source
}

/// Returns the three numbers of a version such as `v0.3.0` or `0.1-beta`.
pub(super) fn version(text: &str) -> (u64, u64, u64) {
    let plain = text.trim().trim_start_matches(['v', 'V']);
    let mut numbers = plain.split('-').next().unwrap_or_default().split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

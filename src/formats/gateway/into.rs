//! Writing routes into an existing Plano configuration, so that every byte that is not about them stays.

use crate::dialect::default_budget;
use crate::formats::error::{FormatError, Origin};
use crate::formats::policy::document;
use crate::formats::policy_writer::push_quoted;
use crate::formats::source::without_bom;
use crate::formats::tree::{Node, Value, quoted};
use crate::policy::{DialectId, Policy};

use super::edit::{Edits, after_colon, line_end, line_start, next_line};
use super::export::ExportError;
use super::import::{NoteKind, import_gateway};
use super::meta::MARK;
use super::plano::{BUDGET, TOP_LEVEL_SINCE, version, whole_tokens};
use super::plano_writer::{keys, preferences, prefers, provider};
use super::providers::{Declaration, SOURCES, declaration, incomplete, models};
use super::spans::{Kind, Span, spans};
use super::yaml_1_1::{Taken, meant};

/// Keys that only configurations before 0.3.4, or rendered ones, have in a provider.
const TOO_OLD: [&str; 3] = ["usage", "endpoint", "internal"];

/// Returns the configuration with the policy's routes and their models, and nothing else changed.
///
/// # Errors
/// The text cannot be read, is no Plano configuration in block style, or could not be edited without changing something else.
pub(super) fn write_into(
    policy: &Policy,
    kept: &[Declaration],
    comments: &str,
    text: &str,
    path: &str,
    notes: &mut Vec<String>,
) -> Result<String, ExportError> {
    let refuse = |reason: String| ExportError::Refused(vec![format!("{path}: {reason}")]);
    let body = without_bom(text);
    let before = document(body, path, &Origin::new(path))?;
    let Some(root) = spans(body).filter(|root| matches!(root.kind, Kind::Map { flow: false, .. })) else {
        return Err(refuse("the configuration is not an object in block style; export a new one".to_owned()));
    };
    let listed = ["model_providers", "llm_providers"].into_iter().find_map(|key| root.entry(key));
    let providers = listed.map_or(&[][..], |(_, list)| list.items());
    if listed.is_none() && body.contains("model_providers:") {
        return Err(refuse("the providers stand inside a listener, which the gateway refuses; export a new configuration".to_owned()));
    }
    let old = |provider: &Span| TOO_OLD.iter().any(|key| provider.entry(key).is_some()) || !value(provider, "model").contains('/');
    if providers.iter().any(old) {
        return Err(refuse("the providers are of a form that the current gateway refuses; export a new configuration".to_owned()));
    }
    sources(policy, &root).map_err(refuse)?;

    let mut edits = Edits::default();
    let Some((_, number)) = root.entry("version") else { return Err(refuse("the configuration has no version; add one".to_owned())) };
    if version(number.text().unwrap_or_default()) < TOP_LEVEL_SINCE {
        edits.replace(number.start..number.end, "v0.4.0");
        notes.push("the version became v0.4.0, which routes at the top level need (Plano 0.4.15 and later)".to_owned());
    }
    remove_inline(body, providers, &mut edits, notes);
    let missing = missing(policy, kept, providers).map_err(refuse)?;
    let default = default_for(policy, providers, &missing, notes);
    let end = document_end(body, &root);
    add_providers(body, listed, &missing, default, end, &mut edits);
    let block = comments.to_owned() + &preferences(policy, |model| reference(model, providers));
    place_block(body, &root, block, end, &mut edits);

    let overlap =
        || refuse("the configuration cannot be edited in place (two changes are about the same part); export a new one".to_owned());
    let edited = edits.with_line_breaks_of(body).apply(body, 0..body.len()).ok_or_else(overlap)?;
    check(policy, &before, &edited, path, missing.len()).map_err(refuse)?;
    Ok(text[..text.len() - body.len()].to_owned() + &edited)
}

/// Returns the estimated tokens at which Plano 0.4.19 and later cut conversations with a configuration, as its own reader takes them;
/// `None` where the text cannot be read, or says what is no such number.
pub fn configured_budget(text: &str, path: &str) -> Option<usize> {
    let body = without_bom(text);
    document(body, path, &Origin::new(path)).ok()?;
    let root = spans(body)?;
    let Some((_, overrides)) = root.entry("overrides") else { return default_budget(DialectId::Plano0420) };
    let Kind::Map { .. } = overrides.kind else { return None };
    let Some((_, value)) = overrides.entry(BUDGET) else { return default_budget(DialectId::Plano0420) };
    match meant(value)? {
        Taken::Number(number) | Taken::Sixty(number) => whole_tokens(number),
        _ => None,
    }
}

/// Returns a note where the configuration, in which that stays as it is, cuts conversations at another length than the policy says, or where
/// that cannot be told; `configured` is as in [`configured_budget`].
pub(super) fn budget_gap(policy: &Policy, configured: Option<usize>) -> Option<String> {
    let own = policy.budget.or_else(|| default_budget(DialectId::Plano0420))?;
    let Some(set) = configured else {
        return Some(format!(
            "what the configuration says as overrides.{BUDGET} is not known to be a number of tokens, so Plano 0.4.19 and later may cut \
             conversations elsewhere than the policy says; write a whole number there"
        ));
    };
    (set != own).then(|| {
        format!(
            "with this configuration Plano 0.4.19 and later cut conversations at {set} estimated tokens (overrides.{BUDGET}), not at the \
             policy's {own} (`budget`), so results with the policy do not hold there; give both the same number"
        )
    })
}

/// Returns what the configuration calls a model: the provider's own name where it has one.
fn reference(model: &str, providers: &[Span]) -> String {
    let found = providers.iter().find(|provider| value(provider, "model") == model);
    found.map(|provider| value(provider, "name")).filter(|name| !name.is_empty()).unwrap_or(model).to_owned()
}

fn value<'s>(provider: &'s Span, key: &str) -> &'s str {
    provider.entry(key).and_then(|(_, value)| value.text()).unwrap_or_default()
}

/// Routes that let Plano reorder their models need a source that this function would have to invent.
fn sources(policy: &Policy, root: &Span) -> Result<(), String> {
    let listed = root.entry(SOURCES).map_or(&[][..], |(_, list)| list.items());
    for (prefer, kind) in [("cheapest", "cost"), ("fastest", "latency")] {
        if prefers(policy, prefer) && !listed.iter().any(|source| value(source, "type") == kind) {
            return Err(format!("a route prefers the {prefer} model, so add `{SOURCES}` with `type: {kind}` to the configuration first"));
        }
    }
    Ok(())
}

/// Removes routes inside providers: the block at the top level takes their place.
fn remove_inline(text: &str, providers: &[Span], edits: &mut Edits, notes: &mut Vec<String>) {
    for provider in providers {
        let Kind::Map { entries, .. } = &provider.kind else { continue };
        let Some(position) = entries.iter().position(|(key, _)| key.text() == Some("routing_preferences")) else { continue };
        let (key, list) = &entries[position];
        let end = list.end.max(after_colon(text, key.end));
        let start = line_start(text, key.start);
        let own_lines = text[start..key.start].trim().is_empty();
        match (own_lines, entries.get(position + 1), position.checked_sub(1).map(|before| &entries[before])) {
            (true, ..) => edits.replace(start..next_line(text, end), ""),
            (false, Some((next, _)), _) => edits.replace(key.start..next.start, ""),
            (false, None, Some((_, before))) => edits.replace(before.end..end, ""),
            // A provider always has a model beside its routes.
            (false, None, None) => continue,
        }
        notes.push(format!("the routes inside the provider {} moved to the top level", quoted(value(provider, "model"))));
    }
}

/// Returns the declarations that the configuration lacks.
fn missing(policy: &Policy, kept: &[Declaration], providers: &[Span]) -> Result<Vec<Declaration>, String> {
    // Plano keeps whole models and ids in one set.
    let calls = |model: &str| [model.to_owned(), model.split_once('/').map_or(model, |(_, id)| id).to_owned()];
    let mut missing = Vec::new();
    for model in models(policy) {
        if providers.iter().any(|provider| value(provider, "model") == model) {
            continue;
        }
        let own = calls(&model);
        if let Some(other) = providers.iter().find(|provider| calls(value(provider, "model")).iter().any(|call| own.contains(call))) {
            return Err(format!("Plano does not tell {} and {} apart", quoted(&model), quoted(value(other, "model"))));
        }
        let declaration = declaration(kept, &model);
        if let Some(problem) = incomplete(&declaration) {
            return Err(format!("{problem}; declare it in the configuration, or in `providers` of the policy"));
        }
        missing.push(declaration);
    }
    Ok(missing)
}

/// Returns the missing model that becomes the default, and says where the policy's fallback cannot.
fn default_for<'m>(policy: &'m Policy, providers: &[Span], missing: &[Declaration], notes: &mut Vec<String>) -> Option<&'m str> {
    let fallback = policy.fallback.as_deref()?;
    let current = providers.iter().find(|provider| is_default(provider));
    match current.map(|provider| value(provider, "model")) {
        Some(model) if model == fallback => None,
        Some(model) => {
            notes.push(format!("the default provider stays {}; the policy's fallback is {}", quoted(model), quoted(fallback)));
            None
        }
        None if missing.iter().any(|declaration| declaration.model == fallback) => Some(fallback),
        None => {
            notes.push(format!("no provider is the default; add `default: true` to {}", quoted(fallback)));
            None
        }
    }
}

/// Returns whether the gateway takes a provider for the default; its reader of YAML knows more words for true than Waypost's.
fn is_default(provider: &Span) -> bool {
    provider.entry("default").and_then(|(_, value)| meant(value)) == Some(Taken::Truth(true))
}

/// Returns where something can be added to the document: its end, which three dots may mark, or that of the text.
fn document_end(text: &str, root: &Span) -> usize {
    let mut at = next_line(text, root.end);
    while at < text.len() && !text[at..].starts_with("...") {
        at = next_line(text, at);
    }
    at
}

/// Returns the spaces before the dash of an item, which may stand on a line of its own above it.
fn indent_of<'t>(text: &'t str, item: &Span) -> &'t str {
    let mut at = line_start(text, item.start);
    while at > 0 && !text[at..].trim_start_matches(' ').starts_with('-') {
        at = line_start(text, at - 1);
    }
    let line = &text[at..];
    &line[..line.len() - line.trim_start_matches(' ').len()]
}

fn add_providers(text: &str, list: Option<(&Span, &Span)>, missing: &[Declaration], default: Option<&str>, end: usize, edits: &mut Edits) {
    if missing.is_empty() {
        return;
    }
    let is_default = |declaration: &Declaration| default == Some(declaration.model.as_str());
    if let Some((_, Span { kind: Kind::List { items, flow: true }, end, .. })) = list {
        let mut out = String::new();
        for (index, declaration) in missing.iter().enumerate() {
            out.push_str(if index > 0 || !items.is_empty() { ", {model: " } else { "{model: " });
            push_quoted(&mut out, &declaration.model);
            // JSON is YAML in brackets, but for the space that older readers want after a colon.
            keys(declaration, is_default(declaration)).iter().for_each(|(key, json)| out.push_str(&format!(", {key}: {json}")));
            out.push('}');
        }
        edits.replace(end - 1..end - 1, out);
        return;
    }
    let last = list.and_then(|(_, list)| list.items().last());
    let indent = last.map_or("  ", |item| indent_of(text, item));
    let mut out = String::new();
    missing.iter().for_each(|declaration| provider(&mut out, indent, declaration, is_default(declaration), &[]));
    let (at, out) = match (list, last) {
        (_, Some(item)) => (next_line(text, item.end), out),
        (Some((key, _)), None) => (next_line(text, key.end), out),
        (None, None) => (end, format!("model_providers:\n{out}")),
    };
    let missing_break = at == text.len() && !text.ends_with('\n') && !text.is_empty();
    edits.replace(at..at, if missing_break { format!("\n{out}") } else { out });
}

/// Puts the block of routes in the place of the old one and its comments, or at the end.
fn place_block(text: &str, root: &Span, block: String, end: usize, edits: &mut Edits) {
    let old = root.entry("routing_preferences");
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let place = at..at + line.len();
        at = place.end;
        // They tell of other routes, and those of a whole export stand at its start. A line of an old block goes with it.
        let goes_anyway = old.is_some_and(|(key, list)| (key.start..list.end).contains(&place.start));
        if line.starts_with(MARK.trim_end()) && !goes_anyway && !edits.covers(place.start) {
            edits.replace(place, "");
        }
    }
    let Some((key, list)) = old else {
        let start = if text[..end].ends_with('\n') || end == 0 { "\n" } else { "\n\n" };
        edits.replace(end..end, format!("{start}{block}"));
        return;
    };
    // A comment behind the last value is about that.
    let block_end = line_end(text, list.end.max(after_colon(text, key.end)));
    edits.replace(line_start(text, key.start)..block_end, block.trim_end());
}

/// Makes sure that the result says what it should: the policy's routes, and of everything else what it said before.
fn check(policy: &Policy, before: &Node, edited: &str, path: &str, added: usize) -> Result<(), String> {
    let broken = |error: FormatError| format!("the configuration cannot be edited in place ({error}); export a new one");
    let imported = import_gateway(edited, path).map_err(broken)?;
    let after = document(edited, path, &Origin::new(path)).map_err(broken)?;
    let told = |policy: &Policy| -> Vec<_> {
        policy.routes.iter().map(|route| (route.name.clone(), route.description.clone(), route.models.clone())).collect()
    };
    // First, since what is refused may be the very reason why the rest reads otherwise: two providers of one name, for example.
    if let Some(note) = imported.notes.iter().find(|note| note.kind == NoteKind::Refused) {
        return Err(format!("{}; {}", note.warning.message, note.warning.remedy));
    }
    if told(&imported.policy) != told(policy) || rest(before, 0) != rest(&after, added) {
        return Err("the configuration cannot be edited in place without changing more (anchors, perhaps); export a new one".to_owned());
    }
    Ok(())
}

/// Returns everything of a configuration that an export must not touch, as JSON.
fn rest(root: &Node, added: usize) -> Vec<(String, String)> {
    let Value::Map(entries) = &root.value else { return Vec::new() };
    let mut rest = Vec::new();
    for entry in entries {
        match (entry.key.as_str(), &entry.node.value) {
            ("version" | "routing_preferences", _) => {}
            ("model_providers" | "llm_providers", Value::List(items)) => {
                for item in &items[..items.len().saturating_sub(added)] {
                    let Value::Map(entries) = &item.value else { continue };
                    let kept = entries.iter().filter(|entry| entry.key != "routing_preferences");
                    rest.extend(kept.map(|entry| (entry.key.clone(), entry.node.to_json())));
                }
            }
            ("model_providers" | "llm_providers", _) => {}
            (key, _) => rest.push((key.to_owned(), entry.node.to_json())),
        }
    }
    rest
}

//! Small JSON shapes: chat-ui's route file and the routing API's request.

use serde_json::{Value as Json, json};

use crate::formats::error::FormatError;
use crate::formats::tree::{Node, Value, quoted};
use crate::policy::{Policy, Route};

use super::import::{NoteKind, Reader, field, items};
use super::providers::{Declaration, SELECTION, models};

/// Where chat-ui finds its models unless `OPENAI_BASE_URL` says otherwise.
const HUGGING_FACE: &str = "https://router.huggingface.co/v1";

/// Reads chat-ui's list of `{name, description, primary_model, fallback_models}`.
///
/// # Errors
/// An entry without a name, a description or a model.
pub(super) fn read_chat_ui(root: Node, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    reader.routes_at(root.at);
    for (index, node) in items(Some(&root)).iter().enumerate() {
        let mut route = named(index, node, reader)?;
        let Some(primary) = field(node, "primary_model") else {
            let message = format!("route {} has no `primary_model`", quoted(&route.name));
            return Err(reader.origin.error(node.at, message, "name the model that serves it"));
        };
        for model in std::iter::once(&primary.node).chain(items(field(node, "fallback_models").map(|entry| &entry.node))) {
            // Plano takes what stands before the first slash for itself, and these ids have slashes of their own.
            let id = reader.text(model, &format!("a model of route {}", quoted(&route.name)))?;
            route.models.push(format!("huggingface/{id}"));
        }
        reader.add_route(route, node)?;
    }
    reader.declarations = models(&reader.policy)
        .into_iter()
        .map(|model| Declaration {
            model,
            access_key: Some("$OPENAI_API_KEY".to_owned()),
            base_url: Some(HUGGING_FACE.to_owned()),
            provider_interface: Some("openai".to_owned()),
            ..Declaration::default()
        })
        .collect();
    let message = "chat-ui has ignored the descriptions since June 2026: it chooses by rules of its own and reads this file for the models";
    reader.note(NoteKind::Ignored, root.at, message, "measure with the gateway that will read the policy");
    let message = format!("the models are called huggingface/… and taken to be served by {HUGGING_FACE}, chat-ui's usual address");
    reader.note(NoteKind::Changed, root.at, message, "change `providers` in the policy if OPENAI_BASE_URL says otherwise");
    let message = "chat-ui's file names no model for requests that fit no route";
    reader.note(NoteKind::Changed, root.at, message, "set `fallback` in the policy (LLM_ROUTER_FALLBACK_MODEL in chat-ui)");
    Ok(())
}

/// Reads `routing_preferences` of a request, or the list alone.
///
/// # Errors
/// An entry without a name or a description.
pub(super) fn read_routing_api(root: Node, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let list = match &root.value {
        Value::List(_) => &root,
        _ => field(&root, "routing_preferences").map_or(&root, |entry| &entry.node),
    };
    reader.routes_at(list.at);
    reader.twice = "the gateway takes the last one alone";
    for (index, node) in items(Some(list)).iter().enumerate() {
        let mut route = named(index, node, reader)?;
        for model in items(field(node, "models").map(|entry| &entry.node)) {
            let model = reader.text(model, &format!("a model of route {}", quoted(&route.name)))?;
            route.models.push(model);
        }
        if let Some(entry) = field(node, SELECTION) {
            super::plano_checks::selection(&format!("route {}", quoted(&route.name)), &entry.node, reader);
            route.extra.push((SELECTION.to_owned(), entry.node.to_json()));
        }
        if route.models.is_empty() {
            let message = format!("route {} has no models, so the gateway ignores the whole list", quoted(&route.name));
            reader.note(NoteKind::Ignored, node.at, message, "add `models`");
        }
        reader.add_route(route, node)?;
    }
    reader.policy.fallback = super::import::plain_text(&root, "model").filter(|model| !model.is_empty());
    Ok(())
}

/// Returns the body of a request to `/routing/v1/chat/completions`, without messages: whoever sends it adds them.
pub(super) fn write_routing_api(policy: &Policy) -> String {
    let preferences: Vec<Json> = policy.routes.iter().map(|route| routing_preference(route, &route.models)).collect();
    let mut body = json!({});
    if let Some(model) = &policy.fallback {
        body["model"] = model.as_str().into();
    }
    body["messages"] = json!([]);
    body["routing_preferences"] = preferences.into();
    format!("{body:#}\n")
}

/// Returns a note about what the policy says and the body of a request has no place for.
pub(super) fn left_out(policy: &Policy) -> Option<String> {
    let mut left_out: Vec<String> = Vec::new();
    let own = [("name", policy.name.is_some()), ("dialect", policy.dialect.is_some()), ("budget", policy.budget.is_some())];
    let of_routes = [
        ("domain", policy.routes.iter().any(|route| route.domain.is_some())),
        ("action", policy.routes.iter().any(|route| route.action.is_some())),
    ];
    left_out.extend(own.into_iter().chain(of_routes).filter(|(_, is_there)| *is_there).map(|(key, _)| key.to_owned()));
    let unwritten = policy.routes.iter().flat_map(|route| &route.extra).filter(|(key, _)| key != SELECTION);
    for (key, _) in policy.extra.iter().chain(unwritten) {
        if !left_out.contains(key) {
            left_out.push(key.clone());
        }
    }
    (!left_out.is_empty())
        .then(|| format!("a request has no place for what else the policy says ({}), so keep the policy's own file", left_out.join(", ")))
}

/// Returns what a request to Plano's `/routing` API says of a route that leads to these models.
pub fn routing_preference(route: &Route, models: &[String]) -> Json {
    let mut preference = json!({"name": route.name, "description": route.description, "models": models});
    let selection = route.extra.iter().find(|(key, _)| key == SELECTION);
    if let Some(selection) = selection.and_then(|(_, value)| serde_json::from_str::<Json>(value).ok()) {
        preference[SELECTION] = selection;
    }
    preference
}

/// Reads name and description, which all shapes need.
pub(super) fn named(index: usize, node: &Node, reader: &mut Reader<'_>) -> Result<Route, FormatError> {
    let number = index + 1;
    let mut route = Route::default();
    for (key, place) in [("name", &mut route.name), ("description", &mut route.description)] {
        let Some(entry) = field(node, key) else {
            return Err(reader.origin.error(node.at, format!("route {number} has no `{key}`"), format!("add `{key}`")));
        };
        *place = reader.text(&entry.node, &format!("the {key} of route {number}"))?;
    }
    Ok(route)
}

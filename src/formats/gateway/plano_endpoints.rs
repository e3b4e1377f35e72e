//! What Plano's validator refuses of endpoints, of what names one, and of the other names for models.
//!
//! Source: cli/planoai/config_generator.py of Plano 0.4.36.

use std::collections::HashSet;

use crate::formats::tree::{Entry, Node, Value, quoted};
use crate::policy::provider::{is_port, place};

use super::import::{NoteKind, Reader, at_path, field, items, plain_text};
use super::plano::Provider;

/// Notes what the schema does not say.
pub(super) fn check(root: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) {
    for key in ["model_aliases", "endpoints"] {
        for entry in entries(root, key) {
            if let Some(taken) = reader.unquoted.of_key(entry) {
                let message = format!("the gateway's YAML reader takes the key {} of `{key}` for {}", quoted(&entry.key), taken.as_str());
                reader.note(NoteKind::Refused, entry.at, message + " and refuses it", "put it in double quotes");
            }
        }
    }
    aliases(root, providers, reader);
    endpoints(root, reader);
}

fn entries<'n>(root: &'n Node, key: &str) -> &'n [Entry] {
    match at_path(root, &[key]).map(|node| &node.value) {
        Some(Value::Map(entries)) => entries,
        _ => &[],
    }
}

fn aliases(root: &Node, providers: &[Provider<'_>], reader: &mut Reader<'_>) {
    for Entry { key, at, node } in entries(root, "model_aliases") {
        let Some(target) = plain_text(node, "target") else { continue };
        let known = providers.iter().any(|p| p.model == target || p.model.split_once('/').is_some_and(|(_, id)| id == target));
        if !known {
            let message = format!("the gateway refuses the alias {}: no provider declares {}", quoted(key), quoted(&target));
            reader.note(NoteKind::Refused, *at, message, "point it at a declared model");
        }
    }
}

/// Notes addresses that the gateway cannot take apart, and names of endpoints that are missing.
fn endpoints(root: &Node, reader: &mut Reader<'_>) {
    let mut names: HashSet<String> = HashSet::new();
    for Entry { key, node, .. } in entries(root, "endpoints") {
        names.insert(key.clone());
        let address = plain_text(node, "endpoint").filter(|_| field(node, "port").is_none());
        if let Some(address) = address.filter(|address| address.split(':').nth(1).is_some_and(|port| port.trim().parse::<i64>().is_err())) {
            let message = format!("the gateway refuses the endpoint {}, which is no host with a port", quoted(&address));
            reader.note(NoteKind::Refused, node.at, message, "write host:port, and http or https under `protocol`");
        }
    }
    // Agents and filters are endpoints too, where their address names a host.
    for node in ["agents", "filters"].into_iter().flat_map(|key| items(at_path(root, &[key]))) {
        let (Some(id), Some(url)) = (plain_text(node, "id"), plain_text(node, "url")) else { continue };
        let Some((_, _, port)) = place(&url).filter(|(_, host, _)| !host.is_empty()) else { continue };
        if port.is_some_and(|port| !is_port(port)) {
            let message = format!("the gateway refuses the url of {}, whose port is no number", quoted(&id));
            reader.note(NoteKind::Refused, node.at, message, "write http:// or https://, the host, and a number where there is a port");
        }
        names.insert(id);
    }
    for target in items(at_path(root, &["prompt_targets"])) {
        let named = field(target, "endpoint").and_then(|endpoint| plain_text(&endpoint.node, "name"));
        if let Some(name) = named.filter(|name| !name.is_empty() && !names.contains(name)) {
            let message = format!("the gateway refuses a prompt target of the endpoint {}, which is not declared", quoted(&name));
            reader.note(NoteKind::Refused, target.at, message, "declare it under endpoints");
        }
    }
    let orchestrator = at_path(root, &["overrides", "use_agent_orchestrator"]);
    if let Some(node) = orchestrator.filter(|node| names.len() != 1 && reader.unquoted.is_true(node)) {
        let message = format!("the gateway refuses use_agent_orchestrator unless there is one endpoint, and here are {}", names.len());
        reader.note(NoteKind::Refused, node.at, message, "declare one under endpoints, or remove it");
    }
}

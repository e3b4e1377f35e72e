//! The schema of Plano's configuration, but for providers, routes and metrics sources: those are looked at in their own places.
//!
//! Source: config/plano_config_schema.yaml of Plano 0.4.36.

use crate::formats::tree::{Entry, Node, quoted};

use super::import::{NoteKind, Reader};
use super::yaml_1_1::Seen;

/// What the schema allows for a value.
enum Shape {
    Any,
    Text,
    Truth,
    /// A whole number between two others, both included.
    Whole(f64, f64),
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    /// An object whose values are alike.
    Map(&'static Shape),
    /// As [`Self::Map`]; names that are no plain words may have any value.
    Words(&'static Shape),
    /// An object with these keys and no others, some of which must be there.
    Object(Keys, &'static [&'static str]),
    /// An object with these keys and any others.
    Open(Keys),
    /// An object of the second shape, or anything of the first.
    Either(&'static Shape, &'static Shape),
}

type Keys = &'static [(&'static str, Shape)];

/// Notes everything in a configuration that the schema refuses.
pub(super) fn check(root: &Node, reader: &mut Reader<'_>) {
    if let Seen::Map(entries) = reader.unquoted.seen(root) {
        object(ROOT, true, entries, None, reader);
    }
}

fn walk(shape: &Shape, node: &Node, place: &str, reader: &mut Reader<'_>) {
    match (shape, reader.unquoted.seen(node)) {
        (Shape::Any, _) | (Shape::Text, Seen::Text(_)) | (Shape::Truth, Seen::Truth(_)) => {}
        (Shape::OneOf(allowed), Seen::Text(text)) if allowed.iter().any(|other| *other == text) => {}
        (Shape::Whole(least, most), Seen::Number(number)) if number.fract() == 0.0 && (*least..=*most).contains(&number) => {}
        (Shape::Number(least, most), Seen::Number(number)) if (*least..=*most).contains(&number) => {}
        (Shape::List(item), Seen::List(items)) => items.iter().for_each(|node| walk(item, node, &format!("an item of {place}"), reader)),
        (Shape::Map(value), Seen::Map(entries)) => {
            entries.iter().for_each(|Entry { key, node, .. }| walk(value, node, &inside(key, Some(place)), reader));
        }
        (Shape::Words(value), Seen::Map(entries)) => {
            let words = entries.iter().filter(|entry| is_word(&entry.key));
            words.for_each(|Entry { key, node, .. }| walk(value, node, &inside(key, Some(place)), reader));
        }
        (Shape::Object(keys, needs), Seen::Map(entries)) => {
            object(keys, true, entries, Some(place), reader);
            for need in needs.iter().filter(|need| entries.iter().all(|entry| entry.key != **need)) {
                reader.note(NoteKind::Refused, node.at, format!("the gateway refuses {place} without `{need}`"), format!("add `{need}:`"));
            }
        }
        (Shape::Open(keys), Seen::Map(entries)) => object(keys, false, entries, Some(place), reader),
        (Shape::Either(_, object), Seen::Map(_)) => walk(object, node, place, reader),
        (Shape::Either(other, _), _) => walk(other, node, place, reader),
        _ => {
            let message = format!("the gateway refuses {place}, found {}", reader.unquoted.found(node));
            reader.note(NoteKind::Refused, node.at, message, "write what Plano's reference shows, or remove it");
        }
    }
}

fn object(keys: &[(&str, Shape)], is_closed: bool, entries: &[Entry], place: Option<&str>, reader: &mut Reader<'_>) {
    for Entry { key, at, node } in entries {
        match keys.iter().find(|(known, _)| known == key) {
            Some((_, shape)) => walk(shape, node, &inside(key, place), reader),
            None if is_closed => {
                let of = place.unwrap_or("the configuration");
                reader.note(NoteKind::Refused, *at, format!("the gateway refuses the key {} of {of}", quoted(key)), "remove it");
            }
            None => {}
        }
    }
}

fn inside(key: &str, place: Option<&str>) -> String {
    place.map_or_else(|| format!("`{key}`"), |place| format!("`{key}` of {place}"))
}

fn is_word(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

const WHOLE: Shape = Shape::Whole(f64::NEG_INFINITY, f64::INFINITY);
const POSITIVE: Shape = Shape::Whole(1.0, f64::INFINITY);
const LIST: Shape = Shape::List(&Shape::Any);
const TEXTS: Shape = Shape::List(&Shape::Text);

const ROOT: Keys = &[
    // Looked at elsewhere, with more to say.
    ("version", Shape::Any),
    ("model_metrics_sources", Shape::Any),
    ("model_providers", LIST),
    ("llm_providers", LIST),
    ("routing_preferences", LIST),
    ("agents", Shape::List(&AGENT)),
    ("filters", Shape::List(&FILTER)),
    ("listeners", Shape::Either(&Shape::List(&LISTENER), &OLD_LISTENERS)),
    ("endpoints", Shape::Words(&ENDPOINT)),
    ("model_aliases", Shape::Map(&Shape::Object(&[("target", Shape::Text)], &["target"]))),
    ("overrides", Shape::Open(OVERRIDES)),
    ("prompt_caching", Shape::Object(PROMPT_CACHING, &[])),
    ("system_prompt", Shape::Text),
    ("prompt_targets", Shape::List(&PROMPT_TARGET)),
    ("ratelimits", Shape::List(&RATE_LIMIT)),
    ("tracing", Shape::Object(TRACING, &[])),
    ("mode", Shape::OneOf(&["llm", "prompt"])),
    ("routing", Shape::Object(ROUTING, &[])),
    ("state_storage", Shape::Object(&[("type", Shape::OneOf(&["memory", "postgres"])), ("connection_string", Shape::Text)], &["type"])),
    ("prompt_guards", Shape::Object(&[("input_guards", INPUT_GUARDS)], &[])),
];

const AGENT: Shape = Shape::Object(&[("id", Shape::Text), ("url", Shape::Text)], &["id", "url"]);

const FILTER: Shape = Shape::Object(
    &[
        ("id", Shape::Text),
        ("url", Shape::Text),
        ("type", Shape::OneOf(&["mcp", "http"])),
        ("transport", Shape::OneOf(&["streamable-http"])),
        ("tool", Shape::Text),
    ],
    &["id", "url"],
);

const LISTENER: Shape = Shape::Object(
    &[
        ("name", Shape::Text),
        ("port", WHOLE),
        ("address", Shape::Text),
        ("timeout", Shape::Text),
        ("router", Shape::OneOf(&["plano_orchestrator_v1"])),
        ("max_retries", WHOLE),
        ("type", Shape::OneOf(&["model", "prompt", "agent"])),
        ("agents", Shape::List(&LISTENER_AGENT)),
        ("input_filters", TEXTS),
        ("output_filters", TEXTS),
    ],
    &["type", "name"],
);

const LISTENER_AGENT: Shape = Shape::Object(
    &[("id", Shape::Text), ("description", Shape::Text), ("default", Shape::Truth), ("input_filters", TEXTS)],
    &["id", "description"],
);

const OLD_LISTENERS: Shape = Shape::Object(&[("ingress_traffic", OLD_LISTENER), ("egress_traffic", OLD_LISTENER)], &[]);

const OLD_LISTENER: Shape = Shape::Object(
    &[("address", Shape::Text), ("port", WHOLE), ("message_format", Shape::OneOf(&["openai"])), ("timeout", Shape::Text)],
    &[],
);

const ENDPOINT: Shape = Shape::Object(
    &[
        ("endpoint", Shape::Text),
        ("connect_timeout", Shape::Text),
        ("protocol", Shape::OneOf(&["http", "https"])),
        ("http_host", Shape::Text),
        ("prefix_affinity", Shape::Truth),
    ],
    &["endpoint"],
);

const OVERRIDES: Keys = &[
    ("prompt_target_intent_matching_threshold", Shape::Number(f64::NEG_INFINITY, f64::INFINITY)),
    ("optimize_context_window", Shape::Truth),
    ("use_agent_orchestrator", Shape::Truth),
    ("disable_signals", Shape::Truth),
    ("upstream_connect_timeout", Shape::Text),
    ("upstream_tls_ca_path", Shape::Text),
    ("llm_routing_model", Shape::Text),
    ("agent_orchestration_model", Shape::Text),
    ("orchestrator_model_context_length", WHOLE),
];

const PROMPT_CACHING: Keys = &[
    ("enabled", Shape::Truth),
    ("session_affinity", Shape::Truth),
    ("inject_cache_control", Shape::Truth),
    ("min_prefix_tokens", POSITIVE),
    ("session_ttl_seconds", POSITIVE),
];

/// Without the contents of `parameters`, which say nothing about models.
const PROMPT_TARGET: Shape = Shape::Object(
    &[
        ("name", Shape::Text),
        ("default", Shape::Truth),
        ("description", Shape::Text),
        ("auto_llm_dispatch_on_response", Shape::Truth),
        ("parameters", LIST),
        ("endpoint", TARGET_ENDPOINT),
        ("system_prompt", Shape::Text),
    ],
    &["name", "description"],
);

const TARGET_ENDPOINT: Shape = Shape::Object(
    &[
        ("name", Shape::Text),
        ("path", Shape::Text),
        ("http_method", Shape::OneOf(&["GET", "POST"])),
        ("http_headers", Shape::Map(&Shape::Text)),
    ],
    &["name", "path"],
);

const RATE_LIMIT: Shape = Shape::Object(
    &[
        ("model", Shape::Text),
        ("selector", Shape::Object(&[("key", Shape::Text), ("value", Shape::Text)], &["key", "value"])),
        ("limit", Shape::Object(&[("tokens", WHOLE), ("unit", Shape::Text)], &["tokens", "unit"])),
    ],
    &["model", "selector", "limit"],
);

const TRACING: Keys = &[
    ("random_sampling", WHOLE),
    ("trace_arch_internal", Shape::Truth),
    ("opentracing_grpc_endpoint", Shape::Text),
    ("span_attributes", Shape::Object(&[("header_prefixes", TEXTS), ("static", Shape::Map(&Shape::Text))], &[])),
    ("exporters", Shape::List(&EXPORTER)),
];

const EXPORTER: Shape = Shape::Object(
    &[
        ("type", Shape::OneOf(&["posthog"])),
        ("url", Shape::Text),
        ("api_key", Shape::Text),
        ("distinct_id_header", Shape::Text),
        ("capture_messages", Shape::Truth),
    ],
    &["type", "url", "api_key"],
);

const ROUTING: Keys = &[
    ("llm_provider", Shape::Text),
    ("model", Shape::Text),
    ("session_ttl_seconds", POSITIVE),
    ("session_max_entries", Shape::Whole(1.0, 10_000.0)),
    (
        "session_cache",
        Shape::Object(&[("type", Shape::OneOf(&["memory", "redis"])), ("url", Shape::Text), ("tenant_header", Shape::Text)], &[]),
    ),
    ("routing_budget", Shape::Object(ROUTING_BUDGET, &["max_switch_spend_pct"])),
    ("route_on_user_only", Shape::Truth),
];

const ROUTING_BUDGET: Keys = &[
    ("max_switch_spend_pct", Shape::Number(0.0, 100.0)),
    ("replenish_on_rebind", Shape::Truth),
    ("cache_read_discount", Shape::Number(0.0, 1.0)),
    ("record_counterfactual", Shape::Truth),
];

const INPUT_GUARDS: Shape = Shape::Object(&[("jailbreak", JAILBREAK)], &["jailbreak"]);

const JAILBREAK: Shape = Shape::Object(&[("on_exception", Shape::Object(&[("message", Shape::Text)], &["message"]))], &["on_exception"]);

//! Writing Plano's configurations: the top-level form of 0.4.15 and later, and the inline form before it.

use crate::formats::policy_writer::{extra_keys, push_quoted};
use crate::policy::{ExtraKeys, Policy, Route};

use super::plano::BUDGET;
use super::providers::{Declaration, SELECTION, SOURCES, declaration, models};

/// How a file for Plano 0.4.15 and later starts.
const TOP_LEVEL: &str = "version: v0.4.0
listeners:
  - type: model
    name: model_listener
    port: 12000
model_providers:
";

/// How a file starts that every gateway since archgw 0.3.4 reads: before 0.3.16 none knows `model_providers` or a list of listeners, and up to
/// Plano 0.4.0 a listener in such a list has a type of another name.
const INLINE: &str = "version: v0.1.0
listeners:
  egress_traffic:
    address: 0.0.0.0
    port: 12000
    message_format: openai
    timeout: 30s
llm_providers:
";

/// What is written where a route prefers the cheapest model and the policy does not say where prices come from.
pub(super) const USUAL_COST_SOURCE: &str = r#"{"type":"cost","provider":"models.dev"}"#;

/// Returns a whole configuration for Plano 0.4.15 and later.
pub(super) fn write_top_level(policy: &Policy, kept: &[Declaration], comments: &str) -> String {
    let mut out = comments.to_owned() + TOP_LEVEL;
    for model in models(policy) {
        provider(&mut out, "  ", &declaration(kept, &model), policy.fallback.as_ref() == Some(&model), &[]);
    }
    let sources = policy.extra.iter().find(|(key, _)| key == SOURCES).map(|(_, json)| json.clone());
    let usual = prefers(policy, "cheapest").then(|| format!("[{USUAL_COST_SOURCE}]"));
    if let Some(json) = sources.or(usual) {
        extra_keys(&mut out, 0, &vec![(SOURCES.to_owned(), json)]);
    }
    if let Some(budget) = policy.budget {
        out.push_str(&format!("overrides:\n  {BUDGET}: {budget}\n"));
    }
    out.push_str(&preferences(policy, |model| model.to_owned()));
    out
}

/// The providers that archgw 0.3.4 to 0.3.10 knows under the names that later gateways have for them.
pub(super) const OLDEST_PROVIDERS: [&str; 5] = ["deepseek", "gemini", "groq", "mistral", "openai"];

/// Returns a whole configuration for archgw 0.3.4 to Plano 0.4.14, in which a route stands inside the provider of its model.
pub(super) fn write_inline(policy: &Policy, kept: &[Declaration], comments: &str) -> String {
    let mut out = comments.to_owned() + INLINE;
    for model in models(policy) {
        let routes: Vec<&Route> = policy.routes.iter().filter(|route| route.model() == Some(model.as_str())).collect();
        provider(&mut out, "  ", &declaration(kept, &model), policy.fallback.as_ref() == Some(&model), &routes);
    }
    out
}

/// Returns the block of routes, with models as the gateway is to be told.
pub(super) fn preferences(policy: &Policy, reference: impl Fn(&str) -> String) -> String {
    let mut out = "routing_preferences:\n".to_owned();
    for route in &policy.routes {
        named(&mut out, "  ", route);
        out.push_str("    models:\n");
        for model in &route.models {
            out.push_str("      - ");
            push_quoted(&mut out, &reference(model));
            out.push('\n');
        }
        let selection: ExtraKeys = route.extra.iter().filter(|(key, _)| key == SELECTION).cloned().collect();
        extra_keys(&mut out, 4, &selection);
    }
    out
}

/// Writes one provider as an item of a list in block style.
pub(super) fn provider(out: &mut String, indent: &str, declaration: &Declaration, is_default: bool, routes: &[&Route]) {
    out.push_str(indent);
    out.push_str("- model: ");
    push_quoted(out, &declaration.model);
    out.push('\n');
    extra_keys(out, indent.len() + 2, &keys(declaration, is_default));
    if !routes.is_empty() {
        out.push_str(indent);
        out.push_str("  routing_preferences:\n");
        for route in routes {
            named(out, &format!("{indent}    "), route);
        }
    }
}

/// Returns everything of a provider but its model.
pub(super) fn keys(declaration: &Declaration, is_default: bool) -> ExtraKeys {
    let rest = declaration.rest().into_iter().map(|(key, value)| (key.to_owned(), value.to_string()));
    rest.chain(is_default.then(|| ("default".to_owned(), "true".to_owned()))).collect()
}

/// Returns whether a route lets Plano reorder its models in this way.
pub(super) fn prefers(policy: &Policy, what: &str) -> bool {
    policy.routes.iter().any(|route| route.prefers(what))
}

fn named(out: &mut String, indent: &str, route: &Route) {
    for (start, text) in [("- name: ", &route.name), ("  description: ", &route.description)] {
        out.push_str(indent);
        out.push_str(start);
        push_quoted(out, text);
        out.push('\n');
    }
}

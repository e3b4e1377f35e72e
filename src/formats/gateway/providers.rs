//! How a gateway reaches a model: the parts of a provider declaration that a policy keeps so that an export works.
//!
//! A policy names models as `provider/model`. Where that is not all a gateway needs (an address, another key), the policy keeps the
//! declaration under its own key `providers`, which [`crate::formats::write_policy`] writes like any other.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::formats::error::Origin;
use crate::formats::json;
use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::policy::Policy;
use crate::policy::lint::{Field, LintContext};
use crate::policy::provider::{Address, address as address_of, is_base_url, is_interface, key_variable};

pub(in crate::formats) use crate::policy::SELECTION;

use super::import::{NoteKind, Reader, items, plain_text};
use super::plano_checks::source_problems;
use super::plano_writer::prefers;
use super::yaml_1_1::{Seen, Unquoted};

/// The key of a policy that keeps [`Declaration`]s.
pub(in crate::formats) const PROVIDERS: &str = "providers";

/// The key of a policy that keeps where costs and latencies come from.
pub(in crate::formats) const SOURCES: &str = "model_metrics_sources";

/// What a gateway is told about one model. An import keeps no secret here, only the names of environment variables, and an export refuses one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declaration {
    pub(super) model: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) access_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) provider_interface: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) passthrough_auth: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) http_host: Option<String>,
    #[serde(skip_serializing_if = "serde_json::Map::is_empty", default)]
    pub(super) headers: serde_json::Map<String, serde_json::Value>,
}

impl Declaration {
    /// Returns what is written for a model of which nothing is known but its name.
    pub(super) fn usual(model: &str) -> Self {
        // ChatGPT takes the client's own login; models with an address of their own may need no key.
        let has_key = address_of(model) == Some(Address::Known) && !model.starts_with("chatgpt/");
        Self { model: model.to_owned(), access_key: has_key.then(|| format!("${}", key_variable(model))), ..Self::default() }
    }

    /// Reads a declaration, leaving out secrets; returns what was left out too, as messages name it.
    pub(super) fn read(model: &str, entries: &[Entry], unquoted: &Unquoted) -> (Self, Vec<String>) {
        let mut dropped: Vec<String> = Vec::new();
        let text = |key: &str| match entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node.value) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let access_key = text("access_key").map(|key| {
            if is_variable(&key) {
                return key;
            }
            dropped.push("access_key".to_owned());
            format!("${}", key_variable(model))
        });
        let address = text("base_url").or_else(|| text("endpoint").map(|endpoint| format!("http://{endpoint}")));
        let base_url = address.map(|url| {
            let clean = without_credentials(&url);
            if clean != url {
                dropped.push("credentials in base_url".to_owned());
            }
            clean
        });
        let passthrough_auth = entries.iter().find(|entry| entry.key == "passthrough_auth");
        let passthrough_auth = passthrough_auth.and_then(|entry| match unquoted.seen(&entry.node) {
            Seen::Truth(value) => Some(value),
            _ => None,
        });
        let mut headers = serde_json::Map::new();
        if let Some(Value::Map(pairs)) = entries.iter().find(|entry| entry.key == "headers").map(|entry| &entry.node.value) {
            for Entry { key, node: Node { value, .. }, .. } in pairs {
                match value {
                    Value::Text(value) if is_open(key, value) => {
                        headers.insert(key.clone(), value.clone().into());
                    }
                    _ => dropped.push(format!("the header {}", quoted(key))),
                }
            }
        }
        // The prefix of the model's name says the same, and Plano refuses to be told twice.
        let interface = text("provider_interface").filter(|_| address_of(model) == Some(Address::BaseUrlAndInterface));
        let declaration = Self {
            model: model.to_owned(),
            access_key,
            base_url,
            provider_interface: interface,
            passthrough_auth,
            http_host: text("http_host"),
            headers,
        };
        (declaration, dropped)
    }

    /// Returns what Plano would refuse this declaration for the lack of.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        match address_of(&self.model) {
            None => Some("a name of the form provider/model"),
            Some(Address::Known) => None,
            Some(_) if self.base_url.is_none() => Some("a base_url"),
            Some(Address::BaseUrlAndInterface) if self.provider_interface.is_none() => Some("a provider_interface"),
            Some(_) => None,
        }
    }

    /// Returns whether this says all that another declaration of the same model does.
    fn includes(&self, other: &Self) -> bool {
        let says = |own: &Option<String>, other: &Option<String>| other.is_none() || own == other;
        says(&self.access_key, &other.access_key)
            && says(&self.base_url, &other.base_url)
            && says(&self.provider_interface, &other.provider_interface)
    }

    /// Returns what has to stand in the place of something that may be secret.
    fn discloses(&self) -> Option<&'static str> {
        if self.access_key.as_deref().is_some_and(|key| !key.is_empty() && !is_variable(key)) {
            Some("an access_key that names an environment variable, such as $OPENAI_API_KEY, since a key in a file is no secret")
        } else if self.base_url.as_deref().is_some_and(|url| without_credentials(url) != url) {
            Some("a base_url without user, password and query, any of which may be secret")
        } else if self.headers.iter().any(|(key, value)| value.as_str().is_some_and(|value| !is_open(key, value))) {
            Some("headers that name environment variables, such as Bearer $MY_KEY, since a key in a file is no secret")
        } else {
            None
        }
    }

    /// Returns what Plano wants, or an export, in place of something that this declaration says.
    fn wants(&self) -> Option<&'static str> {
        let interface = self.provider_interface.as_deref();
        match address_of(&self.model) {
            _ if self.discloses().is_some() => self.discloses(),
            _ if self.model == "plano/orchestrator" => Some("another name, since Plano adds a provider of that name itself"),
            Some(Address::Known | Address::BaseUrl) if interface.is_some() => Some("no provider_interface, which its name says already"),
            _ if interface.is_some_and(|name| !is_interface(name)) => Some("a provider_interface that Plano knows, such as openai"),
            _ if self.base_url.as_deref().is_some_and(|url| !is_base_url(url)) => Some("a base_url like http://host:port"),
            _ if self.headers.values().any(|value| !value.is_string()) => Some("headers whose values are text in double quotes"),
            _ => None,
        }
    }

    /// Returns key and value of everything but the model, as JSON.
    pub(super) fn rest(&self) -> Vec<(&'static str, serde_json::Value)> {
        let texts = [
            ("access_key", &self.access_key),
            ("base_url", &self.base_url),
            ("provider_interface", &self.provider_interface),
            ("http_host", &self.http_host),
        ];
        let mut rest: Vec<_> = texts.into_iter().filter_map(|(key, value)| Some((key, value.clone()?.into()))).collect();
        rest.extend(self.passthrough_auth.map(|value| ("passthrough_auth", value.into())));
        if !self.headers.is_empty() {
            rest.push(("headers", self.headers.clone().into()));
        }
        rest
    }
}

/// Returns what a policy keeps about how its models are reached.
///
/// # Errors
/// A sentence about a `providers` that is no list of declarations.
pub(super) fn declarations(policy: &Policy) -> Result<Vec<Declaration>, String> {
    let Some((_, json)) = policy.extra.iter().find(|(key, _)| key == PROVIDERS) else { return Ok(Vec::new()) };
    serde_json::from_str(json).map_err(|error| {
        let text = error.to_string();
        // The place is one in Waypost's own spelling of the key, which nobody sees.
        let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
        format!(
            "the policy's `{PROVIDERS}` cannot be read ({why}); write a list, with `model` and what Plano needs to reach it in each item"
        )
    })
}

/// Returns the declaration of one model: the policy's own, or the usual one.
pub(super) fn declaration(kept: &[Declaration], model: &str) -> Declaration {
    kept.iter().find(|declaration| declaration.model == model).cloned().unwrap_or_else(|| Declaration::usual(model))
}

/// Keeps the declarations that say more than the model's name does, in the order in which the policy names the models. Those that a comment
/// of Waypost gave the policy already stay unless the file says something else by now.
pub(super) fn keep(policy: &mut Policy, read: &[Declaration]) {
    let told = declarations(policy).unwrap_or_default();
    let is_news = |declaration: &&Declaration| match told.iter().find(|other| other.model == declaration.model) {
        Some(told) => !told.includes(declaration),
        None => **declaration != Declaration::usual(&declaration.model),
    };
    let mut kept: Vec<&Declaration> =
        models(policy).into_iter().filter_map(|model| read.iter().find(|declaration| declaration.model == model)).filter(is_news).collect();
    if !kept.is_empty() {
        let stays = |told: &&Declaration| read.iter().filter(is_news).all(|news| news.model != told.model);
        kept.extend(told.iter().filter(stays));
        // Plain strings and booleans always serialise.
        let json = serde_json::to_string(&kept).unwrap_or_default();
        policy.extra.retain(|(key, _)| key != PROVIDERS);
        policy.extra.push((PROVIDERS.to_owned(), json));
    }
}

/// Keeps how another gateway reaches a model. Such gateways may serve one model in several ways, of which a policy can say one.
pub(super) fn declare(declaration: Declaration, at: Pos, reader: &mut Reader<'_>) {
    let is_same = reader.declarations.iter().find(|other| other.model == declaration.model).map(|other| *other == declaration);
    match is_same {
        Some(true) => {}
        Some(false) => {
            let message = format!("{} is served in more than one way, and the policy keeps the first", quoted(&declaration.model));
            reader.note(NoteKind::Changed, at, message, "change its entry under `providers` in the policy if another one is meant");
        }
        None => reader.declarations.push(declaration),
    }
}

/// Returns an address of a model without what may be secret in it, and notes that something was.
pub(super) fn kept_address(url: &str, model: &str, at: Pos, reader: &mut Reader<'_>) -> String {
    let clean = without_credentials(url);
    if clean != url {
        let message = format!("what the address of {} says besides the place may be secret and is not kept", quoted(model));
        reader.note(NoteKind::Changed, at, message, "add it to the exported configuration by hand");
    }
    clean
}

/// Returns the variable that takes the place of a key that stands in the file itself, and notes that.
pub(super) fn hidden_key(model: &str, at: Pos, reader: &mut Reader<'_>) -> String {
    let message = format!("the key of {} may be secret and is not kept", quoted(model));
    reader.note(NoteKind::Changed, at, message, "an export names an environment variable instead");
    format!("${}", key_variable(model))
}

/// Returns every model of a policy once, in the order of their first use, the fallback last.
pub(super) fn models(policy: &Policy) -> Vec<String> {
    let mut seen = HashSet::new();
    let models = policy.routes.iter().flat_map(|route| &route.models).chain(&policy.fallback);
    models.filter(|model| seen.insert(model.as_str())).cloned().collect()
}

/// Returns what the linter may know from the policy itself: the models whose address it keeps, and what of it the gateway would refuse.
pub fn lint_context(policy: &Policy) -> LintContext {
    let mut refused: Vec<(Field, String)> = Vec::new();
    let kept = declarations(policy).unwrap_or_else(|problem| {
        refused.push((Field::Providers, problem));
        Vec::new()
    });
    let named = models(policy);
    let used = kept.iter().filter(|declaration| named.contains(&declaration.model));
    refused.extend(used.filter_map(|declaration| Some((Field::Providers, needs(declaration, declaration.wants()?)))));
    refused.extend(sources_problem(policy).map(|problem| (Field::Sources, problem)));
    let addressed = kept.into_iter().filter(|declaration| declaration.lacks().is_none()).map(|declaration| declaration.model);
    LintContext { addressed: addressed.collect(), refused, ..LintContext::default() }
}

/// Returns the sentence about a declaration that Plano would refuse, or an export.
pub(super) fn incomplete(declaration: &Declaration) -> Option<String> {
    declaration.lacks().or_else(|| declaration.wants()).map(|what| needs(declaration, what))
}

/// Returns the sentence about a declaration that would put into a file what may be secret.
pub(super) fn secret(declaration: &Declaration) -> Option<String> {
    declaration.discloses().map(|what| needs(declaration, what))
}

fn needs(declaration: &Declaration, what: &str) -> String {
    format!("model {} needs {what}", quoted(&declaration.model))
}

/// Returns why Plano would refuse the metrics sources of a policy, or its routes for the lack of one.
pub(super) fn sources_problem(policy: &Policy) -> Option<String> {
    let kept = policy.extra.iter().find(|(key, _)| key == SOURCES);
    let list = kept.and_then(|(_, text)| json::parse(text, 1, &Origin::new("")).ok());
    if let Some((_, problem)) = list.as_ref().and_then(|list| source_problems(list).into_iter().next()) {
        return Some(problem);
    }
    let has = |kind: &str| items(list.as_ref()).iter().any(|source| plain_text(source, "type").as_deref() == Some(kind));
    // A policy without any gets the usual source of prices.
    let needed = [("cheapest", "cost", kept.is_some()), ("fastest", "latency", true)];
    needed.into_iter().find_map(|(prefer, kind, is_needed)| {
        let lacks = is_needed && prefers(policy, prefer) && !has(kind);
        lacks.then(|| format!("a route prefers the {prefer} model; add `{SOURCES}` with a {kind} source to the policy"))
    })
}

/// Returns whether a value only names environment variables, such as `$KEY` or `Bearer ${KEY}`.
fn is_variable(value: &str) -> bool {
    let value = value.strip_prefix("Bearer ").unwrap_or(value);
    value.starts_with('$') && value[1..].chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '}'))
}

/// Returns whether a header may stand in a file for all to read.
fn is_open(header: &str, value: &str) -> bool {
    is_variable(value) || header.eq_ignore_ascii_case("user-agent")
}

/// Returns a URL without user, password and query, any of which may be secret.
pub(super) fn without_credentials(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or_default())
}

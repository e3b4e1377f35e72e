//! LiteLLM's complexity router with tiers of its operator's own (`tier_definitions`, beta since 1.94).
//!
//! Sources: litellm/router_strategy/complexity_router/config.py of BerriAI/litellm, and docs.litellm.ai/docs/providers.

use crate::formats::error::FormatError;
use crate::formats::policy_writer::push_quoted;
use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::policy::provider::{Address, address};
use crate::policy::{NO_ROUTE_LABEL, Policy, Route};

use super::import::{NoteKind, Reader, at_path, field, items, plain_text};
use super::others::named;
use super::providers::{Declaration, declaration, declarations, declare, hidden_key, kept_address, models};

const MOST_TIERS: usize = 8;
const LONGEST_NAME: usize = 64;
const LONGEST_DESCRIPTION: usize = 500;

/// Providers that Plano and LiteLLM call differently: Plano's name, then LiteLLM's. What either has and the other lacks keeps its name.
static NAMES: [(&str, &str); 6] = [
    ("amazon_bedrock", "bedrock"),
    ("azure_openai", "azure"),
    ("moonshotai", "moonshot"),
    ("qwen", "dashscope"),
    ("vercel", "vercel_ai_gateway"),
    ("zhipu", "zai"),
];

/// What stands for the fallback: LiteLLM's classifier must always name a tier.
const OTHER: &str = "Requests that belong to none of the other tiers, and requests that are fulfilled already";

/// Reads tiers as routes.
///
/// # Errors
/// A tier without a name or a description.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Result<(), FormatError> {
    let routers =
        items(at_path(root, &["model_list"])).iter().filter_map(|model| at_path(model, &["litellm_params", "complexity_router_config"]));
    let config = at_path(root, &["complexity_router_config"]).or_else(|| routers.into_iter().next()).unwrap_or(root);
    let definitions = field(config, "tier_definitions");
    reader.no_routes = (
        "the configuration has no tier_definitions, so nothing in it is matched by description".to_owned(),
        "describe tiers of your own under complexity_router_config, or write the policy by hand".to_owned(),
    );
    let Some(definitions) = definitions else { return Ok(()) };
    reader.routes_at(definitions.at);
    refused(config, definitions, reader);
    let tiers = at_path(config, &["tiers"]);
    let model_list = items(at_path(root, &["model_list"]));
    let fallback = plain_text(config, "fallback_tier");
    for (index, node) in items(Some(&definitions.node)).iter().enumerate() {
        let tier = named(index, node, reader)?;
        let pool: Vec<String> = match tiers.and_then(|tiers| field(tiers, &tier.name)).map(|entry| &entry.node.value) {
            Some(Value::Text(model)) => vec![deployed(model, model_list, reader)],
            Some(Value::List(pool)) if !pool.is_empty() => {
                let message =
                    format!("LiteLLM picks one of the models of tier {} at random; a policy prefers the first", quoted(&tier.name));
                reader.note(NoteKind::Changed, node.at, message, "order them as you prefer them");
                let named = |node: &Node| match &node.value {
                    Value::Text(model) => Some(model.clone()),
                    _ => plain_text(node, "model_name"),
                };
                pool.iter().filter_map(named).map(|model| deployed(&model, model_list, reader)).collect()
            }
            None if tiers.is_none() => Vec::new(),
            _ => {
                reader.note(NoteKind::Refused, node.at, format!("tier {} has no model under `tiers`", quoted(&tier.name)), "add one");
                Vec::new()
            }
        };
        if tier.name == NO_ROUTE_LABEL && fallback.as_deref() == Some(NO_ROUTE_LABEL) {
            reader.policy.fallback = pool.into_iter().next();
            continue;
        }
        if fallback.as_ref() == Some(&tier.name) {
            reader.policy.fallback = pool.first().cloned();
        }
        limits(&tier, node, reader);
        reader.add_route(Route { models: pool, ..tier }, node)?;
    }
    rename(definitions.at, reader);
    Ok(())
}

/// Calls the providers as a policy does, and names those that Plano does not have.
fn rename(at: Pos, reader: &mut Reader<'_>) {
    let mut told: Vec<(String, &str)> = Vec::new();
    let with_address = reader.declarations.iter().filter(|declaration| declaration.base_url.is_some());
    let addressed: Vec<String> = with_address.map(|declaration| declaration.model.clone()).collect();
    let policy = &mut reader.policy;
    let models = policy.routes.iter_mut().flat_map(|route| &mut route.models).chain(&mut policy.fallback);
    for model in models.chain(reader.declarations.iter_mut().map(|declaration| &mut declaration.model)) {
        let tell = if let Some(own) = plano_name(model) {
            let message = format!("LiteLLM's {} is {} in a policy, as Plano has it", quoted(model), quoted(&own));
            *model = own;
            (message, "an export for LiteLLM writes its own name again")
        } else if address(model) == Some(Address::BaseUrlAndInterface) {
            let provider = model.split('/').next().unwrap_or_default();
            let message =
                format!("Plano has no provider {}, so {} keeps the name that LiteLLM has for it", quoted(provider), quoted(model));
            let remedy = if addressed.contains(model) {
                "for Plano, add a provider_interface to its entry under `providers` in the policy"
            } else {
                "for Plano, add its base_url and a provider_interface to `providers` in the policy"
            };
            (message, remedy)
        } else {
            continue;
        };
        if !told.contains(&tell) {
            told.push(tell);
        }
    }
    for (message, remedy) in told {
        reader.note(NoteKind::Changed, at, message, remedy);
    }
}

/// Returns what a policy calls a model of a provider that LiteLLM has another name for.
fn plano_name(model: &str) -> Option<String> {
    let (provider, id) = model.split_once('/')?;
    let (plano, _) = NAMES.iter().find(|(_, litellm)| *litellm == provider)?;
    Some(format!("{plano}/{id}"))
}

/// Returns what LiteLLM calls a model of a policy.
fn own_name(model: &str) -> String {
    let Some((provider, id)) = model.split_once('/') else { return model.to_owned() };
    let name = NAMES.iter().find(|(plano, _)| *plano == provider).map_or(provider, |(_, litellm)| *litellm);
    format!("{name}/{id}")
}

/// Notes what LiteLLM's own checks refuse of the tiers as a whole.
fn refused(config: &Node, definitions: &Entry, reader: &mut Reader<'_>) {
    let defined = items(Some(&definitions.node));
    let names: Vec<String> = defined.iter().filter_map(|tier| Some(plain_text(tier, "name")?.trim().to_owned())).collect();
    let mut refuse = |at: Pos, message: String, remedy: &str| reader.note(NoteKind::Refused, at, message, remedy);
    if !(2..=MOST_TIERS).contains(&defined.len()) {
        let message = format!("LiteLLM takes 2 to {MOST_TIERS} tiers, and here are {}", defined.len());
        refuse(definitions.at, message, "merge tiers, or describe one for all other requests");
    }
    let mut folded = std::collections::HashSet::new();
    for (name, tier) in names.iter().zip(defined).filter(|(name, _)| !folded.insert(name.to_lowercase())) {
        refuse(tier.at, format!("LiteLLM does not tell tiers apart by case, and {} is there twice", quoted(name)), "rename one");
    }
    let classifier = field(config, "classifier_type");
    let kind = plain_text(config, "classifier_type");
    if !matches!(kind.as_deref(), Some("llm" | "custom")) {
        let message = "LiteLLM refuses tier_definitions with a classifier that knows its own tiers only".to_owned();
        refuse(classifier.map_or(definitions.at, |entry| entry.at), message, "write `classifier_type: llm`");
    } else if kind.as_deref() == Some("llm") && field(config, "classifier_llm_config").is_none() {
        let message = "LiteLLM refuses `classifier_type: llm` without classifier_llm_config".to_owned();
        refuse(classifier.map_or(definitions.at, |entry| entry.at), message, "name the model that classifies there");
    }
    match field(config, "fallback_tier") {
        None => refuse(definitions.at, "LiteLLM refuses tier_definitions without a fallback_tier".to_owned(), "name one of the tiers"),
        Some(entry) => {
            let named = plain_text(config, "fallback_tier").unwrap_or_default();
            if !names.iter().any(|name| name == named.trim()) {
                refuse(
                    entry.at,
                    format!("LiteLLM refuses the fallback_tier {}, which is not defined", quoted(&named)),
                    "name one of the tiers",
                );
            }
        }
    }
    match field(config, "tiers").map(|entry| &entry.node.value) {
        Some(Value::Map(tiers)) => {
            for Entry { key, at, .. } in tiers.iter().filter(|entry| !names.contains(&entry.key)) {
                refuse(*at, format!("LiteLLM refuses the tier {} under `tiers`, which is not defined", quoted(key)), "define or remove it");
            }
        }
        _ => refuse(definitions.at, "LiteLLM refuses tier_definitions without `tiers`".to_owned(), "give each tier a model there"),
    }
}

/// Returns the model behind the name of a deployment, and keeps where that is served; what the list lacks is a model's name itself.
fn deployed(name: &str, model_list: &[Node], reader: &mut Reader<'_>) -> String {
    let mut model = None;
    for entry in model_list.iter().filter(|entry| plain_text(entry, "model_name").as_deref() == Some(name)) {
        let Some(parameters) = at_path(entry, &["litellm_params"]) else { continue };
        let Some(found) = plain_text(parameters, "model") else { continue };
        if model.as_ref().is_none_or(|model| *model == found) {
            served(&found, parameters, reader);
        } else {
            let message = format!("LiteLLM serves {} by several models; a policy names the first", quoted(name));
            reader.note(NoteKind::Changed, entry.at, message, "list the others under the route's models");
        }
        model = model.or(Some(found));
    }
    model.unwrap_or_else(|| name.to_owned())
}

/// Keeps how LiteLLM reaches a model.
fn served(model: &str, parameters: &Node, reader: &mut Reader<'_>) {
    const VARIABLE: &str = "os.environ/";
    let base_url = match ["api_base", "base_url"].into_iter().find_map(|key| plain_text(parameters, key)) {
        Some(url) if url.starts_with(VARIABLE) => {
            let message = format!("a variable names the address of {}, which Plano cannot be told, so it is not kept", quoted(model));
            reader.note(NoteKind::Changed, parameters.at, message, "add `providers` with its base_url to the policy");
            None
        }
        url => url.map(|url| kept_address(&url, model, parameters.at, reader)),
    };
    let access_key = match plain_text(parameters, "api_key") {
        // A server of one's own is asked without a key, unless the file says one.
        None if base_url.is_some() => None,
        None => Declaration::usual(plano_name(model).as_deref().unwrap_or(model)).access_key,
        Some(key) => Some(match key.strip_prefix(VARIABLE) {
            Some(variable) => format!("${variable}"),
            None => hidden_key(model, parameters.at, reader),
        }),
    };
    declare(Declaration { model: model.to_owned(), access_key, base_url, ..Declaration::default() }, parameters.at, reader);
}

fn limits(tier: &Route, node: &Node, reader: &mut Reader<'_>) {
    if let Some((problem, remedy)) = problem(tier) {
        reader.note(NoteKind::Refused, node.at, problem, remedy);
    }
}

/// Returns why LiteLLM refuses a tier, and what to do.
fn problem(tier: &Route) -> Option<(String, &'static str)> {
    let name = quoted(&tier.name);
    if tier.name.trim().chars().count() > LONGEST_NAME {
        Some((format!("LiteLLM refuses the name {name}, which is longer than {LONGEST_NAME} characters"), "shorten it"))
    } else if tier.description.trim().chars().count() > LONGEST_DESCRIPTION {
        let message = format!("LiteLLM refuses the description of {name}, which is longer than {LONGEST_DESCRIPTION} characters");
        Some((message, "shorten it"))
    } else if tier.description.trim().is_empty() {
        Some((format!("LiteLLM refuses the tier {name} without a description"), "describe it"))
    } else if [&tier.name, &tier.description].iter().any(|text| text.contains(['\n', '\r'])) {
        Some((format!("LiteLLM refuses line breaks in the tier {name}"), "write name and description on one line each"))
    } else {
        None
    }
}

/// Returns everything that keeps a policy from becoming tiers.
pub(super) fn problems(policy: &Policy) -> Vec<String> {
    let refused = policy.routes.iter().filter_map(problem);
    let mut problems: Vec<String> = refused.map(|(message, remedy)| format!("{message}; {remedy}")).collect();
    let tiers = policy.routes.len() + 1;
    if tiers > MOST_TIERS {
        let most = MOST_TIERS - 1;
        problems
            .push(format!("LiteLLM takes {MOST_TIERS} tiers, one of them for the fallback; merge routes until there are {most} or fewer"));
    }
    if policy.fallback.is_none() {
        problems.push("LiteLLM needs a model for requests that fit no route; set the policy's fallback".to_owned());
    }
    let mut folded: Vec<String> = policy.routes.iter().map(|route| route.name.trim().to_lowercase()).collect();
    if let Some(at) = folded.iter().position(|name| name == NO_ROUTE_LABEL) {
        let name = quoted(&policy.routes[at].name);
        problems.push(format!(
            "LiteLLM takes the tier {NO_ROUTE_LABEL:?} for requests that fit no route, and does not tell tiers apart by case; rename the \
             route {name}"
        ));
    }
    folded.sort();
    if let Some([name, _]) = folded.array_windows().find(|[a, b]| a == b) {
        problems.push(format!("LiteLLM does not tell tiers apart by case, and {} is there twice; rename one", quoted(name)));
    }
    problems
}

/// Returns a note about spaces that do not reach the configuration.
pub(super) fn trimmed(policy: &Policy) -> Option<String> {
    let is_trimmed = |route: &&Route| [&route.name, &route.description].iter().any(|text| text.trim() != text.as_str());
    let names: Vec<String> = policy.routes.iter().filter(is_trimmed).map(|route| quoted(&route.name)).collect();
    (!names.is_empty()).then(|| format!("LiteLLM removes the spaces around names and descriptions, here of {}", names.join(", ")))
}

/// Writes a proxy configuration with one model that is the router.
pub(super) fn write(policy: &Policy, comments: &str) -> String {
    let kept = declarations(policy).unwrap_or_default();
    let mut out = comments.to_owned();
    let fallback = policy.fallback.as_deref().unwrap_or_default();
    out.push_str("model_list:\n");
    let mut served: Vec<&str> = policy.routes.iter().filter_map(Route::model).chain([fallback]).collect();
    let order = models(policy);
    served.sort_by_key(|model| order.iter().position(|other| other == model));
    served.dedup();
    for model in served {
        pair(&mut out, 2, "- model_name:", model);
        out.push_str("    litellm_params:\n");
        pair(&mut out, 6, "model:", &own_name(model));
        let declaration = declaration(&kept, model);
        if let Some(key) = declaration.access_key.as_deref().and_then(|key| key.strip_prefix('$')) {
            pair(&mut out, 6, "api_key:", &format!("os.environ/{}", key.trim_matches(['{', '}'])));
        }
        if let Some(base) = &declaration.base_url {
            pair(&mut out, 6, "api_base:", base);
        }
    }
    out.push_str("  - model_name: waypost-router\n    litellm_params:\n      model: auto_router/complexity_router\n");
    pair(&mut out, 6, "complexity_router_default_model:", fallback);
    out.push_str("      complexity_router_config:\n        classifier_type: llm\n        classifier_llm_config:\n");
    pair(&mut out, 10, "model:", fallback);
    pair(&mut out, 8, "fallback_tier:", NO_ROUTE_LABEL);
    out.push_str("        tier_definitions:\n");
    let other = Route { models: vec![fallback.to_owned()], ..Route::new(NO_ROUTE_LABEL, OTHER) };
    let tiers = || policy.routes.iter().chain([&other]);
    for tier in tiers() {
        pair(&mut out, 10, "- name:", tier.name.trim());
        pair(&mut out, 12, "description:", tier.description.trim());
    }
    out.push_str("        tiers:\n");
    for tier in tiers() {
        out.push_str("          ");
        push_quoted(&mut out, tier.name.trim());
        pair(&mut out, 0, ":", tier.model().unwrap_or(fallback));
    }
    out
}

fn pair(out: &mut String, indent: usize, key: &str, value: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(key);
    out.push(' ');
    push_quoted(out, value);
    out.push('\n');
}

//! How gateways read the router's answer.

use serde::Deserialize;

use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// An answer that the gateway cannot read; displays why, and what the gateway does then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", consequence(*.dialect))]
pub struct AnswerError {
    /// Who read the answer.
    pub dialect: DialectId,
    /// What the gateway's JSON parser says, place included. Lines and columns count in the answer after the gateway's repairs.
    pub reason: String,
}

/// Returns what a gateway does with an answer it cannot read.
fn consequence(dialect: DialectId) -> &'static str {
    match dialect {
        DialectId::ModelCard => {
            "the answer is not JSON of the shape {\"route\": \"name\"}; the model card reads no answers, \
             but this answer makes archgw 0.3.1 to Plano 0.4.18 return HTTP 500"
        }
        DialectId::Archgw031 => {
            "the answer is not JSON of the shape {\"route\": \"name\"}; this answer makes archgw 0.3.1 to Plano 0.4.18 return HTTP 500"
        }
        DialectId::Plano0419 | DialectId::Plano0420 => {
            "the answer is not JSON of the shape {\"route\": [\"name\"]}; this answer makes Plano 0.4.19 and later return HTTP 500"
        }
    }
}

/// The type that router_model_v1.rs reads, under the same name because the parser's messages contain it.
#[derive(Deserialize)]
struct LlmRouterResponse {
    route: Option<String>,
}

/// The type that orchestrator_model_v1.rs reads, under the same name because the parser's messages contain it.
#[derive(Deserialize)]
struct AgentOrchestratorResponse {
    route: Option<Vec<String>>,
}

/// Returns the route that the gateway takes from the router's answer, `None` for no route. `names` are the routes of the prompt.
///
/// First the text is repaired: every `'` becomes `"`, every backslash followed by `n` is deleted, and archgw then strips a leading
/// "```json" and a trailing "```" if they are at the very ends. A name that contains `'`, a line feed or backslash-n therefore never
/// comes back. Names are compared exactly.
///
/// - One name (`archgw-0.3.1`): an empty, missing, `null` or unknown name and the name `other` are no route, even when a route is called so.
/// - Lists (`plano-0.4.19`, `plano-0.4.20`): the first known name that is not empty is the route; `other` is a name like any other.
/// - `model-card`: the card prints the answer and has no parser; it is read as archgw reads it.
///
/// The empty text is no route: gateways do not parse it. As the gateways' parser takes structures from arrays too, `["name"]` (in list
/// dialects `[["name"]]`) is read like the object.
///
/// # Errors
///
/// Returns [`AnswerError`] for what makes the gateway fail the request: other JSON, another type under `route`, a second `route` key, text
/// around the JSON.
///
/// Sources: archgw 0.3.1, router_model_v1.rs, and Plano 0.4.19, orchestrator_model_v1.rs: `parse_response` and `fix_json_response`.
pub fn parse_answer<S: AsRef<str>>(
    dialect: DialectId,
    names: impl IntoIterator<Item = S>,
    text: &str,
) -> Result<Option<String>, AnswerError> {
    if text.is_empty() {
        return Ok(None);
    }
    let unreadable = |error: serde_json::Error| AnswerError { dialect, reason: error.to_string() };
    let repaired = text.replace('\'', "\"").replace("\\n", "");
    let candidates = match dialect {
        DialectId::ModelCard | DialectId::Archgw031 => {
            let answer: LlmRouterResponse = serde_json::from_str(without_fences(&repaired)).map_err(unreadable)?;
            answer.route.filter(|name| name != NO_ROUTE_LABEL).into_iter().collect()
        }
        DialectId::Plano0419 | DialectId::Plano0420 => {
            let answer: AgentOrchestratorResponse = serde_json::from_str(&repaired).map_err(unreadable)?;
            answer.route.unwrap_or_default()
        }
    };
    let names: Vec<S> = names.into_iter().collect();
    let is_known = |candidate: &String| !candidate.is_empty() && names.iter().any(|name| name.as_ref() == candidate);
    Ok(candidates.into_iter().find(is_known))
}

/// Returns the text without a code fence at its very ends, each end on its own.
fn without_fences(text: &str) -> &str {
    let text = text.strip_prefix("```json").unwrap_or(text);
    text.strip_suffix("```").unwrap_or(text)
}

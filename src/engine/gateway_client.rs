//! A running Plano as a router: its `/routing` interface decides with the routes of the policy instead of those of its configuration.
//!
//! What is tested is the deployed path itself: prompt, router and answer parser are the gateway's, so the request's dialect does not matter;
//! [`RouterInfo::live_gateway`] tells such decisions.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::EngineError;
use super::endpoint::millis;
use super::protocol::{CancelToken, Progress, RouteRequest, RouterDescription};
use super::server::{Failure, Reply, Server};
use super::server_key::Keys;
use super::service::Service;
use super::source::Limits;
use super::worker::OnProgress;
use crate::decision::{Decision, Latency, Outcome, RouterInfo, TokenCounts};
use crate::formats::{messages_json, routing_preference};
use crate::policy::{Policy, Route};

const PATH: &str = "/routing/v1/chat/completions";

/// Named where a policy has no model at all: the gateway wants a name, and looks it up only after routing.
const NO_MODEL: &str = "none";

/// A gateway, and the model that requests to it name.
pub struct GatewayRouter {
    server: Server,
    model: Option<String>,
    description: RouterDescription,
}

/// The answer of Plano 0.4.15 and later (`models`) and of 0.4.12 to 0.4.14 (`model`), which take no `routing_preferences` from a request.
#[derive(Deserialize)]
struct Routed {
    route: Option<String>,
    #[serde(default)]
    models: Vec<String>,
    model: Option<String>,
    pinned: Option<bool>,
}

impl GatewayRouter {
    /// Opens a gateway: something must listen there. Whether it has the interface shows at the first conversation.
    ///
    /// # Errors
    /// Fails with a sentence and a remedy when it cannot be reached or refuses.
    pub fn open(
        id: String,
        url: &str,
        model: Option<&str>,
        limits: Limits,
        progress: OnProgress<'_>,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        progress(Progress { stage: Self::ASKING, done: 0, total: None });
        let server = Server::new(url, Keys::Own, limits)?;
        server.run(cancel, async {
            match server.get("/v1/models").await {
                Ok(_) => Ok(()),
                Err(failure @ (Failure::Unreachable(_) | Failure::TimedOut | Failure::Status { code: 401 | 403, .. })) => {
                    Err(server.error(&failure))
                }
                // It listens; older versions list no models.
                Err(_) => Ok(()),
            }
        })?;
        let description = RouterDescription {
            info: RouterInfo { id, device: "gateway".to_owned(), dtype: "unknown".to_owned(), temperature: None },
            label: format!("Gateway at {}", url.split("://").nth(1).unwrap_or(url)),
            context: 0,
            weight_bytes: 0,
            refused: Vec::new(),
            stamp: None,
        };
        Ok(Self { server, model: model.map(str::to_owned), description })
    }

    fn decision(&self, read: Read, answer: String, rendered: Duration, elapsed: Duration) -> Decision {
        let (outcome, route, model, error) = read;
        Decision {
            outcome,
            route,
            model,
            one_of: Vec::new(),
            answer,
            error,
            greedy_proved: false,
            probabilities: Vec::new(),
            margin: 0.0,
            invalid_mass: 0.0,
            tokens: TokenCounts::default(),
            latency_ms: Latency {
                render: millis(rendered),
                forward: millis(elapsed),
                total: millis(rendered + elapsed),
                ..Latency::default()
            },
            dialect: None,
            router: self.description.info.clone(),
            order_stability: None,
        }
    }
}

impl Service for GatewayRouter {
    const ASKING: &'static str = "Asking the gateway";

    fn server(&self) -> &Server {
        &self.server
    }

    fn description(&self) -> &RouterDescription {
        &self.description
    }

    /// The order counts for nothing: the gateway shuffles the routes of each request, so that each repetition is an order of its own choice.
    async fn decide_order(&self, request: &RouteRequest, routes: &[&Route]) -> Result<Decision, Failure> {
        let start = Instant::now();
        let policy = &request.policy;
        let named = self.model.as_deref().or(policy.fallback.as_deref()).or_else(|| policy.routes.iter().find_map(Route::model));
        let body = body(routes, request, named.unwrap_or(NO_MODEL))?;
        let rendered = start.elapsed();
        match self.server.post(PATH, &body).await {
            Ok(Reply { text, elapsed }) => {
                let routed: Routed =
                    serde_json::from_str(&text).map_err(|error| Failure::Malformed(format!("no routing answer: {error}")))?;
                if let Some(failure) = unfit(&routed) {
                    return Err(failure);
                }
                Ok(self.decision(read(routed, policy), text, rendered, elapsed))
            }
            // What users of the gateway would see for this conversation.
            Err(Failure::Status { code: 500, message, elapsed, .. }) => {
                let error = format!("the gateway answered HTTP 500: {message}");
                Ok(self.decision((Outcome::Error, None, None, Some(error)), message, rendered, elapsed))
            }
            Err(Failure::Status { code: 404 | 405, .. }) => {
                Err(Failure::Unfit(format!("has no {PATH}; name the port of Plano's model listener, and use Plano 0.4.15 or later")))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Outcome, route, model and what went wrong.
type Read = (Outcome, Option<String>, Option<String>, Option<String>);

/// Returns why an answer says nothing about the routes of the request.
fn unfit(routed: &Routed) -> Option<Failure> {
    let reason = match routed {
        Routed { pinned: Some(true), .. } => {
            "answered from an earlier request of the same session, not by the routes of this one; switch `prompt_caching` and \
             `routing_budget` off in its configuration while you test"
        }
        Routed { models, model: Some(_), .. } if models.is_empty() => {
            "decides by its own configuration and takes no routes from a request, as Plano 0.4.12 to 0.4.14 do; use Plano 0.4.15 or later"
        }
        Routed { route: None, models, .. } if models.is_empty() => {
            return Some(Failure::Malformed("no routing answer: it names neither a route nor models".to_owned()));
        }
        _ => return None,
    };
    Some(Failure::Unfit(reason.to_owned()))
}

fn read(routed: Routed, policy: &Policy) -> Read {
    let first = routed.models.into_iter().next();
    match routed.route {
        None => (Outcome::NoRoute, None, policy.fallback.clone(), None),
        Some(route) if policy.route(&route).is_some() => (Outcome::Route, Some(route), first, None),
        Some(route) => {
            let error = format!(
                "the gateway chose {route:?}, which is no route of this policy: it decided by its own configuration, \
                 so it did not take the routes of the request; use Plano 0.4.15 or later"
            );
            (Outcome::Error, None, None, Some(error))
        }
    }
}

/// An ordinary request with the whole conversation, and the policy's routes in place of the configured ones.
fn body(routes: &[&Route], request: &RouteRequest, model: &str) -> Result<Value, Failure> {
    let messages: Value =
        serde_json::from_str(&messages_json(&request.conversation)).map_err(|error| Failure::Malformed(error.to_string()))?;
    // The gateway ignores the whole list where a route has no model.
    let fallback = [model.to_owned()];
    let models = |route: &Route| if route.models.is_empty() { fallback.to_vec() } else { route.models.clone() };
    let preferences = routes.iter().map(|route| routing_preference(route, &models(route)));
    Ok(json!({
        "model": model,
        "messages": messages,
        "routing_preferences": preferences.collect::<Vec<_>>(),
    }))
}

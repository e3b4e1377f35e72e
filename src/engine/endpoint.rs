//! A router behind an OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama and others.
//!
//! A request is what the dialect's gateway sends: one user message and the temperature 0.01. Log-probabilities are asked for besides, which
//! changes nothing of what is written, and are done without where a server does not know them.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::EngineError;
use super::logprobs::{WrittenToken, probabilities};
use super::protocol::{CancelToken, Progress, RouteRequest, RouterDescription};
use super::server::{Failure, LOGPROB, Reply, Server};
use super::server_key::Keys;
use super::service::Service;
use super::source::Limits;
use super::worker::OnProgress;
use crate::decision::{Decision, Latency, Outcome, RouterInfo, TokenCounts};
use crate::dialect::{parse_answer, render};
use crate::policy::Route;

/// What gateways send since archgw 0.3.3. The model card's quickstart sets none and would sample; a measurement must be repeatable.
const TEMPERATURE: f64 = 0.01;

/// Most of the tokens in a place that OpenAI's format allows to ask for.
const ALTERNATIVES: u32 = 20;

/// A server and the model that it is asked for.
pub struct EndpointRouter {
    server: Server,
    model: String,
    description: RouterDescription,
    /// Whether log-probabilities are still asked for; [`Cell`] because requests in flight share it.
    logprobs: Cell<bool>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
    logprobs: Option<Logprobs>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    content: Option<Vec<WrittenToken>>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: usize,
    #[serde(default)]
    completion_tokens: usize,
    prompt_tokens_details: Option<PromptTokens>,
}

#[derive(Deserialize)]
struct PromptTokens {
    cached_tokens: Option<usize>,
}

impl EndpointRouter {
    /// Opens a server: it must answer, and not refuse the key.
    ///
    /// # Errors
    /// Fails with a sentence and a remedy when it cannot be reached or refuses.
    pub fn open(
        id: String,
        url: &str,
        model: &str,
        limits: Limits,
        progress: OnProgress<'_>,
        cancel: &CancelToken,
    ) -> Result<Self, EngineError> {
        progress(Progress { stage: Self::ASKING, done: 0, total: None });
        let server = Server::new(url, Keys::OpenAi, limits)?;
        let listed = server.run(cancel, async {
            match server.get("/models").await {
                Ok(reply) => Ok(serde_json::from_str::<Value>(&reply.text).unwrap_or_default()),
                // Not every server lists its models; the first request will tell.
                Err(Failure::Status { code: 404 | 405 | 500 | 501, .. }) => Ok(Value::Null),
                Err(failure) => Err(server.error(&failure)),
            }
        })?;
        let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(url);
        let description = RouterDescription {
            info: RouterInfo { id, device: "server".to_owned(), dtype: "unknown".to_owned(), temperature: None },
            label: format!("{model} on {host}"),
            context: context(&listed, model).unwrap_or(0),
            weight_bytes: 0,
            refused: Vec::new(),
            stamp: None,
        };
        Ok(Self { server, model: model.to_owned(), description, logprobs: Cell::new(true) })
    }

    async fn ask(&self, prompt: &str) -> Result<Reply, Failure> {
        let mut body = json!({
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": TEMPERATURE,
        });
        if !self.logprobs.get() {
            return self.server.post("/chat/completions", &body).await;
        }
        let plain = body.clone();
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(ALTERNATIVES);
        match self.server.post("/chat/completions", &body).await {
            Err(Failure::Status { message, .. }) if message.contains(LOGPROB) => {
                self.logprobs.set(false);
                self.server.post("/chat/completions", &plain).await
            }
            result => result,
        }
    }
}

impl Service for EndpointRouter {
    const ASKING: &'static str = "Asking the server";

    fn server(&self) -> &Server {
        &self.server
    }

    fn description(&self) -> &RouterDescription {
        &self.description
    }

    async fn decide_order(&self, request: &RouteRequest, routes: &[&Route]) -> Result<Decision, Failure> {
        let start = Instant::now();
        let prompt = render(request.dialect, routes, &request.conversation, request.budget).text;
        let rendered = start.elapsed();
        let Reply { text, elapsed } = self.ask(&prompt).await?;
        let Completion { choices, usage } =
            serde_json::from_str(&text).map_err(|error| Failure::Malformed(format!("no chat completion: {error}")))?;
        let names: Vec<&str> = routes.iter().map(|route| route.name.as_str()).collect();
        // A gateway finds no route where there is no choice, no content or an empty one.
        let choice = choices.into_iter().next();
        let written = choice.as_ref().and_then(|choice| choice.logprobs.as_ref()?.content.as_deref()).unwrap_or_default();
        let probabilities = probabilities(request.dialect, &names, written);
        let answer = choice.and_then(|choice| choice.message.content).unwrap_or_default();
        let (outcome, route, error) = match parse_answer(request.dialect, &names, &answer) {
            Ok(Some(route)) => (Outcome::Route, Some(route), None),
            Ok(None) => (Outcome::NoRoute, None, None),
            Err(error) => (Outcome::Error, None, Some(error.to_string())),
        };
        let model = if outcome == Outcome::Error { None } else { request.policy.model_for(route.as_deref()).map(str::to_owned) };
        let one_of = request.policy.one_of(route.as_deref()).to_vec();
        let unknown = (1.0 - probabilities.iter().map(|route| route.p).sum::<f64>()).max(0.0);
        let second = probabilities.get(1).map_or(0.0, |second| second.p);
        // What is left may all be one route's.
        let margin = probabilities.first().map_or(0.0, |best| (best.p - second.max(unknown)).max(0.0));
        Ok(Decision {
            outcome,
            route,
            model,
            one_of,
            answer,
            error,
            greedy_proved: false,
            invalid_mass: if probabilities.is_empty() { 0.0 } else { unknown },
            margin,
            probabilities,
            tokens: usage.map(tokens).unwrap_or_default(),
            latency_ms: Latency {
                render: millis(rendered),
                forward: millis(elapsed),
                total: millis(rendered + elapsed),
                ..Latency::default()
            },
            dialect: Some(request.dialect),
            router: self.description.info.clone(),
            order_stability: None,
        })
    }
}

/// Returns how many tokens a listed model reads: vLLM and SGLang say `max_model_len`, llama.cpp the context it was trained with.
fn context(listed: &Value, model: &str) -> Option<usize> {
    let models = listed.get("data")?.as_array()?;
    let named = models.iter().find(|listed| listed["id"] == model).or_else(|| models.first().filter(|_| models.len() == 1))?;
    let tokens = named.get("max_model_len").or_else(|| named.get("meta")?.get("n_ctx_train"))?.as_u64()?;
    usize::try_from(tokens).ok()
}

fn tokens(usage: Usage) -> TokenCounts {
    let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0).min(usage.prompt_tokens);
    TokenCounts { prompt: usage.prompt_tokens, cached, computed: usage.prompt_tokens - cached + usage.completion_tokens }
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

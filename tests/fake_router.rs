//! A router without a network, for tests of what stands around it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waypost::app::{CacheStats, Caches, DeviceChoice, Loader, RouterDescription, RouterSource, StartOptions};
use waypost::decision::{Decision, Latency, Outcome, RouteProbability, RouterInfo, TokenCounts};
use waypost::engine::{CancelToken, EngineError, OnProgress, Progress, RouteRequest, Router};
use waypost::policy::NO_ROUTE_LABEL;

/// What the fake does when it is asked to load or to decide.
#[derive(Clone, Copy, Debug)]
pub enum Behaviour {
    /// Loads, and chooses the second route with 0.913.
    Decide,
    /// As [`Self::Decide`], a little less sure each time.
    Moves,
    /// Loads, and chooses the route most of whose description's words the last message has; the first of equals, none without a word.
    Words,
    /// As [`Self::Words`], and where no route has a word the gateway would fail.
    Errors,
    /// As [`Self::Words`], with the words of all messages.
    AllWords,
    /// As [`Self::Words`], and takes its time.
    Slow,
    /// As [`Self::Decide`], on the CPU because the GPU cannot be used.
    Refused,
    /// As [`Self::Decide`], as a live gateway does, which gives no probabilities and counts no tokens.
    Bare,
    /// As [`Self::Decide`], as a server does that counts no tokens.
    Server,
    /// Loads, and finds that no route fits.
    DecideNone,
    /// Loads, and fails each request with this sentence.
    FailRequests(&'static str),
    /// Loads, and panics at each request.
    Panic,
    /// Loads, and works on a request until it is cancelled.
    Block,
    /// As [`Self::Words`], and works on a policy with a route of this name until it is cancelled.
    BlockOn(&'static str),
    /// As [`Self::Words`], and fails each request about a policy with a route of this name.
    FailOn(&'static str),
    /// Fails to load, with this sentence.
    FailLoading(&'static str),
    /// Loads until it is cancelled, half of the way done.
    BlockLoading,
}

/// Returns options of a window on the sample with such a router.
pub fn options(behaviour: Behaviour) -> StartOptions {
    StartOptions {
        files: Vec::new(),
        router: Some(RouterSource::Builtin),
        device: DeviceChoice::Cpu,
        loader: loader(behaviour),
        hub: Arc::new(|| Err(EngineError::router("there is no Hub in this test"))),
        // Neither what whoever runs the tests has downloaded nor the folders of theirs; digests of the built-in router are worth keeping.
        caches: Caches { hub: Some("/nowhere/hub".into()), digests: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("digests.json")) },
    }
}

/// As [`options`], with a router that decides only on request: "Route while typing" is on by itself for the built-in one alone.
pub fn on_request(behaviour: Behaviour) -> StartOptions {
    StartOptions { router: Some(RouterSource::Folder("fake".into())), ..options(behaviour) }
}

fn loader(behaviour: Behaviour) -> Loader {
    Box::new(move |source, _device, progress: OnProgress<'_>, cancel: &CancelToken, _previous| {
        progress(Progress { stage: "Reading weights", done: 50, total: Some(100) });
        match behaviour {
            Behaviour::FailLoading(sentence) => Err(EngineError::router(sentence)),
            Behaviour::BlockLoading => Err(wait_for(cancel)),
            _ => {
                let id = if *source == RouterSource::Builtin { "fake".to_owned() } else { source.to_string() };
                Ok(Box::new(FakeRouter { behaviour, prompts: 0, info: RouterInfo { id, device: device(behaviour), ..info() } }))
            }
        }
    })
}

struct FakeRouter {
    behaviour: Behaviour,
    prompts: u64,
    info: RouterInfo,
}

impl Router for FakeRouter {
    fn description(&self) -> RouterDescription {
        let refused = match self.behaviour {
            Behaviour::Refused => vec!["cuda cannot be used (the driver is too old)".to_owned()],
            _ => Vec::new(),
        };
        let (info, label) = (self.info.clone(), "Fake router".to_owned());
        RouterDescription { info, label, context: 32_768, weight_bytes: 538_000_000, refused, stamp: None }
    }

    fn cache_stats(&self) -> CacheStats {
        CacheStats { bytes: 12_000_000 * self.prompts, budget_bytes: 256_000_000, hit_tokens: 400 * self.prompts, missed_tokens: 150 }
    }

    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError> {
        progress(Progress { stage: "Reading the prompt", done: 256, total: Some(534) });
        self.prompts += 1;
        match self.behaviour {
            Behaviour::FailRequests(sentence) => Err(EngineError::request(sentence)),
            Behaviour::Panic => panic!("a fake defect"),
            Behaviour::Block => Err(wait_for(cancel)),
            Behaviour::DecideNone => Ok(decision(request, None)),
            Behaviour::BlockOn(name) if request.policy.route(name).is_some() => Err(wait_for(cancel)),
            Behaviour::FailOn(name) if request.policy.route(name).is_some() => Err(EngineError::request(format!("{name} is too long"))),
            Behaviour::Words | Behaviour::BlockOn(_) | Behaviour::FailOn(_) => Ok(decision(request, by_words(request, 1))),
            Behaviour::Errors => Ok(match by_words(request, 1) {
                None => Decision { outcome: Outcome::Error, error: Some("HTTP 500".to_owned()), model: None, ..decision(request, None) },
                route => decision(request, route),
            }),
            Behaviour::AllWords => Ok(decision(request, by_words(request, usize::MAX))),
            Behaviour::Slow => {
                std::thread::sleep(Duration::from_millis(20));
                cancel.check()?;
                Ok(decision(request, by_words(request, 1)))
            }
            Behaviour::Moves => {
                let mut moved = decision(request, request.policy.routes.get(1).map(|route| route.name.clone()));
                moved.probabilities[0].p -= 0.01 * self.prompts as f64;
                Ok(moved)
            }
            Behaviour::Bare => {
                let decision = decision(request, request.policy.routes.get(1).map(|route| route.name.clone()));
                let (tokens, router) = (TokenCounts::default(), self.info.clone());
                Ok(Decision { probabilities: Vec::new(), margin: 0.0, invalid_mass: 0.0, tokens, dialect: None, router, ..decision })
            }
            Behaviour::Server => {
                let decision = decision(request, request.policy.routes.get(1).map(|route| route.name.clone()));
                Ok(Decision { tokens: TokenCounts::default(), router: self.info.clone(), ..decision })
            }
            _ => {
                let decision = decision(request, request.policy.routes.get(1).map(|route| route.name.clone()));
                Ok(Decision { router: self.info.clone(), ..decision })
            }
        }
    }
}

/// Chooses by the words of the `newest` messages.
fn by_words(request: &RouteRequest, newest: usize) -> Option<String> {
    let messages = request.conversation.messages.iter().rev().take(newest);
    let said = messages.map(|message| message.text()).collect::<Vec<_>>().join("\n");
    let count = |description: &str| description.split_whitespace().filter(|word| said.contains(word)).count();
    let routes = request.policy.routes.iter().map(|route| (count(&route.description), route));
    // The last of equals is the greatest, so that they are looked at from behind.
    let (most, route) = routes.rev().max_by_key(|(count, _)| *count)?;
    (most > 0).then(|| route.name.clone())
}

/// Waits a bounded time, so that a broken cancel fails a test rather than hanging it.
pub fn wait_for(cancel: &CancelToken) -> EngineError {
    for _ in 0..2000 {
        if cancel.is_cancelled() {
            return EngineError::Cancelled;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    EngineError::request("nobody cancelled")
}

fn device(behaviour: Behaviour) -> String {
    match behaviour {
        Behaviour::Bare => "gateway",
        Behaviour::Server => "server",
        _ => "cpu",
    }
    .to_owned()
}

fn info() -> RouterInfo {
    RouterInfo { id: "fake".to_owned(), device: "cpu".to_owned(), dtype: "f32".to_owned(), temperature: None }
}

pub fn decision(request: &RouteRequest, route: Option<String>) -> Decision {
    let chosen = route.clone().unwrap_or_else(|| NO_ROUTE_LABEL.to_owned());
    let answers = request.policy.routes.iter().map(|route| Some(route.name.as_str())).chain([None]);
    let rest: Vec<Option<&str>> = answers.filter(|answer| *answer != route.as_deref()).collect();
    let mut probabilities = vec![RouteProbability::new(route.as_deref(), 0.913)];
    // Halves of what is left, so that the list is sorted and sums to 0.998.
    let mut left = 0.085;
    for (position, name) in rest.iter().enumerate() {
        let p = if position + 1 == rest.len() { left } else { left / 2.0 };
        left -= p;
        probabilities.push(RouteProbability::new(*name, p));
    }
    let margin = 0.913 - probabilities.get(1).map_or(0.0, |second| second.p);
    Decision {
        outcome: if route.is_some() { Outcome::Route } else { Outcome::NoRoute },
        model: request.policy.model_for(route.as_deref()).map(str::to_owned),
        one_of: request.policy.one_of(route.as_deref()).to_vec(),
        answer: format!("{{\"route\": \"{chosen}\"}}"),
        route,
        error: None,
        greedy_proved: true,
        probabilities,
        margin,
        invalid_mass: 0.002,
        tokens: TokenCounts { prompt: 534, cached: 400, computed: 156 },
        latency_ms: Latency { render: 0.1, tokenize: 0.4, forward: 96.5, decode: 0.0, total: 97.0 },
        dialect: Some(request.dialect),
        router: info(),
        order_stability: None,
    }
}

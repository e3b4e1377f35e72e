//! Asking a server: timeouts, tries with growing pauses, several requests in flight, and what went wrong as sentences.

use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::EngineError;
use super::protocol::{CancelToken, RouteRequest};
use super::server_key::{Keys, Secret, key};
use super::source::Limits;
use super::worker::{OnDecided, Requests};
use crate::decision::Decision;

/// A server does not get longer pauses than this, whatever it asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What servers that do not know log-probabilities say of them: `logprobs is not supported`, `unknown field top_logprobs`, `no logprob`.
pub const LOGPROB: &str = "logprob";

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// So many refusals in a row are of everybody, however few requests are open: one comes at once, and may be of a single conversation.
const REFUSALS: usize = 16;

/// How often a running request looks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(20);

/// Until the connections of given up requests are closed; what is sent for that takes no longer.
const CLOSING: Duration = Duration::from_millis(10);

/// A server that is asked over HTTP, from one thread.
pub struct Server {
    runtime: Runtime,
    client: reqwest::Client,
    url: String,
    key: Option<Secret>,
    limits: Limits,
    /// What may still be opened: one decision can take several requests.
    free: Semaphore,
    /// Requests lost, and refused, without a decision in between, and whether any was ever decided: across the parts that a set is decided in.
    lost_in_a_row: Cell<usize>,
    refused_in_a_row: Cell<usize>,
    was_useful: Cell<bool>,
}

/// What a server answered, and how long it took until the last byte.
#[derive(Debug)]
pub struct Reply {
    pub text: String,
    pub elapsed: Duration,
}

/// Why a request has no answer, after all tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it was cut.
    Unreachable(String),
    TimedOut,
    /// Another status than success; the message is the server's own.
    Status {
        code: u16,
        message: String,
        retry_after: Option<Duration>,
        /// Until all of the answer was there.
        elapsed: Duration,
    },
    /// Success, but not of the shape that was expected.
    Malformed(String),
    /// This server cannot be asked for what is wanted, whatever is asked; why, and what to do.
    Unfit(String),
}

impl Failure {
    /// Returns whether the same request may have an answer a moment later.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::TimedOut | Self::Malformed(_) | Self::Unfit(_) => false,
            Self::Status { code, message, .. } => match code {
                // A gateway's 500 is its answer to a router's answer, and a server's may name a parameter that it does not know.
                500 => !message.contains("determine route") && !message.contains(LOGPROB),
                _ => matches!(code, 408 | 429 | 502..=504),
            },
        }
    }

    /// Returns whether every other request would fail alike.
    fn is_lasting(&self) -> bool {
        matches!(self, Self::Unfit(_) | Self::Status { code: 401, .. })
    }
}

impl Server {
    /// Prepares for a server, with the user's key for it where the limits allow to look; nothing is sent yet.
    ///
    /// # Errors
    /// Fails where the system gives no sockets or no certificates.
    pub fn new(url: &str, keys: Keys, limits: Limits) -> Result<Self, EngineError> {
        Self::with_key(url, if limits.with_key { key(url, keys) } else { None }, limits)
    }

    /// As [`Self::new`], with the key that is known already.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_key(url: &str, key: Option<Secret>, limits: Limits) -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError::router(format!("{url} cannot be asked: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let client = reqwest::Client::builder().connect_timeout(CONNECT).user_agent(concat!("waypost/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|error| failed(&error))?;
        let free = Semaphore::new(limits.in_flight.clamp(1, Semaphore::MAX_PERMITS));
        let (lost_in_a_row, refused_in_a_row, was_useful) = <(Cell<usize>, Cell<usize>, Cell<bool>)>::default();
        Ok(Self { runtime, client, url: url.to_owned(), key, limits, free, lost_in_a_row, refused_in_a_row, was_useful })
    }

    /// Returns how the server is asked.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Does something with the server until it is done or cancelled.
    ///
    /// # Errors
    /// Fails on cancellation, and as the work itself does.
    pub fn run<T>(&self, cancel: &CancelToken, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        self.runtime.block_on(async {
            let cancelled = async {
                while !cancel.is_cancelled() {
                    tokio::time::sleep(CANCEL_CHECK).await;
                }
            };
            let result = tokio::select! {
                biased;
                result = work => result,
                () = cancelled => Err(EngineError::Cancelled),
            };
            if result.is_err() {
                // Requests may have been given up with the work. Their connections are closed by tasks that run in here alone, and until then
                // the server goes on with what nobody waits for.
                tokio::time::sleep(CLOSING).await;
            }
            result
        })
    }

    /// Decides as many conversations at the same time as the limits allow requests; new ones are made as others are decided.
    ///
    /// # Errors
    /// Fails on cancellation, when the server refuses one after the other, when it stops answering, and when it never answered as it should.
    pub fn decide_all<'a, F: Future<Output = Result<Decision, Failure>>>(
        &'a self,
        requests: Requests<'_>,
        ask: impl Fn(RouteRequest) -> F + 'a,
        done: OnDecided<'_>,
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let in_flight = self.limits.in_flight.max(1);
        self.run(cancel, async {
            let mut open = FuturesUnordered::new();
            let mut requests = requests.enumerate();
            loop {
                while open.len() < in_flight
                    && let Some((index, request)) = requests.next()
                {
                    let asked = ask(request);
                    open.push(async move { (index, asked.await) });
                }
                let Some((index, result)) = open.next().await else { return Ok(()) };
                match result {
                    Ok(decision) => {
                        self.begin_rows();
                        self.was_useful.set(true);
                        done(index, Ok(decision));
                    }
                    Err(failure) if failure.is_lasting() => return Err(EngineError::Router(self.sentence(&failure))),
                    Err(failure) => {
                        let error = self.error(&failure);
                        // Of everybody, as of a model that is not there, or of this conversation alone, by a filter of what is said.
                        let is_refusal = matches!(failure, Failure::Status { code: 403..=405, .. });
                        // A server that decided something may fail at single cases; one that never did is broken or none at all.
                        let is_lost = matches!(failure, Failure::Unreachable(_))
                            || (!self.was_useful.get() && matches!(error, EngineError::Router(_)));
                        done(index, Err(EngineError::Request(self.sentence(&failure))));
                        let (row, enough) = match (is_refusal, is_lost) {
                            (true, _) => (&self.refused_in_a_row, in_flight.max(REFUSALS)),
                            (false, true) => (&self.lost_in_a_row, in_flight),
                            (false, false) => {
                                self.begin_rows();
                                continue;
                            }
                        };
                        row.set(row.get() + 1);
                        // Each of them was given its time and tries: the rest would fail alike, one long pause after the other.
                        if row.get() >= enough {
                            self.begin_rows();
                            return Err(error);
                        }
                    }
                }
            }
        })
    }

    fn begin_rows(&self) {
        self.lost_in_a_row.set(0);
        self.refused_in_a_row.set(0);
    }

    /// Returns a failed request's error: of the router where it says something about the server, of the request where it says something
    /// about what was asked.
    pub fn error(&self, failure: &Failure) -> EngineError {
        match failure {
            Failure::Status { code: 400 | 413 | 422, .. } => EngineError::Request(self.sentence(failure)),
            _ => EngineError::Router(self.sentence(failure)),
        }
    }

    /// Sends a body and returns the answer; tries again while the server is busy or cannot be reached.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply, Failure> {
        self.tries(|| self.client.post(format!("{}{path}", self.url)).json(body)).await
    }

    /// Asks for a document.
    pub async fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.tries(|| self.client.get(format!("{}{path}", self.url))).await
    }

    async fn tries(&self, request: impl Fn() -> reqwest::RequestBuilder) -> Result<Reply, Failure> {
        let mut tried = 1;
        loop {
            let failure = match self.once(request()).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => failure,
            };
            if tried >= self.limits.attempts || !failure.may_pass() {
                return Err(failure);
            }
            tokio::time::sleep(self.pause(tried, &failure)).await;
            tried += 1;
        }
    }

    /// Returns how long to wait after a number of tries: twice as long each time, what the server asks for at least, spread by chance.
    fn pause(&self, tried: u32, failure: &Failure) -> Duration {
        let grown = self.limits.pause.saturating_mul(1 << tried.saturating_sub(1).min(10));
        let asked = if let Failure::Status { retry_after: Some(asked), .. } = failure { *asked } else { Duration::ZERO };
        // Either may be near the longest duration there is.
        (asked.min(LONGEST_PAUSE) + grown.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64())).min(LONGEST_PAUSE)
    }

    /// Adds the key to a request.
    pub fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if let Some(key) = &self.key { request.bearer_auth(key.as_str()) } else { request }
    }

    async fn once(&self, request: reqwest::RequestBuilder) -> Result<Reply, Failure> {
        let request = self.authorised(request);
        // Held until the answer is there, and not during pauses; nobody closes the semaphore.
        let _open = self.free.acquire().await;
        let start = Instant::now();
        let response = request.timeout(self.limits.timeout).send().await.map_err(|error| self.lost(&error))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let text = response.text().await.map_err(|error| self.lost(&error))?;
        let elapsed = start.elapsed();
        if status.is_success() {
            return Ok(Reply { text, elapsed });
        }
        let message = self.without_key(&message(&text));
        Err(Failure::Status { code: status.as_u16(), message, retry_after: retry_after.map(Duration::from_secs), elapsed })
    }

    /// Returns what became of a connection.
    pub fn lost(&self, error: &reqwest::Error) -> Failure {
        if error.is_timeout() && !error.is_connect() {
            return Failure::TimedOut;
        }
        // reqwest's own words say "error sending request"; the last cause says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        Failure::Unreachable(self.without_key(&cause.to_string()))
    }

    /// A server may repeat the key that it refused.
    fn without_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) => text.replace(key.as_str(), "…"),
            None => text.to_owned(),
        }
    }

    /// Returns what went wrong and what to do about it.
    pub fn sentence(&self, failure: &Failure) -> String {
        let url = &self.url;
        let said = |message: &str| if message.is_empty() { String::new() } else { format!(": {message}") };
        match failure {
            Failure::Unreachable(cause) => {
                format!("{url} cannot be reached ({cause}); check the address, and that the server runs")
            }
            Failure::TimedOut => {
                let seconds = self.limits.timeout.as_secs_f64();
                format!(
                    "{url} did not answer within {seconds} s; give it more time with --timeout, or send fewer requests at once with --in-flight"
                )
            }
            Failure::Status { code: 401, message, .. } => {
                let remedy = match self.key {
                    Some(_) => "refuses the key that is set",
                    None => "requires a key",
                };
                format!("{url} {remedy} (401{}); set WAYPOST_API_KEY, or store the key in the system's keyring", said(message))
            }
            Failure::Status { code: 403, message, .. } => {
                format!("{url} refuses this conversation or this key (403{}); ask its owner what it blocks, or for access", said(message))
            }
            Failure::Status { code: 404, message, .. } => {
                let said = said(message);
                format!(
                    "{url} does not know the model or refuses this conversation (404{said}); check the address and the model after the #"
                )
            }
            Failure::Status { code: 429, message, .. } => {
                format!("{url} is too busy (429{}); send fewer requests at once with --in-flight, or try later", said(message))
            }
            Failure::Status { code, message, .. } => {
                let name = StatusCode::from_u16(*code).ok().and_then(|status| status.canonical_reason()).unwrap_or("unknown status");
                format!("{url} answered HTTP {code} {name}{}", said(message))
            }
            Failure::Unfit(reason) => format!("{url} {reason}"),
            Failure::Malformed(reason) => format!("{url} did not answer as expected ({reason}); is it the address of such a server?"),
        }
    }
}

/// Takes the sentence out of an error's body, whatever shape servers give it.
pub fn message(body: &str) -> String {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let error = parsed.get("error").unwrap_or(&parsed);
    let found = ["message", "detail", "error"].iter().find_map(|key| error.get(*key)?.as_str());
    let text = found.or_else(|| error.as_str()).unwrap_or_else(|| if body.trim_start().starts_with('<') { "" } else { body });
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(400).collect()
}

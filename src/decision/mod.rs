//! What deciding one conversation yields: plain data that the command line prints and the window draws.
//!
//! The `Serialize` shape is the contract of `waypost route --json`, which scripts read.

use serde::{Deserialize, Serialize};

use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// How the gateway would read the router's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A route of the policy was named.
    Route,
    /// The dialect's own way of saying that nothing fits.
    NoRoute,
    /// The gateway could not read the answer and would fail the request.
    Error,
}

/// The probability that the router answers with one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteProbability {
    /// A route's name; `other` stands for no route.
    pub route: String,
    /// Whether it is no route: in list dialects a route may be called `other` too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_route: bool,
    /// In answer-object dialects, of writing exactly this answer and ending the turn; in list dialects, of all answers whose first name this is.
    /// Rescaled among the answers where [`RouterInfo::temperature`] is set.
    pub p: f64,
}

impl RouteProbability {
    /// Returns the probability of a route, or of no route.
    pub fn new(route: Option<&str>, p: f64) -> Self {
        Self { route: route.unwrap_or(NO_ROUTE_LABEL).to_owned(), no_route: route.is_none(), p }
    }
}

/// Prompt tokens of one decision. `cached + computed` exceeds `prompt` by the nodes of the answer tree and decoded tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCounts {
    /// Tokens of the chat-templated prompt.
    pub prompt: usize,
    /// Prompt tokens whose keys and values came from the prefix cache.
    pub cached: usize,
    /// Tokens that went through the network, the answer tree's included.
    pub computed: usize,
}

/// Wall-clock milliseconds of each part of a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub render: f64,
    /// The prompt, and the answers where there is no tree of them yet.
    pub tokenize: f64,
    /// The pass over the prompt and the answer tree, scoring included. Of a pass over several prompts, the share of this one by the tokens
    /// computed for it, so that the times of all sum to what the whole took.
    pub forward: f64,
    /// Greedy decoding, where the pass did not already prove its result; shared as [`Self::forward`].
    pub decode: f64,
    pub total: f64,
}

/// Which router decided, and where it ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouterInfo {
    /// `builtin`, a Hub id, a path or a URL.
    pub id: String,
    /// `cpu`, `cuda` or `metal`; `server` or `gateway` where it runs behind one.
    pub device: String,
    /// Precision of the weights as computed with: `f32`, `bf16`, `f16` or a GGUF type.
    pub dtype: String,
    /// At which temperature the valid answers share their probability, from the router's `router.json`; `None` where each `p` is the router's
    /// own. It changes no decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
}

impl RouterInfo {
    /// Returns whether another router decides the same: runs of older versions do not tell their temperature.
    pub fn decides_as(&self, other: &Self) -> bool {
        (&self.id, &self.device, &self.dtype) == (&other.id, &other.device, &other.dtype)
    }

    /// Returns ` on cpu in f32`, to stand behind what the router is called; nothing where it runs elsewhere, since no server tells.
    pub fn place(&self) -> String {
        if matches!(self.device.as_str(), "server" | "gateway") { String::new() } else { format!(" on {} in {}", self.device, self.dtype) }
    }

    /// Returns whether the router that ships with Waypost decided, which no gateway asks.
    pub fn is_builtin(&self) -> bool {
        self.id == "builtin"
    }

    /// Returns the address of the running gateway that decided: with a prompt of its own, whatever dialect was asked for.
    pub fn live_gateway(&self) -> Option<&str> {
        let address = self.id.trim_start_matches("plano+");
        (self.device == "gateway").then(|| address.split_once('#').map_or(address, |(url, _)| url))
    }

    /// Returns the dialect that a decision was made in: the one that was asked for, none of ours where a running gateway decided.
    pub fn dialect_of(&self, asked: DialectId) -> Option<DialectId> {
        self.live_gateway().is_none().then_some(asked)
    }

    /// Returns [`Self::dialect_of`] in words, for people.
    pub fn dialect_words(&self, asked: DialectId) -> &'static str {
        self.dialect_of(asked).map_or("the gateway's own prompt", DialectId::as_str)
    }

    /// Returns whether the probabilities are those of all answers, so that what is left to 1 is text that is no valid answer. A server
    /// tells about its most probable tokens alone: what is left there may be routes as well.
    pub fn tells_all(&self) -> bool {
        self.device != "server"
    }
}

/// How often a decision changes when the routes are listed in another order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderStability {
    /// Orders tried besides the policy's own: fewer than were asked for where the routes have fewer, 0 of a single route.
    pub orders: usize,
    /// Orders whose decision differs from that of the policy's own order.
    pub changed: usize,
    /// Share of all orders, the policy's own included, that decide as it does: 1 is fully stable.
    pub agreement: f64,
    /// How often each decision was made over all orders, most frequent first.
    pub decisions: Vec<OrderCount>,
}

/// Returns a number of other orders of the routes for people: `1 other order`.
pub fn other_orders(count: usize) -> String {
    if count == 1 { "1 other order".to_owned() } else { format!("{count} other orders") }
}

/// One decision of an order test and how often it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCount {
    pub outcome: Outcome,
    /// `null` unless the outcome is `route`.
    pub route: Option<String>,
    pub count: usize,
}

/// Everything that is known about one decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub outcome: Outcome,
    /// The route's name, `null` unless the outcome is `route`.
    pub route: Option<String>,
    /// The model the policy maps the decision to, `null` where the policy names none or `one_of` names several.
    pub model: Option<String>,
    /// The models of which the gateway takes one, by prices or speeds that it alone knows; empty where the model is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub one_of: Vec<String>,
    /// What the router writes under greedy decoding, the end of turn left out.
    pub answer: String,
    /// Why the gateway could not read the answer, and what it would do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Whether the single pass already proved what greedy decoding writes.
    pub greedy_proved: bool,
    /// Every route and no route, most probable first.
    pub probabilities: Vec<RouteProbability>,
    /// Difference between the two largest probabilities; of a server, between the largest and the next one or all that it does not report,
    /// whichever is more.
    pub margin: f64,
    /// Probability of all text that is no valid answer; of all that is unknown where [`RouterInfo::tells_all`] says no.
    pub invalid_mass: f64,
    /// Zeros where whatever decided does not count them.
    pub tokens: TokenCounts,
    pub latency_ms: Latency,
    /// `null` where a running gateway decided, with a prompt of its own.
    pub dialect: Option<DialectId>,
    pub router: RouterInfo,
    pub order_stability: Option<OrderStability>,
}

impl Decision {
    /// Returns whether an entry of `probabilities` is the answer that was decided.
    pub fn chose(&self, entry: &RouteProbability) -> bool {
        match self.outcome {
            Outcome::Route => !entry.no_route && self.route.as_deref() == Some(entry.route.as_str()),
            Outcome::NoRoute => entry.no_route,
            Outcome::Error => false,
        }
    }

    /// Returns the label this decision carries in data sets: the route's name, `other`, or `None` for an error.
    pub fn label(&self) -> Option<&str> {
        match self.outcome {
            Outcome::Route => self.route.as_deref(),
            Outcome::NoRoute => Some(NO_ROUTE_LABEL),
            Outcome::Error => None,
        }
    }
}

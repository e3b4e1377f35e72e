//! Routes and policies: what the user writes, independent of any file format, dialect or model.

mod diff;
mod edit;
pub mod lint;
pub mod provider;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use diff::{PolicyChange, policy_changes};
pub use edit::PolicyEdit;

/// One destination of a policy: the router sees `name` and `description`, nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What the router answers with; unique in its policy.
    pub name: String,
    /// What the router matches the conversation against.
    pub description: String,
    /// Topic the route belongs to, for example `finance`. Groups routes for people; never sent to the router.
    pub domain: Option<String>,
    /// Operation inside the domain, for example `summarise`. Never sent to the router.
    pub action: Option<String>,
    /// Models that serve the route, the preferred one first.
    pub models: Vec<String>,
    /// Keys of the file that Waypost does not know, kept so that saving loses nothing.
    pub extra: ExtraKeys,
}

impl Route {
    /// Returns whether the route's `selection_policy` lets Plano prefer its models in this way: "cheapest", "fastest", or "none" for their own
    /// order.
    pub fn prefers(&self, what: &str) -> bool {
        let json = format!("{{\"prefer\":\"{what}\"}}");
        self.extra.iter().any(|(key, value)| key == SELECTION && *value == json)
    }

    /// Returns a route with a name and a description and nothing else.
    pub fn new(name: impl Into<String>, description: impl Into<String>) -> Self {
        Self { name: name.into(), description: description.into(), ..Self::default() }
    }

    /// Returns the first of `models`, which a gateway uses for this route unless Plano orders them itself ([`Self::reordering`]).
    pub fn model(&self) -> Option<&str> {
        self.models.first().map(String::as_str)
    }

    /// Returns what a `selection_policy` makes Plano take of several models, "cheapest" or "fastest", by prices or speeds that it alone knows;
    /// `None` where the first of `models` is the one it takes.
    pub fn reordering(&self) -> Option<&'static str> {
        ["cheapest", "fastest"].into_iter().find(|prefer| self.prefers(prefer)).filter(|_| self.models.len() > 1)
    }

    /// Returns for people which models Plano chooses from itself, and how; `None` where it takes the first.
    pub fn choice(&self) -> Option<String> {
        let prefer = self.reordering()?;
        Some(format!("one of {} (Plano picks the {prefer})", self.models.join(", ")))
    }
}

/// The key of a route that lets Plano order its models.
pub const SELECTION: &str = "selection_policy";

/// Unknown keys of a file in their order: the key and its value as compact JSON text.
///
/// Text rather than a value type, so that the domain layer needs no YAML or JSON library.
pub type ExtraKeys = Vec<(String, String)>;

/// An ordered set of routes, and what to do when none fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Shown to people; the file's stem is used when it is missing.
    pub name: Option<String>,
    /// The gateway generation this policy is meant for.
    pub dialect: Option<DialectId>,
    /// Estimated tokens that a gateway allows a prompt, where its operator sets them; see [`Self::budget_for`] for which gateways heed it.
    pub budget: Option<usize>,
    /// Model used when no route fits. Plano serves such a request with the model that it names.
    pub fallback: Option<String>,
    /// In the order of the file. Gateways feed them to the router in an order nobody controls.
    pub routes: Vec<Route>,
    /// Keys of the file that Waypost does not know, kept so that saving loses nothing.
    pub extra: ExtraKeys,
}

impl Policy {
    /// Returns the route with exactly this name; gateways match names case-sensitively.
    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// Returns the model that serves `route`, or the fallback when `route` is `None`; `None` too where Plano alone knows it
    /// ([`Self::one_of`]).
    pub fn model_for(&self, route: Option<&str>) -> Option<&str> {
        match route {
            Some(name) => self.route(name).filter(|route| route.reordering().is_none()).and_then(Route::model),
            None => self.fallback.as_deref(),
        }
    }

    /// Returns the models of which Plano takes one for `route` by an order of its own; none where the model is known.
    pub fn one_of(&self, route: Option<&str>) -> &[String] {
        let chosen = route.and_then(|name| self.route(name)).filter(|route| route.reordering().is_some());
        chosen.map_or(&[][..], |route| route.models.as_slice())
    }

    /// Returns the policy's budget where the gateways that send a dialect heed one: Plano 0.4.19 and later, as
    /// `overrides.orchestrator_model_context_length`. `None` stands for the dialect's own.
    pub fn budget_for(&self, dialect: DialectId) -> Option<usize> {
        self.budget.filter(|_| dialect.takes_budget())
    }
}

/// The label that stands for "no route" in data sets and reports.
pub const NO_ROUTE_LABEL: &str = "other";

/// The exact prompt text and answer shape of one consumer, named after the first version that ships it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DialectId {
    /// The Python quickstart of the model card of katanemo/Arch-Router-1.5B.
    #[serde(rename = "model-card")]
    ModelCard,
    /// archgw 0.3.1 to Plano 0.4.18.
    #[serde(rename = "archgw-0.3.1")]
    Archgw031,
    /// Plano 0.4.19: the orchestrator prompt with the old truncation.
    #[serde(rename = "plano-0.4.19")]
    Plano0419,
    /// Plano 0.4.20 and later: the orchestrator prompt, the last 16 messages, middle trim.
    #[serde(rename = "plano-0.4.20")]
    Plano0420,
}

impl DialectId {
    /// Every dialect, oldest consumer first.
    pub const ALL: [Self; 4] = [Self::ModelCard, Self::Archgw031, Self::Plano0419, Self::Plano0420];

    /// Used when neither the command nor the policy names one: the prompt Arch-Router-1.5B was trained on, as gateways sent it.
    pub const DEFAULT: Self = Self::Archgw031;

    /// Returns whether the operator of a gateway that sends this prompt can set its budget.
    pub fn takes_budget(self) -> bool {
        matches!(self, Self::Plano0419 | Self::Plano0420)
    }

    /// Returns the id as files and the command line spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ModelCard => "model-card",
            Self::Archgw031 => "archgw-0.3.1",
            Self::Plano0419 => "plano-0.4.19",
            Self::Plano0420 => "plano-0.4.20",
        }
    }

    /// Returns one sentence that says who sends this prompt.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::ModelCard => "The Python quickstart of Arch-Router's model card; nothing is cut",
            Self::Archgw031 => "archgw 0.3.1 to Plano 0.4.18; budget of 2048 estimated tokens",
            Self::Plano0419 => "Plano 0.4.19: orchestrator prompt, answers are lists; budget of 8192",
            Self::Plano0420 => "Plano 0.4.20 and later: orchestrator prompt, last 16 messages, long messages trimmed",
        }
    }
}

impl fmt::Display for DialectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A dialect id that is none of [`DialectId::ALL`]; displays the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect {0:?}; use model-card, archgw-0.3.1, plano-0.4.19 or plano-0.4.20")]
pub struct UnknownDialect(pub String);

impl FromStr for DialectId {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or_else(|| UnknownDialect(text.to_owned()))
    }
}

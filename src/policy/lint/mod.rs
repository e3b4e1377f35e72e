//! What is wrong with a policy, and what could be better: checks that need no model.
//!
//! Errors are what a gateway refuses and routes that can never be chosen; warnings are traps that gateways accept in silence, and what is
//! still to be filled in; advice is the vendor's own rules for writing routes. `docs/lint.md` has an entry for each code. Nothing here knows
//! files: lines are looked up by whoever has the text.

mod models;
mod names;
mod rules;
mod words;
mod writing;

use super::{Policy, PolicyEdit, Route};

pub use rules::{RULES, Rule};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A gateway refuses the policy, or a route can never be chosen. `waypost lint` fails.
    Error,
    /// The policy can be tested; a gateway does something else than its author expects, or takes it only once something was filled in.
    Warning,
    /// The policy works; the vendor's writing rules say that it could work better.
    Advice,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Advice];

    /// Returns a number of findings of this severity in words: "1 error", "2 pieces of advice".
    pub fn counted(self, count: usize) -> String {
        match (self, count) {
            (Self::Advice, 1) => "1 piece of advice".to_owned(),
            (Self::Advice, _) => format!("{count} pieces of advice"),
            (_, 1) => format!("1 {}", self.as_str()),
            _ => format!("{count} {}s", self.as_str()),
        }
    }

    /// Returns the severity as reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// The part of a policy or route that a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    Name,
    Description,
    Models,
    Action,
    Fallback,
    Budget,
    Routes,
    #[serde(rename = "selection_policy")]
    SelectionPolicy,
    Providers,
    #[serde(rename = "model_metrics_sources")]
    Sources,
}

impl Field {
    /// Returns the key that files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Models => "models",
            Self::Action => "action",
            Self::Fallback => "fallback",
            Self::Budget => "budget",
            Self::Routes => "routes",
            Self::SelectionPolicy => "selection_policy",
            Self::Providers => "providers",
            Self::Sources => "model_metrics_sources",
        }
    }
}

/// A change that removes the cause of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What the change does, as a button says it.
    pub label: String,
    pub edit: PolicyEdit,
}

/// One thing that a check noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static Rule,
    /// Position of the route in the policy; `None` when the policy as a whole is meant.
    pub route: Option<usize>,
    /// The route's name, for people.
    pub name: Option<String>,
    pub field: Option<Field>,
    /// What is wrong here, as one sentence without a full stop.
    pub message: String,
    pub fix: Option<Fix>,
}

/// What is known about the gateway besides the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LintContext {
    /// Every model the gateway declares; `None` when no configuration is at hand, and the check of undeclared models is left out.
    pub declared: Option<Vec<String>>,
    /// Whether the policy is that of a configuration of another gateway than Plano, which tells models apart that Plano does not.
    pub is_foreign: bool,
    /// Models whose address (`base_url`) is known.
    pub addressed: Vec<String>,
    /// What the gateway would refuse of what the policy keeps for it, one sentence each.
    pub refused: Vec<(Field, String)>,
}

/// Returns everything that the checks notice, the worst first, then in the order of the policy.
pub fn lint(policy: &Policy, context: &LintContext) -> Vec<Finding> {
    let mut findings = Findings::of_gateways(policy, context);
    writing::check(&mut findings);
    findings.sorted()
}

/// As [`lint`], without the vendor's rules for writing routes, which are advice alone and compare each description with the others.
pub fn lint_for_gateways(policy: &Policy, context: &LintContext) -> Vec<Finding> {
    Findings::of_gateways(policy, context).sorted()
}

/// Collects findings about one policy.
struct Findings<'a> {
    policy: &'a Policy,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    /// Returns what gateways refuse or do otherwise than expected.
    fn of_gateways(policy: &'a Policy, context: &LintContext) -> Self {
        let mut findings = Self { policy, list: Vec::new() };
        names::check(&mut findings);
        models::check(&mut findings, context);
        findings
    }

    fn sorted(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| (finding.rule.severity, finding.route.map_or(0, |route| route + 1), finding.rule.code));
        self.list
    }

    fn routes(&self) -> impl Iterator<Item = (usize, &'a Route)> + use<'a> {
        self.policy.routes.iter().enumerate()
    }

    /// Notes something about one route.
    fn route(&mut self, rule: &'static Rule, route: usize, field: Field, message: String, fix: Option<Fix>) {
        let name = self.policy.routes.get(route).map(|route| route.name.clone());
        self.list.push(Finding { rule, route: Some(route), name, field: Some(field), message, fix });
    }

    /// Notes something about the policy as a whole.
    fn whole(&mut self, rule: &'static Rule, field: Field, message: String) {
        self.list.push(Finding { rule, route: None, name: None, field: Some(field), message, fix: None });
    }
}

/// Returns the name of a route for a message, or its number where it has none, counted from 1.
fn named(policy: &Policy, route: usize) -> String {
    let name = policy.routes.get(route).map_or("", |route| route.name.as_str());
    if name.trim().is_empty() { (route + 1).to_string() } else { shown(name) }
}

/// Returns a name for a message: quoted, on one line, cut when it is long.
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

//! What an exported policy was tested with: plain data that the caller gives, as comments and as `routes.evidence.json`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decision::{RouterInfo, other_orders};
use crate::dialect::{GATEWAYS, default_budget};
use crate::eval::RecallGate;
use crate::formats::digest::sha256;
use crate::formats::policy_writer::write_policy;
use crate::policy::{DialectId, Policy};

use super::export::ExportFormat;
use super::meta::MARK;

/// Two routes that a router took for each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    pub label: String,
    pub decided: String,
    pub count: usize,
}

impl fmt::Display for Confusion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, decided, count } = self;
        write!(out, "{label} taken for {decided}, ")?;
        if *count == 1 { out.write_str("once") } else { write!(out, "{count} times") }
    }
}

/// How often decisions changed when routes were listed in other orders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Orders tried for each case.
    pub orders: usize,
    /// Cases whose decision changed in at least one of them.
    pub changed_cases: usize,
}

/// The agreement that somebody demanded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    pub min_agreement: f64,
    pub passed: bool,
    /// Neither passed nor failed: it depends on cases that were not decided.
    #[serde(default)]
    pub open: bool,
}

/// The contents of `routes.evidence.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// As [`policy_digest`] gives it, of the policy that was tested.
    pub policy_sha256: String,
    pub set: String,
    pub set_sha256: String,
    pub cases: usize,
    /// Cases that were to be decided; more than were where the run was stopped.
    #[serde(default)]
    pub planned: usize,
    /// Cases of the set that were not to be decided, since only its first were asked for.
    #[serde(default)]
    pub beyond_limit: usize,
    /// Cases for which the router gave no decision, none of `cases`.
    #[serde(default)]
    pub undecided: usize,
    /// Cases that chose between routes of their own, none of `cases` and `planned`.
    #[serde(default)]
    pub own_routes: usize,
    /// Of `cases`, those that the gateway would have failed instead of routing them; each counts as wrong. 0 too in files of versions that did
    /// not count them.
    #[serde(default)]
    pub errors: usize,
    pub agreement: f64,
    pub agreement_ci95: [f64; 2],
    /// The most frequent first, without `errors`.
    pub confusions: Vec<Confusion>,
    pub router: RouterInfo,
    pub router_sha256: Option<String>,
    /// `null` where a running gateway decided, with a prompt of its own.
    pub dialect: Option<DialectId>,
    /// Estimated tokens that a prompt was allowed; `null` is the dialect's own number.
    #[serde(default)]
    pub budget: Option<usize>,
    /// As [`gateway_versions`] gives it, and in an export those of them that read it; the address of a running gateway that decided itself.
    pub gateway_versions: String,
    /// ISO 8601.
    pub date: String,
    pub order_stability: Option<Stability>,
    pub gate: Option<Gate>,
    /// The recall that was demanded of each route; `None` too in files of versions that did not keep it.
    #[serde(default)]
    pub recall_gate: Option<RecallGate>,
    /// The version of Waypost that measured.
    pub waypost: String,
}

impl Evidence {
    /// Returns what an export must say of a test over the first cases of a set alone; `None` after one over all of it.
    pub fn limit_note(&self) -> Option<String> {
        let rest = match self.beyond_limit {
            0 => return None,
            1 => "1 more was".to_owned(),
            more => format!("{more} more were"),
        };
        Some(format!("the policy was tested only on the first cases of {}; {rest} not measured", self.set))
    }

    /// Returns what an export must say of cases that its figures do not count; `None` where there are none.
    pub fn own_routes_note(&self) -> Option<String> {
        match self.own_routes {
            0 => None,
            1 => Some("not counted: 1 case that chose between routes of its own".to_owned()),
            count => Some(format!("not counted: {count} cases that chose between routes of their own")),
        }
    }

    /// Returns what an export must say of requests that the gateway fails; `None` where it fails none.
    pub fn errors_note(&self) -> Option<String> {
        let Self { cases, errors, .. } = self;
        let fail = if *errors == 1 { "fails" } else { "fail" };
        let why = match self.router.live_gateway() {
            Some(_) => "",
            None => " with HTTP 500, since the gateway cannot read what the router answers",
        };
        (*errors > 0).then(|| format!("{errors} of {cases} requests {fail}{why}"))
    }

    /// Returns whether the gateway fails more requests than it routes, which nobody wants to roll out.
    pub fn fails_most(&self) -> bool {
        2 * self.errors > self.cases
    }

    /// Returns what an export must say of a test with the router that ships with Waypost; `None` of one with another.
    pub fn router_note(&self) -> Option<&'static str> {
        self.router.is_builtin().then_some(
            "tested with the built-in router, which is not the one that your gateway asks; measure with that one (--router, in the window \
             Choose router)",
        )
    }

    /// Returns the same evidence for a file of this format: it holds for those versions alone that read the file.
    pub fn within(mut self, format: ExportFormat) -> Self {
        // A running gateway is one by itself, and the model card's prompt is no gateway's in any format.
        let sent = self
            .dialect
            .filter(|dialect| self.router.live_gateway().is_none() && GATEWAYS.iter().any(|gateway| gateway.dialect == *dialect));
        if let Some(dialect) = sent {
            let none = if format.gateways().is_empty() {
                "no version of this gateway, which has a prompt of its own"
            } else {
                "no version that reads this format"
            };
            self.gateway_versions = format.readers(dialect).unwrap_or(none).to_owned();
        }
        self
    }
}

/// Returns the digest of what a policy says, whatever file it is in and however that is laid out.
pub fn policy_digest(policy: &Policy) -> String {
    sha256(write_policy(policy))
}

/// Returns the gateway versions that send the prompts of a dialect, for people.
pub fn gateway_versions(dialect: DialectId) -> &'static str {
    GATEWAYS
        .iter()
        .find(|gateway| gateway.dialect == dialect)
        .map_or("no gateway: the model card's own example", |gateway| gateway.versions)
}

/// How a policy stands to what it was tested with; the worst that can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    NotTested,
    /// The policy was changed since.
    Changed,
    FailsGate,
    /// The gateway fails more than half of the requests.
    FailsRequests,
    /// The run was stopped, lacks decisions, or was for another dialect than the policy's.
    Doubtful,
    Tested,
}

/// Returns the word for [`evidence_problems`], with the same arguments.
pub fn standing(policy: &Policy, evidence: Option<&Evidence>, configured: Option<usize>) -> Standing {
    match evidence {
        None => Standing::NotTested,
        Some(evidence) if evidence.policy_sha256 != policy_digest(policy) => Standing::Changed,
        Some(evidence) if evidence.gate.as_ref().is_some_and(|gate| !gate.passed && !gate.open) => Standing::FailsGate,
        Some(evidence) if evidence.recall_gate.as_ref().is_some_and(|gate| !gate.below.is_empty()) => Standing::FailsGate,
        Some(evidence) if evidence.fails_most() => Standing::FailsRequests,
        Some(_) if evidence_problems(policy, evidence, configured).is_empty() => Standing::Tested,
        Some(_) => Standing::Doubtful,
    }
}

/// Returns what an exporter must say and ask about before it exports: nothing where the policy was tested as it is and passed.
///
/// `configured` is the budget of the configuration that is written into ([`super::configured_budget`]), in estimated tokens: there it counts in
/// place of the policy's. `None` without one, or where it cannot be told.
pub fn evidence_problems(policy: &Policy, evidence: Option<&Evidence>, configured: Option<usize>) -> Vec<String> {
    let Some(evidence) = evidence else { return vec!["this policy was not tested".to_owned()] };
    let mut problems = Vec::new();
    if evidence.policy_sha256 != policy_digest(policy) {
        problems.push("this policy was changed since it was tested".to_owned());
    }
    if evidence.cases == 0 && evidence.own_routes > 0 {
        problems.push("no case of its test chose between this policy's routes".to_owned());
    } else if let Some(gate) = evidence.gate.as_ref().filter(|gate| !gate.passed) {
        let (reached, demanded) = (100.0 * evidence.agreement, 100.0 * gate.min_agreement);
        // What fails is never rounded to what is required.
        let digits = if (demanded - reached).abs() < 0.1 { 3 } else { 1 };
        problems.push(if gate.open {
            format!("whether this policy passes its gate of {demanded:.1} % depends on undecided cases")
        } else {
            format!("this policy fails its gate: agreement {reached:.digits$} %, but {demanded:.digits$} % is required")
        });
    }
    if let Some(RecallGate { min_recall, below, open, .. }) = &evidence.recall_gate {
        let demanded = format!("{:.1} %", 100.0 * min_recall);
        if !below.is_empty() {
            problems.push(format!("this policy fails its gate: the recall of {} is below the required {demanded}", below.join(", ")));
        } else if !open.is_empty() {
            let open = open.join(", ");
            problems.push(format!("whether the recall of {open} is below the required {demanded} depends on undecided cases"));
        }
    }
    if evidence.fails_most() {
        problems.push(format!("the gateway fails most requests of its test ({} of {})", evidence.errors, evidence.cases));
    }
    let asked = evidence.cases + evidence.undecided;
    if asked < evidence.planned {
        problems.push(format!("its test was stopped after {asked} of {} cases", evidence.planned));
    }
    if evidence.undecided > 0 {
        problems.push(format!("the router gave no decision for {} of the {asked} cases of its test", evidence.undecided));
    }
    if let (Some(dialect), Some(sent)) = (policy.dialect, evidence.dialect)
        && dialect != sent
    {
        problems.push(format!("this policy was tested with the dialect {sent}, but is meant for {dialect}"));
    }
    if let Some((sent, usual)) = evidence.dialect.and_then(|sent| Some((sent, default_budget(sent)?))) {
        let configured = configured.filter(|_| sent.takes_budget());
        let (tested, own) = (evidence.budget.unwrap_or(usual), configured.or_else(|| policy.budget_for(sent)).unwrap_or(usual));
        if tested != own {
            let place = if configured.is_some() { "with this configuration " } else { "" };
            let other = if sent.takes_budget() { ", or give policy and configuration the same number" } else { "" };
            problems.push(format!(
                "this policy was tested with a budget of {tested} tokens, but {place}gateways that send {sent} allow {own}; measure with \
                 `--budget {own}`{other}"
            ));
        }
    }
    problems
}

/// Returns `routes.evidence.json`.
pub fn evidence_json(evidence: &Evidence) -> String {
    // Only numbers that JSON lacks could fail, and serde_json writes those as null.
    serde_json::to_string_pretty(evidence).unwrap_or_default() + "\n"
}

/// Returns the comment lines of an export; the arguments are those of [`evidence_problems`].
pub(super) fn comments(policy: &Policy, evidence: Option<&Evidence>, configured: Option<usize>) -> String {
    let mut out = String::new();
    for problem in evidence_problems(policy, evidence, configured) {
        line(&mut out, &format!("WARNING, {problem}"));
    }
    let Some(evidence) = evidence else { return out };
    if let Some(note) = evidence.router_note() {
        line(&mut out, &format!("WARNING, {note}"));
    }
    let Evidence { set, cases, agreement, agreement_ci95: [low, high], router, dialect, .. } = evidence;
    line(&mut out, &format!("tested on {} with waypost {}", evidence.date, evidence.waypost));
    line(&mut out, &format!("policy sha256 {}", evidence.policy_sha256));
    line(&mut out, &format!("set {set}, {cases} cases, sha256 {}", evidence.set_sha256));
    for note in evidence.own_routes_note().into_iter().chain(evidence.limit_note()) {
        line(&mut out, &note);
    }
    let percent = |share: &f64| format!("{:.1} %", 100.0 * share);
    line(&mut out, &format!("agreement {}, 95 % interval {} to {}", percent(agreement), percent(low), percent(high)));
    if let Some(note) = evidence.errors_note() {
        line(&mut out, &note);
    }
    match router.live_gateway() {
        Some(url) => line(&mut out, &format!("decided by the gateway at {url}, with its own prompt")),
        None => {
            let digest = evidence.router_sha256.as_ref().map(|digest| format!(", sha256 {digest}")).unwrap_or_default();
            line(&mut out, &format!("router {}{}{digest}", router.id, router.place()));
            let dialect = dialect.map_or_else(String::new, |dialect| format!("dialect {dialect}, "));
            let budget = evidence.budget.map_or_else(String::new, |budget| format!("budget {budget}, "));
            line(&mut out, &format!("{dialect}{budget}holds for {}", evidence.gateway_versions));
        }
    }
    match &evidence.order_stability {
        Some(Stability { orders: 0, .. }) => line(&mut out, "order: not tested, the routes have no other order"),
        Some(Stability { orders, changed_cases }) => {
            let orders = other_orders(*orders);
            line(&mut out, &format!("order: {changed_cases} of {cases} cases change under {orders} of the routes"));
        }
        None => line(&mut out, "order: not tested; gateways list routes in an order nobody controls"),
    }
    for confusion in evidence.confusions.iter().take(5) {
        line(&mut out, &format!("confusion: {confusion}"));
    }
    out
}

/// Writes one comment line, without what a YAML reader may refuse or take for a line break.
fn line(out: &mut String, text: &str) {
    out.push_str(MARK);
    // Only the line with the metadata may start with a brace.
    out.extend(text.trim_start_matches('{').chars().map(|c| match c {
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => ' ',
        c => c,
    }));
    out.push('\n');
}

//! Writing a policy as the configuration of a gateway.

use std::fmt;
use std::str::FromStr;

use crate::dialect::{GATEWAYS, Gateway, Version};
use crate::formats::error::FormatError;
use crate::formats::tree::quoted;
use crate::policy::lint::{Finding, Severity, lint_for_gateways};
use crate::policy::provider::{Address, address};
use crate::policy::{DialectId, Policy};

use super::evidence::{self, Evidence, evidence_json};
use super::import::{NoteKind, import_gateway};
use super::plano::BUDGET;
use super::providers::{Declaration, declaration, declarations, incomplete, models, secret, sources_problem};
use super::{into, litellm, meta, others, plano_writer, vllm_sr};

/// What a policy can be exported as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExportFormat {
    /// Plano 0.4.15 and later: routes at the top level.
    #[default]
    Plano04,
    /// archgw 0.3.4 to Plano 0.4.14: routes inside the providers.
    Plano03,
    /// The body of a request to Plano's `/routing` API.
    RoutingApi,
    /// vLLM Semantic Router v0.3.
    VllmSr,
    /// LiteLLM's complexity router with `tier_definitions`.
    LiteLlm,
}

impl ExportFormat {
    /// Every format, the usual one first.
    pub const ALL: [Self; 5] = [Self::Plano04, Self::Plano03, Self::RoutingApi, Self::VllmSr, Self::LiteLlm];

    /// Returns the name as the command line spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plano04 => "plano-0.4",
            Self::Plano03 => "plano-0.3",
            Self::RoutingApi => "routing-api",
            Self::VllmSr => "vllm-sr",
            Self::LiteLlm => "litellm",
        }
    }
}

impl ExportFormat {
    /// Returns one sentence that says whose file this is.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Plano04 => "Plano 0.4.15 and later: routes at the top level",
            Self::Plano03 => "archgw 0.3.4 to Plano 0.4.14: routes inside the providers",
            Self::RoutingApi => "Body of a request to Plano's /routing API",
            Self::VllmSr => "vLLM Semantic Router v0.3: preference signals",
            Self::LiteLlm => "LiteLLM's complexity router: tier definitions",
        }
    }

    /// Returns the file's name that is proposed.
    pub fn file_name(self) -> &'static str {
        if self == Self::RoutingApi { "routes.json" } else { "routes.yaml" }
    }

    /// Returns the versions of Plano that read this, by the prompts they send; the other gateways have prompts of their own.
    pub fn gateways(self) -> &'static [Gateway] {
        match self {
            Self::Plano04 | Self::RoutingApi => &GATEWAYS,
            Self::Plano03 => &GATEWAYS[..1],
            Self::VllmSr | Self::LiteLlm => &[],
        }
    }

    /// Returns the versions of Plano that read this and send the prompts of a dialect, for people; `None` where there are none.
    pub fn readers(self, dialect: DialectId) -> Option<&'static str> {
        match (self, dialect) {
            (Self::Plano04 | Self::RoutingApi, DialectId::Archgw031) => Some("Plano 0.4.15 to 0.4.18"),
            (Self::Plano04 | Self::RoutingApi, DialectId::Plano0419) => Some("Plano 0.4.19"),
            (Self::Plano04 | Self::RoutingApi, DialectId::Plano0420) => Some("Plano 0.4.20 and later"),
            (Self::Plano03, DialectId::Archgw031) => Some("archgw 0.3.4 to Plano 0.4.14"),
            (Self::Plano03, DialectId::Plano0420) => Some("Plano 0.4.22 and later"),
            // Plano 0.4.19 ignores routes inside the providers; no gateway sends the model card's prompt; the others have their own.
            _ => None,
        }
    }

    /// Returns whether a version of Plano or archgw reads this.
    pub fn is_read_by(self, version: Version) -> bool {
        match self {
            Self::Plano04 | Self::RoutingApi => version >= (0, 4, 15),
            // The versions in between ignore routes inside the providers; later ones move them to the top level themselves.
            Self::Plano03 => version >= (0, 3, 4) && !((0, 4, 15)..(0, 4, 22)).contains(&version),
            Self::VllmSr | Self::LiteLlm => false,
        }
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`ExportFormat`]; displays the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown format {0:?}; use plano-0.4, plano-0.3, routing-api, vllm-sr or litellm")]
pub struct UnknownFormat(pub String);

impl FromStr for ExportFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// How to export.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportOptions<'a> {
    pub format: ExportFormat,
    /// Text and path of a configuration to write the routes into, instead of writing a new one. For [`ExportFormat::Plano04`] only.
    pub into: Option<(&'a str, &'a str)>,
    /// What the policy was tested with. Whether it may be exported at all is for the caller to ask, see [`super::evidence_problems`].
    pub evidence: Option<&'a Evidence>,
    /// What the gateway sends that the export is for, where that is known: some traps are those of a few versions alone.
    pub dialect: Option<DialectId>,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub text: String,
    /// What the export cannot say or leaves to be filled in, one sentence each.
    pub notes: Vec<String>,
    /// The contents of `routes.evidence.json`, where there is evidence.
    pub evidence_json: Option<String>,
}

/// Why a policy cannot be exported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The gateway would refuse the result; one sentence for each reason.
    #[error("the gateway would refuse this: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The configuration to write into cannot be read.
    #[error(transparent)]
    Config(#[from] FormatError),
}

/// Returns a policy as a gateway's configuration that both tiers of that gateway's own checks accept.
///
/// # Errors
/// The gateway would refuse the result, or the configuration to write into cannot be read.
pub fn export_gateway(policy: &Policy, options: ExportOptions<'_>) -> Result<Exported, ExportError> {
    let findings = lint_for_gateways(policy, &super::lint_context(policy));
    let mut problems = refusals(policy, &findings);
    let kept = declarations(policy).unwrap_or_else(|problem| {
        problems.push(problem);
        Vec::new()
    });
    let is_plano = matches!(options.format, ExportFormat::Plano04 | ExportFormat::Plano03);
    if options.into.is_some() && options.format != ExportFormat::Plano04 {
        problems.push(format!("routes can be written into an existing file as plano-0.4 only, not as {}", options.format));
    }
    if is_plano && options.into.is_none() {
        problems.extend(whole(policy, &kept, &findings));
    }
    match options.format {
        ExportFormat::LiteLlm => problems.extend(litellm::problems(policy)),
        ExportFormat::VllmSr => problems.extend(vllm_sr::problem(policy)),
        ExportFormat::Plano04 | ExportFormat::Plano03 | ExportFormat::RoutingApi => {}
    }
    if matches!(options.format, ExportFormat::VllmSr | ExportFormat::LiteLlm) {
        // Their comment line holds all of them, used or not.
        problems.extend(kept.iter().filter_map(secret));
    }
    if !problems.is_empty() {
        return Err(ExportError::Refused(problems));
    }
    let mut notes = traps(policy, options);
    notes.extend(options.evidence.and_then(Evidence::limit_note));
    // Of most requests it is a problem, which whoever exports asks about.
    notes.extend(options.evidence.filter(|evidence| !evidence.fails_most()).and_then(Evidence::errors_note));
    let evidence = options.evidence.map(|evidence| evidence.clone().within(options.format));
    let configured = options.into.and_then(|(text, path)| into::configured_budget(text, path));
    let comments = evidence::comments(policy, evidence.as_ref(), configured) + &meta::comment(policy, options.format);
    notes.extend(budget_note(policy, options));
    // A test with the configuration's own budget holds, and one with another is a problem of that evidence.
    let is_judged = configured.is_some() && evidence.as_ref().and_then(|evidence| evidence.dialect).is_some_and(DialectId::takes_budget);
    notes.extend(options.into.filter(|_| !is_judged).and_then(|_| into::budget_gap(policy, configured)));
    let text = match options.format {
        ExportFormat::Plano04 => match options.into {
            Some((text, path)) => into::write_into(policy, &kept, &comments, text, path, &mut notes)?,
            None => plano_writer::write_top_level(policy, &kept, &comments),
        },
        ExportFormat::Plano03 => {
            if policy.routes.iter().any(|route| route.models.len() > 1) {
                notes.push("gateways before 0.4.15 know one model a route; the others stand in a comment only".to_owned());
            }
            notes.extend(unknown_to_the_oldest(policy));
            plano_writer::write_inline(policy, &kept, &comments)
        }
        ExportFormat::RoutingApi => {
            notes.extend(others::left_out(policy));
            others::write_routing_api(policy)
        }
        ExportFormat::VllmSr => {
            notes.push("fill in where the models and the router are served (127.0.0.1:8000 stands there)".to_owned());
            vllm_sr::write(policy, &comments)
        }
        ExportFormat::LiteLlm => {
            if policy.routes.iter().any(|route| route.models.len() > 1) {
                notes
                    .push("LiteLLM picks among several models of a tier at random, so only each route's first model is written".to_owned());
            }
            notes.extend(litellm::trimmed(policy));
            litellm::write(policy, &comments)
        }
    };
    if is_plano && options.into.is_none() {
        check(&text)?;
    }
    Ok(Exported { text, notes, evidence_json: evidence.as_ref().map(evidence_json) })
}

/// Refuses what an import of the result would call refused, so that no check of the one is missing in the other.
fn check(text: &str) -> Result<(), ExportError> {
    let problems: Vec<String> = match import_gateway(text, "the export") {
        Ok(imported) => {
            let refused = imported.notes.into_iter().filter(|note| note.kind == NoteKind::Refused);
            refused.map(|note| format!("{}; {}", note.warning.message, note.warning.remedy)).collect()
        }
        Err(error) => vec![format!("{}; {}", error.message, error.remedy)],
    };
    if problems.is_empty() { Ok(()) } else { Err(ExportError::Refused(problems)) }
}

/// Returns what every target refuses.
fn refusals(policy: &Policy, findings: &[Finding]) -> Vec<String> {
    let mut problems = messages(findings, &["WP101", "WP102", "WP103", "WP106", "WP203"]);
    if policy.routes.is_empty() {
        problems.push("the policy has no routes".to_owned());
    }
    problems
}

/// Returns what findings of these rules say.
fn messages(findings: &[Finding], codes: &[&str]) -> Vec<String> {
    findings.iter().filter(|finding| codes.contains(&finding.rule.code)).map(|finding| finding.message.clone()).collect()
}

/// Returns what else Plano refuses of a configuration that holds nothing but this policy.
fn whole(policy: &Policy, kept: &[Declaration], findings: &[Finding]) -> Vec<String> {
    let mut problems = messages(findings, &["WP214"]);
    for model in models(policy) {
        let remedy = format!("; add it to `providers` of the policy, with `model: {}`", quoted(&model));
        if address(&model).is_none() {
            problems.push(format!("{} is not a model name of the form provider/model", quoted(&model)));
        } else {
            problems.extend(incomplete(&declaration(kept, &model)).map(|problem| problem + &remedy));
        }
    }
    problems.extend(sources_problem(policy));
    problems
}

/// Returns where the policy's budget stands in the export; an existing configuration keeps its own.
fn budget_note(policy: &Policy, options: ExportOptions<'_>) -> Option<String> {
    policy.budget?;
    match options.format {
        ExportFormat::Plano04 if options.into.is_none() => {
            Some(format!("the budget became overrides.{BUDGET}, which Plano 0.4.19 and later know"))
        }
        ExportFormat::Plano03 => {
            Some(format!("the budget stands in a comment only; add overrides.{BUDGET} where Plano 0.4.22 or later reads the file"))
        }
        // A request names what it has no place for, and other gateways cut conversations in their own way.
        _ => None,
    }
}

/// Returns a note about providers that only the later of the gateways know that read routes inside providers.
fn unknown_to_the_oldest(policy: &Policy) -> Option<String> {
    let known = plano_writer::OLDEST_PROVIDERS;
    let mut unknown: Vec<String> = models(policy)
        .iter()
        // Any version takes other providers by address and interface.
        .filter(|model| address(model) != Some(Address::BaseUrlAndInterface))
        .filter_map(|model| Some(model.split_once('/')?.0.to_owned()))
        .filter(|provider| !known.contains(&provider.as_str()))
        .collect();
    unknown.sort();
    unknown.dedup();
    (!unknown.is_empty()).then(|| {
        let (known, unknown) = (known.join(", "), unknown.join(", "));
        format!("archgw 0.3.4 to 0.3.10 knows no providers but {known}, and refuses {unknown}; use a later version")
    })
}

/// Returns what the gateway accepts although it makes a route useless.
fn traps(policy: &Policy, options: ExportOptions<'_>) -> Vec<String> {
    // A format that only gateways of one dialect were made for says more of the target than the policy does.
    let sent = match options.format.gateways() {
        [only] => Some(only.dialect),
        _ => None,
    };
    let judged = Policy { dialect: options.dialect.or(sent).or(policy.dialect), ..policy.clone() };
    let findings = lint_for_gateways(&judged, &super::lint_context(&judged)).into_iter();
    findings
        .filter(|finding| finding.rule.severity == Severity::Error)
        .map(|finding| format!("{} ({}): {}", finding.message, finding.rule.code, finding.rule.reason))
        .collect()
}

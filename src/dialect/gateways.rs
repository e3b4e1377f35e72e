//! Which gateway versions send which prompt, and what each would do with a router's answer.
//!
//! Source: the prompt builders and the model selection of katanemo/plano, tags 0.3.1 to 0.4.36.

use super::parse::parse_answer;
use crate::policy::DialectId;

/// The three numbers of a version; ordered as versions are.
pub type Version = (u64, u64, u64);

/// Gateway versions that send the same prompt and read answers alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// For people.
    pub versions: &'static str,
    pub dialect: DialectId,
    /// The first of these versions.
    since: Version,
}

/// Every range of versions, oldest first.
pub static GATEWAYS: [Gateway; 3] = [
    Gateway { versions: "archgw 0.3.1 to Plano 0.4.18", dialect: DialectId::Archgw031, since: (0, 3, 1) },
    Gateway { versions: "Plano 0.4.19", dialect: DialectId::Plano0419, since: (0, 4, 19) },
    Gateway { versions: "Plano 0.4.20 and later", dialect: DialectId::Plano0420, since: (0, 4, 20) },
];

/// Reads a version such as `0.4.36` or `v0.3`.
pub fn version(text: &str) -> Option<Version> {
    let mut numbers = text.trim().trim_start_matches('v').splitn(3, '.').map(|part| part.parse::<u64>().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next().map_or(Some(0), |part| part)?))
}

/// Returns the gateway of a version, as [`version`] reads it; `None` for what is no version and for versions before routing.
pub fn gateway_of_version(text: &str) -> Option<&'static Gateway> {
    let version = version(text)?;
    GATEWAYS.iter().rev().find(|gateway| gateway.since <= version)
}

/// Returns what a gateway does with what a router answered to its prompt, as one sentence; `names` are the routes of the prompt.
pub fn outlook(gateway: &Gateway, names: &[&str], answer: &str) -> String {
    match parse_answer(gateway.dialect, names, answer) {
        Ok(Some(route)) => format!("{} takes the route {route:?}", gateway.versions),
        Ok(None) => format!("{} finds no route and uses the model that the request names", gateway.versions),
        Err(error) => format!("{} fails the request with HTTP 500: {}", gateway.versions, error.reason),
    }
}

/// Returns what gateways that send a dialect do with what fits no route, as a sentence: a policy's fallback does not say it. `None` for the model
/// card's prompt, which no gateway sends. No dialect is that of a running gateway.
pub fn no_route_note(dialect: Option<DialectId>) -> Option<&'static str> {
    (dialect != Some(DialectId::ModelCard)).then_some("Plano serves what fits no route with the model that the request names")
}

/// Returns what no test of a single prompt can see of the gateways that send a dialect, as a sentence; `None` where there is no such thing.
/// No dialect is that of a running gateway: it does not tell its version, and any that takes routes from a request may have sessions.
pub fn session_limit(dialect: Option<DialectId>) -> Option<&'static str> {
    match dialect {
        Some(DialectId::ModelCard | DialectId::Archgw031) => None,
        None | Some(DialectId::Plano0419 | DialectId::Plano0420) => Some(
            "Plano may keep a session on an earlier model or not ask the router (X-Model-Affinity, prompt caching, routing_budget, \
             route_on_user_only); a single prompt cannot show that",
        ),
    }
}

/// Returns a warning when results with one dialect, whether there are any yet or not, say nothing about the gateway they are meant for.
pub fn dialect_warning(tested: DialectId, target: &Gateway) -> Option<String> {
    if tested == target.dialect {
        return None;
    }
    // What surprises most: the prompt follows the gateway, not the router that it is configured to ask.
    let hint = match target.dialect {
        DialectId::Plano0419 | DialectId::Plano0420 => ", whatever router it asks, Arch-Router included",
        DialectId::ModelCard | DialectId::Archgw031 => "",
    };
    let Gateway { versions, dialect, .. } = target;
    Some(format!("{versions} sends the dialect {dialect}{hint}, of which results with {tested} say nothing; test with --dialect {dialect}"))
}

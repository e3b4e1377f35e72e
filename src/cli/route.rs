//! `waypost route`: one decision.

use std::sync::Arc;

use serde::Serialize;

use super::args::RouteArguments;
use super::input::{Case, note_budget, read_case};
use super::prompt::tell_cuts;
use super::{Failure, report, router};
use crate::decision::Decision;
use crate::dialect::{GATEWAYS, outlook, render};
use crate::engine::{CancelToken, RouteRequest};
use crate::policy::Route;

/// Decides and prints the decision.
///
/// # Errors
/// Fails on bad input and when the router cannot be loaded or run.
pub fn run(arguments: &RouteArguments) -> Result<(), Failure> {
    let Case { policy, conversation, dialect, budget } = read_case(&arguments.case)?;
    let request = RouteRequest {
        policy: Arc::new(policy),
        conversation: Arc::new(conversation),
        dialect,
        budget,
        orders: arguments.orders,
        seed: arguments.seed,
    };
    let mut router = router::open(&arguments.router)?;
    if router.description().info.live_gateway().is_some() {
        note_budget(arguments.case.budget, None);
    }
    // Its answer is a choice already: no router's text that another version could read otherwise.
    if arguments.gateways && router.description().info.live_gateway().is_some() {
        return Err(Failure::Input(
            "--gateways reads a router's answer as each gateway version does, and a running gateway reports only its choice; leave \
             --gateways out, or name the router that the gateway asks"
                .to_owned(),
        ));
    }
    // A running gateway cuts by a dialect that it does not tell.
    if router.description().info.live_gateway().is_none() {
        let routes: Vec<&Route> = request.policy.routes.iter().collect();
        tell_cuts(&render(dialect, &routes, &request.conversation, request.budget).selection);
    }
    let mut decide = |request: &RouteRequest| router.decide(request, &mut |_| {}, &CancelToken::default());
    let decision = decide(&request)?;
    let mut gateways = Vec::new();
    for gateway in GATEWAYS.iter().filter(|_| arguments.gateways) {
        let dialect = gateway.dialect;
        // Of the others nobody can set it.
        let budget = arguments.case.budget.filter(|_| dialect.takes_budget()).or_else(|| request.policy.budget_for(dialect));
        let asked = decide(&RouteRequest { dialect, budget, orders: 0, ..request.clone() })?;
        let names: Vec<&str> = request.policy.routes.iter().map(|route| route.name.as_str()).collect();
        let outlook = outlook(gateway, &names, &asked.answer);
        gateways.push(AsGateway { versions: gateway.versions, decision: asked, outlook });
    }
    match (arguments.json, arguments.gateways) {
        (true, true) => report::print_json(&WithGateways { decision, gateways }),
        (true, false) => report::print_json(&decision),
        (false, _) => {
            let lines: String = gateways.iter().map(|asked| format!("  {}\n", asked.outlook)).collect();
            report::print(&(report::decision_text(&decision, &request.policy) + &lines))
        }
    }
}

/// The decision, and what `--gateways` adds to its JSON.
#[derive(Serialize)]
struct WithGateways {
    #[serde(flatten)]
    decision: Decision,
    gateways: Vec<AsGateway>,
}

/// What some versions of the gateway would do.
#[derive(Serialize)]
struct AsGateway {
    versions: &'static str,
    /// Made with the prompt that these versions send.
    decision: Decision,
    outlook: String,
}

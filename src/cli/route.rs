//! `waypost route`: one decision.

use std::sync::Arc;

use super::args::RouteArguments;
use super::input::{Case, read_case};
use super::{Failure, report, router};
use crate::engine::{CancelToken, RouteRequest};

/// Decides and prints the decision.
///
/// # Errors
/// Fails on bad input and when the router cannot be loaded or run.
pub fn run(arguments: &RouteArguments) -> Result<(), Failure> {
    let Case { policy, conversation, dialect } = read_case(&arguments.case)?;
    let request = RouteRequest {
        policy: Arc::new(policy),
        conversation: Arc::new(conversation),
        dialect,
        budget: None,
        orders: arguments.orders,
        seed: arguments.seed,
    };
    let decision = router::open(&arguments.router)?.decide(&request, &mut |_| {}, &CancelToken::default())?;
    if arguments.json { report::print_json(&decision) } else { report::print(&report::decision_text(&decision)) }
}

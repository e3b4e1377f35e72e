//! `waypost bench`: how fast a router decides here, cold and with the policy's prefix cached.

use std::sync::Arc;

use serde::Serialize;

use super::args::BenchArguments;
use super::{Failure, report, router};
use crate::chat::Conversation;
use crate::decision::Decision;
use crate::engine::{CancelToken, LocalRouter, RouteRequest, Router as _};
use crate::policy::{DialectId, Policy, Route};

/// Medians over the runs, times in milliseconds.
#[derive(Serialize)]
struct Figures {
    router: crate::decision::RouterInfo,
    runs: usize,
    cold: Kind,
    /// The policy's prefix cached, a new conversation of about 40 tokens.
    warm: Kind,
    /// `warm` over `cold`, whole decisions without greedy decoding.
    warm_to_cold: f64,
}

#[derive(Serialize)]
struct Kind {
    prompt_tokens: usize,
    computed_tokens: usize,
    /// Prompt and answer tree in one pass, tokenising and scoring included.
    decision_ms: f64,
    /// Greedy decoding, which a trained router needs in rare cases only.
    decode_ms: f64,
}

/// Measures and prints.
///
/// # Errors
/// Fails when the router cannot be loaded or run.
pub fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let mut router = router::open(&arguments.router)?;
    let policy = Arc::new(policy());
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    for run in 0..arguments.runs.max(1) {
        router.clear_cache();
        cold.push(decide(&mut router, &policy, run * 2)?);
        warm.push(decide(&mut router, &policy, run * 2 + 1)?);
    }
    let info = cold[0].router.clone();
    let (cold, warm) = (kind(&cold), kind(&warm));
    let figures = Figures { router: info, runs: arguments.runs.max(1), warm_to_cold: warm.decision_ms / cold.decision_ms, cold, warm };
    if arguments.json {
        return report::print_json(&figures);
    }
    let line = |name: &str, kind: &Kind| {
        format!(
            "{name}  {:8.1} ms a decision   {} prompt tokens, {} computed (greedy decoding, where needed: {:.1} ms)\n",
            kind.decision_ms, kind.prompt_tokens, kind.computed_tokens, kind.decode_ms
        )
    };
    let Figures { router, cold, warm, warm_to_cold, runs } = &figures;
    report::print(&format!(
        "{} on {} in {}, medians of {runs} runs\n{}{}warm / cold {warm_to_cold:.2}\n",
        router.id,
        router.device,
        router.dtype,
        line("cold", cold),
        line("warm", warm)
    ))
}

fn decide(router: &mut LocalRouter, policy: &Arc<Policy>, number: usize) -> Result<Decision, Failure> {
    // Another beginning each time, so that nothing of the conversation is cached.
    let text = format!(
        "{number}: my build fails since I updated the parser crate, the borrow checker complains in a loop, can you find out why and fix it?"
    );
    let request = RouteRequest {
        policy: Arc::clone(policy),
        conversation: Arc::new(Conversation::from_prompt(text)),
        dialect: DialectId::Archgw031,
        budget: None,
        orders: 0,
        seed: 0,
    };
    Ok(router.decide(&request, &mut |_| {}, &CancelToken::default())?)
}

fn kind(decisions: &[Decision]) -> Kind {
    let median = |part: fn(&Decision) -> f64| {
        let mut values: Vec<f64> = decisions.iter().map(part).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Kind {
        prompt_tokens: decisions[0].tokens.prompt,
        computed_tokens: decisions[0].tokens.computed,
        decision_ms: median(|decision| decision.latency_ms.total - decision.latency_ms.decode),
        decode_ms: median(|decision| decision.latency_ms.decode),
    }
}

/// Five routes, so six answers, and about 530 tokens of prompt in all.
fn policy() -> Policy {
    let routes = [
        (
            "code_generation",
            "Writing new functions, classes, scripts and boilerplate from a description of what they should do, in any programming language, with the tests and the comments that belong to them",
        ),
        (
            "bug_fixing",
            "Finding and repairing defects in code the user shows or describes: compiler errors, failing tests, crashes, wrong results, stack traces and messages of linters or type checkers",
        ),
        (
            "performance_optimization",
            "Making existing code faster or smaller: profiling, algorithms and data structures, memory use, caching, queries that take too long and programs that do not scale",
        ),
        (
            "api_help",
            "Using libraries, frameworks and web interfaces: which call to choose, what its parameters mean, how to authenticate, how to move from one version to the next one",
        ),
        (
            "code_review",
            "Reading a change before it is merged: naming, structure, missing tests, security, style guides, and an opinion on whether the design will hold when the project grows",
        ),
    ];
    Policy { routes: routes.into_iter().map(|(name, description)| Route::new(name, description)).collect(), ..Policy::default() }
}

//! `waypost bench`: how fast a router decides here: cold, with the policy's prefix cached, and many conversations at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::args::BenchArguments;
use super::bench_batch::{self, BatchFigures};
use super::{Failure, report, router};
use crate::app::{Remembered, data_folder};
use crate::chat::Conversation;
use crate::decision::Decision;
use crate::engine::{CancelToken, DeviceChoice, LocalRouter, Place, RouteRequest, Router as _};
use crate::eval::percentile;
use crate::policy::{DialectId, Policy, Route};

/// Runs unless the user says how many: enough for a 95th percentile, or as many as [`PATIENCE`] allows, but enough for a median.
const RUNS: usize = 20;
const LEAST_RUNS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// Times over the runs. Greedy decoding is left out: a trained router's answer is proved by the pass itself.
#[derive(Serialize)]
struct Figures {
    router: crate::decision::RouterInfo,
    /// The processor or the GPU that it runs on, as its maker calls it; empty where the system does not tell.
    machine: String,
    /// Of the processor.
    threads: usize,
    runs: usize,
    /// Nothing cached.
    cold: Kind,
    /// The policy's prefix cached, a new conversation of about 40 tokens.
    warm: Kind,
    warm_to_cold: f64,
    batch: BatchFigures,
}

#[derive(Serialize)]
struct Kind {
    prompt_tokens: usize,
    computed_tokens: usize,
    /// Rendering, tokenising, and prompt and answer tree in one pass: the median.
    decision_ms: f64,
    /// One in twenty takes longer.
    p95_ms: f64,
}

/// Measures and prints.
///
/// # Errors
/// Fails when the router cannot be loaded or run.
pub fn run(arguments: &BenchArguments) -> Result<(), Failure> {
    let requests = bench_batch::requests(arguments)?;
    let mut router = router::open_local(&arguments.router, arguments.device)?;
    router.set_max_decoded(0);
    let policy = Arc::new(policy());
    let mut cold = Vec::new();
    let mut warm = Vec::new();
    let (least, most) = arguments.runs.map_or((LEAST_RUNS, RUNS), |runs| (runs.max(1), runs.max(1)));
    let start = Instant::now();
    while cold.len() < least || (cold.len() < most && start.elapsed() < PATIENCE) {
        let run = cold.len();
        router.clear_cache();
        cold.push(decide(&mut router, &policy, run * 3)?);
        // The second prompt of a policy cuts the cached one in two, once; the third is what every further one costs.
        decide(&mut router, &policy, run * 3 + 1)?;
        warm.push(decide(&mut router, &policy, run * 3 + 2)?);
    }
    let info = cold[0].router.clone();
    // The median of these is what lists of routers show; they go without where it cannot be kept.
    if let Some(folder) = data_folder() {
        Remembered::change(&folder, |remembered| warm.iter().for_each(|decision| remembered.add_speed(&info, decision.latency_ms.total)))
            .ok();
    }
    let (runs, cold, warm) = (cold.len(), kind(&cold), kind(&warm));
    let batch = bench_batch::measure(&mut router, &requests)?;
    let warm_to_cold = warm.decision_ms / cold.decision_ms;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let figures = Figures { machine: machine(&info.device), threads, router: info, runs, warm_to_cold, cold, warm, batch };
    if arguments.json {
        return report::print_json(&figures);
    }
    let line = |name: &str, kind: &Kind| {
        format!(
            "{name}  {:8.1} ms a decision, 95th percentile {:8.1} ms   {} prompt tokens, {} computed\n",
            kind.decision_ms, kind.p95_ms, kind.prompt_tokens, kind.computed_tokens
        )
    };
    let Figures { router, machine, threads, cold, warm, warm_to_cold, runs, batch } = &figures;
    let machine = if machine.is_empty() { "a machine without a name" } else { machine.as_str() };
    report::print(&format!(
        "{} on {} in {}, medians of {runs} runs\n{machine}, {threads} threads\n{}{}warm / cold {warm_to_cold:.2}\n\n{}",
        router.id,
        router.device,
        router.dtype,
        line("cold", cold),
        line("warm", warm),
        batch.text()
    ))
}

fn decide(router: &mut LocalRouter, policy: &Arc<Policy>, number: usize) -> Result<Decision, Failure> {
    // Another beginning each time, so that nothing of the conversation is cached.
    let text = format!(
        "{number}: my build fails since I updated the parser crate, the borrow checker complains in a loop, can you find out why and fix it?"
    );
    let request = RouteRequest::new(Arc::clone(policy), Conversation::from_prompt(text), DialectId::Archgw031);
    Ok(router.decide(&request, &mut |_| {}, &CancelToken::default())?)
}

fn kind(decisions: &[Decision]) -> Kind {
    let times: Vec<f64> = decisions.iter().map(|decision| decision.latency_ms.total).collect();
    Kind {
        prompt_tokens: decisions[0].tokens.prompt,
        computed_tokens: decisions[0].tokens.computed,
        decision_ms: percentile(&times, 0.5),
        p95_ms: percentile(&times, 0.95),
    }
}

/// Returns the name of what a router runs on.
fn machine(device: &str) -> String {
    let choice = match device {
        "cuda" => DeviceChoice::Cuda,
        "metal" => DeviceChoice::Metal,
        _ => DeviceChoice::Cpu,
    };
    Place::of(choice).name
}

/// Five routes, so six answers, and about 530 tokens of prompt in all.
pub fn policy() -> Policy {
    let routes = [
        (
            "code_generation",
            "Writing new functions, classes, scripts and boilerplate from a description of what they should do, in any programming language, with the tests, the comments and the build files that belong to them and an explanation of how to run them",
        ),
        (
            "bug_fixing",
            "Finding and repairing defects in code the user shows or describes: compiler errors, failing tests, crashes, wrong results, stack traces, data races, memory leaks and messages of linters or type checkers",
        ),
        (
            "performance_optimization",
            "Making existing code faster or smaller: profiling, algorithms and data structures, memory use, caching, queries that take too long, programs that do not scale and benchmarks that show it",
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

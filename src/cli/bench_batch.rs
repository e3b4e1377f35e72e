//! The part of `waypost bench` that decides many conversations: one by one and packed, with and without reuse.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::Failure;
use super::args::BenchArguments;
use super::input::{is_stdin, read_input, read_policy, refuse_two_stdins};
use crate::chat::Conversation;
use crate::decision::Decision;
use crate::engine::{CancelToken, EngineError, LocalRouter, RouteRequest, Router as _};
use crate::formats::{LabelledReader, STDIN, open};
use crate::policy::{DialectId, Policy, Route};

/// The same conversations in three ways.
#[derive(Serialize)]
pub struct BatchFigures {
    decisions: usize,
    routes: usize,
    /// One by one, each from its first token.
    without_reuse: Way,
    /// One by one, with the policy's prefix and earlier turns cached.
    with_reuse: Way,
    /// As a labelled set is measured: several in one pass, with reuse.
    packed: Way,
    packed_to_without_reuse: f64,
}

#[derive(Serialize)]
struct Way {
    decisions_per_second: f64,
    /// Of prompts and answer trees.
    computed_tokens: usize,
}

impl BatchFigures {
    /// Returns the figures as lines for people.
    pub fn text(&self) -> String {
        let line = |name: &str, way: &Way| {
            format!("{name}  {:8.2} decisions a second   {} tokens computed\n", way.decisions_per_second, way.computed_tokens)
        };
        format!(
            "{} decisions on {} routes\n{}{}{}packed / without reuse {:.2}\n",
            self.decisions,
            self.routes,
            line("one by one, no reuse", &self.without_reuse),
            line("one by one          ", &self.with_reuse),
            line("packed              ", &self.packed),
            self.packed_to_without_reuse
        )
    }
}

/// Measures the three ways.
///
/// # Errors
/// Fails where the router does, and on a conversation that it cannot decide.
pub fn measure(router: &mut LocalRouter, requests: &[RouteRequest]) -> Result<BatchFigures, Failure> {
    let budget = router.cache_stats().budget_bytes;
    let one_by_one = |router: &mut LocalRouter, requests: &[RouteRequest], done: Done<'_>| {
        requests.iter().for_each(|request| done(router.decide(request, &mut |_| {}, &CancelToken::default())));
        Ok(())
    };
    router.set_cache_budget(0);
    let without_reuse = way(router, requests, one_by_one)?;
    router.set_cache_budget(budget);
    let with_reuse = way(router, requests, one_by_one)?;
    router.clear_cache();
    let packed = way(router, requests, |router, requests, done| {
        router.decide_all(&mut requests.iter().cloned(), &mut |_, result| done(result), &CancelToken::default())
    })?;
    Ok(BatchFigures {
        decisions: requests.len(),
        routes: requests.first().map_or(0, |request| request.policy.routes.len()),
        packed_to_without_reuse: packed.decisions_per_second / without_reuse.decisions_per_second,
        without_reuse,
        with_reuse,
        packed,
    })
}

type Done<'a> = &'a mut dyn FnMut(Result<Decision, EngineError>);

fn way(
    router: &mut LocalRouter,
    requests: &[RouteRequest],
    decide: impl FnOnce(&mut LocalRouter, &[RouteRequest], Done<'_>) -> Result<(), EngineError>,
) -> Result<Way, Failure> {
    let (mut tokens, mut failed) = (0, None);
    let start = Instant::now();
    decide(router, requests, &mut |result| match result {
        Ok(decision) => tokens += decision.tokens.computed,
        Err(error) => failed = Some(error),
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(Way { decisions_per_second: requests.len() as f64 / start.elapsed().as_secs_f64(), computed_tokens: tokens }),
    }
}

/// Returns what is to be decided: the user turns of the set, or invented conversations.
///
/// # Errors
/// Fails when policy or set cannot be read, and when both are standard input.
pub fn requests(arguments: &BenchArguments) -> Result<Vec<RouteRequest>, Failure> {
    let count = arguments.cases.max(1);
    let (policy, conversations) = match (&arguments.policy, &arguments.set) {
        (Some(policy), Some(set)) => {
            refuse_two_stdins([("--policy", policy.as_path()), ("--set", set.as_path())])?;
            let (text, path) = read_input(policy)?;
            (read_policy(&text, &path)?, conversations(set, count)?)
        }
        _ => (ten_routes(), (0..count).map(invented).collect()),
    };
    let (dialect, policy) = (policy.dialect.unwrap_or(DialectId::DEFAULT), Arc::new(policy));
    let budget = policy.budget_for(dialect);
    let request = |conversation| RouteRequest {
        policy: Arc::clone(&policy),
        conversation: Arc::new(conversation),
        dialect,
        budget,
        orders: 0,
        seed: 0,
    };
    Ok(conversations.into_iter().map(request).collect())
}

/// Reads the first user turns of a set, each with the messages before it.
fn conversations(set: &Path, count: usize) -> Result<Vec<Conversation>, Failure> {
    let (input, shown): (Box<dyn BufRead>, String) = if is_stdin(set) {
        (Box::new(std::io::stdin().lock()), STDIN.to_owned())
    } else {
        (Box::new(open(set)?), set.display().to_string())
    };
    let mut found = Vec::new();
    // Bad lines are told by `waypost eval`; here they only take no time.
    for case in LabelledReader::new(input, &shown).flatten() {
        found.extend(case.turns().into_iter().map(|(conversation, _)| conversation));
        if found.len() >= count {
            found.truncate(count);
            break;
        }
    }
    if found.is_empty() {
        return Err(Failure::Input(format!("{shown} has no usable line; add conversations with their expected route")));
    }
    Ok(found)
}

/// Messages as people write them, 10 to 40 words long; the number makes each another one.
fn invented(number: usize) -> Conversation {
    const TEXTS: [&str; 8] = [
        "can you write a function that merges two sorted lists without copying them?",
        "My build fails since I updated the parser crate, the borrow checker complains in a loop over the tokens, can you find out why and fix it?",
        "how long do I have to send the shoes back if they do not fit, and who pays for the parcel?",
        "Summarise the attached minutes in five bullet points for people who missed the meeting, and list who promised what until when",
        "we are three adults and a child, which train gets us from Lyon to Turin on Friday evening, and can we bring two bicycles along?",
        "translate this into Portuguese, keep the tone friendly: your order has left our warehouse and arrives on Tuesday",
        "The query over the orders table takes nine seconds since last week, there is an index on the customer and one on the date; what should I look at first and how do I measure it?",
        "thanks, that was all",
    ];
    Conversation::from_prompt(format!("{number}: {}", TEXTS[number % TEXTS.len()]))
}

fn ten_routes() -> Policy {
    // The five of the single decisions, and five of another kind.
    let more = [
        (
            "returns_and_refunds",
            "Sending goods back to the shop: deadlines, labels, condition and packaging of the goods, exchange for another size or colour, who pays for the parcel and when the money is paid back",
        ),
        (
            "order_status",
            "Where an order is and when it will come: shipping, tracking numbers, delays, delivery days, customs, parcels that were left with a neighbour, came damaged or never came at all",
        ),
        (
            "summarisation",
            "Making long texts short: minutes of meetings, articles, reports, mail threads and transcripts, as bullet points, headlines, one paragraph or a list of who promised what until when",
        ),
        (
            "translation",
            "Carrying text from one language into another, whole or in part, with its tone, its terms and its formatting kept as they are, and explanations of words that have no counterpart",
        ),
        (
            "travel_planning",
            "Trips by train, plane, car or ship: connections and changes, seats, bicycles and luggage, hotels on the way, visas, and what to see with how much time, money and small children",
        ),
    ];
    let routes = super::bench::policy().routes.into_iter().chain(more.into_iter().map(|(name, description)| Route::new(name, description)));
    Policy { routes: routes.collect(), ..Policy::default() }
}

//! From scores to a decision: probabilities as they are shown, and the answer as the gateway reads it.

use std::time::Duration;

use super::asking::Ask;
use super::calibration;
use super::scoring::Answered;
use crate::decision::{Decision, Latency, Outcome, RouteProbability, RouterInfo, TokenCounts};
use crate::dialect::parse_answer;

/// What is known of a prompt before it is scored.
pub struct Timed {
    /// Tokens of the prompt.
    pub length: usize,
    pub render: Duration,
    pub tokenize: Duration,
}

/// Reads an answer, whose text is `greedy`, as the gateway does and puts the decision together.
pub fn decision(ask: &Ask, timed: &Timed, answered: Answered, greedy: String, router: RouterInfo) -> Decision {
    let (request, names) = (&ask.request, ask.names());
    let mut probabilities: Vec<RouteProbability> =
        answered.answers.iter().map(|answer| RouteProbability::new(answer.route.map(|route| names[route]), answer.p)).collect();
    probabilities.sort_by(|a, b| b.p.total_cmp(&a.p));
    let invalid_mass = (1.0 - probabilities.iter().map(|route| route.p).sum::<f64>()).max(0.0);
    if let Some(temperature) = router.temperature {
        calibration::apply(temperature, &mut probabilities);
    }
    let margin = probabilities.first().map_or(0.0, |best| best.p) - probabilities.get(1).map_or(0.0, |second| second.p);
    let (outcome, route, error) = if answered.ended {
        match parse_answer(request.dialect, &names, &greedy) {
            Ok(Some(route)) => (Outcome::Route, Some(route), None),
            Ok(None) => (Outcome::NoRoute, None, None),
            Err(error) => (Outcome::Error, None, Some(error.to_string())),
        }
    } else {
        let error = format!(
            "the router had not ended its turn after {} tokens; the gateway would wait for the rest and most likely fail to read it",
            answered.limit
        );
        (Outcome::Error, None, Some(error))
    };
    let model = match outcome {
        Outcome::Error => None,
        _ => request.policy.model_for(route.as_deref()).map(str::to_owned),
    };
    let one_of = request.policy.one_of(route.as_deref()).to_vec();
    let total = timed.render + timed.tokenize + answered.forward + answered.decode;
    Decision {
        outcome,
        route,
        model,
        one_of,
        answer: greedy,
        error,
        greedy_proved: answered.proved,
        probabilities,
        margin,
        invalid_mass,
        tokens: TokenCounts { prompt: timed.length, cached: answered.cached, computed: answered.computed },
        latency_ms: Latency {
            render: millis(timed.render),
            tokenize: millis(timed.tokenize),
            forward: millis(answered.forward),
            decode: millis(answered.decode),
            total: millis(total),
        },
        dialect: Some(request.dialect),
        router,
        order_stability: None,
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

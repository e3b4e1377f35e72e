//! A running Plano.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use waypost::chat::{Message, Role};
use waypost::decision::{Decision, Outcome};
use waypost::engine::{CancelToken, EngineError};

use super::{LIMITS, in_orders, open, request};
use crate::test_server::{Answer, Gate, TestServer};

fn ask(answer: Answer) -> (Result<Decision, EngineError>, TestServer) {
    let server = TestServer::start(move |request| if request.method == "GET" { Answer::new(200, "{}") } else { answer.clone() });
    let mut router = open(&format!("plano+{}", server.url), LIMITS).unwrap();
    let mut request = request("it crashes");
    let mut conversation = (*request.conversation).clone();
    conversation.messages.insert(0, Message::new(Role::System, "Be brief"));
    // What the conversation's file looks like is nothing to the gateway.
    conversation.is_list = true;
    request.conversation = std::sync::Arc::new(conversation);
    let mut policy = (*request.policy).clone();
    policy.routes[1].extra.push(("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned()));
    request.policy = std::sync::Arc::new(policy);
    (router.decide(&request, &mut |_| {}, &CancelToken::default()), server)
}

#[test]
fn the_whole_conversation_and_the_policys_routes_are_sent() {
    let (decision, server) =
        ask(Answer::new(200, json!({"models": ["m/large"], "route": "bugs", "trace_id": "1", "pinned": false}).to_string()));
    let decision = decision.unwrap();
    assert_eq!((decision.outcome, decision.route.as_deref(), decision.model.as_deref()), (Outcome::Route, Some("bugs"), Some("m/large")));
    assert_eq!((decision.dialect, decision.tokens.prompt), (None, 0), "it tells neither");
    let sent = server.seen().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/routing/v1/chat/completions"));
    assert_eq!(
        sent.json(),
        json!({
            "model": "m/fallback",
            "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "it crashes"}],
            "routing_preferences": [
                {"name": "billing", "description": "All about billing", "models": ["m/small"]},
                {"name": "bugs", "description": "All about bugs", "models": ["m/large"], "selection_policy": {"prefer": "cheapest"}},
            ],
        })
    );
}

#[test]
fn answers_are_read() {
    let outcomes = [
        (json!({"models": ["none"], "route": null, "trace_id": "1"}), Outcome::NoRoute, None, Some("m/fallback")),
        (json!({"models": ["m/small"], "route": "billing", "trace_id": "1"}), Outcome::Route, Some("billing"), Some("m/small")),
        (json!({"models": ["x/y"], "route": "of_the_config", "trace_id": "1"}), Outcome::Error, None, None),
    ];
    for (answer, outcome, route, model) in outcomes {
        let decision = ask(Answer::new(200, answer.to_string())).0.unwrap();
        assert_eq!((decision.outcome, decision.route.as_deref(), decision.model.as_deref()), (outcome, route, model), "{answer}");
    }
}

#[test]
fn a_failed_routing_is_an_outcome_with_the_gateways_own_words() {
    let message = "Failed to determine route: invalid type: string \"bugs\", expected a sequence";
    let (decision, server) = ask(Answer::new(500, json!({"error": message}).to_string()));
    let decision = decision.unwrap();
    assert_eq!((decision.outcome, decision.label()), (Outcome::Error, None));
    assert!(decision.error.unwrap().contains(message));
    assert!(decision.latency_ms.forward > 0.0, "it took its time all the same");
    assert_eq!(server.seen().len(), 2, "the same answer would come again");
}

#[test]
fn refusals_and_old_versions_are_sentences() {
    for (status, part) in [(401, "WAYPOST_API_KEY"), (404, "use Plano 0.4.15 or later"), (503, "HTTP 503")] {
        let result = ask(Answer::new(status, "")).0;
        assert!(matches!(&result, Err(EngineError::Router(sentence)) if sentence.contains(part)), "{status}: {result:?}");
    }
    for (answer, part) in [
        (json!({"model": "none", "route": null, "trace_id": "1"}), "use Plano 0.4.15 or later"),
        (json!({"model": "m/small", "route": "billing", "trace_id": "1"}), "takes no routes from a request"),
        (json!({"models": ["m/small"], "route": "billing", "trace_id": "1", "pinned": true}), "`prompt_caching`"),
        (json!({"hello": 1}), "did not answer as expected"),
    ] {
        let result = ask(Answer::new(200, answer.to_string())).0;
        assert!(matches!(&result, Err(EngineError::Router(sentence)) if sentence.contains(part)), "{answer}: {result:?}");
    }
}

#[test]
fn an_order_test_asks_a_gateway_as_much_at_once_as_a_server() {
    let (gate, posts) = (Gate::of(LIMITS.in_flight), AtomicUsize::new(0));
    // Takes whatever route stands first.
    let server = TestServer::start(move |request| {
        if request.method == "GET" {
            return Answer::new(200, "{}");
        }
        // The policy's own order comes by itself, before the others.
        if posts.fetch_add(1, Ordering::SeqCst) > 0 {
            gate.pass();
        }
        let asked = request.json();
        let first = &asked["routing_preferences"][0];
        Answer::new(200, json!({"models": first["models"], "route": first["name"], "trace_id": "1"}).to_string())
    });
    let mut router = open(&format!("plano+{}", server.url), LIMITS).unwrap();
    let decision = router.decide(&in_orders(6, "it crashes"), &mut |_| {}, &CancelToken::default()).unwrap();
    let stability = decision.order_stability.unwrap();
    let orders: BTreeSet<String> =
        server.seen().into_iter().filter(|request| request.method == "POST").map(|request| request.body).collect();
    let changed = orders.iter().filter(|body| !body.contains("\"routing_preferences\":[{\"name\":\"billing\"")).count();
    assert_eq!((orders.len(), decision.route.as_deref(), stability.orders, stability.changed), (7, Some("billing"), 6, changed));
    assert_eq!(server.most_open(), LIMITS.in_flight);
}

#[test]
fn a_gateway_that_takes_no_routes_ends_a_run_at_once() {
    let server = TestServer::start(|request| match request.method.as_str() {
        "GET" => Answer::new(200, "{}"),
        _ => Answer::new(200, json!({"model": "m/small", "route": "billing", "trace_id": "1"}).to_string()),
    });
    let mut router = open(&format!("plano+{}", server.url), LIMITS).unwrap();
    let mut results = 0;
    let mut requests = (0..20).map(|_| request("it crashes"));
    let outcome = router.decide_all(&mut requests, &mut |_, _| results += 1, &CancelToken::default());
    assert!(matches!(&outcome, Err(EngineError::Router(_))), "{outcome:?}");
    assert_eq!(results, 0);
}

//! OpenAI-compatible servers.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use waypost::decision::{Decision, Outcome};
use waypost::dialect::render;
use waypost::engine::{CancelToken, EngineError, Limits, Router};
use waypost::policy::{DialectId, Route};

use super::{LIMITS, in_orders, open, request};
use crate::test_server::{Answer, Gate, Request, TestServer};

pub fn completion(content: impl Into<Value>) -> Answer {
    let content: Value = content.into();
    Answer::new(200, json!({"choices": [{"message": {"role": "assistant", "content": content}}]}).to_string())
}

/// A server that lists no models and answers every prompt like this.
fn server(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> TestServer {
    TestServer::start(move |request| if request.path == "/v1/models" { Answer::new(404, "") } else { answer(request) })
}

fn router(server: &TestServer, limits: Limits) -> Box<dyn Router> {
    open(&format!("{}/v1#arch", server.url), limits).unwrap()
}

fn decide(router: &mut dyn Router, text: &str) -> Result<Decision, EngineError> {
    router.decide(&request(text), &mut |_| {}, &CancelToken::default())
}

#[test]
fn a_request_is_what_the_gateway_sends() {
    let server = server(|_| completion("{\"route\": \"bugs\"}"));
    let decision = decide(router(&server, LIMITS).as_mut(), "it crashes").unwrap();
    assert_eq!((decision.outcome, decision.route.as_deref(), decision.model.as_deref()), (Outcome::Route, Some("bugs"), Some("m/large")));
    assert!(decision.probabilities.is_empty(), "nothing is known without log-probabilities");

    let sent = server.seen().pop().unwrap();
    assert_eq!((sent.method.as_str(), sent.path.as_str()), ("POST", "/v1/chat/completions"));
    let mut body = sent.json();
    // Asked for besides; what is written stays the same.
    let object = body.as_object_mut().unwrap();
    assert_eq!((object.remove("logprobs"), object.remove("top_logprobs")), (Some(json!(true)), Some(json!(20))));
    let request = request("it crashes");
    let routes: Vec<&Route> = request.policy.routes.iter().collect();
    let prompt = render(DialectId::Archgw031, &routes, &request.conversation, None).text;
    assert_eq!(body, json!({"model": "arch", "messages": [{"role": "user", "content": prompt}], "temperature": 0.01}));
}

#[test]
fn answers_are_read_as_the_gateway_reads_them() {
    let contents = [
        (json!(null), Outcome::NoRoute, None),
        (json!(""), Outcome::NoRoute, None),
        (json!("{\"route\": \"other\"}"), Outcome::NoRoute, None),
        (json!("```json{'route': 'billing'}```"), Outcome::Route, Some("billing")),
        (json!("I think it is billing"), Outcome::Error, None),
    ];
    for (content, outcome, route) in contents {
        let answered = content.clone();
        let server = server(move |_| completion(answered.clone()));
        let decision = decide(router(&server, LIMITS).as_mut(), "hello").unwrap();
        assert_eq!((decision.outcome, decision.route.as_deref()), (outcome, route), "{content}");
        assert_eq!(decision.error.is_some(), outcome == Outcome::Error);
    }
    let server = server(|_| Answer::new(200, "{\"choices\": []}"));
    assert_eq!(decide(router(&server, LIMITS).as_mut(), "hello").unwrap().outcome, Outcome::NoRoute);
}

#[test]
fn log_probabilities_become_probabilities_and_counts_are_taken_over() {
    let server = server(|_| {
        let token = |token: &str, p: f64, others: Value| json!({"token": token, "logprob": p.ln(), "top_logprobs": others});
        let content = json!([
            token("{\"route\": \"b", 1.0, json!([])),
            token("ugs", 0.75, json!([{"token": "ugs", "logprob": 0.75_f64.ln()}, {"token": "ill", "logprob": 0.2_f64.ln()}])),
            token("\"}", 1.0, json!([])),
        ]);
        let choice = json!({"message": {"content": "{\"route\": \"bugs\"}"}, "logprobs": {"content": content}});
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 60}});
        Answer::new(200, json!({"choices": [choice], "usage": usage}).to_string())
    });
    let decision = decide(router(&server, LIMITS).as_mut(), "it crashes").unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    let [best, second] = decision.probabilities.as_slice() else { panic!("{:?}", decision.probabilities) };
    assert!(best.route == "bugs" && close(best.p, 0.75) && second.route == "billing" && close(second.p, 0.2));
    assert!(close(decision.margin, 0.55) && close(decision.invalid_mass, 0.05));
    assert_eq!((decision.tokens.prompt, decision.tokens.cached, decision.tokens.computed), (100, 60, 47));
}

#[test]
fn what_is_unknown_may_all_be_one_route() {
    let margin = |named: f64| {
        let server = server(move |_| {
            let place = json!([{"token": "ugs", "logprob": 0.5_f64.ln()}, {"token": "ill", "logprob": named.ln()}]);
            let content = json!([
                {"token": "{\"route\": \"b", "logprob": 0.0, "top_logprobs": []},
                {"token": "ugs", "logprob": 0.5_f64.ln(), "top_logprobs": place},
                {"token": "\"}", "logprob": 0.0, "top_logprobs": []},
            ]);
            let choice = json!({"message": {"content": "{\"route\": \"bugs\"}"}, "logprobs": {"content": content}});
            Answer::new(200, json!({"choices": [choice]}).to_string())
        });
        decide(router(&server, LIMITS).as_mut(), "it crashes").unwrap().margin
    };
    for (named, expected) in [(0.4, 0.1), (0.1, 0.1), (0.01, 0.01), (0.25, 0.25)] {
        assert!((margin(named) - expected).abs() < 1e-9, "{named}: {}", margin(named));
    }
}

#[test]
fn a_server_without_log_probabilities_is_asked_without_them_from_then_on() {
    for said in ["logprobs is not supported for models created with logits_all=False", "logprob is not supported"] {
        let server = server(move |request| match request.json().get("logprobs") {
            Some(_) => Answer::new(500, json!({"error": {"message": said}}).to_string()),
            None => completion("{\"route\": \"billing\"}"),
        });
        let mut router = router(&server, LIMITS);
        for _ in 0..2 {
            assert_eq!(decide(router.as_mut(), "hello").unwrap().route.as_deref(), Some("billing"));
        }
        let asked: Vec<bool> = server.seen().iter().skip(1).map(|request| request.json().get("logprobs").is_some()).collect();
        assert_eq!(asked, [true, false, false], "{said}");
    }
}

#[test]
fn busy_servers_and_cut_connections_are_tried_again() {
    let faults: [fn() -> Answer; 4] = [
        || Answer::new(429, "").header("Retry-After", 0),
        || Answer::new(503, "{\"error\": \"loading\"}"),
        || completion("{\"route\": \"bugs\"}").cut_after(20),
        || Answer::new(500, "oops"),
    ];
    for fault in faults {
        let asked = AtomicUsize::new(0);
        let server = server(move |_| if asked.fetch_add(1, Ordering::SeqCst) < 2 { fault() } else { completion("{\"route\": \"bugs\"}") });
        assert_eq!(decide(router(&server, LIMITS).as_mut(), "hello").unwrap().route.as_deref(), Some("bugs"), "{:?}", fault());
        assert_eq!(server.seen().len(), 4);
    }
}

#[test]
fn many_are_in_flight_but_no_more_than_allowed_and_a_failed_case_is_that_case_alone() {
    let gate = Gate::of(LIMITS.in_flight);
    let server = server(move |request| {
        let body = &request.body;
        if body.contains("case 7") {
            return Answer::new(500, "{\"error\": {\"message\": \"out of memory\"}}");
        } else if body.contains("case 11") {
            return Answer::new(200, "<html>sign in</html>");
        }
        gate.pass();
        let route = if body.contains("odd") { "bugs" } else { "billing" };
        // Time for one more than allowed.
        completion(format!("{{\"route\": \"{route}\"}}")).after(Duration::from_millis(10))
    });
    let mut router = router(&server, LIMITS);
    let mut results: Vec<_> = (0..40).map(|_| None).collect();
    let mut requests = (0..40).map(|number| request(&format!("case {number} {}", if number % 2 == 1 { "odd" } else { "even" })));
    let mut done = |index: usize, result| assert!(results[index].replace(result).is_none(), "{index} was decided twice");
    router.decide_all(&mut requests, &mut done, &CancelToken::default()).unwrap();
    for (number, result) in results.into_iter().enumerate() {
        match (number, result.unwrap()) {
            (7, Err(EngineError::Request(sentence))) => {
                assert!(sentence.contains("500") && sentence.contains("out of memory"), "{sentence}")
            }
            (11, Err(EngineError::Request(sentence))) => assert!(sentence.contains("did not answer as expected"), "{sentence}"),
            (_, result) => {
                let expected = if number % 2 == 1 { "bugs" } else { "billing" };
                assert_eq!(result.unwrap().route.as_deref(), Some(expected), "case {number}");
            }
        }
    }
    assert_eq!(server.most_open(), LIMITS.in_flight);
}

#[test]
fn a_server_that_refuses_or_goes_away_ends_the_whole_measurement() {
    let refusing = server(|_| Answer::new(401, "{\"error\": {\"message\": \"bad key\"}}"));
    let mut seen = 0;
    let result = router(&refusing, LIMITS).decide_all(&mut (0..1000).map(|_| request("x")), &mut |_, _| seen += 1, &CancelToken::default());
    assert!(matches!(&result, Err(EngineError::Router(sentence)) if sentence.contains("WAYPOST_API_KEY")), "{result:?}");
    assert_eq!(seen, 0);
    assert!(refusing.seen().len() <= 2 + LIMITS.in_flight);

    let gone = server(|_| completion("{}").cut_after(1));
    let mut kept = Vec::new();
    let result =
        router(&gone, LIMITS).decide_all(&mut (0..1000).map(|_| request("x")), &mut |_, result| kept.push(result), &CancelToken::default());
    assert!(matches!(&result, Err(EngineError::Router(sentence)) if sentence.contains("cannot be reached")), "{result:?}");
    assert_eq!(kept.len(), LIMITS.in_flight, "what was tried is kept");
}

#[test]
fn a_server_that_never_decides_anything_ends_the_measurement_and_one_that_did_goes_on() {
    let quick = Limits { timeout: Duration::from_millis(700), attempts: 2, ..LIMITS };
    let measure = |server: &TestServer, limits| {
        let mut results = Vec::new();
        let mut requests = (0..20).map(|number| request(&format!("case {number}.")));
        let outcome = router(server, limits).decide_all(&mut requests, &mut |_, result| results.push(result), &CancelToken::default());
        (outcome, results)
    };
    let hung = server(|_| completion("{}").after(Duration::from_secs(2)));
    let busy = server(|_| Answer::new(503, "{\"error\": \"loading\"}"));
    let page = server(|_| Answer::new(200, "<html>sign in</html>"));
    for (server, part) in [(hung, "did not answer within"), (busy, "503"), (page, "did not answer as expected")] {
        let (outcome, results) = measure(&server, quick);
        assert!(matches!(&outcome, Err(EngineError::Router(sentence)) if sentence.contains(part)), "{outcome:?}");
        assert_eq!(results.len(), LIMITS.in_flight);
    }
    // What is wrong with the first cases says nothing about the rest, and neither do failures after a decision.
    let long = server(|request| if request.body.contains("case 19.") { completion("") } else { Answer::new(400, "too long") });
    let (outcome, results) = measure(&long, quick);
    assert_eq!((outcome, results.len()), (Ok(()), 20));
    let first =
        server(
            |request| if request.body.contains("case 0.") { completion("") } else { Answer::new(503, "").after(Duration::from_millis(50)) },
        );
    let (outcome, results) = measure(&first, quick);
    assert_eq!((outcome, results.len()), (Ok(()), 20));
}

#[test]
fn one_refusal_is_of_one_conversation_and_many_in_a_row_are_of_everybody() {
    let measure = |server: &TestServer, count: usize| {
        let mut results = Vec::new();
        let mut requests = (0..count).map(|number| request(&format!("case {number}.")));
        let mut router = router(server, Limits { in_flight: 1, ..LIMITS });
        let outcome = router.decide_all(&mut requests, &mut |_, result| results.push(result), &CancelToken::default());
        (outcome, results)
    };
    for status in [403, 404, 405] {
        let filtering = server(move |request| {
            let is_refused = request.body.contains("case 0.") || request.body.contains("case 3.");
            if is_refused { Answer::new(status, "blocked by content policy") } else { completion("{\"route\": \"bugs\"}") }
        });
        let (outcome, results) = measure(&filtering, 20);
        assert_eq!((outcome, results.len()), (Ok(()), 20), "{status}");
        let refused: Vec<usize> = (0..20).filter(|&index| results[index].is_err()).collect();
        assert_eq!(refused, [0, 3], "{status}");
        let Err(EngineError::Request(sentence)) = &results[3] else { panic!("{:?}", results[3]) };
        assert!(sentence.contains("blocked by content policy") && (status == 405 || sentence.contains("this conversation")), "{sentence}");
    }
    let asked = AtomicUsize::new(0);
    let revoked = server(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0..5 => completion("{\"route\": \"bugs\"}"),
        _ => Answer::new(403, "no more"),
    });
    let unknown = server(|_| Answer::new(404, "no such model"));
    for (server, tried, part) in [(&revoked, 21, "no more"), (&unknown, 16, "no such model")] {
        let (outcome, results) = measure(server, 1000);
        assert!(matches!(&outcome, Err(EngineError::Router(sentence)) if sentence.contains(part)), "{outcome:?}");
        assert_eq!(results.len(), tried, "{part}");
    }
    // A few may be all that a run goes on with, or that comes between two single decisions.
    let (outcome, results) = measure(&unknown, 5);
    assert_eq!((outcome, results.len()), (Ok(()), 5));
}

#[test]
fn refusals_are_no_lost_connections() {
    let server = server(|request| {
        let is_lost = request.body.contains("case 5.");
        if is_lost { completion("{}").cut_after(1) } else { Answer::new(403, "blocked by content policy") }
    });
    let mut results = 0;
    let mut requests = (0..10).map(|number| request(&format!("case {number}.")));
    let mut router = router(&server, Limits { in_flight: 2, ..LIMITS });
    let outcome = router.decide_all(&mut requests, &mut |_, _| results += 1, &CancelToken::default());
    assert_eq!((outcome, results), (Ok(()), 10));
}

#[test]
fn a_server_may_ask_for_any_pause() {
    let (cancel, is_decided, refused) = (CancelToken::default(), [const { AtomicBool::new(false) }; 2], AtomicUsize::new(0));
    let of_server = cancel.clone();
    let server = server(move |request| {
        let case = usize::from(request.body.contains("case 1."));
        if !is_decided[case].swap(true, Ordering::SeqCst) {
            return completion("{\"route\": \"bugs\"}");
        }
        // Two may be open at once: of three that are told to wait, one is in its pause.
        if refused.fetch_add(1, Ordering::SeqCst) == 2 {
            of_server.cancel();
        }
        Answer::new(429, "").header("Retry-After", u64::MAX)
    });
    let mut router = router(&server, Limits { in_flight: 2, ..LIMITS });
    // Each has its decision and two of other orders, which wait for each other's places.
    let mut requests = (0..2).map(|number| in_orders(2, &format!("case {number}.")));
    let outcome = router.decide_all(&mut requests, &mut |_, result| panic!("decided: {result:?}"), &cancel);
    assert_eq!(outcome, Err(EngineError::Cancelled));
}

#[test]
fn an_order_test_opens_no_more_requests_than_allowed() {
    let gate = Gate::of(LIMITS.in_flight);
    let server = server(move |_| {
        gate.pass();
        completion("{\"route\": \"bugs\"}").after(Duration::from_millis(10))
    });
    let mut requests = (0..8).map(|_| in_orders(6, "it crashes"));
    let mut stable = 0;
    let mut done = |_, result: Result<Decision, EngineError>| stable += result.unwrap().order_stability.unwrap().orders;
    router(&server, LIMITS).decide_all(&mut requests, &mut done, &CancelToken::default()).unwrap();
    assert_eq!((stable, server.most_open()), (48, LIMITS.in_flight));
}

#[test]
fn an_order_test_of_any_size_is_made_piece_by_piece() {
    let asked = AtomicUsize::new(0);
    let server = server(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0..9 => completion("{\"route\": \"bugs\"}"),
        _ => Answer::new(400, "enough"),
    });
    let endless = in_orders(usize::MAX, "it crashes");
    let result = router(&server, LIMITS).decide(&endless, &mut |_| {}, &CancelToken::default());
    assert!(matches!(&result, Err(EngineError::Request(_))), "{result:?}");
}

#[test]
fn requests_in_flight_can_be_cancelled() {
    let (cancel, open) = (CancelToken::default(), AtomicUsize::new(0));
    let of_server = cancel.clone();
    let server = server(move |_| {
        if open.fetch_add(1, Ordering::SeqCst) + 1 == LIMITS.in_flight {
            of_server.cancel();
        }
        completion("{\"route\": \"bugs\"}").after(Duration::from_secs(5))
    });
    let mut requests = (0..100).map(|_| request("x"));
    let outcome = router(&server, LIMITS).decide_all(&mut requests, &mut |_, result| panic!("decided: {result:?}"), &cancel);
    assert_eq!(outcome, Err(EngineError::Cancelled));
}

/// A server goes on generating for as long as somebody listens.
#[test]
fn a_cancelled_request_closes_its_connection_while_the_router_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ((asked, is_asked), (closed, is_closed)) = (channel(), channel());
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        let (mut models, _) = listener.accept().unwrap();
        assert!(models.read(&mut buffer).unwrap() > 0);
        models.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").unwrap();
        let (mut prompt, _) = listener.accept().unwrap();
        assert!(prompt.read(&mut buffer).unwrap() > 0);
        asked.send(()).unwrap();
        while prompt.read(&mut buffer).is_ok_and(|count| count > 0) {}
        closed.send(()).unwrap();
    });
    let mut router = open(&format!("http://{address}/v1#arch"), LIMITS).unwrap();
    let cancel = CancelToken::default();
    let later = cancel.clone();
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            is_asked.recv().unwrap();
            later.cancel();
        });
        router.decide(&request("x"), &mut |_| {}, &cancel)
    });
    assert!(matches!(result, Err(EngineError::Cancelled)), "{result:?}");
    assert!(is_closed.recv_timeout(Duration::from_secs(10)).is_ok(), "the server is still waited for");
    drop(router);
}

#[test]
fn the_context_is_taken_from_the_list_of_models() {
    let server = TestServer::start(|_| Answer::new(200, json!({"data": [{"id": "arch", "max_model_len": 32768}]}).to_string()));
    let description = router(&server, LIMITS).description();
    assert_eq!(description.context, 32_768);
    assert_eq!(description.info.id, format!("{}/v1#arch", server.url));
}

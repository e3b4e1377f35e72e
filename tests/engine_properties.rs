//! What holds for every policy, conversation and network: random ones, held to answer-by-answer scoring and token-by-token decoding.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use waypost::chat::{Conversation, Message, Role};
use waypost::decision::{Decision, Outcome};
use waypost::dialect::{all_names_text, answer_text, answers_are_lists, parse_answer, render};
use waypost::engine::{CancelToken, EngineError, LocalRouter, MAX_DECODED, RouteRequest, Router};
use waypost::policy::{DialectId, NO_ROUTE_LABEL, Policy, Route};

use crate::tiny_model::{Reference, Shape, TinyModel, TinyTokenizer, close};

/// As for the networks, and a little for longer prompts.
const TOLERANCE: f64 = 3e-4;

/// Names that gateways accept and people write, and some that only a test writes.
fn names() -> impl Strategy<Value = Vec<String>> {
    let odd = [
        "code",
        "code_generation",
        "code generation",
        "code!",
        "a",
        "",
        "other",
        "say \"hi\"",
        "it's",
        "a\\b",
        "naïve",
        "nai\u{308}ve",
        "京都",
        "🚄🚄",
        "tab\there",
        "line\nfeed",
        "<|im_end|>",
        "ends,",
        "]}",
        "{conversation}",
        " space ",
    ];
    let name = prop_oneof![2 => proptest::sample::select(odd.to_vec()).prop_map(str::to_owned), 1 => "[a-c_]{1,6}", 1 => "\\PC{1,6}"];
    proptest::collection::vec(name, 0..12)
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let text = prop_oneof![2 => "[a-z ]{0,40}", 1 => "\\PC{0,20}"];
    let message = (proptest::sample::select(vec![Role::User, Role::Assistant]), text).prop_map(|(role, text)| Message::new(role, text));
    (proptest::collection::vec(message, 0..3), "[a-zA-Z ?]{1,30}").prop_map(|(mut messages, last)| {
        messages.push(Message::new(Role::User, last));
        Conversation::from(messages)
    })
}

/// A policy, a conversation, and what the network is taught to write: mostly a valid answer, so that proofs happen.
#[derive(Clone, Debug)]
struct Case {
    dialect: DialectId,
    policy: Arc<Policy>,
    conversation: Arc<Conversation>,
    taught: String,
    strength: f32,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let dialects = proptest::sample::select(DialectId::ALL.to_vec());
    let parts = (dialects, names(), conversations(), any::<proptest::sample::Index>(), 0..8_u8, 0_u64..1000);
    parts.prop_map(|(dialect, names, conversation, taught, kind, seed)| {
        let chosen = names.iter().map(|name| Some(name.as_str())).chain([None]).collect::<Vec<_>>();
        let answer = answer_text(dialect, *taught.get(&chosen));
        let (taught, strength) = match kind {
            // Leaves the tree, ends there or somewhere else, or never.
            0 => (format!("{answer} and more"), 30.0),
            1 => (answer[..answer.len() - 1].to_owned(), 30.0),
            2 => ("abc".to_owned(), 30.0),
            // An unsure network.
            3 => (answer, 12.0),
            _ => (answer, 30.0),
        };
        let routes = names.iter().map(|name| Route::new(name, format!("About {name}"))).collect();
        let policy = Arc::new(Policy { routes, fallback: Some("fallback/model".to_owned()), ..Policy::default() });
        Case { dialect, policy, conversation: Arc::new(conversation), taught, strength, seed }
    })
}

impl Case {
    fn model(&self) -> TinyModel {
        let mut model = TinyModel::random(Shape { hidden: 48, intermediate: 64, layers: 1, ..Shape::SMALL }, self.seed);
        model.teach(&self.taught, self.strength);
        model
    }

    fn names(&self) -> Vec<&str> {
        self.policy.routes.iter().map(|route| route.name.as_str()).collect()
    }

    fn prompt(&self) -> String {
        let routes: Vec<&Route> = self.policy.routes.iter().collect();
        render(self.dialect, &routes, &self.conversation, None).text
    }

    fn request(&self, orders: usize, seed: u64) -> RouteRequest {
        RouteRequest { orders, seed, ..RouteRequest::new(Arc::clone(&self.policy), Arc::clone(&self.conversation), self.dialect) }
    }

    fn decide(&self, router: &mut LocalRouter, orders: usize, seed: u64) -> Decision {
        router.decide(&self.request(orders, seed), &mut |_| {}, &CancelToken::default()).unwrap()
    }
}

/// Few cases, since each makes a network; the seed differs from run to run.
fn few(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, max_shrink_iters: 60, failure_persistence: None, ..ProptestConfig::default() }
}

/// What does not depend on the clock, with probabilities that may differ by rounding left out.
fn gist(decision: &Decision) -> (Outcome, Option<String>, String, Option<String>, bool) {
    (decision.outcome, decision.route.clone(), decision.answer.clone(), decision.model.clone(), decision.greedy_proved)
}

fn same(a: &Decision, b: &Decision) -> Result<(), TestCaseError> {
    let sorted = |decision: &Decision| {
        let mut sorted = decision.probabilities.clone();
        sorted.sort_by(|a, b| a.route.cmp(&b.route).then(a.p.total_cmp(&b.p)));
        sorted
    };
    prop_assert_eq!(a.probabilities.len(), b.probabilities.len());
    for (a, b) in sorted(a).iter().zip(&sorted(b)) {
        prop_assert!(a.route == b.route && close(a.p, b.p, TOLERANCE), "{a:?} against {b:?}");
    }
    prop_assert_eq!(gist(a), gist(b));
    Ok(())
}

proptest! {
    #![proptest_config(few(24))]

    #[test]
    fn one_pass_equals_answer_by_answer_and_its_text_is_real_greedy_decoding(case in cases()) {
        let (model, names) = (case.model(), case.names());
        let (mut router, mut reference) = (model.load(), Reference::new(&model));
        let message = case.prompt();
        let scored = router.score(case.dialect, &names, &message, &CancelToken::default()).unwrap();
        let prompt = router.prompt_tokens(&message).unwrap();
        // A name that occurs twice, or whose tokens are those of another or of no route, has one answer.
        let encode = |name: Option<&str>| model.tokenizer.encode(&answer_text(case.dialect, name));
        let distinct: BTreeSet<Vec<u32>> = names.iter().map(|name| encode(Some(name))).chain([encode(None)]).collect();
        prop_assert_eq!(scored.answers.len(), distinct.len());
        reference.check(&scored, &prompt, case.dialect, &names, TOLERANCE);

        let sum: f64 = scored.answers.iter().map(|answer| answer.p).sum();
        prop_assert!((0.0..=1.0 + 1e-5).contains(&sum), "probabilities sum to {sum}");
        for answer in &scored.answers {
            prop_assert!(answer.p >= 0.0 && answer.p >= answer.log_prob_end.exp() * (1.0 - 1e-6), "less than its own text: {answer:?}");
            prop_assert!(answer.log_prob_end <= answer.log_prob && answer.log_prob <= 1e-6, "{answer:?}");
        }
    }

    #[test]
    fn a_decision_adds_up_and_says_what_the_gateway_reads(case in cases()) {
        let model = case.model();
        let decision = case.decide(&mut model.load(), 0, 0);
        let names = case.names();
        let sum: f64 = decision.probabilities.iter().map(|route| route.p).sum::<f64>() + decision.invalid_mass;
        prop_assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        prop_assert!(decision.probabilities.iter().all(|route| (0.0..=1.0).contains(&route.p)));
        prop_assert!((0.0..=1.0).contains(&decision.invalid_mass));
        prop_assert!(decision.probabilities.is_sorted_by(|a, b| a.p >= b.p));
        let second = decision.probabilities.get(1).map_or(0.0, |second| second.p);
        prop_assert!((decision.margin - (decision.probabilities[0].p - second)).abs() < 1e-12);
        // Of names with the same tokens, the one that the tokenizer writes.
        let known: BTreeSet<String> = names.iter().copied().chain([NO_ROUTE_LABEL]).map(|name| model.tokenizer.normalised(name)).collect();
        let listed: Vec<String> = decision.probabilities.iter().map(|route| model.tokenizer.normalised(&route.route)).collect();
        // In list dialects a route called `other` and no route are two answers under one label.
        let two_others = answers_are_lists(case.dialect) && names.contains(&NO_ROUTE_LABEL);
        prop_assert_eq!(listed.len(), known.len() + usize::from(two_others));
        prop_assert_eq!(known, listed.into_iter().collect::<BTreeSet<_>>());
        prop_assert_eq!(decision.probabilities.iter().filter(|route| route.no_route).count(), 1);
        let tokens = decision.tokens;
        prop_assert!(tokens.cached < tokens.prompt && tokens.cached + tokens.computed > tokens.prompt, "{tokens:?}");
        match decision.outcome {
            Outcome::Error => prop_assert!(decision.error.is_some() && decision.route.is_none() && decision.model.is_none()),
            _ => {
                prop_assert_eq!(&decision.error, &None);
                prop_assert_eq!(parse_answer(case.dialect, &names, &decision.answer).unwrap(), decision.route.clone());
            }
        }
    }

    #[test]
    fn the_cache_changes_nothing(mut a in cases(), b in cases()) {
        // One network for both; `b` is what is decided in between.
        a.conversation = Arc::new(Conversation::from([b.conversation.messages.clone(), a.conversation.messages.clone()].concat()));
        let mut router = a.model().load();
        router.set_cache_budget(0);
        let uncached = a.decide(&mut router, 0, 0);
        prop_assert_eq!(uncached.tokens.cached, 0);
        same(&a.decide(&mut router, 0, 0), &uncached)?;
        prop_assert_eq!(router.cache_stats().bytes, 0);

        // Bytes of keys and values of one token in a layer of the tiny network.
        let token = 2 * 2 * 12 * 4;
        for budget in [20 * token, 200 * token, u64::MAX >> 1] {
            router.set_cache_budget(budget);
            for _ in 0..2 {
                same(&a.decide(&mut router, 0, 0), &uncached)?;
                b.decide(&mut router, 0, 0);
                prop_assert!(router.cache_stats().bytes <= budget);
            }
            let again = a.decide(&mut router, 0, 0);
            same(&again, &uncached)?;
            prop_assert!(budget < u64::MAX >> 1 || again.tokens.cached == again.tokens.prompt - 1, "all but the last token is known");
        }
        let stats = router.cache_stats();
        prop_assert!(stats.hit_tokens > 0 && stats.missed_tokens > 0);
    }

    #[test]
    fn order_tests_repeat_with_their_seed(case in cases(), seed in any::<u64>()) {
        let mut router = case.model().load();
        let own = case.decide(&mut router, 0, seed);
        prop_assert_eq!(&own.order_stability, &None);
        let (first, second) = (case.decide(&mut router, 4, seed), case.decide(&mut router, 4, seed));
        prop_assert_eq!(&first.order_stability, &second.order_stability);
        prop_assert_eq!(gist(&own), gist(&first));
        let stability = first.order_stability.unwrap();
        // One route has no other order, two have one, three have five.
        let tried = [0, 0, 1, 4][case.policy.routes.len().min(3)];
        prop_assert_eq!(stability.orders, tried);
        prop_assert_eq!(stability.decisions.iter().map(|decision| decision.count).sum::<usize>(), tried + 1);
        let kept = stability.decisions.iter().find(|decision| (decision.outcome, &decision.route) == (own.outcome, &own.route)).unwrap();
        prop_assert_eq!(kept.count, tried + 1 - stability.changed);
        prop_assert!((stability.agreement - kept.count as f64 / (tried + 1) as f64).abs() < 1e-12);
    }
}

/// Many requests for one network: conversations that share turns, routes and texts with each other, or nothing at all.
#[derive(Clone, Debug)]
struct Many {
    requests: Vec<RouteRequest>,
    first: Case,
    /// Tokens of one pass, bytes of the cache.
    pass: usize,
    budget: u64,
}

fn many() -> impl Strategy<Value = Many> {
    // Which of two policies, which dialect, how many messages of which conversation, and how many other orders.
    let request = (0..2_usize, proptest::sample::select(DialectId::ALL.to_vec()), 0..3_usize, 1..4_usize, 0..6_usize);
    let passes = proptest::sample::select(vec![1, 50, 400, 3000]);
    let parts = (cases(), cases(), proptest::collection::vec(request, 1..9), passes, proptest::sample::select(vec![0, 40_000, 1 << 30]));
    parts.prop_map(|(first, second, requests, pass, budget)| {
        let (a, b) = (&first.conversation.messages, &second.conversation.messages);
        let conversations = [a.clone(), [b.clone(), a.clone()].concat(), [b.clone(), b.clone(), b.clone()].concat()];
        let request = |(policy, dialect, conversation, length, orders): (usize, DialectId, usize, usize, usize)| {
            let messages = &conversations[conversation];
            // Beyond the context, which is no error of the others.
            let long = Message::new(Role::User, "qzxj ".repeat(400));
            let last = if (policy, length) == (1, 3) { vec![long] } else { Vec::new() };
            let messages: Vec<_> = messages[..length.min(messages.len())].iter().cloned().chain(last).collect();
            let case = [&first, &second][policy];
            RouteRequest {
                budget: (length == 2).then_some(230),
                orders: orders.saturating_sub(3),
                seed: 3,
                ..RouteRequest::new(Arc::clone(&case.policy), Conversation::from(messages), dialect)
            }
        };
        let requests = requests.into_iter().map(request).collect();
        Many { requests, first, pass, budget }
    })
}

proptest! {
    #![proptest_config(few(24))]

    #[test]
    fn many_at_once_are_decided_as_one_by_one(many in many()) {
        let mut model = TinyModel::random(Shape { hidden: 48, intermediate: 64, layers: 1, context: 2600, ..Shape::SMALL }, many.first.seed);
        model.teach(&many.first.taught, many.first.strength);
        let (mut alone, mut packing) = (model.load(), model.load());
        alone.set_cache_budget(0);
        packing.set_cache_budget(many.budget);
        packing.set_pass(many.pass);
        // The second time finds in the cache what the first one left there.
        for _ in 0..2 {
            let mut found = Vec::new();
            let mut done = |index: usize, result: Result<Decision, _>| found.push((index, result));
            packing.decide_all(&mut many.requests.iter().cloned(), &mut done, &CancelToken::default()).unwrap();
            prop_assert!(packing.cache_stats().bytes <= many.budget);
            prop_assert_eq!(found.len(), many.requests.len());
            found.sort_by_key(|(index, _)| *index);
            for ((index, packed), request) in found.iter().zip(&many.requests) {
                match (packed, alone.decide(request, &mut |_| {}, &CancelToken::default())) {
                    (Ok(packed), Ok(own)) => {
                        same(packed, &own)?;
                        prop_assert_eq!(&packed.order_stability, &own.order_stability);
                        let tokens = packed.tokens;
                        prop_assert_eq!(tokens.prompt, own.tokens.prompt);
                        // Decoded tokens count alike.
                        prop_assert_eq!(tokens.cached + tokens.computed, own.tokens.computed, "request {}", index);
                        prop_assert!(tokens.cached < tokens.prompt);
                    }
                    (Err(packed), Err(own)) => prop_assert_eq!(packed, &own),
                    (packed, own) => prop_assert!(false, "request {index}: {packed:?} against {own:?}"),
                }
            }
        }
    }
}

#[test]
fn a_cancel_ends_many_after_what_was_decided() {
    let mut router = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 5).load();
    let policy = Arc::new(Policy { routes: vec![Route::new("code", "Programs")], ..Policy::default() });
    let (mut taken, mut decided) = (0, Vec::new());
    let cancel = CancelToken::default();
    let mut requests = (0..10_000).map(|number| {
        taken += 1;
        let conversation = Conversation::from_prompt(format!("Sort {number} numbers"));
        RouteRequest::new(Arc::clone(&policy), conversation, DialectId::Archgw031)
    });
    let mut done = |index: usize, result: Result<Decision, EngineError>| {
        assert!(result.is_ok());
        decided.push(index);
        cancel.cancel();
    };
    assert_eq!(router.decide_all(&mut requests, &mut done, &cancel), Err(EngineError::Cancelled));
    assert!(!decided.is_empty() && decided.len() < 100, "{} were decided", decided.len());
    assert_eq!(decided, (0..decided.len()).collect::<Vec<_>>());
    assert!(taken < 200, "requests are taken as they are needed, not {taken}");
}

#[test]
fn the_cache_gives_way_when_memory_gets_scarce_and_comes_back() {
    let policy = Arc::new(Policy { routes: vec![Route::new("code", "Programs")], ..Policy::default() });
    let request = |text: &str| RouteRequest::new(Arc::clone(&policy), Conversation::from_prompt(text), DialectId::Archgw031);
    let mut router = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 5).load();
    let available = Arc::new(AtomicU64::new(1 << 40));
    let probe = Arc::clone(&available);
    router.set_available_memory(move || probe.load(Ordering::Relaxed));
    let mut decide = |text: &str| {
        let decision = router.decide(&request(text), &mut |_| {}, &CancelToken::default()).unwrap();
        (decision.tokens.cached, router.cache_stats())
    };
    let (_, full) = decide("Sort a list");
    assert!(decide("Sort a list").0 > 0 && full.bytes > 0);
    available.store(0, Ordering::Relaxed);
    let (cached, scarce) = decide("Sort a list");
    assert_eq!((cached, scarce.bytes, scarce.budget_bytes), (0, 0, 0));
    available.store(1 << 40, Ordering::Relaxed);
    decide("Sort a list");
    let (cached, again) = decide("Sort a list");
    assert!(cached > 0 && again.budget_bytes == full.budget_bytes, "{again:?}");
}

/// The properties above would hold of networks that prove nothing: here each kind must occur.
#[test]
fn taught_networks_prove_valid_answers_and_decode_others() {
    for dialect in DialectId::ALL {
        let names = ["code", "trips"];
        let answer = answer_text(dialect, Some(names[1]));
        for (taught, proved) in [(answer.clone(), true), (answer_text(dialect, None), true), (format!("{answer}!"), false)] {
            let mut model = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 5);
            model.teach(&taught, 30.0);
            let scored = model.load().score(dialect, &names, "book a flight", &CancelToken::default()).unwrap();
            assert_eq!((scored.greedy, scored.ended, scored.proved), (taught, true, proved), "{dialect}");
        }
    }
}

#[test]
fn a_list_of_all_routes_has_room() {
    let mut model = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 5);
    // More often followed by itself than by the end of the turn.
    model.teach("!!!!", 30.0);
    let names = ["first_of_the_routes", "second_of_the_routes", "third_of_the_routes", "fourth_of_the_routes", "fifth_of_the_routes"];
    let mut router = model.load();
    for dialect in [DialectId::Archgw031, DialectId::Plano0420] {
        let scored = router.score(dialect, &names, "go", &CancelToken::default()).unwrap();
        let list = all_names_text(dialect, &names).map_or(0, |text| 2 * model.tokenizer.encode(&text).len());
        assert!(!scored.ended && (list == 0 || list > MAX_DECODED), "{dialect}: {scored:?}");
        assert_eq!(scored.greedy, "!".repeat(list.max(MAX_DECODED)), "{dialect}");
    }
}

#[test]
fn of_two_spellings_with_the_same_tokens_the_written_one_is_listed() {
    let (composed, decomposed) = ("na\u{ef}ve", "nai\u{308}ve");
    let mut router = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 8).load();
    for (names, kept) in [([composed, decomposed], 0), ([decomposed, composed], 1)] {
        let scored = router.score(DialectId::Archgw031, &names, "x", &CancelToken::default()).unwrap();
        assert_eq!(scored.answers.iter().map(|answer| answer.route).collect::<Vec<_>>(), [Some(kept), None]);
    }
}

#[test]
fn a_name_that_closes_in_several_ways_keeps_the_probability_of_its_own_text() {
    // `!"` is a token, but the answer itself is written as `!` and `"]`: both ways name the route.
    let (dialect, name) = (DialectId::Plano0420, "code!");
    let mut model = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 6);
    model.teach(&answer_text(dialect, Some(name)), 30.0);
    let scored = model.load().score(dialect, &[name], "write code", &CancelToken::default()).unwrap();
    assert!(scored.answers[0].p > 0.5 && scored.answers[0].p >= scored.answers[0].log_prob_end.exp(), "{:?}", scored.answers[0]);
}

#[test]
fn a_list_that_cuts_the_first_name_otherwise_counts_for_it() {
    // `?"` is merged before `"]`, but after `",`: an answer of one name ends with `?"` `]`, a longer one goes on with `?` `",`.
    let learned = TinyTokenizer::default().merges;
    let mut merges: Vec<(String, String)> = [("\"", ","), ("?", "\"")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec();
    for merge in &learned {
        // As many as before: the network has so many rows.
        if merges.len() < learned.len() && !merges.contains(merge) {
            merges.push(merge.clone());
        }
    }
    let (dialect, names) = (DialectId::Plano0420, ["code?", "x"]);
    let mut model = TinyModel::random(Shape { layers: 1, ..Shape::SMALL }, 6);
    model.tokenizer = TinyTokenizer::of(merges);
    model.teach(&all_names_text(dialect, &names).unwrap(), 30.0);
    let mut router = model.load();
    let scored = router.score(dialect, &names, "write code", &CancelToken::default()).unwrap();
    let prompt = router.prompt_tokens("write code").unwrap();
    Reference::new(&model).check(&scored, &prompt, dialect, &names, TOLERANCE);
    assert!(scored.greedy.starts_with("{\"route\": [\"code?\",") && scored.answers[0].p > 0.5, "{scored:?}");
}

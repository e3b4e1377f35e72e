//! What is computed from one run: its figures, and the reports that are made of it and read back.

use std::collections::HashSet;
use std::sync::Arc;

use waypost::app::{CaseQuery, RunView};
use waypost::chat::Conversation;
use waypost::decision::{Decision, OrderStability, RouteProbability, RouterInfo, TokenCounts};
use waypost::engine::RouteRequest;
use waypost::eval::{RecallGate, Run, TurnResult, compare, figures, overlap, wilson_interval};
use waypost::formats::{
    CompareReport, Compared, evidence_problems, junit_xml, read_run, report_json, report_markdown, report_text, run_evidence, write_cases,
    wrong_cases_text,
};
use waypost::policy::{DialectId, NO_ROUTE_LABEL, Policy, Route};

use super::{close, first_columns, key, routes, run, turn};
use crate::fake_router::decision;

#[test]
fn overlap_ranks_pairs_by_what_the_second_gets() {
    let with = |at: usize, label: &str, decided: &str, p: [f32; 4]| TurnResult {
        probabilities: p.map(Some).to_vec(),
        ..turn(at, at, label, Some(decided), p[0])
    };
    let run = run(
        routes(&["a", "b", "c"]),
        vec![
            with(0, "a", "b", [0.4, 0.6, 0.0, 0.0]),
            with(1, "b", "b", [0.3, 0.7, 0.0, 0.0]),
            with(2, "c", "c", [0.0, 0.0, 0.8, 0.2]),
            with(3, "c", "c", [0.01, 0.0, 0.99, 0.0]),
        ],
    );
    let pairs = overlap(&run, 10);
    assert_eq!(
        pairs.iter().map(|pair| pair.routes.clone()).collect::<Vec<_>>(),
        [["a", "b"], ["c", "other"]].map(|pair| pair.map(str::to_owned))
    );
    close(pairs[0].mass, 0.7, 1e-6);
    close(pairs[0].share, 0.35, 1e-6);
    assert_eq!(pairs[0].confused, [1, 0]);
    assert_eq!(pairs[0].cases.iter().map(|case| case.turn).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(overlap(&run, 1)[0].cases.len(), 1);
}

#[test]
fn scenarios_models_orders_and_errors_stand_apart() {
    let mut policy = routes(&["pay", "money", "chat"]);
    policy.routes[0] = Route {
        domain: Some("finance".to_owned()),
        action: Some("pay".to_owned()),
        models: vec!["m/1".to_owned()],
        ..policy.routes[0].clone()
    };
    policy.routes[1] = Route { domain: Some("finance".to_owned()), models: vec!["m/1".to_owned()], ..policy.routes[1].clone() };
    policy.routes[2].models = vec!["m/2".to_owned()];
    policy.fallback = Some("m/0".to_owned());
    let model = |turn: TurnResult, model: &str| TurnResult { model: Some(model.into()), ..turn };
    let order = |changed| Some(OrderStability { orders: 3, changed, agreement: (4 - changed) as f64 / 4.0, decisions: Vec::new() });
    let turns = vec![
        TurnResult { order_stability: order(0), ..model(turn(0, 0, "pay", Some("pay"), 0.9), "m/1") },
        // Another route, the same model.
        TurnResult { order_stability: order(2), ..model(turn(1, 1, "pay", Some("money"), 0.6), "m/1") },
        model(turn(2, 2, "money", Some("chat"), 0.6), "m/2"),
        model(turn(3, 3, NO_ROUTE_LABEL, Some(NO_ROUTE_LABEL), 0.7), "m/0"),
        turn(4, 4, NO_ROUTE_LABEL, None, 0.0),
    ];
    let mut run = run(policy, turns);
    run.info.planned = 8;
    run.info.min_agreement = Some(0.5);
    let figures = figures(&run);
    let scenarios = figures.scenarios.unwrap();
    assert_eq!(scenarios.fqfa.map(|share| (share.cases, share.accuracy)), Some((2, 0.5)));
    assert_eq!(scenarios.fqca.map(|share| (share.cases, share.accuracy)), Some((1, 0.0)));
    assert_eq!(scenarios.irrelevance.map(|share| (share.cases, share.accuracy)), Some((2, 0.5)));
    assert_eq!((figures.errors, figures.error_kinds[0].count, figures.error_kinds[0].error.as_str()), (1, 1, "failed"));
    assert_eq!((figures.no_route.support, figures.no_route.recall), (2, 0.5));
    let models = figures.models.unwrap();
    assert_eq!((models.distinct, models.agreement), (3, 0.6));
    let stability = figures.order_stability.unwrap();
    assert_eq!((stability.orders, stability.changed_cases, stability.mean_agreement), (3, 1, 0.75));
    assert!(figures.partial && !figures.gate.unwrap().passed);
    assert_eq!((figures.span_accuracy, figures.conversation_accuracy), (None, None));
}

#[test]
fn which_of_its_models_a_gateway_takes_is_not_claimed_where_it_orders_them_itself() {
    let route = |name: &str, models: &[&str], prefer: &str| Route {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        extra: vec![("selection_policy".to_owned(), format!("{{\"prefer\":\"{prefer}\"}}"))],
        ..Route::new(name, "")
    };
    let both = ["m/dear", "m/cheap"];
    let routes = vec![
        route("pay", &both, "cheapest"),
        route("bill", &both, "cheapest"),
        route("chat", &both, "none"),
        route("code", &["m/code"], "cheapest"),
    ];
    let reached = |at: usize, label: &str, decided: &str, model: &str| TurnResult {
        model: Some(model.into()),
        ..turn(at, at, label, Some(decided), 0.5)
    };
    let turns = vec![
        reached(0, "pay", "pay", "m/dear"),
        // The same rule over the same models.
        reached(1, "bill", "pay", "m/dear"),
        // One of them, which may be the one.
        reached(2, "pay", "chat", "m/dear"),
        // None of them.
        reached(3, "code", "pay", "m/dear"),
        reached(4, "pay", "code", "m/code"),
    ];
    let mut run = run(Policy { routes, ..Policy::default() }, turns);
    let here = figures(&run);
    let text = report_text(&here);
    assert!(
        text.contains("3 different ones, the expected one reached in at least 40.0 %\nmodels: in 1 of 5 cases the expected one depends on"),
        "{text}"
    );
    let models = here.models.unwrap();
    assert_eq!((models.distinct, models.agreement, models.unknown), (3, 0.4, 1));
    let json = serde_json::to_value(&models.decisions).unwrap();
    assert_eq!(json[0], serde_json::json!({"model": null, "one_of": both, "count": 3}));
    assert_eq!(json[1], serde_json::json!({"model": "m/dear", "count": 1}));

    // A live gateway tells what it took; what it would have taken for the expected route may still be open.
    run.info.router.device = "gateway".to_owned();
    for turn in [0, 1, 3] {
        run.turns[turn].model = Some("m/cheap".into());
    }
    let models = figures(&run).models.unwrap();
    assert_eq!((models.distinct, models.agreement, models.unknown), (3, 0.4, 1));
    assert_eq!((models.decisions[0].model.as_deref(), models.decisions[0].count), (Some("m/cheap"), 3));
    assert!(models.decisions.iter().all(|count| count.one_of.is_empty()));
}

#[test]
fn no_model_is_no_model_that_two_routes_share() {
    let mut policy = routes(&["paid", "b", "c"]);
    policy.routes[0].models = vec!["m/1".to_owned()];
    let run = run(policy, vec![turn(0, 0, "b", Some("b"), 0.5), turn(1, 1, "b", Some("c"), 0.5)]);
    assert_eq!(figures(&run).models.map(|models| (models.agreement, models.unknown)), Some((0.5, 0)));
}

#[test]
fn plano_serves_no_route_with_a_model_that_nobody_here_knows() {
    let mut policy = Policy { fallback: Some("m/1".to_owned()), ..routes(&["pay"]) };
    policy.routes[0].models = vec!["m/1".to_owned()];
    let reached =
        |at: usize, label: &str, decided: &str| TurnResult { model: Some("m/1".into()), ..turn(at, at, label, Some(decided), 0.5) };
    let turns = vec![
        reached(0, "pay", "pay"),
        reached(1, "pay", NO_ROUTE_LABEL),
        reached(2, NO_ROUTE_LABEL, "pay"),
        reached(3, NO_ROUTE_LABEL, NO_ROUTE_LABEL),
    ];
    let mut run = run(policy, turns);
    let of = |run: &Run| figures(run).models.map(|models| (models.agreement, models.unknown));
    for dialect in [DialectId::Archgw031, DialectId::Plano0420] {
        run.info.dialect = dialect;
        assert_eq!(of(&run), Some((0.5, 2)), "{dialect}");
    }
    run.info.dialect = DialectId::ModelCard;
    assert_eq!(of(&run), Some((1.0, 0)), "where the fallback is used");
    // A running gateway tells what it took for a decision, not what it would have taken.
    run.info.dialect = DialectId::Plano0420;
    run.info.router.device = "gateway".to_owned();
    assert_eq!(of(&run), Some((0.75, 1)));
}

#[test]
fn cases_with_routes_of_their_own_say_nothing_about_the_policy() {
    let mut policy = routes(&["pay", "chat"]);
    policy.routes[0] = Route {
        domain: Some("finance".to_owned()),
        action: Some("pay".to_owned()),
        models: vec!["m/1".to_owned()],
        ..policy.routes[0].clone()
    };
    let names: Arc<[String]> = ["x", "y", NO_ROUTE_LABEL].map(str::to_owned).into();
    // No model is expected and none is reached, although the decision is wrong.
    let own = |at: usize| TurnResult { routes: Some(Arc::clone(&names)), ..turn(at, at, "x", Some("y"), 0.9) };
    let shared = TurnResult { model: Some("m/1".into()), ..turn(0, 0, "pay", Some("pay"), 0.9) };
    let mut run = run(policy, vec![shared, own(1), own(2)]);
    let all = figures(&run);
    assert_eq!((all.cases, all.own_routes, all.agreement), (3, 2, 1.0 / 3.0));
    assert!(report_text(&all).contains("2 cases chose between routes of their own"), "{}", report_text(&all));
    assert_eq!(all.models.map(|models| (models.agreement, models.decisions.len())), Some((1.0, 1)));
    let evidence = run_evidence(&run);
    assert_eq!(evidence.own_routes_note().unwrap(), "not counted: 2 cases that chose between routes of their own");
    let one = Run { turns: run.turns[..2].to_vec(), ..run.clone() };
    assert!(report_text(&figures(&one)).contains("\n1 case chose between routes of its own and is left out"), "{one:?}");
    assert_eq!(run_evidence(&one).own_routes_note().unwrap(), "not counted: 1 case that chose between routes of its own");
    assert_eq!((evidence.cases, evidence.planned, evidence.own_routes, evidence.agreement), (1, 1, 2, 1.0));
    assert!(evidence.confusions.is_empty(), "{:?}", evidence.confusions);
    // Nor do they decide whether a gate is passed, there or in the evidence.
    (run.info.min_agreement, run.info.min_recall) = (Some(1.0), Some(1.0));
    let here = figures(&run);
    let gate = here.gate.unwrap();
    assert_eq!((gate.passed, gate.right, gate.cases, evidence.agreement), (true, 1, 1, 1.0));
    assert!(here.recall_gate.as_ref().unwrap().below.is_empty(), "{:?}", here.recall_gate);
    assert_eq!((run_evidence(&run).gate.unwrap().passed, run_evidence(&run).recall_gate), (true, here.recall_gate.clone()));
    let judged =
        "gate: passed (1 of 1 agree), at least 100.0 % required, judged by the cases that choose between the policy's routes (1)\n";
    assert!(report_text(&here).contains(judged), "{}", report_text(&here));
    run.turns.remove(0);
    run.info.planned = 2;
    let of_own = figures(&run);
    assert_eq!(of_own.gate.map(|gate| (gate.passed, gate.right, gate.cases)), Some((false, 0, 2)), "where there are no others");
    assert_eq!(of_own.recall_gate.unwrap().below_words(), "x (0 of 2)");
    assert!(figures(&run).models.is_none());
    let problems = evidence_problems(&run.policy, Some(&run_evidence(&run)), None);
    assert!(problems.iter().any(|problem| problem == "no case of its test chose between this policy's routes"), "{problems:?}");
}

#[test]
fn without_probabilities_nothing_is_said_about_confidence() {
    let mut run = run(routes(&["a", "b"]), (0..4).map(|at| turn(at, at, "a", Some(if at < 3 { "a" } else { "b" }), 0.0)).collect());
    let none = figures(&run);
    assert_eq!((none.agreement, none.calibration.ece), (0.75, None));
    assert!(none.confidence.is_empty() && none.review.is_empty());
    for text in [report_text(&none), report_markdown(&run), junit_xml(&run)] {
        assert!(!text.contains("calibration") && !text.contains("threshold") && !text.contains(" with "), "{text}");
    }
    // Of a mixed run those count that have some.
    for turn in &mut run.turns[2..] {
        (turn.probabilities, turn.confidence) = (vec![Some(0.9), Some(0.1), Some(0.0)], Some(0.9));
    }
    let some = figures(&run);
    close(some.calibration.ece.unwrap(), 0.4, 1e-6);
    assert_eq!(some.confidence.iter().map(|bin| (bin.right, bin.wrong)).fold((0, 0), |sum, bin| (sum.0 + bin.0, sum.1 + bin.1)), (1, 1));
    assert_eq!((some.review[0].coverage, some.review[0].accuracy), (1.0, Some(0.5)));
    assert!(report_markdown(&run).contains("calibration error 0.400"));
}

#[test]
fn what_a_server_did_not_tell_is_not_taken_for_nothing() {
    let policy = routes(&["a", "b", "c"]);
    let request = RouteRequest::new(policy.clone(), Conversation::from_prompt("x"), DialectId::DEFAULT);
    let labels = ["a", "b", "c", NO_ROUTE_LABEL].map(str::to_owned);
    let told = |at: usize, label: &str, decided: &str, known: &[(&str, f64)], device: &str| {
        let probabilities: Vec<RouteProbability> = known.iter().map(|&(route, p)| RouteProbability::new(Some(route), p)).collect();
        let invalid_mass = 1.0 - known.iter().map(|(_, p)| p).sum::<f64>();
        let router = RouterInfo { device: device.to_owned(), ..RouterInfo::default() };
        let decision = Decision { probabilities, invalid_mass, router, ..decision(&request, Some(decided.to_owned())) };
        TurnResult::new(key(at, at, label), &decision, &labels)
    };
    let turns = vec![
        told(0, "a", "a", &[("a", 0.9), ("b", 0.08)], "server"),
        // What else there is may be one route's, which comes second then; or nothing is known of it.
        told(1, "a", "a", &[("a", 0.5), ("b", 0.1)], "server"),
        told(2, "b", "a", &[("a", 0.7)], "server"),
        // Decided in words that the log-probabilities do not show.
        told(3, "a", "b", &[("a", 0.2)], "server"),
    ];
    assert_eq!(turns[0].probabilities, [Some(0.9), Some(0.08), None, None]);
    assert_eq!(turns.iter().map(TurnResult::sure).collect::<Vec<_>>(), [Some(0.9), Some(0.5), Some(0.7), None]);
    assert_eq!(told(0, "a", "a", &[("a", 0.9)], "cpu").probabilities, [Some(0.9), Some(0.0), Some(0.0), Some(0.0)], "it tells all");
    let run = run(policy, turns);
    let of_run = figures(&run);
    let binned: usize = of_run.confidence.iter().map(|bin| bin.right + bin.wrong).sum();
    assert_eq!((of_run.cases, of_run.without_confidence, binned), (4, 1, 3));
    let left_out = "; left out, since the probability is not known: 1 of 4 decisions\n";
    assert!(report_text(&of_run).contains(left_out), "{}", report_text(&of_run));
    let pairs = overlap(&run, 10);
    assert_eq!(pairs.iter().map(|pair| (pair.routes.join(" "), pair.cases.len())).collect::<Vec<_>>(), [("a b".to_owned(), 1)]);

    let mut cases = Vec::new();
    write_cases(&run, &mut cases).unwrap();
    let (json, text) = (report_json(&run, "digest"), String::from_utf8(cases).unwrap());
    assert!(text.contains("\"{\"\"a\"\":0.9,\"\"b\"\":0.08}\"") && text.contains(",b,false,route,,,"), "{text}");
    assert_eq!(read_run(&json, "report.json", text.as_bytes(), "cases.csv").unwrap(), run);
    // Earlier versions wrote 0.
    let old = text.replace("0.08}", "0.08,\"\"c\"\":0,\"\"other\"\":0}");
    let read = read_run(&json, "report.json", old.as_bytes(), "cases.csv").unwrap();
    assert_eq!(read.turns[0].probabilities, [Some(0.9), Some(0.08), Some(0.0), Some(0.0)]);
}

#[test]
fn errors_have_no_confidence_whatever_the_probabilities_are() {
    let with = |at: usize, decided: Option<&str>| TurnResult {
        probabilities: [0.6, 0.4, 0.0].map(Some).to_vec(),
        ..turn(at, at, "a", decided, 0.6)
    };
    let mut run = run(routes(&["a", "b"]), (0..3).map(|at| with(at, None)).collect());
    let failed = figures(&run);
    assert_eq!((failed.errors, failed.calibration.ece), (3, None));
    assert!(failed.confidence.is_empty() && failed.review.is_empty());
    // A range of confidence that somebody asks for holds none of them, the whole range all.
    let rows = |confidence| CaseQuery { confidence, ..CaseQuery::default() }.rows(&run, &HashSet::new()).len();
    assert_eq!((rows([0.0, 0.7]), rows([0.0, 1.0])), (0, 3));
    run.turns[0] = with(0, Some("a"));
    let one = figures(&run);
    close(one.calibration.ece.unwrap(), 0.4, 1e-6);
    assert_eq!((one.agreement, one.review[0].accuracy), (1.0 / 3.0, Some(1.0)));
}

#[test]
fn what_was_not_decided_is_in_no_figure_and_no_pair() {
    let right = |at: usize| turn(at, at, "a", Some("a"), 0.5);
    let lost = |at: usize| TurnResult { undecided: true, error: Some("too busy".to_owned()), ..turn(at, at, "a", None, 0.0) };
    let a = run(routes(&["a", "b"]), (0..6).map(right).collect());
    let mut b = run(routes(&["a", "b"]), vec![right(0), turn(1, 1, "a", None, 0.0), right(2), lost(3), lost(4), lost(5)]);
    let of_b = figures(&b);
    assert_eq!((of_b.cases, of_b.errors, of_b.undecided, of_b.planned, of_b.partial), (3, 1, 3, 6, true));
    assert_eq!((of_b.agreement, of_b.per_route[0].support), (2.0 / 3.0, 3));
    assert_eq!((of_b.undecided_kinds[0].count, of_b.error_kinds.len(), of_b.error_kinds[0].count), (3, 1, 1));
    let text = report_text(&of_b);
    assert!(text.contains("errors 1, NOT DECIDED 3") && text.contains("not decided, 3 times: too busy"), "{text}");
    assert!(junit_xml(&b).contains("tests=\"6\" failures=\"0\" errors=\"1\" skipped=\"3\""), "{}", junit_xml(&b));
    // Of the six, two are right at least and five at most.
    for (least, passed, open) in [(0.3, true, false), (0.6, false, true), (0.9, false, false)] {
        b.info.min_agreement = Some(least);
        let gate = figures(&b).gate.unwrap();
        assert_eq!((gate.passed, gate.open), (passed, open), "{least}");
        b.info.min_recall = Some(least);
        let RecallGate { below, open: doubtful, .. } = figures(&b).recall_gate.unwrap();
        assert_eq!((below.is_empty() && doubtful.is_empty(), !doubtful.is_empty()), (passed, open), "{least}");
        // Both gates are test cases that pass, are skipped or fail.
        let (failures, skipped) = match (passed, open) {
            (true, _) => (0, 3),
            (_, true) => (0, 5),
            _ => (2, 3),
        };
        let xml = junit_xml(&b);
        assert!(xml.contains(&format!("tests=\"8\" failures=\"{failures}\" errors=\"1\" skipped=\"{skipped}\"")), "{least}: {xml}");
    }
    let mut cases = Vec::new();
    write_cases(&b, &mut cases).unwrap();
    assert_eq!(read_run(&report_json(&b, "digest"), "report.json", cases.as_slice(), "cases.csv").unwrap(), b);

    let comparison = compare(&a, &b, ["A", "B"], 0, None);
    assert_eq!((comparison.cases, comparison.undecided, comparison.unmatched), (3, 3, [0, 0]));
    assert_eq!((comparison.broken, comparison.flips.len(), comparison.agreement), (1, 1, [1.0, 2.0 / 3.0]));
    assert!(comparison.verdict.ends_with("; at least one run did not decide 3 cases, which are left out"), "{}", comparison.verdict);
    let nothing = run(routes(&["a", "b"]), (0..6).map(lost).collect());
    let none = compare(&a, &nothing, ["A", "B"], 0, None).verdict;
    assert!(none.starts_with("no case was decided by both runs, so nothing can be said; at least one run did not decide 6"), "{none}");
    assert!(report_text(&figures(&nothing)).contains("macro F1 0.000"), "{}", report_text(&figures(&nothing)));
    assert!(figures(&nothing).latency_ms.mean.is_sign_positive());
    let (names, runs) = (["A", "B"].map(str::to_owned), [a, b]);
    let comparisons = [Compared { at: 1, comparison }];
    let report = CompareReport { names: &names, runs: &runs, comparisons: &comparisons };
    let mut matrix = Vec::new();
    report.write_matrix(&mut matrix).unwrap();
    let matrix = String::from_utf8(matrix).unwrap();
    assert!(matrix.contains("2,1,0,a,a,error\n") && matrix.contains("4,3,0,a,a,\n"), "{matrix}");
    assert!(report.to_text().contains(", 3 cases not decided)"), "{}", report.to_text());
}

#[test]
fn a_stopped_run_passes_no_gate_that_the_rest_may_fail() {
    let mut run = run(routes(&["a", "b"]), (0..30).map(|at| turn(at, at, "a", Some("a"), 0.5)).collect());
    (run.info.planned, run.info.min_agreement, run.info.min_recall) = (100, Some(0.9), Some(0.5));
    let stopped = figures(&run);
    let (gate, recall) = (stopped.gate.unwrap(), stopped.recall_gate.clone().unwrap());
    assert_eq!((gate.passed, gate.open, recall.below.len()), (false, true, 0));
    assert_eq!(recall.open, ["a", "b", NO_ROUTE_LABEL], "nobody knows what the others are labelled with");
    assert!(report_text(&stopped).contains("gate: NOT JUDGED, it depends on undecided cases"), "{}", report_text(&stopped));
    let evidence = run_evidence(&run);
    assert!(evidence.gate.is_some_and(|gate| !gate.passed && gate.open));
    // Both gates and the rest are a test case each, and the counts are those of the elements.
    let xml = junit_xml(&run);
    assert!(xml.contains("tests=\"33\" failures=\"0\" errors=\"0\" skipped=\"3\""), "{xml}");
    assert_eq!((xml.matches("<testcase ").count(), xml.matches("<skipped/>").count()), (33, 3), "{xml}");
    // What holds whatever the rest is has passed, and what no rest can mend has failed.
    run.info.min_agreement = Some(0.3);
    assert!(figures(&run).gate.unwrap().passed);
    run.turns.iter_mut().for_each(|turn| turn.decided = Some("b".into()));
    (run.info.planned, run.info.min_agreement) = (31, Some(0.9));
    let lost = figures(&run);
    assert_eq!(
        (lost.gate.map(|gate| (gate.passed, gate.open)), lost.recall_gate.unwrap().below),
        (Some((false, false)), vec!["a".to_owned()])
    );
    run.info.min_recall = Some(0.0);
    assert!(figures(&run).recall_gate.unwrap().open.is_empty());
}

#[test]
fn a_gate_sees_a_label_of_which_nothing_was_decided_and_names_counts() {
    let mut turns: Vec<TurnResult> = (0..113).map(|at| turn(at, at, "a", Some(if at < 96 { "a" } else { "b" }), 0.5)).collect();
    turns.push(TurnResult { undecided: true, ..turn(113, 113, "gone", None, 0.0) });
    let mut run = run(routes(&["a", "b"]), turns);
    run.info.min_recall = Some(0.85);
    let gate = figures(&run).recall_gate.unwrap();
    assert_eq!((gate.below_words().as_str(), gate.open), ("a (96 of 113)", vec!["gone".to_owned()]));
    run.turns.truncate(113);
    (run.info.planned, run.info.min_agreement) = (113, Some(0.85));
    let xml = junit_xml(&run);
    assert!(xml.contains("<failure message=\"96 of 113 cases agree\">"), "a share would be rounded to 85.0 %: {xml}");
    run.info.budget = Some(300);
    let text = report_text(&figures(&run));
    assert!(text.contains("\ngate: FAILED (96 of 113 agree), at least 85.0 % required\n"), "{text}");
    assert!(text.contains("of each route, missed by a (96 of 113)\n"), "{text}");
    assert!(text.contains("\nbudget: 300 estimated tokens for a prompt\n"), "{text}");
}

#[test]
fn parts_of_a_set_have_their_own_figures() {
    let tagged = |at: usize, conversation: usize, decided: &str, tags: &[&str]| TurnResult {
        tags: tags.iter().map(|tag| Arc::from(*tag)).collect(),
        ..turn(at, conversation, "a", Some(decided), 0.5)
    };
    let turns = vec![
        tagged(0, 0, "a", &["long", "de|en"]),
        tagged(1, 0, "b", &["long", "de|en"]),
        tagged(2, 1, "a", &["long"]),
        tagged(3, 2, "b", &[]),
    ];
    let mut run = run(routes(&["a", "b"]), turns);
    let single = figures(&run);
    assert_eq!((single.per_turn_number.len(), &single.spans), (0, &None));
    run.info.per_turn = true;
    let figures = figures(&run);
    let tags: Vec<_> = figures.per_tag.iter().map(|part| (part.tag.as_str(), part.slice.cases, part.slice.agreement)).collect();
    assert_eq!(tags, [("long", 3, 2.0 / 3.0), ("de|en", 2, 0.5)]);
    assert_eq!(figures.per_tag[1].slice.agreement_ci95, wilson_interval(1, 2));
    let turns: Vec<_> = figures.per_turn_number.iter().map(|part| (part.turn, part.slice.cases, part.slice.agreement)).collect();
    assert_eq!(turns, [(1, 3, 2.0 / 3.0), (2, 1, 0.0)]);
    let rows = |query: CaseQuery| query.rows(&run, &HashSet::new());
    assert_eq!(rows(CaseQuery { tag: Some("long".to_owned()), ..CaseQuery::default() }), [0, 1, 2]);
    assert_eq!(rows(CaseQuery { text: "DE|".to_owned(), ..CaseQuery::default() }), [0, 1]);
    assert_eq!(rows(CaseQuery { turn: Some(2), ..CaseQuery::default() }), [1]);
    let json = serde_json::to_value(&figures).unwrap();
    assert_eq!(
        json["per_tag"][1],
        serde_json::json!({"tag": "de|en", "cases": 2, "agreement": 0.5, "agreement_ci95": wilson_interval(1, 2)})
    );
    assert_eq!(json["spans"]["by_length"][1], serde_json::json!({"length": 2, "spans": 1, "accuracy": 0.0}));
    let report = report_markdown(&run);
    for part in ["| de\\|en | 2 | 50.0 % | 9.5 % to 90.5 % |", "| 2 | 1 | 0.0 % |", "| 2 | 1 | 1 |"] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    run.turns = run
        .turns
        .iter()
        .cycle()
        .take(200)
        .enumerate()
        .map(|(at, turn)| TurnResult { tags: [format!("{at}").into()].into(), ..turn.clone() })
        .collect();
    assert_eq!(waypost::eval::figures(&run).per_tag.len(), 50);
}

#[test]
fn cases_with_one_label_are_in_no_figure_of_conversations() {
    let turns = vec![turn(0, 0, "a", Some("a"), 0.5), turn(1, 0, "b", Some("a"), 0.5), turn(2, 1, "a", Some("a"), 0.5)];
    let mut run = run(routes(&["a", "b"]), turns);
    run.info.per_turn = true;
    let older = figures(&run);
    assert_eq!((older.span_accuracy, older.conversation_accuracy), (Some(2.0 / 3.0), Some(0.5)), "older versions did not tell");
    run.info.one_label = vec![1];
    let here = figures(&run);
    assert_eq!((here.turn_accuracy, here.span_accuracy, here.conversation_accuracy), (2.0 / 3.0, Some(0.5), Some(0.0)));
    assert_eq!(here.per_turn_number.iter().map(|part| part.slice.cases).collect::<Vec<_>>(), [1, 1]);
    assert!(report_text(&older).contains("\nturn 66.7 %, span 66.7 %, conversation 50.0 %\n"), "{}", report_text(&older));
    let mixed = "\nspan 50.0 %, conversation 0.0 %, of the conversations with a label for each user message\n";
    assert!(report_text(&here).contains(mixed), "{}", report_text(&here));
    let xml = junit_xml(&run);
    assert!(xml.contains("name=\"1 turn 2\"") && xml.contains("name=\"2\""), "only the turns of such conversations have a number: {xml}");
    // Neither is one of them a conversation that lacks decisions.
    run.info.incomplete = vec![0, 1];
    assert_eq!(figures(&run).incomplete_conversations, 1);
    run.info.incomplete.clear();
    let first = CaseQuery { turn: Some(1), ..CaseQuery::default() };
    assert_eq!(first.rows(&run, &HashSet::new()), [0]);
}

#[test]
fn errors_are_cases_of_their_label_in_the_matrix_too() {
    let decided = [Some("a"), Some("a"), Some("b"), None, None];
    let turns = decided.into_iter().enumerate().map(|(at, decided)| turn(at, at, "a", decided, 0.5));
    let view = RunView::new(Arc::new(run(routes(&["a", "b"]), turns.collect())));
    assert_eq!((view.totals.as_slice(), view.errors.as_slice()), (&[5, 0, 0][..], &[2, 0, 0][..]));
    assert_eq!((view.count(0, 1), view.count(0, 3), view.count(1, 3)), (1, 2, 0));
    assert_eq!(view.cells, [(0, 3, 2), (0, 1, 1), (0, 0, 2)]);
    let right = RunView::new(Arc::new(run(routes(&["a"]), vec![turn(0, 0, "a", Some("a"), 0.5)])));
    assert!(right.errors.is_empty(), "without any there is no column for them");
}

#[test]
fn a_run_that_is_read_back_is_the_same() {
    let mut policy = routes(&["a", "b"]);
    policy.routes[0].models = vec!["p/\"quoted\", model".to_owned()];
    let own: Arc<[String]> = ["x", "y", NO_ROUTE_LABEL].map(str::to_owned).into();
    let turns = vec![
        TurnResult {
            probabilities: [0.1, 0.2, 0.700_000_05].map(Some).to_vec(),
            tokens: TokenCounts { prompt: 500, cached: 300, computed: 220 },
            order_stability: Some(OrderStability { orders: 2, changed: 1, agreement: 2.0 / 3.0, decisions: Vec::new() }),
            tags: ["long".into(), "two, words".into()].into(),
            digest: Some(0x00ab_cdef_0123_4567),
            preview: " \"sort\", please…".into(),
            ..turn(0, 0, "a", Some("b"), 1.0 / 3.0)
        },
        TurnResult {
            routes: Some(Arc::clone(&own)),
            probabilities: [f32::MIN_POSITIVE, 0.5, 0.5].map(Some).to_vec(),
            ..turn(1, 1, "x", Some("y"), 0.5)
        },
        TurnResult { error: Some("two\nlines, and \"quotes\"".to_owned()), ..turn(2, 2, "a", None, 0.0) },
        // As of a router without probabilities.
        TurnResult { routes: Some(own), ..turn(3, 3, "x", Some("y"), 0.0) },
    ];
    let mut run = run(policy, turns);
    for turn in &mut run.turns[..2] {
        (turn.error, turn.model) = (None, Some("p/\"quoted\", model".into()));
    }
    (run.info.incomplete, run.info.one_label) = (vec![2], vec![1, 3]);
    let mut cases = Vec::new();
    write_cases(&run, &mut cases).unwrap();
    let json = report_json(&run, "digest");
    let read = read_run(&json, "report.json", cases.as_slice(), "cases.csv").unwrap();
    assert_eq!(read, run);
    assert_eq!(figures(&read), figures(&run));
    let error = read_run("{}", "report.json", cases.as_slice(), "cases.csv").unwrap_err().to_string();
    assert!(error.starts_with("report.json: this is no report of a run"), "{error}");
    let text = String::from_utf8(cases).unwrap();
    // Without the column of the routes their names are known where there are probabilities.
    let read = read_run(&json, "report.json", first_columns(&text, 21).as_bytes(), "cases.csv").unwrap();
    assert_eq!((&read.turns[1].routes, &read.turns[3].routes), (&run.turns[1].routes, &None));
    let text = text.replace(",0.5,", ",half,");
    let error = read_run(&json, "report.json", text.as_bytes(), "cases.csv").unwrap_err().to_string();
    assert!(error.starts_with("cases.csv:3: "), "{error}");
}

#[test]
fn a_gate_that_was_passed_is_passed_when_the_run_is_read_back() {
    let mut run = run(routes(&["a", "b"]), (0..11).map(|at| turn(at, at, "a", Some(if at < 10 { "a" } else { "b" }), 0.5)).collect());
    // A number that an inexact reader makes a little larger.
    run.info.min_agreement = Some(10.0 / 11.0);
    let mut cases = Vec::new();
    write_cases(&run, &mut cases).unwrap();
    let read = read_run(&report_json(&run, "digest"), "report.json", cases.as_slice(), "cases.csv").unwrap();
    assert_eq!((read.info.min_agreement, figures(&read).gate.unwrap().passed), (run.info.min_agreement, true));
}

#[test]
fn reports_survive_what_people_call_their_routes() {
    let nasty = "a|b <c> & \"d\"\n\u{1}`e`";
    let said = |turn: TurnResult| TurnResult { preview: "a < b".into(), ..turn };
    let run = run(routes(&["ok"]), vec![said(turn(0, 0, nasty, Some("ok"), 0.5)), said(turn(1, 1, "ok", None, 0.0))]);
    let xml = junit_xml(&run);
    assert!(xml.contains(">:1: a &lt; b</failure>") && xml.contains(">:2: a &lt; b</error>"), "{xml}");
    assert!(xml.contains("tests=\"2\" failures=\"1\" errors=\"1\""), "{xml}");
    assert!(xml.contains("a|b &lt;c&gt; &amp; &quot;d&quot;&#10;\u{fffd}`e`"), "{xml}");
    let rows: Vec<String> = report_markdown(&run).lines().filter(|line| line.contains("a\\|b")).map(str::to_owned).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.ends_with('|')), "{rows:?}");
}

#[test]
fn errors_are_confusions_and_evidence_too() {
    let turns =
        vec![turn(0, 0, "a", Some("b"), 0.5), turn(1, 1, "a", None, 0.0), turn(2, 2, "a", None, 0.0), turn(3, 3, "b", Some("b"), 0.5)];
    let run = run(routes(&["a", "b"]), turns);
    let report = report_markdown(&run);
    assert!(report.contains("| a | error | 2 |\n| a | b | 1 |\n"), "{report}");
    assert_eq!((run_evidence(&run).errors, run_evidence(&run).cases), (2, 4));
    assert!(report.contains("order: not tested"), "{report}");
}

#[test]
fn the_first_wrong_cases_are_listed_with_what_was_said() {
    let said = |at: usize, decided: Option<&str>| TurnResult { preview: "sort it".into(), ..turn(at, at, "a", decided, 0.5) };
    let of = |turns: Vec<TurnResult>| wrong_cases_text(&run(routes(&["a", "b"]), turns));
    assert_eq!(of(vec![said(0, Some("a"))]), "");
    let few = of(vec![said(0, Some("a")), said(1, Some("b")), turn(2, 2, "a", None, 0.0)]);
    assert_eq!(few, "\nwrong cases\n  1 (line 2), expected a, decided b: sort it\n  2 (line 3), expected a, decided error\n");
    let many = of((0..12).map(|at| said(at, Some("b"))).collect());
    assert!(many.starts_with("\nthe first 10 of 12 wrong cases (--out DIR") && many.lines().count() == 12, "{many}");
}

//! Comparisons and what else is computed from whole runs, against statsmodels, scikit-learn and numpy (`scripts/metrics_fixtures.py`).

mod figures;

use std::sync::Arc;

use serde::Deserialize;
use waypost::decision::Outcome;
use waypost::eval::{
    Better, Comparison, FlipKind, LeftOut, McNemar, Run, RunInfo, Side, TurnKey, TurnResult, calibration, case_rows, compare, mcnemar,
    review_sweep,
};
use waypost::formats::{CompareReport, Compared, read_run, report_json, write_cases};
use waypost::policy::{DialectId, NO_ROUTE_LABEL, Policy, Route};

#[derive(Deserialize)]
struct Fixture {
    conversation: Vec<usize>,
    y: Vec<String>,
    a: Vec<String>,
    b: Vec<String>,
    confidence: Vec<f64>,
    agreement: [f64; 2],
    f1: [Vec<f64>; 2],
    recall: [Vec<f64>; 2],
    mcnemar: Test,
    bootstrap: [f64; 2],
    reliability: [Vec<f64>; 2],
    ece: f64,
    review: Vec<[f64; 3]>,
}

#[derive(Deserialize)]
struct Test {
    b: usize,
    c: usize,
    p: f64,
}

#[track_caller]
fn close(ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{ours} against {theirs}");
}

/// A run over turns, those of one conversation numbered; conversations number from 0, and each turn's id is its position.
pub fn run(policy: Policy, mut turns: Vec<TurnResult>) -> Run {
    for at in 1..turns.len() {
        if turns[at].conversation == turns[at - 1].conversation {
            turns[at].turn = turns[at - 1].turn + 1;
        }
    }
    let labels = policy.routes.iter().map(|route| route.name.clone()).chain([NO_ROUTE_LABEL.to_owned()]).collect();
    let info = RunInfo {
        name: "test".to_owned(),
        date: "2026-01-01T00:00:00Z".to_owned(),
        waypost: "0.1.0".to_owned(),
        policy: Default::default(),
        policy_digest: "p".to_owned(),
        set: Default::default(),
        router: Default::default(),
        router_digest: None,
        dialect: DialectId::DEFAULT,
        budget: None,
        orders: 0,
        seed: 0,
        planned: turns.len(),
        beyond_limit: 0,
        reused: 0,
        seconds: 2.0,
        min_agreement: None,
        min_recall: None,
        per_turn: false,
        one_label: Vec::new(),
        left_out: LeftOut::default(),
        incomplete: Vec::new(),
        labels,
    };
    Run { info, policy: Arc::new(policy), turns }
}

pub fn key(at: usize, conversation: usize, label: &str) -> TurnKey {
    TurnKey {
        conversation,
        line: at + 1,
        id: at.to_string().into(),
        turn: 0,
        digest: None,
        preview: Arc::default(),
        label: label.into(),
        tags: Arc::default(),
        routes: None,
    }
}

pub fn turn(at: usize, conversation: usize, label: &str, decided: Option<&str>, confidence: f32) -> TurnResult {
    let outcome = match decided {
        None => Outcome::Error,
        Some(NO_ROUTE_LABEL) => Outcome::NoRoute,
        Some(_) => Outcome::Route,
    };
    let blank = TurnResult::failed(key(at, conversation, label), "failed".to_owned());
    let (decided, confidence) = (decided.map(Into::into), Some(confidence));
    TurnResult { outcome, undecided: false, decided, confidence, latency_ms: 10.0, ..blank }
}

fn routes(names: &[&str]) -> Policy {
    Policy { routes: names.iter().map(|name| Route::new(*name, "")).collect(), ..Policy::default() }
}

/// A table without its last columns, as older versions wrote it.
fn first_columns(table: &str, count: usize) -> String {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(table.as_bytes());
    let mut table = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut table);
    for record in reader.records() {
        writer.write_record(record.unwrap().iter().take(count)).unwrap();
    }
    drop(writer);
    String::from_utf8(table).unwrap()
}

fn fixtures() -> Vec<Fixture> {
    include_str!("fixtures/comparisons.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn runs(fixture: &Fixture) -> [Run; 2] {
    [&fixture.a, &fixture.b].map(|decided| {
        let turns = (0..fixture.y.len())
            .map(|at| turn(at, fixture.conversation[at], &fixture.y[at], Some(&decided[at]), fixture.confidence[at] as f32))
            .collect();
        run(routes(&["a", "b", "c"]), turns)
    })
}

#[test]
fn the_exact_test_equals_statsmodels() {
    let tests: Vec<(usize, usize, f64)> = serde_json::from_str(include_str!("fixtures/mcnemar.json")).unwrap();
    assert!(tests.len() > 5);
    for (b, c, p) in tests {
        close(mcnemar(b, c).p, p, 1e-9);
        close(mcnemar(c, b).p, p, 1e-9);
    }
}

#[test]
fn comparisons_equal_other_libraries() {
    for fixture in fixtures() {
        let [a, b] = runs(&fixture);
        let comparison = compare(&a, &b, ["A", "B"], 7, None);
        close(comparison.agreement[0], fixture.agreement[0], 1e-12);
        close(comparison.agreement[1], fixture.agreement[1], 1e-12);
        assert_eq!((comparison.mcnemar.b, comparison.mcnemar.c), (fixture.mcnemar.b, fixture.mcnemar.c));
        assert_eq!((comparison.broken, comparison.fixed), (fixture.mcnemar.b, fixture.mcnemar.c));
        close(comparison.mcnemar.p, fixture.mcnemar.p, 1e-9);
        for (at, delta) in comparison.per_route.iter().enumerate() {
            for run in 0..2 {
                close(delta.f1[run], fixture.f1[run][at], 1e-9);
                close(delta.recall[run], fixture.recall[run][at], 1e-9);
            }
        }
        // Two generators: the ends of the interval agree as far as their own resampling error, some per cent of its width.
        let width = fixture.bootstrap[1] - fixture.bootstrap[0];
        close(comparison.difference.ci95[0], fixture.bootstrap[0], 0.06 * width);
        close(comparison.difference.ci95[1], fixture.bootstrap[1], 0.06 * width);
        assert_eq!(comparison, compare(&a, &b, ["A", "B"], 7, None), "a seed gives one interval");

        let judged: Vec<_> = b
            .judged()
            .into_iter()
            .zip(&fixture.confidence)
            .map(|(judged, &confidence)| waypost::eval::Judged { confidence: Some(confidence), ..judged })
            .collect();
        let calibration = calibration(&judged);
        close(calibration.ece.unwrap(), fixture.ece, 1e-9);
        let full: Vec<_> = calibration.bins.iter().filter(|bin| bin.cases > 0).collect();
        assert_eq!(full.len(), fixture.reliability[0].len());
        for (bin, (share, mean)) in full.iter().zip(fixture.reliability[0].iter().zip(&fixture.reliability[1])) {
            close(bin.agreement, *share, 1e-9);
            close(bin.confidence, *mean, 1e-9);
        }
        let sweep = review_sweep(&judged);
        for [threshold, coverage, accuracy] in fixture.review {
            let point = sweep.iter().find(|point| point.threshold == threshold).unwrap();
            close(point.coverage, coverage, 1e-9);
            close(point.accuracy.unwrap(), accuracy, 1e-9);
        }
    }
}

/// `fixed`, `broken` and `changed` turns among `cases`, each in a conversation of its own unless `together`.
fn verdict(cases: usize, fixed: usize, broken: usize, changed: usize, together: bool) -> (Better, String) {
    let both = |at: usize| match at {
        at if at < fixed => ("b", "a"),
        at if at < fixed + broken => ("a", "b"),
        at if at < fixed + broken + changed => ("b", "c"),
        _ => ("a", "a"),
    };
    let of = |second: bool| {
        let turns = (0..cases).map(|at| {
            let (first, now) = both(at);
            turn(at, if together { at / 20 } else { at }, "a", Some(if second { now } else { first }), 0.5)
        });
        run(routes(&["a", "b", "c"]), turns.collect())
    };
    let comparison = compare(&of(false), &of(true), ["A", "B"], 0, None);
    assert_eq!(comparison.flips.len(), fixed + broken + changed);
    let kinds =
        [FlipKind::Fixed, FlipKind::Broken, FlipKind::Changed].map(|kind| comparison.flips.iter().filter(|flip| flip.kind == kind).count());
    assert_eq!(kinds, [fixed, broken, changed]);
    (comparison.better, comparison.verdict)
}

#[test]
fn verdicts_say_what_the_cases_allow() {
    assert_eq!(verdict(200, 12, 2, 0, false), (Better::B, "B is better: 12 fixed, 2 broken, p = 0.013".to_owned()));
    assert_eq!(verdict(200, 2, 12, 5, false), (Better::A, "A is better: 2 fixed, 12 broken, p = 0.013".to_owned()));
    assert_eq!(verdict(200, 60, 2, 0, false).1, "B is better: 60 fixed, 2 broken, p < 0.001");
    assert_eq!(verdict(25, 0, 0, 0, false), (Better::Unknown, "A and B decide all 25 cases alike".to_owned()));
    let (better, sentence) = verdict(25, 3, 1, 0, false);
    assert_eq!(better, Better::Unknown);
    assert!(sentence.starts_with("25 cases cannot tell these apart: 3 fixed, 1 broken, p = 0.62"), "{sentence}");
    assert!(sentence.ends_with("about 130 cases would"), "{sentence}");
    assert_eq!(verdict(0, 0, 0, 0, false).0, Better::Unknown);
    // Twenty turns of one conversation are one observation, however many they look.
    let (better, sentence) = verdict(60, 20, 0, 0, true);
    assert_eq!(better, Better::Unknown, "{sentence}");
    assert!(sentence.contains("in so few conversations"), "{sentence}");
}

/// The turns of a conversation, and what two runs decide in each where `a` is right.
type Turns = (usize, &'static str, &'static str);

/// Compares two runs over conversations.
fn over(conversations: &[Turns]) -> Comparison {
    let of = |second: bool| {
        let each = |(conversation, &(turns, first, now)): (usize, &Turns)| {
            std::iter::repeat_n((conversation, if second { now } else { first }), turns)
        };
        let turns = conversations.iter().enumerate().flat_map(each).enumerate();
        run(routes(&["a", "b"]), turns.map(|(at, (conversation, decided))| turn(at, conversation, "a", Some(decided), 0.5)).collect())
    };
    compare(&of(false), &of(true), ["A", "B"], 0, None)
}

#[test]
fn what_stands_against_a_verdict_is_named() {
    let with = |first: Turns, others: Turns, count: usize| over(&[vec![first], vec![others; count]].concat());
    let told = |comparison: &Comparison, ending: &str| {
        assert_eq!(comparison.better, Better::Unknown);
        assert!(comparison.verdict.ends_with(ending), "{}", comparison.verdict);
    };
    let opposite = with((60, "b", "a"), (1, "a", "b"), 20);
    assert!(opposite.mcnemar.p < 0.001 && opposite.by_conversation.p < 0.001);
    told(&opposite, "cannot tell these apart: 60 fixed, 20 broken, p < 0.001; turns speak for B, conversations for A");
    // More of the same would not tell either.
    told(&with((3, "b", "a"), (1, "a", "b"), 2), "3 fixed, 2 broken, p = 1.00; turns speak for B, conversations for A");
    let heavy = with((40, "a", "b"), (4, "b", "a"), 21);
    assert!(heavy.mcnemar.p < 0.05 && heavy.by_conversation.p < 0.05 && heavy.difference.ci95[0] < 0.0);
    told(&heavy, "; single conversations weigh too much: the 95 % interval of the difference holds 0");
    // Many flipped, and do not agree.
    let torn = over(&[vec![(5, "b", "a"); 12], vec![(1, "a", "b"); 10]].concat());
    told(&torn, "60 fixed, 10 broken, p = 0.83; single conversations with many turns weigh too much: 12 got better, 10 worse");
}

#[test]
fn few_conversations_have_no_interval() {
    let fixed = |count: usize, same: usize| over(&[vec![(1, "b", "a"); count], vec![(1, "a", "a"); same]].concat());
    assert_eq!((fixed(1, 0).interval(), fixed(5, 5).interval(), fixed(9, 0).interval()), (None, None, None));
    let shown = fixed(6, 6);
    assert_eq!(shown.interval(), Some(shown.difference.ci95));
    let (names, runs) = (["A", "B"].map(str::to_owned), [run(routes(&["a"]), Vec::new()), run(routes(&["a"]), Vec::new())]);
    for (comparison, note) in [
        (fixed(1, 0), "+100.0 points (too few conversations came out differently for an interval)\n"),
        (fixed(9, 0), "+100.0 points (all conversations came out alike, which gives no interval)\n"),
        (fixed(0, 9), "difference +0.0 points\n"),
        (shown, "+50.0 points (95 % interval +"),
    ] {
        let comparisons = [Compared { at: 1, comparison }];
        let text = CompareReport { names: &names, runs: &runs, comparisons: &comparisons }.to_text();
        assert!(text.contains(note), "{text}");
    }
}

#[test]
fn a_probability_is_not_rounded_onto_the_level() {
    let words = |p: f64| McNemar { b: 0, c: 0, p }.p_words();
    assert_eq!([0.0497, 0.0503, 0.0482, 0.062].map(words), ["p = 0.0497", "p = 0.0503", "p = 0.048", "p = 0.062"]);
}

#[test]
fn a_route_that_the_first_run_alone_decided_is_in_the_table() {
    // Of a case with routes of its own, so that no policy names it.
    let of = |decided: &str| run(routes(&["a"]), vec![turn(0, 0, "a", Some(decided), 0.5), turn(1, 1, "a", Some("a"), 0.5)]);
    let routes: Vec<(String, usize)> =
        compare(&of("ghost"), &of("a"), ["A", "B"], 0, None).per_route.into_iter().map(|delta| (delta.route, delta.support)).collect();
    assert_eq!(routes, [("a", 2), (NO_ROUTE_LABEL, 0), ("ghost", 0)].map(|(route, support)| (route.to_owned(), support)));
}

#[test]
fn few_conversations_give_no_verdict_however_many_turns_they_have() {
    let of = |conversations: usize, decided: &str| {
        let turns = (0..2 * conversations).map(|at| turn(at, at / 2, "a", Some(decided), 0.5));
        run(routes(&["a", "b"]), turns.collect())
    };
    let four = compare(&of(4, "b"), &of(4, "a"), ["A", "B"], 0, None);
    // What a test over turns and a bootstrap over four conversations take for proof.
    assert!(four.mcnemar.p < 0.05 && four.difference.ci95[0] > 0.0);
    assert_eq!((four.by_conversation.b, four.by_conversation.c), (0, 4));
    close(four.by_conversation.p, 0.125, 1e-12);
    assert_eq!(four.better, Better::Unknown);
    assert!(four.verdict.starts_with("8 cases cannot tell these apart: 8 fixed, 0 broken, p = 0.1"), "{}", four.verdict);
    // The larger of the two probabilities is told.
    let six = compare(&of(6, "b"), &of(6, "a"), ["A", "B"], 0, None);
    assert_eq!((six.better, six.verdict.as_str()), (Better::B, "B is better: 12 fixed, 0 broken, p = 0.031"));
    // A conversation in which one of them was stopped may yet come out otherwise.
    let mut stopped = of(6, "b");
    stopped.info.incomplete = vec![3];
    let five = compare(&stopped, &of(6, "a"), ["A", "B"], 0, None);
    assert_eq!((five.cases, five.by_conversation.c, five.better), (12, 5, Better::Unknown));
}

#[test]
fn cases_that_share_a_line_stay_apart() {
    let of = |decided: [&str; 3]| {
        let one = |(at, decided): (usize, &&str)| TurnResult { line: 1, id: "1".into(), ..turn(at, at, "a", Some(decided), 0.5) };
        run(routes(&["a", "b"]), decided.iter().enumerate().map(one).collect())
    };
    let (a, b) = (of(["a", "b", "b"]), of(["a", "a", "b"]));
    let comparison = compare(&a, &b, ["A", "B"], 0, None);
    assert_eq!((comparison.cases, comparison.unmatched, comparison.fixed, comparison.broken), (3, [0, 0], 1, 0));
    let mut cases = Vec::new();
    write_cases(&b, &mut cases).unwrap();
    let json = report_json(&b, "digest");
    assert_eq!(read_run(&json, "report.json", cases.as_slice(), "cases.csv").unwrap(), b);
    // Runs that were kept before these columns were.
    let text = String::from_utf8(cases).unwrap();
    for (kept, last) in [(18, ",probabilities"), (20, ",tags"), (21, ",conversation"), (22, ",routes")] {
        let old = first_columns(&text, kept);
        assert!(old.lines().next().unwrap().ends_with(last), "{old}");
        assert_eq!(read_run(&json, "report.json", old.as_bytes(), "cases.csv").unwrap(), b);
    }
    // A case that only one of two stopped runs got to is no pair of another that has its number there.
    let mut later = a.clone();
    later.turns.iter_mut().for_each(|turn| turn.line = 2);
    assert_eq!(compare(&later, &b, ["A", "B"], 0, None).cases, 0);
}

#[test]
fn runs_over_different_files_meet_by_id_and_labels_of_the_present_set_count() {
    let mut a =
        run(routes(&["a", "b"]), vec![turn(0, 0, "a", Some("b"), 0.5), turn(1, 1, "a", Some("a"), 0.5), turn(2, 2, "a", Some("a"), 0.5)]);
    a.info.set.sha256 = "old".to_owned();
    // The first case is gone, the second has moved and another label, the last one is new.
    let mut b =
        run(routes(&["a", "b"]), vec![turn(2, 0, "a", Some("a"), 0.5), turn(1, 1, "b", Some("b"), 0.5), turn(7, 2, "a", Some("a"), 0.5)]);
    b.info.set.sha256 = "new".to_owned();
    let comparison = compare(&a, &b, ["A", "B"], 0, None);
    assert_eq!((comparison.cases, comparison.unmatched, comparison.relabelled), (2, [1, 1], 1));
    assert_eq!((comparison.fixed, comparison.broken, comparison.labels_of), (1, 0, Side::B));
    assert_eq!(&*comparison.flips[0].id, "1");
    let names = ["A", "B"].map(str::to_owned);
    let runs = [a, b];
    let told = |comparison| {
        let comparisons = [Compared { at: 1, comparison }];
        CompareReport { names: &names, runs: &runs, comparisons: &comparisons }.to_text()
    };
    let matrix = |comparison| {
        let (comparisons, mut written) = ([Compared { at: 1, comparison }], Vec::new());
        CompareReport { names: &names, runs: &runs, comparisons: &comparisons }.write_matrix(&mut written).unwrap();
        String::from_utf8(written).unwrap()
    };
    let wanted = "line,id,turn,label,A,B\n1,0,0,a,b,\n2,1,0,b,a,b\n3,2,0,a,a,a\n8,7,0,a,,a\n";
    assert_eq!(matrix(comparison.clone()), wanted, "with the case that B alone has, and B's label");
    assert!(told(comparison).contains("1 labels differ between the runs; those of B count\n"));
    let comparison = compare(&runs[0], &runs[1], ["A", "B"], 0, Some("old"));
    assert_eq!((comparison.fixed, comparison.broken, comparison.labels_of), (0, 1, Side::A));
    assert_eq!((&*comparison.flips[0].label, comparison.agreement), ("a", [1.0, 0.5]));
    assert_eq!(matrix(comparison.clone()), wanted.replace("2,1,0,b,", "2,1,0,a,"));
    let text = told(comparison);
    assert!(text.contains("; those of A count, since it measured the set as it is now"), "{text}");
    assert!(text.contains("by conversation: 0 better, 1 worse, exact sign test p = 1.00"), "{text}");
}

#[test]
fn cases_of_two_files_meet_only_where_the_same_was_said() {
    // Nobody gave these cases an id, so their lines name them.
    let of = |file: &str, said: &[Option<u64>], decided: &str, prefix: &str| {
        let one = |(at, digest): (usize, &Option<u64>)| TurnResult {
            id: format!("{prefix}{}", at + 1).into(),
            digest: *digest,
            ..turn(at, at, "a", Some(decided), 0.5)
        };
        let mut run = run(routes(&["a", "b"]), said.iter().enumerate().map(one).collect());
        run.info.set.sha256 = file.to_owned();
        run
    };
    let said: Vec<Option<u64>> = (10..20).map(Some).collect();
    let (on_top, at_end) = ([&[Some(99)][..], &said].concat(), [&said[..], &[Some(99)]].concat());
    let a = of("old", &said, "b", "");
    let moved = of("moved", &on_top, "a", "");
    let comparison = compare(&a, &moved, ["A", "B"], 0, None);
    assert_eq!((comparison.cases, comparison.unmatched, comparison.mismatched), (0, [10, 11], 10));
    assert_eq!(comparison.better, Better::Unknown);
    let sentence = "these are different sets: of 10 cases with the same id, 10 are not known to be the same conversation";
    assert!(comparison.verdict.starts_with(sentence), "{}", comparison.verdict);
    assert_eq!(case_rows(&[&a, &moved]).len(), 21);

    let longer = of("new", &at_end, "a", "");
    let comparison = compare(&a, &longer, ["A", "B"], 0, None);
    assert_eq!((comparison.cases, comparison.unmatched, comparison.mismatched, comparison.better), (10, [0, 1], 0, Better::B));
    let rows = case_rows(&[&a, &longer, &moved]);
    assert_eq!(rows.len(), 22);
    assert_eq!((&rows[0][..], &rows[10][..]), (&[Some(0), Some(0), None][..], &[None, Some(10), None][..]));
    assert_eq!(case_rows(&[&a, &a, &a]), (0..10_u32).map(|at| vec![Some(at); 3]).collect::<Vec<_>>());

    // Runs that were kept before Waypost looked at what was said: ids that people gave tell, numbers of lines do not.
    let before = [None; 10];
    for (prefix, cases, mismatched) in [("", 0, 10), ("case ", 10, 0)] {
        let old = of("old", &before, "b", prefix);
        for new in [of("new", &said, "a", prefix), of("new", &before, "a", prefix)] {
            let comparison = compare(&old, &new, ["A", "B"], 0, None);
            assert_eq!((comparison.cases, comparison.mismatched), (cases, mismatched), "{prefix}");
        }
    }
}

#[test]
fn reports_name_the_turns_of_a_conversation_and_say_that_an_order_does_not_last() {
    let of = |names: &[&str], decided: &str| {
        let said = |at: usize| TurnResult { id: "talk".into(), ..turn(at, 0, "a", Some(decided), 0.5) };
        run(routes(names), (0..2).map(said).collect())
    };
    let runs = [of(&["a", "b"], "a"), of(&["b", "a"], "b")];
    let (names, comparison) = (["A", "B"].map(str::to_owned), compare(&runs[0], &runs[1], ["A", "B"], 0, None));
    let comparisons = [Compared { at: 1, comparison }];
    let report = CompareReport { names: &names, runs: &runs, comparisons: &comparisons };
    let (text, markdown) = (report.to_text(), report.to_markdown());
    assert!(markdown.contains("| broken | talk | 1 |") && markdown.contains("| broken | talk turn 2 | 2 |"), "{markdown}");
    assert!(text.contains("talk (line 1)") && text.contains("talk turn 2 (line 2)"), "{text}");
    for told in [text, markdown] {
        assert!(told.contains("gateways do not keep the order of the routes"), "{told}");
    }
    let comparisons = [Compared { at: 1, comparison: compare(&runs[0], &runs[0], ["A", "B"], 0, None) }];
    let mut same = [runs[0].clone(), runs[0].clone()];
    same[1].info.budget = Some(300);
    let text = CompareReport { names: &names, runs: &same, comparisons: &comparisons }.to_text();
    assert!(!text.contains("do not keep the order"), "{text}");
    assert!(text.matches(", budget 300)").count() == 1, "what only one of them was measured with: {text}");
}

//! Measuring from the inside: requests and results in any order, results that are kept, causes of flips.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use waypost::app::measure::{Measurement, apply_set_edit, attribute, list_runs, open_run, plan, write_run};
use waypost::chat::labelled::Expected;
use waypost::chat::{Conversation, Message, Role};
use waypost::decision::{Decision, RouterInfo};
use waypost::engine::{EngineError, RouteRequest};
use waypost::eval::{Cause, Causes, Run, RunInfo, Source, compare, figures};
use waypost::formats::{CompareReport, Compared, LabelledSet, Standing, evidence_problems, policy_digest, run_evidence, standing};
use waypost::policy::{DialectId, Policy, PolicyChange, Route};

use crate::fake_router::decision;

pub fn open_set(path: &Path) -> Arc<LabelledSet> {
    Arc::new(LabelledSet::open(path, &mut |_, _| true).unwrap().unwrap())
}

fn policy(descriptions: [&str; 2]) -> Arc<Policy> {
    let routes = ["code", "talk"].into_iter().zip(descriptions).map(|(name, description)| Route::new(name, description)).collect();
    Arc::new(Policy { routes, ..Policy::default() })
}

/// Chooses the route of which a word of the description is in the last message; a stand-in for a network that reads both.
fn decide(request: &RouteRequest) -> Result<Decision, EngineError> {
    let last = request.conversation.messages.last().unwrap().text().into_owned();
    if last.contains("fails") {
        return Err(EngineError::request("the prompt is too long"));
    }
    let fits = |route: &&Route| route.description.split(' ').any(|word| !word.is_empty() && last.contains(word));
    Ok(decision(request, request.policy.routes.iter().find(fits).map(|route| route.name.clone())))
}

fn measurement(set: &Arc<LabelledSet>, policy: &Arc<Policy>, kept: Option<&Path>) -> Measurement {
    Measurement {
        policy: Arc::clone(policy),
        policy_source: Source::default(),
        set: Arc::clone(set),
        dialect: DialectId::DEFAULT,
        budget: None,
        orders: 0,
        seed: 0,
        limit: None,
        router: RouterInfo::default(),
        router_digest: Some("digest".to_owned()),
        name: "test".to_owned(),
        min_agreement: None,
        min_recall: None,
        kept: kept.map(Path::to_owned),
    }
}

/// Measures backwards and stops after `most` decisions; also returns how many decisions were asked for.
fn measure(measurement: &Measurement, most: usize) -> (Run, usize) {
    let (requests, mut collector) = plan(measurement).unwrap();
    let requests: Vec<RouteRequest> = requests.collect();
    for (index, request) in requests.iter().enumerate().rev().take(most) {
        collector.take(index, decide(request));
    }
    let run = collector.run();
    assert_eq!(collector.warning(), None);
    collector.into_resumable().end();
    (run, requests.len())
}

const SET: &str = r#"{"id": "one", "messages": [{"role": "user", "content": "please sort"}], "route": "code"}
{"id": "two", "messages": [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "sort it"}], "labels": ["talk", "code"], "tags": ["multi turn", "a;b", " ", "a;b"]}
{"id": "three", "messages": [{"role": "user", "content": "this fails"}], "route": "code"}
not JSON
{"id": "four", "messages": [{"role": "user", "content": "a own question"}], "route": "x", "routes": [{"name": "x", "description": "own"}]}
{"id": "five", "messages": [{"role": "user", "content": "nothing of it"}], "route": "other"}
"#;

fn set_file(folder: &Path) -> Arc<LabelledSet> {
    let path = folder.join("set.jsonl");
    std::fs::write(&path, SET).unwrap();
    open_set(&path)
}

#[test]
fn a_run_is_in_the_order_of_the_set_whatever_order_it_was_decided_in() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    assert_eq!((set.cases().len(), set.bad().len(), set.turns(None), set.turns(Some(2))), (5, 1, 6, 3));
    let (run, asked) = measure(&measurement(&set, &policy(["sort", "hello"]), None), usize::MAX);
    assert_eq!((asked, run.is_partial(), run.undecided()), (6, true, 1));
    let seen: Vec<(&str, usize, usize, Option<&str>)> =
        run.turns.iter().map(|turn| (&*turn.id, turn.line, turn.turn, turn.decided.as_deref())).collect();
    let expected = [
        ("one", 1, 0, Some("code")),
        ("two", 2, 0, Some("talk")),
        ("two", 2, 1, Some("code")),
        ("three", 3, 0, None),
        ("four", 5, 0, Some("x")),
        ("five", 6, 0, Some("other")),
    ];
    assert_eq!(seen, expected);
    assert_eq!(run.turns[3].error.as_deref(), Some("the prompt is too long"));
    assert_eq!((run.info.per_turn, &run.info.one_label[..]), (true, &[0, 2, 3, 4][..]));
    let of_run = figures(&run);
    assert_eq!((of_run.spans.unwrap().by_length[0].spans, of_run.per_turn_number[0].slice.cases), (2, 1), "those of the second alone");
    assert!(run.turns.iter().all(|turn| turn.digest.is_some()) && run.turns[1].digest != run.turns[2].digest);
    // Once each, and without what stands between them in a table.
    assert_eq!(run.turns[2].tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["multi turn", "a,b"]);
    assert!(run.turns[0].tags.is_empty());
    // Of each turn what was said in it, not what was said last.
    assert_eq!([&*run.turns[1].preview, &*run.turns[2].preview], ["hello", "sort it"]);

    // Written, listed and read back.
    let runs = folder.path().join("runs");
    write_run(&runs.join("first"), &run).unwrap();
    assert_eq!(open_run(&runs.join("first/report.json")).unwrap(), run);
    std::fs::create_dir(runs.join("no run")).unwrap();
    let listed = list_runs(&runs);
    assert_eq!(listed.iter().map(|run| (run.summary.cases, run.summary.partial)).collect::<Vec<_>>(), [(5, true)]);
    // Killed while the run was written again: the old report with new cases beside its own, and the new report without its own.
    let again = Run { turns: run.turns[..5].to_vec(), ..run.clone() };
    write_run(&runs.join("second"), &again).unwrap();
    let report = std::fs::read_to_string(runs.join("second/report.json")).unwrap();
    let digest = report.split("\"cases_sha256\": \"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::copy(runs.join("second/cases.csv"), runs.join("first").join(format!("cases-{digest}.csv"))).unwrap();
    assert_eq!(open_run(&runs.join("first")).unwrap(), run);
    std::fs::copy(runs.join("second/report.json"), runs.join("first/report.json")).unwrap();
    assert_eq!(open_run(&runs.join("first")).unwrap(), again);
    write_run(&runs.join("first"), &run).unwrap();
    assert_eq!(open_run(&runs.join("first")).unwrap(), run);
    std::fs::remove_dir_all(runs.join("second")).unwrap();
    // Cases of another run are noticed.
    let cases = runs.join("first/cases.csv");
    let text = std::fs::read_to_string(&cases).unwrap();
    std::fs::write(&cases, text.replacen("one", "two", 1)).unwrap();
    assert!(open_run(&runs.join("first")).unwrap_err().to_string().contains("these are not the cases of"));
}

#[test]
fn a_set_that_can_no_longer_be_read_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let (requests, mut collector) = plan(&measurement(&set, &policy(["sort", "hello"]), None)).unwrap();
    std::fs::write(folder.path().join("set.jsonl"), SET.split_inclusive('\n').next().unwrap()).unwrap();
    assert_eq!(requests.count(), 1);
    let run = collector.run();
    assert!(run.turns.is_empty() && run.is_partial());
    let error = collector.unreadable().unwrap().to_string();
    assert!(error.contains("set.jsonl: the file cannot be read"), "{error}");
}

/// As ShareGPT exports have it: the conversation ends with the answer.
#[test]
fn a_message_is_asked_without_the_answer_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    let turns = [("human", "hello"), ("gpt", "hi"), ("human", "please sort"), ("gpt", "hello, it is sorted")];
    let turns = turns.map(|(from, value)| format!("{{\"from\": \"{from}\", \"value\": \"{value}\"}}")).join(", ");
    std::fs::write(&path, format!("[{{\"conversations\": [{turns}], \"label\": \"code\"}}]")).unwrap();
    let (requests, _) = plan(&measurement(&open_set(&path), &policy(["sort", "hello"]), None)).unwrap();
    let said =
        |request: RouteRequest| request.conversation.messages.iter().map(|message| message.text().into_owned()).collect::<Vec<String>>();
    assert_eq!(requests.map(said).collect::<Vec<_>>(), [["hello", "hi", "please sort"]]);
}

#[test]
fn a_second_run_decides_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let kept = folder.path().join("kept");
    let first = measurement(&set, &policy(["sort", "hello"]), Some(&kept));
    let (stopped, asked) = measure(&first, 2);
    assert_eq!((stopped.turns.len(), stopped.is_partial(), asked), (2, true, 6));
    let (whole, asked) = measure(&first, usize::MAX);
    assert_eq!((asked, whole.info.reused), (4, 2));
    // What failed is tried again, and everything else is as it was.
    let (again, asked) = measure(&first, usize::MAX);
    assert_eq!((asked, again.info.reused), (1, 5));
    assert_eq!(again.turns, whole.turns);
    // Another description is another prompt; the case with its own routes does not see it.
    let (_, asked) = measure(&measurement(&set, &policy(["sort lists", "hello"]), Some(&kept)), usize::MAX);
    assert_eq!(asked, 5);
    // Models are no part of the prompt, and come from the policy at hand.
    let mut served = Policy::clone(&first.policy);
    served.routes[0].models = vec!["p/m".to_owned()];
    let (served, asked) = measure(&measurement(&set, &Arc::new(served), Some(&kept)), usize::MAX);
    assert_eq!((asked, served.turns[0].model.as_deref()), (1, Some("p/m")));
    // Another router, dialect or order test shares nothing.
    for other in [
        Measurement { router_digest: Some("other".to_owned()), ..first.clone() },
        Measurement { dialect: DialectId::Plano0420, ..first.clone() },
        Measurement { orders: 2, ..first.clone() },
    ] {
        assert_eq!(measure(&other, 0).1, 6);
    }
}

#[test]
fn half_a_line_of_a_killed_process_costs_that_result_alone() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let kept = folder.path().join("kept");
    let measured = measurement(&set, &policy(["sort", "hello"]), Some(&kept));
    measure(&measured, usize::MAX);
    let file = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 30]).unwrap();
    let (run, asked) = measure(&measured, usize::MAX);
    assert_eq!((asked, run.info.reused), (2, 4));
    assert_eq!(measure(&measured, usize::MAX).1, 1, "the line after the half one is whole");
}

#[test]
fn results_that_no_run_used_for_long_go_and_those_in_use_stay() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let kept = folder.path().join("kept");
    let measured = measurement(&set, &policy(["sort", "hello"]), Some(&kept));
    measure(&measured, usize::MAX);
    let used = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let age = |path: &Path, days: u64| {
        let file = std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(days * 24)).unwrap();
    };
    let of = |begin: &str, digit: &str, end: &str| format!("{begin}{}{end}", digit.repeat(24));
    let gone = [(of("", "1", ".jsonl"), 91), (of("unfinished-", "1", ".jsonl"), 31), (of("unfinished-", "1", ".lock"), 31)];
    let stay = [
        (of("", "2", ".jsonl"), 89),
        (of("unfinished-", "2", ".jsonl"), 29),
        (of("unfinished-", "3", ".jsonl"), 31),
        (of("unfinished-", "3", ".lock"), 31),
    ];
    for (name, days) in gone.iter().chain(&stay) {
        age(&kept.join(name), *days);
    }
    age(&used, 89);
    let running = std::fs::File::open(kept.join(&stay[3].0)).unwrap();
    running.lock_shared().unwrap();
    assert_eq!(measure(&measured, usize::MAX).1, 1, "the one that failed alone");
    assert!(gone.iter().all(|(name, _)| !kept.join(name).exists()));
    assert!(stay.iter().all(|(name, _)| kept.join(name).exists()), "another process goes on with the third run");
    assert!(used.metadata().unwrap().modified().unwrap().elapsed().unwrap().as_secs() < 3600, "reading it is use");
    // However late, a run that is resumed finds its results.
    let kept = folder.path().join("resumed");
    let server = Measurement { router_digest: None, kept: Some(kept.clone()), ..measured };
    assert_eq!(measure(&server, 3).1, 6);
    for entry in std::fs::read_dir(&kept).unwrap() {
        age(&entry.unwrap().path(), 31);
    }
    assert_eq!(measure(&server, usize::MAX).1, 4);
}

/// `--cache` may name a folder that people keep their own files in, for example the one of the policy.
#[test]
fn files_of_the_user_in_the_folder_of_kept_results_stay() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let letters = |begin: &str| format!("{begin}{}.jsonl", "z".repeat(24));
    let own = ["labelled.jsonl", "old_set.jsonl", "Cargo.lock", "unfinished-notes.jsonl", "unfinished-.lock", "2024.jsonl", "notes.txt"];
    let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).chain([letters(""), letters("unfinished-")]).collect();
    for name in &own {
        std::fs::write(folder.path().join(name), "mine").unwrap();
        let file = std::fs::File::options().write(true).open(folder.path().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1000 * 24)).unwrap();
    }
    measure(&measurement(&set, &policy(["sort", "hello"]), Some(folder.path())), usize::MAX);
    assert!(own.iter().all(|name| std::fs::read_to_string(folder.path().join(name)).is_ok_and(|text| text == "mine")), "{own:?}");
}

#[test]
fn what_a_server_decided_serves_to_resume_that_run_and_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let kept = folder.path().join("kept");
    let server = Measurement { router_digest: None, ..measurement(&set, &policy(["sort", "hello"]), Some(&kept)) };
    assert_eq!(measure(&server, 3).1, 6);
    // Of the three, the one that failed is tried again; as long as it fails the others stay.
    assert_eq!(measure(&server, usize::MAX).1, 4);
    assert_eq!(measure(&server, 0).1, 1);
    // Another run of the same server comes to its end, and takes nothing from this one.
    let decided = Measurement { limit: Some(2), ..server.clone() };
    assert_eq!(measure(&decided, 1).1, 3);
    assert_eq!(measure(&decided, usize::MAX).1, 2);
    assert_eq!(measure(&decided, 0).1, 3, "all of it was decided");
    assert_eq!(measure(&server, 0).1, 1);
    // Two processes in the middle of one run: the first to end leaves what the other one needs.
    let [(requests, mut first), (_, second)] = [plan(&decided).unwrap(), plan(&decided).unwrap()];
    for (index, request) in requests.enumerate() {
        first.take(index, decide(&request));
    }
    first.into_resumable().end();
    assert_eq!(measure(&decided, 0).1, 0);
    drop(second);
    measure(&decided, 0);
    assert_eq!(measure(&decided, 0).1, 3, "the last one took it away");
}

#[test]
fn the_model_that_a_gateway_took_is_kept_with_its_decision() {
    let folder = tempfile::tempdir().unwrap();
    let (set, kept) = (set_file(folder.path()), folder.path().join("kept"));
    let mut served = Policy::clone(&policy(["sort", "hello"]));
    served.routes[0].models = ["p/dear", "p/cheap"].map(str::to_owned).to_vec();
    served.routes[0].extra.push(("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned()));
    let router = RouterInfo { device: "gateway".to_owned(), ..RouterInfo::default() };
    let gateway = Measurement { router_digest: None, router, ..measurement(&set, &Arc::new(served), Some(&kept)) };
    let (mut requests, mut collector) = plan(&gateway).unwrap();
    let first = requests.next().unwrap();
    collector.take(0, Ok(Decision { model: Some("p/cheap".to_owned()), ..decide(&first).unwrap() }));
    collector.into_resumable().end();
    let (resumed, asked) = measure(&gateway, usize::MAX);
    assert_eq!((asked, resumed.info.reused, resumed.turns[0].model.as_deref()), (5, 1, Some("p/cheap")));
}

#[test]
fn what_a_server_did_not_tell_is_kept_as_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let (set, kept) = (set_file(folder.path()), folder.path().join("kept"));
    let router = RouterInfo { device: "server".to_owned(), ..RouterInfo::default() };
    let server = Measurement { router_digest: None, router, ..measurement(&set, &policy(["sort", "hello"]), Some(&kept)) };
    let (mut requests, mut collector) = plan(&server).unwrap();
    let mut told = Decision { router: server.router.clone(), ..decide(&requests.next().unwrap()).unwrap() };
    told.probabilities.truncate(1);
    collector.take(0, Ok(told));
    collector.into_resumable().end();
    let (resumed, asked) = measure(&server, usize::MAX);
    assert_eq!((asked, &resumed.turns[0].probabilities[..]), (5, &[Some(0.913), None, None][..]));
}

#[test]
fn a_conversation_that_is_decided_in_part_is_in_no_figure_of_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    let line = |id: &str, labels: &str| {
        let messages =
            r#"[{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": "sort it"}]"#;
        format!("{{\"id\": \"{id}\", \"messages\": {messages}, \"labels\": {labels}}}\n")
    };
    std::fs::write(&path, line("right", r#"["talk", "code"]"#) + &line("wrong", r#"["code", "code"]"#)).unwrap();
    let measured = measurement(&open_set(&path), &policy(["sort", "hello"]), None);
    // Backwards, so that the first turn of the first conversation is the one that is missing.
    let (stopped, _) = measure(&measured, 3);
    assert_eq!((stopped.turns.len(), &stopped.info.incomplete[..]), (3, &[0][..]));
    let of_stopped = figures(&stopped);
    assert_eq!(
        (of_stopped.span_accuracy, of_stopped.conversation_accuracy, of_stopped.incomplete_conversations),
        (Some(0.0), Some(0.0), 1)
    );
    assert_eq!(of_stopped.spans.unwrap().by_length.len(), 1);
    write_run(folder.path(), &stopped).unwrap();
    assert_eq!(open_run(folder.path()).unwrap(), stopped);
    let report = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(report.contains("1 conversation was not decided whole"), "{report}");
    let (whole, _) = measure(&measured, 4);
    assert_eq!((figures(&whole).conversation_accuracy, figures(&whole).incomplete_conversations), (Some(0.5), 0));
}

fn line(id: &str, text: &str, route: &str) -> String {
    format!("{{\"id\": \"{id}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}], \"route\": \"{route}\"}}\n")
}

#[test]
fn one_edit_explains_every_flip_and_of_several_what_broke_is_looked_into_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    let lines: String = (0..501).map(|n| line(&n.to_string(), &format!("sort {n}"), "code")).collect();
    std::fs::write(&path, lines + &line("last", "hello", "talk")).unwrap();
    let set = open_set(&path);
    let of = |descriptions| measure(&measurement(&set, &policy(descriptions), None), usize::MAX).0;
    let (first, one, two) = (of(["", "hello"]), of(["sort", "hello"]), of(["sort", "bye"]));

    let mut comparison = compare(&first, &one, ["A", "B"], 0, None);
    let mut search = attribute(&first, &one, &comparison, &set).unwrap();
    assert!(search.next_round().is_none(), "there is nothing to decide");
    search.finish(&mut comparison);
    assert_eq!(comparison.causes, Causes::LookedInto(501));
    assert!(comparison.flips.iter().all(|flip| flip.cause.is_some()));

    let mut comparison = compare(&first, &two, ["A", "B"], 0, None);
    let mut search = attribute(&first, &two, &comparison, &set).unwrap();
    while let Some(requests) = search.next_round() {
        for (index, request) in requests.iter().enumerate() {
            search.take(index, decide(request));
        }
    }
    search.finish(&mut comparison);
    assert_eq!((comparison.fixed, comparison.broken, &comparison.causes), (501, 1, &Causes::LookedInto(500)));
    let broken = comparison.flips.iter().find(|flip| *flip.id == *"last").unwrap();
    assert_eq!(broken.cause, Some(Cause::Alone(vec!["the description of talk".to_owned()])));
    let (names, runs) = (["A", "B"].map(str::to_owned), [first, two]);
    let comparisons = [Compared { at: 1, comparison: comparison.clone() }];
    let text = CompareReport { names: &names, runs: &runs, comparisons: &comparisons }.to_text();
    assert!(text.contains("causes: looked into 500 of 502 flips, those that broke first"), "{text}");

    // What stands in the way is said.
    let [first, two] = runs;
    let other = Run { info: RunInfo { dialect: DialectId::Plano0420, ..two.info.clone() }, ..two.clone() };
    for (a, b, why) in [(&first, &other, "the runs differ in the dialect too"), (&first, &first, "the policies say the same")] {
        let said = attribute(a, b, &comparison, &set).err().unwrap();
        assert!(said.starts_with(why), "{said}");
    }
    std::fs::write(&path, line("last", "hello", "talk")).unwrap();
    let said = attribute(&first, &two, &comparison, &open_set(&path)).err().unwrap();
    assert!(said.contains("is not the set that was measured"), "{said}");
}

#[test]
fn the_budget_of_a_policy_is_that_of_its_prompts_unless_another_one_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let short = Arc::new(Policy { budget: Some(300), ..Policy::clone(&policy(["sort", "hello"])) });
    let plano = Measurement { dialect: DialectId::Plano0420, ..measurement(&set, &short, None) };
    let wider = Measurement { budget: Some(500), ..plano.clone() };
    let older = Measurement { dialect: DialectId::Archgw031, ..plano.clone() };
    for (measurement, budget) in [(&plano, Some(300_usize)), (&wider, Some(500)), (&older, None)] {
        let budgets: Vec<Option<usize>> = plan(measurement).unwrap().0.map(|request| request.budget).collect();
        assert_eq!(budgets, [budget; 6]);
    }
    let [run, other] = [&plano, &wider].map(|measurement| measure(measurement, usize::MAX).0);
    write_run(folder.path(), &run).unwrap();
    assert_eq!(open_run(folder.path()).unwrap().info.budget, Some(300));
    let is_told =
        |run: &Run| evidence_problems(&short, Some(&run_evidence(run)), None).iter().any(|problem| problem.contains("budget of 500"));
    assert!(!is_told(&run) && is_told(&other));

    let path = folder.path().join("flips.jsonl");
    std::fs::write(&path, line("1", "sort", "code") + &line("2", "bye", "talk")).unwrap();
    let set = open_set(&path);
    let of = |descriptions: [&str; 2], own: Option<usize>, budget: Option<usize>| {
        let policy = Arc::new(Policy { budget: own, ..Policy::clone(&policy(descriptions)) });
        measure(&Measurement { dialect: DialectId::Plano0420, budget, ..measurement(&set, &policy, None) }, usize::MAX).0
    };
    let (a, b) = (of(["", "hello"], None, None), of(["sort", "hello bye"], Some(300), None));
    let comparison = compare(&a, &b, ["A", "B"], 0, None);
    let mut search = attribute(&a, &b, &comparison, &set).unwrap();
    assert_eq!(search.changes().last(), Some(&PolicyChange::Budget(Some(300))));
    let budgets: BTreeSet<Option<usize>> = search.next_round().unwrap().iter().map(|request| request.budget).collect();
    assert_eq!(budgets, BTreeSet::from([None, Some(300)]));
    // The usual number is no edit, and neither is one that the dialect does not heed.
    let said = of(["sort", "hello bye"], Some(8192), None);
    assert_eq!(attribute(&a, &said, &comparison, &set).unwrap().changes().len(), 2);
    let unheeded = |descriptions: [&str; 2], own: Option<usize>| {
        let policy = Arc::new(Policy { budget: own, ..Policy::clone(&policy(descriptions)) });
        measure(&Measurement { dialect: DialectId::Archgw031, ..measurement(&set, &policy, None) }, usize::MAX).0
    };
    let old = [unheeded(["", "hello"], None), unheeded(["sort", "hello bye"], Some(300))];
    assert_eq!(attribute(&old[0], &old[1], &comparison, &set).unwrap().changes().len(), 2);
    // One that was asked for takes the place of both policies' own.
    let (a, b) = (of(["", "hello"], None, Some(500)), of(["sort", "hello bye"], Some(300), Some(500)));
    let mut search = attribute(&a, &b, &comparison, &set).unwrap();
    assert_eq!(search.changes().len(), 2);
    assert!(search.next_round().unwrap().iter().all(|request| request.budget == Some(500)));
    let said = attribute(&a, &of(["sort", "hello bye"], None, None), &comparison, &set).err().unwrap();
    assert!(said.starts_with("the runs differ in the budget too, 500 tokens and the dialect's own"), "{said}");
}

#[test]
fn flips_name_the_edit_that_causes_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    std::fs::write(
        &path,
        line("1", "sort", "code") + &line("2", "bye", "talk") + &line("3", "sort bye", "talk") + &line("4", "x", "other"),
    )
    .unwrap();
    let set = open_set(&path);
    let (a, b) = (policy(["", "hello"]), policy(["sort", "hello bye"]));
    let [first, second] = [&a, &b].map(|policy| measure(&measurement(&set, policy, None), usize::MAX).0);
    let mut comparison = compare(&first, &second, ["A", "B"], 0, None);
    let mut search = attribute(&first, &second, &comparison, &set).unwrap();
    assert_eq!(search.changes().len(), 2);
    while let Some(requests) = search.next_round() {
        for (index, request) in requests.iter().enumerate() {
            search.take(index, decide(request));
        }
    }
    search.finish(&mut comparison);
    let causes: Vec<(&str, Option<&Cause>)> = comparison.flips.iter().map(|flip| (&*flip.id, flip.cause.as_ref())).collect();
    let alone = |edit: &str| Cause::Alone(vec![format!("the description of {edit}")]);
    assert_eq!(causes, [("1", Some(&alone("code"))), ("2", Some(&alone("talk"))), ("3", Some(&alone("code")))]);

    // Where nothing could be decided nothing is said.
    let mut comparison = compare(&first, &second, ["A", "B"], 0, None);
    let mut search = attribute(&first, &second, &comparison, &set).unwrap();
    while let Some(requests) = search.next_round() {
        (0..requests.len()).for_each(|index| search.take(index, Err(EngineError::request("too busy"))));
    }
    search.finish(&mut comparison);
    assert!(comparison.flips.iter().all(|flip| flip.cause.is_none()), "{:?}", comparison.flips);
    assert_eq!(comparison.causes, Causes::LookedInto(0));
}

#[test]
fn evidence_is_that_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_file(folder.path());
    let tested = policy(["sort", "hello"]);
    let (run, _) = measure(&Measurement { min_agreement: Some(0.9), ..measurement(&set, &tested, None) }, usize::MAX);
    let evidence = run_evidence(&run);
    assert_eq!((evidence.cases, evidence.undecided, evidence.planned, evidence.own_routes), (4, 1, 5, 1));
    assert_eq!((evidence.policy_sha256.as_str(), evidence.set_sha256.as_str()), (policy_digest(&tested).as_str(), set.sha256()));
    assert_eq!(
        evidence_problems(&tested, Some(&evidence), None),
        [
            "whether this policy passes its gate of 90.0 % depends on undecided cases",
            "the router gave no decision for 1 of the 5 cases of its test",
        ]
    );
    assert_eq!(standing(&tested, Some(&evidence), None), Standing::Doubtful);
    assert!(evidence_problems(&policy(["sort", "hi"]), Some(&evidence), None)[0].contains("changed since"));
}

#[test]
fn a_case_with_a_label_for_each_turn_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let messages = [(Role::User, "sort \"it\""), (Role::Assistant, "done"), (Role::User, "thanks")];
    let conversation = Conversation::from(messages.map(|(role, text)| Message::new(role, text)).to_vec());
    let expected = Expected::PerTurn(vec!["code".to_owned(), "né\"w".to_owned()]);
    for (name, text) in [("set.jsonl", SET.trim_end().to_owned()), ("set.json", "[{\"prompt\": \"p\", \"label\": \"code\"}]\n".to_owned())]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, &text).unwrap();
        apply_set_edit(&path, &open_set(&path).append("new", &conversation, &expected).unwrap()).unwrap();
        let set = open_set(&path);
        let case = set.read(set.cases().len() - 1).unwrap();
        assert_eq!((case.id.as_str(), &case.conversation, &case.expected), ("new", &conversation, &expected), "{name}");
        let few = Expected::PerTurn(vec!["code".to_owned()]);
        let error = set.append("new", &conversation, &few).unwrap_err().to_string();
        assert!(error.ends_with(&format!("{name}: the case has 1 label for 2 user messages; write one label per user message")), "{error}");
    }
    let path = folder.path().join("set.csv");
    std::fs::write(&path, "messages,label\n").unwrap();
    let error = open_set(&path).append("new", &conversation, &expected).unwrap_err().to_string();
    assert!(error.contains("a table holds one label a record") && error.ends_with("in a set of JSON lines (*.jsonl)"), "{error}");
}

#[test]
fn corrected_labels_and_new_cases_leave_every_other_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.jsonl");
    let hello = Conversation::from_prompt("hello \"you\"");
    let check = |text: &str, case: usize, turn: usize, expected: &str| {
        std::fs::write(&path, text).unwrap();
        let undo = apply_set_edit(&path, &open_set(&path).relabel(case, turn, "né\"w").unwrap()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        assert_eq!(open_set(&path).cases()[case].labels[turn].as_ref(), "né\"w");
        apply_set_edit(&path, &undo).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        let before = open_set(&path);
        apply_set_edit(&path, &before.append("new", &hello, &Expected::Last("talk".to_owned())).unwrap()).unwrap();
        let after = open_set(&path);
        assert_eq!(after.cases().len(), before.cases().len() + 1);
        assert!(after.bad().is_empty());
        assert_eq!(after.read(after.cases().len() - 1).unwrap().conversation, hello);
        assert!(std::fs::read_to_string(&path).unwrap().contains(text.trim_end().trim_end_matches([']', '\n'])));
    };
    let two = r#"{"é": "ü", "labels": ["a",  "b" ], "messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "y"}]}"#;
    check(&format!("\n{two}\r\n{two}"), 1, 1, &format!("\n{two}\r\n{}", two.replace("\"b\"", "\"né\\\"w\"")));
    let list = "[{\"conversations\": [{\"from\": \"human\", \"value\": \"x\"}],\n  \"label\": \"a\"}\n]\n";
    check(list, 0, 0, &list.replace("\"a\"", "\"né\\\"w\""));
    std::fs::remove_file(&path).unwrap();
    let path = folder.path().join("set.csv");
    std::fs::write(&path, "text,label\n\"one,\ntwo\",a\nthree,b").unwrap();
    apply_set_edit(&path, &open_set(&path).relabel(1, 0, "c,d").unwrap()).unwrap();
    apply_set_edit(&path, &open_set(&path).append("", &hello, &Expected::Last("talk".to_owned())).unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text,label\n\"one,\ntwo\",a\nthree,\"c,d\"\n\"hello \"\"you\"\"\",talk\n");
    // Empty fields at the end of a file without a last line end stay.
    let path = folder.path().join("set.tsv");
    std::fs::write(&path, "text\tlabel\tid\ttags\none\ta\t\t").unwrap();
    apply_set_edit(&path, &open_set(&path).relabel(0, 0, "b").unwrap()).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text\tlabel\tid\ttags\none\tb\t\t");
}

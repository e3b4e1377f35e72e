//! Measuring in the window: the set, the run, its cases, their labels.

use std::path::{Path, PathBuf};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, BatchCommand, BatchPart, CaseQuery, Command, Figure, StartOptions, Verdict};
use waypost::chat::{Conversation, ConversationEdit, Message};
use waypost::engine::loader;
use waypost::policy::{DialectId, PolicyEdit};
use waypost::ui::Window;

use super::{click, drawn, has, perform, press, texts, wait_for, wait_until, window, window_in, write_in};
use crate::fake_router::{Behaviour, options};
use crate::tiny_model::{Shape, Storage, TinyModel};

pub const POLICY: &str =
    "routes:\n  - name: billing\n    description: refund invoice charge\n  - name: shipping\n    description: parcel delivery courier\n";

/// Of these the words decide a, b, c and e right, find no route for d, and take f for billing.
const CASES: [(&str, &str, &str); 6] = [
    ("a", "please refund my invoice", "billing"),
    ("b", "where is my parcel", "shipping"),
    ("c", "refund for a parcel", "billing"),
    ("d", "the driver never came", "shipping"),
    ("e", "hello", "other"),
    ("f", "invoice for the courier", "shipping"),
];

/// Writes the cases above as a set, with a line in front that cannot be read.
pub fn write_set(folder: &Path) -> PathBuf {
    let line = |(id, text, label): &(&str, &str, &str)| {
        format!("{{\"id\": \"{id}\",  \"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}], \"route\": \"{label}\"}}\n")
    };
    let path = folder.join("labelled.jsonl");
    std::fs::write(&path, "no json\n".to_owned() + &CASES.iter().map(line).collect::<String>()).unwrap();
    path
}

pub fn open_set(harness: &mut Harness<'_, Window>, path: &Path) {
    perform(harness, Command::Batch(BatchCommand::OpenSet(path.to_owned())));
    wait_until(harness, "the set", |harness| harness.state().app().state().batch.set.is_some());
}

/// Waits until nothing is measured or computed any more.
pub fn wait_for_run(harness: &mut Harness<'_, Window>) {
    wait_until(harness, "the run", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.measuring.is_none() && batch.shown.is_some() && !batch.filtering
    });
}

fn agreement(harness: &Harness<'_, Window>) -> f64 {
    harness.state().app().state().batch.view.as_ref().unwrap().figures.agreement
}

/// A window in which the cases above were measured.
pub fn measured(behaviour: Behaviour, folder: &Path, drafts: Option<&Path>) -> Harness<'static, Window> {
    measured_set(behaviour, &write_set(folder), drafts)
}

fn measured_set(behaviour: Behaviour, set: &Path, drafts: Option<&Path>) -> Harness<'static, Window> {
    let mut harness = window_in(options(behaviour), drafts);
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    open_set(&mut harness, set);
    wait_for(&mut harness, "Ready");
    harness.get_by_role_and_label(Role::Button, "Measure agreement").click();
    harness.run();
    wait_for_run(&mut harness);
    harness
}

#[test]
fn the_sample_set_is_measured_with_two_clicks_and_kept() {
    let drafts = tempfile::tempdir().unwrap();
    let mut harness = window_in(options(Behaviour::Decide), Some(drafts.path()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    click(&mut harness, "Try the sample set");
    wait_for(&mut harness, "51 labelled conversations are ready");
    wait_for(&mut harness, "Ready");
    harness.get_by_role_and_label(Role::Button, "Measure agreement").click();
    harness.run();
    wait_for_run(&mut harness);
    // The fake takes everything for the second route.
    let right = include_str!("../../sample_policies/coding_assistant/labelled.jsonl").matches("\"route\": \"bug_fixing\"").count();
    assert!(has(&harness, "agreement over 51 cases"), "{:#?}", texts(&harness));
    assert!((agreement(&harness) - right as f64 / 51.0).abs() < 1e-9);
    drop(harness);

    let mut harness = window_in(options(Behaviour::Decide), Some(drafts.path()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    wait_for(&mut harness, "51 labelled conversations are ready");
    // Until the router is there a line more stands above the runs.
    wait_for(&mut harness, "Ready");
    assert!(has(&harness, "Or look at a run that was kept"));
    harness.get_by_label_contains("Coding assistant, 2").click();
    wait_for(&mut harness, "agreement over 51 cases");
}

#[test]
fn cases_are_found_by_verdict_words_and_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    assert!((agreement(&harness) - 4.0 / 6.0).abs() < 1e-9);
    assert!(has(&harness, "Case a: label billing, decided billing, 91.3 %, right"), "{:#?}", texts(&harness));
    click(&mut harness, "Wrong");
    wait_for(&mut harness, "2 of 6");
    assert!(has(&harness, "Case d: label shipping, decided No route") && !has(&harness, "Case a: "));
    click(&mut harness, "Clear the filters");
    // What was said counts too, also where the table shows only its beginning.
    write_in(&mut harness, "Search cases", "DRIVER never");
    wait_for(&mut harness, "1 of 6");
    assert!(has(&harness, "Case d: "));
    click(&mut harness, "Clear the filters");
    click(&mut harness, "List");
    harness.get_by_label_contains("shipping decided as billing: 1 case").click();
    harness.run();
    wait_for(&mut harness, "1 of 6");
    assert!(has(&harness, "Case f: ") && !has(&harness, "Case d: "));
    // Sorting by confidence twice and once more goes back to the order of the set.
    click(&mut harness, "Clear the filters");
    wait_until(&mut harness, "all rows", |harness| harness.state().app().state().batch.rows.len() == 6);
    click(&mut harness, "Sort by Label");
    click(&mut harness, "Sort by Label, sorted upwards");
    let first = |harness: &Harness<'_, Window>| harness.state().app().state().batch.rows.first().copied();
    wait_until(&mut harness, "the last label first", |harness| first(harness) == Some(5));
}

#[test]
fn a_wrong_label_is_corrected_with_one_key_in_the_file_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let path = folder.path().join("labelled.jsonl");
    let before = std::fs::read_to_string(&path).unwrap();
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "the driver never came");
    assert!(has(&harness, "No route: 91.3 %, chosen"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::NONE, Key::F2);
    wait_until(&mut harness, "the new figures", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
    let written = || std::fs::read_to_string(&path).unwrap();
    let line = "\"content\": \"the driver never came\"}], \"route\": \"shipping\"}";
    let wanted = before.replace(line, &line.replace("shipping", "other"));
    assert_ne!(wanted, before);
    wait_until(&mut harness, "the file", |_| written() == wanted);
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(has(&harness, "Undid: label of case d, now shipping"), "{:#?}", texts(&harness));
    wait_until(&mut harness, "the file as it was", |_| written() == before);
    wait_until(&mut harness, "the figures as they were", |harness| (agreement(harness) - 4.0 / 6.0).abs() < 1e-9);
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    wait_until(&mut harness, "the file again", |_| written() == wanted);
}

#[test]
fn wrong_cases_follow_each_other_in_the_order_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let follows = |harness: &Harness<'_, Window>| {
        let batch = &harness.state().app().state().batch;
        [true, false].map(|backwards| batch.next_wrong(backwards).map(|(_, position)| position))
    };
    // Cases d and f, the fourth and the last.
    assert_eq!(follows(&harness), [None, Some(3)]);
    perform(&mut harness, Command::Perform(Action::NextWrong));
    assert_eq!(follows(&harness), [None, Some(5)]);
    perform(&mut harness, Command::Perform(Action::NextWrong));
    assert_eq!(follows(&harness), [Some(3), None]);
    perform(&mut harness, Command::Batch(BatchCommand::Select(Some(4))));
    assert_eq!(follows(&harness), [Some(3), Some(5)], "from a case that is right too");
    perform(&mut harness, Command::Batch(BatchCommand::Query(CaseQuery { descending: true, ..CaseQuery::default() })));
    wait_until(&mut harness, "the rows", |harness| harness.state().app().state().batch.rows.first() == Some(&5));
    assert_eq!(follows(&harness), [Some(5), Some(3)]);
    perform(&mut harness, Command::Batch(BatchCommand::Query(CaseQuery { verdict: Verdict::Agrees, ..CaseQuery::default() })));
    wait_until(&mut harness, "fewer rows", |harness| harness.state().app().state().batch.rows.len() == 4);
    assert_eq!(follows(&harness), [None, None]);
}

#[test]
fn undo_in_the_search_takes_back_what_was_typed_there_and_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "the driver never came");
    press(&mut harness, Modifiers::NONE, Key::F2);
    write_in(&mut harness, "Search cases", "driver");
    assert_eq!(harness.state().app().state().batch.query.text, "driver");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    let batch = &harness.state().app().state().batch;
    assert_eq!((batch.query.text.as_str(), batch.corrections.len()), ("", 1));
}

#[test]
fn cases_of_a_list_on_one_line_are_corrected_each_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labelled.json");
    let case = |(_, text, label): &(&str, &str, &str)| {
        format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}], \"route\": \"{label}\", \"tags\": [\"{label}s\"]}}")
    };
    let before = format!("[{}]", CASES.iter().map(case).collect::<Vec<_>>().join(", "));
    std::fs::write(&path, &before).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    assert!((agreement(&harness) - 4.0 / 6.0).abs() < 1e-9);
    perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(Figure::More)));
    assert!(has(&harness, "By tag") && has(&harness, "shippings"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "the driver never came");
    press(&mut harness, Modifiers::NONE, Key::F2);
    wait_until(&mut harness, "the new figures", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
    let line = "\"content\": \"the driver never came\"}], \"route\": \"shipping\"";
    let wanted = before.replace(line, &line.replace("shipping", "other"));
    assert_ne!(wanted, before);
    wait_until(&mut harness, "the file", |_| std::fs::read_to_string(&path).unwrap() == wanted);
}

#[test]
fn the_answer_at_the_end_of_an_export_is_neither_asked_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    let case = r#"[{"conversations": [{"from": "human", "value": "where is my parcel"}, {"from": "gpt", "value": "see the invoice"}], "label": "shipping"}]"#;
    std::fs::write(&path, case).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    assert_eq!(agreement(&harness), 1.0, "the answer has a word of billing");
    perform(&mut harness, Command::Batch(BatchCommand::Select(Some(0))));
    wait_until(&mut harness, "the case", |harness| harness.state().app().state().batch.case.is_some());
    let shown = harness.state().app().state().batch.case.as_ref().unwrap().conversation.clone().unwrap();
    assert_eq!(*shown, Conversation::from_prompt("where is my parcel"));
}

#[test]
fn cases_without_a_decision_stand_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::FailRequests("the prompt is too long"), folder.path(), None);
    for text in [
        "6 of 6 cases were not decided (the prompt is too long)",
        "6 not decided: the router could not read them",
        "Errors 0",
        "Partial: 0 of 6",
        "Case a: label billing, decided Not decided, left out",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    let batch = &harness.state().app().state().batch;
    assert!(batch.next_wrong(false).is_none() && harness.state().app().state().library.runs[0].partial);
    click(&mut harness, "Not decided");
    wait_until(&mut harness, "all of them", |harness| harness.state().app().state().batch.rows.len() == 6);
    click(&mut harness, "Errors");
    wait_until(&mut harness, "none of them", |harness| harness.state().app().state().batch.rows.is_empty());
}

#[test]
fn a_case_with_routes_of_its_own_takes_no_other_label() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let routes = r#"[{"name": "x", "description": "parcel"}, {"name": "y", "description": "driver"}]"#;
    let line = format!(
        "{{\"id\": \"a\", \"messages\": [{{\"role\": \"user\", \"content\": \"my parcel\"}}], \"route\": \"x\", \"routes\": {routes}}}\n"
    );
    std::fs::write(&path, &line).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    let relabel = |label: &str| Command::Batch(BatchCommand::Relabel { turn: 0, label: label.to_owned() });
    perform(&mut harness, relabel("billing"));
    assert!(has(&harness, "billing is none of the routes that line 1 brings; choose one of x, y, other"), "{:#?}", texts(&harness));
    assert!(harness.state().app().state().batch.corrections.is_empty());
    perform(&mut harness, relabel("y"));
    let wanted = line.replace("\"route\": \"x\"", "\"route\": \"y\"");
    wait_until(&mut harness, "the file", |_| std::fs::read_to_string(&path).unwrap() == wanted);
}

#[test]
fn digits_label_the_selected_case() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "or press 1 to 2, 0 for no route");
    press(&mut harness, Modifiers::NONE, Key::Num0);
    wait_until(&mut harness, "no route", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
    press(&mut harness, Modifiers::NONE, Key::Num2);
    wait_until(&mut harness, "shipping", |harness| (agreement(harness) - 4.0 / 6.0).abs() < 1e-9);
    // In a text field they are digits.
    write_in(&mut harness, "Search cases", "x");
    press(&mut harness, Modifiers::NONE, Key::Num0);
    assert_eq!(harness.state().app().state().batch.corrections.len(), 2);
}

#[test]
fn a_gate_is_judged_and_the_report_saved_where_the_user_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    perform(&mut harness, Command::Batch(BatchCommand::SetGate(Some(0.9))));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for(&mut harness, "Fails its gate of 90.0 %");
    wait_for_run(&mut harness);
    let reports = folder.path().join("reports");
    perform(&mut harness, Command::Batch(BatchCommand::SaveReport(reports.clone())));
    let saved = || waypost::app::measure::list_runs(&reports).pop();
    let findings = || std::fs::read_to_string(saved()?.folder.join("set_findings.csv")).ok();
    wait_until(&mut harness, "the report", |_| findings().is_some());
    assert_eq!(saved().unwrap().summary.info.min_agreement, Some(0.9));
    assert!(findings().unwrap().contains("\nleft_out,1,"), "{:?}", findings());
    let junit = std::fs::read_to_string(saved().unwrap().folder.join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"7\" failures=\"3\"") && junit.contains("classname=\"gate\""), "{junit}");
    assert!(junit.contains("<failure message=\"the agreement is 66.7 %\">"), "{junit}");
}

#[test]
fn routes_that_all_lead_to_one_model_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    let with_model = POLICY.replace("    description", "    models: [m/one]\n    description");
    perform(&mut harness, Command::EditYaml(with_model + "fallback: m/one\n"));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(Figure::More)));
    assert!(has(&harness, "All routes lead to one model, so routing changes nothing"), "{:#?}", texts(&harness));
    assert!(!has(&harness, "Right model"), "a share of all says nothing");
}

#[test]
fn a_corrected_label_reaches_every_kept_run_of_the_set() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = measured(Behaviour::Words, folder.path(), Some(&drafts));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "the second run", |harness| harness.state().app().state().library.runs.len() == 2);
    wait_for_run(&mut harness);
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "the driver never came");
    press(&mut harness, Modifiers::NONE, Key::F2);
    wait_until(&mut harness, "both runs", |harness| {
        let runs = &harness.state().app().state().library.runs;
        runs.iter().all(|run| (run.agreement - 5.0 / 6.0).abs() < 1e-9)
    });
    drop(harness);
    let kept = waypost::app::measure::list_runs(&drafts.join("runs"));
    let digests: Vec<&str> = kept.iter().map(|run| run.summary.info.set.sha256.as_str()).collect();
    let shown = waypost::formats::LabelledSet::open(&folder.path().join("labelled.jsonl"), &mut |_, _| true).unwrap().unwrap();
    assert_eq!(digests, [shown.sha256(); 2], "both are of the file as it is now");
    assert!(kept.iter().all(|run| (run.summary.agreement - 5.0 / 6.0).abs() < 1e-9));
}

#[test]
fn a_case_opens_in_the_playground_and_a_conversation_joins_a_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    harness.get_by_label_contains("Case b: ").click();
    wait_for(&mut harness, "where is my parcel");
    wait_until(&mut harness, "the case", |harness| harness.state().app().state().batch.case.is_some());
    press(&mut harness, Modifiers::NONE, Key::F4);
    assert_eq!(harness.get_by_label("Message 1").value().unwrap(), "where is my parcel");
    wait_for(&mut harness, "shipping: 91.3 %, chosen");
    let measured_on =
        |harness: &Harness<'_, Window>| harness.state().app().state().batch.view.as_ref().unwrap().run.info.set.sha256.clone();
    let before = measured_on(&harness);
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::A);
    assert_eq!(harness.get_by_label("Expected route").value().unwrap(), "shipping", "the decision is proposed");
    perform(&mut harness, Command::AddLabel { turn: 0, label: "billing".to_owned() });
    click(&mut harness, "Add to set");
    let path = folder.path().join("labelled.jsonl");
    wait_until(&mut harness, "the new line", |_| std::fs::read_to_string(&path).unwrap().lines().count() == 8);
    let written = std::fs::read_to_string(&path).unwrap();
    let last = written.lines().last().unwrap();
    assert!(last.contains("where is my parcel") && last.contains("\"route\": \"billing\""), "{last}");
    let cases = |harness: &Harness<'_, Window>| harness.state().app().state().batch.set.as_ref().map(|open| open.set.cases().len());
    wait_until(&mut harness, "the longer set", |harness| cases(harness) == Some(7));
    assert_eq!(measured_on(&harness), before, "the run is of the set without the new case");

    // Another message: now each can have a label of its own.
    let said = |text: &str| Message::new(waypost::chat::Role::User, text);
    let two = Conversation::from(vec![said("where is my parcel"), said("and my invoice?")]);
    perform(&mut harness, Command::EditConversation(ConversationEdit::Replace(two)));
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::A);
    click(&mut harness, "A label for each user message");
    perform(&mut harness, Command::AddLabel { turn: 0, label: "shipping".to_owned() });
    perform(&mut harness, Command::AddLabel { turn: 1, label: "billing".to_owned() });
    assert_eq!(harness.get_by_label("Expected route of user message 2").value().unwrap(), "billing");
    click(&mut harness, "Add to set");
    wait_until(&mut harness, "the labels", |_| std::fs::read_to_string(&path).unwrap().contains("\"labels\": [\"shipping\", \"billing\"]"));
}

#[test]
fn a_case_that_something_else_decides_in_the_playground_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let said = "\"messages\": [{\"role\": \"user\", \"content\": \"where is my parcel\"}]";
    let own = "\"routes\": [{\"name\": \"post\", \"description\": \"parcel letter\"}]";
    let lines = format!("{{\"id\": \"a\", {said}, \"route\": \"shipping\"}}\n{{\"id\": \"b\", {said}, \"route\": \"post\", {own}}}\n");
    std::fs::write(&path, lines).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    let open = |harness: &mut Harness<'_, Window>, case: u32| {
        perform(harness, Command::Perform(Action::ShowBatch));
        perform(harness, Command::Batch(BatchCommand::Select(Some(case))));
        wait_until(harness, "the case", |harness| {
            harness.state().app().state().batch.case.as_ref().is_some_and(|open| open.position == case)
        });
        perform(harness, Command::Perform(Action::OpenCase));
        harness.state().app().state().opened_notice().map(str::to_owned)
    };
    assert_eq!(open(&mut harness, 0), None);
    let notice = open(&mut harness, 1).unwrap();
    assert!(notice.starts_with("The run decided this case among routes of its own; here"), "{notice}");
    assert!(has(&harness, &notice), "{:#?}", texts(&harness));
    // Another name decides nothing, another description does.
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some("copy".to_owned()))));
    assert_eq!(open(&mut harness, 0), None);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "delivery".to_owned() }));
    let notice = open(&mut harness, 0).unwrap();
    assert!(notice.starts_with("The run decided this case with another policy; here"), "{notice}");
    perform(&mut harness, Command::Batch(BatchCommand::SetDialect(Some(DialectId::Plano0420))));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let notice = open(&mut harness, 0).unwrap();
    assert!(notice.starts_with("The run decided this case in the dialect plano-0.4.20; here"), "{notice}");
    perform(&mut harness, Command::Perform(Action::NewConversation));
    assert_eq!(harness.state().app().state().opened_notice(), None, "it is about the case alone");
}

#[test]
fn stopping_leaves_a_partial_run_that_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Slow));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    let lines: String = (0..400)
        .map(|n| {
            format!("{{\"id\": \"{n}\", \"messages\": [{{\"role\": \"user\", \"content\": \"refund {n}\"}}], \"route\": \"billing\"}}\n")
        })
        .collect();
    let path = folder.path().join("long.jsonl");
    std::fs::write(&path, lines).unwrap();
    open_set(&mut harness, &path);
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for(&mut harness, "a second");
    let state = harness.state().app().state();
    assert!(state.router_change_obstacle().is_some() && Action::LoadRouter.obstacle(state).is_some(), "one run is of one router");
    click(&mut harness, "Stop measuring");
    wait_for_run(&mut harness);
    assert!(has(&harness, "Partial: "), "{:#?}", texts(&harness));
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert!(view.run.is_partial() && !view.run.turns.is_empty());
    assert!(has(&harness, "Case 0: label billing, decided billing"));
}

#[test]
fn a_measurement_that_is_stopped_while_it_is_prepared_does_not_begin_beside_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    // Before a frame is drawn, so that nothing is begun in between.
    for command in [Command::Perform(Action::Measure), Command::Batch(BatchCommand::Stop), Command::Perform(Action::Measure)] {
        harness.state_mut().run(command);
    }
    wait_until(&mut harness, "a job", |harness| harness.state().app().state().batch.measuring.as_ref().is_none_or(|it| it.job.is_some()));
    let measures = |job: &waypost::app::Job| matches!(job.kind, waypost::app::JobKind::Measure);
    assert!(harness.state().app().state().jobs.iter().filter(|job| measures(job)).count() < 2);
    wait_for_run(&mut harness);
    assert_eq!(harness.state().app().state().library.runs.len(), 1);
    assert!((agreement(&harness) - 4.0 / 6.0).abs() < 1e-9);
}

/// Measures the cases above in a window that is closed again, and with it routing while typing: the next window decides nothing by itself.
fn leave_run(folder: &Path, drafts: &Path) {
    let mut harness = measured(Behaviour::Words, folder, Some(drafts));
    perform(&mut harness, Command::Perform(Action::Live));
}

#[test]
fn kept_results_are_counted_before_the_first_new_decision_and_stay_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    leave_run(folder.path(), &drafts);
    let path = folder.path().join("labelled.jsonl");
    let new = "{\"messages\": [{\"role\": \"user\", \"content\": \"a new one\"}], \"route\": \"other\"}\n";
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + new).unwrap();

    let mut harness = window_in(options(Behaviour::Block), Some(&drafts));
    open_set(&mut harness, &path);
    wait_until(&mut harness, "the longer set", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.opening.is_none() && batch.set.as_ref().is_some_and(|open| open.set.cases().len() == 7)
    });
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "what was kept", |harness| {
        let measuring = &harness.state().app().state().batch.measuring;
        measuring.as_ref().is_some_and(|measuring| (measuring.progress.done, measuring.progress.reused) == (6, 6))
    });
    perform(&mut harness, Command::Batch(BatchCommand::Stop));
    wait_for_run(&mut harness);
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert!(view.run.is_partial() && view.run.turns.len() == 6);
}

#[test]
fn a_run_on_screen_stays_itself_until_there_is_something_to_see_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    leave_run(folder.path(), &drafts);
    let mut harness = window_in(options(Behaviour::Block), Some(&drafts));
    wait_until(&mut harness, "the kept run", |harness| !harness.state().app().state().library.runs.is_empty());
    let kept = harness.state().app().state().library.runs[0].id.clone();
    perform(&mut harness, Command::Batch(BatchCommand::ShowRun(kept.clone())));
    wait_until(&mut harness, "its set", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.view.is_some() && batch.set.is_some() && batch.opening.is_none()
    });
    wait_for(&mut harness, "Ready");
    // Another policy, of which no results are kept.
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "money".to_owned() }));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "its job", |harness| {
        harness.state().app().state().batch.measuring.as_ref().is_some_and(|measuring| measuring.job.is_some())
    });
    assert_eq!(harness.state().app().state().batch.shown.as_ref(), Some(&kept));
    assert!(!has(&harness, ", being measured"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Batch(BatchCommand::Stop));
    wait_until(&mut harness, "its end", |harness| harness.state().app().state().batch.measuring.is_none());
    assert_eq!(harness.state().app().state().batch.shown.as_ref(), Some(&kept));
    perform(&mut harness, Command::Batch(BatchCommand::Relabel { turn: 3, label: "other".to_owned() }));
    wait_until(&mut harness, "the new figures", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
}

#[test]
fn problems_of_the_set_are_listed_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.replace("shipping", "Shipping")));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    for text in ["Left out, 1 lines", "Line 1", "Lines 3, 5, 7", "differs from the route"] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
}

#[test]
fn overlapping_routes_are_shown_with_their_descriptions_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    perform(&mut harness, Command::Batch(BatchCommand::ShowPart(BatchPart::Overlap)));
    assert!(has(&harness, "Overlap of billing and shipping"), "{:#?}", texts(&harness));
    harness.get_by_label_contains("Overlap of billing and shipping").click();
    harness.run();
    write_in(&mut harness, "Description of shipping", " driver");
    assert!(harness.state().app().state().routes().routes[1].description.contains("driver"));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(!harness.state().app().state().routes().routes[1].description.contains("driver"));
    harness.get_by_label_contains("Case f: label shipping, decided billing, wrong").click();
    harness.run();
    wait_for(&mut harness, "invoice for the courier");
}

/// The real engine on a tiny network: decisions in the window are those of the run.
#[test]
fn a_real_network_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 7);
    model.teach("{\"route\": \"shipping\"}", 8.0);
    let router = model.write(&folder.path().join("router"), Storage::F32, 1);
    let mut harness = window(StartOptions { router: Some(router), loader: loader(), ..options(Behaviour::Decide) });
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert_eq!(view.run.turns.len(), 6);
    for turn in &view.run.turns {
        let sum: f32 = turn.probabilities.iter().sum::<f32>() + turn.invalid_mass;
        assert!((sum - 1.0).abs() < 1e-3, "{turn:?}");
    }
    for figure in [Figure::Routes, Figure::Confidence, Figure::More, Figure::Matrix] {
        perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(figure)));
    }
    assert!(has(&harness, "agreement over 6 cases"));
}

#[test]
fn a_frame_costs_no_more_with_many_cases() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let path = folder.path().join("long.jsonl");
    let mut drawn_with = |count: usize| {
        let lines: String = (0..count)
            .map(|n| {
                format!(
                    "{{\"id\": \"{n}\", \"messages\": [{{\"role\": \"user\", \"content\": \"refund {n}\"}}], \"route\": \"billing\"}}\n"
                )
            })
            .collect();
        std::fs::write(&path, lines).unwrap();
        perform(&mut harness, Command::Batch(BatchCommand::OpenSet(path.clone())));
        wait_until(&mut harness, "the set", |harness| {
            harness.state().app().state().batch.set.as_ref().is_some_and(|open| open.set.cases().len() == count)
        });
        perform(&mut harness, Command::Perform(Action::Measure));
        wait_for_run(&mut harness);
        wait_until(&mut harness, "all rows", |harness| harness.state().app().state().batch.rows.len() == count);
        drawn(&mut harness)
    };
    let (few, many) = (drawn_with(200), drawn_with(20_000));
    println!("shapes and controls: {few:?} with 200 cases, {many:?} with 20000");
    for (few, many) in few.into_iter().zip(many) {
        assert!(many.abs_diff(few) <= few / 10, "{few} became {many}");
    }
}

#[test]
fn conversations_of_an_export_are_saved_as_a_set_and_labelled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("to_label.jsonl");
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    let line = |(id, text, _): &(&str, &str, &str)| {
        format!("{{\"id\": \"{id}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}]}}\n")
    };
    perform(&mut harness, Command::ImportText(CASES[..3].iter().map(line).collect()));
    assert!(has(&harness, "Save all as a set to label"));
    perform(&mut harness, Command::ImportSave(path.clone()));
    wait_for(&mut harness, "To label, 3 lines");
    wait_for(&mut harness, "Label a case of the set first: none has a label");
    let unlabelled = std::fs::read_to_string(&path).unwrap();

    click(&mut harness, "Label of line 2");
    click(&mut harness, "shipping");
    wait_for(&mut harness, "To label, 2 lines");
    let written = std::fs::read_to_string(&path).unwrap();
    let labels: Vec<bool> = written.lines().map(|line| line.ends_with(", \"route\": \"shipping\"}")).collect();
    assert_eq!(labels, [false, true, false], "{written}");
    assert!(has(&harness, "Line 2 has the label shipping now"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Batch(BatchCommand::ShowPart(BatchPart::Problems)));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    wait_for(&mut harness, "To label, 3 lines");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), unlabelled);
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    wait_for(&mut harness, "To label, 2 lines");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written);

    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert_eq!((view.run.turns.len(), view.run.turns[0].line, view.figures.agreement), (1, 2, 1.0));
}

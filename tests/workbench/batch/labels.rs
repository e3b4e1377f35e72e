//! Labels: corrected in the file and in every run of the set, given to conversations that have none, and undone.

use std::path::Path;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, BatchCommand, BatchPart, Command, Dialog, Figure};
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{CASES, POLICY, agreement, measured, measured_set, open_set, wait_for_run};
use crate::fake_router::{Behaviour, on_request, options};
use crate::workbench::{click, has, perform, press, texts, wait_for, wait_until, window, write_in};

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
    assert!(has(&harness, "Undone: label of case d, now shipping"), "{:#?}", texts(&harness));
    wait_until(&mut harness, "the file as it was", |_| written() == before);
    wait_until(&mut harness, "the figures as they were", |harness| (agreement(harness) - 4.0 / 6.0).abs() < 1e-9);
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    wait_until(&mut harness, "the file again", |_| written() == wanted);
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
    assert!(has(&harness, "billing is not one of the routes on line 1; choose one of x, y, other"), "{:#?}", texts(&harness));
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

#[test]
fn a_set_is_labelled_with_the_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("to_label.jsonl");
    // The list shows the last message alone.
    let line = |number: usize| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"parcel {number} is late\"}}, \
             {{\"role\": \"user\", \"content\": \"and now?\"}}, {{\"role\": \"assistant\", \"content\": \"answer {number}\"}}]}}\n"
        )
    };
    std::fs::write(&path, (1..4).map(line).collect::<String>()).unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    wait_for(&mut harness, "To label, 3 lines");
    press(&mut harness, Modifiers::NONE, Key::Num2);
    press(&mut harness, Modifiers::NONE, Key::ArrowDown);
    wait_for(&mut harness, "parcel 1 is late");
    assert!(has(&harness, "Label as shipping") && !has(&harness, "answer 1"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::NONE, Key::Num2);
    wait_for(&mut harness, "To label, 2 lines");
    wait_for(&mut harness, "parcel 2 is late");
    press(&mut harness, Modifiers::NONE, Key::ArrowDown);
    wait_for(&mut harness, "parcel 3 is late");
    press(&mut harness, Modifiers::NONE, Key::Num0);
    wait_for(&mut harness, "To label, 1 line");
    // The one that was left out.
    wait_for(&mut harness, "parcel 2 is late");
    let labels = || -> Vec<String> {
        let written = std::fs::read_to_string(&path).unwrap();
        written.lines().map(|line| line.split("\"route\": ").nth(1).unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(labels(), ["\"shipping\"}", "", "\"other\"}"]);
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    wait_for(&mut harness, "To label, 2 lines");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert!(harness.state().app().state().batch.labelling.is_none() && !has(&harness, "parcel 2 is late"));
    harness.get_by_label_contains("Case to label on line 3: and now?").click();
    wait_for(&mut harness, "parcel 3 is late");
}

#[test]
fn a_conversation_joins_a_set_with_no_label_that_nobody_chose_or_decided() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.jsonl");
    let mut harness = window(on_request(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::ImportText("User: where is my parcel".to_owned()));
    perform(&mut harness, Command::ImportAccept { replace: true });
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::AddToSet));
    perform(&mut harness, Command::AddSet(path.clone()));
    let label = |harness: &Harness<'_, Window>| harness.get_by_label("Expected route").value().unwrap_or_default();
    assert_eq!(label(&harness), "Choose…");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert!(matches!(harness.state().app().state().dialog, Some(Dialog::AddToSet(_))), "there is nothing to add yet");

    perform(&mut harness, Command::CloseDialog);
    // Before a frame is drawn, so that the decision comes while the dialog is open.
    for command in [Command::Perform(Action::Route), Command::Perform(Action::AddToSet), Command::AddSet(path.clone())] {
        harness.state_mut().run(command);
    }
    harness.run();
    wait_until(&mut harness, "the decision", |harness| label(harness) == "shipping");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    wait_for(&mut harness, "Added the conversation to ");
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"route\": \"shipping\""));
}

#[test]
fn a_label_that_does_not_fit_its_file_keeps_no_other_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let path = folder.path().join("labelled.jsonl");
    let written = || std::fs::read_to_string(&path).unwrap();
    // Another program adds a line above the fourth case.
    std::fs::write(&path, written().replace("{\"id\": \"d\"", "no json either\n{\"id\": \"d\"")).unwrap();
    let relabel = |turn: u32, label: &str| Command::Batch(BatchCommand::Relabel { turn, label: label.to_owned() });
    perform(&mut harness, relabel(3, "other"));
    wait_for(&mut harness, "The corrected label is not in the set's file yet");
    wait_until(&mut harness, "the new figures", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
    perform(&mut harness, Command::Batch(BatchCommand::OpenSet(path.clone())));
    wait_for(&mut harness, "The label of case d was not changed in the set's file: line 5 is no longer that case");
    wait_until(&mut harness, "the label of the file", |harness| (agreement(harness) - 4.0 / 6.0).abs() < 1e-9);
    assert!(harness.state().app().state().batch.corrections.is_empty(), "there is nothing to undo");
    perform(&mut harness, relabel(0, "other"));
    wait_until(&mut harness, "the other label", |_| written().contains("my invoice\"}], \"route\": \"other\"}"));
    assert!(written().contains("never came\"}], \"route\": \"shipping\"}"), "{}", written());
}

#[test]
fn a_first_label_in_the_place_of_null_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("to_label.jsonl");
    let before = "{\"text\":\"where is it\",\"route\":null}\n";
    std::fs::write(&path, before).unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    perform(&mut harness, Command::Batch(BatchCommand::Label { case: 0, label: "billing".to_owned() }));
    wait_until(&mut harness, "the label", |_| std::fs::read_to_string(&path).unwrap().contains("\"route\":\"billing\""));
    perform(&mut harness, Command::Perform(Action::Undo));
    wait_until(&mut harness, "the file as it was", |_| std::fs::read_to_string(&path).unwrap() == before);
    wait_for(&mut harness, "To label, 1 line");
}

#[test]
fn a_label_that_is_given_while_a_case_is_added_is_written_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("to_label.jsonl");
    std::fs::write(&path, "{\"text\": \"where is it\"}\n").unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    perform(&mut harness, Command::Perform(Action::AddToSet));
    // Before a frame is drawn, and so before the longer set can be taken in.
    for command in [
        Command::AddSet(path.clone()),
        Command::AddLabel { turn: 0, label: "shipping".to_owned() },
        Command::AddToSet,
        Command::Batch(BatchCommand::Label { case: 0, label: "billing".to_owned() }),
    ] {
        harness.state_mut().run(command);
    }
    let written = || std::fs::read_to_string(&path).unwrap();
    wait_until(&mut harness, "both", |_| written().contains("\"route\": \"billing\"") && written().contains("\"route\": \"shipping\""));
    assert_eq!(harness.state().app().state().log.open().1, 0);
}

#[test]
fn a_label_that_is_given_while_a_measurement_is_prepared_counts_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.jsonl");
    std::fs::write(&path, "{\"text\": \"refund\", \"route\": \"billing\"}\n{\"text\": \"my parcel\"}\n").unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    wait_for(&mut harness, "Ready");
    // Before a frame is drawn, and so before the measurement can begin.
    let label = BatchCommand::Label { case: 1, label: "shipping".to_owned() };
    for command in [Command::Perform(Action::Measure), Command::Batch(label)] {
        harness.state_mut().run(command);
    }
    wait_for_run(&mut harness);
    let state = harness.state().app().state();
    assert_eq!((state.batch.view.as_ref().unwrap().run.turns.len(), state.log.open().1), (2, 0));
}

#[test]
fn keys_of_a_list_and_of_a_field_are_not_for_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    press(&mut harness, Modifiers::NONE, Key::F8);
    wait_for(&mut harness, "the driver never came");
    let looked_at = |harness: &Harness<'_, Window>| {
        let batch = &harness.state().app().state().batch;
        (batch.selected, batch.corrections.len())
    };
    click(&mut harness, "Label of the case");
    for key in [Key::Num0, Key::ArrowDown, Key::Escape] {
        press(&mut harness, Modifiers::NONE, key);
        assert_eq!(looked_at(&harness), (Some(3), 0), "{key:?} is for the list");
    }
    write_in(&mut harness, "Search cases", "driver");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert_eq!(looked_at(&harness), (Some(3), 0), "it leaves the field");
    press(&mut harness, Modifiers::NONE, Key::Escape);
    assert_eq!(looked_at(&harness), (None, 0));
}

/// A window with a set of so many parcels to label, the first of which is selected and read.
fn labelling(folder: &Path, count: usize) -> Harness<'static, Window> {
    let path = folder.join("to_label.jsonl");
    std::fs::write(&path, (0..count).map(|n| format!("{{\"text\": \"parcel {n}\"}}\n")).collect::<String>()).unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    perform(&mut harness, Command::Batch(BatchCommand::SelectUnlabelled(Some(0))));
    wait_until(&mut harness, "the first case", |harness| read_case(harness) == Some(0));
    harness
}

/// Returns the case to label that can be read.
fn read_case(harness: &Harness<'_, Window>) -> Option<usize> {
    let labelling = harness.state().app().state().batch.labelling.as_ref()?;
    matches!(labelling.conversation, Some(Ok(_))).then_some(labelling.case)
}

#[test]
fn the_next_case_to_label_is_there_before_the_label_is_written_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = labelling(folder.path(), 3);
    harness.state_mut().run(Command::Batch(BatchCommand::Label { case: 0, label: "shipping".to_owned() }));
    let left = |harness: &Harness<'_, Window>| harness.state().app().state().batch.set.as_ref().unwrap().set.unlabelled().len();
    for _ in 0..10_000 {
        if left(&harness) < 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
        harness.step();
    }
    assert_eq!((left(&harness), read_case(&harness)), (2, Some(1)));
}

#[test]
fn a_route_without_a_name_is_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = labelling(folder.path(), 2);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Rename { route: 0, name: String::new() }));
    perform(&mut harness, Command::Batch(BatchCommand::Label { case: 0, label: String::new() }));
    assert_eq!(read_case(&harness), Some(0), "it was not passed over");
    press(&mut harness, Modifiers::NONE, Key::Num1);
    wait_until(&mut harness, "the only name", |_| {
        std::fs::read_to_string(folder.path().join("to_label.jsonl"))
            .unwrap()
            .starts_with("{\"text\": \"parcel 0\", \"route\": \"shipping\"}")
    });
}

//! Windows with little room: nothing is pushed away, cut or drawn over something else.

use egui::accesskit::Role;
use egui::{Key, Modifiers, Rect, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, BatchCommand, BatchPart, Command, ExportCommand};
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{batch, has, perform, press, texts, wait_for, wait_until, window, window_sized, write_in};
use crate::fake_router::{Behaviour, on_request, options};

fn place(harness: &Harness<'_, Window>, label: &str) -> Rect {
    harness.get_by_label(label).rect()
}

#[test]
fn a_decision_leaves_the_columns_as_they_are() {
    let mut harness = window_sized([1000.0, 650.0], options(Behaviour::Moves), None);
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "bug_fixing: ");
    let before = place(&harness, "Conversation to try").left();
    write_in(&mut harness, "Route description", " x");
    wait_for(&mut harness, "points since the last edit");
    assert_eq!(place(&harness, "Conversation to try").left(), before);
}

#[test]
fn a_decision_is_whole_in_the_smallest_window() {
    let mut harness = window_sized([820.0, 520.0], on_request(Behaviour::Decide), None);
    wait_for(&mut harness, "Ready");
    let column = place(&harness, "Conversation to try").left();
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    wait_for(&mut harness, "Margin 87.1 points");
    let margin = harness.get_by_label_contains("Margin 87.1 points").rect();
    assert!(margin.right() <= 820.0, "{margin:?}");
    for label in ["Conversation to try", "Decision"] {
        let left = place(&harness, label).left();
        assert!((left - column).abs() < 1.0, "{label} was moved from {column} to {left}");
    }
}

#[test]
fn the_name_of_an_export_leaves_room_for_its_buttons() {
    let folder = tempfile::tempdir().unwrap();
    let name = "a_configuration_whose_name_is_too_long_for_its_place.yaml";
    let path = folder.path().join(name);
    std::fs::write(&path, "version: v0.4.0\nlisteners: []\nmodel_providers:\n  - model: openai/gpt-5\n    access_key: $KEY\n").unwrap();
    let mut harness = window_sized([820.0, 520.0], options(Behaviour::Decide), None);
    perform(&mut harness, Command::Perform(Action::ShowExport));
    perform(&mut harness, Command::Export(ExportCommand::Into(Some(path))));
    wait_until(&mut harness, "the preview", |harness| harness.state().app().state().export_made().is_some());
    let (heading, copy) = (place(&harness, name), place(&harness, "Copy export"));
    assert!(heading.right() <= copy.left(), "{heading:?}, {copy:?}");
}

#[test]
fn a_tab_and_its_cross_stay_together() {
    let mut harness = window_sized([820.0, 520.0], options(Behaviour::Decide), None);
    for _ in 0..6 {
        perform(&mut harness, Command::Perform(Action::NewPolicy));
    }
    let mut rows = Vec::new();
    for number in 1..=6 {
        let tab = harness.get_by_label_contains(&format!("Policy Untitled {number}")).rect();
        let cross = place(&harness, &format!("Close policy Untitled {number}"));
        assert!((tab.center().y - cross.center().y).abs() < 2.0 && tab.right() <= cross.left(), "{tab:?}, {cross:?}");
        rows.push(tab.top() as i32);
    }
    rows.dedup();
    assert!(rows.len() > 1, "they take several rows: {rows:?}");
}

#[test]
fn a_narrower_window_leaves_room_for_the_editor() {
    let mut harness = window(options(Behaviour::Decide));
    harness.set_size(vec2(1000.0, 650.0));
    harness.run();
    assert!(place(&harness, "Route name").width() > 270.0, "{:?}", place(&harness, "Route name"));
}

#[test]
fn the_header_of_the_editor_fits_into_the_smallest_window() {
    let mut harness = window_sized([820.0, 520.0], options(Behaviour::Decide), None);
    wait_for(&mut harness, "Findings: ");
    let (form, yaml) = (place(&harness, "Form"), place(&harness, "YAML"));
    let findings = harness.get_by_label_contains("Findings: ").rect();
    assert!(form.height() < 32.0 && form.top() == yaml.top() && yaml.right() <= findings.left(), "{form:?}, {yaml:?}, {findings:?}");
    assert!(findings.right() <= place(&harness, "Conversation to try").left(), "{findings:?}");
}

#[test]
fn fields_beside_each_other_stand_in_a_row() {
    let harness = window_sized([1000.0, 650.0], options(Behaviour::Decide), None);
    assert_eq!(place(&harness, "Route domain").top(), place(&harness, "Route action").top());
}

#[test]
fn no_tab_is_behind_the_menus() {
    for (size, menu) in [([909.0, 590.0], "File"), ([820.0, 520.0], "Menu")] {
        let mut harness = window_sized(size, options(Behaviour::Decide), None);
        let tab = place(&harness, "Export");
        let first = harness.get_by_role_and_label(Role::Button, menu).rect();
        assert!(tab.right() <= first.left(), "{tab:?}, {first:?} in {size:?}");
        harness.get_by_role_and_label(Role::Button, menu).click();
        harness.run();
        // In the first menu, and the last one of those that are in one.
        let entry = if menu == "File" { "Save policy as…" } else { "View" };
        assert!(has(&harness, entry), "{:#?}", texts(&harness));
    }
}

#[test]
fn a_button_that_stands_alone_is_in_the_middle() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Perform(Action::NewPolicy));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    let button = harness.get_by_role_and_label(Role::Button, Action::OpenSet.text()).rect();
    assert!((button.center().x - 640.0).abs() < 24.0, "{button:?}");
}

#[test]
fn the_choices_of_a_measurement_are_all_in_view() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = batch::measured(Behaviour::Words, folder.path(), None);
    let name = "A policy with a name that is too long for its place";
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some(name.to_owned()))));
    for size in [vec2(1280.0, 800.0), vec2(1000.0, 650.0), vec2(820.0, 520.0)] {
        harness.set_size(size);
        harness.run();
        let measure = harness.get_by_role_and_label(Role::Button, "Measure agreement").rect();
        assert!(measure.right() <= size.x, "{measure:?} in {size:?}");
        for choice in ["Policy to measure", "Set to measure on", "Dialect to measure in", "Other orders of the routes"] {
            let rect = place(&harness, choice);
            assert!(rect.right() <= measure.left(), "{choice}: {rect:?}, {measure:?} in {size:?}");
        }
    }
}

#[test]
fn a_case_to_label_is_in_view_beside_a_run_in_the_smallest_window() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.jsonl");
    let lines: String = (0..4).map(|n| format!("{{\"text\": \"parcel {n}\"}}\n")).collect();
    std::fs::write(&path, format!("no json\n{{\"text\": \"refund\", \"route\": \"billing\"}}\n{lines}")).unwrap();
    let mut harness = window_sized([820.0, 520.0], options(Behaviour::Words), None);
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    batch::open_set(&mut harness, &path);
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    batch::wait_for_run(&mut harness);
    perform(&mut harness, Command::Batch(BatchCommand::ShowPart(BatchPart::Problems)));
    perform(&mut harness, Command::Batch(BatchCommand::SelectUnlabelled(Some(2))));
    wait_until(&mut harness, "the message", |harness| harness.query_by_label("parcel 1").is_some());
    let end = place(&harness, "Log").top();
    for label in ["parcel 1", "Label as No route", "Label as shipping"] {
        let rect = place(&harness, label);
        assert!(rect.bottom() <= end, "{label}: {rect:?} ends below {end}");
    }
}

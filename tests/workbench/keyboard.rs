//! Everything can be reached with the Tab key, in the order in which it is read.

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use waypost::app::{Action, Command};
use waypost::chat::{ConversationEdit, Message, Role};
use waypost::policy::{DialectId, PolicyEdit};
use waypost::ui::Window;

use super::batch::measured;
use super::{has, perform, press, texts, wait_for, window, write_in};
use crate::fake_router::{Behaviour, options};

/// Returns what a screen reader calls the control that has the keyboard.
fn focused(harness: &Harness<'_, Window>) -> String {
    let node = harness.root().children_recursive().find(|node| node.is_focused());
    node.and_then(|node| node.accesskit_node().label().or(node.value())).unwrap_or_default()
}

/// Presses the Tab key so many times; returns what has the keyboard after each.
fn tabs(harness: &mut Harness<'_, Window>, count: usize) -> Vec<String> {
    let mut names = Vec::new();
    for _ in 0..count {
        press(harness, Modifiers::NONE, Key::Tab);
        names.push(focused(harness));
    }
    names
}

/// Asserts that these controls follow each other, whatever stands between them.
fn assert_order(names: &[String], wanted: &[&str]) {
    let places: Vec<Option<usize>> = wanted.iter().map(|wanted| names.iter().position(|name| name == wanted)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{wanted:?} are at {places:?} of {names:#?}");
}

#[test]
fn the_tab_key_goes_from_left_to_right_and_from_the_routes_to_the_conversation() {
    let mut harness = window(options(Behaviour::Decide));
    wait_for(&mut harness, "Ready");
    // So that what can be reached does not change with a decision.
    perform(&mut harness, Command::Perform(Action::Live));
    let messages = vec![Message::new(Role::User, "hello"), Message::new(Role::Assistant, "hi")];
    perform(&mut harness, Command::EditConversation(ConversationEdit::Replace(messages.into())));
    let names = tabs(&mut harness, 55);
    let bar = ["Policy", "Playground", "Batch", "Compare", "Export", "File", "Edit", "Router", "Measure", "View", "Find action…"];
    assert_eq!(names[..bar.len()].to_vec(), bar);
    assert_order(&names, &["Policy Coding assistant", "New variant", "Open…", "Save"]);
    assert_order(&names, &["Add route", "Route bug_fixing", "Conversation to try", "Add message", "Paste or import conversation…"]);
    assert_order(
        &names,
        &["Role of message 1", "Move message 1 down", "Remove message 1", "Message 1", "Role of message 2", "Move message 2 up"],
    );
    assert_order(&names, &["Message 2", "Route while typing", "Route"]);
}

#[test]
fn the_tab_key_leaves_the_yaml_as_it_is() {
    let mut harness = window(options(Behaviour::Decide));
    press(&mut harness, Modifiers::COMMAND, Key::E);
    harness.get_by_label("YAML of the policy").focus();
    harness.run();
    assert_eq!(focused(&harness), "YAML of the policy");
    assert_ne!(tabs(&mut harness, 1), ["YAML of the policy"]);
    harness.get_by_label("YAML of the policy").focus();
    press(&mut harness, Modifiers::SHIFT, Key::Tab);
    assert_ne!(focused(&harness), "YAML of the policy");
    assert!(!harness.state().app().state().policy().is_modified());
}

#[test]
fn a_row_of_the_cases_is_one_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    harness.get_by_label_contains("Case a: ").focus();
    harness.run();
    let next = tabs(&mut harness, 1).remove(0);
    assert!(next.starts_with("Case b: "), "{next}");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert!(has(&harness, "Label of the case"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::NONE, Key::Num0);
    let corrections = &harness.state().app().state().batch.corrections;
    assert_eq!(corrections.iter().map(|one| (one.id.as_str(), one.after.as_str())).collect::<Vec<_>>(), [("b", "other")]);
}

/// A policy of so many routes.
fn long_policy(count: usize) -> Command {
    let routes: String = (0..count).map(|n| format!("  - {{name: route_{n:03}, description: d}}\n")).collect();
    Command::EditYaml(format!("routes:\n{routes}"))
}

#[test]
fn every_row_of_a_long_list_is_reached_forwards_and_backwards() {
    let mut harness = window(options(Behaviour::Decide));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, long_policy(40));
    harness.get_by_label("Route route_000").focus();
    harness.run();
    let names: Vec<String> = (0..40).map(|n| format!("Route route_{n:03}")).collect();
    assert_eq!(tabs(&mut harness, 39), names[1..]);
    for name in names[..39].iter().rev() {
        press(&mut harness, Modifiers::SHIFT, Key::Tab);
        assert_eq!(focused(&harness), *name);
    }
}

#[test]
fn a_new_route_is_in_view_in_the_list_and_the_palette_goes_to_any() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, long_policy(40));
    assert!(harness.query_by_label("Route route_030").is_none(), "below the list");
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::R);
    assert!(harness.query_by_label("Route new_route").is_some(), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Perform(Action::ShowPlayground));
    press(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_role_and_label(egui::accesskit::Role::TextInput, "Find action").type_text("route_003");
    harness.run();
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert_eq!(harness.state().app().state().selected, 3);
    assert!(harness.query_by_label("Route route_003").is_some(), "{:#?}", texts(&harness));
}

#[test]
fn the_palette_reaches_a_route_whose_name_begins_those_of_others() {
    let mut harness = window(options(Behaviour::Decide));
    let longer: String = (0..6).map(|n| format!("  - {{name: refund_{n}, description: d}}\n")).collect();
    perform(&mut harness, Command::EditYaml(format!("routes:\n{longer}  - {{name: refund, description: d}}\n")));
    press(&mut harness, Modifiers::COMMAND, Key::K);
    harness.get_by_role_and_label(egui::accesskit::Role::TextInput, "Find action").type_text("refund");
    harness.run();
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert_eq!(harness.state().app().state().selected, 6);
}

#[test]
fn undo_in_the_budget_takes_no_edit_of_the_policy_back() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetDialect(Some(DialectId::Plano0420))));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "last edit".to_owned() }));
    write_in(&mut harness, "Budget of the prompt", "5");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(harness.state().app().state().routes().routes[0].description, "last edit");
}

#[test]
fn the_conversation_that_is_shown_is_in_view_on_a_long_shelf() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Perform(Action::ShowPlayground));
    let first = harness.state().app().state().conversation().id;
    for _ in 0..30 {
        perform(&mut harness, Command::Perform(Action::NewConversation));
    }
    perform(&mut harness, Command::SelectConversation(first));
    assert!(harness.query_by_label("Conversation Quickstart").is_some(), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Perform(Action::NewConversation));
    let name = format!("Conversation {}", harness.state().app().state().conversation().title);
    assert!(harness.query_by_label(&name).is_some(), "{name}: {:#?}", texts(&harness));
}

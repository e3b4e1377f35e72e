//! What acts is what is on screen: decisions, undo, tabs, titles.

use egui::{Event, Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, Command, JobKind, State, StudyKind, Tab};
use waypost::chat::ConversationEdit;
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{batch, click, has, perform, press, texts, wait_for, wait_until, window, write_in};
use crate::fake_router::{Behaviour, on_request, options};

fn state<'a>(harness: &'a Harness<'_, Window>) -> &'a State {
    harness.state().app().state()
}

fn say(text: &str) -> Command {
    Command::EditConversation(ConversationEdit::SetText { message: 0, text: text.to_owned() })
}

fn said(harness: &Harness<'_, Window>) -> String {
    state(harness).conversation().text.messages[0].text().into_owned()
}

/// A window on two routes that asks the router only when it is told to.
fn quiet(behaviour: Behaviour) -> Harness<'static, Window> {
    let mut harness = window(on_request(behaviour));
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    harness
}

#[test]
fn the_decision_of_a_turn_goes_with_its_policy() {
    let mut harness = quiet(Behaviour::Decide);
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Study(StudyKind::Turns));
    wait_until(&mut harness, "the turn", |harness| state(harness).study(StudyKind::Turns).unwrap().rows[0].decision().is_some());
    perform(&mut harness, Command::ShowTurn(Some(0)));
    assert!(has(&harness, "After message 1") && !has(&harness, "Out of date"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::NewFromSample(4));
    assert!(state(&harness).turn.is_none() && !has(&harness, "After message 1"));

    perform(&mut harness, Command::ShowTurn(Some(0)));
    assert!(has(&harness, "Out of date"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::COMMAND, Key::Enter);
    assert!(state(&harness).turn.is_none(), "whoever routes wants to see the answer");
}

#[test]
fn a_file_that_is_loaded_again_ends_the_decision_of_a_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, batch::POLICY).unwrap();
    let mut harness = quiet(Behaviour::Decide);
    perform(&mut harness, Command::Open(path.clone()));
    std::fs::write(&path, batch::POLICY.replace("billing", "payments")).unwrap();
    perform(&mut harness, Command::Open(path));
    perform(&mut harness, Command::ShowTurn(Some(0)));
    click(&mut harness, "Load the file");
    assert_eq!((state(&harness).routes().routes[0].name.as_str(), state(&harness).turn), ("payments", None));
}

#[test]
fn undo_beside_the_conversation_goes_on_with_the_policy_and_redo_comes_back() {
    let mut harness = window(options(Behaviour::Decide));
    let before = said(&harness);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "x".to_owned() }));
    perform(&mut harness, say("hello"));
    for _ in 0..2 {
        press(&mut harness, Modifiers::COMMAND, Key::Z);
    }
    assert_eq!((said(&harness), state(&harness).policy().is_modified()), (before, false));
    for _ in 0..2 {
        press(&mut harness, Modifiers::COMMAND, Key::Y);
    }
    assert_eq!((said(&harness).as_str(), state(&harness).policy().is_modified()), ("hello", true));

    // The conversation was changed last, and is out of view.
    perform(&mut harness, Command::Perform(Action::ToggleDock));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!((said(&harness).as_str(), state(&harness).policy().is_modified()), ("hello", false));
}

#[test]
fn what_undo_changes_out_of_view_is_named() {
    let mut harness = quiet(Behaviour::Decide);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "x".to_owned() }));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::RemoveRoute { route: 0 }));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    for (key, text) in [
        (Key::Z, "Undone: removed route billing in Coding assistant"),
        (Key::Z, "Undone: description of shipping in Coding assistant"),
        (Key::Y, "Redone: description of shipping in Coding assistant"),
    ] {
        press(&mut harness, Modifiers::COMMAND, key);
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    perform(&mut harness, Command::Perform(Action::ShowPlayground));
    perform(&mut harness, say("hello"));
    assert!(!has(&harness, "Redone: "), "something else was changed since");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(has(&harness, "Undone: message in Quickstart"), "{:#?}", texts(&harness));
}

#[test]
fn a_change_of_a_route_without_a_name_is_told_in_words() {
    let mut harness = quiet(Behaviour::Decide);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Rename { route: 0, name: String::new() }));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    assert!(has(&harness, "Redone: route name of a route without a name in Coding assistant"), "{:#?}", texts(&harness));
}

#[test]
fn after_an_undone_duplicate_its_original_is_selected_and_nothing_is_typed_into() {
    let mut harness = quiet(Behaviour::Decide);
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::D);
    assert_eq!((state(&harness).routes().routes.len(), state(&harness).selected), (3, 1));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    harness.event(Event::Text("x".to_owned()));
    harness.run();
    let names: Vec<&str> = state(&harness).routes().routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!((names, state(&harness).selected), (vec!["billing", "shipping"], 0));
}

#[test]
fn undo_in_the_title_leaves_the_messages_alone() {
    let mut harness = quiet(Behaviour::Decide);
    perform(&mut harness, Command::Perform(Action::ShowPlayground));
    perform(&mut harness, say("hello"));
    write_in(&mut harness, "Title of the conversation", "zz");
    assert!(state(&harness).conversation().title.contains("zz"));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!((state(&harness).conversation().title.as_str(), said(&harness).as_str()), ("Quickstart", "hello"));
}

#[test]
fn a_title_outlives_saving_and_another_file_gives_another_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = quiet(Behaviour::Decide);
    let title = |harness: &Harness<'_, Window>| state(harness).conversation().title.clone();
    let id = state(&harness).conversation().id;
    let path = folder.path().join("refund.json");
    perform(&mut harness, Command::SaveTo(id, path.clone()));
    assert_eq!(title(&harness), "refund");
    perform(&mut harness, Command::RenameConversation("Refund asked twice".to_owned()));
    perform(&mut harness, say("hello"));
    perform(&mut harness, Command::SaveTo(id, path));
    assert_eq!(title(&harness), "Refund asked twice");
    perform(&mut harness, Command::SaveTo(id, folder.path().join("other.json")));
    assert_eq!(title(&harness), "other");

    let id = state(&harness).policy().id;
    perform(&mut harness, Command::SaveTo(id, folder.path().join("plain.yaml")));
    assert_eq!(state(&harness).policy().title, "plain", "a policy without a name is called after its file");
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some("Named".to_owned()))));
    perform(&mut harness, Command::SaveTo(id, folder.path().join("named.yaml")));
    assert_eq!(state(&harness).policy().title, "Named");
}

#[test]
fn cancelling_a_decision_leaves_the_measurement_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = quiet(Behaviour::Block);
    batch::open_set(&mut harness, &batch::write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    let measures = |harness: &Harness<'_, Window>| {
        state(harness).jobs.iter().any(|job| matches!(job.kind, JobKind::Measure) && job.started && !job.cancelling)
    };
    wait_until(&mut harness, "the measurement", measures);
    perform(&mut harness, Command::Perform(Action::Route));
    assert!(state(&harness).is_routing());
    click(&mut harness, "Cancel routing");
    assert!(!state(&harness).is_routing() && measures(&harness));
    press(&mut harness, Modifiers::COMMAND, Key::Period);
    wait_until(&mut harness, "the end of everything", |harness| state(harness).jobs.is_empty());
}

#[test]
fn what_changes_is_brought_into_view() {
    let folder = tempfile::tempdir().unwrap();
    let talk = folder.path().join("talk.txt");
    std::fs::write(&talk, "User: hello\nAssistant: good day\nUser: bye").unwrap();
    let policy = folder.path().join("p.yaml");
    std::fs::write(&policy, batch::POLICY).unwrap();
    let mut harness = quiet(Behaviour::Decide);
    let into_view = |harness: &mut Harness<'_, Window>, from: Action, command: Command| {
        perform(harness, Command::Perform(from));
        perform(harness, command);
        state(harness).settings.tab
    };
    let act = Command::Perform;
    use Action::{ShowBatch, ShowCompare, ShowPlayground, ShowPolicy};
    for (from, command, tab) in [
        (ShowPlayground, act(Action::MoveRouteDown), Tab::Policy),
        (ShowPlayground, act(Action::AddRoute), Tab::Policy),
        (ShowCompare, act(Action::RemoveRoute), Tab::Policy),
        (ShowPlayground, act(Action::NewPolicy), Tab::Policy),
        (ShowCompare, act(Action::NewVariant), Tab::Policy),
        (ShowBatch, Command::Open(policy.clone()), Tab::Policy),
        (ShowCompare, Command::Open(policy), Tab::Policy),
        (ShowPolicy, act(Action::NewConversation), Tab::Policy),
        (ShowBatch, act(Action::AddMessage), Tab::Playground),
        (ShowBatch, Command::Open(talk.clone()), Tab::Playground),
        (ShowCompare, Command::Open(talk), Tab::Playground),
    ] {
        assert_eq!(into_view(&mut harness, from, command.clone()), tab, "{command:?}");
    }
    // Beside the policy the conversation is in view only where it is docked.
    perform(&mut harness, Command::Perform(Action::ToggleDock));
    assert_eq!(into_view(&mut harness, ShowPolicy, act(Action::NewConversation)), Tab::Playground);
}

#[test]
fn the_playground_names_the_policy_and_closes_the_conversation() {
    let mut harness = quiet(Behaviour::Decide);
    perform(&mut harness, Command::NewFromSample(1));
    perform(&mut harness, Command::Perform(Action::ShowPlayground));
    assert_eq!(harness.get_by_label("Policy that decides").value().unwrap(), "Customer support");
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::N);
    assert_eq!(state(&harness).conversations.len(), 2);
    press(&mut harness, Modifiers::COMMAND, Key::W);
    assert_eq!((state(&harness).conversations.len(), state(&harness).policies.len()), (1, 2));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "x".to_owned() }));
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(state(&harness).routes().routes[0].description, "x", "neither is in view there");
    let obstacles = [Action::Save, Action::Close, Action::Undo, Action::Redo].map(|action| action.obstacle(state(&harness)));
    assert_eq!(obstacles, [Some("Show the policy or the conversation first"); 4]);
}

#[test]
fn the_budget_says_what_is_used_and_what_is_left() {
    let harness = window(options(Behaviour::Decide));
    let budget = state(&harness).prompt.selection.budget.unwrap();
    let sentence = format!("Budget: used {} of {}, {} left for more messages", budget.used, budget.limit, budget.limit - budget.used);
    assert!(has(&harness, &sentence), "{:#?}", texts(&harness));
}

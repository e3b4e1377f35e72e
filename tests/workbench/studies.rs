//! What becomes of a decision when something of the conversation is changed.

use egui_kittest::Harness;
use waypost::app::{Action, Command, Section, StartOptions, Study, StudyKind};
use waypost::chat::ConversationEdit;
use waypost::engine::loader;
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{batch, decisions, has, perform, texts, wait_for, wait_until, window};
use crate::fake_router::{Behaviour, options};
use crate::tiny_model::{Shape, Storage, TinyModel};

const OUTDATED: &str = "Out of date: texts or router have changed";

/// Returns a window with a conversation, before anything was routed.
fn with_conversation(behaviour: Behaviour, text: &str) -> Harness<'static, Window> {
    let mut harness = window(options(behaviour));
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    perform(&mut harness, Command::ImportText(text.to_owned()));
    perform(&mut harness, Command::ImportAccept { replace: true });
    wait_for(&mut harness, "Ready");
    harness
}

fn study<'a>(harness: &'a Harness<'_, Window>, kind: StudyKind) -> &'a Study {
    harness.state().app().state().study(kind).unwrap()
}

/// Does the action and waits for every row of its study.
fn test(harness: &mut Harness<'_, Window>, action: Action, kind: StudyKind) {
    perform(harness, Command::Perform(action));
    wait_until(harness, "every row", |harness| study(harness, kind).rows.iter().all(|row| row.decision().is_some()));
}

#[test]
fn the_history_says_whether_the_earlier_messages_matter() {
    let talk = "User: a parcel is lost\nAssistant: the courier has it\nUser: hello\nAssistant: hi\nUser: and the refund";
    let mut harness = with_conversation(Behaviour::AllWords, talk);
    test(&mut harness, Action::TestHistory, StudyKind::History);
    for text in [
        "Only the last message, “and the refund”: billing, flip from shipping, 91.3 %",
        "The last 3 messages, from “hello”: billing, flip from shipping, 91.3 %",
        "The whole conversation: shipping, 91.3 %",
        "2 of 2 shorter conversations move the decision",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    assert_eq!(study(&harness, StudyKind::History).rows.len(), 3, "the last 4 messages begin where the whole does");
    assert!(!has(&harness, OUTDATED));

    let alone = waypost::chat::Conversation::from_prompt("refund");
    perform(&mut harness, Command::EditConversation(ConversationEdit::Replace(alone)));
    assert!(has(&harness, OUTDATED), "{:#?}", texts(&harness));
    test(&mut harness, Action::TestHistory, StudyKind::History);
    assert!(has(&harness, "Nothing comes before the last user message") && has(&harness, "The whole conversation: billing"));
    assert!(!has(&harness, OUTDATED));
}

#[test]
fn small_changes_that_move_the_decision_are_marked_and_counted() {
    let mut harness = with_conversation(Behaviour::Words, "User: Refund the parcel after yesterday's question!");
    test(&mut harness, Action::TestRobustness, StudyKind::Robustness);
    for text in [
        "As it is: shipping, 91.3 %",
        "All lower case: refund the parcel after yesterday's question!: billing, flip from shipping, 91.3 %",
        "Without punctuation: Refund the parcel after yesterday's question: shipping, 91.3 %",
        "Typos in the longest words: Refund the parcel after yestreday's quesiton!: shipping, 91.3 %",
        "With Please and Thanks: Please Refund the parcel after yesterday's question! Thanks!: shipping, 91.3 %",
        "With doubled spaces: Refund  the  parcel  after  yesterday's  question!: shipping, 91.3 %",
        "1 of 5 small changes moves the decision",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }

    let edit = ConversationEdit::SetText { message: 0, text: "refund".to_owned() };
    perform(&mut harness, Command::EditConversation(edit));
    assert!(has(&harness, OUTDATED), "{:#?}", texts(&harness));
    test(&mut harness, Action::TestRobustness, StudyKind::Robustness);
    assert_eq!(study(&harness, StudyKind::Robustness).rows.len(), 3, "there is no other case, punctuation or space in it");
    assert!(has(&harness, "1 of 2 small changes moves the decision"), "{:#?}", texts(&harness));
}

#[test]
fn variants_are_outdated_once_any_of_them_changes() {
    let mut harness = window(options(Behaviour::Words));
    // Nothing is to be routed again by itself.
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    wait_for(&mut harness, "Ready");
    let shown = |harness: &Harness<'_, Window>| harness.state().app().state().policy().id;
    let first = shown(&harness);
    perform(&mut harness, Command::Perform(Action::NewVariant));
    let second = shown(&harness);
    perform(&mut harness, Command::ShowSection(Section::Variants));
    perform(&mut harness, Command::Study(StudyKind::Variants));
    wait_until(&mut harness, "both", |harness| study(harness, StudyKind::Variants).rows.iter().all(|row| row.decision().is_some()));
    assert!(!has(&harness, OUTDATED));
    let edit = Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "invoice".to_owned() });
    for command in [Command::SelectPolicy(first), edit, Command::SelectPolicy(second)] {
        perform(&mut harness, command);
    }
    assert!(has(&harness, OUTDATED), "{:#?}", texts(&harness));
    for command in [Command::SelectPolicy(first), Command::Perform(Action::Undo), Command::SelectPolicy(second)] {
        perform(&mut harness, command);
    }
    assert!(!has(&harness, OUTDATED), "{:#?}", texts(&harness));
}

#[test]
fn what_a_study_leaves_out_is_told() {
    let talk: String = (0..61).map(|n| format!("User: refund {n}\nAssistant: done\n")).collect();
    let mut harness = with_conversation(Behaviour::Words, &talk);
    perform(&mut harness, Command::ShowSection(Section::Turns));
    perform(&mut harness, Command::Study(StudyKind::Turns));
    assert!(has(&harness, "Only the newest are routed, 1 older user message left out"), "{:#?}", texts(&harness));
    for n in 0..61 {
        harness.state_mut().run(Command::ImportText(format!("User: refund {n}")));
        harness.state_mut().run(Command::ImportAccept { replace: false });
    }
    perform(&mut harness, Command::ShowSection(Section::Shelf));
    perform(&mut harness, Command::Study(StudyKind::Shelf));
    assert!(has(&harness, "Only the newest are routed, 2 older conversations left out"), "{:#?}", texts(&harness));
}

/// Waits until the conversation on screen and the whole shelf are decided.
fn wait_for_shelf(harness: &mut Harness<'_, Window>) {
    wait_until(harness, "the shelf", |harness| {
        let state = harness.state().app().state();
        let is_done = |study: &Study| !state.is_study_outdated(study) && study.rows.iter().all(|row| row.decision().is_some());
        state.jobs.is_empty() && state.shown.is_some() && !state.is_shown_outdated() && state.study(StudyKind::Shelf).is_some_and(is_done)
    });
}

#[test]
fn of_the_shelf_only_what_changed_is_decided_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("p.yaml");
    std::fs::write(&policy, batch::POLICY).unwrap();
    let mut harness = window(StartOptions { files: vec![policy], ..options(Behaviour::Words) });
    for (text, replace) in [("User: refund please", true), ("User: where is my parcel", false)] {
        perform(&mut harness, Command::ImportText(text.to_owned()));
        perform(&mut harness, Command::ImportAccept { replace });
    }
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::ShowSection(Section::Shelf));
    perform(&mut harness, Command::Perform(Action::Route));
    wait_for_shelf(&mut harness);
    let first = harness.state().app().state().conversations[0].id;
    let edit = ConversationEdit::SetText { message: 0, text: "where is the courier".to_owned() };
    for (command, wanted, why) in [
        (Command::EditConversation(edit), 2, "the conversation itself, and its row"),
        (Command::SelectConversation(first), 1, "the other one, whose row is known"),
        (Command::Study(StudyKind::Shelf), 2, "whoever asks has every row decided"),
    ] {
        let before = decisions(&harness);
        perform(&mut harness, command);
        wait_for_shelf(&mut harness);
        assert_eq!(decisions(&harness) - before, wanted, "{why}");
    }
}

/// Place, device and precision are those of the new files too.
#[test]
fn decisions_are_of_another_router_once_other_files_were_loaded_from_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router");
    let router = TinyModel::random(Shape::SMALL, 7).write(&path, Storage::F32, 1);
    let mut harness = window(StartOptions { router: Some(router), loader: loader(), ..options(Behaviour::Decide) });
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    perform(&mut harness, Command::ImportText("User: refund".to_owned()));
    perform(&mut harness, Command::ImportAccept { replace: true });
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Route));
    wait_until(&mut harness, "the decision", |harness| harness.state().app().state().shown.is_some());
    test(&mut harness, Action::TestHistory, StudyKind::History);
    let are_outdated = |harness: &Harness<'_, Window>| {
        let state = harness.state().app().state();
        [state.is_shown_outdated(), state.is_study_outdated(study(harness, StudyKind::History))]
    };
    assert_eq!(are_outdated(&harness), [false; 2]);

    std::fs::write(path.join("router.json"), "{\"temperature\": 1.0}").unwrap();
    perform(&mut harness, Command::Perform(Action::LoadRouter));
    wait_until(&mut harness, "the new files", |harness| are_outdated(harness) == [true; 2]);
    let state = harness.state().app().state();
    assert_eq!(state.router.info(), state.shown.as_ref().map(|shown| &shown.decision.router));
}

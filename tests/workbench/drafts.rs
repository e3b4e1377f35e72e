//! Nothing is lost: what was typed is there again after the process was killed.

use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use egui::{ViewportCommand, ViewportEvent, ViewportId};
use egui_kittest::Harness;
use waypost::app::{Action, App, BatchCommand, Command};
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::batch::{POLICY, measured};
use super::{click, has, perform, texts, wait_for, window, window_in};
use crate::fake_router::{Behaviour, options};

/// Tells the child process of the test below where to keep its drafts.
const FOLDER: &str = "WAYPOST_TEST_DRAFTS";

/// What that process changes last.
const LAST: &str = "Refund asked twice";

/// The process that is killed: it edits, and then works on until it ends.
#[test]
#[ignore = "a_killed_process_leaves_its_drafts runs it, in a process of its own"]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let mut app = App::start(options(Behaviour::Decide), Some(folder.clone()), || {}).unwrap();
    app.run(Command::Perform(Action::NewVariant));
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "only here".to_owned() }));
    app.run(Command::EditPolicy(PolicyEdit::Rename { route: 0, name: "bug_fixing".to_owned() }));
    app.run(Command::Perform(Action::NewConversation));
    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::Perform(Action::ThemeDark));
    let (start, mut renamed) = (Instant::now(), false);
    // Bounded, should nobody kill it.
    while start.elapsed() < Duration::from_secs(60) {
        app.tick();
        // After the drafts were written once, the session last: a title is kept also when nothing else changed.
        if !renamed && folder.join("session.json").exists() {
            renamed = true;
            app.run(Command::RenameConversation(LAST.to_owned()));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_in_drafts(folder: &Path, text: &str) -> bool {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    // What a file is about to be replaced with stands beside it for a moment, and is no draft yet.
    let drafts = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    drafts.filter_map(|path| std::fs::read_to_string(path).ok()).any(|draft| draft.contains(text))
}

#[test]
fn a_killed_process_leaves_its_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "workbench::drafts::child_that_is_killed", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !is_in_drafts(folder.path(), LAST) && start.elapsed() < Duration::from_secs(40) {
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let app = App::start(options(Behaviour::Decide), Some(folder.path().to_owned()), || {}).unwrap();
    let state = app.state();
    assert_eq!(state.policies.len(), 2);
    assert_eq!(state.routes().routes[1].description, "only here");
    assert_eq!(state.routes().routes[0].name, "bug_fixing", "two routes of one name are no policy file, and a draft all the same");
    assert!(state.policy().is_modified());
    assert_eq!((state.conversations.len(), state.conversation_index), (2, 1));
    assert_eq!(state.conversation().title, LAST);
    assert!(Action::ShowPlayground.is_on(state) && Action::ThemeDark.is_on(state));
}

#[test]
fn a_second_window_leaves_the_drafts_of_the_first_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = window_in(options(Behaviour::Decide), Some(folder.path()));
    perform(&mut first, Command::Perform(Action::NewVariant));
    let second = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert!(has(&second, "Another Waypost window keeps the drafts"));
    drop((second, first));
    let third = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert_eq!(third.state().app().state().policies.len(), 2);
}

#[test]
fn a_damaged_session_is_told_and_the_sample_opens() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("session.json"), "{").unwrap();
    let harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert!(has(&harness, "The last session could not be restored"));
    assert!(has(&harness, "Route bug_fixing"));
}

#[test]
fn a_damaged_session_is_set_aside_and_the_drafts_are_open_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let start = || App::start(options(Behaviour::Decide), Some(folder.path().to_owned()), || {}).unwrap();
    let mut app = start();
    app.run(Command::Perform(Action::NewVariant));
    app.run(Command::Perform(Action::NewConversation));
    drop(app);
    std::fs::write(folder.path().join("session.json"), "{").unwrap();
    let app = start();
    assert!(app.state().log.open().0.unwrap().text.contains("the drafts beside it (4) are open instead"));
    drop(app);
    let app = start();
    assert_eq!((app.state().policies.len(), app.state().conversations.len()), (2, 2));
    assert_eq!(std::fs::read_to_string(folder.path().join("session.damaged.json")).unwrap(), "{");
}

#[test]
fn a_document_that_was_saved_under_another_name_stays_in_that_file() {
    let folder = tempfile::tempdir().unwrap();
    let start = || App::start(options(Behaviour::Decide), Some(folder.path().join("drafts")), || {}).unwrap();
    let mut app = start();
    let id = app.state().policy().id;
    app.run(Command::SaveTo(id, folder.path().join("a.yaml")));
    app.save_drafts();
    app.run(Command::SaveTo(id, folder.path().join("b.yaml")));
    drop(app);
    assert_eq!(start().state().policy().path, Some(folder.path().join("b.yaml")));
}

#[test]
fn a_restored_policy_without_its_name_is_called_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let start = || App::start(options(Behaviour::Decide), Some(drafts.clone()), || {}).unwrap();
    let mut app = start();
    let id = app.state().policy().id;
    app.run(Command::EditYaml(format!("name: Named\n{POLICY}")));
    app.run(Command::SaveTo(id, folder.path().join("billing.yaml")));
    drop(app);
    let mut app = start();
    assert_eq!(app.state().policy().title, "Named");
    app.run(Command::EditPolicy(PolicyEdit::SetName(None)));
    assert_eq!(app.state().policy().title, "billing");
    drop(app);

    // As an earlier version wrote it.
    let path = drafts.join(format!("document-{}.json", id.0));
    let mut draft: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(draft.as_object_mut().unwrap().remove("given").is_some());
    std::fs::write(&path, draft.to_string()).unwrap();
    assert_eq!(start().state().policy().title, "billing");
}

/// Asks the window to close; returns whether it does.
fn closes(harness: &mut Harness<'_, Window>) -> bool {
    harness.input_mut().viewports.get_mut(&ViewportId::ROOT).unwrap().events.push(ViewportEvent::Close);
    harness.step();
    let is_cancelled = harness.output().viewport_output[&ViewportId::ROOT].commands.contains(&ViewportCommand::CancelClose);
    harness.run();
    !is_cancelled
}

#[test]
fn a_window_without_drafts_asks_before_changes_are_lost() {
    let mut harness = window(options(Behaviour::Decide));
    assert!(closes(&mut harness));
    click(&mut harness, "Add route");
    assert!(!closes(&mut harness));
    assert!(has(&harness, "in no file or draft and will be lost: Coding assistant"), "{:#?}", texts(&harness));
    click(&mut harness, "Keep editing");
    assert!(!closes(&mut harness));
    click(&mut harness, "Close without saving");
    assert!(closes(&mut harness));
}

#[test]
fn drafts_that_cannot_be_written_are_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    let id = harness.state().app().state().policy().id;
    // No file takes the place of a folder.
    let draft = folder.path().join(format!("document-{}.json", id.0));
    std::fs::remove_file(&draft).ok();
    std::fs::create_dir(&draft).unwrap();
    click(&mut harness, "Add route");
    assert!(!closes(&mut harness));
    assert!(has(&harness, "Drafts could not be written to") && has(&harness, "Close Waypost?"), "{:#?}", texts(&harness));
    click(&mut harness, "Keep editing");
    std::fs::remove_dir(&draft).unwrap();
    assert!(closes(&mut harness));
    drop(harness);
    let harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert!(has(&harness, "Route new_route") && harness.state().app().state().policy().is_modified());
}

#[test]
fn labels_that_cannot_be_written_are_tried_again_and_asked_about_before_they_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), Some(&folder.path().join("drafts")));
    let path = folder.path().join("labelled.jsonl");
    let before = std::fs::read_to_string(&path).unwrap();
    // Back again it is the same file: a set that was changed meanwhile is not written.
    let away = folder.path().join("away.jsonl");
    std::fs::rename(&path, &away).unwrap();
    perform(&mut harness, Command::Batch(BatchCommand::Relabel { turn: 3, label: "other".to_owned() }));
    wait_for(&mut harness, "The corrected label is not in the set's file yet");
    assert!(!closes(&mut harness));
    assert!(has(&harness, "will be lost: labels of labelled.jsonl"), "{:#?}", texts(&harness));
    click(&mut harness, "Keep editing");
    std::fs::rename(&away, &path).unwrap();
    assert!(closes(&mut harness));
    let line = "\"content\": \"the driver never came\"}], \"route\": \"shipping\"}";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before.replace(line, &line.replace("shipping", "other")));
}

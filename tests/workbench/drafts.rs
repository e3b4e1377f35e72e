//! Nothing is lost: what was typed is there again after the process was killed.

use std::io::{BufRead, BufReader};
use std::process::{Command as Process, Stdio};
use std::time::{Duration, Instant};

use waypost::app::{Action, App, Command};
use waypost::policy::PolicyEdit;

use super::{has, perform, window_in};
use crate::fake_router::{Behaviour, options};

/// Tells the child process of the test below where to keep its drafts.
const FOLDER: &str = "WAYPOST_TEST_DRAFTS";

/// The process that is killed: it edits, says when the pause is over, and then works on until it ends.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut app = App::start(options(Behaviour::Decide), Some(folder.into()), || {}).unwrap();
    app.run(Command::Perform(Action::NewVariant));
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "only here".to_owned() }));
    app.run(Command::EditPolicy(PolicyEdit::Rename { route: 0, name: "bug_fixing".to_owned() }));
    app.run(Command::Perform(Action::NewConversation));
    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::Perform(Action::ThemeDark));
    let start = Instant::now();
    let mut renamed = false;
    while start.elapsed() < Duration::from_secs(30) {
        app.tick();
        // After the drafts were written once: a title is kept also when nothing else changed.
        if !renamed && start.elapsed() > Duration::from_millis(800) {
            renamed = true;
            app.run(Command::RenameConversation("Refund asked twice".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(10));
        if start.elapsed() > Duration::from_secs(2) {
            println!("\nedited");
        }
    }
}

#[test]
fn a_killed_process_leaves_its_drafts() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", "workbench::drafts::child_that_is_killed", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    assert!(said.lines().map_while(Result::ok).any(|line| line == "edited"));
    child.kill().unwrap();
    child.wait().unwrap();

    let app = App::start(options(Behaviour::Decide), Some(folder.path().to_owned()), || {}).unwrap();
    let state = app.state();
    assert_eq!(state.policies.len(), 2);
    assert_eq!(state.routes().routes[1].description, "only here");
    assert_eq!(state.routes().routes[0].name, "bug_fixing", "two routes of one name are no policy file, and a draft all the same");
    assert!(state.policy().is_modified());
    assert_eq!((state.conversations.len(), state.conversation_index), (2, 1));
    assert_eq!(state.conversation().title, "Refund asked twice");
    assert!(Action::ShowPlayground.is_on(state) && Action::ThemeDark.is_on(state));
}

#[test]
fn a_second_window_leaves_the_drafts_of_the_first_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = window_in(options(Behaviour::Decide), Some(folder.path()));
    perform(&mut first, Command::Perform(Action::NewVariant));
    let second = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert!(has(&second, "Drafts are kept by the window that was opened first"));
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

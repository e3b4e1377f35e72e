//! What becomes of files and of the documents that they hold.

use std::path::Path;
use std::time::{Duration, SystemTime};

use waypost::app::{Action, App, BatchCommand, Command, Dialog, Question, StartOptions};
use waypost::chat::{ConversationEdit, Role};
use waypost::policy::PolicyEdit;

use crate::fake_router::{Behaviour, options};

const POLICY: &str = "routes:\n  - name: a\n    description: b\n";

fn start(files: &[&Path], drafts: Option<&Path>) -> App {
    let files = files.iter().map(|file| file.to_path_buf()).collect();
    App::start(StartOptions { files, ..options(Behaviour::Decide) }, drafts.map(Path::to_owned), || {}).unwrap()
}

fn is_asked(app: &App) -> bool {
    matches!(app.state().dialog, Some(Dialog::Question(Question::Changed { .. })))
}

#[test]
fn what_is_opened_by_a_relative_path_is_remembered_for_other_working_directories() {
    let mut app = start(&[], None);
    app.run(Command::Open("sample_policies/travel/policy.yaml".into()));
    let state = app.state();
    assert!(state.policy().path.as_ref().unwrap().is_absolute() && state.settings.recent[0].is_absolute());
    app.run(Command::Batch(BatchCommand::OpenSet("sample_policies/travel/labelled.jsonl".into())));
    assert!(app.state().batch.opening.as_ref().unwrap().path.is_absolute());
}

#[test]
fn a_conversation_keeps_its_title_when_it_is_saved_again_and_what_has_no_name_is_called_as_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut app = start(&[], None);
    let id = app.state().conversation().id;
    app.run(Command::SaveTo(id, folder.path().join("talk.json")));
    assert_eq!(app.state().conversation().title, "talk");
    app.run(Command::RenameConversation("Refund asked twice".to_owned()));
    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::Perform(Action::Save));
    assert_eq!(app.state().conversation().title, "Refund asked twice");

    app.run(Command::EditYaml(POLICY.to_owned()));
    let id = app.state().policy().id;
    app.run(Command::SaveTo(id, folder.path().join("billing.yaml")));
    assert_eq!(app.state().policy().title, "billing");
}

#[test]
fn a_conversation_that_could_not_be_opened_again_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("talk.json");
    let mut app = start(&[], None);
    app.run(Command::EditConversation(ConversationEdit::SetRole { message: 0, role: Role::Assistant }));
    let id = app.state().conversation().id;
    app.run(Command::SaveTo(id, path.clone()));
    assert!(!path.exists() && app.state().conversation().is_modified());
    let told = &app.state().log.open().0.unwrap().text;
    assert!(told.contains("Not saved") && told.contains("no user message"), "{told}");
}

#[test]
fn a_file_that_was_only_touched_is_not_asked_about_and_a_changed_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, POLICY).unwrap();
    let mut app = start(&[&path], None);
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "unsaved".to_owned() }));
    let file = std::fs::File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
    drop(file);
    app.check_disk();
    assert!(!is_asked(&app));
    std::fs::write(&path, POLICY.replace("name: a", "name: other")).unwrap();
    app.check_disk();
    assert!(is_asked(&app));
}

#[test]
fn a_file_that_was_changed_while_nothing_ran_is_asked_about_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (path, drafts) = (folder.path().join("p.yaml"), folder.path().join("drafts"));
    std::fs::write(&path, POLICY).unwrap();
    let mut app = start(&[&path], Some(&drafts));
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "unsaved".to_owned() }));
    drop(app);
    assert!(!is_asked(&start(&[], Some(&drafts))));
    std::fs::write(&path, POLICY.replace("name: a", "name: other")).unwrap();
    assert!(is_asked(&start(&[], Some(&drafts))));
}

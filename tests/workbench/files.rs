//! What becomes of files and of the documents that they hold.

use std::path::Path;
use std::time::{Duration, SystemTime};

use waypost::app::{Action, Answer, App, BatchCommand, Command, Dialog, DocId, Question, StartOptions};
use waypost::chat::{Conversation, ConversationEdit, Role};
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
fn a_list_that_is_routes_and_a_labelled_set_alike_is_opened_beside_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("both.json");
    let both = r#"[{"name": "a", "description": "b", "messages": [{"role": "user", "content": "x"}], "route": "a"}]"#;
    std::fs::write(&path, both).unwrap();
    let app = start(&[&path], None);
    let state = app.state();
    assert_eq!((state.policy().title.as_str(), state.conversation().title.as_str()), ("Coding assistant", "Quickstart"));
    assert_eq!(state.batch.opening.as_ref().map(|opening| &opening.path), Some(&path));
}

#[test]
fn the_samples_give_way_to_what_is_opened_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, talk) = (folder.path().join("p.yaml"), folder.path().join("talk.txt"));
    std::fs::write(&policy, POLICY).unwrap();
    std::fs::write(&talk, "User: hi\n").unwrap();
    let titles = |files: &[&Path]| {
        let app = start(files, None);
        let policies: Vec<String> = app.state().policies.iter().map(|document| document.title.clone()).collect();
        let conversations: Vec<String> = app.state().conversations.iter().map(|document| document.title.clone()).collect();
        (policies, conversations)
    };
    let of = |policy: &str, conversation: &str| (vec![policy.to_owned()], vec![conversation.to_owned()]);
    assert_eq!(titles(&[]), of("Coding assistant", "Quickstart"));
    assert_eq!(titles(&[&policy]), of("p", "Quickstart"));
    assert_eq!(titles(&[&talk]), of("Coding assistant", "talk"));
    assert_eq!(titles(&[&talk, &policy]), of("p", "talk"));
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
fn what_is_changed_again_after_it_was_asked_about_is_asked_about_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    std::fs::write(&path, POLICY).unwrap();
    let mut app = start(&[&path], None);
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "unsaved".to_owned() }));
    let written = || std::fs::read_to_string(&path).unwrap();
    let [first, second, third] = ["other", "another", "yet_another"].map(|name| POLICY.replace("name: a", &format!("name: {name}")));
    std::fs::write(&path, first).unwrap();
    app.check_disk();
    assert!(is_asked(&app));
    std::fs::write(&path, &second).unwrap();
    app.run(Command::Answer(Answer::KeepMine));
    assert!(!is_asked(&app));
    app.run(Command::Perform(Action::Save));
    assert!(is_asked(&app) && written() == second);
    // Overwriting it is for what was seen, too.
    std::fs::write(&path, &third).unwrap();
    app.run(Command::Answer(Answer::KeepMine));
    assert!(is_asked(&app) && written() == third);
    app.run(Command::Answer(Answer::KeepMine));
    assert!(!is_asked(&app) && written().contains("unsaved") && !app.state().policy().is_modified());
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

#[test]
fn the_other_keys_of_a_conversation_outlive_an_edit_a_restart_and_saving() {
    let folder = tempfile::tempdir().unwrap();
    let (path, drafts) = (folder.path().join("talk.json"), folder.path().join("drafts"));
    let talk = r#"{"id": "case-17", "metadata": {"n": 1.50}, "messages": [{"role": "user", "content": "hi"}]}"#;
    std::fs::write(&path, talk).unwrap();
    let mut app = start(&[&path], Some(&drafts));
    app.run(Command::EditConversation(ConversationEdit::SetText { message: 0, text: "hello".to_owned() }));
    drop(app);
    let mut app = start(&[], Some(&drafts));
    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::Perform(Action::Save));
    let saved = std::fs::read_to_string(&path).unwrap();
    let [before, after] = [talk, &saved].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
    assert_eq!(after["messages"][0]["content"], "hello");
    assert_eq!((&after["id"], &after["metadata"]), (&before["id"], &before["metadata"]));
}

#[test]
fn a_conversation_that_is_a_list_of_messages_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy, note, drafts] = ["talk.json", "copy.json", "talk.txt", "drafts"].map(|name| folder.path().join(name));
    std::fs::write(&path, r#"[{"role": "user", "content": "hi"}]"#).unwrap();
    let mut app = start(&[&path], Some(&drafts));
    let pasted = Conversation::from_prompt("hello");
    app.run(Command::EditConversation(ConversationEdit::Replace(pasted)));
    drop(app);
    let mut app = start(&[], Some(&drafts));
    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::Perform(Action::Save));
    let list = "[\n  {\n    \"role\": \"user\",\n    \"content\": \"hello\"\n  }\n]\n";
    assert_eq!(std::fs::read_to_string(&path).unwrap(), list);
    let id = app.state().conversation().id;
    for path in [copy, note] {
        app.run(Command::SaveTo(id, path.clone()));
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), app.state().save_beside(id)), (list, None));
    }
}

#[test]
fn saving_puts_no_other_format_under_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let (policy, talk) = (folder.path().join("policy.json"), folder.path().join("talk.txt"));
    let json = "[{\"name\": \"a\", \"description\": \"b\"}]\n";
    std::fs::write(&policy, json).unwrap();
    std::fs::write(&talk, "User: hi\n").unwrap();
    let mut app = start(&[&policy, &talk], None);
    app.run(Command::Perform(Action::ShowPolicy));
    app.run(Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "c".to_owned() }));
    app.run(Command::Perform(Action::Save));
    assert_eq!(std::fs::read_to_string(&policy).unwrap(), json.replace("\"b\"", "\"c\""));
    app.run(Command::EditPolicy(PolicyEdit::AddRoute));
    app.run(Command::Perform(Action::Save));
    assert!(app.state().policy().is_modified() && std::fs::read_to_string(&policy).unwrap().starts_with('['));
    let id = app.state().policy().id;
    assert_eq!(app.state().save_beside(id), Some(folder.path().join("policy.yaml")));

    app.run(Command::Perform(Action::ShowPlayground));
    app.run(Command::EditConversation(ConversationEdit::SetText { message: 0, text: "hello".to_owned() }));
    app.run(Command::Perform(Action::Save));
    assert_eq!(std::fs::read_to_string(&talk).unwrap(), "User: hi\n");
    // Whoever chooses the name wants it so, and is not asked again.
    let id = app.state().conversation().id;
    app.run(Command::SaveTo(id, talk.clone()));
    assert_eq!(app.state().save_beside(id), None);
}

#[test]
fn a_byte_order_mark_and_the_line_ends_of_windows_outlive_saving() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.yaml");
    let text = format!("\u{feff}{}", POLICY.replace('\n', "\r\n"));
    std::fs::write(&path, &text).unwrap();
    let mut app = start(&[&path], None);
    app.run(Command::EditPolicy(PolicyEdit::Rename { route: 0, name: "z".to_owned() }));
    app.run(Command::Perform(Action::Save));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text.replace("name: a", "name: \"z\""));
}

#[test]
fn where_no_file_dialog_opens_the_remedy_is_told() {
    let mut app = start(&[], None);
    app.run(Command::NoFileDialog);
    let told = &app.state().log.open().0.unwrap().text;
    assert!(told.contains("install xdg-desktop-portal or zenity"), "{told}");
}

#[test]
fn new_policies_are_numbered_among_those_that_are_open() {
    let mut app = start(&[], None);
    let untitled = |app: &App| -> Vec<(DocId, String)> {
        let new = app.state().policies.iter().filter(|document| document.title.starts_with("Untitled"));
        new.map(|document| (document.id, document.title.clone())).collect()
    };
    let titles = |app: &App| -> Vec<String> { untitled(app).into_iter().map(|(_, title)| title).collect() };
    app.run(Command::Perform(Action::NewPolicy));
    app.run(Command::Perform(Action::NewPolicy));
    assert_eq!(titles(&app), ["Untitled 1", "Untitled 2"]);
    let first = untitled(&app)[0].0;
    app.run(Command::ClosePolicy(first));
    app.run(Command::Perform(Action::NewPolicy));
    assert_eq!(titles(&app), ["Untitled 2", "Untitled 1"]);
}

//! Exports of many conversations: read beside the drawing, searched, put on the shelf.

use egui::Event;
use waypost::app::{Command, Dialog, LARGE_TEXT};

use super::{click, has, perform, texts, wait_for, window, write_in};
use crate::fake_router::{Behaviour, options};

/// An export of so many conversations, the oldest first, each with an answer of so many bytes.
fn export(count: usize, bytes: usize) -> String {
    let answer = "x".repeat(bytes);
    let conversation = |n: usize| {
        format!(
            r#"{{"name": "Talk {n}.", "updated_at": "2026-01-01T00:00:{n:06}Z", "chat_messages": [{{"sender": "human", "text": "question {n}"}}, {{"sender": "assistant", "text": "{answer}"}}]}}"#
        )
    };
    let conversations: Vec<String> = (0..count).map(conversation).collect();
    format!("[{}]", conversations.join(","))
}

#[test]
fn a_large_export_is_searched_and_its_newest_conversations_go_on_the_shelf() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conversations.json");
    std::fs::write(&path, export(300, 8000)).unwrap();
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Open(path.clone()));
    wait_for(&mut harness, "Understood as: Claude export, 300 conversations");
    assert!(has(&harness, "conversations.json, 2.4 MB") && has(&harness, "Add first 60 to shelf"), "{:#?}", texts(&harness));
    assert!(has(&harness, "Talk 299.") && !has(&harness, "Talk 100."), "the newest first, and only what is in view is drawn");

    write_in(&mut harness, "Search titles", "talk 12");
    assert!(has(&harness, "Talk 129.") && !has(&harness, "Talk 299."), "{:#?}", texts(&harness));
    click(&mut harness, "Add all 11 to shelf");
    let shelf = |harness: &egui_kittest::Harness<'_, waypost::ui::Window>| {
        let state = harness.state().app().state();
        let titles: Vec<String> = state.conversations.iter().map(|document| document.title.clone()).collect();
        (titles.len(), titles[1].clone(), state.conversation().title.clone())
    };
    assert_eq!(shelf(&harness), (12, "Talk 129.".to_owned(), "Talk 129.".to_owned()));

    perform(&mut harness, Command::Open(path));
    wait_for(&mut harness, "Add first 60 to shelf");
    // The dialog finds its size and place first.
    harness.run();
    click(&mut harness, "Add first 60 to shelf");
    assert_eq!(shelf(&harness).0, 72);
}

#[test]
fn a_large_text_that_is_pasted_is_not_laid_out() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::ImportText(String::new()));
    let text = export(4, LARGE_TEXT as usize / 2);
    harness.event(Event::Paste(text));
    harness.run();
    wait_for(&mut harness, "Understood as: Claude export, 4 conversations");
    assert!(has(&harness, "Pasted text, 2.0 MB"), "{:#?}", texts(&harness));
    click(&mut harness, "Paste text instead");
    assert!(matches!(&harness.state().app().state().dialog, Some(Dialog::Import(import)) if import.source.is_none()));
}

#[test]
fn what_is_read_after_its_dialog_was_closed_is_forgotten() {
    let mut harness = window(options(Behaviour::Decide));
    // Both before a frame is drawn, and so before anything that was read can arrive.
    harness.state_mut().run(Command::ImportText(export(4, LARGE_TEXT as usize)));
    harness.state_mut().run(Command::CloseDialog);
    harness.state_mut().run(Command::ImportText(export(2, LARGE_TEXT as usize)));
    wait_for(&mut harness, "Understood as: Claude export, 2 conversations");
}

#[test]
fn what_an_import_leaves_out_or_doubts_is_said() {
    let mut harness = window(options(Behaviour::Decide));
    let log = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n{\"note\": 1}\n{\"note\": 2}";
    perform(&mut harness, Command::ImportText(log.to_owned()));
    harness.run();
    let left_out = "2 entries were left out: they are of another kind, cannot be read or have no user message";
    assert!(has(&harness, left_out), "{:#?}", texts(&harness));
    perform(&mut harness, Command::ImportText("User: a\nassistant: b\nUser: c".to_owned()));
    harness.run();
    let doubt = "does not start a message, because the first line marks its role in another way";
    assert!(texts(&harness).iter().any(|text| text.contains(doubt)), "{:#?}", texts(&harness));
}

//! The cases of a run: found, looked at one after the other, opened in the Playground.

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, BatchCommand, CaseQuery, Command, Figure, Verdict};
use waypost::chat::{Conversation, ConversationEdit, Message};
use waypost::policy::{DialectId, PolicyEdit};
use waypost::ui::Window;

use super::{agreement, measured, measured_set, wait_for_run};
use crate::fake_router::Behaviour;
use crate::workbench::{click, has, perform, press, texts, wait_for, wait_until, write_in};

#[test]
fn cases_are_found_by_verdict_words_and_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    assert!((agreement(&harness) - 4.0 / 6.0).abs() < 1e-9);
    assert!(has(&harness, "Case a: label billing, decided billing, 91.3 %, right"), "{:#?}", texts(&harness));
    click(&mut harness, "Wrong");
    wait_for(&mut harness, "2 of 6");
    assert!(has(&harness, "Case d: label shipping, decided No route") && !has(&harness, "Case a: "));
    click(&mut harness, "Clear the filters");
    // What was said counts too, also where the table shows only its beginning.
    write_in(&mut harness, "Search cases", "DRIVER never");
    wait_for(&mut harness, "1 of 6");
    assert!(has(&harness, "Case d: "));
    click(&mut harness, "Clear the filters");
    click(&mut harness, "List");
    harness.get_by_label_contains("shipping decided as billing: 1 case").click();
    harness.run();
    wait_for(&mut harness, "1 of 6");
    assert!(has(&harness, "Case f: ") && !has(&harness, "Case d: "));
    // Sorting by confidence twice and once more goes back to the order of the set.
    click(&mut harness, "Clear the filters");
    wait_until(&mut harness, "all rows", |harness| harness.state().app().state().batch.rows.len() == 6);
    click(&mut harness, "Sort by Label");
    click(&mut harness, "Sort by Label, sorted upwards");
    let first = |harness: &Harness<'_, Window>| harness.state().app().state().batch.rows.first().copied();
    wait_until(&mut harness, "the last label first", |harness| first(harness) == Some(5));
}

#[test]
fn errors_stand_in_the_matrix_and_lead_to_their_cases() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Errors, folder.path(), None);
    assert!(has(&harness, "Confusion matrix of 3 labels and errors; "), "{:#?}", texts(&harness));
    click(&mut harness, "List");
    // Of three cases b is right, d an error and f taken for billing.
    assert!(has(&harness, "shipping decided as billing: 1 case, 33.3 % of the label's"), "{:#?}", texts(&harness));
    harness.get_by_label_contains("shipping with an error: 1 case, 33.3 % of the label's").click();
    harness.run();
    wait_for(&mut harness, "1 of 6");
    assert!(has(&harness, "Case d: label shipping, decided Error") && !has(&harness, "Case e: "), "{:#?}", texts(&harness));
    // Once more for all.
    harness.get_by_label_contains("shipping with an error: ").click();
    wait_until(&mut harness, "all rows", |harness| harness.state().app().state().batch.rows.len() == 6);
}

#[test]
fn parts_of_the_set_lead_to_their_cases() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tagged.jsonl");
    let said = |text: &str| format!("{{\"role\": \"user\", \"content\": \"{text}\"}}");
    let (first, second, alone) = (said("where is my parcel"), said("refund please"), said("charge it"));
    let lines = format!(
        "{{\"id\": \"a\", \"messages\": [{first}, {second}], \"labels\": [\"shipping\", \"shipping\"], \"tags\": [\"long\"]}}\n\
         {{\"id\": \"b\", \"messages\": [{alone}], \"route\": \"billing\", \"tags\": [\"short\"]}}\n"
    );
    std::fs::write(&path, lines).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(Figure::More)));
    for text in ["With one label", "By length of the span", "2 turns", "First wrong turn of the span", "Turn 2 of the span"] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    let rows = |harness: &Harness<'_, Window>| harness.state().app().state().batch.rows.to_vec();
    let press_part = |harness: &mut Harness<'_, Window>, part: &str| {
        harness.get_by_label(part).focus();
        harness.run();
        press(harness, Modifiers::NONE, Key::Enter);
    };
    press_part(&mut harness, "Tag long: 50.0 % of 2 cases");
    wait_until(&mut harness, "the cases of the tag", |harness| rows(harness) == [0, 1]);
    press_part(&mut harness, "Turn 2: 0.0 % of 1 case");
    wait_until(&mut harness, "the second turn", |harness| rows(harness) == [1]);
    perform(&mut harness, Command::Batch(BatchCommand::Select(Some(1))));
    assert!(has(&harness, "Tags: long"), "{:#?}", texts(&harness));
    click(&mut harness, "Remove the filter Turn 2");
    wait_until(&mut harness, "all cases", |harness| rows(harness) == [0, 1, 2]);
    // What is typed finds tags too.
    write_in(&mut harness, "Search cases", "SHOR");
    wait_until(&mut harness, "the other tag", |harness| rows(harness) == [2]);
}

#[test]
fn wrong_cases_follow_each_other_in_the_order_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let follows = |harness: &Harness<'_, Window>| {
        let batch = &harness.state().app().state().batch;
        [true, false].map(|backwards| batch.next_wrong(backwards).map(|(_, position)| position))
    };
    // Cases d and f, the fourth and the last.
    assert_eq!(follows(&harness), [None, Some(3)]);
    perform(&mut harness, Command::Perform(Action::NextWrong));
    assert_eq!(follows(&harness), [None, Some(5)]);
    perform(&mut harness, Command::Perform(Action::NextWrong));
    assert_eq!(follows(&harness), [Some(3), None]);
    perform(&mut harness, Command::Batch(BatchCommand::Select(Some(4))));
    assert_eq!(follows(&harness), [Some(3), Some(5)], "from a case that is right too");
    perform(&mut harness, Command::Batch(BatchCommand::Query(CaseQuery { descending: true, ..CaseQuery::default() })));
    wait_until(&mut harness, "the rows", |harness| harness.state().app().state().batch.rows.first() == Some(&5));
    assert_eq!(follows(&harness), [Some(5), Some(3)]);
    perform(&mut harness, Command::Batch(BatchCommand::Query(CaseQuery { verdict: Verdict::Agrees, ..CaseQuery::default() })));
    wait_until(&mut harness, "fewer rows", |harness| harness.state().app().state().batch.rows.len() == 4);
    assert_eq!(follows(&harness), [None, None]);
}

#[test]
fn the_answer_at_the_end_of_an_export_is_neither_asked_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.json");
    let case = r#"[{"conversations": [{"from": "human", "value": "where is my parcel"}, {"from": "gpt", "value": "see the invoice"}], "label": "shipping"}]"#;
    std::fs::write(&path, case).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    assert_eq!(agreement(&harness), 1.0, "the answer has a word of billing");
    perform(&mut harness, Command::Batch(BatchCommand::Select(Some(0))));
    wait_until(&mut harness, "the case", |harness| harness.state().app().state().batch.case.is_some());
    let shown = harness.state().app().state().batch.case.as_ref().unwrap().conversation.clone().unwrap();
    assert_eq!(*shown, Conversation::from_prompt("where is my parcel"));
}

#[test]
fn cases_without_a_decision_stand_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::FailRequests("the prompt is too long"), folder.path(), None);
    for text in [
        "6 of 6 cases were not decided (the prompt is too long)",
        "6 not decided: the router could not read them",
        "Errors 0",
        "Partial: 0 of 6",
        "Case a: label billing, decided Not decided, left out",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    let batch = &harness.state().app().state().batch;
    assert!(batch.next_wrong(false).is_none() && harness.state().app().state().library.runs[0].partial);
    click(&mut harness, "Not decided");
    wait_until(&mut harness, "all of them", |harness| harness.state().app().state().batch.rows.len() == 6);
    click(&mut harness, "Errors");
    wait_until(&mut harness, "none of them", |harness| harness.state().app().state().batch.rows.is_empty());
}

#[test]
fn a_case_opens_in_the_playground_and_a_conversation_joins_a_set() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    harness.get_by_label_contains("Case b: ").click();
    wait_for(&mut harness, "where is my parcel");
    wait_until(&mut harness, "the case", |harness| harness.state().app().state().batch.case.is_some());
    press(&mut harness, Modifiers::NONE, Key::F4);
    assert_eq!(harness.get_by_label("Message 1").value().unwrap(), "where is my parcel");
    wait_for(&mut harness, "shipping: 91.3 %, chosen");
    let measured_on =
        |harness: &Harness<'_, Window>| harness.state().app().state().batch.view.as_ref().unwrap().run.info.set.sha256.clone();
    let before = measured_on(&harness);
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::A);
    assert_eq!(harness.get_by_label("Expected route").value().unwrap(), "shipping", "the decision is proposed");
    perform(&mut harness, Command::AddLabel { turn: 0, label: "billing".to_owned() });
    click(&mut harness, "Add to set");
    let path = folder.path().join("labelled.jsonl");
    wait_until(&mut harness, "the new line", |_| std::fs::read_to_string(&path).unwrap().lines().count() == 8);
    let written = std::fs::read_to_string(&path).unwrap();
    let last = written.lines().last().unwrap();
    assert!(last.contains("where is my parcel") && last.contains("\"route\": \"billing\""), "{last}");
    let cases = |harness: &Harness<'_, Window>| harness.state().app().state().batch.set.as_ref().map(|open| open.set.cases().len());
    wait_until(&mut harness, "the longer set", |harness| cases(harness) == Some(7));
    assert_eq!(measured_on(&harness), before, "the run is of the set without the new case");

    // Another message: now each can have a label of its own.
    let said = |text: &str| Message::new(waypost::chat::Role::User, text);
    let two = Conversation::from(vec![said("where is my parcel"), said("and my invoice?")]);
    perform(&mut harness, Command::EditConversation(ConversationEdit::Replace(two)));
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::A);
    perform(&mut harness, Command::AddLabel { turn: 0, label: "billing".to_owned() });
    click(&mut harness, "A label for each user message");
    let label = |message: usize| harness.get_by_label(&format!("Expected route of user message {message}")).value().unwrap();
    assert_eq!([label(1), label(2)], ["Choose…", "billing"], "nobody chose the first one, and the last one's is not its own");
    perform(&mut harness, Command::AddLabel { turn: 0, label: "shipping".to_owned() });
    perform(&mut harness, Command::AddLabel { turn: 1, label: "billing".to_owned() });
    assert_eq!(harness.get_by_label("Expected route of user message 2").value().unwrap(), "billing");
    click(&mut harness, "Add to set");
    wait_until(&mut harness, "the labels", |_| std::fs::read_to_string(&path).unwrap().contains("\"labels\": [\"shipping\", \"billing\"]"));
    // Now the set has cases with a label for each, so the next one starts as such.
    wait_until(&mut harness, "the set with them", |harness| {
        harness.state().app().state().batch.set.as_ref().is_some_and(|open| open.set.is_per_turn())
    });
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::A);
    assert!(has(&harness, "Expected route of user message 2"), "{:#?}", texts(&harness));
}

#[test]
fn a_case_that_something_else_decides_in_the_playground_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.jsonl");
    let said = "\"messages\": [{\"role\": \"user\", \"content\": \"where is my parcel\"}]";
    let own = "\"routes\": [{\"name\": \"post\", \"description\": \"parcel letter\"}]";
    let lines = format!("{{\"id\": \"a\", {said}, \"route\": \"shipping\"}}\n{{\"id\": \"b\", {said}, \"route\": \"post\", {own}}}\n");
    std::fs::write(&path, lines).unwrap();
    let mut harness = measured_set(Behaviour::Words, &path, None);
    let open = |harness: &mut Harness<'_, Window>, case: u32| {
        perform(harness, Command::Perform(Action::ShowBatch));
        perform(harness, Command::Batch(BatchCommand::Select(Some(case))));
        wait_until(harness, "the case", |harness| {
            harness.state().app().state().batch.case.as_ref().is_some_and(|open| open.position == case)
        });
        perform(harness, Command::Perform(Action::OpenCase));
        harness.state().app().state().opened_notice().map(str::to_owned)
    };
    assert_eq!(open(&mut harness, 0), None);
    let notice = open(&mut harness, 1).unwrap();
    assert!(notice.starts_with("The run decided this case among routes of its own; here"), "{notice}");
    assert!(has(&harness, &notice), "{:#?}", texts(&harness));
    // Another name decides nothing, another description does.
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some("copy".to_owned()))));
    assert_eq!(open(&mut harness, 0), None);
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "delivery".to_owned() }));
    let notice = open(&mut harness, 0).unwrap();
    assert!(notice.starts_with("The run decided this case with another policy; here"), "{notice}");
    perform(&mut harness, Command::Batch(BatchCommand::SetDialect(Some(DialectId::Plano0420))));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let notice = open(&mut harness, 0).unwrap();
    assert!(notice.starts_with("The run decided this case in the dialect plano-0.4.20; here"), "{notice}");
    perform(&mut harness, Command::Perform(Action::NewConversation));
    assert_eq!(harness.state().app().state().opened_notice(), None, "it is about the case alone");
}

//! The Export tab: what it shows is what is written, and nothing untested leaves without a question.

use std::sync::Arc;

use waypost::app::measure::write_run;
use waypost::app::{Action, Command, ExportCommand};
use waypost::chat::Conversation;
use waypost::decision::{Outcome, RouterInfo};
use waypost::engine::RouteRequest;
use waypost::eval::{LeftOut, Run, RunInfo, Source, TurnKey, TurnResult};
use waypost::formats::{ExportFormat, policy_digest};
use waypost::policy::{DialectId, Policy, PolicyEdit};

use super::{click, has, perform, texts, wait_for, wait_until, window, window_in};
use crate::fake_router::{Behaviour, decision, options};

const CONFIG: &str = "# ours\nversion: v0.4.0\nlisteners: []   # none\nmodel_providers:\n  - model: openai/gpt-5   # keep\n    access_key: $KEY\n    default: true\nrouting_preferences:\n  - {name: old, description: gone, models: [openai/gpt-5]}\ntracing:\n  random_sampling: 5\n";

#[test]
fn routes_go_into_an_existing_configuration_after_a_question_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plano.yaml");
    std::fs::write(&path, CONFIG).unwrap();
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    wait_for(&mut harness, "Line 1: # waypost: WARNING, this policy was not tested");
    assert!(has(&harness, "Not tested"), "{:#?}", texts(&harness));

    perform(&mut harness, Command::Export(ExportCommand::Into(Some(path.clone()))));
    wait_for(&mut harness, "Removed line 9: ");
    assert!(has(&harness, "Line 7:     default: true") && !has(&harness, "# ours"), "what stays far from a change is not shown");
    click(&mut harness, "Write export");
    assert!(has(&harness, "This policy was not tested"), "{:#?}", texts(&harness));
    click(&mut harness, "Cancel");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), CONFIG);

    // Another program was faster: its version is looked at first.
    let theirs = CONFIG.replace("random_sampling: 5", "random_sampling: 7");
    std::fs::write(&path, &theirs).unwrap();
    click(&mut harness, "Write export");
    click(&mut harness, "Export anyway");
    assert!(has(&harness, "Not written: another program changed"), "{:#?}", texts(&harness));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), theirs);
    wait_until(&mut harness, "the new preview", |harness| harness.state().app().state().export_obstacle().is_none());
    click(&mut harness, "Write export");
    click(&mut harness, "Export anyway");
    wait_for(&mut harness, "Written to ");
    let written = std::fs::read_to_string(&path).unwrap();
    let own = |line: &&str| CONFIG.lines().any(|old| old == *line);
    assert!(written.contains("bug_fixing") && written.contains("random_sampling: 7") && !written.contains("gone"), "{written}");
    assert_eq!(written.lines().filter(own).count(), CONFIG.lines().count() - 2, "{written}");
    assert!(has(&harness, "The configuration holds exactly this policy already"));
}

#[test]
fn the_gateway_that_is_exported_for_is_remembered_and_its_own_traps_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    let models = "models: [openai/gpt-5]";
    perform(&mut harness, Command::EditYaml(format!("routes:\n  - {{name: other, description: The rest, {models}}}\n")));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    wait_until(&mut harness, "the export", |harness| harness.state().app().state().export_obstacle().is_none());
    assert!(!has(&harness, "WP110"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Export(ExportCommand::Gateway(0)));
    wait_for(&mut harness, "WP110");
    drop(harness);
    let mut harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    wait_for(&mut harness, "WP110");
    perform(&mut harness, Command::Export(ExportCommand::Format(ExportFormat::LiteLlm)));
    drop(harness);
    let harness = window_in(options(Behaviour::Decide), Some(folder.path()));
    assert_eq!(harness.state().app().state().export.format, ExportFormat::LiteLlm);
}

#[test]
fn what_a_target_cannot_hold_is_said_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    for format in ExportFormat::ALL {
        click(&mut harness, &format!("Format {format}"));
        wait_until(&mut harness, "the export", |harness| harness.state().app().state().export_obstacle().is_none());
        let path = folder.path().join(format.as_str());
        perform(&mut harness, Command::Export(ExportCommand::WriteAnyway));
        perform(&mut harness, Command::Export(ExportCommand::WriteTo(path.clone())));
        let made = harness.state().app().state().export_made().unwrap().clone();
        assert_eq!(std::fs::read_to_string(path).unwrap(), made.text.as_ref().unwrap().exported.text);
    }
    perform(&mut harness, Command::EditYaml("routes:\n  - {name: a, description: b}\n".to_owned()));
    wait_for(&mut harness, "The gateway would refuse this");
    assert!(has(&harness, "no route has models"), "{:#?}", texts(&harness));
}

#[test]
fn a_policy_that_is_changed_while_its_file_is_chosen_is_asked_about_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.yaml");
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Perform(Action::ShowExport));
    wait_for(&mut harness, "Line 1: # waypost: WARNING, this policy was not tested");
    perform(&mut harness, Command::Export(ExportCommand::WriteAnyway));
    let edit = PolicyEdit::Describe { route: 0, description: "something else".to_owned() };
    harness.state_mut().run(Command::EditPolicy(edit));
    // Chosen before what is exported now was made.
    harness.state_mut().run(Command::Export(ExportCommand::WriteTo(path.clone())));
    wait_for(&mut harness, "Nothing was exported: the policy has changed in the meantime");
    wait_until(&mut harness, "the new export", |harness| harness.state().app().state().export_obstacle().is_none());
    perform(&mut harness, Command::Export(ExportCommand::WriteTo(path.clone())));
    assert!(has(&harness, "Export anyway?") && !path.exists(), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Export(ExportCommand::WriteAnyway));
    perform(&mut harness, Command::Export(ExportCommand::WriteTo(path.clone())));
    assert!(std::fs::read_to_string(&path).unwrap().contains("something else"));
}

/// The fake router answers as Arch-Router does, which current gateways cannot read.
#[test]
fn each_gateway_version_is_asked_and_a_dialect_that_it_does_not_send_is_told() {
    let mut harness = window(options(Behaviour::Decide));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::ShowExport));
    assert!(has(&harness, "Another dialect: Plano 0.4.20 and later sends plano-0.4.20, whatever router it asks"));
    click(&mut harness, "Check the dialects");
    wait_for(&mut harness, "archgw 0.3.1 to Plano 0.4.18 takes the route \"bug_fixing\" (91.3 %)");
    wait_for(&mut harness, "Plano 0.4.20 and later fails the request with HTTP 500");
    click(&mut harness, "Use plano-0.4.20 for this policy");
    wait_for(&mut harness, "It sends plano-0.4.20, the dialect used for decisions here");
    click(&mut harness, "Format plano-0.3");
    wait_for(&mut harness, "Another dialect: archgw 0.3.4 to Plano 0.4.14 sends archgw-0.3.1");
}

/// A run of one case, which was decided as it should be.
fn run_of(policy: &Arc<Policy>) -> Run {
    let labels: Vec<String> = policy.routes.iter().map(|route| route.name.clone()).chain(["other".to_owned()]).collect();
    let info = RunInfo {
        name: "Coding assistant".to_owned(),
        date: "2026-11-26T10:00:00Z".to_owned(),
        waypost: "0.1.0".to_owned(),
        policy: Source::default(),
        policy_digest: policy_digest(policy),
        set: Source { path: "set.jsonl".to_owned(), sha256: "ab".repeat(32) },
        router: RouterInfo { id: "fake".to_owned(), device: "cpu".to_owned(), dtype: "f32".to_owned(), temperature: None },
        router_digest: None,
        dialect: DialectId::DEFAULT,
        budget: None,
        orders: 0,
        seed: 0,
        planned: 1,
        beyond_limit: 0,
        reused: 0,
        seconds: 1.0,
        min_agreement: Some(0.8),
        min_recall: None,
        per_turn: false,
        one_label: Vec::new(),
        left_out: LeftOut::default(),
        incomplete: Vec::new(),
        labels: labels.clone(),
    };
    let key = TurnKey {
        conversation: 0,
        line: 1,
        id: Arc::from("a"),
        turn: 0,
        digest: None,
        preview: Arc::default(),
        label: Arc::from(labels[1].as_str()),
        tags: Arc::default(),
        routes: None,
    };
    let request = RouteRequest::new(Arc::clone(policy), Conversation::default(), DialectId::DEFAULT);
    let decided = decision(&request, Some(labels[1].clone()));
    Run { info, policy: Arc::clone(policy), turns: vec![TurnResult::new(key, &decided, &labels)] }
}

/// The run is what the command line writes; a changed word makes it evidence of another policy.
#[test]
fn an_opened_run_is_the_evidence_until_the_policy_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Decide));
    let policy = harness.state().app().state().routes().clone();
    let run = run_of(&policy);
    write_run(folder.path(), &run).unwrap();
    perform(&mut harness, Command::Perform(Action::ShowExport));
    perform(&mut harness, Command::Export(ExportCommand::OpenRun(folder.path().to_owned())));
    wait_for(&mut harness, "Agreement 100.0 %");
    assert!(has(&harness, "Tested") && has(&harness, "Line 1: # waypost: tested on 2026-11-26"), "{:#?}", texts(&harness));

    let path = folder.path().join("out.yaml");
    perform(&mut harness, Command::Export(ExportCommand::WriteTo(path)));
    let evidence = std::fs::read_to_string(folder.path().join("routes.evidence.json")).unwrap();
    assert!(evidence.contains(&policy_digest(&policy)), "{evidence}");
    perform(&mut harness, Command::EditPolicy(PolicyEdit::SetName(Some("Another".to_owned()))));
    wait_for(&mut harness, "Changed since it was tested");
}

#[test]
fn failed_requests_and_the_built_in_router_stand_beside_the_agreement() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Decide));
    let policy = harness.state().app().state().routes().clone();
    let mut run = run_of(&policy);
    (run.info.min_agreement, run.info.router.id) = (None, "builtin".to_owned());
    let turn = &mut run.turns[0];
    (turn.outcome, turn.decided, turn.error) = (Outcome::Error, None, Some("no JSON".to_owned()));
    write_run(folder.path(), &run).unwrap();
    perform(&mut harness, Command::Perform(Action::ShowExport));
    perform(&mut harness, Command::Export(ExportCommand::OpenRun(folder.path().to_owned())));
    wait_for(&mut harness, "Fails most requests");
    for text in ["The gateway fails most requests of its test (1 of 1)", "1 of 1 requests fails with HTTP 500", "Tested with the built-in"]
    {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
}

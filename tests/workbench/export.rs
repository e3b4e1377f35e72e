//! The Export tab: what it shows is what is written, and nothing untested leaves without a question.

use waypost::app::{Action, Command, ExportCommand};
use waypost::formats::ExportFormat;

use super::{click, has, perform, texts, wait_for, wait_until, window};
use crate::fake_router::{Behaviour, options};

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
    click(&mut harness, "Export all the same");
    assert!(has(&harness, "Not written: another program changed"), "{:#?}", texts(&harness));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), theirs);
    wait_until(&mut harness, "the new preview", |harness| harness.state().app().state().export_obstacle().is_none());
    click(&mut harness, "Write export");
    click(&mut harness, "Export all the same");
    wait_for(&mut harness, "Written to ");
    let written = std::fs::read_to_string(&path).unwrap();
    let own = |line: &&str| CONFIG.lines().any(|old| old == *line);
    assert!(written.contains("bug_fixing") && written.contains("random_sampling: 7") && !written.contains("gone"), "{written}");
    assert_eq!(written.lines().filter(own).count(), CONFIG.lines().count() - 2, "{written}");
    assert!(has(&harness, "The configuration holds exactly this policy already"));
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
        perform(&mut harness, Command::Export(ExportCommand::WriteTo(path.clone())));
        let made = harness.state().app().state().export_made().unwrap().clone();
        assert_eq!(std::fs::read_to_string(path).unwrap(), made.text.as_ref().unwrap().exported.text);
    }
    perform(&mut harness, Command::EditYaml("routes:\n  - {name: a, description: b}\n".to_owned()));
    wait_for(&mut harness, "The gateway would refuse this");
    assert!(has(&harness, "no route has models"), "{:#?}", texts(&harness));
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
    wait_for(&mut harness, "It sends plano-0.4.20, the dialect that decisions are made in here");
}

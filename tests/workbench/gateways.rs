//! Findings beside the policy, and gateways' configurations coming in.

use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Command, Dialog};
use waypost::policy::{DialectId, PolicyEdit};

use super::{click, has, perform, press, texts, wait_for, window};
use crate::fake_router::{Behaviour, options};

const BAD: &str = "routes:\n  - name: bob's\n    description: Cooking, baking and what to drink with a bob\n    models: [openai/gpt-5]\nfallback: openai/gpt-5\n";

#[test]
fn findings_stand_beside_the_route_and_their_fixes_can_be_undone() {
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::EditYaml(BAD.replace("Cooking, baking", "Make anything")));
    wait_for(&mut harness, "Findings: 1 error, 2 pieces of advice");
    assert!(has(&harness, "Route bob's, Error: the name"), "{:#?}", texts(&harness));
    click(&mut harness, "Rename to bobs");
    wait_for(&mut harness, "Findings: 2 pieces of advice");
    assert!(has(&harness, "Route bobs"));

    click(&mut harness, "Explain WP302 of bobs");
    assert!(has(&harness, "Descriptions should be specific and unambiguous"));
    click(&mut harness, "Close");
    click(&mut harness, "Hide WP302 of bobs");
    wait_for(&mut harness, "Findings: 1 piece of advice");
    press(&mut harness, Modifiers::COMMAND | Modifiers::SHIFT, Key::F);
    click(&mut harness, "Show hidden advice");
    wait_for(&mut harness, "Findings: 2 pieces of advice");

    press(&mut harness, Modifiers::COMMAND, Key::Z);
    wait_for(&mut harness, "Findings: 1 error, 2 pieces of advice");
    assert!(has(&harness, "line 2, route bob's"), "{:#?}", texts(&harness));
}

/// A v0.4.0 file whose routes stand where that version does not look: it starts, and routes nothing.
#[test]
fn a_gateways_configuration_is_shown_before_it_becomes_a_policy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plano.yaml");
    std::fs::write(&path, include_str!("../fixtures/gateway/inline_v0.4.0.yaml")).unwrap();
    let mut harness = window(options(Behaviour::Decide));
    let before = harness.state().app().state().routes().clone();
    perform(&mut harness, Command::Open(path.clone()));
    assert!(has(&harness, "Import plano.yaml") && has(&harness, "silently ignores 1 thing"), "{:#?}", texts(&harness));
    assert!(has(&harness, "Ignored, line 7: routing_preferences inside the provider"));
    click(&mut harness, "Cancel");
    assert_eq!(harness.state().app().state().policies.len(), 1);

    // Two files that are dropped together are asked about one after the other.
    let second = folder.path().join("refused.yaml");
    std::fs::write(&second, include_str!("../fixtures/gateway/top_level_0.4.15.yaml")).unwrap();
    perform(&mut harness, Command::Open(path));
    perform(&mut harness, Command::Open(second));
    click(&mut harness, "Replace current policy");
    assert_ne!(harness.state().app().state().routes(), &before);
    assert!(matches!(&harness.state().app().state().dialog, Some(Dialog::Gateway(import)) if import.path.ends_with("refused.yaml")));
    click(&mut harness, "Add as new policy");
    let state = harness.state().app().state();
    assert_eq!((state.policies.len(), state.policy().is_modified()), (2, true));
    press(&mut harness, Modifiers::COMMAND, Key::W);
    click(&mut harness, "Close without saving");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(harness.state().app().state().routes(), &before);
}

#[test]
fn a_route_file_that_chat_ui_no_longer_reads_for_its_descriptions_is_called_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("routes.json");
    std::fs::write(&path, include_str!("../fixtures/gateway/chat_ui.json")).unwrap();
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Open(path));
    let ignored = "Ignored, line 1: chat-ui has ignored the descriptions since June 2026";
    assert!(has(&harness, ignored) && !has(&harness, "accepts this file as it is"), "{:#?}", texts(&harness));
    let note = harness.get_by_label_contains(ignored).rect();
    assert!(note.height() > 50.0, "it takes two lines, and one for the remedy: {note:?}");
    press(&mut harness, Modifiers::NONE, Key::Enter);
    assert_eq!(harness.state().app().state().policies.len(), 2, "added as a new one");
}

#[test]
fn a_configuration_without_routes_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.yaml");
    std::fs::write(&path, "version: v0.4.0\nlisteners: []\nmodel_providers: []\n").unwrap();
    let mut harness = window(options(Behaviour::Decide));
    perform(&mut harness, Command::Open(path));
    assert!(has(&harness, "holds no routes; add routes"), "{:#?}", texts(&harness));
    assert!(harness.state().app().state().dialog.is_none());
}

#[test]
fn the_budget_of_a_plano_is_set_beside_its_dialect() {
    let mut harness = window(options(Behaviour::Decide));
    assert!(!has(&harness, "Budget of the prompt"), "gateways of the usual dialect have no such setting");
    let limits = [
        (PolicyEdit::SetBudget(Some(300)), 2048),
        (PolicyEdit::SetDialect(Some(DialectId::Plano0420)), 300),
        (PolicyEdit::SetBudget(None), 8192),
    ];
    for (edit, limit) in limits {
        perform(&mut harness, Command::EditPolicy(edit));
        assert_eq!(harness.state().app().state().prompt.selection.budget.unwrap().limit, limit);
    }
    assert!(has(&harness, "Budget of the prompt"), "{:#?}", texts(&harness));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(harness.state().app().state().routes().budget, Some(300));
}

#[test]
fn a_route_called_other_is_not_taken_for_no_route_nor_the_first_model_for_the_cheapest() {
    let mut harness = window(options(Behaviour::Decide));
    let yaml = "dialect: plano-0.4.20\nroutes:\n  - {name: a, description: b}\n  - name: other\n    description: c\n    \
                models: [m/x, m/y]\n    selection_policy: {prefer: cheapest}\n";
    perform(&mut harness, Command::EditYaml(yaml.to_owned()));
    wait_for(&mut harness, "other: 91.3 %, chosen");
    let none: Vec<String> = texts(&harness).into_iter().filter(|text| text.starts_with("No route: ")).collect();
    assert!(none.len() == 1 && !none[0].contains("chosen"), "{none:?}");
    assert!(has(&harness, "served by one of m/x, m/y (Plano picks the cheapest)"), "{:#?}", texts(&harness));
}

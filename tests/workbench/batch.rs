//! Measuring in the window: the set, the run, its cases, their labels.

mod cases;
mod labels;

use std::path::{Path, PathBuf};

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, BatchCommand, BatchPart, Command, Figure, RouterPhase, StartOptions};
use waypost::engine::loader;
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{click, drawn, has, perform, press, texts, wait_for, wait_until, window, window_in, write_in};
use crate::fake_router::{Behaviour, options};
use crate::tiny_model::{Shape, Storage, TinyModel};

pub const POLICY: &str =
    "routes:\n  - name: billing\n    description: refund invoice charge\n  - name: shipping\n    description: parcel delivery courier\n";

/// Of these the words decide a, b, c and e right, find no route for d, and take f for billing.
const CASES: [(&str, &str, &str); 6] = [
    ("a", "please refund my invoice", "billing"),
    ("b", "where is my parcel", "shipping"),
    ("c", "refund for a parcel", "billing"),
    ("d", "the driver never came", "shipping"),
    ("e", "hello", "other"),
    ("f", "invoice for the courier", "shipping"),
];

/// Writes the cases above as a set, with a line in front that cannot be read.
pub fn write_set(folder: &Path) -> PathBuf {
    let line = |(id, text, label): &(&str, &str, &str)| {
        format!("{{\"id\": \"{id}\",  \"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}], \"route\": \"{label}\"}}\n")
    };
    let path = folder.join("labelled.jsonl");
    std::fs::write(&path, "no json\n".to_owned() + &CASES.iter().map(line).collect::<String>()).unwrap();
    path
}

pub fn open_set(harness: &mut Harness<'_, Window>, path: &Path) {
    perform(harness, Command::Batch(BatchCommand::OpenSet(path.to_owned())));
    wait_until(harness, "the set", |harness| harness.state().app().state().batch.set.is_some());
}

/// Waits until nothing is measured or computed any more.
pub fn wait_for_run(harness: &mut Harness<'_, Window>) {
    wait_until(harness, "the run", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.measuring.is_none() && batch.shown.is_some() && !batch.filtering
    });
}

fn agreement(harness: &Harness<'_, Window>) -> f64 {
    harness.state().app().state().batch.view.as_ref().unwrap().figures.agreement
}

/// A window in which the cases above were measured.
pub fn measured(behaviour: Behaviour, folder: &Path, drafts: Option<&Path>) -> Harness<'static, Window> {
    measured_set(behaviour, &write_set(folder), drafts)
}

fn measured_set(behaviour: Behaviour, set: &Path, drafts: Option<&Path>) -> Harness<'static, Window> {
    let mut harness = window_in(options(behaviour), drafts);
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    open_set(&mut harness, set);
    wait_for(&mut harness, "Ready");
    harness.get_by_role_and_label(Role::Button, "Measure agreement").click();
    harness.run();
    wait_for_run(&mut harness);
    harness
}

#[test]
fn the_sample_set_is_measured_with_two_clicks_and_kept() {
    let drafts = tempfile::tempdir().unwrap();
    let mut harness = window_in(options(Behaviour::Decide), Some(drafts.path()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    click(&mut harness, "Try the sample set");
    wait_for(&mut harness, "51 labelled conversations are ready");
    wait_for(&mut harness, "Ready");
    harness.get_by_role_and_label(Role::Button, "Measure agreement").click();
    harness.run();
    wait_for_run(&mut harness);
    // The fake takes everything for the second route.
    let right = include_str!("../../sample_policies/coding_assistant/labelled.jsonl").matches("\"route\": \"bug_fixing\"").count();
    assert!(has(&harness, "agreement over 51 cases"), "{:#?}", texts(&harness));
    assert!((agreement(&harness) - right as f64 / 51.0).abs() < 1e-9);
    drop(harness);

    let mut harness = window_in(options(Behaviour::Decide), Some(drafts.path()));
    press(&mut harness, Modifiers::COMMAND, Key::Num3);
    wait_for(&mut harness, "51 labelled conversations are ready");
    // Until the router is there a line more stands above the runs.
    wait_for(&mut harness, "Ready");
    assert!(has(&harness, "Or look at a run that was kept"));
    harness.get_by_label_contains("Coding assistant, 2").click();
    wait_for(&mut harness, "agreement over 51 cases");
}

#[test]
fn a_gate_is_judged_and_the_report_saved_where_the_user_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    perform(&mut harness, Command::Batch(BatchCommand::SetGate(Some(0.9))));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for(&mut harness, "Fails its gate of 90.0 %");
    wait_for_run(&mut harness);
    let reports = folder.path().join("reports");
    perform(&mut harness, Command::Batch(BatchCommand::SaveReport(reports.clone())));
    let saved = || waypost::app::measure::list_runs(&reports).pop();
    let findings = || std::fs::read_to_string(saved()?.folder.join("set_findings.csv")).ok();
    wait_until(&mut harness, "the report", |_| findings().is_some());
    wait_for(&mut harness, "Saved the report to ");
    assert_eq!(saved().unwrap().summary.info.min_agreement, Some(0.9));
    assert!(findings().unwrap().contains("\nleft_out,1,"), "{:?}", findings());
    let junit = std::fs::read_to_string(saved().unwrap().folder.join("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"7\" failures=\"3\"") && junit.contains("classname=\"gate\""), "{junit}");
    assert!(junit.contains("<failure message=\"4 of 6 cases agree\">"), "{junit}");
}

#[test]
fn routes_that_all_lead_to_one_model_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    let with_model = POLICY.replace("    description", "    models: [m/one]\n    description");
    perform(&mut harness, Command::EditYaml(with_model + "fallback: m/one\n"));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(Figure::More)));
    assert!(has(&harness, "All routes lead to one model, so routing changes nothing"), "{:#?}", texts(&harness));
    assert!(!has(&harness, "Right model"), "a share of all says nothing");
    // Which of several the gateway takes by a rule of its own is known to nobody here.
    let ordered = "    models: [m/one, m/two]\n    selection_policy: {prefer: cheapest}\n    description";
    perform(&mut harness, Command::EditYaml(POLICY.replace("    description", ordered)));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    assert!(has(&harness, "m/one or m/two") && has(&harness, "Right model"), "{:#?}", texts(&harness));
}

#[test]
fn stopping_leaves_a_partial_run_that_can_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Slow));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    let lines: String = (0..400)
        .map(|n| {
            format!("{{\"id\": \"{n}\", \"messages\": [{{\"role\": \"user\", \"content\": \"refund {n}\"}}], \"route\": \"billing\"}}\n")
        })
        .collect();
    let path = folder.path().join("long.jsonl");
    std::fs::write(&path, lines).unwrap();
    open_set(&mut harness, &path);
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for(&mut harness, "a second");
    let state = harness.state().app().state();
    assert!(state.router_change_obstacle().is_some() && Action::LoadRouter.obstacle(state).is_some(), "one run is of one router");
    click(&mut harness, "Stop measuring");
    wait_for_run(&mut harness);
    assert!(has(&harness, "Partial: "), "{:#?}", texts(&harness));
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert!(view.run.is_partial() && !view.run.turns.is_empty());
    assert!(has(&harness, "Case 0: label billing, decided billing"));
}

#[test]
fn a_measurement_that_is_stopped_while_it_is_prepared_does_not_begin_beside_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    // Before a frame is drawn, so that nothing is begun in between.
    for command in [Command::Perform(Action::Measure), Command::Batch(BatchCommand::Stop), Command::Perform(Action::Measure)] {
        harness.state_mut().run(command);
    }
    wait_until(&mut harness, "a job", |harness| harness.state().app().state().batch.measuring.as_ref().is_none_or(|it| it.job.is_some()));
    let measures = |job: &waypost::app::Job| matches!(job.kind, waypost::app::JobKind::Measure);
    assert!(harness.state().app().state().jobs.iter().filter(|job| measures(job)).count() < 2);
    wait_for_run(&mut harness);
    assert_eq!(harness.state().app().state().library.runs.len(), 1);
    assert!((agreement(&harness) - 4.0 / 6.0).abs() < 1e-9);
}

/// Measures the cases above in a window that is closed again, and with it routing while typing: the next window decides nothing by itself.
fn leave_run(folder: &Path, drafts: &Path) {
    let mut harness = measured(Behaviour::Words, folder, Some(drafts));
    perform(&mut harness, Command::Perform(Action::Live));
}

#[test]
fn kept_results_are_counted_before_the_first_new_decision_and_stay_when_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    leave_run(folder.path(), &drafts);
    let path = folder.path().join("labelled.jsonl");
    let new = "{\"messages\": [{\"role\": \"user\", \"content\": \"a new one\"}], \"route\": \"other\"}\n";
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + new).unwrap();

    let mut harness = window_in(options(Behaviour::Block), Some(&drafts));
    open_set(&mut harness, &path);
    wait_until(&mut harness, "the longer set", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.opening.is_none() && batch.set.as_ref().is_some_and(|open| open.set.cases().len() == 7)
    });
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "what was kept", |harness| {
        let measuring = &harness.state().app().state().batch.measuring;
        measuring.as_ref().is_some_and(|measuring| (measuring.progress.done, measuring.progress.reused) == (6, 6))
    });
    perform(&mut harness, Command::Batch(BatchCommand::Stop));
    wait_for_run(&mut harness);
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert!(view.run.is_partial() && view.run.turns.len() == 6);
}

#[test]
fn a_run_on_screen_stays_itself_until_there_is_something_to_see_of_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    leave_run(folder.path(), &drafts);
    let mut harness = window_in(options(Behaviour::Block), Some(&drafts));
    wait_until(&mut harness, "the kept run", |harness| !harness.state().app().state().library.runs.is_empty());
    let kept = harness.state().app().state().library.runs[0].id.clone();
    perform(&mut harness, Command::Batch(BatchCommand::ShowRun(kept.clone())));
    wait_until(&mut harness, "its set", |harness| {
        let batch = &harness.state().app().state().batch;
        batch.view.is_some() && batch.set.is_some() && batch.opening.is_none()
    });
    wait_for(&mut harness, "Ready");
    // Another policy, of which no results are kept.
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "money".to_owned() }));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "its job", |harness| {
        harness.state().app().state().batch.measuring.as_ref().is_some_and(|measuring| measuring.job.is_some())
    });
    assert_eq!(harness.state().app().state().batch.shown.as_ref(), Some(&kept));
    assert!(!has(&harness, ", being measured"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Batch(BatchCommand::Stop));
    wait_until(&mut harness, "its end", |harness| harness.state().app().state().batch.measuring.is_none());
    assert_eq!(harness.state().app().state().batch.shown.as_ref(), Some(&kept));
    perform(&mut harness, Command::Batch(BatchCommand::Relabel { turn: 3, label: "other".to_owned() }));
    wait_until(&mut harness, "the new figures", |harness| (agreement(harness) - 5.0 / 6.0).abs() < 1e-9);
}

#[test]
fn problems_of_the_set_are_listed_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::EditYaml(POLICY.replace("shipping", "Shipping")));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    for text in ["Left out, 1 line", "Line 1", "Lines 3, 5, 7", "differs from the route"] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
}

#[test]
fn a_set_of_which_no_case_can_be_read_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labelled.jsonl");
    std::fs::write(&path, "no json\n").unwrap();
    let mut harness = window(options(Behaviour::Words));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &path);
    wait_for(&mut harness, "Ready");
    let obstacle = "Repair the set or open another one: no case of it can be measured";
    assert_eq!(Action::Measure.obstacle(harness.state().app().state()), Some(obstacle));
    assert!(has(&harness, obstacle) && has(&harness, "Left out, 1 line"), "{:#?}", texts(&harness));
}

#[test]
fn overlapping_routes_are_shown_with_their_descriptions_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    perform(&mut harness, Command::Batch(BatchCommand::ShowPart(BatchPart::Overlap)));
    assert!(has(&harness, "Overlap of billing and shipping"), "{:#?}", texts(&harness));
    harness.get_by_label_contains("Overlap of billing and shipping").click();
    harness.run();
    write_in(&mut harness, "Description of shipping", " driver");
    assert!(harness.state().app().state().routes().routes[1].description.contains("driver"));
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(!harness.state().app().state().routes().routes[1].description.contains("driver"));
    harness.get_by_label_contains("Case f: label shipping, decided billing, wrong").click();
    harness.run();
    wait_for(&mut harness, "invoice for the courier");
}

/// The real engine on a tiny network: decisions in the window are those of the run.
#[test]
fn a_real_network_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = TinyModel::random(Shape::SMALL, 7);
    model.teach("{\"route\": \"shipping\"}", 8.0);
    let router = model.write(&folder.path().join("router"), Storage::F32, 1);
    let mut harness = window(StartOptions { router: Some(router), loader: loader(), ..options(Behaviour::Decide) });
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let view = harness.state().app().state().batch.view.clone().unwrap();
    assert_eq!(view.run.turns.len(), 6);
    for turn in &view.run.turns {
        let sum: f32 = turn.probabilities.iter().flatten().sum::<f32>() + turn.invalid_mass;
        assert!((sum - 1.0).abs() < 1e-3, "{turn:?}");
    }
    for figure in [Figure::Routes, Figure::Confidence, Figure::More, Figure::Matrix] {
        perform(&mut harness, Command::Batch(BatchCommand::ShowFigure(figure)));
    }
    assert!(has(&harness, "agreement over 6 cases"));
}

/// What is in memory is not what the files are by now, and its results must not stand under their name.
#[test]
fn a_router_whose_files_changed_is_measured_once_it_is_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("router");
    let router = TinyModel::random(Shape::SMALL, 7).write(&path, Storage::F32, 1);
    let mut harness = window(StartOptions { router: Some(router), loader: loader(), ..options(Behaviour::Decide) });
    perform(&mut harness, Command::EditYaml(POLICY.to_owned()));
    perform(&mut harness, Command::Perform(Action::ShowBatch));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    std::fs::write(path.join("router.json"), "{\"temperature\": 2.0}").unwrap();
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "the reason", |harness| {
        harness.state().app().state().log.entries().iter().any(|entry| entry.text.contains("choose \"Load router again\""))
    });
    let state = harness.state().app().state();
    assert!(state.batch.measuring.is_none() && state.batch.view.is_none() && state.library.runs.is_empty());

    perform(&mut harness, Command::Perform(Action::LoadRouter));
    wait_until(&mut harness, "the router", |harness| harness.state().app().state().router.phase == RouterPhase::Ready);
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_for_run(&mut harness);
    let info = harness.state().app().state().batch.view.as_ref().unwrap().run.info.clone();
    assert_eq!((info.router.temperature, info.router_digest.is_some()), (Some(2.0), true));
}

#[test]
fn a_frame_costs_no_more_with_many_cases() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measured(Behaviour::Words, folder.path(), None);
    let path = folder.path().join("long.jsonl");
    let mut drawn_with = |count: usize| {
        let lines: String = (0..count)
            .map(|n| {
                format!(
                    "{{\"id\": \"{n}\", \"messages\": [{{\"role\": \"user\", \"content\": \"refund {n}\"}}], \"route\": \"billing\"}}\n"
                )
            })
            .collect();
        std::fs::write(&path, lines).unwrap();
        perform(&mut harness, Command::Batch(BatchCommand::OpenSet(path.clone())));
        wait_until(&mut harness, "the set", |harness| {
            harness.state().app().state().batch.set.as_ref().is_some_and(|open| open.set.cases().len() == count)
        });
        perform(&mut harness, Command::Perform(Action::Measure));
        wait_for_run(&mut harness);
        wait_until(&mut harness, "all rows", |harness| harness.state().app().state().batch.rows.len() == count);
        drawn(&mut harness)
    };
    let (few, many) = (drawn_with(200), drawn_with(20_000));
    println!("shapes and controls: {few:?} with 200 cases, {many:?} with 20000");
    for (few, many) in few.into_iter().zip(many) {
        assert!(many.abs_diff(few) <= few / 10, "{few} became {many}");
    }
}

//! Comparing variants in the window: the verdict, what flipped, and which edit causes it.

use std::path::Path;

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, Command, CompareCommand, ComparePart};
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::batch::{POLICY, open_set, write_set};
use super::{click, drawn, has, perform, press, texts, wait_for, wait_until, window_in};
use crate::fake_router::{Behaviour, options};

fn compared(harness: &mut Harness<'_, Window>) {
    wait_until(harness, "the comparison", |harness| {
        let state = harness.state().app().state();
        state.batch.measuring.is_none() && !state.compare.computing && state.compare.view.is_some()
    });
}

#[test]
fn variants_are_measured_with_one_button_and_their_flips_explained() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = window_in(options(Behaviour::Words), Some(&drafts));
    perform(&mut harness, Command::EditYaml(format!("name: plain\n{POLICY}")));
    perform(&mut harness, Command::Perform(Action::NewVariant));
    // d is fixed by what shipping says now, f by what billing no longer says.
    for (route, description) in [(0, "refund charge"), (1, "parcel delivery courier driver")] {
        perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route, description: description.to_owned() }));
    }
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    assert!(has(&harness, "Open a labelled set"), "{:#?}", texts(&harness));
    open_set(&mut harness, &write_set(folder.path()));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    for text in [
        "6 cases cannot tell these apart: 2 fixed, 0 broken, p = 0.50",
        "points, too few conversations came out differently for an interval",
        "Fixed 2",
        "Broken 0",
        "Baseline",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    assert!(has(&harness, "fixed case d: label shipping, No route before, shipping now"));

    click(&mut harness, "Policies");
    assert!(has(&harness, "the description of billing"));
    click(&mut harness, "Find causes");
    wait_for(&mut harness, "causes 1 flip");
    let billing = harness.state().app().state().compare.view.clone().unwrap();
    let causes: Vec<_> = billing.comparison.flips.iter().map(|flip| (&*flip.id, flip.cause.clone().unwrap())).collect();
    use waypost::eval::Cause::Alone;
    let alone = |route: &str| Alone(vec![format!("the description of {route}")]);
    assert_eq!(causes, [("d", alone("shipping")), ("f", alone("billing"))]);

    click(&mut harness, "Routes");
    assert!(has(&harness, "(+50.0 points)"), "{:#?}", texts(&harness));
    perform(&mut harness, Command::Compare(CompareCommand::ShowPart(ComparePart::Cases)));
    assert!(has(&harness, "2 of 6 differ"));
    // Each decision can be reached without a pointer.
    harness.get_by_label_contains("case d: No route, wrong").focus();
    harness.run();
    press(&mut harness, Modifiers::NONE, Key::Enter);
    wait_for(&mut harness, "the driver never came");
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    click(&mut harness, "Flips");
    harness.get_by_label_contains("fixed case f").click();
    wait_for(&mut harness, "Case f");
    wait_for(&mut harness, "invoice for the courier");
}

#[test]
fn a_verdict_writes_the_names_of_runs_as_the_user_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = ready(folder.path(), &folder.path().join("drafts"));
    perform(&mut harness, Command::Perform(Action::NewVariant));
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    wait_until(&mut harness, "the verdict", |harness| {
        texts(harness).iter().any(|text| text.starts_with("plain") && text.ends_with("decide all 6 cases alike"))
    });
}

/// A window with a policy called `plain` and a set, which is ready to measure.
fn ready(folder: &Path, drafts: &Path) -> Harness<'static, Window> {
    let mut harness = window_in(options(Behaviour::Words), Some(drafts));
    perform(&mut harness, Command::EditYaml(format!("name: plain\n{POLICY}")));
    open_set(&mut harness, &write_set(folder));
    wait_for(&mut harness, "Ready");
    harness
}

#[test]
fn differences_out_of_view_are_not_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let drawn_with = |count: usize| {
        let drafts = folder.path().join(format!("drafts {count}"));
        let mut harness = ready(folder.path(), &drafts);
        let routes = |said: &str| (0..count).map(|n| format!("  - name: r{n}\n    description: {said} {n}\n")).collect::<String>();
        perform(&mut harness, Command::EditYaml(format!("name: plain\n{POLICY}{}", routes("one thing"))));
        perform(&mut harness, Command::Perform(Action::NewVariant));
        perform(&mut harness, Command::EditYaml(format!("name: other\n{POLICY}{}", routes("another thing"))));
        perform(&mut harness, Command::Perform(Action::MeasureVariants));
        compared(&mut harness);
        perform(&mut harness, Command::Perform(Action::ShowCompare));
        perform(&mut harness, Command::Compare(CompareCommand::ShowPart(ComparePart::Policies)));
        let view = harness.state().app().state().compare.view.clone().unwrap();
        assert!(view.steps.len() >= count && view.lines.len() >= count, "{} edits, {} lines", view.steps.len(), view.lines.len());
        drawn(&mut harness)
    };
    let (few, many) = (drawn_with(40), drawn_with(400));
    for (few, many) in few.into_iter().zip(many) {
        assert!(many.abs_diff(few) <= few / 10, "{few} became {many}");
    }
}

#[test]
fn flips_of_one_conversation_have_names_of_their_own_and_an_order_is_no_gain() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("turns.jsonl");
    let said = [("user", "the driver is late"), ("assistant", "sorry"), ("user", "call the driver")];
    let said = said.map(|(role, text)| format!("{{\"role\": \"{role}\", \"content\": \"{text}\"}}")).join(", ");
    std::fs::write(&set, format!("{{\"id\": \"t\", \"messages\": [{said}], \"labels\": [\"shipping\", \"shipping\"]}}\n")).unwrap();
    let mut harness = window_in(options(Behaviour::Words), Some(&folder.path().join("drafts")));
    perform(&mut harness, Command::EditYaml(format!("name: plain\n{POLICY}")));
    perform(&mut harness, Command::Perform(Action::NewVariant));
    let other = "name: other\nroutes:\n  - name: shipping\n    description: parcel driver\n  - name: billing\n    description: refund invoice charge\n";
    perform(&mut harness, Command::EditYaml(other.to_owned()));
    open_set(&mut harness, &set);
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    click(&mut harness, "Policies");
    click(&mut harness, "Find causes");
    wait_for(&mut harness, "causes 2 flips");
    for text in ["fixed t, now shipping", "fixed t turn 2, now shipping", "gateways do not keep the order of the routes"] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
}

#[test]
fn a_baseline_that_the_user_chose_stays_when_variants_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = ready(folder.path(), &drafts);
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "the run", |harness| harness.state().app().state().batch.measuring.is_none());
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    click(&mut harness, "Keep plain the baseline");
    perform(&mut harness, Command::Perform(Action::NewVariant));
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    let ids = |harness: &Harness<'_, Window>| {
        let state = harness.state().app().state();
        let runs: Vec<_> = state.library.runs.iter().map(|run| run.id.clone()).collect();
        (runs, state.library.baseline.clone(), state.compare.included.clone())
    };
    let (runs, baseline, included) = ids(&harness);
    assert_eq!((runs.len(), baseline.as_ref(), included.as_slice()), (3, Some(&runs[0]), &runs[1..]));

    // Where it is not kept the first variant takes its place.
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    click(&mut harness, "Keep plain the baseline");
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    let (runs, baseline, included) = ids(&harness);
    assert_eq!((runs.len(), baseline.as_ref(), included.as_slice()), (5, Some(&runs[3]), &runs[4..]));

    perform(&mut harness, Command::Compare(CompareCommand::Pin(runs[2].clone())));
    drop(harness);
    let harness = window_in(options(Behaviour::Words), Some(&drafts));
    let settings = &harness.state().app().state().settings;
    assert_eq!((settings.baseline.as_ref(), settings.baseline_pinned), (Some(&runs[2]), true));
}

#[test]
fn a_policy_that_shares_no_route_with_the_set_is_no_variant() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = ready(folder.path(), &folder.path().join("drafts"));
    perform(&mut harness, Command::Perform(Action::NewPolicy));
    perform(&mut harness, Command::EditYaml("name: kitchen\nroutes:\n  - name: cooking\n    description: recipe\n".to_owned()));
    let state = harness.state().app().state();
    let (plain, obstacle) = (state.policies[0].id, Action::MeasureVariants.obstacle(state));
    assert!(obstacle.is_some_and(|sentence| sentence.contains("Fewer than two open policies")), "{obstacle:?}");

    perform(&mut harness, Command::SelectPolicy(plain));
    perform(&mut harness, Command::Perform(Action::NewVariant));
    perform(&mut harness, Command::Perform(Action::MeasureVariants));
    compared(&mut harness);
    let names: Vec<&str> = harness.state().app().state().library.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["plain", "plain, variant 2"]);
}

#[test]
fn kept_runs_can_be_renamed_pinned_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = ready(folder.path(), &drafts);
    for _ in 0..2 {
        perform(&mut harness, Command::Perform(Action::Measure));
        wait_until(&mut harness, "the run", |harness| harness.state().app().state().batch.measuring.is_none());
    }
    perform(&mut harness, Command::Perform(Action::ShowCompare));
    compared(&mut harness);
    assert!(has(&harness, "decide all 6 cases alike"), "{:#?}", texts(&harness));
    click(&mut harness, "Make plain (2) the baseline");
    compared(&mut harness);
    harness.get_by_label("Name of run plain (2)").focus();
    harness.run();
    harness.get_by_label("Name of run plain (2)").type_text(" again");
    harness.run();
    wait_for(&mut harness, "Name of run plain (2) again");
    let id = harness.state().app().state().library.baseline.clone().unwrap();
    let report = drafts.join("runs").join(&id.0).join("report.json");
    wait_until(&mut harness, "the name on disk", |_| {
        std::fs::read_to_string(&report).is_ok_and(|report| report.contains("plain (2) again"))
    });
    click(&mut harness, "Delete run plain");
    click(&mut harness, "Delete the run");
    assert_eq!(harness.state().app().state().library.runs.len(), 1);
    drop(harness);

    let mut harness = window_in(options(Behaviour::Words), Some(&drafts));
    wait_until(&mut harness, "the kept run", |harness| !harness.state().app().state().library.runs.is_empty());
    let library = &harness.state().app().state().library;
    assert_eq!(library.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["plain (2) again"]);
    assert_eq!(library.baseline.as_ref(), Some(&library.runs[0].id));
}

#[test]
fn a_run_that_is_renamed_right_before_closing_has_its_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = ready(folder.path(), &drafts);
    perform(&mut harness, Command::Perform(Action::Measure));
    wait_until(&mut harness, "the run", |harness| harness.state().app().state().batch.measuring.is_none());
    let id = harness.state().app().state().library.runs[0].id.clone();
    harness.state_mut().run(Command::Compare(CompareCommand::Rename(id, "first try".to_owned())));
    drop(harness);
    let kept = waypost::app::measure::list_runs(&drafts.join("runs"));
    assert_eq!(kept.iter().map(|run| run.summary.info.name.as_str()).collect::<Vec<_>>(), ["first try"]);
}

//! Requests that nobody waits for any more, and what fails while it is typed.

use std::time::{Duration, Instant};

use egui::{Key, Modifiers};
use egui_kittest::Harness;
use waypost::app::{Action, App, Command, DocId, JobKind, StartOptions, State, StudyKind};
use waypost::policy::PolicyEdit;
use waypost::ui::Window;

use super::{batch, has, perform, press, texts, wait_for, wait_until, window};
use crate::fake_router::{Behaviour, on_request, options};

const LONG: &str = "routes:\n  - {name: long, description: parcel}\n";
const SLOW: &str = "routes:\n  - {name: slow, description: parcel}\n";

fn state<'a>(harness: &'a Harness<'_, Window>) -> &'a State {
    harness.state().app().state()
}

fn is_decided(harness: &Harness<'_, Window>) -> bool {
    let state = state(harness);
    state.shown.is_some() && !state.is_shown_outdated() && !state.is_routing()
}

/// A window with the policy of the sets, which is on screen, and another one.
fn with_two(options: StartOptions, other: &str) -> (Harness<'static, Window>, [DocId; 2]) {
    let mut harness = window(options);
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    let first = state(&harness).policy().id;
    perform(&mut harness, Command::Perform(Action::NewPolicy));
    perform(&mut harness, Command::EditYaml(other.to_owned()));
    let second = state(&harness).policy().id;
    perform(&mut harness, Command::SelectPolicy(first));
    (harness, [first, second])
}

#[test]
fn a_request_is_given_up_where_the_user_goes_back_to_what_is_decided() {
    let (mut harness, [first, second]) = with_two(options(Behaviour::BlockOn("slow")), SLOW);
    wait_until(&mut harness, "the first decision", is_decided);
    perform(&mut harness, Command::SelectPolicy(second));
    wait_until(&mut harness, "the request about the other policy", |harness| {
        let is_slow = |kind: &JobKind| matches!(kind, JobKind::Route { policy, .. } if policy.route("slow").is_some());
        state(harness).jobs.iter().any(|job| is_slow(&job.kind))
    });
    perform(&mut harness, Command::SelectPolicy(first));
    wait_until(&mut harness, "its end", |harness| state(harness).jobs.is_empty());
    assert!(is_decided(&harness) && state(&harness).log.open().1 == 0, "it was cancelled, and the decision stays");
}

#[test]
fn a_study_is_given_up_where_the_user_goes_back_to_what_is_decided() {
    let (mut harness, [first, second]) = with_two(options(Behaviour::BlockOn("slow")), SLOW);
    wait_until(&mut harness, "the first decision", is_decided);
    perform(&mut harness, Command::SelectPolicy(second));
    perform(&mut harness, Command::Study(StudyKind::Order));
    perform(&mut harness, Command::SelectPolicy(first));
    wait_until(&mut harness, "its end", |harness| state(harness).jobs.is_empty());
    assert!(state(&harness).study(StudyKind::Order).unwrap().rows.iter().all(|row| row.result.is_none()), "it was cancelled");
}

#[test]
fn another_policy_is_asked_about_by_itself_while_the_first_decision_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("quick.yaml", batch::POLICY), ("slow.yaml", SLOW)].map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let mut harness = window(StartOptions { files: files.to_vec(), ..options(Behaviour::BlockOn("slow")) });
    wait_until(&mut harness, "the first request", |harness| {
        state(harness).jobs.iter().any(|job| job.started && matches!(job.kind, JobKind::Route { .. }))
    });
    let quick = state(&harness).policies.iter().find(|document| document.id != state(&harness).policy().id).unwrap().id;
    perform(&mut harness, Command::SelectPolicy(quick));
    wait_until(&mut harness, "the decision on what is on screen", is_decided);
    assert!(state(&harness).routing_failure().is_none() && state(&harness).log.open().1 == 0, "the first one was given up");
}

#[test]
fn a_decision_that_comes_late_takes_no_place() {
    let (mut harness, [first, second]) = with_two(on_request(Behaviour::Words), SLOW);
    wait_until(&mut harness, "the router", |harness| state(harness).jobs.is_empty());
    perform(&mut harness, Command::Perform(Action::Route));
    wait_until(&mut harness, "the first decision", is_decided);
    // Before a frame is drawn, and so before the decision can arrive.
    for command in [Command::SelectPolicy(second), Command::Perform(Action::Route), Command::SelectPolicy(first)] {
        harness.state_mut().run(command);
    }
    wait_until(&mut harness, "the end of the request", |harness| state(harness).jobs.is_empty());
    assert!(is_decided(&harness));
}

#[test]
fn what_fails_while_typing_is_said_in_the_place_of_the_decision() {
    let (mut harness, [first, second]) = with_two(options(Behaviour::FailOn("long")), LONG);
    wait_until(&mut harness, "the first decision", is_decided);
    perform(&mut harness, Command::SelectPolicy(second));
    wait_for(&mut harness, "long is too long");
    assert!(has(&harness, "This conversation could not be routed") && state(&harness).log.open().1 == 0, "{:#?}", texts(&harness));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "x".to_owned() }));
    wait_until(&mut harness, "the second failure", |harness| {
        state(harness).routing_failure().is_some_and(|(_, is_current)| is_current) && !state(harness).is_routing()
    });
    assert_eq!(state(&harness).log.open().1, 0);
    perform(&mut harness, Command::SelectPolicy(first));
    assert!(!has(&harness, "long is too long") && has(&harness, "91.3 %, chosen"), "{:#?}", texts(&harness));
}

#[test]
fn other_texts_are_routed_by_themselves_after_a_first_decision_that_failed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.yaml");
    std::fs::write(&path, LONG).unwrap();
    let mut harness = window(StartOptions { files: vec![path], ..options(Behaviour::FailOn("long")) });
    wait_for(&mut harness, "long is too long");
    // Without routing while typing, so that there is time to look.
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, Command::EditYaml(batch::POLICY.to_owned()));
    for text in ["The texts have changed since this failed", "Press Route or "] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
    perform(&mut harness, Command::Perform(Action::Live));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 1, description: "parcel".to_owned() }));
    wait_until(&mut harness, "the first decision", is_decided);
}

#[test]
fn what_is_typed_while_the_router_loads_fails_in_the_place_of_the_decision() {
    let mut app = App::start(options(Behaviour::FailOn("long")), None, || {}).unwrap();
    let wait = |app: &mut App, is_so: &dyn Fn(&State) -> bool| {
        let start = Instant::now();
        while !is_so(app.state()) {
            assert!(start.elapsed() < Duration::from_secs(20), "waited in vain");
            std::thread::sleep(Duration::from_millis(2));
            app.poll();
            app.tick();
        }
    };
    wait(&mut app, &|state: &State| state.shown.is_some() && state.jobs.is_empty());
    app.run(Command::Perform(Action::LoadRouter));
    app.run(Command::EditYaml(LONG.to_owned()));
    // Nothing is taken in meanwhile, so the router is still being loaded.
    for _ in 0..1000 {
        app.tick();
        if app.state().route_when_loaded.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(app.state().route_when_loaded, Some(true));
    wait(&mut app, &|state: &State| state.routing_failure().is_some() && state.jobs.is_empty());
    assert_eq!(app.state().log.open().1, 0, "no banner");
}

#[test]
fn a_banner_is_gone_once_what_it_says_is_over() {
    let (mut harness, [first, second]) = with_two(on_request(Behaviour::FailOn("long")), LONG);
    wait_until(&mut harness, "the router", |harness| state(harness).jobs.is_empty());
    perform(&mut harness, Command::SelectPolicy(second));
    perform(&mut harness, Command::Perform(Action::Route));
    wait_for(&mut harness, "This conversation could not be routed: long is too long");
    perform(&mut harness, Command::SelectPolicy(first));
    perform(&mut harness, Command::Perform(Action::Route));
    wait_until(&mut harness, "the decision", is_decided);
    assert_eq!(state(&harness).log.open().1, 0);

    perform(&mut harness, Command::EditYaml("routes:\n  - name: a\n    description: [\n".to_owned()));
    perform(&mut harness, Command::EditPolicy(PolicyEdit::Describe { route: 0, description: "x".to_owned() }));
    assert_eq!(state(&harness).log.open().1, 1, "the YAML is to be repaired first");
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert_eq!(state(&harness).log.open().1, 0);
}

//! Requests that nobody waits for any more, and what fails while it is typed.

use egui_kittest::Harness;
use waypost::app::{Action, Command, DocId, JobKind, StartOptions, State};
use waypost::ui::Window;

use super::{batch, perform, wait_until, window};
use crate::fake_router::{Behaviour, on_request, options};

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

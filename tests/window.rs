//! The window, driven by accessible names, with a router that is none.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use waypost::app::Action;
use waypost::ui::{Window, theme};

use crate::fake_router::{Behaviour, on_request};
use crate::harness::{has, texts, wait_for, wait_until};

fn window(behaviour: Behaviour) -> Harness<'static, Window> {
    Harness::builder()
        .with_size([1280.0, 800.0])
        // The app may look once more at what an edit led to before it rests.
        .with_max_steps(16)
        .with_context_setup(theme::apply)
        .build_eframe(move |creation| Window::new(&creation.egui_ctx, on_request(behaviour)).unwrap())
}

fn press_route(harness: &mut Harness<'_, Window>) {
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    harness.step();
}

#[test]
fn draws_routes_and_conversation_before_a_router_is_loaded() {
    let mut harness = window(Behaviour::BlockLoading);
    wait_for(&mut harness, "Reading weights");
    assert!(has(&harness, "Route code_generation"));
    assert!(has(&harness, "Route programming"));
    assert_eq!(
        harness.get_by_label("Message 1").value().unwrap(),
        "fix this module 'torch.utils._pytree' has no attribute 'register_pytree_node'. did you mean: '_register_pytree_node'?"
    );
    assert!(has(&harness, "Loading the router"));
}

#[test]
fn control_enter_shows_the_decision_in_full() {
    let mut harness = window(Behaviour::Decide);
    press_route(&mut harness);
    wait_for(&mut harness, "bug_fixing: 91.3 %, chosen");
    for text in [
        "served by anthropic/claude-opus-4-6",
        "code_generation: 4.2 %",
        "No route: ",
        "Outside valid answers: 0.2 %",
        "Clear",
        "Margin 87.1 points",
        "Forward: 96.5 ms",
        "Total: 97.0 ms",
        "Prompt: 534",
        "From cache: 400",
        "{\"route\": \"bug_fixing\"}",
        "Fake router",
        "Prefix cache 12 MB of 256 MB",
        "Ready",
    ] {
        assert!(has(&harness, text), "{text:?} is not on screen: {:#?}", texts(&harness));
    }
}

#[test]
fn the_button_routes_too_and_no_route_is_named_with_its_fallback() {
    let mut harness = window(Behaviour::DecideNone);
    harness.get_by_role_and_label(Role::Button, "Route").click();
    wait_for(&mut harness, "No route fits");
    assert!(has(&harness, "falls back to openai/gpt-5-mini") && has(&harness, "Plano serves what fits no route with the model that"));
    assert!(has(&harness, "No route: 91.3 %, chosen"));
}

#[test]
fn a_failed_request_shows_its_sentence_until_dismissed_and_the_log_keeps_it() {
    let mut harness = window(Behaviour::FailRequests("the prompt has 40000 tokens, the router reads 32768; shorten the conversation"));
    press_route(&mut harness);
    wait_for(&mut harness, "shorten the conversation");
    harness.get_by_label("Dismiss").click();
    harness.run();
    assert!(!has(&harness, "shorten the conversation"));
    harness.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::L);
    harness.run();
    assert!(has(&harness, "shorten the conversation"));
}

#[test]
fn a_panic_of_the_router_is_a_sentence_and_the_next_request_is_taken() {
    let mut harness = window(Behaviour::Panic);
    press_route(&mut harness);
    wait_for(&mut harness, "a fake defect");
    press_route(&mut harness);
    wait_for(&mut harness, "Ready");
    assert!(harness.state().app().state().jobs.is_empty());
}

#[test]
fn a_running_request_can_be_cancelled() {
    let mut harness = window(Behaviour::Block);
    press_route(&mut harness);
    wait_for(&mut harness, "Cancel: Reading the prompt");
    harness.get_by_label("Cancel: Reading the prompt").click();
    wait_for(&mut harness, "Ready");
    assert!(harness.state().app().state().log.open().0.is_none(), "a cancelled request is no error");
    assert!(Action::Route.obstacle(harness.state().app().state()).is_none());
}

#[test]
fn a_newer_request_cancels_the_older_one() {
    let mut harness = window(Behaviour::Block);
    press_route(&mut harness);
    wait_for(&mut harness, "Reading the prompt");
    press_route(&mut harness);
    let open = |harness: &Harness<'_, Window>| harness.state().app().state().jobs.iter().filter(|job| !job.cancelling).count();
    assert_eq!(open(&harness), 1);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::Period);
    wait_for(&mut harness, "Ready");
}

#[test]
fn a_router_that_cannot_be_loaded_says_why_and_can_be_tried_again() {
    let mut harness = window(Behaviour::FailLoading("there is no folder /models/router; choose another one"));
    wait_for(&mut harness, "there is no folder /models/router");
    assert!(!has(&harness, "Dismiss"), "it is said in one place");
    assert!(harness.get_by_role_and_label(Role::Button, "Route").accesskit_node().is_disabled());
    harness.get_by_label("Load router again").click();
    wait_until(&mut harness, "a second failure", |harness| harness.state().app().state().log.entries().len() == 2);
    assert!(has(&harness, "there is no folder /models/router"));
}

#[test]
fn cancelling_the_load_is_no_error_and_leaves_a_way_on() {
    let mut harness = window(Behaviour::BlockLoading);
    press_route(&mut harness);
    wait_for(&mut harness, "Reading weights, then this conversation is routed");
    harness.get_by_label("Cancel: Reading weights").click();
    wait_for(&mut harness, "No router is loaded");
    assert!(has(&harness, "Load router again"));
}

#[test]
fn edits_reach_the_policy_and_mark_the_decision_as_older() {
    let mut harness = window(Behaviour::Decide);
    press_route(&mut harness);
    wait_for(&mut harness, "bug_fixing: 91.3 %");
    harness.get_by_label("Route bug_fixing").click();
    harness.run();
    harness.get_by_label("Route description").focus();
    harness.run();
    harness.get_by_label("Route description").type_text(" and stack traces");
    harness.run();
    assert!(harness.state().app().state().routes().routes[1].description.ends_with(" and stack traces"));
    assert!(has(&harness, "The texts have changed since this decision"));
}

#[test]
fn routes_and_messages_can_be_added_and_removed() {
    let mut harness = window(Behaviour::Decide);
    harness.get_by_label("Add route").click();
    harness.run();
    assert_eq!(harness.get_by_label("Route name").value().unwrap(), "new_route");
    harness.get_by_label("Route name").type_text("refunds");
    harness.run();
    assert_eq!(harness.get_by_label("Route name").value().unwrap(), "refunds", "the name is there to be replaced");
    harness.get_by_label("Remove selected route").click();
    harness.run();
    assert!(!has(&harness, "Route refunds"));
    harness.get_by_label("Add message").click();
    harness.run();
    assert_eq!(harness.get_by_label("Role of message 2").value().unwrap(), "Assistant");
    harness.get_by_label("Remove message 2").click();
    harness.run();
    assert!(harness.query_by_label("Message 2").is_none());
}

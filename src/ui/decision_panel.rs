//! The decision and what can be asked about it: its turns, variants, prompt, order, wording, history, robustness, and the shelf beside it.

use egui::{Label, RichText, ScrollArea, Ui};

use super::tokens::{self, space, text};
use super::{actions, change_views, prompt_view, result_view, shelf_view, study_views, theme, widgets};
use crate::app::{Action, Command, JobKind, RouterPhase, Section, State};

/// The decision itself, seen from several sides.
const SIDES: [(Section, &str, &str); 4] = [
    (Section::Result, "Result", "The chosen route, every probability, the latency"),
    (Section::Turns, "Turns", "The route after each user message"),
    (Section::Variants, "Variants", "The same conversation under each open policy"),
    (Section::Prompt, "Prompt", "What the gateway sees: the exact prompt"),
];

/// What is asked by deciding again under other circumstances.
const TESTS: [(Section, &str, &str); 5] = [
    (Section::Order, "Order", "The same routes in other orders"),
    (Section::Wording, "Wording", "The selected route's description with parts left out"),
    (Section::History, "History", "The same conversation without its earlier messages"),
    (Section::Robustness, "Robustness", "The last user message with small changes that should not move the decision"),
    (Section::Shelf, "Shelf", "The conversations of the shelf, and what is routed elsewhere since the policy was saved"),
];

/// Draws the panel.
pub fn decision_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Decision"),
        |ui| {
            actions::check_ui(ui, state, Action::Live, commands);
            if state.is_routing() {
                cancel_ui(ui, commands);
            } else {
                actions::primary_button_ui(ui, state, Action::Route, commands);
            }
        },
    );
    let side = widgets::switch_ui(ui, state.section, &SIDES);
    let test = ui.horizontal(|ui| {
        ui.add_space(space::S);
        widgets::caption_ui(ui, "Tests");
        widgets::switch_ui(ui, state.section, &TESTS)
    });
    commands.extend(side.or(test.inner).map(Command::ShowSection));
    ui.add_space(space::XS);
    // Its own place to scroll to for each section.
    ui.push_id(state.section as u8, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            router_ui(ui, state, commands);
            opened_ui(ui, state);
            failed_ui(ui, state);
            match state.section {
                Section::Result => result_view::result_view_ui(ui, state, commands),
                Section::Turns => study_views::turns_ui(ui, state, commands),
                Section::Variants => study_views::variants_ui(ui, state, commands),
                Section::Prompt => prompt_view::prompt_view_ui(ui, state),
                Section::Order => study_views::order_ui(ui, state, commands),
                Section::Wording => study_views::wording_ui(ui, state, commands),
                Section::History => change_views::history_ui(ui, state, commands),
                Section::Robustness => change_views::robustness_ui(ui, state, commands),
                Section::Shelf => shelf_view::shelf_ui(ui, state, commands),
            }
        });
    });
}

/// Draws the button that gives up the decision alone: the action of the same name stops everything.
fn cancel_ui(ui: &mut Ui, commands: &mut Vec<Command>) {
    let button = widgets::button_ui(ui, "Cancel").accessible_name("Cancel routing");
    if button.on_hover_text("Stop waiting for this decision; a set that is being measured goes on").clicked() {
        commands.push(Command::CancelRouting);
    }
}

/// Says how far the router is, until it is there.
fn router_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    match &state.router.phase {
        RouterPhase::Ready => {}
        RouterPhase::Loading => {
            let Some(job) = state.jobs.iter().find(|job| matches!(job.kind, JobKind::Load)) else { return };
            theme::card_frame(palette.raised, palette.border).show(ui, |ui| {
                ui.set_min_width(ui.available_width());
                ui.label(RichText::new("Loading the router").font(tokens::strong_font(text::BODY)));
                widgets::progress_ui(ui, job.fraction(), ui.available_width(), job.stage());
                let next = if state.route_when_loaded.is_some() { ", then this conversation is routed" } else { "" };
                widgets::caption_ui(ui, format!("{}{next}", job.stage()));
            });
        }
        RouterPhase::Absent => problem_ui(ui, state, "No router is loaded", "Load one to see its decisions", commands),
        RouterPhase::Failed(error) => problem_ui(ui, state, "The router could not be loaded", error, commands),
    }
}

/// Says what decides a case, which was opened from a run, otherwise than there.
fn opened_ui(ui: &mut Ui, state: &State) {
    let Some(notice) = state.opened_notice() else { return };
    let palette = theme::palette(ui);
    theme::card_frame(palette.warning_soft, palette.warning_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.add(Label::new(notice).wrap().selectable(true));
    });
}

/// Says why the texts that were routed by themselves have no decision.
fn failed_ui(ui: &mut Ui, state: &State) {
    let Some((sentence, is_current)) = state.routing_failure() else { return };
    ui.scope(|ui| {
        if !is_current {
            widgets::caption_ui(ui, "The texts have changed since this failed");
            ui.multiply_opacity(0.55);
        }
        let palette = theme::palette(ui);
        theme::card_frame(palette.error_soft, palette.error_soft).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            let title = RichText::new("This conversation could not be routed").font(tokens::strong_font(text::BODY)).color(palette.error);
            ui.add(Label::new(title).wrap());
            ui.add(Label::new(sentence).wrap().selectable(true));
        });
    });
}

fn problem_ui(ui: &mut Ui, state: &State, title: &str, sentence: &str, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    theme::card_frame(palette.error_soft, palette.error_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.label(RichText::new(title).font(tokens::strong_font(text::BODY)).color(palette.error));
        ui.add(Label::new(sentence).wrap().selectable(true));
        ui.horizontal(|ui| {
            actions::action_button_ui(ui, state, Action::ChooseRouter, commands);
            actions::action_button_ui(ui, state, Action::LoadRouter, commands);
        });
    });
}

//! The decision: which route was chosen, how surely, and how fast.

use egui::{Label, RichText, ScrollArea, Ui};

use super::tokens::{self, space, text};
use super::{actions, bars, decision_facts, theme, widgets};
use crate::app::{Action, Command, JobKind, RouterPhase, ShownDecision, State};
use crate::decision::{Decision, Outcome};

/// Above this margin nobody has to think twice about a decision.
const CLEAR: f64 = 0.5;
/// Below this margin another wording of the same request may well get another route.
const CLOSE: f64 = 0.2;

/// Draws the panel.
pub fn decision_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Decision"),
        |ui| {
            if state.is_routing() {
                actions::action_button_ui(ui, state, Action::Cancel, commands);
            } else {
                actions::primary_button_ui(ui, state, Action::Route, commands);
            }
        },
    );
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        router_ui(ui, state, commands);
        match &state.shown {
            Some(shown) => shown_ui(ui, state, shown),
            None => waiting_ui(ui, state),
        }
    });
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
                let next = if state.route_when_loaded { ", then this conversation is routed" } else { "" };
                widgets::caption_ui(ui, format!("{}{next}", job.stage()));
            });
        }
        RouterPhase::Absent => problem_ui(ui, state, "No router is loaded", "Load one to see its decisions", commands),
        RouterPhase::Failed(error) => problem_ui(ui, state, "The router could not be loaded", error, commands),
    }
}

fn problem_ui(ui: &mut Ui, state: &State, title: &str, sentence: &str, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    theme::card_frame(palette.error_soft, palette.error_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.label(RichText::new(title).font(tokens::strong_font(text::BODY)).color(palette.error));
        ui.add(Label::new(sentence).wrap().selectable(true));
        actions::action_button_ui(ui, state, Action::LoadRouter, commands);
    });
}

fn waiting_ui(ui: &mut Ui, state: &State) {
    if state.is_routing() && state.router.phase == RouterPhase::Ready {
        widgets::empty_ui(ui, "Routing", "The router reads the policy and the conversation");
    } else if let Some(obstacle) = state.routing_obstacle() {
        widgets::empty_ui(ui, "No decision yet", obstacle);
    } else if !state.is_routing() {
        let keys = Action::Route.shortcut().map(|keys| ui.ctx().format_shortcut(&keys)).unwrap_or_default();
        widgets::empty_ui(ui, "No decision yet", &format!("Press Route or {keys} to see which route the router chooses"));
    }
}

fn shown_ui(ui: &mut Ui, state: &State, shown: &ShownDecision) {
    let outdated = state.is_shown_outdated();
    if outdated {
        widgets::caption_ui(ui, "The texts have changed since this decision");
    }
    ui.scope(|ui| {
        if outdated {
            ui.multiply_opacity(0.55);
        }
        ui.spacing_mut().item_spacing.y = space::S;
        chosen_ui(ui, &shown.decision);
        ui.add_space(space::S);
        widgets::subheading_ui(ui, "Probability of each answer");
        ui.scope(|ui| bars::bars_ui(ui, &shown.decision, &shown.policy));
        ui.add_space(space::S);
        decision_facts::facts_ui(ui, &shown.decision);
    });
}

fn chosen_ui(ui: &mut Ui, decision: &Decision) {
    let palette = theme::palette(ui);
    let (title, colour, ground) = match (decision.outcome, &decision.route) {
        (Outcome::Route, Some(route)) => (route.as_str(), palette.text, palette.accent_soft),
        (Outcome::Error, _) => ("The gateway would fail", palette.error, palette.error_soft),
        _ => ("No route fits", palette.text, palette.raised),
    };
    theme::card_frame(ground, ground).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.add(Label::new(RichText::new(title).font(tokens::strong_font(text::DISPLAY)).color(colour)).wrap().selectable(true));
        if let Some(error) = &decision.error {
            ui.add(Label::new(RichText::new(error).color(palette.text)).wrap().selectable(true));
        }
        let model = match (&decision.model, decision.outcome) {
            (_, Outcome::Error) => None,
            (Some(model), Outcome::NoRoute) => Some(format!("falls back to {model}")),
            (Some(model), Outcome::Route) => Some(format!("served by {model}")),
            (None, Outcome::NoRoute) => Some("the policy names no fallback model".to_owned()),
            (None, Outcome::Route) => Some("the policy names no model for it".to_owned()),
        };
        if let Some(model) = model {
            ui.add(Label::new(RichText::new(model).color(palette.text_weak)).wrap().selectable(true));
        }
        ui.add_space(space::XS);
        margin_ui(ui, decision.margin);
    });
}

/// Shows the margin as a word and a number; the colour only repeats the word.
fn margin_ui(ui: &mut Ui, margin: f64) {
    let palette = theme::palette(ui);
    let (word, colour, ground) = if margin >= CLEAR {
        ("Clear", palette.good, palette.good_soft)
    } else if margin >= CLOSE {
        ("Likely", palette.text, palette.raised)
    } else {
        ("Close call", palette.warning, palette.warning_soft)
    };
    ui.horizontal(|ui| {
        widgets::chip_ui(ui, word, colour, ground);
        widgets::caption_ui(ui, format!("Margin {:.1} points over the next answer", 100.0 * margin))
            .on_hover_text("Difference between the two largest probabilities");
    });
}

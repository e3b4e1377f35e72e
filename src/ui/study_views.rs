//! Questions that take several decisions: each turn, each open policy, other orders, parts of a description left out.

use egui::{Label, RichText, ScrollArea, Ui};

use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use super::{actions, bars, result_view, theme};
use crate::app::{Action, Command, RouterPhase, State, Study, StudyKind, StudyRow, Subject};
use crate::decision::{Decision, OrderStability, Outcome, other_orders};

pub const ROW_HEIGHT: f32 = 46.0;

/// What is said of a study that is no longer about what is on screen.
pub const OUTDATED: &str = "Out of date: texts or router have changed";

/// Draws the timeline: the route after each user message, flips marked.
pub fn turns_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some(study) =
        head_ui(ui, state, StudyKind::Turns, "Route each turn", "Route the conversation as it was after each user message", commands)
    else {
        return;
    };
    ui.spacing_mut().item_spacing.y = 2.0;
    let mut last: Option<&Decision> = None;
    for row in &study.rows {
        let Subject::Message(message) = row.subject else { continue };
        let decision = row.decision();
        let flipped = is_changed(decision, last);
        let from = last.map(result_view::chosen_name).unwrap_or_default();
        let (title, note) = match (&row.result, decision) {
            (_, Some(decision)) => {
                let flip = if flipped { format!("flip from {from}, ") } else { String::new() };
                let sure = top(decision).map_or_else(|| flip.trim_end_matches(", ").to_owned(), |p| format!("{flip}{}", bars::percent(p)));
                (result_view::chosen_name(decision).to_owned(), sure)
            }
            (Some(Err(_)), _) => ("Could not be routed".to_owned(), String::new()),
            _ => (undecided(state, StudyKind::Turns).to_owned(), String::new()),
        };
        let name = format!("After message {}: {title}, {note}", message + 1);
        let selected = state.turn == Some(message);
        let title = format!("{}  {title}", message + 1);
        let response = widgets::row_ui(
            ui,
            Row {
                name: &name,
                title: &title,
                detail: &row.label,
                note: &note,
                selected,
                height: ROW_HEIGHT,
                indent: if flipped { space::S } else { 0.0 },
            },
        );
        if flipped {
            mark_ui(ui, response.rect);
        }
        if response.on_hover_text("Show this turn's decision").clicked() && decision.is_some() {
            commands.push(Command::ShowTurn(Some(message)));
            commands.push(Command::ShowSection(crate::app::Section::Result));
        }
        last = decision.or(last);
    }
}

/// Returns whether both are made, and are not the same.
pub fn is_changed(now: Option<&Decision>, before: Option<&Decision>) -> bool {
    matches!((now, before), (Some(now), Some(before)) if now.label() != before.label())
}

/// Marks a row whose decision is another one than before.
pub fn mark_ui(ui: &Ui, row: egui::Rect) {
    let size = egui::vec2(3.0, ROW_HEIGHT - 2.0 * space::S);
    let mark = egui::Rect::from_min_size(row.min + egui::vec2(space::XS, space::S), size);
    ui.painter().rect_filled(mark, 1.5, theme::palette(ui).warning);
}

/// Draws the decision under each open policy, side by side.
pub fn variants_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if state.policies.len() < 2 {
        widgets::empty_ui(ui, "Only one policy is open", "Make a variant of it, change a word and see both decisions here");
        ui.vertical_centered(|ui| actions::action_button_ui(ui, state, Action::NewVariant, commands));
        return;
    }
    let Some(study) =
        head_ui(ui, state, StudyKind::Variants, "Route all variants", "Route the conversation under each open policy", commands)
    else {
        return;
    };
    let present = state.policy().id;
    let reference = study.rows.iter().find(|row| row.subject == Subject::Policy(present)).and_then(StudyRow::decision);
    ScrollArea::horizontal().show(ui, |ui| {
        ui.horizontal_top(|ui| {
            let width = ((ui.available_width() - space::S) / 2.0).max(210.0);
            for row in &study.rows {
                ui.allocate_ui(egui::vec2(width, 0.0), |ui| {
                    ui.vertical(|ui| variant_ui(ui, row, reference, undecided(state, StudyKind::Variants)))
                });
            }
        });
    });
}

fn variant_ui(ui: &mut Ui, row: &StudyRow, reference: Option<&Decision>, waiting: &str) {
    let palette = theme::palette(ui);
    theme::card_frame(palette.surface, palette.border).inner_margin(egui::Margin::same(space::S as i8)).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        ui.add(Label::new(RichText::new(&row.label).small().color(palette.text_weak)).truncate());
        match &row.result {
            None => drop(widgets::caption_ui(ui, waiting)),
            Some(Err(error)) => drop(ui.colored_label(palette.error, error)),
            Some(Ok(decision)) => {
                let name = result_view::chosen_name(decision);
                ui.add(Label::new(RichText::new(name).font(tokens::strong_font(text::HEADING))).truncate());
                let model = result_view::served_by(decision, &row.policy).unwrap_or_else(|| "no model".to_owned());
                ui.add(Label::new(RichText::new(model).small().color(palette.text_weak)).truncate());
                let differs = reference.is_some_and(|reference| reference.label() != decision.label());
                let differs = if differs { "Differs, " } else { "" };
                let sure = match decision.outcome {
                    Outcome::Error => "the gateway would fail".to_owned(),
                    _ if decision.probabilities.is_empty() => "no probabilities".to_owned(),
                    _ => format!("{}, margin {:.1}", result_view::margin_word(decision.margin), 100.0 * decision.margin),
                };
                widgets::caption_ui(ui, format!("{differs}{sure}"));
                if !decision.probabilities.is_empty() {
                    ui.scope(|ui| bars::bars_ui(ui, decision, &row.policy, None));
                }
            }
        }
    });
}

/// Draws how often the decision changes when the routes are listed in another order.
pub fn order_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Gateways feed routes in an order nobody controls; a decision that depends on it is not safe";
    let Some(study) = head_ui(ui, state, StudyKind::Order, "Test order", explanation, commands) else { return };
    let Some(row) = study.rows.first() else { return };
    match &row.result {
        None => drop(widgets::caption_ui(ui, undecided(state, StudyKind::Order))),
        Some(Err(error)) => drop(ui.colored_label(theme::palette(ui).error, error)),
        Some(Ok(decision)) => {
            if let Some(stability) = &decision.order_stability {
                stability_ui(ui, stability);
            } else {
                widgets::caption_ui(ui, "This router cannot test orders");
            }
        }
    }
}

fn stability_ui(ui: &mut Ui, stability: &OrderStability) {
    if stability.orders == 0 {
        widgets::caption_ui(ui, "The routes have no other order to test");
        return;
    }
    let palette = theme::palette(ui);
    let (word, colour, ground) = match stability.changed {
        0 => ("Stable", palette.good, palette.good_soft),
        _ => ("Depends on order", palette.warning, palette.warning_soft),
    };
    ui.horizontal_wrapped(|ui| {
        widgets::chip_ui(ui, word, colour, ground);
        ui.label(format!("The decision changes under {} of {}", stability.changed, other_orders(stability.orders)));
    });
    let total = stability.orders + 1;
    for count in &stability.decisions {
        let name = count.route.as_deref().unwrap_or(if count.outcome == Outcome::Error { "Error" } else { "No route" });
        let note = format!("{} of {total}", count.count);
        widgets::row_ui(
            ui,
            Row { name: &format!("{name}: {note}"), title: name, detail: "", note: &note, selected: false, height: 28.0, indent: 0.0 },
        );
    }
}

/// Draws how the probabilities move when parts of the selected route's description are left out.
pub fn wording_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Leave the selected route's description out, then each part of it, and see what the words are worth";
    let Some(study) = head_ui(ui, state, StudyKind::Wording, "Test wording", explanation, commands) else { return };
    let Some(Subject::Route(route)) = study.rows.first().map(|row| row.subject) else { return };
    let Some(route) = study.policy.routes.get(route) else { return };
    widgets::subheading_ui(ui, &format!("Probability of {}", route.name));
    let base = study.rows.first().and_then(StudyRow::decision);
    ui.spacing_mut().item_spacing.y = 2.0;
    for row in &study.rows {
        let (note, detail) = match (row.decision(), base, &row.result) {
            (Some(decision), Some(base), _) => {
                let (p, was) = (bars::p_of(decision, &route.name, false), bars::p_of(base, &route.name, false));
                let flips = if std::ptr::eq(decision, base) {
                    "decides"
                } else if decision.label() == base.label() {
                    "still"
                } else {
                    "now"
                };
                let change = match (p, was) {
                    (Some(p), Some(was)) if !std::ptr::eq(decision, base) => format!("{} points, ", bars::points(p - was)),
                    _ => String::new(),
                };
                let note = p.map_or_else(String::new, bars::percent);
                (note, format!("{change}{flips} {}", result_view::chosen_name(decision)))
            }
            (_, _, Some(Err(error))) => (String::new(), error.clone()),
            _ => (undecided(state, StudyKind::Wording).to_owned(), String::new()),
        };
        let name = format!("{}: {note}, {detail}", row.label);
        let response = widgets::row_ui(
            ui,
            Row { name: &name, title: &row.label, detail: &detail, note: &note, selected: false, height: ROW_HEIGHT, indent: 0.0 },
        );
        response.on_hover_text(&row.label);
    }
}

/// Draws the button that starts a study, and whether it is about the texts on screen. Returns the study, if there is one.
pub fn head_ui<'a>(
    ui: &mut Ui,
    state: &'a State,
    kind: StudyKind,
    button: &str,
    explanation: &str,
    commands: &mut Vec<Command>,
) -> Option<&'a Study> {
    let loading = (state.router.phase != RouterPhase::Ready).then_some("The router is not loaded yet");
    let obstacle = state.routing_obstacle().or(loading);
    let study = state.study(kind);
    let outdated = study.is_some_and(|study| state.is_study_outdated(study));
    ui.add(Label::new(RichText::new(explanation).small().color(theme::palette(ui).text_weak)).wrap());
    ui.horizontal_wrapped(|ui| {
        let response = ui.add_enabled(obstacle.is_none(), egui::Button::new(button));
        if response.on_disabled_hover_text(obstacle.unwrap_or_default()).clicked() {
            commands.push(Command::Study(kind));
        }
        if outdated {
            widgets::caption_ui(ui, OUTDATED);
        }
    });
    if let Some(study) = study.filter(|study| study.left_out > 0) {
        widgets::caption_ui(ui, left_out(kind, study.left_out));
    }
    ui.add_space(space::XS);
    if outdated {
        ui.multiply_opacity(0.55);
    }
    study
}

fn left_out(kind: StudyKind, count: usize) -> String {
    let what = if kind == StudyKind::Turns { "user message" } else { "conversation" };
    let plural = if count == 1 { "" } else { "s" };
    format!("Only the newest are routed, {count} older {what}{plural} left out")
}

/// Returns what stands in place of a decision: it is still to come, or it was cancelled.
pub fn undecided(state: &State, kind: StudyKind) -> &'static str {
    if state.is_studying(kind) { "Waiting" } else { "Not routed" }
}

/// Returns the largest probability; `None` where the router gives none.
pub fn top(decision: &Decision) -> Option<f64> {
    decision.probabilities.first().map(|entry| entry.p)
}

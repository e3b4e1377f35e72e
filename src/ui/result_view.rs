//! One decision in full: which route was chosen, how surely, and how fast.

use egui::{Label, RichText, Ui};

use super::tokens::{self, space, text};
use super::{bars, decision_facts, study_views, theme, widgets};
use crate::app::{Action, Command, RouterPhase, State, StudyKind, Subject};
use crate::decision::{Decision, Outcome};
use crate::dialect::no_route_note;
use crate::policy::{Policy, Route};

/// Above this margin nobody has to think twice about a decision.
const CLEAR: f64 = 0.5;
/// Below this margin another wording of the same request may well get another route.
const CLOSE: f64 = 0.2;

/// Of live gateways and of servers that give no log-probabilities.
pub const NO_PROBABILITIES: &str = "This router gives no probabilities";

/// Draws the decision on screen: that of the whole conversation, or of the turn that was clicked in the timeline.
pub fn result_view_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if let Some(turn) = state.turn
        && let Some(study) = state.study(StudyKind::Turns)
        && let Some(row) = study.rows.iter().find(|row| row.subject == Subject::Message(turn))
        && let Some(decision) = row.decision()
    {
        ui.horizontal_wrapped(|ui| {
            widgets::caption_ui(ui, format!("After message {}", turn + 1));
            if widgets::quiet_button_ui(ui, "Show the whole conversation's", "Show the decision of the whole conversation").clicked() {
                commands.push(Command::ShowTurn(None));
            }
        });
        ui.scope(|ui| {
            if state.is_study_outdated(study) {
                widgets::caption_ui(ui, study_views::OUTDATED);
                ui.multiply_opacity(0.55);
            }
            decision_ui(ui, decision, &row.policy, None);
        });
        return;
    }
    match &state.shown {
        Some(shown) => {
            let outdated = state.is_shown_outdated();
            ui.scope(|ui| {
                if outdated {
                    let other = shown.is_of_another(&state.router);
                    let sentence = if other { "Another router made this decision" } else { "The texts have changed since this decision" };
                    widgets::caption_ui(ui, sentence);
                    ui.multiply_opacity(0.55);
                }
                let before = state
                    .before_edit
                    .as_ref()
                    .filter(|before| !outdated && before.decision != shown.decision && !before.decision.probabilities.is_empty());
                decision_ui(ui, &shown.decision, &shown.policy, before.map(|before| &*before.decision));
            });
        }
        // Why there is none is said above.
        None if state.routing_failure().is_some_and(|(_, is_current)| is_current) => {}
        None => waiting_ui(ui, state),
    }
}

/// Draws what to do, or that it is being done.
pub fn waiting_ui(ui: &mut Ui, state: &State) {
    if state.is_routing() && state.router.phase == RouterPhase::Ready {
        let sentence = if state.batch.measuring.is_some() {
            "The router is measuring a set; this conversation is next"
        } else {
            "The router is reading the policy and the conversation"
        };
        widgets::empty_ui(ui, "Routing", sentence);
    } else if let Some(obstacle) = state.routing_obstacle() {
        widgets::empty_ui(ui, "No decision yet", obstacle);
    } else if !state.is_routing() {
        let keys = Action::Route.shortcut().map(|keys| ui.ctx().format_shortcut(&keys)).unwrap_or_default();
        widgets::empty_ui(ui, "No decision yet", &format!("Press Route or {keys} to see which route the router chooses"));
    }
}

fn decision_ui(ui: &mut Ui, decision: &Decision, policy: &Policy, before: Option<&Decision>) {
    ui.spacing_mut().item_spacing.y = space::S;
    chosen_ui(ui, decision, policy);
    ui.add_space(space::XS);
    if decision.probabilities.is_empty() {
        // Zeros would look like an unsure router.
        widgets::caption_ui(ui, NO_PROBABILITIES);
    } else {
        // A row that does not wrap would make the column wider, and a column stays as wide as it once was.
        ui.horizontal_wrapped(|ui| {
            widgets::subheading_ui(ui, "Probability of each answer");
            if let Some(temperature) = decision.router.temperature {
                widgets::caption_ui(ui, format!("at temperature {temperature}"))
                    .on_hover_text("The router's router.json calibrates these probabilities; decisions stay the same");
            }
            if before.is_some() {
                widgets::caption_ui(ui, "with the change since the last edit");
            }
        });
        ui.scope(|ui| bars::bars_ui(ui, decision, policy, before));
    }
    ui.add_space(space::S);
    decision_facts::facts_ui(ui, decision);
}

fn chosen_ui(ui: &mut Ui, decision: &Decision, policy: &Policy) {
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
        let model = match (served_by(decision, policy), decision.outcome) {
            (_, Outcome::Error) => None,
            (Some(model), Outcome::NoRoute) => Some(format!("falls back to {model}")),
            (Some(model), Outcome::Route) => Some(format!("served by {model}")),
            (None, Outcome::NoRoute) => Some("the policy names no fallback model".to_owned()),
            (None, Outcome::Route) => Some("the policy names no model for it".to_owned()),
        };
        if let Some(model) = model {
            ui.add(Label::new(RichText::new(model).color(palette.text_weak)).wrap().selectable(true));
        }
        if let Some(note) = no_route_note(decision.dialect).filter(|_| decision.outcome == Outcome::NoRoute) {
            widgets::caption_ui(ui, note);
        }
        if decision.outcome != Outcome::Error && !decision.probabilities.is_empty() {
            ui.add_space(space::XS);
            margin_ui(ui, decision.margin);
        }
    });
}

/// Returns the model that serves a decision, or those of which the gateway takes one; `None` where the policy names none.
pub fn served_by(decision: &Decision, policy: &Policy) -> Option<String> {
    let choice = || decision.route.as_deref().and_then(|route| policy.route(route)).and_then(Route::choice);
    decision.model.clone().or_else(choice)
}

/// Returns the plain word for a margin.
pub fn margin_word(margin: f64) -> &'static str {
    if margin >= CLEAR {
        "Clear"
    } else if margin >= CLOSE {
        "Likely"
    } else {
        "Close call"
    }
}

/// Shows the margin as a word and a number; the colour only repeats the word.
fn margin_ui(ui: &mut Ui, margin: f64) {
    let palette = theme::palette(ui);
    let (colour, ground) = if margin >= CLEAR {
        (palette.good, palette.good_soft)
    } else if margin >= CLOSE {
        (palette.text, palette.raised)
    } else {
        (palette.warning, palette.warning_soft)
    };
    // A row that does not wrap would push the column out of a narrow window.
    ui.horizontal_wrapped(|ui| {
        widgets::chip_ui(ui, margin_word(margin), colour, ground);
        widgets::caption_ui(ui, format!("Margin {:.1} points over the next answer", 100.0 * margin)).on_hover_text(
            "Difference between the two largest probabilities; of a server, to the next one or to all that it does not report",
        );
    });
}

/// Returns what a decision chose, for lists: the route's name, "No route" or "Error".
pub fn chosen_name(decision: &Decision) -> &str {
    match (decision.outcome, &decision.route) {
        (Outcome::Route, Some(route)) => route,
        (Outcome::Error, _) => "Error",
        _ => "No route",
    }
}

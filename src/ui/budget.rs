//! The dialect, and what its budget leaves for the conversation.

use egui::{ComboBox, DragValue, Ui};

use super::tokens::space;
use super::widgets;
use crate::app::{Action, Command, State};
use crate::dialect::{default_budget, estimated_tokens};
use crate::policy::{DialectId, PolicyEdit};

/// Draws the line under the editor.
pub fn budget_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        dialect_ui(ui, state, commands);
        widgets::short_caption_ui(ui, state.dialect().explanation());
    });
    // Of each policy its own: undo must not bring the number of another one back.
    ui.push_id(state.policy().id.0, |ui| prompt_ui(ui, state, commands));
}

fn prompt_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let (count, explanation) = prompt_tokens(state);
        widgets::caption_ui(ui, count).on_hover_text(explanation);
        length_ui(ui, state, commands);
        if let Some(budget) = state.prompt.selection.budget {
            let left = budget.limit.saturating_sub(budget.used);
            let sentence = if budget.used > budget.limit {
                format!("Budget of {} exceeded by {}", budget.limit, budget.used - budget.limit)
            } else {
                format!("Budget: used {} of {}, {left} left for more messages", budget.used, budget.limit)
            };
            widgets::caption_ui(ui, sentence).on_hover_text(
                "In the gateway's own estimate: bytes of the fixed text and the messages, divided by 4; routes are not counted",
            );
        }
        let dropped = state.prompt.selection.dropped.len();
        if dropped > 0 {
            widgets::caption_ui(ui, format!("{dropped} messages are not sent"));
        }
        actions_ui(ui, state, commands);
    });
}

fn actions_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if !state.settings.dock && widgets::quiet_button_ui(ui, "Show decision", Action::ToggleDock.text()).clicked() {
        commands.push(Command::Perform(Action::ToggleDock));
    }
}

/// The router's own number where it is known for these texts, an estimate from their bytes while they change.
fn prompt_tokens(state: &State) -> (String, &'static str) {
    match state.prompt_tokens() {
        Some(tokens) => (format!("Prompt {tokens} tokens"), "As the router counts them, its chat template included"),
        None => (
            format!("Prompt about {} tokens", estimated_tokens(&state.prompt.text)),
            "Estimated from its bytes as gateways do, until the router has counted them",
        ),
    }
}

/// The number that the operator of a gateway can set, where gateways that send the dialect heed one.
fn length_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let dialect = state.dialect();
    let Some(usual) = default_budget(dialect).filter(|_| dialect.takes_budget()) else { return };
    let present = state.routes().budget.unwrap_or(usual);
    let mut budget = present;
    // What a file says beyond the range stays: drawing changes no policy.
    let drag = DragValue::new(&mut budget).range(0..=MOST_TOKENS).clamp_existing_to_range(false);
    let drag = drag.prefix("Budget ").speed(16.0).update_while_editing(false);
    let response = ui.add(drag).accessible_name("Budget of the prompt");
    widgets::keep_undo(ui, &response);
    let hint = format!(
        "overrides.orchestrator_model_context_length of the gateway, in tokens as it estimates them; {usual} where it is not set. The policy keeps it"
    );
    response.on_hover_text(hint);
    if budget != present {
        commands.push(Command::EditPolicy(PolicyEdit::SetBudget((budget != usual).then_some(budget))));
    }
}

/// More than any router reads.
const MOST_TOKENS: usize = 10_000_000;

fn dialect_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let caption = widgets::caption_ui(ui, "Dialect");
    let present = state.dialect();
    let combo = ComboBox::from_id_salt("dialect").selected_text(present.as_str()).width(140.0);
    let response = combo.show_ui(ui, |ui| {
        ui.set_min_width(420.0);
        for dialect in DialectId::ALL {
            let entry = ui.selectable_label(dialect == present, dialect.as_str());
            widgets::caption_ui(ui, dialect.explanation());
            if entry.clicked() && dialect != present {
                commands.push(Command::EditPolicy(PolicyEdit::SetDialect(Some(dialect))));
            }
        }
    });
    response.response.labelled_by(caption.id).on_hover_text(present.explanation());
}

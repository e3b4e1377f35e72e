//! The dialect, and what its budget leaves for the conversation.

use egui::{ComboBox, Ui};

use super::tokens::space;
use super::widgets;
use crate::app::{Action, Command, State};
use crate::dialect::estimated_tokens;
use crate::policy::{DialectId, PolicyEdit};

/// Draws the line under the editor.
pub fn budget_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        dialect_ui(ui, state, commands);
        widgets::short_caption_ui(ui, state.dialect().explanation());
    });
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let (count, explanation) = prompt_tokens(state);
        widgets::caption_ui(ui, count).on_hover_text(explanation);
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

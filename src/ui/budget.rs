//! The dialect, and what its budget leaves for the conversation.

use egui::{ComboBox, Label, RichText, Ui};

use super::tokens::space;
use super::{theme, widgets};
use crate::app::{Action, Command, State};
use crate::dialect::estimated_tokens;
use crate::policy::{DialectId, PolicyEdit};

/// Draws the line under the editor.
pub fn budget_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        dialect_ui(ui, state, commands);
        ui.add_space(space::S);
        let (count, explanation) = prompt_tokens(state);
        widgets::caption_ui(ui, count).on_hover_text(explanation);
        if let Some(budget) = state.prompt.selection.budget {
            let left = budget.limit.saturating_sub(budget.used);
            let sentence = if budget.used > budget.limit {
                format!("Budget of {} exceeded by {}", budget.limit, budget.used - budget.limit)
            } else {
                format!("{left} of {} left for the conversation", budget.limit)
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
    ui.add(Label::new(RichText::new(state.dialect().explanation()).small().color(theme::palette(ui).text_weak)).truncate());
}

fn actions_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if !state.settings.dock && widgets::quiet_button_ui(ui, "Show decision", Action::ToggleDock.text()).clicked() {
        commands.push(Command::Perform(Action::ToggleDock));
    }
}

/// Counts exactly where the decision on screen is about these texts, and estimates from its bytes a token while they change.
fn prompt_tokens(state: &State) -> (String, &'static str) {
    match &state.shown {
        Some(shown) if !state.is_shown_outdated() => {
            (format!("Prompt {} tokens", shown.decision.tokens.prompt), "As the router counts them, its chat template included")
        }
        _ => (
            format!("Prompt about {} tokens", estimated_tokens(&state.prompt.text)),
            "Estimated from its bytes as gateways do; routing gives the exact number",
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

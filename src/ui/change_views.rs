//! The conversation with something of it changed: without its earlier messages, with its last message written a little differently.

use egui::Ui;

use super::study_views::{ROW_HEIGHT, head_ui, is_changed, mark_ui, top, undecided};
use super::tokens::space;
use super::widgets::{self, Row};
use super::{bars, result_view};
use crate::app::{Command, State, Study, StudyKind, StudyRow, Subject};

/// Draws whether the earlier conversation matters.
pub fn history_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Leave all or part of the earlier conversation out, and see whether the decision needs it";
    let Some(study) = head_ui(ui, state, StudyKind::History, "Test history", explanation, commands) else { return };
    if !study.rows.iter().any(|row| row.subject == Subject::Changed) {
        widgets::caption_ui(ui, "Nothing comes before the last user message");
    }
    changes_ui(ui, state, study, "shorter conversations");
}

/// Draws whether small changes of the last user message move the decision.
pub fn robustness_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Write the last user message a little differently: a decision that this moves is not safe";
    let Some(study) = head_ui(ui, state, StudyKind::Robustness, "Test robustness", explanation, commands) else { return };
    changes_ui(ui, state, study, "small changes");
}

/// Draws a row for each change, those that flip the decision marked and counted.
fn changes_ui(ui: &mut Ui, state: &State, study: &Study, changes: &str) {
    let original = study.rows.iter().find(|row| row.subject == Subject::Original).and_then(StudyRow::decision);
    let decided = study.rows.iter().filter(|row| row.subject == Subject::Changed && row.decision().is_some()).count();
    let flips = study.rows.iter().filter(|row| is_changed(row.decision(), original)).count();
    if original.is_some() && decided > 0 {
        let verb = if flips == 1 { "moves" } else { "move" };
        widgets::caption_ui(ui, format!("{flips} of {decided} {changes} {verb} the decision"));
    }
    ui.spacing_mut().item_spacing.y = 2.0;
    for row in &study.rows {
        let flipped = is_changed(row.decision(), original);
        let (title, note) = match (&row.result, row.decision()) {
            (_, Some(decision)) => {
                let from = original.filter(|_| flipped).map(|original| format!("flip from {}", result_view::chosen_name(original)));
                let parts = [from, top(decision).map(bars::percent)];
                (result_view::chosen_name(decision), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            (Some(Err(_)), _) => ("Could not be routed", String::new()),
            _ => (undecided(state, study.kind), String::new()),
        };
        let name = format!("{}: {title}, {note}", row.label);
        let indent = if flipped { space::S } else { 0.0 };
        let drawn = Row { name: &name, title, detail: &row.label, note: &note, selected: false, height: ROW_HEIGHT, indent };
        let response = widgets::row_ui(ui, drawn);
        if flipped {
            mark_ui(ui, response.rect);
        }
        response.on_hover_text(&row.label);
    }
}

//! The conversation with something of it changed: without its earlier messages, with its last message written a little differently.

use egui::{Response, Ui};

use super::study_views::{ROW_HEIGHT, head_ui, is_changed, mark_ui, top, undecided};
use super::tokens::space;
use super::widgets::{self, Row};
use super::{bars, result_view};
use crate::app::{Command, State, Study, StudyKind, StudyRow, Subject};
use crate::decision::Decision;

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

/// What a row's decision is compared with, and how the row is shown.
pub struct Compared<'a> {
    /// For who hears the window.
    pub name: &'a str,
    pub with: Option<&'a Decision>,
    /// What stands before the other decision where it differs.
    pub word: &'a str,
    pub selected: bool,
}

/// Draws a row of a study, marked where its decision is another than the one it is compared with.
pub fn compared_ui(ui: &mut Ui, state: &State, kind: StudyKind, row: &StudyRow, compared: Compared<'_>) -> Response {
    let Compared { name, with, word, selected } = compared;
    let changed = is_changed(row.decision(), with);
    let (title, note) = match (&row.result, row.decision()) {
        (_, Some(decision)) => {
            let other = with.filter(|_| changed).map(|other| format!("{word} {}", result_view::chosen_name(other)));
            let parts = [other, top(decision).map(bars::percent)];
            (result_view::chosen_name(decision), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
        (Some(Err(_)), _) => ("Could not be routed", String::new()),
        _ => (undecided(state, kind), String::new()),
    };
    let name = format!("{name}: {title}, {note}");
    let indent = if changed { space::S } else { 0.0 };
    let drawn = Row { name: &name, title, detail: &row.label, note: &note, selected, height: ROW_HEIGHT, indent };
    let response = widgets::row_ui(ui, drawn);
    if changed {
        mark_ui(ui, response.rect);
    }
    response
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
        let response =
            compared_ui(ui, state, study.kind, row, Compared { name: &row.label, with: original, word: "flip from", selected: false });
        response.on_hover_text(&row.label);
    }
}

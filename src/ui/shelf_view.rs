//! Every conversation of the shelf under the policy as it is, beside what the saved policy gives: what a change of words moves elsewhere.

use egui::Ui;

use super::study_views::{ROW_HEIGHT, head_ui, is_changed, mark_ui, top, undecided};
use super::tokens::space;
use super::widgets::{self, Row};
use super::{bars, result_view};
use crate::app::{Command, DocId, State, Study, StudyKind, StudyRow, Subject};
use crate::decision::Decision;

/// Draws the list.
pub fn shelf_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Route every conversation of the shelf, and mark those that the saved policy routes elsewhere";
    let Some(study) = head_ui(ui, state, StudyKind::Shelf, "Route the shelf", explanation, commands) else { return };
    let rows: Vec<(DocId, &StudyRow)> = study.rows.iter().filter_map(|row| of(row, false)).collect();
    let before = |id: DocId| before(study, id);
    let changed = rows.iter().filter(|(id, row)| is_changed(row.decision(), before(*id))).count();
    let compared = rows.iter().filter(|(id, row)| row.decision().is_some() && before(*id).is_some()).count();
    if compared > 0 {
        widgets::caption_ui(ui, format!("{changed} of {compared} are routed elsewhere than by the saved policy"));
    } else if study.rows.len() == rows.len() {
        let sentence = match state.policy().saved() {
            Some(_) => "The policy was not changed since it was saved: there is nothing to compare with",
            None => "The policy was never saved: save it, and changes are compared with what was saved",
        };
        widgets::caption_ui(ui, sentence);
    }
    ui.spacing_mut().item_spacing.y = 2.0;
    for (id, row) in rows {
        let before = before(id);
        let is_changed = is_changed(row.decision(), before);
        let (title, note) = match (&row.result, row.decision()) {
            (_, Some(decision)) => {
                let was = before.filter(|_| is_changed).map(|before| format!("was {}", result_view::chosen_name(before)));
                let parts = [was, top(decision).map(bars::percent)];
                (result_view::chosen_name(decision), parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            (Some(Err(_)), _) => ("Could not be routed", String::new()),
            _ => (undecided(state, StudyKind::Shelf), String::new()),
        };
        let name = format!("Shelf, {}: {title}, {note}", row.label);
        let selected = state.conversation().id == id;
        let indent = if is_changed { space::S } else { 0.0 };
        let drawn = Row { name: &name, title, detail: &row.label, note: &note, selected, height: ROW_HEIGHT, indent };
        let response = widgets::row_ui(ui, drawn);
        if is_changed {
            mark_ui(ui, response.rect);
        }
        if response.on_hover_text("Show this conversation").clicked() {
            commands.push(Command::SelectConversation(id));
        }
    }
}

/// Returns the conversation that a row is about, where it is of the present policy, or of the saved one.
fn of(row: &StudyRow, wanted: bool) -> Option<(DocId, &StudyRow)> {
    match row.subject {
        Subject::Shelf { conversation, saved } if saved == wanted => Some((conversation, row)),
        _ => None,
    }
}

/// Returns what the saved policy decides.
fn before(study: &Study, conversation: DocId) -> Option<&Decision> {
    let saved = study.rows.iter().filter_map(|row| of(row, true));
    saved.filter(|(id, _)| *id == conversation).find_map(|(_, row)| row.decision())
}

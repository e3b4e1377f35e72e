//! The conversations of the shelf under the policy as it is, beside what the saved policy gives: what a change of words moves elsewhere.

use egui::Ui;

use super::change_views::{Compared, compared_ui};
use super::study_views::{head_ui, is_changed};
use super::widgets;
use crate::app::{Command, DocId, State, Study, StudyKind, StudyRow, Subject};
use crate::decision::Decision;

/// Draws the list.
pub fn shelf_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let explanation = "Route the conversations of the shelf, and mark those that the saved policy routes elsewhere";
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
        let name = format!("Shelf, {}", row.label);
        let selected = state.conversation().id == id;
        let compared = Compared { name: &name, with: before(id), word: "was", selected };
        let response = compared_ui(ui, state, StudyKind::Shelf, row, compared);
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

//! The Playground tab: the shelf of conversations, the one being tried, and its decision with the policy that it is made by.

use egui::{CentralPanel, Panel, ScrollArea, Ui};

use super::tokens::space;
use super::widgets::{self, Row};
use super::{actions, conversation_panel, decision_panel, tall_list, theme};
use crate::app::{Action, Command, State};

const ROW_HEIGHT: f32 = 46.0;
/// The least that the column of the decision is wide.
const DECISION_WIDTH: f32 = 320.0;

/// Draws the tab.
pub fn playground_tab_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let column = theme::column_frame(palette.surface);
    let shelf = Panel::left("shelf").frame(column).resizable(true);
    shelf.default_size((width * 0.19).clamp(200.0, 300.0)).min_size(160.0).show(ui, |ui| shelf_ui(ui, state, commands));
    let decision = Panel::right("decision").frame(column).resizable(true);
    let widest = widgets::column_width(ui, DECISION_WIDTH);
    let decision = decision.default_size((width * 0.38).min(640.0)).min_size(DECISION_WIDTH).max_size(widest);
    decision.show(ui, |ui| {
        ui.horizontal(|ui| widgets::policy_choice_ui(ui, state, "Policy that decides", f32::INFINITY, commands));
        ui.add_space(space::XS);
        decision_panel::decision_panel_ui(ui, state, commands);
    });
    CentralPanel::default()
        .frame(theme::column_frame(palette.canvas))
        .show(ui, |ui| conversation_panel::conversation_panel_ui(ui, state, commands));
}

fn shelf_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Shelf"),
        |ui| actions::short_button_ui(ui, state, Action::NewConversation, "New", commands),
    );
    actions::short_button_ui(ui, state, Action::ImportConversation, "Paste or import…", commands);
    let documents = &state.conversations;
    let is_new = tall_list::is_newly_selected(ui, "selected conversation", &state.conversation().id);
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW_HEIGHT, documents.len(), |ui, rows| {
        if is_new {
            tall_list::scroll_to_row(ui, state.conversation_index, rows.start, ROW_HEIGHT);
        }
        for index in rows {
            let Some(document) = documents.get(index) else { continue };
            let messages = document.text.messages.len();
            let detail = if messages == 1 { "1 message".to_owned() } else { format!("{messages} messages") };
            let note = if document.is_modified() { "unsaved" } else { "" };
            let selected = index == state.conversation_index;
            let name = format!("Conversation {}", document.title);
            let row = Row { name: &name, title: &document.title, detail: &detail, note, selected, height: ROW_HEIGHT, indent: 0.0 };
            let response = widgets::item_ui(ui, index, |ui| widgets::row_ui(ui, row));
            if response.clicked() {
                commands.push(Command::SelectConversation(document.id));
            }
            response.context_menu(|ui| {
                if ui.button("Remove from shelf").clicked() {
                    commands.push(Command::CloseConversation(document.id));
                }
            });
        }
    });
}

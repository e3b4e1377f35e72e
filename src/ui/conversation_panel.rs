//! The conversation being tried, message by message.

use egui::{ComboBox, RichText, ScrollArea, TextEdit, Ui};

use super::tokens::{self, space, text};
use super::widgets::{self, Field};
use super::{actions, tall_list, theme};
use crate::app::{Action, Command, State, Target};
use crate::chat::{ConversationEdit, Message, Role};

/// Lines longer than this are hard to read.
const READING_WIDTH: f32 = 820.0;

/// With less room than this the buttons over the messages have shorter labels, so that none lies over another.
const BUTTONS_WIDTH: f32 = 420.0;

/// Draws the panel of the Playground.
pub fn conversation_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    // A part of its own, since the central panel itself insists on all of its place.
    ui.vertical(|ui| {
        ui.set_max_width(READING_WIDTH.min(ui.available_width()));
        title_ui(ui, state, commands);
        let mut added = Vec::new();
        let [message, set] =
            if ui.available_width() < BUTTONS_WIDTH { ["Add", "To set…"] } else { [Action::AddMessage.text(), "Add to set…"] };
        widgets::header_ui(
            ui,
            |ui| actions::short_button_ui(ui, state, Action::AddMessage, message, &mut added),
            |ui| {
                actions::short_button_ui(ui, state, Action::AddToSet, set, commands);
                actions::short_button_ui(ui, state, Action::SaveConversation, "Save as…", commands);
                actions::short_button_ui(ui, state, Action::CloseConversation, "Remove", commands);
            },
        );
        commands.append(&mut added);
        messages_ui(ui, state, false, commands);
    });
}

/// Written as it is read: the heading is the field.
fn title_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let document = state.conversation();
    let mut title = document.title.clone();
    let field = TextEdit::singleline(&mut title).font(egui::TextStyle::Heading).frame(egui::Frame::NONE).desired_width(f32::INFINITY);
    // Of each conversation its own: undo must not bring the title of another one back.
    let response = ui.add(field.id_salt(("title", document.id.0))).accessible_name("Title of the conversation");
    widgets::keep_undo(ui, &response);
    if response.changed() {
        commands.push(Command::RenameConversation(title));
    }
}

/// Draws the conversation beside the policy: smaller, with the shelf as a list to choose from.
pub fn docked_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let mut chosen = Vec::new();
    widgets::header_ui(
        ui,
        |ui| {
            let shelf = ComboBox::from_id_salt("conversation").selected_text(&state.conversation().title).width(180.0).truncate();
            let response = shelf.show_ui(ui, |ui| {
                for (index, document) in state.conversations.iter().enumerate() {
                    if ui.selectable_label(index == state.conversation_index, &document.title).clicked() {
                        chosen.push(Command::SelectConversation(document.id));
                    }
                }
            });
            response.response.accessible_name("Conversation to try");
        },
        |ui| {
            actions::short_button_ui(ui, state, Action::AddMessage, "Add", commands);
            actions::short_button_ui(ui, state, Action::ImportConversation, "Paste…", commands);
        },
    );
    commands.append(&mut chosen);
    // A decision is about the last message, so in a small place that is the one in view.
    messages_ui(ui, state, true, commands);
}

fn messages_ui(ui: &mut Ui, state: &State, from_end: bool, commands: &mut Vec<Command>) {
    let document = state.conversation();
    let messages = &document.text.messages;
    if messages.is_empty() {
        return widgets::empty_ui(ui, "No messages yet", "Add a message, or paste a conversation");
    }
    let reveal = widgets::is_revealed(ui, state, Target::LastMessage).then_some(messages.len() - 1);
    ui.push_id(document.id.0, |ui| {
        let width = ui.available_width();
        let area = ScrollArea::vertical().auto_shrink(false).stick_to_bottom(from_end);
        let guess = |position: usize| messages.get(position).map_or(0.0, |message| height(message, width));
        tall_list::items_ui(ui, area, messages.len(), reveal, guess, |ui, position| {
            if let Some(message) = messages.get(position) {
                message_ui(ui, state, position, message, reveal == Some(position), commands);
                ui.add_space(space::S);
            }
        });
    });
}

/// Returns about how high a message will be.
fn height(message: &Message, width: f32) -> f32 {
    let text = message.text();
    let lines = (text.len() as f32 * 7.0 / width.max(80.0)).ceil().max(text.lines().count() as f32).max(1.0);
    84.0 + 19.0 * (lines - 1.0)
}

fn message_ui(ui: &mut Ui, state: &State, position: usize, message: &Message, reveal: bool, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let number = position + 1;
    let count = state.conversation().text.messages.len();
    let edge = if state.turn == Some(position) { palette.accent } else { palette.border };
    theme::card_frame(palette.surface, edge).inner_margin(egui::Margin::symmetric(space::M as i8, space::S as i8)).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let mut edit = None;
        widgets::header_ui(
            ui,
            |ui| role_ui(ui, position, message.role, commands),
            |ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.spacing_mut().button_padding.x = space::XS;
                if position > 0 && widgets::quiet_button_ui(ui, "Up", format!("Move message {number} up")).clicked() {
                    edit = Some(ConversationEdit::MoveMessage { message: position, to: position - 1 });
                }
                if number < count && widgets::quiet_button_ui(ui, "Down", format!("Move message {number} down")).clicked() {
                    edit = Some(ConversationEdit::MoveMessage { message: position, to: position + 1 });
                }
                if widgets::quiet_button_ui(ui, "Remove", format!("Remove message {number}")).clicked() {
                    edit = Some(ConversationEdit::RemoveMessage { message: position });
                }
            },
        );
        commands.extend(edit.map(Command::EditConversation));
        let name = format!("Message {number}");
        let field = Field { name: &name, hint: "What was said", rows: 1, mono: false };
        if let Some(text) = widgets::field_ui(ui, field, &message.text(), reveal) {
            commands.push(Command::EditConversation(ConversationEdit::SetText { message: position, text }));
        }
    });
}

fn role_ui(ui: &mut Ui, position: usize, present: Role, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let colour = if present == Role::User { palette.accent } else { palette.text_weak };
    let label = |role: Role| RichText::new(title(role)).font(tokens::strong_font(text::SMALL));
    let combo = ComboBox::from_id_salt("role").selected_text(label(present).color(colour));
    let response = combo.show_ui(ui, |ui| {
        for role in Role::ALL {
            if ui.selectable_label(role == present, title(role)).clicked() && role != present {
                commands.push(Command::EditConversation(ConversationEdit::SetRole { message: position, role }));
            }
        }
    });
    response.response.accessible_name(format!("Role of message {}", position + 1));
}

/// Returns a role as people call it.
pub fn title(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::Developer => "Developer",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
    }
}

//! The conversation being tried, message by message.

use egui::{ComboBox, RichText, ScrollArea, Ui};

use super::tokens::{self, space, text};
use super::widgets::{self, Field};
use super::{actions, theme};
use crate::app::{Action, Command, State, Target};
use crate::chat::{ConversationEdit, Message, Role};

/// Lines longer than this are hard to read.
const READING_WIDTH: f32 = 820.0;

/// Draws the panel.
pub fn conversation_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    // A part of its own, since the central panel itself insists on all of its place.
    ui.vertical(|ui| {
        ui.set_max_width(READING_WIDTH.min(ui.available_width()));
        conversation_ui(ui, state, commands);
    });
}

fn conversation_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Conversation"),
        |ui| actions::action_button_ui(ui, state, Action::AddMessage, commands),
    );
    let messages = &state.conversation.text.messages;
    if messages.is_empty() {
        widgets::empty_ui(ui, "No messages yet", "Add a message and write what a user would ask");
        return;
    }
    let reveal = widgets::is_revealed(ui, state, Target::LastMessage).then_some(messages.len() - 1);
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        for (position, message) in messages.iter().enumerate() {
            ui.push_id(position, |ui| message_ui(ui, position, message, reveal == Some(position), commands));
            ui.add_space(space::XS);
        }
    });
}

fn message_ui(ui: &mut Ui, position: usize, message: &Message, reveal: bool, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let number = position + 1;
    theme::card_frame(palette.surface, palette.border).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = space::XS;
        let mut remove = false;
        widgets::header_ui(
            ui,
            |ui| role_ui(ui, position, message.role, commands),
            |ui| remove = widgets::quiet_button_ui(ui, "Remove", format!("Remove message {number}")).clicked(),
        );
        if remove {
            commands.push(Command::EditConversation(ConversationEdit::RemoveMessage { message: position }));
        }
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

fn title(role: Role) -> &'static str {
    match role {
        Role::System => "System",
        Role::Developer => "Developer",
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::Tool => "Tool",
    }
}

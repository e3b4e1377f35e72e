//! Taking a conversation from any text: a place to paste, and what was understood, before anything is replaced.

use std::borrow::Cow;

use egui::{Label, RichText, ScrollArea, TextEdit, Ui};

use super::conversation_panel::title;
use super::theme;
use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use crate::app::{Action, Command, Import, State};
use crate::chat::Conversation;

/// Messages that the preview shows.
const SHOWN: usize = 30;

/// Draws the dialog.
pub fn import_dialog_ui(ui: &mut Ui, state: &State, import: &Import, commands: &mut Vec<Command>) {
    ui.set_width(760.0_f32.min(ui.ctx().content_rect().width() - 80.0));
    widgets::heading_ui(ui, "Paste or import a conversation");
    widgets::caption_ui(
        ui,
        "OpenAI messages as JSON, a ChatGPT, Claude, ShareGPT or LMSYS export, a log of requests, a transcript (“User: … Assistant: …”), or one prompt; a file can be dropped on the window",
    );
    let mut buffer = Cow::Borrowed(import.text.as_str());
    ScrollArea::vertical().id_salt("pasted").max_height(170.0).show(ui, |ui| {
        let edit = TextEdit::multiline(&mut buffer).font(egui::TextStyle::Monospace).hint_text("Paste here").desired_rows(8);
        let response = ui.add(edit.desired_width(f32::INFINITY)).accessible_name("Text to import");
        if import.text.is_empty() && ui.memory(|memory| memory.focused().is_none()) {
            response.request_focus();
        }
    });
    if let Cow::Owned(text) = buffer
        && text != import.text
    {
        commands.push(Command::ImportText(text));
    }
    ui.add_space(space::S);
    let chosen = understood_ui(ui, import, commands);
    ui.add_space(space::S);
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Min), |ui| {
        let ready = chosen.is_some();
        if ui.add_enabled(ready, egui::Button::new("Add to shelf")).clicked() {
            commands.push(Command::ImportAccept { replace: false });
        }
        let replaced = format!("Replace “{}”; can be undone", state.conversation().title);
        if ui.add_enabled(ready, egui::Button::new("Replace current")).on_hover_text(replaced).clicked() {
            commands.push(Command::ImportAccept { replace: true });
        }
        if ui.button("Cancel").accessible_name("Cancel import").clicked() {
            commands.push(Command::CloseDialog);
        }
        if ui.button("Choose file…").on_hover_text(Action::Open.tooltip()).clicked() {
            commands.extend([Command::CloseDialog, Command::Perform(Action::Open)]);
        }
    });
}

/// Says what the text was understood as; returns the conversation to take.
fn understood_ui<'a>(ui: &mut Ui, import: &'a Import, commands: &mut Vec<Command>) -> Option<&'a Conversation> {
    let palette = theme::palette(ui);
    let understood = match &import.understood {
        None => {
            widgets::caption_ui(ui, "Nothing to understand yet");
            return None;
        }
        Some(Err(error)) => {
            ui.add(Label::new(RichText::new(error.to_string()).color(palette.error)).wrap().selectable(true));
            return None;
        }
        Some(Ok(understood)) => understood,
    };
    let chosen = understood.found.get(import.chosen)?;
    let count = chosen.conversation.messages.len();
    let plural = if count == 1 { "" } else { "s" };
    let several = if understood.found.len() > 1 { format!(", {} conversations", understood.found.len()) } else { String::new() };
    widgets::subheading_ui(ui, &format!("Understood as: {}{several}", understood.kind));
    if understood.found.len() > 1 {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().id_salt("found").max_height(120.0).show_rows(ui, 26.0, understood.found.len(), |ui, rows| {
            for index in rows {
                let Some(found) = understood.found.get(index) else { continue };
                let selected = index == import.chosen;
                let row = Row { name: &found.title, title: &found.title, detail: "", note: "", selected, height: 26.0, indent: 0.0 };
                if widgets::row_ui(ui, row).clicked() {
                    commands.push(Command::ImportChoose(index));
                }
            }
        });
    }
    widgets::caption_ui(ui, format!("{count} message{plural}"));
    theme::card_frame(palette.raised, palette.raised).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ScrollArea::vertical().id_salt("preview").max_height(180.0).show(ui, |ui| {
            for message in chosen.conversation.messages.iter().take(SHOWN) {
                ui.label(RichText::new(title(message.role)).font(tokens::strong_font(text::SMALL)).color(palette.text_weak));
                let said: String = message.text().chars().take(400).collect();
                ui.add(Label::new(said).wrap());
            }
            if count > SHOWN {
                widgets::caption_ui(ui, format!("and {} more", count - SHOWN));
            }
        });
    });
    Some(&chosen.conversation)
}

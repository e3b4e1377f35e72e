//! The banner of the newest thing that went wrong.

use egui::{Label, RichText, Ui};

use super::{theme, widgets};
use crate::app::{Action, Command, Entry};

/// Draws the banner; `open` is how many messages wait to be read, this one included.
pub fn notice_ui(ui: &mut Ui, entry: &Entry, open: usize, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| {
            let text = RichText::new(&entry.text).color(theme::palette(ui).error);
            ui.add(Label::new(text).wrap().selectable(true));
        },
        |ui| {
            if open > 1 && ui.button(format!("{} more in the log", open - 1)).clicked() {
                commands.push(Command::Perform(Action::ToggleLog));
            }
            if ui.button("Dismiss").on_hover_text("The log keeps the message").clicked() {
                commands.push(Command::Dismiss { entry: entry.id });
            }
        },
    );
}

//! Everything that happened since the start.

use egui::{Label, RichText, ScrollArea, Ui};

use super::tokens::{space, text};
use super::{theme, widgets};
use crate::app::{Action, Command, Entry, Severity, State};

/// Draws the panel, newest entry last and in view.
pub fn log_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Log"),
        |ui| {
            if widgets::quiet_button_ui(ui, "Hide", "Hide log").clicked() {
                commands.push(Command::Perform(Action::ToggleLog));
            }
        },
    );
    if state.log.entries().is_empty() {
        widgets::caption_ui(ui, "Nothing has happened yet");
    }
    ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true).show(ui, |ui| {
        for entry in state.log.entries() {
            entry_ui(ui, entry);
        }
    });
}

fn entry_ui(ui: &mut Ui, entry: &Entry) {
    let palette = theme::palette(ui);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = space::L;
        let seconds = entry.after.as_secs();
        ui.label(RichText::new(format!("{}:{:02}", seconds / 60, seconds % 60)).monospace().size(text::SMALL).color(palette.text_weak))
            .on_hover_text("Minutes and seconds after the start");
        let colour = if entry.severity == Severity::Error { palette.error } else { palette.text };
        ui.add(Label::new(RichText::new(&entry.text).color(colour)).wrap().selectable(true));
    });
}

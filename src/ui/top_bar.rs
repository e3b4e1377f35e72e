//! The bar at the top: what is open, and the menu.

use egui::{RichText, Ui};

use super::tokens::{self, space, text};
use super::{actions, theme, widgets};
use crate::app::{Command, State};

/// Draws the bar.
pub fn top_bar_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| {
            let palette = theme::palette(ui);
            ui.label(RichText::new("Waypost").font(tokens::strong_font(text::HEADING)).color(palette.accent));
            ui.add_space(space::S);
            ui.label(RichText::new(&state.policy.title).color(palette.text));
            ui.label(RichText::new(format!("with {}", state.conversation.title)).color(palette.text_weak));
        },
        |ui| {
            ui.menu_button("Menu", |ui| actions::menu_ui(ui, state, commands));
        },
    );
}

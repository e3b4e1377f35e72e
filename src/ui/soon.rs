//! The tabs whose work is still to come: what will be there, and what does the same today.

use egui::{RichText, Ui};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::app::{Action, Command, Tab};

/// Draws one of these tabs.
pub fn soon_ui(ui: &mut Ui, tab: Tab, commands: &mut Vec<Command>) {
    let (title, lines): (_, [&str; 3]) = match tab {
        Tab::Batch => (
            "Measure agreement",
            [
                "Open a labelled set and see how often the router decides as you do",
                "Confusion matrix, accuracy by turn, span and conversation, calibration, latency",
                "Until this tab is here: waypost eval --policy P --set S",
            ],
        ),
        _ => (
            "Compare variants",
            [
                "Run two variants of a policy over the same labelled set",
                "Cases that were fixed and broken, and a sentence that says whether the difference is real",
                "Until this tab is here: open variants side by side in the Playground, or waypost compare",
            ],
        ),
    };
    ui.add_space(ui.available_height() * 0.18);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new(title).font(tokens::strong_font(text::DISPLAY)));
        ui.add_space(space::S);
        for line in lines {
            ui.label(RichText::new(line).color(theme::palette(ui).text_weak));
        }
        ui.add_space(space::L);
        if widgets::button_ui(ui, "Go to Playground").clicked() {
            commands.push(Command::Perform(Action::ShowPlayground));
        }
    });
}

//! The tab whose work is still to come: what will be there, and what does the same today.

use egui::{RichText, Ui};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::app::{Action, Command};

/// Draws the tab.
pub fn soon_ui(ui: &mut Ui, commands: &mut Vec<Command>) {
    let title = "Export for the gateway";
    let lines = [
        "Write the tested policy as Plano, archgw, LiteLLM or vLLM Semantic Router configuration",
        "With the evidence beside it: what it was tested with, and how well",
        "Until this tab is here: waypost export POLICY",
    ];
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

//! The form of one route.

use egui::{ScrollArea, Ui};

use super::tokens::space;
use super::widgets::{self, Field};
use crate::app::{Action, Command, State, Target};
use crate::policy::PolicyEdit;

/// Draws the form of the route at `position`.
pub fn route_form_ui(ui: &mut Ui, state: &State, position: usize, commands: &mut Vec<Command>) {
    let Some(route) = state.policy.text.routes.get(position) else { return };
    widgets::header_ui(
        ui,
        |ui| widgets::subheading_ui(ui, "Selected route"),
        |ui| {
            if widgets::quiet_button_ui(ui, "Remove", "Remove selected route").on_hover_text(Action::RemoveRoute.tooltip()).clicked() {
                commands.push(Command::Perform(Action::RemoveRoute));
            }
        },
    );
    // One salt per position: without it the cursor and egui's own undo would wander from one route's text to the next one's.
    ui.push_id(position, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            widgets::caption_ui(ui, "Name");
            let name = Field { name: "Route name", hint: "What the router answers with", rows: 0, mono: true };
            if let Some(name) = widgets::field_ui(ui, name, &route.name, widgets::is_revealed(ui, state, Target::RouteName)) {
                commands.push(Command::EditPolicy(PolicyEdit::Rename { route: position, name }));
            }
            ui.add_space(space::XS);
            widgets::caption_ui(ui, "Description");
            let description =
                Field { name: "Route description", hint: "Which requests belong here, and which do not", rows: 4, mono: false };
            if let Some(description) = widgets::field_ui(ui, description, &route.description, false) {
                commands.push(Command::EditPolicy(PolicyEdit::Describe { route: position, description }));
            }
            ui.add_space(space::XS);
            widgets::caption_ui(ui, "Models, one a line, the preferred one first");
            let models = Field { name: "Route models", hint: "provider/model", rows: 1, mono: true };
            if let Some(text) = widgets::field_ui(ui, models, &route.models.join("\n"), false) {
                // Lines are kept as they are, empty ones too: trimming them here would take away the line feed that was just typed.
                let models = if text.is_empty() { Vec::new() } else { text.split('\n').map(str::to_owned).collect() };
                commands.push(Command::EditPolicy(PolicyEdit::SetModels { route: position, models }));
            }
        });
    });
}

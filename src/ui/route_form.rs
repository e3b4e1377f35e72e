//! The form of one route.

use egui::{ScrollArea, Ui};

use super::tokens::space;
use super::widgets;
use super::{actions, lint_view};
use crate::app::{Action, Command, State, Target};
use crate::policy::lint::Field;
use crate::policy::{PolicyEdit, Route};

/// Draws the form of the route at `position`.
pub fn route_form_ui(ui: &mut Ui, state: &State, position: usize, commands: &mut Vec<Command>) {
    let Some(route) = state.routes().routes.get(position) else { return };
    // One salt per document and position: without it the cursor would wander from one route's text to the next one's. The number of routes
    // too, since a position is another route's once one before it came or went.
    ui.push_id((state.policy().id.0, position, state.routes().routes.len()), |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(ui.available_width().min(760.0));
            fields_ui(ui, state, position, route, commands);
        });
    });
}

fn fields_ui(ui: &mut Ui, state: &State, position: usize, route: &Route, commands: &mut Vec<Command>) {
    widgets::caption_ui(ui, "Name");
    let name = widgets::Field { name: "Route name", hint: "What the router answers with", rows: 0, mono: true };
    if let Some(name) = widgets::field_ui(ui, name, &route.name, widgets::is_revealed(ui, state, Target::RouteName)) {
        commands.push(Command::EditPolicy(PolicyEdit::Rename { route: position, name }));
    }
    lint_view::fields_ui(ui, state, position, &[Field::Name], commands);
    ui.add_space(space::S);
    widgets::caption_ui(ui, "Description");
    let description =
        widgets::Field { name: "Route description", hint: "Which requests belong here, and which do not", rows: 5, mono: false };
    if let Some(description) = widgets::field_ui(ui, description, &route.description, false) {
        commands.push(Command::EditPolicy(PolicyEdit::Describe { route: position, description }));
    }
    lint_view::fields_ui(ui, state, position, &[Field::Description], commands);
    actions::short_button_ui(ui, state, Action::TestWording, "Test wording", commands);
    ui.add_space(space::S);
    ui.columns_const(|[left, right]| {
        // Captions of one line each, so that the fields below them stand in a row.
        widgets::short_caption_ui(left, "Domain").on_hover_text("Groups routes for people");
        let field = widgets::Field { name: "Route domain", hint: "finance", rows: 0, mono: false };
        if let Some(domain) = widgets::field_ui(left, field, route.domain.as_deref().unwrap_or_default(), false) {
            commands.push(Command::EditPolicy(PolicyEdit::SetDomain { route: position, domain: optional(domain) }));
        }
        widgets::short_caption_ui(right, "Action inside the domain");
        let field = widgets::Field { name: "Route action", hint: "summarise", rows: 0, mono: false };
        if let Some(action) = widgets::field_ui(right, field, route.action.as_deref().unwrap_or_default(), false) {
            commands.push(Command::EditPolicy(PolicyEdit::SetAction { route: position, action: optional(action) }));
        }
    });
    ui.add_space(space::S);
    widgets::caption_ui(ui, "Models, one per line, the preferred one first");
    let models = widgets::Field { name: "Route models", hint: "provider/model", rows: 2, mono: true };
    if let Some(text) = widgets::field_ui(ui, models, &route.models.join("\n"), false) {
        // Lines are kept as they are, empty ones too: trimming them here would take away the line feed that was just typed.
        let models = if text.is_empty() { Vec::new() } else { text.split('\n').map(str::to_owned).collect() };
        commands.push(Command::EditPolicy(PolicyEdit::SetModels { route: position, models }));
    }
    lint_view::fields_ui(ui, state, position, &[Field::Models, Field::Action, Field::SelectionPolicy], commands);
    ui.add_space(space::L);
    ui.separator();
    whole_policy_ui(ui, state, commands);
}

fn whole_policy_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let policy = state.routes();
    widgets::subheading_ui(ui, "Whole policy");
    ui.columns_const(|[left, right]| {
        widgets::short_caption_ui(left, "Policy name");
        let field = widgets::Field { name: "Policy name", hint: "Shown on its tab", rows: 0, mono: false };
        if let Some(name) = widgets::field_ui(left, field, policy.name.as_deref().unwrap_or_default(), false) {
            commands.push(Command::EditPolicy(PolicyEdit::SetName(optional(name))));
        }
        widgets::short_caption_ui(right, "Fallback model, when no route fits");
        let field = widgets::Field { name: "Fallback model", hint: "provider/model", rows: 0, mono: true };
        if let Some(model) = widgets::field_ui(right, field, policy.fallback.as_deref().unwrap_or_default(), false) {
            commands.push(Command::EditPolicy(PolicyEdit::SetFallback(optional(model))));
        }
    });
    lint_view::whole_ui(ui, state, commands);
}

fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

//! Draws the table of actions: as buttons, as menu entries, and as the shortcuts that are pressed.

use egui::{Button, Response, RichText, Ui};

use super::tokens::{self, space};
use super::{theme, widgets};
use crate::app::{Action, Command, Menu, SAMPLES, State};

/// Returns the commands of the shortcuts pressed in this frame, and keeps text fields from seeing them.
pub fn pressed(ui: &Ui, state: &State) -> Vec<Command> {
    // Ctrl+Y is what half of the world presses to redo.
    let redo = egui::KeyboardShortcut::new(egui::Modifiers::COMMAND, egui::Key::Y);
    let mut actions: Vec<Action> = Action::ALL.into_iter().filter(|action| action.shortcut().is_some()).collect();
    // egui lets Ctrl+Z match while Shift is held as well, so what needs more keys is looked for first.
    actions.sort_by_key(|action| action.shortcut().is_none_or(|keys| !keys.modifiers.shift));
    let is_pressed = |action: &Action| {
        action.shortcut().is_some_and(|keys| ui.input_mut(|input| input.consume_shortcut(&keys)))
            || (*action == Action::Redo && ui.input_mut(|input| input.consume_shortcut(&redo)))
    };
    if state.dialog.is_some() {
        // What stands in front has the keyboard; only the palette's own keys close it again.
        actions.retain(|action| *action == Action::Palette && action.is_on(state));
    }
    if widgets::is_undo_kept(ui) {
        actions.retain(|action| !matches!(action, Action::Undo | Action::Redo));
    }
    let pressed: Vec<Action> = actions.into_iter().filter(is_pressed).collect();
    pressed.into_iter().filter(|action| action.obstacle(state).is_none()).map(Command::Perform).collect()
}

/// Draws the one button of a panel that a user should press next.
pub fn primary_button_ui(ui: &mut Ui, state: &State, action: Action, commands: &mut Vec<Command>) {
    ui.scope(|ui| {
        widgets::make_primary(ui);
        button_ui(ui, state, action, RichText::new(action.text()).family(tokens::semibold()), commands);
    });
}

/// Draws an ordinary button.
pub fn action_button_ui(ui: &mut Ui, state: &State, action: Action, commands: &mut Vec<Command>) {
    button_ui(ui, state, action, RichText::new(action.text()), commands);
}

/// Draws a button with a shorter label than the action's name, which screen readers still say.
pub fn short_button_ui(ui: &mut Ui, state: &State, action: Action, label: &str, commands: &mut Vec<Command>) {
    button_ui(ui, state, action, RichText::new(label), commands);
}

/// Draws a check box for a setting.
pub fn check_ui(ui: &mut Ui, state: &State, action: Action, commands: &mut Vec<Command>) {
    let mut on = action.is_on(state);
    let response = ui.checkbox(&mut on, RichText::new(action.text()).small().color(theme::palette(ui).text_weak));
    if explain(response, ui, action, None).changed() {
        commands.push(Command::Perform(action));
    }
}

fn button_ui(ui: &mut Ui, state: &State, action: Action, text: RichText, commands: &mut Vec<Command>) {
    let obstacle = action.obstacle(state);
    let button = Button::new(text).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT));
    let response = explain(ui.add_enabled(obstacle.is_none(), button), ui, action, obstacle).accessible_name(action.text());
    if response.clicked() {
        commands.push(Command::Perform(action));
    }
}

/// Draws the entries of one menu.
pub fn menu_ui(ui: &mut Ui, state: &State, menu: Menu, commands: &mut Vec<Command>) {
    ui.set_min_width(320.0);
    ui.spacing_mut().button_padding = egui::vec2(space::S, space::XS);
    ui.spacing_mut().item_spacing.y = 0.0;
    for action in Action::ALL.into_iter().filter(|action| action.menu() == menu) {
        if action.starts_group() {
            ui.separator();
        }
        let obstacle = action.obstacle(state);
        let shortcut = action.shortcut().map(|keys| ui.ctx().format_shortcut(&keys)).unwrap_or_default();
        let button = Button::selectable(action.is_on(state), text(action, state)).shortcut_text(shortcut);
        let response = ui.add_enabled(obstacle.is_none(), button);
        if explain(response, ui, action, obstacle).clicked() {
            commands.push(Command::Perform(action));
            ui.close();
        }
    }
    if menu == Menu::File {
        ui.separator();
        ui.menu_button("New from sample", |ui| {
            for (position, sample) in SAMPLES.iter().enumerate() {
                if ui.button(sample.title).clicked() {
                    commands.push(Command::NewFromSample(position));
                    ui.close();
                }
            }
        });
    }
    if menu == Menu::File && !state.settings.recent.is_empty() {
        ui.menu_button("Recent files", |ui| {
            for path in &state.settings.recent {
                let name = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
                if ui.button(name).on_hover_text(path.display().to_string()).clicked() {
                    commands.push(Command::Open(path.clone()));
                    ui.close();
                }
            }
        });
    }
}

/// Undo and redo say what they would change.
fn text(action: Action, state: &State) -> String {
    let what = match action {
        Action::Undo => state.undo_label(),
        Action::Redo => state.redo_label(),
        _ => None,
    };
    what.map_or_else(|| action.text().to_owned(), |what| format!("{}: {what}", action.text()))
}

/// Adds the tooltip: what the action does and its shortcut, or why it cannot be done now.
fn explain(response: Response, ui: &Ui, action: Action, obstacle: Option<&str>) -> Response {
    let tooltip = match action.shortcut() {
        Some(keys) => format!("{} ({})", action.tooltip(), ui.ctx().format_shortcut(&keys)),
        None => action.tooltip().to_owned(),
    };
    response.on_hover_text(tooltip).on_disabled_hover_text(obstacle.unwrap_or_default())
}

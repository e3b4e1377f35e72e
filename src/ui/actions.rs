//! Draws the table of actions: as buttons, as menu entries, and as the shortcuts that are pressed.

use egui::{Button, Response, RichText, Ui};

use super::theme;
use super::tokens::{self, space};
use crate::app::{Action, Command, State};

/// Returns the commands of the shortcuts pressed in this frame, and keeps text fields from seeing them.
pub fn pressed(ui: &Ui, state: &State) -> Vec<Command> {
    let is_pressed = |action: &Action| action.shortcut().is_some_and(|keys| ui.input_mut(|input| input.consume_shortcut(&keys)));
    let pressed: Vec<Action> = Action::ALL.into_iter().filter(is_pressed).collect();
    pressed.into_iter().filter(|action| action.obstacle(state).is_none()).map(Command::Perform).collect()
}

/// Draws the one button of a panel that a user should press next.
pub fn primary_button_ui(ui: &mut Ui, state: &State, action: Action, commands: &mut Vec<Command>) {
    ui.scope(|ui| {
        let palette = theme::palette(ui);
        let widgets = &mut ui.visuals_mut().widgets;
        for (widget, fill) in [
            (&mut widgets.inactive, palette.accent),
            (&mut widgets.hovered, palette.accent_hover),
            (&mut widgets.active, palette.accent_hover),
        ] {
            widget.weak_bg_fill = fill;
            widget.bg_stroke.color = fill;
            widget.fg_stroke.color = palette.on_accent;
        }
        button_ui(ui, state, action, RichText::new(action.text()).family(tokens::semibold()), commands);
    });
}

/// Draws an ordinary button.
pub fn action_button_ui(ui: &mut Ui, state: &State, action: Action, commands: &mut Vec<Command>) {
    button_ui(ui, state, action, RichText::new(action.text()), commands);
}

fn button_ui(ui: &mut Ui, state: &State, action: Action, text: RichText, commands: &mut Vec<Command>) {
    let obstacle = action.obstacle(state);
    let button = Button::new(text).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT));
    let response = explain(ui.add_enabled(obstacle.is_none(), button), ui, action, obstacle);
    if response.clicked() {
        commands.push(Command::Perform(action));
    }
}

/// Draws the menu of all actions.
pub fn menu_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.set_min_width(280.0);
    ui.spacing_mut().button_padding = egui::vec2(space::S, space::XS);
    ui.spacing_mut().item_spacing.y = 0.0;
    for action in Action::ALL {
        if matches!(action, Action::AddRoute | Action::ToggleLog | Action::ThemeSystem) {
            ui.separator();
        }
        let obstacle = action.obstacle(state);
        let shortcut = action.shortcut().map(|keys| ui.ctx().format_shortcut(&keys)).unwrap_or_default();
        let button = Button::selectable(action.is_on(state), action.text()).shortcut_text(shortcut);
        let response = ui.add_enabled(obstacle.is_none(), button);
        if explain(response, ui, action, obstacle).clicked() {
            commands.push(Command::Perform(action));
            ui.close();
        }
    }
}

/// Adds the tooltip: what the action does and its shortcut, or why it cannot be done now.
fn explain(response: Response, ui: &Ui, action: Action, obstacle: Option<&str>) -> Response {
    let tooltip = match action.shortcut() {
        Some(keys) => format!("{} ({})", action.tooltip(), ui.ctx().format_shortcut(&keys)),
        None => action.tooltip().to_owned(),
    };
    response.on_hover_text(tooltip).on_disabled_hover_text(obstacle.unwrap_or_default())
}

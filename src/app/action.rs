//! The one table of what a user can do: menus, buttons, tooltips, shortcuts and later the command palette all read it.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::state::State;
use super::{RouterPhase, ThemeChoice};

/// Something a user can do from anywhere in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Route,
    Cancel,
    LoadRouter,
    AddRoute,
    RemoveRoute,
    AddMessage,
    ToggleLog,
    ThemeSystem,
    ThemeLight,
    ThemeDark,
}

impl Action {
    /// Every action, in the order menus show them.
    pub const ALL: [Self; 10] = [
        Self::Route,
        Self::Cancel,
        Self::LoadRouter,
        Self::AddRoute,
        Self::RemoveRoute,
        Self::AddMessage,
        Self::ToggleLog,
        Self::ThemeSystem,
        Self::ThemeLight,
        Self::ThemeDark,
    ];

    /// Returns what buttons and menus say.
    pub fn text(self) -> &'static str {
        match self {
            Self::Route => "Route",
            Self::Cancel => "Cancel",
            Self::LoadRouter => "Load router again",
            Self::AddRoute => "Add route",
            Self::RemoveRoute => "Remove selected route",
            Self::AddMessage => "Add message",
            Self::ToggleLog => "Show log",
            Self::ThemeSystem => "Theme of the system",
            Self::ThemeLight => "Light theme",
            Self::ThemeDark => "Dark theme",
        }
    }

    /// Returns one sentence more than [`Self::text`] says.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Route => "Ask the router which route fits this conversation",
            Self::Cancel => "Stop what the engine is doing",
            Self::LoadRouter => "Read the router's files once more, for example after a failure",
            Self::AddRoute => "Add an empty route at the end of the policy",
            Self::RemoveRoute => "Take the selected route out of the policy",
            Self::AddMessage => "Add an empty message at the end of the conversation",
            Self::ToggleLog => "Show or hide what happened since the start",
            Self::ThemeSystem => "Follow the light or dark theme of the system",
            Self::ThemeLight => "Dark text on light ground",
            Self::ThemeDark => "Light text on dark ground",
        }
    }

    /// Returns the keys that do the same, where there are any. `COMMAND` is Ctrl, or Cmd on a Mac.
    pub fn shortcut(self) -> Option<KeyboardShortcut> {
        let (modifiers, key) = match self {
            Self::Route => (Modifiers::COMMAND, Key::Enter),
            Self::Cancel => (Modifiers::COMMAND, Key::Period),
            Self::AddRoute => (Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::R),
            Self::AddMessage => (Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::M),
            Self::ToggleLog => (Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::L),
            Self::LoadRouter | Self::RemoveRoute | Self::ThemeSystem | Self::ThemeLight | Self::ThemeDark => return None,
        };
        Some(KeyboardShortcut::new(modifiers, key))
    }

    /// Returns why the action cannot be done now, or `None` when it can.
    pub fn obstacle(self, state: &State) -> Option<&'static str> {
        match self {
            Self::Route => state.routing_obstacle(),
            Self::Cancel if state.jobs.is_empty() && !state.route_when_loaded => Some("Nothing is running"),
            Self::LoadRouter if state.router.phase == RouterPhase::Loading => Some("The router is being loaded"),
            Self::RemoveRoute if state.selected_route().is_none() => Some("No route is selected"),
            _ => None,
        }
    }

    /// Returns whether the action is a setting that is on.
    pub fn is_on(self, state: &State) -> bool {
        match self {
            Self::ToggleLog => state.log_open,
            Self::ThemeSystem => state.settings.theme == ThemeChoice::System,
            Self::ThemeLight => state.settings.theme == ThemeChoice::Light,
            Self::ThemeDark => state.settings.theme == ThemeChoice::Dark,
            _ => false,
        }
    }
}

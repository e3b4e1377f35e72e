//! The one table of what a user can do: menus, buttons, tooltips, shortcuts and the command palette all read it.

use egui::{Key, KeyboardShortcut, Modifiers};

use super::settings::Tab;
use super::state::{Section, State};
use super::{Dialog, RouterPhase, ThemeChoice};

// Enum and list are one, so that no action is missing from menus and palette.
macro_rules! actions {
    ($($action:ident,)*) => {
        /// Something a user can do from anywhere in the window.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($action,)*
        }

        impl Action {
            /// Every action, in the order menus show them.
            pub const ALL: [Self; [$(stringify!($action)),*].len()] = [$(Self::$action),*];
        }
    };
}

actions! {
    NewPolicy,
    Open,
    Save,
    SaveAs,
    NewVariant,
    Close,
    NewConversation,
    ImportConversation,
    SaveConversation,
    CloseConversation,
    Undo,
    Redo,
    AddRoute,
    DuplicateRoute,
    RemoveRoute,
    MoveRouteUp,
    MoveRouteDown,
    AddMessage,
    Route,
    Cancel,
    Live,
    TestOrder,
    TestWording,
    TestHistory,
    TestRobustness,
    ChooseRouter,
    LoadRouter,
    OpenSet,
    AddToSet,
    Measure,
    MeasureVariants,
    SaveReport,
    NextWrong,
    PreviousWrong,
    AcceptDecision,
    OpenCase,
    Palette,
    ShowPolicy,
    ShowPlayground,
    ShowBatch,
    ShowCompare,
    ShowExport,
    ToggleYaml,
    ToggleFindings,
    ToggleDock,
    ToggleLog,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    ThemeSystem,
    ThemeLight,
    ThemeDark,
}

/// The menu an action is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Menu {
    File,
    Edit,
    Router,
    Measure,
    View,
}

impl Menu {
    /// Every menu, in the order of the bar.
    pub const ALL: [Self; 5] = [Self::File, Self::Edit, Self::Router, Self::Measure, Self::View];

    /// Returns the menu's name.
    pub fn text(self) -> &'static str {
        match self {
            Self::File => "File",
            Self::Edit => "Edit",
            Self::Router => "Router",
            Self::Measure => "Measure",
            Self::View => "View",
        }
    }
}

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// One line of the table: menu, text, tooltip, keys. `COMMAND` is Ctrl, or Cmd on a Mac.
type Line = (Menu, &'static str, &'static str, Option<(Modifiers, Key)>);

impl Action {
    #[rustfmt::skip] // a table reads best as one
    fn line(self) -> Line {
        use Menu::{Edit, File, Measure, Router, View};
        match self {
            Self::NewPolicy => (File, "New policy", "Open an empty policy beside the others", Some((CTRL, Key::N))),
            Self::Open => (File, "Open…", "Open policies, gateway configurations and conversations from files", Some((CTRL, Key::O))),
            Self::Save => (File, "Save", "Write the policy, or in the Playground the conversation, to its file", Some((CTRL, Key::S))),
            Self::SaveAs => (File, "Save policy as…", "Write the policy to another file", Some((CTRL_SHIFT, Key::S))),
            Self::NewVariant => (File, "New variant", "Copy this policy, to change the copy and compare both", Some((CTRL, Key::D))),
            Self::Close => (File, "Close", "Close the policy, or in the Playground the conversation; asks about unsaved changes", Some((CTRL, Key::W))),
            Self::NewConversation => (File, "New conversation", "Put an empty conversation on the shelf", Some((CTRL_SHIFT, Key::N))),
            Self::ImportConversation => (File, "Paste or import conversation…", "Read a conversation from any text: OpenAI JSON, a ChatGPT, Claude or ShareGPT export, a transcript, one prompt", Some((CTRL_SHIFT, Key::V))),
            Self::SaveConversation => (File, "Save conversation as…", "Write the conversation to a file", None),
            Self::CloseConversation => (File, "Remove conversation from shelf", "Close this conversation; asks about unsaved changes", None),
            Self::Undo => (Edit, "Undo", "Undo the last change", Some((CTRL, Key::Z))),
            Self::Redo => (Edit, "Redo", "Redo the last undone change", Some((CTRL_SHIFT, Key::Z))),
            Self::AddRoute => (Edit, "Add route", "Add an empty route at the end of the policy", Some((CTRL_SHIFT, Key::R))),
            Self::DuplicateRoute => (Edit, "Duplicate selected route", "Add a copy right after the selected route", Some((CTRL_SHIFT, Key::D))),
            Self::RemoveRoute => (Edit, "Remove selected route", "Take the selected route out of the policy", None),
            Self::MoveRouteUp => (Edit, "Move selected route up", "List the route before the one above it. Gateways do not keep this order", Some((Modifiers::ALT, Key::ArrowUp))),
            Self::MoveRouteDown => (Edit, "Move selected route down", "List the route after the one below it. Gateways do not keep this order", Some((Modifiers::ALT, Key::ArrowDown))),
            Self::AddMessage => (Edit, "Add message", "Add an empty message at the end of the conversation", Some((CTRL_SHIFT, Key::M))),
            Self::Route => (Router, "Route", "Ask the router which route fits this conversation", Some((CTRL, Key::Enter))),
            Self::Cancel => (Router, "Cancel", "Stop what the engine is doing", Some((CTRL, Key::Period))),
            Self::Live => (Router, "Route while typing", "Route again shortly after each change; a local router also routes as soon as it has loaded", None),
            Self::TestOrder => (Router, "Test order of routes", "Route under other orders of the routes: gateways feed them in an order nobody controls", None),
            Self::TestWording => (Router, "Test wording of selected route", "Leave parts of the route's description out and see how the probabilities move", None),
            Self::TestHistory => (Router, "Test history of conversation", "Leave earlier messages out and see whether the decision needs them", None),
            Self::TestRobustness => (Router, "Test robustness to small changes", "Reword the last user message (typos, no punctuation); its route should not change", None),
            Self::ChooseRouter => (Router, "Choose router…", "See which routers there are, download Arch-Router, add a server, choose the device", Some((CTRL, Key::R))),
            Self::LoadRouter => (Router, "Load router again", "Read the router's files once more, for example after a failure", None),
            Self::OpenSet => (Measure, "Open labelled set…", "Open conversations with the routes that people expect", Some((CTRL_SHIFT, Key::O))),
            Self::AddToSet => (Measure, "Add conversation to set…", "Add the conversation of the Playground, with its expected route, to a labelled set", Some((CTRL_SHIFT, Key::A))),
            Self::Measure => (Measure, "Measure agreement", "Decide every case of the labelled set and compare with the labels", Some((CTRL_SHIFT, Key::Enter))),
            Self::MeasureVariants => (Measure, "Measure open variants", "Measure every open policy that the labelled set is about, and compare them", None),
            Self::SaveReport => (Measure, "Save report…", "Write the figures and cases of the run on screen to a folder: report.md, report.json, cases.csv, junit.xml, set_findings.csv", None),
            Self::NextWrong => (Measure, "Next wrong case", "Show the next case whose decision differs from its label", Some((Modifiers::NONE, Key::F8))),
            Self::PreviousWrong => (Measure, "Previous wrong case", "Show the wrong case before this one", Some((Modifiers::SHIFT, Key::F8))),
            Self::AcceptDecision => (Measure, "Label as decided", "The decision is right and the label wrong: correct the label in the set's file", Some((Modifiers::NONE, Key::F2))),
            Self::OpenCase => (Measure, "Open case in Playground", "Put the case's conversation on the shelf and show it there", Some((Modifiers::NONE, Key::F4))),
            Self::Palette => (View, "Find action…", "Type a few letters of what to do", Some((CTRL, Key::K))),
            Self::ShowPolicy => (View, "Policy", "Write routes", Some((CTRL, Key::Num1))),
            Self::ShowPlayground => (View, "Playground", "Try conversations", Some((CTRL, Key::Num2))),
            Self::ShowBatch => (View, "Batch", "Measure agreement over labelled conversations", Some((CTRL, Key::Num3))),
            Self::ShowCompare => (View, "Compare", "Compare variants over a labelled set", Some((CTRL, Key::Num4))),
            Self::ShowExport => (View, "Export", "Write the tested policy for the gateway", Some((CTRL, Key::Num5))),
            Self::ToggleYaml => (View, "Edit as YAML", "Show the policy as the text of its file", Some((CTRL, Key::E))),
            Self::ToggleFindings => (View, "Show findings", "List what gateways would refuse or misread, and advice for writing routes", Some((CTRL_SHIFT, Key::F))),
            Self::ToggleDock => (View, "Show decision beside policy", "Keep the conversation and its decision in view while writing", Some((CTRL, Key::B))),
            Self::ToggleLog => (View, "Show log", "Show or hide what happened since the start", Some((CTRL_SHIFT, Key::L))),
            // The keys are egui's own, which also takes Ctrl and = to zoom in.
            Self::ZoomIn => (View, "Zoom in", "Make everything larger", Some((CTRL, Key::Plus))),
            Self::ZoomOut => (View, "Zoom out", "Make everything smaller", Some((CTRL, Key::Minus))),
            Self::ZoomReset => (View, "Reset zoom", "Back to 100 %", Some((CTRL, Key::Num0))),
            Self::ThemeSystem => (View, "System theme", "Follow the system's light or dark theme", None),
            Self::ThemeLight => (View, "Light theme", "Dark text on a light background", None),
            Self::ThemeDark => (View, "Dark theme", "Light text on a dark background", None),
        }
    }

    /// Returns the menu the action is in.
    pub fn menu(self) -> Menu {
        self.line().0
    }

    /// Returns what buttons and menus say.
    pub fn text(self) -> &'static str {
        self.line().1
    }

    /// Returns one sentence more than [`Self::text`] says.
    pub fn tooltip(self) -> &'static str {
        self.line().2
    }

    /// Returns the keys that do the same, where there are any.
    pub fn shortcut(self) -> Option<KeyboardShortcut> {
        self.line().3.map(|(modifiers, key)| KeyboardShortcut::new(modifiers, key))
    }

    /// Returns whether a line separates the action from the one before it in its menu.
    pub fn starts_group(self) -> bool {
        matches!(
            self,
            Self::NewConversation
                | Self::AddRoute
                | Self::AddMessage
                | Self::TestOrder
                | Self::ChooseRouter
                | Self::Measure
                | Self::NextWrong
        ) || matches!(self, Self::ShowPolicy | Self::ToggleYaml | Self::ZoomIn | Self::ThemeSystem)
    }

    /// Returns why the action cannot be done now, or `None` when it can.
    pub fn obstacle(self, state: &State) -> Option<&'static str> {
        let no_route = || state.selected_route().is_none().then_some("No route is selected");
        match self {
            Self::Route => state.routing_obstacle(),
            Self::TestOrder | Self::TestHistory | Self::TestRobustness => state.routing_obstacle(),
            Self::TestWording => no_route().or_else(|| state.routing_obstacle()),
            Self::Cancel => (state.jobs.is_empty() && state.route_when_loaded.is_none()).then_some("Nothing is running"),
            Self::Save | Self::Close | Self::Undo | Self::Redo if state.settings.tab == Tab::Compare => {
                Some("Show the policy or the conversation first")
            }
            Self::AddToSet => (!state.has_question()).then_some("Write a user message first: a case needs one"),
            Self::Measure => state.measuring_obstacle(),
            Self::MeasureVariants => {
                let only = (state.policies.len() < 2).then_some("Only one policy is open; make a variant first");
                let strangers = || {
                    (state.measurable_variants().take(2).count() < 2).then_some(
                        "Fewer than two open policies have a route that the set's labels name; make a variant of the set's policy first",
                    )
                };
                only.or_else(|| state.measuring_obstacle()).or_else(strangers)
            }
            Self::SaveReport => state.batch.view.is_none().then_some("No run is on screen"),
            Self::ZoomReset => (state.settings.zoom == 1.0).then_some("Zoom is already 100 %"),
            Self::NextWrong => state.batch.next_wrong(false).is_none().then_some("No wrong case follows"),
            Self::PreviousWrong => state.batch.next_wrong(true).is_none().then_some("No wrong case comes before"),
            Self::AcceptDecision | Self::OpenCase if state.settings.tab != Tab::Batch => Some("Show the Batch tab first"),
            Self::AcceptDecision => match state.batch.selected_turn() {
                None => Some("No case is selected"),
                Some(turn) if turn.agrees() => Some("Label and decision are the same"),
                Some(turn) => turn.decided.is_none().then_some("The router decided nothing"),
            },
            Self::OpenCase => state.batch.selected_turn().is_none().then_some("No case is selected"),
            Self::LoadRouter if state.router.phase == RouterPhase::Loading => Some("The router is being loaded"),
            Self::LoadRouter => state.router_change_obstacle(),
            Self::AddRoute | Self::DuplicateRoute | Self::RemoveRoute | Self::MoveRouteUp | Self::MoveRouteDown
                if state.policy().text.error.is_some() =>
            {
                state.policy().text.obstacle()
            }
            Self::DuplicateRoute | Self::RemoveRoute => no_route(),
            Self::MoveRouteUp => no_route().or_else(|| state.neighbour(false).is_none().then_some("The route is the first of its group")),
            Self::MoveRouteDown => no_route().or_else(|| state.neighbour(true).is_none().then_some("The route is the last of its group")),
            Self::Undo => state.undo_label().is_none().then_some("Nothing was changed"),
            Self::Redo => state.redo_label().is_none().then_some("Nothing was undone"),
            _ => None,
        }
    }

    /// Returns whether the action is a setting that is on.
    pub fn is_on(self, state: &State) -> bool {
        let settings = &state.settings;
        match self {
            Self::Palette => state.dialog == Some(Dialog::Palette),
            Self::ShowPolicy => settings.tab == Tab::Policy,
            Self::ShowPlayground => settings.tab == Tab::Playground,
            Self::ShowBatch => settings.tab == Tab::Batch,
            Self::ShowCompare => settings.tab == Tab::Compare,
            Self::ShowExport => settings.tab == Tab::Export,
            Self::Live => state.is_live(),
            Self::TestOrder => state.section == Section::Order,
            Self::TestWording => state.section == Section::Wording,
            Self::TestHistory => state.section == Section::History,
            Self::TestRobustness => state.section == Section::Robustness,
            Self::ToggleYaml => settings.yaml,
            Self::ToggleFindings => settings.findings,
            Self::ToggleDock => settings.dock,
            Self::ToggleLog => state.log_open,
            Self::ThemeSystem => settings.theme == ThemeChoice::System,
            Self::ThemeLight => settings.theme == ThemeChoice::Light,
            Self::ThemeDark => settings.theme == ThemeChoice::Dark,
            _ => false,
        }
    }
}

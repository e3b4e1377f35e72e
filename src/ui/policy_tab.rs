//! The Policy tab: open policies along the top, routes at the left, the form or the YAML in the middle, the decision at the right.

use egui::{Align, Button, CentralPanel, FontId, Layout, Panel, Ui, vec2};

use super::tokens::{self, space, text};
use super::{actions, budget, conversation_panel, decision_panel, lint_view, route_form, route_list, theme, widgets, yaml_view};
use crate::app::{Action, Command, Document, PolicyText, State};

/// Closes a policy.
const CROSS: &str = "×";
/// The least that the dock is wide.
const DOCK_WIDTH: f32 = 320.0;
/// In a narrower editor the heading, the switch and the findings do not fit into one row; the switch says what is shown, too.
const HEADING_FROM: f32 = 380.0;
/// Room for the switch, and for the heading and the switch.
const SWITCH_WIDTH: f32 = 120.0;
const HEADING_AND_SWITCH_WIDTH: f32 = 252.0;

/// Draws the tab.
pub fn policy_tab_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    Panel::top("policies").frame(theme::bar_frame(palette.surface)).show(ui, |ui| policies_ui(ui, state, commands));
    // Before the dock, since the Tab key goes where the drawing goes.
    let list = Panel::left("routes").frame(theme::column_frame(palette.surface)).resizable(true);
    list.default_size((width * 0.22).clamp(220.0, 320.0)).min_size(180.0).show(ui, |ui| route_list::route_list_ui(ui, state, commands));
    if state.settings.dock {
        let dock = Panel::right("dock").frame(theme::column_frame(palette.surface)).resizable(true);
        let widest = widgets::column_width(ui, DOCK_WIDTH);
        let dock = dock.default_size((width * 0.36).min(560.0)).min_size(DOCK_WIDTH).max_size(widest);
        dock.show(ui, |ui| dock_ui(ui, state, commands));
    }
    CentralPanel::default().frame(theme::column_frame(palette.canvas)).show(ui, |ui| editor_ui(ui, state, commands));
}

/// The open policies: clicking shows one, the cross beside it closes it.
fn policies_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let mut chosen = Vec::new();
    widgets::header_ui(
        ui,
        |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = space::XS;
                for (index, document) in state.policies.iter().enumerate() {
                    policy_ui(ui, document, index == state.policy_index, &mut chosen);
                    ui.add_space(space::S);
                }
            });
        },
        |ui| {
            actions::action_button_ui(ui, state, Action::NewVariant, commands);
            actions::action_button_ui(ui, state, Action::Open, commands);
            actions::short_button_ui(ui, state, Action::Save, "Save", commands);
        },
    );
    commands.append(&mut chosen);
}

/// Draws the tab of one policy and the cross beside it, which stay together where there are several rows of them.
fn policy_ui(ui: &mut Ui, document: &Document<PolicyText>, on: bool, chosen: &mut Vec<Command>) {
    let (mark, unsaved) = if document.is_modified() { (" •", ", unsaved changes") } else { ("", "") };
    let title = format!("{}{mark}", document.title);
    let cross = button_width(ui, CROSS, text::SMALL) + ui.spacing().item_spacing.x;
    let width = (button_width(ui, &title, text::BODY) + cross).min(ui.max_rect().width());
    ui.allocate_ui_with_layout(vec2(width, tokens::CONTROL_HEIGHT), Layout::left_to_right(Align::Center), |ui| {
        let button = Button::selectable(on, title.as_str()).truncate();
        let path = document.path.as_ref().map_or_else(|| "Not in a file yet".to_owned(), |path| path.display().to_string());
        let tab = widgets::within_ui(ui, (width - cross).max(0.0), |ui| ui.add(button)).on_hover_text(path);
        if tab.accessible_name(format!("Policy {}{unsaved}", document.title)).clicked() && !on {
            chosen.push(Command::SelectPolicy(document.id));
        }
        if widgets::quiet_button_ui(ui, CROSS, format!("Close policy {}", document.title)).clicked() {
            chosen.push(Command::ClosePolicy(document.id));
        }
    });
}

/// Returns how wide a button with these words is, and a little more, since rounding must not shorten them.
fn button_width(ui: &Ui, words: &str, size: f32) -> f32 {
    let words = widgets::line(ui, words, FontId::proportional(size), theme::palette(ui).text, f32::INFINITY);
    words.size().x + 2.0 * ui.spacing().button_padding.x + 2.0
}

fn editor_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let frame = egui::Frame::new().inner_margin(egui::Margin { top: space::S as i8, ..egui::Margin::ZERO });
    let mut switched = false;
    Panel::bottom("budget").frame(frame).show(ui, |ui| budget::budget_ui(ui, state, commands));
    if state.settings.findings {
        let list = Panel::bottom("findings").frame(frame).resizable(true).default_size(ui.available_height() * 0.35).min_size(120.0);
        list.show(ui, |ui| lint_view::list_ui(ui, state, commands));
    }
    let width = ui.available_width();
    let has_heading = width >= HEADING_FROM;
    let room = width - if has_heading { HEADING_AND_SWITCH_WIDTH } else { SWITCH_WIDTH };
    widgets::header_ui(
        ui,
        |ui| {
            if has_heading {
                widgets::heading_ui(ui, if state.settings.yaml { "Policy as YAML" } else { "Selected route" });
                ui.add_space(space::S);
            }
            let choices = [(false, "Form", "Fields for the selected route"), (true, "YAML", "The policy as the text of its file")];
            if widgets::switch_ui(ui, state.settings.yaml, &choices).is_some_and(|yaml| yaml != state.settings.yaml) {
                switched = true;
            }
        },
        |ui| lint_view::summary_ui(ui, state, room, commands),
    );
    if switched {
        commands.push(Command::Perform(Action::ToggleYaml));
    }
    yaml_view::error_ui(ui, state);
    if state.settings.yaml {
        yaml_view::yaml_view_ui(ui, state, commands);
    } else if let Some(position) = state.selected_route() {
        route_form::route_form_ui(ui, state, position, commands);
    } else {
        widgets::empty_ui(ui, "No routes yet", "Add a route and say which requests belong to it");
    }
}

/// The conversation and its decision, in view while the policy is written.
fn dock_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let frame = egui::Frame::new().inner_margin(egui::Margin { bottom: space::S as i8, ..egui::Margin::ZERO });
    let share = ui.available_height() * 0.3;
    Panel::top("docked conversation").frame(frame).resizable(true).default_size(share).min_size(96.0).show(ui, |ui| {
        conversation_panel::docked_ui(ui, state, commands);
    });
    ui.add_space(space::S);
    decision_panel::decision_panel_ui(ui, state, commands);
}

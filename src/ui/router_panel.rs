//! Choosing a router: what there is, how large it is, whether it fits, and getting it.

use std::borrow::Cow;

use egui::{Label, RichText, ScrollArea, TextEdit, Ui};

use super::router_row::router_row_ui;
use super::theme;
use super::tokens::{self, space, text};
use super::widgets;
use crate::app::{Command, DeviceChoice, RouterPhase, RoutersCommand, State};

const WIDTH: f32 = 860.0;

/// Draws the dialog.
pub fn router_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let screen = ui.ctx().content_rect();
    ui.set_width(WIDTH.min(screen.width() - 80.0));
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Routers"),
        |ui| {
            if widgets::button_ui(ui, "Close").clicked() {
                commands.push(Command::CloseDialog);
            }
        },
    );
    device_ui(ui, state, commands);
    if let RouterPhase::Failed(reason) = &state.router.phase {
        error_ui(ui, reason);
    }
    ui.add_space(space::S);
    let panel = &state.routers;
    // Of one height whatever is listed: a dialog that grows while it is read moves what is about to be clicked.
    let height = (screen.height() - 330.0).max(200.0);
    ScrollArea::vertical().id_salt("routers").max_height(height).min_scrolled_height(height).auto_shrink(false).show(ui, |ui| {
        ui.set_min_height(height);
        if panel.listed.is_empty() {
            widgets::caption_ui(ui, "Looking for routers…");
        }
        for router in panel.listed.iter() {
            router_row_ui(ui, state, router, commands);
        }
    });
    ui.add_space(space::S);
    add_ui(ui, state, commands);
}

/// Draws the choice of the device, and how much memory there is.
fn device_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let choices = [
        (DeviceChoice::Auto, "Auto", true, "The fastest device that this build and this machine have"),
        (DeviceChoice::Cpu, "CPU", true, "Main memory and all cores"),
        (DeviceChoice::Cuda, "CUDA", cfg!(feature = "cuda"), "An NVIDIA GPU; needs a build with --features cuda"),
        (DeviceChoice::Metal, "Metal", cfg!(feature = "metal"), "The GPU of a Mac; needs a build with --features metal"),
    ];
    ui.horizontal_wrapped(|ui| {
        widgets::caption_ui(ui, "Runs on");
        for (device, label, is_built, explanation) in choices {
            let button = egui::Button::selectable(state.router.device == device, label);
            let obstacle = state.router_change_obstacle().filter(|_| is_built);
            let response = ui.add_enabled(is_built && obstacle.is_none(), button).on_hover_text(explanation);
            let response = response.on_disabled_hover_text(obstacle.unwrap_or(explanation));
            if response.clicked() && state.router.device != device {
                commands.push(Command::Routers(RoutersCommand::Device(device)));
            }
        }
        let place = &state.routers.place;
        if place.memory.total > 0 {
            ui.add_space(space::M);
            let (free, total) = (widgets::bytes_text(place.memory.available), widgets::bytes_text(place.memory.total));
            let caption = widgets::caption_ui(ui, format!("{free} of {total} of {} are free", place.memory_name()));
            if !place.name.is_empty() {
                caption.on_hover_text(&place.name);
            }
        }
    });
}

/// Draws the field for a router that is not listed: a place on this machine, or a server.
fn add_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let panel = &state.routers;
    widgets::subheading_ui(ui, "Add a router");
    let mut add = false;
    ui.horizontal(|ui| {
        let mut address = Cow::Borrowed(panel.address.as_str());
        let hint = "Folder, .gguf file, owner/name on Hugging Face, http://server/v1#model, plano+http://gateway";
        // Less the buttons.
        let width = ui.available_width() - 270.0;
        let edit =
            TextEdit::singleline(&mut address).hint_text(hint).desired_width(width).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT));
        let response = ui.add(edit).accessible_name("Router to add");
        add = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if let Cow::Owned(address) = address
            && address != panel.address
        {
            commands.push(Command::Routers(RoutersCommand::Address(address)));
        }
        let button = egui::Button::new("Add").min_size(egui::vec2(72.0, tokens::CONTROL_HEIGHT));
        add |= ui.add_enabled(!panel.address.trim().is_empty(), button).accessible_name("Add router").clicked();
        let obstacle = state.router_change_obstacle();
        for (label, name, command) in [
            ("Folder…", "Choose a router's folder", RoutersCommand::ChooseFolder),
            ("File…", "Choose a router's .gguf file", RoutersCommand::ChooseFile),
        ] {
            let button = egui::Button::new(label).min_size(egui::vec2(72.0, tokens::CONTROL_HEIGHT));
            let response = ui.add_enabled(obstacle.is_none(), button).accessible_name(name).on_hover_text(name);
            if response.on_disabled_hover_text(obstacle.unwrap_or_default()).clicked() {
                commands.push(Command::Routers(command));
            }
        }
    });
    if panel.address.contains("://") {
        let mut key = Cow::Borrowed(panel.key.as_str());
        let edit = TextEdit::singleline(&mut key).password(true).hint_text("API key, if the server needs one").desired_width(360.0);
        ui.add(edit).accessible_name("Key of the server");
        if let Cow::Owned(key) = key
            && key != panel.key.as_str()
        {
            commands.push(Command::Routers(RoutersCommand::Key(key.into())));
        }
        widgets::caption_ui(ui, "Kept in the system's keyring, never in a file. WAYPOST_API_KEY in the environment comes first");
    }
    if let Some(problem) = &panel.problem {
        error_ui(ui, problem);
    }
    if add {
        commands.push(Command::Routers(RoutersCommand::Add));
    }
}

pub(super) fn error_ui(ui: &mut Ui, sentence: &str) {
    let palette = theme::palette(ui);
    ui.add(Label::new(RichText::new(sentence).size(text::SMALL).color(palette.error)).wrap().selectable(true));
}

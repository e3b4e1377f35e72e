//! The Export tab: what to export at the left, its exact bytes in the middle, what it was tested with and for which gateway at the right.

use egui::{CentralPanel, Label, Panel, RichText, ScrollArea, Ui};

use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use super::{export_checks, export_preview, theme};
use crate::app::{Command, ExportCommand, State};
use crate::formats::ExportFormat;

const ROW_HEIGHT: f32 = 44.0;

/// Draws the tab.
pub fn export_tab_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let settings = Panel::left("export settings").frame(theme::column_frame(palette.surface)).resizable(true);
    settings.default_size((width * 0.22).clamp(240.0, 340.0)).min_size(200.0).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| settings_ui(ui, state, commands));
    });
    let checks = Panel::right("export checks").frame(theme::column_frame(palette.surface)).resizable(true);
    checks.default_size((width * 0.28).clamp(300.0, 440.0)).min_size(240.0).show(ui, |ui| {
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            export_checks::evidence_ui(ui, state, commands);
            ui.add_space(space::L);
            export_checks::gateways_ui(ui, state, commands);
        });
    });
    CentralPanel::default()
        .frame(theme::column_frame(palette.canvas))
        .show(ui, |ui| export_preview::export_preview_ui(ui, state, commands));
}

fn settings_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::heading_ui(ui, "Export");
    widgets::policy_choice_ui(ui, state, "Policy to export", f32::INFINITY, commands);
    ui.add_space(space::S);
    widgets::subheading_ui(ui, "Format");
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        for format in ExportFormat::ALL {
            let selected = format == state.export.format;
            let name = format!("Format {format}");
            let detail = format.explanation();
            let row = Row { name: &name, title: format.as_str(), detail, note: "", selected, height: ROW_HEIGHT, indent: 0.0 };
            if widgets::row_ui(ui, row).clicked() && !selected {
                commands.push(Command::Export(ExportCommand::Format(format)));
            }
        }
    });
    if state.export.format == ExportFormat::Plano04 {
        ui.add_space(space::S);
        target_ui(ui, state, commands);
    }
}

/// Whether the export is a file of its own or goes into a configuration that exists.
fn target_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    widgets::subheading_ui(ui, "Write");
    let into = state.export_into();
    let choices = [
        (false, "A whole configuration", "A new file with the policy's routes and models"),
        (true, "Into an existing one", "Only routes and missing providers change; every other byte, comment and order stays"),
    ];
    match widgets::switch_ui(ui, into.is_some(), &choices) {
        Some(false) if into.is_some() => commands.push(Command::Export(ExportCommand::Into(None))),
        Some(true) if into.is_none() => commands.push(Command::Export(ExportCommand::ChooseInto)),
        _ => {}
    }
    if let Some(into) = into {
        let path = into.path.display().to_string();
        ui.add(Label::new(RichText::new(&path).font(tokens::strong_font(text::SMALL)).color(palette.text)).wrap());
        ui.horizontal_wrapped(|ui| {
            if widgets::quiet_button_ui(ui, "Choose another…", "Choose another configuration").clicked() {
                commands.push(Command::Export(ExportCommand::ChooseInto));
            }
            if widgets::quiet_button_ui(ui, "Read again", "Read the configuration again").clicked() {
                commands.push(Command::Export(ExportCommand::Into(Some(into.path.clone()))));
            }
        });
    }
    if let Some(origin) = state.export_origin() {
        let name = origin.file_name().map_or_else(|| origin.display().to_string(), |name| name.to_string_lossy().into_owned());
        let button = widgets::quiet_button_ui(ui, &format!("Into {name}, which the policy came from"), "Write into where it comes from");
        if button.on_hover_text(origin.display().to_string()).clicked() {
            commands.push(Command::Export(ExportCommand::Into(Some(origin.to_owned()))));
        }
    }
}

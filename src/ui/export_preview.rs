//! The exact bytes of an export, or its changes to an existing configuration; and the question before an untested policy is written.

use egui::{FontId, Label, RichText, ScrollArea, Ui, vec2};

use super::tokens::{self, Palette, space, text};
use super::{theme, widgets};
use crate::app::{Change, Command, ExportCommand, MadeText, State};
use crate::formats::ExportError;

const LINE_HEIGHT: f32 = 18.0;
/// Room for the switch beside the name.
const SWITCH_WIDTH: f32 = 150.0;
/// Room at the left for line numbers and signs.
const GUTTER: f32 = 56.0;

/// Draws the preview.
pub fn export_preview_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let made = state.export_made();
    let text = made.and_then(|made| made.text.as_ref().ok());
    let mut chosen = Vec::new();
    widgets::header_ui(
        ui,
        |ui| {
            let name = state.export_into().and_then(|into| into.path.file_name());
            let name = name.map_or_else(|| state.export.format.file_name().to_owned(), |name| name.to_string_lossy().into_owned());
            let has_changes = text.is_some_and(|text| text.changes.is_some());
            let room = ui.available_width() - if has_changes { SWITCH_WIDTH } else { 0.0 };
            widgets::within_ui(ui, room.max(0.0), |ui| ui.add(Label::new(RichText::new(&name).heading()).truncate()));
            if has_changes {
                let choices = [(true, "Changes", "What changes in the configuration"), (false, "All of it", "The file as it will be")];
                if let Some(changes) = widgets::switch_ui(ui, state.export.changes, &choices) {
                    chosen.push(Command::Export(ExportCommand::ShowChanges(changes)));
                }
            }
            if let Some(text) = text {
                widgets::short_caption_ui(ui, format!("{} lines, {} bytes", text.len(), text.exported.text.len()));
            }
        },
        |ui| buttons_ui(ui, state, text, commands),
    );
    commands.append(&mut chosen);
    if let Some(path) = state.export_written() {
        ui.add(Label::new(RichText::new(format!("Written to {}", path.display())).small().color(theme::palette(ui).good)).wrap());
    }
    let Some(made) = made else {
        return match state.export_obstacle().filter(|_| state.export.failed) {
            Some(obstacle) => widgets::empty_ui(ui, "No export", obstacle),
            None => widgets::empty_ui(ui, "Making the export", "The policy is written as the gateway reads it"),
        };
    };
    match &made.text {
        Err(error) => refused_ui(ui, error),
        Ok(text) => {
            notes_ui(ui, &text.exported.notes);
            text_ui(ui, state, text);
        }
    }
}

fn buttons_ui(ui: &mut Ui, state: &State, text: Option<&MadeText>, commands: &mut Vec<Command>) {
    let copy = ui.add_enabled(text.is_some(), egui::Button::new("Copy").min_size(vec2(0.0, tokens::CONTROL_HEIGHT)));
    if copy.on_hover_text("Copy the exact text").accessible_name("Copy export").clicked()
        && let Some(text) = text
    {
        ui.copy_text(text.exported.text.clone());
    }
    let obstacle = state.export_obstacle();
    let label = if state.export_into().is_some() { "Write into it" } else { "Write…" };
    let evidence = "Writes the configuration, and beside it what it was tested with (routes.evidence.json)";
    let response = ui.add_enabled_ui(obstacle.is_none(), |ui| widgets::primary_ui(ui, label).accessible_name("Write export")).inner;
    if response.on_hover_text(evidence).on_disabled_hover_text(obstacle.unwrap_or_default()).clicked() {
        commands.push(Command::Export(ExportCommand::Write));
    }
}

fn refused_ui(ui: &mut Ui, error: &ExportError) {
    let palette = theme::palette(ui);
    theme::card_frame(palette.error_soft, palette.error_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        match error {
            ExportError::Refused(reasons) => {
                ui.label(RichText::new("The gateway would refuse this").font(tokens::strong_font(text::BODY)).color(palette.error));
                for reason in reasons {
                    ui.add(Label::new(reason).wrap().selectable(true));
                }
            }
            ExportError::Config(error) => {
                let title = "The configuration to write into cannot be read";
                ui.label(RichText::new(title).font(tokens::strong_font(text::BODY)).color(palette.error));
                ui.add(Label::new(error.to_string()).wrap().selectable(true));
            }
        }
    });
}

/// What the gateway's file cannot say, and what is left to fill in.
fn notes_ui(ui: &mut Ui, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let palette = theme::palette(ui);
    theme::card_frame(palette.raised, palette.border).inner_margin(egui::Margin::same(space::S as i8)).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        widgets::subheading_ui(ui, "Notes");
        ScrollArea::vertical().id_salt("notes").max_height(110.0).show(ui, |ui| {
            for note in notes {
                ui.add(Label::new(RichText::new(note).small()).wrap().selectable(true));
            }
        });
    });
}

/// Draws lines of one height, so that only those in view are laid out.
fn text_ui(ui: &mut Ui, state: &State, text: &MadeText) {
    let palette = theme::palette(ui);
    let changes = text.changes.as_ref().filter(|_| state.export.changes);
    if changes.is_some_and(Vec::is_empty) {
        return widgets::empty_ui(ui, "Nothing changes", "The configuration holds exactly this policy already");
    }
    let count = changes.map_or(text.len(), Vec::len);
    theme::card_frame(palette.field, palette.border).inner_margin(egui::Margin::same(space::S as i8)).show(ui, |ui| {
        ui.set_min_size(ui.available_size());
        ui.spacing_mut().item_spacing.y = 0.0;
        let letter = ui.fonts_mut(|fonts| fonts.glyph_width(&FontId::monospace(text::MONO), 'm'));
        let width = (GUTTER + letter * text.widest as f32 + space::L).max(ui.available_width() - space::M);
        ScrollArea::both().auto_shrink(false).show_rows(ui, LINE_HEIGHT, count, |ui, rows| {
            ui.set_min_width(width);
            for row in rows {
                match changes {
                    Some(changes) => drop(changes.get(row).map(|change| change_ui(ui, change, width))),
                    None => line_ui(ui, &Line { number: row + 1, sign: "", name: "Line", text: text.line(row).unwrap_or_default() }, width),
                }
            }
        });
    });
}

struct Line<'a> {
    number: usize,
    sign: &'a str,
    /// What a screen reader says before the number.
    name: &'a str,
    text: &'a str,
}

fn change_ui(ui: &mut Ui, change: &Change, width: f32) {
    match change {
        Change::Kept(number, text) => line_ui(ui, &Line { number: *number, sign: "", name: "Line", text }, width),
        Change::Added(number, text) => line_ui(ui, &Line { number: *number, sign: "+", name: "Added line", text }, width),
        Change::Removed(number, text) => line_ui(ui, &Line { number: *number, sign: "-", name: "Removed line", text }, width),
        Change::Skipped(count) => {
            let text = if *count == 1 { "1 line stays".to_owned() } else { format!("{count} lines stay") };
            line_ui(ui, &Line { number: 0, sign: "", name: "", text: &text }, width);
        }
    }
}

fn line_ui(ui: &mut Ui, line: &Line<'_>, width: f32) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(width, LINE_HEIGHT), egui::Sense::hover());
    response.widget_info(|| {
        let place = if line.number == 0 { String::new() } else { format!("{} {}: ", line.name, line.number) };
        egui::WidgetInfo::labeled(egui::Role::Label, true, format!("{place}{}", line.text))
    });
    let (ground, colour) = look(line, palette);
    ui.painter().rect_filled(rect, 0.0, ground);
    let font = FontId::monospace(text::MONO);
    let painter = ui.painter();
    let middle = rect.center().y;
    if line.number > 0 {
        let at = egui::pos2(rect.left() + GUTTER - space::L - space::S, middle);
        painter.text(at, egui::Align2::RIGHT_CENTER, line.number, FontId::monospace(text::SMALL - 1.0), palette.text_weak);
    }
    painter.text(egui::pos2(rect.left() + GUTTER - space::L, middle), egui::Align2::CENTER_CENTER, line.sign, font.clone(), colour);
    // One line of text per row: a tab or an odd character must not make two of it.
    let galley = ui.fonts_mut(|fonts| fonts.layout_no_wrap(line.text.to_owned(), font, colour));
    ui.painter().galley(egui::pos2(rect.left() + GUTTER, middle - galley.size().y / 2.0), galley, colour);
}

fn look(line: &Line<'_>, palette: &Palette) -> (egui::Color32, egui::Color32) {
    match (line.sign, line.number) {
        ("+", _) => (palette.good_soft, palette.good),
        ("-", _) => (palette.error_soft, palette.error),
        (_, 0) => (palette.raised, palette.text_weak),
        _ if line.text.trim_start().starts_with('#') => (egui::Color32::TRANSPARENT, palette.text_weak),
        _ => (egui::Color32::TRANSPARENT, palette.text),
    }
}

/// Draws the question before a policy is written that was not tested as it is.
pub fn untested_ui(ui: &mut Ui, problems: &[String], commands: &mut Vec<Command>) {
    ui.set_width(460.0);
    ui.label(RichText::new("Export anyway?").font(tokens::strong_font(text::HEADING)));
    for problem in problems {
        let mut letters = problem.chars();
        let sentence: String = letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect());
        ui.add(Label::new(sentence).wrap());
    }
    widgets::caption_ui(ui, "The file will say so in its comments");
    ui.add_space(space::M);
    widgets::footer_ui(ui, |ui| {
        if widgets::button_ui(ui, "Cancel").clicked() {
            commands.push(Command::CloseDialog);
        }
        if widgets::button_ui(ui, "Export anyway").clicked() {
            commands.push(Command::Export(ExportCommand::WriteAnyway));
        }
    });
}

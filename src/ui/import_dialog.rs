//! Taking a conversation from any text: a place to paste, and what was understood, before anything is replaced.

use std::borrow::Cow;

use egui::{Event, InputState, Label, RichText, ScrollArea, TextEdit, Ui};

use super::conversation_panel::title;
use super::theme;
use super::tokens::{self, space, text};
use super::widgets::{self, Field, Row};
use crate::app::{Action, Command, Import, ImportSource, LARGE_TEXT, State};
use crate::formats::Understood;

/// Messages that the preview shows.
const SHOWN: usize = 30;

/// Warnings that are shown; the others are counted.
const WARNED: usize = 3;

/// Draws the dialog.
pub fn import_dialog_ui(ui: &mut Ui, state: &State, import: &Import, commands: &mut Vec<Command>) {
    ui.set_width(760.0_f32.min(ui.ctx().content_rect().width() - 80.0));
    widgets::heading_ui(ui, "Paste or import a conversation");
    widgets::caption_ui(
        ui,
        "OpenAI messages as JSON, a ChatGPT, Claude, ShareGPT or LMSYS export, a log of requests, a transcript (“User: … Assistant: …”), or one prompt; a file can be dropped on the window",
    );
    match &import.source {
        Some(source) => source_ui(ui, source, commands),
        None => text_ui(ui, import, commands),
    }
    ui.add_space(space::S);
    let taken = understood_ui(ui, import, commands);
    ui.add_space(space::S);
    widgets::footer_ui(ui, |ui| {
        if ui.button("Choose file…").on_hover_text(Action::Open.tooltip()).clicked() {
            commands.extend([Command::CloseDialog, Command::Perform(Action::Open)]);
        }
        if ui.button("Cancel").accessible_name("Cancel import").clicked() {
            commands.push(Command::CloseDialog);
        }
        let replaced = format!("Replace “{}”; can be undone", state.conversation().title);
        if ui.add_enabled(taken, egui::Button::new("Replace current")).on_hover_text(replaced).clicked() {
            commands.push(Command::ImportAccept { replace: true });
        }
        if ui.add_enabled(taken, egui::Button::new("Add to shelf")).clicked() {
            commands.push(Command::ImportAccept { replace: false });
        }
    });
}

/// Draws what stands in place of a text that is not shown.
fn source_ui(ui: &mut Ui, source: &ImportSource, commands: &mut Vec<Command>) {
    let title = |ui: &mut Ui| {
        ui.add(Label::new(format!("{}, {}", source.name, widgets::bytes_text(source.bytes))).truncate());
    };
    widgets::header_ui(ui, title, |ui| {
        if widgets::quiet_button_ui(ui, "Paste text instead", "Paste text instead").clicked() {
            commands.push(Command::ImportText(String::new()));
        }
    });
}

fn text_ui(ui: &mut Ui, import: &Import, commands: &mut Vec<Command>) {
    // Before the field gets it, which would lay it all out.
    if let Some(text) = ui.input_mut(take_large_paste) {
        return commands.push(Command::ImportText(text));
    }
    let mut buffer = Cow::Borrowed(import.text.as_str());
    ScrollArea::vertical().id_salt("pasted").max_height(170.0).show(ui, |ui| {
        let edit = TextEdit::multiline(&mut buffer).font(egui::TextStyle::Monospace).hint_text("Paste here").desired_rows(8);
        let response = ui.add(edit.desired_width(f32::INFINITY)).accessible_name("Text to import");
        if import.text.is_empty() && ui.memory(|memory| memory.focused().is_none()) {
            response.request_focus();
        }
    });
    if let Cow::Owned(text) = buffer
        && text != import.text
    {
        commands.push(Command::ImportText(text));
    }
}

fn take_large_paste(input: &mut InputState) -> Option<String> {
    let is_large = |event: &Event| matches!(event, Event::Paste(text) if text.len() as u64 > LARGE_TEXT);
    let at = input.events.iter().position(is_large)?;
    match input.events.remove(at) {
        Event::Paste(text) => Some(text),
        _ => None,
    }
}

/// Draws what can be done with all that are listed.
fn all_ui(ui: &mut Ui, import: &Import, commands: &mut Vec<Command>) {
    let (offered, shown) = (import.offered().len(), import.shown.len());
    let label = if offered < shown { format!("Add first {offered} to shelf") } else { format!("Add all {shown} to shelf") };
    let explanation = format!("{offered} of {shown} listed; newest first, where the text has dates");
    if ui.add_enabled(offered > 0, egui::Button::new(label)).on_hover_text(explanation).clicked() {
        commands.push(Command::ImportAll);
    }
    let save = egui::Button::new("Save all as a set to label…");
    let explanation = format!("Write the {shown} listed as JSON lines and open them in Batch, where each gets the route you expect");
    if ui.add_enabled(shown > 0, save).on_hover_text(explanation).clicked() {
        commands.push(Command::AskImportSet);
    }
}

/// Says what the text was understood as; returns whether there is a conversation to take.
fn understood_ui(ui: &mut Ui, import: &Import, commands: &mut Vec<Command>) -> bool {
    let palette = theme::palette(ui);
    let understood = match &import.understood {
        None => {
            widgets::caption_ui(ui, if import.is_being_read() { "Reading…" } else { "Nothing pasted yet" });
            return false;
        }
        Some(Err(error)) => {
            ui.add(Label::new(RichText::new(error.to_string()).color(palette.error)).wrap().selectable(true));
            return false;
        }
        Some(Ok(understood)) => understood,
    };
    let several = if understood.found.len() > 1 { format!(", {} conversations", understood.found.len()) } else { String::new() };
    widgets::subheading_ui(ui, &format!("Understood as: {}{several}", understood.kind));
    for sentence in doubts(understood) {
        ui.add(Label::new(RichText::new(sentence).color(palette.warning)).wrap().selectable(true));
    }
    if understood.found.len() > 1 {
        list_ui(ui, import, commands);
    }
    let Some(taken) = import.taken() else { return false };
    let count = taken.conversation.messages.len();
    let plural = if count == 1 { "" } else { "s" };
    widgets::caption_ui(ui, format!("{count} message{plural}"));
    theme::card_frame(palette.raised, palette.raised).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ScrollArea::vertical().id_salt("preview").max_height(180.0).show(ui, |ui| {
            for message in taken.conversation.messages.iter().take(SHOWN) {
                ui.label(RichText::new(title(message.role)).font(tokens::strong_font(text::SMALL)).color(palette.text_weak));
                let said: String = message.text().chars().take(400).collect();
                ui.add(Label::new(said).wrap());
            }
            if count > SHOWN {
                widgets::caption_ui(ui, format!("and {} more", count - SHOWN));
            }
        });
    });
    true
}

/// Returns what was left out of a text and what is odd about it, a sentence each.
fn doubts(understood: &Understood) -> Vec<String> {
    let skipped = match understood.skipped {
        0 => None,
        1 => Some("1 entry was left out: it is of another kind, cannot be read or has no user message".to_owned()),
        many => Some(format!("{many} entries were left out: they are of another kind, cannot be read or have no user message")),
    };
    let more = understood.warnings.len().saturating_sub(WARNED);
    let more = (more > 0).then(|| format!("and {more} more warnings"));
    skipped.into_iter().chain(understood.warnings.iter().take(WARNED).map(ToString::to_string)).chain(more).collect()
}

fn list_ui(ui: &mut Ui, import: &Import, commands: &mut Vec<Command>) {
    let field = Field { name: "Search titles", hint: "Search titles", ..Field::default() };
    if let Some(search) = widgets::field_ui(ui, field, &import.search, false) {
        commands.push(Command::ImportSearch(search));
    }
    if import.shown.is_empty() {
        widgets::caption_ui(ui, "No title contains this");
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().id_salt("found").max_height(120.0).show_rows(ui, 26.0, import.shown.len(), |ui, rows| {
        for &index in import.shown.get(rows).unwrap_or_default() {
            let Some(found) = import.found().get(index) else { continue };
            let selected = index == import.chosen;
            let row = Row { name: &found.title, title: &found.title, detail: "", note: "", selected, height: 26.0, indent: 0.0 };
            if widgets::item_ui(ui, index, |ui| widgets::row_ui(ui, row)).clicked() {
                commands.push(Command::ImportChoose(index));
            }
        }
    });
    ui.add_space(space::XS);
    ui.horizontal(|ui| all_ui(ui, import, commands));
    ui.add_space(space::XS);
}

//! A gateway's configuration that was opened: its routes, and what the gateway itself would do with it.

use egui::{FontId, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use super::{lint_view, tall_list, theme};
use crate::app::{Command, GatewayImport, State};
use crate::formats::{GatewayShape, Note, NoteKind};
use crate::policy::lint::Severity;

const ROW_HEIGHT: f32 = 44.0;
/// Rows of one list before it is scrolled.
const ROWS: f32 = 5.0;

/// Draws the dialog.
pub fn gateway_dialog_ui(ui: &mut Ui, state: &State, import: &GatewayImport, commands: &mut Vec<Command>) {
    let GatewayImport { path, imported } = import;
    ui.set_width(720.0_f32.min(ui.ctx().content_rect().width() - 80.0));
    let file = path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned());
    widgets::heading_ui(ui, &format!("Import {file}"));
    let routes = &imported.policy.routes;
    let fallback = imported.policy.fallback.as_deref().map_or_else(|| "no fallback".to_owned(), |model| format!("fallback {model}"));
    widgets::short_caption_ui(ui, format!("{}: {}, {fallback}", imported.shape.as_str(), counted(routes.len(), "route")))
        .on_hover_text(path.display().to_string());
    ui.spacing_mut().item_spacing.y = 2.0;
    ui.push_id("routes", |ui| {
        rows_ui(ui, routes.len(), |ui, row| {
            let Some(route) = routes.get(row) else { return };
            let model = route.model().unwrap_or("no model");
            let name = format!("Imported route {}, {model}", route.name);
            let shown = Row {
                name: &name,
                title: &route.name,
                detail: &route.description,
                note: model,
                selected: false,
                height: ROW_HEIGHT,
                indent: 0.0,
            };
            widgets::row_ui(ui, shown).on_hover_text(&route.description);
        });
    });
    ui.add_space(space::S);
    notes_ui(ui, imported.shape, &imported.notes);
    ui.add_space(space::M);
    widgets::footer_ui(ui, |ui| {
        if widgets::button_ui(ui, "Cancel").clicked() {
            commands.push(Command::CloseDialog);
        }
        let replaced = format!("Replace “{}”; can be undone", state.policy().title);
        if widgets::button_ui(ui, "Replace current policy").on_hover_text(replaced).clicked() {
            commands.push(Command::ImportPolicy { replace: true });
        }
        if widgets::primary_ui(ui, "Add as new policy").clicked() || widgets::is_entered(ui) {
            commands.push(Command::ImportPolicy { replace: false });
        }
    });
}

fn notes_ui(ui: &mut Ui, shape: GatewayShape, notes: &[Note]) {
    let count = |kind| notes.iter().filter(|note| note.kind == kind).count();
    let (refused, ignored) = (count(NoteKind::Refused), count(NoteKind::Ignored));
    let palette = theme::palette(ui);
    let (sentence, colour) = match (refused, ignored) {
        (0, 0) if matches!(shape, GatewayShape::Plano | GatewayShape::RoutingApi) => {
            ("The current gateway accepts this file as it is".to_owned(), palette.good)
        }
        // What the other gateways refuse is looked at in part only.
        (0, 0) => ("Nothing was found that the gateway would refuse or ignore".to_owned(), palette.text),
        (0, ignored) => (format!("The current gateway silently ignores {}", counted(ignored, "thing")), palette.warning),
        (refused, 0) => (format!("The current gateway refuses this file, for {}", counted(refused, "reason")), palette.error),
        (refused, ignored) => {
            let refused = counted(refused, "reason");
            (
                format!("The current gateway refuses this file, for {refused}, and silently ignores {}", counted(ignored, "thing")),
                palette.error,
            )
        }
    };
    ui.label(RichText::new(sentence).font(tokens::strong_font(text::BODY)).color(colour));
    ui.push_id("notes", |ui| {
        let height = ROW_HEIGHT * ROWS;
        let area = ScrollArea::vertical().auto_shrink([false, true]).max_height(height).min_scrolled_height(height);
        let draw = |ui: &mut Ui, at: usize| {
            if let Some(note) = notes.get(at) {
                note_ui(ui, note);
            }
        };
        tall_list::items_ui(ui, area, notes.len(), None, |_| ROW_HEIGHT, draw);
    });
}

/// Draws a note in full: what it says to do is seldom in its first words.
fn note_ui(ui: &mut Ui, Note { kind, warning }: &Note) {
    let palette = theme::palette(ui);
    let (word, severity) = match kind {
        NoteKind::Refused => ("Refused", Severity::Error),
        NoteKind::Ignored => ("Ignored", Severity::Warning),
        NoteKind::Changed => ("Differs in the policy", Severity::Advice),
    };
    let place = warning.line.map_or_else(|| word.to_owned(), |line| format!("{word}, line {line}"));
    let said = format!("{place}: {}", warning.message);
    let width = (ui.available_width() - space::XL).max(0.0);
    let message = ui.painter().layout(said.clone(), FontId::proportional(text::BODY), palette.text, width);
    let remedy = ui.painter().layout(warning.remedy.clone(), FontId::proportional(text::SMALL), palette.text_weak, width);
    let (above, below) = (message.size().y, remedy.size().y);
    // Reached with the Tab key, which scrolls the list.
    let size = vec2(ui.available_width(), above + below + space::S);
    let (rect, response) = ui.allocate_exact_size(size, Sense::focusable_noninteractive());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{said}; {}", warning.remedy)));
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    widgets::focus_ring(ui, &response);
    lint_view::paint_mark(ui, severity, rect.left_top() + vec2(space::M, space::M));
    let start = rect.left_top() + vec2(space::XL, space::XS);
    ui.painter().galley(start, message, palette.text);
    ui.painter().galley(start + vec2(0.0, above), remedy, palette.text_weak);
}

/// Draws a list that is scrolled where it is long.
fn rows_ui(ui: &mut Ui, count: usize, mut draw: impl FnMut(&mut Ui, usize)) {
    let height = (ROW_HEIGHT + 2.0) * (count as f32).min(ROWS);
    let area = ScrollArea::vertical().auto_shrink([false, true]).max_height(height).min_scrolled_height(height);
    area.show_rows(ui, ROW_HEIGHT, count, |ui, rows| rows.for_each(|row| widgets::item_ui(ui, row, |ui| draw(ui, row))));
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

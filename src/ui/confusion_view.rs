//! The confusion matrix: a painted picture whose cells lead to their cases, and the same as a list for keyboards and screen readers.

use egui::epaint::TextShape;
use egui::{Color32, FontId, Key, Pos2, Rect, Response, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use super::tokens::{space, text};
use super::widgets::{self, Row};
use super::{bars, theme};
use crate::app::{BatchCommand, CaseQuery, Command, RunView};
use crate::eval::Confusion;
use crate::policy::NO_ROUTE_LABEL;

/// Cells smaller than this cannot be hit, and larger ones only take place.
const CELL: std::ops::RangeInclusive<f32> = 16.0..=56.0;
const ROW_HEIGHT: f32 = 28.0;

/// What the cells say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cells {
    #[default]
    Counts,
    /// Of the cases with the row's label.
    Shares,
    /// The list of what occurs, instead of the picture.
    List,
}

const CHOICES: [(Cells, &str, &str); 3] = [
    (Cells::Counts, "Counts", "Cases in each cell"),
    (Cells::Shares, "Shares", "Share of the cases with the row's label"),
    (Cells::List, "List", "The same as a list, confusions first: for the keyboard and screen readers"),
];

/// Draws the matrix. `query` is what the table of cases shows, to mark the cell that was clicked.
pub fn confusion_ui(ui: &mut Ui, view: &RunView, query: &CaseQuery, commands: &mut Vec<Command>) {
    let confusion = &view.figures.confusion;
    let id = egui::Id::unique("confusion cells");
    let present = ui.data(|data| data.get_temp::<Cells>(id)).unwrap_or_default();
    if let Some(chosen) = widgets::switch_ui(ui, present, &CHOICES) {
        ui.data_mut(|data| data.insert_temp(id, chosen));
    }
    let clicked = match present {
        Cells::List => list_ui(ui, view, query),
        cells => picture_ui(ui, view, cells, query),
    };
    if let Some((label, decision)) = clicked {
        let (label, decision) = (confusion.labels.get(label).cloned(), confusion.labels.get(decision).cloned());
        let same = query.label == label && query.decision == decision;
        let query = if same { CaseQuery::default() } else { CaseQuery { label, decision, ..CaseQuery::default() } };
        commands.push(Command::Batch(BatchCommand::Query(query)));
    }
}

/// Returns a label as people read it.
pub fn title(label: &str) -> &str {
    if label == NO_ROUTE_LABEL { "No route" } else { label }
}

fn picture_ui(ui: &mut Ui, view: &RunView, cells: Cells, query: &CaseQuery) -> Option<(usize, usize)> {
    let confusion = &view.figures.confusion;
    let count = confusion.labels.len();
    let font = FontId::proportional(text::SMALL);
    let line = |label: &String| widgets::line(ui, title(label), font.clone(), Color32::PLACEHOLDER, 104.0);
    let names: Vec<_> = confusion.labels.iter().map(line).collect();
    let longest = names.iter().map(|name| name.size().x).fold(0.0, f32::max);
    let (left, top) = (longest.min(ui.available_width() * 0.34) + space::S, longest + space::S + 18.0);
    // As large as the place allows without scrolling.
    let bar = ui.spacing().scroll.allocated_width();
    let room = (ui.available_width() - left).min(ui.available_height() - top) - bar - 2.0;
    let cell = (room / count.max(1) as f32).clamp(*CELL.start(), *CELL.end()).floor();
    let mut clicked = None;
    ScrollArea::both().id_salt("confusion").auto_shrink(false).show(ui, |ui| {
        let size = vec2(left + cell * count as f32 + 1.0, top + cell * count as f32 + 1.0);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let matrix = Rect::from_min_size(rect.min + vec2(left, top), vec2(cell, cell) * count as f32);
        let name = format!("Confusion matrix of {count} labels; arrow keys move, Enter shows the cases, the list says the same in words");
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        let palette = theme::palette(ui);
        let painter = ui.painter();
        painter.text(pos2(matrix.left(), rect.top()), egui::Align2::LEFT_TOP, "Decided as", font.clone(), palette.text_weak);
        painter.text(pos2(rect.left(), matrix.top() - 4.0), egui::Align2::LEFT_BOTTOM, "Label", font.clone(), palette.text_weak);
        for (index, name) in names.iter().enumerate() {
            let middle = cell * (index as f32 + 0.5);
            let name_left = widgets::line(ui, title(&confusion.labels[index]), font.clone(), palette.text, left - space::S);
            let at = pos2(matrix.left() - space::S - name_left.size().x, matrix.top() + middle - name_left.size().y / 2.0);
            painter.galley(at, name_left, palette.text);
            // Read from below: names of routes are longer than cells are wide.
            let at = pos2(matrix.left() + middle - name.size().y / 2.0, matrix.top() - space::XS);
            painter.add(TextShape::new(at, std::sync::Arc::clone(name), palette.text).with_angle(-std::f32::consts::FRAC_PI_2));
        }
        let place = |at: Pos2| -> Option<(usize, usize)> {
            let inside = matrix.contains(at).then(|| (at - matrix.min) / cell)?;
            Some(((inside.y as usize).min(count.checked_sub(1)?), (inside.x as usize).min(count.checked_sub(1)?)))
        };
        let hovered = response.hover_pos().and_then(place);
        let clip = ui.clip_rect();
        let visible = |from: f32, to: f32| (from / cell).floor().max(0.0) as usize..((to / cell).ceil().max(0.0) as usize).min(count);
        for row in visible(clip.top() - matrix.top(), clip.bottom() - matrix.top()) {
            let total = view.totals.get(row).copied().unwrap_or_default();
            for column in visible(clip.left() - matrix.left(), clip.right() - matrix.left()) {
                let cases = confusion.counts[row][column];
                let at = Rect::from_min_size(matrix.min + vec2(column as f32, row as f32) * cell, vec2(cell, cell)).shrink(1.0);
                let share = cases as f32 / total.max(1) as f32;
                cell_ui(ui, at, &Cell { cases, share, right: row == column, as_share: cells == Cells::Shares });
                let chosen = query.label.as_ref() == confusion.labels.get(row) && query.decision.as_ref() == confusion.labels.get(column);
                if chosen || hovered == Some((row, column)) {
                    painter.rect_stroke(at, 3.0, (1.5, palette.text), egui::StrokeKind::Inside);
                }
            }
        }
        let cursor = keyboard(ui, &response, count);
        if let Some((row, column)) = cursor.filter(|_| response.has_focus()) {
            let at = Rect::from_min_size(matrix.min + vec2(column as f32, row as f32) * cell, vec2(cell, cell));
            painter.rect_stroke(at, 3.0, (2.0, palette.accent), egui::StrokeKind::Inside);
        }
        let pressed = response.has_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        clicked = if pressed { cursor } else { response.interact_pointer_pos().filter(|_| response.clicked()).and_then(place) };
        if let Some((row, column)) = hovered {
            response.on_hover_text_at_pointer(sentence(confusion, row, column));
        }
    });
    clicked
}

/// Moves a cursor over the cells while the picture has the keyboard.
fn keyboard(ui: &Ui, response: &Response, count: usize) -> Option<(usize, usize)> {
    let last = count.checked_sub(1)?;
    let id = response.id.with("cursor");
    let (mut row, mut column) = ui.data(|data| data.get_temp::<(usize, usize)>(id)).unwrap_or_default();
    if response.has_focus() {
        let filter = egui::EventFilter { horizontal_arrows: true, vertical_arrows: true, ..egui::EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        ui.input(|input| {
            row = (row + usize::from(input.key_pressed(Key::ArrowDown))).saturating_sub(usize::from(input.key_pressed(Key::ArrowUp)));
            column =
                (column + usize::from(input.key_pressed(Key::ArrowRight))).saturating_sub(usize::from(input.key_pressed(Key::ArrowLeft)));
        });
    }
    let cursor = (row.min(last), column.min(last));
    ui.data_mut(|data| data.insert_temp(id, cursor));
    Some(cursor)
}

struct Cell {
    cases: usize,
    share: f32,
    right: bool,
    as_share: bool,
}

fn cell_ui(ui: &Ui, at: Rect, cell: &Cell) {
    let palette = theme::palette(ui);
    // Right and wrong differ in hue and in place: right is the diagonal.
    let colour = if cell.right { palette.accent } else { palette.warning };
    let strength = if cell.cases == 0 { 0.0 } else { 0.12 + 0.88 * cell.share };
    let ground = palette.bar_track.lerp_to_gamma(colour, strength);
    let painter = ui.painter();
    painter.rect_filled(at, 3.0, ground);
    if cell.cases == 0 || at.width() < 18.0 {
        return;
    }
    let narrow = at.width() < 26.0;
    let label = if cell.as_share { format!("{:.0}", 100.0 * cell.share) } else { short_count(cell.cases, narrow) };
    let ink = if strength > 0.55 { palette.on_accent } else { palette.text };
    let size = if narrow { text::SMALL - 2.0 } else { text::SMALL };
    painter.text(at.center(), egui::Align2::CENTER_CENTER, label, FontId::proportional(size), ink);
}

/// Writes a count so that it fits into a cell.
fn short_count(cases: usize, narrow: bool) -> String {
    match cases {
        0..1_000 => cases.to_string(),
        1_000..10_000 if !narrow => cases.to_string(),
        _ => format!("{}k", cases / 1000),
    }
}

fn sentence(confusion: &Confusion, row: usize, column: usize) -> String {
    let counts = &confusion.counts[row];
    let (cases, total) = (counts[column], counts.iter().sum::<usize>());
    let (label, decision) = (title(&confusion.labels[row]), title(&confusion.labels[column]));
    let share = bars::percent(cases as f64 / total.max(1) as f64);
    let noun = if cases == 1 { "case" } else { "cases" };
    format!("{label} decided as {decision}: {cases} {noun}, {share} of the label's")
}

/// Draws what occurs, the most frequent confusions first and what is right after them.
fn list_ui(ui: &mut Ui, view: &RunView, query: &CaseQuery) -> Option<(usize, usize)> {
    let (confusion, cells) = (&view.figures.confusion, &view.cells);
    let mut clicked = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().id_salt("confusion list").auto_shrink(false).show_rows(ui, ROW_HEIGHT, cells.len(), |ui, visible| {
        for &(row, column, cases) in visible.filter_map(|at| cells.get(at)) {
            let name = sentence(confusion, row, column);
            let (label, decision) = (&confusion.labels[row], &confusion.labels[column]);
            let title = if row == column { format!("{}, right", title(label)) } else { format!("{} as {}", title(label), title(decision)) };
            let selected = query.label.as_ref() == Some(label) && query.decision.as_ref() == Some(decision);
            let note = cases.to_string();
            let line = Row { name: &name, title: &title, detail: "", note: &note, selected, height: ROW_HEIGHT, indent: 0.0 };
            if widgets::row_ui(ui, line).clicked() {
                clicked = Some((row, column));
            }
        }
    });
    clicked
}

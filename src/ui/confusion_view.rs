//! The confusion matrix: a painted picture whose cells lead to their cases, and the same as a list for keyboards and screen readers.

use egui::epaint::TextShape;
use egui::{Color32, FontId, Key, Pos2, Rect, Response, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};

use super::tokens::{space, text};
use super::widgets::{self, Row};
use super::{bars, theme};
use crate::app::{BatchCommand, CaseQuery, Command, RunView, Verdict};
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
    if let Some((row, column)) = clicked {
        let (label, decision) = (confusion.labels.get(row).cloned(), confusion.labels.get(column).cloned());
        let verdict = if decision.is_none() { Verdict::Error } else { Verdict::All };
        let same = is_chosen(view, query, row, column);
        let query = if same { CaseQuery::default() } else { CaseQuery { label, decision, verdict, ..CaseQuery::default() } };
        commands.push(Command::Batch(BatchCommand::Query(query)));
    }
}

/// Returns whether the table of cases shows a cell, of which the one behind the last label is that of errors.
fn is_chosen(view: &RunView, query: &CaseQuery, row: usize, column: usize) -> bool {
    let labels = &view.figures.confusion.labels;
    let is_decision = match labels.get(column) {
        Some(label) => query.decision.as_ref() == Some(label),
        None => query.decision.is_none() && query.verdict == Verdict::Error,
    };
    is_decision && query.label.as_ref() == labels.get(row)
}

/// Returns what stands over a column.
fn column_title(view: &RunView, column: usize) -> &str {
    view.figures.confusion.labels.get(column).map_or("Error", |label| title(label))
}

/// Returns a label as people read it.
pub fn title(label: &str) -> &str {
    if label == NO_ROUTE_LABEL { "No route" } else { label }
}

fn picture_ui(ui: &mut Ui, view: &RunView, cells: Cells, query: &CaseQuery) -> Option<(usize, usize)> {
    let confusion = &view.figures.confusion;
    let count = confusion.labels.len();
    // Behind the labels the errors, where there are any.
    let columns = count + usize::from(!view.errors.is_empty());
    let font = FontId::proportional(text::SMALL);
    let line = |column: usize| widgets::line(ui, column_title(view, column), font.clone(), Color32::PLACEHOLDER, 104.0);
    let names: Vec<_> = (0..columns).map(line).collect();
    let longest = names.iter().map(|name| name.size().x).fold(0.0, f32::max);
    let (left, top) = (longest.min(ui.available_width() * 0.34) + space::S, longest + space::S + 18.0);
    // As large as the place allows without scrolling.
    let bar = ui.spacing().scroll.allocated_width();
    let room = |place: f32, many: usize| (place - bar - 2.0) / many.max(1) as f32;
    let cell = room(ui.available_width() - left, columns).min(room(ui.available_height() - top, count));
    let cell = cell.clamp(*CELL.start(), *CELL.end()).floor();
    let mut clicked = None;
    ScrollArea::both().id_salt("confusion").auto_shrink(false).show(ui, |ui| {
        let inside = vec2(columns as f32, count as f32) * cell;
        let (rect, response) = ui.allocate_exact_size(vec2(left, top) + inside + vec2(1.0, 1.0), Sense::click());
        let matrix = Rect::from_min_size(rect.min + vec2(left, top), inside);
        let errors = if view.errors.is_empty() { "" } else { " and errors" };
        let name =
            format!("Confusion matrix of {count} labels{errors}; arrow keys move, Enter shows the cases, the list says the same in words");
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &name));
        let palette = theme::palette(ui);
        let painter = ui.painter();
        painter.text(pos2(matrix.left(), rect.top()), egui::Align2::LEFT_TOP, "Decided as", font.clone(), palette.text_weak);
        painter.text(pos2(rect.left(), matrix.top() - 4.0), egui::Align2::LEFT_BOTTOM, "Label", font.clone(), palette.text_weak);
        for (index, name) in names.iter().enumerate() {
            let middle = cell * (index as f32 + 0.5);
            if let Some(label) = confusion.labels.get(index) {
                let name_left = widgets::line(ui, title(label), font.clone(), palette.text, left - space::S);
                let at = pos2(matrix.left() - space::S - name_left.size().x, matrix.top() + middle - name_left.size().y / 2.0);
                painter.galley(at, name_left, palette.text);
            }
            // Read from below: names of routes are longer than cells are wide.
            let at = pos2(matrix.left() + middle - name.size().y / 2.0, matrix.top() - space::XS);
            painter.add(TextShape::new(at, std::sync::Arc::clone(name), palette.text).with_angle(-std::f32::consts::FRAC_PI_2));
        }
        let place = |at: Pos2| -> Option<(usize, usize)> {
            let inside = matrix.contains(at).then(|| (at - matrix.min) / cell)?;
            Some(((inside.y as usize).min(count.checked_sub(1)?), (inside.x as usize).min(columns.checked_sub(1)?)))
        };
        let hovered = response.hover_pos().and_then(place);
        let clip = ui.clip_rect();
        let visible =
            |from: f32, to: f32, most: usize| (from / cell).floor().max(0.0) as usize..((to / cell).ceil().max(0.0) as usize).min(most);
        for row in visible(clip.top() - matrix.top(), clip.bottom() - matrix.top(), count) {
            let total = view.totals.get(row).copied().unwrap_or_default();
            for column in visible(clip.left() - matrix.left(), clip.right() - matrix.left(), columns) {
                let cases = view.count(row, column);
                let at = Rect::from_min_size(matrix.min + vec2(column as f32, row as f32) * cell, vec2(cell, cell)).shrink(1.0);
                let share = cases as f32 / total.max(1) as f32;
                // Right, wrong and errors differ in hue and in place: right is the diagonal, errors are the last column.
                let colour = match column {
                    column if column == row => palette.accent,
                    column if column == count => palette.error,
                    _ => palette.warning,
                };
                cell_ui(ui, at, &Cell { cases, share, colour, as_share: cells == Cells::Shares });
                if is_chosen(view, query, row, column) || hovered == Some((row, column)) {
                    painter.rect_stroke(at, 3.0, (1.5, palette.text), egui::StrokeKind::Inside);
                }
            }
        }
        let cursor = keyboard(ui, &response, [count, columns]);
        if let Some((row, column)) = cursor.filter(|_| response.has_focus()) {
            let at = Rect::from_min_size(matrix.min + vec2(column as f32, row as f32) * cell, vec2(cell, cell));
            painter.rect_stroke(at, 3.0, (2.0, palette.accent), egui::StrokeKind::Inside);
        }
        let pressed = response.has_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        clicked = if pressed { cursor } else { response.interact_pointer_pos().filter(|_| response.clicked()).and_then(place) };
        if let Some((row, column)) = hovered {
            response.on_hover_text_at_pointer(sentence(view, row, column));
        }
    });
    clicked
}

/// Moves a cursor over the cells while the picture has the keyboard.
fn keyboard(ui: &Ui, response: &Response, [rows, columns]: [usize; 2]) -> Option<(usize, usize)> {
    let last = (rows.checked_sub(1)?, columns.checked_sub(1)?);
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
    let cursor = (row.min(last.0), column.min(last.1));
    ui.data_mut(|data| data.insert_temp(id, cursor));
    Some(cursor)
}

struct Cell {
    cases: usize,
    share: f32,
    /// Of a full cell.
    colour: Color32,
    as_share: bool,
}

fn cell_ui(ui: &Ui, at: Rect, cell: &Cell) {
    let palette = theme::palette(ui);
    let strength = if cell.cases == 0 { 0.0 } else { 0.12 + 0.88 * cell.share };
    let ground = palette.bar_track.lerp_to_gamma(cell.colour, strength);
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

fn sentence(view: &RunView, row: usize, column: usize) -> String {
    let labels = &view.figures.confusion.labels;
    let (cases, total) = (view.count(row, column), view.totals.get(row).copied().unwrap_or_default());
    let label = labels.get(row).map_or("", |label| title(label));
    let what = labels.get(column).map_or_else(|| "with an error".to_owned(), |decision| format!("decided as {}", title(decision)));
    let share = bars::percent(cases as f64 / total.max(1) as f64);
    let noun = if cases == 1 { "case" } else { "cases" };
    format!("{label} {what}: {cases} {noun}, {share} of the label's")
}

/// Draws what occurs, the most frequent confusions first and what is right after them.
fn list_ui(ui: &mut Ui, view: &RunView, query: &CaseQuery) -> Option<(usize, usize)> {
    let (labels, cells) = (&view.figures.confusion.labels, &view.cells);
    let mut clicked = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().id_salt("confusion list").auto_shrink(false).show_rows(ui, ROW_HEIGHT, cells.len(), |ui, visible| {
        for &(row, column, cases) in visible.filter_map(|at| cells.get(at)) {
            let name = sentence(view, row, column);
            let label = labels.get(row).map_or("", |label| title(label));
            let title = match labels.get(column) {
                None => format!("{label}, error"),
                Some(_) if row == column => format!("{label}, right"),
                Some(decision) => format!("{label} as {}", title(decision)),
            };
            let selected = is_chosen(view, query, row, column);
            let note = cases.to_string();
            let line = Row { name: &name, title: &title, detail: "", note: &note, selected, height: ROW_HEIGHT, indent: 0.0 };
            if widgets::row_ui(ui, line).clicked() {
                clicked = Some((row, column));
            }
        }
    });
    clicked
}

//! The cases of a run as a table: filters above it, sorted by its headers; only rows in view are laid out.

use egui::{Align, Button, ComboBox, DragValue, FontId, Layout, RichText, Role, Sense, TextEdit, TextWrapMode, Ui, WidgetInfo, pos2, vec2};
use egui_extras::{Column, TableBuilder};

use super::case_keys::{self, Pressed};
use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::{bars, theme, widgets};
use crate::app::{Batch, BatchCommand, CaseQuery, Command, RunView, SortBy, State, Verdict};
use crate::eval::{self, TurnResult};

const ROW_HEIGHT: f32 = 26.0;
const HEADER_HEIGHT: f32 = 26.0;
/// Characters that are shown of a tag among the filters.
const TAG: usize = 28;

const VERDICTS: [(Verdict, &str, &str); 6] = [
    (Verdict::All, "All", "Every case"),
    (Verdict::Disagrees, "Wrong", "The decision differs from the label"),
    (Verdict::Agrees, "Right", "The decision equals the label"),
    (Verdict::NoRoute, "No route", "The router found that nothing fits"),
    (Verdict::Error, "Errors", "The gateway would have failed"),
    (Verdict::Undecided, "Not decided", "The router gave no decision; left out of every figure"),
];

/// Draws the filters and the table.
pub fn cases_ui(ui: &mut Ui, state: &State, view: &RunView, commands: &mut Vec<Command>) {
    if state.dialog.is_none() {
        keys_ui(ui, &state.batch, view, commands);
    }
    filters_ui(ui, &state.batch, view, commands);
    ui.add_space(space::XS);
    if state.batch.rows.is_empty() {
        let advice = if view.run.turns.is_empty() {
            "Results appear here as they are decided"
        } else {
            "No case matches; clear the filters to see all"
        };
        return widgets::empty_ui(ui, "No cases", advice);
    }
    table_ui(ui, state, view, commands);
}

/// Draws how many cases the table lists.
pub fn count_ui(ui: &mut Ui, batch: &Batch, view: &RunView) {
    let (count, all) = (batch.rows.len(), view.run.turns.len());
    let words = if count == all { format!("{} cases", grouped(all)) } else { format!("{} of {}", grouped(count), grouped(all)) };
    widgets::caption_ui(ui, if batch.filtering { "Searching".to_owned() } else { words });
}

/// Moves the selection with the arrow keys and labels the selected case with digits while nothing else has the keyboard.
fn keys_ui(ui: &Ui, batch: &Batch, view: &RunView, commands: &mut Vec<Command>) {
    let labels = batch.selected_turn().map(|case| case_keys::keyed_labels(view, case)).unwrap_or_default();
    commands.extend(case_keys::pressed(ui, &labels).into_iter().filter_map(|pressed| {
        Some(Command::Batch(match pressed {
            Pressed::Step(step) => BatchCommand::Step(step),
            Pressed::Label(label) => BatchCommand::Relabel { turn: batch.selected?, label: label.to_owned() },
            Pressed::Close => BatchCommand::Select(None),
        }))
    }));
}

fn filters_ui(ui: &mut Ui, batch: &Batch, view: &RunView, commands: &mut Vec<Command>) {
    let mut query = batch.query.clone();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        // Most runs have none of the last kind.
        let shown = VERDICTS.len() - usize::from(view.figures.undecided == 0);
        if let Some(verdict) = widgets::switch_ui(ui, query.verdict, &VERDICTS[..shown]) {
            query.verdict = verdict;
        }
        let search = TextEdit::singleline(&mut query.text).hint_text("Search cases").desired_width(104.0).id_salt("search cases");
        let search = ui.add(search.margin(egui::Margin::symmetric(space::S as i8, 4))).accessible_name("Search cases");
        widgets::keep_undo(ui, &search);
        name_filter_ui(ui, "Label", &mut query.label, view);
        name_filter_ui(ui, "Decision", &mut query.decision, view);
        confidence_filter_ui(ui, &mut query.confidence);
        // Set by a click on a part of the set among the figures.
        if query.turn.is_some_and(|turn| is_removed_ui(ui, &format!("Turn {turn}"))) {
            query.turn = None;
        }
        if query.tag.as_deref().is_some_and(|tag| is_removed_ui(ui, &format!("Tag {tag}"))) {
            query.tag = None;
        }
        if !query.shows_all() && widgets::quiet_button_ui(ui, "Clear", "Clear the filters").clicked() {
            query = CaseQuery { sort: query.sort, descending: query.descending, ..CaseQuery::default() };
        }
    });
    if query != batch.query {
        commands.push(Command::Batch(BatchCommand::Query(query)));
    }
}

fn name_filter_ui(ui: &mut Ui, what: &str, chosen: &mut Option<String>, view: &RunView) {
    let shown = chosen.as_deref().map_or_else(|| format!("Any {}", what.to_lowercase()), |name| title(name).to_owned());
    let combo = ComboBox::from_id_salt(what).selected_text(RichText::new(shown).small()).width(100.0).truncate();
    let response = combo.show_ui(ui, |ui| {
        ui.selectable_value(chosen, None, "Any");
        for label in &view.figures.confusion.labels {
            ui.selectable_value(chosen, Some(label.clone()), title(label));
        }
    });
    response.response.accessible_name(format!("Filter by {}", what.to_lowercase()));
}

/// Draws a filter that has no list of its own; returns whether it is taken away.
fn is_removed_ui(ui: &mut Ui, filter: &str) -> bool {
    let mut words: String = filter.chars().take(TAG).collect();
    if words.len() < filter.len() {
        words.push('…');
    }
    let button = ui.add(Button::selectable(true, RichText::new(words).small()).wrap_mode(TextWrapMode::Extend));
    button
        .accessible_name(format!("Remove the filter {filter}"))
        .on_hover_text(format!("{filter}: click to show other cases too"))
        .clicked()
}

fn confidence_filter_ui(ui: &mut Ui, confidence: &mut [f32; 2]) {
    let [least, most] = confidence;
    let field = |ui: &mut Ui, value: &mut f32, name: &str| {
        let mut percent = (*value * 100.0).round();
        let drag = DragValue::new(&mut percent).range(0.0..=100.0).suffix(" %").speed(1.0);
        let response = ui.add(drag).accessible_name(name).on_hover_text("Drag, or click and type");
        widgets::keep_undo(ui, &response);
        if response.changed() {
            *value = percent / 100.0;
        }
    };
    field(ui, least, "Least confidence");
    widgets::caption_ui(ui, "to");
    field(ui, most, "Largest confidence");
}

fn table_ui(ui: &mut Ui, state: &State, view: &RunView, commands: &mut Vec<Command>) {
    let batch = &state.batch;
    let rows = &batch.rows;
    let width = ui.available_width();
    let scroll_to = revealed(ui, batch);
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    let name = |share: f32, least: f32| Column::initial((width * share).clamp(least, 200.0)).at_least(48.0).clip(true).resizable(true);
    let mut table = TableBuilder::new(ui)
        .id_salt("cases")
        // Without the keyboard: the first cell of each row has it, with a name.
        .sense(Sense::CLICK)
        .auto_shrink(false)
        .cell_layout(Layout::left_to_right(Align::Center))
        .column(name(0.12, 56.0))
        .column(name(0.2, 90.0))
        .column(name(0.2, 90.0))
        .column(Column::exact(100.0))
        .column(Column::remainder().at_least(80.0).clip(true));
    if let Some(row) = scroll_to {
        table = table.scroll_to_row(row, None);
    }
    let titles = [
        (Some(SortBy::Id), "Case"),
        (Some(SortBy::Label), "Label"),
        (Some(SortBy::Decision), "Decision"),
        (Some(SortBy::Confidence), "Confidence"),
        (None, "Last user message"),
    ];
    let table = table.header(HEADER_HEIGHT, |mut row| {
        for (sort, title) in titles {
            row.col(|ui| header_ui(ui, &batch.query, sort, title, commands));
        }
    });
    table.body(|body| {
        body.rows(ROW_HEIGHT, rows.len(), |mut row| {
            let Some(&position) = rows.get(row.index()) else { return };
            let Some(turn) = view.run.turns.get(position as usize) else { return };
            row.set_selected(batch.selected == Some(position));
            if row_ui(&mut row, batch, turn) {
                commands.push(Command::Batch(BatchCommand::Select(Some(position))));
            }
        });
    });
}

/// Returns the row to scroll to, once for each wish.
fn revealed(ui: &Ui, batch: &Batch) -> Option<usize> {
    let (row, serial) = batch.reveal?;
    let followed = egui::Id::unique("followed case");
    let is_new = ui.data(|data| data.get_temp::<u64>(followed)) != Some(serial);
    ui.data_mut(|data| data.insert_temp(followed, serial));
    is_new.then_some(row)
}

fn header_ui(ui: &mut Ui, query: &CaseQuery, sort: Option<SortBy>, title: &str, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    // So that the title stands over the text of its column.
    ui.spacing_mut().button_padding.x = 0.0;
    let label = RichText::new(title).font(tokens::strong_font(text::SMALL)).color(palette.text_weak);
    let Some(sort) = sort else {
        ui.label(label);
        return;
    };
    let on = query.sort == sort;
    let order = if on { if query.descending { ", sorted downwards" } else { ", sorted upwards" } } else { "" };
    let button = ui.add(Button::new(label).frame_when_inactive(false).small()).accessible_name(format!("Sort by {title}{order}"));
    if on {
        mark_ui(ui, button.rect.right_center() + vec2(7.0, 0.0), query.descending);
    }
    if button.on_hover_text("Click to sort, again to reverse, a third time for the set's order").clicked() {
        let (sort, descending) = match (on, query.descending) {
            (false, _) => (sort, false),
            (true, false) => (sort, true),
            (true, true) => (SortBy::Set, false),
        };
        commands.push(Command::Batch(BatchCommand::Query(CaseQuery { sort, descending, ..query.clone() })));
    }
}

/// Paints the direction of a sorted column.
fn mark_ui(ui: &Ui, at: egui::Pos2, down: bool) {
    let (tip, base) = if down { (3.0, -2.0) } else { (-3.0, 2.0) };
    let points = vec![pos2(at.x, at.y + tip), pos2(at.x - 3.5, at.y + base), pos2(at.x + 3.5, at.y + base)];
    ui.painter().add(egui::Shape::convex_polygon(points, theme::palette(ui).accent, egui::Stroke::NONE));
}

/// Draws one row; returns whether it was clicked.
fn row_ui(row: &mut egui_extras::TableRow<'_, '_>, batch: &Batch, turn: &TurnResult) -> bool {
    let mut clicked = false;
    let decision = decision_title(turn);
    row.col(|ui| {
        let palette = theme::palette(ui);
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::click());
        response.widget_info(|| {
            let verdict = verdict(turn);
            let sure = sure(turn).map(|sure| format!("{sure}, ")).unwrap_or_default();
            let name = format!("Case {}: label {}, decided {decision}, {sure}{verdict}", case_name(turn), title(&turn.label));
            WidgetInfo::labeled(Role::Button, true, name)
        });
        widgets::focus_ring(ui, &response);
        // A mark as well as a colour, in a place of its own.
        if let Some(colour) = odd_colour(ui, turn) {
            let mark = egui::Rect::from_center_size(pos2(rect.left() + 3.0, rect.center().y), vec2(3.0, ROW_HEIGHT - 10.0));
            ui.painter().rect_filled(mark, 1.5, colour);
        }
        let name = widgets::line(ui, &case_name(turn), FontId::proportional(text::SMALL), palette.text, rect.width() - space::M);
        ui.painter().galley(pos2(rect.left() + space::M - 2.0, rect.center().y - name.size().y / 2.0), name, palette.text);
        clicked |= response.clicked();
    });
    row.col(|ui| cell_ui(ui, title(&turn.label), theme::palette(ui).text));
    row.col(|ui| {
        let colour = odd_colour(ui, turn).unwrap_or(theme::palette(ui).text);
        cell_ui(ui, &decision, colour);
    });
    row.col(|ui| confidence_cell_ui(ui, turn));
    row.col(|ui| {
        if let Some(said) = batch.preview(turn) {
            cell_ui(ui, said, theme::palette(ui).text_weak);
        }
    });
    clicked || row.response().clicked()
}

/// Returns the colour of a decision that is not right; one that is missing is not wrong either.
fn odd_colour(ui: &Ui, turn: &TurnResult) -> Option<egui::Color32> {
    let palette = theme::palette(ui);
    match &turn.decided {
        None if turn.undecided => Some(palette.text_weak),
        None => Some(palette.error),
        Some(_) => turn.is_wrong().then_some(palette.warning),
    }
}

fn cell_ui(ui: &mut Ui, words: &str, colour: egui::Color32) {
    let galley = widgets::line(ui, words, FontId::proportional(text::SMALL + 0.5), colour, ui.available_width());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    ui.painter().galley(pos2(rect.left(), rect.center().y - galley.size().y / 2.0), galley, colour);
}

fn confidence_cell_ui(ui: &mut Ui, turn: &TurnResult) {
    let palette = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    let Some(sure) = sure(turn) else { return };
    let number = widgets::line(ui, &sure, FontId::proportional(text::SMALL), palette.text, 48.0);
    let track = egui::Rect::from_min_size(pos2(rect.left(), rect.center().y - 3.0), vec2(rect.width() - 52.0, 6.0));
    ui.painter().rect_filled(track, 2.0, palette.bar_track);
    let filled = track.with_max_x(track.left() + track.width() * turn.sure().unwrap_or_default().clamp(0.0, 1.0));
    ui.painter().rect_filled(filled, 2.0, if turn.agrees() { palette.accent } else { palette.warning });
    ui.painter().galley(pos2(rect.right() - number.size().x, rect.center().y - number.size().y / 2.0), number, palette.text);
}

/// Returns the confidence for people; `None` where there is none.
pub fn sure(turn: &TurnResult) -> Option<String> {
    turn.sure().map(|sure| bars::percent(f64::from(sure)))
}

/// Returns the id of a case, with its turn where the conversation has several that were decided.
pub fn case_name(turn: &TurnResult) -> String {
    eval::case_name(&turn.id, turn.turn)
}

/// Returns what was decided, for people.
pub fn decision_title(turn: &TurnResult) -> String {
    let none = if turn.undecided { "Not decided" } else { "Error" };
    turn.decided.as_deref().map_or(none, title).to_owned()
}

/// Returns how the decision stands to the label, for people.
pub fn verdict(turn: &TurnResult) -> &'static str {
    if turn.undecided {
        "left out"
    } else if turn.agrees() {
        "right"
    } else {
        "wrong"
    }
}

/// Writes so many of something.
pub fn counted(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Writes a count with its thousands apart.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

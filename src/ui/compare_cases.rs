//! Cases under several runs: the flips between the baseline and one of them, and every case under all.

use egui::{Align, FontId, Layout, RichText, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use egui_extras::{Column, TableBuilder};

use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::{case_table, theme, widgets};
use crate::app::{Command, CompareCommand, ComparisonView, State};
use crate::eval::{Flip, FlipKind};

const ROW_HEIGHT: f32 = 26.0;

/// Draws the flips, one kind of them or all.
pub fn flips_ui(ui: &mut Ui, state: &State, view: &ComparisonView, commands: &mut Vec<Command>) {
    let count = |kind: Option<FlipKind>| view.flips_of(kind).len();
    let labels = [
        (None, format!("All {}", count(None)), "Every case that the two decide differently"),
        (Some(FlipKind::Fixed), format!("Fixed {}", count(Some(FlipKind::Fixed))), "Wrong in the baseline, right now"),
        (Some(FlipKind::Broken), format!("Broken {}", count(Some(FlipKind::Broken))), "Right in the baseline, wrong now"),
        (Some(FlipKind::Changed), format!("Changed {}", count(Some(FlipKind::Changed))), "Wrong in both, in different ways"),
    ];
    let choices: Vec<(Option<FlipKind>, &str, &str)> =
        labels.iter().map(|(kind, label, explanation)| (*kind, label.as_str(), *explanation)).collect();
    if let Some(kind) = widgets::switch_ui(ui, state.compare.kind, &choices) {
        commands.push(Command::Compare(CompareCommand::ShowKind(kind)));
    }
    ui.add_space(space::XS);
    let flips = view.flips_of(state.compare.kind);
    if flips.is_empty() {
        return widgets::empty_ui(ui, "No such case", "The two runs decide these alike");
    }
    let width = ui.available_width();
    let names = [view.runs[0].name.as_str(), view.runs[view.focus].name.as_str()];
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    let name = |share: f32| Column::initial((width * share).max(72.0)).at_least(48.0).clip(true).resizable(true);
    let table =
        TableBuilder::new(ui).id_salt("flips").sense(Sense::CLICK).auto_shrink(false).cell_layout(Layout::left_to_right(Align::Center));
    let table =
        table.column(Column::exact(76.0)).column(name(0.14)).column(name(0.2)).column(name(0.24)).column(Column::remainder().clip(true));
    let table = table.header(ROW_HEIGHT, |mut row| {
        for title in ["", "Case", "Label", names[0], names[1]] {
            row.col(|ui| drop(widgets::short_caption_ui(ui, title)));
        }
    });
    table.body(|body| {
        body.rows(ROW_HEIGHT, flips.len(), |mut row| {
            let Some(flip) = flips.get(row.index()).and_then(|at| view.flip(*at)) else { return };
            let sure =
                [(0, flip.at_a), (view.focus, flip.at_b)].map(|(run, at)| view.runs[run].view.run.turns.get(at).and_then(case_table::sure));
            if flip_ui(&mut row, flip, sure) {
                let at = u32::try_from(flip.at_b).unwrap_or(u32::MAX);
                commands.push(Command::Compare(CompareCommand::OpenCase(view.runs[view.focus].id.clone(), at)));
            }
        });
    });
}

fn flip_ui(row: &mut egui_extras::TableRow<'_, '_>, flip: &Flip, [sure_a, sure_b]: [Option<String>; 2]) -> bool {
    let decided = |decided: &Option<std::sync::Arc<str>>| decided.as_deref().map_or("Error", title).to_owned();
    let (a, b) = (decided(&flip.a), decided(&flip.b));
    let id = flip.name();
    let mut clicked = false;
    row.col(|ui| {
        let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::click());
        let name = format!("{} case {id}: label {}, {a} before, {b} now", flip.kind.as_str(), title(&flip.label));
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
        widgets::focus_ring(ui, &response);
        let palette = theme::palette(ui);
        let colour = kind_colour(ui, flip.kind);
        ui.painter().rect_filled(
            egui::Rect::from_center_size(pos2(rect.left() + 3.0, rect.center().y), vec2(3.0, ROW_HEIGHT - 10.0)),
            1.5,
            colour,
        );
        let word = widgets::line(ui, flip.kind.as_str(), tokens::strong_font(text::SMALL), colour, rect.width() - space::M);
        ui.painter().galley(pos2(rect.left() + space::M - 2.0, rect.center().y - word.size().y / 2.0), word, palette.text);
        clicked |= response.clicked();
    });
    for (words, weak) in [(id.as_str(), false), (title(&flip.label), false)] {
        row.col(|ui| cell_ui(ui, words, weak));
    }
    let with = |decision: &str, sure: Option<String>| sure.map_or_else(|| decision.to_owned(), |sure| format!("{decision}, {sure}"));
    row.col(|ui| cell_ui(ui, &with(&a, sure_a), flip.kind == FlipKind::Fixed));
    row.col(|ui| cell_ui(ui, &with(&b, sure_b), flip.kind == FlipKind::Broken));
    clicked || row.response().clicked()
}

fn kind_colour(ui: &Ui, kind: FlipKind) -> egui::Color32 {
    let palette = theme::palette(ui);
    match kind {
        FlipKind::Fixed => palette.good,
        FlipKind::Broken => palette.warning,
        FlipKind::Changed => palette.text_weak,
    }
}

fn cell_ui(ui: &mut Ui, words: &str, weak: bool) {
    let palette = theme::palette(ui);
    let colour = if weak { palette.text_weak } else { palette.text };
    let galley = widgets::line(ui, words, FontId::proportional(text::SMALL + 0.5), colour, ui.available_width());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    ui.painter().galley(pos2(rect.left(), rect.center().y - galley.size().y / 2.0), galley, colour);
}

/// Draws every case under every run.
pub fn matrix_ui(ui: &mut Ui, state: &State, view: &ComparisonView, commands: &mut Vec<Command>) {
    let mut only = state.compare.only_different;
    ui.horizontal(|ui| {
        if ui.checkbox(&mut only, RichText::new("Only cases that are decided differently").small()).changed() {
            commands.push(Command::Compare(CompareCommand::OnlyDifferent(only)));
        }
        widgets::caption_ui(
            ui,
            format!("{} of {} differ", case_table::grouped(view.different.len()), case_table::grouped(view.rows.len())),
        );
    });
    let count = if only { view.different.len() } else { view.rows.len() };
    if count == 0 {
        return widgets::empty_ui(ui, "No case differs", "All of these runs decide every case alike");
    }
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    egui::ScrollArea::horizontal().id_salt("many runs").auto_shrink(false).show(ui, |ui| {
        let runs = view.runs.len();
        let width = ((ui.available_width() - 240.0) / runs as f32 - space::S).max(110.0);
        let table = TableBuilder::new(ui)
            .id_salt("matrix")
            .sense(Sense::CLICK)
            .auto_shrink(false)
            .cell_layout(Layout::left_to_right(Align::Center));
        let fixed = |width: f32| Column::initial(width).at_least(48.0).clip(true).resizable(true);
        let table = table.column(fixed(90.0)).column(fixed(130.0)).columns(fixed(width), runs);
        let table = table.header(ROW_HEIGHT, |mut row| {
            row.col(|ui| drop(widgets::caption_ui(ui, "Case")));
            row.col(|ui| drop(widgets::caption_ui(ui, "Label")));
            for run in &view.runs {
                row.col(|ui| drop(widgets::short_caption_ui(ui, &*run.name)));
            }
        });
        table.body(|body| {
            body.rows(ROW_HEIGHT, count, |mut row| {
                let at = if only { view.different.get(row.index()).map(|at| *at as usize) } else { Some(row.index()) };
                let Some(case) = at.and_then(|at| view.rows.get(at)) else { return };
                let Some(first) = (0..runs).find_map(|run| view.turn(case, run)) else { return };
                row.col(|ui| cell_ui(ui, &case_table::case_name(first), false));
                row.col(|ui| cell_ui(ui, title(&first.label), false));
                for run in 0..runs {
                    let mut clicked = false;
                    let (_, cell) = row.col(|ui| match view.turn(case, run) {
                        Some(turn) => clicked = decision_cell_ui(ui, &view.runs[run].name, turn),
                        None => cell_ui(ui, "not measured", true),
                    });
                    if let (true, Some(at)) = (clicked || cell.clicked(), case.0[run]) {
                        commands.push(Command::Compare(CompareCommand::OpenCase(view.runs[run].id.clone(), at)));
                    }
                }
            });
        });
    });
}

/// Draws what one run decided; returns whether it was clicked.
fn decision_cell_ui(ui: &mut Ui, run: &str, turn: &crate::eval::TurnResult) -> bool {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::click());
    let decision = case_table::decision_title(turn);
    let verdict = case_table::verdict(turn);
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Button, true, format!("{run}, case {}: {decision}, {verdict}", case_table::case_name(turn)))
    });
    widgets::focus_ring(ui, &response);
    let known = if turn.agrees() { palette.good } else { palette.warning };
    let colour = if turn.undecided { palette.text_weak } else { known };
    ui.painter().rect_filled(
        egui::Rect::from_center_size(pos2(rect.left() + 3.0, rect.center().y), vec2(3.0, ROW_HEIGHT - 12.0)),
        1.5,
        colour,
    );
    let galley = widgets::line(ui, &decision, FontId::proportional(text::SMALL + 0.5), palette.text, rect.width() - space::M);
    ui.painter().galley(pos2(rect.left() + space::S, rect.center().y - galley.size().y / 2.0), galley, palette.text);
    response.clicked()
}

//! What differs between two policies, word by word, with the flips that each edit causes; and how each route's figures moved.

use egui::text::{LayoutJob, TextFormat};
use egui::{Align, FontId, Label, Layout, RichText, ScrollArea, Stroke, Ui, vec2};
use egui_extras::{Column, TableBuilder};

use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::{bars, tall_list, theme, widgets};
use crate::app::{Command, CompareCommand, ComparisonView, Piece, PolicyStep, State};
use crate::eval::Causes;
use crate::formats::{DiffKind, DiffLine};

const ROW_HEIGHT: f32 = 26.0;
/// Flips that are named under an edit.
const NAMED: usize = 12;

/// Draws the differences of the policies.
pub fn policies_ui(ui: &mut Ui, state: &State, view: &ComparisonView, commands: &mut Vec<Command>) {
    if view.steps.is_empty() && view.lines.is_empty() {
        let advice = "The two runs measured the same policy; what differs is the router or the dialect";
        return widgets::empty_ui(ui, "The policies are the same", advice);
    }
    let flips = view.comparison.flips.len();
    let known = match view.comparison.causes {
        Causes::LookedInto(known) => Some(known),
        Causes::NotAsked | Causes::Unknown(_) => None,
    };
    let causes = known.is_some_and(|known| known > 0);
    ui.horizontal(|ui| {
        if state.compare.searching {
            widgets::caption_ui(ui, "Making the edits one at a time");
        } else if !causes && flips > 0 && !view.steps.is_empty() {
            let button = widgets::button_ui(ui, "Find causes");
            if button
                .on_hover_text("Decides the flipped cases once more with each edit alone, to see which of them causes each flip")
                .clicked()
            {
                commands.push(Command::Compare(CompareCommand::FindCauses));
            }
            widgets::caption_ui(ui, "which edit causes which flip");
        }
        if let Some(known) = known.filter(|known| *known < flips) {
            widgets::caption_ui(ui, format!("Looked into {known} of {flips} flips, those that broke first"));
        }
    });
    ui.push_id("differences", |ui| {
        let (steps, width, spacing) = (view.steps.len(), ui.available_width(), ui.spacing().item_spacing.y);
        let area = ScrollArea::vertical().auto_shrink(false);
        let guess = |at: usize| guessed_height(view, at, width);
        // The edits, what stands between, and the lines of the texts.
        tall_list::items_ui(ui, area, steps + 1 + view.lines.len(), None, guess, |ui, at| {
            if let Some(PolicyStep { what, words, caveat }) = view.steps.get(at) {
                ui.spacing_mut().item_spacing.y = spacing;
                step_ui(ui, what, words);
                if let Some(caveat) = *caveat {
                    widgets::caption_ui(ui, caveat);
                }
                if causes {
                    caused_ui(ui, view, view.caused.get(at).map(Vec::as_slice).unwrap_or_default(), commands);
                }
                ui.add_space(space::S);
            } else if at == steps {
                between_ui(ui, view, causes);
            } else if let Some(line) = view.lines.get(at - steps - 1) {
                line_ui(ui, line);
            }
        });
    });
}

/// Draws what stands between the edits and the texts.
fn between_ui(ui: &mut Ui, view: &ComparisonView, causes: bool) {
    if causes && view.together > 0 {
        widgets::caption_ui(ui, format!("{} flips need several edits together", view.together));
    }
    if !view.lines.is_empty() {
        ui.add_space(space::S);
        widgets::subheading_ui(ui, "Texts of the policies");
        ui.add_space(space::XS);
    }
}

/// Draws a line that differs, or one around such lines, as in any diff.
fn line_ui(ui: &mut Ui, DiffLine { kind, text }: &DiffLine) {
    let palette = theme::palette(ui);
    let (sign, colour) = match kind {
        DiffKind::Both => (' ', palette.text_weak),
        DiffKind::Removed => ('-', palette.error),
        DiffKind::Added => ('+', palette.good),
    };
    egui::Frame::NONE.fill(palette.field).inner_margin(egui::Margin::symmetric(space::M as i8, 0)).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let line = RichText::new(format!("{sign} {text}")).monospace().color(colour);
        ui.add(Label::new(line).wrap().selectable(true));
    });
}

/// Returns about how high an item of the list of differences will be.
fn guessed_height(view: &ComparisonView, at: usize, width: f32) -> f32 {
    let rows = |letters: usize, letter: f32| (letters as f32 * letter / width.max(80.0)).ceil().max(1.0);
    match (view.steps.get(at), at.checked_sub(view.steps.len() + 1).and_then(|line| view.lines.get(line))) {
        (Some(step), _) => 52.0 + 19.0 * rows(step.words.iter().map(|piece| piece.text.len()).sum(), 7.0),
        (None, Some(line)) => 16.0 * rows(line.text.len() + 2, 8.0),
        (None, None) => 36.0,
    }
}

fn step_ui(ui: &mut Ui, what: &str, pieces: &[Piece]) {
    let palette = theme::palette(ui);
    theme::card_frame(palette.surface, palette.border).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.label(RichText::new(what).font(tokens::strong_font(text::SMALL)).color(palette.text_weak));
        let mut job = LayoutJob::default();
        job.wrap.max_width = ui.available_width();
        let font = FontId::proportional(text::BODY);
        for Piece { kind, text } in pieces {
            let plain = TextFormat::simple(font.clone(), palette.text);
            // Struck through and underlined, so that the colours only repeat it.
            let format = match kind {
                DiffKind::Both => plain,
                DiffKind::Removed => TextFormat {
                    color: palette.error,
                    background: palette.error_soft,
                    strikethrough: Stroke::new(1.0, palette.error),
                    ..plain
                },
                DiffKind::Added => {
                    TextFormat { color: palette.good, background: palette.good_soft, underline: Stroke::new(1.0, palette.good), ..plain }
                }
            };
            job.append(text, 0.0, format);
        }
        ui.add(Label::new(job).wrap().selectable(true));
    });
}

/// Names the flips that one edit causes, by their positions.
fn caused_ui(ui: &mut Ui, view: &ComparisonView, flips: &[u32], commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        if flips.is_empty() {
            let is_all = view.comparison.causes == Causes::LookedInto(view.comparison.flips.len());
            widgets::caption_ui(ui, if is_all { "causes no flip by itself" } else { "causes none of these by itself" });
            return;
        }
        widgets::caption_ui(
            ui,
            format!("causes {}:", if flips.len() == 1 { "1 flip".to_owned() } else { format!("{} flips", flips.len()) }),
        );
        for flip in flips.iter().take(NAMED).filter_map(|at| view.flip(*at)) {
            let decided = flip.b.as_deref().map_or("Error", title);
            let name = format!("{} {}, now {decided}", flip.kind.as_str(), flip.name());
            if widgets::quiet_button_ui(ui, &name, name.as_str()).clicked() {
                let at = u32::try_from(flip.at_b).unwrap_or(u32::MAX);
                commands.push(Command::Compare(CompareCommand::OpenCase(view.runs[view.focus].id.clone(), at)));
            }
        }
        if flips.len() > NAMED {
            widgets::caption_ui(ui, format!("and {} more", flips.len() - NAMED));
        }
    });
}

/// Draws each route's figures before and after.
pub fn routes_ui(ui: &mut Ui, view: &ComparisonView) {
    let palette = theme::palette(ui);
    let routes = &view.comparison.per_route;
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    let table = TableBuilder::new(ui).id_salt("deltas").auto_shrink(false).cell_layout(Layout::left_to_right(Align::Center));
    let figure = || Column::exact(128.0);
    let table = table.column(Column::remainder().clip(true).at_least(100.0)).column(Column::exact(56.0));
    let table = table.column(figure()).column(figure()).column(figure());
    let right = |ui: &mut Ui, words: &str, colour: egui::Color32| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| ui.label(RichText::new(words).small().color(colour)));
    };
    let table = table.header(ROW_HEIGHT, |mut row| {
        row.col(|ui| drop(widgets::caption_ui(ui, "Route")));
        for name in ["Cases", "Precision", "Recall", "F1"] {
            row.col(|ui| right(ui, name, palette.text_weak));
        }
    });
    table.body(|body| {
        body.rows(ROW_HEIGHT, routes.len(), |mut row| {
            let Some(delta) = routes.get(row.index()) else { return };
            row.col(|ui| drop(ui.label(RichText::new(title(&delta.route)).small())));
            row.col(|ui| right(ui, &delta.support.to_string(), palette.text));
            for [before, after] in [delta.precision, delta.recall, delta.f1] {
                let change = after - before;
                let colour = match change {
                    change if change > 0.005 => palette.good,
                    change if change < -0.005 => palette.warning,
                    _ => palette.text_weak,
                };
                row.col(|ui| right(ui, &format!("{after:.2}  ({} points)", bars::points(change)), colour));
            }
        });
    });
}

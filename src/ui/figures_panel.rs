//! The figures of one run: agreement with its interval at the top, below it one of several views of the same results.

use egui::{RichText, ScrollArea, Sense, Ui, pos2, vec2};

use super::confusion_view::{self, title};
use super::tokens::{self, space, text};
use super::{bars, case_table, more_figures, plots, theme, widgets};
use crate::app::{Batch, BatchCommand, CaseQuery, Command, Figure, RunView};
use crate::eval::{Figures, RouteFigures};

const ROW_HEIGHT: f32 = 26.0;

const FIGURES: [(Figure, &str, &str); 4] = [
    (Figure::Matrix, "Matrix", "Which label was decided as which route"),
    (Figure::Routes, "Routes", "Precision, recall and F1 of each route"),
    (Figure::Confidence, "Confidence", "Whether the router is as sure as it is right"),
    (Figure::More, "More", "The paper's metrics, latency, speed and order"),
];

/// Draws the panel.
pub fn figures_ui(ui: &mut Ui, batch: &Batch, view: &RunView, commands: &mut Vec<Command>) {
    headline_ui(ui, view);
    ui.add_space(space::S);
    if let Some(figure) = widgets::switch_ui(ui, batch.figure, &FIGURES) {
        commands.push(Command::Batch(BatchCommand::ShowFigure(figure)));
    }
    ui.add_space(space::XS);
    match batch.figure {
        Figure::Matrix => confusion_view::confusion_ui(ui, view, &batch.query, commands),
        Figure::Routes => routes_ui(ui, &view.figures.per_route, &batch.query, commands),
        Figure::Confidence => confidence_ui(ui, &view.figures, commands),
        Figure::More => more_figures::more_ui(ui, view, &batch.query, commands),
    }
}

fn confidence_ui(ui: &mut Ui, figures: &Figures, commands: &mut Vec<Command>) {
    let Some(ece) = figures.calibration.ece else {
        // Before the first decision nobody knows.
        if figures.cases > figures.errors {
            widgets::empty_ui(ui, "This router gives no probabilities", "So nothing can be said about how sure it is");
        } else if figures.errors > 0 {
            widgets::empty_ui(ui, "Every case is an error", "Errors have no confidence; see the More tab");
        }
        return;
    };
    ScrollArea::vertical().id_salt("confidence").auto_shrink(false).show(ui, |ui| {
        if figures.without_confidence > 0 {
            let count = case_table::grouped(figures.without_confidence);
            widgets::caption_ui(ui, format!("Left out, since the router did not tell how probable the decision is: {count}"));
        }
        plots::reliability_ui(ui, &figures.calibration, ece, commands);
        ui.add_space(space::M);
        plots::confidence_ui(ui, &figures.confidence, commands);
        ui.add_space(space::M);
        plots::review_ui(ui, &figures.review);
    });
}

/// The figure that the whole run is about, and how far to trust it.
fn headline_ui(ui: &mut Ui, view: &RunView) {
    let palette = theme::palette(ui);
    let summary = &view.figures;
    let [low, high] = summary.agreement_ci95;
    ui.horizontal(|ui| {
        let figure = RichText::new(bars::percent(summary.agreement)).font(tokens::strong_font(text::DISPLAY + 6.0));
        ui.label(figure).on_hover_text("Share of cases whose decision equals the label");
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let noun = if summary.cases == 1 { "case" } else { "cases" };
            ui.label(RichText::new(format!("agreement over {} {noun}", case_table::grouped(summary.cases))).color(palette.text));
            let interval = format!("95 % interval {} to {}", bars::percent(low), bars::percent(high));
            widgets::caption_ui(ui, interval)
                .on_hover_text("Wilson score interval: where the agreement over many more such cases would be");
        });
    });
    interval_ui(ui, summary.agreement, [low, high]);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::M;
        widgets::caption_ui(ui, format!("Macro F1 {:.3}", summary.macro_f1))
            .on_hover_text("Mean of F1 over the routes that occur, each counting the same");
        let errors = widgets::caption_ui(ui, format!("Errors {}", case_table::grouped(summary.errors)));
        errors.on_hover_text("Cases in which the gateway would answer with HTTP 500");
        if summary.undecided > 0 {
            undecided_ui(ui, summary);
        }
        if let Some(gate) = summary.gate {
            let least = bars::percent(gate.min_agreement);
            let (words, colour, ground) = match (gate.passed, gate.open) {
                (true, _) => (format!("Passes its gate of {least}"), palette.good, palette.good_soft),
                (_, true) => (format!("Gate of {least} depends on undecided cases"), palette.warning, palette.warning_soft),
                _ => (format!("Fails its gate of {least}"), palette.error, palette.error_soft),
            };
            widgets::chip_ui(ui, &words, colour, ground);
        }
        if let Some(gate) = &summary.recall_gate {
            let least = bars::percent(gate.min_recall);
            let (words, colour, ground) = match (gate.below.is_empty(), gate.open.is_empty()) {
                (false, _) => (format!("Fails its gate of a recall of {least}"), palette.error, palette.error_soft),
                (_, false) => (format!("Gate of a recall of {least} depends on undecided cases"), palette.warning, palette.warning_soft),
                _ => (format!("Passes its gate of a recall of {least}"), palette.good, palette.good_soft),
            };
            widgets::chip_ui(ui, &words, colour, ground);
        }
        if summary.partial {
            let words = format!("Partial: {} of {}", case_table::grouped(summary.cases), case_table::grouped(summary.planned));
            widgets::chip_ui(ui, &words, palette.warning, palette.warning_soft);
        }
    });
}

/// Says how many cases have no decision, and who gave none.
fn undecided_ui(ui: &mut Ui, summary: &Figures) {
    let who = match summary.router.device.as_str() {
        "server" => "the server did not answer as it should",
        "gateway" => "the gateway did not answer as it should",
        _ => "the router could not read them",
    };
    let words = format!("{} not decided: {who}", case_table::grouped(summary.undecided));
    let label = ui.label(RichText::new(words).small().color(theme::palette(ui).warning));
    label.on_hover_ui(|ui| {
        ui.label("Left out of every figure; measure again to ask for them");
        if let Some(reason) = summary.undecided_kinds.first() {
            ui.label(&reason.error);
        }
    });
}

/// Paints the agreement and its interval on a scale from nothing to all.
fn interval_ui(ui: &mut Ui, agreement: f64, [low, high]: [f64; 2]) {
    let palette = theme::palette(ui);
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 10.0), Sense::hover());
    let track = egui::Rect::from_center_size(rect.center(), vec2(rect.width(), 4.0));
    let x = |share: f64| track.left() + track.width() * share as f32;
    let painter = ui.painter();
    painter.rect_filled(track, 2.0, palette.bar_track);
    painter.rect_filled(
        egui::Rect::from_min_max(pos2(x(low), track.top()), pos2(x(high).max(x(low) + 2.0), track.bottom())),
        2.0,
        palette.bar,
    );
    painter.circle_filled(pos2(x(agreement), track.center().y), 4.5, palette.accent);
}

/// One row a route: how many cases it has and how well it is recognised.
fn routes_ui(ui: &mut Ui, routes: &[RouteFigures], query: &CaseQuery, commands: &mut Vec<Command>) {
    use egui_extras::{Column, TableBuilder};
    let palette = theme::palette(ui);
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    let figure = || Column::exact(58.0);
    let table = TableBuilder::new(ui).id_salt("routes").auto_shrink(false).sense(Sense::CLICK);
    let table = table.cell_layout(egui::Layout::left_to_right(egui::Align::Center));
    let table =
        table.column(Column::remainder().clip(true).at_least(80.0)).column(figure()).column(figure()).column(figure()).column(figure());
    let right = |ui: &mut Ui, words: String, colour: egui::Color32| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| ui.label(RichText::new(words).small().color(colour)));
    };
    let table = table.header(ROW_HEIGHT, |mut row| {
        row.col(|ui| drop(widgets::caption_ui(ui, "Route")));
        for (name, explanation) in [
            ("Cases", "Cases with this label"),
            ("Precision", "Share of the decisions for this route that are right"),
            ("Recall", "Share of the cases with this label that were decided so"),
            ("F1", "Harmonic mean of precision and recall"),
        ] {
            row.col(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    widgets::caption_ui(ui, name).on_hover_text(explanation)
                });
            });
        }
    });
    table.body(|body| {
        body.rows(ROW_HEIGHT, routes.len(), |mut row| {
            let Some(figures) = routes.get(row.index()) else { return };
            let RouteFigures { route, support, precision, recall, f1 } = figures;
            let on = query.label.as_ref() == Some(route);
            row.set_selected(on);
            let mut clicked = false;
            row.col(|ui| {
                let name = format!("{}: {support} cases, precision {precision:.2}, recall {recall:.2}, F1 {f1:.2}", title(route));
                let button = egui::Button::new(RichText::new(title(route)).small().color(palette.text)).frame(false).truncate();
                clicked = ui.add(button).accessible_name(name).clicked();
            });
            let colour = if *support == 0 { palette.text_weak } else { palette.text };
            row.col(|ui| right(ui, case_table::grouped(*support), colour));
            for value in [precision, recall, f1] {
                let colour = if *support > 0 && *value < 0.5 { palette.warning } else { colour };
                row.col(|ui| right(ui, format!("{value:.2}"), colour));
            }
            if clicked || row.response().clicked() {
                let label = (!on).then(|| route.clone());
                commands.push(Command::Batch(BatchCommand::Query(CaseQuery { label, ..CaseQuery::default() })));
            }
        });
    });
}

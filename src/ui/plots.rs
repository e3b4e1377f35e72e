//! Reliability, confidence and review threshold as plots, each with its figures in words below it.

use egui::{Ui, Vec2b};
use egui_plot::{Bar, BarChart, GridInput, GridMark, HoverPosition, Line, LineStyle, MarkerShape, Plot, PlotPoints, Points};

use super::{bars, theme, widgets};
use crate::app::{BatchCommand, CaseQuery, Command};
use crate::eval::{Calibration, ConfidenceBin, ReliabilityBin, ReviewPoint};

const HEIGHT: f32 = 172.0;

/// Draws how the share of right decisions grows with the confidence; a click shows the cases of a bin. `ece` is the calibration's own.
pub fn reliability_ui(ui: &mut Ui, calibration: &Calibration, ece: f64, commands: &mut Vec<Command>) {
    widgets::subheading_ui(ui, "Reliability");
    let palette = theme::palette(ui);
    let bins = &calibration.bins;
    let width = 1.0 / bins.len().max(1) as f64;
    let filled = || bins.iter().enumerate().filter(|(_, bin)| bin.cases > 0);
    let bar = |(at, bin): (usize, &ReliabilityBin)| Bar::new((at as f64 + 0.5) * width, bin.agreement).width(width * 0.92);
    let chart = BarChart::new("Right", filled().map(bar).collect()).color(palette.bar).allow_hover(false);
    let points: Vec<[f64; 2]> = filled().map(|(_, bin)| [bin.confidence, bin.agreement]).collect();
    let ideal = Line::new("", PlotPoints::from(vec![[0.0, 0.0], [1.0, 1.0]])).color(palette.text_weak).style(LineStyle::dashed_loose());
    let marks = Points::new("Right", points).shape(MarkerShape::Circle).radius(4.0).color(palette.accent);
    let plot = share_plot(ui, "reliability", "Confidence", "Right").label_formatter(|at| match at {
        HoverPosition::NearDataPoint { plot_name: "Right", position, .. } => {
            Some(format!("Confidence {}\nright {}", bars::percent(position.x), bars::percent(position.y)))
        }
        _ => None,
    });
    let shown = plot.show(ui, |plot| {
        plot.bar_chart(chart);
        plot.line(ideal.allow_hover(false));
        plot.points(marks);
    });
    let words = format!(
        "Calibration error {}: how far confidence and the share of right decisions are apart. On the dashed line the router is as sure as it is right.",
        bars::percent(ece)
    );
    widgets::caption_ui(ui, words);
    name(&shown.response, "Reliability plot; the list below has its figures");
    if let Some(at) = shown.response.interact_pointer_pos().filter(|_| shown.response.clicked()) {
        let bin = (shown.transform.value_from_position(at).x / width).floor().clamp(0.0, bins.len().saturating_sub(1) as f64);
        commands.push(cases_between(bin * width, (bin + 1.0) * width));
    }
}

/// Draws how many decisions of each confidence are right and wrong, and the same in words; a click shows the cases.
pub fn confidence_ui(ui: &mut Ui, bins: &[ConfidenceBin], commands: &mut Vec<Command>) {
    widgets::subheading_ui(ui, "Confidence of right and wrong decisions");
    let palette = theme::palette(ui);
    let width = 1.0 / bins.len().max(1) as f64;
    let series = |count: fn(&ConfidenceBin) -> usize, colour: egui::Color32| -> Vec<Bar> {
        let bar = |bin: &ConfidenceBin| {
            Bar::new(bin.from + width / 2.0, count(bin) as f64).width(width * 0.88).fill(colour).stroke((0.0, colour))
        };
        bins.iter().map(bar).collect()
    };
    let right = BarChart::new("Right", series(|bin| bin.right, palette.accent)).allow_hover(false);
    let wrong = BarChart::new("Wrong", series(|bin| bin.wrong, palette.warning)).allow_hover(false).stack_on(&[&right]);
    let most = bins.iter().map(|bin| bin.right + bin.wrong).max().unwrap_or(1).max(1) as f64;
    let step = (most / 4.0).ceil();
    let quarters = move |_: GridInput| (0..=4).map(|at| GridMark { value: f64::from(at) * step, step_size: step }).collect();
    let plot = base_plot("confidence").y_grid_spacer(quarters).include_x(0.0).include_x(1.0).include_y(0.0).include_y(most * 1.05);
    let plot =
        plot.x_axis_label(axis(ui, "Confidence")).y_axis_label(axis(ui, "Cases")).x_axis_formatter(percent_mark).x_grid_spacer(fifths);
    let shown = plot.show(ui, |plot| {
        plot.bar_chart(right);
        plot.bar_chart(wrong);
    });
    name(&shown.response, "Histogram of confidence; the list below has its figures");
    ui.horizontal_wrapped(|ui| {
        key_ui(ui, "Right", palette.accent);
        key_ui(ui, "Wrong", palette.warning);
    });
    for bin in bins.iter().filter(|bin| bin.right + bin.wrong > 0) {
        let (from, to) = (bin.from, bin.from + width);
        let words = format!("{:.0} to {:.0} %: {} right, {} wrong", 100.0 * from, 100.0 * to, bin.right, bin.wrong);
        let button = egui::Button::new(egui::RichText::new(words).small()).frame_when_inactive(false);
        if ui.add(button).on_hover_text("Show these cases").clicked() {
            commands.push(cases_between(from, to));
        }
    }
}

/// Draws what a review threshold would do: decisions less sure than it go to a person.
pub fn review_ui(ui: &mut Ui, review: &[ReviewPoint]) {
    widgets::subheading_ui(ui, "Review threshold");
    let palette = theme::palette(ui);
    let taken = || review.iter().filter_map(|point| Some((point, point.accuracy?)));
    let line: Vec<[f64; 2]> = taken().map(|(point, accuracy)| [point.coverage, accuracy]).collect();
    let thresholds: Vec<f64> = taken().map(|(point, _)| point.threshold).collect();
    let line = Line::new("Threshold", PlotPoints::from(line)).color(palette.accent).width(2.0);
    let plot = share_plot(ui, "review", "Decided without review", "Right of these").label_formatter(move |at| match at {
        HoverPosition::NearDataPoint { position, index, .. } => {
            let threshold = thresholds.get(*index).copied().unwrap_or_default();
            Some(format!(
                "Threshold {}\ndecided {}\nright {}",
                bars::percent(threshold),
                bars::percent(position.x),
                bars::percent(position.y)
            ))
        }
        HoverPosition::Elsewhere { .. } => None,
    });
    let shown = plot.show(ui, |plot| plot.line(line));
    name(&shown.response, "Plot of coverage and agreement; the lines below have its figures");
    for wanted in [0.5, 0.7, 0.9] {
        if let Some((point, accuracy)) = taken().find(|(point, _)| point.threshold >= wanted - 1e-9) {
            let (covered, right) = (bars::percent(point.coverage), bars::percent(accuracy));
            widgets::caption_ui(
                ui,
                format!("At {:.0} % confidence or more: {covered} of the cases, {right} of these right", 100.0 * point.threshold),
            );
        }
    }
}

fn base_plot(id: &'static str) -> Plot<'static> {
    Plot::new(id)
        .height(HEIGHT)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .show_grid(Vec2b::new(false, true))
        .show_crosshair(false)
        .set_margin_fraction(egui::vec2(0.04, 0.05))
        .label_formatter(|_| None)
}

fn share_plot(ui: &Ui, id: &'static str, x: &str, y: &str) -> Plot<'static> {
    let plot = base_plot(id).include_x(0.0).include_x(1.0).include_y(0.0).include_y(1.0).x_grid_spacer(fifths).y_grid_spacer(fifths);
    plot.x_axis_formatter(percent_mark).y_axis_formatter(percent_mark).x_axis_label(axis(ui, x)).y_axis_label(axis(ui, y))
}

fn axis(ui: &Ui, label: &str) -> egui::RichText {
    egui::RichText::new(label).small().color(theme::palette(ui).text_weak)
}

fn percent_mark(mark: GridMark, _range: &std::ops::RangeInclusive<f64>) -> String {
    format!("{:.0} %", 100.0 * mark.value)
}

fn fifths(_input: GridInput) -> Vec<GridMark> {
    (0..=5).map(|at| GridMark { value: f64::from(at) / 5.0, step_size: 0.2 }).collect()
}

fn key_ui(ui: &mut Ui, label: &str, colour: egui::Color32) {
    let (rect, _) = ui.allocate_exact_size(egui::vec2(10.0, 10.0), egui::Sense::hover());
    ui.painter().rect_filled(rect, 2.0, colour);
    widgets::caption_ui(ui, label);
}

fn name(response: &egui::Response, name: &str) {
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, name));
}

fn cases_between(from: f64, to: f64) -> Command {
    Command::Batch(BatchCommand::Query(CaseQuery { confidence: [from as f32, to as f32], ..CaseQuery::default() }))
}

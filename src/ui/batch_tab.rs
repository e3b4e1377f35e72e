//! The Batch tab: what to measure along the top, the figures at the left, the cases beside them and the selected case below.

use egui::{Button, CentralPanel, ComboBox, DragValue, Panel, RichText, Ui};

use super::tokens::{self, space, text};
use super::{actions, case_table, case_view, figures_panel, overlap_view, set_view, theme, widgets};
use crate::app::{Action, Batch, BatchCommand, BatchPart, Command, Measuring, OpenSet, RunView, SampleSet, State};
use crate::policy::DialectId;

const PARTS: [(BatchPart, &str, &str); 3] = [
    (BatchPart::Cases, "Cases", "Every case with its label and its decision"),
    (BatchPart::Overlap, "Overlap", "Pairs of routes that the router confuses"),
    (BatchPart::Problems, "Set", "Lines of the set that have no label yet, and what is wrong with others"),
];

/// Room for the button beside the run's name.
const REPORT_WIDTH: f32 = 96.0;

/// Room for all choices of a measurement in one row.
const CHOICES_WIDTH: f32 = 1010.0;
/// Of the set's name, which ends in an ellipsis where it is longer.
const SET_WIDTH: f32 = 190.0;

/// Draws the tab.
pub fn batch_tab_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    Panel::top("measure").frame(theme::bar_frame(palette.surface)).show(ui, |ui| setup_ui(ui, state, commands));
    let Some(view) = &state.batch.view else {
        CentralPanel::default().frame(theme::column_frame(palette.canvas)).show(ui, |ui| empty_ui(ui, state, commands));
        return;
    };
    let figures = Panel::left("figures").frame(theme::column_frame(palette.surface)).resizable(true);
    figures.default_size((width * 0.36).clamp(340.0, 620.0)).min_size(280.0).show(ui, |ui| {
        run_ui(ui, state, view, commands);
        figures_panel::figures_ui(ui, &state.batch, view, commands);
    });
    if state.batch.selected_turn().is_some() && state.batch.part == BatchPart::Cases {
        let case = Panel::bottom("case").frame(theme::column_frame(palette.surface)).resizable(true);
        let height = ui.available_height();
        case.default_size(height * 0.44).min_size(160.0).show(ui, |ui| case_view::case_ui(ui, state, view, commands));
    }
    CentralPanel::default().frame(theme::column_frame(palette.canvas)).show(ui, |ui| {
        widgets::header_ui(
            ui,
            |ui| {
                if let Some(part) = widgets::switch_ui(ui, state.batch.part, &PARTS) {
                    commands.push(Command::Batch(BatchCommand::ShowPart(part)));
                }
            },
            |ui| {
                if state.batch.part == BatchPart::Cases {
                    case_table::count_ui(ui, &state.batch, view);
                }
            },
        );
        ui.add_space(space::XS);
        match state.batch.part {
            BatchPart::Cases => case_table::cases_ui(ui, state, view, commands),
            BatchPart::Overlap => overlap_view::overlap_ui(ui, state, view, commands),
            BatchPart::Problems => set_view::set_ui(ui, state, commands),
        }
    });
}

/// The choices of a measurement, and the button that starts it.
fn setup_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let batch = &state.batch;
    let mut pressed = Vec::new();
    widgets::header_ui(
        ui,
        |ui| choices_ui(ui, state, commands),
        |ui| {
            if batch.measuring.is_some() {
                let stop = widgets::button_ui(ui, "Stop").accessible_name("Stop measuring");
                if stop.on_hover_text("What is decided so far stays").clicked() {
                    pressed.push(Command::Batch(BatchCommand::Stop));
                }
            } else if batch.view.is_some() {
                // Without a run the button stands in the middle of the tab.
                actions::primary_button_ui(ui, state, Action::Measure, &mut pressed);
            }
        },
    );
    commands.append(&mut pressed);
    if let Some(opening) = &batch.opening {
        ui.horizontal(|ui| {
            let name = format!("Reading {}", file_name(&opening.path));
            widgets::progress_ui(ui, Some(opening.fraction()), 220.0, &name);
            widgets::caption_ui(ui, name);
            if widgets::quiet_button_ui(ui, "Cancel", "Cancel reading the set").clicked() {
                commands.push(Command::Batch(BatchCommand::CancelOpening));
            }
        });
    }
    if let Some(measuring) = &batch.measuring {
        progress_ui(ui, measuring);
    }
}

/// In one row, or in two where the window is too narrow for that.
fn choices_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if ui.available_width() < CHOICES_WIDTH {
        ui.vertical(|ui| {
            ui.horizontal(|ui| texts_ui(ui, state, commands));
            ui.horizontal(|ui| ways_ui(ui, state, commands));
        });
    } else {
        texts_ui(ui, state, commands);
        ui.add_space(space::S);
        ways_ui(ui, state, commands);
    }
}

/// What is measured.
fn texts_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::policy_choice_ui(ui, state, "Policy to measure", 170.0, commands);
    ui.add_space(space::S);
    set_choice_ui(ui, state, commands);
}

/// How it is measured.
fn ways_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    dialect_ui(ui, state, commands);
    ui.add_space(space::S);
    limit_ui(ui, &state.batch, commands);
    ui.add_space(space::S);
    gate_ui(ui, &state.batch, commands);
    ui.add_space(space::S);
    orders_ui(ui, &state.batch, commands);
}

fn set_choice_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let batch = &state.batch;
    let caption = widgets::caption_ui(ui, "Set");
    let shown = match (&batch.opening, &batch.set) {
        (Some(opening), _) => format!("Reading {}", file_name(&opening.path)),
        (None, Some(open)) => format!("{} ({})", file_name(open.set.path()), case_table::grouped(open.set.labelled())),
        (None, None) => "None yet".to_owned(),
    };
    let combo = ComboBox::from_id_salt("set to measure").selected_text(shown).width(SET_WIDTH).truncate();
    let response = widgets::within_ui(ui, SET_WIDTH, |ui| {
        combo.show_ui(ui, |ui| {
            if ui.button(Action::OpenSet.text()).clicked() {
                commands.push(Command::Perform(Action::OpenSet));
                ui.close();
            }
            if batch.sample.is_some() && ui.button("The policy's own sample").clicked() {
                commands.push(Command::Batch(BatchCommand::OpenSample));
                ui.close();
            }
            for path in &state.settings.recent_sets {
                let on = batch.set.as_ref().is_some_and(|open| open.set.path() == path);
                if ui.selectable_label(on, file_name(path)).on_hover_text(path.display().to_string()).clicked() {
                    commands.push(Command::Batch(BatchCommand::OpenSet(path.clone())));
                }
            }
        })
    });
    response.response.labelled_by(caption.id).accessible_name("Set to measure on");
}

fn dialect_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let caption = widgets::caption_ui(ui, "Dialect");
    let own = state.dialect();
    let present = state.batch.dialect;
    let combo = ComboBox::from_id_salt("dialect to measure").selected_text(present.unwrap_or(own).as_str()).width(128.0);
    let response = combo.show_ui(ui, |ui| {
        ui.set_min_width(320.0);
        if ui.selectable_label(present.is_none(), format!("The policy's own, {own}")).clicked() {
            commands.push(Command::Batch(BatchCommand::SetDialect(None)));
        }
        for dialect in DialectId::ALL {
            if ui.selectable_label(present == Some(dialect), dialect.as_str()).on_hover_text(dialect.explanation()).clicked() {
                commands.push(Command::Batch(BatchCommand::SetDialect(Some(dialect))));
            }
        }
    });
    response.response.labelled_by(caption.id).accessible_name("Dialect to measure in");
}

fn limit_ui(ui: &mut Ui, batch: &Batch, commands: &mut Vec<Command>) {
    let caption = widgets::caption_ui(ui, "Limit");
    let mut limit = batch.limit.unwrap_or(0);
    let format = |value: f64, _: std::ops::RangeInclusive<usize>| if value < 1.0 { "none".to_owned() } else { format!("{value:.0}") };
    let parse = |text: &str| if text.trim() == "none" { Some(0.0) } else { text.trim().parse().ok() };
    let drag = DragValue::new(&mut limit).range(0..=100_000_000).speed(1.0).custom_formatter(format).custom_parser(parse);
    let response = ui.add(drag).labelled_by(caption.id).accessible_name("Limit of conversations");
    widgets::keep_undo(ui, &response);
    if response.on_hover_text("Measures the first conversations of the set only; 0 for all").changed() {
        commands.push(Command::Batch(BatchCommand::SetLimit((limit > 0).then_some(limit))));
    }
}

fn gate_ui(ui: &mut Ui, batch: &Batch, commands: &mut Vec<Command>) {
    let caption = widgets::caption_ui(ui, "Gate");
    let mut percent = batch.gate.map_or(0.0, |gate| 100.0 * gate);
    let format = |value: f64, _: std::ops::RangeInclusive<usize>| if value <= 0.0 { "none".to_owned() } else { format!("{value:.0} %") };
    let parse = |text: &str| match text.trim().trim_end_matches('%').trim() {
        "none" => Some(0.0),
        text => text.parse().ok(),
    };
    let drag = DragValue::new(&mut percent).range(0.0..=100.0).speed(0.5).custom_formatter(format).custom_parser(parse);
    let response = ui.add(drag).labelled_by(caption.id).accessible_name("Minimum agreement");
    widgets::keep_undo(ui, &response);
    let hint = "The agreement that a run must reach: its report, its JUnit file and the export say whether it did. 0 for none";
    if response.on_hover_text(hint).changed() {
        let gate = (percent.round() / 100.0).clamp(0.0, 1.0);
        commands.push(Command::Batch(BatchCommand::SetGate((gate > 0.0).then_some(gate))));
    }
}

fn orders_ui(ui: &mut Ui, batch: &Batch, commands: &mut Vec<Command>) {
    let caption = widgets::caption_ui(ui, "Orders");
    let mut orders = batch.orders;
    let drag = DragValue::new(&mut orders).range(0..=50).speed(0.1);
    let response = ui.add(drag).labelled_by(caption.id).accessible_name("Other orders of the routes");
    widgets::keep_undo(ui, &response);
    let hint =
        "Repeats each decision under this many other orders of the routes: gateways feed them in an order nobody controls. 0 tests none";
    if response.on_hover_text(hint).changed() {
        commands.push(Command::Batch(BatchCommand::SetOrders(orders)));
    }
}

fn progress_ui(ui: &mut Ui, measuring: &Measuring) {
    let Measuring { job, name, progress, waiting, .. } = measuring;
    ui.horizontal(|ui| {
        widgets::progress_ui(ui, Some(measuring.fraction()), 220.0, &format!("Measuring {name}"));
        let mut words = format!("{name}: {} of {}", case_table::grouped(measuring.done()), case_table::grouped(progress.planned));
        if job.is_none() {
            words = format!("{name}: preparing");
        }
        if progress.rate > 0.0 {
            words += &format!(", {:.1} a second", progress.rate);
        }
        if let Some(left) = progress.left {
            words += &format!(", {} left", duration(left));
        }
        if progress.undecided > 0 {
            words += &format!(", {} not decided", case_table::grouped(progress.undecided));
        }
        if progress.reused > 0 {
            words += &format!(", {} kept from before", case_table::grouped(progress.reused));
        }
        if *waiting > 0 {
            words += &format!(", then {waiting} more");
        }
        widgets::caption_ui(ui, words);
    });
}

/// Writes how long something takes, in the unit that people would use.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{:.0} s", seconds.max(1.0)),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// Which run is shown, and the others to choose from.
fn run_ui(ui: &mut Ui, state: &State, view: &RunView, commands: &mut Vec<Command>) {
    let info = &view.run.info;
    ui.horizontal(|ui| {
        let shown = if state.batch.shown.is_none() { format!("{}, being measured", info.name) } else { info.name.clone() };
        let combo = ComboBox::from_id_salt("run on screen")
            .selected_text(RichText::new(shown).font(tokens::strong_font(text::BODY)))
            .width(ui.available_width() - REPORT_WIDTH);
        let response = combo.truncate().show_ui(ui, |ui| {
            for kept in state.library.runs.iter().rev() {
                let line = format!("{}, {}, {}", kept.name, kept.date(), super::bars::percent(kept.agreement));
                if ui.selectable_label(state.batch.shown.as_ref() == Some(&kept.id), line).clicked() {
                    commands.push(Command::Batch(BatchCommand::ShowRun(kept.id.clone())));
                }
            }
        });
        response.response.accessible_name("Run on screen");
        actions::short_button_ui(ui, state, Action::SaveReport, "Report…", commands);
    });
    let line = format!("{}{}, {}", info.router.id, info.router.place(), info.router.dialect_words(info.dialect));
    widgets::short_caption_ui(ui, line);
}

/// What to do first.
fn empty_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    if state.batch.labelling.is_some() {
        // Whoever labels needs the room.
        return set_view::set_ui(ui, state, commands);
    }
    let is_odd = |open: &OpenSet| !open.findings.is_empty() || !open.set.bad().is_empty() || !open.set.unlabelled().is_empty();
    let has_problems = state.batch.set.as_ref().is_some_and(|open| is_odd(open));
    ui.add_space(if has_problems { space::XL } else { ui.available_height() * 0.16 });
    ui.vertical_centered(|ui| {
        ui.label(RichText::new("Measure agreement").font(tokens::strong_font(text::DISPLAY)));
        ui.add_space(space::XS);
        let weak = |words: &str| RichText::new(words).color(theme::palette(ui).text_weak);
        if state.batch.measuring.is_some() {
            ui.label(weak("The first results appear in a moment"));
            return;
        }
        match &state.batch.set {
            None => {
                ui.label(weak("A labelled set is conversations with the route that a person would choose, one per line:"));
                ui.label(RichText::new("{\"messages\": [...], \"route\": \"bug_fixing\"}").monospace());
                ui.add_space(space::M);
                ui.horizontal(|ui| {
                    // One button or two in the middle: egui centres one widget at a time.
                    let half = match &state.batch.sample {
                        None => 77.0,
                        Some(SampleSet::BuiltIn(_)) => 154.0,
                        Some(_) => 186.0,
                    };
                    ui.add_space((ui.available_width() / 2.0 - half).max(0.0));
                    actions::primary_button_ui(ui, state, Action::OpenSet, commands);
                    if let Some(sample) = &state.batch.sample {
                        let name =
                            if matches!(sample, SampleSet::BuiltIn(_)) { "Try the sample set" } else { "Use the set beside this policy" };
                        let button = ui.add(Button::new(name).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT)));
                        if button.clicked() {
                            commands.push(Command::Batch(BatchCommand::OpenSample));
                        }
                    }
                });
            }
            Some(open) => {
                let set = &open.set;
                let cases = case_table::counted(set.labelled(), "labelled conversation");
                let (verb, turns) = (if set.labelled() == 1 { "is" } else { "are" }, set.turns(state.batch.limit));
                ui.label(weak(&format!("{cases} {verb} ready, {} to make", case_table::counted(turns, "decision"))));
                ui.add_space(space::M);
                actions::primary_button_ui(ui, state, Action::Measure, commands);
                if let Some(obstacle) = Action::Measure.obstacle(state) {
                    widgets::caption_ui(ui, obstacle);
                }
            }
        }
        if !state.library.runs.is_empty() {
            ui.add_space(space::L);
            widgets::caption_ui(ui, "Or look at a run that was kept:");
            for kept in state.library.runs.iter().rev().take(5) {
                if ui.button(format!("{}, {}", kept.name, kept.date())).clicked() {
                    commands.push(Command::Batch(BatchCommand::ShowRun(kept.id.clone())));
                }
            }
        }
    });
    if has_problems {
        ui.add_space(space::L);
        ui.separator();
        set_view::set_ui(ui, state, commands);
    }
}

/// Returns the name of a file without its folders.
pub fn file_name(path: &std::path::Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

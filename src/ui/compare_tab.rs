//! The Compare tab: kept runs at the left, one of them the baseline; the verdict and what differs beside them.

use egui::{CentralPanel, Label, Panel, RichText, ScrollArea, TextEdit, Ui};

use super::batch_tab::file_name;
use super::tokens::{self, space, text};
use super::{actions, bars, case_table, compare_cases, compare_policies, theme, widgets};
use crate::app::{Action, Command, CompareCommand, ComparePart, ComparisonView, KeptRun, State};
use crate::eval::{Better, McNemar, Side};

const PARTS: [(ComparePart, &str, &str); 4] = [
    (ComparePart::Flips, "Flips", "Cases that were fixed, broken or changed"),
    (ComparePart::Cases, "Cases", "Every case under every run"),
    (ComparePart::Routes, "Routes", "How well each route is recognised, before and after"),
    (ComparePart::Policies, "Policies", "The words that differ, and the flips that they cause"),
];

/// Height of a run's card, so that only those in view are laid out.
const RUN_HEIGHT: f32 = 112.0;

/// Draws the tab.
pub fn compare_tab_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let runs = Panel::left("runs").frame(theme::column_frame(palette.surface)).resizable(true);
    runs.default_size((width * 0.27).clamp(280.0, 400.0)).min_size(240.0).show(ui, |ui| runs_ui(ui, state, commands));
    CentralPanel::default().frame(theme::column_frame(palette.canvas)).show(ui, |ui| match &state.compare.view {
        Some(view) => {
            verdict_ui(ui, state, view, commands);
            ui.add_space(space::S);
            if let Some(part) = widgets::switch_ui(ui, state.compare.part, &PARTS) {
                commands.push(Command::Compare(CompareCommand::ShowPart(part)));
            }
            ui.add_space(space::XS);
            match state.compare.part {
                ComparePart::Flips => compare_cases::flips_ui(ui, state, view, commands),
                ComparePart::Cases => compare_cases::matrix_ui(ui, state, view, commands),
                ComparePart::Routes => compare_policies::routes_ui(ui, view),
                ComparePart::Policies => compare_policies::policies_ui(ui, state, view, commands),
            }
        }
        None => empty_ui(ui, state, commands),
    });
}

/// What to do first.
fn empty_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.add_space(ui.available_height() * 0.16);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new("Compare variants").font(tokens::strong_font(text::DISPLAY)));
        ui.add_space(space::XS);
        let weak = |words: &str| RichText::new(words).color(theme::palette(ui).text_weak);
        if state.compare.computing {
            ui.label(weak("Comparing the runs"));
            return;
        }
        let advice = match state.library.runs.len() {
            0 if state.batch.set.is_none() => "Open a labelled set, make a variant of the policy, and measure both on it",
            0 => "Make a variant of the policy and measure both on the open set",
            1 => "One run is kept; change the policy or the router and measure again, or measure a variant",
            _ => "Tick the runs on the left to compare with the baseline",
        };
        ui.label(weak(advice));
        ui.add_space(space::M);
        if state.library.runs.len() > 1 {
            return;
        }
        let action = if state.batch.set.is_none() && state.library.runs.is_empty() {
            Action::OpenSet
        } else if state.policies.len() < 2 {
            Action::NewVariant
        } else {
            Action::MeasureVariants
        };
        actions::primary_button_ui(ui, state, action, commands);
        if let Some(obstacle) = action.obstacle(state) {
            widgets::caption_ui(ui, obstacle);
        }
    });
}

fn runs_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Runs"),
        |ui| actions::short_button_ui(ui, state, Action::MeasureVariants, "Measure variants", commands),
    );
    if let Some(measuring) = &state.batch.measuring {
        widgets::progress_ui(ui, Some(measuring.fraction()), ui.available_width(), &format!("Measuring {}", measuring.name));
        widgets::short_caption_ui(ui, format!("Measuring {}: {} of {}", measuring.name, measuring.done(), measuring.progress.planned));
    }
    if state.library.runs.is_empty() {
        return widgets::empty_ui(ui, "No runs yet", "Each measurement is kept here");
    }
    let runs = &state.library.runs;
    ui.spacing_mut().item_spacing.y = space::S;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, RUN_HEIGHT, runs.len(), |ui, visible| {
        // The newest first.
        for kept in visible.filter_map(|row| runs.get(runs.len() - 1 - row)) {
            let size = egui::vec2(ui.available_width(), RUN_HEIGHT);
            widgets::item_ui(ui, &kept.id.0, |ui| drop(ui.allocate_ui(size, |ui| run_ui(ui, state, kept, commands))));
        }
    });
}

/// One kept run: its name, which can be changed, what was measured, and what it is to the comparison.
fn run_ui(ui: &mut Ui, state: &State, kept: &KeptRun, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let is_baseline = state.library.baseline.as_ref() == Some(&kept.id);
    let included = state.compare.included.contains(&kept.id);
    let edge = if is_baseline { palette.accent } else { palette.border };
    let ground = if is_baseline || included { palette.surface } else { palette.canvas };
    theme::card_frame(ground, edge).inner_margin(egui::Margin::symmetric(space::M as i8, space::S as i8)).show(ui, |ui| {
        ui.set_min_size(ui.available_size());
        ui.spacing_mut().item_spacing.y = 2.0;
        let mut renamed = None;
        widgets::header_ui(
            ui,
            |ui| {
                let mut name = kept.name.clone();
                let font = egui::FontSelection::FontId(tokens::strong_font(text::BODY));
                let field = TextEdit::singleline(&mut name).font(font).frame(egui::Frame::NONE).desired_width(ui.available_width());
                let field = field.min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT)).align(egui::Align2::LEFT_CENTER);
                let response = ui.add(field).accessible_name(format!("Name of run {}", kept.name));
                widgets::keep_undo(ui, &response);
                if response.changed() {
                    renamed = Some(Command::Compare(CompareCommand::Rename(kept.id.clone(), name)));
                }
            },
            |ui| {
                ui.label(RichText::new(bars::percent(kept.agreement)).font(tokens::strong_font(text::BODY)));
            },
        );
        commands.extend(renamed);
        let partial = if kept.partial { ", partial" } else { "" };
        widgets::short_caption_ui(ui, format!("{} cases of {}{partial}", case_table::grouped(kept.cases), file_name(kept.set.as_ref())));
        widgets::short_caption_ui(ui, format!("{}, {}, {}", kept.router, kept.dialect, kept.date()));
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::S;
            if is_baseline {
                widgets::chip_ui(ui, "Baseline", palette.accent, palette.accent_soft);
                let mut keep = state.settings.baseline_pinned;
                let check =
                    ui.checkbox(&mut keep, RichText::new("Keep").small()).accessible_name(format!("Keep {} the baseline", kept.name));
                let hint = "It stays the baseline when open variants are measured; otherwise the first of them takes its place";
                if check.on_hover_text(hint).changed() {
                    commands.push(Command::Compare(CompareCommand::KeepBaseline(keep)));
                }
            } else {
                let mut on = included;
                let name = format!("Compare {} with the baseline", kept.name);
                if ui.checkbox(&mut on, RichText::new("Compare").small()).accessible_name(name).changed() {
                    commands.push(Command::Compare(CompareCommand::Include(kept.id.clone(), on)));
                }
                let pin = widgets::quiet_button_ui(ui, "Make baseline", format!("Make {} the baseline", kept.name));
                if pin.on_hover_text("Compares the other runs with this one, also variants that are measured later").clicked() {
                    commands.push(Command::Compare(CompareCommand::Pin(kept.id.clone())));
                }
            }
            if widgets::quiet_button_ui(ui, "Delete", format!("Delete run {}", kept.name)).clicked() {
                commands.push(Command::Compare(CompareCommand::Delete(kept.id.clone())));
            }
        });
    });
}

/// Says in a sentence which of two runs is better, or that nobody can tell, and by how much.
fn verdict_ui(ui: &mut Ui, state: &State, view: &ComparisonView, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let comparison = &view.comparison;
    let (colour, ground) = match comparison.better {
        Better::A => (palette.warning, palette.warning_soft),
        Better::B => (palette.good, palette.good_soft),
        Better::Unknown => (palette.text, palette.raised),
    };
    theme::card_frame(ground, ground).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        if view.runs.len() > 2 {
            ui.horizontal_wrapped(|ui| {
                widgets::caption_ui(ui, format!("{} against", view.runs[0].name));
                let choices: Vec<(usize, &str, &str)> = view
                    .runs
                    .iter()
                    .enumerate()
                    .skip(1)
                    .map(|(at, run)| (at, run.name.as_str(), "Compare this run with the baseline in detail"))
                    .collect();
                if let Some(at) = widgets::switch_ui(ui, view.focus, &choices) {
                    commands.push(Command::Compare(CompareCommand::Focus(view.runs[at].id.clone())));
                }
            });
        }
        let verdict = RichText::new(verdict(view)).font(tokens::strong_font(text::HEADING + 1.0)).color(colour);
        ui.add(Label::new(verdict).wrap().selectable(true));
        let [before, after] = comparison.agreement;
        let names = format!("{} {}, {} {}", view.runs[0].name, bars::percent(before), view.runs[view.focus].name, bars::percent(after));
        ui.add(Label::new(RichText::new(names).color(palette.text)).wrap());
        let points = bars::points;
        let interval = match comparison.interval() {
            Some([low, high]) => format!(", 95 % interval {} to {} (bootstrap over conversations)", points(low), points(high)),
            None => comparison.without_interval().map_or_else(String::new, |why| format!(", {why}")),
        };
        widgets::caption_ui(ui, format!("Difference {} points{interval}", points(comparison.difference.value)));
        let p = comparison.mcnemar.p_words();
        let test = format!("McNemar exact: {} fixed against {} broken, {p}", comparison.fixed, comparison.broken);
        widgets::caption_ui(ui, test)
            .on_hover_text("How often chance alone would split the cases that only one of the two gets right at least as unevenly");
        let McNemar { b, c, .. } = comparison.by_conversation;
        widgets::caption_ui(ui, format!("By conversation: {c} better, {b} worse, {}", comparison.by_conversation.p_words())).on_hover_text(
            "Exact sign test: turns of one conversation tend to be right or wrong together, so they are not independent evidence",
        );
        let [only_a, only_b] = comparison.unmatched;
        if only_a + only_b > 0 {
            widgets::caption_ui(
                ui,
                format!("{} cases in both; {only_a} only in the baseline, {only_b} only in the other", comparison.cases),
            );
        }
        if comparison.mismatched > 0 {
            widgets::caption_ui(ui, format!("{} of these have an id of the baseline's, but not its conversation", comparison.mismatched))
                .on_hover_text("An id that only counts lines, or that no longer names the same conversation, proves nothing");
        }
        if comparison.relabelled > 0 {
            let whose = match comparison.labels_of {
                Side::A => &view.runs[0].name,
                Side::B => &view.runs[view.focus].name,
            };
            widgets::caption_ui(ui, format!("{} labels differ between the runs; those of {whose} count", comparison.relabelled));
        }
        if state.compare.computing {
            widgets::caption_ui(ui, "Comparing again");
        }
    });
}

/// Returns the verdict as a sentence starts, unless it starts with what a user called a run.
fn verdict(view: &ComparisonView) -> String {
    let verdict = &view.comparison.verdict;
    if view.runs.iter().any(|run| verdict.starts_with(&run.name)) {
        return verdict.clone();
    }
    let mut letters = verdict.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

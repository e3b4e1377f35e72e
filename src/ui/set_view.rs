//! What has no label yet and what is wrong or odd with the open set, by lines; and the dialog that adds a conversation to one.

use egui::{ComboBox, Key, Label, RichText, ScrollArea, Ui};

use super::batch_tab::file_name;
use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::{actions, case_table, case_view, theme, widgets};
use crate::app::{Action, AddToSet, BatchCommand, Command, OpenSet, State};
use crate::chat::labelled::Expected;
use crate::formats::{FindingKind, LabelledSet};
use crate::policy::NO_ROUTE_LABEL;

/// Problems that are drawn at most: a file of another kind has one on each line.
const SHOWN: usize = 200;

/// Lines of one problem that are named.
const NAMED: usize = 6;

/// Draws the list.
pub fn set_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some(open) = &state.batch.set else {
        return widgets::empty_ui(ui, "No set is open", "Choose one above to see what is wrong with its lines");
    };
    let OpenSet { set, findings, .. } = &**open;
    let (cases, turns, bad) = (set.labelled(), set.turns(None), set.bad().len());
    let grouped = case_table::grouped;
    ui.label(format!("{}: {} cases, {} decisions", file_name(set.path()), grouped(cases), grouped(turns)));
    if let Some(last) = state.batch.corrections.last().filter(|last| last.before.is_empty() && last.set == set.path()) {
        ui.horizontal(|ui| {
            widgets::caption_ui(ui, format!("Line {} has the label {} now", last.line, title(&last.after)));
            actions::short_button_ui(ui, state, Action::Undo, "Undo", commands);
        });
    }
    if !set.unlabelled().is_empty() {
        unlabelled_ui(ui, state, set, commands);
    } else if bad == 0 && findings.is_empty() {
        return widgets::empty_ui(ui, "Nothing is wrong", "Every line can be read and every label is a route of the policy");
    }
    if bad > SHOWN || findings.len() > SHOWN || findings.iter().any(|finding| finding.lines.len() > NAMED) {
        widgets::caption_ui(ui, "Measure the set and save the report to have all of them, in its file set_findings.csv");
    }
    ScrollArea::vertical().id_salt("problems").auto_shrink(false).show(ui, |ui| {
        if bad > 0 {
            widgets::subheading_ui(ui, &format!("Left out, {} lines", grouped(bad)));
            for error in set.bad().iter().take(SHOWN) {
                problem_ui(ui, error.line.map_or_else(String::new, |line| format!("Line {line}")), &error.message, &error.remedy, true);
            }
            if bad > SHOWN {
                widgets::caption_ui(ui, format!("and {} more", grouped(bad - SHOWN)));
            }
            ui.add_space(space::M);
        }
        if !findings.is_empty() {
            widgets::subheading_ui(ui, "Measured, but look at these");
            for finding in findings.iter().take(SHOWN) {
                let serious = matches!(
                    finding.kind,
                    FindingKind::UnknownLabel | FindingKind::LabelCase | FindingKind::Contradiction | FindingKind::NothingSent
                );
                problem_ui(ui, lines(&finding.lines), &finding.message, &finding.remedy, serious);
            }
            if findings.len() > SHOWN {
                widgets::caption_ui(ui, format!("and {} more", grouped(findings.len() - SHOWN)));
            }
        }
    });
}

/// Draws the cases without a label, each with the routes to choose from.
fn unlabelled_ui(ui: &mut Ui, state: &State, set: &LabelledSet, commands: &mut Vec<Command>) {
    let unlabelled = set.unlabelled();
    widgets::subheading_ui(ui, &format!("To label, {} lines", case_table::grouped(unlabelled.len())));
    let height = ui.available_height() / 2.0;
    let area = ScrollArea::vertical().id_salt("unlabelled").auto_shrink([false, true]).max_height(height);
    area.show_rows(ui, tokens::CONTROL_HEIGHT, unlabelled.len(), |ui, rows| {
        for &case in unlabelled.get(rows).unwrap_or_default() {
            let Some(entry) = set.cases().get(case) else { continue };
            let said = |ui: &mut Ui| {
                ui.add(Label::new(format!("Line {}: {}", entry.place.line, entry.preview)).truncate());
            };
            widgets::item_ui(ui, case, |ui| {
                widgets::header_ui(ui, said, |ui| {
                    let combo = ComboBox::from_id_salt(("first label", case)).selected_text("Choose…").width(180.0).truncate();
                    let response = combo.show_ui(ui, |ui| {
                        let routes = state.routes().routes.iter().map(|route| route.name.as_str());
                        for label in routes.chain([NO_ROUTE_LABEL]) {
                            if ui.selectable_label(false, title(label)).clicked() {
                                commands.push(Command::Batch(BatchCommand::Label { case, label: label.to_owned() }));
                            }
                        }
                    });
                    response.response.accessible_name(format!("Label of line {}", entry.place.line));
                });
            });
        }
    });
    ui.add_space(space::M);
}

/// Names the first lines and counts the others.
fn lines(lines: &[usize]) -> String {
    let named: Vec<String> = lines.iter().take(NAMED).map(usize::to_string).collect();
    match lines.len() {
        0 => String::new(),
        1 => format!("Line {}", named[0]),
        count if count > NAMED => format!("Lines {} and {} more", named.join(", "), count - NAMED),
        _ => format!("Lines {}", named.join(", ")),
    }
}

fn problem_ui(ui: &mut Ui, place: String, message: &str, remedy: &str, serious: bool) {
    let palette = theme::palette(ui);
    ui.horizontal_wrapped(|ui| {
        if !place.is_empty() {
            let colour = if serious { palette.warning } else { palette.text_weak };
            ui.label(RichText::new(place).font(tokens::strong_font(text::SMALL)).color(colour));
        }
        ui.add(Label::new(message).wrap().selectable(true));
        ui.add(Label::new(RichText::new(remedy).color(palette.text_weak)).wrap());
    });
}

fn expected_ui(ui: &mut Ui, add: &AddToSet, turn: usize, present: &str, name: &str, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let caption = widgets::caption_ui(ui, name);
        let combo = ComboBox::from_id_salt(("expected route", turn)).selected_text(title(present)).width(240.0).truncate();
        let response = combo.show_ui(ui, |ui| {
            for label in &add.labels {
                if ui.selectable_label(label == present, title(label)).clicked() {
                    commands.push(Command::AddLabel { turn, label: label.clone() });
                }
            }
        });
        response.response.labelled_by(caption.id).accessible_name(name);
    });
}

/// Draws the dialog that asks for the label and the set of a conversation.
pub fn add_dialog_ui(ui: &mut Ui, state: &State, add: &AddToSet, commands: &mut Vec<Command>) {
    ui.set_width(520.0);
    ui.label(RichText::new("Add conversation to a labelled set").font(tokens::strong_font(text::HEADING)));
    ui.label(RichText::new("Say which route a person would choose").color(theme::palette(ui).text_weak));
    ui.add_space(space::S);
    let palette = theme::palette(ui);
    theme::card_frame(palette.raised, palette.raised).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ScrollArea::vertical().max_height(150.0).stick_to_bottom(true).show(ui, |ui| case_view::conversation_ui(ui, &add.conversation));
    });
    ui.add_space(space::S);
    if add.conversation.user_turns().count() > 1 {
        let mut each = matches!(add.expected, Expected::PerTurn(_));
        let hint = "Then runs also tell how often whole spans and whole conversations are right";
        if ui.checkbox(&mut each, "A label for each user message").on_hover_text(hint).changed() {
            commands.push(Command::AddPerTurn(each));
        }
    }
    match &add.expected {
        Expected::Last(label) => expected_ui(ui, add, 0, label, "Expected route", commands),
        Expected::PerTurn(labels) => {
            ScrollArea::vertical().id_salt("labels").max_height(150.0).show(ui, |ui| {
                for (turn, label) in labels.iter().enumerate() {
                    expected_ui(ui, add, turn, label, &format!("Expected route of user message {}", turn + 1), commands);
                }
            });
        }
    }
    ui.horizontal(|ui| {
        let caption = widgets::caption_ui(ui, "Set");
        let name = add.set.as_ref().map_or_else(|| "None chosen yet".to_owned(), |path| file_name(path));
        let response = ComboBox::from_id_salt("set to add to").selected_text(name).width(240.0).truncate().show_ui(ui, |ui| {
            for path in &state.settings.recent_sets {
                if ui.selectable_label(add.set.as_ref() == Some(path), file_name(path)).on_hover_text(path.display().to_string()).clicked()
                {
                    commands.push(Command::AddSet(path.clone()));
                }
            }
            if ui.button("Another set…").clicked() {
                commands.push(Command::Perform(Action::OpenSet));
            }
            if ui.button("New set…").clicked() {
                commands.push(Command::AskNewSet);
            }
        });
        response.response.labelled_by(caption.id).accessible_name("Set to add to");
    });
    ui.add_space(space::M);
    widgets::footer_ui(ui, |ui| {
        if widgets::button_ui(ui, "Cancel").clicked() {
            commands.push(Command::CloseDialog);
        }
        let ready = add.set.is_some();
        let button = egui::Button::new("Add to set").min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT));
        let pressed = ui.add_enabled(ready, button).on_disabled_hover_text("Choose a set first").clicked();
        let entered = ready && ui.input(|input| input.key_pressed(Key::Enter)) && ui.memory(|memory| memory.focused().is_none());
        if pressed || entered {
            commands.push(Command::AddToSet);
        }
    });
}

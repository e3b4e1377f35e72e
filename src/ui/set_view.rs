//! What has no label yet and what is wrong or odd with the open set, by lines; and the dialog that adds a conversation to one.

use egui::{Button, ComboBox, Label, RichText, ScrollArea, TextWrapMode, Ui, vec2};

use super::batch_tab::file_name;
use super::case_keys::{self, Pressed};
use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use super::{actions, case_table, case_view, tall_list, theme};
use crate::app::{Action, AddToSet, BatchCommand, Command, Labelling, OpenSet, State};
use crate::formats::{CaseEntry, FindingKind, LabelledSet};
use crate::policy::NO_ROUTE_LABEL;

/// Problems that are drawn at most: a file of another kind has one on each line.
const SHOWN: usize = 200;

/// Height of the list of cases to label, and of what is said in one, in a low window.
const LEAST_LIST: f32 = 90.0;

/// In a lower window than this the case to label takes all of it.
const LOW: f32 = 380.0;

/// Lines of one problem that are named.
const NAMED: usize = 6;

/// Draws the list.
pub fn set_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let Some(open) = &state.batch.set else {
        return widgets::empty_ui(ui, "No set is open", "Choose one above to see what is wrong with its lines");
    };
    let OpenSet { set, findings, .. } = &**open;
    let (cases, turns, bad) = (set.labelled(), set.turns(None), set.bad().len());
    let (grouped, counted) = (case_table::grouped, case_table::counted);
    ui.label(format!("{}: {}, {}", file_name(set.path()), counted(cases, "case"), counted(turns, "decision")));
    // What is left out is there again once the case is closed.
    let is_low = state.batch.labelling.is_some() && ui.available_height() < LOW;
    let last = state.batch.corrections.last().filter(|_| !is_low);
    if let Some(last) = last.filter(|last| last.before.is_empty() && last.set == set.path()) {
        ui.horizontal(|ui| {
            widgets::caption_ui(ui, format!("Line {} has the label {} now", last.line, title(&last.after)));
            actions::short_button_ui(ui, state, Action::Undo, "Undo", commands);
        });
    }
    let is_odd = bad > 0 || !findings.is_empty();
    if !set.unlabelled().is_empty() {
        unlabelled_ui(ui, state, set, is_odd, is_low, commands);
    } else if !is_odd {
        widgets::empty_ui(ui, "Nothing is wrong", "Every line can be read and every label is a route of the policy");
    }
    if !is_odd || is_low {
        return;
    }
    if bad > SHOWN || findings.len() > SHOWN || findings.iter().any(|finding| finding.lines.len() > NAMED) {
        widgets::caption_ui(ui, "Measure the set and save the report to have all of them, in its file set_findings.csv");
    }
    ScrollArea::vertical().id_salt("problems").auto_shrink(false).show(ui, |ui| {
        if bad > 0 {
            widgets::subheading_ui(ui, &format!("Left out, {}", counted(bad, "line")));
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

/// Draws the cases without a label, each with the routes to choose from, and what is said in the selected one. `has_more` where something else
/// is to be drawn below, `is_low` where there is hardly room for the selected one.
fn unlabelled_ui(ui: &mut Ui, state: &State, set: &LabelledSet, has_more: bool, is_low: bool, commands: &mut Vec<Command>) {
    let unlabelled = set.unlabelled();
    let labelling = state.batch.labelling.as_ref();
    let digits = case_keys::with_digits(route_names(state));
    if state.dialog.is_none() {
        keys_ui(ui, labelling, &digits, commands);
    }
    widgets::subheading_ui(ui, &format!("To label, {}", case_table::counted(unlabelled.len(), "line")));
    let height = (ui.available_height() * if labelling.is_some() { 0.3 } else { 0.5 }).max(LEAST_LIST);
    let height = if is_low { tokens::CONTROL_HEIGHT } else { height };
    let selected = labelling.map(|labelling| labelling.case);
    let is_new = tall_list::is_newly_selected(ui, "selected case to label", &selected);
    let reveal = selected.filter(|_| is_new).and_then(|case| unlabelled.binary_search(&case).ok());
    let area = ScrollArea::vertical().id_salt("unlabelled").auto_shrink([false, true]).max_height(height).min_scrolled_height(height);
    area.show_rows(ui, tokens::CONTROL_HEIGHT, unlabelled.len(), |ui, rows| {
        if let Some(row) = reveal {
            tall_list::scroll_to_row(ui, row, rows.start, tokens::CONTROL_HEIGHT);
        }
        for &case in unlabelled.get(rows).unwrap_or_default() {
            let Some(entry) = set.cases().get(case) else { continue };
            let selected = labelling.is_some_and(|labelling| labelling.case == case);
            widgets::item_ui(ui, case, |ui| unlabelled_row_ui(ui, state, case, entry, selected, commands));
        }
    });
    match labelling {
        Some(labelling) if is_low => {
            said_ui(ui, labelling, 0.5);
            ScrollArea::vertical().id_salt("first labels").show(ui, |ui| labels_ui(ui, state, set, labelling, &digits, commands));
        }
        Some(labelling) => {
            labels_ui(ui, state, set, labelling, &digits, commands);
            said_ui(ui, labelling, if has_more { 0.6 } else { 1.0 });
        }
        None => drop(widgets::caption_ui(ui, "Click a line to read it, or press the down arrow key; a digit then gives its label")),
    }
    ui.add_space(space::M);
}

fn unlabelled_row_ui(ui: &mut Ui, state: &State, case: usize, entry: &CaseEntry, selected: bool, commands: &mut Vec<Command>) {
    let (line, mut chosen) = (entry.place.line, None);
    let said = |ui: &mut Ui| {
        let (name, title) = (format!("Case to label on line {line}: {}", entry.preview), format!("Line {line}: {}", entry.preview));
        let row = Row { name: &name, title: &title, detail: "", note: "", selected, height: tokens::CONTROL_HEIGHT, indent: 0.0 };
        if widgets::row_ui(ui, row).clicked() {
            commands.push(Command::Batch(BatchCommand::SelectUnlabelled(Some(case))));
        }
    };
    widgets::header_ui(ui, said, |ui| {
        let combo = ComboBox::from_id_salt(("first label", case)).selected_text("Choose…").width(180.0).truncate();
        let response = combo.show_ui(ui, |ui| {
            for label in route_names(state).chain([NO_ROUTE_LABEL]) {
                if ui.selectable_label(false, title(label)).clicked() {
                    chosen = Some(label.to_owned());
                }
            }
        });
        response.response.accessible_name(format!("Label of line {line}"));
    });
    commands.extend(chosen.map(|label| Command::Batch(BatchCommand::Label { case, label })));
}

/// Goes through the cases with the arrow keys and gives the selected one its label with a digit, while nothing else has the keyboard.
fn keys_ui(ui: &Ui, labelling: Option<&Labelling>, digits: &[&str], commands: &mut Vec<Command>) {
    // Nobody labels what cannot be read yet.
    let readable = labelling.filter(|labelling| is_readable(labelling));
    let digits: &[&str] = if readable.is_some() { digits } else { &[] };
    commands.extend(case_keys::pressed(ui, digits).into_iter().filter_map(|pressed| {
        Some(Command::Batch(match pressed {
            Pressed::Step(step) => BatchCommand::StepUnlabelled(step),
            Pressed::Label(label) => BatchCommand::Label { case: readable?.case, label: label.to_owned() },
            Pressed::Close => BatchCommand::SelectUnlabelled(None),
        }))
    }));
}

fn is_readable(labelling: &Labelling) -> bool {
    matches!(labelling.conversation, Some(Ok(_)))
}

/// Returns the names that are labels: a route may have none yet.
fn route_names(state: &State) -> impl Iterator<Item = &str> {
    state.routes().routes.iter().map(|route| route.name.as_str()).filter(|name| !name.is_empty())
}

/// Draws the labels of the selected case, with their digits.
fn labels_ui(ui: &mut Ui, state: &State, set: &LabelledSet, labelling: &Labelling, digits: &[&str], commands: &mut Vec<Command>) {
    let case = labelling.case;
    let line = set.cases().get(case).map_or(0, |entry| entry.place.line);
    ui.horizontal_wrapped(|ui| {
        widgets::caption_ui(ui, format!("Line {line}, the last user message is"));
        for (digit, label) in digits.iter().enumerate() {
            let button = Button::new(RichText::new(format!("{digit}  {}", title(label))).small()).wrap_mode(TextWrapMode::Extend);
            let response = ui.add(button).accessible_name(format!("Label as {}", title(label)));
            let is_clicked = response.on_hover_text("The digit does the same, and both go on to the next line").clicked();
            // Not disabled until it is read: that would take the keyboard away from it at each case.
            if is_clicked && is_readable(labelling) {
                commands.push(Command::Batch(BatchCommand::Label { case, label: (*label).to_owned() }));
            }
        }
        if route_names(state).nth(digits.len().saturating_sub(1)).is_some() {
            widgets::caption_ui(ui, "or another route from the list of its line");
        }
        if widgets::quiet_button_ui(ui, "Close", "Close the case to label").clicked() {
            commands.push(Command::Batch(BatchCommand::SelectUnlabelled(None)));
        }
    });
}

/// Draws what is said in the selected case, in this share of the height that is left.
fn said_ui(ui: &mut Ui, labelling: &Labelling, share: f32) {
    let size = vec2(ui.available_width(), (ui.available_height() * share).max(LEAST_LIST));
    // Each case scrolls for itself.
    ui.push_id(labelling.case, |ui| ui.allocate_ui(size, |ui| case_view::said_ui(ui, labelling.conversation.as_ref())));
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

fn expected_ui(ui: &mut Ui, add: &AddToSet, turn: usize, present: Option<&str>, name: &str, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let caption = widgets::caption_ui(ui, name);
        let combo =
            ComboBox::from_id_salt(("expected route", turn)).selected_text(present.map_or("Choose…", title)).width(240.0).truncate();
        let response = combo.show_ui(ui, |ui| {
            for label in &add.labels {
                if ui.selectable_label(Some(label.as_str()) == present, title(label)).clicked() {
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
    let mut each = add.per_turn;
    if each || add.conversation.user_turns().count() > 1 {
        let hint = "Runs then also show how often whole spans and whole conversations are right";
        if ui.checkbox(&mut each, "A label for each user message").on_hover_text(hint).changed() {
            commands.push(Command::AddPerTurn(each));
        }
    }
    ScrollArea::vertical().id_salt("labels").max_height(150.0).show(ui, |ui| {
        for (turn, label) in add.expected.iter().enumerate() {
            let name = if add.per_turn { format!("Expected route of user message {}", turn + 1) } else { "Expected route".to_owned() };
            expected_ui(ui, add, turn, label.as_deref(), &name, commands);
        }
    });
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
        let obstacle = add.obstacle();
        let button = Button::new("Add to set").min_size(vec2(0.0, tokens::CONTROL_HEIGHT));
        let pressed = ui.add_enabled(obstacle.is_none(), button).on_disabled_hover_text(obstacle.unwrap_or_default()).clicked();
        if pressed || (obstacle.is_none() && widgets::is_entered(ui)) {
            commands.push(Command::AddToSet);
        }
    });
}

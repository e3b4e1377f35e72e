//! One case of a run: what was said, what the router made of it, and the label, which can be corrected here.

use std::sync::Arc;

use egui::{ComboBox, Label, RichText, ScrollArea, Ui};

use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::{actions, bars, case_keys, case_table, conversation_panel, theme, widgets};
use crate::app::{Action, BatchCommand, Command, OpenCase, RunView, State};
use crate::chat::Conversation;
use crate::eval::TurnResult;
use crate::policy::NO_ROUTE_LABEL;

/// Messages before the one that was decided; the Playground shows all.
const SHOWN: usize = 30;

/// Draws the case that is selected.
pub fn case_ui(ui: &mut Ui, state: &State, view: &RunView, commands: &mut Vec<Command>) {
    let Some((position, turn)) = state.batch.selected.and_then(|at| Some((at, view.run.turns.get(at as usize)?))) else { return };
    let mut chosen = Vec::new();
    widgets::header_ui(
        ui,
        |ui| {
            widgets::heading_ui(ui, &format!("Case {}", case_table::case_name(turn)));
            verdict_ui(ui, turn);
        },
        |ui| {
            actions::short_button_ui(ui, state, Action::NextWrong, "Next wrong", &mut chosen);
            actions::short_button_ui(ui, state, Action::OpenCase, "Playground", &mut chosen);
            if widgets::quiet_button_ui(ui, "Close", "Close the case").clicked() {
                chosen.push(Command::Batch(BatchCommand::Select(None)));
            }
        },
    );
    commands.append(&mut chosen);
    label_ui(ui, state, view, position, turn, commands);
    if !turn.tags.is_empty() {
        widgets::short_caption_ui(ui, format!("Tags: {}", turn.tags.join(", ")));
    }
    ui.add_space(space::XS);
    let case = state.batch.case.as_ref().filter(|case| case.position == position);
    // Each case scrolls for itself.
    ui.push_id(position, |ui| {
        let width = ui.available_width();
        ui.horizontal_top(|ui| {
            let size = egui::vec2((width * 0.56).floor(), ui.available_height());
            ui.allocate_ui(size, |ui| ui.vertical(|ui| said_ui(ui, case.map(|case| &case.conversation))));
            ui.add_space(space::M);
            ui.vertical(|ui| decision_ui(ui, case, turn));
        });
    });
}

fn verdict_ui(ui: &mut Ui, turn: &TurnResult) {
    let palette = theme::palette(ui);
    let (word, colour, ground) = match (turn.agrees(), turn.decided.is_none()) {
        _ if turn.undecided => ("Not decided", palette.text_weak, palette.raised),
        (true, _) => ("Right", palette.good, palette.good_soft),
        (_, true) => ("Error", palette.error, palette.error_soft),
        _ => ("Wrong", palette.warning, palette.warning_soft),
    };
    widgets::chip_ui(ui, word, colour, ground);
}

/// The label as a list to choose from, and the one key that takes the decision for right.
fn label_ui(ui: &mut Ui, state: &State, view: &RunView, position: u32, turn: &TurnResult, commands: &mut Vec<Command>) {
    let labels = case_keys::keyed_labels(view, turn);
    ui.horizontal(|ui| {
        let caption = widgets::caption_ui(ui, "Label");
        let combo = ComboBox::from_id_salt("label of case").selected_text(title(&turn.label)).width(180.0).truncate();
        let response = combo.show_ui(ui, |ui| {
            for label in turn.routes.as_deref().unwrap_or(&view.run.info.labels) {
                let digit = labels.iter().position(|keyed| *keyed == label.as_str()).map_or_else(String::new, |digit| format!("{digit}  "));
                let row = ui.selectable_label(**label == *turn.label, format!("{digit}{}", title(label)));
                if row.accessible_name(title(label)).clicked() && **label != *turn.label {
                    commands.push(Command::Batch(BatchCommand::Relabel { turn: position, label: label.clone() }));
                }
            }
        });
        response.response.labelled_by(caption.id).accessible_name("Label of the case");
        if !turn.agrees() && turn.decided.is_some() {
            actions::action_button_ui(ui, state, Action::AcceptDecision, commands);
        }
        let keys: Vec<String> = labels.iter().enumerate().map(|(digit, label)| format!("{digit}  {}", title(label))).collect();
        let place = format!("or press 1 to {}, 0 for no route; line {} of the set", labels.len() - 1, turn.line);
        widgets::caption_ui(ui, place).on_hover_text(keys.join("\n"));
    });
}

/// Draws what was said in a case, at the end of which is what the router is asked about; `None` while it is read.
pub fn said_ui(ui: &mut Ui, conversation: Option<&Result<Arc<Conversation>, String>>) {
    match conversation {
        None => drop(widgets::caption_ui(ui, "Reading the conversation")),
        Some(Err(sentence)) => drop(ui.colored_label(theme::palette(ui).error, sentence)),
        Some(Ok(conversation)) => {
            ScrollArea::vertical()
                .id_salt("said")
                .auto_shrink(false)
                .stick_to_bottom(true)
                .show(ui, |ui| conversation_ui(ui, conversation));
        }
    }
}

/// Draws messages to be read, not written.
pub fn conversation_ui(ui: &mut Ui, conversation: &Conversation) {
    let palette = theme::palette(ui);
    let messages = &conversation.messages;
    let left_out = messages.len().saturating_sub(SHOWN);
    if left_out > 0 {
        widgets::caption_ui(ui, format!("{left_out} earlier messages are not shown here"));
    }
    for message in &messages[left_out..] {
        ui.label(RichText::new(conversation_panel::title(message.role)).font(tokens::strong_font(text::SMALL)).color(palette.text_weak));
        ui.add(Label::new(message.text().into_owned()).wrap().selectable(true));
        ui.add_space(space::XS);
    }
}

fn decision_ui(ui: &mut Ui, case: Option<&OpenCase>, turn: &TurnResult) {
    if let Some(error) = &turn.error {
        ui.add(Label::new(RichText::new(error).color(theme::palette(ui).error)).wrap().selectable(true));
    }
    ScrollArea::vertical().id_salt("decided").auto_shrink(false).show(ui, |ui| {
        if let Some(case) = case.filter(|case| !case.decision.probabilities.is_empty()) {
            bars::bars_ui(ui, &case.decision, &case.policy, None);
            ui.add_space(space::XS);
        }
        let label_p = case.and_then(|case| case.decision.probabilities.iter().find(|entry| entry.route == *turn.label));
        let label = if *turn.label == *NO_ROUTE_LABEL { "no route" } else { &turn.label };
        if let Some(entry) = label_p.filter(|_| !turn.agrees()) {
            widgets::caption_ui(ui, format!("The label {label} has {}", bars::percent(entry.p)));
        }
        let tokens = turn.tokens;
        let sure =
            if turn.probabilities.is_empty() { "No probabilities".to_owned() } else { format!("Margin {:.1} points", 100.0 * turn.margin) };
        // A gateway counts no tokens, and what was not decided took no time that says anything.
        let time = (turn.latency_ms > 0.0).then(|| format!("{:.0} ms", turn.latency_ms));
        let counted = (tokens.prompt > 0).then(|| format!("{} prompt tokens, {} from cache", tokens.prompt, tokens.cached));
        widgets::caption_ui(ui, [Some(sure), time, counted].into_iter().flatten().collect::<Vec<_>>().join(", "));
    });
}

//! Pairs of routes that the router confuses: the cases that show it, next to the two descriptions, which can be changed there.

use egui::{Label, RichText, ScrollArea, Ui};

use super::confusion_view::title;
use super::tokens::{self, space, text};
use super::widgets::{self, Field, Row};
use super::{bars, case_table, theme};
use crate::app::{BatchCommand, BatchPart, Command, RunView, State};
use crate::eval::{OverlapCase, RoutePair};
use crate::policy::PolicyEdit;

const ROW_HEIGHT: f32 = 46.0;

/// Draws the pairs, and the one that was chosen in full.
pub fn overlap_ui(ui: &mut Ui, state: &State, view: &RunView, commands: &mut Vec<Command>) {
    let pairs = &view.overlaps;
    let Some(chosen) = pairs.get(state.batch.pair) else {
        return widgets::empty_ui(ui, "No overlap", "In no case of this run does a second route get 5 % or more");
    };
    let height = (ui.available_height() * 0.34).max(2.0 * ROW_HEIGHT).min(ROW_HEIGHT * pairs.len() as f32 + space::S);
    ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().id_salt("pairs").auto_shrink(false).max_height(height).show_rows(
            ui,
            ROW_HEIGHT,
            pairs.len(),
            |ui, visible| {
                for at in visible {
                    let Some(pair) = pairs.get(at) else { continue };
                    if pair_ui(ui, pair, at == state.batch.pair) {
                        commands.push(Command::Batch(BatchCommand::ShowPair(at)));
                    }
                }
            },
        );
    });
    ui.separator();
    ui.push_id(&chosen.routes, |ui| {
        ScrollArea::vertical().id_salt("pair").auto_shrink(false).show(ui, |ui| {
            ui.columns(2, |columns| {
                for (column, route) in columns.iter_mut().zip(&chosen.routes) {
                    description_ui(column, state, route, commands);
                }
            });
            ui.add_space(space::S);
            widgets::subheading_ui(ui, "Cases that show it, the closest first");
            ui.spacing_mut().item_spacing.y = 0.0;
            for case in &chosen.cases {
                case_ui(ui, state, view, case, commands);
            }
        });
    });
}

fn pair_ui(ui: &mut Ui, pair: &RoutePair, selected: bool) -> bool {
    let [a, b] = &pair.routes;
    let (a, b) = (title(a), title(b));
    let heading = format!("{a} and {b}");
    let [first, second] = pair.confused;
    let wrong = match first + second {
        0 => "never confused outright".to_owned(),
        _ => format!("{a} decided as {b}: {first}, the reverse: {second}"),
    };
    let detail = format!("{wrong}; the second of the two gets {} on average", bars::percent(pair.share));
    let note = format!("{:.1} decisions in the balance", pair.mass);
    let name = format!("Overlap of {heading}: {note}, {wrong}");
    let row = Row { name: &name, title: &heading, detail: &detail, note: &note, selected, height: ROW_HEIGHT, indent: 0.0 };
    widgets::row_ui(ui, row).clicked()
}

/// The description of one of the two routes in the policy on screen.
fn description_ui(ui: &mut Ui, state: &State, route: &str, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    ui.label(RichText::new(title(route)).font(tokens::strong_font(text::BODY)));
    let routes = &state.routes().routes;
    let Some(position) = routes.iter().position(|known| known.name == route) else {
        let sentence = if title(route) == route {
            format!("{} has no route of this name", state.policy().title)
        } else {
            "What no description claims; say in the other one what does not belong to it".to_owned()
        };
        ui.add(Label::new(RichText::new(sentence).color(palette.text_weak)).wrap());
        return;
    };
    let name = format!("Description of {route}");
    let field = Field { name: &name, hint: "Which requests belong here, and which do not", rows: 4, mono: false };
    if let Some(description) = widgets::field_ui(ui, field, &routes[position].description, false) {
        commands.push(Command::EditPolicy(PolicyEdit::Describe { route: position, description }));
    }
    widgets::short_caption_ui(ui, format!("in {}; measure again to see the effect", state.policy().title));
}

fn case_ui(ui: &mut Ui, state: &State, view: &RunView, case: &OverlapCase, commands: &mut Vec<Command>) {
    let Some(turn) = view.run.turns.get(case.turn) else { return };
    let said = state.batch.preview(turn).unwrap_or(&turn.id);
    let decision = case_table::decision_title(turn);
    let verdict = if turn.agrees() { "right" } else { "wrong" };
    let detail = format!("label {}, decided {decision}, {verdict}", title(&turn.label));
    let note = format!("second route {}", bars::percent(f64::from(case.p)));
    let name = format!("Case {}: {detail}, {note}", case_table::case_name(turn));
    let row = Row { name: &name, title: said, detail: &detail, note: &note, selected: false, height: ROW_HEIGHT, indent: 0.0 };
    if widgets::row_ui(ui, row).on_hover_text("Show the case").clicked() {
        commands.push(Command::Batch(BatchCommand::ShowPart(BatchPart::Cases)));
        commands.push(Command::Batch(BatchCommand::Select(u32::try_from(case.turn).ok())));
    }
}

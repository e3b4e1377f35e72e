//! Figures of a run that need no picture, in blocks: the paper's metrics, parts of the set, spans, errors, models, time, order.

use egui::{Button, Label, RichText, ScrollArea, Ui, vec2};

use super::tokens::space;
use super::{bars, case_table, theme, widgets};
use crate::app::{BatchCommand, CaseQuery, Command, RunView};
use crate::decision::other_orders;
use crate::eval::{Figures, FirstFailure, ModelCount, ModelFigures, Share, Slice, SpanLength, Spans};

const ROW_HEIGHT: f32 = 20.0;

/// Rows of spans that are drawn at most; `report.md` has all.
const SPANS: usize = 12;

/// Draws all blocks. `query` is what the table of cases shows, to mark the part of the set that was clicked.
pub fn more_ui(ui: &mut Ui, view: &RunView, query: &CaseQuery, commands: &mut Vec<Command>) {
    let figures = &view.figures;
    ScrollArea::vertical().id_salt("more").auto_shrink(false).show(ui, |ui| {
        paper_ui(ui, view);
        turns_ui(ui, figures, query, commands);
        if let Some(spans) = &figures.spans {
            spans_ui(ui, spans);
        }
        tags_ui(ui, figures, query, commands);
        outcomes_ui(ui, figures);
        if let Some(models) = &figures.models {
            models_ui(ui, models);
        }
        time_ui(ui, figures);
        order_ui(ui, figures);
    });
}

fn heading_ui(ui: &mut Ui, heading: &str) {
    ui.add_space(space::M);
    widgets::subheading_ui(ui, heading);
}

fn paper_ui(ui: &mut Ui, view: &RunView) {
    let figures = &view.figures;
    widgets::subheading_ui(ui, "Accuracy as in arXiv 2506.16655");
    fact_ui(ui, "Turn", bars::percent(figures.turn_accuracy), "Share of turns whose route equals the label");
    let not_labelled = || if view.run.info.per_turn { "no whole conversation yet" } else { "needs a label per turn" }.to_owned();
    let span = figures.span_accuracy.map_or_else(not_labelled, bars::percent);
    fact_ui(ui, "Span", span, "Share of runs of one label inside a conversation in which every turn is right");
    let conversation = figures.conversation_accuracy.map_or_else(not_labelled, bars::percent);
    fact_ui(ui, "Conversation", conversation, "Share of conversations with every turn right");
    let one_label = view.run.info.one_label.len();
    if one_label > 0 {
        let explanation =
            "Cases with a label for the last user message alone; left out of the figures for spans, conversations and user turns";
        fact_ui(ui, "With one label", case_table::grouped(one_label), explanation);
    }
    if figures.incomplete_conversations > 0 {
        let explanation = "Conversations with turns that are not decided yet; left out of the figures for spans and conversations";
        fact_ui(ui, "Not decided whole", case_table::grouped(figures.incomplete_conversations), explanation);
    }
    if let Some(scenarios) = &figures.scenarios {
        let share = |share: &Option<Share>| {
            share.map_or_else(|| "no cases".to_owned(), |share| format!("{} of {}", bars::percent(share.accuracy), share.cases))
        };
        fact_ui(ui, "fQfA", share(&scenarios.fqfa), "Turns that expect a route with an action");
        fact_ui(ui, "fQcA", share(&scenarios.fqca), "Turns that expect a domain's own route, without an action");
        fact_ui(ui, "Irrelevance", share(&scenarios.irrelevance), "Turns that expect no route");
    }
    if figures.own_routes > 0 {
        let explanation = "Cases that chose between routes of their own line, left out of scenarios, models and gates";
        fact_ui(ui, "With own routes", case_table::grouped(figures.own_routes), explanation);
    }
}

fn turns_ui(ui: &mut Ui, figures: &Figures, query: &CaseQuery, commands: &mut Vec<Command>) {
    if figures.per_turn_number.is_empty() {
        return;
    }
    heading_ui(ui, "By user turn");
    for part in &figures.per_turn_number {
        let on = query.turn == Some(part.turn);
        if slice_ui(ui, &format!("Turn {}", part.turn), "", &part.slice, on) {
            let turn = (!on).then_some(part.turn);
            commands.push(Command::Batch(BatchCommand::Query(CaseQuery { turn, ..CaseQuery::default() })));
        }
    }
}

fn tags_ui(ui: &mut Ui, figures: &Figures, query: &CaseQuery, commands: &mut Vec<Command>) {
    if figures.per_tag.is_empty() {
        return;
    }
    heading_ui(ui, "By tag");
    for part in &figures.per_tag {
        let on = query.tag.as_ref() == Some(&part.tag);
        if slice_ui(ui, &part.tag, "Tag ", &part.slice, on) {
            let tag = (!on).then(|| part.tag.clone());
            commands.push(Command::Batch(BatchCommand::Query(CaseQuery { tag, ..CaseQuery::default() })));
        }
    }
}

/// Draws the agreement in a part of the set; returns whether its cases are asked for. `kind` stands before its name for screen readers.
fn slice_ui(ui: &mut Ui, name: &str, kind: &str, slice: &Slice, on: bool) -> bool {
    let Slice { cases, agreement, agreement_ci95: [low, high] } = *slice;
    let words = format!("{} of {}", bars::percent(agreement), case_table::grouped(cases));
    let noun = if cases == 1 { "case" } else { "cases" };
    let explanation = format!("{name}: 95 % interval {} to {}; click to show its cases", bars::percent(low), bars::percent(high));
    let palette = theme::palette(ui);
    let colour = if on { palette.text } else { palette.text_weak };
    let mut clicked = false;
    widgets::ends_ui(
        ui,
        ROW_HEIGHT,
        |ui| {
            ui.spacing_mut().button_padding = vec2(0.0, 0.0);
            let button = ui.add(Button::selectable(on, RichText::new(name).color(colour)).small().truncate());
            clicked = button.accessible_name(format!("{kind}{name}: {words} {noun}")).on_hover_text(explanation).clicked();
        },
        |ui| drop(ui.label(&words)),
    );
    clicked
}

/// Where spans fail, and what their length costs.
fn spans_ui(ui: &mut Ui, spans: &Spans) {
    let more = |ui: &mut Ui, count: usize| {
        if count > SPANS {
            widgets::caption_ui(ui, format!("and {} more; save the report to have all", count - SPANS));
        }
    };
    if !spans.by_length.is_empty() {
        heading_ui(ui, "By length of the span");
        for SpanLength { length, spans, accuracy } in spans.by_length.iter().take(SPANS) {
            let name = if *length == 1 { "1 turn".to_owned() } else { format!("{length} turns") };
            let words = format!("{} of {}", bars::percent(*accuracy), case_table::grouped(*spans));
            fact_ui(ui, &name, words, "Share of the spans of this length in which every turn is right");
        }
        more(ui, spans.by_length.len());
    }
    if !spans.first_failure.is_empty() {
        heading_ui(ui, "First wrong turn of the span");
        for FirstFailure { position, reached, failed } in spans.first_failure.iter().take(SPANS) {
            let words = format!("{} of {}", case_table::grouped(*failed), case_table::grouped(*reached));
            let explanation = "Of the spans that are right up to this turn, how many are wrong here for the first time";
            fact_ui(ui, &format!("Turn {position} of the span"), words, explanation);
        }
        more(ui, spans.first_failure.len());
    }
}

fn outcomes_ui(ui: &mut Ui, figures: &Figures) {
    heading_ui(ui, "No route and errors");
    let no_route = &figures.no_route;
    let words = format!("{} cases, precision {:.2}, recall {:.2}", no_route.support, no_route.precision, no_route.recall);
    fact_ui(ui, "No route", words, "How well requests that no route fits are recognised");
    for kind in &figures.error_kinds {
        fact_ui(ui, &kind.error, case_table::grouped(kind.count), &kind.error);
    }
    if !figures.undecided_kinds.is_empty() {
        heading_ui(ui, "Not decided, left out of every figure");
    }
    for kind in &figures.undecided_kinds {
        fact_ui(ui, &kind.error, case_table::grouped(kind.count), &kind.error);
    }
}

fn models_ui(ui: &mut Ui, models: &ModelFigures) {
    heading_ui(ui, "Models");
    if models.distinct < 2 {
        widgets::caption_ui(ui, "All routes lead to one model, so routing changes nothing");
    } else {
        let explanation = "Share of cases that got the model of their expected route: wrong routes may have the right model";
        let least = if models.unknown > 0 { "at least " } else { "" };
        fact_ui(ui, "Right model", format!("{least}{}", bars::percent(models.agreement)), explanation);
    }
    if models.unknown > 0 {
        let explanation =
            "Cases whose right model only the gateway knows: it goes by prices or speeds, or takes what the request names for no route";
        fact_ui(ui, "Not known here", case_table::grouped(models.unknown), explanation);
    }
    for ModelCount { model, one_of, count } in &models.decisions {
        let several = one_of.join(" or ");
        let (name, explanation) = match model {
            Some(model) => (model.as_str(), "Cases that went to this model"),
            None if one_of.is_empty() => ("no model", "Cases that went to no model"),
            None => (several.as_str(), "Cases that go to one of these, by prices or speeds that only the gateway knows"),
        };
        fact_ui(ui, name, case_table::grouped(*count), explanation);
    }
}

fn time_ui(ui: &mut Ui, figures: &Figures) {
    heading_ui(ui, "Time");
    let latency = &figures.latency_ms;
    fact_ui(ui, "Median", format!("{:.0} ms", latency.p50), "Half of the decisions took no longer");
    fact_ui(ui, "95th percentile", format!("{:.0} ms", latency.p95), "One in twenty took longer");
    fact_ui(ui, "Speed", format!("{:.1} a second", figures.decisions_per_second), "Decisions a second over the whole set");
    if figures.tokens.prompt > 0 {
        fact_ui(ui, "From prefix cache", bars::percent(figures.cache_hit_rate), "Share of the prompts' tokens that needed no computing");
    }
    if figures.reused > 0 {
        let explanation = "Cases that an earlier run had already decided; they were not decided again";
        fact_ui(ui, "Kept from before", case_table::grouped(figures.reused), explanation);
    }
}

fn order_ui(ui: &mut Ui, figures: &Figures) {
    let Some(order) = &figures.order_stability else { return };
    heading_ui(ui, "Order of the routes");
    if order.orders == 0 {
        widgets::caption_ui(ui, "The routes have no other order to test");
        return;
    }
    let words = format!("{} of {} cases", order.changed_cases, figures.cases);
    let explanation = format!("Cases whose decision changed; tried under {}", other_orders(order.orders));
    fact_ui(ui, "Depend on it", words, &explanation);
    let explanation = "Mean share of all orders, the policy's own included, that decide as it does";
    fact_ui(ui, "Mean agreement, own included", bars::percent(order.mean_agreement), explanation);
}

fn fact_ui(ui: &mut Ui, name: &str, value: String, explanation: &str) {
    let weak = theme::palette(ui).text_weak;
    widgets::ends_ui(
        ui,
        ROW_HEIGHT,
        |ui| drop(ui.add(Label::new(RichText::new(name).color(weak)).truncate()).on_hover_text(explanation)),
        |ui| drop(ui.label(value)),
    );
}

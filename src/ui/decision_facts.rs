//! What stands behind a decision: its time in parts, its tokens, and the words the router wrote.

use egui::{Align2, FontId, Label, RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::decision::{Decision, Latency, TokenCounts};
use crate::dialect::session_limit;

const ROW_HEIGHT: f32 = 22.0;

/// Gateways count no tokens, as some servers do not; a time of nothing was not taken.
const NOT_KNOWN: &str = "Not known";

/// Draws the facts.
pub fn facts_ui(ui: &mut Ui, decision: &Decision) {
    ui.spacing_mut().item_spacing.y = space::XS;
    ui.columns_const(|[left, right]| {
        latency_ui(left, &decision.latency_ms);
        tokens_ui(right, decision.tokens);
    });
    ui.add_space(space::S);
    answer_ui(ui, decision);
}

fn latency_ui(ui: &mut Ui, latency: &Latency) {
    widgets::subheading_ui(ui, "Latency");
    let Latency { render, tokenize, forward, decode, total } = *latency;
    if total == 0.0 {
        widgets::caption_ui(ui, NOT_KNOWN);
        return;
    }
    for (part, ms, explanation) in [
        ("Render", render, "Writing the dialect's prompt and the router's chat template"),
        ("Tokenise", tokenize, "Turning the prompt and the valid answers into tokens"),
        ("Forward", forward, "One pass over the prompt and all answers"),
        ("Decode", decode, "Greedy decoding, where the pass did not already prove its result"),
    ] {
        row_ui(ui, part, &format!("{ms:.1} ms"), explanation, false);
    }
    row_ui(ui, "Total", &format!("{total:.1} ms"), "From the texts to the decision", true);
}

fn tokens_ui(ui: &mut Ui, counts: TokenCounts) {
    widgets::subheading_ui(ui, "Tokens");
    let TokenCounts { prompt, cached, computed } = counts;
    if prompt == 0 {
        widgets::caption_ui(ui, NOT_KNOWN);
        return;
    }
    row_ui(ui, "Prompt", &prompt.to_string(), "The prompt in the router's chat template", true);
    row_ui(ui, "From cache", &cached.to_string(), "Prompt tokens that were computed for an earlier decision", false);
    row_ui(ui, "Computed", &computed.to_string(), "Tokens that went through the network, those of the answers included", false);
}

/// One widget for the name and its number, so that a screen reader says them together.
fn row_ui(ui: &mut Ui, name: &str, value: &str, explanation: &str, strong: bool) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}: {value}")));
    let (font, colour) =
        if strong { (tokens::strong_font(text::BODY), palette.text) } else { (FontId::proportional(text::BODY), palette.text_weak) };
    let painter = ui.painter();
    painter.text(rect.left_center(), Align2::LEFT_CENTER, name, font.clone(), colour);
    painter.text(rect.right_center() - vec2(space::L, 0.0), Align2::RIGHT_CENTER, value, font, palette.text);
    response.on_hover_text(explanation);
}

fn answer_ui(ui: &mut Ui, decision: &Decision) {
    let palette = theme::palette(ui);
    widgets::subheading_ui(ui, "Raw answer");
    theme::card_frame(palette.raised, palette.raised).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let shown = if decision.answer.is_empty() { "(nothing)" } else { &decision.answer };
        ui.add(Label::new(RichText::new(shown).monospace()).wrap().selectable(true));
    });
    if let Some(url) = decision.router.live_gateway() {
        widgets::caption_ui(ui, format!("The answer of the gateway at {url}, which asked its router with its own prompt"));
    } else {
        let proof = if decision.greedy_proved { "One pass proved that greedy decoding writes this" } else { "Written by greedy decoding" };
        let read = decision.dialect.map_or_else(String::new, |dialect| format!(", read as {dialect}"));
        widgets::caption_ui(ui, format!("{proof}{read}"));
    }
    if let Some(limit) = session_limit(decision.dialect) {
        widgets::caption_ui(ui, limit);
    }
}

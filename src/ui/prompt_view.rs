//! What the gateway sees: the exact prompt, with policy, conversation and fixed text told apart, and what was not sent.

use std::ops::Range;
use std::sync::Arc;

use egui::text::LayoutJob;
use egui::{Color32, FontId, Galley, Label, RichText, Ui};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::app::State;
use crate::dialect::RenderedPrompt;

/// Messages that are named one by one; the others are counted.
const NAMED: usize = 12;

/// Draws the view.
pub fn prompt_view_ui(ui: &mut Ui, state: &State) {
    let prompt = &state.prompt;
    let palette = theme::palette(ui);
    widgets::ends_ui(
        ui,
        24.0,
        |ui| {
            widgets::short_caption_ui(ui, format!("{} bytes as {}, before the router's chat template", prompt.text.len(), state.dialect()));
        },
        |ui| {
            if ui.button("Copy").on_hover_text("Copy the exact prompt").accessible_name("Copy prompt").clicked() {
                ui.copy_text(prompt.text.clone());
            }
        },
    );
    unsent_ui(ui, prompt);
    theme::card_frame(palette.field, palette.border).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = space::XS;
        let frame = egui::Frame::new().corner_radius(tokens::RADIUS).inner_margin(egui::Margin::symmetric(space::S as i8, space::XS as i8));
        for block in &*blocks(ui, prompt, ui.available_width() - 2.0 * space::S) {
            widgets::caption_ui(ui, block.what);
            frame.fill(block.ground).show(ui, |ui| {
                ui.set_min_width(ui.available_width());
                ui.add(Label::new(Arc::clone(&block.galley)).selectable(true));
            });
        }
    });
}

/// Says which messages were dropped or trimmed, and why.
fn unsent_ui(ui: &mut Ui, prompt: &RenderedPrompt) {
    let palette = theme::palette(ui);
    let selection = &prompt.selection;
    let mut lines: Vec<String> = Vec::new();
    for dropped in selection.dropped.iter().take(NAMED) {
        lines.push(format!("Message {} is not sent: {}", dropped.index + 1, dropped.reason));
    }
    if selection.dropped.len() > NAMED {
        lines.push(format!("{} more messages are not sent", selection.dropped.len() - NAMED));
    }
    lines.extend(selection.kept.iter().filter_map(|kept| Some(format!("Message {} {}", kept.index + 1, kept.fit.clause()?))));
    if lines.is_empty() {
        widgets::caption_ui(ui, "Every message is sent whole");
    } else {
        theme::card_frame(palette.warning_soft, palette.warning_soft).show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 2.0;
            for line in lines {
                ui.add(Label::new(RichText::new(line).small().color(palette.text)).wrap());
            }
        });
    }
}

/// A part of the prompt under the word for what it is: its ground alone would say that to nobody who cannot see it.
struct Block {
    what: &'static str,
    ground: Color32,
    galley: Arc<Galley>,
}

/// A prompt laid out for one width, theme and zoom.
#[derive(Clone)]
struct Laid {
    prompt: Arc<RenderedPrompt>,
    width: i32,
    dark: bool,
    scale: f32,
    blocks: Arc<[Block]>,
}

/// Lays the prompt out once: it may be long, and it changes less often than it is drawn.
fn blocks(ui: &Ui, prompt: &Arc<RenderedPrompt>, width: f32) -> Arc<[Block]> {
    let id = egui::Id::unique("laid out prompt");
    let (width, dark, scale) = (width as i32, ui.visuals().dark_mode, ui.pixels_per_point());
    if let Some(laid) = ui.data(|data| data.get_temp::<Laid>(id))
        && Arc::ptr_eq(&laid.prompt, prompt)
        && (laid.width, laid.dark, laid.scale) == (width, dark, scale)
    {
        return laid.blocks;
    }
    let palette = theme::palette(ui);
    let part = |range: Range<usize>| prompt.text.get(range).unwrap_or_default();
    let (routes, conversation) = (prompt.routes.clone(), prompt.conversation.clone());
    let before = without_end(part(0..routes.start));
    let between = without_end(without_start(part(routes.end..conversation.start)));
    let after = without_start(part(conversation.end..prompt.text.len()));
    let fixed = |text| ("Fixed text", text, palette.text_weak, Color32::TRANSPARENT);
    let parts = [
        fixed(before),
        ("Policy", part(routes), palette.text, palette.accent_soft),
        fixed(between),
        ("Conversation", part(conversation), palette.text, palette.warning_soft),
        fixed(after),
    ];
    let blocks = parts.map(|(what, text, colour, ground)| {
        let job = LayoutJob::simple(text.to_owned(), FontId::monospace(text::MONO), colour, width as f32);
        Block { what, ground, galley: ui.fonts_mut(|fonts| fonts.layout_job(job)) }
    });
    let blocks: Arc<[Block]> = blocks.into();
    let laid = Laid { prompt: Arc::clone(prompt), width, dark, scale, blocks: Arc::clone(&blocks) };
    ui.data_mut(|data| data.insert_temp(id, laid));
    blocks
}

/// Leaves out the line feed between a block and the one above, which are drawn on lines of their own anyway.
fn without_start(text: &str) -> &str {
    text.strip_prefix('\n').unwrap_or(text)
}

/// Leaves out the line feed between a block and the one below.
fn without_end(text: &str) -> &str {
    text.strip_suffix('\n').unwrap_or(text)
}

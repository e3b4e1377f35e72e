//! What the gateway sees: the exact prompt, with policy, conversation and fixed text told apart, and what was not sent.

use std::sync::Arc;

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId, Galley, Label, RichText, Sense, Ui};

use super::tokens::{space, text};
use super::{theme, widgets};
use crate::app::State;
use crate::dialect::{Fit, RenderedPrompt};

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
            widgets::caption_ui(
                ui,
                format!("{} bytes as {}, the router's own chat template not included", prompt.text.len(), state.dialect()),
            );
        },
        |ui| {
            if ui.button("Copy").on_hover_text("Copy the exact prompt").accessible_name("Copy prompt").clicked() {
                ui.copy_text(prompt.text.clone());
            }
        },
    );
    unsent_ui(ui, prompt);
    ui.horizontal_wrapped(|ui| {
        for (colour, what) in [(palette.accent_soft, "Policy"), (palette.warning_soft, "Conversation"), (palette.raised, "Fixed text")] {
            let (rect, _) = ui.allocate_exact_size(egui::vec2(12.0, 12.0), Sense::hover());
            ui.painter().rect(rect, 2.0, colour, (1.0, palette.border_strong), egui::StrokeKind::Inside);
            widgets::caption_ui(ui, what);
            ui.add_space(space::S);
        }
    });
    theme::card_frame(palette.field, palette.border).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let galley = galley(ui, prompt);
        ui.add(Label::new(galley).selectable(true));
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
    for kept in &selection.kept {
        match kept.fit {
            Fit::Whole => {}
            Fit::WholeOverBudget => lines.push(format!("Message {} is sent whole although it exceeds the budget", kept.index + 1)),
            Fit::Trimmed(trim) => {
                lines.push(format!(
                    "Message {}: {} of {} bytes were cut out of its middle",
                    kept.index + 1,
                    trim.cut_bytes(),
                    trim.original_bytes
                ));
            }
        }
    }
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

/// A prompt laid out for one width, theme and zoom.
#[derive(Clone)]
struct Laid {
    prompt: usize,
    width: i32,
    dark: bool,
    scale: f32,
    galley: Arc<Galley>,
}

/// Lays the prompt out once: it may be long, and it changes less often than it is drawn.
fn galley(ui: &Ui, prompt: &Arc<RenderedPrompt>) -> Arc<Galley> {
    let id = egui::Id::unique("laid out prompt");
    let (width, dark, scale) = (ui.available_width() as i32, ui.visuals().dark_mode, ui.pixels_per_point());
    let address = Arc::as_ptr(prompt).addr();
    if let Some(laid) = ui.data(|data| data.get_temp::<Laid>(id))
        && (laid.prompt, laid.width, laid.dark, laid.scale) == (address, width, dark, scale)
        // The address may have been used again for another prompt.
        && laid.galley.text() == prompt.text
    {
        return laid.galley;
    }
    let palette = theme::palette(ui);
    let font = FontId::monospace(text::MONO);
    let format = |colour, background| TextFormat { background, ..TextFormat::simple(font.clone(), colour) };
    let mut job = LayoutJob::default();
    job.wrap.max_width = width as f32;
    let (routes, conversation) = (prompt.routes.clone(), prompt.conversation.clone());
    for (range, colour, background) in [
        (0..routes.start, palette.text_weak, Color32::TRANSPARENT),
        (routes.clone(), palette.text, palette.accent_soft),
        (routes.end..conversation.start, palette.text_weak, Color32::TRANSPARENT),
        (conversation.clone(), palette.text, palette.warning_soft),
        (conversation.end..prompt.text.len(), palette.text_weak, Color32::TRANSPARENT),
    ] {
        job.append(prompt.text.get(range).unwrap_or_default(), 0.0, format(colour, background));
    }
    let galley = ui.fonts_mut(|fonts| fonts.layout_job(job));
    let laid = Laid { prompt: address, width, dark, scale, galley: Arc::clone(&galley) };
    ui.data_mut(|data| data.insert_temp(id, laid));
    galley
}

//! The bar at the bottom: the router, and what the engine works on.

use egui::{RichText, Ui};

use super::tokens::space;
use super::{theme, widgets};
use crate::app::{Action, CacheStats, Command, Job, RouterPhase, State};

const HEIGHT: f32 = 22.0;

/// Draws the bar.
pub fn status_bar_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    // Lower than elsewhere: the bar tells more than it takes.
    ui.spacing_mut().interact_size.y = HEIGHT;
    ui.spacing_mut().button_padding.y = 0.0;
    widgets::ends_ui(
        ui,
        HEIGHT,
        |ui| router_ui(ui, state),
        |ui| {
            let errors = state.log.open().1;
            let label = if errors == 0 { "Log".to_owned() } else { format!("Log ({errors})") };
            if ui.selectable_label(state.log_open, RichText::new(label).small()).on_hover_text(Action::ToggleLog.tooltip()).clicked() {
                commands.push(Command::Perform(Action::ToggleLog));
            }
            ui.add_space(space::S);
            match state.current_job() {
                Some(job) => job_ui(ui, job, commands),
                None if state.router.phase == RouterPhase::Ready => drop(widgets::caption_ui(ui, "Ready")),
                None => {}
            }
        },
    );
}

fn router_ui(ui: &mut Ui, state: &State) {
    let palette = theme::palette(ui);
    ui.spacing_mut().item_spacing.x = space::L;
    let Some(description) = &state.router.description else {
        let text = match state.router.phase {
            RouterPhase::Loading => "Loading the router",
            RouterPhase::Failed(_) => "Router not loaded",
            RouterPhase::Absent | RouterPhase::Ready => "No router",
        };
        ui.label(RichText::new(text).small().color(palette.text_weak));
        return;
    };
    ui.label(RichText::new(&description.label).small().color(palette.text)).on_hover_ui(|ui| {
        ui.label(format!(
            "{}, reads {} tokens at once, weights take {}",
            description.info.id,
            description.context,
            bytes(description.weight_bytes)
        ));
    });
    widgets::caption_ui(ui, description.info.device.as_str()).on_hover_text("Where the network runs");
    widgets::caption_ui(ui, description.info.dtype.as_str()).on_hover_text("Precision of the weights");
    if let Some(cache) = state.router.cache {
        widgets::caption_ui(ui, format!("Prefix cache {} of {}", bytes(cache.bytes), bytes(cache.budget_bytes))).on_hover_text(hits(cache));
    }
}

/// Drawn from right to left, as everything at the right end of a bar.
fn job_ui(ui: &mut Ui, job: &Job, commands: &mut Vec<Command>) {
    if !job.cancelling
        && ui
            .add(egui::Button::new(RichText::new("Cancel").small()).min_size(egui::vec2(0.0, HEIGHT)))
            .accessible_name(format!("Cancel: {}", job.stage()))
            .clicked()
    {
        commands.push(Command::CancelJob(job.id));
    }
    if let Some(fraction) = job.fraction() {
        widgets::progress_ui(ui, Some(fraction), 96.0, job.stage());
    }
    widgets::caption_ui(ui, job.stage());
}

fn hits(cache: CacheStats) -> String {
    let total = cache.hit_tokens + cache.missed_tokens;
    let share = 100.0 * cache.hit_tokens as f64 / total.max(1) as f64;
    format!("{share:.0} % of {total} prompt tokens since the start needed no computing")
}

/// Writes a size as people do: at most three digits, and a unit.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut size = bytes as f64 / 1e3;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 999.5 {
        let Some(larger) = units.next() else { break };
        size /= 1e3;
        unit = Some(larger);
    }
    let digits = usize::from(size < 9.95 && size > 0.0);
    format!("{size:.digits$} {}", unit.copied().unwrap_or_default())
}

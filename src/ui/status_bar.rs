//! The bar at the bottom: the router, what was undone or saved last, and what the engine works on.

use egui::{Color32, Response, RichText, Ui};

use super::tokens::space;
use super::{theme, widgets};
use crate::app::{Action, CacheStats, Command, Job, RouterPhase, State};

const HEIGHT: f32 = 22.0;

/// Draws the bar.
pub fn status_bar_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    // Lower than elsewhere: the bar tells more than it takes.
    ui.spacing_mut().interact_size.y = HEIGHT;
    ui.spacing_mut().button_padding.y = 0.0;
    let mut pressed = Vec::new();
    widgets::ends_ui(
        ui,
        HEIGHT,
        |ui| {
            router_ui(ui, state, &mut pressed);
            if let Some(done) = &state.last_done {
                widgets::short_caption_ui(ui, done.as_str());
            }
        },
        |ui| {
            match state.current_job() {
                Some(job) => job_ui(ui, job, commands),
                None if state.router.phase == RouterPhase::Ready => drop(widgets::caption_ui(ui, "Ready")),
                None => {}
            }
            ui.add_space(space::S);
            let errors = state.log.open().1;
            let label = if errors == 0 { "Log".to_owned() } else { format!("Log ({errors})") };
            if ui.selectable_label(state.log_open, RichText::new(label).small()).on_hover_text(Action::ToggleLog.tooltip()).clicked() {
                commands.push(Command::Perform(Action::ToggleLog));
            }
        },
    );
    commands.append(&mut pressed);
}

fn router_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    ui.spacing_mut().item_spacing.x = space::L;
    let Some(description) = &state.router.description else {
        let text = match state.router.phase {
            RouterPhase::Loading => "Loading the router",
            RouterPhase::Failed(_) => "Router not loaded",
            RouterPhase::Absent | RouterPhase::Ready => "No router",
        };
        router_button_ui(ui, text, palette.text_weak, commands).on_hover_text(Action::ChooseRouter.tooltip());
        return;
    };
    router_button_ui(ui, &description.label, palette.text, commands).on_hover_ui(|ui| {
        let mut facts = description.info.id.clone();
        // A server does not tell.
        if description.context > 0 {
            facts += &format!(", reads {} tokens at once", description.context);
        }
        if description.weight_bytes > 0 {
            facts += &format!(", weights take {}", widgets::bytes_text(description.weight_bytes));
        }
        ui.label(facts);
        ui.label(Action::ChooseRouter.tooltip());
    });
    // Nobody tells where a server's network runs.
    if !description.info.place().is_empty() {
        widgets::caption_ui(ui, description.info.device.as_str()).on_hover_text("Where the network runs");
        if description.weight_bytes > 0 {
            widgets::caption_ui(ui, description.info.dtype.as_str()).on_hover_text("Precision of the weights");
        }
    }
    if let Some(cache) = state.router.cache.filter(|cache| cache.budget_bytes > 0) {
        widgets::caption_ui(
            ui,
            format!("Prefix cache {} of {}", widgets::bytes_text(cache.bytes), widgets::bytes_text(cache.budget_bytes)),
        )
        .on_hover_text(hits(cache));
    }
}

/// Draws the router's name, which opens the list of routers.
fn router_button_ui(ui: &mut Ui, label: &str, colour: Color32, commands: &mut Vec<Command>) -> Response {
    let button = egui::Button::new(RichText::new(label).small().color(colour)).frame_when_inactive(false);
    let response = ui.add(button);
    if response.clicked() {
        commands.push(Command::Perform(Action::ChooseRouter));
    }
    response
}

fn job_ui(ui: &mut Ui, job: &Job, commands: &mut Vec<Command>) {
    widgets::caption_ui(ui, job.stage());
    if let Some(fraction) = job.fraction() {
        widgets::progress_ui(ui, Some(fraction), 96.0, job.stage());
    }
    if !job.cancelling
        && ui
            .add(egui::Button::new(RichText::new("Cancel").small()).min_size(egui::vec2(0.0, HEIGHT)))
            .accessible_name(format!("Cancel: {}", job.stage()))
            .clicked()
    {
        commands.push(Command::CancelJob(job.id));
    }
}

fn hits(cache: CacheStats) -> String {
    let total = cache.hit_tokens + cache.missed_tokens;
    let share = 100.0 * cache.hit_tokens as f64 / total.max(1) as f64;
    format!("{share:.0} % of {total} prompt tokens since the start needed no computing")
}

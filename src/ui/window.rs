//! Opens the window and draws its frames.

use egui::{CentralPanel, Panel, Ui, ViewportBuilder};

use super::{actions, conversation_panel, decision_panel, log_panel, notice, policy_panel, status_bar, theme, tokens, top_bar};
use crate::app::{App, Command, StartOptions, ThemeChoice};

/// Why the window could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "The window cannot be opened: {0}. Waypost needs a display with a graphics driver; the commands of `waypost --help` work without one"
)]
pub struct WindowError(String);

/// Opens the window and returns when it is closed.
///
/// # Errors
/// Fails where there is no display or no graphics driver.
pub fn run(options: StartOptions) -> Result<(), WindowError> {
    let viewport = ViewportBuilder::default()
        .with_title("Waypost")
        .with_app_id("waypost")
        .with_inner_size([1280.0, 800.0])
        .with_min_inner_size([820.0, 520.0]);
    let native = eframe::NativeOptions { viewport, ..eframe::NativeOptions::default() };
    let create = |creation: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, Box<dyn std::error::Error + Send + Sync>> {
        theme::apply(&creation.egui_ctx);
        Ok(Box::new(Window::new(&creation.egui_ctx, options)?))
    };
    eframe::run_native("waypost", native, Box::new(create)).map_err(|error| WindowError(error.to_string()))
}

/// The workbench in a window.
pub struct Window {
    app: App,
}

impl Window {
    /// Starts the workbench; [`theme::apply`] is expected to have been called.
    ///
    /// # Errors
    /// Fails when the operating system gives no thread to work in.
    pub fn new(ctx: &egui::Context, options: StartOptions) -> Result<Self, WindowError> {
        let ctx = ctx.clone();
        let app = App::start(options, move || ctx.request_repaint()).map_err(|error| WindowError(error.to_string()))?;
        Ok(Self { app })
    }

    /// Returns the workbench, for tests that look behind what is drawn.
    pub fn app(&self) -> &App {
        &self.app
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if self.app.poll() {
            ctx.request_repaint();
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let mut commands = actions::pressed(ui, self.app.state());
        window_ui(ui, &self.app, &mut commands);
        if !commands.is_empty() {
            commands.into_iter().for_each(|command| self.app.run(command));
            // What the commands changed is drawn at once, not at the next movement of the mouse.
            ui.request_repaint();
        }
        follow_theme(ui, self.app.state().settings.theme);
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        tokens::palette(visuals.dark_mode).canvas.to_normalized_gamma_f32()
    }
}

/// Tells egui about a changed theme; asking for the present one again would cost a repaint.
fn follow_theme(ctx: &egui::Context, choice: ThemeChoice) {
    let theme = match choice {
        ThemeChoice::System => egui::ThemePreference::System,
        ThemeChoice::Light => egui::ThemePreference::Light,
        ThemeChoice::Dark => egui::ThemePreference::Dark,
    };
    if ctx.options(|options| options.theme_preference) != theme {
        ctx.set_theme(theme);
        ctx.request_repaint();
    }
}

fn window_ui(ui: &mut Ui, app: &App, commands: &mut Vec<Command>) {
    let state = app.state();
    let palette = theme::palette(ui);
    let bar = theme::bar_frame(palette.surface);
    Panel::top("top bar").frame(bar).show(ui, |ui| top_bar::top_bar_ui(ui, state, commands));
    Panel::bottom("status bar").frame(bar).show(ui, |ui| status_bar::status_bar_ui(ui, state, commands));
    if let (Some(entry), open) = state.log.open() {
        Panel::top("notice").frame(bar.fill(palette.error_soft)).show(ui, |ui| notice::notice_ui(ui, entry, open, commands));
    }
    if state.log_open {
        let panel = Panel::bottom("log").frame(theme::column_frame(palette.surface)).resizable(true).default_size(180.0);
        panel.show(ui, |ui| log_panel::log_panel_ui(ui, state, commands));
    }

    let width = ui.available_width();
    let column = theme::column_frame(palette.surface);
    let policy = Panel::left("policy").frame(column).resizable(true).default_size(width * 0.31).min_size(260.0);
    policy.show(ui, |ui| policy_panel::policy_panel_ui(ui, state, commands));
    let decision = Panel::right("decision").frame(column).resizable(true).default_size(width * 0.33).min_size(300.0);
    decision.show(ui, |ui| decision_panel::decision_panel_ui(ui, state, commands));
    CentralPanel::default()
        .frame(theme::column_frame(palette.canvas))
        .show(ui, |ui| conversation_panel::conversation_panel_ui(ui, state, commands));
}

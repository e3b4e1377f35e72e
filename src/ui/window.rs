//! Opens the window and draws its frames.

use std::path::PathBuf;

use egui::{Panel, Ui, ViewportBuilder, ViewportCommand};

use super::file_dialog::FileDialogs;
use super::frame_times::FrameTimes;
use super::{
    actions, batch_tab, compare_tab, dialogs, export_tab, log_panel, notice, playground_tab, policy_tab, status_bar, theme, tokens, top_bar,
};
use crate::app::{App, Command, DRAFTS, StartOptions, Tab, ThemeChoice, ZOOM_RANGE, data_folder};

/// Where eframe keeps the window's size and place, in the folder for data.
const PLACE: &str = "app.ron";

/// Why the window could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "The window cannot be opened: {0}. Waypost needs a display with a graphics driver; the commands of `waypost --help` work without one"
)]
pub struct WindowError(String);

impl WindowError {
    /// Keeps of what the windowing library says the reason alone: winit puts "os error at FILE:LINE: " before it, with a file of the machine
    /// that built the program.
    fn new(said: &str) -> Self {
        let place = said.rsplit_once("os error at ").and_then(|(_, place)| place.split_once(".rs:"));
        let reason = place.and_then(|(_, line)| line.split_once(": ")).map_or(said, |(_, reason)| reason);
        Self(reason.trim_end_matches('.').to_owned())
    }
}

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
    let data = data_folder();
    let persistence_path = data.as_ref().map(|folder| folder.join(PLACE));
    let drafts = data.map(|folder| folder.join(DRAFTS));
    let native = eframe::NativeOptions { viewport, persistence_path, ..eframe::NativeOptions::default() };
    let create = |creation: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, Box<dyn std::error::Error + Send + Sync>> {
        theme::apply(&creation.egui_ctx);
        Ok(Box::new(Window::with_drafts(&creation.egui_ctx, options, drafts)?))
    };
    eframe::run_native("waypost", native, Box::new(create)).map_err(|error| WindowError::new(&error.to_string()))
}

/// The workbench in a window.
pub struct Window {
    app: App,
    files: FileDialogs,
    focused: bool,
    times: FrameTimes,
}

impl Window {
    /// Starts the workbench without drafts; [`theme::apply`] is expected to have been called.
    ///
    /// # Errors
    /// Fails when the operating system cannot start a thread to work in.
    pub fn new(ctx: &egui::Context, options: StartOptions) -> Result<Self, WindowError> {
        Self::with_drafts(ctx, options, None)
    }

    /// Starts the workbench, which keeps its drafts in this folder.
    ///
    /// # Errors
    /// Fails when the operating system cannot start a thread to work in.
    pub fn with_drafts(ctx: &egui::Context, options: StartOptions, drafts: Option<PathBuf>) -> Result<Self, WindowError> {
        let wake = ctx.clone();
        let app = App::start(options, drafts, move || wake.request_repaint()).map_err(|error| WindowError(error.to_string()))?;
        ctx.set_zoom_factor(app.state().settings.zoom.clamp(ZOOM_RANGE[0], ZOOM_RANGE[1]));
        follow_theme(ctx, app.state().settings.theme);
        Ok(Self { app, files: FileDialogs::new(ctx), focused: true, times: FrameTimes::new() })
    }

    /// Returns the workbench, for tests that look behind what is drawn.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Does a command as if a panel had sent it, for tests of what needs a file dialog otherwise.
    pub fn run(&mut self, command: Command) {
        self.app.run(command);
    }

    /// Does what comes from outside of the drawing: dropped files, chosen files, a changed zoom, the focus that comes back.
    fn take_input(&mut self, ctx: &egui::Context) {
        let dropped = ctx.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            self.app.run(Command::Open(file.path().to_owned()));
        }
        for command in self.files.chosen() {
            self.app.run(command);
        }
        let focused = ctx.input(|input| input.viewport().focused.unwrap_or(true));
        if focused && !self.focused {
            self.app.check_disk();
        }
        self.focused = focused;
        let zoom = ctx.zoom_factor();
        if (zoom - self.app.state().settings.zoom).abs() > 1e-3 {
            self.app.run(Command::SetZoom(zoom));
        }
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        if self.app.poll() {
            ctx.request_repaint();
        }
        if let Some(pause) = self.app.tick() {
            ctx.request_repaint_after(pause);
        }
        if ctx.input(|input| input.viewport().close_requested()) && !self.app.may_close() {
            ctx.send_viewport_cmd(ViewportCommand::CancelClose);
            // A minimised window can be closed too; there nobody would see the question.
            if ctx.input(|input| input.viewport().minimized == Some(true)) {
                ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
            }
        }
    }

    fn ui(&mut self, ui: &mut Ui, frame: &mut eframe::Frame) {
        self.times.take(frame);
        self.take_input(ui.ctx());
        let mut commands = actions::pressed(ui, self.app.state());
        window_ui(ui, &self.app, &mut commands);
        dialogs::dialogs_ui(ui.ctx(), self.app.state(), &mut commands);
        if !commands.is_empty() {
            let zoom = self.app.state().settings.zoom;
            for command in commands {
                self.files.ask_where_needed(&command, self.app.state());
                self.app.run(command);
            }
            let wanted = self.app.state().settings.zoom;
            if wanted != zoom {
                ui.ctx().set_zoom_factor(wanted);
            }
            if self.app.is_leaving() {
                ui.send_viewport_cmd(ViewportCommand::Close);
            }
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
    let top = egui::Frame { inner_margin: egui::Margin { bottom: 0, ..bar.inner_margin }, ..bar };
    Panel::top("top bar").frame(top).show(ui, |ui| top_bar::top_bar_ui(ui, state, commands));
    Panel::bottom("status bar").frame(bar).show(ui, |ui| status_bar::status_bar_ui(ui, state, commands));
    if let (Some(entry), open) = state.log.open() {
        Panel::top("notice").frame(bar.fill(palette.error_soft)).show(ui, |ui| notice::notice_ui(ui, entry, open, commands));
    }
    if state.log_open {
        let panel = Panel::bottom("log").frame(theme::column_frame(palette.surface)).resizable(true).default_size(180.0);
        panel.show(ui, |ui| log_panel::log_panel_ui(ui, state, commands));
    }
    match state.settings.tab {
        Tab::Policy => policy_tab::policy_tab_ui(ui, state, commands),
        Tab::Playground => playground_tab::playground_tab_ui(ui, state, commands),
        Tab::Batch => batch_tab::batch_tab_ui(ui, state, commands),
        Tab::Compare => compare_tab::compare_tab_ui(ui, state, commands),
        Tab::Export => export_tab::export_tab_ui(ui, state, commands),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_folder_for_data_is_the_one_that_eframe_would_take() {
        assert_eq!(crate::app::data_folder(), eframe::storage_dir("waypost"));
    }
}

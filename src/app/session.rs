//! [`App`]: the state together with the engine thread that works for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::batch::{Batch, Correction};
use super::causes::CauseSearch;
use super::measuring::Ongoing;
use super::run_change::RunChange;
use super::settings::{Settings, Tab, ThemeChoice};
use super::state::{Dialog, Section, Side, State};
use super::store::Store;
use super::tasks::{Apply, Tasks, Wake};
use super::{
    Action, Caches, Command, Compare, DeviceChoice, DocId, Import, Library, Loader, Log, OpenHub, PolicyText, RouterPanel, RouterPhase,
    RouterSource, RouterStatus, RunId, routers, sample,
};
use crate::engine::{Engine, EngineError};
use crate::policy::PolicyEdit;

/// One step of the zoom, as egui's own keys make it.
const ZOOM_STEP: f32 = 0.1;
/// Beyond these nothing could be read, or nothing had its place.
pub const ZOOM_RANGE: [f32; 2] = [0.5, 3.0];

/// How the window starts.
pub struct StartOptions {
    /// What to open instead of the samples, of whichever kinds.
    pub files: Vec<PathBuf>,
    /// `None` takes the one that was chosen last, or the built-in one.
    pub router: Option<RouterSource>,
    pub device: DeviceChoice,
    pub loader: Loader,
    pub hub: OpenHub,
    pub caches: Caches,
}

/// The workbench: its state, and the engine thread, which ends with it.
pub struct App {
    pub(super) state: State,
    pub(super) engine: Engine,
    pub(super) store: Option<Store>,
    pub(super) last_id: u64,
    /// When to route by itself.
    pub(super) route_at: Option<Instant>,
    /// When to have the prompt's tokens counted.
    pub(super) count_at: Option<Instant>,
    pub(super) prompt_outdated: bool,
    /// Files that are opened when the dialog is closed.
    pub(super) waiting: VecDeque<PathBuf>,
    /// Looks at texts; a thread of its own, so that findings do not wait for longer work.
    pub(super) texts: Tasks,
    /// Where downloads come from.
    pub(super) hub: OpenHub,
    pub(super) caches: Caches,
    /// What threads beside the engine and `texts` made.
    pub(super) outbox: Sender<Apply>,
    pub(super) inbox: Receiver<Apply>,
    pub(super) wake: Wake,
    /// The folder for what belongs to no document.
    pub(super) data: Option<PathBuf>,
    /// The version that was last given to the linter.
    pub(super) checking: Option<Arc<PolicyText>>,
    pub(super) newest_check: Arc<AtomicU64>,
    pub(super) newest_export: Arc<AtomicU64>,
    pub(super) newest_case: Arc<AtomicU64>,
    /// Whether something changed since the drafts were written.
    pub(super) unsaved: bool,
    pub(super) save_at: Option<Instant>,
    /// Whether the user wants to close the window whatever is lost.
    pub(super) leaving: bool,
    /// Reads and writes files.
    pub(super) files: Tasks,
    /// Computes figures, rows and comparisons.
    pub(super) figures: Tasks,
    /// Stops the search for rows.
    pub(super) search: Arc<AtomicBool>,
    /// The policy that the offered set was looked for beside.
    pub(super) sample_of: Option<(DocId, Option<PathBuf>)>,
    /// Whether the Batch tab was shown since the start.
    pub(super) batch_seen: bool,
    /// Corrected labels that are not in their set's file yet, and those that are being written, until they are known to be there.
    pub(super) unwritten: Vec<Correction>,
    pub(super) writing: Arc<[Correction]>,
    /// Changes that the figures of kept runs do not know yet, and whether some are being counted.
    pub(super) uncounted: Vec<(RunId, RunChange)>,
    /// Changes of labels while a set is measured, for the run that comes of it.
    pub(super) corrected_meanwhile: Vec<RunChange>,
    pub(super) counting: bool,
    /// Whether the selected case is to be scrolled to once its rows are there.
    pub(super) reveal_case: bool,
    /// Runs whose new names are not on disk yet, and when they are to be.
    pub(super) renamed: Vec<RunId>,
    pub(super) rename_at: Option<Instant>,
    pub(super) ongoing: Option<Ongoing>,
    pub(super) cause_search: Option<CauseSearch>,
    /// Whether the next figures are the first ones of their run, which then takes the place of the one on screen.
    pub(super) is_first_view: bool,
    pub(super) compare_measured: bool,
    /// Policies that are measured one after another.
    pub(super) to_measure: VecDeque<DocId>,
    /// Whether the rows on screen are for an older query than the last one.
    pub(super) rows_outdated: bool,
    pub(super) compare_outdated: bool,
}

impl App {
    /// Starts the engine thread, which begins to load the router at once. `wake` is called from that thread whenever there is something
    /// to [`Self::poll`]. Drafts are kept in the folder `drafts`; without one nothing outlives the window.
    ///
    /// # Errors
    /// Fails when the operating system cannot start a thread.
    pub fn start(options: StartOptions, drafts: Option<PathBuf>, wake: impl Fn() + Send + Sync + 'static) -> Result<Self, EngineError> {
        let wake: Wake = Arc::new(wake);
        let start_tasks = |name: &str| {
            Tasks::start(name, Arc::clone(&wake)).map_err(|error| EngineError::router(format!("cannot start a thread: {error}")))
        };
        let StartOptions { files: wanted, router, device, loader, hub, caches } = options;
        let data = routers::beside(drafts.as_ref());
        let mut log = Log::default();
        let (outbox, inbox) = std::sync::mpsc::channel();
        let store = drafts.and_then(|folder| Store::open(folder, &outbox, &wake).map_err(|error| log.error(error)).ok());
        let restored = store.as_ref().map(|store| store.restore(&mut log)).unwrap_or_default();
        let settings = restored.settings.unwrap_or_default();
        let remembered = || settings.router_of(settings.router.as_deref()?);
        let device = if router.is_none() && device == DeviceChoice::Auto { settings.device } else { device };
        let router = router.or_else(remembered).unwrap_or(RouterSource::Builtin);
        let state = State {
            policies: restored.policies,
            policy_index: restored.policy_index,
            selected: 0,
            conversations: restored.conversations,
            conversation_index: restored.conversation_index,
            last_edited: Side::Policy,
            last_done: None,
            reveal: None,
            router: RouterStatus {
                source: router,
                device,
                phase: RouterPhase::Absent,
                loaded: None,
                loaded_device: device,
                description: None,
                cache: None,
            },
            jobs: Vec::new(),
            route_when_loaded: None,
            shown: None,
            failed: None,
            before_edit: None,
            section: Section::Result,
            studies: Vec::new(),
            turn: None,
            prompt: Arc::new(crate::dialect::render(crate::policy::DialectId::DEFAULT, &[], &sample::conversation(), None)),
            batch: Batch::default(),
            compare: Compare::default(),
            library: Library::default(),
            counted: None,
            checks: super::Checks::default(),
            export: super::ExportState::of(&settings),
            routers: RouterPanel::default(),
            dialog: None,
            log,
            log_open: false,
            settings,
        };
        let texts = start_tasks("waypost-texts")?;
        let files = start_tasks("waypost-files")?;
        let figures = start_tasks("waypost-figures")?;
        let engine_wake = Arc::clone(&wake);
        let mut app = Self {
            state,
            engine: Engine::spawn(loader, move || engine_wake())?,
            store,
            last_id: restored.last_id,
            route_at: None,
            count_at: None,
            prompt_outdated: true,
            waiting: VecDeque::new(),
            texts,
            hub,
            caches,
            outbox,
            inbox,
            wake,
            data,
            checking: None,
            newest_check: Arc::default(),
            newest_export: Arc::default(),
            newest_case: Arc::default(),
            unsaved: false,
            save_at: None,
            leaving: false,
            files,
            figures,
            search: Arc::default(),
            sample_of: None,
            batch_seen: false,
            unwritten: Vec::new(),
            writing: Arc::default(),
            uncounted: Vec::new(),
            corrected_meanwhile: Vec::new(),
            counting: false,
            reveal_case: false,
            rename_at: None,
            renamed: Vec::new(),
            ongoing: None,
            cause_search: None,
            is_first_view: false,
            compare_measured: false,
            to_measure: VecDeque::new(),
            rows_outdated: false,
            compare_outdated: false,
        };
        app.read_library();
        app.open_first(&wanted);
        app.refresh();
        // Unless a router was opened as a file.
        if app.state.router.phase == RouterPhase::Absent {
            app.load_router();
        }
        // The files of restored drafts may have been changed while Waypost did not run.
        app.check_disk();
        Ok(app)
    }

    /// Returns everything there is to show.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Does what is due by now: routing after an edit, saving drafts. Returns after how long there is something to do again.
    pub fn tick(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let live = self.tick_live(now).into_iter().chain(self.tick_count(now)).min();
        let save = self.tick_save(now);
        let measure = self.tick_measuring(now);
        let rename = self.tick_names(now);
        live.into_iter().chain(save).chain(measure).chain(rename).min()
    }

    /// Does what a panel asked for.
    pub fn run(&mut self, command: Command) {
        match command {
            Command::Perform(action) => self.perform(action),
            Command::EditPolicy(edit) => self.edit_policy(edit),
            Command::EditYaml(yaml) => self.edit_yaml(&yaml),
            Command::EditConversation(edit) => self.edit_conversation(edit),
            Command::Export(command) => self.run_export(command),
            Command::Routers(command) => self.routers(command),
            Command::Check(command) => self.run_check(command),
            Command::SelectRoute(route) => self.state.selected = route,
            Command::SelectPolicy(id) => self.select_policy(id),
            Command::RenameConversation(title) => {
                self.conversation_mut().title = title;
                self.unsaved = true;
            }
            Command::SelectConversation(id) => self.select_conversation(id),
            Command::ClosePolicy(id) | Command::CloseConversation(id) => self.close(id),
            Command::Open(path) => self.open(&path),
            Command::NewFromSample(sample) => self.new_from_sample(sample),
            Command::SaveTo(id, path) => self.save_to(id, &path),
            Command::ShowSection(section) => self.show_section(section),
            Command::ShowTurn(turn) => self.state.turn = turn,
            Command::Study(kind) => self.study(kind),
            Command::ImportText(text) => self.import_text(text),
            Command::ImportChoose(choice) => {
                if let Some(Dialog::Import(import)) = &mut self.state.dialog {
                    import.chosen = choice;
                }
            }
            Command::ImportSearch(search) => {
                if let Some(Dialog::Import(import)) = &mut self.state.dialog {
                    import.find(search);
                }
            }
            Command::ImportAccept { replace } => self.accept_import(replace),
            Command::ImportAll => self.accept_all(),
            Command::ImportSave(path) => self.save_import(path),
            // The window asks for the file, and answers with `Command::AddSet` or `Command::ImportSave`.
            Command::AskNewSet | Command::AskImportSet => {}
            command @ (Command::AddLabel { .. } | Command::AddPerTurn(_) | Command::AddSet(_) | Command::AddToSet) => {
                self.set_command(command)
            }
            Command::Batch(command) => self.batch_command(command),
            Command::Compare(command) => self.compare_command(command),
            Command::ImportPolicy { replace } => self.accept_gateway(replace),
            Command::Answer(answer) => self.answer(answer),
            Command::CloseDialog => self.state.dialog = None,
            Command::SetZoom(zoom) => self.change_settings(|settings| settings.zoom = zoom),
            Command::CancelJob(job) => self.cancel(job),
            Command::CancelRouting => self.stop_routing(),
            Command::NoFileDialog => self.no_file_dialog(),
            Command::Dismiss { entry } => self.state.log.dismiss(entry),
        }
        self.settle();
    }

    /// Opens the files that wait for the dialog to be closed, and makes what follows from the texts on screen.
    pub(super) fn settle(&mut self) {
        // Files that were dropped together are looked at one after another.
        while self.state.dialog.is_none()
            && let Some(path) = self.waiting.pop_front()
        {
            self.open(&path);
        }
        self.refresh();
    }

    /// Makes, or has made, what follows from the texts on screen.
    fn refresh(&mut self) {
        self.refresh_prompt();
        self.refresh_sample();
        self.refresh_set();
        self.refresh_checks();
        self.refresh_export();
    }

    fn perform(&mut self, action: Action) {
        if action.obstacle(&self.state).is_some() {
            return;
        }
        let live = self.state.is_live();
        match action {
            Action::NewPolicy => self.new_policy(),
            Action::NewVariant => self.new_variant(),
            Action::Close => self.close(self.state.save_target().0),
            Action::Save => self.save(self.state.save_target().0),
            // Choosing a file is the window's business: it answers with `Command::Open` or `Command::SaveTo`.
            Action::Open | Action::OpenSet | Action::SaveAs | Action::SaveConversation | Action::SaveReport => {}
            Action::NewConversation => self.new_conversation(),
            Action::ImportConversation => self.state.dialog = Some(Dialog::Import(Import::new(String::new()))),
            Action::CloseConversation => self.close(self.state.conversation().id),
            Action::Undo => self.undo(false),
            Action::Redo => self.undo(true),
            Action::AddRoute => self.add_route(),
            Action::DuplicateRoute => self.edit_selected(|route| PolicyEdit::DuplicateRoute { route }),
            Action::RemoveRoute => self.edit_selected(|route| PolicyEdit::RemoveRoute { route }),
            Action::MoveRouteUp => self.move_route(false),
            Action::MoveRouteDown => self.move_route(true),
            Action::AddMessage => self.edit_conversation(crate::chat::ConversationEdit::AddMessage),
            Action::Route => self.route(),
            Action::Cancel => self.cancel_all(),
            Action::Live => self.change_settings(|settings| settings.live = Some(!live)),
            Action::TestOrder => self.test(Section::Order),
            Action::TestWording => self.test(Section::Wording),
            Action::TestHistory => self.test(Section::History),
            Action::TestRobustness => self.test(Section::Robustness),
            Action::ChooseRouter => self.open_routers(),
            Action::LoadRouter => self.load_router(),
            Action::AddToSet => self.ask_label(),
            Action::Measure => self.measure_present(),
            Action::MeasureVariants => self.measure_variants(),
            Action::NextWrong => self.select_wrong(false),
            Action::PreviousWrong => self.select_wrong(true),
            Action::AcceptDecision => self.accept_decision(),
            Action::OpenCase => self.open_case(),
            Action::Palette => self.state.dialog = if action.is_on(&self.state) { None } else { Some(Dialog::Palette) },
            Action::ShowPolicy => self.change_settings(|settings| settings.tab = Tab::Policy),
            Action::ShowPlayground => self.change_settings(|settings| settings.tab = Tab::Playground),
            Action::ShowBatch => self.change_settings(|settings| settings.tab = Tab::Batch),
            Action::ShowCompare => self.change_settings(|settings| settings.tab = Tab::Compare),
            Action::ShowExport => self.change_settings(|settings| settings.tab = Tab::Export),
            Action::ToggleFindings => self.change_settings(|settings| settings.findings = !settings.findings),
            Action::ToggleYaml => self.change_settings(|settings| settings.yaml = !settings.yaml),
            Action::ToggleDock => self.change_settings(|settings| settings.dock = !settings.dock),
            Action::ToggleLog => self.state.log_open = !self.state.log_open,
            Action::ZoomIn => self.zoom_by(ZOOM_STEP),
            Action::ZoomOut => self.zoom_by(-ZOOM_STEP),
            Action::ZoomReset => self.change_settings(|settings| settings.zoom = 1.0),
            Action::ThemeSystem => self.change_settings(|settings| settings.theme = ThemeChoice::System),
            Action::ThemeLight => self.change_settings(|settings| settings.theme = ThemeChoice::Light),
            Action::ThemeDark => self.change_settings(|settings| settings.theme = ThemeChoice::Dark),
        }
    }

    fn zoom_by(&mut self, step: f32) {
        let zoom = ((self.state.settings.zoom + step) * 10.0).round() / 10.0;
        self.change_settings(|settings| settings.zoom = zoom.clamp(ZOOM_RANGE[0], ZOOM_RANGE[1]));
    }

    pub(super) fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.state.settings);
        self.unsaved = true;
    }
}

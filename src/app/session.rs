//! [`App`]: the state together with the engine thread that works for it.

use std::path::PathBuf;

use super::state::{Document, Reveal, Settings, State, Target, ThemeChoice};
use super::{Action, Command, DeviceChoice, Job, JobKind, Loader, Log, RouterPhase, RouterSource, RouterStatus, files, sample};
use crate::chat::ConversationEdit;
use crate::engine::{Engine, EngineError, JobId, RouteRequest};
use crate::policy::PolicyEdit;

/// How the window starts.
pub struct StartOptions {
    /// The policy to open instead of the sample.
    pub policy: Option<PathBuf>,
    /// The conversation to open instead of the sample.
    pub conversation: Option<PathBuf>,
    pub router: RouterSource,
    pub device: DeviceChoice,
    pub loader: Loader,
}

/// The workbench: its state, and the engine thread, which ends with it.
pub struct App {
    pub(super) state: State,
    pub(super) engine: Engine,
}

impl App {
    /// Starts the engine thread, which begins to load the router at once. `wake` is called from that thread whenever there is something
    /// to [`Self::poll`].
    ///
    /// # Errors
    /// Fails when the operating system gives no thread.
    pub fn start(options: StartOptions, wake: impl Fn() + Send + 'static) -> Result<Self, EngineError> {
        let StartOptions { policy, conversation, router, device, loader } = options;
        let mut log = Log::default();
        let policy = policy.and_then(|path| files::open_policy(&path, &mut log));
        let conversation = conversation.and_then(|path| files::open_conversation(&path, &mut log));
        let state = State {
            policy: policy.unwrap_or_else(|| Document::untitled("Coding assistant", sample::policy())),
            selected: 0,
            conversation: conversation.unwrap_or_else(|| Document::untitled("Quickstart", sample::conversation())),
            reveal: None,
            router: RouterStatus { source: router, device, phase: RouterPhase::Absent, description: None, cache: None },
            jobs: Vec::new(),
            route_when_loaded: false,
            shown: None,
            log,
            log_open: false,
            settings: Settings::default(),
        };
        let mut app = Self { state, engine: Engine::spawn(loader, wake)? };
        app.load_router();
        Ok(app)
    }

    /// Returns everything there is to show.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Does what a panel asked for.
    pub fn run(&mut self, command: Command) {
        match command {
            Command::Perform(action) => self.perform(action),
            Command::EditPolicy(edit) => self.edit_policy(edit),
            Command::EditConversation(edit) => self.edit_conversation(edit),
            Command::SelectRoute(route) => self.state.selected = route,
            Command::CancelJob(job) => self.cancel(job),
            Command::Dismiss { entry } => self.state.log.dismiss(entry),
        }
    }

    fn perform(&mut self, action: Action) {
        if action.obstacle(&self.state).is_some() {
            return;
        }
        match action {
            Action::Route => self.route(),
            Action::Cancel => self.cancel_all(),
            Action::LoadRouter => self.load_router(),
            Action::AddRoute => self.edit_policy(PolicyEdit::AddRoute),
            Action::RemoveRoute => {
                if let Some(route) = self.state.selected_route() {
                    self.edit_policy(PolicyEdit::RemoveRoute { route });
                }
            }
            Action::AddMessage => self.edit_conversation(ConversationEdit::AddMessage),
            Action::ToggleLog => self.state.log_open = !self.state.log_open,
            Action::ThemeSystem => self.state.settings.theme = ThemeChoice::System,
            Action::ThemeLight => self.state.settings.theme = ThemeChoice::Light,
            Action::ThemeDark => self.state.settings.theme = ThemeChoice::Dark,
        }
    }

    fn edit_policy(&mut self, edit: PolicyEdit) {
        let adds_route = edit == PolicyEdit::AddRoute;
        self.state.policy.edit(|policy| edit.apply(policy));
        if adds_route {
            self.state.selected = self.state.policy.text.routes.len().saturating_sub(1);
            self.reveal(Target::RouteName);
        }
    }

    fn edit_conversation(&mut self, edit: ConversationEdit) {
        let adds_message = edit == ConversationEdit::AddMessage;
        self.state.conversation.edit(|conversation| edit.apply(conversation));
        if adds_message {
            self.reveal(Target::LastMessage);
        }
    }

    fn reveal(&mut self, target: Target) {
        let serial = self.state.reveal.map_or(0, |last| last.serial + 1);
        self.state.reveal = Some(Reveal { target, serial });
    }

    fn load_router(&mut self) {
        let id = self.engine.load(self.state.router.source.clone(), self.state.router.device);
        self.state.router.phase = RouterPhase::Loading;
        self.state.jobs.push(Job { id, kind: JobKind::Load, started: false, cancelling: false, progress: None });
    }

    /// Asks for a decision on the texts as they are now; a request that is still under way is cancelled, since nobody needs its answer.
    pub(super) fn route(&mut self) {
        self.cancel_routing();
        if self.state.router.phase == RouterPhase::Loading {
            self.state.route_when_loaded = true;
            return;
        }
        let (policy, conversation, dialect) = (self.state.policy.text.clone(), self.state.conversation.text.clone(), self.state.dialect());
        let request =
            RouteRequest { policy: policy.clone(), conversation: conversation.clone(), dialect, budget: None, orders: 0, seed: 0 };
        let id = self.engine.route(request);
        let kind = JobKind::Route { policy, conversation, dialect };
        self.state.jobs.push(Job { id, kind, started: false, cancelling: false, progress: None });
    }

    fn cancel_routing(&mut self) {
        self.state.route_when_loaded = false;
        let routing: Vec<JobId> =
            self.state.jobs.iter().filter(|job| matches!(job.kind, JobKind::Route { .. })).map(|job| job.id).collect();
        routing.into_iter().for_each(|job| self.cancel(job));
    }

    fn cancel_all(&mut self) {
        self.state.route_when_loaded = false;
        let open: Vec<JobId> = self.state.jobs.iter().map(|job| job.id).collect();
        open.into_iter().for_each(|job| self.cancel(job));
    }

    fn cancel(&mut self, id: JobId) {
        if let Some(job) = self.state.jobs.iter_mut().find(|job| job.id == id) {
            job.cancelling = true;
            self.engine.cancel(id);
        }
    }
}

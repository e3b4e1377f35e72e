//! The router panel: which routers there are, choosing one, and downloads that go on whatever else is done meanwhile.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session::App;
use super::state::Dialog;
use super::tasks::Apply;
use super::{DeviceChoice, Job, JobKind, Progress, Remembered, RouterSource};
use crate::engine::{CancelToken, EngineError, Hub, ListedRouter, Memory, Plan, list_routers, memory, store_key};

/// Opens the Hub, when a download is asked for; tests bring their own.
pub type OpenHub = Arc<dyn Fn() -> Result<Hub, EngineError> + Send + Sync>;

/// Reports of a download that reach the window: enough for a bar that moves, few enough to cost nothing.
const REPORT_PAUSE: Duration = Duration::from_millis(100);

/// Seconds of transfer that the shown rate is taken of.
const RATE_WINDOW: f64 = 5.0;

/// What the panel shows.
#[derive(Debug, Default)]
pub struct RouterPanel {
    /// Every router that can be chosen, as the files said when they were last looked at.
    pub listed: Arc<Vec<ListedRouter>>,
    pub is_listing: bool,
    pub memory: Memory,
    /// Under way, waiting for an answer about the licence, or failed; one for each router.
    pub downloads: Vec<Download>,
    /// What is being written in the field for a router that is not listed.
    pub address: String,
    /// Why what is written there is none.
    pub problem: Option<String>,
    /// What is being written in the field for a server's key; never kept.
    pub key: String,
    pub remembered: Remembered,
}

impl RouterPanel {
    /// Returns the download of a router.
    pub fn download(&self, id: &str) -> Option<&Download> {
        self.downloads.iter().find(|download| download.id == id)
    }
}

/// A download that somebody has to know about.
#[derive(Debug)]
pub struct Download {
    pub id: String,
    pub phase: DownloadPhase,
    cancel: CancelToken,
}

/// Where a download stands.
#[derive(Debug)]
pub enum DownloadPhase {
    /// The Hub is asked what the router consists of.
    Asking,
    /// Its terms are to be accepted first.
    Licence(Box<Plan>),
    Running(Transfer),
    /// The sentence that says why, with the remedy.
    Failed(String),
}

/// How far a running download is.
#[derive(Debug)]
pub struct Transfer {
    pub stage: &'static str,
    pub done: u64,
    pub total: u64,
    /// Bytes a second, once there is something to tell.
    pub rate: Option<f64>,
    /// When how much was there; the newest last.
    samples: Vec<(Instant, u64)>,
}

impl Transfer {
    /// Returns the done share between 0 and 1.
    pub fn fraction(&self) -> f32 {
        (self.done as f64 / self.total.max(1) as f64).clamp(0.0, 1.0) as f32
    }

    /// Returns how long the rest takes at the present rate.
    pub fn left(&self) -> Option<Duration> {
        let seconds = self.total.saturating_sub(self.done) as f64 / self.rate.filter(|rate| *rate > 1.0)?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn report(&mut self, progress: &Progress) {
        let now = Instant::now();
        (self.stage, self.done) = (progress.stage, progress.done);
        self.total = progress.total.unwrap_or(self.total);
        // What is computed with the bytes, checking them for example, has no rate.
        if progress.stage != "Downloading" {
            self.samples.clear();
            self.rate = None;
            return;
        }
        self.samples.push((now, progress.done));
        self.samples.retain(|(at, _)| (now - *at).as_secs_f64() <= RATE_WINDOW);
        if let Some((at, done)) = self.samples.first()
            && (now - *at).as_secs_f64() > 0.3
        {
            self.rate = Some(progress.done.saturating_sub(*done) as f64 / (now - *at).as_secs_f64());
        }
    }
}

/// What the panel asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum RoutersCommand {
    /// Loads this router in place of the present one.
    Choose(RouterSource),
    /// Runs routers there from now on.
    Device(DeviceChoice),
    /// Looks at the files again.
    List,
    /// Begins a download, or takes it up again.
    Download(String),
    /// Accepts the terms that are shown.
    Accept(String),
    /// Ends a download, or takes a failed one off the list; what was fetched is kept.
    Cancel(String),
    /// What is written in the field for a router that is not listed.
    Address(String),
    /// What is written in the field for its key.
    Key(String),
    /// Adds the router that is written there.
    Add,
    /// Takes a router that was added off the list; its files stay.
    Forget(RouterSource),
}

impl App {
    pub(super) fn routers(&mut self, command: RoutersCommand) {
        if matches!(command, RoutersCommand::Choose(_) | RoutersCommand::Device(_))
            && let Some(obstacle) = self.state.router_change_obstacle()
        {
            return self.state.log.error(obstacle);
        }
        match command {
            RoutersCommand::Choose(source) => self.choose_router(source),
            RoutersCommand::Device(device) => {
                self.state.router.device = device;
                self.change_settings(|settings| settings.device = device);
                self.load_router();
                self.list_routers();
            }
            RoutersCommand::List => self.list_routers(),
            RoutersCommand::Download(id) => self.download(id),
            RoutersCommand::Accept(id) => self.accept_licence(&id),
            RoutersCommand::Cancel(id) => {
                self.state.routers.downloads.retain(|download| {
                    if download.id == id {
                        download.cancel.cancel();
                    }
                    download.id != id
                });
            }
            RoutersCommand::Address(text) => {
                self.state.routers.problem = None;
                self.state.routers.address = text;
            }
            RoutersCommand::Key(text) => self.state.routers.key = text,
            RoutersCommand::Add => self.add_router(),
            RoutersCommand::Forget(source) => {
                self.change_settings(|settings| settings.routers.retain(|known| *known != source.to_string()));
                self.list_routers();
            }
        }
    }

    /// Opens the panel and looks at the files, since they may have changed since.
    pub(super) fn open_routers(&mut self) {
        self.state.dialog = Some(Dialog::Routers);
        self.list_routers();
    }

    fn choose_router(&mut self, source: RouterSource) {
        self.cancel_loads();
        self.change_settings(|settings| settings.router = Some(source.to_string()));
        self.state.router.source = source;
        self.load_router();
    }

    fn cancel_loads(&mut self) {
        self.cancel_where(|job: &Job| matches!(job.kind, JobKind::Load));
    }

    /// Reads the headers of all files on a thread: they may lie on a slow disk.
    fn list_routers(&mut self) {
        if std::mem::replace(&mut self.state.routers.is_listing, true) {
            return;
        }
        let named = self.state.settings.routers.iter().filter_map(|name| name.parse().ok());
        let named: Vec<RouterSource> = named.chain([self.state.router.source.clone()]).collect();
        let (device, data) = (self.state.router.device, self.data.clone());
        let look = move || {
            let remembered = data.map(|folder| Remembered::read(&folder)).unwrap_or_default();
            (list_routers(&named, device), memory(), remembered)
        };
        self.background("waypost-routers", move |send| {
            let (listed, memory, remembered) = look();
            send(Box::new(move |app: &mut App| {
                let panel = &mut app.state.routers;
                (panel.listed, panel.memory, panel.is_listing) = (Arc::new(listed), memory, false);
                // What was measured since the start is newer than the file.
                let fresh = std::mem::replace(&mut panel.remembered, remembered);
                panel.remembered.merge_speeds(&fresh);
            }));
        });
    }

    fn add_router(&mut self) {
        let address = self.state.routers.address.trim().to_owned();
        match address.parse::<RouterSource>() {
            Err(reason) => self.state.routers.problem = Some(reason),
            Ok(source) => {
                if let (RouterSource::Endpoint { url, .. } | RouterSource::Gateway { url, .. }, false) =
                    (&source, self.state.routers.key.trim().is_empty())
                {
                    self.keep_key(url.clone());
                }
                self.change_settings(|settings| {
                    settings.routers.retain(|known| *known != source.to_string());
                    settings.routers.push(source.to_string());
                });
                self.state.routers.address.clear();
                self.list_routers();
            }
        }
    }

    /// The system may ask the user to unlock the keyring, so a thread waits for it.
    fn keep_key(&mut self, url: String) {
        let key = std::mem::take(&mut self.state.routers.key).trim().to_owned();
        self.background("waypost-key", move |send| {
            let kept = store_key(&url, &key);
            send(Box::new(move |app: &mut App| match kept {
                Ok(()) => app.state.log.info(format!("The key of {url} is in the system's keyring")),
                Err(error) => app.state.log.error(error.to_string()),
            }));
        });
    }

    fn download(&mut self, id: String) {
        if self.state.routers.download(&id).is_some_and(|download| !matches!(download.phase, DownloadPhase::Failed(_))) {
            return;
        }
        self.state.routers.downloads.retain(|download| download.id != id);
        let cancel = CancelToken::default();
        self.state.routers.downloads.push(Download { id: id.clone(), phase: DownloadPhase::Asking, cancel: cancel.clone() });
        let open = Arc::clone(&self.hub);
        self.background("waypost-download", move |send| {
            let plan = open().and_then(|hub| hub.plan(&id, &cancel));
            send(Box::new(move |app: &mut App| app.planned(&id, plan)));
        });
    }

    fn planned(&mut self, id: &str, plan: Result<Plan, EngineError>) {
        let is_accepted = |plan: &Plan, panel: &RouterPanel| panel.remembered.is_accepted(&plan.repo, &plan.licence);
        match plan {
            Err(error) => self.end_download(id, Err(error)),
            Ok(plan) if is_accepted(&plan, &self.state.routers) => self.transfer(id, plan),
            Ok(plan) => {
                if let Some(download) = self.state.routers.downloads.iter_mut().find(|download| download.id == id) {
                    download.phase = DownloadPhase::Licence(Box::new(plan));
                    // Wherever the user is by now, this is a question.
                    self.state.dialog.get_or_insert(Dialog::Routers);
                }
            }
        }
    }

    fn accept_licence(&mut self, id: &str) {
        let download = self.state.routers.downloads.iter_mut().find(|download| download.id == id);
        let Some(Download { phase: DownloadPhase::Licence(plan), .. }) = download else { return };
        let plan = Plan::clone(plan);
        self.state.routers.remembered.accept(&plan.repo, &plan.licence);
        if let Some(folder) = &self.data
            && let Err(reason) = Remembered::change(folder, |remembered| remembered.accept(&plan.repo, &plan.licence))
        {
            self.state.log.error(format!("{reason}; the licence will be asked about again"));
        }
        self.transfer(id, plan);
    }

    fn transfer(&mut self, id: &str, plan: Plan) {
        let Some(download) = self.state.routers.downloads.iter_mut().find(|download| download.id == id) else { return };
        let transfer = Transfer { stage: "Downloading", done: 0, total: plan.bytes(), rate: None, samples: Vec::new() };
        download.phase = DownloadPhase::Running(transfer);
        let (id, cancel, open) = (id.to_owned(), download.cancel.clone(), Arc::clone(&self.hub));
        self.background("waypost-download", move |send| {
            let mut last: Option<(Instant, &'static str)> = None;
            let mut progress = |progress: Progress| {
                let now = Instant::now();
                if last.is_some_and(|(at, stage)| now - at < REPORT_PAUSE && stage == progress.stage) {
                    return;
                }
                last = Some((now, progress.stage));
                let id = id.clone();
                send(Box::new(move |app: &mut App| {
                    let download = app.state.routers.downloads.iter_mut().find(|download| download.id == id);
                    if let Some(Download { phase: DownloadPhase::Running(transfer), .. }) = download {
                        transfer.report(&progress);
                    }
                }));
            };
            let fetched = open().and_then(|hub| hub.fetch(&plan, &mut progress, &cancel));
            send(Box::new(move |app: &mut App| app.end_download(&id, fetched.map(drop))));
        });
    }

    fn end_download(&mut self, id: &str, ended: Result<(), EngineError>) {
        let Some(position) = self.state.routers.downloads.iter().position(|download| download.id == id) else { return };
        match ended {
            Ok(()) => {
                self.state.routers.downloads.remove(position);
                self.state.log.info(format!("Downloaded and checked {id}"));
                self.list_routers();
            }
            Err(EngineError::Cancelled) => drop(self.state.routers.downloads.remove(position)),
            Err(error) => {
                self.state.log.failure(format!("{id} was not downloaded: {error}"));
                self.state.routers.downloads[position].phase = DownloadPhase::Failed(error.to_string());
            }
        }
    }

    /// Does something on a thread of its own, which nothing else waits for; what it sends is done where the state is.
    fn background(&mut self, name: &str, work: impl FnOnce(&dyn Fn(Apply)) + Send + 'static) {
        let (outbox, wake) = (self.outbox.clone(), Arc::clone(&self.wake));
        let run = move || {
            work(&|apply| {
                // Nobody listens any more when the window was closed.
                if outbox.send(apply).is_ok() {
                    wake();
                }
            });
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            self.state.log.error(format!("The system gives no thread for this ({error}); close other programs and try again"));
        }
    }

    /// Notes how long the shown decision took.
    pub(super) fn note_speed(&mut self, decision: &crate::decision::Decision) {
        self.state.routers.remembered.add_speed(&decision.router, decision.latency_ms.total);
    }
}

impl App {
    /// Keeps the speeds, and ends downloads, which go on where they were the next time.
    pub(super) fn close_routers(&mut self) {
        self.state.routers.downloads.iter().for_each(|download| download.cancel.cancel());
        if let Some(folder) = &self.data {
            let measured = &self.state.routers.remembered;
            // They are measured again where they cannot be kept.
            Remembered::change(folder, |remembered| remembered.merge_speeds(measured)).ok();
        }
    }
}

/// Returns the folder for what belongs to no document, beside the one for drafts.
pub(super) fn beside(drafts: Option<&PathBuf>) -> Option<PathBuf> {
    drafts.and_then(|drafts| drafts.parent()).map(std::path::Path::to_owned)
}

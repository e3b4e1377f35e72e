//! The router panel: which routers there are, and choosing one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::session::App;
use super::settings::Settings;
use super::state::Dialog;
use super::{DeviceChoice, Download, Job, JobKind, Remembered, RouterSource};
use crate::engine::{EngineError, Hub, Limits, ListedRouter, Place, Secret, forget_key, list_routers, store_key};

/// Opens the Hub, when a download is asked for; tests bring their own.
pub type OpenHub = Arc<dyn Fn() -> Result<Hub, EngineError> + Send + Sync>;

/// Where what can be fetched or computed again lies. `None` takes the user's own places; tests bring theirs.
#[derive(Clone, Debug, Default)]
pub struct Caches {
    /// The folder that Hugging Face's tools keep downloads in.
    pub hub: Option<PathBuf>,
    /// The file that remembers digests of routers' files.
    pub digests: Option<PathBuf>,
}

/// What the panel shows.
#[derive(Debug, Default)]
pub struct RouterPanel {
    /// Every router that can be chosen, as the files said when they were last looked at.
    pub listed: Arc<Vec<ListedRouter>>,
    pub is_listing: bool,
    /// Where they would run, and what is free there.
    pub place: Place,
    /// Under way, waiting for an answer about the licence, or failed; one for each router.
    pub downloads: Vec<Download>,
    /// What is being written in the field for a router that is not listed.
    pub address: String,
    /// Why what is written there is none.
    pub problem: Option<String>,
    /// What is being written in the field for a server's key; never kept.
    pub key: Secret,
    pub remembered: Remembered,
    /// Speeds that were measured since the start, which `remembered` has too: they are added to its file at the end.
    pub(super) fresh: Remembered,
}

impl RouterPanel {
    /// Returns the download of a router.
    pub fn download(&self, id: &str) -> Option<&Download> {
        self.downloads.iter().find(|download| download.id == id)
    }
}

/// How a server is asked, as the user chose it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerLimits {
    /// Requests that are open at the same time.
    pub in_flight: usize,
    /// What one answer may take.
    pub seconds: u64,
}

impl Settings {
    /// Returns a router as it is to be asked: a server as the user chose, else as usual.
    pub fn asked(&self, source: RouterSource) -> RouterSource {
        let chosen = source.limits().zip(self.servers.get(&source.to_string()));
        let Some((limits, ServerLimits { in_flight, seconds })) = chosen else { return source };
        // The file may have been written by hand, and nothing is ever answered by no request or in no time.
        let timeout = Duration::from_secs((*seconds).max(1));
        source.with_limits(Limits { in_flight: (*in_flight).max(1), timeout, ..limits })
    }

    /// Reads a router as the command line spells it; `None` where it is none any more.
    pub(super) fn router_of(&self, name: &str) -> Option<RouterSource> {
        Some(self.asked(name.parse().ok()?))
    }

    /// Returns the routers that the user named: those that were added, and the one that was chosen last.
    pub fn named_routers(&self) -> Vec<RouterSource> {
        self.routers.iter().chain(&self.router).filter_map(|name| self.router_of(name)).collect()
    }
}

/// What the panel asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum RoutersCommand {
    /// Loads this router in place of the present one.
    Choose(RouterSource),
    /// Runs routers there from now on.
    Device(DeviceChoice),
    /// Asks this server so from now on.
    SetLimits(RouterSource),
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
    Key(Secret),
    /// Adds the router that is written there.
    Add,
    /// Asks for a router's folder, or for its .gguf file.
    ChooseFolder,
    ChooseFile,
    /// Adds a router that lies on this machine and loads it.
    Open(PathBuf),
    /// Takes a router that was added off the list; its files stay.
    Forget(RouterSource),
}

impl App {
    pub(super) fn routers(&mut self, command: RoutersCommand) {
        if matches!(command, RoutersCommand::Choose(_) | RoutersCommand::Device(_) | RoutersCommand::Open(_))
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
            RoutersCommand::SetLimits(source) => self.set_limits(source),
            RoutersCommand::List => self.list_routers(),
            RoutersCommand::Download(id) => self.download(id),
            RoutersCommand::Accept(id) => self.accept_licence(&id),
            RoutersCommand::Cancel(id) => self.cancel_download(&id),
            RoutersCommand::Address(text) => {
                self.state.routers.problem = None;
                self.state.routers.address = text;
            }
            RoutersCommand::Key(key) => self.state.routers.key = key,
            RoutersCommand::Add => self.add_router(),
            // Choosing a file is the window's business: it answers with `Open`.
            RoutersCommand::ChooseFolder | RoutersCommand::ChooseFile => {}
            RoutersCommand::Open(path) => self.open_router(&path),
            RoutersCommand::Forget(source) => self.forget_router(&source),
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
        self.state.router.source = self.state.settings.asked(source);
        self.load_router();
    }

    /// The server in use is opened anew, since a router is asked as it was opened.
    fn set_limits(&mut self, source: RouterSource) {
        let Some(limits) = source.limits() else { return };
        let is_chosen = self.state.router.source.is_same(&source);
        if let Some(obstacle) = self.state.router_change_obstacle().filter(|_| is_chosen) {
            return self.state.log.error(obstacle);
        }
        let chosen = ServerLimits { in_flight: limits.in_flight, seconds: limits.timeout.as_secs_f64().ceil() as u64 };
        self.change_settings(|settings| {
            settings.servers.insert(source.to_string(), chosen);
        });
        if is_chosen {
            self.state.router.source = source;
            self.load_router();
        }
    }

    fn cancel_loads(&mut self) {
        self.cancel_where(|job: &Job| matches!(job.kind, JobKind::Load));
    }

    /// Reads the headers of all files on a thread: they may lie on a slow disk.
    pub(super) fn list_routers(&mut self) {
        if std::mem::replace(&mut self.state.routers.is_listing, true) {
            return;
        }
        let named = self.wanted_rows();
        let wanted = named.clone();
        let (device, data, cache) = (self.state.router.device, self.data.clone(), self.caches.hub.clone());
        let look = move || {
            let remembered = data.map(|folder| Remembered::read(&folder)).unwrap_or_default();
            let place = Place::of(device);
            (list_routers(&named, &place, cache.as_deref()), place, remembered)
        };
        self.background(
            "waypost-routers",
            move |send| {
                let (listed, place, remembered) = look();
                send(Box::new(move |app: &mut App| {
                    let panel = &mut app.state.routers;
                    (panel.listed, panel.place, panel.is_listing) = (Arc::new(listed), place, false);
                    panel.remembered = remembered;
                    panel.remembered.append_speeds(&panel.fresh);
                    // Another device was chosen while this was looked at, and with it other sizes; or a router was added.
                    if app.state.router.device != device || app.wanted_rows() != wanted {
                        app.list_routers();
                    }
                }));
            },
            |app, _| app.state.routers.is_listing = false,
        );
    }

    /// Returns the routers that the list shows besides those it finds.
    fn wanted_rows(&self) -> Vec<RouterSource> {
        let mut named = self.state.settings.named_routers();
        named.push(self.state.router.source.clone());
        named
    }

    fn add_router(&mut self) {
        let address = self.state.routers.address.trim().to_owned();
        match address.parse::<RouterSource>() {
            Err(reason) => self.state.routers.problem = Some(reason),
            Ok(source) => {
                if let (RouterSource::Endpoint { url, .. } | RouterSource::Gateway { url, .. }, false) =
                    (&source, self.state.routers.key.as_str().trim().is_empty())
                {
                    self.keep_key(url.clone());
                }
                self.remember_router(&source);
                self.state.routers.address.clear();
                self.list_routers();
            }
        }
    }

    fn remember_router(&mut self, source: &RouterSource) {
        self.change_settings(|settings| {
            settings.routers.retain(|known| *known != source.to_string());
            settings.routers.push(source.to_string());
        });
    }

    /// Opens what lies at a path as a router where it looks like one. Returns whether it does.
    pub(super) fn open_as_router(&mut self, path: &Path) -> bool {
        let is_file = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        let is_router = is_file || path.join("config.json").is_file();
        if is_router {
            self.routers(RoutersCommand::Open(path.to_owned()));
        }
        is_router
    }

    fn open_router(&mut self, path: &Path) {
        match path.display().to_string().parse::<RouterSource>() {
            Ok(source) => {
                self.remember_router(&source);
                self.choose_router(source);
                self.list_routers();
            }
            Err(reason) => self.state.log.error(reason),
        }
    }

    /// A server's key goes with it, unless another router of the list is behind the same address.
    fn forget_router(&mut self, source: &RouterSource) {
        self.change_settings(|settings| settings.routers.retain(|known| *known != source.to_string()));
        self.list_routers();
        let address = |source: &RouterSource| match source {
            RouterSource::Endpoint { url, .. } | RouterSource::Gateway { url, .. } => Some(url.clone()),
            _ => None,
        };
        let Some(url) = address(source) else { return };
        let others: Vec<String> = self.state.settings.routers.iter().filter_map(|known| address(&known.parse().ok()?)).collect();
        self.background(
            "waypost-key",
            move |send| {
                let forgotten = forget_key(&url, &others);
                send(Box::new(move |app: &mut App| match forgotten {
                    Ok(true) => app.state.log.info(format!("The key of {url} was removed from the system's keyring")),
                    Ok(false) => {}
                    Err(error) => app.state.log.error(error.to_string()),
                }));
            },
            |_, _| {},
        );
    }

    /// The system may ask the user to unlock the keyring, so a thread waits for it.
    fn keep_key(&mut self, url: String) {
        let key = std::mem::take(&mut self.state.routers.key);
        self.background(
            "waypost-key",
            move |send| {
                let kept = store_key(&url, &key);
                send(Box::new(move |app: &mut App| match kept {
                    Ok(()) => app.state.log.info(format!("The key of {url} is in the system's keyring")),
                    Err(error) => app.state.log.error(error.to_string()),
                }));
            },
            |_, _| {},
        );
    }

    /// Notes how long the shown decision took.
    pub(super) fn note_speed(&mut self, decision: &crate::decision::Decision) {
        let panel = &mut self.state.routers;
        for speeds in [&mut panel.remembered, &mut panel.fresh] {
            speeds.add_speed(&decision.router, decision.latency_ms.total);
        }
    }
}

impl App {
    /// Keeps the speeds, and ends downloads, which go on where they were the next time.
    pub(super) fn close_routers(&mut self) {
        self.state.routers.downloads.iter().for_each(Download::cancel);
        if let Some(folder) = &self.data {
            let fresh = &self.state.routers.fresh;
            // They are measured again where they cannot be kept.
            Remembered::change(folder, |remembered| remembered.append_speeds(fresh)).ok();
        }
    }
}

/// Returns the folder for what belongs to no document, beside the one for drafts.
pub(super) fn beside(drafts: Option<&PathBuf>) -> Option<PathBuf> {
    drafts.and_then(|drafts| drafts.parent()).map(Path::to_owned)
}

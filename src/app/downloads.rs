//! Downloads of routers, which go on whatever else is done meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::session::App;
use super::state::Dialog;
use super::{Progress, Remembered, RouterPanel};
use crate::engine::{CancelToken, EngineError, Plan};

/// Reports of a download that reach the window: enough for a bar that moves, few enough to cost nothing.
const REPORT_PAUSE: Duration = Duration::from_millis(100);

/// Seconds of transfer that the shown rate is taken of.
const RATE_WINDOW: f64 = 5.0;

/// A download that somebody has to know about.
#[derive(Debug)]
pub struct Download {
    pub id: String,
    pub phase: DownloadPhase,
    cancel: CancelToken,
    /// Its address tells this download from one of the same router that was cancelled and still has something to say.
    ticket: Arc<()>,
}

impl Download {
    /// Ends it; what was fetched is kept.
    pub(super) fn cancel(&self) {
        self.cancel.cancel();
    }
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

impl App {
    pub(super) fn download(&mut self, id: String) {
        if self.state.routers.download(&id).is_some_and(|download| !matches!(download.phase, DownloadPhase::Failed(_))) {
            return;
        }
        self.state.routers.downloads.retain(|download| download.id != id);
        let (cancel, ticket) = (CancelToken::default(), Arc::new(()));
        let (phase, abandoned) = (DownloadPhase::Asking, Arc::clone(&ticket));
        let download = Download { id: id.clone(), phase, cancel: cancel.clone(), ticket: Arc::clone(&ticket) };
        self.state.routers.downloads.push(download);
        let open = Arc::clone(&self.hub);
        self.background(
            "waypost-download",
            move |send| {
                let plan = open().and_then(|hub| hub.plan(&id, &cancel));
                send(Box::new(move |app: &mut App| app.planned(&ticket, plan)));
            },
            move |app, why| app.abandon_download(&abandoned, why),
        );
    }

    fn download_of(&mut self, ticket: &Arc<()>) -> Option<&mut Download> {
        self.state.routers.downloads.iter_mut().find(|download| Arc::ptr_eq(&download.ticket, ticket))
    }

    /// Ends a download that nobody goes on with.
    fn abandon_download(&mut self, ticket: &Arc<()>, why: String) {
        if let Some(download) = self.download_of(ticket) {
            download.phase = DownloadPhase::Failed(why);
        }
    }

    fn planned(&mut self, ticket: &Arc<()>, plan: Result<Plan, EngineError>) {
        let is_accepted = |plan: &Plan, panel: &RouterPanel| panel.remembered.is_accepted(&plan.repo, &plan.licence);
        match plan {
            Err(error) => self.end_download(ticket, Err(error)),
            Ok(plan) if is_accepted(&plan, &self.state.routers) => self.transfer(ticket, plan),
            Ok(plan) => {
                if let Some(download) = self.download_of(ticket) {
                    download.phase = DownloadPhase::Licence(Box::new(plan));
                    // Wherever the user is by now, this is a question.
                    self.state.dialog.get_or_insert(Dialog::Routers);
                }
            }
        }
    }

    pub(super) fn accept_licence(&mut self, id: &str) {
        let download = self.state.routers.downloads.iter().find(|download| download.id == id);
        let Some(Download { phase: DownloadPhase::Licence(plan), ticket, .. }) = download else { return };
        let (plan, ticket) = (Plan::clone(plan), Arc::clone(ticket));
        self.state.routers.remembered.accept(&plan.repo, &plan.licence);
        if let Some(folder) = &self.data
            && let Err(reason) = Remembered::change(folder, |remembered| remembered.accept(&plan.repo, &plan.licence))
        {
            self.state.log.error(format!("{reason}; the licence will be asked about again"));
        }
        self.transfer(&ticket, plan);
    }

    fn transfer(&mut self, ticket: &Arc<()>, plan: Plan) {
        let Some(download) = self.download_of(ticket) else { return };
        let transfer = Transfer { stage: "Downloading", done: 0, total: plan.bytes(), rate: None, samples: Vec::new() };
        download.phase = DownloadPhase::Running(transfer);
        let (cancel, open) = (download.cancel.clone(), Arc::clone(&self.hub));
        let (ticket, abandoned) = (Arc::clone(ticket), Arc::clone(ticket));
        self.background(
            "waypost-download",
            move |send| {
                let mut last: Option<(Instant, &'static str)> = None;
                let mut progress = |progress: Progress| {
                    let now = Instant::now();
                    if last.is_some_and(|(at, stage)| now - at < REPORT_PAUSE && stage == progress.stage) {
                        return;
                    }
                    last = Some((now, progress.stage));
                    let ticket = Arc::clone(&ticket);
                    send(Box::new(move |app: &mut App| {
                        if let Some(Download { phase: DownloadPhase::Running(transfer), .. }) = app.download_of(&ticket) {
                            transfer.report(&progress);
                        }
                    }));
                };
                let fetched = open().and_then(|hub| hub.fetch(&plan, &mut progress, &cancel));
                send(Box::new(move |app: &mut App| app.end_download(&ticket, fetched.map(drop))));
            },
            move |app, why| app.abandon_download(&abandoned, why),
        );
    }

    fn end_download(&mut self, ticket: &Arc<()>, ended: Result<(), EngineError>) {
        let is_it = |download: &Download| Arc::ptr_eq(&download.ticket, ticket);
        let Some(position) = self.state.routers.downloads.iter().position(is_it) else { return };
        match ended {
            Ok(()) => {
                let Download { id, .. } = self.state.routers.downloads.remove(position);
                self.state.log.info(format!("Downloaded and checked {id}"));
                self.list_routers();
            }
            Err(EngineError::Cancelled) => drop(self.state.routers.downloads.remove(position)),
            Err(error) => {
                let download = &mut self.state.routers.downloads[position];
                self.state.log.failure(format!("{} was not downloaded: {error}", download.id));
                download.phase = DownloadPhase::Failed(error.to_string());
            }
        }
    }

    /// Ends a download, or takes a failed one off the list.
    pub(super) fn cancel_download(&mut self, id: &str) {
        self.state.routers.downloads.retain(|download| {
            if download.id == id {
                download.cancel();
            }
            download.id != id
        });
    }
}

//! What the state makes of the engine's events.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::Topic;
use super::session::App;
use super::{DeviceChoice, FailedDecision, Job, JobKind, Purpose, RouterDescription, RouterPhase, RouterSource, ShownDecision, StudyKind};
use crate::decision::Decision;
use crate::engine::{EngineError, Event, JobId, JobResult};

/// A frame at 60 a second has 16 ms; events get half of it, so that a flood of them never stops the drawing.
const BUDGET: Duration = Duration::from_millis(8);

impl App {
    /// Takes in what threads made and the engine said since the last call. Returns whether there may be more, which the caller fetches in its
    /// next frame.
    pub fn poll(&mut self) -> bool {
        let start = Instant::now();
        while self.take_next() {
            if start.elapsed() > BUDGET {
                return true;
            }
        }
        false
    }

    /// Takes in one thing, if there is any.
    fn take_next(&mut self) -> bool {
        let done = self.texts.next_done().or_else(|| self.files.next_done()).or_else(|| self.figures.next_done());
        if let Some(apply) = done.or_else(|| self.inbox.try_recv().ok()) {
            apply(self);
        } else if let Ok(event) = self.engine.events().try_recv() {
            self.react(event);
        } else {
            return false;
        }
        true
    }

    fn react(&mut self, event: Event) {
        match event {
            Event::Started { job } => self.with_job(job, |job| job.started = true),
            Event::Progress { job, progress } => self.with_job(job, |job| job.progress = Some(progress)),
            Event::Results { job, results } => self.measured(job, results),
            Event::Finished { job, result, cache } => {
                self.state.router.cache = cache;
                if let Some(position) = self.state.jobs.iter().position(|open| open.id == job) {
                    let job = self.state.jobs.remove(position);
                    match (&job.kind, result) {
                        (JobKind::Load, Ok(JobResult::Loaded(description))) => self.loaded(description),
                        (JobKind::Load, Err(error)) => self.load_failed(&error),
                        (JobKind::Measure, result) => self.measurement_ended(job.id, result.map(drop)),
                        (JobKind::Count { prompt }, Ok(JobResult::Counted(Some(tokens)))) => {
                            self.state.counted = Some((Arc::clone(prompt), tokens))
                        }
                        (_, Ok(result)) => self.decided(job, result),
                        (_, Err(error)) => self.route_failed(job, &error),
                    }
                }
            }
        }
    }

    fn with_job(&mut self, id: JobId, change: impl FnOnce(&mut Job)) {
        if let Some(job) = self.state.jobs.iter_mut().find(|job| job.id == id) {
            change(job);
        }
    }

    fn loaded(&mut self, description: RouterDescription) {
        self.state.log.info(format!("Loaded {}{}", description.label, description.info.place()));
        for reason in &description.refused {
            self.state.log.info(format!("{} runs on {}: {reason}", description.label, description.info.device));
        }
        self.state.failed = None;
        self.state.router.loaded = Some(self.state.router.source.clone());
        self.state.router.loaded_device = self.state.router.device;
        let previous = &self.state.router;
        if (previous.info(), previous.stamp()) != (Some(&description.info), description.stamp.as_ref()) {
            // What another router decided is no turn of this one's timeline and nothing to mark its decisions against.
            (self.state.turn, self.state.before_edit) = (None, None);
        }
        self.state.router.description = Some(description);
        self.state.router.phase = RouterPhase::Ready;
        (self.state.counted, self.count_at) = (None, Some(Instant::now()));
        if let Some(live) = self.state.route_when_loaded.take() {
            self.request(live);
        } else if self.state.is_live() && (self.state.shown.is_some() || self.state.router.source.limits().is_none()) {
            // The first decision too, so that a first start shows one. A server makes none before the user asks for it.
            self.route_at = Some(Instant::now());
        }
    }

    /// A router that was loaded before stays, so it goes on being the one that decides, unless it could not be brought back.
    fn load_failed(&mut self, error: &EngineError) {
        if self.state.router.cache.is_none() {
            self.state.router.description = None;
        }
        // Another router was chosen meanwhile, which is what the user waits for.
        if self.state.jobs.iter().any(|job| matches!(job.kind, JobKind::Load)) {
            return;
        }
        let has_other = self.state.router.description.is_some();
        if let Some(loaded) = self.state.router.loaded.clone() {
            self.keep_router(loaded);
            self.keep_device(self.state.router.loaded_device);
        }
        self.state.route_when_loaded = None;
        self.state.router.phase = match error {
            _ if has_other => RouterPhase::Ready,
            EngineError::Cancelled => RouterPhase::Absent,
            _ => RouterPhase::Failed(error.to_string()),
        };
        match error {
            EngineError::Cancelled => self.state.log.info("Cancelled loading the router"),
            // Where no router is loaded, the decision's place says so until there is one; a banner would only repeat it.
            _ if !has_other => self.state.log.failure(format!("The router could not be loaded: {error}")),
            _ => self.state.log.error(format!("The router could not be loaded: {error}")),
        }
    }

    /// Takes back the choice of a router that could not be loaded, so that the next start is not without one.
    fn keep_router(&mut self, loaded: RouterSource) {
        let kept = loaded.to_string();
        let failed = std::mem::replace(&mut self.state.router.source, loaded).to_string();
        if failed != kept && self.state.settings.router.as_ref() == Some(&failed) {
            self.change_settings(|settings| settings.router = Some(kept));
        }
    }

    /// Takes back the choice of a device on which nothing could be loaded, so that the next start does not fail there.
    fn keep_device(&mut self, device: DeviceChoice) {
        if std::mem::replace(&mut self.state.router.device, device) != device {
            self.change_settings(|settings| settings.device = device);
            // What fits is a matter of the device.
            self.list_routers();
        }
    }

    fn decided(&mut self, job: Job, result: JobResult) {
        // A result that arrives after its cancellation is older than what the user waits for.
        let (JobKind::Route { purpose, policy, conversation, dialect }, JobResult::Decided(decision), false) =
            (job.kind, result, job.cancelling)
        else {
            return;
        };
        self.note_speed(&decision);
        let stamp = self.state.router.stamp().cloned();
        match purpose {
            Purpose::Current { .. } => {
                let decided = ShownDecision { decision: Arc::new(*decision), policy, conversation, dialect, stamp };
                // Somebody may have gone back meanwhile to the texts whose decision is on screen.
                if !(self.state.is_shown_current() && self.state.is_outdated(&decided)) {
                    self.state.shown = Some(decided);
                    self.state.failed = None;
                    self.propose_label();
                }
            }
            Purpose::Study { kind, row } => self.set_row(kind, row, Ok(Arc::new(*decision))),
        }
    }

    fn route_failed(&mut self, job: Job, error: &EngineError) {
        let JobKind::Route { purpose, policy, conversation, .. } = job.kind else { return };
        let told = || format!("This conversation could not be routed: {error}");
        match purpose {
            // While typing, newer requests cancel older ones all the time: not worth a line each.
            _ if *error == EngineError::Cancelled || job.cancelling => {}
            Purpose::Current { live: false } => self.state.log.error_about(Topic::Routing, told()),
            Purpose::Current { live: true } => {
                // A banner at each pause would push what is being written down and up again.
                self.state.log.failure(told());
                self.state.failed = Some(FailedDecision { sentence: error.to_string(), policy, conversation });
            }
            Purpose::Study { kind, row } => self.set_row(kind, row, Err(error.to_string())),
        }
    }

    fn set_row(&mut self, kind: StudyKind, row: usize, result: Result<Arc<Decision>, String>) {
        let study = self.state.studies.iter_mut().find(|study| study.kind == kind);
        if let Some(row) = study.and_then(|study| study.rows.get_mut(row)) {
            row.result = Some(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;
    use crate::app::tasks::tests::app;

    #[test]
    fn a_flood_of_finished_work_is_taken_in_over_several_frames() {
        let mut app = app();
        let taken = Arc::new(AtomicUsize::new(0));
        for _ in 0..3 {
            let taken = Arc::clone(&taken);
            let slow = move |_: &mut App, ()| {
                taken.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(BUDGET + Duration::from_millis(1));
            };
            app.figures.run(|| (), slow, |_| ());
        }
        // That thread does its work in order.
        let (done, wait) = channel();
        app.figures.run(move || done.send(()), |_, _| (), |_| ());
        wait.recv().unwrap();
        assert!(app.poll() && taken.load(Ordering::Relaxed) <= 1, "the budget of a frame");
        while app.poll() {}
        assert_eq!(taken.load(Ordering::Relaxed), 3);
    }
}

//! The engine thread: one thread owns the router and works through jobs in order; only a set that is measured lets single decisions pass.
//!
//! The thread talks in [`Event`]s, then calls the `wake` closure it was given, so it knows nothing of any window. A job that panics ends
//! with [`EngineError::Internal`] and the thread goes on; dropping the [`Engine`] cancels what runs, and joins.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};

use super::error::caught;
use super::protocol::{
    CacheStats, CancelToken, DeviceChoice, Event, JobId, JobResult, Progress, RouteRequest, RouterDescription, RouterSource,
};
use super::thinned::{INTERVAL, Thinned};
use super::{EngineError, device, priority};
use crate::decision::Decision;

/// Reports how far a job is; the engine thins the reports out.
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// A loaded router as the engine thread sees it: the local network, a remote endpoint or a test's stand-in.
pub trait Router {
    /// Returns what this router is.
    fn description(&self) -> RouterDescription;
    /// Returns the state of the prefix cache.
    fn cache_stats(&self) -> CacheStats;
    /// Decides one conversation; checks `cancel` between chunks of work.
    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError>;

    /// Counts the tokens of a prompt without deciding anything; `None` where that is not known here.
    ///
    /// # Errors
    /// Fails where the prompt cannot be made.
    fn count(&mut self, _request: &RouteRequest) -> Result<Option<usize>, EngineError> {
        Ok(None)
    }

    /// Decides many conversations, handing each result to `done` with its position among the requests; in whatever order is fastest.
    /// A router with a better way than one after another has its own.
    ///
    /// # Errors
    /// Fails on cancellation and where the router itself fails; a request that cannot be decided is a result like any other.
    fn decide_all(&mut self, requests: Requests<'_>, done: OnDecided<'_>, cancel: &CancelToken) -> Result<(), EngineError> {
        for (index, request) in requests.enumerate() {
            match self.decide(&request, &mut |_| {}, cancel) {
                Err(error @ (EngineError::Cancelled | EngineError::Router(_))) => return Err(error),
                result => done(index, result),
            }
        }
        Ok(())
    }
}

/// Many conversations to decide, made as they are needed.
pub type Requests<'a> = &'a mut dyn Iterator<Item = RouteRequest>;

/// Takes one of many decisions: the position of its request, and the result.
pub type OnDecided<'a> = &'a mut dyn FnMut(usize, Result<Decision, EngineError>);

/// Loads a router; given to [`Engine::spawn`] so that tests can bring their own. What is cheap to check comes first: files, headers, shapes,
/// whether the memory suffices. Then the loader frees the [`Previous`] router, so that the two are never in memory together.
pub type Loader =
    Box<dyn FnMut(&RouterSource, DeviceChoice, OnProgress<'_>, &CancelToken, Previous<'_>) -> Result<Box<dyn Router>, EngineError> + Send>;

/// The router that another one takes the place of, if there is one.
pub struct Previous<'a>(&'a mut Option<Box<dyn Router>>);

impl Previous<'_> {
    /// Returns the bytes of main memory that freeing it gives back: none where it runs on another device.
    pub fn bytes(&self) -> u64 {
        let there = self.0.as_ref().filter(|router| router.description().info.device == device::CPU.name);
        there.map_or(0, |router| router.description().weight_bytes + router.cache_stats().bytes)
    }

    /// Drops it. If loading fails after that, the engine loads it again.
    pub fn free(self) {
        *self.0 = None;
    }
}

/// Requests, and `None` for each conversation between them that needs no decision.
type Steps = Box<dyn Iterator<Item = Option<RouteRequest>> + Send>;

enum Work {
    Load(RouterSource, DeviceChoice),
    Route(Box<RouteRequest>),
    Count(Box<RouteRequest>),
    Measure(Steps),
}

struct Job {
    id: JobId,
    work: Work,
    cancel: CancelToken,
}

/// A job that has not ended.
struct OpenJob {
    id: JobId,
    cancel: CancelToken,
    loads: bool,
}

/// What both sides know of the jobs.
#[derive(Default)]
struct OpenJobs {
    jobs: Vec<OpenJob>,
    /// Whether the engine is being dropped.
    closing: bool,
}

/// The handle of the engine thread. Dropping it cancels everything and joins the thread.
pub struct Engine {
    // `Option` because the sender must be gone before the thread can be joined.
    jobs: Option<Sender<Job>>,
    events: Receiver<Event>,
    next: AtomicU64,
    open: Arc<Mutex<OpenJobs>>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread. `wake` is called after each event was sent, from the engine thread.
    ///
    /// # Errors
    /// Fails when the operating system cannot start a thread.
    pub fn spawn(loader: Loader, wake: impl Fn() + Send + 'static) -> Result<Self, EngineError> {
        let (jobs, inbox) = crossbeam_channel::unbounded();
        let (outbox, events) = crossbeam_channel::unbounded();
        let open: Arc<Mutex<OpenJobs>> = Arc::default();
        let thread_open = Arc::clone(&open);
        let thread = std::thread::Builder::new()
            .name("waypost-engine".to_owned())
            .spawn(move || Worker::new(loader, inbox, outbox, Box::new(wake), thread_open).run())
            .map_err(|error| EngineError::router(format!("cannot start the engine thread: {error}")))?;
        Ok(Self { jobs: Some(jobs), events, next: AtomicU64::new(1), open, thread: Some(thread) })
    }

    /// Loads a router in place of the present one, which is there again if loading fails. Loads that have not ended are cancelled: the last
    /// one counts.
    pub fn load(&self, source: RouterSource, device: DeviceChoice) -> JobId {
        self.submit(Work::Load(source, device))
    }

    /// Decides one conversation with the loaded router.
    pub fn route(&self, request: RouteRequest) -> JobId {
        self.submit(Work::Route(Box::new(request)))
    }

    /// Counts the tokens of a prompt, with the loaded router's own tokenizer.
    pub fn count(&self, request: RouteRequest) -> JobId {
        self.submit(Work::Count(Box::new(request)))
    }

    /// Decides many conversations; their results come in [`Event::Results`].
    pub fn measure(&self, requests: impl Iterator<Item = RouteRequest> + Send + 'static) -> JobId {
        self.measure_steps(requests.map(Some))
    }

    /// As [`Self::measure`]; a `None` stands for a conversation that needs no decision. However many of them follow each other, the job can be
    /// cancelled, single decisions pass, and an [`Event::Results`] without results tells that it got on.
    pub fn measure_steps(&self, steps: impl Iterator<Item = Option<RouteRequest>> + Send + 'static) -> JobId {
        self.submit(Work::Measure(Box::new(steps)))
    }

    /// Asks a job to stop; it still ends in one [`Event::Finished`]. Unknown and ended jobs are ignored.
    pub fn cancel(&self, job: JobId) {
        if let Some(open) = lock(&self.open).jobs.iter().find(|open| open.id == job) {
            open.cancel.cancel();
        }
    }

    /// Returns the events in the order they happened.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    fn submit(&self, work: Work) -> JobId {
        let id = JobId(self.next.fetch_add(1, Ordering::Relaxed));
        let cancel = CancelToken::default();
        let loads = matches!(work, Work::Load(..));
        let mut open = lock(&self.open);
        // In one piece with what is pushed below: in between, a load that failed would bring its previous router back all the same.
        for earlier in open.jobs.iter().filter(|job| loads && job.loads) {
            earlier.cancel.cancel();
        }
        open.jobs.push(OpenJob { id, cancel: cancel.clone(), loads });
        drop(open);
        if let Some(jobs) = &self.jobs {
            // The thread ends only after this sender is dropped, so the send cannot fail.
            jobs.send(Job { id, work, cancel }).ok();
        }
        id
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.closing = true;
        for job in &open.jobs {
            job.cancel.cancel();
        }
        drop(open);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Locks the list of open jobs; a panic elsewhere leaves it usable, since every change to it is a single one.
fn lock(open: &Mutex<OpenJobs>) -> std::sync::MutexGuard<'_, OpenJobs> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    loader: Loader,
    router: Option<Box<dyn Router>>,
    /// What the router was loaded from, to load it again.
    loaded: Option<(RouterSource, DeviceChoice)>,
    inbox: Receiver<Job>,
    /// Jobs that came while a set was measured and wait for its end, in their order.
    later: VecDeque<Job>,
    outbox: Sender<Event>,
    wake: Box<dyn Fn() + Send>,
    open: Arc<Mutex<OpenJobs>>,
}

impl Worker {
    fn new(loader: Loader, inbox: Receiver<Job>, outbox: Sender<Event>, wake: Box<dyn Fn() + Send>, open: Arc<Mutex<OpenJobs>>) -> Self {
        Self { loader, router: None, loaded: None, inbox, later: VecDeque::new(), outbox, wake, open }
    }

    fn run(mut self) {
        priority::step_back();
        while let Some(job) = self.later.pop_front().or_else(|| self.inbox.recv().ok()) {
            self.perform(job);
        }
    }

    /// Does a job from its first event to its last.
    fn perform(&mut self, Job { id, work, cancel }: Job) {
        self.send(Event::Started { job: id });
        let loads = matches!(work, Work::Load(..));
        let mut result = match cancel.check() {
            Ok(()) => caught(|| self.work(id, work, &cancel)),
            Err(cancelled) => Err(cancelled),
        };
        if loads {
            result = result.map_err(|error| self.restored(id, error));
        }
        lock(&self.open).jobs.retain(|open| open.id != id);
        let cache = catch_unwind(AssertUnwindSafe(|| self.router.as_ref().map(|router| router.cache_stats()))).unwrap_or_default();
        self.send(Event::Finished { job: id, result, cache });
    }

    fn work(&mut self, job: JobId, work: Work, cancel: &CancelToken) -> Result<JobResult, EngineError> {
        let mut thinned = Thinned::new(|progress| send(&self.outbox, &self.wake, Event::Progress { job, progress }));
        let mut progress = |report| thinned.report(report);
        match work {
            Work::Load(source, device) => {
                let router = (self.loader)(&source, device, &mut progress, cancel, Previous(&mut self.router))?;
                let description = router.description();
                self.router = Some(router);
                self.loaded = Some((source, device));
                Ok(JobResult::Loaded(description))
            }
            Work::Route(request) => match &mut self.router {
                Some(router) => router.decide(&request, &mut progress, cancel).map(|decision| JobResult::Decided(Box::new(decision))),
                None => Err(EngineError::router("no router is loaded; choose one first")),
            },
            Work::Count(request) => self.router.as_mut().map_or(Ok(None), |router| router.count(&request)).map(JobResult::Counted),
            Work::Measure(steps) => self.measure(job, steps, cancel),
        }
    }

    /// Decides many conversations, and between them single ones that are asked for meanwhile: who tries a wording does not wait for a set.
    fn measure(&mut self, job: JobId, mut steps: Steps, cancel: &CancelToken) -> Result<JobResult, EngineError> {
        let (mut before, mut told) = (0, None::<Instant>);
        loop {
            let Some(router) = &mut self.router else { return Err(EngineError::router("no router is loaded; choose one first")) };
            let (mut results, mut sent) = (Vec::new(), Instant::now());
            let mut done = |index: usize, result| {
                results.push((before + index, result));
                if sent.elapsed() >= INTERVAL {
                    sent = Instant::now();
                    send(&self.outbox, &self.wake, Event::Results { job, results: std::mem::take(&mut results) });
                }
            };
            let (mut taken, mut gets_on, mut is_over) = (0, false, false);
            let mut until_others_wait = std::iter::from_fn(|| {
                // One at least, so that the set gets on however much is asked for.
                while !gets_on || self.inbox.is_empty() {
                    gets_on = true;
                    match steps.next() {
                        Some(None) if cancel.is_cancelled() => return None,
                        Some(None) if told.is_some_and(|told| told.elapsed() < INTERVAL) => {}
                        Some(None) => {
                            told = Some(Instant::now());
                            send(&self.outbox, &self.wake, Event::Results { job, results: Vec::new() });
                        }
                        request => {
                            (taken, is_over) = (taken + usize::from(request.is_some()), request.is_none());
                            return request.flatten();
                        }
                    }
                }
                None
            });
            let outcome = router.decide_all(&mut until_others_wait, &mut done, cancel);
            if !results.is_empty() {
                send(&self.outbox, &self.wake, Event::Results { job, results });
            }
            outcome?;
            if is_over {
                return Ok(JobResult::Measured);
            }
            cancel.check()?;
            before += taken;
            while let Ok(other) = self.inbox.try_recv() {
                // A set lets them pass wherever it stands; what comes after another router's loading is for that router.
                let only_sets_wait = self.later.iter().all(|job| matches!(job.work, Work::Measure(_)));
                if only_sets_wait && matches!(other.work, Work::Route(_) | Work::Count(_)) {
                    self.perform(other);
                } else {
                    self.later.push_back(other);
                }
            }
        }
    }

    /// Loads the previous router again where a load that failed had freed it, and says so in the error.
    fn restored(&mut self, job: JobId, error: EngineError) -> EngineError {
        let Some((source, device)) = self.loaded.clone().filter(|_| self.router.is_none()) else { return error };
        let cancel = CancelToken::default();
        {
            let mut open = lock(&self.open);
            // Nobody waits for it when the engine ends, or another router comes next anyway.
            if open.closing || open.jobs.iter().any(|open| open.loads && open.id > job) {
                return error;
            }
            if let Some(open) = open.jobs.iter_mut().find(|open| open.id == job) {
                open.cancel = cancel.clone();
            }
        }
        let restored = caught(|| {
            let mut thinned = Thinned::new(|progress| send(&self.outbox, &self.wake, Event::Progress { job, progress }));
            let mut progress = |report: Progress| thinned.report(Progress { stage: "Loading the previous router again", ..report });
            (self.loader)(&source, device, &mut progress, &cancel, Previous(&mut self.router))
        });
        let outcome = match restored {
            Ok(router) => {
                self.router = Some(router);
                "the previous router is loaded again".to_owned()
            }
            // Another router is wanted by now, or the user gave up on both.
            Err(EngineError::Cancelled) => return error,
            Err(again) => format!("the previous router could not be loaded again ({again})"),
        };
        match error {
            EngineError::Cancelled if self.router.is_some() => error,
            EngineError::Cancelled => EngineError::Router(outcome),
            other => EngineError::Router(format!("{other}; {outcome}")),
        }
    }

    fn send(&self, event: Event) {
        send(&self.outbox, &self.wake, event);
    }
}

/// Sends first, then wakes, so that whoever wakes up finds the event. A receiver that is gone is no error: the jobs still end.
fn send(outbox: &Sender<Event>, wake: &dyn Fn(), event: Event) {
    if outbox.send(event).is_ok() {
        wake();
    }
}

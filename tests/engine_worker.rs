//! The engine thread: each job ends in exactly one event, whatever happens to it, to the router or to whoever listens.

mod routers;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use waypost::chat::Conversation;
use waypost::decision::{Decision, Outcome};
use waypost::engine::{
    CacheStats, CancelToken, DeviceChoice, Engine, EngineError, Event, JobId, JobResult, Loader, OnProgress, Progress, RouteRequest,
    Router, RouterDescription, RouterSource,
};
use waypost::policy::{DialectId, Policy, Route};

use crate::fake_router;

/// Far longer than anything here takes: a hang becomes a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a router does with a request, told by the name of the policy.
const ANSWER: &str = "answer";
const FAIL: &str = "fail";
const PANIC: &str = "panic";
const PANIC_WITH_A_NUMBER: &str = "panic with a number";
const PANIC_LATER: &str = "panic when asked for the cache";
const WAIT: &str = "wait for the cancel";
const FAIL_LATE: &str = "fail after the previous router was freed";
const WAIT_LATE: &str = "wait after the previous router was freed";
const REPORT: &str = "report as fast as possible";

/// What both sides of a test share.
#[derive(Clone)]
struct Stage {
    /// A message for each job that has begun to work.
    begun: (Sender<()>, Receiver<()>),
    loads: Arc<AtomicUsize>,
    /// Routers that exist, and the most that existed at once.
    alive: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    /// The loads that succeed from now on; the others fail.
    loads_left: Arc<AtomicUsize>,
    /// How long a burst of reports took.
    burst: Arc<Mutex<Duration>>,
}

struct StageRouter {
    stage: Stage,
    number: usize,
    breaks: bool,
}

impl Drop for StageRouter {
    fn drop(&mut self) {
        self.stage.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Router for StageRouter {
    fn description(&self) -> RouterDescription {
        RouterDescription { label: format!("router {}", self.number), ..RouterDescription::default() }
    }

    fn cache_stats(&self) -> CacheStats {
        assert!(!self.breaks, "the cache is broken");
        CacheStats { bytes: self.number as u64, ..CacheStats::default() }
    }

    fn decide(&mut self, request: &RouteRequest, progress: OnProgress<'_>, cancel: &CancelToken) -> Result<Decision, EngineError> {
        self.stage.begun.0.send(()).unwrap();
        progress(Progress { stage: "Working", done: 0, total: None });
        match request.policy.name.as_deref() {
            Some(FAIL) => Err(EngineError::request("it cannot be done; try another")),
            Some(PANIC) => panic!("a defect"),
            Some(PANIC_WITH_A_NUMBER) => std::panic::panic_any(7),
            Some(PANIC_LATER) => {
                self.breaks = true;
                Ok(fake_router::decision(request, None))
            }
            Some(WAIT) => Err(fake_router::wait_for(cancel)),
            Some(REPORT) => {
                let start = Instant::now();
                let mut done = 0;
                while start.elapsed() < Duration::from_millis(250) {
                    done += 1;
                    progress(Progress { stage: "Working", done, total: None });
                }
                *self.stage.burst.lock().unwrap() = start.elapsed();
                Ok(fake_router::decision(request, None))
            }
            _ => Ok(fake_router::decision(request, None)),
        }
    }
}

impl Stage {
    fn new() -> Self {
        let loads_left = Arc::new(AtomicUsize::new(usize::MAX));
        Self { begun: unbounded(), loads: Arc::default(), alive: Arc::default(), most: Arc::default(), loads_left, burst: Arc::default() }
    }

    /// Loads routers that are counted; sources that are folders tell what goes wrong.
    fn loader(&self) -> Loader {
        let stage = self.clone();
        Box::new(move |source, _, progress, cancel, previous| {
            let number = stage.loads.fetch_add(1, Ordering::Relaxed) + 1;
            progress(Progress { stage: "Reading weights", done: 1, total: Some(2) });
            match source {
                RouterSource::Hub(what) if what == FAIL => Err(EngineError::router("there is no such router; choose another")),
                RouterSource::Hub(what) if what == PANIC => panic!("a defect in loading"),
                RouterSource::Hub(what) if what == WAIT => {
                    stage.begun.0.send(()).unwrap();
                    Err(fake_router::wait_for(cancel))
                }
                RouterSource::Hub(what) if what == FAIL_LATE => {
                    previous.free();
                    Err(EngineError::router("the weights are damaged; download them again"))
                }
                RouterSource::Hub(what) if what == WAIT_LATE => {
                    previous.free();
                    stage.begun.0.send(()).unwrap();
                    Err(fake_router::wait_for(cancel))
                }
                _ if stage.loads_left.fetch_sub(1, Ordering::Relaxed) == 0 => Err(EngineError::router("the disk is gone; plug it in")),
                _ => {
                    previous.free();
                    let alive = stage.alive.fetch_add(1, Ordering::Relaxed) + 1;
                    stage.most.fetch_max(alive, Ordering::Relaxed);
                    Ok(Box::new(StageRouter { stage: stage.clone(), number, breaks: false }))
                }
            }
        })
    }

    fn engine(&self) -> Engine {
        Engine::spawn(self.loader(), || {}).unwrap()
    }

    /// Waits until a job has begun to work.
    fn begun(&self) {
        self.begun.1.recv_timeout(PATIENCE).expect("no job began");
    }
}

fn load(engine: &Engine) -> JobId {
    engine.load(RouterSource::Builtin, DeviceChoice::Cpu)
}

fn load_that(engine: &Engine, what: &str) -> JobId {
    engine.load(RouterSource::Hub(what.to_owned()), DeviceChoice::Cpu)
}

fn request(what: &str) -> RouteRequest {
    let policy = Policy { name: Some(what.to_owned()), routes: vec![Route::new("code", "Programs")], ..Policy::default() };
    RouteRequest::new(policy, Conversation::from_prompt("Sort a list"), DialectId::DEFAULT)
}

fn route(engine: &Engine, what: &str) -> JobId {
    engine.route(request(what))
}

/// How one job went, as its events tell.
#[derive(Debug)]
struct Ending {
    result: Result<JobResult, EngineError>,
    cache: Option<CacheStats>,
    reports: usize,
}

impl Ending {
    fn error(self) -> EngineError {
        self.result.expect_err("the job should have failed")
    }
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("no event came")
}

/// Takes the events of one job, which must be the next, and checks their order.
fn ending(events: &Receiver<Event>, job: JobId) -> Ending {
    assert!(matches!(next(events), Event::Started { job: started } if started == job), "{job:?} should have started");
    let mut reports = 0;
    loop {
        match next(events) {
            Event::Progress { job: of, .. } if of == job => reports += 1,
            Event::Finished { job: of, result, cache } if of == job => return Ending { result, cache, reports },
            other => panic!("{other:?} between start and end of {job:?}"),
        }
    }
}

fn assert_silent(events: &Receiver<Event>) {
    assert!(events.is_empty(), "an event too many: {:?}", events.try_recv());
}

#[test]
fn jobs_end_once_in_the_order_they_were_given() {
    let stage = Stage::new();
    let engine = stage.engine();
    let jobs = [route(&engine, ANSWER), load(&engine), route(&engine, ANSWER), route(&engine, FAIL)];
    assert!(jobs.is_sorted_by(|a, b| a < b), "ids are used once: {jobs:?}");
    let [without, loaded, decided, failed] = jobs.map(|job| ending(engine.events(), job));
    assert!(without.cache.is_none());
    assert!(without.error().to_string().contains("no router is loaded"));
    assert!(matches!(loaded.result, Ok(JobResult::Loaded(description)) if description.label == "router 1"));
    assert!(matches!(decided.result, Ok(JobResult::Decided(decision)) if decision.outcome == Outcome::NoRoute));
    assert_eq!((decided.reports, decided.cache.unwrap().bytes), (1, 1));
    assert_eq!(failed.error(), EngineError::request("it cannot be done; try another"));
    assert_silent(engine.events());
}

#[test]
fn a_set_that_is_measured_lets_single_decisions_pass_and_nothing_else() {
    let stage = Stage::new();
    let engine = stage.engine();
    // A load that has not ended would be cancelled by the next one.
    let loaded = load(&engine);
    ending(engine.events(), loaded).result.unwrap();
    let (go_on, wait) = bounded(1);
    let requests = (0..4).map(move |index| {
        // The others are asked for while the first conversation of the set is decided.
        if index == 1 {
            wait.recv_timeout(PATIENCE).expect("nobody said to go on");
        }
        request(ANSWER)
    });
    let set = engine.measure(requests);
    let [single, other, after] = [route(&engine, ANSWER), load(&engine), route(&engine, ANSWER)];
    go_on.send(()).unwrap();
    let (mut ended, mut decided) = (Vec::new(), Vec::new());
    while ended.len() < 4 {
        match next(engine.events()) {
            Event::Finished { job, result, .. } => {
                result.unwrap();
                ended.push(job);
            }
            Event::Results { job, results } => {
                assert_eq!(job, set);
                decided.extend(results.into_iter().map(|(index, _)| index));
            }
            _ => {}
        }
    }
    assert_eq!(ended, [single, set, other, after]);
    assert_eq!(decided, [0, 1, 2, 3]);
    assert_silent(engine.events());
}

#[test]
fn what_needs_no_decision_holds_up_neither_single_decisions_nor_a_cancel() {
    let stage = Stage::new();
    let engine = stage.engine();
    let loaded = load(&engine);
    ending(engine.events(), loaded).result.unwrap();
    // Longer than the test, though not without end: a worker that never looks around fails it rather than hanging it.
    let slow = || {
        std::thread::sleep(Duration::from_millis(1));
        None
    };
    let set = engine.measure_steps(std::iter::repeat_with(slow).take(25_000));
    assert!(matches!(next(engine.events()), Event::Started { job } if job == set));
    let told = next(engine.events());
    assert!(matches!(&told, Event::Results { job, results } if *job == set && results.is_empty()), "{told:?}");
    let ended = || loop {
        if let Event::Finished { job, result, .. } = next(engine.events()) {
            break (job, result.err());
        }
    };
    let single = route(&engine, ANSWER);
    assert_eq!(ended(), (single, None));
    engine.cancel(set);
    assert_eq!(ended(), (set, Some(EngineError::Cancelled)));
    assert_silent(engine.events());
}

#[test]
fn a_panic_ends_its_job_and_nothing_else() {
    let stage = Stage::new();
    let engine = stage.engine();
    let (loaded, panicked) = (load(&engine), route(&engine, PANIC));
    ending(engine.events(), loaded).result.unwrap();
    assert!(matches!(ending(engine.events(), panicked).error(), EngineError::Internal(text) if text == "a defect"));
    let panicked = route(&engine, PANIC_WITH_A_NUMBER);
    assert!(matches!(ending(engine.events(), panicked).error(), EngineError::Internal(text) if text == "a panic without a message"));
    let panicked = load_that(&engine, PANIC);
    assert!(matches!(ending(engine.events(), panicked).error(), EngineError::Internal(text) if text == "a defect in loading"));

    // Asking for the state of the cache happens outside the job's own work.
    let broken = route(&engine, PANIC_LATER);
    let broken = ending(engine.events(), broken);
    assert!(broken.result.is_ok() && broken.cache.is_none());
    let again = load(&engine);
    ending(engine.events(), again).result.unwrap();
    let after = route(&engine, ANSWER);
    assert!(ending(engine.events(), after).result.is_ok(), "the thread goes on");
    assert_silent(engine.events());
}

#[test]
fn cancelling_before_the_start_skips_the_work() {
    let stage = Stage::new();
    let engine = stage.engine();
    let (loaded, running, queued, after) = (load(&engine), route(&engine, WAIT), route(&engine, ANSWER), route(&engine, ANSWER));
    stage.begun();
    engine.cancel(queued);
    engine.cancel(running);
    ending(engine.events(), loaded).result.unwrap();
    assert_eq!(ending(engine.events(), running).error(), EngineError::Cancelled);
    let skipped = ending(engine.events(), queued);
    assert_eq!((skipped.reports, skipped.error()), (0, EngineError::Cancelled));
    ending(engine.events(), after).result.unwrap();
    assert_eq!(stage.begun.1.len(), 1, "of three requests the cancelled one never reached the router");
    // Ended and unknown jobs.
    engine.cancel(running);
    engine.cancel(JobId(999));
    let last = route(&engine, ANSWER);
    ending(engine.events(), last).result.unwrap();
    assert_silent(engine.events());
}

#[test]
fn a_burst_of_reports_is_thinned_to_thirty_a_second() {
    let stage = Stage::new();
    let engine = stage.engine();
    let (loaded, reporting) = (load(&engine), route(&engine, REPORT));
    ending(engine.events(), loaded).result.unwrap();
    let ending = ending(engine.events(), reporting);
    // Counted against the time that the burst did take, so that a slow machine changes nothing.
    let most = stage.burst.lock().unwrap().as_secs_f64() * 30.0 + 1.0;
    assert!(ending.reports >= 1 && ending.reports as f64 <= most, "{} reports, {most} are allowed", ending.reports);
}

#[test]
fn dropping_the_engine_ends_what_runs_and_all_that_waits() {
    let stage = Stage::new();
    let engine = stage.engine();
    let events = engine.events().clone();
    let (loaded, running) = (load(&engine), route(&engine, WAIT));
    let queued: Vec<JobId> = (0..200).map(|_| route(&engine, ANSWER)).collect();
    stage.begun();
    drop(engine);
    assert_eq!(stage.alive.load(Ordering::Relaxed), 0, "dropping joins the thread, and the router is gone with it");
    ending(&events, loaded).result.unwrap();
    for job in [running].into_iter().chain(queued) {
        assert_eq!(ending(&events, job).error(), EngineError::Cancelled);
    }
    assert!(events.recv().is_err(), "nothing comes after the end");
}

#[test]
fn nobody_has_to_listen() {
    let stage = Stage::new();
    let engine = stage.engine();
    load(&engine);
    for _ in 0..100 {
        route(&engine, ANSWER);
    }
    stage.begun();
    drop(engine);
    assert_eq!(stage.alive.load(Ordering::Relaxed), 0);
    // An engine without any job ends too.
    drop(Stage::new().engine());
}

#[test]
fn waking_follows_each_event() {
    let stage = Stage::new();
    let (woken, wakes) = bounded(1000);
    let engine = Engine::spawn(stage.loader(), move || woken.send(()).unwrap()).unwrap();
    load(&engine);
    for _ in 0..2 {
        route(&engine, ANSWER);
    }
    // Whoever is woken finds an event: start, report and end of three jobs.
    for _ in 0..9 {
        wakes.recv_timeout(PATIENCE).expect("no wake came");
        assert!(engine.events().try_recv().is_ok());
    }
    drop(engine);
    assert!(wakes.recv().is_err(), "as many wakes as events");
}

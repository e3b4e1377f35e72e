//! Measuring a policy on a set: one job of the engine, whose results come in pieces and are counted away from the drawing thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Measuring;
use super::session::App;
use super::{DocId, Job, JobId, JobKind, RunView};
use crate::decision::Decision;
use crate::engine::EngineError;
use crate::eval::Run;
use crate::policy::DialectId;

/// Time between two versions of the figures while results come in, at least; and how many times longer than computing them takes.
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: u32 = 8;

type Results = Vec<(usize, Result<Decision, EngineError>)>;

/// A measurement under way, as far as nobody draws it.
pub(super) struct Measurement {
    job: JobId,
    /// Away while its results are being counted.
    collector: Option<Collector>,
    /// Results that are not counted yet.
    waiting: Results,
    count_at: Instant,
    /// Whether the engine has no more results, and how it ended.
    ended: Option<Result<(), EngineError>>,
}

impl App {
    /// Measures the policy on screen.
    pub(super) fn measure_present(&mut self) {
        self.to_measure.clear();
        self.measure(self.state.policy().id);
    }

    /// Measures each open policy, one after another, and compares them.
    pub(super) fn measure_variants(&mut self) {
        self.to_measure = self.state.policies.iter().filter(|document| !document.text.policy.routes.is_empty()).map(|document| document.id).collect();
        self.compare_measured = true;
        self.state.compare.included.clear();
        self.measure_next();
    }

    fn measure_next(&mut self) {
        if let Some(next) = self.to_measure.pop_front() {
            self.measure(next);
        }
    }

    fn measure(&mut self, id: DocId) {
        let Some(open) = self.state.batch.set.clone() else { return };
        let Some(document) = self.state.policies.iter().find(|document| document.id == id) else { return self.measure_next() };
        let policy = Arc::clone(&document.text.policy);
        let dialect = self.state.batch.dialect.or(policy.dialect).unwrap_or(DialectId::DEFAULT);
        let name = self.state.library.free_name(&document.title);
        let path = document.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let limit = self.state.batch.limit;
        let (requests, collector) = start(&open.set, policy, path, dialect, limit, &name, self.state.router.description.as_ref());
        let planned = open.set.turns(limit);
        let job = self.engine.measure(requests);
        self.state.jobs.push(Job { id: job, kind: JobKind::Measure, started: false, cancelling: false, progress: None });
        let now = Instant::now();
        self.measurement = Some(Measurement { job, collector: Some(collector), waiting: Vec::new(), count_at: now + PAUSE, ended: None });
        let waiting = self.to_measure.len();
        self.state.batch.measuring = Some(Measuring { job, name, done: 0, planned, start: now, waiting });
        self.state.batch.shown = None;
        self.is_first_view = true;
    }

    /// Takes results in; they are counted later, together with those that follow soon.
    pub(super) fn measured(&mut self, job: JobId, results: Results) {
        let Some(measurement) = self.measurement.as_mut().filter(|measurement| measurement.job == job) else {
            return self.causes_decided(job, results);
        };
        if let Some(measuring) = &mut self.state.batch.measuring {
            measuring.done += results.len();
        }
        measurement.waiting.extend(results);
    }

    /// Counts what came in, if the pause after the last count is over; returns how long it still is.
    pub(super) fn tick_measuring(&mut self, now: Instant) -> Option<Duration> {
        // The bar of a set that is read moves with the clock: the reader sends nothing.
        let reading = self.state.batch.opening.is_some().then_some(Duration::from_millis(100));
        let Some(measurement) = &mut self.measurement else { return reading };
        let due = measurement.collector.is_some() && (!measurement.waiting.is_empty() || measurement.ended.is_some());
        if !due {
            return reading;
        }
        if now < measurement.count_at && measurement.ended.is_none() {
            return Some(measurement.count_at - now);
        }
        let mut collector = measurement.collector.take()?;
        let results = std::mem::take(&mut measurement.waiting);
        let ended = measurement.ended.take();
        let count = move || {
            let start = Instant::now();
            collector.add(results);
            let view = RunView::new(Arc::new(collector.run()));
            (collector, view, start.elapsed())
        };
        self.figures.run(count, move |app, (collector, view, took)| app.counted(collector, Arc::new(view), took, ended));
        reading
    }

    fn counted(&mut self, collector: Collector, view: Arc<RunView>, took: Duration, ended: Option<Result<(), EngineError>>) {
        let is_first = std::mem::take(&mut self.is_first_view);
        let follows = self.state.batch.shown.is_none();
        if follows {
            self.show_view(Arc::clone(&view), is_first);
        }
        match ended {
            None => {
                if let Some(measurement) = &mut self.measurement {
                    measurement.collector = Some(collector);
                    measurement.count_at = Instant::now() + PAUSE.max(took * PATIENCE);
                }
            }
            Some(result) => {
                self.measurement = None;
                self.finish(view, result);
            }
        }
    }

    /// The engine has no more results for a job that measures.
    pub(super) fn measurement_ended(&mut self, job: JobId, result: Result<(), EngineError>) {
        match self.measurement.as_mut().filter(|measurement| measurement.job == job) {
            Some(measurement) => measurement.ended = Some(result),
            None => self.causes_ended(job, result),
        }
    }

    /// Keeps a run that ended, however it ended, and goes on with the next policy.
    fn finish(&mut self, view: Arc<RunView>, result: Result<(), EngineError>) {
        self.state.batch.measuring = None;
        let decided = view.run.turns.len();
        match &result {
            Ok(()) => self.state.log.info(format!("Measured {}: {decided} cases", view.run.info.name)),
            Err(EngineError::Cancelled) => self.state.log.info(format!("Stopped measuring after {decided} of {} cases", view.run.info.planned)),
            Err(error) => self.state.log.error(format!("Measuring {} ended after {decided} cases: {error}", view.run.info.name)),
        }
        if result.is_err() {
            self.to_measure.clear();
        }
        if decided > 0 {
            let follows = self.state.batch.shown.is_none();
            let id = self.keep(Arc::clone(&view));
            if follows {
                self.state.batch.shown = Some(id.clone());
            }
            self.compare_with_baseline(id);
        }
        self.measure_next();
    }
}

pub(super) struct Collector {
    info: crate::eval::RunInfo,
    policy: Arc<crate::policy::Policy>,
    keys: std::sync::mpsc::Receiver<crate::eval::TurnKey>,
    known: Vec<Option<crate::eval::TurnKey>>,
    turns: Vec<crate::eval::TurnResult>,
    start: Instant,
}

impl Collector {
    fn add(&mut self, results: Results) {
        self.known.extend(self.keys.try_iter().map(Some));
        for (index, result) in results {
            let Some(key) = self.known.get_mut(index).and_then(Option::take) else { continue };
            self.turns.push(match result {
                Ok(decision) => {
                    self.info.router = decision.router.clone();
                    crate::eval::TurnResult::new(key, &decision, &self.info.labels)
                }
                Err(error) => crate::eval::TurnResult::failed(key, error.to_string()),
            });
        }
        self.turns.sort_by_key(|turn| (turn.conversation, turn.turn));
        self.info.seconds = self.start.elapsed().as_secs_f64();
    }
    fn run(&self) -> Run {
        Run { info: self.info.clone(), policy: Arc::clone(&self.policy), turns: self.turns.clone() }
    }
}

fn start(
    set: &Arc<crate::formats::LabelledSet>,
    policy: Arc<crate::policy::Policy>,
    path: String,
    dialect: DialectId,
    limit: Option<usize>,
    name: &str,
    router: Option<&super::RouterDescription>,
) -> (impl Iterator<Item = crate::engine::RouteRequest> + Send + use<>, Collector) {
    use crate::policy::Policy;
    let (sender, keys) = std::sync::mpsc::channel();
    let other = crate::policy::NO_ROUTE_LABEL.to_owned();
    let names = |policy: &Policy| policy.routes.iter().map(|route| route.name.clone()).chain([other.clone()]).collect::<Vec<_>>();
    let labels = names(&policy);
    let info = crate::eval::RunInfo {
        name: name.to_owned(),
        date: "2026-11-26T11:00:00Z".to_owned(),
        waypost: env!("CARGO_PKG_VERSION").to_owned(),
        policy: crate::eval::Source { path, sha256: String::new() },
        policy_digest: crate::formats::policy_digest(&policy),
        set: crate::eval::Source { path: set.path().display().to_string(), sha256: set.sha256().to_owned() },
        router: router.map(|router| router.info.clone()).unwrap_or_default(),
        router_digest: None,
        dialect,
        orders: 0,
        seed: 0,
        planned: set.turns(limit),
        reused: 0,
        seconds: 0.0,
        min_agreement: None,
        per_turn: set.is_per_turn(),
        labels,
    };
    let collector = Collector { info, policy: Arc::clone(&policy), keys, known: Vec::new(), turns: Vec::new(), start: Instant::now() };
    let set = Arc::clone(set);
    let mut reader = set.reader().ok();
    let requests = (0..set.cases().len().min(limit.unwrap_or(usize::MAX))).flat_map(move |at| {
        let entry = &set.cases()[at];
        let case = reader.as_mut().and_then(|reader| reader.read(entry).ok());
        let mut requests = Vec::new();
        for (turn, (conversation, label)) in case.iter().flat_map(|case| case.turns()).enumerate() {
            let own = case.as_ref().and_then(|case| case.routes.clone()).map(|routes| Arc::new(Policy { routes, ..Policy::clone(&policy) }));
            let key = crate::eval::TurnKey {
                conversation: at,
                line: entry.place.line,
                id: Arc::clone(&entry.id),
                turn,
                label: label.into(),
                routes: None,
            };
            sender.send(key).ok();
            requests.push(crate::engine::RouteRequest {
                policy: own.unwrap_or_else(|| Arc::clone(&policy)),
                conversation: Arc::new(conversation),
                dialect,
                budget: None,
                orders: 0,
                seed: 0,
            });
        }
        requests
    });
    (requests, collector)
}

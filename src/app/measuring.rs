//! Measuring a policy on the open set: one job of the engine, whose results come in pieces and are counted away from the drawing thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Measuring;
use super::measure::{Collector, Measurement, Progressed, Requests, Resumable, plan, router_digest};
use super::session::App;
use super::state::State;
use super::{DocId, Document, Job, JobId, JobKind, PolicyText, RunView};
use crate::decision::Decision;
use crate::engine::{EngineError, RouterStamp};
use crate::eval::{Run, Source};
use crate::formats::sha256;
use crate::policy::DialectId;

/// Time between two versions of the figures while results come in, at least; and how many times longer than computing them takes.
const PAUSE: Duration = Duration::from_millis(300);
const PATIENCE: u32 = 8;

/// Decisions with the positions of their requests.
pub(super) type Results = Vec<(usize, Result<Decision, EngineError>)>;

/// A measurement under way, as far as nobody draws it.
pub(super) struct Ongoing {
    job: JobId,
    /// Away while its results are being counted.
    collector: Option<Collector>,
    /// Results that are not counted yet.
    waiting: Results,
    /// Whether the engine told of something to count since the last time; kept results come to the collector by another way.
    heard: bool,
    count_at: Instant,
    /// How the engine ended, once it has no more results.
    ended: Option<Result<(), EngineError>>,
}

/// What counting gives: the collector, as long as there may be more results.
struct Counted {
    collector: Option<Collector>,
    progress: Progressed,
    warning: Option<String>,
    /// Why the set could not be read to its end.
    unreadable: Option<String>,
    /// Of a run that is over: what it could be resumed from, until it is written.
    resumable: Option<Resumable>,
    view: RunView,
    took: Duration,
}

impl State {
    /// Returns those of the open variants that the open set is about. What others decide on it says nothing about them, and beside them every
    /// variant looks better than it is.
    pub(super) fn measurable_variants(&self) -> impl Iterator<Item = &Document<PolicyText>> {
        let set = self.batch.set.as_ref().map(|open| &open.set);
        self.variants().filter(move |document| set.is_none_or(|set| set.concerns(&document.text.policy)))
    }
}

impl App {
    /// Measures the policy on screen.
    pub(super) fn measure_present(&mut self) {
        self.end_series();
        self.measure(self.state.policy().id);
    }

    /// Measures each open policy that the set is about, one after another, and compares them.
    pub(super) fn measure_variants(&mut self) {
        self.to_measure = self.state.measurable_variants().map(|document| document.id).collect();
        let is_left_out = |document: &&Document<PolicyText>| !self.to_measure.contains(&document.id);
        let left_out: Vec<&str> = self.state.policies.iter().filter(is_left_out).map(|document| document.title.as_str()).collect();
        if !left_out.is_empty() {
            let sentence = format!("Not measured, since the set's labels name none of their routes: {}", left_out.join(", "));
            self.state.log.info(sentence);
        }
        self.compare_measured = true;
        self.measure_next();
    }

    /// Nothing is measured after the present measurement, which then is one of its own.
    fn end_series(&mut self) {
        self.to_measure.clear();
        self.compare_measured = false;
    }

    /// Returns whether a measurement is under way; one that was stopped while it was prepared is not.
    fn is_measured(&self, ticket: &Arc<()>) -> bool {
        self.state.batch.measuring.as_ref().is_some_and(|measuring| Arc::ptr_eq(&measuring.ticket, ticket))
    }

    /// Ends a measurement whose preparing failed.
    fn abandon_preparing(&mut self, ticket: &Arc<()>) {
        if self.is_measured(ticket) {
            self.state.batch.measuring = None;
            self.end_series();
        }
    }

    /// Ends a measurement whose counting failed.
    fn abandon_counting(&mut self, job: JobId) {
        if self.ongoing.take_if(|ongoing| ongoing.job == job).is_none() {
            return;
        }
        self.cancel(job);
        self.state.batch.measuring = None;
        self.end_series();
        // What was counted before stays, as when it is stopped.
        let batch = &self.state.batch;
        let counted = batch.view.clone().filter(|_| batch.shown.is_none() && !self.is_first_view);
        if let Some(view) = counted {
            self.state.batch.shown = Some(self.keep(view));
        }
    }

    fn measure_next(&mut self) {
        if let Some(next) = self.to_measure.pop_front() {
            self.measure(next);
        }
    }

    /// Prepares a measurement in the background: digests of large routers take seconds, and kept results are read.
    fn measure(&mut self, id: DocId) {
        let Some(open) = self.state.batch.set.clone() else { return };
        let Some(document) = self.state.policies.iter().find(|document| document.id == id) else { return self.measure_next() };
        if let Some(obstacle) = document.text.obstacle() {
            self.state.log.error(format!("{} was not measured. {obstacle}", document.title));
            return self.measure_next();
        }
        let policy = Arc::clone(&document.text.policy);
        let digest = sha256(document.text.yaml().as_bytes());
        let path = document.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
        let name = self.state.library.free_name(&document.title);
        let mut measurement = Measurement {
            dialect: self.state.batch.dialect.or(policy.dialect).unwrap_or(DialectId::DEFAULT),
            policy,
            policy_source: Source { path, sha256: digest },
            set: Arc::clone(&open.set),
            budget: None,
            orders: self.state.batch.orders,
            seed: 0,
            limit: self.state.batch.limit,
            router: self.state.router.description.as_ref().map(|router| router.info.clone()).unwrap_or_default(),
            router_digest: None,
            name: name.clone(),
            min_agreement: self.state.batch.gate,
            min_recall: None,
            kept: self.store.as_ref().map(|store| store.folder().join("results")),
        };
        let progress = Progressed { planned: open.set.turns(measurement.limit), ..Progressed::default() };
        let ticket = Arc::new(());
        let measuring = Measuring { job: None, name, progress, fresh: 0, waiting: self.to_measure.len(), ticket: Arc::clone(&ticket) };
        self.state.batch.measuring = Some(measuring);
        let (source, digests) = (self.state.router.source.clone(), self.caches.digests.clone());
        let loaded = self.state.router.description.as_ref().and_then(|router| router.stamp.clone());
        let identify = move || {
            measurement.router_digest = router_digest(&source, digests.as_deref());
            // After the digest, which is then of the files that the router in memory was read from.
            if loaded.is_some_and(|stamp| stamp != RouterStamp::of(&source)) {
                return Err(format!(
                    "{} was not measured. The router's files have changed since it was loaded; choose \"Load router again\", \
                     then measure",
                    measurement.name
                ));
            }
            Ok(measurement)
        };
        let abandoned = Arc::clone(&ticket);
        // On a thread of its own: sets are opened and labels written while gigabytes are read.
        self.background(
            "waypost-digest",
            move |send| {
                let identified = identify();
                send(Box::new(move |app: &mut App| app.prepare(identified, ticket)));
            },
            move |app, _| app.abandon_preparing(&abandoned),
        );
    }

    /// Plans a measurement once its router is known. That waits for what is written of earlier runs, which it may go on with.
    fn prepare(&mut self, identified: Result<Measurement, String>, ticket: Arc<()>) {
        if !self.is_measured(&ticket) {
            return;
        }
        let mut measurement = match identified {
            Ok(measurement) => measurement,
            Err(error) => return self.begin(Err(error), &ticket),
        };
        // Labels may have been written since it was asked for.
        if let Some(set) = self.state.batch.newer_set(&measurement.set) {
            if let Some(measuring) = &mut self.state.batch.measuring {
                measuring.progress.planned = set.turns(measurement.limit);
            }
            measurement.set = set;
        }
        let abandoned = Arc::clone(&ticket);
        self.files.run(
            move || plan(&measurement).map_err(|error| (Box::new(measurement), error.to_string())),
            move |app, planned| match planned {
                Err((measurement, _)) if app.state.batch.newer_set(&measurement.set).is_some() => app.prepare(Ok(*measurement), ticket),
                planned => app.begin(planned.map_err(|(_, error)| error), &ticket),
            },
            move |app| app.abandon_preparing(&abandoned),
        );
    }

    fn begin(&mut self, planned: Result<(Requests, Collector), String>, ticket: &Arc<()>) {
        // Unless it was stopped while it was prepared.
        let Some(measuring) = self.state.batch.measuring.as_mut().filter(|measuring| Arc::ptr_eq(&measuring.ticket, ticket)) else {
            return;
        };
        let (requests, collector) = match planned {
            Ok(planned) => planned,
            Err(error) => {
                self.state.batch.measuring = None;
                self.end_series();
                return self.state.log.error(error);
            }
        };
        let job = self.engine.measure_steps(requests.into_steps());
        measuring.job = Some(job);
        self.state.jobs.push(Job { id: job, kind: JobKind::Measure, started: false, cancelling: false, progress: None });
        let count_at = Instant::now() + PAUSE;
        self.ongoing = Some(Ongoing { job, collector: Some(collector), waiting: Vec::new(), heard: false, count_at, ended: None });
        // The run on screen stays what it is until there is something to see of this one, which may be never.
        self.is_first_view = true;
    }

    /// Stops measuring; what is decided so far stays.
    pub(super) fn stop_measuring(&mut self) {
        self.end_series();
        match self.state.batch.measuring.as_ref().map(|measuring| measuring.job) {
            Some(Some(job)) => self.cancel(job),
            Some(None) => self.state.batch.measuring = None,
            None => {}
        }
    }

    /// Takes results in; they are counted later, together with those that follow soon.
    pub(super) fn measured(&mut self, job: JobId, results: Results) {
        match self.ongoing.as_mut().filter(|ongoing| ongoing.job == job) {
            Some(ongoing) => {
                if let Some(measuring) = &mut self.state.batch.measuring {
                    measuring.fresh += results.len();
                }
                ongoing.waiting.extend(results);
                ongoing.heard = true;
            }
            None => self.causes_decided(job, results),
        }
    }

    /// The engine has no more results of a job that measures.
    pub(super) fn measurement_ended(&mut self, job: JobId, result: Result<(), EngineError>) {
        match self.ongoing.as_mut().filter(|ongoing| ongoing.job == job) {
            Some(ongoing) => ongoing.ended = Some(result),
            None => self.causes_ended(job, result),
        }
    }

    /// Counts what came in, if the pause after the last count is over; returns how long it still is.
    pub(super) fn tick_measuring(&mut self, now: Instant) -> Option<Duration> {
        // The bar of a set that is read moves with the clock: the reader sends nothing.
        let reading = self.state.batch.opening.is_some().then_some(Duration::from_millis(100));
        let Some(ongoing) = &mut self.ongoing else { return reading };
        if !ongoing.heard && ongoing.ended.is_none() {
            return reading;
        }
        if now < ongoing.count_at && ongoing.ended.is_none() {
            return Some(ongoing.count_at - now);
        }
        let Some(collector) = ongoing.collector.take() else { return reading };
        ongoing.heard = false;
        let (results, ended) = (std::mem::take(&mut ongoing.waiting), ongoing.ended.take());
        let (job, is_over) = (ongoing.job, ended.is_some());
        self.figures.run(
            move || count(collector, results, is_over),
            move |app, counted| app.counted(counted, ended),
            move |app| app.abandon_counting(job),
        );
        reading
    }

    fn counted(&mut self, counted: Counted, ended: Option<Result<(), EngineError>>) {
        let Counted { collector, progress, warning, unreadable, resumable, view, took } = counted;
        let view = Arc::new(view);
        if let Some(measuring) = &mut self.state.batch.measuring {
            (measuring.progress, measuring.fresh) = (progress, 0);
        }
        // Unless the user looks at another run meanwhile, or there is nothing to see yet.
        let batch = &mut self.state.batch;
        let follows = (self.is_first_view || batch.shown.is_none()) && !view.run.turns.is_empty();
        if follows {
            let is_another = std::mem::take(&mut self.is_first_view) || batch.view.is_none();
            batch.shown = None;
            self.show_view(Arc::clone(&view), is_another);
        }
        match (ended, &mut self.ongoing) {
            (None, Some(ongoing)) => {
                ongoing.collector = collector;
                ongoing.count_at = Instant::now() + PAUSE.max(took * PATIENCE);
            }
            (None, None) => {}
            (Some(result), _) => {
                self.ongoing = None;
                if let Some(sentence) = warning {
                    self.state.log.error(sentence);
                }
                let result = unreadable.map_or(result, |error| Err(EngineError::Request(error)));
                self.finish_measuring(view, resumable, result, follows);
            }
        }
    }

    /// Keeps a run that ended, however it ended, and goes on with the next policy.
    fn finish_measuring(&mut self, view: Arc<RunView>, resumable: Option<Resumable>, result: Result<(), EngineError>, is_shown: bool) {
        self.state.batch.measuring = None;
        let (name, decided, planned) = (&view.run.info.name, view.run.turns.len(), view.run.info.planned);
        let (undecided, reason) = (view.figures.undecided, view.figures.undecided_kinds.first());
        match (&result, reason) {
            (Ok(()), Some(reason)) => self.state.log.error(format!(
                "Measured {name}, but {undecided} of {planned} cases were not decided ({}); measure again to ask for them",
                reason.error
            )),
            (Ok(()), None) => self.state.log.info(format!("Measured {name}: {decided} cases")),
            (Err(EngineError::Cancelled), _) => self.state.log.info(format!("Stopped measuring {name} after {decided} of {planned} cases")),
            (Err(error), _) => self.state.log.error(format!("Measuring {name} ended after {decided} of {planned} cases: {error}")),
        }
        if result.is_err() {
            self.end_series();
        }
        if decided > 0 {
            let id = self.keep(Arc::clone(&view));
            self.correct_measured(&id, &view.run);
            // After the run in the order of that thread's work, so that a kill in between costs neither.
            self.files.run(move || resumable.map_or((), Resumable::end), |_, ()| (), |_| ());
            if is_shown {
                self.state.batch.shown = Some(id.clone());
            }
            self.put_beside_baseline(id);
        } else {
            self.corrected_meanwhile.clear();
        }
        if self.to_measure.is_empty() {
            self.compare_measured = false;
        }
        self.measure_next();
    }
}

fn count(mut collector: Collector, results: Results, is_over: bool) -> Counted {
    let start = Instant::now();
    for (request, result) in results {
        collector.take(request, result);
    }
    collector.listen();
    let (progress, warning) = (collector.progress(), collector.warning().map(str::to_owned));
    let run: Run = collector.run();
    let unreadable = collector.unreadable().map(ToString::to_string);
    let (collector, resumable) = if is_over { (None, Some(collector.into_resumable())) } else { (Some(collector), None) };
    Counted { collector, progress, warning, unreadable, resumable, view: RunView::new(Arc::new(run)), took: start.elapsed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tasks::tests::{app, defective, fail, measuring};

    #[test]
    fn a_measurement_ends_when_counting_its_results_panics() {
        let mut app = app();
        let job = JobId(u64::MAX);
        app.state.batch.measuring = Some(measuring(Some(job)));
        // Its collector is away while its results are counted.
        let count_at = Instant::now();
        app.ongoing = Some(Ongoing { job, collector: None, waiting: Vec::new(), heard: false, count_at, ended: None });
        app.figures.run(defective, |_, ()| (), move |app| app.abandon_counting(job));
        fail(&mut app);
        assert!(app.state.batch.measuring.is_none() && app.ongoing.is_none());
    }

    #[test]
    fn a_measurement_ends_when_its_preparing_panics_and_so_do_those_after_it() {
        let mut app = app();
        let measuring = measuring(None);
        let ticket = Arc::clone(&measuring.ticket);
        app.state.batch.measuring = Some(measuring);
        app.to_measure.push_back(app.state.policy().id);
        // That of one that was stopped before is no end of this one.
        app.abandon_preparing(&Arc::default());
        assert!(app.state.batch.measuring.is_some());
        app.background("waypost-digest", |_| defective(), move |app, _| app.abandon_preparing(&ticket));
        fail(&mut app);
        assert!(app.state.batch.measuring.is_none() && app.to_measure.is_empty());
    }
}

//! Routers come and go: loading, switching, what a failure leaves behind, and a real one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::unbounded;
use waypost::chat::Conversation;
use waypost::decision::{Decision, RouterInfo};
use waypost::engine::{
    CacheStats, CancelToken, DeviceChoice, Engine, EngineError, Event, JobResult, Loader, OnProgress, RouteRequest, Router,
    RouterDescription, RouterSource, loader,
};
use waypost::policy::DialectId;

use super::{
    ANSWER, Ending, FAIL, FAIL_LATE, PANIC, PATIENCE, Stage, WAIT, WAIT_LATE, assert_silent, ending, load, load_that, next, request, route,
};
use crate::tiny_model::{Shape, Storage, TinyModel};

#[test]
fn a_failed_load_keeps_the_router_that_is_there() {
    let stage = Stage::new();
    let engine = stage.engine();
    // One at a time: a load supersedes the one before it.
    let loaded = |what: Option<&str>| {
        let job = what.map_or_else(|| load(&engine), |what| load_that(&engine, what));
        ending(engine.events(), job)
    };
    loaded(None).result.unwrap();
    let (failed, panicked) = (loaded(Some(FAIL)), loaded(Some(PANIC)));
    let decided = route(&engine, ANSWER);
    let decided = ending(engine.events(), decided);
    let replaced = loaded(None);
    assert!(failed.cache.is_some() && panicked.cache.is_some());
    assert_eq!(failed.error().to_string(), "there is no such router; choose another");
    assert_eq!(decided.cache.unwrap().bytes, 1, "the first router decided");
    assert!(matches!(replaced.result, Ok(JobResult::Loaded(description)) if description.label == "router 4"));
    assert_eq!(stage.alive.load(Ordering::Relaxed), 1, "a replaced router is dropped");
}

#[test]
fn switching_frees_the_old_router_first_and_a_failure_after_that_brings_it_back() {
    let stage = Stage::new();
    let engine = stage.engine();
    for number in 1..=2 {
        let loaded = load(&engine);
        assert_eq!(ending(engine.events(), loaded).cache.unwrap().bytes, number);
    }
    assert_eq!(stage.most.load(Ordering::Relaxed), 1, "the first was gone before the second came");

    // The third load fails late, the fourth brings the second router back.
    let failed = load_that(&engine, FAIL_LATE);
    let failed = ending(engine.events(), failed);
    assert_eq!(failed.cache.map(|cache| cache.bytes), Some(4));
    let sentence = failed.error().to_string();
    assert!(sentence.contains("weights are damaged") && sentence.contains("previous router is loaded again"), "{sentence}");
    let decided = route(&engine, ANSWER);
    assert!(ending(engine.events(), decided).result.is_ok());

    // A cancel by hand brings it back too, and is no failure.
    stage.begun();
    let waiting = load_that(&engine, WAIT_LATE);
    stage.begun();
    engine.cancel(waiting);
    let cancelled = ending(engine.events(), waiting);
    assert_eq!((cancelled.cache.map(|cache| cache.bytes), cancelled.error()), (Some(6), EngineError::Cancelled));

    // Where it cannot be brought back, nothing is loaded and the error says so.
    stage.loads_left.store(0, Ordering::Relaxed);
    let failed = load_that(&engine, FAIL_LATE);
    let failed = ending(engine.events(), failed);
    assert!(failed.cache.is_none());
    let sentence = failed.error().to_string();
    assert!(sentence.contains("weights are damaged") && sentence.contains("could not be loaded again (the disk is gone"), "{sentence}");
    let without = route(&engine, ANSWER);
    assert!(ending(engine.events(), without).error().to_string().contains("no router is loaded"));
    assert_silent(engine.events());
}

#[test]
fn of_several_loads_the_last_one_counts() {
    let stage = Stage::new();
    let engine = stage.engine();
    let first = load(&engine);
    ending(engine.events(), first).result.unwrap();
    // One that works, after it has freed the first router, and two that wait: all are superseded by the next one.
    let working = load_that(&engine, WAIT_LATE);
    stage.begun();
    let (second, third, last, decided) = (load(&engine), load(&engine), load(&engine), route(&engine, ANSWER));
    for superseded in [working, second, third] {
        assert_eq!(ending(engine.events(), superseded).error(), EngineError::Cancelled);
    }
    assert!(ending(engine.events(), last).result.is_ok());
    assert!(ending(engine.events(), decided).result.is_ok());
    assert_eq!(stage.loads.load(Ordering::Relaxed), 3, "neither those that waited nor the first one were loaded");
    assert_eq!(stage.most.load(Ordering::Relaxed), 1);
    assert_silent(engine.events());
}

#[test]
fn a_cancelled_load_ends_as_cancelled_and_the_next_one_is_taken() {
    let stage = Stage::new();
    let engine = stage.engine();
    let waiting = load_that(&engine, WAIT);
    stage.begun();
    engine.cancel(waiting);
    assert_eq!(ending(engine.events(), waiting).error(), EngineError::Cancelled);
    let after = load(&engine);
    ending(engine.events(), after).result.unwrap();
}

/// A conversation that takes the tiny network seconds, so that a cancel finds it at work.
fn long_request() -> RouteRequest {
    let mut request = request("long");
    request.dialect = DialectId::ModelCard;
    request.conversation = Arc::new(Conversation::from_prompt("qzxj ".repeat(4000)));
    request
}

#[test]
fn a_real_router_loads_decides_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape { layers: 2, context: 1 << 16, ..Shape::SMALL };
    let source = TinyModel::random(shape, 21).write(folder.path(), Storage::F32, 1);
    let (woken, wakes) = unbounded();
    let engine = Engine::spawn(loader(), move || woken.send(()).unwrap_or_default()).unwrap();
    let loaded = engine.load(source, DeviceChoice::Cpu);
    let description = match ending(engine.events(), loaded) {
        Ending { result: Ok(JobResult::Loaded(description)), reports: 1.., .. } => description,
        other => panic!("{other:?}"),
    };
    assert_eq!((description.context, description.info.dtype.as_str()), (1 << 16, "f32"));
    assert!(description.weight_bytes > 100_000 && description.info.id == folder.path().display().to_string());

    let missing = engine.load(RouterSource::Folder(folder.path().join("missing")), DeviceChoice::Cpu);
    assert!(ending(engine.events(), missing).error().to_string().contains("missing"));

    let decided = route(&engine, ANSWER);
    let ended = ending(engine.events(), decided);
    let Ok(JobResult::Decided(decision)) = ended.result else { panic!("{:?}", ended.result) };
    assert_eq!(decision.probabilities.len(), 2);
    assert!(ended.cache.unwrap().bytes > 0 && decision.tokens.prompt > 100);

    // Cancelled as soon as it has started; what is left of it is at most one layer of one chunk.
    let long = engine.route(long_request());
    while !matches!(next(engine.events()), Event::Started { job } if job == long) {}
    engine.cancel(long);
    let Event::Finished { job, result, .. } = next(engine.events()) else { panic!("the job should have ended") };
    assert_eq!((job, result.err()), (long, Some(EngineError::Cancelled)));

    // A cancelled request leaves nothing half done behind: the same decision again, from the cache.
    let again = route(&engine, ANSWER);
    let Ok(JobResult::Decided(second)) = ending(engine.events(), again).result else { panic!("the second decision failed") };
    assert_eq!(second.answer, decision.answer);
    assert_eq!(second.tokens.cached, second.tokens.prompt - 1);
    engine.route(long_request());
    drop(engine);
    assert!(wakes.iter().count() > 10);
}

/// A router that says where it is, and takes 1007 bytes there.
struct Placed(&'static str);

impl Router for Placed {
    fn description(&self) -> RouterDescription {
        let info = RouterInfo { device: self.0.to_owned(), ..RouterInfo::default() };
        RouterDescription { info, weight_bytes: 1000, ..RouterDescription::default() }
    }

    fn cache_stats(&self) -> CacheStats {
        CacheStats { bytes: 7, ..CacheStats::default() }
    }

    fn decide(&mut self, _: &RouteRequest, _: OnProgress<'_>, _: &CancelToken) -> Result<Decision, EngineError> {
        Err(EngineError::Cancelled)
    }
}

#[test]
fn only_a_router_on_the_cpu_gives_main_memory_back() {
    let mut devices = ["cuda", "cpu", "cuda"].into_iter();
    let (seen, freed) = unbounded();
    let placed: Loader = Box::new(move |_, _, _, _, previous| {
        seen.send(previous.bytes()).unwrap();
        previous.free();
        Ok(Box::new(Placed(devices.next().unwrap())))
    });
    let engine = Engine::spawn(placed, || {}).unwrap();
    for expected in [0, 0, 1007] {
        let job = load(&engine);
        ending(engine.events(), job).result.unwrap();
        assert_eq!(freed.recv_timeout(PATIENCE), Ok(expected));
    }
}

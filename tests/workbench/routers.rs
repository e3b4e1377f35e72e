//! The list of routers in the window, by accessible names, with a Hub of the test's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::unbounded;
use egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{
    Action, App, Command, DeviceChoice, DownloadPhase, Loader, OpenHub, Remembered, RouterSource, RoutersCommand, StartOptions,
};
use waypost::decision::RouterInfo;
use waypost::engine::{EngineError, Hub, Limits};
use waypost::ui::Window;

use crate::fake_hub::{COMMIT, FakeHub, Fault};
use crate::fake_router::{Behaviour, options};
use crate::hub::repository;

use super::{click, has, perform, wait_for, wait_until, window, window_in, write_in};

/// A window whose downloads come from this server, into this folder.
fn panel(server: &FakeHub, cache: &std::path::Path) -> Harness<'static, Window> {
    let (url, cache) = (server.hub.url.clone(), cache.to_owned());
    let hub = Arc::new(move || Hub::new(cache.clone(), url.clone(), None, Duration::from_millis(1)));
    let mut harness = window(StartOptions { hub, ..options(Behaviour::Decide) });
    wait_for(&mut harness, "Ready");
    click(&mut harness, "Fake router");
    wait_for(&mut harness, "Arch-Router-1.5B, Q4_K_M");
    harness
}

fn add(harness: &mut Harness<'_, Window>, router: &str) {
    write_in(harness, "Router to add", router);
    click(harness, "Add router");
}

fn downloads(harness: &Harness<'_, Window>) -> usize {
    harness.state().app().state().routers.downloads.len()
}

#[test]
fn the_list_says_what_there_is_and_whether_it_fits() {
    let (server, cache) = (FakeHub::new(repository(), []), tempfile::tempdir().unwrap());
    let mut harness = panel(&server, cache.path());
    for text in ["Built-in router", "about 990 MB on disk", "of memory, ", "Licence: Katanemo", "of memory are free"] {
        assert!(has(&harness, text), "{text:?} is not on screen");
    }
    let panel = &harness.state().app().state().routers;
    let fits = panel.listed.iter().any(|router| router.memory_bytes.is_some_and(|needed| panel.place.fits(needed) == Some(true)));
    assert_eq!(has(&harness, "of memory, fits"), fits, "on this machine");
    assert!(server.hub.seen().is_empty(), "looking asks nobody");
    click(&mut harness, "Auto");
    wait_until(&mut harness, "the device", |harness| harness.state().app().state().router.device == DeviceChoice::Auto);
    perform(&mut harness, Command::Routers(RoutersCommand::Device(DeviceChoice::Cuda)));
    wait_for(&mut harness, "of GPU memory");
    if cfg!(not(feature = "cuda")) {
        assert!(!has(&harness, "of GPU memory, fits"), "main memory tells nothing about a card");
    }
    harness.key_press(Key::Escape);
    harness.run();
    assert!(!has(&harness, "Add a router"));
}

#[test]
fn a_download_asks_for_the_licence_and_goes_on_while_the_user_works() {
    let (server, cache) = (FakeHub::new(repository(), [Fault::Slow(Duration::from_millis(1500))]), tempfile::tempdir().unwrap());
    let mut harness = panel(&server, cache.path());
    add(&mut harness, "owner/tiny");
    wait_for(&mut harness, "Download owner/tiny");
    click(&mut harness, "Download owner/tiny");
    wait_for(&mut harness, "Use it well.");
    assert!(server.cdn.seen().is_empty(), "nothing is fetched before the licence is accepted");
    click(&mut harness, "Accept licence of owner/tiny");
    wait_for(&mut harness, "Cancel download of owner/tiny");
    click(&mut harness, "Close");
    perform(&mut harness, Command::Perform(Action::Route));
    wait_for(&mut harness, "bug_fixing: 91.3 %, chosen");
    wait_until(&mut harness, "the end of the download", |harness| downloads(harness) == 0);
    let folder = cache.path().join("models--owner--tiny");
    assert!(folder.join("snapshots").join(COMMIT).join("model.safetensors").exists());
    assert!(harness.state().app().state().log.entries().iter().any(|entry| entry.text.contains("Downloaded and checked owner/tiny")));
}

#[test]
fn a_download_can_be_declined_cancelled_and_tried_again_after_a_failure() {
    let (server, cache) = (FakeHub::new(repository(), [Fault::Slow(Duration::from_secs(20))]), tempfile::tempdir().unwrap());
    let mut harness = panel(&server, cache.path());
    add(&mut harness, "owner/tiny");
    wait_for(&mut harness, "Download owner/tiny");
    click(&mut harness, "Download owner/tiny");
    wait_for(&mut harness, "Decline licence of owner/tiny");
    click(&mut harness, "Decline licence of owner/tiny");
    wait_until(&mut harness, "no download", |harness| downloads(harness) == 0);
    click(&mut harness, "Download owner/tiny");
    wait_for(&mut harness, "Accept licence of owner/tiny");
    click(&mut harness, "Accept licence of owner/tiny");
    wait_for(&mut harness, "Cancel download of owner/tiny");
    click(&mut harness, "Cancel download of owner/tiny");
    wait_until(&mut harness, "no download", |harness| downloads(harness) == 0);
    assert!(!cache.path().join("models--owner--tiny/refs/main").exists());

    add(&mut harness, "owner/unknown");
    wait_for(&mut harness, "Download owner/unknown");
    click(&mut harness, "Download owner/unknown");
    wait_for(&mut harness, "check the spelling");
    click(&mut harness, "Dismiss failed download of owner/unknown");
    wait_until(&mut harness, "no download", |harness| downloads(harness) == 0);
}

/// A bare workbench whose downloads come from this.
fn app(hub: &OpenHub) -> App {
    App::start(StartOptions { hub: Arc::clone(hub), ..options(Behaviour::Decide) }, None, || {}).unwrap()
}

/// Waits until every thread that downloads has said what it had to, and takes it in.
fn settle(app: &mut App, hub: &OpenHub) {
    let start = Instant::now();
    // One is the workbench's own, one the test's.
    while Arc::strong_count(hub) > 2 {
        assert!(start.elapsed() < Duration::from_secs(20), "a download does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    while app.poll() {}
}

fn command(make: fn(String) -> RoutersCommand) -> Command {
    Command::Routers(make("owner/tiny".to_owned()))
}

#[test]
fn what_a_cancelled_download_still_says_is_not_about_the_next_one() {
    let ((begun, has_begun), (release, released)) = (unbounded(), unbounded::<()>());
    let calls = AtomicUsize::new(0);
    let hub: OpenHub = Arc::new(move || {
        let is_first = calls.fetch_add(1, Ordering::SeqCst) == 0;
        begun.send(()).unwrap();
        if is_first {
            released.recv().unwrap();
            return Err(EngineError::Cancelled);
        }
        Err(EngineError::router("the Hub is down; try again later"))
    });
    let mut app = app(&hub);
    app.run(command(RoutersCommand::Download));
    has_begun.recv().unwrap();
    app.run(command(RoutersCommand::Cancel));
    app.run(command(RoutersCommand::Download));
    has_begun.recv().unwrap();
    release.send(()).unwrap();
    settle(&mut app, &hub);
    let phases: Vec<_> = app.state().routers.downloads.iter().map(|download| &download.phase).collect();
    assert!(matches!(phases.as_slice(), [DownloadPhase::Failed(why)] if why.contains("the Hub is down")), "{phases:?}");
}

#[test]
fn a_download_that_panics_has_failed() {
    let hub: OpenHub = Arc::new(|| -> Result<Hub, EngineError> { panic!("a fake defect") });
    let mut app = app(&hub);
    app.run(command(RoutersCommand::Download));
    let start = Instant::now();
    while matches!(app.state().routers.downloads[0].phase, DownloadPhase::Asking) && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(1));
        app.poll();
    }
    let phase = &app.state().routers.downloads[0].phase;
    assert!(matches!(phase, DownloadPhase::Failed(why) if why.contains("a fake defect")), "{phase:?}");
}

/// To read all of a large router takes seconds; of this one it takes until the test says so.
#[cfg(unix)]
#[test]
fn sets_are_opened_while_the_files_of_a_router_are_read() {
    use super::batch::{POLICY, write_set};
    use waypost::app::{BatchCommand, RouterPhase};

    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("large.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let router = Some(RouterSource::Gguf(pipe.clone()));
    let mut app = App::start(StartOptions { router, ..options(Behaviour::Words) }, None, || {}).unwrap();
    let wait = |app: &mut App, is_so: fn(&App) -> bool| {
        let start = Instant::now();
        while !is_so(app) && start.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(1));
            app.poll();
            app.tick();
        }
        is_so(app)
    };
    let set = write_set(folder.path());
    app.run(Command::EditYaml(POLICY.to_owned()));
    app.run(Command::Batch(BatchCommand::OpenSet(set.clone())));
    assert!(wait(&mut app, |app| app.state().batch.set.is_some() && app.state().router.phase == RouterPhase::Ready));
    app.run(Command::Perform(Action::Measure));
    app.run(Command::Batch(BatchCommand::OpenSet(set)));
    let is_opened = wait(&mut app, |app| app.state().batch.opening.is_none());
    let is_waiting = app.state().batch.measuring.as_ref().is_some_and(|measuring| measuring.job.is_none());
    // Nothing is written, so that the file ends here.
    drop(std::fs::File::options().write(true).open(&pipe).unwrap());
    let is_measured = wait(&mut app, |app| app.state().batch.measuring.is_none());
    assert!(is_opened && is_waiting && is_measured && app.state().batch.shown.is_some());
}

#[test]
fn servers_are_added_by_address_and_used() {
    let (server, cache) = (FakeHub::new(repository(), []), tempfile::tempdir().unwrap());
    let mut harness = panel(&server, cache.path());
    add(&mut harness, "http://127.0.0.1:1/v1");
    wait_for(&mut harness, "name the server's model after a #");
    add(&mut harness, "#arch");
    wait_for(&mut harness, "Use arch at http://127.0.0.1:1/v1");
    assert!(!has(&harness, "name the server's model"));
    click(&mut harness, "Use arch at http://127.0.0.1:1/v1");
    wait_for(&mut harness, "In use");
    let state = harness.state().app().state();
    assert!(matches!(&state.router.source, RouterSource::Endpoint { model, .. } if model == "arch"));
    assert_eq!(state.settings.router.as_deref(), Some("http://127.0.0.1:1/v1#arch"), "it is the router of the next start");
}

#[test]
fn a_key_that_is_being_typed_comes_into_no_log() {
    let mut app = App::start(options(Behaviour::Decide), None, || {}).unwrap();
    let command = Command::Routers(RoutersCommand::Key("very-secret".to_owned().into()));
    assert!(!format!("{command:?}").contains("very-secret"));
    app.run(command);
    assert_eq!(app.state().routers.key.as_str(), "very-secret");
    assert!(!format!("{:?}", app.state()).contains("very-secret"));
}

#[test]
fn a_router_on_a_slower_device_says_why() {
    let mut harness = window(options(Behaviour::Refused));
    wait_for(&mut harness, "Ready");
    let sentence = "Fake router runs on cpu: cuda cannot be used (the driver is too old)";
    assert!(harness.state().app().state().log.entries().iter().any(|entry| entry.text == sentence));
}

#[test]
fn a_device_that_cannot_be_used_is_not_chosen_any_more() {
    let mut inner = options(Behaviour::Decide).loader;
    let loader: Loader = Box::new(move |source, device, progress, cancel, previous| match device {
        DeviceChoice::Cuda => Err(EngineError::router("there is no card; choose another device")),
        _ => inner(source, device, progress, cancel, previous),
    });
    let mut harness = window(StartOptions { loader, ..options(Behaviour::Decide) });
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Routers(RoutersCommand::Device(DeviceChoice::Cuda)));
    wait_for(&mut harness, "there is no card");
    let state = harness.state().app().state();
    assert_eq!((state.router.device, state.settings.device), (DeviceChoice::Cpu, DeviceChoice::Cpu));
}

#[test]
fn a_router_that_cannot_be_loaded_is_not_the_one_of_the_next_start() {
    let mut inner = options(Behaviour::Decide).loader;
    let loader: Loader = Box::new(move |source, device, progress, cancel, previous| match source {
        RouterSource::Endpoint { .. } => Err(EngineError::router("nobody answers there; start the server")),
        _ => inner(source, device, progress, cancel, previous),
    });
    let mut harness = window(StartOptions { loader, ..options(Behaviour::Decide) });
    wait_for(&mut harness, "Ready");
    let server = "http://127.0.0.1:1/v1#arch".parse::<RouterSource>().unwrap();
    perform(&mut harness, Command::Routers(RoutersCommand::Choose(server)));
    wait_for(&mut harness, "nobody answers there");
    let state = harness.state().app().state();
    assert_eq!(state.router.source, RouterSource::Builtin);
    assert_eq!(state.settings.router, Some(RouterSource::Builtin.to_string()));
}

#[test]
fn speeds_of_a_session_are_added_to_those_of_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let info = RouterInfo { id: "fake".to_owned(), device: "cpu".to_owned(), dtype: "f32".to_owned(), temperature: None };
    Remembered::change(folder.path(), |remembered| (0..5).for_each(|_| remembered.add_speed(&info, 10.0))).unwrap();
    let mut harness = window_in(options(Behaviour::Decide), Some(&folder.path().join("drafts")));
    wait_for(&mut harness, "Ready");
    perform(&mut harness, Command::Perform(Action::Route));
    wait_for(&mut harness, "bug_fixing: 91.3 %, chosen");
    let known = |remembered: &Remembered| remembered.speed("fake", "cpu").map_or(0, |(_, decisions)| decisions);
    perform(&mut harness, Command::Perform(Action::ChooseRouter));
    wait_until(&mut harness, "the list", |harness| !harness.state().app().state().routers.is_listing);
    assert!(known(&harness.state().app().state().routers.remembered) > 5);
    drop(harness);
    assert!(known(&Remembered::read(folder.path())) > 5);
}

#[test]
fn how_a_server_is_asked_is_chosen_in_its_row_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let drafts = folder.path().join("drafts");
    let mut harness = window_in(options(Behaviour::Decide), Some(&drafts));
    wait_for(&mut harness, "Ready");
    click(&mut harness, "Fake router");
    add(&mut harness, "http://127.0.0.1:1/v1#arch");
    wait_for(&mut harness, "Use arch at http://127.0.0.1:1/v1");
    click(&mut harness, "Use arch at http://127.0.0.1:1/v1");
    wait_for(&mut harness, "In use");
    let shown = |harness: &Harness<'_, Window>, what: &str| {
        harness.get_by_label(&format!("{what} of arch at http://127.0.0.1:1/v1")).value().unwrap()
    };
    assert_eq!(shown(&harness, "Requests at a time"), "16");
    assert_eq!(shown(&harness, "Seconds for an answer"), "120");

    let source = harness.state().app().state().router.source.clone();
    let wanted = Limits { in_flight: 64, timeout: Duration::from_secs(30), ..Limits::default() };
    perform(&mut harness, Command::Routers(RoutersCommand::SetLimits(source.with_limits(wanted))));
    // It is the same row of the list, and the router is opened anew.
    wait_for(&mut harness, "In use");
    assert_eq!([shown(&harness, "Requests at a time"), shown(&harness, "Seconds for an answer")], ["64", "30"]);
    let loaded = harness.state().app().state().router.loaded.clone();
    assert_eq!(loaded.and_then(|source| source.limits()), Some(wanted));
    drop(harness);

    let next = window_in(StartOptions { router: None, ..options(Behaviour::Decide) }, Some(&drafts));
    assert_eq!(next.state().app().state().router.source.limits(), Some(wanted));
}

//! The list of routers in the window, by accessible names, with a Hub of the test's own.

use std::sync::Arc;
use std::time::Duration;

use egui::Key;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use waypost::app::{Action, Command, DeviceChoice, RouterSource, RoutersCommand, StartOptions};
use waypost::engine::{Hub, Limits};
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
fn a_router_on_a_slower_device_says_why() {
    let mut harness = window(options(Behaviour::Refused));
    wait_for(&mut harness, "Ready");
    let sentence = "Fake router runs on cpu: cuda cannot be used (the driver is too old)";
    assert!(harness.state().app().state().log.entries().iter().any(|entry| entry.text == sentence));
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

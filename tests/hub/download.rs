//! Transfers and what may happen to them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use waypost::engine::{CancelToken, EngineError, Hub, HubId, Pick, Plan, Progress};

use super::{bytes_of, repository};
use crate::fake_hub::{COMMIT, FakeHub, Fault, REPO, sha256};
use crate::test_server::{Answer, TestServer};

fn client(url: &str, cache: &Path) -> Hub {
    Hub::new(cache.to_owned(), url.to_owned(), None, Duration::from_millis(1)).unwrap()
}

fn plan(server: &FakeHub, cache: &Path) -> (Hub, Plan) {
    let hub = client(&server.hub.url, cache);
    let plan = hub.plan(REPO, &CancelToken::default()).unwrap();
    (hub, plan)
}

fn fetch(server: &FakeHub, cache: &Path) -> Result<std::path::PathBuf, EngineError> {
    let (hub, plan) = plan(server, cache);
    hub.fetch(&plan, &mut |_| {}, &CancelToken::default())
}

fn folder(cache: &Path) -> std::path::PathBuf {
    cache.join("models--owner--tiny")
}

#[track_caller]
fn sentence<T: std::fmt::Debug>(result: Result<T, EngineError>, parts: &[&str]) {
    match result {
        Err(EngineError::Router(sentence)) => {
            assert!(parts.iter().all(|part| sentence.contains(part)), "{parts:?} are not all in: {sentence}");
        }
        other => panic!("expected {parts:?}, got {other:?}"),
    }
}

#[test]
fn files_lie_as_every_hugging_face_tool_expects_them() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), []);
    let path = fetch(&server, cache.path()).unwrap();
    let folder = folder(cache.path());
    assert_eq!(path, folder.join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    let digest = sha256(bytes_of(&files, "model.safetensors"));
    assert_eq!(std::fs::read_link(path.join("model.safetensors")).unwrap(), Path::new("../../blobs").join(&digest));
    for (name, bytes) in files.iter().filter(|(name, _)| name != "README.md") {
        assert_eq!(&std::fs::read(path.join(name)).unwrap(), bytes, "{name}");
    }
    assert!(!path.join("README.md").exists(), "only what a router needs is fetched");
    let names = std::fs::read_dir(folder.join("blobs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.contains("incomplete")));

    let before = server.cdn.seen().len();
    fetch(&server, cache.path()).unwrap();
    assert_eq!(server.cdn.seen().len(), before, "what is there is not fetched again");
}

#[test]
fn the_reference_is_replaced_as_a_whole_and_nothing_is_left_beside_it() {
    let cache = tempfile::tempdir().unwrap();
    let server = FakeHub::new(repository(), []);
    let folder = folder(cache.path());
    std::fs::create_dir_all(folder.join("refs")).unwrap();
    std::fs::write(folder.join("refs/main"), "before").unwrap();
    // As whoever reads the old one at that moment.
    let held = cache.path().join("held");
    std::fs::hard_link(folder.join("refs/main"), &held).unwrap();
    fetch(&server, cache.path()).unwrap();
    assert_eq!(std::fs::read_to_string(folder.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(std::fs::read_to_string(held).unwrap(), "before");
    let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["blobs", "refs", "snapshots"]);
}

#[test]
fn a_plan_names_sizes_and_the_licence_before_anything_is_written() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), []);
    let (_, plan) = plan(&server, cache.path());
    let wanted = files.iter().filter(|(name, _)| name != "README.md").map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
    assert_eq!(plan.bytes(), wanted);
    assert_eq!((plan.licence.name.as_str(), plan.licence.link.as_deref()), ("tiny-licence", Some("https://example.org/licence")));
    assert!(plan.licence.text.contains("Use it well."));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn cut_connections_and_busy_servers_only_cost_time() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let faults = [Fault::Cut(0), Fault::Cut(1000), Fault::Status(503), Fault::Cut(70_000), Fault::Status(429), Fault::Cut(1)];
    let server = FakeHub::new(files.clone(), faults);
    let path = fetch(&server, cache.path()).unwrap();
    for name in ["model.safetensors", "tokenizer.json"] {
        assert_eq!(std::fs::read(path.join(name)).unwrap(), bytes_of(&files, name), "{name}");
    }
    assert_eq!(server.starts()[..3], [0, 0, 1000], "a cut transfer goes on where it was");
}

#[test]
fn a_cancelled_download_goes_on_where_it_was_in_another_process() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), [Fault::Cut(5000), Fault::Slow(Duration::from_secs(10))]);
    let (hub, plan) = plan(&server, cache.path());
    let cancel = CancelToken::default();
    let stop = cancel.clone();
    let mut stages = Vec::new();
    let mut progress = |Progress { stage, total, .. }: Progress| {
        assert_eq!(total, Some(plan.bytes()));
        stages.push(stage);
        // The first part is there and the connection was lost.
        if stage == "Waiting for the network" {
            stop.cancel();
        }
    };
    assert_eq!(hub.fetch(&plan, &mut progress, &cancel), Err(EngineError::Cancelled));
    assert!(stages.contains(&"Downloading"));
    assert!(!folder(cache.path()).join("refs/main").exists(), "half a router is none");

    let second = FakeHub::new(files.clone(), []);
    let path = fetch(&second, cache.path()).unwrap();
    assert_eq!(second.starts()[0], 5000);
    assert_eq!(std::fs::read(path.join("model.safetensors")).unwrap(), bytes_of(&files, "model.safetensors"));
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), [Fault::Cut(500), Fault::NoRanges]);
    let path = fetch(&server, cache.path()).unwrap();
    assert_eq!(std::fs::read(path.join("tokenizer.json")).unwrap(), bytes_of(&files, "tokenizer.json"));
}

#[test]
fn damaged_files_are_never_used() {
    let (files, cache) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), [Fault::Wrong]);
    sentence(fetch(&server, cache.path()), &["arrived damaged", "the Hub declares"]);
    assert!(!folder(cache.path()).join("refs/main").exists());
    // The next try begins anew, since nothing of the damaged file can be trusted.
    let path = fetch(&FakeHub::new(files.clone(), []), cache.path()).unwrap();
    assert_eq!(std::fs::read(path.join("tokenizer.json")).unwrap(), bytes_of(&files, "tokenizer.json"));

    // Nor are files that were damaged or cut short in the cache.
    let blob = path.join("tokenizer.json").canonicalize().unwrap();
    let whole = std::fs::read(&blob).unwrap();
    let mut damaged = whole.clone();
    damaged[100] ^= 1;
    for bytes in [&damaged[..], &whole[..whole.len() - 1]] {
        std::fs::write(&blob, bytes).unwrap();
        fetch(&FakeHub::new(files.clone(), []), cache.path()).unwrap();
        assert_eq!(std::fs::read(&blob).unwrap(), whole);
    }

    // Small files have a digest too.
    let (server, cache) = (
        FakeHub::with_tree(files, [], |mut tree| {
            let config = tree.as_array_mut().unwrap().iter_mut().find(|entry| entry["path"] == "config.json").unwrap();
            config["oid"] = json!("f".repeat(40));
            tree
        }),
        tempfile::tempdir().unwrap(),
    );
    sentence(fetch(&server, cache.path()), &["config.json", "arrived damaged"]);
}

#[test]
fn what_the_hub_refuses_is_a_sentence_with_a_remedy() {
    let cases: [(u16, &str, &[&str]); 6] = [
        (401, "Invalid username or password.", &["owner/tiny does not exist", "HF_TOKEN"]),
        (401, "Access to model owner/tiny is restricted.", &["accept them at", "HF_TOKEN"]),
        (403, "not in the authorized list", &["accept them at"]),
        (404, "Repository not found", &["404", "spelling"]),
        (429, "", &["fewer requests"]),
        (500, "oops", &["500", "oops"]),
    ];
    let cache = tempfile::tempdir().unwrap();
    for (status, message, parts) in cases {
        let server = TestServer::start(move |_| Answer::new(status, json!({"error": message}).to_string()));
        sentence(client(&server.url, cache.path()).plan(REPO, &CancelToken::default()), parts);
    }
    let page = TestServer::start(|_| Answer::new(200, "<html>sign in to the network</html>"));
    sentence(client(&page.url, cache.path()).plan(REPO, &CancelToken::default()), &["HF_ENDPOINT"]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    sentence(client(&format!("http://{free}"), cache.path()).plan(REPO, &CancelToken::default()), &["cannot be reached", "proxies"]);

    let lost = FakeHub::new(repository(), std::iter::repeat_n(Fault::Status(404), 20));
    sentence(fetch(&lost, cache.path()), &["no such file"]);
    let gone = FakeHub::new(repository(), std::iter::repeat_n(Fault::Cut(0), 20));
    sentence(fetch(&gone, cache.path()), &["cannot be reached", "is kept"]);
}

#[test]
fn a_disk_that_is_too_small_is_told_before_the_download() {
    let cache = tempfile::tempdir().unwrap();
    let server = FakeHub::with_tree(repository(), [], |mut tree: Value| {
        let weights = tree.as_array_mut().unwrap().iter_mut().find(|entry| entry["path"] == "model.safetensors").unwrap();
        weights["lfs"]["size"] = json!(1_u64 << 60);
        tree
    });
    sentence(fetch(&server, cache.path()), &["free some space", "HF_HOME"]);
    assert!(server.cdn.seen().is_empty());
}

#[test]
fn one_router_is_picked_among_the_files_of_a_repository() {
    let pick = |id: &str, files: &[&str]| {
        Pick::of(&HubId::new(id), &files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>()).map(|pick| pick.files().join(" "))
    };
    let quantised = ["a-Q2_K.gguf", "a-Q4_K_M.gguf", "a-Q8_0.gguf", "mmproj.gguf", "README.md"];
    assert_eq!(pick("o/n", &quantised), Ok("a-Q4_K_M.gguf".to_owned()));
    assert_eq!(pick("o/n:q8_0", &quantised), Ok("a-Q8_0.gguf".to_owned()));
    assert!(pick("o/n:a-Q", &quantised).unwrap_err().contains("several"));
    assert!(pick("o/n:Q5", &quantised).unwrap_err().contains("a-Q2_K.gguf"));
    assert!(pick("o/n", &["a-Q2_K.gguf", "a-Q8_0.gguf"]).unwrap_err().contains("o/n:a-Q2_K.gguf"));
    assert_eq!(
        pick("o/n", &["config.json", "model.safetensors", "consolidated.safetensors", "optimizer.bin", "tokenizer.json"]),
        Ok("config.json model.safetensors tokenizer.json".to_owned())
    );
    assert!(pick("o/n", &["README.md"]).unwrap_err().contains("choose another"));
}

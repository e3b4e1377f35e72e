//! `waypost models`, and routers of the cache as `--router`.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

use candle_core::quantized::GgmlDType;
use serde_json::Value;

use super::{bytes_of, repository};
use crate::fake_hub::{FakeHub, REPO, sha256};
use crate::program;
use crate::tiny_model::{Shape, Storage, TinyModel};

/// A home of its own, with the Hub at this address.
fn waypost(home: &Path, endpoint: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = program::waypost(home);
    command.args(arguments).env("HF_HOME", home.join("hf"));
    command.env("HF_ENDPOINT", endpoint).envs(environment.iter().copied()).stdin(std::process::Stdio::null());
    command.output().unwrap()
}

#[track_caller]
fn check(output: &Output, status: i32, stdout: &str, stderr: &str) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "stdout: {out}\nstderr: {err}");
    assert!(out.contains(stdout) && err.contains(stderr), "stdout: {out}\nstderr: {err}");
}

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_policies/coding_assistant/policy.yaml");
const CONVERSATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_policies/coding_assistant/conversations/quickstart.json");

fn route(router: &str) -> [&str; 8] {
    ["route", "--json", "--policy", POLICY, "--conversation", CONVERSATION, "--router", router]
}

#[test]
fn a_router_is_pulled_once_its_licence_is_accepted_and_decides_from_the_cache_ever_after() {
    let (files, home) = (repository(), tempfile::tempdir().unwrap());
    let server = FakeHub::new(files.clone(), []);
    let run = |arguments: &[&str]| waypost(home.path(), &server.hub.url, arguments, &[("HF_TOKEN", "hf_secret")]);

    check(&run(&route(REPO)), 3, "", "waypost models pull owner/tiny");
    let refused = run(&["models", "pull", REPO]);
    check(&refused, 2, "", "Use it well.");
    check(&refused, 2, "", "--accept-licence");
    assert!(server.cdn.seen().is_empty());
    check(&run(&["models", "pull", REPO, "--accept-licence"]), 0, "snapshots", "tiny-licence");
    check(&run(&["models", "pull", REPO]), 0, "snapshots", "");

    assert!(server.hub.seen().iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
    assert!(server.cdn.seen().iter().all(|request| request.header("authorization").is_none()), "the token is the Hub's alone");

    check(&run(&["models", "path", REPO]), 0, "snapshots", "");
    check(&run(&["models", "verify", REPO]), 0, "intact", "");
    let listed: Value = serde_json::from_slice(&run(&["models", "list", "--json"]).stdout).unwrap();
    let line = listed.as_array().unwrap().iter().find(|line| line["router"] == REPO).unwrap();
    assert_eq!((&line["state"], &line["stored"], &line["fits"]), (&"here".into(), &"f32".into(), &true.into()));
    let digest = sha256(bytes_of(&files, "model.safetensors"));
    assert_eq!(line["sha256"], digest);
    check(&run(&["models"]), 0, &format!("f32, licence: Tiny licence, SHA-256 {}\n", &digest[..12]), "");

    let asked = server.hub.seen().len();
    let decision = run(&route(REPO));
    assert_eq!(serde_json::from_slice::<Value>(&decision.stdout).unwrap()["router"]["id"], REPO);
    assert_eq!(server.hub.seen().len(), asked, "a router of the cache asks nobody");

    std::fs::write(home.path().join("hf/hub/models--owner--tiny/blobs").join(&digest), "damaged").unwrap();
    let damaged = run(&["models", "verify", REPO]);
    check(&damaged, 1, "DAMAGED", "pull owner/tiny again");
    check(&damaged, 1, "", &format!("blobs/{digest}"));
    check(&run(&["models", "pull", REPO]), 0, "snapshots", "");
    check(&run(&["models", "verify", REPO]), 0, "intact", "");
}

#[test]
fn routers_that_the_user_named_are_listed_once_and_with_their_files() {
    let home = tempfile::tempdir().unwrap();
    let (file, _) = TinyModel::random(Shape::SMALL, 5).gguf(GgmlDType::Q8_0);
    for repo in ["tiny", "other"] {
        let snapshot = home.path().join(format!("hf/hub/models--owner--{repo}/snapshots/0123"));
        std::fs::create_dir_all(&snapshot).unwrap();
        file.write(&snapshot.join("Tiny-Q8_0.gguf"));
    }
    let drafts = home.path().join("data/waypost/drafts");
    std::fs::create_dir_all(&drafts).unwrap();
    let named = r#"["owner/tiny:q8_0", "owner/other", "owner/absent:Q8_0", "http://localhost:1/v1#arch"]"#;
    std::fs::write(drafts.join("session.json"), format!(r#"{{"settings": {{"routers": {named}}}}}"#)).unwrap();
    let run = |arguments: &[&str]| waypost(home.path(), "http://127.0.0.1:1", arguments, &[]);

    let listed: Value = serde_json::from_slice(&run(&["models", "list", "--json", "--device", "cpu"]).stdout).unwrap();
    let lines = listed.as_array().unwrap().iter().map(|line| (line["router"].as_str().unwrap(), line["state"].as_str().unwrap()));
    let added: Vec<(&str, &str)> = lines.filter(|(router, _)| router.contains("owner") || router.contains("localhost")).collect();
    let expected = [
        ("owner/tiny:q8_0", "here"),
        ("owner/other", "here"),
        ("owner/absent:Q8_0", "to download"),
        ("http://localhost:1/v1#arch", "server"),
    ];
    assert_eq!(added, expected, "in the user's spelling, and the same file not a second time under its own name");

    if cfg!(not(feature = "cuda")) {
        let on_gpu = run(&["models", "list", "--device", "cuda"]);
        check(&on_gpu, 0, "5.10 GB of GPU memory\n", "");
        check(&on_gpu, 0, "How much GPU memory is free is not known here", "");
    }
}

/// Tests run in the folder of the package, which has a `docs`.
#[test]
fn a_mistyped_path_is_told_as_one() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| waypost(home.path(), "http://127.0.0.1:1", arguments, &[]);
    for path in ["docs/my_folder", "nowhere/my-router.gguf"] {
        check(&run(&route(path)), 3, "", &format!("there is no file or folder {path}; check the path"));
        check(&run(&route(path)), 3, "", &format!("models pull {path}"));
    }
    // Repositories may be called like files.
    let id = "katanemo/Arch-Router-1.5B.gguf";
    let first =
        format!("{id} is not downloaded; get it with `waypost models pull {id}`. If a file is meant: there is no file or folder {id}");
    check(&run(&route(id)), 3, "", &first);
    let snapshot = home.path().join("hf/hub/models--docs--tiny/snapshots/0123");
    std::fs::create_dir_all(&snapshot).unwrap();
    TinyModel::random(Shape::SMALL, 5).gguf(GgmlDType::Q8_0).0.write(&snapshot.join("Tiny-Q8_0.gguf"));
    check(&run(&["models", "path", "docs/tiny"]), 0, "Tiny-Q8_0.gguf", "");
}

#[test]
fn the_token_stays_at_home_where_that_is_switched_on() {
    let home = tempfile::tempdir().unwrap();
    for (switch, sent) in [("1", None), ("true", None), ("0", Some("Bearer hf_secret")), ("", Some("Bearer hf_secret"))] {
        let server = FakeHub::new(repository(), []);
        let environment = [("HF_TOKEN", "hf_secret"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", switch)];
        check(&waypost(home.path(), &server.hub.url, &["models", "pull", REPO], &environment), 2, "", "--accept-licence");
        let asked = server.hub.seen();
        assert!(!asked.is_empty() && asked.iter().all(|request| request.header("authorization") == sent), "{switch:?}: {asked:?}");
    }
}

#[test]
fn offline_means_offline() {
    let home = tempfile::tempdir().unwrap();
    let server = FakeHub::new(repository(), []);
    for switch in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
        let refused = waypost(home.path(), &server.hub.url, &["models", "pull", REPO], &[(switch, "1")]);
        check(&refused, 3, "", &format!("{switch} forbids downloads; unset it"));
    }
    assert!(server.hub.seen().is_empty());
}

/// Everything a user does without asking for a download: whoever would be connected to sees nothing.
#[test]
fn nothing_is_sent_anywhere_unless_a_download_was_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let trap = format!("http://{}", listener.local_addr().unwrap());
    let home = tempfile::tempdir().unwrap();
    let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
    let environment: Vec<(&str, &str)> = proxies.iter().map(|name| (*name, trap.as_str())).collect();
    TinyModel::random(Shape::SMALL, 6).write(&home.path().join("router"), Storage::F32, 1);
    let local = home.path().join("router").display().to_string();
    let run = |arguments: &[&str]| waypost(home.path(), &trap, arguments, &environment);
    check(&run(&route(&local)), 0, "", "");
    check(&run(&route("katanemo/Arch-Router-1.5B")), 3, "", "models pull katanemo/Arch-Router-1.5B");
    check(&run(&["models"]), 0, "katanemo/Arch-Router-1.5B", "");
    check(&run(&["models", "path", "katanemo/Arch-Router-1.5B.gguf:Q4_K_M"]), 3, "", "models pull");
    check(&run(&["models", "verify", &local]), 0, "nothing to compare with", "");
    check(&run(&["lint", POLICY]), 0, "", "");
    listener.set_nonblocking(true).unwrap();
    match listener.accept() {
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        Ok((mut stream, _)) => {
            let mut seen = [0; 400];
            let length = stream.read(&mut seen).unwrap_or(0);
            panic!("somebody connected: {}", String::from_utf8_lossy(&seen[..length]));
        }
    }
    // The trap works: asking for a download does connect.
    drop(listener);
    check(&run(&["models", "pull", REPO]), 3, "", "cannot be reached");
}

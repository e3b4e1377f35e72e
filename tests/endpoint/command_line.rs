//! Servers as `--router`.

use std::process::Output;
use std::time::Duration;

use serde_json::{Value, json};

use super::openai::completion;
use crate::program::waypost;
use crate::test_server::{Answer, TestServer};

fn route(router: &str, more: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_policies/coding_assistant");
    let (policy, conversation) = (format!("{folder}/policy.yaml"), format!("{folder}/conversations/quickstart.json"));
    let home = tempfile::tempdir().unwrap();
    let mut command = waypost(home.path());
    command.args(["route", "--json", "--policy", &policy, "--conversation", &conversation, "--router", router]).args(more);
    command.envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn fails(router: &str, more: &[&str], environment: &[(&str, &str)], status: i32, part: &str) -> String {
    let output = route(router, more, environment);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(error.contains(part) && output.stdout.is_empty(), "{error}");
    error
}

#[test]
fn a_server_decides_and_gets_the_key_from_the_environment() {
    let server = TestServer::start(|_| completion("{\"route\": \"bug_fixing\"}"));
    let router = format!("{}/v1/#arch", server.url);
    let output = route(&router, &[], &[("WAYPOST_API_KEY", "own-secret"), ("OPENAI_API_KEY", "other-secret")]);
    let decision: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&decision["route"], &decision["router"]["device"]), (&json!("bug_fixing"), &json!("server")));
    assert!(server.seen().iter().all(|request| request.header("authorization") == Some("Bearer own-secret")));

    route(&router, &[], &[("OPENAI_API_KEY", "other-secret")]);
    assert_eq!(server.seen().pop().unwrap().header("authorization"), Some("Bearer other-secret"));
    // A gateway is nobody's OpenAI.
    route(&format!("plano+{}", server.url), &[], &[("OPENAI_API_KEY", "other-secret")]);
    assert_eq!(server.seen().pop().unwrap().header("authorization"), None);
}

#[test]
fn what_goes_wrong_is_a_sentence_and_status_3() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fails(&format!("http://{free}/v1#m"), &[], &[], 3, "cannot be reached");
    let refusing = TestServer::start(|request| {
        let key = request.header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
        Answer::new(401, json!({"error": {"message": format!("wrong key {key}")}}).to_string())
    });
    let error = fails(&format!("{}/v1#m", refusing.url), &[], &[("WAYPOST_API_KEY", "very-secret")], 3, "refuses the key");
    assert!(!error.contains("very-secret"), "{error}");
    let unknown = TestServer::start(|_| Answer::new(404, "{\"error\": {\"message\": \"model m does not exist\"}}"));
    fails(&format!("{}/v1#m", unknown.url), &[], &[], 3, "model m does not exist");
    let slow = TestServer::start(|_| completion("{}").after(Duration::from_millis(1500)));
    fails(&format!("{}/v1#m", slow.url), &["--timeout", "0.2"], &[], 3, "did not answer within 0.2 s");
    let page = TestServer::start(|_| Answer::new(200, "<html></html>"));
    fails(&format!("{}/v1#m", page.url), &[], &[], 3, "did not answer as expected");
}

#[test]
fn a_running_gateway_is_not_asked_what_other_versions_would_read() {
    let gateway = TestServer::start(|_| Answer::new(200, json!({"models": ["m/x"], "route": null, "trace_id": "1"}).to_string()));
    let router = format!("plano+{}", gateway.url);
    fails(&router, &["--gateways"], &[], 2, "leave --gateways out");
    let output = route(&router, &[], &[]);
    let decision: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&decision["outcome"], &decision["dialect"]), (&json!("no_route"), &Value::Null));
}

#[test]
fn addresses_that_cannot_be_meant_are_bad_usage() {
    fails("http://localhost:1/v1", &[], &[], 2, "after a #");
    fails("plano+ftp://localhost", &[], &[], 2, "http://");
    let error = fails("http://user:very-secret@localhost/v1#m", &[], &[], 2, "WAYPOST_API_KEY");
    assert!(error.contains("keyring") && !error.contains("very-secret"), "{error}");
}

//! `waypost eval` and `waypost compare` over servers.

use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::openai::completion;
use crate::program;
use crate::test_server::{Answer, Gate, Request, TestServer};

const POLICY: &str = "routes:\n  - {name: billing, description: Invoices and payments, models: [m/small]}\n  - {name: bugs, description: Programs that fail, models: [m/large]}\nfallback: m/fallback\n";

/// A policy and a set of 24 conversations, half of them about money, half about crashes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
    let line = |index: usize| {
        let (text, route) = if index.is_multiple_of(2) { ("MONEY", "billing") } else { ("CRASH", "bugs") };
        json!({"id": index.to_string(), "messages": [{"role": "user", "content": format!("{text} number {index}.")}], "route": route})
            .to_string()
    };
    std::fs::write(folder.path().join("set.jsonl"), (0..24).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    folder
}

fn command(folder: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let mut command = program::waypost(folder.path());
    command.args(arguments).current_dir(folder.path()).env("WAYPOST_API_KEY", "very-secret");
    command
}

fn waypost(folder: &tempfile::TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

fn eval(folder: &tempfile::TempDir, router: &str, more: &[&str]) -> Value {
    let arguments = ["eval", "--policy", "policy.yaml", "--set", "set.jsonl", "--router", router, "--json", "--out", "run"];
    let output = waypost(folder, &[&arguments, more].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn route(request: &Request) -> &'static str {
    if request.body.contains("MONEY") { "billing" } else { "bugs" }
}

fn asked(server: &TestServer) -> usize {
    server.seen().iter().filter(|request| request.method == "POST").count()
}

#[test]
fn a_server_is_kept_busy_and_asked_once_for_each_case() {
    let folder = folder();
    let gate = Gate::of(6);
    let server = TestServer::start(move |request| {
        if request.method == "POST" {
            gate.pass();
        }
        // Time for one more than allowed.
        completion(json!({"route": route(request)}).to_string()).after(Duration::from_millis(10))
    });
    let router = format!("{}/v1#arch", server.url);
    let report = eval(&folder, &router, &["--in-flight", "6"]);
    assert_eq!((&report["cases"], &report["agreement"], &report["errors"]), (&json!(24), &json!(1.0), &json!(0)));
    assert_eq!((asked(&server), server.most_open()), (24, 6));

    // Another router may stand behind the address by now, so a run that was complete is made anew.
    assert_eq!(eval(&folder, &router, &[])["reused"], 0);
    assert_eq!(asked(&server), 48);
    // Keys stay out of what is written.
    for entry in walk(folder.path()) {
        assert!(!String::from_utf8_lossy(&std::fs::read(&entry).unwrap()).contains("very-secret"), "{}", entry.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn what_a_server_does_not_answer_is_in_no_figure_and_asked_again_by_the_next_run() {
    let folder = folder();
    let broken = Arc::new(AtomicBool::new(true));
    let of_server = Arc::clone(&broken);
    let server = TestServer::start(move |request| {
        let refused = request.body.contains("number 7.") && of_server.load(Ordering::SeqCst);
        if refused {
            Answer::new(400, "{\"error\": {\"message\": \"the prompt is too long\"}}")
        } else {
            completion(json!({"route": route(request)}).to_string())
        }
    });
    let router = format!("{}/v1#arch", server.url);
    let report = eval(&folder, &router, &[]);
    assert_eq!((&report["cases"], &report["errors"], &report["undecided"]), (&json!(23), &json!(0), &json!(1)), "{report}");
    assert_eq!((&report["agreement"], &report["partial"]), (&json!(1.0), &json!(true)), "{report}");
    let cases = std::fs::read_to_string(folder.path().join("run/cases.csv")).unwrap();
    assert_eq!(cases.lines().filter(|line| line.contains("the prompt is too long")).count(), 1, "{cases}");

    // Right are 23 or 24 of the 24, and 11 or 12 of the 12 about bugs: gates in between are neither passed nor failed.
    let policy = ["eval", "--policy", "policy.yaml", "--set", "set.jsonl", "--router", &router];
    for (gate, least, status, sentence) in [
        ("--min-agreement", "0.9", 0, "warning: 1 of 24 cases were not decided"),
        ("--min-agreement", "0.97", 3, "the agreement of at least 0.97 was neither reached nor missed"),
        ("--min-recall", "0.95", 3, "the recall of at least 0.95 of bugs was neither reached nor missed"),
    ] {
        let output = waypost(&folder, &[&policy[..], &[gate, least]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(sentence) && said.contains("the prompt is too long"), "{said}");
        assert!(said.contains("the same command asks for them again"), "{said}");
    }
    let output = waypost(&folder, &[&policy[..], &["--min-agreement", "0.97", "--no-cache"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.matches("no result is kept, so the same command measures all cases again").count(), 2, "{said}");
    assert!(!said.contains("asks for them again"), "{said}");

    broken.store(false, Ordering::SeqCst);
    let report = eval(&folder, &router, &[]);
    assert_eq!((&report["reused"], &report["undecided"], &report["agreement"]), (&json!(23), &json!(0), &json!(1.0)));
}

#[test]
fn a_run_with_a_refused_case_ends_alike_each_time_and_one_of_refused_cases_alone_fails() {
    let folder = folder();
    let server = TestServer::start(|request| match request.method.as_str() {
        "GET" => Answer::new(404, ""),
        _ if request.body.contains("number 0.") || request.body.contains("number 7.") => Answer::new(403, "blocked by content policy"),
        _ => completion(json!({"route": route(request)}).to_string()),
    });
    let router = format!("{}/v1#arch", server.url);
    let policy = ["eval", "--policy", "policy.yaml", "--set", "set.jsonl", "--router", &router];
    // The second time nothing is asked but what was refused.
    for (more, status, sentence) in [
        (["--min-agreement", "0.9"], 0, "warning: 2 of 24 cases were not decided"),
        (["--min-agreement", "0.9"], 0, "warning: 2 of 24 cases were not decided"),
        (["--limit", "1"], 3, "error: no case was decided ("),
        (["--limit", "1"], 3, "error: no case was decided ("),
    ] {
        let output = waypost(&folder, &[&policy[..], &more].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(sentence) && said.contains("blocked by content policy"), "{said}");
        assert!(said.contains("the same command asks for them again"), "{said}");
    }
    assert_eq!(asked(&server), 24 + 2 + 1 + 1);
}

#[cfg(unix)]
#[test]
fn a_run_that_is_interrupted_says_whether_the_same_command_goes_on() {
    let folder = folder();
    let server = TestServer::start(|_| completion("{\"route\": \"billing\"}").after(Duration::from_millis(500)));
    let router = format!("{}/v1#arch", server.url);
    let eval = ["eval", "--policy", "policy.yaml", "--set", "set.jsonl", "--router", &router, "--in-flight", "1"];
    for (more, next) in [
        (&[][..], "of 24 cases; the same command goes on from there"),
        (&["--no-cache"][..], "of 24 cases; no result is kept, so the same command starts over"),
    ] {
        let before = asked(&server);
        let mut command = command(&folder, &[&eval, more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while asked(&server) == before {
            assert_eq!(child.try_wait().unwrap(), None, "it ended before it asked anything");
            std::thread::sleep(Duration::from_millis(10));
        }
        let kill = format!("kill -TERM {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(said.contains(next), "{said}");
    }
}

#[test]
fn a_live_gateway_measures_and_is_compared_with_a_server() {
    let folder = folder();
    // This gateway's router takes every crash for a bill.
    let gateway = TestServer::start(|request| match request.method.as_str() {
        "GET" => Answer::new(200, "{}"),
        _ => Answer::new(200, json!({"models": ["m/small"], "route": "billing", "trace_id": "1", "pinned": false}).to_string()),
    });
    let server = TestServer::start(|request| completion(json!({"route": route(request)}).to_string()));
    let (live, endpoint) = (format!("plano+{}", gateway.url), format!("{}/v1#arch", server.url));
    let report = eval(&folder, &live, &[]);
    assert_eq!((&report["agreement"], &report["confusion"]["counts"][1][0]), (&json!(0.5), &json!(12)));
    assert_eq!((&report["dialect"], &report["tokens"]["prompt"]), (&Value::Null, &json!(0)));
    let markdown = std::fs::read_to_string(folder.path().join("run/report.md")).unwrap();
    assert!(markdown.contains("| dialect | the gateway's own prompt |\n"), "{markdown}");
    assert!(!markdown.contains("archgw-0.3.1") && !markdown.contains("prompt tokens"), "{markdown}");
    // It tells its choice and no probability.
    assert_eq!((&report["calibration"]["ece"], &report["confidence"], &report["review"]), (&Value::Null, &json!([]), &json!([])));

    let policy = ["--policy", "policy.yaml", "--set", "set.jsonl"];
    let output = waypost(&folder, &[&["compare", "--router", &live, "--router", &endpoint, "--json"], &policy[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(comparison["mcnemar"]["c"].as_u64().unwrap() + comparison["mcnemar"]["b"].as_u64().unwrap(), 12, "{comparison}");
    assert!(comparison["verdict"].as_str().unwrap().starts_with("B is better: 12 fixed, 0 broken"), "{}", comparison["verdict"]);
    assert_eq!((asked(&gateway), asked(&server)), (48, 24));

    let output = waypost(&folder, &[&["compare", "--router", &endpoint, "--router", &live, "--fail-if-worse"], &policy[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("B is worse than the baseline (A is better: 0 fixed, 12 broken"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(", the gateway's own prompt)") && text.contains(", archgw-0.3.1)"), "{text}");
}

#[test]
fn a_comparison_tells_of_each_run_what_hangs_on_the_order_of_the_routes() {
    let folder = folder();
    std::fs::write(folder.path().join("other.yaml"), POLICY.replace("Invoices", "Bills")).unwrap();
    // Takes whatever route stands first.
    let server = TestServer::start(|request| {
        let first = if request.body.find("billing") < request.body.find("bugs") { "billing" } else { "bugs" };
        completion(json!({"route": first}).to_string())
    });
    let router = format!("{}/v1#arch", server.url);
    let policies = ["compare", "--policy", "policy.yaml", "--policy", "other.yaml", "--set", "set.jsonl", "--router", &router];
    let output = waypost(&folder, &[&policies[..], &["--limit", "4", "--orders", "3", "--out", "both", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Two routes have one other order, which is tried once.
    let stability = json!({"orders": 1, "changed_cases": 4, "mean_agreement": 0.5});
    assert_eq!((&comparison["a"]["order_stability"], &comparison["b"]["order_stability"]), (&stability, &stability));
    assert_eq!((asked(&server), &comparison["flips"]), (16, &json!([])), "the comparison is one of the own orders");
    let report = std::fs::read_to_string(folder.path().join("both/compare.md")).unwrap();
    assert_eq!(report.matches("4 of 4 cases change under 1 other order)").count(), 2, "{report}");
}

#[test]
fn a_comparison_that_ends_early_keeps_what_it_measured() {
    let folder = folder();
    let good = TestServer::start(|request| completion(json!({"route": route(request)}).to_string()));
    let refuses = Arc::new(AtomicBool::new(true));
    let of_server = Arc::clone(&refuses);
    let other = TestServer::start(move |request| {
        if request.method == "POST" && of_server.load(Ordering::SeqCst) {
            Answer::new(401, "")
        } else {
            completion(json!({"route": "billing"}).to_string())
        }
    });
    let routers = [format!("{}/v1#arch", good.url), format!("{}/v1#arch", other.url)];
    let compare = || {
        let policy = ["--policy", "policy.yaml", "--set", "set.jsonl", "--out", "both"];
        waypost(&folder, &[&["compare", "--router", &routers[0], "--router", &routers[1]], &policy[..]].concat())
    };
    assert_eq!(compare().status.code(), Some(3));
    let first = std::fs::read_to_string(folder.path().join("both/a/report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&first).unwrap()["agreement"], 1.0);

    refuses.store(false, Ordering::SeqCst);
    assert_eq!(compare().status.code(), Some(0));
    assert_eq!((asked(&good), folder.path().join("both/compare.md").exists()), (24, true));
    assert_eq!(compare().status.code(), Some(0));
    assert_eq!(asked(&good), 48, "a comparison that was complete is made anew");
}

#[test]
fn a_comparison_whose_causes_cannot_be_found_is_a_comparison() {
    let folder = folder();
    let other = POLICY.replace("Invoices", "Other words for invoices").replace("Programs", "Other words for programs");
    std::fs::write(folder.path().join("other.yaml"), other).unwrap();
    let count = AtomicUsize::new(0);
    let server = TestServer::start(move |request| {
        let is_post = request.method == "POST";
        let chosen = if request.body.contains("Other words") { "billing" } else { route(request) };
        if is_post && count.fetch_add(1, Ordering::SeqCst) >= 48 {
            Answer::new(401, "")
        } else {
            completion(json!({"route": chosen}).to_string())
        }
    });
    let router = format!("{}/v1#arch", server.url);
    let arguments = ["compare", "--policy", "policy.yaml", "--policy", "other.yaml", "--set", "set.jsonl", "--router", &router, "--json"];
    let output = waypost(&folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("warning: which edits cause the flips of B could not be determined"), "{said}");
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&comparison["broken"], &comparison["flips"][0]["cause"]), (&json!(12), &Value::Null));
}

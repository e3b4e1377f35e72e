//! The command line from outside: what is printed where, and with which exit status.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::program::waypost;
use crate::tiny_model::{Shape, Storage, TinyModel};

/// Runs the program with `stdin` and without any display.
fn run(arguments: &[&str], stdin: &str) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = waypost(home.path());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that stops before reading closes the pipe, which is no failure of the test.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

/// Status, standard output and standard error must be as given; the last two may be given by a part.
#[track_caller]
fn check(arguments: &[&str], stdin: &str, status: i32, stdout: &str, stderr: &str) {
    let output = run(arguments, stdin);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "waypost {arguments:?}\nstdout: {out}\nstderr: {err}");
    assert!(if stdout.is_empty() { out.is_empty() } else { out.contains(stdout) }, "stdout of {arguments:?}: {out}");
    assert!(err.contains(stderr), "stderr of {arguments:?}: {err}");
}

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_policies/coding_assistant/policy.yaml");
const CONVERSATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sample_policies/coding_assistant/conversations/quickstart.json");

#[test]
fn nobody_who_reads_errors_is_no_reason_to_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let home = tempfile::tempdir().unwrap();
    let status = waypost(home.path()).args(["lint", "not-there.yaml"]).stderr(writer).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn who_has_read_enough_is_no_reason_to_fail() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (home, prompt) = (tempfile::tempdir().unwrap(), ["prompt", "--policy", POLICY, "--conversation", CONVERSATION]);
    let output = waypost(home.path()).args(prompt).stdout(writer).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !err.contains("error"), "{err}");
}

#[cfg(unix)]
#[test]
fn a_read_only_file_is_not_replaced() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, "ours\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o444)).unwrap();
    check(&["export", POLICY, "--out", &config.display().to_string()], "", 2, "", "read-only and must be made writable first");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "ours\n");
}

#[test]
fn an_export_into_a_file_keeps_its_byte_order_mark() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, format!("\u{feff}{}", include_str!("fixtures/gateway/top_level_0.4.15.yaml"))).unwrap();
    let policy = "fallback: openai/gpt-4o-mini\nroutes:\n  - name: beer\n    description: Beer\n    models: [openai/gpt-4o-mini]\n";
    check(&["export", "-", "--into", &config.display().to_string()], policy, 0, "\u{feff}# The gateway of the kitchen team.", "");
}

/// Golden prompts as a user gets them: files in, bytes out.
#[test]
fn prompt_prints_the_golden_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> String {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    for line in include_str!("fixtures/golden_prompts.jsonl").lines() {
        let golden: Value = serde_json::from_str(line).unwrap();
        let names: Vec<&Value> = golden["routes"].as_array().unwrap().iter().map(|route| &route["name"]).collect();
        let user = golden["messages"].as_array().unwrap().iter().any(|message| message["role"] == "user");
        let is_nameless = names.iter().any(|name| name.as_str().unwrap().trim().is_empty());
        if !user || is_nameless || names.iter().enumerate().any(|(index, name)| names[..index].contains(name)) {
            continue; // Refused as files: a policy names each route, and once; a conversation has a user.
        }
        let policy = file("policy.json", &golden["routes"].to_string());
        let conversation = file("conversation.json", &golden["messages"].to_string());
        let mut arguments =
            vec!["prompt", "--policy", &policy, "--conversation", &conversation, "--dialect", golden["dialect"].as_str().unwrap()];
        let budget = golden["budget_tokens"].as_u64().map(|budget| budget.to_string());
        if let Some(budget) = &budget {
            arguments.extend(["--budget", budget]);
        }
        let output = run(&arguments, "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), golden["prompt"].as_str().unwrap());
    }
}

#[test]
fn prompt_tells_what_the_budget_did() {
    let long = format!("User: {}", "word ".repeat(800));
    let told = |dialect: &str, note: &str| {
        let arguments = ["prompt", "--policy", POLICY, "--conversation", "-", "--dialect", dialect, "--budget", "400"];
        check(&arguments, &long, 0, "word word", note);
    };
    told("plano-0.4.20", "bytes cut out of its middle");
    told("archgw-0.3.1", "note: message 1 is sent whole although it exceeds the budget");
    told("model-card", "note: --budget has no effect: the dialect model-card sends everything");
    // A policy keeps what its gateway is set to; gateways of other dialects heed no such number.
    let policy = "dialect: plano-0.4.20\nbudget: 400\nroutes: [{name: a, description: b}]\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.yaml").display().to_string();
    for (text, is_cut) in [(policy.to_owned(), true), (policy.replace("plano-0.4.20", "archgw-0.3.1"), false)] {
        std::fs::write(&path, text).unwrap();
        let output = run(&["prompt", "--policy", &path, "--conversation", "-"], &long);
        assert_eq!(!output.stderr.is_empty(), is_cut, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn bad_usage_and_bad_input_end_with_2_and_one_sentence() {
    check(&["route", "--policy", POLICY], "", 2, "", "--conversation");
    check(
        &["prompt", "--policy", POLICY, "--conversation", CONVERSATION, "--dialect", "plano"],
        "",
        2,
        "",
        "unknown dialect \"plano\"; use model-card",
    );
    check(&["prompt", "--policy", "/nowhere/p.yaml", "--conversation", CONVERSATION], "", 2, "", "/nowhere/p.yaml: there is no such file");
    check(&["prompt", "--policy", "-", "--conversation", "-"], "", 2, "", "standard input can be read once");
    check(&["prompt", "--policy", POLICY, "--conversation", "-"], "[{\"role\": \"usr\"}]", 2, "", "<stdin>:1:");
    check(&["prompt", "--policy", "-", "--conversation", CONVERSATION], "routes: [", 2, "", "<stdin>:");
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", "nonsense"], "", 2, "", "there is no such folder");
    check(
        &["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", "http://localhost:1/v1"],
        "",
        2,
        "",
        "name the server's model after a #",
    );
    check(&["export", "-", "--into", "-"], "", 2, "", "POLICY and --into are both -");
    check(&["gui", "-"], "", 2, "", "the window cannot read standard input");
    check(&["bench", "--policy", "-", "--set", "-"], "", 2, "", "--policy and --set are both -");
    check(&["bench", "--policy", "-", "--set", POLICY], "routes: [", 2, "", "<stdin>:");
    check(&["bench", "--policy", POLICY, "--set", "-"], "", 2, "", "<stdin> has no usable line");
    check(&["models", "pull", "nonsense"], "", 2, "", "error: nonsense cannot be downloaded; name a router on the Hub");
    for command in ["path", "verify"] {
        check(&["models", command, "nonsense"], "", 2, "", "error: nonsense has no files here; name builtin, a folder");
    }
    for command in ["pull", "path", "verify"] {
        let output = run(&["models", command, "http://me:very-secret@localhost:1/v1#m"], "");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("a server ") && !said.contains("very-secret"), "{said}");
    }
    check(&["export", POLICY, "--out", "/nowhere/x.yaml"], "", 2, "", "the folder /nowhere does not exist; create it");
    let orders = u64::MAX.to_string();
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--orders", &orders], "", 2, "", "is not in 0..=10000");
    check(
        &["compare", "--run", "a", "--run", "b", "--limit", "5"],
        "",
        2,
        "",
        "error: leave out --limit: saved runs have the cases that they have",
    );
}

/// Whoever reads it has neither the sources nor the machine that the program was built on.
#[cfg(target_os = "linux")]
#[test]
fn without_a_display_the_window_says_why_and_ends_with_2() {
    let home = tempfile::tempdir().unwrap();
    let mut command = waypost(home.path());
    let output = command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("error: The window cannot be opened: neither WAYLAND_DISPLAY"), "{said}");
    assert!(said.contains(" is set. Waypost needs a display") && !said.contains(".rs"), "{said}");
}

#[test]
fn gates_and_bad_input_end_differently() {
    let config = "version: v0.4.0\nlisteners: []\nmodel_providers: [{model: openai/m, default: true}, {model: openai/n, default: true}]\n";
    let routes = "routing_preferences: [{name: wine, description: Wine, models: [openai/m]}]\n";
    check(&["import", "-"], config, 1, "", "the configuration holds no routes");
    check(&["import", "-"], &format!("{config}{routes}"), 0, "wine", "note: <stdin>:3:53: refused: the gateway refuses to start");
    for unreadable in ["", "version: [\n", "- messages: []\n"] {
        check(&["import", "-"], unreadable, 2, "", "error: <stdin>");
    }
    check(&["lint", "-"], &format!("{config}{routes}"), 1, "error gateway-refuses: ", "<stdin> has 1 error that the gateway");
    for report in ["--json", "--sarif"] {
        check(&["lint", "-", report], "routes: 4\n", 2, "}\n", "must be a list");
        check(&["lint", "-", report], "[{name: a, description: b}, {name: a, description: c}]", 1, "WP101", "has 1 error");
    }
}

#[test]
fn a_file_to_lint_that_cannot_be_opened_is_a_report_too() {
    let folder = tempfile::tempdir().unwrap();
    let [missing, latin] = ["missing.yaml", "latin.yaml"].map(|name| folder.path().join(name).display().to_string());
    std::fs::write(&latin, b"routes:\n  - name: caf\xe9\n").unwrap();
    for (file, line, problem) in
        [(&missing, 1, "there is no such file; check the path"), (&latin, 2, "is not UTF-8; save the file as UTF-8")]
    {
        let output = run(&["lint", file, "--sarif"], "");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(problem));
        let sarif: Value = serde_json::from_slice(&output.stdout).unwrap();
        let [result] = sarif["runs"][0]["results"].as_array().unwrap().as_slice() else { panic!("one result: {sarif:#}") };
        assert_eq!((&sarif["version"], &result["level"], &result["ruleId"]), (&"2.1.0".into(), &"error".into(), &"unreadable".into()));
        assert!(result["message"]["text"].as_str().unwrap().contains(problem), "{result:#}");
        let place = &result["locations"][0]["physicalLocation"];
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with(name), "{result:#}");
        assert_eq!(place["region"]["startLine"], line);
        check(&["lint", file, "--json"], "", 2, "\"code\": \"unreadable\"", problem);
    }
}

#[test]
fn a_router_that_cannot_be_loaded_ends_with_3() {
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", "/nowhere/m.gguf"], "", 3, "", "/nowhere/m.gguf");
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", "./no/such"], "", 3, "", "there is no such folder");
    let empty = tempfile::tempdir().unwrap();
    let folder = empty.path().display().to_string();
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", &folder], "", 3, "", "has no config.json");
    check(&["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", "./no/such"], "", 3, "", "there is no such folder");
    check(&["bench", "--router", "http://localhost:1/v1#m"], "", 3, "", "is a server, and this needs the router's own files");
    check(&["models", "path", "./no/such"], "", 3, "", "./no/such: there is no such router; check the path");
    check(&["models", "verify", &folder], "", 3, "", "has no files");
    check(&["models", "path", "/nowhere/m.gguf"], "", 3, "", "/nowhere/m.gguf: there is no such file");
    check(&["models", "path", "http://localhost:1/v1#m"], "", 3, "", "has no files here");
    if cfg!(not(feature = "cuda")) {
        check(
            &["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", &folder, "--device", "cuda"],
            "",
            3,
            "",
            "--device cpu",
        );
    }
}

#[test]
fn what_is_no_path_is_bad_usage() {
    let route = |router| ["route", "--policy", POLICY, "--conversation", CONVERSATION, "--router", router];
    let remedy = "write http:// or https:// before the address of a server, as in http://localhost:8080/v1#m";
    check(&route("localhost:8080/v1#m"), "", 2, "", remedy);
    check(&route("owner/name/extra"), "", 2, "", "a Hugging Face id such as");
    for name in ["localhost:8080/v1#m", "owner/name/extra"] {
        check(&["models", "path", name], "", 2, "", "has no files here");
    }
}

#[test]
fn standard_input_and_transcripts_are_read() {
    check(
        &["prompt", "--policy", POLICY, "--conversation", "-"],
        "User: hello\nAssistant: hi\nUser: fix it",
        0,
        r#"{"role":"user","content":"fix it"}"#,
        "",
    );
    check(
        &["prompt", "--policy", "-", "--conversation", CONVERSATION],
        "- {name: only, description: one}",
        0,
        r#"[{"name":"only","description":"one"}]"#,
        "",
    );
}

#[test]
fn what_a_router_does_not_see_is_told() {
    let say = |part: &str| format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
    let prompt = ["prompt", "--policy", POLICY, "--conversation", "-"];
    let nothing = "warning: <stdin>: nothing of the conversation reaches the router";
    check(&prompt, &say(r#"{"type":"image_url","image_url":{"url":"x"}}"#), 0, "<conversation>\n[]\n", nothing);
    let heard = run(&prompt, &say(r#"{"type":"input_text","text":"Write a Python function"}"#));
    assert!(String::from_utf8_lossy(&heard.stdout).contains(r#"{"role":"user","content":"Write a Python function"}"#));
    let told = String::from_utf8_lossy(&heard.stderr);
    assert!(told.contains("parts of the type \"input_text\" are saved as \"text\"") && told.lines().count() == 1, "{told}");
    check(&["prompt", "--policy", "-", "--conversation", CONVERSATION], "routes: []\n", 0, "<routes>", "gateways then skip the router");
}

#[test]
fn help_says_what_a_newcomer_needs() {
    check(&["--help"], "", 0, "Decide which route a conversation takes", "");
    check(&["route", "--help"], "", 0, "--orders", "");
    check(&["prompt", "--help"], "", 0, "but for the order of the routes", "");
    // Speed is measured of what runs here alone.
    let bench = run(&["bench", "--help"], "");
    let bench = String::from_utf8_lossy(&bench.stdout);
    assert!(bench.contains("A router that runs here") && !bench.contains("--in-flight") && !bench.contains("plano+"), "{bench}");
    check(&["eval", "--help"], "", 0, "set_findings.csv", "");
    for command in ["route", "eval", "compare"] {
        for dialect in ["model-card", "archgw-0.3.1", "plano-0.4.19", "plano-0.4.20"] {
            check(&[command, "--help"], "", 0, dialect, "");
        }
    }
    check(&["--version"], "", 0, env!("CARGO_PKG_VERSION"), "");
}

/// Where the folder for data can be named: not on macOS and Windows.
#[cfg(not(any(windows, target_os = "macos")))]
#[test]
fn routers_are_listed_with_the_speed_of_where_they_would_run() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("data/waypost")).unwrap();
    std::fs::write(home.path().join("data/waypost/routers.json"), r#"{"speeds": {"builtin on cpu": [340.0]}}"#).unwrap();
    for (device, expected) in [("cpu", Value::from(340.0)), ("cuda", Value::Null)] {
        let output = waypost(home.path()).args(["models", "list", "--json", "--device", device]).output().unwrap();
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let line = listed.as_array().unwrap().iter().find(|line| line["router"] == "builtin").unwrap();
        assert_eq!(line["decision_ms"], expected, "{device}");
    }
}

#[test]
fn bench_tells_the_slow_end_and_on_which_machine() {
    let home = tempfile::tempdir().unwrap();
    let router = home.path().join("router");
    TinyModel::random(Shape { context: 32_768, ..Shape::SMALL }, 6).write(&router, Storage::F32, 1);
    let router = router.display().to_string();
    let arguments = ["bench", "--json", "--router", &router, "--device", "cpu", "--runs", "2", "--cases", "1"];
    let output = waypost(home.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: Value = serde_json::from_slice(&output.stdout).unwrap();
    for kind in ["cold", "warm"] {
        let [median, late] = ["decision_ms", "p95_ms"].map(|name| figures[kind][name].as_f64().unwrap());
        assert!(0.0 < median && median <= late, "{figures}");
    }
    assert_eq!(figures["runs"], 2);
    assert!(figures["machine"].is_string() && figures["threads"].as_u64() >= Some(1), "{figures}");
}

#[test]
fn every_sample_is_readable() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_policies");
    let mut seen = 0;
    for folder in std::fs::read_dir(samples).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let policy = folder.join("policy.yaml").display().to_string();
        for conversation in std::fs::read_dir(folder.join("conversations")).unwrap() {
            let conversation = conversation.unwrap().path().display().to_string();
            let output = run(&["prompt", "--policy", &policy, "--conversation", &conversation], "");
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !err.contains("warning"), "{conversation}: {err}");
            seen += 1;
        }
    }
    assert!(seen >= 20, "only {seen} sample conversations");
}

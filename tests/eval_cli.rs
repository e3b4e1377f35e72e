//! `waypost eval`, `waypost compare` and `waypost export --evidence` from outside, with a tiny router.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::waypost;
use crate::tiny_model::{Shape, Storage, TinyModel};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with a router that always writes the route `code`, a policy, a second version of it and a set.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let mut model = TinyModel::random(Shape::SMALL, 3);
        model.teach("{\"route\": \"code\"}", 60.0);
        model.write(&folder.0.path().join("router"), Storage::F32, 1);
        let policy = |talk: &str| {
            format!(
                "routes:\n  - name: code\n    description: Code\n    models: [openai/gpt-5-mini]\n  - name: talk\n    description: {talk}\n    models: [openai/gpt-5-mini]\nfallback: openai/gpt-5-mini\n"
            )
        };
        folder.write("policy.yaml", &policy("Talk"));
        folder.write("other.yaml", &policy("Small talk"));
        folder.write("set.csv", "text,label\nsort,code\nhello,talk\nmore code,code\nbad\nspace,Code\n");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// Runs the program in the folder; returns its status, standard output and standard error.
    fn run(&self, arguments: &str) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = waypost(self.0.path());
        command.args(arguments.split(' ')).current_dir(self.0.path());
        command
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(name).exists()
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn eval_reports_gates_and_reuses() {
    let folder = Folder::new();
    let (status, out, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --json --out run --min-agreement 0.4");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("set.csv:5: the record has 1 fields where the header has 2"), "{err}");
    assert!(err.contains("set.csv:6: the label \"Code\" differs from the route \"code\" only by case"), "{err}");
    let report = json(&out);
    assert_eq!((&report["cases"], &report["agreement"], &report["reused"]), (&4.into(), &0.5.into(), &0.into()));
    assert_eq!(report["confusion"]["labels"], serde_json::json!(["code", "talk", "other", "Code"]));
    for key in [
        "agreement_ci95",
        "macro_f1",
        "errors",
        "per_route",
        "turn_accuracy",
        "calibration",
        "latency_ms",
        "decisions_per_second",
        "tokens",
    ] {
        assert!(!report[key].is_null(), "{key}");
    }
    assert_eq!(
        (&report["span_accuracy"], &report["policy"]["path"], &report["dialect"]),
        (&Value::Null, &"policy.yaml".into(), &"archgw-0.3.1".into())
    );
    let kept = json(&folder.read("run/report.json"));
    assert_eq!((&kept["agreement"], &kept["left_out"]["count"]), (&0.5.into(), &1.into()));
    assert!(kept["left_out"]["reasons"][0].as_str().unwrap().contains("set.csv:5"), "{}", kept["left_out"]);
    let junit = folder.read("run/junit.xml");
    assert!(junit.contains("tests=\"5\" failures=\"2\" errors=\"0\""), "{junit}");
    assert!(junit.contains("<testcase name=\"agreement of at least 40.0 %\" classname=\"gate\" time=\"0\"/>"), "{junit}");
    assert!(folder.read("run/report.md").contains("agreement 50.0 % of 4 cases"));
    let cases = folder.read("run/cases.csv");
    assert!(cases.lines().count() == 5 && cases.contains(",hello\n") && junit.contains(">set.csv:3: hello</failure>"), "{cases}{junit}");
    let findings = folder.read("run/set_findings.csv");
    assert!(findings.starts_with("kind,lines,message,remedy\nleft_out,5,") && findings.contains("\nlabel_case,6,"), "{findings}");

    let (status, out, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --min-agreement 0.6");
    assert_eq!(status, 1, "{err}");
    assert!(out.contains("all 4 results kept from earlier runs") && err.contains("below the required 0.6"), "{out}{err}");
    let wrong = "\nwrong cases\n  3 (line 3), expected talk, decided code: hello\n  6 (line 6), expected Code, decided code: space\n";
    assert!(out.ends_with(wrong), "{out}");
    let (status, _, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --min-agreement 0.6 --min-recall 0.5");
    assert_eq!(status, 1, "{err}");
    assert!(
        err.contains("(2 of 4 cases) is below the required 0.6; the recall of talk (0 of 1), Code (0 of 1) is below the required 0.5"),
        "{err}"
    );
    let (_, out, _) = folder.run("eval --policy policy.yaml --set set.csv --router router --json --no-cache --orders 2 --limit 2");
    assert_eq!((&json(&out)["reused"], &json(&out)["order_stability"]["orders"], &json(&out)["cases"]), (&0.into(), &1.into(), &2.into()));
    folder.write("single.yaml", "routes: [{name: code, description: Code}]\n");
    let (_, out, err) = folder.run("eval --policy single.yaml --set set.csv --router router --no-cache --orders 4 --limit 1");
    assert!(out.contains("\norder: not tested, the routes have no other order\n"), "{out}{err}");

    let (_, out, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --json --dialect plano-0.4.20 --budget 300");
    assert_eq!(json(&out)["budget"], 300, "{err}");
    let (_, _, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --dialect model-card --budget 300");
    assert!(err.contains("note: --budget has no effect: the dialect model-card sends everything"), "{err}");

    for (arguments, sentence) in [
        ("eval --policy policy.yaml --set set.csv --router router --min-agreement 85", "write a share from 0 to 1"),
        ("eval --policy policy.yaml --set set.csv --router router --min-recall 85", "write a share from 0 to 1"),
        ("eval --policy policy.yaml --set policy.yaml --router router", "has no usable case"),
        ("eval --policy - --set - --router router", "standard input can be read once"),
        ("eval --policy policy.yaml --set nowhere.jsonl --router router", "nowhere.jsonl: there is no such file"),
    ] {
        let (status, out, err) = folder.run(arguments);
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(sentence), "{err}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_set_may_come_through_a_pipe() {
    use std::io::Write as _;

    let folder = Folder::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(folder.read("set.csv").as_bytes()).unwrap();
    drop(writer);
    let output = folder.command("eval --policy policy.yaml --set /dev/stdin --router router --json").stdin(reader).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && err.contains("/dev/stdin:5:"), "{err}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["cases"], &report["set"]["path"]), (&4.into(), &"/dev/stdin".into()));
}

#[test]
fn figures_are_not_lost_where_the_folder_cannot_be_written_to() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.0.path().join("run/report.md")).unwrap();
    let (status, out, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --json --out run");
    assert_eq!((status, &json(&out)["agreement"]), (2, &0.5.into()), "{err}");
    assert!(err.contains("--out run: "), "{err}");
    // Where no file can be made at all it is found out before.
    if cfg!(target_os = "linux") {
        let (status, out, err) = folder.run("eval --policy policy.yaml --set set.csv --router router --cache kept --out /proc");
        assert_eq!((status, out.as_str(), folder.has("kept")), (2, "", false), "{err}");
        assert!(err.contains("--out /proc: no file can be written there") && !err.contains(".tmp"), "{err}");
    }
}

#[test]
fn compare_finds_mistakes_before_it_measures() {
    let folder = Folder::new();
    for (arguments, status, sentence) in [
        ("--policy policy.yaml --set set.csv --router router", 2, "there is nothing to compare"),
        ("--policy policy.yaml --policy nowhere.yaml --set set.csv --router router", 2, "nowhere.yaml: there is no such file"),
        ("--policy policy.yaml --set set.csv --router router --router nowhere.gguf", 3, "nowhere.gguf: there is no such file"),
        ("--policy policy.yaml --set set.csv --router router --router nowhere", 2, "nowhere: there is no such folder"),
        ("--policy - --policy policy.yaml --set - --router router", 2, "--policy and --set are both -"),
        ("--policy - --policy - --set set.csv --router router", 2, "--policy is - twice"),
    ] {
        let (found, out, err) = folder.run(&format!("compare {arguments} --cache kept --out both"));
        assert_eq!((found, out.as_str()), (status, ""), "{err}");
        assert!(err.contains(sentence), "{err}");
        assert!(!folder.has("kept") && !folder.has("both"), "{arguments}");
    }
}

#[test]
fn what_a_screenful_leaves_out_is_in_the_folder_of_the_run() {
    let folder = Folder::new();
    folder.write("many.csv", &("text,label\n".to_owned() + &"hello,talk\n".repeat(25) + &"bad\n".repeat(25)));
    let (status, _, err) = folder.run("eval --policy policy.yaml --set many.csv --router router --out run");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("and 5 more like these; --out DIR writes all of them to set_findings.csv"), "{err}");
    assert!(err.contains("the same conversation appears 25 times") && err.contains("no case expects the route \"code\""), "{err}");
    let findings = folder.read("run/set_findings.csv");
    assert_eq!(findings.matches("\nleft_out,").count(), 25, "{findings}");
    let lines: Vec<String> = (2..27).map(|line| line.to_string()).collect();
    assert!(findings.contains(&format!("\nduplicate,{},", lines.join(" "))), "{findings}");
}

#[test]
fn compare_takes_policies_dialects_and_saved_runs() {
    let folder = Folder::new();
    let (status, out, err) =
        folder.run("compare --policy policy.yaml --policy other.yaml --set set.csv --router router --json --out both --fail-if-worse");
    assert_eq!(status, 0, "{err}");
    let report = json(&out);
    assert_eq!(report["verdict"], "A and B decide all 4 cases alike");
    assert_eq!((&report["a"]["cases"], &report["b"]["agreement"], &report["mcnemar"]["p"]), (&4.into(), &0.5.into(), &1.0.into()));
    assert_eq!((&report["by_conversation"], &report["labels_of"]), (&serde_json::json!({"b": 0, "c": 0, "p": 1.0}), &"b".into()));
    assert_eq!(report["changes"], serde_json::json!(["the description of talk"]));
    assert!(report["policy_diff"].to_string().contains("+    description: \\\"Small talk\\\""), "{}", report["policy_diff"]);
    assert!(folder.read("both/matrix.csv").starts_with("line,id,turn,label,A,B\n2,2,0,code,code,code\n"));
    assert_eq!(json(&folder.read("both/compare.json"))["verdict"], report["verdict"]);

    // The orchestrator prompt wants lists, which this router never writes: every request would fail.
    let (status, out, err) =
        folder.run("compare --policy policy.yaml --dialect archgw-0.3.1 --dialect plano-0.4.20 --set set.csv --router router --json");
    assert_eq!(status, 0, "{err}");
    let report = json(&out);
    assert_eq!((&report["b"]["errors"], &report["broken"], &report["flips"][0]["b"]), (&4.into(), &2.into(), &Value::Null));
    assert_eq!((&report["flips"][0]["kind"], &report["flips"][0]["cause"]), (&"broken".into(), &Value::Null));

    // Where no cause can be looked for the report says why.
    let (status, out, err) = folder.run(
        "compare --policy policy.yaml --policy other.yaml --dialect archgw-0.3.1 --dialect plano-0.4.20 --set set.csv --router router --json --out edited",
    );
    assert_eq!(status, 0, "{err}");
    assert!(json(&out)["causes"]["unknown"].as_str().unwrap().starts_with("the runs differ in the dialect too"), "{out}");
    let (_, out, _) = folder.run("compare --run edited/a --run edited/b");
    assert!(out.contains("which edits cause the flips could not be determined: name the set that was measured with --set"), "{out}");

    let (status, out, err) = folder.run("compare --run both/a --run both/b --run both/a");
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("A and B decide all 4 cases alike") && out.contains("A and C decide"), "{out}");
    assert!(Path::new(&folder.0.path().join("both/b/report.json")).exists());
    assert!(folder.read("both/b/set_findings.csv").contains("\nleft_out,5,"));

    // A run that lies where it would be written is left alone.
    std::fs::remove_file(folder.0.path().join("both/a/report.md")).unwrap();
    let (status, _, err) = folder.run("compare --run both/a/report.json --run both/b --out both");
    assert_eq!(status, 0, "{err}");
    assert!(!folder.0.path().join("both/a/report.md").exists() && folder.0.path().join("both/matrix.csv").exists());
    let before = folder.read("both/b/report.json");

    for (arguments, sentence) in [
        (
            "compare --run both/b --run both/a --out both",
            "the run A would be written over both/a, which was read as B; name another folder",
        ),
        (
            "compare --run both/b --policy other.yaml --set set.csv --router router --out both",
            "the run B would be written over both/b, which was read as A; name another folder",
        ),
        ("compare --policy policy.yaml --set set.csv --router router", "there is nothing to compare"),
        ("compare --run both/a --run nowhere", "nowhere: there is no such file"),
        ("compare --run both/a --run both/b --orders 5", "--policy <FILE>"),
    ] {
        let (status, _, err) = folder.run(arguments);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains(sentence), "{err}");
    }
    assert_eq!(folder.read("both/b/report.json"), before);
}

#[test]
fn exports_carry_the_evidence_of_a_run_that_holds() {
    let folder = Folder::new();
    assert_eq!(folder.run("eval --policy policy.yaml --set set.csv --router router --out run").0, 0);
    let (status, _, err) = folder.run("export policy.yaml --evidence run --out routes.yaml");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("Plano 0.4.20 and later sends the dialect plano-0.4.20") && err.contains("--gateway"), "{err}");
    assert!(folder.read("routes.yaml").contains("agreement 50.0 %"));
    let (status, _, err) = folder.run("export policy.yaml --evidence run --gateway 0.3.22");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("version 0.3.22 does not read plano-0.4") && !err.contains("sends the dialect"), "{err}");
    let (_, _, err) = folder.run("export policy.yaml --evidence run --gateway 0.3.22 --format plano-0.3");
    assert!(!err.contains("does not read"), "{err}");
    assert_eq!(json(&folder.read("routes.evidence.json"))["cases"], 4);
    let (status, out, err) = folder.run("export other.yaml --evidence run/report.json");
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("this policy was changed since it was tested") && err.contains("--yes"), "{err}");
    let (status, out, _) = folder.run("export other.yaml --evidence run --yes");
    assert_eq!(status, 0);
    assert!(out.contains("WARNING, this policy was changed since it was tested"), "{out}");
    let (status, _, err) = folder.run("export other.yaml --out routes.yaml");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("routes.evidence.json is from an earlier export and says nothing about this one"), "{err}");

    assert_eq!(folder.run("eval --policy policy.yaml --set set.csv --router router --limit 2 --out first").0, 0);
    let (status, out, err) = folder.run("export policy.yaml --evidence first");
    assert_eq!(status, 0, "{err}");
    let note = "the policy was tested only on the first cases of set.csv; 2 more were not measured";
    assert!(err.contains(&format!("note: {note}\n")) && out.contains(note), "{err}{out}");

    // A route that is lost fails its run, whatever the agreement.
    let strict = "eval --policy policy.yaml --set set.csv --router router --min-agreement 0.1 --min-recall 0.5 --out strict";
    assert_eq!(folder.run(strict).0, 1);
    assert!(folder.read("strict/report.md").contains("gate: FAILED, a recall of at least 50.0 %"), "{}", folder.read("strict/report.md"));
    let junit = folder.read("strict/junit.xml");
    assert!(junit.contains("tests=\"6\" failures=\"3\" errors=\"0\" skipped=\"0\""), "{junit}");
    assert!(junit.contains("<testcase name=\"agreement of at least 10.0 %\" classname=\"gate\" time=\"0\"/>"), "{junit}");
    assert!(junit.contains("<testcase name=\"recall of at least 50.0 % of each route\" classname=\"gate\" time=\"0\">"), "{junit}");
    assert!(junit.contains("<failure message=\"the recall is less for talk (0 of 1), Code (0 of 1)\">set.csv</failure>"), "{junit}");
    let (status, out, err) = folder.run("export policy.yaml --evidence strict");
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("this policy fails its gate: the recall of talk, Code is below the required 50.0 %"), "{err}");
}

#[test]
fn exports_tell_that_requests_fail_and_that_no_gateway_asks_the_built_in_router() {
    let folder = Folder::new();
    assert_eq!(folder.run("eval --policy policy.yaml --set set.csv --router router --dialect plano-0.4.20 --out failing").0, 0);
    let report = folder.read("failing/report.md");
    assert!(report.contains("| code | error | 2 |"), "{report}");
    let (status, out, err) = folder.run("export policy.yaml --evidence failing");
    assert_eq!((status, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("warning: the gateway fails most requests of its test (4 of 4)"), "{err}");
    let (status, out, _) = folder.run("export policy.yaml --evidence failing --yes");
    assert!(status == 0 && out.contains("# waypost: 4 of 4 requests fail with HTTP 500"), "{out}");

    assert_eq!(folder.run("eval --policy policy.yaml --set set.csv --router router --out run").0, 0);
    let mut report = json(&folder.read("run/report.json"));
    report["run"]["router"]["id"] = "builtin".into();
    folder.write("run/report.json", &report.to_string());
    let (status, out, err) = folder.run("export policy.yaml --evidence run");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("warning: tested with the built-in router") && out.contains("WARNING, tested with the built-in"), "{err}{out}");
}

#[test]
fn what_the_gateway_cuts_is_told_beside_decisions() {
    let folder = Folder::new();
    let role = |at: usize| if at.is_multiple_of(2) { "user" } else { "assistant" };
    let messages: Vec<String> = (0..17).map(|at| format!("{{\"role\": \"{}\", \"content\": \"{at}\"}}", role(at))).collect();
    let messages = format!("[{}]", messages.join(", "));
    folder.write("long.jsonl", &format!("{{\"messages\": {messages}, \"route\": \"code\"}}\n"));
    folder.write("long.json", &messages);
    let told = |command: &str, dialect: &str| {
        let (status, _, err) = folder.run(&format!("{command} --policy policy.yaml --router router --dialect {dialect}"));
        assert_eq!(status, 0, "{err}");
        err
    };
    for (command, note) in [
        ("route --conversation long.json", "note: message 1 is not sent: it is older than the last 16 messages"),
        ("eval --set long.jsonl", "note: 1 case was cut: plano-0.4.20 does not send all of so long a conversation"),
        // Of a kept result too.
        ("eval --set long.jsonl", "note: 1 case was cut"),
    ] {
        let [cut, whole] = ["plano-0.4.20", "archgw-0.3.1"].map(|dialect| told(command, dialect));
        assert!(cut.contains(note) && !whole.contains("message 1") && !whole.contains("was cut"), "{cut}{whole}");
    }
}

#[test]
fn lines_without_a_label_are_told_and_left_out() {
    let folder = Folder::new();
    let line = |text: &str, label: &str| format!("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{text}\"}}]{label}}}\n");
    folder.write("set.jsonl", &(line("hi", "") + &line("sort", ", \"route\": \"code\"") + &line("hello", "")));
    let (status, out, err) = folder.run("eval --policy policy.yaml --set set.jsonl --router router --json --limit 1");
    assert_eq!(status, 0, "{err}");
    assert!(err.contains("set.jsonl: 2 lines have no label and are left out"), "{err}");
    assert_eq!((&json(&out)["cases"], &json(&out)["agreement"]), (&1.into(), &1.0.into()));
    folder.write("set.jsonl", &line("hi", ""));
    let (status, _, err) = folder.run("eval --policy policy.yaml --set set.jsonl --router router");
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("1 line has no label and is left out") && err.contains("has no usable case"), "{err}");
}

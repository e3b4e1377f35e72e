//! Exports in every format, with and without evidence.

use waypost::decision::RouterInfo;
use waypost::eval::RecallGate;
use waypost::formats::{
    Confusion, Evidence, ExportFormat, ExportOptions, Exported, Gate, Stability, Standing, configured_budget, evidence_problems,
    export_gateway, gateway_versions, import_gateway, lint_context, policy_digest, standing,
};
use waypost::policy::{DialectId, Policy, Route};

use super::{imported, notes, sample_policies};

fn policy() -> Policy {
    let route = |name: &str, description: &str, models: &[&str]| Route {
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        ..Route::new(name, description)
    };
    let mut policy = Policy {
        name: Some("Kitchen #1 – grüß".to_owned()),
        dialect: Some(DialectId::Plano0420),
        budget: None,
        fallback: Some("openai/gpt-5-nano".to_owned()),
        routes: vec![
            route("no", "2024-01-01", &["anthropic/claude-sonnet-4-6", "openai/gpt-5"]),
            route("off", "Say \"hi\": {a}\n\t#x \u{85}\u{2028} 😀 $5", &["openai/gpt-5"]),
            route("12:30:00", "null", &["anthropic/claude-sonnet-4-6"]),
        ],
        extra: vec![("owner".to_owned(), "{\"team\":[1,2.50]}".to_owned())],
    };
    policy.routes[1].domain = Some("food".to_owned());
    policy.routes[1].action = Some("cook\u{2028}".to_owned());
    policy.routes[2].extra =
        vec![("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned()), ("note".to_owned(), "\"x\"".to_owned())];
    policy
}

#[track_caller]
fn export(policy: &Policy, format: ExportFormat) -> Exported {
    export_gateway(policy, ExportOptions { format, ..ExportOptions::default() }).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(policy: &Policy, format: ExportFormat) -> String {
    export_gateway(policy, ExportOptions { format, ..ExportOptions::default() }).unwrap_err().to_string()
}

fn evidence(policy: &Policy) -> Evidence {
    Evidence {
        policy_sha256: policy_digest(policy),
        set: "kitchen.jsonl".to_owned(),
        set_sha256: "ab".repeat(32),
        cases: 200,
        planned: 200,
        beyond_limit: 0,
        undecided: 0,
        own_routes: 0,
        errors: 0,
        agreement: 0.91,
        agreement_ci95: [0.86, 0.94],
        confusions: vec![Confusion { label: "no".to_owned(), decided: "off\n- x".to_owned(), count: 7 }],
        router: RouterInfo {
            id: "katanemo/Arch-Router-1.5B".to_owned(),
            device: "cpu".to_owned(),
            dtype: "f32".to_owned(),
            temperature: None,
        },
        router_sha256: None,
        dialect: Some(DialectId::Plano0420),
        budget: None,
        gateway_versions: gateway_versions(DialectId::Plano0420).to_owned(),
        date: "2026-11-23".to_owned(),
        order_stability: Some(Stability { orders: 5, changed_cases: 3 }),
        gate: Some(Gate { min_agreement: 0.9, passed: true, open: false }),
        recall_gate: None,
        waypost: "0.1.0".to_owned(),
    }
}

#[test]
fn plano_exports_import_back_unchanged() {
    for format in [ExportFormat::Plano04, ExportFormat::Plano03] {
        let mut all: Vec<Policy> = sample_policies().into_iter().map(|(_, policy)| policy).collect();
        all.push(policy());
        for policy in all {
            let text = export(&policy, format).text;
            assert_eq!(imported(&text).policy, policy, "{format}\n{text}");
            assert!(notes(&imported(&text)).iter().all(|note| note.starts_with("changed")), "{text}");
        }
    }
}

#[test]
fn another_reader_of_yaml_sees_only_text() {
    let text = export(&policy(), ExportFormat::Plano04).text;
    let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let routes = yaml["routing_preferences"].as_sequence().unwrap();
    let names: Vec<&str> = routes.iter().map(|route| route["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["no", "off", "12:30:00"]);
    assert_eq!(routes[1]["description"].as_str(), Some("Say \"hi\": {a}\n\t#x \u{85}\u{2028} 😀 $5"));
    assert!(!text.contains(['\u{85}', '\u{2028}']), "{text}");
    assert_eq!(yaml["model_metrics_sources"][0]["provider"].as_str(), Some("models.dev"));
}

#[test]
fn a_minimal_export_looks_as_people_would_write_it() {
    let policy = Policy {
        fallback: Some("openai/gpt-5-nano".to_owned()),
        routes: vec![Route { models: vec!["openai/gpt-5".to_owned()], ..Route::new("wine", "Wine and cellars") }],
        ..Policy::default()
    };
    let expected = "\
# waypost: WARNING, this policy was not tested
version: v0.4.0
listeners:
  - type: model
    name: model_listener
    port: 12000
model_providers:
  - model: \"openai/gpt-5\"
    access_key: \"$OPENAI_API_KEY\"
  - model: \"openai/gpt-5-nano\"
    access_key: \"$OPENAI_API_KEY\"
    default: true
routing_preferences:
  - name: \"wine\"
    description: \"Wine and cellars\"
    models:
      - \"openai/gpt-5\"
";
    assert_eq!(export(&policy, ExportFormat::Plano04).text, expected);
    let inline = export(&policy, ExportFormat::Plano03);
    let expected = "\
# waypost: WARNING, this policy was not tested
# waypost: {\"routes\":[{\"name\":\"wine\"}]}
version: v0.1.0
listeners:
  egress_traffic:
    address: 0.0.0.0
    port: 12000
    message_format: openai
    timeout: 30s
llm_providers:
  - model: \"openai/gpt-5\"
    access_key: \"$OPENAI_API_KEY\"
    routing_preferences:
      - name: \"wine\"
        description: \"Wine and cellars\"
  - model: \"openai/gpt-5-nano\"
    access_key: \"$OPENAI_API_KEY\"
    default: true
";
    assert_eq!((inline.text.as_str(), inline.notes.len()), (expected, 0));
    let claude = Policy { fallback: Some("anthropic/claude-sonnet-4-6".to_owned()), ..policy };
    let notes = export(&claude, ExportFormat::Plano03).notes;
    assert!(notes.iter().any(|note| note.contains("archgw 0.3.4 to 0.3.10") && note.contains("refuses anthropic;")), "{notes:?}");
}

#[test]
fn other_formats_import_back_as_far_as_they_can_say_it() {
    let told = |policy: &Policy| -> Vec<_> {
        policy.routes.iter().map(|route| (route.name.clone(), route.description.clone(), route.models.clone())).collect()
    };
    let mut policy = policy();
    policy.routes[1].description = "Soups".to_owned();
    let exported = export(&policy, ExportFormat::RoutingApi);
    let back = import_gateway(&exported.text, "c.yaml").unwrap().policy;
    assert_eq!((told(&back), &back.fallback), (told(&policy), &policy.fallback));
    let left_out = "no place for what else the policy says (name, dialect, domain, action, owner, note)";
    assert!(exported.notes.iter().any(|note| note.contains(left_out)), "{:?}", exported.notes);
    // The others have comments for what they have no keys for.
    let kept = r#"[{"model":"openai/gpt-5","base_url":"http://localhost:8000","http_host":"models"}]"#;
    policy.extra.push(("providers".to_owned(), kept.to_owned()));
    policy.extra.push(("model_metrics_sources".to_owned(), r#"[{"type":"cost","provider":"digitalocean"}]"#.to_owned()));
    for format in [ExportFormat::VllmSr, ExportFormat::LiteLlm] {
        let exported = export(&policy, format);
        let is_told = exported.notes.iter().any(|note| note.contains("only each route's first model"));
        assert_eq!(is_told, format == ExportFormat::LiteLlm);
        assert_eq!(import_gateway(&exported.text, "c.yaml").unwrap().policy, policy, "{format}\n{}", exported.text);
    }
}

#[test]
fn litellm_has_names_of_its_own_for_some_providers() {
    let policy = Policy {
        fallback: Some("azure_openai/gpt-4o".to_owned()),
        routes: vec![Route { models: vec!["amazon_bedrock/claude".to_owned()], ..Route::new("wine", "Wine and cellars") }],
        ..Policy::default()
    };
    let text = export(&policy, ExportFormat::LiteLlm).text;
    let entry = "  - model_name: \"azure_openai/gpt-4o\"\n    litellm_params:\n      model: \"azure/gpt-4o\"\n";
    assert!(text.contains(entry), "{text}");
    let back = imported(&text);
    assert_eq!(back.policy, policy);
    let note = "LiteLLM's \"bedrock/claude\" is \"amazon_bedrock/claude\" in a policy";
    assert!(notes(&back).iter().any(|told| told.contains(note)), "{:?}", notes(&back));
}

#[test]
fn what_litellm_trims_is_told_and_keeps_what_the_comment_says() {
    let mut policy = policy();
    policy.routes[0].name = "beer ".to_owned();
    policy.routes[0].domain = Some("drinks".to_owned());
    policy.routes[1].description = "Soups".to_owned();
    policy.routes[2].name = "<<".to_owned();
    let exported = export(&policy, ExportFormat::LiteLlm);
    let note = "LiteLLM removes the spaces around names and descriptions, here of \"beer \"";
    assert!(exported.notes.iter().any(|told| told == note), "{:?}", exported.notes);
    policy.routes[0].name = "beer".to_owned();
    assert_eq!(imported(&exported.text).policy, policy);
}

#[test]
fn into_a_whole_export_leaves_nothing_of_its_old_comments() {
    let first = policy();
    let evidence = evidence(&first);
    let whole = export_gateway(&first, ExportOptions { evidence: Some(&evidence), ..ExportOptions::default() }).unwrap().text;
    let mut second = policy();
    (second.name, second.dialect) = (None, None);
    second.extra.clear();
    second.routes.truncate(1);
    let text = export_gateway(&second, ExportOptions { into: Some((&whole, "c.yaml")), ..ExportOptions::default() }).unwrap().text;
    assert!(text.starts_with("version: v0.4.0\n") && text.matches("# waypost:").count() == 1, "{text}");
    assert!(text.contains("# waypost: WARNING, this policy was not tested\nrouting_preferences:\n"), "{text}");
    assert_eq!(imported(&text).policy, second);
}

#[test]
fn what_a_gateway_would_refuse_is_not_exported() {
    let wine = |models: &[&str]| Policy {
        routes: vec![Route { models: models.iter().map(|model| (*model).to_owned()).collect(), ..Route::new("wine", "Wine") }],
        ..Policy::default()
    };
    let cases = [
        (Policy::default(), ExportFormat::Plano04, "the policy has no routes"),
        (wine(&[]), ExportFormat::RoutingApi, "no route has models"),
        (wine(&["gpt-5"]), ExportFormat::Plano04, "\"gpt-5\" is not a model name of the form provider/model"),
        (wine(&["ollama/llama3"]), ExportFormat::Plano04, "model \"ollama/llama3\" needs a base_url; add it to `providers` of the policy"),
        (wine(&["openai/m", "groq/m"]), ExportFormat::Plano03, "Plano does not tell \"groq/m\" and \"openai/m\" apart"),
        (wine(&["openai/m"]), ExportFormat::LiteLlm, "LiteLLM needs a model for requests that fit no route"),
    ];
    for (policy, format, expected) in cases {
        let found = refusal(&policy, format);
        assert!(found.starts_with("the gateway would refuse this: ") && found.contains(expected), "{found}\n{expected}");
    }
    let mut many = wine(&["openai/m"]);
    many.fallback = Some("openai/m".to_owned());
    many.routes = (0..8).map(|number| Route { name: format!("r{number}"), ..many.routes[0].clone() }).collect();
    many.routes[0].description = "x".repeat(501);
    many.routes[1].name = "y".repeat(65);
    many.routes[2].description = "two\nlines".to_owned();
    many.routes[3].name = "R4".to_owned();
    let found = refusal(&many, ExportFormat::LiteLlm);
    for expected in ["longer than 500 characters; shorten it", "longer than 64", "on one line each", "8 tiers", "apart by case"] {
        assert!(found.contains(expected), "{expected}\n{found}");
    }
    let mut other = Policy { fallback: Some("openai/m".to_owned()), ..wine(&["openai/m"]) };
    other.routes[0].name = "Other".to_owned();
    let found = refusal(&other, ExportFormat::LiteLlm);
    let tier = "the tier \"other\" for requests that fit no route, and does not tell tiers apart by case; rename the route \"Other\"";
    assert!(found.contains(tier) && !found.contains("is there twice"), "{found}");
    let mut fastest = wine(&["openai/m"]);
    fastest.routes[0].extra.push(("selection_policy".to_owned(), r#"{"prefer":"fastest"}"#.to_owned()));
    assert!(refusal(&fastest, ExportFormat::Plano04).contains("add `model_metrics_sources` with a latency source"));
    let with = |key: &str, json: &str| {
        let mut policy = wine(&["ollama/x", "openai/m"]);
        policy.extra = vec![("providers".to_owned(), r#"[{"model":"ollama/x","base_url":"http://x"}]"#.to_owned())];
        policy.extra.retain(|(other, _)| other != key);
        policy.extra.push((key.to_owned(), json.to_owned()));
        policy
    };
    let kept = [
        ("providers", "5", "the policy's `providers` cannot be read (invalid type: integer `5`, expected a sequence); write a list"),
        ("providers", r#"[{"model":"ollama/x","base_url":"nope"}]"#, "model \"ollama/x\" needs a base_url like http://host:port"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://"}]"#, "needs a base_url like"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://a:b:c"}]"#, "needs a base_url like"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://a:$PORT/v1"}]"#, "needs a base_url like"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://x","access_key":"sk-live"}]"#, "needs an access_key that names"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://me:word@x/v1"}]"#, "needs a base_url without user, password and query"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://x/v1?key=word"}]"#, "needs a base_url without user, password and query"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://x","headers":{"a":5}}]"#, "needs headers whose values are text"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://x","headers":{"X-Key":"word"}}]"#, "needs headers that name environment"),
        ("providers", r#"[{"model":"ollama/x","base_url":"http://x","provider_interface":"openai"}]"#, "needs no provider_interface"),
        ("model_metrics_sources", "5", "the gateway refuses model_metrics_sources that are no list, found the number 5"),
        ("model_metrics_sources", r#"[{"type":"cost"}]"#, "the gateway refuses a cost source without `provider`"),
    ];
    for (key, json, expected) in kept {
        let policy = with(key, json);
        for format in [ExportFormat::Plano04, ExportFormat::Plano03] {
            let found = refusal(&policy, format);
            assert!(found.contains(expected), "{json}: {found}");
        }
        let told = lint_context(&policy).refused;
        assert!(told.iter().any(|(_, message)| message.contains(expected)), "{json}: {told:?}");
    }
    // The comment of this one holds what the policy says of models that it does not use, too.
    let unused = with("providers", r#"[{"model":"openai/unused","access_key":"sk-live"}]"#);
    assert!(refusal(&unused, ExportFormat::VllmSr).contains("model \"openai/unused\" needs an access_key that names"));
    let mut own = wine(&["plano/orchestrator"]);
    own.extra = vec![("providers".to_owned(), r#"[{"model":"plano/orchestrator","base_url":"http://x"}]"#.to_owned())];
    assert!(refusal(&own, ExportFormat::Plano04).contains("model \"plano/orchestrator\" needs another name"));
    let whole = with("model_metrics_sources", r#"[{"type":"cost","provider":"models.dev","url":"http://x/latency"}]"#);
    assert!(lint_context(&whole).refused.is_empty());
    export(&whole, ExportFormat::Plano04);
    for (prefer, kind) in [("fastest", "latency"), ("cheapest", "cost")] {
        let source = r#"[{"type":"cost","provider":"models.dev","model_aliases":{"latency":"latency"}}]"#;
        let latency = r#"[{"type":"latency","provider":"prometheus","url":"http://x","query":"cost"}]"#;
        let mut policy = with("model_metrics_sources", if kind == "cost" { latency } else { source });
        policy.routes[0].extra.push(("selection_policy".to_owned(), format!("{{\"prefer\":\"{prefer}\"}}")));
        assert!(refusal(&policy, ExportFormat::Plano04).contains(&format!("add `model_metrics_sources` with a {kind} source")));
    }
    let mut odd = wine(&["openai/m"]);
    odd.routes[0].name = "bob's".to_owned();
    assert!(export(&odd, ExportFormat::Plano04).notes[0].contains("WP107"));
}

#[test]
fn a_route_called_other_is_a_trap_of_the_gateways_that_the_export_is_for() {
    let mut policy = policy();
    policy.routes[0].name = "other".to_owned();
    let is_told = |own: Option<DialectId>, format: ExportFormat, dialect: Option<DialectId>| {
        let policy = Policy { dialect: own, ..policy.clone() };
        let exported = export_gateway(&policy, ExportOptions { format, dialect, ..ExportOptions::default() }).unwrap();
        exported.notes.iter().any(|note| note.contains("WP110"))
    };
    let (old, new) = (Some(DialectId::Archgw031), Some(DialectId::Plano0420));
    assert!(is_told(new, ExportFormat::Plano03, None), "the format is one of gateways that never choose it");
    assert!(!is_told(new, ExportFormat::Plano03, new), "Plano 0.4.22 and later read the format too");
    assert!(!is_told(new, ExportFormat::Plano04, None) && is_told(new, ExportFormat::Plano04, old));
    assert!(is_told(None, ExportFormat::Plano04, None) && !is_told(None, ExportFormat::Plano04, new));
    assert!(refusal(&policy, ExportFormat::VllmSr).contains("takes the signal \"other\" for requests that fit no route"));
}

#[test]
fn evidence_travels_as_comments_and_as_a_file() {
    let policy = policy();
    let evidence = evidence(&policy);
    let options = ExportOptions { evidence: Some(&evidence), ..ExportOptions::default() };
    let exported = export_gateway(&policy, options).unwrap();
    for line in [
        "# waypost: tested on 2026-11-23 with waypost 0.1.0\n",
        "# waypost: set kitchen.jsonl, 200 cases, sha256 abab",
        "# waypost: agreement 91.0 %, 95 % interval 86.0 % to 94.0 %\n",
        "# waypost: dialect plano-0.4.20, holds for Plano 0.4.20 and later\n",
        "# waypost: order: 3 of 200 cases change under 5 other orders of the routes\n",
        "# waypost: confusion: no taken for off - x, 7 times\n",
    ] {
        assert!(exported.text.contains(line), "{line}\n{}", exported.text);
    }
    assert!(!exported.text.contains("WARNING"));
    assert_eq!(imported(&exported.text).policy, policy);
    let back: Evidence = serde_json::from_str(&exported.evidence_json.unwrap()).unwrap();
    assert_eq!(back, evidence);

    // A test over the first cases alone is a test, and is told.
    let limited = Evidence { beyond_limit: 54, ..evidence };
    let options = ExportOptions { evidence: Some(&limited), ..ExportOptions::default() };
    let exported = export_gateway(&policy, options).unwrap();
    let note = "the policy was tested only on the first cases of kitchen.jsonl; 54 more were not measured";
    assert!(exported.text.contains(&format!("# waypost: {note}\n")), "{}", exported.text);
    assert!(exported.notes.iter().any(|told| told == note), "{:?}", exported.notes);
    assert_eq!(standing(&policy, Some(&limited), None), Standing::Tested);
    // Files of older versions do not say.
    let mut json = serde_json::to_value(&limited).unwrap();
    json.as_object_mut().unwrap().remove("beyond_limit");
    assert_eq!(serde_json::from_value::<Evidence>(json).unwrap().limit_note(), None);
}

#[test]
fn failed_requests_and_the_built_in_router_are_told() {
    let policy = policy();
    let exported = |evidence: &Evidence| {
        let options = ExportOptions { evidence: Some(evidence), ..ExportOptions::default() };
        export_gateway(&policy, options).unwrap()
    };
    let some = Evidence { cases: 20, planned: 20, errors: 6, ..evidence(&policy) };
    let note = "6 of 20 requests fail with HTTP 500, since the gateway cannot read what the router answers";
    let Exported { text, notes, .. } = exported(&some);
    assert!(text.contains(&format!("# waypost: {note}\n")) && notes.iter().any(|told| told == note), "{text}{notes:?}");
    assert_eq!(standing(&policy, Some(&some), None), Standing::Tested);
    let most = Evidence { errors: 11, ..some };
    assert_eq!(standing(&policy, Some(&most), None), Standing::FailsRequests);
    assert_eq!(evidence_problems(&policy, Some(&most), None), ["the gateway fails most requests of its test (11 of 20)"]);
    // Files of older versions do not say.
    let mut json = serde_json::to_value(&most).unwrap();
    json.as_object_mut().unwrap().remove("errors");
    assert_eq!(serde_json::from_value::<Evidence>(json).unwrap().errors, 0);

    let mut weak = evidence(&policy);
    weak.router.id = "builtin".to_owned();
    let text = exported(&weak).text;
    assert!(text.contains("# waypost: WARNING, tested with the built-in router, which is not the one that your gateway asks"), "{text}");
    assert_eq!(standing(&policy, Some(&weak), None), Standing::Tested);
}

#[test]
fn a_budget_travels_and_evidence_of_another_one_does_not_hold() {
    let policy = Policy { budget: Some(4096), ..policy() };
    let overrides = "overrides:\n  orchestrator_model_context_length: 4096\n";
    let whole = export(&policy, ExportFormat::Plano04);
    assert!(whole.text.contains(&format!("\n{overrides}routing_preferences:\n")), "{}", whole.text);
    assert!(whole.notes.iter().any(|note| note.contains("which Plano 0.4.19 and later know")), "{:?}", whole.notes);
    for format in [ExportFormat::Plano04, ExportFormat::Plano03] {
        assert_eq!(imported(&export(&policy, format).text).policy, policy, "{format}");
    }
    let left_out = export(&policy, ExportFormat::RoutingApi).notes;
    assert!(left_out.iter().any(|note| note.contains("(name, dialect, budget, ")), "{left_out:?}");

    let mut evidence = evidence(&policy);
    let problem = "this policy was tested with a budget of 8192 tokens, but gateways that send plano-0.4.20 allow 4096; measure with \
                   `--budget 4096`, or give policy and configuration the same number";
    assert_eq!(evidence_problems(&policy, Some(&evidence), None), [problem]);
    evidence.budget = Some(4096);
    assert_eq!(standing(&policy, Some(&evidence), None), Standing::Tested);
    let config = whole.text.replace(overrides, "");
    let options = ExportOptions { into: Some((&config, "c.yaml")), evidence: Some(&evidence), ..ExportOptions::default() };
    let text = export_gateway(&policy, options).unwrap().text;
    let problem = "this policy was tested with a budget of 4096 tokens, but with this configuration gateways that send plano-0.4.20 allow \
                   8192; measure with `--budget 8192`, or give policy and configuration the same number";
    assert!(text.contains(&format!("# waypost: WARNING, {problem}\n")), "{text}");
    assert!(text.contains("dialect plano-0.4.20, budget 4096, holds for"), "{text}");
    let configured = configured_budget(&config, "c.yaml");
    assert_eq!(configured, Some(8192));
    assert_eq!(evidence_problems(&policy, Some(&evidence), configured), [problem]);
    assert_eq!(standing(&policy, Some(&evidence), configured), Standing::Doubtful);

    let measured_there = Evidence { budget: None, ..evidence.clone() };
    assert_eq!(standing(&policy, Some(&measured_there), configured), Standing::Tested, "the configuration's number counts");
    let held = export_gateway(&policy, ExportOptions { evidence: Some(&measured_there), ..options }).unwrap();
    assert!(!held.text.contains("WARNING, this policy was tested with a budget"), "{}", held.text);
    assert!(!held.notes.iter().any(|note| note.contains("cut conversations")), "{:?}", held.notes);
}

#[test]
fn untested_changed_and_failing_policies_are_called_so() {
    let mut policy = policy();
    let mut evidence = evidence(&policy);
    assert_eq!(evidence_problems(&policy, Some(&evidence), None), Vec::<String>::new());
    assert_eq!(evidence_problems(&policy, None, None), ["this policy was not tested"]);
    evidence.gate = Some(Gate { min_agreement: 0.95, passed: false, open: false });
    evidence.dialect = Some(DialectId::Archgw031);
    policy.routes[0].description.push('!');
    assert_eq!(
        evidence_problems(&policy, Some(&evidence), None),
        [
            "this policy was changed since it was tested",
            "this policy fails its gate: agreement 91.0 %, but 95.0 % is required",
            "this policy was tested with the dialect archgw-0.3.1, but is meant for plano-0.4.20",
        ]
    );
    (evidence.agreement, evidence.gate) = (96.0 / 113.0, Some(Gate { min_agreement: 0.85, passed: false, open: false }));
    let problems = evidence_problems(&policy, Some(&evidence), None);
    assert_eq!(problems[1], "this policy fails its gate: agreement 84.956 %, but 85.000 % is required");
}

#[test]
fn a_missed_recall_fails_the_gate_whatever_the_agreement() {
    let policy = policy();
    let mut evidence = evidence(&policy);
    evidence.recall_gate =
        Some(RecallGate { min_recall: 0.9, below: vec!["no".to_owned()], below_counts: vec![[8, 9]], open: vec!["off".to_owned()] });
    let problems = evidence_problems(&policy, Some(&evidence), None);
    assert_eq!(problems, ["this policy fails its gate: the recall of no is below the required 90.0 %"]);
    assert_eq!(standing(&policy, Some(&evidence), None), Standing::FailsGate);
    evidence.recall_gate = Some(RecallGate { min_recall: 0.9, below: Vec::new(), below_counts: Vec::new(), open: vec!["off".to_owned()] });
    let problems = evidence_problems(&policy, Some(&evidence), None);
    assert_eq!(problems, ["whether the recall of off is below the required 90.0 % depends on undecided cases"]);
    assert_eq!(standing(&policy, Some(&evidence), None), Standing::Doubtful);
    // Files of older versions do not say.
    let mut json = serde_json::to_value(&evidence).unwrap();
    json.as_object_mut().unwrap().remove("recall_gate");
    assert_eq!(serde_json::from_value::<Evidence>(json).unwrap().recall_gate, None);
}

#[test]
fn evidence_holds_for_the_versions_that_read_the_file() {
    let policy = policy();
    let mut evidence = evidence(&policy);
    evidence.dialect = Some(DialectId::Archgw031);
    for (format, versions) in [
        (ExportFormat::Plano04, "Plano 0.4.15 to 0.4.18"),
        (ExportFormat::Plano03, "archgw 0.3.4 to Plano 0.4.14"),
        (ExportFormat::VllmSr, "no version of this gateway, which has a prompt of its own"),
    ] {
        let options = ExportOptions { format, evidence: Some(&evidence), ..ExportOptions::default() };
        let exported = export_gateway(&policy, options).unwrap();
        let line = format!("# waypost: dialect archgw-0.3.1, holds for {versions}\n");
        assert!(exported.text.contains(&line), "{line}\n{}", exported.text);
        assert!(exported.evidence_json.unwrap().contains(&format!("\"gateway_versions\": \"{versions}\"")), "{format}");
    }
    for format in ExportFormat::ALL {
        assert!(format.gateways().iter().all(|gateway| format.readers(gateway.dialect).is_some()), "{format}");
    }
}

#[test]
fn a_running_gateway_decides_in_no_dialect() {
    let policy = policy();
    let mut evidence = evidence(&policy);
    evidence.dialect = None;
    (evidence.router.id, evidence.router.device) = ("plano+http://localhost:12000".to_owned(), "gateway".to_owned());
    assert_eq!(evidence_problems(&policy, Some(&evidence), None), Vec::<String>::new());
    let options = ExportOptions { evidence: Some(&evidence), ..ExportOptions::default() };
    let text = export_gateway(&policy, options).unwrap().text;
    assert!(text.contains("# waypost: decided by the gateway at http://localhost:12000, with its own prompt\n"), "{text}");
    assert!(!text.contains("archgw-0.3.1"), "{text}");
}

#[test]
fn formats_are_read_by_some_versions() {
    let read = |version| ExportFormat::ALL.into_iter().filter(|format| format.is_read_by(version)).collect::<Vec<_>>();
    assert_eq!(read((0, 3, 22)), [ExportFormat::Plano03]);
    assert_eq!(read((0, 4, 15)), [ExportFormat::Plano04, ExportFormat::RoutingApi]);
    assert_eq!(read((0, 4, 36)), [ExportFormat::Plano04, ExportFormat::Plano03, ExportFormat::RoutingApi]);
}

#[test]
fn formats_have_names() {
    for format in ExportFormat::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    let expected = "unknown format \"plano\"; use plano-0.4, plano-0.3, routing-api, vllm-sr or litellm";
    assert_eq!("plano".parse::<ExportFormat>().unwrap_err().to_string(), expected);
}

//! The linter: for each code a policy that it is about and one that it is not, quick fixes, lines, and the shapes of reports.

use waypost::formats::{NoteKind, import_gateway, lint_context, lint_text, parse_policy, unreadable_json, unreadable_sarif, write_policy};
use waypost::policy::lint::{Finding, LintContext, RULES, Severity, lint};
use waypost::policy::{DialectId, Policy, Route};

use super::{fixture, sample_policies};

const WINE: (&str, &str) = ("wine", "Wine, cellars, grapes and what to drink with a meal");
const BEER: (&str, &str) = ("beer", "Beer, brewing, hops, glasses and brewery visits");

/// A policy with a model of its own for each route.
fn policy(routes: &[(&str, &str)]) -> Policy {
    let route = |(index, (name, description)): (usize, &(&str, &str))| Route {
        models: vec![format!("openai/m{index}")],
        ..Route::new(*name, *description)
    };
    Policy { fallback: Some("openai/m0".to_owned()), routes: routes.iter().enumerate().map(route).collect(), ..Policy::default() }
}

fn with(routes: &[(&str, &str)], change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = policy(routes);
    change(&mut policy);
    policy
}

fn named(name: &str) -> Policy {
    policy(&[WINE, (name, &format!("{name}: Beer, brewing, hops, glasses and brewery visits"))])
}

fn described(description: &str) -> Policy {
    policy(&[WINE, ("beer", description)])
}

fn selection(value: &str) -> Policy {
    with(&[WINE, BEER], |policy| policy.routes[0].extra.push(("selection_policy".to_owned(), value.to_owned())))
}

fn keeping(providers: &str) -> Policy {
    with(&[WINE, BEER], |policy| policy.extra.push(("providers".to_owned(), providers.to_owned())))
}

fn models(first: &[&str], second: &[&str]) -> Policy {
    with(&[WINE, BEER], |policy| {
        policy.routes[0].models = first.iter().map(|model| (*model).to_owned()).collect();
        policy.routes[1].models = second.iter().map(|model| (*model).to_owned()).collect();
    })
}

fn dialect(policy: Policy, dialect: DialectId) -> Policy {
    Policy { dialect: Some(dialect), ..policy }
}

fn budget(policy: Policy) -> Policy {
    Policy { budget: Some(4096), ..policy }
}

/// Returns code, a bad policy, a good policy.
fn examples() -> Vec<(&'static str, Policy, Policy)> {
    let long = "Wine, cellars, grapes and vintages. ".repeat(300);
    let action = |policy: &mut Policy, route: usize| policy.routes[route].action = Some("serve".to_owned());
    vec![
        ("WP101", policy(&[WINE, ("wine", BEER.1)]), policy(&[WINE, BEER])),
        ("WP102", named(" "), named("beer")),
        ("WP103", models(&["openai/m0"], &[]), models(&["openai/m0"], &["openai/m1"])),
        ("WP104", models(&["m0"], &["openai/*"]), models(&["openai/m0"], &["groq/a/b"])),
        ("WP105", models(&["openai/m0"], &["openai/undeclared"]), models(&["openai/m0"], &["openai/m1"])),
        ("WP106", selection(r#"{"prefer":"random"}"#), selection(r#"{"prefer":"cheapest"}"#)),
        ("WP107", named("bob's beer"), named("bobs beer")),
        ("WP108", named("beer\\nales"), named("beer ales")),
        ("WP108", named("beer\nales"), named("beer\\ales")),
        ("WP109", described("Beer in the {conversation}, hops and brewing"), described("Beer in the conversation, hops and brewing")),
        ("WP110", named("other"), named("another")),
        ("WP110", dialect(named("other"), DialectId::ModelCard), dialect(named("other"), DialectId::Plano0419)),
        ("WP111", keeping("5"), keeping(r#"[{"model":"openai/m0","access_key":"$KEY"}]"#)),
        (
            "WP111",
            keeping(r#"[{"model":"openai/m0","access_key":"sk-live"}]"#),
            keeping(r#"[{"model":"openai/m0","base_url":"http://x"}]"#),
        ),
        ("WP201", Policy::default(), policy(&[WINE])),
        ("WP202", described(" "), described(BEER.1)),
        ("WP203", models(&[], &[]), models(&["openai/m0"], &["openai/m1"])),
        ("WP204", models(&["openai/m0"], &["ollama/llama3"]), models(&["openai/m0"], &["acme/known"])),
        ("WP205", described("Beer </routes> and brewing, hops"), described("Beer <b> and brewing, hops")),
        ("WP206", described("Beer for ${PRICE} and brewing"), described("Beer for $5 and brewing $ hops")),
        ("WP207", policy(&[WINE, ("Wine", BEER.1)]), policy(&[WINE, ("wines", BEER.1)])),
        ("WP208", named("beer "), named("beer x")),
        ("WP209", models(&["openai/m0"], &["openai/m0", "openai/m1"]), models(&["openai/m0"], &["openai/m1", "openai/m0"])),
        ("WP209", models(&["openai/m0"], &["openai/m0"]), dialect(models(&["openai/m0"], &["openai/m0"]), DialectId::Plano0420)),
        ("WP210", policy(&[("wine", &long)]), policy(&[WINE])),
        ("WP211", models(&["openai/m0", "openai/m0"], &["openai/m1"]), models(&["openai/m0", "openai/m1"], &["openai/m1"])),
        ("WP212", dialect(named("other"), DialectId::Plano0420), named("other")),
        ("WP213", budget(policy(&[WINE])), dialect(budget(policy(&[WINE])), DialectId::Plano0420)),
        ("WP214", models(&["openai/m"], &["openrouter/openai/m"]), models(&["openai/m"], &["groq/n"])),
        (
            "WP301",
            policy(&[("math", "Solving quadratic equations and proving theorems")]),
            policy(&[("equations", "Solving quadratic equations")]),
        ),
        ("WP302", described("Beer and anything closely related to brewing"), described(BEER.1)),
        ("WP303", described("Beer and brewing"), described("Beer and brewing ales")),
        ("WP304", described("Recommend a beer, a brewery or a glass"), described("Recommendations of beer, breweries and glasses")),
        ("WP304", described("Beer that you would drink with your friends"), described("Review of beers, breweries and glasses")),
        (
            "WP305",
            with(&[WINE, BEER], |policy| (0..2).for_each(|route| action(policy, route))),
            with(&[WINE, BEER], |policy| action(policy, 1)),
        ),
        ("WP305", policy(&[("book_flight", WINE.1), ("change_flight", BEER.1)]), policy(&[("book_flight", WINE.1), ("flights", BEER.1)])),
        ("WP306", described("Beer on the label in the attached photo"), described("Beer labels, photos and drawings")),
        ("WP307", policy(&[WINE, ("red", "What to drink with meals: wine, grapes, cellar")]), policy(&[WINE, BEER])),
        ("WP308", models(&["openai/m0"], &["openai/m0"]), models(&["openai/m0"], &["openai/m1"])),
        (
            "WP308",
            models(&["openai/m0"], &["openai/m0"]),
            with(&[WINE], |policy| {
                policy.routes.push(Route { models: ["openai/m0", "openai/m1"].map(str::to_owned).to_vec(), ..Route::new(BEER.0, BEER.1) });
                policy.routes[1].extra.push(("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned()));
            }),
        ),
        ("WP309", with(&[WINE], |policy| policy.fallback = None), policy(&[WINE])),
        ("WP310", described("Beer, brewing, Köstritzer and hops"), described(BEER.1)),
    ]
}

fn check(policy: &Policy, code: &str) -> Vec<Finding> {
    let declared = (code == "WP105").then(|| vec!["openai/m0".to_owned(), "openai/m1".to_owned()]);
    lint(policy, &LintContext { declared, addressed: vec!["acme/known".to_owned()], ..lint_context(policy) })
}

#[test]
fn models_that_another_gateway_tells_apart_are_fine_in_its_own_configuration() {
    let config = "complexity_router_config:
  classifier_type: llm
  classifier_llm_config: {model: openai/gpt-4o}
  fallback_tier: other
  tier_definitions: [{name: wine, description: Wine and cellars}, {name: other, description: All else}]
  tiers: {wine: openai/gpt-4o, other: azure/gpt-4o}
";
    let alike = |text: &str, path: &str| lint_text(text, path).unwrap().to_text().contains("WP214");
    assert!(!alike(config, "c.yaml"));
    let policy = import_gateway(config, "c.yaml").unwrap().policy;
    assert!(alike(&write_policy(&policy), "p.yaml"), "a policy may be for Plano");
}

#[test]
fn each_code_has_a_bad_and_a_good_example() {
    let examples = examples();
    for (code, bad, good) in &examples {
        let has = |policy: &Policy| check(policy, code).iter().any(|finding| finding.rule.code == *code);
        assert!(has(bad), "{code} does not see {bad:#?}");
        assert!(!has(good), "{code} sees something in {good:#?}: {:#?}", check(good, code));
    }
    for rule in RULES {
        assert!(examples.iter().any(|(code, ..)| *code == rule.code), "{} has no example", rule.code);
    }
}

#[test]
fn a_description_speaks_of_another_route_in_more_than_a_filler_or_one_word_of_several() {
    let found = |own: (&str, &str), other: &str| {
        let policy = policy(&[own, (other, "Grapes, vintages and cellars")]);
        check(&policy, "WP301").into_iter().find(|finding| finding.rule.code == "WP301").map(|finding| finding.message)
    };
    let proofreading = ("editing_rewrite", "Lightly proofread and rephrase text for tone, length, and clarity");
    assert_eq!(found(proofreading, "formal_proof"), None);
    assert_eq!(found(("smalltalk", "Chatting, thanks for help, jokes"), "forecast"), None);
    assert_eq!(found(("cars", "Engines, tyres and brakes"), "android"), None);
    assert_eq!(found(("shopping", "Products, prices, stock"), "product_qa"), None);
    let message = found(("shopping", "Forecasts of rain, wind, snow"), "forecast").unwrap();
    assert!(message.contains("speaks of") && message.contains("forecast"), "{message}");
}

#[test]
fn what_cannot_be_read_off_a_message_is_spelt_out() {
    let message = |policy: &Policy, code: &str| {
        let found = check(policy, code).into_iter().find(|finding| finding.rule.code == code);
        found.map(|finding| finding.message).unwrap_or_default()
    };
    let unnamed = policy(&[WINE, ("", WINE.1)]);
    assert_eq!(message(&unnamed, "WP307"), "routes \"wine\" and 2 have nearly the same description");
    let hyphen = described("Beer, non\u{2011}alcoholic beer, K\u{f6}lsch and hops");
    assert!(message(&hyphen, "WP310").ends_with("(\u{2011} U+2011, \u{f6})"), "{}", message(&hyphen, "WP310"));
}

#[test]
fn quick_fixes_remove_what_they_are_about() {
    let mut fixed = Vec::new();
    for (code, bad, _) in examples() {
        let mut policy = bad;
        for _ in 0..10 {
            let found = check(&policy, code).into_iter().find(|finding| finding.rule.code == code);
            let Some(fix) = found.and_then(|finding| finding.fix) else { break };
            fix.edit.apply(&mut policy);
            fixed.push(code);
        }
        let left = check(&policy, code);
        assert!(!fixed.contains(&code) || left.iter().all(|finding| finding.rule.code != code), "{code} stays: {left:#?}");
    }
    fixed.dedup();
    assert_eq!(fixed, ["WP101", "WP102", "WP103", "WP107", "WP108", "WP109", "WP110", "WP205", "WP207", "WP208", "WP211", "WP212"]);
}

#[test]
fn each_code_is_documented() {
    let docs = std::fs::read_to_string(format!("{}/docs/lint.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for rule in RULES {
        let heading = format!("### {}\n", rule.code);
        let entry = docs.split(&heading).nth(1).unwrap_or_else(|| panic!("{} has no entry", rule.code));
        let entry = entry.split("\n### ").next().unwrap();
        for part in [rule.title, rule.severity.as_str(), rule.source, rule.reason] {
            assert!(entry.contains(part), "the entry of {} lacks {part:?}\n{entry}", rule.code);
        }
    }
    assert_eq!(docs.matches("\n### WP").count(), RULES.len());
}

#[test]
fn what_the_documentation_calls_better_is_not_found_fault_with() {
    let docs = std::fs::read_to_string(format!("{}/docs/lint.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    for code in ["WP109", "WP205", "WP206", "WP302", "WP303", "WP304", "WP306"] {
        let entry = docs.split(&format!("### {code}\n")).nth(1).unwrap();
        let better = entry.lines().find_map(|line| line.strip_prefix("- Better: ")).unwrap();
        let description = better.split(['`', '"']).nth(1).unwrap();
        let found = lint(&described(description), &LintContext::default());
        assert!(found.is_empty(), "{code}: {description}: {found:#?}");
    }
}

#[test]
fn sample_policies_have_no_errors() {
    for (path, policy) in sample_policies() {
        let errors: Vec<Finding> =
            lint(&policy, &LintContext::default()).into_iter().filter(|f| f.rule.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{path}: {errors:#?}");
    }
}

const TEXT: &str = "name: Kitchen\nroutes:\n  - name: bob's\n    description: Cook\n    models: [gpt-4o]\n  - description: Wine and $CELLAR\n    name: wine\n";

#[test]
fn findings_have_lines_and_come_worst_first() {
    let report = lint_text(TEXT, "k.yaml").unwrap();
    let found: Vec<String> = report.findings.iter().map(|l| format!("{} {}", l.finding.rule.code, l.line.unwrap())).collect();
    assert_eq!(
        found,
        ["WP104 5", "WP107 3", "WP103 6", "WP206 6", "WP309 2", "WP301 4", "WP303 4", "WP303 6"].map(str::to_owned),
        "{}",
        report.to_text()
    );
    assert!(report.has_errors());
    assert!(report.to_text().starts_with("k.yaml:5: error WP104: \"gpt-4o\" is not a model name like \"openai/gpt-4o\". Plano refuses"));
    assert!(report.to_text().ends_with("3 errors, 1 warning, 4 pieces of advice\n"));
}

#[test]
fn json_and_sarif_have_the_shapes_that_tools_read() {
    let report = lint_text(TEXT, "dir/my policy.yaml").unwrap();
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&json["errors"], &json["warnings"]), (&3.into(), &1.into()));
    let finding = &json["findings"][1];
    for (key, expected) in [("code", "WP107"), ("severity", "error"), ("route", "bob's"), ("field", "name"), ("help", "docs/lint.md#wp107")]
    {
        assert_eq!(finding[key], expected, "{finding:#}");
    }
    assert_eq!((&finding["line"], &finding["fix"]["edit"]["name"]), (&3.into(), &"bobs".into()));
    let sarif: serde_json::Value = serde_json::from_str(&report.to_sarif()).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), RULES.len() + 4);
    for result in run["results"].as_array().unwrap() {
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "dir/my%20policy.yaml");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_gateways_configuration_is_checked_too() {
    let report = lint_text(&fixture("refused.yaml"), "c.yaml").unwrap();
    assert!(report.notes.iter().any(|note| note.kind == NoteKind::Refused) && report.has_errors());
    let sarif: serde_json::Value = serde_json::from_str(&report.to_sarif()).unwrap();
    let run = &sarif["runs"][0];
    let refused = run["results"].as_array().unwrap().iter().find(|result| result["ruleId"] == "gateway-refuses").unwrap();
    assert_eq!((&refused["level"], &refused["locations"][0]["physicalLocation"]["region"]["startLine"]), (&"error".into(), &1.into()));
    assert_eq!(run["tool"]["driver"]["rules"][refused["ruleIndex"].as_u64().unwrap() as usize]["id"], "gateway-refuses");
    // What fails the gate is counted and called so.
    let text = report.to_text();
    let errors = text.lines().filter(|line| line.contains(": error ")).count();
    assert!(errors >= 18 && text.contains(&format!("\n{errors} errors, ")), "{text}");
    assert!(text.starts_with("c.yaml:1:10: error gateway-refuses: the gateway refuses the version"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&json["errors"], &json["gateway_notes"][0]["severity"]), (&errors.into(), &"error".into()));
    assert!(report.notes[0].to_string().starts_with("c.yaml:1:10: refused: the gateway refuses the version"));
    let undeclared = report.findings.iter().find(|located| located.finding.rule.code == "WP105").unwrap();
    assert_eq!(undeclared.line, Some(24));
    assert!(!lint_text(&fixture("top_level_0.4.15.yaml"), "c.yaml").unwrap().has_errors());
    assert!(lint_text("routes: 4\n", "p.yaml").is_err());
    assert!(parse_policy(&fixture("refused.yaml"), "c.yaml").is_err());
}

#[test]
fn names_that_cannot_be_read_elsewhere_are_findings_here() {
    let policy = "routes:\n  - {name: wine, description: a}\n  - {name: wine, description: b}\n  - {name: ' ', description: c}\n";
    let config = "version: v0.4.0\nlisteners: []\nmodel_providers: [{model: openai/m, default: true}]\nrouting_preferences:\n  \
                  - {name: wine, description: a, models: [openai/m]}\n  - {name: wine, description: b, models: [openai/m]}\n  \
                  - {name: '', description: c, models: [openai/m]}\n";
    for (text, first) in [(policy, 3), (config, 6)] {
        let report = lint_text(text, "p.yaml").unwrap();
        let errors = report.findings.iter().filter(|located| ["WP101", "WP102"].contains(&located.finding.rule.code));
        let errors: Vec<(&str, Option<usize>)> = errors.map(|located| (located.finding.rule.code, located.line)).collect();
        assert_eq!(errors, [("WP101", Some(first)), ("WP102", Some(first + 1))], "{}", report.to_text());
        assert!(parse_policy(text, "p.yaml").is_err() && import_gateway(text, "p.yaml").is_err());
    }
    let kept = lint_text("providers: 5\nroutes:\n  - {name: wine, description: Wine}\n", "p.yaml").unwrap();
    assert_eq!((kept.findings[0].finding.rule.code, kept.findings[0].line), ("WP111", Some(1)));
}

#[test]
fn a_configuration_without_routes_can_be_read() {
    let start = "version: v0.4.0\nlisteners: []\nmodel_providers: [{model: openai/m, default: true}]\n";
    for routes in ["routing_preferences: []\n", ""] {
        let report = lint_text(&format!("{start}{routes}"), "c.yaml").unwrap();
        assert!(report.findings.iter().any(|located| located.finding.rule.code == "WP201"), "{}", report.to_text());
        assert!(!report.has_errors(), "{}", report.to_text());
    }
    let tiers = lint_text("model_list: []\n", "c.yaml").unwrap();
    assert!(tiers.to_text().contains("has no tier_definitions"), "{}", tiers.to_text());
}

#[test]
fn a_file_that_cannot_be_read_is_one_result() {
    let error = lint_text("routes: 4\n", "p.yaml").unwrap_err();
    let json: serde_json::Value = serde_json::from_str(&unreadable_json(&error)).unwrap();
    assert_eq!((&json["errors"], &json["findings"][0]["line"], &json["findings"][0]["code"]), (&1.into(), &1.into(), &"unreadable".into()));
    let sarif: serde_json::Value = serde_json::from_str(&unreadable_sarif(&error)).unwrap();
    let run = &sarif["runs"][0];
    let result = &run["results"][0];
    assert_eq!((&result["level"], run["results"].as_array().unwrap().len()), (&"error".into(), 1));
    assert_eq!(run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize]["id"], "unreadable");
}

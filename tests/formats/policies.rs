//! Policy files.

use waypost::formats::{parse_policy, write_policy};
use waypost::policy::{DialectId, Policy, Route};

use super::{refuses, refuses_each, sentences};

#[track_caller]
fn reads(text: &str) -> Policy {
    let (policy, warnings) = parse_policy(text, "p.yaml").unwrap_or_else(|error| panic!("{error}\nin:\n{text}"));
    assert_eq!(sentences(&warnings), [""; 0], "in:\n{text}");
    policy
}

fn two_routes() -> Vec<Route> {
    vec![Route::new("bug_fixing", "Find and fix bugs."), Route::new("code_gen", "Write code: new functions.")]
}

#[test]
fn every_shape_of_policy_is_read() {
    let bare = Policy { routes: two_routes(), ..Policy::default() };
    let shapes = [
        "routes:\n  - name: bug_fixing\n    description: Find and fix bugs.\n  - name: code_gen\n    description: 'Write code: new functions.'\n",
        "- name: bug_fixing\n  description: Find and fix bugs.\n- {name: code_gen, description: \"Write code: new functions.\"}\n",
        "\u{feff}---\r\nroutes:\r\n- name: bug_fixing\r\n  description: >-\r\n    Find and\r\n    fix bugs.\r\n- name: code_gen\r\n  description: \"Write code: new functions.\"\r\n",
        r#"[{"name":"bug_fixing","description":"Find and fix bugs."},{"name":"code_gen","description":"Write code\u003a new functions."}]"#,
        r#"{"routes":[{"name":"bug_fixing","description":"Find and fix bugs."},{"name":"code_gen","description":"Write code: new functions."}]}"#,
        "[{'name': 'bug_fixing', 'description': 'Find and fix bugs.'}, {'name': 'code_gen', 'description': 'Write code: new functions.'},]",
    ];
    for shape in shapes {
        assert_eq!(reads(shape), bare, "in:\n{shape}");
    }

    let full = reads(
        "name: Coding\ndialect: plano-0.4.20\nfallback: openai/gpt-4o-mini\nroutes:\n  - name: bug_fixing\n    description: Find and fix bugs.\n    \
         domain: code\n    action: fix\n    models: [anthropic/claude, openai/gpt-4o]\n",
    );
    assert_eq!(full.name.as_deref(), Some("Coding"));
    assert_eq!(full.dialect, Some(DialectId::Plano0420));
    assert_eq!(full.fallback.as_deref(), Some("openai/gpt-4o-mini"));
    let route = &full.routes[0];
    assert_eq!((route.domain.as_deref(), route.action.as_deref()), (Some("code"), Some("fix")));
    assert_eq!(route.models, ["anthropic/claude", "openai/gpt-4o"]);
    assert_eq!(reads("dialect:\nname: ~\nroutes: [{name: a, description: '', domain: null, models: }]").routes[0], Route::new("a", ""));
}

#[test]
fn text_is_read_by_yaml_1_2_and_aliases_are_followed() {
    let policy = reads(
        "routes:\n  - {name: yes, description: 2024-01-01, models: &m [a, b]}\n  - {name: 'null', description: !!str 12, models: *m}\n",
    );
    assert_eq!(policy.routes[0].name, "yes");
    assert_eq!(policy.routes[0].description, "2024-01-01");
    assert_eq!(policy.routes[1].name, "null");
    assert_eq!(policy.routes[1].description, "12");
    assert_eq!(policy.routes[1].models, ["a", "b"]);
    assert_eq!(reads(r#"[{"name": "\ud83d\ude00\/", "description": "x"}]"#).routes[0].name, "😀/");
}

#[test]
fn oddities_are_warned_about_and_unknown_keys_survive_saving() {
    let text = "listeners: v1\nroutes:\n  - name: other\n    description: d\n    Models: [x]\n    limits: {rate: 1.50, \"a b\": [1, {}, [], null, true]}\n";
    let (policy, warnings) = parse_policy(text, "p.yaml").unwrap();
    assert_eq!(
        sentences(&warnings),
        [
            "p.yaml:1:1: unknown key \"listeners\" of the policy; it is kept as it is; check the spelling if you meant another",
            "p.yaml:5:5: unknown key \"Models\" of route \"other\"; it is kept as it is; check the spelling if you meant another",
            "p.yaml:6:5: unknown key \"limits\" of route \"other\"; it is kept as it is; check the spelling if you meant another",
            "p.yaml:3:11: route \"other\" has the name by which labelled sets, and gateways up to Plano 0.4.18, say that nothing fits; rename it unless you mean exactly that",
        ]
    );
    assert_eq!(policy.extra, [("listeners".to_owned(), "\"v1\"".to_owned())]);
    assert_eq!(policy.routes[0].extra[1].1, r#"{"rate":1.50,"a b":[1,{},[],null,true]}"#);
    let written = write_policy(&policy);
    assert_eq!(
        written,
        "routes:\n  - name: \"other\"\n    description: \"d\"\n    Models:\n      - \"x\"\n    limits:\n      rate: 1.50\n      \"a b\":\n        \
         - 1\n        - {}\n        - []\n        - null\n        - true\nlisteners: \"v1\"\n"
    );
    assert_eq!(parse_policy(&written, "p.yaml").unwrap().0, policy);

    for text in ["routes: []\n", "routes:\n", "[]"] {
        let (policy, warnings) = parse_policy(text, "p.yaml").unwrap();
        assert_eq!(policy, Policy::default());
        assert_eq!(
            sentences(&warnings),
            ["p.yaml:1:1: the policy has no routes, and gateways then skip the router; add a route with a name and a description"]
        );
    }
}

#[test]
fn each_mistake_has_its_sentence() {
    let cases: &[(&str, &str)] = &[
        ("", "p.yaml: the file is empty; write a list of routes under `routes:`"),
        ("# nothing yet\n", "p.yaml: the file is empty; write a list of routes under `routes:`"),
        (
            "hello",
            "p.yaml:1:1: a policy must be an object with `routes` or a list of routes, found the text \"hello\"; write a list of routes under `routes:`",
        ),
        ("name: x\n", "p.yaml:1:1: the policy has no `routes`; write a list of routes under `routes:`"),
        (
            "version: v0.3.0\nlisteners: []\nllm_providers: []\n",
            "p.yaml:1:1: this is a gateway's configuration, not a policy; convert it with `waypost import`",
        ),
        ("signals: {preferences: []}\n", "p.yaml:1:1: this is a gateway's configuration, not a policy; convert it with `waypost import`"),
        ("tier_definitions: {}\n", "p.yaml:1:1: this is a gateway's configuration, not a policy; convert it with `waypost import`"),
        ("routes: none\n", "p.yaml:1:9: `routes` must be a list, found the text \"none\"; start each route with `- name:`"),
        ("name: [a]\nroutes: []", "p.yaml:1:7: `name` must be text, found a list; write one text in double quotes"),
        ("fallback: 4\nroutes: []", "p.yaml:1:11: `fallback` must be text, found the number 4; put it in double quotes"),
        (
            "routes: []\ndialect: arch\n",
            "p.yaml:2:10: unknown dialect \"arch\"; use one of model-card, archgw-0.3.1, plano-0.4.19, plano-0.4.20",
        ),
        (
            "routes: []\nbudget: \"8192\"\n",
            "p.yaml:2:9: `budget` must be a whole number of tokens, found the text \"8192\"; write it as in `budget: 8192`, or leave it out",
        ),
        (
            "routes: []\nbudget: -1\n",
            "p.yaml:2:9: `budget` must be a whole number of tokens, found the number -1; write it as in `budget: 8192`, or leave it out",
        ),
        (
            "routes:\n  - bug_fixing\n",
            "p.yaml:2:5: route 1 must be an object with `name` and `description`, found the text \"bug_fixing\"; write `- name: …` and below it `description: …`",
        ),
        (
            "routes:\n  - name: bug_fixing\n    description: a\n  - name: x\n    description: b\n  - description: c\n    name: bug_fixing\n",
            "p.yaml:7:11: route \"bug_fixing\" appears twice, first on line 2; rename one of them",
        ),
        (
            "- name: a\n  description: b\n- description: c\n",
            "p.yaml:3:3: route 2 has no `name`; add the name that the router shall answer with",
        ),
        ("- name: a\n", "p.yaml:1:3: route \"a\" has no `description`; describe which conversations belong to it"),
        ("- name: ''\n  description: c\n", "p.yaml:1:9: the name of route 1 is empty; give the route a name"),
        ("- name: '  '\n  description: c\n", "p.yaml:1:9: the name of route 1 is empty; give the route a name"),
        ("- name: true\n  description: c\n", "p.yaml:1:9: `name` of route 1 must be text, found true; put it in double quotes"),
        ("- name: a\n  description:\n", "p.yaml:2:14: `description` of route \"a\" must be text, found nothing; write the text after it"),
        (
            "- name: ü\n  description: 0x1F\n",
            "p.yaml:2:16: `description` of route \"ü\" must be text, found the number 31; put it in double quotes",
        ),
        (
            "- name: a\n  description: b\n  models: gpt-4o\n",
            "p.yaml:3:11: `models` of route \"a\" must be a list, found the text \"gpt-4o\"; write one model a line, each after a dash",
        ),
        (
            "- name: a\n  description: b\n  models:\n    - gpt-4o\n    - 4\n",
            "p.yaml:5:7: each model of route \"a\" must be text, found the number 4; put it in double quotes",
        ),
        ("- name: a\n  description: b\n  name: c\n", "p.yaml:3:3: key \"name\" appears twice, first on line 1; keep one of them"),
        ("routes: []\nx: {a: 1, b: {c: 1, 'c': 2}}\n", "p.yaml:2:21: key \"c\" appears twice, first on line 2; keep one of them"),
    ];
    refuses_each(cases, |text| parse_policy(text, "p.yaml"));
    refuses_each(cases, |text| parse_policy(&text.replace('\n', "\r\n"), "p.yaml"));
}

#[test]
fn broken_yaml_and_json_are_explained() {
    let yaml: &[(&str, &str)] = &[
        ("- name: \"\\xZZ\"\n", "p.yaml:1:9: text in double quotes holds an unknown backslash escape; write a backslash as \\\\"),
        (
            "- name: a\n  description: \"x \\ud83d\\ude84 y\"\n",
            "p.yaml:2:16: text in double quotes holds a \\u escape that is no character, such as half of a pair; write the character itself",
        ),
        (
            "- {name: a, description b: [}\n",
            "p.yaml:1:29: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas",
        ),
        ("- {name: a\n", "p.yaml:2:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas"),
        ("]\n", "p.yaml:1:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas"),
        (
            "- name: a\ndescription: b\n",
            "p.yaml:2:1: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        (
            "name: a\n- description: b\n",
            "p.yaml:2:3: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        (
            "- name: a\n description: b\n",
            "p.yaml:2:2: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        (
            "- name: |\n    a\n   b\n",
            "p.yaml:3:4: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        (
            "routes: - name: a\n",
            "p.yaml:1:9: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        ("routes:\n- [a,\nb]\n", "p.yaml:3:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas"),
        ("{---", "p.yaml:2:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas"),
        ("{a: b}}", "p.yaml:1:7: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas"),
        (
            "x: 'it's'",
            "p.yaml:1:8: more text follows a closing quote; inside double quotes write \\\" for a quote, inside single quotes a doubled single quote",
        ),
        (
            "- name: a # c\n  description: `b`\n",
            "p.yaml:2:16: unquoted text may not start with this character; put the text in double quotes",
        ),
        ("- name: %a\n", "p.yaml:1:9: unquoted text may not start with this character; put the text in double quotes"),
        ("%a\n", "p.yaml:2:1: this is not YAML (did not find expected <document start>); check the indentation and the quotes around here"),
        ("- name: a\n  description: \"b\n", "p.yaml:2:16: text in quotes is never closed; add the missing quote"),
        (
            "- name: a\n  description: Fix: bugs\n",
            "p.yaml:2:19: there is a colon where no key can be; put text that holds a colon in double quotes, or check the indentation",
        ),
        ("- name: a\n\tdescription: b\n", "p.yaml:2:1: there is a tab where YAML requires spaces; indent with spaces"),
        ("routes:\n\t- name: a\n\t  description: b\n", "p.yaml:2:1: there is a tab where YAML requires spaces; indent with spaces"),
        (
            "- name: \"a\n  description: b\n",
            "p.yaml:1:9: text in quotes is never closed, or goes on in a line that is not indented; add the missing quote",
        ),
        (
            "- name: a\n  description: \"C:\\new \\x\"\n",
            "p.yaml:2:16: text in double quotes holds an unknown backslash escape; write a backslash as \\\\",
        ),
        (
            "- name: a\n  description: \"say \"hi\" now\"\n",
            "p.yaml:2:22: more text follows a closing quote; inside double quotes write \\\" for a quote, inside single quotes a doubled single quote",
        ),
        (
            "- name: a\n  description: @home\n",
            "p.yaml:2:16: unquoted text may not start with this character; put the text in double quotes",
        ),
        ("- name: a\n  description: *d\n", "p.yaml:2:16: an alias names an anchor that is not defined above; write the value out"),
        ("- name: a\n  description b\n", "p.yaml:2:3: a key has no colon after it; write `key: value`, with a space after the colon"),
        (
            "routes: [{name: a, description: b}\n",
            "p.yaml:2:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas",
        ),
        (
            "routes:\n  - name: a\n   description: b\n",
            "p.yaml:3:4: the indentation does not fit the lines above; give the keys of one object the same indentation",
        ),
        (
            "- name: a\n  description: b\n  models: [\n    \"m\"\n  ]\n",
            "p.yaml:5:3: a closing bracket stands no further in than the key that its list or object belongs to; put a space or more before \
             the bracket",
        ),
        ("- name: a\n  description: b\n---\n- name: b\n", "p.yaml:3:1: a second YAML document starts here; keep one document a file"),
        ("base: &b {x: 1}\nroutes:\n- <<: *b\n", "p.yaml:3:3: merge keys (`<<`) are not supported; write the merged keys out"),
        ("- name: !env NAME\n", "p.yaml:1:9: the tag `!env` is not supported; remove it and write the value itself"),
        ("? [a]\n: b\n", "p.yaml:1:3: there is a list or an object where a key should be; use text as the key"),
        ("x: &x [*x]\nroutes: []\n", "p.yaml:1:8: an alias stands inside the value that it names; write the value out"),
        ("- name: a\u{0}\n", "p.yaml:1:10: the text holds a control character; remove it, or write it as an escape in double quotes"),
    ];
    refuses_each(yaml, |text| parse_policy(text, "p.yaml"));
    let json: &[(&str, &str)] = &[
        (
            "[{\"name\": \"a\"\n\"description\": \"b\"}]",
            "p.json:2:1: found `\"` in an object after a value; add `,` before it, or close the object with `}`",
        ),
        ("[{\"name\": \"a\", \"name\": \"b\"}]", "p.json:1:16: key \"name\" appears twice, first on line 1; keep one of them"),
        (
            "[{\"name\": \"a\", \"description\": 1}]",
            "p.json:1:31: `description` of route \"a\" must be text, found the number 1; put it in double quotes",
        ),
    ];
    refuses_each(json, |text| parse_policy(text, "p.json"));
}

#[test]
fn files_that_grow_without_bound_are_refused_at_once() {
    let laughs: String = (1..40).fold("a0: &a0 [lol, lol, lol]\n".to_owned(), |text, level| {
        let below = level - 1;
        text + &format!("a{level}: &a{level} [*a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}, *a{below}]\n")
    });
    // Each anchor alone is shallow; together they nest.
    let chain: String = (1..60).fold("a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n".to_owned(), |text, level| {
        text + &format!("a{level}: &a{level} [[[[[[[[[[*a{}]]]]]]]]]]\n", level - 1)
    });
    let big = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(100_000));
    let deep = "lists and objects are nested more than 64 deep; write a flatter file";
    let cases = [
        ("p.yaml", laughs, "p.yaml:7:10: anchors and aliases make this file grow out of bounds; write the values out".to_owned()),
        ("p.yaml", chain, format!("p.yaml:7:19: {deep}")),
        ("p.yaml", big, "p.yaml:2:41: anchors and aliases make this file grow out of bounds; write the values out".to_owned()),
        ("p.yaml", "[".repeat(100_000), format!("p.yaml:1:256: {deep}")),
        ("p.yaml", "{a: ".repeat(100_000), format!("p.yaml:1:1021: {deep}")),
        ("p.yaml", "- ".repeat(100_000), format!("p.yaml:1:129: {deep}")),
        ("p.yaml", format!("routes: {}{}", "[".repeat(100_000), "]".repeat(100_000)), format!("p.yaml:1:264: {deep}")),
        ("p.json", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), format!("p.json:1:65: {deep}")),
        ("p.json", format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000)), format!("p.json:1:321: {deep}")),
        (
            "p.yaml",
            "- x\n".repeat(1_000_001),
            "p.yaml:1000001:3: the file holds more than 1000000 values; split it into smaller files".to_owned(),
        ),
    ];
    for (path, text, expected) in &cases {
        // The place tells that reading ended there, with all that would have followed unread.
        refuses(&text[..60], parse_policy(text, path), expected);
    }
}

#[test]
fn a_written_policy_looks_as_people_would_write_it() {
    let policy = Policy {
        name: Some("Coding".into()),
        dialect: Some(DialectId::Archgw031),
        budget: Some(4096),
        fallback: Some("openai/gpt-4o-mini".into()),
        routes: vec![Route {
            models: vec!["a/b".into()],
            domain: Some("code".into()),
            ..Route::new("no", "Say \"no\"\nor C:\\x\u{85}\u{feff}.")
        }],
        extra: vec![("on".into(), "\"x\"".into()), ("k".repeat(2000), "[{\"a\":[[1]]}]".into())],
    };
    let written = write_policy(&policy);
    let expected = format!(
        "name: \"Coding\"\ndialect: archgw-0.3.1\nbudget: 4096\nfallback: \"openai/gpt-4o-mini\"\nroutes:\n  - name: \"no\"\n    \
         description: \"Say \\\"no\\\"\\nor C:\\\\x\\u0085\\ufeff.\"\n    domain: \"code\"\n    models:\n      - \"a/b\"\n\"on\": \"x\"\n\
         ? \"{}\"\n:\n  -\n    a:\n      -\n        - 1\n",
        "k".repeat(2000)
    );
    assert_eq!(written, expected);
    assert_eq!(parse_policy(&written, "p.yaml").unwrap().0, policy);
    assert_eq!(write_policy(&Policy::default()), "routes: []\n");
}

//! Configurations of every era, written for this project.

use waypost::formats::{GatewayShape, NoteKind, import_gateway, lint_text, looks_like_gateway, parse_policy};
use waypost::policy::{DialectId, Route};

use super::{fixture, imported, notes};

const RECIPES: &str = "Recipes and cooking, from shopping lists to timing several dishes";

fn models(routes: &[Route]) -> Vec<String> {
    routes.iter().map(|route| format!("{}: {}", route.name, route.models.join(" "))).collect()
}

#[test]
fn usage_becomes_routes_and_literal_keys_stay_behind() {
    let read = imported(&fixture("usage_0.3.0.yaml"));
    assert_eq!(read.shape, GatewayShape::Plano);
    assert_eq!(models(&read.policy.routes), ["recipes: mistral/mistral-large-latest", "wine: openai/gpt-4o", "cheese: openai/gpt-4o-mini"]);
    assert_eq!(read.policy.routes[0].description, RECIPES);
    assert_eq!(read.policy.fallback.as_deref(), Some("openai/gpt-4o-mini"));
    let notes = notes(&read).join("\n");
    for expected in [
        "ignored 4: routing.model no longer chooses the router",
        "refused 27: the gateway refuses the key \"usage\" of the provider \"mistral-large-latest\"",
        "changed 35: \"anthropic/gpt-4o-mini\" is taken for \"openai/gpt-4o-mini\", which has the same key",
        "changed 29: access_key of \"openai/gpt-4o\" may be secret and is not kept",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
    assert!(!format!("{read:?}").contains("sk-not-a-variable"));
}

#[test]
fn metrics_sources_leave_their_secrets_behind() {
    let config = "version: v0.4.0
listeners: []
model_providers:
  - {model: openai/gpt-5, access_key: $OPENAI_API_KEY, default: true}
routing_preferences:
  - {name: wine, description: Wine, models: [openai/gpt-5], selection_policy: {prefer: fastest}}
model_metrics_sources:
  - type: latency
    provider: prometheus
    url: http://user:word-1@prometheus:9090/api?token=word-2
    query: avg by (model_name) (latency)
    bearer: word-3
";
    let read = imported(config);
    let kept = r#"[{"type":"latency","provider":"prometheus","url":"http://prometheus:9090/api","query":"avg by (model_name) (latency)"}]"#;
    assert!(read.policy.extra.contains(&("model_metrics_sources".to_owned(), kept.to_owned())), "{:?}", read.policy.extra);
    assert!(!format!("{read:?}").contains("word-"));
    let notes = notes(&read).join("\n");
    for expected in [
        "changed 10: what the url of a metrics source says besides the place may be secret and is not kept",
        "changed 12: the key \"bearer\" of a metrics source may be secret and is not kept",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
}

#[test]
fn the_length_to_which_plano_cuts_is_the_budget() {
    let config = |length: &str| {
        format!(
            "version: v0.4.0\nlisteners: []\nmodel_providers: [{{model: openai/m, default: true}}]\noverrides:\n  \
             orchestrator_model_context_length: {length}\nrouting_preferences: [{{name: wine, description: Wine, models: [openai/m]}}]\n"
        )
    };
    let read = imported(&config("4096"));
    let note = "changed 5: overrides.orchestrator_model_context_length is the `budget` of the policy: 4096 estimated tokens for a prompt";
    assert_eq!((read.policy.budget, notes(&read)), (Some(4096), vec![note.to_owned()]));
    // Only these versions know the key, so the policy is one for them and nothing warns that its budget is not heeded.
    assert_eq!(read.policy.dialect, Some(DialectId::Plano0420));
    assert!(!lint_text(&config("4096"), "c.yaml").unwrap().to_text().contains("WP213"));
    let meant = format!("# waypost: {{\"dialect\":\"plano-0.4.19\"}}\n{}", config("4096"));
    assert_eq!(imported(&meant).policy.dialect, Some(DialectId::Plano0419));
    let none = imported(&config("long")).policy;
    assert_eq!((none.budget, none.dialect), (None, None), "what the gateway refuses is none");
    // As the gateway's own reader takes them.
    for (written, tokens) in [("4_096", 4096), ("!!int 4_096", 4096), ("010000", 4096), ("4096.0", 4096), ("1:30", 90), ("0", 0)] {
        assert_eq!(imported(&config(written)).policy.budget, Some(tokens), "{written}");
    }
    for written in ["-4096", "4096.5", ".inf"] {
        let read = imported(&config(written));
        assert_eq!(read.policy.budget, None, "{written}");
        assert!(notes(&read).join("\n").contains("which is no number of tokens, so the policy has no `budget`"), "{written}");
    }
}

#[test]
fn inline_preferences_are_lifted_as_the_gateway_does() {
    let read = imported(&fixture("inline_0.3.10.yaml"));
    assert_eq!(models(&read.policy.routes), ["small talk: openai/gpt-4o-mini xai/grok-4", "news: xai/grok-4"]);
    assert_eq!(read.policy.routes[0].description, "greetings, jokes and chat about the day");
    let kept = r#"[{"model":"xai/grok-4","access_key":"$GROK_API_KEY"}]"#;
    assert_eq!(read.policy.extra, [("providers".to_owned(), kept.to_owned())]);
    assert_eq!(
        notes(&read),
        [
            "changed 12: routing_preferences inside the provider \"openai/gpt-4o-mini\" are ignored by Plano 0.4.15 to 0.4.21",
            "changed 18: routing_preferences inside the provider \"xai/grok-4\" are ignored by Plano 0.4.15 to 0.4.21",
            "ignored 21: route \"small talk\" has another description above, which wins",
        ]
    );
}

#[test]
fn inline_preferences_of_a_new_file_route_nothing() {
    let read = imported(&fixture("inline_v0.4.0.yaml"));
    assert_eq!(models(&read.policy.routes), ["small talk: openai/gpt-4o-mini"]);
    let expected =
        "ignored 7: routing_preferences inside the provider \"openai/gpt-4o-mini\" route nothing: a v0.4.0 file has them at the top level";
    assert_eq!(notes(&read), [expected]);
}

#[test]
fn top_level_preferences_are_read_with_their_models_spelled_out() {
    let read = imported(&fixture("top_level_0.4.15.yaml"));
    assert_eq!(models(&read.policy.routes), ["recipes: anthropic/claude-sonnet-4-6 openai/gpt-4o-mini", "wine: ollama/llama3.1"]);
    assert_eq!(read.policy.routes[1].extra, [("selection_policy".to_owned(), r#"{"prefer":"none"}"#.to_owned())]);
    assert_eq!(read.declared.unwrap(), ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-6", "ollama/llama3.1"]);
    let kept = r#"[{"model":"ollama/llama3.1","base_url":"http://localhost:11434"}]"#;
    assert_eq!(read.policy.extra, [("providers".to_owned(), kept.to_owned())]);
    // What an import keeps is a policy like any other, without complaints.
    let written = waypost::formats::write_policy(&read.policy);
    assert_eq!(parse_policy(&written, "p.yaml").unwrap(), (read.policy, Vec::new()));
}

#[test]
fn everything_the_gateway_refuses_is_noted_with_its_line() {
    let read = imported(&fixture("refused.yaml"));
    let notes = notes(&read);
    let lines: Vec<&str> = notes.iter().filter_map(|note| note.strip_prefix("refused ")?.split(':').next()).collect();
    assert_eq!(
        lines,
        ["1", "2", "5", "8", "8", "10", "11", "12", "14", "14", "18", "20", "22", "23", "24", "25", "27", "29"],
        "{}",
        notes.join("\n")
    );
    assert_eq!(read.policy.routes[0].name, "yes");
    let rendered = imported(&fixture("rendered.yaml"));
    assert_eq!(models(&rendered.policy.routes), ["recipes: openai/gpt-4o"]);
    assert!(super::notes(&rendered).iter().any(|note| note.contains("refused 1: this file was rendered by the gateway")));
}

#[test]
fn other_gateways_are_read() {
    let chat_ui = imported(&fixture("chat_ui.json"));
    assert_eq!(chat_ui.shape, GatewayShape::ChatUi);
    assert_eq!(models(&chat_ui.policy.routes)[0], "recipes: huggingface/Qwen/Qwen3-32B huggingface/google/gemma-3-27b-it");
    let ignored = "ignored 1: chat-ui has ignored the descriptions since June 2026";
    assert!(notes(&chat_ui).iter().any(|note| note.starts_with(ignored)), "{:#?}", notes(&chat_ui));
    let api = imported(&fixture("routing_api.json"));
    assert_eq!(
        (api.shape, models(&api.policy.routes)),
        (GatewayShape::RoutingApi, vec!["wine: openai/gpt-4o openai/gpt-4o-mini".to_owned()])
    );
    assert_eq!(api.policy.fallback.as_deref(), Some("openai/gpt-4o-mini"));
    let vllm = imported(&fixture("vllm_sr_v0.3.yaml"));
    assert_eq!((vllm.shape, vllm.policy.fallback.as_deref()), (GatewayShape::VllmSr, Some("small")));
    assert_eq!(models(&vllm.policy.routes), ["recipes: large small", "wine: ", "beer: small"]);
    assert_eq!(
        notes(&vllm),
        [
            "ignored 10: these signals are matched by embeddings, not by a router that reads the descriptions",
            "changed 12: `examples` of the preference signal \"recipes\" is not kept",
            "changed 13: no decision uses the preference signal \"wine\" alone",
        ]
    );
    let flat = imported(&fixture("vllm_sr_flat.yaml"));
    assert_eq!((models(&flat.policy.routes), flat.policy.fallback.as_deref()), (vec!["recipes: large".to_owned()], Some("small")));
    let litellm = imported(&fixture("litellm.yaml"));
    assert_eq!(litellm.shape, GatewayShape::LiteLlm);
    assert_eq!(models(&litellm.policy.routes), ["recipes: anthropic/claude-sonnet-4-6 openai/gpt-4o"]);
    assert_eq!(litellm.policy.fallback.as_deref(), Some("openai/gpt-4o-mini"));
}

#[test]
fn what_the_schema_refuses_is_noted() {
    let config = "version: v0.4.0
listeners: []
model_providers:
  - {model: openai/gpt-5, default: true, access_key: }
  - {model: acme/m, base_url: \"http://acme:1:2\", provider_interface: bogus, headers: {a: 5}}
routing_preferences:
  - {name: wine, description: Wine, models: openai/gpt-5}
model_metrics_sources:
  - {type: cost, provider: shop}
  - {type: latency, provider: prometheus, url: \"http://prometheus:9090\", refresh_interval: 0}
  - {type: cost, provider: models.dev, query: x}
";
    let read = imported(config);
    assert_eq!(models(&read.policy.routes), ["wine: openai/gpt-5"], "one model without a list is kept");
    let refused: Vec<String> = notes(&read).into_iter().filter_map(|note| Some(note.strip_prefix("refused ")?.to_owned())).collect();
    assert_eq!(
        refused,
        [
            "4: the gateway refuses `access_key` of the provider \"openai/gpt-5\", found nothing",
            "5: the gateway refuses `provider_interface` of the provider \"acme/m\", found the text \"bogus\"",
            "5: the gateway refuses `headers` of the provider \"acme/m\", found an object",
            "5: the gateway refuses the base_url of \"acme/m\", which is no address like http://host:port",
            "7: the gateway refuses the models of routing preference \"wine\", which are no list",
            "9: the gateway refuses `provider` of a cost source, found the text \"shop\"",
            "10: the gateway refuses `refresh_interval` of a latency source, found the number 0",
            "10: the gateway refuses a latency source without `query`",
            "11: the gateway refuses the key \"query\" of a cost source",
            "11: the gateway refuses to start with two cost sources",
        ]
    );
}

#[test]
fn a_comment_of_waypost_says_nothing_twice_and_nothing_inside_a_text() {
    let config = |comment: &str, description: &str| {
        format!(
            "{comment}version: v0.4.0\nlisteners: []\nmodel_providers: [{{model: openai/m, access_key: $OPENAI_API_KEY, default: true}}]\nrouting_preferences:\n  \
             - name: a\n    models: [openai/m]\n    description: {description}\n"
        )
    };
    let comment =
        r##"# waypost: {"extra":[["routes","[]"],["x","1"],["x","2"],["y","{"]],"routes":[{"name":"a","extra":[["name","\"b\""]]}]}"##;
    let policy = imported(&config(&format!("{comment}\n"), "b")).policy;
    assert_eq!((policy.extra.as_slice(), policy.routes[0].extra.len()), (&[("x".to_owned(), "1".to_owned())][..], 0));
    assert_eq!(parse_policy(&waypost::formats::write_policy(&policy), "p.yaml").unwrap().0, policy);
    let quoting = imported(&config("", &format!("|\n      {comment}"))).policy;
    assert!(quoting.extra.is_empty(), "{:?}", quoting.extra);
}

#[test]
fn refusals_say_what_to_do() {
    let start = "version: v0.4.0\nlisteners: []\nmodel_providers: []\n";
    let cases = [
        ("routes: []\n".to_owned(), "c.yaml:1:1: this is a policy already, not a gateway's configuration; use it as it is"),
        (
            "kitchen: 4\n".to_owned(),
            "c.yaml:1:1: this is not the configuration of a gateway that Waypost knows; give a configuration of Plano or archgw, \
             chat-ui's route file, a vLLM Semantic Router or LiteLLM configuration",
        ),
        (
            "# nothing yet\n".to_owned(),
            "c.yaml: the file is empty; give a configuration of Plano or archgw, chat-ui's route file, a vLLM Semantic Router or LiteLLM \
             configuration",
        ),
        (
            "- messages: []\n".to_owned(),
            "c.yaml:1:1: this is not the configuration of a gateway that Waypost knows; give a configuration of Plano or archgw, \
             chat-ui's route file, a vLLM Semantic Router or LiteLLM configuration",
        ),
        (
            start.to_owned(),
            "c.yaml:1:1: the configuration holds no routes; add routes with a name, a description and models, then import it again",
        ),
        (
            format!("{start}routing_preferences: [{{name: a, description: b}}, {{name: a, description: c}}]\n"),
            "c.yaml:4:57: route \"a\" appears twice, first on line 4; the gateway refuses that; rename one of them",
        ),
        (
            format!("{start}routing_preferences:\n- name: ''\n  description: b\n"),
            "c.yaml:5:9: a route has an empty name, which no router's answer can match; give the route a name",
        ),
        (
            "model_list: []\n".to_owned(),
            "c.yaml:1:1: the configuration has no tier_definitions, so nothing in it is matched by description; \
             describe tiers of your own under complexity_router_config, or write the policy by hand",
        ),
        (
            "version: [\n".to_owned(),
            "c.yaml:2:1: a list or object in brackets is not closed, or lacks a comma; check the brackets and commas",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(import_gateway(&text, "c.yaml").map(|_| ()).unwrap_err().to_string(), expected, "{text}");
    }
    let inline = "routing_preferences: [{name: a, description: b, models: [x/y]}, {name: a, description: c, models: [x/y]}]\n";
    let twice = import_gateway(inline, "c.yaml").map(|_| ()).unwrap_err().to_string();
    assert!(twice.contains("first on line 1; the gateway takes the last one alone; rename one of them"), "{twice}");
    assert!(!looks_like_gateway("- {name: a, description: b}\n", "c.yaml"));
}

const CONFIG: &str = "version: v0.4.0\nlisteners: []\nmodel_providers:\n- {model: openai/m, access_key: $K, default: true}\n";
const COSTS: &str = "model_metrics_sources: [{type: cost, provider: models.dev}]\n";
const ROUTES: &str = "routing_preferences:\n- {name: a, description: b, models: [openai/m]}\n";

#[test]
fn unquoted_text_is_what_the_gateways_reader_takes_it_for() {
    let read =
        |scalar: &str| imported(&format!("{CONFIG}routing_preferences:\n- name: {scalar}\n  description: b\n  models: [openai/m]\n"));
    for text in ["08", "0o17", "1e5", "1.5e5", "99:99", "1:61", "0b2", "-.5", "y", "yEs", "2024-1-1", "0x", "+", "!!str yes"] {
        let found = read(text);
        assert_eq!((found.policy.routes[0].name.as_str(), notes(&found).len()), (text.trim_start_matches("!!str "), 0), "{text}");
    }
    let others = [
        "010",
        "0x1F",
        "-0b11",
        "1_000",
        "1.",
        ".5",
        "1.5e+5",
        "-.inf",
        ".NaN",
        "=",
        "<<",
        "12:30:00",
        "01:30.5",
        "Off",
        "YES",
        "2024-01-01",
        "2024-1-1 10:00:00",
        "2024-01-01T1:00:00.5 +01:30",
    ];
    for text in others {
        let found = read(text);
        assert_eq!(found.policy.routes[0].name, text);
        assert!(
            notes(&found).iter().any(|note| note.starts_with("refused 6: the gateway's YAML reader takes")),
            "{text}: {:?}",
            notes(&found)
        );
    }
    let text = format!("{CONFIG}{}", ROUTES.replace("name: a", "name: yes"));
    for ending in ["\r", "\r\n", "\r\r\n"] {
        let found = notes(&imported(&text.replace('\n', ending)));
        assert!(found.len() == 1 && found[0].contains("takes the name of routing preference 1 (yes) for true"), "{ending:?}: {found:?}");
    }
}

#[test]
fn the_default_is_what_the_gateways_reader_takes_for_true() {
    let with = |value: &str| imported(&format!("{}{ROUTES}", CONFIG.replace("default: true", &format!("default: {value}"))));
    assert_eq!((with("yes").policy.fallback.as_deref(), notes(&with("yes")).len()), (Some("openai/m"), 0));
    let quoted = with("\"true\"");
    assert_eq!(quoted.policy.fallback, None);
    assert!(
        notes(&quoted).iter().any(|note| note.starts_with("refused 4: the gateway refuses `default` of the provider")),
        "{:?}",
        notes(&quoted)
    );
}

#[test]
fn what_else_the_schema_and_the_validator_refuse_is_noted() {
    let listeners = |value: &str| CONFIG.replace("[]", value);
    let cases = [
        (listeners("[{name: n, port: 1}]"), "an item of `listeners` without `type`"),
        (listeners("[{type: model, name: n, port: \"12000\"}]"), "`port` of an item of `listeners`, found the text \"12000\""),
        (listeners("[{type: llm, name: n}]"), "`type` of an item of `listeners`, found the text \"llm\""),
        (listeners("[{type: model, name: n, input_filters: [f]}]"), "the filter \"f\" of a listener"),
        (listeners(""), "`listeners`, found nothing"),
        (listeners("{egress_traffic: {ports: 1}}"), "the key \"ports\" of `egress_traffic` of `listeners`"),
        (format!("{CONFIG}tracing: {{foo: 1}}\n"), "the key \"foo\" of `tracing`"),
        (format!("{CONFIG}tracing: {{opentracing_grpc_endpoint: \"https://a:1\"}}\n"), "an opentracing_grpc_endpoint that is no http://"),
        (format!("{CONFIG}mode: fast\n"), "`mode`, found the text \"fast\""),
        (format!("{CONFIG}mode: no\n"), "`mode`, found \"no\", which its YAML reader takes for true or false"),
        (format!("{CONFIG}model_aliases:\n"), "`model_aliases`, found nothing"),
        (format!("{CONFIG}agents: [{{id: a}}]\n"), "an item of `agents` without `url`"),
        (format!("{CONFIG}routing: {{session_ttl_seconds: 0}}\n"), "`session_ttl_seconds` of `routing`, found the number 0"),
        (
            format!("{CONFIG}routing: {{routing_budget: {{max_switch_spend_pct: '20'}}}}\n{COSTS}"),
            "`max_switch_spend_pct` of `routing_budget` of `routing`",
        ),
        (format!("{CONFIG}routing: {{routing_budget: {{max_switch_spend_pct: 150}}}}\n{COSTS}"), "found the number 150"),
        (
            format!("{CONFIG}routing: {{routing_budget: {{max_switch_spend_pct: 20}}}}\n"),
            "to start with a routing_budget without a cost source",
        ),
        (CONFIG.replace("$K", "12"), "`access_key` of the provider \"openai/m\", found the number 12"),
        (CONFIG.replace("- {", "- {model: /claude}\n- {"), "the gateway does not know the provider of \"/claude\""),
        (CONFIG.replace("- {", "- {model: openrouter/openai/m}\n- {"), "a second provider of a model called like \"openai/m\""),
        (CONFIG.replace("- {", "- {model: xai/*}\n- {model: xai/*}\n- {"), "two providers named \"xai/*\""),
        (CONFIG.replace("- {", "- {name: openai/m, model: openai/o}\n- {"), "two providers named \"openai/m\""),
        (CONFIG.replace("- {", "- {name: plano-orchestrator, model: openai/o}\n- {"), "it adds one of that name itself"),
        (CONFIG.replace("- {", "- {model: plano/orchestrator, base_url: 'http://x'}\n- {"), "it adds one of that name itself"),
        (format!("{CONFIG}model_aliases: {{4.1: {{target: m}}}}\n"), "the key \"4.1\" of `model_aliases` for a number"),
        (format!("{CONFIG}endpoints: {{on: {{endpoint: h}}}}\n"), "the key \"on\" of `endpoints` for true or false"),
        (format!("{CONFIG}endpoints: {{e: {{endpoint: 'http://h:80'}}}}\n"), "the endpoint \"http://h:80\", which is no host with a port"),
        (format!("{CONFIG}agents: [{{id: a, url: 'http://h:x'}}]\n"), "the url of \"a\", whose port is no number"),
        (format!("{CONFIG}overrides: {{use_agent_orchestrator: yes}}\n"), "unless there is one endpoint, and here are 0"),
        (
            format!("{CONFIG}prompt_targets: [{{name: t, description: d, endpoint: {{name: e, path: /}}}}]\n"),
            "a prompt target of the endpoint \"e\", which is not declared",
        ),
    ];
    for (config, expected) in cases {
        let found = imported(&format!("{config}{ROUTES}"));
        let found = notes(&found).into_iter().filter(|note| note.starts_with("refused")).collect::<Vec<_>>();
        assert!(found.len() == 1 && found[0].contains(expected), "{expected}: {found:#?}");
    }
    let extra = imported(&format!("{CONFIG}{}", ROUTES.replace("]}", "], selection_policy: {prefer: none, than: x}}")));
    assert!(
        notes(&extra)[0].starts_with("refused 6: the gateway refuses the key \"than\" of the selection_policy of"),
        "{:?}",
        notes(&extra)
    );
    let fine = "endpoints: {my-host: {endpoint: x, port: 80}}\noverrides: {anything: 1}\nprompt_caching: {enabled: yes}\n";
    let fine = imported(&format!("{}{fine}{ROUTES}", listeners("[{type: model, name: n, port: 0x50}]")));
    assert_eq!(notes(&fine), Vec::<String>::new());
    let orchestrator = "agents: [{id: a, url: 'http://h'}]\noverrides: {use_agent_orchestrator: yes}\n\
                        prompt_targets: [{name: t, description: d, endpoint: {name: a, path: /}}]\n";
    let named = CONFIG.replace("- {", "- {name: plano-orchestrator, model: plano/Plano-Orchestrator, base_url: 'http://x'}\n- {");
    for fine in [format!("{CONFIG}{orchestrator}"), CONFIG.replace("$K", "$K, base_url: ''"), named] {
        assert_eq!(notes(&imported(&format!("{fine}{ROUTES}"))), Vec::<String>::new(), "{fine}");
    }
}

#[test]
fn what_the_gateways_reader_of_yaml_cannot_read_is_noted() {
    let twice = "- {model: openai/o, access_key: &k $A}\n- {model: openai/p, access_key: &k $B}\n- {";
    let cases = [
        ("true}", "true}\t# main", "4: the gateway's YAML reader refuses a tab outside of quotes"),
        ("$K", "$K,\tname: openai/m", "4: the gateway's YAML reader refuses a tab"),
        ("version: v0.4.0", "# a\tb\nversion: 'v0.4.0'\t", "2: the gateway's YAML reader refuses a tab"),
        ("$K", "what?", "4: inside brackets the gateway's YAML reader ends unquoted text at a question mark"),
        ("- {", twice, "5: the gateway's YAML reader refuses a second anchor \"k\""),
        ("$K", "&a.b $K", "4: the gateway's YAML reader does not take the anchor \"a.b\" as it is"),
        ("$K", "!!int \"5\"", "4: the gateway refuses `access_key` of the provider \"openai/m\", found the number 5"),
        ("$K", "!!timestamp 2024-01-01", "found \"2024-01-01\", which its YAML reader takes for what its tag says"),
    ];
    for (old, new, expected) in cases {
        let found = notes(&imported(&format!("{}{ROUTES}", CONFIG.replace(old, new))));
        let refused: Vec<&String> = found.iter().filter(|note| note.starts_with("refused")).collect();
        assert!(refused.len() == 1 && refused[0].contains(expected), "{expected}: {found:#?}");
    }
    let tagged = imported(&format!("{CONFIG}{}", ROUTES.replace("name: a", "name: !!int '5'")));
    assert_eq!(tagged.policy.routes[0].name, "5");
    assert_eq!(tagged.notes[0].warning.remedy, "remove its tag, and put it in double quotes");
    let start = CONFIG.replace("[]", "[{type: model, name: n, port: !!int \"12000\"}]").replace("true", "!!bool \"true\"");
    let routes = "routing_preferences:\n- name: what? # c\td\n  description: |\n    b\tc\n    \t\n  models: [&m \"openai/m\"] # \"e\tf\n\
                  - name: \"x\ty\" # \"g\t\n  description: 'h''\ti'\n  models: [*m]\n";
    let fine = imported(&format!("{start}{routes}"));
    assert_eq!((fine.policy.fallback.as_deref(), notes(&fine)), (Some("openai/m"), Vec::new()));
}

#[test]
fn headers_stay_where_they_name_a_variable() {
    let headers = "{Authorization: Bearer sk-word, X-Key: $KEY, User-Agent: me}";
    let config = CONFIG.replace("- {", &format!("- {{model: ollama/x, base_url: 'http://h', headers: {headers}}}\n- {{"));
    let read = imported(&format!("{config}{}", ROUTES.replace("openai/m", "ollama/x")));
    assert_eq!(notes(&read), ["changed 4: the header \"Authorization\" of \"ollama/x\" may be secret and is not kept"]);
    assert!(read.notes[0].warning.remedy.starts_with("add it to the exported configuration by hand"), "{:?}", read.notes);
    let kept = format!("{:?}", read.policy.extra);
    assert!(kept.contains("$KEY") && kept.contains("User-Agent") && !kept.contains("Authorization"), "{kept}");
}

#[test]
fn a_whole_model_comes_before_an_id_that_looks_like_it() {
    let config = CONFIG.replace("- {", "- {model: openrouter/openai/m, access_key: $R}\n- {");
    assert_eq!(models(&imported(&format!("{config}{ROUTES}")).policy.routes), ["a: openai/m"]);
}

#[test]
fn inline_preferences_without_a_name_are_dropped_and_said_so() {
    let config = |names: &str| {
        format!("version: v0.3.0\nlisteners: []\nmodel_providers:\n- model: openai/m\n  default: true\n  routing_preferences:\n{names}")
    };
    let read = imported(&config("  - {name: \"\", description: x}\n  - {name: wine, description: y}\n"));
    assert_eq!(models(&read.policy.routes), ["wine: openai/m"]);
    assert!(notes(&read).contains(&"ignored 7: the gateway drops a routing preference without a name".to_owned()), "{:?}", notes(&read));
    let none = imported(&config("  - {name: , description: x}\n  - {name: wine, description: y}\n"));
    assert!(notes(&none).iter().any(|note| note.starts_with("refused 7: the gateway refuses a routing preference whose name")));
    let error = import_gateway(&config("  - description: x\n"), "c.yaml").unwrap_err().to_string();
    assert!(error.starts_with("c.yaml:7:5: the configuration holds no routes: the gateway drops this routing preference"), "{error}");
    // Without a route there is nothing that a provider's own name could keep from being found.
    let is_refused = |preference: &str| {
        let report = lint_text(&config(preference).replace("default", "name: general\n  default"), "c.yaml").unwrap();
        report.notes.iter().any(|note| note.kind == NoteKind::Refused)
    };
    assert!(!is_refused("  - description: x\n") && is_refused("  - {name: wine, description: x}\n"));
}

#[test]
fn litellms_providers_get_planos_names_or_are_named_as_unknown() {
    let config = |model: &str| {
        format!(
            "complexity_router_config:\n  classifier_type: llm\n  classifier_llm_config: {{model: openai/m}}\n  fallback_tier: other\n  \
             tier_definitions: [{{name: wine, description: Wine}}, {{name: other, description: All else}}]\n  \
             tiers: {{wine: {model}, other: openai/m}}\n"
        )
    };
    for (model, own) in [
        ("azure/gpt-4o", "azure_openai/gpt-4o"),
        ("bedrock/anthropic.claude", "amazon_bedrock/anthropic.claude"),
        ("dashscope/qwen-max", "qwen/qwen-max"),
        ("moonshot/kimi-k2", "moonshotai/kimi-k2"),
        ("vercel_ai_gateway/openai/gpt-4o", "vercel/openai/gpt-4o"),
        ("zai/glm-4.6", "zhipu/glm-4.6"),
    ] {
        let read = imported(&config(model));
        assert_eq!(read.policy.routes[0].models, [own]);
        assert_eq!(notes(&read), [format!("changed 5: LiteLLM's \"{model}\" is \"{own}\" in a policy, as Plano has it")]);
    }
    for same in ["openai/gpt-5", "gemini/gemini-2.5-pro", "together_ai/meta-llama/Llama-3-8b", "ollama/llama3.1", "xai/grok-4"] {
        let read = imported(&config(same));
        assert_eq!((read.policy.routes[0].models.as_slice(), notes(&read).len()), (&[same.to_owned()][..], 0));
    }
    for unknown in ["hosted_vllm/qwen-7b", "fireworks_ai/accounts/x/models/y", "vertex_ai/gemini-2.5-pro"] {
        let read = imported(&config(unknown));
        let provider = unknown.split('/').next().unwrap();
        assert_eq!(read.policy.routes[0].models, [unknown]);
        let note = format!("changed 5: Plano has no provider \"{provider}\", so \"{unknown}\" keeps the name that LiteLLM has for it");
        assert_eq!(notes(&read), [note]);
    }
    // What the file says of where it is served is kept, and not asked for again.
    let remedies = |list: &str| -> Vec<String> {
        let read = imported(&format!("{list}{}", config("hosted_vllm/qwen-7b")));
        read.notes.into_iter().map(|note| note.warning.remedy).collect()
    };
    assert_eq!(remedies(""), ["for Plano, add its base_url and a provider_interface to `providers` in the policy"]);
    let list =
        "model_list: [{model_name: hosted_vllm/qwen-7b, litellm_params: {model: hosted_vllm/qwen-7b, api_base: 'http://gpu:8000/v1'}}]\n";
    assert_eq!(remedies(list), ["for Plano, add a provider_interface to its entry under `providers` in the policy"]);
    // A provider that Plano reaches by its name has the usual key under that name, which a policy need not keep.
    let list = "model_list: [{model_name: kimi, litellm_params: {model: moonshot/kimi-k2}}]\n";
    assert!(imported(&format!("{list}{}", config("kimi"))).policy.extra.is_empty());
}

#[test]
fn where_other_gateways_serve_a_model_is_kept() {
    let tiers = "complexity_router_config:
  classifier_type: llm
  classifier_llm_config: {model: own}
  fallback_tier: other
  tier_definitions: [{name: wine, description: Wine}, {name: other, description: All else}]
  tiers: {wine: own, other: openai/gpt-4o-mini}
";
    let list = "model_list:
- model_name: own
  litellm_params: {model: openai/qwen-7b, api_base: 'http://user:word@10.0.0.5:8000/v1', api_key: os.environ/MY_VLLM_KEY}
";
    let read = imported(&format!("{list}{tiers}"));
    let kept = r#"[{"model":"openai/qwen-7b","access_key":"$MY_VLLM_KEY","base_url":"http://10.0.0.5:8000/v1"}]"#;
    assert_eq!(read.policy.extra, [("providers".to_owned(), kept.to_owned())]);
    assert_eq!(notes(&read), ["changed 3: what the address of \"openai/qwen-7b\" says besides the place may be secret and is not kept"]);
    let secret = imported(&format!(
        "{}{tiers}",
        list.replace("os.environ/MY_VLLM_KEY", "sk-word").replace("http://user:word@10.0.0.5:8000/v1", "os.environ/BASE")
    ));
    assert!(secret.policy.extra.is_empty() && !format!("{secret:?}").contains("sk-word"), "{secret:#?}");
    assert_eq!(secret.notes.len(), 2, "{:?}", notes(&secret));
    let flawed =
        tiers.replace("llm\n", "heuristic\n").replace("  fallback_tier: other\n", "").replace("{name: wine, description: Wine}, ", "");
    let flawed: Vec<String> = notes(&imported(&flawed)).into_iter().filter(|note| note.starts_with("refused")).collect();
    for expected in
        ["2 to 8 tiers, and here are 1", "a classifier that knows its own tiers only", "without a fallback_tier", "the tier \"wine\" under"]
    {
        assert!(flawed.iter().any(|note| note.contains(expected)), "{expected}: {flawed:#?}");
    }

    let undescribed = imported(&tiers.replace("description: Wine", "description: ''"));
    let remedy = undescribed.notes.iter().find(|note| note.warning.message.ends_with("the tier \"wine\" without a description"));
    assert_eq!(remedy.map(|note| note.warning.remedy.as_str()), Some("describe it"), "{:?}", notes(&undescribed));

    let vllm = "version: v0.3
providers:
  models:
  - name: openai/qwen-7b
    backend_refs: [{name: a, base_url: 'https://x.example/v1', api_key_env: MY_KEY}, {name: b, base_url: 'https://y.example/v1'}]
  - name: openai/unfilled
    backend_refs: [{endpoint: '127.0.0.1:8000'}]
routing:
  signals:
    preferences: [{name: wine, description: Wine}, {name: talk, description: Talk}]
  decisions:
  - {name: wine, rules: {operator: AND, conditions: [{type: preference, name: wine}]}, modelRefs: [{model: openai/qwen-7b}, {model: openai/unfilled}]}
  - {name: rest, rules: {operator: NOT, conditions: [{type: preference, name: talk}]}, modelRefs: [{model: openai/nottalk}]}
global: {model_catalog: {modules: {classifier: {preference: {use_contrastive: false}}}}}
";
    let read = imported(vllm);
    assert_eq!(models(&read.policy.routes), ["wine: openai/qwen-7b openai/unfilled", "talk: "]);
    let kept = r#"[{"model":"openai/qwen-7b","access_key":"$MY_KEY","base_url":"https://x.example/v1"}]"#;
    assert_eq!(read.policy.extra, [("providers".to_owned(), kept.to_owned())]);
    let notes = notes(&read).join("\n");
    for expected in [
        "\"openai/qwen-7b\" is served in several places",
        "127.0.0.1:8000 stands in an export",
        "no decision uses the preference signal \"talk\" alone",
    ] {
        assert!(notes.contains(expected), "{expected}\n{notes}");
    }
}

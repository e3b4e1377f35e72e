//! Exports into an existing configuration: nothing but the routes and missing providers changes.

use proptest::prelude::*;
use waypost::formats::{ExportOptions, Exported, configured_budget, export_gateway};
use waypost::policy::{Policy, Route};

use super::{fixture, imported};

fn into(policy: &Policy, text: &str) -> Exported {
    export_gateway(policy, ExportOptions { into: Some((text, "c.yaml")), ..ExportOptions::default() })
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(policy: &Policy, text: &str) -> String {
    export_gateway(policy, ExportOptions { into: Some((text, "c.yaml")), ..ExportOptions::default() }).unwrap_err().to_string()
}

fn beer() -> Policy {
    Policy {
        fallback: Some("openai/gpt-4o-mini".to_owned()),
        routes: vec![Route {
            models: ["anthropic/claude-sonnet-4-6", "groq/llama-4"].map(str::to_owned).to_vec(),
            ..Route::new("beer", "Beer and brewing")
        }],
        ..Policy::default()
    }
}

#[test]
fn only_the_block_and_missing_providers_change() {
    let before = fixture("top_level_0.4.15.yaml");
    let block = before.find("routing_preferences:").unwrap()..before.find("\n# sampled").unwrap();
    let new_block = "# waypost: WARNING, this policy was not tested\nrouting_preferences:\n  - name: \"beer\"\n    description: \"Beer and brewing\"\n    \
                     models:\n      - \"careful\"\n      - \"groq/llama-4\"\n";
    let provider = "  - model: \"groq/llama-4\"\n    access_key: \"$GROQ_API_KEY\"\n";
    let providers_end = before.find("\nrouting_preferences:").unwrap();
    let expected = before[..providers_end].to_owned() + provider + "\n" + new_block + &before[block.end..];
    assert_eq!(into(&beer(), &before).text, expected);
    // The same again changes nothing, and what stood between is gone without a trace.
    assert_eq!(into(&beer(), &expected).text, expected);
    let own = imported(&before).policy;
    let first = into(&own, &before).text;
    assert_eq!(into(&own, &into(&beer(), &first).text.replace(provider, "")).text, first);
    // Line breaks and a byte order mark stay as they were.
    let windows = format!("\u{feff}{}", before.replace('\n', "\r\n"));
    assert_eq!(into(&beer(), &windows).text, format!("\u{feff}{}", expected.replace('\n', "\r\n")));
}

#[test]
fn older_files_are_brought_to_the_form_that_routes() {
    let exported = into(&beer(), &fixture("inline_0.3.10.yaml"));
    assert_eq!(
        exported.notes,
        [
            "the version became v0.4.0, which routes at the top level need (Plano 0.4.15 and later)",
            "the routes inside the provider \"openai/gpt-4o-mini\" moved to the top level",
            "the routes inside the provider \"xai/grok-4\" moved to the top level",
        ]
    );
    let expected = "version: v0.4.0\n\nlisteners:\n  egress_traffic:\n    address: 0.0.0.0\n    port: 12000\n\nllm_providers:\n  \
                    - model: openai/gpt-4o-mini\n    access_key: $OPENAI_API_KEY\n    default: true\n\n  - model: xai/grok-4\n    \
                    access_key: $GROK_API_KEY\n  - model: \"anthropic/claude-sonnet-4-6\"\n    access_key: \"$ANTHROPIC_API_KEY\"\n  \
                    - model: \"groq/llama-4\"\n    access_key: \"$GROQ_API_KEY\"\n\n# waypost: WARNING, this policy was not tested\n\
                    routing_preferences:\n";
    assert!(exported.text.starts_with(expected), "{}", exported.text);
}

#[test]
fn every_layout_is_edited() {
    let layouts = [
        "version: v0.4.0\nlisteners: []\n",
        "version: v0.4.0\nlisteners: []",
        "listeners: []\nrouting_preferences:\nversion: 'v0.4.0'\n# end\n",
        "version: v0.4.0 # now\nlisteners: []\nmodel_providers: [] # none\nrouting_preferences: [] # gone\n",
        "version: v0.4.0\nlisteners: []\nmodel_providers: [{model: openai/gpt-4o-mini, default: true}]\n",
        "version: v0.4.0\nlisteners: []\nmodel_providers:\n- model: openai/gpt-4o-mini\n  default: true # yes\n# after\n",
        "version: v0.3.0\nlisteners: []\nmodel_providers:\n- routing_preferences: [{name: a, description: b}]\n  model: openai/gpt-4o-mini\n",
        "version: v0.3.0\nlisteners: []\nmodel_providers:\n- model: openai/gpt-4o-mini\n  routing_preferences:\n# waypost: # gone\n  - {name: a, description: b}\n",
        "version: v0.3.0\nlisteners: []\nmodel_providers: [{model: openai/x, routing_preferences: [{name: a, description: b}]}]\n",
        "version: v0.4.0\nlisteners: []\nrouting_preferences:\n- name: a\n  description: >\n    folded\n    text\n\n  models: [x/y]\n\n\ntracing: {}\n",
        "version: v0.4.0\nlisteners: []\nrouting_preferences:\n- name: a\n  description: b\n  models:\n  - x/y # gone\n# after\n",
        "version: \"v0.3.0\" # now\nlisteners: []\nmodel_providers:\n- {model: \"openai/gpt-4o-mini\", default: true} # yes\nrouting_preferences:\n\
         - {name: a, description: b, models: [openai/gpt-4o-mini]}\n\n# after\n# end\n",
        "version: v0.4.0\nlisteners: []\nmodel_providers:\n  - # yes\n    model: openai/gpt-4o-mini\n    default: true\n# after\n...\n# end\n",
        "version: v0.4.0\nlisteners: []\n# after\n...\n",
    ];
    for layout in layouts {
        let exported = into(&beer(), layout);
        assert_eq!(imported(&exported.text).policy.routes, beer().routes, "{}", exported.text);
        for comment in ["# now", "# none", "# yes", "# after", "# end", "tracing: {}"] {
            let count = |text: &str| text.matches(comment).count();
            assert!(count(&exported.text) == count(layout), "{comment} of\n{layout}\nin\n{}", exported.text);
        }
        assert!(!exported.text.contains("# gone"), "what is said of an old route is not said of a new one\n{}", exported.text);
    }
}

#[test]
fn a_configuration_that_cuts_elsewhere_is_told() {
    let usual = "version: v0.4.0\nlisteners: []\nmodel_providers:\n- model: openai/gpt-4o-mini\n  default: true\n".to_owned();
    let short = format!("{usual}overrides: {{orchestrator_model_context_length: 300}}\n");
    let notes = |budget: Option<usize>, text: &str| into(&Policy { budget, ..beer() }, text).notes;
    for (budget, text) in [(None, &usual), (Some(8192), &usual), (Some(300), &short)] {
        assert_eq!(notes(budget, text), Vec::<String>::new());
    }
    for (budget, text, set, own) in [(None, &short, 300, 8192), (Some(4096), &usual, 8192, 4096)] {
        let told = notes(budget, text).join("\n");
        assert!(told.contains(&format!("cut conversations at {set} estimated tokens")), "{told}");
        assert!(told.contains(&format!("not at the policy's {own} (`budget`)")), "{told}");
    }
    // The gateway's own reader knows more spellings, and what an alias stands for is not looked up.
    for (written, set) in [("4_096", Some(4096)), ("010000", Some(4096)), ("1:30", Some(90)), ("-1", None), ("long", None)] {
        assert_eq!(configured_budget(&short.replace("300", written), "c.yaml"), set, "{written}");
    }
    let alias = format!("ids: &n 300\n{}", short.replace(" 300", " *n"));
    assert_eq!(configured_budget(&alias, "c.yaml"), None);
    let told = notes(None, &short.replace("300", "-1")).join("\n");
    assert!(told.contains("is not known to be a number of tokens") && told.contains("write a whole number there"), "{told}");
}

#[test]
fn a_default_in_other_words_stays_the_only_one() {
    let text = "version: v0.4.0\nlisteners: []\nmodel_providers:\n- model: openai/x\n  default: yes\n";
    let exported = into(&beer(), text);
    assert!(!exported.text.contains("default: true"), "{}", exported.text);
    assert_eq!(exported.notes, ["the default provider stays \"openai/x\"; the policy's fallback is \"openai/gpt-4o-mini\""]);
    let quoted = refused(&beer(), &text.replace("yes", "\"true\""));
    assert!(quoted.contains("the gateway refuses `default` of the provider \"openai/x\""), "{quoted}");
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let mut cheapest = beer();
    cheapest.routes[0].extra.push(("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned()));
    let mut second = beer();
    second.routes[0].models = vec!["openai/gpt-4o".to_owned()];
    let same = "model_providers:\n- {model: openai/gpt-4o-mini, name: same, default: true}\n- {model: openai/gpt-4o, name: same}\n";
    let start = "version: v0.4.0\nlisteners: []\n";
    let cases = [
        (second, format!("{start}{same}"), "the gateway refuses two providers named \"same\""),
        (beer(), "{version: v0.4.0, listeners: []}".to_owned(), "not an object in block style"),
        (beer(), "listeners: []\n".to_owned(), "has no version"),
        (beer(), fixture("usage_0.3.0.yaml"), "the providers are of a form that the current gateway refuses"),
        (beer(), fixture("rendered.yaml"), "the providers are of a form that the current gateway refuses"),
        (
            beer(),
            format!("{start}model_providers:\n- model: mistral/llama-4\n"),
            "Plano does not tell \"groq/llama-4\" and \"mistral/llama-4\" apart",
        ),
        (
            beer(),
            format!("{start}model_providers:\n- model: openrouter/groq/llama-4\n"),
            "Plano does not tell \"groq/llama-4\" and \"openrouter/groq/llama-4\" apart",
        ),
        (beer(), format!("{}model_providers: []\n", start.replace("[]", "[{name: n, port: 1}]")), "an item of `listeners` without `type`"),
        (cheapest, start.to_owned(), "add `model_metrics_sources` with `type: cost` to the configuration first"),
        (beer(), format!("{start}kitchen: 4\n"), "the gateway refuses the key \"kitchen\""),
        (beer(), format!("{start}model_providers:\n- model: openai/x\t# main\n"), "the gateway's YAML reader refuses a tab"),
        (
            beer(),
            format!("{start}routing_preferences:\n- &a {{name: a, description: b, models: [x/y]}}\ntracing: {{static: *a}}\n"),
            "cannot be edited in place",
        ),
    ];
    for (policy, text, expected) in cases {
        let found = refused(&policy, &text);
        assert!(found.contains(expected), "{found}\n{expected}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the routes say and wherever the block stands, the lines around it stay.
    #[test]
    fn every_other_byte_stays(
        names in proptest::collection::btree_set("[a-zA-Z_' :#\"{}äß-]{0,12}[a-z]", 1..5),
        description in "\\PC{0,40}",
        gap in 0_usize..4,
        crlf in any::<bool>(),
    ) {
        let lines = [
            "# head: [not yaml",
            "version: v0.4.0   # spaced",
            "listeners:",
            "- {type: model, name: \"m: #1\", port: 12000}",
            "model_providers:",
            "-   model: openai/gpt-4o-mini",
            "    default: true",
            "-   model: 'anthropic/claude-sonnet-4-6' # quoted",
            "system_prompt: |",
            "    routing_preferences:",
            "      - not these",
        ];
        let mut before: Vec<&str> = lines.to_vec();
        let block = ["routing_preferences:", "- name: old", "  description: old", "  models: [gpt-4o-mini]"];
        // At the top level a block may stand between any two keys.
        let at = [1, 2, 4, 8][gap];
        before.splice(at..at, block);
        let ending = if crlf { "\r\n" } else { "\n" };
        let text = before.join(ending) + ending;
        let policy = Policy {
            fallback: Some("openai/gpt-4o-mini".to_owned()),
            routes: names
                .iter()
                .map(|name| Route { models: vec!["anthropic/claude-sonnet-4-6".to_owned()], ..Route::new(name.clone(), description.clone()) })
                .collect(),
            ..Policy::default()
        };
        let after = into(&policy, &text).text;
        let (head, tail) = (lines[..at].join(ending) + ending, ending.to_owned() + &lines[at..].join(ending) + ending);
        prop_assert!(after.starts_with(&head), "{}", after);
        prop_assert!(after.ends_with(&tail), "{}", after);
        let middle = &after[head.len()..after.len() - tail.len()];
        prop_assert!(middle.starts_with("# waypost: WARNING"), "{}", middle);
        prop_assert_eq!(imported(&after).policy.routes, policy.routes);
    }

    /// Half-written files are what an editor sees most of the time.
    #[test]
    fn no_text_makes_import_lint_or_export_panic(
        start in 0_usize..2000,
        cut in 0_usize..2000,
        junk in "[\\]\\[{}:?*&'\"|#@\\-\\n é😀a]{0,12}",
        which in 0_usize..11,
    ) {
        let names = [
            "chat_ui.json", "inline_0.3.10.yaml", "inline_v0.4.0.yaml", "litellm.yaml", "refused.yaml", "rendered.yaml", "routing_api.json",
            "top_level_0.4.15.yaml", "usage_0.3.0.yaml", "vllm_sr_flat.yaml", "vllm_sr_v0.3.yaml",
        ];
        let text = fixture(names[which]);
        let start = text.floor_char_boundary(start.min(text.len()));
        let end = text.floor_char_boundary((start + cut % 40).min(text.len()));
        let text = text[..start].to_owned() + &junk + &text[end..];
        let _ = waypost::formats::lint_text(&text, "c.yaml");
        let _ = export_gateway(&beer(), ExportOptions { into: Some((&text, "c.yaml")), ..ExportOptions::default() });
        if let Ok(read) = waypost::formats::import_gateway(&text, "c.yaml") {
            for format in waypost::formats::ExportFormat::ALL {
                let _ = export_gateway(&read.policy, ExportOptions { format, ..ExportOptions::default() });
            }
        }
    }
}

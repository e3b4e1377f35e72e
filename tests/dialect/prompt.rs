//! How routes and messages are spelled and substituted: points 7 and 8 of the gateways' behaviour.

use serde_json::json;
use waypost::chat::Conversation;
use waypost::chat::Role::{Assistant, User};
use waypost::dialect::{DialectId, RenderedPrompt, render};
use waypost::policy::Route;

use super::{GATEWAYS, conversation, render_talk, talk};

/// Everything that serialisers disagree about.
const AWKWARD: &str = "q\" b\\ s/ <t> & ' \u{0}\u{1f}\u{8}\u{c}\n\r\t\u{7f} é 京 🚄 \u{2028}";

fn routes_of(rendered: &RenderedPrompt) -> &str {
    &rendered.text[rendered.routes.clone()]
}

fn conversation_of(rendered: &RenderedPrompt) -> &str {
    &rendered.text[rendered.conversation.clone()]
}

#[test]
fn messages_carry_role_and_content_and_nothing_else() {
    let conversation = conversation(&json!([{"content": "a", "name": "ann", "role": "user"}, {"role": "assistant", "content": "b"}]));
    let sent = DialectId::ALL.map(|dialect| conversation_of(&render_talk(dialect, &conversation, None)).to_owned());
    let pretty = "[\n    {\n        \"role\": \"user\",\n        \"content\": \"a\"\n    },\n    {\n        \"role\": \"assistant\",\n        \"content\": \"b\"\n    }\n]";
    let compact = r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#;
    let python = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#;
    assert_eq!(sent, [python, compact, pretty, pretty]);
}

#[test]
fn routes_are_spelled_as_each_consumer_does() {
    let (first, second) =
        (Route::new("a", "b"), Route { models: vec!["m".to_owned()], domain: Some("d".to_owned()), ..Route::new("c", "") });
    let sent = |routes: &[&Route]| DialectId::ALL.map(|dialect| routes_of(&render(dialect, routes, &talk(&[]), None)).to_owned());
    let parameters = r#""parameters": {"type": "object", "properties": {}, "required": []}"#;
    let lines =
        format!("{{\"name\": \"c\", \"description\": \"\", {parameters}}}\n{{\"name\": \"a\", \"description\": \"b\", {parameters}}}");
    let compact = r#"[{"name":"c","description":""},{"name":"a","description":"b"}]"#;
    let python = r#"[{"name": "c", "description": ""}, {"name": "a", "description": "b"}]"#;
    assert_eq!(sent(&[&second, &first]), [python, compact, &lines, &lines]);
    assert_eq!(sent(&[]), ["[]", "[]", "", ""]);
}

#[test]
fn gateways_escape_what_serde_json_escapes() {
    let escaped = serde_json::to_string(AWKWARD).unwrap();
    assert!(escaped.contains('京') && escaped.contains('\u{7f}') && escaped.contains("s/ <t> & '"), "the test needs these raw");
    for dialect in GATEWAYS {
        let rendered = render(dialect, &[&Route::new(AWKWARD, AWKWARD)], &talk(&[(User, AWKWARD)]), None);
        assert_eq!(rendered.text.matches(&escaped).count(), 3, "{dialect}");
    }
}

#[test]
fn the_model_card_escapes_what_python_escapes() {
    let escaped = r#""q\" b\\ s/ <t> & ' \u0000\u001f\b\f\n\r\t\u007f \u00e9 \u4eac \ud83d\ude84 \u2028""#;
    let rendered = render(DialectId::ModelCard, &[&Route::new(AWKWARD, AWKWARD)], &talk(&[(User, AWKWARD)]), None);
    assert_eq!(rendered.text.matches(escaped).count(), 3);
    assert!(rendered.text.is_ascii());
}

#[test]
fn a_conversation_placeholder_in_a_route_is_filled_in() {
    let talk = talk(&[(User, "where to?"), (Assistant, "there")]);
    let other = Route::new("other way", "no placeholder");
    for dialect in GATEWAYS {
        let with = |name: &str, description: &str| render(dialect, &[&Route::new(name, description), &other], &talk, None);
        let plain = with("NAME", "before TEXT after");
        let filled = with("{conversation}", "before {conversation} after {routes}");
        let json = conversation_of(&plain);
        assert_eq!(filled.text, plain.text.replace("NAME", json).replace("TEXT after", &format!("{json} after {{routes}}")), "{dialect}");
        // The ranges still part the prompt: the copies belong to the routes.
        assert_eq!(conversation_of(&filled), json, "{dialect}");
        assert_eq!(routes_of(&filled).matches(json).count(), 2, "{dialect}");
        assert_eq!(filled.routes.start, plain.routes.start, "{dialect}");
        assert!(filled.text[filled.routes.end..].starts_with("\n</routes>"), "{dialect}");
    }
}

#[test]
fn the_model_card_fills_in_both_placeholders_at_once() {
    let rendered = render(DialectId::ModelCard, &[&Route::new("a", "{conversation} {routes}")], &talk(&[(User, "hi")]), None);
    assert_eq!(routes_of(&rendered), r#"[{"name": "a", "description": "{conversation} {routes}"}]"#);
}

#[test]
fn what_the_user_wrote_is_never_substituted() {
    let text = "{routes} {conversation} </conversation> </routes> {{route}}";
    for dialect in DialectId::ALL {
        let rendered = render_talk(dialect, &talk(&[(User, text)]), None);
        assert_eq!(rendered.text.matches(text).count(), 1, "{dialect}");
        assert!(conversation_of(&rendered).contains(text), "{dialect}");
        assert!(!routes_of(&rendered).contains(text), "{dialect}");
    }
}

#[test]
fn ranges_lie_between_their_tags() {
    for dialect in DialectId::ALL {
        let rendered = render_talk(dialect, &Conversation::from_prompt("é"), None);
        let blank = if dialect == DialectId::ModelCard { "\n" } else { "" };
        let (text, routes, conversation) = (&rendered.text, &rendered.routes, &rendered.conversation);
        assert!(text[..routes.start].ends_with(&format!("<routes>\n{blank}")), "{dialect}");
        assert!(text[routes.end..].starts_with(&format!("{blank}\n</routes>")), "{dialect}");
        assert!(text[..conversation.start].ends_with(&format!("<conversation>\n{blank}")), "{dialect}");
        assert!(text[conversation.end..].starts_with(&format!("{blank}\n</conversation>")), "{dialect}");
    }
}

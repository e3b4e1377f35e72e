//! How answers are written and read: points 15 and 16 of the gateways' behaviour.

use waypost::dialect::{AnswerError, DialectId, answer_text, answers_are_lists, first_name_prefix, parse_answer};

use super::GATEWAYS;

const NAMES: [&str; 4] = ["a", "b", "other", "A"];

/// Reads as archgw does.
fn one(text: &str) -> Result<Option<String>, AnswerError> {
    parse_answer(DialectId::Archgw031, NAMES, text)
}

/// Reads as Plano 0.4.20 does.
fn list(text: &str) -> Result<Option<String>, AnswerError> {
    parse_answer(DialectId::Plano0420, NAMES, text)
}

fn route(name: &str) -> Result<Option<String>, AnswerError> {
    Ok(Some(name.to_owned()))
}

const NO_ROUTE: Result<Option<String>, AnswerError> = Ok(None);

#[test]
fn canonical_answers() {
    assert_eq!(DialectId::ALL.map(answers_are_lists), [false, false, true, true]);
    let (one, list) = (r#"{"route": "café \"\\/\n"}"#, r#"{"route": ["café \"\\/\n"]}"#);
    assert_eq!(DialectId::ALL.map(|dialect| answer_text(dialect, Some("café \"\\/\n"))), [one, one, list, list]);
    let (one, list) = (r#"{"route": "other"}"#, r#"{"route": []}"#);
    assert_eq!(DialectId::ALL.map(|dialect| answer_text(dialect, None)), [one, one, list, list]);
}

#[test]
fn the_prefix_settles_the_first_name() {
    let list = Some(r#"{"route": ["a\"é""#.to_owned());
    assert_eq!(DialectId::ALL.map(|dialect| first_name_prefix(dialect, "a\"é")), [None, None, list.clone(), list]);
    for rest in ["]}", r#", "b"]}"#] {
        let prefix = first_name_prefix(DialectId::Plano0419, "a").unwrap();
        assert_eq!(list_of_0419(&(prefix + rest)), route("a"));
    }
}

fn list_of_0419(text: &str) -> Result<Option<String>, AnswerError> {
    parse_answer(DialectId::Plano0419, NAMES, text)
}

#[test]
fn names_match_exactly() {
    assert_eq!((one(r#"{"route": "A"}"#), list(r#"{"route": ["A"]}"#)), (route("A"), route("A")));
    for name in ["B", " a", "a ", "ab", ""] {
        assert_eq!(one(&format!(r#"{{"route": "{name}"}}"#)), NO_ROUTE, "{name:?}");
        assert_eq!(list(&format!(r#"{{"route": ["{name}"]}}"#)), NO_ROUTE, "{name:?}");
    }
}

#[test]
fn other_is_no_route_for_archgw_and_a_name_for_plano() {
    assert_eq!(one(r#"{"route": "other"}"#), NO_ROUTE);
    assert_eq!(list(r#"{"route": ["other"]}"#), route("other"));
    assert_eq!(parse_answer(DialectId::Plano0420, ["a"], r#"{"route": ["other", "a"]}"#), route("a"));
}

#[test]
fn an_empty_name_is_no_route_even_if_a_route_is_called_so() {
    assert_eq!(parse_answer(DialectId::Archgw031, ["", "a"], r#"{"route": ""}"#), NO_ROUTE);
    assert_eq!(parse_answer(DialectId::Plano0420, ["", "a"], r#"{"route": ["", "a"]}"#), route("a"));
}

#[test]
fn the_first_known_name_of_a_list_wins() {
    assert_eq!(list(r#"{"route": ["x", "", "b", "a"]}"#), route("b"));
    assert_eq!(list(r#"{"route": ["x"]}"#), NO_ROUTE);
    for dialect in GATEWAYS {
        assert_eq!(parse_answer(dialect, NAMES, r#"{"route": null}"#), NO_ROUTE, "{dialect}");
        assert_eq!(parse_answer(dialect, NAMES, r#"{"reason": 1}"#), NO_ROUTE, "{dialect}");
        assert_eq!(parse_answer(dialect, NAMES, ""), NO_ROUTE, "{dialect}");
        assert_eq!(parse_answer(dialect, [""; 0], &answer_text(dialect, Some("a"))), NO_ROUTE, "{dialect}");
    }
}

#[test]
fn fences_are_stripped_by_archgw_at_the_very_ends_only() {
    let json = r#"{"route": "a"}"#;
    for text in ["```json\n{}\n```", "```json{}```", "```json {}", "{}```", "```json\\n{}\\n```"] {
        assert_eq!(one(&text.replace("{}", json)), route("a"), "{text:?}");
    }
    for text in [" ```json\n{}\n```", "```json\n{}\n```\n", "```\n{}\n```", "```JSON{}```", "```json```json{}", "{}``````"] {
        assert!(one(&text.replace("{}", json)).is_err(), "{text:?}");
    }
    assert!(list("```json\n{\"route\": [\"a\"]}\n```").is_err());
    assert!(one("```json").is_err(), "only the text as it came may be empty");
}

#[test]
fn quirks_of_the_parser() {
    assert_eq!((one(r#"["a"]"#), list(r#"[["x", "b"]]"#)), (route("a"), route("b")));
    assert_eq!((one("[null]"), list("[null]")), (NO_ROUTE, NO_ROUTE));
    assert_eq!((one(" \n{\"route\" :\t\"a\"}\r\n"), list(" {\"route\": [ \"a\" ] }\n")), (route("a"), route("a")));
    assert_eq!((one(r#"{"x": [1, {}], "route": "a"}"#), list(r#"{"route": ["a"], "why": null}"#)), (route("a"), route("a")));
    assert_eq!(one(r#"{"route": "\u0061"}"#), route("a"));
    for text in ["a", "\"a\"", " ", "null", "[]", r#"["a", "b"]"#, "{} x", r#"{"route": 3}"#, r#"{"route": ["a"]}"#, r#"{"route": "a""#] {
        assert!(one(text).is_err(), "{text:?}");
    }
    for text in ["a", "[]", r#"["a"]"#, r#"[["a"], []]"#, r#"{"route": "a"}"#, r#"{"route": ["a", null]}"#, r#"{"route": [1]}"#, "{}{}"] {
        assert!(list(text).is_err(), "{text:?}");
    }
    assert!(one(r#"{"route": "a", "route": "a"}"#).unwrap_err().reason.starts_with("duplicate field `route`"));
    assert!(list(r#"{"route": ["a"], "route": ["a"]}"#).unwrap_err().reason.starts_with("duplicate field `route`"));
}

#[test]
fn quotes_and_line_feeds_never_come_back() {
    assert_eq!((one("{'route': 'a'}"), list("{'route': ['a']}")), (route("a"), route("a")));
    for dialect in GATEWAYS {
        let names = ["it's", "two\nlines", r"back\name", "lines"];
        let read = |name: &str| parse_answer(dialect, names, &answer_text(dialect, Some(name)));
        assert!(read("it's").is_err(), "{dialect}");
        assert_eq!(read("two\nlines"), NO_ROUTE, "{dialect}");
        assert!(read(r"back\name") != route(r"back\name"), "{dialect}");
        // What is left after the deletion may name another route.
        assert_eq!(read("\nlines"), route("lines"), "{dialect}");
    }
}

#[test]
fn an_error_says_why_and_what_the_gateway_does() {
    let message = |dialect, text| parse_answer(dialect, NAMES, text).unwrap_err().to_string();
    let shown = message(DialectId::Plano0420, r#"{"route": "a"}"#);
    let consequence = "this answer makes Plano 0.4.19 and later return HTTP 500: invalid type: string \"a\", expected a sequence at line 1";
    assert!(shown.contains(consequence), "{shown}");
    let shown = message(DialectId::Archgw031, r#"{"route": ["a"]}"#);
    let consequence = "this answer makes archgw 0.3.1 to Plano 0.4.18 return HTTP 500: invalid type: sequence, expected a string";
    assert!(shown.contains(consequence), "{shown}");
    let shown = message(DialectId::ModelCard, "a");
    assert!(shown.contains("the model card reads no answers") && shown.contains("HTTP 500: expected value"), "{shown}");
    assert!(message(DialectId::Archgw031, "[]").contains("struct LlmRouterResponse"), "the gateway's own words");
    assert!(message(DialectId::Plano0419, "[]").contains("struct AgentOrchestratorResponse"), "the gateway's own words");
}

#[test]
fn the_model_card_is_read_as_archgw_reads() {
    for text in ["```json{'route': 'a'}```", r#"{"route": "other"}"#, "", r#"["b"]"#] {
        assert_eq!(parse_answer(DialectId::ModelCard, NAMES, text), one(text), "{text:?}");
    }
}

//! The golden vectors of `tests/fixtures`: prompts byte for byte, answers outcome for outcome.

use serde_json::Value;
use waypost::dialect::{DialectId, parse_answer, render};
use waypost::policy::Route;

fn vectors(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a golden line is JSON")).collect()
}

fn dialect(vector: &Value) -> DialectId {
    vector["dialect"].as_str().expect("a dialect").parse().expect("a known dialect")
}

/// Returns where two texts part, with what surrounds the place in each.
fn first_difference(expected: &str, got: &str) -> String {
    let place = expected.bytes().zip(got.bytes()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        let start = text.floor_char_boundary(place.saturating_sub(60));
        let end = text.ceil_char_boundary((place + 60).min(text.len()));
        format!("{:?} (of {} bytes)", &text[start.min(end)..end], text.len())
    };
    format!("byte {place}\n  expected {}\n  got      {}", around(expected), around(got))
}

#[test]
fn golden_prompts_match_byte_for_byte() {
    let vectors = vectors(include_str!("../fixtures/golden_prompts.jsonl"));
    assert_eq!(vectors.len(), 118);
    for (index, vector) in vectors.iter().enumerate() {
        let routes: Vec<Route> = vector["routes"]
            .as_array()
            .expect("routes")
            .iter()
            .map(|route| Route::new(route["name"].as_str().expect("a name"), route["description"].as_str().expect("a description")))
            .collect();
        let routes: Vec<&Route> = routes.iter().collect();
        let budget = vector["budget_tokens"].as_u64().map(|budget| usize::try_from(budget).expect("a small budget"));
        let rendered = render(dialect(vector), &routes, &super::conversation(&vector["messages"]), budget);
        let expected = vector["prompt"].as_str().expect("a prompt");
        let line = index + 1;
        assert!(
            rendered.text == expected,
            "line {line} ({}, budget {budget:?}): {}",
            dialect(vector),
            first_difference(expected, &rendered.text)
        );
    }
}

#[test]
fn golden_answers_have_the_gateways_outcome() {
    let vectors = vectors(include_str!("../fixtures/golden_answers.jsonl"));
    assert_eq!(vectors.len(), 50);
    for (index, vector) in vectors.iter().enumerate() {
        let names: Vec<&str> = vector["names"].as_array().expect("names").iter().map(|name| name.as_str().expect("a name")).collect();
        let text = vector["text"].as_str().expect("a text");
        let parsed = parse_answer(dialect(vector), &names, text);
        let (outcome, route) = match &parsed {
            Ok(Some(route)) => ("route", Some(route.as_str())),
            Ok(None) => ("no_route", None),
            Err(_) => ("error", None),
        };
        assert_eq!(
            (outcome, route),
            (vector["outcome"].as_str().expect("an outcome"), vector["route"].as_str()),
            "line {} ({}): {text:?} was read as {parsed:?}",
            index + 1,
            dialect(vector)
        );
    }
}

#[test]
fn a_difference_is_shown_at_its_place() {
    let shown = first_difference("one  two é", "one two é");
    assert!(shown.starts_with("byte 4\n"), "{shown}");
    assert!(first_difference("abc", "ab").starts_with("byte 2\n"));
    assert!(first_difference("é", "è").starts_with("byte 1\n"));
}

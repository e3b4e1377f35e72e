//! Policies of every kind that a program can hold, written and read back.

use proptest::prelude::*;
use waypost::formats::{parse_policy, policy_text, write_policy};
use waypost::policy::{DialectId, Policy, Route};

/// Text as it may come from anywhere: any characters, and the words that readers of YAML mistake for something else.
fn any_text() -> impl Strategy<Value = String> {
    const TRAPS: [&str; 20] = [
        "",
        "yes",
        "null",
        "~",
        "2024-01-01",
        "0o17",
        "1e3",
        ".inf",
        "<<",
        "=",
        "- a",
        "a: b",
        "# c",
        "'",
        "\"",
        "\\",
        " x ",
        "\ta\r\n\nb ",
        "---",
        "%",
    ];
    prop_oneof![
        proptest::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect()),
        "[ -~\\n\\t\\r\\x00-\\x1f\u{85}\u{2028}\u{feff}]{0,12}",
        proptest::sample::select(&TRAPS[..]).prop_map(str::to_owned),
        Just(TRAPS.concat()),
    ]
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any_text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((any_text(), inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
    .prop_map(|value| value.to_string())
}

pub(super) fn any_extra() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(any_json(), 0..3)
        .prop_map(|values| values.into_iter().enumerate().map(|(index, value)| (format!("x {index}"), value)).collect())
}

fn any_route() -> impl Strategy<Value = Route> {
    let option = || proptest::option::of(any_text());
    let named = any_text().prop_filter("a name", |name| !name.trim().is_empty());
    (named, any_text(), option(), option(), proptest::collection::vec(any_text(), 0..3), any_extra())
        .prop_map(|(name, description, domain, action, models, extra)| Route { name, description, domain, action, models, extra })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let dialect = proptest::option::of(proptest::sample::select(&DialectId::ALL[..]));
    let routes = proptest::collection::vec(any_route(), 0..4).prop_map(|mut routes| {
        let mut seen = std::collections::HashSet::new();
        routes.retain(|route| seen.insert(route.name.clone()));
        routes
    });
    let budget = proptest::option::of(any::<usize>());
    (proptest::option::of(any_text()), dialect, budget, proptest::option::of(any_text()), routes, any_extra())
        .prop_map(|(name, dialect, budget, fallback, routes, extra)| Policy { name, dialect, budget, fallback, routes, extra })
}

/// A policy as a person keeps it: comments above each route and behind values, and indented in one of the usual ways.
fn commented(policy: &Policy, indent: usize) -> String {
    let mut text = String::from("# About this policy\n");
    let mut in_routes = false;
    for line in write_policy(policy).lines() {
        in_routes = line == "routes:" || (in_routes && line.starts_with("  "));
        if line.starts_with("  - name: ") {
            text += &format!("{:indent$}# above\n\n", "");
        }
        let item = line.strip_prefix("  ").filter(|_| in_routes);
        let deep = item.map_or_else(|| line.to_owned(), |line| format!("{:indent$}{line}", ""));
        let behind = if deep.ends_with('"') { " # behind" } else { "" };
        text += &format!("{deep}{behind}\n");
    }
    text + "# The end\n"
}

proptest! {
    /// Whatever the form changed, the text says it; what did not change keeps its comments.
    #[test]
    fn a_change_is_written_into_the_text_it_came_from(
        old in any_policy(),
        other in any_policy(),
        kept in proptest::collection::vec(any::<bool>(), 4),
        fields in any::<[bool; 5]>(),
        backwards in any::<bool>(),
        indent in proptest::sample::select(&[0_usize, 2, 4][..]),
    ) {
        let mut new = other.clone();
        if fields[0] { new.name.clone_from(&old.name); }
        if fields[1] { new.dialect = old.dialect; }
        if fields[2] { new.fallback.clone_from(&old.fallback); }
        if fields[3] { new.extra.clone_from(&old.extra); }
        let keeps: Vec<Route> = old.routes.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(route, _)| route.clone()).collect();
        new.routes.retain(|route| keeps.iter().all(|kept| kept.name != route.name));
        new.routes.splice(0..0, keeps.iter().cloned());
        if fields[4] && let Some(route) = new.routes.first_mut() { route.description.push_str(", and more"); }
        if backwards { new.routes.reverse(); }
        let text = commented(&old, indent);
        let written = policy_text(&text, &old, &new);
        let (read, _) = parse_policy(&written, "p.yaml").map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        prop_assert_eq!(&read, &new, "{}", written);
        prop_assert!(written.starts_with("# About this policy\n"), "{}", written);
        if old.extra == new.extra && !keeps.is_empty() {
            prop_assert!(written.ends_with("# The end\n"), "{}", written);
            prop_assert!(written.matches("# above\n").count() >= keeps.len(), "{}", written);
        }
        if old == new {
            prop_assert_eq!(written, text);
        }
    }

    #[test]
    fn what_is_written_is_read_back(policy in any_policy()) {
        let written = write_policy(&policy);
        let (read, _) = parse_policy(&written, "p.yaml").map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        prop_assert_eq!(&read, &policy, "{}", written);
        prop_assert_eq!(write_policy(&read), written);
    }

    /// Gateways read YAML with other libraries: libyaml stands for them.
    #[test]
    fn another_reader_of_yaml_agrees(policy in any_policy()) {
        let written = write_policy(&policy);
        let read: serde_yaml::Value = serde_yaml::from_str(&written).map_err(|error| TestCaseError::fail(format!("{error}\n{written}")))?;
        let routes = read["routes"].as_sequence().unwrap();
        prop_assert_eq!(routes.len(), policy.routes.len());
        for (read, route) in routes.iter().zip(&policy.routes) {
            prop_assert_eq!(read["name"].as_str(), Some(route.name.as_str()));
            prop_assert_eq!(read["description"].as_str(), Some(route.description.as_str()));
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-\\[\\]{}:,?&*!|>'\"%@` \\n\\ta-c0\\\\#~<.=\u{feff}é]{0,40}", json in any::<bool>()) {
        let _ = parse_policy(&text, if json { "p.json" } else { "p.yaml" });
    }
}

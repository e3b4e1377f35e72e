//! What differs between two policies, word by word: for people who want to know which change made the difference.

use similar::{ChangeTag, TextDiff};

use crate::policy::{Policy, Route};

/// A piece of a text that both have or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub change: Change,
    pub text: String,
}

/// Which of two policies has a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Both,
    Removed,
    Added,
}

/// One thing that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// For people: "description of bug_fixing".
    pub what: String,
    pub pieces: Vec<Piece>,
    /// Which of the edits it is that flips are attributed to.
    pub edit: Option<usize>,
}

/// Returns what differs from `a` to `b`, in the order of the routes of `b`, what is only in `a` last. Routes are matched by their names.
pub fn differences(a: &Policy, b: &Policy) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |what: String, a: &str, b: &str| {
        if a != b {
            found.push(Difference { what, pieces: words(a, b), edit: None });
        }
    };
    for route in &b.routes {
        match a.route(&route.name) {
            Some(before) => {
                compare(format!("description of {}", route.name), &before.description, &route.description);
                compare(format!("models of {}", route.name), &before.models.join(", "), &route.models.join(", "));
            }
            None => compare(format!("new route {}", route.name), "", shown(route)),
        }
    }
    for route in a.routes.iter().filter(|route| b.route(&route.name).is_none()) {
        compare(format!("removed route {}", route.name), shown(route), "");
    }
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    compare("fallback model".to_owned(), &text(&a.fallback), &text(&b.fallback));
    let order = |policy: &Policy, other: &Policy| -> String {
        let common = policy.routes.iter().filter(|route| other.route(&route.name).is_some());
        common.map(|route| route.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    compare("order of the routes".to_owned(), &order(a, b), &order(b, a));
    found
}

/// A route without a description still says that it is there.
fn shown(route: &Route) -> &str {
    if route.description.is_empty() { "(no description)" } else { &route.description }
}

fn words(a: &str, b: &str) -> Vec<Piece> {
    let diff = TextDiff::from_words(a, b);
    let mut pieces: Vec<Piece> = Vec::new();
    for change in diff.iter_all_changes() {
        let tag = match change.tag() {
            ChangeTag::Equal => Change::Both,
            ChangeTag::Delete => Change::Removed,
            ChangeTag::Insert => Change::Added,
        };
        match pieces.last_mut() {
            Some(last) if last.change == tag => last.text.push_str(change.value()),
            _ => pieces.push(Piece { change: tag, text: change.value().to_owned() }),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_route_and_the_words() {
        let policy = |routes: &[(&str, &str)]| Policy {
            routes: routes.iter().map(|(name, description)| Route::new(*name, *description)).collect(),
            ..Policy::default()
        };
        let a = policy(&[("a", "fix broken code"), ("b", "x")]);
        let b = policy(&[("a", "fix any code"), ("c", "y")]);
        let found = differences(&a, &b);
        assert_eq!(
            found.iter().map(|difference| difference.what.as_str()).collect::<Vec<_>>(),
            ["description of a", "new route c", "removed route b"]
        );
        let piece = |change, text: &str| Piece { change, text: text.to_owned() };
        assert_eq!(
            found[0].pieces,
            [piece(Change::Both, "fix "), piece(Change::Removed, "broken"), piece(Change::Added, "any"), piece(Change::Both, " code")]
        );
        assert!(differences(&a, &a).is_empty());
    }
}

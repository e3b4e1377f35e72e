//! The answers that the prompts ask a router to write.

use super::json::{Escapes, string};
use super::template::answers_are_lists;
use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// Returns the canonical answer for a route, or for no route: the text whose probability is a decision's probability.
///
/// The shapes are `{"route": "name"}` and `{"route": "other"}`, in list dialects `{"route": ["name"]}` and `{"route": []}`, with the name
/// spelled as by Python's `json.dumps(ensure_ascii=False)`: the spacing that every prompt shows, and letters as gateways send them.
///
/// A gateway may not read it back as the same route: see [`super::parse_answer`] for names with `'` or a line feed, and for `other`.
pub fn answer_text(dialect: DialectId, route: Option<&str>) -> String {
    match (answers_are_lists(dialect), route) {
        (false, route) => format!("{{\"route\": {}}}", string(route.unwrap_or(NO_ROUTE_LABEL), Escapes::Minimal)),
        (true, Some(name)) => format!("{{\"route\": [{}]}}", string(name, Escapes::Minimal)),
        (true, None) => "{\"route\": []}".to_owned(),
    }
}

/// Returns the answer that lists all these routes, as the prompts of list dialects invite to; `None` where answers are no lists.
pub fn all_names_text(dialect: DialectId, names: &[&str]) -> Option<String> {
    let names = || names.iter().map(|name| string(name, Escapes::Minimal)).collect::<Vec<_>>().join(", ");
    answers_are_lists(dialect).then(|| format!("{{\"route\": [{}]}}", names()))
}

/// Returns the start of an answer that settles the first name of the list, closing quote included; `None` where answers are no lists.
///
/// Gateways use the first name they know, so everything that starts like this decides for `name` however the list goes on.
pub fn first_name_prefix(dialect: DialectId, name: &str) -> Option<String> {
    answers_are_lists(dialect).then(|| format!("{{\"route\": [{}", string(name, Escapes::Minimal)))
}

//! The vendor's rules for writing routes, as far as words can tell.

use std::collections::HashMap;

use super::rules::{DISAGREE, IMPERATIVE, NO_DOMAIN_ROUTE, SHORT, SIMILAR, UNSEEN, VAGUE};
use super::words::{self, COMMANDS, content, is_english, related};
use super::{Field, Findings, named};

/// Fewer words than this cannot list sub-tasks.
const FEWEST_WORDS: usize = 4;

/// Descriptions that share this much of their words are nearly the same.
const NEARLY_THE_SAME: f64 = 0.75;

pub(super) fn check(findings: &mut Findings<'_>) {
    let names = Names::new(findings);
    for (index, route) in findings.routes() {
        if !route.description.trim().is_empty() && is_english(&route.description) {
            description(findings, index, &route.name, &route.description);
            agreement(findings, index, &names, &route.description);
        }
    }
    let policy = findings.policy;
    for (first, second) in words::alike(policy.routes.iter().map(|route| route.description.as_str()), NEARLY_THE_SAME) {
        let [first_name, second_name] = [first, second].map(|route| named(policy, route));
        let message = format!("routes {first_name} and {second_name} have nearly the same description");
        findings.route(&SIMILAR, second, Field::Description, message, None);
    }
    if only_actions(findings) {
        findings.whole(&NO_DOMAIN_ROUTE, Field::Routes, "every route stands for an action, none for a whole domain".to_owned());
    }
}

fn description(findings: &mut Findings<'_>, index: usize, name: &str, text: &str) {
    let what = format!("the description of route {}", named(findings.policy, index));
    let all = words::words(text);
    let named = words::words(name);
    // A route for general conversation may say so.
    let is_vague = |vague: &&str| all.iter().any(|word| word == vague) && !named.iter().any(|word| word == vague);
    let vague: Vec<&str> = words::VAGUE.into_iter().filter(is_vague).collect();
    if !vague.is_empty() {
        findings.route(&VAGUE, index, Field::Description, format!("{what} is vague: {}", vague.join(", ")), None);
    }
    if all.len() < FEWEST_WORDS {
        findings.route(
            &SHORT,
            index,
            Field::Description,
            format!("{what} has {} word{}", all.len(), if all.len() == 1 { "" } else { "s" }),
            None,
        );
    }
    let command = all.first().filter(|first| COMMANDS.contains(&first.as_str()) && !of_something(&all));
    let addressed = all.iter().find(|word| words::ADDRESSING.contains(&word.as_str()));
    if let Some(word) = command.or(addressed) {
        findings.route(&IMPERATIVE, index, Field::Description, format!("{what} gives an instruction ({word:?})"), None);
    }
    let lower = text.to_lowercase();
    if let Some(unseen) = words::UNSEEN.iter().find(|unseen| lower.contains(*unseen)) {
        findings.route(&UNSEEN, index, Field::Description, format!("{what} relies on something routers never see ({unseen:?})"), None);
    }
}

/// The meaningful words of every route's name.
struct Names {
    words: Vec<Vec<String>>,
    /// Whether other words stand in the name, such as `qa`: a single one that is left does not say what the route is about.
    is_cut: Vec<bool>,
    /// Routes by the start of their name's first word, so that not every name is compared with every description.
    by_start: HashMap<String, Vec<usize>>,
}

impl Names {
    fn new(findings: &Findings<'_>) -> Self {
        let words: Vec<Vec<String>> = findings.routes().map(|(_, route)| content(&route.name)).collect();
        let all = findings.routes().map(|(_, route)| words::words(&route.name).len());
        let is_cut = all.zip(&words).map(|(all, left)| left.len() < all).collect();
        let mut by_start: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, first) in words.iter().enumerate().filter_map(|(index, words)| Some((index, words.first()?))) {
            by_start.entry(start(first)).or_default().push(index);
        }
        Self { words, is_cut, by_start }
    }

    /// Returns how many words tell that a description speaks of this route: all that its name has, and no single one of several.
    fn enough(&self, route: usize) -> usize {
        let count = self.words.get(route).map_or(0, Vec::len);
        if self.is_cut.get(route) == Some(&true) { count.max(2) } else { count }
    }

    /// Returns the routes whose name's first word may be related to this one.
    fn starting_like(&self, word: &str) -> &[usize] {
        self.by_start.get(&start(word)).map_or(&[], Vec::as_slice)
    }
}

/// Related words have at least this in common.
fn start(word: &str) -> String {
    word.chars().take(3).collect()
}

/// Checks that the name and the description are about the same, as far as that can be told without knowing the words. A name that stands
/// for a list of sub-tasks shares no word with many a good description, so only two things are noticed: a description of a single clause,
/// and one that speaks of another route's name instead of its own.
fn agreement(findings: &mut Findings<'_>, index: usize, names: &Names, text: &str) {
    // Not "for" and "and", which begin like the words of many a name.
    let all = content(text);
    let says = |name: &[String]| name.iter().filter(|word| all.iter().any(|other| related(word, other))).count();
    let Some(own) = names.words.get(index).filter(|name| !name.is_empty() && says(name) == 0) else { return };
    let is_said = |other: &usize| names.words.get(*other).is_some_and(|name| name != own && says(name) >= names.enough(*other));
    let other = all.iter().flat_map(|word| names.starting_like(word)).copied().filter(is_said).min();
    let name = |route: usize| named(findings.policy, route);
    let message = match other {
        Some(other) => format!("the description of route {} speaks of {}, which is another route", name(index), name(other)),
        None if !text.contains([',', ';', ':', '/', '\n']) => {
            format!("the name {} and its description share no word", name(index))
        }
        None => return,
    };
    findings.route(&DISAGREE, index, Field::Description, message, None);
}

/// `review of`, `plan for`: the first word is a noun after all.
fn of_something(words: &[String]) -> bool {
    words.get(1).is_some_and(|second| ["of", "for", "by", "from", "between", "about", "in", "on", "with"].contains(&second.as_str()))
}

/// Returns whether all routes are actions: by their own `action`, or where no route has one, by names that start with a verb.
fn only_actions(findings: &Findings<'_>) -> bool {
    let routes = &findings.policy.routes;
    if routes.len() < 2 {
        return false;
    }
    if routes.iter().any(|route| route.action.is_some() || route.domain.is_some()) {
        return routes.iter().all(|route| route.action.is_some());
    }
    routes.iter().all(|route| {
        let first = words::words(&route.name).into_iter().next().unwrap_or_default();
        COMMANDS.contains(&first.as_str()) || MORE_VERBS.contains(&first.as_str())
    })
}

/// Verbs of route names; in descriptions these are as often nouns.
const MORE_VERBS: [&str; 12] =
    ["book", "change", "cancel", "search", "order", "track", "open", "close", "update", "delete", "schedule", "design"];

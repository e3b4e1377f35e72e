//! The vendor's rules for writing routes, as far as words can tell.

use super::rules::{DISAGREE, IMPERATIVE, NO_DOMAIN_ROUTE, SHORT, SIMILAR, UNSEEN, VAGUE};
use super::words::{self, COMMANDS, content, is_english, related, similarity};
use super::{Field, Findings, shown};

/// Fewer words than this cannot list sub-tasks.
const FEWEST_WORDS: usize = 4;

/// Descriptions that share this much of their words are nearly the same.
const NEARLY_THE_SAME: f64 = 0.75;

pub(super) fn check(findings: &mut Findings<'_>) {
    for (index, route) in findings.routes() {
        if !route.description.trim().is_empty() && is_english(&route.description) {
            description(findings, index, &route.name, &route.description);
        }
    }
    for (index, route) in findings.routes() {
        let same = findings.routes().take(index).find(|(_, other)| similarity(&route.description, &other.description) >= NEARLY_THE_SAME);
        if let Some((_, other)) = same {
            let message = format!("routes {} and {} have nearly the same description", shown(&other.name), shown(&route.name));
            findings.route(&SIMILAR, index, Field::Description, message, None);
        }
    }
    if only_actions(findings) {
        findings.whole(&NO_DOMAIN_ROUTE, Field::Routes, "every route stands for an action, none for a whole domain".to_owned());
    }
}

fn description(findings: &mut Findings<'_>, index: usize, name: &str, text: &str) {
    let what = format!("the description of route {}", shown(name));
    let all = words::words(text);
    let name_words = content(name);
    if !name_words.is_empty() && !name_words.iter().any(|word| all.iter().any(|other| related(word, other))) {
        let message = format!("the name {} and its description share no word", shown(name));
        findings.route(&DISAGREE, index, Field::Description, message, None);
    }
    let vague: Vec<&str> = words::VAGUE.into_iter().filter(|vague| all.iter().any(|word| word == vague)).collect();
    if !vague.is_empty() {
        findings.route(&VAGUE, index, Field::Description, format!("{what} is vague: {}", vague.join(", ")), None);
    }
    if all.len() < FEWEST_WORDS {
        findings.route(&SHORT, index, Field::Description, format!("{what} has {} words", all.len()), None);
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

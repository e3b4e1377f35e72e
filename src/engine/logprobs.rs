//! What log-probabilities of a written answer say about the other answers.
//!
//! A server gives, for each token it wrote, the most probable tokens in its place. Where one of them starts an answer that names one route
//! and no other, its probability is that route's, up to the router stumbling over the rest of the name. Nothing else can be known from
//! outside: routes that never came up among those tokens are left out, not guessed.

use serde::Deserialize;

use crate::decision::RouteProbability;
use crate::dialect::{answer_text, first_name_prefix};
use crate::policy::{DialectId, NO_ROUTE_LABEL};

/// One token of the answer, as OpenAI's format has it.
#[derive(Clone, Debug, Deserialize)]
pub struct WrittenToken {
    pub token: String,
    pub logprob: f64,
    #[serde(default)]
    pub top_logprobs: Vec<Alternative>,
}

/// A token that could have stood there.
#[derive(Clone, Debug, Deserialize)]
pub struct Alternative {
    pub token: String,
    pub logprob: f64,
}

/// Returns the routes whose probability is known, most probable first; `names` are the routes of the prompt.
pub fn probabilities(dialect: DialectId, names: &[&str], written: &[WrittenToken]) -> Vec<RouteProbability> {
    let text: String = written.iter().map(|token| token.token.as_str()).collect();
    let answers = answers(dialect, names, &text);
    // A route named `other` is the same answer as no route where answers are objects, and appears once.
    let mut found: Vec<(usize, f64)> = Vec::new();
    let mut add = |so_far: &str, p: f64| {
        let mut fitting =
            answers.iter().enumerate().filter(|(_, answer)| answer.starts_with(so_far) || so_far.starts_with(answer.as_str()));
        if let (Some((answer, _)), None) = (fitting.next(), fitting.next()) {
            match found.iter_mut().find(|(known, _)| *known == answer) {
                Some((_, sum)) => *sum += p,
                None => found.push((answer, p)),
            }
        }
    };
    let (mut so_far, mut logprob) = (String::new(), 0.0);
    for WrittenToken { token, logprob: own, top_logprobs } in written {
        for alternative in top_logprobs.iter().filter(|alternative| alternative.token != *token && !alternative.token.is_empty()) {
            add(&format!("{so_far}{}", alternative.token), (logprob + alternative.logprob).exp());
        }
        so_far += token;
        logprob += own;
        if answers.iter().any(|answer| so_far.starts_with(answer.as_str())) {
            add(&so_far, logprob.exp());
            break;
        }
    }
    let mut known: Vec<RouteProbability> = found
        .into_iter()
        .filter(|(_, p)| p.is_finite())
        .map(|(answer, p)| RouteProbability::new(names.get(answer).copied(), p.min(1.0)))
        .collect();
    known.sort_by(|a, b| b.p.total_cmp(&a.p));
    known
}

/// Returns, for each route and at the end for no route, the text that settles it, spelled as this answer is.
fn answers(dialect: DialectId, names: &[&str], text: &str) -> Vec<String> {
    let fence = &text[..text.find('{').unwrap_or(0)];
    let compact = text.contains("\"route\":") && !text.contains("\"route\": ");
    let spelled = |answer: String| {
        let answer = if compact { answer.replacen("\"route\": ", "\"route\":", 1) } else { answer };
        format!("{fence}{answer}")
    };
    let is_twice = |name: &str| first_name_prefix(dialect, name).is_none() && name == NO_ROUTE_LABEL;
    let routes = names.iter().map(|name| {
        // Never begun by anything: the answer of no route stands for it.
        if is_twice(name) {
            "\0".to_owned()
        } else {
            spelled(first_name_prefix(dialect, name).unwrap_or_else(|| answer_text(dialect, Some(name))))
        }
    });
    routes.chain([spelled(answer_text(dialect, None))]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: &str, p: f64, others: &[(&str, f64)]) -> WrittenToken {
        let others = others.iter().map(|(token, p)| Alternative { token: (*token).to_owned(), logprob: p.ln() });
        WrittenToken { token: token.to_owned(), logprob: p.ln(), top_logprobs: others.collect() }
    }

    fn known(dialect: DialectId, names: &[&str], written: &[WrittenToken]) -> Vec<(String, f64)> {
        let rounded = |p: f64| (p * 1e6).round() / 1e6;
        probabilities(dialect, names, written).into_iter().map(|route| (route.route, rounded(route.p))).collect()
    }

    #[test]
    fn what_singles_out_a_route_is_its_probability_and_the_rest_is_not_guessed() {
        let written = [
            token("{\"route\": \"", 1.0, &[]),
            // `bill` is common to two routes, so its mass belongs to neither.
            token("code", 0.6, &[("code", 0.6), ("bill", 0.2), ("other", 0.1), ("xyz", 0.05)]),
            token("_review", 0.5, &[("_review", 0.5), ("_fix", 0.4), ("\"}", 0.1)]),
            token("\"}", 0.9, &[]),
            token("<|im_end|>", 0.5, &[]),
        ];
        let names = ["code_review", "code_fix", "billing", "bill_dispute", "never"];
        assert_eq!(
            known(DialectId::Archgw031, &names, &written),
            [("code_review".to_owned(), 0.27), ("code_fix".to_owned(), 0.24), ("other".to_owned(), 0.1)]
        );
    }

    #[test]
    fn in_lists_the_first_name_counts_however_the_list_goes_on_and_the_spelling_may_be_compact() {
        let written = [
            token("{\"route\":", 1.0, &[]),
            token("[\"", 0.8, &[("[]", 0.2)]),
            token("a\"", 0.5, &[("b", 0.4)]),
            token(", \"b\"]}", 0.1, &[]),
        ];
        assert_eq!(
            known(DialectId::Plano0420, &["a", "b"], &written),
            [("a".to_owned(), 0.4), ("b".to_owned(), 0.32), ("other".to_owned(), 0.2)]
        );
    }

    #[test]
    fn text_that_is_no_answer_gives_nothing() {
        assert!(known(DialectId::Archgw031, &["a"], &[token("I ", 0.9, &[]), token("think", 0.9, &[])]).is_empty());
        assert!(known(DialectId::Archgw031, &["a"], &[]).is_empty());
    }
}

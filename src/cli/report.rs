//! Results as text for people and as JSON.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use super::Failure;
use crate::decision::{Decision, Outcome, RouteProbability, other_orders};
use crate::dialect::no_route_note;
use crate::policy::{Policy, Route};

/// Prints a value as indented JSON.
///
/// # Errors
/// Fails when standard output cannot be written to.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(|error| Failure::Input(error.to_string()))?;
    print(&format!("{json}\n"))
}

/// Prints text; who closes the pipe, as `head` does, has read enough.
///
/// # Errors
/// Fails when standard output cannot be written to.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Input(format!("cannot write to standard output: {error}"))),
        _ => Ok(()),
    }
}

/// Tells something on standard error, a line; nobody may be listening there, which is no reason to fail.
pub fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Asks on standard error; the answer follows on the same line.
pub fn ask(question: &str) {
    write!(std::io::stderr(), "{question}").ok();
}

/// Returns a decision for people: the choice, every probability, the order test and the timings. `policy` is the one that was decided with.
pub fn decision_text(decision: &Decision, policy: &Policy) -> String {
    let mut text = match decision.outcome {
        Outcome::Route => shown(decision.route.as_deref().unwrap_or_default()),
        Outcome::NoRoute => "no route".to_owned(),
        Outcome::Error => "error".to_owned(),
    };
    let choice = decision.route.as_deref().and_then(|route| policy.route(route)).and_then(Route::choice);
    match (&decision.model, decision.outcome) {
        (Some(model), Outcome::NoRoute) => text += &format!(" (fallback {})", shown(model)),
        (Some(model), _) => text += &format!(" (model {})", shown(model)),
        (None, _) => text += &choice.map_or_else(String::new, |choice| format!(", served by {}", shown(&choice))),
    }
    text.push('\n');
    if let Some(note) = no_route_note(decision.dialect).filter(|_| decision.outcome == Outcome::NoRoute) {
        text += &format!("  {note}\n");
    }
    if let Some(error) = &decision.error {
        text += &format!("  {error}\n");
        // A running gateway's own words are in the error already, and its router's are known to nobody.
        if decision.router.live_gateway().is_none() {
            text += &format!("  the router wrote {:?}\n", decision.answer);
        }
    }
    text.push('\n');
    let names: Vec<String> = decision.probabilities.iter().map(answer_name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(7);
    for (route, name) in decision.probabilities.iter().zip(&names) {
        // A terminal's twin of the window's bars, 40 characters for certainty.
        let bar = "#".repeat((route.p * 40.0).round() as usize);
        text += format!("  {name:width$}  {:6.2} %  {bar}", route.p * 100.0).trim_end();
        text.push('\n');
    }
    let Decision { tokens, latency_ms, router, .. } = decision;
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        writeln!(text, "  {name:width$}  {value}").ok();
    };
    let (rest, of_what) = if router.tells_all() {
        ("invalid", "text that is no valid answer")
    } else {
        ("unknown", "what the server did not report, routes or not")
    };
    if !decision.probabilities.is_empty() {
        line(rest, format!("{:6.2} %  ({of_what})", decision.invalid_mass * 100.0));
        line("margin", format!("{:6.2} %", decision.margin * 100.0));
    }
    if let Some(order) = &decision.order_stability {
        let words = match order.orders {
            0 => "not tested, the routes have no other order".to_owned(),
            orders => format!("the decision changes under {} of {}", order.changed, other_orders(orders)),
        };
        line("orders", words);
    }
    let parts = format!(
        "{:.1} ms (render {:.1}, tokenise {:.1}, forward {:.1}, decode {:.1})",
        latency_ms.total, latency_ms.render, latency_ms.tokenize, latency_ms.forward, latency_ms.decode
    );
    line("time", parts);
    // Gateways count none, and not every server does.
    if tokens.prompt > 0 {
        line("tokens", format!("{} in the prompt, {} from the cache, {} computed", tokens.prompt, tokens.cached, tokens.computed));
    }
    match router.live_gateway() {
        Some(url) => line("gateway", format!("{url}, with its own prompt")),
        None => {
            let dialect = decision.dialect.map_or_else(String::new, |dialect| format!(", dialect {dialect}"));
            line("router", format!("{}{}{dialect}", router.id, router.place()));
        }
    }
    if let Some(temperature) = router.temperature {
        line("answers", format!("probabilities at temperature {temperature}, from router.json"));
    }
    text
}

/// Returns what an answer is called in the table.
fn answer_name(entry: &RouteProbability) -> String {
    if entry.no_route { "no route".to_owned() } else { shown(&entry.route) }
}

/// Returns a text of a policy on one line, without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut shown, c| {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Latency, RouterInfo, TokenCounts};
    use crate::policy::DialectId;

    fn failed() -> Decision {
        Decision {
            outcome: Outcome::Error,
            route: None,
            model: None,
            one_of: Vec::new(),
            answer: "Failed to determine route".to_owned(),
            error: Some("the gateway answered HTTP 500: Failed to determine route".to_owned()),
            greedy_proved: false,
            probabilities: Vec::new(),
            margin: 0.0,
            invalid_mass: 0.0,
            tokens: TokenCounts::default(),
            latency_ms: Latency { forward: 7.0, total: 7.0, ..Latency::default() },
            dialect: None,
            router: RouterInfo {
                id: "plano+http://g".to_owned(),
                device: "gateway".to_owned(),
                dtype: "unknown".to_owned(),
                temperature: None,
            },
            order_stability: None,
        }
    }

    #[test]
    fn what_plano_does_with_no_route_is_told_but_of_a_prompt_that_no_gateway_sends() {
        let text = |dialect: Option<DialectId>| {
            decision_text(&Decision { outcome: Outcome::NoRoute, error: None, dialect, ..failed() }, &Policy::default())
        };
        let note = "with the model that the request names";
        assert!(text(Some(DialectId::Archgw031)).contains(note) && text(None).contains(note));
        assert!(!text(Some(DialectId::ModelCard)).contains(note));
    }

    #[test]
    fn a_running_gateway_is_quoted_once_and_no_router_is_made_up() {
        let text = decision_text(&failed(), &Policy::default());
        assert!(text.contains("  gateway  http://g, with its own prompt\n"), "{text}");
        assert_eq!(text.matches("Failed to determine route").count(), 1, "{text}");
        assert!(!text.contains("tokens") && !text.contains("dialect"), "{text}");
    }

    #[test]
    fn what_plano_decides_itself_is_not_claimed() {
        let models = ["m/dear", "m/cheap"].map(str::to_owned).to_vec();
        let extra = vec![("selection_policy".to_owned(), r#"{"prefer":"cheapest"}"#.to_owned())];
        let policy = Policy { routes: vec![Route { models, extra, ..Route::new("pay", "") }], ..Policy::default() };
        let decided = Decision { outcome: Outcome::Route, route: Some("pay".to_owned()), error: None, ..failed() };
        let text = decision_text(&decided, &policy);
        assert!(text.starts_with("pay, served by one of m/dear, m/cheap (Plano picks the cheapest)\n"), "{text}");
        let none = Decision { outcome: Outcome::NoRoute, model: Some("m/dear".to_owned()), error: None, ..failed() };
        let text = decision_text(&none, &policy);
        assert!(text.starts_with("no route (fallback m/dear)\n  Plano serves what fits no route with the model that"), "{text}");
    }

    #[test]
    fn names_stay_on_their_line() {
        let name = |route| answer_name(&RouteProbability::new(route, 0.5));
        assert_eq!(name(Some("a\nb\u{1b}[31m\u{e9}")), "a\\nb\\u{1b}[31m\u{e9}");
        assert_eq!([name(Some("other")), name(None)], ["other", "no route"]);
    }
}

//! Results as text for people and as JSON.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use super::Failure;
use crate::decision::{Decision, Outcome};
use crate::policy::NO_ROUTE_LABEL;

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

/// Returns a decision for people: the choice, every probability, the order test and the timings.
pub fn decision_text(decision: &Decision) -> String {
    let mut text = match decision.outcome {
        Outcome::Route => shown(decision.route.as_deref().unwrap_or_default()),
        Outcome::NoRoute => "no route".to_owned(),
        Outcome::Error => "error".to_owned(),
    };
    if let Some(model) = &decision.model {
        text += &format!(" (model {})", shown(model));
    }
    text.push('\n');
    if let Some(error) = &decision.error {
        text += &format!("  {error}\n");
        // A running gateway's own words are in the error already, and its router's are known to nobody.
        if decision.router.live_gateway().is_none() {
            text += &format!("  the router wrote {:?}\n", decision.answer);
        }
    }
    text.push('\n');
    let no_routes = decision.probabilities.iter().filter(|route| route.route == NO_ROUTE_LABEL).count();
    let names: Vec<String> = decision.probabilities.iter().map(|route| answer_name(&route.route, no_routes)).collect();
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
        line("orders", format!("{} of {} other orders decide differently", order.changed, order.orders));
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
            line("router", format!("{} on {} in {}{dialect}", router.id, router.device, router.dtype));
        }
    }
    if let Some(temperature) = router.temperature {
        line("answers", format!("probabilities at temperature {temperature}, from router.json"));
    }
    text
}

/// Returns what an answer is called in the table, where so many are labelled `other`: in list dialects a route may have that name too.
fn answer_name(route: &str, no_routes: usize) -> String {
    match route {
        NO_ROUTE_LABEL if no_routes == 1 => "no route".to_owned(),
        NO_ROUTE_LABEL => "other or no route".to_owned(),
        route => shown(route),
    }
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

    #[test]
    fn a_running_gateway_is_quoted_once_and_no_router_is_made_up() {
        let decision = Decision {
            outcome: Outcome::Error,
            route: None,
            model: None,
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
        };
        let text = decision_text(&decision);
        assert!(text.contains("  gateway  http://g, with its own prompt\n"), "{text}");
        assert_eq!(text.matches("Failed to determine route").count(), 1, "{text}");
        assert!(!text.contains("tokens") && !text.contains("dialect"), "{text}");
    }

    #[test]
    fn names_stay_on_their_line() {
        assert_eq!(answer_name("a\nb\u{1b}[31m\u{e9}", 1), "a\\nb\\u{1b}[31m\u{e9}");
        assert_eq!([1, 2].map(|count| answer_name("other", count)), ["no route", "other or no route"]);
    }
}

//! A run as text for people and as Markdown for reviews.

use std::fmt::Write as _;

use crate::decision::other_orders;
use crate::eval::{Figures, FirstFailure, RecallGate, RouteFigures, Run, Slice, SpanLength, figures, overlap};

/// Returns the figures of a run for a terminal.
pub fn report_text(figures: &Figures) -> String {
    let mut text = headline(figures) + "\n\n";
    let width = figures.per_route.iter().map(|route| route.route.chars().count()).max().unwrap_or(0).max(5);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "  {:width$}  cases  precision  recall     F1", "route");
    for RouteFigures { route, support, precision, recall, f1 } in &figures.per_route {
        let _ = writeln!(text, "  {route:width$}  {support:5}  {precision:9.3}  {recall:6.3}  {f1:5.3}");
    }
    text.push('\n');
    if let Some(budget) = figures.budget {
        let _ = writeln!(text, "budget: {budget} estimated tokens for a prompt");
    }
    for line in facts(figures) {
        let _ = writeln!(text, "{line}");
    }
    text
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn headline(figures: &Figures) -> String {
    let [low, high] = figures.agreement_ci95;
    let asked = figures.cases + figures.undecided;
    let stopped = if asked < figures.planned { format!("STOPPED after {asked} of {}: ", figures.planned) } else { String::new() };
    let undecided = if figures.undecided > 0 { format!(", NOT DECIDED {}", figures.undecided) } else { String::new() };
    format!(
        "{stopped}agreement {} of {} cases (95 % interval {} to {}), macro F1 {:.3}, errors {}{undecided}",
        percent(figures.agreement),
        figures.cases,
        percent(low),
        percent(high),
        figures.macro_f1,
        figures.errors
    )
}

/// What else there is to say, one sentence a line.
fn facts(figures: &Figures) -> Vec<String> {
    let mut facts = Vec::new();
    if let (Some(span), Some(conversation)) = (figures.span_accuracy, figures.conversation_accuracy) {
        let (span, conversation) = (percent(span), percent(conversation));
        facts.push(if figures.is_mixed {
            // The agreement of all cases beside figures of some of them would look like one of theirs.
            format!("span {span}, conversation {conversation}, of the conversations with a label for each user message")
        } else {
            format!("turn {}, span {span}, conversation {conversation}", percent(figures.turn_accuracy))
        });
    }
    match figures.incomplete_conversations {
        0 => {}
        1 => facts.push("1 conversation was not decided whole and is left out of spans and conversations".to_owned()),
        count => facts.push(format!("{count} conversations were not decided whole and are left out of spans and conversations")),
    }
    if let Some(scenarios) = &figures.scenarios {
        let shares = [("fQfA", scenarios.fqfa), ("fQcA", scenarios.fqca), ("irrelevance", scenarios.irrelevance)];
        let shares = shares
            .into_iter()
            .filter_map(|(name, share)| share.map(|share| format!("{name} {} of {}", percent(share.accuracy), share.cases)));
        facts.push(shares.collect::<Vec<_>>().join(", "));
    }
    let left_out = "left out of the figures for scenarios and models";
    match figures.own_routes {
        0 => {}
        1 => facts.push(format!("1 case chose between routes of its own and is {left_out}")),
        count => facts.push(format!("{count} cases chose between routes of their own and are {left_out}")),
    }
    if figures.no_route.support > 0 {
        facts.push(format!("no route: precision {:.3}, recall {:.3}", figures.no_route.precision, figures.no_route.recall));
    }
    if figures.left_out.count > 0 {
        facts.push(format!("{} lines of the set are left out, since they cannot be read", figures.left_out.count));
    }
    if let Some(gate) = &figures.gate {
        let word = match (gate.passed, gate.open) {
            (true, _) => "passed",
            (_, true) => "NOT JUDGED, it depends on undecided cases",
            _ => "FAILED",
        };
        // A share may be rounded to what is required.
        let (right, cases) = (gate.right, gate.cases);
        let required = percent(gate.min_agreement);
        facts.push(format!("gate: {word} ({right} of {cases} agree), at least {required} required{}", figures.gated_words()));
    }
    if let Some(gate @ RecallGate { min_recall, below, open, .. }) = &figures.recall_gate {
        let asked = format!("a recall of at least {} required of each route{}", percent(*min_recall), figures.gated_words());
        facts.push(match (below.is_empty(), open.is_empty()) {
            (false, _) => format!("gate: FAILED, {asked}, missed by {}", gate.below_words()),
            (_, false) => format!("gate: NOT JUDGED, {asked}; it depends on undecided cases of {}", open.join(", ")),
            _ => format!("gate: passed, {asked}"),
        });
    }
    if figures.undecided > 0 {
        let (undecided, planned) = (figures.undecided, figures.planned);
        facts.push(format!("not decided: {undecided} of {planned} cases, left out of every other figure; measure again to ask for them"));
    }
    for kind in figures.undecided_kinds.iter().take(3) {
        facts.push(format!("not decided, {} times: {}", kind.count, kind.error));
    }
    for kind in figures.error_kinds.iter().take(3) {
        facts.push(format!("error, {} times: {}", kind.count, kind.error));
    }
    facts.push(match &figures.order_stability {
        Some(order) if order.orders == 0 => "order: not tested, the routes have no other order".to_owned(),
        Some(order) => {
            let (changed, orders) = (order.changed_cases, other_orders(order.orders));
            format!("order: {changed} of {} cases change under {orders} of the routes", figures.cases)
        }
        None => "order: not tested; gateways list routes in an order nobody controls (--orders N tries others)".to_owned(),
    });
    if let Some(models) = &figures.models {
        facts.push(match models.distinct {
            0 | 1 => "models: all routes lead to one model, so routing changes nothing".to_owned(),
            distinct => {
                let least = if models.unknown > 0 { "at least " } else { "" };
                format!("models: {distinct} different ones, the expected one reached in {least}{}", percent(models.agreement))
            }
        });
        if models.unknown > 0 {
            facts.push(format!(
                "models: in {} of {} cases the expected one depends on what only the gateway knows (selection_policy, no route)",
                models.unknown,
                figures.cases - figures.own_routes
            ));
        }
    }
    if let Some(ece) = figures.calibration.ece {
        let left_out = match figures.without_confidence {
            0 => String::new(),
            count => format!("; left out, since the probability is not known: {count} of {} decisions", figures.cases - figures.errors),
        };
        facts.push(format!("calibration error {ece:.3}{left_out}"));
    }
    let reused = match figures.reused {
        0 => String::new(),
        reused if reused == figures.cases => format!("all {reused} results kept from earlier runs, made at "),
        reused => format!("{reused} results kept from earlier runs, the others made at "),
    };
    // Gateways count no tokens, and not every server does.
    let cached = match figures.tokens.prompt {
        0 => String::new(),
        _ => format!(", {} of prompt tokens from the cache", percent(figures.cache_hit_rate)),
    };
    facts.push(format!(
        "{reused}{:.1} decisions a second, p50 {:.0} ms, p95 {:.0} ms{cached}",
        figures.decisions_per_second, figures.latency_ms.p50, figures.latency_ms.p95
    ));
    facts
}

/// Returns `report.md`.
pub fn report_markdown(run: &Run) -> String {
    let figures = figures(run);
    let info = &run.info;
    let mut text = format!("# {}\n\n{}\n\n", cell(&info.name), cell(&headline(&figures)));
    let temperature =
        info.router.temperature.map(|temperature| format!(", probabilities at temperature {temperature}")).unwrap_or_default();
    let rows = [
        ("policy", format!("{}, sha256 {}", info.policy.path, info.policy.sha256)),
        ("set", format!("{}, sha256 {}", info.set.path, info.set.sha256)),
        ("router", format!("{}{}{temperature}", info.router.id, info.router.place())),
        ("router sha256", info.router_digest.clone().unwrap_or_else(|| "unknown, it runs elsewhere".to_owned())),
        ("dialect", info.router.dialect_words(info.dialect).to_owned()),
        ("date", info.date.clone()),
        ("waypost", info.waypost.clone()),
    ];
    text += "| | |\n|---|---|\n";
    let budget = info.budget.map(|budget| ("budget", format!("{budget} estimated tokens")));
    for (name, value) in rows.into_iter().chain(budget) {
        let _ = writeln!(text, "| {name} | {} |", cell(&value));
    }
    text.push('\n');
    for fact in facts(&figures) {
        let _ = writeln!(text, "- {}", cell(&fact));
    }
    text += "\n## Routes\n\n| route | cases | precision | recall | F1 |\n|---|---:|---:|---:|---:|\n";
    for RouteFigures { route, support, precision, recall, f1 } in &figures.per_route {
        let _ = writeln!(text, "| {} | {support} | {precision:.3} | {recall:.3} | {f1:.3} |", cell(route));
    }
    text += &slices(&figures);
    text += &confusions(&figures);
    let pairs = overlap(run, 0);
    if !pairs.is_empty() {
        text += "\n## Overlap\n\nHow much the second route gets where these two are the most probable ones.\n\n| routes | mass | share | confused |\n|---|---:|---:|---:|\n";
        for pair in pairs.iter().take(10) {
            let [a, b] = &pair.routes;
            let _ = writeln!(
                text,
                "| {} and {} | {:.2} | {} | {} |",
                cell(a),
                cell(b),
                pair.mass,
                percent(pair.share),
                pair.confused[0] + pair.confused[1]
            );
        }
    }
    if !figures.review.is_empty() {
        text += "\n## Review threshold\n\n| decisions of at least | taken as they are | of these right |\n|---:|---:|---:|\n";
    }
    for point in figures.review.iter().filter(|point| point.coverage > 0.0) {
        let _ =
            writeln!(text, "| {:.2} | {} | {} |", point.threshold, percent(point.coverage), point.accuracy.map_or("-".to_owned(), percent));
    }
    if !figures.left_out.reasons.is_empty() {
        text += "\n## Left out\n\n";
        for reason in &figures.left_out.reasons {
            let _ = writeln!(text, "- {}", cell(reason));
        }
    }
    text
}

/// The agreement in parts of the set, and what the paper looks at in spans.
fn slices(figures: &Figures) -> String {
    let mut text = String::new();
    let mut table = |heading: &str, first: &str, rows: Vec<(String, &Slice)>| {
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n## {heading}\n\n| {first} | cases | agreement | 95 % interval |\n|---|---:|---:|---:|");
        for (name, Slice { cases, agreement, agreement_ci95: [low, high] }) in rows {
            let _ = writeln!(text, "| {} | {cases} | {} | {} to {} |", cell(&name), percent(*agreement), percent(*low), percent(*high));
        }
    };
    table("Tags", "tag", figures.per_tag.iter().map(|figures| (figures.tag.clone(), &figures.slice)).collect());
    table("User turns", "turn", figures.per_turn_number.iter().map(|figures| (figures.turn.to_string(), &figures.slice)).collect());
    if let Some(spans) = &figures.spans {
        text += "\n## Spans\n\n| turns in the span | spans | all right |\n|---:|---:|---:|\n";
        for SpanLength { length, spans, accuracy } in &spans.by_length {
            let _ = writeln!(text, "| {length} | {spans} | {} |", percent(*accuracy));
        }
        text += "\n| turn of the span | right up to it | first wrong here |\n|---:|---:|---:|\n";
        for FirstFailure { position, reached, failed } in &spans.first_failure {
            let _ = writeln!(text, "| {position} | {reached} | {failed} |");
        }
    }
    text
}

fn confusions(figures: &Figures) -> String {
    let confusion = &figures.confusion;
    let mut wrong: Vec<(usize, usize, usize)> = Vec::new();
    for (label, row) in confusion.counts.iter().enumerate() {
        wrong.extend(
            row.iter()
                .enumerate()
                .filter(|(decided, count)| *decided != label && **count > 0)
                .map(|(decided, &count)| (count, label, decided)),
        );
    }
    // They are in no column and come after the last one.
    let errors = figures.errors_by_label().into_iter().enumerate().filter(|(_, errors)| *errors > 0);
    wrong.extend(errors.map(|(label, errors)| (errors, label, confusion.labels.len())));
    if wrong.is_empty() {
        return String::new();
    }
    wrong.sort_by_key(|&(count, label, decided)| (std::cmp::Reverse(count), label, decided));
    let mut text = "\n## Confusions\n\n| label | decided as | cases |\n|---|---|---:|\n".to_owned();
    for (count, label, decided) in wrong.into_iter().take(20) {
        let decided = confusion.labels.get(decided).map_or("error", String::as_str);
        let _ = writeln!(text, "| {} | {} | {count} |", cell(&confusion.labels[label]), cell(decided));
    }
    text
}

/// Keeps a text inside one cell and free of Markdown's own signs.
pub(super) fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '<' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

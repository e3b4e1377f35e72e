//! A run as JUnit XML for CI services.

use std::fmt::Write as _;

use crate::eval::{Run, figures};

use super::run_report::percent;

/// What became of a gate.
enum Verdict {
    Passed,
    /// It depends on the turns that were not decided or not reached.
    Open,
    /// Why.
    Failed(String),
}

/// Returns what was demanded of a run and what became of it.
fn gates(run: &Run) -> Vec<(String, Verdict)> {
    let mut gates = Vec::new();
    if run.info.min_agreement.is_none() && run.info.min_recall.is_none() {
        return gates;
    }
    let figures = figures(run);
    if let Some(gate) = figures.gate {
        let verdict = match (gate.passed, gate.open) {
            (true, _) => Verdict::Passed,
            (_, true) => Verdict::Open,
            _ => Verdict::Failed(format!("{} of {} cases agree", gate.right, gate.cases)),
        };
        gates.push((format!("agreement of at least {}", percent(gate.min_agreement)), verdict));
    }
    if let Some(gate) = &figures.recall_gate {
        let verdict = match (gate.below.is_empty(), gate.open.is_empty()) {
            (false, _) => Verdict::Failed(format!("the recall is less for {}", gate.below_words())),
            (_, false) => Verdict::Open,
            _ => Verdict::Passed,
        };
        gates.push((format!("recall of at least {} of each route", percent(gate.min_recall)), verdict));
    }
    gates
}

/// Returns `junit.xml`: a test case for each turn, in classes by label, so that CI services show what failed; and one of the class `gate` for
/// each gate that was demanded. What was not decided is skipped, and so is a gate that is open for want of it; one skipped test case stands for
/// all that a stopped run did not reach.
pub fn junit_xml(run: &Run) -> String {
    let gates = gates(run);
    let gates_that = |are: fn(&Verdict) -> bool| gates.iter().filter(|(_, verdict)| are(verdict)).count();
    let errors = run.turns.iter().filter(|turn| turn.is_error()).count();
    let failures = run.turns.iter().filter(|turn| turn.is_wrong() && !turn.is_error()).count();
    let failures = failures + gates_that(|verdict| matches!(verdict, Verdict::Failed(_)));
    let unreached = run.unreached();
    let rest = usize::from(unreached > 0);
    let skipped = rest + run.undecided() + gates_that(|verdict| matches!(verdict, Verdict::Open));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let counts = format!(
        "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\"",
        run.turns.len() + rest + gates.len(),
        run.info.seconds
    );
    let name = escaped(&run.info.name);
    let _ = writeln!(
        xml,
        "<testsuites {counts}>\n  <testsuite name=\"{name}\" {counts} timestamp=\"{}\">",
        escaped(run.info.date.trim_end_matches('Z'))
    );
    for turn in &run.turns {
        let position = if run.is_per_turn(turn.conversation) { format!(" turn {}", turn.turn + 1) } else { String::new() };
        let _ = write!(
            xml,
            "    <testcase name=\"{}{position}\" classname=\"{}\" time=\"{:.4}\"",
            escaped(&turn.id),
            escaped(&turn.label),
            turn.latency_ms / 1000.0
        );
        let said = if turn.preview.is_empty() { String::new() } else { format!(": {}", turn.preview) };
        let place = format!("{}:{}{said}", run.info.set.path, turn.line);
        let reason = || escaped(turn.error.as_deref().unwrap_or("no decision"));
        if turn.undecided {
            let _ = writeln!(xml, ">\n      <skipped message=\"not decided: {}\"/>\n    </testcase>", reason());
        } else if turn.is_error() {
            let _ = writeln!(xml, ">\n      <error message=\"{}\">{}</error>\n    </testcase>", reason(), escaped(&place));
        } else if turn.agrees() {
            xml += "/>\n";
        } else {
            let decided = turn.decided.as_deref().unwrap_or_default();
            let sure = turn.sure().map(|sure| format!(" with {sure:.3}")).unwrap_or_default();
            let message = escaped(&format!("expected {}, decided {decided}{sure}", turn.label));
            let _ = writeln!(xml, ">\n      <failure message=\"{message}\">{}</failure>\n    </testcase>", escaped(&place));
        }
    }
    for (name, verdict) in &gates {
        let _ = write!(xml, "    <testcase name=\"{}\" classname=\"gate\" time=\"0\"", escaped(name));
        match verdict {
            Verdict::Passed => xml += "/>\n",
            Verdict::Open => xml += "><skipped/></testcase>\n",
            Verdict::Failed(reason) => {
                let (message, place) = (escaped(reason), escaped(&run.info.set.path));
                let _ = writeln!(xml, ">\n      <failure message=\"{message}\">{place}</failure>\n    </testcase>");
            }
        }
    }
    if unreached > 0 {
        let _ = writeln!(xml, "    <testcase name=\"{unreached} cases that were not reached\" classname=\"stopped\"><skipped/></testcase>");
    }
    xml += "  </testsuite>\n</testsuites>\n";
    xml
}

/// Escapes for XML 1.0, which cannot say most control characters at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            '\t' => out += "&#9;",
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

//! Two or more runs beside each other: as text, as Markdown, as JSON, and as a matrix of cases by variants.

use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;

use crate::decision::other_orders;
use crate::eval::{Cause, Causes, Comparison, Figures, Flip, FlipKind, McNemar, Run, RunInfo, Side, TurnResult, case_rows, figures};
use crate::policy::{PolicyChange, policy_changes};

use super::policy_diff::{DiffKind, policy_diff};
use super::run_report::cell;

/// Runs, the first of which is the baseline, and how each of the others compares with it.
#[derive(Clone, Copy)]
pub struct CompareReport<'a> {
    /// What the report calls each run: A, B.
    pub names: &'a [String],
    pub runs: &'a [Run],
    /// One for each run after the first.
    pub comparisons: &'a [Compared],
}

/// A run beside the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Position of the run.
    pub at: usize,
    pub comparison: Comparison,
}

#[derive(Serialize)]
struct Json<'a> {
    a: &'a Figures,
    b: &'a Figures,
    #[serde(flatten)]
    comparison: &'a Comparison,
    /// The edits of what a router sees, from the first policy to the second.
    changes: Vec<String>,
    policy_diff: Vec<String>,
    /// Further variants, each beside the first one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    others: Vec<Other<'a>>,
}

#[derive(Serialize)]
struct Other<'a> {
    name: &'a str,
    figures: &'a Figures,
    #[serde(flatten)]
    comparison: &'a Comparison,
    changes: Vec<String>,
    policy_diff: Vec<String>,
}

impl CompareReport<'_> {
    /// Returns the contract of `waypost compare --json`: both runs' figures, the comparison, and further variants under `others`.
    pub fn to_json(&self) -> String {
        let figures: Vec<Figures> = self.runs.iter().map(figures).collect();
        let [first, others @ ..] = self.comparisons else { return "{}\n".to_owned() };
        let other = |compared: &'_ Compared| (self.changes(compared.at), self.diff(compared.at));
        let (changes, policy_diff) = other(first);
        let others = others
            .iter()
            .map(|compared| {
                let (changes, policy_diff) = other(compared);
                let (name, figures) = (&*self.names[compared.at], &figures[compared.at]);
                Other { name, figures, comparison: &compared.comparison, changes, policy_diff }
            })
            .collect();
        let json = Json { a: &figures[0], b: &figures[first.at], comparison: &first.comparison, changes, policy_diff, others };
        // Only keys that are no text could fail.
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }

    fn changes(&self, at: usize) -> Vec<String> {
        policy_changes(&self.runs[0].policy, &self.runs[at].policy).iter().map(ToString::to_string).collect()
    }

    fn diff(&self, at: usize) -> Vec<String> {
        let line = |line: super::DiffLine| {
            let sign = match line.kind {
                DiffKind::Both => ' ',
                DiffKind::Removed => '-',
                DiffKind::Added => '+',
            };
            format!("{sign}{}", line.text)
        };
        policy_diff(&self.runs[0].policy, &self.runs[at].policy, 2).into_iter().map(line).collect()
    }

    /// Returns the comparison for a terminal.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail, here and below.
        for (name, run) in self.names.iter().zip(self.runs) {
            let figures = figures(run);
            let [low, high] = figures.agreement_ci95.map(|share| share * 100.0);
            let _ = writeln!(
                text,
                "{name}  {}  agreement {:.1} % of {} cases ({low:.1} to {high:.1} %), macro F1 {:.3}, errors {}",
                describe(run, &figures),
                figures.agreement * 100.0,
                figures.cases,
                figures.macro_f1,
                figures.errors
            );
        }
        for Compared { at, comparison } in self.comparisons {
            let _ = writeln!(text, "\n{}", comparison.verdict);
            for note in self.notes(*at, comparison) {
                let _ = writeln!(text, "{note}");
            }
            for flip in &comparison.flips {
                let _ = writeln!(text, "  {}", flip_line(flip));
            }
            let moved = comparison.per_route.iter().filter(|delta| delta.f1[0] != delta.f1[1]);
            let width = comparison.per_route.iter().map(|delta| delta.route.chars().count()).max().unwrap_or(0);
            for (position, delta) in moved.enumerate() {
                if position == 0 {
                    let _ = writeln!(text, "\n  {:width$}  cases     F1 {}     F1 {}   change", "route", self.names[0], self.names[*at]);
                }
                let [before, now] = delta.f1;
                let _ = writeln!(text, "  {:width$}  {:5}  {before:7.3}  {now:7.3}  {:+7.3}", delta.route, delta.support, now - before);
            }
            let diff = self.diff(*at);
            if !diff.is_empty() {
                let _ = writeln!(text, "\n  {}", diff.join("\n  "));
            }
        }
        text
    }

    /// Returns `compare.md`.
    pub fn to_markdown(&self) -> String {
        let mut text =
            "# Comparison\n\n| | run | agreement | 95 % interval | macro F1 | errors |\n|---|---|---:|---|---:|---:|\n".to_owned();
        for (name, run) in self.names.iter().zip(self.runs) {
            let figures = figures(run);
            let [low, high] = figures.agreement_ci95.map(|share| share * 100.0);
            let (agreement, macro_f1, errors) = (figures.agreement * 100.0, figures.macro_f1, figures.errors);
            let _ = writeln!(
                text,
                "| {name} | {} | {agreement:.1} % | {low:.1} to {high:.1} % | {macro_f1:.3} | {errors} |",
                cell(&describe(run, &figures))
            );
        }
        for Compared { at, comparison } in self.comparisons {
            let _ = writeln!(text, "\n## {} and {}\n\n**{}**\n", self.names[0], self.names[*at], cell(&comparison.verdict));
            for note in self.notes(*at, comparison) {
                let _ = writeln!(text, "- {}", cell(&note));
            }
            if !comparison.flips.is_empty() {
                text += "\n| | id | line | label | before | now | cause |\n|---|---|---:|---|---|---|---|\n";
            }
            for flip in &comparison.flips {
                let (name, line, cause) = (flip.name(), flip.line.to_string(), cause(flip).unwrap_or_default());
                let cells = [&*name, &line, &flip.label, decided(&flip.a), decided(&flip.b), &cause].map(cell);
                let _ = writeln!(text, "| {} | {} |", flip.kind.as_str(), cells.join(" | "));
            }
            text += "\n| route | cases | recall | precision | F1 |\n|---|---:|---:|---:|---:|\n";
            for delta in &comparison.per_route {
                let pair = |[before, now]: [f64; 2]| format!("{before:.3} to {now:.3}");
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    cell(&delta.route),
                    delta.support,
                    pair(delta.recall),
                    pair(delta.precision),
                    pair(delta.f1)
                );
            }
            let diff = self.diff(*at);
            if !diff.is_empty() {
                // A longer fence than any in the policy's own text.
                let _ = writeln!(text, "\n``````diff\n{}\n``````", diff.join("\n"));
            }
        }
        text
    }

    fn notes(&self, at: usize, comparison: &Comparison) -> Vec<String> {
        let interval = match comparison.interval().map(|ends| ends.map(|share| share * 100.0)) {
            Some([low, high]) => {
                format!(" (95 % interval {low:+.1} to {high:+.1}, conversations resampled {} times)", comparison.difference.resamples)
            }
            None => comparison.without_interval().map_or_else(String::new, |why| format!(" ({why})")),
        };
        let McNemar { b, c, .. } = comparison.by_conversation;
        let mut notes = vec![
            format!("difference {:+.1} points{interval}", comparison.difference.value * 100.0),
            format!("by conversation: {c} better, {b} worse, exact sign test {}", comparison.by_conversation.p_words()),
        ];
        let changes = policy_changes(&self.runs[0].policy, &self.runs[at].policy);
        notes.extend(changes.iter().find_map(PolicyChange::caveat).map(str::to_owned));
        if comparison.unmatched != [0, 0] {
            let [a, b] = comparison.unmatched;
            notes.push(format!("not compared: {a} cases that only the first run has, {b} that only the second has"));
        }
        if comparison.mismatched > 0 {
            notes.push(format!(
                "{} of these have an id of the first run and are not known to be the same conversation",
                comparison.mismatched
            ));
        }
        if comparison.relabelled > 0 {
            let whose = match comparison.labels_of {
                Side::A => format!("those of {} count, since it measured the set as it is now", self.names[0]),
                Side::B => format!("those of {} count", self.names[at]),
            };
            notes.push(format!("{} labels differ between the runs; {whose}", comparison.relabelled));
        }
        match &comparison.causes {
            Causes::Unknown(why) => notes.push(format!("which edits cause the flips could not be determined: {why}")),
            Causes::LookedInto(known) if *known < comparison.flips.len() => {
                notes.push(format!("causes: looked into {known} of {} flips, those that broke first", comparison.flips.len()));
            }
            Causes::LookedInto(_) | Causes::NotAsked => {}
        }
        notes
    }

    /// Writes the matrix of cases by variants: a record for each turn that any of them has, a column for each variant's decision. The label is
    /// that which counts in the comparison with the last variant that has the turn.
    ///
    /// # Errors
    /// The writer fails.
    pub fn write_matrix(&self, to: impl Write) -> std::io::Result<()> {
        let mut writer = csv::Writer::from_writer(to);
        let fixed = ["line", "id", "turn", "label"].map(str::to_owned);
        writer.write_record(fixed.into_iter().chain(self.names.iter().cloned()))?;
        let runs: Vec<&Run> = self.runs.iter().collect();
        for row in case_rows(&runs) {
            let turns: Vec<Option<&TurnResult>> = row.iter().zip(&runs).map(|(at, run)| run.turns.get((*at)? as usize)).collect();
            let Some(first) = turns.iter().flatten().next() else { continue };
            let counts = self.comparisons.iter().rev().find_map(|compared| Some((turns[compared.at]?, compared.comparison.labels_of)));
            let label = match counts {
                Some((later, Side::B)) => &later.label,
                _ => &first.label,
            };
            let place = [first.line.to_string(), first.id.to_string(), first.turn.to_string(), label.to_string()];
            // What a run did not decide stays empty.
            let decisions = turns.iter().map(|turn| turn.map_or("", |turn| known(turn)).to_owned());
            writer.write_record(place.into_iter().chain(decisions))?;
        }
        writer.flush()
    }
}

fn describe(run: &Run, figures: &Figures) -> String {
    let stopped = if run.turns.len() < run.info.planned { ", stopped early" } else { "" };
    let undecided = match run.undecided() {
        0 => String::new(),
        undecided => format!(", {undecided} cases not decided"),
    };
    let order = figures.order_stability.as_ref().map_or_else(String::new, |order| match order.orders {
        0 => ", no other order of the routes to test".to_owned(),
        orders => format!(", {} of {} cases change under {}", order.changed_cases, figures.cases, other_orders(orders)),
    });
    let RunInfo { name, policy, router, dialect, budget, .. } = &run.info;
    let budget = budget.map_or_else(String::new, |budget| format!(", budget {budget}"));
    format!("{name} ({}, {}, {}{budget}{stopped}{undecided}{order})", policy.path, router.id, router.dialect_words(*dialect))
}

fn flip_line(flip: &Flip) -> String {
    let because = cause(flip).map_or_else(String::new, |cause| format!("; {cause}"));
    let label = if flip.kind == FlipKind::Changed { format!(", expected {}", flip.label) } else { String::new() };
    format!(
        "{:7}  {} (line {}): {} became {}{label}{because}",
        flip.kind.as_str(),
        flip.name(),
        flip.line,
        decided(&flip.a),
        decided(&flip.b)
    )
}

fn cause(flip: &Flip) -> Option<String> {
    Some(match flip.cause.as_ref()? {
        Cause::Alone(edits) => format!("by {}", edits.join(", or by ")),
        Cause::Needed(edits) => format!("by several edits, {} among them", edits.join(" and ")),
        Cause::Together => "by several edits together".to_owned(),
    })
}

/// What was decided, nothing where no decision is known.
fn known(turn: &TurnResult) -> &str {
    if turn.undecided { "" } else { decided(&turn.decided) }
}

fn decided(decision: &Option<std::sync::Arc<str>>) -> &str {
    decision.as_deref().unwrap_or("error")
}

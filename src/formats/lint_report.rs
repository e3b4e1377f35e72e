//! The linter's findings with their lines, as text, JSON and SARIF.

use std::fmt::Write;

use serde_json::{Value as Json, json};

use crate::policy::lint::{Field, Finding, LintContext, RULES, Rule, Severity, lint};
use crate::policy::{Policy, PolicyEdit};

use super::error::{FormatError, Origin, Warning};
use super::gateway::{GatewayShape, Note, NoteKind, PROVIDERS, SOURCES, import_to_lint, lint_context, looks_like_gateway};
use super::policy::{document, parse_to_lint};
use super::source::without_bom;
use super::tree::{Entry, Node, Value};

/// Lines of a policy's parts in the text it was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyLines {
    pub(super) whole: Vec<(Field, usize)>,
    /// For each route its first line and those of its fields.
    pub(super) routes: Vec<(usize, Vec<(Field, usize)>)>,
}

impl PolicyLines {
    /// Returns the line of what a finding is about, or of what holds it where the field itself is missing.
    pub fn of(&self, finding: &Finding) -> Option<usize> {
        let among = |fields: &[(Field, usize)]| {
            finding.field.and_then(|field| fields.iter().find(|(other, _)| *other == field)).map(|(_, line)| *line)
        };
        match finding.route {
            Some(route) => self.routes.get(route).map(|(first, fields)| among(fields).unwrap_or(*first)),
            None => among(&self.whole).or_else(|| self.whole.first().map(|(_, line)| *line)),
        }
    }
}

/// Returns where the parts of a policy stand in its text; empty for text that is no policy.
pub fn policy_lines(text: &str, path: &str) -> PolicyLines {
    let mut lines = PolicyLines::default();
    let Ok(root) = document(without_bom(text), path, &Origin::new(path)) else { return lines };
    let routes = match root.value {
        Value::List(items) => {
            lines.whole.push((Field::Routes, root.at.line));
            items
        }
        Value::Map(entries) => {
            let mut routes = Vec::new();
            for Entry { key, at, node } in entries {
                match (key.as_str(), node.value) {
                    ("fallback", _) => lines.whole.push((Field::Fallback, at.line)),
                    ("budget", _) => lines.whole.push((Field::Budget, at.line)),
                    (PROVIDERS, _) => lines.whole.push((Field::Providers, at.line)),
                    (SOURCES, _) => lines.whole.push((Field::Sources, at.line)),
                    ("routes", Value::List(items)) => {
                        lines.whole.insert(0, (Field::Routes, at.line));
                        routes = items;
                    }
                    _ => {}
                }
            }
            routes
        }
        _ => return lines,
    };
    lines.routes = routes.iter().map(route_lines).collect();
    lines
}

/// Returns the first line of a route and those of its fields.
pub(super) fn route_lines(node: &Node) -> (usize, Vec<(Field, usize)>) {
    const FIELDS: [Field; 5] = [Field::Name, Field::Description, Field::Models, Field::Action, Field::SelectionPolicy];
    let Value::Map(entries) = &node.value else { return (node.at.line, Vec::new()) };
    let field = |key: &str| FIELDS.into_iter().find(|field| field.as_str() == key);
    (node.at.line, entries.iter().filter_map(|entry| Some((field(&entry.key)?, entry.at.line))).collect())
}

/// Returns the entry of `docs/lint.md` about a code, as Markdown without its heading.
pub fn lint_entry(code: &str) -> Option<&'static str> {
    const ENTRIES: &str = include_str!("../../docs/lint.md");
    let (_, entry) = ENTRIES.split_once(&format!("\n### {code}\n"))?;
    let end = ["\n### ", "\n## "].iter().filter_map(|next| entry.find(next)).min();
    Some(entry[..end.unwrap_or(entry.len())].trim())
}

/// A finding and its line, counted from 1, where the text is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub finding: Finding,
    pub line: Option<usize>,
}

/// Everything there is to say about one policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintReport {
    pub path: String,
    pub policy: Policy,
    /// What reading the file already noticed.
    pub warnings: Vec<Warning>,
    /// What the gateway does with the file itself; empty unless it is a gateway's configuration.
    pub notes: Vec<Note>,
    pub findings: Vec<Located>,
}

/// Reads and checks a policy, or the policy inside a gateway's configuration. Equal and empty names of routes are findings here.
///
/// # Errors
/// The text can be read as neither.
pub fn lint_text(text: &str, path: &str) -> Result<LintReport, FormatError> {
    let (policy, warnings, notes, lines, context) = if looks_like_gateway(text, path) {
        let imported = import_to_lint(text, path)?;
        let mut context = lint_context(&imported.policy);
        context.declared.clone_from(&imported.declared);
        context.is_foreign = !matches!(imported.shape, GatewayShape::Plano | GatewayShape::RoutingApi);
        // The notes say the same, with the lines of the file.
        context.refused.clear();
        (imported.policy, Vec::new(), imported.notes, imported.lines, context)
    } else {
        let (policy, warnings) = parse_to_lint(text, path)?;
        let context = lint_context(&policy);
        (policy, warnings, Vec::new(), policy_lines(text, path), context)
    };
    let findings = locate(&policy, &context, &lines);
    Ok(LintReport { path: path.to_owned(), policy, warnings, notes, findings })
}

/// Checks a policy and adds the lines of its text.
pub fn locate(policy: &Policy, context: &LintContext, lines: &PolicyLines) -> Vec<Located> {
    lint(policy, context).into_iter().map(|finding| Located { line: lines.of(&finding), finding }).collect()
}

impl LintReport {
    /// Returns how many findings and notes about a configuration have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        let notes = self.notes.iter().filter(|note| note.kind.severity() == severity).count();
        notes + self.findings.iter().filter(|located| located.finding.rule.severity == severity).count()
    }

    /// Returns whether a gate on this report fails: errors, or a configuration that the gateway refuses.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Returns the report as people read it, one finding a line.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for Note { kind, warning } in &self.notes {
            let message = format!("{} {}: {}", kind.severity().as_str(), note_rule(*kind), warning.message);
            let _ = writeln!(out, "{}", Warning { message, ..warning.clone() });
        }
        for Located { finding, line } in &self.findings {
            let place = line.map_or_else(|| self.path.clone(), |line| format!("{}:{line}", self.path));
            let Rule { code, severity, reason, .. } = finding.rule;
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{place}: {} {code}: {}. {reason}", severity.as_str(), finding.message);
        }
        let counts = Severity::ALL.map(|severity| severity.counted(self.count(severity)));
        let _ = writeln!(out, "{}", counts.join(", "));
        out
    }

    /// Returns the report as the JSON of `waypost lint --json`.
    pub fn to_json(&self) -> String {
        let findings: Vec<Json> = self.findings.iter().map(finding_json).collect();
        let notes: Vec<Json> = self
            .notes
            .iter()
            .map(|Note { kind, warning: Warning { line, message, remedy, .. } }| {
                json!({"kind": kind, "severity": kind.severity(), "line": line, "message": message, "remedy": remedy})
            })
            .collect();
        let report = json!({
            "path": self.path,
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "advice": self.count(Severity::Advice),
            "gateway_notes": notes,
            "findings": findings,
        });
        format!("{report:#}\n")
    }

    /// Returns the report as SARIF 2.1.0, which code hosts and editors show beside the lines.
    pub fn to_sarif(&self) -> String {
        let findings = self.findings.iter().map(|Located { finding, line }| {
            let Rule { code, severity, reason, .. } = finding.rule;
            sarif_result(code, level(*severity), format!("{}. {reason}", finding.message), &self.path, *line)
        });
        let notes = self.notes.iter().map(|Note { kind, warning }| {
            let text = format!("{}; {}", warning.message, warning.remedy);
            sarif_result(note_rule(*kind), level(kind.severity()), text, &self.path, warning.line)
        });
        sarif(findings.chain(notes).collect())
    }
}

/// Returns the report about a text that cannot be read, in the form of [`LintReport::to_json`].
pub fn unreadable_json(error: &FormatError) -> String {
    let finding = json!({
        "code": UNREADABLE.0,
        "severity": Severity::Error,
        "line": error.line,
        "route": null,
        "route_index": null,
        "field": null,
        "title": UNREADABLE.1,
        "message": error.message,
        "reason": error.remedy,
        "source": null,
        "help": "docs/lint.md",
        "fix": null,
    });
    let report = json!({
        "path": error.path,
        "errors": 1,
        "warnings": 0,
        "advice": 0,
        "gateway_notes": [],
        "findings": [finding],
    });
    format!("{report:#}\n")
}

/// Returns the report about a text that cannot be read, in the form of [`LintReport::to_sarif`].
pub fn unreadable_sarif(error: &FormatError) -> String {
    let text = format!("{}; {}", error.message, error.remedy);
    sarif(vec![sarif_result(UNREADABLE.0, level(Severity::Error), text, &error.path, error.line)])
}

/// Id and title of the one result about a text that cannot be read.
const UNREADABLE: (&str, &str) = ("unreadable", "the file cannot be read");

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Advice => "note",
    }
}

/// Returns the ids of everything that a report may name, in the order of SARIF's list of rules.
fn sarif_ids() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|rule| rule.code).chain(NOTE_RULES.map(|(kind, _)| note_rule(kind))).chain([UNREADABLE.0])
}

fn sarif_result(id: &str, level: &str, text: String, path: &str, line: Option<usize>) -> Json {
    let place = json!({"artifactLocation": {"uri": uri(path)}, "region": {"startLine": line.unwrap_or(1)}});
    json!({
        "ruleId": id,
        "ruleIndex": sarif_ids().position(|other| other == id),
        "level": level,
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    })
}

/// Returns a rule of SARIF that has no more than a title.
fn plain_rule(id: &str, severity: Severity, title: &str) -> Json {
    json!({"id": id, "shortDescription": {"text": title}, "defaultConfiguration": {"level": level(severity)}})
}

fn sarif(results: Vec<Json>) -> String {
    let ours = RULES.iter().map(|rule| {
        json!({
            "id": rule.code,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.reason},
            "help": {"text": format!("{} Source: {}. See docs/lint.md, {}.", rule.reason, rule.source, rule.code)},
            "defaultConfiguration": {"level": level(rule.severity)},
        })
    });
    let gateways = NOTE_RULES.map(|(kind, title)| plain_rule(note_rule(kind), kind.severity(), title));
    let (id, title) = UNREADABLE;
    let rules: Vec<Json> = ours.chain(gateways).chain([plain_rule(id, Severity::Error, title)]).collect();
    let driver = json!({"name": "waypost", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    });
    format!("{log:#}\n")
}

/// What an import says about a gateway's configuration, as rules of SARIF: kind and title.
const NOTE_RULES: [(NoteKind, &str); 3] = [
    (NoteKind::Refused, "the current gateway refuses this"),
    (NoteKind::Ignored, "the current gateway does nothing with this"),
    (NoteKind::Changed, "a policy says this in another way"),
];

fn note_rule(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Refused => "gateway-refuses",
        NoteKind::Ignored => "gateway-ignores",
        NoteKind::Changed => "gateway-differs",
    }
}

fn finding_json(Located { finding, line }: &Located) -> Json {
    json!({
        "code": finding.rule.code,
        "severity": finding.rule.severity,
        "line": line,
        "route": finding.name,
        "route_index": finding.route,
        "field": finding.field,
        "title": finding.rule.title,
        "message": finding.message,
        "reason": finding.rule.reason,
        "source": finding.rule.source,
        "help": format!("docs/lint.md#{}", finding.rule.code.to_lowercase()),
        "fix": finding.fix.as_ref().map(|fix| json!({"label": fix.label, "edit": edit_json(&fix.edit)})),
    })
}

/// Returns the edits that the linter offers, for editors that apply them; others have no place in a report.
fn edit_json(edit: &PolicyEdit) -> Json {
    match edit {
        PolicyEdit::Rename { route, name } => json!({"route": route, "name": name}),
        PolicyEdit::Describe { route, description } => json!({"route": route, "description": description}),
        PolicyEdit::SetModels { route, models } => json!({"route": route, "models": models}),
        PolicyEdit::RemoveRoute { route } => json!({"route": route, "remove": true}),
        _ => Json::Null,
    }
}

/// Returns a path as the relative URI that SARIF wants.
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

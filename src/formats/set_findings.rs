//! What is wrong and what is odd with a labelled set, as a table without end: messages name the first of many.

use std::io::Write;

use super::labelled_checks::{FindingKind, SetFinding};
use super::labelled_set::LabelledSet;

/// Writes `set_findings.csv`: a record for each line that is left out, then one for each finding, which names all of its `lines` with spaces
/// between them.
///
/// # Errors
/// The writer fails.
pub fn write_set_findings(set: &LabelledSet, findings: &[SetFinding], to: impl Write) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(["kind", "lines", "message", "remedy"])?;
    for error in set.bad() {
        let line = error.line.map_or_else(String::new, |line| line.to_string());
        writer.write_record(["left_out", &line, &error.message, &error.remedy])?;
    }
    for finding in findings {
        let lines: Vec<String> = finding.lines.iter().map(usize::to_string).collect();
        writer.write_record([word(finding.kind), &lines.join(" "), &finding.message, &finding.remedy])?;
    }
    writer.flush()
}

fn word(kind: FindingKind) -> &'static str {
    match kind {
        FindingKind::UnknownLabel => "unknown_label",
        FindingKind::LabelCase => "label_case",
        FindingKind::Contradiction => "contradiction",
        FindingKind::NothingSent => "nothing_sent",
        FindingKind::RouteWithoutCases => "route_without_cases",
        FindingKind::Duplicate => "duplicate",
        FindingKind::NearDuplicate => "near_duplicate",
    }
}

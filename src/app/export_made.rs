//! An export as it is shown: its lines, its changes to an existing configuration, and what it was tested with.

use std::ops::Range;

use similar::{ChangeTag, TextDiff};

use super::export::{ExportKey, is_version_of};
use super::measure::{list_runs, open_run};
use crate::formats::{
    Evidence, ExportError, ExportOptions, Exported, Standing, configured_budget, evidence_problems, export_gateway, policy_digest,
    run_evidence, standing,
};

/// Unchanged lines that are shown around each change.
const CONTEXT: usize = 3;

/// What was made of a policy for a gateway.
#[derive(Debug)]
pub struct Made {
    pub of: ExportKey,
    pub text: Result<MadeText, ExportError>,
    pub evidence: Option<Evidence>,
    pub standing: Standing,
    /// What has to be asked about before it is written.
    pub problems: Vec<String>,
}

/// The bytes of an export, cut into lines.
#[derive(Debug)]
pub struct MadeText {
    pub exported: Exported,
    lines: Vec<Range<usize>>,
    /// Characters of the longest line.
    pub widest: usize,
    /// The changes to the configuration that is written into.
    pub changes: Option<Vec<Change>>,
}

impl MadeText {
    fn new(exported: Exported, before: Option<&str>) -> Self {
        let mut lines = Vec::new();
        let mut start = 0;
        for line in exported.text.split_inclusive('\n') {
            lines.push(start..start + line.trim_end_matches(['\n', '\r']).len());
            start += line.len();
        }
        let widest = lines.iter().map(|line| exported.text[line.clone()].chars().count()).max().unwrap_or_default();
        let changes = before.map(|before| changes(before, &exported.text));
        Self { exported, lines, widest, changes }
    }

    /// Returns how many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Returns whether the export is empty.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns a line, counted from 0, without its end.
    pub fn line(&self, index: usize) -> Option<&str> {
        self.exported.text.get(self.lines.get(index)?.clone())
    }
}

/// A line of the changes between two texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// With the line's number in the new text, counted from 1.
    Kept(usize, String),
    Added(usize, String),
    /// With the line's number in the old text.
    Removed(usize, String),
    /// Lines that are the same and not shown.
    Skipped(usize),
}

fn changes(before: &str, after: &str) -> Vec<Change> {
    let diff = TextDiff::from_lines(before, after);
    let (mut changes, mut end) = (Vec::new(), 0);
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(end, |op| op.old_range().start);
        changes.extend((start > end).then(|| Change::Skipped(start - end)));
        end = group.last().map_or(end, |op| op.old_range().end);
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches(['\n', '\r']).to_owned();
            let number = |index: Option<usize>| index.map_or(0, |index| index + 1);
            changes.push(match change.tag() {
                ChangeTag::Equal => Change::Kept(number(change.new_index()), text),
                ChangeTag::Insert => Change::Added(number(change.new_index()), text),
                ChangeTag::Delete => Change::Removed(number(change.old_index()), text),
            });
        }
    }
    let lines = diff.old_len();
    let rest = !changes.is_empty() && lines > end;
    changes.extend(rest.then(|| Change::Skipped(lines - end)));
    changes
}

/// Makes an export; takes as long as the policy is long.
pub(super) fn make(of: ExportKey) -> Made {
    let evidence = tested_with(&of).map(|evidence| evidence.within(of.format));
    let into = of.into.as_ref().map(|into| (into.path.display().to_string(), into.text.as_str()));
    let options = ExportOptions {
        format: of.format,
        into: into.as_ref().map(|(path, text)| (*text, path.as_str())),
        evidence: evidence.as_ref(),
        dialect: of.dialect,
    };
    let text = export_gateway(&of.policy, options).map(|exported| MadeText::new(exported, into.as_ref().map(|(_, text)| *text)));
    let configured = options.into.and_then(|(text, path)| configured_budget(text, path));
    let standing = standing(&of.policy, evidence.as_ref(), configured);
    let problems = evidence_problems(&of.policy, evidence.as_ref(), configured);
    Made { text, evidence, standing, problems, of }
}

/// Returns what the newest run of exactly this policy showed, opened ones before kept ones, or else that of an earlier version of it.
fn tested_with(of: &ExportKey) -> Option<Evidence> {
    let digest = policy_digest(&of.policy);
    if let Some(run) = of.runs.iter().rev().find(|run| run.info.policy_digest == digest) {
        return Some(run_evidence(run));
    }
    let kept = of.kept.as_ref().map(|(folder, _)| list_runs(folder)).unwrap_or_default();
    let same = kept.iter().find(|run| run.summary.info.policy_digest == digest);
    let earlier = || kept.iter().find(|run| is_version_of(&run.summary.info, &of.title, of.path.as_deref()));
    if let Some(run) = same.and_then(|run| open_run(&run.folder).ok()) {
        return Some(run_evidence(&run));
    }
    let opened = of.runs.last().map(|run| run_evidence(run));
    opened.or_else(|| earlier().and_then(|run| open_run(&run.folder).ok()).map(|run| run_evidence(&run)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_skip_what_stays() {
        let before: String = (1..=20).map(|line| format!("l{line}\n")).collect();
        let changes = changes(&before, &before.replace("l10\n", "new\r\n"));
        let kept = |line: usize| Change::Kept(line, format!("l{line}"));
        let mut expected = vec![Change::Skipped(6), kept(7), kept(8), kept(9)];
        expected.extend([Change::Removed(10, "l10".to_owned()), Change::Added(10, "new".to_owned())]);
        expected.extend([kept(11), kept(12), kept(13), Change::Skipped(7)]);
        assert_eq!(changes, expected);
    }
}

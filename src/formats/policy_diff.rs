//! The text of two policies beside each other, line by line.

use similar::{ChangeTag, TextDiff};

use crate::policy::Policy;

use super::policy_writer::write_policy;

/// Whether a line stands in one text or in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffKind {
    Both,
    Removed,
    Added,
}

/// A line of a diff, without its line feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub kind: DiffKind,
    pub text: String,
}

/// Returns the lines of two policies as Waypost writes them, with `context` unchanged lines around each change; empty where they say the same.
pub fn policy_diff(a: &Policy, b: &Policy, context: usize) -> Vec<DiffLine> {
    let (a, b) = (write_policy(a), write_policy(b));
    let diff = TextDiff::from_lines(&a, &b);
    let groups = diff.grouped_ops(context);
    let changes = groups.iter().flatten().flat_map(|op| diff.iter_changes(op));
    changes
        .map(|change| DiffLine {
            kind: match change.tag() {
                ChangeTag::Equal => DiffKind::Both,
                ChangeTag::Delete => DiffKind::Removed,
                ChangeTag::Insert => DiffKind::Added,
            },
            text: change.value().trim_end_matches('\n').to_owned(),
        })
        .collect()
}

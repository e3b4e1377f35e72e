//! Which cases of a run a table shows, and in which order: found once for each change, away from the drawing thread.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::decision::Outcome;
use crate::eval::{Run, TurnResult};

/// How a decision stands to its label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    #[default]
    All,
    Agrees,
    Disagrees,
    NoRoute,
    Error,
    /// The router gave no decision.
    Undecided,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// The order of the set.
    #[default]
    Set,
    Id,
    Label,
    Decision,
    Confidence,
}

/// What a user looks for among the cases of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseQuery {
    /// In the id, the label, the decision, a tag or the conversation, in whatever case.
    pub text: String,
    /// Exactly this label.
    pub label: Option<String>,
    /// Exactly this decision, `other` for no route.
    pub decision: Option<String>,
    /// Has exactly this tag.
    pub tag: Option<String>,
    /// Is this one of the labelled user messages of its conversation, counted from 1; of conversations that have a label for each.
    pub turn: Option<usize>,
    pub verdict: Verdict,
    /// Least and largest confidence.
    pub confidence: [f32; 2],
    pub sort: SortBy,
    pub descending: bool,
}

impl Default for CaseQuery {
    fn default() -> Self {
        Self {
            text: String::new(),
            label: None,
            decision: None,
            tag: None,
            turn: None,
            verdict: Verdict::All,
            confidence: [0.0, 1.0],
            sort: SortBy::Set,
            descending: false,
        }
    }
}

impl CaseQuery {
    /// Returns whether every case is shown.
    pub fn shows_all(&self) -> bool {
        *self == Self { sort: self.sort, descending: self.descending, ..Self::default() }
    }

    /// Returns the positions in [`Run::turns`] of the cases to show. `said` are the conversations in which the text occurs.
    pub fn rows(&self, run: &Run, said: &HashSet<usize>) -> Vec<u32> {
        let text = self.text.trim().to_lowercase();
        let is_wanted = |turn: &TurnResult| {
            self.is_wanted(run, turn) && (text.is_empty() || mentions(turn, &text) || said.contains(&turn.conversation))
        };
        let positions = run.turns.iter().enumerate().filter(|(_, turn)| is_wanted(turn)).filter_map(|(at, _)| u32::try_from(at).ok());
        let mut rows: Vec<u32> = positions.collect();
        let turn = |at: u32| &run.turns[at as usize];
        if self.sort != SortBy::Set {
            // Stable, so that equal rows stay in the order of the set.
            rows.sort_by(|&a, &b| compare(self.sort, turn(a), turn(b)));
        }
        if self.descending {
            rows.reverse();
        }
        rows
    }

    fn is_wanted(&self, run: &Run, turn: &TurnResult) -> bool {
        let verdict = match self.verdict {
            Verdict::All => true,
            Verdict::Agrees => turn.agrees(),
            Verdict::Disagrees => turn.is_wrong(),
            Verdict::NoRoute => turn.outcome == Outcome::NoRoute,
            Verdict::Error => turn.is_error(),
            Verdict::Undecided => turn.undecided,
        };
        let [least, most] = self.confidence;
        // What has no confidence is in the whole range, which asks for nothing, and in no other.
        let is_sure = (least <= 0.0 && most >= 1.0) || turn.sure().is_some_and(|sure| (least..=most).contains(&sure));
        let has_tag = |wanted: &str| turn.tags.iter().any(|tag| **tag == *wanted);
        verdict
            && self.tag.as_deref().is_none_or(has_tag)
            && self.turn.is_none_or(|number| turn.turn + 1 == number && run.is_per_turn(turn.conversation))
            && self.label.as_deref().is_none_or(|label| *turn.label == *label)
            && self.decision.as_deref().is_none_or(|decision| turn.decided.as_deref() == Some(decision))
            && is_sure
    }
}

fn mentions(turn: &TurnResult, text: &str) -> bool {
    let contains = |field: &str| field.to_lowercase().contains(text);
    contains(&turn.id)
        || contains(&turn.label)
        || turn.decided.as_deref().is_some_and(contains)
        || turn.error.as_deref().is_some_and(contains)
        || turn.tags.iter().any(|tag| contains(tag))
}

fn compare(sort: SortBy, a: &TurnResult, b: &TurnResult) -> Ordering {
    match sort {
        SortBy::Set => Ordering::Equal,
        SortBy::Id => a.id.cmp(&b.id),
        SortBy::Label => a.label.cmp(&b.label),
        SortBy::Decision => a.decided.cmp(&b.decided),
        // What has none comes before the least.
        SortBy::Confidence => a.sure().unwrap_or(-1.0).total_cmp(&b.sure().unwrap_or(-1.0)),
    }
}

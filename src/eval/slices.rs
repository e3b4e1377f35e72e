//! The agreement in parts of a set: by tag, and by the number of the user turn.

use std::collections::HashMap;

use serde::Serialize;

use super::metrics::wilson_interval;
use super::run::{Run, TurnResult};

/// At most this many parts of a kind are told.
const MOST: usize = 50;

/// The agreement in a part of the turns, and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// Turns in it.
    pub cases: usize,
    pub agreement: f64,
    /// 95 % Wilson score interval.
    pub agreement_ci95: [f64; 2],
}

/// The turns of the cases with a tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TagFigures {
    pub tag: String,
    #[serde(flatten)]
    pub slice: Slice,
}

/// The turns with a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TurnFigures {
    /// Position among the labelled user messages of their conversations, counted from 1.
    pub turn: usize,
    #[serde(flatten)]
    pub slice: Slice,
}

/// Turns, and how many of them are right.
#[derive(Clone, Copy, Default)]
struct Count {
    cases: usize,
    right: usize,
}

impl Count {
    fn add(&mut self, turn: &TurnResult) {
        self.cases += 1;
        self.right += usize::from(turn.agrees());
    }

    fn slice(self) -> Slice {
        let Self { cases, right } = self;
        Slice { cases, agreement: right as f64 / cases.max(1) as f64, agreement_ci95: wilson_interval(right, cases) }
    }
}

/// Returns the agreement for each tag, the most frequent first.
pub(super) fn per_tag(run: &Run) -> Vec<TagFigures> {
    let mut counts: HashMap<&str, Count> = HashMap::new();
    for turn in run.answered() {
        turn.tags.iter().for_each(|tag| counts.entry(tag).or_default().add(turn));
    }
    let mut figures: Vec<TagFigures> =
        counts.into_iter().map(|(tag, count)| TagFigures { tag: tag.to_owned(), slice: count.slice() }).collect();
    figures.sort_by(|a, b| b.slice.cases.cmp(&a.slice.cases).then_with(|| a.tag.cmp(&b.tag)));
    figures.truncate(MOST);
    figures
}

/// Returns the agreement of the first user turns, the second, and so on. Cases with one label are left out: of them the last turn alone was
/// asked, whichever number it has.
pub(super) fn per_turn_number(run: &Run) -> Vec<TurnFigures> {
    let mut counts: Vec<Count> = Vec::new();
    for turn in run.answered().filter(|turn| run.is_per_turn(turn.conversation) && turn.turn < MOST) {
        if counts.len() <= turn.turn {
            counts.resize(turn.turn + 1, Count::default());
        }
        counts[turn.turn].add(turn);
    }
    let numbered = counts.into_iter().enumerate().filter(|(_, count)| count.cases > 0);
    numbered.map(|(at, count)| TurnFigures { turn: at + 1, slice: count.slice() }).collect()
}

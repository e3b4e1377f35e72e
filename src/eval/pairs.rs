//! Which turns of several runs are about the same case.

use std::collections::HashMap;

use super::run::{Run, TurnResult};

/// The turns of two runs that belong together.
pub(super) struct Paired {
    /// Positions in the first and in the second run, in the second one's order.
    pub pairs: Vec<(usize, usize)>,
    /// Turns of the second run that have the id and the number of a turn of the first one, but are not known to be about the same conversation.
    pub mismatched: usize,
}

/// Pairs turns by their place where both runs measured the same file, otherwise by id, number and what was said.
pub(super) fn paired(a: &Run, b: &Run) -> Paired {
    let mut taken = vec![false; a.turns.len()];
    let mut take = |at_a: usize, at_b: usize| (!std::mem::replace(&mut taken[at_a], true)).then_some((at_a, at_b));
    if a.info.set.sha256 == b.info.set.sha256 {
        let by_place: HashMap<(usize, usize), usize> =
            a.turns.iter().enumerate().map(|(at, turn)| ((turn.conversation, turn.turn), at)).collect();
        let pair = |(at_b, turn): (usize, &TurnResult)| {
            // A stopped run that was kept without the positions of its cases numbers them without gaps; its lines tell.
            let at_a = *by_place.get(&(turn.conversation, turn.turn)).filter(|&&at_a| a.turns[at_a].line == turn.line)?;
            take(at_a, at_b)
        };
        return Paired { pairs: b.turns.iter().enumerate().filter_map(pair).collect(), mismatched: 0 };
    }
    // Where an id stands twice, the first one counts.
    let by_id: HashMap<(&str, usize), usize> = a.turns.iter().enumerate().rev().map(|(at, turn)| ((&*turn.id, turn.turn), at)).collect();
    let said = a.turns.iter().enumerate().rev().filter_map(|(at, turn)| Some(((&*turn.id, turn.turn, turn.digest?), at)));
    let by_text: HashMap<(&str, usize, u64), usize> = said.collect();
    let mut mismatched = 0;
    let mut pairs = Vec::new();
    for (at_b, turn) in b.turns.iter().enumerate() {
        let named = by_id.get(&(&*turn.id, turn.turn)).copied();
        let same = turn.digest.and_then(|digest| by_text.get(&(&*turn.id, turn.turn, digest))).copied();
        match same.or_else(|| named.filter(|&at_a| is_same_by_name(&a.turns[at_a], turn))) {
            Some(at_a) => pairs.extend(take(at_a, at_b)),
            None => mismatched += usize::from(named.is_some()),
        }
    }
    Paired { pairs, mismatched }
}

/// Returns whether the id alone tells that two turns are about the same case, where one of them does not say what was said. A number that only
/// counts lines or cases tells nothing: with a line more at the top every case would meet its neighbour.
fn is_same_by_name(a: &TurnResult, b: &TurnResult) -> bool {
    let is_counted = |turn: &TurnResult| [turn.line, turn.conversation + 1].iter().any(|number| *turn.id == *number.to_string());
    (a.digest.is_none() || b.digest.is_none()) && !is_counted(a) && !is_counted(b)
}

/// Returns every case under every run, as positions in the runs' turns, `None` where a run has no such case: those of the first run in its
/// order, after them those that only later ones have.
pub fn case_rows(runs: &[&Run]) -> Vec<Vec<Option<u32>>> {
    let mut rows: Vec<Vec<Option<u32>>> = Vec::new();
    // The row of each turn of each run so far.
    let mut placed: Vec<Vec<usize>> = Vec::new();
    for (place, run) in runs.iter().enumerate() {
        let mut found: Vec<Option<usize>> = vec![None; run.turns.len()];
        for (earlier, rows_of) in runs.iter().zip(&placed) {
            // What the baseline has needs no other run to meet in.
            if found.iter().all(Option::is_some) {
                break;
            }
            for (at_earlier, at) in paired(earlier, run).pairs {
                let row = rows_of[at_earlier];
                if found[at].is_none() && rows[row][place].is_none() {
                    rows[row][place] = u32::try_from(at).ok();
                    found[at] = Some(row);
                }
            }
        }
        let mut rows_of = Vec::with_capacity(found.len());
        for (at, row) in found.into_iter().enumerate() {
            rows_of.push(row.unwrap_or_else(|| {
                let mut alone = vec![None; runs.len()];
                alone[place] = u32::try_from(at).ok();
                rows.push(alone);
                rows.len() - 1
            }));
        }
        placed.push(rows_of);
    }
    rows
}

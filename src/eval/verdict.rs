//! What two runs beside each other mean, in a sentence.

use super::compare::{Better, Difference};
use super::significance::{McNemar, mcnemar};

/// With fewer conversations that come out otherwise the bootstrap claims too much; the sign test cannot tell anything from so few either.
pub(super) const FEWEST: usize = 6;

/// What counts as more than chance.
const LEVEL: f64 = 0.05;

/// Says in a verdict what it does not count.
pub(super) fn left_out(undecided: usize) -> String {
    match undecided {
        0 => String::new(),
        1 => "; at least one run did not decide 1 case, which is left out".to_owned(),
        more => format!("; at least one run did not decide {more} cases, which are left out"),
    }
}

/// Says that the ids of two sets name different conversations, so that the few that meet prove nothing about the policies.
pub(super) fn different_sets(cases: usize, mismatched: usize) -> String {
    let met = cases + mismatched;
    format!(
        "these are different sets: of {met} cases with the same id, {mismatched} are not known to be the same conversation; \
         give each case an id of its own and measure both again"
    )
}

/// `tests` are those over turns and over conversations. Both must hold, and the bootstrap's interval: each is wrong for some sets.
pub(super) fn verdict(
    [cases, undecided]: [usize; 2],
    flips: [usize; 3],
    tests: [&McNemar; 2],
    difference: &Difference,
    names: [&str; 2],
) -> (Better, String) {
    let [fixed, broken, changed] = flips;
    let [by_turn, by_conversation] = tests;
    let weaker = if by_conversation.p > by_turn.p { by_conversation } else { by_turn };
    let counted = if cases == 1 { "1 case".to_owned() } else { format!("{cases} cases") };
    if cases == 0 {
        let why = if undecided > 0 { "no case was decided by both runs" } else { "the two have no case in common" };
        return (Better::Unknown, format!("{why}, so nothing can be said"));
    }
    if fixed + broken + changed == 0 {
        return (Better::Unknown, format!("{} and {} decide all {counted} alike", names[0], names[1]));
    }
    let counts = format!("{fixed} fixed, {broken} broken, {}", weaker.p_words());
    let [low, high] = difference.ci95;
    let (turns, conversations) = (fixed.cmp(&broken), by_conversation.c.cmp(&by_conversation.b));
    let (better, name) = if turns.is_gt() { (Better::B, names[1]) } else { (Better::A, names[0]) };
    if weaker.p < LEVEL && turns == conversations && (low > 0.0 || high < 0.0) {
        return (better, format!("{name} is better: {counts}"));
    }
    let cannot = format!("{counted} cannot tell these apart: {counts}");
    let hint = if turns.is_ne() && turns == conversations.reverse() {
        let other = if turns.is_gt() { names[0] } else { names[1] };
        format!("; turns speak for {name}, conversations for {other}")
    } else if weaker.p < LEVEL {
        "; single conversations weigh too much: the 95 % interval of the difference holds 0".to_owned()
    } else if by_turn.p < LEVEL && by_conversation.b + by_conversation.c < FEWEST {
        "; the flips are in so few conversations that this may be chance".to_owned()
    } else if by_turn.p < LEVEL {
        let McNemar { b, c, .. } = by_conversation;
        format!("; single conversations with many turns weigh too much: {c} got better, {b} worse")
    } else if fixed + broken == 0 {
        format!(" ({changed} wrong in both, in different ways)")
    } else {
        needed(cases, tests).map_or_else(String::new, |needed| format!("; if it goes on like this, about {needed} cases would"))
    };
    (Better::Unknown, cannot + &hint)
}

/// Returns how many cases would tell the two apart if flips kept their shares: the smallest multiple that passes the tests.
fn needed(cases: usize, tests: [&McNemar; 2]) -> Option<usize> {
    let times = (2..=50).find(|times| tests.iter().all(|test| mcnemar(test.b * times, test.c * times).p < LEVEL))?;
    // Two figures: more would claim to know.
    let exact = cases * times;
    let unit = 10_usize.pow(exact.ilog10().saturating_sub(1));
    Some(exact.div_ceil(unit) * unit)
}

//! Pairs of routes that a router hesitates between, from the probabilities of a run: where two descriptions overlap.

use std::collections::HashMap;

use serde::Serialize;

use super::run::Run;

/// Two routes and how much the router confuses them. `other` stands for no route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoutePair {
    /// In the order of the policy, as all pairs.
    pub routes: [String; 2],
    /// Sum over all turns of what the less probable of the two gets where they are the two most probable: how many decisions, as it were,
    /// hang in the balance. Less than 5 % counts only where the one was expected and the other decided. Pairs are ranked by it.
    pub mass: f64,
    /// Share of `mass` in the turns of which one of the two is the most probable, 0 to 0.5.
    pub share: f64,
    /// Turns labelled as the first and decided as the second, and the reverse.
    pub confused: [usize; 2],
    /// The turns that show it, those where the second gets most first.
    pub cases: Vec<OverlapCase>,
}

/// One turn in which a route comes close to another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OverlapCase {
    /// Position in [`Run::turns`].
    pub turn: usize,
    /// Line of the set.
    pub line: usize,
    /// What the less probable of the two gets.
    pub p: f32,
}

/// Less than this of the second route is no hesitation.
const LEAST: f32 = 0.05;

/// Returns the pairs that are confused, the most confused first, each with at most `cases` turns that show it.
pub fn overlap(run: &Run, cases: usize) -> Vec<RoutePair> {
    let mut pairs: HashMap<[&str; 2], RoutePair> = HashMap::new();
    let mut tops: HashMap<&str, usize> = HashMap::new();
    let rank: HashMap<&str, usize> = run.info.labels.iter().enumerate().map(|(at, label)| (label.as_str(), at)).collect();
    // Names that only single cases have come after the policy's, by name.
    let key = |x: &str| (rank.get(x).copied().unwrap_or(usize::MAX), x.to_owned());
    for (at, turn) in run.turns.iter().enumerate() {
        let names = turn.routes.as_deref().unwrap_or(&run.info.labels);
        let Some([(first, _), (second, p)]) = top_two(&turn.probabilities) else { continue };
        // What a server did not tell may all be one answer's, which is then the second.
        if turn.invalid_mass > p && turn.probabilities.contains(&None) {
            continue;
        }
        let (Some(first), Some(second)) = (names.get(first), names.get(second)) else { continue };
        *tops.entry(first).or_default() += 1;
        let decided = turn.decided.as_deref().unwrap_or_default();
        let is_confused = decided != &*turn.label && [&*turn.label, decided].iter().all(|name| *name == first || *name == second);
        if p < LEAST && !is_confused {
            continue;
        }
        let routes = if key(first) <= key(second) { [first.as_str(), second.as_str()] } else { [second.as_str(), first.as_str()] };
        let pair = pairs.entry(routes).or_insert_with(|| RoutePair {
            routes: routes.map(str::to_owned),
            mass: 0.0,
            share: 0.0,
            confused: [0; 2],
            cases: Vec::new(),
        });
        pair.mass += f64::from(p);
        if is_confused {
            pair.confused[usize::from(*turn.label == *routes[1])] += 1;
        }
        pair.cases.push(OverlapCase { turn: at, line: turn.line, p });
    }
    let mut ranked: Vec<RoutePair> = pairs.into_values().collect();
    for pair in &mut ranked {
        let turns: usize = pair.routes.iter().filter_map(|route| tops.get(route.as_str())).sum();
        pair.share = pair.mass / turns.max(1) as f64;
        pair.cases.sort_by(|a, b| b.p.total_cmp(&a.p).then(a.turn.cmp(&b.turn)));
        pair.cases.truncate(cases);
    }
    ranked.sort_by(|a, b| b.mass.total_cmp(&a.mass).then_with(|| a.routes.cmp(&b.routes)));
    ranked
}

/// Returns the two largest values that are known, and their positions.
fn top_two(values: &[Option<f32>]) -> Option<[(usize, f32); 2]> {
    let mut best: [Option<(usize, f32)>; 2] = [None; 2];
    for (at, p) in values.iter().enumerate().filter_map(|(at, p)| Some((at, (*p)?))) {
        if best[0].is_none_or(|(_, most)| p > most) {
            best = [Some((at, p)), best[0]];
        } else if best[1].is_none_or(|(_, second)| p > second) {
            best[1] = Some((at, p));
        }
    }
    Some([best[0]?, best[1]?])
}

//! Two runs over the same cases: what flipped, whether it is more than chance, and what that means in a sentence.

use std::sync::Arc;

use serde::Serialize;

use super::metrics::summarise;
use super::pairs::{Paired, paired};
use super::run::{Run, TurnResult, case_name};
use super::significance::{Cluster, McNemar, bootstrap, mcnemar, sign_test};
use super::verdict::{FEWEST, different_sets, left_out, verdict};
use super::{Judged, RouteFigures};

/// What became of a turn from the first run to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlipKind {
    /// Wrong before, right now.
    Fixed,
    /// Right before, wrong now.
    Broken,
    /// Wrong in both, in different ways.
    Changed,
}

impl FlipKind {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Broken => "broken",
            Self::Changed => "changed",
        }
    }
}

/// A turn that two runs decide differently.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flip {
    pub id: Arc<str>,
    pub label: Arc<str>,
    /// The first run's decision; `None` for an error.
    pub a: Option<Arc<str>>,
    /// The second run's decision; `None` for an error.
    pub b: Option<Arc<str>>,
    pub kind: FlipKind,
    /// Line of the second run's set.
    pub line: usize,
    /// Position among the conversation's decided user turns, counted from 0.
    pub turn: usize,
    /// As [`TurnResult::sure`] has it, as the next one.
    pub confidence_a: Option<f32>,
    pub confidence_b: Option<f32>,
    /// Which edits of the policy cause it; `None` where that was not tried or makes no sense.
    pub cause: Option<Cause>,
    /// Position in the first run's turns.
    #[serde(skip)]
    pub at_a: usize,
    /// Position in the second run's turns.
    #[serde(skip)]
    pub at_b: usize,
}

impl Flip {
    /// Returns what people call the case: [`case_name`].
    pub fn name(&self) -> String {
        case_name(&self.id, self.turn)
    }
}

/// Which edits of the policy cause a flip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Each of these edits alone brings the second decision.
    Alone(Vec<String>),
    /// None does so alone, but without any of these the second decision is not reached.
    Needed(Vec<String>),
    /// Only several edits together.
    Together,
}

/// How far the causes of a comparison's flips were looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Causes {
    /// Nobody asked for them, or there is no flip.
    #[default]
    NotAsked,
    /// They could not be determined, and why.
    Unknown(String),
    /// They are known of so many flips; those that broke are looked into first.
    LookedInto(usize),
}

/// A route in two runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteDelta {
    pub route: String,
    pub support: usize,
    pub precision: [f64; 2],
    pub recall: [f64; 2],
    pub f1: [f64; 2],
}

/// Which of two runs is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    A,
    B,
    /// There are too few cases to tell, or there is nothing to tell.
    Unknown,
}

/// One of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    A,
    B,
}

/// A difference of agreement, second run minus first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub value: f64,
    /// 95 % bootstrap interval, whole conversations resampled.
    pub ci95: [f64; 2],
    pub resamples: usize,
    pub seed: u64,
}

/// Two runs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Turns that both runs decided; everything here is about them.
    pub cases: usize,
    /// Turns that only the first and only the second run measured.
    pub unmatched: [usize; 2],
    /// Of those that only the second run decided: turns with the id and the number of one of the first run, but another conversation, or none
    /// that is known to be the same.
    pub mismatched: usize,
    /// Turns that both runs measured and that the router of at least one gave no decision for.
    pub undecided: usize,
    /// Turns whose label differs between the runs.
    pub relabelled: usize,
    /// The run whose labels count where they differ.
    pub labels_of: Side,
    pub agreement: [f64; 2],
    pub difference: Difference,
    pub fixed: usize,
    pub broken: usize,
    pub changed: usize,
    /// Fixed first, then broken, then changed; in each in the order of the set.
    pub flips: Vec<Flip>,
    pub causes: Causes,
    pub mcnemar: McNemar,
    /// The exact sign test over conversations: in how many the first run decides more turns right (`b`), and the second (`c`). Conversations
    /// in which a run was stopped are left out.
    pub by_conversation: McNemar,
    pub per_route: Vec<RouteDelta>,
    pub better: Better,
    /// The result as a sentence, which says so when there are too few cases to tell.
    pub verdict: String,
}

impl Comparison {
    /// Returns the 95 % interval of the difference for people; `None` where too few conversations came out otherwise, or all came out alike:
    /// resampling what hardly differs gives a narrow interval, however little is known.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let ([low, high], McNemar { b, c, .. }) = (self.difference.ci95, self.by_conversation);
        (b + c >= FEWEST && low < high).then_some([low, high])
    }

    /// Returns why there is no interval, for people; `None` where there is one, and where nothing flipped, so that nobody asks for one.
    pub fn without_interval(&self) -> Option<&'static str> {
        let McNemar { b, c, .. } = self.by_conversation;
        match self.interval() {
            Some(_) => None,
            None if self.flips.is_empty() => None,
            None if b + c < FEWEST => Some("too few conversations came out differently for an interval"),
            None => Some("all conversations came out alike, which gives no interval"),
        }
    }
}

/// Compares two runs turn by turn. Turns belong together by their place where both measured the same file, otherwise by id and by what was said.
///
/// `names` stand for the runs in the verdict; `seed` is the bootstrap's. `present` is the SHA-256 of the set as it is now, where that is
/// known: where labels differ, those of the run that has it count, otherwise the second run's.
pub fn compare(a: &Run, b: &Run, names: [&str; 2], seed: u64, present: Option<&str>) -> Comparison {
    let Paired { pairs, mismatched } = paired(a, b);
    let is_present = |run: &Run| present == Some(run.info.set.sha256.as_str());
    let labels_of = if is_present(a) && !is_present(b) { Side::A } else { Side::B };
    let counted = count(a, b, &pairs, labels_of);
    let per_route = route_deltas(a, b, &counted.judged);
    let Counted { undecided, relabelled, right, clusters, mut flips, .. } = counted;
    flips.sort_by_key(|flip| flip.kind as u8);
    let of_kind = |kind| flips.iter().filter(|flip| flip.kind == kind).count();
    let (fixed, broken, changed) = (of_kind(FlipKind::Fixed), of_kind(FlipKind::Broken), of_kind(FlipKind::Changed));
    let cases = pairs.len() - undecided;
    let share = |right: usize| right as f64 / cases.max(1) as f64;
    let (ci95, resamples) = bootstrap(&clusters, seed);
    let difference = Difference { value: share(right[1]) - share(right[0]), ci95, resamples, seed };
    let (mcnemar, by_conversation) = (mcnemar(broken, fixed), sign_test(&clusters));
    let (better, verdict) = if mismatched > cases {
        (Better::Unknown, different_sets(cases, mismatched))
    } else {
        let counts = [cases, undecided];
        let (better, verdict) = verdict(counts, [fixed, broken, changed], [&mcnemar, &by_conversation], &difference, names);
        (better, verdict + &left_out(undecided))
    };
    Comparison {
        cases,
        unmatched: [a.turns.len() - pairs.len(), b.turns.len() - pairs.len()],
        mismatched,
        undecided,
        relabelled,
        labels_of,
        agreement: right.map(share),
        difference,
        fixed,
        broken,
        changed,
        flips,
        causes: Causes::NotAsked,
        mcnemar,
        by_conversation,
        per_route,
        better,
        verdict,
    }
}

/// What the turns of two runs add up to.
#[derive(Default)]
struct Counted {
    undecided: usize,
    relabelled: usize,
    /// Turns that each run decides right.
    right: [usize; 2],
    /// One for each conversation.
    clusters: Vec<Cluster>,
    /// What the figures by route are made of, for each run.
    judged: [Vec<Judged>; 2],
    /// In the order of the set.
    flips: Vec<Flip>,
}

/// Counts turns that belong together, by their positions in the two runs.
fn count(a: &Run, b: &Run, pairs: &[(usize, usize)], labels_of: Side) -> Counted {
    let (mut counted, mut last) = (Counted::default(), None);
    for &(at_a, at_b) in pairs {
        let (before, now) = (&a.turns[at_a], &b.turns[at_b]);
        if before.undecided || now.undecided {
            counted.undecided += 1;
            continue;
        }
        let label = match labels_of {
            Side::A => &before.label,
            Side::B => &now.label,
        };
        counted.relabelled += usize::from(before.label != now.label);
        let agrees = [before, now].map(|turn| turn.decided.as_ref() == Some(label));
        if last != Some(now.conversation) {
            let is_whole = !a.is_incomplete(before.conversation) && !b.is_incomplete(now.conversation);
            counted.clusters.push(Cluster { is_whole, ..Cluster::default() });
            last = Some(now.conversation);
        }
        if let Some(cluster) = counted.clusters.last_mut() {
            cluster.turns += 1;
            cluster.gain += i64::from(agrees[1]) - i64::from(agrees[0]);
        }
        for (side, turn) in [before, now].into_iter().enumerate() {
            counted.right[side] += usize::from(agrees[side]);
            counted.judged[side].push(Judged { label: label.to_string(), ..turn.judged() });
        }
        if before.decided != now.decided {
            counted.flips.push(flip([before, now], [at_a, at_b], label, agrees));
        }
    }
    counted
}

/// Returns the flip of a turn: in the first and the second run, with its positions there and whether each decides it right.
fn flip([before, now]: [&TurnResult; 2], [at_a, at_b]: [usize; 2], label: &Arc<str>, agrees: [bool; 2]) -> Flip {
    let kind = match agrees {
        [false, true] => FlipKind::Fixed,
        [true, false] => FlipKind::Broken,
        _ => FlipKind::Changed,
    };
    Flip {
        id: Arc::clone(&now.id),
        label: Arc::clone(label),
        a: before.decided.clone(),
        b: now.decided.clone(),
        kind,
        line: now.line,
        turn: now.turn,
        confidence_a: before.sure(),
        confidence_b: now.sure(),
        cause: None,
        at_a,
        at_b,
    }
}

/// Returns the figures of each route in both runs, in the order of the second run's labels; those that only the first run decided come last.
fn route_deltas(a: &Run, b: &Run, [judged_a, judged_b]: &[Vec<Judged>; 2]) -> Vec<RouteDelta> {
    let order: Vec<String> = b.info.labels.iter().chain(&a.info.labels).cloned().collect();
    let of_b = summarise(judged_b, order);
    // It has all routes of the other one, and the cases of both have the same labels.
    let of_a = summarise(judged_a, of_b.confusion.labels.iter().cloned());
    let delta = |before: &RouteFigures| {
        let now = of_b.per_route.iter().find(|now| now.route == before.route);
        let of = |figure: fn(&RouteFigures) -> f64| [figure(before), now.map_or(0.0, figure)];
        RouteDelta {
            route: before.route.clone(),
            support: before.support,
            precision: of(|figures| figures.precision),
            recall: of(|figures| figures.recall),
            f1: of(|figures| figures.f1),
        }
    };
    of_a.per_route.iter().map(delta).collect()
}

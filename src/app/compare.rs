//! What the Compare tab shows: kept runs beside a baseline, the cases that differ, and why.

use std::sync::Arc;

use super::word_diff::{Piece, changed_words};
use super::{RunId, RunView};
use crate::eval::{Cause, Comparison, Flip, FlipKind, Run, TurnResult, case_rows, compare};
use crate::formats::{DiffLine, policy_diff};
use crate::policy::{Policy, PolicyChange, policy_changes};

/// Seed of the bootstrap, the same as on the command line, so that both say the same.
const SEED: u64 = 0;

/// Unchanged lines around each changed one of the policies' texts.
const CONTEXT: usize = 2;

/// What is shown of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComparePart {
    /// Cases that were fixed, broken or changed.
    #[default]
    Flips,
    /// Every case under every run.
    Cases,
    Routes,
    /// The words that differ, and the flips that each of them causes.
    Policies,
}

/// What a panel of the Compare tab asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum CompareCommand {
    /// Compares the others with this run.
    Pin(RunId),
    /// Keeps the present baseline, or lets the first of the open variants take its place when they are measured.
    KeepBaseline(bool),
    /// Puts a run beside the baseline, or takes it away.
    Include(RunId, bool),
    /// Shows the comparison of the baseline with this run in detail.
    Focus(RunId),
    Rename(RunId, String),
    /// Asks whether to delete a run.
    Delete(RunId),
    ShowPart(ComparePart),
    /// Shows flips of one kind; `None` all.
    ShowKind(Option<FlipKind>),
    /// Lists only cases that not all runs decide alike.
    OnlyDifferent(bool),
    /// Opens a case in the Batch tab: a run, and a position in its turns.
    OpenCase(RunId, u32),
    /// Finds out which edit of the policy causes each flip, by making the edits one at a time.
    FindCauses,
}

/// A run that takes part in a comparison.
#[derive(Clone, Debug)]
pub struct Contender {
    pub id: RunId,
    pub name: String,
    pub view: Arc<RunView>,
}

/// One edit of those that turn the baseline's policy into the other, as far as a router sees it.
#[derive(Clone, Debug)]
pub struct PolicyStep {
    /// For people: "the description of bug_fixing".
    pub what: String,
    pub words: Vec<Piece>,
    /// As [`crate::policy::PolicyChange::caveat`].
    pub caveat: Option<&'static str>,
}

/// Several runs beside each other, computed once for each choice.
#[derive(Clone, Debug)]
pub struct ComparisonView {
    /// The baseline first.
    pub runs: Vec<Contender>,
    pub rows: Vec<CaseRow>,
    /// Positions in `rows` of those that differ.
    pub different: Vec<u32>,
    /// Position in `runs` of the one that is compared with the baseline in detail.
    pub focus: usize,
    pub comparison: Comparison,
    /// Positions of the flips of each kind: all, fixed, broken, changed.
    pub flips: [Vec<u32>; 4],
    /// The edits between the two policies; causes of flips name them by their words for people.
    pub steps: Vec<PolicyStep>,
    /// Positions of the flips that each of `steps` causes, once that is known.
    pub caused: Vec<Vec<u32>>,
    /// Flips that need several edits together.
    pub together: usize,
    /// The two policies' texts, line by line; empty where they say the same.
    pub lines: Vec<DiffLine>,
}

/// One case under every run: its position in each run's turns, `None` where a run has not got so far.
#[derive(Clone, Debug)]
pub struct CaseRow(pub Vec<Option<u32>>);

impl ComparisonView {
    /// Compares `runs`, of which there are at least two, and the first with the one at `focus` in detail. `present` is the SHA-256 of the set
    /// that is open.
    pub fn new(runs: Vec<Contender>, focus: usize, present: Option<&str>) -> Self {
        let compared: Vec<&Run> = runs.iter().map(|contender| &*contender.view.run).collect();
        let rows: Vec<CaseRow> = case_rows(&compared).into_iter().map(CaseRow).collect();
        let turn = |row: &CaseRow, run: usize| row.0[run].map(|at| &runs[run].view.run.turns[at as usize]);
        let decided = |row: &CaseRow, run: usize| turn(row, run).filter(|turn| !turn.undecided).map(|turn| turn.decided.clone());
        let differs =
            |row: &CaseRow| (1..runs.len()).any(|run| decided(row, run).is_some_and(|it| decided(row, 0).is_some_and(|base| it != base)));
        let different = positions(rows.iter().map(differs));
        let (a, b) = (&runs[0], &runs[focus]);
        let comparison = compare(&a.view.run, &b.view.run, [&a.name, &b.name], SEED, present);
        let of = |wanted: Option<FlipKind>| positions(comparison.flips.iter().map(|flip| wanted.is_none_or(|kind| flip.kind == kind)));
        let flips = [of(None), of(Some(FlipKind::Fixed)), of(Some(FlipKind::Broken)), of(Some(FlipKind::Changed))];
        let (before, after) = (&a.view.run.policy, &b.view.run.policy);
        let (steps, lines) = (steps(before, after), policy_diff(before, after, CONTEXT));
        Self { runs, rows, different, focus, comparison, flips, steps, caused: Vec::new(), together: 0, lines }
    }

    /// Sorts the flips by the edits that cause them, after their causes were written into the comparison: panels draw a few of them, and must
    /// not look through all in each frame.
    pub(super) fn sort_causes(&mut self) {
        self.caused = vec![Vec::new(); self.steps.len()];
        self.together = 0;
        for (at, flip) in self.comparison.flips.iter().enumerate() {
            match &flip.cause {
                Some(Cause::Alone(edits) | Cause::Needed(edits)) => {
                    let caused = self.steps.iter().zip(&mut self.caused).filter(|(step, _)| edits.contains(&step.what));
                    caused.for_each(|(_, flips)| flips.extend(u32::try_from(at)));
                }
                Some(Cause::Together) => self.together += 1,
                None => {}
            }
        }
    }

    /// Returns the flips of a kind, as positions in [`Comparison::flips`].
    pub fn flips_of(&self, kind: Option<FlipKind>) -> &[u32] {
        &self.flips[kind.map_or(0, |kind| kind as usize + 1)]
    }

    /// Returns a flip by its position.
    pub fn flip(&self, at: u32) -> Option<&Flip> {
        self.comparison.flips.get(at as usize)
    }

    /// Returns a case of a run.
    pub fn turn(&self, row: &CaseRow, run: usize) -> Option<&TurnResult> {
        self.runs[run].view.run.turns.get((*row.0.get(run)?)? as usize)
    }
}

fn steps(before: &Policy, after: &Policy) -> Vec<PolicyStep> {
    let step = |edit: PolicyChange| PolicyStep { words: changed_words(before, &edit), what: edit.to_string(), caveat: edit.caveat() };
    policy_changes(before, after).into_iter().map(step).collect()
}

fn positions(wanted: impl Iterator<Item = bool>) -> Vec<u32> {
    wanted.enumerate().filter(|(_, wanted)| *wanted).filter_map(|(at, _)| u32::try_from(at).ok()).collect()
}

/// What the tab shows.
#[derive(Debug)]
pub struct Compare {
    /// Runs beside the baseline.
    pub included: Vec<RunId>,
    /// The one of them that is compared in detail; the last one where it is `None`.
    pub focus: Option<RunId>,
    pub view: Option<Arc<ComparisonView>>,
    /// Whether a newer comparison is being computed.
    pub computing: bool,
    pub part: ComparePart,
    pub kind: Option<FlipKind>,
    pub only_different: bool,
    /// Whether the causes of the flips are being looked for.
    pub searching: bool,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            included: Vec::new(),
            focus: None,
            view: None,
            computing: false,
            part: ComparePart::Flips,
            kind: None,
            only_different: true,
            searching: false,
        }
    }
}

//! What the Batch tab shows: the open set, the run that is measured or looked at, and the case that is selected in it.

use std::path::PathBuf;
use std::sync::Arc;

use super::measure::Progressed;
use super::{CaseQuery, JobId, OpenSet, OpenedCase, Opening, RunId, RunView, Sample};
use crate::chat::Conversation;
use crate::decision::Decision;
use crate::eval::TurnResult;
use crate::formats::LabelledSet;
use crate::policy::{DialectId, Policy};

/// Which view of a run's figures is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    #[default]
    Matrix,
    Routes,
    Confidence,
    More,
}

/// What stands beside the figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchPart {
    #[default]
    Cases,
    Overlap,
    /// What is wrong with the set.
    Problems,
}

/// What a panel of the Batch tab asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum BatchCommand {
    OpenSet(PathBuf),
    /// Opens the labelled set that belongs to the policy on screen.
    OpenSample,
    /// Stops reading a set.
    CancelOpening,
    /// Measures in this dialect instead of the policy's own.
    SetDialect(Option<DialectId>),
    /// Measures the first conversations of the set only.
    SetLimit(Option<usize>),
    /// Demands this agreement of the run, between 0 and 1.
    SetGate(Option<f64>),
    /// Repeats each decision under this many other orders of the routes.
    SetOrders(usize),
    Query(CaseQuery),
    /// Selects a case, a position in the turns of the run.
    Select(Option<u32>),
    /// Selects the case some rows further down the table, or up.
    Step(i64),
    /// Corrects the label of a case, in the set's file too.
    Relabel {
        turn: u32,
        label: String,
    },
    /// Gives a case of the open set, by its position there, its first label. Where it is the selected one, the next is selected.
    Label {
        case: usize,
        label: String,
    },
    /// Selects a case of the open set that has no label yet, by its position there.
    SelectUnlabelled(Option<usize>),
    /// Selects the one some rows further down among these, or up.
    StepUnlabelled(i64),
    ShowFigure(Figure),
    ShowPart(BatchPart),
    /// Shows a kept run.
    ShowRun(RunId),
    /// Writes the report of the run on screen to a folder of its own in this one.
    SaveReport(PathBuf),
    /// Stops measuring; what is decided so far stays.
    Stop,
    /// Shows the cases of two routes that the router confuses.
    ShowPair(usize),
}

/// A measurement under way.
#[derive(Clone, Debug)]
pub struct Measuring {
    /// `None` while it is prepared.
    pub job: Option<JobId>,
    /// What is measured, for people.
    pub name: String,
    /// How far it was when results were counted last.
    pub progress: Progressed,
    /// Results that came since.
    pub fresh: usize,
    /// Variants that are measured after this one.
    pub waiting: usize,
    /// Its address tells this measurement from others, so that one that was stopped while it was prepared does not begin later.
    pub(super) ticket: Arc<()>,
}

impl Measuring {
    /// Returns how many turns are done.
    pub fn done(&self) -> usize {
        self.progress.done + self.fresh
    }

    /// Returns the done share, between 0 and 1.
    pub fn fraction(&self) -> f32 {
        self.done() as f32 / self.progress.planned.max(1) as f32
    }
}

/// A case that is looked at.
#[derive(Clone, Debug)]
pub struct OpenCase {
    /// In the turns of the run.
    pub position: u32,
    /// The conversation up to the message that was decided, or why it cannot be read.
    pub conversation: Result<Arc<Conversation>, String>,
    /// What the run keeps of the decision, in the shape that decisions are drawn in.
    pub decision: Decision,
    pub policy: Arc<Policy>,
    /// Whether the case was decided among routes of its own.
    pub own_routes: bool,
}

/// A case without a label that is looked at.
#[derive(Clone, Debug)]
pub struct Labelling {
    /// Position in the open set.
    pub case: usize,
    /// What was said up to the message that is to be labelled, or why it cannot be read; `None` while it is read.
    pub conversation: Option<Result<Arc<Conversation>, String>>,
}

/// What the tab shows.
#[derive(Debug, Default)]
pub struct Batch {
    pub set: Option<Arc<OpenSet>>,
    /// What is offered for the policy on screen.
    pub sample: Option<SampleSet>,
    /// The set that is being read.
    pub opening: Option<Opening>,
    /// `None` for the policy's own.
    pub dialect: Option<DialectId>,
    /// Conversations to measure, the first ones; `None` for all.
    pub limit: Option<usize>,
    /// The agreement that is demanded, between 0 and 1.
    pub gate: Option<f64>,
    /// Other orders of the routes to decide each turn under as well; 0 tests none.
    pub orders: usize,
    pub measuring: Option<Measuring>,
    /// The run on screen.
    pub view: Option<Arc<RunView>>,
    /// Which of the kept runs it is; `None` while it is measured.
    pub shown: Option<RunId>,
    pub query: CaseQuery,
    /// Positions in the run's turns, as the query wants them.
    pub rows: Arc<[u32]>,
    /// Rows of wrong cases, in the order of the table, as they were when the rows were found.
    pub(super) wrong: Arc<[usize]>,
    /// Where the selected case was in the table when either changed; [`Self::selected_row`] says whether it still is.
    pub(super) row: Option<usize>,
    /// Whether rows for a newer query are being found.
    pub filtering: bool,
    pub selected: Option<u32>,
    /// A row to bring into view, and a number that differs from wish to wish.
    pub reveal: Option<(usize, u64)>,
    pub case: Option<OpenCase>,
    /// The selected one of the open set's cases without a label.
    pub labelling: Option<Labelling>,
    /// The case that was opened in the Playground last, where something else decides there than in its run.
    pub opened: Option<OpenedCase>,
    pub figure: Figure,
    pub part: BatchPart,
    /// The pair of routes on screen, a position in the run's list of pairs.
    pub pair: usize,
    /// Corrections of labels that can be taken back, oldest first, and those that were.
    pub corrections: Vec<Correction>,
    pub undone: Vec<Correction>,
}

/// A labelled set that is offered for the policy on screen.
#[derive(Clone, Debug)]
pub enum SampleSet {
    /// The one beside the policy's file.
    File(PathBuf),
    /// That of a sample policy, which is part of the program.
    BuiltIn(&'static Sample),
}

/// A label that was corrected in the set's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Correction {
    pub set: PathBuf,
    /// Position of the case in the set: several may stand on one line.
    pub case: usize,
    pub line: usize,
    pub id: String,
    pub turn: usize,
    /// Empty where the case had no label.
    pub before: String,
    /// Empty where its first label is taken back.
    pub after: String,
}

impl Correction {
    /// Returns whether the case had no label before, or has none after: then the set has a case more or less.
    pub(super) fn changes_cases(&self) -> bool {
        self.before.is_empty() || self.after.is_empty()
    }

    /// Returns whether the other one is of the same label.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        (&self.set, self.case, self.line, &self.id, self.turn) == (&other.set, other.case, other.line, &other.id, other.turn)
    }
}

impl Batch {
    /// Asks for a row to be scrolled to.
    pub(super) fn bring_into_view(&mut self, row: usize) {
        let serial = self.reveal.map_or(0, |(_, serial)| serial + 1);
        self.reveal = Some((row, serial));
    }

    /// Returns the open set where it is a newer index of the same file than this one: Waypost itself may have rewritten it.
    pub(super) fn newer_set(&self, set: &Arc<LabelledSet>) -> Option<Arc<LabelledSet>> {
        let open = &self.set.as_ref()?.set;
        (open.path() == set.path() && !Arc::ptr_eq(open, set)).then(|| Arc::clone(open))
    }

    /// Returns the case that is selected.
    pub fn selected_turn(&self) -> Option<&TurnResult> {
        self.view.as_ref()?.run.turns.get(self.selected? as usize)
    }

    /// Returns the start of what the user said last in a case, where its set is open.
    pub fn preview(&self, turn: &TurnResult) -> Option<&str> {
        let view = self.view.as_ref()?;
        let set = &self.set.as_ref().filter(|open| open.set.path().as_os_str() == view.run.info.set.path.as_str())?.set;
        let entry = set.cases().get(turn.conversation).filter(|entry| entry.id == turn.id)?;
        Some(&entry.preview)
    }

    /// Looks the selected case up in the table, so that what asks for its row in every frame need not.
    pub(super) fn find_selected_row(&mut self) {
        self.row = self.selected.and_then(|selected| self.rows.iter().position(|row| *row == selected));
    }

    /// Returns the row of the selected case; `None` where the table does not list it.
    pub(super) fn selected_row(&self) -> Option<usize> {
        self.row.filter(|row| self.selected.is_some() && self.rows.get(*row) == self.selected.as_ref())
    }

    /// Returns the row and the position of the next wrong case after the selected one in the order of the table, or before it. Asked in every
    /// frame, so it takes no longer with many cases.
    pub fn next_wrong(&self, backwards: bool) -> Option<(usize, u32)> {
        self.view.as_ref()?;
        let at = match (self.selected_row(), backwards) {
            (Some(present), true) => self.wrong.partition_point(|row| *row < present).checked_sub(1)?,
            (Some(present), false) => self.wrong.partition_point(|row| *row <= present),
            (None, true) => return None,
            (None, false) => 0,
        };
        let row = *self.wrong.get(at)?;
        Some((row, *self.rows.get(row)?))
    }
}

//! What panels ask for. A panel never changes state that is not its own: it sends one of these, and [`super::App::run`] does it.

use std::path::PathBuf;

use super::{Action, BatchCommand, CheckCommand, CompareCommand, DocId, ExportCommand, JobId, RoutersCommand, Section, StudyKind};
use crate::chat::ConversationEdit;
use crate::policy::PolicyEdit;

/// A wish of the user, as data.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Does one of the actions of the table, unless something stands in its way.
    Perform(Action),
    EditPolicy(PolicyEdit),
    /// Replaces the policy by what this YAML says.
    EditYaml(String),
    EditConversation(ConversationEdit),
    Check(CheckCommand),
    Export(ExportCommand),
    Routers(RoutersCommand),
    /// Shows this route in the form.
    SelectRoute(usize),
    SelectPolicy(DocId),
    ClosePolicy(DocId),
    SelectConversation(DocId),
    /// Gives the conversation that is being tried another title on the shelf.
    RenameConversation(String),
    CloseConversation(DocId),
    /// Opens a file, whichever kind it is.
    Open(PathBuf),
    /// Opens a sample policy, a position in [`super::SAMPLES`].
    NewFromSample(usize),
    /// Writes a document to this file.
    SaveTo(DocId, PathBuf),
    ShowSection(Section),
    /// Shows the decision after one user message of the timeline; `None` the whole conversation's.
    ShowTurn(Option<usize>),
    Study(StudyKind),
    /// Tells what is in the text field of the import dialog.
    ImportText(String),
    /// Chooses one of the conversations that were understood.
    ImportChoose(usize),
    /// Lists those of them whose titles contain this text.
    ImportSearch(String),
    /// Takes the chosen conversation: in place of the present one, or beside it.
    ImportAccept {
        replace: bool,
    },
    /// Puts the listed conversations on the shelf, see [`super::Import::offered`].
    ImportAll,
    /// Asks where to write the listed conversations as a set without labels.
    AskImportSet,
    /// Writes them to this file.
    ImportSave(PathBuf),
    /// Chooses a label of the conversation that is about to be added to a set: of its user message at this position, counted from 0, where
    /// each has one.
    AddLabel {
        turn: usize,
        label: String,
    },
    /// Gives each user message of that conversation a label, or only the last one.
    AddPerTurn(bool),
    /// Chooses the set it is added to.
    AddSet(PathBuf),
    AddToSet,
    /// Asks where to make a new set.
    AskNewSet,
    /// Takes the policy of the configuration that was opened: in place of the present one, or beside it.
    ImportPolicy {
        replace: bool,
    },
    /// Answers the question that is asked.
    Answer(Answer),
    CloseDialog,
    Batch(BatchCommand),
    Compare(CompareCommand),
    SetZoom(f32),
    CancelJob(JobId),
    /// Takes back the wish for decisions; a set that is measured goes on.
    CancelRouting,
    /// Tells that the system opened no dialog to choose a file in.
    NoFileDialog,
    /// Takes a message off the screen; the log keeps it.
    Dismiss {
        entry: u64,
    },
}

/// The answers to [`super::Question`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Save,
    Discard,
    LoadFile,
    KeepMine,
    Cancel,
}

//! Everything the window shows.

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    AddToSet, Batch, BatchPart, Checks, Compare, DocId, Document, ExportState, FailedDecision, FileStamp, GatewayImport, Import, Job,
    JobKind, Library, Log, OutlineRow, PolicyText, Purpose, RouterPanel, RouterPhase, RouterSource, RouterStatus, RunId, Settings,
    ShownDecision, Study, StudyKind, Tab, proposed_name,
};
use crate::chat::{Conversation, Role};
use crate::dialect::RenderedPrompt;
use crate::policy::{DialectId, Policy};

/// What the decision panel shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    #[default]
    Result,
    Turns,
    Variants,
    Prompt,
    Order,
    Wording,
    History,
    Robustness,
    Shelf,
}

/// Something that was just made and that the user will want to write in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    RouteName,
    LastMessage,
}

/// A wish to bring something into view and to put the cursor there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reveal {
    pub target: Target,
    /// Differs from wish to wish, so that whoever draws follows each of them once.
    pub serial: u64,
}

/// What is asked before something could be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The document has changes that are in no file.
    Close(DocId),
    /// The document's file is not as it was, but as `found`; `saving` when it was about to be overwritten.
    Changed { document: DocId, found: FileStamp, saving: bool },
    /// Whether to delete a kept run from the disk.
    DeleteRun(RunId),
    /// The window is about to be closed, and with it changes are lost: to the documents of these titles, and labels of sets.
    CloseWindow(Vec<String>),
}

/// What stands in front of the window and takes the keyboard.
#[derive(Clone, Debug, PartialEq)]
pub enum Dialog {
    Palette,
    Import(Import),
    AddToSet(AddToSet),
    /// A gateway's configuration that was opened.
    Gateway(Box<GatewayImport>),
    Question(Question),
    /// What the documentation says about a code of the linter.
    Rule(&'static str),
    /// The policy is about to be exported although it was not tested as it is: why that is asked about.
    Untested(Vec<String>),
    /// Every router that can be chosen.
    Routers,
}

/// Which kind of document the last change was in, so that undo goes there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Policy,
    Conversation,
    /// The labels of the open set.
    Labels,
}

/// Everything the window shows. Panels read it; [`super::App`] alone changes it.
#[derive(Debug)]
pub struct State {
    /// Open policies; never empty.
    pub policies: Vec<Document<PolicyText>>,
    pub policy_index: usize,
    /// Position of the route in the form.
    pub selected: usize,
    /// Open conversations, the shelf; never empty.
    pub conversations: Vec<Document<Conversation>>,
    pub conversation_index: usize,
    pub last_edited: Side,
    /// What was undone, done again or saved last, for people: it may be out of view. `None` once something else was changed.
    pub last_done: Option<String>,
    pub reveal: Option<Reveal>,
    pub router: RouterStatus,
    /// Jobs that have not ended, oldest first.
    pub jobs: Vec<Job>,
    /// To route as soon as the router is there: by itself, since texts were changed, or as the user asked (`false`).
    pub route_when_loaded: Option<bool>,
    pub shown: Option<ShownDecision>,
    /// Why the last request that nobody asked for by hand failed, until there is a decision.
    pub(super) failed: Option<FailedDecision>,
    /// The decision before the last edit, which bars mark the change against.
    pub before_edit: Option<ShownDecision>,
    pub section: Section,
    pub studies: Vec<Study>,
    /// The user message whose decision is shown, a position in the conversation.
    pub turn: Option<usize>,
    /// What a gateway sends for the texts on screen, made anew when they change.
    pub prompt: Arc<RenderedPrompt>,
    pub batch: Batch,
    pub compare: Compare,
    /// The runs that are kept.
    pub library: Library,
    /// Tokens of a prompt as the router counts them, with the prompt that was counted.
    pub(super) counted: Option<(Arc<RenderedPrompt>, usize)>,
    /// What the linter says about the policy on screen.
    pub checks: Checks,
    pub export: ExportState,
    pub routers: RouterPanel,
    pub dialog: Option<Dialog>,
    pub log: Log,
    pub log_open: bool,
    pub settings: Settings,
}

impl State {
    /// Returns the policy that is being written.
    pub fn policy(&self) -> &Document<PolicyText> {
        &self.policies[self.policy_index.min(self.policies.len() - 1)]
    }

    /// Returns the routes that are being written.
    pub fn routes(&self) -> &Arc<Policy> {
        &self.policy().text.policy
    }

    /// Returns the conversation that is being tried.
    pub fn conversation(&self) -> &Document<Conversation> {
        &self.conversations[self.conversation_index.min(self.conversations.len() - 1)]
    }

    /// Returns the dialect that decisions are made in: the policy's own, or the usual one.
    pub fn dialect(&self) -> DialectId {
        self.routes().dialect.unwrap_or(DialectId::DEFAULT)
    }

    /// Returns the position of the route in the form, `None` when the policy has no routes.
    pub fn selected_route(&self) -> Option<usize> {
        self.routes().routes.len().checked_sub(1).map(|last| self.selected.min(last))
    }

    /// Returns the route above or below the selected one in the list, as long as it is of the same domain: routes stand under their domain
    /// whatever their order in the policy.
    pub fn neighbour(&self, below: bool) -> Option<usize> {
        let selected = OutlineRow::Route(self.selected_route()?);
        let rows = self.policy().text.outline();
        let place = rows.iter().position(|row| *row == selected)?;
        let place = if below { place.checked_add(1) } else { place.checked_sub(1) };
        match rows.get(place?)? {
            OutlineRow::Route(position) => Some(*position),
            OutlineRow::Domain(_) => None,
        }
    }

    /// Returns the document that Save writes and Close closes: what the tab is for.
    pub fn save_target(&self) -> (DocId, Option<&PathBuf>, String) {
        let (policy, conversation) = (self.policy(), self.conversation());
        match self.settings.tab {
            Tab::Playground => (conversation.id, conversation.path.as_ref(), proposed_name(&conversation.title, "json")),
            _ => (policy.id, policy.path.as_ref(), proposed_name(&policy.title, "yaml")),
        }
    }

    /// Returns whether an edit routes again by itself.
    pub fn is_live(&self) -> bool {
        self.settings.live.unwrap_or(self.router.source == RouterSource::Builtin)
    }

    /// Returns which document undo or redo works on: where both are in view the one changed last, unless only the other has a step left.
    pub fn undo_side(&self, redo: bool) -> Side {
        match self.settings.tab {
            Tab::Playground => Side::Conversation,
            Tab::Policy if self.is_docked() => {
                let other = if self.last_edited == Side::Policy { Side::Conversation } else { Side::Policy };
                let has_step = |side| self.step(side, redo).is_some();
                if !has_step(self.last_edited) && has_step(other) { other } else { self.last_edited }
            }
            Tab::Batch if self.batch.part != BatchPart::Overlap => Side::Labels,
            Tab::Policy | Tab::Batch | Tab::Compare | Tab::Export => Side::Policy,
        }
    }

    /// Returns whether the conversation is in view beside the policy.
    pub fn is_docked(&self) -> bool {
        self.settings.tab == Tab::Policy && self.settings.dock
    }

    /// Returns what undo would take back.
    pub fn undo_label(&self) -> Option<&'static str> {
        self.step(self.undo_side(false), false)
    }

    /// Returns what redo would do again.
    pub fn redo_label(&self) -> Option<&'static str> {
        self.step(self.undo_side(true), true)
    }

    fn step(&self, side: Side, redo: bool) -> Option<&'static str> {
        match (side, redo) {
            (Side::Policy, false) => self.policy().undo_label(),
            (Side::Policy, true) => self.policy().redo_label(),
            (Side::Conversation, false) => self.conversation().undo_label(),
            (Side::Conversation, true) => self.conversation().redo_label(),
            (Side::Labels, false) => self.batch.corrections.last().map(|_| "label"),
            (Side::Labels, true) => self.batch.undone.last().map(|_| "label"),
        }
    }

    /// Returns whether the user waits for a decision on the texts on screen.
    pub fn is_routing(&self) -> bool {
        let waits = |job: &Job| matches!(&job.kind, JobKind::Route { purpose: Purpose::Current { .. }, .. }) && !job.cancelling;
        self.route_when_loaded.is_some() || self.jobs.iter().any(waits)
    }

    /// Returns whether the shown decision belongs to older texts than those on screen, or to another router.
    pub fn is_shown_outdated(&self) -> bool {
        self.shown.as_ref().is_some_and(|shown| self.is_outdated(shown))
    }

    /// Returns whether the shown decision is that of the texts on screen, by the router that is loaded.
    pub(super) fn is_shown_current(&self) -> bool {
        self.shown.as_ref().is_some_and(|shown| !self.is_outdated(shown))
    }

    /// Returns whether a decision belongs to other texts than those on screen, or to another router.
    pub(super) fn is_outdated(&self, decision: &ShownDecision) -> bool {
        decision.is_outdated(self.routes(), &self.conversation().text, self.dialect(), &self.router)
    }

    /// Returns why there is no decision, and whether that is about the texts on screen: they were routed by themselves, and that failed.
    pub fn routing_failure(&self) -> Option<(&str, bool)> {
        let failed = self.failed.as_ref().filter(|_| !self.is_shown_current())?;
        let is_current = Arc::ptr_eq(&failed.policy, self.routes()) && Arc::ptr_eq(&failed.conversation, &self.conversation().text);
        Some((failed.sentence.as_str(), is_current))
    }

    /// Returns the label that the decision on the texts on screen has in a set, once it is made.
    pub(super) fn decided_label(&self) -> Option<String> {
        let shown = self.shown.as_ref().filter(|shown| !self.is_outdated(shown))?;
        shown.decision.label().map(str::to_owned)
    }

    /// Returns the study of a kind, if it was made.
    pub fn study(&self, kind: StudyKind) -> Option<&Study> {
        self.studies.iter().find(|study| study.kind == kind)
    }

    /// Returns whether rows of a study are still to be decided.
    pub fn is_studying(&self, wanted: StudyKind) -> bool {
        let is_row = |job: &Job| matches!(job.kind, JobKind::Route { purpose: Purpose::Study { kind, .. }, .. } if kind == wanted);
        self.jobs.iter().any(|job| is_row(job) && !job.cancelling)
    }

    /// Returns the job to tell the user about: the one the engine works on, or else the next.
    pub fn current_job(&self) -> Option<&Job> {
        // Counting is over before anybody could read about it.
        let told = || self.jobs.iter().filter(|job| !matches!(job.kind, JobKind::Count { .. }));
        told().find(|job| job.started).or_else(|| told().next())
    }

    /// Returns the tokens of the prompt on screen as the router counts them, once that is known; never for one that does not count.
    pub fn prompt_tokens(&self) -> Option<usize> {
        let counted = self.counted.as_ref().filter(|(prompt, _)| Arc::ptr_eq(prompt, &self.prompt)).map(|(_, tokens)| *tokens);
        let shown = || self.shown.as_ref().filter(|_| !self.is_shown_outdated()).map(|shown| shown.decision.tokens.prompt);
        counted.or_else(shown).filter(|tokens| *tokens > 0)
    }

    /// Returns why nothing can be routed now, or `None` when it can.
    pub fn routing_obstacle(&self) -> Option<&'static str> {
        if self.routes().routes.is_empty() {
            Some("Add a route first: the policy has none")
        } else if !self.has_question() {
            Some("Write a user message first: a gateway routes what the user said")
        } else {
            self.router_obstacle()
        }
    }

    fn router_obstacle(&self) -> Option<&'static str> {
        let is_missing = self.router.phase == RouterPhase::Absent || matches!(self.router.phase, RouterPhase::Failed(_));
        (is_missing && self.router.description.is_none()).then_some("Load a router first")
    }

    /// Returns why no other router can be loaded now: what is decided for one run, or for its causes, is decided by one router.
    pub fn router_change_obstacle(&self) -> Option<&'static str> {
        if self.batch.measuring.is_some() {
            Some("A set is being measured with this router; stop measuring first")
        } else {
            self.compare.searching.then_some("The causes of flips are being found with this router; cancel that first")
        }
    }

    /// Returns whether the user says something in the conversation on screen.
    pub fn has_question(&self) -> bool {
        has_question(&self.conversation().text)
    }

    /// Returns why nothing can be measured now, or `None` when it can.
    pub fn measuring_obstacle(&self) -> Option<&'static str> {
        if self.batch.measuring.is_some() {
            Some("A set is being measured")
        } else if self.batch.opening.is_some() {
            Some("The set is being read")
        } else if let Some(obstacle) = self.set_obstacle() {
            Some(obstacle)
        } else if let Some(obstacle) = self.policy().text.obstacle() {
            Some(obstacle)
        } else if self.routes().routes.is_empty() {
            Some("Add a route first: the policy has none")
        } else if self.router.phase == RouterPhase::Loading {
            Some("The router is being loaded")
        } else {
            self.router_obstacle()
        }
    }

    /// Returns why nothing can be measured on the open set, if one is open at all.
    fn set_obstacle(&self) -> Option<&'static str> {
        match &self.batch.set {
            None => Some("Open a labelled set first"),
            Some(open) if open.set.labelled() > 0 => None,
            Some(open) if open.set.unlabelled().is_empty() => Some("Repair the set or open another one: no case of it can be measured"),
            Some(_) => Some("Label a case of the set first: none has a label"),
        }
    }
}

/// Stops at the first user message that says something, so a long conversation costs no more than a short one.
pub(super) fn has_question(conversation: &Conversation) -> bool {
    conversation.messages.iter().any(|message| message.role == Role::User && !message.text().trim().is_empty())
}

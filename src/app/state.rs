//! Everything the window shows.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Job, JobKind, Log, RouterPhase, RouterStatus, ShownDecision};
use crate::chat::{Conversation, Role};
use crate::policy::{DialectId, Policy};

/// Which colours the window has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThemeChoice {
    #[default]
    System,
    Light,
    Dark,
}

/// What the user chose about the window itself.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub theme: ThemeChoice,
}

/// An open document: its present text, and where it comes from.
///
/// The text is shared with running jobs and shown decisions, so it is replaced, never changed, by an edit.
#[derive(Clone, Debug)]
pub struct Document<T> {
    pub text: Arc<T>,
    pub title: String,
    pub path: Option<PathBuf>,
}

impl<T: Clone + PartialEq> Document<T> {
    /// Returns a document that belongs to no file yet.
    pub fn untitled(title: impl Into<String>, text: T) -> Self {
        Self { text: Arc::new(text), title: title.into(), path: None }
    }

    /// Replaces the text by a changed copy, unless the change changes nothing.
    pub fn edit(&mut self, change: impl FnOnce(&mut T)) {
        let mut text = T::clone(&self.text);
        change(&mut text);
        if text != *self.text {
            self.text = Arc::new(text);
        }
    }
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

/// Everything the window shows. Panels read it; [`super::App`] alone changes it.
#[derive(Debug)]
pub struct State {
    pub policy: Document<Policy>,
    /// Position of the route in the form.
    pub selected: usize,
    pub conversation: Document<Conversation>,
    pub reveal: Option<Reveal>,
    pub router: RouterStatus,
    /// Jobs that have not ended, oldest first.
    pub jobs: Vec<Job>,
    /// Whether to route as soon as the router is there.
    pub route_when_loaded: bool,
    pub shown: Option<ShownDecision>,
    pub log: Log,
    pub log_open: bool,
    pub settings: Settings,
}

impl State {
    /// Returns the dialect that decisions are made in: the policy's own, or the usual one.
    pub fn dialect(&self) -> DialectId {
        self.policy.text.dialect.unwrap_or(DialectId::DEFAULT)
    }

    /// Returns the position of the route in the form, `None` when the policy has no routes.
    pub fn selected_route(&self) -> Option<usize> {
        self.policy.text.routes.len().checked_sub(1).map(|last| self.selected.min(last))
    }

    /// Returns whether the user waits for a decision.
    pub fn is_routing(&self) -> bool {
        self.route_when_loaded || self.jobs.iter().any(|job| matches!(job.kind, JobKind::Route { .. }) && !job.cancelling)
    }

    /// Returns whether the shown decision belongs to older texts than those on screen.
    pub fn is_shown_outdated(&self) -> bool {
        let is_outdated = |shown: &ShownDecision| shown.is_outdated(&self.policy.text, &self.conversation.text, self.dialect());
        self.shown.as_ref().is_some_and(is_outdated)
    }

    /// Returns the job to tell the user about: the one the engine works on, or else the next.
    pub fn current_job(&self) -> Option<&Job> {
        self.jobs.iter().find(|job| job.started).or_else(|| self.jobs.first())
    }

    /// Returns why nothing can be routed now, or `None` when it can.
    pub fn routing_obstacle(&self) -> Option<&'static str> {
        if self.policy.text.routes.is_empty() {
            Some("Add a route first: the policy has none")
        } else if !self.conversation.text.messages.iter().any(|message| message.role == Role::User && !message.text().trim().is_empty()) {
            Some("Write a user message first: a gateway routes what the user said")
        } else if self.router.phase == RouterPhase::Absent || matches!(self.router.phase, RouterPhase::Failed(_)) {
            self.router.description.is_none().then_some("Load a router first")
        } else {
            None
        }
    }
}

//! The decision on screen, together with what it was made from, and why there is none.

use std::sync::Arc;

use crate::chat::Conversation;
use crate::decision::Decision;
use crate::engine::RouterStamp;
use crate::policy::{DialectId, Policy};

use super::RouterStatus;

/// A decision and the exact texts that led to it.
#[derive(Clone, Debug)]
pub struct ShownDecision {
    pub decision: Arc<Decision>,
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
    pub dialect: DialectId,
    /// Of the router that decided, as [`RouterStatus::stamp`] gives it.
    pub stamp: Option<RouterStamp>,
}

/// Why there is no decision on some texts, which were routed by themselves.
#[derive(Clone, Debug)]
pub struct FailedDecision {
    /// What went wrong and what to do about it.
    pub sentence: String,
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
}

impl ShownDecision {
    /// Returns whether these texts are no longer the ones the decision was made from, or the router that is loaded is not the one that made it.
    ///
    /// Compares addresses: every edit makes a new text, and undoing it brings the old one back, so a decision that is valid again is shown so.
    pub fn is_outdated(&self, policy: &Arc<Policy>, conversation: &Arc<Conversation>, dialect: DialectId, router: &RouterStatus) -> bool {
        !Arc::ptr_eq(&self.policy, policy)
            || !Arc::ptr_eq(&self.conversation, conversation)
            || self.dialect != dialect
            || self.is_of_another(router)
    }

    /// Returns whether another router than the one that is loaded decided, if one is.
    pub fn is_of_another(&self, router: &RouterStatus) -> bool {
        router.info().is_some_and(|info| *info != self.decision.router || router.stamp() != self.stamp.as_ref())
    }
}

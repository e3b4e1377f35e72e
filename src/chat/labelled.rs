//! Labelled conversations: what a router is measured against.

use super::Conversation;
use crate::policy::Route;

/// One conversation and the decision that people expect for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledCase {
    /// Names the case in reports and comparisons.
    pub id: String,
    pub conversation: Conversation,
    pub expected: Expected,
    /// A policy of its own, for sets in which each case chooses between different routes.
    pub routes: Option<Vec<Route>>,
    /// Words by which reports group cases.
    pub tags: Vec<String>,
}

/// The expected routes of a conversation; [`crate::policy::NO_ROUTE_LABEL`] stands for no route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The route of the last user message.
    Last(String),
    /// The route of each user message, in their order.
    PerTurn(Vec<String>),
}

impl LabelledCase {
    /// Returns the decisions that the case takes: the conversation as a gateway has it at that user message, and the expected route.
    pub fn turns(&self) -> Vec<(Conversation, &str)> {
        let upto = |last: usize| Conversation::from(self.conversation.messages[..=last].to_vec());
        match &self.expected {
            // Exports end with the answer, which nobody has given yet when a gateway routes.
            Expected::Last(label) => {
                let asked = self.conversation.user_turns().last().map_or_else(|| self.conversation.clone(), upto);
                vec![(asked, label.as_str())]
            }
            Expected::PerTurn(labels) => {
                self.conversation.user_turns().zip(labels).map(|(last, label)| (upto(last), label.as_str())).collect()
            }
        }
    }
}

//! What is open at a first start: the coding assistant of `sample_policies/`, a conversation for it, and a labelled set to try.

use crate::chat::Conversation;
use crate::formats::{parse_conversation, parse_policy};
use crate::policy::Policy;

/// The texts are part of the program, so that a first start needs no files; a test reads both.
pub const POLICY: &str = include_str!("../../sample_policies/coding_assistant/policy.yaml");
const CONVERSATION: &str = include_str!("../../sample_policies/coding_assistant/conversations/quickstart.json");

/// The labelled set of the same policy.
pub const SET: &str = include_str!("../../sample_policies/coding_assistant/labelled.jsonl");

/// Returns whether the labels of [`SET`] are routes of a policy.
pub fn fits(policy: &Policy) -> bool {
    self::policy().routes.iter().all(|route| policy.route(&route.name).is_some())
}

/// Returns the five routes of Arch-Router's model card, each with its models.
pub fn policy() -> Policy {
    parse_policy(POLICY, "coding_assistant.yaml").map(|(policy, _)| policy).unwrap_or_default()
}

/// Returns the quickstart's conversation of the model card.
pub fn conversation() -> Conversation {
    parse_conversation(CONVERSATION, "quickstart.json").map(|(conversation, _)| conversation).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_can_be_read() {
        assert_eq!(super::policy().routes.len(), 5);
        assert_eq!(super::conversation().messages.len(), 1);
    }
}

//! What is open at a first start, the coding assistant of `sample_policies/` and a conversation for it, and the other samples, each with a
//! labelled set to try.

use std::path::PathBuf;

use super::files::is_policy;
use super::session::App;
use super::{DocId, Document, PolicyText};
use crate::chat::Conversation;
use crate::formats::{parse_conversation, parse_policy};
use crate::policy::Policy;

/// A policy of `sample_policies/` with its labelled set.
#[derive(Debug)]
pub struct Sample {
    /// The name of the policy.
    pub title: &'static str,
    /// The name of its folder.
    pub folder: &'static str,
    policy: &'static str,
    pub set: &'static str,
}

/// The texts are part of the program, so that a first start needs no files; a test reads them.
macro_rules! sample {
    ($title:literal, $folder:literal) => {
        Sample {
            title: $title,
            folder: $folder,
            policy: include_str!(concat!("../../sample_policies/", $folder, "/policy.yaml")),
            set: include_str!(concat!("../../sample_policies/", $folder, "/labelled.jsonl")),
        }
    };
}

/// Every sample; the first one is open at a first start.
pub static SAMPLES: [Sample; 5] = [
    sample!("Coding assistant", "coding_assistant"),
    sample!("Customer support", "customer_support"),
    sample!("Company assistant", "company_assistant"),
    sample!("General LLM", "general_llm"),
    sample!("Travel assistant", "travel"),
];

const CONVERSATION: &str = include_str!("../../sample_policies/coding_assistant/conversations/quickstart.json");

impl Sample {
    /// Returns the sample whose labels are routes of a policy.
    pub fn of(policy: &Policy) -> Option<&'static Self> {
        SAMPLES.iter().find(|sample| sample.policy().routes.iter().all(|route| policy.route(&route.name).is_some()))
    }

    fn policy(&self) -> Policy {
        parse_policy(self.policy, self.title).map(|(policy, _)| policy).unwrap_or_default()
    }

    /// Returns the policy as a document that is in no file.
    pub(super) fn document(&self, id: DocId) -> Document<PolicyText> {
        Document::new(id, self.title, PolicyText::from_file(self.policy(), self.policy))
    }
}

impl App {
    /// Opens what was asked for, and the samples where nothing is open. Policies first: what else is opened stands beside one.
    ///
    /// The samples are there before anything is opened and give way afterwards, since a file may turn out to hold something else than it looked
    /// like, and nothing of the window does without a policy and a conversation.
    pub(super) fn open_first(&mut self, files: &[PathBuf]) {
        let sample = self.state.policies.is_empty().then(|| self.next_id());
        self.state.policies.extend(sample.map(|id| SAMPLES[0].document(id)));
        let quickstart = self.state.conversations.is_empty().then(|| self.next_id());
        self.state.conversations.extend(quickstart.map(|id| Document::new(id, "Quickstart", conversation())));
        let (policies, others): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|path| is_policy(path));
        policies.into_iter().for_each(|path| self.open(path));
        if let Some(id) = sample.filter(|_| self.state.policies.len() > 1) {
            self.close_now(id);
        }
        others.into_iter().for_each(|path| self.open(path));
        if let Some(id) = quickstart.filter(|_| self.state.conversations.len() > 1) {
            self.close_now(id);
        }
    }
}

/// Returns the quickstart's conversation of the model card.
pub fn conversation() -> Conversation {
    parse_conversation(CONVERSATION, "quickstart.json").map(|(conversation, _)| conversation).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{SAMPLES, Sample, conversation};

    #[test]
    fn all_can_be_read_and_told_apart() {
        for sample in &SAMPLES {
            let policy = sample.policy();
            assert_eq!(policy.name.as_deref(), Some(sample.title));
            assert_eq!(Sample::of(&policy).map(|sample| sample.title), Some(sample.title));
        }
        assert_eq!(SAMPLES[0].policy().routes.len(), 5);
        assert_eq!(conversation().messages.len(), 1);
    }
}

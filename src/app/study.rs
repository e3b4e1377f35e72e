//! Questions that take several decisions: one conversation under each open policy, after each user turn, with parts of a description left out.
//!
//! Each is a list of rows that are decided one by one by ordinary routing jobs, so the engine knows nothing of studies.

use std::sync::Arc;

use crate::chat::Conversation;
use crate::decision::{Decision, RouterInfo};
use crate::policy::{DialectId, Policy, Route};

use super::DocId;

/// What is being studied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StudyKind {
    /// The route after each user message.
    Turns,
    /// The same conversation under each open policy.
    Variants,
    /// The same routes in other orders.
    Order,
    /// The description of one route with parts left out.
    Wording,
    /// The same conversation as each gateway version would ask.
    Gateways,
}

/// A study of the texts it was made from.
#[derive(Clone, Debug)]
pub struct Study {
    pub kind: StudyKind,
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
    /// Who decides the rows.
    pub router: Option<RouterInfo>,
    pub rows: Vec<StudyRow>,
}

/// One decision of a study.
#[derive(Clone, Debug)]
pub struct StudyRow {
    /// What is special about this row, for people.
    pub label: String,
    /// The message after which was routed, the policy that was used or the route that was changed.
    pub subject: Subject,
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
    pub dialect: DialectId,
    /// `None` until it is decided.
    pub result: Option<Result<Arc<Decision>, String>>,
}

/// What a row of a study is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Message(usize),
    Policy(DocId),
    Route(usize),
    Orders(usize),
    /// A position in [`crate::dialect::GATEWAYS`].
    Gateway(usize),
}

impl StudyRow {
    /// Returns the decision once it is made.
    pub fn decision(&self) -> Option<&Decision> {
        self.result.as_ref()?.as_ref().ok().map(Arc::as_ref)
    }
}

/// Returns the conversation as it was when each of the last `limit` user messages had just been sent.
pub fn turns(conversation: &Conversation, limit: usize) -> Vec<(usize, Conversation)> {
    let until = |end: usize| Conversation { messages: conversation.messages[..=end].to_vec() };
    let turns: Vec<usize> = conversation.user_turns().collect();
    turns[turns.len().saturating_sub(limit)..].iter().map(|&turn| (turn, until(turn))).collect()
}

/// Returns the route with its description left out, then with each sentence left out, each with a label.
pub fn without_parts(route: &Route) -> Vec<(String, Route)> {
    let with = |description: String| Route { description, ..route.clone() };
    let mut rows = vec![("As it is".to_owned(), route.clone()), ("Without its description".to_owned(), with(String::new()))];
    let parts = parts(&route.description);
    if parts.len() > 1 {
        for (left_out, part) in parts.iter().enumerate() {
            let rest: String = parts.iter().enumerate().filter(|(place, _)| *place != left_out).map(|(_, part)| *part).collect();
            rows.push((format!("Without “{}”", part.trim().trim_end_matches([',', '.', ';'])), with(rest.trim().to_owned())));
        }
    }
    rows
}

/// Cuts a description into sentences, or a single sentence at its commas.
fn parts(description: &str) -> Vec<&str> {
    let sentences: Vec<&str> = description.split_inclusive(['.', ';', '\n']).filter(|part| !part.trim().is_empty()).collect();
    if sentences.len() > 1 { sentences } else { description.split_inclusive(',').filter(|part| !part.trim().is_empty()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Role};

    #[test]
    fn turns_end_with_each_user_message() {
        let message = |role| Message::new(role, "x");
        let conversation = Conversation { messages: vec![message(Role::User), message(Role::Assistant), message(Role::User)] };
        let turns = turns(&conversation, 9);
        assert_eq!(turns.iter().map(|(turn, part)| (*turn, part.messages.len())).collect::<Vec<_>>(), [(0, 1), (2, 3)]);
    }

    #[test]
    fn sentences_are_left_out_one_by_one_and_a_single_one_is_cut_at_commas() {
        let rows = without_parts(&Route::new("a", "First. Second."));
        assert_eq!(
            rows.iter().map(|(_, route)| route.description.as_str()).collect::<Vec<_>>(),
            ["First. Second.", "", "Second.", "First."]
        );
        assert_eq!(without_parts(&Route::new("a", "one, two")).len(), 4);
        assert_eq!(without_parts(&Route::new("a", "one")).len(), 2);
    }
}

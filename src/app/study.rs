//! Questions that take several decisions: one conversation under each open policy, after each user turn, with parts of a description left
//! out, with its earlier messages left out, with its last message written a little differently.
//!
//! Each is a list of rows that are decided one by one by ordinary routing jobs, so the engine knows nothing of studies.

use std::sync::Arc;

use crate::chat::Conversation;
use crate::decision::{Decision, RouterInfo};
use crate::engine::RouterStamp;
use crate::policy::{DialectId, Policy, Route};

use super::state::{State, has_question};
use super::{DocId, Document, PolicyText};

/// Conversations of the shelf that are routed at once, the newest ones.
const SHELF: usize = 60;

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
    /// Each conversation of the shelf, under the policy as it is and as it was saved.
    Shelf,
    /// The same conversation without its earlier messages.
    History,
    /// The same conversation with small changes of its last user message.
    Robustness,
}

/// A study of the texts it was made from.
#[derive(Clone, Debug)]
pub struct Study {
    pub kind: StudyKind,
    pub policy: Arc<Policy>,
    pub conversation: Arc<Conversation>,
    /// Who decides the rows.
    pub router: Option<RouterInfo>,
    /// Of that router, as [`super::RouterStatus::stamp`] gives it.
    pub stamp: Option<RouterStamp>,
    pub rows: Vec<StudyRow>,
    /// Turns of the conversation, or conversations of the shelf, that have no row since there are newer ones enough.
    pub left_out: usize,
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
    /// The conversation as it is, which the changed ones are compared with.
    Original,
    Changed,
    /// A conversation, under the policy as it is or as it was saved.
    Shelf {
        conversation: DocId,
        saved: bool,
    },
}

impl StudyRow {
    /// Returns the decision once it is made.
    pub fn decision(&self) -> Option<&Decision> {
        self.result.as_ref()?.as_ref().ok().map(Arc::as_ref)
    }
}

impl State {
    /// Returns whether a study is of older texts than those on screen, or of another router.
    pub fn is_study_outdated(&self, study: &Study) -> bool {
        let is_of_conversation = Arc::ptr_eq(&study.conversation, &self.conversation().text);
        let is_of_texts = match study.kind {
            StudyKind::Shelf => self.is_of_shelf(study),
            StudyKind::Variants => is_of_conversation && self.is_of_variants(study),
            _ => is_of_conversation,
        };
        !is_of_texts || !Arc::ptr_eq(&study.policy, self.routes()) || !self.is_of_router(study)
    }

    fn is_of_router(&self, study: &Study) -> bool {
        (study.router.as_ref(), study.stamp.as_ref()) == (self.router.info(), self.router.stamp())
    }

    fn is_of_shelf(&self, study: &Study) -> bool {
        let rows =
            |wanted: bool| study.rows.iter().filter(move |row| matches!(row.subject, Subject::Shelf { saved, .. } if saved == wanted));
        let conversations = self.shelf().map(|document| Arc::as_ptr(&document.text));
        rows(false).map(|row| Arc::as_ptr(&row.conversation)).eq(conversations)
            && rows(true).next().map(|row| Arc::as_ptr(&row.policy)) == self.saved_policy().map(Arc::as_ptr)
    }

    fn is_of_variants(&self, study: &Study) -> bool {
        let rows = study.rows.iter().map(|row| (row.subject, Arc::as_ptr(&row.policy)));
        rows.eq(self.variants().map(|document| (Subject::Policy(document.id), Arc::as_ptr(&document.text.policy))))
    }

    /// Returns the open policies that have routes to choose from.
    pub(super) fn variants(&self) -> impl Iterator<Item = &Document<PolicyText>> {
        self.policies.iter().filter(|document| !document.text.policy.routes.is_empty())
    }

    /// Returns the newest conversations of the shelf in which a user says something.
    pub(super) fn shelf(&self) -> impl Iterator<Item = &Document<Conversation>> {
        self.said().skip(self.shelf_surplus())
    }

    /// Returns how many conversations in which a user says something are too old for [`Self::shelf`].
    pub(super) fn shelf_surplus(&self) -> usize {
        self.said().count().saturating_sub(SHELF)
    }

    fn said(&self) -> impl Iterator<Item = &Document<Conversation>> {
        self.conversations.iter().filter(|document| has_question(&document.text))
    }

    /// Returns the policy on screen as it was saved, where it was changed since.
    pub(super) fn saved_policy(&self) -> Option<&Arc<Policy>> {
        let saved = &self.policy().saved()?.policy;
        (!Arc::ptr_eq(saved, self.routes()) && !saved.routes.is_empty()).then_some(saved)
    }

    /// Returns what the last study of the shelf found for a conversation under a policy, which needs no second pass.
    pub(super) fn shelf_result(&self, policy: &Arc<Policy>, conversation: &Arc<Conversation>) -> Option<Result<Arc<Decision>, String>> {
        let study = self.study(StudyKind::Shelf).filter(|study| self.is_of_router(study))?;
        let is_it = |row: &&StudyRow| Arc::ptr_eq(&row.policy, policy) && Arc::ptr_eq(&row.conversation, conversation);
        study.rows.iter().find(is_it)?.result.clone().filter(Result::is_ok)
    }
}

/// Returns the conversation as it was when each of the last `limit` user messages had just been sent.
pub fn turns(conversation: &Conversation, limit: usize) -> Vec<(usize, Conversation)> {
    let until = |end: usize| Conversation::from(conversation.messages[..=end].to_vec());
    let turns: Vec<usize> = conversation.user_turns().collect();
    turns[turns.len().saturating_sub(limit)..].iter().map(|&turn| (turn, until(turn))).collect()
}

/// Returns the positions of the user messages that say something.
pub fn questions(conversation: &Conversation) -> Vec<usize> {
    conversation.user_turns().filter(|&turn| !conversation.messages[turn].text().trim().is_empty()).collect()
}

/// Returns the end of the conversation from its last user message on, and longer ends of at least so many messages, each with where it
/// begins: at a user message, since an answer without its question is no conversation. What is as long as the whole is left out.
pub fn ends(conversation: &Conversation) -> Vec<(usize, Conversation)> {
    const LENGTHS: [usize; 2] = [2, 4];
    let questions = questions(conversation);
    let holding = |length: usize| questions.iter().rfind(|turn| **turn + length <= conversation.messages.len());
    let mut starts: Vec<usize> = questions.last().into_iter().chain(LENGTHS.into_iter().filter_map(holding)).copied().collect();
    starts.retain(|start| *start > 0);
    starts.dedup();
    starts.into_iter().map(|start| (start, Conversation::from(conversation.messages[start..].to_vec()))).collect()
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
    let sentences = sentences(description);
    if sentences.len() > 1 { sentences } else { description.split_inclusive(',').filter(|part| !part.trim().is_empty()).collect() }
}

fn sentences(description: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, mark) in description.match_indices(['.', ';', '\n']) {
        let (sentence, rest) = (&description[start..at + mark.len()], &description[at + mark.len()..]);
        // A stop inside a word, as in Node.js, ends no sentence.
        if mark == "\n" || rest.is_empty() || rest.starts_with(char::is_whitespace) {
            sentences.push(sentence);
            start = at + mark.len();
        }
    }
    sentences.push(&description[start..]);
    sentences.retain(|sentence| !sentence.trim().is_empty());
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Role};

    #[test]
    fn turns_end_with_each_user_message() {
        let message = |role| Message::new(role, "x");
        let conversation = Conversation::from(vec![message(Role::User), message(Role::Assistant), message(Role::User)]);
        let turns = turns(&conversation, 9);
        assert_eq!(turns.iter().map(|(turn, part)| (*turn, part.messages.len())).collect::<Vec<_>>(), [(0, 1), (2, 3)]);
    }

    #[test]
    fn ends_begin_at_user_messages_and_are_shorter_than_the_whole() {
        let message = |role| Message::new(if role == 'u' { Role::User } else { Role::Assistant }, "x");
        let talk = |roles: &str| Conversation::from(roles.chars().map(message).collect::<Vec<_>>());
        let lengths = |roles: &str| ends(&talk(roles)).iter().map(|(_, end)| end.messages.len()).collect::<Vec<_>>();
        assert_eq!(lengths("u"), [0; 0]);
        assert_eq!(lengths("uau"), [1]);
        assert_eq!(lengths("uauau"), [1, 3]);
        assert_eq!(lengths("uauauau"), [1, 3, 5]);
        assert_eq!(lengths("uuuuuu"), [1, 2, 4]);
        assert_eq!(lengths("uauaua"), [2, 4], "an answer after the last question is no earlier conversation");
        let mut unsaid = talk("uauau");
        unsaid.messages[4] = Message::new(Role::User, " ");
        assert_eq!(ends(&unsaid).iter().map(|(start, _)| *start).collect::<Vec<_>>(), [2]);
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
        assert_eq!(parts("Node.js and ASP.NET. Go 1.22; Rust"), ["Node.js and ASP.NET.", " Go 1.22;", " Rust"]);
        assert_eq!(without_parts(&Route::new("a", "Node.js and ASP.NET")).len(), 2, "a stop inside a word ends nothing");
    }
}

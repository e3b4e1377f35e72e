//! Which messages of a conversation reach the router, and in what length.

use std::fmt;

use super::template::{BYTES_PER_TOKEN, default_budget, estimated_tokens, template_tokens};
use super::trim::{Trim, trim_middle};
use crate::chat::{Conversation, Message, Role};
use crate::policy::DialectId;

/// The most messages that Plano 0.4.20 and later send, counted after roles and empty texts are left out (`MAX_ROUTING_TURNS`, which
/// despite its name counts messages).
pub const WINDOW: usize = 16;

/// What became of each message of a conversation: every index is either in `kept` or in `dropped`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The budget and what was used of it; `None` for the model card, which cuts nothing.
    pub budget: Option<Budget>,
    /// What is sent, in the order of the conversation.
    pub kept: Vec<Kept>,
    /// What is not sent, in the order of the conversation.
    pub dropped: Vec<Dropped>,
}

/// A gateway's account of a prompt's length, in its own estimated tokens (a quarter of the bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What the gateway allows.
    pub limit: usize,
    /// The prompt's fixed text and every text that is sent; routes are not counted. Above `limit` where the gateway sends a message
    /// whole although it does not fit.
    pub used: usize,
}

/// One message that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Position in the conversation.
    pub index: usize,
    /// Who wrote it.
    pub role: Role,
    /// Exactly what is sent, before JSON escaping.
    pub text: String,
    /// How it fared with the budget.
    pub fit: Fit,
}

/// How a message that is sent fared with the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is sent whole and fits.
    Whole,
    /// It is sent whole although it does not fit: the newest message that does not fit is the user's (archgw 0.3.1 to Plano 0.4.19), or
    /// without it nothing would be sent.
    WholeOverBudget,
    /// Its middle was cut out (Plano 0.4.20 and later).
    Trimmed(Trim),
}

impl Fit {
    /// Returns what became of a message that is not simply sent, as what follows "Message 3" in a sentence; `None` where nothing did.
    pub fn clause(self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::WholeOverBudget => Some("is sent whole although it exceeds the budget".to_owned()),
            Self::Trimmed(trim) => Some(format!("has {} of {} bytes cut out of its middle", trim.cut_bytes(), trim.original_bytes)),
        }
    }
}

/// One message that is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Position in the conversation.
    pub index: usize,
    /// Why it is not sent.
    pub reason: DropReason,
}

/// Why a message is not sent; displays as a clause for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Only the user's and the assistant's messages reach a router.
    Role,
    /// As [`Self::Role`], in the dialect of archgw 0.3.1 to Plano 0.4.18, of which most versions do something else with the role.
    Developer,
    /// The text is empty: nothing but tool calls, images or an empty string. White space alone is a text.
    EmptyText,
    /// Older than the last [`WINDOW`] messages.
    BeyondWindow,
    /// Older than what fits the budget, or itself too long.
    OverBudget,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role => f.write_str("the gateway does not send this role to the router"),
            Self::Developer => f.write_str(
                "Plano 0.4.17 and 0.4.18 do not send this role to the router; archgw 0.3.11 to Plano 0.4.16 refuse the request, up to 0.3.10 \
                 the message is sent",
            ),
            Self::EmptyText => f.write_str("it has no text"),
            Self::BeyondWindow => write!(f, "it is older than the last {WINDOW} messages"),
            Self::OverBudget => f.write_str("it does not fit the token budget"),
        }
    }
}

/// Returns what a dialect sends of a conversation. `budget` is in estimated tokens, `None` stands for the dialect's default.
pub(super) fn select(dialect: DialectId, conversation: &Conversation, budget: Option<usize>) -> Selection {
    let Some(default) = default_budget(dialect) else { return keep_everything(conversation) };
    let limit = budget.unwrap_or(default);

    let mut dropped = Vec::new();
    let mut candidates = Vec::new();
    for (index, message) in conversation.messages.iter().enumerate() {
        match unsent(dialect, message) {
            None => candidates.push(Kept { index, role: message.role, text: message.text().into_owned(), fit: Fit::Whole }),
            Some(reason) => dropped.push(Dropped { index, reason }),
        }
    }
    if dialect == DialectId::Plano0420 {
        let older = candidates.len().saturating_sub(WINDOW);
        dropped.extend(candidates.drain(..older).map(|kept| Dropped { index: kept.index, reason: DropReason::BeyondWindow }));
    }

    let mut used = template_tokens(dialect);
    let mut kept = Vec::new();
    while let Some(mut newest) = candidates.pop() {
        let cost = estimated_tokens(&newest.text);
        if used + cost <= limit {
            used += cost;
            kept.push(newest);
            continue;
        }
        // The first message that does not fit ends the walk, even where an older and shorter one would fit.
        let overflow = overflow(dialect, limit.saturating_sub(used), &newest);
        if let Some((text, fit)) = overflow.or_else(|| kept.is_empty().then(|| (newest.text.clone(), Fit::WholeOverBudget))) {
            used += estimated_tokens(&text);
            (newest.text, newest.fit) = (text, fit);
            kept.push(newest);
        } else {
            candidates.push(newest);
        }
        break;
    }
    dropped.extend(candidates.iter().map(|kept| Dropped { index: kept.index, reason: DropReason::OverBudget }));

    kept.reverse();
    dropped.sort_by_key(|dropped| dropped.index);
    Selection { budget: Some(Budget { limit, used }), kept, dropped }
}

/// Returns whether less of a conversation is sent than was said in it: older messages are left out, or the middle of one is. Roles that are
/// never sent do not count. `budget` is that of [`super::render`].
pub fn is_cut(dialect: DialectId, conversation: &Conversation, budget: Option<usize>) -> bool {
    let Selection { kept, dropped, .. } = select(dialect, conversation, budget);
    dropped.iter().any(|dropped| matches!(dropped.reason, DropReason::BeyondWindow | DropReason::OverBudget))
        || kept.iter().any(|kept| matches!(kept.fit, Fit::Trimmed(_)))
}

/// Returns what is sent of the newest message that does not fit into the `room` left of the budget, if anything is.
fn overflow(dialect: DialectId, room: usize, message: &Kept) -> Option<(String, Fit)> {
    if message.role != Role::User {
        return None;
    }
    if dialect != DialectId::Plano0420 {
        return Some((message.text.clone(), Fit::WholeOverBudget));
    }
    if room == 0 {
        return None;
    }
    let (text, trim) = trim_middle(&message.text, room.saturating_mul(BYTES_PER_TOKEN));
    Some((text, trim.map_or(Fit::Whole, Fit::Trimmed)))
}

/// Returns why gateways never send a message, even where there is room.
fn unsent(dialect: DialectId, message: &Message) -> Option<DropReason> {
    match message.role {
        Role::Developer if dialect == DialectId::Archgw031 => Some(DropReason::Developer),
        Role::System | Role::Developer | Role::Tool => Some(DropReason::Role),
        Role::User | Role::Assistant => message.text().is_empty().then_some(DropReason::EmptyText),
    }
}

/// Returns whether a gateway of any version sends nothing of these messages. It asks the router all the same, about an empty conversation.
pub fn says_nothing(messages: &[Message]) -> bool {
    messages.iter().all(|message| unsent(DialectId::Plano0420, message).is_some())
}

/// Returns the selection of the model card's quickstart, which hands the whole list to `json.dumps`: every role, empty texts too.
fn keep_everything(conversation: &Conversation) -> Selection {
    let kept = conversation
        .messages
        .iter()
        .enumerate()
        .map(|(index, message)| Kept { index, role: message.role, text: message.text().into_owned(), fit: Fit::Whole })
        .collect();
    Selection { budget: None, kept, dropped: Vec::new() }
}

//! Changes to a conversation as values, so that whoever shows a conversation can ask for a change without owning it.

use super::{Content, Conversation, Message, Role};

/// One change to a conversation. Positions refer to [`Conversation::messages`]; a position past its end changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationEdit {
    SetRole {
        message: usize,
        role: Role,
    },
    /// Replaces whatever the message said, parts that are no text included.
    SetText {
        message: usize,
        text: String,
    },
    /// Adds an empty message at the end, written by whoever's turn it is.
    AddMessage,
    RemoveMessage {
        message: usize,
    },
}

impl ConversationEdit {
    /// Changes `conversation`.
    pub fn apply(self, conversation: &mut Conversation) {
        let messages = &mut conversation.messages;
        match self {
            Self::SetRole { message, role } => {
                if let Some(message) = messages.get_mut(message) {
                    message.role = role;
                }
            }
            Self::SetText { message, text } => {
                if let Some(message) = messages.get_mut(message) {
                    message.content = Content::Text(text);
                }
            }
            Self::AddMessage => {
                let role = if messages.last().is_some_and(|last| last.role == Role::User) { Role::Assistant } else { Role::User };
                messages.push(Message::new(role, ""));
            }
            Self::RemoveMessage { message } => {
                if message < messages.len() {
                    messages.remove(message);
                }
            }
        }
    }
}

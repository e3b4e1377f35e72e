//! Changes to a conversation as values, so that whoever shows a conversation can ask for a change without owning it.

use super::{Content, Conversation, Message, Part, Role};

/// One change to a conversation. Positions refer to [`Conversation::messages`]; a position past its end changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConversationEdit {
    SetRole {
        message: usize,
        role: Role,
    },
    /// Replaces what the message said; images and other parts that are no text stay.
    SetText {
        message: usize,
        text: String,
    },
    /// Adds an empty message at the end, written by whoever's turn it is.
    AddMessage,
    RemoveMessage {
        message: usize,
    },
    /// Takes the message out and puts it where `to` is.
    MoveMessage {
        message: usize,
        to: usize,
    },
    /// Puts another conversation in place of this one.
    Replace(Conversation),
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
                    set_text(&mut message.content, text);
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
            Self::MoveMessage { message, to } => {
                if message < messages.len() && to < messages.len() {
                    let moved = messages.remove(message);
                    messages.insert(to, moved);
                }
            }
            Self::Replace(mut other) => {
                // The keys of the file stay where the other brings none: they are about where the conversation is used. So is its shape.
                if other.extra.is_empty() {
                    other.extra = std::mem::take(&mut conversation.extra);
                }
                other.is_list = conversation.is_list;
                *conversation = other;
            }
        }
    }

    /// Returns what changes, for menus: "Undo: message".
    pub fn label(&self) -> &'static str {
        match self {
            Self::SetRole { .. } => "role",
            Self::SetText { .. } => "message",
            Self::AddMessage => "new message",
            Self::RemoveMessage { .. } => "removed message",
            Self::MoveMessage { .. } => "order of messages",
            Self::Replace(_) => "import",
        }
    }

    /// Returns the message that is being typed in, `None` for changes that are done at once.
    pub fn typed_in(&self) -> Option<usize> {
        match self {
            Self::SetText { message, .. } => Some(*message),
            _ => None,
        }
    }
}

fn set_text(content: &mut Content, text: String) {
    let is_text = |part: &Part| matches!(part, Part::Text(_));
    if let Content::Parts(parts) = content
        && !parts.iter().all(is_text)
    {
        let first = parts.iter().position(is_text).unwrap_or(0);
        parts.retain(|part| !is_text(part));
        parts.insert(first, Part::Text(text));
        return;
    }
    *content = Content::Text(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_stays_when_the_text_of_a_message_changes() {
        let (image, said) = (Part::Other("{\"type\":\"image_url\"}".to_owned()), |text: &str| Part::Text(text.to_owned()));
        let changed = |parts: Vec<Part>| {
            let message = Message { content: Content::Parts(parts), ..Message::new(Role::User, "") };
            let mut conversation = Conversation::from(vec![message]);
            ConversationEdit::SetText { message: 0, text: "new".to_owned() }.apply(&mut conversation);
            conversation.messages.remove(0).content
        };
        assert_eq!(changed(vec![image.clone(), said("a"), said("b")]), Content::Parts(vec![image.clone(), said("new")]));
        assert_eq!(changed(vec![image.clone()]), Content::Parts(vec![said("new"), image]));
        assert_eq!(changed(vec![said("a"), said("b")]), Content::Text("new".to_owned()), "what has texts alone is one text");
    }
}

//! Conversations as in the OpenAI chat format, independent of any file format.

mod edit;
pub mod labelled;

use std::fmt;

pub use edit::ConversationEdit;

/// Who wrote a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

impl Role {
    /// Every role that gateways accept. `function` and unknown roles make them refuse the request.
    pub const ALL: [Self; 5] = [Self::System, Self::Developer, Self::User, Self::Assistant, Self::Tool];

    /// Returns the role as requests spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }

    /// Returns the role with exactly this spelling.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a message says: absent (tool calls only), one text, or parts of which only texts reach a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Null,
    Text(String),
    Parts(Vec<Part>),
}

/// One part of a message in parts form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// Anything but text (an image, audio), as compact JSON text. No router ever sees it.
    Other(String),
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub role: Role,
    pub content: Content,
    /// Other keys of the message (`name`, `tool_calls`), the value as compact JSON text: kept for saving, never sent to a router.
    pub extra: crate::policy::ExtraKeys,
}

impl Message {
    /// Returns a plain text message.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: Content::Text(text.into()), extra: Vec::new() }
    }

    /// Returns the text a router would see: text parts joined by a line feed, other parts left out, empty when there is none.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match &self.content {
            Content::Null => "".into(),
            Content::Text(text) => text.into(),
            Content::Parts(parts) => {
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::Text(text) => Some(text.as_str()),
                        Part::Other(_) => None,
                    })
                    .collect();
                texts.join("\n").into()
            }
        }
    }
}

/// Messages in the order they were said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub messages: Vec<Message>,
    /// Other keys of the file (`model`, `metadata`), the value as compact JSON text: kept for saving, never sent to a router.
    pub extra: crate::policy::ExtraKeys,
    /// Whether the file is the list of messages alone, without an object around it; kept for saving. Other keys need an object all the same.
    pub is_list: bool,
}

impl From<Vec<Message>> for Conversation {
    /// Returns a conversation of these messages alone.
    fn from(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }
}

impl Conversation {
    /// Returns a conversation of one user message.
    pub fn from_prompt(text: impl Into<String>) -> Self {
        vec![Message::new(Role::User, text)].into()
    }

    /// Returns the positions of the user's messages: the turns at which a gateway routes.
    pub fn user_turns(&self) -> impl Iterator<Item = usize> + '_ {
        self.messages.iter().enumerate().filter(|(_, message)| message.role == Role::User).map(|(index, _)| index)
    }
}

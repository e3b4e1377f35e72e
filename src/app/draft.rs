//! How open documents are kept between two starts: a format of its own, since a draft may be what no policy file can hold, for example
//! two routes of one name while the second is being renamed.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{DocId, Document, FileStamp, PolicyText};
use crate::chat::{Content, Conversation, Message, Part, Role};
use crate::policy::{DialectId, Policy, Route};

/// What was open, in the order of its tabs.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Session {
    pub settings: Settings,
    pub policies: Vec<u64>,
    pub policy_index: usize,
    pub conversations: Vec<u64>,
    pub conversation_index: usize,
}

/// One open document.
#[derive(Serialize, Deserialize)]
pub struct Draft {
    title: String,
    /// What it is called where its text says nothing; drafts of older versions know only the title.
    #[serde(default)]
    given: Option<String>,
    path: Option<PathBuf>,
    /// Milliseconds since 1970 and size of the file when it was last read or written.
    stamp: Option<(u64, u64)>,
    /// Of the file's text at that time.
    #[serde(default)]
    digest: Option<u64>,
    modified: bool,
    text: DraftText,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DraftText {
    Policy {
        policy: DraftPolicy,
        yaml: Option<String>,
    },
    Conversation {
        messages: Vec<DraftMessage>,
        /// Drafts of older versions have none.
        #[serde(default)]
        extra: Vec<(String, String)>,
        /// Drafts of older versions become objects, as those versions saved them.
        #[serde(default)]
        is_list: bool,
    },
}

#[derive(Serialize, Deserialize)]
struct DraftPolicy {
    name: Option<String>,
    dialect: Option<DialectId>,
    /// Drafts of older versions have none.
    #[serde(default)]
    budget: Option<usize>,
    fallback: Option<String>,
    routes: Vec<DraftRoute>,
    extra: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct DraftRoute {
    name: String,
    description: String,
    domain: Option<String>,
    action: Option<String>,
    models: Vec<String>,
    extra: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct DraftMessage {
    role: String,
    content: Option<Vec<DraftPart>>,
    /// Whether the content is one text rather than a list of parts.
    plain: bool,
    extra: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DraftPart {
    Text(String),
    Other(String),
}

/// Returns an open policy as a draft.
pub fn from_policy(document: &Document<PolicyText>) -> Draft {
    let Policy { name, dialect, budget, fallback, routes, extra } = Policy::clone(&document.text.policy);
    let route =
        |Route { name, description, domain, action, models, extra }| DraftRoute { name, description, domain, action, models, extra };
    let policy = DraftPolicy { name, dialect, budget, fallback, routes: routes.into_iter().map(route).collect(), extra };
    draft(document, DraftText::Policy { policy, yaml: document.text.kept_yaml().map(str::to_owned) })
}

/// Returns an open conversation as a draft.
pub fn from_conversation(document: &Document<Conversation>) -> Draft {
    let part = |part: Part| match part {
        Part::Text(text) => DraftPart::Text(text),
        Part::Other(json) => DraftPart::Other(json),
    };
    let message = |Message { role, content, extra }: Message| {
        let plain = matches!(content, Content::Text(_));
        let content = match content {
            Content::Null => None,
            Content::Text(text) => Some(vec![DraftPart::Text(text)]),
            Content::Parts(parts) => Some(parts.into_iter().map(part).collect()),
        };
        DraftMessage { role: role.as_str().to_owned(), content, plain, extra }
    };
    let messages = document.text.messages.iter().cloned().map(message).collect();
    draft(document, DraftText::Conversation { messages, extra: document.text.extra.clone(), is_list: document.text.is_list })
}

fn draft<T>(document: &Document<T>, text: DraftText) -> Draft {
    let millis = |stamp: FileStamp| {
        let modified = stamp.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        (u64::try_from(modified.as_millis()).unwrap_or_default(), stamp.bytes)
    };
    Draft {
        title: document.title.clone(),
        given: Some(document.given().to_owned()),
        path: document.path.clone(),
        stamp: document.stamp.map(millis),
        digest: document.stamp.and_then(|stamp| stamp.digest),
        modified: document.is_modified(),
        text,
    }
}

impl Draft {
    /// Returns whether the draft is of a policy rather than of a conversation.
    pub fn is_policy(&self) -> bool {
        matches!(self.text, DraftText::Policy { .. })
    }

    /// Returns the policy, unless the draft is of something else.
    pub fn into_policy(self, id: DocId) -> Option<Document<PolicyText>> {
        let DraftText::Policy { policy: DraftPolicy { name, dialect, budget, fallback, routes, extra }, yaml } = self.text else {
            return None;
        };
        let route =
            |DraftRoute { name, description, domain, action, models, extra }| Route { name, description, domain, action, models, extra };
        let policy = Policy { name, dialect, budget, fallback, routes: routes.into_iter().map(route).collect(), extra };
        let text = PolicyText::from_draft(policy, yaml.as_deref());
        let (title, given) = (self.title, self.given);
        let envelope = Envelope { title, given, path: self.path, stamp: self.stamp, digest: self.digest, modified: self.modified };
        Some(envelope.around(id, text))
    }

    /// Returns the conversation, unless the draft is of something else.
    pub fn into_conversation(self, id: DocId) -> Option<Document<Conversation>> {
        let DraftText::Conversation { messages, extra, is_list } = self.text else { return None };
        let part = |part| match part {
            DraftPart::Text(text) => Part::Text(text),
            DraftPart::Other(json) => Part::Other(json),
        };
        let message = |DraftMessage { role, content, plain, extra }: DraftMessage| {
            let content = match content.map(|parts| parts.into_iter().map(part).collect::<Vec<_>>()) {
                None => Content::Null,
                Some(parts) => match <[Part; 1]>::try_from(parts) {
                    Ok([Part::Text(text)]) if plain => Content::Text(text),
                    Ok(one) => Content::Parts(one.into()),
                    Err(parts) => Content::Parts(parts),
                },
            };
            Message { role: Role::from_name(&role).unwrap_or(Role::User), content, extra }
        };
        let text = Conversation { messages: messages.into_iter().map(message).collect(), extra, is_list };
        let (title, given) = (self.title, self.given);
        let envelope = Envelope { title, given, path: self.path, stamp: self.stamp, digest: self.digest, modified: self.modified };
        Some(envelope.around(id, text))
    }
}

struct Envelope {
    title: String,
    given: Option<String>,
    path: Option<PathBuf>,
    stamp: Option<(u64, u64)>,
    digest: Option<u64>,
    modified: bool,
}

impl Envelope {
    fn around<T>(self, id: DocId, text: T) -> Document<T> {
        let time = |millis| Some(UNIX_EPOCH + Duration::from_millis(millis));
        let stamp = self.stamp.map(|(millis, bytes)| FileStamp { modified: time(millis), bytes, digest: self.digest });
        let given = self.given.unwrap_or_else(|| self.title.clone());
        let mut document = Document::new(id, given, text).titled(self.title);
        (document.path, document.stamp) = (self.path, stamp);
        if self.modified {
            document.mark_modified();
        }
        document
    }
}

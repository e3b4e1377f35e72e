//! Conversations: requests and message lists in JSON, and transcripts.

use sha2::{Digest, Sha256};

use crate::chat::{Content, Conversation, Message, Part, Role};

use super::error::{FormatError, Origin, Warning};
use super::policy::text;
use super::source::without_bom;
use super::tree::{Entry, Node, Pos, Value, json_text, quoted};
use super::{json, transcript};

/// Reads a conversation: an object with `messages` as gateways receive it, a bare list of messages, or a transcript.
///
/// Other keys of a request (`model`, `temperature`) and of a message are kept for saving, and change nothing. Warned about: parts of a type
/// that is neither text nor known to be none, keys of parts that are not kept, and once the types of OpenAI's Responses, which become `text`.
///
/// # Errors
/// Names the place and the remedy: text that starts like JSON but is not, a missing or unknown role, a value of the wrong type,
/// no user message.
pub fn parse_conversation(text: &str, path: &str) -> Result<(Conversation, Vec<Warning>), FormatError> {
    let mut origin = Origin::new(path);
    let text = without_bom(text);
    let start = text.trim_start();
    let conversation = if start.is_empty() {
        return Err(origin.whole("the conversation is empty", "write a message, or a list of messages"));
    } else if is_json(start) {
        let root = json::parse(text, 1, &origin).map_err(|error| {
            let first = if is_prose(start) { "write \"User:\" before the text if it is no JSON; otherwise " } else { "" };
            FormatError { remedy: format!("{first}{}", error.remedy), ..error }
        })?;
        request(root, &mut origin)?
    } else {
        if is_timed(start) {
            let line = text.lines().take_while(|line| line.trim().is_empty()).count() + 1;
            let remedy = "write \"User:\" and \"Assistant:\" in place of times and names if it is a conversation";
            origin.warn(Pos { line, column: 1 }, "times in brackets start no messages, so all of the text is the user's", remedy);
        }
        let messages = transcript::parse(text, &mut origin);
        with_user(messages, Pos { line: 1, column: 1 }, &origin)?
    };
    Ok((conversation, origin.warnings))
}

/// Returns whether a text, from its first word on, is to be read as JSON, correct or not.
pub(super) fn is_json(text: &str) -> bool {
    text.starts_with(['{', '[']) && !is_timed(text)
}

/// Returns whether a text starts with a time in brackets and goes on, as a log of a chat does: `[12:03] Anna: …`. In no list of JSON a colon
/// follows a number.
fn is_timed(text: &str) -> bool {
    let inner = text.strip_prefix('[').filter(|inner| inner.starts_with(|c: char| c.is_ascii_digit()));
    let is_time = |time: &str| time.contains(':') && !time.contains(['"', '{', '[', '\n']);
    inner.and_then(|inner| inner.split_once(']')).is_some_and(|(time, rest)| is_time(time) && !rest.trim().is_empty())
}

/// Returns whether a text that is no JSON rather is words after something in brackets, such as `[INST] …`, or with a placeholder at their
/// start, such as `{name}`.
fn is_prose(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('{') {
        return inner.trim_start().starts_with(|c: char| !matches!(c, '"' | '}'));
    }
    let inner = text.strip_prefix('[').filter(|inner| inner.starts_with(char::is_alphanumeric));
    inner.and_then(|inner| inner.split_once(']')).is_some_and(|(_, rest)| !rest.trim().is_empty())
}

fn request(root: Node, origin: &mut Origin<'_>) -> Result<Conversation, FormatError> {
    let Value::Map(entries) = root.value else { return Ok(Conversation { is_list: true, ..conversation_from(root, origin)? }) };
    let is_message = entries.iter().any(|entry| entry.key == "role");
    let (messages, others): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.key == "messages");
    match messages.into_iter().next() {
        Some(entry) => {
            let extra = others.into_iter().map(|entry| (entry.key, entry.node.to_json())).collect();
            Ok(Conversation { extra, ..conversation_from(entry.node, origin)? })
        }
        None if is_message => Err(origin.error(root.at, "there is a single message where a list should be", "put it in `[` and `]`")),
        None => Err(origin.error(root.at, "the object has no \"messages\"", "write {\"messages\": [...]} or a bare list of messages")),
    }
}

/// Reads a list of messages that holds at least one of the user.
///
/// # Errors
/// As [`parse_conversation`].
pub(super) fn conversation_from(node: Node, origin: &mut Origin<'_>) -> Result<Conversation, FormatError> {
    let at = node.at;
    let Value::List(items) = node.value else {
        let message = format!("\"messages\" must be a list, found {}", node.describe());
        return Err(origin.error(at, message, "write [{\"role\": \"user\", \"content\": \"...\"}]"));
    };
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        messages.push(message_from(index + 1, item, origin)?);
    }
    with_user(messages, at, origin)
}

/// Reads the list of turns of a ShareGPT or LMSYS export: `from` and `value`, or `role` and `content`, with those products' names of roles.
///
/// # Errors
/// As [`parse_conversation`].
pub(super) fn conversation_of(node: Node, origin: &mut Origin<'_>) -> Result<Conversation, FormatError> {
    let at = node.at;
    let Value::List(items) = node.value else { return conversation_from(node, origin) };
    let mut messages = Vec::with_capacity(items.len());
    for (index, mut item) in items.into_iter().enumerate() {
        if let Value::Map(entries) = &mut item.value {
            for entry in entries {
                match (entry.key.as_str(), &entry.node.value) {
                    ("from" | "role", Value::Text(name)) => {
                        let role = exported_role(name).map_or_else(|| name.clone(), |role| role.as_str().to_owned());
                        entry.node.value = Value::Text(role);
                        entry.key = "role".to_owned();
                    }
                    ("value", _) => entry.key = "content".to_owned(),
                    _ => {}
                }
            }
        }
        messages.push(message_from(index + 1, item, origin)?);
    }
    with_user(messages, at, origin)
}

/// Returns the role that a chat product's export calls so.
pub(super) fn exported_role(name: &str) -> Option<Role> {
    match name {
        "human" => Some(Role::User),
        "gpt" | "chatgpt" | "bard" | "bing" | "model" | "function_call" => Some(Role::Assistant),
        "observation" | "function" => Some(Role::Tool),
        name => Role::from_name(name),
    }
}

/// A gateway routes at user messages, so without one there is nothing to decide.
fn with_user(messages: Vec<Message>, at: Pos, origin: &Origin<'_>) -> Result<Conversation, FormatError> {
    if messages.iter().any(|message| message.role == Role::User) {
        Ok(messages.into())
    } else {
        Err(origin.error(at, "the conversation has no user message", "add one: the router decides about the user's words"))
    }
}

fn message_from(number: usize, node: Node, origin: &mut Origin<'_>) -> Result<Message, FormatError> {
    let at = node.at;
    let Value::Map(entries) = node.value else {
        let message = format!("message {number} must be an object, found {}", node.describe());
        return Err(origin.error(at, message, "write {\"role\": \"user\", \"content\": \"...\"}"));
    };
    let mut role = None;
    let mut content = Content::Null;
    let mut extra = Vec::new();
    for Entry { key, node, .. } in entries {
        match key.as_str() {
            "role" => role = Some(role_from(number, &node, origin)?),
            "content" => content = content_from(number, node, origin)?,
            _ => extra.push((key, node.to_json())),
        }
    }
    match role {
        Some(role) => Ok(Message { role, content, extra }),
        None => Err(origin.error(at, format!("message {number} has no \"role\""), format!("add a role: {}", roles()))),
    }
}

fn role_from(number: usize, node: &Node, origin: &Origin<'_>) -> Result<Role, FormatError> {
    let name = text(node, &format!("the role of message {number}"), origin)?;
    match Role::from_name(&name) {
        Some(role) => Ok(role),
        None if name == "function" => {
            let message = format!("message {number} has the role \"function\", which gateways refuse");
            Err(origin.error(node.at, message, "use \"tool\" instead"))
        }
        None => Err(origin.error(node.at, format!("unknown role {} of message {number}", quoted(&name)), format!("use {}", roles()))),
    }
}

fn roles() -> String {
    let [first @ .., last] = Role::ALL.map(Role::as_str);
    format!("{} or {last}", first.join(", "))
}

fn content_from(number: usize, node: Node, origin: &mut Origin<'_>) -> Result<Content, FormatError> {
    match node.value {
        Value::Null => Ok(Content::Null),
        Value::Text(text) => Ok(Content::Text(text)),
        Value::List(items) => {
            let parts: Result<_, _> = items.into_iter().map(|item| part_from(number, item, origin)).collect();
            parts.map(Content::Parts)
        }
        _ => {
            let message = format!("the content of message {number} must be text, null or a list of parts, found {}", node.describe());
            Err(origin.error(node.at, message, "put it in double quotes"))
        }
    }
}

/// Types of parts that say something: of chat completions and of OpenAI's Responses, whose texts gateways turn into the former.
const TEXTS: [&str; 3] = ["text", "input_text", "output_text"];

/// Types of parts of OpenAI's and Anthropic's requests that are known to say nothing to a router: images, sounds, files, tools, thoughts.
const SILENT: [&str; 17] = [
    "image_url",
    "input_image",
    "image",
    "input_audio",
    "file",
    "input_file",
    "refusal",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "server_tool_use",
    "web_search_tool_result",
    "code_execution_tool_result",
    "container_upload",
];

fn part_from(number: usize, node: Node, origin: &mut Origin<'_>) -> Result<Part, FormatError> {
    let Value::Map(entries) = &node.value else {
        let message = format!("each part of message {number} must be an object, found {}", node.describe());
        return Err(origin.error(node.at, message, "write {\"type\": \"text\", \"text\": \"...\"}"));
    };
    let find = |key: &str| entries.iter().find(|entry| entry.key == key);
    let Some(kind) = find("type") else {
        return Err(origin.error(node.at, format!("a part of message {number} has no \"type\""), "add \"type\": \"text\""));
    };
    let name = text(&kind.node, &format!("the type of a part of message {number}"), origin)?;
    if !TEXTS.contains(&name.as_str()) {
        if !SILENT.contains(&name.as_str()) {
            let message = format!("a part of message {number} has the type {}, which no router sees", quoted(&name));
            origin.warn(kind.node.at, message, "give it the type \"text\" if it is what somebody says");
        }
        return Ok(Part::Other(node.to_json()));
    }
    let Some(said) = find("text") else {
        return Err(origin.error(node.at, format!("a text part of message {number} has no \"text\""), "add \"text\": \"...\""));
    };
    let said = text(&said.node, &format!("the text of a part of message {number}"), origin)?;
    if name != "text" {
        let message = format!("parts of the type {} are saved as \"text\"", quoted(&name));
        // Each message of such a request has some.
        if origin.warnings.iter().all(|warning| warning.message != message) {
            origin.warn(kind.node.at, message, "a router sees the same; keep the original file if you need its type");
        }
    }
    // Each answer of OpenAI's Responses has them, empty as a rule.
    let usual: &[&str] = if name == "output_text" { &["annotations", "logprobs"] } else { &[] };
    for entry in entries.iter().filter(|entry| entry.key != "type" && entry.key != "text" && !usual.contains(&entry.key.as_str())) {
        let message = format!("key {} of a text part of message {number} is not kept", quoted(&entry.key));
        origin.warn(entry.at, message, "it never reaches a router; keep the original file if you need it");
    }
    Ok(Part::Text(said))
}

/// Returns a digest of what is said up to the last user message: roles and texts, which is what a router sees of it. By it runs over two files
/// tell whether a case is the same one.
pub fn conversation_digest(conversation: &Conversation) -> u64 {
    let end = conversation.user_turns().last().map_or(0, |last| last + 1);
    let mut digest = Sha256::new();
    for message in &conversation.messages[..end] {
        let text = message.text();
        digest.update(message.role.as_str());
        // The length keeps what one message says from what the next one does.
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&digest.finalize()[..8]);
    u64::from_be_bytes(first)
}

/// Returns the conversation as JSON that [`parse_conversation`] reads back unchanged: a request, or the list of messages alone where it was
/// read from one and has no other keys.
pub fn write_conversation(conversation: &Conversation) -> String {
    if conversation.is_list && conversation.extra.is_empty() {
        return format!("{}\n", messages_json(conversation));
    }
    let messages = write_messages(&conversation.messages, "  ");
    let extra = conversation.extra.iter().map(|(key, value)| format!("  {}: {value}", json_text(key)));
    let keys: Vec<String> = extra.chain([format!("  \"messages\": {messages}")]).collect();
    format!("{{\n{}\n}}\n", keys.join(",\n"))
}

/// Returns the messages of a conversation as the JSON list that requests have under `messages`.
pub fn messages_json(conversation: &Conversation) -> String {
    write_messages(&conversation.messages, "")
}

/// Returns messages as a list whose lines but the first start with `indent`.
fn write_messages(messages: &[Message], indent: &str) -> String {
    if messages.is_empty() {
        return "[]".to_owned();
    }
    let messages: Vec<String> = messages.iter().map(|message| write_message(message, &format!("{indent}  "))).collect();
    format!("[\n{}\n{indent}]", messages.join(",\n"))
}

fn write_message(message: &Message, indent: &str) -> String {
    let content = match &message.content {
        Content::Null => "null".to_owned(),
        Content::Text(text) => json_text(text),
        Content::Parts(parts) => {
            let parts: Vec<String> = parts.iter().map(write_part).collect();
            format!("[{}]", parts.join(", "))
        }
    };
    let mut keys = vec![format!("\"role\": \"{}\"", message.role), format!("\"content\": {content}")];
    keys.extend(message.extra.iter().map(|(key, value)| format!("{}: {value}", json_text(key))));
    format!("{indent}{{\n{indent}  {}\n{indent}}}", keys.join(&format!(",\n{indent}  ")))
}

fn write_part(part: &Part) -> String {
    match part {
        Part::Text(text) => format!("{{\"type\": \"text\", \"text\": {}}}", json_text(text)),
        Part::Other(json) => json.clone(),
    }
}

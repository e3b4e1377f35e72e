//! Whatever text people have their conversations in: one conversation, or an export that holds many.
//!
//! What chat products export is documented nowhere and changes, so this reader takes what it recognises and skips the rest; a text that
//! holds a single conversation goes to [`parse_conversation`] with its exact messages.

use serde_json::Value;

use super::conversation::{exported_role, parse_conversation};
use super::error::{FormatError, Origin};
use crate::chat::{Conversation, Message, Role};

/// One conversation that was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The export's own title, or the first words of the user.
    pub title: String,
    pub conversation: Conversation,
}

/// Conversations that were found in a text, and what the text is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Understood {
    /// For people: "ChatGPT export".
    pub kind: &'static str,
    /// Never empty.
    pub found: Vec<Found>,
}

/// Reads a ChatGPT export, a ShareGPT export, several requests in one JSON list or one a line, or whatever [`parse_conversation`] reads.
///
/// # Errors
/// As [`parse_conversation`], and for an export without a conversation in which a user says something.
pub fn find_conversations(text: &str, label: &str) -> Result<Understood, FormatError> {
    let start = text.trim_start();
    let is_json = start.starts_with(['{', '[']);
    let (kind, found) = match values(start).as_deref() {
        Some([first, ..]) if first.get("mapping").is_some() => ("ChatGPT export", collect(start, chatgpt)),
        Some([first, ..]) if first.get("conversations").or(first.get("items")).is_some() => ("ShareGPT export", collect(start, sharegpt)),
        Some([first, _, ..]) if first.get("messages").is_some() => ("List of conversations", collect(start, request)),
        _ => {
            let (conversation, _) = parse_conversation(text, label)?;
            let kind = match conversation.messages.len() {
                _ if is_json => "Messages in JSON",
                1 => "One prompt",
                _ => "Transcript",
            };
            (kind, vec![Found { title: title(None, &conversation), conversation }])
        }
    };
    if found.is_empty() {
        return Err(Origin::new(label).whole("no conversation in this export has a user message", "choose another file"));
    }
    Ok(Understood { kind, found })
}

/// Returns the values of a JSON list, the one object, or the objects of a text with one a line; `None` for anything else.
fn values(text: &str) -> Option<Vec<Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Array(values)) => Some(values),
        Ok(value @ Value::Object(_)) => Some(vec![value]),
        Ok(_) => None,
        Err(_) if text.starts_with('{') => {
            text.lines().filter(|line| !line.trim().is_empty()).map(|line| serde_json::from_str(line).ok()).collect()
        }
        Err(_) => None,
    }
}

fn collect(text: &str, read: impl Fn(&Value) -> Option<Vec<Message>>) -> Vec<Found> {
    let found = |value: &Value| {
        let messages = read(value)?;
        messages.iter().any(|message| message.role == Role::User).then(|| {
            let conversation = Conversation { messages };
            let named = ["title", "id"].into_iter().find_map(|key| value.get(key)?.as_str());
            Found { title: title(named, &conversation), conversation }
        })
    };
    values(text).unwrap_or_default().iter().filter_map(found).collect()
}

/// ChatGPT keeps a tree of messages, since answers can be asked for again; the branch that was seen last ends in `current_node`.
fn chatgpt(value: &Value) -> Option<Vec<Message>> {
    let mapping = value.get("mapping")?.as_object()?;
    let is_leaf = |node: &Value| node.get("children").and_then(Value::as_array).is_none_or(Vec::is_empty);
    let last = || mapping.iter().rfind(|(_, node)| is_leaf(node)).map(|(id, _)| id.as_str());
    let mut at = value.get("current_node").and_then(Value::as_str).or_else(last);
    let mut messages = Vec::new();
    // Bounded by the number of nodes, so that a ring of parents ends too.
    for _ in 0..mapping.len() {
        let Some(node) = at.and_then(|id| mapping.get(id)) else { break };
        if let Some(message) = node.get("message") {
            let role = message.pointer("/author/role").and_then(Value::as_str).and_then(exported_role);
            let text = message.pointer("/content/parts").map(parts).unwrap_or_default();
            if let (Some(role), false) = (role, text.trim().is_empty()) {
                messages.push(Message::new(role, text));
            }
        }
        at = node.get("parent").and_then(Value::as_str);
    }
    messages.reverse();
    Some(messages)
}

fn parts(parts: &Value) -> String {
    let texts: Vec<&str> = parts.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    texts.join("\n")
}

fn sharegpt(value: &Value) -> Option<Vec<Message>> {
    let turns = value.get("conversations").or(value.get("items"))?.as_array()?;
    let message = |turn: &Value| {
        let role = exported_role(turn.get("from").or(turn.get("role"))?.as_str()?)?;
        Some(Message::new(role, turn.get("value").or(turn.get("content"))?.as_str()?))
    };
    Some(turns.iter().filter_map(message).collect())
}

fn request(value: &Value) -> Option<Vec<Message>> {
    let text = serde_json::json!({ "messages": value.get("messages")? }).to_string();
    parse_conversation(&text, "").ok().map(|(conversation, _)| conversation.messages)
}

fn title(named: Option<&str>, conversation: &Conversation) -> String {
    let said = || conversation.messages.iter().find(|message| message.role == Role::User).map(|message| message.text().into_owned());
    let text = named.filter(|name| !name.trim().is_empty()).map(str::to_owned).or_else(said).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().take(8).collect();
    let title: String = words.join(" ").chars().take(48).collect();
    if title.is_empty() { "Conversation".to_owned() } else { title }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, kind: &str, titles: &[&str], messages: usize) {
        let understood = find_conversations(text, "test").expect("it can be read");
        assert_eq!(understood.kind, kind);
        assert_eq!(understood.found.iter().map(|found| found.title.as_str()).collect::<Vec<_>>(), titles);
        assert_eq!(understood.found[0].conversation.messages.len(), messages);
    }

    #[test]
    fn exports_of_many_conversations() {
        let chatgpt = r#"[{"title": "Lists", "current_node": "c", "mapping": {
            "a": {"parent": null, "children": ["b"], "message": null},
            "b": {"parent": "a", "children": ["c", "d"], "message": {"author": {"role": "user"}, "content": {"parts": ["hi"]}}},
            "d": {"parent": "b", "children": [], "message": {"author": {"role": "assistant"}, "content": {"parts": ["left branch"]}}},
            "c": {"parent": "b", "children": [], "message": {"author": {"role": "assistant"}, "content": {"parts": ["hello", {"image": 1}]}}}}}]"#;
        check(chatgpt, "ChatGPT export", &["Lists"], 2);
        let sharegpt = r#"[{"id": "x1", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            {"id": "x2", "conversations": [{"from": "gpt", "value": "alone"}]}]"#;
        check(sharegpt, "ShareGPT export", &["x1"], 2);
        let lines =
            "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}]}\n{\"messages\": [{\"role\": \"user\", \"content\": \"two\"}]}\n";
        check(lines, "List of conversations", &["one", "two"], 1);
    }

    #[test]
    fn single_conversations_keep_their_exact_messages() {
        check("[{\"role\": \"user\", \"content\": \"hello there\"}]", "Messages in JSON", &["hello there"], 1);
        check("User: a\nAssistant: b\nUser: c", "Transcript", &["a"], 3);
        check("just a prompt", "One prompt", &["just a prompt"], 1);
    }

    #[test]
    fn a_ring_of_parents_and_an_empty_export_end() {
        let ring = r#"{"current_node": "a", "mapping": {"a": {"parent": "a", "message": null}}}"#;
        assert!(find_conversations(ring, "x").is_err());
        assert!(find_conversations("", "x").is_err());
    }
}

//! Whatever text people have their conversations in: one conversation, or an export that holds many.
//!
//! What chat products export is documented nowhere and changes, so this reader takes what it recognises and skips the rest; a text that
//! holds a single conversation goes to [`parse_conversation`] with its exact messages.

use serde::Deserializer as _;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;

use super::conversation::{exported_role, is_json, parse_conversation};
use super::error::{FormatError, Origin, Warning};
use super::source::without_bom;
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
    /// Never empty; the newest first where the text says when.
    pub found: Vec<Found>,
    /// Entries that gave no conversation: of another kind, with something in them that cannot be read, or without a user message.
    pub skipped: usize,
    /// What is odd about a text that holds a single conversation.
    pub warnings: Vec<Warning>,
}

/// Reads one conversation of an export; `None` where the value has another shape.
type Read = fn(&Value) -> Option<Vec<Message>>;

/// What is recognised, in this order, and what people call it.
const SHAPES: [(&str, Read); 6] = [
    ("ChatGPT export", chatgpt),
    ("Claude export", claude),
    ("ShareGPT export", sharegpt),
    ("LMSYS export", lmsys),
    ("Request log", logged),
    ("List of conversations", request),
];

/// Reads an export of ChatGPT, Claude, ShareGPT or LMSYS, a log of requests, several requests in one JSON list or one a line, or whatever
/// [`parse_conversation`] reads.
///
/// # Errors
/// As [`parse_conversation`], and for an export without a conversation in which a user says something.
pub fn find_conversations(text: &str, label: &str) -> Result<Understood, FormatError> {
    let start = without_bom(text).trim_start();
    let is_json = is_json(start);
    let (mut values, mut has_messages) = (0_usize, false);
    let (mut kind, mut dated) = (None, Vec::new());
    let whole = each_value(start, |value| {
        values += 1;
        has_messages = value.get("messages").is_some();
        // Entries of a log may be of several kinds; the text is called after the first.
        let known = SHAPES.into_iter().find_map(|(kind, read)| Some((kind, read(&value)?)));
        if let Some((found, messages)) = known {
            kind = kind.or(Some(found));
            dated.extend(find(&value, messages).map(|found| (time(&value), found)));
        }
    });
    let is_one_request = values == 1 && start.starts_with('{') && has_messages;
    let understood = match kind.filter(|_| whole.is_some() && !is_one_request) {
        Some(kind) => {
            let skipped = values - dated.len();
            // What has no time comes last, in the order of the text.
            dated.sort_by(|(a, _), (b, _)| b.cmp(a));
            Understood { kind, found: dated.into_iter().map(|(_, found)| found).collect(), skipped, warnings: Vec::new() }
        }
        None => {
            let (conversation, warnings) = parse_conversation(text, label)?;
            let kind = match conversation.messages.len() {
                _ if is_json => "Messages in JSON",
                1 => "One prompt",
                _ => "Transcript",
            };
            Understood { kind, found: vec![Found { title: title(None, &conversation), conversation }], skipped: 0, warnings }
        }
    };
    if understood.found.is_empty() {
        return Err(Origin::new(label).whole("no conversation in this export has a user message", "choose another file"));
    }
    Ok(understood)
}

/// Gives the values of a JSON list, the one object, or the objects of a text with one a line, each as soon as it is read: all values of a
/// large export at once would take several times its size. Returns `None` for anything else, perhaps after some values.
fn each_value(text: &str, mut take: impl FnMut(Value)) -> Option<()> {
    if text.starts_with('[') {
        let mut reader = serde_json::Deserializer::from_str(text);
        reader.deserialize_seq(Each(take)).ok()?;
        return reader.end().ok();
    }
    if !text.starts_with('{') {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(value) => take(value),
        Err(_) => {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                take(serde_json::from_str(line).ok()?);
            }
        }
    }
    Some(())
}

/// Takes the elements of a list one after another.
struct Each<F>(F);

impl<'de, F: FnMut(Value)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(value) = list.next_element()? {
            (self.0)(value);
        }
        Ok(())
    }
}

fn find(value: &Value, messages: Vec<Message>) -> Option<Found> {
    messages.iter().any(|message| message.role == Role::User).then(|| {
        let conversation = Conversation::from(messages);
        let named = ["title", "name", "id"].into_iter().find_map(|key| value.get(key)?.as_str());
        Found { title: title(named, &conversation), conversation }
    })
}

/// Returns when something was last said, as a text that sorts by time: ChatGPT writes seconds since 1970, Claude a date.
fn time(value: &Value) -> Option<String> {
    let time = ["update_time", "updated_at", "create_time", "created_at"].into_iter().find_map(|key| value.get(key))?;
    time.as_f64().map(|seconds| format!("{seconds:020.6}")).or_else(|| time.as_str().map(str::to_owned))
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
    let text = |part: &Value| part.as_str().or_else(|| part.get("text")?.as_str()).map(str::to_owned);
    let texts: Vec<String> = parts.as_array().into_iter().flatten().filter_map(text).collect();
    texts.join("\n")
}

fn claude(value: &Value) -> Option<Vec<Message>> {
    let message = |message: &Value| {
        let role = exported_role(message.get("sender")?.as_str()?)?;
        let whole = message.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let text = whole.map_or_else(|| message.get("content").map(parts).unwrap_or_default(), str::to_owned);
        (!text.trim().is_empty()).then(|| Message::new(role, text))
    };
    Some(value.get("chat_messages")?.as_array()?.iter().filter_map(message).collect())
}

fn sharegpt(value: &Value) -> Option<Vec<Message>> {
    turns(value.get("conversations").or(value.get("items"))?)
}

fn lmsys(value: &Value) -> Option<Vec<Message>> {
    turns(value.get("conversation")?)
}

fn turns(turns: &Value) -> Option<Vec<Message>> {
    let message = |turn: &Value| {
        let role = exported_role(turn.get("from").or(turn.get("role"))?.as_str()?)?;
        Some(Message::new(role, turn.get("value").or(turn.get("content"))?.as_str()?))
    };
    Some(turns.as_array()?.iter().filter_map(message).collect())
}

fn logged(value: &Value) -> Option<Vec<Message>> {
    ["request", "body"].iter().find_map(|key| request(value.get(key)?))
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
        check(&lines.replace("one", "}{"), "List of conversations", &["}{", "two"], 1);
        check("\u{feff}[{\"messages\": [{\"role\": \"user\", \"content\": \"alone\"}]}]", "List of conversations", &["alone"], 1);
    }

    #[test]
    fn exports_of_other_products_and_logs_of_requests() {
        let lmsys =
            r#"{"conversation_id": "c1", "conversation": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
        check(lmsys, "LMSYS export", &["a"], 2);
        let claude = r#"[{"uuid": "1", "name": "Tax", "chat_messages": [{"sender": "human", "text": "a"},
            {"sender": "assistant", "text": "", "content": [{"type": "text", "text": "b"}, {"type": "tool_use", "id": "t"}]},
            {"sender": "assistant", "text": "", "content": []}]}, {"name": "", "chat_messages": [{"sender": "human", "text": "c d"}]}]"#;
        check(claude, "Claude export", &["Tax", "c d"], 2);
        let body = r#""messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]"#;
        let log = format!("{{\"note\": 1}}\n{{\"request\": {{\"model\": \"m\", {body}}}, \"status\": 200}}\n");
        check(&log, "Request log", &["a"], 2);
        check(&format!("{{\"custom_id\": \"1\", \"body\": {{{body}}}}}"), "Request log", &["a"], 2);
    }

    #[test]
    fn entries_that_are_left_out_are_counted() {
        let said = r#""messages": [{"role": "user", "content": "a"}]"#;
        let lines = [
            format!("{{{said}}}"),
            format!("{{\"request\": {{{said}}}}}"),
            "{\"messages\": [{\"content\": \"no role\"}]}".to_owned(),
            "{\"note\": 1}".to_owned(),
            "{\"chat_messages\": []}".to_owned(),
        ];
        let understood = find_conversations(&lines.join("\n"), "test").expect("two can be read");
        assert_eq!((understood.kind, understood.found.len(), understood.skipped), ("List of conversations", 2, 3));
        let single = find_conversations("User: a\nassistant: b\nUser: c", "test").expect("it can be read");
        assert_eq!((single.skipped, single.warnings.len()), (0, 1));
    }

    #[test]
    fn the_newest_conversation_comes_first() {
        let claude = |name: &str, time: &str| {
            format!("{{\"name\": \"{name}\"{time}, \"chat_messages\": [{{\"sender\": \"human\", \"text\": \"a\"}}]}}")
        };
        let dated = |name: &str, day: &str| claude(name, &format!(", \"updated_at\": \"2026-{day}T10:00:00.123456Z\""));
        let list = [claude("never", ""), dated("spring", "03-09"), dated("autumn", "10-01"), claude("nor", "")].join(",");
        check(&format!("[{list}]"), "Claude export", &["autumn", "spring", "never", "nor"], 1);
        let seconds = |name: &str, time: &str| claude(name, &format!(", \"create_time\": {time}"));
        let list = [seconds("early", "999999999.5"), seconds("late", "1760000000.25")].join(",");
        check(&format!("[{list}]"), "Claude export", &["late", "early"], 1);
    }

    #[test]
    fn a_list_that_breaks_off_is_no_export() {
        let whole = r#"[{"chat_messages": [{"sender": "human", "text": "a"}]}, {"chat_messages": []}"#;
        assert!(find_conversations(whole, "x").is_err());
        assert!(find_conversations(&format!("{whole}]]"), "x").is_err());
        assert!(find_conversations(&format!("{whole}]"), "x").is_ok());
    }

    #[test]
    fn single_conversations_keep_their_exact_messages() {
        check("[{\"role\": \"user\", \"content\": \"hello there\"}]", "Messages in JSON", &["hello there"], 1);
        check("{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"hello\"}]}", "Messages in JSON", &["hello"], 1);
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

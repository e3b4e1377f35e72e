//! The prompts and answers of every dialect, held to the golden vectors and to the gateways' behaviour point by point.

mod answers;
mod golden;
mod prompt;
mod properties;
mod selection;

use serde_json::Value;
use waypost::chat::{Content, Conversation, Message, Part, Role};
use waypost::dialect::{DialectId, DropReason, RenderedPrompt, Selection, render};
use waypost::policy::Route;

/// Returns the conversation of an OpenAI request's `messages`.
fn conversation(messages: &Value) -> Conversation {
    let messages = messages.as_array().expect("messages are a list");
    messages.iter().map(message).collect::<Vec<_>>().into()
}

fn message(value: &Value) -> Message {
    let content = match &value["content"] {
        Value::Null => Content::Null,
        Value::String(text) => Content::Text(text.clone()),
        Value::Array(parts) => Content::Parts(parts.iter().map(part).collect()),
        other => panic!("content {other}"),
    };
    Message { role: role(value["role"].as_str().expect("a role")), content, extra: Vec::new() }
}

fn part(value: &Value) -> Part {
    if value["type"] == "text" { Part::Text(value["text"].as_str().expect("a text").to_owned()) } else { Part::Other(value.to_string()) }
}

fn role(name: &str) -> Role {
    Role::from_name(name).unwrap_or_else(|| panic!("role {name}"))
}

/// Returns a conversation of plain texts.
fn talk(messages: &[(Role, &str)]) -> Conversation {
    messages.iter().map(|(role, text)| Message::new(*role, *text)).collect::<Vec<_>>().into()
}

/// Renders with one harmless route.
fn render_talk(dialect: DialectId, conversation: &Conversation, budget: Option<usize>) -> RenderedPrompt {
    render(dialect, &[&Route::new("code", "Writing programs")], conversation, budget)
}

/// Returns the kept indices and the dropped ones with their reasons.
fn indices(selection: &Selection) -> (Vec<usize>, Vec<(usize, DropReason)>) {
    let kept = selection.kept.iter().map(|kept| kept.index).collect();
    (kept, selection.dropped.iter().map(|dropped| (dropped.index, dropped.reason)).collect())
}

/// Returns what is sent of each kept message.
fn texts(selection: &Selection) -> Vec<&str> {
    selection.kept.iter().map(|kept| kept.text.as_str()).collect()
}

/// The dialects that gateways send, as opposed to the model card.
const GATEWAYS: [DialectId; 3] = [DialectId::Archgw031, DialectId::Plano0419, DialectId::Plano0420];

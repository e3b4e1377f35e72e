//! Transcripts: "User: … Assistant: …" as people write them, "You said: … ChatGPT said: …" as they copy them.

use crate::chat::{Message, Role};

use super::error::Origin;
use super::tree::{Pos, quoted};

/// Reads a transcript; text without a role at its start is one user message.
///
/// The first line sets the way roles are marked, and only lines that mark them the same way start a message: a message may well
/// quote YAML with a `user:` key or a heading.
pub(super) fn parse(text: &str, origin: &mut Origin<'_>) -> Vec<Message> {
    let text = text.replace("\r\n", "\n");
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let Some(Marker { style, .. }) = marker(first) else {
        let is_indented = marker(first.trim_start()).is_some();
        let starts = |line: &str| if is_indented { line == first } else { marker(line).is_some() };
        if let Some((index, line)) = text.lines().enumerate().find(|(_, line)| starts(line)) {
            let why = if is_indented { "it is indented" } else { "the text before it has no role" };
            let message = format!("{} does not start a message, because {why}", quoted(line));
            origin.warn(Pos { line: index + 1, column: 1 }, message, "start the text with \"User:\" if it is a transcript");
        }
        return vec![Message::new(Role::User, text.trim())];
    };
    let mut messages: Vec<(Role, String)> = Vec::new();
    for line in text.lines() {
        match marker(line).filter(|marker| marker.style == style) {
            Some(Marker { role, rest, .. }) => messages.push((role, rest.to_owned())),
            None => {
                if let Some((_, body)) = messages.last_mut() {
                    body.push('\n');
                    body.push_str(line);
                }
            }
        }
    }
    // Where one message is all there is, or one role says everything, what it seems to quote may well be the rest of the conversation.
    let mut later = text.lines().enumerate().skip_while(|(_, line)| *line != first).skip(1);
    let speaker = messages.first().map(|(role, _)| *role).filter(|speaker| messages.iter().all(|(role, _)| role == speaker));
    let is_lost = |line: &str| match messages.len() {
        1 => marker(line.trim_start()).is_some(),
        _ => marker(line).is_some_and(|marker| marker.style != style && Some(marker.role) != speaker),
    };
    if speaker.is_some()
        && let Some((index, line)) = later.find(|(_, line)| is_lost(line))
    {
        let message = format!("{} does not start a message, because the first line marks its role in another way", quoted(line));
        origin.warn(Pos { line: index + 1, column: 1 }, message, "mark every role like the first, without indentation, if it is a message");
    }
    // Prompts for text completion end with a bare "Assistant:", which nobody has said yet.
    if messages.last().is_some_and(|(role, body)| *role == Role::Assistant && body.trim().is_empty()) {
        messages.pop();
    }
    messages.into_iter().map(|(role, body)| Message::new(role, body.trim())).collect()
}

/// A line that says who speaks.
struct Marker<'a> {
    style: Style,
    role: Role,
    rest: &'a str,
}

/// How the roles of a transcript are marked.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Style {
    decoration: Decoration,
    capital: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Decoration {
    /// `User: …`
    Plain,
    /// `### User` with or without a colon
    Heading,
    /// `**User:** …` or `**User**: …`
    Bold,
    /// `You said:` alone on its line, also as a heading of any depth, as text copied from ChatGPT has it
    Said,
}

fn marker(line: &str) -> Option<Marker<'_>> {
    let (decoration, inner) = if line.starts_with('#') {
        (Decoration::Heading, line.trim_start_matches('#').strip_prefix(' ')?.trim_start())
    } else if let Some(inner) = line.strip_prefix("**") {
        (Decoration::Bold, inner)
    } else {
        (Decoration::Plain, line)
    };
    let said = [("You said:", Role::User), ("ChatGPT said:", Role::Assistant)];
    if let Some((_, role)) = said.into_iter().find(|(words, _)| inner.trim_end() == *words) {
        return Some(Marker { style: Style { decoration: Decoration::Said, capital: true }, role, rest: "" });
    }
    let end = inner.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(inner.len());
    let (word, after) = inner.split_at(end);
    let role = role(word)?;
    let rest = match decoration {
        Decoration::Plain => after.trim_start().strip_prefix(':')?,
        Decoration::Bold => after.strip_prefix(":**").or_else(|| after.strip_prefix("**:"))?,
        Decoration::Said => return None,
        // A heading that goes on, such as "### User guide", is a heading of a text.
        Decoration::Heading => match after.trim_start().strip_prefix(':') {
            Some(rest) => rest,
            None if after.trim().is_empty() => "",
            None => return None,
        },
    };
    let capital = word.starts_with(|c: char| c.is_ascii_uppercase());
    Some(Marker { style: Style { decoration, capital }, role, rest })
}

fn role(word: &str) -> Option<Role> {
    match word.to_ascii_lowercase().as_str() {
        "user" | "human" => Some(Role::User),
        "assistant" | "ai" | "bot" => Some(Role::Assistant),
        "system" => Some(Role::System),
        "developer" => Some(Role::Developer),
        "tool" => Some(Role::Tool),
        _ => None,
    }
}

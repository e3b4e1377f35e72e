//! What is open at a first start: the model card's policy, and a conversation that is not obvious.

use crate::chat::{Conversation, Message, Role};
use crate::policy::{Policy, Route};

/// Returns the five routes of Arch-Router's model card, each with a model.
pub fn policy() -> Policy {
    let route = |name: &str, description: &str, model: &str| Route { models: vec![model.to_owned()], ..Route::new(name, description) };
    Policy {
        name: Some("Coding assistant".to_owned()),
        fallback: Some("openai/gpt-5-mini".to_owned()),
        routes: vec![
            route(
                "code_generation",
                "Generating new code snippets, functions, or boilerplate based on user prompts or requirements",
                "anthropic/claude-sonnet-4-5",
            ),
            route(
                "bug_fixing",
                "Identifying and fixing errors or bugs in the provided code across different programming languages",
                "anthropic/claude-opus-4-5",
            ),
            route("performance_optimization", "Suggesting improvements to make code more efficient, readable, or scalable", "openai/gpt-5"),
            route("api_help", "Assisting with understanding or integrating external APIs and libraries", "openai/gpt-5-mini"),
            route("programming", "Answering general programming questions, theory, or best practices", "openai/gpt-5-nano"),
        ],
        ..Policy::default()
    }
}

/// Returns a conversation whose last message needs the earlier ones to be understood.
pub fn conversation() -> Conversation {
    Conversation {
        messages: vec![
            Message::new(Role::User, "Write a Python function that merges two sorted lists."),
            Message::new(
                Role::Assistant,
                "def merge(a, b):\n    i = j = 0\n    out = []\n    while i < len(a) and j < len(b):\n        if a[i] < b[j]:\n            out.append(a[i]); i += 1\n        else:\n            out.append(b[j]); j += 1\n    return out",
            ),
            Message::new(Role::User, "It loses the last elements when one list is longer. Why?"),
        ],
    }
}

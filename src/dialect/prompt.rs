//! Filling in a dialect's template.

use std::ops::Range;

use super::json::{conversation_json, routes_json};
use super::select::{Kept, Selection, select};
use super::template::{CONVERSATION, template};
use crate::chat::{Content, Conversation};
use crate::policy::{DialectId, Route};

/// The user message a router receives, and where its parts came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedPrompt {
    /// The whole user message. The router's own chat template is still to be put around it.
    pub text: String,
    /// Bytes of `text` that stand for the routes. Where a route contains `{conversation}`, this covers the conversation that the gateway
    /// puts in its place.
    pub routes: Range<usize>,
    /// Bytes of `text` that stand for the conversation between the `<conversation>` tags. Always after `routes`, never inside it.
    pub conversation: Range<usize>,
    /// Which messages were sent, and why others were not.
    pub selection: Selection,
}

/// Returns the prompt that a dialect's consumer sends for these routes, in this order, and this conversation.
///
/// `budget` is in estimated tokens (see [`super::estimated_tokens`]); `None` stands for [`super::default_budget`]. The model card cuts
/// nothing, so it ignores a budget.
///
/// Gateways replace `{routes}` first and `{conversation}` in the result: a name or description that contains `{conversation}` receives a
/// copy of the conversation. What the user wrote is not looked at again. The model card uses Python's `str.format`, which fills both
/// in at once, so there such a description stays as it is. Nothing escapes `</routes>` or `</conversation>`.
///
/// The model card's quickstart dumps the list it is given; of a message, `role` and the text are sent here, and `null` for a message
/// without content. Parts are joined as gateways join them, because the card knows none.
///
/// Sources: archgw 0.3.1, router_model_v1.rs; Plano 0.4.19 and 0.4.20, orchestrator_model_v1.rs; README of katanemo/Arch-Router-1.5B.
pub fn render(dialect: DialectId, routes: &[&Route], conversation: &Conversation, budget: Option<usize>) -> RenderedPrompt {
    let selection = select(dialect, conversation, budget);
    let is_null = |kept: &Kept| {
        dialect == DialectId::ModelCard && conversation.messages.get(kept.index).is_some_and(|message| message.content == Content::Null)
    };
    let messages = selection.kept.iter().map(|kept| (kept.role, (!is_null(kept)).then_some(kept.text.as_str())));
    let conversation_json = conversation_json(dialect, messages);

    let mut routes_json = routes_json(dialect, routes);
    if dialect != DialectId::ModelCard {
        routes_json = routes_json.replace(CONVERSATION, &conversation_json);
    }

    let template = template(dialect);
    let mut text = String::from(template.before_routes);
    let routes = append(&mut text, &routes_json);
    text.push_str(template.between);
    let conversation = append(&mut text, &conversation_json);
    text.push_str(template.after_conversation);
    RenderedPrompt { text, routes, conversation, selection }
}

/// Appends a part and returns its place.
fn append(text: &mut String, part: &str) -> Range<usize> {
    let start = text.len();
    text.push_str(part);
    start..text.len()
}

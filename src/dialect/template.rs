//! The fixed text of each dialect's prompt, and the numbers that follow from it.

use crate::policy::DialectId;

/// Placeholder that the routes take the place of.
const ROUTES: &str = "{routes}";

/// Placeholder that the conversation takes the place of. A route that contains it is a case of its own, see [`super::render`].
pub(super) const CONVERSATION: &str = "{conversation}";

/// A prompt cut at its two placeholders, so that filling it in yields the places of what was filled in.
pub(super) struct Template {
    pub before_routes: &'static str,
    pub between: &'static str,
    pub after_conversation: &'static str,
}

impl Template {
    /// Returns the size in bytes with the placeholders in place, which is what gateways count.
    const fn bytes(&self) -> usize {
        self.before_routes.len() + ROUTES.len() + self.between.len() + CONVERSATION.len() + self.after_conversation.len()
    }
}

/// Returns the fixed text of a dialect.
pub(super) fn template(dialect: DialectId) -> &'static Template {
    match dialect {
        DialectId::ModelCard => &MODEL_CARD,
        DialectId::Archgw031 => &ROUTER_V1,
        DialectId::Plano0419 | DialectId::Plano0420 => &ORCHESTRATOR_V1,
    }
}

/// Returns the budget a consumer uses when its operator sets none, in estimated tokens; `None` where nothing is ever cut.
///
/// Source: `MAX_TOKEN_LEN` of router_model_v1.rs (2048) and of orchestrator_model_v1.rs (8192). Plano 0.4.19 and later can be told another
/// by `overrides.orchestrator_model_context_length`.
pub fn default_budget(dialect: DialectId) -> Option<usize> {
    match dialect {
        DialectId::ModelCard => None,
        DialectId::Archgw031 => Some(2048),
        DialectId::Plano0419 | DialectId::Plano0420 => Some(8192),
    }
}

/// Returns what the prompt's fixed text costs of the budget, in estimated tokens: its bytes, placeholders included, divided by 4.
///
/// The routes cost nothing: gateways do not count them.
pub fn template_tokens(dialect: DialectId) -> usize {
    template(dialect).bytes() / BYTES_PER_TOKEN
}

/// Returns a gateway's estimate of a text's tokens: UTF-8 bytes divided by 4, rounded down.
///
/// Source: `TOKEN_LENGTH_DIVISOR` in both prompt builders; no tokenizer runs there.
pub fn estimated_tokens(text: &str) -> usize {
    text.len() / BYTES_PER_TOKEN
}

/// Returns whether the router answers with a list of names (`{"route": ["a", "b"]}`), of which gateways use the first they know.
pub fn answers_are_lists(dialect: DialectId) -> bool {
    match dialect {
        DialectId::ModelCard | DialectId::Archgw031 => false,
        DialectId::Plano0419 | DialectId::Plano0420 => true,
    }
}

/// What gateways take for the size of a token.
pub(super) const BYTES_PER_TOKEN: usize = 4;

/// archgw 0.3.1 to Plano 0.4.18, `ARCH_ROUTER_V1_SYSTEM_PROMPT` in router_model_v1.rs.
const ROUTER_V1: Template = Template {
    before_routes: r#"
You are a helpful assistant designed to find the best suited route.
You are provided with route description within <routes></routes> XML tags:
<routes>
"#,
    between: r#"
</routes>

<conversation>
"#,
    after_conversation: r#"
</conversation>

Your task is to decide which route is best suit with user intent on the conversation in <conversation></conversation> XML tags.  Follow the instruction:
1. If the latest intent from user is irrelevant or user intent is full filled, response with other route {"route": "other"}.
2. You must analyze the route descriptions and find the best match route for user latest intent.
3. You only response the name of the route that best matches the user's request, use the exact name in the <routes></routes>.

Based on your analysis, provide your response in the following JSON formats if you decide to match any route:
{"route": "route_name"}
"#,
};

/// README of katanemo/Arch-Router-1.5B: `TASK_INSTRUCTION` and `FORMAT_PROMPT` one after the other. The words of [`ROUTER_V1`] with blank
/// lines around what is filled in and two trailing spaces, which are spelled `" \n"` here because editors remove what they cannot see.
const MODEL_CARD: Template = Template {
    before_routes: r#"
You are a helpful assistant designed to find the best suited route.
You are provided with route description within <routes></routes> XML tags:
<routes>

"#,
    between: r#"

</routes>

<conversation>

"#,
    after_conversation: concat!(
        r#"

</conversation>

Your task is to decide which route is best suit with user intent on the conversation in <conversation></conversation> XML tags.  Follow the instruction:
1. If the latest intent from user is irrelevant or user intent is full filled, response with other route {"route": "other"}.
2. You must analyze the route descriptions and find the best match route for user latest intent."#,
        " \n",
        r#"3. You only response the name of the route that best matches the user's request, use the exact name in the <routes></routes>.

Based on your analysis, provide your response in the following JSON formats if you decide to match any route:
{"route": "route_name"}"#,
        " \n",
    ),
};

/// Plano 0.4.19 to 0.4.36, `ARCH_ORCHESTRATOR_V1_SYSTEM_PROMPT` in orchestrator_model_v1.rs. The braces are doubled as if for `format!`,
/// but the text goes through `str::replace`, so the router sees them doubled.
const ORCHESTRATOR_V1: Template = Template {
    before_routes: r#"
You are a helpful assistant that selects the most suitable routes based on user intent.
You are provided with a list of available routes enclosed within <routes></routes> XML tags:
<routes>
"#,
    between: r#"
</routes>

You are also given the conversation context enclosed within <conversation></conversation> XML tags:
<conversation>
"#,
    after_conversation: r#"
</conversation>

## Instructions
1. Analyze the latest user intent from the conversation.
2. Compare it against the available routes to find which routes can help fulfill the request.
3. Respond only with the exact route names from <routes>.
4. If no routes can help or the intent is already fulfilled, return an empty list.

## Response Format
Return your answer strictly in JSON as follows:
{{"route": ["route_name_1", "route_name_2", "..."]}}
If no routes are needed, return an empty list for `route`.
"#,
};

//! The exact prompts that gateways send to a router, and how they read its answers.
//!
//! One function a direction: [`render`] turns routes and a conversation into the prompt of a [`DialectId`], [`parse_answer`] turns the
//! router's text into a route. Both repeat what the consumer does byte for byte, oddities included: the double space before "Follow", the
//! trailing spaces of the model card, the doubled braces that the orchestrator prompt never unescapes. Nothing here is to be tidied up:
//! a test of other bytes is a test of another gateway.
//!
//! Sources: katanemo/plano, `crates/brightstaff/src/router/router_model_v1.rs` (archgw 0.3.1 to Plano 0.4.18) and
//! `orchestrator_model_v1.rs` (Plano 0.4.19 to 0.4.36), and the README of katanemo/Arch-Router-1.5B. The golden vectors in
//! `tests/fixtures` hold this module to them.

mod answer;
mod gateways;
mod json;
mod parse;
mod prompt;
mod select;
mod template;
mod trim;

pub use answer::{all_names_text, answer_text, first_name_prefix};
pub use gateways::{GATEWAYS, Gateway, Version, dialect_warning, gateway_of_version, no_route_note, outlook, session_limit, version};
pub use parse::{AnswerError, parse_answer};
pub use prompt::{RenderedPrompt, render};
pub use select::{Budget, DropReason, Dropped, Fit, Kept, Selection, WINDOW, is_cut, says_nothing};
pub use template::{answers_are_lists, default_budget, estimated_tokens, template_tokens};
pub use trim::{Trim, trim_middle};

#[doc(no_inline)]
pub use crate::policy::DialectId;

//! The window: functions named `*_ui` that draw the state of [`crate::app`] and send commands back.
//!
//! Nothing here changes what it shows, waits for anything or knows about models. The panels are drawn from the outside in: bars at the edges
//! first, then columns, since egui gives each the space that is left.

mod actions;
mod bars;
mod conversation_panel;
mod decision_facts;
mod decision_panel;
mod log_panel;
mod notice;
mod policy_panel;
mod route_form;
mod status_bar;
pub mod theme;
mod tokens;
mod top_bar;
mod widgets;
mod window;

pub use window::{Window, run};

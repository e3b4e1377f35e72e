//! Waypost: a desktop workbench for LLM route policies.
//!
//! The library holds everything but `main`; ARCHITECTURE.md is its map. Imports point only downward:
//! [`policy`], [`chat`] and [`decision`] are the domain, [`dialect`], [`formats`] and [`eval`] the text layer above it,
//! [`engine`] the only place that knows about models, [`app`] and [`cli`] the only places that write files of the user's
//! (downloads go into the cache of the Hugging Face tools from [`engine`]), and `ui` draws.

pub mod app;
pub mod chat;
pub mod cli;
pub mod decision;
pub mod dialect;
pub mod engine;
pub mod eval;
pub mod formats;
pub mod policy;
pub mod ui;

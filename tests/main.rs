//! Everything that is tested from outside the library, as one binary so that it links once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must panic")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests say what they leave out and what they measured")]

mod architecture;
mod calibrated_router;
mod ci_examples;
mod cli;
mod dialect;
mod endpoint;
mod engine_files;
mod engine_network;
mod engine_properties;
mod engine_reference;
mod engine_worker;
mod eval;
mod eval_cli;
mod eval_compare;
mod eval_measure;
mod fake_hub;
mod fake_router;
mod formats;
mod gateways;
mod harness;
mod hub;
mod licences;
mod program;
mod samples;
mod test_server;
mod tiny_model;
mod window;
mod workbench;

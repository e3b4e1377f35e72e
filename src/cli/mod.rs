//! The command line: the same engine without a window, for scripts and CI.
//!
//! Standard output carries the result alone; progress and warnings go to standard error. Exit status: 0 done, 1 a gate failed, 2 bad usage
//! or bad input, 3 the router could not be loaded or reached, 130 interrupted.

mod args;
mod bench;
mod bench_batch;
mod compare;
mod eval;
mod gateway;
mod input;
mod measure;
mod models;
mod models_args;
mod output;
mod prompt;
mod report;
mod route;
mod router;

use std::process::ExitCode;

use clap::Parser as _;

pub use crate::app::CarriedFile;
use crate::app::{StartOptions, unpack_router};
use crate::engine::{EngineError, carry};
use crate::formats::FormatError;
use args::{Arguments, Command};

/// Says which files of the built-in router the program carries, for when it is installed without its sources.
pub fn carry_router(files: &'static [CarriedFile]) {
    carry(Box::new(|| unpack_router(files)));
}

/// What the arguments ask for.
pub enum Invocation {
    /// Open the window.
    Window(Box<StartOptions>),
    /// Everything is done; end with this status.
    Done(ExitCode),
}

/// Why a command failed, one kind for each exit status.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A gate that the user set was not passed: status 1.
    #[error("{0}")]
    Gate(String),
    /// Bad usage or bad input: status 2.
    #[error("{0}")]
    Input(String),
    /// The user interrupted: status 130, as shells have it.
    #[error("{0}")]
    Stopped(String),
    /// The router could not be loaded or reached, or decided nothing, or not what a gate depends on: status 3.
    #[error("{0}")]
    Router(String),
}

impl From<FormatError> for Failure {
    fn from(error: FormatError) -> Self {
        Self::Input(error.to_string())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Request(message) => Self::Input(message),
            EngineError::Cancelled => Self::Stopped("stopped".to_owned()),
            error => Self::Router(error.to_string()),
        }
    }
}

/// Runs what the process's arguments ask for, except for the window, which is the caller's to open.
pub fn run() -> Invocation {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap's own status for bad usage is 2 too; help and version are no errors.
            error.print().ok();
            return Invocation::Done(ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)));
        }
    };
    let done = match arguments.command.unwrap_or_default() {
        Command::Gui(gui) => match gui.start_options() {
            Ok(options) => return Invocation::Window(Box::new(options)),
            Err(failure) => Err(failure),
        },
        Command::Prompt(prompt) => prompt::run(&prompt),
        Command::Route(route) => route::run(&route),
        Command::Lint(lint) => gateway::lint(&lint),
        Command::Import(import) => gateway::import(&import),
        Command::Export(export) => gateway::export(&export),
        Command::Eval(eval) => eval::run(&eval),
        Command::Compare(compare) => compare::run(&compare),
        Command::Bench(bench) => bench::run(&bench),
        Command::Models(models) => models::run(&models),
    };
    Invocation::Done(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::tell(&format!("error: {failure}"));
            ExitCode::from(match failure {
                Failure::Gate(_) => 1,
                Failure::Input(_) => 2,
                Failure::Router(_) => 3,
                Failure::Stopped(_) => measure::STOPPED,
            })
        }
    })
}

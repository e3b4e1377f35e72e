//! The `waypost` program: the window without arguments, the command line with them.

use std::process::ExitCode;

use waypost::cli::{self, Invocation};
use waypost::ui;

fn main() -> ExitCode {
    match cli::run() {
        Invocation::Done(status) => status,
        Invocation::Window(options) => match ui::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(2)
            }
        },
    }
}

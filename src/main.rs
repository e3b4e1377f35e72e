//! The `waypost` program: the window without arguments, the command line with them.

use std::io::Write as _;
use std::process::ExitCode;

use waypost::cli::{self, Invocation};
use waypost::ui;

fn main() -> ExitCode {
    match cli::run() {
        Invocation::Done(status) => status,
        Invocation::Window(options) => match ui::run(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Nobody may be listening, which is no reason to panic.
                writeln!(std::io::stderr(), "error: {error}").ok();
                ExitCode::from(2)
            }
        },
    }
}

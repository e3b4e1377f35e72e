//! The `waypost` program: the window without arguments, the command line with them.

use std::io::Write as _;
use std::process::ExitCode;

use waypost::cli::{self, CarriedFile, Invocation};
use waypost::ui;

/// The built-in router goes with the program: an installed binary outlives its sources.
static BUILTIN: [CarriedFile; 2] = [
    CarriedFile { name: "router.gguf", bytes: include_bytes!("../assets/router/router.gguf") },
    CarriedFile { name: "router.json", bytes: include_bytes!("../assets/router/router.json") },
];

fn main() -> ExitCode {
    cli::carry_router(&BUILTIN);
    match cli::run() {
        Invocation::Done(status) => status,
        Invocation::Window(options) => match ui::run(*options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Nobody may be listening, which is no reason to panic.
                writeln!(std::io::stderr(), "error: {error}").ok();
                ExitCode::from(2)
            }
        },
    }
}

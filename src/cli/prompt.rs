//! `waypost prompt`: the exact bytes of the prompt on standard output, nothing added.

use super::args::PromptArguments;
use super::input::{Case, read_case};
use super::{Failure, report, router};
use crate::dialect::{Selection, render};
use crate::engine::chat_prompt;
use crate::policy::Route;

/// Prints the prompt; what was left out or cut, and what exceeds the budget, goes to standard error.
///
/// # Errors
/// Fails on bad input, and with `--chat` when the router cannot be loaded.
pub fn run(arguments: &PromptArguments) -> Result<(), Failure> {
    let Case { policy, conversation, dialect, budget } = read_case(&arguments.case)?;
    let routes: Vec<&Route> = policy.routes.iter().collect();
    let rendered = render(dialect, &routes, &conversation, budget);
    tell_cuts(&rendered.selection);
    let text = if arguments.chat { chat_prompt(&router::source(&arguments.router)?, &rendered.text)? } else { rendered.text };
    report::print(&text)
}

/// Says on standard error which messages of a conversation do not reach the router as they are, and why.
pub fn tell_cuts(selection: &Selection) {
    for dropped in &selection.dropped {
        report::tell(&format!("note: message {} is not sent: {}", dropped.index + 1, dropped.reason));
    }
    for kept in &selection.kept {
        if let Some(clause) = kept.fit.clause() {
            report::tell(&format!("note: message {} {clause}", kept.index + 1));
        }
    }
}

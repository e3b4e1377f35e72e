//! Reads the files that commands name.

use std::path::Path;

use super::args::CaseArguments;
use super::{Failure, report};
use crate::chat::Conversation;
use crate::dialect::{default_budget, says_nothing};
use crate::formats::{FormatError, STDIN, Warning, open, parse_conversation, parse_policy, read_text, read_text_from, read_unchanged};
use crate::policy::{DialectId, Policy};

/// A policy, a conversation, the dialect to decide in and the budget of its prompt.
pub struct Case {
    pub policy: Policy,
    pub conversation: Conversation,
    pub dialect: DialectId,
    /// As in [`crate::engine::RouteRequest`].
    pub budget: Option<usize>,
}

/// Reads what a case names; warnings go to standard error.
///
/// # Errors
/// Fails on files that cannot be read or understood.
pub fn read_case(arguments: &CaseArguments) -> Result<Case, Failure> {
    refuse_two_stdins([("--policy", arguments.policy.as_path()), ("--conversation", arguments.conversation.as_path())])?;
    let (text, path) = read_input(&arguments.policy)?;
    let policy = read_policy(&text, &path)?;
    let (text, path) = read_input(&arguments.conversation)?;
    let (conversation, warnings) = parse_conversation(&text, &path)?;
    print(&warnings);
    let dialect = arguments.dialect.or(policy.dialect).unwrap_or(DialectId::DEFAULT);
    // The model card's own example sends whatever there is.
    if dialect != DialectId::ModelCard && says_nothing(&conversation.messages) {
        report::tell(&format!(
            "warning: {path}: nothing of the conversation reaches the router, which is asked about an empty one; write what the user says as text"
        ));
    }
    note_budget(arguments.budget, Some(dialect));
    let budget = arguments.budget.or_else(|| policy.budget_for(dialect));
    Ok(Case { policy, conversation, dialect, budget })
}

/// Says where a `--budget` changes nothing; no dialect is that of a running gateway.
pub fn note_budget(budget: Option<usize>, dialect: Option<DialectId>) {
    let reason = match dialect {
        Some(dialect) if default_budget(dialect).is_some() => return,
        Some(dialect) => format!("the dialect {dialect} sends everything"),
        None => "a running gateway cuts conversations as it is configured".to_owned(),
    };
    if budget.is_some() {
        report::tell(&format!("note: --budget has no effect: {reason}"));
    }
}

/// Reads a named file, or standard input for `-`; returns its text and its name for messages.
///
/// # Errors
/// Fails on files that cannot be read as text.
pub fn read_input(path: &Path) -> Result<(String, String), FormatError> {
    if is_stdin(path) {
        Ok((read_text_from(std::io::stdin().lock(), STDIN)?, STDIN.to_owned()))
    } else {
        Ok((read_text(path)?, path.display().to_string()))
    }
}

/// As [`read_input`], but a byte order mark stays: what is written back into a file must not lose it.
///
/// # Errors
/// As [`read_input`].
pub fn read_input_unchanged(path: &Path) -> Result<(String, String), FormatError> {
    if is_stdin(path) {
        Ok((read_unchanged(std::io::stdin().lock(), STDIN)?, STDIN.to_owned()))
    } else {
        let label = path.display().to_string();
        Ok((read_unchanged(open(path)?, &label)?, label))
    }
}

/// Refuses arguments of which several are `-`.
///
/// # Errors
/// Standard input would be read twice.
pub fn refuse_two_stdins<'a>(inputs: impl IntoIterator<Item = (&'a str, &'a Path)>) -> Result<(), Failure> {
    let mut named = inputs.into_iter().filter(|(_, path)| is_stdin(path)).map(|(name, _)| name);
    let (Some(first), Some(second)) = (named.next(), named.next()) else { return Ok(()) };
    let both = if first == second { format!("{first} is - twice") } else { format!("{first} and {second} are both -") };
    Err(Failure::Input(format!("{both}, but standard input can be read once; name a file for one of them")))
}

/// Returns whether a path stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Parses a policy; warnings go to standard error.
///
/// # Errors
/// Fails on text that is no policy.
pub fn read_policy(text: &str, path: &str) -> Result<Policy, Failure> {
    let (policy, warnings) = parse_policy(text, path)?;
    print(&warnings);
    Ok(policy)
}

fn print(warnings: &[Warning]) {
    for warning in warnings {
        report::tell(&format!("warning: {warning}"));
    }
}

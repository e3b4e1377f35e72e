//! `waypost lint`, `waypost import` and `waypost export`: policies and the gateways' own files.

use super::args::{ExportArguments, ImportArguments, LintArguments};
use super::input::{read_input, read_policy};
use super::{Failure, output, report};
use crate::formats::{ExportError, ExportOptions, evidence_problems, export_gateway, import_gateway, lint_text, write_policy};
use crate::policy::lint::Severity;

/// Checks a policy, or the policy inside a gateway's configuration.
///
/// # Errors
/// Fails on bad input, and as a gate when there are errors.
pub fn lint(arguments: &LintArguments) -> Result<(), Failure> {
    let (text, path) = read_input(&arguments.policy)?;
    let found = lint_text(&text, &path)?;
    for warning in &found.warnings {
        eprintln!("warning: {warning}");
    }
    let printed = match (arguments.json, arguments.sarif) {
        (true, _) => found.to_json(),
        (_, true) => found.to_sarif(),
        _ => found.to_text(),
    };
    report::print(&printed)?;
    if found.has_errors() {
        return Err(Failure::Gate(format!(
            "{path} has {} that the gateway would refuse or misread",
            counted(found.count(Severity::Error), "error")
        )));
    }
    Ok(())
}

/// Turns a gateway's configuration into a policy; what it says about the file goes to standard error.
///
/// # Errors
/// Fails on bad input, and as a gate when no policy can be made of the file.
pub fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let (text, path) = read_input(&arguments.config)?;
    let imported = import_gateway(&text, &path).map_err(|error| Failure::Gate(error.to_string()))?;
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
    output::write(arguments.out.as_deref(), &write_policy(&imported.policy))
}

/// Writes a policy as a gateway's configuration; what the export cannot say goes to standard error.
///
/// # Errors
/// Fails on bad input, and as a gate when the gateway would refuse the result.
pub fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let (text, path) = read_input(&arguments.policy)?;
    let policy = read_policy(&text, &path)?;
    let into = arguments.into.as_deref().map(read_input).transpose()?;
    let options =
        ExportOptions { format: arguments.format, into: into.as_ref().map(|(text, path)| (text.as_str(), path.as_str())), evidence: None };
    let exported = export_gateway(&policy, options).map_err(|error| match error {
        ExportError::Refused(_) => Failure::Gate(error.to_string()),
        ExportError::Config(error) => Failure::from(error),
    })?;
    for problem in evidence_problems(&policy, None) {
        eprintln!("warning: {problem}");
    }
    for note in &exported.notes {
        eprintln!("note: {note}");
    }
    output::write(arguments.out.as_deref(), &exported.text)
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

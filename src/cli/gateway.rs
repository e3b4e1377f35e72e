//! `waypost lint`, `waypost import` and `waypost export`: policies and the gateways' own files.

use std::io::IsTerminal as _;

use super::args::{ExportArguments, ImportArguments, LintArguments, Target};
use super::input::{read_input, read_input_unchanged, read_policy, refuse_two_stdins};
use super::{Failure, output, report};
use crate::app::measure::open_run;
use crate::dialect::{Version, dialect_warning};
use crate::formats::{
    Evidence, ExportError, ExportFormat, ExportOptions, configured_budget, evidence_problems, export_gateway, import_gateway, lint_text,
    looks_like_gateway, run_evidence, unreadable_json, unreadable_sarif, write_policy,
};
use crate::policy::DialectId;
use crate::policy::lint::Severity;

/// Checks a policy, or the policy inside a gateway's configuration.
///
/// # Errors
/// Fails on bad input, and as a gate when there are errors.
pub fn lint(arguments: &LintArguments) -> Result<(), Failure> {
    let found = match read_input(&arguments.policy).and_then(|(text, path)| lint_text(&text, &path)) {
        Ok(found) => found,
        Err(error) => {
            // Whoever reads the report by program gets one all the same, also where there is no such file.
            match (arguments.json, arguments.sarif) {
                (true, _) => report::print(&unreadable_json(&error))?,
                (_, true) => report::print(&unreadable_sarif(&error))?,
                _ => {}
            }
            return Err(error.into());
        }
    };
    for warning in &found.warnings {
        report::tell(&format!("warning: {warning}"));
    }
    let printed = match (arguments.json, arguments.sarif) {
        (true, _) => found.to_json(),
        (_, true) => found.to_sarif(),
        _ => found.to_text(),
    };
    report::print(&printed)?;
    if found.has_errors() {
        return Err(Failure::Gate(format!(
            "{} has {} that the gateway would refuse or misread",
            found.path,
            counted(found.count(Severity::Error), "error")
        )));
    }
    Ok(())
}

/// Turns a gateway's configuration into a policy; what it says about the file goes to standard error.
///
/// # Errors
/// Fails on bad input, and as a gate when no policy can be made of a gateway's configuration.
pub fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let (text, path) = read_input(&arguments.config)?;
    let imported = import_gateway(&text, &path)
        .map_err(|error| if looks_like_gateway(&text, &path) { Failure::Gate(error.to_string()) } else { Failure::from(error) })?;
    for note in &imported.notes {
        report::tell(&format!("note: {note}"));
    }
    output::write(arguments.out.as_deref(), &write_policy(&imported.policy))
}

/// Writes a policy as a gateway's configuration, with what it was tested with; what the export cannot say goes to standard error.
///
/// # Errors
/// Fails on bad input, and as a gate when the gateway would refuse the result, or when the evidence does not hold for the policy and nobody
/// wants it all the same.
pub fn export(arguments: &ExportArguments) -> Result<(), Failure> {
    let inputs = [("POLICY", Some(arguments.policy.as_path())), ("--into", arguments.into.as_deref())];
    refuse_two_stdins(inputs.into_iter().filter_map(|(name, path)| Some((name, path?))))?;
    let (text, path) = read_input(&arguments.policy)?;
    let policy = read_policy(&text, &path)?;
    let into = arguments.into.as_deref().map(read_input_unchanged).transpose()?;
    let run = arguments.evidence.as_deref().map(open_run).transpose()?;
    let evidence = run.as_ref().map(run_evidence);
    let options = ExportOptions {
        format: arguments.format,
        into: into.as_ref().map(|(text, path)| (text.as_str(), path.as_str())),
        evidence: evidence.as_ref(),
        dialect: arguments.gateway.map(|target| target.gateway.dialect),
    };
    let exported = export_gateway(&policy, options).map_err(|error| match error {
        ExportError::Refused(_) => Failure::Gate(error.to_string()),
        ExportError::Config(error) => Failure::from(error),
    })?;
    let configured = options.into.and_then(|(text, path)| configured_budget(text, path));
    let mut problems = evidence_problems(&policy, evidence.as_ref(), configured);
    let tested = evidence.as_ref().and_then(|evidence| evidence.dialect).or(policy.dialect).unwrap_or(DialectId::DEFAULT);
    // A running gateway decided with its own prompt, so there is no dialect to compare.
    let is_live = evidence.as_ref().is_some_and(|evidence| evidence.router.live_gateway().is_some());
    problems.extend(arguments.gateway.filter(|_| !is_live).and_then(|target| dialect_warning(tested, target.gateway)));
    let doubt = match arguments.gateway {
        Some(Target { version, .. }) if !arguments.format.is_read_by(version) => Some(not_read(arguments.format, version)),
        Some(_) => None,
        None => {
            evidence.as_ref().and_then(|evidence| evidence.dialect).zip(arguments.format.gateways().last()).and_then(|(dialect, newest)| {
                dialect_warning(dialect, newest).map(|doubt| format!("{doubt}, or name an older gateway with --gateway"))
            })
        }
    };
    // No reason to ask: an example for CI or a first try has no other router.
    let router_note = evidence.as_ref().and_then(Evidence::router_note);
    for problem in problems.iter().map(String::as_str).chain(doubt.as_deref()).chain(router_note) {
        report::tell(&format!("warning: {problem}"));
    }
    if !problems.is_empty() && !arguments.yes {
        confirm(evidence.is_some())?;
    }
    for note in &exported.notes {
        report::tell(&format!("note: {note}"));
    }
    output::write(arguments.out.as_deref(), &exported.text)?;
    // Beside a device or a pipe is no place for it.
    let written = arguments.out.as_deref().filter(|path| path.as_os_str() != "-" && path.is_file());
    match (&exported.evidence_json, written) {
        (Some(json), Some(path)) => output::write(Some(&path.with_file_name("routes.evidence.json")), json),
        (Some(_), None) => {
            report::tell("note: routes.evidence.json is written beside the file that --out names");
            Ok(())
        }
        (None, Some(path)) => {
            let beside = path.with_file_name("routes.evidence.json");
            if beside.exists() {
                let beside = beside.display();
                report::tell(&format!(
                    "note: {beside} is from an earlier export and says nothing about this one; remove it, or use --evidence"
                ));
            }
            Ok(())
        }
        (None, None) => Ok(()),
    }
}

fn not_read(format: ExportFormat, (major, minor, patch): Version) -> String {
    let explanation = format.explanation();
    format!("version {major}.{minor}.{patch} does not read {format} ({explanation}); choose another --format, or leave out --gateway")
}

/// Asks on a terminal whether to go on. Where nobody can answer, a policy without evidence is exported with its warning, as scripts expect;
/// evidence that was given and does not hold is a mistake.
fn confirm(is_given: bool) -> Result<(), Failure> {
    let refused = |what: &str| Err(Failure::Gate(format!("not exported: {what}")));
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return if is_given { refused("the evidence does not hold for this policy; test it again, or add --yes") } else { Ok(()) };
    }
    report::ask("Export anyway? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        refused("test the policy first: waypost eval --out RUN, then --evidence RUN")
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

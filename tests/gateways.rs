//! Gateways' configurations in and out, and the linter.

mod dialects;
mod export;
mod import;
mod into;
mod lint;
mod shared;

use waypost::formats::{Imported, NoteKind, import_gateway, parse_policy};
use waypost::policy::Policy;

/// Reads a fixture of this project.
fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/gateway/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Imports a text that must import.
#[track_caller]
fn imported(text: &str) -> Imported {
    import_gateway(text, "c.yaml").unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns `kind line message` of each note.
fn notes(imported: &Imported) -> Vec<String> {
    let kind = |kind| match kind {
        NoteKind::Refused => "refused",
        NoteKind::Ignored => "ignored",
        NoteKind::Changed => "changed",
    };
    imported.notes.iter().map(|n| format!("{} {}: {}", kind(n.kind), n.warning.line.unwrap_or(0), n.warning.message)).collect()
}

/// Every sample policy, with its path.
fn sample_policies() -> Vec<(String, Policy)> {
    let folder = format!("{}/sample_policies", env!("CARGO_MANIFEST_DIR"));
    let mut policies: Vec<(String, Policy)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("policy.yaml"))
        .filter(|path| path.exists())
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.display().to_string();
            (path.clone(), parse_policy(&text, &path).unwrap().0)
        })
        .collect();
    policies.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(policies.len() >= 5, "the sample policies are missing");
    policies
}

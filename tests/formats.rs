//! What users read and write: every shape of file, and the exact sentence for everything that can be wrong with one.

mod comments;
mod conversations;
mod labelled;
mod policies;
mod round_trip;
mod sources;

use std::fmt::Display;

/// Asserts that reading fails with exactly this sentence.
#[track_caller]
fn refuses<T, E: Display>(input: &str, result: Result<T, E>, expected: &str) {
    match result {
        Ok(_) => panic!("read without an error:\n{input}\nexpected: {expected}"),
        Err(error) => assert_eq!(error.to_string(), expected, "for this text:\n{input}"),
    }
}

/// Returns the warnings as the user sees them.
fn sentences(warnings: &[waypost::formats::Warning]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// Asserts of each text that reading it fails with exactly the sentence beside it; shows all that differ at once.
#[track_caller]
fn refuses_each<T, E: Display>(cases: &[(&str, &str)], read: impl Fn(&str) -> Result<T, E>) {
    let differences: Vec<String> = cases
        .iter()
        .filter_map(|(text, expected)| {
            let found = read(text).map_or_else(|error| error.to_string(), |_| "read without an error".to_owned());
            (found != *expected).then(|| format!("{text}\nexpected {expected}\nfound    {found}\n"))
        })
        .collect();
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

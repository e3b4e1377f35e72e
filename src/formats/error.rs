//! What is wrong with a text, as one sentence with its place and its remedy.

use std::fmt;

use super::tree::Pos;

/// The path in messages about standard input.
pub const STDIN: &str = "<stdin>";

/// The path in messages about text that was pasted into the window.
pub const PASTED: &str = "pasted text";

/// A text that cannot be read. Displays as `policy.yaml:12:5: what is wrong; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError {
    /// The file, or [`STDIN`], or [`PASTED`].
    pub path: String,
    /// Counted from 1; `None` when the whole file is meant.
    pub line: Option<usize>,
    /// Counted from 1, in characters.
    pub column: Option<usize>,
    /// What is wrong, without the place and without a full stop.
    pub message: String,
    /// What the user can do about it.
    pub remedy: String,
}

/// Something in a text that was read all the same. Displays like [`FormatError`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file, or [`STDIN`], or [`PASTED`].
    pub path: String,
    /// Counted from 1; `None` when the whole file is meant.
    pub line: Option<usize>,
    /// Counted from 1, in characters.
    pub column: Option<usize>,
    /// What is odd, without the place and without a full stop.
    pub message: String,
    /// What the user can do about it.
    pub remedy: String,
}

impl std::error::Error for FormatError {}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sentence(f, &self.path, self.line, self.column, &self.message, &self.remedy)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        sentence(f, &self.path, self.line, self.column, &self.message, &self.remedy)
    }
}

fn sentence(
    f: &mut fmt::Formatter<'_>,
    path: &str,
    line: Option<usize>,
    column: Option<usize>,
    message: &str,
    remedy: &str,
) -> fmt::Result {
    f.write_str(path)?;
    for number in [line, column].into_iter().flatten() {
        write!(f, ":{number}")?;
    }
    write!(f, ": {message}; {remedy}")
}

/// Where a text came from: makes the errors and collects the warnings about it.
pub(super) struct Origin<'a> {
    path: &'a str,
    pub(super) warnings: Vec<Warning>,
    /// Whether equal and empty names of routes are read all the same, because the linter tells about them.
    pub(super) any_names: bool,
}

impl<'a> Origin<'a> {
    pub(super) fn new(path: &'a str) -> Self {
        Self { path, warnings: Vec::new(), any_names: false }
    }

    /// As [`Self::new`], for a text that is read to be linted.
    pub(super) fn to_lint(path: &'a str) -> Self {
        Self { any_names: true, ..Self::new(path) }
    }

    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// Returns an error about one place.
    pub(super) fn error(&self, at: Pos, message: impl Into<String>, remedy: impl Into<String>) -> FormatError {
        FormatError { line: Some(at.line), column: Some(at.column), ..self.whole(message, remedy) }
    }

    /// Returns an error about the whole text.
    pub(super) fn whole(&self, message: impl Into<String>, remedy: impl Into<String>) -> FormatError {
        FormatError { path: self.path.to_owned(), line: None, column: None, message: message.into(), remedy: remedy.into() }
    }

    /// Keeps a warning about one place.
    pub(super) fn warn(&mut self, at: Pos, message: impl Into<String>, remedy: impl Into<String>) {
        let FormatError { path, line, column, message, remedy } = self.error(at, message, remedy);
        self.warnings.push(Warning { path, line, column, message, remedy });
    }
}

//! The first wrong cases of a run for a terminal: the figures tell that something is wrong, these what.

use std::fmt::Write as _;

use crate::eval::{Run, case_name};

/// Cases that are listed: with the figures above them, a screenful.
const LISTED: usize = 10;

/// Returns the first wrong cases of a run, in the order of the set, each with the beginning of what the user said; nothing where all are right.
pub fn wrong_cases_text(run: &Run) -> String {
    let wrong = || run.turns.iter().filter(|turn| turn.is_wrong());
    let mut text = match wrong().count() {
        0 => return String::new(),
        count if count > LISTED => format!("\nthe first {LISTED} of {count} wrong cases (--out DIR writes all of them to cases.csv)\n"),
        _ => "\nwrong cases\n".to_owned(),
    };
    for turn in wrong().take(LISTED) {
        let name = case_name(&turn.id, turn.turn);
        let decided = turn.decided.as_deref().unwrap_or("error");
        let said = if turn.preview.is_empty() { String::new() } else { format!(": {}", turn.preview) };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name} (line {}), expected {}, decided {decided}{said}", turn.line, turn.label);
    }
    text
}

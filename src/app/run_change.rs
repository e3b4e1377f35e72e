//! What may change about a kept run after it was measured.

use super::batch::Correction;
use crate::eval::{Run, TurnResult};

/// A change of a run. Its decisions never change, but what was expected of them may turn out to have been wrong.
#[derive(Clone, Debug)]
pub(super) enum RunChange {
    Label(Correction),
    /// A correction that the set's file could not take: the label is again what it was.
    Back(Correction),
    /// Waypost itself corrected labels in the set's file, which makes it another version of what the run was measured on and no other set.
    Set {
        before: String,
        after: String,
    },
}

impl RunChange {
    /// Makes the change in a run.
    pub fn apply(self, run: &mut Run) {
        match self {
            Self::Label(wanted) => {
                if let Some(turn) = turn_of(run, &wanted) {
                    turn.label = wanted.after.into();
                }
            }
            // Runs that never heard of the correction have another label, and keep it.
            Self::Back(taken) => {
                if let Some(turn) = turn_of(run, &taken).filter(|turn| *turn.label == *taken.after) {
                    turn.label = taken.before.into();
                }
            }
            // A run of a file that was changed by others in between stays one of that file.
            Self::Set { before, after } if run.info.set.sha256 == before => run.info.set.sha256 = after,
            Self::Set { .. } => {}
        }
    }
}

fn turn_of<'r>(run: &'r mut Run, one: &Correction) -> Option<&'r mut TurnResult> {
    let is_it =
        |turn: &&mut TurnResult| (turn.conversation, turn.line, &*turn.id, turn.turn) == (one.case, one.line, one.id.as_str(), one.turn);
    run.turns.iter_mut().find(is_it)
}

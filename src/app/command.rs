//! What panels ask for. A panel never changes state that is not its own: it sends one of these, and [`super::App::run`] does it.

use super::{Action, JobId};
use crate::chat::ConversationEdit;
use crate::policy::PolicyEdit;

/// A wish of the user, as data.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Does one of the actions of the table, unless something stands in its way.
    Perform(Action),
    EditPolicy(PolicyEdit),
    EditConversation(ConversationEdit),
    /// Shows this route in the form.
    SelectRoute(usize),
    CancelJob(JobId),
    /// Takes a message off the screen; the log keeps it.
    Dismiss {
        entry: u64,
    },
}

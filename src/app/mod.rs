//! The workbench without its window: state, the commands that change it, the table of user actions and the reactions to engine events.
//!
//! [`App`] owns the [`State`] and the engine thread. Whoever draws reads the state and sends [`Command`]s; nothing here knows how it is drawn,
//! so all of it can be tested without a window.

mod action;
mod command;
mod files;
mod log;
mod reaction;
mod router;
mod sample;
mod session;
mod shown;
mod state;

pub use crate::engine::{CacheStats, DeviceChoice, JobId, Loader, Progress, RouterDescription, RouterSource};
pub use action::Action;
pub use command::Command;
pub use log::{Entry, Log, Severity};
pub use router::{Job, JobKind, RouterPhase, RouterStatus};
pub use session::{App, StartOptions};
pub use shown::ShownDecision;
pub use state::{Document, Reveal, Settings, State, Target, ThemeChoice};

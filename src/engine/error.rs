//! What can go wrong between a request and a decision, as sentences for people.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An error of the engine. Payloads are text so that errors cross threads and can be kept beside results.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The router cannot be found, read or understood; the command line exits with 3.
    #[error("{0}")]
    Router(String),
    /// The request itself cannot be decided, for example a prompt longer than the router's context.
    #[error("{0}")]
    Request(String),
    /// The job's token was cancelled; not shown as an error.
    #[error("cancelled")]
    Cancelled,
    /// A defect of Waypost: the job ended by a panic, the engine goes on.
    #[error("Internal error while working on this ({0}); please report it, nothing else is affected")]
    Internal(String),
}

impl EngineError {
    /// Builds a [`EngineError::Router`] from anything that displays.
    pub fn router(message: impl std::fmt::Display) -> Self {
        Self::Router(message.to_string())
    }

    /// Builds a [`EngineError::Request`] from anything that displays.
    pub fn request(message: impl std::fmt::Display) -> Self {
        Self::Request(message.to_string())
    }
}

impl From<candle_core::Error> for EngineError {
    /// Tensor errors inside a computation are defects or exhausted memory, never the user's input: files are checked when they are loaded.
    fn from(error: candle_core::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Turns a panic into an error. What `work` was changing must not be used afterwards, or stand any state.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(EngineError::Internal(panic_message(panic.as_ref()).to_owned())))
}

/// Returns what a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message")
}

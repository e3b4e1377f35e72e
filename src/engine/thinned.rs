//! Reports of progress at a pace that people can follow.

use std::time::{Duration, Instant};

use super::protocol::Progress;

/// A little over a thirtieth of a second.
pub const INTERVAL: Duration = Duration::from_millis(34);

/// Lets at most 30 reports a second through.
pub struct Thinned<F> {
    last: Option<Instant>,
    send: F,
}

impl<F: FnMut(Progress)> Thinned<F> {
    /// Sends reports on with `send`.
    pub fn new(send: F) -> Self {
        Self { last: None, send }
    }

    /// Sends a report on, unless the last one was a moment ago.
    pub fn report(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.last.is_none_or(|last| now - last >= INTERVAL) {
            self.last = Some(now);
            (self.send)(progress);
        }
    }
}

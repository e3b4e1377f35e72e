//! How long frames take, painting included, for whoever sets `WAYPOST_FRAME_TIMES`: a line on standard error every few seconds of drawing.

use std::io::Write as _;

/// Frames of one line.
const FRAMES: usize = 240;

/// Collects times; does nothing unless it is asked for.
pub struct FrameTimes(Option<Vec<f32>>);

impl FrameTimes {
    /// Looks at the environment.
    pub fn new() -> Self {
        Self(std::env::var_os("WAYPOST_FRAME_TIMES").map(|_| Vec::with_capacity(FRAMES)))
    }

    /// Takes what the last frame cost on the drawing thread.
    pub fn take(&mut self, frame: &eframe::Frame) {
        let (Some(times), Some(seconds)) = (&mut self.0, frame.info().cpu_usage) else { return };
        times.push(1000.0 * seconds);
        if times.len() == FRAMES {
            times.sort_by(f32::total_cmp);
            let at = |share: f32| times[((FRAMES - 1) as f32 * share) as usize];
            writeln!(
                std::io::stderr(),
                "{FRAMES} frames: median {:.1} ms, 99th percentile {:.1} ms, longest {:.1} ms",
                at(0.5),
                at(0.99),
                at(1.0)
            )
            .ok();
            times.clear();
        }
    }
}

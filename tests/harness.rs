//! Looking at a window by accessible names, and waiting for what other threads bring into it.

use std::time::{Duration, Instant};

use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use waypost::ui::Window;

/// Draws frames until a text is there.
pub fn wait_for(harness: &mut Harness<'_, Window>, text: &str) {
    wait_until(harness, text, |harness| has(harness, text));
}

/// Draws frames until something is so. The engine is another thread, so the wait is by the clock, and bounded.
pub fn wait_until(harness: &mut Harness<'_, Window>, what: &str, is_so: impl Fn(&Harness<'_, Window>) -> bool) {
    let start = Instant::now();
    while !is_so(harness) {
        assert!(start.elapsed() < Duration::from_secs(20), "waited for {what:?} in vain: {:#?}", texts(harness));
        std::thread::sleep(Duration::from_millis(2));
        harness.step();
    }
    harness.run();
}

/// Returns what a screen reader would find, for messages of failed tests.
pub fn texts(harness: &Harness<'_, Window>) -> Vec<String> {
    harness.root().children_recursive().filter_map(|node| node.accesskit_node().label().or(node.value())).collect()
}

/// Returns whether a text is on screen, alone or as a part of one.
pub fn has(harness: &Harness<'_, Window>, text: &str) -> bool {
    harness.query_all_by_label_contains(text).next().is_some()
}

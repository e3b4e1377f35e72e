//! Leaves the drawing thread a core: the engine's threads step back whenever somebody else wants to run.

/// Lowers the priority of the calling thread, and of all threads that it starts from now on.
///
/// On Linux each thread has a priority of its own and hands it on, so the threads of rayon, which the first pass starts, follow. Nothing is
/// lost while the cores are idle otherwise. Where it cannot be done, decisions are as fast and drawing is a little less smooth.
pub(super) fn step_back() {
    #[cfg(target_os = "linux")]
    rustix::process::setpriority_process(None, 10).ok();
}

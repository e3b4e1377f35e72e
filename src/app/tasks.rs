//! Work that takes longer than a frame and needs no router: reading sets, computing figures, sorting, comparing, writing run folders.
//!
//! A thread does it in order. What it made comes back to the drawing thread as a closure over the [`App`], which costs next to nothing to run.
//! What is so slow that nothing may wait behind it has a thread of its own ([`App::background`]). A panic ends the work that it happens in, and
//! nothing else: each piece of work says what is to become of whatever waits for it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;

use super::session::App;

/// What work made, to be done where the state is.
pub(super) type Apply = Box<dyn FnOnce(&mut App) + Send>;
type Work = Box<dyn FnOnce() -> Apply + Send>;

/// Wakes whoever draws.
pub(super) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The handle of the thread. Dropping it waits for what was asked for, so that a run that just ended is still written.
pub(super) struct Tasks {
    // `Option` because the sender must be gone before the thread can be joined.
    works: Option<Sender<Work>>,
    done: Receiver<Apply>,
    thread: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Starts the thread, which calls `wake` whenever something is done.
    pub fn start(name: &str, wake: Wake) -> std::io::Result<Self> {
        let (works, inbox) = std::sync::mpsc::channel::<Work>();
        let (outbox, done) = std::sync::mpsc::channel();
        let run = move || {
            for work in inbox {
                if outbox.send(work()).is_ok() {
                    wake();
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { works: Some(works), done, thread: Some(thread) })
    }

    /// Does `work` on the thread, then `apply` with what it gave where the state is. Where a defect ends the work early, that is told, and
    /// `abandon` is called in place of `apply`: it resets what waits for this work, and nothing that waits for other work.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        apply: impl FnOnce(&mut App, T) + Send + 'static,
        abandon: impl FnOnce(&mut App) + Send + 'static,
    ) {
        if let Some(works) = &self.works {
            let work = move || -> Apply {
                match catch_unwind(AssertUnwindSafe(work)) {
                    Ok(made) => Box::new(move |app: &mut App| apply(app, made)),
                    Err(panic) => {
                        let sentence = defect(panic.as_ref());
                        Box::new(move |app: &mut App| {
                            app.state.log.error(sentence);
                            abandon(app);
                        })
                    }
                }
            };
            // The thread ends only after this sender is dropped, so the send cannot fail.
            works.send(Box::new(work)).ok();
        }
    }

    /// Returns the next finished piece of work.
    pub fn next_done(&self) -> Option<Apply> {
        self.done.try_recv().ok()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.works = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Returns what to tell of a panic.
fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("Internal error; this result is missing: {}", text.unwrap_or("a panic without a message"))
}

impl App {
    /// Does something on a thread of its own, which nothing else waits for; what it sends is done where the state is. Where a defect or the
    /// want of a thread ends it early, that is told, and `abandon` is called with the sentence, so that nothing waits for it for ever.
    pub(super) fn background(
        &mut self,
        name: &str,
        work: impl FnOnce(&dyn Fn(Apply)) + Send + 'static,
        abandon: impl FnOnce(&mut Self, String) + Clone + Send + 'static,
    ) {
        let (outbox, wake) = (self.outbox.clone(), Arc::clone(&self.wake));
        let give_up = abandon.clone();
        let run = move || {
            let send = |apply: Apply| {
                // Nobody listens any more when the window was closed.
                if outbox.send(apply).is_ok() {
                    wake();
                }
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&send))) {
                let sentence = defect(panic.as_ref());
                send(Box::new(move |app: &mut App| {
                    app.state.log.error(sentence.as_str());
                    give_up(app, sentence);
                }));
            }
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            let sentence = format!("The system could not start a thread ({error}); close other programs and try again");
            self.state.log.error(sentence.as_str());
            abandon(self, sentence);
        }
    }
}

/// Makes work that is passed over where more of its kind was asked for before it begins, for example while somebody types: versions queue up
/// then that nobody will look at any more. `newest` counts what was asked for.
pub(super) fn unless_outdated<T>(
    newest: Arc<AtomicU64>,
    work: impl FnOnce() -> T + Send + 'static,
) -> impl FnOnce() -> Option<T> + Send + 'static {
    let ticket = newest.fetch_add(1, Ordering::Relaxed) + 1;
    move || (newest.load(Ordering::Relaxed) == ticket).then(work)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::batch::Measuring;
    use crate::app::measure::Progressed;
    use crate::app::{Caches, DeviceChoice, RouterSource, StartOptions};
    use crate::engine::EngineError;

    /// A workbench that keeps nothing and loads no router.
    pub fn app() -> App {
        let options = StartOptions {
            files: Vec::new(),
            router: Some(RouterSource::Builtin),
            device: DeviceChoice::Cpu,
            loader: Box::new(|_, _, _, _, _| Err(EngineError::Cancelled)),
            hub: Arc::new(|| Err(EngineError::Cancelled)),
            // Nothing here looks at files of the user.
            caches: Caches { hub: Some("/nowhere/hub".into()), digests: None },
        };
        App::start(options, None, || {}).unwrap()
    }

    /// A measurement as the window knows it.
    pub fn measuring(job: Option<crate::app::JobId>) -> Measuring {
        Measuring { job, name: "x".to_owned(), progress: Progressed::default(), fresh: 0, waiting: 0, ticket: Arc::default() }
    }

    /// Work with a defect, for any of the threads.
    pub fn defective() {
        panic!("a fake defect");
    }

    /// Takes in what becomes of [`defective`] work.
    pub fn fail(app: &mut App) {
        wait_for_error(app, "a fake defect");
    }

    fn wait_for_error(app: &mut App, wanted: &str) {
        let start = Instant::now();
        while !app.state.log.open().0.is_some_and(|entry| entry.text.contains(wanted)) {
            assert!(start.elapsed() < Duration::from_secs(20), "nothing was told of: {wanted}");
            std::thread::sleep(Duration::from_millis(1));
            app.poll();
        }
    }

    #[test]
    fn a_defect_ends_its_own_work_and_what_others_wait_for_goes_on() {
        let mut app = app();
        (app.state.batch.filtering, app.state.compare.computing, app.counting) = (true, true, true);
        app.state.compare.searching = true;
        app.state.batch.measuring = Some(measuring(None));
        app.to_measure.push_back(app.state.policy().id);
        app.files.run(defective, |_, ()| (), |app| app.counting = false);
        fail(&mut app);
        let state = &app.state;
        assert!(!app.counting && state.batch.filtering && state.compare.computing && state.compare.searching);
        assert!(state.batch.measuring.is_some() && app.to_measure.len() == 1);
    }

    #[test]
    fn the_thread_goes_on_after_a_defect() {
        let mut app = app();
        app.files.run(defective, |_, ()| (), |_| ());
        app.files.run(|| (), |app, ()| app.state.log.error("done"), |_| ());
        wait_for_error(&mut app, "done");
    }

    #[test]
    fn work_is_passed_over_where_more_of_its_kind_was_asked_for() {
        let newest = Arc::new(AtomicU64::new(0));
        let older = unless_outdated(Arc::clone(&newest), || "older");
        let newer = unless_outdated(Arc::clone(&newest), || "newer");
        assert_eq!((older(), newer()), (None, Some("newer")));
    }
}

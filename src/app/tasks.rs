//! Work that takes longer than a frame and needs no router: reading sets, computing figures, sorting, comparing, writing run folders.
//!
//! A thread does it in order. What it made comes back to the drawing thread as a closure over the [`App`], which costs next to nothing to run.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
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
                let apply = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| failed(panic.as_ref()));
                if outbox.send(apply).is_ok() {
                    wake();
                }
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { works: Some(works), done, thread: Some(thread) })
    }

    /// Does `work` on the thread, then `apply` with what it gave where the state is.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static, apply: impl FnOnce(&mut App, T) + Send + 'static) {
        if let Some(works) = &self.works {
            let work = move || -> Apply {
                let made = work();
                Box::new(move |app: &mut App| apply(app, made))
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
pub(super) fn defect(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("Internal error; this result is missing: {}", text.unwrap_or("a panic without a message"))
}

fn failed(panic: &(dyn Any + Send)) -> Apply {
    let sentence = defect(panic);
    Box::new(move |app: &mut App| {
        app.state.log.error(sentence);
        // Whatever waited for it can be asked for again.
        (app.state.batch.filtering, app.state.compare.computing, app.writing, app.counting) = (false, false, false, false);
        app.state.batch.opening = None;
        app.abandon_import();
        app.abandon_measuring();
        app.abandon_causes();
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::app::batch::Measuring;
    use crate::app::measure::Progressed;
    use crate::app::{Caches, DeviceChoice, Dialog, ImportSource, RouterSource, StartOptions};
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

    /// Has a piece of work panic, and takes in what follows.
    pub fn fail(app: &mut App) {
        app.files.run(|| panic!("a fake defect"), |_, ()| ());
        let start = Instant::now();
        while app.state.log.open().0.is_none() {
            assert!(start.elapsed() < Duration::from_secs(20), "nothing was told of the defect");
            std::thread::sleep(Duration::from_millis(1));
            app.poll();
        }
        assert!(app.state.log.open().0.unwrap().text.contains("a fake defect"));
    }

    #[test]
    fn what_waited_for_work_that_panicked_can_be_asked_for_again() {
        let mut app = app();
        (app.state.batch.filtering, app.state.compare.computing, app.writing, app.counting) = (true, true, true, true);
        app.state.compare.searching = true;
        app.state.batch.measuring = Some(measuring(None));
        app.to_measure.push_back(app.state.policy().id);
        let source = Arc::new(ImportSource { name: "large.json".to_owned(), bytes: 1 });
        app.state.dialog = Some(Dialog::Import(crate::app::Import::of_source(source, None)));
        fail(&mut app);
        let state = &app.state;
        assert!(!state.batch.filtering && !state.compare.computing && !app.writing && !app.counting && !state.compare.searching);
        assert!(state.batch.measuring.is_none() && app.to_measure.is_empty() && state.dialog.is_none());
    }
}

//! Finding out which edit of a policy causes which flip: the flipped cases are decided again with the edits made one at a time.

use std::sync::Arc;

use super::compare::ComparisonView;
use super::measure::{Attribution, attribute};
use super::measuring::Results;
use super::session::App;
use super::{Job, JobId, JobKind, RouterPhase};
use crate::engine::EngineError;

/// A search under way.
pub(super) struct CauseSearch {
    attribution: Attribution,
    job: JobId,
    /// The comparison that the causes are written into.
    view: Arc<ComparisonView>,
}

impl App {
    pub(super) fn find_causes(&mut self) {
        let Some(view) = self.state.compare.view.clone().filter(|_| !self.state.compare.searching) else { return };
        let info = &view.runs[view.focus].view.run.info;
        let router = self.state.router.description.as_ref().filter(|_| self.state.router.phase == RouterPhase::Ready);
        if router.is_none_or(|router| router.info != info.router) {
            return self
                .state
                .log
                .error(format!("Load the router {} first: the causes are found by deciding cases again with it", info.router.id));
        }
        let Some(open) = self.state.batch.set.clone().filter(|open| open.set.path().as_os_str() == info.set.path.as_str()) else {
            return self.state.log.error(format!("Open the set {} first: the flipped cases are decided again", info.set.path));
        };
        self.state.compare.searching = true;
        let prepare = move || {
            let (a, b) = (&view.runs[0].view.run, &view.runs[view.focus].view.run);
            (attribute(a, b, &view.comparison, &open.set), view)
        };
        self.files.run(
            prepare,
            |app, (attribution, view)| match attribution {
                Ok(attribution) => app.next_causes(attribution, view),
                Err(why) => {
                    app.state.compare.searching = false;
                    app.state.log.error(format!("The causes cannot be found: {why}"));
                }
            },
            |app| app.state.compare.searching = false,
        );
    }

    /// Asks the router about the next round, or ends the search.
    fn next_causes(&mut self, mut attribution: Attribution, view: Arc<ComparisonView>) {
        match attribution.next_round() {
            Some(requests) => {
                let job = self.engine.measure(requests.into_iter());
                self.state.jobs.push(Job { id: job, kind: JobKind::Measure, started: false, cancelling: false, progress: None });
                self.cause_search = Some(CauseSearch { attribution, job, view });
            }
            None => {
                self.state.compare.searching = false;
                // Unless other runs were chosen meanwhile.
                if self.state.compare.view.as_ref().is_some_and(|present| Arc::ptr_eq(present, &view)) {
                    let mut found = ComparisonView::clone(&view);
                    attribution.finish(&mut found.comparison);
                    found.sort_causes();
                    self.state.compare.view = Some(Arc::new(found));
                }
            }
        }
    }

    pub(super) fn causes_decided(&mut self, job: JobId, results: Results) {
        if let Some(search) = self.cause_search.as_mut().filter(|search| search.job == job) {
            results.into_iter().for_each(|(request, result)| search.attribution.take(request, result));
        }
    }

    pub(super) fn causes_ended(&mut self, job: JobId, result: Result<(), EngineError>) {
        let Some(search) = self.cause_search.take_if(|search| search.job == job) else { return };
        match result {
            Ok(()) => self.next_causes(search.attribution, search.view),
            Err(error) => {
                self.state.compare.searching = false;
                if error != EngineError::Cancelled {
                    self.state.log.error(format!("The causes were not found: {error}"));
                }
            }
        }
    }
}

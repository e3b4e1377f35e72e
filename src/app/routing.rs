//! Asking the router: on request, a moment after an edit, and for the rows of a study.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::log::Topic;
use super::session::App;
use super::small_changes::small_changes;
use super::state::Section;
use super::study::{Study, StudyKind, StudyRow, Subject, ends, questions, turns, without_parts};
use super::{Document, Job, JobKind, Purpose, RouterPhase};
use crate::chat::{Content, Conversation};
use crate::dialect::{GATEWAYS, Gateway};
use crate::engine::{JobId, RouteRequest, RouterSource};
use crate::policy::{DialectId, Policy, Route};

/// Pause after the last keystroke before the router is asked: short enough to feel live, long enough not to ask about half a word.
const LIVE_PAUSE: Duration = Duration::from_millis(250);

/// Orders of the routes that the order test tries besides the policy's own.
const ORDERS: usize = 12;

/// Turns of a long conversation that are routed, the newest ones: each needs a pass of its own.
const TURNS: usize = 60;

impl App {
    /// Takes note that what is on screen differs from what it was: the prompt is made anew, and where it is wanted the router asked soon.
    pub(super) fn texts_changed(&mut self) {
        self.prompt_outdated = true;
        self.unsaved = true;
        self.state.last_done = None;
        if self.state.policy().text.obstacle().is_none() {
            self.state.log.settle(Topic::Yaml);
        }
        self.count_at = Some(Instant::now() + LIVE_PAUSE);
        // Where the first decision failed, other texts may be decided, and where it is under way it is about texts that nobody sees any more.
        if self.state.is_live() && (self.state.shown.is_some() || self.state.failed.is_some() || self.state.is_routing()) {
            self.route_soon();
        }
    }

    /// Routes after a short pause, unless something else changes until then.
    pub(super) fn route_soon(&mut self) {
        self.route_at = Some(Instant::now() + LIVE_PAUSE);
    }

    /// Makes the prompt that belongs to the texts on screen.
    pub(super) fn refresh_prompt(&mut self) {
        if std::mem::take(&mut self.prompt_outdated) {
            let state = &self.state;
            let (policy, dialect) = (state.routes(), state.dialect());
            let routes: Vec<&Route> = policy.routes.iter().collect();
            let budget = policy.budget_for(dialect);
            self.state.prompt = Arc::new(crate::dialect::render(dialect, &routes, &state.conversation().text, budget));
        }
    }

    /// Routes if the pause after the last edit is over; returns how long it still is.
    pub(super) fn tick_live(&mut self, now: Instant) -> Option<Duration> {
        let at = self.route_at?;
        if now < at {
            return Some(at - now);
        }
        self.route_at = None;
        if self.state.is_shown_current() {
            // Whoever goes back to texts that are decided waits no longer for a decision on those in between, nor for a study of them.
            let state = &self.state;
            let outdated: Vec<StudyKind> =
                state.studies.iter().filter(|study| state.is_study_outdated(study)).map(|study| study.kind).collect();
            self.cancel_where(|job| match job.kind {
                JobKind::Route { purpose: Purpose::Current { .. }, .. } => true,
                JobKind::Route { purpose: Purpose::Study { kind, .. }, .. } => outdated.contains(&kind),
                _ => false,
            });
            self.show_section(self.state.section);
        } else if self.state.routing_obstacle().is_none() {
            self.request(true);
        }
        None
    }

    /// Has the tokens of the prompt counted if the pause after the last edit is over; returns how long it still is.
    pub(super) fn tick_count(&mut self, now: Instant) -> Option<Duration> {
        let at = self.count_at?;
        if now < at {
            return Some(at - now);
        }
        self.count_at = None;
        // A decision under way says the number too, and until there is a router there is nobody to ask.
        // A server never tells, and asking would hold up the set that it decides.
        let counts = !matches!(self.state.router.source, RouterSource::Endpoint { .. } | RouterSource::Gateway { .. });
        let can_count = counts && self.state.router.phase == RouterPhase::Ready;
        if can_count && self.state.prompt_tokens().is_none() && !self.state.is_routing() {
            self.cancel_where(|job| matches!(job.kind, JobKind::Count { .. }));
            let prompt = Arc::clone(&self.state.prompt);
            let (policy, conversation) = (Arc::clone(self.state.routes()), Arc::clone(&self.state.conversation().text));
            let dialect = self.state.dialect();
            let budget = policy.budget_for(dialect);
            let request = RouteRequest { policy, conversation, dialect, budget, orders: 0, seed: 0 };
            let id = self.engine.count(request);
            self.state.jobs.push(Job { id, kind: JobKind::Count { prompt }, started: false, cancelling: false, progress: None });
        }
        None
    }

    pub(super) fn load_router(&mut self) {
        let id = self.engine.load(self.state.router.source.clone(), self.state.router.device);
        self.state.router.phase = RouterPhase::Loading;
        self.state.jobs.push(Job { id, kind: JobKind::Load, started: false, cancelling: false, progress: None });
    }

    /// Asks for a decision on the texts as they are now, as the user wants it.
    pub(super) fn route(&mut self) {
        self.state.failed = None;
        self.request(false);
    }

    /// Asks for a decision on the texts as they are now; requests that are still under way are cancelled, since nobody needs their answers.
    pub(super) fn request(&mut self, live: bool) {
        let wished = self.state.route_when_loaded;
        self.cancel_routing();
        self.route_at = None;
        self.state.log.settle(Topic::Routing);
        // Whoever asks wants to see the answer, not that of an earlier turn.
        self.state.turn = None;
        if self.state.router.phase == RouterPhase::Loading {
            // Whoever asked by hand waits for this answer too.
            self.state.route_when_loaded = Some(live && wished != Some(false));
            return;
        }
        let (policy, conversation) = (Arc::clone(self.state.routes()), Arc::clone(&self.state.conversation().text));
        self.submit(Purpose::Current { live }, policy, conversation, self.state.dialect(), 0);
        // What the open section shows follows the texts, after the decision that everybody waits for.
        if let Some(kind @ (StudyKind::Turns | StudyKind::Variants | StudyKind::Shelf)) = section_study(self.state.section) {
            self.begin_study(kind, true);
        }
    }

    fn submit(&mut self, purpose: Purpose, policy: Arc<Policy>, conversation: Arc<Conversation>, dialect: DialectId, orders: usize) {
        let budget = policy.budget_for(dialect);
        let request =
            RouteRequest { policy: Arc::clone(&policy), conversation: Arc::clone(&conversation), dialect, budget, orders, seed: 0 };
        let id = self.engine.route(request);
        let kind = JobKind::Route { purpose, policy, conversation, dialect };
        self.state.jobs.push(Job { id, kind, started: false, cancelling: false, progress: None });
    }

    /// Shows a section of the decision panel; one that needs more decisions asks for them where that is cheap.
    pub(super) fn show_section(&mut self, section: Section) {
        self.state.section = section;
        if let Some(kind @ (StudyKind::Turns | StudyKind::Variants | StudyKind::Shelf)) = section_study(section)
            && self.state.shown.is_some()
            && self.wants_study(kind)
        {
            self.begin_study(kind, true);
        }
    }

    fn wants_study(&self, kind: StudyKind) -> bool {
        self.state.study(kind).is_none_or(|study| self.state.is_study_outdated(study))
    }

    /// Shows a section of the decision panel and starts the study that it shows.
    pub(super) fn test(&mut self, section: Section) {
        self.state.section = section;
        if let Some(kind) = section_study(section) {
            self.study(kind);
        }
    }

    /// Starts a study of the texts on screen, in place of the last one of its kind: whoever asks for it has all of it decided.
    pub(super) fn study(&mut self, kind: StudyKind) {
        self.begin_study(kind, false);
    }

    /// Starts a study. One that `follows` the texts by itself asks nothing again about conversations of the shelf that stayed as they were under
    /// the same policy.
    fn begin_study(&mut self, kind: StudyKind, follows: bool) {
        if self.state.routing_obstacle().is_some() || self.state.router.phase != RouterPhase::Ready {
            return;
        }
        self.cancel_where(|job| matches!(&job.kind, JobKind::Route { purpose: Purpose::Study { kind: of, .. }, .. } if *of == kind));
        let rows = self.rows(kind, follows);
        let study = Study {
            kind,
            policy: Arc::clone(self.state.routes()),
            conversation: Arc::clone(&self.state.conversation().text),
            router: self.state.router.info().cloned(),
            stamp: self.state.router.stamp().cloned(),
            rows: rows.clone(),
            left_out: self.left_out(kind),
        };
        self.state.studies.retain(|old| old.kind != kind);
        self.state.studies.push(study);
        for (row, StudyRow { policy, conversation, dialect, subject, result, .. }) in rows.into_iter().enumerate() {
            if result.is_some() {
                continue;
            }
            let orders = if let Subject::Orders(orders) = subject { orders } else { 0 };
            self.submit(Purpose::Study { kind, row }, policy, conversation, dialect, orders);
        }
    }

    fn left_out(&self, kind: StudyKind) -> usize {
        match kind {
            StudyKind::Turns => self.state.conversation().text.user_turns().count().saturating_sub(TURNS),
            StudyKind::Shelf => self.state.shelf_surplus(),
            _ => 0,
        }
    }

    fn rows(&self, kind: StudyKind, follows: bool) -> Vec<StudyRow> {
        let state = &self.state;
        let (policy, conversation, dialect) = (state.routes(), &state.conversation().text, state.dialect());
        let row = |label: String, subject: Subject, policy: &Arc<Policy>, conversation: &Arc<Conversation>| StudyRow {
            label,
            subject,
            policy: Arc::clone(policy),
            conversation: Arc::clone(conversation),
            dialect,
            result: None,
        };
        match kind {
            StudyKind::Turns => turns(conversation, TURNS)
                .into_iter()
                .map(|(turn, part)| row(first_line(conversation, turn), Subject::Message(turn), policy, &Arc::new(part)))
                .collect(),
            StudyKind::Variants => {
                let variant = |document: &Document<super::PolicyText>| StudyRow {
                    dialect: document.text.policy.dialect.unwrap_or(DialectId::DEFAULT),
                    ..row(document.title.clone(), Subject::Policy(document.id), &document.text.policy, conversation)
                };
                state.variants().map(variant).collect()
            }
            StudyKind::Gateways => {
                let asked = |(position, gateway): (usize, &Gateway)| StudyRow {
                    dialect: gateway.dialect,
                    ..row(gateway.versions.to_owned(), Subject::Gateway(position), policy, conversation)
                };
                GATEWAYS.iter().enumerate().map(asked).collect()
            }
            StudyKind::Shelf => {
                let of = |policy: &Arc<Policy>, document: &Document<Conversation>, saved: bool| StudyRow {
                    dialect: policy.dialect.unwrap_or(DialectId::DEFAULT),
                    ..row(document.title.clone(), Subject::Shelf { conversation: document.id, saved }, policy, &document.text)
                };
                let stays = |document: &Document<Conversation>| state.shelf_result(policy, &document.text).filter(|_| follows);
                let present = state.shelf().map(|document| StudyRow { result: stays(document), ..of(policy, document, false) });
                let before = state.saved_policy().into_iter().flat_map(|saved| {
                    let known = |document: &Document<Conversation>| state.shelf_result(saved, &document.text);
                    state.shelf().map(move |document| StudyRow { result: known(document), ..of(saved, document, true) })
                });
                // One policy after the other, since its prompts begin alike.
                present.chain(before).collect()
            }
            StudyKind::Order => vec![row("Other orders".to_owned(), Subject::Orders(ORDERS), policy, conversation)],
            StudyKind::Wording => {
                let Some((position, route)) = state.selected_route().and_then(|at| policy.routes.get(at).map(|route| (at, route))) else {
                    return Vec::new();
                };
                let changed = |route: Route| {
                    let mut policy = Policy::clone(policy);
                    policy.routes[position] = route;
                    Arc::new(policy)
                };
                without_parts(route)
                    .into_iter()
                    .map(|(label, route)| row(label, Subject::Route(position), &changed(route), conversation))
                    .collect()
            }
            StudyKind::History => {
                let end = |(start, end): (usize, Conversation)| {
                    let first = first_line(conversation, start);
                    let label = match end.messages.len() {
                        1 => format!("Only the last message, “{first}”"),
                        count => format!("The last {count} messages, from “{first}”"),
                    };
                    row(label, Subject::Changed, policy, &Arc::new(end))
                };
                let whole = row("The whole conversation".to_owned(), Subject::Original, policy, conversation);
                ends(conversation).into_iter().map(end).chain([whole]).collect()
            }
            StudyKind::Robustness => {
                let Some(last) = questions(conversation).pop() else { return Vec::new() };
                let changed = |(change, text): (&str, String)| {
                    let mut conversation = Conversation::clone(conversation);
                    conversation.messages[last].content = Content::Text(text);
                    let label = format!("{change}: {}", first_line(&conversation, last));
                    row(label, Subject::Changed, policy, &Arc::new(conversation))
                };
                let original = row("As it is".to_owned(), Subject::Original, policy, conversation);
                let changes = small_changes(&conversation.messages[last].text());
                [original].into_iter().chain(changes.into_iter().map(changed)).collect()
            }
        }
    }

    fn cancel_routing(&mut self) {
        self.state.route_when_loaded = None;
        self.cancel_where(|job| matches!(job.kind, JobKind::Route { .. }));
    }

    /// Takes back the wish for decisions, and with it the loading of a router that was only waited for to decide.
    pub(super) fn stop_routing(&mut self) {
        let was_waited_for = self.state.route_when_loaded == Some(false);
        self.cancel_routing();
        self.route_at = None;
        if was_waited_for {
            self.cancel_where(|job| matches!(job.kind, JobKind::Load));
        }
    }

    pub(super) fn cancel_all(&mut self) {
        self.state.route_when_loaded = None;
        self.route_at = None;
        self.cancel_where(|_| true);
    }

    pub(super) fn cancel_where(&mut self, is_wanted: impl Fn(&Job) -> bool) {
        let jobs: Vec<JobId> = self.state.jobs.iter().filter(|job| is_wanted(job)).map(|job| job.id).collect();
        jobs.into_iter().for_each(|job| self.cancel(job));
    }

    pub(super) fn cancel(&mut self, id: JobId) {
        if let Some(job) = self.state.jobs.iter_mut().find(|job| job.id == id) {
            job.cancelling = true;
            self.engine.cancel(id);
        }
    }
}

/// Returns the study that a section shows.
pub(super) fn section_study(section: Section) -> Option<StudyKind> {
    match section {
        Section::Turns => Some(StudyKind::Turns),
        Section::Variants => Some(StudyKind::Variants),
        Section::Order => Some(StudyKind::Order),
        Section::Wording => Some(StudyKind::Wording),
        Section::Shelf => Some(StudyKind::Shelf),
        Section::History => Some(StudyKind::History),
        Section::Robustness => Some(StudyKind::Robustness),
        Section::Result | Section::Prompt => None,
    }
}

/// Returns the start of a message as a label.
fn first_line(conversation: &Conversation, message: usize) -> String {
    let text = conversation.messages.get(message).map(|message| message.text()).unwrap_or_default();
    let line = text.trim().lines().next().unwrap_or_default();
    line.chars().take(200).collect()
}

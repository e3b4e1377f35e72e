//! Looking at a run: which of its cases are listed, which one is selected, what was said in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{BatchCommand, BatchPart, OpenCase};
use super::session::App;
use super::tasks::unless_outdated;
use super::{CaseQuery, Document, RunView, Tab};
use crate::chat::Conversation;
use crate::decision::{Decision, Latency, RouteProbability};
use crate::eval::{Run, TurnResult};
use crate::formats::LabelledSet;
use crate::policy::{NO_ROUTE_LABEL, Policy};

impl App {
    pub(super) fn batch_command(&mut self, command: BatchCommand) {
        let batch = &mut self.state.batch;
        match command {
            BatchCommand::OpenSet(path) => self.open_set(&path),
            BatchCommand::OpenSample => self.open_sample_set(),
            BatchCommand::CancelOpening => self.cancel_opening(),
            BatchCommand::SetDialect(dialect) => batch.dialect = dialect,
            BatchCommand::SetLimit(limit) => batch.limit = limit,
            BatchCommand::SetGate(gate) => batch.gate = gate,
            BatchCommand::SetOrders(orders) => batch.orders = orders,
            BatchCommand::Query(query) => {
                batch.query = query;
                batch.part = BatchPart::Cases;
                self.find_rows();
            }
            BatchCommand::Select(case) => self.select_case(case),
            BatchCommand::Step(step) => self.step(step),
            BatchCommand::Relabel { turn, label } => self.relabel(turn, &label),
            BatchCommand::Label { case, label } => self.label_case(case, &label),
            BatchCommand::SelectUnlabelled(case) => self.select_unlabelled(case),
            BatchCommand::StepUnlabelled(step) => self.step_unlabelled(step),
            BatchCommand::ShowFigure(figure) => batch.figure = figure,
            BatchCommand::ShowPart(part) => {
                batch.part = part;
                self.refresh_findings();
            }
            BatchCommand::ShowRun(run) => self.show_run(run, None),
            BatchCommand::ShowPair(pair) => batch.pair = pair,
            BatchCommand::SaveReport(folder) => self.save_report(&folder),
            BatchCommand::Stop => self.stop_measuring(),
        }
    }

    /// Shows a run, or a newer version of the one on screen.
    pub(super) fn show_view(&mut self, view: Arc<RunView>, is_another: bool) {
        let batch = &mut self.state.batch;
        if is_another {
            batch.query = CaseQuery { sort: batch.query.sort, descending: batch.query.descending, ..CaseQuery::default() };
            (batch.selected, batch.case, batch.pair) = (None, None, 0);
            (batch.rows, batch.wrong) = (Arc::default(), Arc::default());
            // A correction can be taken back while its run is on screen.
            batch.corrections.clear();
            batch.undone.clear();
        }
        batch.pair = batch.pair.min(view.overlaps.len().saturating_sub(1));
        batch.view = Some(view);
        self.find_rows();
    }

    /// Finds the rows of the present query; while some are being found, once more after them.
    pub(super) fn find_rows(&mut self) {
        let batch = &mut self.state.batch;
        let Some(view) = &batch.view else { return };
        self.rows_outdated = true;
        if std::mem::replace(&mut batch.filtering, true) {
            self.search.store(true, Ordering::Relaxed);
            return;
        }
        self.rows_outdated = false;
        self.search = Arc::default();
        let is_cancelled = Arc::clone(&self.search);
        let (run, query) = (Arc::clone(&view.run), batch.query.clone());
        let set = batch.set.as_ref().map(|open| Arc::clone(&open.set)).filter(|set| set.path().as_os_str() == run.info.set.path.as_str());
        let find = move || {
            let said = set.map(|set| conversations_with(&set, &query.text, &is_cancelled)).unwrap_or_default();
            let rows = query.rows(&run, &said);
            let is_wrong = |position: u32| run.turns.get(position as usize).is_some_and(TurnResult::is_wrong);
            let wrong = rows.iter().enumerate().filter(|(_, position)| is_wrong(**position)).map(|(row, _)| row).collect::<Arc<[usize]>>();
            (rows, wrong)
        };
        let apply = |app: &mut Self, (rows, wrong): (Vec<u32>, Arc<[usize]>)| {
            let batch = &mut app.state.batch;
            batch.filtering = false;
            if app.rows_outdated {
                app.find_rows();
            } else {
                batch.rows = rows.into();
                batch.wrong = wrong;
                batch.find_selected_row();
                app.reveal_selected();
            }
        };
        self.figures.run(find, apply, |app| {
            app.state.batch.filtering = false;
            // The rows of another query may be found.
            if app.rows_outdated {
                app.find_rows();
            }
        });
    }

    pub(super) fn select_case(&mut self, position: Option<u32>) {
        let batch = &mut self.state.batch;
        batch.selected = position;
        batch.find_selected_row();
        let Some((position, turn)) = position.zip(batch.selected_turn().cloned()) else {
            batch.case = None;
            return;
        };
        let Some(view) = batch.view.clone() else { return };
        let set = batch.set.as_ref().map(|open| Arc::clone(&open.set));
        // Whoever goes down the table with a key looks at the last case alone.
        let read = unless_outdated(Arc::clone(&self.newest_case), move || open_case(&view.run, position, &turn, set.as_deref()));
        let apply = |app: &mut Self, case: Option<OpenCase>| {
            if let Some(case) = case.filter(|case| app.state.batch.selected == Some(case.position)) {
                app.state.batch.case = Some(case);
            }
        };
        self.files.run(read, apply, |_| ());
    }

    /// Selects the row some steps further in the table.
    fn step(&mut self, step: i64) {
        let batch = &self.state.batch;
        let Some(last) = batch.rows.len().checked_sub(1) else { return };
        let next = batch.selected_row().map_or(0, |present| (present as i64).saturating_add(step).clamp(0, last as i64) as usize);
        self.select_row(next);
    }

    fn select_row(&mut self, row: usize) {
        self.state.batch.bring_into_view(row);
        let position = self.state.batch.rows.get(row).copied();
        self.select_case(position);
    }

    /// Brings the case into view that was selected before its rows were there.
    fn reveal_selected(&mut self) {
        let batch = &mut self.state.batch;
        if std::mem::take(&mut self.reveal_case)
            && let Some(row) = batch.selected_row()
        {
            batch.bring_into_view(row);
        }
    }

    pub(super) fn select_wrong(&mut self, backwards: bool) {
        if let Some((row, _)) = self.state.batch.next_wrong(backwards) {
            self.change_settings(|settings| settings.tab = Tab::Batch);
            self.state.batch.part = BatchPart::Cases;
            self.select_row(row);
        }
    }

    pub(super) fn accept_decision(&mut self) {
        let batch = &self.state.batch;
        let decided = batch.selected_turn().and_then(|turn| turn.decided.clone());
        if let Some((position, label)) = batch.selected.zip(decided) {
            self.relabel(position, &label);
        }
    }

    /// Puts the conversation of the selected case on the shelf and shows it in the Playground.
    pub(super) fn open_case(&mut self) {
        // Not the one before, while the one that was just selected is being read.
        let Some(case) = self.state.batch.case.as_ref().filter(|case| self.state.batch.selected == Some(case.position)) else { return };
        let Ok(conversation) = case.conversation.clone() else { return };
        let own_routes = case.own_routes;
        let name = self.state.batch.selected_turn().map_or_else(String::new, |turn| format!("Case {}", turn.id));
        let known = self.state.conversations.iter().position(|document| document.title == name && document.text == conversation);
        match known {
            Some(index) => self.show_conversation(index),
            None => {
                let id = self.next_id();
                self.add_conversation(Document::new(id, name, Conversation::clone(&conversation)));
            }
        }
        let run = self.state.batch.view.as_ref().map(|view| Arc::clone(&view.run));
        self.state.batch.opened = run.and_then(|run| self.state.opened_case(&run, own_routes));
        self.change_settings(|settings| settings.tab = Tab::Playground);
        if self.state.routing_obstacle().is_none() {
            self.route();
        }
    }
}

/// Returns the conversations of a set in which something is said. Reads the whole file, unless it is told to stop.
fn conversations_with(set: &LabelledSet, text: &str, is_cancelled: &AtomicBool) -> HashSet<usize> {
    let text = text.trim().to_lowercase();
    let mut found = HashSet::new();
    let Some(mut reader) = (!text.is_empty()).then(|| set.reader().ok()).flatten() else { return found };
    for (at, entry) in set.cases().iter().enumerate() {
        if is_cancelled.load(Ordering::Relaxed) {
            break;
        }
        let says = |conversation: &Conversation| conversation.messages.iter().any(|message| message.text().to_lowercase().contains(&text));
        if reader.read(entry).is_ok_and(|case| says(&case.conversation)) {
            found.insert(at);
        }
    }
    found
}

/// Reads what was said in a case, and brings what the run kept of the decision into the shape that decisions are drawn in.
fn open_case(run: &Run, position: u32, turn: &TurnResult, set: Option<&LabelledSet>) -> OpenCase {
    let names = turn.routes.as_deref().unwrap_or(&run.info.labels);
    // A run has one number for all answers that are labelled `other`.
    let named = |name: &str, p: f32| RouteProbability::new(Some(name).filter(|name| *name != NO_ROUTE_LABEL), f64::from(p));
    let known = names.iter().zip(&turn.probabilities).filter_map(|(name, p)| Some(named(name, (*p)?)));
    let mut probabilities: Vec<RouteProbability> = known.collect();
    probabilities.sort_by(|a, b| b.p.total_cmp(&a.p));
    let decision = Decision {
        outcome: turn.outcome,
        route: turn.decided.as_deref().filter(|decided| *decided != NO_ROUTE_LABEL).map(str::to_owned),
        model: turn.model.as_deref().map(str::to_owned),
        one_of: Vec::new(),
        answer: String::new(),
        error: turn.error.clone(),
        greedy_proved: true,
        probabilities,
        margin: f64::from(turn.margin),
        invalid_mass: f64::from(turn.invalid_mass),
        tokens: turn.tokens,
        latency_ms: Latency { total: f64::from(turn.latency_ms), ..Latency::default() },
        dialect: run.info.router.dialect_of(run.info.dialect),
        router: run.info.router.clone(),
        order_stability: turn.order_stability.clone(),
    };
    let policy: Arc<Policy> = Arc::clone(&run.policy);
    let entry = set.and_then(|set| set.cases().get(turn.conversation)).filter(|entry| entry.id == turn.id);
    let own_routes = turn.routes.is_some() || entry.is_some_and(|entry| entry.own_routes);
    OpenCase { position, conversation: conversation_of(run, turn, set).map(Arc::new), decision, policy, own_routes }
}

fn conversation_of(run: &Run, turn: &TurnResult, set: Option<&LabelledSet>) -> Result<Conversation, String> {
    let path = &run.info.set.path;
    let set =
        set.filter(|set| set.path().as_os_str() == path.as_str()).ok_or_else(|| format!("Open the set {path} to read the conversation"))?;
    let changed = || format!("The set has changed: line {} is no longer this case; measure again", turn.line);
    let entry = set.cases().get(turn.conversation).filter(|entry| entry.id == turn.id).ok_or_else(changed)?;
    let case = set.reader().and_then(|mut reader| reader.read(entry)).map_err(|error| error.to_string())?;
    let asked = case.turns().into_iter().nth(turn.turn).map(|(conversation, _)| conversation);
    asked.ok_or_else(changed)
}

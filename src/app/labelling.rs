//! Labelling the cases of a set that have no label yet, one after the other: which one is selected, and what is said in it.

use std::sync::Arc;

use super::batch::Labelling;
use super::session::App;
use super::sets::OpenSet;
use crate::chat::Conversation;
use crate::formats::{CaseEntry, LabelledSet};

impl App {
    /// Selects a case without a label and has it read.
    pub(super) fn select_unlabelled(&mut self, case: Option<usize>) {
        let batch = &mut self.state.batch;
        batch.labelling = None;
        let Some((case, open)) = case.zip(batch.set.as_ref()) else { return };
        if open.set.cases().get(case).is_none_or(CaseEntry::is_labelled) {
            return;
        }
        batch.labelling = Some(Labelling { case, conversation: None });
        let set = Arc::clone(&open.set);
        let read = move || {
            let said = said_in(&set, case);
            (set, said)
        };
        let show = move |app: &mut Self, (set, said): (Arc<LabelledSet>, Result<Conversation, String>)| {
            let batch = &mut app.state.batch;
            // Of a set that was written meanwhile the case is read once more.
            let is_present = batch.set.as_ref().is_some_and(|open| Arc::ptr_eq(&open.set, &set));
            if let Some(labelling) = batch.labelling.as_mut().filter(|labelling| is_present && labelling.case == case) {
                labelling.conversation = Some(said.map(Arc::new));
            }
        };
        self.files.run(read, show, |app| app.state.batch.labelling = None);
    }

    /// Goes on with the selected case where it still waits for its label, now that its set was written: by the new index, since the file is no
    /// longer what the one before was made of, and other programs may have changed it too.
    pub(super) fn keep_labelling(&mut self, before: Option<&OpenSet>) {
        let batch = &self.state.batch;
        let is_same = before.zip(batch.set.as_deref()).is_some_and(|(before, now)| before.set.path() == now.set.path());
        let case = batch.labelling.as_ref().map(|labelling| labelling.case).filter(|_| is_same);
        self.select_unlabelled(case);
    }

    /// Selects the case some rows further among those without a label.
    pub(super) fn step_unlabelled(&mut self, step: i64) {
        let batch = &self.state.batch;
        let Some(open) = &batch.set else { return };
        let unlabelled = open.set.unlabelled();
        let Some(last) = unlabelled.len().checked_sub(1) else { return };
        let present = batch.labelling.as_ref().map(|labelling| labelling.case);
        let row = present.and_then(|case| unlabelled.binary_search(&case).ok());
        let next = row.map_or(0, |row| (row as i64).saturating_add(step).clamp(0, last as i64) as usize);
        let next = unlabelled.get(next).copied();
        if next != present {
            self.select_unlabelled(next);
        }
    }

    /// Goes on to the next case without a label where the selected one has just got its own, or to the first one that was left out.
    pub(super) fn select_next_unlabelled(&mut self, labelled: usize) {
        let batch = &self.state.batch;
        let is_selected = batch.labelling.as_ref().is_some_and(|labelling| labelling.case == labelled);
        let Some(open) = batch.set.as_ref().filter(|_| is_selected) else { return };
        let (unlabelled, path) = (open.set.unlabelled(), open.set.path());
        // Labels that were given a moment ago may not be in the file yet.
        let has_label = |case: usize| batch.corrections.iter().any(|one| one.case == case && one.set == path);
        let (before, after) = unlabelled.split_at(unlabelled.partition_point(|case| *case <= labelled));
        let next = after.iter().chain(before).copied().find(|case| *case != labelled && !has_label(*case));
        self.select_unlabelled(next);
    }
}

/// Reads what was said up to the last user message: a label is about that one, and a gateway routes before there is an answer.
fn said_in(set: &LabelledSet, case: usize) -> Result<Conversation, String> {
    let mut conversation = set.conversation(case).map_err(|error| error.to_string())?;
    let asked = conversation.user_turns().last().map_or(conversation.messages.len(), |last| last + 1);
    conversation.messages.truncate(asked);
    Ok(conversation)
}

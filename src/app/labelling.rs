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

    /// Goes on with the selected case where it still waits for its label, now that its set was written, otherwise with the next one: by the new
    /// index, since the file is no longer what the one before was made of, and other programs may have changed it too. What is said in a case
    /// that stands where it stood stays on screen.
    pub(super) fn keep_labelling(&mut self, before: Option<&OpenSet>) {
        let batch = &self.state.batch;
        let Some(labelling) = &batch.labelling else { return };
        let case = labelling.case;
        let Some((before, now)) = before.zip(batch.set.as_deref()).filter(|(before, now)| before.set.path() == now.set.path()) else {
            return self.select_unlabelled(None);
        };
        let Some(entry) = now.set.cases().get(case).filter(|entry| !entry.is_labelled()) else {
            return self.select_unlabelled(self.next_unlabelled(case));
        };
        let is_it = |other: &CaseEntry| (other.place.line, &other.id) == (entry.place.line, &entry.id);
        let stays = matches!(labelling.conversation, Some(Ok(_))) && before.set.cases().get(case).is_some_and(is_it);
        if !stays {
            self.select_unlabelled(Some(case));
        }
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
        if self.state.batch.labelling.as_ref().is_some_and(|labelling| labelling.case == labelled) {
            self.select_unlabelled(self.next_unlabelled(labelled));
        }
    }

    fn next_unlabelled(&self, present: usize) -> Option<usize> {
        let batch = &self.state.batch;
        let set = &batch.set.as_ref()?.set;
        let (unlabelled, path) = (set.unlabelled(), set.path());
        // Labels that were given a moment ago may not be in the file yet.
        let has_label = |case: usize| batch.corrections.iter().any(|one| one.case == case && one.set == path);
        let (before, after) = unlabelled.split_at(unlabelled.partition_point(|case| *case <= present));
        after.iter().chain(before).copied().find(|case| *case != present && !has_label(*case))
    }
}

/// Reads what was said up to the last user message: a label is about that one, and a gateway routes before there is an answer.
fn said_in(set: &LabelledSet, case: usize) -> Result<Conversation, String> {
    let mut conversation = set.conversation(case).map_err(|error| error.to_string())?;
    let asked = conversation.user_turns().last().map_or(conversation.messages.len(), |last| last + 1);
    conversation.messages.truncate(asked);
    Ok(conversation)
}

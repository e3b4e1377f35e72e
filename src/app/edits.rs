//! Changes to the open documents: edits, undo, selection, new and closed ones.

use std::sync::Arc;

use super::log::Topic;
use super::session::App;
use super::settings::Tab;
use super::state::{Dialog, Question, Reveal, Side, Target};
use super::{DocId, Document, PolicyText, SAMPLES};
use crate::chat::{Conversation, ConversationEdit};
use crate::policy::{Policy, PolicyEdit, Route};

impl App {
    pub(super) fn next_id(&mut self) -> DocId {
        self.last_id += 1;
        DocId(self.last_id)
    }

    pub(super) fn policy_mut(&mut self) -> &mut Document<PolicyText> {
        let last = self.state.policies.len() - 1;
        &mut self.state.policies[self.state.policy_index.min(last)]
    }

    pub(super) fn conversation_mut(&mut self) -> &mut Document<Conversation> {
        let last = self.state.conversations.len() - 1;
        &mut self.state.conversations[self.state.conversation_index.min(last)]
    }

    pub(super) fn edit_policy(&mut self, edit: PolicyEdit) {
        if let Some(obstacle) = self.state.policy().text.obstacle() {
            return self.state.log.error_about(Topic::Yaml, obstacle);
        }
        let (label, typed) = (edit.label(), edit.typed_in());
        let selected = match &edit {
            PolicyEdit::AddRoute => Some(self.state.routes().routes.len()),
            PolicyEdit::DuplicateRoute { route } => Some(route + 1),
            PolicyEdit::MoveRoute { to, .. } => Some(*to),
            _ => None,
        };
        let adds = matches!(edit, PolicyEdit::AddRoute | PolicyEdit::DuplicateRoute { .. });
        let present = Arc::clone(&self.state.policy().text);
        let mut policy = Policy::clone(&present.policy);
        edit.apply(&mut policy);
        if policy != *present.policy {
            self.replace_policy(present.with_policy(policy), label, typed.map(|place| (label, place)));
        }
        self.state.selected = selected.unwrap_or(self.state.selected);
        if adds {
            self.reveal(Target::RouteName);
        }
    }

    pub(super) fn edit_yaml(&mut self, yaml: &str) {
        let text = self.state.policy().text.with_yaml(yaml);
        self.replace_policy(text, "YAML", Some(("YAML", 0)));
    }

    pub(super) fn replace_policy(&mut self, text: PolicyText, label: &'static str, typing: Option<super::document::Typing>) {
        let document = self.policy_mut();
        let begins = document.replace(text, label, typing);
        document.follow_name();
        self.edited(Side::Policy, begins);
    }

    pub(super) fn edit_conversation(&mut self, edit: ConversationEdit) {
        let (label, typed) = (edit.label(), edit.typed_in());
        let adds_message = edit == ConversationEdit::AddMessage;
        let present = Arc::clone(&self.state.conversation().text);
        let mut conversation = Conversation::clone(&present);
        edit.apply(&mut conversation);
        if conversation != *present {
            let begins = self.conversation_mut().replace(conversation, label, typed.map(|place| (label, place)));
            self.edited(Side::Conversation, begins);
        }
        if adds_message {
            self.show_conversation_tab();
            self.reveal(Target::LastMessage);
        }
    }

    fn edited(&mut self, side: Side, begins_step: bool) {
        self.state.last_edited = side;
        self.state.turn = None;
        // A burst of keystrokes is one edit: its first one decides what the change is marked against.
        if begins_step {
            self.state.before_edit = self.state.shown.clone();
        }
        self.texts_changed();
        // Whoever types with this on waits for an answer, also for the first one.
        if self.state.is_live() {
            self.route_soon();
        }
    }

    pub(super) fn undo(&mut self, redo: bool) {
        let side = self.state.undo_side(redo);
        let label = if redo { self.state.redo_label() } else { self.state.undo_label() };
        let Some(label) = label else { return };
        let before = Arc::clone(self.state.routes());
        let selected = self.state.selected_route();
        let done = match (side, redo) {
            (Side::Policy, false) => self.policy_mut().undo(),
            (Side::Policy, true) => self.policy_mut().redo(),
            (Side::Conversation, false) => self.conversation_mut().undo(),
            (Side::Conversation, true) => self.conversation_mut().redo(),
            (Side::Labels, redo) => return self.undo_label(redo),
        };
        if done {
            if side == Side::Policy {
                self.policy_mut().follow_name();
                self.follow_route(&before, selected);
            }
            self.edited(side, true);
            let what = match side {
                Side::Policy => format!("{label}{} in {}", changed_route(&before, self.state.routes()), self.state.policy().title),
                Side::Conversation | Side::Labels => format!("{label} in {}", self.state.conversation().title),
            };
            self.tell_undone(redo, &what);
        }
    }

    /// Selects the route that was selected in an earlier version where it stands now: its place may be another's, and what is typed next is
    /// meant for it. Its name finds it, unless others had the name too. Where it is gone, the one before it is selected, of which it may have
    /// been a copy.
    fn follow_route(&mut self, before: &Policy, selected: Option<usize>) {
        let Some((at, route)) = selected.and_then(|selected| Some((selected, before.routes.get(selected)?))) else { return };
        if before.routes.iter().filter(|other| other.name == route.name).count() > 1 {
            return;
        }
        let routes = &self.state.routes().routes;
        let place = routes.iter().position(|present| present.name == route.name);
        // As many routes as before: it has another name now.
        let is_gone = routes.len() < before.routes.len();
        self.state.selected = place.unwrap_or(if is_gone { at.saturating_sub(1) } else { at });
    }

    /// Names what was undone, or done again, until something else is changed.
    pub(super) fn tell_undone(&mut self, redo: bool, what: &str) {
        let verb = if redo { "Redone" } else { "Undone" };
        self.state.last_done = Some(format!("{verb}: {what}"));
    }

    /// Notes that something was saved, and shows it until something else is changed.
    pub(super) fn tell_saved(&mut self, what: String) {
        self.state.log.info(what.as_str());
        self.state.last_done = Some(what);
    }

    pub(super) fn add_route(&mut self) {
        self.show_tab(Tab::Policy);
        self.edit_policy(PolicyEdit::AddRoute);
    }

    pub(super) fn edit_selected(&mut self, edit: impl FnOnce(usize) -> PolicyEdit) {
        if let Some(route) = self.state.selected_route() {
            self.show_tab(Tab::Policy);
            self.edit_policy(edit(route));
        }
    }

    pub(super) fn move_route(&mut self, below: bool) {
        let (Some(route), Some(other)) = (self.state.selected_route(), self.state.neighbour(below)) else { return };
        self.show_tab(Tab::Policy);
        // The lower one takes the place of the upper one. The other way round the first route of a domain could pass that of another domain,
        // and the domains would change places too.
        let (upper, lower) = if below { (route, other) } else { (other, route) };
        self.edit_policy(PolicyEdit::MoveRoute { route: lower, to: upper });
        if below {
            self.state.selected = upper + 1;
        }
    }

    fn reveal(&mut self, target: Target) {
        let serial = self.state.reveal.map_or(0, |last| last.serial + 1);
        self.state.reveal = Some(Reveal { target, serial });
    }

    /// Shows the tab that an action has its effect in: nothing is changed out of view.
    pub(super) fn show_tab(&mut self, tab: Tab) {
        if self.state.settings.tab != tab {
            self.change_settings(|settings| settings.tab = tab);
        }
    }

    /// Brings the conversation into view: it stands in the Playground, and beside the policy where it is docked.
    pub(super) fn show_conversation_tab(&mut self) {
        if !self.state.is_docked() {
            self.show_tab(Tab::Playground);
        }
    }

    pub(super) fn select_policy(&mut self, id: DocId) {
        if let Some(index) = self.state.policies.iter().position(|document| document.id == id) {
            self.show_policy(index);
            // Every other tab names the policy.
            if self.state.settings.tab == Tab::Compare {
                self.show_tab(Tab::Policy);
            }
        }
    }

    pub(super) fn select_conversation(&mut self, id: DocId) {
        if let Some(index) = self.state.conversations.iter().position(|document| document.id == id) {
            self.show_conversation(index);
            self.show_conversation_tab();
        }
    }

    pub(super) fn new_policy(&mut self) {
        let id = self.next_id();
        let policy = Policy { routes: vec![Route::new("new_route", "")], ..Policy::default() };
        let title = numbered_title("Untitled", 1, &self.state.policies);
        self.add_policy(Document::new(id, title, PolicyText::new(policy)));
    }

    pub(super) fn new_from_sample(&mut self, sample: usize) {
        let Some(sample) = SAMPLES.get(sample) else { return };
        let id = self.next_id();
        self.add_policy(sample.document(id));
    }

    pub(super) fn new_variant(&mut self) {
        let id = self.next_id();
        let present = self.state.policy();
        let title = variant_title(&present.title, &self.state.policies);
        let mut policy = Policy::clone(&present.text.policy);
        policy.name = Some(title.clone());
        let mut document = Document::new(id, title, present.text.with_policy(policy));
        document.mark_modified();
        self.add_policy(document);
    }

    /// Shows a policy, beside those that are open.
    pub(super) fn add_policy(&mut self, document: Document<PolicyText>) {
        self.state.policies.push(document);
        self.show_policy(self.state.policies.len() - 1);
        self.show_tab(Tab::Policy);
    }

    pub(super) fn show_policy(&mut self, index: usize) {
        self.state.policy_index = index;
        self.state.selected = 0;
        self.state.last_edited = Side::Policy;
        (self.state.turn, self.state.before_edit) = (None, None);
        self.texts_changed();
    }

    pub(super) fn new_conversation(&mut self) {
        let id = self.next_id();
        let conversation = Conversation::from_prompt("");
        self.add_conversation(Document::new(id, format!("Conversation {}", id.0), conversation));
        self.reveal(Target::LastMessage);
    }

    /// Shows a conversation, and keeps the others on the shelf.
    pub(super) fn add_conversation(&mut self, document: Document<Conversation>) {
        self.state.conversations.push(document);
        self.show_conversation(self.state.conversations.len() - 1);
        self.show_conversation_tab();
    }

    pub(super) fn show_conversation(&mut self, index: usize) {
        self.state.conversation_index = index;
        self.state.turn = None;
        self.state.before_edit = None;
        self.texts_changed();
    }

    /// Closes a document at once, or asks where something would be lost.
    pub(super) fn close(&mut self, id: DocId) {
        let policy = self.state.policies.iter().find(|document| document.id == id).map(Document::is_modified);
        let conversation = || self.state.conversations.iter().find(|document| document.id == id).map(Document::is_modified);
        match policy.or_else(conversation) {
            Some(true) => self.state.dialog = Some(Dialog::Question(Question::Close(id))),
            Some(false) => self.close_now(id),
            None => {}
        }
    }

    pub(super) fn close_now(&mut self, id: DocId) {
        if let Some(index) = self.state.policies.iter().position(|document| document.id == id) {
            self.state.policies.remove(index);
            if self.state.policies.is_empty() {
                return self.new_policy();
            }
            let shift = usize::from(index <= self.state.policy_index && self.state.policy_index > 0);
            self.show_policy(self.state.policy_index - shift);
        } else if let Some(index) = self.state.conversations.iter().position(|document| document.id == id) {
            self.state.conversations.remove(index);
            if self.state.conversations.is_empty() {
                return self.new_conversation();
            }
            let shift = usize::from(index <= self.state.conversation_index && self.state.conversation_index > 0);
            self.show_conversation(self.state.conversation_index - shift);
        }
    }
}

/// Returns what a route is called, for people.
fn called(route: &Route) -> &str {
    if route.name.trim().is_empty() { "a route without a name" } else { &route.name }
}

/// Returns which route differs between two versions of a policy, to stand behind what of it was changed; nothing where it is none or several.
fn changed_route(before: &Policy, after: &Policy) -> String {
    let start = before.routes.iter().zip(&after.routes).take_while(|(a, b)| a == b).count();
    let (gone, new) = (&before.routes[start..], &after.routes[start..]);
    let end = gone.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&gone[..gone.len() - end], &new[..new.len() - end]) {
        ([_], [route]) => format!(" of {}", called(route)),
        ([], [route]) | ([route], []) => format!(" {}", called(route)),
        _ => String::new(),
    }
}

/// Returns "Name, variant 2" with the first number that no open policy has.
fn variant_title(title: &str, open: &[Document<PolicyText>]) -> String {
    let base = title.rsplit_once(", variant ").map_or(title, |(base, _)| base);
    numbered_title(&format!("{base}, variant"), 2, open)
}

/// Returns the words with the first number from `first` on that no open policy is called by.
fn numbered_title(words: &str, first: usize, open: &[Document<PolicyText>]) -> String {
    let is_free = |title: &String| open.iter().all(|document| document.title != *title);
    (first..).map(|number| format!("{words} {number}")).find(is_free).unwrap_or_default()
}

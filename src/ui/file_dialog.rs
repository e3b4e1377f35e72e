//! The system's dialogs for choosing files.
//!
//! They block whoever opens them, so each has a thread of its own, except on a Mac, where the system wants them on the main thread.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use crate::app::{
    Action, Answer, BatchCommand, Command, Dialog, DocId, ExportCommand, Question, RoutersCommand, State, data_folder, proposed_name,
};

/// Nobody cancels a dialog that fast: it has hardly come up by then.
const TOO_SOON: Duration = Duration::from_millis(300);

/// Dialogs that are open, and what was chosen in them.
pub struct FileDialogs {
    ctx: egui::Context,
    sender: Sender<Command>,
    receiver: Receiver<Command>,
}

impl FileDialogs {
    /// Prepares for dialogs over this window.
    pub fn new(ctx: &egui::Context) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        Self { ctx: ctx.clone(), sender, receiver }
    }

    /// Returns the commands that follow from what was chosen.
    pub fn chosen(&self) -> Vec<Command> {
        self.receiver.try_iter().collect()
    }

    /// Opens a dialog for a command that needs a file.
    pub fn ask_where_needed(&self, command: &Command, state: &State) {
        if *command == Command::AskNewSet {
            return self.new_set(state);
        }
        if *command == Command::AskImportSet {
            let dialog = titled_for_set(state, "Save as a set to label").set_file_name("to_label.jsonl");
            return self.spawn(move || dialog.save_file().map(Command::ImportSave).into_iter().collect());
        }
        if let Command::Export(command) = command {
            return self.ask_about_export(command, state);
        }
        match command {
            Command::Routers(RoutersCommand::ChooseFolder) => return self.router(true, state),
            Command::Routers(RoutersCommand::ChooseFile) => return self.router(false, state),
            Command::Answer(Answer::Save) => return self.save_and_close(state),
            _ => {}
        }
        let Command::Perform(action) = command else { return };
        let (policy, conversation) = (state.policy(), state.conversation());
        match action {
            Action::Open => self.open(state),
            Action::OpenSet => self.open_set(matches!(state.dialog, Some(Dialog::AddToSet(_))), state),
            Action::SaveAs => {
                let present = state.save_beside(policy.id).or_else(|| policy.path.clone());
                self.save(policy.id, save_dialog(state, present, proposed_name(&policy.title, "yaml")));
            }
            Action::Save if action.obstacle(state).is_none() => {
                let (id, path, proposed) = state.save_target();
                let beside = state.save_beside(id);
                if path.is_none() || beside.is_some() {
                    self.save(id, save_dialog(state, beside, proposed));
                }
            }
            Action::SaveReport if action.obstacle(state).is_none() => {
                let dialog = titled(state, "Choose where the report's folder is made");
                let save = |path| Command::Batch(BatchCommand::SaveReport(path));
                self.spawn(move || dialog.pick_folder().map(save).into_iter().collect());
            }
            Action::SaveConversation => {
                let present = state.save_beside(conversation.id).or_else(|| conversation.path.clone());
                self.save(conversation.id, save_dialog(state, present, proposed_name(&conversation.title, "json")));
            }
            _ => {}
        }
    }

    fn ask_about_export(&self, command: &ExportCommand, state: &State) {
        if *command == ExportCommand::ChooseInto {
            let dialog = titled(state, "Choose the configuration to write into")
                .add_filter("Plano configurations", &["yaml", "yml"])
                .add_filter("All files", &["*"]);
            let into = |path| Command::Export(ExportCommand::Into(Some(path)));
            self.spawn(move || dialog.pick_file().map(into).into_iter().collect());
        } else if *command == ExportCommand::ChooseRun {
            let dialog = titled(state, "Open the folder of a run, which waypost eval --out writes");
            let open = |path| Command::Export(ExportCommand::OpenRun(path));
            self.spawn(move || dialog.pick_folder().map(open).into_iter().collect());
        } else if let Some(proposed) = state.export_file_wanted(command) {
            let dialog = titled(state, "Export as").set_file_name(proposed);
            let write = |path| Command::Export(ExportCommand::WriteTo(path));
            self.spawn(move || dialog.save_file().map(write).into_iter().collect());
        }
    }

    fn open(&self, state: &State) {
        let dialog = titled(state, "Open policies, gateway configurations and conversations")
            .add_filter("Policies, configurations and conversations", &["yaml", "yml", "json", "jsonl", "txt", "md"])
            .add_filter("All files", &["*"]);
        self.spawn(move || dialog.pick_files().unwrap_or_default().into_iter().map(Command::Open).collect());
    }

    /// Asks for a labelled set, to measure on or to add a conversation to.
    fn open_set(&self, to_add: bool, state: &State) {
        let dialog = titled_for_set(state, "Open a labelled set")
            .add_filter("Labelled sets", &["jsonl", "ndjson", "json", "csv", "tsv"])
            .add_filter("All files", &["*"]);
        let command = move |path| if to_add { Command::AddSet(path) } else { Command::Batch(BatchCommand::OpenSet(path)) };
        self.spawn(move || dialog.pick_file().map(command).into_iter().collect());
    }

    fn router(&self, is_folder: bool, state: &State) {
        let open = |path| Command::Routers(RoutersCommand::Open(path));
        if is_folder {
            let dialog = titled(state, "Choose a router's folder, with config.json, tokenizer.json and safetensors");
            self.spawn(move || dialog.pick_folder().map(open).into_iter().collect());
        } else {
            let dialog = titled(state, "Choose a router's file").add_filter("GGUF files", &["gguf"]);
            self.spawn(move || dialog.pick_file().map(open).into_iter().collect());
        }
    }

    /// Asks where a document without a file, or whose file holds another format, is saved before it is closed.
    fn save_and_close(&self, state: &State) {
        let Some(Dialog::Question(Question::Close(id))) = state.dialog else { return };
        let beside = state.save_beside(id);
        let is_asked = |path: &Option<PathBuf>| path.is_none() || beside.is_some();
        let policy = state.policies.iter().find(|document| document.id == id).filter(|document| is_asked(&document.path));
        let conversation = state.conversations.iter().find(|document| document.id == id).filter(|document| is_asked(&document.path));
        let proposed = policy.map(|document| proposed_name(&document.title, "yaml"));
        let proposed = proposed.or_else(|| conversation.map(|document| proposed_name(&document.title, "json")));
        let Some(proposed) = proposed else { return };
        let dialog = save_dialog(state, beside, proposed);
        // One that could not be saved is asked about again.
        let save = move |path| [Command::SaveTo(id, path), Command::ClosePolicy(id)];
        self.spawn(move || dialog.save_file().map(save).into_iter().flatten().collect());
    }

    fn new_set(&self, state: &State) {
        let dialog = titled_for_set(state, "New labelled set").set_file_name("labelled.jsonl");
        self.spawn(move || dialog.save_file().map(Command::AddSet).into_iter().collect());
    }

    fn save(&self, document: DocId, dialog: rfd::FileDialog) {
        self.spawn(move || dialog.save_file().map(|path| Command::SaveTo(document, path)).into_iter().collect());
    }

    fn spawn(&self, choose: impl FnOnce() -> Vec<Command> + Send + 'static) {
        let (sender, ctx) = (self.sender.clone(), self.ctx.clone());
        let ask = move || {
            let start = Instant::now();
            let chosen = choose();
            let failed = chosen.is_empty() && is_failure(start.elapsed(), has_zenity());
            for command in chosen.into_iter().chain(failed.then_some(Command::NoFileDialog)) {
                // Nobody waits any more when the window was closed meanwhile.
                sender.send(command).ok();
            }
            ctx.request_repaint();
        };
        if cfg!(target_os = "macos") {
            ask();
        } else {
            // Without a thread there is no dialog, and the menu entry can be chosen again.
            std::thread::Builder::new().name("waypost-file-dialog".to_owned()).spawn(ask).ok();
        }
    }
}

/// Returns whether a dialog in which nothing was chosen never opened, which it does not tell from a cancelled one: there is no desktop portal,
/// and no zenity, which takes its place. Elsewhere than on Linux the dialogs are part of the system.
fn is_failure(after: Duration, has_zenity: bool) -> bool {
    cfg!(target_os = "linux") && after < TOO_SOON && !has_zenity
}

fn has_zenity() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("zenity").is_file()))
}

/// Returns a dialog that begins where the user was last: some systems would begin at the root of all files.
fn titled(state: &State, title: &str) -> rfd::FileDialog {
    begun_in(last_folder(state.settings.recent.iter().chain(&state.settings.recent_sets)), title)
}

/// As [`titled`], where the user was last for a labelled set.
fn titled_for_set(state: &State, title: &str) -> rfd::FileDialog {
    begun_in(last_folder(state.settings.recent_sets.iter().chain(&state.settings.recent)), title)
}

fn begun_in(folder: Option<PathBuf>, title: &str) -> rfd::FileDialog {
    let dialog = rfd::FileDialog::new().set_title(title);
    match folder {
        Some(folder) => dialog.set_directory(folder),
        None => dialog,
    }
}

/// Returns the folder of the first of these files that still exists, or else the user's own.
fn last_folder<'a>(mut recent: impl Iterator<Item = &'a PathBuf>) -> Option<PathBuf> {
    let folder = recent.find_map(|path| path.parent().filter(|folder| folder.is_dir() && !is_hidden(folder)));
    folder.map(Path::to_owned).or_else(std::env::home_dir)
}

/// Returns whether a folder is one in which Waypost keeps what is its own, such as sample sets: nobody looks for files there.
fn is_hidden(folder: &Path) -> bool {
    let own = [data_folder(), Some(std::env::temp_dir().join("waypost"))];
    own.into_iter().flatten().any(|own| folder.starts_with(own))
}

/// Returns a dialog that proposes the present file, or a name where there is none.
fn save_dialog(state: &State, present: Option<PathBuf>, proposed: String) -> rfd::FileDialog {
    let mut dialog = titled(state, "Save as").set_file_name(proposed);
    if let Some(path) = present {
        dialog = path.parent().map_or_else(|| dialog.clone(), |folder| dialog.clone().set_directory(folder));
        dialog = path.file_name().map_or_else(|| dialog.clone(), |name| dialog.clone().set_file_name(name.to_string_lossy()));
    }
    dialog
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_begins_in_the_folder_of_the_last_file_that_is_still_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let recent: [PathBuf; 2] = ["/nowhere/gone/p.yaml".into(), folder.join("q.yaml")];
        assert_eq!(last_folder(recent.iter()).as_deref(), Some(folder));
        assert_eq!(last_folder(recent[..0].iter()), std::env::home_dir());
    }

    #[test]
    fn no_dialog_begins_where_sample_sets_are_kept() {
        let sample = data_folder().unwrap_or_else(|| std::env::temp_dir().join("waypost")).join("drafts").join("sample");
        assert!(is_hidden(&sample) && is_hidden(&std::env::temp_dir().join("waypost")));
        assert!(!is_hidden(Path::new(env!("CARGO_MANIFEST_DIR"))) && !is_hidden(&std::env::temp_dir()));
    }

    #[test]
    fn an_answer_at_once_without_zenity_is_a_dialog_that_never_opened() {
        assert_eq!(is_failure(Duration::from_millis(20), false), cfg!(target_os = "linux"));
        assert!(!is_failure(Duration::from_millis(20), true));
        assert!(!is_failure(Duration::from_secs(2), false), "somebody cancelled it");
    }
}

//! What leaves for the gateway: the exact bytes, made once a version away from the drawing thread, what they were tested with, and how they
//! are written.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::DocId;
use super::export_made::{Made, make};
use super::measure::open_run;
use super::replace::refuse_read_only;
use super::session::App;
use super::settings::{Settings, Tab};
use super::state::{Dialog, State};
use super::store::write_atomically;
use super::tasks::unless_outdated;
use crate::dialect::{GATEWAYS, Gateway};
use crate::eval::{Run, RunInfo};
use crate::formats::{ExportFormat, FormatError, open, read_unchanged};
use crate::policy::{DialectId, Policy};

/// What a user does in the Export tab.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportCommand {
    Format(ExportFormat),
    /// Chooses the gateway that the export is for, a position in [`GATEWAYS`].
    Gateway(usize),
    /// Writes the routes into this configuration; `None` makes a new one.
    Into(Option<PathBuf>),
    /// Asks for the configuration to write into.
    ChooseInto,
    /// Takes this run, a folder that was written by measuring, as what the policy on screen was tested with.
    OpenRun(PathBuf),
    /// Asks for the run's folder.
    ChooseRun,
    /// Shows the changes to the configuration rather than all of it.
    ShowChanges(bool),
    /// Writes, after asking where the policy was not tested as it is.
    Write,
    /// Writes without asking again.
    WriteAnyway,
    WriteTo(PathBuf),
}

/// A configuration to write into, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct IntoFile {
    pub path: PathBuf,
    pub text: String,
}

/// What an export is made of.
#[derive(Clone, Debug)]
pub struct ExportKey {
    pub policy: Arc<Policy>,
    pub format: ExportFormat,
    /// What the gateway sends that it is for.
    pub dialect: Option<DialectId>,
    pub into: Option<Arc<IntoFile>>,
    /// Runs that were opened for the policy, the newest last.
    pub runs: Arc<[Arc<Run>]>,
    /// Where measured runs are kept, and how many there are.
    pub kept: Option<(PathBuf, usize)>,
    /// What the policy is called: a kept run of the same name may be of an earlier version of it.
    pub title: String,
    /// Where the policy is kept: a run of this file is of an earlier version of it, whatever it is called.
    pub path: Option<PathBuf>,
}

impl ExportKey {
    /// Compares addresses: all of it is replaced, never changed.
    fn is(&self, other: &Self) -> bool {
        let same_file = match (&self.into, &other.into) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        same_file
            && (self.format, self.dialect) == (other.format, other.dialect)
            && (&self.kept, &self.title, &self.path) == (&other.kept, &other.title, &other.path)
            && Arc::ptr_eq(&self.policy, &other.policy)
            && self.runs.len() == other.runs.len()
            && self.runs.iter().zip(&*other.runs).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

/// Returns whether a run is of some version of a policy: by its file, or by its name with or without the number that [`Library::free_name`]
/// puts after it.
///
/// [`Library::free_name`]: super::Library::free_name
pub(super) fn is_version_of(info: &RunInfo, title: &str, path: Option<&Path>) -> bool {
    is_named(&info.name, title) || path.is_some_and(|path| path.as_os_str() == info.policy.path.as_str())
}

fn is_named(name: &str, title: &str) -> bool {
    let is_number = |rest: &str| {
        let number = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    };
    name.strip_prefix(title).is_some_and(|rest| rest.is_empty() || is_number(rest))
}

/// What the Export tab is set to, and what was made for that.
#[derive(Debug)]
pub struct ExportState {
    pub format: ExportFormat,
    gateway: usize,
    pub changes: bool,
    into: HashMap<DocId, Arc<IntoFile>>,
    /// Runs that were opened for policies, the newest last.
    runs: HashMap<DocId, Arc<[Arc<Run>]>>,
    /// Where policies were imported from.
    pub(super) origins: HashMap<DocId, PathBuf>,
    pub made: Option<Arc<Made>>,
    /// What was asked for last.
    asked: Option<ExportKey>,
    /// Whether a defect ended the making of it.
    pub failed: bool,
    /// What the user saw and wants to be written, whatever it was tested with.
    agreed: Option<ExportKey>,
    /// The last file that was written, and what it holds.
    written: Option<(ExportKey, PathBuf)>,
}

impl ExportState {
    /// Returns what is set as it was last time.
    pub(super) fn of(settings: &Settings) -> Self {
        let newest = GATEWAYS.len() - 1;
        let is_chosen = |gateway: &Gateway| settings.export_dialect == Some(gateway.dialect);
        Self {
            format: settings.export_format.as_deref().and_then(|name| name.parse().ok()).unwrap_or_default(),
            gateway: GATEWAYS.iter().position(is_chosen).unwrap_or(newest),
            changes: true,
            into: HashMap::new(),
            runs: HashMap::new(),
            origins: HashMap::new(),
            made: None,
            asked: None,
            failed: false,
            agreed: None,
            written: None,
        }
    }
}

impl State {
    /// Returns the configuration that the policy on screen is written into, if it is.
    pub fn export_into(&self) -> Option<&Arc<IntoFile>> {
        self.export.into.get(&self.policy().id).filter(|_| self.export.format == ExportFormat::Plano04)
    }

    /// Returns the configuration that the policy was imported from, unless it is written into that already.
    pub fn export_origin(&self) -> Option<&Path> {
        let origin = self.export.origins.get(&self.policy().id)?;
        self.export_into().is_none_or(|into| into.path != *origin).then_some(origin)
    }

    /// Returns the gateway that the export is for; `None` where the format is no Plano's.
    pub fn export_gateway(&self) -> Option<(usize, &'static Gateway)> {
        let gateways = self.export.format.gateways();
        let position = self.export.gateway.min(gateways.len().checked_sub(1)?);
        gateways.get(position).map(|gateway| (position, gateway))
    }

    /// Returns what was made for the texts on screen, once it is there.
    pub fn export_made(&self) -> Option<&Arc<Made>> {
        let asked = self.export.asked.as_ref()?;
        self.export.made.as_ref().filter(|made| made.of.is(asked) && Arc::ptr_eq(&asked.policy, self.routes()))
    }

    /// Returns where the export on screen was written to.
    pub fn export_written(&self) -> Option<&Path> {
        let (key, path) = self.export.written.as_ref()?;
        self.export_made().is_some_and(|made| made.of.is(key)).then_some(path)
    }

    /// Returns why nothing can be written now.
    pub fn export_obstacle(&self) -> Option<&'static str> {
        self.policy().text.obstacle().or_else(|| match self.export_made() {
            None if self.export.failed => Some("The export could not be made; change the policy or the format to try again"),
            None => Some("The export is being made"),
            Some(made) if made.text.is_err() => Some("The gateway would refuse it"),
            Some(_) => None,
        })
    }

    /// Returns whether a user has to be asked before this command can be done: the file's name that is proposed.
    pub fn export_file_wanted(&self, command: &ExportCommand) -> Option<String> {
        let is_asked = self.export_made().is_some_and(|made| !made.problems.is_empty());
        let writes = matches!(command, ExportCommand::WriteAnyway) || (*command == ExportCommand::Write && !is_asked);
        let wanted = writes && self.export_obstacle().is_none() && self.export_into().is_none();
        wanted.then(|| self.export.format.file_name().to_owned())
    }
}

impl App {
    /// Has the export of what is on screen made, where somebody looks at it and it was not made before.
    pub(super) fn refresh_export(&mut self) {
        if self.state.settings.tab != Tab::Export {
            return;
        }
        let key = ExportKey {
            policy: Arc::clone(self.state.routes()),
            format: self.state.export.format,
            dialect: self.state.export_gateway().map(|(_, gateway)| gateway.dialect),
            into: self.state.export_into().cloned(),
            runs: self.runs_of_policy(),
            kept: self.store.as_ref().map(|store| (store.folder().join("runs"), self.state.library.runs.len())),
            title: self.state.policy().title.clone(),
            path: self.state.policy().path.clone(),
        };
        if self.state.export.asked.as_ref().is_some_and(|asked| asked.is(&key)) {
            return;
        }
        (self.state.export.asked, self.state.export.failed) = (Some(key.clone()), false);
        let abandoned = key.clone();
        let work = unless_outdated(Arc::clone(&self.newest_export), move || make(key));
        let apply = |app: &mut Self, made: Option<Made>| {
            if let Some(made) = made {
                app.state.export.made = Some(Arc::new(made));
            }
        };
        self.texts.run(work, apply, move |app| app.abandon_export(&abandoned));
    }

    /// Says that what was asked for will not come. The same would meet the same defect, so it is not made again.
    fn abandon_export(&mut self, key: &ExportKey) {
        self.state.export.failed |= self.state.export.asked.as_ref().is_some_and(|asked| asked.is(key));
    }

    /// Returns the runs that may say something about the policy on screen, the newest last.
    fn runs_of_policy(&self) -> Arc<[Arc<Run>]> {
        let document = self.state.policy();
        // A run that was just measured may not be in its folder yet.
        let is_version = |run: &&Arc<Run>| is_version_of(&run.info, &document.title, document.path.as_deref());
        let loaded = self.state.library.loaded.values().map(|view| &view.run).filter(is_version);
        let opened = self.state.export.runs.get(&document.id).into_iter().flat_map(|runs| runs.iter());
        let mut runs: Vec<Arc<Run>> = opened.chain(loaded).cloned().collect();
        runs.sort_by(|a, b| a.info.date.cmp(&b.info.date).then_with(|| Arc::as_ptr(a).cmp(&Arc::as_ptr(b))));
        runs.into()
    }

    pub(super) fn run_export(&mut self, command: ExportCommand) {
        match command {
            ExportCommand::Format(format) => {
                self.state.export.format = format;
                self.change_settings(|settings| settings.export_format = Some(format.as_str().to_owned()));
            }
            ExportCommand::Gateway(position) => {
                self.state.export.gateway = position;
                self.change_settings(|settings| settings.export_dialect = GATEWAYS.get(position).map(|gateway| gateway.dialect));
            }
            ExportCommand::Into(path) => self.export_into(path),
            ExportCommand::OpenRun(path) => self.open_tested_run(path),
            // Choosing a file is the window's business: it answers with `Into`, `OpenRun` or `WriteTo`.
            ExportCommand::ChooseInto | ExportCommand::ChooseRun => {}
            ExportCommand::ShowChanges(changes) => self.state.export.changes = changes,
            ExportCommand::Write | ExportCommand::WriteAnyway => self.write_export(command == ExportCommand::WriteAnyway),
            ExportCommand::WriteTo(path) => self.write_export_to(&path),
        }
    }

    fn open_tested_run(&mut self, path: PathBuf) {
        let id = self.state.policy().id;
        self.texts.run(
            move || open_run(&path),
            move |app, run| match run {
                Ok(run) => {
                    let runs = app.state.export.runs.remove(&id).unwrap_or_default();
                    let mut runs: Vec<Arc<Run>> = runs.iter().cloned().chain([Arc::new(run)]).collect();
                    runs.sort_by(|a, b| a.info.date.cmp(&b.info.date));
                    app.state.export.runs.insert(id, runs.into());
                    app.refresh_export();
                }
                Err(error) => app.state.log.error(error.to_string()),
            },
            |_| (),
        );
    }

    fn export_into(&mut self, path: Option<PathBuf>) {
        let id = self.state.policy().id;
        let Some(path) = path else {
            self.state.export.into.remove(&id);
            return;
        };
        match read_config(&path) {
            Ok(text) => {
                self.state.export.format = ExportFormat::Plano04;
                self.state.export.into.insert(id, Arc::new(IntoFile { path, text }));
            }
            Err(error) => self.state.log.error(error.to_string()),
        }
    }

    fn write_export(&mut self, anyway: bool) {
        if self.state.export_obstacle().is_some() {
            return;
        }
        let Some(made) = self.state.export_made().cloned() else { return };
        if anyway {
            self.state.dialog = None;
        } else if !made.problems.is_empty() {
            self.state.dialog = Some(Dialog::Untested(made.problems.clone()));
            return;
        }
        self.state.export.agreed = Some(made.of.clone());
        if let Some(into) = self.state.export_into().map(|into| into.path.clone()) {
            self.write_export_to(&into);
        }
    }

    /// Writes the evidence and the configuration beside it, each as a whole. While the user chose the file the policy may have been changed.
    fn write_export_to(&mut self, path: &Path) {
        let made = self.state.export_made().filter(|_| self.state.export_obstacle().is_none()).cloned();
        let Some((made, Ok(text))) = made.as_ref().map(|made| (made, &made.text)) else {
            let sentence = "Nothing was exported: the policy has changed in the meantime; check it in the Export tab and write it again";
            return self.state.log.error(sentence);
        };
        let is_agreed = self.state.export.agreed.as_ref().is_some_and(|agreed| made.of.is(agreed));
        if !is_agreed && !made.problems.is_empty() {
            self.state.dialog = Some(Dialog::Untested(made.problems.clone()));
            return self.show_tab(Tab::Export);
        }
        if let Some(into) = made.of.into.as_ref().filter(|into| into.path == path)
            && read_config(path).is_ok_and(|present| present != into.text)
        {
            self.export_into(Some(path.to_owned()));
            let sentence = format!(
                "Not written: another program changed {}; its current contents are shown; check them and write again",
                path.display()
            );
            return self.state.log.error(sentence);
        }
        let evidence_path = path.with_file_name("routes.evidence.json");
        let failed =
            |path: &Path, error: std::io::Error| format!("{} could not be written ({error}); choose another folder", path.display());
        let evidence = text.exported.evidence_json.as_ref();
        // Before the evidence, which would tell of an export that was never written.
        let written = refuse_read_only(path)
            .map_err(|error| failed(path, error))
            .and_then(|()| {
                evidence
                    .map_or(Ok(()), |json| write_atomically(&evidence_path, json.as_bytes()).map_err(|error| failed(&evidence_path, error)))
            })
            .and_then(|()| write_atomically(path, text.exported.text.as_bytes()).map_err(|error| failed(path, error)));
        if let Err(sentence) = written {
            return self.state.log.error(sentence);
        }
        let beside = match evidence {
            Some(_) => format!(", with its evidence in {}", evidence_path.display()),
            None if evidence_path.exists() => format!("; {} beside it is from an earlier export", evidence_path.display()),
            None => String::new(),
        };
        self.state.log.info(format!("Exported to {}{beside}", path.display()));
        let mut key = made.of.clone();
        // What was written into is now what is in the file.
        if made.of.into.as_ref().is_some_and(|into| into.path == path) {
            let into = Arc::new(IntoFile { path: path.to_owned(), text: text.exported.text.clone() });
            key.into = Some(Arc::clone(&into));
            self.state.export.into.insert(self.state.policy().id, into);
        }
        self.state.export.written = Some((key, path.to_owned()));
    }
}

/// Returns the configuration to write into, byte for byte.
fn read_config(path: &Path) -> Result<String, FormatError> {
    read_unchanged(open(path)?, &path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tasks::tests::{app, defective, fail};

    #[test]
    fn an_export_that_met_a_defect_is_not_waited_for_until_something_else_is_asked_for() {
        let mut app = app();
        app.state.settings.tab = Tab::Export;
        app.refresh_export();
        let key = app.state.export.asked.clone().unwrap();
        app.texts.run(defective, |_, ()| (), move |app| app.abandon_export(&key));
        fail(&mut app);
        // The one before it, which met none, came too.
        app.state.export.made = None;
        assert_ne!(app.state.export_obstacle(), Some("The export is being made"));
        app.state.export.format = ExportFormat::Plano03;
        app.refresh_export();
        assert_eq!(app.state.export_obstacle(), Some("The export is being made"));
    }

    #[test]
    fn a_longer_name_is_of_another_policy() {
        assert!(is_named("Support", "Support") && is_named("Support (2)", "Support"));
        assert!(!is_named("Support-EU", "Support") && !is_named("Support (EU)", "Support") && !is_named("Sup", "Support"));
    }
}

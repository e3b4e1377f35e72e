//! What the linter says about the policy on screen: looked for once a version, away from the drawing thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PolicyText;
use super::session::App;
use super::state::Dialog;
use super::tasks::unless_outdated;
use crate::formats::{Located, lint_context, locate, policy_lines};
use crate::policy::lint::{Finding, Severity};

/// What a user can do with findings besides taking a quick fix, which is an ordinary edit of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckCommand {
    /// Shows what the documentation says about a code.
    Explain(&'static str),
    /// Leaves out the advice of this code from now on. Errors and warnings cannot be left out.
    Hide(&'static str),
    /// Shows all advice again.
    ShowAll,
}

/// The findings about one version of a policy.
#[derive(Debug, Default)]
pub struct Checks {
    /// The version the findings are about; `None` before the first one was looked at.
    about: Option<Arc<PolicyText>>,
    /// The worst first.
    found: Vec<Located>,
    /// Positions in `found` of what is not hidden.
    visible: Vec<usize>,
    /// Of the visible, for each route of the policy.
    of_route: Vec<Vec<usize>>,
    /// Of the visible, for each line of the YAML.
    of_line: BTreeMap<usize, Vec<usize>>,
    counts: [usize; 3],
    /// Whether a defect ended the look at this version, of which nothing is known then.
    pub failed: bool,
}

impl Checks {
    fn new(about: Arc<PolicyText>, found: Vec<Located>, hidden: &[String]) -> Self {
        let mut checks = Self { about: Some(about), found, ..Self::default() };
        checks.sort_out(hidden);
        checks
    }

    /// Finds out again what is visible.
    fn sort_out(&mut self, hidden: &[String]) {
        let routes = self.about.as_ref().map_or(0, |about| about.policy.routes.len());
        (self.visible, self.of_route, self.of_line, self.counts) = (Vec::new(), vec![Vec::new(); routes], BTreeMap::new(), [0; 3]);
        for (position, Located { finding, line }) in self.found.iter().enumerate() {
            let rule = finding.rule;
            if rule.severity == Severity::Advice && hidden.iter().any(|code| code == rule.code) {
                continue;
            }
            self.visible.push(position);
            self.counts[rule.severity as usize] += 1;
            if let Some(of_route) = finding.route.and_then(|route| self.of_route.get_mut(route)) {
                of_route.push(position);
            }
            if let Some(line) = line {
                self.of_line.entry(*line).or_default().push(position);
            }
        }
    }

    /// Returns whether the findings are about this version, so that their quick fixes can be taken.
    pub fn is_about(&self, text: &Arc<PolicyText>) -> bool {
        self.about.as_ref().is_some_and(|about| Arc::ptr_eq(about, text))
    }

    /// Returns how many findings can be seen.
    pub fn len(&self) -> usize {
        self.visible.len()
    }

    /// Returns whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.visible.is_empty() && !self.failed
    }

    /// Returns how many findings are left out as the user wishes.
    pub fn hidden(&self) -> usize {
        self.found.len() - self.visible.len()
    }

    /// Returns how many findings of a severity can be seen.
    pub fn count(&self, severity: Severity) -> usize {
        self.counts[severity as usize]
    }

    /// Returns one of the visible findings, the worst first.
    pub fn get(&self, index: usize) -> Option<&Located> {
        self.visible.get(index).and_then(|position| self.found.get(*position))
    }

    /// Returns the visible findings about one route, the worst first.
    pub fn of_route(&self, route: usize) -> impl Iterator<Item = &Finding> {
        let positions = self.of_route.get(route).map_or(&[][..], Vec::as_slice);
        positions.iter().filter_map(|position| self.found.get(*position)).map(|located| &located.finding)
    }

    /// Returns the visible findings about the policy as a whole.
    pub fn of_whole(&self) -> impl Iterator<Item = &Finding> {
        let visible = self.visible.iter().filter_map(|position| self.found.get(*position));
        visible.map(|located| &located.finding).filter(|finding| finding.route.is_none())
    }

    /// Returns the visible findings about one line of the YAML, counted from 1.
    pub fn of_line(&self, line: usize) -> impl Iterator<Item = &Finding> {
        let positions = self.of_line.get(&line).map_or(&[][..], Vec::as_slice);
        positions.iter().filter_map(|position| self.found.get(*position)).map(|located| &located.finding)
    }
}

impl App {
    /// Has the policy on screen looked at, unless that was asked for before. Until the answer is there, the last findings stay.
    pub(super) fn refresh_checks(&mut self) {
        let text = &self.state.policy().text;
        if self.checking.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, text)) {
            return;
        }
        let (text, abandoned) = (Arc::clone(text), Arc::clone(text));
        self.checking = Some(Arc::clone(&text));
        let work = unless_outdated(Arc::clone(&self.newest_check), move || {
            // Text that cannot be read has no lines to speak of; the findings are about the last that could be.
            let lines = if text.error.is_none() { policy_lines(text.yaml(), "policy.yaml") } else { Default::default() };
            let found = locate(&text.policy, &lint_context(&text.policy), &lines);
            (text, found)
        });
        let apply = |app: &mut Self, made| {
            if let Some((text, found)) = made {
                app.state.checks = Checks::new(text, found, &app.state.settings.hidden_advice);
            }
        };
        self.texts.run(work, apply, move |app| app.abandon_check(abandoned));
    }

    /// Lets go of findings about an older version, which would stay for good. The same version would meet the same defect, so it is not looked at
    /// again.
    fn abandon_check(&mut self, text: Arc<PolicyText>) {
        if self.checking.as_ref().is_some_and(|asked| Arc::ptr_eq(asked, &text)) {
            self.state.checks = Checks { about: Some(text), failed: true, ..Checks::default() };
        }
    }

    pub(super) fn run_check(&mut self, command: CheckCommand) {
        match command {
            CheckCommand::Explain(code) => self.state.dialog = Some(Dialog::Rule(code)),
            CheckCommand::Hide(code) => {
                self.change_settings(|settings| {
                    settings.hidden_advice.retain(|hidden| hidden != code);
                    settings.hidden_advice.push(code.to_owned());
                });
                self.state.checks.sort_out(&self.state.settings.hidden_advice);
            }
            CheckCommand::ShowAll => {
                self.change_settings(|settings| settings.hidden_advice.clear());
                self.state.checks.sort_out(&[]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tasks::tests::{app, defective, fail};

    #[test]
    fn where_the_look_at_a_policy_fails_its_older_findings_go_and_it_says_so() {
        let mut app = app();
        let text = Arc::clone(&app.state.policy().text);
        // Another is looked at by now.
        app.abandon_check(Arc::new(PolicyText::clone(&text)));
        assert!(!app.state.checks.failed);
        app.texts.run(defective, |_, ()| (), move |app| app.abandon_check(text));
        fail(&mut app);
        let checks = &app.state.checks;
        assert!(checks.failed && checks.get(0).is_none() && !checks.is_empty() && checks.is_about(&app.state.policy().text));
    }
}

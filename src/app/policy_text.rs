//! A policy as it is edited: its routes, and the YAML that stands for the same.

use std::sync::{Arc, OnceLock};

use super::Document;
use crate::formats::{FormatError, parse_policy, policy_text, write_policy};
use crate::policy::Policy;

/// One version of a policy in both of its forms.
///
/// The form and the YAML view change the same document. The YAML that a user typed or that a file held is kept as it is, also while it
/// cannot be read; a change in the form is written into it when somebody looks, so that comments and layout stay.
#[derive(Clone, Debug)]
pub struct PolicyText {
    pub policy: Arc<Policy>,
    /// Why `yaml` cannot be read; `policy` is then the last version that could be.
    pub error: Option<FormatError>,
    /// The last text that a user or a file gave and that could be read, and what it says.
    base: Option<Base>,
    yaml: OnceLock<Arc<str>>,
    outline: OnceLock<Vec<OutlineRow>>,
    typed: bool,
}

#[derive(Clone, Debug)]
struct Base {
    yaml: Arc<str>,
    policy: Arc<Policy>,
}

/// One row of the list of routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutlineRow {
    Domain(String),
    Route(usize),
}

impl PolicyText {
    /// Returns a version that was made in the form or by Waypost itself.
    pub fn new(policy: Policy) -> Self {
        Self::build(Arc::new(policy), None, None, None)
    }

    /// Returns the next version after a change in the form.
    pub fn with_policy(&self, policy: Policy) -> Self {
        Self::build(Arc::new(policy), None, self.base.clone(), None)
    }

    /// Returns the next version after a change to the YAML.
    pub fn with_yaml(&self, yaml: &str) -> Self {
        match parse_policy(yaml, "policy.yaml") {
            Ok((policy, _)) => Self::from_file(policy, yaml),
            Err(error) => Self::build(Arc::clone(&self.policy), Some(error), self.base.clone(), Some(yaml.into())),
        }
    }

    /// Returns what a file holds: `policy` was read from `yaml`.
    pub fn from_file(policy: Policy, yaml: &str) -> Self {
        let (policy, yaml): (Arc<Policy>, Arc<str>) = (Arc::new(policy), yaml.into());
        Self::build(Arc::clone(&policy), None, Some(Base { yaml: Arc::clone(&yaml), policy }), Some(yaml))
    }

    /// Returns a version that was kept as a draft: `yaml` is what [`Self::kept_yaml`] gave for it.
    pub fn from_draft(policy: Policy, yaml: Option<&str>) -> Self {
        let Some(yaml) = yaml else { return Self::new(policy) };
        let text = Self::new(policy.clone()).with_yaml(yaml);
        // A policy in the form may be what no file can hold, or stand beside a text that was kept for its comments.
        if text.error.is_none() && *text.policy != policy { text.with_policy(policy) } else { text }
    }

    fn build(policy: Arc<Policy>, error: Option<FormatError>, base: Option<Base>, yaml: Option<Arc<str>>) -> Self {
        let typed = yaml.is_some();
        let yaml = yaml.map_or_else(OnceLock::new, OnceLock::from);
        Self { policy, error, base, yaml, outline: OnceLock::new(), typed }
    }

    /// Returns why nothing but the YAML can be changed now, and why nothing can be made of the policy: what was typed is not what would be
    /// measured or exported, and a change in the form would be written over it.
    pub fn obstacle(&self) -> Option<&'static str> {
        self.error.is_some().then_some("The YAML of the policy cannot be read; repair it first")
    }

    /// Returns the policy as YAML, written once for each version.
    pub fn yaml(&self) -> &Arc<str> {
        self.yaml.get_or_init(|| match &self.base {
            Some(base) => policy_text(&base.yaml, &base.policy, &self.policy).into(),
            None => write_policy(&self.policy).into(),
        })
    }

    /// Returns the text to keep beside the policy so that nothing a user wrote is lost: the YAML as typed, or the one that changes in the
    /// form are written into.
    pub fn kept_yaml(&self) -> Option<&str> {
        if self.typed { Some(self.yaml()) } else { self.base.as_ref().map(|base| &*base.yaml) }
    }

    /// Returns the rows of the list of routes: domains in the order of their first route, their routes under them; routes without a
    /// domain come first. Made once for each version.
    pub fn outline(&self) -> &[OutlineRow] {
        self.outline.get_or_init(|| outline(&self.policy))
    }
}

impl Document<PolicyText> {
    /// Calls the document what its policy is called.
    pub fn follow_name(&mut self) {
        let text = Arc::clone(&self.text);
        self.call(text.policy.name.as_deref());
    }
}

fn outline(policy: &Policy) -> Vec<OutlineRow> {
    let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (position, route) in policy.routes.iter().enumerate() {
        let domain = route.domain.as_deref().filter(|domain| !domain.trim().is_empty());
        let place = *places.entry(domain).or_insert_with(|| {
            groups.push((domain, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, routes)) = groups.get_mut(place) {
            routes.push(position);
        }
    }
    groups.sort_by_key(|(domain, _)| domain.is_some());
    let mut rows = Vec::with_capacity(policy.routes.len() + groups.len());
    for (domain, routes) in groups {
        rows.extend(domain.map(|domain| OutlineRow::Domain(domain.to_owned())));
        rows.extend(routes.into_iter().map(OutlineRow::Route));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Route;

    #[test]
    fn a_broken_yaml_keeps_the_last_policy_and_names_its_line() {
        let text = PolicyText::new(Policy { routes: vec![Route::new("a", "b")], ..Policy::default() });
        let broken = text.with_yaml("routes:\n  - name: a\n    description: [\n");
        assert_eq!(broken.policy, text.policy);
        assert!(broken.error.as_ref().is_some_and(|error| error.line.is_some()));
        assert!(broken.kept_yaml().is_some());
    }

    #[test]
    fn comments_at_the_start_survive_a_change_in_the_form() {
        let text = PolicyText::new(Policy::default()).with_yaml("# why\n\nroutes:\n  - name: a\n    description: b\n");
        let mut policy = Policy::clone(&text.policy);
        policy.fallback = Some("m".to_owned());
        assert!(text.with_policy(policy).yaml().starts_with("# why\n\n"));
    }

    #[test]
    fn comments_survive_a_change_in_the_form_and_a_restart() {
        let yaml = "name: x # mine\nroutes:\n  # first\n  - name: a\n    description: b # short\n  # second\n  - {name: c, description: d}\n# end\n";
        let text = PolicyText::new(Policy::default()).with_yaml(yaml);
        let mut policy = Policy::clone(&text.policy);
        policy.routes[0].description = "B".to_owned();
        let changed = text.with_policy(policy.clone());
        assert_eq!(&**changed.yaml(), yaml.replace("description: b", "description: \"B\""));
        let restored = PolicyText::from_draft(policy, changed.kept_yaml());
        assert_eq!((restored.yaml(), &restored.policy), (changed.yaml(), &changed.policy));
    }

    #[test]
    fn routes_are_listed_under_their_domains() {
        let route = |name: &str, domain: Option<&str>| Route { domain: domain.map(str::to_owned), ..Route::new(name, "") };
        let routes = vec![route("a", Some("x")), route("b", None), route("c", Some("y")), route("d", Some("x"))];
        let text = PolicyText::new(Policy { routes, ..Policy::default() });
        let domain = |name: &str| OutlineRow::Domain(name.to_owned());
        use OutlineRow::Route as At;
        assert_eq!(text.outline(), [At(1), domain("x"), At(0), At(3), domain("y"), At(2)]);
    }
}

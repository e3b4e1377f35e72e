//! What the user chose about the window itself.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{DeviceChoice, RunId, ServerLimits};
use crate::policy::DialectId;

/// Which colours the window has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ThemeChoice {
    #[default]
    System,
    Light,
    Dark,
}

/// What the window is used for at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Tab {
    #[default]
    Policy,
    Playground,
    Batch,
    Compare,
    Export,
}

/// What the user chose about the window itself; kept from start to start.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    pub theme: ThemeChoice,
    pub tab: Tab,
    pub zoom: f32,
    /// Whether to route while typing; `None` leaves it to the router.
    pub live: Option<bool>,
    /// Whether the decision is shown beside the policy.
    pub dock: bool,
    /// Whether the policy is shown as YAML.
    pub yaml: bool,
    /// Whether the list of findings is shown under the editor.
    pub findings: bool,
    /// Codes of the linter's advice that the user does not want to see.
    pub hidden_advice: Vec<String>,
    /// Files that were opened or saved, the last one first.
    pub recent: Vec<PathBuf>,
    /// The run that others are compared with.
    pub baseline: Option<RunId>,
    /// Whether the user chose it: then it stays when open variants are measured.
    pub baseline_pinned: bool,
    /// Labelled sets that were opened, the last one first.
    pub recent_sets: Vec<PathBuf>,
    /// The router that was chosen last, as the command line spells it.
    pub router: Option<String>,
    pub device: DeviceChoice,
    /// Routers that the user added to the list, as the command line spells them.
    pub routers: Vec<String>,
    /// How servers are asked, where the user chose it, by the same spelling.
    pub servers: BTreeMap<String, ServerLimits>,
    /// The format that was exported last, as the command line spells it.
    pub export_format: Option<String>,
    /// What the gateway sends that was exported for last; `None` for the newest.
    pub export_dialect: Option<DialectId>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            tab: Tab::Policy,
            zoom: 1.0,
            live: None,
            dock: true,
            yaml: false,
            findings: false,
            hidden_advice: Vec::new(),
            recent: Vec::new(),
            baseline: None,
            baseline_pinned: false,
            recent_sets: Vec::new(),
            router: None,
            device: DeviceChoice::Auto,
            routers: Vec::new(),
            servers: BTreeMap::new(),
            export_format: None,
            export_dialect: None,
        }
    }
}

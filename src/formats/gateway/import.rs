//! Reading the configuration of any gateway into a policy, and saying what that gateway itself would do with it.

use std::fmt;

use crate::formats::error::{FormatError, Origin, Warning};
use crate::formats::lint_report::{PolicyLines, route_lines};
use crate::formats::policy::{document, text as text_of};
use crate::formats::source::without_bom;
use crate::formats::tree::{Entry, Node, Pos, Value, quoted};
use crate::policy::lint::{Field, Severity};
use crate::policy::{DialectId, Policy, Route};

use super::providers::Declaration;
use super::spans::layout;
use super::yaml_1_1::{Flaw, Taken, Unquoted, flaws};
use super::{litellm, meta, others, plano, providers, vllm_sr};

/// Whose configuration a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayShape {
    /// Plano, or archgw as it was called before 0.4.
    Plano,
    /// The route file of huggingface/chat-ui.
    ChatUi,
    /// The body of a request to Plano's `/routing` API, or only its list of preferences.
    RoutingApi,
    /// vLLM Semantic Router.
    VllmSr,
    /// LiteLLM's complexity router.
    LiteLlm,
}

impl GatewayShape {
    /// Returns the name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plano => "Plano configuration",
            Self::ChatUi => "chat-ui route file",
            Self::RoutingApi => "request to Plano's routing API",
            Self::VllmSr => "vLLM Semantic Router configuration",
            Self::LiteLlm => "LiteLLM configuration",
        }
    }
}

/// What kind of thing an import has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoteKind {
    /// The current gateway refuses the file because of this.
    Refused,
    /// The current gateway reads the file and does nothing with this.
    Ignored,
    /// The policy says it in another way than the file, or not at all.
    Changed,
}

impl NoteKind {
    /// Returns the kind as reports spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Ignored => "ignored",
            Self::Changed => "changed",
        }
    }

    /// Returns how bad it is among the findings of the linter.
    pub fn severity(self) -> Severity {
        match self {
            Self::Refused => Severity::Error,
            Self::Ignored => Severity::Warning,
            Self::Changed => Severity::Advice,
        }
    }
}

/// One remark of an import, with its place. Displays like a [`Warning`], with its kind before the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub kind: NoteKind,
    pub warning: Warning,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = format!("{}: {}", self.kind.as_str(), self.warning.message);
        fmt::Display::fmt(&Warning { message, ..self.warning.clone() }, f)
    }
}

/// A policy that was read from a gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub policy: Policy,
    pub shape: GatewayShape,
    /// What the gateway refuses or ignores, and what the policy cannot say, in the order of the file.
    pub notes: Vec<Note>,
    /// The models that the configuration declares; `None` where its shape declares none.
    pub declared: Option<Vec<String>>,
    /// Where the routes stand in the file.
    pub lines: PolicyLines,
}

/// Reads the configuration of a gateway.
///
/// # Errors
/// Names the place and the remedy: bad YAML or JSON, no gateway's configuration, no routes in it, routes that no policy can hold.
pub fn import_gateway(text: &str, path: &str) -> Result<Imported, FormatError> {
    read(text, Origin::new(path))
}

/// As [`import_gateway`], but leaves equal and empty names of routes, and the lack of any, to the linter.
///
/// # Errors
/// As [`import_gateway`].
pub(in crate::formats) fn import_to_lint(text: &str, path: &str) -> Result<Imported, FormatError> {
    read(text, Origin::to_lint(path))
}

fn read(text: &str, origin: Origin<'_>) -> Result<Imported, FormatError> {
    let text = without_bom(text);
    let root = document(text, origin.path(), &origin)?;
    let Some(shape) = shape(&root) else { return Err(unknown(&root, &origin)) };
    let mut reader = Reader::new(origin, text);
    let at = root.at;
    match shape {
        GatewayShape::Plano => plano::read(root, &mut reader)?,
        GatewayShape::ChatUi => others::read_chat_ui(root, &mut reader)?,
        GatewayShape::RoutingApi => others::read_routing_api(root, &mut reader)?,
        GatewayShape::VllmSr => vllm_sr::read(&root, &mut reader)?,
        GatewayShape::LiteLlm => litellm::read(&root, &mut reader)?,
    }
    if reader.policy.routes.is_empty() {
        let (message, remedy) = reader.no_routes.clone();
        if !reader.origin.any_names {
            let (at, message) = match reader.dropped {
                Some(at) => (at, format!("{message}: the gateway drops this routing preference, which has no name")),
                None => (at, message),
            };
            return Err(reader.origin.error(at, message, remedy));
        }
        // Of Plano's own files the linter's rule about a policy without routes says enough.
        if matches!(shape, GatewayShape::VllmSr | GatewayShape::LiteLlm) {
            reader.note(NoteKind::Changed, at, message, remedy);
        }
    }
    let Reader { mut policy, mut notes, mut lines, declarations, declared, grouped_by_model, .. } = reader;
    if let Some(order) = grouped_by_model.then(|| meta::order(text, &policy)).flatten() {
        policy.routes = order.iter().map(|index| policy.routes[*index].clone()).collect();
        lines.routes = order.iter().map(|index| lines.routes[*index].clone()).collect();
    }
    let has_budget = shape == GatewayShape::Plano && policy.budget.is_some();
    meta::restore(text, shape, &mut policy);
    if has_budget {
        // Only Plano 0.4.19 and later know the key, and without a dialect of theirs nothing would be tested with the number.
        policy.dialect = policy.dialect.or(Some(DialectId::Plano0420));
    }
    providers::keep(&mut policy, &declarations);
    notes.sort_by_key(|note| note.warning.line);
    // Several routes may lead to one deployment, about which there is one thing to say.
    notes.dedup();
    Ok(Imported { policy, shape, notes, declared, lines })
}

/// Returns whether a text is some gateway's configuration rather than a policy.
pub fn looks_like_gateway(text: &str, path: &str) -> bool {
    document(without_bom(text), path, &Origin::new(path)).is_ok_and(|root| shape(&root).is_some())
}

fn shape(root: &Node) -> Option<GatewayShape> {
    let has = |node: &Node, keys: &[&str]| match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| keys.contains(&entry.key.as_str())),
        _ => false,
    };
    match &root.value {
        Value::List(items) => {
            let first = items.first()?;
            let chat_ui = has(first, &["primary_model"]).then_some(GatewayShape::ChatUi);
            chat_ui.or_else(|| (has(first, &["selection_policy"])).then_some(GatewayShape::RoutingApi))
        }
        Value::Map(_) if has(root, &["routes"]) => None,
        Value::Map(_) if has(root, &["model_list", "complexity_router_config", "tier_definitions"]) => Some(GatewayShape::LiteLlm),
        Value::Map(entries) => {
            let signals = |entry: &&Entry| match entry.key.as_str() {
                "routing" => has(&entry.node, &["signals", "decisions"]),
                "signals" => has(&entry.node, &["preferences"]),
                _ => false,
            };
            if entries.iter().any(|entry| signals(&entry)) {
                Some(GatewayShape::VllmSr)
            } else if has(root, &["version", "listeners", "llm_providers", "model_providers"]) {
                Some(GatewayShape::Plano)
            } else {
                has(root, &["routing_preferences"]).then_some(GatewayShape::RoutingApi)
            }
        }
        _ => None,
    }
}

fn unknown(root: &Node, origin: &Origin<'_>) -> FormatError {
    let is_policy = match &root.value {
        Value::Map(entries) => entries.iter().any(|entry| entry.key == "routes"),
        Value::List(items) => items.first().is_some_and(|first| field(first, "name").is_some()),
        _ => false,
    };
    if is_policy {
        return origin.error(root.at, "this is a policy already, not a gateway's configuration", "use it as it is");
    }
    let known = "give a configuration of Plano or archgw, chat-ui's route file, a vLLM Semantic Router or LiteLLM configuration";
    if matches!(root.value, Value::Null) {
        return origin.whole("the file is empty", known);
    }
    origin.error(root.at, "this is not the configuration of a gateway that Waypost knows", known)
}

/// What the readers of all shapes share.
pub(super) struct Reader<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) policy: Policy,
    pub(super) notes: Vec<Note>,
    pub(super) lines: PolicyLines,
    pub(super) declarations: Vec<Declaration>,
    pub(super) declared: Option<Vec<String>>,
    /// What to say where the file turns out to hold no routes.
    pub(super) no_routes: (String, String),
    /// What the gateway's YAML reader refuses to read.
    pub(super) flaws: Vec<Flaw>,
    /// What the gateway does where two routes have one name.
    pub(super) twice: &'static str,
    /// Whether the file lists routes by their model, so that their order says nothing.
    pub(super) grouped_by_model: bool,
    /// The first routing preference that the gateway drops because it has no name.
    pub(super) dropped: Option<Pos>,
    pub(super) unquoted: Unquoted,
}

impl<'a> Reader<'a> {
    fn new(origin: Origin<'a>, text: &str) -> Self {
        let no_routes = (
            "the configuration holds no routes".to_owned(),
            "add routes with a name, a description and models, then import it again".to_owned(),
        );
        let layout = layout(text);
        Self {
            origin,
            policy: Policy::default(),
            notes: Vec::new(),
            lines: PolicyLines::default(),
            declarations: Vec::new(),
            declared: None,
            no_routes,
            flaws: flaws(text, layout.as_ref()),
            twice: "the gateway refuses that",
            grouped_by_model: false,
            dropped: None,
            unquoted: Unquoted::of(text, layout.as_ref()),
        }
    }

    /// Keeps a remark.
    pub(super) fn note(&mut self, kind: NoteKind, at: Pos, message: impl Into<String>, remedy: impl Into<String>) {
        let before = self.origin.warnings.len();
        self.origin.warn(at, message, remedy);
        self.notes.extend(self.origin.warnings.drain(before..).map(|warning| Note { kind, warning }));
    }

    /// Returns text; what only newer YAML readers take for text, and numbers, are read with a remark.
    ///
    /// # Errors
    /// The value is neither.
    pub(super) fn text(&mut self, node: &Node, what: &str) -> Result<String, FormatError> {
        let scalar = self.unquoted.at(node).cloned();
        let text = match (&node.value, &scalar) {
            // As it is written: the other reader may leave it as it is.
            (Value::Number(_) | Value::Bool(_), Some(scalar)) => scalar.text.clone(),
            (Value::Number(number), None) => number.clone(),
            (Value::Bool(value), None) => value.to_string(),
            _ => text_of(node, what, &self.origin)?,
        };
        let taken_for = match (&scalar, &node.value) {
            (Some(scalar), _) => scalar.taken.map(Taken::as_str),
            (None, Value::Text(_)) => None,
            (None, _) => Some("a number or true or false"),
        };
        if let Some(taken_for) = taken_for {
            let message = format!("the gateway's YAML reader takes {what} ({text}) for {taken_for} and refuses it");
            let is_tagged = scalar.is_some_and(|scalar| scalar.is_tagged);
            let remedy = if is_tagged { "remove its tag, and put it in double quotes" } else { "put it in double quotes" };
            self.note(NoteKind::Refused, node.at, message, remedy);
        }
        Ok(text)
    }

    /// Adds a route that must have a new name.
    ///
    /// # Errors
    /// The name is empty, or another route has it.
    pub(super) fn add_route(&mut self, route: Route, node: &Node) -> Result<(), FormatError> {
        let lines = route_lines(node);
        let at = field(node, "name").map_or(node.at, |entry| entry.node.at);
        if route.name.trim().is_empty() && !self.origin.any_names {
            return Err(self.origin.error(at, "a route has an empty name, which no router's answer can match", "give the route a name"));
        }
        let first = self.policy.routes.iter().position(|other| other.name == route.name).filter(|_| !self.origin.any_names);
        if let Some(first) = first {
            let line = self.lines.routes.get(first).map_or(0, |(line, _)| *line);
            let message = format!("route {} appears twice, first on line {line}; {}", quoted(&route.name), self.twice);
            return Err(self.origin.error(at, message, "rename one of them"));
        }
        self.policy.routes.push(route);
        self.lines.routes.push(lines);
        Ok(())
    }

    /// Remembers the line of the routes as a whole.
    pub(super) fn routes_at(&mut self, at: Pos) {
        self.lines.whole.insert(0, (Field::Routes, at.line));
    }
}

/// Returns an entry of an object.
pub(super) fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
        _ => None,
    }
}

/// Returns the value at a path of keys.
pub(super) fn at_path<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| field(node, key).map(|entry| &entry.node))
}

/// Returns the items of a list; of anything else, none.
pub(super) fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

/// Returns text that is there and is text.
pub(super) fn plain_text(node: &Node, key: &str) -> Option<String> {
    match &field(node, key)?.node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

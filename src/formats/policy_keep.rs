//! Writes a changed policy into the YAML it came from, so that a change in the form keeps the comments and the layout of everything else.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::gateway::edit::{after_colon, line_start, next_line};
use super::gateway::spans::{Kind, Span, spans};
use super::policy::parse_policy;
use super::policy_writer::{push_quoted, write_policy, write_route};
use super::source::without_bom;
use super::yaml_edits::{Blocks, YamlEdits, column, is_nothing};
use crate::policy::{DialectId, Policy, Route};

/// Returns the policy as YAML: the text it came from with what differs changed, or written anew below the comments that the text starts with.
/// Line ends of Windows stay, and so does a byte order mark. Text in JSON stays JSON where no route comes, goes or moves.
pub fn policy_text(text: &str, old: &Policy, new: &Policy) -> String {
    if old == new {
        return text.to_owned();
    }
    let body = without_bom(text);
    let mark = &text[..text.len() - body.len()];
    let is_crlf = body.contains("\r\n") && !body.replace("\r\n", "").contains('\n');
    let mut lines = if is_crlf { body.replace("\r\n", "\n") } else { body.to_owned() };
    if !lines.ends_with('\n') {
        lines.push('\n');
    }
    // A route that cannot be changed value by value may still be written anew in its place.
    let kept = [false, true].into_iter().find_map(|whole_routes| rewrite_policy(&lines, old, new, whole_routes));
    let written = kept.unwrap_or_else(|| {
        let comments = lines.split_inclusive('\n').take_while(|line| line.starts_with('#') || line.trim().is_empty());
        let head = lines.get(..comments.map(str::len).sum::<usize>()).unwrap_or_default();
        format!("{}{}", if head.contains('#') { head } else { "" }, write_policy(new))
    });
    format!("{mark}{}", if is_crlf { written.replace('\n', "\r\n") } else { written })
}

/// Returns `text`, which says `old`, changed so that it says `new`: values that differ are replaced, new keys and routes added, gone routes
/// taken out. `None` where the text has a shape that cannot be changed in parts.
fn rewrite_policy(text: &str, old: &Policy, new: &Policy, whole_routes: bool) -> Option<String> {
    if old.extra != new.extra {
        return None;
    }
    let root = spans(text)?;
    let mut edits = YamlEdits::new(text);
    let (key, list) = match &root.kind {
        Kind::Map { .. } => {
            let (key, list) = root.entry("routes")?;
            change_scalars(&mut edits, text, &root, key, old, new);
            (Some(key), list)
        }
        Kind::List { .. } => (None, &root),
        _ => return None,
    };
    Routes { text, key, list, old, new, whole_routes }.change(&mut edits)?;
    let out = edits.apply(0..text.len())?;
    // A shape not thought of above may have become something else: only a text that says the new policy will do.
    let (read, _) = parse_policy(&out, "policy.yaml").ok()?;
    (read == *new).then_some(out)
}

/// Changes the policy's own values, above and below its routes.
fn change_scalars(edits: &mut YamlEdits<'_>, text: &str, root: &Span, routes_key: &Span, old: &Policy, new: &Policy) {
    let values = |policy: &Policy| {
        let texts = [policy.name.as_deref(), policy.dialect.map(DialectId::as_str), policy.fallback.as_deref()];
        let [name, dialect, fallback] = texts.map(|text| text.map(quoted));
        [("name", name), ("dialect", dialect), ("budget", policy.budget.map(|budget| budget.to_string())), ("fallback", fallback)]
    };
    let (before, after) = (values(old), values(new));
    let above = after.iter().filter_map(|(key, _)| root.entry(key)).filter(|(key, _)| key.start < routes_key.start);
    let last = above.map(|(key, value)| next_line(text, key.end.max(value.end))).max();
    let at = last.unwrap_or_else(|| line_start(text, root.start));
    for ((key, before), (_, after)) in before.into_iter().zip(after) {
        if before != after {
            edits.set(root, key, after.as_deref(), at);
        }
    }
}

/// The list of routes of a text, what it says, and what it is to say.
struct Routes<'a> {
    text: &'a str,
    /// `None` where the text is nothing but the list.
    key: Option<&'a Span>,
    list: &'a Span,
    old: &'a Policy,
    new: &'a Policy,
    /// Whether a route that differs is written anew.
    whole_routes: bool,
}

impl Routes<'_> {
    fn change(&self, edits: &mut YamlEdits<'_>) -> Option<()> {
        let (text, new) = (self.text, &self.new.routes);
        let sources = route_sources(&self.old.routes, new);
        let is_in_order = self.old.routes.len() == new.len() && sources.iter().enumerate().all(|(at, source)| *source == Some(at));
        let head = self.head();
        let items = self.list.items();
        if items.len() != self.old.routes.len() {
            return None;
        }
        let is_block = matches!(self.list.kind, Kind::List { flow: false, .. }) && !items.is_empty();
        let blocks = if is_block { Blocks::find(text, self.floor(items), items) } else { None };
        match (blocks, &self.list.kind) {
            (Some(blocks), _) => {
                let mut lines = head
                    + &blocks.rebuilt(&sources, |position, source| match source {
                        Some(place) => self.route(&blocks, place, &items[place], &new[position]),
                        None => Some(fresh(&new[position], blocks.indent)),
                    })?;
                match self.key.map(|key| after_colon(text, key.end)) {
                    Some(colon) if new.is_empty() => edits.replace(colon..colon, " []"),
                    None if new.is_empty() => lines.push_str("[]\n"),
                    _ => {}
                }
                edits.replace(blocks.range(), lines);
            }
            (None, Kind::List { .. }) if is_in_order && head.is_empty() => {
                for ((item, old), new) in items.iter().zip(&self.old.routes).zip(new) {
                    change_route(edits, text, item, old, new)?;
                }
            }
            (None, _) if is_block => return None,
            (None, _) => {
                let lines = |indent| new.iter().map(|route| fresh(route, indent)).collect::<String>();
                let Some(key) = self.key else {
                    let lines = if new.is_empty() { "[]".to_owned() } else { head + &lines(0) };
                    edits.replace(self.list.start..self.list.end, lines.trim_end_matches('\n'));
                    return Some(());
                };
                let colon = after_colon(text, key.end);
                let is_beside = text.get(colon..self.list.start).is_some_and(|between| between.trim_matches(' ').is_empty());
                let present = match is_nothing(self.list) {
                    true => colon..colon,
                    false if is_beside => colon..self.list.end,
                    false => self.list.start..self.list.end,
                };
                let after = next_line(text, present.end);
                edits.replace(present, if new.is_empty() { " []" } else { "" });
                edits.replace(after..after, lines(2));
            }
        }
        Some(())
    }

    /// Returns what a bare list of routes needs above it to be part of a policy with values of its own.
    fn head(&self) -> String {
        let own = Policy { routes: Vec::new(), ..self.new.clone() };
        if self.key.is_some() || own == Policy::default() {
            return String::new();
        }
        write_policy(&own).strip_suffix("routes: []\n").map(|head| format!("{head}routes:\n")).unwrap_or_default()
    }

    /// Returns where comments may begin to be about the first route.
    fn floor(&self, items: &[Span]) -> usize {
        match (self.key, items.first()) {
            (Some(key), _) => next_line(self.text, key.end),
            // Of a bare list, what an empty line sets apart from the first route is about the file, and so is a comment alone.
            (None, Some(first)) => {
                let line = line_start(self.text, first.start);
                self.text[..line].rfind("\n\n").map_or(line, |apart| apart + 2)
            }
            (None, None) => 0,
        }
    }

    /// Returns the lines of a route that was there before, with what differs changed.
    fn route(&self, blocks: &Blocks<'_>, place: usize, item: &Span, new: &Route) -> Option<String> {
        let (text, old, lines) = (self.text, &self.old.routes[place], blocks.item(place));
        if old == new {
            return text.get(lines).map(str::to_owned);
        }
        let mut edits = YamlEdits::new(text);
        if !self.whole_routes && change_route(&mut edits, text, item, old, new).is_some() {
            return edits.apply(lines);
        }
        let below = text.get(next_line(text, item.end)..lines.end)?;
        Some(format!("{}{}{below}", blocks.above(place), fresh(new, blocks.indent)))
    }
}

/// Changes the values of a route that differ; `None` where that cannot be done.
fn change_route(edits: &mut YamlEdits<'_>, text: &str, item: &Span, old: &Route, new: &Route) -> Option<()> {
    let Kind::Map { flow, .. } = item.kind else { return None };
    if old.extra != new.extra {
        return None;
    }
    let at = next_line(text, item.end);
    let fields = [
        ("name", Some(&old.name), Some(&new.name)),
        ("description", Some(&old.description), Some(&new.description)),
        ("domain", old.domain.as_ref(), new.domain.as_ref()),
        ("action", old.action.as_ref(), new.action.as_ref()),
    ];
    for (key, before, after) in fields {
        if before != after {
            edits.set(item, key, after.map(|after| quoted(after)).as_deref(), at);
        }
    }
    if old.models == new.models {
        return Some(());
    }
    let models: Vec<String> = new.models.iter().map(|model| quoted(model)).collect();
    match item.entry("models") {
        Some((key, list)) if matches!(list.kind, Kind::List { flow: false, .. }) => {
            let items = list.items();
            let blocks = Blocks::find(text, next_line(text, key.end), items).filter(|_| items.len() == old.models.len())?;
            let sources = model_sources(&old.models, &new.models);
            let lines = blocks.rebuilt(&sources, |position, source| {
                let Some(place) = source else { return Some(model_line(blocks.indent, &models[position])) };
                let mut edits = YamlEdits::new(text);
                if old.models[place] != new.models[position] {
                    edits.replace_value(&items[place], &models[position]);
                }
                edits.apply(blocks.item(place))
            })?;
            if models.is_empty() {
                let colon = after_colon(text, key.end);
                edits.replace(colon..colon, " []");
            }
            edits.replace(blocks.range(), lines);
        }
        None if !flow => {
            let column = column(text, item);
            let lines: String = models.iter().map(|model| model_line(column + 2, model)).collect();
            edits.replace(at..at, format!("{:column$}models:\n{lines}", ""));
        }
        _ => edits.set(item, "models", Some(&format!("[{}]", models.join(", "))), at),
    }
    Some(())
}

fn model_line(indent: usize, model: &str) -> String {
    format!("{:indent$}- {model}\n", "")
}

/// Returns a route as Waypost writes it, at the depth of the others.
fn fresh(route: &Route, indent: usize) -> String {
    let mut lines = String::new();
    write_route(&mut lines, route);
    // The writer's own depth is two.
    lines.lines().map(|line| format!("{:indent$}{}\n", "", line.strip_prefix("  ").unwrap_or(line))).collect()
}

/// Finds for each new item the old one whose text it is made of, by one thing that stays the same after another.
struct Sources {
    /// For each new item the place of the old one.
    found: Vec<Option<usize>>,
    /// For each old item whether a new one is made of it.
    is_used: Vec<bool>,
}

impl Sources {
    fn new(old: usize, new: usize) -> Self {
        Self { found: vec![None; new], is_used: vec![false; old] }
    }

    /// Pairs those of one key that are in no pair yet, in their order; what has no key stays as it is.
    fn pair<K: Eq + Hash>(&mut self, old: impl IntoIterator<Item = Option<K>>, new: impl IntoIterator<Item = Option<K>>) {
        let mut free: HashMap<K, VecDeque<usize>> = HashMap::new();
        for ((place, key), is_used) in old.into_iter().enumerate().zip(&self.is_used) {
            if let Some(key) = key.filter(|_| !is_used) {
                free.entry(key).or_default().push_back(place);
            }
        }
        for (found, key) in self.found.iter_mut().zip(new) {
            if found.is_none()
                && let Some(place) = key.and_then(|key| free.get_mut(&key)?.pop_front())
            {
                *found = Some(place);
                self.is_used[place] = true;
            }
        }
    }

    /// Pairs those that stand behind the same item, or before all, in their order.
    fn pair_neighbours(&mut self) {
        fn behind(paired: impl Iterator<Item = Option<usize>>) -> Vec<Option<Option<usize>>> {
            let step = |last: &mut Option<usize>, place: Option<usize>| {
                *last = place.or(*last);
                Some(Some(*last))
            };
            paired.scan(None, step).collect()
        }
        let old = behind(self.is_used.iter().enumerate().map(|(place, is_used)| is_used.then_some(place)));
        let new = behind(self.found.iter().copied());
        self.pair(old, new);
    }

    /// Pairs those that stand in the same place of lists that are equally long.
    fn pair_places(&mut self) {
        let places = (0..self.found.len()).map(Some);
        if self.found.len() == self.is_used.len() {
            self.pair(places.clone(), places);
        }
    }
}

/// Returns for each new route the old one that it was: of the same name, else of the same description, else behind the same route, else in the
/// same place of lists that are equally long.
fn route_sources(old: &[Route], new: &[Route]) -> Vec<Option<usize>> {
    fn description(route: &Route) -> Option<&str> {
        // Routes that nobody has described yet have nothing in common.
        Some(route.description.as_str()).filter(|description| !description.trim().is_empty())
    }
    let mut sources = Sources::new(old.len(), new.len());
    sources.pair(old.iter().map(|route| Some(&route.name)), new.iter().map(|route| Some(&route.name)));
    sources.pair(old.iter().map(description), new.iter().map(description));
    sources.pair_neighbours();
    sources.pair_places();
    sources.found
}

/// Returns for each new model the old one of the same name, else the one in whose place it came.
fn model_sources(old: &[String], new: &[String]) -> Vec<Option<usize>> {
    let mut sources = Sources::new(old.len(), new.len());
    sources.pair(old.iter().map(Some), new.iter().map(Some));
    sources.pair_places();
    sources.found
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_quoted(&mut out, text);
    out
}

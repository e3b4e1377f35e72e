//! Writes a changed policy into the YAML it came from, so that a change in the form keeps the comments and the layout of everything else.

use std::collections::HashMap;

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
    let fields = [
        ("name", old.name.as_deref(), new.name.as_deref()),
        ("dialect", old.dialect.map(DialectId::as_str), new.dialect.map(DialectId::as_str)),
        ("fallback", old.fallback.as_deref(), new.fallback.as_deref()),
    ];
    let above = fields.iter().filter_map(|(key, ..)| root.entry(key)).filter(|(key, _)| key.start < routes_key.start);
    let last = above.map(|(key, value)| next_line(text, key.end.max(value.end))).max();
    let at = last.unwrap_or_else(|| line_start(text, root.start));
    for (key, before, after) in fields {
        if before != after {
            edits.set(root, key, after.map(quoted).as_deref(), at);
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
        let sources = sources(&names(self.old), &names(self.new));
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
            let sources = sources(&texts(&old.models), &texts(&new.models));
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

/// Returns for each new item the old one whose text it is made of: the same, of the same name, or the renamed one in the same place.
fn sources(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    let mut by_name: HashMap<&str, usize> = old.iter().enumerate().map(|(place, name)| (*name, place)).collect();
    let mut sources: Vec<Option<usize>> = new.iter().map(|name| by_name.remove(*name)).collect();
    if old.len() == new.len() {
        for (place, source) in sources.iter_mut().enumerate() {
            if source.is_none() && by_name.values().any(|unused| *unused == place) {
                *source = Some(place);
            }
        }
    }
    sources
}

fn names(policy: &Policy) -> Vec<&str> {
    policy.routes.iter().map(|route| route.name.as_str()).collect()
}

fn texts(models: &[String]) -> Vec<&str> {
    models.iter().map(String::as_str).collect()
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_quoted(&mut out, text);
    out
}

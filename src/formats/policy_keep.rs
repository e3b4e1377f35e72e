//! Writes a changed policy into the YAML it came from, so that a change in the form keeps the comments and the layout of everything else.

use std::collections::HashMap;

use super::gateway::spans::{Kind, Span, spans};
use super::policy::parse_policy;
use super::policy_writer::{push_quoted, write_policy, write_route};
use crate::policy::{Policy, Route};

/// Returns `text`, which says `old`, changed so that it says `new`: values that differ are replaced, new routes added, gone ones taken out
/// with the comments above them. `None` where the text has a shape that cannot be changed in parts.
fn rewrite_policy(text: &str, old: &Policy, new: &Policy) -> Option<String> {
    let root = spans(text)?;
    let Kind::Map { flow: false, .. } = root.kind else { return None };
    let (routes_key, list) = root.entry("routes")?;
    let Kind::List { items, flow: false } = &list.kind else { return None };
    if items.is_empty() || items.len() != old.routes.len() || new.routes.is_empty() {
        return None;
    }
    let blocks = Blocks::find(text, routes_key, items)?;
    let sources = sources(old, new);
    let mut out = String::with_capacity(text.len() + 256);
    out.push_str(&scalars(text.get(..blocks.start)?, &root, old, new)?);
    for (route, source) in new.routes.iter().zip(sources) {
        match source {
            Some(place) => out.push_str(&blocks.changed(text, place, &items[place], &old.routes[place], route)?),
            None => blocks.fresh(&mut out, route),
        }
    }
    out.push_str(text.get(blocks.end..)?);
    // What stands after the list, or in a shape not thought of above, may still be wrong: only a text that says the new policy will do.
    let (read, _) = parse_policy(&out, "policy.yaml").ok()?;
    (read == *new).then_some(out)
}

/// Returns for each new route the old one whose text it is made of: the same, of the same name, or the renamed one in the same place.
fn sources(old: &Policy, new: &Policy) -> Vec<Option<usize>> {
    let mut by_name: HashMap<&str, usize> = old.routes.iter().enumerate().map(|(place, route)| (route.name.as_str(), place)).collect();
    let mut sources: Vec<Option<usize>> = new.routes.iter().map(|route| by_name.remove(route.name.as_str())).collect();
    if old.routes.len() == new.routes.len() {
        for (place, source) in sources.iter_mut().enumerate() {
            if source.is_none() && by_name.values().any(|unused| *unused == place) {
                *source = Some(place);
            }
        }
    }
    sources
}

/// The lines of each route of a text.
struct Blocks {
    /// Byte where the first route's lines start, the comments above it included.
    start: usize,
    /// Byte after the last route's lines.
    end: usize,
    /// Byte where each route's lines start, comments included.
    starts: Vec<usize>,
    /// Spaces before the dashes.
    indent: usize,
}

impl Blocks {
    fn find(text: &str, routes_key: &Span, items: &[Span]) -> Option<Self> {
        let after_key = line_end(text, routes_key.end);
        let mut starts = Vec::with_capacity(items.len());
        let mut indent = None;
        let mut floor = after_key;
        for item in items {
            let line = line_start(text, item.start);
            let dash = text.get(line..item.start)?;
            // The dash stands on the item's own line, behind nothing but spaces, at the same depth for all.
            let depth = dash.len() - dash.trim_start_matches(' ').len();
            if line < floor || !dash.trim_start_matches(' ').starts_with('-') || indent.is_some_and(|indent| indent != depth) {
                return None;
            }
            indent = Some(depth);
            starts.push(comments_above(text, line, floor));
            floor = line_end(text, item.end);
        }
        Some(Self { start: *starts.first()?, end: floor, starts, indent: indent? })
    }

    /// Returns the lines of a route with what differs changed.
    fn changed(&self, text: &str, place: usize, item: &Span, old: &Route, new: &Route) -> Option<String> {
        let (start, end) = (self.starts[place], self.starts.get(place + 1).copied().unwrap_or(self.end));
        if old == new {
            return text.get(start..end).map(|block| if block.ends_with('\n') { block.to_owned() } else { format!("{block}\n") });
        }
        let fields = [
            ("name", Some(&old.name), Some(&new.name)),
            ("description", Some(&old.description), Some(&new.description)),
            ("domain", old.domain.as_ref(), new.domain.as_ref()),
            ("action", old.action.as_ref(), new.action.as_ref()),
        ];
        let mut edits = Vec::new();
        for (key, _, after) in fields.into_iter().filter(|(_, before, after)| before != after) {
            edits.push(item.entry(key).map(|(_, value)| (value, after)));
        }
        let in_place = old.models == new.models
            && old.extra == new.extra
            && edits.iter().all(|edit| matches!(edit, Some((value, Some(_))) if is_inline(text, value)));
        if !in_place {
            let mut out = text.get(start..line_start(text, item.start))?.to_owned();
            self.fresh(&mut out, new);
            return Some(out);
        }
        let mut edits: Vec<(&Span, &String)> = edits.into_iter().flatten().filter_map(|(value, after)| Some((value, after?))).collect();
        edits.sort_by_key(|(value, _)| value.start);
        let (mut out, mut at) = (String::new(), start);
        for (value, after) in edits {
            out.push_str(text.get(at..value.start)?);
            push_quoted(&mut out, after);
            at = value.end;
        }
        out.push_str(text.get(at..end)?);
        if !out.ends_with('\n') {
            out.push('\n');
        }
        Some(out)
    }

    /// Writes a route as Waypost writes it, at the depth of the others.
    fn fresh(&self, out: &mut String, route: &Route) {
        let mut lines = String::new();
        write_route(&mut lines, route);
        for line in lines.lines() {
            // The writer's own depth is two.
            out.extend(std::iter::repeat_n(' ', self.indent));
            out.push_str(line.strip_prefix("  ").unwrap_or(line));
            out.push('\n');
        }
    }
}

/// Returns the head of the text with the policy's own values changed, `None` where they stand elsewhere or cannot be changed in place.
fn scalars(head: &str, root: &Span, old: &Policy, new: &Policy) -> Option<String> {
    if old.extra != new.extra {
        return None;
    }
    let fields = [
        ("name", old.name.as_deref(), new.name.as_deref()),
        ("dialect", old.dialect.map(|dialect| dialect.as_str()), new.dialect.map(|dialect| dialect.as_str())),
        ("fallback", old.fallback.as_deref(), new.fallback.as_deref()),
    ];
    let mut out = head.to_owned();
    // From the end, so that the places before stay right.
    let mut changes: Vec<(usize, usize, String)> = Vec::new();
    for (key, before, after) in fields {
        let line = |value: &str| {
            let mut line = format!("{key}: ");
            if key == "dialect" {
                line.push_str(value)
            } else {
                push_quoted(&mut line, value)
            }
            line
        };
        match (root.entry(key), after) {
            _ if before == after => {}
            (Some((name, value)), Some(after)) if is_inline(head, value) => changes.push((name.start, value.end, line(after))),
            (Some((name, value)), None) if is_inline(head, value) => {
                changes.push((line_start(head, name.start), line_end(head, value.end), String::new()));
            }
            (None, Some(after)) => changes.push((root.start, root.start, line(after) + "\n")),
            _ => return None,
        }
    }
    // A new line goes before what stands at the same place.
    changes.sort_by_key(|(start, end, _)| (*start, *end));
    for (start, end, text) in changes.into_iter().rev() {
        out.get(start..end)?;
        out.replace_range(start..end, &text);
    }
    Some(out)
}

/// Returns whether a value is one scalar on one line, which can be replaced by another.
fn is_inline(text: &str, value: &Span) -> bool {
    let is_scalar = matches!(value.kind, Kind::Scalar { .. });
    is_scalar
        && value.end > value.start
        && text.get(value.start..value.end).is_some_and(|value| !value.contains('\n') && !value.starts_with(['|', '>', '&', '!']))
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// Returns the byte after the line break of the line that `at` is in.
fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |newline| at + newline + 1)
}

/// Returns where the comment lines directly above a line start, no higher than `floor`.
fn comments_above(text: &str, line: usize, floor: usize) -> usize {
    let mut start = line;
    while start > floor {
        let above = line_start(text, start - 1);
        let content = text.get(above..start).unwrap_or_default().trim_start();
        if above < floor || !(content.starts_with('#') || content.is_empty()) {
            break;
        }
        start = above;
    }
    start
}

/// Returns the policy as YAML: the text it came from with what differs changed, or written anew below the comments that the text starts with.
pub fn policy_text(text: &str, old: &Policy, new: &Policy) -> String {
    if old == new {
        return text.to_owned();
    }
    rewrite_policy(text, old, new).unwrap_or_else(|| {
        let lines = text.split_inclusive('\n').take_while(|line| line.starts_with('#') || line.trim().is_empty());
        let head = text.get(..lines.map(str::len).sum::<usize>()).unwrap_or_default();
        format!("{}{}", if head.contains('#') { head } else { "" }, write_policy(new))
    })
}

//! The command palette: every action of the table, open documents, routes and recent files, found by a few letters.

use egui::{Key, Modifiers, ScrollArea, TextEdit, Ui};

use super::widgets::{self, Row};
use crate::app::{Action, Command, SAMPLES, State};
use crate::policy::Route;

const ROW_HEIGHT: f32 = 32.0;

/// Routes that are named at most, so that actions stay in view.
const ROUTES: usize = 5;

/// What is typed and which row is chosen; belongs to the drawing alone.
#[derive(Clone, Default)]
struct Typed {
    query: String,
    row: usize,
    /// The frame it was drawn in last.
    frame: u64,
}

struct Entry {
    title: String,
    note: String,
    commands: Vec<Command>,
    obstacle: Option<&'static str>,
}

/// Draws the palette.
pub fn palette_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.set_width(560.0);
    let id = egui::Id::unique("palette query");
    let frame = ui.ctx().cumulative_frame_nr();
    // After a frame without it the palette was closed: what was typed then is over.
    let typed = ui.data(|data| data.get_temp::<Typed>(id)).filter(|typed| typed.frame + 1 >= frame).unwrap_or_default();
    let mut typed = Typed { frame, ..typed };
    let (up, down, enter) = ui.input_mut(|input| {
        let mut pressed = |key| input.consume_key(Modifiers::NONE, key);
        (pressed(Key::ArrowUp), pressed(Key::ArrowDown), pressed(Key::Enter))
    });
    let field_id = id.with("field");
    // Before the field is drawn, so that letters that come with the first frame are not lost.
    ui.memory_mut(|memory| memory.request_focus(field_id));
    let field = TextEdit::singleline(&mut typed.query).id(field_id).hint_text("What do you want to do?").desired_width(f32::INFINITY);
    let response = ui.add(field).accessible_name("Find action");
    if response.changed() {
        typed.row = 0;
    }
    let found = found(ui, state, &typed.query);
    typed.row = typed.row.saturating_add(usize::from(down)).saturating_sub(usize::from(up)).min(found.len().saturating_sub(1));
    let mut run = enter.then_some(typed.row);
    if found.is_empty() {
        widgets::caption_ui(ui, "No matching action");
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    let height = ROW_HEIGHT * found.len().min(11) as f32;
    ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
        for (index, entry) in found.iter().enumerate() {
            let selected = index == typed.row;
            let name = format!("Do: {}", entry.title);
            let note = entry.obstacle.unwrap_or(&entry.note);
            let row = Row { name: &name, title: &entry.title, detail: "", note, selected, height: ROW_HEIGHT, indent: 0.0 };
            let response = ui.add_enabled_ui(entry.obstacle.is_none(), |ui| widgets::row_ui(ui, row)).inner;
            if selected && (up || down) {
                response.scroll_to_me(None);
            }
            if response.clicked() {
                run = Some(index);
            }
        }
    });
    if let Some(entry) = run.and_then(|row| found.get(row)).filter(|entry| entry.obstacle.is_none()) {
        commands.push(Command::CloseDialog);
        commands.extend(entry.commands.iter().cloned());
        typed = Typed::default();
    }
    ui.data_mut(|data| data.insert_temp(id, typed));
}

fn found(ui: &Ui, state: &State, query: &str) -> Vec<Entry> {
    let actions = Action::ALL.into_iter().filter(|action| *action != Action::Palette).map(|action| Entry {
        title: action.text().to_owned(),
        note: action.shortcut().map(|keys| ui.ctx().format_shortcut(&keys)).unwrap_or_default(),
        commands: vec![Command::Perform(action)],
        obstacle: action.obstacle(state),
    });
    let entry = |title: String, note: &str, command| Entry { title, note: note.to_owned(), commands: vec![command], obstacle: None };
    let policies = state.policies.iter().map(|document| entry(document.title.clone(), "open policy", Command::SelectPolicy(document.id)));
    let conversations = state
        .conversations
        .iter()
        .map(|document| entry(document.title.clone(), "conversation on the shelf", Command::SelectConversation(document.id)));
    let recent = state.settings.recent.iter().map(|path| entry(path.display().to_string(), "recent file", Command::Open(path.clone())));
    let samples = SAMPLES
        .iter()
        .enumerate()
        .map(|(position, sample)| entry(sample.title.to_owned(), "sample policy", Command::NewFromSample(position)));
    // By their names alone: the letters of "Go to route" would find any.
    let fit = |route: &Route| rank(&route.name, query).filter(|rank| !query.trim().is_empty() && *rank < SCATTERED);
    let routes = state.routes().routes.iter().enumerate();
    let mut named: Vec<(u8, usize, &Route)> = routes.filter_map(|(at, route)| Some((fit(route)?, at, route))).collect();
    // Whoever types a whole name means that route, however many begin alike.
    named.sort_by_key(|(rank, _, route)| (*rank, route.name.len()));
    named.truncate(ROUTES);
    let routes = named.into_iter().map(|(_, position, route)| Entry {
        title: format!("Go to route {}", route.name),
        note: "route of this policy".to_owned(),
        commands: vec![Command::Perform(Action::ShowPolicy), Command::SelectRoute(position)],
        obstacle: None,
    });
    let mut found: Vec<(u8, Entry)> = actions
        .chain(routes)
        .chain(policies)
        .chain(conversations)
        .chain(recent)
        .chain(samples)
        .filter_map(|entry| rank(&entry.title, query).map(|rank| (rank, entry)))
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, entry)| entry).collect()
}

/// The rank of letters that are in the title in this order, but not beside each other.
const SCATTERED: u8 = 3;

/// Returns how well a title fits what was typed, 0 best; `None` where the letters do not appear in this order.
fn rank(title: &str, query: &str) -> Option<u8> {
    let (title, query) = (title.to_lowercase(), query.trim().to_lowercase());
    if title.starts_with(&query) {
        return Some(0);
    }
    if title.split_whitespace().any(|word| word.starts_with(&query)) {
        return Some(1);
    }
    if title.contains(&query) {
        return Some(2);
    }
    let mut letters = title.chars();
    query.chars().filter(|letter| !letter.is_whitespace()).all(|letter| letters.any(|other| other == letter)).then_some(SCATTERED)
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn letters_in_order_are_found_and_word_starts_come_first() {
        assert_eq!(rank("Add route", "add"), Some(0));
        assert_eq!(rank("Add route", "rou"), Some(1));
        assert_eq!(rank("Add route", "ar"), Some(3));
        assert_eq!(rank("Add route", "xz"), None);
        assert_eq!(rank("Add route", ""), Some(0));
    }
}

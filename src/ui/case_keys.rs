//! The keys that go through cases and label them, in a run and in a set that has no labels yet.

use egui::{Id, Key, Modifiers, Popup, Ui};

use crate::app::RunView;
use crate::eval::TurnResult;
use crate::policy::NO_ROUTE_LABEL;

/// Digits in the order of the labels that they set; the first is for no route.
const DIGITS: [Key; 10] = [Key::Num0, Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

/// Keys that move the selection, and by how many rows.
const STEPS: [(Key, i64); 6] =
    [(Key::ArrowDown, 1), (Key::ArrowUp, -1), (Key::PageDown, 20), (Key::PageUp, -20), (Key::Home, i64::MIN / 2), (Key::End, i64::MAX / 2)];

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed<'a> {
    /// To select the case so many rows further down.
    Step(i64),
    /// To give the selected case this label.
    Label(&'a str),
    /// To select none.
    Close,
}

/// Returns the labels that digits set, no route first; there may be more routes than digits.
pub fn with_digits<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let routes = labels.filter(|label| *label != NO_ROUTE_LABEL);
    std::iter::once(NO_ROUTE_LABEL).chain(routes).take(DIGITS.len()).collect()
}

/// Returns the labels that digits set for a case of a run.
pub fn keyed_labels<'a>(view: &'a RunView, turn: &'a TurnResult) -> Vec<&'a str> {
    with_digits(turn.routes.as_deref().unwrap_or(&view.run.info.labels).iter().map(String::as_str))
}

/// Returns what the keys pressed in this frame ask for: digits unless somebody types, the others while nothing else has the keyboard. None is
/// for a case while a list is open over it. `labels` are those of [`with_digits`], none where no case is selected.
pub fn pressed<'a>(ui: &Ui, labels: &[&'a str]) -> Vec<Pressed<'a>> {
    let is_list_open = Popup::is_any_open(ui.ctx());
    let is_busy = is_list_open || ui.memory(|memory| memory.focused().is_some());
    // What the Escape key is for has lost the focus before anything is drawn.
    let noted = Id::unique("something beside the cases had the keyboard");
    let (frame, (at, busy, before)) =
        (ui.ctx().cumulative_frame_nr(), ui.data(|data| data.get_temp::<(u64, bool, bool)>(noted)).unwrap_or_default());
    // A frame may be drawn twice, with the same keys.
    let was_busy = if at == frame { before } else { busy };
    ui.data_mut(|data| data.insert_temp(noted, (frame, is_busy, was_busy)));
    let is_free = !is_busy && !was_busy;
    if is_list_open {
        return Vec::new();
    }
    let steps = STEPS.into_iter().map(|(key, step)| (key, Pressed::Step(step)));
    let others = steps.chain([(Key::Escape, Pressed::Close)]).filter(|_| is_free);
    let types = ui.ctx().text_edit_focused();
    let digits = DIGITS.into_iter().zip(labels.iter().copied()).map(|(digit, label)| (digit, Pressed::Label(label))).filter(|_| !types);
    let is_pressed = |key: Key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    others.chain(digits).filter(|(key, _)| is_pressed(*key)).map(|(_, pressed)| pressed).collect()
}

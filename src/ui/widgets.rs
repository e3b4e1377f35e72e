//! Small parts that several panels draw.

use std::borrow::Cow;

use egui::text::{CCursorRange, LayoutJob, TextFormat, TextWrapping};
use egui::widgets::text_edit::TextEditState;
use egui::{
    Align, Button, Color32, ComboBox, CornerRadius, FontId, Galley, Id, Key, Label, Layout, Margin, Rect, Response, RichText, Role, Sense,
    TextEdit, TextWrapMode, Ui, UiBuilder, WidgetInfo, pos2,
};

use super::theme;
use super::tokens::{self, space, text};
use crate::app::{Command, State, Target};

/// What the columns beside it leave to the middle of a tab.
const MIDDLE_WIDTH: f32 = 340.0;

/// Draws the title of a panel or of a part of it.
pub fn heading_ui(ui: &mut Ui, title: &str) {
    ui.add(Label::new(RichText::new(title).heading()));
}

/// Draws the title of a part inside a panel.
pub fn subheading_ui(ui: &mut Ui, title: &str) {
    ui.label(RichText::new(title).font(tokens::strong_font(text::SMALL)).color(theme::palette(ui).text_weak));
}

/// Draws a hint or caption.
pub fn caption_ui(ui: &mut Ui, caption: impl Into<String>) -> Response {
    ui.label(RichText::new(caption).small().color(theme::palette(ui).text_weak))
}

/// Draws a hint that ends in an ellipsis where it does not fit, with all of it under the pointer.
pub fn short_caption_ui(ui: &mut Ui, caption: impl Into<String>) -> Response {
    ui.add(Label::new(RichText::new(caption).small().color(theme::palette(ui).text_weak)).truncate())
}

/// Draws a row with a title at the left and buttons at the right end.
pub fn header_ui(ui: &mut Ui, left: impl FnOnce(&mut Ui), right: impl FnOnce(&mut Ui)) {
    ends_ui(ui, tokens::CONTROL_HEIGHT, left, right);
}

/// Draws the answers of a dialog at its right end, as [`ends_ui`] does.
pub fn footer_ui(ui: &mut Ui, answers: impl FnOnce(&mut Ui)) {
    ends_ui(ui, tokens::CONTROL_HEIGHT, |_| {}, answers);
}

/// Draws a row with something at each end. Both are drawn from left to right, since the Tab key and screen readers go where the drawing goes;
/// the left one gets the place that the right one leaves.
pub fn ends_ui(ui: &mut Ui, height: f32, left: impl FnOnce(&mut Ui), right: impl FnOnce(&mut Ui)) {
    let (sizing, gap, layout) = (ui.is_sizing_pass(), ui.spacing().item_spacing.x, Layout::left_to_right(Align::Center));
    let mut row = ui.available_rect_before_wrap();
    row.max.y = row.min.y + height;
    // How wide the right end is shows when it is drawn: it is as wide as in the last pass, or else this pass is not shown.
    let id = ui.auto_id_with("width of the right end");
    let width = ui.data(|data| data.get_temp::<f32>(id)).unwrap_or_default();
    let room = if sizing { row } else { row.with_max_x((row.right() - width - gap).max(row.left())) };
    let mut left_ui = ui.new_child(UiBuilder::new().max_rect(room).layout(layout));
    left(&mut left_ui);
    let used = left_ui.min_rect();
    let start = if sizing { used.right() + gap } else { row.right() - width };
    let room = Rect::from_min_size(pos2(start, row.top()), row.size());
    let mut right_ui = ui.new_child(UiBuilder::new().max_rect(room).layout(layout));
    right(&mut right_ui);
    let drawn = right_ui.min_rect();
    if (drawn.width() - width).abs() > 0.5 {
        ui.data_mut(|data| data.insert_temp(id, drawn.width()));
        // After a pass that only measures comes another one anyway.
        if !sizing {
            ui.request_discard("the right end of a row has another width");
            if !ui.will_discard() {
                ui.request_repaint();
            }
        }
    }
    // The place that it has in the next pass, so that in this one nothing grows to hold it.
    let end = if sizing { drawn.right() } else { row.right() };
    ui.advance_cursor_after_rect(used | drawn.with_min_x(end - drawn.width()).with_max_x(end));
}

/// Returns how wide a column at the right may become, at least `min`: what stands in the middle of the tab keeps its place. It is asked when
/// everything but these two is drawn.
pub fn column_width(ui: &Ui, min: f32) -> f32 {
    (ui.available_width() - MIDDLE_WIDTH).max(min)
}

/// Draws an item of a list of which only those in view are drawn. Its widgets are called the same wherever it stands among them, so that they
/// keep the keyboard and their place while the list is scrolled.
pub fn item_ui<R>(ui: &mut Ui, id: impl egui::AsIdSalt, draw: impl FnOnce(&mut Ui) -> R) -> R {
    let id = ui.scope_id().with(id);
    ui.scope_builder(UiBuilder::new().scope_id(id), draw).inner
}

/// Draws a button that keeps out of the way until the pointer or the focus is on it. `name` says what it does to what.
pub fn quiet_button_ui(ui: &mut Ui, label: &str, name: impl Into<String>) -> Response {
    let button = Button::new(RichText::new(label).small().color(theme::palette(ui).text_weak)).frame_when_inactive(false);
    ui.add(button).accessible_name(name)
}

/// How a text field looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Field<'a> {
    /// What a screen reader calls the field; unique in the window.
    pub name: &'a str,
    pub hint: &'static str,
    /// 0 for a field of one line.
    pub rows: usize,
    pub mono: bool,
}

/// Draws a text field as wide as its place. Returns the changed text, or `None` while nobody types, so that an unchanged text is never copied.
/// `reveal` brings the field into view and selects what is in it, which is what typing replaces.
pub fn field_ui(ui: &mut Ui, field: Field<'_>, value: &str, reveal: bool) -> Option<String> {
    let mut buffer = Cow::Borrowed(value);
    let edit = if field.rows == 0 { TextEdit::singleline(&mut buffer) } else { TextEdit::multiline(&mut buffer).desired_rows(field.rows) };
    let font = if field.mono { egui::TextStyle::Monospace } else { egui::TextStyle::Body };
    let edit = edit
        .id_salt(field.name)
        .font(font)
        .hint_text(field.hint)
        .margin(Margin::symmetric(space::S as i8, 6))
        .min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT + 2.0))
        .desired_width(f32::INFINITY);
    let edit = if field.rows == 0 { edit.align(egui::Align2::LEFT_CENTER) } else { edit };
    let response = ui.add(edit).accessible_name(field.name);
    if reveal {
        response.scroll_to_me(None);
        response.request_focus();
        let mut state = TextEditState::load(ui.ctx(), response.id).unwrap_or_default();
        state.cursor.set_char_range(Some(CCursorRange::select_all_str(&buffer)));
        state.store(ui.ctx(), response.id);
    }
    match buffer {
        Cow::Owned(text) if text != value => Some(text),
        _ => None,
    }
}

/// Notes that a field belongs to no document: undo in it is about what was typed there, and goes to nothing else.
pub fn keep_undo(ui: &Ui, field: &Response) {
    if ui.memory(|memory| memory.has_focus(field.id)) {
        ui.data_mut(|data| data.insert_temp(keeper(), field.id));
    }
}

/// Returns whether the field that has the focus is one of [`keep_undo`].
pub fn is_undo_kept(ui: &Ui) -> bool {
    let focused = ui.memory(|memory| memory.focused());
    focused.is_some() && ui.data(|data| data.get_temp::<Id>(keeper())) == focused
}

/// Where the last field of [`keep_undo`] that had the focus is noted.
fn keeper() -> Id {
    Id::unique("field that keeps undo")
}

/// Returns whether the present wish to bring something into view is for `target`; yes only once, since the user may go elsewhere afterwards.
pub fn is_revealed(ui: &Ui, state: &State, target: Target) -> bool {
    let Some(reveal) = state.reveal.filter(|reveal| reveal.target == target) else { return false };
    let followed = Id::unique("followed reveal");
    let new = ui.data(|data| data.get_temp::<u64>(followed)) != Some(reveal.serial);
    if new {
        ui.data_mut(|data| data.insert_temp(followed, reveal.serial));
    }
    new
}

/// Draws the open policies to choose from, as wide as its place but no wider than `width`. `name` says what the chosen one is for.
pub fn policy_choice_ui(ui: &mut Ui, state: &State, name: &str, width: f32, commands: &mut Vec<Command>) {
    let caption = caption_ui(ui, "Policy");
    let width = width.min(ui.available_width());
    let combo = ComboBox::from_id_salt(name).selected_text(&state.policy().title).width(width).truncate();
    let response = within_ui(ui, width, |ui| {
        combo.show_ui(ui, |ui| {
            for (index, document) in state.policies.iter().enumerate() {
                if ui.selectable_label(index == state.policy_index, &document.title).clicked() {
                    commands.push(Command::SelectPolicy(document.id));
                }
            }
        })
    });
    response.response.labelled_by(caption.id).accessible_name(name);
}

/// Draws something that gets no more than this width, since a list to choose from takes all of its place when it shortens its text.
pub fn within_ui<R>(ui: &mut Ui, width: f32, draw: impl FnOnce(&mut Ui) -> R) -> R {
    ui.scope(|ui| {
        ui.set_max_width(width);
        draw(ui)
    })
    .inner
}

/// Draws a word on a coloured pill.
pub fn chip_ui(ui: &mut Ui, word: &str, colour: Color32, ground: Color32) -> Response {
    let frame = egui::Frame::new().fill(ground).corner_radius(CornerRadius::same(99)).inner_margin(Margin::symmetric(10, 3));
    frame.show(ui, |ui| ui.label(RichText::new(word).font(tokens::strong_font(text::SMALL)).color(colour))).inner
}

/// Draws a thin bar of progress; `None` is a job whose end is not known. The words stand beside it.
pub fn progress_ui(ui: &mut Ui, fraction: Option<f32>, width: f32, name: &str) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(width, 6.0), Sense::hover());
    ui.painter().rect_filled(rect, 3.0, palette.bar_track);
    if let Some(fraction) = fraction {
        let done = Rect::from_min_size(rect.min, egui::vec2(rect.width() * fraction, rect.height()));
        ui.painter().rect_filled(done, 3.0, palette.accent);
    }
    response.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::ProgressIndicator, true, name);
        info.value = fraction.map(f64::from);
        info
    });
}

/// Lays out one line that ends in an ellipsis where it does not fit.
pub fn line(ui: &Ui, text: &str, font: FontId, colour: Color32, width: f32) -> std::sync::Arc<Galley> {
    let mut job = LayoutJob::single_section(text.to_owned(), TextFormat::simple(font, colour));
    job.wrap = TextWrapping::truncate_at_width(width.max(0.0));
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

/// Draws a part that has nothing to show yet: what is missing, and what to do about it.
pub fn empty_ui(ui: &mut Ui, title: &str, advice: &str) {
    ui.add_space(space::XL);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new(title).font(tokens::strong_font(text::HEADING)));
        ui.label(RichText::new(advice).color(theme::palette(ui).text_weak));
    });
}

/// Draws an ordinary button that is no action of the table.
pub fn button_ui(ui: &mut Ui, label: &str) -> Response {
    ui.add(Button::new(label).min_size(egui::vec2(0.0, tokens::CONTROL_HEIGHT)))
}

/// Draws the one button of a dialog or panel that a user should press next, which is no action of the table.
pub fn primary_ui(ui: &mut Ui, label: &str) -> Response {
    ui.scope(|ui| {
        make_primary(ui);
        button_ui(ui, label)
    })
    .inner
}

/// Returns whether Enter is pressed while nothing has the keyboard, which in a dialog does what its primary button does.
pub fn is_entered(ui: &Ui) -> bool {
    ui.input(|input| input.key_pressed(Key::Enter)) && ui.memory(|memory| memory.focused().is_none())
}

/// Colours the buttons that are drawn next as the ones to press.
pub fn make_primary(ui: &mut Ui) {
    let palette = theme::palette(ui);
    let widgets = &mut ui.visuals_mut().widgets;
    for (widget, fill) in
        [(&mut widgets.inactive, palette.accent), (&mut widgets.hovered, palette.accent_hover), (&mut widgets.active, palette.accent_hover)]
    {
        widget.weak_bg_fill = fill;
        widget.bg_stroke.color = fill;
        widget.fg_stroke.color = palette.on_accent;
    }
}

/// Shows which painted control has the keyboard.
pub fn focus_ring(ui: &Ui, response: &Response) {
    if response.has_focus() {
        let stroke = (1.5, theme::palette(ui).accent);
        ui.painter().rect_stroke(response.rect, f32::from(tokens::RADIUS), stroke, egui::StrokeKind::Inside);
    }
}

/// A row of a list, one of which is selected.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What a screen reader says.
    pub name: &'a str,
    pub title: &'a str,
    /// Second line, smaller; empty for a row of one line.
    pub detail: &'a str,
    /// At the right end of the first line.
    pub note: &'a str,
    pub selected: bool,
    pub height: f32,
    pub indent: f32,
}

/// Draws a row and returns its response, which senses clicks and drags.
pub fn row_ui(ui: &mut Ui, row: Row<'_>) -> Response {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), row.height), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, row.selected, row.name));
    if response.gained_focus() {
        // With the rows beside it, since the Tab key goes on to what is drawn.
        ui.scroll_to_rect(rect.expand2(egui::vec2(0.0, row.height)), None);
    }
    if !ui.is_rect_visible(rect) {
        return response;
    }
    let ground = match (row.selected, response.hovered()) {
        (true, _) => palette.accent_soft,
        (false, true) => palette.raised,
        (false, false) => Color32::TRANSPARENT,
    };
    ui.painter().rect_filled(rect, f32::from(tokens::RADIUS), ground);
    focus_ring(ui, &response);
    let inner = rect.shrink2(egui::vec2(space::M, 0.0)).with_min_x(rect.left() + space::M + row.indent);
    let note = line(ui, row.note, FontId::proportional(text::SMALL), palette.text_weak, inner.width() * 0.45);
    let font = if row.selected { tokens::strong_font(text::BODY) } else { FontId::proportional(text::BODY) };
    let title = line(ui, row.title, font, palette.text, inner.width() - note.size().x - space::S);
    let detail =
        (!row.detail.is_empty()).then(|| line(ui, row.detail, FontId::proportional(text::SMALL), palette.text_weak, inner.width()));
    let height = title.size().y + detail.as_ref().map_or(0.0, |detail| detail.size().y + 2.0);
    let top = rect.center().y - height / 2.0;
    let painter = ui.painter();
    let note_at = pos2(inner.right() - note.size().x, top + (title.size().y - note.size().y) / 2.0);
    painter.galley(note_at, note, palette.text_weak);
    let below = top + title.size().y + 2.0;
    painter.galley(pos2(inner.left(), top), title, palette.text);
    if let Some(detail) = detail {
        painter.galley(pos2(inner.left(), below), detail, palette.text_weak);
    }
    response
}

/// Draws a small switch between a few views, one of which is on. Returns the one that was clicked.
pub fn switch_ui<T: Copy + PartialEq>(ui: &mut Ui, present: T, choices: &[(T, &str, &str)]) -> Option<T> {
    let mut clicked = None;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(2.0, 2.0);
        ui.spacing_mut().button_padding = egui::vec2(space::S, 2.0);
        for (choice, label, explanation) in choices {
            // A word that does not fit goes to the next row, and not letter by letter.
            let button = Button::selectable(*choice == present, RichText::new(*label).small()).wrap_mode(TextWrapMode::Extend);
            if ui.add(button).on_hover_text(*explanation).clicked() {
                clicked = Some(*choice);
            }
        }
    });
    clicked
}

/// Writes a size as people do: at most three digits, and a unit.
pub fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut size = bytes as f64 / 1e3;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while size >= 999.5 {
        let Some(larger) = units.next() else { break };
        size /= 1e3;
        unit = Some(larger);
    }
    let digits = usize::from(size < 9.95 && size > 0.0);
    format!("{size:.digits$} {}", unit.copied().unwrap_or_default())
}

//! Lists that scroll and of which only what is in view is laid out: items that have heights of their own, and rows of one height.

use egui::{Id, Rect, ScrollArea, Ui};

use super::widgets;

/// Heights of the items when they were last drawn.
#[derive(Clone, Default)]
struct Heights(Vec<f32>);

/// Items this near to the view are drawn too, so that scrolling finds them laid out.
const MARGIN: f32 = 200.0;

/// Draws `count` items, which bring the space between them along. Those out of view are as high as they were when they were last drawn, or as
/// high as `guess` says, so that the scroll bar is nearly right from the start. The item `reveal` is drawn wherever it is.
pub fn items_ui(
    ui: &mut Ui,
    area: ScrollArea,
    count: usize,
    reveal: Option<usize>,
    guess: impl Fn(usize) -> f32,
    mut draw: impl FnMut(&mut Ui, usize),
) {
    let id = ui.scope_id().with(("heights", ui.available_width() as i32));
    let mut heights = ui.data_mut(|data| std::mem::take(data.get_temp_mut_or_default::<Heights>(id)));
    heights.0.truncate(count);
    let known = heights.0.len();
    heights.0.extend((known..count).map(guess));
    area.show_viewport(ui, |ui, viewport| {
        let (mut top, mut above, mut below) = (0.0, 0.0, 0.0);
        ui.spacing_mut().item_spacing.y = 0.0;
        for (position, height) in heights.0.iter_mut().enumerate() {
            let is_visible = top + *height >= viewport.top() - MARGIN && top <= viewport.bottom() + MARGIN;
            top += *height;
            if is_visible || reveal == Some(position) {
                if above > 0.0 {
                    ui.add_space(std::mem::take(&mut above));
                }
                let start = ui.cursor().top();
                widgets::item_ui(ui, position, |ui| draw(ui, position));
                *height = ui.cursor().top() - start;
            } else if top < viewport.top() {
                above += *height;
            } else {
                below += *height;
            }
        }
        ui.add_space(above + below);
    });
    ui.data_mut(|data| data.insert_temp(id, heights));
}

/// Returns whether `selected` is another one than in the last frame of the list called so, whose names are unique in the window: it is brought
/// into view once, and the user may scroll on.
pub fn is_newly_selected<T: Clone + PartialEq + Send + Sync + 'static>(ui: &Ui, list: &'static str, selected: &T) -> bool {
    let followed = Id::unique(list);
    let is_new = ui.data(|data| data.get_temp::<T>(followed)).as_ref() != Some(selected);
    if is_new {
        ui.data_mut(|data| data.insert_temp(followed, selected.clone()));
    }
    is_new
}

/// Brings a row of [`ScrollArea::show_rows`] into view that need not be drawn itself; `first` is the first one that is.
pub fn scroll_to_row(ui: &Ui, row: usize, first: usize, height: f32) {
    let pitch = height + ui.spacing().item_spacing.y;
    let top = ui.max_rect().top() + (row as f32 - first as f32) * pitch;
    ui.scroll_to_rect(Rect::from_x_y_ranges(ui.max_rect().x_range(), top..=top + height), None);
}

//! Lists that scroll and whose items have heights of their own: only those in view are laid out.

use egui::{ScrollArea, Ui};

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

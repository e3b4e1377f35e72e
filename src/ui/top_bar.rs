//! The bar at the top: tabs at the left, menus at the right.

use egui::{RichText, Role, Sense, Ui, WidgetInfo, vec2};

use super::tokens::{self, space, text};
use super::{actions, theme, widgets};
use crate::app::{Action, Command, Menu, State};

const TABS: [Action; 5] = [Action::ShowPolicy, Action::ShowPlayground, Action::ShowBatch, Action::ShowCompare, Action::ShowExport];
const HEIGHT: f32 = 36.0;
/// In a narrower bar the program's name gives its place to the tabs.
const NAME_FROM: f32 = 930.0;
/// In a narrower bar the menus are in one.
const MENUS_FROM: f32 = 845.0;
/// In a narrower bar the button of the palette is left out, which is in a menu, too.
const PALETTE_FROM: f32 = 600.0;

/// Draws the bar.
pub fn top_bar_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let mut shown = Vec::new();
    let width = ui.available_width();
    let padding = if width < MENUS_FROM { space::S } else { space::M };
    widgets::ends_ui(
        ui,
        HEIGHT,
        |ui| {
            if width >= NAME_FROM {
                let palette = theme::palette(ui);
                ui.label(RichText::new("Waypost").font(tokens::strong_font(text::HEADING)).color(palette.accent));
                ui.add_space(space::M);
            }
            ui.spacing_mut().item_spacing.x = space::XS;
            for action in TABS {
                tab_ui(ui, state, action, padding, &mut shown);
            }
        },
        |ui| {
            ui.scope(|ui| {
                ui.spacing_mut().item_spacing.x = 0.0;
                ui.visuals_mut().widgets.inactive.bg_stroke = egui::Stroke::NONE;
                if width < MENUS_FROM {
                    ui.menu_button("Menu", |ui| menus_ui(ui, state, commands));
                } else {
                    menus_ui(ui, state, commands);
                }
            });
            if width >= PALETTE_FROM {
                ui.add_space(space::S);
                actions::action_button_ui(ui, state, Action::Palette, commands);
            }
        },
    );
    commands.append(&mut shown);
}

/// Draws the menus beside each other, or below each other in a menu.
fn menus_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    for menu in Menu::ALL {
        ui.menu_button(menu.text(), |ui| actions::menu_ui(ui, state, menu, commands));
    }
}

fn tab_ui(ui: &mut Ui, state: &State, action: Action, padding: f32, commands: &mut Vec<Command>) {
    let palette = theme::palette(ui);
    let on = action.is_on(state);
    let colour = if on { palette.text } else { palette.text_weak };
    let font = if on { tokens::strong_font(text::BODY) } else { egui::FontId::proportional(text::BODY) };
    let label = widgets::line(ui, action.text(), font, colour, f32::INFINITY);
    let (rect, response) = ui.allocate_exact_size(vec2(label.size().x + 2.0 * padding, HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Tab, true, on, action.text()));
    if response.hovered() && !on {
        ui.painter().rect_filled(rect.shrink2(vec2(0.0, 4.0)), f32::from(tokens::RADIUS), palette.raised);
    }
    ui.painter().galley(rect.center() - label.size() / 2.0, label, colour);
    let line = egui::Rect::from_min_max(egui::pos2(rect.left() + padding, rect.bottom() - 2.5), rect.right_bottom() - vec2(padding, 0.0));
    if on {
        ui.painter().rect_filled(line, 1.0, palette.accent);
    }
    widgets::focus_ring(ui, &response);
    let keys = action.shortcut().map(|keys| format!(" ({})", ui.ctx().format_shortcut(&keys))).unwrap_or_default();
    if response.on_hover_text(format!("{}{keys}", action.tooltip())).clicked() {
        commands.push(Command::Perform(action));
    }
}

//! The routes of the policy, under their domains.

use egui::{DragAndDrop, FontId, Role, ScrollArea, Sense, Ui, WidgetInfo};

use super::tokens::{self, space, text};
use super::widgets::{self, Row};
use super::{actions, lint_view, tall_list, theme};
use crate::app::{Action, Command, OutlineRow, State};
use crate::policy::{PolicyEdit, Route};

const ROW_HEIGHT: f32 = 46.0;

/// The route that is being dragged, as a position in the policy.
struct Dragged(usize);

/// Draws the list.
pub fn route_list_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let routes = &state.routes().routes;
    widgets::header_ui(
        ui,
        |ui| widgets::heading_ui(ui, "Routes"),
        |ui| actions::short_button_ui(ui, state, Action::AddRoute, "Add", commands),
    );
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        for (action, label) in [
            (Action::DuplicateRoute, "Duplicate"),
            (Action::RemoveRoute, "Remove"),
            (Action::MoveRouteUp, "Up"),
            (Action::MoveRouteDown, "Down"),
        ] {
            ui.spacing_mut().button_padding.x = space::XS;
            let enabled = action.obstacle(state).is_none();
            let button = ui.add_enabled_ui(enabled, |ui| widgets::quiet_button_ui(ui, label, action.text())).inner;
            if button.on_hover_text(action.tooltip()).clicked() {
                commands.push(Command::Perform(action));
            }
        }
    });
    if routes.is_empty() {
        return widgets::empty_ui(ui, "No routes yet", "Add one and say which requests belong to it");
    }
    let rows = state.policy().text.outline();
    let selected = state.selected_route();
    let is_new = tall_list::is_newly_selected(ui, "selected route", &(state.policy().id, selected));
    let is_selected = |row: &OutlineRow| matches!(row, OutlineRow::Route(position) if Some(*position) == selected);
    let reveal = if is_new { rows.iter().position(is_selected) } else { None };
    ui.spacing_mut().item_spacing.y = 0.0;
    // Rows of one height, so that only those in view are laid out, however long the policy is.
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW_HEIGHT, rows.len(), |ui, visible| {
        if let Some(row) = reveal {
            tall_list::scroll_to_row(ui, row, visible.start, ROW_HEIGHT);
        }
        for at in visible {
            widgets::item_ui(ui, at, |ui| match rows.get(at) {
                Some(OutlineRow::Domain(domain)) => domain_ui(ui, domain),
                Some(OutlineRow::Route(position)) => {
                    if let Some(route) = routes.get(*position) {
                        route_ui(ui, state, *position, route, commands);
                    }
                }
                None => {}
            });
        }
    });
}

fn domain_ui(ui: &mut Ui, domain: &str) {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), ROW_HEIGHT), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, format!("Domain {domain}")));
    let label = widgets::line(ui, domain, tokens::strong_font(text::SMALL), palette.text_weak, rect.width() - space::M);
    let at = egui::pos2(rect.left() + space::XS, rect.bottom() - label.size().y - space::S);
    ui.painter().galley(at, label, palette.text_weak);
}

fn route_ui(ui: &mut Ui, state: &State, position: usize, route: &Route, commands: &mut Vec<Command>) {
    let selected = state.selected_route() == Some(position);
    let name = format!("Route {}", route.name);
    let detail = if route.description.is_empty() { "No description yet" } else { &route.description };
    let title = if route.name.is_empty() { "(no name)" } else { &route.name };
    let indent = if route.domain.is_some() { space::S } else { 0.0 };
    let note = route.action.as_deref().unwrap_or_default();
    let response = widgets::row_ui(ui, Row { name: &name, title, detail, note, selected, height: ROW_HEIGHT, indent });
    lint_view::route_mark_ui(ui, state, position, &name, response.rect);
    if response.clicked() || response.drag_started() {
        commands.push(Command::SelectRoute(position));
    }
    response.dnd_set_drag_payload(Dragged(position));
    // The line is where the route goes: over the row, or in its lower half under it.
    let under = ui.ctx().pointer_interact_pos().is_some_and(|pointer| pointer.y > response.rect.center().y);
    let place = |dragged: &Dragged| {
        let is_of_domain = state.routes().routes.get(dragged.0).is_some_and(|other| domain(other) == domain(route));
        drop_place(dragged.0, position, under).filter(|_| is_of_domain)
    };
    if response.dnd_hover_payload::<Dragged>().is_some_and(|dragged| place(&dragged).is_some()) {
        let palette = theme::palette(ui);
        let y = if under { response.rect.bottom() - 1.0 } else { response.rect.top() };
        ui.painter().hline(response.rect.x_range(), y, (2.0, palette.accent));
    }
    if let Some(dragged) = response.dnd_release_payload::<Dragged>() {
        let edit = place(&dragged).map(|to| PolicyEdit::MoveRoute { route: dragged.0, to });
        commands.extend(edit.map(Command::EditPolicy));
    } else if response.drag_stopped() {
        DragAndDrop::clear_payload(ui.ctx());
    }
    if response.dragged() {
        let pointer = ui.ctx().pointer_interact_pos().unwrap_or(response.rect.min);
        let palette = theme::palette(ui);
        let ghost = widgets::line(ui, &route.name, FontId::proportional(text::BODY), palette.accent, 240.0);
        let painter = ui.ctx().layer_painter(egui::LayerId::new(egui::Order::Tooltip, egui::Id::unique("dragged route")));
        painter.galley(pointer + egui::vec2(space::M, 0.0), ghost, palette.accent);
    }
}

/// Routes stand under their domain, so one that is dropped among those of another would not be where it was dropped.
fn domain(route: &Route) -> Option<&str> {
    route.domain.as_deref().filter(|domain| !domain.trim().is_empty())
}

/// Returns where a dragged route is put when it is dropped over the route of a row, or under it; `None` where it stays where it is.
/// It is taken out first, so that what comes after it moves up.
fn drop_place(dragged: usize, row: usize, under: bool) -> Option<usize> {
    let before = row + usize::from(under);
    let to = before - usize::from(dragged < before);
    (to != dragged).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::drop_place;

    #[test]
    fn a_route_lands_at_the_line_whichever_way_it_is_dragged() {
        // Of five routes: over and under the last one, under the first one, and beside itself.
        assert_eq!((drop_place(1, 4, false), drop_place(1, 4, true)), (Some(3), Some(4)));
        assert_eq!((drop_place(3, 0, false), drop_place(3, 0, true)), (Some(0), Some(1)));
        assert_eq!((drop_place(2, 2, false), drop_place(2, 1, true), drop_place(2, 3, false)), (None, None, None));
    }
}

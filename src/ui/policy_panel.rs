//! The policy being written: its dialect, its routes, and the form of the selected one.

use egui::{ComboBox, Panel, ScrollArea, Sense, Ui, WidgetInfo};

use super::tokens::{self, space, text};
use super::{actions, route_form, theme, widgets};
use crate::app::{Action, Command, State};
use crate::policy::{DialectId, PolicyEdit, Route};

const ROW_HEIGHT: f32 = 48.0;

/// Draws the panel.
pub fn policy_panel_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    widgets::header_ui(ui, |ui| widgets::heading_ui(ui, "Policy"), |ui| actions::action_button_ui(ui, state, Action::AddRoute, commands));
    dialect_ui(ui, state, commands);
    ui.add_space(space::XS);
    if let Some(position) = state.selected_route() {
        let frame = egui::Frame::new().inner_margin(egui::Margin { top: space::M as i8, ..egui::Margin::ZERO });
        Panel::bottom("route form").frame(frame).resizable(true).default_size(300.0).min_size(180.0).show(ui, |ui| {
            route_form::route_form_ui(ui, state, position, commands);
        });
        routes_ui(ui, state, position, commands);
    } else {
        widgets::empty_ui(ui, "No routes yet", "Add a route and say which requests belong to it");
    }
}

fn dialect_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        let caption = widgets::caption_ui(ui, "Dialect");
        let present = state.dialect();
        let combo = ComboBox::from_id_salt("dialect").selected_text(present.as_str()).width(ui.available_width()).truncate();
        let response = combo.show_ui(ui, |ui| {
            ui.set_min_width(360.0);
            for dialect in DialectId::ALL {
                let entry = ui.selectable_label(dialect == present, dialect.as_str());
                widgets::caption_ui(ui, dialect.explanation());
                if entry.clicked() && dialect != present {
                    commands.push(Command::EditPolicy(PolicyEdit::SetDialect(Some(dialect))));
                }
            }
        });
        response.response.labelled_by(caption.id).on_hover_text(present.explanation());
    });
}

fn routes_ui(ui: &mut Ui, state: &State, selected: usize, commands: &mut Vec<Command>) {
    let routes = &state.policy.text.routes;
    widgets::subheading_ui(ui, &format!("Routes ({})", routes.len()));
    ui.spacing_mut().item_spacing.y = 2.0;
    // Rows of one height, so that only those in view are laid out, however long the policy is.
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW_HEIGHT, routes.len(), |ui, rows| {
        for position in rows {
            if let Some(route) = routes.get(position)
                && row_ui(ui, route, position == selected)
            {
                commands.push(Command::SelectRoute(position));
            }
        }
    });
}

/// Draws one row and returns whether it was clicked.
fn row_ui(ui: &mut Ui, route: &Route, selected: bool) -> bool {
    let palette = theme::palette(ui);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), ROW_HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::selected(egui::Role::ListBoxOption, true, selected, format!("Route {}", route.name)));
    let ground = if selected {
        palette.accent_soft
    } else if response.hovered() {
        palette.raised
    } else {
        palette.surface
    };
    let painter = ui.painter();
    painter.rect_filled(rect, f32::from(tokens::RADIUS), ground);
    if response.has_focus() {
        painter.rect_stroke(rect, f32::from(tokens::RADIUS), (1.5, palette.accent), egui::StrokeKind::Inside);
    }
    let inner = rect.shrink2(egui::vec2(space::M, 6.0));
    let name = widgets::line(ui, &route.name, tokens::strong_font(text::BODY), palette.text, inner.width());
    let description = if route.description.is_empty() { "No description yet" } else { &route.description };
    let description = widgets::line(ui, description, egui::FontId::proportional(text::SMALL), palette.text_weak, inner.width());
    let bottom = inner.bottom() - description.size().y;
    ui.painter().galley(inner.min, name, palette.text);
    ui.painter().galley(egui::pos2(inner.left(), bottom), description, palette.text_weak);
    response.clicked()
}

//! Probabilities as painted bars, each with its number and a text for screen readers.

use egui::{FontId, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::decision::{Decision, Outcome};
use crate::policy::{NO_ROUTE_LABEL, Policy};

const ROW_HEIGHT: f32 = 26.0;
const BAR_HEIGHT: f32 = 12.0;
const NUMBER_WIDTH: f32 = 56.0;

/// Draws a bar for each answer, most probable first, and one for all text that is no valid answer.
pub fn bars_ui(ui: &mut Ui, decision: &Decision, policy: &Policy) {
    ui.spacing_mut().item_spacing.y = 0.0;
    for entry in &decision.probabilities {
        let chosen = decision.label() == Some(entry.route.as_str());
        let none = entry.route == NO_ROUTE_LABEL;
        let title = if none { "No route" } else { &entry.route };
        let model = policy.model_for((!none).then_some(entry.route.as_str()));
        bar_ui(ui, &Bar { title, model, p: entry.p, kind: if chosen { Kind::Chosen } else { Kind::Other } });
    }
    let rule = ui.available_rect_before_wrap();
    ui.add_space(space::XS);
    ui.painter().hline(rule.x_range(), rule.top() + 2.0, (1.0, theme::palette(ui).border));
    let kind = if decision.outcome == Outcome::Error { Kind::Chosen } else { Kind::Outside };
    bar_ui(ui, &Bar { title: "Outside valid answers", model: None, p: decision.invalid_mass, kind });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chosen,
    Other,
    /// Text that no dialect's parser would take for one of the answers.
    Outside,
}

struct Bar<'a> {
    title: &'a str,
    model: Option<&'a str>,
    p: f64,
    kind: Kind,
}

fn bar_ui(ui: &mut Ui, bar: &Bar<'_>) {
    let palette = theme::palette(ui);
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, ROW_HEIGHT), Sense::hover());
    if !ui.is_rect_visible(rect) {
        return;
    }
    let number = percent(bar.p);
    let chosen = bar.kind == Kind::Chosen;
    response.widget_info(|| {
        let suffix = if chosen { ", chosen" } else { "" };
        WidgetInfo::labeled(Role::Label, true, format!("{}: {number}{suffix}", bar.title))
    });

    let title_width = (width * 0.49).max(110.0);
    let font = if chosen { tokens::strong_font(text::BODY) } else { FontId::proportional(text::BODY) };
    let colour = if bar.kind == Kind::Outside { palette.text_weak } else { palette.text };
    let title = widgets::line(ui, bar.title, font.clone(), colour, title_width - space::S);
    let elided = title.elided;
    let number_font = if chosen { tokens::strong_font(text::SMALL) } else { FontId::proportional(text::SMALL) };
    let number = widgets::line(ui, &number, number_font, colour, NUMBER_WIDTH);

    let painter = ui.painter();
    let middle = |height: f32| rect.center().y - height / 2.0;
    painter.galley(pos2(rect.left(), middle(title.size().y)), title, colour);
    painter.galley(pos2(rect.right() - number.size().x, middle(number.size().y)), number, colour);
    let left = rect.left() + title_width;
    let track = Rect::from_min_max(pos2(left, middle(BAR_HEIGHT)), pos2(rect.right() - NUMBER_WIDTH, middle(BAR_HEIGHT) + BAR_HEIGHT));
    painter.rect_filled(track, 3.0, palette.bar_track);
    // A probability that is not zero leaves a mark, however small.
    let filled = if bar.p > 0.0 { (track.width() * bar.p as f32).clamp(2.0, track.width()) } else { 0.0 };
    let fill = match bar.kind {
        Kind::Chosen => palette.accent,
        Kind::Other => palette.bar,
        Kind::Outside => palette.warning,
    };
    painter.rect_filled(track.with_max_x(track.left() + filled), 3.0, fill);

    response.on_hover_ui(|ui| {
        if elided {
            ui.label(bar.title);
        }
        ui.label(format!("Probability {:.6}", bar.p));
        if let Some(model) = bar.model {
            ui.label(format!("Served by {model}"));
        }
    });
}

/// Writes a probability with one decimal, and never rounds a small one to nothing or a large one to certainty.
fn percent(p: f64) -> String {
    match p {
        p if p > 0.0 && p < 0.0005 => "<0.1 %".to_owned(),
        p if (0.9995..1.0).contains(&p) => ">99.9 %".to_owned(),
        p => format!("{:.1} %", 100.0 * p),
    }
}

//! Probabilities as painted bars, each with its number and a text for screen readers.

use egui::{FontId, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::tokens::{self, space, text};
use super::{theme, widgets};
use crate::decision::{Decision, Outcome, RouteProbability};
use crate::dialect::no_route_note;
use crate::policy::{DialectId, Policy, Route};

const ROW_HEIGHT: f32 = 26.0;
const BAR_HEIGHT: f32 = 12.0;
const NUMBER_WIDTH: f32 = 56.0;
/// Room for the change since another decision.
const CHANGE_WIDTH: f32 = 48.0;

/// Draws a bar for each answer, most probable first, and one for what is left: text that is no valid answer, or unknown. Where there is a
/// decision `before`, each bar marks its probability then.
pub fn bars_ui(ui: &mut Ui, decision: &Decision, policy: &Policy, before: Option<&Decision>) {
    ui.spacing_mut().item_spacing.y = 0.0;
    for entry in &decision.probabilities {
        let title = if entry.no_route { "No route" } else { &entry.route };
        let was = before.and_then(|before| p_of(before, &entry.route, entry.no_route));
        let kind = if decision.chose(entry) { Kind::Chosen } else { Kind::Other };
        bar_ui(
            ui,
            &Bar { title, answer: Some((policy, entry, decision.dialect)), p: entry.p, before: was, compares: before.is_some(), kind },
        );
    }
    let rule = ui.available_rect_before_wrap();
    ui.add_space(space::XS);
    ui.painter().hline(rule.x_range(), rule.top() + 2.0, (1.0, theme::palette(ui).border));
    let kind = if decision.outcome == Outcome::Error { Kind::Chosen } else { Kind::Outside };
    let was = before.map(|before| before.invalid_mass);
    let title = if decision.router.tells_all() { "Outside valid answers" } else { "Not reported by the server" };
    bar_ui(ui, &Bar { title, answer: None, p: decision.invalid_mass, before: was, compares: was.is_some(), kind });
}

/// Returns the probability of a route, or of no route; a route that was not there had none, and what a server did not report is not known.
/// Where answers are no lists, a route that is called as no route is labelled is the same answer.
pub fn p_of(decision: &Decision, route: &str, no_route: bool) -> Option<f64> {
    let mut called = decision.probabilities.iter().filter(|entry| entry.route == route);
    let any = called.clone().next();
    let told = called.find(|entry| entry.no_route == no_route).or(any).map(|entry| entry.p);
    let is_whole = !decision.probabilities.is_empty() && decision.router.tells_all();
    told.or_else(|| is_whole.then_some(0.0))
}

/// Returns in a sentence which model serves an answer; `None` where the policy names none.
fn served(policy: &Policy, entry: &RouteProbability, dialect: Option<DialectId>) -> Option<String> {
    if entry.no_route {
        let note = no_route_note(dialect).map_or_else(String::new, |note| format!(". {note}"));
        return policy.model_for(None).map(|model| format!("Falls back to {model}{note}"));
    }
    let choice = policy.route(&entry.route).and_then(Route::choice);
    choice.or_else(|| policy.model_for(Some(&entry.route)).map(str::to_owned)).map(|model| format!("Served by {model}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Chosen,
    Other,
    /// Text that no dialect's parser would take for one of the answers, and what a server did not report.
    Outside,
}

struct Bar<'a> {
    title: &'a str,
    answer: Option<(&'a Policy, &'a RouteProbability, Option<DialectId>)>,
    p: f64,
    before: Option<f64>,
    /// Whether the other bars have a probability before, so that all keep their columns.
    compares: bool,
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
        let change = bar.before.map(|before| format!(", {} points since the last edit", points(bar.p - before))).unwrap_or_default();
        WidgetInfo::labeled(Role::Label, true, format!("{}: {number}{suffix}{change}", bar.title))
    });

    let title_width = (width * if bar.compares { 0.42 } else { 0.47 }).max(104.0);
    let font = if chosen { tokens::strong_font(text::BODY) } else { FontId::proportional(text::BODY) };
    let colour = if bar.kind == Kind::Outside { palette.text_weak } else { palette.text };
    let title = widgets::line(ui, bar.title, font.clone(), colour, title_width - space::S);
    let elided = title.elided;
    let number_font = if chosen { tokens::strong_font(text::SMALL) } else { FontId::proportional(text::SMALL) };
    let number = widgets::line(ui, &number, number_font, colour, NUMBER_WIDTH);

    let room = if bar.compares { CHANGE_WIDTH } else { 0.0 };
    let painter = ui.painter();
    let middle = |height: f32| rect.center().y - height / 2.0;
    painter.galley(pos2(rect.left(), middle(title.size().y)), title, colour);
    painter.galley(pos2(rect.right() - room - number.size().x, middle(number.size().y)), number, colour);
    let left = rect.left() + title_width;
    let track =
        Rect::from_min_max(pos2(left, middle(BAR_HEIGHT)), pos2(rect.right() - room - NUMBER_WIDTH, middle(BAR_HEIGHT) + BAR_HEIGHT));
    painter.rect_filled(track, 3.0, palette.bar_track);
    // A probability that is not zero leaves a mark, however small.
    let filled = if bar.p > 0.0 { (track.width() * bar.p as f32).clamp(2.0, track.width()) } else { 0.0 };
    let fill = match bar.kind {
        Kind::Chosen => palette.accent,
        Kind::Other => palette.bar,
        Kind::Outside => palette.warning,
    };
    painter.rect_filled(track.with_max_x(track.left() + filled), 3.0, fill);
    if let Some(before) = bar.before {
        let x = track.left() + (track.width() * before as f32).clamp(0.0, track.width());
        painter.vline(x, track.y_range().expand(3.0), (2.0, palette.text));
        let change = widgets::line(ui, &points(bar.p - before), FontId::proportional(text::SMALL), palette.text_weak, CHANGE_WIDTH);
        painter.galley(pos2(rect.right() - change.size().x, middle(change.size().y)), change, palette.text_weak);
    }

    response.on_hover_ui(|ui| {
        if elided {
            ui.label(bar.title);
        }
        ui.label(format!("Probability {:.6}", bar.p));
        if let Some(served) = bar.answer.and_then(|(policy, entry, dialect)| served(policy, entry, dialect)) {
            ui.label(served);
        }
    });
}

/// Writes a change of a probability in points, with its sign; the minus is as wide as the plus, so that columns of changes align.
pub fn points(change: f64) -> String {
    let points = 100.0 * change;
    if points.abs() < 0.05 { "0.0".to_owned() } else { format!("{points:+.1}").replace('-', "\u{2212}") }
}

/// Writes a probability with one decimal, and never rounds a small one to nothing or a large one to certainty.
pub fn percent(p: f64) -> String {
    match p {
        p if p > 0.0 && p < 0.0005 => "<0.1 %".to_owned(),
        p if (0.9995..1.0).contains(&p) => ">99.9 %".to_owned(),
        p => format!("{:.1} %", 100.0 * p),
    }
}

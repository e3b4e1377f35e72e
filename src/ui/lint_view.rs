//! What the linter says: beside what it is about, as a list under the editor, and its documentation.

use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, FontId, Label, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

use super::tokens::{self, Palette, space, text};
use super::widgets::{self, Row};
use super::{actions, theme};
use crate::app::{Action, CheckCommand, Checks, Command, State};
use crate::formats::{Located, lint_entry};
use crate::policy::lint::{Field, Finding, Severity};

const ROW_HEIGHT: f32 = 46.0;
/// Width and height of the painted mark of a severity.
const MARK: f32 = 12.0;

/// Returns "1 error, 2 pieces of advice", or that there is nothing to say.
fn counts(checks: &Checks) -> String {
    if checks.failed {
        return "Not checked".to_owned();
    }
    let count = |severity: Severity| Some(checks.count(severity)).filter(|count| *count > 0).map(|count| severity.counted(count));
    let counts: Vec<String> = Severity::ALL.into_iter().filter_map(count).collect();
    if counts.is_empty() { "No findings".to_owned() } else { counts.join(", ") }
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
        Severity::Advice => "Advice",
    }
}

fn colours(severity: Severity, palette: &Palette) -> (Color32, Color32) {
    match severity {
        Severity::Error => (palette.error, palette.error_soft),
        Severity::Warning => (palette.warning, palette.warning_soft),
        Severity::Advice => (palette.text_weak, palette.raised),
    }
}

/// Paints the mark of a severity: a form of its own for each, so that the colour only repeats it.
pub fn paint_mark(ui: &Ui, severity: Severity, centre: egui::Pos2) {
    let (colour, _) = colours(severity, theme::palette(ui));
    let half = MARK / 2.0 - 1.0;
    let painter = ui.painter();
    match severity {
        Severity::Error => {
            painter.rect_filled(egui::Rect::from_center_size(centre, vec2(2.0 * half, 2.0 * half)), 2.0, colour);
        }
        Severity::Warning => {
            let corners = [vec2(0.0, -half), vec2(half, half - 1.0), vec2(-half, half - 1.0)].map(|corner| centre + corner);
            painter.add(egui::Shape::convex_polygon(corners.to_vec(), colour, egui::Stroke::NONE));
        }
        Severity::Advice => {
            painter.circle_stroke(centre, half - 1.0, (1.5, colour));
        }
    }
}

/// Draws the button that shows and hides the list, no wider than `room`.
pub fn summary_ui(ui: &mut Ui, state: &State, room: f32, commands: &mut Vec<Command>) {
    ui.set_max_width(room.max(MARK));
    let worst = state.checks.get(0).map(|located| located.finding.rule.severity);
    if let Some(severity) = worst.filter(|severity| *severity != Severity::Advice) {
        let (rect, _) = ui.allocate_exact_size(vec2(MARK, MARK), Sense::hover());
        paint_mark(ui, severity, rect.center());
    }
    let counts = counts(&state.checks);
    let button = egui::Button::selectable(Action::ToggleFindings.is_on(state), RichText::new(&counts).small()).truncate();
    let explanation = format!("{counts}. {}", Action::ToggleFindings.tooltip());
    let response = ui.add(button).on_hover_text(explanation).accessible_name(format!("Findings: {counts}"));
    if response.clicked() {
        commands.push(Command::Perform(Action::ToggleFindings));
    }
}

/// Draws the mark of a route in the list, where there is more to say than advice.
pub fn route_mark_ui(ui: &mut Ui, state: &State, position: usize, name: &str, row: egui::Rect) {
    let mut findings = state.checks.of_route(position).filter(|finding| finding.rule.severity != Severity::Advice);
    let Some(worst) = findings.next() else { return };
    let centre = egui::pos2(row.right() - space::M, row.bottom() - space::M);
    paint_mark(ui, worst.rule.severity, centre);
    let rect = egui::Rect::from_center_size(centre, vec2(MARK + space::XS, MARK + space::XS));
    let response = ui.interact(rect, ui.scope_id().with(("mark", position)), Sense::hover());
    let more = findings.count();
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let sentence = format!("{}: {}{more}", word(worst.rule.severity), worst.message);
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name}, {sentence}")));
    response.on_hover_text(sentence);
}

/// Draws the findings about some fields of one route, where they are written.
pub fn fields_ui(ui: &mut Ui, state: &State, route: usize, fields: &[Field], commands: &mut Vec<Command>) {
    let findings = state.checks.of_route(route).filter(|finding| finding.field.is_some_and(|field| fields.contains(&field)));
    for finding in findings {
        finding_ui(ui, state, finding, commands);
    }
}

/// Draws the findings about the policy as a whole.
pub fn whole_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    for finding in state.checks.of_whole() {
        finding_ui(ui, state, finding, commands);
    }
}

fn finding_ui(ui: &mut Ui, state: &State, finding: &Finding, commands: &mut Vec<Command>) {
    let severity = finding.rule.severity;
    let (colour, ground) = colours(severity, theme::palette(ui));
    let margin = egui::Margin::symmetric(space::S as i8, 2);
    theme::card_frame(ground, ground).inner_margin(margin).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(space::XS, 0.0);
            ui.spacing_mut().interact_size.y = 22.0;
            ui.label(RichText::new(word(severity)).font(tokens::strong_font(text::SMALL)).color(colour));
            ui.label(RichText::new(sentence(&finding.message)).small()).on_hover_text(finding.rule.reason);
            buttons_ui(ui, state, finding, commands);
        });
    });
}

/// The quick fix, the explanation, and for advice that it is not wanted.
fn buttons_ui(ui: &mut Ui, state: &State, finding: &Finding, commands: &mut Vec<Command>) {
    ui.spacing_mut().button_padding = vec2(space::XS, 0.0);
    let code = finding.rule.code;
    if let Some(fix) = &finding.fix {
        // A fix is for the version that was looked at.
        let current = state.checks.is_about(&state.policy().text);
        let button = egui::Button::new(RichText::new(&fix.label).small());
        if ui.add_enabled(current, button).on_hover_text("Can be undone").clicked() {
            commands.push(Command::EditPolicy(fix.edit.clone()));
        }
    }
    let route = finding.name.as_deref().map(|name| format!(" of {name}")).unwrap_or_default();
    if widgets::quiet_button_ui(ui, "Why", format!("Explain {code}{route}")).on_hover_text(finding.rule.reason).clicked() {
        commands.push(Command::Check(CheckCommand::Explain(code)));
    }
    let hide = "Leave this advice out from now on; the list of findings can show it again";
    if finding.rule.severity == Severity::Advice
        && widgets::quiet_button_ui(ui, "Hide", format!("Hide {code}{route}")).on_hover_text(hide).clicked()
    {
        commands.push(Command::Check(CheckCommand::Hide(code)));
    }
}

/// Draws the list under the editor.
pub fn list_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let checks = &state.checks;
    widgets::header_ui(
        ui,
        |ui| {
            widgets::heading_ui(ui, "Findings");
            widgets::short_caption_ui(ui, counts(checks));
        },
        |ui| {
            if checks.hidden() > 0
                && widgets::quiet_button_ui(ui, &format!("Show {} hidden", checks.hidden()), "Show hidden advice").clicked()
            {
                commands.push(Command::Check(CheckCommand::ShowAll));
            }
            actions::short_button_ui(ui, state, Action::ToggleFindings, "Close", commands);
        },
    );
    if checks.is_empty() {
        widgets::caption_ui(ui, "Gateways accept this policy as it is");
    }
    if checks.failed {
        widgets::caption_ui(ui, "The check failed; it runs again when you change the policy");
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW_HEIGHT, checks.len(), |ui, rows| {
        for (row, located) in rows.filter_map(|row| Some((row, checks.get(row)?))) {
            widgets::item_ui(ui, row, |ui| row_ui(ui, state, located, commands));
        }
    });
}

fn row_ui(ui: &mut Ui, state: &State, Located { finding, line }: &Located, commands: &mut Vec<Command>) {
    let severity = finding.rule.severity;
    let mut clicked = false;
    let draw = |ui: &mut Ui| {
        let route = finding.name.as_deref().map(|name| format!(", route {name}")).unwrap_or_default();
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let detail = format!("{} {}{line}{route}. {}", word(severity), finding.rule.code, finding.rule.reason);
        let title = sentence(&finding.message);
        let name = format!("{title}. {detail}");
        let row = Row { name: &name, title: &title, detail: &detail, note: "", selected: false, height: ROW_HEIGHT, indent: space::M };
        let response = widgets::row_ui(ui, row);
        paint_mark(ui, severity, response.rect.left_center() + vec2(space::M, 0.0));
        clicked = response.on_hover_text(name).clicked();
    };
    widgets::ends_ui(ui, ROW_HEIGHT, draw, |ui| {
        ui.spacing_mut().item_spacing.x = space::XS;
        buttons_ui(ui, state, finding, commands);
    });
    if clicked && let Some(route) = finding.route {
        commands.push(Command::SelectRoute(route));
    }
}

/// Draws what the documentation says about a code.
pub fn rule_ui(ui: &mut Ui, code: &'static str, commands: &mut Vec<Command>) {
    ui.set_width(520.0);
    widgets::heading_ui(ui, code);
    for line in lint_entry(code).unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
        let line = line.strip_prefix("- ").unwrap_or(line);
        let job = markdown(ui, line);
        ui.add(Label::new(job).wrap().selectable(true));
    }
    ui.add_space(space::M);
    widgets::ends_ui(
        ui,
        tokens::CONTROL_HEIGHT,
        |ui| drop(widgets::short_caption_ui(ui, "From docs/lint.md, which explains every code")),
        |ui| {
            if widgets::button_ui(ui, "Close").clicked() {
                commands.push(Command::CloseDialog);
            }
        },
    );
}

/// Lays out one line of Markdown as far as the documentation uses it: code, strong text, and a word with a colon at its start.
fn markdown(ui: &Ui, line: &str) -> LayoutJob {
    let palette = theme::palette(ui);
    let mut job = LayoutJob::default();
    let strong = TextFormat::simple(tokens::strong_font(text::BODY), palette.text);
    let plain = TextFormat::simple(FontId::proportional(text::BODY), palette.text);
    let code = TextFormat { background: palette.raised, ..TextFormat::simple(FontId::monospace(text::MONO), palette.text) };
    let label = ["Seen in:", "Better:", "Source:"].into_iter().find(|label| line.starts_with(label)).unwrap_or_default();
    job.append(label, 0.0, strong.clone());
    for (index, part) in line[label.len()..].split('`').enumerate() {
        if index % 2 == 1 {
            job.append(part, 0.0, code.clone());
            continue;
        }
        for (index, part) in part.split("**").enumerate() {
            job.append(part, 0.0, if index % 2 == 1 { strong.clone() } else { plain.clone() });
        }
    }
    job
}

/// Returns a message as a sentence starts.
fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

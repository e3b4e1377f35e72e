//! The policy as the text of its file, with the line that cannot be read marked.

use std::borrow::Cow;

use egui::{Align2, FontId, Label, Margin, RichText, ScrollArea, TextEdit, Ui, vec2};

use super::tokens::{space, text};
use super::{lint_view, theme};
use crate::app::{Command, State};

/// Room at the left for line numbers.
const GUTTER: f32 = 40.0;

/// Says why the YAML cannot be read, in the form too, where nothing can be changed meanwhile: it would be written over what was typed.
pub fn error_ui(ui: &mut Ui, state: &State) {
    let palette = theme::palette(ui);
    let Some(error) = &state.policy().text.error else { return };
    theme::card_frame(palette.error_soft, palette.error_soft).show(ui, |ui| {
        ui.set_min_width(ui.available_width());
        let place = error.line.map(|line| format!("Line {line}: ")).unwrap_or_default();
        let sentence = format!("{place}{}; {}", error.message, error.remedy);
        ui.add(Label::new(RichText::new(sentence).color(palette.error)).wrap().selectable(true));
        let advice = if state.settings.yaml { "" } else { "; repair the YAML before you change anything here" };
        let sentence = format!("Decisions use the last version that could be read{advice}");
        ui.add(Label::new(RichText::new(sentence).small().color(palette.text_weak)).wrap());
    });
}

/// Draws the view.
pub fn yaml_view_ui(ui: &mut Ui, state: &State, commands: &mut Vec<Command>) {
    let version = &state.policy().text;
    let mut buffer = Cow::Borrowed(&**version.yaml());
    let highlight = egui_extras::syntax_highlighting::CodeTheme::from_style(ui.style());
    let mut layouter = |ui: &Ui, text: &dyn egui::TextBuffer, width: f32| {
        let mut job = egui_extras::syntax_highlighting::highlight(ui.ctx(), ui.style(), &highlight, text.as_str(), "yaml");
        job.wrap.max_width = width;
        ui.fonts_mut(|fonts| fonts.layout_job(job))
    };
    let margin = Margin { left: GUTTER as i8 + space::S as i8, right: space::S as i8, top: space::S as i8, bottom: space::S as i8 };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        let rows = (ui.available_height() / 18.0) as usize;
        let edit = TextEdit::multiline(&mut buffer)
            .id_salt(("yaml", state.policy().id.0))
            .code_editor()
            // The Tab key goes on to the next control: YAML is indented with spaces anyway.
            .lock_focus(false)
            .layouter(&mut layouter)
            .margin(margin)
            .desired_rows(rows.max(8))
            .desired_width(f32::INFINITY);
        let output = edit.show(ui);
        output.response.response.clone().accessible_name("YAML of the policy");
        numbers_ui(ui, state, &output, version.error.as_ref().and_then(|error| error.line));
    });
    if let Cow::Owned(yaml) = buffer
        && yaml != **version.yaml()
    {
        commands.push(Command::EditYaml(yaml));
    }
}

/// Paints the line numbers of the rows in view, and a band behind the line with the error.
fn numbers_ui(ui: &Ui, state: &State, output: &egui::text_edit::TextEditOutput, error: Option<usize>) {
    let palette = theme::palette(ui);
    let clip = ui.clip_rect();
    let mut number = 1;
    let mut starts = true;
    for row in &output.galley.rows {
        let top = output.galley_pos.y + row.pos.y;
        if starts && top + row.size.y >= clip.top() && top <= clip.bottom() {
            let wrong = error == Some(number);
            let left = output.response.response.rect.left();
            if wrong {
                let band = egui::Rect::from_min_size(egui::pos2(left + 2.0, top), vec2(4.0, row.size.y));
                ui.painter().rect_filled(band, 1.0, palette.error);
                let line = egui::Rect::from_min_max(
                    egui::pos2(left + GUTTER, top),
                    egui::pos2(output.response.response.rect.right(), top + row.size.y),
                );
                ui.painter().rect_filled(line, 2.0, palette.error.gamma_multiply(0.14));
            }
            if let Some(worst) = state.checks.of_line(number).next().filter(|_| !wrong) {
                let gutter = egui::Rect::from_min_size(egui::pos2(left, top), vec2(GUTTER, row.size.y));
                lint_view::paint_mark(ui, worst.rule.severity, egui::pos2(left + space::S, gutter.center().y));
                let response = ui.interact(gutter, ui.scope_id().with(("findings", number)), egui::Sense::hover());
                response.on_hover_ui(|ui| {
                    state.checks.of_line(number).for_each(|finding| {
                        ui.label(format!("{}: {}", finding.rule.code, finding.message));
                    });
                });
            }
            let colour = if wrong { palette.error } else { palette.text_weak };
            let at = egui::pos2(left + GUTTER - space::XS, top + row.size.y / 2.0);
            ui.painter().text(at, Align2::RIGHT_CENTER, number, FontId::monospace(text::SMALL - 1.0), colour);
        }
        starts = row.ends_with_newline;
        number += usize::from(starts);
    }
}
